//! Host names, host addresses and address literals, as strict as Postfix is about them.
//!
//! A host name may have underscores and no length-one labels are refused; it may not be all digits and dots,
//! start or end a label with a hyphen, or have an empty label. Literals are `[192.0.2.1]` and
//! `[IPv6:2001:db8::1]` (RFC 5321 §4.1.3). Nothing here asks the DNS. The texts of [`HostError`] are those
//! that Postfix logs behind `warning: valid_hostname: `.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The longest host name.
const NAME_BYTES_MAX: usize = 255;
/// The longest label.
const LABEL_BYTES_MAX: usize = 63;
/// The longest part of a name that a warning repeats.
const SHOWN_CHARS_MAX: usize = 100;

/// Why a text is no host name or address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HostError {
    /// Nothing at all.
    #[error("empty hostname")]
    Empty,
    /// A character that no name has.
    #[error("invalid character {0}(decimal): {1}")]
    Character(u32, String),
    /// A dot at an end, or two in a row.
    #[error("misplaced delimiter: {0}")]
    Delimiter(String),
    /// A label starts or ends with a hyphen.
    #[error("misplaced hyphen: {0}")]
    Hyphen(String),
    /// A label of more than 63 bytes.
    #[error("hostname label too long: {0}")]
    Label(String),
    /// Only digits and dots.
    #[error("numeric hostname: {0}")]
    Numeric(String),
    /// More than 255 bytes.
    #[error("bad length {0} for {1}...")]
    Length(usize, String),
    /// No address where one should be.
    #[error("invalid address: {0}")]
    Address(String),
}

/// `address` as its `Display` says it; IPv4 by hand, as log lines and table keys are full of it and formatting is slow.
#[must_use]
pub fn address_text(address: IpAddr) -> String {
    let IpAddr::V4(address) = address else { return address.to_string() };
    let mut text = String::with_capacity(15);
    for octet in address.octets() {
        if !text.is_empty() {
            text.push('.');
        }
        if octet >= 100 {
            text.push(char::from(b'0' + octet / 100));
        }
        if octet >= 10 {
            text.push(char::from(b'0' + octet / 10 % 10));
        }
        text.push(char::from(b'0' + octet % 10));
    }
    text
}

/// `name` with its `xn--` labels as people write them; as it is, where one of them is none.
#[must_use]
pub fn unicode_name(name: &str) -> String {
    match idna::domain_to_unicode(name) {
        (unicode, Ok(())) => unicode,
        _ => name.to_owned(),
    }
}

/// `name` in A-labels, in lower case; `None` where it can't be written so.
#[must_use]
pub fn ascii_name(name: &str) -> Option<String> {
    if name.is_ascii() { Some(name.to_ascii_lowercase()) } else { idna::domain_to_ascii(name).ok() }
}

/// `192.0.2.5` → `5.2.0.192.in-addr.arpa`, RFC 1035 §3.5; IPv6 by RFC 3596 §2.5.
#[must_use]
pub fn reverse_name(address: IpAddr) -> String {
    let mut name = String::new();
    match address {
        IpAddr::V4(v4) => {
            for octet in v4.octets().iter().rev() {
                name.push_str(&format!("{octet}."));
            }
            name.push_str("in-addr.arpa");
        }
        IpAddr::V6(v6) => {
            for octet in v6.octets().iter().rev() {
                name.push_str(&format!("{:x}.{:x}.", octet & 15, octet >> 4));
            }
            name.push_str("ip6.arpa");
        }
    }
    name
}

fn shown(text: &str) -> String {
    text.chars().take(SHOWN_CHARS_MAX).collect()
}

/// Whether `name` is a host name: letters, digits, `-`, `_`, in labels parted by dots.
///
/// # Errors
/// Says what is wrong with it. A trailing dot is wrong: the caller strips one where it is welcome.
pub fn check_hostname(name: &str) -> Result<(), HostError> {
    if name.is_empty() {
        return Err(HostError::Empty);
    }
    let mut numeric = true;
    for label in name.split('.') {
        check_label(name, label)?;
        numeric &= label.bytes().all(|b| b.is_ascii_digit());
    }
    if numeric {
        return Err(HostError::Numeric(shown(name)));
    }
    if name.len() > NAME_BYTES_MAX {
        return Err(HostError::Length(name.len(), shown(name)));
    }
    Ok(())
}

fn check_label(name: &str, label: &str) -> Result<(), HostError> {
    if label.is_empty() {
        return Err(HostError::Delimiter(shown(name)));
    }
    if let Some(other) = label.chars().find(|c| !c.is_ascii_alphanumeric() && !matches!(c, '-' | '_')) {
        return Err(HostError::Character(u32::from(other), shown(name)));
    }
    if label.starts_with('-') || label.ends_with('-') {
        return Err(HostError::Hyphen(shown(name)));
    }
    if label.len() > LABEL_BYTES_MAX {
        return Err(HostError::Label(shown(name)));
    }
    Ok(())
}

/// Whether `name` is a host name.
#[must_use]
pub fn is_hostname(name: &str) -> bool {
    check_hostname(name).is_ok()
}

/// Whether `name`, maybe with UTF-8 in it, is a host name once it is turned into A-labels (IDNA 2008).
#[must_use]
pub fn is_utf8_hostname(name: &str) -> bool {
    if name.is_ascii() {
        return is_hostname(name);
    }
    idna::domain_to_ascii(name).is_ok_and(|ascii| is_hostname(&ascii))
}

