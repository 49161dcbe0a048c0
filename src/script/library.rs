//! Libraries of functions: what is known of them outside of any virtual machine.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::RwLock;

use super::source::{Features, Habit, words};

/// A function of a library.
#[derive(Debug)]
pub struct FunctionInfo {
    /// Its name, unique in the server.
    pub name: String,
    /// What its author says of it.
    pub description: Option<Vec<u8>>,
    /// What it declares.
    pub features: Features,
    /// Which keys it goes to.
    pub habit: Habit,
}

/// A library.
#[derive(Debug)]
pub struct Library {
    /// Its name.
    pub name: String,
    /// Its whole text.
    pub code: Box<[u8]>,
    /// Its functions.
    pub functions: Vec<FunctionInfo>,
    /// Bytes of the first line, which is not Lua.
    pub(super) skip: usize,
}

/// Why a library is not loaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoadError(pub Vec<u8>);

impl<T: Into<Vec<u8>>> From<T> for LoadError {
    fn from(text: T) -> Self {
        LoadError(text.into())
    }
}

impl LoadError {
    fn exists(name: &str, quote: &str) -> LoadError {
        format!("Library {quote}{name}{quote} already exists").into()
    }
}

/// What `FUNCTION RESTORE` does with what is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RestorePolicy {
    /// It is removed first.
    Flush,
    /// It stays, and no library may be there already.
    Append,
    /// Libraries of the same name are replaced.
    Replace,
}

/// Libraries by name.
type Named = BTreeMap<String, Arc<Library>>;

/// All libraries.
#[derive(Debug, Default)]
pub struct Libraries {
    state: RwLock<State>,
}

#[derive(Debug, Default, Clone)]
struct State {
    libraries: Named,
    /// Which library has a function, and at which place. Case makes no difference, so the names are in lower case.
    functions: BTreeMap<String, (Arc<Library>, usize)>,
}

impl State {
    fn add(&mut self, library: Arc<Library>, replace: bool) -> Result<(), LoadError> {
        let old = self.libraries.get(&library.name).cloned();
        if old.is_some() && !replace {
            return Err(LoadError::exists(&library.name, "'"));
        }
        for function in &library.functions {
            let owner = self.functions.get(&function.name.to_ascii_lowercase());
            if owner.is_some_and(|(owner, _)| owner.name != library.name) {
                return Err(format!("Function {} already exists", function.name).into());
            }
        }
        if let Some(old) = old {
            self.remove(&old);
        }
        for (at, function) in library.functions.iter().enumerate() {
            self.functions.insert(function.name.to_ascii_lowercase(), (library.clone(), at));
        }
        self.libraries.insert(library.name.clone(), library);
        Ok(())
    }

    fn remove(&mut self, library: &Library) {
        self.libraries.remove(&library.name);
        self.functions.retain(|_, (owner, _)| owner.name != library.name);
    }
}

impl Libraries {
    /// The function of this name: its library and its place in it.
    pub fn find(&self, name: &[u8]) -> Option<(Arc<Library>, usize)> {
        let name = std::str::from_utf8(name).ok()?;
        let state = self.state.read();
        match state.functions.get(name) {
            None => state.functions.get(&name.to_ascii_lowercase()).cloned(),
            found => found.cloned(),
        }
    }

    /// Adds a library.
    ///
    /// # Errors
    /// It, or one of its functions, is there already.
    pub fn add(&self, library: Library, replace: bool) -> Result<(), LoadError> {
        self.state.write().add(Arc::new(library), replace)
    }

    /// Adds many libraries, or none.
    ///
    /// # Errors
    /// As for [`Libraries::add`].
    pub fn restore(&self, libraries: Vec<Library>, policy: RestorePolicy) -> Result<(), LoadError> {
        let mut state = self.state.write();
        let mut next = if policy == RestorePolicy::Flush { State::default() } else { state.clone() };
        for library in libraries {
            // Redis words this one without quotes.
            if policy == RestorePolicy::Append && next.libraries.contains_key(&library.name) {
                return Err(LoadError::exists(&library.name, ""));
            }
            next.add(Arc::new(library), policy == RestorePolicy::Replace)?;
        }
        *state = next;
        Ok(())
    }

    /// Removes a library; false if there is none.
    pub fn delete(&self, name: &[u8]) -> bool {
        let mut state = self.state.write();
        let found = std::str::from_utf8(name).ok().and_then(|name| state.libraries.get(name).cloned());
        if let Some(library) = &found {
            state.remove(library);
        }
        found.is_some()
    }

