//! A message as `sendmail` reads it from a program: lines whatever their ends, without what a mailbox file has in front,
//! up to a line with a dot alone unless `-i`. Pure; what a header says of recipients is [`super::header`]'s.

/// `sendmail_fix_line_endings`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum LineEnds {
    /// CR LF becomes LF everywhere.
    #[default]
    Always,
    /// Where the first line has it.
    Strict,
    /// Nowhere.
    Never,
}

impl LineEnds {
    pub(super) fn parse(word: &str) -> LineEnds {
        match word {
            "strict" => LineEnds::Strict,
            "never" => LineEnds::Never,
            _ => LineEnds::Always,
        }
    }
}

/// What was read of a line: `whole` where its LF came with it.
pub(super) struct Piece<'a> {
    pub(super) text: &'a [u8],
    pub(super) whole: bool,
}

/// Between two lines, or within a very long one.
pub(super) struct Intake {
    ends: LineEnds,
    /// A dot alone doesn't end it.
    ignores_dots: bool,
    is_first: bool,
    within_line: bool,
    /// Nothing but lines that begin with `From ` has come.
    skips_from: bool,
    skips_rest: bool,
    /// A CR that ended a piece of a line.
    held_cr: bool,
}

/// What to do with a piece.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// The message goes on.
    More,
    /// It has ended.
    End,
}

impl Intake {
    pub(super) fn new(ends: LineEnds, ignores_dots: bool) -> Intake {
        Intake {
            ends,
            ignores_dots,
            is_first: true,
            within_line: false,
            skips_from: true,
            skips_rest: false,
            held_cr: false,
        }
    }

    /// Takes a piece of a line, at least as long as its beginning needs; appends to `out` what belongs to the message.
    pub(super) fn take(&mut self, piece: &Piece<'_>, out: &mut Vec<u8>) -> Step {
        let begins = !self.within_line;
        self.within_line = !piece.whole;
        let mut text = piece.text;
        if begins {
            self.skips_rest = false;
            if std::mem::take(&mut self.is_first) && self.ends == LineEnds::Strict {
                self.ends = if text.ends_with(b"\r") { LineEnds::Always } else { LineEnds::Never };
            }
        }
        if std::mem::take(&mut self.held_cr) && !(piece.whole && text.is_empty()) {
            out.push(b'\r');
        }
        if self.ends == LineEnds::Always
            && let Some(without) = text.strip_suffix(b"\r")
        {
            text = without;
            self.held_cr = !piece.whole;
        }
        if begins && !self.ignores_dots && piece.whole && text == b"." {
            return Step::End;
        }
        if begins && self.skips_from {
            self.skips_from = is_from(text);
            self.skips_rest = self.skips_from;
        }
        if !self.skips_rest {
            out.extend_from_slice(text);
            if piece.whole {
                out.push(b'\n');
            }
        }
        Step::More
    }

    /// The input has ended; a line that has no end gets one.
    pub(super) fn finish(self, out: &mut Vec<u8>) {
        if self.within_line && !self.skips_rest {
            out.push(b'\n');
        }
    }
}

/// `From joe Mon …`, with any number of `>` in front.
fn is_from(line: &[u8]) -> bool {
    let start = line.iter().take_while(|byte| **byte == b'>').count();
    line.get(start..).unwrap_or_default().starts_with(b"From ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(input: &str, ends: LineEnds, ignores_dots: bool, longest: usize) -> String {
        let (mut intake, mut out) = (Intake::new(ends, ignores_dots), Vec::new());
        'lines: for line in input.split_inclusive('\n') {
            let (line, ended) = line.strip_suffix('\n').map_or((line, false), |line| (line, true));
            let mut pieces: Vec<&[u8]> = line.as_bytes().chunks(longest).collect();
            if pieces.is_empty() {
                pieces.push(&[]);
            }
            let count = pieces.len();
            for (number, text) in (1..).zip(pieces) {
                let piece = Piece { text, whole: ended && number == count };
                if intake.take(&piece, &mut out) == Step::End {
                    intake.within_line = false;
                    break 'lines;
                }
            }
        }
        intake.finish(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn lines_dots_and_mailbox_lines() {
        let check = |input: &str, ignores_dots, expect: &str| {
            for longest in [12, 4096] {
                assert_eq!(run(input, LineEnds::Always, ignores_dots, longest), expect, "{input:?}");
            }
        };
        check("", false, "");
        check("a: b\n\nbody\n.\nrest\n", false, "a: b\n\nbody\n");
        check("a: b\n\nbody\n.\nrest", true, "a: b\n\nbody\n.\nrest\n");
        check("a: b\n\n..\n .\n. \n", false, "a: b\n\n..\n .\n. \n");
        check(".\nx\n", false, "");
        check("a: b\r\n\r\nbody\r\n.\r\nrest\r\n", false, "a: b\n\nbody\n");
        check("a\rb\r\r\nlast\r", false, "a\rb\r\nlast\n");
        check("From x y z\n>From a\nSubject: t\n\nFrom b\n", false, "Subject: t\n\nFrom b\n");
        check("\nFrom me\n", false, "\nFrom me\n");
        check("From me and no end", false, "");
        check("012345678901\r\n0123456789ab\n", false, "012345678901\n0123456789ab\n");
    }

    #[test]
    fn line_ends() {
        let check = |ends, input: &str, expect: &str| assert_eq!(run(input, ends, false, 99), expect);
        check(LineEnds::Strict, "a\r\nb\n", "a\nb\n");
        check(LineEnds::Strict, "a\nb\r\n", "a\nb\r\n");
        check(LineEnds::Never, "a\r\nb\n", "a\r\nb\n");
        assert_eq!(LineEnds::parse("strict"), LineEnds::Strict);
    }
}
