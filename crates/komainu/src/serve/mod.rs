//! `komainu serve`: everything put together, in the order that safety wants.
//!
//! Configuration is read and compiled first; as root the ports are bound and the helper started, then the
//! rights go, and only then is there a runtime, a spool and a client. A configuration with an error is
//! never served.

mod assembly;
mod bans;
mod certificates;
mod control;
mod listen;
pub mod pid;
mod reload;
mod scheduling;
mod start;
mod state;
mod statistics;
pub(crate) mod watch;
mod zones;

pub use assembly::{Assembly, Ground};
pub(crate) use control::Rules;
pub use listen::Sockets;
pub(crate) use listen::bind;
pub use start::{Options, ServeError, prepare};
pub(crate) use start::{log_destination, state_folder};
pub(crate) use state::make_one;

use crate::configuration::{Configuration, Listener, Notices, Receiving};
use crate::deliver::ending::Ending;
use crate::deliver::manager::Routing;
use crate::deliver::smtp::Transport;
use crate::deliver::status_filter::StatusFilters;
use crate::deliver::target::Targets;
use crate::deliver::verify::Probing;
use crate::deliver::wording::Reporting;
use crate::facts::dns::Resolver;
use crate::facts::hosts::HostsFile;
use crate::facts::policy_client::{Spawn, Warn};
use crate::live::Live;
use crate::log::Log;
use crate::pickup::Local;
use crate::pickup::maildrop::{self, Maildrop};
use crate::privileged::{Agency, Answer, Helper, Request, spawn};
use crate::queued::shelf::{description, left, lost_in, set_apart};
use crate::session::Service;
use config::Parameters;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, SystemTime};
use store::{Disk, RealDisk, Spool};
use tables::Sources;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// A server that is ready to run: rights dropped, ports bound.
pub struct Ready {
    /// What to serve.
    pub configuration: Configuration,
    /// How it was asked for, to load it again.
    pub options: Options,
    /// The bound ports.
    pub sockets: Sockets,
    /// The privileged helper, where the server was started by root.
    pub helper: Option<Helper>,
    /// The state folder.
    pub state: PathBuf,
    /// Where events go.
    pub log: Log,
    /// Held while the server runs.
    pub pid: pid::PidFile,
    /// When the configuration's files began to be read.
    pub since: SystemTime,
    /// What the jails need of root's rights.
    pub(crate) bans: Option<bans::Prepared>,
}

/// What a loaded configuration becomes: what sessions and deliveries need.
pub(crate) struct Generation {
    pub(crate) services: Vec<Service>,
    pub(crate) routing: Arc<Routing>,
    pub(crate) live: Arc<Live>,
    pub(crate) files: Vec<PathBuf>,
    pub(crate) found: Vec<config::Diagnostic>,
    /// What is wrong with the words of reports.
    pub(crate) remarks: Vec<String>,
    /// What is wrong with the queue's parameters.
    pub(crate) queue_remarks: Vec<String>,
    pub(crate) spawned: Vec<config::Service>,
    pub(crate) zones: Vec<policy::Zone>,
    pub(crate) dnsbl_health: bool,
    pub(crate) auto_reload: bool,
    pub(crate) counting: Counting,
    pub(crate) access: Arc<control::Access>,
    pub(crate) local: Arc<Local>,
    pub(crate) greylist: Option<Arc<policy::greylist::Greylist>>,
    pub(crate) spf: Option<Arc<policy::spf::policyd::Conf>>,
    pub(crate) opendkim: Option<Arc<crate::configuration::OpenDkim>>,
    pub(crate) opendmarc: Option<Arc<crate::configuration::OpenDmarc>>,
    pub(crate) bans: Option<crate::configuration::Bans>,
    pub(crate) mailing: Option<Arc<crate::configuration::Mailing>>,
}

/// How clients are counted, and how often that is told (anvil(8)).
#[derive(Clone)]
pub(crate) struct Counting {
    /// `anvil_rate_time_unit`
    unit: Duration,
    /// `anvil_status_update_time`
    interval: Duration,
    /// `postfix/anvil`
    program: String,
    /// `postfix/dnsblog`
    lists: String,
}

impl Counting {
    fn read(p: &Parameters) -> Counting {
        Counting {
            unit: p.duration("anvil_rate_time_unit"),
            interval: p.duration("anvil_status_update_time"),
            program: format!("{}/anvil", p.text("syslog_name").value),
            lists: format!("{}/dnsblog", p.text("syslog_name").value),
        }
    }
}

