//! Names of hosts and addresses as the report groups and sorts them.

use super::{Options, Verp, order};
use crate::scan;
use memchr::{memchr, memchr_iter, memrchr};
use std::borrow::Cow;

/// A client as `name[address]`: the domain that its host belongs to; its address where it has no name.
///
/// A host under a domain of two letters whose next label has two or three belongs to three labels
/// (`example.co.uk`), one under a domain of three letters to two (`example.com`), any other to itself. Behind an
/// IPv6 address no words may follow: the client of `disconnect from a[2001:db8::1] quit=1` isn't known.
pub(super) fn client_domain(client: &[u8]) -> Option<Cow<'_, [u8]>> {
    if let Some((name, rest)) = scan::cut_at(client, b'[')
        && let Some((address, rest)) = scan::cut_at(rest, b']')
        && !address.is_empty()
        && (!rest.contains(&b' ') || dotted(address).is_some())
    {
        let name = name.trim_ascii_start();
        let unnamed = name.is_empty() || name == b"unknown";
        return Some(if unnamed { Cow::Borrowed(address) } else { domain_of_host(name) });
    }
    // `name/address`, as old Postfix wrote it; and what is taken for it, `…rcpt=0/1`.
    let (name, rest) = scan::cut_at(client, b'/')?;
    let address = rest.first().is_some_and(|byte| byte.is_ascii_digit());
    address.then(|| domain_of_host(name))
}

/// Appends by what messages are sorted: the sender's domain, its host, the user at the end of a bang path.
pub(super) fn message_rank(sender: &[u8], out: &mut Vec<u8>) {
    let bang = |text| memrchr(b'!', text).and_then(|at| scan::split_one(text, at));
    let (user, host) = match scan::cut_at(sender, b'@') {
        Some((left, host)) => (bang(left).map_or(left, |(_, user)| user), host),
        None => bang(sender).map_or((sender, &b""[..]), |(host, user)| (user, host)),
    };
    for text in [&domain_of_host(host), host, user] {
        order::part(text, out);
    }
}

fn domain_of_host(name: &[u8]) -> Cow<'_, [u8]> {
    let mut labels = name.rsplit(|&byte| byte == b'.').map(<[u8]>::len);
    let (Some(top), Some(second)) = (labels.next(), labels.next()) else { return Cow::Borrowed(name) };
    let kept = match (top, second, labels.next()) {
        (2, 2..=3, Some(third)) if third > 0 => top + second + third + 2,
        (3, 1.., _) => top + second + 1,
        _ => return Cow::Borrowed(name),
    };
    let domain = name.get(name.len().saturating_sub(kept)..).unwrap_or(name);
    if domain.iter().any(u8::is_ascii_uppercase) {
        return Cow::Owned(domain.to_ascii_lowercase());
    }
    Cow::Borrowed(domain)
}

/// The domain of an address: what stands behind its first `@`.
pub(super) fn domain(address: &[u8]) -> Option<&[u8]> {
    scan::cut_at(address, b'@').filter(|(user, _)| !user.is_empty()).map(|(_, domain)| domain)
}

/// Writes an address as the report shows it into `out`: its domain, or all of it, in small letters, a bang path
/// turned round where that is asked for.
pub(super) fn fold(address: &[u8], options: &Options, out: &mut Vec<u8>) {
    out.clear();
    if options.uucp && unbang(address, out) {
        // The path's domain is at the end now.
    } else {
        out.extend_from_slice(address);
    }
    let from = if options.ignore_case { Some(0) } else { memchr(b'@', out) };
    if let Some(tail) = from.and_then(|at| out.get_mut(at..)) {
        tail.make_ascii_lowercase();
    }
}

/// `a!some.dom!user@host` is `host!a!user@some.dom`, where `host` has no dot.
fn unbang(address: &[u8], out: &mut Vec<u8>) -> bool {
    let Some((left, host)) = scan::cut_at(address, b'@') else { return false };
    let Some((path, user)) = memrchr(b'!', left).and_then(|at| scan::split_one(left, at)) else {
        return false;
    };
    let (before, hop) = path.split_at(memrchr(b'!', path).map_or(0, |at| at + 1));
    if hop.is_empty() || user.is_empty() || host.is_empty() || host.contains(&b'.') {
        return false;
    }
    for part in [host, b"!", before, user, b"@", hop] {
        out.extend_from_slice(part);
    }
    true
}

