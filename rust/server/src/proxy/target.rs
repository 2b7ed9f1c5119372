//! Paths that name a server, a tool or both.

use std::borrow::Cow;
use std::str::FromStr;
use std::sync::LazyLock;

use super::UnclearError;

/// A path such as `/servers/{server}/tools/{tool}`: each part is literal, or a placeholder for one part of a path. A
/// template without placeholders is an address for messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathTemplate {
    parts: Vec<Part>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Literal(String),
    Server,
    Tool,
}

/// A faulty template.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// The template does not begin with `/`.
    #[error("expected a path that begins with `/`")]
    NoPath,
    /// A part is not one of the allowed forms.
    #[error("expected each part to be `{{server}}`, `{{tool}}`, or letters, digits and `-._~`")]
    Part,
    /// One of the two placeholders occurs twice.
    #[error("expected `{{server}}` and `{{tool}}` once at most")]
    Twice,
}

/// The server and the tool that a path names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Target<'a> {
    pub(super) server: Option<Cow<'a, str>>,
    pub(super) tool: Option<Cow<'a, str>>,
}

impl PathTemplate {
    /// The template `/mcp/{server}`.
    pub(crate) fn mcp() -> Self {
        Self {
            parts: vec![Part::Literal("mcp".to_owned()), Part::Server],
        }
    }

    /// Returns the server of a path of the form `/mcp/{server}`.
    pub(crate) fn mcp_server(path: &str) -> Result<Option<Cow<'_, str>>, UnclearError> {
        static MCP: LazyLock<[PathTemplate; 1]> = LazyLock::new(|| [PathTemplate::mcp()]);
        let found = find(&*MCP, path)?;
        Ok(found.and_then(|target| target.server))
    }

    /// Returns true if the template names a tool.
    pub(super) fn names_tool(&self) -> bool {
        self.parts.contains(&Part::Tool)
    }

    fn matched<'a>(&self, path: &'a str) -> Result<Option<Target<'a>>, UnclearError> {
        let mut target = Target::default();
        let mut parts = path.strip_prefix('/').unwrap_or_default().split('/');
        for part in &self.parts {
            let Some(found) = parts.next() else {
                return Ok(None);
            };
            match part {
                Part::Literal(literal) if decoded(found)? == *literal => {}
                Part::Literal(_) => return Ok(None),
                Part::Server => target.server = Some(decoded(found)?),
                Part::Tool => target.tool = Some(decoded(found)?),
            }
        }
        Ok(parts.next().is_none().then_some(target))
    }
}

impl FromStr for PathTemplate {
    type Err = TemplateError;

    fn from_str(text: &str) -> Result<Self, TemplateError> {
        let path = text.strip_prefix('/').ok_or(TemplateError::NoPath)?;
        let parts: Vec<Part> = path.split('/').map(part).collect::<Result<_, _>>()?;
        let count = |wanted: &Part| parts.iter().filter(|part| *part == wanted).count();
        match (count(&Part::Server), count(&Part::Tool)) {
            (0 | 1, 0 | 1) => Ok(Self { parts }),
            _ => Err(TemplateError::Twice),
        }
    }
}

fn part(text: &str) -> Result<Part, TemplateError> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    match text {
        "{server}" => Ok(Part::Server),
        "{tool}" => Ok(Part::Tool),
        "" | "." | ".." => Err(TemplateError::Part),
        literal if literal.bytes().all(is_plain) => Ok(Part::Literal(literal.to_owned())),
        _ => Err(TemplateError::Part),
    }
}

/// Returns the target by the first template that matches a path and its query; `None` if none matches.
///
/// A path that proxies, frameworks and file systems read differently is refused: the judged path might not be the
/// called one.
pub(super) fn find<'a>(
    templates: &[PathTemplate],
    path: &'a str,
) -> Result<Option<Target<'a>>, UnclearError> {
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    if let Some(trick) = trick(path) {
        return Err(UnclearError::new(format!(
            "the path holds {trick}, which not everybody reads in the same way; send it in its plain form"
        )));
    }
    for template in templates {
        if let Some(target) = template.matched(path)? {
            if target.tool.is_some() && !query.is_empty() {
                return Err(UnclearError::new(
                    "the path names the tool and has a query, in which a server may look for arguments that nobody has \
                     judged; send them in the body",
                ));
            }
            return Ok(Some(target));
        }
    }
    Ok(None)
}

