//! Restriction lists judged together: every SMTP server of master.cf with its `-o`, through `policy::review`.
//!
//! Also those servers that can't be opened (their port isn't known): their lists are compiled here. Where master.cf has no
//! SMTP server, main.cf's own lists are judged. What `${stress?…}` makes of lists is judged like another server. T1.4, T2.5, T2.8, T2.11.

use super::Subject;
use crate::configuration::Listener;
use config::{Diagnostic, Parameters, Role, Service, ServiceKind};
use policy::{Policy, review};
use std::net::SocketAddr;
use std::sync::Arc;
use tables::Catalogue;

/// A server that has no listener.
struct Unopened<'a> {
    service: Option<&'a Service>,
    parameters: Parameters,
    policy: Policy,
    addresses: Vec<SocketAddr>,
}

/// What is wrong in the lists.
#[must_use]
pub(super) fn review(subject: &Subject<'_>) -> Vec<Diagnostic> {
    let configuration = subject.configuration;
    let mut catalogue = configuration.catalogue.clone();
    let (unopened, mut found) = unopened(subject, &mut catalogue);
    let mut snapshot = subject.tables.clone();
    if catalogue.specs().len() > configuration.catalogue.specs().len() {
        let (tables, more) = snapshot.recompile(&catalogue, &[], subject.sources);
        found.extend(more.into_iter().filter(|one| one.place.file.is_some()));
        snapshot = tables;
    }
    let snapshot = Arc::new(snapshot);
    let stressed: Vec<_> =
        configuration.listeners.iter().map(|listener| listener.parameters.with_stress(true)).collect();
    let lists = configuration.listeners.iter().zip(&stressed).flat_map(|(listener, stressed)| {
        let parameters = std::iter::once(&listener.parameters).chain([stressed]);
        listener.policies().zip(parameters).map(move |(policy, parameters)| (listener, policy, parameters))
    });
    let opened = lists.map(|(listener, policy, parameters)| review::Subject {
        parameters,
        policy,
        snapshot: &snapshot,
        service: service(subject, listener),
        screening: listener.screening.as_ref().map(|screening| &screening.lists),
        addresses: &listener.addresses,
    });
    let others = unopened.iter().map(|one| review::Subject {
        parameters: &one.parameters,
        policy: &one.policy,
        snapshot: &snapshot,
        service: one.service,
        screening: None,
        addresses: &one.addresses,
    });
    let servers: Vec<_> = opened.chain(others).collect();
    found.extend(review::review(&servers));
    found
}

/// The line whose `-o` a listener's session has.
fn service<'a>(subject: &Subject<'a>, listener: &Listener) -> Option<&'a Service> {
    let services = &subject.configuration.master.services;
    let line = services
        .iter()
        .find(|service| service.kind == ServiceKind::Inet && service.name.value == listener.name)?;
    if line.role() != Role::Postscreen {
        return Some(line);
    }
    let behind = subject.configuration.parameters.text("smtpd_service_name").value;
    services.iter().find(|service| service.kind == ServiceKind::Pass && service.name.value == behind)
}

