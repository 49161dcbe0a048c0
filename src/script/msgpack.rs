//! The library `cmsgpack`: values to MessagePack.

use mlua::{Lua, Table, Value, Variadic};

use super::api::add;
use super::failure::bad_argument;
use super::msgpack_decode as decode;

type Args = Variadic<Value>;

/// Tables within tables that are packed; what is deeper becomes nil.
const NESTING_MAX: usize = 16;

/// The library's table.
pub(super) fn library(lua: &Lua) -> mlua::Result<Table> {
    let table = lua.create_table()?;
    add(lua, &table, "pack", |lua, args: Args| pack(lua, &args))?;
    add(lua, &table, "unpack", |lua, args: Args| decode::unpack(lua, &args))?;
    add(lua, &table, "unpack_one", |lua, args: Args| decode::unpack_one(lua, &args))?;
    add(lua, &table, "unpack_limit", |lua, args: Args| decode::unpack_limit(lua, &args))?;
    table.raw_set("_NAME", "cmsgpack")?;
    table.raw_set("_VERSION", "lua-cmsgpack 0.4.0")?;
    table.raw_set("_COPYRIGHT", "none: an implementation of Roster's own")?;
    table.raw_set("_DESCRIPTION", "MessagePack for Lua")?;
    Ok(table)
}

fn pack(lua: &Lua, args: &[Value]) -> mlua::Result<mlua::String> {
    if args.is_empty() {
        return bad_argument(lua, 0, "MessagePack pack needs input.");
    }
    let mut out = Vec::new();
    for value in args {
        write(&mut out, value, 0)?;
    }
    lua.create_string(out)
}

fn write(out: &mut Vec<u8>, value: &Value, depth: usize) -> mlua::Result<()> {
    match value {
        Value::String(text) => write_text(out, &text.as_bytes()),
        Value::Boolean(value) => out.push(if *value { 0xc3 } else { 0xc2 }),
        Value::Integer(number) => write_integer(out, *number),
        Value::Number(number) => match super::number::whole(*number) {
            Some(number) => write_integer(out, number),
            None => write_double(out, *number),
        },
        Value::Table(table) if depth < NESTING_MAX => return write_table(out, table, depth + 1),
        _ => out.push(0xc0),
    }
    Ok(())
}

fn write_double(out: &mut Vec<u8>, number: f64) {
    let short = number as f32;
    if f64::from(short) == number {
        out.push(0xca);
        out.extend_from_slice(&short.to_be_bytes());
    } else {
        out.push(0xcb);
        out.extend_from_slice(&number.to_be_bytes());
    }
}

fn write_integer(out: &mut Vec<u8>, number: i64) {
    let bytes = number.to_be_bytes();
    let (kind, size) = match number {
        0..=0x7f => return out.push(number as u8),
        -32..0 => return out.push(number as u8),
        0x80..=0xff => (0xcc, 1),
        0x100..=0xffff => (0xcd, 2),
        0x1_0000..=0xffff_ffff => (0xce, 4),
        0x1_0000_0000.. => (0xcf, 8),
        -0x80..-32 => (0xd0, 1),
        -0x8000..-0x80 => (0xd1, 2),
        -0x8000_0000..-0x8000 => (0xd2, 4),
        _ => (0xd3, 8),
    };
    out.push(kind);
    out.extend_from_slice(&bytes[8 - size..]);
}

/// Writes a length: within the first byte if it is below `short.1`, else by one of `kinds`, for two and for four bytes.
fn write_length(out: &mut Vec<u8>, len: usize, short: (u8, usize), kinds: [u8; 2]) {
    if len < short.1 {
        out.push(short.0 | len as u8);
    } else if let Ok(len) = u16::try_from(len) {
        out.push(kinds[0]);
        out.extend_from_slice(&len.to_be_bytes());
    } else {
        out.push(kinds[1]);
        // Lua's strings and tables have fewer than 2^32 elements within any memory limit that there is.
        out.extend_from_slice(&u32::try_from(len).unwrap_or(u32::MAX).to_be_bytes());
    }
}

fn write_text(out: &mut Vec<u8>, text: &[u8]) {
    match u8::try_from(text.len()) {
        Ok(len) if len >= 32 => out.extend_from_slice(&[0xd9, len]),
        _ => write_length(out, text.len(), (0xa0, 32), [0xda, 0xdb]),
    }
    out.extend_from_slice(text);
}

fn write_table(out: &mut Vec<u8>, table: &Table, depth: usize) -> mlua::Result<()> {
    let (mut count, mut most, mut is_array) = (0usize, 0usize, true);
    for pair in table.pairs::<Value, Value>() {
        match pair?.0 {
            Value::Integer(key) if key > 0 => most = most.max(key as usize),
            _ => is_array = false,
        }
        count += 1;
    }
    if is_array && most == count {
        write_length(out, count, (0x90, 16), [0xdc, 0xdd]);
        return (1..=count).try_for_each(|index| write(out, &table.raw_get::<Value>(index)?, depth));
    }
    write_length(out, count, (0x80, 16), [0xde, 0xdf]);
    for pair in table.pairs::<Value, Value>() {
        let (key, value) = pair?;
        write(out, &key, depth)?;
        write(out, &value, depth)?;
    }
    Ok(())
}
