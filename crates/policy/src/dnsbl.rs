//! A DNS list as a restriction names it: `zone`, `zone=127.0.0.2`, `zone=127.0.[0;2].[1;4..7]`.
//!
//! Parsing and matching only; who asks and what is answered is in `checks::lists`. RFC 5782 (DNS lists), T1.4,
//! T2.7.

use crate::service::ZoneKind;
use config::Place;
use std::net::{IpAddr, Ipv4Addr};

/// A zone with its filter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ListZone {
    /// As written: the key for rbl_reply_maps.
    pub(crate) text: String,
    /// Without the filter.
    pub(crate) domain: String,
    /// Which answers count; every one, where there is none.
    pub(crate) filter: Option<AddressPattern>,
    /// What is looked up below it.
    pub(crate) kind: ZoneKind,
    pub(crate) place: Place,
}

/// Four sets of octets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct AddressPattern([Vec<(u8, u8)>; 4]);

impl AddressPattern {
    /// Reads `d.d.d.d`, each a number or `[n;n..n]`.
    pub(crate) fn parse(text: &str) -> Result<AddressPattern, String> {
        let wrong = |what: &str, rest: &str| {
            let done = text.strip_suffix(rest).unwrap_or(text);
            Err(format!("{what} at \"{done}>{}<{}\"", first(rest), behind_first(rest)))
        };
        let mut rest = text;
        let mut octets: [Vec<(u8, u8)>; 4] = Default::default();
        for (at, octet) in octets.iter_mut().enumerate() {
            if at > 0 {
                let Some(more) = rest.strip_prefix('.') else { return wrong("need \".\"", rest) };
                rest = more;
            }
            rest = match rest.strip_prefix('[') {
                Some(set) => match ranges(set, octet) {
                    Ok(more) => more,
                    Err((what, more)) => return wrong(what, more),
                },
                None => match number(rest) {
                    Some((value, more)) => {
                        octet.push((value, value));
                        more
                    }
                    None => return wrong("need decimal number 0..255", rest),
                },
            };
        }
        if rest.is_empty() { Ok(AddressPattern(octets)) } else { wrong("garbage after pattern", rest) }
    }

    /// What is wrong with `text`, for people; Postfix's words are [`AddressPattern::parse`]'s.
    pub(crate) fn fault(text: &str) -> String {
        let Err(error) = AddressPattern::parse(text) else { return String::new() };
        let (what, at) = error.split_once(" at \"").unwrap_or((error.as_str(), ""));
        let done = at.split_once('>').map_or("", |(done, _)| done);
        let what = match what {
            "need \".\"" => "a dot is missing",
            "need decimal number 0..255" => "a number from 0 to 255 is wanted",
            "garbage after pattern" => "there is more than four numbers",
            "bad range" => "the range ends before it begins",
            _ => "`;`, `..` or `]` is wanted",
        };
        let behind =
            if done.is_empty() { " at its beginning".to_owned() } else { format!(" behind `{done}`") };
        format!("`{text}` is no filter: {what}{behind}")
    }

    /// An address in the set.
    pub(crate) fn example(&self) -> Ipv4Addr {
        let [a, b, c, d] = &self.0;
        let low = |set: &Vec<(u8, u8)>| set.first().map_or(0, |&(low, _)| low);
        Ipv4Addr::new(low(a), low(b), low(c), low(d))
    }

    /// Whether `address` is in the set.
    pub(crate) fn matches(&self, address: Ipv4Addr) -> bool {
        self.0
            .iter()
            .zip(address.octets())
            .all(|(set, octet)| set.iter().any(|&(low, high)| (low..=high).contains(&octet)))
    }
}

fn first(rest: &str) -> String {
    rest.chars().next().map(String::from).unwrap_or_default()
}

fn behind_first(rest: &str) -> &str {
    let mut chars = rest.chars();
    chars.next();
    chars.as_str()
}

fn number(text: &str) -> Option<(u8, &str)> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (digits, rest) = text.split_at_checked(end)?;
    Some((digits.parse().ok()?, rest))
}

