//! The document `freeze.json` (`docs/operations.md`, Freeze).

use super::instant::{self, EXPECTED};
use super::{Freeze, FreezeScope};
use crate::policy::fields::Fields;
use crate::policy::read::{Node, Read, locate, read};
use crate::policy::{Format, PolicyError, Source};

const FIELDS: [&str; 2] = ["version", "freezes"];
const ROW_FIELDS: [&str; 7] = ["server", "tool", "grant", "reason", "until", "at", "by"];

/// The most freezes of one document: each pattern of tools is tried for the calls at its server.
const MOST_ROWS: usize = 1_000;

/// One row of the document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FreezeRow {
    /// The freeze.
    pub freeze: Freeze,
    /// The time at which it was written, in Unix microseconds.
    pub at_us: u64,
    /// The operating system's user who wrote it.
    pub by: String,
}

/// Reads a document of freezes, whose name is for messages alone.
pub fn parse(name: &str, bytes: &[u8]) -> Result<Vec<FreezeRow>, PolicyError> {
    let source = Source {
        name,
        stem: "",
        format: Format::Json,
        bytes,
    };
    read(&source)
        .and_then(|document| rows(&document))
        .map_err(|error| locate(&source, error))
}

fn rows(node: &Node) -> Read<Vec<FreezeRow>> {
    let fields = Fields::of(node, "a file of freezes", &FIELDS)?;
    let version = fields.required("version", "the string `\"1\"`")?;
    if version.string("the string `\"1\"`")? != "1" {
        return Err(version.error("expected the version `\"1\"`; a newer callgate has written this file"));
    }
    let list = fields
        .required("freezes", "a list of freezes")?
        .list("a list of freezes")?;
    if let Some(extra) = list.get(MOST_ROWS) {
        return Err(extra.error(format!(
            "expected at most {MOST_ROWS} freezes; freeze a server, or all calls"
        )));
    }
    list.iter().map(row).collect()
}

fn row(node: &Node) -> Read<FreezeRow> {
    let fields = Fields::of(node, "a freeze", &ROW_FIELDS)?;
    let name = |field: &str, expected: &str| fields.get(field).map(|name| name.name(expected)).transpose();
    let scope = FreezeScope::new(
        name("server", "the name of a server")?,
        name("tool", "the name of a tool or a pattern")?,
        name("grant", "the id of a grant")?,
    );
    let reason = fields.required("reason", "a text that callers read")?;
    let until = fields.get("until").map(time).transpose()?;
    let freeze = Freeze::new(
        scope.map_err(|fault| node.error(fault))?,
        reason.string("a text that callers read")?,
        until,
    );
    Ok(FreezeRow {
        freeze: freeze.map_err(|fault| reason.error(fault))?,
        at_us: time(fields.required("at", EXPECTED)?)?,
        by: fields
            .required("by", "the user who wrote it")?
            .string("the user who wrote it")?
            .to_owned(),
    })
}

fn time(node: &Node) -> Read<u64> {
    let text = node.string(EXPECTED)?;
    instant::parse(text).ok_or_else(|| {
        let shown = crate::policy::read::quoted(text);
        node.error(format!("expected {EXPECTED}, got {shown}"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_read() {
        let document = br#"{"version": "1", "freezes": [
            {"reason": "a", "at": "2026-11-23T16:00:00Z", "by": "ada"},
            {"server": "aws", "reason": "b", "at": "2026-11-23T16:00:00Z", "by": "ada"},
            {"grant": "ci", "reason": "c", "at": "2026-11-23T16:00:00Z", "by": "ada"},
            {"server": "aws", "tool": "create-*", "reason": "d", "until": "2026-11-23T16:00:01.5Z",
             "at": "2026-11-23T16:00:00Z", "by": "ada", "x-ticket": 7}
        ]}"#;
        let rows = parse("freeze.json", document).unwrap();
        let seen: Vec<_> = rows
            .iter()
            .map(|row| {
                let scope = row.freeze.scope();
                let names = (scope.server(), scope.tool(), scope.grant());
                (scope.kind(), names, row.freeze.reason(), row.freeze.until_us())
            })
            .collect();
        assert_eq!(
            seen,
            [
                ("all", (None, None, None), "a", None),
                ("server", (Some("aws"), None, None), "b", None),
                ("grant", (None, None, Some("ci")), "c", None),
                (
                    "tool",
                    (Some("aws"), Some("create-*"), None),
                    "d",
                    Some(1_795_449_601_500_000)
                ),
            ]
        );
        assert!(
            rows.iter()
                .all(|row| row.at_us == 1_795_449_600_000_000 && row.by == "ada")
        );
        assert_eq!(
            parse("freeze.json", br#"{"version": "1", "freezes": []}"#),
            Ok(Vec::new())
        );
    }

    #[test]
    fn faults_have_their_place() {
        let row = |row: &str| format!(r#"{{"version": "1", "freezes": [{row}]}}"#);
        let rest = r#""reason": "r", "at": "2026-11-23T16:00:00Z", "by": "ada""#;
        for (document, fault) in [
            (String::new(), "1:1: the document is empty, expected an object"),
            ("{".to_owned(), "1:2: not JSON: expected a key in quotes"),
            (
                "[]".to_owned(),
                "1:1: expected a file of freezes as an object, got a list",
            ),
            (
                r#"{"freezes": []}"#.to_owned(),
                "1:1: a file of freezes needs the field `version`: the string `\"1\"`",
            ),
            (
                r#"{"version": "2", "freezes": []}"#.to_owned(),
                "1:13: expected the version `\"1\"`; a newer callgate has written this file",
            ),
            (
                row(&format!(r#"{{"tool": "t", {rest}}}"#)),
                "1:30: `tool` needs `server`, expected the server that offers the tool",
            ),
            (
                row(&format!(r#"{{"server": "s", "grant": "g", {rest}}}"#)),
                "1:30: `grant` beside `server`, expected one of them; write two freezes",
            ),
            (
                row(&format!(r#"{{"server": "", {rest}}}"#)),
                "1:41: expected the name of a server, got an empty string",
            ),
            (
                row(&format!(r#"{{"server": "s", "tool": "a\\", {rest}}}"#)),
                "1:30: `tool`: `a\\` ends in a lone `\\`, which escapes nothing; write `\\\\` for a backslash",
            ),
            (
                row(r#"{"reason": " ", "at": "2026-11-23T16:00:00Z", "by": "ada"}"#),
                "1:41: `reason`: expected a text that is not empty; callers read it",
            ),
            (
                row(&format!(r#"{{"until": "tomorrow", {rest}}}"#)),
                "1:40: expected a time in UTC such as `2026-11-23T16:00:00Z`, got `tomorrow`",
            ),
            (
                row(&format!(r#"{{"sever": "s", {rest}}}"#)),
                "1:31: unknown field `sever` in a freeze; did you mean `server`?",
            ),
        ] {
            let error = parse("f", document.as_bytes()).unwrap_err();
            assert_eq!(error.to_string(), format!("f:{fault}"), "{document}");
        }
        let many = vec![format!("{{{rest}}}"); MOST_ROWS + 1].join(",");
        let error = parse("f", row(&many).as_bytes()).unwrap_err();
        assert_eq!(
            error.message,
            "expected at most 1000 freezes; freeze a server, or all calls"
        );
    }
}
