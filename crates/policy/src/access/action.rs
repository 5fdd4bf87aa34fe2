//! What the value of an access table (or a policy server's answer) does: access(5)'s actions.
//!
//! Also mends enhanced status codes that don't fit what was looked up (a recipient's status for a sender), as
//! access(5) says under ENHANCED STATUS CODES. Values that are lists of restrictions are parsed here, at run time;
//! tables inside tables are refused, as Postfix does.

use crate::actions::{self, Action, MailAction};
use crate::check::Subject;
use crate::decision::{MailEffect, Note, NoteAction, Outcome};
use crate::eval::{About, Evaluation, Status};
use crate::facts::Need;
use crate::transaction::Request;
use config::{Place, Spanned};
use mail::Dsn;

const DENIED: &str = "Access denied";
const UNAVAILABLE: &str = "Service unavailable";

/// The first word of a value, and what follows it.
fn split(value: &str) -> (&str, &str) {
    let separator = |c: char| matches!(c, ' ' | '\t' | '\r' | '\n');
    let value = value.trim_start_matches(separator);
    let end = value.find(separator).unwrap_or(value.len());
    let (word, rest) = value.split_at_checked(end).unwrap_or((value, ""));
    (word, rest.trim_start_matches(separator))
}

/// The status code that fits `subject`: senders have 1.7 and 1.8, recipients 1.1 to 1.6, others none of these.
pub(crate) fn mend(dsn: Dsn, subject: Subject) -> Dsn {
    if dsn.subject != 1 {
        return dsn;
    }
    let to = |subject, detail| Dsn { subject, detail, ..dsn };
    match (subject, dsn.detail) {
        (Subject::Sender, 1 | 3 | 4 | 6) => to(1, 7),
        (Subject::Sender, 2) => to(1, 8),
        (Subject::Sender, 0 | 7 | 8) | (Subject::Recipient, 0..=6) => dsn,
        (Subject::Recipient, 7) => to(1, 3),
        (Subject::Recipient, 8) => to(1, 2),
        (Subject::Sender | Subject::Recipient, _) => to(1, 0),
        _ => to(0, 0),
    }
}

