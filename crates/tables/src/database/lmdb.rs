//! LMDB's single file, as `lmdb:` tables have it: 64-bit, little-endian, one database, no duplicates.
//!
//! Reading: the newer of the two meta pages names the root; the tree is walked from there, each page at most once.
//! A commit by another process between our read of the meta page and of a leaf would show as a page with another
//! number, keys out of order, or another count of rows: such a file is refused, and read again at its next change.
//!
//! Writing: a whole file from sorted rows, leaves first, then each level above. LMDB itself can go on with it.

use super::bytes::{Budget, Bytes};
use super::lmdb_page::{Node, Page, flag};
use super::{DatabaseError, Row};
use std::borrow::Cow;

/// The longest key that LMDB takes.
pub const KEY_BYTES_MAX: usize = 511;
/// Postfix's `lmdb_map_size`: the smallest room that a file is given to grow.
const MAP_BYTES_MIN: u64 = 16 * 1024 * 1024;

const MAGIC: usize = 0xBEEF_C0DE;
const VERSION: usize = 1;
pub(super) const PAGE_HEADER_BYTES: usize = 16;
const META_MAIN: usize = PAGE_HEADER_BYTES + 24 + 48;
const NO_PAGE: u64 = u64::MAX;
/// Trees of a 512 MB file are never as high.
const DEPTH_MAX: usize = 32;

/// The state that one meta page names.
struct Meta {
    page_bytes: usize,
    depth: usize,
    entries: u64,
    root: u64,
    last_page: u64,
    transaction: u64,
}

pub(super) fn read<'b>(bytes: &'b [u8], row: &mut dyn FnMut(Row<'b>)) -> Result<(), DatabaseError> {
    let file = Bytes::little(bytes);
    let meta = newest(&file)?;
    if meta.root == NO_PAGE {
        return Ok(());
    }
    let end = usize::try_from(meta.last_page).ok().and_then(|last| last.checked_mul(meta.page_bytes));
    file.slice(end.ok_or(DatabaseError::Damaged("it has more pages than can be"))?, 1)?;
    let budget = Budget { bytes: file.len(), pages: file.len() / meta.page_bytes };
    let mut walk = Walk { file, page_bytes: meta.page_bytes, budget, rows: 0, last_key: None };
    walk.below(meta.root, meta.depth.min(DEPTH_MAX), row)?;
    if walk.rows == meta.entries {
        Ok(())
    } else {
        Err(DatabaseError::Damaged("it says another number of rows"))
    }
}

fn newest(file: &Bytes<'_>) -> Result<Meta, DatabaseError> {
    let first = meta(file, 0)?;
    // The second page's place depends on the size of pages, which is the same in both.
    Ok(match meta(file, first.page_bytes) {
        Ok(second) if second.transaction > first.transaction => second,
        _ => first,
    })
}

fn meta(file: &Bytes<'_>, at: usize) -> Result<Meta, DatabaseError> {
    let foreign = |_| DatabaseError::Foreign("LMDB");
    let meta = file.part(at, META_MAIN + 64).map_err(foreign)?;
    let is_meta = meta.u16(10)? & flag::META != 0;
    if !is_meta || meta.u32(PAGE_HEADER_BYTES)? != MAGIC {
        return Err(DatabaseError::Foreign("LMDB"));
    }
    if meta.u32(PAGE_HEADER_BYTES + 4)? != VERSION {
        return Err(DatabaseError::Unsupported("LMDB files of this version"));
    }
    let page_bytes = meta.u32(PAGE_HEADER_BYTES + 24)?;
    if !(512..=65_536).contains(&page_bytes) || !page_bytes.is_power_of_two() {
        return Err(DatabaseError::Damaged("no page has such a size"));
    }
    // Keys as integers, from their end, or with several values each.
    if meta.u16(META_MAIN + 4)? != 0 {
        return Err(DatabaseError::Unsupported("LMDB databases with flags"));
    }
    Ok(Meta {
        page_bytes,
        depth: meta.u16(META_MAIN + 6)?,
        entries: meta.u64(META_MAIN + 32)?,
        root: meta.u64(META_MAIN + 40)?,
        last_page: meta.u64(META_MAIN + 48)?,
        transaction: meta.u64(META_MAIN + 56)?,
    })
}

struct Walk<'b> {
    file: Bytes<'b>,
    page_bytes: usize,
    budget: Budget,
    rows: u64,
    last_key: Option<&'b [u8]>,
}

impl<'b> Walk<'b> {
    fn page(&mut self, number: u64, pages: usize) -> Result<Bytes<'b>, DatabaseError> {
        self.budget.page()?;
        let at = usize::try_from(number).ok().and_then(|number| number.checked_mul(self.page_bytes));
        let at = at.ok_or(DatabaseError::Damaged("a page number is too large"))?;
        let page = self.file.part(at, self.page_bytes.saturating_mul(pages))?;
        if page.u64(0)? != number {
            return Err(DatabaseError::Damaged("a page has another's number"));
        }
        Ok(page)
    }

    fn below(
        &mut self,
        number: u64,
        depth: usize,
        row: &mut dyn FnMut(Row<'b>),
    ) -> Result<(), DatabaseError> {
        let depth = depth.checked_sub(1).ok_or(DatabaseError::Damaged("its tree is higher than it says"))?;
        let page = Page::new(self.page(number, 1)?);
        let kind = page.flags()?;
        if kind & (flag::LEAF2 | flag::SUBPAGE) != 0 {
            return Err(DatabaseError::Unsupported("many values for one key"));
        }
        for index in 0..page.nodes()? {
            let node = page.node(index)?;
            match kind & (flag::BRANCH | flag::LEAF) {
                flag::BRANCH => self.below(node.child(), depth, row)?,
                flag::LEAF => {
                    let key = node.key()?;
                    if self.last_key.is_some_and(|last| last >= key) {
                        return Err(DatabaseError::Damaged("its keys are out of order"));
                    }
                    self.last_key = Some(key);
                    let value = self.value(&node)?;
                    self.budget.row(key.len().saturating_add(value.len()))?;
                    self.rows += 1;
                    row((Cow::Borrowed(key), Cow::Borrowed(value)));
                }
                _ => return Err(DatabaseError::Damaged("a page of unknown type")),
            }
        }
        Ok(())
    }

    fn value(&mut self, node: &Node<'b>) -> Result<&'b [u8], DatabaseError> {
        match node.flags() {
            0 => node.value(),
            flag::NODE_BIG => {
                let (number, length) = (node.overflow()?, node.value_bytes());
                let pages = overflow_pages(length, self.page_bytes);
                let page = self.page(number, pages)?;
                if Page::new(page).flags()? & flag::OVERFLOW == 0 {
                    return Err(DatabaseError::Damaged("a long value leads to a page of another type"));
                }
                page.slice(PAGE_HEADER_BYTES, length)
            }
            _ => Err(DatabaseError::Unsupported("many values for one key")),
        }
    }
}

/// How many pages in a row hold a value of so many bytes, and their one head.
fn overflow_pages(length: usize, page_bytes: usize) -> usize {
    length.saturating_add(PAGE_HEADER_BYTES - 1).checked_div(page_bytes).unwrap_or(0).saturating_add(1)
}

mod build;
pub use build::write;
