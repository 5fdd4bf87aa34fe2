//! Milters in an SMTP session: what each step tells them, with Postfix's macros, and what a refusal does (MILTER_README).
//!
//! A step is first judged by the policy; what that refuses no milter hears of, but for those who ask for refused
//! recipients. Headers and body are shown by `cleanup`, when all is there. T2.2.

use super::Session;
use crate::cleanup::Filtering;
use crate::configuration::Milters;
use crate::facts::milter::Filters;
use mail::{Address, Dsn, Reply};
use policy::{MailEffect, NameStatus};
use proto::milter::Event;
use proto::milter::verdict::{self, Outcome};
use proto::smtp::{MailRequest, Recipient, Verdict};
use std::collections::BTreeMap;
use std::sync::Arc;
use tables::LookupError;

/// What the log says of mail that a milter throws away; nobody else's mail is thrown away so.
pub(super) const DISCARD: &str = "milter triggers DISCARD action";

/// Macros that have no value at the end of a message: who ends it with Postfix isn't who speaks with the client.
const BEFORE_CLEANUP: [&str; 13] = [
    "{client_connections}",
    "{client_resolve}",
    "{tls_version}",
    "{cipher}",
    "{cipher_bits}",
    "{cert_subject}",
    "{cert_issuer}",
    "{mail_addr}",
    "{mail_host}",
    "{mail_mailer}",
    "{rcpt_addr}",
    "{rcpt_host}",
    "{rcpt_mailer}",
];

/// Macros and their values.
type Values = BTreeMap<&'static str, String>;

