//! Of which files an append-only file consists: one, or since Redis 7.0 a base and increments that a manifest lists.

use std::path::{Path, PathBuf};

/// Bytes of the longest manifest that is read.
const MANIFEST_MAX: u64 = 1 << 20;
/// Bytes of its longest line, as in Redis.
const LINE_MAX: usize = 1024;

/// The files, in the order in which they are to be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parts(pub Vec<PathBuf>);

impl Parts {
    /// Those of what is at `path`: a snapshot, an append-only file, a manifest, or a folder with a manifest.
    ///
    /// # Errors
    /// Why they cannot be told, with the remedy.
    pub fn find(path: &Path) -> Result<Parts, String> {
        if path.is_dir() {
            return Parts::read(&find_manifest(path)?);
        }
        match path.extension() {
            Some(extension) if extension == "manifest" => Parts::read(path),
            _ if path.exists() => Ok(Parts(vec![path.to_owned()])),
            _ => Err(format!("{} is not there", path.display())),
        }
    }

    fn read(path: &Path) -> Result<Parts, String> {
        let failure = |reason: &dyn std::fmt::Display| format!("{}: {reason}", path.display());
        let length = std::fs::metadata(path).map_err(|error| failure(&error))?.len();
        if length > MANIFEST_MAX {
            return Err(failure(&"it is too long for a manifest"));
        }
        let text = std::fs::read(path).map_err(|error| failure(&error))?;
        let names = parse(&text).map_err(|(line, reason)| failure(&format!("line {line}: {reason}")))?;
        let folder = path.parent().unwrap_or(Path::new("."));
        Ok(Parts(names.into_iter().map(|name| folder.join(name)).collect()))
    }
}

/// The manifest of a folder, or of the folder `appendonlydir` in it.
fn find_manifest(folder: &Path) -> Result<PathBuf, String> {
    for folder in [folder.to_owned(), folder.join("appendonlydir")] {
        let Ok(entries) = std::fs::read_dir(&folder) else { continue };
        let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
        let mut found: Vec<PathBuf> =
            paths.filter(|path| path.extension().is_some_and(|extension| extension == "manifest")).collect();
        found.sort();
        match found.as_slice() {
            [] => (),
            [one] => return Ok(one.clone()),
            _ => return Err(format!("{} has several manifests: name the one to read", folder.display())),
        }
    }
    Err(format!("{} has no manifest of an append-only file; name the file to read", folder.display()))
}

/// The text of a manifest of one base and one increment.
pub fn manifest(base: &str, increment: &str) -> String {
    format!("file {base} seq 1 type b\nfile {increment} seq 1 type i\n")
}

/// The names of the base and of the increments, or the number of a line and what is wrong with it. What Redis refuses is refused,
/// because it may be all that is left of a manifest.
fn parse(text: &[u8]) -> Result<Vec<String>, (usize, &'static str)> {
    let (mut base, mut increments): (Option<String>, Vec<(u64, String)>) = (None, Vec::new());
    for (at, line) in text.split_inclusive(|byte| *byte == b'\n').enumerate() {
        let failure = |reason| (at + 1, reason);
        if line.starts_with(b"#") {
            continue;
        }
        if !line.ends_with(b"\n") || line.len() > LINE_MAX {
            return Err(failure("it does not end, or is too long"));
        }
        let line = line.trim_ascii();
        if line.is_empty() {
            return Err(failure("it is empty"));
        }
        let (mut name, mut sequence, mut kind) = (None, None, None);
        let words = split(line).ok_or(failure("a quote does not end"))?;
        for pair in words.chunks(2) {
            let [key, value] = pair else { return Err(failure("a word without a value")) };
            match key.to_ascii_lowercase().as_slice() {
                b"file" => name = String::from_utf8(value.clone()).ok(),
                b"seq" => sequence = std::str::from_utf8(value).ok().and_then(|text| text.parse().ok()),
                b"type" => kind = value.first().copied(),
                // What later versions may add.
                _ => (),
            }
        }
        let (Some(name), Some(sequence), Some(kind)) = (name, sequence, kind) else {
            return Err(failure("no file, seq and type"));
        };
        if name.contains('/') || name == ".." {
            return Err(failure("a file outside of the folder"));
        }
        match kind {
            b'b' if base.is_some() => return Err(failure("a second base")),
            b'b' => base = Some(name),
            b'i' if increments.last().is_some_and(|(last, _)| *last >= sequence) => {
                return Err(failure("increments out of order"));
            }
            b'i' => increments.push((sequence, name)),
            // What was replaced and is about to be removed.
            b'h' => (),
            _ => return Err(failure("an unknown type")),
        }
    }
    if base.is_none() && increments.is_empty() {
        return Err((1, "it lists nothing"));
    }
    Ok(base.into_iter().chain(increments.into_iter().map(|(_, name)| name)).collect())
}

