//! The running house: listeners, the configuration in force, and changing it without dropping anybody.
//!
//! A reload loads everything anew. With an error anywhere it is refused whole and the old one stays in
//! force; else new sessions get the new policy, and those in progress keep theirs (T0.6).

use super::listen::{self, Sockets};
use super::start::{self, Options};
use super::{Generation, Spawned, watch, zones};
use crate::configuration::{HelperSources, has_errors};
use crate::deliver::manager::Routing;
use crate::privileged::{Helper, Request};
use crate::session::{Service, Shared};
use config::{Diagnostic, Parameters, Severity};
use events::daemon::Message;
use events::own::{Matter, Own};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;
use tokio::task::JoinHandle;

/// Who speaks of the server as a whole.
const MASTER: &str = "postfix/master";
/// How long sessions may take to end when the server stops.
const FAREWELL: Duration = Duration::from_secs(10);

struct Open {
    service: Arc<RwLock<Service>>,
    accepting: JoinHandle<()>,
}

/// Everything that a reload may change.
pub(super) struct House {
    options: Options,
    shared: Arc<Shared>,
    routing: Arc<RwLock<Arc<Routing>>>,
    helper: Option<Helper>,
    spawned: Spawned,
    sockets: Sockets,
    guests: listen::House,
    open: BTreeMap<SocketAddr, Open>,
    generation: Option<Generation>,
    watch: Option<watch::Watch>,
    prober: Option<JoinHandle<()>>,
}

/// Reads with the server's own rights and, where that isn't enough, by the helper.
pub(super) fn sources(helper: &Option<Helper>) -> HelperSources {
    HelperSources { helper: helper.clone() }
}

impl House {
    pub(super) fn new(
        options: Options,
        shared: Arc<Shared>,
        routing: Arc<RwLock<Arc<Routing>>>,
        (helper, spawned): (Option<Helper>, Spawned),
        sockets: Sockets,
    ) -> House {
        House {
            options,
            shared,
            routing,
            helper,
            spawned,
            sockets,
            guests: listen::House::default(),
            open: BTreeMap::new(),
            generation: None,
            watch: None,
            prober: None,
        }
    }

