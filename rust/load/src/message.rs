//! Requests, encoded before the run, and the counted parts of the answers.

use bytes::Bytes;
use callgate_proto::decision::v1 as pb;
use prost::Message as _;

use crate::options::Method;

/// Outcomes of the API, `unspecified` included.
pub(crate) const OUTCOMES: usize = 5;

/// Decisions by outcome.
pub(crate) type Tally = [u32; OUTCOMES];

/// The encoded requests that are sent in turn.
#[derive(Debug)]
pub(crate) enum Requests {
    /// Whole requests, prefix included, each with its number of calls.
    Whole(Vec<(Bytes, u32)>),
    /// Calls of a stream, to be wrapped with an id.
    Streamed(Vec<Box<[u8]>>),
}

impl Requests {
    /// Encodes the calls for a method; a batch continues with the first call after the last one.
    pub(crate) fn encode(calls: &[pb::CheckRequest], method: Method, batch_size: usize) -> Self {
        let framed = |message: Vec<u8>| {
            let mut frame = vec![0];
            frame.extend_from_slice(&length(message.len()));
            frame.extend(message);
            Bytes::from(frame)
        };
        match method {
            Method::Check => Self::Whole(
                calls
                    .iter()
                    .map(|call| (framed(call.encode_to_vec()), 1))
                    .collect(),
            ),
            Method::Batch => {
                let batches = calls.len().div_ceil(batch_size.max(1));
                let batch = |number: usize| {
                    let calls: Vec<_> = calls
                        .iter()
                        .cycle()
                        .skip(number * batch_size % calls.len().max(1))
                        .take(batch_size)
                        .cloned()
                        .collect();
                    let asked = u32::try_from(calls.len()).unwrap_or(u32::MAX);
                    (framed(pb::CheckBatchRequest { calls }.encode_to_vec()), asked)
                };
                Self::Whole((0..batches).map(batch).collect())
            }
            Method::Stream => {
                let encoded = calls.iter().map(|call| call.encode_to_vec().into_boxed_slice());
                Self::Streamed(encoded.collect())
            }
        }
    }

    /// The number of distinct requests.
    pub(crate) const fn len(&self) -> usize {
        match self {
            Self::Whole(requests) => requests.len(),
            Self::Streamed(calls) => calls.len(),
        }
    }
}

fn length(bytes: usize) -> [u8; 4] {
    u32::try_from(bytes).unwrap_or(u32::MAX).to_be_bytes()
}

/// Replaces the contents of `out` by a `CheckStreamRequest` with its prefix.
pub(crate) fn wrap(out: &mut Vec<u8>, id: u64, call: &[u8]) {
    const ID_TAG: u8 = 1 << 3;
    const CALL_TAG: u8 = 2 << 3 | 2;
    out.clear();
    out.extend_from_slice(&[0; 5]);
    out.push(ID_TAG);
    put_varint(out, id);
    out.push(CALL_TAG);
    put_varint(out, call.len() as u64);
    out.extend_from_slice(call);
    let bytes = length(out.len() - 5);
    if let Some(place) = out.get_mut(1..5) {
        place.copy_from_slice(&bytes);
    }
}

fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value.to_le_bytes()[0] | 0x80);
        value >>= 7;
    }
    out.push(value.to_le_bytes()[0]);
}

/// The counted part of a `CheckResponse`; the rest is checked for its form and skipped.
#[derive(Clone, Copy, PartialEq, prost::Message)]
struct Brief {
    #[prost(int32, tag = "1")]
    outcome: i32,
}

