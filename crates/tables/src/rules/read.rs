//! The text of a `regexp:` or `pcre:` table, line by line.

use super::{Action, Rules, Step};
use crate::catalogue::Substitution;
use crate::pattern::{Pattern, PatternError, PerlFlags, PosixFlags};
use crate::source::notice::{LINE_ODD, LINE_SKIPPED};
use crate::source::{Line, Notice, Source, is_space};
use crate::template::{self, Fault};

/// Whose regular expressions a table has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Syntax {
    Posix,
    Perl,
}

struct Reading<'s> {
    source: &'s Source,
    syntax: Syntax,
    substitution: Substitution,
    title: String,
    steps: Vec<Step>,
    /// The open `if`s: their step and line.
    open: Vec<(usize, &'s Line<'s>)>,
    notices: Vec<Notice>,
}

/// Reads the table; `name` is what Postfix's warnings call it.
pub(crate) fn parse(
    source: &Source,
    name: &str,
    (syntax, substitution): (Syntax, Substitution),
) -> (Rules, Vec<Notice>) {
    let (lines, notices) = source.lines();
    let title = match syntax {
        Syntax::Posix => format!("regexp map {name}"),
        Syntax::Perl => format!("pcre map {name}"),
    };
    let (steps, open) = (Vec::new(), Vec::new());
    let mut reading = Reading { source, syntax, substitution, title, steps, open, notices };
    for line in &lines {
        reading.line(line);
    }
    reading.finish();
    (Rules::new(reading.steps), reading.notices)
}

impl<'s> Reading<'s> {
    fn notice(&mut self, code: u16, line: &Line<'_>, text: impl Into<String>) {
        let place = self.source.place(line);
        self.notices.push(Notice::line(code, place, &self.title, line.number, text.into()));
    }

    fn skip(&mut self, line: &Line<'_>, text: impl Into<String>) {
        self.notice(LINE_SKIPPED, line, text);
    }

    fn finish(&mut self) {
        let end = self.steps.len();
        while let Some((step, line)) = self.open.pop() {
            self.skip(line, "IF has no matching ENDIF");
            self.close(step, end);
        }
    }

    fn close(&mut self, step: usize, behind: usize) {
        if let Some(Action::If(target)) = self.steps.get_mut(step).map(|step| &mut step.action) {
            *target = behind;
        }
    }

    fn line(&mut self, line: &'s Line<'s>) {
        let text = line.trimmed();
        if !text.starts_with(|c: char| c.is_ascii_alphanumeric()) {
            return self.rule(line, text);
        }
        if let Some(rest) = keyword(text, "if") {
            return self.condition(line, rest.trim_start_matches(is_space));
        }
        if let Some(rest) = keyword(text, "endif") {
            return self.endif(line, rest.trim_start_matches(is_space));
        }
        self.skip(line, "ignoring unrecognized request");
    }

    fn rule(&mut self, line: &'s Line<'s>, text: &str) {
        let Some(head) = self.head(line, text) else { return };
        let result = head.rest.trim_start_matches(is_space);
        if result.is_empty() {
            self.notice(LINE_ODD, line, "no replacement text: using empty string");
        }
        let wording = if self.syntax == Syntax::Posix { "out-of-range" } else { "out of range" };
        let parsed = template::parse(result, wording);
        if !parsed.faults.is_empty() {
            for fault in parsed.faults {
                match fault {
                    Fault::Placed(text) => self.skip(line, text),
                    Fault::Bare(text) => {
                        let place = self.source.place(line);
                        self.notices.push(Notice {
                            code: LINE_SKIPPED,
                            place,
                            text: text.clone(),
                            postfix: text,
                            help: None,
                        });
                    }
                }
            }
            return self.skip(line, "bad replacement syntax: skipping this rule");
        }
        if head.negated && parsed.highest > 0 {
            return self.skip(line, "$number found in negative match replacement text: skipping this rule");
        }
        if parsed.highest > 0 && self.substitution == Substitution::Refused {
            return self.skip(line, "regular expression substitution is not allowed: skipping this rule");
        }
        let Some(pattern) = self.compile(line, &head) else { return };
        if parsed.highest > pattern.group_count() {
            let text = format!("out of range replacement index \"{}\": skipping this rule", parsed.highest);
            return self.skip(line, text);
        }
        self.push(line, pattern, head.negated, Action::Result(parsed.template));
    }

    fn condition(&mut self, line: &'s Line<'s>, text: &str) {
        let Some(head) = self.head(line, text) else { return };
        let rest = head.rest.trim_start_matches(is_space);
        if !rest.is_empty() {
            self.notice(LINE_ODD, line, format!("ignoring extra text after IF statement: \"{rest}\""));
            self.notice(LINE_ODD, line, "do not prepend whitespace to statements between IF and ENDIF");
        }
        let Some(pattern) = self.compile(line, &head) else { return };
        self.open.push((self.steps.len(), line));
        self.push(line, pattern, head.negated, Action::If(usize::MAX));
    }

    fn endif(&mut self, line: &Line<'_>, rest: &str) {
        if !rest.is_empty() {
            self.notice(LINE_ODD, line, "ignoring extra text after ENDIF");
        }
        match self.open.pop() {
            Some((step, _)) => self.close(step, self.steps.len()),
            None => self.skip(line, "ignoring ENDIF without matching IF"),
        }
    }

