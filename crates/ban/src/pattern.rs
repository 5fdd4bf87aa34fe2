//! Python's regular expressions, as filters are written in, on Rust's engines.
//!
//! What is regular runs in linear time; look-around, conditions and back-references run on a backtracking engine that
//! gives up after a number of steps, so no line can hang it. ASCII lines, nearly all, are matched byte by byte;
//! others by a second form of the same expression that knows Unicode, as Python's does. `<HOST>`, `<F-USER>` and the
//! like are put in here.

use regex_syntax::hir::{Class, Hir, HirKind};
use std::borrow::Cow;
use std::fmt::Write as _;
use std::sync::{Arc, OnceLock};

/// Steps that a backtracking expression may take on one text.
const BACKTRACK_LIMIT: usize = 20_000;
/// A step may look at all of a text, so a long one has fewer of them.
const LONG_BYTES: usize = 4 << 10;
const LONG_BACKTRACK_LIMIT: usize = 1_000;
/// Bytes that one compiled expression may take.
const COMPILED_BYTES_MAX: usize = 8 << 20;
/// Places of an expression that surely take no more than that.
const WEIGHT_MAX: usize = 20_000;
/// The longest expression.
const PATTERN_BYTES_MAX: usize = 128 << 10;

const IP4: &str = r"(?:::f{4,6}:)?(?P<ip4>(?:\d{1,3}\.){3}\d{1,3})";
const IP6: &str = r"(?P<ip6>(?:[0-9a-fA-F]{1,4}::?|::){1,7}(?:[0-9a-fA-F]{1,4}|:))";
/// The same, as fail2ban writes it: behind a colon is where it stands anyway.
const IP6_SHOWN: &str = r"(?P<ip6>(?:[0-9a-fA-F]{1,4}::?|::){1,7}(?:[0-9a-fA-F]{1,4}|(?<=:):))";
const DNS: &str = r"(?P<dns>[\w\-.^_]*\w)";

/// An expression that can be asked.
#[derive(Clone, Debug)]
pub struct Pattern {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    /// Made when it is asked, where it is sure to be regular.
    ascii: OnceLock<Option<Engine>>,
    is_regular: bool,
    /// For texts with other characters; made when one comes.
    unicode: OnceLock<Option<Engine>>,
    /// Where it backtracks: both again, for long texts.
    long: [OnceLock<Option<Engine>>; 2],
    translated: String,
    names: Vec<Option<String>>,
}

#[derive(Debug)]
enum Engine {
    Regular(regex::bytes::Regex),
    Fancy(fancy_regex::Regex),
}

/// Where the groups of a match are; 0 is all of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Spans(Vec<Option<(usize, usize)>>);

/// Where groups are, by their number.
pub(crate) trait Grouped {
    /// The range of a group that took part.
    fn group(&self, group: usize) -> Option<(usize, usize)>;
}

impl Grouped for Spans {
    fn group(&self, group: usize) -> Option<(usize, usize)> {
        self.get(group)
    }
}

impl Spans {
    /// The range of a group that took part.
    #[must_use]
    pub fn get(&self, group: usize) -> Option<(usize, usize)> {
        self.0.get(group).copied().flatten()
    }
}

impl Pattern {
    /// Translates and compiles. With `is_multi_line`, `^` and `$` match at line ends too.
    ///
    /// # Errors
    /// What is wrong with it, in the engine's words.
    pub fn new(python: &str, is_multi_line: bool) -> Result<Pattern, String> {
        if python.len() > PATTERN_BYTES_MAX {
            return Err("it is too long".to_owned());
        }
        let tagged = with_tags(python)?;
        if let Some(place) = repeated_place(&tagged) {
            return Err(format!("nothing to repeat behind `{place}`"));
        }
        let mut translated = translate(&tagged);
        if is_multi_line {
            translated.insert_str(0, "(?m)");
        }
        let ascii = OnceLock::new();
        let (names, is_regular) = match names_of_small(&translated) {
            Some(names) => (names, true),
            None => {
                // A class with other characters than ASCII's is read by an engine that knows them, for all texts.
                let made = Engine::new(&translated, false, BACKTRACK_LIMIT).or_else(|error| {
                    if has_wide_class(&translated) {
                        Engine::new(&translated, true, BACKTRACK_LIMIT)
                    } else {
                        Err(error)
                    }
                })?;
                let names = match &made {
                    Engine::Regular(regex) => owned(regex.capture_names()),
                    Engine::Fancy(regex) => owned(regex.capture_names()),
                };
                let is_regular = matches!(made, Engine::Regular(_));
                let _ = ascii.set(Some(made));
                (names, is_regular)
            }
        };
        let (unicode, long) = (OnceLock::new(), Default::default());
        let inner = Inner { ascii, is_regular, unicode, long, translated, names };
        Ok(Pattern { inner: Arc::new(inner) })
    }

