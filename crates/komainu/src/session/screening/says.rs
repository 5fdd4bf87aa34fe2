//! What the tests before the SMTP server say in the log, as Postfix's postscreen and dnsblog would.

use crate::configuration::{Screening, Words};
use crate::log::Log;
use events::Event;
use events::check::Session;
use events::daemon::Message;
use events::delivery::Delay;
use events::screen::{
    Listed, Outcome, ScreenConnect, ScreenOutcome, ScreenPeer, ScreenRank, ScreenReject, ScreenViolation,
    Violation,
};
use policy::{Answer, Question};
use proto::screen::Note;
use std::net::{IpAddr, SocketAddr};

/// One client's voice in the log.
pub(super) struct Voice<'a> {
    pub(super) log: &'a Log,
    pub(super) screening: &'a Screening,
    pub(super) client: SocketAddr,
}

fn peer(address: SocketAddr) -> ScreenPeer<'static> {
    ScreenPeer { address: mail::host::address_text(address.ip()).into(), port: address.port() }
}

impl Voice<'_> {
    fn write<'e>(&self, event: impl Into<Event<'e>>) {
        self.log.write(&self.screening.program, event);
    }

    pub(super) fn connect(&self, server: SocketAddr) {
        self.write(ScreenConnect { client: peer(self.client), server: peer(server) });
    }

    pub(super) fn warn(&self, text: String) {
        self.write(Message::warning(text));
    }

    /// What one DNS list has said of the client.
    pub(super) fn listed(&self, domain: &str, addresses: &[std::net::Ipv4Addr]) {
        for address in addresses {
            let line = Listed {
                address: self.client.ip().to_string().into(),
                domain: domain.into(),
                answer: address.to_string().into(),
            };
            self.log.write(&self.screening.lookup_program, line);
        }
    }

    /// One DNS list has said nothing.
    pub(super) fn unanswered(&self, question: &Question, answer: &Answer) {
        let (Question::Dns { name, .. }, Answer::Unavailable(_) | Answer::Invalid(_)) = (question, answer)
        else {
            return;
        };
        let text = format!(
            "dnsblog_query: lookup error for DNS query {name}: Host or domain name not found. Name service error \
             for name={name} type=A: Host not found, try again"
        );
        self.log.write(&self.screening.lookup_program, Message::warning(text));
    }

    pub(super) fn note(&self, note: Note) {
        let outcome = |outcome| self.write(ScreenOutcome { outcome, client: peer(self.client) });
        let words = self.screening.words;
        match note {
            Note::Allowlisted => outcome(word(words, Outcome::Allowlisted, Outcome::Whitelisted)),
            Note::Denylisted => outcome(word(words, Outcome::Denylisted, Outcome::Blacklisted)),
            Note::Veto => outcome(word(words, Outcome::AllowlistVeto, Outcome::WhitelistVeto)),
            Note::PassOld => outcome(Outcome::PassOld),
            Note::PassNew => outcome(Outcome::PassNew),
            Note::Disconnect => outcome(Outcome::Disconnect),
            Note::TooManyConnections => self.turned_away("too many connections"),
            Note::PortsBusy if words.old_busy => {
                let text = format!("reject: connect from {}: all screening ports busy", peer(self.client));
                self.write(Event::Other(text.into()));
            }
            Note::PortsBusy => self.turned_away("all screening ports busy"),
            Note::Rank(rank) => {
                let rank = u32::try_from(rank.max(0)).unwrap_or(u32::MAX);
                self.write(ScreenRank { rank, client: peer(self.client) });
            }
            Note::Reject { reply, sender, recipient, protocol, helo } => self.write(ScreenReject {
                stage: "RCPT".into(),
                client: peer(self.client),
                text: reply.into(),
                session: Session {
                    from: Some(sender.into()),
                    to: Some(recipient.into()),
                    proto: Some(protocol.into()),
                    helo: Some(helo.into()),
                },
            }),
            Note::Replaced { before, after } => {
                let text = format!("{}: replacing command \"{before}\" with \"{after}\"", peer(self.client));
                self.write(Event::Other(text.into()));
            }
            Note::Warning(text) => self.warn(text),
            violation => self.violation(violation),
        }
    }

    fn turned_away(&self, why: &'static str) {
        let client = peer(self.client);
        self.write(ScreenReject {
            stage: "CONNECT".into(),
            client,
            text: why.into(),
            session: Session::default(),
        });
    }

    fn violation(&self, note: Note) {
        let seconds = |after| Some(format!("after {}", Delay::new(after)));
        let (violation, detail, more) = match note {
            Note::Pregreet { bytes, after, text } => {
                let detail = format!("{bytes} after {}", Delay::new(after));
                (Violation::Pregreet, Some(detail), format!(": {text}"))
            }
            Note::Hangup { after, greeted } => {
                let place = if greeted { "after" } else { "before" };
                (Violation::Hangup, seconds(after), format!(" in tests {place} SMTP handshake"))
            }
            Note::Pipelining { after, text } => {
                (Violation::Pipelining, None, format!(" after {after}: {text}"))
            }
            Note::NonSmtp { after, text } => (Violation::NonSmtp, None, format!(" after {after}: {text}")),
            Note::BareNewline { text } => (Violation::BareNewline, None, format!(" after {text}")),
            Note::TimeLimit { after } => (Violation::TimeLimit, None, format!(" after {after}")),
            Note::CountLimit { after } => (Violation::CountLimit, None, format!(" after {after}")),
            Note::LengthLimit { after } => (Violation::LengthLimit, None, format!(" after {after}")),
            Note::NoRecipient { command: "DATA" } => (Violation::DataWithoutRecipient, None, String::new()),
            Note::NoRecipient { command } => {
                let text = format!("{command} without valid RCPT from {}", peer(self.client));
                return self.write(Event::Other(text.into()));
            }
            _ => return,
        };
        let (client, detail) = (peer(self.client), detail.map(Into::into));
        self.write(ScreenViolation { violation, detail, client, more: more.into() });
    }
}

const fn word(words: Words, respectful: Outcome, older: Outcome) -> Outcome {
    if words.respectful { respectful } else { older }
}

/// The address and port of a client as the log shows them.
pub(super) fn canonical(address: SocketAddr) -> SocketAddr {
    let ip: IpAddr = address.ip().to_canonical();
    SocketAddr::new(ip, address.port())
}