/// The words of a line, which may be quoted as Redis does it; `None` if a quote does not end.
fn split(line: &[u8]) -> Option<Vec<Vec<u8>>> {
    let (mut words, mut rest) = (Vec::new(), line.trim_ascii());
    while !rest.is_empty() {
        let mut word = Vec::new();
        match rest.split_first() {
            Some((b'"', mut inner)) => {
                loop {
                    let (&byte, after) = inner.split_first()?;
                    inner = after;
                    match byte {
                        b'"' => break,
                        b'\\' => {
                            let (escaped, after) = unescape(inner)?;
                            word.push(escaped);
                            inner = after;
                        }
                        byte => word.push(byte),
                    }
                }
                rest = inner;
            }
            _ => {
                let end = rest.iter().position(u8::is_ascii_whitespace).unwrap_or(rest.len());
                word.extend_from_slice(&rest[..end]);
                rest = &rest[end..];
            }
        }
        words.push(word);
        rest = rest.trim_ascii_start();
    }
    Some(words)
}

/// The byte that follows a backslash means, and what follows.
fn unescape(bytes: &[u8]) -> Option<(u8, &[u8])> {
    if let [b'x', high, low, rest @ ..] = bytes
        && let Ok(digits) = std::str::from_utf8(&[*high, *low])
        && let Ok(byte) = u8::from_str_radix(digits, 16)
    {
        return Some((byte, rest));
    }
    let (&byte, rest) = bytes.split_first()?;
    let byte = match byte {
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'b' => 8,
        b'a' => 7,
        byte => byte,
    };
    Some((byte, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn manifests_are_read_as_redis_writes_them() {
        let names = |text: &str| parse(text.as_bytes()).map(|names| names.join(" "));
        assert_eq!(names(&manifest("a.rdb", "b.aof")), Ok("a.rdb b.aof".to_owned()));
        let text = "# comment\nfile \"a \\\"b\\x41.rdb\" seq 3 type b startoffset 0\r\nfile h seq 1 type h\nfile i1 seq 4 type \
                    i\nFILE i2 Seq 7 type i newkey newvalue\n";
        assert_eq!(names(text), Ok("a \"bA.rdb i1 i2".to_owned()));
        for (text, line) in [
            ("", 1),
            ("file a seq 1\n", 1),
            ("file a seq 1 type b\nfile b seq 2 type b\n", 2),
            ("file a seq 2 type i\nfile b seq 2 type i\n", 2),
            ("file ../a seq 2 type i\n", 1),
            ("file \"a seq 2 type i\n", 1),
            ("file a seq 2 type\n", 1),
            ("file a seq 2 type z\n", 1),
            ("file a seq x type b\n", 1),
            ("file a seq 2 type i\n\nfile b seq 3 type i\n", 2),
            ("file a seq 2 type i\nfile b seq 3 type i", 2),
            (&format!("file a seq 2 type i {}\n", "k v ".repeat(300)), 1),
        ] {
            assert_eq!(parse(text.as_bytes()).map_err(|(line, _)| line), Err(line), "{text}");
        }
    }
}
