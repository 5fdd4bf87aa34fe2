//! What the engine of bans is asked and told, and what it answers: values, no text for people.
//!
//! In the process they go over [`Orders`], from others as lines of JSON over the control socket ([`super::control`]).
//! T2.20.

use super::wake::Waker;
use serde::{Deserialize, Serialize};
use std::sync::mpsc::{self, Sender};

/// What somebody wants.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Order {
    /// Is anybody there?
    Ping,
    /// Which jails there are.
    Status,
    /// How a jail is.
    JailStatus(String),
    /// What is wrong with all of it: [`Answer::Troubles`].
    Troubles,
    /// Who is shut out, by all jails or one.
    List(Option<String>),
    /// What is known of an address: [`Answer::Reasons`].
    Why(String),
    /// Shut out, whatever they did.
    Ban {
        /// By which jail.
        jail: String,
        /// Addresses, networks, or whatever else the jail's filter finds.
        ids: Vec<String>,
        /// For how many seconds, negative for ever; the jail's own time without.
        ban_s: Option<i64>,
    },
    /// The same for somebody at a keyboard: words that this jail can't mean are refused, and why somebody isn't shut
    /// out is said: [`Answer::Added`].
    Add {
        /// By which jail.
        jail: String,
        /// Addresses, networks, or whatever else the jail's filter finds.
        ids: Vec<String>,
        /// As for [`Order::Ban`].
        ban_s: Option<i64>,
    },
    /// Let in again.
    Unban {
        /// By which jail; by all without.
        jail: Option<String>,
        /// Whom; everybody where there is none.
        ids: Vec<String>,
    },
    /// Count a failure.
    Attempt {
        /// In which jail.
        jail: String,
        /// Whose.
        id: String,
        /// What led to it.
        lines: Vec<String>,
    },
    /// A setting, by fail2ban's name: `bantime`, `findtime`, `ignoreip` …; without a jail one of the whole.
    Get {
        /// Which jail's.
        jail: Option<String>,
        /// Its name.
        option: String,
    },
    /// Changes a setting until the next reload.
    Set {
        /// Which jail's.
        jail: Option<String>,
        /// Its name; `addignoreip` and `delignoreip` as well.
        option: String,
        /// Its words.
        values: Vec<String>,
    },
    /// Reads the files anew.
    Reload {
        /// Of one jail, of all without.
        jail: Option<String>,
        /// And lets everybody in.
        unban: bool,
    },
    /// Starts a jail that the files name.
    Start(String),
    /// Ends a jail; without one, everything.
    Stop(Option<String>),
    /// Opens the log file anew.
    FlushLogs,
    /// Takes over what another ban program kept.
    Import(Vec<Imported>),
}

/// What comes back.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Answer {
    /// It is done.
    Done,
    /// To [`Order::Ping`].
    Pong,
    /// How many it concerned: newly banned, let in …
    Count(u64),
    /// To [`Order::Add`].
    Added {
        /// How many are newly banned.
        count: u64,
        /// Who isn't, and why.
        spared: Vec<(String, String)>,
    },
    /// To [`Order::Add`]: these are no addresses, and the jail bans addresses; nobody was banned.
    NoAddresses(Vec<String>),
    /// To [`Order::Status`].
    Jails(Vec<Brief>),
    /// To [`Order::JailStatus`].
    Jail(Box<JailStatus>),
    /// To [`Order::Troubles`]: a sentence each.
    Troubles(Vec<String>),
    /// To [`Order::List`].
    Bans(Vec<Held>),
    /// To [`Order::Why`].
    Reasons(Vec<Reason>),
    /// To [`Order::Get`] and [`Order::Set`].
    Value(Value),
    /// There is no such jail.
    NoJail(String),
    /// It can't be done, and why.
    Refused(String),
}

/// A jail in a word.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Brief {
    /// Its name.
    pub name: String,
    /// It has nothing to read, and why.
    pub blind: Option<String>,
}

