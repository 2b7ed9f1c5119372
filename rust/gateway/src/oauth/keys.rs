//! The keys of an issuer, as it publishes them (RFC 7517).

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use callgate_core::json::{Kind, Tape, Value};

use super::Algorithm;

/// The largest document: a hundred keys with their certificates.
pub(super) const LIMIT_BYTES: usize = 256 * 1024;

/// Keys that are kept. A token that names none is held against each of its kind, so their number is work for strangers.
const MAX_KEYS: usize = 64;

/// The deepest nesting of a key set: a list in a key.
const MAX_DEPTH: usize = 8;

/// The sizes of RSA keys that are believed, in bits; shorter ones can be broken, longer ones are slow to check.
const RSA_BITS: std::ops::RangeInclusive<usize> = 2_048..=8_192;

/// An error in a document of keys: a sentence.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct KeysError(pub(super) String);

/// A curve with the form of its keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Curve {
    P256,
    P384,
    Ed25519,
}

/// The numbers of a key, big-endian and without leading zeros.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Material {
    Rsa {
        n: Vec<u8>,
        e: Vec<u8>,
    },
    Curve {
        curve: Curve,
        /// The public point, in the encoding that checks of the curve's signatures read.
        point: Vec<u8>,
    },
}

/// A public key that tokens may be signed by.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Key {
    id: Option<String>,
    /// The only algorithm that the key may be used with, if the key names one.
    algorithm: Option<Algorithm>,
    material: Material,
}

/// The keys of an issuer that could be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Keys(Vec<Key>);

impl Keys {
    /// Reads a JWK Set. Keys for something else, of another kind or too weak are passed over, as the format asks for; none may
    /// be left.
    pub(super) fn parse(document: &[u8], algorithms: &[Algorithm]) -> Result<Self, KeysError> {
        if document.len() > LIMIT_BYTES {
            return Err(KeysError(format!("it is larger than {LIMIT_BYTES} bytes")));
        }
        let mut tape = Tape::new();
        let root = tape
            .parse(document, MAX_DEPTH)
            .map_err(|error| KeysError(format!("it is no JSON: {error}")))?;
        let list = root.get("keys").filter(|keys| keys.kind() == Kind::Array);
        let list = list
            .ok_or_else(|| KeysError("it is no JWK Set; expected an object with a list `keys`".to_owned()))?;
        let fits = |key: &Key| algorithms.iter().any(|algorithm| key.is_for(*algorithm));
        let keys: Vec<Key> = list.elements().filter_map(key).filter(fits).collect();
        if keys.len() > MAX_KEYS {
            return Err(KeysError(format!(
                "it holds {} keys, expected at most {MAX_KEYS}",
                keys.len()
            )));
        }
        Ok(Self(keys))
    }

    /// These, of a source that has to hold some: a file without any is a mistake, while an issuer may withdraw its last one.
    pub(super) fn at_least_one(self) -> Result<Self, KeysError> {
        if self.0.is_empty() {
            let message =
                "it holds no key for signatures by any of `algorithms` (RSA keys have 2048 bits or more)";
            return Err(KeysError(message.to_owned()));
        }
        Ok(self)
    }

    /// The number of keys.
    pub(super) const fn len(&self) -> usize {
        self.0.len()
    }

    /// The keys that a token with this `kid` and `alg` may be signed by.
    pub(super) fn fitting<'k>(
        &'k self,
        id: Option<&'k str>,
        algorithm: Algorithm,
    ) -> impl Iterator<Item = &'k Material> {
        let is_named = move |key: &&Key| id.is_none() || key.id.as_deref() == id;
        let fitting = self.0.iter().filter(is_named);
        fitting
            .filter(move |key| key.is_for(algorithm))
            .map(|key| &key.material)
    }
}

impl Key {
    fn is_for(&self, algorithm: Algorithm) -> bool {
        self.algorithm.is_none_or(|own| own == algorithm) && algorithm.takes(&self.material)
    }
}

