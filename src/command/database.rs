//! Whole databases.

use super::block;
use super::{Categories, Command, Context, Error, Flags, Group};
use crate::protocol::{Args, number};
use crate::store::Flushed;

const FLUSH_TIPS: &[&str] = &["request_policy:all_shards", "response_policy:all_succeeded"];
const DANGEROUS: Categories = Categories::KEYSPACE.and(Categories::DANGEROUS);

/// The family's rows.
pub(super) const COMMANDS: &[Command] = &[
    Command::new("dbsize", 1, dbsize)
        .flags(Flags::READONLY.and(Flags::FAST))
        .categories(Categories::KEYSPACE)
        .group(Group::Server)
        .tips(&["request_policy:all_shards", "response_policy:agg_sum"])
        .doc("Returns the number of keys in the database.", ""),
    Command::new("flushdb", -1, flushdb)
        .flags(Flags::WRITE)
        .categories(DANGEROUS)
        .group(Group::Server)
        .complexity("O(N) where N is the number of keys in the database.")
        .tips(FLUSH_TIPS)
        .doc("Removes all keys of the database.", "[ASYNC|SYNC]"),
    Command::new("flushall", -1, flushall)
        .flags(Flags::WRITE)
        .categories(DANGEROUS)
        .group(Group::Server)
        .complexity("O(N) where N is the number of keys in all databases.")
        .tips(FLUSH_TIPS)
        .doc("Removes all keys of all databases.", "[ASYNC|SYNC]"),
    Command::new("swapdb", 3, swapdb)
        .flags(Flags::WRITE.and(Flags::FAST))
        .categories(DANGEROUS)
        .group(Group::Server)
        .since("4.0.0")
        .complexity("O(N) where N is the number of clients that watch or wait for keys of the two databases.")
        .doc("Exchanges two databases.", "index1:integer index2:integer"),
];

fn dbsize(cx: &mut Context<'_>, _: Args<'_>) -> Result<(), Error> {
    let keys = cx.store.keyspace().totals(cx.store.database).keys;
    cx.reply.count(keys as usize);
    Ok(())
}

fn flushdb(cx: &mut Context<'_>, args: Args<'_>) -> Result<(), Error> {
    let lazily = is_lazy(cx, args)?;
    let flushed = cx.store.flush()?;
    block::serve_database_later(cx.worker, cx.store.database);
    finish_flush(cx, flushed, lazily);
    Ok(())
}

fn flushall(cx: &mut Context<'_>, args: Args<'_>) -> Result<(), Error> {
    let lazily = is_lazy(cx, args)?;
    let flushed = cx.store.flush_all()?;
    (0..cx.store.keyspace().databases()).for_each(|database| block::serve_database_later(cx.worker, database));
    finish_flush(cx, flushed, lazily);
    Ok(())
}

/// Whether a flush leaves the freeing to another thread.
fn is_lazy(cx: &Context<'_>, args: Args<'_>) -> Result<bool, Error> {
    match args.nth(1) {
        None => Ok(cx.settings().lazyfree_lazy_user_flush),
        Some(_) if args.len() > 2 => Err(Error::SYNTAX),
        Some(mode) if mode.eq_ignore_ascii_case(b"sync") => Ok(false),
        Some(mode) if mode.eq_ignore_ascii_case(b"async") => Ok(true),
        Some(_) => Err(Error::SYNTAX),
    }
}

fn finish_flush(cx: &mut Context<'_>, flushed: Flushed, lazily: bool) {
    // The entry is over by now: other workers go on while this one frees.
    if lazily {
        flushed.reclaim_later();
    } else {
        drop(flushed);
    }
    cx.store.count_changes(1);
    cx.reply.ok();
}