/// How a jail is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct JailStatus {
    /// Its name.
    pub name: String,
    /// It has nothing to read, and why.
    pub blind: Option<String>,
    /// Who is counted.
    pub currently_failed: u64,
    /// Failures since it began.
    pub total_failed: u64,
    /// The logs that it reads.
    pub files: Vec<String>,
    /// What it takes of the journal, where it reads that.
    pub journal: Option<Vec<String>>,
    /// Who is shut out.
    pub currently_banned: u64,
    /// Bans since it began.
    pub total_banned: u64,
    /// Whom, in the order in which they came.
    pub banned: Vec<String>,
}

/// Somebody who is shut out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held {
    /// By which jail.
    pub jail: String,
    /// Who.
    pub id: String,
    /// Since when, in seconds since 1970.
    pub since_s: i64,
    /// Until when; `None` for ever.
    pub until_s: Option<i64>,
    /// How many bans there were before.
    pub before: u32,
    /// How many failures led to it.
    pub failures: u32,
}

/// What a jail knows of an address.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reason {
    /// Which jail.
    pub jail: String,
    /// Whom it counts: the address, or a network around it.
    pub id: String,
    /// Its ban, if there is one.
    pub held: Option<Held>,
    /// How many failures count at present.
    pub failures: u32,
    /// What was said, the oldest first.
    pub lines: Vec<Cause>,
}

/// A line that counted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cause {
    /// When, in seconds since 1970.
    pub time_s: i64,
    /// Where it was read: a path, `journal`, `komainu`.
    pub source: String,
    /// The line, cut where it is long.
    pub line: String,
    /// Which `failregex`, counted from 0.
    pub rule: u32,
}

/// A setting.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Value {
    /// None.
    Nothing,
    /// Yes or no.
    Truth(bool),
    /// Seconds, or how often.
    Number(i64),
    /// Words.
    Text(String),
    /// Several.
    List(Vec<String>),
}

/// A ban that another program held, or a place in a log that it had reached.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Imported {
    /// Somebody was shut out.
    Ban {
        /// By which jail.
        jail: String,
        /// Who.
        id: String,
        /// Since when, in seconds since 1970.
        since_s: i64,
        /// For how many seconds; negative for ever.
        ban_s: i64,
        /// Which ban it was, counted from 1.
        count: u32,
        /// How many failures led to it.
        failures: u32,
        /// What was said.
        lines: Vec<String>,
    },
    /// Somebody had been shut out, and isn't any more.
    Earlier {
        /// By which jail.
        jail: String,
        /// Who.
        id: String,
        /// Since when, in seconds since 1970.
        since_s: i64,
        /// How many bans.
        count: u32,
    },
}

/// An order with the way back.
pub(super) struct Asked {
    pub(super) order: Order,
    pub(super) answer: Sender<Answer>,
}

/// How the engine is reached within the process. Cheap to clone.
#[derive(Clone)]
pub struct Orders {
    pub(super) orders: mpsc::Sender<Asked>,
    pub(super) waker: Waker,
}

impl Orders {
    /// Gives an order and waits for the answer. It blocks: not for a thread that drives sessions.
    #[must_use]
    pub fn ask(&self, order: Order) -> Answer {
        let (answer, waiting) = mpsc::channel();
        if self.orders.send(Asked { order, answer }).is_ok() {
            self.waker.wake();
        }
        waiting.recv().unwrap_or_else(|_| Answer::Refused("the engine of bans has ended".to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_goes_over_the_socket_comes_back() {
        for value in [
            Value::Nothing,
            Value::Truth(true),
            Value::Number(-1),
            Value::Text("1d".into()),
            Value::List(vec!["a".into()]),
        ] {
            let text = serde_json::to_string(&Answer::Value(value.clone())).unwrap();
            assert_eq!(serde_json::from_str::<Answer>(&text).unwrap(), Answer::Value(value), "{text}");
        }
        let order = Order::Ban { jail: "sshd".into(), ids: vec!["192.0.2.1".into()], ban_s: None };
        let text = serde_json::to_string(&order).unwrap();
        assert_eq!(serde_json::from_str::<Order>(&text).unwrap(), order, "{text}");
    }
}
