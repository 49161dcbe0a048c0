//! Scripts and functions, as clients see them.

use crate::command::testing::Rig;

fn eval(rig: &mut Rig, script: &str, keys: &[&str]) -> String {
    let count = keys.len().to_string();
    let mut args: Vec<&[u8]> = vec![b"EVAL", script.as_bytes(), count.as_bytes()];
    args.extend(keys.iter().map(|key| key.as_bytes()));
    rig.args(&args)
}

#[test]
fn values_become_replies() {
    let mut rig = Rig::new();
    for (script, reply) in [
        ("return 3.99", ":3"),
        ("return {1, 'a', {2}, nil, 4}", "*3|:1|$1|a|*1|:2"),
        ("return true", ":1"),
        ("return false", "$-1"),
        ("return {ok = 'fine'}", "+fine"),
        ("return redis.error_reply('MY error')", "-MY error"),
        ("return redis.call('set', KEYS[1], 'v')", "+OK"),
        ("return redis.call('get', KEYS[1])", "$1|v"),
        ("return redis.call('get', 'none')", "$-1"),
        ("redis.call('hset', 'h', 'f', 1) redis.setresp(3) return redis.call('hgetall', 'h').map.f", "$1|1"),
    ] {
        assert_eq!(eval(&mut rig, script, &["k"]), reply, "{script}");
    }
}

#[test]
fn protected_calls_return_any_number_of_values() {
    let mut rig = Rig::new();
    // Every number around the least size of a stack, up to as many as can be returned at all.
    let counts = (0..60).chain([4000, 7000]);
    for count in counts {
        for call in ["pcall(f)", "xpcall(f, f)"] {
            let script = format!("local f = function() return unpack({{}}, 1, {count}) end return select('#', {call})");
            assert_eq!(eval(&mut rig, &script, &[]), format!(":{}", count + 1), "{script}");
        }
    }
    let deep = "local function f() return pcall(f) end local t = {f()} return {#t > 100, t[1], t[#t - 1], t[#t]}";
    assert_eq!(eval(&mut rig, deep, &[]), "*4|:1|:1|$-1|$16|C stack overflow");
    let deep = "local function f() return xpcall(f, function(e) return e end) end local t = {f()} return #t > 100";
    assert_eq!(eval(&mut rig, deep, &[]), ":1");
}

#[test]
fn errors_tell_where_they_are() {
    let mut rig = Rig::new();
    for (script, reply) in [
        ("return x", "-ERR user_script:1: Script attempted to access nonexistent global variable 'x' script: "),
        ("x = 1", "-ERR user_script:1: Attempt to modify a readonly table script: "),
        ("redis.call = 1", "-ERR user_script:1: Attempt to modify a readonly table script: "),
        ("rawset(_G, 'x', 1)", "-ERR Attempt to modify a readonly table script: "),
        ("return redis.call('nosuch')", "-ERR Unknown Redis command called from script script: "),
        ("return redis.call('multi')", "-ERR This Redis command is not allowed from script script: "),
        ("return (", "-ERR Error compiling script (new function): user_script:1: unexpected symbol near '<eof>'"),
    ] {
        let found = eval(&mut rig, script, &[]);
        assert!(found.starts_with(reply), "{script}: {found}");
    }
    assert!(eval(&mut rig, "\n\nerror('here')", &[]).ends_with(", on @user_script:3."));
    assert_eq!(
        eval(&mut rig, "return {pcall(redis.call, 'nosuch')}", &[]),
        "*2|$-1|$44|ERR Unknown Redis command called from script"
    );
}

#[test]
fn the_sandbox_has_no_door() {
    let mut rig = Rig::new();
    for name in ["io", "dofile", "loadfile", "require", "package", "debug", "newproxy", "print", "getfenv", "setfenv"] {
        let found = eval(&mut rig, &format!("return {name}"), &[]);
        assert!(found.contains("nonexistent global variable"), "{name}: {found}");
    }
    assert_eq!(eval(&mut rig, "return {type(os.clock()), type(os.execute)}", &[]), "*2|$6|number|$3|nil");
    let compiled = "local f, e = loadstring(string.dump(function() return 1 end)) return {type(f), e}";
    assert!(eval(&mut rig, compiled, &[]).starts_with("*2|$3|nil|"));
    assert_eq!(eval(&mut rig, "getmetatable('').__index.upper = 1", &[]).split(' ').next(), Some("-ERR"));
    assert_eq!(eval(&mut rig, "return ('a'):upper()", &[]), "$1|A");
}

