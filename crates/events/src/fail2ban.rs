//! fail2ban's own log file: bans, unbans, what was found (T2.21).
//!
//! `2026-11-22 01:55:03,123 fail2ban.actions        [1234]: NOTICE  [postfix] Ban 192.0.2.1`. Jails and
//! filters are not here; this is the line alone, for reports on old logs and for tools that read ours.

use crate::scan;
use crate::stamp::{Clock, Stamp};
use std::borrow::Cow;
use std::fmt;

/// One line of fail2ban.log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BanLine<'a> {
    /// When, to the millisecond; local time.
    pub time: BanTime,
    /// `fail2ban.actions`, `fail2ban.filter` …
    pub logger: Cow<'a, str>,
    /// The process.
    pub pid: u32,
    /// `NOTICE`, `INFO`, `WARNING` …
    pub level: Cow<'a, str>,
    /// What.
    pub event: BanEvent<'a>,
}

/// The time of a [`BanLine`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BanTime {
    /// The year.
    pub year: u16,
    /// The rest.
    pub clock: Clock,
    /// 0 to 999.
    pub millis: u16,
}

/// What a [`BanLine`] says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BanEvent<'a> {
    /// `[jail] Ban 192.0.2.1`
    Ticket(Ticket<'a>),
    /// Another text.
    Other(Cow<'a, str>),
}

words! {
    /// What happens to an address.
    Deed {
        /// `Found 192.0.2.1 - 2026-11-22 01:55:03`
        Found = "Found",
        /// `Ban 192.0.2.1`
        Ban = "Ban",
        /// `Restore Ban 192.0.2.1`
        RestoreBan = "Restore Ban",
        /// `Unban 192.0.2.1`
        Unban = "Unban",
        /// `Ignore 192.0.2.1 by ip`
        Ignore = "Ignore",
        /// `Increase Ban 192.0.2.1 (2 # 1:00:00 -> 2026-11-22 02:55:03)`
        IncreaseBan = "Increase Ban",
    }
}

/// An address in a jail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ticket<'a> {
    /// The jail.
    pub jail: Cow<'a, str>,
    /// What happens.
    pub deed: Deed,
    /// The address, or whatever the filter finds.
    pub id: Cow<'a, str>,
    /// What stands behind it, with the space before.
    pub more: Cow<'a, str>,
}

impl<'a> Ticket<'a> {
    fn parse(text: &'a str) -> Option<Ticket<'a>> {
        let (jail, rest) = text.strip_prefix('[')?.split_once("] ")?;
        let (deed, rest) = Deed::ALL
            .iter()
            .find_map(|deed| Some((*deed, rest.strip_prefix(deed.as_str())?.strip_prefix(' ')?)))?;
        let (id, more) = scan::span(rest, |b| b == b' ')?;
        Some(Ticket { jail: jail.into(), deed, id: id.into(), more: more.into() })
    }
}

impl fmt::Display for BanEvent<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BanEvent::Ticket(Ticket { jail, deed, id, more }) => write!(f, "[{jail}] {deed} {id}{more}"),
            BanEvent::Other(text) => f.write_str(text),
        }
    }
}

/// How wide a level is at least.
const LEVEL_COLUMNS: usize = 7;

impl<'a> BanLine<'a> {
    /// Reads a line without its end.
    #[must_use]
    pub fn parse(text: &'a str) -> Option<BanLine<'a>> {
        let (date, rest) = text.split_at_checked(10)?;
        let (clock, rest) = rest.strip_prefix(' ')?.split_at_checked(8)?;
        let (millis, rest) = rest.strip_prefix(',')?.split_at_checked(3)?;
        let (Stamp::Rfc3339 { year, clock, .. }, "") = Stamp::parse_prefix(&format!("{date}T{clock}Z"))
            .map(|(stamp, rest)| (stamp, if rest.is_empty() { "" } else { "?" }))?
        else {
            return None;
        };
        let millis = millis.bytes().all(|b| b.is_ascii_digit()).then(|| millis.parse().ok())??;
        let (logger, rest) = rest.strip_prefix(' ')?.split_once('[')?;
        let (pid, rest) = scan::leading_number(rest)?;
        let (level, rest) = scan::span(rest.strip_prefix("]: ")?, |b| b == b' ')?;
        // The level fills seven columns; the text behind it may begin with blanks of its own.
        let text_of = rest.get(LEVEL_COLUMNS.saturating_sub(level.len()) + 1..)?;
        let event = Ticket::parse(text_of).map_or_else(|| BanEvent::Other(text_of.into()), BanEvent::Ticket);
        let line = BanLine {
            time: BanTime { year, clock, millis },
            logger: logger.trim_end_matches(' ').into(),
            pid,
            level: level.into(),
            event,
        };
        // The padding follows from the words; other padding is another program's.
        (line.to_string() == text).then_some(line)
    }
}

impl fmt::Display for BanLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let BanTime { year, clock: Clock { month, day, hour, minute, second }, millis } = self.time;
        write!(f, "{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02},{millis:03} ")?;
        write!(f, "{:<24}[{}]: {:<7} {}", self.logger, self.pid, self.level, self.event)
    }
}

/// What every line must pass: it panics on none, and what is read is written back. For fuzzing; true where it
/// holds.
#[must_use]
pub fn fuzz(bytes: &[u8]) -> bool {
    let text = String::from_utf8_lossy(bytes);
    BanLine::parse(&text).is_none_or(|line| line.to_string() == text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_fail2ban() {
        for text in [
            "2026-11-22 01:55:03,123 fail2ban.filter         [812]: INFO    [postfix] Found 192.0.2.7 - 2026-11-22 01:55:02",
            "2026-11-22 01:55:03,456 fail2ban.actions        [812]: NOTICE  [postfix] Ban 192.0.2.7",
            "2026-11-22 01:55:04,001 fail2ban.actions        [812]: NOTICE  [sshd] Restore Ban 2001:db8::7",
            "2026-11-22 02:05:03,456 fail2ban.actions        [812]: NOTICE  [postfix] Unban 192.0.2.7",
            "2026-11-22 02:05:03,456 fail2ban.server         [812]: INFO    Starting Fail2ban v1.0.2",
            "2026-11-22 02:05:03,456 fail2ban.actions        [812]: WARNING [postfix] 192.0.2.7 already banned",
            "2026-11-22 02:05:03,456 fail2ban.filter         [812]: INFO      encoding: UTF-8",
        ] {
            let line = BanLine::parse(text).expect(text);
            assert_eq!(line.to_string(), text);
            let is_other = matches!(line.event, BanEvent::Other(_));
            let words = ["Starting", "already", "encoding"];
            assert_eq!(is_other, words.iter().any(|word| text.contains(word)), "{text}");
        }
        assert_eq!(BanLine::parse("2026-11-22 01:55:03,123 x [1]: INFO y"), None);
    }
}
