//! The address in MAIL and RCPT as postscreen reads it, which is with much more patience than smtpd: it is for the
//! log only.

use crate::smtp::printable;
use mail::Address;

/// What stands behind the colon of `FROM:<a@b>`, without brackets, route and quotes; `None` without a colon.
pub(super) fn address_of(args: &str) -> Option<Address> {
    let (_, text) = args.split_once(':')?;
    let text = text.trim_start_matches([' ', '\t']);
    let word = match text.strip_prefix('<') {
        Some(inside) => end(inside, |c| c == '>'),
        None => end(text, |c| c == ' ' || c == '\t'),
    };
    let word = match word.strip_prefix('@').and_then(|route| route.split_once(':')) {
        Some((_, address)) => address,
        None => word,
    };
    let mut text = String::with_capacity(word.len());
    let mut chars = word.chars();
    while let Some(c) = chars.next() {
        match c {
            '"' => {}
            '\\' => text.extend(chars.next()),
            c => text.push(c),
        }
    }
    Some(Address::from_internal(text))
}

/// An address as a log line shows it. What has no picture is quoted first and masked then.
pub(super) fn shown(address: &Address) -> String {
    printable(&address.to_external()).into_owned()
}

/// `text` up to the first unquoted character that `stops` it.
fn end(text: &str, stops: fn(char) -> bool) -> &str {
    let (mut quoted, mut escaped) = (false, false);
    let at = text.char_indices().find(|&(_, c)| {
        if std::mem::take(&mut escaped) {
            return false;
        }
        match c {
            '\\' => escaped = true,
            '"' => quoted = !quoted,
            _ => return !quoted && stops(c),
        }
        false
    });
    at.and_then(|(at, _)| text.get(..at)).unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As Postfix 3.7 logs them.
    #[test]
    fn addresses() {
        for (args, expect) in [
            ("TO:<@a,@b:c@d>", "c@d"),
            ("TO:<a@b", "a@b"),
            ("TO:\"x y\"@b", "\"x y\"@b"),
            ("TO: <a@b>", "a@b"),
            ("TO:<<a@b>>", "\"<a\"@b"),
            ("TO:a b", "a"),
            ("TO:<a@b> junk=1", "a@b"),
            ("TO:<ä@b>", "ä@b"),
            ("TO:<a\u{1}@b>", "\"a?\"@b"),
            ("TO:<a@[1.2.3.4]>", "a@[1.2.3.4]"),
            ("TO:(c)a@b", "\"(c)a\"@b"),
            ("TO:<postmaster>", "postmaster"),
            ("TO:<a@b,c@d>", "\"a@b,c\"@d"),
            ("TO:<a b@example.com>", "\"a b\"@example.com"),
            ("FROM:<a@b>", "a@b"),
            (":", ""),
        ] {
            let address = address_of(args).map(|address| shown(&address));
            assert_eq!(address.as_deref(), Some(expect), "{args}");
        }
        assert_eq!(address_of("FROM<a@b>"), None);
    }
}
