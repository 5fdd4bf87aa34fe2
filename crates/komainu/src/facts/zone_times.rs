//! How long DNS lists take to answer: what the log is told from time to time, and the report shows.
//!
//! Counted are questions that really go to a name server, of the lists that the configuration names; not what is
//! known already, nor the probes of `zone_health`, nor the record that says why. Bounded: one row a list, some thirty
//! bounds in each. No answer depends on it.

use events::screen::ZoneAnswers;
use policy::{Answer, Question, RecordKind, Zone};
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// What stands before a list's name where it is probed ([`super::zone_health::test_points`]).
const PROBES: [&str; 4] = ["2.0.0.127", "1.0.0.127", "test", "invalid"];

/// The lists of the configuration, and how they have answered since it was last said.
#[derive(Debug, Default)]
pub struct ZoneTimes {
    zones: Mutex<BTreeMap<String, Counts>>,
}

#[derive(Debug, Default)]
struct Counts {
    queries: u64,
    listed: u64,
    unanswered: u64,
    /// Answers by the bound of their time in milliseconds.
    times: BTreeMap<u64, u64>,
}

impl ZoneTimes {
    /// From now on these lists are counted. What is to be said of others should have been [taken](Self::take).
    pub fn watch(&self, zones: &[Zone]) {
        let mut known = self.lock();
        known.retain(|domain, _| zones.iter().any(|zone| zone.domain == *domain));
        for zone in zones {
            known.entry(zone.domain.clone()).or_default();
        }
    }

    /// A name server was asked.
    pub fn note(&self, question: &Question, answer: &Answer, took: Duration) {
        let Question::Dns { name, kind: RecordKind::A } = question else { return };
        let mut zones = self.lock();
        if zones.is_empty() {
            return;
        }
        let found = name.match_indices('.').find_map(|(at, _)| {
            let zone = name.get(at.saturating_add(1)..)?;
            zones.contains_key(zone).then_some((name.get(..at)?, zone))
        });
        let Some((of, zone)) = found.filter(|(of, _)| !PROBES.contains(of)) else { return };
        let Some(counts) = zones.get_mut(zone).filter(|_| !of.is_empty()) else { return };
        counts.queries = counts.queries.saturating_add(1);
        match answer {
            Answer::Records(_) => counts.listed = counts.listed.saturating_add(1),
            Answer::NoName | Answer::NoRecords => {}
            _ => {
                counts.unanswered = counts.unanswered.saturating_add(1);
                return;
            }
        }
        let millis = took.as_micros().div_ceil(1000);
        let bound = ZoneAnswers::bound(u64::try_from(millis).unwrap_or(u64::MAX));
        let count = counts.times.entry(bound).or_default();
        *count = count.saturating_add(1);
    }

    /// What there is to say since the last time, by the lists' names.
    #[must_use]
    pub fn take(&self) -> Vec<ZoneAnswers<'static>> {
        let mut said = Vec::new();
        for (zone, counts) in self.lock().iter_mut() {
            let Counts { queries, listed, unanswered, times } = std::mem::take(counts);
            if queries > 0 {
                let times: Vec<String> =
                    times.iter().map(|(bound, count)| format!("{bound}ms={count}")).collect();
                let times = (!times.is_empty()).then(|| times.join(" ").into());
                said.push(ZoneAnswers { zone: zone.clone().into(), queries, listed, unanswered, times });
            }
        }
        said
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Counts>> {
        self.zones.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use events::Event;
    use policy::{Record, ZoneKind};

    #[test]
    fn answers_are_counted_by_list_and_time() {
        let zone = |domain: &str| Zone {
            domain: domain.to_owned(),
            kind: ZoneKind::Address,
            place: config::Place::nowhere(),
        };
        let times = ZoneTimes::default();
        let ask = |name: &str, kind, answer: &Answer, millis| {
            times.note(&Question::Dns { name: name.to_owned(), kind }, answer, Duration::from_micros(millis));
        };
        let listed = Answer::Records(vec![Record::A([127, 0, 0, 2].into())]);
        ask("1.2.0.192.bl.example", RecordKind::A, &listed, 1);
        assert!(times.take().is_empty(), "nobody is watched");
        times.watch(&[zone("bl.example"), zone("sub.bl.example"), zone("silent.example")]);
        ask("1.2.0.192.bl.example", RecordKind::A, &listed, 12_001);
        ask("2.2.0.192.bl.example", RecordKind::A, &Answer::NoName, 15_000);
        ask("3.2.0.192.bl.example", RecordKind::A, &Answer::NoRecords, 80);
        ask("3.2.0.192.sub.bl.example", RecordKind::A, &Answer::NoName, 2_000_000);
        ask("mx.example.net.sub.bl.example", RecordKind::A, &Answer::NoName, 2_000_001);
        ask("3.2.0.192.silent.example", RecordKind::A, &Answer::Unavailable("time-out".to_owned()), 9);
        // Probes, reasons, other names.
        ask("2.0.0.127.bl.example", RecordKind::A, &listed, 7);
        ask("1.2.0.192.bl.example", RecordKind::Txt, &listed, 7);
        ask("bl.example", RecordKind::A, &listed, 7);
        ask("www.example.net", RecordKind::A, &listed, 7);
        let said: Vec<String> = times.take().into_iter().map(|line| Event::from(line).to_string()).collect();
        assert_eq!(
            said,
            [
                "statistics: zone bl.example queries 3 listed 1 unanswered 0 times 1ms=1 15ms=2",
                "statistics: zone silent.example queries 1 listed 0 unanswered 1",
                "statistics: zone sub.bl.example queries 2 listed 0 unanswered 0 times 2000ms=1 3000ms=1",
            ]
        );
        assert!(times.take().is_empty(), "said once");
        times.watch(&[]);
        ask("1.2.0.192.bl.example", RecordKind::A, &listed, 1);
        assert!(times.take().is_empty());
    }
}
