//! Expressions with conditions and look-ahead as regular ones with marks.
//!
//! `(?(name)a|b)` becomes a choice whose branches begin with a mark, and `(?=…)`, `(?!…)` become a mark and an
//! expression of their own: whoever walks the automaton knows what passing a mark means. It works on the translator's
//! output. What it doesn't know (look-behind, references, atomic groups) gives nothing.

/// What passing a mark means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Mark {
    /// Only where the group took part.
    With(String),
    /// Only where it didn't.
    Without(String),
    /// What follows must match the expression of this number.
    Ahead(usize),
    /// What follows must not.
    NotAhead(usize),
}

/// An expression without look-ahead and conditions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Rewritten {
    pub(super) text: String,
    /// By number; the group of a mark is called [`mark_name`].
    pub(super) marks: Vec<Mark>,
    /// What is looked ahead for.
    pub(super) looks: Vec<String>,
}

/// What the group of a mark is called.
pub(super) fn mark_name(number: usize) -> String {
    format!("komainu_mark_{number}")
}

/// How a group that is open goes on.
#[derive(Clone, Debug, Default)]
struct Open {
    /// Flags that were switched within it.
    flags: String,
    kind: Kind,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
enum Kind {
    #[default]
    Plain,
    /// In the first branch of a condition.
    First(String),
    /// In the second.
    Second,
}

struct Reader<'p> {
    rest: &'p str,
    out: Rewritten,
    open: Vec<Open>,
    /// What is looked ahead for has no groups of its own to tell of, nor does it look ahead itself.
    is_look: bool,
}

pub(super) fn rewritten(text: &str) -> Option<Rewritten> {
    read(text, false)
}

fn read(text: &str, is_look: bool) -> Option<Rewritten> {
    let mut reader = Reader { rest: text, out: Rewritten::default(), open: vec![Open::default()], is_look };
    while !reader.rest.is_empty() {
        reader.item()?;
    }
    (reader.open.len() == 1).then_some(reader.out)
}

