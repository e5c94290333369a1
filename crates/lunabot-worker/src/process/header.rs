//! The lines that introduce a program in its log (row 08.025).

use super::spec::{Limit, Spec};
use std::fmt::Write;

/// The whole introduction.
pub(super) fn introduction(spec: &Spec) -> String {
    let mut out = String::new();
    if spec.pty_refused {
        out.push_str("WARNING: disabling usePTY for this command\n");
    }
    // Writing to a String cannot fail.
    _ = writeln!(out, "{}", spec.program.display());
    _ = write!(out, " in dir {}", spec.workdir.display());
    push_limit(&mut out, "timeout", spec.timeout.as_ref());
    push_limit(&mut out, "maxTime", spec.max_time.as_ref());
    _ = writeln!(out, "\n watching logfiles {}", spec.logfiles_shown);
    _ = writeln!(out, " argv: {}", spec.program.repr());
    if spec.log_environ {
        out.push_str(" environment:\n");
        for (name, value) in &spec.env {
            _ = writeln!(out, "  {}={}", name.display(), value.display());
        }
    }
    if let Some(stdin) = spec.stdin.as_ref().filter(|stdin| !stdin.is_empty()) {
        _ = writeln!(out, " writing {} bytes to stdin", stdin.len());
    }
    _ = writeln!(out, " using PTY: {}", if spec.pty { "True" } else { "False" });
    out
}

fn push_limit(out: &mut String, name: &str, limit: Option<&Limit>) {
    if let Some(Limit { shown, .. }) = limit {
        let unit = if shown == "1" { "sec" } else { "secs" };
        _ = write!(out, " ({name} {shown} {unit})");
    }
}
