//! A regular pattern that matches wherever a backtracking one does, and perhaps elsewhere too.
//!
//! It works on the translators' own output, a small language: look-around falls away, references and calls become
//! any text, atomic groups and possessive repetition lose what makes them so, a condition becomes a choice. So a table
//! can tell in one pass over a line which of its backtracking patterns are worth asking. What it doesn't know gives
//! no superset. Deliberately not here: group numbers, which nothing asks of a superset.

/// Any text, also none.
const ANYTHING: &str = "(?:[\\x00-\\xFF]*)";

pub(super) fn superset(text: &str) -> Option<String> {
    regular(text, false)
}

/// A regular pattern whose matches hold whatever a text must hold that this one matches in: what is looked ahead for
/// stands there, too, and anything behind it.
pub(super) fn with_lookahead(text: &str) -> Option<String> {
    regular(text, true)
}

fn regular(text: &str, keeps_lookahead: bool) -> Option<String> {
    let mut reader = Reader { rest: text, out: String::new(), open: Vec::new(), keeps_lookahead };
    while !reader.rest.is_empty() {
        reader.item()?;
    }
    reader.open.is_empty().then_some(reader.out)
}

struct Reader<'p> {
    rest: &'p str,
    out: String,
    /// What closes each open group.
    open: Vec<&'static str>,
    keeps_lookahead: bool,
}

impl<'p> Reader<'p> {
    fn take(&mut self, what: &str) -> bool {
        match self.rest.strip_prefix(what) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    /// The next `length` bytes.
    fn piece(&mut self, length: usize) -> Option<&'p str> {
        let (piece, rest) = self.rest.split_at_checked(length)?;
        self.rest = rest;
        Some(piece)
    }

    fn item(&mut self) -> Option<()> {
        match self.rest.chars().next()? {
            '(' => self.group()?,
            ')' => {
                self.rest = self.rest.strip_prefix(')')?;
                self.out.push_str(self.open.pop()?);
            }
            '\\' => match self.escape()? {
                "\\K" => self.out.push_str("(?:)"),
                escape => self.out.push_str(escape),
            },
            '[' => {
                let class = self.class()?;
                self.out.push_str(class);
            }
            repetition @ ('*' | '+' | '?') => {
                self.rest = self.rest.strip_prefix(repetition)?;
                self.out.push(repetition);
                // Possessive; a lazy one is followed by `?`, which is copied as it comes.
                self.take("+");
            }
            c => {
                self.piece(c.len_utf8())?;
                self.out.push(c);
            }
        }
        Some(())
    }

    /// A backslash and what belongs to it: `\x41`, `\b{start}`, `\.`.
    fn escape(&mut self) -> Option<&'p str> {
        let length = match self.rest.as_bytes().get(1)? {
            b'x' => 4,
            b'b' if self.rest.starts_with("\\b{") => self.rest.find('}')? + 1,
            _ => 1 + self.rest.chars().nth(1)?.len_utf8(),
        };
        self.piece(length)
    }

    /// Classes hold escaped bytes only.
    fn class(&mut self) -> Option<&'p str> {
        self.piece(self.rest.find(']')? + 1)
    }

    fn group(&mut self) -> Option<()> {
        for reference in ["(?:\\g<", "(?:\\k<"] {
            if self.rest.starts_with(reference) {
                self.rest = self.rest.split_once(')')?.1;
                self.out.push_str(ANYTHING);
                return Some(());
            }
        }
        let numbered = self
            .rest
            .strip_prefix("(?:\\")
            .is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
        if numbered {
            self.rest = self.rest.split_once(')')?.1;
            self.out.push_str(ANYTHING);
            return Some(());
        }
        if self.keeps_lookahead && self.take("(?=") {
            self.out.push_str("(?:(?:");
            self.open.push(")(?:[\\x00-\\xFF]*))");
            return Some(());
        }
        for look in ["(?=", "(?!", "(?<=", "(?<!"] {
            if self.take(look) {
                self.out.push_str("(?:)");
                return self.skip();
            }
        }
        if self.take("(?>") {
            self.out.push_str("(?:");
        } else if self.take("(?(") {
            // If the condition is a group that is missing and there is no second branch, nothing is wanted.
            self.rest = self.rest.split_once(')')?.1;
            self.out.push_str("(?:");
            self.open.push("|)");
            return Some(());
        } else if self.rest.starts_with("(?") {
            // `(?:`, `(?i)`, `(?-i:`, `(?P<name>`: as they are.
            let head = self.piece(self.rest.find([':', ')', '>'])? + 1)?;
            if head.ends_with(')') {
                self.out.push_str(head);
                return Some(());
            }
            self.out.push_str(if head.ends_with('>') { "(?:" } else { head });
        } else {
            self.take("(");
            self.out.push_str("(?:");
        }
        self.open.push(")");
        Some(())
    }

    /// Leaves out everything up to the end of this group.
    fn skip(&mut self) -> Option<()> {
        let mut depth = 1_usize;
        while depth > 0 {
            match self.rest.chars().next()? {
                '\\' => drop(self.escape()?),
                '[' => drop(self.class()?),
                c => {
                    depth = match c {
                        '(' => depth + 1,
                        ')' => depth - 1,
                        _ => depth,
                    };
                    self.piece(c.len_utf8())?;
                }
            }
        }
        Some(())
    }
}
