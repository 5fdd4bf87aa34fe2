//! What OpenDKIM says of signatures: in Authentication-Results, in the log, and to the client.

use super::conf::{Conf, On};
use mail::authentication_results::{AuthenticationResults, MethodResult};
use mail::dkim::{Checked, DkimResult};

/// What becomes of the message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// It goes on.
    Accept,
    /// It is taken and thrown away.
    Discard,
    /// It is held.
    Hold,
    /// It is refused: `550 5.7.0 …`.
    Refuse(String),
}

/// Outcome of verifying.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said {
    /// The header to put on top.
    pub results: Option<AuthenticationResults>,
    /// For the log, behind the message's name.
    pub lines: Vec<String>,
    /// What becomes of it.
    pub action: Action,
}

/// Our words for what is wrong with a key or signature, and OpenDKIM's.
const REASONS: &[(&str, &str)] = &[
    ("there is no such key", "key not found in DNS"),
    ("the key was revoked", "key revoked"),
    ("the key is not for SHA-256", "signature-key hash mismatch"),
    ("the key is not for mail", "not an e-mail key"),
    ("the key is not for subdomains", "unauthorized subdomain"),
    ("the signature covers more than there is", "length tag value exceeds body size"),
];

const NO_KEY: [&str; 2] = ["there is no such key", "the key was revoked"];

/// The texts of replies: for good, for now.
#[must_use]
pub fn replies(on: On, text: &str, code_for_now: &str) -> Action {
    match on {
        On::Accept => Action::Accept,
        On::Discard => Action::Discard,
        On::Quarantine => Action::Hold,
        On::Reject => Action::Refuse(format!("550 5.7.0 {text}")),
        On::Tempfail => Action::Refuse(format!("451 {code_for_now} {text}")),
    }
}

/// The result's name and why, as OpenDKIM has them.
fn worded<'a>(conf: &Conf, one: &'a Checked) -> (&'static str, Option<&'a str>) {
    let is_small = one.algorithm == "rsa-sha256" && one.bits.is_some_and(|bits| bits < conf.minimum_key_bits);
    match &one.result {
        DkimResult::Pass if is_small => ("policy", Some("signing key too small")),
        DkimResult::Pass => ("pass", None),
        DkimResult::Policy(why) => ("policy", Some(why)),
        DkimResult::Fail(why @ ("the signature has expired" | "the signature is of the future")) => {
            ("permerror", Some(why))
        }
        DkimResult::Fail(_) => ("fail", Some("signature verification failed")),
        DkimResult::TempError => ("temperror", None),
        DkimResult::PermError(why) => match REASONS.iter().find(|(own, _)| own == why) {
            Some((_, theirs)) => ("fail", Some(theirs)),
            None => ("permerror", Some(why)),
        },
    }
}

fn method_result(conf: &Conf, one: &Checked) -> MethodResult {
    let (result, why) = worded(conf, one);
    let mut found = MethodResult::new("dkim", result);
    if let Some(why) = why {
        found = found.because(why);
    }
    if let Some(bits) = one.bits.filter(|_| one.algorithm == "rsa-sha256") {
        found = found.commented(format!("{bits}-bit key"));
    }
    let start = if conf.no_header_b { "" } else { one.start.as_str() };
    let properties = [
        ("d", one.domain.as_str()),
        ("i", &one.identity),
        ("a", one.algorithm),
        ("s", &one.selector),
        ("b", start),
    ];
    for (name, value) in properties.into_iter().filter(|(_, value)| !value.is_empty()) {
        found = found.with("header", name, value);
    }
    found
}

/// What is said of a message with these signatures; `id` is who says so.
#[must_use]
pub fn said(conf: &Conf, checked: &[Checked], id: &str) -> Said {
    let header = |results| Some(AuthenticationResults { authserv_id: id.to_owned(), version: None, results });
    if checked.is_empty() {
        let lines = if conf.log_why { vec!["no signature data".to_owned()] } else { Vec::new() };
        let results = conf.always_add_results.then(|| vec![MethodResult::new("dkim", "none")]);
        let action = replies(conf.on_no_signature, "no DKIM signature data", "4.7.0");
        return Said { results: results.and_then(header), lines, action };
    }
    let is_good = |one: &&Checked| worded(conf, one).0 == "pass";
    let mut lines = Vec::new();
    if checked.len() > 1 && conf.syslog_success {
        let domains: Vec<&str> = checked.iter().map(|one| one.domain.as_str()).collect();
        lines.push(format!("message has signatures from {}", domains.join(", ")));
    }
    if conf.log_results {
        lines.extend(checked.iter().map(|one| {
            let why = worded(conf, one).1.unwrap_or("no signature error");
            let (start, domain, selector) = (&one.start, &one.domain, &one.selector);
            format!("signature={start} domain={domain} selector={selector} result=\"{why}\"")
        }));
    }
    let told = checked.iter().find(is_good).or_else(|| checked.first());
    let action = match told {
        Some(one) => action(conf, one, &mut lines),
        None => Action::Accept,
    };
    let results = checked.iter().map(|one| method_result(conf, one)).collect();
    Said { results: header(results), lines, action }
}

/// By the signature that counts: the first good one, else the first.
fn action(conf: &Conf, one: &Checked, lines: &mut Vec<String>) -> Action {
    let Checked { domain, selector, algorithm, .. } = one;
    let known = format!("s={selector} d={domain} a={algorithm} SSL ");
    match (&one.result, worded(conf, one).0) {
        (_, "pass") => {
            if conf.syslog_success {
                lines.push("DKIM verification successful".to_owned());
            }
            lines.push(known);
            Action::Accept
        }
        (DkimResult::Fail(_), "fail") => {
            lines.push(known);
            lines.push("bad signature data".to_owned());
            // Who is only trying isn't refused for it.
            let on = if one.is_testing { On::Accept } else { conf.on_bad_signature };
            replies(on, "bad DKIM signature data", "4.7.0")
        }
        (DkimResult::PermError(why), _) if NO_KEY.contains(&why.as_str()) => {
            lines.push(match why.contains("revoked") {
                true => format!("key revoked (s={selector}, d={domain}, a={algorithm})"),
                false => format!("key retrieval failed (s={selector}, d={domain})"),
            });
            replies(conf.on_key_not_found, "DKIM key retrieval failed", "4.7.5")
        }
        (DkimResult::TempError, _) => {
            lines.push(format!("key retrieval failed (s={selector}, d={domain})"));
            replies(conf.on_dns_error, "DKIM key retrieval failed", "4.7.5")
        }
        _ => Action::Accept,
    }
}
