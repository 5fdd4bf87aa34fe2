//! What became of one recipient: the delivery agents' lines, and the delays in them.
//!
//! `ID: to=<a@b>, orig_to=<c>, relay=virtual, delay=0.12, delays=0.1/0.01/0/0.01, dsn=2.0.0, status=sent
//! (delivered to maildir)`, the same for virtual, local, smtp, lmtp, pipe, error, discard, and for those of
//! our own. RFC 3463; T2.22.

use crate::record::{Field, Record, Text};
use crate::scan;
use crate::smtpd::Peer;
use serde_json::Value;
use std::fmt;
use std::time::Duration;

/// A delay as the log shows it, already rounded. In microseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Delay(u64);

impl Delay {
    /// Two significant digits and no more than `resolution` (0 to 6) behind the point:
    /// `delay_logging_resolution_limit`, 2 if nothing else is said.
    #[must_use]
    pub fn rounded(delay: Duration, resolution: u32) -> Delay {
        let micros = u64::try_from(delay.as_micros()).unwrap_or(u64::MAX);
        let whole = micros / 1_000_000;
        // Digits that the part before the point uses up of the two.
        let used = if whole >= 10 { 2 } else { u32::from(whole > 0) };
        let leading_zeros = if whole == 0 { leading_zeros(micros) } else { 0 };
        let digits = (2 - used).saturating_add(leading_zeros).min(resolution).min(6);
        let unit = 10_u64.pow(6 - digits);
        Delay(micros.saturating_add(unit / 2) / unit * unit)
    }

    /// As two significant digits, at most two behind the point: Postfix's default.
    #[must_use]
    pub fn new(delay: Duration) -> Delay {
        Delay::rounded(delay, 2)
    }

    /// As a duration.
    #[must_use]
    pub const fn duration(self) -> Duration {
        Duration::from_micros(self.0)
    }

    /// Reads `12`, `1.2`, `0.01`, as we would write them.
    #[must_use]
    pub fn parse(text: &str) -> Option<Delay> {
        let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
        let whole: u64 = scan::number(whole)?;
        let digits = u32::try_from(fraction.len()).ok().filter(|digits| (1..=6).contains(digits))?;
        if !fraction.bytes().all(|b| b.is_ascii_digit()) || (fraction.ends_with('0') && text.contains('.')) {
            return None;
        }
        let parts: u64 = fraction.parse().ok()?;
        let micros = parts.checked_mul(10_u64.pow(6 - digits))?;
        whole.checked_mul(1_000_000)?.checked_add(micros).map(Delay)
    }
}

/// More than that no message waited, in seconds: ten years.
const LONGEST_S: f64 = 315_360_000.0;

impl Delay {
    /// A number of seconds, however it is written; no delay where it is none.
    fn lenient(text: &str) -> Delay {
        let seconds = text.trim().parse::<f64>().ok().filter(|seconds| (0.0..=LONGEST_S).contains(seconds));
        Delay(u64::try_from(Duration::from_secs_f64(seconds.unwrap_or(0.0)).as_micros()).unwrap_or(0))
    }
}

/// How many zeros stand behind the point before the first other digit.
fn leading_zeros(micros: u64) -> u32 {
    let digits = micros.checked_ilog10().map_or(0, |log| log + 1);
    6_u32.saturating_sub(digits)
}

impl fmt::Display for Delay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0 / 1_000_000)?;
        let (mut rest, mut width) = (self.0 % 1_000_000, 6);
        if rest == 0 {
            return Ok(());
        }
        while rest % 10 == 0 {
            rest /= 10;
            width -= 1;
        }
        write!(f, ".{rest:0width$}")
    }
}

/// In microseconds: a double holds all digits of what is less.
const EXACT_IN_JSON: u64 = 1_000_000_000_000_000;

