//! JSON as `docs/policy.md` defines it: no duplicate keys, no lone surrogates, bounded depth and numbers. Keeps the
//! order of members and the spelling of numbers.

use crate::decimal::Decimal;

/// One value.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "the kinds of JSON")]
pub enum Json {
    Null,
    Bool(bool),
    /// The exact value and its spelling.
    Number(Decimal, String),
    Text(String),
    List(Vec<Json>),
    /// Members in document order.
    Object(Vec<(String, Json)>),
}

/// The reason for which a text is not JSON that callgate accepts, in a few words for debugging.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JsonError(pub &'static str);

type Read<T> = Result<T, JsonError>;

impl Json {
    /// Reads a whole document. A list or object at its root has depth 1.
    pub fn read(bytes: &[u8], max_depth: usize) -> Read<Self> {
        let text = str::from_utf8(bytes).map_err(|_| JsonError("not UTF-8"))?;
        let mut reader = Reader {
            rest: text,
            levels_left: max_depth,
        };
        let value = reader.value()?;
        reader.space();
        if reader.rest.is_empty() {
            Ok(value)
        } else {
            Err(JsonError("something after the value"))
        }
    }

    /// A whole number as JSON.
    pub fn whole(value: i64) -> Self {
        Self::Number(Decimal::whole(value), value.to_string())
    }

    /// The member of this name, if this is an object that has it.
    pub fn get(&self, name: &str) -> Option<&Self> {
        self.members()
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value)
    }

    /// The members of an object; none for anything else.
    pub fn members(&self) -> &[(String, Self)] {
        match self {
            Self::Object(members) => members,
            _ => &[],
        }
    }

    /// The elements of a list; none for anything else.
    pub fn elements(&self) -> &[Self] {
        match self {
            Self::List(elements) => elements,
            _ => &[],
        }
    }

    /// The text of a string.
    pub fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The value of a number.
    pub fn number(&self) -> Option<&Decimal> {
        match self {
            Self::Number(value, _) => Some(value),
            _ => None,
        }
    }

    /// A text that is equal for equal values: members sorted, each number in its canonical spelling.
    pub fn key(&self) -> String {
        match self {
            Self::Null | Self::Bool(_) | Self::Text(_) => self.to_json(),
            Self::Number(value, _) => value.key(),
            Self::List(elements) => {
                let keys: Vec<String> = elements.iter().map(Self::key).collect();
                format!("[{}]", keys.join(","))
            }
            Self::Object(members) => {
                let mut keys: Vec<String> = members
                    .iter()
                    .map(|(key, value)| format!("{}:{}", quoted(key), value.key()))
                    .collect();
                keys.sort();
                format!("{{{}}}", keys.join(","))
            }
        }
    }

    /// The value as JSON text, with the original spelling of numbers.
    pub fn to_json(&self) -> String {
        match self {
            Self::Null => "null".to_owned(),
            Self::Bool(value) => value.to_string(),
            Self::Number(_, text) => text.clone(),
            Self::Text(text) => quoted(text),
            Self::List(elements) => {
                let parts: Vec<String> = elements.iter().map(Self::to_json).collect();
                format!("[{}]", parts.join(","))
            }
            Self::Object(members) => {
                let parts: Vec<String> = members
                    .iter()
                    .map(|(key, value)| format!("{}:{}", quoted(key), value.to_json()))
                    .collect();
                format!("{{{}}}", parts.join(","))
            }
        }
    }
}

/// A string as JSON.
pub fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

struct Reader<'t> {
    rest: &'t str,
    levels_left: usize,
}

