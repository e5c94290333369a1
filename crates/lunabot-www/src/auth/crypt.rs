//! Passwords as Apache's `htpasswd` keeps them: bcrypt, `$apr1$`, `{SHA}`, `$5$`, `$6$`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use md5::{Digest, Md5};
use sha1::Sha1;
use subtle::ConstantTimeEq;

/// How one password is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Hash {
    Bcrypt(String),
    /// Salt and hash.
    Apr1(String, String),
    Sha1(String),
    ShaCrypt(String),
}

impl Hash {
    /// Reads the part after the name. The error says what to do.
    pub fn parse(text: &str) -> Result<Hash, String> {
        if let Some(rest) = text.strip_prefix("$apr1$") {
            let (salt, hash) = rest.split_once('$').ok_or("the hash after $apr1$ is cut off")?;
            return Ok(Hash::Apr1(salt.into(), hash.into()));
        }
        match text.get(..3) {
            Some("$2a" | "$2b" | "$2x" | "$2y") => Ok(Hash::Bcrypt(text.into())),
            Some("$5$" | "$6$") => Ok(Hash::ShaCrypt(text.into())),
            _ => match text.strip_prefix("{SHA}") {
                Some(hash) => Ok(Hash::Sha1(hash.into())),
                None => Err("is kept in a form that is not supported (crypt, plain text); \
                             set it again with: htpasswd -B FILE NAME"
                    .into()),
            },
        }
    }

    /// Takes some 0.1 s for bcrypt: not for the runtime's threads.
    pub fn fits(&self, password: &str) -> bool {
        match self {
            Hash::Bcrypt(hash) => bcrypt::verify(password, hash).unwrap_or(false),
            Hash::Apr1(salt, hash) => equal(&apr1(password.as_bytes(), salt.as_bytes()), hash),
            Hash::Sha1(hash) => equal(&STANDARD.encode(Sha1::digest(password)), hash),
            Hash::ShaCrypt(hash) => {
                use sha_crypt::{PasswordVerifier as _, ShaCrypt};
                ShaCrypt::default().verify_password(password.as_bytes(), hash.as_str()).is_ok()
            }
        }
    }
}

fn equal(a: &str, b: &str) -> bool {
    a.as_bytes().ct_eq(b.as_bytes()).into()
}

/// Apache's variant of the MD5 crypt of FreeBSD, without its prefix.
fn apr1(password: &[u8], salt: &[u8]) -> String {
    let salt = &salt[..salt.len().min(8)];
    let inner: [u8; 16] =
        Md5::new().chain_update(password).chain_update(salt).chain_update(password).finalize().into();
    let mut first = Md5::new().chain_update(password).chain_update(b"$apr1$").chain_update(salt);
    for piece in password.chunks(16) {
        first.update(&inner[..piece.len()]);
    }
    let mut length = password.len();
    while length > 0 {
        first.update(if length & 1 == 1 { &[0][..] } else { password.get(..1).unwrap_or_default() });
        length >>= 1;
    }
    let mut hash: [u8; 16] = first.finalize().into();
    for round in 0..1000 {
        let mut next = Md5::new();
        next.update(if round % 2 == 1 { password } else { &hash[..] });
        if round % 3 != 0 {
            next.update(salt);
        }
        if round % 7 != 0 {
            next.update(password);
        }
        next.update(if round % 2 == 1 { &hash[..] } else { password });
        hash = next.finalize().into();
    }
    crypt_base64(&hash)
}

/// 16 bytes in the order and the alphabet of crypt.
fn crypt_base64(hash: &[u8; 16]) -> String {
    const ALPHABET: &[u8; 64] = b"./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let mut text = String::with_capacity(22);
    let mut put = |bits: u32, letters: u32| {
        text.extend((0..letters).map(|n| char::from(ALPHABET[((bits >> (6 * n)) & 63) as usize])));
    };
    for (a, b, c) in [(0, 6, 12), (1, 7, 13), (2, 8, 14), (3, 9, 15), (4, 10, 5)] {
        put(u32::from(hash[a]) << 16 | u32::from(hash[b]) << 8 | u32::from(hash[c]), 4);
    }
    put(u32::from(hash[11]), 2);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Made by `openssl passwd` and Perl's `crypt`.
    #[test]
    fn row_10_021_passwords_of_apaches_files_fit() {
        for (password, hash) in [
            ("password", "$apr1$lZL6V/ci$eIMz/iKDkbtys/uU7LEK00"),
            ("päss wörd and more than sixteen", "$apr1$abcdefgh$CUFAm/KAtKrhR3LkCAGqu1"),
            ("password", "{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g="),
            ("secret", "$5$saltsalt$0IyaXrmV7.sGNS6tirgqHLqX/G.FBvgkYA.lpPdS5sA"),
            (
                "secret",
                "$6$saltsalt$TVLlQcbpFVof5W3Yz4DTP6gRstiNuHwwTt6GLc1E5n0U0aDehy0S5knV8wiOQSpT0Y77vwPZN.Pq.H91p5hVO1",
            ),
            ("secret", "$2y$05$abcdefghijklmnopqrstuuOQiyCxlgf/oeuTqixKmWdcYUh4Hjl0a"),
        ] {
            let hash = Hash::parse(hash).unwrap();
            assert!(hash.fits(password), "{hash:?}");
            assert!(!hash.fits("passwore") && !hash.fits("") && !hash.fits(&"x".repeat(1000)), "{hash:?}");
        }
        for bad in ["password", "", "rqXexS6ZhobKA", "$apr1$", "$1$salt$hash", "ä"] {
            assert!(Hash::parse(bad).is_err(), "{bad}");
        }
        for cut in ["$2y$05$", "$5$", "$6$rounds=x$", "$apr1$$", "{SHA}", "$2y$99$abcdefghijklmnopqrstuu"] {
            assert!(!Hash::parse(cut).unwrap().fits(""), "{cut}");
        }
    }
}
