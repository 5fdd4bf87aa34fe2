//! cdb, the constant database: 256 tables of slots behind the records, all numbers 32 bits, little-endian.
//!
//! The records are read from first to last; the slots matter to who searches in the file, which nobody does here.
//! Of two equal keys the first counts, as in a search.

use super::bytes::{Budget, Bytes};
use super::{DatabaseError, Row};
use std::borrow::Cow;

const TABLES: usize = 256;
const HEADER_BYTES: usize = TABLES * 8;

pub(super) fn read<'b>(bytes: &'b [u8], row: &mut dyn FnMut(Row<'b>)) -> Result<(), DatabaseError> {
    let file = Bytes::little(bytes);
    let (mut end, mut slots) = (file.len(), 0usize);
    for table in 0..TABLES {
        let (at, length) = (file.u32(table * 8)?, file.u32(table * 8 + 4)?);
        if at < HEADER_BYTES {
            return Err(DatabaseError::Foreign("cdb"));
        }
        file.slice(at, length.saturating_mul(8))?;
        end = end.min(at);
        slots = slots.saturating_add(length);
    }
    let mut budget = Budget { bytes: file.len(), pages: file.len() / 8 };
    let (mut at, mut records) = (HEADER_BYTES, 0usize);
    while at < end {
        budget.page()?;
        let (key, value) = (file.u32(at)?, file.u32(at + 4)?);
        let next = (at + 8).saturating_add(key).saturating_add(value);
        if next > end {
            return Err(DatabaseError::Damaged("a record reaches into the tables"));
        }
        row((Cow::Borrowed(file.slice(at + 8, key)?), Cow::Borrowed(file.slice(at + 8 + key, value)?)));
        at = next;
        records += 1;
    }
    // A file that is being written has no slots yet for its last records.
    if records > slots {
        return Err(DatabaseError::Damaged("records without a slot"));
    }
    Ok(())
}

/// A cdb file of these rows. Equal keys stay, in their order.
///
/// # Errors
/// When the file would be larger than its 32-bit numbers reach.
pub fn write<'r>(rows: impl Iterator<Item = (&'r [u8], &'r [u8])>) -> Result<Vec<u8>, DatabaseError> {
    let too_large = |_| DatabaseError::Unwritable("cdb files end at 4 GB");
    let mut file = vec![0u8; HEADER_BYTES];
    let mut tables: Vec<Vec<(u32, u32)>> = vec![Vec::new(); TABLES];
    for (key, value) in rows {
        let at = u32::try_from(file.len()).map_err(too_large)?;
        let hash = hash(key);
        if let Some(table) = tables.get_mut(usize::from(hash.to_le_bytes()[0])) {
            table.push((hash, at));
        }
        file.extend(u32::try_from(key.len()).map_err(too_large)?.to_le_bytes());
        file.extend(u32::try_from(value.len()).map_err(too_large)?.to_le_bytes());
        file.extend_from_slice(key);
        file.extend_from_slice(value);
    }
    let mut header = Vec::with_capacity(HEADER_BYTES);
    for table in tables {
        // Half of the slots stay empty: searches are short.
        let slots = table.len() * 2;
        header.extend(u32::try_from(file.len()).map_err(too_large)?.to_le_bytes());
        header.extend(u32::try_from(slots).map_err(too_large)?.to_le_bytes());
        let mut seats = vec![(0u32, 0u32); slots];
        for (hash, at) in table {
            let wanted = usize::try_from(hash >> 8).map_err(too_large)?.checked_rem(slots).unwrap_or(0);
            let (before, after) = seats.split_at_mut(wanted);
            if let Some(seat) = after.iter_mut().chain(before).find(|seat| seat.1 == 0) {
                *seat = (hash, at);
            }
        }
        for (hash, at) in seats {
            file.extend(hash.to_le_bytes());
            file.extend(at.to_le_bytes());
        }
    }
    u32::try_from(file.len()).map_err(too_large)?;
    if let Some(seat) = file.get_mut(..HEADER_BYTES) {
        seat.copy_from_slice(&header);
    }
    Ok(file)
}

/// Bernstein's: 5381, then times 33, exclusive or.
fn hash(key: &[u8]) -> u32 {
    key.iter().fold(5381u32, |hash, byte| hash.wrapping_mul(33) ^ u32::from(*byte))
}
