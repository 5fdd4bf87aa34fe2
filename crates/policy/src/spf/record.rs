//! SPF records (RFC 7208 §4.5, §4.6, §5, §6): which of a domain's texts is one, and what it says.
//!
//! A record is read whole before anything of it is judged: one malformed term makes all of it an error. Nothing is
//! asked here.

use super::macros::{MacroString, Use};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A record.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct SpfRecord {
    pub(crate) directives: Vec<Directive>,
    pub(crate) redirect: Option<MacroString>,
    pub(crate) explanation: Option<MacroString>,
}

/// A mechanism with its qualifier.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Directive {
    pub(crate) qualifier: Qualifier,
    pub(crate) mechanism: Mechanism,
    /// As written.
    pub(crate) text: String,
}

/// What a match means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Qualifier {
    Pass,
    Fail,
    SoftFail,
    Neutral,
}

/// RFC 7208 §5.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Mechanism {
    All,
    Include(MacroString),
    A(Hosts),
    Mx(Hosts),
    Ptr(Option<MacroString>),
    Ip(Network),
    Exists(MacroString),
}

/// Of which name, and how much of an address counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Hosts {
    pub(crate) domain: Option<MacroString>,
    pub(crate) v4: u8,
    pub(crate) v6: u8,
}

/// Addresses with the same beginning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    bits: u8,
}

/// A term that can't be read, as it is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Malformed(pub(crate) String);

/// Whether a text is an SPF record of the one version there is.
pub(crate) fn is_record(text: &str) -> bool {
    const VERSION: &str = "v=spf1";
    text.split_at_checked(VERSION.len()).is_some_and(|(version, rest)| {
        version.eq_ignore_ascii_case(VERSION) && (rest.is_empty() || rest.starts_with(' '))
    })
}

impl SpfRecord {
    /// Reads a text that [`is_record`].
    pub(crate) fn parse(text: &str) -> Result<SpfRecord, Malformed> {
        let mut record = SpfRecord::default();
        for term in text.split(' ').skip(1).filter(|term| !term.is_empty()) {
            let malformed = || Malformed(term.to_owned());
            let Some((name, value)) = modifier(term) else {
                record.directives.push(Directive::parse(term).ok_or_else(malformed)?);
                continue;
            };
            let slot = if name.eq_ignore_ascii_case("redirect") {
                &mut record.redirect
            } else if name.eq_ignore_ascii_case("exp") {
                &mut record.explanation
            } else {
                MacroString::parse(value, Use::Unknown).ok_or_else(malformed)?;
                continue;
            };
            if slot.is_some() {
                return Err(malformed());
            }
            *slot = Some(MacroString::domain(value).ok_or_else(malformed)?);
        }
        Ok(record)
    }
}

/// `name=value`
fn modifier(term: &str) -> Option<(&str, &str)> {
    let (name, value) = term.split_once('=')?;
    let follows = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    (name.starts_with(|c: char| c.is_ascii_alphabetic()) && name.bytes().all(follows))
        .then_some((name, value))
}

impl Directive {
    fn parse(term: &str) -> Option<Directive> {
        let (qualifier, rest) = match term.split_at_checked(1) {
            Some(("+", rest)) => (Qualifier::Pass, rest),
            Some(("-", rest)) => (Qualifier::Fail, rest),
            Some(("~", rest)) => (Qualifier::SoftFail, rest),
            Some(("?", rest)) => (Qualifier::Neutral, rest),
            _ => (Qualifier::Pass, term),
        };
        Some(Directive { qualifier, mechanism: Mechanism::parse(rest)?, text: term.to_owned() })
    }
}

impl Mechanism {
    fn parse(text: &str) -> Option<Mechanism> {
        let end = text.find([':', '/']).unwrap_or(text.len());
        let (name, rest) = text.split_at_checked(end)?;
        let argument = rest.strip_prefix(':');
        let bare = rest.is_empty();
        match name.to_ascii_lowercase().as_str() {
            "all" => bare.then_some(Mechanism::All),
            "include" => Some(Mechanism::Include(MacroString::domain(argument?)?)),
            "exists" => Some(Mechanism::Exists(MacroString::domain(argument?)?)),
            "a" => Some(Mechanism::A(Hosts::parse(rest)?)),
            "mx" => Some(Mechanism::Mx(Hosts::parse(rest)?)),
            "ptr" if bare => Some(Mechanism::Ptr(None)),
            "ptr" => Some(Mechanism::Ptr(Some(MacroString::domain(argument?)?))),
            "ip4" => {
                let (address, bits) = prefix(argument?, 32)?;
                Some(Mechanism::Ip(Network { address: address.parse::<Ipv4Addr>().ok()?.into(), bits }))
            }
            "ip6" => {
                let (address, bits) = prefix(argument?, 128)?;
                Some(Mechanism::Ip(Network { address: address.parse::<Ipv6Addr>().ok()?.into(), bits }))
            }
            _ => None,
        }
    }
}

/// `ADDRESS[/BITS]`
fn prefix(text: &str, bits_max: u8) -> Option<(&str, u8)> {
    match text.split_once('/') {
        Some((address, digits)) => Some((address, bits(digits, bits_max)?)),
        None => Some((text, bits_max)),
    }
}

/// A number without needless zeros.
fn bits(digits: &str, max: u8) -> Option<u8> {
    let plain = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    if !plain || (digits.starts_with('0') && digits != "0") {
        return None;
    }
    digits.parse().ok().filter(|bits| *bits <= max)
}

