//! Which headers hold addresses that are rewritten, and whose (cleanup(8), canonical(5) "header_sender").

use std::ops::Range;

/// A header with addresses in what [`super::Cleanup`] wrote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mark {
    /// The header with its last line end.
    pub bytes: Range<usize>,
    /// Whose addresses.
    pub whose: Whose,
}

/// Whose addresses a header holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whose {
    /// Of who sends: `header_sender`.
    Sender,
    /// Of who gets it: `header_recipient`.
    Recipient,
}

const SENDER: &[&str] = &[
    "disposition-notification-to",
    "errors-to",
    "from",
    "mail-followup-to",
    "reply-to",
    "resent-from",
    "resent-sender",
    "return-path",
    "return-receipt-to",
    "sender",
];
const RECIPIENT: &[&str] =
    &["apparently-to", "bcc", "cc", "resent-bcc", "resent-cc", "resent-reply-to", "resent-to", "to"];

impl Whose {
    /// Whose addresses the header of that name holds, if any; as Postfix has it, those to whom a resent message is to
    /// be answered are recipients.
    #[must_use]
    pub fn of(name: &str) -> Option<Whose> {
        let is = |known: &&str| known.eq_ignore_ascii_case(name);
        if SENDER.iter().any(is) {
            Some(Whose::Sender)
        } else {
            RECIPIENT.iter().any(is).then_some(Whose::Recipient)
        }
    }
}
