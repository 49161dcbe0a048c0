//! Scripts that run for long: what clients of the same worker and of others are told, and how such scripts end.

use std::time::{Duration, Instant};

use crate::support::client::command;
use crate::support::{Client, Reply, Server, eventually, on_each_driver, scratch};

const BUSY: &str = "BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.";
const BUSY_FUNCTION: &str = "BUSY Redis is busy running a script. You can only call FUNCTION KILL or SHUTDOWN NOSAVE.";
const UNKILLABLE: &str = "UNKILLABLE Sorry the script already executed write commands against the dataset. You can either \
                          wait the script termination or kill the server in a hard way using the SHUTDOWN NOSAVE command.";
const LIBRARY: &str = "#!lua name=lib\nredis.register_function('forever', function() while true do end end)";
const FOREVER: &str = "while true do end";
/// Half a second of the process's time.
const A_WHILE: &str = "local start = os.clock() while os.clock() - start < 0.5 do end";

/// Runs a test with one worker, where every client is one of the script's worker, and with two.
fn with_workers(test: impl Fn(&mut Server)) {
    for workers in ["1", "2"] {
        on_each_driver(&["--workers", workers, "--busy-reply-threshold", "50"], &test);
    }
}

/// So many clients that each worker has some.
fn crowd(server: &Server) -> Vec<Client> {
    (0..8).map(|_| server.client()).collect()
}

fn error(text: &str) -> Reply {
    Reply::Error(text.to_owned())
}

fn await_busy(client: &mut Client) {
    eventually("the script is slow", || matches!(client.say("PING"), Reply::Error(text) if text.starts_with("BUSY ")));
}

fn begin(client: &mut Client, args: &[&str]) {
    client.raw(&command(args));
}

fn list(client: &mut Client) -> String {
    let Reply::Bulk(text) = client.say("CLIENT LIST") else { panic!("no list") };
    String::from_utf8(text).unwrap()
}

/// Whether a reply is the error of a script that was ended by `how`.
fn is_killed(reply: &Reply, how: &str) -> bool {
    matches!(reply, Reply::Error(text) if text.starts_with(&format!("ERR Script killed by user with {how}. script: ")))
}

#[test]
fn everybody_is_told_and_may_end_it() {
    with_workers(|server| {
        let (mut clients, mut runner) = (crowd(server), server.client());
        // That the script catches all errors does not keep it.
        for script in [FOREVER, "while true do pcall(function() while true do end end) end"] {
            begin(&mut runner, &["EVAL", script, "0"]);
            await_busy(&mut clients[0]);
            for client in &mut clients {
                for request in ["GET k", "PING", "EVAL return 0", "FUNCTION KILL", "SHUTDOWN", "CLIENT LIST"] {
                    assert_eq!(client.say(request), error(BUSY), "{request}");
                }
                assert!(client.say("NONSENSE").error_text().starts_with("ERR unknown command"));
            }
            // A new client is heard too.
            assert_eq!(server.client().say("GET k"), error(BUSY));
            assert_eq!(clients[3].say("SCRIPT KILL"), Reply::ok());
            let reply = runner.reply();
            assert!(is_killed(&reply, "SCRIPT KILL"), "{reply:?}");
            for client in clients.iter_mut().chain([&mut runner]) {
                assert_eq!(
                    [client.say("GET k"), client.say("EVAL return{7} 0")],
                    [Reply::Null, Reply::Array(vec![Reply::Integer(7)])]
                );
            }
            assert_eq!(clients[0].say("SCRIPT KILL"), error("NOTBUSY No scripts in execution right now."));
        }
    });
}

#[test]
fn functions_are_ended_as_functions() {
    with_workers(|server| {
        let (mut clients, mut runner) = (crowd(server), server.client());
        assert_eq!(runner.call(&["FUNCTION", "LOAD", LIBRARY]), Reply::bulk("lib"));
        begin(&mut runner, &["FCALL", "forever", "0"]);
        await_busy(&mut clients[0]);
        for client in &mut clients {
            assert_eq!([client.say("GET k"), client.say("SCRIPT KILL")], [error(BUSY_FUNCTION), error(BUSY_FUNCTION)]);
            let Reply::Array(stats) = client.say("FUNCTION STATS") else { panic!("no statistics") };
            let Reply::Array(running) = &stats[1] else { panic!("nothing runs: {stats:?}") };
            assert_eq!(running[1], Reply::bulk("forever"));
        }
        assert_eq!(clients[5].say("FUNCTION KILL"), Reply::ok());
        let reply = runner.reply();
        assert!(is_killed(&reply, "FUNCTION KILL"), "{reply:?}");
        assert_eq!(runner.say("PING"), Reply::Simple("PONG".into()));
    });
}

