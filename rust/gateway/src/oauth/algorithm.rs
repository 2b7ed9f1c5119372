//! The signatures that are believed (RFC 7518 section 3, RFC 8037): asymmetric ones alone, so that whoever can check a
//! token cannot make one.

use std::fmt;
use std::str::FromStr;

use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ED25519, RSA_PKCS1_2048_8192_SHA256,
    RSA_PKCS1_2048_8192_SHA384, RSA_PKCS1_2048_8192_SHA512, RSA_PSS_2048_8192_SHA256,
    RSA_PSS_2048_8192_SHA384, RSA_PSS_2048_8192_SHA512, RsaParameters, RsaPublicKeyComponents,
    UnparsedPublicKey, VerificationAlgorithm,
};

use super::keys::{Curve, Material};

/// A signature algorithm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names of RFC 7518 and RFC 8037")]
pub enum Algorithm {
    Rs256,
    Rs384,
    Rs512,
    Ps256,
    Ps384,
    Ps512,
    Es256,
    Es384,
    EdDsa,
}

#[cfg(test)]
thread_local! {
    /// Signatures that this thread has held against a key: the dear part of a token.
    pub(super) static VERIFIED: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
}

/// The verification of a signature, and the type of its keys.
enum Check {
    Rsa(&'static RsaParameters),
    Curve(Curve, &'static dyn VerificationAlgorithm),
}

impl Algorithm {
    /// Every algorithm.
    pub const ALL: [Self; 9] = [
        Self::Rs256,
        Self::Rs384,
        Self::Rs512,
        Self::Ps256,
        Self::Ps384,
        Self::Ps512,
        Self::Es256,
        Self::Es384,
        Self::EdDsa,
    ];

    /// Its name in `alg`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Rs256 => "RS256",
            Self::Rs384 => "RS384",
            Self::Rs512 => "RS512",
            Self::Ps256 => "PS256",
            Self::Ps384 => "PS384",
            Self::Ps512 => "PS512",
            Self::Es256 => "ES256",
            Self::Es384 => "ES384",
            Self::EdDsa => "EdDSA",
        }
    }

    /// Returns true if a key has the type that the algorithm takes.
    pub(super) fn takes(self, material: &Material) -> bool {
        match (self.check(), material) {
            (Check::Rsa(_), Material::Rsa { .. }) => true,
            (Check::Curve(curve, _), Material::Curve { curve: other, .. }) => curve == *other,
            _ => false,
        }
    }

    /// Returns true if the signature over these bytes is by this key.
    pub(super) fn verifies(self, material: &Material, signed: &[u8], signature: &[u8]) -> bool {
        #[cfg(test)]
        VERIFIED.with(|count| count.set(count.get() + 1));
        match (self.check(), material) {
            (Check::Rsa(parameters), Material::Rsa { n, e }) => RsaPublicKeyComponents { n, e }
                .verify(parameters, signed, signature)
                .is_ok(),
            (Check::Curve(curve, algorithm), Material::Curve { curve: other, point }) if curve == *other => {
                UnparsedPublicKey::new(algorithm, point)
                    .verify(signed, signature)
                    .is_ok()
            }
            _ => false,
        }
    }

    fn check(self) -> Check {
        match self {
            Self::Rs256 => Check::Rsa(&RSA_PKCS1_2048_8192_SHA256),
            Self::Rs384 => Check::Rsa(&RSA_PKCS1_2048_8192_SHA384),
            Self::Rs512 => Check::Rsa(&RSA_PKCS1_2048_8192_SHA512),
            Self::Ps256 => Check::Rsa(&RSA_PSS_2048_8192_SHA256),
            Self::Ps384 => Check::Rsa(&RSA_PSS_2048_8192_SHA384),
            Self::Ps512 => Check::Rsa(&RSA_PSS_2048_8192_SHA512),
            Self::Es256 => Check::Curve(Curve::P256, &ECDSA_P256_SHA256_FIXED),
            Self::Es384 => Check::Curve(Curve::P384, &ECDSA_P384_SHA384_FIXED),
            Self::EdDsa => Check::Curve(Curve::Ed25519, &ED25519),
        }
    }
}

impl FromStr for Algorithm {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|algorithm| algorithm.as_str() == name);
        found.ok_or_else(|| {
            let names = Self::ALL.map(Self::as_str).join("`, `");
            format!("`{name}` is no algorithm that can be believed here; expected one of `{names}`")
        })
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_compared_as_they_are() {
        for algorithm in Algorithm::ALL {
            assert_eq!(algorithm.as_str().parse(), Ok(algorithm));
        }
        for name in ["none", "None", "", "HS256", "rs256", "RS256 ", "ES512", "Ed25519"] {
            assert!(name.parse::<Algorithm>().is_err(), "{name}");
        }
    }
}
