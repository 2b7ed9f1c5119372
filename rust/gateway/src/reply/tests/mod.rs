//! Replies as a gateway passes them on.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use callgate_core::json::Tape;
use callgate_mcp::list;
use http_body::Frame;
use http_body_util::StreamBody;
use tokio::io::AsyncWriteExt as _;
use tokio_stream::iter;

use super::*;

const LIST: &str = r#"{"jsonrpc":"2.0","id":1,"result":{"tools":[{"name":"a"},{"name":"secret"}]}}"#;
const CUT: &str = r#"{"jsonrpc":"2.0","id":1,"result":{"tools":[{"name":"a"}]}}"#;

/// Takes the tool `secret` out.
struct NoSecret;

impl Cut for NoSecret {
    type Kept = ();

    fn poll_work(&mut self, _context: &mut Context<'_>, _bytes: usize) -> Poll<()> {
        Poll::Ready(())
    }

    fn keeps(&mut self, _: usize) -> Result<(), String> {
        Ok(())
    }

    fn holds(&mut self, _: usize) -> Result<(), String> {
        Ok(())
    }

    fn message(&mut self, message: &[u8]) -> Result<Vec<u8>, String> {
        list::filter(&mut Tape::new(), message, |tool| tool != "secret")
            .map(Into::into)
            .map_err(|error| self.withheld(&error.to_string()))
    }

    fn event(&mut self, event: &Event<'_>) -> Result<Vec<u8>, String> {
        list::filter_event(&mut Tape::new(), event, |tool| tool != "secret")
            .map(Into::into)
            .map_err(|error| self.withheld(&error.to_string()))
    }

    fn withheld(&mut self, reason: &str) -> String {
        format!("withheld: {reason}")
    }
}

/// A limit of memory, and the most that was held within it.
#[derive(Clone, Debug)]
struct Rooms {
    limit_bytes: usize,
    most: Arc<AtomicUsize>,
}

impl Rooms {
    fn of(limit_bytes: usize) -> Self {
        Self {
            limit_bytes,
            most: Arc::default(),
        }
    }
}

impl Room for Rooms {
    fn holds(&mut self, bytes: usize) -> Result<(), String> {
        if bytes > self.limit_bytes {
            return Err("no room".to_owned());
        }
        self.most.fetch_max(bytes, Ordering::Relaxed);
        Ok(())
    }
}

fn roomy() -> Rooms {
    Rooms::of(usize::MAX)
}

fn reply(
    media: &str,
    encoding: Option<&'static str>,
    pieces: Vec<Vec<u8>>,
) -> Response<impl Body<Data = Bytes, Error = Infallible> + Send + Unpin + 'static> {
    let pieces = pieces
        .into_iter()
        .map(|piece| Ok(Frame::data(Bytes::from(piece))));
    let mut response = Response::new(StreamBody::new(iter(pieces.collect::<Vec<_>>())));
    response
        .headers_mut()
        .insert(CONTENT_TYPE, media.parse().unwrap());
    response
        .headers_mut()
        .insert(ETAG, HeaderValue::from_static("\"x\""));
    if let Some(encoding) = encoding {
        let encoding = HeaderValue::from_static(encoding);
        response.headers_mut().insert(CONTENT_ENCODING, encoding);
    }
    response
}

async fn text(response: Response<ReplyBody>) -> String {
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// Compresses with one of the encoders.
macro_rules! compressed {
    ($encoder:ident, $bytes:expr) => {{
        let mut encoder = async_compression::tokio::write::$encoder::new(Vec::new());
        encoder.write_all($bytes).await.unwrap();
        encoder.shutdown().await.unwrap();
        encoder.into_inner()
    }};
}

async fn cut_list(
    reply: Response<impl Body<Data = Bytes, Error = Infallible> + Send + Unpin + 'static>,
) -> String {
    text(cut(reply, Holds::List, 10_000, roomy(), NoSecret).await).await
}

mod decoders;
mod lists;
mod memory;
mod watching;
