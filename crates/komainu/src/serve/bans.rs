//! fail2ban's jails inside the server: its own lines are one more log, its listeners one more action.
//!
//! What needs root is had before the rights go: the helper for packet filters, which opens the jails' logs too, the socket
//! that tools ask, the file of fail2ban's log. Whatever fails here costs bans, never mail: it is said, and the server runs
//! without. Without root, the listeners refuse whom a jail bans, and nothing else does. T0.1, T2.18 to T2.21.

use crate::bans::control::{Bound, Control};
use crate::bans::files::{Disk, Through};
use crate::bans::settings::{self, Daemon, Target};
use crate::bans::{
    Answer, BanLog, Direct, Engine, Hands, Net, Opener, Order, Own, OwnLog, Setup, ShutOut, Waker,
};
use crate::configuration::{Bans, own_addresses};
use crate::firewall::{Change, Firewall, Verb};
use crate::live::Live;
use crate::log::{Destination, Log};
use crate::privileged::own_log;
use crate::privileged::rights::Account;
use crate::session::Shared;
use ban::action::net::{Prefixes, overlap};
use ban::filter::Id;
use ban::jail::Settings;
use ban::jails::Jail;
use config::Severity;
use events::daemon::Message;
use rustix::process::Uid;
use std::collections::HashMap;
use std::io;
use std::net::IpAddr;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Who speaks of bans.
pub(super) const PROGRAM: &str = "komainu/ban";
/// The socket that tools ask, and fail2ban's log, where those that fail2ban.conf names can't be had.
const OWN_SOCKET: &str = "ban.sock";
const OWN_LOG: &str = "ban.log";

/// What was had while there were rights for it.
pub(crate) struct Prepared {
    folder: PathBuf,
    daemon: Daemon,
    firewall: Option<Arc<Firewall>>,
    bound: Option<Bound>,
    said: Vec<(Severity, String)>,
}

/// Gets what needs rights. Call it before there is a thread.
pub(super) fn prepare(bans: &Bans, account: Option<&Account>, state: &Path) -> Prepared {
    let (daemon, found) = settings::read(&Disk, &bans.directory);
    let said = found.iter().map(|one| (one.severity, one.to_string())).collect();
    let mut prepared = Prepared { folder: bans.directory.clone(), daemon, firewall: None, bound: None, said };
    prepared.have_socket(state);
    match account {
        Some(account) => prepared.have_roots(account, state),
        None => {
            prepared.warn(
                "K0676: without root's rights only the server's own listeners refuse whom a jail bans"
                    .to_owned(),
            );
            prepared.have_log(state);
        }
    }
    prepared
}

impl Prepared {
    fn warn(&mut self, text: String) {
        self.said.push((Severity::Warning, text));
    }

    fn have_socket(&mut self, state: &Path) {
        let named = self.daemon.socket.clone();
        if let Some(folder) = named.parent() {
            // Where it can't be made, binding says why.
            let _ = std::fs::DirBuilder::new().mode(0o755).create(folder);
        }
        let failed = match Bound::bind(&named) {
            Ok(bound) => {
                self.bound = Some(bound);
                return;
            }
            Err(error) => error,
        };
        let instead = state.join(OWN_SOCKET);
        self.bound = Bound::bind(&instead).ok();
        let (named, instead) = (named.display(), instead.display());
        self.warn(match failed.kind() {
            io::ErrorKind::AddrInUse => format!(
                "K0676: {named}: another program bans by these files; stop it (systemctl disable --now fail2ban), or each \
                 bans for itself; this server is asked at {instead}"
            ),
            _ => format!("K0676: {named}: {failed}; tools ask at {instead} (komainu ban -s {instead} status)"),
        });
    }

    fn have_roots(&mut self, account: &Account, state: &Path) {
        match Firewall::spawn(&self.folder) {
            Ok(firewall) => self.firewall = Some(Arc::new(firewall)),
            Err(error) => {
                self.warn(format!(
                    "K0676: only the server's own listeners refuse whom a jail bans: helper: {error}"
                ));
            }
        }
        if let Target::File(path) = &self.daemon.target {
            let made = own_log(path).and_then(|file| {
                let owner = Some(Uid::from_raw(account.uid));
                Ok(rustix::fs::fchown(&file, owner, None)?)
            });
            if let Err(error) = made {
                self.use_own_log(state, &error);
            }
        }
    }

