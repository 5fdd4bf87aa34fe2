//! Who clients are: how a listener lets them log in, and whom it asks about their passwords.
//!
//! [`dovecot`] is Dovecot's authentication server. Which mechanism is offered is decided here, from what the backend
//! knows and the settings permit; the exchange in SMTP is `proto::smtp`'s, and `session::authenticate` brings the two
//! together. T0.2, T2.5.

pub mod dovecot;

use dovecot::AuthServers;
use proto::sasl::server::Options;
use tables::matching::{AddressList, StringList};

/// Says a warning in the log.
pub type Warn = Box<dyn Fn(&str) + Send + Sync>;

/// What all listeners share.
pub struct Authentication {
    /// Dovecot's servers.
    pub servers: AuthServers,
}

/// Who is asked about passwords (`smtpd_sasl_type`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Backend {
    /// Dovecot's server behind `smtpd_sasl_path`.
    Dovecot(String),
    /// A type that isn't served: nobody can log in.
    None,
}

/// How one listener lets clients log in.
#[derive(Debug)]
pub struct Logins {
    /// Who is asked.
    pub backend: Backend,
    /// `smtpd_sasl_service`
    pub service: String,
    /// `smtpd_sasl_local_domain`
    pub local_domain: String,
    /// `smtpd_sasl_security_options`
    pub options: Options,
    /// `smtpd_sasl_tls_security_options`
    pub options_tls: Options,
    /// `smtpd_sasl_mechanism_filter`
    pub filter: StringList,
    /// `smtpd_sasl_exceptions_networks`
    pub exceptions: AddressList,
    /// `smtpd_sasl_authenticated_header`
    pub header: bool,
}
