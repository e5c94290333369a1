//! A mark that a value crosses threads, found out once.

use std::ops::Deref;

/// A value of which it was checked, where it was made, that it crosses threads. The compiler would otherwise walk
/// through all that it reaches for every future that holds one: with what a running step reaches, for minutes.
#[derive(Debug, Clone, Copy)]
pub struct Crosses<T>(T);

#[expect(unsafe_code, reason = "a mark that `new` has checked")]
// SAFETY: `new` makes one of a `Send` value alone.
unsafe impl<T> Send for Crosses<T> {}
#[expect(unsafe_code, reason = "a mark that `new` has checked")]
// SAFETY: `new` makes one of a `Sync` value alone.
unsafe impl<T> Sync for Crosses<T> {}

impl<T: Send + Sync> Crosses<T> {
    pub const fn new(value: T) -> Self {
        Crosses(value)
    }
}

impl<T: Send + Sync> From<T> for Crosses<T> {
    fn from(value: T) -> Self {
        Crosses::new(value)
    }
}

impl<T> Deref for Crosses<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}
