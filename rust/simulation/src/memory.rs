//! The data of a Redis server in memory, with the commands that the scripts use and no others.
//!
//! Written after the documentation of each command at <https://redis.io/docs/latest/commands/>. `tests/replay.rs` holds it against
//! a real server.

use std::collections::{HashMap, HashSet, VecDeque};

use foldhash::fast::FixedState;
use redis::Value;

/// Fixed, so that one seed gives one run.
type Map<V> = HashMap<String, V, FixedState>;

type Members = HashSet<String, FixedState>;

#[derive(Debug)]
enum Data {
    Hash(Map<String>),
    List(VecDeque<String>),
    Set(Members),
    Sorted(Map<f64>),
}

#[derive(Debug)]
struct Entry {
    data: Data,
    /// The time at which the key goes.
    expires_us: Option<u64>,
}

/// The keys of a server, and its clock.
#[derive(Debug, Default)]
pub struct Memory {
    keys: Map<Entry>,
    now_us: u64,
    commands: u64,
}

/// A command that the server does not know in this form, or that does not fit the type of the key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` cannot be run here; expected a command of the scripts, with a key of its type")]
pub struct CommandError(String);

impl Memory {
    /// Sets the clock, in Unix microseconds.
    pub fn set_time(&mut self, now_us: u64) {
        self.now_us = now_us;
    }

    /// The number of commands that were run.
    pub const fn commands(&self) -> u64 {
        self.commands
    }

    /// The number of keys.
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// True if there are no keys.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Runs one command.
    pub fn run(&mut self, words: &[String]) -> Result<Value, CommandError> {
        self.commands += 1;
        let fault = || CommandError(words.join(" "));
        let (name, rest) = words.split_first().ok_or_else(fault)?;
        if name == "TIME" {
            let parts = [self.now_us / 1_000_000, self.now_us % 1_000_000];
            return Ok(Value::Array(parts.map(|part| text(&part.to_string())).to_vec()));
        }
        let (key, args) = rest.split_first().ok_or_else(fault)?;
        self.expire(key);
        let answer = match name.as_str() {
            "DEL" => Some(Value::Int(
                rest.iter().map(|key| i64::from(self.remove(key))).sum(),
            )),
            "EXISTS" => Some(flag(self.keys.contains_key(key))),
            "PEXPIRE" => self.expire_in(key, args),
            "PERSIST" => {
                let entry = self.keys.get_mut(key);
                Some(flag(entry.is_some_and(|entry| entry.expires_us.take().is_some())))
            }
            _ => match name.as_bytes().first() {
                Some(b'H') => self.hash(name, key, args),
                Some(b'L' | b'R') => self.list(name, key, args),
                Some(b'S') => self.set(name, key, args),
                _ => self.sorted(name, key, args),
            },
        };
        self.drop_empty(key);
        answer.ok_or_else(fault)
    }

    fn expire(&mut self, key: &str) {
        let is_over = |entry: &Entry| entry.expires_us.is_some_and(|at_us| at_us <= self.now_us);
        if self.keys.get(key).is_some_and(is_over) {
            self.keys.remove(key);
        }
    }

    fn remove(&mut self, key: &str) -> bool {
        self.expire(key);
        self.keys.remove(key).is_some()
    }

    fn drop_empty(&mut self, key: &str) {
        let is_empty = |entry: &Entry| match &entry.data {
            Data::Hash(fields) => fields.is_empty(),
            Data::List(items) => items.is_empty(),
            Data::Set(members) => members.is_empty(),
            Data::Sorted(members) => members.is_empty(),
        };
        if self.keys.get(key).is_some_and(is_empty) {
            self.keys.remove(key);
        }
    }

    fn expire_in(&mut self, key: &str, args: &[String]) -> Option<Value> {
        let [ms] = args else { return None };
        let at_us = self.now_us + ms.parse::<u64>().ok()? * 1_000;
        let entry = self.keys.get_mut(key);
        Some(flag(entry.map(|entry| entry.expires_us = Some(at_us)).is_some()))
    }

    fn data(&mut self, key: &str, new: Data) -> &mut Data {
        let entry = self.keys.entry(key.to_owned()).or_insert(Entry {
            data: new,
            expires_us: None,
        });
        &mut entry.data
    }

    fn hash(&mut self, name: &str, key: &str, args: &[String]) -> Option<Value> {
        if name == "HSET" {
            let Data::Hash(fields) = self.data(key, Data::Hash(Map::default())) else {
                return None;
            };
            let (pairs, rest) = args.as_chunks::<2>();
            let before = fields.len();
            for [field, value] in pairs {
                fields.insert(field.clone(), value.clone());
            }
            return rest.is_empty().then(|| number(fields.len() - before));
        }
        let empty = Map::default();
        let fields = match self.keys.get_mut(key).map(|entry| &mut entry.data) {
            Some(Data::Hash(fields)) if name == "HDEL" => {
                let removed = args.iter().filter(|field| fields.remove(*field).is_some());
                return Some(number(removed.count()));
            }
            Some(Data::Hash(fields)) => fields,
            Some(_) => return None,
            None => &empty,
        };
        let value = |field: &String| fields.get(field).map_or(Value::Nil, |value| text(value));
        match (name, args) {
            ("HGET", [field]) => Some(value(field)),
            ("HMGET", args) => Some(Value::Array(args.iter().map(value).collect())),
            ("HGETALL", []) => {
                let pairs = fields
                    .iter()
                    .flat_map(|(field, value)| [text(field), text(value)]);
                Some(Value::Array(pairs.collect()))
            }
            ("HDEL", _) => Some(Value::Int(0)),
            _ => None,
        }
    }

