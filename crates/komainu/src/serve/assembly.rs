//! A server without its ports and signals: what sessions and deliveries need, put together once.
//!
//! `komainu serve` adds sockets, a file watch and signals to it; the dialogue tests talk to its sessions over
//! memory. There is one wiring, so both are the same server. What differs between them (names, disk, accounts)
//! comes in as [`Ground`].

use super::control;
use super::statistics::{Reporter, ZoneReporter};
use super::{Counting, Generation, ServeError, Spawned, open_spool, spawner, warner, zones};
use crate::authentication::Authentication;
use crate::authentication::dovecot::AuthServers;
use crate::configuration::Configuration;
use crate::deliver::ending::Ending;
use crate::deliver::manager::Routing;
use crate::deliver::verify::{self, Verifier};
use crate::deliver::{Manager, agent::Agents};
use crate::facts::listings::Listings;
use crate::facts::policy_client::{PolicyServers, Spawn};
use crate::facts::policyd_spf::PolicydSpf;
use crate::facts::stead::Stead;
use crate::facts::table_client::TableServers;
use crate::facts::zone_health::ZoneHealth;
use crate::facts::{Answers, Asked, Names};
use crate::greylisting::Greylister;
use crate::log::Log;
use crate::pickup::Pickup;
use crate::privileged::{Helper, LocalSockets};
use crate::reporting;
use crate::session::house::House;
use crate::session::{Service, Shared};
use config::{Code, Diagnostic, Parameters, Severity};
use events::daemon::Message;
use report::schedule::Patience;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use store::{Disk, RealDisk};
use tables::Sources;
use tokio::task::JoinHandle;

/// Who speaks of the server as a whole.
const MASTER: &str = "postfix/master";

/// What an assembly stands on.
pub struct Ground {
    /// Who knows names.
    pub names: Arc<dyn Names>,
    /// Where the spool is.
    pub disk: Arc<dyn Disk>,
    /// The state folder.
    pub state: PathBuf,
    /// The accounts that mail is delivered to: /etc/passwd.
    pub passwd: PathBuf,
    /// The privileged helper, where there is one.
    pub helper: Option<Helper>,
    /// Sessions that there is room for, apart from what the configuration says.
    pub seats: usize,
    /// Where events go.
    pub log: Log,
}

/// Sessions can be served, mail is delivered. Needs a tokio runtime around it.
pub struct Assembly {
    pub(super) shared: Arc<Shared>,
    pub(super) helper: Option<Helper>,
    pub(super) generation: Generation,
    /// Where allow caches are.
    caches: Option<Arc<dyn Disk>>,
    passwd: PathBuf,
    routing: Arc<RwLock<Arc<Routing>>>,
    spawned: Spawned,
    rules: control::Rules,
    local: crate::pickup::InForce,
    prober: Option<JoinHandle<()>>,
    reporter: Option<(Reporter, JoinHandle<()>)>,
    zone_reporter: Option<(ZoneReporter, JoinHandle<()>)>,
    /// Where what is kept of reports is, and who sends them.
    reports: (PathBuf, Arc<Mutex<Patience>>, Option<JoinHandle<()>>),
    /// What deliveries of each generation heed.
    endings: Vec<Ending>,
}

/// Where allow caches are: they may be lost, so a folder that can't be had is no reason not to serve.
fn caches(state: &Path, log: &Log) -> Option<Arc<dyn Disk>> {
    match RealDisk::new(&state.join("screen")) {
        Ok(disk) => Some(Arc::new(disk)),
        Err(error) => {
            let text = format!("{}: {error}; clients are tested anew", state.join("screen").display());
            log.write(MASTER, Message::warning(text));
            None
        }
    }
}

