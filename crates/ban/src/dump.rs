//! The jails as `fail2ban-client -d` shows them: one Python list a line.
//!
//! For people who compare before they move over, and for our own comparison with the tool.

use crate::jails::{FILTER_OPTIONS, Folder, Jail, is_yes, lines};
use crate::server::Server;
use std::fmt::Write as _;

/// A value of Python's.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// `'text'`
    Text(String),
    /// `1`
    Number(i64),
    /// `True`
    Truth(bool),
    /// `None`
    Nothing,
    /// `['a', 1]`
    List(Vec<Value>),
}

/// The longest line that [`Value::pretty`] leaves whole.
const PRETTY_CHARS_MAX: usize = 1_000;

/// The lines, without those of fail2ban.conf. `expand` gives the files that a pattern of `logpath` names.
#[must_use]
pub fn lines_of(folder: &Folder, expand: &dyn Fn(&str) -> Vec<String>) -> Vec<String> {
    values_of(folder, expand).iter().map(ToString::to_string).collect()
}

/// What fail2ban.conf contributes.
#[must_use]
pub fn of_server(server: &Server) -> Vec<Value> {
    let set = |name: &str, value: Value| Value::List(vec![text("set"), text(name), value]);
    let dbfile = server.dbfile.as_str();
    let mut out = vec![
        set("syslogsocket", text(&server.syslogsocket)),
        set("loglevel", text(&server.loglevel)),
        set("logtarget", text(&server.logtarget)),
        set("allowipv6", text(&server.allowipv6)),
        set("dbfile", text(dbfile)),
    ];
    out.push(set("dbmaxmatches", Value::Number(server.dbmaxmatches)));
    out.push(set("dbpurgeage", text(&server.dbpurgeage)));
    out
}

/// The same as values.
#[must_use]
pub fn values_of(folder: &Folder, expand: &dyn Fn(&str) -> Vec<String>) -> Vec<Value> {
    let mut out = Vec::new();
    for jail in &folder.jails {
        match &jail.error {
            Some(_) => {}
            None => of_jail(jail, expand, &mut out),
        }
    }
    for jail in folder.jails.iter().filter(|jail| jail.error.is_none()) {
        out.push(vec![text("start"), text(&jail.name)]);
    }
    out.into_iter().map(Value::List).collect()
}

fn text(text: &str) -> Value {
    Value::Text(text.to_owned())
}

fn of_jail(jail: &Jail, expand: &dyn Fn(&str) -> Vec<String>, out: &mut Vec<Vec<Value>>) {
    out.push(vec![text("add"), text(&jail.name), text(jail.option("backend").unwrap_or("auto"))]);
    let set = |option: &str, value: Value| vec![text("set"), text(&jail.name), text(option), value];
    for option in FILTER_OPTIONS {
        let Some(value) = jail.filter.get(option) else { continue };
        match option {
            "failregex" | "ignoreregex" => {
                let command = format!("add{option}");
                let mut each: Vec<Value> = lines(value).map(text).collect();
                match each.len() {
                    0 => {}
                    1 => out.extend(each.pop().map(|one| set(&command, one))),
                    _ => {
                        let mut line = set(&command, Value::List(each));
                        if let Some(first) = line.first_mut() {
                            *first = text("multi-set");
                        }
                        out.push(line);
                    }
                }
            }
            "journalmatch" => {
                for line in lines(value) {
                    let mut words = vec![text("set"), text(&jail.name), text("addjournalmatch")];
                    words.extend(line.split_whitespace().map(text));
                    out.push(words);
                }
            }
            "maxlines" => out.push(set(option, number(value))),
            "datepattern" | "prefregex" | "usedns" if value.is_empty() => {}
            _ => out.push(set(option, text(value))),
        }
    }
    for (option, value) in settings(jail) {
        match value {
            Value::List(each) => {
                let add = vec![text("set"), text(&jail.name), text("addignoreip")];
                out.push([add, each].concat());
            }
            value => out.push(set(option, value)),
        }
    }
    for (path, mode) in log_paths(jail) {
        for file in expand(path) {
            out.push(vec![text("set"), text(&jail.name), text("addlogpath"), text(&file), text(mode)]);
        }
    }
    actions(jail, out);
}

/// A jail's `logpath`, and whether each is read from its `head` or `tail`.
pub fn log_paths(jail: &Jail) -> impl Iterator<Item = (&str, &str)> {
    let paths = if jail.reads_journal() { None } else { jail.option("logpath") };
    lines(paths.unwrap_or("")).map(|line| {
        let line = line.trim();
        match line.rsplit_once(char::is_whitespace) {
            Some((path, mode @ ("head" | "tail"))) => (path.trim_end(), mode),
            _ => (line, "head"),
        }
    })
}

