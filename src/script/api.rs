//! The tables that scripts see: `redis` with its functions, and the libraries beside it.

use std::rc::Rc;
use std::time::Instant;

use mlua::{Function, Lua, LuaOptions, MultiValue, StdLib, Table, Value, Variadic};

use super::compile::Registration;
use super::failure::{Failure, PRELUDE, error_table, handle, origin, raise, shown, with_code};
use super::library::is_name;
use super::source::{Features, sha1_hex};
use super::vm::{Ask, State};
use super::{bits, cjson, convert, msgpack, native, packing, protect};
use crate::protocol::{Version, Words};

/// The globals of scripts and of functions as they are shown, the scripts' real ones, the runner, and what loads a library.
pub(super) type Parts = (Table, Table, Table, Function, Function);

/// Makes a machine with everything in it.
pub(super) fn build(state: &Rc<State>, version: &str) -> mlua::Result<(Lua, Parts)> {
    let lua = Lua::new_with(StdLib::TABLE | StdLib::STRING | StdLib::MATH, LuaOptions::default())?;
    let libraries = lua.create_table()?;
    libraries.raw_set("bit", bits::library(&lua)?)?;
    libraries.raw_set("cjson", cjson::library(&lua)?)?;
    libraries.raw_set("cmsgpack", msgpack::library(&lua)?)?;
    libraries.raw_set("struct", packing::library(&lua)?)?;
    let (native, redis) = (natives(&lua, state)?, redis(&lua, state, version)?);
    let prelude = lua.load(include_str!("prelude.lua")).set_name(PRELUDE);
    let parts = prelude.call((lua.globals(), native, libraries, redis))?;
    Ok((lua, parts))
}

/// What the prelude is made of.
fn natives(lua: &Lua, state: &Rc<State>) -> mlua::Result<Table> {
    let native = lua.create_table()?;
    native.raw_set("pcall", protect::pcall(lua)?)?;
    native.raw_set("xpcall", protect::xpcall(lua)?)?;
    native.raw_set("convert", lua.create_function(shown)?)?;
    let ends = |_: &Lua, raised: Value| {
        Ok(matches!(&raised, Value::Error(error) if matches!(Failure::find(error), Some(Failure::Stop(_)))))
    };
    native.raw_set("ends", lua.create_function(ends)?)?;
    let handling = state.clone();
    let handler = move |lua: &Lua, raised: Value| {
        let mut place = handling.place.borrow_mut();
        if place.is_none() {
            *place = origin(lua);
        }
        drop(place);
        handle(lua, raised)
    };
    native.raw_set("handler", lua.create_function(handler)?)?;
    let drawing = state.clone();
    let random = move |lua: &Lua, args: Variadic<Value>| drawing.random.random(lua, &args);
    native.raw_set("random", lua.create_function(random)?)?;
    let seeding = state.clone();
    let seed = move |_: &Lua, seed: f64| {
        seeding.random.seed(super::number::cast(seed) as i32);
        Ok(())
    };
    native.raw_set("randomseed", lua.create_function(seed)?)?;
    let started = Instant::now();
    native.raw_set("clock", lua.create_function(move |_, ()| Ok(started.elapsed().as_secs_f64()))?)?;

    let scripts = lua.create_table()?;
    scripts.raw_set("replicate_commands", lua.create_function(|_, _: MultiValue| Ok(true))?)?;
    // There is no debugger to stop in.
    scripts.raw_set("breakpoint", lua.create_function(|_, _: MultiValue| Ok(false))?)?;
    scripts.raw_set("debug", lua.create_function(|_, _: MultiValue| Ok(()))?)?;
    native.raw_set("scripts", scripts)?;
    let loading = lua.create_table()?;
    let registering = state.clone();
    let register = lua.create_function(move |_, args: Variadic<Value>| register(&registering, &args))?;
    loading.raw_set("register_function", register)?;
    native.raw_set("loading", loading)?;
    Ok(native)
}

