//! Orders of tools, and what they are answered. T2.20.

use super::Machine;
use crate::bans::cell::{Cell, Seen};
use crate::bans::kept::{Who, id_of};
use crate::bans::order::{Answer, Cause, Imported, Order, Value};
use crate::bans::says::Part;
use crate::bans::settings::Level;
use ban::filter::{Failure, Fields};
use ban::{jails, span};
use std::sync::mpsc::Sender;

/// fail2ban's names of settings that are text, and whether the filter has them.
const TEXTS: [(&str, bool); 9] = [
    ("usedns", true),
    ("prefregex", true),
    ("datepattern", true),
    ("ignorecommand", false),
    ("ignorecache", false),
    ("logencoding", false),
    ("logtimezone", false),
    ("backend", false),
    ("bantime.formula", false),
];

/// Those that are lists, a line each.
const LISTS: [&str; 3] = ["failregex", "ignoreregex", "journalmatch"];

impl Machine {
    /// Does what was ordered; `None` where the answer comes later.
    pub(super) fn order(&mut self, order: Order, answer: &Sender<Answer>) -> Option<Answer> {
        Some(match order {
            Order::Ping => Answer::Pong,
            Order::Status => Answer::Jails(self.cells.iter().map(Cell::brief).collect()),
            Order::JailStatus(name) => match self.place(&name) {
                Ok(at) => self.status(at),
                Err(answer) => answer,
            },
            Order::Troubles => Answer::Troubles(self.doing.troubles()),
            Order::List(None) => Answer::Bans(self.cells.iter().flat_map(Cell::list).collect()),
            Order::List(Some(name)) => match self.place(&name) {
                Ok(at) => Answer::Bans(self.cells.get(at).map(Cell::list).unwrap_or_default()),
                Err(answer) => answer,
            },
            Order::Why(text) => {
                let id = id_of(&text);
                Answer::Reasons(self.cells.iter().flat_map(|cell| cell.why(&id)).collect())
            }
            Order::Ban { jail, ids, ban_s } => match self.ban(&jail, &ids, ban_s, false) {
                Answer::Added { count, .. } => Answer::Count(count),
                answer => answer,
            },
            Order::Add { jail, ids, ban_s } => self.ban(&jail, &ids, ban_s, true),
            Order::Unban { jail, ids } => self.unban(jail.as_deref(), &ids),
            Order::Attempt { jail, id, lines } => self.attempt(&jail, &id, &lines),
            Order::Get { jail: Some(jail), option } => match self.place(&jail) {
                Ok(at) => self.get(at, &option),
                Err(answer) => answer,
            },
            Order::Get { jail: None, option } => {
                Answer::Refused(format!("`{option}` is no setting of the whole"))
            }
            Order::Set { jail: Some(jail), option, values } => match self.place(&jail) {
                Ok(at) => self.set(at, &option, &values),
                Err(answer) => answer,
            },
            Order::Set { jail: None, option, .. } => {
                Answer::Refused(format!("`{option}` is no setting of the whole"))
            }
            Order::Reload { jail, unban } => match self.reload(jail.as_deref()) {
                Ok(()) => {
                    if unban {
                        self.unban(jail.as_deref(), &[]);
                    }
                    Answer::Done
                }
                Err(error) => Answer::Refused(error),
            },
            Order::Start(name) if self.place(&name).is_ok() => Answer::Done,
            Order::Start(name) => match self.reload(Some(&name)) {
                Ok(()) => Answer::Done,
                Err(error) => Answer::Refused(error),
            },
            Order::Stop(Some(name)) => {
                if self.remove(&name) {
                    Answer::Done
                } else {
                    Answer::NoJail(name)
                }
            }
            Order::Stop(None) => {
                self.ending.get_or_insert_default().push(answer.clone());
                return None;
            }
            Order::FlushLogs => {
                self.log.reopen();
                Answer::Done
            }
            Order::Import(kept) => self.import(kept),
        })
    }

    fn place(&self, name: &str) -> Result<usize, Answer> {
        let found = self.cells.iter().position(|cell| cell.name() == name);
        found.ok_or_else(|| match self.broken.iter().find(|(broken, _)| broken == name) {
            Some((_, error)) => Answer::Refused(format!("jail '{name}' can't run: {error}")),
            None => Answer::NoJail(name.to_owned()),
        })
    }

