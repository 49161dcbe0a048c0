//! Why a rule is not accepted, in Redis's words.

use std::fmt;

/// Why a rule is not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// It names a command or category that there is not.
    Unknown,
    /// It is no rule.
    Syntax,
    /// It adds a key pattern where all keys are allowed.
    KeysAfterAll,
    /// It adds a channel pattern where all channels are allowed.
    ChannelsAfterAll,
    /// It removes a password that the user does not have.
    NoSuchPassword,
    /// A digest that is none.
    BadDigest,
    /// It allows a subcommand for one first argument only.
    FirstArgument,
    /// The user has as many rules of the kind as one may have.
    TooMany,
}

impl fmt::Display for Refusal {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Unknown => "Unknown command or category name in ACL",
            Self::Syntax => "Syntax error",
            Self::KeysAfterAll => {
                "Adding a pattern after the * pattern (or the 'allkeys' flag) is not valid and does not have any \
                 effect. Try 'resetkeys' to start with an empty list of patterns"
            }
            Self::ChannelsAfterAll => {
                "Adding a pattern after the * pattern (or the 'allchannels' flag) is not valid and does not have any \
                 effect. Try 'resetchannels' to start with an empty list of channels"
            }
            Self::NoSuchPassword => "The password you are trying to remove from the user does not exist",
            Self::BadDigest => {
                "The password hash must be exactly 64 characters and contain only lowercase hexadecimal characters"
            }
            Self::FirstArgument => "Allowing first-arg of a subcommand is not supported",
            Self::TooMany => "The user has too many rules of this kind",
        })
    }
}
