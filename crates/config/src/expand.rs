//! `$name`, `${name?…}`, `${{a} == {b} ? {c} : {d}}` and their kin, with places.
//!
//! The names' values come from a `Scope`; nothing here knows what a parameter is. Nesting is bounded as in
//! Postfix (100), and so is the result (Postfix doesn't, and runs out of memory).
//! Diagnostics: K0110 bad syntax, K0111 a cycle or too deep, K0112 too long, K0113 no such name,
//! K0114 operands that can't be compared, K0115 no such function.

use crate::level::Level;
use crate::traced::{Link, Traced, Trail};
use crate::{Diagnostic, Place};
use std::borrow::Cow;
use std::cmp::Ordering;
use std::ops::Range;

/// Deeper nesting is refused, as in Postfix.
const MAX_DEPTH: usize = 100;
/// A longer result is refused.
const MAX_LENGTH: usize = 1 << 20;
/// More references in one value are refused.
const MAX_REFERENCES: usize = 2_000;

/// Where the values of names come from.
pub(crate) trait Scope {
    /// The value of `name` as written, or `None` when nobody defines it.
    fn value(&self, name: &str) -> Option<Cow<'_, Traced>>;

    /// Whether the value of `name` stands as it is, `$` and all.
    fn is_raw(&self, _name: &str) -> bool {
        false
    }

    /// The parameter whose value the text is.
    fn begins_in(&self) -> Option<&str> {
        None
    }
}

/// Replaces all references in `text`. What is wrong is told, and ends the replacing there.
pub(crate) fn expand(text: &Traced, scope: &dyn Scope) -> (Traced, Vec<Diagnostic>) {
    let names = scope.begins_in().map(str::to_owned).into_iter().collect();
    let mut run = Run { scope, found: Vec::new(), names, references: 0, depth: 0, written: 0 };
    let mut out = Traced::default();
    let whole = 0..text.as_str().len();
    if let Err(Stop(diagnostic)) = run.range(Source { text, outer: &None }, whole, &mut out) {
        run.found.push(*diagnostic);
    }
    (out, run.found)
}

/// The names that `text` refers to, in whichever branch of a condition.
pub(crate) fn names(text: &str) -> impl Iterator<Item = &str> {
    text.split('$').skip(1).filter_map(|rest| {
        let inner = rest.trim_start_matches(['{', '(']).trim_start();
        inner.get(..name_length(inner)).filter(|name| !name.is_empty())
    })
}

/// Why replacing ended early.
struct Stop(Box<Diagnostic>);

type Outcome<T> = Result<T, Stop>;

/// The text being read, and the references that led to it.
#[derive(Clone, Copy)]
struct Source<'a> {
    text: &'a Traced,
    outer: &'a Trail,
}

struct Run<'a> {
    scope: &'a dyn Scope,
    found: Vec<Diagnostic>,
    /// The names whose values are being read now, outermost first.
    names: Vec<String>,
    references: usize,
    /// How deep references and braces stand in each other now.
    depth: usize,
    /// Bytes written so far, operands of comparisons among them.
    written: usize,
}

impl Source<'_> {
    fn str(&self, range: Range<usize>) -> &str {
        self.text.as_str().get(range).unwrap_or("")
    }

    /// What leads to a value that is referred to in `range`.
    fn link(&self, range: Range<usize>) -> Trail {
        let (place, inner) = self.text.first_stretch(range);
        debug_assert!(inner.is_none(), "values are read as written");
        Link::to(place, self.outer)
    }

    /// Where an administrator would look: the writing, or the innermost reference to it that stands in a file.
    fn place(&self, range: Range<usize>) -> Place {
        let written = self.text.place(range);
        if written.file.is_some() {
            return written;
        }
        Link::places(self.outer).find(|place| place.file.is_some()).cloned().unwrap_or(written)
    }

    fn stop(&self, code: u16, range: Range<usize>, message: String, help: &str) -> Stop {
        Stop(Box::new(Diagnostic::error(code, self.place(range), message).help(help)))
    }
}

