//! The DNS lists in use: whether they answer as RFC 5782 §5 wants it, and what they say of this server itself.
//!
//! Answers in 127.255.255.0/24 mean that the list doesn't answer this resolver; they are never listings here. T1.4.
//! Diagnostics: K0625 a list that doesn't work, K0626 this server is listed, K0627 a list that refuses the resolver.

use super::known::{Known, Told};
use super::{Matter, own};
use crate::check::surroundings::zones;
use crate::facts::zone_health::{Health, test_points};
use config::{Diagnostic, Parameters, Place};
use policy::{Answer, Question, Record, RecordKind, Zone, ZoneKind};
use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};

/// Where lists may stand.
const LISTS: [&str; 6] = [
    "smtpd_client_restrictions",
    "smtpd_helo_restrictions",
    "smtpd_sender_restrictions",
    "smtpd_relay_restrictions",
    "smtpd_recipient_restrictions",
    "smtpd_data_restrictions",
];

pub(super) fn judge(matter: &Matter<'_>, known: &Known) -> Vec<Diagnostic> {
    let friendly = friendly(matter);
    let own = own::sending(matter, known);
    let kinds: Vec<&Zone> = matter.scene.servers.iter().flat_map(|server| &server.zones).collect();
    let mut found = Vec::new();
    for (domain, place) in zones(matter.scene) {
        let kind = kinds.iter().find(|zone| zone.domain.eq_ignore_ascii_case(&domain));
        let zone = Zone { domain, kind: kind.map_or(ZoneKind::Address, |zone| zone.kind), place };
        match works(&zone, known) {
            None => {}
            Some(Some(diagnostic)) => found.push(diagnostic),
            Some(None) if zone.kind == ZoneKind::Address && !friendly.contains(&zone.domain) => {
                let own = own.iter().flatten();
                let listed: Vec<_> = own.map(|address| listed(*address, &zone, known)).collect();
                found.extend(listed.into_iter().flatten());
            }
            Some(None) => {}
        }
    }
    found
}

/// Lists of good servers: to be on one is no harm.
fn friendly(matter: &Matter<'_>) -> BTreeSet<String> {
    let mut zones = BTreeSet::new();
    let domain = |text: &str| text.split(['=', '*']).next().unwrap_or("").to_ascii_lowercase();
    let servers = matter.scene.servers.iter().map(|server| &server.parameters);
    let mut read = |p: &Parameters| {
        for name in LISTS {
            let words = p.list(name);
            for pair in words.windows(2) {
                if let [rule, zone] = pair
                    && matches!(rule.value.as_str(), "permit_dnswl_client" | "permit_rhswl_client")
                {
                    zones.insert(domain(&zone.value));
                }
            }
        }
        let sites = p.list("postscreen_dnsbl_sites");
        let good = sites.iter().filter(|site| site.value.contains("*-"));
        zones.extend(good.map(|site| domain(&site.value)));
    };
    servers.for_each(&mut read);
    zones
}

/// Whether an answer says "I don't answer you".
fn refuses(answer: &Answer) -> Option<Ipv4Addr> {
    let Answer::Records(records) = answer else { return None };
    records.iter().find_map(|record| match record {
        Record::A(address) if matches!(address.octets(), [127, 255, 255, _]) => Some(*address),
        _ => None,
    })
}

/// What is wrong with a list. `None` where something must be asked first.
#[expect(clippy::option_option, reason = "must be asked, nothing to say, something: `?` sorts them")]
fn works(zone: &Zone, known: &Known) -> Option<Option<Diagnostic>> {
    let domain = &zone.domain;
    let [good, bad] = test_points(zone);
    let (good, bad, apex) = (known.answer(&good), known.answer(&bad), known.dns(domain, RecordKind::Soa));
    let (good, bad, apex) = (good?, bad?, apex?);
    let place = || zone.place.clone();
    if let Some(code) = refuses(good).or_else(|| refuses(bad)) {
        let message = format!("{domain} doesn't answer this name server: it says {code}");
        let help = "it lists nobody; under Postfix, a zone without =127.0.0.x refuses everybody. Ask through a \
                    resolver of your own, or with the list's key";
        return Some(Some(Diagnostic::warning(627, place(), message).help(help)));
    }
    let health = Health::default().after(good, bad);
    let said = |what: &str, consequence: &str| {
        let help = format!("it is skipped here; under Postfix {consequence}: take it out");
        Some(Some(Diagnostic::warning(625, place(), format!("{domain} {what}")).help(help)))
    };
    if health.lists_everything {
        return said("lists the whole world (127.0.0.1 among it)", "it refuses everybody");
    }
    if health.silent > 0 {
        return said("gives no answer", "every client waits for it");
    }
    if health.no_test_point && matches!(apex, Told::NoName) {
        return said("doesn't exist any more", "it is asked for every client, and never lists one");
    }
    Some(None)
}

fn listed(address: IpAddr, zone: &Zone, known: &Known) -> Option<Diagnostic> {
    let reversed = reversed(address);
    let name = format!("{reversed}.{}", zone.domain);
    let Answer::Records(records) = known.answer(&Question::Dns { name, kind: RecordKind::A })? else {
        return None;
    };
    let code = records.iter().find_map(|record| match record {
        Record::A(code) if code.is_loopback() && !matches!(code.octets(), [127, 255, 255, _]) => Some(*code),
        _ => None,
    })?;
    let message = format!("{address}, this server's own address, is listed by {} ({code})", zone.domain);
    let help =
        "others who ask it refuse your mail: see the list's site for why, mend that, and ask to be taken off";
    Some(Diagnostic::warning(626, Place::clone(&zone.place), message).help(help))
}

fn reversed(address: IpAddr) -> String {
    let name = crate::facts::dns::reverse_name(address);
    let name = name.trim_end_matches(".in-addr.arpa").trim_end_matches(".ip6.arpa");
    name.to_owned()
}
