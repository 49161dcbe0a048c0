//! From what a script returns to the client's reply.

use mlua::{Error, Table, Value};

use super::failure::{COUNTED, Failure, Stop};
use super::number::cast;
use super::vm::{Ended, Run, State};
use crate::protocol::{Reply, Version};

/// Tables within tables that are replied; Redis's limit follows from the stack of its virtual machine.
const DEPTH_MAX: usize = 128;

/// Writes a value.
///
/// # Errors
/// There is no memory to look at it.
pub(super) fn write(state: &State, reply: &mut Reply<'_>, value: Value) -> mlua::Result<()> {
    write_at(state, reply, value, 0)
}

fn write_at(state: &State, reply: &mut Reply<'_>, value: Value, depth: usize) -> mlua::Result<()> {
    match value {
        Value::String(text) => reply.bulk(&text.as_bytes()),
        Value::Boolean(value) if state.version.get() == Version::Resp3 => reply.boolean(value),
        Value::Boolean(true) => reply.integer(1),
        Value::Integer(number) => reply.integer(number),
        Value::Number(number) => reply.integer(cast(number)),
        Value::Table(_) if depth >= DEPTH_MAX => reply.error("ERR reached lua stack limit"),
        Value::Table(table) => return write_table(state, reply, &table, depth),
        _ => reply.null(),
    }
    Ok(())
}

fn write_table(state: &State, reply: &mut Reply<'_>, table: &Table, depth: usize) -> mlua::Result<()> {
    let text = |name: &str| -> mlua::Result<Option<Vec<u8>>> {
        Ok(match table.raw_get::<Value>(name)? {
            Value::String(text) => Some(text.as_bytes().to_vec()),
            _ => None,
        })
    };
    if let Some(text) = text("err")? {
        count(state, table, &text);
        reply.error(text);
        return Ok(());
    }
    if let Some(mut text) = text("ok")? {
        text.iter_mut().filter(|byte| matches!(byte, b'\r' | b'\n')).for_each(|byte| *byte = b' ');
        reply.raw(&[b"+", &*text, b"\r\n"].concat());
        return Ok(());
    }
    if let Value::Number(number) = table.raw_get::<Value>("double")? {
        reply.double(number);
        return Ok(());
    }
    if let Value::Integer(number) = table.raw_get::<Value>("double")? {
        reply.double(number as f64);
        return Ok(());
    }
    if let Value::Table(map) = table.raw_get::<Value>("map")? {
        let (mark, mut count) = (reply.begin(), 0);
        for pair in map.pairs::<Value, Value>() {
            let (key, value) = pair?;
            write_at(state, reply, key, depth + 1)?;
            write_at(state, reply, value, depth + 1)?;
            count += 1;
        }
        reply.end_map(mark, count);
        return Ok(());
    }
    if let Value::Table(set) = table.raw_get::<Value>("set")? {
        let (mark, mut count) = (reply.begin(), 0);
        for pair in set.pairs::<Value, Value>() {
            write_at(state, reply, pair?.0, depth + 1)?;
            count += 1;
        }
        reply.end_set(mark, count);
        return Ok(());
    }
    if let Some(digits) = text("big_number")? {
        let digits: String = digits.iter().map(|&byte| if byte < b' ' { ' ' } else { char::from(byte) }).collect();
        reply.big_number(&digits);
        return Ok(());
    }
    if write_verbatim(reply, table)? {
        return Ok(());
    }
    let (mark, mut count) = (reply.begin(), 0);
    loop {
        match table.raw_get::<Value>(count + 1)? {
            Value::Nil => break,
            value => write_at(state, reply, value, depth + 1)?,
        }
        count += 1;
    }
    reply.end_array(mark, count);
    Ok(())
}

/// Notes an error that is to be counted, which one of a command was already.
fn count(state: &State, table: &Table, text: &[u8]) {
    if matches!(table.raw_get::<Value>(COUNTED), Ok(Value::Boolean(true))) {
        return;
    }
    let code = text.iter().take(CODE_MAX).position(|&byte| byte == b' ').map_or(&b"ERR"[..], |end| &text[..end]);
    state.codes.borrow_mut().push(String::from_utf8_lossy(code).into_owned());
}

