//! The configuration as the program uses it: files read, defaults filled in, everything compiled.
//!
//! [`Configuration::load`] reads main.cf and master.cf and everything that they name but the tables'
//! contents, and never stops at the first mistake; whether the outcome may be served is for the caller to
//! say, by the diagnostics. T0.5: any service on any port, each with its own overrides.

mod authenticity;
mod bans;
mod before_queue;
mod built_in;
mod greylisting;
#[cfg(test)]
mod in_memory;
mod inspecting;
mod later;
mod limits;
mod listener;
mod logins;
mod mailing;
mod milters;
mod notices;
mod opendkim;
mod opendmarc;
mod remote;
mod screening;
mod security;
mod skipped;
mod sources;
mod spf;
mod upstream;

pub use authenticity::{Authenticating, Dmarc};
pub use bans::Bans;
pub use before_queue::BeforeQueue;
pub use built_in::{BuiltIn, state_directory};
pub(crate) use greylisting::{postgreys_options, with_whitelists};
pub use inspecting::{Inspecting, Seen};
pub use later::Later;
pub(crate) use listener::port as port_number;
pub use listener::{Listener, Lists, Receiving, keywords};
pub use mailing::Mailing;
pub(crate) use mailing::log as report_log;
pub use milters::{Endpoint as MilterEndpoint, Filter, Milters};
pub use notices::Notices;
pub use opendkim::OpenDkim;
pub use opendmarc::OpenDmarc;
pub use screening::{CacheSettings, Screening, Words};
pub use security::Security;
pub use skipped::Skipped;
pub use sources::{DirectSources, HelperSources, LookingSources, open_source, read_direct};
pub(crate) use spf::policyd_spfs_conf;
pub use upstream::{Speaker, Upstream};

use crate::deliver::smtp::Transport;
use crate::deliver::status_filter::StatusFilters;
use crate::deliver::target::Targets;
use crate::deliver::verify::Probing;
use crate::privileged::pipe_service::PipeService;
use crate::submit::senders::Senders;
use config::{
    Compat, Diagnostic, Host, Interface, MainCf, MasterCf, Parameters, Place, Role, ServiceKind, Severity,
    SourceFile,
};
use policy::address::AddressClasses;
use policy::greylist::Greylist;
use sources::Recorder;
use std::collections::HashSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tables::{Catalogue, Sources, Vantage};

/// Everything that main.cf and master.cf say, ready to be served.
pub struct Configuration {
    /// Where it was read from; `None` for the built-in one.
    pub directory: Option<PathBuf>,
    /// main.cf as written.
    pub main: MainCf,
    /// main.cf's values.
    pub parameters: Parameters,
    /// master.cf's services.
    pub master: MasterCf,
    /// Every table that is named anywhere.
    pub catalogue: Catalogue,
    /// The SMTP servers among the services.
    pub listeners: Vec<Listener>,
    /// Address classes by main.cf, for delivery.
    pub classes: Arc<AddressClasses>,
    /// How mail of this machine's programs is received.
    pub local: Arc<Receiving>,
    /// How clients are greylisted, where a list asks Postgrey and nobody may be there.
    pub greylist: Option<Arc<Greylist>>,
    /// How SPF is checked, where a list asks policyd-spf and nobody may be there.
    pub spf: Option<Arc<policy::spf::policyd::Conf>>,
    /// How mail is signed and verified, where OpenDKIM's work may be ours.
    pub opendkim: Option<Arc<OpenDkim>>,
    /// How OpenDMARC would do its work, where that may be done here.
    pub opendmarc: Option<Arc<OpenDmarc>>,
    /// How reports go out by themselves.
    pub mailing: Option<Arc<Mailing>>,
    /// Who is shut out, where bans are wanted.
    pub bans: Option<Bans>,
    /// The tables, once they are compiled: what the conversation's own look-ups wait for.
    pub later: Later,
    files: Vec<PathBuf>,
}

/// main.cf and master.cf as they were read.
struct Texts {
    main: Arc<SourceFile>,
    master: Arc<SourceFile>,
}

impl Configuration {
    /// Where certificates can't be used any more, those of `running`, which were good, are kept; `found` says so.
    pub fn keep_certificates(&mut self, running: &[&Listener], found: &mut [Diagnostic]) {
        let mut kept = false;
        for listener in &mut self.listeners {
            let same = running.iter().find(|one| one.name == listener.name);
            kept |= same.is_some_and(|same| listener.keep_certificates(same));
        }
        if kept && !self.listeners.iter().any(|listener| listener.security.lacks_tls()) {
            security::say_kept(found);
        }
    }

    /// Loads what stands in `directory`.
    #[must_use]
    pub fn load(directory: &Path, compat: Compat, sources: &dyn Sources) -> (Configuration, Vec<Diagnostic>) {
        Configuration::load_for(&host(), directory, compat, sources)
    }

