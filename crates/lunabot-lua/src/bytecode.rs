//! What of a compiled function counts: instructions, constants and nested prototypes. Line numbers, names and the
//! slots of upvalues do not (lua-api § 5). Reads the form that Lua 5.4 writes with `string.dump`.

use sha2::{Digest, Sha256};

/// Nested functions that are followed.
const MAX_DEPTH: usize = 200;

/// Feeds what counts into `hash`. `None`: not bytecode of Lua 5.4.
pub(crate) fn hash_code(dump: &[u8], hash: &mut Sha256) -> Option<()> {
    let mut reader = Bytes { left: dump };
    if reader.take(4)? != b"\x1bLua" || reader.take(2)? != [0x54, 0] {
        return None;
    }
    // Check bytes, sizes of instruction, integer and number, one of each; the number of upvalues.
    reader.take(6 + 3 + 8 + 8 + 1)?;
    function(&mut reader, hash, 0)
}

struct Bytes<'a> {
    left: &'a [u8],
}

impl<'a> Bytes<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, left) = self.left.split_at_checked(count)?;
        self.left = left;
        Some(taken)
    }

    fn byte(&mut self) -> Option<u8> {
        self.take(1).map(|bytes| bytes[0])
    }

    /// Seven bits per byte, the highest first; the last byte is marked.
    fn size(&mut self) -> Option<usize> {
        let mut size: usize = 0;
        loop {
            let byte = self.byte()?;
            size = size.checked_mul(128)?.checked_add(usize::from(byte & 0x7f))?;
            if byte & 0x80 != 0 {
                return Some(size);
            }
        }
    }

    fn text(&mut self) -> Option<&'a [u8]> {
        match self.size()? {
            0 => Some(&[]),
            length => self.take(length - 1),
        }
    }
}

fn function(bytes: &mut Bytes<'_>, hash: &mut Sha256, depth: usize) -> Option<()> {
    if depth > MAX_DEPTH {
        return None;
    }
    bytes.text()?; // source
    bytes.size()?; // first line
    bytes.size()?; // last line
    hash.update(bytes.take(3)?); // parameters, varargs, stack
    let count = bytes.size()?;
    hash.update(count.to_le_bytes());
    hash.update(bytes.take(count.checked_mul(4)?)?);
    constants(bytes, hash)?;
    let upvalues = bytes.size()?;
    hash.update(upvalues.to_le_bytes());
    bytes.take(upvalues.checked_mul(3)?)?;
    let nested = bytes.size()?;
    hash.update(nested.to_le_bytes());
    for _ in 0..nested {
        function(bytes, hash, depth + 1)?;
    }
    debug_information(bytes)
}

fn constants(bytes: &mut Bytes<'_>, hash: &mut Sha256) -> Option<()> {
    let count = bytes.size()?;
    hash.update(count.to_le_bytes());
    for _ in 0..count {
        let kind = bytes.byte()?;
        hash.update([kind]);
        match kind {
            0x03 | 0x13 => hash.update(bytes.take(8)?),
            0x04 | 0x14 => {
                let text = bytes.text()?;
                hash.update(text.len().to_le_bytes());
                hash.update(text);
            }
            0x00 | 0x01 | 0x11 => {}
            _ => return None,
        }
    }
    Some(())
}

/// Stripped functions have empty lists here.
fn debug_information(bytes: &mut Bytes<'_>) -> Option<()> {
    let lines = bytes.size()?;
    bytes.take(lines)?;
    for _ in 0..bytes.size()? {
        bytes.size()?;
        bytes.size()?;
    }
    for _ in 0..bytes.size()? {
        bytes.text()?;
        bytes.size()?;
        bytes.size()?;
    }
    for _ in 0..bytes.size()? {
        bytes.text()?;
    }
    Some(())
}