/// What the `redis` tables of scripts and functions have in common.
fn redis(lua: &Lua, state: &Rc<State>, version: &str) -> mlua::Result<Table> {
    let redis = lua.create_table()?;
    let with = |run: fn(&State, &Lua, Variadic<Value>) -> mlua::Result<Value>| {
        let state = state.clone();
        lua.create_function(move |lua, args| run(&state, lua, args))
    };
    let slow = with(|state, lua, args| call(state, lua, &args, true))?;
    redis.raw_set("call", native::call(lua, state, slow, with(|state, lua, _| finish(state, lua, true))?)?)?;
    let slow = with(|state, lua, args| call(state, lua, &args, false))?;
    redis.raw_set("pcall", native::call(lua, state, slow, with(|state, lua, _| finish(state, lua, false))?)?)?;
    redis.raw_set("acl_check_cmd", with(allows)?)?;
    redis.raw_set("setresp", with(set_resp)?)?;
    redis.raw_set("log", with(|_, lua, args| log(lua, &args))?)?;
    redis.raw_set("sha1hex", with(|_, lua, args| sha1hex(lua, &args))?)?;
    redis.raw_set("error_reply", with(|_, lua, args| error_reply(lua, &args))?)?;
    redis.raw_set("status_reply", with(|_, lua, args| status_reply(lua, &args))?)?;
    redis.raw_set("set_repl", with(|_, _, args| set_repl(&args))?)?;
    let constants = [
        ("LOG_DEBUG", 0),
        ("LOG_VERBOSE", 1),
        ("LOG_NOTICE", 2),
        ("LOG_WARNING", 3),
        ("REPL_NONE", 0),
        ("REPL_AOF", 1),
        ("REPL_SLAVE", 2),
        ("REPL_REPLICA", 2),
        ("REPL_ALL", 3),
        ("REDIS_VERSION_NUM", version_number(version)),
    ];
    for (name, value) in constants {
        redis.raw_set(name, value)?;
    }
    redis.raw_set("REDIS_VERSION", version)?;
    Ok(redis)
}

/// `7.2.4` as 0x070204.
fn version_number(version: &str) -> u32 {
    version.split('.').fold(0, |number, part| number << 8 | part.parse::<u32>().unwrap_or(0))
}

/// Puts the arguments of a command together; false if some are none.
fn gather(request: &mut Words, args: &[Value]) -> bool {
    request.clear();
    for arg in args {
        match arg {
            Value::String(word) => request.push(&word.as_bytes()),
            Value::Integer(number) => request.push(itoa::Buffer::new().format(*number).as_bytes()),
            Value::Number(number) => native::push_number(request, *number),
            _ => return false,
        }
    }
    true
}

fn call(state: &State, lua: &Lua, args: &[Value], raises: bool) -> mlua::Result<Value> {
    let fails = |text: &str| {
        if raises {
            return raise(text);
        }
        let table = error_table(lua, &with_code(text.as_bytes()))?;
        Ok(Value::Table(table))
    };
    if state.host.is_empty() {
        return raise("redis.call/pcall can only be called inside a script invocation");
    }
    if args.is_empty() {
        return fails("Please specify at least one argument for this redis lib call");
    }
    if !gather(&mut state.exchange.borrow_mut().request, args) {
        return fails("Lua redis lib command arguments must be strings or integers");
    }
    native::serve(state);
    finish(state, lua, raises)
}

/// What came of a call that has run: its value, or what it raises.
fn finish(state: &State, lua: &Lua, raises: bool) -> mlua::Result<Value> {
    let mut exchange = state.exchange.borrow_mut();
    if let Some(stop) = exchange.stop.take() {
        return Err(Failure::Stop(stop).into());
    }
    let reply = std::mem::take(&mut exchange.out);
    drop(exchange);
    if raises && let [b'-', text @ .., b'\r', b'\n'] = &*reply {
        return Err(Failure::Reply(text.to_vec()).into());
    }
    let value = convert::value(lua, &reply);
    // The buffer serves the next call, unless this reply made it large.
    if reply.capacity() <= 64 << 10 {
        state.exchange.borrow_mut().out = reply;
    }
    value
}

fn allows(state: &State, _: &Lua, args: Variadic<Value>) -> mlua::Result<Value> {
    if state.host.is_empty() {
        return raise("redis.acl_check_cmd can only be called inside a script invocation");
    }
    if args.is_empty() {
        return raise("Please specify at least one argument for this redis lib call");
    }
    if !gather(&mut state.exchange.borrow_mut().request, &args) {
        return raise("redis.acl_check_cmd() require string arguments");
    }
    state.ask(Ask::Allows);
    match state.exchange.borrow().allowed {
        Some(allowed) => Ok(Value::Boolean(allowed)),
        None => raise("Invalid command passed to redis.acl_check_cmd()"),
    }
}