    fn engine(&self, text: &[u8]) -> Option<&Engine> {
        let is_unicode = !text.is_ascii();
        let make = |steps| Engine::new(&self.inner.translated, is_unicode, steps).ok();
        if text.len() > LONG_BYTES && !self.is_regular() {
            let [ascii, unicode] = &self.inner.long;
            let long = if is_unicode { unicode } else { ascii };
            return long.get_or_init(|| make(LONG_BACKTRACK_LIMIT)).as_ref();
        }
        if !is_unicode {
            return self.inner.ascii.get_or_init(|| make(BACKTRACK_LIMIT)).as_ref();
        }
        self.inner.unicode.get_or_init(|| make(BACKTRACK_LIMIT)).as_ref()
    }

    /// Whether it matches somewhere; not, when that would take too many steps.
    #[must_use]
    pub fn is_match(&self, text: &[u8]) -> bool {
        match self.engine(text) {
            Some(Engine::Regular(regex)) => regex.is_match(text),
            Some(Engine::Fancy(regex)) => regex.is_match(text).unwrap_or(false),
            None => false,
        }
    }

    /// Where it matches first.
    #[must_use]
    pub fn find(&self, text: &[u8]) -> Option<Spans> {
        match self.engine(text)? {
            Engine::Regular(regex) => {
                // A capturing search is several times as dear as one that only says yes.
                if !regex.is_match(text) {
                    return None;
                }
                Some(spans_of(&regex.captures(text)?))
            }
            Engine::Fancy(regex) => {
                let found = regex.captures(text).ok()??;
                Some(Spans((0..found.len()).map(|n| found.get(n).map(|m| (m.start(), m.end()))).collect()))
            }
        }
    }

    /// The names of its groups, by number.
    pub fn names(&self) -> impl Iterator<Item = (usize, &str)> + Clone {
        self.inner.names.iter().enumerate().filter_map(|(at, name)| Some((at, name.as_deref()?)))
    }

    /// The number of a named group.
    #[must_use]
    pub fn group(&self, name: &str) -> Option<usize> {
        self.names().find(|(_, known)| *known == name).map(|(at, _)| at)
    }

    /// Where it matches first, for one that nearly always does.
    #[must_use]
    pub fn find_likely(&self, text: &[u8]) -> Option<Spans> {
        match self.engine(text)? {
            Engine::Regular(regex) => Some(spans_of(&regex.captures(text)?)),
            Engine::Fancy(_) => self.find(text),
        }
    }

    /// Sets of texts: a text in which it matches holds one text of each set.
    #[must_use]
    pub fn required(&self) -> Vec<Vec<Vec<u8>>> {
        tables::required_texts_in_case(&self.inner.translated)
    }

    /// It in the engines' syntax.
    pub(crate) fn translated(&self) -> &str {
        &self.inner.translated
    }

    /// A regular expression that matches every ASCII text that this one matches, and perhaps others.
    #[must_use]
    pub fn superset(&self) -> Option<String> {
        if self.inner.is_regular {
            return Some(self.inner.translated.clone());
        }
        tables::regular_superset(&self.inner.translated)
    }

    /// Whether it runs in linear time.
    #[must_use]
    pub fn is_regular(&self) -> bool {
        self.inner.is_regular
    }
}

fn owned<'n>(names: impl Iterator<Item = Option<&'n str>>) -> Vec<Option<String>> {
    names.map(|name| name.map(str::to_owned)).collect()
}

/// The names of an expression's groups, where it is regular and so small that it is sure to compile.
fn names_of_small(translated: &str) -> Option<Vec<Option<String>>> {
    let form = crate::automaton::parsed(translated, false)?;
    let mut names = vec![None];
    let weight = weight(&form, &mut names);
    (weight < WEIGHT_MAX && names.len() == form.properties().explicit_captures_len() + 1).then_some(names)
}

