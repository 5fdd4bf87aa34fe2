//! Logs that say what a filter is to find in them, in the form of fail2ban's own samples.
//!
//! Before a line of log stands `# failJSON: {…}`: `match`, and where that is true `time` (local, without a zone),
//! `host`, and whatever else is captured. A line without one is matched by nothing. `# filterOptions: […]` says with
//! which options the filter is asked about the lines behind it, `# fileOptions: {…}` what all of them have besides,
//! `# addFILE: "…"` which other log belongs to it. `constraint` and `test.condition` let a line be, unless they hold;
//! `test.prefix-line` stands before each line.

use serde_json::{Map, Value};
use std::path::{Path, PathBuf};
use std::process::Command;

/// 2005-08-14 10:00:00 UTC: the day on which fail2ban's samples are read.
pub(crate) const NOW_S: i64 = 1_124_013_600;

/// A filter's options, in their order.
pub(crate) type Options = Map<String, Value>;

/// A line of log, and what is said of it.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    /// `postfix:17`.
    pub(crate) place: String,
    pub(crate) text: String,
    pub(crate) said: Map<String, Value>,
}

/// What an engine found in a line.
#[derive(Clone, Debug, Default)]
pub(crate) struct Found {
    pub(crate) time_s: i64,
    pub(crate) host: String,
    /// What else: `user`, `attempts` …
    pub(crate) fields: Map<String, Value>,
}

/// The lines of a filter's log, by the options that it is to be asked with.
pub(crate) fn read(folder: &Path, filter: &str) -> Result<Vec<(Options, Vec<Line>)>, String> {
    let mut sets: Vec<(Options, Vec<Line>)> = Vec::new();
    let mut files = vec![filter.to_owned()];
    let mut at = 0;
    while let Some(name) = files.get(at).cloned() {
        at += 1;
        let text = std::fs::read_to_string(folder.join(&name)).map_err(|error| format!("{name}: {error}"))?;
        let mut of_file = Options::new();
        let mut options = vec![Options::new()];
        let mut said: Option<Map<String, Value>> = None;
        for (number, line) in text.split('\n').enumerate() {
            let line = line.strip_suffix('\r').unwrap_or(line);
            let place = format!("{name}:{}", number + 1);
            let Some((word, value)) = directive(line) else {
                if line.is_empty() || line.starts_with('#') {
                    continue;
                }
                let said = said.take().unwrap_or_default();
                for own in &options {
                    let mut own: Options =
                        of_file.iter().chain(own).map(|(k, v)| (k.clone(), v.clone())).collect();
                    let condition = own.remove("test.condition");
                    let prefix = own.remove("test.prefix-line");
                    let conditions = [condition.as_ref(), said.get("constraint")];
                    if !conditions.into_iter().flatten().all(|condition| holds(condition, filter, &own)) {
                        continue;
                    }
                    let text = prefix.as_ref().and_then(Value::as_str).unwrap_or("").to_owned() + line;
                    let line = Line { place: place.clone(), text, said: said.clone() };
                    match sets.iter_mut().find(|(known, _)| *known == own) {
                        Some((_, lines)) => lines.push(line),
                        None => sets.push((own, vec![line])),
                    }
                }
                continue;
            };
            let value: Value = serde_json::from_str(value).map_err(|error| format!("{place}: {error}"))?;
            let wrong = || format!("{place}: what is this?");
            match (word, value) {
                ("failJSON", Value::Object(object)) => said = Some(object),
                ("addFILE", Value::String(name)) => files.push(name),
                ("fileOptions", Value::Object(object)) => of_file = object,
                ("filterOptions", Value::Object(object)) => options = vec![object],
                ("filterOptions", Value::Array(each)) => {
                    let each = each.into_iter().map(|value| match value {
                        Value::Object(object) => Ok(object),
                        _ => Err(wrong()),
                    });
                    options = each.collect::<Result<_, _>>()?;
                }
                _ => return Err(wrong()),
            }
        }
    }
    Ok(sets)
}

fn directive(line: &str) -> Option<(&str, &str)> {
    let rest = line.starts_with('#').then(|| line.trim_start_matches('#').trim_start())?;
    ["failJSON", "addFILE", "fileOptions", "filterOptions"]
        .into_iter()
        .find_map(|word| Some((word, rest.strip_prefix(word)?.strip_prefix(':')?.trim())))
}

/// `name == 'sshd'`, `opts.get('mode') != 'aggressive'`.
fn holds(condition: &Value, filter: &str, options: &Options) -> bool {
    let text = condition.as_str().expect("a condition");
    let (is_equal, (left, right)) = match text.split_once("==") {
        Some(sides) => (true, sides),
        None => (false, text.split_once("!=").expect("a comparison")),
    };
    let right = right.trim().trim_matches('\'');
    let left = match left.trim() {
        "name" => filter,
        other => {
            let option = other.strip_prefix("opts.get('").and_then(|rest| rest.strip_suffix("')"));
            options.get(option.expect("an option")).and_then(Value::as_str).unwrap_or("")
        }
    };
    (left == right) == is_equal
}

