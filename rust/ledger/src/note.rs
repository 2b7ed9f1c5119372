//! Signed notes, as C2SP's `signed-note` writes them, with Ed25519 keys.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::digest::{Context, SHA256};
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};
use rustls_pki_types::PrivatePkcs8KeyDer;
use rustls_pki_types::pem::PemObject as _;

/// Begins the line of a signature.
const SIGNATURE: &str = "\u{2014} ";
/// The type byte of Ed25519 signatures of notes.
const ED25519_TYPE: u8 = 1;
const ID_BYTES: usize = 4;

/// Why a file is no signing key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// It is no PEM file with a private key in PKCS #8.
    #[error("expected a private key in PEM (`BEGIN PRIVATE KEY`); `callgate audit key new` makes one")]
    Pem,
    /// It is a key of another kind, or a damaged one.
    #[error("expected an Ed25519 key; `callgate audit key new` makes one")]
    Kind,
}

/// A private key that signs notes.
pub struct SigningKey(Ed25519KeyPair);

impl SigningKey {
    /// Reads a PEM file with the key in PKCS #8, as `openssl genpkey -algorithm ed25519` writes it too.
    pub fn from_pem(pem: &[u8]) -> Result<Self, KeyError> {
        let key = PrivatePkcs8KeyDer::from_pem_slice(pem).map_err(|_| KeyError::Pem)?;
        // Without the public key beside it, which OpenSSL does not write.
        Ed25519KeyPair::from_pkcs8_maybe_unchecked(key.secret_pkcs8_der())
            .map(Self)
            .map_err(|_| KeyError::Kind)
    }

    /// The key that verifies its signatures.
    pub fn public(&self) -> PublicKey {
        PublicKey(self.0.public_key().as_ref().try_into().unwrap_or_default())
    }

    /// The note of a text that ends with a line break. The key has this name there.
    pub fn sign(&self, name: &str, text: &str) -> String {
        let mut signed = self.public().id(name).to_vec();
        signed.extend_from_slice(self.0.sign(text.as_bytes()).as_ref());
        format!("{text}\n{SIGNATURE}{name} {}\n", STANDARD.encode(signed))
    }
}

// Without the key.
impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SigningKey").field(&self.public()).finish()
    }
}

/// A public key that verifies notes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PublicKey([u8; 32]);

impl PublicKey {
    /// A key of these bytes (RFC 8032).
    pub const fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The key as verifiers take it, under this name: `NAME+ID+KEY`.
    pub fn verifier_key(&self, name: &str) -> String {
        let mut typed = vec![ED25519_TYPE];
        typed.extend_from_slice(&self.0);
        let id = u32::from_be_bytes(self.id(name));
        format!("{name}+{id:08x}+{}", STANDARD.encode(typed))
    }

    /// The text of a note that this key has signed under this name, and nothing else has but keys of other names or ids.
    pub fn open<'n>(&self, name: &str, note: &'n str) -> Option<&'n str> {
        let (before, signatures) = note.rsplit_once("\n\n")?;
        let text = note.get(..=before.len())?;
        let mut is_signed = false;
        for line in signatures.strip_suffix('\n')?.split('\n') {
            let (signer, encoded) = line.strip_prefix(SIGNATURE)?.split_once(' ')?;
            let decoded = STANDARD.decode(encoded).ok()?;
            let (id, signature) = decoded.split_at_checked(ID_BYTES)?;
            if signer != name || id != self.id(name) {
                continue;
            }
            UnparsedPublicKey::new(&ED25519, &self.0)
                .verify(text.as_bytes(), signature)
                .ok()?;
            is_signed = true;
        }
        is_signed.then_some(text)
    }

    /// The id of the key under a name: it tells keys apart, and proves nothing.
    fn id(&self, name: &str) -> [u8; ID_BYTES] {
        let mut context = Context::new(&SHA256);
        context.update(name.as_bytes());
        context.update(&[b'\n', ED25519_TYPE]);
        context.update(&self.0);
        let digest = context.finish();
        digest.as_ref().first_chunk().copied().unwrap_or_default()
    }
}
