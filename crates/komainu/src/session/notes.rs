//! What a session says in the log, as Postfix's smtpd would (T1.11).

use super::Session;
use crate::cleanup::{Intake, Postmaster};
use events::check::{Action, Session as Known, Verdict};
use events::daemon::Message;
use events::smtpd::{Broken, Cause, Connect, IllegalAddress, NonSmtp, Peer, Pipelining, Received};
use mail::Address;
use policy::{Decision, NoteAction};
use proto::smtp::Note;
use std::sync::Arc;

/// A warning about an outdated restriction is given once.
const OUTDATED: &str = "support for restriction";

impl Session {
    /// `name[address]`, with the port where the administrator wants it.
    pub(super) fn peer(&self) -> Peer<'_> {
        let client = &self.tx.client;
        let peer = Peer::new(client.name.as_str(), mail::host::address_text(client.address));
        if self.service.listener.receiving.port_logging { peer.with_port(client.port) } else { peer }
    }

    /// The session is over: the postmaster hears of it, where something went wrong that he wants to hear of.
    pub(super) fn tell_postmaster(&self) {
        let listener = &self.service.listener;
        let (Some(notices), Some(transcript)) = (&listener.notices, self.server.transcript()) else { return };
        let intake = Intake::of(&self.shared, &self.service);
        let postmaster =
            Postmaster { intake, notices: Arc::clone(notices), sockets: self.shared.sockets.clone() };
        postmaster.hear_of_client(&self.peer().to_string(), transcript);
    }

    pub(super) fn program(&self) -> &str {
        &self.service.listener.program
    }

    pub(super) fn log_connect(&mut self) {
        self.announced = true;
        self.shared.log.write(self.program(), Connect { client: self.peer() });
    }

    pub(super) fn warn(&self, text: &str) {
        self.shared.log.write(self.program(), Message::warning(text));
    }

    pub(super) fn log_received(&self, id: &str) {
        let mut received = Received::new(id, self.peer());
        if let Some(sasl) = &self.tx.sasl {
            received.sasl_method = Some(sasl.method.as_str().into());
            received.sasl_username = Some(sasl.username.as_str().into());
            received.sasl_sender = (!sasl.sender.is_empty()).then(|| sasl.sender.as_str().into());
        }
        if let Some(forwarded) = self.server.forwarded() {
            received.orig_queue_id = forwarded.ident.as_deref().map(Into::into);
            if forwarded.name.is_some() || forwarded.address.is_some() {
                let text =
                    |value: &Option<String>| value.clone().unwrap_or_else(|| policy::UNKNOWN.to_owned());
                received.orig_client = Some(Peer::new(text(&forwarded.name), text(&forwarded.address)));
            }
        }
        self.shared.log.write(self.program(), received);
    }

    /// One line for each of the decision's notes.
    pub(super) fn log_decision(&mut self, command: &str, decision: &Decision) {
        for note in &decision.notes {
            match note.action {
                NoteAction::Warning if note.text.starts_with(OUTDATED) => {
                    if !self.warned.contains(&note.text) {
                        self.warned.push(note.text.clone());
                        self.warn(&note.text);
                    }
                }
                NoteAction::Warning => self.warn(&note.text),
                NoteAction::Notice => {
                    self.shared.log.write(self.program(), events::Event::Other(note.text.as_str().into()))
                }
                action => self.log_verdict(action.word(), command, &note.text),
            }
        }
    }

    pub(super) fn log_verdict(&self, action: &str, command: &str, text: &str) {
        let known = self.known(self.tx.sender.as_ref(), self.tx.recipient.as_ref());
        self.log_with(action, command, text, known);
    }

    /// A command that could not be read at all was refused.
    pub(super) fn log_before_helo(&self, command: &'static str, text: &str) {
        self.log_with("reject", command, text, Known::default());
    }

    /// smtpd_command_filter has put another line in place of a command.
    pub(super) fn log_replacement(&self, line: &str, replacement: &str) {
        let short = |text: &str| text.chars().take(100).collect::<String>();
        let text =
            format!("{}: replacing command \"{}\" with \"{}\"", self.peer(), short(line), short(replacement));
        self.shared.log.write(self.program(), events::Event::Other(text.into()));
    }

    /// The end of a line about a request: what was known of the transaction.
    pub(super) fn known(&self, sender: Option<&Address>, recipient: Option<&Address>) -> Known<'_> {
        let tx = &self.tx;
        Known {
            from: sender.or(tx.sender.as_ref()).map(|sender| sender.to_external().into()),
            to: recipient.map(|recipient| recipient.to_external().into()),
            proto: Some(self.server.protocol().into()),
            helo: tx.helo.as_deref().map(Into::into),
        }
    }

    /// The queue id, or `NOQUEUE`.
    fn id(&self) -> &str {
        self.tx.queue_id.as_ref().map_or(Verdict::NO_QUEUE, |id| id.as_str())
    }

    fn log_with(&self, action: &str, command: &str, text: &str, session: Known<'_>) {
        let Some(action) = Action::from_word(action) else { return };
        let id = self.id();
        let verdict = Verdict {
            id: id.into(),
            action,
            stage: command.into(),
            client: self.peer(),
            text: text.into(),
            session,
        };
        self.shared.log.write(self.program(), verdict);
        if matches!(action, Action::Reject) {
            self.owe();
        }
    }

    /// What the conversation noticed by itself.
    pub(super) fn note(&self, note: Note) {
        let log = &self.shared.log;
        let client = self.peer();
        if counts(&note) {
            self.owe();
        }
        let broken = |cause, after: String| Broken { cause, after: after.into(), client: self.peer() };
        match note {
            Note::LostConnection(after) => log.write(self.program(), broken(Cause::Lost, after)),
            Note::Timeout(after) => log.write(self.program(), broken(Cause::Timeout, after)),
            Note::TooManyErrors(after) => log.write(self.program(), broken(Cause::TooManyErrors, after)),
            Note::Pipelining { command, text } => {
                log.write(self.program(), Pipelining { after: command.into(), client, input: text.into() });
            }
            Note::NonSmtpCommand(text) => {
                log.write(self.program(), NonSmtp { client, input: text.into() });
            }
            Note::IllegalAddress { command, address } => {
                let note = IllegalAddress { client, command: command.into(), address: address.into() };
                log.write(self.program(), note);
            }
            Note::BareNewline(place) => self.log_verdict("reject", place, "bare <LF> received"),
            Note::Rejected { command, sender, recipient, reply } => {
                let known = self.known(sender.as_ref(), recipient.as_ref());
                self.log_with("reject", command, &reply.to_string(), known);
            }
            Note::LongRequest { limit, text } => {
                log.write(
                    self.program(),
                    Message::warning(format!("{client}: request longer than {limit}: {text}...")),
                );
            }
            Note::DiscardedKeywords(names) => {
                let text = format!("discarding EHLO keywords: {names}");
                log.write(self.program(), events::Event::Other(text.into()));
            }
            Note::MalformedBdat(text) => {
                let text = format!("{}: malformed BDAT command syntax from {client}: {text}", self.id());
                log.write(self.program(), Message::warning(text));
            }
            Note::BdatTooLarge => {
                log.write(
                    self.program(),
                    Message::warning(format!(
                        "{}: BDAT request from {client} exceeds message size limit",
                        self.id()
                    )),
                );
            }
            Note::QueueFileLimit => {
                let id = self.id();
                log.write(self.program(), Message::warning(format!("{id}: queue file size limit exceeded")));
                self.pass_too_large();
            }
            Note::RejectFilter { before, after } => {
                for (direction, text) in [("in", before), ("out", after)] {
                    let text = format!("{}: reject filter {direction}: {text}", self.id());
                    log.write(self.program(), events::Event::Other(text.into()));
                }
            }
            Note::LimitExceeded { limit, count } => self.log_excess(limit, count),
            Note::StartTlsRefused => {
                let service = &self.service.listener.name;
                let text = format!("Refusing STARTTLS request from {client} for service {service}");
                log.write(self.program(), Message::warning(text));
            }
            Note::Warning(text) => log.write(self.program(), Message::warning(text)),
        }
    }
}

/// Whether jails may count it, of a client who stays.
fn counts(note: &Note) -> bool {
    match note {
        Note::Pipelining { .. }
        | Note::NonSmtpCommand(_)
        | Note::IllegalAddress { .. }
        | Note::BareNewline(_)
        | Note::Rejected { .. }
        | Note::LongRequest { .. }
        | Note::MalformedBdat(_)
        | Note::BdatTooLarge
        | Note::QueueFileLimit
        | Note::LimitExceeded { .. }
        | Note::StartTlsRefused
        | Note::Warning(_) => true,
        Note::LostConnection(_)
        | Note::Timeout(_)
        | Note::TooManyErrors(_)
        | Note::DiscardedKeywords(_)
        | Note::RejectFilter { .. } => false,
    }
}
