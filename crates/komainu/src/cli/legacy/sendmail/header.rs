//! `sendmail -t`: the recipients that a message's own header names.
//!
//! `To:`, `Cc:` and `Bcc:`; where somebody sends it on, its `Resent-` kin instead. The header is looked at while it
//! passes and not changed: `Bcc:` goes in cleanup, as with mail from the network. RFC 5322 §3.6.3, §3.6.6.

use mail::Address;
use mail::header::headers;

/// A header is looked at up to here.
const HEADER_BYTES_MAX: usize = 4 << 20;
const OWN: [&str; 3] = ["to", "cc", "bcc"];
const RESENT: [&str; 3] = ["resent-to", "resent-cc", "resent-bcc"];

/// The header, as far as it has come.
#[derive(Default)]
pub(super) struct Recipients {
    text: Vec<u8>,
    is_over: bool,
}

impl Recipients {
    /// Takes more of the message, whole lines or pieces of them.
    pub(super) fn feed(&mut self, bytes: &[u8]) {
        if self.is_over {
            return;
        }
        let from = self.text.len().saturating_sub(1);
        self.text.extend_from_slice(bytes);
        let tail = self.text.get(from..).unwrap_or_default();
        self.is_over = tail.windows(2).any(|pair| pair == b"\n\n")
            || self.text.starts_with(b"\n")
            || self.text.len() > HEADER_BYTES_MAX;
    }

    /// In the order in which they stand.
    pub(super) fn addresses(&self) -> Vec<Address> {
        let (mut own, mut resent) = (Vec::new(), None);
        for header in headers(&self.text) {
            let named = |names: &[&str]| names.iter().any(|name| header.is(name));
            if named(&OWN) {
                own.extend(super::listed(&header.unfolded()));
            } else if named(&RESENT) {
                let all: &mut Vec<Address> = resent.get_or_insert_default();
                all.extend(super::listed(&header.unfolded()));
            }
        }
        resent.unwrap_or(own)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recipients_of_headers() {
        let check = |message: &str, expect: &[&str]| {
            for size in [1, 2, 5, 4096] {
                let mut recipients = Recipients::default();
                message.as_bytes().chunks(size).for_each(|piece| recipients.feed(piece));
                let found = recipients.addresses();
                assert_eq!(found.iter().map(Address::as_str).collect::<Vec<_>>(), expect, "{message}");
            }
        };
        check(
            "To: Joe <a@b>, local\nCC: c@d\nBcc: hid\nSubject: t\n\nTo: x\n",
            &["a@b", "local", "c@d", "hid"],
        );
        check("Resent-To: a@b\nTo: c@d\nResent-Bcc: e@f\n\nb\n", &["a@b", "e@f"]);
        check("Resent-From: a@b\nTo: c@d\n\nb\n", &["c@d"]);
        check("To: a@b,\n c@d\n\nx\n", &["a@b", "c@d"]);
        check("To:\n\nx\n", &[]);
        check("\nTo: a@b\n", &[]);
        check("Subject: x\nnot a header\nTo: a@b\n\nx\n", &[]);
        check("To: undisclosed-recipients:;\nBcc: g: a@b, c@d;\n\nx\n", &["a@b", "c@d"]);
    }
}