/// Folds senders that were made for one delivery into one.
pub(super) fn fold_verp(sender: &mut Vec<u8>, verp: Verp) {
    if let Some(changed) = numbers_named(sender) {
        *sender = changed;
    }
    if verp == Verp::Recipients
        && let Some(changed) = recipient_dropped(sender)
    {
        *sender = changed;
    }
}

/// Puts `-ID` where numbers follow a word that lists' senders have, or a number.
fn numbers_named(sender: &[u8]) -> Option<Vec<u8>> {
    const WORDS: [&[u8]; 6] = [b"bounce", b"nolist", b"noreply", b"noresponse", b"return", b"sentto"];
    let starts = |at: usize| {
        let rest = sender.get(at..)?;
        let word = WORDS
            .iter()
            .find(|word| rest.get(..word.len()).is_some_and(|start| start.eq_ignore_ascii_case(word)));
        if let Some(word) = word {
            return Some(at + word.len());
        }
        rest.first()?.is_ascii_digit().then_some(at + 1)
    };
    let from = (0..sender.len()).find_map(starts)?;
    (from..sender.len()).find_map(|at| {
        let end = numbers_end(sender, at)?;
        let mut changed = sender.get(..at)?.to_vec();
        changed.extend_from_slice(b"-ID");
        changed.extend_from_slice(sender.get(end..)?);
        Some(changed)
    })
}

/// Where the run of `-12`, `.3` and the like that begins at `at` ends.
fn numbers_end(sender: &[u8], mut at: usize) -> Option<usize> {
    let mut end = None;
    loop {
        let Some((b'+' | b'_' | b'.' | b'*' | b'-', rest)) = sender.get(at..).and_then(<[u8]>::split_first)
        else {
            return end;
        };
        let (digits, rest) = scan::span(rest, |byte| !byte.is_ascii_digit());
        let word_goes_on = rest.first().is_some_and(|&byte| byte.is_ascii_alphanumeric() || byte == b'_');
        if digits.is_empty() || word_goes_on {
            return end;
        }
        at += 1 + digits.len();
        end = Some(at);
    }
}

/// Drops the first `-user=some.dom` before an `@`.
fn recipient_dropped(sender: &[u8]) -> Option<Vec<u8>> {
    memchr_iter(b'-', sender).find_map(|dash| {
        let rest = sender.get(dash + 1..)?;
        let (word, _) = scan::span(rest, |byte| byte == b'-');
        // The last `=` that a part without `@`, and then an `@`, follow.
        memchr_iter(b'=', word).rev().filter(|&at| at > 0).find_map(|equals| {
            let tail = rest.get(equals + 1..)?;
            let at = memchr(b'@', tail).filter(|&at| at > 0)?;
            let mut changed = sender.get(..dash)?.to_vec();
            changed.extend_from_slice(tail.get(at..)?);
            Some(changed)
        })
    })
}

/// Appends by what names with the same count are sorted: addresses by their numbers, hosts and mail addresses from
/// the last label to the first, and of a text its first word alone. Bytes in the order of what they stand for, which
/// are numbers up to 999 or letters: 255 begins a number that is larger than a byte, or this byte itself.
pub(super) fn rank(name: &[u8], out: &mut Vec<u8>) {
    let (word, _) = scan::span(name, |byte| byte.is_ascii_whitespace() || byte == 0x0b);
    if let Some(numbers) = dotted(word) {
        for number in numbers {
            ranked(number, out);
        }
        return;
    }
    for part in word.rsplit(|byte| matches!(byte, b'.' | b'@')) {
        let from = out.len();
        if part.contains(&u8::MAX) {
            part.iter().for_each(|&byte| ranked(u16::from(byte), out));
        } else {
            out.extend_from_slice(part);
        }
        out.get_mut(from..).unwrap_or_default().make_ascii_lowercase();
    }
}

fn ranked(number: u16, out: &mut Vec<u8>) {
    match u8::try_from(number) {
        Ok(byte) if byte < u8::MAX => out.push(byte),
        _ => {
            let [high, low] = number.to_be_bytes();
            out.extend_from_slice(&[u8::MAX, high, low]);
        }
    }
}

/// Four numbers of up to three digits.
fn dotted(word: &[u8]) -> Option<[u16; 4]> {
    if !word.first()?.is_ascii_digit() {
        return None;
    }
    let mut numbers = [0; 4];
    let mut parts = word.split(|&byte| byte == b'.');
    for number in &mut numbers {
        let part = parts.next()?;
        let (value, rest) = scan::digits(part)?;
        if part.len() > 3 || !rest.is_empty() {
            return None;
        }
        *number = u16::try_from(value).ok()?;
    }
    parts.next().is_none().then_some(numbers)
}
