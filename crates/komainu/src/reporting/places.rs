//! Where the rules that refused stand in main.cf, or in master.cf's `-o`, as far as their names tell.

use config::master_cf::{Role, Service};
use config::{Parameters, Place, Spanned};
use policy::Stage;
use report::summary::{Rule, Summary};
use std::collections::BTreeMap;

/// Other names under which restrictions may stand in a list.
const ALSO: [(&str, &[&str]); 9] = [
    ("reject_rbl_client", &["reject_rbl", "reject_maps_rbl"]),
    ("reject_rhsbl_client", &["reject_rhsbl_client"]),
    ("reject_unknown_client_hostname", &["reject_unknown_client"]),
    ("reject_unknown_helo_hostname", &["reject_unknown_hostname"]),
    ("reject_invalid_helo_hostname", &["reject_invalid_hostname"]),
    ("reject_non_fqdn_helo_hostname", &["reject_non_fqdn_hostname"]),
    ("reject_unauth_destination", &["defer_unauth_destination", "reject"]),
    (
        "reject_sender_login_mismatch",
        &["reject_authenticated_sender_login_mismatch", "reject_unauthenticated_sender_login_mismatch"],
    ),
    ("reject_unlisted_recipient", &["check_recipient_maps"]),
];

/// Policy servers by a part of their name or port.
const SERVERS: [(&str, &[&str]); 2] = [("greylisting", &["postgrey", "10023", "grey"]), ("SPF", &["spf"])];

/// Where words of restriction lists, and parameters that may refuse, stand.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Places {
    /// The restriction lists and classes: main.cf's, and those of servers whose lines in master.cf say otherwise.
    lists: Vec<Vec<Spanned<String>>>,
    /// Postscreen's lists.
    screens: Vec<Vec<Spanned<String>>>,
    /// Parameters by their names.
    parameters: BTreeMap<String, Vec<Place>>,
}

impl Places {
    /// Those of main.cf, and of `-o` in master.cf's lines.
    pub(crate) fn of(p: &Parameters, services: &[Service]) -> Places {
        let mut places = Places::default();
        places.add(p);
        for (name, raw) in p.definitions() {
            places.parameters.entry(name.to_owned()).or_default().push(raw.place.clone());
        }
        for service in services.iter().filter(|service| !service.overrides.is_empty()) {
            if matches!(service.role(), Role::Smtpd | Role::Postscreen) {
                places.add(&p.with_overrides(&service.overrides).0);
            }
            for one in &service.overrides {
                places.parameters.entry(one.name.value.clone()).or_default().push(one.value.place.clone());
            }
        }
        places
    }

    fn add(&mut self, p: &Parameters) {
        let classes = p.list("smtpd_restriction_classes").into_iter().map(|class| class.value);
        for name in Stage::ALL.map(|stage| stage.parameter().to_owned()).into_iter().chain(classes) {
            keep(p.list(&name), &mut self.lists);
        }
        keep(p.list("postscreen_dnsbl_sites"), &mut self.screens);
    }

    /// Puts the place of each rule into the summary.
    pub(crate) fn put(&self, summary: &mut Summary) {
        for counted in &mut summary.rules {
            let found = self.rule(&counted.rule);
            counted.place = match found.as_slice() {
                [] => None,
                [one] => Some(one.to_string()),
                [first, others @ ..] => Some(format!("{first} and {} more", others.len())),
            };
        }
    }

    fn rule(&self, rule: &Rule) -> Vec<Place> {
        let mut found: Vec<Place> = Vec::new();
        let mut add = |place: &Place| {
            if place.file.is_some() && !found.contains(place) {
                found.push(place.clone());
            }
        };
        if rule.name == "postscreen_dnsbl_sites" {
            let zone = rule.argument.as_deref().unwrap_or_default();
            let words = self.screens.iter().flatten();
            words
                .filter(|word| zone_of(&word.value).eq_ignore_ascii_case(zone))
                .for_each(|word| add(&word.place));
            return found;
        }
        for list in &self.lists {
            for (at, word) in list.iter().enumerate() {
                let next = list.get(at + 1).map_or("", |next| next.value.as_str());
                if is(rule, &word.value, next) {
                    add(&word.place);
                }
            }
        }
        if found.is_empty() {
            // A rule that is a parameter.
            let places = self.parameters.get(rule.name);
            found.extend(places.into_iter().flatten().cloned());
        }
        found
    }
}

/// Keeps a list that isn't known yet: most lines of master.cf have main.cf's.
fn keep(list: Vec<Spanned<String>>, lists: &mut Vec<Vec<Spanned<String>>>) {
    if list.iter().any(|word| word.place.file.is_some()) && !lists.contains(&list) {
        lists.push(list);
    }
}

/// Whether a restriction and the word behind it are the rule.
fn is(rule: &Rule, word: &str, next: &str) -> bool {
    let same = |name: &str| word.eq_ignore_ascii_case(name);
    if let Some((_, parts)) = SERVERS.iter().find(|(name, _)| *name == rule.name) {
        let server = same("check_policy_service") && parts.iter().any(|part| next.contains(part));
        return server || (rule.name == "SPF" && same("reject_spf_fail"));
    }
    let others = ALSO.iter().find(|(name, _)| *name == rule.name).map_or(&[][..], |(_, others)| others);
    let named = same(rule.name) || others.iter().any(|other| same(other));
    named && rule.argument.as_deref().is_none_or(|zone| zone_of(next).eq_ignore_ascii_case(zone))
}

/// A zone without the answers and the weight that are asked of it.
fn zone_of(word: &str) -> &str {
    word.split(['=', '*']).next().unwrap_or(word).trim_end_matches('.')
}