impl Hosts {
    /// Reads `[:DOMAIN][/BITS][//BITS]`. A slash may also be part of the domain: lengths are at the end.
    fn parse(text: &str) -> Option<Hosts> {
        let (text, v6) = length(text, "//", 128)?;
        let (text, v4) = length(text, "/", 32)?;
        let domain = match text.strip_prefix(':') {
            Some(domain) => Some(MacroString::domain(domain)?),
            None if text.is_empty() => None,
            None => return None,
        };
        Some(Hosts { domain, v4, v6 })
    }
}

/// What stands before `mark` and a number, and the number; `None` where it is no length.
fn length<'t>(text: &'t str, mark: &str, max: u8) -> Option<(&'t str, u8)> {
    match text.rsplit_once(mark) {
        Some((before, digits)) if !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()) => {
            Some((before, bits(digits, max)?))
        }
        _ => Some((text, max)),
    }
}

impl Network {
    /// `bits` of `address` count.
    #[must_use]
    pub const fn new(address: IpAddr, bits: u8) -> Network {
        Network { address, bits }
    }

    /// Reads `ADDRESS[/BITS]`; bits beyond the length may be set.
    #[must_use]
    pub fn parse(text: &str) -> Option<Network> {
        let longest = if text.contains(':') { 128 } else { 32 };
        let (address, bits) = prefix(text, longest)?;
        Some(Network { address: address.parse().ok()?, bits })
    }

    /// Whether `address` is of it. Families don't mix.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.address, address) {
            (IpAddr::V4(own), IpAddr::V4(other)) => {
                let differ = u32::from(own) ^ u32::from(other);
                differ.leading_zeros() >= u32::from(self.bits)
            }
            (IpAddr::V6(own), IpAddr::V6(other)) => {
                let differ = u128::from(own) ^ u128::from(other);
                differ.leading_zeros() >= u32::from(self.bits)
            }
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions() {
        for good in ["v=spf1", "V=SPF1 -all", "v=spf1  -all "] {
            assert!(is_record(good), "{good}");
        }
        for bad in ["v=spf10", "v=spf1\t-all", " v=spf1", "v=spf2.0/pra -all", "", "v=spf", "v=spf1é"] {
            assert!(!is_record(bad), "{bad}");
        }
    }

    #[test]
    fn what_is_read() {
        for good in [
            "v=spf1 a mx ptr ip4:192.0.2.0/24 ip6:2001:db8::/32 include:a.example exists:%{i}.x.example ~all",
            "v=spf1 a/24 a//64 a/24//64 a:x.example/0//0 mx:x.example/32//128 ?ptr:x.example +A -MX",
            "v=spf1 a:x/24.example/24 redirect=a.example exp=b.example unknown=%{c} x.y-z_1= ip4=not-a-mechanism",
            "v=spf1 a:x.example//64 REDIRECT=x.example",
            "v=spf1 ip6:::ffff:192.0.2.1/96",
        ] {
            assert!(SpfRecord::parse(good).is_ok(), "{good}");
        }
        for bad in [
            "all:x",
            "all/8",
            "-",
            "+",
            "--all",
            "include",
            "include:",
            "include:com",
            "include:a.example/24",
            "exists",
            "a:",
            "a:/24",
            "a/33",
            "a//129",
            "a/024",
            "a/",
            "a//",
            "a/24/64",
            "a:192.0.2.1",
            "mx:x.example/33",
            "ptr:",
            "ptr/24",
            "ip4",
            "ip4:",
            "ip4:192.0.2",
            "ip4:192.0.2.1/33",
            "ip4:192.0.2.01",
            "ip4:192.0.2.1/",
            "ip4:::1",
            "ip4:192.0.2.1//24",
            "ip6:192.0.2.1",
            "ip6:::1/129",
            "ip6:::1/",
            "redirect=",
            "redirect=com",
            "exp=",
            "x=%",
            "x=%{q}",
            "unknown",
            "unknown:x.example",
            "a b.example",
            "all\t",
            "ip4:192.0.2.1é",
            "1x=y",
            "-redirect=a.example",
            "redirect:a.example",
            "redirect=a.example redirect=a.example",
            "exp=a.example exp=b.example",
        ] {
            assert!(SpfRecord::parse(&format!("v=spf1 {bad}")).is_err(), "{bad}");
        }
    }

    #[test]
    fn networks() {
        let check = |network: &str, address: &str, expect: bool| {
            let network = Network::parse(network).unwrap();
            assert_eq!(network.contains(address.parse().unwrap()), expect, "{network:?} {address}");
        };
        check("192.0.2.9/24", "192.0.2.255", true);
        check("192.0.2.0/24", "192.0.3.0", false);
        check("192.0.2.1", "192.0.2.1", true);
        check("0.0.0.0/0", "203.0.113.9", true);
        check("0.0.0.0/0", "2001:db8::1", false);
        check("::/0", "2001:db8::1", true);
        check("::/0", "192.0.2.1", false);
        check("2001:db8::/32", "2001:db9::", false);
        check("2001:db8::1/127", "2001:db8::", true);
        assert!(
            ["192.0.2.1/33", "x", "::1/129", "192.0.2.1/", "192.0.2.1/-1"]
                .iter()
                .all(|bad| Network::parse(bad).is_none())
        );
    }

    proptest::proptest! {
        #[test]
        fn any_text(text in "v=spf1 [ -~é]{0,80}") {
            if let Ok(record) = SpfRecord::parse(&text) {
                proptest::prop_assert!(record.directives.len() <= text.len());
            }
        }
    }
}
