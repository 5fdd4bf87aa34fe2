//! A message's envelope on its way out: MAIL, RCPT and DATA, their answers, and each recipient's verdict.
//!
//! With PIPELINING all commands go in one piece and the answers are taken in their order; without it each waits for
//! the one before. A server that takes DATA without a recipient gets an empty message, RFC 2920 §3.1.

use super::capabilities::{Capabilities, Keyword};
use super::replies::Said;
use super::{Dialect, Origin, Verdict, Why, words};
use mail::Dsn;
use std::collections::VecDeque;
use std::fmt::Write;

/// One message to be sent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mail {
    /// As it stands between `<` and `>`; empty for the null sender.
    pub sender: String,
    /// Bytes as they will be sent, for SIZE=.
    pub size_bytes: u64,
    /// What is said to be in it.
    pub content: Content,
    /// SMTPUTF8 was asked for.
    pub smtputf8: bool,
    /// It was asked for, and is needed.
    pub needs_smtputf8: bool,
    /// `FULL` or `HDRS`.
    pub ret: Option<&'static str>,
    /// ENVID, not encoded.
    pub envelope_id: Option<String>,
    /// Not empty.
    pub recipients: Vec<To>,
    /// Nothing is sent: only whether it would be taken is asked.
    pub probe: Option<Probe>,
    /// Where it came from, for servers that are told (`smtp_send_xforward_command`).
    pub origin: Option<Origin>,
}

/// After which command a probe has its answer: `smtp_address_verify_target`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Probe {
    /// RCPT.
    Rcpt,
    /// DATA, behind which the connection is cut.
    Data,
}

/// What a message holds, as its sender said.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Content {
    /// Anything.
    #[default]
    Unstated,
    /// BODY=7BIT.
    SevenBit,
    /// BODY=8BITMIME.
    EightBit,
}

/// One recipient.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct To {
    /// As it stands between `<` and `>`.
    pub address: String,
    /// `rfc822;…`, not encoded.
    pub orcpt: Option<String>,
    /// `SUCCESS,FAILURE`; empty where it was not given.
    pub notify: String,
}

/// What was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Command {
    Mail,
    /// The how manieth.
    Rcpt(usize),
    Data,
}

/// What follows from an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// For this one's answer.
    Wait(Command),
    /// Send the message.
    Body,
    /// The server wants a message that nobody gets.
    EmptyDot,
    /// Nothing is to be sent.
    Reset,
    /// A probe has its answer, and the server waits for a message: the connection ends.
    Cut,
}

/// The message under way.
#[derive(Debug, Default)]
pub(super) struct Envelope {
    mail: Mail,
    /// RFC 4954 §5: `AUTH=<>` is said.
    pub(super) names_nobody: bool,
    /// What is sent isn't what was counted.
    pub(super) is_converted: bool,
    verdicts: Vec<Option<Verdict>>,
    /// Sent, and not answered.
    asked: VecDeque<Command>,
    /// LMTP: recipients whose answer to the dot is awaited; SMTP: all that were accepted.
    accepted: VecDeque<usize>,
    /// An answer that came while the message was still being sent.
    early: VecDeque<Said>,
}

impl Envelope {
    pub(super) fn new(mail: Mail) -> Envelope {
        let verdicts = vec![None; mail.recipients.len()];
        Envelope { mail, verdicts, ..Envelope::default() }
    }

    /// Why the server need not even be asked.
    pub(super) fn refused_beforehand(&self, can: &Capabilities, host: &str) -> Option<Verdict> {
        let size = self.mail.size_bytes;
        if can.size_max > 0 && size > can.size_max {
            let text = format!("message size {size} exceeds size limit {} of server {host}", can.size_max);
            return Some(Verdict::failed(Dsn::new(5, 3, 4), text));
        }
        if self.mail.needs_smtputf8 && !can.has(Keyword::SmtpUtf8) {
            let text = format!("SMTPUTF8 is required, but was not offered by host {host}");
            return Some(Verdict::failed(Dsn::new(5, 6, 7), text));
        }
        None
    }

    /// Sends MAIL, and with PIPELINING everything up to DATA.
    pub(super) fn ask(&mut self, can: &Capabilities, out: &mut Vec<u8>) {
        self.send(Command::Mail, can, out);
        if can.has(Keyword::Pipelining) {
            for at in 0..self.mail.recipients.len() {
                self.send(Command::Rcpt(at), can, out);
            }
            if self.mail.probe.is_none() {
                self.send(Command::Data, can, out);
            }
        }
    }