fn ranges<'t>(text: &'t str, out: &mut Vec<(u8, u8)>) -> Result<&'t str, (&'static str, &'t str)> {
    let mut rest = text;
    loop {
        let Some((low, more)) = number(rest) else { return Err(("need decimal number 0..255", rest)) };
        let (high, more) = match more.strip_prefix("..") {
            Some(behind) => match number(behind) {
                Some(range) => range,
                None => return Err(("need decimal number 0..255", behind)),
            },
            None => (low, more),
        };
        if high < low {
            return Err(("bad range", rest));
        }
        out.push((low, high));
        match (more.strip_prefix(';'), more.strip_prefix(']')) {
            (Some(next), _) => rest = next,
            (None, Some(end)) => return Ok(end),
            (None, None) => return Err(("need \";\" or \"]\"", more)),
        }
    }
}

impl ListZone {
    /// Reads a restriction's argument.
    pub(crate) fn parse(text: &str, kind: ZoneKind, place: Place) -> Result<ListZone, String> {
        let (domain, filter) = match text.split_once('=') {
            Some((domain, filter)) => (domain, Some(AddressPattern::parse(filter)?)),
            None => (text, None),
        };
        Ok(ListZone { text: text.to_owned(), domain: domain.to_owned(), filter, kind, place })
    }

    /// Whether this answer is a listing. 127.255.255.0/24 says that the list refuses to answer (RFC 5782 reserves
    /// none, all large lists use it): never a listing, unless `health` is off.
    pub(crate) fn lists(&self, answer: Ipv4Addr, health: bool) -> bool {
        if health && is_error(answer) {
            return false;
        }
        self.filter.as_ref().is_none_or(|filter| filter.matches(answer))
    }
}

/// Whether an answer means "I don't answer you".
pub(crate) fn is_error(answer: Ipv4Addr) -> bool {
    matches!(answer.octets(), [127, 255, 255, _])
}

/// What is asked below an address list.
pub(crate) fn reversed(address: IpAddr) -> String {
    match address {
        IpAddr::V4(v4) => {
            let [a, b, c, d] = v4.octets();
            format!("{d}.{c}.{b}.{a}")
        }
        IpAddr::V6(v6) => {
            let nibbles: Vec<String> = v6
                .octets()
                .iter()
                .rev()
                .flat_map(|octet| [octet & 15, octet >> 4])
                .map(|nibble| format!("{nibble:x}"))
                .collect();
            nibbles.join(".")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns() {
        let check = |pattern: &str, address: &str, expect: bool| {
            let pattern = AddressPattern::parse(pattern).unwrap();
            assert_eq!(pattern.matches(address.parse().unwrap()), expect, "{pattern:?} {address}");
        };
        check("127.0.0.2", "127.0.0.2", true);
        check("127.0.0.2", "127.0.0.3", false);
        check("127.0.0.[1;3..5]", "127.0.0.1", true);
        check("127.0.0.[1;3..5]", "127.0.0.2", false);
        check("127.0.0.[1;3..5]", "127.0.0.5", true);
        check("127.[0..255].[0;9].4", "127.77.9.4", true);
    }

    #[test]
    fn malformed_patterns() {
        let check = |pattern: &str, expect: &str| {
            assert_eq!(AddressPattern::parse(pattern).unwrap_err(), expect, "{pattern}");
        };
        // Both texts as Postfix 3.7 logs them behind "RBL reply error: ".
        check("127.0.0", "need \".\" at \"127.0.0><\"");
        check("127.0.0.[2", "need \";\" or \"]\" at \"127.0.0.[2><\"");
        check("127.0.0.256", "need decimal number 0..255 at \"127.0.0.>2<56\"");
        for bad in ["", "1", "a.b.c.d", "127.0.0.2.3", "127.0.0.[]", "127.0.0.[5..2]", "127.0.0.2 "] {
            assert!(AddressPattern::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn reversed_addresses() {
        assert_eq!(reversed("192.0.2.1".parse().unwrap()), "1.2.0.192");
        let v6 = reversed("2001:db8::1".parse().unwrap());
        assert_eq!(v6, "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2");
    }
}
