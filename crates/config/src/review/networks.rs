//! `mynetworks` and who may say XCLIENT: who is trusted, and how many more than its writer thinks.
//!
//! Words that can't be read or can't match are the match lists' to tell; tables and files aren't looked into.
//! K0142 too many are trusted, K0143 a container's gateway, K0144 mynetworks_style, K0172 this
//! machine isn't among them, K0173 words that are nobody's address.

use super::{Listener, Subject, place};
use crate::{Diagnostic, Parameters, Place, Severity};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

pub(super) fn review(subject: &Subject<'_>, listeners: &[Listener<'_>], found: &mut Vec<Diagnostic>) {
    trusted(subject.parameters, subject.parameters, found);
    for service in &subject.master.services {
        if service.overrides.iter().any(|one| one.name.value == "mynetworks") {
            trusted(&subject.parameters.with_overrides(&service.overrides).0, subject.parameters, found);
        }
    }
    xclient(subject.parameters, found);
    for service in &subject.master.services {
        if service.overrides.iter().any(|one| one.name.value == XCLIENT) {
            xclient(&subject.parameters.with_overrides(&service.overrides).0, found);
        }
    }
    style(subject.parameters, found);
    without_itself(subject.parameters, listeners, found);
}

/// Restriction lists in which permit_mynetworks lets somebody relay.
const LISTS: [&str; 5] = [
    "smtpd_client_restrictions",
    "smtpd_helo_restrictions",
    "smtpd_sender_restrictions",
    "smtpd_relay_restrictions",
    "smtpd_recipient_restrictions",
];

/// Networks, all of which can be read, without this machine's own loopback, where a server asks for them.
fn without_itself(main: &Parameters, listeners: &[Listener<'_>], found: &mut Vec<Diagnostic>) {
    let Some(at) = place(main, "mynetworks") else { return };
    let words = main.list("mynetworks");
    let networks: Option<Vec<Network>> = words.iter().map(|word| Network::parse(&word.value)).collect();
    let Some(networks) = networks.filter(|all| !all.is_empty()) else { return };
    // Nobody is in such a network: that is said by itself.
    let is_odd = |network: &Network| match network.address {
        IpAddr::V4(address) => {
            u32::from(address).checked_shl(network.bits.into()).is_some_and(|rest| rest != 0)
        }
        IpAddr::V6(_) => false,
    };
    if networks.iter().any(is_odd) {
        return;
    }
    let own = networks.iter().any(|network| match network.address {
        IpAddr::V4(address) => covers(address, network.bits, Ipv4Addr::LOCALHOST),
        IpAddr::V6(address) => address.is_loopback() || network.bits == 0,
    });
    let asks = |listener: &Listener<'_>| {
        let own = &listener.parameters;
        own.raw("mynetworks").map(|raw| raw.value) == main.raw("mynetworks").map(|raw| raw.value)
            && LISTS.iter().any(|list| own.list(list).iter().any(|word| word.value == "permit_mynetworks"))
    };
    if own || !listeners.iter().any(asks) {
        return;
    }
    found.push(Diagnostic::hint(172, at, "mynetworks doesn't contain this machine itself").help(
        "programs here that send by SMTP to 127.0.0.1 (webmail, monitoring) can't send to other domains; add \
         127.0.0.0/8 [::1]/128",
    ));
}

const XCLIENT: &str = "smtpd_authorized_xclient_hosts";

/// Who may say in XCLIENT that he is somebody else.
fn xclient(own: &Parameters, found: &mut Vec<Diagnostic>) {
    if !own.is_set(XCLIENT) {
        return;
    }
    for word in own.list(XCLIENT) {
        let strangers = match Network::parse(&word.value) {
            Some(network) => network.is_wide(),
            None => word.value.starts_with("static:"),
        };
        if strangers {
            let message = format!("`{}` in {XCLIENT} lets strangers say who they are", word.value);
            found.push(Diagnostic::error(142, word.place, message).help(
                "with XCLIENT a client takes any address or login name, one of mynetworks too: an open relay; name \
                 the proxies that stand in front of this server only",
            ));
        }
    }
}

fn trusted(own: &Parameters, machine: &Parameters, found: &mut Vec<Diagnostic>) {
    if !own.is_set("mynetworks") {
        return;
    }
    for word in own.list("mynetworks") {
        if let Some(network) = Network::parse(&word.value) {
            found.extend(network.judged(&word.value, &word.place, machine));
        } else if word.value == "static:all" || word.value.starts_with("static:") {
            found.push(world(&word.value, &word.place));
        } else if is_name(&word.value) {
            found.push(named(&word.value, &word.place));
        } else if is_piece(&word.value) {
            found.push(piece(&word.value, &word.place));
        }
    }
}

