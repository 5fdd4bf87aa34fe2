//! Where the rules that refused stand in main.cf, as far as their names tell.

use config::{Parameters, Place, Spanned};
use report::summary::{Rule, Summary};

/// The restriction lists.
const LISTS: [&str; 8] = [
    "smtpd_client_restrictions",
    "smtpd_helo_restrictions",
    "smtpd_sender_restrictions",
    "smtpd_relay_restrictions",
    "smtpd_recipient_restrictions",
    "smtpd_data_restrictions",
    "smtpd_end_of_data_restrictions",
    "smtpd_etrn_restrictions",
];

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

/// Puts the place of each rule into the summary.
pub(super) fn put(summary: &mut Summary, p: &Parameters) {
    let classes = p.list("smtpd_restriction_classes").into_iter().map(|class| class.value);
    let lists: Vec<Vec<Spanned<String>>> =
        LISTS.iter().map(|name| (*name).to_owned()).chain(classes).map(|name| p.list(&name)).collect();
    for counted in &mut summary.rules {
        let found = of(&counted.rule, p, &lists);
        counted.place = match found.as_slice() {
            [] => None,
            [one] => Some(one.to_string()),
            [first, others @ ..] => Some(format!("{first} and {} more", others.len())),
        };
    }
}

fn of(rule: &Rule, p: &Parameters, lists: &[Vec<Spanned<String>>]) -> Vec<Place> {
    if rule.name.starts_with("postscreen_dnsbl") {
        return word_of(&p.list(rule.name), rule.argument.as_deref().unwrap_or_default());
    }
    let mut found = Vec::new();
    for list in lists {
        for (at, word) in list.iter().enumerate() {
            let next = list.get(at + 1).map_or("", |next| next.value.as_str());
            if word.place.file.is_some() && is(rule, &word.value, next) {
                found.push(word.place.clone());
            }
        }
    }
    if found.is_empty() {
        // A rule that is a parameter.
        found.extend(p.definitions().find(|(name, _)| *name == rule.name).map(|(_, raw)| raw.place.clone()));
    }
    found
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

/// The word of a list that names this zone.
fn word_of(list: &[Spanned<String>], zone: &str) -> Vec<Place> {
    let same = |word: &&Spanned<String>| zone_of(&word.value).eq_ignore_ascii_case(zone);
    list.iter().filter(same).filter(|word| word.place.file.is_some()).map(|word| word.place.clone()).collect()
}

/// A zone without the answers and the weight that are asked of it.
fn zone_of(word: &str) -> &str {
    word.split(['=', '*']).next().unwrap_or(word).trim_end_matches('.')
}
