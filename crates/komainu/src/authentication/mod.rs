//! Who clients are: how a listener lets them log in, and whom it asks about their passwords.
//!
//! [`dovecot`] is Dovecot's authentication server. Which mechanism is offered is decided here, from what the backend
//! knows and the settings permit; the exchange in SMTP is `proto::smtp`'s, and `session::authenticate` brings the two
//! together. T0.2, T2.5.

pub mod dovecot;
mod memory;

use crate::clock;
use dovecot::AuthServers;
use mail::Mono;
use memory::Memory;
use policy::guessing::Guessing;
use proto::sasl::server::Options;
use std::io;
use std::net::IpAddr;
use std::path::Path;
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
    memory: Mutex<Memory>,
}

impl Authentication {
    /// With what an earlier server left in the state folder.
    ///
    /// # Errors
    /// Where that can't be read: then nobody has tried yet.
    pub fn new(servers: AuthServers, state: &Path) -> (Authentication, io::Result<()>) {
        let (memory, known, outcome) = Memory::open(state);
        // Each listener has its own longest wait.
        let mut guessing = Guessing::new(memory.hash(), Duration::MAX);
        if let Some((bytes, ago)) = known {
            guessing.recall(&bytes, ago, now());
        }
        let memory = Mutex::new(memory);
        (Authentication { servers, guessing: Arc::new(Mutex::new(guessing)), memory }, outcome)
    }

    /// Keeps what is known of guesses for the next server, where it has changed. It writes a file, and may wait for it.
    ///
    /// # Errors
    /// As of the file.
    pub fn remember(&self) -> io::Result<()> {
        let mut memory = self.memory.lock().unwrap_or_else(PoisonError::into_inner);
        let (bytes, changes) = {
            let guessing = self.guessing();
            if !memory.is_old(guessing.changes()) {
                return Ok(());
            }
            (guessing.remembered(now()), guessing.changes())
        };
        memory.keep(&bytes, changes, clock::now().wall)
    }

    /// What is known of guesses.
    pub fn guessing(&self) -> MutexGuard<'_, Guessing> {
        self.guessing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a log-in under way; `None` where its address has too many.
    #[must_use]
    pub fn begin(&self, client: IpAddr) -> Option<UnderWay> {
        let begun = self.guessing().begin(client, now());
        begun.then(|| UnderWay { guessing: Arc::clone(&self.guessing), client })
    }
}

/// The time as it is counted for guesses: what an earlier server knew lies before the start of this one.
#[must_use]
pub fn now() -> Mono {
    clock::now().mono + Duration::from_secs(60 * 24 * 3600)
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
        guessing.end(self.client, now());
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
