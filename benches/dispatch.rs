//! From request bytes to reply bytes without a socket: parse, look up, enter, run, write.

#![allow(missing_docs, reason = "criterion's macro writes a public function")]

use std::ffi::OsString;
use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use roster::command::{Facts, Node, Outcome, Worker, execute, unix_ms};
use roster::protocol::{Limits, Parser, Reply, Step, Version};
use roster::session::{Arrival, Client, Transport};

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// Requests of one batch, as with 16 pipelined.
const BATCH: usize = 16;

struct Bench {
    worker: Worker,
    client: Client,
    parser: Parser,
    out: Vec<u8>,
    seed: u64,
}

impl Bench {
    fn new() -> Self {
        let settings = roster::config::parse([OsString::from("roster")].into_iter()).expect("defaults").loaded.settings;
        let node: &'static Node =
            Box::leak(Box::new(Node::new(roster::config::Handle::new(settings), 1, 1024, Facts::default())));
        let arrival = Arrival {
            address: String::new(),
            local_address: String::new(),
            transport: Transport::Tcp,
            worker: 0,
            now_ms: unix_ms(),
            socket: -1,
        };
        let client = Client::new(node.registry.register(arrival, 1).expect("room"), &node.acl);
        Bench { worker: Worker::new(node, 0), client, parser: Parser::new(), out: Vec::new(), seed: 1 }
    }

    fn run(&mut self, batch: &[u8]) {
        self.out.clear();
        let mut rest = batch;
        while !rest.is_empty() {
            let Ok(Step::Request { consumed }) = self.parser.step(rest, &Limits::default()) else { unreachable!() };
            let outcome = execute(&self.worker, &mut self.client, self.parser.args(rest), &mut self.out);
            assert_eq!(outcome, Outcome::Done);
            rest = &rest[consumed..];
        }
        black_box(&self.out);
    }

    fn key(&mut self, keys: u64) -> u64 {
        self.seed = self.seed.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (self.seed >> 33) % keys
    }

    /// Batches of requests over random keys of a keyspace.
    fn batches(&mut self, keys: u64, request: impl Fn(u64) -> String) -> Vec<Vec<u8>> {
        (0..4096).map(|_| (0..BATCH).map(|_| request(self.key(keys))).collect::<String>().into_bytes()).collect()
    }
}

fn set(key: u64, value: &str) -> String {
    format!("*3\r\n$3\r\nSET\r\n$16\r\nkey:{key:012}\r\n${}\r\n{value}\r\n", value.len())
}

fn get(key: u64) -> String {
    format!("*2\r\n$3\r\nGET\r\n$16\r\nkey:{key:012}\r\n")
}

fn commands(c: &mut Criterion) {
    let mut group = c.benchmark_group("dispatch");
    group.throughput(Throughput::Elements(BATCH as u64)).sample_size(20);
    let value = "v".repeat(64);
    for keys in [1_000u64, 100_000, 1_000_000] {
        let mut bench = Bench::new();
        for key in 0..keys {
            bench.run(set(key, &value).as_bytes());
        }
        let gets = bench.batches(keys, get);
        let sets = bench.batches(keys, |key| set(key, &value));
        let mut at = 0;
        group.bench_function(BenchmarkId::new("get", keys), |b| {
            b.iter(|| {
                at = (at + 1) % gets.len();
                bench.run(&gets[at]);
            });
        });
        group.bench_function(BenchmarkId::new("set", keys), |b| {
            b.iter(|| {
                at = (at + 1) % sets.len();
                bench.run(&sets[at]);
            });
        });
    }
    group.finish();
}

fn replies(c: &mut Criterion) {
    let mut group = c.benchmark_group("reply");
    let value = vec![b'v'; 64];
    let mut out = Vec::new();
    group.bench_function("bulk of 64 bytes", |b| {
        b.iter(|| {
            out.clear();
            Reply::new(&mut out, Version::Resp2).bulk(black_box(&value));
        });
    });
    group.bench_function("array of 100 integers", |b| {
        b.iter(|| {
            out.clear();
            let mut reply = Reply::new(&mut out, Version::Resp3);
            reply.array(100);
            (0..100).for_each(|i| reply.integer(black_box(i * 37)));
        });
    });
    group.finish();
}

criterion_group!(benches, commands, replies);
criterion_main!(benches);
