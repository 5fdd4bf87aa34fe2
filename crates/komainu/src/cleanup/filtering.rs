//! What milters do to a message at its end: header, body and end of message, each filter in order, each seeing what those
//! before it changed (MILTER_README).
//!
//! The content is read where it lies, in pieces; a refusal comes back as the answer to the message. Which events a
//! filter hears and what its answers mean is `proto::milter`'s, how it is reached `facts::milter`'s.

use super::Message;
use super::Wanted;
use super::because;
use super::draft::{Draft, DraftError, header_text};
use super::unattended::LAST_ASKED;
use crate::facts::milter::{Filters, Heard};
use events::check::{Action, Session as Known, Verdict};
use events::smtpd::Peer;
use events::text::printable;
use mail::{Address, Dsn, PathSyntax, Reply};
use policy::content::Text;
use proto::milter::verdict::{self, Outcome};
use proto::milter::{BODY_BYTES, Change, Event, Stage};
use queue::{Entry, Recipient};
use std::collections::BTreeMap;

/// A session's filters, and what they are told of it.
pub struct Filtering<'a> {
    /// The filters.
    pub filters: &'a mut Filters,
    /// The macros' values.
    pub macros: BTreeMap<&'static str, String>,
}

/// What becomes of a message that no filter refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Passed {
    /// It is taken.
    Kept,
    /// It is taken and thrown away.
    Discarded,
}

/// Who changes a message.
pub(super) const BY: &str = "by a milter";

/// One message before its filters.
struct Passing<'a> {
    filtering: Filtering<'a>,
    draft: Draft,
    /// A filter wants it held, and why.
    held: Option<String>,
    /// Whether the content is another one.
    changed: bool,
    /// What `milter_header_checks` want done with the message.
    wanted: Wanted,
}

impl Message {
    /// Shows the message to the filters, and does what they want.
    pub(super) async fn filter(
        &mut self,
        mut filtering: Filtering<'_>,
        entry: &mut Entry,
    ) -> Result<Passed, Reply> {
        if self.is_unattended() && self.tell_data(&mut filtering, entry).await? == Passed::Discarded {
            return Ok(Passed::Discarded);
        }
        let draft = Draft::read(&self.incoming).map_err(|error| self.draft_failed(&error, BY))?;
        let mut passing = Passing { filtering, draft, held: None, changed: false, wanted: Wanted::default() };
        for at in 0..passing.filtering.filters.len() {
            let outcome = self.pass(&mut passing, at, entry).await;
            for text in passing.filtering.filters.take_warnings() {
                self.intake.log.write(&self.cleanup(), super::Said::warning(text));
            }
            let outcome = outcome?;
            if passing.wanted.discard {
                return Ok(Passed::Discarded);
            }
            match outcome {
                None => {}
                Some(Outcome::Hold) => {
                    let filters = &passing.filtering.filters;
                    passing.held.get_or_insert_with(|| filters.holder());
                    break;
                }
                Some(Outcome::Discard) => {
                    self.log_outcome(
                        Action::MilterDiscard,
                        "milter triggers DISCARD action",
                        &passing,
                        entry,
                    );
                    return Ok(Passed::Discarded);
                }
                Some(Outcome::Refused(text)) => {
                    let said = text.get(4..).unwrap_or(&text);
                    self.log_outcome(Action::MilterReject, said, &passing, entry);
                    return Err(verdict::reply(&text));
                }
            }
        }
        // What is held already isn't held once more.
        if !entry.hold
            && let Some(reason) = passing.held.take()
        {
            self.log_outcome(Action::MilterHold, "milter triggers HOLD action", &passing, entry);
            entry.put_on_hold(reason);
        }
        let mut wanted = std::mem::take(&mut passing.wanted);
        self.obey(&mut wanted, entry).await?;
        self.redirect(wanted.redirect.take(), entry);
        if passing.changed {
            let written = passing.draft.write(&mut self.incoming);
            let written = written.and_then(|()| Ok(self.incoming.recount()?));
            written.map_err(|error| self.draft_failed(&error, BY))?;
        }
        Ok(Passed::Kept)
    }

