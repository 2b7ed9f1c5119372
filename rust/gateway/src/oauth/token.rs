//! Tokens: what is refused, and what one that is believed says (RFC 7515, RFC 7519, RFC 9068, RFC 8725).

use callgate_core::json::{Kind, Tape, Value};

use super::believed::Span;
use super::claims::{self, ClaimPath};
use super::keys::{Keys, decoded};
use super::{Algorithm, OauthConfig};

/// The longest token. Header fields of servers rarely take more.
const MAX_TOKEN_BYTES: usize = 16 * 1024;

/// Nesting of a header, whose known members are text and lists of text.
const MAX_HEADER_DEPTH: usize = 8;

/// Nesting of claims.
const MAX_CLAIMS_DEPTH: usize = 32;

/// The longest claim that is a grant's id: what `OpenID` Connect allows for `sub`.
const MAX_GRANT_BYTES: usize = 255;

/// The accepted values of `typ`: an access token, or a token without a type. Any other value is for another purpose.
const TYPES: [&str; 3] = ["at+jwt", "application/at+jwt", "jwt"];

const SHAPE: TokenError = TokenError::Malformed("expected three parts of base64url, joined by dots");
const CLAIMS: &str = "its claims are no JSON object, or hold a key twice";

/// The reason why a token is refused. The messages show nothing else of the token.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// The token does not have the form of a signed token.
    #[error("the token is no well-formed JWT: {0}")]
    Malformed(&'static str),
    /// The token is signed with an algorithm that is not allowed, or not signed.
    #[error("the token's `alg` is not allowed here")]
    Algorithm,
    /// The token demands an extension (`crit`) that is not supported.
    #[error("the token has `crit`, and nothing that could stand there is understood")]
    Critical,
    /// The token has a type for another purpose.
    #[error("the token's `typ` is another one than `at+jwt` or `JWT`")]
    Type,
    /// No key of the issuer could have signed it.
    #[error("the token is signed by none of the issuer's keys")]
    UnknownKey,
    /// The signature is not that of its key.
    #[error("the token's signature is wrong")]
    Signature,
    /// Somebody else has issued it.
    #[error("the token is of another issuer")]
    Issuer,
    /// The token is for another audience.
    #[error("the token is for another audience; ask for one for this resource")]
    Audience,
    /// Its time is over, or it has none.
    #[error("the token has expired, or has no `exp`")]
    Expired,
    /// Its time has not come.
    #[error("the token is not valid yet")]
    NotYet,
    /// The token does not name the grant of the caller.
    #[error(
        "the token's claim that names the grant is missing, or no text of 1 to {MAX_GRANT_BYTES} bytes without NUL"
    )]
    Grant,
    /// The token has a claim for a label with a value that no label can have.
    #[error("a claim of the token that a label is taken from is neither text, a whole number nor a boolean")]
    Label,
    /// The token lacks required scopes.
    #[error("the token's `scope` lacks what is needed here: `{}`", .0.join(" "))]
    Scope(Vec<String>),
    /// The issuer's keys could not be had for too long.
    #[error("the issuer's keys cannot be had at the moment, so no token can be checked; try again later")]
    NoKeys,
}

/// A caller as a token that is believed makes it out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Issued {
    /// The grant's id: the issuer's prefix and the claim.
    pub grant: String,
    /// The caller's labels, `(name, value)`.
    pub labels: Vec<(String, String)>,
    /// Expiry time of the token in Unix microseconds; the allowance for clocks is in it.
    pub expires_at_us: u64,
}

/// A token, taken apart and not yet believed.
#[derive(Debug)]
pub(super) struct Unproven<'t> {
    algorithm: Algorithm,
    key_id: Option<String>,
    /// The signed part.
    signed: &'t str,
    signature: Vec<u8>,
    claims: Vec<u8>,
}