#[test]
fn a_script_that_goes_elsewhere_runs_again_and_loses_nothing() {
    let mut rig = Rig::new();
    let script = "if redis.call('get', KEYS[1]) == 'go' then redis.call('incr', 'elsewhere') end \
                  return redis.call('incr', KEYS[2])";
    assert_eq!(eval(&mut rig, script, &["a", "b"]), ":1");
    assert_eq!(eval(&mut rig, script, &["a", "b"]), ":2");
    rig.run("SET a go");
    assert_eq!(eval(&mut rig, script, &["a", "b"]), ":3");
    assert_eq!(rig.run("GET elsewhere"), "$1|1");
    // After a change nothing can be run again: the missing shards are entered then.
    let late = "redis.call('incr', KEYS[1]) if redis.call('exists', 'flag') == 1 then return 1 end return 0";
    let script = "redis.call('incr', KEYS[1]) if ARGV[1] then return redis.call('incr', 'late') end return 0";
    assert_eq!(eval(&mut rig, late, &["n"]), ":0");
    let with = |rig: &mut Rig, arg: &[&str]| {
        let args = ["EVAL", script, "1", "m"].iter().chain(arg).map(|arg| arg.as_bytes()).collect::<Vec<_>>();
        rig.args(&args)
    };
    assert_eq!(
        (with(&mut rig, &[]), with(&mut rig, &["x"]), with(&mut rig, &["x"])),
        (":0".into(), ":1".into(), ":2".into())
    );
}

#[test]
fn read_only_scripts_change_nothing() {
    let mut rig = Rig::new();
    let refused = rig.args(&[b"EVAL_RO", b"return redis.call('set', KEYS[1], 1)", b"1", b"k"]);
    assert!(refused.starts_with("-ERR Write commands are not allowed from read-only scripts. script: "), "{refused}");
    let refused = eval(&mut rig, "#!lua flags=no-writes\nreturn redis.call('set', KEYS[1], 1)", &["k"]);
    assert!(refused.starts_with("-ERR Write commands are not allowed from read-only scripts. script: "), "{refused}");
    let refused = rig.args(&[b"EVAL_RO", b"#!lua\nreturn 1", b"0"]);
    assert_eq!(refused, "-ERR Can not execute a script with write flag using *_ro command.");
    assert_eq!(rig.run("EXISTS k"), ":0");
}

#[test]
fn scripts_are_known_by_their_sha() {
    let mut rig = Rig::new();
    let sha = "e0e1f9fabfc9d4800c877a703b823ac0578ff8db";
    rig.check(&[(&format!("EVALSHA {sha} 0"), "-NOSCRIPT No matching script. Please use EVAL.")]);
    assert_eq!(rig.args(&[b"SCRIPT", b"LOAD", b"return 1"]), format!("$40|{sha}"));
    rig.check(&[
        (&format!("EVALSHA {sha} 0"), ":1"),
        (&format!("SCRIPT EXISTS {sha} x"), "*2|:1|:0"),
        ("SCRIPT FLUSH", "+OK"),
        (&format!("EVALSHA {sha} 0"), "-NOSCRIPT No matching script. Please use EVAL."),
        ("SCRIPT KILL", "-NOTBUSY No scripts in execution right now."),
        ("EVAL x 2 a", "-ERR Number of keys can't be greater than number of args"),
        ("EVAL x -1 a", "-ERR Number of keys can't be negative"),
    ]);
}

#[test]
fn a_runaway_script_is_ended_by_its_limits() {
    let mut rig = Rig::new();
    assert_eq!(rig.run("CONFIG SET script-time-limit 50"), "+OK");
    rig.worker.refresh();
    let ended = eval(&mut rig, "while true do pcall(function() while true do end end) end", &[]);
    assert!(ended.starts_with("-ERR Script ended because it ran longer than script-time-limit. script: "), "{ended}");
    let ended = eval(&mut rig, "local t = {} while true do t[#t + 1] = string.rep('x', 1000000) .. #t end", &[]);
    assert!(ended.contains("not enough memory") || ended.contains("script-time-limit"), "{ended}");
    assert_eq!(eval(&mut rig, "return 1", &[]), ":1");
}

#[test]
fn transactions_hold_scripts() {
    let mut rig = Rig::new();
    rig.check(&[("MULTI", "+OK")]);
    assert_eq!(eval(&mut rig, "redis.call('set', 'other', 1) return redis.call('keys', '*')", &[]), "+QUEUED");
    rig.check(&[("EXEC", "*1|*1|$5|other")]);
}