#[test]
fn transactions_with_scripts_go_on_with_their_next_command() {
    with_workers(|server| {
        let (mut clients, mut runner) = (crowd(server), server.client());
        for request in ["MULTI", "SET before 1", "SET after 0"] {
            runner.say(request);
        }
        runner.call(&["EVAL_RO", FOREVER, "0"]);
        runner.say("INCR after");
        runner.raw(b"EXEC\r\nGET after\r\n");
        await_busy(&mut clients[0]);
        for client in &mut clients {
            assert_eq!(client.say("GET before"), error(BUSY));
        }
        assert_eq!(clients[2].say("SCRIPT KILL"), Reply::ok());
        let Reply::Array(replies) = runner.reply() else { panic!("no replies") };
        assert!(is_killed(&replies[2], "SCRIPT KILL"), "{replies:?}");
        assert_eq!((replies.len(), &replies[3]), (4, &Reply::Integer(1)));
        assert_eq!(runner.reply(), Reply::bulk("1"));
        assert_eq!(clients[1].say("GET before"), Reply::bulk("1"));
    });
}

#[test]
fn what_needs_no_key_is_done_beside_it() {
    with_workers(|server| {
        let (mut clients, mut runner) = (crowd(server), server.client());
        let mut queued = server.client();
        for request in ["MULTI", "SET k 1"] {
            queued.say(request);
        }
        begin(&mut runner, &["EVAL", FOREVER, "0"]);
        await_busy(&mut clients[0]);
        let aborted = error(&format!("EXECABORT Transaction discarded because of: {BUSY}"));
        assert_eq!(queued.say("EXEC"), aborted);
        for client in &mut clients {
            assert!(
                client.say("AUTH wrong").error_text().starts_with("ERR AUTH <password> called without any password")
            );
            for request in ["WATCH k", "UNWATCH", "MULTI", "DISCARD", "WATCH k", "MULTI"] {
                assert_eq!(client.say(request), Reply::ok(), "{request}");
            }
            assert_eq!([client.say("SET k 2"), client.say("EXEC")], [error(BUSY), aborted.clone()]);
            assert_eq!([client.say("RESET"), client.say("WATCH k")], [Reply::Simple("RESET".into()), Reply::ok()]);
            assert!(matches!(client.say("HELLO 3"), Reply::Map(_)));
        }
        assert_eq!(clients[7].say("SCRIPT KILL"), Reply::ok());
        runner.reply();
        // What was watched meanwhile is watched.
        runner.say("SET k 3");
        for client in &mut clients {
            assert_eq!([client.say("MULTI"), client.say("GET k")], [Reply::ok(), Reply::Simple("QUEUED".into())]);
            assert_eq!(client.say("EXEC"), Reply::Null);
        }
    });
}

#[test]
fn only_the_clients_of_its_worker_and_of_its_keys_wait_for_one_that_keeps_to_its_keys() {
    on_each_driver(&["--workers", "2", "--busy-reply-threshold", "50"], |server| {
        let (mut clients, mut runner) = (crowd(server), server.client());
        let script =
            "for _ = 1, tonumber(ARGV[1]) do redis.call('GET', KEYS[1]) end return redis.call('INCR', KEYS[1])";
        // The first run enters everything, to find out.
        assert_eq!(runner.call(&["EVAL", script, "1", "mine", "1"]), Reply::Integer(1));
        begin(&mut runner, &["EVAL", script, "1", "mine", "1000000000"]);
        eventually("somebody is told", || clients.iter_mut().any(|client| client.say("GET mine") == error(BUSY)));
        let served = clients.iter_mut().filter_map(|client| {
            assert_eq!(client.say("GET mine"), error(BUSY));
            let reply = client.say("PING");
            (reply != error(BUSY)).then_some(reply)
        });
        let served = served.collect::<Vec<_>>();
        // The kernel gives each worker some of so many, but for one in a hundred times.
        assert!(served.iter().all(|reply| *reply == Reply::Simple("PONG".into())), "{served:?}");
        assert_eq!(clients[0].say("SCRIPT KILL"), Reply::ok());
        assert!(is_killed(&runner.reply(), "SCRIPT KILL"));
    });
}