impl Run<'_> {
    fn range(&mut self, source: Source<'_>, range: Range<usize>, out: &mut Traced) -> Outcome<()> {
        if self.depth > MAX_DEPTH {
            let shown: String = source.str(range.clone()).chars().take(40).collect();
            let message = format!("unreasonable macro call nesting: \"{shown}\"");
            return Err(source.stop(111, range, message, "references nest at most 100 deep"));
        }
        self.depth += 1;
        let outcome = self.stretch(source, range, out);
        self.depth -= 1;
        outcome
    }

    fn stretch(&mut self, source: Source<'_>, range: Range<usize>, out: &mut Traced) -> Outcome<()> {
        let mut at = range.start;
        while at < range.end {
            let rest = source.str(at..range.end);
            let plain = rest.find('$').unwrap_or(rest.len());
            if plain > 0 {
                self.count(source, at..at + plain)?;
                out.push_range(source.text, at..at + plain, source.outer);
                at += plain;
                continue;
            }
            at = self.reference(source, at..range.end, out)?;
        }
        Ok(())
    }

    /// Reads what begins with `$` at `range.start`; gives where it ends.
    fn reference(&mut self, source: Source<'_>, range: Range<usize>, out: &mut Traced) -> Outcome<usize> {
        let start = range.start;
        self.references += 1;
        if self.references > MAX_REFERENCES {
            let message = format!("more than {MAX_REFERENCES} references in one value");
            return Err(source.stop(112, range, message, "write it without so much nesting"));
        }
        let body = start + 1;
        match source.str(body..range.end).bytes().next() {
            Some(b'$') => {
                out.push("$", source.text.place(start..start + 2), source.outer.clone());
                Ok(start + 2)
            }
            Some(open @ (b'{' | b'(')) => {
                let close = if open == b'{' { b'}' } else { b')' };
                let Some(length) = matching(source.str(body..range.end), open, close) else {
                    let shown = source.text.as_str();
                    let help = "close it; for a single `$` write `$$`";
                    return Err(source.stop(
                        110,
                        start..range.end,
                        format!("truncated macro reference: \"{shown}\""),
                        help,
                    ));
                };
                let end = body + length;
                self.bracketed(source, start..end, body + 1..end - 1, out)?;
                Ok(end)
            }
            _ => {
                let length = name_length(source.str(body..range.end));
                if length == 0 {
                    let shown = source.text.as_str();
                    let help = "write a name after `$`; for a single `$` write `$$`";
                    return Err(source.stop(
                        110,
                        start..body,
                        format!("empty macro name: \"{shown}\""),
                        help,
                    ));
                }
                let name = source.str(body..body + length).to_owned();
                self.value(source, start..body + length, &name, out)?;
                Ok(body + length)
            }
        }
    }

    /// `${…}`: `whole` with the `$` and brackets, `inner` without.
    fn bracketed(
        &mut self,
        source: Source<'_>,
        whole: Range<usize>,
        inner: Range<usize>,
        out: &mut Traced,
    ) -> Outcome<()> {
        let at = skip_space(source, inner.clone());
        if source.str(at..inner.end).starts_with('{') {
            let (holds, after) = self.relation(source, at..inner.end)?;
            return self.branches(
                source,
                Choice { whole, rest: after..inner.end, holds, relation: true },
                out,
            );
        }
        let length = name_length(source.str(at..inner.end));
        let after = skip_space(source, at + length..inner.end);
        let name = source.str(at..at + length).to_owned();
        let rest = source.str(after..inner.end);
        if length == 0 && rest.is_empty() {
            let shown = source.text.as_str();
            return Err(source.stop(
                110,
                whole,
                format!("empty macro name: \"{shown}\""),
                "write a name between the brackets",
            ));
        }
        if length > 0 && rest.is_empty() {
            return self.value(source, whole, &name, out);
        }
        if length > 0 && rest.starts_with(['?', ':']) {
            let holds = self.scope.value(&name).is_some_and(|value| !value.is_empty());
            return self.branches(
                source,
                Choice { whole, rest: after..inner.end, holds, relation: false },
                out,
            );
        }
        if length > 0 && rest.starts_with('{') {
            return self.function(source, &name, after..inner.end, out);
        }
        let rest = source.str(at + length..inner.end);
        Err(source.stop(
            110,
            after..inner.end,
            format!("attribute name syntax error at: \"...{name}>>>{rest}\""),
            "a name has letters, digits and `_` only; write `${name}`, `${name?text}` or `${name:text}`",
        ))
    }

    /// `${function{argument}}`, Postfix 3.11's.
    fn function(
        &mut self,
        source: Source<'_>,
        name: &str,
        range: Range<usize>,
        out: &mut Traced,
    ) -> Outcome<()> {
        let (argument, after) = braced(source, range.clone())?;
        if name != "domain_to_ascii" || skip_space(source, after..range.end) < range.end {
            let message = format!("`{name}{{…}}` is no function");
            return Err(source.stop(115, range, message, "the one function is `${domain_to_ascii{domain}}`"));
        }
        let mut value = Traced::default();
        self.range(source, argument, &mut value)?;
        let value = value.trim();
        let (place, outer) = value.first_stretch(0..value.as_str().len());
        out.push(&mail_domain_to_ascii(value.as_str()), place, outer);
        Ok(())
    }

    /// `{a} == {b}`: whether it holds, and where it ends.
    fn relation(&mut self, source: Source<'_>, range: Range<usize>) -> Outcome<(bool, usize)> {
        let (left, after) = braced(source, range.clone())?;
        let at = skip_space(source, after..range.end);
        let Some((operator, length)) = operator(source.str(at..range.end)) else {
            let rest = source.str(after..range.end);
            let shown = format!("\"...{}}}>>>{rest}\"", source.str(left));
            let message =
                format!("\"==\" or \"!=\" or \"<\" or \"<=\" or \">=\" or \">\" expected at: {shown}");
            return Err(source.stop(
                110,
                at..range.end,
                message,
                "write `${{left} == {right} ? {yes} : {no}}`",
            ));
        };
        let at = skip_space(source, at + length..range.end);
        let (right, end) = braced(source, at..range.end)?;
        let (mut a, mut b) = (Traced::default(), Traced::default());
        self.range(source, left.clone(), &mut a)?;
        self.range(source, right.clone(), &mut b)?;
        match operator.holds(a.as_str(), b.as_str()) {
            Ok(holds) => Ok((holds, skip_space(source, end..range.end))),
            Err(operand) => Err(source.stop(
                114,
                left.start..right.end,
                format!("`{operand}` can't be compared"),
                "write numbers of up to 18 digits; for `<level` and its kin, levels such as 2 or 3.6",
            )),
        }
    }

    /// What follows a condition: `?text`, `:text`, `?{a}:{b}`, `?{a}:b` or, after a relation, nothing.
    fn branches(&mut self, source: Source<'_>, choice: Choice, out: &mut Traced) -> Outcome<()> {
        let Choice { whole, rest, holds, relation } = choice;
        let Some(sign) = source.str(rest.clone()).bytes().next() else {
            if relation && holds {
                out.push("true", source.text.place(whole), source.outer.clone());
            }
            return Ok(());
        };
        if !matches!(sign, b'?' | b':') {
            let shown = source.str(rest.clone()).to_owned();
            let message = format!("\"?\" or \":\" expected at: \"...}}>>>{shown}\"");
            return Err(source.stop(110, rest, message, "write `? {yes} : {no}` after the comparison"));
        }
        let wanted = holds == (sign == b'?');
        let text = rest.start + 1..rest.end;
        let brace = skip_space(source, text.clone());
        if !source.str(brace..text.end).starts_with('{') {
            return if wanted { self.range(source, text, out) } else { Ok(()) };
        }
        let (first, after) = braced(source, brace..text.end)?;
        let after = skip_space(source, after..text.end);
        let other = self.alternative(source, sign, first.clone(), after..text.end)?;
        match (wanted, other) {
            (true, _) => self.range(source, first, out),
            (false, Some(other)) => self.range(source, other, out),
            (false, None) => Ok(()),
        }
    }

    /// Behind `?{…}`: nothing, `:{…}` or `:…`.
    fn alternative(
        &self,
        source: Source<'_>,
        sign: u8,
        first: Range<usize>,
        rest: Range<usize>,
    ) -> Outcome<Option<Range<usize>>> {
        let unexpected = |expected: &str, before: Range<usize>, at: Range<usize>| {
            let message =
                format!("{expected} at: \"...{}}}>>>{}\"", source.str(before), source.str(at.clone()));
            Err(source.stop(
                110,
                at,
                message,
                "put the whole text into the braces, or write `? {yes} : {no}`",
            ))
        };
        if rest.is_empty() {
            return Ok(None);
        }
        if sign == b':' {
            return unexpected("unexpected input", first, rest);
        }
        if !source.str(rest.clone()).starts_with(':') {
            return unexpected("\":\" expected", first, rest);
        }
        let text = rest.start + 1..rest.end;
        let brace = skip_space(source, text.clone());
        if !source.str(brace..text.end).starts_with('{') {
            return Ok(Some(text));
        }
        let (second, after) = braced(source, brace..text.end)?;
        let after = skip_space(source, after..text.end);
        if after < text.end {
            return unexpected("unexpected input", second, after..text.end);
        }
        Ok(Some(second))
    }

    /// The value of `name`, itself replaced.
    fn value(
        &mut self,
        source: Source<'_>,
        whole: Range<usize>,
        name: &str,
        out: &mut Traced,
    ) -> Outcome<()> {
        let Some(value) = self.scope.value(name) else {
            self.found.push(
                Diagnostic::warning(113, source.place(whole), format!("undefined parameter: {name}"))
                    .help("it stands for nothing; define it, or delete the reference"),
            );
            return Ok(());
        };
        if self.names.iter().any(|open| open == name) {
            let path: Vec<&str> = self.names.iter().map(String::as_str).chain([name]).collect();
            let message = format!("{name} refers to itself: {}", path.join(" → "));
            return Err(source.stop(111, whole, message, "give one of them a value without a reference"));
        }
        let outer = source.link(whole.clone());
        if self.scope.is_raw(name) {
            self.count(source, whole.start..whole.start.saturating_add(value.as_str().len()))?;
            out.push_range(&value, 0..value.as_str().len(), &outer);
            return Ok(());
        }
        self.names.push(name.to_owned());
        let length = value.as_str().len();
        let outcome = self.range(Source { text: &value, outer: &outer }, 0..length, out);
        self.names.pop();
        outcome
    }

    fn count(&mut self, source: Source<'_>, range: Range<usize>) -> Outcome<()> {
        self.written += range.len();
        if self.written <= MAX_LENGTH {
            return Ok(());
        }
        let message =
            format!("the value is longer than {MAX_LENGTH} bytes after its references are replaced");
        Err(source.stop(112, range, message, "write it without so much nesting"))
    }
}

