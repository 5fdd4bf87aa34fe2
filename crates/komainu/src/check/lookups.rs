//! Tables judged by what they are asked: this gathers where the configuration names each, and asks `tables::review`.
//!
//! main.cf's parameters, each listener's with its overrides, and the restriction lists of every policy.

use super::Subject;
use config::{Diagnostic, Parameters, ServiceKind};
use std::collections::HashSet;
use tables::review::{self, Parents, Setting, Used};

/// What is wrong in the tables.
#[must_use]
pub(super) fn review(subject: &Subject<'_>) -> Vec<Diagnostic> {
    let configuration = subject.configuration;
    let used = used(subject);
    let parents = |name: &str| {
        let list = configuration.parameters.list("parent_domain_matches_subdomains");
        if list.iter().any(|word| word.value == name) { Parents::Match } else { Parents::Dotted }
    };
    let setting = Setting {
        restrictions: restrictions(subject),
        transports: transports(subject),
        access_parents: parents("smtpd_access_maps"),
        transport_parents: parents("transport_maps"),
    };
    review::review(&review::Subject {
        used: &used,
        setting: &setting,
        parameters: &configuration.parameters,
        catalogue: &configuration.catalogue,
        tables: subject.tables,
        sources: subject.sources,
    })
}

/// Each place that names a table, once.
fn used(subject: &Subject<'_>) -> Vec<Used> {
    let configuration = subject.configuration;
    let mut used = review::by_parameters(&configuration.parameters);
    for listener in &configuration.listeners {
        used.extend(review::by_parameters(&listener.parameters));
        for one in listener.policy.table_uses() {
            let index = usize::try_from(one.table.0).unwrap_or(usize::MAX);
            let Some(table) = configuration.catalogue.specs().get(index) else { continue };
            used.push(Used { table: table.clone(), how: one.how, by: one.by, place: one.place });
        }
    }
    let mut seen = HashSet::new();
    used.retain(|one| {
        let file = one.place.path().map(std::path::Path::to_owned);
        seen.insert((one.table.to_string(), one.how, one.by.clone(), file, one.place.start))
    });
    used
}

fn restrictions(subject: &Subject<'_>) -> Vec<String> {
    let classes = |parameters: &Parameters| parameters.list("smtpd_restriction_classes");
    let main = classes(&subject.configuration.parameters);
    let listeners = subject.configuration.listeners.iter().flat_map(|one| classes(&one.parameters));
    let named = main.into_iter().chain(listeners).map(|word| word.value);
    policy::restriction_names().map(str::to_owned).chain(named).collect()
}

/// What delivers: master.cf's services without a network socket, and those that are there without it.
fn transports(subject: &Subject<'_>) -> Vec<String> {
    const ALWAYS: [&str; 8] = ["discard", "error", "lmtp", "local", "relay", "retry", "smtp", "virtual"];
    let services = subject.configuration.master.services.iter();
    let local = services.filter(|service| service.kind != ServiceKind::Inet);
    local.map(|service| service.name.value.clone()).chain(ALWAYS.map(str::to_owned)).collect()
}
