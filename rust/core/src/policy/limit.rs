//! Limits (`docs/policy.md` section 4).

use std::cmp::Ordering;

use callgate_counters::{Micros, Sharing, Window};

use super::ast::{Cost, Limit, Scope};
use super::collected::Collected;
use super::conflict::order_of_scopes;
use super::fields::{Fields, listed, word};
use super::number::scaled;
use super::path::single_argument_path;
use super::read::{Content, Node, Position, Read, quoted};
use super::window;
use crate::decision::Outcome;
use crate::json::Decimal;
use crate::nearest::did_you_mean;

const FIELDS: [&str; 10] = [
    "counter",
    "window",
    "max",
    "scope",
    "cost",
    "align",
    "on_deny",
    "on_store_failure",
    "at_max",
    "shared",
];

/// The largest `max`: counts are exact to a millionth of a unit in 64 bits, with room for one cost on top.
const LARGEST_MAX: u128 = 9_000_000_000_000;

/// The largest `cost`.
const LARGEST_COST: u128 = 1_000_000_000_000;

const MICROS: u128 = 1_000_000;

/// A limit and the position of its `max`.
pub(super) struct PlacedLimit {
    pub(super) limit: Limit,
    pub(super) at: Position,
    /// The places of the fields that are for a shared store, as far as they are given.
    pub(super) for_store_at: Vec<(&'static str, Position)>,
}

/// One element of `limits`; `None` if it has a fault.
pub(super) fn limit(node: &Node, collected: &mut Collected) -> Option<PlacedLimit> {
    let fields = Fields::collect(node, "a limit", &FIELDS, collected)?;
    let counter = fields
        .required("counter", "the name of the count")
        .and_then(|node| node.name("the name of the count"));
    let counter = collected.read(counter);
    let align = fields
        .get("align")
        .map(|align| word(align, &["sliding", "calendar"]));
    let align = collected.read(align.transpose());
    let window_node = collected.read(fields.required("window", "how long units stay taken"));
    // The words that a window may have depend on `align`.
    let window = window_node.zip(align).and_then(|(node, align)| {
        collected.read(if align == Some(1) {
            window::calendar(node)
        } else {
            window::sliding(node)
        })
    });
    let max_node = collected.read(fields.required("max", "units per window"));
    let max = max_node.and_then(|node| collected.read(max(node)));
    let scope = collected.read(fields.get("scope").map(scope).transpose());
    let cost = collected.read(fields.get("cost").map(cost).transpose());
    let on_deny = fields.get("on_deny").map(|node| node.string("a message"));
    let on_deny = collected.read(on_deny.transpose());
    let on_store_failure = fields
        .get("on_store_failure")
        .map(|node| word(node, &["deny", "allow"]));
    let on_store_failure = collected.read(on_store_failure.transpose());
    let at_max = fields.get("at_max").map(|node| word(node, &["require_approval"]));
    let at_max = collected.read(at_max.transpose());
    let asks_at_max = at_max.is_some_and(|word| word.is_some());
    let shared = collected.read(
        fields
            .get("shared")
            .map(|node| shared(node, asks_at_max))
            .transpose(),
    );
    Some(PlacedLimit {
        limit: Limit {
            counter: counter?.to_owned(),
            window: window?,
            max: max?,
            scope: scope?.unwrap_or_else(|| vec![Scope::Grant]),
            cost: cost?.unwrap_or(Cost::Fixed(Micros::ONE)),
            on_deny: on_deny?.map(str::to_owned),
            on_store_failure: match on_store_failure? {
                Some(1) => Outcome::Allow,
                _ => Outcome::Deny,
            },
            asks_at_max: at_max?.is_some(),
            shared: shared?,
        },
        at: max_node?.at,
        for_store_at: ["on_store_failure", "shared"]
            .into_iter()
            .filter_map(|name| {
                let member = fields.member(name)?;
                let is_local = matches!(&member.value.content, Content::String(word) if word == "local");
                (name != "shared" || !is_local).then_some((name, member.key_at))
            })
            .collect(),
    })
}

/// `shared`.
fn shared(node: &Node, asks_at_max: bool) -> Read<Sharing> {
    let sharing = match word(node, &["strict", "leased", "local"])? {
        0 => Sharing::Strict,
        1 => Sharing::Leased,
        _ => Sharing::Local,
    };
    if asks_at_max && sharing != Sharing::Local {
        return Err(node.error(
            "a limit with `at_max` is kept by each node alone, expected `local`, or no `at_max`".to_owned(),
        ));
    }
    Ok(sharing)
}

/// `rate_limit`: the short form of a further limit with the counter `<name>_rate`.
pub(super) fn rate_limit(node: &Node, name: &str) -> Read<PlacedLimit> {
    let (max, window, at) = match &node.content {
        Content::String(text) => {
            let (max, window) = short_form(text, node)?;
            (max, window, node.at)
        }
        Content::Object(_) => {
            let fields = Fields::of(node, "a rate limit", &["max", "window"])?;
            let max_node = fields.required("max", "units per window")?;
            let window = fields.required("window", "how long units stay taken")?;
            (max(max_node)?, window::sliding(window)?, max_node.at)
        }
        _ => return Err(node.expected("a rate limit: `{\"max\": 5, \"window\": \"hour\"}` or `5/hour`")),
    };
    let limit = Limit {
        counter: format!("{name}_rate"),
        window,
        max,
        scope: vec![Scope::Grant, Scope::Tool],
        cost: Cost::Fixed(Micros::ONE),
        on_deny: None,
        on_store_failure: Outcome::Deny,
        asks_at_max: false,
        shared: None,
    };
    Ok(PlacedLimit {
        limit,
        at,
        for_store_at: Vec::new(),
    })
}

/// `5/hour`.
fn short_form(text: &str, node: &Node) -> Read<(Micros, Window)> {
    let error = || {
        node.error(format!(
            "expected a rate limit such as `5/hour`, got {}",
            quoted(text)
        ))
    };
    let (number, window) = text.split_once('/').ok_or_else(error)?;
    let number = Decimal::parse(number).map_err(|_| error())?;
    Ok((max_of(&number, node)?, window::sliding_word(window, node)?))
}

fn max(node: &Node) -> Read<Micros> {
    max_of(&node.number("a number of units")?, node)
}

/// Rounds down to a millionth of a unit: costs have no more decimals, so nothing that fits exactly is lost.
fn max_of(number: &Decimal, node: &Node) -> Read<Micros> {
    let micros = scaled(number, 6);
    if micros.negative {
        return Err(node.error("`max` is below zero, expected a number of units"));
    }
    match u64::try_from(micros.whole) {
        Ok(whole) if micros.whole <= LARGEST_MAX * MICROS => Ok(Micros(whole)),
        _ => Err(node.error(format!(
            "`max` is too large, expected at most {LARGEST_MAX} units"
        ))),
    }
}

fn cost(node: &Node) -> Read<Cost> {
    match &node.content {
        Content::Number(text) => {
            let micros = scaled(&node.number("a number of units")?, 6);
            if micros.negative || micros.whole > LARGEST_COST * MICROS {
                return Err(node.error(format!(
                    "the cost {} is out of range, expected 0 to 1e12",
                    quoted(text)
                )));
            }
            if !micros.exact {
                return Err(node.error(format!("the cost {} has more than 6 decimals", quoted(text))));
            }
            u64::try_from(micros.whole)
                .map(|micros| Cost::Fixed(Micros(micros)))
                .map_err(|_| {
                    node.error(format!(
                        "the cost {} is out of range, expected 0 to 1e12",
                        quoted(text)
                    ))
                })
        }
        Content::String(_) => single_argument_path(node, "a cost").map(Cost::Args),
        _ => Err(node.expected("a number of units, or a path to one such as `args.amount`")),
    }
}

fn scope(node: &Node) -> Read<Vec<Scope>> {
    let mut scopes = match &node.content {
        Content::String(_) => vec![one_scope(node)?],
        Content::List(elements) if elements.is_empty() => {
            return Err(node.error("the list of scopes is empty; write `global` for one count of all calls"));
        }
        Content::List(elements) => elements.iter().map(one_scope).collect::<Read<_>>()?,
        _ => return Err(node.expected("a scope or a list of scopes")),
    };
    scopes.sort_by(order_of_scopes);
    scopes.dedup_by(|a, b| order_of_scopes(a, b) == Ordering::Equal);
    Ok(scopes)
}

fn one_scope(node: &Node) -> Read<Scope> {
    const WORDS: [&str; 5] = ["grant", "session", "tool", "server", "global"];
    let text = node.string("a scope")?;
    Ok(match text {
        "grant" => Scope::Grant,
        "session" => Scope::Session,
        "tool" => Scope::Tool,
        "server" => Scope::Server,
        "global" => Scope::Global,
        text if text.starts_with("args") => Scope::Args(single_argument_path(node, "a scope")?),
        text => {
            let hint = did_you_mean(text, &WORDS);
            return Err(node.error(format!(
                "expected a scope: {} or `args.<path>`, got {}{hint}",
                listed(&WORDS),
                quoted(text)
            )));
        }
    })
}