/// A key that signatures may be checked with; `None` for any other.
fn key(jwk: Value<'_>) -> Option<Key> {
    let text = |name: &str| jwk.get(name).map(|value| value.as_str().ok_or(()));
    let optional = |name: &str| text(name).transpose().ok();
    if optional("use")?.is_some_and(|purpose| purpose != "sig") {
        return None;
    }
    if let Some(operations) = jwk.get("key_ops")
        && !operations
            .elements()
            .any(|operation| operation.as_str() == Some("verify"))
    {
        return None;
    }
    let algorithm = optional("alg")?.map(str::parse).transpose().ok()?;
    let member = |name: &str| decoded(text(name)?.ok()?);
    let material = match text("kty")?.ok()? {
        "RSA" => rsa(member("n")?, member("e")?)?,
        "EC" => match text("crv")?.ok()? {
            "P-256" => point(Curve::P256, &member("x")?, &member("y")?, 32)?,
            "P-384" => point(Curve::P384, &member("x")?, &member("y")?, 48)?,
            _ => return None,
        },
        "OKP" if text("crv")?.ok()? == "Ed25519" => {
            let point = member("x")?;
            (point.len() == 32).then_some(Material::Curve {
                curve: Curve::Ed25519,
                point,
            })?
        }
        _ => return None,
    };
    Some(Key {
        id: optional("kid")?.map(str::to_owned),
        algorithm,
        material,
    })
}

fn rsa(n: Vec<u8>, e: Vec<u8>) -> Option<Material> {
    let (n, e) = (without_zeros(n), without_zeros(e));
    let first = n.first()?;
    let bits = 8 * n.len() - usize::try_from(first.leading_zeros()).ok()?;
    (RSA_BITS.contains(&bits) && !e.is_empty()).then_some(Material::Rsa { n, e })
}

/// A point as SEC 1 writes it, uncompressed.
fn point(curve: Curve, x: &[u8], y: &[u8], length: usize) -> Option<Material> {
    (x.len() == length && y.len() == length).then(|| Material::Curve {
        curve,
        point: [&[4], x, y].concat(),
    })
}

fn without_zeros(mut number: Vec<u8>) -> Vec<u8> {
    let zeros = number.iter().take_while(|byte| **byte == 0).count();
    number.drain(..zeros);
    number
}

