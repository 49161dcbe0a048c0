//! MessagePack to values.

use mlua::{Lua, MultiValue, Value};

use super::api::{check_number, check_text};
use super::failure::complain;
use super::number::cast;

/// Tables within tables that are read: Rust's stack holds each.
const DEPTH_MAX: usize = 512;
/// Values that a text may hold beside one another.
const VALUES_MAX: usize = 7000;

/// `unpack(text)`: all values.
pub(super) fn unpack(lua: &Lua, args: &[Value]) -> mlua::Result<MultiValue> {
    read(lua, args, 0, 0)
}

/// `unpack_one(text [, offset])`: where the next one begins, and one value.
pub(super) fn unpack_one(lua: &Lua, args: &[Value]) -> mlua::Result<MultiValue> {
    let offset = optional(lua, args, 2)?;
    read(lua, args, 1, offset)
}

/// `unpack_limit(text, limit [, offset])`: where the next one begins, and some values.
pub(super) fn unpack_limit(lua: &Lua, args: &[Value]) -> mlua::Result<MultiValue> {
    let limit = cast(check_number(lua, args, 2)?);
    let offset = optional(lua, args, 3)?;
    read(lua, args, limit, offset)
}

fn optional(lua: &Lua, args: &[Value], index: usize) -> mlua::Result<i64> {
    match args.get(index - 1) {
        None | Some(Value::Nil) => Ok(0),
        Some(_) => Ok(cast(check_number(lua, args, index)?)),
    }
}

fn read(lua: &Lua, args: &[Value], limit: i64, offset: i64) -> mlua::Result<MultiValue> {
    let text = check_text(lua, args, 1)?;
    let reads_all = limit == 0 && offset == 0;
    let (Ok(most), Ok(at)) = (usize::try_from(limit), usize::try_from(offset)) else {
        let text = format!("Invalid request to unpack with offset of {offset} and limit of {limit}.");
        return complain(lua, text);
    };
    if at > text.len() {
        return complain(lua, format!("Start offset {at} greater than input length {}.", text.len()));
    }
    let most = if reads_all { usize::MAX } else { most };
    let mut reader = Reader { lua, rest: &text[at..] };
    let mut values = Vec::new();
    while !reader.rest.is_empty() && values.len() < most {
        if values.len() >= VALUES_MAX {
            return complain(lua, "too many return values at once; use unpack_one or unpack_limit instead.");
        }
        match reader.value(0) {
            Ok(value) => values.push(value),
            Err(Wrong::Missing) => return complain(lua, "Missing bytes in input."),
            Err(Wrong::Format) => return complain(lua, "Bad data format in input."),
            Err(Wrong::Lua(error)) => return Err(error),
        }
    }
    if !reads_all {
        let next = if reader.rest.is_empty() { -1.0 } else { (text.len() - reader.rest.len()) as f64 };
        values.insert(0, Value::Number(next));
    }
    Ok(values.into_iter().collect())
}

enum Wrong {
    Missing,
    Format,
    Lua(mlua::Error),
}

impl From<mlua::Error> for Wrong {
    fn from(error: mlua::Error) -> Self {
        Wrong::Lua(error)
    }
}

struct Reader<'a> {
    lua: &'a Lua,
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    fn take(&mut self, len: usize) -> Result<&'a [u8], Wrong> {
        let (taken, rest) = self.rest.split_at_checked(len).ok_or(Wrong::Missing)?;
        self.rest = rest;
        Ok(taken)
    }

    fn unsigned(&mut self, size: usize) -> Result<u64, Wrong> {
        Ok(self.take(size)?.iter().fold(0, |value, byte| value << 8 | u64::from(*byte)))
    }

    fn signed(&mut self, size: usize) -> Result<Value, Wrong> {
        let unused = 64 - 8 * size;
        Ok(Value::Number((((self.unsigned(size)? << unused) as i64) >> unused) as f64))
    }

    fn value(&mut self, depth: usize) -> Result<Value, Wrong> {
        if depth > DEPTH_MAX {
            return Err(Wrong::Format);
        }
        let kind = self.take(1)?[0];
        Ok(match kind {
            0..=0x7f => Value::Number(f64::from(kind)),
            0x80..=0x8f => self.map(usize::from(kind & 0x0f), depth)?,
            0x90..=0x9f => self.array(usize::from(kind & 0x0f), depth)?,
            0xa0..=0xbf => self.text(u64::from(kind & 0x1f))?,
            0xc0 => Value::Nil,
            0xc2 => Value::Boolean(false),
            0xc3 => Value::Boolean(true),
            0xca => Value::Number(f64::from(f32::from_bits(self.unsigned(4)? as u32))),
            0xcb => Value::Number(f64::from_bits(self.unsigned(8)?)),
            0xcc..=0xcf => Value::Number(self.unsigned(1 << (kind - 0xcc))? as f64),
            0xd0..=0xd3 => self.signed(1 << (kind - 0xd0))?,
            0xd9..=0xdb => {
                let len = self.unsigned(1 << (kind - 0xd9))?;
                self.text(len)?
            }
            0xdc | 0xdd => {
                let len = self.unsigned(2 << (kind - 0xdc))? as usize;
                self.array(len, depth)?
            }
            0xde | 0xdf => {
                let len = self.unsigned(2 << (kind - 0xde))? as usize;
                self.map(len, depth)?
            }
            0xe0..=0xff => Value::Number(f64::from(kind as i8)),
            _ => return Err(Wrong::Format),
        })
    }

    fn text(&mut self, len: u64) -> Result<Value, Wrong> {
        let text = self.take(usize::try_from(len).map_err(|_| Wrong::Missing)?)?;
        Ok(Value::String(self.lua.create_string(text)?))
    }

    fn array(&mut self, len: usize, depth: usize) -> Result<Value, Wrong> {
        let table = self.lua.create_table()?;
        for index in 1..=len {
            table.raw_set(index, self.value(depth + 1)?)?;
        }
        Ok(Value::Table(table))
    }

    fn map(&mut self, len: usize, depth: usize) -> Result<Value, Wrong> {
        let table = self.lua.create_table()?;
        for _ in 0..len {
            let (key, value) = (self.value(depth + 1)?, self.value(depth + 1)?);
            table.raw_set(key, value)?;
        }
        Ok(Value::Table(table))
    }
}
