//! A generated call that is not finished.

use std::collections::BTreeMap;

use bytes::Bytes;
use callgate_core::policy::ast::{Path, Root, Step};
use callgate_core::{Caller, Pep};
use callgate_proto::decision::v1::CheckRequest;
use serde_json::{Map, Value};

use super::values::Candidate;

/// The highest index of a generated list.
const MAX_INDEX: usize = 100;

/// A generated call that is not finished.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Draft {
    pub(super) server: Option<String>,
    pub(super) tool: String,
    pub(super) grant: Option<String>,
    session: Option<String>,
    labels: BTreeMap<String, String>,
    pub(super) args: Value,
}

impl Draft {
    pub(super) fn new(server: Option<&str>, tool: &str, args: Value) -> Self {
        Self {
            server: server.map(str::to_owned),
            tool: tool.to_owned(),
            grant: None,
            session: None,
            labels: BTreeMap::new(),
            args: if args.is_object() {
                args
            } else {
                Value::Object(Map::new())
            },
        }
    }

    /// Sets the value at the end of a path. Ignores paths that a caller does not choose (the time, the catalogue).
    pub(super) fn set(&mut self, path: &Path, value: Candidate) {
        let text = match &value {
            Some(Value::String(text)) => Some(text.clone()).filter(|text| !text.is_empty()),
            Some(other) => Some(other.to_string()),
            None => None,
        };
        match &path.root {
            Root::Args if path.steps.is_empty() => {
                if let Some(args @ Value::Object(_)) = value {
                    self.args = args;
                }
            }
            Root::Args => put(&mut self.args, &path.steps, value),
            Root::Session => self.session = text,
            Root::GrantId => self.grant = text,
            Root::GrantLabel(label) => {
                self.labels.remove(label);
                if let Some(text) = text {
                    self.labels.insert(label.clone(), text);
                }
            }
            Root::Tool | Root::Server | Root::Category | Root::Risk | Root::Hour | Root::Weekday => {}
        }
    }

    pub(super) fn request(&self, grant: &str) -> CheckRequest {
        CheckRequest {
            grant: self.grant.as_deref().unwrap_or(grant).to_owned(),
            tool: self.tool.clone(),
            args_json: Bytes::from(self.args.to_string()),
            server: self.server.clone().unwrap_or_default(),
            session: self.session.clone().unwrap_or_default(),
            labels: self.labels.clone(),
            ..CheckRequest::default()
        }
    }
}

/// Converts a request for the core as the server does.
pub(super) fn with_core<T>(request: &CheckRequest, ask: impl FnOnce(&callgate_core::Request<'_>) -> T) -> T {
    let labels: Vec<_> = request
        .labels
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    ask(&callgate_core::Request {
        caller: Caller::new(&request.grant, &request.grant_token, &labels),
        pep: Pep::UNNAMED,
        tool: &request.tool,
        server: &request.server,
        session: Some(request.session.as_str()),
        args: callgate_core::Args::Json(&request.args_json),
        reserve: None,
        pins: None,
        unseen_member: None,
    })
}

fn put(value: &mut Value, steps: &[Step], new: Candidate) {
    let Some((step, rest)) = steps.split_first() else {
        if let Some(new) = new {
            *value = new;
        }
        return;
    };
    match step {
        Step::Key(key) => {
            if !value.is_object() {
                *value = Value::Object(Map::new());
            }
            let Value::Object(members) = value else { return };
            if rest.is_empty() && new.is_none() {
                members.remove(key);
            } else {
                put(members.entry(key.clone()).or_insert(Value::Null), rest, new);
            }
        }
        Step::Index(_) | Step::Every => {
            let index = if let Step::Index(index) = step { *index } else { 0 };
            if index > MAX_INDEX {
                return;
            }
            if !value.is_array() {
                *value = Value::Array(Vec::new());
            }
            let Value::Array(elements) = value else { return };
            if rest.is_empty() && new.is_none() {
                elements.truncate(index);
                return;
            }
            while elements.len() <= index {
                elements.push(Value::Null);
            }
            if *step == Step::Every {
                elements.truncate(1);
            }
            if let Some(element) = elements.get_mut(index) {
                put(element, rest, new);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn values_land_where_their_path_leads() {
        let key = |key: &str| Step::Key(key.to_owned());
        let mut args = json!({"a": 1});
        put(&mut args, &[key("b"), key("c")], Some(json!(2)));
        put(&mut args, &[key("list"), Step::Index(1)], Some(json!("x")));
        put(
            &mut args,
            &[key("items"), Step::Every, key("price")],
            Some(json!(3)),
        );
        assert_eq!(
            args,
            json!({"a": 1, "b": {"c": 2}, "list": [null, "x"], "items": [{"price": 3}]})
        );
        put(&mut args, &[key("b"), key("c")], None);
        put(&mut args, &[key("a"), key("deep")], Some(json!(4)));
        assert_eq!(args["b"], json!({}));
        assert_eq!(args["a"], json!({"deep": 4}));
    }
}
