//! What is known about a client and its mail at the moment of a decision: [`Transaction`].
//!
//! The driver owns it, fills it as the SMTP conversation goes on, and hands it to
//! [`Policy::decide`](crate::Policy::decide). It holds facts that cost nothing to know; whatever must be asked
//! (DNS, tables, policy servers) is a [`Question`](crate::Question) instead.

use mail::{Address, QueueId, Reply};
use std::net::IpAddr;

/// The lists of restrictions, in the order in which a session meets them (T2.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stage {
    /// `smtpd_client_restrictions`
    Client,
    /// `smtpd_helo_restrictions`
    Helo,
    /// `smtpd_sender_restrictions`
    Sender,
    /// `smtpd_relay_restrictions`
    Relay,
    /// `smtpd_recipient_restrictions`
    Recipient,
    /// `smtpd_data_restrictions`
    Data,
    /// `smtpd_end_of_data_restrictions`
    EndOfData,
    /// `smtpd_etrn_restrictions`
    Etrn,
}

/// The SMTP command at which we stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Request {
    /// Before the greeting.
    Connect,
    /// HELO or EHLO.
    Helo,
    /// MAIL FROM.
    Mail,
    /// RCPT TO.
    Rcpt,
    /// VRFY; its argument is the transaction's recipient.
    Vrfy,
    /// DATA, or the first BDAT.
    Data,
    /// The message has been received.
    EndOfData,
    /// ETRN; its argument is [`Transaction::etrn_domain`].
    Etrn,
}

/// How a name look-up of the client ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum NameStatus {
    /// There is a name (and for the verified name: it leads back to the address).
    Ok,
    /// There is none.
    #[default]
    Unknown,
    /// DNS gave no answer this time.
    Temporary,
    /// The name doesn't lead back to the address.
    Forged,
}

/// The other end of the connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Client {
    /// Its address; IPv4-mapped IPv6 addresses as IPv4.
    pub address: IpAddr,
    /// Its port.
    pub port: u16,
    /// The address it connected to.
    pub server_address: IpAddr,
    /// The port it connected to.
    pub server_port: u16,
    /// Its verified name, or `unknown`.
    pub name: String,
    /// How `name` came about.
    pub name_status: NameStatus,
    /// The name its address leads to, or `unknown`.
    pub reverse_name: String,
    /// How `reverse_name` came about.
    pub reverse_name_status: NameStatus,
}

/// Who logged in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sasl {
    /// `plain`, `login` …
    pub method: String,
    /// The name, with `@domain` where `smtpd_sasl_local_domain` is set.
    pub username: String,
    /// AUTH= of MAIL FROM.
    pub sender: String,
}

/// An encrypted session.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tls {
    /// `TLSv1.3`
    pub protocol: String,
    /// `TLS_AES_256_GCM_SHA384`
    pub cipher: String,
    /// In bits.
    pub keysize: u16,
    /// The server name that the client asked for.
    pub sni: String,
    /// What the client showed.
    pub certificate: Option<ClientCertificate>,
}

/// A client's certificate.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClientCertificate {
    /// The subject's common name.
    pub subject: String,
    /// The issuer's.
    pub issuer: String,
    /// `C2:9D:…`
    pub fingerprint: String,
    /// The same of the public key.
    pub public_key_fingerprint: String,
    /// Whether a trusted authority vouches for it.
    pub trusted: bool,
}

/// What an earlier stage leaves for later ones: a deferral in case the request would be permitted.
///
/// [`Decision::carried`](crate::Decision::carried) goes into [`Transaction::carried`] of the next decision.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Carried {
    /// From `smtpd_client_restrictions`.
    pub client: Option<Reply>,
    /// From these and `smtpd_helo_restrictions`.
    pub helo: Option<Reply>,
    /// From these and `smtpd_sender_restrictions`.
    pub sender: Option<Reply>,
}

impl Carried {
    /// For a transaction: nothing where there is nothing.
    #[must_use]
    pub fn boxed(self) -> Option<Box<Carried>> {
        (self != Carried::default()).then(|| Box::new(self))
    }
}