impl Field for Delay {
    type Owned = Delay;
    fn into_owned(self) -> Delay {
        self
    }
    fn json(&self, out: &mut String) {
        // A number of more digits than readers of JSON keep is a text.
        let marks = if self.0 < EXACT_IN_JSON { "" } else { "\"" };
        out.push_str(&format!("{marks}{self}{marks}"));
    }
    fn from_json(value: Option<&Value>) -> Option<Delay> {
        match value? {
            Value::Number(number) => Delay::parse(&number.to_string()),
            value => Delay::parse(value.as_str()?),
        }
    }
}

/// The four parts of a delay: before the queue manager, in it, connecting, transmitting.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Delays(pub [Delay; 4]);

impl Delays {
    /// Reads `0.1/0/0.02/0.3`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Delays> {
        Delays::read_with(text, Delay::parse)
    }

    fn read_with(text: &str, delay_of: fn(&str) -> Option<Delay>) -> Option<Delays> {
        let mut parts = text.split('/').map(delay_of);
        let delays = [parts.next()??, parts.next()??, parts.next()??, parts.next()??];
        parts.next().is_none().then_some(Delays(delays))
    }
}

impl fmt::Display for Delays {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [before, queue, connect, transmit] = self.0;
        write!(f, "{before}/{queue}/{connect}/{transmit}")
    }
}

impl Field for Delays {
    type Owned = Delays;
    fn into_owned(self) -> Delays {
        self
    }
    fn json(&self, out: &mut String) {
        let [before, queue, connect, transmit] = self.0;
        out.push('[');
        for (mark, delay) in [("", before), (",", queue), (",", connect), (",", transmit)] {
            out.push_str(mark);
            delay.json(out);
        }
        out.push(']');
    }
    fn from_json(value: Option<&Value>) -> Option<Delays> {
        let [before, queue, connect, transmit] = value?.as_array()?.as_slice() else { return None };
        let delay = |value| Delay::from_json(Some(value));
        Some(Delays([delay(before)?, delay(queue)?, delay(connect)?, delay(transmit)?]))
    }
}

words! {
    /// How it went.
    Status {
        /// Delivered, to a mailbox or to the next host.
        Sent = "sent",
        /// To be tried again.
        Deferred = "deferred",
        /// Returned.
        Bounced = "bounced",
        /// Would have been returned, if `soft_bounce` weren't set.
        SoftBounce = "SOFTBOUNCE",
        /// `sendmail -bv`, address verification: would be delivered.
        Deliverable = "deliverable",
        /// Would not.
        Undeliverable = "undeliverable",
        /// Would not, and that isn't remembered (`address_verify_negative_cache = no`).
        UndeliverableNotCached = "undeliverable-but-not-cached",
        /// An alias expanded for `sendmail -bv`.
        Expanded = "expanded",
    }
}

record! {
    /// One recipient's delivery, or the try of it.
    Delivery<'a> {
        /// The queue id.
        id: Text<'a>,
        /// The recipient, in external form, without brackets.
        to: Text<'a>,
        /// As it came, where that differs.
        orig_to: Option<Text<'a>>,
        /// `virtual`, `local`, `mail.example.org[192.0.2.1]:25`, `none` …
        relay: Text<'a>,
        /// The how-manieth delivery over this connection, from the second on.
        conn_use: Option<u32>,
        /// Since the message came.
        delay: Delay,
        /// Its parts.
        delays: Option<Delays>,
        /// How TLS went, since Postfix 3.11 (`smtp_log_tls_feature_status`): `may`, `dane/requiretls`.
        tls: Option<Text<'a>>,
        /// `2.0.0`.
        dsn: Option<Text<'a>>,
        /// How it went.
        status: Status,
        /// What stands in parentheses: `delivered to maildir`.
        text: Text<'a>,
    }
}

