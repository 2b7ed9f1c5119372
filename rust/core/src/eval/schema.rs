//! `schema`: validates arguments against a JSON Schema.

use serde_json::{Map, Number, Value as Json};

use super::message::shown;
use crate::json::{Kind, Value};

/// Describes the first fault of the arguments, without their values; `None` if they are valid.
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

/// Converts the arguments to the validator's form.
///
/// Built from the tape, not parsed again: a second parser might read the same bytes differently.
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