/// One client and its mail. What few clients have is in boxes: thousands may wait.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transaction {
    /// The other end.
    pub client: Client,
    /// `SMTP` or `ESMTP`; empty before HELO.
    pub protocol: &'static str,
    /// Whether the greeting was EHLO.
    pub ehlo: bool,
    /// The name in HELO or EHLO, if there was one.
    pub helo: Option<String>,
    /// MAIL FROM, if there was one.
    pub sender: Option<Address>,
    /// RCPT TO (or VRFY). At DATA and after it: set when there is exactly one accepted recipient.
    pub recipient: Option<Address>,
    /// Recipients accepted so far.
    pub recipient_count: u32,
    /// How many RCPT commands this transaction saw before this one.
    pub recipient_ordinal: u32,
    /// SIZE= of MAIL FROM, 0 where none was given.
    pub declared_size: u64,
    /// The message's size; `Some` once it is received.
    pub message_size: Option<u64>,
    /// What is dangerous in the message, once it is received and somebody has looked.
    pub danger: Option<Box<mail::attachment::Danger>>,
    /// The queue file's id, once there is one.
    pub queue_id: Option<QueueId>,
    /// The same for all requests of one message: policy servers see it.
    pub instance: String,
    /// ETRN's argument.
    pub etrn_domain: Option<String>,
    /// Set when the client has logged in.
    pub sasl: Option<Box<Sasl>>,
    /// Set when the session is encrypted.
    pub tls: Option<Box<Tls>>,
    /// Whether SMTPUTF8 was asked for.
    pub smtputf8: bool,
    /// Whether bytes from the client wait behind the present command.
    pub unread_input: bool,
    /// Whether the client was caught sending commands ahead of a reply that it had to wait for (T2.3).
    pub pipelining_violation: bool,
    /// Whether the service runs under stress: policy servers see it.
    pub stress: bool,
    /// From the session's earlier decisions.
    pub carried: Option<Box<Carried>>,
}

impl Stage {
    /// All of them, in the order of a session.
    pub const ALL: [Stage; 8] = [
        Stage::Client,
        Stage::Helo,
        Stage::Sender,
        Stage::Relay,
        Stage::Recipient,
        Stage::Data,
        Stage::EndOfData,
        Stage::Etrn,
    ];

    /// The parameter with this stage's list.
    #[must_use]
    pub const fn parameter(self) -> &'static str {
        match self {
            Stage::Client => "smtpd_client_restrictions",
            Stage::Helo => "smtpd_helo_restrictions",
            Stage::Sender => "smtpd_sender_restrictions",
            Stage::Relay => "smtpd_relay_restrictions",
            Stage::Recipient => "smtpd_recipient_restrictions",
            Stage::Data => "smtpd_data_restrictions",
            Stage::EndOfData => "smtpd_end_of_data_restrictions",
            Stage::Etrn => "smtpd_etrn_restrictions",
        }
    }
}

impl Request {
    /// The protocol state as policy servers see it and the log names it.
    #[must_use]
    pub const fn state(self, ehlo: bool) -> &'static str {
        match (self, ehlo) {
            (Request::Connect, _) => "CONNECT",
            (Request::Helo, false) => "HELO",
            (Request::Helo, true) => "EHLO",
            (Request::Mail, _) => "MAIL",
            (Request::Rcpt, _) => "RCPT",
            (Request::Vrfy, _) => "VRFY",
            (Request::Data, _) => "DATA",
            (Request::EndOfData, _) => "END-OF-MESSAGE",
            (Request::Etrn, _) => "ETRN",
        }
    }
}

impl Client {
    /// A client whose names are not known.
    #[must_use]
    pub fn unnamed(address: IpAddr, port: u16, server_address: IpAddr, server_port: u16) -> Client {
        Client {
            address,
            port,
            server_address,
            server_port,
            name: UNKNOWN.to_owned(),
            name_status: NameStatus::Unknown,
            reverse_name: UNKNOWN.to_owned(),
            reverse_name_status: NameStatus::Unknown,
        }
    }
}

/// What stands where a client has no name.
pub const UNKNOWN: &str = "unknown";

impl Transaction {
    /// A session that has just begun.
    #[must_use]
    pub fn new(client: Client) -> Transaction {
        Transaction {
            client,
            protocol: "",
            ehlo: false,
            helo: None,
            sender: None,
            recipient: None,
            recipient_count: 0,
            recipient_ordinal: 0,
            declared_size: 0,
            message_size: None,
            danger: None,
            queue_id: None,
            instance: String::new(),
            etrn_domain: None,
            sasl: None,
            tls: None,
            smtputf8: false,
            unread_input: false,
            pipelining_violation: false,
            stress: false,
            carried: None,
        }
    }
}