#[test]
fn functions_are_loaded_called_listed_and_carried_over() {
    let mut rig = Rig::new();
    let code = b"#!lua name=lib\nredis.register_function('put', function(keys, args) return redis.call('set', keys[1], args[1]) end)\n\
                 redis.register_function{function_name = 'get', callback = function(keys) return redis.call('get', keys[1]) end, \
                 flags = {'no-writes'}}";
    assert_eq!(rig.args(&[b"FUNCTION", b"LOAD", code]), "$3|lib");
    assert_eq!(rig.args(&[b"FUNCTION", b"LOAD", code]), "-ERR Library 'lib' already exists");
    assert_eq!(rig.args(&[b"FUNCTION", b"LOAD", b"REPLACE", code]), "$3|lib");
    rig.check(&[
        ("FCALL put 1 k v", "+OK"),
        ("FCALL get 1 k", "$1|v"),
        ("FCALL_RO get 1 k", "$1|v"),
        ("FCALL_RO put 1 k v", "-ERR Can not execute a script with write flag using *_ro command."),
        ("FCALL none 0", "-ERR Function not found"),
        ("FCALL get x", "-ERR Bad number of keys provided"),
    ]);
    let frame: crate::protocol::Frame = ["FUNCTION", "DUMP"].iter().collect();
    let mut out = Vec::new();
    assert_eq!(
        crate::command::execute(&rig.worker, &mut rig.client, frame.args(), &mut out),
        crate::command::Outcome::Done
    );
    let start = out.windows(2).position(|pair| pair == b"\r\n").expect("a bulk string") + 2;
    let payload = out[start..out.len() - 2].to_vec();
    rig.check(&[("FUNCTION FLUSH", "+OK"), ("FCALL get 1 k", "-ERR Function not found")]);
    assert_eq!(rig.args(&[b"FUNCTION", b"RESTORE", &payload]), "+OK");
    rig.check(&[("FCALL get 1 k", "$1|v"), ("FUNCTION DELETE lib", "+OK"), ("FUNCTION LIST", "*0")]);
}

#[test]
fn json_bits_and_packed_values() {
    let mut rig = Rig::new();
    for (script, reply) in [
        ("return cjson.encode({1, {a = cjson.null}, 'x/y'})", "$21|[1,{\"a\":null},\"x\\/y\"]"),
        ("return cjson.decode('{\"a\":[1,2.5]}').a[2] * 2", ":5"),
        ("return bit.tohex(bit.bor(0xff00, 0x0f), 4)", "$4|ff0f"),
        ("return cmsgpack.unpack(cmsgpack.pack({1, {x = 'y'}}))[2].x", "$1|y"),
        ("return {struct.unpack('>I2bs', struct.pack('>I2bs', 258, -3, 'abc'))}", "*4|:258|:-3|$3|abc|:8"),
    ] {
        assert_eq!(eval(&mut rig, script, &[]), reply, "{script}");
    }
}

#[test]
fn memory_is_short_for_scripts_too() {
    let mut rig = Rig::new();
    rig.run("SET k v");
    rig.run("CONFIG SET maxmemory 1");
    rig.worker.refresh();
    let refused = "-OOM command not allowed when used memory > 'maxmemory'.";
    let found = eval(&mut rig, "return redis.call('set', 'x', 1)", &[]);
    assert!(found.starts_with(refused), "{found}");
    // What makes room may be followed by what takes it.
    assert_eq!(eval(&mut rig, "redis.call('del', 'k') return redis.call('set', 'x', 1)", &[]), "+OK");
    assert_eq!(eval(&mut rig, "#!lua\nreturn 1", &[]), refused);
    assert_eq!(eval(&mut rig, "#!lua flags=no-writes\nreturn 1", &[]), ":1");
    assert_eq!(eval(&mut rig, "#!lua flags=allow-oom\nreturn redis.call('set', 'x', 2)", &[]), "+OK");
}

#[test]
fn what_scripts_call_is_counted_once_with_its_errors() {
    let mut rig = Rig::new();
    rig.check(&[("SET k v", "+OK"), ("CONFIG RESETSTAT", "+OK")]);
    for (script, reply) in [
        ("return redis.call('incr', 'k')", "-ERR value is not an integer"),
        ("return redis.pcall('incr', 'k')", "-ERR value is not an integer"),
        ("redis.pcall('incr', 'k') return 1", ":1"),
        ("return redis.error_reply('MY error')", "-MY error"),
        ("return redis.call('multi')", "-ERR This Redis command is not allowed from script"),
    ] {
        let found = eval(&mut rig, script, &[]);
        assert!(found.starts_with(reply), "{script}: {found}");
    }
    let stats = rig.run("INFO errorstats");
    assert!(stats.contains("errorstat_ERR:count=4") && stats.contains("errorstat_MY:count=1"), "{stats}");
    let calls = rig.run("INFO commandstats");
    let line = |name: &str| {
        calls.split('|').find(|line| line.starts_with(&format!("cmdstat_{name}:"))).unwrap_or("").trim().to_owned()
    };
    assert!(
        line("incr").starts_with("cmdstat_incr:calls=3,") && line("incr").ends_with("rejected_calls=0,failed_calls=3"),
        "{calls}"
    );
    assert!(line("eval").starts_with("cmdstat_eval:calls=5,") && line("eval").ends_with("failed_calls=4"), "{calls}");
    assert!(line("multi").contains("rejected_calls=1"), "{calls}");
}

