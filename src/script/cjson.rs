//! The library `cjson`: its settings, and values to JSON.

use std::cell::Cell;
use std::rc::Rc;

use mlua::{Lua, Table, Value, Variadic};

use super::api::{check_number, expected, type_name};
use super::cjson_decode;
use super::failure::{bad_argument, complain};
use super::number::write_general;

type Args = Variadic<Value>;

/// What to do with numbers that JSON does not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Invalid {
    Refused,
    Allowed,
    Null,
}

/// The settings of one instance of the library.
#[derive(Clone, Copy, Debug)]
pub(super) struct Settings {
    sparse_convert: bool,
    sparse_ratio: i64,
    sparse_safe: i64,
    encode_depth: usize,
    pub decode_depth: usize,
    precision: usize,
    keeps_buffer: bool,
    encode_invalid: Invalid,
    pub decode_invalid: bool,
}

const DEFAULTS: Settings = Settings {
    sparse_convert: false,
    sparse_ratio: 2,
    sparse_safe: 10,
    encode_depth: 1000,
    decode_depth: 1000,
    precision: 14,
    keeps_buffer: true,
    encode_invalid: Invalid::Refused,
    decode_invalid: true,
};

/// Tables within tables that settings may allow: Rust's stack holds each.
const DEPTH_LIMIT: usize = 2000;

/// The library's table.
pub(super) fn library(lua: &Lua) -> mlua::Result<Table> {
    let settings = Rc::new(Cell::new(DEFAULTS));
    let table = lua.create_table()?;
    let add = |name: &str, run: fn(&Lua, &Cell<Settings>, &[Value]) -> mlua::Result<Value>| {
        let settings = settings.clone();
        table.raw_set(name, lua.create_function(move |lua, args: Args| run(lua, &settings, &args))?)
    };
    add("encode", encode)?;
    add("decode", decode)?;
    add("encode_max_depth", |lua, settings, args| depth(lua, settings, args, |settings| &mut settings.encode_depth))?;
    add("decode_max_depth", |lua, settings, args| depth(lua, settings, args, |settings| &mut settings.decode_depth))?;
    add("encode_number_precision", precision)?;
    add("encode_keep_buffer", |lua, settings, args| flag(lua, settings, args, |settings| &mut settings.keeps_buffer))?;
    add("decode_invalid_numbers", |lua, settings, args| {
        flag(lua, settings, args, |settings| &mut settings.decode_invalid)
    })?;
    add("encode_invalid_numbers", invalid_numbers)?;
    table.raw_set("encode_sparse_array", {
        let settings = settings.clone();
        lua.create_function(move |lua, args: Args| sparse(lua, &settings, &args))?
    })?;
    table.raw_set("new", lua.create_function(|lua, _: Args| library(lua))?)?;
    table.raw_set("null", Value::NULL)?;
    table.raw_set("_NAME", "cjson")?;
    table.raw_set("_VERSION", "2.1.0")?;
    Ok(table)
}

/// The integer of an option from `least` to `most`.
fn option(lua: &Lua, args: &[Value], index: usize, least: i64, most: i64) -> mlua::Result<Option<i64>> {
    match args.get(index - 1) {
        None | Some(Value::Nil) => Ok(None),
        Some(_) => {
            let number = super::number::cast(check_number(lua, args, index)?);
            if !(least..=most).contains(&number) {
                return bad_argument(lua, index, format!("expected integer between {least} and {most}"));
            }
            Ok(Some(number))
        }
    }
}

fn at_most(lua: &Lua, args: &[Value], most: usize) -> mlua::Result<()> {
    if args.len() > most { bad_argument(lua, most + 1, "found too many arguments") } else { Ok(()) }
}

fn depth(
    lua: &Lua,
    settings: &Cell<Settings>,
    args: &[Value],
    field: fn(&mut Settings) -> &mut usize,
) -> mlua::Result<Value> {
    at_most(lua, args, 1)?;
    let mut changed = settings.get();
    if let Some(depth) = option(lua, args, 1, 1, i64::from(i32::MAX))? {
        *field(&mut changed) = depth as usize;
        settings.set(changed);
    }
    Ok(Value::Integer(*field(&mut changed) as mlua::Integer))
}

