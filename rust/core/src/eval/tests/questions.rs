//! Questions about calls that need an approval.

use super::{Desk, brief, request};
use crate::approval::Decided;
use crate::{Request, Scratch};

const MOST: usize = 100;

/// The arguments that people are asked about, or the answer where they are not.
fn asked(request: &Request<'_>) -> Result<String, String> {
    let desk = Desk::rules(r#"{"action": "require_approval"}"#);
    let state = desk.engine.snapshot();
    match desk
        .engine
        .decide_or_ask(&state, request, desk.now, &mut Scratch::default(), MOST, |_| ())
    {
        Decided::Decision(decision) => Err(brief(&decision)),
        Decided::Asked(held) => Ok(held.question.unwrap().args_json),
    }
}

#[test]
fn people_are_asked_about_what_they_can_read() {
    assert_eq!(asked(&request("x", r#"{ "n": 1.50 }"#)).unwrap(), r#"{"n":1.50}"#);
    let refused = Err("deny /tools/x/approval".to_owned());
    // Long as it is written, and short in its canonical form; and the other way round.
    let zeros = format!(r#"{{"n": 1.{}}}"#, "0".repeat(MOST));
    assert_eq!(asked(&request("x", &zeros)), refused);
    let controls = format!(r#"{{"n": "{}"}}"#, "\u{1}".repeat(MOST / 6));
    assert!(asked(&request("x", &controls.replace('\u{1}', "\\u0001"))).is_err());
    let session = "s".repeat(MOST);
    let long = Request {
        session: Some(&session),
        ..request("x", "{}")
    };
    assert_eq!(asked(&long), refused);
    let few = "1".repeat(MOST - 20);
    assert!(asked(&request("x", &format!(r#"{{"n":{few}}}"#))).is_ok());
}
