//! Virtual mailboxes: written as the tables have them, with their owners' rights (virtual(8)).
//!
//! Nobody hands in an id or a path that isn't looked up again: the server, which says what its own tables say, can have mail
//! written for a recipient, and nothing else. Where the two differ a table has just changed, and the mail waits.

use super::{Agency, Books, locks};
use crate::clock;
use crate::deliver::mailbox_file::{self, Kind, Locks, Message};
use crate::deliver::maildir::{self, Letter, MaildirError};
use crate::deliver::quota;
use crate::deliver::virtual_boxes::{Mailbox, NoMailbox, VirtualBoxes};
use crate::privileged::Identity;
use crate::privileged::wire::{Answer, VirtualRequest};
use config::Parameters;
use mail::delivered::{Changed, Lines};
use mail::{Address, Dsn};
use std::fs::File;
use std::io::Read;
use std::path::Path;
use tables::Catalogue;

/// What main.cf says about virtual mailboxes.
#[derive(Debug)]
pub(super) struct Virtuals {
    pub(super) boxes: VirtualBoxes,
    pub(super) books: Books,
    /// `virtual_mailbox_limit`.
    pub(super) limit: u64,
    locks: Locks,
    strict_ownership: bool,
    /// Who is over quota may have it later.
    pub(super) waits_for_room: bool,
}

impl Virtuals {
    pub(super) fn compile(p: &Parameters) -> Virtuals {
        let mut catalogue = Catalogue::new();
        Virtuals {
            boxes: VirtualBoxes::compile(p, &mut catalogue),
            books: Books::new(catalogue),
            limit: u64::try_from(p.number("virtual_mailbox_limit")).unwrap_or(0),
            locks: locks(p, "virtual_mailbox_lock"),
            strict_ownership: p.flag("strict_mailbox_ownership"),
            waits_for_room: p.flag("komainu_virtual_quota_tempfail"),
        }
    }
}

/// Warnings behind the text, a line each.
fn answer(dsn: Dsn, text: &str, warnings: &[String]) -> Answer {
    let text = warnings.iter().fold(format!("{dsn} {text}"), |text, warning| format!("{text}\n{warning}"));
    if dsn.class == 5 { Answer::Permanent(text) } else { Answer::Temporary(text) }
}

impl Agency {
    /// Writes a message into a virtual recipient's mailbox; blocks.
    #[must_use]
    pub fn deliver_virtual(&self, request: &VirtualRequest, content: Option<File>) -> Answer {
        let recipient = Address::from_internal(request.recipient.as_str());
        let found = self.virtuals.boxes.find(&recipient, &self.virtuals.books.now());
        let mailbox = match found {
            Ok(mailbox) => mailbox,
            Err(NoMailbox { reason, warning }) => {
                // Whom the server knows isn't unknown.
                let dsn = Dsn { class: 4, ..reason.dsn };
                return answer(dsn, &reason.text, warning.as_slice());
            }
        };
        if (&mailbox.path, mailbox.uid, mailbox.gid) != (&request.path, request.uid, request.gid) {
            return answer(Dsn::new(4, 3, 5), "the recipient's mailbox has just become another", &[]);
        }
        let identity = self.owner_of(&mailbox);
        let put = |content: &mut dyn Read| {
            identity.act(|| {
                if mailbox.is_maildir() {
                    self.put_into_maildir(&mailbox, request, content, &identity)
                } else {
                    self.append_to_file(&mailbox, request, content, &identity)
                }
            })
        };
        let done = match (&request.content, content) {
            (Some(content), _) => put(&mut content.as_slice()),
            (None, Some(content)) => put(&mut content.take(request.length)),
            (None, None) => return answer(Dsn::new(4, 3, 0), "no content came along", &[]),
        };
        done.unwrap_or_else(|error| answer(Dsn::new(4, 3, 0), &format!("change of rights: {error}"), &[]))
    }

