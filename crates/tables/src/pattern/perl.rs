//! Perl-like regular expressions as PCRE2 reads them without its UTF mode, in the engines' syntax.
//!
//! Flags that change what later text means (`s m x U`, also inline) are applied here, `i` by the engines. What
//! only a backtracking engine can do is noticed on the way. Deliberately not here: branch reset `(?|…)`, verbs
//! `(*…)`, callouts. `$` and `\Z` mean the very end: keys don't end in a newline.

use super::{ByteClass, DEPTH_MAX, PatternError, PerlFlags, Repetition, Translated, push_literal};

struct Reader<'p> {
    text: &'p str,
    at: usize,
    flags: PerlFlags,
    out: String,
    /// The flags outside each open group.
    outer: Vec<PerlFlags>,
    groups: usize,
    /// Whether a quantifier may follow.
    repeatable: bool,
    fancy: bool,
    size: Repetition,
}

pub(super) fn translate(text: &str, flags: PerlFlags) -> Result<Translated, PatternError> {
    let mut out = String::from(if flags.ignore_case { "(?i)" } else { "" });
    out.push_str(if flags.anchored { "\\A(?:" } else { "" });
    let mut reader = Reader {
        text,
        at: 0,
        flags,
        out,
        outer: Vec::new(),
        groups: 0,
        repeatable: false,
        fancy: false,
        size: Repetition::default(),
    };
    while let Some(c) = reader.next() {
        reader.item(c)?;
    }
    if !reader.outer.is_empty() {
        return reader.fail("missing closing parenthesis");
    }
    reader.out.push_str(if flags.anchored { ")" } else { "" });
    Ok(Translated { text: reader.out, groups: reader.groups, fancy: reader.fancy })
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

    /// The text before `end`, which is taken too.
    fn take_until(&mut self, end: char) -> Option<String> {
        let (inner, _) = self.rest().split_once(end)?;
        let inner = inner.to_owned();
        self.at += inner.len() + end.len_utf8();
        Some(inner)
    }

    fn atom(&mut self, text: &str) {
        self.size.atom();
        self.out.push_str(text);
        self.repeatable = true;
    }

    fn literal(&mut self, c: char) {
        self.size.atom();
        push_literal(&mut self.out, c);
        self.repeatable = true;
    }

    fn assertion(&mut self, text: &str) {
        self.out.push_str(text);
        self.repeatable = false;
    }

    fn item(&mut self, c: char) -> Result<(), PatternError> {
        match c {
            '\\' => self.escape()?,
            '[' => self.class()?,
            '(' => self.group()?,
            ')' => {
                let Some(flags) = self.outer.pop() else { return self.fail("unmatched closing parenthesis") };
                self.flags = flags;
                self.out.push(')');
                self.repeatable = true;
                self.size.close();
            }
            '|' => self.assertion("|"),
            '.' if self.flags.dot_all => self.atom("[\\x00-\\xFF]"),
            '.' => self.atom("[^\\n]"),
            '^' => self.assertion(if self.flags.multi_line { "(?m:^)" } else { "\\A" }),
            '$' => self.assertion(if self.flags.multi_line { "(?m:$)" } else { "\\z" }),
            '*' | '+' | '?' => self.repeat(&c.to_string())?,
            '{' => match self.interval()? {
                Some(interval) => self.repeat(&interval)?,
                None => self.literal('{'),
            },
            '#' if self.flags.extended => while self.next().is_some_and(|c| c != '\n') {},
            c if self.flags.extended && c.is_ascii_whitespace() => {}
            c => self.literal(c),
        }
        Ok(())
    }

    /// `{n}`, `{n,}`, `{n,m}`; anything else behind a brace is text.
    fn interval(&mut self) -> Result<Option<String>, PatternError> {
        let Some((inner, _)) = self.rest().split_once('}') else { return Ok(None) };
        let (low, high) = inner.split_once(',').unwrap_or((inner, inner));
        let digits = |text: &str| text.len() <= 5 && text.bytes().all(|b| b.is_ascii_digit());
        if low.is_empty() || !digits(low) || !digits(high) {
            return Ok(None);
        }
        let (least, most) = (low.parse().unwrap_or(u32::MAX), high.parse().unwrap_or(u32::MAX));
        let bounded = !high.is_empty();
        let interval = format!("{{{inner}}}");
        self.at += inner.len() + 1;
        if least > u32::from(u16::MAX) || bounded && most > u32::from(u16::MAX) {
            return self.fail("number too big in {} quantifier");
        }
        if least > most {
            return self.fail("numbers out of order in {} quantifier");
        }
        Ok(Some(interval))
    }

    fn repeat(&mut self, quantifier: &str) -> Result<(), PatternError> {
        if !self.repeatable {
            self.at = self.at.saturating_sub(quantifier.len());
            return self.fail("quantifier does not follow a repeatable item");
        }
        let times = quantifier.split(|c: char| !c.is_ascii_digit()).filter_map(|n| n.parse().ok()).max();
        if !self.size.repeat(times.unwrap_or(1)) {
            return self.fail("regular expression is too large");
        }
        self.out.push_str(quantifier);
        let lazy = self.take("?");
        if !lazy && self.take("+") {
            self.fancy = true;
            // In this engine `{n}+` is no possessive quantifier but a repeated one: harmless, it only backtracks.
            self.out.push_str(if quantifier.starts_with('{') { "" } else { "+" });
        } else if lazy != self.flags.ungreedy {
            self.out.push('?');
        }
        self.repeatable = false;
        Ok(())
    }

    fn open(&mut self, text: &str) -> Result<(), PatternError> {
        if self.outer.len() >= DEPTH_MAX {
            return self.fail("parentheses are too deeply nested");
        }
        self.outer.push(self.flags);
        self.size.open();
        self.assertion(text);
        Ok(())
    }

    fn group(&mut self) -> Result<(), PatternError> {
        if self.rest().starts_with("*") {
            return self.fail("(*VERB) not recognized or malformed");
        }
        if !self.take("?") {
            self.groups += 1;
            return self.open("(");
        }
        for look in ["=", "!", "<=", "<!", ">"] {
            if self.take(look) {
                self.fancy = true;
                return self.open(&format!("(?{look}"));
            }
        }
        for (open, close) in [("P<", '>'), ("<", '>'), ("'", '\'')] {
            if self.take(open) {
                let Some(name) = self.take_until(close).filter(|name| is_name(name)) else {
                    return self.fail("subpattern name expected");
                };
                self.groups += 1;
                return self.open(&format!("(?P<{name}>"));
            }
        }
        if self.take(":") {
            return self.open("(?:");
        }
        if self.take("#") {
            if self.take_until(')').is_none() {
                return self.fail("missing ) after (?# comment");
            }
            return Ok(());
        }
        if self.take("(") {
            let Some(condition) = self.take_until(')') else { return self.fail("malformed condition") };
            self.fancy = true;
            return self.open(&format!("(?({condition})"));
        }
        self.reference_or_flags()
    }

    /// `(?P=name)`, `(?&name)`, `(?1)`, `(?R)`, `(?i-s)`, `(?i:`.
    fn reference_or_flags(&mut self) -> Result<(), PatternError> {
        let recursion = self.take("&") || self.take("P>");
        if recursion || self.take("P=") {
            let Some(name) = self.take_until(')').filter(|name| is_name(name)) else {
                return self.fail("subpattern name expected");
            };
            self.fancy = true;
            self.atom(&format!("(?:\\{}<{name}>)", if recursion { 'g' } else { 'k' }));
            return Ok(());
        }
        if self.peek().is_some_and(|c| c == 'R' || c.is_ascii_digit()) {
            let number = self.take_until(')').unwrap_or_default().replace('R', "0");
            if number.len() > 2 || number.parse::<u8>().is_err() {
                return self.fail("(?R (recursive pattern call) must be followed by a closing parenthesis");
            }
            self.fancy = true;
            self.atom(&format!("(?:\\g<{number}>)"));
            return Ok(());
        }
        self.inline_flags()
    }

    fn inline_flags(&mut self) -> Result<(), PatternError> {
        let mut flags = self.flags;
        let mut on = true;
        loop {
            match self.next() {
                Some('^') => flags = PerlFlags { dot_all: false, ignore_case: false, ..flags },
                Some('-') => on = false,
                Some('i') => flags.ignore_case = on,
                Some('m') => flags.multi_line = on,
                Some('s') => flags.dot_all = on,
                Some('x') => flags.extended = on,
                Some('U') => flags.ungreedy = on,
                Some(end @ (')' | ':')) => {
                    let case = if flags.ignore_case { "i" } else { "-i" };
                    if end == ':' {
                        self.open(&format!("(?{case}:"))?;
                    } else {
                        self.assertion(&format!("(?{case})"));
                    }
                    self.flags = flags;
                    return Ok(());
                }
                _ => return self.fail("unrecognized character after (? or (?-"),
            }
        }
    }

    fn escape(&mut self) -> Result<(), PatternError> {
        let Some(c) = self.next() else { return self.fail("\\ at end of pattern") };
        match c {
            'b' | 'B' | 'A' | 'z' => self.assertion(&format!("\\{c}")),
            'Z' => self.assertion("\\z"),
            'G' => self.assertion("\\A"),
            'K' => {
                self.fancy = true;
                self.assertion("\\K");
            }
            'Q' => {
                let inner = self.rest().split_once("\\E").map_or(self.rest(), |(inner, _)| inner).to_owned();
                self.at += inner.len();
                inner.chars().for_each(|c| self.literal(c));
                self.take("\\E");
            }
            'E' => {}
            'N' => self.atom("[^\\n]"),
            'R' => self.atom("(?:\\r\\n|[\\n-\\r\\x85])"),
            'g' | 'k' => self.named_reference(c)?,
            'p' | 'P' | 'X' | 'C' => return self.fail("this version has no support for \\P, \\p, and \\X"),
            '1'..='9' => self.numbered_reference(c),
            _ => {
                self.size.atom();
                let mut class = ByteClass::new();
                if insert_class(&mut class, c) {
                    class.push_to(&mut self.out);
                } else {
                    let value = self.character(c)?;
                    self.push_value(value);
                }
                self.repeatable = true;
            }
        }
        Ok(())
    }

    fn push_value(&mut self, value: u32) {
        match char::from_u32(value) {
            Some(c) if c.is_ascii() || value > 0xff => push_literal(&mut self.out, c),
            _ => {
                let mut class = ByteClass::new();
                class.insert(u8::try_from(value & 0xff).unwrap_or(0));
                class.push_to(&mut self.out);
            }
        }
    }

    /// The character that an escape stands for.
    fn character(&mut self, c: char) -> Result<u32, PatternError> {
        Ok(match c {
            'n' => 0x0a,
            'r' => 0x0d,
            't' => 0x09,
            'f' => 0x0c,
            'e' => 0x1b,
            'a' => 0x07,
            'c' => self.next().map_or(0, |c| u32::from(c.to_ascii_uppercase()) ^ 0x40),
            'x' if self.take("{") => {
                let digits = self.take_until('}').unwrap_or_default();
                let Ok(value) = u32::from_str_radix(&digits, 16) else {
                    return self.fail("non-hex character in \\x{} (closing brace missing?)");
                };
                value
            }
            'x' => self.digits(16, 2),
            '0' => self.digits(8, 2),
            'o' if self.take("{") => {
                let digits = self.take_until('}').unwrap_or_default();
                let Ok(value) = u32::from_str_radix(&digits, 8) else {
                    return self.fail("non-octal character in \\o{} (closing brace missing?)");
                };
                value
            }
            c if c.is_ascii_alphabetic() => return self.fail("unrecognized character follows \\"),
            c => u32::from(c),
        })
    }

    fn digits(&mut self, radix: u32, length: usize) -> u32 {
        let mut value = 0;
        for _ in 0..length {
            let Some(digit) = self.peek().and_then(|c| c.to_digit(radix)) else { break };
            value = value * radix + digit;
            self.at += 1;
        }
        value
    }

    fn numbered_reference(&mut self, first: char) {
        let from = self.at - 1;
        while self.peek().is_some_and(|c| c.is_ascii_digit()) && self.at - from < 3 {
            self.at += 1;
        }
        let digits = self.text.get(from..self.at).unwrap_or("");
        let number: usize = digits.parse().unwrap_or(usize::MAX);
        if number < 10 || number <= self.groups {
            self.fancy = true;
            self.atom(&format!("(?:\\{number})"));
            return;
        }
        // More than there are groups: octal digits, or the digit itself.
        self.at = from;
        let value = if first < '8' { self.digits(8, 3) } else { u32::from(first) };
        self.at = self.at.max(from + 1);
        self.push_value(value & 0xff);
        self.repeatable = true;
    }

    /// `\g{2}`, `\g2`, `\g{-1}`, `\g{name}`, `\k<name>`, `\g<name>`.
    fn named_reference(&mut self, letter: char) -> Result<(), PatternError> {
        let call = letter == 'g' && (self.rest().starts_with('<') || self.rest().starts_with('\''));
        let name = match self.peek() {
            Some('{') => self.take("{").then(|| self.take_until('}')).flatten(),
            Some('<') => self.take("<").then(|| self.take_until('>')).flatten(),
            Some('\'') => self.take("'").then(|| self.take_until('\'')).flatten(),
            Some(c) if c.is_ascii_digit() => self.next().map(String::from),
            _ => None,
        };
        let relative = |name: &String| name.strip_prefix('-').and_then(|n| n.parse::<usize>().ok());
        let Some(name) = name.map(|name| match relative(&name) {
            Some(back) => (self.groups + 1).saturating_sub(back).to_string(),
            None => name,
        }) else {
            return self.fail("a numbered reference must not be zero");
        };
        if !name.bytes().all(|b| b.is_ascii_digit()) && !is_name(&name) {
            return self.fail("subpattern name expected");
        }
        self.fancy = true;
        let numbered = name.bytes().all(|b| b.is_ascii_digit());
        let reference = match (call, numbered) {
            (true, _) => format!("(?:\\g<{name}>)"),
            (false, true) => format!("(?:\\{name})"),
            (false, false) => format!("(?:\\k<{name}>)"),
        };
        self.atom(&reference);
        Ok(())
    }

    fn class(&mut self) -> Result<(), PatternError> {
        const MISSING: &str = "missing terminating ] for character class";
        let negated = self.take("^");
        let mut class = ByteClass::new();
        let mut first = true;
        loop {
            let Some(c) = self.next() else { return self.fail(MISSING) };
            if c == ']' && !first {
                break;
            }
            first = false;
            if c == '[' && self.named_class(&mut class)? {
                continue;
            }
            let Some(low) = self.class_member(c, &mut class)? else { continue };
            let range = self.rest().starts_with('-') && !self.rest().starts_with("-]");
            if !range {
                insert_value(&mut class, low);
                continue;
            }
            self.at += 1;
            let Some(c) = self.next() else { return self.fail(MISSING) };
            let Some(high) = self.class_member(c, &mut class)? else {
                insert_value(&mut class, low);
                class.insert(b'-');
                continue;
            };
            if low > high {
                return self.fail("range out of order in character class");
            }
            (low..=high.min(0xff)).for_each(|value| insert_value(&mut class, value));
        }
        if self.flags.ignore_case {
            class.fold();
        }
        if negated {
            class.negate();
        }
        self.atom("");
        class.push_to(&mut self.out);
        Ok(())
    }

    /// `[:alpha:]`, behind its first bracket.
    fn named_class(&mut self, class: &mut ByteClass) -> Result<bool, PatternError> {
        let Some((name, _)) = self.rest().strip_prefix(':').and_then(|rest| rest.split_once(":]")) else {
            return Ok(false);
        };
        if !name.bytes().all(|b| b.is_ascii_alphabetic() || b == b'^') {
            return Ok(false);
        }
        let (bare, negated) = name.strip_prefix('^').map_or((name, false), |bare| (bare, true));
        if !class.insert_named(bare, negated) {
            return self.fail("unknown POSIX class name");
        }
        self.at += name.len() + 3;
        Ok(true)
    }

    /// One member of a class, or `None` when it was a class itself.
    fn class_member(&mut self, c: char, class: &mut ByteClass) -> Result<Option<u32>, PatternError> {
        if c != '\\' {
            if !c.is_ascii() {
                class.insert_char(c);
                return Ok(None);
            }
            return Ok(Some(u32::from(c)));
        }
        let Some(c) = self.next() else { return self.fail("\\ at end of pattern") };
        match c {
            'b' => Ok(Some(8)),
            'E' | 'Q' => Ok(None),
            '1'..='7' => {
                self.at -= 1;
                Ok(Some(self.digits(8, 3) & 0xff))
            }
            c if insert_class(class, c) => Ok(None),
            c => self.character(c).map(Some),
        }
    }
}

/// `\d \D \w …`; false for what is no class.
fn insert_class(class: &mut ByteClass, c: char) -> bool {
    let name = match c.to_ascii_lowercase() {
        'd' => "digit",
        'w' => "word",
        's' => "space",
        'h' => {
            class.insert_where(|b| matches!(b, b' ' | b'\t' | 0xa0) != c.is_ascii_uppercase());
            return true;
        }
        'v' => {
            class.insert_where(|b| matches!(b, 0x0a..=0x0d | 0x85) != c.is_ascii_uppercase());
            return true;
        }
        _ => return false,
    };
    class.insert_named(name, c.is_ascii_uppercase())
}

fn insert_value(class: &mut ByteClass, value: u32) {
    match (u8::try_from(value), char::from_u32(value)) {
        (Ok(byte), _) => class.insert(byte),
        (Err(_), Some(c)) => class.insert_char(c),
        (Err(_), None) => {}
    }
}

fn is_name(name: &str) -> bool {
    name.len() <= 32
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
        && name.bytes().next().is_some_and(|b| !b.is_ascii_digit())
}
