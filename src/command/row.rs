//! A row of the command table: everything that is known of one command.
//!
//! A row is written where its function is, by the builder methods below, and everything else follows from it: arity and
//! key checks, routing, `COMMAND INFO`, `DOCS`, `GETKEYS` and `LIST`, ACL categories, statistics, and the docs page.

use super::context::Context;
use super::error::Error;
use super::keyspec::{Access, Channels, KeySpec};
use crate::protocol::Args;

/// What a command runs. It writes its reply and returns, or returns the error that becomes the reply.
pub type Run = fn(&mut Context<'_>, Args<'_>) -> Result<(), Error>;

/// A command or subcommand.
#[derive(Clone, Copy)]
pub struct Command {
    /// The name in lower case; a subcommand's own name, without its container's.
    pub name: &'static str,
    /// The number of arguments with the name; negative: at least that many.
    pub arity: i32,
    /// Properties as `COMMAND INFO` names them.
    pub flags: Flags,
    /// Where the keys are.
    pub keys: &'static [KeySpec],
    /// What one call does with its keys, of a command whose arguments decide it.
    pub access: Option<fn(Args<'_>) -> Access>,
    /// Where the channels are that the user has to be allowed to use.
    pub channels: Channels,
    /// ACL categories beyond those that flags and group imply.
    pub categories: Categories,
    /// The family that it belongs to.
    pub group: Group,
    /// The version of Redis (or Valkey) that first had it.
    pub since: &'static str,
    /// The cost as `COMMAND DOCS` states it.
    pub complexity: &'static str,
    /// One sentence of our own.
    pub summary: &'static str,
    /// The arguments in the notation of [`super::syntax`], such as `key [count:integer]`.
    pub syntax: &'static str,
    /// What it was renamed to, and the version that did it.
    pub replaced_by: Option<(&'static str, &'static str)>,
    /// Hints for clients and proxies.
    pub tips: &'static [&'static str],
    /// Subcommands; then `run` is called without any, if the arity allows that.
    pub subcommands: &'static [Command],
    /// Whether it is of the server's own workings, which `COMMAND DOCS` marks as `syscmd`.
    pub internal: bool,
    /// Whether the shards of its keys are entered alone even for a single key: it goes to the key more than once.
    pub exclusive: bool,
    /// Whether it enters by itself what it needs: that shows only once it runs.
    pub enters_itself: bool,
    /// Whether it may run for so long that others are to be served meanwhile.
    pub may_take_long: bool,
    /// Whether it runs at once even between `MULTI` and `EXEC`.
    pub immediate: bool,
    /// The function.
    pub run: Run,
}

impl Command {
    /// A command that runs `run`.
    pub const fn new(name: &'static str, arity: i32, run: Run) -> Self {
        Command {
            name,
            arity,
            flags: Flags(0),
            keys: &[],
            access: None,
            channels: Channels::None,
            categories: Categories(0),
            group: Group::Generic,
            since: "1.0.0",
            complexity: "O(1)",
            summary: "",
            syntax: "",
            replaced_by: None,
            tips: &[],
            subcommands: &[],
            internal: false,
            exclusive: false,
            enters_itself: false,
            may_take_long: false,
            immediate: false,
            run,
        }
    }

    /// A command that only has subcommands.
    pub const fn container(name: &'static str, subcommands: &'static [Command]) -> Self {
        let mut row = Command::new(name, -2, |_, _| Err(Error::SYNTAX));
        row.subcommands = subcommands;
        row.complexity = "Depends on subcommand.";
        row
    }

