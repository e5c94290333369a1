//! How text becomes log lines: secrets masked, control sequences normalised, whole lines only.
//!
//! Everything here is pure; [`crate::step::LogHandle`] joins it to the store. What must never enter: the store.

mod forms;
mod lines;
mod mask;
mod text;

pub(crate) use forms::html;
pub(crate) use lines::Lines;
pub(crate) use mask::Masker;
pub use mask::Masks;
pub use text::Channel;
pub(crate) use text::{LogText, SizeLimits};
