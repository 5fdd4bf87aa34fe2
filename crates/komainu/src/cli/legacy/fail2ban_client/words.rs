//! What fail2ban-client's words mean, and what is printed then: orders out, answers in.
//!
//! The engine is behind a closure, so all of this runs without one. T2.20.

use super::text;
use crate::bans::order::{Answer, Held, Order, Value};
use ban::dump::quoted;
use ban::span;
use ban::zone::Zone;

/// Why there is no text to print, and the exit code is 255.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// Nobody answers.
    NotRunning,
    /// A line on standard error alone.
    Said(String),
    /// A line for people, and what the error log has.
    Refused {
        /// On standard output.
        said: String,
        /// Behind `NOK: `.
        nok: String,
    },
}

/// How the engine is asked.
pub(super) type Ask<'a> = dyn Fn(&Order) -> Result<Answer, Failure> + 'a;

const GLOBALS: [&str; 6] = ["loglevel", "logtarget", "syslogsocket", "dbfile", "dbmaxmatches", "dbpurgeage"];

const GETTABLE: [&str; 22] = [
    "logpath",
    "logencoding",
    "ignoreself",
    "ignoreip",
    "ignorecommand",
    "ignorecache",
    "prefregex",
    "failregex",
    "ignoreregex",
    "findtime",
    "datepattern",
    "usedns",
    "maxretry",
    "maxmatches",
    "maxlines",
    "bantime",
    "actions",
    "bantime.increment",
    "bantime.factor",
    "bantime.maxtime",
    "bantime.rndtime",
    "bantime.overalljails",
];

const SETTABLE: [&str; 24] = [
    "idle",
    "ignoreself",
    "addignoreip",
    "delignoreip",
    "ignorecommand",
    "ignorecache",
    "addlogpath",
    "dellogpath",
    "logencoding",
    "addjournalmatch",
    "deljournalmatch",
    "prefregex",
    "addfailregex",
    "delfailregex",
    "addignoreregex",
    "delignoreregex",
    "findtime",
    "bantime",
    "datepattern",
    "usedns",
    "maxretry",
    "maxmatches",
    "maxlines",
    "bantime.increment",
];

/// Refuses with one text for both.
fn refused(said: &str) -> Failure {
    Failure::Refused { said: said.to_owned(), nok: format!("({},)", quoted(said)) }
}

/// Too few words.
fn too_few() -> Failure {
    Failure::Refused {
        said: "Sorry but the command is invalid".to_owned(),
        nok: "('list index out of range',)".to_owned(),
    }
}

/// An answer that is none to what was asked, or a refusal.
fn other(answer: Answer) -> Failure {
    match answer {
        Answer::NoJail(name) => Failure::Refused {
            said: format!("Sorry but the jail '{name}' does not exist"),
            nok: format!("({},)", quoted(&name)),
        },
        Answer::Refused(why) => refused(&why),
        _ => refused("the server answered something else than was asked"),
    }
}

/// What Python says of a text that is no length of time.
fn seconds(text: &str) -> Result<i64, Failure> {
    let wrong = || refused(&format!("name {} is not defined", quoted(text)));
    span::seconds(text).ok_or_else(wrong)
}

fn whole(text: &str) -> Result<i64, Failure> {
    let wrong = || refused(&format!("invalid literal for int() with base 10: {}", quoted(text)));
    text.trim().parse().map_err(|_| wrong())
}