    /// Puts a generation in force: listeners that stay get its policy, new ones open, others close.
    pub(super) fn open(&mut self, generation: Generation) {
        self.say_all(&generation.found);
        *self.routing.write().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&generation.routing);
        self.spawned.write().unwrap_or_else(PoisonError::into_inner).clone_from(&generation.spawned);
        let mut wanted: BTreeMap<SocketAddr, Service> = BTreeMap::new();
        for service in &generation.services {
            for address in &service.listener.addresses {
                wanted.insert(*address, service.clone());
            }
        }
        self.open.retain(|address, open| {
            let stays = wanted.contains_key(address);
            if !stays {
                open.accepting.abort();
            }
            stays
        });
        for (address, service) in wanted {
            match self.open.get(&address) {
                Some(open) => *open.service.write().unwrap_or_else(PoisonError::into_inner) = service,
                None => self.open_one(address, service),
            }
        }
        self.watch = watch::Watch::start(&generation.files, &self.shared.log);
        if let Some(prober) = self.prober.take() {
            prober.abort();
        }
        if generation.dnsbl_health && !generation.zones.is_empty() {
            let probing = zones::probe_all(generation.zones.clone(), Arc::clone(&self.shared.answers), self.shared.log.clone());
            self.prober = Some(tokio::spawn(probing));
        }
        self.generation = Some(generation);
    }

    fn open_one(&mut self, address: SocketAddr, service: Service) {
        let socket = match self.sockets.take(address) {
            Some(socket) => socket,
            None => match listen::bind_or_ask(address, self.helper.as_ref()) {
                Ok(socket) => socket,
                Err(error) => {
                    // At start-up a missing IPv6 was passed over in the same way.
                    if address.is_ipv4() {
                        self.shared.log.write(MASTER, Message::error(format!("listen on {address}: {error}")));
                    }
                    return;
                }
            },
        };
        let service = Arc::new(RwLock::new(service));
        let accepting =
            listen::accept(socket, Arc::clone(&service), Arc::clone(&self.shared), self.guests.clone());
        self.open.insert(address, Open { service, accepting: tokio::spawn(accepting) });
    }

    /// Says that the server is ready, to systemd and to the log.
    pub(super) fn announce(&self, p: &Parameters) {
        let _ = sd_notify::notify(&[sd_notify::NotifyState::Ready]);
        let directory = self.options.config.as_ref().map_or_else(|| "(built in)".to_owned(), |path| path.display().to_string());
        let text = format!("daemon started -- version {}, configuration {directory}", p.text("mail_version").value);
        self.shared.log.write(MASTER, events::Event::Other(text.into()));
    }

    /// SIGHUP, `postfix reload`: loads the configuration anew, and opens log files anew.
    pub(super) async fn reload(&mut self) {
        self.shared.log.reopen();
        let _ = sd_notify::notify(&[sd_notify::NotifyState::Reloading]);
        if let Some(helper) = self.helper.clone() {
            let asked = tokio::task::spawn_blocking(move || helper.ask(&Request::Reload, None)).await;
            drop(asked);
        }
        let (options, sources) = (self.options.clone(), sources(&self.helper));
        let before = self.generation.as_ref().map(|generation| Arc::clone(&generation.live));
        let loading = tokio::task::spawn_blocking(move || {
            let (configuration, found) = start::load(&options, &sources);
            if has_errors(&found) { Err(found) } else { Ok((Generation::new(configuration, before.as_deref(), &sources), found)) }
        });
        match loading.await {
            Ok(Ok((generation, found))) => {
                self.say_all(&found);
                self.open(generation);
                let directory = self.directory();
                let text = format!("{} listeners", self.open.len());
                self.shared.log.write(MASTER, Own::new(Matter::Reloaded, directory, text));
            }
            Ok(Err(found)) => {
                self.say_all(&found);
                let text = "it has errors; the configuration before stays in force".to_owned();
                self.shared.log.write(MASTER, Own::new(Matter::ReloadRefused, self.directory(), text));
            }
            Err(_) => {
                let text = "reading it failed; the configuration before stays in force".to_owned();
                self.shared.log.write(MASTER, Own::new(Matter::ReloadRefused, self.directory(), text));
            }
        }
        let _ = sd_notify::notify(&[sd_notify::NotifyState::Ready]);
    }

    fn directory(&self) -> String {
        self.options.config.as_ref().map_or_else(|| "(built in)".to_owned(), |path| path.display().to_string())
    }

    /// Waits until files of the configuration have changed and are quiet again.
    pub(super) async fn changed(&mut self) -> Vec<PathBuf> {
        match &mut self.watch {
            Some(watch) => watch.changed().await,
            None => std::future::pending().await,
        }
    }

    /// Tables are compiled anew; main.cf and master.cf mean a reload where that is wanted.
    pub(super) async fn files_changed(&mut self, changed: Vec<PathBuf>) {
        let Some(generation) = &self.generation else { return };
        let tables = generation.live.paths();
        let is_table = |path: &PathBuf| tables.contains(path);
        if changed.iter().any(|path| !is_table(path)) {
            if generation.auto_reload {
                self.reload().await;
            }
            return;
        }
        let (live, sources) = (Arc::clone(&generation.live), sources(&self.helper));
        let paths = changed.clone();
        let found = tokio::task::spawn_blocking(move || live.recompile(&paths, &sources)).await.unwrap_or_default();
        self.say_all(&found);
        for path in changed {
            let kept = found.iter().any(|d| d.severity == Severity::Error && d.place.path() == Some(&path));
            if !kept {
                let subject = path.display().to_string();
                self.shared.log.write(MASTER, Own::new(Matter::TableReloaded, subject, "live"));
            }
        }
    }

    fn say_all(&self, found: &[Diagnostic]) {
        for diagnostic in found {
            let message = match diagnostic.severity {
                Severity::Error => Message::error(diagnostic.to_string()),
                Severity::Warning => Message::warning(diagnostic.to_string()),
                Severity::Hint => continue,
            };
            self.shared.log.write(MASTER, message);
        }
    }

    /// Takes no more clients, and gives the sessions a moment to end.
    pub(super) async fn close(&mut self) {
        let _ = sd_notify::notify(&[sd_notify::NotifyState::Stopping]);
        for open in self.open.values() {
            open.accepting.abort();
        }
        let deadline = tokio::time::Instant::now() + FAREWELL;
        while self.guests.busy() && tokio::time::Instant::now() < deadline {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        self.shared.log.write(MASTER, events::Event::Other("terminating on signal 15".into()));
    }
}