    /// Sets the flags.
    pub const fn flags(mut self, flags: Flags) -> Self {
        self.flags = flags;
        self
    }
    /// Sets where the keys are.
    pub const fn keys(mut self, keys: &'static [KeySpec]) -> Self {
        self.keys = keys;
        self
    }
    /// Has the shards of its keys entered alone even for a single key.
    pub const fn exclusive(mut self) -> Self {
        self.exclusive = true;
        self
    }
    /// Has it enter by itself what it needs.
    pub const fn enters_itself(mut self) -> Self {
        self.enters_itself = true;
        self.exclusive = true;
        self
    }
    /// Notes that it may run for so long that others are to be served meanwhile.
    pub const fn may_take_long(mut self) -> Self {
        self.may_take_long = true;
        self
    }
    /// Has it run at once even between `MULTI` and `EXEC`.
    pub const fn immediate(mut self) -> Self {
        self.immediate = true;
        self
    }
    /// Sets how to tell what one call does with its keys.
    pub const fn access(mut self, access: fn(Args<'_>) -> Access) -> Self {
        self.access = Some(access);
        self
    }
    /// Sets where the channels are that the user has to be allowed to use.
    pub const fn channels(mut self, channels: Channels) -> Self {
        self.channels = channels;
        self
    }
    /// Sets ACL categories beyond those that follow from flags and group.
    pub const fn categories(mut self, categories: Categories) -> Self {
        self.categories = categories;
        self
    }
    /// Sets the family.
    pub const fn group(mut self, group: Group) -> Self {
        self.group = group;
        self
    }
    /// Sets the version that first had it.
    pub const fn since(mut self, version: &'static str) -> Self {
        self.since = version;
        self
    }
    /// Sets the cost.
    pub const fn complexity(mut self, complexity: &'static str) -> Self {
        self.complexity = complexity;
        self
    }
    /// Sets the summary and the arguments' notation.
    pub const fn doc(mut self, summary: &'static str, syntax: &'static str) -> Self {
        self.summary = summary;
        self.syntax = syntax;
        self
    }
    /// Marks it as replaced.
    pub const fn replaced_by(mut self, what: &'static str, since: &'static str) -> Self {
        self.replaced_by = Some((what, since));
        self
    }
    /// Sets the subcommands of a command that also runs without one.
    pub const fn subcommands(mut self, subcommands: &'static [Command]) -> Self {
        self.subcommands = subcommands;
        self
    }
    /// Marks it as of the server's own workings.
    pub const fn internal(mut self) -> Self {
        self.internal = true;
        self
    }
    /// Sets hints for clients and proxies (`nondeterministic_output`, `request_policy:all_shards` …).
    pub const fn tips(mut self, tips: &'static [&'static str]) -> Self {
        self.tips = tips;
        self
    }

    /// Whether `count` arguments, the name included, satisfy the arity.
    #[inline]
    pub const fn accepts(&self, count: usize) -> bool {
        if self.arity >= 0 { count == self.arity as usize } else { count >= self.arity.unsigned_abs() as usize }
    }

    /// All ACL categories: those given, and those that follow from flags and group.
    pub const fn all_categories(&self) -> Categories {
        // A mere container of subcommands is in no category but that of its flags.
        let mere = !self.subcommands.is_empty() && self.arity == -2;
        // A generic command that names types, or the connection, is in their categories instead of in that of all keys.
        let typed = matches!(self.group, Group::Generic)
            && self.categories.0
                & (Categories::LIST.0 | Categories::SET.0 | Categories::SORTEDSET.0 | Categories::CONNECTION.0)
                != 0;
        let mut bits = self.categories.0 | if mere || typed { 0 } else { self.group.category().0 };
        const IMPLIED: [(Flags, Categories); 7] = [
            (Flags::WRITE, Categories::WRITE),
            (Flags::READONLY, Categories::READ),
            (Flags::ADMIN, Categories::ADMIN),
            (Flags::ADMIN, Categories::DANGEROUS),
            (Flags::PUBSUB, Categories::PUBSUB),
            (Flags::FAST, Categories::FAST),
            (Flags::BLOCKING, Categories::BLOCKING),
        ];
        let mut i = 0;
        while i < IMPLIED.len() {
            let (flag, category) = IMPLIED[i];
            // A script's flags say what it may do, not what it reads.
            let scripting = matches!(self.group, Group::Scripting) && category.0 == Categories::READ.0;
            if self.flags.contains(flag) && !scripting {
                bits |= category.0;
            }
            i += 1;
        }
        if !self.flags.contains(Flags::FAST) {
            bits |= Categories::SLOW.0;
        }
        Categories(bits)
    }
}

/// Declares a set of named bits.
macro_rules! bits {
    ($(#[$meta:meta])* $type:ident($repr:ty) { $($(#[$doc:meta])* $name:ident = $bit:literal, $text:literal;)+ }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct $type(pub $repr);

        impl $type {
            /// None.
            pub const NONE: $type = $type(0);
            $($(#[$doc])* pub const $name: $type = $type(1 << $bit);)+

            /// Each with its name.
            pub const NAMES: &'static [($type, &'static str)] = &[$(($type::$name, $text)),+];

            /// All of `self` and `other`.
            pub const fn and(self, other: $type) -> $type {
                $type(self.0 | other.0)
            }
            /// Whether all of `other` are in `self`.
            #[inline]
            pub const fn contains(self, other: $type) -> bool {
                self.0 & other.0 == other.0
            }
            /// The names of those that are set.
            pub fn names(self) -> impl Iterator<Item = &'static str> + Clone {
                Self::NAMES.iter().filter(move |(bit, _)| self.contains(*bit)).map(|(_, name)| *name)
            }
        }

        impl std::ops::BitOr for $type {
            type Output = $type;
            fn bitor(self, other: $type) -> $type {
                self.and(other)
            }
        }
    };
}

pub(super) use bits;

