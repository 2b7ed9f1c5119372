//! The properties that the fuzz targets check. They are here, so that ordinary tests can run the inputs that were
//! found.

use callgate_core::State;
use callgate_core::engine::Policies;
use callgate_core::json::{JsonError, JsonErrorKind, Tape};
use callgate_core::policy::{Catalogue, Format, PolicyError, Source, parse};

use crate::json::Json;
use crate::{Case, compare, generate};

/// The deepest arguments that callgate accepts.
const MAX_DEPTH: usize = 64;

/// Spaces before and behind a document, which move it against the groups of bytes that the engine compares at once.
const MOVES: [(usize, usize); 4] = [(1, 0), (7, 16), (15, 3), (16, 40)];

/// The longest input in bytes; longer ones take time and find nothing new.
const MAX_BYTES: usize = 16 * 1024;

/// Checks policies, as JSON and as YAML: a fault lies inside the document, and a canonical policy is the same policy.
///
/// # Errors
///
/// The property that does not hold, with the place.
pub fn policy(bytes: &[u8]) -> Result<(), String> {
    if bytes.len() > MAX_BYTES {
        return Ok(());
    }
    let mut versions = Vec::new();
    for format in [Format::Json, Format::Yaml] {
        versions.push(match version(format, bytes) {
            Ok(version) => version,
            Err(error) => {
                place(bytes, format, &error)?;
                None
            }
        });
    }
    let yaml = versions.pop().flatten();
    let Some(json) = versions.pop().flatten() else {
        return Ok(());
    };
    if yaml.is_some_and(|yaml| yaml != json) {
        return Err("the same text is one policy as JSON and another as YAML".to_owned());
    }
    let mut tape = Tape::new();
    let value = tape
        .parse(bytes, usize::MAX)
        .map_err(|error| format!("a policy that is no JSON: {error}"))?;
    let canonical = canonical(value);
    match version(Format::Json, canonical.as_bytes()) {
        Ok(Some(again)) if again == json => Ok(()),
        Ok(again) => Err(format!("version {json}, canonical {again:?}: {canonical}")),
        Err(error) => Err(format!("{error:?} in the canonical form: {canonical}")),
    }
}

fn canonical(value: callgate_core::json::Value<'_>) -> String {
    let mut out = String::new();
    value.write_canonical(&mut out);
    out
}

/// The version of a policy, `None` if it does not compile, or an error if the parser finds a fault.
fn version(format: Format, bytes: &[u8]) -> Result<Option<String>, PolicyError> {
    let policy = parse(&Source {
        name: "<fuzz>",
        stem: "fuzz",
        format,
        bytes,
    })?;
    let state = State::build(Policies::EveryServer(policy), Catalogue::default()).ok();
    Ok(state.and_then(|state| state.policies().next().map(|policy| policy.version().to_owned())))
}

/// Checks that the place of a fault is inside the document or directly behind it.
fn place(bytes: &[u8], format: Format, error: &PolicyError) -> Result<(), String> {
    // YAML ends lines at a carriage return, too.
    let text = String::from_utf8_lossy(bytes);
    let text = match format {
        Format::Json => text,
        Format::Yaml => text.replace("\r\n", "\n").replace('\r', "\n").into(),
    };
    let line = text.split('\n').nth(error.line.wrapping_sub(1));
    let inside = match line {
        Some(line) => (1..=line.chars().count() + 1).contains(&error.column),
        None => false,
    };
    let plain = !error.message.is_empty() && !error.message.contains('\n');
    if inside && plain {
        Ok(())
    } else {
        Err(format!("{error:?} is not inside the document"))
    }
}

