//! A message's way through the queue: pickup, cleanup, the queue manager, bounces.
//!
//! Deliveries are in [`crate::delivery`], header checks in [`crate::check`]. RFC 3464 (bounces).

use crate::record::{Record, Text};
use crate::scan;
use std::fmt;

record! {
    /// `ID: uid=1000 from=<alice>`: a message from sendmail(1).
    PickedUp<'a> {
        /// The queue id.
        id: Text<'a>,
        /// Whose file it was.
        uid: u32,
        /// The sender.
        from: Text<'a>,
    }
}

impl<'a> Record<'a> for PickedUp<'a> {
    fn read(text: &'a str) -> Option<Self> {
        let (id, rest) = scan::queue_id(text)?;
        let (uid, from) = rest.strip_prefix("uid=")?.split_once(" from=<")?;
        let from = from.strip_suffix('>')?;
        Some(PickedUp { id: id.into(), uid: scan::number(uid)?, from: from.into() })
    }
    fn write(&self, out: &mut dyn fmt::Write) -> fmt::Result {
        write!(out, "{}: uid={} from=<{}>", self.id, self.uid, self.from)
    }
}

words! {
    /// Whose message id it is.
    IdKind {
        /// The message's own.
        Message = "message-id",
        /// Of who sent it on.
        Resent = "resent-message-id",
    }
}

record! {
    /// `ID: message-id=<x@example.org>`
    MessageId<'a> {
        /// The queue id.
        id: Text<'a>,
        /// The header.
        kind: IdKind,
        /// Its value, brackets and all.
        value: Text<'a>,
    }
}

impl<'a> Record<'a> for MessageId<'a> {
    fn read(text: &'a str) -> Option<Self> {
        let (id, rest) = scan::queue_id(text)?;
        let (kind, value) = scan::until(rest, "=")?;
        Some(MessageId { id: id.into(), kind: IdKind::from_word(kind)?, value: value.into() })
    }
    fn write(&self, out: &mut dyn fmt::Write) -> fmt::Result {
        write!(out, "{}: {}={}", self.id, self.kind, self.value)
    }
}

record! {
    /// `ID: from=<a@example.org>, size=312, nrcpt=1 (queue active)`
    Queued<'a> {
        /// The queue id.
        id: Text<'a>,
        /// The sender, in external form, without brackets.
        from: Text<'a>,
        /// In bytes, with the headers that were added.
        size: u64,
        /// How many recipients are left.
        nrcpt: u64,
        /// `active`.
        queue: Text<'a>,
    }
}

impl<'a> Record<'a> for Queued<'a> {
    fn read(text: &'a str) -> Option<Self> {
        let (id, rest) = scan::queue_id(text)?;
        let (from, rest) = scan::angled(rest.strip_prefix("from=")?)?;
        let (size, rest) = scan::leading_number(rest.strip_prefix(", size=")?)?;
        let (nrcpt, rest) = scan::leading_number(rest.strip_prefix(", nrcpt=")?)?;
        let queue = rest.strip_prefix(" (queue ")?.strip_suffix(')')?;
        Some(Queued { id: id.into(), from: from.into(), size, nrcpt, queue: queue.into() })
    }
    fn write(&self, out: &mut dyn fmt::Write) -> fmt::Result {
        let (id, from, size, nrcpt) = (&self.id, &self.from, self.size, self.nrcpt);
        write!(out, "{id}: from=<{from}>, size={size}, nrcpt={nrcpt} (queue {})", self.queue)
    }
}

record! {
    /// `ID: removed`
    Removed<'a> {
        /// The queue id.
        id: Text<'a>,
    }
}

impl<'a> Record<'a> for Removed<'a> {
    fn read(text: &'a str) -> Option<Self> {
        let (id, rest) = scan::queue_id(text)?;
        (rest == "removed").then(|| Removed { id: id.into() })
    }
    fn write(&self, out: &mut dyn fmt::Write) -> fmt::Result {
        write!(out, "{}: removed", self.id)
    }
}

record! {
    /// `ID: from=<a@example.org>, status=expired, returned to sender`
    Expired<'a> {
        /// The queue id.
        id: Text<'a>,
        /// The sender.
        from: Text<'a>,
        /// `expired`, or `force-expired` by postsuper -e.
        status: Text<'a>,
    }
}

impl<'a> Record<'a> for Expired<'a> {
    fn read(text: &'a str) -> Option<Self> {
        let (id, rest) = scan::queue_id(text)?;
        let (from, rest) = scan::angled(rest.strip_prefix("from=")?)?;
        let status = rest.strip_prefix(", status=")?.strip_suffix(", returned to sender")?;
        Some(Expired { id: id.into(), from: from.into(), status: status.into() })
    }
    fn write(&self, out: &mut dyn fmt::Write) -> fmt::Result {
        write!(out, "{}: from=<{}>, status={}, returned to sender", self.id, self.from, self.status)
    }
}

words! {
    /// What the bounce daemon sends.
    Notice {
        /// A bounce.
        NonDelivery = "sender non-delivery notification",
        /// `delay_warning_time`.
        Delay = "sender delay notification",
        /// NOTIFY=SUCCESS, `sendmail -bv`.
        Status = "sender delivery status notification",
        /// `notify_classes = bounce`.
        PostmasterNonDelivery = "postmaster non-delivery notification",
        /// `notify_classes = delay`.
        PostmasterDelay = "postmaster delay notification",
    }
}

record! {
    /// `ID: sender non-delivery notification: NEWID`
    Notified<'a> {
        /// The message told about.
        id: Text<'a>,
        /// To whom, and what for.
        notice: Notice,
        /// The message that tells.
        notification: Text<'a>,
    }
}

impl<'a> Record<'a> for Notified<'a> {
    fn read(text: &'a str) -> Option<Self> {
        let (id, rest) = scan::queue_id(text)?;
        let (notice, notification) = scan::until(rest, ": ")?;
        Some(Notified {
            id: id.into(),
            notice: Notice::from_word(notice)?,
            notification: notification.into(),
        })
    }
    fn write(&self, out: &mut dyn fmt::Write) -> fmt::Result {
        write!(out, "{}: {}: {}", self.id, self.notice, self.notification)
    }
}
