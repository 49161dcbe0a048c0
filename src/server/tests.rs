//! Tests of one worker's tasks, on both drivers, over socket pairs.

use std::cell::RefCell;
use std::io::{ErrorKind, Read, Write};
use std::mem::ManuallyDrop;
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::rc::Rc;
use std::time::Duration;

use monoio::io::Splitable;
use monoio::{IoUringDriver, LegacyDriver, RuntimeBuilder};

use super::connection::Connection;
use super::hub::Hub;
use super::lane;
use super::task;
use crate::command::{Facts, Node, Worker, unix_ms};
use crate::config::{Handle, Settings};
use crate::session::{Arrival, Client, Transport};
use crate::telemetry::Counters;

fn node() -> &'static Node {
    Box::leak(Box::new(Node::new(Handle::new(Settings::default()), 2, 16, Facts::default())))
}

/// Runs a test as the main task of worker 0, on each driver that this machine allows.
fn on_each_driver<F: Future<Output = ()> + 'static>(test: fn(Rc<Hub>) -> F) {
    let run = move |is_epoll| {
        let hub = Hub::new(Worker::new(node(), 0), is_epoll, None).unwrap();
        let helper = hub.clone();
        async move {
            task::spawn(async move { helper.fair.help().await }, || "the scheduler".to_owned());
            task::spawn(lane::conduct(hub.clone()), || "the lane".to_owned());
            test(hub).await;
        }
    };
    // A runtime must not be dropped while operations are under way.
    let epoll = RuntimeBuilder::<LegacyDriver>::new().enable_timer().build().unwrap();
    ManuallyDrop::new(epoll).block_on(run(true));
    match RuntimeBuilder::<IoUringDriver>::new().enable_timer().build() {
        Ok(uring) => ManuallyDrop::new(uring).block_on(run(false)),
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "SKIPPED on io_uring: {error}");
        }
    }
}

/// Starts to serve one end of a socket pair and returns the other one.
fn connect(hub: &Rc<Hub>, first_words: &[u8]) -> UnixStream {
    let (mut client, server) = UnixStream::pair().unwrap();
    client.set_nonblocking(true).unwrap();
    server.set_nonblocking(monoio::utils::is_legacy()).unwrap();
    client.write_all(first_words).unwrap();
    let arrival = Arrival {
        address: "test:0".to_owned(),
        local_address: "test:0".to_owned(),
        transport: Transport::Unix,
        worker: 0,
        now_ms: unix_ms(),
        socket: server.as_raw_fd(),
    };
    let info = hub.node.registry.register(arrival, usize::MAX).unwrap();
    let stream = monoio::net::UnixStream::from_std(server).unwrap();
    let stay = hub.admit(info.clone());
    let client_of = Client::new(info, &hub.node.acl);
    let connection = Box::new(Connection::new(stream.into_split(), hub.clone(), client_of, stay));
    task::spawn(connection.serve(), || "a test's client".to_owned());
    client
}

async fn pass(ms: u64) {
    monoio::time::sleep(Duration::from_millis(ms)).await;
}

/// Lets others run until something is so, for a long time at most.
async fn until(condition: impl Fn() -> bool) {
    for _ in 0..5000 {
        if condition() {
            return;
        }
        pass(2).await;
    }
}

/// What has arrived, waiting for `len` bytes at most for a long time.
async fn arrived(client: &mut UnixStream, len: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    for _ in 0..2000 {
        let _ = client.read_to_end(&mut bytes);
        if bytes.len() >= len {
            break;
        }
        pass(5).await;
    }
    bytes
}

fn counts(hub: &Hub, counter: impl Fn(&Counters) -> &std::sync::atomic::AtomicU64) -> u64 {
    hub.node.stats.sum(counter)
}

#[test]
fn a_batch_costs_one_receive_and_one_send() {
    on_each_driver(|hub| async move {
        let batch = b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$1\r\nv\r\n*2\r\n$3\r\nGET\r\n$1\r\nk\r\n".repeat(64);
        let mut client = connect(&hub, &batch);
        let replies = arrived(&mut client, 64 * 12).await;
        assert_eq!(replies, b"+OK\r\n$1\r\nv\r\n".repeat(64));
        assert_eq!((counts(&hub, |c| &c.reads), counts(&hub, |c| &c.writes)), (1, 1));
        assert_eq!(counts(&hub, |c| &c.commands), 128);
        let bytes = (counts(&hub, |c| &c.received_bytes), counts(&hub, |c| &c.sent_bytes));
        assert_eq!(bytes, (batch.len() as u64, replies.len() as u64));
        let info = hub.node.registry.list()[0].clone();
        assert_eq!(info.commands.load(std::sync::atomic::Ordering::Relaxed), 128);
        drop(client);
        pass(50).await;
        assert!(hub.is_empty() && hub.node.registry.connected() == 0 && info.descriptor().is_none());
    });
}

