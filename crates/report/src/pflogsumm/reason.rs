//! Why a message was refused, put off or returned, cut down to what a report has room for.

use crate::scan;
use memchr::memmem::{self, Finder, FinderRev};
use memchr::{memchr, memchr2, memchr2_iter, memrchr};
use std::borrow::Cow;
use std::sync::LazyLock;

static SAID: LazyLock<FinderRev<'static>> = LazyLock::new(|| FinderRev::new(b" said: "));
static BLOCKED: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b" blocked"));

/// `text` in `width` bytes at most: the end is dropped for an ellipsis.
pub(super) fn shorten(text: &[u8], width: usize) -> Cow<'_, [u8]> {
    match text.get(..width.saturating_sub(3)) {
        Some(start) if text.len() > width => Cow::Owned([start, b"..."].concat()),
        _ => Cow::Borrowed(text),
    }
}

/// What a delivery agent says, from the end that matters: as long as it is too long, what stands before the
/// peer's words goes, and then what stands before its first colon.
fn said(mut text: &[u8], width: usize) -> Cow<'_, [u8]> {
    while text.len() > width {
        let words = SAID.rfind(text).and_then(|at| text.get(at + 7..));
        let Some(rest) = words.or_else(|| Some(scan::cut_at(text, b':')?.1.trim_start_matches_blank()))
        else {
            return shorten(text, width);
        };
        text = rest;
    }
    Cow::Borrowed(text)
}

trait Blanks {
    fn trim_start_matches_blank(&self) -> &Self;
}

impl Blanks for [u8] {
    fn trim_start_matches_blank(&self) -> &[u8] {
        scan::span(self, |byte| byte != b' ').1
    }
}

/// Why a delivery is deferred. `text` is all that follows the status.
pub(super) fn deferral(text: &[u8], verbose: bool) -> Cow<'_, [u8]> {
    let inside =
        scan::cut_at(text, b'(').map_or(&b""[..], |(_, rest)| scan::before(rest, memchr(b')', rest)));
    if verbose {
        return Cow::Borrowed(inside);
    }
    trimmed(said(inside, 65), |text| {
        let text = without_code(text);
        text.strip_prefix(b"connect to ").unwrap_or(text)
    })
}

/// Why a message is returned. `text` is all that follows the status.
pub(super) fn bounce(text: &[u8], verbose: bool) -> Cow<'_, [u8]> {
    let rest = scan::cut_at(text, b'(').map_or(&b""[..], |(_, rest)| rest);
    let inside = memrchr(b')', rest).and_then(|at| rest.get(..at)).unwrap_or_default();
    if verbose {
        return Cow::Borrowed(inside);
    }
    trimmed(said(inside, 66), without_code)
}

fn trimmed<'a>(text: Cow<'a, [u8]>, trim: impl Fn(&[u8]) -> &[u8]) -> Cow<'a, [u8]> {
    match text {
        Cow::Borrowed(text) => Cow::Borrowed(trim(text)),
        Cow::Owned(text) => Cow::Owned(trim(&text).to_vec()),
    }
}

/// Without an SMTP reply's code at the start.
fn without_code(text: &[u8]) -> &[u8] {
    match text {
        [a, b, c, b' ', rest @ ..] if [a, b, c].iter().all(|digit| digit.is_ascii_digit()) => rest,
        _ => text,
    }
}

/// Why the SMTP server refused `command`; `text` begins with the reply's code.
pub(super) fn refusal<'a>(command: &[u8], text: &'a [u8]) -> Cow<'a, [u8]> {
    match command {
        b"RCPT" | b"DATA" | b"CONNECT" => refused_recipient(text),
        b"MAIL" => Cow::Borrowed(refused_sender(text)),
        _ => Cow::Borrowed(behind_last_colon(text)),
    }
}

