//! A message on its way out: lines ended by CRLF, dots doubled, long lines folded, the dot at the end.
//!
//! RFC 5321 §4.5.2 (transparency), §2.3.8 (no bare CR or LF is sent). `smtp_line_length_limit` breaks a longer line
//! with CRLF and a blank, as Postfix does, so that a relay that cuts lines never does it in the middle of something.

/// The sender's side of DATA.
#[derive(Debug)]
pub(super) struct Body {
    /// Bytes of a line; `usize::MAX` is without limit.
    line_max: usize,
    /// Bytes of the present line that were sent.
    line: usize,
    /// A CR was seen that may belong to a line's end.
    cr: bool,
}

impl Body {
    pub(super) const fn new(line_max: usize) -> Body {
        Body { line_max: if line_max == 0 { usize::MAX } else { line_max }, line: 0, cr: false }
    }

    pub(super) fn push(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        out.reserve(bytes.len() + bytes.len() / 32);
        let mut rest = bytes;
        while !rest.is_empty() {
            let plain = rest.iter().position(|byte| matches!(byte, b'\r' | b'\n')).unwrap_or(rest.len());
            let (text, after) = rest.split_at_checked(plain).unwrap_or((rest, &[]));
            if !text.is_empty() {
                // A CR in the middle of a line ends nothing: a blank stands for it.
                if std::mem::take(&mut self.cr) {
                    self.text(b" ", out);
                }
                self.text(text, out);
            }
            match after.split_first() {
                Some((b'\n', after)) => {
                    self.cr = false;
                    self.newline(out);
                    rest = after;
                }
                Some((_, after)) => {
                    if std::mem::replace(&mut self.cr, true) {
                        self.text(b" ", out);
                    }
                    rest = after;
                }
                None => break,
            }
        }
    }

    /// Ends the last line and the message.
    pub(super) fn end(&mut self, out: &mut Vec<u8>) {
        self.cr = false;
        if self.line > 0 {
            self.newline(out);
        }
        out.extend_from_slice(b".\r\n");
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
            }
        }
    }
}