/// The options as they are written behind a filter's name.
pub(crate) fn brackets(options: &Options) -> String {
    let each: Vec<String> =
        options.iter().map(|(name, value)| format!("{name}=\"{}\"", value.as_str().unwrap_or(""))).collect();
    if each.is_empty() { String::new() } else { format!("[{}]", each.join(",")) }
}

/// What is wrong with what was found in a line, if anything is.
pub(crate) fn judge(line: &Line, found: Option<&Found>) -> Vec<String> {
    let is_expected = line.said.get("match").and_then(Value::as_bool).unwrap_or(false);
    let (Some(found), true) = (found, is_expected) else {
        return match found {
            None if is_expected => vec!["nothing is found".to_owned()],
            None => Vec::new(),
            Some(found) => vec![format!("{} is found, nothing should be", found.host)],
        };
    };
    let mut wrong = Vec::new();
    for (name, value) in &line.said {
        let (ours, theirs) = match (name.as_str(), value) {
            ("match" | "desc" | "constraint", _) | ("time", Value::Null) => continue,
            ("time", Value::String(time)) => (Value::from(found.time_s), Value::from(seconds(time))),
            // An address is told by itself, in its usual form.
            ("host" | "ip4" | "ip6", value) => {
                let theirs = value.as_str().unwrap_or("");
                let usual =
                    theirs.parse().map_or(theirs.to_owned(), |address: std::net::IpAddr| address.to_string());
                (Value::from(found.host.clone()), Value::from(usual))
            }
            (name, value) => (found.fields.get(name).cloned().unwrap_or(Value::Null), value.clone()),
        };
        // What is empty isn't captured.
        if ours != theirs && !(ours.is_null() && theirs.as_str() == Some("")) {
            wrong.push(format!("{name} is {ours}, should be {theirs}"));
        }
    }
    wrong
}

/// Names of logs in a folder that are to be read by themselves.
pub(crate) fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let files = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_file()));
    let mut names: Vec<String> =
        files.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

/// The folder of fail2ban's samples: `FAIL2BAN_SAMPLES`, or where Debian's package has them.
pub(crate) fn folder() -> Result<PathBuf, String> {
    let named = std::env::var_os("FAIL2BAN_SAMPLES").map(PathBuf::from);
    let debian = PathBuf::from("/usr/lib/python3/dist-packages/fail2ban/tests/files/logs");
    let folder = named.unwrap_or(debian);
    if folder.join("sshd").exists() { Ok(folder) } else { Err(format!("no samples in {}", folder.display())) }
}

/// A folder with the stock files, and the filters of the samples (`zzz-…`) beside the stock ones that they include.
pub(crate) fn filters(stock: &Path, samples: &Path) -> tempfile::TempDir {
    let holder = tempfile::tempdir().expect("a folder");
    let copied = Command::new("cp").arg("-r").arg(stock).arg(holder.path().join("fail2ban")).status();
    assert!(copied.is_ok_and(|status| status.success()), "cp");
    let into = holder.path().join("fail2ban/filter.d");
    for entry in std::fs::read_dir(samples.join("../../config/filter.d")).into_iter().flatten().flatten() {
        let name = entry.file_name();
        if name.to_string_lossy().starts_with("zzz-") {
            let text = std::fs::read_to_string(entry.path()).expect("a filter");
            let beside = |line: &str| {
                if line.starts_with("before = ") { "before = common.conf" } else { line }.to_owned()
            };
            let text: Vec<String> = text.lines().map(beside).collect();
            std::fs::write(into.join(name), text.join("\n")).expect("a filter");
        }
    }
    holder
}

/// The zone of the samples' times.
pub(crate) fn zurich() -> jiff::tz::TimeZone {
    jiff::tz::TimeZone::get("Europe/Zurich").expect("a zone")
}

/// The second since 1970 of a sample's time. Days and hours of one digit stand there too.
fn seconds(time: &str) -> i64 {
    let two = |part: &str| {
        part.split(|c: char| !c.is_ascii_digit()).map(|n| format!("{n:0>2}")).collect::<Vec<_>>()
    };
    let (time, _) = time.split_once('.').unwrap_or((time, ""));
    let (date, clock) = time.split_once('T').expect("a time");
    let time = format!("{}T{}", two(date).join("-"), two(clock).join(":"));
    let at: jiff::civil::DateTime = time.parse().expect("a time");
    zurich().to_timestamp(at).expect("a time").as_second()
}
