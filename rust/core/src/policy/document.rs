//! The top level of a policy document (`docs/policy.md` section 1).

use hashbrown::HashMap;

use super::ast::{Category, CategoryRules, DefaultAction, Mode, Pattern, Policy, Rules, ToolEntry};
use super::collected::Collected;
use super::conflict::{Entry, conflicts};
use super::digest::digest;
use super::fields::{Fields, listed, word};
use super::path::argument_path;
use super::pattern::pattern;
use super::read::{Content, DocumentError, Member, Node, Position, Read, check_name, quoted};
use super::rules::{self, Context, mode, rules};
use crate::nearest::nearest;

const FIELDS: [&str; 11] = [
    "version",
    "default",
    "name",
    "description",
    "log_args",
    "log_labels",
    "mode",
    "hide",
    "all_tools",
    "categories",
    "tools",
];

/// The fault of a document in the format of `PolicyLayer` Intercept.
const INTERCEPT: &str =
    "`rules` belong to a policy of PolicyLayer Intercept; convert the file with `callgate convert intercept`";

/// Reads a policy, or returns its faults in the order in which they are found. `stem` is its name if the document has none.
pub(super) fn policy(node: &Node, stem: &str) -> Result<Policy, Vec<DocumentError>> {
    let mut collected = Collected::default();
    let policy = read(node, stem, &mut collected);
    match policy {
        Some(policy) if collected.is_sound() => Ok(policy),
        _ => Err(collected.into_faults()),
    }
}

/// The first field `rules` of an entry of `tools`, which only the policies of Intercept have.
fn intercept_rules(node: &Node) -> Option<&Member> {
    let entries = members(&field(node, "tools")?.value);
    entries.iter().find_map(|entry| field(&entry.value, "rules"))
}

/// The member of an object with this name.
fn field<'n>(node: &'n Node, name: &str) -> Option<&'n Member> {
    members(node).iter().find(|member| member.key == name)
}

/// The members of an object; none of another value.
const fn members(node: &Node) -> &[Member] {
    match &node.content {
        Content::Object(members) => members.as_slice(),
        _ => &[],
    }
}

/// The policy, which must not be used if a fault was collected; `None` only if one was.
fn read(node: &Node, stem: &str, collected: &mut Collected) -> Option<Policy> {
    if let Some(rules) = intercept_rules(node) {
        // Faults of the other format would only lead away from this one.
        collected.fault(DocumentError::at(rules.key_at, INTERCEPT));
        return None;
    }
    let fields = Fields::collect(node, "a policy", &FIELDS, collected)?;
    // Nothing is known of other versions.
    collected.read(version(&fields))?;
    let default = fields
        .required("default", "`allow` or `deny`")
        .and_then(|node| word(node, &["allow", "deny"]));
    let default = collected.read(default);
    let name = fields.get("name").map(|node| node.name("the name of the policy"));
    let name = collected.read(name.transpose());
    let description = fields.get("description").map(|node| node.string("a description"));
    let description = collected.read(description.transpose());
    let log_args = list(
        fields.get("log_args"),
        "a list of paths",
        argument_path,
        collected,
    );
    let label = |node: &Node| node.name("the name of a label").map(str::to_owned);
    let log_labels = list(
        fields.get("log_labels"),
        "a list of names of labels",
        label,
        collected,
    );
    // The mode of the rules below; a fault of it is noted, and they are read with the default one.
    let mode = fields.get("mode").map_or(Ok(Mode::Enforce), mode);
    let mode = collected.read(mode).unwrap_or(Mode::Enforce);
    let hidden = |node: &Node| pattern(node.string("a pattern")?, node.at);
    let hide = list(fields.get("hide"), "a list of patterns", hidden, collected);
    let all_tools = Context {
        counter: "all_tools",
        entry: Entry::Shared,
        mode,
    };
    let all_tools = fields
        .get("all_tools")
        .and_then(|node| rules(node, &all_tools, collected))
        .unwrap_or_else(|| Rules::empty(mode));
    let categories = fields
        .get("categories")
        .map_or_else(Vec::new, |node| categories(node, mode, collected));
    let members = fields.get("tools").map_or(Ok([].as_slice()), |node| {
        node.object("an object of tool names and rules")
    });
    let members = collected.read(members).unwrap_or_default();
    let tools = tools(members, mode, collected);
    for fault in conflicts(&collected.limits) {
        collected.fault(fault);
    }
    if !collected.is_sound() {
        return None;
    }
    let digest = collected.read(digest(node))?;
    let mut warnings = std::mem::take(&mut collected.warnings);
    warnings.of_session_limits(&all_tools);
    // A tool hidden in shadow mode is still decided by its own rules.
    let hidden = if mode == Mode::Enforce {
        hide.as_slice()
    } else {
        &[]
    };
    warnings.of_entries(members, &tools, hidden);
    Some(Policy {
        name: name?.unwrap_or(stem).to_owned(),
        description: description?.map(str::to_owned),
        digest,
        default: match default? {
            0 => DefaultAction::Allow,
            _ => DefaultAction::Deny,
        },
        log_args,
        log_labels,
        mode,
        hide,
        all_tools,
        categories,
        tools,
        warnings: warnings.finish(),
    })
}