/// Does what the words say. Starting, ending and reading anew are not among them.
pub(super) fn perform(words: &[String], ask: &Ask<'_>, zone: &Zone) -> Result<String, Failure> {
    let texts: Vec<&str> = words.iter().map(String::as_str).collect();
    let rest = |from: usize| words.get(from..).unwrap_or_default().to_vec();
    match texts.as_slice() {
        ["ping"] => ping(ask).map(|()| "Server replied: pong".to_owned()),
        ["ping", seconds, ..] if seconds.parse::<f64>().is_err() => {
            Err(Failure::Said(format!("could not convert string to float: {}", quoted(seconds))))
        }
        ["ping", ..] => ping(ask).map(|()| "Server replied: pong".to_owned()),
        ["version", ..] => ping(ask).map(|()| super::VERSION.to_owned()),
        ["echo", ..] => ping(ask).map(|()| rest(1).join(" ")),
        ["status"] => jails(ask).map(|jails| text::jails(&jails)),
        ["status", _, "cymru"] => {
            Err(refused("the flavor cymru is not served: nobody is asked about addresses"))
        }
        ["status", jail] | ["status", jail, _] => match ask(&Order::JailStatus((*jail).to_owned()))? {
            Answer::Jail(status) => Ok(text::jail(&status)),
            answer => Err(other(answer)),
        },
        ["status", ..] => Err(refused("Invalid command (no status)")),
        ["banned"] => Ok(text::by_jail(&jails(ask)?, &held(ask, None)?)),
        ["banned", ..] => Ok(text::by_id(&rest(1), &jails(ask)?, &held(ask, None)?)),
        ["unban", "--all", ..] => count(ask, &Order::Unban { jail: None, ids: Vec::new() }),
        ["unban", _, ..] => count(ask, &Order::Unban { jail: None, ids: rest(1) }),
        ["flushlogs", ..] => done(ask, &Order::FlushLogs, "logs: rolled over"),
        ["start", jail, ..] => done(ask, &Order::Start((*jail).to_owned()), "Jail started"),
        ["stop", jail, ..] => done(ask, &Order::Stop(Some((*jail).to_owned())), "Jail stopped"),
        ["get", option] if GLOBALS.contains(option) => get(ask, None, option),
        ["get"] | ["get", _] | ["set"] | ["set", _] => Err(too_few()),
        ["get", jail, option, ..] => get_of(ask, jail, option, &rest(3), zone),
        ["set", option, _, ..] if GLOBALS.contains(option) => set_of_all(ask, option, &rest(2)),
        ["set", jail, option, ..] => set_of(ask, jail, option, &rest(3)),
        ["add", ..] => Err(refused("jails are made in jail.local alone; then `fail2ban-client reload`")),
        ["multi-set" | "server-stream" | "server-status" | "sleep", ..] => {
            Err(refused("this is a word between fail2ban's own programs and is not served"))
        }
        _ => {
            ping(ask)?;
            Err(refused("Invalid command"))
        }
    }
}

fn ping(ask: &Ask<'_>) -> Result<(), Failure> {
    match ask(&Order::Ping)? {
        Answer::Pong => Ok(()),
        answer => Err(other(answer)),
    }
}

fn done(ask: &Ask<'_>, order: &Order, text: &str) -> Result<String, Failure> {
    match ask(order)? {
        Answer::Done | Answer::Count(_) => Ok(text.to_owned()),
        answer => Err(other(answer)),
    }
}

fn count(ask: &Ask<'_>, order: &Order) -> Result<String, Failure> {
    match ask(order)? {
        Answer::Count(count) => Ok(count.to_string()),
        Answer::Done => Ok("1".to_owned()),
        answer => Err(other(answer)),
    }
}

fn jails(ask: &Ask<'_>) -> Result<Vec<String>, Failure> {
    match ask(&Order::Status)? {
        Answer::Jails(jails) => Ok(jails.into_iter().map(|jail| jail.name).collect()),
        answer => Err(other(answer)),
    }
}

fn held(ask: &Ask<'_>, jail: Option<&str>) -> Result<Vec<Held>, Failure> {
    match ask(&Order::List(jail.map(str::to_owned)))? {
        Answer::Bans(held) => Ok(held),
        answer => Err(other(answer)),
    }
}

/// Says so where there is no such jail.
fn there(ask: &Ask<'_>, jail: &str) -> Result<(), Failure> {
    match ask(&Order::JailStatus(jail.to_owned()))? {
        Answer::Jail(_) => Ok(()),
        answer => Err(other(answer)),
    }
}

fn get(ask: &Ask<'_>, jail: Option<&str>, option: &str) -> Result<String, Failure> {
    let order = Order::Get { jail: jail.map(str::to_owned), option: option.to_owned() };
    match ask(&order)? {
        Answer::Value(value) => Ok(text::value(jail, option, &value)),
        answer => Err(other(answer)),
    }
}

fn get_of(ask: &Ask<'_>, jail: &str, option: &str, rest: &[String], zone: &Zone) -> Result<String, Failure> {
    match option {
        "banip" => {
            let mut held = held(ask, Some(jail))?;
            text::by_end(&mut held);
            if rest.first().is_some_and(|word| word == "--with-time") {
                return Ok(text::with_time(&held, zone));
            }
            let ids: Vec<String> = held.into_iter().map(|ban| ban.id).collect();
            Ok(ids.join(rest.first().map_or(" ", String::as_str)))
        }
        "banned" => {
            let held = held(ask, Some(jail))?;
            let is_held = |id: &String| i64::from(held.iter().any(|ban| text::same(&ban.id, id)));
            let numbers: Vec<String> = rest.iter().map(|id| is_held(id).to_string()).collect();
            Ok(match numbers.as_slice() {
                [] => text::list(&held.into_iter().map(|ban| ban.id).collect::<Vec<_>>()).to_string(),
                [one] => one.clone(),
                several => format!("[{}]", several.join(", ")),
            })
        }
        // One that reads files has none, whatever its filter says for the journal.
        "journalmatch" => match ask(&Order::JailStatus(jail.to_owned()))? {
            Answer::Jail(status) => {
                Ok(text::value(Some(jail), option, &Value::List(status.journal.unwrap_or_default())))
            }
            answer => Err(other(answer)),
        },
        option if GETTABLE.contains(&option) => get(ask, Some(jail), option),
        _ => {
            there(ask, jail)?;
            Err(refused("Invalid command (no get action or not yet implemented)"))
        }
    }
}

