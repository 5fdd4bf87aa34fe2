//! XFORWARD: telling a server behind us, a content filter perhaps, where a message came from (XFORWARD_README).
//!
//! Only what the server asked for in its answer to EHLO, and only what is known. A server that refuses it gets the mail
//! all the same.

use super::replies::Said;
use super::{Action, Client, Mail, Phase, words};
use mail::Now;
use std::collections::VecDeque;
use std::fmt::Write;

/// Where a message came from; what is empty isn't known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origin {
    /// The client's verified name.
    pub name: String,
    /// Its address, as XFORWARD has it.
    pub address: String,
    /// Its port.
    pub port: String,
    /// SMTP, ESMTP.
    pub protocol: String,
    /// What it said in HELO.
    pub helo: String,
    /// The message's name here.
    pub id: String,
    /// It came from this machine.
    pub is_local: bool,
}

impl Origin {
    pub(crate) fn value(&self, attribute: &str) -> &str {
        match attribute {
            "NAME" => &self.name,
            "ADDR" => &self.address,
            "PORT" => &self.port,
            "PROTO" => &self.protocol,
            "HELO" => &self.helo,
            "IDENT" => &self.id,
            _ if self.is_local => "LOCAL",
            _ => "REMOTE",
        }
    }

    /// One command, where there is anything to be said.
    fn command(&self, attributes: &[&str], wanted: &[String]) -> Option<String> {
        let mut line = "XFORWARD".to_owned();
        for attribute in attributes {
            let value = self.value(attribute);
            if !value.is_empty() && wanted.iter().any(|one| one == attribute) {
                let _ = write!(line, " {attribute}={}", coded(value));
            }
        }
        (line != "XFORWARD").then_some(line)
    }
}

/// RFC 3461 §4, but for `=`.
pub(crate) fn coded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_graphic() && byte != b'+' {
            out.push(char::from(byte));
        } else {
            // Writing to a string can't fail.
            let _ = write!(out, "+{byte:02X}");
        }
    }
    out
}

impl Client {
    /// What is to be said in front of a message's envelope.
    pub(super) fn forwarding(&self, mail: &Mail) -> VecDeque<(Phase, String)> {
        let Some(origin) = &mail.origin else { return VecDeque::new() };
        let wanted = &self.capabilities.forwards;
        let commands = [
            (Phase::ForwardName, ["NAME", "ADDR", "PORT"].as_slice()),
            (Phase::ForwardHelo, ["PROTO", "HELO", "IDENT", "SOURCE"].as_slice()),
        ];
        let commands = commands
            .into_iter()
            .filter_map(|(phase, attributes)| Some((phase, origin.command(attributes, wanted)?)));
        commands.collect()
    }

    /// Says the next of it, or goes on with the envelope.
    pub(super) fn forward(&mut self, now: Now, out: &mut Vec<u8>) {
        let Some((phase, line)) = self.forwards.pop_front() else { return self.ask(now, out) };
        out.extend_from_slice(line.as_bytes());
        out.extend_from_slice(b"\r\n");
        self.phase = phase;
        self.wait(now, self.settings.timeouts.xforward);
    }

    pub(super) fn forward_answered(&mut self, now: Now, said: &Said, out: &mut Vec<u8>) {
        if said.class() != 2 {
            let what = self.doing().strip_prefix(words::SENDING).unwrap_or_default();
            let text = format!("host {} said: {} (in reply to {what} command)", self.peer, said.text);
            self.actions.push_back(Action::Doubt(text));
        }
        self.forward(now, out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_wanted_and_known() {
        let origin =
            Origin { address: "192.0.2.1".to_owned(), helo: "a+b=c\r\nd".to_owned(), ..Origin::default() };
        let check = |attributes: &[&str], wanted: &str, expect: Option<&str>| {
            let wanted: Vec<String> = wanted.split(' ').map(str::to_owned).collect();
            assert_eq!(origin.command(attributes, &wanted).as_deref(), expect, "{attributes:?} {wanted:?}");
        };
        check(&["NAME", "ADDR", "PORT"], "NAME ADDR PORT", Some("XFORWARD ADDR=192.0.2.1"));
        check(&["NAME", "ADDR", "PORT"], "NAME PORT", None);
        check(&["HELO", "SOURCE"], "HELO SOURCE", Some("XFORWARD HELO=a+2Bb=c+0D+0Ad SOURCE=REMOTE"));
    }
}
