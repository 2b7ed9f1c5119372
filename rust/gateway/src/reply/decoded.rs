//! Bodies without their compression, as they come: nothing is held beyond what a decoder needs.

use std::io;

use async_compression::tokio::bufread::{BrotliDecoder, GzipDecoder, ZlibDecoder, ZstdDecoder};
use bytes::Bytes;
use http_body::{Body, Frame};
use http_body_util::{BodyExt, StreamBody};
use tokio::io::{AsyncBufRead, AsyncRead};
use tokio_stream::StreamExt;
use tokio_util::io::{ReaderStream, StreamReader};

use super::kind::Encoding;
use super::{BodyError, ReplyBody, as_it_is};

/// The body as it was before it was compressed. Trailers of a compressed one are dropped.
pub(super) fn decoded<B>(body: B, encoding: Encoding) -> ReplyBody
where
    B: Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<BodyError>,
{
    // One compressed part may follow another, as the formats allow.
    match encoding {
        Encoding::Identity => as_it_is(body),
        Encoding::Gzip => {
            let mut decoder = GzipDecoder::new(reader(body));
            decoder.multiple_members(true);
            read(decoder)
        }
        // What HTTP calls deflate is zlib's format (RFC 9110 section 8.4.1.2).
        Encoding::Deflate => read(ZlibDecoder::new(reader(body))),
        Encoding::Brotli => read(BrotliDecoder::new(reader(body))),
        Encoding::Zstd => {
            let mut decoder = ZstdDecoder::new(reader(body));
            decoder.multiple_members(true);
            read(decoder)
        }
    }
}

fn reader<B>(body: B) -> impl AsyncBufRead + Send + Unpin
where
    B: Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<BodyError>,
{
    let data = body.into_data_stream();
    StreamReader::new(data.map(|piece| piece.map_err(|error| io::Error::other(error.into()))))
}

fn read(decoder: impl AsyncRead + Send + 'static) -> ReplyBody {
    let pieces = ReaderStream::new(decoder);
    StreamBody::new(pieces.map(|piece| piece.map(Frame::data).map_err(BodyError::from))).boxed_unsync()
}
