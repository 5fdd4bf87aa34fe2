//! postscreen(8) and dnsblog(8): what happens before a client sees the SMTP server.
//!
//! A client is `[address]:port` here, without a name. Both spellings of the lists are read: ALLOWLISTED and
//! DENYLISTED since Postfix 3.6, WHITELISTED and BLACKLISTED before; the words are kept as they were.

use crate::check::Session;
use crate::record::{Record, Text};
use crate::scan;
use std::fmt;

record! {
    /// `[address]:port`
    ScreenPeer<'a> {
        /// The address as text.
        address: Text<'a>,
        /// Its port.
        port: u16,
    }
}

impl<'a> ScreenPeer<'a> {
    fn parse_prefix(text: &'a str) -> Option<(ScreenPeer<'a>, &'a str)> {
        let (address, rest) = text.strip_prefix('[')?.split_once("]:")?;
        let (port, rest) = scan::leading_number(rest)?;
        Some((ScreenPeer { address: address.into(), port }, rest))
    }

    fn parse(text: &'a str) -> Option<ScreenPeer<'a>> {
        ScreenPeer::parse_prefix(text).and_then(|(peer, rest)| rest.is_empty().then_some(peer))
    }
}

impl fmt::Display for ScreenPeer<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[")?;
        f.write_str(&self.address)?;
        f.write_str("]:")?;
        self.port.fmt(f)
    }
}

record! {
    /// `CONNECT from [192.0.2.1]:4711 to [192.0.2.25]:25`
    ScreenConnect<'a> {
        /// Who.
        client: ScreenPeer<'a>,
        /// Where it came to.
        server: ScreenPeer<'a>,
    }
}

impl<'a> Record<'a> for ScreenConnect<'a> {
    fn read(text: &'a str) -> Option<Self> {
        let (client, rest) = ScreenPeer::parse_prefix(text.strip_prefix("CONNECT from ")?)?;
        Some(ScreenConnect { client, server: ScreenPeer::parse(rest.strip_prefix(" to ")?)? })
    }
    fn write(&self, out: &mut dyn fmt::Write) -> fmt::Result {
        write!(out, "CONNECT from {} to {}", self.client, self.server)
    }
}

words! {
    /// What postscreen says of a client in one word or two.
    Outcome {
        /// Passed all tests now.
        PassNew = "PASS NEW",
        /// Had passed them before.
        PassOld = "PASS OLD",
        /// `postscreen_access_list` permits.
        Allowlisted = "ALLOWLISTED",
        /// The same before Postfix 3.6.
        Whitelisted = "WHITELISTED",
        /// `postscreen_access_list` refuses.
        Denylisted = "DENYLISTED",
        /// The same before Postfix 3.6.
        Blacklisted = "BLACKLISTED",
        /// It came to a backup address.
        AllowlistVeto = "ALLOWLIST VETO",
        /// The same before Postfix 3.6.
        WhitelistVeto = "WHITELIST VETO",
        /// The session has ended.
        Disconnect = "DISCONNECT",
    }
}

record! {
    /// `PASS NEW [192.0.2.1]:4711`
    ScreenOutcome<'a> {
        /// What.
        outcome: Outcome,
        /// Who.
        client: ScreenPeer<'a>,
    }
}

impl<'a> Record<'a> for ScreenOutcome<'a> {
    fn read(text: &'a str) -> Option<Self> {
        let at = text.find(" [")?;
        let (outcome, rest) = scan::split_one(text, at)?;
        Some(ScreenOutcome { outcome: Outcome::from_word(outcome)?, client: ScreenPeer::parse(rest)? })
    }
    fn write(&self, out: &mut dyn fmt::Write) -> fmt::Result {
        write!(out, "{} {}", self.outcome, self.client)
    }
}

words! {
    /// A test that a client failed.
    Violation {
        /// Spoke before the greeting.
        Pregreet = "PREGREET",
        /// Went during the tests.
        Hangup = "HANGUP",
        /// Sent a command behind another without leave.
        Pipelining = "COMMAND PIPELINING",
        /// Ended a line with a bare newline.
        BareNewline = "BARE NEWLINE",
        /// Spoke another protocol.
        NonSmtp = "NON-SMTP COMMAND",
        /// Took too long.
        TimeLimit = "COMMAND TIME LIMIT",
        /// Sent too many commands.
        CountLimit = "COMMAND COUNT LIMIT",
        /// Sent too long a command.
        LengthLimit = "COMMAND LENGTH LIMIT",
        /// `DATA` without a recipient and the like.
        DataWithoutRecipient = "DATA without valid RCPT",
    }
}

