//! The script host through its own door: a `master.lua` in, a configuration or its errors out, callbacks called.

#![expect(clippy::unwrap_used, reason = "test helpers are not seen as tests")]

#[path = "script/callbacks.rs"]
mod callbacks;
#[path = "script/classes.rs"]
mod classes;
#[path = "script/each.rs"]
mod each;
#[path = "script/errors.rs"]
mod errors;
#[path = "script/helpers.rs"]
mod helpers;
#[path = "script/http.rs"]
mod http;
#[path = "script/limits.rs"]
mod limits;
#[path = "script/loading.rs"]
mod loading;
#[path = "script/locks.rs"]
mod locks;
#[path = "script/renderables.rs"]
mod renderables;
#[path = "script/stubs.rs"]
mod stubs;
#[path = "script/support.rs"]
mod support;
#[path = "script/values.rs"]
mod values;
