//! From texts to functions of the virtual machine: scripts, and libraries with what they register.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use mlua::{ChunkMode, Error, Function, Value};

use super::failure::{Failure, Stop};
use super::library::{FunctionInfo, Library, LoadError, head};
use super::source::{Features, Habit, Source};
use super::vm::{COMPILED_MAX, Vm};

/// How long a library may take to register its functions.
const LOAD_LIMIT: Duration = Duration::from_millis(500);

/// A function that a library registers.
pub(super) struct Registration {
    pub name: String,
    pub description: Option<Vec<u8>>,
    pub features: Features,
    pub callback: Function,
}

impl Vm {
    /// The script of this SHA-1 as this worker has it, or as the server has it.
    ///
    /// # Errors
    /// It does not compile here: why.
    pub fn find(&self, sha: &[u8; 40]) -> Result<Option<(Arc<Source>, Function)>, LoadError> {
        if self.flushes.replace(self.shared.flushes()) != self.flushes.get() {
            self.compiled.borrow_mut().clear();
        }
        if let Some((source, body)) = self.compiled.borrow().get(sha) {
            return Ok(Some((source.clone(), body.clone())));
        }
        let Some(source) = self.shared.find(sha) else { return Ok(None) };
        let body = self.compile(&source)?;
        Ok(Some((source, body)))
    }

    /// Compiles a script, and keeps the result for [`Vm::find`].
    ///
    /// # Errors
    /// Why it does not compile.
    pub fn compile(&self, source: &Arc<Source>) -> Result<Function, LoadError> {
        let chunk = self.lua.load(&source.text[source.skip..]).set_name("@user_script").set_mode(ChunkMode::Text);
        let chunk = chunk.set_environment(self.scripts.clone());
        let body = chunk.into_function().map_err(|error| LoadError(text_of(&error)))?;
        let mut compiled = self.compiled.borrow_mut();
        if compiled.len() >= COMPILED_MAX {
            compiled.clear();
        }
        compiled.insert(source.sha, (source.clone(), body.clone()));
        Ok(body)
    }

    /// Reads a library, and keeps its functions for [`Vm::function`] in case it becomes known to the server.
    ///
    /// # Errors
    /// Why that fails, in Redis's words.
    pub fn load_library(&self, code: &[u8]) -> Result<Library, LoadError> {
        let (name, skip) = head(code)?;
        let registered = self.registrations(&code[skip..])?;
        if registered.is_empty() {
            return Err("No functions registered".into());
        }
        let functions = registered.into_iter().map(|function| FunctionInfo {
            name: function.name,
            description: function.description,
            features: function.features,
            habit: Habit::default(),
        });
        Ok(Library { name, code: code.into(), functions: functions.collect(), skip })
    }

    /// The function at this place of a library.
    ///
    /// # Errors
    /// The library cannot be loaded on this worker, as it could on another: why.
    pub fn function(&self, library: &Arc<Library>, at: usize) -> Result<Function, LoadError> {
        let name = &library.functions[at].name;
        if let Some((held, functions)) = self.loaded.borrow().get(&library.name)
            && Arc::ptr_eq(held, library)
            && let Some(function) = functions.get(name)
        {
            return Ok(function.clone());
        }
        let registered = self.registrations(&library.code[library.skip..])?;
        let functions: HashMap<_, _> = registered.into_iter().map(|known| (known.name, known.callback)).collect();
        let function = functions.get(name).cloned().ok_or("Function not found")?;
        let mut loaded = self.loaded.borrow_mut();
        loaded.retain(|_, (held, _)| self.shared.libraries.holds(held));
        loaded.insert(library.name.clone(), (library.clone(), functions));
        Ok(function)
    }

    fn registrations(&self, text: &[u8]) -> Result<Vec<Registration>, LoadError> {
        let chunk = self.lua.load(text).set_name("@user_function").set_mode(ChunkMode::Text);
        let chunk = chunk.set_environment(self.functions.clone()).into_function();
        let body = chunk.map_err(|error| [b"Error compiling function: ", &*text_of(&error)].concat())?;
        *self.state.loading.borrow_mut() = Some(Vec::new());
        let result = self.load(&body, LOAD_LIMIT);
        let registered = self.state.loading.borrow_mut().take().unwrap_or_default();
        let failed = |text: &[u8]| Err(LoadError([b"Error registering functions: ", text].concat()));
        match result {
            Ok((true, _)) => Ok(registered),
            Ok((false, Value::Table(table))) => {
                let text = table.raw_get::<mlua::String>("err").map(|text| text.as_bytes().to_vec());
                failed(&text.unwrap_or_default())
            }
            Ok((false, Value::Error(error))) => match Failure::find(&error) {
                Some(Failure::Stop(Stop::TooLong)) => failed(b"FUNCTION LOAD timeout"),
                _ => failed(&text_of(&error)),
            },
            Ok((false, value)) => failed(value.to_string().unwrap_or_default().as_bytes()),
            Err(error) => failed(&text_of(&error)),
        }
    }
}

/// The text of an error that the virtual machine reports.
fn text_of(error: &Error) -> Vec<u8> {
    match error {
        Error::SyntaxError { message, .. } => message.clone().into_bytes(),
        Error::CallbackError { cause, .. } => text_of(cause),
        error => error.to_string().lines().next().unwrap_or_default().into(),
    }
}
