//! Names that nobody knows: misspelt parameters in main.cf and in master.cf's `-o` (T2.12).
//!
//! A name counts as known when the registry has it, when another value refers to it by `$name`, when it is a
//! restriction class, when it begins with a service of master.cf and ends as such parameters do, or when it
//! belongs to a database table that is named in main.cf (`ldap:NAME` brings `NAME_server_host` …).
//! Diagnostics: K0120 an unknown name, K0121 a parameter of a service that isn't there, K0122 a name of the past,
//! K0123 a parameter that is not served yet, K0130 a restriction where a parameter stands.

mod nearness;

use crate::expand;
use crate::registry;
use crate::{Diagnostic, MainCf, MasterCf, Place};
pub use nearness::nearest;
pub(crate) use nearness::{Near, nearness};
use std::collections::BTreeSet;

/// Names of main.cf and of master.cf's `-o` that nobody knows, with what was meant.
#[must_use]
pub fn check_names(main: &MainCf, master: &MasterCf) -> Vec<Diagnostic> {
    let known = Known::new(main, master);
    let of_main = main.definitions().iter();
    let of_main =
        of_main.map(|(name, definition)| (name.as_str(), definition.value.as_str(), &definition.name));
    let overrides = master.services.iter().flat_map(|service| &service.overrides);
    let mut guesses = GUESSES_MAX;
    let of_master = overrides.map(|one| (one.name.value.as_str(), one.value.value.as_str(), &one.name.place));
    let all = of_main.chain(of_master);
    all.filter_map(|(name, value, place)| known.check(name, value, place, &mut guesses)).collect()
}

/// Unknown names for which it is guessed what was meant: a file with more of them isn't main.cf.
const GUESSES_MAX: usize = 1_000;

/// Names that only changed: the value stays as it is.
const RENAMED: [(&str, &str); 12] = [
    ("authorized_verp_clients", "smtpd_authorized_verp_clients"),
    ("fallback_relay", "smtp_fallback_relay"),
    ("lmtp_per_record_deadline", "lmtp_per_request_deadline"),
    ("postscreen_blacklist_action", "postscreen_denylist_action"),
    ("postscreen_dnsbl_ttl", "postscreen_dnsbl_max_ttl"),
    ("postscreen_dnsbl_whitelist_threshold", "postscreen_dnsbl_allowlist_threshold"),
    ("postscreen_whitelist_interfaces", "postscreen_allowlist_interfaces"),
    ("smtpd_client_connection_limit_exceptions", "smtpd_client_event_limit_exceptions"),
    ("smtpd_per_record_deadline", "smtpd_per_request_deadline"),
    ("smtp_per_record_deadline", "smtp_per_request_deadline"),
    ("tlsproxy_client_level", "tlsproxy_client_security_level"),
    ("tlsproxy_client_policy", "tlsproxy_client_policy_maps"),
];

struct Known {
    /// Referred to by `$name`, and restriction classes.
    used: BTreeSet<String>,
    /// Names of services.
    services: BTreeSet<String>,
    /// What the parameters of database tables begin with.
    databases: BTreeSet<String>,
    /// What main.cf defines.
    defined: BTreeSet<String>,
}

/// Transports that Postfix knows without master.cf.
const TRANSPORTS: [&str; 9] =
    ["default", "discard", "error", "lmtp", "local", "relay", "retry", "smtp", "virtual"];

impl Known {
    fn new(main: &MainCf, master: &MasterCf) -> Known {
        let overrides = || master.services.iter().flat_map(|service| &service.overrides);
        let values = main.definitions().values().map(|definition| definition.value.as_str());
        let values: Vec<&str> = values.chain(overrides().map(|one| one.value.value.as_str())).collect();
        let mut used: BTreeSet<String> =
            values.iter().flat_map(|value| expand::names(value)).map(str::to_owned).collect();
        let arguments = master.services.iter().flat_map(|service| &service.arguments);
        used.extend(arguments.flat_map(|word| expand::names(&word.value)).map(str::to_owned));
        let classes = "smtpd_restriction_classes";
        let lists = main.definitions().get(classes).map(|definition| definition.value.as_str());
        let overridden =
            overrides().filter(|one| one.name.value == classes).map(|one| one.value.value.as_str());
        used.extend(lists.into_iter().chain(overridden).flat_map(words).map(str::to_owned));
        let databases = values.iter().flat_map(|value| words(value)).filter_map(database).collect();
        let named = master.services.iter().map(|service| service.name.value.clone());
        let services = named.chain(TRANSPORTS.map(str::to_owned)).collect();
        let defined = main.definitions().keys().cloned().collect();
        Known { used, services, databases, defined }
    }