    /// Loads what stands in `directory` as it would be on the machine `host`.
    #[must_use]
    pub fn load_for(
        host: &Host,
        directory: &Path,
        compat: Compat,
        sources: &dyn Sources,
    ) -> (Configuration, Vec<Diagnostic>) {
        let recorder = Recorder::new(sources);
        let mut found = Vec::new();
        let main = read_source(&recorder, &directory.join("main.cf"), &mut found);
        let master = read_source(&recorder, &directory.join("master.cf"), &mut found);
        let texts = Texts { main, master };
        let (configuration, diagnostics) = compile((Some(directory), host), &texts, compat, &recorder);
        found.extend(diagnostics);
        (configuration, found)
    }

    /// The configuration of a server that was given none.
    #[must_use]
    pub fn built_in(
        built_in: &BuiltIn,
        compat: Compat,
        sources: &dyn Sources,
    ) -> (Configuration, Vec<Diagnostic>) {
        let file = |name: &str, text: String| {
            Arc::new(SourceFile { path: PathBuf::from(format!("(built in)/{name}")), text })
        };
        let texts = Texts {
            main: file("main.cf", built_in.main_cf()),
            master: file("master.cf", built_in.master_cf()),
        };
        compile((None, &host()), &texts, compat, &Recorder::new(sources))
    }

    /// Every file that was read or will be, for the helper's grants and for watching.
    #[must_use]
    pub fn files(&self) -> Vec<PathBuf> {
        let mut files = self.files.clone();
        files.extend(self.catalogue.paths());
        files.sort();
        files.dedup();
        files
    }

    /// The `spawn` services of master.cf that have a UNIX-domain socket.
    pub fn spawn_services(&self) -> impl Iterator<Item = &config::Service> {
        let services = self.master.services.iter();
        services.filter(|service| service.role() == Role::Spawn && service.kind == ServiceKind::Unix)
    }

    /// The `pipe` services of master.cf.
    #[must_use]
    pub fn pipe_services(&self) -> Vec<PipeService> {
        let services = self.master.services.iter();
        services.filter_map(|service| PipeService::read(service, &self.parameters)).collect()
    }

    /// The addresses of all listeners.
    #[must_use]
    pub fn listen_addresses(&self) -> Vec<SocketAddr> {
        self.listeners.iter().flat_map(|listener| listener.addresses.iter().copied()).collect()
    }
}

/// Whether any of the findings keeps a configuration from being served.
#[must_use]
pub fn has_errors(diagnostics: &[Diagnostic]) -> bool {
    diagnostics.iter().any(|diagnostic| diagnostic.severity == Severity::Error)
}

/// The longest main.cf or master.cf; long lists belong into tables.
const FILE_BYTES_MAX: usize = 16 << 20;

fn read_source(sources: &dyn Sources, path: &Path, found: &mut Vec<Diagnostic>) -> Arc<SourceFile> {
    let text = match sources.read(path) {
        Ok(bytes) if bytes.len() > FILE_BYTES_MAX => {
            let message = format!("{} is longer than {} MiB", path.display(), FILE_BYTES_MAX >> 20);
            let help = "no administrator wrote it: look at the program that did";
            found.push(Diagnostic::error(100, Place::nowhere(), message).help(help));
            String::new()
        }
        Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
        Err(error) => {
            let diagnostic = Diagnostic::error(100, Place::nowhere(), error.to_string());
            let help = match path.file_name() {
                Some(name) if name == "master.cf" => {
                    "main.cf wants a master.cf beside it; the line `smtp inet n - n - - smtpd` receives mail, and \
                     `smtp unix - - n - - smtp` sends it on"
                }
                _ => "give the folder that holds main.cf and master.cf with --config",
            };
            found.push(diagnostic.help(help));
            String::new()
        }
    };
    Arc::new(SourceFile { path: path.to_owned(), text })
}

