//! Answers of the decision API, written as protocol buffers straight from the decision.
//!
//! The generated messages own each of their texts, and are walked twice to be encoded. Every decision is answered once, and
//! most of its texts are those of the policy.

use bytes::BufMut;
use callgate_core::{Decision, LimitState, Outcome, Shadow};
use callgate_proto::decision::v1 as pb;
use prost::encoding::{WireType, encode_key, encode_varint, encoded_len_varint};
use tonic::Status;
use tonic::codec::{BufferSettings, Codec, EncodeBuf, Encoder};
use tonic_prost::ProstCodec;

use super::decision::{outcome, units};
use crate::doors::unary::Answered;

/// Bytes of an answer with a few limits.
const USUAL_BYTES: usize = 256;

/// A [`pb::CheckResponse`], written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct WrittenDecision(Vec<u8>);

/// A [`pb::CheckBatchResponse`], which is written from its decisions.
#[derive(Debug)]
pub(crate) struct WrittenBatch(pub(crate) Vec<WrittenDecision>);

/// A [`pb::CheckStreamResponse`], likewise.
#[derive(Debug)]
pub(crate) struct WrittenAnswer {
    pub(crate) id: u64,
    pub(crate) decision: WrittenDecision,
}

impl WrittenDecision {
    pub(crate) fn of(decision: &Decision<'_>) -> Self {
        let mut out = Vec::with_capacity(USUAL_BYTES);
        number(1, outcome_number(decision.outcome), &mut out);
        text(2, &decision.rule, &mut out);
        text(3, &decision.message, &mut out);
        if let Some(retry_after_ms) = decision.retry_after_ms {
            // A field that is there, even with its default.
            encode_key(4, WireType::Varint, &mut out);
            encode_varint(retry_after_ms, &mut out);
        }
        for state in &decision.limits {
            limit(5, state, &mut out);
        }
        text(6, &decision.policy, &mut out);
        text(7, &decision.policy_version, &mut out);
        if let Some(full) = &decision.shadow {
            shadow(8, full, &mut out);
        }
        if let Some(fingerprint) = &decision.fingerprint {
            text(9, &fingerprint.to_string(), &mut out);
        }
        number(10, decision.decided_at_us, &mut out);
        if let Some(reservation) = decision.reservation {
            text(11, &reservation.to_string(), &mut out);
        }
        text(12, &decision.approval, &mut out);
        Self(out)
    }

    /// The length of this decision as a field of another message, whose number is below 16.
    fn field_len(&self) -> usize {
        1 + encoded_len_varint(self.0.len() as u64) + self.0.len()
    }

    fn write_field(&self, field: u32, out: &mut impl BufMut) {
        bytes(field, &self.0, out);
    }
}

impl Answered for WrittenDecision {
    fn length(&self) -> usize {
        self.0.len()
    }

    fn write(&self, out: &mut impl BufMut) {
        out.put_slice(&self.0);
    }
}

impl Answered for WrittenBatch {
    fn length(&self) -> usize {
        self.0.iter().map(WrittenDecision::field_len).sum()
    }

    fn write(&self, out: &mut impl BufMut) {
        for decision in &self.0 {
            decision.write_field(1, out);
        }
    }
}

impl Answered for WrittenAnswer {
    fn length(&self) -> usize {
        let id = if self.id == 0 {
            0
        } else {
            1 + encoded_len_varint(self.id)
        };
        id + self.decision.field_len()
    }

    fn write(&self, out: &mut impl BufMut) {
        number(1, self.id, out);
        self.decision.write_field(2, out);
    }
}

/// The codec of `CheckStream`: calls are decoded as tonic does it, answers are written already.
#[derive(Clone, Copy, Debug)]
pub(crate) struct StreamCodec;

/// Puts written answers into the buffer of a stream.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AnswerEncoder;

impl Codec for StreamCodec {
    type Encode = WrittenAnswer;
    type Decode = pb::CheckStreamRequest;
    type Encoder = AnswerEncoder;
    type Decoder = <ProstCodec<(), Self::Decode> as Codec>::Decoder;

    fn encoder(&mut self) -> AnswerEncoder {
        AnswerEncoder
    }

    fn decoder(&mut self) -> Self::Decoder {
        ProstCodec::<(), Self::Decode>::raw_decoder(BufferSettings::default())
    }
}

impl Encoder for AnswerEncoder {
    type Item = WrittenAnswer;
    type Error = Status;

    fn encode(&mut self, answer: WrittenAnswer, out: &mut EncodeBuf<'_>) -> Result<(), Status> {
        out.reserve(answer.length());
        answer.write(out);
        Ok(())
    }
}

fn outcome_number(of: Outcome) -> u64 {
    // Numbers of enums begin at 0.
    u64::try_from(i32::from(outcome(of))).unwrap_or_default()
}

fn limit(field: u32, limit: &LimitState<'_>, out: &mut impl BufMut) {
    let amounts = [
        (2, units(limit.max)),
        (3, units(limit.remaining)),
        (5, units(limit.over)),
    ];
    let length = text_len(&limit.counter)
        + amounts.iter().filter(|(_, amount)| *amount != 0.0).count() * (1 + size_of::<f64>())
        + number_len(limit.reset_after_ms);
    encode_key(field, WireType::LengthDelimited, out);
    encode_varint(length as u64, out);
    let [max, remaining, over] = amounts;
    text(1, &limit.counter, out);
    amount(max, out);
    amount(remaining, out);
    number(4, limit.reset_after_ms, out);
    amount(over, out);
}

