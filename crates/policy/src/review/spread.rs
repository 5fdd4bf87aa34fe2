//! Strangers whom a table's own lines may know although nobody meant them: in each /8 of the public address space,
//! without a name, with a name under a public top-level domain; and recipients under those, or beside what a pattern
//! without anchors was meant for.
//!
//! Only those to whom some table says OK are handed out, to be walked through all lists like any other. A network
//! smaller than a /8 is somebody's choice, as in K0142. Deliberately not here: whether the others can relay (`relay`).

use super::Case;
use super::outcomes::{End, Ending, Spot, bare, may_permit, table};
use super::persona::{Persona, Word};
use crate::check::{Check, Entry, Subject};
use crate::transaction::Stage;
use config::Diagnostic;
use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};

/// Top-level domains that are tried always.
const TRIED: [&str; 5] = ["com", "net", "org", "de", "ru"];
/// Top-level domains of more than two letters that no private network has: the older ones, and of the newer those
/// with most names and those most seen in spam.
const PUBLIC: [&str; 66] = [
    "academy", "aero", "agency", "app", "asia", "bar", "beauty", "best", "bet", "bid", "biz", "blog", "buzz",
    "casa", "cat", "cfd", "click", "cloud", "club", "com", "coop", "cyou", "date", "dev", "digital", "edu",
    "email", "fun", "global", "gov", "icu", "info", "int", "jobs", "life", "link", "live", "ltd", "mil",
    "mobi", "mom", "monster", "museum", "name", "net", "news", "online", "org", "page", "pro", "quest",
    "rest", "sbs", "shop", "site", "space", "store", "tech", "today", "top", "vip", "website", "win", "work",
    "world", "xyz",
];
const DOMAINS: [&str; 4] =
    ["relay_domains", "mydestination", "virtual_alias_domains", "virtual_mailbox_domains"];
/// Names in patterns beside which is looked, and top-level domains that are tried.
const NAMES_MAX: usize = 64;

type Asked<'a> = Vec<(Stage, &'a Entry)>;

/// Everybody to whom some table says OK, and who is still nobody's.
pub(super) fn personas(case: &Case<'_>) -> Vec<Persona> {
    let mut all = Vec::new();
    let clients = asked(case, Subject::Client);
    if !clients.is_empty() {
        let mut hosts = vec![Persona::host(None, None, case)];
        for domain in tried(case, &clients) {
            hosts.push(Persona::host(None, Some(&format!("mail.stranger-77.{domain}")), case));
        }
        all.extend(hosts.into_iter().filter(|one| is_liked(case, one, &clients)));
        let public = (1..=223_u8).filter(|first| !matches!(first, 10 | 127));
        all.extend(public.filter_map(|first| spread(case, first, &clients)));
    }
    let recipients = asked(case, Subject::Recipient);
    if !recipients.is_empty() {
        let mut domains: BTreeSet<String> =
            tried(case, &recipients).into_iter().map(|domain| format!("stranger-77.{domain}")).collect();
        for name in names(case, &recipients) {
            domains.insert(format!("zz{name}"));
            domains.insert(format!("{name}.stranger-77.com"));
        }
        for domain in domains.into_iter().filter(|domain| case.is_foreign(domain)) {
            let recipient = Word::Text(format!("someone@{domain}"));
            let one = Persona { recipient, ..Persona::host(None, Some(super::persona::HELO), case) };
            if is_liked(case, &one, &recipients) {
                all.push(one);
            }
        }
    }
    all
}

/// Top-level domains to try: the usual ones, and those that a table says OK to as a whole.
fn tried(case: &Case<'_>, asked: &Asked<'_>) -> BTreeSet<String> {
    let mut domains: BTreeSet<String> = TRIED.map(str::to_owned).into();
    for (_, entry) in asked {
        let Some(rows) = table(&entry.check).and_then(|table| case.rows(table)) else { continue };
        for row in rows.iter().filter(|row| may_permit(&row.value)) {
            let key = row.key.as_deref().unwrap_or_default();
            let domain = key.strip_prefix('.').unwrap_or(key).to_ascii_lowercase();
            if domains.len() < NAMES_MAX && is_public(&domain) {
                domains.insert(domain);
            }
        }
    }
    domains
}