    /// One filter sees the message.
    async fn pass(
        &mut self,
        passing: &mut Passing<'_>,
        at: usize,
        entry: &mut Entry,
    ) -> Result<Option<Outcome>, Reply> {
        if passing.filtering.filters.is_ours(at) {
            return self.pass_ours(passing, at, entry).await;
        }
        if let Some(outcome) = self.show(passing, at).await? {
            return Ok(Some(outcome));
        }
        let Passing { filtering: Filtering { filters, macros }, .. } = passing;
        let values = |name: &str| macros.get(name).cloned();
        let mut heard = filters.ask(at, Event::EndOfMessage, &values).await;
        let (mut held, mut refused) = (false, None);
        let outcome = loop {
            match heard {
                // What it has still to say is heard, so that the next message's answers are its own.
                Heard::Change(_) if refused.is_some() || passing.wanted.discard => {}
                Heard::Change(Change::Quarantine(why)) => {
                    held = true;
                    let name = passing.filtering.filters.name(at);
                    passing.held = Some(because(&name, &printable(&why)));
                }
                Heard::Change(change) => {
                    let change = spaced(change, passing.filtering.filters.gives_blanks(at));
                    passing.changed = true;
                    refused = self.change(passing, change, entry).await.err();
                }
                Heard::Outcome(outcome) => break Some(outcome),
                Heard::Nothing | Heard::Skip => break held.then_some(Outcome::Hold),
            }
            heard = passing.filtering.filters.more(at, Stage::EndOfMessage).await;
        };
        let ended = passing.draft.end_body(&mut self.incoming);
        ended.map_err(|error| self.draft_failed(&error, BY))?;
        refused.map_or(Ok(outcome), Err)
    }

    /// One filter isn't there, and its work is done here.
    async fn pass_ours(
        &mut self,
        passing: &mut Passing<'_>,
        at: usize,
        entry: &Entry,
    ) -> Result<Option<Outcome>, Reply> {
        let Passing { filtering: Filtering { filters, macros }, draft, .. } = passing;
        let name = filters.name(at);
        let worked = Box::pin(self.stand_in((&name, macros), draft, entry)).await?;
        passing.changed |= worked.changed;
        if let Some(why) = worked.held {
            passing.held.get_or_insert(why);
        }
        Ok(worked.outcome)
    }

    /// Header and body, unless the filter has seen enough.
    async fn show(&self, passing: &mut Passing<'_>, at: usize) -> Result<Option<Outcome>, Reply> {
        let Passing { filtering: Filtering { filters, macros }, draft, .. } = passing;
        let values = |name: &str| macros.get(name).cloned();
        let failed = |error: DraftError| self.draft_failed(&error, BY);
        let own = draft.own_number();
        for number in (0..draft.len()).filter(|number| *number != own) {
            let (name, value) = draft.header(number, &self.incoming).map_err(failed)?;
            let event = Event::Header { name: &name, value: &value };
            if let Heard::Outcome(outcome) = filters.ask(at, event, &values).await {
                return Ok(Some(outcome));
            }
        }
        if let Heard::Outcome(outcome) = filters.ask(at, Event::EndOfHeader, &values).await {
            return Ok(Some(outcome));
        }
        if !filters.hears(at, Stage::Body) {
            return Ok(None);
        }
        let (mut window, mut from) = (vec![0; BODY_BYTES], draft.body_begins());
        let mut piece = Vec::with_capacity(BODY_BYTES);
        loop {
            let read = self.incoming.read_at(&mut window, from).map_err(|error| self.refusal(&error))?;
            let bytes = window.get(..read).unwrap_or_default();
            from = from.saturating_add(bytes.len() as u64);
            let mut lines = bytes.iter().flat_map(|&byte| {
                let end: &[u8] = if byte == b'\n' { b"\r\n" } else { &[] };
                let own = (byte != b'\n').then_some(byte);
                own.into_iter().chain(end.iter().copied())
            });
            loop {
                let room = BODY_BYTES.saturating_sub(piece.len());
                piece.extend(lines.by_ref().take(room));
                // What doesn't fill a piece waits for more, unless that was all.
                if piece.is_empty() || (piece.len() < BODY_BYTES && !bytes.is_empty()) {
                    break;
                }
                let heard = filters.ask(at, Event::Body(&piece), &values).await;
                piece.clear();
                match heard {
                    Heard::Outcome(outcome) => return Ok(Some(outcome)),
                    Heard::Skip => return Ok(None),
                    Heard::Nothing | Heard::Change(_) => {}
                }
            }
            if bytes.is_empty() {
                return Ok(None);
            }
        }
    }

