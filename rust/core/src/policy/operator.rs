//! Operators and their values (`docs/policy.md` section 3).

use super::address::{folder, host, network};
use super::ast::Op;
use super::fields::word;
use super::number::clamped_integer;
use super::read::{Content, Node, Read, quoted};
use crate::json::Constant;

/// Every operator's word.
pub(super) const WORDS: [&str; 22] = [
    "eq",
    "neq",
    "in",
    "not_in",
    "lt",
    "lte",
    "gt",
    "gte",
    "regex",
    "not_regex",
    "contains",
    "not_contains",
    "starts_with",
    "ends_with",
    "len_lt",
    "len_lte",
    "len_gt",
    "len_gte",
    "path_within",
    "host_in",
    "cidr_in",
    "exists",
];

/// The operator with the name in `op`, and its value.
pub(super) fn operator(op: &Node, value: &Node) -> Read<Op> {
    let name = WORDS.get(word(op, &WORDS)?).copied().unwrap_or_default();
    Ok(match name {
        "eq" => Op::Eq(value.constant()?),
        "neq" => Op::Neq(value.constant()?),
        "in" => Op::In(constants(name, value)?),
        "not_in" => Op::NotIn(constants(name, value)?),
        "lt" => Op::Lt(value.number("a number as value of `lt`")?),
        "lte" => Op::Lte(value.number("a number as value of `lte`")?),
        "gt" => Op::Gt(value.number("a number as value of `gt`")?),
        "gte" => Op::Gte(value.number("a number as value of `gte`")?),
        "regex" => Op::Regex(regex(value)?),
        "not_regex" => Op::NotRegex(regex(value)?),
        "contains" => Op::Contains(value.constant()?),
        "not_contains" => Op::NotContains(value.constant()?),
        "starts_with" => Op::StartsWith(value.string("a string as value of `starts_with`")?.to_owned()),
        "ends_with" => Op::EndsWith(value.string("a string as value of `ends_with`")?.to_owned()),
        "len_lt" => Op::LenLt(length(value)?),
        "len_lte" => Op::LenLte(length(value)?),
        "len_gt" => Op::LenGt(length(value)?),
        "len_gte" => Op::LenGte(length(value)?),
        "path_within" => Op::PathWithin(match &value.content {
            Content::String(_) => vec![folder(value)?],
            _ => not_empty(value, "an absolute path or a list of them")?
                .iter()
                .map(folder)
                .collect::<Read<_>>()?,
        }),
        "host_in" => Op::HostIn(
            not_empty(value, "a list of hosts")?
                .iter()
                .map(host)
                .collect::<Read<_>>()?,
        ),
        "cidr_in" => Op::CidrIn(
            not_empty(value, "a list of networks")?
                .iter()
                .map(network)
                .collect::<Read<_>>()?,
        ),
        _ => Op::Exists(value.boolean("`true` or `false` as value of `exists`")?),
    })
}

fn constants(name: &str, value: &Node) -> Read<Vec<Constant>> {
    not_empty(value, &format!("a list as value of `{name}`"))?
        .iter()
        .map(Node::constant)
        .collect()
}

fn not_empty<'n>(value: &'n Node, expected: &str) -> Read<&'n [Node]> {
    let elements = value.list(expected)?;
    if elements.is_empty() {
        return Err(value.error(format!("expected {expected}, got an empty one")));
    }
    Ok(elements)
}

fn length(value: &Node) -> Read<i64> {
    const EXPECTED: &str = "an integer as length";
    clamped_integer(&value.number(EXPECTED)?)
        .ok_or_else(|| value.error(format!("expected {EXPECTED}, got a fraction")))
}

fn regex(value: &Node) -> Read<regex::Regex> {
    let text = value.string("a regular expression as a string")?;
    regex::Regex::new(text).map_err(|error| {
        value.error(format!(
            "the regular expression {} does not compile: {}",
            quoted(text),
            reason(&error)
        ))
    })
}

/// The reason in one line: in the lines before it, the crate draws the expression and a caret.
fn reason(error: &regex::Error) -> String {
    match error {
        regex::Error::CompiledTooBig(limit) => {
            format!("it compiles to more than {limit} bytes; make it shorter")
        }
        other => {
            let text = other.to_string();
            let last = text.lines().last().unwrap_or_default();
            last.trim().trim_start_matches("error: ").to_owned()
        }
    }
}