/// How reports are received, where they are looked at (`internal_mail_filter_classes`).
fn watched(p: &Parameters, local: &Local) -> Option<Arc<Receiving>> {
    let is_asked = p.list("internal_mail_filter_classes").iter().any(|word| word.value == "bounce");
    is_asked.then(|| Arc::new(local.receiving.of_watched_mail())).filter(|rules| rules.looks())
}

/// Which transcripts the postmaster gets of servers, and how they are received.
fn notices(p: &Parameters, local: &Local) -> Option<(Arc<Notices>, Arc<Receiving>)> {
    let notices = Notices::read(p).filter(Notices::name_servers)?;
    Some((Arc::new(notices), Arc::clone(&local.receiving)))
}

impl Generation {
    /// Compiles the tables and puts the parts together.
    pub(crate) fn new(
        mut configuration: Configuration,
        before: Option<&Live>,
        (sources, passwd): (&dyn Sources, &Path),
    ) -> Generation {
        let (files, spawned) = (configuration.files(), configuration.spawn_services().cloned().collect());
        let (p, pipes) = (configuration.parameters.clone(), configuration.pipe_services());
        let targets = Arc::new(Targets::compile(&p, &mut configuration.catalogue));
        let probing = Probing::compile(&p, &mut configuration.catalogue, &configuration.classes);
        let transports = transports(&mut configuration, sources);
        let lines = &configuration.master.services;
        let status_filters = StatusFilters::compile(lines, &p, &mut configuration.catalogue);
        let (lists, unlisted) = control::Lists::compile(&p, &mut configuration.catalogue, sources);
        let (live, mut found) = match before {
            Some(before) => before.compile_after(configuration.catalogue, sources),
            None => Live::compile(configuration.catalogue, sources),
        };
        found.extend(unlisted);
        let live = Arc::new(live);
        configuration.later.fill(&live);
        let zones = zones(&configuration.listeners);
        let service = |listener: Listener| Service {
            listener: Arc::new(listener),
            live: Arc::clone(&live),
            targets: Arc::clone(&targets),
            classes: Arc::clone(&configuration.classes),
        };
        let services: Vec<Service> = configuration.listeners.into_iter().map(service).collect();
        let (reporting, remarks) = Reporting::compile(&p, sources);
        let far = listen::shares().deliveries;
        let (settings, queue_remarks) = scheduling::queue_settings(&p, lines.iter(), far);
        let local = Local::new(&p, &configuration.classes, &live, configuration.local);
        let routing = Routing {
            transports,
            agency: Arc::new(Agency::compile(&p, &configuration.classes, false).with_accounts(passwd)),
            classes: configuration.classes,
            targets,
            pipes,
            live: Arc::clone(&live),
            status_filters,
            settings,
            reporting,
            probing,
            filters: crate::deliver::Filters::read(&p, &local.receiving),
            best_mx: best_mx(&p),
            notices: notices(&p, &local),
            watched: watched(&p, &local),
            soft_bounce: p.flag("soft_bounce"),
            syslog_name: p.text("syslog_name").value,
        };
        Generation {
            services,
            routing: Arc::new(routing),
            live: Arc::clone(&live),
            files,
            found,
            remarks,
            queue_remarks,
            spawned,
            zones,
            access: Arc::new(control::Access::new(lists, Arc::clone(&live))),
            local: Arc::new(local),
            greylist: configuration.greylist,
            spf: configuration.spf,
            opendkim: configuration.opendkim,
            opendmarc: configuration.opendmarc,
            bans: configuration.bans,
            mailing: configuration.mailing,
            dnsbl_health: p.flag("komainu_dnsbl_health"),
            auto_reload: p.flag("komainu_auto_reload"),
            counting: Counting::read(&p),
        }
    }
}

/// How mail leaves over each of master.cf's lines.
fn transports(configuration: &mut Configuration, sources: &dyn Sources) -> HashMap<String, Arc<Transport>> {
    let Configuration { parameters, master, catalogue, .. } = configuration;
    let transport = |service: &config::Service| {
        let transport = Transport::compile(service, parameters, catalogue, sources)?;
        Some((service.name.value.clone(), Arc::new(transport)))
    };
    master.services.iter().filter_map(transport).collect()
}

/// `best_mx_transport`: a transport, perhaps with a nexthop.
fn best_mx(p: &Parameters) -> Option<queue::Route> {
    Some(queue::Route::named(&p.text("best_mx_transport").value)).filter(|route| !route.transport.is_empty())
}

