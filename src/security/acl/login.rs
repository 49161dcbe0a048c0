//! Who a connection is, and whether it may run commands without being asked.

use std::sync::Arc;

use super::{Acl, User};

/// The generation that there never is.
const NEVER: u64 = 0;

/// Who a connection is.
///
/// What is asked before each command is one comparison: whether the user that was looked up in the present generation may
/// do everything. Only if not, the rest is looked at.
#[derive(Debug)]
pub struct Login {
    user: Arc<User>,
    /// Whether it logged in, or arrived when nobody had to.
    authenticated: bool,
    /// Whether it may run commands: it is authenticated, or nobody has to be.
    admitted: bool,
    /// The generation in which the user was looked up.
    seen: u64,
    /// The same if everything is allowed, else `NEVER`.
    free: u64,
}

impl Login {
    /// A connection that has just arrived: the default user's, who needs no password or has yet to give it.
    pub fn new(acl: &Acl) -> Self {
        let seen = acl.generation();
        let user = acl.default_user();
        let open = user.is_open();
        let mut login = Self { user, authenticated: open, admitted: open, seen, free: NEVER };
        login.settle(seen, open);
        login
    }

    /// Whether any command may run: nothing else is to be checked.
    #[inline]
    pub fn is_free(&self, acl: &Acl) -> bool {
        self.free == acl.generation()
    }

    /// Whether it may run commands for which one has to be authenticated.
    #[inline]
    pub fn is_admitted(&self) -> bool {
        self.admitted
    }

    /// The user: the default one before authentication.
    pub fn user(&self) -> &Arc<User> {
        &self.user
    }

    /// Looks the user up if users have changed. False if it is gone; then the connection is nobody's and is to end.
    pub fn refresh(&mut self, acl: &Acl) -> bool {
        // Read before the users are, so that a change in between is seen the next time.
        let generation = acl.generation();
        if generation == self.seen {
            return true;
        }
        let default = acl.default_user();
        let open = default.is_open();
        match acl.find(&self.user.name).filter(|found| found.id == self.user.id) {
            Some(user) => {
                self.user = user;
                self.settle(generation, open);
                true
            }
            None => {
                self.user = default;
                self.authenticated = false;
                self.settle(generation, false);
                false
            }
        }
    }

    /// Becomes the user of this name if the password is right; else stays who it was.
    pub fn authenticate(&mut self, acl: &Acl, name: &[u8], password: &[u8]) -> bool {
        let generation = acl.generation();
        let Some(user) = acl.credentials(name, password) else { return false };
        self.user = user;
        self.authenticated = true;
        self.settle(generation, true);
        true
    }

    fn settle(&mut self, generation: u64, open: bool) {
        self.seen = generation;
        self.admitted = self.authenticated || open;
        self.free = if self.admitted && self.user.is_unrestricted() { generation } else { NEVER };
    }
}
