//! Signatures of JSON Web Tokens (RFC 7515, 7518), made by `ring`.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use lunabot_model::Json;
use ring::rand::SystemRandom;
use ring::signature::{self, EcdsaKeyPair, EcdsaSigningAlgorithm, Ed25519KeyPair, RsaEncoding, RsaKeyPair};
use ring::{error::KeyRejected, hmac};
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject;
use schemars::JsonSchema;
use serde::Deserialize;

/// How a token is signed, by its name in RFC 7518 and 8037.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
pub enum Algorithm {
    #[default]
    RS256,
    RS384,
    RS512,
    PS256,
    PS384,
    PS512,
    ES256,
    ES384,
    EdDSA,
    HS256,
    HS384,
    HS512,
}

/// What it is done with.
enum Means {
    Rsa(&'static dyn RsaEncoding),
    Ecdsa(&'static EcdsaSigningAlgorithm),
    Ed25519,
    Hmac(hmac::Algorithm),
}

impl Algorithm {
    /// As the header of a token has it.
    pub fn name(self) -> String {
        format!("{self:?}")
    }

    fn means(self) -> Means {
        match self {
            Self::RS256 => Means::Rsa(&signature::RSA_PKCS1_SHA256),
            Self::RS384 => Means::Rsa(&signature::RSA_PKCS1_SHA384),
            Self::RS512 => Means::Rsa(&signature::RSA_PKCS1_SHA512),
            Self::PS256 => Means::Rsa(&signature::RSA_PSS_SHA256),
            Self::PS384 => Means::Rsa(&signature::RSA_PSS_SHA384),
            Self::PS512 => Means::Rsa(&signature::RSA_PSS_SHA512),
            Self::ES256 => Means::Ecdsa(&signature::ECDSA_P256_SHA256_FIXED_SIGNING),
            Self::ES384 => Means::Ecdsa(&signature::ECDSA_P384_SHA384_FIXED_SIGNING),
            Self::EdDSA => Means::Ed25519,
            Self::HS256 => Means::Hmac(hmac::HMAC_SHA256),
            Self::HS384 => Means::Hmac(hmac::HMAC_SHA384),
            Self::HS512 => Means::Hmac(hmac::HMAC_SHA512),
        }
    }

    /// Signs a text. The error says what is wrong with the key, without showing it.
    pub fn sign(self, key: &str, text: &[u8]) -> Result<Vec<u8>, String> {
        let random = SystemRandom::new();
        let unfit = |why: KeyRejected| format!("is no key for {self:?}: {why}");
        let failed = |_| format!("cannot sign with {self:?}");
        match self.means() {
            Means::Hmac(_) if key.is_empty() => Err("is empty".into()),
            Means::Hmac(algorithm) => {
                let key = hmac::Key::new(algorithm, key.as_bytes());
                Ok(hmac::sign(&key, text).as_ref().to_vec())
            }
            Means::Rsa(encoding) => {
                let pair = match private(key)? {
                    PrivateKeyDer::Pkcs1(key) => RsaKeyPair::from_der(key.secret_pkcs1_der()),
                    PrivateKeyDer::Pkcs8(key) => RsaKeyPair::from_pkcs8(key.secret_pkcs8_der()),
                    _ => return Err(format!("is no key for {self:?}, which takes one of RSA")),
                };
                let pair = pair.map_err(unfit)?;
                let mut signed = vec![0; pair.public().modulus_len()];
                pair.sign(encoding, &random, text, &mut signed).map_err(failed)?;
                Ok(signed)
            }
            Means::Ecdsa(algorithm) => {
                let pair = EcdsaKeyPair::from_pkcs8(algorithm, &self.pkcs8(key)?, &random).map_err(unfit)?;
                Ok(pair.sign(&random, text).map_err(failed)?.as_ref().to_vec())
            }
            Means::Ed25519 => {
                let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(&self.pkcs8(key)?).map_err(unfit)?;
                Ok(pair.sign(text).as_ref().to_vec())
            }
        }
    }

    fn pkcs8(self, key: &str) -> Result<Vec<u8>, String> {
        match private(key)? {
            PrivateKeyDer::Pkcs8(key) => Ok(key.secret_pkcs8_der().to_vec()),
            PrivateKeyDer::Sec1(_) => Err("is a key of the old form; rewrite it by \
                                           `openssl pkcs8 -topk8 -nocrypt -in OLD -out NEW`"
                .into()),
            _ => Err(format!("is no key for {self:?}")),
        }
    }
}

fn private(key: &str) -> Result<PrivateKeyDer<'static>, String> {
    PrivateKeyDer::from_pem_slice(key.as_bytes()).map_err(|_| {
        "holds no private key in PEM form (`-----BEGIN PRIVATE KEY-----`), or one with a passphrase".into()
    })
}

/// A token of these claims.
pub fn token(algorithm: Algorithm, key: &str, header: &Json, claims: &Json) -> Result<String, String> {
    let part = |json: &Json| URL_SAFE_NO_PAD.encode(json.to_string());
    let text = format!("{}.{}", part(header), part(claims));
    let signature = algorithm.sign(key, text.as_bytes())?;
    Ok(format!("{text}.{}", URL_SAFE_NO_PAD.encode(signature)))
}
