//! The top level of a policy document (`docs/policy.md` section 1).

use hashbrown::HashMap;

use super::ast::{Category, CategoryRules, DefaultAction, Mode, Pattern, Policy, Rules, ToolEntry};
use super::conflict::{Entry, check_conflicts};
use super::digest::digest;
use super::fields::{Fields, listed, word};
use super::path::argument_path;
use super::pattern::pattern;
use super::read::{DocumentError, Member, Node, Position, Read, check_name, quoted};
use super::rules::{self, Collected, Context, mode, rules};
use super::warnings::Warnings;
use crate::nearest::nearest;

const FIELDS: [&str; 10] = [
    "version",
    "default",
    "name",
    "description",
    "log_args",
    "mode",
    "hide",
    "all_tools",
    "categories",
    "tools",
];

/// Reads a policy. `stem` is its name if the document has none.
pub(super) fn policy(node: &Node, stem: &str) -> Read<Policy> {
    let fields = Fields::of(node, "a policy", &FIELDS)?;
    version(&fields)?;
    let default = match word(
        fields.required("default", "`allow` or `deny`")?,
        &["allow", "deny"],
    )? {
        0 => DefaultAction::Allow,
        _ => DefaultAction::Deny,
    };
    let name = fields
        .get("name")
        .map(|node| node.name("the name of the policy"))
        .transpose()?
        .unwrap_or(stem);
    let description = fields
        .get("description")
        .map(|node| node.string("a description"))
        .transpose()?;
    let log_args = match fields.get("log_args") {
        Some(node) => node
            .list("a list of paths")?
            .iter()
            .map(argument_path)
            .collect::<Read<_>>()?,
        None => Vec::new(),
    };
    let mode = fields.get("mode").map_or(Ok(Mode::Enforce), mode)?;
    let hide = match fields.get("hide") {
        Some(node) => node
            .list("a list of patterns")?
            .iter()
            .map(|node| pattern(node.string("a pattern")?, node.at))
            .collect::<Read<Vec<_>>>()?,
        None => Vec::new(),
    };
    let mut collected = Collected {
        warnings: Warnings::default(),
        limits: Vec::new(),
    };
    let all_tools = match fields.get("all_tools") {
        Some(node) => rules(
            node,
            &Context {
                counter: "all_tools",
                entry: Entry::Shared,
                mode,
            },
            &mut collected,
        )?,
        None => Rules::empty(mode),
    };
    let categories = match fields.get("categories") {
        Some(node) => categories(node, mode, &mut collected)?,
        None => Vec::new(),
    };
    let members = match fields.get("tools") {
        Some(node) => node.object("an object of tool names and rules")?,
        None => &[],
    };
    let tools = tools(members, mode, &mut collected)?;
    check_conflicts(&collected.limits)?;
    let mut warnings = collected.warnings;
    warnings.of_session_limits(&all_tools);
    // A tool hidden in shadow mode is still decided by its own rules.
    let hidden = if mode == Mode::Enforce {
        hide.as_slice()
    } else {
        &[]
    };
    warnings.of_entries(members, &tools, hidden);
    Ok(Policy {
        name: name.to_owned(),
        description: description.map(str::to_owned),
        digest: digest(node)?,
        default,
        log_args,
        mode,
        hide,
        all_tools,
        categories,
        tools,
        warnings: warnings.finish(),
    })
}

fn version(fields: &Fields<'_>) -> Read<()> {
    let node = fields.required("version", "the string `\"1\"`")?;
    match node.string("the string `\"1\"`")? {
        "1" => Ok(()),
        other => Err(node.error(format!("expected version `1`, got {}", quoted(other)))),
    }
}

fn categories(node: &Node, mode: Mode, collected: &mut Collected) -> Read<Vec<(Category, CategoryRules)>> {
    let members = node.object("an object of categories and rules")?;
    let mut categories = Vec::with_capacity(members.len());
    for member in members {
        let category = category(&member.key, member.key_at)?;
        categories.push((
            category,
            category_rules(category, &member.value, mode, collected)?,
        ));
    }
    Ok(categories)
}

/// The category with this name, which is at position `at`.
pub(super) fn category(name: &str, at: Position) -> Read<Category> {
    let words = Category::ALL.map(Category::as_str);
    Category::ALL
        .into_iter()
        .find(|category| category.as_str() == name)
        .ok_or_else(|| {
            let meant = nearest(name, &words).unwrap_or_default();
            DocumentError::at(
                at,
                format!(
                    "unknown category {}; the nearest is `{meant}`, expected one of {}",
                    quoted(name),
                    listed(&words)
                ),
            )
        })
}

fn category_rules(
    category: Category,
    node: &Node,
    mode: Mode,
    collected: &mut Collected,
) -> Read<CategoryRules> {
    let mut known = rules::FIELDS.to_vec();
    known.push("hide");
    let fields = Fields::of(node, "the rules of a category", &known)?;
    let Some(hide) = fields.get("hide") else {
        let counter = format!("category.{}", category.as_str());
        let context = Context {
            counter: &counter,
            entry: Entry::Shared,
            mode,
        };
        return Ok(CategoryRules::Rules(Box::new(rules(node, &context, collected)?)));
    };
    if let Some(other) = fields.first_of(&rules::FIELDS) {
        return Err(DocumentError::at(
            other.key_at,
            format!("a hidden category has no rules; remove `{}` or `hide`", other.key),
        ));
    }
    if !hide.boolean("`true`")? {
        return Err(hide.error("expected `true`; a category that is not hidden leaves `hide` out"));
    }
    Ok(CategoryRules::Hide)
}

fn tools(members: &[Member], mode: Mode, collected: &mut Collected) -> Read<Vec<ToolEntry>> {
    let mut tools = Vec::with_capacity(members.len());
    let mut names: HashMap<String, &Member> = HashMap::new();
    for (index, member) in members.iter().enumerate() {
        check_name(&member.key, member.key_at, "the name of a tool or a pattern")?;
        let pattern = pattern(&member.key, member.key_at)?;
        if let Pattern::Exact(name) = &pattern
            && let Some(first) = names.insert(name.clone(), member)
        {
            return Err(DocumentError::at(
                member.key_at,
                format!(
                    "the keys {} and {} (line {}) name the same tool; keep one of them",
                    quoted(&member.key),
                    quoted(&first.key),
                    first.key_at.line
                ),
            ));
        }
        let context = Context {
            counter: &member.key,
            entry: Entry::Tool(index),
            mode,
        };
        let rules = rules(&member.value, &context, collected)?;
        tools.push(ToolEntry {
            key: member.key.clone(),
            pattern,
            rules,
        });
    }
    Ok(tools)
}
