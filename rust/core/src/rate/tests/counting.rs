//! Hits, windows, and the rule of all or none.

use super::{Rig, descriptor};
use crate::engine::FORCED_PANIC_TOOL;
use crate::rate::{Descriptor, RateError, Unit};

const TWO: &str = "descriptors:
  - key: user
    rate_limit: {unit: minute, requests_per_unit: 5}
  - key: tool
    rate_limit: {unit: hour, requests_per_unit: 2}
";

#[test]
fn sliding_windows_never_hold_more() {
    let mut rig = Rig::new(TWO);
    rig.after(50);
    assert_eq!(rig.passing("user=a"), 5);
    let refused = rig.ask(&["user=a"]);
    assert_eq!(
        (refused.remaining(), refused.statuses[0].reset_s),
        (vec![0], Some(60))
    );
    rig.after(59);
    assert!(rig.ask(&["user=a"]).over);
    rig.after(1);
    assert_eq!(rig.passing("user=a"), 5);
}

#[test]
fn calendar_windows_are_those_of_the_reference() {
    for (unit, seconds) in [
        ("second", 1),
        ("minute", 60),
        ("hour", 3_600),
        ("day", 86_400),
        ("week", 604_800),
        ("month", 2_592_000),
        ("year", 31_536_000),
    ] {
        let mut rig = Rig::of(&format!(
            "domain: d
align: calendar
descriptors:
  - key: user
    rate_limit: {{unit: {unit}, requests_per_unit: 2}}
  - key: slid
    rate_limit: {{unit: {unit}, requests_per_unit: 2, align: sliding}}
"
        ));
        let into_window = rig.now_us / 1_000_000 % seconds;
        let left = seconds - into_window;
        let first = rig.ask(&["user=a"]);
        assert_eq!(
            (first.remaining(), first.statuses[0].reset_s),
            (vec![1], Some(left)),
            "{unit}"
        );
        assert_eq!(rig.passing("user=a"), 1, "{unit}");
        assert_eq!(rig.ask(&["slid=a"]).statuses[0].reset_s, Some(seconds), "{unit}");
        rig.after(left - 1);
        if left > 1 {
            assert!(rig.ask(&["user=a"]).over, "{unit}");
        }
        rig.after(1);
        assert_eq!(rig.passing("user=a"), 2, "{unit}");
    }
}

#[test]
fn all_limits_give_or_none() {
    let rig = Rig::new(TWO);
    let both = ["user=a", "tool=x"];
    assert_eq!(rig.ask(&both).remaining(), [4, 1]);
    assert_eq!(rig.ask(&both).remaining(), [3, 0]);
    for _ in 0..3 {
        let refused = rig.ask(&both);
        assert_eq!((refused.over, refused.overs()), (true, vec![false, true]));
        assert_eq!(refused.remaining(), [3, 0], "a refused request consumes nothing");
    }
    assert_eq!(rig.passing("user=a"), 3);
}

#[test]
fn hits_are_counted() {
    let rig = Rig::new(TWO);
    assert_eq!(rig.hits("user=a", 3).remaining(), [2]);
    let refused = rig.hits("user=a", 3);
    assert_eq!((refused.over, refused.remaining()), (true, vec![2]));
    assert_eq!(rig.hits("user=a", 2).remaining(), [0]);
    // More than the limit.
    let refused = rig.hits("user=b", 6);
    assert_eq!((refused.over, refused.remaining()), (true, vec![5]));
    assert_eq!(refused.statuses[0].reset_s, Some(60));
    assert!(rig.hits("user=b", u64::MAX).over);
    // A descriptor without hits has those of the request; 0 is 1.
    let descriptors = [
        descriptor("user=c"),
        Descriptor {
            hits: Some(1),
            ..descriptor("user=d")
        },
    ];
    assert_eq!(rig.ask_all(&descriptors, 4).remaining(), [1, 4]);
    assert_eq!(rig.ask_all(&descriptors, 0).remaining(), [0, 3]);
}

#[test]
fn no_hits_ask_whether_anything_is_left() {
    let rig = Rig::new(TWO);
    for _ in 0..3 {
        let seen = rig.hits("tool=x", 0);
        assert_eq!((seen.over, seen.remaining()), (false, vec![2]));
    }
    assert_eq!(rig.passing("tool=x"), 2);
    let seen = rig.hits("tool=x", 0);
    assert_eq!(
        (seen.over, seen.remaining(), seen.statuses[0].reset_s),
        (true, vec![0], Some(3_600))
    );
    // Its own hits are refused, too.
    let descriptors = [
        descriptor("user=a"),
        Descriptor {
            hits: Some(0),
            ..descriptor("tool=x")
        },
    ];
    assert_eq!(rig.ask_all(&descriptors, 0).overs(), [false, true]);
    assert_eq!(rig.passing("user=a"), 5);
}

