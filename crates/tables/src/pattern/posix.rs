//! POSIX regular expressions, extended and basic, as glibc's `regcomp` reads them, in the engines' syntax.
//!
//! GNU's `\w \W \s \S \b \B \< \>`, back-references, quantifiers behind quantifiers. Errors have `regerror`'s
//! words, for Postfix prints them. Deliberately not here: collating elements of more than one character.

use super::{ByteClass, DEPTH_MAX, PatternError, PosixFlags, Repetition, Translated, push_literal};

struct Reader<'p> {
    text: &'p str,
    at: usize,
    flags: PosixFlags,
    out: String,
    /// Start in `out` of the atom that a quantifier would repeat.
    atom: Option<usize>,
    /// For each open group, where it starts in `out`, and its number.
    open: Vec<(usize, usize)>,
    closed: Vec<bool>,
    fancy: bool,
    /// The length of `out` behind the last quantifier.
    quantified: usize,
    size: Repetition,
}

pub(super) fn translate(text: &str, flags: PosixFlags) -> Result<Translated, PatternError> {
    let mut out = String::from(if flags.ignore_case { "(?i)" } else { "" });
    out.push_str(if flags.multi_line { "(?m)" } else { "" });
    let (open, closed) = (Vec::new(), vec![true]);
    let mut reader = Reader {
        text,
        at: 0,
        flags,
        out,
        atom: None,
        open,
        closed,
        fancy: false,
        quantified: 0,
        size: Repetition::default(),
    };
    while let Some(c) = reader.next() {
        reader.item(c)?;
    }
    if !reader.open.is_empty() {
        return reader.fail("Unmatched ( or \\(");
    }
    Ok(Translated { groups: reader.closed.len() - 1, text: reader.out, fancy: reader.fancy })
}

