//! The delivery agents: what is done for one recipient, and what it comes to.
//!
//! Each delivery runs on a blocking thread. Where the mailbox belongs to somebody else and the server has
//! given root's rights up, the privileged helper does the writing.

use super::local::Memory;
use super::maildir;
use super::target::{Maildir, Targets};
use crate::clock;
use crate::privileged::{Answer, Helper, LocalSockets, MaildirRequest, PACKED_BYTES_MAX, Request};
use mail::{Address, Dsn};
use queue::{Entry, Outcome, Reason, Recipient};
use rustix::fd::AsFd;
use rustix::fs::{MemfdFlags, Mode, OFlags};
use std::fs::File;
use std::io::{self, Read, Seek};
use std::path::{Path, PathBuf};
use store::{Body, Spool};
use tables::Snapshot;

/// A body up to this size goes to the helper through memory, a larger one through an unnamed file.
const MEMORY_BYTES_MAX: u64 = 256 * 1024;

/// What all deliveries need.
pub struct Agents {
    /// The mail.
    pub spool: Spool,
    /// Who writes into other people's mailboxes; `None` where the server has its own rights only.
    pub helper: Option<Helper>,
    /// `myhostname`, for file names in Maildirs.
    pub host: String,
    /// Where unnamed files may be made: the state folder.
    pub scratch: PathBuf,
    /// The accounts: /etc/passwd.
    pub passwd: PathBuf,
    /// Where sockets named without a leading `/` are.
    pub sockets: LocalSockets,
    /// What is done of local recipients that aren't.
    pub memory: Memory,
}

/// How one recipient's delivery ended, with the words for the log.
pub struct Delivered {
    /// For the scheduler.
    pub outcome: Outcome,
    /// `virtual`, `local`, `none`.
    pub relay: &'static str,
    /// `delivered to maildir`.
    pub text: String,
    /// `2.0.0`.
    pub dsn: String,
}

impl Delivered {
    pub(super) fn sent(relay: &'static str, text: &str) -> Delivered {
        Delivered { outcome: Outcome::Delivered, relay, text: text.to_owned(), dsn: "2.0.0".to_owned() }
    }

    /// Not delivered, for now or for good as its class says.
    #[must_use]
    pub fn not(relay: &'static str, reason: Reason) -> Delivered {
        let (text, dsn) = (reason.text.clone(), reason.dsn.to_string());
        let outcome = if reason.dsn.class == 5 { Outcome::Failed(reason) } else { Outcome::Deferred(reason) };
        Delivered { outcome, relay, text, dsn }
    }

    /// `soft_bounce`: what failed is tried again. Whether it had failed.
    pub fn soften(&mut self) -> bool {
        let Outcome::Failed(reason) = &self.outcome else { return false };
        *self = Delivered::not(self.relay, Reason { dsn: Dsn { class: 4, ..reason.dsn }, ..reason.clone() });
        true
    }

    /// The text of a success report.
    #[must_use]
    pub fn relay_text(&self) -> String {
        match self.relay {
            "none" => self.text.clone(),
            relay => format!("delivery via {relay}: {}", self.text),
        }
    }
}

impl Agents {
    /// A message's envelope with its notes, and how many they are; `None` where it can't be read.
    pub(super) fn entry(&self, number: u64) -> Option<(Entry, usize)> {
        let message = self.spool.read(number).ok()?;
        let entry = Entry::load(&message.envelope, &message.notes).ok()?;
        Some((entry, message.notes.len()))
    }

    /// Delivers message `number` to one recipient over `transport`. Blocks.
    #[must_use]
    pub fn deliver(
        &self,
        (number, entry): (u64, &Entry),
        recipient: &Recipient,
        (transport, nexthop): (&str, &str),
        (targets, snapshot): (&Targets, &Snapshot),
    ) -> Delivered {
        let address = &recipient.address;
        let (relay, target) = match transport {
            "virtual" => ("virtual", targets.virtual_mailbox(address, snapshot)),
            "discard" => {
                let text = if nexthop.is_empty() { "silently" } else { nexthop };
                return Delivered::sent("none", text);
            }
            "error" => return Delivered::not("none", undeliverable(nexthop, Dsn::new(5, 0, 0))),
            "retry" => return Delivered::not("none", undeliverable(nexthop, Dsn::new(4, 0, 0))),
            other => {
                let text = format!("mail transport \"{other}\" is not served yet");
                return Delivered::not("none", Reason::new(Dsn::new(4, 3, 0), text));
            }
        };
        match target.and_then(|target| self.put_into_maildir((number, entry), recipient, (&target, targets)))
        {
            Ok(()) => Delivered::sent(relay, "delivered to maildir"),
            Err(reason) => Delivered::not(relay, reason),
        }
    }