fn set_resp(state: &State, _: &Lua, args: Variadic<Value>) -> mlua::Result<Value> {
    if state.host.is_empty() {
        return raise("redis.setresp can only be called inside a script invocation");
    }
    let [version] = &args[..] else { return raise("redis.setresp() requires one argument.") };
    state.version.set(match number(version) {
        Some(2.0) => Version::Resp2,
        Some(3.0) => Version::Resp3,
        _ => return raise("RESP version must be 2 or 3."),
    });
    Ok(Value::Nil)
}

pub(super) fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Integer(number) => Some(*number as f64),
        Value::Number(number) => Some(*number),
        Value::String(text) => crate::protocol::number::parse_f64(&text.as_bytes()),
        _ => None,
    }
}

/// A value as `lua_tolstring` takes it: strings, and numbers.
fn text(value: &Value) -> Option<Vec<u8>> {
    match value {
        Value::String(text) => Some(text.as_bytes().to_vec()),
        Value::Integer(number) => Some(number.to_string().into_bytes()),
        Value::Number(number) => {
            let mut out = Vec::new();
            super::number::write_general(&mut out, *number, 14);
            Some(out)
        }
        _ => None,
    }
}

fn log(_: &Lua, args: &[Value]) -> mlua::Result<Value> {
    let [level, words @ ..] = args else { return raise("redis.log() requires two arguments or more.") };
    if words.is_empty() {
        return raise("redis.log() requires two arguments or more.");
    }
    let Some(level) = number(level) else { return raise("First argument must be a number (log level).") };
    let words: Vec<_> = words.iter().filter_map(text).collect();
    let line = String::from_utf8_lossy(&words.join(&b' ')).into_owned();
    match level as i64 {
        0 => tracing::trace!(target: "roster::script", "{line}"),
        1 => tracing::debug!(target: "roster::script", "{line}"),
        2 => tracing::info!(target: "roster::script", "{line}"),
        3 => tracing::warn!(target: "roster::script", "{line}"),
        _ => return raise("Invalid debug level."),
    }
    Ok(Value::Nil)
}

fn sha1hex(lua: &Lua, args: &[Value]) -> mlua::Result<Value> {
    let [value] = args else { return raise("wrong number of arguments") };
    let sha = sha1_hex(&text(value).unwrap_or_default());
    Ok(Value::String(lua.create_string(sha)?))
}

fn error_reply(lua: &Lua, args: &[Value]) -> mlua::Result<Value> {
    let table = match args {
        [Value::String(text)] => {
            let text = text.as_bytes();
            let coded = if text.starts_with(b"-") { text.to_vec() } else { [b"-", &*text].concat() };
            error_table(lua, &with_code(&coded))?
        }
        _ => error_table(lua, b"ERR wrong number or type of arguments")?,
    };
    Ok(Value::Table(table))
}

fn status_reply(lua: &Lua, args: &[Value]) -> mlua::Result<Value> {
    let [Value::String(text)] = args else {
        return Ok(Value::Table(error_table(lua, b"ERR wrong number or type of arguments")?));
    };
    let table = lua.create_table()?;
    table.raw_set("ok", text.clone())?;
    Ok(Value::Table(table))
}

fn set_repl(args: &[Value]) -> mlua::Result<Value> {
    let [flags] = args else { return raise("redis.set_repl() requires two arguments.") };
    match number(flags) {
        None | Some(0.0..=3.0) => Ok(Value::Nil),
        Some(_) => raise("Invalid replication flags. Use REPL_AOF, REPL_REPLICA, REPL_ALL or REPL_NONE."),
    }
}

