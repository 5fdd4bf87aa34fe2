//! Names that nobody knows: misspelt parameters in main.cf and in master.cf's `-o` (T2.12).
//!
//! A name counts as known when the registry has it, when another value refers to it by `$name`, when it is a
//! restriction class, when it begins with a service of master.cf and ends as such parameters do, or when it
//! belongs to a database table that is named in main.cf (`ldap:NAME` brings `NAME_server_host` …).
//! Diagnostics: K0120 an unknown name, K0121 a parameter of a service that isn't there, K0122 a name of the past,
//! K0123 a parameter that is not served yet.

use crate::expand;
use crate::registry;
use crate::{Diagnostic, MainCf, MasterCf, Place};
use std::collections::BTreeSet;

/// Names of main.cf and of master.cf's `-o` that nobody knows, with what was meant.
#[must_use]
pub fn check_names(main: &MainCf, master: &MasterCf) -> Vec<Diagnostic> {
    let known = Known::new(main, master);
    let of_main = main.definitions().iter();
    let of_main =
        of_main.map(|(name, definition)| (name.as_str(), definition.value.as_str(), &definition.name));
    let overrides = master.services.iter().flat_map(|service| &service.overrides);
    let of_master = overrides.map(|one| (one.name.value.as_str(), one.value.value.as_str(), &one.name.place));
    of_main.chain(of_master).filter_map(|(name, value, place)| known.check(name, value, place)).collect()
}

struct Known {
    /// Referred to by `$name`, and restriction classes.
    used: BTreeSet<String>,
    /// Names of services.
    services: BTreeSet<String>,
    /// What the parameters of database tables begin with.
    databases: BTreeSet<String>,
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
        Known { used, services, databases }
    }

    fn check(&self, name: &str, value: &str, place: &Place) -> Option<Diagnostic> {
        if let Some(parameter) = registry::find(name) {
            if self.used.contains(name) {
                return None;
            }
            if parameter.state == registry::State::NotYet && parameter.obsolete.is_none() {
                // `relayhost =`, as Debian writes it: who sets the default asks for nothing.
                if matches!(parameter.default, registry::Default::Text(text) if text == value.trim()) {
                    return None;
                }
                let diagnostic = Diagnostic::warning(123, place.clone(), format!("{name} is not served yet"));
                let what = parameter.sentence().trim_end_matches('.');
                return Some(diagnostic.help(format!("it has no effect here yet; what it is: {what}")));
            }
            let instead = parameter.obsolete?;
            let diagnostic = Diagnostic::warning(122, place.clone(), format!("{name} is a name of the past"));
            return Some(diagnostic.help(instead));
        }
        let in_database = |prefix: &String| {
            name.strip_prefix(prefix.as_str()).is_some_and(|rest| rest.len() > 1 && rest.starts_with('_'))
        };
        if self.used.contains(name) || self.databases.iter().any(in_database) {
            return None;
        }
        let derived = registry::derived(name);
        if derived.is_some_and(|derived| self.services.contains(derived.service)) {
            return None;
        }
        let near = nearest(name, registry::all().filter(|p| p.obsolete.is_none()).map(|p| p.name));
        let diagnostic = match (near, derived) {
            (None, Some(derived)) => {
                let service = derived.service;
                let message = format!("{name} belongs to a service `{service}` that master.cf doesn't have");
                return Some(
                    Diagnostic::warning(121, place.clone(), message)
                        .help("it has no effect; name the service as in master.cf"),
                );
            }
            _ => Diagnostic::warning(120, place.clone(), format!("unknown parameter: {name}")),
        };
        Some(match near {
            Some(near) => diagnostic
                .help(format!("did you mean `{near}`? As it stands it has no effect"))
                .fix(place.clone(), near),
            None => diagnostic.help("it has no effect; delete it, or refer to it as `$name`"),
        })
    }
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

/// The candidate that is most like `word`, when one is like enough.
#[must_use]
pub fn nearest<'a>(word: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    // A wrong letter for each five, and three at most: farther off it is another word.
    let limit = (word.chars().count() / 5).clamp(1, 3);
    if word.len() > 128 {
        return None;
    }
    candidates
        .filter(|candidate| candidate.len().abs_diff(word.len()) <= limit)
        .filter_map(|candidate| Some((distance(word, candidate, limit)?, candidate)))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// How many letters to add, delete, change or swap with their neighbours to come from `a` to `b`; `None` when
/// more than `limit`.
fn distance(a: &str, b: &str, limit: usize) -> Option<usize> {
    const FAR: usize = usize::MAX / 2;
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut before: Vec<usize> = Vec::new();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut next = Vec::with_capacity(row.len());
        next.push(i + 1);
        for (j, y) in b.iter().enumerate() {
            let cell = |row: &[usize], at: usize| row.get(at).copied().unwrap_or(FAR);
            let change = cell(&row, j) + usize::from(x != y);
            let mut best = change.min(cell(&row, j + 1) + 1).min(cell(&next, j) + 1);
            if i > 0 && j > 0 && a.get(i - 1) == Some(y) && b.get(j - 1) == Some(x) {
                best = best.min(cell(&before, j - 1) + 1);
            }
            next.push(best);
        }
        if next.iter().chain(&row).all(|cell| *cell > limit) {
            return None;
        }
        before = std::mem::replace(&mut row, next);
    }
    row.last().copied().filter(|distance| *distance <= limit)
}

#[cfg(test)]
mod tests;
