//! Errors of commands, in Redis's words: clients match on them.

use std::borrow::Cow;

use crate::store::Busy;

/// Why a command failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Error {
    /// The reply, beginning with its code.
    Reply(Cow<'static, str>),
    /// A reply that repeats a client's words, which need not be text.
    Quoting(Box<[u8]>),
    /// There is nothing yet: the client waits, and gets its reply later.
    Waits,
    /// Another worker owns what the command needs: nothing happened, and it is to be run again.
    Busy,
}

macro_rules! texts {
    ($($(#[$doc:meta])* $name:ident = $text:literal;)+) => {
        impl Error {
            $($(#[$doc])* pub const $name: Error = Error::Reply(Cow::Borrowed($text));)+
        }
    };
}

texts! {
    /// A command that needs memory beyond `maxmemory`.
    OUT_OF_MEMORY = "OOM command not allowed when used memory > 'maxmemory'.";
    /// Options that do not fit.
    SYNTAX = "ERR syntax error";
    /// A value of another type.
    WRONG_TYPE = "WRONGTYPE Operation against a key holding the wrong kind of value";
    /// Not a 64-bit integer.
    NOT_INTEGER = "ERR value is not an integer or out of range";
    /// Not a number.
    NOT_FLOAT = "ERR value is not a valid float";
    /// INCR beyond 64 bits.
    OVERFLOW = "ERR increment or decrement would overflow";
    /// HINCRBY of something else.
    HASH_NOT_INTEGER = "ERR hash value is not an integer";
    /// HINCRBYFLOAT of something else.
    HASH_NOT_FLOAT = "ERR hash value is not a float";
    /// HINCRBYFLOAT by what is no finite number.
    INFINITE_INCREMENT = "ERR value is NaN or Infinity";
    /// Commands on fields of hashes, with another number of fields than they say.
    FIELD_COUNT = "ERR numfields should be greater than 0 and match the provided number of fields";
    /// A reply that a few words make longer than a string may be.
    REPLY_TOO_LONG = "ERR the reply would exceed proto-max-bulk-len, ask for fewer elements";
    /// INCRBYFLOAT beyond numbers.
    NAN_OR_INFINITY = "ERR increment would produce NaN or Infinity";
    /// A string beyond `proto-max-bulk-len`.
    TOO_LONG = "ERR string exceeds maximum allowed size (proto-max-bulk-len)";
    /// A string for which there is no memory.
    NO_MEMORY = "ERR not enough memory for a string of this length; free some, or lower proto-max-bulk-len";
    /// DECRBY of the least integer, which has no positive counterpart.
    DECREMENT_OVERFLOW = "ERR decrement would overflow";
    /// A bit's index that is no number or beyond the longest string.
    BIT_OFFSET = "ERR bit offset is not an integer or out of range";
    /// SETBIT with something else than 0 and 1.
    BIT_VALUE = "ERR bit is not an integer or out of range";
    /// BITPOS with something else than 0 and 1.
    BIT_ARGUMENT = "ERR The bit argument must be 1 or 0.";
    /// BITOP NOT of several strings.
    BITOP_NOT = "ERR BITOP NOT must be called with a single source key.";
    /// BITFIELD with a type that there is not.
    BITFIELD_TYPE =
        "ERR Invalid bitfield type. Use something like i16 u8. Note that u64 is not supported but i64 is.";
    /// BITFIELD with an overflow behaviour that there is not.
    BITFIELD_OVERFLOW = "ERR Invalid OVERFLOW type specified";
    /// BITFIELD_RO that would write.
    BITFIELD_READ_ONLY = "ERR BITFIELD_RO only supports the GET subcommand";
    /// MSETEX with a count of keys that cannot be.
    KEY_COUNT = "ERR invalid numkeys value or out of range";
    /// LCS of another type.
    LCS_TYPE = "ERR The specified keys must contain string values";
    /// LCS with both LEN and IDX.
    LCS_OPTIONS = "ERR If you want both the length and indexes, please just use IDX.";
    /// LCS of strings beyond 32 bits.
    LCS_LENGTH = "ERR String too long for LCS";
    /// LCS whose table would be larger than a string may be.
    LCS_LIMIT = "ERR Insufficient memory, transient memory for LCS exceeds proto-max-bulk-len";
    /// LCS whose table does not fit into memory.
    LCS_MEMORY = "ERR Insufficient memory, failed allocating transient memory for LCS";
    /// A unit of length that there is not.
    GEO_UNIT = "ERR unsupported unit provided. please use M, KM, FT, MI";
    /// A search around a member that is not there.
    GEO_MEMBER = "ERR could not decode requested zset member";
    /// A search for no result.
    GEO_COUNT = "ERR COUNT must be > 0";
    /// A search for any results without saying how many.
    GEO_ANY = "ERR the ANY argument requires COUNT argument";
    /// A radius that is no number.
    GEO_RADIUS = "ERR need numeric radius";
    /// A radius below zero.
    GEO_RADIUS_NEGATIVE = "ERR radius cannot be negative";
    /// A width that is no number.
    GEO_WIDTH = "ERR need numeric width";
    /// A height that is no number.
    GEO_HEIGHT = "ERR need numeric height";
    /// A box with a side below zero.
    GEO_BOX_NEGATIVE = "ERR height or width cannot be negative";
    /// GEORADIUS that would both store and tell details.
    GEO_STORE = "ERR STORE option in GEORADIUS is not compatible with WITHDIST, WITHHASH and WITHCOORD options";
    /// GEOSEARCHSTORE with details, which it has nobody to tell.
    GEO_SEARCH_STORE = "ERR GEOSEARCHSTORE is not compatible with WITHDIST, WITHHASH and WITHCOORD options";
    /// An index before the start.
    OFFSET_RANGE = "ERR offset is out of range";
    /// A number out of the range of what it counts.
    VALUE_RANGE = "ERR value is out of range";
    /// A number that must be positive.
    NOT_POSITIVE = "ERR value is out of range, must be positive";
    /// An index beyond the end.
    INDEX_RANGE = "ERR index out of range";
    /// SELECT and its kin.
    DB_RANGE = "ERR DB index is out of range";
    /// EVALSHA of what is not there.
    NO_SCRIPT = "NOSCRIPT No matching script. Please use EVAL.";
    /// SCRIPT KILL and FUNCTION KILL with nothing to end.
    NOT_BUSY = "NOTBUSY No scripts in execution right now.";
    /// SCRIPT KILL of a script that has written.
    UNKILLABLE = "UNKILLABLE Sorry the script already executed write commands against the dataset. You can either wait the script termination or kill the server in a hard way using the SHUTDOWN NOSAVE command.";
    /// A script has been running for long.
    SCRIPT_BUSY = "BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.";
    /// A function has been running for long.
    FUNCTION_BUSY = "BUSY Redis is busy running a script. You can only call FUNCTION KILL or SHUTDOWN NOSAVE.";
    /// A script with more keys than arguments.
    TOO_MANY_KEYS = "ERR Number of keys can't be greater than number of args";
    /// A script with fewer than no keys.
    NEGATIVE_KEYS = "ERR Number of keys can't be negative";
    /// FCALL with a number of keys that is none.
    BAD_KEY_COUNT = "ERR Bad number of keys provided";
    /// FCALL of what is not there.
    NO_FUNCTION = "ERR Function not found";
    /// EVAL_RO and its kin with a script that says that it writes.
    SCRIPT_WRITES = "ERR Can not execute a script with write flag using *_ro command.";
    /// No such key.
    NO_KEY = "ERR no such key";
    /// RESTORE of a key that is there.
    BUSY_KEY = "BUSYKEY Target key name already exists.";
    /// RESTORE of a payload that is of no known version, or changed.
    PAYLOAD = "ERR DUMP payload version or checksum are wrong";
    /// RESTORE of a payload that is no value.
    BAD_FORMAT = "ERR Bad data format";
    /// Source and destination are one.
    SAME_OBJECT = "ERR source and destination objects are the same";
    /// SCAN's cursor.
    CURSOR = "ERR invalid cursor";
    /// MULTI within MULTI.
    MULTI_NESTED = "ERR MULTI calls can not be nested";
    /// EXEC without MULTI.
    EXEC_ALONE = "ERR EXEC without MULTI";
    /// DISCARD without MULTI.
    DISCARD_ALONE = "ERR DISCARD without MULTI";
    /// WATCH within MULTI.
    WATCH_IN_MULTI = "ERR WATCH inside MULTI is not allowed";
    /// EXEC after a command was refused.
    EXEC_ABORT = "EXECABORT Transaction discarded because of previous errors.";
    /// A queue that takes too much memory.
    TRANSACTION_TOO_LONG = "ERR the transaction is longer than client-query-buffer-limit";
    /// A command that a transaction may not hold.
    NOT_IN_MULTI = "ERR Command not allowed inside a transaction";
    /// A wait of a number of seconds that is none.
    TIMEOUT_NOT_FLOAT = "ERR timeout is not a float or out of range";
    /// A wait of a number of milliseconds that is none.
    TIMEOUT_NOT_INTEGER = "ERR timeout is not an integer or out of range";
    /// A wait into the past.
    TIMEOUT_NEGATIVE = "ERR timeout is negative";
    /// A wait beyond the end of time.
    TIMEOUT_RANGE = "ERR timeout is out of range";
    /// CLUSTER and its kin.
    NO_CLUSTER = "ERR This instance has cluster support disabled";
    /// MODULE LOAD and its kin.
    NO_MODULES = "ERR MODULE command not allowed. If the enable-module-command option is set to \"local\", you can run it from a local connection, otherwise you need to set this option in the configuration file, and then restart the server.";
    /// A command before authentication.
    MISCONF = "MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist to disk. Commands that may modify the data set are disabled, because this instance is configured to report errors during writes if RDB snapshotting fails (stop-writes-on-bgsave-error option). Please check the Redis logs for details about the RDB error.";
    /// A command before AUTH.
    NO_AUTH = "NOAUTH Authentication required.";
    /// AUTH with a wrong password.
    WRONG_PASS = "WRONGPASS invalid username-password pair or user is disabled.";
}

impl Error {
    /// An error of code `ERR` with a text of its own.
    pub fn new(text: impl Into<Cow<'static, str>>) -> Error {
        let text = text.into();
        Error::Reply(format!("ERR {text}").into())
    }

    /// An error whose text brings its own code.
    pub fn coded(text: impl Into<Cow<'static, str>>) -> Error {
        Error::Reply(text.into())
    }

    /// The same as the reason why a transaction was discarded.
    pub fn aborting(self) -> Error {
        match self {
            Error::Reply(text) => Error::Reply(format!("EXECABORT Transaction discarded because of: {text}").into()),
            Error::Quoting(text) => {
                Error::Quoting([b"EXECABORT Transaction discarded because of: ", &*text].concat().into())
            }
            error => error,
        }
    }

    /// `wrong number of arguments` for a command by its full name (`get`, `client|kill`).
    pub fn arity(full_name: &str) -> Error {
        Error::new(format!("wrong number of arguments for '{full_name}' command"))
    }

    /// A subcommand of `container` that there is not, or not with so many arguments.
    pub fn subcommand(container: &str, word: &[u8]) -> Error {
        let shown = String::from_utf8_lossy(&word[..word.len().min(128)]);
        Error::new(format!("unknown subcommand or wrong number of arguments for '{shown}'. Try {container} HELP."))
    }

    /// A number that does not lie between `least` and `most`.
    pub fn range(least: i64, most: i64) -> Error {
        Error::new(format!("value is out of range, value must between {least} and {most}"))
    }

    /// `invalid expire time` for a command by its name.
    pub fn expire_time(name: &str) -> Error {
        Error::new(format!("invalid expire time in '{name}' command"))
    }
}

impl From<Busy> for Error {
    fn from(_: Busy) -> Error {
        Error::Busy
    }
}
