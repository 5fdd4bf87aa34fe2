//! What a result of header_checks(5) and body_checks does, or can't.

use super::actions::split;
use super::codes::{IDLE_ACTION, UNKNOWN_CHECK};
use super::sheet::Odd;
use super::usage::{Part, Where};
use super::words::nearest;

/// header_checks(5)'s actions; OK is DUNNO's old name.
const ACTIONS: [&str; 15] = [
    "BCC", "DISCARD", "DUNNO", "FILTER", "HOLD", "IGNORE", "INFO", "OK", "PASS", "PREPEND", "REDIRECT",
    "REJECT", "REPLACE", "STRIP", "WARN",
];

/// What smtp(8) does not do.
const ARRIVAL_ONLY: [&str; 7] = ["BCC", "DISCARD", "FILTER", "HOLD", "PASS", "REDIRECT", "REJECT"];

/// What is wrong with a result.
pub(super) fn judge(part: Part, place: Where, value: &str) -> Option<Odd> {
    let (word, text) = split(value);
    let upper = word.to_ascii_uppercase();
    // An empty one was said by the loader.
    if word.is_empty() || word.contains('$') {
        return None;
    }
    if !ACTIONS.contains(&upper.as_str()) {
        return Some(unknown(word, &upper));
    }
    if place == Where::Delivery && ARRIVAL_ONLY.contains(&upper.as_str()) {
        let message = format!("{upper} is not supported where mail goes out");
        let help = "the line has no effect but a warning in the log; checks of smtp(8) have DUNNO, IGNORE, INFO, PREPEND, \
                    REPLACE, STRIP and WARN";
        return Some(Odd::warning(UNKNOWN_CHECK, message, help));
    }
    if place == Where::Milter && upper == "PREPEND" {
        return Some(Odd::warning(
            UNKNOWN_CHECK,
            "PREPEND is not supported in milter_header_checks",
            "the line has no effect but a warning in the log",
        ));
    }
    let needs = |what: &str| {
        let message = format!("{upper} without {what}: it is skipped, with a warning in the log");
        Some(Odd::warning(IDLE_ACTION, message, format!("write {upper} {what}")))
    };
    match upper.as_str() {
        "FILTER" if !text.contains([':', '$']) => needs("transport:destination"),
        "REDIRECT" | "BCC" if !text.contains(['@', '$']) => needs("user@domain"),
        "PREPEND" | "REPLACE" if text.is_empty() => needs("text"),
        "PREPEND" | "REPLACE" if part == Part::Header && !has_label(text) => needs("Header: text"),
        _ => None,
    }
}

fn has_label(text: &str) -> bool {
    let label = text.split_once(':').map_or("", |(label, _)| label.trim_end());
    text.contains('$') || !label.is_empty() && label.bytes().all(|b| b.is_ascii_graphic())
}

fn unknown(word: &str, upper: &str) -> Odd {
    let meant = match upper {
        "DROP" => Some("DISCARD"),
        "BLOCK" | "DENY" | "ERROR" | "REFUSE" => Some("REJECT"),
        "DELETE" | "REMOVE" => Some("IGNORE"),
        "ACCEPT" | "ALLOW" | "PERMIT" => Some("DUNNO"),
        _ if word.starts_with(['4', '5']) && word.bytes().all(|b| b.is_ascii_digit()) => Some("REJECT"),
        upper => nearest(upper, ACTIONS.into_iter()),
    };
    let help = match meant {
        Some(meant) => {
            format!("did you mean {meant}? As it stands the line has no effect but a warning in the log")
        }
        None => "the line has no effect but a warning in the log".to_owned(),
    };
    Odd::warning(UNKNOWN_CHECK, format!("{word} is no action of header_checks(5)"), help)
}
