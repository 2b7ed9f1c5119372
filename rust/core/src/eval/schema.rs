//! `schema`: arguments against a JSON Schema.

use serde_json::{Map, Number, Value as Json};

use super::message::shown;
use crate::json::{Kind, Value};

/// What is wrong with the arguments, without their values; `None` when they validate.
pub(super) fn fault(validator: &jsonschema::Validator, args: &Json) -> Option<String> {
    let error = validator.validate(args).err()?;
    let place = error.instance_path().to_string();
    let place = if place.is_empty() {
        String::from("`args`")
    } else {
        format!("`args` at `{}`", shown(&place))
    };
    Some(format!("{place}: {}", shown(&error.masked().to_string())))
}

/// The arguments as the validator reads them.
///
/// Built from the tape, not parsed again: a second reader might see something else in the same bytes.
pub(super) fn owned(value: Value<'_>) -> Json {
    match value.kind() {
        Kind::Null => Json::Null,
        Kind::Bool => Json::Bool(value.as_bool().unwrap_or_default()),
        // The tape has accepted the text as a JSON number, so it is one to serde_json.
        Kind::Number => value
            .as_number()
            .and_then(|text| text.parse::<Number>().ok())
            .map_or(Json::Null, Json::Number),
        Kind::String => Json::String(value.as_str().unwrap_or_default().to_owned()),
        // Depth is bounded by the tape.
        Kind::Array => Json::Array(value.elements().map(owned).collect()),
        Kind::Object => Json::Object(
            value
                .members()
                .map(|(key, value)| (key.to_owned(), owned(value)))
                .collect::<Map<_, _>>(),
        ),
    }
}
