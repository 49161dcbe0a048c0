//! The file of users: one line each, as `ACL LIST` prints them.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use super::refusal::Refusal;
use super::selector::{Terms, has_spaces};
use super::user::{User, merge};

/// Bytes of the longest file that is read.
const LONGEST: u64 = 64 << 20;

/// What Redis adds to every failure of loading.
const UNCHANGED: &str = "WARNING: ACL errors detected, no change to the previously active ACL rules was performed";

/// Users by their names.
pub(super) type Users = BTreeMap<Box<[u8]>, User>;

/// Reads a file of users. All get the id 0.
///
/// # Errors
/// All mistakes in one line, in Redis's words.
pub(super) fn load(path: &Path, terms: Terms<'_>) -> Result<Users, String> {
    let text = read(path).map_err(|error| {
        let reason = match error.raw_os_error() {
            Some(code) => nix::errno::Errno::from_raw(code).desc().to_owned(),
            None => error.to_string(),
        };
        format!("Error loading ACLs, opening file '{}': {reason}", path.display())
    })?;
    let mut users = Users::new();
    let mut errors = String::new();
    for (index, line) in text.split(|&byte| byte == b'\n').enumerate() {
        let line = line.trim_ascii();
        if !line.is_empty() {
            let place = Place { file: path.display().to_string(), line: index + 1 };
            add(&mut users, line, &place, terms, &mut errors);
        }
    }
    if errors.is_empty() { Ok(users) } else { Err(errors + UNCHANGED) }
}

struct Place {
    file: String,
    line: usize,
}

/// Adds the user of one line, or what is wrong with it to `errors`.
fn add(users: &mut Users, line: &[u8], place: &Place, terms: Terms<'_>, errors: &mut String) {
    let Place { file, line: number } = place;
    let words: Vec<&[u8]> = line.split(|&byte| byte == b' ').collect();
    let ([b"user", name, rules @ ..], shown) =
        (words.as_slice(), |text: &[u8]| String::from_utf8_lossy(text).into_owned())
    else {
        *errors += &format!("{file}:{number} should start with user keyword followed by the username. ");
        return;
    };
    if has_spaces(name) {
        *errors += &format!("'{file}:{number}: username '{}' contains invalid characters. ", shown(name));
        return;
    }
    if users.contains_key(*name) {
        *errors += &format!("WARNING: Duplicate user '{}' found on line {number}. ", shown(name));
        return;
    }
    let Ok(rules) = merge(rules) else {
        *errors += &format!("{file}:{number}: Unmatched parenthesis in selector definition.");
        return;
    };
    let mut user = User::new(0, name, terms);
    let mut told = false;
    for rule in rules {
        match user.apply(rule.trim_ascii(), terms) {
            Ok(()) => (),
            Err(refusal @ Refusal::Unknown) => {
                let rule = shown(&rule);
                *errors += &format!("{file}:{number}: Error in applying operation '{rule}': {refusal}. ");
            }
            // The rule itself may be a secret, and what follows the first mistake may be its consequence.
            Err(refusal) if !told => {
                *errors += &format!("{file}:{number}: {refusal}. ");
                told = true;
            }
            Err(_) => (),
        }
    }
    users.insert((*name).into(), user);
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    File::open(path)?.take(LONGEST + 1).read_to_end(&mut text)?;
    if text.len() as u64 > LONGEST {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("it is longer than {LONGEST} bytes")));
    }
    Ok(text)
}

/// Replaces the file of users, whole or not at all.
///
/// # Errors
/// The file system's; then the file is as it was.
pub(super) fn save<'a>(path: &Path, users: impl Iterator<Item = &'a User>) -> io::Result<()> {
    let mut text = Vec::new();
    for user in users {
        text.extend_from_slice(&user.line());
        text.push(b'\n');
    }
    // A link stays a link: what it leads to is replaced.
    let path = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_path_buf());
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".tmp-{}", std::process::id()));
    let temporary = path.with_file_name(name);
    let written = write(&temporary, &path, &text).and_then(|()| std::fs::rename(&temporary, &path));
    if written.is_err() {
        // The first error is the one to tell.
        let _ = std::fs::remove_file(&temporary);
    }
    written?;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder)?.sync_all()
}

fn write(temporary: &Path, old: &Path, text: &[u8]) -> io::Result<()> {
    // Digests of passwords are for nobody else's eyes, unless somebody decided so.
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(temporary)?;
    if let Ok(old) = std::fs::metadata(old) {
        file.set_permissions(old.permissions())?;
    }
    file.write_all(text)?;
    file.sync_all()
}
