//! Every hostile request, as Envoy's external processing would ask about it.

use callgate_proto::pb::envoy::config::core::v3::HeaderValue;
use callgate_proto::pb::envoy::extensions::filters::http::ext_proc::v3::processing_mode::BodySendMode;
use callgate_proto::pb::envoy::service::ext_proc::v3::processing_request::Request as Said;
use callgate_proto::pb::envoy::service::ext_proc::v3::processing_response::Response as Answered;
use callgate_server::Limits;

use super::corpus::{Case, cases, catalogue};
use super::ext_proc::{Exchange, body, denied, head, rig_knowing, said};
use super::support::Rig;

const ALLOWING: &str = r#"{"version": "1", "name": "test", "default": "allow"}"#;

/// Returns the answer to a case whose body, if it has one, is sent in this mode.
async fn answer(rig: &Rig, case: &Case, mode: BodySendMode) -> Answered {
    let mode = if case.body.is_some() {
        mode
    } else {
        BodySendMode::None
    };
    let length = case.body.as_ref().map_or(5, Vec::len).to_string();
    let mut opening = head(
        "POST",
        &[("content-length", &length)],
        false,
        (mode, BodySendMode::None),
    );
    let Some(Said::RequestHeaders(headers)) = &mut opening.request else {
        panic!("{opening:?}");
    };
    let sent = case.headers.iter().map(|(name, value)| HeaderValue {
        key: name.to_ascii_lowercase(),
        raw_value: value.trim_ascii().to_vec(),
        ..HeaderValue::default()
    });
    headers.headers.as_mut().unwrap().headers.extend(sent);
    let mut exchange = Exchange::open(rig).await;
    let Some(bytes) = &case.body else {
        return exchange.ask(opening).await;
    };
    exchange.say(opening).await;
    if mode == BodySendMode::Buffered {
        let first = exchange.next().await.unwrap().unwrap().response.unwrap();
        assert!(matches!(first, Answered::RequestHeaders(_)), "{}", case.name);
    }
    exchange
        .ask(said(Said::RequestBody(body(bytes.clone(), true))))
        .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn none_that_is_refused_goes_on_and_none_that_is_not_is_stopped() {
    let rig = rig_knowing(ALLOWING, Limits::default(), None, catalogue());
    let cases: Vec<Case> = cases().into_iter().filter(Case::can_be_sent).collect();
    assert!(cases.len() >= 150, "{} cases", cases.len());
    for case in &cases {
        for mode in [BodySendMode::Buffered, BodySendMode::FullDuplexStreamed] {
            let answer = answer(&rig, case, mode).await;
            if case.passes() {
                let goes_on = matches!(answer, Answered::RequestHeaders(_) | Answered::RequestBody(_));
                assert!(goes_on, "{}: {answer:?}", case.name);
                continue;
            }
            let (status, headers, said) = denied(answer);
            assert_eq!(status, 403, "{}", case.name);
            let rule = if case.is_refused() {
                "(invalid request)"
            } else {
                "(default deny)"
            };
            assert_eq!(headers["x-callgate-rule"], rule, "{}", case.name);
            let id = &case.expect["id"];
            if case.is_refused() && case.body.is_some() {
                let id = id.as_str().unwrap_or("null");
                let written: serde_json::Value = serde_json::from_str(id).unwrap();
                assert_eq!(said["id"], written, "{}", case.name);
            }
        }
    }
}