    fn have_log(&mut self, state: &Path) {
        if let Target::File(path) = &self.daemon.target
            && let Err(error) = std::fs::OpenOptions::new().append(true).create(true).open(path)
        {
            self.use_own_log(state, &error);
        }
    }

    fn use_own_log(&mut self, state: &Path, error: &io::Error) {
        let instead = state.join(OWN_LOG);
        let named = std::mem::replace(&mut self.daemon.target, Target::File(instead.clone()));
        let Target::File(named) = named else { return };
        self.warn(format!(
            "K0676: {}: {error}; what jails do is written to {}",
            named.display(),
            instead.display()
        ));
    }
}

/// Jails at work.
pub(super) struct Running {
    engine: Engine,
    control: Option<Control>,
    folder: PathBuf,
    log: BanLog,
}

/// Starts the jails; `None` where they can't run, which is said.
pub(super) fn start(prepared: Prepared, ground: (&Arc<Shared>, &Path, &Destination)) -> Option<Running> {
    let (shared, state, destination) = ground;
    let log = shared.log.clone();
    for (severity, text) in &prepared.said {
        match severity {
            Severity::Error => log.write(PROGRAM, Message::error(text.clone())),
            _ => log.write(PROGRAM, Message::warning(text.clone())),
        }
    }
    match begin(prepared, (shared, state, destination)) {
        Ok(running) => Some(running),
        Err(error) => {
            log.write(PROGRAM, Message::error(format!("K0677: no jail runs, mail goes on: {error}")));
            None
        }
    }
}

fn begin(
    prepared: Prepared,
    (shared, state, destination): (&Arc<Shared>, &Path, &Destination),
) -> Result<Running, String> {
    let Prepared { folder, daemon, firewall, bound, .. } = prepared;
    let log = BanLog::start(&daemon).map_err(|error| format!("fail2ban's log: {error}"))?;
    let waker = Waker::new().map_err(|error| error.to_string())?;
    let rouse = waker.clone();
    let (own, lines) = Own::channel(Box::new(move || rouse.wake()));
    let mut hands: Vec<Box<dyn Hands>> = Vec::new();
    let opener: Arc<dyn Opener> = match &firewall {
        Some(firewall) => {
            let (inner, shut_out) = (Arc::clone(firewall), Arc::clone(&shared.shut_out));
            hands.push(Box::new(Spares { inner, shut_out, log: shared.log.clone() }));
            Arc::new(Arc::clone(firewall))
        }
        None => Arc::new(Direct),
    };
    let doors = Doors::new(&shared.shut_out, &folder, Arc::clone(&opener));
    let setup = Setup {
        folder: folder.clone(),
        state: Some(state.to_owned()),
        log: log.clone(),
        hands,
        opener,
        doors: Some(Box::new(doors)),
        own: Some((OwnLog::of(destination, std::process::id()), lines)),
        input: None,
        waker,
    };
    let engine = Engine::start(setup)?;
    shared.log.listen(own);
    let control = bound.and_then(|bound| bound.serve(engine.orders()).ok());
    Ok(Running { engine, control, folder, log })
}

impl Running {
    /// Takes up changed jails; bans stay. What can't be used leaves all as it was, and says why. Waits for it.
    pub(super) fn reload(&self, bans: Option<&Bans>, log: &Log) {
        self.log.reopen();
        if bans.is_none_or(|bans| bans.directory != self.folder) {
            let text =
                "K0677: komainu_ban_directory has changed: that takes a restart; the jails of before go on";
            log.write(PROGRAM, Message::warning(text));
            return;
        }
        if let Answer::Refused(error) = self.engine.orders().ask(Order::Reload { jail: None, unban: false }) {
            let text = format!("K0677: the jails stay as they were: {error}");
            log.write(PROGRAM, Message::error(text));
        }
    }

    /// Ends the jails: their bans are kept for the next start. Waits for it.
    pub(super) fn stop(self) {
        drop(self.control);
        drop(self.engine);
        self.log.flush();
    }
}