/// A condition and what hangs on it.
struct Choice {
    whole: Range<usize>,
    rest: Range<usize>,
    holds: bool,
    /// Whether it is a comparison, which may stand alone.
    relation: bool,
}

/// `{…}` at `range.start`: what is inside, and where it ends.
fn braced(source: Source<'_>, range: Range<usize>) -> Outcome<(Range<usize>, usize)> {
    let text = source.str(range.clone());
    if text.starts_with('{')
        && let Some(length) = matching(text, b'{', b'}')
    {
        return Ok((range.start + 1..range.start + length - 1, range.start + length));
    }
    let shown = text.to_owned();
    let message = if text.starts_with('{') {
        format!("truncated macro reference: \"{shown}\"")
    } else {
        format!("\"{{\" expected at: \">>>{shown}\"")
    };
    Err(source.stop(110, range, message, "write both sides in braces: `{left} == {right}`"))
}

/// The length of the bracketed text at the start of `text`, brackets included.
fn matching(text: &str, open: u8, close: u8) -> Option<usize> {
    let mut depth = 0_usize;
    for (at, byte) in text.bytes().enumerate() {
        if byte == open {
            depth += 1;
        } else if byte == close {
            depth = depth.checked_sub(1)?;
            if depth == 0 {
                return Some(at + 1);
            }
        }
    }
    None
}

