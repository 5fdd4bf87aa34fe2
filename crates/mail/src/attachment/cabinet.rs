//! A cabinet's names; what is in it isn't unpacked. MS-CAB §2.

use super::Danger;
use super::unpack::Job;

/// Of the cabinet's header, and of a file's before its name.
const HEADER_BYTES: usize = 36;
const FILE_BYTES: usize = 16;
/// Bytes of a name, with its end.
const NAME_BYTES: usize = 4096;

/// One cabinet.
#[derive(Debug, Default)]
pub(super) struct Cabinet {
    held: Vec<u8>,
    /// Bytes until the list of files.
    before: u64,
    files: Option<u16>,
}

impl Cabinet {
    /// Takes more of the cabinet.
    pub(super) fn feed(&mut self, bytes: &[u8], job: &mut Job<'_>) -> Result<(), Danger> {
        if self.files == Some(0) {
            return Ok(());
        }
        let skipped = usize::try_from(self.before).unwrap_or(usize::MAX).min(bytes.len());
        self.before = self.before.saturating_sub(skipped as u64);
        let mut held = std::mem::take(&mut self.held);
        held.extend_from_slice(bytes.get(skipped..).unwrap_or_default());
        let mut rest = held.as_slice();
        if self.files.is_none() {
            let Some((header, behind)) = rest.split_at_checked(HEADER_BYTES) else {
                self.held = held;
                return Ok(());
            };
            let word = |at: usize| header.get(at..).and_then(|rest| rest.first_chunk::<4>());
            let (list, files) =
                (word(16).copied().unwrap_or_default(), word(28).copied().unwrap_or_default());
            let [low, high, ..] = files;
            self.files = Some(u16::from_le_bytes([low, high]));
            let before = u64::from(u32::from_le_bytes(list)).saturating_sub(HEADER_BYTES as u64);
            let skipped = usize::try_from(before).unwrap_or(usize::MAX).min(behind.len());
            self.before = before.saturating_sub(skipped as u64);
            rest = behind.get(skipped..).unwrap_or_default();
        }
        while let (Some(left @ 1..), Some(text)) = (self.files, rest.get(FILE_BYTES..)) {
            let Some(end) = memchr::memchr(0, text) else {
                if text.len() > NAME_BYTES {
                    return Err(Danger::Names);
                }
                break;
            };
            if end > NAME_BYTES {
                return Err(Danger::Names);
            }
            job.count_entry()?;
            job.name(text.get(..end).unwrap_or_default())?;
            self.files = Some(left.saturating_sub(1));
            rest = text.get(end.saturating_add(1)..).unwrap_or_default();
        }
        self.held = if self.files == Some(0) { Vec::new() } else { rest.to_vec() };
        Ok(())
    }
}
