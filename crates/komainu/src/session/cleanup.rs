//! What the server itself puts on a message while it is received, and how addresses are completed.

use super::Session;
use crate::clock;
use mail::message::{Cleanup, MissingHeaders, Protocol, Received, Security};
use mail::{Address, QueueId, Wall};
use std::sync::Arc;

impl Session {
    /// A message's header cleanup: missing headers are added for our own clients only.
    pub(super) fn cleanup(&self, id: &QueueId, began: Wall) -> Cleanup {
        let receiving = &self.service.listener.receiving;
        let sender = self.tx.sender.clone().unwrap_or_default();
        let missing = (receiving.always_add_missing_headers || self.rewrite_client).then(|| {
            let zone = clock::zone(began);
            MissingHeaders::new(id, began, &zone, &receiving.hostname, &self.rewritten(&sender))
        });
        Cleanup::new(Arc::clone(&receiving.cleanup), missing)
    }

    /// `local_header_rewrite_clients`: whose mail is completed as our own.
    pub(super) async fn is_rewrite_client(&mut self) -> bool {
        let address = self.tx.client.address;
        let rewrite = &self.service.listener.lists.rewrite;
        if rewrite.interfaces.contains(&address) || (rewrite.sasl && self.tx.sasl.is_some()) {
            return true;
        }
        if !rewrite.networks {
            return false;
        }
        let listed = self.looked_up(move |session| {
            session.service.listener.lists.local.contains_address(session.facts.snapshot(), address)
        });
        listed.await.unwrap_or(false)
    }

    /// RFC 5321 §4.4.
    pub(super) fn received_header(&self, id: &QueueId, began: Wall) -> String {
        let (tx, receiving) = (&self.tx, &self.service.listener.receiving);
        let envelope = self.server.envelope();
        let recipient = match envelope.map(|envelope| envelope.recipients.as_slice()) {
            Some([one]) => Some(&one.address),
            _ => None,
        };
        let protocol = Protocol {
            esmtp: tx.ehlo,
            tls: tx.tls.is_some(),
            login: tx.sasl.is_some(),
            smtputf8: tx.smtputf8,
        };
        let received = Received {
            helo: tx.helo.as_deref(),
            name: &tx.client.name,
            address: tx.client.address,
            port: receiving.port_logging.then_some(tx.client.port),
            security: Security::default(),
            hostname: &receiving.hostname,
            mail_name: &receiving.mail_name,
            protocol,
            id,
            recipient,
        };
        received.header(began, &clock::zone(began))
    }

    /// An address as the queue keeps it: `user` is `user@myorigin`.
    pub(super) fn rewritten(&self, address: &Address) -> Address {
        if address.is_null() { Address::null() } else { self.service.classes.rewrite(address) }
    }
}
