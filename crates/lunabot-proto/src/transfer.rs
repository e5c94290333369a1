//! Requests a worker makes of the master while a transfer command runs.

use bytes::Bytes;

/// One request of a running upload or download. The worker waits for the answer, so one block is
/// in flight. The answer to [`Transfer::Read`] is data, to every other request nothing.
#[derive(Debug, Clone, PartialEq)]
pub enum Transfer {
    /// `uploadFile`: the next block.
    Write(Bytes),
    /// `uploadFile`: no more blocks. Sent for a missing source too, without any block before it.
    Close,
    /// `uploadFile` with `keepstamp`, after [`Transfer::Close`]: times of the source, in seconds
    /// since the epoch.
    Utime {
        /// Time of the last access.
        accessed: f64,
        /// Time of the last modification.
        modified: f64,
    },
    /// `uploadDirectory`: the next block of the tar stream.
    WriteDirectory(Bytes),
    /// `uploadDirectory`: the stream is complete, unpack it. No close follows.
    Unpack,
    /// `downloadFile`: send at most so many bytes; none means the end of the file.
    Read {
        /// Most bytes wanted.
        length: usize,
    },
    /// `downloadFile`: no more reads.
    CloseRead,
}