fn set(ask: &Ask<'_>, jail: Option<&str>, option: &str, values: Vec<String>) -> Result<String, Failure> {
    let order = Order::Set { jail: jail.map(str::to_owned), option: option.to_owned(), values };
    match ask(&order)? {
        Answer::Value(value) => Ok(text::value(jail, option, &value)),
        Answer::Done => get(ask, jail, option),
        answer => Err(other(answer)),
    }
}

fn set_of_all(ask: &Ask<'_>, option: &str, rest: &[String]) -> Result<String, Failure> {
    let mut values = rest.to_vec();
    match (option, values.first_mut()) {
        ("dbmaxmatches", Some(text)) => *text = whole(text)?.to_string(),
        ("dbpurgeage", Some(text)) => *text = seconds(text)?.to_string(),
        _ => {}
    }
    set(ask, None, option, values)
}

fn set_of(ask: &Ask<'_>, jail: &str, option: &str, rest: &[String]) -> Result<String, Failure> {
    let mut values = rest.to_vec();
    match (option, values.first_mut()) {
        ("banip", None) => return there(ask, jail).map(|()| "0".to_owned()),
        ("banip", Some(_)) => {
            return count(ask, &Order::Ban { jail: jail.to_owned(), ids: values, ban_s: None });
        }
        ("unbanip", Some(_)) => return unban(ask, jail, values),
        ("attempt", Some(id)) => {
            let (jail, id) = (jail.to_owned(), id.clone());
            return count(
                ask,
                &Order::Attempt { jail, id, lines: rest.get(1..).unwrap_or_default().to_vec() },
            );
        }
        ("addignoreip", None) => return get(ask, Some(jail), "ignoreip"),
        ("addaction" | "delaction" | "action", _) => {
            there(ask, jail)?;
            return Err(refused("actions are changed in jail.local alone; then `fail2ban-client reload`"));
        }
        (option, _) if !SETTABLE.contains(&option) && option != "unbanip" && option != "attempt" => {
            there(ask, jail)?;
            let text = format!("Invalid command '{option}' (no set action or not yet implemented)");
            return Err(refused(&text));
        }
        (_, None) => {
            there(ask, jail)?;
            return Err(too_few());
        }
        ("bantime" | "findtime", Some(text)) => *text = seconds(text)?.to_string(),
        ("maxretry" | "maxmatches" | "maxlines", Some(text)) => *text = whole(text)?.to_string(),
        ("usedns", Some(text)) if !["yes", "warn", "no", "raw"].contains(&text.as_str()) => {
            "no".clone_into(text);
        }
        ("idle", Some(text)) if text != "on" && text != "off" => {
            return Err(refused("Invalid idle option, must be 'on' or 'off'"));
        }
        ("delignoreip", Some(_)) => {
            let known = ask(&Order::Get { jail: Some(jail.to_owned()), option: "ignoreip".to_owned() })?;
            let Answer::Value(Value::List(known)) = known else { return Err(other(known)) };
            if !values.iter().all(|word| known.contains(word)) {
                return Err(refused("list.remove(x): x not in list"));
            }
        }
        _ => {}
    }
    set(ask, Some(jail), option, values)
}

fn unban(ask: &Ask<'_>, jail: &str, mut ids: Vec<String>) -> Result<String, Failure> {
    let must_be = ids.first().is_some_and(|word| word == "--report-absent");
    if must_be {
        ids.remove(0);
    }
    // Without anybody named, everybody would be let in.
    if ids.is_empty() {
        return Err(too_few());
    }
    if must_be {
        let held = held(ask, Some(jail))?;
        let absent: Vec<String> =
            ids.iter().filter(|id| !held.iter().any(|ban| text::same(&ban.id, id))).cloned().collect();
        if !absent.is_empty() {
            return Err(refused(&format!("not banned: {}", text::list(&absent))));
        }
    }
    count(ask, &Order::Unban { jail: Some(jail.to_owned()), ids })
}

#[cfg(test)]
mod tests;
