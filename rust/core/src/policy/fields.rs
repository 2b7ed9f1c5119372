//! The fields of an object with a fixed set of names.

use super::collected::Collected;
use super::read::{DocumentError, Member, Node, Read, quoted};
use crate::nearest::{did_you_mean, nearest, probable};

/// Returns whether callgate ignores a field: `$schema` is for editors, `x-` for any other use.
pub(super) fn is_ignored(field: &str) -> bool {
    field == "$schema" || field.starts_with("x-")
}

/// An object of the format whose fields are all known.
pub(crate) struct Fields<'n> {
    node: &'n Node,
    members: &'n [Member],
    what: &'static str,
    /// Members that probably mean a known field, with its name: read as if they were spelt right, behind their fault.
    misspelt: Vec<(String, &'n Member)>,
}

impl<'n> Fields<'n> {
    /// The fields of `node`, which messages name `what` (with its article); refuses fields that are not `known`.
    pub(crate) fn of(node: &'n Node, what: &'static str, known: &[&str]) -> Read<Self> {
        let (fields, unknown) = Self::with_unknown(node, what, known)?;
        unknown.into_iter().next().map_or(Ok(fields), Err)
    }

    /// The same, where reading goes on behind fields that are not `known`; `None` if the node is no object.
    pub(super) fn collect(
        node: &'n Node,
        what: &'static str,
        known: &[&str],
        collected: &mut Collected,
    ) -> Option<Self> {
        let (fields, unknown) = collected.read(Self::with_unknown(node, what, known))?;
        for fault in unknown {
            collected.fault(fault);
        }
        for (_, member) in &fields.misspelt {
            collected.misspelt(member);
        }
        Some(fields)
    }

    fn with_unknown(node: &'n Node, what: &'static str, known: &[&str]) -> Read<(Self, Vec<DocumentError>)> {
        let members = node.object(&format!("{what} as an object"))?;
        let (mut faults, mut misspelt) = (Vec::new(), Vec::new());
        for member in members {
            if is_ignored(&member.key) || known.contains(&member.key.as_str()) {
                continue;
            }
            faults.push(DocumentError::at(
                member.key_at,
                unknown(&member.key, what, known),
            ));
            if let Some(meant) = probable(&member.key, known) {
                misspelt.push((meant.to_owned(), member));
            }
        }
        let fields = Self {
            node,
            members,
            what,
            misspelt,
        };
        Ok((fields, faults))
    }

    /// The object itself.
    pub(super) const fn node(&self) -> &'n Node {
        self.node
    }

    /// The member with this name.
    pub(crate) fn member(&self, name: &str) -> Option<&'n Member> {
        let misspelt = || self.misspelt.iter().find(|(meant, _)| meant == name);
        self.members
            .iter()
            .find(|member| member.key == name)
            .or_else(|| misspelt().map(|(_, member)| *member))
    }

    /// The value of a field.
    pub(crate) fn get(&self, name: &str) -> Option<&'n Node> {
        self.member(name).map(|member| &member.value)
    }

    /// The value of a required field.
    pub(crate) fn required(&self, name: &str, expected: &str) -> Read<&'n Node> {
        self.get(name).ok_or_else(|| {
            self.node
                .error(format!("{} needs the field `{name}`: {expected}", self.what))
        })
    }

    /// The first member, in document order, with one of these names.
    pub(crate) fn first_of(&self, names: &[&str]) -> Option<&'n Member> {
        self.members
            .iter()
            .find(|member| names.contains(&member.key.as_str()))
    }
}

fn unknown(field: &str, what: &str, known: &[&str]) -> String {
    let shown = quoted(field);
    if let Some(meant) = probable(field, known) {
        return format!("unknown field {shown} in {what}; did you mean `{meant}`?");
    }
    let nearest = nearest(field, known).unwrap_or_default();
    format!(
        "unknown field {shown} in {what}; the nearest is `{nearest}`, expected one of {}",
        listed(known)
    )
}

/// Words as a list for a message.
pub(crate) fn listed(words: &[&str]) -> String {
    words
        .iter()
        .map(|word| format!("`{word}`"))
        .collect::<Vec<_>>()
        .join(", ")
}

/// The index of a word in a fixed set.
pub(crate) fn word(node: &Node, words: &[&str]) -> Read<usize> {
    let expected = match words {
        [word] => format!("`{word}`"),
        words => format!("one of {}", listed(words)),
    };
    let text = node.string(&expected)?;
    words.iter().position(|word| *word == text).ok_or_else(|| {
        let hint = did_you_mean(text, words);
        node.error(format!("expected {expected}, got {}{hint}", quoted(text)))
    })
}