fn precision(lua: &Lua, settings: &Cell<Settings>, args: &[Value]) -> mlua::Result<Value> {
    at_most(lua, args, 1)?;
    let mut changed = settings.get();
    if let Some(precision) = option(lua, args, 1, 1, 14)? {
        changed.precision = precision as usize;
        settings.set(changed);
    }
    Ok(Value::Integer(changed.precision as mlua::Integer))
}

fn truth(lua: &Lua, args: &[Value], index: usize) -> mlua::Result<Option<bool>> {
    match args.get(index - 1) {
        None | Some(Value::Nil) => Ok(None),
        Some(Value::Boolean(value)) => Ok(Some(*value)),
        Some(Value::String(text)) if &*text.as_bytes() == b"on" => Ok(Some(true)),
        Some(Value::String(text)) if &*text.as_bytes() == b"off" => Ok(Some(false)),
        Some(Value::String(text)) => bad_argument(lua, index, [b"invalid option '", &*text.as_bytes(), b"'"].concat()),
        other => expected(lua, index, "string", other),
    }
}

fn flag(
    lua: &Lua,
    settings: &Cell<Settings>,
    args: &[Value],
    field: fn(&mut Settings) -> &mut bool,
) -> mlua::Result<Value> {
    at_most(lua, args, 1)?;
    let mut changed = settings.get();
    if let Some(value) = truth(lua, args, 1)? {
        *field(&mut changed) = value;
        settings.set(changed);
    }
    Ok(Value::Boolean(*field(&mut changed)))
}

fn invalid_numbers(lua: &Lua, settings: &Cell<Settings>, args: &[Value]) -> mlua::Result<Value> {
    at_most(lua, args, 1)?;
    let mut changed = settings.get();
    let chosen = match args.first() {
        Some(Value::String(text)) if &*text.as_bytes() == b"null" => Some(Invalid::Null),
        _ => truth(lua, args, 1)?.map(|allowed| if allowed { Invalid::Allowed } else { Invalid::Refused }),
    };
    if let Some(chosen) = chosen {
        changed.encode_invalid = chosen;
        settings.set(changed);
    }
    match changed.encode_invalid {
        Invalid::Null => Ok(Value::String(lua.create_string("null")?)),
        chosen => Ok(Value::Boolean(chosen == Invalid::Allowed)),
    }
}

fn sparse(lua: &Lua, settings: &Cell<Settings>, args: &[Value]) -> mlua::Result<(bool, i64, i64)> {
    at_most(lua, args, 3)?;
    let mut changed = settings.get();
    if let Some(convert) = truth(lua, args, 1)? {
        changed.sparse_convert = convert;
    }
    if let Some(ratio) = option(lua, args, 2, 0, i64::from(i32::MAX))? {
        changed.sparse_ratio = ratio;
    }
    if let Some(safe) = option(lua, args, 3, 0, i64::from(i32::MAX))? {
        changed.sparse_safe = safe;
    }
    settings.set(changed);
    Ok((changed.sparse_convert, changed.sparse_ratio, changed.sparse_safe))
}

fn decode(lua: &Lua, settings: &Cell<Settings>, args: &[Value]) -> mlua::Result<Value> {
    if args.len() != 1 {
        return bad_argument(lua, 1, "expected 1 argument");
    }
    let text = super::api::check_text(lua, args, 1)?;
    cjson_decode::decode(lua, &settings.get(), &text, DEPTH_LIMIT)
}

fn encode(lua: &Lua, settings: &Cell<Settings>, args: &[Value]) -> mlua::Result<Value> {
    let [value] = args else { return bad_argument(lua, 1, "expected 1 argument") };
    let mut encoder = Encoder { lua, settings: settings.get(), out: Vec::new() };
    encoder.value(value, 0)?;
    Ok(Value::String(lua.create_string(encoder.out)?))
}

struct Encoder<'a> {
    lua: &'a Lua,
    settings: Settings,
    out: Vec<u8>,
}

