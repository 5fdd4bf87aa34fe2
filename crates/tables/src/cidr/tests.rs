//! Resolved tables against their definition: walking through the lines in order.

use super::spans::{Action, Spans, Step};
use super::{Network, parse};
use crate::source::Source;
use proptest::prelude::*;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;

/// cidr_table(5) word for word. An address of the other family satisfies neither a pattern nor its negation.
fn walk(steps: &[Step], address: IpAddr) -> Option<usize> {
    let mut at = 0;
    while let Some(step) = steps.get(at) {
        let ours = step.network.address.is_ipv4() == address.is_ipv4();
        let holds = ours && step.network.contains(address) != step.negated;
        at = match step.action {
            Action::Result(result) if holds => return Some(result),
            Action::If(behind) if !holds => behind,
            _ => at + 1,
        };
    }
    None
}

fn resolved(steps: &[Step], address: IpAddr) -> Option<usize> {
    match address {
        IpAddr::V4(v4) => Spans::<u32>::new(steps, IpAddr::is_ipv4).find(v4.into()),
        IpAddr::V6(v6) => Spans::<u128>::new(steps, IpAddr::is_ipv6).find(v6.into()),
    }
}

/// Few bits, so that networks hold each other and share their ends.
fn address() -> impl Strategy<Value = IpAddr> {
    let v4 = any::<u32>().prop_map(|bits| IpAddr::V4(Ipv4Addr::from(bits & 0xc000_0103)));
    let v6 = any::<u128>().prop_map(|bits| IpAddr::V6(Ipv6Addr::from(bits & (0xc << 124 | 0x103))));
    prop_oneof![3 => v4, 1 => v6, 1 => Just("255.255.255.255".parse().expect("v4"))]
}

fn network() -> impl Strategy<Value = Network> {
    (address(), 0_u8..=128).prop_map(|(address, prefix)| {
        let prefix = prefix % (super::width(address) + 1);
        let bits = super::masked(address, prefix);
        Network { address: super::address_of(bits, address.is_ipv4()), prefix }
    })
}

/// Rules, with conditions that nest, some of them to the end of the table.
fn steps() -> impl Strategy<Value = Vec<Step>> {
    prop::collection::vec((network(), prop::bool::weighted(0.3), 0_usize..60), 0..50).prop_map(|lines| {
        let (mut steps, mut ends): (Vec<Step>, Vec<usize>) = (Vec::new(), Vec::new());
        let count = lines.len();
        for (at, (network, negated, kind)) in lines.into_iter().enumerate() {
            while ends.last().is_some_and(|end| *end <= at) {
                ends.pop();
            }
            let action = if kind < 12 {
                let outer = ends.last().copied().unwrap_or(count);
                let behind = (at + 1 + kind).min(outer);
                ends.push(behind);
                Action::If(behind)
            } else {
                Action::Result(at)
            };
            steps.push(Step { network, negated, action });
        }
        steps
    })
}

proptest! {
    #[test]
    fn the_first_line_that_holds_answers(steps in steps(), others in prop::collection::vec(address(), 20)) {
        let ends = steps.iter().flat_map(|step| {
            let v4 = step.network.address.is_ipv4();
            let bits = super::masked(step.network.address, 128);
            let around = [bits.wrapping_sub(1), bits, bits.wrapping_add(1)];
            around.map(|bits| super::address_of(if v4 { bits & 0xffff_ffff } else { bits }, v4))
        });
        for address in others.into_iter().chain(ends) {
            prop_assert_eq!(resolved(&steps, address), walk(&steps, address), "{}", address);
        }
    }
}

proptest! {
    #[test]
    fn addresses_read_as_the_standard_library_reads_them(text in "[0-9a-f:.]{0,20}", v4 in "[0-9]{1,3}(\\.[0-9]{1,3}){2,4}", v6 in any::<u128>(), zeros in any::<u128>()) {
        let sparse = Ipv6Addr::from(v6 & zeros & (zeros << 17) & (zeros << 31)).to_string();
        for text in [text, v4, sparse.to_uppercase(), sparse, Ipv6Addr::from(v6).to_string()] {
            prop_assert_eq!(super::address::parse(&text), text.parse().ok(), "{}", text);
        }
    }
}

#[test]
fn lines_become_answers() {
    let text = "10.1.0.0/16 first\nif 10.0.0.0/8\n!10.2.0.0/15 outside\n10.2.3.4 one\nendif\n10.0.0.0/8 rest\n\
                2001:db8::/32 six\n!::1 other\nif !192.0.2.0/24\n198.51.100.0/24 net\n";
    let (table, notices) = parse(&Source::new(Path::new("/t"), text.into()), "/t");
    assert_eq!(notices.len(), 1, "{notices:?}");
    assert_eq!(table.len(), 7);
    for (key, expect) in [
        ("10.1.2.3", Some("first")),
        ("10.9.0.1", Some("outside")),
        ("10.2.3.4", Some("one")),
        ("10.2.3.5", Some("rest")),
        ("2001:db8::7", Some("six")),
        ("2001:db9::7", Some("other")),
        ("::1", None),
        ("192.0.2.1", None),
        ("198.51.100.9", Some("net")),
        ("255.255.255.255", None),
        ("0.0.0.0", None),
        ("no address", None),
    ] {
        assert_eq!(table.find(key).map(|found| &*found.value), expect, "{key}");
    }
}
