//! What daemons say of themselves: started, reloaded, stopped, statistics, warnings and worse.
//!
//! The text of a [`Message`] is not taken apart; those warnings that mean something to a reader have kinds of
//! their own in [`crate::smtpd`].

use crate::record::{Record, Text};
use crate::{Severity, scan};
use std::fmt;

words! {
    /// What the master did.
    MasterAct {
        /// Started.
        Started = "daemon started",
        /// Read its configuration again.
        Reload = "reload",
    }
}

record! {
    /// `daemon started -- version 3.7.11, configuration /etc/postfix`
    Master<'a> {
        /// What.
        act: MasterAct,
        /// Whose version.
        version: Text<'a>,
        /// From which folder.
        configuration: Text<'a>,
    }
}

impl<'a> Record<'a> for Master<'a> {
    fn read(text: &'a str) -> Option<Self> {
        let (act, rest) = scan::until(text, " -- version ")?;
        let (version, configuration) = scan::until(rest, ", configuration ")?;
        let act = MasterAct::from_word(act)?;
        Some(Master { act, version: version.into(), configuration: configuration.into() })
    }
    fn write(&self, out: &mut dyn fmt::Write) -> fmt::Result {
        write!(out, "{} -- version {}, configuration {}", self.act, self.version, self.configuration)
    }
}

record! {
    /// `terminating on signal 15`
    Terminating {
        /// The signal's number.
        signal: u32,
    }
}

impl<'a> Record<'a> for Terminating {
    fn read(text: &'a str) -> Option<Self> {
        Some(Terminating { signal: scan::number(text.strip_prefix("terminating on signal ")?)? })
    }
    fn write(&self, out: &mut dyn fmt::Write) -> fmt::Result {
        write!(out, "terminating on signal {}", self.signal)
    }
}

words! {
    /// What postfix-script says.
    Control {
        /// `postfix start`
        Starting = "starting the Postfix mail system",
        /// `postfix stop`
        Stopping = "stopping the Postfix mail system",
        /// `postfix reload`
        Refreshing = "refreshing the Postfix mail system",
        /// `postfix abort`
        Aborting = "aborting the Postfix mail system",
    }
}

record! {
    /// `starting the Postfix mail system`
    Controlled {
        /// What was asked for.
        control: Control,
    }
}

impl<'a> Record<'a> for Controlled {
    fn read(text: &'a str) -> Option<Self> {
        Some(Controlled { control: Control::from_word(text)? })
    }
    fn write(&self, out: &mut dyn fmt::Write) -> fmt::Result {
        out.write_str(self.control.as_str())
    }
}

words! {
    /// Postfix's words before a text.
    Level {
        /// Something is wrong or strange, the program goes on.
        Warning = "warning",
        /// Something did not work, the program goes on.
        Error = "error",
        /// The program ends.
        Fatal = "fatal",
        /// The program has a bug and ends.
        Panic = "panic",
    }
}

record! {
    /// `warning: text`, and the worse ones.
    Message<'a> {
        /// How bad.
        level: Level,
        /// What.
        text: Text<'a>,
    }
}

impl<'a> Message<'a> {
    /// A warning.
    pub fn warning(text: impl Into<Text<'a>>) -> Message<'a> {
        Message { level: Level::Warning, text: text.into() }
    }

    /// An error.
    pub fn error(text: impl Into<Text<'a>>) -> Message<'a> {
        Message { level: Level::Error, text: text.into() }
    }

    /// A reason to stop.
    pub fn fatal(text: impl Into<Text<'a>>) -> Message<'a> {
        Message { level: Level::Fatal, text: text.into() }
    }
}

impl<'a> Record<'a> for Message<'a> {
    fn read(text: &'a str) -> Option<Self> {
        let (level, text) = scan::until(text, ": ")?;
        Some(Message { level: Level::from_word(level)?, text: text.into() })
    }
    fn write(&self, out: &mut dyn fmt::Write) -> fmt::Result {
        write!(out, "{}: {}", self.level, self.text)
    }
    fn severity(&self) -> Severity {
        match self.level {
            Level::Warning => Severity::Warning,
            Level::Error => Severity::Error,
            Level::Fatal | Level::Panic => Severity::Critical,
        }
    }
}

record! {
    /// `statistics: max connection rate 1/60s for (smtp:192.0.2.1) at Nov 22 01:55:03`, of anvil(8) and others
    Statistics<'a> {
        /// `connection rate`, `connection count`, `message rate`, `cache size` …
        quantity: Text<'a>,
        /// The greatest value.
        max: u64,
        /// In how many seconds, of a rate.
        seconds: Option<u32>,
        /// Whose: `smtp:192.0.2.1`.
        of: Option<Text<'a>>,
        /// When, as in a log line.
        at: Text<'a>,
    }
}

impl<'a> Record<'a> for Statistics<'a> {
    fn read(text: &'a str) -> Option<Self> {
        let rest = text.strip_prefix("statistics: max ")?;
        let start = rest.bytes().position(|b| b.is_ascii_digit())?;
        let (quantity, rest) = rest.split_at_checked(start)?;
        let (max, rest) = scan::leading_number(rest)?;
        let (seconds, rest) = match rest.strip_prefix('/') {
            Some(rest) => {
                let (seconds, rest) = scan::leading_number(rest)?;
                (Some(seconds), rest.strip_prefix('s')?)
            }
            None => (None, rest),
        };
        let (of, rest) = match rest.strip_prefix(" for (") {
            Some(rest) => rest.split_once(')').map(|(of, rest)| (Some(of.into()), rest))?,
            None => (None, rest),
        };
        let at = rest.strip_prefix(" at ")?;
        Some(Statistics { quantity: quantity.strip_suffix(' ')?.into(), max, seconds, of, at: at.into() })
    }
    fn write(&self, out: &mut dyn fmt::Write) -> fmt::Result {
        write!(out, "statistics: max {} {}", self.quantity, self.max)?;
        if let Some(seconds) = self.seconds {
            write!(out, "/{seconds}s")?;
        }
        if let Some(of) = &self.of {
            write!(out, " for ({of})")?;
        }
        write!(out, " at {}", self.at)
    }
}
