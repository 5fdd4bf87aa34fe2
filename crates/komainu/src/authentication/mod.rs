//! Who clients are: how a listener lets them log in, and whom it asks about their passwords.
//!
//! [`dovecot`] is Dovecot's authentication server, [`internal`] are users of our own, whose passwords [`hashing`] judges
//! on threads of its own. Which mechanism is offered is decided here, from what the backend
//! knows and the settings permit; the exchange in SMTP is `proto::smtp`'s, and `session::authenticate` brings the two
//! together. T0.2, T2.5.

pub mod dovecot;
pub mod hashing;
pub mod internal;
mod memory;
mod recent;
pub mod turns;

use crate::clock;
use crate::privileged::{Answer, Helper, Keeper, PasswordRequest, Request};
use crate::tls::apart::Apart;
use dovecot::AuthServers;
use hashing::{Busy, Hashing, Rank};
use internal::{Internal, UsersPlace};
use mail::Mono;
use memory::Memory;
use policy::guessing::{Attempt, Guessing};
use proto::sasl::scram::{Hash, Keys};
use proto::sasl::server::Options;
use recent::Recent;
use ring::hmac;
use std::io;
use std::net::IpAddr;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use std::time::Instant;
use tables::matching::{AddressList, StringList};
use turns::{Admission, Permit, Turns, UnderWay};
use users::Stored;
use users::stored::ScramSource;

/// Says a warning in the log.
pub type Warn = Box<dyn Fn(&str) + Send + Sync>;

/// Questions to PAM that are under way.
const PAM_AT_ONCE: usize = 8;

/// What the system says of a password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SystemVerdict {
    /// It is the account's.
    Right,
    /// It isn't, or the account may not come in: to be said after a pause; why, where the administrator should know.
    Wrong(Duration, Option<String>),
}

impl SystemVerdict {
    /// From the helper's words: milliseconds, and why.
    fn wrong(text: &str) -> SystemVerdict {
        let (pause, why) = text.split_once(' ').unwrap_or((text, ""));
        let pause = Duration::from_millis(pause.parse().unwrap_or(0));
        SystemVerdict::Wrong(pause, Some(why.to_owned()).filter(|why| !why.is_empty()))
    }
}

/// What all listeners share.
pub struct Authentication {
    /// Dovecot's servers.
    pub servers: AuthServers,
    /// Where passwords of our own users are judged.
    pub hashing: Hashing,
    /// Its modules wait for others, and the hashes of other users aren't to wait for that.
    waiting_for_pam: Hashing,
    recent: Recent,
    /// What makes keys that nobody has: the same for one name, and unknown to clients.
    nobody: hmac::Key,
    helper: Option<Helper>,
    turns: Turns,
    /// Where clients make handshakes of TLS whose network has logged nobody in of late.
    pub handshakes: Apart,
    memory: Mutex<Memory>,
}

