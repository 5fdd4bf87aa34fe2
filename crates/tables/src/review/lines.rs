//! Lines that are read otherwise than they look: indentation, comments between, backslashes, a byte order mark.
//!
//! A line that begins with white space continues the one before it, also across comments and empty lines: an entry that
//! was indented is gone, and the one before it has another value.

use super::actions::is_action;
use super::codes::{BACKSLASH, BYTE_ORDER_MARK, SWALLOWED};
use super::sheet::{Findings, Odd};
use super::usage::Use;
use crate::catalogue::Kind;
use crate::cidr::Network;
use crate::source::{Source, is_space};
use config::Place;

/// What stood in the line before.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Before<'s> {
    Nothing,
    Text(&'s str),
    /// A comment in the first column.
    Comment(&'s str),
}

/// Judges the physical lines of a table.
pub(super) fn judge(source: &Source, kind: Kind, uses: &[Use], found: &mut Findings) {
    let text = source.file.text.as_str();
    if text.starts_with('\u{feff}') {
        let help = "the mark is part of the first line: it is no comment, and its key never matches; save the file as \
                    UTF-8 without a mark";
        let odd = Odd::warning(BYTE_ORDER_MARK, "the file begins with a byte order mark", help);
        found.say(odd.instead(""), || Place::new(&source.file, 0, '\u{feff}'.len_utf8()));
    }
    let mut before = Before::Nothing;
    let (mut open, mut conditional) = (false, false);
    let mut start = 0;
    for raw in text.split_inclusive('\n') {
        let from = start;
        start += raw.len();
        let line = raw.trim_end_matches(is_space);
        let trimmed = line.trim_start_matches(is_space);
        if trimmed.is_empty() {
            before = Before::Nothing;
            continue;
        }
        if trimmed.starts_with('#') {
            before = if line.starts_with('#') { Before::Comment(line) } else { before };
            continue;
        }
        let place = || Place::new(&source.file, from + line.len() - trimmed.len(), from + line.len());
        if line.ends_with('\\') {
            let help = "tables have no such continuation; a line that begins with white space continues the one before it";
            let odd = Odd::warning(BACKSLASH, "the backslash is part of the value", help);
            found.say(odd, || Place::new(&source.file, from + line.len() - 1, from + line.len()));
        }
        if trimmed.len() == line.len() {
            open = true;
            conditional = line.get(..2).is_some_and(|head| head.eq_ignore_ascii_case("if"));
        } else if open
            && !conditional
            && let Some(odd) = swallowed(trimmed, before, kind, uses)
        {
            found.say(odd, place);
        }
        before = Before::Text(line);
    }
}

fn swallowed(line: &str, before: Before<'_>, kind: Kind, uses: &[Use]) -> Option<Odd> {
    if let Before::Comment(comment) = before
        && comment.ends_with(',')
    {
        return Some(Odd::warning(
            SWALLOWED,
            "this continues the last line that isn't a comment, not the comment above it",
            "comment this line out too, or delete it",
        ));
    }
    let follows_comma = matches!(before, Before::Text(text) if text.ends_with(','));
    looks_whole(line, follows_comma, kind, uses).then(|| {
        Odd::warning(
            SWALLOWED,
            "the indentation makes this a part of the line above: it is no entry of its own",
            "take away the white space before it",
        )
    })
}

/// Whether an indented line is an entry, by the look of it.
fn looks_whole(line: &str, follows_comma: bool, kind: Kind, uses: &[Use]) -> bool {
    let (first, rest) = line.split_once(is_space).map_or((line, ""), |(first, rest)| (first, rest.trim()));
    let next = rest.split([' ', '\t', ',']).next().unwrap_or("");
    match kind {
        Kind::Cidr => !rest.is_empty() && Network::parse(first.trim_start_matches('!')).is_ok(),
        Kind::Regexp | Kind::Pcre => is_rule(line),
        _ => uses.iter().any(|how| match how {
            Use::Access(..) => {
                let code = next.len() == 3 && next.bytes().all(|b| b.is_ascii_digit());
                let ends = !next.is_empty() && (is_action(&next.to_ascii_uppercase()) || code);
                first.contains(['.', '@', ':']) && ends
            }
            Use::Aliases => is_alias(line, first, rest),
            Use::VirtualAliases | Use::Addresses => {
                first.contains('@') && !rest.is_empty() && !line.contains(',') && !follows_comma
            }
            Use::Transports => first.contains('.') && next.contains(':'),
            Use::Domains(_) | Use::Recipients | Use::Mailboxes | Use::Passwords => {
                first.contains(['.', '@']) && !rest.is_empty() && !follows_comma
            }
            _ => false,
        }),
    }
}

/// `/pattern/flags result`, `if /pattern/`, `endif`
fn is_rule(line: &str) -> bool {
    if line.eq_ignore_ascii_case("endif") {
        return true;
    }
    let bare = line.trim_start_matches('!');
    let bare = bare.strip_prefix("if ").map_or(bare, str::trim_start);
    let Some(body) = bare.strip_prefix('/') else { return false };
    let Some((_, behind)) = body.rsplit_once('/') else { return false };
    let (flags, result) = behind.split_once(is_space).unwrap_or((behind, ""));
    flags.len() <= 4
        && flags.bytes().all(|b| b.is_ascii_alphabetic())
        && (bare.len() < line.len() || !result.is_empty())
}

/// `name: value`
fn is_alias(line: &str, first: &str, rest: &str) -> bool {
    if line.starts_with([':', '"', '|', '/']) {
        return false;
    }
    let Some(name) = first.strip_suffix(':') else { return false };
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_' | b'+');
    !rest.is_empty() && !name.is_empty() && name.bytes().all(plain)
}
