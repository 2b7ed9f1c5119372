//! One call, and the values that its paths reach.

use crate::json::Json;
use crate::path::{Path, PathEnd, Root, walk};
use crate::reply::Reply;
use crate::window::clock;

/// Deepest nesting of arguments.
const MAX_DEPTH: usize = 64;

/// One attempt to use a tool at one instant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// Nanoseconds on the boot clock.
    pub boot_ns: u64,
    /// Unix time minus boot time, in microseconds.
    pub unix_offset_us: i64,
    /// Id of the grant.
    pub grant: String,
    /// The grant's labels.
    pub labels: Vec<(String, String)>,
    /// The session; none if empty.
    pub session: String,
    /// The server.
    pub server: String,
    /// The tool.
    pub tool: String,
    /// The JSON text of the arguments.
    pub args: String,
    /// The answer to the call if it needs an approval; `None` where nobody is asked.
    pub reply: Option<Reply>,
}

/// The catalogue's facts about the call's tool.
#[derive(Clone, Debug, Default)]
pub(crate) struct Facts {
    pub(crate) category: Option<String>,
    pub(crate) risk: Option<String>,
    pub(crate) input_schema: Option<Json>,
}

impl Call {
    pub(crate) fn unix_us(&self) -> u64 {
        (self.boot_ns / 1_000).saturating_add_signed(self.unix_offset_us)
    }

    /// The arguments, if the request is well formed.
    pub(crate) fn well_formed(&self) -> Option<Json> {
        let names = [&self.grant, &self.server, &self.tool];
        if names.iter().any(|name| name.is_empty() || name.contains('\0')) || self.session.contains('\0') {
            return None;
        }
        let text = if self.args.is_empty() { "{}" } else { &self.args };
        Json::read(text.as_bytes(), MAX_DEPTH)
            .ok()
            .filter(|args| matches!(args, Json::Object(_)))
    }

    pub(crate) fn values(&self, args: &Json, facts: &Facts, path: &Path) -> Vec<PathEnd> {
        let text = |text: &str| Some(Json::Text(text.to_owned()));
        let (hour, weekday) = clock(self.unix_us());
        let value = match &path.root {
            Root::Args => return walk(Some(args), &path.steps),
            Root::Label(name) => {
                let label = self.labels.iter().find(|(label, _)| label == name);
                label.and_then(|(_, value)| text(value))
            }
            Root::Fixed(root) => match root.as_str() {
                "tool" => text(&self.tool),
                "server" => text(&self.server),
                "session" if self.session.is_empty() => None,
                "session" => text(&self.session),
                "grant.id" => text(&self.grant),
                "category" => facts.category.as_deref().and_then(text),
                "risk" => facts.risk.as_deref().and_then(text),
                "time.hour" => Some(Json::whole(hour)),
                "time.weekday" => Some(Json::whole(weekday)),
                _ => return vec![PathEnd::WrongKind],
            },
        };
        vec![value.map_or(PathEnd::Missing, PathEnd::Value)]
    }
}