impl<'t> Unproven<'t> {
    /// Takes a token apart, if its header is one that could be believed.
    pub(super) fn read(token: &'t str, algorithms: &[Algorithm]) -> Result<Self, TokenError> {
        let Parts {
            signed,
            header,
            claims,
            signature,
        } = Parts::of(token)?;
        let (header, claims) = (part(header)?, part(claims)?);
        let mut tape = Tape::new();
        let header = object(
            &mut tape,
            &header,
            MAX_HEADER_DEPTH,
            "its header is no JSON object, or holds a key twice",
        )?;
        // First of all, so that nothing is looked at that is not signed: `none` has no signature.
        let algorithm = header
            .get("alg")
            .and_then(Value::as_str)
            .and_then(|name| algorithms.iter().find(|algorithm| algorithm.as_str() == name))
            .ok_or(TokenError::Algorithm)?;
        if header.get("crit").is_some() {
            return Err(TokenError::Critical);
        }
        if let Some(kind) = header.get("typ") {
            let kind = kind.as_str().ok_or(TokenError::Type)?;
            if !TYPES.iter().any(|known| kind.eq_ignore_ascii_case(known)) {
                return Err(TokenError::Type);
            }
        }
        let key_id = header
            .get("kid")
            .map(|id| id.as_str().ok_or(TokenError::Malformed("its `kid` is no text")))
            .transpose()?;
        Ok(Self {
            algorithm: *algorithm,
            key_id: key_id.map(str::to_owned),
            signed,
            signature: part(signature)?,
            claims,
        })
    }

    /// Verifies the signature by one of these keys.
    pub(super) fn prove(&self, keys: &Keys) -> Result<(), TokenError> {
        let key_id = self.key_id.as_deref();
        let mut fitting = keys.fitting(key_id, self.algorithm).peekable();
        if fitting.peek().is_none() {
            return Err(TokenError::UnknownKey);
        }
        let signed = self.signed.as_bytes();
        if fitting.any(|key| self.algorithm.verifies(key, signed, &self.signature)) {
            return Ok(());
        }
        // Without an id nothing says which key is meant, so another one may have signed it that is not here yet.
        Err(if key_id.is_none() {
            TokenError::UnknownKey
        } else {
            TokenError::Signature
        })
    }

    /// Returns true if none of these keys has the id that the token names; `None` if it names none, so that only
    /// signatures tell.
    pub(super) fn lacks_key(&self, keys: &Keys) -> Option<bool> {
        let id = self.key_id.as_deref()?;
        Some(keys.fitting(Some(id), self.algorithm).next().is_none())
    }

    /// Evaluates its claims at this time for this audience. The signature is not verified.
    pub(super) fn claims(
        &self,
        config: &OauthConfig,
        audience: &str,
        now_us: u64,
    ) -> Result<(Issued, Span), TokenError> {
        let mut tape = Tape::new();
        let claims = object(&mut tape, &self.claims, MAX_CLAIMS_DEPTH, CLAIMS)?;
        if claims.get("iss").and_then(Value::as_str) != Some(&config.issuer) {
            return Err(TokenError::Issuer);
        }
        if !claims.get("aud").is_some_and(|given| is_for(given, audience)) {
            return Err(TokenError::Audience);
        }
        let skew_us = config.clock_skew_ms.saturating_mul(1_000);
        let moment = |name: &str| {
            let value = claims.get(name).map(claims::moment_us).transpose();
            value.map_err(|()| TokenError::Malformed("a time in it is no number of seconds since 1970"))
        };
        let expires_at_us = moment("exp")?.ok_or(TokenError::Expired)?.saturating_add(skew_us);
        if now_us >= expires_at_us {
            return Err(TokenError::Expired);
        }
        let from_us = moment("nbf")?.unwrap_or_default().saturating_sub(skew_us);
        if now_us < from_us {
            return Err(TokenError::NotYet);
        }
        let grant = config.grant.find(claims).map_err(|()| TokenError::Grant)?;
        let grant = grant
            .and_then(Value::as_str)
            .filter(|id| is_id(id))
            .ok_or(TokenError::Grant)?;
        let labels = config
            .labels
            .iter()
            .filter_map(|(name, claim)| label(claims, name, claim).transpose())
            .collect::<Result<_, TokenError>>()?;
        // Last: who has proven to be somebody is told what to ask for.
        let has = |scope: &str| claims.get("scope").is_some_and(|given| holds(given, scope));
        if !config.scopes.iter().all(|scope| has(scope)) {
            return Err(TokenError::Scope(config.scopes.clone()));
        }
        let issued = Issued {
            grant: format!("{}{grant}", config.prefix),
            labels,
            expires_at_us,
        };
        let span = Span {
            from_us,
            until_us: expires_at_us,
        };
        Ok((issued, span))
    }
}

