//! Reads a policy that the engine has accepted, so it does not look for faults.

use crate::condition::Check;
use crate::json::Json;
use crate::path::Path;
use crate::pattern::Pattern;
use crate::window::{Window, read_rate};

type Read<T> = Result<T, String>;

#[derive(Clone, Debug)]
pub(crate) struct Policy {
    pub(crate) default_deny: bool,
    pub(crate) shadowed: bool,
    pub(crate) hide: Vec<Pattern>,
    pub(crate) all_tools: Rules,
    /// Rules by category; `None` if the category is hidden.
    pub(crate) categories: Vec<(String, Option<Rules>)>,
    pub(crate) tools: Vec<(Pattern, Rules)>,
}

#[derive(Clone, Debug)]
pub(crate) struct Rules {
    /// `/tools/<key>` or a similar pointer.
    pub(crate) pointer: String,
    pub(crate) shadowed: bool,
    pub(crate) action: String,
    pub(crate) require: Vec<Check>,
    pub(crate) deny_if: Vec<Check>,
    pub(crate) schema: Option<Json>,
    pub(crate) limits: Vec<Limit>,
    pub(crate) approval_when: Option<Vec<Check>>,
}

#[derive(Clone, Debug)]
pub(crate) struct Limit {
    pub(crate) counter: String,
    /// `/tools/<key>/limits/<counter>` or a similar pointer.
    pub(crate) pointer: String,
    pub(crate) window: Window,
    pub(crate) max: i128,
    pub(crate) scope: Vec<Scope>,
    pub(crate) cost: Cost,
    /// `at_max: require_approval`.
    pub(crate) asks: bool,
}

#[derive(Clone, Debug)]
pub(crate) enum Scope {
    /// `grant`, `session` or another word.
    Word(String),
    /// An argument, with its path as written.
    Argument(Path),
}

#[derive(Clone, Debug)]
pub(crate) enum Cost {
    /// A fixed cost in millionths.
    Fixed(i128),
    Argument(Path),
}

/// One step of a pointer, escaped as in RFC 6901.
pub(crate) fn step(text: &str) -> String {
    text.replace('~', "~0").replace('/', "~1")
}

fn text<'j>(json: &'j Json, name: &str) -> Option<&'j str> {
    json.get(name).and_then(Json::text)
}

impl Policy {
    pub(crate) fn read(json: &Json) -> Read<Self> {
        let shadowed = text(json, "mode") == Some("shadow");
        let pattern = |text: &str| Pattern::parse(text).ok_or_else(|| format!("the pattern {text}"));
        let members = |name: &str| json.get(name).map_or(&[][..], Json::members);
        let hide = json.get("hide").map_or(&[][..], Json::elements).iter();
        let mut categories = Vec::new();
        for (name, rules) in members("categories") {
            let rules = if matches!(rules.get("hide"), Some(Json::Bool(true))) {
                None
            } else {
                let pointer = format!("/categories/{}", step(name));
                Some(Rules::read(
                    rules,
                    pointer,
                    &format!("category.{name}"),
                    shadowed,
                )?)
            };
            categories.push((name.clone(), rules));
        }
        let mut tools = Vec::new();
        for (key, rules) in members("tools") {
            let pointer = format!("/tools/{}", step(key));
            tools.push((pattern(key)?, Rules::read(rules, pointer, key, shadowed)?));
        }
        let all_tools = json.get("all_tools").unwrap_or(&Json::Null);
        Ok(Self {
            default_deny: text(json, "default") == Some("deny"),
            shadowed,
            hide: hide.filter_map(Json::text).map(pattern).collect::<Read<_>>()?,
            all_tools: Rules::read(all_tools, "/all_tools".to_owned(), "all_tools", shadowed)?,
            categories,
            tools,
        })
    }

    /// The rules of all entries.
    pub(crate) fn rules(&self) -> impl Iterator<Item = &Rules> {
        let categories = self.categories.iter().filter_map(|(_, rules)| rules.as_ref());
        let tools = self.tools.iter().map(|(_, rules)| rules);
        tools.chain(categories).chain([&self.all_tools])
    }

