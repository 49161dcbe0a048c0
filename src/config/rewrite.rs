//! `CONFIG REWRITE`: puts the settings in force into the configuration file, and leaves the rest of it as it is.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use parking_lot::Mutex;
use toml::de::DeTable;

use super::report::literal;
use super::row::Setting;
use super::settings::{DEFAULTS, SETTINGS, Settings};
use super::source::{find, read, scalar_or_list};

/// Two clients may ask at once.
static WRITING: Mutex<()> = Mutex::new(());

/// What stands above settings that the file did not have.
const HEADING: &str = "# Written by CONFIG REWRITE:";

/// Changes the file at `path` so that reading it gives `settings`. The error says what could not be done; then the
/// file is as it was.
pub fn rewrite(path: &Path, settings: &Settings) -> Result<(), String> {
    let _alone = WRITING.lock();
    // A link stays a link: what it leads to is replaced.
    let path = std::fs::canonicalize(path).map_err(|error| error.to_string())?;
    let old = read(&path)?;
    let new = rewritten(&old, settings)?;
    if new == old { Ok(()) } else { replace(&path, &new).map_err(|error| error.to_string()) }
}

/// The text of the file with those settings. Comments, order and the spelling of what did not change are kept.
fn rewritten(text: &str, settings: &Settings) -> Result<String, String> {
    let table = DeTable::parse(text).map_err(|error| format!("the file is no TOML: {}", error.message()))?.into_inner();
    let mut entries: Vec<_> = table.iter().collect();
    entries.sort_by_key(|(key, _)| key.span().start);
    let (mut new, mut copied) = (String::with_capacity(text.len()), 0);
    let mut present: Vec<&str> = Vec::new();
    for (key, value) in entries {
        let Some(setting) = find(key.get_ref()) else {
            return Err(format!("the file has '{}', which is no setting; remove it", key.get_ref()));
        };
        present.push(setting.name);
        let given = scalar_or_list(setting, value.get_ref()).ok().and_then(|text| normal(setting, &text));
        let current = setting.text(settings);
        if given.as_ref() != Some(&current) {
            let span = value.span();
            new.push_str(&text[copied..span.start]);
            new.push_str(&literal(setting, current));
            copied = span.end;
        }
    }
    new.push_str(&text[copied..]);
    append(&mut new, settings, &present);
    Ok(new)
}

/// A value in the form that `Setting::text` gives it.
fn normal(setting: &Setting, text: &str) -> Option<String> {
    let mut read = DEFAULTS.clone();
    setting.update(&mut read, text).ok()?;
    Some(setting.text(&read))
}

/// Adds the settings that differ from the default and that the file does not mention.
fn append(text: &mut String, settings: &Settings, present: &[&str]) {
    let is_new =
        |setting: &&Setting| !present.contains(&setting.name) && setting.text(settings) != setting.text(&DEFAULTS);
    let mut first = !text.contains(HEADING);
    for setting in SETTINGS.iter().filter(is_new) {
        if !text.is_empty() && !text.ends_with('\n') {
            text.push('\n');
        }
        if std::mem::take(&mut first) {
            text.push_str(&format!("\n{HEADING}\n"));
        }
        text.push_str(&format!("{} = {}\n", setting.name, literal(setting, setting.text(settings))));
    }
}

/// Puts a new file in the place of the old one, whole or not at all, with its permissions.
fn replace(path: &Path, text: &str) -> io::Result<()> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.tmp", std::process::id()));
    let temporary = path.with_file_name(name);
    let written = write(&temporary, path, text).and_then(|()| std::fs::rename(&temporary, path));
    if written.is_err() {
        // The first error is the one to tell.
        let _ = std::fs::remove_file(&temporary);
    }
    written?;
    let folder = path.parent().unwrap_or(Path::new("/"));
    File::open(folder)?.sync_all()
}

fn write(temporary: &Path, old: &Path, text: &str) -> io::Result<()> {
    // Nobody else may read a password before the permissions are those of the old file.
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(temporary)?;
    file.write_all(text.as_bytes())?;
    file.set_permissions(std::fs::metadata(old)?.permissions())?;
    file.sync_all()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::config::{Caller, Handle};

    fn changed(pairs: &[(&str, &str)]) -> Settings {
        let handle = Handle::new(Settings::default());
        let pairs: Vec<_> = pairs.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())).collect();
        handle.set(&pairs, Caller::Local).unwrap();
        (*handle.current()).clone()
    }

    #[test]
    fn only_what_changed_is_written() {
        let file = "# mine\nhz = 10 # often\n\ntcp_keepalive=0x3c\nrequirepass = \"old\"  # secret\nmaxclients = 77";
        let settings =
            changed(&[("hz", "20"), ("tcp-keepalive", "60"), ("requirepass", "new \"one\""), ("timeout", "5")]);
        let expected = "# mine\nhz = 20 # often\n\ntcp_keepalive=0x3c\nrequirepass = 'new \"one\"'  # secret\n\
                        maxclients = 10000\n\n# Written by CONFIG REWRITE:\ntimeout = 5\n";
        let written = rewritten(file, &settings).unwrap();
        assert_eq!(written, expected);
        assert_eq!(rewritten(&written, &settings).unwrap(), expected, "it is stable");
        let more = rewritten(&written, &Settings { hz: 20, slowlog_max_len: 7, ..settings }).unwrap();
        assert_eq!(more, format!("{expected}slowlog-max-len = 7\n"));
    }

    #[test]
    fn every_setting_is_read_back() {
        let settings = changed(&[
            ("client-output-buffer-limit", "pubsub 1mb 2mb 3"),
            ("latency-tracking-info-percentiles", "1 2.5"),
            ("proto-max-bulk-len", "2mb"),
            ("loglevel", "debug"),
            ("protected-mode", "no"),
            ("requirepass", "a'b\"c\\d\u{e9}"),
        ]);
        let written = rewritten("", &settings).unwrap();
        assert_eq!(rewritten(&written, &settings).unwrap(), written);
        let table = DeTable::parse(&written).unwrap().into_inner();
        assert_eq!(table.len(), 6, "{written}");
        let mut read = Settings::default();
        for (key, value) in &table {
            let setting = find(key.get_ref()).unwrap();
            setting.update(&mut read, &scalar_or_list(setting, value.get_ref()).unwrap()).unwrap();
        }
        assert_eq!(read, settings);
    }

    #[test]
    fn a_broken_file_is_left_alone() {
        for file in ["hz = = 1", "[section]\nhz = 1", "nonsense = 1"] {
            assert!(rewritten(file, &Settings::default()).is_err(), "{file}");
        }
    }

    #[test]
    fn the_file_is_replaced_with_its_permissions() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = std::env::temp_dir().join(format!("roster-rewrite-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let (file, link) = (folder.join("roster.toml"), folder.join("link.toml"));
        std::fs::write(&file, "hz = 10\n").unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o640)).unwrap();
        std::os::unix::fs::symlink(&file, &link).unwrap();
        let written = rewrite(&link, &changed(&[("hz", "50")]));
        let (text, mode) = (std::fs::read_to_string(&file), std::fs::metadata(&file).unwrap().permissions().mode());
        let (left, is_link) = (std::fs::read_dir(&folder).unwrap().count(), link.is_symlink());
        let missing = rewrite(&folder.join("none"), &Settings::default());
        std::fs::remove_dir_all(&folder).unwrap();
        assert_eq!((written, text.unwrap().as_str(), mode & 0o777), (Ok(()), "hz = 50\n", 0o640));
        assert!(left == 2 && is_link);
        assert!(missing.unwrap_err().contains("No such file"));
    }
}
