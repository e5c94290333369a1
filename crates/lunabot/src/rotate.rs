//! The log file of a daemon: rotated by size, a bounded number of old ones kept (16.030).

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// A file that becomes `NAME.1` when it is full; `NAME.1` becomes `NAME.2`, and so on; the oldest is removed.
#[derive(Debug, Clone)]
pub struct RotatingFile(Arc<Mutex<Inner>>);

#[derive(Debug)]
struct Inner {
    path: PathBuf,
    file: File,
    written: u64,
    limit: u64,
    count: u32,
}

impl RotatingFile {
    /// Opens `path` for appending. A file holds at most `limit` bytes (0: no limit), `count` old ones are kept.
    pub fn open(path: &Path, limit: u64, count: u32) -> io::Result<Self> {
        let file = append(path)?;
        let written = file.metadata()?.len();
        Ok(RotatingFile(Arc::new(Mutex::new(Inner { path: path.to_owned(), file, written, limit, count }))))
    }
}

impl Write for RotatingFile {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).write(line)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Inner {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let full = self.limit > 0 && self.written > 0 && self.written + line.len() as u64 > self.limit;
        if full && let Err(error) = self.rotate() {
            // Going on in the old file loses nothing; the next line tries again.
            let _ = writeln!(self.file, "cannot rotate the log file: {error}");
        }
        self.file.write_all(line)?;
        self.written += line.len() as u64;
        Ok(line.len())
    }

    fn rotate(&mut self) -> io::Result<()> {
        for n in (1..self.count).rev() {
            let old = self.numbered(n);
            if old.exists() {
                std::fs::rename(old, self.numbered(n + 1))?;
            }
        }
        if self.count == 0 {
            self.file.set_len(0)?;
        } else {
            std::fs::rename(&self.path, self.numbered(1))?;
            self.file = append(&self.path)?;
        }
        self.written = 0;
        Ok(())
    }

    fn numbered(&self, n: u32) -> PathBuf {
        let mut name = self.path.clone().into_os_string();
        name.push(format!(".{n}"));
        name.into()
    }
}

fn append(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_so_many_files_of_so_many_bytes() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lunabot.log");
        let mut log = RotatingFile::open(&path, 10, 2).unwrap();
        for line in ["one\n", "two\n", "three\n", "four\n", "five\n", "six\n", "seven\n"] {
            log.write_all(line.as_bytes()).unwrap();
        }
        let read = |name: &str| std::fs::read_to_string(dir.path().join(name)).unwrap();
        assert_eq!(read("lunabot.log"), "six\nseven\n");
        assert_eq!(read("lunabot.log.1"), "four\nfive\n");
        assert_eq!(read("lunabot.log.2"), "three\n");
        assert!(!dir.path().join("lunabot.log.3").exists());
    }

    #[test]
    fn goes_on_where_an_earlier_process_stopped() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lunabot.log");
        std::fs::write(&path, "12345678\n").unwrap();
        let mut log = RotatingFile::open(&path, 10, 1).unwrap();
        log.write_all(b"next\n").unwrap();
        assert_eq!(std::fs::read_to_string(dir.path().join("lunabot.log.1")).unwrap(), "12345678\n");
    }
}
