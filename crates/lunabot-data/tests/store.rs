//! The data API through its own door, on both engines.

mod support;
mod store {
    mod builds;
    mod opening;
}
