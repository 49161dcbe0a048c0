//! How often each kind of error was replied.

use std::collections::BTreeMap;

use parking_lot::Mutex;

/// Kinds that are told apart; scripts may invent as many as they like.
const KINDS: usize = 128;

/// The counts of one worker.
#[derive(Debug, Default)]
pub struct ErrorCounts(Mutex<BTreeMap<String, u64>>);

impl ErrorCounts {
    /// Counts an error by its code: the first word of its text.
    pub fn count(&self, text: &str) {
        let code = text.split(' ').next().filter(|code| is_code(code)).unwrap_or("ERR");
        let mut counts = self.0.lock();
        if let Some(count) = counts.get_mut(code) {
            *count += 1;
        } else if counts.len() < KINDS {
            counts.insert(code.to_owned(), 1);
        }
    }

    /// Adds these counts to `sums`.
    pub fn add_to(&self, sums: &mut BTreeMap<String, u64>) {
        for (code, count) in &*self.0.lock() {
            *sums.entry(code.clone()).or_default() += count;
        }
    }

    /// Forgets them.
    pub fn reset(&self) {
        self.0.lock().clear();
    }
}

/// What `INFO` can show in the name of a field.
fn is_code(code: &str) -> bool {
    (1..=32).contains(&code.len()) && code.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_counted_by_code() {
        let counts = ErrorCounts::default();
        for text in ["ERR no", "WRONGTYPE Operation", "ERR yes", "", "a:b c"] {
            counts.count(text);
        }
        (0..1000).for_each(|number| counts.count(&format!("E{number} x")));
        let mut sums = BTreeMap::from([("ERR".to_owned(), 1)]);
        counts.add_to(&mut sums);
        assert_eq!((sums["ERR"], sums["WRONGTYPE"], sums.len()), (5, 1, KINDS));
        counts.reset();
        let mut sums = BTreeMap::new();
        counts.add_to(&mut sums);
        assert!(sums.is_empty());
    }
}
