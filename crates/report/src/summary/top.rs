//! Tables of counters that stay within a bound, whatever the log says.
//!
//! Up to [`NAMES_MAX`] names are counted exactly. Where more come, those with the fewest hits are folded into
//! one row that keeps their number and their hits: sums stay exact, and the reader is told.

use foldhash::quality::RandomState;
use std::collections::HashMap;

/// How many names a table counts before it folds half of them.
pub const NAMES_MAX: usize = 8_192;
/// How much of a name is kept, in bytes.
const NAME_BYTES_MAX: usize = 160;

/// One name's hits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// What was counted.
    pub name: String,
    /// How often.
    pub count: u64,
    /// Bytes, where messages are counted.
    pub bytes: u64,
}

/// The most frequent names, and what the others add up to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Top {
    /// The most frequent first; equals by name.
    pub rows: Vec<Row>,
    /// All hits, those of `rows` and of the others.
    pub total: u64,
    /// All bytes.
    pub bytes: u64,
    /// Names that have no row here.
    pub other_names: u64,
    /// Their hits.
    pub other_count: u64,
    /// How many of these names were forgotten while counting, to stay within the bound. A name that was
    /// forgotten and came again is counted anew, so that its row may say too little.
    pub folded: u64,
}

/// Counters under names.
#[derive(Clone, Debug, Default)]
pub(super) struct Counted {
    /// Hits and bytes.
    rows: HashMap<Box<str>, (u64, u64), RandomState>,
    total: u64,
    bytes: u64,
    folded_names: u64,
    folded_count: u64,
}

impl Counted {
    pub(super) fn add(&mut self, name: &str, bytes: u64) {
        self.add_many(name, 1, bytes);
    }

    pub(super) fn add_many(&mut self, name: &str, count: u64, bytes: u64) {
        self.total = self.total.saturating_add(count);
        self.bytes = self.bytes.saturating_add(bytes);
        self.put(shortened(name), count, bytes);
    }

    fn put(&mut self, name: &str, count: u64, bytes: u64) {
        if let Some(row) = self.rows.get_mut(name) {
            *row = (row.0.saturating_add(count), row.1.saturating_add(bytes));
            return;
        }
        if self.rows.len() >= NAMES_MAX {
            self.fold();
        }
        self.rows.insert(name.into(), (count, bytes));
    }

    /// Forgets the half with the fewest hits.
    fn fold(&mut self) {
        let mut counts: Vec<u64> = self.rows.values().map(|row| row.0).collect();
        let middle = counts.len() / 2;
        let (_, &mut bound, _) = counts.select_nth_unstable(middle);
        // Of those that have as many as the middle one, as many go as must.
        let mut more = middle.saturating_sub(counts.iter().filter(|&&count| count < bound).count());
        let (names, hits) = (&mut self.folded_names, &mut self.folded_count);
        self.rows.retain(|_, row| {
            let goes = row.0 < bound || (row.0 == bound && more > 0);
            if goes {
                more -= usize::from(row.0 == bound);
                *names += 1;
                *hits = hits.saturating_add(row.0);
            }
            !goes
        });
    }

    pub(super) fn merge(&mut self, other: Counted) {
        self.total = self.total.saturating_add(other.total);
        self.bytes = self.bytes.saturating_add(other.bytes);
        self.folded_names = self.folded_names.saturating_add(other.folded_names);
        self.folded_count = self.folded_count.saturating_add(other.folded_count);
        for (name, (count, bytes)) in other.rows {
            self.put(&name, count, bytes);
        }
    }

    pub(super) fn top(&self, limit: usize) -> Top {
        let mut all: Vec<(&str, u64, u64)> =
            self.rows.iter().map(|(name, &(count, bytes))| (&**name, count, bytes)).collect();
        all.sort_unstable_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(b.0)));
        let (shown, others) = all.split_at_checked(limit).unwrap_or((&all, &[]));
        let row = |&(name, count, bytes): &(&str, u64, u64)| Row { name: name.to_owned(), count, bytes };
        Top {
            rows: shown.iter().map(row).collect(),
            total: self.total,
            bytes: self.bytes,
            other_names: u64::try_from(others.len()).unwrap_or(u64::MAX).saturating_add(self.folded_names),
            other_count: others.iter().map(|row| row.1).sum::<u64>().saturating_add(self.folded_count),
            folded: self.folded_names,
        }
    }
}

/// As much of a name as is kept.
pub(super) fn shortened(name: &str) -> &str {
    let mut end = name.len().min(NAME_BYTES_MAX);
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    name.get(..end).unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_stay_exact_and_the_frequent_stay_where_names_are_many() {
        let mut counted = Counted::default();
        let mut hits = 0;
        for round in 0..200_000_u64 {
            counted.add(&format!("user{round}@example.org"), 3);
            hits += 1;
            if round % 10 == 0 {
                counted.add("often@example.org", 5);
                hits += 1;
            }
        }
        let top = counted.top(10);
        assert_eq!(top.total, hits);
        assert_eq!(top.rows.iter().map(|row| row.count).sum::<u64>() + top.other_count, hits);
        assert_eq!(
            top.rows.first().map(|row| (row.name.as_str(), row.count)),
            Some(("often@example.org", 20_000))
        );
        assert!(counted.rows.len() <= NAMES_MAX && top.folded > 100_000, "{}", top.folded);
        assert_eq!(top.bytes, 200_000 * 3 + 20_000 * 5);
    }

    #[test]
    fn tables_join() {
        let (mut one, mut two) = (Counted::default(), Counted::default());
        one.add("a", 1);
        two.add("a", 2);
        two.add("b", 4);
        one.merge(two);
        let top = one.top(1);
        assert_eq!(top.rows, [Row { name: "a".into(), count: 2, bytes: 3 }]);
        assert_eq!((top.total, top.other_names, top.other_count, top.folded), (3, 1, 1, 0));
    }
}
