//! Commands as steps make them (names and arguments of PB) turned into those of msgpack (reference row 08.036).

use super::Places;
use super::faces::obfuscated;
use crate::{Command, Dict, Value, arguments, names};

/// The name and the arguments of `command` on this wire.
pub(super) fn rewrite(command: Command, places: &Places) -> (String, Dict) {
    let builddir = command.builddir.clone().unwrap_or_default();
    let name = command.name.clone();
    let args = Rewriter { places, builddir, args: arguments::accepted(command) };
    match name.as_str() {
        names::SHELL => (name, args.shell()),
        names::UPLOAD_FILE => (names::UPLOAD_FILE_MSGPACK.into(), args.file("workersrc")),
        names::UPLOAD_DIRECTORY => (names::UPLOAD_DIRECTORY_MSGPACK.into(), args.file("workersrc")),
        names::DOWNLOAD_FILE => (names::DOWNLOAD_FILE_MSGPACK.into(), args.file("workerdest")),
        names::MKDIR | names::RMDIR => (name, args.dirs()),
        names::CPDIR => (name, args.rename("fromdir", "from_path").rename("todir", "to_path").args),
        names::STAT => (name, args.stat()),
        names::LISTDIR => (name, args.rename("dir", "path").args),
        names::GLOB => (name, args.rename("path", "path").args),
        names::RMFILE => (name, args.rmfile()),
        _ => (name, args.args),
    }
}

struct Rewriter<'a> {
    places: &'a Places,
    builddir: String,
    args: Dict,
}

impl Rewriter<'_> {
    fn absolute(&self, path: &str) -> String {
        self.places.join(&[&self.builddir, path])
    }

    /// Takes the path out from under `from` and puts it, absolute, under `to`. What is no text is the worker's to refuse.
    fn rename(mut self, from: &str, to: &str) -> Self {
        let Some(value) = self.args.get(from) else { return self };
        let value = value.as_str().map_or_else(|| value.clone(), |path| self.absolute(path).into());
        if from != to {
            self.args.remove(from);
        }
        self.args.insert(to, value);
        self
    }

    fn shell(self) -> Dict {
        let mut args = self.rename("workdir", "workdir").args;
        if let Some(Value::List(words)) = args.get("command") {
            let words: Vec<Value> = words.iter().cloned().map(plain_word).collect();
            args.insert("command", Value::List(words));
        }
        args
    }

    /// Transfers: the file's name is relative to the working directory.
    fn file(mut self, key: &str) -> Dict {
        let workdir = self.args.get("workdir").and_then(Value::as_str).unwrap_or_default().to_owned();
        if let Some(name) = self.args.get(key).and_then(Value::as_str) {
            let path = self.places.join(&[&self.builddir, &workdir, &self.places.expand(name)]);
            self.args.insert("path", path);
        }
        self.args
    }

    fn dirs(mut self) -> Dict {
        if let Some(value) = self.args.remove("dir") {
            let paths: Vec<Value> = match value {
                Value::List(paths) | Value::Tuple(paths) => paths,
                one => vec![one],
            };
            let absolute = |path: Value| path.as_str().map(|path| self.absolute(path).into()).unwrap_or(path);
            let paths: Vec<Value> = paths.into_iter().map(absolute).collect();
            self.args.insert("paths", Value::List(paths));
        }
        self.args
    }

    fn stat(mut self) -> Dict {
        let workdir = self.args.get("workdir").and_then(Value::as_str).unwrap_or_default().to_owned();
        if let Some(file) = self.args.remove("file") {
            let path = file.as_str().map(|file| self.places.join(&[&self.builddir, &workdir, file]).into());
            self.args.insert("path", path.unwrap_or(file));
        }
        self.args
    }

    fn rmfile(mut self) -> Dict {
        if let Some(path) = self.args.get("path").and_then(Value::as_str) {
            let path = self.absolute(&self.places.expand(path));
            self.args.insert("path", path);
        }
        self.args
    }
}

/// A word that is shown otherwise (a tuple) cannot be said here: the worker would run the tuple's text. The real word goes, and
/// what the worker says of it is put right.
fn plain_word(word: Value) -> Value {
    match obfuscated(&word) {
        Some((real, _)) => real.into(),
        None => word,
    }
}