    fn status(&self, at: usize) -> Answer {
        let heard = self.sources.iter().filter(|source| source.is_heard_by(at) && source.name != "journal");
        let files = heard.map(|source| source.name.clone()).collect();
        match self.cells.get(at) {
            Some(cell) => Answer::Jail(Box::new(cell.status(files))),
            None => Answer::Refused("the jail has gone".to_owned()),
        }
    }

    /// `is_strict`: nobody is banned where a word is no address and the jail bans none else.
    fn ban(&mut self, jail: &str, ids: &[String], ban_s: Option<i64>, is_strict: bool) -> Answer {
        let at = match self.place(jail) {
            Ok(at) => at,
            Err(answer) => return answer,
        };
        let Some(cell) = self.cells.get_mut(at) else { return Answer::NoJail(jail.to_owned()) };
        let mut out = Machine::out(&self.log, &mut self.changes, 0.0);
        if is_strict && !cell.bans_words() {
            let words = ids.iter().filter(|id| ban::jail::net(id.trim()).is_none());
            let words: Vec<String> = words.cloned().collect();
            if !words.is_empty() {
                return Answer::NoAddresses(words);
            }
        }
        let (mut count, mut spared) = (0, Vec::new());
        for id in ids {
            match cell.ban(&id_of(id), ban_s, &mut out) {
                Ok(()) => count += 1,
                Err(why) => spared.push((id.clone(), why.to_owned())),
            }
        }
        Answer::Added { count, spared }
    }

    fn unban(&mut self, jail: Option<&str>, ids: &[String]) -> Answer {
        if let Some(Err(answer)) = jail.map(|name| self.place(name)) {
            return answer;
        }
        let mut out = Machine::out(&self.log, &mut self.changes, 0.0);
        let mut count = 0;
        for cell in self.cells.iter_mut().filter(|cell| jail.is_none_or(|name| cell.name() == name)) {
            let whom = if ids.is_empty() {
                cell.jail.known().map(|known| known.id.clone()).collect::<Vec<_>>()
            } else {
                ids.iter().map(|id| id_of(id)).collect()
            };
            count += whom.iter().map(|id| u64::from(cell.unban(id, &mut out))).sum::<u64>();
        }
        Answer::Count(count)
    }

    fn attempt(&mut self, jail: &str, id: &str, lines: &[String]) -> Answer {
        let at = match self.place(jail) {
            Ok(at) => at,
            Err(answer) => return answer,
        };
        let Some(cell) = self.cells.get_mut(at) else { return Answer::NoJail(jail.to_owned()) };
        let mut out = Machine::out(&self.log, &mut self.changes, 0.0);
        let none = [String::new()];
        let lines = if lines.is_empty() { &none[..] } else { lines };
        for line in lines {
            let failure = Failure { time_us: out.now_us, id: id_of(id), fields: Fields::default(), rule: 0 };
            let seen = Seen { source: "attempt", line: line.as_bytes(), is_live: true, elsewhere: 0 };
            cell.failure(failure, &seen, &mut out);
        }
        Answer::Count(lines.len() as u64)
    }

    fn get(&self, at: usize, option: &str) -> Answer {
        let Some(cell) = self.cells.get(at) else { return Answer::Refused("the jail has gone".to_owned()) };
        let settings = cell.jail.settings();
        let text = |text: Option<&str>| match text.map(str::trim).filter(|text| !text.is_empty()) {
            Some(text) => Value::Text(text.to_owned()),
            None => Value::Nothing,
        };
        Answer::Value(match option {
            "bantime" => Value::Number(settings.ban_s),
            "findtime" => Value::Number(settings.find_s),
            "maxretry" => Value::Number(settings.failures_max.into()),
            "maxmatches" => Value::Number(i64::try_from(settings.matches_max).unwrap_or(i64::MAX)),
            "maxlines" => {
                let lines = cell.config.filter.get("maxlines").and_then(|text| text.trim().parse().ok());
                Value::Number(lines.unwrap_or(1))
            }
            "ignoreself" => Value::Truth(settings.spares_own),
            "bantime.increment" => Value::Truth(settings.increment.is_some()),
            "ignoreip" => {
                let nets = settings
                    .never
                    .iter()
                    .map(|(address, bits)| ban::filter::network(*address, Some(*bits)).to_string());
                Value::List(nets.chain(settings.never_names.iter().cloned()).collect())
            }
            "logpath" => {
                let heard = self
                    .sources
                    .iter()
                    .filter(|source| source.is_heard_by(at) && source.name.starts_with('/'));
                Value::List(heard.map(|source| source.name.clone()).collect())
            }
            "actions" => Value::List(cell.config.actions.iter().map(|action| action.name.clone()).collect()),
            "banip" => Value::List(cell.list().into_iter().map(|held| held.id).collect()),
            list if LISTS.contains(&list) => {
                let text = cell.config.filter.get(list).map_or("", String::as_str);
                Value::List(jails::lines(text).map(str::to_owned).collect())
            }
            _ => match TEXTS.iter().find(|(name, _)| *name == option) {
                Some((name, true)) => text(cell.config.filter.get(name).map(String::as_str)),
                Some((name, false)) => text(cell.config.option(name)),
                None => return Answer::Refused(format!("there is no setting `{option}`")),
            },
        })
    }

