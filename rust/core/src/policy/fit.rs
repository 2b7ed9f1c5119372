//! Fit of operators to paths of a fixed type. A condition that can never hold is a load error (`docs/policy.md` section
//! 3).

use super::ast::{Category, Op, Path, Risk, Root};
use super::read::{Content, Node, Read, quoted};
use crate::json::Constant;
use crate::nearest::did_you_mean;

/// The type of all values of a path.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fixed {
    Text,
    /// One of a fixed set of words.
    Word(&'static [&'static str]),
    Integer,
}

const CATEGORIES: &[&str] = &{
    let [a, b, c, d, e] = Category::ALL;
    [a.as_str(), b.as_str(), c.as_str(), d.as_str(), e.as_str()]
};

const RISKS: &[&str] = &{
    let [a, b, c, d] = Risk::ALL;
    [a.as_str(), b.as_str(), c.as_str(), d.as_str()]
};

/// Refuses an operator or a value that does not fit the path.
pub(super) fn check(path: &Path, op: &Op, op_node: &Node, value_node: &Node) -> Read<()> {
    if let Op::Exists(_) = op {
        return check_exists(path, op_node);
    }
    let fixed = match &path.root {
        Root::Args => return Ok(()),
        Root::Category => Fixed::Word(CATEGORIES),
        Root::Risk => Fixed::Word(RISKS),
        Root::Hour | Root::Weekday => Fixed::Integer,
        Root::Tool | Root::Server | Root::Session | Root::GrantId | Root::GrantLabel(_) => Fixed::Text,
    };
    let is = if fixed == Fixed::Integer {
        "an integer"
    } else {
        "a string"
    };
    let misfit = || {
        op_node.error(format!(
            "`{}` does not fit {}, which is {is}",
            op.name(),
            quoted(&path.text)
        ))
    };
    match op {
        Op::Eq(constant) | Op::Neq(constant) => check_value(path, fixed, constant, value_node),
        Op::In(constants) | Op::NotIn(constants) => {
            // The operator was read from this value, so it is a list; its elements have the same order.
            let nodes = match &value_node.content {
                Content::List(nodes) => nodes.as_slice(),
                _ => &[],
            };
            constants
                .iter()
                .zip(nodes)
                .try_for_each(|(constant, node)| check_value(path, fixed, constant, node))
        }
        Op::Contains(constant) | Op::NotContains(constant) => match (fixed, constant) {
            (Fixed::Integer, _) => Err(misfit()),
            (_, Constant::String(_)) => Ok(()),
            _ => Err(value_misfit(path, "a string", value_node)),
        },
        Op::Lt(_) | Op::Lte(_) | Op::Gt(_) | Op::Gte(_) => {
            if fixed == Fixed::Integer {
                Ok(())
            } else {
                Err(misfit())
            }
        }
        _ if fixed == Fixed::Integer => Err(misfit()),
        _ => Ok(()),
    }
}

fn check_exists(path: &Path, op_node: &Node) -> Read<()> {
    let always = match &path.root {
        Root::Args => path.steps.is_empty(),
        Root::Tool | Root::Server | Root::GrantId | Root::Hour | Root::Weekday => true,
        Root::Session | Root::GrantLabel(_) | Root::Category | Root::Risk => false,
    };
    if always {
        return Err(op_node.error(format!(
            "{} is always there, so `exists` says nothing about it",
            quoted(&path.text)
        )));
    }
    Ok(())
}

fn check_value(path: &Path, fixed: Fixed, constant: &Constant, node: &Node) -> Read<()> {
    match (fixed, constant) {
        (Fixed::Text, Constant::String(_)) => Ok(()),
        (Fixed::Word(words), Constant::String(text)) => {
            if words.contains(&text.as_str()) {
                return Ok(());
            }
            let words_listed = super::fields::listed(words);
            let hint = did_you_mean(text, words);
            Err(node.error(format!(
                "{} is one of {words_listed}, never {}{hint}",
                quoted(&path.text),
                quoted(text)
            )))
        }
        (Fixed::Integer, Constant::Number(number)) if number.is_integer() => Ok(()),
        (Fixed::Integer, Constant::Number(_)) => {
            Err(node.error(format!("{} is an integer, never a fraction", quoted(&path.text))))
        }
        (Fixed::Integer, _) => Err(value_misfit(path, "an integer", node)),
        _ => Err(value_misfit(path, "a string", node)),
    }
}

fn value_misfit(path: &Path, is: &str, node: &Node) -> super::read::DocumentError {
    node.error(format!(
        "{} is {is}, so its value cannot be {}",
        quoted(&path.text),
        node.kind()
    ))
}
