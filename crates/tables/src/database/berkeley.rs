//! Berkeley DB 4 and 5, `hash` and `btree`, as Postfix makes them; either byte order.
//!
//! Every page of the file is looked at once, in its order, and those that hold rows give them: buckets and the pages
//! behind them (types 2, 13), leaves (type 5). Pages that were freed have type 0. So the way to a row, which a
//! damaged file could bend into a circle, is never walked; only values longer than a page (type 7) follow a chain,
//! and duplicates outside of their page (type 12; Postfix makes none) give the first of them.
//! Not read: several databases in one file, record numbers, encryption, checksums, compression.

use super::bytes::{Budget, Bytes};
use super::{DatabaseError, Row};
use std::borrow::Cow;

const HASH: usize = 0x0006_1561;
const BTREE: usize = 0x0005_3162;
const PAGE_HEADER_BYTES: usize = 26;

mod page_type {
    pub(super) const HASH_UNSORTED: u8 = 2;
    pub(super) const LEAF: u8 = 5;
    pub(super) const OVERFLOW: u8 = 7;
    pub(super) const DUPLICATE_LEAF: u8 = 12;
    pub(super) const HASH: u8 = 13;
}

struct File<'b> {
    all: Bytes<'b>,
    page_bytes: usize,
    last_page: usize,
    is_hash: bool,
}

pub(super) fn read<'b>(bytes: &'b [u8], row: &mut dyn FnMut(Row<'b>)) -> Result<(), DatabaseError> {
    let file = File::open(bytes)?;
    let mut budget = Budget { bytes: bytes.len(), pages: file.last_page.saturating_add(1) };
    for number in 1..=file.last_page {
        let page = file.page(number)?;
        match (page.kind()?, file.is_hash) {
            (page_type::HASH | page_type::HASH_UNSORTED, true) => {
                file.pairs(&page, Page::hash_item, &mut budget, row)?;
            }
            (page_type::LEAF, false) => file.pairs(&page, Page::leaf_item, &mut budget, row)?,
            _ => {}
        }
    }
    Ok(())
}

/// What stands at one index of a page.
enum Item<'b> {
    Here(&'b [u8]),
    Overflow { first: usize, length: usize },
    DuplicatesAt(usize),
    Deleted,
}

#[derive(Clone, Copy)]
struct Page<'b>(Bytes<'b>);

impl<'b> File<'b> {
    fn open(bytes: &'b [u8]) -> Result<File<'b>, DatabaseError> {
        let foreign = |_| DatabaseError::Foreign("Berkeley DB");
        let little = Bytes::little(bytes);
        let is_ours = |magic: usize| magic == HASH || magic == BTREE;
        let all = if is_ours(little.u32(12).map_err(foreign)?) { little } else { Bytes::big(bytes) };
        let magic = all.u32(12).map_err(foreign)?;
        if !is_ours(magic) {
            return Err(DatabaseError::Foreign("Berkeley DB"));
        }
        let is_hash = magic == HASH;
        // 8 and 9 are DB 4's and 5's; hash 7 and 8 differ in nothing that is read here.
        if !(7..=10).contains(&all.u32(16)?) {
            return Err(DatabaseError::Unsupported("Berkeley DB files of this version"));
        }
        let page_bytes = all.u32(20)?;
        if !(512..=65_536).contains(&page_bytes) || !page_bytes.is_power_of_two() {
            return Err(DatabaseError::Damaged("no page has such a size"));
        }
        let (encrypted, meta_flags, flags) = (all.u8(24)?, all.u8(26)?, all.u32(48)?);
        // Btree: record numbers (0x02, 0x04), several databases (0x20), compression (0x80); hash: several (0x02).
        let odd = if is_hash { 0x02 } else { 0x02 | 0x04 | 0x20 | 0x80 };
        if encrypted != 0 || meta_flags & 1 != 0 || flags & odd != 0 || all.u32(36)? > 1 {
            return Err(DatabaseError::Unsupported(
                "encrypted, checksummed, compressed, numbered or nested Berkeley DB files",
            ));
        }
        let last_page = all.u32(32)?;
        all.slice(last_page.saturating_mul(page_bytes), page_bytes)?;
        Ok(File { all, page_bytes, last_page, is_hash })
    }

    fn page(&self, number: usize) -> Result<Page<'b>, DatabaseError> {
        let page = self.all.part(number.saturating_mul(self.page_bytes), self.page_bytes)?;
        if page.u8(25)? != 0 && page.u32(8)? != number {
            return Err(DatabaseError::Damaged("a page has another's number"));
        }
        Ok(Page(page))
    }