bits! {
    /// Properties of a command, with the names that `COMMAND INFO` gives them.
    Flags(u32) {
        /// May change keys.
        WRITE = 0, "write";
        /// Only reads keys.
        READONLY = 1, "readonly";
        /// May take memory, so it is refused when memory is short.
        DENYOOM = 2, "denyoom";
        /// For administrators.
        ADMIN = 3, "admin";
        /// Of publish and subscribe.
        PUBSUB = 4, "pubsub";
        /// Not in scripts.
        NOSCRIPT = 5, "noscript";
        /// May block its client.
        BLOCKING = 6, "blocking";
        /// Allowed while data is loaded.
        LOADING = 7, "loading";
        /// Allowed on a replica that lost its master.
        STALE = 8, "stale";
        /// Not shown by MONITOR.
        SKIP_MONITOR = 9, "skip_monitor";
        /// Not in the slow log.
        SKIP_SLOWLOG = 10, "skip_slowlog";
        /// Constant or logarithmic time.
        FAST = 11, "fast";
        /// Allowed before authentication.
        NO_AUTH = 12, "no_auth";
        /// May be replicated although it is no write.
        MAY_REPLICATE = 13, "may_replicate";
        /// Its keys may be none.
        NO_MANDATORY_KEYS = 14, "no_mandatory_keys";
        /// Its keys are not where a range tells.
        MOVABLE_KEYS = 15, "movablekeys";
        /// Not in transactions.
        NO_MULTI = 16, "no_multi";
        /// Allowed while a script is too slow.
        ALLOW_BUSY = 17, "allow_busy";
        /// Reads or takes keys in cluster mode after ASKING.
        ASKING = 18, "asking";
        /// Not while data is loaded asynchronously.
        NO_ASYNC_LOADING = 19, "no_async_loading";
    }
}

bits! {
    /// ACL categories.
    Categories(u32) {
        /// Of keys whatever their type.
        KEYSPACE = 0, "keyspace";
        /// Reads.
        READ = 1, "read";
        /// Writes.
        WRITE = 2, "write";
        /// Sets.
        SET = 3, "set";
        /// Sorted sets.
        SORTEDSET = 4, "sortedset";
        /// Lists.
        LIST = 5, "list";
        /// Hashes.
        HASH = 6, "hash";
        /// Strings.
        STRING = 7, "string";
        /// Bitmaps.
        BITMAP = 8, "bitmap";
        /// HyperLogLogs.
        HYPERLOGLOG = 9, "hyperloglog";
        /// Geospatial indexes.
        GEO = 10, "geo";
        /// Streams.
        STREAM = 11, "stream";
        /// Publish and subscribe.
        PUBSUB = 12, "pubsub";
        /// For administrators.
        ADMIN = 13, "admin";
        /// Constant or logarithmic time.
        FAST = 14, "fast";
        /// Not fast.
        SLOW = 15, "slow";
        /// May block.
        BLOCKING = 16, "blocking";
        /// May hurt.
        DANGEROUS = 17, "dangerous";
        /// Of the connection.
        CONNECTION = 18, "connection";
        /// Transactions.
        TRANSACTION = 19, "transaction";
        /// Scripts.
        SCRIPTING = 20, "scripting";
    }
}

/// A family of commands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are the documentation")]
pub enum Group {
    Bitmap,
    Cluster,
    Connection,
    Generic,
    Geo,
    Hash,
    Hyperloglog,
    List,
    Pubsub,
    Scripting,
    Sentinel,
    Server,
    Set,
    SortedSet,
    Stream,
    String,
    Transactions,
}

impl Group {
    /// The name that `COMMAND DOCS` gives it.
    pub const fn name(self) -> &'static str {
        match self {
            Group::Bitmap => "bitmap",
            Group::Cluster => "cluster",
            Group::Connection => "connection",
            Group::Generic => "generic",
            Group::Geo => "geo",
            Group::Hash => "hash",
            Group::Hyperloglog => "hyperloglog",
            Group::List => "list",
            Group::Pubsub => "pubsub",
            Group::Scripting => "scripting",
            Group::Sentinel => "sentinel",
            Group::Server => "server",
            Group::Set => "set",
            Group::SortedSet => "sorted-set",
            Group::Stream => "stream",
            Group::String => "string",
            Group::Transactions => "transactions",
        }
    }

    /// The ACL category of the whole family.
    const fn category(self) -> Categories {
        match self {
            Group::Bitmap => Categories::BITMAP,
            Group::Connection => Categories::CONNECTION,
            Group::Generic => Categories::KEYSPACE,
            Group::Geo => Categories::GEO,
            Group::Hash => Categories::HASH,
            Group::Hyperloglog => Categories::HYPERLOGLOG,
            Group::List => Categories::LIST,
            // By their flags.
            Group::Pubsub => Categories::NONE,
            Group::Scripting => Categories::SCRIPTING,
            Group::Set => Categories::SET,
            Group::SortedSet => Categories::SORTEDSET,
            Group::Stream => Categories::STREAM,
            Group::String => Categories::STRING,
            Group::Transactions => Categories::TRANSACTION,
            Group::Cluster | Group::Sentinel | Group::Server => Categories::NONE,
        }
    }
}
