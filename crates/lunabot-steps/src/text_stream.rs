//! Bytes that come in pieces, as text: what is no UTF-8 becomes U+FFFD, a character cut in two is put together.

/// The end of what came so far, if it may be the beginning of a character.
#[derive(Debug, Default)]
pub struct TextStream(Vec<u8>);

impl TextStream {
    /// The text of the next piece.
    pub fn push(&mut self, piece: &[u8]) -> String {
        self.0.extend_from_slice(piece);
        let whole = complete(&self.0);
        let text = String::from_utf8_lossy(&self.0[..whole]).into_owned();
        self.0.drain(..whole);
        text
    }

    /// What is left when no more comes.
    pub fn finish(&mut self) -> String {
        String::from_utf8_lossy(&std::mem::take(&mut self.0)).into_owned()
    }
}

/// How many of the bytes do not end within a character.
fn complete(bytes: &[u8]) -> usize {
    let from = bytes.len().saturating_sub(3);
    let lead = bytes[from..].iter().rposition(|byte| byte & 0xC0 == 0xC0).map(|at| from + at);
    let Some(at) = lead else { return bytes.len() };
    let wanted = match bytes[at] {
        0xF0.. => 4,
        0xE0.. => 3,
        _ => 2,
    };
    if bytes.len() - at < wanted { at } else { bytes.len() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_split_of_the_bytes_changes_the_text() {
        let bytes = "aé€😀z".as_bytes().iter().chain(b"\xff\xc3(\x80").copied().collect::<Vec<_>>();
        let whole = String::from_utf8_lossy(&bytes);
        for cut in 0..=bytes.len() {
            let mut stream = TextStream::default();
            let text = stream.push(&bytes[..cut]) + &stream.push(&bytes[cut..]) + &stream.finish();
            assert_eq!(text, whole, "cut at {cut}");
        }
        let mut stream = TextStream::default();
        let text: String = bytes.iter().map(|byte| stream.push(&[*byte])).collect();
        assert_eq!(text + &stream.finish(), whole);
    }
}
