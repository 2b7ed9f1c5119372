//! Reading any bytes ends with a policy or an error, never with a panic.

use proptest::prelude::*;

use super::super::{Catalogue, Format, Source, parse};

const VALID: &str = r#"{"version":"1","default":"deny","mode":"shadow","hide":["delete_*"],"x-a":[1,{"b":null}],
"all_tools":{"limits":[{"counter":"calls","window":"minute","max":300,"scope":["grant","args.a[0]"]}]},
"categories":{"Financial":{"action":"require_approval","approval":{"timeout":"1h"}},"Destructive":{"hide":true}},
"tools":{"c_?":{"require":[{"conditions":[{"path":"args.c[*].d","op":"in","value":["usd","eur"]}]}],
"deny_if":[{"conditions":[{"any":[{"path":"args.u","op":"host_in","value":["*.example.com"]},
{"not":{"path":"args.ip","op":"cidr_in","value":["10.0.0.0/8"]}}]}],"on_deny":"no"}],
"schema":{"properties":{"a":{"pattern":"^a+$"}}},"rate_limit":"5/hour"}}}"#;

fn read_all(bytes: &[u8]) {
    for format in [Format::Json, Format::Yaml] {
        let source = Source {
            name: "p",
            stem: "p",
            format,
            bytes,
        };
        if let Err(error) = parse(&source) {
            assert!(error.line > 0 && error.column > 0, "{error}");
            assert!(
                !error.message.is_empty() && !error.message.contains('\n'),
                "{error}"
            );
        }
        let _ = Catalogue::parse(&source);
    }
}

proptest! {
    #[test]
    fn any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        read_all(&bytes);
    }

    #[test]
    fn any_text(text in "[ -~\n\téあ𝄞]{0,200}") {
        read_all(text.as_bytes());
    }

    #[test]
    fn a_valid_document_with_bytes_changed(
        edits in proptest::collection::vec((0..VALID.len(), any::<u8>()), 1..4),
        end in 0..=VALID.len(),
        cut in any::<bool>(),
    ) {
        let mut bytes = VALID.as_bytes().to_vec();
        for (at, byte) in edits {
            bytes[at] = byte;
        }
        if cut {
            bytes.truncate(end);
        }
        read_all(&bytes);
    }

    #[test]
    fn a_valid_document_with_values_swapped(from in 0..VALID.len(), to in 0..VALID.len(), length in 1..30usize) {
        let mut text: Vec<u8> = VALID.as_bytes().to_vec();
        let part = VALID.as_bytes()[from..(from + length).min(VALID.len())].to_vec();
        let end = (to + part.len()).min(text.len());
        text.splice(to..end, part);
        read_all(&text);
    }
}

#[test]
fn the_document_that_is_mutated_loads() {
    let source = Source {
        name: "p",
        stem: "p",
        format: Format::Json,
        bytes: VALID.as_bytes(),
    };
    assert!(parse(&source).is_ok(), "{:?}", parse(&source));
}
