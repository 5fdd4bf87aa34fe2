//! Room in bounded memories: what matters least is forgotten.

use std::collections::HashMap;
use std::hash::Hash;

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

/// Forgets `count` rows so that all crowds keep as equal a number as they can: those of the largest go first, within a
/// crowd those of the lowest rank. Who goes.
pub fn forget_fairly<K: Copy + Eq + Hash, V, R: Ord + Copy>(
    rows: &mut HashMap<K, V>,
    count: usize,
    rank: impl Fn(&V) -> (u32, R),
) -> Vec<(K, V)> {
    let mut all: Vec<(u32, R, K)> = rows
        .iter()
        .map(|(key, row)| {
            let (crowd, rank) = rank(row);
            (crowd, rank, *key)
        })
        .collect();
    all.sort_unstable_by(|a, b| (a.0, b.1).cmp(&(b.0, a.1)));
    // A row's number within its crowd, the best one first.
    let mut numbered = Vec::with_capacity(all.len());
    let (mut last, mut number) = (None, 0_usize);
    for (crowd, rank, key) in all {
        number = if last == Some(crowd) { number.saturating_add(1) } else { 0 };
        last = Some(crowd);
        numbered.push((number, rank, key));
    }
    let count = count.min(numbered.len());
    if count > 0 && count < numbered.len() {
        numbered.select_nth_unstable_by(count - 1, |a, b| (b.0, a.1).cmp(&(a.0, b.1)));
    }
    let gone = numbered.into_iter().take(count);
    gone.filter_map(|(_, _, key)| rows.remove_entry(&key)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_crowds_give_way() {
        // A crowd of 90, one of 8 and two of one; the higher the number, the better.
        let crowd = |number: u32| match number {
            0..90 => 1,
            90..98 => 2,
            number => number,
        };
        let mut rows: HashMap<u32, u32> = (0..100).map(|number| (number, number)).collect();
        let gone = forget_fairly(&mut rows, 60, |number| (crowd(*number), *number));
        assert_eq!((gone.len(), rows.len()), (60, 40));
        assert!((60..100).all(|number| rows.contains_key(&number)), "{rows:?}");
        // 30 and 8: what is over 8 goes, then the worst of both.
        forget_fairly(&mut rows, 24, |number| (crowd(*number), *number));
        let mut left: Vec<u32> = rows.keys().copied().collect();
        left.sort_unstable();
        assert_eq!(left, [83, 84, 85, 86, 87, 88, 89, 91, 92, 93, 94, 95, 96, 97, 98, 99]);
        assert!(forget_fairly(&mut rows, 0, |number| (crowd(*number), *number)).is_empty());
        assert_eq!(forget_fairly(&mut rows, 99, |number| (crowd(*number), *number)).len(), 16);
        assert!(rows.is_empty());
    }

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
