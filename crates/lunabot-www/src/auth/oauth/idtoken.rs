//! The token by which a provider of OpenID Connect says who somebody is: its signature and its claims.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use lunabot_model::Json;
use ring::signature::{self, RsaPublicKeyComponents, UnparsedPublicKey, VerificationAlgorithm};

/// How far the clocks may differ, in seconds.
const LEEWAY: i64 = 60;

/// What a token must say.
pub struct Expected<'a> {
    pub issuer: &'a str,
    pub client_id: &'a str,
    pub nonce: &'a str,
    /// Seconds since 1970.
    pub now: i64,
}

/// The claims of a token that one of `keys` (a JSON Web Key Set) has signed. The error says what is wrong with it.
pub fn read(token: &str, keys: &Json, expected: &Expected<'_>) -> Result<Json, String> {
    let (signed, signature) = token.rsplit_once('.').ok_or("it is no token")?;
    let (header, claims) = signed.split_once('.').ok_or("it is no token")?;
    let header = part(header).ok_or("its header is no JSON")?;
    let signature = URL_SAFE_NO_PAD.decode(signature).map_err(|_| "its signature is no base64")?;
    let algorithm = header["alg"].as_str().unwrap_or_default();
    let all = keys["keys"].as_array().ok_or("the provider has no keys")?;
    let named = |key: &&Json| header["kid"].is_null() || key["kid"].is_null() || key["kid"] == header["kid"];
    let for_signing = |key: &&Json| key["use"].is_null() || key["use"] == "sig";
    let mut fitting = all.iter().filter(named).filter(for_signing);
    if !fitting.any(|key| verifies(key, algorithm, signed.as_bytes(), &signature)) {
        return Err(format!("no key of the provider fits its signature ({algorithm})"));
    }
    let claims = part(claims).ok_or("its claims are no JSON")?;
    check(&claims, expected)?;
    Ok(claims)
}

fn part(text: &str) -> Option<Json> {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(text).ok()?).ok()
}

/// The kind of the key decides with the algorithm: a token cannot choose to be checked by less.
fn verifies(key: &Json, algorithm: &str, signed: &[u8], signature: &[u8]) -> bool {
    let bytes =
        |name: &str| URL_SAFE_NO_PAD.decode(key[name].as_str().unwrap_or_default()).unwrap_or_default();
    let point = || [&[4][..], &bytes("x"), &bytes("y")].concat();
    let by = |algorithm: &'static dyn VerificationAlgorithm, key: Vec<u8>| {
        UnparsedPublicKey::new(algorithm, key).verify(signed, signature).is_ok()
    };
    match (key["kty"].as_str().unwrap_or_default(), algorithm, key["crv"].as_str().unwrap_or_default()) {
        ("RSA", _, _) => {
            let parameters = match algorithm {
                "RS256" => &signature::RSA_PKCS1_2048_8192_SHA256,
                "RS384" => &signature::RSA_PKCS1_2048_8192_SHA384,
                "RS512" => &signature::RSA_PKCS1_2048_8192_SHA512,
                "PS256" => &signature::RSA_PSS_2048_8192_SHA256,
                "PS384" => &signature::RSA_PSS_2048_8192_SHA384,
                "PS512" => &signature::RSA_PSS_2048_8192_SHA512,
                _ => return false,
            };
            RsaPublicKeyComponents { n: bytes("n"), e: bytes("e") }
                .verify(parameters, signed, signature)
                .is_ok()
        }
        ("EC", "ES256", "P-256") => by(&signature::ECDSA_P256_SHA256_FIXED, point()),
        ("EC", "ES384", "P-384") => by(&signature::ECDSA_P384_SHA384_FIXED, point()),
        ("OKP", "EdDSA", "Ed25519") => by(&signature::ED25519, bytes("x")),
        _ => false,
    }
}

fn check(claims: &Json, expected: &Expected<'_>) -> Result<(), String> {
    if claims["iss"] != expected.issuer {
        return Err(format!("it is from {}, not from {}", claims["iss"], expected.issuer));
    }
    let audience: Vec<&str> = match &claims["aud"] {
        Json::String(one) => vec![one],
        Json::Array(all) => all.iter().filter_map(Json::as_str).collect(),
        _ => Vec::new(),
    };
    let for_us = audience.contains(&expected.client_id);
    let by_us = audience.len() < 2 && claims["azp"].is_null() || claims["azp"] == expected.client_id;
    if !for_us || !by_us {
        return Err("it is for another client".into());
    }
    if claims["exp"].as_f64().is_none_or(|exp| exp + (LEEWAY as f64) <= expected.now as f64) {
        return Err("it has expired".into());
    }
    if claims["nbf"].as_f64().is_some_and(|nbf| nbf - (LEEWAY as f64) > expected.now as f64) {
        return Err("it is not valid yet; do the clocks agree?".into());
    }
    if claims["nonce"] != expected.nonce {
        return Err("it is from another login".into());
    }
    if claims["sub"].as_str().is_none_or(str::is_empty) {
        return Err("it names nobody".into());
    }
    Ok(())
}