#[test]
fn many_replies_are_sent_in_parts_of_bounded_size() {
    on_each_driver(|hub| async move {
        let value = "x".repeat(100_000);
        let mut client = connect(&hub, format!("*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$100000\r\n{value}\r\n").as_bytes());
        assert_eq!(arrived(&mut client, 5).await, b"+OK\r\n");
        client.write_all(&b"GET k\r\n".repeat(100)).unwrap();
        pass(100).await;
        let waiting = hub.guests()[0].info.output_bytes.load(std::sync::atomic::Ordering::Relaxed);
        assert!((1..super::batch::FLUSH_AT + 100_100).contains(&waiting), "{waiting}");
        assert_eq!(arrived(&mut client, 100 * 100_011).await.len(), 100 * 100_011);
    });
}

#[test]
fn a_panic_ends_its_task_only() {
    on_each_driver(|hub| async move {
        let mut client = connect(&hub, b"");
        let inner = hub.clone();
        let fails = async move {
            let _borrowed = inner.worker.borrow_mut();
            panic!("as the test wants it");
        };
        task::spawn(fails, || "a test's failure".to_owned());
        pass(10).await;
        client.write_all(b"GET k\r\n").unwrap();
        assert_eq!(arrived(&mut client, 5).await, b"$-1\r\n");
    });
}

#[test]
fn a_client_whose_keys_are_taken_waits_while_others_are_served() {
    on_each_driver(|hub| async move {
        let other = Worker::new(hub.node, 1);
        let held = hub.node.keyspace.enter_all(&other.local).unwrap();
        let mut client = connect(&hub, b"GET\r\nGET k\r\nSET k v\r\n");
        let mut bystander = connect(&hub, b"NOSUCH\r\n");
        pass(50).await;
        // Requests that need no key are answered, before the one that waits and on other connections.
        assert!(arrived(&mut client, 1).await.ends_with(b"'get' command\r\n"));
        assert!(arrived(&mut bystander, 1).await.starts_with(b"-ERR unknown command"));
        drop(held);
        assert_eq!(arrived(&mut client, 10).await, b"$-1\r\n+OK\r\n");
        let killed = connect(&hub, b"GET k\r\n");
        drop(killed);
    });
}

#[test]
fn a_killed_client_stops_waiting_for_its_keys() {
    on_each_driver(|hub| async move {
        let other = Worker::new(hub.node, 1);
        let held = hub.node.keyspace.enter_all(&other.local).unwrap();
        let mut client = connect(&hub, b"GET k\r\n");
        pass(20).await;
        hub.guests()[0].info.kill();
        pass(50).await;
        assert!(hub.is_empty());
        let closed = client.read(&mut [0; 8]);
        assert!(matches!(closed, Ok(0)) || closed.is_err_and(|error| error.kind() == ErrorKind::ConnectionReset));
        drop(held);
    });
}

#[test]
fn a_client_at_rest_has_no_receive_buffer() {
    use std::sync::atomic::Ordering::Relaxed;
    on_each_driver(|hub| async move {
        let mut client = connect(&hub, b"SET k v\r\n");
        assert_eq!(arrived(&mut client, 5).await, b"+OK\r\n");
        pass(20).await;
        let info = hub.guests()[0].info.clone();
        let capacity = || info.query_capacity.load(Relaxed);
        info.mailbox.ring();
        pass(20).await;
        assert!(capacity() >= 16 * 1024, "it has sent something just now");
        for _ in 0..2 {
            info.active_ms.store(0, Relaxed);
            info.mailbox.ring();
            pass(20).await;
            assert_eq!(capacity(), 0);
            // More than it can send at once without a buffer.
            std::io::Write::write_all(&mut client, &b"GET k\r\n".repeat(20)).unwrap();
            assert_eq!(arrived(&mut client, 7 * 20).await, b"$1\r\nv\r\n".repeat(20));
            pass(20).await;
            assert!(capacity() > 0);
        }
    });
}