/// The DNS lists that any of the servers asks, each once.
fn zones(listeners: &[Listener]) -> Vec<policy::Zone> {
    let mut zones: Vec<policy::Zone> = Vec::new();
    for listener in listeners {
        let screened = listener.screening.as_ref().map(|screening| screening.lists.dnsbl_zones());
        let asked = listener.policies().flat_map(|policy| policy.dnsbl_zones());
        for zone in asked.chain(screened.iter().flatten()) {
            if !zones.iter().any(|known| known.domain == zone.domain) {
                zones.push(zone.clone());
            }
        }
    }
    zones
}

/// The `spawn` services of the configuration in force.
pub(crate) type Spawned = Arc<RwLock<Vec<config::Service>>>;

/// Says what is wrong with a policy server, as smtpd would.
fn warner(p: &Parameters, log: &Log) -> Warn {
    let (program, log) = (format!("{}/smtpd", p.text("syslog_name").value), log.clone());
    Box::new(move |text| log.write(&program, events::daemon::Message::warning(text)))
}

/// Starts policy servers by master.cf's `spawn` lines: by the helper, or with our own rights.
fn spawner(spawned: &Spawned, helper: &Option<Helper>) -> Spawn {
    let (spawned, helper) = (Arc::clone(spawned), helper.clone());
    Box::new(move |path| {
        let services = spawned.read().unwrap_or_else(PoisonError::into_inner);
        let service = services.iter().find(|service| spawn::socket_path(service) == path)?;
        // Whoever may answer in its stead is to know that it isn't there; where that can't be seen, the start says it.
        let program = spawn::program(service).map(Path::new).filter(|program| program.is_absolute());
        if program.is_some_and(|program| matches!(program.try_exists(), Ok(false))) {
            return Some(Err(std::io::ErrorKind::NotFound.into()));
        }
        let Some(helper) = &helper else { return Some(spawn::start(service, "")) };
        Some(match tokio::task::block_in_place(|| helper.ask(&Request::Spawn(path.to_owned()), None)) {
            (Answer::Done, Some(descriptor)) => Ok(descriptor),
            (Answer::Temporary(text) | Answer::Permanent(text), _) => Err(std::io::Error::other(text)),
            (Answer::Done | Answer::Said(_), _) => Err(std::io::Error::other("the helper gave no socket")),
        })
    })
}

/// Runs the server until it is told to stop; `welcome` is called when it serves.
///
/// # Errors
/// When the spool or the resolver can't be had.
pub fn run(ready: Ready, welcome: impl FnOnce()) -> Result<(), ServeError> {
    // Started through /proc/self/exe it would be `exe` to ps(1), and to `check`.
    let _ = rustix::thread::set_name(c"komainu");
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .max_blocking_threads(128)
        .build()
        .map_err(ServeError::Runtime)?;
    let outcome = runtime.block_on(serve(ready, welcome));
    // Whoever still waits for somebody else is left: the spool is closed, so nothing comes of it.
    runtime.shutdown_timeout(Duration::from_millis(200));
    outcome
}

async fn serve(ready: Ready, welcome: impl FnOnce()) -> Result<(), ServeError> {
    let signals = Signals::take().map_err(ServeError::Runtime)?;
    let Ready { configuration, options, sockets, helper, state, log, pid, since, bans } = ready;
    pid.announce().map_err(|source| ServeError::State { path: state.clone(), source })?;
    let p = configuration.parameters.clone();
    let sources = reload::sources(&helper);
    let servers: Vec<String> = p.list("komainu_dns_servers").into_iter().map(|word| word.value).collect();
    let hosts = Some(HostsFile::new("/etc/hosts"));
    let shares = listen::shares();
    let names = Resolver::new(&servers, hosts, shares.questions).map_err(ServeError::Resolver)?;
    let names = Arc::new(names);
    let path = state.join("queue");
    let disk = Arc::new(RealDisk::new(&path).map_err(|source| ServeError::State { path, source })?);
    let passwd = PathBuf::from(tables::sources::PASSWD);
    let control_folder = state.clone();
    let ground = Ground { names, disk, state, passwd, helper, seats: shares.seats, log: log.clone() };
    let assembly = Assembly::new(configuration, ground, &sources)?;
    let (spool, waiting) = (assembly.shared.spool.clone(), Arc::clone(&assembly.shared.waiting));
    let verifier = Arc::clone(&assembly.shared.verifier);
    let answers = Arc::clone(&assembly.shared.answers);
    let ending = Ending::default();
    watch_maildrop(&control_folder, &assembly, (&ending, &log));
    let control = open_control(&control_folder, assembly.control(), &log);
    let bans = bans.and_then(|prepared| {
        bans::start(prepared, (&assembly.shared, &control_folder, &log_destination(&p)))
    });
    let mut house = reload::House::new(options, assembly, sockets, (since, bans)).await;
    welcome();
    house.announce(&p);
    let outcome = wait(&mut house, signals).await;
    ending.begin();
    drop(control);
    house.close(&outcome).await;
    log.flush();
    // Here and now: threads for blocking work may all be taken by deliveries that are given up.
    tokio::task::block_in_place(|| {
        waiting.flush();
        verifier.flush();
        answers.greylister.flush();
        spool.close();
        house.end_bans();
    });
    // Last: whoever finds no server running may start one.
    drop(pid);
    outcome
}

