//! `milter_header_checks`: headers that milters add or change are held against tables of their own, with the actions of
//! header_checks(5) but PREPEND and PASS.
//!
//! Each is looked at as the milter gives it, before it gets its place in the message. After REJECT, DISCARD and REDIRECT
//! nothing more is looked at. What is wanted of the message is done when its last milter has spoken. MILTER_README.

use super::inspection::held_for;
use super::{Message, Wanted, not_written};
use events::check::{Action, ContentCheck, Part as Checked, Session as Known};
use events::daemon::Message as Said;
use events::text::printable;
use mail::Reply;
use mail::mime::Class;
use policy::content::{Effect, Judgement, Part, Text};
use queue::Entry;
use std::sync::Arc;
use tables::LookupError;

/// Bytes of a header that are logged.
const SHOWN_BYTES: usize = 200;
/// The list that is asked.
const PART: Part = Part::Header(Class::Primary);

impl Message {
    /// What becomes of a header that a milter wants.
    pub(super) async fn check_produced(
        &self,
        wanted: &mut Wanted,
        text: &[u8],
        entry: &Entry,
    ) -> Result<Text, Reply> {
        let Some(checks) = self.intake.rules.milter_checks.clone().filter(|_| wanted.redirect.is_none())
        else {
            return Ok(Text::Kept);
        };
        let looked_up = self.intake.looked_up(|tables| {
            checks.judge(PART, text, tables).map_err(|stopped| ("milter_header_checks", stopped.error))
        });
        let judgement = match looked_up.await {
            Ok(judgement) => judgement.unwrap_or_default(),
            Err((name, error)) => return Err(self.checks_failed(name, &error)),
        };
        let Judgement { text: what, effect, said, warning, rule } = judgement;
        let is_known = effect == Some(Effect::Hold) && (wanted.hold.is_some() || entry.hold);
        let why = rule.map(|rule| held_for(&rule, PART, text, said.as_ref().map(|(_, why)| why.as_slice())));
        if let Some((word, why)) = said.filter(|_| !is_known) {
            self.say_produced(word, text, &why);
        }
        if let Some(warning) = warning {
            self.intake.log.write(&self.cleanup(), Said::warning(warning));
        }
        match effect {
            None | Some(Effect::Pass) => {}
            Some(Effect::Reject(reply)) => return Err(reply),
            Some(Effect::Discard) => wanted.discard = true,
            Some(Effect::Hold) => {
                wanted.hold.get_or_insert_with(|| why.unwrap_or_default());
            }
            Some(Effect::Filter(filter)) => wanted.filter = Some(filter),
            Some(Effect::Redirect(address)) => wanted.redirect = Some(address),
            Some(Effect::Bcc(address)) => {
                wanted.copies.insert(address);
            }
        }
        Ok(what)
    }

    fn checks_failed(&self, name: &str, error: &LookupError) -> Reply {
        if !matches!(error, LookupError::Unasked { .. }) {
            self.intake.log.write(&self.cleanup(), Said::warning(error.to_string()));
        }
        self.intake
            .warn(&self.id, &format!("{name} map lookup problem -- message not accepted, try again later"));
        not_written()
    }

    fn say_produced(&self, word: &str, text: &[u8], why: &[u8]) {
        let Some(action) = Action::from_word(&format!("milter-header-{word}")) else { return };
        let shown = text.get(..text.len().min(SHOWN_BYTES)).unwrap_or_default();
        let source = Arc::clone(&self.source);
        let client = match self.is_unattended() {
            true => "localhost[127.0.0.1]".to_owned(),
            false => source.client.clone(),
        };
        let check = ContentCheck {
            id: self.id.as_str().to_owned().into(),
            action,
            part: Checked::Header,
            content: printable(shown).into_owned().into(),
            source: client.into(),
            session: Known {
                from: Some(self.sender.to_external().into()),
                to: source.recipient.clone().map(Into::into),
                proto: source.protocol.clone().map(Into::into),
                helo: source.helo.clone().map(Into::into),
            },
            text: Some(printable(why).into_owned().into()),
        };
        self.intake.log.write(&self.cleanup(), check);
    }
}
