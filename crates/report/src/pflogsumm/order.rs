//! Rows in the order of texts: behind what all begin with, the first eight bytes of each stand beside its row.

use std::cmp::Ordering;

/// Sorts by the bytes that `key` appends for a row; `tie` says which of equals is first. All keys stand in one piece of
/// memory.
pub(super) fn by_key<T: Copy>(
    rows: &mut [T],
    key: impl Fn(&T, &mut Vec<u8>),
    tie: impl Fn(&T, &T) -> Ordering,
) {
    if rows.len() < 2 {
        return;
    }
    let mut keys = Vec::with_capacity(rows.len().saturating_mul(24));
    let mut ends = Vec::with_capacity(rows.len().saturating_add(1));
    ends.push(0);
    for row in &*rows {
        key(row, &mut keys);
        ends.push(keys.len());
    }
    let whole = |at: usize, _: &T| match ends.get(at..) {
        Some(&[from, to, ..]) => keys.get(from..to).unwrap_or_default(),
        _ => b"",
    };
    by_whole(rows, whole, tie);
}

/// Sorts by texts that are there already.
pub(super) fn by_text<'a, T: Copy>(rows: &mut [T], text: impl Fn(&T) -> &'a [u8]) {
    by_whole(rows, |_, row| text(row), |_, _| Ordering::Equal);
}

/// `whole` is told where a row stands, too.
fn by_whole<'a, T: Copy>(
    rows: &mut [T],
    whole: impl Fn(usize, &T) -> &'a [u8],
    tie: impl Fn(&T, &T) -> Ordering,
) {
    let Some(first) = rows.first().map(|row| whole(0, row)) else { return };
    let common =
        |at: usize, row: &T| whole(at, row).iter().zip(first).take_while(|(one, other)| one == other);
    let mut shared = first.len();
    for (at, row) in rows.iter().enumerate() {
        shared = common(at, row).take(shared).count();
    }
    let rest = |at: usize| rows.get(at).and_then(|row| whole(at, row).get(shared..)).unwrap_or_default();
    let ties = |one: usize, other: usize| match (rows.get(one), rows.get(other)) {
        (Some(one), Some(other)) => tie(one, other),
        _ => Ordering::Equal,
    };
    let mut heads: Vec<(u64, usize)> = (0..rows.len()).map(|at| (head(rest(at)), at)).collect();
    heads.sort_unstable_by(|&(one, at), &(other, there)| {
        one.cmp(&other).then_with(|| rest(at).cmp(rest(there))).then_with(|| ties(at, there))
    });
    let sorted: Vec<T> = heads.iter().filter_map(|&(_, at)| rows.get(at).copied()).collect();
    rows.copy_from_slice(&sorted);
}

/// The first eight bytes as a number: of two different ones, the smaller one's text is the smaller.
fn head(text: &[u8]) -> u64 {
    if let Some(whole) = text.first_chunk::<8>() {
        return u64::from_be_bytes(*whole);
    }
    let mut bytes = [0; 8];
    bytes.iter_mut().zip(text).for_each(|(byte, from)| *byte = *from);
    u64::from_be_bytes(bytes)
}

/// Appends a text that others follow, so that all together are in the order of one after the other.
pub(super) fn part(text: &[u8], out: &mut Vec<u8>) {
    for &byte in text {
        out.push(byte);
        if byte == 0 {
            out.push(u8::MAX);
        }
    }
    out.extend_from_slice(&[0, 0]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_sorted_as_their_keys() {
        let texts = [
            "",
            "a",
            "a\0",
            "a\0b",
            "ab",
            "abcdefghijklmnop",
            "abcdefghijklmnop\0",
            "abcdefghijklmnopq",
            "b",
        ];
        let mut rows: Vec<&str> = texts.iter().rev().copied().collect();
        by_key(&mut rows, |row, out| out.extend_from_slice(row.as_bytes()), |_, _| Ordering::Equal);
        assert_eq!(rows, texts);
        let pairs: Vec<(&str, &str)> =
            texts.iter().flat_map(|one| texts.map(|other| (*one, other))).collect();
        let mut rows: Vec<(&str, &str)> = pairs.iter().rev().copied().collect();
        let key = |row: &(&str, &str), out: &mut Vec<u8>| {
            part(row.0.as_bytes(), out);
            part(row.1.as_bytes(), out);
        };
        by_key(&mut rows, key, |_, _| Ordering::Equal);
        assert_eq!(rows, pairs);
        // What all begin with says nothing.
        let longer = texts.map(|text| format!("abcdefghij{text}"));
        let mut rows: Vec<&[u8]> = longer.iter().rev().map(String::as_bytes).collect();
        by_text(&mut rows, |row| row);
        assert_eq!(rows, longer.each_ref().map(String::as_bytes));
        by_text(&mut [], |row: &&[u8]| row);
        let mut rows = [("x", 3), ("x", 1), ("x", 2)];
        by_key(&mut rows, |row, out| out.extend_from_slice(row.0.as_bytes()), Ord::cmp);
        assert_eq!(rows, [("x", 1), ("x", 2), ("x", 3)]);
    }
}
