//! The running house: listeners, the configuration in force, and changing it without dropping anybody.
//!
//! A reload loads everything anew. With an error anywhere it is refused whole and the old one stays in
//! force; else new sessions get the new policy, and those in progress keep theirs (T0.6).

use super::listen::{self, Sockets};
use super::start::{self, Options};
use super::{Assembly, Generation, ServeError, bans, certificates, watch};
use crate::authentication::internal::UsersInForce;
use crate::configuration::{HelperSources, Listener, has_errors, with_whitelists};
use crate::privileged::{Helper, Request};
use crate::session::{Service, Shared};
use config::{Diagnostic, Parameters};
use events::daemon::Message;
use events::own::{Matter, Own};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, SystemTime};
use tables::sources::PASSWD;
use tokio::task::JoinHandle;

/// Who speaks of the server as a whole.
const MASTER: &str = "postfix/master";
/// How long sessions, and then deliveries, may take to end when the server stops.
const FAREWELL: Duration = Duration::from_secs(5);
/// Deliveries under way get so long to be done, and so long again once they are cut short.
const PATIENCE: Duration = Duration::from_secs(3);
const LAST_PATIENCE: Duration = Duration::from_millis(1_500);

struct Open {
    service: Arc<RwLock<Service>>,
    accepting: JoinHandle<()>,
}

/// Everything that a reload may change.
pub(super) struct House {
    options: Options,
    assembly: Assembly,
    sockets: Sockets,
    open: BTreeMap<SocketAddr, Open>,
    watch: Option<watch::Watch>,
    users: UsersInForce,
    bans: Option<bans::Running>,
}

/// Reads with the server's own rights and, where that isn't enough, by the helper.
pub(super) fn sources(helper: &Option<Helper>) -> HelperSources {
    HelperSources { helper: helper.clone() }
}

/// Whether `diagnostic` says that the table made of `path` stays as it was.
fn is_kept(diagnostic: &Diagnostic, path: &str) -> bool {
    use tables::source::notice::{HELD_BACK, KEPT_LAST_GOOD};
    [HELD_BACK, KEPT_LAST_GOOD].contains(&diagnostic.code.0) && diagnostic.message.contains(path)
}

fn remember(shared: &Shared) {
    if let Err(error) = shared.authentication.remember() {
        let text = format!("what is known of guesses can't be kept for a restart: {error}");
        shared.log.write(MASTER, Message::warning(text));
    }
}

impl House {
    /// Opens the ports of what is assembled.
    /// The configuration's files were read from `since` on.
    pub(super) async fn new(
        options: Options,
        assembly: Assembly,
        sockets: Sockets,
        (since, bans): (SystemTime, Option<bans::Running>),
    ) -> House {
        let (open, users) = (BTreeMap::new(), UsersInForce::default());
        let mut house = House { options, assembly, sockets, open, watch: None, users, bans };
        house.listen(since).await;
        house
    }

    /// Puts a generation in force: listeners that stay get its policy, new ones open, others close.
    async fn open(&mut self, generation: Generation, since: SystemTime) {
        self.assembly.open(generation);
        self.listen(since).await;
    }

    async fn listen(&mut self, since: SystemTime) {
        let logins = self.assembly.services().iter().filter_map(|service| service.listener.logins.as_ref());
        let users = logins.filter_map(|logins| logins.internal());
        self.users.take_up(users.flat_map(|internal| internal.files()));
        let mut wanted: BTreeMap<SocketAddr, Service> = BTreeMap::new();
        for service in self.assembly.services() {
            for address in &service.listener.addresses {
                wanted.insert(*address, service.clone());
            }
        }
        let closed: Vec<Open> = self
            .open
            .extract_if(.., |address, _| !wanted.contains_key(address))
            .map(|(_, open)| open)
            .collect();
        for open in closed {
            open.accepting.abort();
            // The port is free once the task is gone; another listener may want it.
            let _ = open.accepting.await;
        }
        for (address, service) in wanted {
            match self.open.get(&address) {
                Some(open) => *open.service.write().unwrap_or_else(PoisonError::into_inner) = service,
                None => self.open_one(address, service),
            }
        }
        let (log, helper) = (&self.assembly.shared.log, self.assembly.helper.clone());
        self.watch = watch::Watch::start(&self.assembly.generation.files, since, log, helper);
    }

