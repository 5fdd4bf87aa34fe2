//! The jails as `fail2ban-client -d` shows them: one Python list a line.
//!
//! For people who compare before they move over, and for our own comparison with the tool.

use crate::jails::{FILTER_OPTIONS, Folder, Jail, is_yes, lines};
use std::fmt::Write as _;

/// A value of Python's.
#[derive(Clone, Debug, PartialEq)]
enum Value {
    Text(String),
    Number(i64),
    Truth(bool),
    Nothing,
    List(Vec<Value>),
}

/// The lines, without those of fail2ban.conf. `expand` gives the files that a pattern of `logpath` names.
#[must_use]
pub fn lines_of(folder: &Folder, expand: &dyn Fn(&str) -> Vec<String>) -> Vec<String> {
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
    out.into_iter().map(|line| Value::List(line).shown()).collect()
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
        out.push(set(option, value));
    }
    if let Some(list) = jail.option("ignoreip") {
        let mut words = vec![text("set"), text(&jail.name), text("addignoreip")];
        let each = list.split(|c: char| c.is_whitespace() || c == ',').filter(|word| !word.is_empty());
        words.extend(each.map(text));
        out.push(words);
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
        "ignorecache",
        "logencoding",
        "logtimezone",
    ];
    let read = |name: &'static str| {
        let value = jail.option(name)?;
        let value = match name {
            "maxretry" | "maxmatches" => number(value),
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

impl Value {
    fn shown(&self) -> String {
        match self {
            Value::Text(text) => quoted(text),
            Value::Number(number) => number.to_string(),
            Value::Truth(true) => "True".to_owned(),
            Value::Truth(false) => "False".to_owned(),
            Value::Nothing => "None".to_owned(),
            Value::List(list) => {
                let each: Vec<String> = list.iter().map(Value::shown).collect();
                format!("[{}]", each.join(", "))
            }
        }
    }
}

/// Python's way to write a text.
fn quoted(text: &str) -> String {
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