impl Authentication {
    /// With what an earlier server left in the state folder. `helper` judges the system's accounts.
    ///
    /// # Errors
    /// Where that can't be read: then nobody has tried yet.
    pub fn new(
        servers: AuthServers,
        helper: Option<Helper>,
        state: &Path,
    ) -> (Authentication, io::Result<()>) {
        let (memory, known, outcome) = Memory::open(state);
        let mut guessing = Guessing::new(memory.hash());
        if let Some((bytes, ago)) = known {
            guessing.recall(&bytes, ago, now());
        }
        let authentication = Authentication {
            servers,
            hashing: Hashing::default(),
            waiting_for_pam: Hashing::new(PAM_AT_ONCE),
            recent: Recent::new(),
            nobody: nobody(),
            helper,
            turns: Turns::new(guessing),
            handshakes: Apart::default(),
            memory: Mutex::new(memory),
        };
        (authentication, outcome)
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

    /// Whether this is the password that is stored for `name`.
    ///
    /// # Errors
    /// [`Busy`].
    pub async fn judge(
        &self,
        who: (u64, Rank),
        (name, stored): (&str, Stored),
        password: Vec<u8>,
    ) -> Result<bool, Busy> {
        let tag = self.recent.tag((name, stored.text()), &password);
        if tag.is_some_and(|tag| self.recent.knows(tag, Instant::now())) {
            return Ok(true);
        }
        let cost = stored.cost().0;
        let right = self.hashing.judge(who, cost, move || stored.is_of(&password)).await?;
        if let Some(tag) = tag.filter(|_| right) {
            self.recent.keep(tag, Instant::now());
        }
        Ok(right)
    }

    /// What the privileged helper says of a password of the system's.
    ///
    /// # Errors
    /// Why nobody can say.
    pub async fn judge_system(
        &self,
        who: (u64, Rank),
        request: PasswordRequest,
    ) -> Result<SystemVerdict, String> {
        let Some(helper) = self.helper.clone() else {
            return Err("that takes a server that was started by root".to_owned());
        };
        let (keeper, queue) = match &request.keeper {
            Keeper::Shadow => ("shadow".to_owned(), &self.hashing),
            Keeper::Pam(service) => (format!("pam {service}"), &self.waiting_for_pam),
        };
        let (tell, told) = tokio::sync::oneshot::channel();
        let work = move || {
            let (answer, _) = helper.ask(&Request::Password(request), None);
            let is_right = matches!(answer, Answer::Done);
            // Whoever has gone doesn't hear it.
            let _ = tell.send(answer);
            is_right
        };
        queue.judge(who, keeper, work).await.map_err(|busy| busy.to_string())?;
        match told.await {
            Ok(Answer::Done | Answer::Said(_)) => Ok(SystemVerdict::Right),
            Ok(Answer::Permanent(text)) => Ok(SystemVerdict::wrong(&text)),
            Ok(Answer::Temporary(why)) => Err(why),
            Err(_) => Err(Busy.to_string()),
        }
    }

    /// SCRAM's keys for `name` as `source` has them, or somebody's who isn't there: by no means can a client tell.
    ///
    /// # Errors
    /// [`Busy`].
    pub async fn keys(
        &self,
        who: (u64, Rank),
        (name, hash): (&str, Hash),
        (source, genuine): (Option<ScramSource<'_>>, bool),
    ) -> Result<Keys, Busy> {
        let random = |what: &str| self.unknown(what, name);
        let (password, salt) = match source {
            Some(ScramSource::Keys(keys)) if genuine => return Ok(keys.clone()),
            Some(ScramSource::Password(password)) => (password, random("salt")),
            like => {
                let (rounds, length) = match like {
                    Some(ScramSource::Keys(keys)) => (keys.rounds, keys.salt.len()),
                    _ => (proto::sasl::scram::ROUNDS, 16),
                };
                let cut = |mut bytes: Vec<u8>, length| {
                    bytes.truncate(length);
                    bytes
                };
                let (stored, server) =
                    (cut(random("stored"), hash.bytes()), cut(random("server"), hash.bytes()));
                return Ok(Keys { hash, rounds, salt: cut(random("salt"), length), stored, server });
            }
        };
        let password = if genuine { prepared(password) } else { random("password") };
        let made = Arc::new(Mutex::new(None));
        let (cost, into) = (format!("scram {hash:?} {}", proto::sasl::scram::ROUNDS), Arc::clone(&made));
        let salt = salt.get(..16).unwrap_or_default().to_vec();
        let work = move || {
            let keys = Keys::derive(hash, &password, salt, proto::sasl::scram::ROUNDS);
            *into.lock().unwrap_or_else(PoisonError::into_inner) = Some(keys);
            true
        };
        self.hashing.judge(who, cost, work).await?;
        let keys = made.lock().unwrap_or_else(PoisonError::into_inner).take();
        keys.ok_or(Busy)
    }

    /// 32 bytes that belong to a name, and that nobody outside knows.
    #[must_use]
    pub fn unknown(&self, what: &str, name: &str) -> Vec<u8> {
        hmac::sign(&self.nobody, format!("{what}\0{name}").as_bytes()).as_ref().to_vec()
    }

    /// What is known of guesses.
    pub fn guessing(&self) -> MutexGuard<'_, Guessing> {
        self.turns.guessing()
    }

    /// Counts a log-in under way; `None` where its address has too many.
    #[must_use]
    pub fn begin(&self, client: IpAddr) -> Option<UnderWay> {
        self.turns.begin(client)
    }

    /// What becomes of a log-in, on a listener where nobody is to wait longer than `delay_max`.
    #[must_use]
    pub fn arrive(&self, attempt: &Attempt, delay_max: Duration) -> Admission {
        self.turns.arrive(attempt, delay_max)
    }

    /// A log-in that was tried before anybody knew whose it was.
    #[must_use]
    pub fn went(&self, attempt: &Attempt) -> Permit {
        self.turns.went(attempt)
    }
}

/// The time as it is counted for guesses: what an earlier server knew lies before the start of this one.
#[must_use]
pub fn now() -> Mono {
    clock::now().mono + Duration::from_secs(60 * 24 * 3600)
}

/// The key for what belongs to nobody: the machine's, so that it stays the same over restarts, as users' salts do.
fn nobody() -> hmac::Key {
    let machine = std::fs::read("/etc/machine-id").unwrap_or_default();
    let random = || {
        let mut bytes = vec![0; 32];
        // Without random bytes nothing else works either.
        let _ = ring::rand::SecureRandom::fill(&ring::rand::SystemRandom::new(), &mut bytes);
        bytes
    };
    let secret =
        if machine.len() < 16 { random() } else { [&machine, b" users of nobody".as_slice()].concat() };
    hmac::Key::new(hmac::HMAC_SHA256, &secret)
}

/// A password as clients of SCRAM say it (RFC 4013), where that can be done.
pub(crate) fn prepared(password: &[u8]) -> Vec<u8> {
    let text = std::str::from_utf8(password).ok();
    let prepared = text.and_then(|text| stringprep::saslprep(text).ok());
    prepared.map_or_else(|| password.to_vec(), |text| text.into_owned().into_bytes())
}

/// Who is asked about passwords (`smtpd_sasl_type`).
#[derive(Clone, Debug)]
pub enum Backend {
    /// Dovecot's server behind `smtpd_sasl_path`.
    Dovecot(String),
    /// Users of our own.
    Internal(Arc<Internal>),
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

impl Logins {
    /// Who is asked about passwords of the system's accounts.
    pub fn keepers(&self) -> impl Iterator<Item = &Keeper> {
        let places = self.internal().map(|internal| internal.places.iter()).into_iter().flatten();
        places.filter_map(|place| match place {
            UsersPlace::System(keeper) => Some(keeper),
            _ => None,
        })
    }

    /// The users of our own.
    #[must_use]
    pub fn internal(&self) -> Option<&Internal> {
        match &self.backend {
            Backend::Internal(internal) => Some(internal),
            _ => None,
        }
    }
}
