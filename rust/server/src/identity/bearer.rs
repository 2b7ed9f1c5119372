//! `Bearer <token>` in a header field (RFC 6750, RFC 9110).

use callgate_core::grant::Token;
use http::{HeaderMap, HeaderName};

/// The token in a request's field of this name; `Err` where there is something else, or more than one.
pub(super) fn token<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Result<Option<Token<'h>>, ()> {
    let mut fields = headers.get_all(name).iter();
    let Some(field) = fields.next() else {
        return Ok(None);
    };
    if fields.next().is_some() {
        // Readers would differ about which of two fields counts.
        return Err(());
    }
    of_field(field.to_str().map_err(drop)?).map(Some)
}

/// The token in the value of the header.
pub(crate) fn of_field(text: &str) -> Result<Token<'_>, ()> {
    text_of_field(text).map(Token::new)
}

/// The same as it was sent: a secret.
pub(crate) fn text_of_field(text: &str) -> Result<&str, ()> {
    let (scheme, token) = text.split_once(' ').ok_or(())?;
    let token = token.trim_matches(' ');
    let is_token = !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic() && byte != b',');
    if scheme.eq_ignore_ascii_case("bearer") && is_token {
        Ok(token)
    } else {
        Err(())
    }
}

#[cfg(test)]
mod tests {
    use callgate_core::grant::TokenKey;
    use http::HeaderValue;
    use http::header::AUTHORIZATION;

    use super::*;

    fn read(fields: &[&[u8]]) -> Result<Option<String>, ()> {
        let mut headers = HeaderMap::new();
        for field in fields {
            headers.append(AUTHORIZATION, HeaderValue::from_bytes(field).unwrap());
        }
        // A token cannot be read back, so its digest stands for it.
        let key = TokenKey::new([1; 32]);
        Ok(token(&headers, &AUTHORIZATION)?.map(|token| key.digest(token).to_hex()))
    }

    #[test]
    fn one_bearer_token_or_none() {
        let abc = TokenKey::new([1; 32]).digest(Token::new("abc")).to_hex();
        assert_eq!(read(&[]), Ok(None));
        for fine in ["Bearer abc", "bearer abc", "BEARER abc", "Bearer   abc "] {
            assert_eq!(read(&[fine.as_bytes()]), Ok(Some(abc.clone())), "{fine}");
        }
        assert_ne!(read(&[b"Bearer ABC"]), Ok(Some(abc)));
        for wrong in [
            &b"Bearer"[..],
            b"Bearer ",
            b"abc",
            b"Basic abc",
            b"Bearer a b",
            b"Bearer a, Bearer b",
            b"Bearer \xff",
            b"",
        ] {
            assert_eq!(read(&[wrong]), Err(()), "{wrong:?}");
        }
        assert_eq!(read(&[b"Bearer abc", b"Bearer abc"]), Err(()));
    }
}