/// The three parts of a signed token in their compact form, as they are written.
struct Parts<'t> {
    /// The first two with their dot.
    signed: &'t str,
    header: &'t str,
    claims: &'t str,
    signature: &'t str,
}

impl<'t> Parts<'t> {
    fn of(token: &'t str) -> Result<Self, TokenError> {
        if token.len() > MAX_TOKEN_BYTES {
            return Err(TokenError::Malformed("it is too long"));
        }
        let (signed, signature) = token.rsplit_once('.').ok_or(SHAPE)?;
        let (header, claims) = signed.split_once('.').ok_or(SHAPE)?;
        Ok(Self {
            signed,
            header,
            claims,
            signature,
        })
    }
}

/// The issuer that a token claims, without verification.
pub(super) fn claimed_issuer(token: &str) -> Result<String, TokenError> {
    let claims = part(Parts::of(token)?.claims)?;
    let mut tape = Tape::new();
    let claims = object(&mut tape, &claims, MAX_CLAIMS_DEPTH, CLAIMS)?;
    let issuer = claims.get("iss").and_then(Value::as_str);
    issuer.map(str::to_owned).ok_or(TokenError::Issuer)
}

/// The bytes of one part, of which there are some.
fn part(text: &str) -> Result<Vec<u8>, TokenError> {
    decoded(text).filter(|bytes| !bytes.is_empty()).ok_or(SHAPE)
}

fn object<'t>(
    tape: &'t mut Tape,
    bytes: &'t [u8],
    max_depth: usize,
    fault: &'static str,
) -> Result<Value<'t>, TokenError> {
    let value = tape.parse(bytes, max_depth).ok();
    let object = value.filter(|value| value.kind() == Kind::Object);
    object.ok_or(TokenError::Malformed(fault))
}

/// Returns true if an `aud` names this audience, alone or among others.
fn is_for(given: Value<'_>, audience: &str) -> bool {
    match given.kind() {
        Kind::String => given.as_str() == Some(audience),
        // One that is no text makes the list none of audiences.
        Kind::Array => {
            given.elements().all(|one| one.kind() == Kind::String)
                && given.elements().any(|one| one.as_str() == Some(audience))
        }
        _ => false,
    }
}

/// Returns true if a `scope` holds this word: a text of words, or a list of them as some issuers write it.
fn holds(given: Value<'_>, scope: &str) -> bool {
    match given.as_str() {
        Some(words) => words.split(' ').any(|word| word == scope),
        None => given.elements().any(|word| word.as_str() == Some(scope)),
    }
}

fn is_id(id: &str) -> bool {
    (1..=MAX_GRANT_BYTES).contains(&id.len()) && !id.contains('\0')
}

fn label(claims: Value<'_>, name: &str, claim: &ClaimPath) -> Result<Option<(String, String)>, TokenError> {
    let value = claim.find(claims).map_err(|()| TokenError::Label)?;
    let text = value
        .map(claims::label)
        .transpose()
        .map_err(|()| TokenError::Label)?;
    Ok(text.map(|text| (name.to_owned(), text)))
}
