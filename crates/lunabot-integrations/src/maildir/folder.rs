//! The folders of a maildir. All work on files is done beside the runtime's threads.

use crate::source::SourceError;
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};

/// A longer message is none that a commit wrote.
const LARGEST: u64 = 4 << 20;
/// Messages that one look takes in; the next takes more.
const MOST: usize = 1000;

/// A maildir.
pub struct Folder(PathBuf);

/// A message that was delivered.
pub struct Letter {
    /// Its file in `new/`.
    pub name: String,
}

impl Folder {
    /// Makes what is missing of it.
    pub async fn open(path: &Path) -> Result<Self, SourceError> {
        let folder = Folder(path.into());
        let dirs = ["cur", "new", "tmp"].map(|name| path.join(name));
        blocking(move || {
            dirs.iter().try_for_each(|dir| std::fs::create_dir_all(dir).map_err(|e| fault(dir, &e)))
        })
        .await?;
        Ok(folder)
    }

    pub fn new_mail(&self) -> PathBuf {
        self.0.join("new")
    }

    pub fn bad(&self) -> PathBuf {
        self.0.join("bad")
    }

    /// What was delivered, by name, which begins with the time of delivery.
    pub async fn letters(&self) -> Result<Vec<Letter>, SourceError> {
        let new = self.new_mail();
        blocking(move || {
            let mut names = Vec::new();
            for entry in std::fs::read_dir(&new).map_err(|e| fault(&new, &e))? {
                let entry = entry.map_err(|e| fault(&new, &e))?;
                let plain = entry.file_type().is_ok_and(|sort| sort.is_file());
                match entry.file_name().into_string() {
                    Ok(name) if plain && !name.starts_with('.') => names.push(name),
                    Ok(_) | Err(_) => {}
                }
            }
            names.sort_by_cached_key(|name| (seconds(name), name.clone()));
            names.truncate(MOST);
            Ok(names.into_iter().map(|name| Letter { name }).collect())
        })
        .await
    }

    /// The message, or why it is none.
    pub async fn read(&self, letter: &Letter) -> Result<Result<Vec<u8>, String>, SourceError> {
        let path = self.new_mail().join(&letter.name);
        blocking(move || {
            let mut bytes = Vec::new();
            let file = std::fs::File::open(&path).map_err(|e| fault(&path, &e))?;
            file.take(LARGEST + 1).read_to_end(&mut bytes).map_err(|e| fault(&path, &e))?;
            Ok(match bytes.len() as u64 > LARGEST {
                true => Err(format!("it is longer than {LARGEST} bytes")),
                false => Ok(bytes),
            })
        })
        .await
    }

    /// Marks it as seen.
    pub async fn done(&self, letter: &Letter) -> Result<(), SourceError> {
        let seen = match letter.name.contains(":2,") {
            true => letter.name.clone(),
            false => format!("{}:2,S", letter.name),
        };
        self.rename(letter, self.0.join("cur").join(seen)).await.map(drop)
    }

    /// Keeps it where somebody can look at it; the place.
    pub async fn set_aside(&self, letter: &Letter) -> Result<PathBuf, SourceError> {
        self.rename(letter, self.bad().join(&letter.name)).await
    }

    async fn rename(&self, letter: &Letter, to: PathBuf) -> Result<PathBuf, SourceError> {
        let from = self.new_mail().join(&letter.name);
        blocking(move || {
            let parent = to.parent().unwrap_or(&to);
            std::fs::create_dir_all(parent).map_err(|e| fault(parent, &e))?;
            match std::fs::rename(&from, &to) {
                // Somebody else has taken it away.
                Err(e) if e.kind() != ErrorKind::NotFound => Err(fault(&from, &e)),
                _ => Ok(to),
            }
        })
        .await
    }
}

/// The time of delivery in a file's name.
fn seconds(name: &str) -> u64 {
    name.split('.').next().and_then(|digits| digits.parse().ok()).unwrap_or_default()
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, SourceError> + Send + 'static,
) -> Result<T, SourceError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|error| Err(SourceError::Other(format!("work on the maildir broke off: {error}"))))
}

fn fault(path: &Path, error: &std::io::Error) -> SourceError {
    SourceError::Other(format!("{}: {error}", path.display()))
}