record! {
    /// `PREGREET 14 after 0.02 from [192.0.2.1]:4711: EHLO x\r\n`, `COMMAND PIPELINING from … after EHLO: …`
    ScreenViolation<'a> {
        /// Which test.
        violation: Violation,
        /// What stands before ` from `: `14 after 0.02`.
        detail: Option<Text<'a>>,
        /// Who.
        client: ScreenPeer<'a>,
        /// What stands behind the client, with what parts it: ` after EHLO: MAIL …`.
        more: Text<'a>,
    }
}

impl<'a> Record<'a> for ScreenViolation<'a> {
    fn read(text: &'a str) -> Option<Self> {
        let (before, rest) = scan::until(text, " from [")?;
        let tail = text.get(text.len().checked_sub(rest.len())?.checked_sub(1)?..)?;
        let violation = Violation::ALL.iter().copied().find(|violation| {
            before
                .strip_prefix(violation.as_str())
                .is_some_and(|rest| rest.is_empty() || rest.starts_with(' '))
        })?;
        let detail = before.strip_prefix(violation.as_str())?;
        let detail = if detail.is_empty() { None } else { Some(detail.strip_prefix(' ')?.into()) };
        let (client, more) = ScreenPeer::parse_prefix(tail)?;
        Some(ScreenViolation { violation, detail, client, more: more.into() })
    }
    fn write(&self, out: &mut dyn fmt::Write) -> fmt::Result {
        write!(out, "{}", self.violation)?;
        if let Some(detail) = &self.detail {
            write!(out, " {detail}")?;
        }
        write!(out, " from {}{}", self.client, self.more)
    }
}

record! {
    /// `DNSBL rank 3 for [192.0.2.1]:4711`
    ScreenRank<'a> {
        /// The sum of the lists' weights.
        rank: u32,
        /// Who.
        client: ScreenPeer<'a>,
    }
}

impl<'a> Record<'a> for ScreenRank<'a> {
    fn read(text: &'a str) -> Option<Self> {
        let (rank, rest) = scan::leading_number(text.strip_prefix("DNSBL rank ")?)?;
        Some(ScreenRank { rank, client: ScreenPeer::parse(rest.strip_prefix(" for ")?)? })
    }
    fn write(&self, out: &mut dyn fmt::Write) -> fmt::Result {
        write!(out, "DNSBL rank {} for {}", self.rank, self.client)
    }
}

record! {
    /// `NOQUEUE: reject: RCPT from [192.0.2.1]:4711: 550 5.7.1 …; from=<a>, to=<b>, proto=ESMTP, helo=<c>`
    ScreenReject<'a> {
        /// `RCPT` or `CONNECT`.
        stage: Text<'a>,
        /// Who.
        client: ScreenPeer<'a>,
        /// The reply.
        text: Text<'a>,
        /// What else was known.
        session: Session<'a>,
    }
}

impl<'a> Record<'a> for ScreenReject<'a> {
    fn read(text: &'a str) -> Option<Self> {
        let (stage, rest) = text.strip_prefix("NOQUEUE: reject: ")?.split_once(" from ")?;
        let (client, rest) = ScreenPeer::parse_prefix(rest)?;
        let rest = rest.strip_prefix(": ")?;
        let (text, session) = match rest.split_once("; from=<") {
            Some((text, _)) => {
                let session = rest.get(text.len().checked_add(2)?..)?;
                let (session, tail) = Session::read(session, ", ")?;
                if !tail.is_empty() {
                    return None;
                }
                (text, session)
            }
            None => (rest, Session::default()),
        };
        Some(ScreenReject { stage: stage.into(), client, text: text.into(), session })
    }
    fn write(&self, out: &mut dyn fmt::Write) -> fmt::Result {
        write!(out, "NOQUEUE: reject: {} from {}: {}", self.stage, self.client, self.text)?;
        if self.session.is_empty() {
            return Ok(());
        }
        out.write_str("; ")?;
        self.session.write(out, ", ")
    }
}

record! {
    /// `statistics: zone zen.example queries 214 listed 3 unanswered 2 times 10ms=3 15ms=80 2000ms=1`: how a DNS
    /// list answered since the last such line. This program says it from time to time; Postfix doesn't.
    ZoneAnswers<'a> {
        /// The list.
        zone: Text<'a>,
        /// How often a name server was asked whether somebody is in it.
        queries: u64,
        /// How often somebody was.
        listed: u64,
        /// How often nothing came back.
        unanswered: u64,
        /// How many answers took up to so many milliseconds and longer than the bound before: counts of several
        /// lines add up. [`ZoneAnswers::times`]; nothing where there was no answer.
        times: Option<Text<'a>>,
    }
}