/// `redis.register_function(name, callback)`, or with a table of named arguments.
fn register(state: &State, args: &[Value]) -> mlua::Result<()> {
    let mut loading = state.loading.borrow_mut();
    let Some(known) = &mut *loading else {
        return raise("redis.register_function can only be called on FUNCTION LOAD command");
    };
    let registration = match args {
        [Value::Table(table)] => named_registration(table)?,
        [_] => {
            return raise(
                "calling redis.register_function with a single argument is only applicable to Lua table (representing \
                 named arguments).",
            );
        }
        [name, callback] => {
            let Value::String(name) = name else {
                return raise("first argument to redis.register_function must be a string");
            };
            let Value::Function(callback) = callback else {
                return raise("second argument to redis.register_function must be a function");
            };
            let name = String::from_utf8_lossy(&name.as_bytes()).into_owned();
            Registration { name, description: None, features: Features::default(), callback: callback.clone() }
        }
        _ => return raise("wrong number of arguments to redis.register_function"),
    };
    if !is_name(registration.name.as_bytes()) {
        return raise(
            "Library names can only contain letters, numbers, or underscores(_) and must be at least one character long",
        );
    }
    if known.iter().any(|other| other.name == registration.name) {
        return raise("Function already exists in the library");
    }
    known.push(registration);
    Ok(())
}

fn named_registration(table: &Table) -> mlua::Result<Registration> {
    let (mut name, mut callback, mut description) = (None, None, None);
    let mut features = Features::default();
    for pair in table.pairs::<Value, Value>() {
        let (key, value) = pair?;
        let Value::String(key) = key else {
            return raise("named argument key given to redis.register_function is not a string");
        };
        match (&*key.as_bytes(), value) {
            (b"function_name", Value::String(text)) => name = Some(text.as_bytes().to_vec()),
            (b"function_name", _) => {
                return raise("function_name argument given to redis.register_function must be a string");
            }
            (b"description", Value::String(text)) => description = Some(text.as_bytes().to_vec()),
            (b"description", _) => {
                return raise("description argument given to redis.register_function must be a string");
            }
            (b"callback", Value::Function(function)) => callback = Some(function),
            (b"callback", _) => {
                return raise("callback argument given to redis.register_function must be a function");
            }
            (b"flags", Value::Table(flags)) => {
                for flag in flags.sequence_values::<Value>() {
                    if !matches!(flag?, Value::String(flag) if features.set(&flag.as_bytes())) {
                        return raise("unknown flag given");
                    }
                }
            }
            (b"flags", _) => {
                return raise("flags argument to redis.register_function must be a table representing function flags");
            }
            _ => return raise("unknown argument given to redis.register_function"),
        }
    }
    let Some(name) = name else { return raise("redis.register_function must get a function name argument") };
    let Some(callback) = callback else { return raise("redis.register_function must get a callback argument") };
    Ok(Registration { name: String::from_utf8_lossy(&name).into_owned(), description, features, callback })
}

/// Adds a function to a library's table.
pub(super) fn add<A, R>(lua: &Lua, table: &Table, name: &str, run: fn(&Lua, A) -> mlua::Result<R>) -> mlua::Result<()>
where
    A: mlua::FromLuaMulti + 'static,
    R: mlua::IntoLuaMulti + 'static,
{
    table.raw_set(name, lua.create_function(run)?)
}

/// `number expected, got nil`.
pub(super) fn expected<T>(lua: &Lua, index: usize, wanted: &str, got: Option<&Value>) -> mlua::Result<T> {
    let got = got.map_or("no value", type_name);
    super::failure::bad_argument(lua, index, format!("{wanted} expected, got {got}"))
}

/// The name of a value's type as Lua has it.
pub(super) fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Integer(_) => "number",
        Value::Error(_) | Value::LightUserData(_) => "userdata",
        value => value.type_name(),
    }
}

/// The number at `index` (from 1), as `luaL_checknumber`.
pub(super) fn check_number(lua: &Lua, args: &[Value], index: usize) -> mlua::Result<f64> {
    match args.get(index - 1).and_then(number) {
        Some(number) => Ok(number),
        None => expected(lua, index, "number", args.get(index - 1)),
    }
}

/// The string at `index` (from 1), as `luaL_checklstring`.
pub(super) fn check_text(lua: &Lua, args: &[Value], index: usize) -> mlua::Result<Vec<u8>> {
    match args.get(index - 1).and_then(text) {
        Some(text) => Ok(text),
        None => expected(lua, index, "string", args.get(index - 1)),
    }
}
