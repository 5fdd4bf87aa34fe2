//! Whether there is room in a mailbox, told before a message is taken (T1.13).
//!
//! Only what is known without counting or trying is told: a mailbox file at its limit, a Maildir whose count says that it is
//! full. Who has aliases, a `.forward` file or a command isn't judged: the mail may not be for that mailbox at all.

use super::Agency;
use super::links::{self, Unsafe};
use crate::privileged::Identity;
use crate::privileged::wire::{Answer, RoomRequest};
use mail::Address;
use policy::local::Attributes;
use std::path::Path;

/// A mailbox file may become so large, and so many bytes are to come, of which nobody knows that are 0.
pub(super) fn file_room(path: &Path, (limit, size): (u64, u64), identity: &Identity) -> Answer {
    let length = identity.act(|| std::fs::metadata(path).map(|metadata| metadata.len()));
    match length {
        Ok(Ok(length)) if limit > 0 && length.saturating_add(size.max(1)) > limit => {
            Answer::Permanent("5.2.2 Mailbox full".to_owned())
        }
        _ => Answer::Done,
    }
}

impl Agency {
    /// Whether a recipient's mailbox has room: [`Answer::Done`] where it has, or nobody can tell.
    #[must_use]
    pub fn room(&self, request: &RoomRequest) -> Answer {
        let recipient = Address::from_internal(request.recipient.as_str());
        match request.transport.as_str() {
            "virtual" => self.virtual_room(&recipient, request.size),
            "local" => self.local_room(&recipient, request.size).unwrap_or(Answer::Done),
            _ => Answer::Done,
        }
    }

    fn local_room(&self, recipient: &Address, size: u64) -> Option<Answer> {
        let local = recipient.local().to_lowercase();
        let (name, extension) = self.classes.split_extension(&local).unwrap_or((&local, ""));
        let is_alias = |name: &str| !matches!(self.alias(name), Ok(None));
        if self.home_mailbox.ends_with('/') || is_alias(&local) || is_alias(name) {
            return None;
        }
        let user = self.accounts.find(name).ok()??;
        let snapshot = self.books.now();
        if !self.local.is_into_mailbox(name, &*snapshot).ok()? {
            return None;
        }
        let identity = self.identity_of(&user).ok()?;
        let extension: String = extension.chars().skip(1).filter(|c| *c != '/').collect();
        let attributes = Attributes {
            account: Some(&user),
            recipient: recipient.as_str(),
            local: &local,
            user: name,
            extension: &extension,
            domain: recipient.domain().unwrap_or_default(),
        };
        for path in self.local.forward_paths(&attributes) {
            let opened = identity.act(|| links::forward(&path, user.uid)).ok()?;
            if !matches!(opened, Err(Unsafe::Absent)) {
                return None;
            }
        }
        let (path, _) = self.mailbox_path(&user);
        Some(file_room(Path::new(&path), (self.mailbox_limit, size), &identity))
    }
}
