//! The file of `util.HTPasswdAuth`: read again when it changes.

use super::crypt::Hash;
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;
use tokio::io::AsyncReadExt as _;
use tokio::sync::Semaphore;

/// Longest file that is read, in bytes.
const MAX_FILE: u64 = 4 << 20;
/// Hashes that are computed at once: each takes a processor for some 0.1 s, and builds need them too.
const HASHING: usize = 2;

type Users = HashMap<String, Result<Hash, String>>;
/// When the file was changed, and how long it was.
type Stamp = (Option<SystemTime>, u64);

/// A file of names and passwords.
#[derive(Debug)]
pub struct HtPasswd {
    path: PathBuf,
    read: Mutex<Option<(Stamp, Arc<Users>)>>,
    hashing: Semaphore,
}

impl HtPasswd {
    pub fn new(path: PathBuf) -> HtPasswd {
        HtPasswd { path, read: Mutex::new(None), hashing: Semaphore::new(HASHING) }
    }

    /// The users as the file has them now. The error says what is wrong with the file.
    async fn users(&self) -> Result<Arc<Users>, String> {
        let wrong = |e: std::io::Error| format!("{}: {e}", self.path.display());
        let meta = tokio::fs::metadata(&self.path).await.map_err(wrong)?;
        let stamp = (meta.modified().ok(), meta.len());
        if let Some((known, users)) = &*self.read.lock().unwrap_or_else(PoisonError::into_inner)
            && *known == stamp
        {
            return Ok(Arc::clone(users));
        }
        let mut text = String::new();
        let file = tokio::fs::File::open(&self.path).await.map_err(wrong)?;
        file.take(MAX_FILE + 1).read_to_string(&mut text).await.map_err(wrong)?;
        if text.len() as u64 > MAX_FILE {
            return Err(format!("{}: is longer than {MAX_FILE} bytes", self.path.display()));
        }
        let users = Arc::new(parse(&text));
        *self.read.lock().unwrap_or_else(PoisonError::into_inner) = Some((stamp, Arc::clone(&users)));
        Ok(users)
    }

    /// Whether the file can be read, and the users who cannot log in with what it says.
    pub async fn check(&self) -> Result<Vec<String>, String> {
        let users = self.users().await?;
        let mut told: Vec<String> = users
            .iter()
            .filter_map(|(user, hash)| Some(format!("the password of {user} {}", hash.as_ref().err()?)))
            .collect();
        told.sort();
        Ok(told)
    }

    /// Whether there still is such a user.
    pub async fn knows(&self, user: &str) -> bool {
        self.users().await.is_ok_and(|users| users.contains_key(user))
    }

    /// Whether the password is that user's.
    pub async fn accepts(&self, user: &str, password: &str) -> Result<bool, String> {
        let users = self.users().await?;
        let hash = match users.get(user) {
            None => return Ok(false),
            Some(Err(why)) => return Err(format!("the password of {user} {why}")),
            Some(Ok(hash)) => hash.clone(),
        };
        let Ok(_place) = self.hashing.acquire().await else { return Ok(false) };
        let password = password.to_owned();
        let fits = tokio::task::spawn_blocking(move || hash.fits(&password)).await;
        fits.map_err(|e| e.to_string())
    }
}

fn parse(text: &str) -> Users {
    let lines = text.lines().map(str::trim_end).filter(|line| !line.starts_with('#'));
    let pairs = lines.filter_map(|line| line.split_once(':'));
    // What follows a second colon is a comment of some tools.
    pairs
        .map(|(user, hash)| (user.to_owned(), Hash::parse(hash.split(':').next().unwrap_or_default())))
        .collect()
}