/// The tables that are asked for `subject`.
fn asked<'a>(case: &Case<'a>, subject: Subject) -> Asked<'a> {
    let mut asked = case.entries();
    asked.retain(|(stage, entry)| match entry.check {
        Check::Access { subject: about, .. } => about == subject,
        Check::BareTable(_) => bare(*stage) == Some(subject),
        _ => false,
    });
    asked
}

fn is_liked(case: &Case<'_>, persona: &Persona, asked: &Asked<'_>) -> bool {
    asked.iter().any(|(stage, entry)| {
        let tx = persona.transaction(*stage, true);
        let endings = Spot { case, persona, stage: *stage, tx: &tx }.endings(entry, false);
        let likes = |ending: &Ending| matches!(ending, Ending::Line(End::Permit, _) | Ending::Nested(..));
        endings.iter().any(likes)
    })
}

/// A host of the /8, where tables like it as a whole: two hosts far from each other.
fn spread(case: &Case<'_>, first: u8, asked: &Asked<'_>) -> Option<Persona> {
    let host = |rest: [u8; 3]| {
        let [b, c, d] = rest;
        let address = IpAddr::V4(Ipv4Addr::new(first, b, c, d));
        Some(Persona::host(Some(address), Some(super::persona::HELO), case))
            .filter(|one| is_liked(case, one, asked))
    };
    host([201, 84, 9])?;
    host([37, 191, 77])
}

/// Names of domains in the patterns that let recipients pass.
fn names(case: &Case<'_>, asked: &Asked<'_>) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for (_, entry) in asked {
        let Some(rows) = table(&entry.check).and_then(|table| case.rows(table)) else { continue };
        for row in rows.iter().filter(|row| row.key.is_none() && may_permit(&row.value)) {
            let text = row.place.text().replace('\\', "").to_lowercase();
            for run in text.split(|c: char| !c.is_ascii_alphanumeric() && !matches!(c, '.' | '-')) {
                let name = run.trim_matches(['.', '-']);
                if names.len() < NAMES_MAX && name.contains('.') && !name.contains("..") {
                    names.insert(name.to_owned());
                }
            }
        }
    }
    names
}

/// Top-level domains that this server takes mail for as a whole.
pub(super) fn top_level(case: &Case<'_>) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    for name in DOMAINS {
        for word in case.parameters.list(name) {
            let domain = word.value.trim_start_matches('.').to_lowercase();
            let table = (word.value.contains([':', '/']) && !word.value.starts_with('!')).then_some("com");
            let Some(domain) = is_public(&domain).then_some(domain.as_str()).or(table) else { continue };
            if !is_own(case, &format!("stranger-77.{domain}")) || (table.is_some() && !found.is_empty()) {
                continue;
            }
            let place = super::relay::somewhere(case, word.place.clone());
            let message = format!(
                "`{}` in {name} takes mail for every name under {domain}{}",
                word.value,
                case.whose(&[name])
            );
            found.push(Diagnostic::error(440, place, message).help(
                "an open relay: reject_unauth_destination lets mail to all of them pass; name your own domains only",
            ));
        }
    }
    found
}

fn is_public(domain: &str) -> bool {
    let country = domain.len() == 2 && domain.bytes().all(|b| b.is_ascii_lowercase());
    country || domain.starts_with("xn--") && !domain.contains('.') || PUBLIC.contains(&domain)
}

/// Whether mail to `domain` is surely taken.
fn is_own(case: &Case<'_>, domain: &str) -> bool {
    let recipient = mail::Address::from_internal(format!("someone@{domain}"));
    let addresses = &case.policy.addresses;
    let resolved = addresses.resolve(&recipient, case.snapshot.as_ref());
    resolved.is_ok_and(|resolved| addresses.is_authorized_destination(&resolved))
}
