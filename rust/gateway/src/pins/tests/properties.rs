//! Properties of pins that hold for any names and definitions of tools.

use std::fmt::Write as _;

use callgate_core::json::write_string;
use proptest::prelude::*;

use super::*;

/// The members of a tool, any of which may hold any text.
#[derive(Clone, Debug)]
struct Said {
    name: String,
    members: Vec<(String, String)>,
}

impl Said {
    /// Writes the definition as JSON; the order of members and the escapes beyond ASCII are arguments.
    fn json(&self, is_reversed: bool, is_escaped: bool) -> String {
        let mut members = self.members.clone();
        members.push(("name".to_owned(), quoted(&self.name)));
        if is_reversed {
            members.reverse();
        }
        let members: Vec<String> = members
            .iter()
            .map(|(key, value)| format!("{} : {value}", quoted(key)))
            .collect();
        let text = format!("{{{}}}", members.join(" ,\n"));
        if is_escaped { escaped(&text) } else { text }
    }
}

fn quoted(text: &str) -> String {
    let mut out = String::new();
    write_string(text, &mut out);
    out
}

fn escaped(text: &str) -> String {
    let mut out = String::new();
    for unit in text.encode_utf16() {
        match u8::try_from(unit) {
            Ok(byte) if byte.is_ascii() => out.push(char::from(byte)),
            _ => write!(out, "\\u{unit:04x}").expect("a string takes everything"),
        }
    }
    out
}

fn said() -> impl Strategy<Value = Said> {
    let value = prop_oneof![
        any::<String>().prop_map(|text| quoted(&text)),
        any::<i64>().prop_map(|number| number.to_string()),
        any::<String>().prop_map(|text| format!("{{\"type\":[1.50,{}]}}", quoted(&text))),
    ];
    // What looks like `name` to some reader is taken out of lists, and what stands twice is refused.
    let key = any::<String>().prop_map(|key| format!("x-{key}"));
    let members = prop::collection::hash_map(key, value, 0..4);
    (any::<String>(), members).prop_map(|(name, members)| Said {
        name,
        members: members.into_iter().collect(),
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_is_written_is_read(server in any::<String>(), one in said(), other in said()) {
        prop_assume!(one.name != other.name);
        let place = Place::new();
        let opened = |place: &Place| place.pins.server(&server, Endpoint::url(URL), Mode::Enforce);
        let before = opened(&place).expect("there is none");
        list(&before, &[one.json(false, false)]);
        list(&before, &[one.json(true, true), other.json(false, true)]);
        prop_assert_eq!(before.state(&one.name), State::Pinned, "it was only spelled in another way");
        place.sync();
        let again = place.opened_again();
        let after = opened(&again).expect("it was written");
        prop_assert_eq!(after.state(&one.name), State::Pinned);
        prop_assert_eq!(after.state(&other.name), State::New);
        let seen = list(&after, &[one.json(true, false)]);
        prop_assert_eq!((seen.shows(&one.name), changes(&seen)), (true, vec![]), "it is the one that was accepted");
        let reviewed = review::read(&place.path(), None).expect("readable");
        prop_assert_eq!(reviewed.len(), 1);
        prop_assert_eq!(&reviewed[0].name, &server);
        let mut tape = Tape::new();
        for tool in &reviewed[0].tools {
            let record = &tool.listed.last().or(tool.pinned.last()).expect("one of the two").record;
            for (key, text) in record.definition.members().expect("it is JSON") {
                prop_assert!(key.starts_with("x-") || key == "name");
                prop_assert!(tape.parse(text.as_bytes(), 64).is_ok(), "{}", text);
            }
        }
    }
}
