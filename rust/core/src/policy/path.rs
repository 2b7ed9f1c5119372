//! Paths: `args.items[*].price`, `grant.labels.team`, `time.hour` (`docs/policy.md` section 3).

use super::ast::{Path, Root, Step};
use super::read::{Node, Read, quoted};
use crate::nearest::probable;

/// The roots of paths; `grant.labels.<k>` and `args` are followed by steps.
const ROOTS: [&str; 9] = [
    "args",
    "tool",
    "server",
    "session",
    "grant.id",
    "category",
    "risk",
    "time.hour",
    "time.weekday",
];

/// Reads a path with any root.
pub(super) fn path(node: &Node) -> Read<Path> {
    let text = node.string("a path such as `args.amount`")?;
    parse(text).map_err(|error| {
        node.error(format!(
            "bad path {} at character {}: {}",
            quoted(text),
            error.character,
            error.message
        ))
    })
}

/// Reads a path below `args`.
pub(super) fn argument_path(node: &Node) -> Read<Path> {
    let path = path(node)?;
    if path.root != Root::Args {
        return Err(node.error(format!(
            "expected a path that begins with `args`, got {}",
            quoted(&path.text)
        )));
    }
    Ok(path)
}

/// Reads a path below `args` from its text alone; `None` for any other text.
pub(crate) fn parse_argument_path(text: &str) -> Option<Path> {
    parse(text).ok().filter(|path| path.root == Root::Args)
}

/// Reads a path to one value below `args`: neither `args` itself nor a path with `[*]`.
pub(super) fn single_argument_path(node: &Node, what: &str) -> Read<Path> {
    let path = argument_path(node)?;
    if path.steps.is_empty() {
        return Err(node.error(format!(
            "{what} must be one argument such as `args.amount`, not all of `args`"
        )));
    }
    if path.steps.contains(&Step::Every) {
        return Err(node.error(format!(
            "{what} must be one value, but {} holds `[*]`; name one element",
            quoted(&path.text)
        )));
    }
    Ok(path)
}

/// The fault of a path and its place.
#[derive(Debug, PartialEq, Eq)]
struct PathError {
    /// From 1.
    character: usize,
    message: String,
}

fn parse(text: &str) -> Result<Path, PathError> {
    let mut steps = Steps { text, rest: text };
    let (root, steps) = if let Some(rest) = after_root(text, "args") {
        steps.rest = rest;
        (Root::Args, steps.all()?)
    } else if let Some(rest) = after_root(text, "grant.labels") {
        steps.rest = rest;
        match (steps.all()?.as_slice(), rest) {
            ([Step::Key(label)], _) => (Root::GrantLabel(label.clone()), Vec::new()),
            ([], _) => return Err(steps.error("expected a label, as in `grant.labels.team`")),
            ([Step::Key(_), Step::Key(_), ..], rest) if rest.starts_with('.') => {
                let label = rest.trim_start_matches('.');
                let hint = format!(
                    "a label has no parts; if its name is {0}, write `grant.labels[\"{label}\"]`",
                    quoted(label)
                );
                return Err(steps.error(&hint));
            }
            _ => return Err(steps.error("expected one label, as in `grant.labels.team`")),
        }
    } else {
        (fixed_root(text)?, Vec::new())
    };
    Ok(Path {
        text: text.to_owned(),
        root,
        steps,
    })
}

/// The text after a root that takes steps.
fn after_root<'t>(text: &'t str, root: &str) -> Option<&'t str> {
    text.strip_prefix(root)
        .filter(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
}

fn fixed_root(text: &str) -> Result<Root, PathError> {
    Ok(match text {
        "tool" => Root::Tool,
        "server" => Root::Server,
        "session" => Root::Session,
        "grant.id" => Root::GrantId,
        "category" => Root::Category,
        "risk" => Root::Risk,
        "time.hour" => Root::Hour,
        "time.weekday" => Root::Weekday,
        _ => return Err(unknown_root(text)),
    })
}

fn unknown_root(text: &str) -> PathError {
    let error = |character, message| PathError { character, message };
    if text.is_empty() {
        return error(1, "it is empty, expected e.g. `args.amount`".to_owned());
    }
    for root in ROOTS {
        if let Some(rest) = text.strip_prefix(root)
            && rest.starts_with(['.', '['])
        {
            return error(root.chars().count() + 1, format!("`{root}` has no parts"));
        }
    }
    let first = text.split(['.', '[']).next().unwrap_or(text);
    if first == "grant" {
        let message = "of a grant there are `grant.id` and `grant.labels.<name>`".to_owned();
        return error(6, message);
    }
    let message = match probable(text, &ROOTS).or_else(|| probable(first, &ROOTS)) {
        Some(meant) => format!("nothing is called {}; did you mean `{meant}`?", quoted(text)),
        None => format!(
            "a path begins with `args`, `tool`, `server`, `session`, `grant.id`, `grant.labels`, `category`, `risk`, \
             `time.hour` or `time.weekday`; an argument is written {}",
            quoted(&format!("args.{text}"))
        ),
    };
    error(1, message)
}

/// Reads the steps of a path from left to right.
struct Steps<'t> {
    text: &'t str,
    rest: &'t str,
}

