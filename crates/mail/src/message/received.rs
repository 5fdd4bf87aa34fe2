//! The headers that the server itself writes: `Received:` on the way in, `Return-Path:`, `X-Original-To:` and
//! `Delivered-To:` at delivery. RFC 5321 §4.4.
//!
//! `for <recipient>` stands there for one recipient only, so that nobody learns of another.

use crate::time::{self, Zone};
use crate::{Address, QueueId, Wall, host};
use std::fmt;
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
    /// What stands behind `with`.
    pub protocol: Protocol,
    /// The message's queue id; `None` where it has none here.
    pub id: Option<&'a QueueId>,
    /// The one recipient; `None` where there are several.
    pub recipient: Option<&'a Address>,
}

/// The protocol as `with` names it (RFC 3848, RFC 6531): `ESMTPSA`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Protocol {
    /// The client said EHLO.
    pub esmtp: bool,
    /// The session is encrypted.
    pub tls: bool,
    /// The client logged in.
    pub login: bool,
    /// `MAIL` had `SMTPUTF8`.
    pub smtputf8: bool,
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Protocol { esmtp: false, .. } => return f.write_str("SMTP"),
            Protocol { smtputf8: true, .. } => "UTF8SMTP",
            Protocol { .. } => "ESMTP",
        })?;
        f.write_str(if self.tls { "S" } else { "" })?;
        f.write_str(if self.login { "A" } else { "" })
    }
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
        text.push_str(&format!("\tby {} ({}) with {}", self.hostname, self.mail_name, self.protocol));
        if let Some(id) = self.id {
            text.push_str(&format!(" id {id}"));
        }
        let date = time::rfc5322(wall, zone);
        match self.recipient {
            Some(recipient) => text.push_str(&format!("\n\tfor <{recipient}>; {date}\n")),
            None => text.push_str(&format!(";\n\t{date}\n")),
        }
        text
    }
}

/// pickup's `Received:` of a message that a program of this machine handed in.
#[must_use]
pub fn local_received(
    (hostname, mail_name): (&str, &str),
    uid: u32,
    id: &QueueId,
    wall: Wall,
    zone: &Zone,
) -> String {
    let date = time::rfc5322(wall, zone);
    format!("Received: by {hostname} ({mail_name}, from userid {uid})\n\tid {id}; {date}\n")
}

/// The client's own words, with what has a meaning in headers replaced.
fn neuter(text: &str) -> String {
    text.chars().map(|c| if c.is_control() || "<>()\\\";@".contains(c) { '?' } else { c }).collect()
}

/// The first of these, without `Delivered-To:`.
#[must_use]
pub fn return_headers(sender: &Address, original: Option<&Address>) -> String {
    let mut text = format!("Return-Path: <{sender}>\n");
    if let Some(original) = original {
        text.push_str(&format!("X-Original-To: {original}\n"));
    }
    text
}

/// What local(8) and virtual(8) write before the message; `original` is missing while
/// `enable_original_recipient = no`.
#[must_use]
pub fn delivery_headers(sender: &Address, original: Option<&Address>, recipient: &Address) -> String {
    let mut text = return_headers(sender, original);
    text.push_str(&format!("Delivered-To: {recipient}\n"));
    text
}
