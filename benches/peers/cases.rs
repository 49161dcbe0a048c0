//! The cases: what is loaded before a point, and what the generator then sends.

use crate::options::Options;

/// A kind of command. One row here is all that a new case needs.
///
/// In `preload`, `__key__` is a 12-digit sequence number and `__data__` the value; in `command`, `__rand_int__` is a
/// random number below the keyspace, equally 12 digits, and `__data__` the value, as valkey-benchmark has them.
struct Family {
    name: &'static str,
    /// Sent once for every key of the keyspace before the measurement.
    preload: Option<&'static str>,
    command: &'static str,
    /// Whether values matter: a family without runs at the first size only.
    sized: bool,
    /// Whether it belongs to the default table.
    default: bool,
    /// Divides the operations, for commands that take much longer than a GET.
    cost: u64,
}

const STRINGS: Option<&str> = Some("SET key:__key__ __data__");

const FAMILIES: [Family; 12] = [
    Family { name: "GET", preload: STRINGS, command: "GET key:__rand_int__", sized: true, default: true, cost: 1 },
    Family {
        name: "SET",
        preload: STRINGS,
        command: "SET key:__rand_int__ __data__",
        sized: true,
        default: true,
        cost: 1,
    },
    plain("INCR", Some("SET key:__key__ 1"), "INCR key:__rand_int__"),
    plain("MGET", STRINGS, "MGET key:__rand_int__ key:__rand_int__ key:__rand_int__ key:__rand_int__"),
    plain("LPUSH", Some("RPUSH list:__key__ __data__"), "LPUSH list:__rand_int__ __data__"),
    plain("LRANGE", Some("RPUSH list a b c d e f g h i j"), "LRANGE list 0 9"),
    plain("SADD", Some("SADD set:__key__ a"), "SADD set:__rand_int__ member:__rand_int__"),
    plain("HSET", Some("HSET hash:__key__ field __data__"), "HSET hash:__rand_int__ field __data__"),
    plain("HGET", Some("HSET hash:__key__ field __data__"), "HGET hash:__rand_int__ field"),
    plain("ZADD", Some("ZADD zset __key__ member:__key__"), "ZADD zset __rand_int__ member:__rand_int__"),
    plain("ZRANK", Some("ZADD zset __key__ member:__key__"), "ZRANK zset member:__rand_int__"),
    plain("EVAL", STRINGS, "EVAL return~redis.call('GET',KEYS[1]) 1 key:__rand_int__"),
];

/// A family outside the default table that runs at one size.
const fn plain(name: &'static str, preload: Option<&'static str>, command: &'static str) -> Family {
    Family { name, preload, command, sized: false, default: false, cost: 2 }
}

/// One case, ready to run.
#[derive(Clone, Debug)]
pub(crate) struct Case {
    /// For the table and for `--cases`: family, value size, pipeline.
    pub(crate) name: String,
    /// The template of the loading command and how often it is sent.
    pub(crate) preload: Option<(Vec<String>, u64)>,
    /// The words of the measured command.
    pub(crate) command: Vec<String>,
    /// Bytes of `__data__`.
    pub(crate) size: usize,
    pub(crate) pipeline: usize,
    pub(crate) operations: u64,
}

/// The cases that the options choose.
pub(crate) fn choose(options: &Options) -> Vec<Case> {
    let mut cases = Vec::new();
    for family in &FAMILIES {
        let sizes = if family.sized { &options.sizes[..] } else { &options.sizes[..1] };
        for &size in sizes {
            for &pipeline in &options.pipelines {
                let case = build(family, size, pipeline, options);
                if wanted(&case.name, family.default, &options.cases) {
                    cases.push(case);
                }
            }
        }
    }
    cases
}

/// The cases of the scaling part: reads and writes, of which deep pipelines tell most about the store.
pub(crate) fn scaling(options: &Options) -> Vec<Case> {
    let size = options.sizes[0];
    FAMILIES.iter().filter(|family| family.default).map(|family| build(family, size, 16, options)).collect()
}

fn build(family: &Family, size: usize, pipeline: usize, options: &Options) -> Case {
    Case {
        name: format!("{} {size} B pipeline {pipeline}", family.name),
        preload: family.preload.map(|text| (words(text), options.keyspace)),
        command: words(family.command),
        size,
        pipeline,
        // A server does several times as much with a pipeline, so the points take about the same time.
        operations: (options.operations.saturating_mul(pipeline.min(8) as u64) / family.cost).max(1),
    }
}

/// Whether the name has one of the texts in it as whole words, so that `GET` is not also `HGET`, nor 1 also 16.
fn wanted(name: &str, default: bool, texts: &[String]) -> bool {
    if texts.is_empty() {
        return default;
    }
    let name = format!(" {} ", name.to_lowercase());
    texts.iter().any(|text| text == "all" || name.contains(&format!(" {} ", text.trim().to_lowercase())))
}

/// Blanks separate words and `~` stands for a blank inside one.
fn words(text: &str) -> Vec<String> {
    text.split(' ').map(|word| word.replace('~', " ")).collect()
}
