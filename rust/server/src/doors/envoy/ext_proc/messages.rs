//! The messages that an exchange answers with.

use callgate_proto::pb::envoy::extensions::filters::http::ext_proc::v3::processing_mode::BodySendMode;
use callgate_proto::pb::envoy::service::ext_proc::v3::body_mutation::Mutation;
use callgate_proto::pb::envoy::service::ext_proc::v3::processing_response::Response;
use callgate_proto::pb::envoy::service::ext_proc::v3::{
    BodyMutation, BodyResponse, CommonResponse, HeaderMutation, HeadersResponse, ProcessingResponse,
    ProtocolConfiguration, StreamedBodyResponse, TrailersResponse,
};
use callgate_proto::pb::google::protobuf::Struct;

/// The largest piece of a body that is streamed both ways; Envoy recommends no larger ones.
const MAX_PIECE_BYTES: usize = 64 * 1024;

/// The modes in which bodies come, as the filter is configured.
#[derive(Clone, Copy, Debug)]
pub(super) struct Modes {
    pub(super) request: BodySendMode,
    pub(super) reply: BodySendMode,
}

impl Modes {
    /// Reads the modes from the first message. An Envoy that does not send them sends no bodies, or the exchange ends
    /// because of a message out of order.
    pub(super) fn of(config: Option<ProtocolConfiguration>) -> Self {
        let config = config.unwrap_or_default();
        Self {
            request: config.request_body_mode(),
            reply: config.response_body_mode(),
        }
    }
}

/// The direction of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    Request,
    Reply,
}

fn message(response: Response) -> ProcessingResponse {
    ProcessingResponse {
        response: Some(response),
        ..ProcessingResponse::default()
    }
}

/// Lets the headers go on, changed by the mutation.
pub(super) fn headers(way: Way, header_mutation: Option<HeaderMutation>) -> ProcessingResponse {
    let response = HeadersResponse {
        response: Some(CommonResponse {
            header_mutation,
            ..CommonResponse::default()
        }),
    };
    message(match way {
        Way::Request => Response::RequestHeaders(response),
        Way::Reply => Response::ResponseHeaders(response),
    })
}

/// Lets a piece of a body go on, or another in its place. Envoy applies changes of headers only if the body was
/// buffered.
pub(super) fn body(
    way: Way,
    header_mutation: Option<HeaderMutation>,
    other: Option<Vec<u8>>,
) -> ProcessingResponse {
    let mutation = other.map(|bytes| {
        if bytes.is_empty() {
            Mutation::ClearBody(true)
        } else {
            Mutation::Body(bytes)
        }
    });
    let body_mutation = mutation.map(|mutation| BodyMutation {
        mutation: Some(mutation),
    });
    of_body(
        way,
        CommonResponse {
            header_mutation,
            body_mutation,
            ..CommonResponse::default()
        },
    )
}

/// Splits bytes of a body that is streamed both ways into pieces; none at all if there are no bytes and no end to send.
pub(super) fn pieces(way: Way, bytes: &[u8], ends: bool) -> impl Iterator<Item = ProcessingResponse> {
    let is_lone_end = bytes.is_empty() && ends;
    let lone = is_lone_end.then_some(&b""[..]);
    let count = bytes.len().div_ceil(MAX_PIECE_BYTES);
    let pieces = bytes.chunks(MAX_PIECE_BYTES).chain(lone).enumerate();
    pieces.map(move |(index, piece)| {
        let streamed = StreamedBodyResponse {
            body: piece.to_vec(),
            end_of_stream: ends && index + 1 >= count,
            ..StreamedBodyResponse::default()
        };
        of_body(
            way,
            CommonResponse {
                body_mutation: Some(BodyMutation {
                    mutation: Some(Mutation::StreamedResponse(streamed)),
                }),
                ..CommonResponse::default()
            },
        )
    })
}

/// Returns the number of bytes of a body in a message.
pub(super) fn body_bytes(message: &ProcessingResponse) -> usize {
    let Some(Response::RequestBody(body) | Response::ResponseBody(body)) = &message.response else {
        return 0;
    };
    let mutation = body
        .response
        .as_ref()
        .and_then(|response| response.body_mutation.as_ref()?.mutation.as_ref());
    match mutation {
        Some(Mutation::Body(bytes)) => bytes.len(),
        Some(Mutation::StreamedResponse(piece)) => piece.body.len(),
        Some(Mutation::ClearBody(_)) | None => 0,
    }
}

/// Lets the trailers go on unchanged.
pub(super) fn trailers(way: Way) -> ProcessingResponse {
    let response = TrailersResponse::default();
    message(match way {
        Way::Request => Response::RequestTrailers(response),
        Way::Reply => Response::ResponseTrailers(response),
    })
}

/// Adds metadata for later filters to the message.
pub(super) fn telling(metadata: Struct, message: ProcessingResponse) -> ProcessingResponse {
    ProcessingResponse {
        dynamic_metadata: Some(metadata),
        ..message
    }
}

fn of_body(way: Way, response: CommonResponse) -> ProcessingResponse {
    let response = BodyResponse {
        response: Some(response),
    };
    message(match way {
        Way::Request => Response::RequestBody(response),
        Way::Reply => Response::ResponseBody(response),
    })
}