    fn list(&mut self, name: &str, key: &str, args: &[String]) -> Option<Value> {
        if let ("RPUSH", [item]) = (name, args) {
            let Data::List(items) = self.data(key, Data::List(VecDeque::new())) else {
                return None;
            };
            items.push_back(item.clone());
            return Some(number(items.len()));
        }
        let mut empty = VecDeque::new();
        let items = match self.keys.get_mut(key).map(|entry| &mut entry.data) {
            Some(Data::List(items)) => items,
            Some(_) => return None,
            None => &mut empty,
        };
        match (name, args) {
            ("LPOP", []) => Some(items.pop_front().map_or(Value::Nil, |item| text(&item))),
            ("LINDEX", [place]) => {
                let item = place_of(place, items.len()).and_then(|place| items.get(place));
                Some(item.map_or(Value::Nil, |item| text(item)))
            }
            ("LSET", [place, item]) => {
                let place = place_of(place, items.len())?;
                items.get_mut(place)?.clone_from(item);
                Some(Value::Okay)
            }
            ("LRANGE", [from, to]) if from == "0" && to == "-1" => {
                Some(Value::Array(items.iter().map(|item| text(item)).collect()))
            }
            _ => None,
        }
    }

    fn set(&mut self, name: &str, key: &str, args: &[String]) -> Option<Value> {
        if let ("SADD", [member]) = (name, args) {
            let Data::Set(members) = self.data(key, Data::Set(Members::default())) else {
                return None;
            };
            return Some(flag(members.insert(member.clone())));
        }
        let mut empty = Members::default();
        let members = match self.keys.get_mut(key).map(|entry| &mut entry.data) {
            Some(Data::Set(members)) => members,
            Some(_) => return None,
            None => &mut empty,
        };
        match (name, args) {
            ("SREM", [member]) => Some(flag(members.remove(member))),
            ("SCARD", []) => Some(number(members.len())),
            ("SPOP", [most]) => {
                let popped: Vec<String> = members.iter().take(most.parse().ok()?).cloned().collect();
                for member in &popped {
                    members.remove(member);
                }
                Some(Value::Array(popped.iter().map(|member| text(member)).collect()))
            }
            _ => None,
        }
    }

    fn sorted(&mut self, name: &str, key: &str, args: &[String]) -> Option<Value> {
        if let ("ZADD", [score, member]) = (name, args) {
            let score = score.parse().ok()?;
            let Data::Sorted(members) = self.data(key, Data::Sorted(Map::default())) else {
                return None;
            };
            return Some(flag(members.insert(member.clone(), score).is_none()));
        }
        let mut empty = Map::default();
        let members = match self.keys.get_mut(key).map(|entry| &mut entry.data) {
            Some(Data::Sorted(members)) => members,
            Some(_) => return None,
            None => &mut empty,
        };
        match (name, args) {
            ("ZREMRANGEBYSCORE", [from, to]) if from == "-inf" => {
                let to: f64 = to.parse().ok()?;
                let before = members.len();
                members.retain(|_, score| *score > to);
                Some(number(before - members.len()))
            }
            ("ZRANGEBYSCORE", [from, to, limit, first, most])
                if to == "+inf" && limit == "LIMIT" && first == "0" =>
            {
                let above: f64 = from.strip_prefix('(')?.parse().ok()?;
                let mut found: Vec<(&String, f64)> = members
                    .iter()
                    .map(|(member, score)| (member, *score))
                    .filter(|(_, score)| *score > above)
                    .collect();
                found.sort_by(|one, other| one.1.total_cmp(&other.1).then_with(|| one.0.cmp(other.0)));
                found.truncate(most.parse().ok()?);
                Some(Value::Array(
                    found.iter().map(|(member, _)| text(member)).collect(),
                ))
            }
            _ => None,
        }
    }
}

/// A place in a list; negative ones are from the end.
fn place_of(place: &str, len: usize) -> Option<usize> {
    let place: isize = place.parse().ok()?;
    if place < 0 {
        len.checked_add_signed(place)
    } else {
        place.try_into().ok()
    }
}

fn text(text: &str) -> Value {
    Value::BulkString(text.as_bytes().to_vec())
}

fn number(number: usize) -> Value {
    Value::Int(i64::try_from(number).unwrap_or(i64::MAX))
}

fn flag(flag: bool) -> Value {
    Value::Int(flag.into())
}
