//! From a command's reply to the values that a script sees.

use mlua::{Lua, Table, Value};

use super::failure::reply_table;
use crate::protocol::number;

/// The values of one complete reply.
///
/// # Errors
/// There is no memory for them.
pub(super) fn value(lua: &Lua, reply: &[u8]) -> mlua::Result<Value> {
    Reader { lua, rest: reply }.value()
}

/// A reader of replies that this server wrote itself.
struct Reader<'a> {
    lua: &'a Lua,
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// The line at hand: its type and its text.
    fn line(&mut self) -> Option<(u8, &'a [u8])> {
        let end = self.rest.windows(2).position(|pair| pair == b"\r\n")?;
        let (kind, text) = self.rest[..end].split_first()?;
        self.rest = &self.rest[end + 2..];
        Some((*kind, text))
    }

    fn body(&mut self, len: usize) -> &'a [u8] {
        let (body, rest) = self.rest.split_at(len.min(self.rest.len()));
        self.rest = rest.get(2..).unwrap_or_default();
        body
    }

    fn value(&mut self) -> mlua::Result<Value> {
        let Some((kind, text)) = self.line() else { return Ok(Value::Nil) };
        let len = number::parse_i64(text).unwrap_or(-1);
        let count = usize::try_from(len);
        match (kind, count) {
            (b'+', _) => self.wrapped("ok", text),
            (b'-', _) => Ok(Value::Table(reply_table(self.lua, text)?)),
            (b':', _) => Ok(Value::Number(len_of(text))),
            (b'$', Ok(len)) => {
                let body = self.body(len);
                self.text(body)
            }
            (b'$' | b'*', Err(_)) => Ok(Value::Boolean(false)),
            (b'*' | b'>', Ok(count)) => Ok(Value::Table(self.array(count)?)),
            (b'%', Ok(count)) => self.map(count),
            (b'~', Ok(count)) => self.set(count),
            (b'#', _) => Ok(Value::Boolean(text == b"t")),
            (b',', _) => {
                let value = number::parse_f64(text).unwrap_or(f64::NAN);
                self.field("double", Value::Number(value))
            }
            (b'(', _) => self.wrapped("big_number", text),
            (b'=', Ok(len)) => self.verbatim(len),
            (b'|', Ok(count)) => {
                // Attributes are not shown to scripts.
                for _ in 0..count.saturating_mul(2).min(self.rest.len()) {
                    self.value()?;
                }
                self.value()
            }
            _ => Ok(Value::Nil),
        }
    }

    fn text(&self, text: &[u8]) -> mlua::Result<Value> {
        Ok(Value::String(self.lua.create_string(text)?))
    }

    fn field(&self, name: &str, value: Value) -> mlua::Result<Value> {
        let table = self.lua.create_table()?;
        table.raw_set(name, value)?;
        Ok(Value::Table(table))
    }

    fn wrapped(&self, name: &str, text: &[u8]) -> mlua::Result<Value> {
        self.field(name, self.text(text)?)
    }

    fn array(&mut self, count: usize) -> mlua::Result<Table> {
        let table = self.lua.create_table_with_capacity(count.min(self.rest.len()), 0)?;
        for index in 1..=count {
            table.raw_set(index, self.value()?)?;
        }
        Ok(table)
    }

    fn map(&mut self, count: usize) -> mlua::Result<Value> {
        let map = self.lua.create_table()?;
        for _ in 0..count {
            let (key, value) = (self.value()?, self.value()?);
            map.raw_set(key, value)?;
        }
        self.field("map", Value::Table(map))
    }

    fn set(&mut self, count: usize) -> mlua::Result<Value> {
        let set = self.lua.create_table()?;
        for _ in 0..count {
            set.raw_set(self.value()?, true)?;
        }
        self.field("set", Value::Table(set))
    }

    fn verbatim(&mut self, len: usize) -> mlua::Result<Value> {
        let body = self.body(len);
        let (format, text) = body.split_at_checked(4).unwrap_or((b"", body));
        let table = self.lua.create_table()?;
        table.raw_set("string", self.text(text)?)?;
        table.raw_set("format", self.text(format.get(..3).unwrap_or_default())?)?;
        self.field("verbatim_string", Value::Table(table))
    }
}

fn len_of(text: &[u8]) -> f64 {
    number::parse_i64(text).unwrap_or(0) as f64
}
