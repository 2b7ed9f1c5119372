//! Receivers of messages that the configuration names: one POST at a time, met as MCP servers are.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT_ENCODING, RETRY_AFTER};
use http::{HeaderMap, HeaderValue, Method, Request, Uri};
use http_body_util::{BodyExt as _, Full};
use tokio::time::{Instant, timeout_at};

use crate::pool::{Pool, PooledBody, Usage};
use crate::upstream::{Failure, UpstreamError, connector, endpoint, headers};

/// The most of a reply's body that is read, in bytes: it explains a failure, and nothing else of it is used.
const MOST_READ_BYTES: usize = 1_024;

/// One receiver.
#[derive(Debug)]
pub struct Webhook {
    endpoint: Uri,
    pool: Pool,
    usage: Usage,
    patience: Duration,
}

/// The answer of a receiver. A redirect is one, and is not followed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebhookReply {
    /// The status.
    pub status: u16,
    /// The field `retry-after`, if it is text.
    pub retry_after: Option<String>,
    /// The beginning of the body; of a reply with a status from 200 to 299, nothing.
    pub beginning: Vec<u8>,
}

impl Webhook {
    /// Creates a receiver without connecting to it. `patience` is the time limit from the look-up of its name to the end
    /// of its reply.
    pub fn new(
        url: &str,
        ca_pem: Option<&[u8]>,
        allow_link_local: bool,
        patience: Duration,
    ) -> Result<Self, UpstreamError> {
        let endpoint = endpoint(url, allow_link_local)?;
        let is_secure = endpoint.scheme_str() == Some("https");
        if ca_pem.is_some() && !is_secure {
            let message = "authorities mean nothing without `https` in `url`";
            return Err(UpstreamError::new("ca", message));
        }
        let connector = connector(ca_pem, is_secure, allow_link_local, patience)?;
        // No connection is kept: messages are few, and each is driven by a runtime of its own.
        let pool = Pool::new(connector, &endpoint, 0, Duration::ZERO)
            .ok_or_else(|| UpstreamError::new("url", "expected a URL with a host"))?;
        Ok(Self {
            endpoint,
            pool,
            usage: Usage::default(),
            patience,
        })
    }

    /// The fields of a request, which [`Webhook::post`] takes.
    pub fn fields(fields: &[(String, String)]) -> Result<HeaderMap, UpstreamError> {
        let mut fields = headers(fields)?;
        fields.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        Ok(fields)
    }

    /// Sends a message, and waits for the reply.
    pub async fn post(&self, fields: &HeaderMap, body: Bytes) -> Result<WebhookReply, Failure> {
        let end = Instant::now() + self.patience;
        let request = || {
            let mut request = Request::new(Full::new(body.clone()));
            *request.method_mut() = Method::POST;
            *request.uri_mut() = self.endpoint.clone();
            *request.headers_mut() = fields.clone();
            request
        };
        let answered = timeout_at(end, self.pool.send(request, &self.usage)).await;
        let patience_ms = u64::try_from(self.patience.as_millis()).unwrap_or(u64::MAX);
        let reply = answered
            .map_err(|_| Failure::TooSlow(patience_ms))?
            .map_err(|error| Failure::of_http(&error))?;
        let status = reply.status();
        let retry_after = reply.headers().get(RETRY_AFTER);
        let retry_after = retry_after
            .and_then(|value| value.to_str().ok())
            .map(str::to_owned);
        let beginning = if status.is_success() {
            Vec::new()
        } else {
            beginning(reply.into_body(), end).await
        };
        Ok(WebhookReply {
            status: status.as_u16(),
            retry_after,
            beginning,
        })
    }
}

/// The first bytes of a body, as far as they come in time. Dropping the rest closes the connection.
async fn beginning(mut body: PooledBody, end: Instant) -> Vec<u8> {
    let mut read = Vec::new();
    while read.len() < MOST_READ_BYTES {
        // What is cut off or late changes nothing: the status has come.
        let Ok(Some(Ok(frame))) = timeout_at(end, body.frame()).await else {
            break;
        };
        if let Some(data) = frame.data_ref() {
            let left = MOST_READ_BYTES - read.len();
            read.extend(data.iter().take(left));
        }
    }
    read
}

impl fmt::Display for WebhookReply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "status {}", self.status)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read as _, Write as _};
    use std::net::TcpListener;
    use std::thread::{self, JoinHandle};

    const PATIENCE: Duration = Duration::from_secs(20);

    /// A receiver that answers one request with these bytes, and gives what it was sent.
    fn receiver(answer: &'static [u8]) -> (String, JoinHandle<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/hook?key=1", listener.local_addr().unwrap());
        let serves = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut sent = Vec::new();
            let mut buffer = [0; 4_096];
            while !sent.ends_with(b"{}") {
                let count = stream.read(&mut buffer).unwrap();
                sent.extend(&buffer[..count]);
            }
            stream.write_all(answer).unwrap();
            String::from_utf8(sent).unwrap()
        });
        (url, serves)
    }

    async fn post(url: &str, patience: Duration) -> Result<WebhookReply, Failure> {
        let fields = Webhook::fields(&[("content-type".to_owned(), "application/json".to_owned())]).unwrap();
        let hook = Webhook::new(url, None, false, patience).unwrap();
        hook.post(&fields, Bytes::from_static(b"{}")).await
    }

    #[tokio::test]
    async fn a_message_is_a_post_with_its_fields() {
        let (url, serves) = receiver(b"HTTP/1.1 204 No Content\r\n\r\n");
        assert_eq!(post(&url, PATIENCE).await.unwrap().status, 204);
        let sent = serves.join().unwrap();
        assert!(sent.starts_with("POST /hook?key=1 HTTP/1.1\r\n"), "{sent}");
        assert!(sent.contains("content-type: application/json\r\n"), "{sent}");
    }

    #[tokio::test]
    async fn a_redirect_is_a_reply_that_leads_nowhere() {
        let answer = b"HTTP/1.1 302 Found\r\nlocation: http://169.254.169.254/\r\ncontent-length: 0\r\n\r\n";
        let (url, _serves) = receiver(answer);
        assert_eq!(post(&url, PATIENCE).await.unwrap().status, 302);
    }

    #[tokio::test]
    async fn little_of_a_failure_is_read() {
        let (url, _serves) =
            receiver(b"HTTP/1.1 503 Busy\r\nretry-after: 7\r\ncontent-length: 999\r\n\r\nlater");
        let reply = post(&url, PATIENCE).await.unwrap();
        assert_eq!((reply.status, reply.beginning.as_slice()), (503, &b"later"[..]));
        assert_eq!(reply.retry_after.as_deref(), Some("7"));
    }

    #[tokio::test]
    async fn a_receiver_that_hangs_or_is_not_there_is_a_failure() {
        let silent = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/", silent.local_addr().unwrap());
        let failure = post(&url, Duration::from_millis(50)).await.unwrap_err();
        assert!(matches!(failure, Failure::TooSlow(50)), "{failure}");
        drop(silent);
        let failure = post(&url, PATIENCE).await.unwrap_err();
        assert!(matches!(failure, Failure::Unreachable(_)), "{failure}");
    }

    #[test]
    fn no_receiver_is_at_a_link_local_address() {
        let at = |allows| Webhook::new("http://169.254.169.254/hook", None, allows, PATIENCE);
        assert!(at(false).is_err());
        assert!(at(true).is_ok());
    }
}
