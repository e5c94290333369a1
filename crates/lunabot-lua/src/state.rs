//! What all parts of one interpreter share: errors so far, files read, functions lifted out.

use crate::class::Class;
use crate::instances::Instances;
use crate::lifted::Functions;
use crate::load::LoadOptions;
use crate::origin::{Origin, origin, raise};
use crate::shape::{Fields, fields_of};
use crate::tasks::Tasks;
use lunabot_model::Kind;
use lunabot_model::config::ConfigError;
use mlua::{AnyUserData, Function, Lua, Table};
use sha2::{Digest, Sha256};
use std::cell::{Cell, RefCell};
use std::collections::{HashMap, HashSet};
use std::io::Read;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;

/// What the interpreter is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// The file scope runs: kinds are made, errors are collected.
    Loading,
    /// Only callbacks run: errors are raised.
    Serving,
}

/// Above all scopes that the master gives ([`lunabot_model::script::Keep`]); a number that Lua can hold.
const OWN_SCOPES: u64 = 1 << 60;

/// A factory that is in use.
#[derive(Clone)]
pub(crate) struct Factory {
    pub object: AnyUserData,
    /// It was given to more than one builder.
    pub again: bool,
}

pub(crate) struct Shared {
    pub options: LoadOptions,
    /// The folder of the configuration file.
    pub root: PathBuf,
    pub phase: Cell<Phase>,
    pub errors: RefCell<Vec<ConfigError>>,
    pub warnings: RefCell<Vec<ConfigError>>,
    /// Places whose objects are broken; what follows from that is not told again.
    pub broken: RefCell<HashSet<String>>,
    pub files: RefCell<Vec<(PathBuf, [u8; 32])>>,
    pub lifted: Functions,
    /// Factories, which may change until the file has returned.
    pub factories: RefCell<HashMap<u64, Factory>>,
    kinds: HashMap<String, &'static Kind>,
    fields: RefCell<HashMap<String, Rc<Fields>>>,
    pub classes: RefCell<HashMap<String, Rc<Class>>>,
    /// Classes that the configuration made.
    pub extended: RefCell<Vec<Rc<Class>>>,
    next_id: Cell<u64>,
    next_scope: Cell<u64>,
    pub instances: Instances,
    /// Functions of ours, by name (`prelude.lua`).
    pub prelude: RefCell<Option<Table>>,
    pub tasks: Tasks,
    /// Time that the file scope may take beyond its own, asked for by `util.process{timeout=}`.
    pub patience: Cell<std::time::Duration>,
    /// How long a callback may take; known once the file has returned.
    pub deadline: Cell<std::time::Duration>,
    /// How long it may compute between two waits; likewise.
    pub cpu: Cell<std::time::Duration>,
    pub subscriptions: crate::subscriptions::Owned,
    /// Runs ports of the master outside this thread.
    pub outside: Option<tokio::runtime::Handle>,
}

impl Shared {
    pub fn new(options: LoadOptions, outside: Option<tokio::runtime::Handle>) -> Self {
        let mut kinds = HashMap::new();
        for kind in &options.kinds {
            for name in std::iter::once(&kind.name).chain(kind.aliases) {
                kinds.insert(format!("{}.{name}", kind.namespace), *kind);
            }
        }
        let parent = options.config_file.parent().filter(|p| !p.as_os_str().is_empty());
        Shared {
            root: parent.unwrap_or(Path::new(".")).to_path_buf(),
            options,
            phase: Cell::new(Phase::Loading),
            errors: RefCell::default(),
            warnings: RefCell::default(),
            broken: RefCell::default(),
            files: RefCell::default(),
            lifted: Functions::default(),
            factories: RefCell::default(),
            kinds,
            fields: RefCell::default(),
            classes: RefCell::default(),
            extended: RefCell::default(),
            instances: Instances::default(),
            next_id: Cell::new(1),
            next_scope: Cell::new(OWN_SCOPES),
            prelude: RefCell::default(),
            tasks: Tasks::default(),
            patience: Cell::default(),
            deadline: Cell::default(),
            cpu: Cell::new(std::time::Duration::from_secs(1)),
            subscriptions: crate::subscriptions::Owned::default(),
            outside,
        }
    }

    /// The one of this interpreter.
    pub fn of(lua: &Lua) -> Rc<Shared> {
        lua.app_data_ref::<Rc<Shared>>().expect("set before any code runs").clone()
    }

    pub fn loading(&self) -> bool {
        self.phase.get() == Phase::Loading
    }

