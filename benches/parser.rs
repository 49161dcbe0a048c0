//! The request parser: time per batch as a connection sees it, with the whole batch in its buffer.

#![allow(missing_docs, reason = "criterion_group! defines a public function")]

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use roster::protocol::{Limits, Parser, Step};

fn command(arguments: &[&[u8]]) -> Vec<u8> {
    let mut out = format!("*{}\r\n", arguments.len()).into_bytes();
    for argument in arguments {
        out.extend_from_slice(format!("${}\r\n", argument.len()).as_bytes());
        out.extend_from_slice(argument);
        out.extend_from_slice(b"\r\n");
    }
    out
}

/// Parses a batch to its end and looks at every argument. Returns the number of requests.
fn drain(parser: &mut Parser, batch: &[u8], limits: &Limits) -> usize {
    let (mut head, mut requests) = (0, 0);
    while let Ok(Step::Request { consumed }) = parser.step(&batch[head..], limits) {
        let args = parser.args(&batch[head..]);
        for argument in args {
            black_box(argument);
        }
        head += consumed;
        requests += 1;
    }
    requests
}

fn parser(c: &mut Criterion) {
    let get = command(&[b"GET", b"key:000000012345"]).repeat(16);
    let set_64 = command(&[b"SET", b"key:000000012345", &[b'x'; 64]]).repeat(16);
    let set_256 = command(&[b"SET", b"key:000000012345", &[b'x'; 256]]).repeat(16);
    let keys: Vec<String> = (0..1000).map(|index| format!("key:{index:012}")).collect();
    let mut arguments = vec![&b"MSET"[..]];
    arguments.extend(keys.iter().map(String::as_bytes));
    let mset = command(&arguments);
    let inline = b"GET key:000000012345\r\n".repeat(16);
    let quoted = b"SET key:000000012345 \"a \\x41\\n b\"\r\n".repeat(16);
    let limits = Limits::default();
    for (name, batch, requests) in [
        ("16 GET", get, 16),
        ("16 SET of 64 bytes", set_64, 16),
        ("16 SET of 256 bytes", set_256, 16),
        ("MSET of 1000 arguments", mset, 1),
        ("16 inline GET", inline, 16),
        ("16 inline SET with quotes", quoted, 16),
    ] {
        let mut group = c.benchmark_group("parser");
        group.throughput(Throughput::Elements(requests as u64));
        let mut parser = Parser::new();
        assert_eq!(drain(&mut parser, &batch, &limits), requests);
        group.bench_function(name, |bencher| {
            bencher.iter(|| drain(&mut parser, black_box(&batch), &limits));
        });
        group.finish();
    }
}

criterion_group!(benches, parser);
criterion_main!(benches);
