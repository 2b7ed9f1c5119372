//! The limit and the count of a descriptor.

use super::{Rig, Status};
use crate::Now;
use crate::rate::{RateRequest, Unit, UnknownDomainError};

const TREE: &str = "descriptors:
  - key: tool
    rate_limit: {unit: minute, requests_per_unit: 10}
  - key: tool
    value: create-ami
    rate_limit: {unit: minute, requests_per_unit: 1}
  - key: tool
    value: create-*
    rate_limit: {unit: minute, requests_per_unit: 2}
  - key: tool
    value: '*-ami'
    rate_limit: {unit: minute, requests_per_unit: 3}
  - key: user
    descriptors:
      - key: tool
        value: read
        rate_limit: {unit: hour, requests_per_unit: 4}
  - key: user
    value: root
  - key: free
    rate_limit: {unlimited: true}
";

fn limit(rig: &Rig, text: &str) -> Option<u32> {
    rig.ask(&[text]).statuses[0].limit.map(|(max, _)| max)
}

#[test]
fn the_exact_value_goes_before_wildcards_and_those_before_any() {
    let rig = Rig::new(TREE);
    for (text, max) in [
        ("tool=create-ami", Some(1)),
        ("tool=create-vm", Some(2)),
        ("tool=delete-ami", Some(3)),
        ("tool=other", Some(10)),
        ("tool=", Some(10)),
        ("Tool=create-ami", None),
        ("unknown=x", None),
        ("", None),
        // As many entries as levels, and only the best match of each level.
        ("user=a", None),
        ("user=a,tool=read", Some(4)),
        ("user=a,tool=write", None),
        ("user=root,tool=read", None),
        ("tool=read,user=a", None),
        ("tool=create-ami,more=x", None),
        ("user=a,tool=read,more=x", None),
    ] {
        assert_eq!(limit(&rig, text), max, "{text}");
    }
}

#[test]
fn every_value_has_a_count_of_its_own() {
    let rig = Rig::new(TREE);
    assert_eq!(rig.passing("tool=create-a"), 2);
    assert_eq!(rig.passing("tool=create-b"), 2);
    assert_eq!(rig.passing("user=a,tool=read"), 4);
    assert_eq!(rig.passing("user=b,tool=read"), 4);
    assert_eq!(rig.passing("tool=x"), 10);
}

#[test]
fn a_shared_wildcard_has_one_count() {
    let rig = Rig::new(
        "descriptors:
  - key: file
    value: docs/*
    share_threshold: true
    descriptors:
      - key: user
        rate_limit: {unit: minute, requests_per_unit: 2}
  - key: file
    value: '*.txt'
    rate_limit: {unit: minute, requests_per_unit: 2}
",
    );
    assert!(!rig.ask(&["file=docs/a,user=1"]).over);
    assert!(!rig.ask(&["file=docs/b,user=1"]).over);
    assert!(rig.ask(&["file=docs/c,user=1"]).over);
    assert!(!rig.ask(&["file=docs/c,user=2"]).over);
    assert_eq!(rig.passing("file=a.txt"), 2);
    assert_eq!(rig.passing("file=b.txt"), 2);
}

#[test]
fn no_limit_is_told_apart_from_unlimited() {
    let rig = Rig::new(TREE);
    let none = Status {
        over: false,
        shadow: false,
        limit: None,
        name: String::new(),
        remaining: 0,
        reset_s: None,
    };
    assert_eq!(rig.ask(&["unknown=x"]).statuses, [none]);
    let free = rig.ask(&["free=x"]);
    assert_eq!((free.over, free.remaining()), (false, vec![u32::MAX]));
    assert_eq!(free.statuses[0].limit, None);
}

#[test]
fn a_limit_takes_the_place_of_those_it_replaces() {
    let rig = Rig::new(
        "descriptors:
  - key: user
    rate_limit: {unit: minute, requests_per_unit: 1, name: general}
  - key: path
    value: /export
    rate_limit: {unit: minute, requests_per_unit: 3, name: special, replaces: [{name: general}]}
  - key: path
    value: /free
    rate_limit: {unlimited: true, replaces: [{name: general}]}
",
    );
    let both = ["user=a", "path=/export"];
    for left in [2, 1, 0] {
        let seen = rig.ask(&both);
        assert_eq!((seen.over, seen.remaining()), (false, vec![0, left]));
        assert_eq!(
            (seen.statuses[0].limit, seen.statuses[1].name.as_str()),
            (None, "special")
        );
    }
    assert!(rig.ask(&both).over);
    assert!(!rig.ask(&["user=a", "path=/free"]).over);
    assert_eq!(rig.passing("user=a"), 1, "the replaced limit was not touched");
}

#[test]
fn a_request_may_bring_its_limit_along() {
    let rig = Rig::new(TREE);
    let seen = rig.overridden("tool=create-ami", 3, Unit::Minute);
    assert_eq!(seen.statuses[0].limit, Some((3, Unit::Minute)));
    assert_eq!(seen.remaining(), [2]);
    // Its own unit, even if nothing is configured.
    assert_eq!(rig.overridden("nobody=knows", 7, Unit::Year).remaining(), [6]);
    // Another maximum is another limit on the same count.
    assert_eq!(
        rig.overridden("tool=create-ami", 300, Unit::Minute).remaining(),
        [298]
    );
    assert!(rig.overridden("tool=create-ami", 2, Unit::Minute).over);
    assert!(rig.overridden("tool=create-ami", 0, Unit::Minute).over);
    // The configured limit is on that count, too.
    assert!(rig.ask(&["tool=create-ami"]).over);
}

#[test]
fn another_domain_is_unknown() {
    let rig = Rig::new(TREE);
    let request = RateRequest {
        domain: "D",
        descriptors: &[],
        hits: 0,
    };
    let state = rig.engine.snapshot();
    let answer = rig
        .engine
        .rate_limit(&state, request, Now::from_unix_us(super::START_US));
    assert_eq!(answer, Err(UnknownDomainError));
}