impl Reader<'_> {
    fn fail<T>(&self, reason: &str) -> Result<T, PatternError> {
        Err(PatternError::new(reason, self.at))
    }

    fn rest(&self) -> &str {
        self.text.get(self.at..).unwrap_or("")
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn next(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.at += c.len_utf8();
        Some(c)
    }

    fn take(&mut self, what: &str) -> bool {
        let there = self.rest().starts_with(what);
        if there {
            self.at += what.len();
        }
        there
    }

    fn atom(&mut self, text: &str) {
        self.size.atom();
        self.atom = Some(self.out.len());
        self.out.push_str(text);
    }

    fn literal(&mut self, c: char) {
        self.size.atom();
        self.atom = Some(self.out.len());
        push_literal(&mut self.out, c);
    }

    /// What an operator of extended syntax is there, and its escaped form in basic syntax.
    fn operator(&mut self, c: char) -> Option<char> {
        match c {
            '\\' if !self.flags.extended => {
                let operator = self.peek().filter(|c| "(){}|+?".contains(*c))?;
                self.at += 1;
                Some(operator)
            }
            '(' | ')' | '{' | '|' | '+' | '?' => self.flags.extended.then_some(c),
            _ => None,
        }
    }

    fn item(&mut self, c: char) -> Result<(), PatternError> {
        if let Some(operator) = self.operator(c) {
            return self.operate(operator);
        }
        match c {
            '\\' => self.escape()?,
            '[' => self.bracket()?,
            '.' if self.flags.multi_line => self.atom("[^\\n]"),
            '.' => self.atom("[\\x00-\\xFF]"),
            '*' if self.flags.extended => self.repeat("*")?,
            '*' => match self.atom {
                Some(_) => self.repeat("*")?,
                None => self.literal('*'),
            },
            '^' if self.flags.extended || self.at_start(1) => self.anchor("^", "\\A"),
            '$' if self.flags.extended || self.at_end() => self.anchor("$", "\\z"),
            c => self.literal(c),
        }
        Ok(())
    }

    fn anchor(&mut self, line: &str, text: &str) {
        self.out.push_str(if self.flags.multi_line { line } else { text });
        self.atom = None;
    }

    /// In basic syntax: whether what was just read, `length` bytes, stands where `^` is an anchor.
    fn at_start(&self, length: usize) -> bool {
        let before = self.text.get(..self.at.saturating_sub(length)).unwrap_or("");
        before.is_empty() || before.ends_with("\\(") || before.ends_with("\\|")
    }

    fn at_end(&self) -> bool {
        let rest = self.rest();
        rest.is_empty() || rest.starts_with("\\)") || rest.starts_with("\\|")
    }

    fn operate(&mut self, operator: char) -> Result<(), PatternError> {
        match operator {
            '(' => {
                if self.open.len() >= DEPTH_MAX {
                    return self.fail("Regular expression too big");
                }
                self.open.push((self.out.len(), self.closed.len()));
                self.size.open();
                self.closed.push(false);
                self.out.push('(');
                self.atom = None;
            }
            ')' => self.close()?,
            '|' => {
                self.out.push('|');
                self.atom = None;
            }
            '+' => self.repeat("+")?,
            '?' => self.repeat("?")?,
            '{' if !self.flags.extended && self.atom.is_none() => {
                return self.fail("Invalid preceding regular expression");
            }
            '{' => self.interval()?,
            other => self.literal(other),
        }
        Ok(())
    }

    fn close(&mut self) -> Result<(), PatternError> {
        let Some((start, number)) = self.open.pop() else {
            if !self.flags.extended {
                return self.fail("Unmatched ( or \\(");
            }
            self.literal(')');
            return Ok(());
        };
        if let Some(closed) = self.closed.get_mut(number) {
            *closed = true;
        }
        self.out.push(')');
        self.size.close();
        self.atom = Some(start);
        Ok(())
    }

    /// Repeats the atom before; one that is repeated already is put in a group first.
    fn repeat(&mut self, quantifier: &str) -> Result<(), PatternError> {
        let Some(start) = self.atom else {
            if !self.flags.extended {
                self.literal(quantifier.chars().next().unwrap_or('*'));
                return Ok(());
            }
            return self.fail("Invalid preceding regular expression");
        };
        if self.quantified == self.out.len() {
            self.out.insert_str(start, "(?:");
            self.out.push(')');
        }
        self.out.push_str(quantifier);
        self.quantified = self.out.len();
        Ok(())
    }

    fn interval(&mut self) -> Result<(), PatternError> {
        if self.atom.is_none() {
            return self.fail("Invalid preceding regular expression");
        }
        let low = self.number();
        let high = if self.take(",") { self.number() } else { low.clone() };
        if !self.take(if self.flags.extended { "}" } else { "\\}" }) {
            let unfinished = self.rest().is_empty() || (low.is_empty() && high.is_empty());
            return self.fail(if unfinished { "Unmatched \\{" } else { "Invalid content of \\{\\}" });
        }
        let least: u32 = if low.is_empty() { 0 } else { low.parse().unwrap_or(u32::MAX) };
        let most: u32 = if high.is_empty() { least } else { high.parse().unwrap_or(u32::MAX) };
        if low.is_empty() && high.is_empty() || least > most {
            return self.fail("Invalid content of \\{\\}");
        }
        if most > 0x7fff || !self.size.repeat(most) {
            return self.fail("Regular expression too big");
        }
        let upper = if high.is_empty() { String::new() } else { most.to_string() };
        self.repeat(&format!("{{{least},{upper}}}"))
    }

    fn number(&mut self) -> String {
        let mut digits = String::new();
        while let Some(c) = self.peek().filter(char::is_ascii_digit) {
            digits.push(c);
            self.at += 1;
        }
        digits
    }

    fn escape(&mut self) -> Result<(), PatternError> {
        let Some(c) = self.next() else { return self.fail("Trailing backslash") };
        match c {
            'w' => self.atom("[0-9A-Za-z_]"),
            'W' => self.atom("[^0-9A-Za-z_]"),
            's' => self.atom("[\\t-\\r ]"),
            'S' => self.atom("[^\\t-\\r ]"),
            'b' => self.atom("\\b"),
            'B' => self.atom("\\B"),
            '<' => self.atom("\\b{start}"),
            '>' => self.atom("\\b{end}"),
            '`' => self.atom("\\A"),
            '\'' => self.atom("\\z"),
            '1'..='9' => {
                let number = c.to_digit(10).and_then(|n| usize::try_from(n).ok()).unwrap_or(0);
                if self.closed.get(number) != Some(&true) {
                    return self.fail("Invalid back reference");
                }
                self.fancy = true;
                self.atom(&format!("(?:\\{number})"));
            }
            other => self.literal(other),
        }
        Ok(())
    }

    fn bracket(&mut self) -> Result<(), PatternError> {
        const UNMATCHED: &str = "Unmatched [, [^, [:, [., or [=";
        let negated = self.take("^");
        let mut class = ByteClass::new();
        let mut first = true;
        loop {
            if !first && self.take("]") {
                break;
            }
            first = false;
            if self.take("[:") {
                let Some((name, _)) = self.rest().split_once(":]") else { return self.fail(UNMATCHED) };
                let known = class.insert_named(name, false) && !matches!(name, "word" | "ascii");
                self.at += name.len() + 2;
                if !known {
                    return self.fail("Invalid character class name");
                }
                continue;
            }
            let Some(low) = self.member()? else { return self.fail(UNMATCHED) };
            let range =
                self.rest().starts_with('-') && !self.rest().starts_with("-]") && self.rest().len() > 1;
            if !range {
                class.insert_char(low);
                continue;
            }
            self.at += 1;
            let Some(high) = self.member()? else { return self.fail(UNMATCHED) };
            match (u8::try_from(low), u8::try_from(high)) {
                (Ok(low), Ok(high)) if low <= high => (low..=high).for_each(|byte| class.insert(byte)),
                _ => return self.fail("Invalid range end"),
            }
            if self.rest().starts_with('-') && !self.rest().starts_with("-]") {
                return self.fail("Invalid range end");
            }
        }
        if self.flags.ignore_case {
            class.fold();
        }
        if negated {
            class.negate();
            if self.flags.multi_line {
                class.remove(b'\n');
            }
        }
        self.atom("");
        class.push_to(&mut self.out);
        Ok(())
    }

    /// One character of a bracket expression, `[.x.]` and `[=x=]` included.
    fn member(&mut self) -> Result<Option<char>, PatternError> {
        for (open, close) in [("[.", ".]"), ("[=", "=]")] {
            if self.take(open) {
                let Some(c) = self.next() else { return Ok(None) };
                if !self.take(close) {
                    return self.fail("Invalid collation character");
                }
                return Ok(Some(c));
            }
        }
        Ok(self.next())
    }
}
