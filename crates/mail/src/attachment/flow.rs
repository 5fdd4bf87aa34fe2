//! A body in one of its readings: decoded by one transfer encoding, gathered, and handed to what looks into files.
//!
//! Base64, quoted-printable, uuencode, and as it stands. RFC 2045 §6; T1.15.

use super::Danger;
use super::unpack::{Content, Job};
use super::words::{digit, hex, low_byte};
use crate::base64::Digits;

/// Decoded bytes that are gathered.
const GATHERED_BYTES: usize = 16_384;

/// How a body is encoded.
#[derive(Debug)]
pub(super) enum Coding {
    Plain,
    Base64(Digits),
    /// What has come of an escape, and blanks that may end the line.
    Quoted(Vec<u8>),
    Uu,
}

/// A body on its way.
#[derive(Debug)]
pub(super) struct Flow {
    coding: Coding,
    content: Content,
    gathered: Vec<u8>,
    /// Its bytes are the message's own, not out of an archive.
    is_outermost: bool,
}

impl Flow {
    pub(super) fn new(coding: Coding, content: Content, depth: u32) -> Flow {
        Flow { coding, content, gathered: Vec::new(), is_outermost: depth == 0 }
    }

    /// Takes a line without its LF, or a piece of one.
    pub(super) fn line(&mut self, text: &[u8], ends: bool, job: &mut Job<'_>) -> Result<(), Danger> {
        match &mut self.coding {
            Coding::Plain => {
                self.gathered.extend_from_slice(text);
                self.gathered.extend(ends.then_some(b'\n'));
            }
            Coding::Base64(digits) => {
                for byte in text {
                    match digit(*byte) {
                        Some(digit) => self.gathered.extend(digits.push(digit)),
                        None if *byte == b'=' => *digits = Digits::default(),
                        None => {}
                    }
                }
            }
            Coding::Quoted(held) => quoted(text, ends, held, &mut self.gathered),
            Coding::Uu => uu_line(text, &mut self.gathered),
        }
        if self.gathered.len() >= GATHERED_BYTES { self.flush(job) } else { Ok(()) }
    }

    /// The body is over.
    pub(super) fn end(mut self, job: &mut Job<'_>) -> Result<(), Danger> {
        self.flush(job)?;
        self.content.end(job)
    }

    fn flush(&mut self, job: &mut Job<'_>) -> Result<(), Danger> {
        if self.is_outermost {
            job.spent.packed = job.spent.packed.saturating_add(self.gathered.len() as u64);
        }
        self.content.feed(&self.gathered, job)?;
        self.gathered.clear();
        Ok(())
    }
}

/// `begin 644 name`
pub(super) fn begins_uu(line: &[u8]) -> Option<&[u8]> {
    let rest =
        line.strip_prefix(b"begin ").or_else(|| line.strip_prefix(b"begin-base64 "))?.trim_ascii_start();
    let digits = rest.iter().take_while(|byte| matches!(byte, b'0'..=b'7')).count();
    let name = rest.get(digits..)?;
    ((3..=6).contains(&digits) && name.first() == Some(&b' ')).then(|| name.trim_ascii())
}

/// A line of uuencoded text.
fn uu_line(line: &[u8], out: &mut Vec<u8>) {
    let Some((length, digits)) = line.split_first() else { return };
    let value = |byte: &u8| u32::from(byte.wrapping_sub(32) & 63);
    let mut left = usize::try_from(value(length)).unwrap_or(0);
    for four in digits.chunks(4) {
        let bits = (0..4).fold(0_u32, |bits, at| (bits << 6) | four.get(at).map_or(0, value));
        for shift in [16, 8, 0] {
            if left > 0 {
                out.push(low_byte(bits >> shift));
                left -= 1;
            }
        }
    }
}

/// Quoted-printable; `held` is what may be the beginning of an escape.
fn quoted(text: &[u8], ends: bool, held: &mut Vec<u8>, out: &mut Vec<u8>) {
    let joined;
    let mut rest = text;
    if !held.is_empty() {
        joined = [held.as_slice(), text].concat();
        held.clear();
        rest = &joined;
    }
    if ends {
        rest = rest.trim_ascii_end();
    }
    while let Some((first, behind)) = rest.split_first() {
        if *first != b'=' {
            out.push(*first);
            rest = behind;
            continue;
        }
        match behind {
            // The line goes on.
            [] if ends => return,
            [] | [_] if !ends => {
                held.extend_from_slice(rest);
                return;
            }
            [high, low, after @ ..] if hex(*high, *low).is_some() => {
                out.extend(hex(*high, *low));
                rest = after;
            }
            _ => {
                out.push(b'=');
                rest = behind;
            }
        }
    }
    if ends {
        out.extend_from_slice(b"\r\n");
    }
}