/// A host's name: no address, table, file or exclusion.
fn is_name(word: &str) -> bool {
    let letters = word.bytes().any(|b| b.is_ascii_alphabetic());
    letters
        && word.contains('.')
        && !word.starts_with('.')
        && word.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_'))
        // `192.168.x.0`
        && word.rsplit('.').next().is_some_and(|last| last.bytes().any(|b| b.is_ascii_alphabetic()))
}

/// `192.168.1`, `10.`, `10.0.0.*`: what access tables and other programs take for a network. A name
/// that a client could have doesn't end in digits.
fn is_piece(word: &str) -> bool {
    let word = word.strip_prefix('!').unwrap_or(word);
    let digits = word.bytes().any(|b| b.is_ascii_digit());
    let mut labels = word.split('.').filter(|label| !label.is_empty());
    digits
        && word.contains('.')
        && labels.all(|label| label == "*" || label.bytes().all(|b| b.is_ascii_digit()))
        && word.parse::<Ipv4Addr>().is_err()
}

fn piece(word: &str, place: &Place) -> Diagnostic {
    let bare = word.strip_prefix('!').unwrap_or(word);
    let octets: Vec<&str> = bare.split('.').take_while(|label| label.parse::<u8>().is_ok()).take(3).collect();
    let mut network = octets.clone();
    network.resize(4, "0");
    let instead = match octets.len() {
        0 => "write networks as 192.0.2.0/24".to_owned(),
        length => format!("write `{}/{}` if that is meant", network.join("."), 8 * length),
    };
    Diagnostic::warning(173, place.clone(), format!("`{word}` in mynetworks is nobody's address"))
        .help(format!("it matches no client, so nobody is trusted by it; {instead}"))
}

fn named(word: &str, place: &Place) -> Diagnostic {
    Diagnostic::warning(142, place.clone(), format!("`{word}` in mynetworks is a name, not an address")).help(
        "clients are trusted by what the DNS says of them: every host whose name is this one or below it may send \
         anywhere, and none may while the lookup fails; write addresses or networks",
    )
}

fn world(word: &str, place: &Place) -> Diagnostic {
    Diagnostic::error(142, place.clone(), format!("`{word}` in mynetworks is the whole world"))
        .help("permit_mynetworks lets everyone send anywhere: an open relay; name your own networks only")
}

struct Network {
    address: IpAddr,
    bits: u8,
}

impl Network {
    /// Reads `192.0.2.0/24`, `[2001:db8::]/32`, or an address.
    fn parse(word: &str) -> Option<Network> {
        let (address, bits) = match word.rsplit_once('/') {
            Some((address, bits)) => (address, Some(bits)),
            None => (word, None),
        };
        let address = match address.strip_prefix('[') {
            Some(inner) => IpAddr::V6(inner.strip_suffix(']')?.parse().ok()?),
            None => IpAddr::V4(address.parse().ok()?),
        };
        let whole = if address.is_ipv4() { 32 } else { 128 };
        let bits = bits.map_or(Some(whole), |bits| bits.parse().ok()).filter(|bits| *bits <= whole)?;
        Some(Network { address, bits })
    }

    /// Whether it has 16 million public addresses (version 4), or more than any provider (version 6).
    fn is_wide(&self) -> bool {
        match self.address {
            IpAddr::V4(address) => self.bits <= 8 && !is_private(address, self.bits),
            IpAddr::V6(address) => {
                self.bits <= 3 || (address.segments()[0] & 0xe000 == 0x2000 && self.bits < 16)
            }
        }
    }

    fn judged(&self, word: &str, place: &Place, machine: &Parameters) -> Option<Diagnostic> {
        match self.address {
            IpAddr::V4(address) => self.judged_v4(address, word, place, machine),
            IpAddr::V6(address) => self.judged_v6(address, word, place),
        }
    }