/// Of how many places, with all their ranges of bytes, an expression is made at most; its groups in their order.
fn weight(form: &Hir, names: &mut Vec<Option<String>>) -> usize {
    match form.kind() {
        HirKind::Empty | HirKind::Look(_) => 1,
        HirKind::Literal(literal) => literal.0.len(),
        HirKind::Class(Class::Bytes(class)) => 1 + class.ranges().len(),
        HirKind::Class(Class::Unicode(_)) => WEIGHT_MAX,
        HirKind::Repetition(repeated) => {
            let times = repeated.max.unwrap_or(repeated.min.saturating_add(1)).max(1) as usize;
            weight(&repeated.sub, names).saturating_add(2).saturating_mul(times)
        }
        HirKind::Capture(group) => {
            names.push(group.name.as_deref().map(str::to_owned));
            weight(&group.sub, names).saturating_add(2)
        }
        HirKind::Concat(parts) | HirKind::Alternation(parts) => {
            let each = parts.iter().map(|part| weight(part, names).saturating_add(1));
            each.fold(1, usize::saturating_add)
        }
    }
}

/// Whether it names a character beyond ASCII; what no engine should know of Unicode's, Python doesn't.
fn has_wide_class(translated: &str) -> bool {
    let has_property = translated.contains("\\p") || translated.contains("\\P");
    !has_property && (!translated.is_ascii() || translated.contains("\\u") || translated.contains("\\U"))
}

fn spans_of(found: &regex::bytes::Captures<'_>) -> Spans {
    Spans(found.iter().map(|group| group.map(|m| (m.start(), m.end()))).collect())
}

impl Engine {
    fn new(translated: &str, unicode: bool, steps: usize) -> Result<Engine, String> {
        let regular = regex::bytes::RegexBuilder::new(translated)
            .unicode(unicode)
            .size_limit(COMPILED_BYTES_MAX)
            .nest_limit(250)
            .build();
        if let Ok(regex) = regular {
            return Ok(Engine::Regular(regex));
        }
        let mode = if unicode { fancy_regex::BytesMode::UnicodeBytes } else { fancy_regex::BytesMode::Ascii };
        fancy_regex::RegexBuilder::new(translated)
            .bytes_mode(mode)
            .backtrack_limit(steps)
            .delegate_size_limit(COMPILED_BYTES_MAX)
            .max_prog_size(200_000)
            .build()
            .map(Engine::Fancy)
            .map_err(|error| error.to_string().replace('\n', " "))
    }
}

/// An expression with its tags put in, as reports show it.
#[must_use]
pub fn shown(python: &str) -> String {
    with_tags(python).map_or_else(|_| python.to_owned(), |text| text.replace(IP6, IP6_SHOWN))
}

/// `<HOST>` and all the other tags, put in.
fn with_tags(text: &str) -> Result<String, String> {
    let mut out = String::new();
    let mut rest = text;
    let mut skips = 0;
    while let Some((before, behind)) = rest.split_once('<') {
        out.push_str(before);
        rest = behind;
        let Some((name, after)) = behind.split_once('>').filter(|(name, _)| is_tag(name)) else {
            out.push('<');
            continue;
        };
        // `(?P<ip4>`, `(?<=`: those of the language itself.
        if before.ends_with("(?P") || before.ends_with("(?") {
            out.push('<');
            continue;
        }
        let addr = || format!(r"\[?(?:{IP4}|{IP6})\]?");
        let put: Cow<'_, str> = match name {
            "HOST" => format!(r"(?:{}|{DNS})", addr()).into(),
            "ADDR" | "F-ADDR/" => addr().into(),
            "SUBNET" | "F-SUBNET/" => format!(r"\[?(?:{IP4}|{IP6})(?:/(?P<cidr>\d+))?\]?").into(),
            "IP4" | "F-IP4/" => IP4.into(),
            "IP6" | "F-IP6/" => IP6.into(),
            "DNS" | "F-DNS/" => DNS.into(),
            "CIDR" | "F-CIDR/" => r"(?P<cidr>\d+)".into(),
            "F-ID/" => r"(?P<fid>\S+)".into(),
            "F-PORT/" => r"(?P<fport>\w+)".into(),
            "SKIPLINES" => {
                skips += 1;
                format!(r"\n(?P<skiplines{}>(?:(?:.*\n)*?))", skips - 1).into()
            }
            name => match (name.strip_prefix("F-"), name.strip_prefix("/F-")) {
                (Some(name), _) if !name.ends_with('/') => format!("(?P<{}>", group_name(name)).into(),
                (_, Some(_)) => ")".into(),
                _ => format!("<{name}>").into(),
            },
        };
        out.push_str(&put);
        if out.len() > PATTERN_BYTES_MAX {
            return Err("it is too long".to_owned());
        }
        rest = after;
    }
    out.push_str(rest);
    Ok(out)
}

