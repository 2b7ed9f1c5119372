//! Files of rate limits: those of envoyproxy/ratelimit, with a few fields of callgate (`docs/rate-limits.md`).

use hashbrown::HashSet;

use super::unit::{Align, Unit};
use crate::policy::fields::{Fields, word};
use crate::policy::number::clamped_integer;
use crate::policy::read::{Content, DocumentError, Node, Position, Read, locate, quoted, read};
use crate::policy::{PolicyError, Source};

const DOMAIN_FIELDS: [&str; 4] = ["domain", "align", "headers", "descriptors"];
const RULE_FIELDS: [&str; 7] = [
    "key",
    "value",
    "rate_limit",
    "descriptors",
    "shadow_mode",
    "share_threshold",
    "count_refused",
];
const LIMIT_FIELDS: [&str; 6] = [
    "unit",
    "requests_per_unit",
    "unlimited",
    "name",
    "replaces",
    "align",
];

/// Fields of envoyproxy/ratelimit that this format does not support, and the reasons.
const FOREIGN: [(&str, &str); 4] = [
    (
        "detailed_metric",
        "metrics are kept by domain, not by descriptor; remove it",
    ),
    (
        "value_to_metric",
        "metrics are kept by domain, not by descriptor; remove it",
    ),
    (
        "quota_mode",
        "every limit that is not in `shadow_mode` refuses by itself; remove it",
    ),
    ("metadata", "no dynamic metadata is sent; remove it"),
];

/// One file: a domain and its rules.
#[derive(Clone, Debug, PartialEq)]
pub struct Domain {
    /// Its name in requests.
    pub name: String,
    /// The file, for messages.
    pub file: String,
    /// The position of the name: line and column.
    pub at: (usize, usize),
    /// The alignment of overrides' windows, and the default of limits.
    pub align: Align,
    /// The answers that carry headers.
    pub headers: HeadersWhen,
    /// The rules of the first level.
    pub rules: Vec<Rule>,
}

/// The answers that carry headers for the client.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HeadersWhen {
    /// Refusals.
    #[default]
    Refused,
    /// All answers that a limit applied to.
    Always,
    /// No answers.
    Never,
}

/// One element of `descriptors`.
#[derive(Clone, Debug, PartialEq)]
pub struct Rule {
    /// The matched key.
    pub key: String,
    /// The matched value, with `*` for any characters; `None` for any value.
    pub value: Option<String>,
    /// The limit of descriptors that end here.
    pub limit: Option<LimitRule>,
    /// The rules for the next entry of longer descriptors.
    pub rules: Vec<Rule>,
    /// The limit counts but refuses nothing.
    pub shadow: bool,
    /// All values that the wildcard matches share one count.
    pub share: bool,
    /// Refused requests take their hits as well, as far as there is room.
    pub count_refused: bool,
}

/// A `rate_limit`.
#[derive(Clone, Debug, PartialEq)]
pub struct LimitRule {
    /// The maximum per unit; `None` for no limit.
    pub max: Option<(u32, Unit)>,
    /// The name for `replaces` and for answers; may be empty.
    pub name: String,
    /// Names of limits that this one replaces.
    pub replaces: Vec<String>,
    /// The alignment of its windows, if it has one of its own.
    pub align: Option<Align>,
}

/// Reads one file.
pub fn parse(source: &Source<'_>) -> Result<Domain, PolicyError> {
    read(source)
        .and_then(|document| domain(&document, source.name))
        .map_err(|error| locate(source, error))
}

fn domain(node: &Node, file: &str) -> Read<Domain> {
    let fields = Fields::of(node, "a file of rate limits", &DOMAIN_FIELDS)?;
    let name = fields.required("domain", "the name that requests have")?;
    let Position { line, column } = name.at;
    Ok(Domain {
        name: name.name("the name of the domain")?.to_owned(),
        file: file.to_owned(),
        at: (line, column),
        align: fields.get("align").map(align).transpose()?.unwrap_or_default(),
        headers: fields
            .get("headers")
            .map(headers)
            .transpose()?
            .unwrap_or_default(),
        rules: rules(&fields)?,
    })
}

fn align(node: &Node) -> Read<Align> {
    Ok(match word(node, &["sliding", "calendar"])? {
        0 => Align::Sliding,
        _ => Align::Calendar,
    })
}

fn headers(node: &Node) -> Read<HeadersWhen> {
    Ok(match word(node, &["refused", "always", "never"])? {
        0 => HeadersWhen::Refused,
        1 => HeadersWhen::Always,
        _ => HeadersWhen::Never,
    })
}

/// The rules of one level; each key and value may have only one.
fn rules(fields: &Fields<'_>) -> Read<Vec<Rule>> {
    let Some(list) = fields.get("descriptors") else {
        return Ok(Vec::new());
    };
    let mut seen = HashSet::new();
    let mut rules = Vec::new();
    for node in list.list("a list of descriptors")? {
        let rule = rule(node)?;
        if !seen.insert((rule.key.clone(), rule.value.clone())) {
            let value = match &rule.value {
                Some(value) => format!(" and the value {}", quoted(value)),
                None => " and no value".to_owned(),
            };
            return Err(node.error(format!(
                "a second descriptor with the key {}{value} on this level; keep one of them",
                quoted(&rule.key)
            )));
        }
        rules.push(rule);
    }
    Ok(rules)
}

