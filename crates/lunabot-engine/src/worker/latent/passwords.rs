//! What instances prove themselves with (reference 08.049).

use rand::RngExt;
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Letters and digits of a password that is made by chance.
const LENGTH: usize = 20;
const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

/// The passwords of the instances that there are, by the worker's name: set by whoever starts one, asked at the door.
#[derive(Default)]
pub(crate) struct Passwords(Mutex<HashMap<String, String>>);

impl Passwords {
    pub fn set(&self, worker: &str, password: &str) {
        self.lock().insert(worker.into(), password.into());
    }

    /// There is no instance any more.
    pub fn forget(&self, worker: &str) {
        self.lock().remove(worker);
    }

    pub fn get(&self, worker: &str) -> Option<String> {
        self.lock().get(worker).cloned()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub(crate) fn random_password() -> String {
    // The thread's generator is one for secrets.
    let mut rng = rand::rng();
    (0..LENGTH).map(|_| char::from(LETTERS[rng.random_range(0..LETTERS.len())])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn row_08_049_passwords_are_20_letters_and_digits_and_differ() {
        let (one, other) = (random_password(), random_password());
        assert!(one.len() == 20 && one.chars().all(|c| c.is_ascii_alphanumeric()), "{one}");
        assert_ne!(one, other);
    }
}