#[test]
fn tasks_that_give_way_take_turns() {
    on_each_driver(|hub| async move {
        let log = Rc::new(RefCell::new(String::new()));
        for name in ['a', 'b', 'c'] {
            let (hub, log) = (hub.clone(), log.clone());
            let turns = async move {
                for _ in 0..4 {
                    log.borrow_mut().push(name);
                    hub.fair.give_way().await;
                }
            };
            task::spawn(turns, || "a test's task".to_owned());
        }
        until(|| log.borrow().len() == 12).await;
        assert_eq!(*log.borrow(), "abcabcabcabc");
    });
}

/// Connections that have come to the lane.
async fn settled<const COUNT: usize>(hub: &Rc<Hub>) -> [UnixStream; COUNT] {
    let mut clients = std::array::from_fn(|_| connect(hub, b""));
    for client in &mut clients {
        settle(client).await;
    }
    until(|| hub.lane.len() == COUNT).await;
    assert_eq!(hub.lane.len(), COUNT);
    clients
}

async fn settle(client: &mut UnixStream) {
    for _ in 0..20 {
        assert_eq!(ask(client, b"PING\r\n", 7).await, b"+PONG\r\n");
    }
}

async fn ask(client: &mut UnixStream, request: &[u8], len: usize) -> Vec<u8> {
    client.write_all(request).unwrap();
    arrived(client, len).await
}

#[test]
fn connections_in_the_lane_are_served_and_leave_it_when_they_wait() {
    on_each_driver(|hub| async move {
        let [mut one, mut two, three] = settled(&hub).await;
        for (request, reply) in [("SET k v", "+OK\r\n"), ("GET k", "$1\r\nv\r\n"), ("NOSUCH", "-ERR unknown command")] {
            for client in [&mut one, &mut two] {
                client.write_all(format!("{request}\r\n").as_bytes()).unwrap();
            }
            for client in [&mut one, &mut two] {
                assert!(arrived(client, reply.len()).await.starts_with(reply.as_bytes()), "{request}");
            }
        }
        // A request in two parts, and two in one.
        two.write_all(b"*2\r\n$3\r\nGET\r\n$1").unwrap();
        pass(10).await;
        assert_eq!(ask(&mut two, b"\r\nk\r\nGET k\r\n", 14).await, b"$1\r\nv\r\n$1\r\nv\r\n");
        assert_eq!(hub.lane.len(), 3);
        one.write_all(b"BLPOP list 0\r\n").unwrap();
        until(|| hub.lane.len() == 2).await;
        assert_eq!(ask(&mut two, b"RPUSH list a\r\n", 4).await, b":1\r\n");
        assert_eq!(arrived(&mut one, 24).await, b"*2\r\n$4\r\nlist\r\n$1\r\na\r\n");
        settle(&mut one).await;
        until(|| hub.lane.len() == 3).await;
        drop(three);
        until(|| hub.lane.len() == 2 && hub.guests().len() == 2).await;
        assert_eq!((hub.lane.len(), hub.guests().len()), (2, 2));
        // What it sent last is answered, though it hears no more.
        two.write_all(b"GET k\r\n").unwrap();
        two.shutdown(std::net::Shutdown::Write).unwrap();
        assert_eq!(arrived(&mut two, 7).await, b"$1\r\nv\r\n");
        until(|| hub.guests().len() == 1).await;
        hub.guests()[0].info.kill();
        until(|| hub.is_empty()).await;
        assert!(hub.is_empty() && hub.lane.len() == 0);
    });
}

