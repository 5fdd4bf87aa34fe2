//! Servers that this one asks: policy services, milters, tables behind sockets, Dovecot, filters, relays on loopback.
//!
//! Which there are is read from the configuration, whether they are there from one round of connections, and what
//! follows from it judged for each by its consequence. The program answers Postgrey's endpoints by itself; what
//! else nobody serves answers 451 to everybody. What master.cf's own lines serve is there once they run. T2.11, T2.15.
//! Diagnostics: K0478 Postgrey isn't there, K0493 policyd-spf isn't there, K0525 policy services, K0526 milters, K0527
//! tables, K0528 filters and relays, K0572 OpenDKIM isn't there; K0520 is `sasl`'s.

use super::endpoints::{Target, is_own, nexthop, with_transport};
use super::reach::{Reach, Rights, reach, trouble};
use super::{Machine, Scene, accounts, sasl, scene};
use crate::configuration::MilterEndpoint;
use crate::facts::policyd_spf::is_policyd_spfs;
use crate::greylisting::is_postgreys;
use config::{Diagnostic, Parameters, Place, Spanned, split_words, unbraced};
use policy::Endpoint as PolicyEndpoint;

/// Somebody who is asked.
struct Peer<'a> {
    target: Target,
    place: Place,
    name: String,
    purpose: Purpose<'a>,
}

/// As whom the program answers where nobody listens.
#[derive(Clone, Copy)]
enum Stead {
    Postgrey,
    PolicydSpf,
}