/// `to=<a@b>, orig_to=<c>, relay=`: the addresses, and what follows.
fn addresses(text: &str) -> Option<((&str, Option<&str>), &str)> {
    let (to, rest) = scan::angled(text.strip_prefix("to=")?)?;
    let (orig_to, rest) = match rest.strip_prefix(", orig_to=") {
        Some(rest) => scan::angled(rest).map(|(value, rest)| (Some(value), rest))?,
        None => (None, rest),
    };
    Some(((to, orig_to), rest.strip_prefix(", relay=")?))
}

impl<'a> Delivery<'a> {
    /// Reads a delivery whose delays are numbers that we would write otherwise (`1.0`), or none at all: these count as no
    /// delay. What was delivered was, however long it is said to have taken. An address may hold a `>` that isn't
    /// quoted: then what follows the addresses ends them.
    #[must_use]
    pub fn read_leniently(text: &'a str) -> Option<Self> {
        let (id, rest) = scan::queue_id(text)?;
        let (addresses, rest) = addresses(rest).or_else(|| {
            let (inner, rest) = scan::until(rest.strip_prefix("to=<")?, ">, relay=")?;
            let parts = scan::until(inner, ">, orig_to=<");
            let (to, orig_to) = parts.map_or((inner, None), |(to, orig_to)| (to, Some(orig_to)));
            Some(((to, orig_to), rest))
        })?;
        Delivery::read_with(id, addresses, rest, |delay| Some(Delay::lenient(delay)))
    }

    /// `rest` begins with the relay.
    fn read_with(
        id: &'a str,
        (to, orig_to): (&'a str, Option<&'a str>),
        rest: &'a str,
        delay_of: fn(&str) -> Option<Delay>,
    ) -> Option<Self> {
        let (relay, rest) = scan::until(rest, ", ")?;
        let (conn_use, rest) = match rest.strip_prefix("conn_use=") {
            Some(rest) => scan::until(rest, ", ").map(|(n, rest)| Some((Some(scan::number(n)?), rest)))??,
            None => (None, rest),
        };
        let (delay, rest) = scan::until(rest.strip_prefix("delay=")?, ", ")?;
        let (delays, rest) = match rest.strip_prefix("delays=") {
            Some(rest) => scan::until(rest, ", ")
                .map(|(d, rest)| Some((Some(Delays::read_with(d, delay_of)?), rest)))??,
            None => (None, rest),
        };
        let (tls, rest) = match rest.strip_prefix("tls=") {
            Some(rest) => scan::until(rest, ", ").map(|(tls, rest)| (Some(tls.into()), rest))?,
            None => (None, rest),
        };
        let (dsn, rest) = match rest.strip_prefix("dsn=") {
            Some(rest) => scan::until(rest, ", ").map(|(dsn, rest)| (Some(dsn.into()), rest))?,
            None => (None, rest),
        };
        let (status, rest) = rest.strip_prefix("status=")?.split_once(' ')?;
        let text = rest.strip_prefix('(')?.strip_suffix(')')?;
        Some(Delivery {
            id: id.into(),
            to: to.into(),
            orig_to: orig_to.map(Into::into),
            relay: relay.into(),
            conn_use,
            delay: delay_of(delay)?,
            delays,
            tls,
            dsn,
            status: Status::from_word(status)?,
            text: text.into(),
        })
    }
}

impl<'a> Record<'a> for Delivery<'a> {
    fn read(text: &'a str) -> Option<Self> {
        let (id, rest) = scan::queue_id(text)?;
        let (addresses, rest) = addresses(rest)?;
        Delivery::read_with(id, addresses, rest, Delay::parse)
    }
    fn write(&self, out: &mut dyn fmt::Write) -> fmt::Result {
        write!(out, "{}: to=<{}>", self.id, self.to)?;
        if let Some(orig_to) = &self.orig_to {
            write!(out, ", orig_to=<{orig_to}>")?;
        }
        write!(out, ", relay={}", self.relay)?;
        if let Some(conn_use) = self.conn_use {
            write!(out, ", conn_use={conn_use}")?;
        }
        write!(out, ", delay={}", self.delay)?;
        if let Some(delays) = self.delays {
            write!(out, ", delays={delays}")?;
        }
        if let Some(tls) = &self.tls {
            write!(out, ", tls={tls}")?;
        }
        if let Some(dsn) = &self.dsn {
            write!(out, ", dsn={dsn}")?;
        }
        write!(out, ", status={} ({})", self.status, self.text)
    }
}