    fn set(&mut self, at: usize, option: &str, values: &[String]) -> Answer {
        let Some(cell) = self.cells.get_mut(at) else {
            return Answer::Refused("the jail has gone".to_owned());
        };
        let mut settings = cell.jail.settings().clone();
        let value = values.first().map_or("", String::as_str);
        let seconds = || span::seconds(value).ok_or_else(|| format!("`{value}` is no length of time"));
        let done = match option {
            "bantime" => seconds().map(|seconds| settings.ban_s = seconds),
            "findtime" => seconds().map(|seconds| settings.find_s = seconds),
            "maxretry" | "maxmatches" => match value.parse::<u32>().ok().filter(|count| *count > 0) {
                Some(count) if option == "maxretry" => {
                    settings.failures_max = count;
                    Ok(())
                }
                Some(count) => {
                    settings.matches_max = usize::try_from(count).unwrap_or(usize::MAX).min(1_000);
                    Ok(())
                }
                None => Err(format!("`{value}` is no number above 0")),
            },
            "ignoreself" => {
                settings.spares_own = jails::is_yes(value);
                Ok(())
            }
            "addignoreip" | "delignoreip" => {
                for word in values {
                    match ban::jail::net(word) {
                        Some(net) => settings.never.retain(|known| *known != net),
                        None => settings.never_names.retain(|known| !known.eq_ignore_ascii_case(word)),
                    }
                    match (option, ban::jail::net(word)) {
                        ("addignoreip", Some(net)) => settings.never.push(net),
                        ("addignoreip", None) => settings.never_names.push(word.to_ascii_lowercase()),
                        _ => {}
                    }
                }
                Ok(())
            }
            _ => Err(format!(
                "`{option}` can't be set while a jail runs: write it into jail.local, then reload"
            )),
        };
        match done {
            Ok(()) => {
                cell.jail.set(settings);
                let name = cell.name().to_owned();
                let text = format_args!("[{name}] Set {option} = {}", values.join(" "));
                self.log.say(Part::Server, Level::Info, text);
                let shown = option.trim_start_matches("add").trim_start_matches("del");
                self.get(at, shown)
            }
            Err(error) => Answer::Refused(error),
        }
    }

    /// Takes over what another program kept; those who are held already stay as they are.
    fn import(&mut self, kept: Vec<Imported>) -> Answer {
        let mut out = Machine::out(&self.log, &mut self.changes, 0.0);
        let now_s = out.now_us.div_euclid(1_000_000);
        let mut count = 0;
        for row in kept {
            let who = match row {
                Imported::Earlier { jail, id, count: bans, .. } => {
                    Who { jail, id, failures: 0, first_s: 0, bans, held: None, lines: Vec::new() }
                }
                Imported::Ban { jail, id, since_s, ban_s, count: bans, lines, .. } => {
                    let cause =
                        |line| Cause { time_s: since_s, source: "fail2ban".to_owned(), line, rule: 0 };
                    let until_s = (ban_s >= 0).then(|| since_s.saturating_add(ban_s));
                    let lines = lines.into_iter().map(cause).collect();
                    let held = Some((since_s, until_s));
                    Who { jail, id, failures: 0, first_s: 0, bans: bans.max(1), held, lines }
                }
            };
            let id = id_of(&who.id);
            match self.cells.iter_mut().find(|cell| cell.name() == who.jail) {
                Some(cell) if cell.jail.knows(&id).is_none_or(|known| known.bans == 0) => {
                    cell.restore(who, now_s);
                    count += u64::from(cell.restored(&id, &mut out));
                }
                Some(_) => {}
                None => self.past.add(who),
            }
        }
        Answer::Count(count)
    }
}