fn compile(
    (directory, host): (Option<&Path>, &Host),
    texts: &Texts,
    compat: Compat,
    sources: &Recorder<'_>,
) -> (Configuration, Vec<Diagnostic>) {
    let (mut main, mut found) = MainCf::parse(&texts.main);
    let (master, more) = MasterCf::parse(&texts.master);
    found.extend(more);
    if let Some(directory) = directory {
        main.set("config_directory", directory.display().to_string());
    }
    let (mut parameters, mut more) = Parameters::new(&main, host, compat);
    if let Some(origin) = origin_from_file(&parameters, sources) {
        main.set("myorigin", &origin);
        (parameters, more) = Parameters::new(&main, host, compat);
    }
    found.extend(more);
    found.extend(config::check_names(&main, &master));
    found.extend(remote::check(&parameters));
    let mut catalogue = Catalogue::new();
    let (classes, more) = AddressClasses::compile(&parameters, &mut catalogue, sources);
    // For the tables and files that they name: who delivers compiles them once more.
    for service in &master.services {
        drop(Transport::compile(service, &parameters, &mut catalogue, sources));
    }
    drop(StatusFilters::compile(&master.services, &parameters, &mut catalogue));
    found.extend(more);
    let pickup = master.services.iter().find(|one| one.name.value == "pickup");
    let (of_pickup, more) =
        parameters.with_overrides(pickup.map_or(&[], |pickup| pickup.overrides.as_slice()));
    found.extend(more);
    let (local, more) = Receiving::compile(&of_pickup, &parameters, (&master, &mut catalogue));
    found.extend(more);
    let later = Later::default();
    let mut listeners = Vec::new();
    for service in &master.services {
        if is_server(service) {
            let (listener, more) =
                Listener::compile(service, &parameters, (&master, &mut catalogue, &later), sources);
            found.extend(more);
            listeners.extend(listener);
        }
    }
    let bans = taken(bans::compile(&parameters, &mut catalogue, sources), &mut found);
    let greylist = taken(greylisting::compile(&parameters, &listeners, sources), &mut found);
    let spf = taken(spf::compile(&parameters, &listeners, sources), &mut found);
    let opendkim = taken(opendkim::compile(&parameters, (&listeners, &local), sources), &mut found);
    let opendmarc = taken(opendmarc::compile(&parameters, &listeners, sources), &mut found);
    let mailing = taken(mailing::compile(&parameters, &master.services, sources), &mut found);
    name_others(&parameters, &mut catalogue, &classes);
    dedup(&mut found);
    (
        Configuration {
            directory: directory.map(Path::to_owned),
            main,
            parameters,
            master,
            catalogue,
            listeners,
            classes: Arc::new(classes),
            local,
            greylist,
            spf,
            opendkim,
            opendmarc,
            mailing,
            bans,
            later,
            files: sources.paths(),
        },
        found,
    )
}

/// What was compiled; what is wrong with it goes to the rest.
fn taken<T>((value, more): (T, Vec<Diagnostic>), found: &mut Vec<Diagnostic>) -> T {
    found.extend(more);
    value
}

/// Names the tables that delivery, probes and local senders alone go by: they are watched and opened like the rest.
fn name_others(p: &Parameters, catalogue: &mut Catalogue, classes: &AddressClasses) {
    drop(Targets::compile(p, catalogue));
    drop(Probing::compile(p, catalogue, classes));
    drop(Senders::compile(p, catalogue));
}

/// Whether a line of master.cf is an SMTP server behind a port.
fn is_server(service: &config::Service) -> bool {
    matches!(service.role(), Role::Smtpd | Role::Postscreen) && service.kind == ServiceKind::Inet
}

/// Several listeners find the same fault in main.cf; once is enough.
fn dedup(found: &mut Vec<Diagnostic>) {
    let mut seen = HashSet::new();
    found.retain(|one| {
        let file = one.place.file.as_ref().map(|file| file.path.clone());
        seen.insert((one.code.0, file, one.place.start, one.message.clone()))
    });
}

/// Debian: `myorigin = /etc/mailname` names a file whose first line is the value.
fn origin_from_file(parameters: &Parameters, sources: &dyn Sources) -> Option<String> {
    let origin = parameters.text("myorigin").value;
    if !origin.starts_with('/') {
        return None;
    }
    if sources.vantage() == Vantage::Elsewhere {
        // This machine's file says another name; most have the host's in it.
        return Some(parameters.text("myhostname").value);
    }
    let bytes = sources.read(Path::new(&origin)).ok()?;
    let text = String::from_utf8_lossy(&bytes);
    text.lines().map(str::trim).find(|line| !line.is_empty() && !line.starts_with('#')).map(str::to_owned)
}

/// The machine's addresses.
#[must_use]
pub fn own_addresses() -> Vec<IpAddr> {
    host().addresses.iter().map(|interface| interface.address).collect()
}

/// The machine's name and addresses.
#[must_use]
pub fn host() -> Host {
    let hostname = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let mut addresses: Vec<Interface> = if_addrs::get_if_addrs()
        .unwrap_or_default()
        .into_iter()
        .map(|interface| match interface.addr {
            if_addrs::IfAddr::V4(v4) => Interface { address: IpAddr::V4(v4.ip), prefix: v4.prefixlen },
            if_addrs::IfAddr::V6(v6) => Interface { address: IpAddr::V6(v6.ip), prefix: v6.prefixlen },
        })
        .collect();
    if addresses.is_empty() {
        addresses.push(Interface { address: IpAddr::V4(Ipv4Addr::LOCALHOST), prefix: 8 });
        addresses.push(Interface { address: IpAddr::V6(Ipv6Addr::LOCALHOST), prefix: 128 });
    }
    Host { hostname, addresses }
}
