//! DKIM keys: those that OpenDKIM signs with must be in the DNS; else one is looked for under usual names.
//!
//! OpenDKIM's `KeyTable`, or `Domain` and `Selector`; rspamd's usual selector is among the usual names. Keys aren't
//! compared with their private halves.
//! Diagnostics: K0620 a selector that signs and isn't in the DNS, K0621 no key under usual names.

use super::Matter;
use super::domains::{Domain, is_addressed};
use super::known::Known;
use crate::check::surroundings::Machine;
use config::{Diagnostic, Place};

/// Selectors that packages and guides use.
const USUAL: [&str; 6] = ["default", "mail", "dkim", "s1", "selector1", "2024"];
/// Keys that are looked at.
const KEYS_MAX: usize = 200;

pub(super) fn judge(matter: &Matter<'_>, known: &Known) -> Vec<Diagnostic> {
    let signing = signing(matter.machine);
    if !signing.is_empty() {
        let judged: Vec<_> = signing
            .iter()
            .map(|(selector, domain)| {
                let place = matter.domains.iter().find(|one| one.name == *domain);
                let place = place.map_or_else(Place::nowhere, |one| one.place.clone());
                key(selector, domain, place, known)
            })
            .collect();
        return judged.into_iter().flatten().collect();
    }
    let sending = matter.domains.iter().filter(|domain| !domain.is_relayed);
    let judged: Vec<_> = sending.map(|domain| usual(domain, known)).collect();
    judged.into_iter().flatten().collect()
}

fn key(selector: &str, domain: &str, place: Place, known: &Known) -> Option<Diagnostic> {
    let name = format!("{selector}._domainkey.{domain}");
    let texts = known.texts(&name)??;
    let help = "every signature made with it is worth nothing, or less: publish the key (opendkim-genkey wrote it \
                beside the private one)";
    let Some(record) = texts.iter().find(|text| text.contains("p=")) else {
        let message =
            format!("OpenDKIM signs for {domain} with the selector {selector}, and {name} isn't there");
        return Some(Diagnostic::warning(620, place, message).help(help));
    };
    let public = record.split(';').find_map(|part| part.trim().strip_prefix("p="));
    public.is_none_or(|public| public.trim().is_empty()).then(|| {
        let message =
            format!("OpenDKIM signs for {domain} with the selector {selector}, whose key is withdrawn");
        Diagnostic::warning(620, place, message).help(help)
    })
}

fn usual(domain: &Domain, known: &Known) -> Option<Diagnostic> {
    let is_addressed = is_addressed(domain, known);
    let asked: Vec<_> =
        USUAL.iter().map(|selector| known.texts(&format!("{selector}._domainkey.{}", domain.name))).collect();
    for texts in asked {
        if texts??.iter().any(|text| text.contains("p=")) {
            return None;
        }
    }
    if !is_addressed? {
        return None;
    }
    let message = format!("no DKIM key of {} was found under the usual names", domain.name);
    let help = "large providers want mail to be signed; nothing is wrong where its selector has another name";
    Some(Diagnostic::hint(621, domain.place.clone(), message).help(help))
}

/// Selector and domain of every key that OpenDKIM signs with.
fn signing(machine: &Machine) -> Vec<(String, String)> {
    let Some(text) = machine.text("/etc/opendkim.conf") else { return Vec::new() };
    let setting = |name: &str| {
        let mut lines = text.lines().map(|line| line.split('#').next().unwrap_or("").trim());
        lines.find_map(|line| {
            let (key, value) = line.split_once(char::is_whitespace)?;
            key.eq_ignore_ascii_case(name).then(|| value.trim().to_owned())
        })
    };
    if let Some(table) = setting("KeyTable") {
        let path = table.rsplit(':').next().unwrap_or("");
        return key_table(&machine.text(path).unwrap_or_default());
    }
    match (setting("Domain"), setting("Selector")) {
        (Some(domains), selector) => {
            let selector = selector.unwrap_or_else(|| "default".to_owned());
            let domains = domains.split([',', ' ']).map(str::trim).filter(|domain| domain.contains('.'));
            domains.map(|domain| (selector.clone(), domain.to_ascii_lowercase())).collect()
        }
        _ => Vec::new(),
    }
}

/// `name domain:selector:path`; `%` stands for the signing domain, which isn't known here.
fn key_table(text: &str) -> Vec<(String, String)> {
    let lines = text.lines().map(|line| line.split('#').next().unwrap_or("").trim());
    let keys = lines.filter_map(|line| {
        let (_, value) = line.split_once(char::is_whitespace)?;
        let mut parts = value.trim().split(':');
        let (domain, selector) = (parts.next()?, parts.next()?);
        (domain.contains('.') && !selector.is_empty())
            .then(|| (selector.to_owned(), domain.to_ascii_lowercase()))
    });
    keys.take(KEYS_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::key_table;

    #[test]
    fn tables_of_keys() {
        let text = "# x\nm._domainkey.example.com Example.com:m:/etc/dkim/m.private\n\nall %:m:/x\nbad\n";
        assert_eq!(key_table(text), [("m".to_owned(), "example.com".to_owned())]);
    }
}
