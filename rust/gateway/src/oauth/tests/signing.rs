//! An issuer that signs whatever it is told.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};

use super::{AUDIENCE, ISSUER, NOW_S};

/// A key for ES256.
pub(super) struct Signer {
    pub(super) id: &'static str,
    pair: EcdsaKeyPair,
    random: SystemRandom,
}

impl Signer {
    pub(super) fn new(id: &'static str) -> Self {
        let random = SystemRandom::new();
        let algorithm = &ECDSA_P256_SHA256_FIXED_SIGNING;
        let document = EcdsaKeyPair::generate_pkcs8(algorithm, &random).unwrap();
        let pair = EcdsaKeyPair::from_pkcs8(algorithm, document.as_ref(), &random).unwrap();
        Self { id, pair, random }
    }

    /// Its key as an issuer publishes it, with these members added.
    pub(super) fn jwk(&self, further: &str) -> String {
        let point = self.pair.public_key().as_ref();
        let (x, y) = point[1..].split_at(32);
        format!(
            r#"{{"kty":"EC","crv":"P-256","kid":"{}","x":"{}","y":"{}"{further}}}"#,
            self.id,
            encoded(x),
            encoded(y)
        )
    }

    /// A token of this header and these claims, as they are.
    pub(super) fn token(&self, header: &str, claims: &str) -> String {
        let signed = format!("{}.{}", encoded(header.as_bytes()), encoded(claims.as_bytes()));
        let signature = self.pair.sign(&self.random, signed.as_bytes()).unwrap();
        format!("{signed}.{}", encoded(signature.as_ref()))
    }

    /// One by which `sub` is known.
    pub(super) fn good(&self, sub: &str) -> String {
        self.token(&self.header(), &claims(&format!(r#""sub":"{sub}""#)))
    }

    pub(super) fn header(&self) -> String {
        format!(r#"{{"alg":"ES256","kid":"{}","typ":"at+jwt"}}"#, self.id)
    }
}

/// The claims of every token, and these.
pub(super) fn claims(further: &str) -> String {
    let exp = NOW_S + 60;
    format!(r#"{{"iss":"{ISSUER}","aud":"{AUDIENCE}","exp":{exp},{further}}}"#)
}

pub(super) fn encoded(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// The keys of these, as a document.
pub(super) fn jwks(signers: &[&Signer]) -> String {
    let keys: Vec<String> = signers.iter().map(|signer| signer.jwk("")).collect();
    format!(r#"{{"keys":[{}]}}"#, keys.join(","))
}
