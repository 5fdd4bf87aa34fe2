//! Room in bounded memories: what matters least is forgotten.

use std::collections::HashMap;

/// Forgets `count` rows, those of the lowest rank; of rows of the same rank, only as many as have to.
pub fn forget_lowest<K, V, R: Ord + Copy>(rows: &mut HashMap<K, V>, count: usize, rank: impl Fn(&V) -> R) {
    let mut ranks: Vec<R> = rows.values().map(&rank).collect();
    let Some(last) = count.checked_sub(1) else { return };
    if last >= ranks.len() {
        rows.clear();
        return;
    }
    let (_, &mut highest, _) = ranks.select_nth_unstable(last);
    let mut left = count;
    rows.retain(|_, row| {
        let goes = left > 0 && rank(row) <= highest;
        left -= usize::from(goes);
        !goes
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_as_asked_the_lowest_first() {
        for (count, least_left) in [(0, 0), (1, 0), (3, 1), (9, 3), (10, 9), (11, 9)] {
            // Ranks 0, 0, 0, 1, 1, 1, 2, 2, 2, 3.
            let mut rows: HashMap<u32, u32> = (0..10).map(|n| (n, n / 3)).collect();
            forget_lowest(&mut rows, count, |rank| *rank);
            assert_eq!(rows.len(), 10 - count.min(10), "{count}");
            assert!(rows.values().all(|rank| *rank >= least_left / 3), "{count}: {rows:?}");
        }
    }
}
