//! The facts that agentgateway sends about a message.

use callgate_proto::ext_mcp::{McpHeader, McpRequest, McpResponse};
use prost_types::value::Kind;
use prost_types::{Struct, Value};

use crate::proxy::Attributes;

/// The namespace of [`crate::IdentitySource::Metadata`] for the results of the gateway's own expressions.
const METADATA: &str = "agentgateway";

/// Fields that the gateway holds against the client's message itself, and writes anew for the server, under the name by
/// which that knows the tool: they may say another name than what is judged.
const GATEWAYS_OWN: [&str; 2] = ["mcp-method", "mcp-name"];

/// The attributes of one message, or of one result.
#[derive(Clone, Copy, Debug)]
pub(super) struct McpAttributes<'a> {
    headers: &'a [McpHeader],
    metadata: Option<&'a Struct>,
    /// No headers come with a result: what the gateway was told to send for them stands in the metadata.
    is_result: bool,
    upstream: &'a str,
}

impl<'a> McpAttributes<'a> {
    pub(super) fn of_request(request: &'a McpRequest) -> Self {
        Self {
            headers: &request.headers,
            metadata: request.metadata_context.as_ref(),
            is_result: false,
            upstream: "",
        }
    }

    pub(super) fn of_result(response: &'a McpResponse) -> Self {
        Self {
            headers: &[],
            metadata: response.metadata_context.as_ref(),
            is_result: true,
            upstream: "",
        }
    }

    /// The same, of a message that goes to this target of the gateway.
    pub(super) const fn at(self, upstream: &'a str) -> Self {
        Self { upstream, ..self }
    }
}

impl<'a> Attributes<'a> for McpAttributes<'a> {
    fn headers(&self) -> impl Iterator<Item = (&'a str, Option<&'a str>)> {
        let sent = self.headers.iter();
        let sent = sent.map(|header| (header.key.as_str(), std::str::from_utf8(&header.value).ok()));
        let told = self.metadata.filter(|_| self.is_result);
        let told = told.into_iter().flat_map(|metadata| &metadata.fields);
        let told = told.filter_map(|(name, value)| Some((name.as_str(), Some(text(value)?))));
        sent.chain(told)
    }

    fn fields(&self) -> impl Iterator<Item = (&'a str, &'a [u8])> {
        let headers = self.headers.iter();
        headers
            .map(|header| (header.key.as_str(), header.value.as_slice()))
            .filter(|(name, _)| !GATEWAYS_OWN.contains(name))
    }

    /// Every message comes this way.
    fn method(&self) -> &'a str {
        "POST"
    }

    fn extension(&self, name: &str) -> Option<&'a str> {
        text(self.metadata?.fields.get(name)?)
    }

    fn metadata(&self, namespace: &str, path: &[String]) -> Option<&'a str> {
        if namespace != METADATA {
            return None;
        }
        let (last, rest) = path.split_last()?;
        let mut within = self.metadata?;
        for key in rest {
            within = match within.fields.get(key)?.kind.as_ref()? {
                Kind::StructValue(inner) => inner,
                _ => return None,
            };
        }
        text(within.fields.get(last)?)
    }

    /// Returns `None`: the gateway's expressions know the client's certificate, and pass its facts on as metadata.
    fn principal(&self) -> Option<&'a str> {
        None
    }

    fn host(&self) -> &'a str {
        ""
    }

    fn path(&self) -> &'a str {
        ""
    }

    fn upstream(&self) -> Option<&'a str> {
        Some(self.upstream)
    }
}

fn text(value: &Value) -> Option<&str> {
    match value.kind.as_ref()? {
        Kind::StringValue(text) => Some(text),
        _ => None,
    }
}
