//! The delivery agents: what is done for one recipient, and what it comes to.
//!
//! Each delivery runs on a blocking thread. Where the mailbox belongs to somebody else and the server has
//! given root's rights up, the privileged helper does the writing.

use super::local::Memory;
use super::maildir::{self, Letter};
use super::manager::Routing;
use super::target::Targets;
use super::virtual_boxes::NoMailbox;
use crate::clock;
use crate::privileged::{
    self, Answer, Helper, Identity, LocalSockets, PACKED_BYTES_MAX, Request, VirtualRequest,
};
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
    /// What the administrator should know.
    pub warnings: Vec<String>,
}

impl Delivered {
    pub(super) fn sent(relay: &'static str, text: &str) -> Delivered {
        let (text, dsn) = (text.to_owned(), "2.0.0".to_owned());
        Delivered { outcome: Outcome::Delivered, relay, text, dsn, warnings: Vec::new() }
    }

    /// Not delivered, for now or for good as its class says.
    #[must_use]
    pub fn not(relay: &'static str, reason: Reason) -> Delivered {
        let (text, dsn) = (reason.text.clone(), reason.dsn.to_string());
        let outcome = if reason.dsn.class == 5 { Outcome::Failed(reason) } else { Outcome::Deferred(reason) };
        Delivered { outcome, relay, text, dsn, warnings: Vec::new() }
    }

    fn warned(self, warnings: Vec<String>) -> Delivered {
        Delivered { warnings, ..self }
    }

