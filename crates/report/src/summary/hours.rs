//! When connections were first heard of: so many in each hour, all of them in some.

use super::{DAYS_MAX, Slot};
use crate::Day;
use std::collections::BTreeMap;

const HOURS_MAX: usize = DAYS_MAX * 24;

/// Counts by hours since the start of 1970. Their sum is what was added less what was taken out.
#[derive(Clone, Debug, Default)]
pub(super) struct Hours {
    counts: BTreeMap<i64, u64>,
    /// In hours that have no place any more.
    beyond: u64,
}

impl Hours {
    /// One more at a time in seconds.
    pub(super) fn add(&mut self, at: i64) {
        self.add_many(at.div_euclid(3600), 1);
    }

    /// One that was added with this time is no connection of its own after all.
    pub(super) fn take(&mut self, at: i64) {
        match self.counts.get_mut(&at.div_euclid(3600)) {
            Some(count) if *count > 0 => *count -= 1,
            _ => self.beyond = self.beyond.saturating_sub(1),
        }
    }

    pub(super) fn merge(&mut self, later: Hours) {
        self.beyond += later.beyond;
        for (hour, count) in later.counts {
            self.add_many(hour, count);
        }
    }

    /// Puts the counts into the hours of days; beyond [`DAYS_MAX`] days into `others`.
    pub(super) fn fill(&self, days: &mut BTreeMap<Day, Box<[Slot; 24]>>, others: &mut Slot) {
        others.connections += self.beyond;
        for (hour, count) in self.counts.iter().filter(|(_, count)| **count > 0) {
            let day = Day::numbered(hour.div_euclid(24));
            let has_place = days.len() < DAYS_MAX || days.contains_key(&day);
            let hours = has_place.then(|| days.entry(day).or_default());
            let of_day = usize::try_from(hour.rem_euclid(24)).unwrap_or(0);
            let slot = hours.and_then(|hours| hours.get_mut(of_day)).unwrap_or(&mut *others);
            slot.connections += count;
        }
    }

    fn add_many(&mut self, hour: i64, count: u64) {
        if self.counts.len() >= HOURS_MAX && !self.counts.contains_key(&hour) {
            self.beyond += count;
        } else {
            *self.counts.entry(hour).or_default() += count;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn beyond_the_bound_the_sum_stays() {
        let mut hours = Hours::default();
        let many = i64::try_from(HOURS_MAX).unwrap() + 500;
        (0..many).for_each(|hour| hours.add(hour * 3600 + 7));
        let mut twice = hours.clone();
        twice.merge(hours);
        (many - 300..many + 300).for_each(|hour| twice.take((hour % many) * 3600));
        let (mut days, mut others) = (BTreeMap::new(), Slot::default());
        twice.fill(&mut days, &mut others);
        let known: u64 = days.values().flat_map(|hours| hours.iter()).map(|slot| slot.connections).sum();
        assert_eq!(known + others.connections, u64::try_from(many * 2 - 600).unwrap());
        assert!(days.len() <= DAYS_MAX && others.connections > 0);
    }
}