    pub(super) fn doing(&self) -> &'static str {
        match self.asked.front() {
            Some(Command::Mail) | None => words::MAIL,
            Some(Command::Rcpt(_)) => words::RCPT,
            Some(Command::Data) => words::DATA,
        }
    }

    fn send(&mut self, command: Command, can: &Capabilities, out: &mut Vec<u8>) {
        let line = match command {
            Command::Mail => self.mail_command(can),
            Command::Rcpt(at) => {
                let Some(to) = self.mail.recipients.get(at) else { return };
                rcpt_command(to, can)
            }
            Command::Data => "DATA".to_owned(),
        };
        // Whatever came into the envelope by whichever way: a command is one line.
        out.extend_from_slice(mail::line::one(&line).as_bytes());
        out.extend_from_slice(b"\r\n");
        self.asked.push_back(command);
    }

    fn mail_command(&self, can: &Capabilities) -> String {
        let mail = &self.mail;
        let mut line = format!("MAIL FROM:<{}>", mail.sender);
        // Writing to a string can't fail.
        if can.has(Keyword::Size) && !self.is_converted {
            let _ = write!(line, " SIZE={}", mail.size_bytes);
        }
        if mail.content == Content::EightBit && can.has(Keyword::EightBitMime) {
            line.push_str(" BODY=8BITMIME");
        }
        if can.has(Keyword::Dsn) {
            if let Some(id) = &mail.envelope_id {
                let _ = write!(line, " ENVID={}", xtext(id));
            }
            if let Some(ret) = mail.ret {
                let _ = write!(line, " RET={ret}");
            }
        }
        if mail.smtputf8 && can.has(Keyword::SmtpUtf8) {
            line.push_str(" SMTPUTF8");
        }
        if self.names_nobody {
            line.push_str(" AUTH=<>");
        }
        line
    }

    /// Takes an answer in.
    pub(super) fn answered(
        &mut self,
        said: &Said,
        can: &Capabilities,
        host: &str,
        out: &mut Vec<u8>,
    ) -> Next {
        let Some(command) = self.asked.pop_front() else { return Next::Reset };
        match command {
            Command::Mail if said.class() != 2 => {
                let verdict = refusal(said, host, "MAIL FROM");
                self.verdicts.fill(Some(verdict));
            }
            Command::Rcpt(at) => {
                if let Some(verdict @ None) = self.verdicts.get_mut(at) {
                    if said.class() == 2 && self.mail.probe == Some(Probe::Rcpt) {
                        *verdict = Some(Verdict::Sent(answer(said)));
                    } else if said.class() == 2 {
                        self.accepted.push_back(at);
                    } else {
                        *verdict = Some(refusal(said, host, "RCPT TO"));
                    }
                }
            }
            Command::Data => return self.data_answered(said, host),
            Command::Mail => {}
        }
        if let Some(command) = self.asked.front() {
            return Next::Wait(*command);
        }
        let next = match command {
            Command::Mail if self.is_open() => Command::Rcpt(0),
            Command::Rcpt(at) if at + 1 < self.mail.recipients.len() => Command::Rcpt(at + 1),
            Command::Rcpt(_) if !self.accepted.is_empty() => Command::Data,
            _ => return Next::Reset,
        };
        self.send(next, can, out);
        Next::Wait(next)
    }

    fn data_answered(&mut self, said: &Said, host: &str) -> Next {
        match said.code {
            300..400 if self.mail.probe.is_some() => {
                let why = Why { dsn: Dsn::new(2, 0, 0), ..answer(said) };
                self.settle_accepted(&Verdict::Sent(why));
                Next::Cut
            }
            354 if self.accepted.is_empty() => Next::EmptyDot,
            300..400 if !self.accepted.is_empty() => Next::Body,
            _ => {
                let verdict = refusal(said, host, "DATA");
                self.settle_accepted(&verdict);
                Next::Reset
            }
        }
    }

    fn is_open(&self) -> bool {
        self.verdicts.iter().any(Option::is_none)
    }

    /// An answer that came before its question.
    pub(super) fn early(&mut self, said: Said) {
        // More than one for each recipient is of no use.
        if self.early.len() < self.mail.recipients.len() {
            self.early.push_back(said);
        }
    }

    /// Takes an answer to the dot in; true when none is missing.
    pub(super) fn dot_answered(&mut self, said: &Said, dialect: Dialect, host: &str) -> bool {
        let verdict = match said.class() {
            2 => Verdict::Sent(answer(said)),
            _ => refusal(said, host, "end of DATA"),
        };
        match dialect {
            Dialect::Smtp => self.settle_accepted(&verdict),
            Dialect::Lmtp => {
                let at = self.accepted.pop_front();
                if let Some(slot) = at.and_then(|at| self.verdicts.get_mut(at)) {
                    *slot = Some(verdict);
                }
            }
        }
        self.accepted.is_empty()
    }

    /// The answers that came while the message was being sent.
    pub(super) fn take_early(&mut self) -> VecDeque<Said> {
        std::mem::take(&mut self.early)
    }

    fn settle_accepted(&mut self, verdict: &Verdict) {
        for at in self.accepted.drain(..) {
            if let Some(slot) = self.verdicts.get_mut(at) {
                *slot = Some(verdict.clone());
            }
        }
    }

    /// The verdicts in the recipients' order; whoever has none has `otherwise`.
    pub(super) fn take_verdicts(&mut self, otherwise: Option<&Verdict>, host: &str) -> Vec<Verdict> {
        let missing = || Verdict::failed(Dsn::new(4, 3, 0), format!("host {host} gave no answer"));
        self.asked.clear();
        self.accepted.clear();
        let verdicts = std::mem::take(&mut self.verdicts).into_iter();
        verdicts.map(|verdict| verdict.or_else(|| otherwise.cloned()).unwrap_or_else(missing)).collect()
    }
}

