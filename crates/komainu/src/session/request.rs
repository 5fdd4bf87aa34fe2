//! A conversation's request, put into the transaction that the policy looks at; and what is refused whatever the
//! policy says.
//!
//! The live session and `explain` both do it here, so that what is explained is what would be done. Nothing waits and
//! nothing is asked here.

use crate::configuration::Receiving;
use mail::{Dsn, Reply};
use policy::Transaction;
use proto::smtp::{Envelope, Request, Server};

/// Puts `request` into the transaction; gives what the policy and the log call it.
pub(crate) fn enter(
    tx: &mut Transaction,
    request: &Request,
    server: &Server,
) -> (policy::Request, &'static str) {
    tx.protocol = server.protocol();
    tx.pipelining_violation = server.pipelining_violation();
    tx.recipient = None;
    tx.etrn_domain = None;
    match request {
        Request::Connect => (policy::Request::Connect, "CONNECT"),
        Request::Helo { name, extended } => {
            (tx.helo, tx.ehlo) = (Some(name.clone()), *extended);
            (policy::Request::Helo, if *extended { "EHLO" } else { "HELO" })
        }
        Request::Mail(mail) => {
            tx.sender = Some(mail.sender.clone());
            tx.declared_size = mail.size;
            tx.smtputf8 = mail.smtputf8;
            if let Some(sasl) = &mut tx.sasl {
                // RFC 4954 §5: `<>` is nobody.
                sasl.sender = mail.auth.clone().filter(|sender| sender != "<>").unwrap_or_default();
            }
            (tx.recipient_count, tx.recipient_ordinal, tx.queue_id, tx.message_size) = (0, 0, None, None);
            (policy::Request::Mail, "MAIL")
        }
        Request::Rcpt(recipient) => {
            tx.recipient_ordinal = tx.recipient_ordinal.saturating_add(1);
            tx.recipient = Some(recipient.address.clone());
            (policy::Request::Rcpt, "RCPT")
        }
        Request::Data => {
            tx.recipient = server.envelope().and_then(only_recipient);
            let chunked = server.place() == "BDAT";
            (policy::Request::Data, if chunked { "BDAT" } else { "DATA" })
        }
        Request::EndOfData { size } => {
            tx.recipient = server.envelope().and_then(only_recipient);
            tx.message_size = Some(*size);
            (policy::Request::EndOfData, "END-OF-MESSAGE")
        }
        Request::Etrn(domain) => {
            tx.etrn_domain = Some(domain.clone());
            (policy::Request::Etrn, "ETRN")
        }
        Request::Vrfy { address } => {
            tx.recipient = Some(address.clone());
            (policy::Request::Vrfy, "VRFY")
        }
    }
}

fn only_recipient(envelope: &Envelope) -> Option<mail::Address> {
    match envelope.recipients.as_slice() {
        [one] => Some(one.address.clone()),
        _ => None,
    }
}

/// Mail that there is no room for, with `free` bytes where the queue is (`queue_minfree`, T1.13).
pub(crate) fn no_room(receiving: &Receiving, free: u64, size: u64) -> Option<Reply> {
    let wanted = receiving.minfree_bytes.max(size);
    (free < wanted).then(|| Reply::new(452, Dsn::new(4, 3, 1), "Insufficient system storage"))
}
