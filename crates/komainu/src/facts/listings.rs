//! Which DNS lists have most clients that come: there it pays to ask why together with whether.
//!
//! A refusal quotes the list's TXT record, which is asked for when the list has the client: its answer time counts
//! twice then. Where most clients are listed the record is asked for together with the address, so that it counts
//! once; a client that isn't listed costs no further question but there, and fewer than half of those questions are
//! in vain. Only an order of asking: no answer depends on it. T1.4.

use policy::{Question, RecordKind};
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// All of a zone's latest clients were listed.
const ALWAYS: u16 = 1 << 10;
/// So much of what was before gives way to each new client.
const SHARE: u16 = 4;

/// How often each zone listed its latest clients, the last ones counting most. The zones are those of the
/// configuration.
#[derive(Debug, Default)]
pub struct Listings {
    zones: Mutex<HashMap<String, u16>>,
}

impl Listings {
    /// Whether `zone` lists more than half of those who come.
    #[must_use]
    pub fn is_likely(&self, zone: &str) -> bool {
        self.lock().get(zone).is_some_and(|often| *often > ALWAYS / 2)
    }

    /// Another client was in the list, or wasn't.
    pub fn note(&self, zone: &str, listed: bool) {
        let mut zones = self.lock();
        let move_on = |often: u16| often - often / SHARE + if listed { ALWAYS / SHARE } else { 0 };
        match zones.get_mut(zone) {
            Some(often) => *often = move_on(*often),
            None => {
                zones.insert(zone.to_owned(), move_on(0));
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, u16>> {
        self.zones.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The zone of a question about a client's address, as a policy asks it when the client connects.
#[must_use]
pub fn zone_of(question: &Question, client: IpAddr) -> Option<&str> {
    let Question::Dns { name, kind: RecordKind::A } = question else { return None };
    let labels = if client.is_ipv4() { 4 } else { 32 };
    name.splitn(labels + 1, '.').nth(labels)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_zone_is_likely_while_it_lists_more_than_half() {
        let listings = Listings::default();
        let clients = |listed: &[bool], expect: bool| {
            listed.iter().for_each(|listed| listings.note("bl.example", *listed));
            assert_eq!(listings.is_likely("bl.example"), expect, "{listings:?}");
        };
        clients(&[], false);
        clients(&[true, true], false);
        clients(&[true], true);
        clients(&[true; 1000], true);
        clients(&[false, false], true);
        clients(&[false], false);
        clients(&[false; 1000], false);
        assert!(!listings.is_likely("other.example"));
    }

    #[test]
    fn zones_of_questions() {
        let check = |name: &str, client: &str, expect: Option<&str>| {
            let question = Question::Dns { name: name.to_owned(), kind: RecordKind::A };
            assert_eq!(zone_of(&question, client.parse().unwrap()), expect, "{name}");
        };
        check("4.3.2.1.bl.example", "1.2.3.4", Some("bl.example"));
        check("4.3.2.1", "1.2.3.4", None);
        let reversed = "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2";
        check(&format!("{reversed}.bl.example"), "2001:db8::1", Some("bl.example"));
        assert_eq!(zone_of(&Question::HostName([1, 2, 3, 4].into()), [1, 2, 3, 4].into()), None);
    }
}
