//! The made-up session: who comes, and what it says.
//!
//! A session file has one `key = value` a line, by the names of the command line's options (`client-addr`, `helo`,
//! `from`, `to` …), `#` begins a remark; `to` may stand more than once.

use events::Stamp;
use mail::Wall;
use std::net::{IpAddr, Ipv4Addr};

/// Where the session ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Last {
    /// With the greeting.
    Connect,
    /// With HELO or EHLO.
    Helo,
    /// With MAIL.
    Mail,
    /// With the last RCPT.
    Rcpt,
    /// With DATA.
    Data,
    /// With the message's end.
    #[default]
    EndOfData,
}

/// Why a client has no name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Nameless {
    /// Its address has no name.
    #[default]
    NoName,
    /// Its address has a name that leads elsewhere, or nowhere.
    Forged,
    /// Nobody could say the address's name for the moment.
    NameUnavailable,
    /// Nobody could say where the name leads for the moment.
    AddressUnavailable,
}

impl Nameless {
    /// All of them.
    pub const ALL: [Nameless; 4] =
        [Nameless::NoName, Nameless::Forged, Nameless::NameUnavailable, Nameless::AddressUnavailable];

    /// In words.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Nameless::NoName => "its address had no name (no PTR record)",
            Nameless::Forged => "its address had a name that didn't lead back to it",
            Nameless::NameUnavailable => "its address's name could not be looked up just then",
            Nameless::AddressUnavailable => "its name's addresses could not be looked up just then",
        }
    }
}

/// When the session is, and how far clocks there are ahead of UTC, in minutes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// The point in time.
    pub wall: Wall,
    /// Minutes east of UTC.
    pub offset: i16,
}

impl Moment {
    /// Reads `2026-11-22T01:02:03+09:00` (RFC 3339) or seconds since 1970.
    ///
    /// # Errors
    /// [`BadVisit::Time`].
    pub fn parse(text: &str) -> Result<Moment, BadVisit> {
        let bad = || BadVisit::Time(text.to_owned());
        if let Ok(seconds) = text.parse::<i64>() {
            let sane = (0..=SECONDS_MAX).contains(&seconds);
            return sane.then(|| Moment { wall: Wall::from_seconds(seconds), offset: 0 }).ok_or_else(bad);
        }
        // RFC 3339 lets small letters and a blank stand there, too.
        let text = text.replacen([' ', 't'], "T", 1).replace('z', "Z");
        match Stamp::parse_prefix(&text) {
            Some((stamp @ Stamp::Rfc3339 { offset, .. }, "")) => {
                Ok(Moment { wall: stamp.wall(0, 0), offset: offset.unwrap_or(0) })
            }
            _ => Err(bad()),
        }
    }
}

/// The end of the year 9999.
const SECONDS_MAX: i64 = 253_402_300_799;

/// Who comes, and what it says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Visit {
    /// The client's address.
    pub client: IpAddr,
    /// Its verified name; `None` to look it up, `unknown` for none.
    pub name: Option<String>,
    /// Why it has none, where its name is `unknown`.
    pub nameless: Nameless,
    /// The argument of HELO or EHLO; `None` where it says nothing.
    pub helo: Option<String>,
    /// HELO, not EHLO.
    pub plain_helo: bool,
    /// MAIL FROM, without brackets; empty for the null sender, `None` where it doesn't come to it.
    pub from: Option<String>,
    /// RCPT TO.
    pub to: Vec<String>,
    /// The name it has logged in with.
    pub sasl: Option<String>,
    /// Whether the session is encrypted.
    pub tls: bool,
    /// The message's size in bytes; 0 for a small one whose size isn't announced.
    pub size: u64,
    /// Where it ends.
    pub last: Last,
    /// Whether that was asked for, and isn't the default.
    pub last_named: bool,
    /// When it is; `None` for no certain time.
    pub at: Option<Moment>,
}

impl Default for Visit {
    fn default() -> Visit {
        Visit {
            client: IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)),
            name: None,
            nameless: Nameless::default(),
            helo: None,
            plain_helo: false,
            from: None,
            to: Vec::new(),
            sasl: None,
            tls: false,
            size: 0,
            last: Last::default(),
            last_named: false,
            at: None,
        }
    }
}