impl Reader<'_> {
    fn space(&mut self) {
        self.rest = self.rest.trim_start_matches([' ', '\t', '\n', '\r']);
    }

    fn eat(&mut self, token: &str) -> bool {
        match self.rest.strip_prefix(token) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn expect(&mut self, token: &str, reason: &'static str) -> Read<()> {
        if self.eat(token) {
            Ok(())
        } else {
            Err(JsonError(reason))
        }
    }

    fn value(&mut self) -> Read<Json> {
        self.space();
        if self.eat("null") {
            return Ok(Json::Null);
        }
        if self.eat("true") {
            return Ok(Json::Bool(true));
        }
        if self.eat("false") {
            return Ok(Json::Bool(false));
        }
        match self.rest.chars().next() {
            Some('"') => Ok(Json::Text(self.string()?)),
            Some('[') => self.nested(Self::list),
            Some('{') => self.nested(Self::object),
            _ => self.number(),
        }
    }

    fn nested(&mut self, read: fn(&mut Self) -> Read<Json>) -> Read<Json> {
        self.levels_left = self.levels_left.checked_sub(1).ok_or(JsonError("too deep"))?;
        let value = read(self);
        self.levels_left += 1;
        value
    }

    fn list(&mut self) -> Read<Json> {
        let mut elements = Vec::new();
        self.expect("[", "a list")?;
        self.space();
        if self.eat("]") {
            return Ok(Json::List(elements));
        }
        loop {
            elements.push(self.value()?);
            self.space();
            if self.eat("]") {
                return Ok(Json::List(elements));
            }
            self.expect(",", "`,` or `]`")?;
        }
    }

    fn object(&mut self) -> Read<Json> {
        let mut members = Vec::new();
        let mut keys = std::collections::HashSet::new();
        self.expect("{", "an object")?;
        self.space();
        if self.eat("}") {
            return Ok(Json::Object(members));
        }
        loop {
            self.space();
            let key = self.string()?;
            if !keys.insert(key.clone()) {
                return Err(JsonError("a key twice"));
            }
            self.space();
            self.expect(":", "`:`")?;
            members.push((key, self.value()?));
            self.space();
            if self.eat("}") {
                return Ok(Json::Object(members));
            }
            self.expect(",", "`,` or `}`")?;
        }
    }

    fn string(&mut self) -> Read<String> {
        self.expect("\"", "a string")?;
        let mut out = String::new();
        loop {
            let next = self.take()?;
            match next {
                '"' => return Ok(out),
                '\\' => out.push(self.escape()?),
                '\0'..='\x1f' => return Err(JsonError("a control character in a string")),
                plain => out.push(plain),
            }
        }
    }

    fn take(&mut self) -> Read<char> {
        let mut characters = self.rest.chars();
        let next = characters.next().ok_or(JsonError("a string without end"))?;
        self.rest = characters.as_str();
        Ok(next)
    }

    fn escape(&mut self) -> Read<char> {
        Ok(match self.take()? {
            plain @ ('"' | '\\' | '/') => plain,
            'b' => '\x08',
            'f' => '\x0c',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'u' => {
                let mut units = vec![self.unit()?];
                if (0xd800..0xdc00).contains(&units[0]) && self.eat("\\u") {
                    units.push(self.unit()?);
                }
                let decoded = String::from_utf16(&units).map_err(|_| JsonError("a lone surrogate"))?;
                decoded.chars().next().ok_or(JsonError("an escape"))?
            }
            _ => return Err(JsonError("an unknown escape")),
        })
    }

    fn unit(&mut self) -> Read<u16> {
        let digits = self.rest.get(..4).ok_or(JsonError("four hex digits"))?;
        if !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(JsonError("four hex digits"));
        }
        self.rest = &self.rest[4..];
        u16::from_str_radix(digits, 16).map_err(|_| JsonError("four hex digits"))
    }

    fn digits(&mut self) -> Read<usize> {
        let rest = self.rest.trim_start_matches(|c: char| c.is_ascii_digit());
        let count = self.rest.len() - rest.len();
        self.rest = rest;
        if count == 0 {
            Err(JsonError("a digit"))
        } else {
            Ok(count)
        }
    }

    fn number(&mut self) -> Read<Json> {
        let start = self.rest;
        self.eat("-");
        let zero = self.rest.starts_with('0');
        if self.digits()? > 1 && zero {
            return Err(JsonError("a leading zero"));
        }
        if self.eat(".") {
            self.digits()?;
        }
        let mut exponent = None;
        if self.eat("e") || self.eat("E") {
            let from = self.rest;
            let _ = self.eat("+") || self.eat("-");
            self.digits()?;
            exponent = from.get(..from.len() - self.rest.len());
        }
        let text = &start[..start.len() - self.rest.len()];
        let fits = |exponent: &str| exponent.parse::<i64>().is_ok_and(|value| value.abs() <= 10_000);
        if text.len() > 1_000 || !exponent.is_none_or(fits) {
            return Err(JsonError("a number out of bounds"));
        }
        let value = Decimal::parse(text).ok_or(JsonError("a number out of bounds"))?;
        Ok(Json::Number(value, text.to_owned()))
    }
}