    fn push(&mut self, line: &Line<'_>, pattern: Pattern, negated: bool, action: Action) {
        self.steps.push(Step { pattern, negated, action, around: None, start: line.start, end: line.end });
    }

    /// `!/pattern/flags`, and the rest of the line.
    fn head<'t>(&mut self, line: &Line<'_>, text: &'t str) -> Option<Head<'t>> {
        let mut text = text;
        let mut negated = false;
        while let Some(rest) = text.strip_prefix('!') {
            negated = !negated;
            text = rest.trim_start_matches(is_space);
        }
        let Some(delimiter) = text.chars().next() else {
            self.skip(line, "no regexp: skipping this rule");
            return None;
        };
        let body = text.get(delimiter.len_utf8()..).unwrap_or("");
        let Some(end) = closing(body, delimiter) else {
            let verb = if self.syntax == Syntax::Posix { "skipping" } else { "ignoring" };
            self.skip(line, format!("no closing regexp delimiter \"{delimiter}\": {verb} this rule"));
            return None;
        };
        let behind = body.get(end + delimiter.len_utf8()..).unwrap_or("");
        let length = behind.find(is_space).unwrap_or(behind.len());
        let (flags, rest) = behind.split_at_checked(length)?;
        let flags = match self.syntax {
            Syntax::Posix => posix_flags(flags).map(Flags::Posix),
            Syntax::Perl => perl_flags(flags).map(Flags::Perl),
        };
        let flags = match flags {
            Ok(flags) => flags,
            Err(flag) => {
                self.skip(line, format!("unknown regexp option \"{flag}\": skipping this rule"));
                return None;
            }
        };
        Some(Head { negated, pattern: body.get(..end).unwrap_or(""), flags, rest })
    }

    fn compile(&mut self, line: &Line<'_>, head: &Head<'_>) -> Option<Pattern> {
        let compiled = match head.flags {
            Flags::Posix(flags) => Pattern::posix(head.pattern, flags),
            Flags::Perl(flags) => Pattern::perl(head.pattern, flags),
        };
        match compiled {
            Ok(pattern) => return Some(pattern),
            Err(PatternError { reason, offset: Some(at) }) if self.syntax == Syntax::Perl => {
                self.skip(line, format!("error in regex at offset {at}: {reason}"));
            }
            Err(PatternError { reason, .. }) => self.skip(line, reason),
        }
        None
    }
}

/// A rule in its parts, as written.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Dissected<'t> {
    pub(crate) negated: bool,
    pub(crate) pattern: &'t str,
    pub(crate) flags: &'t str,
    pub(crate) result: &'t str,
}

/// Takes a rule apart; `None` for what is none.
pub(crate) fn dissect(text: &str) -> Option<Dissected<'_>> {
    let mut text = text;
    let mut negated = false;
    while let Some(rest) = text.strip_prefix('!') {
        negated = !negated;
        text = rest.trim_start_matches(is_space);
    }
    let delimiter = text.chars().next().filter(|c| !c.is_ascii_alphanumeric())?;
    let body = text.get(delimiter.len_utf8()..)?;
    let end = closing(body, delimiter)?;
    let behind = body.get(end + delimiter.len_utf8()..)?;
    let (flags, result) = behind.split_at_checked(behind.find(is_space).unwrap_or(behind.len()))?;
    if !flags.chars().all(|flag| "imsxAEUX".contains(flag)) {
        return None;
    }
    Some(Dissected { negated, pattern: body.get(..end)?, flags, result: result.trim_matches(is_space) })
}

/// What stands before a rule's result.
struct Head<'t> {
    negated: bool,
    pattern: &'t str,
    flags: Flags,
    rest: &'t str,
}

#[derive(Clone, Copy)]
enum Flags {
    Posix(PosixFlags),
    Perl(PerlFlags),
}

/// What follows the word `word`, in either case, where no letter or digit continues it.
fn keyword<'t>(text: &'t str, word: &str) -> Option<&'t str> {
    let (head, rest) = text.split_at_checked(word.len())?;
    let ends = !rest.starts_with(|c: char| c.is_ascii_alphanumeric());
    (head.eq_ignore_ascii_case(word) && ends).then_some(rest)
}

/// Where the delimiter stands that ends the pattern; a backslash protects what follows it.
fn closing(body: &str, delimiter: char) -> Option<usize> {
    let mut escaped = false;
    for (at, c) in body.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' if delimiter != '\\' => escaped = true,
            '\\' => return None,
            c if c == delimiter => return Some(at),
            _ => {}
        }
    }
    None
}

fn posix_flags(text: &str) -> Result<PosixFlags, char> {
    let mut flags = PosixFlags::default();
    for c in text.chars() {
        match c {
            'i' => flags.ignore_case ^= true,
            'm' => flags.multi_line ^= true,
            'x' => flags.extended ^= true,
            other => return Err(other),
        }
    }
    Ok(flags)
}

fn perl_flags(text: &str) -> Result<PerlFlags, char> {
    let mut flags = PerlFlags::default();
    for c in text.chars() {
        match c {
            'i' => flags.ignore_case ^= true,
            'm' => flags.multi_line ^= true,
            's' => flags.dot_all ^= true,
            'x' => flags.extended ^= true,
            'A' => flags.anchored ^= true,
            'E' => flags.dollar_end_only ^= true,
            'U' => flags.ungreedy ^= true,
            // PCRE's EXTRA: PCRE2 is always that strict.
            'X' => {}
            other => return Err(other),
        }
    }
    Ok(flags)
}
