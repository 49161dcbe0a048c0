//! `pcall` and `xpcall` as Lua's own are, but that they see to room for the boolean before the results.
//!
//! Lua 5.1 does not: results that fill the stack of its `pcall` to the brim have the boolean put into one of the five slots that
//! lie behind the end of every stack for such purposes. That is sound, but it is against the rules of Lua's interface, whose
//! assertions are part of unoptimised builds and end the process.

use std::ffi::c_int;

use mlua::{Function, Lua, ffi};

/// `pcall`.
pub(super) fn pcall(lua: &Lua) -> mlua::Result<Function> {
    // SAFETY: the closure leaves one value, the function.
    unsafe { lua.exec_raw((), |lua| ffi::lua_pushcclosure(lua, call, 0)) }
}

/// `xpcall`.
pub(super) fn xpcall(lua: &Lua) -> mlua::Result<Function> {
    // SAFETY: the closure leaves one value, the function.
    unsafe { lua.exec_raw((), |lua| ffi::lua_pushcclosure(lua, call_with_handler, 0)) }
}

unsafe extern "C-unwind" fn call(lua: *mut ffi::lua_State) -> c_int {
    // SAFETY: Lua calls this with a valid state. The function and its arguments are on the stack, and nothing here has a destructor.
    unsafe {
        ffi::luaL_checkany(lua, 1);
        let status = ffi::lua_pcall(lua, ffi::lua_gettop(lua) - 1, ffi::LUA_MULTRET, 0);
        finish(lua, status, 1)
    }
}

unsafe extern "C-unwind" fn call_with_handler(lua: *mut ffi::lua_State) -> c_int {
    // SAFETY: as in `call`; the handler is put below the function, where `lua_pcall` is told to find it.
    unsafe {
        ffi::luaL_checkany(lua, 2);
        ffi::lua_settop(lua, 2);
        ffi::lua_insert(lua, 1);
        let status = ffi::lua_pcall(lua, 0, ffi::LUA_MULTRET, 1);
        finish(lua, status, 2)
    }
}

/// Puts the outcome before the results, which begin at `first`, and returns how many values there are then.
///
/// # Safety
/// The state is valid, and what is on its stack from `first` on are results.
unsafe fn finish(lua: *mut ffi::lua_State, status: c_int, first: c_int) -> c_int {
    // SAFETY: room is made before anything is pushed, or was given back by emptying the stack.
    unsafe {
        if ffi::lua_checkstack(lua, 1) == 0 {
            ffi::lua_settop(lua, 0);
            ffi::lua_pushboolean(lua, 0);
            ffi::lua_pushstring_(lua, c"stack overflow".as_ptr());
            return 2;
        }
        ffi::lua_pushboolean(lua, c_int::from(status == ffi::LUA_OK));
        ffi::lua_insert(lua, first);
        ffi::lua_gettop(lua) - first + 1
    }
}
