//! The identity of a policy: SHA-256 of its canonical form without `$schema` and `x-` fields (`docs/policy.md` section 6).

use sha2::{Digest, Sha256};

use super::ast::EntryDocument;
use super::fields::is_ignored;
use super::read::{Content, Member, Node, Read};
use crate::hex::Hex;
use crate::json::ValueWriter;

/// The role of an object in a policy: its keys are fields, names or data.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Shape {
    Policy,
    /// Keys are names of tools or categories.
    Entries,
    Rules,
    /// Objects whose fields contain no data of their own.
    Plain,
    /// A check, a condition, or a list of them.
    Checks,
    /// The value of a condition or a JSON Schema: every key is significant.
    Data,
}

impl Shape {
    /// The shape of the value under a key of an object of this shape.
    fn below(self, key: &str) -> Self {
        match (self, key) {
            (Self::Policy, "tools" | "categories") => Self::Entries,
            (Self::Policy, "all_tools") | (Self::Entries, _) => Self::Rules,
            (Self::Rules, "schema") | (Self::Checks, "value") | (Self::Data, _) => Self::Data,
            (Self::Rules, "require" | "deny_if") | (Self::Plain, "when") | (Self::Checks, _) => Self::Checks,
            _ => Self::Plain,
        }
    }

    const fn has_fields(self) -> bool {
        !matches!(self, Self::Entries | Self::Data)
    }
}

/// The way in which numbers are written.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Numbers {
    /// In their one canonical form.
    Canonical,
    /// In the form that the document has.
    AsWritten,
}

/// The digest of a valid document.
pub(super) fn digest(document: &Node) -> Read<[u8; 32]> {
    let mut canonical = String::new();
    write(
        document,
        Shape::Policy,
        Numbers::Canonical,
        ValueWriter::new(&mut canonical),
    )?;
    Ok(Sha256::digest(canonical.as_bytes()).into())
}

/// The rules of one entry, as people read them, and the digest of their canonical form.
pub(super) fn entry(rules: &Node) -> Read<EntryDocument> {
    let (mut canonical, mut json) = (String::new(), String::new());
    write(
        rules,
        Shape::Rules,
        Numbers::Canonical,
        ValueWriter::new(&mut canonical),
    )?;
    write(
        rules,
        Shape::Rules,
        Numbers::AsWritten,
        ValueWriter::new(&mut json),
    )?;
    let digest: [u8; 32] = Sha256::digest(canonical.as_bytes()).into();
    Ok(EntryDocument {
        json,
        digest: Hex(&digest).to_string(),
    })
}

/// Writes RFC 8785 with these numbers. Recursion is safe because the document's depth is limited.
fn write(node: &Node, shape: Shape, numbers: Numbers, out: ValueWriter<'_>) -> Read<()> {
    match &node.content {
        Content::Null => out.null(),
        Content::Bool(value) => out.boolean(*value),
        Content::Number(text) if numbers == Numbers::AsWritten => out.json(text),
        Content::Number(_) => {
            let number = node.number("a number")?;
            out.with(|out| number.write_canonical(out));
        }
        Content::String(text) => out.text(text),
        Content::List(elements) => out.list(|list| {
            elements
                .iter()
                .try_for_each(|element| write(element, shape, numbers, list.element()))
        })?,
        Content::Object(members) => {
            let mut kept: Vec<&Member> = members
                .iter()
                .filter(|member| !(shape.has_fields() && is_ignored(&member.key)))
                .collect();
            kept.sort_by(|a, b| a.key.encode_utf16().cmp(b.key.encode_utf16()));
            out.object(|object| {
                kept.into_iter().try_for_each(|member| {
                    write(
                        &member.value,
                        shape.below(&member.key),
                        numbers,
                        object.member(&member.key),
                    )
                })
            })?;
        }
    }
    Ok(())
}
