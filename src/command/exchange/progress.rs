//! How far a long work is, in one line that goes when it is done. Nothing where nobody looks.

use std::io::{IsTerminal, Write, stderr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Time between two looks.
const ROUND: Duration = Duration::from_millis(100);
/// Characters of the bar.
const WIDTH: usize = 30;

/// A line on the terminal, for as long as this lives.
pub(super) struct Progress {
    ends: std::sync::Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Progress {
    /// Shows how much of `total` is `done`, if standard error is a terminal.
    pub(super) fn show(what: &'static str, total: u64, done: impl Fn() -> u64 + Send + 'static) -> Progress {
        let ends = std::sync::Arc::new(AtomicBool::new(false));
        if !stderr().is_terminal() {
            return Progress { ends, thread: None };
        }
        let (ended, began) = (ends.clone(), Instant::now());
        let draw = move || {
            while !ended.load(Ordering::Relaxed) {
                std::thread::park_timeout(ROUND);
                let _ = write!(stderr(), "\r{}\x1b[K", line(what, done(), total, began.elapsed()));
            }
            let _ = write!(stderr(), "\r\x1b[K");
        };
        // Without a thread there is no line, which is no failure.
        Progress { ends, thread: std::thread::Builder::new().name("progress".into()).spawn(draw).ok() }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.ends.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            let _ = thread.join();
        }
    }
}

fn line(what: &str, done: u64, total: u64, passed: Duration) -> String {
    let share = if total == 0 { 1.0 } else { (done as f64 / total as f64).min(1.0) };
    let full = (share * WIDTH as f64) as usize;
    let left = match passed.as_secs_f64() {
        seconds if share > 0.01 && seconds > 1.0 => format!(", {:.0} s left", seconds / share - seconds),
        _ => String::new(),
    };
    format!("{what} [{}{}] {:3.0} %{left}", "#".repeat(full), ".".repeat(WIDTH - full), share * 100.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_tells_the_share_and_what_is_left() {
        let seconds = Duration::from_secs;
        assert_eq!(line("reading", 0, 10, seconds(5)), "reading [..............................]   0 %");
        assert_eq!(line("reading", 1, 4, seconds(5)), "reading [#######.......................]  25 %, 15 s left");
        assert_eq!(line("reading", 9, 4, seconds(0)), "reading [##############################] 100 %");
        assert_eq!(line("reading", 0, 0, seconds(0)), "reading [##############################] 100 %");
    }
}