    fn judged_v4(
        &self,
        address: Ipv4Addr,
        word: &str,
        place: &Place,
        machine: &Parameters,
    ) -> Option<Diagnostic> {
        if self.bits == 0 {
            return Some(world(word, place));
        }
        if is_private(address, self.bits) {
            return self.container(address, word, place, machine);
        }
        let hosts = 1_u64.checked_shl(u32::from(32 - self.bits))?;
        let meant = match address.octets() {
            [172, ..] => "; private addresses are 172.16.0.0/12",
            [192, ..] => "; private addresses are 192.168.0.0/16",
            _ => "",
        };
        let severity = match self.bits {
            ..=7 => Severity::Error,
            8..=16 => Severity::Warning,
            17..=23 => Severity::Hint,
            _ => return None,
        };
        let message = format!("`{word}` in mynetworks trusts {hosts} public addresses");
        let mut diagnostic = Diagnostic::warning(142, place.clone(), message)
            .help(format!("whoever has one of them may send anywhere; name your own networks only{meant}"));
        diagnostic.severity = severity;
        Some(diagnostic)
    }

    fn judged_v6(&self, address: Ipv6Addr, word: &str, place: &Place) -> Option<Diagnostic> {
        if let Some(inner) = address.to_ipv4_mapped()
            && self.bits >= 96
        {
            let inner_network = Network { address: IpAddr::V4(inner), bits: self.bits - 96 };
            return (inner_network.bits == 0).then(|| world(word, place));
        }
        if self.bits <= 3 {
            return Some(world(word, place));
        }
        let global = address.segments()[0] & 0xe000 == 0x2000;
        if !global || self.bits >= 32 {
            return None;
        }
        let message = format!("`{word}` in mynetworks trusts more than a provider's whole network");
        let mut diagnostic = Diagnostic::warning(142, place.clone(), message)
            .help("whoever has an address in it may send anywhere; a site has a /48 or a /64");
        if self.bits < 16 {
            diagnostic.severity = Severity::Error;
        }
        Some(diagnostic)
    }

    /// Docker's first bridge: clients from outside may come from its gateway.
    fn container(
        &self,
        address: Ipv4Addr,
        word: &str,
        place: &Place,
        machine: &Parameters,
    ) -> Option<Diagnostic> {
        let gateway = Ipv4Addr::new(172, 17, 0, 1);
        if address.octets()[0] != 172 || !covers(address, self.bits, gateway) {
            return None;
        }
        let message = format!("`{word}` in mynetworks contains the gateway of a container network");
        let mut diagnostic = Diagnostic::hint(143, place.clone(), message).help(
            "where a port is published without the client's address (Docker's userland proxy, rootless Podman, \
             masquerading), everyone comes from 172.17.0.1 and is trusted: an open relay; name the containers that \
             send mail, or have them log in",
        );
        let here = machine.host().addresses.iter().any(|own| match own.address {
            IpAddr::V4(own) => own.octets()[0] == 172 && covers(address, self.bits, own),
            IpAddr::V6(_) => false,
        });
        if here {
            diagnostic.severity = Severity::Warning;
        }
        Some(diagnostic)
    }
}

fn covers(network: Ipv4Addr, bits: u8, address: Ipv4Addr) -> bool {
    let mask = u32::MAX.checked_shl(32 - u32::from(bits.min(32))).unwrap_or(0);
    u32::from(network) & mask == u32::from(address) & mask
}

/// Whether the whole network is of addresses that the Internet doesn't route.
fn is_private(address: Ipv4Addr, bits: u8) -> bool {
    let ranges = [
        ([10, 0, 0, 0], 8),
        ([127, 0, 0, 0], 8),
        ([172, 16, 0, 0], 12),
        ([192, 168, 0, 0], 16),
        ([169, 254, 0, 0], 16),
        ([100, 64, 0, 0], 10),
    ];
    ranges.into_iter().any(|(range, length)| bits >= length && covers(Ipv4Addr::from(range), length, address))
}

fn style(main: &Parameters, found: &mut Vec<Diagnostic>) {
    let Some(place) = place(main, "mynetworks_style") else { return };
    if main.is_set("mynetworks") {
        let message = "mynetworks_style has no effect beside mynetworks";
        found.push(Diagnostic::hint(144, place, message).help("delete one of the two"));
        return;
    }
    match main.text("mynetworks_style").value.as_str() {
        "class" => found.push(
            Diagnostic::error(144, place, "mynetworks_style = class trusts the whole class A, B or C network around this machine")
                .help("16 million neighbours may send anywhere: an open relay; write `mynetworks_style = host`, or mynetworks itself"),
        ),
        "subnet" => found.push(
            Diagnostic::warning(144, place, "mynetworks_style = subnet trusts all neighbours of this machine")
                .help("at a hosting provider the neighbours are strangers who may send anywhere; write `mynetworks_style = host`, or mynetworks itself"),
        ),
        _ => {}
    }
}