fn is_tag(name: &str) -> bool {
    let name = name.strip_prefix('/').or(name.strip_suffix('/')).unwrap_or(name);
    name.starts_with(|c: char| c.is_ascii_uppercase())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-')
}

fn group_name(name: &str) -> String {
    match name.to_ascii_lowercase().replace('-', "_").as_str() {
        "id" => "fid".to_owned(),
        other => other.to_owned(),
    }
}

/// Python's syntax in that of both engines: what stands in classes is escaped, references and conditions are named
/// their way.
fn translate(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 16);
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let behind = rest.get(c.len_utf8()..).unwrap_or("");
        rest = match c {
            '\\' => escape(behind, &mut out),
            '[' => class(behind, &mut out),
            '(' => group(behind, &mut out),
            '{' => brace(behind, &mut out),
            _ => {
                out.push(c);
                behind
            }
        };
    }
    out
}

fn escape<'t>(rest: &'t str, out: &mut String) -> &'t str {
    let Some(c) = rest.chars().next() else {
        out.push_str("\\\\");
        return rest;
    };
    if let Some((number, rest)) = octal(rest, false) {
        let _ = write!(out, "\\x{number:02X}");
        return rest;
    }
    match c {
        'Z' => out.push_str("\\z"),
        // Letters that the engines would take for something else, or for a mistake.
        '\'' | '"' | '/' | ',' | ':' | ';' | '=' | '@' | '%' | '!' | '<' | '>' | '_' | '`' | ' ' => {
            out.push(c)
        }
        c => {
            out.push('\\');
            out.push(c);
        }
    }
    rest.get(c.len_utf8()..).unwrap_or("")
}

/// Behind `\\`: `040`, `0`; in a class also `1` and `40`, which are references elsewhere.
fn octal(rest: &str, is_class: bool) -> Option<(u8, &str)> {
    let count = rest.bytes().take(3).take_while(|byte| matches!(byte, b'0'..=b'7')).count();
    let (digits, behind) = rest.split_at_checked(count).filter(|_| count > 0)?;
    let is_number = is_class || count == 3 || digits.starts_with('0');
    let number = u8::from_str_radix(digits, 8).ok().filter(|number| is_number && number.is_ascii())?;
    Some((number, behind))
}

/// A place in the text, such as `^` or `\\b`, that an expression wants to have several times, which Python refuses.
fn repeated_place(text: &str) -> Option<&str> {
    let (mut at, mut is_class) = (0, false);
    while let Some(c) = text.get(at..)?.chars().next() {
        let escaped = if c == '\\' { text.get(at + 1..)?.chars().next() } else { None };
        let end = at + c.len_utf8() + escaped.map_or(0, char::len_utf8);
        let is_place = match escaped {
            Some(escaped) => matches!(escaped, 'b' | 'B' | 'A' | 'Z'),
            None => matches!(c, '^' | '$'),
        };
        let behind = text.get(end..)?;
        if is_class {
            is_class = c != ']';
        } else if is_place && (behind.starts_with(['*', '+', '?']) || is_count(behind)) {
            return text.get(at..end);
        } else if c == '[' {
            is_class = true;
            // A `]` that comes first is one of the class.
            let negated = behind.strip_prefix('^').unwrap_or(behind);
            at = end + behind.len() - negated.strip_prefix(']').unwrap_or(negated).len();
            continue;
        }
        at = end;
    }
    None
}

/// Whether `{2,3}` stands here.
fn is_count(text: &str) -> bool {
    let numbers =
        text.strip_prefix('{').and_then(|rest| rest.split_once('}')).map_or("", |(numbers, _)| numbers);
    numbers.bytes().all(|b| b.is_ascii_digit() || b == b',')
        && numbers.bytes().any(|b| b.is_ascii_digit())
        && numbers.bytes().filter(|b| *b == b',').count() <= 1
}

