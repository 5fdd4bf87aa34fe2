//! `postscreen_dnsbl_sites`: `domain[=filter][*weight]`, counted together. The filter is that of `reject_rbl_client`:
//! `127.0.[0;2].[1..4;6]`. Each entry counts once, however many addresses match it.

use crate::dnsbl::{AddressPattern, is_error, reversed};
use crate::facts::{Answer, Facts, Lookup, Question, Record, RecordKind};
use config::{Diagnostic, Parameters, Place};
use std::net::{IpAddr, Ipv4Addr};
use tables::TableId;

/// One zone, however often it is named.
#[derive(Debug)]
pub(super) struct SiteZone {
    pub(super) domain: String,
    entries: Vec<(Option<AddressPattern>, i64)>,
    pub(super) place: Place,
}

/// All of them.
#[derive(Debug, Default)]
pub(super) struct Sites {
    pub(super) zones: Vec<SiteZone>,
    pub(super) names: Option<TableId>,
    health: bool,
}

/// What the answers add up to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// The sum of the weights.
    pub rank: i64,
    /// How many zones have answered.
    pub answered: usize,
    /// The zone with the greatest weight among those that list the client, the first of equals.
    worst: Option<(i64, usize)>,
}

/// A site as written.
struct Site<'a> {
    domain: &'a str,
    filter: Option<AddressPattern>,
    weight: i64,
}

fn parse(text: &str) -> Result<Site<'_>, String> {
    let (rest, weight) = match text.rsplit_once('*') {
        None => (text, 1),
        Some((rest, number)) => match number.parse::<i32>() {
            Ok(weight) => (rest, i64::from(weight)),
            Err(_) => return Err(format!("bad DNSBL weight factor \"{number}\" in \"{text}\"")),
        },
    };
    let (domain, filter) = match rest.split_once('=') {
        None => (rest, None),
        Some((domain, filter)) => {
            let filter =
                AddressPattern::parse(filter).map_err(|error| format!("bad DNSBL filter syntax: {error}"))?;
            (domain, Some(filter))
        }
    };
    if !mail::host::is_hostname(domain) {
        return Err(format!("bad DNSBL domain name \"{domain}\" in \"{text}\""));
    }
    Ok(Site { domain, filter, weight })
}

impl Sites {
    pub(super) fn compile(p: &Parameters, said: &mut Vec<Diagnostic>) -> Sites {
        let health = !p.is_set("komainu_dnsbl_health") || p.flag("komainu_dnsbl_health");
        let mut sites = Sites { zones: Vec::new(), names: None, health };
        for word in p.list("postscreen_dnsbl_sites") {
            let site = match parse(&word.value) {
                Ok(site) => site,
                Err(message) => {
                    let help =
                        "Postfix refuses to run with it; write domain, domain=127.0.0.[1..4] or domain*2";
                    said.push(Diagnostic::error(431, word.place.clone(), message).help(help));
                    continue;
                }
            };
            let entry = (site.filter, site.weight);
            match sites.zones.iter_mut().find(|zone| zone.domain.eq_ignore_ascii_case(site.domain)) {
                Some(zone) => zone.entries.push(entry),
                None => sites.zones.push(SiteZone {
                    domain: site.domain.to_owned(),
                    entries: vec![entry],
                    place: word.place.clone(),
                }),
            }
        }
        sites
    }

    /// The sums of all positive and of all negative weights.
    pub(super) fn weights(&self) -> (i64, i64) {
        let weights = || self.zones.iter().flat_map(|zone| zone.entries.iter().map(|(_, weight)| *weight));
        let sum = |wanted: fn(&i64) -> bool| weights().filter(wanted).fold(0, i64::saturating_add);
        (sum(|weight| *weight > 0), sum(|weight| *weight < 0))
    }

    pub(super) fn questions(&self, client: IpAddr) -> impl Iterator<Item = (&str, Question)> {
        let reversed = reversed(client);
        self.zones.iter().map(move |zone| {
            let name = format!("{reversed}.{}", zone.domain).to_ascii_lowercase();
            (zone.domain.as_str(), Question::Dns { name, kind: RecordKind::A })
        })
    }

    pub(super) fn count(&self, tally: &mut Tally, zone: usize, answer: &Answer) -> Vec<Ipv4Addr> {
        tally.answered = tally.answered.saturating_add(1);
        let Answer::Records(records) = answer else { return Vec::new() };
        let listed: Vec<Ipv4Addr> = records
            .iter()
            .filter_map(|record| match record {
                Record::A(address) => Some(*address),
                _ => None,
            })
            .collect();
        let counts = |address: &&Ipv4Addr| !(self.health && is_error(**address));
        for (filter, weight) in self.zones.get(zone).map(|zone| zone.entries.as_slice()).unwrap_or_default() {
            let mut believed = listed.iter().filter(counts);
            if !believed.any(|address| filter.as_ref().is_none_or(|filter| filter.matches(*address))) {
                continue;
            }
            tally.rank = tally.rank.saturating_add(*weight);
            if tally.worst.is_none_or(|(worst, _)| *weight > worst) {
                tally.worst = Some((*weight, zone));
            }
        }
        listed
    }

    pub(super) fn public_name(&self, tally: &Tally, facts: &Facts) -> String {
        let Some(zone) = tally.worst.and_then(|(_, zone)| self.zones.get(zone)) else { return String::new() };
        if let Some(names) = self.names
            && let Ok(Lookup::Found(hit)) = facts.lookup(names, &zone.domain)
        {
            return hit.value.into_owned();
        }
        zone.domain.clone()
    }
}

/// Reads any bytes as a site: for fuzzing. What can be read can be matched.
pub fn fuzz_site(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    if let Ok(Site { filter: Some(filter), .. }) = parse(&text) {
        filter.matches(Ipv4Addr::new(127, 0, 0, 2));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn sites() {
        let check = |text: &str, domain: &str, weight: i64, filtered: bool| {
            let site = parse(text).unwrap();
            assert_eq!(
                (site.domain, site.weight, site.filter.is_some()),
                (domain, weight, filtered),
                "{text}"
            );
        };
        check("bl.example", "bl.example", 1, false);
        check("bl.example*2", "bl.example", 2, false);
        check("wl.example=127.0.[0..255].[1;3]*-4", "wl.example", -4, true);
    }

    /// As Postfix 3.7 says it where it refuses to run.
    #[test]
    fn broken_sites() {
        for (text, expect) in [
            ("bl.example=127.0.0*2", "bad DNSBL filter syntax: need \".\" at \"127.0.0><\""),
            ("bl.example*x", "bad DNSBL weight factor \"x\" in \"bl.example*x\""),
            ("=127.0.0.2", "bad DNSBL domain name \"\" in \"=127.0.0.2\""),
        ] {
            assert_eq!(parse(text).err().as_deref(), Some(expect), "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(domain in "[a-z]{1,9}\\.[a-z]{2,3}", low in 0_u8..9, weight in -9_i64..9) {
            let text = format!("{domain}=127.0.0.[{low}..9]*{weight}");
            let site = parse(&text).unwrap();
            prop_assert_eq!((site.domain, site.weight), (domain.as_str(), weight));
            prop_assert!(site.filter.unwrap().matches(Ipv4Addr::new(127, 0, 0, 9)));
        }

        #[test]
        fn anything_may_be_written(text in "[a-z.=*;0-9\\[\\]-]{0,40}") {
            fuzz_site(text.as_bytes());
        }
    }
}
