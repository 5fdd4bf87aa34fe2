//! A message on its way out: lines ended by CRLF, dots doubled, long lines folded, the dot at the end.
//!
//! RFC 5321 §4.5.2 (transparency), §2.3.8 (no bare CR or LF is sent). `smtp_line_length_limit` breaks a longer line
//! with CRLF and a blank, as Postfix does, so that a relay that cuts lines never does it in the middle of something.
//! Where the server takes no 8-bit text, it is converted first (RFC 6152 §3).

use mail::seven_bit::{Limits, SevenBit, TooDeep};

/// The sender's side of DATA.
#[derive(Debug)]
pub(super) struct Body {
    /// CRs were seen that may belong to a line's end.
    crs: usize,
    conversion: Option<Box<Conversion>>,
    lines: Lines,
}

#[derive(Debug)]
struct Conversion {
    seven_bit: SevenBit,
    plain: Vec<u8>,
    converted: Vec<u8>,
}

/// Lines as they go out.
#[derive(Debug)]
struct Lines {
    /// Bytes of a line; `usize::MAX` is without limit.
    line_max: usize,
    /// Bytes of the present line that were sent.
    line: usize,
    /// A line was broken.
    broken: bool,
}

impl Body {
    pub(super) const fn new(line_max: usize) -> Body {
        let line_max = if line_max == 0 { usize::MAX } else { line_max };
        Body { crs: 0, conversion: None, lines: Lines { line_max, line: 0, broken: false } }
    }

    /// The same, made 7-bit on its way.
    pub(super) fn converted(self, limits: Limits) -> Body {
        let (plain, converted) = (Vec::new(), Vec::new());
        let conversion = Conversion { seven_bit: SevenBit::new(limits), plain, converted };
        Body { conversion: Some(Box::new(conversion)), ..self }
    }

    /// Hands the conversion over to somebody who does it before.
    pub(super) fn take_conversion(&mut self) -> Option<SevenBit> {
        self.conversion.take().map(|conversion| conversion.seven_bit)
    }

    /// Whether a line was too long.
    pub(super) const fn has_broken_lines(&self) -> bool {
        self.lines.broken
    }

    pub(super) fn push(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> Result<(), TooDeep> {
        out.reserve(bytes.len() + bytes.len() / 32);
        let Body { crs, conversion, lines } = self;
        let Some(conversion) = conversion else {
            split(bytes, crs, |text| match text {
                Some(text) => lines.text(text, out),
                None => lines.newline(out),
            });
            return Ok(());
        };
        let Conversion { seven_bit, plain, converted } = &mut **conversion;
        plain.clear();
        converted.clear();
        split(bytes, crs, |text| match text {
            Some(text) => plain.extend_from_slice(text),
            None => plain.push(b'\n'),
        });
        seven_bit.push(plain, converted)?;
        lines.all(converted, out);
        Ok(())
    }

    /// Ends the last line. The dot is the caller's.
    pub(super) fn end(&mut self, out: &mut Vec<u8>) -> Result<(), TooDeep> {
        self.crs = 0;
        if let Some(conversion) = &mut self.conversion {
            conversion.converted.clear();
            conversion.seven_bit.end(&mut conversion.converted)?;
            self.lines.all(&conversion.converted, out);
        }
        if self.lines.line > 0 {
            self.lines.newline(out);
        }
        Ok(())
    }
}

/// Gives the pieces of `bytes` to `take`, `None` for a line's end. CRs in the middle of a line end nothing: a blank
/// stands for each; those before its end are dropped.
fn split(bytes: &[u8], crs: &mut usize, mut take: impl FnMut(Option<&[u8]>)) {
    let mut rest = bytes;
    while !rest.is_empty() {
        let plain = rest.iter().position(|byte| matches!(byte, b'\r' | b'\n')).unwrap_or(rest.len());
        let (text, after) = rest.split_at_checked(plain).unwrap_or((rest, &[]));
        if !text.is_empty() {
            for _ in 0..std::mem::take(crs) {
                take(Some(b" "));
            }
            take(Some(text));
        }
        match after.split_first() {
            Some((b'\n', after)) => {
                *crs = 0;
                take(None);
                rest = after;
            }
            Some((_, after)) => {
                *crs = crs.saturating_add(1);
                rest = after;
            }
            None => break,
        }
    }
}

impl Lines {
    fn all(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            match piece.strip_suffix(b"\n") {
                Some(text) => {
                    self.text(text, out);
                    self.newline(out);
                }
                None => self.text(piece, out),
            }
        }
    }

    fn newline(&mut self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"\r\n");
        self.line = 0;
    }

    /// Text without a line's end.
    fn text(&mut self, mut text: &[u8], out: &mut Vec<u8>) {
        while !text.is_empty() {
            if self.line == 0 && text.first() == Some(&b'.') {
                out.push(b'.');
            }
            let room = self.line_max.saturating_sub(self.line);
            let (now, later) = text.split_at_checked(room).unwrap_or((text, &[]));
            out.extend_from_slice(now);
            self.line += now.len();
            text = later;
            if !text.is_empty() {
                self.newline(out);
                out.push(b' ');
                self.line = 1;
                self.broken = true;
            }
        }
    }
}
