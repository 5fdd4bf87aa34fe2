//! One page of an LMDB file: its head, the offsets behind it, the nodes at its end.

use super::DatabaseError;
use super::bytes::Bytes;
use super::lmdb::PAGE_HEADER_BYTES;

pub(super) mod flag {
    pub(in super::super) const BRANCH: usize = 0x01;
    pub(in super::super) const LEAF: usize = 0x02;
    pub(in super::super) const OVERFLOW: usize = 0x04;
    pub(in super::super) const META: usize = 0x08;
    pub(in super::super) const LEAF2: usize = 0x20;
    pub(in super::super) const SUBPAGE: usize = 0x40;
    /// A node's value stands in pages of its own.
    pub(in super::super) const NODE_BIG: usize = 0x01;
}

/// Offset and number, flags and length of key: 2 bytes each.
pub(super) const NODE_HEADER_BYTES: usize = 8;

pub(super) struct Page<'b>(Bytes<'b>);

/// A node of a leaf (key and value) or of a branch (key and page).
pub(super) struct Node<'b> {
    page: Bytes<'b>,
    at: usize,
    low: usize,
    high: usize,
    flags: usize,
    key_bytes: usize,
}

impl<'b> Page<'b> {
    pub(super) fn new(bytes: Bytes<'b>) -> Page<'b> {
        Page(bytes)
    }

    pub(super) fn flags(&self) -> Result<usize, DatabaseError> {
        self.0.u16(10)
    }

    pub(super) fn nodes(&self) -> Result<usize, DatabaseError> {
        Ok(self.0.u16(12)?.saturating_sub(PAGE_HEADER_BYTES) / 2)
    }

    pub(super) fn node(&self, index: usize) -> Result<Node<'b>, DatabaseError> {
        let at = self.0.u16(PAGE_HEADER_BYTES + index * 2)?;
        Ok(Node {
            page: self.0,
            at,
            low: self.0.u16(at)?,
            high: self.0.u16(at + 2)?,
            flags: self.0.u16(at + 4)?,
            key_bytes: self.0.u16(at + 6)?,
        })
    }
}

impl<'b> Node<'b> {
    pub(super) fn flags(&self) -> usize {
        self.flags
    }

    pub(super) fn key(&self) -> Result<&'b [u8], DatabaseError> {
        self.page.slice(self.at + NODE_HEADER_BYTES, self.key_bytes)
    }

    /// The page below: 48 bits, the flags' place included.
    pub(super) fn child(&self) -> u64 {
        let part = |number: usize| u64::try_from(number).unwrap_or(u64::MAX);
        part(self.low) | part(self.high) << 16 | part(self.flags) << 32
    }

    pub(super) fn value_bytes(&self) -> usize {
        self.low | self.high << 16
    }

    pub(super) fn value(&self) -> Result<&'b [u8], DatabaseError> {
        self.page.slice(self.at + NODE_HEADER_BYTES + self.key_bytes, self.value_bytes())
    }

    pub(super) fn overflow(&self) -> Result<u64, DatabaseError> {
        self.page.u64(self.at + NODE_HEADER_BYTES + self.key_bytes)
    }
}
