//! The operators (`docs/policy.md` section 3).

use std::cmp::Ordering;
use std::net::IpAddr;

use super::operand::Operand;
use super::truth::Truth;
use super::{folder, url};
use crate::json::{Kind, is_abs_at_least_1e308};
use crate::policy::ast::{Network, Op};

/// The type that an operator expected, and the type of the value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Mismatch {
    pub(super) expected: &'static str,
    pub(super) got: &'static str,
}

/// Evaluates the operator on a missing value.
pub(super) const fn on_missing(op: &Op) -> Truth {
    match op {
        Op::Exists(present) => Truth::known(!*present),
        Op::Neq(_) | Op::NotIn(_) | Op::NotRegex(_) | Op::NotContains(_) => Truth::PresumedTrue,
        Op::Eq(_)
        | Op::In(_)
        | Op::Lt(_)
        | Op::Lte(_)
        | Op::Gt(_)
        | Op::Gte(_)
        | Op::Regex(_)
        | Op::Contains(_)
        | Op::StartsWith(_)
        | Op::EndsWith(_)
        | Op::LenLt(_)
        | Op::LenLte(_)
        | Op::LenGt(_)
        | Op::LenGte(_)
        | Op::PathWithin(_)
        | Op::HostIn(_)
        | Op::CidrIn(_) => Truth::PresumedFalse,
    }
}

/// Evaluates the operator on a present value.
pub(super) fn on_value(op: &Op, operand: Operand<'_>) -> Result<bool, Mismatch> {
    Ok(match op {
        Op::Eq(constant) => operand.equals(constant),
        Op::Neq(constant) => !operand.equals(constant),
        Op::In(list) => list.iter().any(|constant| operand.equals(constant)),
        Op::NotIn(list) => !list.iter().any(|constant| operand.equals(constant)),
        // The decimal is the policy's, so the comparison reads backwards: it is compared with the call's number.
        Op::Lt(bound) => bound.cmp_text(number(operand)?) == Ordering::Greater,
        Op::Lte(bound) => bound.cmp_text(number(operand)?) != Ordering::Less,
        Op::Gt(bound) => bound.cmp_text(number(operand)?) == Ordering::Less,
        Op::Gte(bound) => bound.cmp_text(number(operand)?) != Ordering::Greater,
        Op::Regex(regex) => regex.is_match(text(operand)?),
        Op::NotRegex(regex) => !regex.is_match(text(operand)?),
        Op::Contains(constant) => contains(operand, constant)?,
        Op::NotContains(constant) => !contains(operand, constant)?,
        Op::StartsWith(prefix) => text(operand)?.starts_with(prefix.as_str()),
        Op::EndsWith(suffix) => text(operand)?.ends_with(suffix.as_str()),
        Op::LenLt(bound) => length(operand)? < *bound,
        Op::LenLte(bound) => length(operand)? <= *bound,
        Op::LenGt(bound) => length(operand)? > *bound,
        Op::LenGte(bound) => length(operand)? >= *bound,
        Op::PathWithin(folders) => {
            let inside = folder::within(text(operand)?, folders);
            inside.ok_or(Mismatch {
                expected: "an absolute path without NUL",
                got: "another string",
            })?
        }
        Op::HostIn(hosts) => {
            let host = url::host(text(operand)?);
            url::host_in(
                &host.ok_or(Mismatch {
                    expected: url::EXPECTED,
                    got: "another string",
                })?,
                hosts,
            )
        }
        Op::CidrIn(networks) => {
            let address: IpAddr = text(operand)?.parse().map_err(|_| Mismatch {
                expected: "an IP address without a zone",
                got: "another string",
            })?;
            networks
                .iter()
                .any(|network| is_within(address.to_canonical(), network))
        }
        Op::Exists(present) => *present,
    })
}

fn text(operand: Operand<'_>) -> Result<&str, Mismatch> {
    match operand {
        Operand::Text(text) => Ok(text),
        other => Err(Mismatch {
            expected: "a string",
            got: other.words(),
        }),
    }
}

fn number(operand: Operand<'_>) -> Result<&str, Mismatch> {
    match operand {
        Operand::Number(text) if is_abs_at_least_1e308(text) => Err(Mismatch {
            expected: "a number between -1e308 and 1e308",
            got: "a number beyond",
        }),
        Operand::Number(text) => Ok(text),
        other => Err(Mismatch {
            expected: "a number",
            got: other.words(),
        }),
    }
}

fn contains(operand: Operand<'_>, constant: &crate::json::Constant) -> Result<bool, Mismatch> {
    match operand {
        Operand::Text(text) => Ok(match constant {
            crate::json::Constant::String(part) => text.contains(part.as_str()),
            // Another type is in no string.
            _ => false,
        }),
        Operand::Other(value) if value.kind() == Kind::Array => Ok(value
            .elements()
            .any(|element| Operand::of(element).equals(constant))),
        other => Err(Mismatch {
            expected: "a string or a list",
            got: other.words(),
        }),
    }
}

fn length(operand: Operand<'_>) -> Result<i64, Mismatch> {
    let length = match operand {
        Operand::Text(text) => text.chars().count(),
        Operand::Other(value) if matches!(value.kind(), Kind::Array | Kind::Object) => value.len(),
        other => {
            return Err(Mismatch {
                expected: "a string, a list or an object",
                got: other.words(),
            });
        }
    };
    Ok(i64::try_from(length).unwrap_or(i64::MAX))
}

/// Returns true if the address is in the network. The address is canonical: IPv4-mapped IPv6 counts as IPv4, in the
/// policy's networks too.
fn is_within(address: IpAddr, network: &Network) -> bool {
    let (address, base, width) = match (address, network.address) {
        (IpAddr::V4(address), IpAddr::V4(base)) => {
            (u128::from(address.to_bits()), u128::from(base.to_bits()), 32_u32)
        }
        (IpAddr::V6(address), IpAddr::V6(base)) => (address.to_bits(), base.to_bits(), 128),
        (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => return false,
    };
    let host_bits = width.saturating_sub(u32::from(network.prefix));
    // A shift by the whole width keeps nothing: the network of prefix 0 holds every address of its family.
    (address ^ base).checked_shr(host_bits).unwrap_or(0) == 0
}