#[test]
fn one_that_has_changed_something_ends_with_the_server() {
    with_workers(|server| {
        let (mut client, mut runner) = (server.client(), server.client());
        begin(&mut runner, &["EVAL", "redis.call('SET', 'k', 'v') while true do end", "0"]);
        await_busy(&mut client);
        assert_eq!([client.say("SCRIPT KILL"), client.say("SHUTDOWN")], [error(UNKILLABLE), error(BUSY)]);
        let start = Instant::now();
        client.raw(b"SHUTDOWN NOSAVE\r\n");
        assert!(server.wait().success());
        assert!(start.elapsed() < Duration::from_secs(9), "it waited for shutdown-timeout: {:?}", start.elapsed());
    });
}

#[test]
fn one_that_has_changed_nothing_ends_with_the_server_and_says_so() {
    with_workers(|server| {
        let (mut client, mut runner) = (server.client(), server.client());
        begin(&mut runner, &["EVAL", FOREVER, "0"]);
        await_busy(&mut client);
        server.signal("TERM");
        assert!(matches!(runner.reply(), Reply::Error(_)));
        assert!(server.wait().success());
    });
}

#[test]
fn its_client_may_leave() {
    with_workers(|server| {
        let mut client = server.client();
        let script = format!("{A_WHILE} return redis.call('INCR', 'ended')");
        for (count, leaves) in [Client::reset, |mut client: Client| client.finish()].into_iter().enumerate() {
            let mut runner = server.client();
            begin(&mut runner, &["EVAL", &script, "0"]);
            await_busy(&mut client);
            leaves(runner);
            eventually("the script has ended", || client.say("GET ended") == Reply::bulk((count + 1).to_string()));
        }
        eventually("nobody else is there", || list(&mut client).lines().count() == 1);
    });
}

#[test]
fn time_stands_still_in_it_and_what_follows_comes_behind_it() {
    with_workers(|server| {
        let (mut client, mut waiting, mut runner) = (server.client(), server.client(), server.client());
        waiting.raw(b"BLPOP list 0\r\n");
        eventually("one waits", || list(&mut client).contains("cmd=blpop"));
        let script = format!(
            "redis.call('SET', 'volatile', 'v', 'PX', 100) redis.call('RPUSH', 'list', 'element') {A_WHILE} \
             return {{redis.call('EXISTS', 'volatile'), redis.call('LLEN', 'list')}}"
        );
        begin(&mut runner, &["EVAL", &script, "0"]);
        await_busy(&mut client);
        assert_eq!(runner.reply(), Reply::Array(vec![Reply::Integer(1), Reply::Integer(1)]));
        assert_eq!(waiting.reply(), Reply::Array(vec![Reply::bulk("list"), Reply::bulk("element")]));
        assert_eq!(client.say("GET volatile"), Reply::Null);
        eventually("the key has gone by itself", || client.say("DBSIZE") == Reply::Integer(0));
    });
}

#[test]
fn what_it_changes_is_recorded() {
    let folder = scratch("slow-script");
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).unwrap();
    let dir = folder.display().to_string();
    let flags = [
        "--workers",
        "1",
        "--busy-reply-threshold",
        "50",
        "--appendonly",
        "yes",
        "--appendfsync",
        "always",
        "--dir",
        &dir,
    ];
    on_each_driver(&flags, |server| {
        let (mut client, mut runner) = (server.client(), server.client());
        let script = format!("redis.call('SET', 'a', '1') {A_WHILE} return redis.call('INCR', 'a')");
        begin(&mut runner, &["EVAL", &script, "0"]);
        await_busy(&mut client);
        assert_eq!(runner.reply(), Reply::Integer(2));
        server.signal("KILL");
        server.wait();
        assert_eq!(Server::start(&flags).client().say("GET a"), Reply::bulk("2"));
    });
    let _ = std::fs::remove_dir_all(&folder);
}

#[test]
fn room_is_not_made_and_snapshots_are_not_begun_beside_it() {
    let flags = ["--busy-reply-threshold", "50", "--maxmemory", "16mb", "--maxmemory-policy", "allkeys-random"];
    for workers in ["1", "2"] {
        let extra = ["--maxmemory-eviction-tenacity", "100", "--save", "1 1", "--workers", workers];
        on_each_driver(&[&flags[..], &extra].concat(), |server| {
            let (mut clients, mut runner) = (crowd(server), server.client());
            let script = "for i = 1, 3000 do redis.call('SET', i, string.rep('x', 10000)) end while true do end";
            begin(&mut runner, &["EVAL", script, "0"]);
            await_busy(&mut clients[0]);
            for client in &mut clients {
                assert_eq!([client.say("GET k"), client.say("WATCH k")], [error(BUSY), Reply::ok()]);
            }
            clients[0].raw(b"SHUTDOWN NOSAVE\r\n");
            assert!(server.wait().success());
        });
    }
}