/// Bytes from base64url without padding, in its one spelling.
pub(super) fn decoded(text: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(bytes: &[u8]) -> String {
        URL_SAFE_NO_PAD.encode(bytes)
    }

    fn ec(further: &str) -> String {
        let half = encoded(&[7; 32]);
        format!(r#"{{"kty":"EC","crv":"P-256","x":"{half}","y":"{half}"{further}}}"#)
    }

    fn rsa_of(first: u8, length: usize) -> String {
        let mut n = vec![0xff; length];
        n[0] = first;
        format!(r#"{{"kty":"RSA","n":"{}","e":"AQAB"}}"#, encoded(&n))
    }

    fn parse(keys: &[String]) -> Result<Keys, KeysError> {
        let document = format!(r#"{{"keys":[{}]}}"#, keys.join(","));
        Keys::parse(document.as_bytes(), &Algorithm::ALL)?.at_least_one()
    }

    #[test]
    fn keys_for_signatures_are_kept() {
        let okp = format!(r#"{{"kty":"OKP","crv":"Ed25519","x":"{}"}}"#, encoded(&[9; 32]));
        let good = [
            ec(""),
            ec(r#","use":"sig","alg":"ES256","kid":"a","x5c":["a"],"key_ops":["sign","verify"]"#),
            rsa_of(0x80, 256),
            rsa_of(0xff, 1_024),
            // A sign byte in front, as some write it.
            format!(
                r#"{{"kty":"RSA","n":"{}","e":"AAEAAQ"}}"#,
                encoded(&[&[0][..], &[0xff; 256]].concat())
            ),
            okp,
        ];
        assert_eq!(parse(&good).unwrap().len(), good.len());
    }

    #[test]
    fn other_keys_are_passed_over() {
        let bad = [
            ec(r#","use":"enc""#),
            ec(r#","use":7"#),
            ec(r#","key_ops":["encrypt"]"#),
            ec(r#","key_ops":"verify""#),
            ec(r#","alg":"ES384""#),
            ec(r#","alg":"ECDH-ES""#),
            ec(r#","alg":null"#),
            ec(r#","kid":7"#),
            ec("").replace("P-256", "P-384"),
            ec("").replace("P-256", "P-521"),
            ec("").replace("P-256", "secp256k1"),
            ec("").replace("\"y\"", "\"z\""),
            ec("").replace("\"y\":\"", "\"y\":\"="),
            rsa_of(0x7f, 256),
            rsa_of(0xff, 128),
            rsa_of(0xff, 1_025),
            rsa_of(0xff, 256).replace("AQAB", ""),
            rsa_of(0xff, 256).replace("AQAB", "AQAB=="),
            r#"{"kty":"oct","k":"c2VjcmV0"}"#.to_owned(),
            r#"{"kty":"OKP","crv":"X25519","x":"AA"}"#.to_owned(),
            r#"{"kty":"OKP","crv":"Ed25519","x":"AA"}"#.to_owned(),
            "7".to_owned(),
            "{}".to_owned(),
        ];
        for jwk in &bad {
            assert!(parse(std::slice::from_ref(jwk)).is_err(), "{jwk}");
        }
        let mut keys = bad.to_vec();
        keys.push(ec(""));
        assert_eq!(parse(&keys).unwrap().len(), 1);
    }

    #[test]
    fn a_document_is_read_strictly() {
        for document in [
            "",
            "[]",
            "{}",
            r#"{"keys":{}}"#,
            r#"{"keys":null}"#,
            r#"{"keys":[],"keys":[]}"#,
            r#"{"keys":[[[[[[[[[]]]]]]]]]}"#,
        ] {
            assert!(
                Keys::parse(document.as_bytes(), &Algorithm::ALL).is_err(),
                "{document}"
            );
        }
        let none = Keys::parse(br#"{"keys":[]}"#, &Algorithm::ALL).unwrap();
        assert_eq!(none.len(), 0);
        assert!(none.at_least_one().is_err());
        let twice = ec(r#","kty":"EC""#);
        assert!(parse(&[twice]).is_err());
        let huge = format!("{}{{}}", " ".repeat(LIMIT_BYTES));
        assert!(Keys::parse(huge.as_bytes(), &Algorithm::ALL).is_err());
        assert!(parse(&vec![ec(""); MAX_KEYS]).is_ok());
        assert!(parse(&vec![ec(""); MAX_KEYS + 1]).is_err());
    }

    #[test]
    fn a_key_fits_by_id_and_algorithm() {
        let keys = parse(&[
            ec(r#","kid":"a""#),
            ec(r#","kid":"b","alg":"ES256""#),
            ec(""),
            rsa_of(0xff, 256),
        ])
        .unwrap();
        let count = |id, algorithm| keys.fitting(id, algorithm).count();
        assert_eq!(count(Some("a"), Algorithm::Es256), 1);
        assert_eq!(count(Some("b"), Algorithm::Es256), 1);
        assert_eq!(count(Some("a"), Algorithm::Rs256), 0);
        assert_eq!(count(Some("c"), Algorithm::Es256), 0);
        assert_eq!(count(None, Algorithm::Es256), 3);
        assert_eq!(count(None, Algorithm::Ps512), 1);
        assert_eq!(count(None, Algorithm::Es384), 0);
        let only = Keys::parse(
            format!(r#"{{"keys":[{},{}]}}"#, ec(""), rsa_of(0xff, 256)).as_bytes(),
            &[Algorithm::Es256],
        );
        assert_eq!(
            only.unwrap().len(),
            1,
            "what no pinned algorithm takes is not kept"
        );
    }
}
