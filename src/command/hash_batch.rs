//! Fields of a hash that are read or set together with their time to live, or read and removed.

use super::hash::{GROWING, INSERT, row};
use super::hash_expire::due;
use super::hash_fields::{Absent, Fields, FieldsMut, counted, find_fields, read, write};
use super::string_options::{Condition, Life, Options, Taken};
use super::{Access, Command, Context, Error, Flags, KeySpec};
use crate::protocol::Args;
use crate::value::hash::{Expiry, Millis};

/// The family's rows.
pub(super) const COMMANDS: &[Command] = &[
    row("hgetex", -5, hgetex, CHANGING, &[KeySpec::at(1, Access::RW.and(Access::ACCESS).and(Access::UPDATE))])
        .since("8.0.0")
        .complexity("O(N) where N is the number of specified fields.")
        .doc(
            "Returns the values of fields of a hash, and sets or removes their time to live.",
            "key [EX seconds|PX milliseconds|EXAT unix-time-seconds|PXAT unix-time-milliseconds|PERSIST] \
             FIELDS numfields:integer field ...",
        ),
    row("hsetex", -6, hsetex, GROWING, INSERT)
        .since("8.0.0")
        .complexity("O(N) where N is the number of specified fields.")
        .doc(
            "Sets fields of a hash with a time to live, if a condition holds.",
            "key [NX|XX] [FNX|FXX] \
             [EX seconds|PX milliseconds|EXAT unix-time-seconds|PXAT unix-time-milliseconds|KEEPTTL] \
             FIELDS numfields:integer <field value> ...",
        ),
    row("hgetdel", -5, hgetdel, CHANGING, &[KeySpec::at(1, Access::RW.and(Access::ACCESS).and(Access::DELETE))])
        .since("8.0.0")
        .complexity("O(N) where N is the number of fields to be retrieved and deleted.")
        .doc("Removes fields of a hash and returns their values.", "key FIELDS numfields:integer field ..."),
];

const CHANGING: Flags = Flags::WRITE.and(Flags::FAST);

/// The options before `FIELDS`, and what follows that word: the number of fields and the fields.
fn parse(args: Args<'_>, taken: Taken, width: usize) -> Result<(Options<'_>, Args<'_>), Error> {
    let at = find_fields(args, 2).ok_or(Error::FIELD_COUNT)?;
    let options = Options::parse(args.range(2..at), taken)?;
    Ok((options, counted(args, at + 1, width, Error::FIELD_COUNT)?))
}

/// What the options make of a field's time to live: `Err` if the moment is none.
fn expiry(cx: &Context<'_>, life: Life<'_>) -> Result<Expiry, Error> {
    Ok(match life {
        Life::Unsaid | Life::Persist => Expiry::Never,
        Life::Keep => Expiry::Keep,
        Life::Until(moment) => {
            let (time, unit, base) = moment.parts(cx.now_ms())?;
            Expiry::At(due(time, unit, base, cx.command.full_name())?)
        }
    })
}

/// Whether a field that is set to expire so is gone at once.
fn is_past(expiry: Expiry, now_ms: Millis) -> bool {
    matches!(expiry, Expiry::At(due) if due <= now_ms)
}

fn hgetex(cx: &mut Context<'_>, args: Args<'_>) -> Result<(), Error> {
    let (options, names) = parse(args, Taken::GETEX, 1)?;
    if options.life == Life::Unsaid {
        return read(cx, args.get(1), |cx, fields| {
            values(cx, fields, names);
            Ok(())
        });
    }
    let done = write(cx, args.get(1), Absent::Skip, |cx, fields| {
        let expiry = expiry(cx, options.life)?;
        let past = is_past(expiry, fields.now_ms());
        fields.events([match expiry {
            Expiry::At(_) if past => "hexpired",
            Expiry::At(_) => "hexpire",
            Expiry::Never | Expiry::Keep => "hpersist",
        }]);
        cx.reply.array(names.len());
        for name in names {
            let field = fields.field(name);
            cx.reply.bulk_or_null(field.as_ref().map(|(value, _)| &**value));
            match (field.map(|(_, old)| old), expiry) {
                (None, _) | (Some(None), Expiry::Never | Expiry::Keep) => (),
                (Some(_), _) if past => {
                    fields.remove(name);
                }
                (Some(_), Expiry::At(due)) => fields.set_expiry(name, Some(due))?,
                (Some(_), Expiry::Never | Expiry::Keep) => fields.set_expiry(name, None)?,
            }
        }
        Ok(())
    })?;
    if done.is_none() {
        expiry(cx, options.life)?;
        values(cx, None, names);
    }
    Ok(())
}