/// What a step is, for milters.
pub(super) enum Told<'a> {
    Connect,
    Helo { extended: bool },
    Mail(&'a MailRequest),
    Rcpt(&'a Recipient),
    Data,
    Unknown(&'a str),
}

/// Which milters a client has.
enum Named {
    /// Those of `smtpd_milters`.
    Usual,
    /// These.
    Others(Arc<Milters>),
    /// A table can't say, or says what is none.
    Unusable,
}

impl Session {
    /// The client may come in: connects, and says who it is.
    pub(super) async fn milters_meet(&mut self) -> Option<Verdict> {
        if self.filters.is_none() {
            let settings = self.service.listener.milters.clone()?;
            let settings = match self.milters_of_client(&settings).await {
                Named::Usual => settings,
                Named::Others(others) => others,
                Named::Unusable => {
                    let reply = Reply::new(451, Dsn::new(4, 3, 0), "Error: server configuration error");
                    return Some(Verdict::Reject(reply));
                }
            };
            if settings.filters.is_empty() {
                return None;
            }
            self.filters = Some(Box::new(Filters::new(
                settings,
                self.shared.sockets.clone(),
                Arc::clone(&self.shared.answers),
            )));
        }
        self.milters_judge(Told::Connect).await
    }

    /// `smtpd_milter_maps`: none for some clients, or others than the usual ones.
    async fn milters_of_client(&mut self, usual: &Milters) -> Named {
        let found = self.looked_up(|session| {
            let lists = &session.service.listener.lists;
            let address = mail::host::address_text(session.tx.client.address);
            for id in &lists.milter_maps {
                let found = session.facts.snapshot().table(*id).lookup(&address)?;
                if let Some(hit) = found {
                    return Ok(Some(hit.value.into_owned()));
                }
            }
            Ok::<_, LookupError>(None)
        });
        let value = match found.await {
            Ok(Some(value)) => value,
            Ok(None) => return Named::Usual,
            Err(error) => {
                self.warn(&format!("smtpd_milter_maps: {error}"));
                return Named::Unusable;
            }
        };
        let list = if value.trim().eq_ignore_ascii_case("DISABLE") { "" } else { value.as_str() };
        match usual.with_filters(list) {
            Ok(others) => Named::Others(Arc::new(others)),
            Err(why) => {
                self.warn(&format!("smtpd_milter_maps: {why}"));
                Named::Unusable
            }
        }
    }

    /// Tells the milters of a step that the policy permits; what they have against it.
    pub(super) async fn milters_judge(&mut self, told: Told<'_>) -> Option<Verdict> {
        self.filters.as_ref()?;
        let mut values = self.macros();
        let outcome = match told {
            Told::Connect => {
                let client = &self.tx.client;
                let (address, port) = (client.address, client.port);
                let known = client.name != policy::UNKNOWN;
                let literal = format!("[{}]", mail::host::address_text(address));
                let name = if known { client.name.clone() } else { literal };
                self.tell(Event::Connect { name: &name, address: Some((address, port)) }, &values).await
            }
            Told::Helo { .. } => {
                let name = self.tx.helo.clone().unwrap_or_default();
                self.tell(Event::Helo(&name), &values).await
            }
            Told::Mail(mail) => {
                let names = ["{mail_addr}", "{mail_host}", "{mail_mailer}"];
                self.route_macros(&mail.sender, names, &mut values).await;
                self.keep_macros(names, &values);
                self.tell(Event::Mail(&words(&mail.sender, &mail.parameters)), &values).await
            }
            Told::Rcpt(recipient) => {
                let names = ["{rcpt_addr}", "{rcpt_host}", "{rcpt_mailer}"];
                self.route_macros(&recipient.address, names, &mut values).await;
                let words = words(&recipient.address, &recipient.parameters);
                let outcome = self.tell(Event::Rcpt(&words), &values).await;
                // The first that is taken stands for all.
                if !matches!(outcome, Some(Outcome::Refused(_))) {
                    self.keep_macros(names, &values);
                }
                outcome
            }
            Told::Data => self.tell(Event::Data, &values).await,
            Told::Unknown(line) => self.tell(Event::Unknown(line), &values).await,
        };
        self.said(told, outcome?)
    }

    /// These have their values until the message is over.
    fn keep_macros(&mut self, names: [&'static str; 3], values: &Values) {
        let Some(filters) = &mut self.filters else { return };
        for name in names {
            if let Some(value) = values.get(name) {
                filters.remember(name, value.clone());
            }
        }
    }

    async fn tell(&mut self, event: Event<'_>, values: &Values) -> Option<Outcome> {
        let filters = self.filters.as_mut()?;
        let outcome = filters.tell(event, &|name| values.get(name).cloned()).await;
        for text in filters.take_warnings() {
            self.warn(&text);
        }
        outcome
    }

    /// A recipient was refused: some milters want to know.
    pub(super) async fn milters_hear_refusal(&mut self, recipient: &Recipient, reply: &Reply) {
        let mut values = self.macros();
        values.insert("{rcpt_mailer}", "error".to_owned());
        values.insert("{rcpt_host}", reply.dsn.map(|dsn| dsn.to_string()).unwrap_or_default());
        // Without the address, which is the event's.
        let why = reply.text.split_once(">: ").map_or(reply.text.as_str(), |(_, why)| why);
        values.insert("{rcpt_addr}", why.to_owned());
        let words = words(&recipient.address, &recipient.parameters);
        if let Some(filters) = &mut self.filters {
            filters.tell_refused(Event::Rcpt(&words), &|name| values.get(name).cloned()).await;
            for text in filters.take_warnings() {
                self.warn(&text);
            }
        }
    }

    /// What stands against a command that no milter hears of.
    pub(super) fn milters_stand(&self) -> Option<Verdict> {
        match self.filters.as_ref()?.standing()? {
            Outcome::Refused(text) => Some(Verdict::Reject(verdict::reply(&text))),
            Outcome::Discard | Outcome::Hold => None,
        }
    }

    /// Log and verdict of an outcome.
    fn said(&mut self, told: Told<'_>, outcome: Outcome) -> Option<Verdict> {
        let command = match told {
            Told::Connect => "CONNECT",
            Told::Helo { extended: true } => "EHLO",
            Told::Helo { extended: false } => "HELO",
            Told::Mail(_) => "MAIL",
            Told::Rcpt(_) => "RCPT",
            Told::Data => "DATA",
            Told::Unknown(_) => "UNKNOWN",
        };
        let text = match outcome {
            Outcome::Refused(text) => text,
            Outcome::Discard => {
                self.log_verdict("milter-discard", command, DISCARD);
                self.effects.push(MailEffect::Discard(DISCARD.to_owned()));
                return None;
            }
            Outcome::Hold => {
                let text = "milter triggers HOLD action";
                self.log_verdict("milter-hold", command, text);
                let by = self.filters.as_ref().map(|filters| filters.holder()).unwrap_or_default();
                self.effects.push(MailEffect::Hold(String::new(), by));
                return None;
            }
        };
        self.log_verdict("milter-reject", command, &text);
        let reply = verdict::reply(&text);
        let host = &self.service.listener.receiving.hostname;
        Some(match told {
            Told::Connect if reply.code == 421 => Verdict::Disconnect(Reply::plain(
                421,
                format!("{host} Service unavailable - try again later"),
            )),
            Told::Connect if reply.is_permanent() => {
                Verdict::PermitWith(Reply::plain(554, format!("{host} ESMTP not accepting connections")))
            }
            Told::Helo { .. } if reply.code == 421 => Verdict::Disconnect(reply),
            Told::Helo { extended: true } if reply.is_permanent() => {
                Verdict::PermitWith(Reply::plain(250, format!("{host}\nENHANCEDSTATUSCODES")))
            }
            // What is refused for now is refused at MAIL.
            Told::Connect | Told::Helo { .. } => return None,
            _ => Verdict::Reject(reply),
        })
    }

    /// The message is over, for milters too.
    pub(super) async fn milters_abort(&mut self) {
        if let Some(filters) = &mut self.filters {
            filters.abort().await;
        }
    }

    /// Its filters, for the end of the message.
    pub(super) fn filtering(&mut self) -> Option<Filtering<'_>> {
        let mut macros = self.macros();
        macros.retain(|name, _| !BEFORE_CLEANUP.contains(name));
        self.filters.as_deref_mut().map(|filters| Filtering { filters, macros })
    }

    /// The session is over, for milters too: nobody waits for that.
    pub(super) fn milters_quit(&mut self) {
        if let Some(mut filters) = self.filters.take() {
            tokio::spawn(async move { filters.quit().await });
        }
    }

    /// Mailer and host of an address, as the queue would choose them.
    async fn route_macros(&mut self, address: &Address, names: [&'static str; 3], values: &mut Values) {
        let from = self.tx.sender.clone().unwrap_or_else(Address::null);
        let to = address.clone();
        let found = self.looked_up(move |session| {
            let super::Service { targets, classes, .. } = &session.service;
            if to.is_null() {
                return Ok(None);
            }
            let tables: &tables::Snapshot = session.facts.snapshot();
            targets.routes().route((&from, &to), classes, tables).map(Some)
        });
        let (mailer, host) = match found.await {
            Ok(Some(route)) => (route.transport, route.nexthop),
            _ => ("local".to_owned(), self.service.listener.receiving.hostname.clone()),
        };
        let [addr, at, by] = names;
        values.insert(addr, address.to_external());
        values.insert(at, host);
        values.insert(by, mailer);
    }

    /// All macros that have a value now, but for those of an address.
    fn macros(&self) -> Values {
        let (tx, client) = (&self.tx, &self.tx.client);
        let address = mail::host::address_text(client.address);
        let settings = self.filters.as_ref().map(|filters| filters.settings());
        let daemon = settings.map(|settings| settings.daemon_name.clone()).unwrap_or_default();
        let version = settings.map(|settings| settings.version.clone()).unwrap_or_default();
        let resolved = match client.name_status {
            NameStatus::Ok => "OK",
            NameStatus::Unknown => "FAIL",
            NameStatus::Temporary => "TEMP",
            NameStatus::Forged => "FORGED",
        };
        let mut values = Values::from([
            ("j", self.service.listener.receiving.hostname.clone()),
            ("{daemon_name}", daemon),
            ("{daemon_addr}", mail::host::address_text(client.server_address)),
            ("{daemon_port}", client.server_port.to_string()),
            ("v", version),
            ("_", format!("{} [{address}]", client.name)),
            ("{client_addr}", address),
            ("{client_name}", client.name.clone()),
            ("{client_port}", client.port.to_string()),
            ("{client_ptr}", client.reverse_name.clone()),
            ("{client_resolve}", resolved.to_owned()),
            ("{client_connections}", self.concurrency.to_string()),
        ]);
        if let Some(filters) = &self.filters {
            values.extend(filters.known().iter().map(|(name, value)| (*name, value.clone())));
        }
        if let Some(id) = &tx.queue_id {
            values.insert("i", id.as_str().to_owned());
        }
        if let Some(sasl) = &tx.sasl {
            values.insert("{auth_type}", sasl.method.clone());
            values.insert("{auth_authen}", sasl.username.clone());
            if !sasl.sender.is_empty() {
                values.insert("{auth_author}", sasl.sender.clone());
            }
        }
        if let Some(tls) = &tx.tls {
            values.insert("{tls_version}", tls.protocol.clone());
            values.insert("{cipher}", tls.cipher.clone());
            values.insert("{cipher_bits}", tls.keysize.to_string());
            if let Some(shown) = &tls.certificate {
                values.insert("{cert_subject}", shown.subject.clone());
                values.insert("{cert_issuer}", shown.issuer.clone());
            }
        }
        values
    }
}

/// An address in brackets, and the parameters behind it.
fn words(address: &Address, parameters: &[String]) -> Vec<String> {
    std::iter::once(format!("<{}>", address.to_external())).chain(parameters.iter().cloned()).collect()
}
