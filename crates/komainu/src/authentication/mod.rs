//! Who clients are: how a listener lets them log in, and whom it asks about their passwords.
//!
//! [`dovecot`] is Dovecot's authentication server. Which mechanism is offered is decided here, from what the backend
//! knows and the settings permit; the exchange in SMTP is `proto::smtp`'s, and `session::authenticate` brings the two
//! together. T0.2, T2.5.

pub mod dovecot;

use crate::clock;
use dovecot::AuthServers;
use policy::guessing::Guessing;
use proto::sasl::server::Options;
use std::hash::RandomState;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tables::matching::{AddressList, StringList};

/// Says a warning in the log.
pub type Warn = Box<dyn Fn(&str) + Send + Sync>;

/// What all listeners share.
pub struct Authentication {
    /// Dovecot's servers.
    pub servers: AuthServers,
    guessing: Arc<Mutex<Guessing>>,
}

impl Authentication {
    /// Nobody has tried yet.
    #[must_use]
    pub fn new(servers: AuthServers) -> Authentication {
        // Each listener has its own longest wait.
        let guessing = Guessing::new(RandomState::new(), Duration::MAX);
        Authentication { servers, guessing: Arc::new(Mutex::new(guessing)) }
    }

    /// What is known of guesses.
    pub fn guessing(&self) -> MutexGuard<'_, Guessing> {
        self.guessing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a log-in under way; `None` where its address has too many.
    #[must_use]
    pub fn begin(&self, client: IpAddr) -> Option<UnderWay> {
        let begun = self.guessing().begin(client, clock::now().mono);
        begun.then(|| UnderWay { guessing: Arc::clone(&self.guessing), client })
    }
}

/// A log-in that is counted as under way. Dropping it counts it out, however it ended.
#[derive(Debug)]
pub struct UnderWay {
    guessing: Arc<Mutex<Guessing>>,
    client: IpAddr,
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        let mut guessing = self.guessing.lock().unwrap_or_else(PoisonError::into_inner);
        guessing.end(self.client, clock::now().mono);
    }
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
    /// `komainu_auth_delay_max`; zero where guessing isn't minded.
    pub delay_max: Duration,
    /// `smtpd_sasl_authenticated_header`
    pub header: bool,
}