/// Why a word can't stand in a session.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadVisit {
    /// No address.
    #[error("\"{0}\" is no IP address")]
    Address(String),
    /// No number.
    #[error("\"{0}\" is no number of bytes")]
    Size(String),
    /// No point in time.
    #[error("\"{0}\" is no time: write it as 2026-11-22T01:02:03+09:00 (RFC 3339), or as seconds since 1970")]
    Time(String),
    /// Neither yes nor no.
    #[error("tls is yes or no, not \"{0}\"")]
    Tls(String),
    /// A name that no host has.
    #[error("\"{0}\" is no host name; a client without one is `unknown`")]
    Name(String),
    /// Something is missing.
    #[error("{what} without {missing}: a session comes to it only behind {before}")]
    Missing {
        /// What was given.
        what: &'static str,
        /// What wasn't.
        missing: &'static str,
        /// What must come before.
        before: &'static str,
    },
    /// No stage.
    #[error("\"{0}\" is no stage: write connect, helo, mail, rcpt, data or end-of-data")]
    Stage(String),
    /// Not a key.
    #[error(
        "\"{0}\" is no part of a session: write client-addr, client-name, helo, from, to, sasl-user, tls, size, stage or at"
    )]
    Key(String),
    /// Control characters.
    #[error("{0}: a line break or another control character can't stand in a command")]
    Control(&'static str),
    /// Not `key = value`.
    #[error("line {0}: write KEY = VALUE")]
    Line(usize),
}

impl Last {
    /// Reads `rcpt` and its kin.
    ///
    /// # Errors
    /// [`BadVisit::Stage`].
    pub fn parse(word: &str) -> Result<Last, BadVisit> {
        Ok(match word.to_ascii_lowercase().as_str() {
            "connect" | "client" => Last::Connect,
            "helo" | "ehlo" => Last::Helo,
            "mail" | "sender" => Last::Mail,
            "rcpt" | "recipient" => Last::Rcpt,
            "data" => Last::Data,
            "end-of-data" | "end-of-message" | "eod" => Last::EndOfData,
            _ => return Err(BadVisit::Stage(word.to_owned())),
        })
    }
}

impl Visit {
    /// Sets one part by its name.
    ///
    /// # Errors
    /// [`BadVisit`].
    pub fn set(&mut self, key: &str, value: &str) -> Result<(), BadVisit> {
        let plain = |what: &'static str| {
            if value.chars().any(char::is_control) {
                return Err(BadVisit::Control(what));
            }
            Ok(value.to_owned())
        };
        match key {
            "client-addr" => {
                let bare = value.trim_start_matches('[').trim_end_matches(']');
                self.client = bare.parse().map_err(|_| BadVisit::Address(value.to_owned()))?;
            }
            "client-name" => {
                let name = plain("client-name")?;
                if !mail::host::is_hostname(name.trim_end_matches('.')) {
                    return Err(BadVisit::Name(name));
                }
                self.name = Some(name.trim_end_matches('.').to_owned());
            }
            "helo" => self.helo = Some(plain("helo")?),
            "from" => self.from = Some(bare(&plain("from")?)),
            "to" => self.to.push(bare(&plain("to")?)),
            "sasl-user" => self.sasl = Some(plain("sasl-user")?),
            "tls" => {
                self.tls = match value {
                    "yes" => true,
                    "no" => false,
                    _ => return Err(BadVisit::Tls(value.to_owned())),
                }
            }
            "size" => self.size = value.parse().map_err(|_| BadVisit::Size(value.to_owned()))?,
            "stage" => (self.last, self.last_named) = (Last::parse(value)?, true),
            "at" => self.at = Some(Moment::parse(value)?),
            _ => return Err(BadVisit::Key(key.to_owned())),
        }
        Ok(())
    }

    /// Whether the parts fit together: nobody names a recipient before a sender.
    ///
    /// # Errors
    /// [`BadVisit::Missing`].
    pub fn check(&self) -> Result<(), BadVisit> {
        let missing = |what, missing, before| Err(BadVisit::Missing { what, missing, before });
        if !self.to.is_empty() && self.from.is_none() {
            return missing("--to", "--from", "MAIL FROM");
        }
        if self.size > 0 && self.from.is_none() {
            return missing("--size", "--from", "MAIL FROM");
        }
        if !self.last_named {
            return Ok(());
        }
        match self.last {
            Last::Helo if self.helo.is_none() => missing("--stage helo", "--helo", "EHLO"),
            Last::Mail | Last::Rcpt | Last::Data | Last::EndOfData if self.from.is_none() => {
                missing("this --stage", "--from", "MAIL FROM")
            }
            Last::Rcpt | Last::Data | Last::EndOfData if self.to.is_empty() => {
                missing("this --stage", "--to", "RCPT TO")
            }
            _ => Ok(()),
        }
    }

    /// What isn't given, and where the session goes another way for it.
    #[must_use]
    pub fn gaps(&self) -> Vec<&'static str> {
        let mut gaps = Vec::new();
        if self.helo.is_none() && self.last >= Last::Helo && (self.from.is_some() || !self.last_named) {
            gaps.push("without --helo NAME the client says neither EHLO nor HELO");
        }
        if self.from.is_none() && self.last >= Last::Mail {
            gaps.push("without --from ADDRESS the session ends before MAIL");
        } else if self.to.is_empty() && self.last >= Last::Rcpt {
            gaps.push("without --to ADDRESS the session ends before RCPT");
        }
        gaps
    }

    /// Sets everything that a session file says.
    ///
    /// # Errors
    /// [`BadVisit`], for the first line that is wrong.
    pub fn read(&mut self, text: &str) -> Result<(), BadVisit> {
        for (index, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let (key, value) = line.split_once('=').ok_or(BadVisit::Line(index.saturating_add(1)))?;
            self.set(key.trim(), value.trim())?;
        }
        Ok(())
    }
}