    /// The rows of a page: keys at even indexes, values behind them.
    fn pairs(
        &self,
        page: &Page<'b>,
        item: fn(&Page<'b>, usize) -> Result<Item<'b>, DatabaseError>,
        budget: &mut Budget,
        row: &mut dyn FnMut(Row<'b>),
    ) -> Result<(), DatabaseError> {
        let entries = page.0.u16(20)?;
        for index in (0..entries / 2).map(|pair| pair * 2) {
            // An item before another with the same offset of its key is the first of several values.
            if !self.is_hash && index > 0 && page.offset(index)? == page.offset(index - 2)? {
                continue;
            }
            let (key, value) = (item(page, index)?, item(page, index + 1)?);
            let (Some(key), Some(value)) = (self.bytes(key, budget)?, self.bytes(value, budget)?) else {
                continue;
            };
            row((key, value));
        }
        Ok(())
    }

    fn bytes(&self, item: Item<'b>, budget: &mut Budget) -> Result<Option<Cow<'b, [u8]>>, DatabaseError> {
        let bytes = match item {
            Item::Deleted => return Ok(None),
            Item::Here(bytes) => {
                budget.row(bytes.len())?;
                Cow::Borrowed(bytes)
            }
            Item::Overflow { first, length } => {
                budget.row(length)?;
                Cow::Owned(self.chain(first, length, budget)?)
            }
            Item::DuplicatesAt(number) => {
                budget.page()?;
                let page = self.page(number)?;
                if page.kind()? != page_type::DUPLICATE_LEAF || page.0.u16(20)? == 0 {
                    return Err(DatabaseError::Unsupported("many values for one key"));
                }
                match page.leaf_item(0)? {
                    Item::DuplicatesAt(_) => return Err(DatabaseError::Damaged("duplicates of duplicates")),
                    first => return self.bytes(first, budget),
                }
            }
        };
        Ok(Some(bytes))
    }

    /// A value that is longer than a page: a chain of pages.
    fn chain(&self, first: usize, length: usize, budget: &mut Budget) -> Result<Vec<u8>, DatabaseError> {
        let mut bytes = Vec::new();
        let mut number = first;
        while number != 0 && bytes.len() < length {
            budget.page()?;
            let page = self.page(number)?;
            if page.kind()? != page_type::OVERFLOW {
                return Err(DatabaseError::Damaged("a long value leads to a page of another type"));
            }
            bytes.extend_from_slice(page.0.slice(PAGE_HEADER_BYTES, page.0.u16(22)?)?);
            number = page.0.u32(16)?;
        }
        if bytes.len() != length {
            return Err(DatabaseError::Damaged("a long value is not as long as it says"));
        }
        Ok(bytes)
    }
}

impl<'b> Page<'b> {
    fn kind(&self) -> Result<u8, DatabaseError> {
        self.0.u8(25)
    }

    fn offset(&self, index: usize) -> Result<usize, DatabaseError> {
        let at = self.0.u16(PAGE_HEADER_BYTES + index * 2)?;
        if at < PAGE_HEADER_BYTES {
            Err(DatabaseError::Damaged("a row lies in a page's head"))
        } else {
            Ok(at)
        }
    }

    /// An item of a hash page ends where the one before it starts: they grow from the page's end.
    fn hash_item(&self, index: usize) -> Result<Item<'b>, DatabaseError> {
        const KEY_DATA: u8 = 1;
        const DUPLICATES: u8 = 2;
        const OFF_PAGE: u8 = 3;
        const DUPLICATES_OFF_PAGE: u8 = 4;
        let at = self.offset(index)?;
        let end = if index == 0 { self.0.len() } else { self.offset(index - 1)? };
        let length = end.checked_sub(at + 1).ok_or(DatabaseError::Damaged("rows out of order in a page"))?;
        match self.0.u8(at)? {
            KEY_DATA => Ok(Item::Here(self.0.slice(at + 1, length)?)),
            DUPLICATES => {
                let first = self.0.u16(at + 1)?;
                if first.saturating_add(4) > length {
                    return Err(DatabaseError::Damaged("a value reaches into the next"));
                }
                Ok(Item::Here(self.0.slice(at + 3, first)?))
            }
            OFF_PAGE => Ok(Item::Overflow { first: self.0.u32(at + 4)?, length: self.0.u32(at + 8)? }),
            DUPLICATES_OFF_PAGE => Ok(Item::DuplicatesAt(self.0.u32(at + 4)?)),
            _ => Err(DatabaseError::Damaged("a row of unknown type")),
        }
    }

    fn leaf_item(&self, index: usize) -> Result<Item<'b>, DatabaseError> {
        const KEY_DATA: u8 = 1;
        const DUPLICATES_OFF_PAGE: u8 = 2;
        const OVERFLOW: u8 = 3;
        const DELETED: u8 = 0x80;
        let at = self.offset(index)?;
        let kind = self.0.u8(at + 2)?;
        if kind & DELETED != 0 {
            return Ok(Item::Deleted);
        }
        match kind {
            KEY_DATA => Ok(Item::Here(self.0.slice(at + 3, self.0.u16(at)?)?)),
            DUPLICATES_OFF_PAGE => Ok(Item::DuplicatesAt(self.0.u32(at + 4)?)),
            OVERFLOW => Ok(Item::Overflow { first: self.0.u32(at + 4)?, length: self.0.u32(at + 8)? }),
            _ => Err(DatabaseError::Damaged("a row of unknown type")),
        }
    }
}
