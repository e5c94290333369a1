//! What the short-lived commands say to the person in front of them.

use std::io::Write as _;

/// A line on standard output. A reader that went away is no error.
pub fn out(line: &str) {
    let _ = writeln!(std::io::stdout().lock(), "{line}");
}

/// A line on standard error.
pub fn err(line: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{line}");
}
