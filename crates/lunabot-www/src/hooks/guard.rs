//! Proof that a request comes from the forge: a signature or a token, made with a secret that both sides know.
//!
//! Comparisons take the same time wherever they fail.

use super::{HookError, HookRequest};
use hmac::{Hmac, KeyInit, Mac};
use lunabot_model::Renderable;
use lunabot_model::render::ServiceScope;
use sha1::Sha1;
use sha2::Sha256;
use subtle::ConstantTimeEq;

/// How a forge proves itself.
#[derive(Clone, Copy)]
pub enum Proof<'a> {
    /// `ALGORITHM=HEX` in the first of these headers that is there: an HMAC of the body.
    Signature(&'a [&'a str]),
    /// The hexadecimal HMAC-SHA256 of the body, bare or after `sha256=`, in the first of these headers that is there.
    Sha256(&'a [&'a str]),
    /// The one or the other in this header.
    Either(&'a str),
    /// The secret itself.
    Token(&'a str),
}

/// The secret of a dialect and what is done with it. Without one every request passes.
pub struct Guard<'a> {
    pub secret: Option<&'a Renderable<String>>,
    pub proof: Proof<'a>,
}

impl Guard<'_> {
    pub async fn check(&self, request: &HookRequest, scope: &ServiceScope) -> Result<(), HookError> {
        let Some(secret) = self.secret(scope).await.map_err(HookError::Failed)? else { return Ok(()) };
        match self.proof {
            Proof::Signature(headers) => signature(request, headers, &secret),
            Proof::Sha256(headers) => sha256(request, headers, &secret),
            Proof::Either(header) => match request.header(header) {
                Some(given) if given.contains('=') => signature(request, &[header], &secret),
                _ => sha256(request, &[header], &secret),
            },
            Proof::Token(header) => token(request, header, &secret),
        }
    }

    /// The secret's value. The error says what is wrong with it, but not its value.
    pub async fn secret(&self, scope: &ServiceScope) -> Result<Option<String>, String> {
        let Some(secret) = self.secret else { return Ok(None) };
        let value = scope.value(secret).await.map_err(|error| format!("secret: {error}"))?;
        if value.is_empty() {
            return Err("secret: it is empty, and so protects nothing".into());
        }
        Ok(Some(value))
    }
}

fn bad(text: impl Into<String>) -> HookError {
    HookError::Bad(text.into())
}

fn signature(request: &HookRequest, headers: &[&str], secret: &str) -> Result<(), HookError> {
    let given = headers.iter().find_map(|name| request.header(name));
    let given = given.ok_or_else(|| bad("Request has no required signature"))?;
    let (algorithm, hex) =
        given.split_once('=').ok_or_else(|| bad(format!("Wrong signature format: {given}")))?;
    let good = match algorithm {
        "sha1" => fits::<Hmac<Sha1>>(&request.body, hex, secret),
        "sha256" => fits::<Hmac<Sha256>>(&request.body, hex, secret),
        other => return Err(bad(format!("Unknown hash type: {other}"))),
    };
    if good { Ok(()) } else { Err(bad("Hash mismatch")) }
}

fn sha256(request: &HookRequest, headers: &[&str], secret: &str) -> Result<(), HookError> {
    let given = headers.iter().find_map(|name| request.header(name)).unwrap_or_default();
    let hex = given.strip_prefix("sha256=").unwrap_or(given);
    if fits::<Hmac<Sha256>>(&request.body, hex, secret) { Ok(()) } else { Err(bad("Invalid secret")) }
}

fn token(request: &HookRequest, header: &str, secret: &str) -> Result<(), HookError> {
    let given = request.header(header).unwrap_or_default();
    if equal(given, secret) { Ok(()) } else { Err(bad("Invalid secret")) }
}

/// Whether two secrets are the same; how long it takes tells at most their lengths.
pub fn equal(a: &str, b: &str) -> bool {
    a.as_bytes().ct_eq(b.as_bytes()).into()
}

/// Whether `hex` is the keyed hash of `body`.
fn fits<M: Mac + KeyInit>(body: &[u8], hex: &str, secret: &str) -> bool {
    let (Some(given), Ok(mut mac)) = (bytes(hex.trim()), M::new_from_slice(secret.as_bytes())) else {
        return false;
    };
    mac.update(body);
    mac.verify_slice(&given).is_ok()
}

fn bytes(hex: &str) -> Option<Vec<u8>> {
    if !hex.is_ascii() || !hex.len().is_multiple_of(2) {
        return None;
    }
    (0..hex.len()).step_by(2).map(|i| u8::from_str_radix(&hex[i..i + 2], 16).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Vectors of RFC 2202 and RFC 4231, test case 2.
    #[test]
    fn known_hashes_fit_and_others_do_not() {
        let body = b"what do ya want for nothing?";
        let sha1 = "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79";
        let sha256 = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
        assert!(fits::<Hmac<Sha1>>(body, sha1, "Jefe"));
        assert!(fits::<Hmac<Sha256>>(body, &sha256.to_uppercase(), "Jefe"));
        for hex in ["", "00", "zz", "+1", &sha256[2..], &sha256[1..], sha1, "ü"] {
            assert!(!fits::<Hmac<Sha256>>(body, hex, "Jefe"), "{hex}");
        }
        assert!(!fits::<Hmac<Sha256>>(body, sha256, "jefe"));
        assert!(!fits::<Hmac<Sha256>>(b"", sha256, "Jefe"));
    }
}
