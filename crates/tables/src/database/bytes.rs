//! Numbers at offsets of a byte slice, either byte order; an offset beyond the end is an error with both figures.

use super::DatabaseError;

/// Bytes of a file, or of one page of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bytes<'b> {
    all: &'b [u8],
    is_big_endian: bool,
}

impl<'b> Bytes<'b> {
    pub(super) fn little(all: &'b [u8]) -> Bytes<'b> {
        Bytes { all, is_big_endian: false }
    }

    pub(super) fn big(all: &'b [u8]) -> Bytes<'b> {
        Bytes { all, is_big_endian: true }
    }

    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    pub(super) fn slice(&self, at: usize, length: usize) -> Result<&'b [u8], DatabaseError> {
        let end = at.saturating_add(length);
        self.all.get(at..end).ok_or(DatabaseError::CutShort { has: self.all.len(), wants: end })
    }

    /// A part that is read by the same byte order.
    pub(super) fn part(&self, at: usize, length: usize) -> Result<Bytes<'b>, DatabaseError> {
        Ok(Bytes { all: self.slice(at, length)?, is_big_endian: self.is_big_endian })
    }

    fn array<const N: usize>(&self, at: usize) -> Result<[u8; N], DatabaseError> {
        let end = at.saturating_add(N);
        let array = self.all.get(at..end).and_then(|slice| slice.try_into().ok());
        array.ok_or(DatabaseError::CutShort { has: self.all.len(), wants: end })
    }

    pub(super) fn u8(&self, at: usize) -> Result<u8, DatabaseError> {
        self.array::<1>(at).map(|[byte]| byte)
    }

    pub(super) fn u16(&self, at: usize) -> Result<usize, DatabaseError> {
        let array = self.array(at)?;
        let number = if self.is_big_endian { u16::from_be_bytes(array) } else { u16::from_le_bytes(array) };
        Ok(usize::from(number))
    }

    pub(super) fn u32(&self, at: usize) -> Result<usize, DatabaseError> {
        let array = self.array(at)?;
        let number = if self.is_big_endian { u32::from_be_bytes(array) } else { u32::from_le_bytes(array) };
        usize::try_from(number).map_err(|_| DatabaseError::Damaged("a number is too large"))
    }

    /// Little-endian only: no format with larger numbers has another order here.
    pub(super) fn u64(&self, at: usize) -> Result<u64, DatabaseError> {
        self.array(at).map(u64::from_le_bytes)
    }
}

/// What a reader may still give and look at. A file has no more row bytes than bytes and no more pages than pages;
/// one that says otherwise points in circles.
#[derive(Debug)]
pub(super) struct Budget {
    pub(super) bytes: usize,
    pub(super) pages: usize,
}

impl Budget {
    pub(super) fn page(&mut self) -> Result<(), DatabaseError> {
        self.pages = self.pages.checked_sub(1).ok_or(DatabaseError::Damaged("its pages point in circles"))?;
        Ok(())
    }

    pub(super) fn row(&mut self, bytes: usize) -> Result<(), DatabaseError> {
        self.bytes =
            self.bytes.checked_sub(bytes).ok_or(DatabaseError::Damaged("its rows overlap each other"))?;
        Ok(())
    }
}
