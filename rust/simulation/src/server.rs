//! A Redis server that knows two scripts: the Lua that Redis runs, over [`Memory`].

use std::cell::RefCell;
use std::rc::Rc;

use callgate_shared::steps::{DECLARE, SCRIPT, ScriptCall};
use mlua::{Function, Lua, Table, Variadic};
use redis::Value;

use crate::memory::Memory;

/// The server, in simulated time.
#[derive(Debug)]
pub struct Server {
    lua: Lua,
    script: Function,
    declare: Function,
    memory: Rc<RefCell<Memory>>,
}

/// An answer, and the work that it took.
#[derive(Debug)]
pub struct Answer {
    /// The answer as a client reads it.
    pub value: Value,
    /// The commands that the script has run.
    pub commands: u64,
}

impl Server {
    /// A server without keys.
    pub fn new() -> mlua::Result<Self> {
        let lua = Lua::new();
        let memory = Rc::new(RefCell::new(Memory::default()));
        let redis = lua.create_table()?;
        let data = Rc::clone(&memory);
        redis.set(
            "call",
            lua.create_function(move |lua, words: Variadic<mlua::Value>| {
                let words: Vec<String> = words.iter().map(word).collect::<mlua::Result<_>>()?;
                let answer = data.borrow_mut().run(&words).map_err(mlua::Error::external)?;
                to_lua(lua, answer)
            })?,
        )?;
        lua.globals().set("redis", redis)?;
        Ok(Self {
            script: lua.load(SCRIPT).set_name("script.lua").into_function()?,
            declare: lua.load(DECLARE).set_name("declare.lua").into_function()?,
            memory,
            lua,
        })
    }

    /// Runs a script as one step, at this Unix time.
    pub fn run(&self, call: &ScriptCall, now_us: u64) -> mlua::Result<Answer> {
        let before = {
            let mut memory = self.memory.borrow_mut();
            memory.set_time(now_us);
            memory.commands()
        };
        let globals = self.lua.globals();
        globals.set(
            "KEYS",
            self.lua
                .create_sequence_from(call.keys.iter().map(String::as_str))?,
        )?;
        globals.set(
            "ARGV",
            self.lua
                .create_sequence_from(call.args.iter().map(String::as_str))?,
        )?;
        let function = if call.is_declaration {
            &self.declare
        } else {
            &self.script
        };
        let answer: mlua::Value = function.call(())?;
        Ok(Answer {
            value: to_redis(&answer)?,
            commands: self.memory.borrow().commands() - before,
        })
    }
}

/// An argument of `redis.call`: numbers become the shortest text that is one.
fn word(value: &mlua::Value) -> mlua::Result<String> {
    match value {
        mlua::Value::String(text) => Ok(text.to_str()?.to_owned()),
        mlua::Value::Integer(number) => Ok(number.to_string()),
        mlua::Value::Number(number) => Ok(number.to_string()),
        other => Err(mlua::Error::external(format!(
            "`redis.call` got a {}; expected strings and numbers",
            other.type_name()
        ))),
    }
}

/// Redis' conversion of answers to Lua.
fn to_lua(lua: &Lua, value: Value) -> mlua::Result<mlua::Value> {
    Ok(match value {
        Value::Nil => mlua::Value::Boolean(false),
        Value::Int(number) =>
        {
            #[expect(clippy::cast_precision_loss, reason = "all numbers of Lua 5.1 are of 64 bits")]
            mlua::Value::Number(number as f64)
        }
        Value::BulkString(bytes) => mlua::Value::String(lua.create_string(bytes)?),
        Value::Array(values) => {
            let table = lua.create_table_with_capacity(values.len(), 0)?;
            for value in values {
                table.raw_push(to_lua(lua, value)?)?;
            }
            mlua::Value::Table(table)
        }
        // A status; the scripts look at none.
        _ => mlua::Value::Table(lua.create_table()?),
    })
}

/// Redis' conversion of what a script returns: numbers lose their fraction, a table ends at the first nil.
fn to_redis(value: &mlua::Value) -> mlua::Result<Value> {
    Ok(match value {
        mlua::Value::Nil | mlua::Value::Boolean(false) => Value::Nil,
        mlua::Value::Boolean(true) => Value::Int(1),
        mlua::Value::Integer(number) => Value::Int(*number),
        #[expect(clippy::cast_possible_truncation, reason = "as Redis does")]
        mlua::Value::Number(number) => Value::Int(*number as i64),
        mlua::Value::String(text) => Value::BulkString(text.as_bytes().to_vec()),
        mlua::Value::Table(table) => Value::Array(items(table)?),
        other => {
            return Err(mlua::Error::external(format!(
                "a script returned a {}; expected tables, strings and numbers",
                other.type_name()
            )));
        }
    })
}

fn items(table: &Table) -> mlua::Result<Vec<Value>> {
    table
        .sequence_values::<mlua::Value>()
        .map(|value| to_redis(&value?))
        .collect()
}