fn shadow(field: u32, shadow: &Shadow<'_>, out: &mut impl BufMut) {
    let outcome = outcome_number(shadow.outcome);
    encode_key(field, WireType::LengthDelimited, out);
    encode_varint((number_len(outcome) + text_len(&shadow.rule)) as u64, out);
    number(1, outcome, out);
    text(2, &shadow.rule, out);
}

fn amount((field, amount): (u32, f64), out: &mut impl BufMut) {
    if amount != 0.0 {
        encode_key(field, WireType::SixtyFourBit, out);
        out.put_f64_le(amount);
    }
}

fn number(field: u32, number: u64, out: &mut impl BufMut) {
    if number != 0 {
        encode_key(field, WireType::Varint, out);
        encode_varint(number, out);
    }
}

/// The length of a number whose field is below 16.
const fn number_len(number: u64) -> usize {
    if number == 0 {
        0
    } else {
        1 + encoded_len_varint(number)
    }
}

fn text(field: u32, text: &str, out: &mut impl BufMut) {
    if !text.is_empty() {
        bytes(field, text.as_bytes(), out);
    }
}

/// The length of a text whose field is below 16.
const fn text_len(text: &str) -> usize {
    if text.is_empty() {
        0
    } else {
        1 + encoded_len_varint(text.len() as u64) + text.len()
    }
}

fn bytes(field: u32, bytes: &[u8], out: &mut impl BufMut) {
    encode_key(field, WireType::LengthDelimited, out);
    encode_varint(bytes.len() as u64, out);
    out.put_slice(bytes);
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use callgate_core::Fingerprint;
    use callgate_counters::{Micros, ReservationId};
    use proptest::prelude::*;
    use prost::Message;

    use super::*;
    use crate::doors::grpc::decision::message;

    fn name() -> impl Strategy<Value = Cow<'static, str>> {
        // The longest one needs two bytes for its length, three with the message around it.
        prop_oneof!["[a-zäß]{0,4}", "[a-z]{120,140}", "[a-z]{16380,16390}"].prop_map(Cow::Owned)
    }

    fn count() -> impl Strategy<Value = u64> {
        prop_oneof![Just(0), 1_u64..200, any::<u64>()]
    }

    fn a_limit() -> impl Strategy<Value = LimitState<'static>> {
        (name(), name(), count(), count(), count(), count()).prop_map(
            |(counter, rule, max, remaining, over, reset_after_ms)| LimitState {
                counter,
                rule,
                max: Micros(max),
                remaining: Micros(remaining),
                over: Micros(over),
                reset_after_ms,
                window_ms: 1,
            },
        )
    }

    fn an_outcome() -> impl Strategy<Value = Outcome> {
        prop::sample::select(Outcome::ALL.to_vec())
    }

    fn a_decision() -> impl Strategy<Value = Decision<'static>> {
        let texts = (name(), name(), name(), name(), name());
        let numbers = (
            count(),
            prop::option::of(count()),
            prop::option::of(any::<u128>()),
        );
        let shadow = (an_outcome(), name()).prop_map(|(outcome, rule)| Shadow { outcome, rule });
        let parts = (
            an_outcome(),
            prop::collection::vec(a_limit(), 0..4),
            prop::option::of(shadow),
            prop::option::of(any::<[u8; 32]>()),
        );
        (texts, numbers, parts).prop_map(|(texts, numbers, (outcome, limits, shadow, fingerprint))| {
            let (rule, message, policy, policy_version, approval) = texts;
            let (decided_at_us, retry_after_ms, reservation) = numbers;
            Decision {
                retry_after_ms,
                limits: limits.into(),
                policy,
                policy_version,
                shadow,
                fingerprint: fingerprint.map(Fingerprint::new),
                approval,
                reservation: reservation.map(ReservationId::new),
                ..Decision::bare(outcome, rule, message, decided_at_us)
            }
        })
    }

    fn written(answer: &impl Answered) -> Vec<u8> {
        let mut out = Vec::new();
        answer.write(&mut out);
        assert_eq!(out.len(), answer.length());
        out
    }

    proptest! {
        #[test]
        fn answers_are_those_of_the_generated_messages(
            decisions in prop::collection::vec(a_decision(), 0..4),
            id in count(),
        ) {
            let messages: Vec<pb::CheckResponse> = decisions.iter().map(message).collect();
            let ours: Vec<WrittenDecision> = decisions.iter().map(WrittenDecision::of).collect();
            for (message, ours) in messages.iter().zip(&ours) {
                prop_assert_eq!(written(ours), message.encode_to_vec());
                let answer = WrittenAnswer { id, decision: ours.clone() };
                let message = pb::CheckStreamResponse { id, decision: Some(message.clone()) };
                prop_assert_eq!(written(&answer), message.encode_to_vec());
            }
            let batch = pb::CheckBatchResponse { decisions: messages };
            prop_assert_eq!(written(&WrittenBatch(ours)), batch.encode_to_vec());
        }
    }
}
