//! What a result of an access table does, or can't: access(5)'s actions, judged by the place of the table.
//!
//! An unknown word is taken for a restriction, and Postfix answers 451 4.3.5 to whoever the line matches. A reply
//! code alone means OK (it was a time stamp once). T2.6.

use super::codes::{BAD_VALUE, IDLE_ACTION, NUMBER_ALONE, OK_FORBIDDEN, UNKNOWN_ACTION};
use super::sheet::Odd;
use super::usage::{AccessOf, Moment};
use super::words::Words;

/// What access(5) knows beside numbers and restrictions.
pub(super) const ACCESS: [&str; 15] = [
    "BCC",
    "DEFER",
    "DEFER_IF_PERMIT",
    "DEFER_IF_REJECT",
    "DISCARD",
    "DUNNO",
    "FILTER",
    "HOLD",
    "INFO",
    "OK",
    "PREPEND",
    "REDIRECT",
    "REJECT",
    "RELAY",
    "WARN",
];

/// Whether `word`, in capitals, is an action of access(5).
pub(super) fn is_action(word: &str) -> bool {
    ACCESS.contains(&word)
}

/// The first word of a result, and what follows it.
pub(super) fn split(value: &str) -> (&str, &str) {
    let value = value.trim();
    value.split_once([' ', '\t', '\r', '\n']).map_or((value, ""), |(word, rest)| (word, rest.trim_start()))
}

/// What is wrong with a result of an access table.
pub(super) fn judge(of: AccessOf, moment: Moment, value: &str, words: &Words) -> Option<Odd> {
    let (word, text) = split(value);
    let upper = word.to_ascii_uppercase();
    if word.is_empty() || word.contains('$') {
        return None;
    }
    if is_action(&upper) {
        return known(of, moment, &upper, text);
    }
    if word.bytes().all(|b| b.is_ascii_digit()) {
        return number(of, word, text);
    }
    restrictions(of, value, words)
}

fn known(of: AccessOf, moment: Moment, action: &str, text: &str) -> Option<Odd> {
    let acts_on_mail = matches!(action, "HOLD" | "DISCARD" | "FILTER" | "REDIRECT" | "BCC" | "PREPEND");
    if acts_on_mail && moment == Moment::BeforeMail {
        let help = "with smtpd_delay_reject = no there is no mail yet where this list is evaluated; move the check to \
                    smtpd_sender_restrictions or later";
        return Some(Odd::warning(IDLE_ACTION, format!("{action} is always skipped here"), help));
    }
    let needs = |what: &str| {
        let message = format!("{action} without {what}: it is skipped, with a warning in the log");
        Some(Odd::warning(IDLE_ACTION, message, format!("write {action} {what}")))
    };
    match action {
        "OK" | "RELAY" => forbidden(of, action),
        "PREPEND" if moment == Moment::AfterContent => Some(Odd::warning(
            IDLE_ACTION,
            "PREPEND comes too late in smtpd_end_of_data_restrictions: it is skipped",
            "move the check to smtpd_data_restrictions or earlier",
        )),
        "FILTER" if !text.contains([':', '$']) => needs("transport:destination"),
        "REDIRECT" | "BCC" if !text.contains(['@', '$']) => needs("user@domain"),
        "PREPEND" if !text.contains([':', '$']) => needs("Header: text"),
        "REJECT" | "DEFER" => code_in_text(action, text),
        _ => None,
    }
}

/// `REJECT 550 no`
fn code_in_text(action: &str, text: &str) -> Option<Odd> {
    let (code, rest) = split(text);
    let is_code = code.len() == 3 && code.starts_with(['4', '5']) && code.bytes().all(|b| b.is_ascii_digit());
    is_code.then(|| {
        Odd::hint(
            BAD_VALUE,
            format!("{code} is part of the text: {action} has a reply code of its own"),
            format!("write `{code} {rest}` without {action}, or the text alone"),
        )
    })
}

