//! What is checked, and what is found.

/// What a command is about to do to a key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Needs {
    /// It returns or uses the value.
    pub read: bool,
    /// It changes the value.
    pub write: bool,
}

/// A call of a command, as the room of commands tells about it.
pub trait Call {
    /// The command's number in the catalogue.
    fn command(&self) -> usize;
    /// Whether everybody may call it, even before authentication.
    fn is_exempt(&self) -> bool;
    /// The first argument after the name.
    fn first_argument(&self) -> Option<&[u8]>;
    /// Gives each key to `visit`: the number of its argument, the key, and what is done to it.
    fn each_key(&self, visit: &mut dyn FnMut(usize, &[u8], Needs));
    /// Gives each channel to `visit`: the number of its argument, the channel, and whether it is a pattern of channels.
    fn each_channel(&self, visit: &mut dyn FnMut(usize, &[u8], bool));
}

/// Why something was refused, in ascending order of what is told when selectors refuse for several reasons.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    /// The user may not call the command.
    Command,
    /// The user may not use a key in this way.
    Key,
    /// A wrong name or password.
    Auth,
    /// The user may not use a channel.
    Channel,
}

impl Reason {
    /// The word of `ACL LOG`.
    pub fn text(self) -> &'static str {
        match self {
            Self::Command => "command",
            Self::Key => "key",
            Self::Auth => "auth",
            Self::Channel => "channel",
        }
    }
}

/// A refusal of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Denial {
    /// Why.
    pub reason: Reason,
    /// The number of the argument that holds the key or channel.
    pub argument: usize,
}
