//! The pieces of a header's value: white space and comments, keywords, values with or without quotes.

/// What is left of a text.
pub(super) struct Scanner<'t>(&'t str);

impl<'t> Scanner<'t> {
    pub(super) const fn new(text: &'t str) -> Scanner<'t> {
        Scanner(text)
    }

    pub(super) const fn is_at_end(&self) -> bool {
        self.0.is_empty()
    }

    /// At the end, or where the next result begins.
    pub(super) fn is_at_part_end(&self) -> bool {
        self.0.is_empty() || self.0.starts_with(';')
    }

    pub(super) fn take(&mut self, c: char) -> bool {
        let rest = self.0.strip_prefix(c);
        self.0 = rest.unwrap_or(self.0);
        rest.is_some()
    }

    /// Passes white space and comments over; `None` where a comment has no end.
    pub(super) fn skip_blanks(&mut self) -> Option<()> {
        loop {
            self.0 = self.0.trim_start_matches(is_blank);
            if !self.0.starts_with('(') {
                return Some(());
            }
            let end = comment_end(self.0)?;
            self.0 = self.0.get(end..)?;
        }
    }

    /// An equals sign with what may stand around it.
    pub(super) fn equals(&mut self) -> Option<&mut Self> {
        self.skip_blanks()?;
        if !self.take('=') {
            return None;
        }
        self.skip_blanks()?;
        Some(self)
    }

    pub(super) fn digits(&mut self) -> &'t str {
        self.cut(|c| c.is_ascii_digit())
    }

    /// Letters, digits, hyphens and underscores, in lower case.
    pub(super) fn keyword(&mut self) -> Option<String> {
        let word = self.cut(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'));
        (!word.is_empty()).then(|| word.to_ascii_lowercase())
    }

    /// What stands before a blank, a comment or the next result, with quoted strings in it; `None` where one of these
    /// has no end.
    pub(super) fn value(&mut self) -> Option<String> {
        let mut value = String::new();
        loop {
            value.push_str(self.cut(|c| !is_blank(c) && !matches!(c, '(' | ';' | '"')));
            if !self.take('"') {
                return Some(value);
            }
            let mut chars = self.0.char_indices();
            loop {
                match chars.next()?.1 {
                    '"' => break,
                    '\\' => value.push(chars.next()?.1),
                    '\r' | '\n' => {}
                    c => value.push(c),
                }
            }
            self.0 = chars.as_str();
        }
    }

    fn cut(&mut self, fits: impl Fn(char) -> bool) -> &'t str {
        let end = self.0.find(|c| !fits(c)).unwrap_or(self.0.len());
        let (piece, rest) = self.0.split_at_checked(end).unwrap_or((self.0, ""));
        self.0 = rest;
        piece
    }
}

const fn is_blank(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\r' | '\n')
}

/// Behind the comment that `text` begins with.
fn comment_end(text: &str) -> Option<usize> {
    let mut depth = 0_usize;
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '(' => depth += 1,
            ')' if depth <= 1 => return Some(at + 1),
            ')' => depth -= 1,
            '\\' => {
                chars.next()?;
            }
            _ => {}
        }
    }
    None
}

/// What stands before the first semicolon, without comments, quotes and line ends.
pub(super) fn id_without_comments(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    let mut is_quoted = false;
    while let Some(c) = rest.chars().next() {
        let mut length = c.len_utf8();
        match c {
            ';' if !is_quoted => break,
            '(' if !is_quoted => match comment_end(rest) {
                Some(end) => length = end,
                None => break,
            },
            '"' => is_quoted = !is_quoted,
            '\\' | '\r' | '\n' => {}
            c => out.push(c),
        }
        rest = rest.get(length..).unwrap_or_default();
    }
    out
}