/// Replies the values of these fields.
fn values(cx: &mut Context<'_>, fields: Option<Fields<'_>>, names: Args<'_>) {
    cx.reply.array(names.len());
    for name in names {
        let value = fields.and_then(|fields| fields.get(name));
        cx.reply.bulk_or_null(value.as_deref());
    }
}

fn hsetex(cx: &mut Context<'_>, args: Args<'_>) -> Result<(), Error> {
    let (options, pairs) = parse(args, Taken::HSETEX, 2)?;
    let set = write(cx, args.get(1), Absent::Create, |cx, fields| {
        if !admits_key(options.condition, fields) {
            return Ok(false);
        }
        let expiry = expiry(cx, options.life)?;
        if !admits_fields(options.fields, fields, pairs) {
            return Ok(false);
        }
        if is_past(expiry, fields.now_ms()) {
            fields.events(["hset", "hexpire", "hexpired"]);
            names(pairs).for_each(|name| {
                fields.remove(name);
            });
            return Ok(true);
        }
        match expiry {
            Expiry::At(_) => fields.events(["hset", "hexpire"]),
            Expiry::Never | Expiry::Keep => fields.events(["hset"]),
        }
        fields.prepare(pairs.len() / 2)?;
        for at in (0..pairs.len()).step_by(2) {
            fields.insert(pairs.get(at), pairs.get(at + 1), expiry)?;
        }
        Ok(true)
    })?;
    cx.reply.integer((set == Some(true)).into());
    Ok(())
}

/// The fields of pairs of a field and a value.
fn names(pairs: Args<'_>) -> impl Iterator<Item = &[u8]> {
    (0..pairs.len()).step_by(2).map(move |at| pairs.get(at))
}

/// Whether `NX` or `XX` holds for the key.
fn admits_key(condition: Condition<'_>, fields: &FieldsMut<'_>) -> bool {
    // Only a hash that was not there has no field.
    let present = fields.as_fields().stored() > 0;
    match condition {
        Condition::Missing => !present,
        Condition::Present => present,
        Condition::Always | Condition::Equal(_) => true,
    }
}

/// Whether `FNX` or `FXX` holds for all of the fields.
fn admits_fields(condition: Condition<'_>, fields: &FieldsMut<'_>, pairs: Args<'_>) -> bool {
    match condition {
        Condition::Missing => names(pairs).all(|name| fields.field(name).is_none()),
        Condition::Present => names(pairs).all(|name| fields.field(name).is_some()),
        Condition::Always | Condition::Equal(_) => true,
    }
}

