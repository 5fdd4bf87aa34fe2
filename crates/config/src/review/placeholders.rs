//! Words that a page printed in the place of the reader's own: `xxx.xxx.xxx.xxx`, `yourkey`, `192.168.x.0/24`.
//!
//! Names of example domains are believed everywhere but as DNS lists: who tries something out has them. Files and
//! sentences for people aren't looked at. K0163. T2.7, T2.10.

use super::Subject;
use crate::registry::{self, Kind};
use crate::{Diagnostic, Spanned, split_words};

pub(super) fn review(subject: &Subject<'_>, found: &mut Vec<Diagnostic>) {
    for (name, raw) in subject.parameters.definitions() {
        if raw.place.file.is_some() {
            value(name, raw, found);
        }
    }
    for one in subject.master.services.iter().flat_map(|service| &service.overrides) {
        value(&one.name.value, &one.value, found);
    }
}

fn value(name: &str, raw: &Spanned<String>, found: &mut Vec<Diagnostic>) {
    let kind = registry::find(name).map_or(Kind::List, |parameter| parameter.kind);
    let prose = name.ends_with("_banner") || name.ends_with("_footer") || name.ends_with("_reply");
    if !matches!(kind, Kind::List | Kind::Text) || prose || !may_hold_one(&raw.value) {
        return;
    }
    let mut asks_zone = false;
    for word in split_words(raw.clone()) {
        let is_zone = asks_zone || matches!(name, "postscreen_dnsbl_sites" | "maps_rbl_domains");
        asks_zone = asks_a_list(&word.value);
        let text = word.value.trim_start_matches('!');
        if let Some(what) = placeholder(text).or_else(|| is_zone.then(|| example(text)).flatten()) {
            found.push(told(name, &word, is_zone, what));
        }
    }
}

/// Long lists are looked through only where it may pay.
fn may_hold_one(text: &str) -> bool {
    let lower = text.to_ascii_lowercase();
    [
        "your",
        "x",
        "yyy",
        "zzz",
        "nnn",
        "<",
        "change",
        "fixme",
        "placeholder",
        "replace",
        "tld",
        "example",
        "test",
    ]
    .iter()
    .any(|sign| lower.contains(sign))
}

fn asks_a_list(word: &str) -> bool {
    let word = word.to_ascii_lowercase();
    ["reject_rbl_", "reject_rhsbl_", "permit_dnswl_", "permit_rhswl_"]
        .iter()
        .any(|start| word.starts_with(start))
}

fn told(name: &str, word: &Spanned<String>, is_zone: bool, what: &str) -> Diagnostic {
    let shown: String = word.value.chars().take(60).collect();
    let help = if is_zone {
        "there is no DNS list of this name: it lists nobody, and every client waits for the query; write the name of \
         the list that you mean, or remove it"
            .to_owned()
    } else if name == "mynetworks" {
        "it matches nobody; write your own network, or remove it".to_owned()
    } else {
        format!("Postfix takes it as it stands; write your own {name} in its place")
    };
    Diagnostic::warning(163, word.place.clone(), format!("`{shown}` is {what}")).help(help)
}

const PLACEHOLDER: &str = "a placeholder";

/// What such a word is.
fn placeholder(word: &str) -> Option<&'static str> {
    let lower = word.to_ascii_lowercase();
    if lower.starts_with('/') || lower.contains(":/") {
        return None;
    }
    if lower.strip_prefix('<').is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_alphabetic())) {
        return Some(PLACEHOLDER);
    }
    let parts =
        lower.split(['[', ']', ':', '@', '/', '=', '*', '{', '}', '>']).filter(|part| !part.is_empty());
    parts.into_iter().any(|part| is_blank(part) || is_own(part)).then_some(PLACEHOLDER)
}

/// `xxx.xxx.xxx.xxx`, `xxx.yyy.zzz.aaa`, `192.168.x.0`, `x.x.x.x`
fn is_blank(part: &str) -> bool {
    let labels: Vec<&str> = part.split('.').collect();
    let same = |label: &str| {
        let mut letters = label.chars();
        let first = letters.next();
        first.is_some_and(|c| c.is_ascii_alphabetic()) && letters.all(|c| Some(c) == first)
    };
    let is_x = |label: &str| label.starts_with('x') && same(label);
    let is_number = |label: &str| !label.is_empty() && label.bytes().all(|b| b.is_ascii_digit());
    let all_blank = labels.len() >= 3 && labels.iter().all(|label| label.len() == 3 && same(label));
    let as_address = labels.len() == 4
        && labels.iter().any(|label| is_x(label))
        && labels.iter().all(|label| is_x(label) || is_number(label));
    all_blank || as_address
}

/// `yourkey`, `your-domain.com`, `changeme`, `example.tld`
fn is_own(part: &str) -> bool {
    const WHOSE: [&str; 14] = [
        "",
        "accesskey",
        "company",
        "domain",
        "domainname",
        "dqskey",
        "host",
        "hostname",
        "ip",
        "ipaddress",
        "isp",
        "key",
        "network",
        "dqs",
    ];
    let yours = |label: &str| {
        let rest = label.strip_prefix("your").map(|rest| rest.trim_start_matches(['-', '_']));
        rest.is_some_and(|rest| WHOSE.contains(&rest))
            || label.split('_').any(|piece| piece == "your") && label.contains('_')
            // `your-server.de` is a name of this world.
            || label.starts_with("your-") && label.ends_with("-here")
    };
    let open = [
        "changeme",
        "change_me",
        "change-me",
        "fixme",
        "placeholder",
        "replaceme",
        "replace_me",
        "replace-me",
    ];
    part.split('.').any(|label| yours(label) || open.contains(&label)) || part.ends_with(".tld")
}

/// A DNS list under a name that is kept for examples (RFC 2606).
fn example(word: &str) -> Option<&'static str> {
    let domain = word.split(['=', '*']).next().unwrap_or("").trim_end_matches('.').to_ascii_lowercase();
    let kept = ["example", "example.com", "example.net", "example.org", "invalid", "test"];
    let within = |name: &&str| {
        domain.strip_suffix(*name).is_some_and(|before| before.is_empty() || before.ends_with('.'))
    };
    kept.iter().any(within).then_some("a name reserved for examples")
}