record! {
    /// `connect to mail.example.org[192.0.2.1]:25: Connection refused`: smtp(8) tries another host.
    ConnectFailed<'a> {
        /// Host, address and port, or a socket's path.
        peer: Text<'a>,
        /// Why.
        reason: Text<'a>,
    }
}

impl<'a> Record<'a> for ConnectFailed<'a> {
    fn read(text: &'a str) -> Option<Self> {
        let (peer, reason) = text.strip_prefix("connect to ")?.split_once(": ")?;
        Some(ConnectFailed { peer: peer.into(), reason: reason.into() })
    }
    fn write(&self, out: &mut dyn fmt::Write) -> fmt::Result {
        write!(out, "connect to {}: {}", self.peer, self.reason)
    }
}

record! {
    /// `ID: host mail.example.org[192.0.2.1] said: 450 4.2.0 later (in reply to RCPT TO command)`
    HostSaid<'a> {
        /// The queue id.
        id: Text<'a>,
        /// Who.
        server: Peer<'a>,
        /// What, and to what.
        text: Text<'a>,
    }
}

impl<'a> Record<'a> for HostSaid<'a> {
    fn read(text: &'a str) -> Option<Self> {
        let (id, rest) = scan::queue_id(text)?;
        let (server, rest) = Peer::parse_prefix(rest.strip_prefix("host ")?)?;
        Some(HostSaid { id: id.into(), server, text: rest.strip_prefix(" said: ")?.into() })
    }
    fn write(&self, out: &mut dyn fmt::Write) -> fmt::Result {
        write!(out, "{}: host {} said: {}", self.id, self.server, self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Values that Postfix 3.7.11 was seen to write for waits of known length.
    #[test]
    fn rounding() {
        for (micros, resolution, expect) in [
            (0, 2, "0"),
            (4_999, 2, "0"),
            (5_000, 2, "0.01"),
            (140_400, 2, "0.14"),
            (100_000, 2, "0.1"),
            (996_000, 2, "1"),
            (1_034_000, 2, "1"),
            (1_080_000, 2, "1.1"),
            (2_004_000, 2, "2"),
            (2_590_000, 2, "2.6"),
            (9_980_000, 2, "10"),
            (11_650_000, 2, "12"),
            (123_456_789, 2, "123"),
            (432_000_400_000, 2, "432000"),
            (11_960, 4, "0.012"),
            (740, 4, "0.0007"),
            (49_300, 4, "0.049"),
            (3_420_000, 4, "3.4"),
            (740, 6, "0.00074"),
            (740, 0, "0"),
        ] {
            let delay = Delay::rounded(Duration::from_micros(micros), resolution);
            assert_eq!(delay.to_string(), expect, "{micros} at {resolution}");
            assert_eq!(Delay::parse(expect), Some(delay));
        }
        for (text, micros) in [
            ("1.0", 1_000_000),
            (" 01", 1_000_000),
            (".5", 500_000),
            ("1e2", 100_000_000),
            ("1.2345678", 1_234_568),
        ] {
            let found = Delay::lenient(text).0;
            assert!(found.abs_diff(micros) <= 1, "{text}: {found}");
        }
        for none in ["", "x", "-1", "1e999", "inf", "NaN", "99999999999"] {
            assert_eq!(Delay::lenient(none), Delay(0), "{none}");
        }
        for bad in ["", ".1", "1.", "1.0", "01", "1.1234567", "-1", "1e3"] {
            assert_eq!(Delay::parse(bad), None, "{bad}");
        }
    }
}
