//! A file that goes to the disk while it is written, so that the sync at its end finds little left to do.

use std::fs::File;
use std::io::{self, Write};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::JoinHandle;

/// Bytes between two syncs at least. While one takes longer, what comes meanwhile goes with the next.
const STRIDE: u64 = 32 << 20;

/// A file with a thread that syncs it over and over.
pub(super) struct EarlySync {
    file: File,
    /// Bytes since the last call for a sync.
    since: u64,
    thread: Option<(SyncSender<()>, JoinHandle<io::Result<()>>)>,
}

impl EarlySync {
    /// A file that was just made.
    ///
    /// # Errors
    /// It cannot be shared with a thread.
    pub(super) fn of(file: File) -> io::Result<EarlySync> {
        let shared = file.try_clone()?;
        let (sender, receiver) = sync_channel::<()>(1);
        let run = move || receiver.iter().try_for_each(|()| shared.sync_data());
        // Without a thread all is synced at the end.
        let thread = std::thread::Builder::new().name("snapshot-sync".into()).spawn(run).ok();
        Ok(EarlySync { file, since: 0, thread: thread.map(|thread| (sender, thread)) })
    }

    /// The file, of which not everything may be durable.
    ///
    /// # Errors
    /// A sync failed: what was written before it may be lost, and a later sync would not tell.
    pub(super) fn end(mut self) -> io::Result<File> {
        if let Some((sender, thread)) = self.thread.take() {
            drop(sender);
            thread.join().unwrap_or_else(|_| Err(io::Error::other("the thread that syncs has failed")))?;
        }
        Ok(self.file)
    }
}

impl Write for EarlySync {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.since += written as u64;
        if self.since >= STRIDE
            && let Some((sender, _)) = &self.thread
        {
            // One that waits already will take this along; after a failure nobody listens, and the end tells why.
            let _ = sender.try_send(());
            self.since = 0;
        }
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_that_was_written_is_there() {
        let path = std::env::temp_dir().join(format!("roster-early-sync-{}", std::process::id()));
        let mut early = EarlySync::of(File::create(&path).expect("a file")).expect("it can be shared");
        let bytes = vec![7; 9 << 20];
        (0..4).for_each(|_| early.write_all(&bytes).expect("there is room"));
        assert!(early.since < STRIDE);
        early.end().expect("the syncs succeed").sync_all().expect("and so does the last");
        assert_eq!(std::fs::read(&path).expect("it is there").len(), 36 << 20);
        let _ = std::fs::remove_file(path);
    }

    #[test]
    fn a_sync_that_fails_is_told() {
        // A file that cannot be synced: the system refuses that for pipes.
        let (_reader, writer) = io::pipe().expect("a pipe");
        let mut early = EarlySync::of(File::from(std::os::fd::OwnedFd::from(writer))).expect("it can be shared");
        early.since = STRIDE;
        early.write_all(b"x").expect("there is room");
        assert!(early.end().is_err());
    }
}
