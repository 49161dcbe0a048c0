//! GET, small SET and INCR allocate nothing in steady state, counted by an allocator of the test's own.

use std::alloc::{GlobalAlloc, Layout, System};
use std::ffi::OsString;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use roster::command::{Facts, Node, Outcome, Worker, execute, unix_ms};
use roster::protocol::{Limits, Parser, Step};
use roster::session::{Arrival, Client, Transport};

struct Counting;

static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);

// SAFETY: every call goes to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Relaxed);
        // SAFETY: as for the caller.
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        // SAFETY: as for the caller.
        unsafe { System.dealloc(ptr, layout) }
    }
    unsafe fn realloc(&self, ptr: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Relaxed);
        // SAFETY: as for the caller.
        unsafe { System.realloc(ptr, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn request(words: &[&[u8]]) -> Vec<u8> {
    let mut bytes = format!("*{}\r\n", words.len()).into_bytes();
    for word in words {
        bytes.extend(format!("${}\r\n", word.len()).bytes());
        bytes.extend_from_slice(word);
        bytes.extend_from_slice(b"\r\n");
    }
    bytes
}

#[test]
fn get_small_set_and_incr_allocate_nothing() {
    let settings = roster::config::parse([OsString::from("roster")].into_iter()).expect("defaults").loaded.settings;
    let node: &'static Node =
        Box::leak(Box::new(Node::new(roster::config::Handle::new(settings), 1, 64, Facts::default())));
    let worker = Worker::new(node, 0);
    let arrival = Arrival {
        address: "127.0.0.1:1".into(),
        local_address: "127.0.0.1:2".into(),
        transport: Transport::Tcp,
        worker: 0,
        now_ms: unix_ms(),
        socket: -1,
    };
    let mut client = Client::new(node.registry.register(arrival, 10).expect("room"), &node.acl);
    let batches: Vec<Vec<u8>> = (0..100)
        .map(|i| {
            let key = format!("key:{i:012}");
            let long = vec![b'x'; 256];
            let value: &[u8] = if i % 2 == 0 {
                b"a value of sixty-four bytes or so, as caches have them, more or less"
            } else {
                &long
            };
            [
                request(&[b"SET", key.as_bytes(), value]),
                request(&[b"GET", key.as_bytes()]),
                request(&[b"set", b"counter", format!("{i}").as_bytes()]),
                request(&[b"INCR", b"counter"]),
                request(&[b"GET", b"counter"]),
                request(&[b"GET", b"nothing"]),
            ]
            .concat()
        })
        .collect();
    let mut parser = Parser::new();
    let mut out = Vec::with_capacity(64 * 1024);
    let mut round = || {
        for batch in &batches {
            out.clear();
            let mut rest = &batch[..];
            while !rest.is_empty() {
                parser.read_ahead(rest, &Limits::default(), 3);
                let step = parser.step(rest, &Limits::default()).expect("valid requests");
                let Step::Request { consumed } = step else { panic!("whole requests, not {step:?}") };
                assert_eq!(execute(&worker, &mut client, parser.args(rest), &mut out), Outcome::Done);
                rest = &rest[consumed..];
            }
            assert!(out.starts_with(b"+OK\r\n$"));
        }
    };
    round();
    round();
    let before = ALLOCATIONS.load(Relaxed);
    round();
    assert_eq!(ALLOCATIONS.load(Relaxed) - before, 0);
}
