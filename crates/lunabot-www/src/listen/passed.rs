//! Sockets that systemd listens at and hands over at the start, so that nobody is turned away while the master is not there.

use lunabot_model::Passed;
use std::io::{Error, ErrorKind, Result};
use std::os::fd::{FromRawFd, OwnedFd};
use std::sync::OnceLock;

struct Socket {
    name: String,
    fd: OwnedFd,
}

/// Held as long as the process lives: after a reload that goes elsewhere another may come back.
static SOCKETS: OnceLock<Vec<Socket>> = OnceLock::new();

/// Takes over what systemd handed to this process. To be called at its start, before a program is run that would inherit
/// the sockets; again does nothing.
///
/// # Errors
/// The environment (`LISTEN_FDS` …) contradicts itself.
pub fn take_passed_sockets() -> Result<()> {
    if SOCKETS.get().is_none() {
        let sockets: Vec<_> = sd_notify::listen_fds_with_names()?.map(own).collect();
        let _ = SOCKETS.set(sockets);
    }
    Ok(())
}

#[expect(unsafe_code, reason = "descriptors come from the environment as numbers")]
fn own((fd, name): (i32, String)) -> Socket {
    // SAFETY: `LISTEN_PID` says that they are meant for this process; nothing else takes them, and this runs once.
    Socket { name, fd: unsafe { OwnedFd::from_raw_fd(fd) } }
}

/// One of them, to listen at.
pub(super) fn passed(which: &Passed) -> Result<socket2::Socket> {
    let sockets = SOCKETS.get().map_or(&[][..], Vec::as_slice);
    let found = match which {
        Passed::Index(index) => sockets.get(*index),
        Passed::Name(name) => sockets.iter().find(|socket| socket.name == *name),
    };
    let Some(found) = found else {
        let names: Vec<&str> = sockets.iter().map(|socket| socket.name.as_str()).collect();
        let all = if names.is_empty() { "none".into() } else { names.join(", ") };
        let text =
            format!("systemd handed over {all}; is there a .socket unit, and was the master started by it?");
        return Err(Error::new(ErrorKind::NotFound, text));
    };
    let socket = socket2::Socket::from(found.fd.try_clone()?);
    if !socket.is_listener()? {
        return Err(Error::new(
            ErrorKind::InvalidInput,
            "nothing listens there: the .socket unit needs ListenStream=",
        ));
    }
    socket.set_nonblocking(true)?;
    Ok(socket)
}