    /// Whose rights are taken on for a mailbox.
    pub(super) fn owner_of(&self, mailbox: &Mailbox) -> Identity {
        if self.switches { Identity::of(mailbox.uid, mailbox.gid, true) } else { Identity::own() }
    }

    fn put_into_maildir(
        &self,
        mailbox: &Mailbox,
        request: &VirtualRequest,
        content: &mut dyn Read,
        identity: &Identity,
    ) -> Answer {
        let letter = Letter {
            head: &request.head,
            content,
            host: &self.host,
            now: clock::now().wall,
            limit: self.virtuals.limit,
            quota: mailbox.quota.as_ref(),
        };
        let Err(error) = maildir::deliver(Path::new(&mailbox.path), letter, identity) else {
            return Answer::Said("delivered to maildir".to_owned());
        };
        let size = request.length.saturating_add(request.head.len() as u64);
        let may_wait = self.virtuals.waits_for_room
            && matches!(error, MaildirError::OverQuota(_))
            && !mailbox.quota.is_some_and(|quota| quota.never_allows(size));
        let dsn = if may_wait { Dsn::new(4, 2, 2) } else { error.cause().virtual_() };
        answer(dsn, &format!("maildir delivery failed: {error}"), &error.warnings(identity))
    }

    fn append_to_file(
        &self,
        mailbox: &Mailbox,
        request: &VirtualRequest,
        content: &mut dyn Read,
        identity: &Identity,
    ) -> Answer {
        let head = [request.from_line.as_slice(), request.head.as_slice()].concat();
        let mut content = Changed::new(content, Lines::mailbox());
        let message = Message {
            head: &head,
            content: &mut content,
            length: request.length,
            limit: self.virtuals.limit,
        };
        let owner = self.virtuals.strict_ownership.then_some(identity.uid);
        let (path, kind) = (Path::new(&mailbox.path), Kind::Mailbox { owner });
        let (outcome, warnings) = mailbox_file::append(path, kind, message, (&self.virtuals.locks, identity));
        match outcome {
            Ok(()) => Answer::Said(
                warnings
                    .iter()
                    .fold("delivered to mailbox".to_owned(), |text, more| format!("{text}\n{more}")),
            ),
            Err(error) => {
                let text = format!("delivery failed to mailbox {}: {error}", mailbox.path);
                answer(error.cause.virtual_(), &text, &warnings)
            }
        }
    }

    /// Whether a virtual recipient's mailbox has room for a message, as far as that is known.
    pub(super) fn virtual_room(&self, recipient: &Address, size: u64) -> Answer {
        let Ok(mailbox) = self.virtuals.boxes.find(recipient, &self.virtuals.books.now()) else {
            return Answer::Done;
        };
        let identity = self.owner_of(&mailbox);
        let path = Path::new(&mailbox.path);
        if mailbox.is_maildir() {
            let Some(held) = mailbox.quota else { return Answer::Done };
            let is_full = identity.act(|| quota::is_known_full(path, &held, size));
            return match is_full {
                Ok(true) if self.virtuals.waits_for_room && !held.never_allows(size) => {
                    Answer::Temporary("4.2.2 Mailbox full".to_owned())
                }
                Ok(true) => Answer::Permanent("5.2.2 Mailbox full".to_owned()),
                _ => Answer::Done,
            };
        }
        super::room::file_room(path, (self.virtuals.limit, size), &identity)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::deliver::mailbox_file::Cause;

    #[test]
    fn what_is_temporary_is_told_so() {
        assert_eq!(answer(Cause::TooLarge.virtual_(), "x", &[]), Answer::Permanent("5.2.2 x".to_owned()));
        let warnings = ["one".to_owned(), "two".to_owned()];
        let expect = Answer::Temporary("4.2.0 x\none\ntwo".to_owned());
        assert_eq!(answer(Cause::Other.virtual_(), "x", &warnings), expect);
    }
}