    async fn change(
        &mut self,
        passing: &mut Passing<'_>,
        change: Change,
        entry: &mut Entry,
    ) -> Result<(), Reply> {
        let place = |index: u32| usize::try_from(index).unwrap_or(usize::MAX);
        let (number, name, value) = match &change {
            Change::AddHeader { name, value } => (usize::MAX, name, value),
            Change::InsertHeader { index, name, value } => (place(*index), name, value),
            Change::ChangeHeader { name, value, .. } => (usize::MAX, name, value),
            _ => return self.change_other(&mut passing.draft, change, entry).await,
        };
        let text = match value.is_empty() && matches!(change, Change::ChangeHeader { .. }) {
            // It is to go.
            true => Some(Vec::new()),
            false => {
                let whole = [name, &b":"[..], value].concat();
                match self.check_produced(&mut passing.wanted, &whole, entry).await? {
                    Text::Dropped => None,
                    Text::Replaced(mut text) => {
                        text.push(b'\n');
                        Some(text)
                    }
                    Text::Kept | Text::Prepended(_) => Some(header_text(name, value)),
                }
            }
        };
        let (Some(text), draft) = (text, &mut passing.draft) else { return Ok(()) };
        match change {
            Change::ChangeHeader { index, name, .. } => {
                let changed = draft.change(index, &name, text, &self.incoming);
                changed.map_err(|error| self.draft_failed(&error, BY))
            }
            _ => {
                draft.insert(number, text);
                Ok(())
            }
        }
    }

    async fn change_other(
        &mut self,
        draft: &mut Draft,
        change: Change,
        entry: &mut Entry,
    ) -> Result<(), Reply> {
        let done = match change {
            Change::AddHeader { .. } | Change::InsertHeader { .. } | Change::ChangeHeader { .. } => Ok(()),
            Change::Body(piece) => {
                draft.replace_body(&piece, self.intake.rules.size_bytes_max, &mut self.incoming)
            }
            Change::Quarantine(_) => Ok(()),
            Change::DeleteRecipient(address) => {
                let gone = address_of(&address);
                let is_gone = |recipient: &Recipient| {
                    let same = |known: &Address| known.as_str().eq_ignore_ascii_case(gone.as_str());
                    same(&recipient.original)
                };
                entry.recipients.retain(|recipient| !is_gone(recipient));
                Ok(())
            }
            Change::AddRecipient(address, parameters) => {
                let address = address_of(&address);
                if address.is_null() {
                    self.intake.warn(&self.id, "ignoring attempt from Milter to add null recipient");
                    return Ok(());
                }
                let mut recipient = Recipient::new(self.intake.classes.rewrite(&address));
                self.recipient_parameters(parameters.as_deref(), &mut recipient);
                let asked = vec![recipient];
                let known = std::mem::take(&mut entry.recipients);
                entry.recipients = self.more_recipients(known, asked).await?;
                Ok(())
            }
            Change::Sender(address, parameters) => {
                let given = address_of(&address);
                let classes = std::sync::Arc::clone(&self.intake.classes);
                entry.sender = if given.is_null() { given } else { classes.rewrite(&given) };
                self.sender_parameters(parameters.as_deref(), entry);
                Ok(())
            }
        };
        done.map_err(|error| self.draft_failed(&error, BY))
    }

    /// ESMTP parameters of one more recipient.
    fn recipient_parameters(&self, parameters: Option<&[u8]>, recipient: &mut Recipient) {
        let text = String::from_utf8_lossy(parameters.unwrap_or_default()).into_owned();
        for word in text.split_ascii_whitespace() {
            let (name, value) = word.split_once('=').unwrap_or((word, ""));
            let whose = "from Milter or header/body_checks";
            match name.to_ascii_uppercase().as_str() {
                "NOTIFY" => match notify(value) {
                    Ok(bits) => recipient.notify = bits,
                    Err(odd) => {
                        let text = format!("unknown DSN NOTIFY command value \"{odd}\" in \"{value}\"");
                        self.intake.log.write(&self.cleanup(), super::Said::warning(text));
                        self.intake.warn(&self.id, &format!("Bad NOTIFY parameter {whose}: \"{word}\""));
                    }
                },
                "ORCPT" => match original(value) {
                    Some(orcpt) => recipient.orcpt = Some(orcpt),
                    None => self.intake.warn(&self.id, &format!("Bad ORCPT parameter {whose}: \"{word}\"")),
                },
                _ => self.intake.warn(&self.id, &format!("ignoring ESMTP argument {whose}: \"{word}\"")),
            }
        }
    }

    /// ESMTP parameters of another sender.
    fn sender_parameters(&self, parameters: Option<&[u8]>, entry: &mut Entry) {
        let text = String::from_utf8_lossy(parameters.unwrap_or_default()).into_owned();
        for word in text.split_ascii_whitespace() {
            let (name, value) = word.split_once('=').unwrap_or((word, ""));
            match (name.to_ascii_uppercase().as_str(), value.to_ascii_uppercase().as_str()) {
                ("RET", "FULL") => entry.return_content = Some(queue::ReturnContent::Full),
                ("RET", "HDRS") => entry.return_content = Some(queue::ReturnContent::Headers),
                ("ENVID", _) if !value.is_empty() && proto::smtp::decode_xtext(value).is_some() => {
                    entry.envelope_id = proto::smtp::decode_xtext(value);
                }
                _ => {
                    let text = format!("Ignoring bad ESMTP parameter \"{word}\" in SMFI_CHGFROM request");
                    self.intake.log.write(&self.cleanup(), super::Said::warning(text));
                }
            }
        }
    }

