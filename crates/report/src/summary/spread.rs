//! How values are spread: percentiles out of a histogram of fixed size.

/// Values up to this are told apart one by one.
const EXACT: u64 = 64;
/// Above, each power of two has so many steps: a value is shown at most 3 % too high.
const STEPS: u64 = 32;

/// A histogram.
#[derive(Clone, Debug, Default)]
pub(super) struct Spread {
    /// Grows up to the greatest value's place: 2,000 places at most.
    counts: Vec<u64>,
    count: u64,
    sum: u64,
    max: u64,
}

/// What a spread says. The values are in whatever was counted: milliseconds, seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Percentiles {
    /// How many values.
    pub count: u64,
    /// Their mean.
    pub mean: u64,
    /// Half are no greater.
    pub p50: u64,
    /// Nine of ten are no greater.
    pub p90: u64,
    /// 99 of 100 are no greater.
    pub p99: u64,
    /// The greatest.
    pub max: u64,
}

impl Spread {
    pub(super) fn add(&mut self, value: u64) {
        let at = place(value);
        if self.counts.len() <= at {
            self.counts.resize(at + 1, 0);
        }
        if let Some(count) = self.counts.get_mut(at) {
            *count += 1;
        }
        self.count += 1;
        self.sum = self.sum.saturating_add(value);
        self.max = self.max.max(value);
    }

    pub(super) fn merge(&mut self, other: &Spread) {
        if self.counts.len() < other.counts.len() {
            self.counts.resize(other.counts.len(), 0);
        }
        for (count, more) in self.counts.iter_mut().zip(&other.counts) {
            *count += more;
        }
        self.count += other.count;
        self.sum = self.sum.saturating_add(other.sum);
        self.max = self.max.max(other.max);
    }

    pub(super) fn percentiles(&self) -> Percentiles {
        Percentiles {
            count: self.count,
            mean: self.sum.checked_div(self.count).unwrap_or(0),
            p50: self.below(50),
            p90: self.below(90),
            p99: self.below(99),
            max: self.max,
        }
    }

    /// The value that so many of a hundred don't exceed.
    fn below(&self, percent: u64) -> u64 {
        let wanted = self.count.saturating_mul(percent).div_ceil(100);
        let mut seen = 0;
        for (at, count) in self.counts.iter().enumerate() {
            seen += count;
            if seen >= wanted && *count > 0 {
                // What is said to be the most is: the last value that is counted there.
                let last = value(at.saturating_add(1)).saturating_sub(1);
                return u64::try_from(last).unwrap_or(u64::MAX).min(self.max);
            }
        }
        self.max
    }
}

/// Where a value is counted.
fn place(value: u64) -> usize {
    let place = match value {
        0..EXACT => value,
        _ => {
            let log = u64::from(value.ilog2());
            // The five bits behind the first.
            let step = (value >> (log - 5)) & (STEPS - 1);
            EXACT + (log - 6) * STEPS + step
        }
    };
    usize::try_from(place).unwrap_or(usize::MAX)
}

/// The smallest value that is counted there.
fn value(place: usize) -> u128 {
    let place = u64::try_from(place).unwrap_or(u64::MAX);
    match place.checked_sub(EXACT) {
        None => place.into(),
        Some(behind) => {
            let (log, step) = (behind / STEPS + 6, behind % STEPS);
            let steps = u128::from(STEPS + step);
            steps.checked_shl(u32::try_from(log - 5).unwrap_or(u32::MAX)).unwrap_or(u128::MAX)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_and_values() {
        for number in (0..2000).chain([1 << 20, (1 << 40) + 12345, u64::MAX]) {
            let low = u64::try_from(value(place(number))).unwrap();
            assert!(low <= number && number - low <= number / 32, "{number} {low}");
            assert_eq!(place(low), place(number));
        }
    }

    #[test]
    fn as_many_values_as_it_says_are_no_greater() {
        for values in
            [vec![1200, 1200, 1200], vec![7, 64, 65, 1000, 70_000], (1..400).map(|n| n * n).collect()]
        {
            let mut spread = Spread::default();
            values.iter().for_each(|value| spread.add(*value));
            let found = spread.percentiles();
            for (percent, bound) in [(50, found.p50), (90, found.p90), (99, found.p99)] {
                let within = values.iter().filter(|value| **value <= bound).count();
                assert!(within * 100 >= values.len() * percent, "{percent} {bound} {values:?}");
                assert!(bound <= found.max);
            }
        }
        let mut spread = Spread::default();
        (0..3).for_each(|_| spread.add(1200));
        assert_eq!(spread.percentiles().p50, 1200);
        spread.add(u64::MAX);
        assert_eq!(spread.percentiles().p99, u64::MAX);
    }

    #[test]
    fn percentiles() {
        let (mut all, mut odd) = (Spread::default(), Spread::default());
        for number in 1..=1000 {
            if number % 2 == 0 { all.add(number) } else { odd.add(number) }
        }
        all.merge(&odd);
        let found = all.percentiles();
        assert_eq!((found.count, found.mean, found.max), (1000, 500, 1000));
        assert!((500..=515).contains(&found.p50) && (900..=928).contains(&found.p90), "{found:?}");
        assert_eq!(found.p99.max(990), found.p99);
        assert_eq!(Spread::default().percentiles(), Percentiles::default());
    }
}