/// What for.
enum Purpose<'a> {
    /// A policy service, what is done without it, and what the program does by itself then.
    Policy { without: String, ours: Option<Stead> },
    /// A milter, what is done without it, and whether the program does its work then.
    Milter { without: String, ours: bool },
    /// A table.
    Table,
    /// Passwords, for a server with these parameters.
    Passwords(&'a Parameters),
    /// All mail goes through it: the parameter.
    Way(&'static str),
}

pub(super) fn review(scene: &Scene<'_>, machine: &Machine) -> Vec<Diagnostic> {
    let mut peers = policy_services(scene);
    peers.extend(milters(scene));
    peers.extend(tables(scene));
    peers.extend(ways(scene));
    for server in &scene.servers {
        let p = &server.parameters;
        let target = sasl::asks_dovecot(p).then(|| sasl::target(scene, p)).flatten();
        let place = scene::place(p, "smtpd_sasl_path");
        let purpose = Purpose::Passwords(p);
        peers.extend(target.map(|target| Peer { target, place, name: String::new(), purpose }));
    }
    peers.retain(|peer| !is_own(scene, &peer.target));
    let targets: Vec<Target> = peers.iter().map(|peer| peer.target.clone()).collect();
    let (account, ids) = accounts::server(scene, machine);
    let owner = accounts::Accounts::read(machine).user(&scene.mail_owner());
    let rights = Rights { server: ids, helper: owner.map(|owner| (scene.queue_directory(), owner)) };
    let reached = reach(machine, &targets, &rights);
    let judged = peers.iter().filter_map(|peer| {
        let reached = reached.get(&peer.target)?;
        let why = trouble(reached, &peer.target, &account)?;
        Some(match &peer.purpose {
            Purpose::Passwords(p) => sasl::nobody((p, &peer.target), (reached, &account), machine, &why),
            // A socket that keeps the server out has somebody behind it, perhaps.
            Purpose::Policy { without, ours: Some(_) } if matches!(reached, Reach::KeptOut(_)) => {
                judge(&Purpose::Policy { without: without.clone(), ours: None }, peer, &why)
            }
            Purpose::Milter { without, ours: true } if matches!(reached, Reach::KeptOut(_)) => {
                judge(&Purpose::Milter { without: without.clone(), ours: false }, peer, &why)
            }
            purpose => judge(purpose, peer, &why),
        })
    });
    judged.collect()
}

fn judge(purpose: &Purpose<'_>, peer: &Peer<'_>, why: &str) -> Diagnostic {
    let (name, place) = (&peer.name, peer.place.clone());
    match purpose {
        Purpose::Policy { ours: Some(Stead::PolicydSpf), .. } => {
            let message = format!("policyd-spf isn't there: {why}");
            let help = "komainu serve checks SPF by itself; Postfix would refuse mail that comes to this rule (451 4.3.5)";
            Diagnostic::hint(493, place, message).help(help)
        }
        Purpose::Policy { ours: Some(Stead::Postgrey), .. } => {
            let message = format!("Postgrey isn't there: {why}");
            let help = "komainu serve greylists by itself; Postfix would refuse mail that comes to this rule (451 4.3.5)";
            Diagnostic::hint(478, place, message).help(help)
        }
        Purpose::Policy { without, .. } => {
            let message = format!("the policy service {name} isn't there: {why}");
            if lets_pass(without) {
                let help = format!("nothing is asked; its default action is {without}");
                return Diagnostic::warning(525, place, message).help(help);
            }
            let help = format!(
                "mail that comes to this rule is refused with {}; start the service, or take the rule out",
                shortened(without)
            );
            Diagnostic::error(525, place, message).help(help)
        }
        Purpose::Milter { ours: true, .. } => {
            let message = format!("OpenDKIM isn't there: {why}");
            let help = "komainu serve signs and verifies by itself, by opendkim.conf; Postfix would do what \
                        milter_default_action says";
            Diagnostic::hint(572, place, message).help(help)
        }
        Purpose::Milter { without, .. } => {
            let message = format!("the milter {name} isn't there: {why}");
            if without == "accept" {
                let help = "mail goes past it unseen, as milter_default_action = accept says";
                return Diagnostic::warning(526, place, message).help(help);
            }
            let refused = match without.as_str() {
                "reject" => "all mail is refused for good (550 5.5.0)",
                "quarantine" => "all mail is held in the queue",
                "shutdown" => "every client is sent away with 421 4.3.0",
                _ => "all mail is refused for now (451 4.7.1)",
            };
            Diagnostic::error(526, place, message).help(format!("{refused}; start it, or take it out"))
        }
        Purpose::Table | Purpose::Passwords(_) => {
            let message = format!("the server of the table {name} isn't there: {why}");
            let help = "every lookup in it fails, and mail that depends on one is refused with 451 4.3.0";
            Diagnostic::error(527, place, message).help(help)
        }
        Purpose::Way(parameter) => {
            let message = format!("{parameter} leads to {name}: {why}");
            let help = match *parameter {
                "smtpd_proxy_filter" => "clients are told 451 4.3.0, and nothing is taken in",
                _ => "mail that should go there waits in the queue, and comes back after five days",
            };
            Diagnostic::warning(528, place, message).help(help)
        }
    }
}

/// Whether a policy service's default action lets the mail go on.
fn lets_pass(action: &str) -> bool {
    let word = action.split_whitespace().next().unwrap_or("").to_ascii_lowercase();
    matches!(word.as_str(), "dunno" | "ok" | "permit" | "warn" | "prepend" | "info")
}

fn shortened(action: &str) -> &str {
    if action.is_empty() { "451 4.3.5 Server configuration problem" } else { action }
}

fn policy_services<'a>(scene: &Scene<'_>) -> Vec<Peer<'a>> {
    let services = scene.servers.iter().flat_map(|server| &server.services);
    let peers = services.filter_map(|service| {
        let target = match &service.endpoint {
            PolicyEndpoint::Inet { host, port } => super::endpoints::inet(scene, host, port)?,
            PolicyEndpoint::Unix(path) => super::endpoints::unix(scene, path)?,
        };
        let is_postgrey = |rules: &std::sync::Arc<policy::greylist::Greylist>| {
            is_postgreys(&service.endpoint, &rules.options)
        };
        let ours = match &scene.greylist {
            Some(rules) if is_postgrey(rules) => Some(Stead::Postgrey),
            _ => (scene.checks_spf && is_policyd_spfs(&service.endpoint)).then_some(Stead::PolicydSpf),
        };
        let purpose = Purpose::Policy { without: service.default_action.clone(), ours };
        Some(Peer { target, place: service.place.clone(), name: service.name.clone(), purpose })
    });
    peers.collect()
}

fn milters<'a>(scene: &Scene<'_>) -> Vec<Peer<'a>> {
    let mut peers = Vec::new();
    for p in scene.views() {
        let default = p.text("milter_default_action").value;
        for name in ["smtpd_milters", "non_smtpd_milters"] {
            for word in p.list(name).into_iter().filter(|word| word.value != "none") {
                let (endpoint, without) = milter(&word, &default);
                let Some(target) = with_transport(scene, &endpoint.value) else { continue };
                let is_its = |own: &std::sync::Arc<crate::configuration::OpenDkim>| {
                    MilterEndpoint::parse(&endpoint.value).is_some_and(|one| own.answers_for(&one))
                };
                let ours = scene.opendkim.as_ref().is_some_and(is_its);
                let purpose = Purpose::Milter { without, ours };
                peers.push(Peer { target, place: endpoint.place, name: endpoint.value, purpose });
            }
        }
    }
    peers
}

