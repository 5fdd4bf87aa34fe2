//! What postscreen's numbers and lists can never reach (postscreen(8), POSTSCREEN_README).
//!
//! K0456 a threshold above all weights, K0457 an allow threshold below all weights, K0458 one's own networks are
//! tested, K0459 tests that send every new client away once (T2.1, T2.3).

use super::Case;
use config::{Diagnostic, Place, Spanned};

pub(super) fn review(case: &Case<'_>) -> Vec<Diagnostic> {
    let Some(screening) = case.screening else { return Vec::new() };
    let mut found = Vec::new();
    let (most, least) = screening.weights();
    found.extend(unreachable(case, most));
    found.extend(never_allowed(case, least));
    found.extend(own_networks(case));
    found.extend(after_220(case));
    found
}

fn place(case: &Case<'_>, names: &[&str]) -> Place {
    let places = names.iter().map(|name| case.parameters.text(name).place);
    places.into_iter().find(|place| place.file.is_some()).unwrap_or_else(Place::nowhere)
}

fn unreachable(case: &Case<'_>, most: i64) -> Option<Diagnostic> {
    let p = case.parameters;
    let threshold = p.number("postscreen_dnsbl_threshold");
    if p.list("postscreen_dnsbl_sites").is_empty() || most >= threshold {
        return None;
    }
    let message = format!("no client can reach postscreen_dnsbl_threshold = {threshold}");
    let place = place(case, &["postscreen_dnsbl_threshold", "postscreen_dnsbl_sites"]);
    Some(Diagnostic::warning(456, place, message).help(format!(
        "the weights in postscreen_dnsbl_sites add up to {most}: the lists are queried, but refuse nobody; lower the \
         threshold, or raise a weight (zone*2)"
    )))
}

fn never_allowed(case: &Case<'_>, least: i64) -> Option<Diagnostic> {
    let p = case.parameters;
    let names = ["postscreen_dnsbl_allowlist_threshold", "postscreen_dnsbl_whitelist_threshold"];
    let threshold = p.number(names[0]);
    if threshold >= 0 || least <= threshold || p.list("postscreen_dnsbl_sites").is_empty() {
        return None;
    }
    let message = format!("no client can reach postscreen_dnsbl_allowlist_threshold = {threshold}");
    Some(
        Diagnostic::warning(457, place(case, &names), message)
            .help(format!("the negative weights add up to {least}; write a negative weight as zone*-2")),
    )
}

fn own_networks(case: &Case<'_>) -> Option<Diagnostic> {
    let p = case.parameters;
    let name = "postscreen_access_list";
    let words = p.list(name);
    let knows = |word: &Spanned<String>| {
        word.value.eq_ignore_ascii_case("permit_mynetworks") || word.value.contains(':')
    };
    if !p.is_set(name) || words.iter().any(knows) {
        return None;
    }
    Some(
        Diagnostic::warning(
            458,
            place(case, &[name]),
            format!("{name} doesn't let your own networks through"),
        )
        .help("they are tested like strangers; write permit_mynetworks first"),
    )
}

fn after_220(case: &Case<'_>) -> Option<Diagnostic> {
    let p = case.parameters;
    let tests = [
        "postscreen_pipelining_enable",
        "postscreen_non_smtp_command_enable",
        "postscreen_bare_newline_enable",
    ];
    let name = tests.into_iter().find(|name| p.is_set(name) && p.flag(name))?;
    let place = place(case, &[name]);
    Some(
        Diagnostic::hint(459, place, format!("{name} turns every new client away once, with 450 4.3.2")).help(
            "mail from large senders comes back from another address, and is delayed for hours; the tests before the greeting \
             have no such cost",
        ),
    )
}
