//! Who comes: a stranger, somebody logged in, a host of one's own networks. Each as the transactions that the stages
//! of a session see.
//!
//! Everybody wants the same: mail from somewhere to somebody of another domain. What a stranger may choose freely
//! (sender, HELO) is [`Word::Any`], until one of it is picked to see whether lists agree on it.

use super::Subject;
use crate::transaction::{Client, ClientCertificate, NameStatus, Sasl, Stage, Tls, Transaction};
use config::Parameters;
use mail::Address;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Something that the client says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Word {
    /// Whatever is best for who says it.
    Any,
    /// This.
    Text(String),
}

/// Somebody at the door.
#[derive(Clone, Debug)]
pub(super) struct Persona {
    pub(super) client: Client,
    pub(super) sasl: bool,
    /// `None`: no HELO at all.
    pub(super) helo: Option<Word>,
    pub(super) sender: Word,
    pub(super) recipient: Word,
    /// Besides those whom nobody knows, also those whom a table lists: hosts, recipients, backup domains.
    pub(super) listed_too: bool,
    /// Whether a policy server may say OK.
    pub(super) vouched: bool,
    pub(super) tls: bool,
    /// Whether a certificate that anybody can get is trusted.
    pub(super) certificate: bool,
}

/// What a client says that no table knows.
pub(super) const HELO: &str = "mail.stranger.example";
pub(super) const SENDER: &str = "someone@stranger.example";
pub(super) const RECIPIENT: &str = "someone@elsewhere.example";

/// Hosts that are nobody's: those of version 4 are in no network that was ever given to anybody (240.0.0.0/4), so no
/// list of one's own networks has them but one that has everybody.
const STRANGERS: [IpAddr; 3] = [
    IpAddr::V4(Ipv4Addr::new(243, 0, 113, 77)),
    IpAddr::V4(Ipv4Addr::new(252, 120, 18, 99)),
    IpAddr::V6(Ipv6Addr::new(0x2a0e, 0x97c0, 0x33, 0x7, 0, 0, 0, 0x99)),
];

fn server(client: IpAddr) -> IpAddr {
    match client {
        IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::new(192, 0, 2, 254)),
        IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0xfffe)),
    }
}

/// Whether sessions can be encrypted.
fn offers_tls(p: &Parameters) -> bool {
    let level = p.text("smtpd_tls_security_level").value;
    let level = level.trim();
    (!level.is_empty() && level != "none")
        || ["smtpd_use_tls", "smtpd_enforce_tls", "smtpd_tls_wrappermode"].iter().any(|name| p.flag(name))
}

/// Whether clients are asked for certificates, and those of public authorities are trusted.
fn trusts_anybody(p: &Parameters) -> bool {
    let asks = p.flag("smtpd_tls_ask_ccert") || p.flag("smtpd_tls_req_ccert");
    let public = |name: &str| {
        let path = p.text(name).value;
        ["/etc/ssl/certs", "/etc/pki/tls/certs", "/etc/ssl/cert.pem", "/usr/share/ca-certificates"]
            .iter()
            .any(|known| path.starts_with(known))
    };
    asks && (p.flag("tls_append_default_CA") || public("smtpd_tls_CAfile") || public("smtpd_tls_CApath"))
}

impl Persona {
    fn at(address: IpAddr, subject: &Subject<'_>) -> Persona {
        let mut client = Client::unnamed(address, 40_000, server(address), 25);
        HELO.clone_into(&mut client.name);
        HELO.clone_into(&mut client.reverse_name);
        client.name_status = NameStatus::Ok;
        client.reverse_name_status = NameStatus::Ok;
        Persona {
            client,
            sasl: false,
            helo: Some(Word::Any),
            sender: Word::Any,
            recipient: Word::Text(RECIPIENT.to_owned()),
            listed_too: false,
            vouched: true,
            tls: offers_tls(subject.parameters),
            certificate: trusts_anybody(subject.parameters),
        }
    }

    /// Strangers in all the ways that may matter.
    pub(super) fn strangers(subject: &Subject<'_>) -> Vec<Persona> {
        let mut all: Vec<Persona> = STRANGERS.iter().map(|address| Persona::at(*address, subject)).collect();
        if !subject.parameters.flag("smtpd_helo_required") {
            let silent: Vec<Persona> = all.iter().map(|one| Persona { helo: None, ..one.clone() }).collect();
            all.extend(silent);
        }
        all
    }

    /// A stranger at this address, by this name.
    pub(super) fn host(address: Option<IpAddr>, name: Option<&str>, subject: &Subject<'_>) -> Persona {
        let [unknown, ..] = STRANGERS;
        let address = address.unwrap_or(unknown);
        let mut persona = Persona::at(address, subject);
        match name {
            Some(name) => {
                name.clone_into(&mut persona.client.name);
                name.clone_into(&mut persona.client.reverse_name);
            }
            None => persona.client = Client::unnamed(address, 40_000, server(address), 25),
        }
        persona
    }

    /// One whom a table may list: its host, its recipient.
    pub(super) fn listed(subject: &Subject<'_>) -> Persona {
        let [address, ..] = STRANGERS;
        Persona { listed_too: true, recipient: Word::Any, ..Persona::at(address, subject) }
    }

    /// Somebody who has logged in, from anywhere.
    pub(super) fn logged_in(subject: &Subject<'_>) -> Persona {
        let [address, ..] = STRANGERS;
        Persona { sasl: true, listed_too: true, vouched: false, tls: true, ..Persona::at(address, subject) }
    }

    /// A host of one's own.
    pub(super) fn own(address: IpAddr, subject: &Subject<'_>) -> Persona {
        Persona { listed_too: true, vouched: false, ..Persona::at(address, subject) }
    }

    /// What the list of `stage` sees; `delayed` lists see everything.
    pub(super) fn transaction(&self, stage: Stage, delayed: bool) -> Transaction {
        let mut tx = Transaction::new(self.client.clone());
        tx.sasl = self.sasl.then(|| Box::new(Sasl { username: "somebody".to_owned(), ..Sasl::default() }));
        let certificate =
            self.certificate.then(|| ClientCertificate { trusted: true, ..ClientCertificate::default() });
        tx.tls = self.tls.then(|| Box::new(Tls { certificate, ..Tls::default() }));
        let said = |word: &Word, any: &str| match word {
            Word::Any => any.to_owned(),
            Word::Text(text) => text.clone(),
        };
        if stage > Stage::Client || delayed {
            tx.protocol = "ESMTP";
            tx.ehlo = true;
            tx.helo = self.helo.as_ref().map(|helo| said(helo, HELO));
        }
        if stage > Stage::Helo || delayed {
            tx.sender = Some(Address::from_internal(said(&self.sender, SENDER)));
        }
        match stage {
            // With two recipients none is named any more.
            Stage::Data | Stage::EndOfData => tx.recipient_count = 2,
            Stage::Relay | Stage::Recipient => {}
            _ if !delayed => return tx,
            _ => {}
        }
        if !matches!(stage, Stage::Data | Stage::EndOfData) {
            tx.recipient = Some(Address::from_internal(said(&self.recipient, RECIPIENT)));
        }
        tx
    }
}
