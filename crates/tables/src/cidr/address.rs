//! Addresses as they come as keys, read faster than the standard library does where they are plain.
//!
//! The standard library's reader is general: it tries each group of an IPv6 address as the start of a dotted one.
//! Keys are written by programs, so one pass reads nearly all of them. What isn't plain is left to the library.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// As `text.parse::<IpAddr>()`.
pub(super) fn parse(text: &str) -> Option<IpAddr> {
    let bytes = text.as_bytes();
    let plain = if bytes.iter().take(5).any(|byte| *byte == b':') {
        groups(bytes).map(|bits| IpAddr::V6(Ipv6Addr::from(bits)))
    } else {
        octets(bytes).map(|bits| IpAddr::V4(Ipv4Addr::from(bits)))
    };
    plain.or_else(|| text.parse().ok())
}

/// Four decimal numbers without leading zeros.
fn octets(text: &[u8]) -> Option<u32> {
    let (mut bits, mut octet, mut digits, mut dots) = (0_u32, 0_u32, 0_u32, 0_u32);
    for &byte in text {
        if byte == b'.' {
            if digits == 0 {
                return None;
            }
            (bits, octet, digits, dots) = (bits << 8 | octet, 0, 0, dots + 1);
            continue;
        }
        let digit = u32::from(byte.wrapping_sub(b'0'));
        octet = octet * 10 + digit;
        digits += 1;
        if digit > 9 || octet > 255 || digits > 1 && octet < 10 {
            return None;
        }
    }
    (dots == 3 && digits > 0).then_some(bits << 8 | octet)
}

/// Groups of one to four hexadecimal digits, with at most one `::`.
fn groups(text: &[u8]) -> Option<u128> {
    let (mut bits, mut group) = (0_u128, 0_u128);
    // Groups and digits so far, and how many groups stood before the `::`.
    let (mut groups, mut digits, mut gap) = (0_u32, 0_u32, None);
    let mut rest = text;
    if let Some(behind) = rest.strip_prefix(b"::") {
        gap = Some(0);
        rest = behind;
    }
    while let Some((&byte, mut behind)) = rest.split_first() {
        if byte == b':' {
            if digits == 0 || groups == 8 {
                return None;
            }
            (bits, groups) = (bits << 16 | group, groups + 1);
            (group, digits) = (0, 0);
            if let Some(more) = behind.strip_prefix(b":") {
                if gap.replace(groups).is_some() {
                    return None;
                }
                behind = more;
            } else if behind.is_empty() {
                return None;
            }
        } else {
            let digit = char::from(byte).to_digit(16)?;
            (group, digits) = (group << 4 | u128::from(digit), digits + 1);
            if digits > 4 {
                return None;
            }
        }
        rest = behind;
    }
    if digits > 0 {
        (bits, groups) = (bits << 16 | group, groups + 1);
    }
    match gap {
        None => (groups == 8).then_some(bits),
        Some(before) if groups < 8 => {
            let behind = (groups - before) * 16;
            let low = bits & !u128::MAX.checked_shl(behind).unwrap_or(0);
            let high = bits.checked_shr(behind).unwrap_or(0);
            Some(high.checked_shl(128 - before * 16).unwrap_or(0) | low)
        }
        Some(_) => None,
    }
}