/// Behind `[`, up to and with `]`.
fn class<'t>(rest: &'t str, out: &mut String) -> &'t str {
    out.push('[');
    let mut rest = rest;
    if let Some(behind) = rest.strip_prefix('^') {
        out.push('^');
        rest = behind;
    }
    if let Some(behind) = rest.strip_prefix(']') {
        out.push_str("\\x5D");
        rest = behind;
    }
    let mut chars = rest.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            ']' => {
                out.push(']');
                return rest.get(at + 1..).unwrap_or("");
            }
            '\\' if let Some((number, behind)) = rest.get(at + 1..).and_then(|rest| octal(rest, true)) => {
                let _ = write!(out, "\\x{number:02X}");
                let digits = rest.len() - at - 1 - behind.len();
                let _ = chars.nth(digits.saturating_sub(1));
            }
            '\\' => match chars.next() {
                Some((_, ']')) => out.push_str("\\x5D"),
                Some((_, c)) if c.is_ascii_alphanumeric() => out.extend(['\\', c]),
                Some((_, c)) => literal(c, out),
                None => {}
            },
            // A range keeps its dash.
            '-' => {
                let next = rest.get(at + 1..).and_then(|rest| rest.chars().next());
                let is_edge = next == Some(']') || next == Some('-') || out.ends_with(['[', '^', '-']);
                let behind_class =
                    ["\\w", "\\d", "\\s", "\\S", "\\W", "\\D"].iter().any(|c| out.ends_with(c));
                let before_class = next == Some('\\');
                out.push_str(if is_edge || behind_class || (before_class && at == 0) { "\\-" } else { "-" });
            }
            '[' | '&' | '~' | '^' => literal(c, out),
            c => out.push(c),
        }
    }
    // No end: the engines say so.
    ""
}

fn literal(c: char, out: &mut String) {
    if c.is_ascii() {
        // Writing to a String can't fail.
        let _ = write!(out, "\\x{:02X}", u32::from(c));
    } else {
        out.push(c);
    }
}

fn group<'t>(rest: &'t str, out: &mut String) -> &'t str {
    if let Some((name, behind)) = rest.strip_prefix("?P=").and_then(|rest| rest.split_once(')')) {
        let _ = write!(out, "(?:\\k<{name}>)");
        return behind;
    }
    if let Some((name, behind)) = rest.strip_prefix("?(").and_then(|rest| rest.split_once(')')) {
        let is_number = name.bytes().all(|b| b.is_ascii_digit());
        let _ = if is_number { write!(out, "(?({name})") } else { write!(out, "(?(<{name}>)") };
        return behind;
    }
    if let Some(behind) = rest.strip_prefix("?#") {
        return behind.split_once(')').map_or("", |(_, behind)| behind);
    }
    // Unicode is what the second engine is for.
    if let Some((flags, behind)) = rest.strip_prefix('?').and_then(|rest| rest.split_once(')'))
        && !flags.is_empty()
        && flags.bytes().all(|b| matches!(b, b'i' | b'u' | b'm' | b's' | b'x' | b'a' | b'L'))
    {
        let flags: String = flags.chars().filter(|c| matches!(c, 'i' | 'm' | 's' | 'x')).collect();
        if !flags.is_empty() {
            let _ = write!(out, "(?{flags})");
        }
        return behind;
    }
    out.push('(');
    rest
}