#[test]
fn a_library_can_only_register_while_it_is_loaded() {
    let mut rig = Rig::new();
    for (code, reply) in [
        ("return math.random()", "nonexistent global variable 'math'"),
        ("return redis.call('ping')", "nonexistent global variable 'call'"),
        ("redis.log(redis.LOG_DEBUG, redis.REDIS_VERSION)", "No functions registered"),
    ] {
        let found = rig.args(&[b"FUNCTION", b"LOAD", format!("#!lua name=lib\n{code}").as_bytes()]);
        assert!(found.contains(reply), "{code}: {found}");
    }
    let code = "#!lua name=lib\nredis.register_function('Late', function() return {type(math.random()), type(redis.call), \
                type(redis.register_function)} end)";
    assert_eq!(rig.args(&[b"FUNCTION", b"LOAD", code.as_bytes()]), "$3|lib");
    rig.check(&[
        ("FCALL LATE 0", "*3|$6|number|$8|function|$3|nil"),
        (
            "FUNCTION FLUSH SYNC x",
            "-ERR unknown subcommand or wrong number of arguments for 'FLUSH'. Try FUNCTION HELP.",
        ),
    ]);
}

#[test]
fn those_that_watch_see_a_script_before_what_it_calls() {
    let mut rig = Rig::new();
    let mut watcher = rig.connect();
    assert_eq!(rig.send(&mut watcher, "MONITOR").as_deref(), Some("+OK"));
    assert_eq!(eval(&mut rig, "return redis.call('get', 'k')", &[]), "$-1");
    let mut letters = Vec::new();
    watcher.info.mailbox.collect(&mut letters, usize::MAX);
    let text = String::from_utf8_lossy(&letters).into_owned();
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(lines.len(), 2, "{text}");
    assert!(lines[0].contains("\"EVAL\"") && lines[1].ends_with("[0 lua] \"get\" \"k\""), "{text}");
}

#[test]
fn those_that_watch_see_calls_of_what_is_not_there() {
    let mut rig = Rig::new();
    let mut watcher = rig.connect();
    assert_eq!(rig.send(&mut watcher, "MONITOR").as_deref(), Some("+OK"));
    let sha = "0".repeat(40);
    rig.check(&[
        (&format!("EVALSHA {sha} 0"), "-NOSCRIPT No matching script. Please use EVAL."),
        ("FCALL none 0", "-ERR Function not found"),
        ("EVAL return 9", "-ERR Number of keys can't be greater than number of args"),
    ]);
    let mut letters = Vec::new();
    watcher.info.mailbox.collect(&mut letters, usize::MAX);
    let text = String::from_utf8_lossy(&letters).into_owned();
    let shown: Vec<_> = text.lines().map(|line| line.split('"').nth(1).unwrap_or_default()).collect();
    assert_eq!(shown, ["EVALSHA", "FCALL", "EVAL"], "{text}");
}

#[test]
fn a_pause_of_writes_lets_scripts_run_that_declare_to_write_nothing() {
    let mut rig = Rig::new();
    let mut other = rig.connect();
    rig.run("CLIENT PAUSE 100000 WRITE");
    for (script, is_held) in [("#!lua flags=no-writes\nreturn 1", false), ("#!lua\nreturn 1", true), ("return 1", true)]
    {
        let frame: crate::protocol::Frame = ["EVAL", script, "0"].iter().collect();
        let outcome = crate::command::execute(&rig.worker, &mut other, frame.args(), &mut Vec::new());
        assert_eq!(outcome == crate::command::Outcome::Paused, is_held, "{script}");
    }
    // Keys past their time stay while the pause lasts.
    let until = "SET k v PX 5";
    rig.run("CLIENT UNPAUSE");
    rig.check(&[(until, "+OK"), ("CLIENT PAUSE 100000 WRITE", "+OK")]);
    rig.pass(6);
    rig.check(&[("GET k", "$-1"), ("DBSIZE", ":1"), ("CLIENT UNPAUSE", "+OK"), ("GET k", "$-1"), ("DBSIZE", ":0")]);
}

#[test]
fn arguments_of_calls_are_bounded_as_those_of_clients() {
    let mut rig = Rig::new();
    rig.check(&[("CONFIG SET proto-max-bulk-len 1mb", "+OK")]);
    rig.worker.refresh();
    let code = |bytes: usize| format!("return redis.call('RPUSH', KEYS[1], string.rep('x', {bytes}))");
    assert_eq!(eval(&mut rig, &code(1 << 20), &["l"]), ":1");
    let refused = eval(&mut rig, &code((1 << 20) + 1), &["l"]);
    assert!(refused.starts_with("-ERR An argument of the command is longer than proto-max-bulk-len"), "{refused}");
    rig.check(&[("LLEN l", ":1")]);
}
