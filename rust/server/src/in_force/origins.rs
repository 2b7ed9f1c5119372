//! The origins of web pages whose scripts may use the gateway.

use http::header::ORIGIN;
use http::{HeaderMap, HeaderValue};

/// The origins of pages whose scripts may use the gateway.
#[derive(Clone, Debug, Default)]
pub(crate) struct Origins(Vec<String>);

impl Origins {
    pub(crate) fn new(origins: Vec<String>) -> Self {
        Self(origins)
    }

    /// The origin of a request, if it is one of these.
    pub(crate) fn of<'h>(&self, headers: &'h HeaderMap) -> Option<&'h HeaderValue> {
        let mut sent = headers.get_all(ORIGIN).iter();
        let (Some(origin), None) = (sent.next(), sent.next()) else {
            return None;
        };
        let is_one = |allowed: &String| allowed.as_bytes().eq_ignore_ascii_case(origin.as_bytes());
        self.0.iter().any(is_one).then_some(origin)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_one_of_the_list_to_the_letter() {
        let origins = Origins::new(vec!["http://localhost:6274".to_owned()]);
        let allows = |sent: &[&'static str]| {
            let sent = sent
                .iter()
                .map(|origin| (ORIGIN, HeaderValue::from_static(origin)));
            origins.of(&sent.collect()).is_some()
        };
        assert!(allows(&["http://localhost:6274"]) && allows(&["http://LOCALHOST:6274"]));
        for others in [
            &[][..],
            &["http://localhost:6275"],
            &["https://localhost:6274"],
            &["http://localhost"],
            &["http://localhost:6274.evil.example"],
            &["null"],
            &["*"],
        ] {
            assert!(!allows(others), "{others:?}");
        }
        let mut twice = HeaderMap::new();
        for _ in 0..2 {
            twice.append(ORIGIN, HeaderValue::from_static("http://localhost:6274"));
        }
        assert_eq!(origins.of(&twice), None);
    }
}
