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
    /// Whether it belongs to the table of the data types.
    typed: bool,
    /// Divides the operations, for commands that take much longer than a GET.
    cost: u64,
}

const STRINGS: Option<&str> = Some("SET key:__key__ __data__");

/// Ten elements each; a collection of ten for every key; one large one.
const TEN: Option<&str> = Some("RPUSH list a b c d e f g h i j");
const HASHES: Option<&str> = Some("HSET hash:__key__ f1 __data__ f2 __data__ f3 __data__");
const MEMBERS: Option<&str> = Some("ZADD zset __key__ member:__key__");

const FAMILIES: &[Family] = &[
    Family {
        name: "GET",
        preload: STRINGS,
        command: "GET key:__rand_int__",
        sized: true,
        default: true,
        typed: false,
        cost: 1,
    },
    Family {
        name: "SET",
        preload: STRINGS,
        command: "SET key:__rand_int__ __data__",
        sized: true,
        default: true,
        typed: false,
        cost: 1,
    },
    plain("INCR", Some("SET key:__key__ 1"), "INCR key:__rand_int__"),
    plain("MGET", STRINGS, "MGET key:__rand_int__ key:__rand_int__ key:__rand_int__ key:__rand_int__"),
    typed("MSET", STRINGS, MSET).costing(20),
    typed("LPUSH", None, "LPUSH list __data__"),
    typed("RPUSH", None, "RPUSH list __data__"),
    typed("LPOP", Some("RPUSH list a b c d e f g h i j k l m n o p q r s t"), "LPOP list"),
    typed("RPOP", Some("RPUSH list a b c d e f g h i j k l m n o p q r s t"), "RPOP list"),
    typed("LPUSH-MANY", Some("RPUSH list:__key__ __data__"), "LPUSH list:__rand_int__ __data__"),
    typed("LRANGE-10", TEN, "LRANGE list 0 9"),
    typed("LRANGE-100", TEN, "LRANGE list 0 99").costing(10),
    typed("LRANGE-300", TEN, "LRANGE list 0 299").costing(30),
    typed("LRANGE-500", TEN, "LRANGE list 0 499").costing(50),
    typed("LRANGE-600", TEN, "LRANGE list 0 599").costing(60),
    typed("SADD", None, "SADD set element:__rand_int__"),
    typed("SADD-MANY", Some("SADD set:__key__ a"), "SADD set:__rand_int__ member:__rand_int__"),
    typed("SPOP", Some("SADD set element:__key__"), "SPOP set").costing(8),
    typed("SISMEMBER", Some("SADD set element:__key__"), "SISMEMBER set element:__rand_int__"),
    typed("SINTER", Some("SADD set:__key__ a b c d e f"), "SINTER set:__rand_int__ set:__rand_int__"),
    typed("HSET", None, "HSET hash element:__rand_int__ __data__"),
    typed("HSET-MANY", HASHES, "HSET hash:__rand_int__ f2 __data__"),
    typed("HGET", HASHES, "HGET hash:__rand_int__ f2"),
    typed("HGETALL", HASHES, "HGETALL hash:__rand_int__"),
    typed("HINCRBY", Some("HSET hash element:__key__ 1"), "HINCRBY hash element:__rand_int__ 1"),
    typed("ZADD", MEMBERS, "ZADD zset __rand_int__ member:__rand_int__"),
    typed("ZPOPMIN", MEMBERS, "ZPOPMIN zset").costing(8),
    typed("ZRANGE", MEMBERS, "ZRANGE zset 1000 1009"),
    typed("ZRANK", MEMBERS, "ZRANK zset member:__rand_int__"),
    typed("ZSCORE", MEMBERS, "ZSCORE zset member:__rand_int__"),
    typed("XADD", None, "XADD stream * field __data__"),
    typed("XRANGE", Some("XADD stream * field __data__"), "XRANGE stream - + COUNT 10"),
    typed("PFADD", None, "PFADD hll element:__rand_int__"),
    typed("GEOSEARCH", Some("GEOADD geo 2.35 48.85 a 4.83 45.76 b 5.37 43.29 c 7.26 43.7 d"), GEOSEARCH),
    plain("EVAL", STRINGS, "EVAL return~redis.call('GET',KEYS[1]) 1 key:__rand_int__"),
];

const MSET: &str = "MSET key:__rand_int__ __data__ key:__rand_int__ __data__ key:__rand_int__ __data__ \
                    key:__rand_int__ __data__ key:__rand_int__ __data__ key:__rand_int__ __data__ key:__rand_int__ \
                    __data__ key:__rand_int__ __data__ key:__rand_int__ __data__ key:__rand_int__ __data__";
const GEOSEARCH: &str = "GEOSEARCH geo FROMLONLAT 3 46 BYRADIUS 500 km ASC";

/// A family of the data types' table, `--cases type`: that word is in its name.
const fn typed(name: &'static str, preload: Option<&'static str>, command: &'static str) -> Family {
    Family { name, preload, command, sized: false, default: false, typed: true, cost: 2 }
}

impl Family {
    /// Divides the operations by so much.
    const fn costing(mut self, cost: u64) -> Family {
        self.cost = cost;
        self
    }
}

/// A family outside the default table that runs at one size.
const fn plain(name: &'static str, preload: Option<&'static str>, command: &'static str) -> Family {
    Family { name, preload, command, sized: false, default: false, typed: false, cost: 2 }
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
    for family in FAMILIES {
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
        name: format!("{}{} {size} B pipeline {pipeline}", family.name, if family.typed { " type" } else { "" }),
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
