//! `approval` of rules: the call that it is for, and its terms (`docs/policy.md` section 1).

use super::ast::{Approval, ApprovalTerms, PermitBounds};
use super::check::checks;
use super::collected::Collected;
use super::fields::{Fields, word};
use super::number::clamped_integer;
use super::read::{Content, DocumentError, Member, Node, Read, quoted};
use super::window::duration_between;

const FIELDS: [&str; 7] = [
    "when",
    "timeout",
    "valid",
    "approvers",
    "count",
    "reason",
    "permit",
];

/// The default time that a pending approval waits.
const DEFAULT_TIMEOUT_MS: u64 = 60 * 60 * 1_000;

const SHORTEST_MS: u64 = 1_000;
const LONGEST_MS: u64 = 30 * 24 * 60 * 60 * 1_000;

/// The greatest number of people who must approve.
const MAX_COUNT: u16 = 10;

/// The greatest number of uses of a permit.
const MAX_USES: u16 = 10_000;

/// The rules of an entry that can ask for an approval.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Asker {
    /// `action: require_approval`.
    Action,
    /// `at_max: require_approval` of a limit alone.
    Limit,
    /// Nothing asks for an approval.
    None,
}

/// Reads the approval of an entry; `None` if nothing asks for one, or it has a fault.
pub(super) fn approval(member: Option<&Member>, asker: Asker, collected: &mut Collected) -> Option<Approval> {
    let Some(member) = member else {
        return (asker != Asker::None).then(|| Approval {
            when: Vec::new(),
            terms: ApprovalTerms::with_timeout(DEFAULT_TIMEOUT_MS),
        });
    };
    if asker == Asker::None {
        collected.fault(DocumentError::at(
            member.key_at,
            "`approval` goes with `\"action\": \"require_approval\"`, or with `\"at_max\": \"require_approval\"` of a limit; \
             add one of them or remove this field",
        ));
        return None;
    }
    let fields = Fields::collect(&member.value, "an approval", &FIELDS, collected)?;
    if let Some(member) = fields.member("when").filter(|_| asker == Asker::Limit) {
        collected.fault(DocumentError::at(
            member.key_at,
            "`when` goes with `\"action\": \"require_approval\"`; add that action or remove this field: `at_max` asks whenever \
             the limit has too little left",
        ));
    }
    let when = fields.get("when").map(|node| {
        if matches!(&node.content, Content::List(elements) if elements.is_empty()) {
            collected.fault(node.error(
                "expected a list of checks, got an empty one; without `when` every call needs an approval",
            ));
        }
        checks(node, collected)
    });
    let terms = terms(&fields, collected);
    Some(Approval {
        when: when.unwrap_or_default(),
        terms: terms?,
    })
}

fn terms(fields: &Fields<'_>, collected: &mut Collected) -> Option<ApprovalTerms> {
    let timeout_ms = collected.read(fields.get("timeout").map_or(Ok(DEFAULT_TIMEOUT_MS), time));
    let valid_ms = collected.read(fields.get("valid").map(time).transpose());
    let approvers = fields.get("approvers").map(|node| approvers(node, collected));
    let count = fields.get("count");
    let count = collected.read(count.map_or(Ok(1), |node| integer(node, "people", MAX_COUNT)));
    let reason = fields.get("reason");
    let reason = collected.read(reason.map_or(Ok(1), |node| word(node, &["required", "optional"])));
    let permit = fields.get("permit").map(|node| permit(node, collected));
    let timeout_ms = timeout_ms?;
    Some(ApprovalTerms {
        timeout_ms,
        valid_ms: valid_ms?.unwrap_or(timeout_ms),
        approvers: approvers.unwrap_or_default(),
        count: count?,
        is_reason_required: reason? == 0,
        permit: permit.flatten(),
    })
}

fn approvers(node: &Node, collected: &mut Collected) -> Vec<String> {
    const GROUP: &str = "the name of a group of approvers";
    let elements = collected
        .read(node.list("a list of group names"))
        .unwrap_or_default();
    if matches!(&node.content, Content::List(elements) if elements.is_empty()) {
        collected.fault(node.error(
            "expected a list of group names, got an empty one; without `approvers` any approver may answer",
        ));
    }
    let mut groups: Vec<String> = Vec::new();
    for element in elements {
        match element.name(GROUP) {
            Ok(name) if groups.iter().any(|group| group == name) => {
                collected.fault(element.error(format!("the group {} stands twice", quoted(name))));
            }
            Ok(name) => groups.push(name.to_owned()),
            Err(fault) => collected.fault(fault),
        }
    }
    groups
}

fn permit(node: &Node, collected: &mut Collected) -> Option<PermitBounds> {
    let fields = Fields::collect(node, "a permit", &["max_uses", "max_duration"], collected)?;
    let max_uses = fields
        .required("max_uses", "the greatest number of calls of one permit")
        .and_then(|node| integer(node, "calls", MAX_USES));
    let max_uses = collected.read(max_uses);
    let max_duration_ms = fields
        .required("max_duration", "the longest life of one permit")
        .and_then(time);
    let max_duration_ms = collected.read(max_duration_ms);
    Some(PermitBounds {
        max_uses: max_uses?,
        max_duration_ms: max_duration_ms?,
    })
}

/// Reads a time of 1 s to 30 d, in milliseconds.
fn time(node: &Node) -> Read<u64> {
    duration_between(node, SHORTEST_MS, LONGEST_MS, "1 s and at most 30 days")
}

/// Reads an integer from 1 to `most`.
fn integer(node: &Node, of: &str, most: u16) -> Read<u16> {
    let expected = format!("a number of {of}, 1 to {most}");
    let number = node.number(&expected)?;
    let value = clamped_integer(&number).and_then(|number| u16::try_from(number).ok());
    match value {
        Some(value) if (1..=most).contains(&value) => Ok(value),
        _ => {
            let mut got = String::new();
            if let Content::Number(text) = &node.content {
                got.push_str(text);
            }
            Err(node.error(format!("expected {expected}, got {}", quoted(&got))))
        }
    }
}