#[test]
fn a_quota_of_nothing_refuses_everything() {
    let rig = Rig::new(
        "descriptors:
  - {key: banned, rate_limit: {unit: day, requests_per_unit: 0}}
  - {key: user, rate_limit: {unit: minute, requests_per_unit: 1}}
",
    );
    let refused = rig.ask(&["banned=a", "user=a"]);
    assert_eq!((refused.over, refused.overs()), (true, vec![true, false]));
    assert_eq!(
        (refused.remaining(), refused.statuses[0].reset_s),
        (vec![0, 1], Some(86_400))
    );
    assert!(rig.hits("banned=a", 0).over);
    assert_eq!(rig.passing("user=a"), 1);
}

#[test]
fn descriptors_with_one_count_add_up() {
    let rig = Rig::new(TWO);
    assert_eq!(rig.ask(&["user=a", "user=a"]).remaining(), [3, 3]);
    assert_eq!(rig.ask(&["user=a", "user=a"]).remaining(), [1, 1]);
    let refused = rig.ask(&["user=a", "user=a"]);
    assert_eq!(
        (refused.overs(), refused.remaining()),
        (vec![true, true], vec![1, 1])
    );
    assert!(!rig.ask(&["user=a"]).over);
}

#[test]
fn shadowed_limits_count_and_refuse_nothing() {
    let rig = Rig::new(
        "descriptors:
  - {key: watched, shadow_mode: true, rate_limit: {unit: minute, requests_per_unit: 1}}
  - {key: user, rate_limit: {unit: minute, requests_per_unit: 2}}
",
    );
    let both = ["watched=a", "user=a"];
    let shown = |seen: &super::AnswerView| (seen.over, seen.statuses[0].shadow, seen.remaining());
    assert_eq!(shown(&rig.ask(&both)), (false, false, vec![0, 1]));
    assert_eq!(shown(&rig.ask(&both)), (false, true, vec![0, 0]));
    let refused = rig.ask(&["watched=b", "user=a"]);
    assert_eq!(shown(&refused), (true, false, vec![1, 0]));
    assert_eq!(
        rig.ask(&["watched=b"]).remaining(),
        [0],
        "a refused request took nothing of it"
    );
    assert_eq!(shown(&rig.hits("watched=c", 2)), (false, true, vec![1]));
}

#[test]
fn refused_hits_are_counted_where_they_have_happened() {
    let rig = Rig::new(
        "descriptors:
  - {key: tokens, count_refused: true, rate_limit: {unit: minute, requests_per_unit: 100}}
  - {key: user, rate_limit: {unit: minute, requests_per_unit: 1}}
",
    );
    assert_eq!(rig.hits("tokens=a", 70).remaining(), [30]);
    let refused = rig.hits("tokens=a", 50);
    assert_eq!((refused.over, refused.remaining()), (true, vec![0]));
    assert!(rig.hits("tokens=a", 0).over);
    // Whichever limit refuses, and whatever is reported.
    assert!(!rig.ask(&["user=x"]).over);
    let hits = |hits| Descriptor {
        hits: Some(hits),
        ..descriptor("tokens=b")
    };
    let refused = rig.ask_all(&[hits(60), descriptor("user=x")], 0);
    assert_eq!(
        (refused.overs(), refused.remaining()),
        (vec![false, true], vec![40, 0])
    );
    assert_eq!(rig.hits("tokens=b", 1_000).remaining(), [0]);
}

#[test]
fn at_the_cap_new_counts_are_refused() {
    let text = format!("domain: d\n{TWO}");
    let rig = Rig::sized(&text, 2);
    assert!(!rig.ask(&["user=a", "tool=a"]).over);
    let refused = rig.ask(&["user=a", "tool=b"]);
    assert_eq!(
        (refused.overs(), refused.error),
        (vec![false, true], Some(RateError::Capacity))
    );
    assert_eq!(refused.statuses[1].reset_s, None);
    assert_eq!(rig.ask(&["user=a", "tool=a"]).remaining(), [3, 0]);
}

#[test]
fn a_panic_refuses() {
    let rig = Rig::new(TWO);
    let seen = rig.ask(&["user=a", &format!("{FORCED_PANIC_TOOL}=1")]);
    assert_eq!(
        (seen.overs(), seen.error),
        (vec![true, true], Some(RateError::Internal))
    );
    assert_eq!(rig.passing("user=a"), 5);
}

#[test]
fn overrides_slide_or_not_as_the_domain_says() {
    let mut rig = Rig::of("domain: d\nalign: calendar\n");
    assert!(!rig.overridden("a=b", 1, Unit::Minute).over);
    assert!(rig.overridden("a=b", 1, Unit::Minute).over);
    rig.after(60);
    let seen = rig.overridden("a=b", 1, Unit::Minute);
    assert_eq!((seen.over, seen.statuses[0].reset_s), (false, Some(60)));
}