/// The server's listeners, as an action of every jail.
struct Doors {
    shut_out: Arc<ShutOut>,
    folder: PathBuf,
    /// Who may read a jail.local of root's.
    opener: Arc<dyn Opener>,
    /// How wide each jail bans, and whom it never does.
    jails: HashMap<String, (Prefixes, Vec<Net>)>,
}

impl Doors {
    fn new(shut_out: &Arc<ShutOut>, folder: &Path, opener: Arc<dyn Opener>) -> Doors {
        let (shut_out, folder) = (Arc::clone(shut_out), folder.to_owned());
        let mut doors = Doors { shut_out, folder, opener, jails: HashMap::new() };
        doors.reload();
        doors
    }
}

impl Hands for Doors {
    fn apply(&mut self, changes: &[Change]) -> Vec<Result<(), String>> {
        let unknown = (Prefixes::default(), Vec::new());
        self.shut_out.apply(changes, |change, net| {
            let (prefixes, never) = self.jails.get(&change.jail).unwrap_or(&unknown);
            let spares = |net: Net| never.iter().any(|other| overlap(net, *other));
            prefixes.widened(&Id::Net(net.0, net.1), change.before, &spares).unwrap_or(net)
        })
    }

    fn reload(&mut self) {
        let jails = ban::jails::read(&Through(&*self.opener), &self.folder).jails;
        let row = |jail: &Jail| (Prefixes::of(jail).unwrap_or_default(), Settings::of(jail).0.never);
        self.jails = jails.iter().map(|jail| (jail.name.clone(), row(jail))).collect();
    }
}

/// Packet filters, which hear nothing of those that the server spares.
struct Spares<H> {
    inner: H,
    shut_out: Arc<ShutOut>,
    log: Log,
}

impl<H: Hands> Spares<H> {
    fn is_spared(&self, change: &Change) -> bool {
        let address = match &change.id {
            Id::Net(address, _) => *address,
            _ => return false,
        };
        matches!(change.verb, Verb::Ban | Verb::Prolong) && self.shut_out.spares(address)
    }
}

impl<H: Hands> Hands for Spares<H> {
    fn apply(&mut self, changes: &[Change]) -> Vec<Result<(), String>> {
        let spared: Vec<bool> = changes.iter().map(|change| self.is_spared(change)).collect();
        let wanted =
            changes.iter().zip(&spared).filter(|(_, spared)| !**spared).map(|(change, _)| change.clone());
        let mut outcomes = self.inner.apply(&wanted.collect::<Vec<_>>()).into_iter();
        let outcome = |spared: bool| if spared { Ok(()) } else { outcomes.next().unwrap_or(Ok(())) };
        spared.into_iter().map(outcome).collect()
    }

    fn lets_in(&self, change: &Change) -> Option<&'static str> {
        let is_said = change.verb == Verb::Ban && self.is_spared(change);
        is_said
            .then_some("let in all the same: komainu_ban_never, or somebody has logged in from there of late")
    }

    fn reload(&mut self) {
        self.inner.reload();
    }

    /// Mail goes on, and so do bans at the server's own doors. Only who has root's rights can start it again.
    fn is_gone(&mut self) -> Option<String> {
        self.inner.is_gone()?;
        let text = "K0678: the helper for packet filters has ended: the server's own listeners refuse whom a jail bans, \
                    nothing else does, and what is in force in packet filters stays; restart the server";
        self.log.write(PROGRAM, Message::error(text));
        Some(text.to_owned())
    }
}

/// Whom no ban concerns: this machine's addresses, `komainu_ban_never`, and networks from which somebody has logged in.
pub(super) fn spare(shared: &Arc<Shared>, bans: &Bans, live: &Arc<Live>) {
    let (server, live, bans) = (Arc::downgrade(shared), Arc::clone(live), bans.clone());
    let own: Vec<IpAddr> = own_addresses();
    shared.shut_out.spare(Box::new(move |address| {
        let has_logged_in = || {
            let within = bans.spare_logged_in;
            let server = server.upgrade().filter(|_| !within.is_zero());
            server.is_some_and(|server| {
                let now = crate::authentication::now();
                server.authentication.guessing().has_logged_in(address, within, now)
            })
        };
        let is_listed = || bans.never.contains_address(&live.snapshot(), address).unwrap_or(false);
        own.contains(&address) || is_listed() || has_logged_in()
    }));
}