impl Evaluation<'_> {
    /// A text with an optional status code in front.
    pub(crate) fn dsn_and_text(&mut self, text: &str, default: Dsn, about: &About) -> (Dsn, String) {
        match Dsn::parse_prefix(text) {
            Some((dsn, rest)) => {
                let mended = mend(dsn, about.subject);
                if mended != dsn {
                    let words = about.subject.words();
                    let text = format!("mapping DSN status {dsn} into {words} status {mended}");
                    self.notes.push(Note { action: NoteAction::Notice, text });
                }
                (mended, rest.trim_start().to_owned())
            }
            None => (default, text.to_owned()),
        }
    }

    fn refusal(&mut self, text: &str, dsn: Dsn, default: &str, about: &About) -> (Dsn, String) {
        let (dsn, text) = self.dsn_and_text(text, dsn, about);
        if text.is_empty() { (dsn, default.to_owned()) } else { (dsn, text) }
    }

    /// Does what `value` says. `table` and `key` are for the log.
    pub(crate) fn act(&mut self, table: &str, value: &str, key: &str, about: &About) -> Result<Status, Need> {
        let codes = self.policy.settings.codes;
        let (word, text) = split(value);
        if word.is_empty() {
            self.warning(format!("access table {table} entry {value} has empty value"));
            return Ok(Status::Dunno);
        }
        let (refused, deferred) = (Dsn::new(5, 7, 1), Dsn::new(4, 7, 1));
        let Some((name, action)) = actions::find(word) else {
            let number = word.bytes().all(|b| b.is_ascii_digit());
            return if number {
                self.number(value, table, about)
            } else {
                self.restrictions(value, table, about)
            };
        };
        match action {
            Action::Reject => {
                let (dsn, text) = self.refusal(text, refused, DENIED, about);
                Ok(self.reject(codes.access_map_reject, dsn, about, &text))
            }
            Action::Defer => {
                let (dsn, text) = self.refusal(text, deferred, DENIED, about);
                Ok(self.reject(codes.access_map_defer, dsn, about, &text))
            }
            Action::DeferIfPermit => {
                let (dsn, text) = self.refusal(text, deferred, UNAVAILABLE, about);
                Ok(self.defer_if_permit(about.reply(codes.access_map_defer, dsn, &text)))
            }
            Action::DeferIfReject => {
                let (dsn, text) = self.refusal(text, deferred, UNAVAILABLE, about);
                Ok(self.defer_if_reject(about.reply(codes.access_map_defer, dsn, &text)))
            }
            Action::Permit => Ok(self.permit(word, about, &format!("from {table}"))),
            Action::Dunno => Ok(Status::Dunno),
            Action::Warn => Ok(self.say(NoteAction::Warn, text)),
            Action::Info => Ok(self.say(NoteAction::Info, text)),
            Action::OfMail(action) => {
                Ok(self.change_mail((name, action), text, &Origin { table, key }, about))
            }
        }
    }

    /// `550 text` refuses, `12345` (of address-based relay authorisation) permits.
    fn number(&mut self, value: &str, table: &str, about: &About) -> Result<Status, Need> {
        let (digits, text) = split(value);
        if text.is_empty() {
            return Ok(self.permit(digits, about, &format!("from {table}")));
        }
        match digits.parse::<u16>() {
            Ok(code) if digits.len() == 3 && (400..600).contains(&code) => {
                let default = Dsn::new(5, 7, 1).in_class_of(code);
                let (dsn, text) = self.refusal(text, default, DENIED, about);
                Ok(self.reject(code, dsn, about, &text))
            }
            _ => self.restrictions(value, table, about),
        }
    }

    fn say(&mut self, action: NoteAction, text: &str) -> Status {
        self.notes.push(Note { action, text: text.to_owned() });
        Status::Dunno
    }

    /// A value that names restrictions.
    fn restrictions(&mut self, value: &str, table: &str, about: &About) -> Result<Status, Need> {
        if value.contains(':') {
            self.warning(format!("access table {table} has entry with lookup table: {value}"));
            self.warning("do not specify lookup tables inside SMTPD access maps");
            self.warning("define a restriction class and specify its name instead.");
            return Ok(self.server_error());
        }
        let words = config::split_words(Spanned::new(value.to_owned(), Place::nowhere()));
        let mut names = crate::compile::RunTime { policy: self.policy };
        let list = crate::parse::entries(&words, self.bare_subject(), &mut names);
        self.nested(&list, about)
    }

    /// Before MAIL FROM there is no mail that something could be done with.
    fn has_no_mail(&mut self, action: &str, table: &str) -> bool {
        if self.tx.sender.is_some() {
            return false;
        }
        let delay = if self.policy.settings.delay_reject { "yes" } else { "no" };
        self.warning(format!(
            "access table {table}: with smtpd_delay_reject={delay}, action {action} is always skipped in Client host \
             or Helo command restrictions"
        ));
        true
    }

    fn change_mail(
        &mut self,
        (name, action): (&str, MailAction),
        text: &str,
        from: &Origin<'_>,
        about: &About,
    ) -> Status {
        let Origin { table, key } = *from;
        if action == MailAction::Prepend && self.request == Request::EndOfData {
            self.warning(format!(
                "access table {table}: action PREPEND must be used before smtpd_end_of_data_restrictions"
            ));
            return Status::Dunno;
        }
        if self.has_no_mail(name, table) {
            return Status::Dunno;
        }
        if self.policy.settings.passes_on && action != MailAction::Prepend {
            self.warning(format!(
                "access table {table}: with smtpd_proxy_filter specified, action {name} is unavailable"
            ));
            return Status::Dunno;
        }
        let entry = format!("access table {table} entry \"{key}\"");
        let header = text
            .split_once(':')
            .is_some_and(|(name, _)| !name.is_empty() && name.bytes().all(|b| b.is_ascii_graphic()));
        match action {
            MailAction::Filter if text.is_empty() => {
                self.warning(format!("{entry} has FILTER entry without value"));
            }
            MailAction::Filter if !text.contains(':') => {
                self.warning(format!("{entry} requires transport:destination"));
            }
            MailAction::Redirect | MailAction::Bcc if !text.contains('@') => {
                self.warning(format!("{entry} requires user@domain target"));
            }
            MailAction::Prepend if !header => self.warning(format!("{entry} requires header: text")),
            _ => return self.apply((name, action), text, (about, entry)),
        }
        Status::Dunno
    }

    fn apply(
        &mut self,
        (name, action): (&str, MailAction),
        text: &str,
        (about, entry): (&About, String),
    ) -> Status {
        let what = text.to_owned();
        let (note, effect) = match action {
            MailAction::Hold => (Some(NoteAction::Hold), MailEffect::Hold(what, entry)),
            MailAction::Discard => (Some(NoteAction::Discard), MailEffect::Discard(what)),
            MailAction::Filter => (Some(NoteAction::Filter), MailEffect::Filter(what)),
            MailAction::Redirect => (Some(NoteAction::Redirect), MailEffect::Redirect(what)),
            MailAction::Bcc => (Some(NoteAction::Bcc), MailEffect::Bcc(what)),
            MailAction::Prepend => (None, MailEffect::Prepend(what)),
        };
        if let Some(note) = note {
            let words = about.subject.words();
            let free = matches!(note, NoteAction::Hold | NoteAction::Discard);
            let said = match (free, text) {
                (true, "") => format!("triggers {name} action"),
                (true, text) => text.to_owned(),
                (false, text) => format!("triggers {name} {text}"),
            };
            self.notes.push(Note { action: note, text: format!("<{}>: {words} {said}", about.name) });
        }
        let discards = matches!(effect, MailEffect::Discard(_));
        self.outcome = Some(Outcome::Did(effect.clone()));
        self.effects.push(effect);
        if discards {
            self.discard = true;
            return Status::Permit;
        }
        Status::Dunno
    }
}

/// Where an action stands, for the log.
struct Origin<'o> {
    table: &'o str,
    key: &'o str,
}
