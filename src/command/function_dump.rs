//! Libraries of functions as bytes, in the form of RDB.

use super::function::load_error;
use super::script::quoting;
use super::{Context, Error};
use crate::persist::rdb::{Bounds, Encoder, payload};
use crate::protocol::Args;
use crate::script::RestorePolicy;

/// `FUNCTION DUMP`.
pub(super) fn dump(cx: &mut Context<'_>, _: Args<'_>) -> Result<(), Error> {
    let libraries = cx.node.scripts.libraries.list();
    let texts = libraries.iter().map(|library| &*library.code);
    let bytes = payload::write_functions(&mut Encoder::new(true), texts);
    cx.reply.bulk(&bytes);
    Ok(())
}

/// `FUNCTION RESTORE payload [FLUSH | APPEND | REPLACE]`.
pub(super) fn restore(cx: &mut Context<'_>, args: Args<'_>) -> Result<(), Error> {
    if args.len() > 4 {
        return Err(Error::subcommand("FUNCTION", args.get(1)));
    }
    let policy = match args.nth(3).map(<[u8]>::to_ascii_lowercase).as_deref() {
        None | Some(b"append") => RestorePolicy::Append,
        Some(b"flush") => RestorePolicy::Flush,
        Some(b"replace") => RestorePolicy::Replace,
        Some(_) => {
            let text = "Wrong restore policy given, value should be either FLUSH, APPEND or REPLACE.";
            return Err(Error::new(text));
        }
    };
    let (bytes, dialect) = payload::open(args.get(2)).map_err(|_| Error::PAYLOAD)?;
    let bounds = Bounds { string: cx.settings().proto_max_bulk_len, ..Bounds::default() };
    let texts = payload::read_functions(bytes, dialect, bounds).map_err(|damage| match damage {
        crate::persist::rdb::Damage::Unknown(_) => Error::new("given type is not a function"),
        _ => Error::new("Failed loading library data"),
    })?;
    let vm = cx.worker.vm()?;
    let libraries = texts.iter().map(|text| vm.load_library(text)).collect::<Result<Vec<_>, _>>();
    let libraries = libraries.map_err(|error| quoting(&[b"ERR ", &error.0]))?;
    cx.node.scripts.libraries.restore(libraries, policy).map_err(load_error)?;
    cx.store.count_changes(1);
    cx.reply.ok();
    Ok(())
}
