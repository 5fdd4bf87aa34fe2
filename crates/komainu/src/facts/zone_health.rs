//! Which DNSBLs answer as they should (RFC 5782 §5): probed from time to time at their test points.
//!
//! A list that is dead must not delay or refuse anybody, and one whose domain was sold lists the whole
//! world. 127.0.0.2 must be listed, 127.0.0.1 must not. A zone that lists both is out at once; a zone that
//! answers neither, or not at all, is out after several probes. `komainu_dnsbl_health = no` switches it off.
//! T1.4.

use super::Names;
use policy::{Answer, Question, RecordKind, Zone, ZoneKind};
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

/// Probes without an answer before a zone is skipped.
const SILENT_PROBES_MAX: u32 = 2;

/// What the last probes of a zone showed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Health {
    /// It lists what must not be listed.
    pub lists_everything: bool,
    /// Probes in a row without any answer.
    pub silent: u32,
    /// It answered, but not for its own test point.
    pub no_test_point: bool,
}

impl Health {
    /// Whether its listings are to be believed and waited for. A list without a test point still works:
    /// many small ones have none.
    #[must_use]
    pub const fn is_healthy(self) -> bool {
        !self.lists_everything && self.silent < SILENT_PROBES_MAX
    }

    /// The health after one more probe: the answers about the two [`test_points`].
    #[must_use]
    pub fn after(self, good: &Answer, bad: &Answer) -> Health {
        let silent = |answer: &Answer| matches!(answer, Answer::Unavailable(_));
        Health {
            silent: if silent(good) && silent(bad) { self.silent.saturating_add(1) } else { 0 },
            lists_everything: matches!(bad, Answer::Records(_)),
            no_test_point: !matches!(good, Answer::Records(_)),
        }
    }

    /// Why it is skipped.
    #[must_use]
    pub const fn reason(self) -> &'static str {
        if self.lists_everything {
            "it lists the whole world (127.0.0.1 among it)"
        } else {
            "it gives no answer"
        }
    }
}

/// What must be listed, and what must not (RFC 5782 §5).
#[must_use]
pub fn test_points(zone: &Zone) -> [Question; 2] {
    let points = match zone.kind {
        ZoneKind::Address => ["2.0.0.127", "1.0.0.127"],
        ZoneKind::Domain => ["test", "invalid"],
    };
    points.map(|point| Question::Dns { name: format!("{point}.{}", zone.domain), kind: RecordKind::A })
}

/// The zones' state; unknown zones count as healthy.
#[derive(Debug, Default)]
pub struct ZoneHealth {
    zones: Mutex<HashMap<String, Health>>,
}

impl ZoneHealth {
    /// Whether `zone` is to be asked.
    #[must_use]
    pub fn is_healthy(&self, zone: &str) -> bool {
        let zones = self.zones.lock().unwrap_or_else(PoisonError::into_inner);
        zones.get(zone).is_none_or(|health| health.is_healthy())
    }

    /// Probes one zone; gives its health where it turned from good to bad or back.
    pub async fn probe(&self, zone: &Zone, names: &dyn Names) -> Option<Health> {
        let [good, bad] = test_points(zone);
        let (good, bad) = tokio::join!(names.ask(&good), names.ask(&bad));
        self.record(&zone.domain, &good, &bad)
    }

    fn record(&self, zone: &str, good: &Answer, bad: &Answer) -> Option<Health> {
        let mut zones = self.zones.lock().unwrap_or_else(PoisonError::into_inner);
        let health = zones.entry(zone.to_owned()).or_default();
        let before = health.is_healthy();
        *health = health.after(good, bad);
        (before != health.is_healthy()).then_some(*health)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use policy::Record;

    #[test]
    fn a_zone_that_lists_the_world_is_out_at_once_and_back_when_mended() {
        let health = ZoneHealth::default();
        let listing = Answer::Records(vec![Record::A([127, 0, 0, 2].into())]);
        assert!(health.record("bl.example", &listing, &listing).is_some());
        assert!(!health.is_healthy("bl.example"));
        assert!(health.record("bl.example", &listing, &Answer::NoName).is_some());
        assert!(health.is_healthy("bl.example"));
    }

    #[test]
    fn a_dead_zone_is_out_after_two_probes() {
        let health = ZoneHealth::default();
        let nothing = Answer::Unavailable("timed out".into());
        assert_eq!(health.record("dead.example", &nothing, &nothing), None);
        assert!(health.is_healthy("dead.example"));
        assert!(health.record("dead.example", &nothing, &nothing).is_some());
        assert!(!health.is_healthy("dead.example"));
    }

    #[test]
    fn a_zone_without_test_point_still_counts() {
        let health = ZoneHealth::default();
        assert_eq!(health.record("small.example", &Answer::NoName, &Answer::NoName), None);
        assert!(health.is_healthy("small.example"));
    }
}
