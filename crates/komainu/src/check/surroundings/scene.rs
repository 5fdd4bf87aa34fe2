//! The configuration as its surroundings are asked about it: main.cf, the SMTP servers, the tables, all with places.
//!
//! Ports that ask for TLS are among the servers, though they aren't served yet: their certificates and policy
//! services are looked at all the same.

use crate::configuration::{Bans, Configuration, OpenDkim, OpenDmarc};
use config::{MasterCf, Parameters, Place, Role, Service, ServiceKind, SourceFile, Spanned};
use policy::greylist::Greylist;
use policy::{Policy, PolicyService, Zone};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tables::{Catalogue, Sources, TableSpec};

/// What is looked at.
pub struct Scene<'a> {
    /// The folder with main.cf.
    pub directory: Option<&'a Path>,
    /// main.cf as a file.
    pub main_file: Option<Arc<SourceFile>>,
    /// main.cf.
    pub main: &'a Parameters,
    /// master.cf.
    pub master: &'a MasterCf,
    /// Every table that is named where tables are served.
    pub tables: &'a [TableSpec],
    /// The SMTP servers.
    pub servers: Vec<Server>,
    /// The program greylists by itself where Postgrey isn't there.
    pub greylist: Option<Arc<Greylist>>,
    /// The program checks SPF by itself where policyd-spf isn't there.
    pub checks_spf: bool,
    /// The program does OpenDKIM's work where OpenDKIM isn't there.
    pub opendkim: Option<Arc<OpenDkim>>,
    /// The same of OpenDMARC.
    pub opendmarc: Option<Arc<OpenDmarc>>,
    /// The program runs fail2ban's jails.
    pub bans: Option<Bans>,
}

/// One SMTP server of master.cf.
pub struct Server {
    /// Its name there.
    pub name: Spanned<String>,
    /// Where it listens, as far as it is served.
    pub addresses: Vec<SocketAddr>,
    /// main.cf with its `-o`.
    pub parameters: Parameters,
    /// The policy services that its lists ask.
    pub services: Vec<PolicyService>,
    /// The DNS lists that its lists ask.
    pub zones: Vec<Zone>,
}

impl<'a> Scene<'a> {
    /// What `configuration` names. `sources` are for what its lists are compiled from.
    #[must_use]
    pub fn new(configuration: &'a Configuration, sources: &dyn Sources) -> Scene<'a> {
        let lines = configuration.master.services.iter();
        let lines = lines.filter(|service| matches!(service.role(), Role::Smtpd | Role::Postscreen));
        Scene {
            directory: configuration.directory.as_deref(),
            main_file: configuration.main.file().cloned(),
            main: &configuration.parameters,
            master: &configuration.master,
            tables: configuration.catalogue.specs(),
            greylist: configuration.greylist.clone(),
            checks_spf: configuration.spf.is_some(),
            opendkim: configuration.opendkim.clone(),
            opendmarc: configuration.opendmarc.clone(),
            bans: configuration.bans.clone(),
            servers: lines.map(|service| server(service, configuration, sources)).collect(),
        }
    }

    /// main.cf, then each server's view of it.
    pub fn views(&self) -> impl Iterator<Item = &Parameters> {
        std::iter::once(self.main).chain(self.servers.iter().map(|server| &server.parameters))
    }

    /// The account that the server runs as.
    #[must_use]
    pub fn mail_owner(&self) -> String {
        self.main.text("mail_owner").value
    }

    /// The folder that sockets' paths begin in.
    #[must_use]
    pub fn queue_directory(&self) -> PathBuf {
        PathBuf::from(self.main.text("queue_directory").value)
    }

    /// The ports that will be served: those of SMTP servers. Other inet services, `spawn` among them, get no port here.
    pub fn own_ports(&self) -> impl Iterator<Item = u16> {
        let served = self.master.services.iter().filter(|service| service.role().is_listener());
        served.filter_map(|service| match service.endpoint()?.port {
            config::Port::Number(port) => Some(port),
            config::Port::Name(_) => None,
        })
    }

    /// Whether master.cf makes the socket `path` (relative to queue_directory, or below it).
    #[must_use]
    pub fn is_own_socket(&self, path: &Path) -> bool {
        let relative = path.strip_prefix(self.queue_directory()).unwrap_or(path);
        let mut lines = self.master.services.iter();
        lines.any(|service| {
            let folder = if service.private { "private" } else { "public" };
            service.kind == ServiceKind::Unix && Path::new(folder).join(&service.name.value) == relative
        })
    }
}

fn server(service: &Service, configuration: &Configuration, sources: &dyn Sources) -> Server {
    let served = configuration.listeners.iter().find(|listener| listener.name == service.name.value);
    if let Some(listener) = served {
        return Server {
            name: service.name.clone(),
            addresses: listener.addresses.clone(),
            parameters: listener.parameters.clone(),
            services: listener.policies().flat_map(|policy| policy.services().to_vec()).collect(),
            zones: listener.policies().flat_map(|policy| policy.dnsbl_zones().to_vec()).collect(),
        };
    }
    let (parameters, _) = configuration.parameters.with_overrides(&service.overrides);
    let (policy, _) = Policy::compile(&parameters, &mut Catalogue::new(), sources);
    Server {
        name: service.name.clone(),
        addresses: Vec::new(),
        services: policy.services().to_vec(),
        zones: policy.dnsbl_zones().to_vec(),
        parameters,
    }
}

/// Where the value of `name` stands; nowhere for a default.
#[must_use]
pub(in crate::check) fn place(p: &Parameters, name: &str) -> Place {
    let place = p.text(name).place;
    if place.file.is_some() {
        return place;
    }
    p.name_place(name).cloned().unwrap_or_else(Place::nowhere)
}

/// A parameter with a path or a word in it; `None` where it is empty or `none`.
#[must_use]
pub(in crate::check) fn word(p: &Parameters, name: &str) -> Option<Spanned<String>> {
    let text = p.text(name).value.trim().to_owned();
    (!text.is_empty() && text != "none").then(|| Spanned::new(text, place(p, name)))
}
