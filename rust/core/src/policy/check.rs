//! Checks and their conditions (`docs/policy.md` sections 1 and 3).

use super::ast::{Check, Condition};
use super::collected::Collected;
use super::fields::Fields;
use super::fit;
use super::operator::operator;
use super::path::path;
use super::read::{DocumentError, Node, Position, Read};
use super::warnings::Warnings;

const LEAF: [&str; 3] = ["path", "op", "value"];
const CONDITION: [&str; 6] = ["path", "op", "value", "any", "all", "not"];

/// A list of checks.
pub(super) fn checks(node: &Node, collected: &mut Collected) -> Vec<Check> {
    let elements = collected.read(node.list("a list of checks")).unwrap_or_default();
    elements
        .iter()
        .filter_map(|element| check(element, collected))
        .collect()
}

fn check(node: &Node, collected: &mut Collected) -> Option<Check> {
    let fields = Fields::collect(node, "a check", &["name", "conditions", "on_deny"], collected)?;
    let name = fields.get("name").map(|node| node.name("the name of the check"));
    let name = collected.read(name.transpose());
    let conditions = fields
        .required("conditions", "a list, which may be empty")
        .and_then(|node| node.list("a list of conditions"));
    let conditions = collected.read(conditions).unwrap_or_default();
    let conditions = conditions
        .iter()
        .filter_map(|element| {
            let condition = condition(element, &mut collected.warnings);
            collected.read(condition)
        })
        .collect();
    let on_deny = fields.get("on_deny").map(|node| node.string("a message"));
    let on_deny = collected.read(on_deny.transpose());
    Some(Check {
        name: name?.map(str::to_owned),
        conditions,
        on_deny: on_deny?.map(str::to_owned),
    })
}

/// Recursion is safe because the document's depth is limited.
fn condition(node: &Node, warnings: &mut Warnings) -> Read<Condition> {
    let fields = Fields::of(node, "a condition", &CONDITION)?;
    let Some(group) = fields.first_of(&["any", "all", "not"]) else {
        return test(&fields, warnings);
    };
    let others: Vec<&str> = CONDITION
        .into_iter()
        .filter(|field| *field != group.key)
        .collect();
    if let Some(other) = fields.first_of(&others) {
        let (at, a, b) = later((group.key_at, &group.key), (other.key_at, &other.key));
        return Err(DocumentError::at(
            at,
            format!("a condition has either `{a}` or `{b}`; put one of them into an `all`"),
        ));
    }
    Ok(match group.key.as_str() {
        "any" => Condition::Any(conditions(&group.value, warnings)?),
        "all" => Condition::All(conditions(&group.value, warnings)?),
        _ => Condition::Not(Box::new(condition(&group.value, warnings)?)),
    })
}

fn later<'k>(a: (Position, &'k str), b: (Position, &'k str)) -> (Position, &'k str, &'k str) {
    let place = |at: Position| (at.line, at.column);
    if place(a.0) < place(b.0) {
        (b.0, a.1, b.1)
    } else {
        (a.0, b.1, a.1)
    }
}

fn conditions(node: &Node, warnings: &mut Warnings) -> Read<Vec<Condition>> {
    let elements = node.list("a list of conditions")?;
    if elements.is_empty() {
        return Err(node.error("expected a list of conditions, got an empty one"));
    }
    elements
        .iter()
        .map(|element| condition(element, warnings))
        .collect()
}

fn test(fields: &Fields<'_>, warnings: &mut Warnings) -> Read<Condition> {
    let [path_node, op_node, value_node] = LEAF.map(|name| {
        fields.required(
            name,
            "a condition is `path`, `op` and `value`, or one of `any`, `all` and `not`",
        )
    });
    let (path_node, op_node, value_node) = (path_node?, op_node?, value_node?);
    let path = path(path_node)?;
    let op = operator(op_node, value_node)?;
    fit::check(&path, &op, op_node, value_node)?;
    warnings.of_test(&path, path_node, &op, value_node);
    Ok(Condition::Test { path, op })
}