#[test]
fn connections_in_the_lane_are_sent_what_others_post_and_more_than_a_socket_takes() {
    on_each_driver(|hub| async move {
        let [mut one] = settled(&hub).await;
        let info = hub.guests()[0].info.clone();
        info.mailbox.post(bytes::Bytes::from_static(b"+letter\r\n"));
        assert_eq!(arrived(&mut one, 9).await, b"+letter\r\n");
        let value = "x".repeat(250_000);
        let mut other = connect(&hub, b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$250000\r\n");
        let mut rest = value.as_bytes();
        while !rest.is_empty() {
            match other.write(rest) {
                Ok(count) => rest = &rest[count..],
                Err(_) => pass(2).await,
            }
        }
        assert_eq!(ask(&mut other, b"\r\n", 5).await, b"+OK\r\n");
        one.write_all(b"GET k\r\n").unwrap();
        until(|| info.output_bytes.load(std::sync::atomic::Ordering::Relaxed) > 0).await;
        // More requests, and a letter, while the reply is on its way.
        one.write_all(b"PING\r\n").unwrap();
        info.mailbox.post(bytes::Bytes::from_static(b"+letter\r\n"));
        pass(10).await;
        let bytes = arrived(&mut one, 250_000 + 11 + 7 + 9).await;
        assert_eq!(bytes.len(), 250_000 + 11 + 7 + 9);
        assert!(bytes.ends_with(b"x\r\n+PONG\r\n+letter\r\n"), "{:?}", bytes.len());
        assert_eq!(hub.lane.len(), 1);
        // One that does not read and is cut off.
        one.write_all(b"GET k\r\n").unwrap();
        until(|| info.output_bytes.load(std::sync::atomic::Ordering::Relaxed) > 0).await;
        drop(one);
        until(|| hub.guests().len() == 1).await;
        assert_eq!((hub.lane.len(), hub.guests().len()), (0, 1));
    });
}

#[test]
fn what_is_posted_while_requests_come_is_sent_between_their_replies() {
    on_each_driver(|hub| async move {
        let [mut one] = settled(&hub).await;
        let info = hub.guests()[0].info.clone();
        let posting = std::thread::spawn(move || {
            for _ in 0..1000 {
                info.mailbox.post(bytes::Bytes::from_static(b"+letter\r\n"));
                std::thread::sleep(Duration::from_micros(50));
            }
        });
        let mut bytes = Vec::new();
        for _ in 0..500 {
            one.write_all(b"PING\r\n").unwrap();
            pass(0).await;
            let _ = one.read_to_end(&mut bytes);
        }
        posting.join().unwrap();
        bytes.extend(arrived(&mut one, 500 * 7 + 1000 * 9 - bytes.len()).await);
        let text = String::from_utf8(bytes).unwrap();
        assert_eq!((text.matches("+PONG\r\n").count(), text.matches("+letter\r\n").count()), (500, 1000));
        assert_eq!(text.len(), 500 * 7 + 1000 * 9);
        assert_eq!(hub.lane.len(), 1);
    });
}

#[test]
fn a_client_in_the_lane_that_reads_late_loses_nothing_and_is_not_forgotten() {
    on_each_driver(|hub| async move {
        let [mut one] = settled(&hub).await;
        let value = "x".repeat(900);
        assert_eq!(ask(&mut one, format!("SET k {value}\r\n").as_bytes(), 5).await, b"+OK\r\n");
        let mut bytes = Vec::new();
        for _ in 0..2000 {
            // It reads only when it cannot send any more: then a reply is on its way, and the next request is there. There is no
            // housekeeping here that would come round to them.
            while one.write(b"GET k\r\n").is_err() {
                let _ = one.read_to_end(&mut bytes);
                pass(1).await;
            }
            pass(0).await;
        }
        bytes.extend(arrived(&mut one, 2000 * 908 - bytes.len()).await);
        assert_eq!(bytes.len(), 2000 * 908);
    });
}

#[test]
fn a_client_that_never_stops_sending_leaves_time_to_others() {
    on_each_driver(|hub| async move {
        let mut greedy = connect(&hub, b"");
        let mut reader = greedy.try_clone().unwrap();
        let stop = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
        let stopped = stop.clone();
        greedy.set_nonblocking(false).unwrap();
        let flood = std::thread::spawn(move || {
            let batch = b"GET k\r\n".repeat(1000);
            while greedy.write_all(&batch).is_ok() && !stopped.load(std::sync::atomic::Ordering::Relaxed) {}
            let _ = greedy.shutdown(std::net::Shutdown::Both);
        });
        let drain = std::thread::spawn(move || while reader.read(&mut [0; 65536]).is_ok_and(|len| len > 0) {});
        pass(20).await;
        let served = || hub.counters.commands.load(std::sync::atomic::Ordering::Relaxed);
        let before = served();
        for _ in 0..20 {
            let mut modest = connect(&hub, b"GET k\r\n");
            assert_eq!(arrived(&mut modest, 5).await, b"$-1\r\n");
        }
        // A turn of the greedy one is a few thousand requests; where it keeps the thread, there is no end to them.
        let meanwhile = served() - before;
        assert!(meanwhile < 4_000_000, "twenty requests waited for {meanwhile} of the greedy client's");
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
        while !hub.is_empty() {
            pass(5).await;
        }
        flood.join().unwrap();
        drain.join().unwrap();
    });
}

#[test]
fn shards_follow_the_memory() {
    for (memory, expected) in [
        (None, 64),
        (Some(1 << 30), 64),
        (Some(25 << 30), 128),
        (Some(64 << 30), 512),
        (Some(1 << 40), 8192),
        (Some(u64::MAX), 16_384),
    ] {
        assert_eq!(super::shards_for(memory), expected, "{memory:?}");
    }
}
