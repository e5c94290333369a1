//! Whether reporters have something to do that nobody sees: they read the store between the functions that they call.

use std::sync::Arc;
use std::sync::atomic::{AtomicIsize, Ordering};

/// How many are at it.
#[derive(Clone, Default)]
pub(crate) struct Working(Arc<AtomicIsize>);

/// Undoes what was counted.
pub(crate) struct Counted<'a>(&'a AtomicIsize, isize);

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(self.1, Ordering::SeqCst);
    }
}

impl Working {
    /// One more, until this is dropped.
    pub fn begin(&self) -> Counted<'_> {
        self.count(1)
    }

    /// One less, until this is dropped: it waits for a function.
    pub fn pause(&self) -> Counted<'_> {
        self.count(-1)
    }

    fn count(&self, by: isize) -> Counted<'_> {
        self.0.fetch_add(by, Ordering::SeqCst);
        Counted(&self.0, by)
    }

    pub fn any(&self) -> bool {
        self.0.load(Ordering::SeqCst) > 0
    }
}