/// An address without its angle brackets.
fn bare(address: &str) -> String {
    address.strip_prefix('<').and_then(|rest| rest.strip_suffix('>')).unwrap_or(address).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_file_says_what_the_options_say() {
        let mut visit = Visit::default();
        let text = "# a spammer\nclient-addr = 203.0.113.9\nhelo=localhost\nfrom = <>\nto = a@example.com\nto = <b@example.com>\nstage = rcpt\n";
        visit.read(text).unwrap();
        assert_eq!(visit.client.to_string(), "203.0.113.9");
        assert_eq!(visit.from.as_deref(), Some(""));
        assert_eq!(visit.to, ["a@example.com", "b@example.com"]);
        assert_eq!(visit.last, Last::Rcpt);
    }

    #[test]
    fn what_is_wrong_is_named() {
        let check = |text: &str, expect: BadVisit| {
            assert_eq!(Visit::default().read(text), Err(expect), "{text}");
        };
        check("client-addr = mail.example.com", BadVisit::Address("mail.example.com".into()));
        check("size = big", BadVisit::Size("big".into()));
        check("hello = x", BadVisit::Key("hello".into()));
        check("\n\nhelo", BadVisit::Line(3));
        check("stage = later", BadVisit::Stage("later".into()));
        check("tls = perhaps", BadVisit::Tls("perhaps".into()));
        check("client-name = [192.0.2.1]", BadVisit::Name("[192.0.2.1]".into()));
        assert_eq!(Visit::default().set("helo", "a\r\nQUIT"), Err(BadVisit::Control("helo")));
    }

    #[test]
    fn points_in_time() {
        let check = |text: &str, expect: Option<(i64, i16)>| {
            let moment = Moment::parse(text).ok().map(|moment| (moment.wall.seconds(), moment.offset));
            assert_eq!(moment, expect, "{text}");
        };
        check("1795309323", Some((1_795_309_323, 0)));
        check("2026-11-22T01:02:03Z", Some((1_795_309_323, 0)));
        check("2026-11-22 10:02:03+09:00", Some((1_795_309_323, 540)));
        check("2026-11-22t01:02:03.25z", Some((1_795_309_323, 0)));
        for bad in
            ["", "noon", "-1", "99999999999999", "2026-11-22", "2026-13-22T01:02:03Z", "Nov 22 01:02:03"]
        {
            check(bad, None);
        }
    }

    #[test]
    fn parts_that_need_others() {
        let check = |text: &str, ok: bool, gaps: usize| {
            let mut visit = Visit::default();
            visit.read(text).unwrap();
            assert_eq!((visit.check().is_ok(), visit.gaps().len()), (ok, gaps), "{text}");
        };
        check("", true, 2);
        check("helo = x", true, 1);
        check("helo = x\nfrom = a@b", true, 1);
        check("helo = x\nfrom = a@b\nto = c@d", true, 0);
        check("from = a@b\nto = c@d", true, 1);
        check("helo = x\nto = c@d", false, 1);
        check("size = 1", false, 2);
        check("stage = connect", true, 0);
        check("stage = helo", false, 0);
        check("stage = rcpt\nhelo = x\nfrom = a@b", false, 1);
        check("stage = mail\nhelo = x\nfrom = a@b", true, 0);
    }
}