    fn open_one(&mut self, address: SocketAddr, service: Service) {
        let socket = match self.sockets.take(address) {
            Some(socket) => socket,
            None => match listen::bind_or_ask(address, self.assembly.helper.as_ref()) {
                Ok(socket) => socket,
                Err(error) => {
                    // At start-up a missing IPv6 was passed over in the same way.
                    if address.is_ipv4() {
                        self.assembly
                            .shared
                            .log
                            .write(MASTER, Message::error(format!("listen on {address}: {error}")));
                    }
                    return;
                }
            },
        };
        let service = Arc::new(RwLock::new(service));
        let accepting = listen::accept(socket, Arc::clone(&service), Arc::clone(&self.assembly.shared));
        self.open.insert(address, Open { service, accepting: tokio::spawn(accepting) });
    }

    /// Says that the server is ready, to systemd and to the log.
    pub(super) fn announce(&self, p: &Parameters) {
        let _ = sd_notify::notify(&[sd_notify::NotifyState::Ready]);
        let directory = self
            .options
            .config
            .as_ref()
            .map_or_else(|| "(built in)".to_owned(), |path| path.display().to_string());
        let text =
            format!("daemon started -- version {}, configuration {directory}", p.text("mail_version").value);
        self.assembly.shared.log.write(MASTER, events::Event::Other(text.into()));
        if let Some(hint) = listen::backlog_hint() {
            self.assembly.shared.log.write(MASTER, Message::warning(hint));
        }
    }

    /// SIGHUP, `postfix reload`: loads the configuration anew, and opens log files anew.
    pub(super) async fn reload(&mut self) {
        self.assembly.shared.log.reopen();
        let _ = sd_notify::notify(&[sd_notify::NotifyState::Reloading]);
        if let Some(helper) = self.assembly.helper.clone() {
            let asked = tokio::task::spawn_blocking(move || helper.ask(&Request::Reload, None)).await;
            drop(asked);
        }
        let since = SystemTime::now();
        let (options, sources) = (self.options.clone(), sources(&self.assembly.helper));
        let before = Arc::clone(&self.assembly.generation.live);
        let services: Vec<Service> = self.assembly.services().to_vec();
        let loading = tokio::task::spawn_blocking(move || {
            let (mut configuration, mut found) = start::load(&options, &sources);
            let running: Vec<&Listener> = services.iter().map(|service| service.listener.as_ref()).collect();
            configuration.keep_certificates(&running, &mut found);
            if has_errors(&found) {
                Err(found)
            } else {
                Ok((Generation::new(configuration, Some(&before), (&sources, Path::new(PASSWD))), found))
            }
        });
        match loading.await {
            Ok(Ok((generation, found))) => {
                self.assembly.say_all(&found);
                self.open(generation, since).await;
                self.reload_bans();
                self.remind();
                let directory = self.directory();
                let text = format!("{} listeners", self.open.len());
                self.assembly.shared.log.write(MASTER, Own::new(Matter::Reloaded, directory, text));
            }
            Ok(Err(found)) => {
                self.assembly.say_all(&found);
                let text = "it has errors; the configuration before stays in force".to_owned();
                self.assembly
                    .shared
                    .log
                    .write(MASTER, Own::new(Matter::ReloadRefused, self.directory(), text));
            }
            Err(_) => {
                let text = "reading it failed; the configuration before stays in force".to_owned();
                self.assembly
                    .shared
                    .log
                    .write(MASTER, Own::new(Matter::ReloadRefused, self.directory(), text));
            }
        }
        let _ = sd_notify::notify(&[sd_notify::NotifyState::Ready]);
    }

    /// The jails as their files say now; mail doesn't depend on it.
    fn reload_bans(&self) {
        let (wanted, log) = (self.assembly.generation.bans.as_ref(), &self.assembly.shared.log);
        match (&self.bans, wanted) {
            (Some(running), wanted) => tokio::task::block_in_place(|| running.reload(wanted, log)),
            (None, Some(_)) => {
                let text = "K0677: no jail runs: that takes a restart";
                log.write(bans::PROGRAM, Message::warning(text));
            }
            (None, None) => {}
        }
    }

    /// Ends the jails.
    pub(super) fn end_bans(&mut self) {
        if let Some(bans) = self.bans.take() {
            bans.stop();
        }
    }

    fn directory(&self) -> String {
        self.options
            .config
            .as_ref()
            .map_or_else(|| "(built in)".to_owned(), |path| path.display().to_string())
    }

    /// Tells of certificates that end soon.
    pub(super) fn remind(&self) {
        let now = crate::clock::now().wall;
        for text in certificates::ending(self.assembly.services().iter(), now) {
            self.assembly.shared.log.write(MASTER, Message::warning(text));
        }
    }

    /// Keeps what a next server should know of guesses.
    pub(super) fn remember(&self) {
        remember(&self.assembly.shared());
    }

    /// The same, while the server goes on.
    pub(super) fn remember_aside(&self) {
        let shared = self.assembly.shared();
        tokio::task::spawn_blocking(move || remember(&shared));
    }