    /// The entry that applies to a tool.
    pub(crate) fn entry(&self, tool: &str) -> Option<&Rules> {
        let mut best: Option<&(Pattern, Rules)> = None;
        for entry in self.tools.iter().filter(|(pattern, _)| pattern.matches(tool)) {
            let rank = |(pattern, _): &(Pattern, Rules)| (pattern.is_exact(), pattern.literals());
            if best.is_none_or(|best| rank(entry) > rank(best)) {
                best = Some(entry);
            }
        }
        best.map(|(_, rules)| rules)
    }
}

impl Rules {
    /// Reads the rules of an entry. The counter of `rate_limit` is named after `key`.
    fn read(json: &Json, pointer: String, key: &str, shadowed: bool) -> Read<Self> {
        let mut limits = Vec::new();
        for limit in json.get("limits").map_or(&[][..], Json::elements) {
            limits.push(Limit::read(limit, &pointer)?);
        }
        if let Some(rate) = json.get("rate_limit") {
            limits.push(Limit::read_rate(rate, &pointer, key)?);
        }
        let when = json.get("approval").and_then(|approval| approval.get("when"));
        Ok(Self {
            shadowed: text(json, "mode").map_or(shadowed, |mode| mode == "shadow"),
            action: text(json, "action").unwrap_or("allow").to_owned(),
            require: Check::read_list(json.get("require"))?,
            deny_if: Check::read_list(json.get("deny_if"))?,
            schema: json.get("schema").cloned(),
            limits,
            approval_when: when.map(|when| Check::read_list(Some(when))).transpose()?,
            pointer,
        })
    }
}

impl Limit {
    fn read(json: &Json, entry: &str) -> Read<Self> {
        let counter = text(json, "counter").ok_or("a limit without counter")?;
        let calendar = text(json, "align") == Some("calendar");
        let number = |json: &Json| json.number()?.millionths();
        let grant = Json::Text("grant".to_owned());
        let scope = match json.get("scope").unwrap_or(&grant) {
            Json::List(list) => list.clone(),
            one => vec![one.clone()],
        };
        let cost = match json.get("cost") {
            None => Cost::Fixed(1_000_000),
            Some(Json::Text(path)) => Cost::Argument(Path::parse(path).ok_or("a cost")?),
            Some(cost) => Cost::Fixed(number(cost).ok_or("a cost")?),
        };
        Ok(Self {
            counter: counter.to_owned(),
            pointer: format!("{entry}/limits/{}", step(counter)),
            window: json
                .get("window")
                .and_then(|window| Window::read(window, calendar))
                .ok_or("a window")?,
            max: json.get("max").and_then(number).ok_or("a max")?,
            scope: scope
                .iter()
                .map(Scope::read)
                .collect::<Option<_>>()
                .ok_or("a scope")?,
            cost,
            asks: text(json, "at_max") == Some("require_approval"),
        })
    }

    fn read_rate(json: &Json, entry: &str, key: &str) -> Read<Self> {
        let (max, window) = match json {
            Json::Text(rate) => read_rate(rate).ok_or("a rate")?,
            rate => {
                let max = rate.get("max").and_then(Json::number).ok_or("a max")?;
                let window = rate.get("window").and_then(|window| Window::read(window, false));
                (max.clone(), window.ok_or("a window")?)
            }
        };
        let counter = format!("{key}_rate");
        Ok(Self {
            pointer: format!("{entry}/limits/{}", step(&counter)),
            counter,
            window,
            max: max.millionths().ok_or("a max")?,
            scope: ["grant", "tool"].map(|word| Scope::Word(word.to_owned())).into(),
            cost: Cost::Fixed(1_000_000),
            asks: false,
        })
    }
}

impl Scope {
    fn read(json: &Json) -> Option<Self> {
        let text = json.text()?;
        if text.starts_with("args") {
            return Path::parse(text).map(Self::Argument);
        }
        Some(Self::Word(text.to_owned()))
    }

    /// The identity of this kind of scope.
    pub(crate) fn kind(&self) -> String {
        match self {
            Self::Word(word) => word.clone(),
            Self::Argument(path) => format!("{:?}", path.steps),
        }
    }
}
