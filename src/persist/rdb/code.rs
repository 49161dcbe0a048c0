//! The bytes that mark types of values, parts of a file and encodings of strings.

/// Types of values, as the byte before a value says.
pub(super) mod kind {
    pub const STRING: u8 = 0;
    pub const LIST: u8 = 1;
    pub const SET: u8 = 2;
    /// Scores as text.
    pub const SORTED_SET_TEXT: u8 = 3;
    pub const HASH: u8 = 4;
    /// Scores as doubles.
    pub const SORTED_SET: u8 = 5;
    pub const MODULE: u8 = 6;
    pub const MODULE_2: u8 = 7;
    pub const HASH_ZIPMAP: u8 = 9;
    pub const LIST_ZIPLIST: u8 = 10;
    pub const SET_INTEGERS: u8 = 11;
    pub const SORTED_SET_ZIPLIST: u8 = 12;
    pub const HASH_ZIPLIST: u8 = 13;
    /// Nodes are ziplists.
    pub const QUICKLIST: u8 = 14;
    pub const STREAM: u8 = 15;
    pub const HASH_LISTPACK: u8 = 16;
    pub const SORTED_SET_LISTPACK: u8 = 17;
    /// Nodes are listpacks or single texts.
    pub const QUICKLIST_2: u8 = 18;
    /// With the ID of the first entry, the largest deleted one and the number ever added.
    pub const STREAM_2: u8 = 19;
    pub const SET_LISTPACK: u8 = 20;
    /// With the time at which a consumer was last active.
    pub const STREAM_3: u8 = 21;
    /// Redis 7.4's release candidates: fields with times.
    pub const HASH_TIMES_EARLY: u8 = 22;
    /// The same as a listpack.
    pub const HASH_LISTPACK_TIMES_EARLY: u8 = 23;
    /// Redis 7.4: fields with times after the soonest of them.
    pub const HASH_TIMES: u8 = 24;
    /// The same as a listpack, where times are absolute.
    pub const HASH_LISTPACK_TIMES: u8 = 25;
    /// Valkey 9: fields with times. The number means another type to Redis.
    pub const VALKEY_HASH_TIMES: u8 = 22;
}

/// Parts of a file that are no values.
pub(super) mod part {
    /// Valkey 9: slots that are being imported.
    pub const SLOT_IMPORT: u8 = 243;
    /// How many keys a slot has.
    pub const SLOT_INFO: u8 = 244;
    /// A library of functions.
    pub const FUNCTION: u8 = 245;
    /// The same in Redis 7.0's release candidates.
    pub const FUNCTION_EARLY: u8 = 246;
    /// What a module keeps beside its values.
    pub const MODULE: u8 = 247;
    /// Seconds since the last access to the key that follows.
    pub const IDLE: u8 = 248;
    /// The access frequency of the key that follows.
    pub const FREQUENCY: u8 = 249;
    /// A name with a text.
    pub const AUX: u8 = 250;
    /// How many keys the database has.
    pub const SIZES: u8 = 251;
    /// When the key that follows expires, in milliseconds.
    pub const EXPIRY_MS: u8 = 252;
    /// The same in seconds.
    pub const EXPIRY: u8 = 253;
    /// The database of the keys that follow.
    pub const DATABASE: u8 = 254;
    /// The end.
    pub const END: u8 = 255;
}

/// Encodings of strings, in the low bits of a length whose two high bits are set.
pub(super) mod text {
    pub const INT8: u8 = 0;
    pub const INT16: u8 = 1;
    pub const INT32: u8 = 2;
    pub const LZF: u8 = 3;
}

/// What a node of a list of type [`kind::QUICKLIST_2`] is.
pub(super) mod node {
    /// One text.
    pub const PLAIN: u64 = 1;
    /// A listpack.
    pub const PACKED: u64 = 2;
}

/// Flags of a stream's entry in its listpack.
pub(super) mod entry {
    pub const DELETED: i64 = 1;
    /// Its fields are those of the listpack's head.
    pub const SAME_FIELDS: i64 = 2;
}