    /// `soft_bounce`: what failed is tried again. Whether it had failed.
    pub fn soften(&mut self) -> bool {
        let Outcome::Failed(reason) = &self.outcome else { return false };
        let softer = Reason { dsn: Dsn { class: 4, ..reason.dsn }, ..reason.clone() };
        *self = Delivered::not(self.relay, softer).warned(std::mem::take(&mut self.warnings));
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

/// What is said of mail whose transport master.cf doesn't have.
pub(super) const UNAVAILABLE: &str = "mail transport unavailable";

impl Agents {
    /// A message's envelope with its notes, and how many they are; `None` where it can't be read.
    pub(super) fn entry(&self, number: u64) -> Option<(Entry, usize)> {
        let (envelope, notes) = self.spool.envelope(number).ok()?;
        let entry = Entry::load(&envelope, &notes).ok()?;
        Some((entry, notes.len()))
    }

    /// Delivers message `number` to one recipient over `transport`. Blocks.
    #[must_use]
    pub fn deliver(
        &self,
        (number, entry): (u64, &Entry),
        recipient: &Recipient,
        (transport, nexthop): (&str, &str),
        (routing, snapshot): (&Routing, &Snapshot),
    ) -> Delivered {
        match transport {
            "virtual" => self.put_into_virtual((number, entry), recipient, routing, snapshot),
            "discard" => {
                let text = if nexthop.is_empty() { "silently" } else { nexthop };
                Delivered::sent("none", text)
            }
            "error" => Delivered::not("none", undeliverable(nexthop, Dsn::new(5, 0, 0))),
            "retry" => Delivered::not("none", undeliverable(nexthop, Dsn::new(4, 0, 0))),
            _ => Delivered::not("none", Reason::new(Dsn::new(4, 3, 0), UNAVAILABLE)),
        }
    }

    fn put_into_virtual(
        &self,
        message: (u64, &Entry),
        recipient: &Recipient,
        routing: &Routing,
        snapshot: &Snapshot,
    ) -> Delivered {
        match self.ask_for_virtual(message, recipient, (routing, snapshot)) {
            Ok((request, beside)) => delivered_virtual(match &self.helper {
                Some(helper) => helper.ask(&Request::Virtual(request), beside.as_ref().map(AsFd::as_fd)).0,
                None => routing.agency.deliver_virtual(&request, beside),
            }),
            Err(refused) => *refused,
        }
    }

    /// Has the helper put a short message into a virtual mailbox; `done` is called when it has, on another thread. Nobody
    /// waits meanwhile.
    pub(super) fn hand_to_virtual(
        &self,
        message: (u64, &Entry),
        recipient: &Recipient,
        (routing, snapshot): (&Routing, &Snapshot),
        done: impl FnOnce(Delivered) + Send + 'static,
    ) {
        match (self.ask_for_virtual(message, recipient, (routing, snapshot)), &self.helper) {
            (Ok((request, beside)), Some(helper)) => {
                let beside = beside.as_ref().map(AsFd::as_fd);
                let done = Box::new(|(answer, _): privileged::Outcome| done(delivered_virtual(answer)));
                helper.request(&Request::Virtual(request), beside, done);
            }
            (Ok((request, beside)), None) => {
                done(delivered_virtual(routing.agency.deliver_virtual(&request, beside)));
            }
            (Err(refused), _) => done(*refused),
        }
    }

    /// What the helper is asked for, with what goes beside it; or what becomes of the message without it.
    fn ask_for_virtual(
        &self,
        (number, entry): (u64, &Entry),
        recipient: &Recipient,
        (routing, snapshot): (&Routing, &Snapshot),
    ) -> Result<(VirtualRequest, Option<File>), Box<Delivered>> {
        let mailbox = match routing.targets.virtual_boxes().find(&recipient.address, snapshot) {
            Ok(mailbox) => mailbox,
            Err(NoMailbox { reason, warning }) => {
                let refused = Delivered::not("virtual", reason).warned(warning.into_iter().collect());
                return Err(Box::new(refused));
            }
        };
        let sender = entry.sender_for(recipient);
        let from_line = if mailbox.is_maildir() {
            Vec::new()
        } else {
            let now = clock::now().wall;
            mail::delivered::from_line(&sender, now, &clock::zone(now)).into_bytes()
        };
        let (content, beside, length) = self
            .carried((number, entry))
            .map_err(|error| Box::new(Delivered::not("virtual", temporary(&error))))?;
        let request = VirtualRequest {
            recipient: recipient.address.as_str().to_owned(),
            path: mailbox.path,
            uid: mailbox.uid,
            gid: mailbox.gid,
            from_line,
            head: head(&sender, recipient, &routing.targets),
            content,
            length,
        };
        Ok((request, beside))
    }

    /// Into a Maildir of our own.
    pub(super) fn put_into_own_maildir(
        &self,
        (number, entry): (u64, &Entry),
        recipient: &Recipient,
        path: &Path,
        targets: &Targets,
    ) -> Result<(), Reason> {
        let head = head(&entry.sender_for(recipient), recipient, targets);
        let mut body = self.spool.body(number).map_err(|error| temporary(&error.to_string()))?;
        let letter = Letter {
            head: &head,
            content: &mut body,
            host: &self.host,
            now: clock::now().wall,
            limit: targets.mailbox_limit(),
            quota: None,
        };
        let delivered = maildir::deliver(path, letter, &Identity::own());
        // What isn't the owner's to mend waits for who can.
        delivered.map(drop).map_err(|error| {
            Reason::new(error.cause().virtual_(), format!("maildir delivery failed: {error}"))
        })
    }

    /// The body in the request or beside it, and its length.
    fn carried(&self, (number, entry): (u64, &Entry)) -> Result<Carried, String> {
        let mut body = self.spool.body(number).map_err(|error| error.to_string())?;
        let carried = match packed(&mut body) {
            Ok(Some(content)) => {
                let length = u64::try_from(content.len()).unwrap_or(u64::MAX);
                Ok((Some(content), None, length))
            }
            Ok(None) => self.content(&mut body, entry.size).map(|(file, length)| (None, Some(file), length)),
            Err(error) => Err(error),
        };
        carried.map_err(|error| error.to_string())
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

/// What the helper says about a virtual mailbox, warnings behind the first line.
fn delivered_virtual(answer: Answer) -> Delivered {
    let (Answer::Said(text) | Answer::Temporary(text) | Answer::Permanent(text)) = &answer else {
        return Delivered::sent("virtual", "delivered");
    };
    let (first, rest) = text.split_once('\n').unwrap_or((text, ""));
    let warnings = rest.lines().map(str::to_owned).collect();
    let delivered = match answer {
        Answer::Permanent(_) => Delivered::not("virtual", reason(first, Dsn::new(5, 3, 0))),
        Answer::Temporary(_) => Delivered::not("virtual", reason(first, Dsn::new(4, 3, 0))),
        _ => Delivered::sent("virtual", first),
    };
    delivered.warned(warnings)
}

/// A body packed or in a file, and its length.
type Carried = (Option<Vec<u8>>, Option<File>, u64);

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