    fn put_into_maildir(
        &self,
        (number, entry): (u64, &Entry),
        recipient: &Recipient,
        (target, targets): (&Maildir, &Targets),
    ) -> Result<(), Reason> {
        let head = head(&entry.sender_for(recipient), recipient, targets);
        if target.limit > 0 && entry.size > target.limit {
            return Err(Reason::new(Dsn::new(5, 2, 2), "message is larger than the mailbox limit"));
        }
        let mut body = self.spool.body(number).map_err(|error| temporary(&error.to_string()))?;
        match (target.owner, &self.helper) {
            (Some((uid, gid)), Some(helper)) => {
                let failed = |error: io::Error| temporary(&error.to_string());
                let packed = packed(&mut body).map_err(failed)?;
                let (beside, length) = match &packed {
                    Some(content) => (None, u64::try_from(content.len()).unwrap_or(u64::MAX)),
                    None => {
                        let (file, length) = self.content(&mut body, entry.size).map_err(failed)?;
                        (Some(file), length)
                    }
                };
                let request = Request::Maildir(MaildirRequest {
                    uid,
                    gid,
                    path: target.path.display().to_string(),
                    head,
                    content: packed,
                    length,
                    limit: target.limit,
                });
                match helper.ask(&request, beside.as_ref().map(AsFd::as_fd)).0 {
                    Answer::Done | Answer::Said(_) => Ok(()),
                    Answer::Temporary(text) => Err(reason(&text, Dsn::new(4, 3, 0))),
                    Answer::Permanent(text) => Err(reason(&text, Dsn::new(5, 3, 0))),
                }
            }
            _ => {
                let delivered =
                    maildir::deliver(&target.path, &head, &mut body, &self.host, clock::now().wall);
                delivered
                    .map(drop)
                    .map_err(|error| reason(&format!("{} {error}", error.dsn()), Dsn::new(4, 3, 0)))
            }
        }
    }

    /// Into a Maildir of our own.
    pub(super) fn put_into_own_maildir(
        &self,
        message: (u64, &Entry),
        recipient: &Recipient,
        path: &Path,
        targets: &Targets,
    ) -> Result<(), Reason> {
        let target = Maildir { path: path.to_owned(), owner: None, limit: targets.mailbox_limit() };
        self.put_into_maildir(message, recipient, (&target, targets))
    }

    /// The body in a descriptor that can be passed on.
    pub(super) fn content(&self, body: &mut Body, size: u64) -> io::Result<(File, u64)> {
        let mut file: File = if size <= MEMORY_BYTES_MAX {
            rustix::fs::memfd_create("mail", MemfdFlags::CLOEXEC)?.into()
        } else {
            let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
            rustix::fs::open(&self.scratch, flags, Mode::RUSR | Mode::WUSR)?.into()
        };
        let length = maildir::copy(&[], body, &mut file)?;
        file.rewind()?;
        Ok((file, length))
    }
}

/// A short body, to go along with the request; `None` where it is to go beside it.
fn packed(body: &mut Body) -> io::Result<Option<Vec<u8>>> {
    if body.size() > PACKED_BYTES_MAX {
        return Ok(None);
    }
    let mut content = Vec::with_capacity(usize::try_from(body.size()).unwrap_or(0));
    body.read_to_end(&mut content)?;
    Ok(Some(content))
}

/// The lines that delivery puts on top, as virtual(8) and local(8) do.
fn head(sender: &Address, recipient: &Recipient, targets: &Targets) -> Vec<u8> {
    let original = targets.keeps_original().then_some(&recipient.original);
    mail::message::delivery_headers(sender, original, &recipient.address).into_bytes()
}

fn temporary(text: &str) -> Reason {
    Reason::new(Dsn::new(4, 3, 0), text)
}

/// error(8): why a recipient's mail isn't delivered, in the transport's words. A code of another class isn't heeded.
fn undeliverable(nexthop: &str, default: Dsn) -> Reason {
    match Dsn::parse_prefix(nexthop) {
        Some((dsn, text)) => {
            let dsn = if dsn.class == default.class { dsn } else { default };
            Reason::new(dsn, text.trim_start())
        }
        None => Reason::new(default, nexthop),
    }
}

/// A reason whose text may begin with its own DSN.
pub(super) fn reason(text: &str, otherwise: Dsn) -> Reason {
    match Dsn::parse_prefix(text) {
        Some((dsn, rest)) => Reason::new(dsn, rest.trim_start()),
        None => Reason::new(otherwise, text),
    }
}
