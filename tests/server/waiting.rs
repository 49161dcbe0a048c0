//! Commands that wait: order, time, disconnects, and what others send meanwhile.

use std::time::{Duration, Instant};

use crate::support::{Client, Reply, eventually, on_each_driver};

fn array(parts: &[&str]) -> Reply {
    Reply::Array(parts.iter().map(Reply::bulk).collect())
}

/// Waits until so many clients are blocked.
fn await_blocked(client: &mut Client, count: usize) {
    eventually("clients are blocked", || {
        let Reply::Bulk(info) = client.say("INFO clients") else { return false };
        String::from_utf8_lossy(&info).contains(&format!("blocked_clients:{count}\r\n"))
    });
}

#[test]
fn those_that_wait_are_served_in_their_order_over_all_workers() {
    on_each_driver(&["--workers", "2"], |server| {
        let mut producer = server.client();
        let mut waiting: Vec<Client> = Vec::new();
        for number in 1..=8 {
            let mut client = server.client();
            client.raw(b"BLPOP queue 0\r\n");
            waiting.push(client);
            await_blocked(&mut producer, number);
        }
        for number in 0..8 {
            producer.say(&format!("RPUSH queue {number}"));
        }
        for (number, client) in waiting.iter_mut().enumerate() {
            assert_eq!(client.reply(), array(&["queue", &number.to_string()]));
        }
        await_blocked(&mut producer, 0);
    });
}

#[test]
fn a_wait_ends_in_time_and_its_pipeline_goes_on() {
    on_each_driver(&[], |server| {
        let mut client = server.client();
        let start = Instant::now();
        client.raw(b"BLPOP none 0.05\r\nPING\r\n");
        client.raw(b"ECHO again\r\n");
        assert_eq!(client.reply(), Reply::Null);
        assert!(start.elapsed() >= Duration::from_millis(49));
        assert_eq!(client.reply(), Reply::Simple("PONG".into()));
        assert_eq!(client.reply(), Reply::bulk("again"));
        // What came while the client waited is executed in its order, big arguments included.
        let value = "v".repeat(300_000);
        client.raw(b"BRPOP none 0.05\r\n");
        client.raw(format!("*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$300000\r\n{value}\r\nGET k\r\n").as_bytes());
        assert_eq!(client.reply(), Reply::Null);
        assert_eq!(client.reply(), Reply::ok());
        assert_eq!(client.reply(), Reply::bulk(&value));
    });
}

#[test]
fn a_client_that_leaves_while_it_waits_takes_nothing_along() {
    on_each_driver(&[], |server| {
        let mut producer = server.client();
        let mut leaving = server.client();
        leaving.raw(b"BLPOP queue 0\r\n");
        await_blocked(&mut producer, 1);
        drop(leaving);
        await_blocked(&mut producer, 0);
        assert_eq!(producer.say("RPUSH queue v"), Reply::Integer(1));
        assert_eq!(producer.say("LRANGE queue 0 -1"), array(&["v"]));
    });
}

#[test]
fn messages_arrive_in_the_order_of_their_publisher() {
    on_each_driver(&["--workers", "2"], |server| {
        let mut subscribers: Vec<Client> = (0..4).map(|_| server.client()).collect();
        for client in &mut subscribers {
            client.raw(b"SUBSCRIBE news\r\n");
            client.reply();
        }
        let mut publisher = server.client();
        for number in 0..500 {
            assert_eq!(publisher.say(&format!("PUBLISH news {number}")), Reply::Integer(4));
        }
        for client in &mut subscribers {
            for number in 0..500 {
                assert_eq!(client.reply(), array(&["message", "news", &number.to_string()]));
            }
        }
    });
}
