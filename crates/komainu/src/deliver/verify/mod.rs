//! Address verification: verify(8) inside the server.
//!
//! A session that wants to know asks [`Verifier::verify`], and waits for as long as `address_verify_poll_count` looks
//! with pauses of `address_verify_poll_delay` would take; it hears earlier where the answer comes earlier. What is known
//! is in memory and, where `address_verify_map` names a table, in a file of the state folder ([`keeper`]). A probe
//! ([`probe`]) is no message: it takes the way that a message would take, and nothing of it is ever in the spool, so
//! that it can't be delivered, bounced or deferred, and a flood of made-up addresses fills no queue: it waits here, and
//! what is too much isn't probed. What counts for how long is `policy::verification`.

mod keeper;
mod probe;

pub(super) use probe::try_out;

use super::agent::Agents;
use super::manager::{QueueHandle, Routing};
use crate::clock;
use crate::facts::Answers;
use crate::kept_rows::Keeper;
use crate::log::Log;
use config::Parameters;
use events::Event;
use mail::Address;
use policy::Verified;
use policy::address::{AddressClasses, Routes};
use policy::verification::{Limits, Memory, ProbeSender};
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, RwLock};
use std::time::Duration;
use tables::Catalogue;
use tokio::sync::{Notify, Semaphore};

/// Probes that speak to somebody at the same time; the others wait for their turn.
const PROBES_MAX: usize = 100;
/// Of these, those of one destination: `default_destination_concurrency_limit`'s usual value.
const PROBES_PER_DESTINATION_MAX: usize = 20;

/// What main.cf says about probes.
#[derive(Clone, Debug)]
pub struct Probing {
    limits: Limits,
    sender: ProbeSender,
    routes: Routes,
    /// `address_verify_map`; empty for memory only.
    map: String,
    /// `address_verify_cache_cleanup_interval`; `None` for never.
    cleanup: Option<Duration>,
}

impl Probing {
    /// Reads the parameters; tables are added to `catalogue`.
    #[must_use]
    pub fn compile(p: &Parameters, catalogue: &mut Catalogue, classes: &AddressClasses) -> Probing {
        let cleanup = p.duration("address_verify_cache_cleanup_interval");
        Probing {
            limits: Limits::read(p),
            sender: ProbeSender::compile(p, classes),
            routes: Routes::of_probes(p, catalogue),
            map: p.text("address_verify_map").value,
            cleanup: (!cleanup.is_zero()).then_some(cleanup),
        }
    }
}

/// What the verifier stands on.
pub struct Ground {
    /// What deliveries need.
    pub agents: Arc<Agents>,
    /// The configuration in force.
    pub routing: Arc<RwLock<Arc<Routing>>>,
    /// Names, and tables behind sockets.
    pub answers: Arc<Answers>,
    /// Where lines go.
    pub log: Log,
    /// The queue, for deliveries that would put mail into it.
    pub queue: QueueHandle,
    /// Where its file is.
    pub folder: PathBuf,
}

/// Who knows whether addresses are deliverable, and finds out.
pub struct Verifier {
    ground: Ground,
    memory: Arc<Mutex<Memory>>,
    /// Who waits for a probe.
    bells: Mutex<HashMap<String, Arc<Notify>>>,
    keeper: OnceLock<Keeper>,
    turns: Semaphore,
    destinations: Mutex<HashMap<String, Arc<Semaphore>>>,
    /// For queue ids of probes, of which there is no number in the spool.
    probes: AtomicU64,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Verifier {
    /// Nothing is opened before it is asked for the first time.
    #[must_use]
    pub fn new(ground: Ground) -> Arc<Verifier> {
        Arc::new(Verifier {
            ground,
            memory: Arc::default(),
            bells: Mutex::default(),
            keeper: OnceLock::new(),
            turns: Semaphore::new(PROBES_MAX),
            destinations: Mutex::default(),
            probes: AtomicU64::default(),
        })
    }

    /// What is known of an address as it was given, after so many looks with a pause between two.
    pub async fn verify(
        self: &Arc<Verifier>,
        address: &Address,
        (polls, pause): (u32, Duration),
    ) -> Verified {
        self.open().await;
        let key = address.as_str();
        let mut looks = 0;
        loop {
            let limits = self.routing().probing.limits.clone();
            let asked = lock(&self.memory).ask(key, &limits, clock::now().wall);
            if asked.probe {
                self.begin(address.clone());
            }
            if let Some(known) = asked.known {
                return known;
            }
            looks += 1;
            if looks >= polls {
                return Verified::in_progress();
            }
            if let Some(known) = self.wait(key, &limits, pause).await {
                return known;
            }
        }
    }

    /// Waits for a probe's end, and for the pause's where nothing is known then.
    async fn wait(&self, key: &str, limits: &Limits, pause: Duration) -> Option<Verified> {
        let over = tokio::time::sleep(pause);
        tokio::pin!(over);
        let bell = lock(&self.bells).get(key).cloned();
        if let Some(bell) = bell {
            let rung = bell.notified();
            tokio::pin!(rung);
            rung.as_mut().enable();
            // It may have rung before anybody listened.
            let is_over = !lock(&self.bells).contains_key(key);
            if !is_over {
                tokio::select! {
                    () = &mut rung => {}
                    () = &mut over => return None,
                }
            }
        }
        let known = lock(&self.memory).known(key, limits, clock::now().wall);
        if known.is_none() {
            over.await;
        }
        known
    }

    fn routing(&self) -> Arc<Routing> {
        Arc::clone(&self.ground.routing.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Reads the file, where there is one. Says what there is, as verify(8) does when it starts.
    async fn open(self: &Arc<Verifier>) {
        if self.keeper.get().is_some() {
            return;
        }
        let verifier = Arc::clone(self);
        let opened = tokio::task::spawn_blocking(move || {
            verifier.keeper.get_or_init(|| {
                let routing = verifier.routing();
                let program = format!("{}/verify", routing.syslog_name);
                let log = (verifier.ground.log.clone(), program);
                keeper::open(&routing.probing, &verifier.ground.folder, &verifier.memory, log)
            });
        });
        // Without it everything is in memory.
        let _ = opened.await;
    }

    /// Waits until what is known is on the disk.
    pub fn flush(&self) {
        if let Some(keeper) = self.keeper.get() {
            keeper.flush();
        }
    }

    fn begin(self: &Arc<Verifier>, address: Address) {
        let key = address.as_str().to_owned();
        lock(&self.bells).entry(key.clone()).or_default();
        let verifier = Arc::clone(self);
        tokio::spawn(async move {
            let prober = Arc::clone(&verifier);
            // A probe that ends early is none.
            let probed = tokio::spawn(async move { prober.probe(&address).await }).await;
            let told = probed.unwrap_or_else(|_| Verified::in_progress());
            let limits = verifier.routing().probing.limits.clone();
            let row = lock(&verifier.memory).tell(&key, told, &limits, clock::now().wall);
            if let (Some(row), Some(keeper)) = (row, verifier.keeper.get()) {
                keeper.keep(row.encode(&key));
            }
            if let Some(bell) = lock(&verifier.bells).remove(&key) {
                bell.notify_waiters();
            }
        });
    }

    fn say(&self, program: &str, event: impl Into<Event<'static>>) {
        self.ground.log.write(&format!("{}/{program}", self.routing().syslog_name), event.into());
    }
}