#[derive(Clone, PartialEq, prost::Message)]
struct BatchBrief {
    #[prost(message, repeated, tag = "1")]
    decisions: Vec<Brief>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct StreamBrief {
    #[prost(uint64, tag = "1")]
    id: u64,
    #[prost(message, optional, tag = "2")]
    decision: Option<Brief>,
}

/// Counts one decision; `None` for an outcome that the API does not define.
fn count(tally: &mut Tally, brief: Brief) -> Option<()> {
    let outcome = usize::try_from(brief.outcome)
        .ok()
        .filter(|outcome| *outcome != 0)?;
    *tally.get_mut(outcome)? += 1;
    Some(())
}

/// The decision of `Check`.
pub(crate) fn checked(message: &[u8]) -> Option<Tally> {
    let mut tally = Tally::default();
    count(&mut tally, Brief::decode(message).ok()?)?;
    Some(tally)
}

/// The decisions of `CheckBatch`.
pub(crate) fn batch_checked(message: &[u8]) -> Option<Tally> {
    let mut tally = Tally::default();
    for brief in BatchBrief::decode(message).ok()?.decisions {
        count(&mut tally, brief)?;
    }
    Some(tally)
}

/// The caller's id and the decision of one answer of `CheckStream`.
pub(crate) fn stream_checked(message: &[u8]) -> Option<(u64, Tally)> {
    let answer = StreamBrief::decode(message).ok()?;
    let mut tally = Tally::default();
    count(&mut tally, answer.decision?)?;
    Some((answer.id, tally))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn calls(count: usize) -> Vec<pb::CheckRequest> {
        let call = |number| pb::CheckRequest {
            grant: "g".to_owned(),
            tool: format!("t{number}"),
            ..pb::CheckRequest::default()
        };
        (0..count).map(call).collect()
    }

    fn batches(count: usize, size: usize) -> Vec<Vec<String>> {
        let Requests::Whole(requests) = Requests::encode(&calls(count), Method::Batch, size) else {
            panic!("a batch is a whole request");
        };
        let tools = |(frame, asked): (Bytes, u32)| {
            let batch = pb::CheckBatchRequest::decode(&frame[5..]).unwrap();
            assert_eq!(batch.calls.len(), asked as usize);
            batch.calls.into_iter().map(|call| call.tool).collect()
        };
        requests.into_iter().map(tools).collect()
    }

    #[test]
    fn batches_hold_every_call() {
        assert_eq!(batches(3, 2), [["t0", "t1"], ["t2", "t0"]]);
        assert_eq!(batches(1, 3), [["t0", "t0", "t0"]]);
        assert_eq!(batches(4, 2), [["t0", "t1"], ["t2", "t3"]]);
    }

    #[test]
    fn wrapped_calls_are_stream_requests() {
        let mut out = vec![1, 2, 3];
        for id in [0, 1, 127, 128, u64::MAX] {
            let call = calls(1).remove(0);
            wrap(&mut out, id, &call.encode_to_vec());
            assert_eq!(out[..5], [&[0][..], &length(out.len() - 5)].concat());
            let request = pb::CheckStreamRequest::decode(&out[5..]).unwrap();
            assert_eq!((request.id, request.call), (id, Some(call)));
        }
    }

    #[test]
    fn answers_are_counted_by_outcome() {
        let full = pb::CheckResponse {
            outcome: pb::Outcome::RateLimited.into(),
            rule: "/tools/t/limits/c".to_owned(),
            limits: vec![pb::LimitState::default()],
            ..pb::CheckResponse::default()
        };
        assert_eq!(checked(&full.encode_to_vec()), Some([0, 0, 0, 1, 0]));
        let batch = pb::CheckBatchResponse {
            decisions: vec![full.clone(), full.clone()],
        };
        assert_eq!(batch_checked(&batch.encode_to_vec()), Some([0, 0, 0, 2, 0]));
        let answer = pb::CheckStreamResponse {
            id: 9,
            decision: Some(full),
        };
        assert_eq!(
            stream_checked(&answer.encode_to_vec()),
            Some((9, [0, 0, 0, 1, 0]))
        );
        // Unspecified, unknown, absent, malformed.
        for message in [&[][..], &[8, 9], &[0xff]] {
            assert_eq!(checked(message), None);
        }
        assert_eq!(stream_checked(&[8, 1]), None);
    }
}
