//! The files of a log, as little of them as it needs: a trait, so that tests can make writing fail and power go.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// A folder of files.
pub trait Disk {
    /// A file that can be written.
    type File;

    /// The whole of a file.
    fn read(&self, name: &str) -> io::Result<Vec<u8>>;
    /// The names of all files.
    fn list(&self) -> io::Result<Vec<String>>;
    /// Makes a file of `length` zeros, or opens one of that name, for writing.
    fn open(&self, name: &str, length: u64) -> io::Result<Self::File>;
    /// Writes some of `bytes` at an offset, and tells how many.
    fn write(&self, file: &mut Self::File, at: u64, bytes: &[u8]) -> io::Result<usize>;
    /// Makes durable what was written to a file. If it fails, nothing is known of what was written since the last time.
    fn sync(&self, file: &mut Self::File) -> io::Result<()>;
    /// The same file, to be synced by another thread.
    fn share(&self, file: &Self::File) -> io::Result<Self::File>;
    /// Renames a file over another; durable after [`Disk::sync_names`].
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;
    /// Removes a file.
    fn remove(&self, name: &str) -> io::Result<()>;
    /// Makes the names of files durable.
    fn sync_names(&self) -> io::Result<()>;

    /// Writes all of `bytes`.
    ///
    /// # Errors
    /// As [`Disk::write`]; then any part of them may have been written.
    fn write_all(&self, file: &mut Self::File, mut at: u64, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            match self.write(file, at, bytes) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => {
                    bytes = &bytes[count..];
                    at += count as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => (),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

/// A folder of the file system.
#[derive(Clone, Debug)]
pub struct Folder(PathBuf);

impl Folder {
    /// The folder at `path`, made if it is not there.
    ///
    /// # Errors
    /// Why it cannot be made.
    pub fn open(path: &Path) -> io::Result<Folder> {
        std::fs::create_dir_all(path)?;
        if let Some(above) = path.parent().filter(|above| !above.as_os_str().is_empty()) {
            File::open(above)?.sync_all()?;
        }
        Ok(Folder(path.to_owned()))
    }

    /// Bytes that may still be written here, if the system tells.
    fn room(&self) -> Option<u64> {
        let facts = nix::sys::statvfs::statvfs(&self.0).ok()?;
        Some(facts.blocks_available().saturating_mul(facts.fragment_size()))
    }

    /// Where a file of it is.
    pub fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

/// Zeros that are written at once when a file is made.
const ZEROS: usize = 1 << 20;

impl Disk for Folder {
    type File = File;

    fn read(&self, name: &str) -> io::Result<Vec<u8>> {
        std::fs::read(self.path(name))
    }

    fn list(&self) -> io::Result<Vec<String>> {
        let names = std::fs::read_dir(&self.0)?.map(|entry| Ok(entry?.file_name().into_string()));
        names.filter_map(|name: io::Result<_>| name.map(Result::ok).transpose()).collect()
    }

    fn open(&self, name: &str, length: u64) -> io::Result<File> {
        let mut file = OpenOptions::new().write(true).create(true).truncate(false).open(self.path(name))?;
        // Blocks that were written once are overwritten in place, so that later a sync has no metadata to write.
        let mut at = file.metadata()?.len();
        // An attempt in vain must not take, for a moment, the room that others could do with.
        if at < length && self.room().is_some_and(|room| room < length - at) {
            return Err(nix::errno::Errno::ENOSPC.into());
        }
        let zeros = vec![0; ZEROS.min(usize::try_from(length.saturating_sub(at)).unwrap_or(ZEROS))];
        while at < length {
            let count = usize::try_from(length - at).unwrap_or(ZEROS).min(zeros.len());
            self.write_all(&mut file, at, &zeros[..count])?;
            at += count as u64;
        }
        file.sync_all()?;
        Ok(file)
    }

    fn write(&self, file: &mut File, at: u64, bytes: &[u8]) -> io::Result<usize> {
        file.write_at(bytes, at)
    }

    fn sync(&self, file: &mut File) -> io::Result<()> {
        file.sync_data()
    }

    fn share(&self, file: &File) -> io::Result<File> {
        file.try_clone()
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        std::fs::rename(self.path(from), self.path(to))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        std::fs::remove_file(self.path(name))
    }

    fn sync_names(&self) -> io::Result<()> {
        File::open(&self.0)?.sync_all()
    }
}