fn swapdb(cx: &mut Context<'_>, args: Args<'_>) -> Result<(), Error> {
    let index = |at: usize, error: &'static str| {
        let index = number::parse_i64(args.get(at)).and_then(|index| i32::try_from(index).ok());
        index.ok_or_else(|| Error::new(error))
    };
    let (a, b) = (index(1, "invalid first DB index")?, index(2, "invalid second DB index")?);
    let databases = cx.store.keyspace().databases();
    let check = |index: i32| usize::try_from(index).ok().filter(|&index| index < databases).ok_or(Error::DB_RANGE);
    let (a, b) = (check(a)?, check(b)?);
    cx.store.swap(a, b)?;
    [a, b].into_iter().for_each(|database| block::serve_database_later(cx.worker, database));
    cx.store.count_changes(1);
    cx.reply.ok();
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::command::testing::Rig;

    #[test]
    fn flushing() {
        let mut rig = Rig::new();
        rig.check(&[
            ("FLUSHDB foo", "-ERR syntax error"),
            ("FLUSHALL sync async", "-ERR syntax error"),
            ("SET a 1", "+OK"),
            ("COPY a a DB 1", ":1"),
            ("DBSIZE", ":1"),
            ("FLUSHDB", "+OK"),
            ("DBSIZE", ":0"),
            ("GET a", "$-1"),
            ("SET a 1", "+OK"),
        ]);
        rig.client.select(1);
        rig.check(&[("DBSIZE", ":1"), ("FLUSHALL async", "+OK"), ("DBSIZE", ":0")]);
        rig.client.select(0);
        rig.check(&[("DBSIZE", ":0"), ("SET a 2", "+OK"), ("FLUSHALL SYNC", "+OK"), ("KEYS *", "*0")]);
        assert_eq!(rig.worker.node.keyspace.totals_of_all(), Default::default());
    }

    #[test]
    fn those_that_wait_hear_that_a_database_changed_as_a_whole() {
        let mut rig = Rig::new();
        rig.check(&[
            ("XGROUP CREATE s g $ MKSTREAM", "+OK"),
            ("SELECT 1", "+OK"),
            ("RPUSH l a", ":1"),
            ("SELECT 0", "+OK"),
        ]);
        let waiting = |rig: &mut Rig, request: &str| {
            let mut waiting = rig.connect();
            std::mem::swap(&mut rig.client, &mut waiting);
            assert_eq!(rig.run(request), "", "{request}");
            std::mem::swap(&mut rig.client, &mut waiting);
            waiting.waiter.expect("it waits")
        };
        let (reader, taker) =
            (waiting(&mut rig, "XREADGROUP GROUP g c BLOCK 0 STREAMS s >"), waiting(&mut rig, "BLPOP l 0"));
        assert!(rig.run("INFO clients").contains("total_blocking_keys_on_nokey:1"));
        rig.run("FLUSHDB");
        crate::command::serve_later(&rig.worker);
        assert!(String::from_utf8_lossy(&reader.take_reply()).starts_with("-NOGROUP"));
        rig.run("SWAPDB 0 1");
        crate::command::serve_later(&rig.worker);
        assert_eq!(taker.take_reply(), b"*2\r\n$1\r\nl\r\n$1\r\na\r\n");
        assert_eq!(rig.worker.node.waiters.len(), 0);
    }

    #[test]
    fn swapping() {
        let mut rig = Rig::new();
        rig.check(&[
            ("SWAPDB x 0", "-ERR invalid first DB index"),
            ("SWAPDB 0 x", "-ERR invalid second DB index"),
            ("SWAPDB 99999999999 0", "-ERR invalid first DB index"),
            ("SWAPDB 0 16", "-ERR DB index is out of range"),
            ("SWAPDB -1 0", "-ERR DB index is out of range"),
            ("SWAPDB 0 0", "+OK"),
            ("SET a 1", "+OK"),
            ("PEXPIRE a 50", ":1"),
            ("SWAPDB 0 2", "+OK"),
            ("DBSIZE", ":0"),
            ("SET b 2", "+OK"),
        ]);
        rig.client.select(2);
        rig.check(&[("GET a", "$1|1"), ("DBSIZE", ":1")]);
        // The timer finds the key where it went.
        let worker = &rig.worker;
        worker.node.keyspace.expire_due(&worker.local, worker.now_ms + 100, usize::MAX);
        rig.check(&[("DBSIZE", ":0"), ("SWAPDB 2 0", "+OK"), ("GET b", "$1|2")]);
    }
}