/// Reads an IPv4 address of four decimal numbers. Leading zeros are read as decimal, and nothing but
/// `0.0.0.0` starts with 0.
#[must_use]
pub fn parse_ipv4(text: &str) -> Option<Ipv4Addr> {
    let mut octets = [0_u8; 4];
    let mut parts = text.split('.');
    for octet in &mut octets {
        let part = parts.next()?;
        if part.is_empty() || !part.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        *octet = part
            .trim_start_matches('0')
            .parse()
            .or_else(|_| if part.contains(|c| c != '0') { Err(()) } else { Ok(0) })
            .ok()?;
    }
    let address = Ipv4Addr::from(octets);
    (parts.next().is_none() && (octets.first() != Some(&0) || address.is_unspecified())).then_some(address)
}

/// Reads an IPv6 address, without brackets, prefix or zone.
#[must_use]
pub fn parse_ipv6(text: &str) -> Option<Ipv6Addr> {
    text.parse().ok()
}

/// Reads an address of either family.
#[must_use]
pub fn parse_address(text: &str) -> Option<IpAddr> {
    if text.contains(':') { parse_ipv6(text).map(IpAddr::V6) } else { parse_ipv4(text).map(IpAddr::V4) }
}

/// Reads what stands in the brackets of a literal: `192.0.2.1`, `IPv6:2001:db8::1` (the prefix in any case).
#[must_use]
pub fn parse_mail_address(text: &str) -> Option<IpAddr> {
    const PREFIX: &str = "IPv6:";
    match text.split_at_checked(PREFIX.len()) {
        Some((prefix, rest)) if prefix.eq_ignore_ascii_case(PREFIX) => parse_ipv6(rest).map(IpAddr::V6),
        _ => parse_ipv4(text).map(IpAddr::V4),
    }
}

/// Reads a literal with its brackets: `[192.0.2.1]`, `[IPv6:2001:db8::1]`.
#[must_use]
pub fn parse_literal(text: &str) -> Option<IpAddr> {
    parse_mail_address(text.strip_prefix('[')?.strip_suffix(']')?)
}

/// How an address is written in a literal and in `Received:` headers, without brackets.
#[must_use]
pub fn mail_address(address: IpAddr) -> String {
    match address {
        IpAddr::V4(v4) => v4.to_string(),
        IpAddr::V6(v6) => format!("IPv6:{v6}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_as_their_display() {
        for text in
            ["0.0.0.0", "9.10.99.100", "203.0.113.64", "255.255.255.255", "2001:db8::1", "::ffff:192.0.2.1"]
        {
            let address: IpAddr = text.parse().unwrap();
            assert_eq!(address_text(address), address.to_string());
        }
        for octet in 0..=255 {
            let address = IpAddr::V4(Ipv4Addr::new(octet, 0, octet, 1));
            assert_eq!(address_text(address), address.to_string());
        }
    }

    #[test]
    fn names_of_addresses() {
        assert_eq!(reverse_name("192.0.2.5".parse().unwrap()), "5.2.0.192.in-addr.arpa");
        let v6 = reverse_name("2001:db8::1".parse().unwrap());
        assert!(v6.starts_with("1.0.0.0.") && v6.ends_with("8.b.d.0.1.0.0.2.ip6.arpa"), "{v6}");
        assert_eq!(ascii_name("Mail.Example.ORG").as_deref(), Some("mail.example.org"));
        assert_eq!(ascii_name("bücher.example").as_deref(), Some("xn--bcher-kva.example"));
    }

    #[test]
    fn hostnames() {
        let check = |name: &str, expect: &str| {
            let got = check_hostname(name).err().map(|error| error.to_string()).unwrap_or_default();
            assert_eq!(got, expect, "{name}");
        };
        check("mail.example.org", "");
        check("x", "");
        check("c_d.example", "");
        check("b.1", "");
        check("_dmarc.example", "");
        check("", "empty hostname");
        check("a..b", "misplaced delimiter: a..b");
        check("a.b.", "misplaced delimiter: a.b.");
        check(".a", "misplaced delimiter: .a");
        check("-a.example", "misplaced hyphen: -a.example");
        check("a-.example", "misplaced hyphen: a-.example");
        check("123.456", "numeric hostname: 123.456");
        check("a b", "invalid character 32(decimal): a b");
        check("é.example", "invalid character 233(decimal): é.example");
        check(&format!("{}.example", "a".repeat(63)), "");
        assert!(matches!(check_hostname(&"a".repeat(64)), Err(HostError::Label(_))));
        assert!(matches!(check_hostname(&"abc.".repeat(70)), Err(HostError::Delimiter(_))));
        assert!(matches!(check_hostname(&format!("{}x", "abc.".repeat(70))), Err(HostError::Length(281, _))));
    }

    #[test]
    fn literals() {
        let check = |text: &str, expect: Option<&str>| {
            let expect = expect.map(|address| address.parse::<IpAddr>().unwrap());
            assert_eq!(parse_literal(text), expect, "{text}");
        };
        check("[127.0.0.1]", Some("127.0.0.1"));
        check("[01.2.3.4]", Some("1.2.3.4"));
        check("[ipv6:::1]", Some("::1"));
        check("[IPv6:::ffff:1.2.3.4]", Some("::ffff:1.2.3.4"));
        check("[IPv6:1.2.3.4]", None);
        check("[::1]", None);
        check("[0.2.3.4]", None);
        check("[1.2.3]", None);
        check("[1.2.3.256]", None);
        check("[ 1.2.3.4]", None);
        check("[]", None);
        check("[1.2.3.4", None);
        check("[IPv6:1::2::3]", None);
        check("[é:::1]", None);
    }
}
