//! What a script's functions raise, and the errors that a script ends with.

use mlua::{Error, Lua, Table, Value};

/// An end that was ordered: no protected call of the script catches it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// `SCRIPT KILL` or `FUNCTION KILL`.
    Killed,
    /// It ran longer than the setting `script-time-limit`.
    TooLong,
    /// The server ends.
    Shutdown,
    /// It went to a key that it did not declare, before any change: it is to run again, alone.
    Undeclared,
}

/// What a function written in Rust raises.
#[derive(Clone, Debug)]
pub(super) enum Failure {
    /// A table with the field `err`, as Redis's own functions raise.
    Table(Vec<u8>),
    /// The same, of an error that a command replied.
    Reply(Vec<u8>),
    /// A text, as Lua's functions raise.
    Text(Vec<u8>),
    /// The end.
    Stop(Stop),
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Failure::Table(text) | Failure::Reply(text) | Failure::Text(text) => {
                write!(f, "{}", String::from_utf8_lossy(text))
            }
            Failure::Stop(stop) => write!(f, "{stop:?}"),
        }
    }
}

impl std::error::Error for Failure {}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Error {
        Error::external(failure)
    }
}

impl Failure {
    /// The failure in an error, below the places that it passed.
    pub(super) fn find(error: &Error) -> Option<&Failure> {
        let mut error = error;
        while let Error::CallbackError { cause, .. } = error {
            error = cause;
        }
        error.downcast_ref()
    }
}

/// `error.err` with the code `ERR` before a text that has none: Redis's functions raise `-CODE text` or a mere text.
pub(super) fn with_code(text: &[u8]) -> Vec<u8> {
    let trimmed = |text: &[u8]| {
        let end = text.iter().rposition(|byte| !matches!(byte, b'\r' | b'\n')).map_or(0, |last| last + 1);
        let start = text.iter().position(|byte| !matches!(byte, b'\r' | b'\n')).unwrap_or(end);
        text[start.min(end)..end].to_vec()
    };
    match text.strip_prefix(b"-") {
        Some(coded) if coded.contains(&b' ') => trimmed(coded),
        Some(text) => [b"ERR ", &*trimmed(text)].concat(),
        None => [b"ERR ", &*trimmed(text)].concat(),
    }
}

/// The table that stands for an error in scripts.
pub(super) fn error_table(lua: &Lua, text: &[u8]) -> mlua::Result<Table> {
    let table = lua.create_table()?;
    table.raw_set("err", lua.create_string(text)?)?;
    Ok(table)
}

/// The name of the field that marks errors of commands, which were counted when they were replied to the script.
pub(super) const COUNTED: &str = "ignore_error_stats_update";

/// The table that stands for an error that a command replied.
pub(super) fn reply_table(lua: &Lua, text: &[u8]) -> mlua::Result<Table> {
    let table = error_table(lua, text)?;
    table.raw_set(COUNTED, true)?;
    Ok(table)
}

/// Raises a table with a text that gets the code `ERR`.
pub(super) fn raise<T>(text: impl AsRef<[u8]>) -> mlua::Result<T> {
    Err(Failure::Table(with_code(text.as_ref())).into())
}

/// Raises a text behind the place in the script from where the running function was called, as `luaL_error` does.
pub(super) fn complain<T>(lua: &Lua, text: impl AsRef<[u8]>) -> mlua::Result<T> {
    let mut message = place(lua).into_bytes();
    message.extend_from_slice(text.as_ref());
    Err(Failure::Text(message).into())
}

/// Raises `bad argument #1 to 'encode' (…)`.
pub(super) fn bad_argument<T>(lua: &Lua, index: usize, text: impl AsRef<[u8]>) -> mlua::Result<T> {
    let name = lua.inspect_stack(0, |debug| debug.names().name.map(|name| name.into_owned())).flatten();
    let name = name.unwrap_or_else(|| "?".into());
    let mut message = format!("bad argument #{index} to '{name}' (").into_bytes();
    message.extend_from_slice(text.as_ref());
    message.push(b')');
    complain(lua, message)
}

/// `user_script:1: `, or nothing where the caller is no Lua function.
fn place(lua: &Lua) -> String {
    let place = lua.inspect_stack(1, |debug| {
        let line = debug.current_line()?;
        Some(format!("{}:{line}: ", debug.source().short_src?))
    });
    place.flatten().unwrap_or_default()
}

/// What a script sees of a raised value: Rust's errors become Redis's tables and Lua's texts.
///
/// # Errors
/// The end that was ordered, again.
pub(super) fn shown(lua: &Lua, raised: Value) -> mlua::Result<Value> {
    let Value::Error(error) = raised else { return Ok(raised) };
    match Failure::find(&error) {
        Some(Failure::Stop(stop)) => Err(Failure::Stop(*stop).into()),
        Some(Failure::Table(text)) => Ok(Value::Table(error_table(lua, text)?)),
        Some(Failure::Reply(text)) => Ok(Value::Table(reply_table(lua, text)?)),
        Some(Failure::Text(text)) => Ok(Value::String(lua.create_string(text)?)),
        None => Ok(Value::String(lua.create_string(other(&error))?)),
    }
}

/// The text of an error of the virtual machine itself, in one line.
fn other(error: &Error) -> String {
    let mut error = error;
    while let Error::CallbackError { cause, .. } = error {
        error = cause;
    }
    match error {
        Error::MemoryError(_) => "not enough memory".into(),
        Error::RuntimeError(text) => text.lines().next().unwrap_or_default().into(),
        other => other.to_string().lines().next().unwrap_or_default().into(),
    }
}

/// The handler of a script's errors: whatever was raised becomes a table that tells where.
pub(super) fn handle(lua: &Lua, raised: Value) -> mlua::Result<Value> {
    let raised = match raised {
        Value::Error(error) if matches!(Failure::find(&error), Some(Failure::Stop(_))) => {
            return Ok(Value::Error(error));
        }
        raised => shown(lua, raised)?,
    };
    let table = match raised {
        Value::Table(table) => table,
        value => {
            let text = match &value {
                Value::String(text) => text.as_bytes().to_vec(),
                Value::Nil => b"nil".to_vec(),
                value => value.to_string().unwrap_or_default().into_bytes(),
            };
            error_table(lua, &[b"ERR ", &*text].concat())?
        }
    };
    if let Some((source, line)) = origin(lua) {
        table.raw_set("source", source)?;
        table.raw_set("line", line)?;
    }
    Ok(Value::Table(table))
}

/// The place in the script's own text where an error was raised: the innermost one that is neither Rust nor the prelude.
pub(super) fn origin(lua: &Lua) -> Option<(String, usize)> {
    (1..64).find_map(|level| {
        lua.inspect_stack(level, |debug| {
            let source = debug.source().source?;
            (source != PRELUDE && !source.starts_with('=')).then_some(())?;
            Some((source.into_owned(), debug.current_line()?))
        })
        .flatten()
    })
}

/// The name of the prelude's text.
pub(super) const PRELUDE: &str = "@prelude";