fn number(text: &str) -> Value {
    text.trim().parse().map_or(Value::Nothing, Value::Number)
}

fn settings(jail: &Jail) -> Vec<(&'static str, Value)> {
    let names = [
        "maxretry",
        "maxmatches",
        "findtime",
        "bantime",
        "bantime.increment",
        "bantime.factor",
        "bantime.formula",
        "bantime.multipliers",
        "bantime.maxtime",
        "bantime.rndtime",
        "bantime.overalljails",
        "ignorecommand",
        "ignoreself",
        "ignoreip",
        "ignorecache",
        "logencoding",
        "logtimezone",
    ];
    let read = |name: &'static str| {
        let value = jail.option(name)?;
        let value = match name {
            "maxretry" | "maxmatches" => number(value),
            "ignoreip" => {
                let each =
                    value.split(|c: char| c.is_whitespace() || c == ',').filter(|word| !word.is_empty());
                Value::List(each.map(text).collect())
            }
            "bantime.increment" | "bantime.overalljails" | "ignoreself" => Value::Truth(is_yes(value)),
            _ => text(value),
        };
        Some((name, value))
    };
    names.into_iter().filter_map(read).collect()
}

fn actions(jail: &Jail, out: &mut Vec<Vec<Value>>) {
    for action in &jail.actions {
        let add = vec![text("set"), text(&jail.name), text("addaction"), text(&action.name)];
        if let Some(python) = &action.python {
            let mut json = String::from("{");
            for (at, (name, value)) in action.parameters.iter().enumerate() {
                let comma = if at > 0 { ", " } else { "" };
                let (name, value) = (serde_json::Value::from(&**name), serde_json::Value::from(&**value));
                // Writing to a String can't fail.
                let _ = write!(json, "{comma}{name}: {value}");
            }
            json.push('}');
            let mut line = add;
            line.extend([text(&python.display().to_string()), text(&json)]);
            out.push(line);
            continue;
        }
        out.push(add);
        let pair = |name: &str, value: Value| Value::List(vec![text(name), value]);
        let mut rows = Vec::new();
        for (name, value) in &action.commands {
            rows.push(match *name {
                "norestored" | "actionrepair_on_unban" | "actionstart_on_demand" => {
                    pair(name, Value::Truth(is_yes(value)))
                }
                "timeout" => continue,
                _ => pair(name, text(value)),
            });
        }
        rows.extend(action.parameters.iter().map(|(name, value)| match name.as_str() {
            "norestored" | "actionrepair_on_unban" | "actionstart_on_demand" => {
                pair(name, Value::Truth(is_yes(value)))
            }
            _ => pair(name, text(value)),
        }));
        out.push(vec![
            text("multi-set"),
            text(&jail.name),
            text("action"),
            text(&action.name),
            Value::List(rows),
        ]);
    }
}

impl std::fmt::Display for Value {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Value::Text(text) => f.write_str(&quoted(text)),
            Value::Number(number) => write!(f, "{number}"),
            Value::Truth(true) => f.write_str("True"),
            Value::Truth(false) => f.write_str("False"),
            Value::Nothing => f.write_str("None"),
            Value::List(list) => {
                f.write_str("[")?;
                for (at, value) in list.iter().enumerate() {
                    write!(f, "{}{value}", if at > 0 { ", " } else { "" })?;
                }
                f.write_str("]")
            }
        }
    }
}

impl Value {
    /// As `fail2ban-client --dp` shows it: a long list has a line for each of its values.
    #[must_use]
    pub fn pretty(&self) -> String {
        let mut out = String::new();
        self.pretty_at(0, &mut out);
        out
    }

    fn pretty_at(&self, indent: usize, out: &mut String) {
        let whole = self.to_string();
        match self {
            Value::List(list) if whole.chars().count() + indent > PRETTY_CHARS_MAX => {
                out.push_str("[ ");
                for (at, value) in list.iter().enumerate() {
                    if at > 0 {
                        out.push_str(",\n");
                        out.push_str(&" ".repeat(indent + 2));
                    }
                    value.pretty_at(indent + 2, out);
                }
                out.push(']');
            }
            _ => out.push_str(&whole),
        }
    }
}

/// Python's way to write a text.
#[must_use]
pub fn quoted(text: &str) -> String {
    let quote = if text.contains('\'') && !text.contains('"') { '"' } else { '\'' };
    let mut out = String::from(quote);
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c == quote => out.extend(['\\', c]),
            c if c.is_ascii_control() => {
                // Writing to a String can't fail.
                let _ = write!(out, "\\x{:02x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push(quote);
    out
}