    pub fn kind(&self, path: &str) -> Option<&'static Kind> {
        self.kinds.get(path).copied()
    }

    pub fn kind_names(&self, namespace: &str) -> impl Iterator<Item = &str> {
        self.kinds.keys().filter_map(move |path| path.strip_prefix(namespace)?.strip_prefix('.'))
    }

    pub fn fields(&self, kind: &'static Kind) -> Rc<Fields> {
        let mut all = self.fields.borrow_mut();
        let fields = || {
            let mut fields = fields_of(kind);
            let defaults = self.options.defaults.get(&kind.path());
            for (name, value) in defaults.into_iter().flatten() {
                if let Some(field) = fields.known.iter_mut().find(|field| field.name == *name) {
                    field.default = Some(value.clone());
                }
            }
            Rc::new(fields)
        };
        all.entry(kind.path()).or_insert_with(fields).clone()
    }

    pub fn new_id(&self) -> u64 {
        self.next_id.replace(self.next_id.get() + 1)
    }

    /// A scope for functions that are handed over, which nobody else uses.
    pub fn new_scope(&self) -> u64 {
        self.next_scope.replace(self.next_scope.get() + 1)
    }

    /// Records a mistake while the file is loaded, raises it later.
    pub fn complain(&self, lua: &Lua, path: &str, message: impl Into<String>) -> mlua::Result<()> {
        let message = message.into();
        if !self.loading() {
            return Err(raise(lua, format!("{path}: {message}")));
        }
        self.record(&origin(lua), path, message);
        Ok(())
    }

    pub fn record(&self, at: &Origin, path: &str, message: impl Into<String>) {
        let error = config_error(at, path, message);
        if !error.message.contains("unknown option") && !error.message.ends_with(": not supported yet") {
            self.broken.borrow_mut().insert(at.to_string());
        }
        let mut errors = self.errors.borrow_mut();
        if !errors.contains(&error) {
            errors.push(error);
        }
    }

    pub fn warn(&self, at: &Origin, path: &str, message: impl Into<String>) {
        let warning = config_error(at, path, message);
        let mut warnings = self.warnings.borrow_mut();
        if self.loading() && !warnings.contains(&warning) {
            warnings.push(warning);
        }
    }

    /// Reads a file, relative to the configuration's folder, and remembers it for watching.
    pub fn read_file(&self, name: &str) -> std::io::Result<Vec<u8>> {
        let path = self.root.join(name);
        let result = read_bounded(&path);
        let hash = result.as_ref().map_or([0; 32], |bytes| Sha256::digest(bytes).into());
        let mut files = self.files.borrow_mut();
        if self.loading() && !files.iter().any(|(known, _)| *known == path) {
            files.push((path, hash));
        }
        result
    }

    /// Of all files read, names included.
    pub fn content_hash(&self) -> String {
        let mut all = Sha256::new();
        let mut files = self.files.borrow().clone();
        files.sort();
        for (path, hash) in files {
            all.update(path.as_os_str().as_encoded_bytes());
            all.update(hash);
        }
        hex(&all.finalize())
    }

    pub fn prelude(&self, name: &str) -> mlua::Result<Function> {
        self.of_prelude(name)
    }

    pub fn prelude_table(&self, name: &str) -> mlua::Result<Table> {
        self.of_prelude(name)
    }

    fn of_prelude<T: mlua::FromLua>(&self, name: &str) -> mlua::Result<T> {
        let prelude = self.prelude.borrow();
        let table = prelude.as_ref().ok_or_else(|| mlua::Error::runtime("the prelude is not loaded"))?;
        table.raw_get(name)
    }
}

fn config_error(at: &Origin, path: &str, message: impl Into<String>) -> ConfigError {
    let path = lunabot_model::text::named(path);
    ConfigError { file: at.file.to_string(), line: at.line, path, message: message.into() }
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Largest file that is read whole, in bytes.
const LARGEST_FILE: u64 = 512 << 20;

fn read_bounded(path: &Path) -> std::io::Result<Vec<u8>> {
    will_not_block(path)?;
    refuse(path, |found| found.is_char_device(), "is a device, and no file")?;
    let mut bytes = Vec::new();
    std::fs::File::open(path)?.take(LARGEST_FILE + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > LARGEST_FILE {
        let text = format!("is larger than {} MB; read it piece by piece with io.lines", LARGEST_FILE >> 20);
        return Err(std::io::Error::new(std::io::ErrorKind::FileTooLarge, text));
    }
    Ok(bytes)
}

/// A pipe would be waited for, and nothing else would go on in this interpreter.
pub(crate) fn will_not_block(path: &Path) -> std::io::Result<()> {
    let pipe = "is a pipe, which could block the master; read it with util.process";
    refuse(path, |found| found.is_fifo(), pipe)
}

fn refuse(path: &Path, is_refused: impl Fn(std::fs::FileType) -> bool, why: &str) -> std::io::Result<()> {
    match std::fs::metadata(path) {
        Ok(found) if is_refused(found.file_type()) => {
            Err(std::io::Error::new(std::io::ErrorKind::InvalidInput, why))
        }
        _ => Ok(()),
    }
}
