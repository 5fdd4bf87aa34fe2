//! How many commands of each kind a client sent, and how many went well: the end of Postfix's
//! `disconnect from` line (`ehlo=1 mail=1 rcpt=0/1 quit=1 commands=3/4`).

use std::fmt;

/// The commands that are counted, in the order in which they are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
#[expect(missing_docs, reason = "each is the command of its name")]
pub enum Command {
    Helo,
    Ehlo,
    Xclient,
    Xforward,
    StartTls,
    Auth,
    Mail,
    Rcpt,
    Data,
    Bdat,
    Rset,
    Noop,
    Vrfy,
    Etrn,
    Help,
    Quit,
    /// Whatever isn't known.
    Unknown,
}

/// How many kinds there are.
const KINDS: usize = 17;

/// The names on the log line.
const NAMES: [&str; KINDS] = [
    "helo", "ehlo", "xclient", "xforward", "starttls", "auth", "mail", "rcpt", "data", "bdat", "rset",
    "noop", "vrfy", "etrn", "help", "quit", "unknown",
];

impl Command {
    fn name(self) -> &'static str {
        NAMES.get(self as usize).copied().unwrap_or_default()
    }
}

/// Good and all commands of each kind that came: few, and held by every client that waits (T2.2).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// In the order of [`Command`]; `[good, all]`.
    kinds: Vec<(Command, [u32; 2])>,
}

impl Counters {
    /// Counts one command.
    pub fn count(&mut self, command: Command, good: bool) {
        let place = match self.kinds.binary_search_by_key(&command, |(kind, _)| *kind) {
            Ok(place) => place,
            Err(place) => {
                self.kinds.insert(place, (command, [0, 0]));
                place
            }
        };
        if let Some((_, [well, all])) = self.kinds.get_mut(place) {
            *well = well.saturating_add(u32::from(good));
            *all = all.saturating_add(1);
        }
    }

    /// How many of that kind: good, all.
    #[must_use]
    pub fn of(&self, command: Command) -> (u32, u32) {
        let found = self.kinds.iter().find(|(kind, _)| *kind == command);
        found.map_or((0, 0), |&(_, [good, all])| (good, all))
    }

    /// Each kind that came, as (name, good, all).
    pub fn rows(&self) -> impl Iterator<Item = (&'static str, u32, u32)> {
        self.kinds.iter().map(|&(kind, [good, all])| (kind.name(), good, all))
    }

    /// All commands: good, all.
    #[must_use]
    pub fn total(&self) -> (u32, u32) {
        self.kinds.iter().fold((0, 0), |(good, all), (_, kind)| {
            (good.saturating_add(kind[0]), all.saturating_add(kind[1]))
        })
    }
}

impl fmt::Display for Counters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (good, all) = self.total();
        for (name, good, all) in self.rows().chain([("commands", good, all)]) {
            f.write_str(name)?;
            f.write_str("=")?;
            good.fmt(f)?;
            // Postfix: a count of nothing is shown as 0/0.
            if good != all || all == 0 {
                f.write_str("/")?;
                all.fmt(f)?;
            }
            if name != "commands" {
                f.write_str(" ")?;
            }
        }
        Ok(())
    }
}