/// The part behind the first colon or semicolon, up to the next comma or semicolon.
fn refused_recipient(text: &[u8]) -> Cow<'_, [u8]> {
    let mut reason = protocol_error(text).or_else(|| middle(text)).unwrap_or(text);
    let addressed = [&b"Sender address rejected: "[..], b"Recipient address rejected: "];
    if let Some(start) = addressed.iter().find(|start| reason.starts_with(start)) {
        let end = reason.get(start.len() + 1..).and_then(|rest| memchr(b':', rest));
        if let Some(short) = end.and_then(|end| reason.get(..start.len() + 1 + end)) {
            reason = short;
        }
    }
    match BLOCKED.find(reason) {
        Some(_) => without_client(reason).map_or(Cow::Borrowed(reason), Cow::Owned),
        None => Cow::Borrowed(reason),
    }
}

/// Each client has an address of its own: one list is one reason.
fn without_client(reason: &[u8]) -> Option<Vec<u8>> {
    let subjects = [&b"Client host "[..], b"client ", b"Sender address "];
    let found = subjects.iter().filter_map(|subject| Some((memmem::find(reason, subject)?, subject)));
    let (at, subject) = found.min()?;
    let rest = reason.get(at + subject.len() + 1..)?;
    let tail = rest.get(BLOCKED.find(rest)? + 1..)?;
    Some([reason.get(..at)?, tail].concat())
}

fn middle(text: &[u8]) -> Option<&[u8]> {
    // Perl's way back: where nothing closes the part behind one mark, the next mark is tried.
    memchr2_iter(b':', b';', text).find_map(|at| {
        let part = text.get(at + 1..)?.strip_prefix(b" ")?;
        [bracket_passed(part), Some(part)].into_iter().flatten().find_map(|part| {
            let end = memchr2(b';', b',', part).filter(|&end| end > 0)?;
            part.get(..end)
        })
    })
}

/// Behind `[…] ` at the start.
fn bracket_passed(part: &[u8]) -> Option<&[u8]> {
    let (inside, rest) = scan::cut_at(part.strip_prefix(b"[")?, b']')?;
    if inside.is_empty() { None } else { rest.strip_prefix(b" ") }
}

/// `550 5.5.1 Protocol error; …`
fn protocol_error(text: &[u8]) -> Option<&'static [u8]> {
    let rest = text.strip_prefix(b"550 5.5.1 ")?;
    rest.starts_with(b"Protocol error;").then_some(b"Protocol error")
}

/// Behind the code, and behind an address in brackets that stands there without an enhanced code before it, up to
/// the first colon or semicolon.
fn refused_sender(text: &[u8]) -> &[u8] {
    let behind = without_code(text);
    if behind.len() < text.len() && behind.starts_with(b"<") {
        // The last `>: ` closes it, as Perl looks for it.
        let found = memmem::rfind_iter(behind, b">: ").filter(|at| *at > 1).find_map(|at| {
            let reason = behind.get(at + 3..)?;
            let reason = scan::before(reason, memchr2(b';', b':', reason));
            (!reason.is_empty()).then_some(reason)
        });
        if let Some(reason) = found {
            return reason;
        }
    }
    let reason = scan::before(behind, memchr2(b';', b':', behind));
    if reason.is_empty() || behind.len() == text.len() { text } else { reason }
}

/// Behind the last colon or semicolon with a blank, up to the next comma.
fn behind_last_colon(text: &[u8]) -> &[u8] {
    let behind = |at: usize| text.get(at + 1..)?.strip_prefix(b" ");
    let rest = memchr2_iter(b':', b';', text).rev().find_map(behind).unwrap_or(text);
    scan::before(rest, memchr(b',', rest))
}

/// Why a message was refused for its header or body, without whom it came from.
pub(super) fn content(text: &[u8]) -> Cow<'_, [u8]> {
    let text = match memmem::find(text, b"; from=<") {
        Some(at) => {
            let before = text.get(..at).unwrap_or(text);
            match memmem::rfind(before, b" from ") {
                Some(from) if !before.get(from + 6..).unwrap_or_default().contains(&b' ') => {
                    before.get(..from).unwrap_or(before)
                }
                _ => before,
            }
        }
        None => text,
    };
    shorten(text, 64)
}
