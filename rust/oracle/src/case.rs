//! Cases as data: the format of `tests/cases/decisions`.

use crate::call::Call;
use crate::freeze::Freeze;
use crate::json::{Json, quoted};
use crate::reply::{Reply, ReplyKind};

/// A policy, a catalogue, freezes and calls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Case {
    /// The policy as JSON text.
    pub policy: String,
    /// The catalogue file as JSON text.
    pub catalogue: String,
    /// The freezes, which hold from the first call on.
    pub freezes: Vec<Freeze>,
    /// The calls, in order.
    pub calls: Vec<Call>,
}

impl Case {
    /// Reads one case of `tests/cases/decisions`, or the output of [`Case::to_json`]. `None` for anything else.
    pub fn read(json: &Json) -> Option<Self> {
        Some(Self {
            policy: json.get("policy")?.to_json(),
            catalogue: catalogue(json.get("catalogue")),
            freezes: json
                .get("freezes")
                .map_or(&[][..], Json::elements)
                .iter()
                .map(read_freeze)
                .collect::<Option<_>>()?,
            calls: json
                .get("calls")?
                .elements()
                .iter()
                .map(read_call)
                .collect::<Option<_>>()?,
        })
    }

    /// The case in the format of such a file.
    pub fn to_json(&self) -> String {
        let calls: Vec<String> = self.calls.iter().map(call_to_json).collect();
        let freezes: Vec<String> = self.freezes.iter().map(freeze_to_json).collect();
        format!(
            "{{\"policy\": {},\n \"catalogue\": {},\n \"freezes\": [{}],\n \"calls\": [\n  {}\n ]}}\n",
            self.policy,
            self.catalogue,
            freezes.join(", "),
            calls.join(",\n  ")
        )
    }
}

/// A catalogue file; the short form stands for the single server of the cases.
fn catalogue(json: Option<&Json>) -> String {
    match json {
        None => r#"{"version": "1", "servers": {}}"#.to_owned(),
        Some(full) if full.get("servers").is_some() => full.to_json(),
        Some(short) => {
            let tools: Vec<String> = short
                .members()
                .iter()
                .map(|(tool, category)| format!("{}: {{\"category\": {}}}", quoted(tool), category.to_json()))
                .collect();
            format!(
                r#"{{"version": "1", "servers": {{"srv": {{"tools": {{{}}}}}}}}}"#,
                tools.join(", ")
            )
        }
    }
}

/// A freeze; its end is in whole simulated seconds, or in Unix microseconds as `until_us`.
fn read_freeze(json: &Json) -> Option<Freeze> {
    let text = |name| json.get(name).and_then(Json::text).map(str::to_owned);
    let number = |name| json.get(name).map(|number| number.to_json().parse::<u64>().ok());
    let until_us = match (number("until_us"), number("until")) {
        (Some(until_us), _) => Some(until_us?),
        (None, Some(seconds)) => Some(seconds?.checked_mul(1_000_000)?),
        (None, None) => None,
    };
    Some(Freeze {
        server: text("server"),
        tool: text("tool"),
        grant: text("grant"),
        until_us,
    })
}

fn freeze_to_json(freeze: &Freeze) -> String {
    let names = [
        ("server", &freeze.server),
        ("tool", &freeze.tool),
        ("grant", &freeze.grant),
    ];
    let names = names
        .iter()
        .filter_map(|(field, name)| Some(format!("{}: {}", quoted(field), quoted(name.as_ref()?))));
    let until = freeze
        .until_us
        .map(|until_us| format!("\"until_us\": {until_us}"));
    let fields: Vec<String> = names.chain(until).collect();
    format!("{{{}}}", fields.join(", "))
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
            Some(offset) => offset.to_json().parse().ok()?,
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
            None => json.get("args").map_or_else(String::new, Json::to_json),
        },
        reply: match json.get("reply") {
            Some(reply) => Some(read_reply(reply)?),
            None => None,
        },
    })
}

fn read_reply(json: &Json) -> Option<Reply> {
    let kind = json.get("kind")?.text()?;
    Some(Reply {
        kind: ReplyKind::ALL.into_iter().find(|known| known.name() == kind)?,
        calls_meanwhile: json.get("calls_meanwhile")?.to_json().parse().ok()?,
        is_frozen: matches!(json.get("is_frozen"), Some(Json::Bool(true))),
    })
}

/// `boot_ns`, or `at` in seconds to the nearest microsecond: the files contain sums of binary fractions.
fn boot_ns(json: &Json) -> Option<u64> {
    // A million years fit; longer times are not tested.
    const MOST_SECONDS: f64 = 9e9;
    if let Some(boot_ns) = json.get("boot_ns") {
        return boot_ns.to_json().parse().ok();
    }
    let seconds: f64 = json.get("at")?.to_json().parse().ok()?;
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

fn call_to_json(call: &Call) -> String {
    let labels: Vec<String> = call
        .labels
        .iter()
        .map(|(name, value)| format!("{}: {}", quoted(name), quoted(value)))
        .collect();
    let reply = call.reply.map_or_else(String::new, |reply| {
        format!(
            ", \"reply\": {{\"kind\": {}, \"calls_meanwhile\": {}, \"is_frozen\": {}}}",
            quoted(reply.kind.name()),
            reply.calls_meanwhile,
            reply.is_frozen
        )
    });
    format!(
        "{{\"boot_ns\": {}, \"unix_offset_us\": {}, \"grant\": {}, \"labels\": {{{}}}, \"session\": {}, \"server\": {}, \
         \"tool\": {}, \"args_text\": {}{reply}}}",
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