/// Bytes within which an error's code ends.
const CODE_MAX: usize = 32;

fn write_verbatim(reply: &mut Reply<'_>, table: &Table) -> mlua::Result<bool> {
    let Value::Table(verbatim) = table.raw_get::<Value>("verbatim_string")? else { return Ok(false) };
    let (format, text) = (verbatim.raw_get::<Value>("format")?, verbatim.raw_get::<Value>("string")?);
    let (Value::String(format), Value::String(text)) = (format, text) else { return Ok(false) };
    let mut letters = [b' '; 3];
    for (letter, byte) in letters.iter_mut().zip(format.as_bytes().iter()) {
        *letter = *byte;
    }
    reply.verbatim(&letters, &text.as_bytes());
    Ok(true)
}

/// Writes what a script raised.
pub(super) fn write_failure(state: &State, reply: &mut Reply<'_>, run: &Run<'_>, raised: Value) -> Ended {
    match raised {
        Value::Table(table) => {
            let text = match table.raw_get::<Value>("err") {
                Ok(Value::String(text)) => text.as_bytes().to_vec(),
                Ok(value @ (Value::Number(_) | Value::Integer(_))) => value.to_string().unwrap_or_default().into(),
                _ => b"ERR unknown error".to_vec(),
            };
            let place = match (table.raw_get::<String>("source"), table.raw_get::<usize>("line")) {
                (Ok(source), Ok(line)) => Some((source, line)),
                _ => None,
            };
            count(state, &table, &text);
            write_error(reply, run.name, &text, place);
        }
        Value::Error(error) => {
            let Some(Failure::Stop(stop)) = Failure::find(&error) else {
                write_trouble(reply, run.name, &error);
                return Ended::Replied;
            };
            if *stop == Stop::Undeclared {
                return Ended::Undeclared;
            }
            state.codes.borrow_mut().push("ERR".into());
            write_error(reply, run.name, reason(*stop, run.is_function).as_bytes(), state.place.borrow_mut().take());
            return Ended::Stopped;
        }
        value => {
            let text = match &value {
                Value::String(text) => String::from_utf8_lossy(&text.as_bytes()).into_owned(),
                _ => "execution failure".into(),
            };
            trouble(reply, run.name, &text);
        }
    }
    Ended::Replied
}

fn reason(stop: Stop, is_function: bool) -> &'static str {
    match (stop, is_function) {
        (Stop::Killed, false) => "ERR Script killed by user with SCRIPT KILL.",
        (Stop::Killed, true) => "ERR Script killed by user with FUNCTION KILL.",
        (Stop::TooLong, _) => "ERR Script ended because it ran longer than script-time-limit.",
        (Stop::Shutdown, _) => "ERR Script ended because the server shuts down.",
        (Stop::Undeclared, _) => "ERR Script went to a key that it did not declare.",
    }
}

fn write_error(reply: &mut Reply<'_>, name: &str, text: &[u8], place: Option<(String, usize)>) {
    let place = place.map(|(source, line)| format!(" script: {name}, on {source}:{line}."));
    reply.error([text, place.unwrap_or_default().as_bytes()].concat());
}

/// Writes an error of the virtual machine itself.
pub(super) fn write_trouble(reply: &mut Reply<'_>, name: &str, error: &Error) {
    let text = match error {
        Error::MemoryError(_) => "not enough memory".into(),
        error => error.to_string(),
    };
    trouble(reply, name, &text);
}

fn trouble(reply: &mut Reply<'_>, name: &str, text: &str) {
    let text: String = text.lines().next().unwrap_or_default().chars().take(100).collect();
    let hint = if text == "not enough memory" { " (see script-memory-limit)" } else { "" };
    reply.error(format!("ERR Error running script {name}, {text}{hint}"));
}
