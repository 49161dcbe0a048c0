//! The library `bit`: operations on 32 bits.

use mlua::{Lua, Table, Value, Variadic};

use super::api::{add, check_number};

type Args = Variadic<Value>;

/// The library's table.
pub(super) fn library(lua: &Lua) -> mlua::Result<Table> {
    let table = lua.create_table()?;
    add(lua, &table, "tobit", |lua, args: Args| bit(lua, &args, 1))?;
    add(lua, &table, "bnot", |lua, args: Args| Ok(!bit(lua, &args, 1)?))?;
    add(lua, &table, "band", |lua, args: Args| fold(lua, &args, |a, b| a & b))?;
    add(lua, &table, "bor", |lua, args: Args| fold(lua, &args, |a, b| a | b))?;
    add(lua, &table, "bxor", |lua, args: Args| fold(lua, &args, |a, b| a ^ b))?;
    add(lua, &table, "lshift", |lua, args: Args| shift(lua, &args, |value, by| value << by))?;
    add(lua, &table, "rshift", |lua, args: Args| shift(lua, &args, |value, by| ((value as u32) >> by) as i32))?;
    add(lua, &table, "arshift", |lua, args: Args| shift(lua, &args, |value, by| value >> by))?;
    add(lua, &table, "rol", |lua, args: Args| shift(lua, &args, i32::rotate_left))?;
    add(lua, &table, "ror", |lua, args: Args| shift(lua, &args, i32::rotate_right))?;
    add(lua, &table, "bswap", |lua, args: Args| Ok(bit(lua, &args, 1)?.swap_bytes()))?;
    add(lua, &table, "tohex", |lua, args: Args| hex(lua, &args))?;
    Ok(table)
}

/// An argument modulo 2^32, rounded to the nearest integer, to the even one of two.
fn bit(lua: &Lua, args: &[Value], index: usize) -> mlua::Result<i32> {
    let number = check_number(lua, args, index)?;
    // Beyond 2^53 the low bits are those of the sum that the library of C makes.
    let rounded = number.round_ties_even();
    Ok(if rounded.is_finite() { rounded.rem_euclid(4_294_967_296.0) as u32 as i32 } else { 0 })
}

fn fold(lua: &Lua, args: &[Value], join: impl Fn(i32, i32) -> i32) -> mlua::Result<i32> {
    let mut value = bit(lua, args, 1)?;
    for index in 2..=args.len() {
        value = join(value, bit(lua, args, index)?);
    }
    Ok(value)
}

fn shift(lua: &Lua, args: &[Value], apply: impl Fn(i32, u32) -> i32) -> mlua::Result<i32> {
    let (value, by) = (bit(lua, args, 1)?, bit(lua, args, 2)?);
    Ok(apply(value, by as u32 & 31))
}

fn hex(lua: &Lua, args: &[Value]) -> mlua::Result<String> {
    let value = bit(lua, args, 1)? as u32;
    let digits = if args.len() < 2 { 8 } else { bit(lua, args, 2)? };
    let text = format!("{value:08x}");
    let text = &text[8 - digits.unsigned_abs().min(8) as usize..];
    Ok(if digits < 0 { text.to_uppercase() } else { text.to_owned() })
}