/// The signals that the server reacts to. Taken before it says that it is ready: what comes earlier ends it.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Signals {
    fn take() -> std::io::Result<Signals> {
        Ok(Signals {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }
}

/// Between two times that what is known of guesses is kept.
const KEEPING: Duration = Duration::from_secs(60);
/// Between two looks at the helper.
const HELPER_CHECK: Duration = Duration::from_secs(1);

/// Reacts to signals and changed files until the server is to stop.
async fn wait(house: &mut reload::House, mut signals: Signals) -> Result<(), ServeError> {
    let watchdog = sd_notify::watchdog_enabled().map(|interval| interval / 2);
    let mut beat = tokio::time::interval(watchdog.unwrap_or(HELPER_CHECK).min(HELPER_CHECK));
    let mut minutely = tokio::time::interval(KEEPING);
    let mut daily = tokio::time::interval(certificates::INTERVAL);
    loop {
        tokio::select! {
            _ = daily.tick() => house.remind(),
            _ = minutely.tick() => house.remember_aside(),
            _ = signals.terminate.recv() => return Ok(()),
            _ = signals.interrupt.recv() => return Ok(()),
            _ = signals.hangup.recv() => house.reload().await,
            changed = house.changed() => house.files_changed(changed).await,
            _ = beat.tick() => {
                if watchdog.is_some() {
                    let _ = sd_notify::notify(&[sd_notify::NotifyState::Watchdog]);
                }
                if !house.is_whole() {
                    return Err(ServeError::HelperEnded);
                }
            }
        }
    }
}

/// The server does its work without it, too: mail is received and delivered.
fn open_control(state: &Path, ground: control::Ground, log: &Log) -> Option<control::Control> {
    match control::Control::open(state, ground) {
        Ok(control) => Some(control),
        Err(error) => {
            let text = format!("{}: {error}; the queue can't be looked at", state.join("control").display());
            log.write("komainu/queue", events::daemon::Message::warning(text));
            None
        }
    }
}

/// Takes in what is dropped, until the end begins: a message is in the spool or still in its file.
fn watch_maildrop(state: &Path, assembly: &Assembly, (ending, log): (&Ending, &Log)) {
    let drop = Maildrop {
        pickup: assembly.pickup(),
        folder: state.join(maildrop::NAME),
        helper: assembly.helper.clone(),
        rules: assembly.rules(),
        told: crate::pickup::maildrop::Told::default(),
        ending: ending.clone(),
    };
    if let Err(error) = std::thread::Builder::new().name("pickup".into()).spawn(move || drop.run()) {
        let text = format!("nothing is taken from the maildrop: thread: {error}");
        log.write("komainu/queue", events::daemon::Message::warning(text));
    }
}

fn open_spool(p: &Parameters, disk: Arc<dyn Disk>, state: &Path, log: &Log) -> Result<Spool, ServeError> {
    let path = state.join("queue");
    let settings = store::spool::Settings {
        minfree_bytes: u64::try_from(p.number("queue_minfree")).unwrap_or(0),
        digest: store::Digest { envelope: queue::card::of_envelope, note: queue::card::after_note },
        ..store::spool::Settings::default()
    };
    let (spool, report) = Spool::open(disk, settings).map_err(|source| ServeError::Spool { path, source })?;
    for damage in &report.damage {
        log.write("komainu/queue", events::daemon::Message::warning(damage.as_str()));
    }
    for entry in report.stretches.iter().flat_map(|bytes| lost_in(&spool, bytes)) {
        let text = format!("what is damaged there seems to be message {}", description(&entry));
        log.write("komainu/queue", events::daemon::Message::warning(text));
    }
    for number in &report.corrupt {
        let said =
            set_apart(&spool, *number).map(|lines| lines.unwrap_or_else(|error| left(*number, &error)));
        for line in said.unwrap_or_default() {
            log.write("komainu/queue", events::daemon::Message::warning(line));
        }
    }
    Ok(spool)
}
