//! Configurations that deserve a finding, and those beside them that don't.

mod lists;
mod open;
mod relay;
mod samples;

use super::{Subject, review};
use crate::Policy;
use crate::screen::Screening;
use config::{Compat, Host, Interface, MainCf, MasterCf, Parameters, SourceFile};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tables::{Catalogue, Snapshot, SourceError, Sources};

/// Files of the tests' tables.
struct Files(Vec<(&'static str, &'static str)>);

impl Sources for Files {
    fn read(&self, path: &Path) -> Result<Vec<u8>, SourceError> {
        let found = self.0.iter().find(|(name, _)| Path::new(name) == path);
        found.map(|(_, text)| text.as_bytes().to_vec()).ok_or_else(|| SourceError::Missing(path.to_owned()))
    }
}

/// What main.cf begins with.
const MAIN: &str = "myhostname = mx.example.com\nmydestination = example.com, localhost\n\
    local_recipient_maps =\nalias_maps =\nmynetworks = 127.0.0.0/8, 192.0.2.0/28\nrelay_domains = mxdom.example\n";

/// One server, compiled.
pub(super) struct Server {
    pub(super) parameters: Parameters,
    pub(super) policy: Policy,
    pub(super) snapshot: Arc<Snapshot>,
    service: Option<config::Service>,
    screening: Option<Screening>,
    /// What the compiler says.
    pub(super) said: Vec<u16>,
}

impl Server {
    /// `master`: a line of master.cf with `-o`, or nothing.
    pub(super) fn with(main: &str, master: &str, files: Vec<(&'static str, &'static str)>) -> Server {
        let file = |name: &str, text: String| Arc::new(SourceFile { path: PathBuf::from(name), text });
        let (main, _) = MainCf::parse(&file("main.cf", format!("{MAIN}{main}\n")));
        let (master, _) = MasterCf::parse(&file("master.cf", master.to_owned()));
        let own = Interface { address: "127.0.0.1".parse().unwrap(), prefix: 8 };
        let host = Host { hostname: "mx.example.com".to_owned(), addresses: vec![own] };
        let (mut parameters, _) = Parameters::new(&main, &host, Compat::V3_11);
        let service = master.services.into_iter().next();
        if let Some(service) = &service {
            parameters = parameters.with_overrides(&service.overrides).0;
        }
        let mut catalogue = Catalogue::new();
        let files = Files(files);
        let (policy, said) = Policy::compile(&parameters, &mut catalogue, &files);
        let screened = parameters.definitions().any(|(name, _)| name.starts_with("postscreen_"));
        let screening = screened.then(|| Screening::compile(&parameters, &mut catalogue, &files).0);
        let (snapshot, _) = Snapshot::compile(&catalogue, &files);
        let said = said.iter().map(|diagnostic| diagnostic.code.0).collect();
        Server { parameters, policy, snapshot: Arc::new(snapshot), service, screening, said }
    }

    pub(super) fn new(main: &str) -> Server {
        Server::with(main, "", Vec::new())
    }

    pub(super) fn subject(&self) -> Subject<'_> {
        Subject {
            parameters: &self.parameters,
            policy: &self.policy,
            snapshot: &self.snapshot,
            service: self.service.as_ref(),
            screening: self.screening.as_ref(),
            addresses: &[],
        }
    }

    /// `error K0440 check_sender_access`: severity, code and what is marked, for the codes from `codes`.
    pub(super) fn found(&self, codes: std::ops::RangeInclusive<u16>) -> Vec<String> {
        let own = |d: &config::Diagnostic| codes.contains(&d.code.0);
        let text = |d: config::Diagnostic| format!("{} {} {}", d.severity, d.code, d.place.text());
        review(&[self.subject()]).into_iter().filter(own).map(text).collect()
    }
}