/// Everybody who answers questions.
fn answering(
    names: Arc<dyn Names>,
    (p, log, state): (&Parameters, &Log, &Path),
    sockets: &LocalSockets,
    spawn: Spawn,
) -> Answers {
    let program = format!("{}/smtpd", p.text("syslog_name").value);
    let host = p.text("myhostname").value;
    let greylister = Greylister::new(Some(state.join("greylist")), log.clone(), host.clone());
    greylister.ask_names(Arc::clone(&names));
    Answers {
        policyd_spf: PolicydSpf::new(Arc::clone(&names), log.clone(), host),
        names,
        health: ZoneHealth::default(),
        listings: Listings::default(),
        greylister,
        opendkim: Stead::new(log.clone(), program.clone()),
        opendmarc: Stead::new(log.clone(), program.clone()),
        asked: Asked::new(log.clone(), program),
        table_servers: TableServers::new(sockets.clone(), warner(p, log)),
        policy_servers: PolicyServers::new(sockets.clone(), spawn, warner(p, log)),
    }
}

/// With what an earlier server knew of guesses.
fn recalling(servers: AuthServers, state: &Path, (helper, log): (&Option<Helper>, &Log)) -> Authentication {
    let (authentication, recalled) = Authentication::new(servers, helper.clone(), state);
    if let Err(error) = recalled {
        let text = format!("{}: {error}; nobody has guessed yet", state.join("guesses").display());
        log.write(MASTER, Message::warning(text));
    }
    authentication
}

impl Assembly {
    /// Puts `configuration` in force for the first time, and takes up the mail that is in the spool.
    ///
    /// # Errors
    /// When the spool can't be opened.
    pub fn new(
        configuration: Configuration,
        ground: Ground,
        sources: &dyn Sources,
    ) -> Result<Assembly, ServeError> {
        let p = configuration.parameters.clone();
        let generation = Generation::new(configuration, None, (sources, &ground.passwd));
        let Ground { names, disk, state, passwd, helper, seats, log } = ground;
        let spawned = Spawned::default();
        let spool = open_spool(&p, disk, &state, &log)?;
        let queue_directory = PathBuf::from(p.text("queue_directory").value);
        let sockets = LocalSockets::new(queue_directory, helper.clone());
        let house = (&p, &log, state.as_path());
        let answers = Arc::new(answering(names, house, &sockets, spawner(&spawned, &helper)));
        let host = p.text("myhostname").value;
        let (caches, agents_state, reports) = (caches(&state, &log), state.clone(), state.clone());
        let folder = state.join("verify");
        let agents = Arc::new(Agents {
            spool: spool.clone(),
            helper: helper.clone(),
            host,
            scratch: state,
            sockets: sockets.clone(),
            memory: crate::deliver::Memory::default(),
        });
        let routing = Arc::new(RwLock::new(Arc::clone(&generation.routing)));
        let (mut manager, queue) =
            Manager::new(Arc::clone(&agents), Arc::clone(&routing), log.clone(), Arc::clone(&answers));
        manager.recover();
        let verifier = Verifier::new(verify::Ground {
            agents,
            routing: Arc::clone(&routing),
            answers: Arc::clone(&answers),
            log: log.clone(),
            queue: queue.clone(),
            folder,
        });
        tokio::spawn(manager.run());
        let wanted = usize::try_from(p.number("komainu_session_limit")).unwrap_or(0);
        let seats = if wanted == 0 { seats } else { seats.min(wanted) };
        let own = p.host().addresses.iter().map(|interface| interface.address).collect();
        let (house, rates) = (House::new(seats, own, log.clone()), Arc::default());
        let reached = sockets.clone();
        let servers = AuthServers::new(sockets, warner(&p, &log));
        let authentication = recalling(servers, &agents_state, (&helper, &log));
        let waiting = Arc::default();
        let mailboxes = helper.clone();
        #[rustfmt::skip]
        let shared =
            Shared { answers, spool, log, queue, house, rates, waiting, authentication, verifier, sockets: reached, helper: mailboxes, shut_out: Arc::default() };
        let shared = Arc::new(shared);
        let rules = Arc::new(RwLock::new(Arc::clone(&generation.access)));
        let local = Arc::new(RwLock::new(Arc::clone(&generation.local)));
        let (prober, reporter) = (None, None);
        let reports = (reports, Arc::default(), None);
        let mut assembly = Assembly {
            shared,
            helper,
            generation,
            routing,
            spawned,
            rules,
            local,
            prober,
            reporter,
            zone_reporter: None,
            reports,
            endings: Vec::new(),
            caches,
            passwd,
        };
        assembly.put_in_force();
        Ok(assembly)
    }