fn name_length(text: &str) -> usize {
    text.bytes().take_while(|b| b.is_ascii_alphanumeric() || *b == b'_').count()
}

fn skip_space(source: Source<'_>, range: Range<usize>) -> usize {
    let text = source.str(range.clone());
    range.start + (text.len() - text.trim_start().len())
}

#[derive(Clone, Copy)]
struct Operator {
    holds: fn(Ordering) -> bool,
    level: bool,
}

impl Operator {
    /// Whether it holds between `a` and `b`, or the operand that can't be read.
    fn holds<'a>(self, a: &'a str, b: &'a str) -> Result<bool, &'a str> {
        let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let ordering = if self.level {
            Level::parse(a).ok_or(a)?.cmp(&Level::parse(b).ok_or(b)?)
        } else if digits(a) && digits(b) {
            let number = |text: &'a str| text.parse::<i64>().map_err(|_| text);
            number(a)?.cmp(&number(b)?)
        } else {
            a.cmp(b)
        };
        Ok((self.holds)(ordering))
    }
}

/// The operator at the start of `text`, and its length.
fn operator(text: &str) -> Option<(Operator, usize)> {
    type Row = (&'static str, fn(Ordering) -> bool);
    const OPERATORS: [Row; 6] = [
        ("==", Ordering::is_eq),
        ("!=", Ordering::is_ne),
        ("<=", Ordering::is_le),
        (">=", Ordering::is_ge),
        ("<", Ordering::is_lt),
        (">", Ordering::is_gt),
    ];
    let (sign, holds) = OPERATORS.into_iter().find(|(sign, _)| text.starts_with(sign))?;
    let rest = text.get(sign.len()..)?;
    let level = rest.starts_with("level");
    let length = sign.len() + if level { "level".len() } else { 0 };
    Some((Operator { holds, level }, length))
}

/// ASCII stays as it is; the conversion of other domains needs IDNA tables, which this crate doesn't carry.
fn mail_domain_to_ascii(domain: &str) -> String {
    domain.to_ascii_lowercase()
}