    /// What is wrong with a name; `guesses` counts down how often it is still asked what was meant.
    fn check(&self, name: &str, value: &str, place: &Place, guesses: &mut usize) -> Option<Diagnostic> {
        if let Some(parameter) = registry::find(name) {
            if self.used.contains(name) {
                return None;
            }
            if parameter.state == registry::State::NotYet && parameter.obsolete.is_none() {
                // `relayhost =`, as Debian writes it: who sets the default asks for nothing.
                if matches!(parameter.default, registry::Default::Text(text) if text == value.trim()) {
                    return None;
                }
                let diagnostic =
                    Diagnostic::warning(123, place.clone(), format!("{name} is not implemented yet"));
                let what = parameter.sentence().trim_end_matches('.');
                return Some(diagnostic.help(format!(
                    "Komainu doesn't implement it yet, so it has no effect here; what it is: {what}"
                )));
            }
            let instead = parameter.obsolete?;
            let diagnostic =
                Diagnostic::warning(122, place.clone(), format!("{name} has been removed or renamed"));
            let renamed = RENAMED.iter().find(|(old, _)| *old == name).map(|(_, new)| *new);
            return Some(match renamed {
                Some(new) if !self.defined.contains(new) => diagnostic.help(instead).fix(place.clone(), new),
                _ => diagnostic.help(instead),
            });
        }
        let in_database = || {
            let mut prefixes = name.match_indices('_').filter(|(at, _)| at + 1 < name.len());
            prefixes.any(|(at, _)| name.get(..at).is_some_and(|prefix| self.databases.contains(prefix)))
        };
        if self.used.contains(name) || in_database() {
            return None;
        }
        let derived = registry::derived(name);
        if let Some(derived) = derived
            && self.services.contains(derived.service)
        {
            return not_served(name, place, derived, value);
        }
        if is_restriction(name) {
            return Some(restriction(name, value, place));
        }
        *guesses = guesses.saturating_sub(1);
        if *guesses == 0 {
            return Some(self.unknown(name, &Near::Nothing, place));
        }
        let near = nearness(name, registry::all().filter(|p| p.obsolete.is_none()).map(|p| p.name));
        if let (Near::Nothing, Some(derived)) = (&near, derived) {
            return Some(self.foreign(name, derived.service, place));
        }
        Some(self.unknown(name, &near, place))
    }

    /// A parameter of a service that isn't there.
    fn foreign(&self, name: &str, service: &str, place: &Place) -> Diagnostic {
        let message = format!("{name} belongs to a service `{service}` that master.cf doesn't have");
        let diagnostic = Diagnostic::warning(121, place.clone(), message);
        match nearest(service, self.services.iter().map(String::as_str)) {
            Some(near) => {
                let meant = format!("{near}{}", name.get(service.len()..).unwrap_or(""));
                diagnostic.help(format!("it has no effect; did you mean `{meant}`?"))
            }
            None => diagnostic.help("it has no effect; name the service as in master.cf"),
        }
    }

    fn unknown(&self, name: &str, near: &Near<'_>, place: &Place) -> Diagnostic {
        let diagnostic = Diagnostic::warning(120, place.clone(), format!("unknown parameter: {name}"));
        match near {
            Near::One(near) if self.defined.contains(*near) => diagnostic
                .help(format!("did you mean `{near}`, which is set too? As it stands it has no effect")),
            Near::One(near) => diagnostic
                .help(format!("did you mean `{near}`? As it stands it has no effect"))
                .fix(place.clone(), *near),
            Near::Several(names) => {
                let names: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
                let names = names.join(" or ");
                diagnostic.help(format!("did you mean {names}? As it stands it has no effect"))
            }
            Near::Nothing if name.starts_with("mua_") => diagnostic.help(format!(
                "it has no effect unless master.cf refers to it: `-o smtpd_{}=${name}`",
                name.trim_start_matches("mua_")
            )),
            Near::Nothing => diagnostic.help("it has no effect; delete it, or refer to it as `$name`"),
        }
    }
}

/// Whether the name is a restriction's: no parameter begins so but those of the registry.
fn is_restriction(name: &str) -> bool {
    ["permit_", "reject_", "check_", "defer_if_", "warn_if_reject"]
        .iter()
        .any(|start| name.starts_with(start))
}

fn restriction(name: &str, value: &str, place: &Place) -> Diagnostic {
    let message = format!("{name} is a restriction and no parameter");
    let written = match value.trim() {
        "" | "yes" | "no" => name.to_owned(),
        value if name.starts_with("check_") || name.contains("bl_") => format!("{name} {value}"),
        _ => name.to_owned(),
    };
    Diagnostic::warning(130, place.clone(), message).help(format!(
        "it has no effect here; write `{written}` into a list such as smtpd_recipient_restrictions, before what \
         permits everyone"
    ))
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split([',', ' ', '\t', '\r', '\n', '{', '}']).filter(|word| !word.is_empty())
}

/// The name in `ldap:NAME`, whose parameters stand in main.cf.
fn database(word: &str) -> Option<String> {
    let word = word.strip_prefix("proxy:").unwrap_or(word);
    let (kind, name) = word.split_once(':')?;
    let is_database = matches!(kind, "ldap" | "mysql" | "pgsql" | "sqlite" | "memcache" | "mongodb");
    (is_database && !name.is_empty() && !name.contains('/')).then(|| name.to_owned())
}

/// A transport's own parameter that asks for what isn't done. A command's time limit is not said: `spawn` needs none,
/// and of `pipe` the transport itself is told.
fn not_served(name: &str, place: &Place, derived: registry::Derived<'_>, value: &str) -> Option<Diagnostic> {
    let asks = derived.default != "$command_time_limit" && derived.default != value.trim();
    (asks && derived.state() == registry::State::NotYet).then(|| {
        Diagnostic::warning(123, place.clone(), format!("{name} is not implemented yet"))
            .help("Komainu doesn't implement it yet, so it has no effect here")
    })
}

#[cfg(test)]
mod tests;