/// A server's consent in its own words.
fn answer(said: &Said) -> Why {
    Why { reply: Some(said.text.clone()), ..Why::new(said.dsn(), said.text.clone()) }
}

fn rcpt_command(to: &To, can: &Capabilities) -> String {
    let mut line = format!("RCPT TO:<{}>", to.address);
    // Writing to a string can't fail.
    if can.has(Keyword::Dsn) {
        if let Some(orcpt) = &to.orcpt {
            let (kind, address) = orcpt.split_once(';').unwrap_or(("rfc822", orcpt));
            // RFC 3461 §4.2: the type is an atom. What isn't would be read as something else.
            if !kind.is_empty() && kind.bytes().all(|byte| byte.is_ascii_graphic()) {
                let _ = write!(line, " ORCPT={kind};{}", xtext(address));
            }
        }
        if !to.notify.is_empty() {
            let _ = write!(line, " NOTIFY={}", to.notify);
        }
    }
    line
}

/// A refusal's verdict. Consent to what it can't be given to is an error of the protocol.
fn refusal(said: &Said, host: &str, command: &str) -> Verdict {
    let odd = if said.class() == 2 { "Protocol error: " } else { "" };
    let dsn = if odd.is_empty() { said.dsn() } else { Dsn::new(5, 5, 0) };
    let text = format!("{odd}host {host} said: {} (in reply to {command} command)", said.text);
    Verdict::refused(dsn, text, said)
}

/// RFC 3461 §4.
fn xtext(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_graphic() && byte != b'+' && byte != b'=' {
            out.push(char::from(byte));
        } else {
            // Writing to a string can't fail.
            let _ = write!(out, "+{byte:02X}");
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::super::capabilities::Discards;
    use super::*;

    /// As a spool of an earlier version, a filter or a program of this machine may have it.
    #[test]
    fn no_text_of_an_envelope_ends_its_command() {
        let odd = |text: &str| text.replace('|', "\r\nRSET\r\nMAIL FROM:<evil@x.test>\r\n\0");
        let to = |address: &str, orcpt: &str| To {
            address: odd(address),
            orcpt: Some(odd(orcpt)),
            notify: String::new(),
        };
        let mail = Mail {
            sender: odd("a|b@x.test"),
            envelope_id: Some(odd("a|b")),
            recipients: vec![
                to("a@x.test|", "rfc|822;a@x.test"),
                to("b@x.test", "rfc822;b|@x.test"),
                to("c@x.test", ";c"),
                to("d@x.test", "utf-8;d"),
            ],
            ..Mail::default()
        };
        let lines = ["x", "PIPELINING", "DSN"].map(str::to_owned);
        let (can, _) = Capabilities::read(&lines, &Discards::default(), ("x", "x"));
        let mut out = Vec::new();
        Envelope::new(mail).ask(&can, &mut out);
        let text = String::from_utf8(out).unwrap();
        let lines: Vec<&str> = text.split_terminator("\r\n").collect();
        let verbs: Vec<&str> = lines.iter().filter_map(|line| line.split([' ']).next()).collect();
        assert_eq!(verbs, ["MAIL", "RCPT", "RCPT", "RCPT", "RCPT", "DATA"], "{text:?}");
        assert!(!text.replace("\r\n", "").contains(mail::line::ends), "{text:?}");
        let orcpts: Vec<Option<&str>> =
            lines.iter().skip(1).take(4).map(|line| Some(line.split_once(" ORCPT=")?.1)).collect();
        let xtext = odd("rfc822;b|@x.test").replace('\r', "+0D").replace('\n', "+0A");
        let xtext = xtext.replace('\0', "+00").replace("L F", "L+20F");
        assert_eq!(orcpts, [None, Some(xtext.as_str()), None, Some("utf-8;d")]);
    }
}
