//! Values in frames: numbers with the highest byte first, texts and bytes with their length in front.

use super::FrameError;

/// Makes one frame.
pub(super) struct Writer(Vec<u8>);

impl Writer {
    pub(super) fn new(kind: u8) -> Writer {
        Writer(vec![0, 0, 0, 0, kind])
    }

    pub(super) fn u8(mut self, value: u8) -> Writer {
        self.0.push(value);
        self
    }

    pub(super) fn u16(mut self, value: u16) -> Writer {
        self.0.extend_from_slice(&value.to_be_bytes());
        self
    }

    pub(super) fn u64(mut self, value: u64) -> Writer {
        self.0.extend_from_slice(&value.to_be_bytes());
        self
    }

    /// What is longer than 4 GB can't come here: envelopes and chunks are far smaller.
    pub(super) fn bytes(mut self, bytes: &[u8]) -> Writer {
        self.0.extend_from_slice(&u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_be_bytes());
        self.0.extend_from_slice(bytes);
        self
    }

    pub(super) fn text(self, text: &str) -> Writer {
        self.bytes(text.as_bytes())
    }

    pub(super) fn optional(self, text: Option<&str>) -> Writer {
        match text {
            Some(text) => self.u8(1).text(text),
            None => self.u8(0),
        }
    }

    pub(super) fn finish(mut self) -> Vec<u8> {
        let length = u32::try_from(self.0.len().saturating_sub(super::HEAD_BYTES)).unwrap_or(u32::MAX);
        if let Some(head) = self.0.first_chunk_mut() {
            *head = length.to_be_bytes();
        }
        self.0
    }
}

/// Takes values off the front.
pub(super) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Reader<'a> {
        Reader(bytes)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], FrameError> {
        let (taken, rest) = self.0.split_first_chunk().ok_or(FrameError::Short)?;
        self.0 = rest;
        Ok(*taken)
    }

    pub(super) fn u8(&mut self) -> Result<u8, FrameError> {
        self.array().map(u8::from_be_bytes)
    }

    pub(super) fn u16(&mut self) -> Result<u16, FrameError> {
        self.array().map(u16::from_be_bytes)
    }

    pub(super) fn u64(&mut self) -> Result<u64, FrameError> {
        self.array().map(u64::from_be_bytes)
    }

    pub(super) fn bytes(&mut self) -> Result<&'a [u8], FrameError> {
        let length = self.array().map(u32::from_be_bytes)?;
        let length = usize::try_from(length).map_err(|_| FrameError::Short)?;
        let (taken, rest) = self.0.split_at_checked(length).ok_or(FrameError::Short)?;
        self.0 = rest;
        Ok(taken)
    }

    pub(super) fn text(&mut self, what: &'static str) -> Result<String, FrameError> {
        String::from_utf8(self.bytes()?.to_vec()).map_err(|_| FrameError::Value(what))
    }

    pub(super) fn optional(&mut self, what: &'static str) -> Result<Option<String>, FrameError> {
        match self.u8()? {
            0 => Ok(None),
            1 => self.text(what).map(Some),
            _ => Err(FrameError::Value(what)),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn id(&mut self) -> Result<mail::QueueId, FrameError> {
        self.text("queue id")?.parse().map_err(|_| FrameError::Value("queue id"))
    }

    /// Queue ids to the end.
    pub(super) fn ids(&mut self) -> Result<Vec<mail::QueueId>, FrameError> {
        let mut ids = Vec::new();
        while !self.0.is_empty() {
            if ids.len() == super::IDS_MAX {
                return Err(FrameError::Value("number of queue ids"));
            }
            ids.push(self.id()?);
        }
        Ok(ids)
    }

    pub(super) fn finish<T>(self, value: T) -> Result<T, FrameError> {
        if self.0.is_empty() { Ok(value) } else { Err(FrameError::Trailing(self.0.len())) }
    }
}
