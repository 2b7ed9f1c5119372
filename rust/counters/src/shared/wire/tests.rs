use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::Period;

fn wanted() -> impl Strategy<Value = Wanted> {
    let window = prop_oneof![
        any::<u64>().prop_map(|window_us| Window::Sliding { window_us }),
        (0..Period::ALL.len()).prop_map(|index| Window::Calendar(Period::ALL[index])),
    ];
    (
        any::<u128>(),
        window,
        any::<u64>(),
        any::<bool>(),
        any::<u64>(),
        any::<bool>(),
    )
        .prop_map(|(key, window, max, whole_units, cost, beyond)| Wanted {
            key: CountKey(key),
            shape: CountShape {
                window,
                max: Micros(max),
                whole_units,
                sharing: crate::Sharing::Local,
            },
            cost: Micros(cost),
            beyond,
        })
}

fn now() -> impl Strategy<Value = Now> {
    (any::<u64>(), any::<i64>()).prop_map(|(boot_ns, unix_offset_us)| Now {
        boot_ns,
        unix_offset_us,
    })
}

proptest! {
    #[test]
    fn questions_come_back_as_they_went(
        now in now(), wanted in vec(wanted(), 0..20), owner in ".{0,40}", until_us: u64,
    ) {
        let request = Request::Take { now, owner, wanted, until_us };
        let mut received = frame_one(&request).unwrap();
        // A part of the next one has come as well.
        received.extend_from_slice(&[9, 0]);
        let message = take_frame(&mut received).unwrap().unwrap();
        prop_assert_eq!(read::<Request>(&message), Ok(request));
        prop_assert_eq!(received, [9, 0]);
    }

    #[test]
    fn any_bytes_are_read_without_harm(bytes in vec(any::<u8>(), 0..300)) {
        let _ = read::<Request>(&bytes);
        let _ = read::<Answer>(&bytes);
        let _ = read::<Greeting>(&bytes);
        let _ = Preamble::of(&bytes);
        let mut received = bytes;
        let _ = take_frame(&mut received);
    }

    #[test]
    fn a_message_that_is_cut_or_continued_is_none(now in now(), wanted in vec(wanted(), 1..5), cut in 0_usize..40) {
        let mut whole = frame_one(&Request::Look { now, wanted }).unwrap().split_off(LENGTH_BYTES);
        whole.push(0);
        prop_assert!(read::<Request>(&whole).is_err());
        whole.truncate(whole.len().saturating_sub(2 + cut));
        prop_assert!(read::<Request>(&whole).is_err());
    }

    #[test]
    fn demands_are_those_that_a_policy_can_have(wanted in vec(wanted(), 0..5)) {
        for demand in demands(&wanted).unwrap_or_default() {
            let is_within = demand.cost <= demand.shape.max && !demand.beyond;
            prop_assert!(is_within || !demand.shape.whole_units);
        }
    }
}

#[test]
fn a_length_beyond_the_bound_is_refused_at_once() {
    let mut received = u32::try_from(LONGEST + 1).unwrap().to_le_bytes().to_vec();
    assert_eq!(take_frame(&mut received), Err(Malformed));
    assert_eq!(frame_one(&vec![1_u8; LONGEST + 1]), Err(Malformed));
    let mut half = u32::try_from(LONGEST).unwrap().to_le_bytes().to_vec();
    assert_eq!(take_frame(&mut half), Ok(None));
}

#[test]
fn one_count_is_not_wanted_twice() {
    let one = Wanted {
        key: CountKey(1),
        shape: CountShape {
            window: Window::Calendar(Period::Day),
            max: Micros(2),
            whole_units: true,
            sharing: crate::Sharing::Local,
        },
        cost: Micros(1),
        beyond: false,
    };
    assert_eq!(demands(&[one]).map(|demands| demands.len()), Some(1));
    assert!(demands(&[one, one]).is_none());
    let dear = Wanted {
        cost: Micros(3),
        ..one
    };
    assert!(demands(&[dear]).is_none());
    assert!(
        demands(&[Wanted { beyond: true, ..one }]).is_none(),
        "slots hold no more"
    );
    let ledger = CountShape {
        whole_units: false,
        sharing: crate::Sharing::Local,
        ..one.shape
    };
    let passing = [dear, Wanted { beyond: true, ..dear }].map(|wanted| Wanted {
        shape: ledger,
        ..wanted
    });
    for wanted in passing {
        assert_eq!(
            demands(&[wanted]).map(|demands| demands[0].beyond),
            Some(wanted.beyond)
        );
    }
}

/// If this fails, the messages have changed: then [`VERSION`] has to change as well.
#[test]
fn the_bytes_of_this_version() {
    let request = Request::Take {
        now: Now {
            boot_ns: 1,
            unix_offset_us: -1,
        },
        owner: "g".to_owned(),
        wanted: vec![Wanted {
            key: CountKey(2),
            shape: CountShape {
                window: Window::Sliding { window_us: 3 },
                max: Micros(4),
                whole_units: true,
                sharing: crate::Sharing::Local,
            },
            cost: Micros(5),
            beyond: false,
        }],
        until_us: 6,
    };
    let framed = frame(&Preamble::OURS, &request).unwrap();
    let bytes = b"cg-count\x02\x02\x01\x01\x01g\x01\x02\x00\x03\x04\x01\x00\x05\x00\x06";
    assert_eq!(framed[LENGTH_BYTES..], *bytes);
    let answer = Answer::Taken {
        stamp_us: 1,
        counts: vec![(
            View::default(),
            Some(Stamp {
                stamp_us: 2,
                written: Some((3, 4)),
            }),
        )],
    };
    let framed = frame_one(&answer).unwrap();
    assert_eq!(
        framed[LENGTH_BYTES..],
        *b"\x01\x01\x01\0\0\0\0\0\x01\x02\x01\x03\x04"
    );
    let identity = Identity {
        hash_key: [1; 16],
        shift_us: -1,
        resets: vec![(7, [0; 7])],
    };
    let framed = frame(&Preamble::OURS, &Greeting::Welcome(identity)).unwrap();
    let bytes = b"cg-count\x02\0\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x07\0\0\0\0\0\0\0";
    assert_eq!(framed[LENGTH_BYTES..], *bytes);
}