fn hgetdel(cx: &mut Context<'_>, args: Args<'_>) -> Result<(), Error> {
    if !args.get(2).eq_ignore_ascii_case(b"fields") {
        return Err(Error::SYNTAX);
    }
    let names = counted(args, 3, 1, Error::FIELD_COUNT)?;
    let done = write(cx, args.get(1), Absent::Skip, |cx, fields| {
        fields.events(["hdel"]);
        cx.reply.array(names.len());
        for name in names {
            let field = fields.field(name);
            cx.reply.bulk_or_null(field.as_ref().map(|(value, _)| &**value));
            fields.remove(name);
        }
        Ok(())
    })?;
    if done.is_none() {
        values(cx, None, names);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::command::testing::Rig;

    #[test]
    fn setting_with_conditions_and_times() {
        let mut rig = Rig::new();
        rig.check(&[
            ("HSETEX h XX FIELDS 1 a 1", ":0"),
            ("HSETEX h FXX FIELDS 1 a 1", ":0"),
            ("EXISTS h", ":0"),
            ("HSETEX h NX FNX EX 10 FIELDS 2 a 1 b 2", ":1"),
            ("HSETEX h NX FIELDS 1 c 1", ":0"),
            ("HSETEX h FNX FIELDS 2 c 1 a 1", ":0"),
            ("HSETEX h FXX FIELDS 2 c 1 a 1", ":0"),
            ("HSETEX h FXX KEEPTTL FIELDS 2 a 3 b 4", ":1"),
            ("HTTL h FIELDS 3 a b c", "*3|:10|:10|:-2"),
            ("HSETEX h FIELDS 1 a 5", ":1"),
            ("HTTL h FIELDS 1 a", "*1|:-1"),
            ("HSETEX h EX 0 FIELDS 1 a 5", ":1"),
            ("HGETALL h", "*2|$1|b|$1|4"),
            ("HSETEX h PXAT 1 FIELDS 2 b 5 c 6", ":1"),
            ("EXISTS h", ":0"),
            ("HSETEX h PXAT 1 FIELDS 1 b 5", ":1"),
            ("EXISTS h", ":0"),
            ("HSETEX h NX XX FIELDS 1 b 5", "-ERR syntax error"),
            ("HSETEX h EX 1 KEEPTTL FIELDS 1 b 5", "-ERR syntax error"),
            ("HSETEX h PERSIST FIELDS 1 b 5", "-ERR syntax error"),
            ("HSETEX h EX -1 FIELDS 1 b 5", "-ERR invalid expire time in 'hsetex' command"),
            ("HSETEX h EX x FIELDS 1 b 5", "-ERR value is not an integer or out of range"),
            (
                "HSETEX h FIELDS 2 b 5",
                "-ERR numfields should be greater than 0 and match the provided number of fields",
            ),
            ("SET s 1", "+OK"),
            ("HSETEX s EX x FIELDS 1 b 5", "-WRONGTYPE Operation against a key holding the wrong kind of value"),
        ]);
    }

    #[test]
    fn reading_and_changing_the_time_to_live() {
        let mut rig = Rig::new();
        rig.check(&[
            ("HSET h a 1 b 2", ":2"),
            ("HGETEX h EX 10 FIELDS 2 a x", "*2|$1|1|$-1"),
            ("HGETEX h FIELDS 2 a b", "*2|$1|1|$1|2"),
            ("HTTL h FIELDS 2 a b", "*2|:10|:-1"),
            ("HGETEX h PERSIST FIELDS 2 a b", "*2|$1|1|$1|2"),
            ("HTTL h FIELDS 2 a b", "*2|:-1|:-1"),
            ("HGETEX h EXAT 0 FIELDS 2 a b", "*2|$1|1|$1|2"),
            ("EXISTS h", ":0"),
            ("HGETEX h EX 1 FIELDS 2 a b", "*2|$-1|$-1"),
            ("HGETEX h EX x FIELDS 1 a", "-ERR value is not an integer or out of range"),
            ("HGETEX h KEEPTTL FIELDS 1 a", "-ERR syntax error"),
        ]);
    }

    #[test]
    fn reading_and_removing() {
        let mut rig = Rig::new();
        rig.check(&[
            ("HSET h a 1 b 2", ":2"),
            ("HGETDEL h FIELDS 3 a a x", "*3|$1|1|$-1|$-1"),
            ("HGETDEL h FOO 1 b", "-ERR syntax error"),
            ("HGETDEL h FIELDS 1 b", "*1|$1|2"),
            ("EXISTS h", ":0"),
            ("HGETDEL h FIELDS 1 b", "*1|$-1"),
        ]);
    }
}