/// The elements of a list that have no fault; empty without a list.
fn list<T>(
    node: Option<&Node>,
    expected: &str,
    element: impl Fn(&Node) -> Read<T>,
    collected: &mut Collected,
) -> Vec<T> {
    let elements = node.map_or(Ok([].as_slice()), |node| node.list(expected));
    let elements = collected.read(elements).unwrap_or_default();
    elements
        .iter()
        .filter_map(|node| collected.read(element(node)))
        .collect()
}

fn version(fields: &Fields<'_>) -> Read<()> {
    let node = fields.required("version", "the string `\"1\"`")?;
    match node.string("the string `\"1\"`")? {
        "1" => Ok(()),
        other => Err(node.error(format!("expected version `1`, got {}", quoted(other)))),
    }
}

fn categories(node: &Node, mode: Mode, collected: &mut Collected) -> Vec<(Category, CategoryRules)> {
    let members = collected.read(node.object("an object of categories and rules"));
    let mut categories = Vec::new();
    for member in members.unwrap_or_default() {
        if let Some(category) = collected.read(category(&member.key, member.key_at)) {
            categories.extend(
                category_rules(category, &member.value, mode, collected).map(|rules| (category, rules)),
            );
        }
    }
    categories
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
) -> Option<CategoryRules> {
    let mut known = rules::FIELDS.to_vec();
    known.push("hide");
    let fields = Fields::collect(node, "the rules of a category", &known, collected)?;
    if let Some(hide) = fields.get("hide") {
        return collected
            .read(hidden(&fields, hide))
            .map(|()| CategoryRules::Hide);
    }
    let counter = format!("category.{}", category.as_str());
    let context = Context {
        counter: &counter,
        entry: Entry::Shared,
        mode,
    };
    rules::read(&fields, &context, collected).map(|rules| CategoryRules::Rules(Box::new(rules)))
}

/// Checks that a hidden category has nothing else.
fn hidden(fields: &Fields<'_>, hide: &Node) -> Read<()> {
    if let Some(other) = fields.first_of(&rules::FIELDS) {
        return Err(DocumentError::at(
            other.key_at,
            format!("a hidden category has no rules; remove `{}` or `hide`", other.key),
        ));
    }
    if !hide.boolean("`true`")? {
        return Err(hide.error("expected `true`; a category that is not hidden leaves `hide` out"));
    }
    Ok(())
}

fn tools(members: &[Member], mode: Mode, collected: &mut Collected) -> Vec<ToolEntry> {
    let mut tools = Vec::with_capacity(members.len());
    let mut names: HashMap<String, &Member> = HashMap::new();
    for (index, member) in members.iter().enumerate() {
        let pattern = tool_pattern(member, &mut names);
        let pattern = collected.read(pattern);
        let context = Context {
            counter: &member.key,
            entry: Entry::Tool(index),
            mode,
        };
        let rules = rules(&member.value, &context, collected);
        tools.extend(pattern.zip(rules).map(|(pattern, rules)| ToolEntry {
            key: member.key.clone(),
            pattern,
            rules,
        }));
    }
    tools
}

/// The pattern of a key of `tools`; `names` has the keys before it.
fn tool_pattern<'n>(member: &'n Member, names: &mut HashMap<String, &'n Member>) -> Read<Pattern> {
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
    Ok(pattern)
}
