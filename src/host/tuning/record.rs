//! What `roster tune` changed, and what was there before: a file from which it can be undone.

use std::io::Write;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::check::is_kernel_setting;
use crate::host::machine::Machine;

/// Where the record lies.
const FOLDER: &str = "/var/lib/roster-tune";
const FILE: &str = "record.toml";

/// The changes in force.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    /// The profile that they come from, by its name or the path of its file.
    pub profile: String,
    /// The run of the kernel that they were made in: a boot undoes them all.
    pub boot: String,
    /// The changes, in their order.
    #[serde(default, rename = "change")]
    pub changes: Vec<Change>,
}

/// One value that was written.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Change {
    /// The kernel's file.
    pub path: String,
    /// What it held before the first change.
    pub old: String,
    /// What was written.
    pub new: String,
}

/// The place of the record of a machine.
pub fn place(machine: &Machine) -> PathBuf {
    machine.place(FOLDER).join(FILE)
}

impl Record {
    /// Reads the record; `None` if there is none.
    ///
    /// # Errors
    /// That it cannot be read, is damaged, or names files that no tuning writes.
    pub fn read(place: &Path) -> Result<Option<Record>, String> {
        let text = match std::fs::read_to_string(place) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(format!("{}: {error}", place.display())),
        };
        let record: Record =
            toml::from_str(&text).map_err(|error| format!("{}: {}", place.display(), error.to_string().trim_end()))?;
        match record.changes.iter().find(|change| !is_kernel_setting(&change.path)) {
            Some(change) => Err(format!("{}: '{}' is no setting of the kernel", place.display(), change.path)),
            None => Ok(Some(record)),
        }
    }

    /// Writes the record in place of the one before, so that there is a whole one at any moment.
    ///
    /// # Errors
    /// Why it cannot be written.
    pub fn write(&self, place: &Path) -> Result<(), String> {
        let explain = |error: &dyn std::fmt::Display| format!("{}: {error}", place.display());
        let text = toml::to_string(self).map_err(|error| explain(&error))?;
        let folder = place.parent().unwrap_or(Path::new("/"));
        std::fs::create_dir_all(folder).map_err(|error| explain(&error))?;
        let draft = place.with_extension("new");
        let write = || {
            let mut file = std::fs::File::create(&draft)?;
            file.write_all(text.as_bytes())?;
            file.sync_all()?;
            std::fs::rename(&draft, place)
        };
        write().map_err(|error: std::io::Error| explain(&error))
    }

    /// Adds a change; the value before the first change of a file stays the old one.
    pub fn add(&mut self, change: Change) {
        match self.changes.iter_mut().find(|known| known.path == change.path) {
            Some(known) => known.new = change.new,
            None => self.changes.push(change),
        }
    }
}