impl Encoder<'_> {
    fn refuse<T>(&self, value: &Value, reason: &str) -> mlua::Result<T> {
        complain(self.lua, format!("Cannot serialise {}: {reason}", type_name(value)))
    }

    fn value(&mut self, value: &Value, depth: usize) -> mlua::Result<()> {
        match value {
            Value::String(text) => self.text(&text.as_bytes()),
            Value::Integer(number) => self.number(value, *number as f64)?,
            Value::Number(number) => self.number(value, *number)?,
            Value::Boolean(true) => self.out.extend_from_slice(b"true"),
            Value::Boolean(false) => self.out.extend_from_slice(b"false"),
            Value::Nil => self.out.extend_from_slice(b"null"),
            Value::LightUserData(pointer) if pointer.0.is_null() => self.out.extend_from_slice(b"null"),
            Value::Table(table) => self.table(table, depth + 1)?,
            other => return self.refuse(other, "type not supported"),
        }
        Ok(())
    }

    fn text(&mut self, text: &[u8]) {
        self.out.reserve(text.len() + 2);
        self.out.push(b'"');
        for &byte in text {
            let escaped: &[u8] = match byte {
                b'"' => b"\\\"",
                b'\\' => b"\\\\",
                b'/' => b"\\/",
                8 => b"\\b",
                b'\t' => b"\\t",
                b'\n' => b"\\n",
                12 => b"\\f",
                b'\r' => b"\\r",
                0..32 | 127 => {
                    self.out.extend_from_slice(format!("\\u{byte:04x}").as_bytes());
                    continue;
                }
                _ => {
                    self.out.push(byte);
                    continue;
                }
            };
            self.out.extend_from_slice(escaped);
        }
        self.out.push(b'"');
    }

    fn number(&mut self, value: &Value, number: f64) -> mlua::Result<()> {
        if !number.is_finite() {
            match self.settings.encode_invalid {
                Invalid::Refused => return self.refuse(value, "must not be NaN or Inf"),
                Invalid::Null => {
                    self.out.extend_from_slice(b"null");
                    return Ok(());
                }
                Invalid::Allowed => (),
            }
        }
        write_general(&mut self.out, number, self.settings.precision);
        Ok(())
    }

    /// The length of a table that is an array, by the largest of its keys; `None` for one that is an object.
    fn length(&self, table: &Table) -> mlua::Result<Option<i64>> {
        let (mut most, mut items) = (0i64, 0i64);
        for pair in table.pairs::<Value, Value>() {
            match pair?.0 {
                Value::Integer(key) if key > 0 => {
                    most = most.max(key);
                    items += 1;
                }
                _ => return Ok(None),
            }
        }
        let Settings { sparse_ratio: ratio, sparse_safe: safe, .. } = self.settings;
        if ratio > 0 && most > items.saturating_mul(ratio) && most > safe {
            if !self.settings.sparse_convert {
                return complain(self.lua, "Cannot serialise table: excessively sparse array");
            }
            return Ok(None);
        }
        Ok(Some(most))
    }

    fn table(&mut self, table: &Table, depth: usize) -> mlua::Result<()> {
        if depth > self.settings.encode_depth.min(DEPTH_LIMIT) {
            return complain(self.lua, format!("Cannot serialise, excessive nesting ({depth})"));
        }
        match self.length(table)? {
            Some(length @ 1..) => self.array(table, length, depth),
            _ => self.object(table, depth),
        }
    }

    fn array(&mut self, table: &Table, length: i64, depth: usize) -> mlua::Result<()> {
        self.out.push(b'[');
        for index in 1..=length {
            if index > 1 {
                self.out.push(b',');
            }
            self.value(&table.raw_get::<Value>(index)?, depth)?;
        }
        self.out.push(b']');
        Ok(())
    }

    fn object(&mut self, table: &Table, depth: usize) -> mlua::Result<()> {
        self.out.push(b'{');
        let mut is_first = true;
        for pair in table.pairs::<Value, Value>() {
            let (key, value) = pair?;
            if !std::mem::take(&mut is_first) {
                self.out.push(b',');
            }
            match &key {
                Value::String(text) => self.text(&text.as_bytes()),
                Value::Integer(_) | Value::Number(_) => {
                    let number = super::api::number(&key).unwrap_or_default();
                    self.out.push(b'"');
                    self.number(&key, number)?;
                    self.out.push(b'"');
                }
                other => return self.refuse(other, "table key must be a number or string"),
            }
            self.out.push(b':');
            self.value(&value, depth)?;
        }
        self.out.push(b'}');
        Ok(())
    }
}
