//! What the session itself puts on a message while it is received, and whose clients' mail is taken for our own.

use super::Session;
use crate::cleanup::Whence;
use crate::clock;
use mail::message::{Protocol, Received};
use mail::{QueueId, Wall};
use tables::LookupError;

impl Session {
    /// `local_header_rewrite_clients`: whose mail is completed as our own.
    pub(super) async fn is_rewrite_client(&mut self) -> bool {
        let address = self.tx.client.address;
        let rewrite = &self.service.listener.lists.rewrite;
        if rewrite.interfaces.contains(&address) || (rewrite.sasl && self.tx.sasl.is_some()) {
            return true;
        }
        let certificate = self.tx.tls.as_ref().and_then(|tls| tls.certificate.as_ref());
        if rewrite.all_certificates && certificate.is_some_and(|certificate| certificate.trusted) {
            return true;
        }
        let prints = certificate
            .map(|shown| [shown.fingerprint.clone(), shown.public_key_fingerprint.clone()])
            .unwrap_or_default();
        let has_print = !rewrite.certificates.is_empty() && certificate.is_some();
        if !rewrite.networks && rewrite.tables.is_empty() && !has_print {
            return false;
        }
        let listed = self.looked_up(move |session| {
            let (lists, snapshot) = (&session.service.listener.lists, session.facts.snapshot());
            if lists.rewrite.networks && lists.local.contains_address(snapshot, address)? {
                return Ok(true);
            }
            let text = mail::host::address_text(address);
            for id in &lists.rewrite.tables {
                if snapshot.table(*id).lookup(&text)?.is_some() {
                    return Ok(true);
                }
            }
            for id in &lists.rewrite.certificates {
                for print in prints.iter().filter(|print| !print.is_empty()) {
                    if snapshot.table(*id).lookup(print)?.is_some() {
                        return Ok(true);
                    }
                }
            }
            Ok::<_, LookupError>(false)
        });
        match listed.await {
            Ok(is_listed) => is_listed,
            Err(error) => {
                self.warn(&format!("local_header_rewrite_clients: {error}"));
                false
            }
        }
    }

    /// Who brings a message, where that matters for it.
    pub(super) async fn whence(&mut self) -> Option<Whence> {
        let wanted = &self.service.listener.receiving.authenticating;
        if !wanted.is_on() && !wanted.signs {
            return None;
        }
        let address = self.tx.client.address;
        let is_known = self.tx.sasl.is_some() || self.is_of_mynetworks().await;
        let helo = self.tx.helo.clone().unwrap_or_default();
        let name = Some(self.tx.client.name.clone()).filter(|name| name != policy::UNKNOWN);
        Some(Whence { address, helo, name, is_stranger: !is_known })
    }

    /// Who can't be found in `mynetworks` for now isn't in it.
    async fn is_of_mynetworks(&mut self) -> bool {
        let address = self.tx.client.address;
        let listed = self.looked_up(move |session| {
            session.service.listener.lists.local.contains_address(session.facts.snapshot(), address)
        });
        match listed.await {
            Ok(is_listed) => is_listed,
            Err(error) => {
                self.warn(&format!("mynetworks: {error}"));
                false
            }
        }
    }

    /// RFC 5321 §4.4.
    pub(super) fn received_header(&self, id: Option<&QueueId>, began: Wall) -> String {
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
            security: self.security(),
            hostname: &receiving.hostname,
            mail_name: &receiving.mail_name,
            protocol,
            id,
            recipient,
        };
        received.header(began, &clock::zone(began))
    }

    /// `smtpd_sasl_authenticated_header`
    pub(super) fn login_shown(&self) -> Option<&str> {
        let shown = self.service.listener.logins.as_ref().is_some_and(|logins| logins.header);
        self.tx.sasl.as_ref().filter(|_| shown).map(|sasl| sasl.username.as_str())
    }
}
