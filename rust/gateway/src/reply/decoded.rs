//! Bodies without their compression, as they come: nothing is held beyond what a decoder needs, and that is counted.

use std::io;

use async_compression::tokio::bufread::{BrotliDecoder, GzipDecoder, ZlibDecoder, ZstdDecoder};
use async_compression::zstd::DParameter;
use bytes::Bytes;
use http_body::{Body, Frame};
use http_body_util::{BodyExt, StreamBody};
use tokio::io::{AsyncBufRead, AsyncRead};
use tokio_stream::StreamExt;
use tokio_util::io::{ReaderStream, StreamReader};

use super::kind::Encoding;
use super::{BodyError, NoRoomError, ReplyBody, Room, as_it_is};

/// The window of DEFLATE (RFC 1951 section 2).
const DEFLATE_WINDOW_BYTES: usize = 32 * 1024;

/// The largest window of Brotli (RFC 7932 section 9.1).
const BROTLI_WINDOW_BYTES: usize = 16 * 1024 * 1024;

/// The largest window of Zstandard that HTTP allows, as its logarithm (RFC 9659 section 3).
const ZSTD_WINDOW_LOG: u32 = 23;

/// The memory of a decoder besides its window: tables, input and output buffers.
const TABLES_BYTES: usize = 256 * 1024;

/// The first byte of a stream of Brotli with a window beyond what the format allows, but for its highest bit: an extension
/// that decoders know all the same.
const BROTLI_LARGE_WINDOW: u8 = 0x11;

/// The body as it was before it was compressed. Trailers of a compressed one are dropped.
pub(super) fn decoded<B>(body: B, encoding: Encoding, mut room: impl Room) -> ReplyBody
where
    B: Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<BodyError>,
{
    if encoding == Encoding::Identity {
        return as_it_is(body);
    }
    if let Err(reason) = room.holds(TABLES_BYTES) {
        let refused: Result<Frame<Bytes>, BodyError> = Err(NoRoomError(reason).into());
        return StreamBody::new(tokio_stream::once(refused)).boxed_unsync();
    }
    let is_brotli = encoding == Encoding::Brotli;
    let reader = reader(body, is_brotli);
    // One compressed part may follow another, as the formats allow.
    match encoding {
        Encoding::Identity => read(reader, 0, room),
        Encoding::Gzip => {
            let mut decoder = GzipDecoder::new(reader);
            decoder.multiple_members(true);
            read(decoder, DEFLATE_WINDOW_BYTES, room)
        }
        // What HTTP calls deflate is zlib's format (RFC 9110 section 8.4.1.2).
        Encoding::Deflate => read(ZlibDecoder::new(reader), DEFLATE_WINDOW_BYTES, room),
        Encoding::Brotli => read(BrotliDecoder::new(reader), BROTLI_WINDOW_BYTES, room),
        Encoding::Zstd => {
            let largest = DParameter::window_log_max(ZSTD_WINDOW_LOG);
            let mut decoder = ZstdDecoder::with_params(reader, &[largest]);
            decoder.multiple_members(true);
            read(decoder, 1 << ZSTD_WINDOW_LOG, room)
        }
    }
}

fn reader<B>(body: B, is_brotli: bool) -> impl AsyncBufRead + Send + Unpin
where
    B: Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<BodyError>,
{
    let mut is_begin = is_brotli;
    let pieces = body.into_data_stream().map(move |piece| {
        let piece = piece.map_err(|error| io::Error::other(error.into()))?;
        if is_begin && let Some(first) = piece.first() {
            is_begin = false;
            if first & 0x7f == BROTLI_LARGE_WINDOW {
                return Err(io::Error::other("the window is larger than the format allows"));
            }
        }
        Ok(piece)
    });
    StreamReader::new(pieces)
}

/// The output of a decoder. Its window holds no more than that, up to its size: it is memory only where it is written.
fn read(decoder: impl AsyncRead + Send + 'static, window_bytes: usize, mut room: impl Room) -> ReplyBody {
    let mut out_bytes = 0;
    let pieces = ReaderStream::new(decoder).map(move |piece| {
        let piece = piece.map_err(BodyError::from)?;
        if out_bytes < window_bytes {
            out_bytes = window_bytes.min(out_bytes + piece.len());
            room.holds(TABLES_BYTES + out_bytes).map_err(NoRoomError)?;
        }
        Ok(Frame::data(piece))
    });
    StreamBody::new(pieces).boxed_unsync()
}