    /// Cuts short deliveries that wait for others: programs are killed, locks and FIFOs given up.
    pub(super) fn cut_deliveries_short(&self) {
        self.endings.iter().for_each(Ending::begin);
        if let Some(helper) = &self.helper {
            helper.stop();
        }
    }

    /// What every session shares.
    #[must_use]
    pub fn shared(&self) -> Arc<Shared> {
        Arc::clone(&self.shared)
    }

    /// What the control socket needs.
    pub(super) fn control(&self) -> control::Ground {
        let Shared { spool, queue, log, .. } = &*self.shared;
        let (spool, queue, log) = (spool.clone(), queue.clone(), log.clone());
        control::Ground { spool, queue, log, rules: self.rules(), pickup: self.pickup() }
    }

    /// Who may do what by hand.
    pub(super) fn rules(&self) -> control::Rules {
        Arc::clone(&self.rules)
    }

    /// Where mail from this machine's programs is received.
    pub(super) fn pickup(&self) -> Pickup {
        let Shared { spool, queue, log, answers, .. } = &*self.shared;
        Pickup {
            spool: spool.clone(),
            queue: queue.clone(),
            log: log.clone(),
            answers: Arc::clone(answers),
            local: Arc::clone(&self.local),
            sockets: self.shared.sockets.clone(),
            runtime: tokio::runtime::Handle::current(),
        }
    }

    /// The SMTP servers of the configuration in force.
    #[must_use]
    pub fn services(&self) -> &[Service] {
        &self.generation.services
    }

    /// Another configuration for new sessions and deliveries; sessions in progress keep theirs (T0.6).
    pub fn replace(&mut self, configuration: Configuration, sources: &dyn Sources) {
        let generation = Generation::new(configuration, Some(&self.generation.live), (sources, &self.passwd));
        self.open(generation);
    }

    /// Tables made of the files `changed` are compiled anew, and all of them are live together.
    pub fn recompile(&self, changed: &[PathBuf], sources: &dyn Sources) {
        self.say_all(&self.generation.live.recompile(changed, sources));
    }

    pub(super) fn open(&mut self, generation: Generation) {
        self.generation = generation;
        self.put_in_force();
    }