impl<'p> Reader<'p> {
    fn piece(&mut self, length: usize) -> Option<&'p str> {
        let (piece, rest) = self.rest.split_at_checked(length)?;
        self.rest = rest;
        Some(piece)
    }

    fn take(&mut self, what: &str) -> bool {
        match self.rest.strip_prefix(what) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn copy(&mut self, length: usize) -> Option<()> {
        let piece = self.piece(length)?;
        self.out.text.push_str(piece);
        Some(())
    }

    fn item(&mut self) -> Option<()> {
        match self.rest.chars().next()? {
            '(' => self.group(),
            ')' => {
                self.piece(1)?;
                let open = self.open.pop().filter(|_| !self.open.is_empty())?;
                if let Kind::First(name) = open.kind {
                    self.out.text.push('|');
                    self.mark(Mark::Without(name));
                }
                self.out.text.push(')');
                Some(())
            }
            '|' => {
                self.piece(1)?;
                self.out.text.push('|');
                let kind = self.open.last_mut().map(|open| &mut open.kind)?;
                match std::mem::take(kind) {
                    Kind::Plain => {}
                    Kind::First(name) => {
                        *kind = Kind::Second;
                        self.mark(Mark::Without(name));
                    }
                    Kind::Second => return None,
                }
                Some(())
            }
            '\\' => self.escape(),
            '[' => self.copy(self.rest.find(']')? + 1),
            repetition @ ('*' | '+' | '?' | '}') => {
                self.piece(1)?;
                self.out.text.push(repetition);
                // Possessive.
                (!self.rest.starts_with('+')).then_some(())
            }
            c => self.copy(c.len_utf8()),
        }
    }

    fn escape(&mut self) -> Option<()> {
        let length = match self.rest.as_bytes().get(1)? {
            b'x' => 4,
            b'b' if self.rest.starts_with("\\b{") => return None,
            b'k' | b'g' | b'K' | b'G' | b'Q' | b'E' | b'0'..=b'9' => return None,
            _ => 1 + self.rest.chars().nth(1)?.len_utf8(),
        };
        self.copy(length)
    }

    fn mark(&mut self, mark: Mark) {
        let name = mark_name(self.out.marks.len());
        self.out.marks.push(mark);
        self.out.text.push_str("(?P<");
        self.out.text.push_str(&name);
        self.out.text.push_str(">)");
    }

    fn flags(&self) -> String {
        self.open.iter().map(|open| open.flags.as_str()).collect()
    }

    fn group(&mut self) -> Option<()> {
        for (begin, is_wanted) in [("(?=", true), ("(?!", false)] {
            if self.take(begin) {
                if self.is_look {
                    return None;
                }
                let inner = self.up_to_end()?;
                // Groups in what must follow would have to be told of.
                if is_wanted && inner.contains("(?P<") {
                    return None;
                }
                let look = read(inner, true).filter(|look| look.marks.is_empty())?;
                let number = self.out.looks.len();
                self.out.looks.push(format!("{}(?:{})", self.flags(), look.text));
                self.mark(if is_wanted { Mark::Ahead(number) } else { Mark::NotAhead(number) });
                return Some(());
            }
        }
        if self.take("(?(<") {
            let (name, rest) = self.rest.split_once(">)").filter(|_| !self.is_look)?;
            self.rest = rest;
            self.out.text.push_str("(?:");
            self.mark(Mark::With(name.to_owned()));
            self.open.push(Open { flags: String::new(), kind: Kind::First(name.to_owned()) });
            return Some(());
        }
        if !self.take("(?") {
            self.piece(1)?;
            self.out.text.push_str("(?:");
            self.open.push(Open::default());
            return Some(());
        }
        if self.rest.starts_with(['<', '>', '(', '#', '\'']) {
            return None;
        }
        let head = self.piece(self.rest.find([':', ')', '>'])? + 1)?;
        let mut open = Open::default();
        match head.strip_suffix(')') {
            Some(flags) => {
                if flags.contains(['x', 'U', 'R']) {
                    return None;
                }
                let written = format!("(?{flags})");
                self.out.text.push_str(&written);
                self.open.last_mut()?.flags.push_str(&written);
                return Some(());
            }
            None if head.ends_with(':') => {
                let flags = head.trim_end_matches(':');
                if flags.contains(['x', 'U', 'R']) {
                    return None;
                }
                if !flags.is_empty() {
                    open.flags = format!("(?{flags})");
                }
                self.out.text.push_str("(?");
                self.out.text.push_str(head);
            }
            None if self.is_look => self.out.text.push_str("(?:"),
            None if head.starts_with("P<") => {
                self.out.text.push_str("(?");
                self.out.text.push_str(head);
            }
            None => return None,
        }
        self.open.push(open);
        Some(())
    }

    /// What stands up to the end of this group, which is left.
    fn up_to_end(&mut self) -> Option<&'p str> {
        let whole = self.rest;
        let mut depth = 1_usize;
        loop {
            let length = match self.rest.chars().next()? {
                '\\' => 1 + self.rest.chars().nth(1)?.len_utf8(),
                '[' => self.rest.find(']')? + 1,
                c => {
                    depth = match c {
                        '(' => depth + 1,
                        ')' => depth - 1,
                        _ => depth,
                    };
                    c.len_utf8()
                }
            };
            if depth == 0 {
                let inner = whole.get(..whole.len() - self.rest.len())?;
                self.piece(1)?;
                return Some(inner);
            }
            self.piece(length)?;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expect: &str, marks: &[Mark], looks: &[&str]) {
        let found = rewritten(text).unwrap_or_else(|| panic!("{text}"));
        let plain = found.text.replace("(?P<komainu_mark_", "(#").replace(">)", ")");
        assert_eq!((plain.as_str(), found.marks.as_slice()), (expect, marks), "{text}");
        assert_eq!(found.looks, looks, "{text}");
    }

    #[test]
    fn conditions_and_look_ahead() {
        check(r"a(b|\))[(|]{2,3}?$", r"a(?:b|\))[(|]{2,3}?$", &[], &[]);
        check("(?P<a>x)?(?(<a>)y|z)w", "(?P<a>x)?(?:(#0)y|(#1)z)w", &[with("a"), without("a")], &[]);
        check("(?(<a>)y)", "(?:(#0)y|(#1))", &[with("a"), without("a")], &[]);
        check("(?:(?! from ).)*?", "(?:(#0).)*?", &[Mark::NotAhead(0)], &["(?: from )"]);
        check("x(?i)y(?=(a|b)[)]c)d", "x(?i)y(#0)d", &[Mark::Ahead(0)], &["(?i)(?:(?:a|b)[)]c)"]);
        check("((?i)y)(?!a)d", "(?:(?i)y)(#0)d", &[Mark::NotAhead(0)], &["(?:a)"]);
    }

    fn with(name: &str) -> Mark {
        Mark::With(name.to_owned())
    }

    fn without(name: &str) -> Mark {
        Mark::Without(name.to_owned())
    }

    #[test]
    fn what_is_not_regular() {
        for text in [
            "(?<=a)b",
            "(?<!a)b",
            "(?>a)",
            "a++",
            "a{2}+",
            r"(a)\1",
            r"(?:\k<a>)",
            "(?=(?P<a>b))",
            "(?=a(?!b))",
            "(?(<a>)b|c|d)",
            "(?x) a",
            "(?(1)a|b)",
            "a)",
            "(a",
        ] {
            assert_eq!(rewritten(text), None, "{text}");
        }
    }
}
