//! `redis.call` by Lua's own interface: the common case of it, strings and numbers to a command and a plain reply back, without
//! the handles and copies that a function of the binding costs.
//!
//! Whatever is not common goes to a function of the binding: wrong arguments, errors, replies of RESP3, a panic. No value with
//! a destructor is alive where Lua may leave a function by a jump.

use std::ffi::{c_int, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;

use mlua::{Function, Lua, ffi};

use super::number::whole;
use super::vm::{Ask, State};
use crate::protocol::double::write_double;
use crate::protocol::{Args, number};

/// Nesting of replies that is converted here.
const DEPTH: usize = 6;

/// The upvalues of a call: the state, what takes any arguments, and what makes something of any reply.
const STATE: c_int = 1;
const ANY_ARGUMENTS: c_int = 2;
const ANY_REPLY: c_int = 3;

/// A function for scripts that calls a command. `slow` does the same with any arguments; `finish` is called without arguments
/// when a command has run, and returns or raises what came of it.
pub(super) fn call(lua: &Lua, state: &Rc<State>, slow: Function, finish: Function) -> mlua::Result<Function> {
    let state = Rc::as_ptr(state);
    // SAFETY: the closure uses the three values that are pushed for it. `slow` and `finish` are closures that keep the state
    // alive as long as this function, whose upvalues they are.
    unsafe {
        lua.exec_raw((slow, finish), |lua| {
            ffi::lua_pushlightuserdata(lua, state.cast_mut().cast::<c_void>());
            ffi::lua_insert(lua, 1);
            ffi::lua_pushcclosure(lua, run, 3);
        })
    }
}

unsafe extern "C-unwind" fn run(lua: *mut ffi::lua_State) -> c_int {
    // SAFETY: Lua calls this with a valid state, whose first upvalue is a pointer to what the other two keep alive. The stack has
    // room for twenty values beyond the arguments.
    unsafe {
        let state = &*ffi::lua_touserdata(lua, ffi::lua_upvalueindex(STATE)).cast::<State>().cast_const();
        let count = ffi::lua_gettop(lua);
        if state.host.is_empty() || !gather(lua, count, state) {
            ffi::lua_pushvalue(lua, ffi::lua_upvalueindex(ANY_ARGUMENTS));
            ffi::lua_insert(lua, 1);
            ffi::lua_call(lua, count, 1);
            return 1;
        }
        serve(state);
        ffi::lua_settop(lua, 0);
        let reply = reply_of(state);
        if push(lua, reply, 0).is_none() {
            ffi::lua_settop(lua, 0);
            ffi::lua_pushvalue(lua, ffi::lua_upvalueindex(ANY_REPLY));
            ffi::lua_call(lua, 0, 1);
        }
        1
    }
}

/// Puts the arguments into the exchange. False if they are none, or others than strings and numbers.
///
/// # Safety
/// The state is valid and has `count` arguments.
unsafe fn gather(lua: *mut ffi::lua_State, count: c_int, state: &State) -> bool {
    let mut exchange = state.exchange.borrow_mut();
    let request = &mut exchange.request;
    request.clear();
    for index in 1..=count {
        // SAFETY: the index is an argument's; a string is not converted by asking for it, so nothing here raises.
        unsafe {
            match ffi::lua_type(lua, index) {
                ffi::LUA_TSTRING => {
                    let mut len = 0;
                    let text = ffi::lua_tolstring(lua, index, &mut len);
                    request.push(std::slice::from_raw_parts(text.cast::<u8>(), len));
                }
                ffi::LUA_TNUMBER => push_number(request, ffi::lua_tonumber(lua, index)),
                _ => return false,
            }
        }
    }
    count > 0
}

/// Numbers as since Redis 7.2: whole ones in full, others in the shortest way.
pub(super) fn push_number(request: &mut crate::protocol::Words, value: f64) {
    match whole(value) {
        Some(value) => request.push(itoa::Buffer::new().format(value).as_bytes()),
        None => {
            let mut text = Vec::new();
            write_double(&mut text, value);
            request.push(&text);
        }
    }
}

/// Runs the command. A panic must not unwind through Lua's frames: it goes on in the function of the binding.
fn serve(state: &State) {
    let served = catch_unwind(AssertUnwindSafe(|| {
        {
            let mut exchange = state.exchange.borrow_mut();
            exchange.out.clear();
            exchange.stop = None;
        }
        state.ask(Ask::Call)
    }));
    if let Err(panic) = served {
        state.panic.set(Some(panic));
    }
}

/// The reply, if it is one to be converted here. It lies in the exchange, which nobody else uses until the next call.
///
/// # Safety
/// The bytes are used only until the next call of a command.
unsafe fn reply_of<'a>(state: &State) -> &'a [u8] {
    let Ok(exchange) = state.exchange.try_borrow() else { return b"" };
    if exchange.stop.is_some() {
        return b"";
    }
    let reply: *const [u8] = &*exchange.out;
    let panic = state.panic.take();
    if panic.is_some() {
        state.panic.set(panic);
        return b"";
    }
    // SAFETY: as the caller promises; the vector is not touched before the next call.
    unsafe { &*reply }
}

/// Pushes the value that a reply starts with and returns what follows that; `None` if it is not a plain one, and then
/// anything may have been pushed.
///
/// # Safety
/// The state is valid, and a jump of Lua's out of this function is taken by a protected call around the script.
unsafe fn push(lua: *mut ffi::lua_State, reply: &[u8], depth: usize) -> Option<&[u8]> {
    let (&kind, rest) = reply.split_first()?;
    let end = rest.iter().position(|&byte| byte == b'\r')?;
    let (line, rest) = (&rest[..end], rest.get(end + 2..)?);
    // SAFETY: each branch leaves one value more on the stack, for which there is room: Lua gives a function twenty places, and
    // a level of nesting takes two.
    unsafe {
        match kind {
            b':' => ffi::lua_pushnumber(lua, number::parse_i64(line)? as f64),
            b'+' => {
                ffi::lua_createtable(lua, 0, 1);
                ffi::lua_pushlstring_(lua, b"ok".as_ptr().cast(), 2);
                ffi::lua_pushlstring_(lua, line.as_ptr().cast(), line.len());
                ffi::lua_rawset(lua, -3);
            }
            b'$' => {
                let Ok(len) = usize::try_from(number::parse_i64(line)?) else {
                    ffi::lua_pushboolean(lua, 0);
                    return Some(rest);
                };
                let text = rest.get(..len)?;
                ffi::lua_pushlstring_(lua, text.as_ptr().cast(), len);
                return rest.get(len + 2..);
            }
            b'*' if depth < DEPTH => {
                let Ok(count) = c_int::try_from(number::parse_i64(line)?) else { return None };
                if count < 0 {
                    ffi::lua_pushboolean(lua, 0);
                    return Some(rest);
                }
                ffi::lua_createtable(lua, count, 0);
                let mut rest = rest;
                for index in 1..=count {
                    rest = push(lua, rest, depth + 1)?;
                    ffi::lua_rawseti(lua, -2, index.into());
                }
                return Some(rest);
            }
            _ => return None,
        }
    }
    Some(rest)
}

/// Runs `body` by the machine's `runner`. Returns whether it ended well, and its first result or what it raised: what
/// `runner` returns, called with the environment, the body and, where they are wanted as arguments, keys and arguments; else
/// these become the globals `KEYS` and `ARGV`.
pub(super) fn invoke<R: mlua::FromLuaMulti>(
    lua: &Lua,
    (runner, environment, body): (&Function, &mlua::Table, &Function),
    globals: Option<&mlua::Table>,
    keys: Args<'_>,
    argv: Args<'_>,
) -> mlua::Result<R> {
    // SAFETY: the closure uses what was pushed for it, the globals last if there are any, and leaves the two results. It runs
    // in protected mode, and holds nothing with a destructor.
    unsafe {
        lua.exec_raw((runner, environment, body, globals), |lua| {
            let arguments = if globals.is_some() {
                for (name, words) in [(c"KEYS", keys), (c"ARGV", argv)] {
                    push_words(lua, words);
                    // The globals are the scripts' real table, whose metatable only answers what is missing in it.
                    ffi::lua_pushstring_(lua, name.as_ptr());
                    ffi::lua_insert(lua, -2);
                    ffi::lua_rawset(lua, 4);
                }
                ffi::lua_settop(lua, 3);
                2
            } else {
                ffi::lua_settop(lua, 3);
                push_words(lua, keys);
                push_words(lua, argv);
                4
            };
            ffi::lua_call(lua, arguments, 2);
        })
    }
}

/// Pushes a table of words.
///
/// # Safety
/// The state is valid and has room for two values.
unsafe fn push_words(lua: *mut ffi::lua_State, words: Args<'_>) {
    // SAFETY: a table and one word at a time are on the stack.
    unsafe {
        ffi::lua_createtable(lua, c_int::try_from(words.len()).unwrap_or(0), 0);
        for (index, word) in words.iter().enumerate() {
            ffi::lua_pushlstring_(lua, word.as_ptr().cast(), word.len());
            ffi::lua_rawseti(lua, -2, (index + 1) as _);
        }
    }
}
