//! The files of a log, as little of them as it needs: a trait, so that tests can make writing fail and power go.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use nix::fcntl::{FallocateFlags, fallocate};

/// A folder of files.
pub trait Disk {
    /// A file that can be written.
    type File;

    /// The whole of a file.
    fn read(&self, name: &str) -> io::Result<Vec<u8>>;
    /// The names of all files.
    fn list(&self) -> io::Result<Vec<String>>;
    /// Makes a file of `length` zeros, or opens one of that name, for writing. It has all its blocks; if it `prepares`, they
    /// are written, so that a sync of what is written over them has nothing else to write.
    fn open(&self, name: &str, length: u64, prepares: bool) -> io::Result<Self::File>;
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

/// Has a file's blocks reserved without writing them; whether that can be.
fn reserve(file: &File, at: u64, length: u64) -> bool {
    let (Ok(at), Ok(length)) = (i64::try_from(at), i64::try_from(length)) else { return false };
    fallocate(file, FallocateFlags::empty(), at, length).is_ok()
}

impl Disk for Folder {
    type File = File;

    fn read(&self, name: &str) -> io::Result<Vec<u8>> {
        std::fs::read(self.path(name))
    }

    fn list(&self) -> io::Result<Vec<String>> {
        let names = std::fs::read_dir(&self.0)?.map(|entry| Ok(entry?.file_name().into_string()));
        names.filter_map(|name: io::Result<_>| name.map(Result::ok).transpose()).collect()
    }

    fn open(&self, name: &str, length: u64, prepares: bool) -> io::Result<File> {
        let mut file = OpenOptions::new().write(true).create(true).truncate(false).open(self.path(name))?;
        // Blocks that were written once are overwritten in place, so that later a sync has no metadata to write.
        let mut at = file.metadata()?.len();
        // An attempt in vain must not take, for a moment, the room that others could do with.
        if at < length && self.room().is_some_and(|room| room < length - at) {
            return Err(nix::errno::Errno::ENOSPC.into());
        }
        // Twice what is written otherwise, which pays where syncs are many. A file system that cannot promise blocks is
        // made to by writing.
        if !prepares && at < length && reserve(&file, at, length - at) {
            at = length;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_segment_has_all_its_bytes_however_it_is_made() {
        let path = std::env::temp_dir().join(format!("roster-disk-{}", std::process::id()));
        let folder = Folder::open(&path).expect("a folder");
        for prepares in [false, true] {
            let name = format!("segment-{prepares}");
            for length in [100_000, 3 << 20] {
                let mut file = folder.open(&name, length, prepares).expect("there is room");
                folder.write_all(&mut file, 10, b"text").expect("there is room");
                let bytes = folder.read(&name).expect("it is there");
                assert_eq!(bytes.len() as u64, length);
                assert!(bytes.iter().enumerate().all(|(at, byte)| (*byte == 0) != (10..14).contains(&at)));
                let blocks = std::os::unix::fs::MetadataExt::blocks(&file.metadata().expect("it is open"));
                assert!(blocks * 512 >= length, "{blocks} blocks of {length} bytes");
            }
        }
        let _ = std::fs::remove_dir_all(path);
    }
}