fn unopened<'a>(subject: &Subject<'a>, catalogue: &mut Catalogue) -> (Vec<Unopened<'a>>, Vec<Diagnostic>) {
    let configuration = subject.configuration;
    let mut wanted = Vec::new();
    for service in &configuration.master.services {
        let opened = configuration.listeners.iter().any(|listener| listener.name == service.name.value);
        if service.role() == Role::Smtpd && service.kind == ServiceKind::Inet && !opened {
            let (parameters, _) = configuration.parameters.with_overrides(&service.overrides);
            wanted.push((Some(service), parameters));
        }
    }
    if wanted.is_empty() && configuration.listeners.is_empty() {
        wanted.push((None, configuration.parameters.clone()));
    }
    let (mut servers, mut found) = (Vec::new(), Vec::new());
    for (service, parameters) in wanted {
        let (policy, more) = Policy::compile(&parameters, catalogue, subject.sources);
        found.extend(more);
        let name = service.map_or("", |service| service.name.value.as_str());
        let addresses = name.parse().into_iter().collect();
        servers.push(Unopened { service, parameters, policy, addresses });
    }
    (servers, found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::configuration::Configuration;
    use config::{Compat, Host, Interface};
    use std::path::Path;
    use tables::{Snapshot, SourceError, Sources};

    const MAIN: &str =
        "compatibility_level = 3.6\nsmtpd_sender_restrictions = check_sender_access static:OK\n";

    /// master.cf and main.cf.
    struct Files(&'static str, &'static str);

    fn load(files: &Files) -> Configuration {
        let own = Interface { address: "127.0.0.1".parse().unwrap(), prefix: 8 };
        let host = Host { hostname: "mx.example.com".to_owned(), addresses: vec![own] };
        Configuration::load_for(&host, Path::new("/c"), Compat::V3_11, files).0
    }

    impl Sources for Files {
        fn read(&self, path: &Path) -> Result<Vec<u8>, SourceError> {
            match path.to_str() {
                Some("/c/main.cf") => Ok(self.1.as_bytes().to_vec()),
                Some("/c/master.cf") => Ok(self.0.as_bytes().to_vec()),
                _ => Err(SourceError::Missing(path.to_owned())),
            }
        }
    }

    /// A list under `${stress?…}` is a session's under stress, and is judged, too.
    #[test]
    fn lists_under_stress() {
        let check = |main: &'static str, expect: &[u16]| {
            let files = Files("smtp inet n - y - - smtpd\n", main);
            let configuration = load(&files);
            let (tables, _) = Snapshot::compile(&configuration.catalogue, &files);
            let subject = Subject { configuration: &configuration, tables: &tables, sources: &files };
            let mut codes: Vec<u16> = review(&subject).iter().map(|one| one.code.0).collect();
            codes.retain(|code| (440..450).contains(code));
            assert_eq!(codes, expect, "{main}");
            let listener = configuration.listeners.first().unwrap();
            let address = "192.0.2.1".parse().unwrap();
            let client = policy::Client::unnamed(address, 4711, address, 25);
            let mut tx = policy::Transaction::new(client);
            let lists = |tx: &policy::Transaction| Arc::as_ptr(listener.lists_for(tx));
            let usual = lists(&tx);
            tx.stress = true;
            lists(&tx) != usual
        };
        let open = "compatibility_level = 3.6\nsmtpd_relay_restrictions = ${stress?{check_sender_access static:OK,}} reject_unauth_destination\n";
        assert!(check(open, &[440]));
        let other = "compatibility_level = 3.6\nshort = ${stress?{reject_unauth_pipelining}}\nsmtpd_data_restrictions = $short\n";
        assert!(check(other, &[]));
        assert!(!check("compatibility_level = 3.6\nsmtpd_timeout = ${stress?{9}:{99}}s\n", &[]));
    }

    /// Servers with a listener are judged by what it compiled; others, and main.cf alone, by lists compiled here.
    #[test]
    fn every_server_once() {
        let check = |master: &'static str, expect: &[Option<&str>]| {
            let files = Files(master, MAIN);
            let configuration = load(&files);
            let (tables, _) = Snapshot::compile(&configuration.catalogue, &files);
            let subject = Subject { configuration: &configuration, tables: &tables, sources: &files };
            let mut catalogue = configuration.catalogue.clone();
            let (servers, _) = unopened(&subject, &mut catalogue);
            let names: Vec<_> =
                servers.iter().map(|one| one.service.map(|service| service.name.value.as_str())).collect();
            assert_eq!(names, expect, "{master}");
            let before = configuration.catalogue.specs().len();
            assert!(!expect.is_empty() || catalogue.specs().len() == before, "{master}");
        };
        check("smtp inet n - y - - smtpd\n", &[]);
        check("", &[None]);
        let submission = "submission inet n - y - - smtpd\n  -o smtpd_tls_security_level=encrypt\n";
        check(submission, &[]);
        check("smtp inet n - y - - smtpd\nno-such-port inet n - y - - smtpd\n", &[Some("no-such-port")]);
        check("pickup unix n - y 60 1 pickup\n", &[None]);
    }
}