fn forbidden(of: AccessOf, word: &str) -> Option<Odd> {
    matches!(of, AccessOf::ReverseClient | AccessOf::Hosts).then(|| {
        Odd::warning(
            OK_FORBIDDEN,
            format!("{word} is not allowed in this table: whoever it matches gets 451 4.3.5"),
            "strangers choose the names that are looked up here; write DUNNO for an exception",
        )
    })
}

fn number(of: AccessOf, code: &str, text: &str) -> Option<Odd> {
    let is_reply = code.len() == 3 && code.starts_with(['4', '5']);
    match (is_reply, text.is_empty()) {
        (true, true) => Some(Odd::warning(
            NUMBER_ALONE,
            format!("{code} alone means OK: it lets in what it looks like refusing"),
            format!("write REJECT, or {code} with a text behind it"),
        )),
        (false, true) => forbidden(of, code),
        (true, false) => None,
        (false, false) => Some(unknown(code, "write REJECT or OK, or a code from 400 to 599 with a text")),
    }
}

fn unknown(word: &str, instead: &str) -> Odd {
    Odd::error(
        UNKNOWN_ACTION,
        format!("{word} is no action of access(5), and no restriction"),
        format!("whoever the line matches gets 451 4.3.5 Server configuration error; {instead}"),
    )
}

/// Words of other programs, and what they mean here.
const FOREIGN: [(&str, &str); 17] = [
    ("accept", "OK"),
    ("allow", "OK"),
    ("ban", "REJECT"),
    ("block", "REJECT"),
    ("deny", "REJECT"),
    ("drop", "REJECT"),
    ("error", "REJECT"),
    ("ignore", "DUNNO"),
    ("no", "REJECT"),
    ("pass", "OK"),
    ("quarantine", "HOLD"),
    ("refuse", "REJECT"),
    ("rejected", "REJECT"),
    ("skip", "DUNNO"),
    ("spam", "REJECT"),
    ("whitelist", "OK"),
    ("yes", "OK"),
];

/// A result that names restrictions.
fn restrictions(of: AccessOf, value: &str, words: &Words) -> Option<Odd> {
    let (first, _) = split(value);
    if let Some(rest) = first.strip_prefix('=') {
        let meant = if rest.is_empty() { split(value).1 } else { rest };
        return Some(unknown("=", &format!("write the key, white space, then {meant}")));
    }
    if value.contains(':') && !is_foreign(first) {
        return Some(Odd::error(
            UNKNOWN_ACTION,
            format!("{first}: an access table's result can't name a table or a policy server"),
            "whoever the line matches gets 451 4.3.5 Server configuration error; define a restriction class and name \
             it here",
        ));
    }
    let mut list = value.split([' ', '\t', '\r', '\n', ',']).filter(|word| !word.is_empty());
    while let Some(word) = list.next() {
        let lower = word.to_ascii_lowercase();
        if !words.contains(&lower) {
            return Some(unknown(word, &meant(&lower, words)));
        }
        if lower.starts_with("permit") && forbidden(of, word).is_some() {
            return forbidden(of, word);
        }
        if takes_argument(&lower) {
            list.next();
        }
    }
    None
}

fn is_foreign(word: &str) -> bool {
    let word = word.split(':').next().unwrap_or("");
    FOREIGN.iter().any(|(foreign, _)| foreign.eq_ignore_ascii_case(word))
}

fn takes_argument(name: &str) -> bool {
    let starts = ["check_", "reject_rbl", "reject_rhsbl", "permit_dnswl", "permit_rhswl"];
    name == "sleep" || starts.iter().any(|start| name.starts_with(start))
}

fn meant(word: &str, words: &Words) -> String {
    let bare = word.split(':').next().unwrap_or(word);
    let foreign = FOREIGN.iter().find(|(foreign, _)| *foreign == bare).map(|(_, ours)| (*ours).to_owned());
    let near = || words.nearest(word);
    match foreign.or_else(near) {
        Some(meant) => format!("did you mean {meant}?"),
        None => "write OK, REJECT, DUNNO or another of access(5)'s actions".to_owned(),
    }
}