    fn put_in_force(&mut self) {
        self.say_all(&self.generation.found);
        let generation = &self.generation;
        for (daemon, remarks) in [("bounce", &generation.remarks), ("qmgr", &generation.queue_remarks)] {
            let program = format!("{}/{daemon}", generation.routing.syslog_name);
            for remark in remarks {
                self.shared.log.write(&program, Message::warning(remark.clone()));
            }
        }
        if let Some(bans) = &self.generation.bans {
            super::bans::spare(&self.shared, bans, &self.generation.live);
        }
        self.report_rates();
        // Those that nobody heeds any more are forgotten.
        self.endings.retain(Ending::is_shared);
        self.endings.push(self.generation.routing.agency.ending().clone());
        let generation = &self.generation;
        for screening in generation.services.iter().filter_map(|service| service.listener.screening.as_ref())
        {
            self.shared.waiting.open(screening, self.caches.as_ref(), &self.shared.log);
        }
        *self.routing.write().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&generation.routing);
        self.shared.queue.reconfigured();
        *self.local.write().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&generation.local);
        *self.rules.write().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&generation.access);
        self.spawned.write().unwrap_or_else(PoisonError::into_inner).clone_from(&generation.spawned);
        let greylister = Arc::clone(&self.shared.answers.greylister);
        greylister.set(generation.greylist.clone());
        if generation.greylist.is_some() {
            tokio::spawn(async move { greylister.open().await });
        }
        self.shared.answers.policyd_spf.set(generation.spf.clone());
        self.shared.answers.opendkim.set(generation.opendkim.clone());
        self.shared.answers.opendmarc.set(generation.opendmarc.clone());
        if let Some(prober) = self.prober.take() {
            prober.abort();
        }
        if generation.dnsbl_health && !generation.zones.is_empty() {
            let (answers, log) = (Arc::clone(&self.shared.answers), self.shared.log.clone());
            self.prober = Some(tokio::spawn(zones::probe_all(generation.zones.clone(), answers, log)));
        }
        self.report_zones();
        self.send_reports();
    }

    /// How the DNS lists of the configuration in force answer.
    fn report_zones(&mut self) {
        if let Some((reporter, task)) = self.zone_reporter.take() {
            task.abort();
            reporter.say();
        }
        let names = Arc::clone(&self.shared.answers.names);
        if let Some(times) = names.zone_times() {
            times.watch(&self.generation.zones);
        }
        let (log, program) = (self.shared.log.clone(), self.generation.counting.lists.clone());
        let reporter = ZoneReporter { names, log, program };
        let task = tokio::spawn(reporter.clone().run());
        self.zone_reporter = Some((reporter, task));
    }

    /// Reports go out by the configuration in force.
    fn send_reports(&mut self) {
        let (state, turn, task) = &mut self.reports;
        if let Some(task) = task.take() {
            task.abort();
        }
        let (state, turn) = (state.clone(), Arc::clone(turn));
        let Some(mailing) = self.generation.mailing.clone().filter(|mailing| mailing.schedule.is_some())
        else {
            return;
        };
        let (helper, log) = (self.helper.clone(), self.shared.log.clone());
        let sender = reporting::Sender { state, pickup: self.pickup(), helper, log, turn };
        self.reports.2 = Some(tokio::spawn(sender.run(mailing)));
    }

    /// The counters' statistics, by the configuration in force. A time unit that changed ends the old ones.
    fn report_rates(&mut self) {
        if let Some((reporter, task)) = self.reporter.take() {
            task.abort();
            reporter.say();
        }
        let Counting { unit, interval, program, .. } = self.generation.counting.clone();
        self.shared.rates.set_unit(unit);
        let (rates, log) = (Arc::clone(&self.shared.rates), self.shared.log.clone());
        let reporter = Reporter { rates, log, program, unit };
        let task = tokio::spawn(reporter.clone().run(interval));
        self.reporter = Some((reporter, task));
    }

    /// The server stops: the last statistics.
    pub(super) fn say_last_statistics(&self) {
        if let Some((reporter, _)) = &self.reporter {
            reporter.say();
        }
        if let Some((reporter, _)) = &self.zone_reporter {
            reporter.say();
        }
    }

    pub(super) fn say_all(&self, found: &[Diagnostic]) {
        let (unserved, others): (Vec<_>, Vec<_>) = found.iter().partition(|one| one.code == UNSERVED);
        for diagnostic in others {
            let message = match diagnostic.severity {
                Severity::Error => Message::error(diagnostic.to_string()),
                Severity::Warning => Message::warning(diagnostic.to_string()),
                Severity::Hint => continue,
            };
            self.shared.log.write(MASTER, message);
        }
        if let Some(text) = unserved_in_a_line(&unserved) {
            self.shared.log.write(MASTER, Message::warning(text));
        }
    }
}

/// A parameter that is not served yet.
const UNSERVED: Code = Code(123);
/// Names in a log line.
const NAMED_MAX: usize = 20;

/// One line for all of them at each load: `komainu check` has the places.
fn unserved_in_a_line(unserved: &[&Diagnostic]) -> Option<String> {
    let name = |one: &&Diagnostic| one.place.text().to_owned();
    let mut names: Vec<String> = unserved.iter().map(name).collect();
    names.sort();
    names.dedup();
    let listed = names.get(..NAMED_MAX).unwrap_or(&names).join(", ");
    let more = names.len().saturating_sub(NAMED_MAX);
    let more = if more == 0 { String::new() } else { format!(" and {more} more") };
    let are = match names.len() {
        0 => return None,
        1 => "parameter is",
        _ => "parameters are",
    };
    Some(format!("[K0123]: {} {are} not served yet and without effect: {listed}{more}", names.len()))
}
