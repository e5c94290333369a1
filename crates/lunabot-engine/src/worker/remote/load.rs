//! How much of a worker's news waits for the store: past a limit its socket is not read, which slows it down at the source.

use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::sync::Notify;

/// Bytes that may wait per connection.
const LIMIT: usize = 4 * 1024 * 1024;

#[derive(Default)]
pub(super) struct Load {
    waiting: AtomicUsize,
    less: Notify,
}

impl Load {
    pub fn add(&self, bytes: usize) {
        self.waiting.fetch_add(bytes, Ordering::AcqRel);
    }

    pub fn remove(&self, bytes: usize) {
        self.waiting.fetch_sub(bytes, Ordering::AcqRel);
        self.less.notify_one();
    }

    pub fn is_full(&self) -> bool {
        self.waiting.load(Ordering::Acquire) > LIMIT
    }

    /// Completes after something was removed; a removal just before counts.
    pub async fn room(&self) {
        self.less.notified().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_full_load_has_room_once_something_is_removed() {
        let load = Load::default();
        load.add(LIMIT);
        assert!(!load.is_full());
        load.add(1);
        assert!(load.is_full());
        load.remove(1);
        load.room().await;
        assert!(!load.is_full());
    }
}
