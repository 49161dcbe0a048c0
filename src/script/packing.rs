//! The library `struct`: values to and from the bytes of C's structures.

use mlua::{Lua, MultiValue, Table, Value, Variadic};

use super::api::{add, check_number, check_text};
use super::failure::{bad_argument, complain};
use super::number::cast;
use super::packing_format::Format;

type Args = Variadic<Value>;

/// The longest result.
const RESULT_MAX: usize = 512 << 20;

/// The library's table.
pub(super) fn library(lua: &Lua) -> mlua::Result<Table> {
    let table = lua.create_table()?;
    add(lua, &table, "pack", |lua, args: Args| pack(lua, &args))?;
    add(lua, &table, "unpack", |lua, args: Args| unpack(lua, &args))?;
    add(lua, &table, "size", |lua, args: Args| size(lua, &args))?;
    Ok(table)
}

fn pack(lua: &Lua, args: &[Value]) -> mlua::Result<mlua::String> {
    let text = check_text(lua, args, 1)?;
    let mut format = Format::new(lua, &text);
    let mut out: Vec<u8> = Vec::new();
    let mut argument = 2;
    while let Some(item) = format.next(out.len())? {
        if out.len().saturating_add(item.padding).saturating_add(item.size) > RESULT_MAX {
            return complain(lua, "format result too large");
        }
        out.resize(out.len() + item.padding, 0);
        match item.option {
            b'x' => {
                out.push(0);
                continue;
            }
            b'f' => {
                let bits = (check_number(lua, args, argument)? as f32).to_bits();
                integer(&mut out, u64::from(bits), 4, format.big_endian);
            }
            b'd' => integer(&mut out, check_number(lua, args, argument)?.to_bits(), 8, format.big_endian),
            b'c' | b's' => {
                let text = check_text(lua, args, argument)?;
                let size = if item.size == 0 { text.len() } else { item.size };
                if text.len() < size {
                    return bad_argument(lua, argument + 1, "string too short");
                }
                out.extend_from_slice(&text[..size]);
                if item.option == b's' {
                    out.push(0);
                }
            }
            _ => {
                let number = check_number(lua, args, argument)?;
                let value = if number < 0.0 { cast(number) as u64 } else { number as u64 };
                integer(&mut out, value, item.size, format.big_endian);
            }
        }
        argument += 1;
    }
    lua.create_string(out)
}

fn integer(out: &mut Vec<u8>, value: u64, size: usize, big_endian: bool) {
    let start = out.len();
    let bytes = value.to_le_bytes();
    out.extend((0..size).map(|at| bytes.get(at).copied().unwrap_or(0)));
    if big_endian {
        out[start..].reverse();
    }
}

fn read_integer(bytes: &[u8], big_endian: bool) -> u64 {
    let join = |value: u64, byte: &u8| value << 8 | u64::from(*byte);
    if big_endian { bytes.iter().fold(0, join) } else { bytes.iter().rev().fold(0, join) }
}

fn unpack(lua: &Lua, args: &[Value]) -> mlua::Result<MultiValue> {
    let (text, data) = (check_text(lua, args, 1)?, check_text(lua, args, 2)?);
    let first = if args.len() > 2 { cast(check_number(lua, args, 3)?) } else { 1 };
    let Some(mut at) = usize::try_from(first).ok().and_then(|first| first.checked_sub(1)) else {
        return bad_argument(lua, 3, "offset must be 1 or greater");
    };
    let mut format = Format::new(lua, &text);
    let mut results: Vec<Value> = Vec::new();
    while let Some(item) = format.next(at)? {
        at = at.saturating_add(item.padding);
        let mut size = item.size;
        if item.option == b'c' && size == 0 {
            let Some(number) = results.pop().and_then(|value| value.as_f64()) else {
                return complain(lua, "format 'c0' needs a previous size");
            };
            size = usize::try_from(cast(number)).unwrap_or(usize::MAX);
        }
        let Some(bytes) = at.checked_add(size).and_then(|end| data.get(at..end)) else {
            return bad_argument(lua, 2, "data string too short");
        };
        match item.option {
            b'x' => (),
            b'f' => {
                results.push(Value::Number(f64::from(f32::from_bits(read_integer(bytes, format.big_endian) as u32))))
            }
            b'd' => results.push(Value::Number(f64::from_bits(read_integer(bytes, format.big_endian)))),
            b'c' => results.push(Value::String(lua.create_string(bytes)?)),
            b's' => {
                let rest = &data[at..];
                let Some(end) = rest.iter().position(|&byte| byte == 0) else {
                    return complain(lua, "unfinished string in data");
                };
                results.push(Value::String(lua.create_string(&rest[..end])?));
                size = end + 1;
            }
            option => results.push(number(option, bytes, format.big_endian)),
        }
        at += size;
    }
    results.push(Value::Number((at + 1) as f64));
    Ok(results.into_iter().collect())
}

fn number(option: u8, bytes: &[u8], big_endian: bool) -> Value {
    let value = read_integer(bytes, big_endian);
    let bits = bytes.len() * 8;
    if option.is_ascii_uppercase() || bits == 0 {
        return Value::Number(value as f64);
    }
    let unused = 64usize.saturating_sub(bits);
    Value::Number((((value << unused) as i64) >> unused) as f64)
}

fn size(lua: &Lua, args: &[Value]) -> mlua::Result<i64> {
    let text = check_text(lua, args, 1)?;
    let mut format = Format::new(lua, &text);
    let mut at = 0usize;
    while let Some(item) = format.next(at)? {
        match (item.option, item.size) {
            (b's', _) => return bad_argument(lua, 1, "option 's' has no fixed size"),
            (b'c', 0) => return bad_argument(lua, 1, "option 'c0' has no fixed size"),
            _ => at = at.saturating_add(item.padding).saturating_add(item.size),
        }
    }
    Ok(at as i64)
}
