//! The facts of a request that Envoy sends at its beginning.

use std::collections::BTreeMap;

use callgate_proto::pb::envoy::config::core::v3::{HeaderMap, HeaderValue, Metadata};
use callgate_proto::pb::google::protobuf::Struct;
use callgate_proto::pb::google::protobuf::value::Kind;
use tonic::metadata::MetadataMap;

use super::super::attributes::string_at;
use crate::proxy::Attributes;

/// The attribute that holds the first URI of the client's certificate, if `request_attributes` asks for it.
const PRINCIPAL: &str = "connection.uri_san_peer_certificate";

/// A request without its body.
#[derive(Clone, Debug, Default)]
pub(super) struct Head {
    pub(super) headers: HeaderMap,
    pub(super) attributes: BTreeMap<String, Struct>,
    pub(super) metadata: Option<Metadata>,
    /// The values that the proxy's configuration adds on this route: the metadata with which it opened this stream.
    pub(super) extensions: MetadataMap,
}

impl Head {
    /// The value of a pseudo-header such as `:path`; Envoy sends each once.
    fn pseudo(&self, name: &str) -> &str {
        let mut headers = self.headers.headers.iter();
        let found = headers.find(|header| header.key == name).and_then(value);
        found.unwrap_or_default()
    }
}

/// The headers of a message without its pseudo-headers.
pub(super) fn fields(headers: &HeaderMap) -> impl Iterator<Item = (&str, Option<&str>)> {
    let plain = headers
        .headers
        .iter()
        .filter(|header| !header.key.starts_with(':'));
    plain.map(|header| (header.key.as_str(), value(header)))
}

/// The value of a header, if it is text.
pub(super) fn value(header: &HeaderValue) -> Option<&str> {
    if header.raw_value.is_empty() {
        Some(&header.value)
    } else {
        std::str::from_utf8(&header.raw_value).ok()
    }
}

/// Finds an attribute, under the name of any filter.
pub(super) fn attribute<'a>(attributes: &'a BTreeMap<String, Struct>, name: &str) -> Option<&'a Kind> {
    let mut filters = attributes.values();
    filters.find_map(|filter| filter.fields.get(name)?.kind.as_ref())
}

impl<'a> Attributes<'a> for &'a Head {
    fn headers(&self) -> impl Iterator<Item = (&'a str, Option<&'a str>)> {
        fields(&self.headers)
    }

    fn method(&self) -> &'a str {
        self.pseudo(":method")
    }

    fn extension(&self, name: &str) -> Option<&'a str> {
        self.extensions.get(name)?.to_str().ok()
    }

    fn metadata(&self, namespace: &str, path: &[String]) -> Option<&'a str> {
        string_at(self.metadata.as_ref()?.filter_metadata.get(namespace)?, path)
    }

    fn principal(&self) -> Option<&'a str> {
        match attribute(&self.attributes, PRINCIPAL)? {
            Kind::StringValue(principal) => {
                Some(principal.as_str()).filter(|principal| !principal.is_empty())
            }
            _ => None,
        }
    }

    fn host(&self) -> &'a str {
        self.pseudo(":authority")
    }

    fn path(&self) -> &'a str {
        self.pseudo(":path")
    }
}