/// `{2,3}` repeats, `{` alone stands for itself.
fn brace<'t>(rest: &'t str, out: &mut String) -> &'t str {
    let numbers = rest.split_once('}').map_or("", |(numbers, _)| numbers);
    let is_count = numbers.bytes().all(|b| b.is_ascii_digit() || b == b',')
        && numbers.bytes().any(|b| b.is_ascii_digit())
        && numbers.bytes().filter(|b| *b == b',').count() <= 1;
    match (is_count, numbers.strip_prefix(',')) {
        (true, Some(most)) => {
            let _ = write!(out, "{{0,{most}}}");
            rest.get(numbers.len() + 1..).unwrap_or("")
        }
        (true, None) => {
            out.push('{');
            rest
        }
        (false, _) => {
            out.push_str("\\{");
            rest
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(python: &str, text: &str, expect: Option<&str>) {
        let pattern = Pattern::new(python, false).unwrap_or_else(|error| panic!("{python}: {error}"));
        let found = pattern.find(text.as_bytes()).map(|spans| {
            let host = ["fid", "ip4", "ip6", "dns"].iter().find_map(|n| spans.get(pattern.group(n)?));
            let (start, end) = host.or(spans.get(0)).unwrap_or((0, 0));
            text.get(start..end).unwrap_or("?").to_owned()
        });
        assert_eq!(found.as_deref(), expect, "{python} on {text}");
    }

    #[test]
    fn hosts() {
        check("from <HOST> x", "from 192.0.2.1 x", Some("192.0.2.1"));
        check("from <HOST> x", "from [2001:db8::1] x", Some("2001:db8::1"));
        check("from <HOST> x", "from ::ffff:192.0.2.1 x", Some("192.0.2.1"));
        check("from <HOST> x", "from ::1 x", Some("::1"));
        check("from <HOST> x", "from 2001:db8:: x", Some("2001:db8::"));
        check("from <ADDR> x", "from mail.example x", None);
        check("from <HOST> x", "from mail.example x", Some("mail.example"));
        check("<F-ID>\\S+</F-ID> <F-USER>x</F-USER>", "me x", Some("me"));
    }

    #[test]
    fn syntax_of_python() {
        check(r"[^[]*\[(?P<a>x)(?P=a)\]", "q[xx]", Some("q[xx]"));
        check(r"(?P<c>a)?b(?(c)c|d)", "abc", Some("abc"));
        check(r"(?P<c>a)?b(?(c)c|d)", "bd", Some("bd"));
        check(r"((?i)LOGIN|PLAIN)z", "loginz", Some("loginz"));
        check(r"[]x]+[\]&&~~\-][a\-z-]", "]x]-", Some("]x]-"));
        check(r"[\w-]+{x}a{,2}b{1}", "a-b{x}aab", Some("a-b{x}aab"));
        check(r"a(?#c)b\Z", "ab", Some("ab"));
        check(r"é\w+", "éàü!", Some("éàü"));
        check(r"^\S+$", "a\u{a0}b", None);
        check(r"[\w\-.^_]*\w", "a-b.c^", Some("a-b.c"));
        check(r"[éà]+x", "zéàx", Some("éàx"));
        check(r"a[à-ÿ]?x", "aéx", Some("aéx"));
        check(r"a[à-ÿ]?x", "ax", Some("ax"));
        check(r"a[^à]x", "axx", Some("axx"));
        check(r"a[^à]x", "aàx", None);
        check(r"a[\u00e0-\u00ff]x", "aéx", Some("aéx"));
        check(r"(?P<q>a)[é](?P=q)", "aéa", Some("aéa"));
        assert!(Pattern::new(r"\p{L}", false).is_err());
        assert!(Pattern::new("(", false).is_err() && Pattern::new("[a", false).is_err());
    }

    /// As Python reads them.
    #[test]
    fn numbers_and_places() {
        check(r"from\040<HOST>\055", "from 192.0.2.1-", Some("192.0.2.1"));
        check(r"a[\040\55]+b\101[^\1]", "a - bAc", Some("a - bAc"));
        check(r"(a)b\1", "aba", Some("aba"));
        check(r"a\0b", "a\0b", Some("a\0b"));
        check(r"b\Z", "b\n", None);
        check(r"b\Z", "ab", Some("b"));
        for wrong in [r"\b{2}a", r"a\b+", "^*a", "a$?", r"\A{1,2}a"] {
            let error = Pattern::new(wrong, false).map(drop).expect_err(wrong);
            assert!(error.starts_with("nothing to repeat behind `"), "{error}");
        }
        check(r"[$^]+[]^]*\$?[b\]$]{2}\^*", "^$]^$b$^^", Some("^$]^$b$^^"));
        check(r"\b{x}", "a{x}", Some("{x}"));
    }

    #[test]
    fn no_text_makes_it_hang() {
        let pattern = Pattern::new(r"^(?:(a+)+)(?!b)\1$", false).expect("a pattern");
        assert!(!pattern.is_match(format!("{}c", "a".repeat(5_000)).as_bytes()));
    }
}