fn rule(node: &Node) -> Read<Rule> {
    if let Content::Object(members) = &node.content {
        for member in members {
            if let Some((name, why)) = FOREIGN.iter().find(|(name, _)| *name == member.key) {
                return Err(DocumentError::at(
                    member.key_at,
                    format!("`{name}` is not supported: {why}"),
                ));
            }
        }
    }
    let fields = Fields::of(node, "a descriptor", &RULE_FIELDS)?;
    let key = text(
        fields.required("key", "the key that it matches")?,
        "the key that it matches",
    )?;
    if key.is_empty() {
        return Err(node.error("the `key` is empty, expected the key that it matches"));
    }
    let value = match fields.get("value") {
        Some(value) => text(value, "the value that it matches")?,
        None => "",
    };
    let share = flag(&fields, "share_threshold")?;
    if share && !value.contains('*') {
        return Err(
            node.error("`share_threshold` is about a `value` with `*`; remove it, or write such a value")
        );
    }
    let limit = fields.get("rate_limit").map(limit).transpose()?;
    let limited = limit.as_ref().is_some_and(|limit| limit.max.is_some());
    for name in ["shadow_mode", "count_refused"] {
        if flag(&fields, name)? && !limited {
            return Err(node.error(format!(
                "`{name}` is about a `rate_limit` of this descriptor, and it has none; remove it, or write it where the \
                 limit stands"
            )));
        }
    }
    Ok(Rule {
        key: key.to_owned(),
        value: (!value.is_empty()).then(|| value.to_owned()),
        limit,
        rules: rules(&fields)?,
        shadow: flag(&fields, "shadow_mode")?,
        share,
        count_refused: flag(&fields, "count_refused")?,
    })
}

fn limit(node: &Node) -> Read<LimitRule> {
    let fields = Fields::of(node, "a rate limit", &LIMIT_FIELDS)?;
    let unlimited = flag(&fields, "unlimited")?;
    let max = if unlimited {
        if let Some(member) = fields.first_of(&["unit", "requests_per_unit", "align"]) {
            return Err(DocumentError::at(
                member.key_at,
                format!(
                    "`{}` and `unlimited` exclude each other; keep one of them",
                    member.key
                ),
            ));
        }
        None
    } else {
        let unit = unit(fields.required(
            "unit",
            "`second`, `minute`, `hour`, `day`, `week`, `month` or `year`",
        )?)?;
        let number = fields.required("requests_per_unit", "a whole number, 0 to refuse everything")?;
        Some((whole(number)?, unit))
    };
    let name = match fields.get("name") {
        Some(name) => name.string("the name of the limit")?,
        None => "",
    };
    Ok(LimitRule {
        max,
        name: name.to_owned(),
        replaces: replaces(&fields, name)?,
        align: fields.get("align").map(align).transpose()?,
    })
}

fn replaces(fields: &Fields<'_>, own: &str) -> Read<Vec<String>> {
    let Some(list) = fields.get("replaces") else {
        return Ok(Vec::new());
    };
    let mut names = Vec::new();
    for node in list.list("a list such as `[{name: other}]`")? {
        let fields = Fields::of(node, "an element of `replaces`", &["name"])?;
        let name = fields.required("name", "the name of the limit that is replaced")?;
        let text = name.name("the name of the limit that is replaced")?;
        if text == own {
            return Err(name.error(format!(
                "the limit {} replaces itself; name another one",
                quoted(text)
            )));
        }
        names.push(text.to_owned());
    }
    Ok(names)
}

/// The unit; case is ignored.
fn unit(node: &Node) -> Read<Unit> {
    let text = node.string("a unit")?.to_ascii_lowercase();
    if let Some(unit) = Unit::ALL.into_iter().find(|unit| unit.as_str() == text) {
        return Ok(unit);
    }
    let index = word(node, &Unit::ALL.map(Unit::as_str))?;
    Ok(Unit::ALL.into_iter().nth(index).unwrap_or(Unit::Second))
}

fn whole(node: &Node) -> Read<u32> {
    const EXPECTED: &str = "a whole number from 0 to 4294967295";
    let number = clamped_integer(&node.number(EXPECTED)?);
    number
        .and_then(|number| u32::try_from(number).ok())
        .ok_or_else(|| match &node.content {
            Content::Number(text) => node.error(format!("expected {EXPECTED}, got {}", quoted(text))),
            _ => node.expected(EXPECTED),
        })
}

fn flag(fields: &Fields<'_>, name: &str) -> Read<bool> {
    fields
        .get(name)
        .map_or(Ok(false), |node| node.boolean("`true` or `false`"))
}

/// A string. A value that YAML reads as another type must be quoted, because its original text is lost.
fn text<'n>(node: &'n Node, expected: &str) -> Read<&'n str> {
    match &node.content {
        Content::String(text) => Ok(text),
        Content::Number(number) => Err(node.error(format!(
            "expected {expected} as a string, got a number; put it in quotes, such as `\"{number}\"`"
        ))),
        Content::Bool(value) => Err(node.error(format!(
            "expected {expected} as a string, got a boolean; put it in quotes, such as `\"{value}\"`"
        ))),
        _ => Err(node.expected(expected)),
    }
}
