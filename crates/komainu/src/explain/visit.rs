//! The made-up session: who comes, and what it says.
//!
//! A session file has one `key = value` a line, by the names of the command line's options (`client-addr`, `helo`,
//! `from`, `to` …), `#` begins a remark; `to` may stand more than once.

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

/// Who comes, and what it says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Visit {
    /// The client's address.
    pub client: IpAddr,
    /// Its verified name; `None` to look it up, `unknown` for none.
    pub name: Option<String>,
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
}

impl Default for Visit {
    fn default() -> Visit {
        Visit {
            client: IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)),
            name: None,
            helo: None,
            plain_helo: false,
            from: None,
            to: Vec::new(),
            sasl: None,
            tls: false,
            size: 0,
            last: Last::default(),
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
    /// No stage.
    #[error("\"{0}\" is no stage: write connect, helo, mail, rcpt, data or end-of-data")]
    Stage(String),
    /// Not a key.
    #[error(
        "\"{0}\" is no part of a session: write client-addr, client-name, helo, from, to, sasl-user, tls, size or stage"
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
            "client-name" => self.name = Some(plain("client-name")?),
            "helo" => self.helo = Some(plain("helo")?),
            "from" => self.from = Some(bare(&plain("from")?)),
            "to" => self.to.push(bare(&plain("to")?)),
            "sasl-user" => self.sasl = Some(plain("sasl-user")?),
            "tls" => self.tls = !matches!(value, "no" | "false" | "0"),
            "size" => self.size = value.parse().map_err(|_| BadVisit::Size(value.to_owned()))?,
            "stage" => self.last = Last::parse(value)?,
            _ => return Err(BadVisit::Key(key.to_owned())),
        }
        Ok(())
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
        assert_eq!(Visit::default().set("helo", "a\r\nQUIT"), Err(BadVisit::Control("helo")));
    }
}
