//! The attributes that Envoy sends of a request.

use std::collections::BTreeMap;

use callgate_proto::pb::envoy::config::core::v3::Metadata;
use callgate_proto::pb::envoy::service::auth::v3::AttributeContext;
use callgate_proto::pb::envoy::service::auth::v3::attribute_context::HttpRequest;
use callgate_proto::pb::google::protobuf::Struct;
use callgate_proto::pb::google::protobuf::value::Kind;

use crate::proxy::{Attributes, Found, Singles, single};

/// The attributes of one request over HTTP.
#[derive(Debug)]
pub(super) struct HttpAttributes<'a> {
    pub(super) http: &'a HttpRequest,
    extensions: &'a BTreeMap<String, String>,
    pub(super) metadata: Option<&'a Metadata>,
    principal: &'a str,
    singles: Singles<'a>,
}

impl<'a> HttpAttributes<'a> {
    /// Reads the attributes; `None` if the request is not an HTTP request.
    pub(super) fn of(context: &'a AttributeContext) -> Option<Self> {
        let http: &HttpRequest = context.request.as_ref()?.http.as_ref()?;
        Some(Self {
            http,
            extensions: &context.context_extensions,
            metadata: context.metadata_context.as_ref(),
            principal: context.source.as_ref().map_or("", |peer| peer.principal.as_str()),
            singles: Singles::of(headers(http)),
        })
    }
}

/// Envoy either joins those of one name with commas, or leaves them apart where `encode_raw_headers` is set.
fn headers(http: &HttpRequest) -> impl Iterator<Item = (&str, Option<&str>)> {
    let joined = http.headers.iter();
    let joined = joined.map(|(name, value)| (name.as_str(), Some(value.as_str())));
    let raw = http.header_map.iter().flat_map(|map| &map.headers);
    let raw = raw.map(|header| {
        let value = if header.raw_value.is_empty() {
            Some(header.value.as_str())
        } else {
            std::str::from_utf8(&header.raw_value).ok()
        };
        (header.key.as_str(), value)
    });
    joined.chain(raw)
}

impl<'a> Attributes<'a> for HttpAttributes<'a> {
    fn headers(&self) -> impl Iterator<Item = (&'a str, Option<&'a str>)> {
        headers(self.http)
    }

    fn header(&self, name: &str) -> Found<'a> {
        self.singles
            .get(name)
            .unwrap_or_else(|| single(self.headers(), name))
    }

    fn method(&self) -> &'a str {
        &self.http.method
    }

    fn extension(&self, name: &str) -> Option<&'a str> {
        self.extensions.get(name).map(String::as_str)
    }

    fn metadata(&self, namespace: &str, path: &[String]) -> Option<&'a str> {
        string_at(self.metadata?.filter_metadata.get(namespace)?, path)
    }

    fn principal(&self) -> Option<&'a str> {
        Some(self.principal).filter(|principal| !principal.is_empty())
    }

    fn host(&self) -> &'a str {
        &self.http.host
    }

    fn path(&self) -> &'a str {
        &self.http.path
    }
}

pub(super) fn string_at<'a>(within: &'a Struct, path: &[String]) -> Option<&'a str> {
    let (key, rest) = path.split_first()?;
    match (within.fields.get(key)?.kind.as_ref()?, rest) {
        (Kind::StringValue(text), []) => Some(text),
        (Kind::StructValue(inner), [_, ..]) => string_at(inner, rest),
        _ => None,
    }
}
