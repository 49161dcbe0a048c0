//! Users and their rules, as text: what the rules mean is for others to say.

use super::kind::Kind;
use super::value::{Refusal, Value};

/// Users that a configuration may define; more belong into an `aclfile`.
const MOST: usize = 10_000;

/// Users, each a name and its rules, separated by spaces.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Users(
    /// In the order given.
    pub Vec<String>,
);

impl Value for Users {
    /// One user in each line; the word `user` may stand before the name, as in redis.conf.
    fn update(&mut self, text: &str, _: &Kind) -> Result<(), Refusal> {
        let lines = text.lines().map(|line| {
            let words: Vec<&str> = line.split_whitespace().collect();
            match words.as_slice() {
                ["user", rest @ ..] if !rest.is_empty() => rest.join(" "),
                words => words.join(" "),
            }
        });
        let users: Vec<String> = lines.filter(|line| !line.is_empty()).collect();
        if users.len() > MOST {
            return Err(format!("argument must have at most {MOST} users; more belong into an aclfile").into());
        }
        if text.contains('\0') {
            return Err("argument must not contain a zero byte".into());
        }
        self.0 = users;
        Ok(())
    }

    fn text(&self) -> String {
        self.0.join("\n")
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::config::value::trial::{read, rewritten};

    #[test]
    fn users_stand_in_lines() {
        assert_eq!(rewritten::<Users>("user alice  on\n\n bob off ").unwrap(), "alice on\nbob off");
        assert_eq!(rewritten::<Users>("").unwrap(), "");
        assert_eq!(rewritten::<Users>("user").unwrap(), "user");
        assert!(read::<Users>(&"a\n".repeat(MOST + 1)).is_err());
        assert!(read::<Users>("a\0").is_err());
    }
}
