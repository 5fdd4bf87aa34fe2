//! Tables judged by what they are asked: this gathers where the configuration names each, and asks `tables::review`.
//!
//! main.cf's parameters, each listener's with its overrides, and the restriction lists of every policy.

use super::Subject;
use crate::configuration::Milters;
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
        milter_fault: Milters::fault,
    };
    let mut found = review::misread(&configuration.parameters);
    found.extend(configuration.listeners.iter().flat_map(|listener| review::misread(&listener.parameters)));
    found.extend(review::review(&review::Subject {
        used: &used,
        setting: &setting,
        parameters: &configuration.parameters,
        catalogue: &configuration.catalogue,
        tables: subject.tables,
        sources: subject.sources,
    }));
    found
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

#[cfg(test)]
mod tests {
    use crate::check::{Reach, check};
    use config::{Compat, Host};
    use std::path::Path;
    use tables::{SourceError, Sources};

    struct Files<'f>(&'f [(&'f str, &'f str)]);

    impl Sources for Files<'_> {
        fn read(&self, path: &Path) -> Result<Vec<u8>, SourceError> {
            let file = self.0.iter().find(|(name, _)| Path::new("/etc/postfix").join(name) == path);
            file.map(|(_, text)| text.as_bytes().to_vec())
                .ok_or_else(|| SourceError::Missing(path.to_owned()))
        }
    }

    const MASTER: &str = "smtp inet n - n - - smtpd\n";

    /// The codes K033x to K036x of a configuration, with file and line.
    fn found(main: &str, tables: &[(&str, &str)]) -> Vec<String> {
        let main = format!("compatibility_level = 3.6\nalias_maps =\n{main}");
        let mut files = vec![("main.cf", main.as_str()), ("master.cf", MASTER)];
        files.extend(tables);
        let host = Host { hostname: "mail.example.com".to_owned(), addresses: Vec::new() };
        let said = check(Path::new("/etc/postfix"), Compat::V3_11, &host, &Files(&files), Reach::Paper);
        let ours = said.iter().filter(|one| (330..370).contains(&one.code.0) || one.code.0 == 467);
        ours.map(|one| {
            let name = one.place.path().and_then(Path::file_name).unwrap_or_default().to_string_lossy();
            format!("{} {name}:{}", one.code, one.place.line())
        })
        .collect()
    }

    /// What a client's milters are is read as smtpd_milters is.
    #[test]
    fn milters_of_clients() {
        let check = |value: &str, expect: &[&str]| {
            let table = format!("192.0.2.0/24 {value}\n");
            assert_eq!(
                found("smtpd_milter_maps = cidr:/etc/postfix/t\n", &[("t", &table)]),
                expect,
                "{value}"
            );
        };
        check("DISABLE", &[]);
        check("inet:localhost:8891", &[]);
        check("inet:localhost:8891, unix:opendkim/socket", &[]);
        check("{ inet:[::1]:8893, default_action=accept, connect_timeout=3s }", &[]);
        check("OFF", &["K0467 t:1"]);
        check("localhost:8891", &["K0467 t:1"]);
        check("{ inet:localhost:8893, default_action=pass }", &["K0467 t:1"]);
        check("{ inet:localhost:8893, connect_timeout=soon }", &["K0467 t:1"]);
        check("{ inet:localhost:8893, patience=3s }", &["K0467 t:1"]);
        check("unix:opendkim/socket inet:localhost", &[]);
    }

    /// Where a table is named says what it is asked. T1.10, T1.14.
    #[test]
    fn uses() {
        let check = |main: &str, name: &str, text: &str, expect: &[&str]| {
            assert_eq!(found(main, &[(name, text)]), expect, "{main}");
        };
        let t = |parameter: &str, value: &str| format!("{parameter} = {value}\n");
        let ok = "192.0.2.1 OK\n";
        let helo = "smtpd_helo_restrictions";
        check(&t(helo, "check_helo_access hash:/etc/postfix/t"), "t", ok, &["K0330 t:1"]);
        check(&t(helo, "hash:/etc/postfix/t"), "t", ok, &["K0330 t:1"]);
        check(&t(helo, "check_client_access hash:/etc/postfix/t"), "t", ok, &[]);
        let client = "smtpd_client_restrictions";
        check(&t(client, "hash:/etc/postfix/t"), "t", ok, &[]);
        check(&t(client, "check_sender_mx_access hash:/etc/postfix/t"), "t", ok, &["K0342 t:1"]);
        let sender = "smtpd_sender_restrictions";
        check(&t(sender, "check_sender_access hash:/etc/postfix/t"), "t", ok, &["K0330 t:1"]);
        check(
            &t(sender, "check_sender_access hash:/etc/postfix/t"),
            "t",
            "a@b.example x_class\n",
            &["K0332 t:1"],
        );
        let class = "smtpd_restriction_classes = x_class\nx_class = reject\n";
        let main = format!("{class}{}", t(sender, "check_sender_access hash:/etc/postfix/t"));
        check(&main, "t", "a@b.example x_class\n", &[]);
        let hold = "mail.example.org HOLD\n";
        check(&t(client, "check_client_access hash:/etc/postfix/t"), "t", hold, &[]);
        let main =
            format!("smtpd_delay_reject = no\n{}", t(client, "check_client_access hash:/etc/postfix/t"));
        check(&main, "t", hold, &["K0334 t:1"]);
        let dotted = ".example.org REJECT\n";
        check(&t(client, "check_client_access hash:/etc/postfix/t"), "t", dotted, &["K0331 t:1"]);
        let none = "parent_domain_matches_subdomains =\n";
        let main = format!("{none}{}", t(client, "check_client_access hash:/etc/postfix/t"));
        check(&main, "t", dotted, &[]);
        check(&t("header_checks", "regexp:/etc/postfix/t"), "t", "/^Received:/ IGNORE\n", &["K0339 t:1"]);
        check(&t("mynetworks", "cidr:/etc/postfix/t"), "t", "192.0.2.0/24 REJECT\n", &["K0335 t:1"]);
        check(&t("transport_maps", "hash:/etc/postfix/t"), "t", "example.org nosuch:\n", &["K0346 t:1"]);
        check(&t("virtual_alias_maps", "hash:/etc/postfix/t"), "t", "example.org x\na@example.org b\n", &[]);
        let main = "relay_domains = example.org\nrelay_recipient_maps = hash:/etc/postfix/t\n";
        check(main, "t", "# none\n", &["K0352 main.cf:4"]);
        check(
            &t(sender, "check_sender_access cidr:/etc/postfix/t"),
            "t",
            "192.0.2.0/24 REJECT\n",
            &["K0356 main.cf:3"],
        );
    }

    /// The members of a union are judged for themselves.
    #[test]
    fn what_unions_and_lists_name() {
        let main = "smtpd_helo_restrictions = check_helo_access unionmap:{hash:/etc/postfix/a,hash:/etc/postfix/b}\n";
        assert_eq!(found(main, &[("a", "192.0.2.1 OK\n"), ("b", "mail.example.org OK\n")]), ["K0330 a:1"]);
    }
}
