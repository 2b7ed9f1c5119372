//! Cases as data: the format of `tests/cases/decisions`.

use crate::call::Call;
use crate::json::{Json, quoted};

/// A policy, a catalogue and calls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Case {
    /// JSON text.
    pub policy: String,
    /// JSON text of a catalogue file.
    pub catalogue: String,
    /// In order.
    pub calls: Vec<Call>,
}

impl Case {
    /// Reads one case of `tests/cases/decisions`, or what [`Case::spelled`] wrote. `None` where it is neither.
    pub fn read(json: &Json) -> Option<Self> {
        Some(Self {
            policy: json.get("policy")?.spelled(),
            catalogue: catalogue(json.get("catalogue")),
            calls: json
                .get("calls")?
                .elements()
                .iter()
                .map(read_call)
                .collect::<Option<_>>()?,
        })
    }

    /// The case as a file holds it.
    pub fn spelled(&self) -> String {
        let calls: Vec<String> = self.calls.iter().map(spelled_call).collect();
        format!(
            "{{\"policy\": {},\n \"catalogue\": {},\n \"calls\": [\n  {}\n ]}}\n",
            self.policy,
            self.catalogue,
            calls.join(",\n  ")
        )
    }
}

/// A catalogue file; the short form stands for the one server of the cases.
fn catalogue(json: Option<&Json>) -> String {
    match json {
        None => r#"{"version": "1", "servers": {}}"#.to_owned(),
        Some(full) if full.get("servers").is_some() => full.spelled(),
        Some(short) => {
            let tools: Vec<String> = short
                .members()
                .iter()
                .map(|(tool, category)| format!("{}: {{\"category\": {}}}", quoted(tool), category.spelled()))
                .collect();
            format!(
                r#"{{"version": "1", "servers": {{"srv": {{"tools": {{{}}}}}}}}}"#,
                tools.join(", ")
            )
        }
    }
}

fn read_call(json: &Json) -> Option<Call> {
    let text = |name: &str, absent: &str| match json.get(name) {
        Some(value) => value.text().map(str::to_owned),
        None => Some(absent.to_owned()),
    };
    let labels = json.get("labels").map_or(&[][..], Json::members);
    Some(Call {
        boot_ns: boot_ns(json)?,
        unix_offset_us: match json.get("unix_offset_us") {
            Some(offset) => offset.spelled().parse().ok()?,
            None => 0,
        },
        grant: text("grant", "g1")?,
        labels: labels
            .iter()
            .map(|(name, value)| Some((name.clone(), value.text()?.to_owned())))
            .collect::<Option<_>>()?,
        session: text("session", "")?,
        server: text("server", "srv")?,
        tool: text("tool", "")?,
        args: match json.get("args_text") {
            Some(text) => text.text()?.to_owned(),
            None => json.get("args").map_or_else(String::new, Json::spelled),
        },
    })
}

/// `boot_ns`, or `at` in seconds to the nearest microsecond: the files hold sums of binary fractions.
fn boot_ns(json: &Json) -> Option<u64> {
    // A million years fits; beyond that, nothing is tested.
    const MOST_SECONDS: f64 = 9e9;
    if let Some(boot_ns) = json.get("boot_ns") {
        return boot_ns.spelled().parse().ok();
    }
    let seconds: f64 = json.get("at")?.spelled().parse().ok()?;
    if !(0.0..=MOST_SECONDS).contains(&seconds) {
        return None;
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "the range was just checked"
    )]
    let micros = (seconds * 1e6).round() as u64;
    micros.checked_mul(1_000)
}

fn spelled_call(call: &Call) -> String {
    let labels: Vec<String> = call
        .labels
        .iter()
        .map(|(name, value)| format!("{}: {}", quoted(name), quoted(value)))
        .collect();
    format!(
        "{{\"boot_ns\": {}, \"unix_offset_us\": {}, \"grant\": {}, \"labels\": {{{}}}, \"session\": {}, \"server\": {}, \
         \"tool\": {}, \"args_text\": {}}}",
        call.boot_ns,
        call.unix_offset_us,
        quoted(&call.grant),
        labels.join(", "),
        quoted(&call.session),
        quoted(&call.server),
        quoted(&call.tool),
        quoted(&call.args)
    )
}