/// Checks arguments: accepted exactly if `serde_json` and the oracle's reader accept them, except for the documented
/// differences; spaces around them change nothing; the canonical form is stable.
///
/// # Errors
///
/// The property that does not hold.
pub fn arguments(bytes: &[u8]) -> Result<(), String> {
    if bytes.len() > MAX_BYTES {
        return Ok(());
    }
    moves(bytes)?;
    let mut tape = Tape::new();
    let parsed = tape.parse(bytes, MAX_DEPTH);
    let plain = Json::read(bytes, MAX_DEPTH);
    let serde: Result<serde_json::Value, _> = serde_json::from_slice(bytes);
    let value = match (parsed, plain, serde) {
        (Ok(value), Ok(plain), Ok(_)) => {
            same(value, &plain)?;
            value
        }
        (Err(error), Err(_), serde) => {
            let is_stricter = matches!(
                error.kind,
                JsonErrorKind::DuplicateKey(_) | JsonErrorKind::TooDeep { .. } | JsonErrorKind::Number(_)
            );
            return match serde {
                Ok(_) if !is_stricter => Err(format!("only serde_json takes it: {error}")),
                _ if error.offset > bytes.len() => Err(format!("a fault behind the end: {error}")),
                _ => Ok(()),
            };
        }
        (parsed, plain, serde) => {
            let (parsed, serde) = (parsed.map(|_| ()), serde.map(|_| ()));
            return Err(format!(
                "engine {parsed:?}, oracle {plain:?}, serde_json {serde:?}"
            ));
        }
    };
    let once = canonical(value);
    let mut tape = Tape::new();
    let twice = match tape.parse(once.as_bytes(), MAX_DEPTH) {
        Ok(again) => canonical(again),
        Err(error) if is_out_of_bounds(&error) => return Ok(()),
        Err(error) => return Err(format!("{error} in the canonical form {once}")),
    };
    if once == twice {
        Ok(())
    } else {
        Err(format!("{once} became {twice}"))
    }
}

/// Checks that spaces around a document change neither its value nor its fault.
fn moves(bytes: &[u8]) -> Result<(), String> {
    // A byte order mark is named only where a document begins with it.
    if bytes.starts_with("\u{feff}".as_bytes()) {
        return Ok(());
    }
    let mut tape = Tape::new();
    let here = tape.parse(bytes, MAX_DEPTH).map(canonical);
    for (before, behind) in MOVES {
        // Spaces behind belong to a string that does not end.
        let behind = if here.is_ok() { behind } else { 0 };
        let moved = [&b" ".repeat(before), bytes, &b" ".repeat(behind)].concat();
        let there = tape.parse(&moved, MAX_DEPTH);
        let there = there.map(canonical).map_err(|error| JsonError {
            offset: error.offset.wrapping_sub(before),
            kind: error.kind,
        });
        if here != there {
            return Err(format!(
                "{here:?} became {there:?} behind {before} spaces and before {behind}"
            ));
        }
    }
    Ok(())
}

/// Returns whether a number is out of bounds only in its canonical form: `20e10000` is `2e10001` there.
fn is_out_of_bounds(error: &JsonError) -> bool {
    matches!(error.kind, JsonErrorKind::Number(_))
}

/// Checks that the engine's value equals the oracle's.
fn same(value: callgate_core::json::Value<'_>, plain: &Json) -> Result<(), String> {
    let bytes = canonical(value);
    let mut tape = Tape::new();
    if tape
        .parse(bytes.as_bytes(), MAX_DEPTH)
        .is_err_and(|error| is_out_of_bounds(&error))
    {
        return Ok(());
    }
    let read =
        Json::read(bytes.as_bytes(), MAX_DEPTH).map_err(|refused| format!("{refused:?} in {bytes}"))?;
    if read.key() == plain.key() {
        Ok(())
    } else {
        Err(format!("{} is read as {bytes}", plain.to_json()))
    }
}

/// Checks that decisions equal the oracle's. Reads an object as a case of `tests/cases/decisions`, and makes a case
/// from anything else.
///
/// # Errors
///
/// The difference, with the case as `tests/cases/fuzz/decide` would contain it.
pub fn decide(bytes: &[u8]) -> Result<(), String> {
    if bytes.len() > MAX_BYTES {
        return Ok(());
    }
    let case = if bytes.starts_with(b"{") {
        let Some(case) = Json::read(bytes, MAX_DEPTH).ok().as_ref().and_then(Case::read) else {
            return Ok(());
        };
        if !keeps_time(&case) {
            return Ok(());
        }
        case
    } else {
        generate::case(bytes)
    };
    compare::run(&case)
        .map(drop)
        .map_err(|difference| format!("{difference}\n{}", case.to_json()))
}

/// Returns whether the boot clock never steps back, the wall clock never steps, and both stay within a century.
fn keeps_time(case: &Case) -> bool {
    const CENTURY_US: u64 = 36_525 * 86_400 * 1_000_000;
    let offsets = || case.calls.iter().map(|call| call.unix_offset_us);
    case.calls.is_sorted_by_key(|call| call.boot_ns)
        && case.calls.iter().all(|call| call.boot_ns / 1_000 < CENTURY_US)
        && offsets().all(|offset_us| offset_us.unsigned_abs() < CENTURY_US)
        && offsets().min() == offsets().max()
}
