//! Valid files, and the errors of others.

use super::{Rig, read, state};
use crate::State;
use crate::engine::Setup;
use crate::policy::Catalogue;
use crate::rate::{Align, HeadersWhen, Unit};

#[test]
fn a_file_of_the_reference_is_read() {
    let domain = read(
        "domain: messaging
descriptors:
  - key: message_type
    value: marketing
    descriptors:
      - key: to_number
        rate_limit: {unit: DAY, requests_per_unit: 5, name: daily}
        shadow_mode: true
  - key: to_number
    value: 49*
    share_threshold: true
    rate_limit:
      unit: hour
      requests_per_unit: 0
      replaces: [{name: daily}]
  - key: ldap
    rate_limit: {unlimited: true}
",
    )
    .unwrap();
    assert_eq!((domain.name.as_str(), domain.at), ("messaging", (1, 9)));
    assert_eq!(
        (domain.align, domain.headers),
        (Align::Sliding, HeadersWhen::Refused)
    );
    let [nested, shared, unlimited] = domain.rules.as_slice() else {
        panic!("three rules: {:?}", domain.rules)
    };
    let inner = &nested.rules[0];
    assert_eq!(
        (nested.value.as_deref(), inner.value.as_deref()),
        (Some("marketing"), None)
    );
    let limit = inner.limit.as_ref().unwrap();
    assert_eq!((limit.max, limit.name.as_str()), (Some((5, Unit::Day)), "daily"));
    assert!(inner.shadow && shared.share);
    assert_eq!(shared.limit.as_ref().unwrap().replaces, ["daily"]);
    assert_eq!(unlimited.limit.as_ref().unwrap().max, None);
}

#[test]
fn our_own_words_are_read() {
    let domain = read(
        "domain: d
align: calendar
headers: always
descriptors:
  - key: a
    count_refused: true
    rate_limit: {unit: year, requests_per_unit: 4294967295, align: sliding}
",
    )
    .unwrap();
    assert_eq!(
        (domain.align, domain.headers),
        (Align::Calendar, HeadersWhen::Always)
    );
    let limit = domain.rules[0].limit.as_ref().unwrap();
    assert_eq!(
        (limit.max, limit.align),
        (Some((u32::MAX, Unit::Year)), Some(Align::Sliding))
    );
    assert!(domain.rules[0].count_refused);
}

#[test]
fn faults_say_where_and_what_to_do() {
    let rule = |rest: &str| format!("domain: d\ndescriptors:\n  - key: a\n    {rest}\n");
    for (text, message) in [
        (
            "descriptors: []\n".to_owned(),
            "1:1: a file of rate limits needs the field `domain`: the name that requests have",
        ),
        (
            "domain: \"\"\n".to_owned(),
            "1:9: expected the name of the domain, got an empty string",
        ),
        (
            rule("rate_limits: {}"),
            "4:5: unknown field `rate_limits` in a descriptor; did you mean `rate_limit`?",
        ),
        (
            rule("rate_limit: {unit: minutes, requests_per_unit: 1}"),
            "4:24: expected one of `second`, `minute`, `hour`, `day`, `week`, `month`, `year`, got `minutes`; did you mean \
             `minute`?",
        ),
        (
            rule("rate_limit: {unit: minute}"),
            "4:17: a rate limit needs the field `requests_per_unit`: a whole number, 0 to refuse everything",
        ),
        (
            rule("rate_limit: {unit: minute, requests_per_unit: 1.5}"),
            "4:51: expected a whole number from 0 to 4294967295, got `1.5`",
        ),
        (
            rule("rate_limit: {unit: minute, requests_per_unit: -1}"),
            "4:51: expected a whole number from 0 to 4294967295, got `-1`",
        ),
        (
            rule("rate_limit: {unlimited: true, unit: minute}"),
            "4:35: `unit` and `unlimited` exclude each other; keep one of them",
        ),
        (
            rule("rate_limit: {unit: minute, requests_per_unit: 1, name: x, replaces: [{name: x}]}"),
            "4:81: the limit `x` replaces itself; name another one",
        ),
        (
            rule("value: 404"),
            "4:12: expected the value that it matches as a string, got a number; put it in quotes, such as `\"404\"`",
        ),
        (
            rule("value: true"),
            "4:12: expected the value that it matches as a string, got a boolean; put it in quotes, such as `\"true\"`",
        ),
        (
            rule("detailed_metric: true"),
            "4:5: `detailed_metric` is not supported: metrics are kept by domain, not by descriptor; remove it",
        ),
        (
            rule("share_threshold: true"),
            "3:5: `share_threshold` is about a `value` with `*`; remove it, or write such a value",
        ),
        (
            rule("shadow_mode: true"),
            "3:5: `shadow_mode` is about a `rate_limit` of this descriptor, and it has none; remove it, or write it where \
             the limit stands",
        ),
        (
            "domain: d\ndescriptors:\n  - {key: a, value: b}\n  - {key: a, value: b}\n".to_owned(),
            "4:5: a second descriptor with the key `a` and the value `b` on this level; keep one of them",
        ),
        (
            "domain: d\ndescriptors:\n  - key: ''\n".to_owned(),
            "3:5: the `key` is empty, expected the key that it matches",
        ),
    ] {
        assert_eq!(
            read(&text).unwrap_err(),
            format!("limits.yaml:{message}"),
            "{text}"
        );
    }
}

#[test]
fn a_domain_is_in_one_file() {
    let first = read("domain: d\n").unwrap();
    let mut second = read("\ndomain: d\n").unwrap();
    second.file = "other.yaml".to_owned();
    let setup = Setup {
        rate_limits: vec![first, second],
        ..Setup::default()
    };
    let error = State::configure(setup, Catalogue::default()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "other.yaml:2:9: the domain `d` is already in `limits.yaml`; put all of its descriptors into one file"
    );
}

#[test]
fn counts_are_kept_when_limits_change() {
    let text = |max: u32, key: &str| {
        format!(
            "domain: d\ndescriptors:\n  - key: {key}\n    rate_limit: {{unit: minute, requests_per_unit: {max}}}\n"
        )
    };
    let rig = Rig::of(&text(3, "a"));
    assert_eq!(rig.passing("a=1"), 3);
    rig.engine.reload(state(&text(5, "a")));
    assert_eq!(rig.passing("a=1"), 2);
    rig.engine.reload(state(&text(5, "b")));
    assert_eq!(rig.ask(&["a=1"]).statuses[0].limit, None);
    rig.engine.reload(state(&text(300, "a")));
    assert_eq!(rig.passing("a=1"), 295);
}
