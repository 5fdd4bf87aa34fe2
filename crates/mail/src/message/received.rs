//! The headers that the server itself writes: `Received:` on the way in, `Return-Path:`, `X-Original-To:` and
//! `Delivered-To:` at delivery. RFC 5321 §4.4.
//!
//! `for <recipient>` stands there for one recipient only, so that nobody learns of another.

use crate::time::{self, Zone};
use crate::{Address, QueueId, Wall, host};
use std::net::IpAddr;

/// What smtpd knows of the connection and the transaction when it writes `Received:`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Received<'a> {
    /// What the client called itself, if it did.
    pub helo: Option<&'a str>,
    /// The verified name, or `unknown`.
    pub name: &'a str,
    /// Its address.
    pub address: IpAddr,
    /// Its port, with `smtpd_client_port_logging`.
    pub port: Option<u16>,
    /// What TLS and SASL add.
    pub security: Security<'a>,
    /// `myhostname`.
    pub hostname: &'a str,
    /// `mail_name`.
    pub mail_name: &'a str,
    /// `SMTP`, `ESMTP`, `ESMTPS` … ([`Received::protocol`]).
    pub protocol: &'a str,
    /// The message's queue id.
    pub id: &'a QueueId,
    /// The one recipient; `None` where there are several.
    pub recipient: Option<&'a Address>,
}

/// The lines that encryption and authentication add, each without line end, as they stand in parentheses.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Security<'a> {
    /// `using TLSv1.3 with cipher …`, with `smtpd_tls_received_header`.
    pub tls: Option<&'a str>,
    /// `No client certificate requested` and its like.
    pub certificate: Option<&'a str>,
    /// The login name, with `smtpd_sasl_authenticated_header`.
    pub login: Option<&'a str>,
}

impl Received<'_> {
    /// The word behind `with` (RFC 3848, RFC 6531): `ESMTP` with an `S` for TLS and an `A` for AUTH.
    #[must_use]
    pub fn protocol(is_esmtp: bool, has_tls: bool, has_login: bool, smtputf8: bool) -> String {
        if !is_esmtp {
            return "SMTP".to_owned();
        }
        let base = if smtputf8 { "UTF8SMTP" } else { "ESMTP" };
        format!("{base}{}{}", if has_tls { "S" } else { "" }, if has_login { "A" } else { "" })
    }

    /// The whole header with its line ends.
    #[must_use]
    pub fn header(&self, wall: Wall, zone: &Zone) -> String {
        let helo = neuter(self.helo.unwrap_or(self.name));
        let address = host::mail_address(self.address);
        let port = self.port.map(|port| format!(":{port}")).unwrap_or_default();
        let mut text = format!("Received: from {helo} ({} [{address}]{port})\n", self.name);
        for line in [self.security.tls, self.security.certificate].into_iter().flatten() {
            text.push_str(&format!("\t({line})\n"));
        }
        if let Some(login) = self.security.login {
            text.push_str(&format!("\t(Authenticated sender: {})\n", neuter(login)));
        }
        text.push_str(&format!(
            "\tby {} ({}) with {} id {}",
            self.hostname, self.mail_name, self.protocol, self.id
        ));
        let date = time::rfc5322(wall, zone);
        match self.recipient {
            Some(recipient) => text.push_str(&format!("\n\tfor <{recipient}>; {date}\n")),
            None => text.push_str(&format!(";\n\t{date}\n")),
        }
        text
    }
}

/// The client's own words, with what has a meaning in headers replaced.
fn neuter(text: &str) -> String {
    text.chars().map(|c| if c.is_control() || "<>()\\\";@".contains(c) { '?' } else { c }).collect()
}

/// What local(8) and virtual(8) write before the message; `original` is missing while
/// `enable_original_recipient = no`.
#[must_use]
pub fn delivery_headers(sender: &Address, original: Option<&Address>, recipient: &Address) -> String {
    let mut text = format!("Return-Path: <{sender}>\n");
    if let Some(original) = original {
        text.push_str(&format!("X-Original-To: {original}\n"));
    }
    text.push_str(&format!("Delivered-To: {recipient}\n"));
    text
}