    /// Removes all.
    pub fn flush(&self) {
        *self.state.write() = State::default();
    }

    /// All libraries by their names.
    pub fn list(&self) -> Vec<Arc<Library>> {
        self.state.read().libraries.values().cloned().collect()
    }

    /// Whether this very library is still there.
    pub(super) fn holds(&self, library: &Arc<Library>) -> bool {
        self.state.read().libraries.get(&library.name).is_some_and(|held| Arc::ptr_eq(held, library))
    }

    /// How many libraries and functions there are.
    pub fn counts(&self) -> (usize, usize) {
        let state = self.state.read();
        (state.libraries.len(), state.functions.len())
    }
}

/// Whether a name is one for libraries and functions.
pub(super) fn is_name(name: &[u8]) -> bool {
    !name.is_empty() && name.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'_')
}

/// The name that a library's first line gives it, and the bytes of that line.
pub(super) fn head(code: &[u8]) -> Result<(String, usize), LoadError> {
    if !code.starts_with(b"#!") {
        return Err("Missing library metadata".into());
    }
    let end = code.iter().position(|&byte| byte == b'\n').ok_or("Invalid library metadata")?;
    let words = words(&code[..end]).filter(|words| !words.is_empty()).ok_or("Invalid library metadata")?;
    let mut name: Option<&[u8]> = None;
    for word in &words[1..] {
        let Some(value) = strip_name(word) else {
            return Err([b"Invalid metadata value given: ", &**word].concat().into());
        };
        if name.is_some() {
            return Err("Invalid metadata value, name argument was given multiple times".into());
        }
        name = Some(value);
    }
    let name = name.ok_or("Library name was not given")?;
    if !is_name(name) {
        let text = "Library names can only contain letters, numbers, or underscores(_) and must be at least one \
                    character long";
        return Err(text.into());
    }
    let engine = &words[0][2..];
    if !engine.eq_ignore_ascii_case(b"lua") {
        return Err([b"Engine '", engine, b"' not found"].concat().into());
    }
    Ok((String::from_utf8_lossy(name).into_owned(), end))
}

fn strip_name(word: &[u8]) -> Option<&[u8]> {
    let (key, value) = word.split_at_checked(5)?;
    key.eq_ignore_ascii_case(b"name=").then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn library(name: &str, functions: &[&str]) -> Library {
        let info = |name: &&str| FunctionInfo {
            name: (*name).into(),
            description: None,
            features: Features::default(),
            habit: Habit::default(),
        };
        Library { name: name.into(), code: Box::default(), functions: functions.iter().map(info).collect(), skip: 0 }
    }

    #[test]
    fn names_are_unique_in_the_server() {
        let libraries = Libraries::default();
        assert_eq!(libraries.add(library("a", &["f", "g"]), false), Ok(()));
        assert_eq!(libraries.add(library("a", &["f"]), false), Err("Library 'a' already exists".into()));
        assert_eq!(libraries.add(library("b", &["f"]), false), Err("Function f already exists".into()));
        assert_eq!(libraries.add(library("a", &["h"]), true), Ok(()));
        assert!(libraries.find(b"f").is_none());
        assert!(libraries.find(b"H").is_some());
        assert_eq!(libraries.add(library("c", &["H"]), false), Err("Function H already exists".into()));
        assert_eq!(libraries.counts(), (1, 1));
        let several = || vec![library("c", &["x"]), library("d", &["h"])];
        assert!(libraries.restore(several(), RestorePolicy::Append).is_err());
        assert_eq!(libraries.counts(), (1, 1));
        assert_eq!(libraries.restore(several(), RestorePolicy::Flush), Ok(()));
        assert_eq!(libraries.counts(), (2, 2));
        assert!(libraries.delete(b"c") && !libraries.delete(b"c"));
    }

    #[test]
    fn the_first_line_names_the_library() {
        let of = |text: &str| head(text.as_bytes()).map_err(|error| String::from_utf8_lossy(&error.0).into_owned());
        assert_eq!(of("#!lua name=x\ncode"), Ok(("x".into(), 12)));
        assert_eq!(of("return 1"), Err("Missing library metadata".into()));
        assert_eq!(of("#!lua name=x"), Err("Invalid library metadata".into()));
        assert_eq!(of("#!lua\n"), Err("Library name was not given".into()));
        assert_eq!(of("#!lua name=x y=1\n"), Err("Invalid metadata value given: y=1".into()));
        assert_eq!(of("#!perl name=x\n"), Err("Engine 'perl' not found".into()));
    }
}