    /// Whether all that the server needs is there. The helper can't be had again: this process has no rights to
    /// start another, so whoever supervises it must start it anew.
    pub(super) fn is_whole(&self) -> bool {
        self.assembly.helper.as_ref().is_none_or(Helper::is_alive)
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
        let generation = &self.assembly.generation;
        let mut tables = generation.live.paths();
        let (users, kept) = self.reread_users(&changed);
        tables.extend(users);
        tables.extend(self.reread_whitelists(&changed));
        let generation = &self.assembly.generation;
        let is_table = |path: &PathBuf| tables.contains(path);
        if generation.auto_reload && changed.iter().any(|path| !is_table(path)) {
            self.reload().await;
            return;
        }
        let changed: Vec<PathBuf> =
            changed.into_iter().filter(is_table).filter(|path| !kept.contains(path)).collect();
        if changed.is_empty() {
            return;
        }
        let (live, sources) = (Arc::clone(&generation.live), sources(&self.assembly.helper));
        let paths = changed.clone();
        let found =
            tokio::task::spawn_blocking(move || live.recompile(&paths, &sources)).await.unwrap_or_default();
        self.assembly.say_all(&found);
        for path in changed {
            let subject = path.display().to_string();
            if !found.iter().any(|diagnostic| is_kept(diagnostic, &subject)) {
                self.assembly.shared.log.write(MASTER, Own::new(Matter::TableReloaded, subject, "live"));
            }
        }
    }

    /// Users' files that have changed are read again, for sessions in progress too: whoever was shut out is out. Says
    /// which are users' files, and which of them can't be read.
    fn reread_users(&self, changed: &[PathBuf]) -> (Vec<PathBuf>, Vec<PathBuf>) {
        let sources = sources(&self.assembly.helper);
        let (mut known, mut kept) = (Vec::new(), Vec::new());
        for service in self.assembly.services() {
            let internal = service.listener.logins.as_ref().and_then(|logins| logins.internal());
            for file in internal.iter().flat_map(|internal| internal.files()) {
                let is_new = !known.contains(&file.path);
                known.push(file.path.clone());
                // All services see the same users.
                if !is_new || !changed.contains(&file.path) {
                    continue;
                }
                match tokio::task::block_in_place(|| file.reread(&sources)) {
                    Ok(found) => self.assembly.say_all(&found),
                    Err(error) => {
                        kept.push(file.path.clone());
                        let text = format!("{error}; users stay as they were");
                        self.assembly.shared.log.write(MASTER, Message::warning(text));
                    }
                }
            }
        }
        (known, kept)
    }

    /// Postgrey's whitelists that have changed are in force at once. Says which files they are.
    fn reread_whitelists(&mut self, changed: &[PathBuf]) -> Vec<PathBuf> {
        let Some(rules) = self.assembly.generation.greylist.clone() else { return Vec::new() };
        let files = rules.options.client_files().into_iter().chain(rules.options.recipient_files());
        let files: Vec<PathBuf> = files.map(|(path, _)| path).collect();
        if files.iter().any(|path| changed.contains(path)) {
            let sources = sources(&self.assembly.helper);
            let reread = || with_whitelists(rules.options.clone(), &sources);
            let (rules, found) = tokio::task::block_in_place(reread);
            self.assembly.say_all(&found);
            self.assembly.generation.greylist = Some(Arc::new(rules));
            self.assembly.shared.answers.greylister.set(self.assembly.generation.greylist.clone());
        }
        files
    }

    /// Takes no more clients, and gives the sessions a moment to end.
    pub(super) async fn close(&self, outcome: &Result<(), ServeError>) {
        let _ = sd_notify::notify(&[sd_notify::NotifyState::Stopping]);
        for open in self.open.values() {
            open.accepting.abort();
        }
        let shared = &self.assembly.shared;
        shared.house.close();
        let deadline = tokio::time::Instant::now() + FAREWELL;
        while shared.house.taken() > 0 && tokio::time::Instant::now() < deadline {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let mut drained = std::pin::pin!(shared.queue.drain());
        if tokio::time::timeout(PATIENCE, &mut drained).await.is_err() {
            self.assembly.cut_deliveries_short();
            // One that takes longer still is made again by the next server.
            let _ = tokio::time::timeout(LAST_PATIENCE, drained).await;
        }
        self.remember();
        self.assembly.say_last_statistics();
        self.assembly.shared.log.write(
            MASTER,
            match outcome {
                Ok(()) => events::Event::Other("terminating on signal 15".into()),
                Err(error) => Message::fatal(error.to_string()).into(),
            },
        );
    }
}