fn trick(path: &str) -> Option<&'static str> {
    let is_odd = |byte: u8| byte.is_ascii_control() || byte == b' ' || byte == b'\\' || byte == b'#';
    if path.bytes().any(is_odd) {
        return Some("a space, a backslash, `#` or a control character");
    }
    if path.contains(';') {
        return Some("`;`");
    }
    if path.contains("//") {
        return Some("`//`");
    }
    let is_dots = |part: &str| {
        // Hardly any part begins so, and the rest needs no copy.
        part.starts_with(['.', '%'])
            && matches!(part.to_ascii_lowercase().replace("%2e", ".").as_str(), "." | "..")
    };
    if path.split('/').any(is_dots) {
        return Some("`.` or `..`");
    }
    None
}

/// Returns one part of a path without percent-encoding.
fn decoded(part: &str) -> Result<Cow<'_, str>, UnclearError> {
    if !part.contains('%') {
        return Ok(Cow::Borrowed(part));
    }
    let fault = || {
        UnclearError::new(
            "the path holds a percent-encoding that stands for no plain text; send the name as UTF-8",
        )
    };
    let mut bytes = Vec::with_capacity(part.len());
    let mut rest = part.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let digit = |byte: Option<u8>| char::from(byte?).to_digit(16);
        let (high, low) = (digit(rest.next()), digit(rest.next()));
        let value = high
            .zip(low)
            .and_then(|(high, low)| u8::try_from(high << 4 | low).ok());
        bytes.push(value.ok_or_else(fault)?);
    }
    let text = String::from_utf8(bytes).map_err(|_| fault())?;
    // Somebody on the way may decode first and split afterwards, or decode twice.
    if text
        .bytes()
        .any(|byte| byte.is_ascii_control() || b"/\\;%?#".contains(&byte))
    {
        return Err(fault());
    }
    Ok(Cow::Owned(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn templates() -> Vec<PathTemplate> {
        ["/mcp/{server}", "/servers/{server}/tools/{tool}", "/tools/{tool}"]
            .map(|text| text.parse().unwrap())
            .into()
    }

    fn names(path: &str) -> Result<(String, String), UnclearError> {
        let templates = templates();
        let target = find(&templates, path)?;
        let text = |name: Option<Cow<'_, str>>| name.map_or("-".to_owned(), Cow::into_owned);
        let target = target.unwrap_or_default();
        Ok((text(target.server), text(target.tool)))
    }

    #[test]
    fn paths_name_what_their_template_says() {
        for (path, server, tool) in [
            ("/mcp/github", "github", "-"),
            ("/mcp/github?x=//..;", "github", "-"),
            ("/servers/aws/tools/create-ami", "aws", "create-ami"),
            ("/tools/create%2Dami", "-", "create-ami"),
            ("/tools/gr%C3%B6%C3%9Fe", "-", "größe"),
            ("/%6dcp/github", "github", "-"),
            ("/mcp/github/", "-", "-"),
            ("/mcp", "-", "-"),
            ("/MCP/github", "-", "-"),
            ("/tools/a/b", "-", "-"),
            ("/", "-", "-"),
            ("", "-", "-"),
            ("*", "-", "-"),
        ] {
            assert_eq!(names(path), Ok((server.to_owned(), tool.to_owned())), "{path}");
        }
    }

    #[test]
    fn paths_that_are_read_in_different_ways_are_refused() {
        for path in [
            "//mcp/github",
            "/mcp//github",
            "/mcp/./github",
            "/mcp/../mcp/github",
            "/mcp/%2e%2E/github",
            "/mcp/.%2e/github",
            "/mcp/github;v=1",
            "/mcp/git%2fhub",
            "/mcp/git%5chub",
            "/mcp/git%3bhub",
            "/mcp/git%252fhub",
            "/mcp/git\\hub",
            "/mcp/git hub",
            "/mcp/git%00hub",
            "/mcp/git%zzhub",
            "/mcp/git%2",
            "/mcp/git%ff",
            "/mcp/github#x",
            "/tools/a\tb",
            "/tools/create-ami?count=99",
        ] {
            assert!(names(path).is_err(), "{path}");
        }
    }

    #[test]
    fn templates_that_mean_nothing_are_refused() {
        for (text, fault) in [
            ("mcp/{server}", TemplateError::NoPath),
            ("", TemplateError::NoPath),
            ("/", TemplateError::Part),
            ("/mcp/{server}/", TemplateError::Part),
            ("/mcp/{name}", TemplateError::Part),
            ("/mcp/x{server}", TemplateError::Part),
            ("/a/../{server}", TemplateError::Part),
            ("/{server}/{server}", TemplateError::Twice),
            ("/{tool}/{tool}", TemplateError::Twice),
        ] {
            assert_eq!(text.parse::<PathTemplate>(), Err(fault), "{text}");
        }
        assert_eq!("/mcp/{server}".parse(), Ok(PathTemplate::mcp()));
        let plain: PathTemplate = "/mcp".parse().unwrap();
        assert_eq!(find(&[plain], "/mcp"), Ok(Some(Target::default())));
    }
}