impl Steps<'_> {
    fn all(&mut self) -> Result<Vec<Step>, PathError> {
        let mut steps = Vec::new();
        while !self.rest.is_empty() {
            steps.push(self.step()?);
        }
        Ok(steps)
    }

    fn step(&mut self) -> Result<Step, PathError> {
        if let Some(rest) = self.rest.strip_prefix('.') {
            self.rest = rest;
            let end = rest.find(['.', '[', ']', '"']).unwrap_or(rest.len());
            if end == 0 {
                return Err(self.error("expected a key; other keys go in quotes: `[\"a.b\"]`"));
            }
            let (key, rest) = rest.split_at(end);
            self.rest = rest;
            return Ok(Step::Key(key.to_owned()));
        }
        let Some(rest) = self.rest.strip_prefix('[') else {
            return Err(self.error("expected `.` or `[`"));
        };
        self.rest = rest;
        let step = if let Some(rest) = rest.strip_prefix('*') {
            self.rest = rest;
            Step::Every
        } else if rest.starts_with('"') {
            Step::Key(self.quoted_key()?)
        } else {
            Step::Index(self.index()?)
        };
        let Some(rest) = self.rest.strip_prefix(']') else {
            return Err(self.error("expected `]`"));
        };
        self.rest = rest;
        Ok(step)
    }

    fn index(&mut self) -> Result<usize, PathError> {
        let end = self
            .rest
            .find(|character: char| !character.is_ascii_digit())
            .unwrap_or(self.rest.len());
        let (digits, rest) = self.rest.split_at(end);
        if digits.is_empty() {
            return Err(self.error("expected an index, `*` or a key in double quotes"));
        }
        if digits.len() > 1 && digits.starts_with('0') {
            return Err(self.error("an index has no leading zero"));
        }
        let index = digits.parse().map_err(|_| self.error("the index is too large"))?;
        self.rest = rest;
        Ok(index)
    }

    /// A key in double quotes, escaped as in JSON.
    fn quoted_key(&mut self) -> Result<String, PathError> {
        let mut escaped = false;
        let close = self.rest.char_indices().skip(1).find(|&(_, character)| {
            let closes = character == '"' && !escaped;
            escaped = character == '\\' && !escaped;
            closes
        });
        let Some((close, _)) = close else {
            return Err(self.error("the quoted key has no end, expected `\"]`"));
        };
        let (literal, rest) = self.rest.split_at(close + 1);
        let key = serde_json::from_str(literal)
            .map_err(|_| self.error("the quoted key is not a JSON string; escape `\\` as `\\\\`"))?;
        self.rest = rest;
        Ok(key)
    }

    fn error(&self, message: &str) -> PathError {
        let consumed = self.text.len() - self.rest.len();
        let character = self.text.get(..consumed).unwrap_or(self.text).chars().count() + 1;
        PathError {
            character,
            message: message.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(text: &str) -> Step {
        Step::Key(text.to_owned())
    }

    #[test]
    fn steps() {
        for (text, steps) in [
            ("args", vec![]),
            ("args.a.b", vec![key("a"), key("b")]),
            ("args.items[0]", vec![key("items"), Step::Index(0)]),
            (
                "args.items[*].price",
                vec![key("items"), Step::Every, key("price")],
            ),
            ("args[\"a.b\"]", vec![key("a.b")]),
            ("args[\"a\\\"b\"][\"\"]", vec![key("a\"b"), key("")]),
            ("args[\"]\"].x", vec![key("]"), key("x")]),
            ("args.größe.a b", vec![key("größe"), key("a b")]),
            ("args.*", vec![key("*")]),
            ("args.a[12][3]", vec![key("a"), Step::Index(12), Step::Index(3)]),
        ] {
            let path = parse(text).unwrap();
            assert_eq!((path.root, path.steps), (Root::Args, steps), "{text}");
            assert_eq!(path.text, text);
        }
    }

    #[test]
    fn roots() {
        for (text, root) in [
            ("tool", Root::Tool),
            ("server", Root::Server),
            ("session", Root::Session),
            ("grant.id", Root::GrantId),
            ("grant.labels.team", Root::GrantLabel("team".to_owned())),
            (
                "grant.labels[\"app.io/name\"]",
                Root::GrantLabel("app.io/name".to_owned()),
            ),
            ("category", Root::Category),
            ("risk", Root::Risk),
            ("time.hour", Root::Hour),
            ("time.weekday", Root::Weekday),
        ] {
            let path = parse(text).unwrap();
            assert_eq!((path.root, path.steps), (root, vec![]), "{text}");
        }
    }

    #[test]
    fn faults_say_where() {
        for (text, character, message) in [
            ("", 1, "it is empty"),
            ("args.", 6, "expected a key"),
            ("args..a", 6, "expected a key"),
            ("args.a]", 7, "expected `.` or `[`"),
            ("args.a\"b", 7, "expected `.` or `[`"),
            ("args[", 6, "expected an index"),
            ("args[-1]", 6, "expected an index"),
            ("args[01]", 6, "no leading zero"),
            ("args[99999999999999999999]", 6, "too large"),
            ("args[0", 7, "expected `]`"),
            ("args[\"a]", 6, "has no end"),
            ("args[\"\\x\"]", 6, "not a JSON string"),
            ("args[\"a\"]b", 10, "expected `.` or `[`"),
            ("args['a']", 6, "expected an index"),
            ("args.é..x", 8, "expected a key"),
            ("grant.labels", 13, "expected a label"),
            ("grant.labels.a.b", 17, "write `grant.labels[\"a.b\"]`"),
            ("grant.labels[0]", 16, "expected one label"),
            ("grant.name", 6, "there are `grant.id` and `grant.labels.<name>`"),
            ("grant", 6, "there are `grant.id` and `grant.labels.<name>`"),
            ("tool.name", 5, "`tool` has no parts"),
            ("time.hours", 1, "did you mean `time.hour`?"),
            ("arg.amount", 1, "did you mean `args`?"),
            ("amount", 1, "an argument is written `args.amount`"),
        ] {
            let error = parse(text).unwrap_err();
            assert_eq!(error.character, character, "{text}: {}", error.message);
            assert!(error.message.contains(message), "{text}: {}", error.message);
        }
    }
}