    pub(super) fn cleanup(&self) -> String {
        format!("{}/cleanup", self.intake.rules.syslog_name)
    }

    fn log_outcome(&self, action: Action, text: &str, passing: &Passing<'_>, entry: &Entry) {
        if self.is_unattended() {
            let to = passing.filtering.macros.get(LAST_ASKED).map(String::as_str);
            return self.log_made_up(action, "END-OF-MESSAGE", text, to);
        }
        self.log_filtered(action, text, entry);
    }

    /// What became of a message when all of it was there, as milters' doings are logged.
    pub(super) fn log_filtered(&self, action: Action, text: &str, entry: &Entry) {
        let client = &entry.client;
        let peer = Peer::new(client.name.as_str(), client.address.as_str());
        let peer = if self.intake.rules.port_logging { peer.with_port(client.port) } else { peer };
        let session = Known {
            from: Some(self.sender.to_external().into()),
            to: entry.recipients.last().map(|recipient| recipient.address.to_external().into()),
            proto: (!client.protocol.is_empty()).then(|| client.protocol.as_str().into()),
            helo: (!client.helo.is_empty()).then(|| client.helo.as_str().into()),
        };
        let verdict = Verdict {
            id: self.id.as_str().into(),
            action,
            stage: "END-OF-MESSAGE".into(),
            client: peer,
            text: text.into(),
            session,
        };
        self.intake.log.write(&self.cleanup(), verdict);
    }

    pub(super) fn draft_failed(&self, error: &DraftError, by: &str) -> Reply {
        match error {
            DraftError::Spool(error) => self.refusal(error),
            DraftError::TooLarge => {
                self.intake.warn(&self.id, &format!("{error} {by}"));
                Reply::new(552, Dsn::new(5, 3, 4), "Error: message header too large")
            }
            DraftError::Body => {
                self.intake.warn(&self.id, "queue file size limit exceeded");
                Reply::new(552, Dsn::new(5, 3, 4), "Error: message file too big")
            }
        }
    }
}

/// A header's value begins with a blank, unless the filter says itself what it begins with.
fn spaced(mut change: Change, as_given: bool) -> Change {
    match &mut change {
        Change::AddHeader { value, .. }
        | Change::InsertHeader { value, .. }
        | Change::ChangeHeader { value, .. }
            if !as_given && !value.is_empty() =>
        {
            value.insert(0, b' ');
        }
        _ => {}
    }
    change
}

/// NOTIFY's bits (RFC 3461 §4.1), or the word that is none.
fn notify(value: &str) -> Result<u8, &str> {
    use queue::entry::{NOTIFY_DELAY, NOTIFY_FAILURE, NOTIFY_NEVER, NOTIFY_SUCCESS};
    value.split(',').try_fold(0, |all, word| {
        let bit = match word.to_ascii_uppercase().as_str() {
            "NEVER" if all == 0 => NOTIFY_NEVER,
            "SUCCESS" => NOTIFY_SUCCESS,
            "FAILURE" => NOTIFY_FAILURE,
            "DELAY" => NOTIFY_DELAY,
            _ => return Err(word),
        };
        if all & NOTIFY_NEVER == 0 { Ok(all | bit) } else { Err(word) }
    })
}

/// ORCPT's type and address, decoded (RFC 3461 §4.2).
fn original(value: &str) -> Option<String> {
    let (kind, address) = value.split_once(';').filter(|(kind, _)| !kind.is_empty())?;
    Some(format!("{kind};{}", proto::smtp::decode_xtext(address)?))
}

/// An address as a filter writes it: in brackets or not, quoted or not.
fn address_of(bytes: &[u8]) -> Address {
    // Line ends part nothing in it, and don't belong to it, either.
    let text = String::from_utf8_lossy(bytes).replace(mail::line::ends, "");
    let text = text.trim();
    let text = text.strip_prefix('<').and_then(|text| text.strip_suffix('>')).unwrap_or(text);
    Address::parse_path(text.as_bytes(), PathSyntax::Rfc822).unwrap_or_else(|_| Address::from_internal(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_filters() {
        for (given, expect) in [
            ("<a@x.test>", "a@x.test"),
            (" a@x.test ", "a@x.test"),
            ("<\"a b\"@x.test>", "a b@x.test"),
            // As Postfix 3.7 has them.
            ("<a\nb@x>", "ab@x"),
            ("<a@x.test\r\nRSET\r\n>", "a@x.testRSET"),
            ("<>", ""),
        ] {
            assert_eq!(address_of(given.as_bytes()).as_str(), expect, "{given:?}");
        }
    }
}