impl ZoneAnswers<'_> {
    /// The bound that so many milliseconds are counted under: the next of 1, 2, 3, 5, 7, 10, 15, 20, 30, 50, 70, 100,
    /// 150 and so on.
    #[must_use]
    pub fn bound(millis: u64) -> u64 {
        [1, 2, 3, 5, 7].into_iter().find(|step| millis <= *step).unwrap_or_else(|| {
            let mut ten: u64 = 10;
            loop {
                let steps = [ten, ten.saturating_add(ten / 2), ten.saturating_mul(2), ten.saturating_mul(3)];
                let steps = steps.into_iter().chain([ten.saturating_mul(5), ten.saturating_mul(7)]);
                if let Some(step) = steps.into_iter().find(|step| millis <= *step) {
                    return step;
                }
                ten = ten.saturating_mul(10);
            }
        })
    }

    /// Bounds in milliseconds, and how many answers are under each.
    pub fn times(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        let words = self.times.as_deref().unwrap_or_default().split(' ');
        words.filter_map(|word| {
            let (bound, count) = word.split_once("ms=")?;
            Some((scan::number(bound)?, scan::number(count)?))
        })
    }
}

impl<'a> Record<'a> for ZoneAnswers<'a> {
    fn read(text: &'a str) -> Option<Self> {
        let (zone, rest) = scan::until(text.strip_prefix("statistics: zone ")?, " queries ")?;
        let (queries, rest) = scan::leading_number(rest)?;
        let (listed, rest) = scan::leading_number(rest.strip_prefix(" listed ")?)?;
        let (unanswered, rest) = scan::leading_number(rest.strip_prefix(" unanswered ")?)?;
        let times = match rest {
            "" => None,
            rest => Some(rest.strip_prefix(" times ")?.into()),
        };
        Some(ZoneAnswers { zone: zone.into(), queries, listed, unanswered, times })
    }
    fn write(&self, out: &mut dyn fmt::Write) -> fmt::Result {
        let (zone, queries, listed, unanswered) = (&self.zone, self.queries, self.listed, self.unanswered);
        write!(out, "statistics: zone {zone} queries {queries} listed {listed} unanswered {unanswered}")?;
        self.times.as_ref().map_or(Ok(()), |times| write!(out, " times {times}"))
    }
}

record! {
    /// `addr 192.0.2.1 listed by domain dnsbl.example.org as 127.0.0.2`
    Listed<'a> {
        /// The client's address.
        address: Text<'a>,
        /// The list.
        domain: Text<'a>,
        /// Its answer.
        answer: Text<'a>,
    }
}

impl<'a> Record<'a> for Listed<'a> {
    fn read(text: &'a str) -> Option<Self> {
        let (address, rest) = text.strip_prefix("addr ")?.split_once(" listed by domain ")?;
        let (domain, answer) = scan::until(rest, " as ")?;
        Some(Listed { address: address.into(), domain: domain.into(), answer: answer.into() })
    }
    fn write(&self, out: &mut dyn fmt::Write) -> fmt::Result {
        write!(out, "addr {} listed by domain {} as {}", self.address, self.domain, self.answer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_of_times() {
        for (millis, bound) in
            [(0, 1), (1, 1), (4, 5), (8, 10), (11, 15), (16, 20), (71, 100), (101, 150), (2001, 3000)]
        {
            assert_eq!(ZoneAnswers::bound(millis), bound, "{millis}");
            assert_eq!(ZoneAnswers::bound(bound), bound);
        }
        assert_eq!(ZoneAnswers::bound(u64::MAX), u64::MAX);
    }

    #[test]
    fn answers_of_a_zone() {
        let text = "statistics: zone zen.example queries 84 listed 3 unanswered 2 times 10ms=3 15ms=79";
        let read = ZoneAnswers::read(text).expect("reads");
        assert_eq!(read.times().collect::<Vec<_>>(), [(10, 3), (15, 79)]);
        let silent = ZoneAnswers::read("statistics: zone a queries 2 listed 0 unanswered 2").expect("reads");
        assert_eq!(silent.times().count(), 0);
        assert!(ZoneAnswers::read("statistics: max connection rate 1/60s for (smtp:a) at x").is_none());
    }
}