/// `inet:host:port`, or `{ inet:host:port, default_action = accept, … }`.
fn milter(word: &Spanned<String>, default: &str) -> (Spanned<String>, String) {
    let Some(inside) = unbraced(word) else { return (word.clone(), default.to_owned()) };
    let words = split_words(inside.clone());
    let endpoint = words.first().cloned().unwrap_or_else(|| word.clone());
    let compact: String = inside.value.chars().filter(|c| !c.is_whitespace()).collect();
    let own = compact.split([',', '{', '}']).find_map(|part| part.strip_prefix("default_action="));
    (endpoint, own.unwrap_or(default).to_owned())
}

fn tables<'a>(scene: &Scene<'_>) -> Vec<Peer<'a>> {
    use tables::Endpoint;
    let remote = scene.tables.iter().filter_map(|spec| Some((spec, spec.server()?)));
    let peers = remote.filter_map(|(spec, endpoint)| {
        let target = match endpoint {
            Endpoint::Inet { host, port, .. } => super::endpoints::inet(scene, &host, &port)?,
            Endpoint::Unix(path) => super::endpoints::unix(scene, &path)?,
        };
        Some(Peer { target, place: spec.place.clone(), name: spec.to_string(), purpose: Purpose::Table })
    });
    peers.collect()
}

/// Filters, relays and other mail servers on this machine through which mail goes.
fn ways<'a>(scene: &Scene<'_>) -> Vec<Peer<'a>> {
    const TRANSPORTS: [&str; 9] = [
        "content_filter",
        "default_transport",
        "relay_transport",
        "local_transport",
        "virtual_transport",
        "mailbox_transport",
        "fallback_transport",
        "relayhost",
        "smtpd_proxy_filter",
    ];
    let mut peers = Vec::new();
    for p in scene.views() {
        for name in TRANSPORTS {
            let Some(word) = scene::word(p, name).filter(|_| p.is_set(name)) else { continue };
            let target = match name {
                "relayhost" => nexthop(scene, &word.value, "25"),
                "smtpd_proxy_filter" => proxy_filter(scene, &word.value),
                _ => word.value.split_once(':').and_then(|(transport, to)| {
                    let default = if transport == "lmtp" { "24" } else { "25" };
                    let speaks = is_client(scene, transport);
                    speaks.then(|| nexthop(scene, to, default)).flatten()
                }),
            };
            let purpose = Purpose::Way(name);
            peers.extend(target.map(|target| Peer { target, place: word.place, name: word.value, purpose }));
        }
    }
    peers
}

/// Whether a transport speaks SMTP or LMTP to its nexthop.
fn is_client(scene: &Scene<'_>, transport: &str) -> bool {
    use config::Role;
    let mut lines = scene.master.services.iter();
    let line = lines.find(|service| service.name.value == transport);
    line.map_or(matches!(transport, "smtp" | "lmtp" | "relay"), |line| {
        matches!(line.role(), Role::Smtp | Role::Lmtp)
    })
}

fn proxy_filter(scene: &Scene<'_>, text: &str) -> Option<Target> {
    if text.starts_with("inet:") || text.starts_with("unix:") {
        return with_transport(scene, text);
    }
    match text.rsplit_once(':') {
        Some(_) => nexthop(scene, text, ""),
        None => super::endpoints::inet(scene, "", text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn milters_with_settings() {
        let check = |text: &str, expect: (&str, &str)| {
            let word = Spanned::new(text.to_owned(), Place::nowhere());
            let (endpoint, action) = milter(&word, "tempfail");
            assert_eq!((endpoint.value.as_str(), action.as_str()), expect, "{text}");
        };
        check("inet:localhost:8891", ("inet:localhost:8891", "tempfail"));
        check("{ inet:localhost:8891, default_action=accept }", ("inet:localhost:8891", "accept"));
        check("{inet:h:1, { default_action = reject }, connect_timeout=5s}", ("inet:h:1", "reject"));
    }

    #[test]
    fn default_actions_that_let_pass() {
        for (action, expect) in [("DUNNO", true), ("451 4.3.5 x", false), ("", false), ("Permit", true)] {
            assert_eq!(lets_pass(action), expect, "{action}");
        }
    }
}
