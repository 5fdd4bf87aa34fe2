//! A filter at work: lines in, failures out.
//!
//! First one search for texts of which a matching line must hold one; only lines that have one are looked at: their
//! date is cut out, `prefregex` narrows them down, `ignoreregex` lets them go, the first `failregex` that matches
//! decides. A failure's identity is what the filter captured (`<F-ID>`, an address, a name), nothing else of the line.

use crate::date::{Dates, Found};
use crate::pattern::{Grouped, Pattern, Spans};
use crate::session::{Marks, Sessions};
use crate::zone::Zone;
use ask::{Asked, Told};
use quick::{Quick, Search, Ways};
use std::borrow::Cow;
use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

mod also;
mod ask;
mod behind;
mod block;
mod gate;
mod named;
mod quick;

pub use also::Also;
pub use block::{Block, Scout};
pub use gate::Gate;
pub use named::{Name, Named};

/// The longest line that is looked at; what is behind it is not.
pub const LINE_BYTES_MAX: usize = 64 << 10;
/// The most lines that a filter may join.
const LINES_MAX: usize = 1_000;

/// Who failed.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Id {
    /// An address, or a network of such with its prefix length.
    Net(IpAddr, u8),
    /// A host's name, or what looks like one: somebody has to look it up.
    Name(String),
    /// Whatever else a filter picks.
    Other(String),
}

impl Id {
    /// A single address.
    #[must_use]
    pub fn address(address: IpAddr) -> Id {
        Id::Net(address, if address.is_ipv4() { 32 } else { 128 })
    }

    /// The network around an address.
    #[must_use]
    pub fn net(address: IpAddr, length: u8) -> Id {
        network(address, Some(length))
    }
}

impl std::fmt::Display for Id {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Id::Net(address, length) if *self == Id::address(*address) || *length > 128 => {
                write!(f, "{address}")
            }
            Id::Net(address, length) => write!(f, "{address}/{length}"),
            Id::Name(text) | Id::Other(text) => f.write_str(text),
        }
    }
}

/// What a line said, by the names of groups.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fields {
    /// `user`, `ip4`, `fid` …; those that took part.
    pub named: Named,
    /// What kind of line it was, beside its expression: a hash of the server's words before what is looked at.
    pub kind: u32,
    /// Of a session of several lines: how many of them are counted as this failure; else 0.
    pub attempts: u32,
    /// Of such a session: as whom it tried, in order.
    pub users: Vec<String>,
}

/// The names that tell who failed, the first that there is.
const IDS: [&str; 4] = ["fid", "ip4", "ip6", "dns"];

impl Fields {
    pub(crate) fn has_id(&self) -> bool {
        self.named.has_id()
    }

    /// Puts a later line's on top. A new address replaces the old, of whichever family.
    pub(crate) fn merge(&mut self, mut later: Fields) {
        later.named.fill(&self.named);
        self.named = later.named;
        self.kind = if later.kind == 0 { self.kind } else { later.kind };
    }

    /// Who failed.
    #[must_use]
    pub fn id(&self) -> Option<Id> {
        if let Some(id) = self.named.get("fid") {
            return Some(address_of(id, None).unwrap_or_else(|| Id::Other(unbracketed(id).to_owned())));
        }
        let address = ["ip4", "ip6"].iter().find_map(|name| self.named.get(name));
        if let Some(text) = address {
            let id = address_of(text, self.named.get("cidr"));
            return Some(id.unwrap_or_else(|| Id::Name(unbracketed(text).to_owned())));
        }
        self.named.get("dns").map(|name| Id::Name(name.to_owned()))
    }
}

/// `[2001:db8::1]` is what stands between the brackets.
fn unbracketed(text: &str) -> &str {
    text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text)
}

/// An address or a network, however it is written: in brackets, IPv4 within IPv6, with a netmask. The length behind it
/// counts unless another one is given.
fn address_of(text: &str, cidr: Option<&str>) -> Option<Id> {
    let text = unbracketed(text);
    let (address, own) =
        text.split_once('/').map_or((text, None), |(address, length)| (address, Some(length)));
    let address: IpAddr = address.parse().ok()?;
    let plain = address.to_canonical();
    let Some(length) = own.or(cidr) else { return Some(Id::address(plain)) };
    let mask = |mask: Ipv4Addr| {
        let ones = u32::from(mask).leading_ones();
        (u32::from(mask).count_ones() == ones).then(|| u8::try_from(ones).ok()).flatten()
    };
    let length = match length.parse::<u8>() {
        Ok(length) => length,
        Err(_) if plain.is_ipv4() && length.contains('.') => length.parse().ok().and_then(mask)?,
        // More than there are bits: all of them.
        Err(_) if !length.is_empty() && length.bytes().all(|b| b.is_ascii_digit()) => u8::MAX,
        Err(_) => return own.is_none().then(|| Id::address(plain)),
    };
    Some(match (address == plain, length) {
        // As fail2ban has it: no line of log shuts out everybody.
        (_, 0) if plain.is_ipv4() && address == plain => Id::address(Ipv4Addr::UNSPECIFIED.into()),
        (_, 0) => Id::address(Ipv6Addr::UNSPECIFIED.into()),
        (true, _) => network(plain, Some(length)),
        // The length of an IPv4 address within IPv6 counts the bits before it.
        (false, 96..) => network(plain, Some(length - 96)),
        (false, _) => network(address, Some(length)),
    })
}

/// The network of an address; an address where no length is given or it makes no sense.
#[must_use]
pub fn network(address: IpAddr, length: Option<u8>) -> Id {
    match (address, length) {
        (IpAddr::V4(v4), Some(length @ 0..=31)) => {
            let mask = u32::MAX.checked_shl(32 - u32::from(length)).unwrap_or(0);
            Id::Net(IpAddr::V4((u32::from(v4) & mask).into()), length)
        }
        (IpAddr::V6(v6), Some(length @ 0..=127)) => {
            let mask = u128::MAX.checked_shl(128 - u32::from(length)).unwrap_or(0);
            Id::Net(IpAddr::V6(Ipv6Addr::from(u128::from(v6) & mask)), length)
        }
        _ => Id::address(address),
    }
}

/// A failure that a line completed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// When, in microseconds since 1970.
    pub time_us: i64,
    /// Who.
    pub id: Id,
    /// What else the filter captured.
    pub fields: Fields,
    /// Which `failregex`, counted from 0.
    pub rule: usize,
}

/// What became of a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// No expression matched.
    Missed,
    /// `prefregex`, or where there is none a `failregex`, did, and then an `ignoreregex`, counted from 0.
    Ignored {
        /// Which.
        rule: usize,
    },
    /// A `failregex` did, and there is nothing to count yet: `<F-NOFAIL>`, no address so far.
    Noted {
        /// Which, counted from 0.
        rule: usize,
        /// It is a failure whose address the session has yet to tell.
        waits: bool,
    },
    /// A failure.
    Failed(Box<Failure>),
}

/// A `failregex`.
#[derive(Clone, Debug)]
struct Rule {
    pattern: Pattern,
    groups: Groups,
}

/// Which groups of an expression are kept.
#[derive(Clone, Debug, Default)]
struct Groups {
    named: Vec<(usize, Name)>,
    alternatives: Vec<(usize, Name)>,
    marks: [Option<usize>; 3],
    /// Some of these are there.
    keeps: bool,
    mlfid: Option<usize>,
    content: Option<usize>,
    /// Lines that `<SKIPLINES>` passed over.
    skipped: Vec<usize>,
}

/// A compiled filter.
#[derive(Debug)]
pub struct Filter {
    prefix: Option<Rule>,
    rules: Vec<Rule>,
    ignored: Vec<Pattern>,
    /// Its date patterns.
    pub dates: Dates,
    lines: usize,
    /// Texts of which a line must hold one that matches, and the search for them.
    texts: Option<Vec<Vec<u8>>>,
    wanted: Option<Search>,
    /// Texts of which a line must hold one that `prefregex` matches, or that an `ignoreregex` lets go.
    counted: Option<Search>,
    quick: Quick,
}

/// What is wrong with a filter: the option, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FilterError {
    /// `failregex`, `datepattern` …
    pub option: &'static str,
    /// The expression.
    pub text: String,
    /// Why it can't be used.
    pub reason: String,
}

impl std::fmt::Display for FilterError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} `{}`: {}", self.option, self.text, self.reason)
    }
}

impl Groups {
    fn of<'n>(names: impl Iterator<Item = (usize, &'n str)> + Clone) -> Groups {
        let group = |name: &str| names.clone().find(|(_, known)| *known == name).map(|(at, _)| at);
        let mut groups = Groups { mlfid: group("mlfid"), content: group("content"), ..Groups::default() };
        groups.marks = ["nofail", "mlfforget", "mlfgained"].map(group);
        groups.keeps = groups.marks.iter().any(Option::is_some);
        for (group, name) in names {
            match name {
                "mlfid" | "content" | "nofail" | "mlfforget" | "mlfgained" => {}
                name if name.starts_with("skiplines") => groups.skipped.push(group),
                name => match name.strip_prefix("alt_") {
                    // `alt_user2` is `user2`, and `user` where nobody else is.
                    Some(of) => {
                        groups.keeps = true;
                        let plain = of.trim_end_matches(|c: char| c.is_ascii_digit());
                        groups.alternatives.push((group, plain.into()));
                        if plain != of {
                            groups.alternatives.push((group, of.into()));
                        }
                    }
                    None => {
                        groups.keeps = true;
                        groups.named.push((group, name.into()));
                    }
                },
            }
        }
        groups
    }

    fn take(&self, text: &[u8], spans: &impl Grouped, fields: &mut Fields, marks: &mut Marks) {
        if !self.keeps {
            return;
        }
        let taken = |group: usize| {
            let (start, end) = spans.group(group)?;
            text.get(start..end).map(String::from_utf8_lossy)
        };
        let mut own = Fields::default();
        for (group, name) in &self.named {
            // Nobody is nobody; whatever else was captured empty is empty.
            if let Some(value) = taken(*group).filter(|value| !value.is_empty() || !IDS.contains(&&**name)) {
                own.named.insert(name.clone(), &value);
            }
        }
        if fields.named.is_empty() {
            fields.named = own.named;
        } else {
            fields.merge(own);
        }
        for (group, name) in &self.alternatives {
            if fields.named.get(name).is_none_or(str::is_empty)
                && let Some(value) = taken(*group).filter(|value| !value.is_empty())
            {
                fields.named.insert(name.clone(), &value);
            }
        }
        let [no_fail, forget, gained] =
            self.marks.map(|group| group.is_some_and(|g| spans.group(g).is_some()));
        marks.no_fail |= no_fail;
        marks.forget |= forget;
        marks.gained |= gained;
    }
}

impl Rule {
    fn new(option: &'static str, text: &str, is_multi_line: bool) -> Result<Rule, FilterError> {
        let pattern = Pattern::new(text, is_multi_line).map_err(|reason| FilterError {
            option,
            text: text.to_owned(),
            reason,
        })?;
        let groups = Groups::of(pattern.names());
        Ok(Rule { pattern, groups })
    }
}

impl Filter {
    /// Compiles a filter from its options, as [`crate::jails`] reads them.
    ///
    /// # Errors
    /// The expression that can't be used.
    pub fn new(options: &BTreeMap<&'static str, String>) -> Result<Filter, FilterError> {
        let text = |name: &str| options.get(name).map_or("", String::as_str);
        let lines = text("maxlines").trim().parse().unwrap_or(1).clamp(1, LINES_MAX);
        let is_multi_line = lines > 1;
        let prefix = match text("prefregex").trim() {
            "" => None,
            prefix => Some(Rule::new("prefregex", prefix, false)?),
        };
        let rules =
            crate::jails::lines(text("failregex")).map(|line| Rule::new("failregex", line, is_multi_line));
        let rules = rules.collect::<Result<Vec<Rule>, FilterError>>()?;
        // In these `^` and `$` are the begin and the end of all that matched, also of several lines.
        let ignored =
            crate::jails::lines(text("ignoreregex")).map(|line| Rule::new("ignoreregex", line, false));
        let ignored = ignored.collect::<Result<Vec<Rule>, FilterError>>()?;
        let date_text = text("datepattern");
        let dates = Dates::new(date_text).map_err(|reason| FilterError {
            option: "datepattern",
            text: date_text.to_owned(),
            reason,
        })?;
        let before = prefix.as_ref();
        let nobody = |rule: &&Rule| {
            let named = |groups: &Groups| {
                groups.mlfid.is_some() || groups.named.iter().any(|(_, name)| IDS.contains(&&**name))
            };
            !named(&rule.groups) && !before.is_some_and(|prefix| named(&prefix.groups))
        };
        if let Some(rule) = rules.iter().position(|rule| nobody(&rule)) {
            let text = crate::jails::lines(text("failregex")).nth(rule).unwrap_or("").to_owned();
            let reason = "it captures nobody: no <HOST>, <ADDR>, <F-ID> and no session".to_owned();
            return Err(FilterError { option: "failregex", text, reason });
        }
        let of_rules: Vec<&Pattern> = rules.iter().map(|rule| &rule.pattern).collect();
        let of_prefix = prefix.as_ref().map(|rule| &rule.pattern);
        let (of_prefix, texts) = quick::needed(of_prefix, &of_rules, &dates);
        let [of_prefix, texts] = [of_prefix, texts].map(|texts| texts.filter(|_| !is_multi_line));
        let is_ignored_first = !ignored.is_empty() && ask::is_worth_it(ignored.len(), rules.len());
        let counts_prefix = prefix.is_some() || is_ignored_first;
        let counted = if counts_prefix { of_prefix } else { texts.clone() };
        let (wanted, counted) = (texts.clone().and_then(quick::search), counted.and_then(quick::search));
        let quick = Quick::new(text("prefregex").trim(), &of_rules);
        let ignored = ignored.into_iter().map(|rule| rule.pattern).collect();
        Ok(Filter { prefix, rules, ignored, dates, lines, texts, wanted, counted, quick })
    }

    /// Whether a line can match at all.
    #[must_use]
    pub fn may_match(&self, line: &[u8]) -> bool {
        self.wanted.as_ref().is_none_or(|wanted| wanted.is_match(line))
    }

    /// Whether a line can match, or at least its prefix.
    fn may_count(&self, line: &[u8]) -> bool {
        self.counted.as_ref().is_none_or(|counted| counted.is_match(line))
    }

    /// Whether it is worth asking the expressions about a line whose prefix may match.
    fn is_worth_asking(&self, line: &[u8]) -> bool {
        self.is_ignored_first() || self.quick.ends_soon() || self.may_match(line)
    }

    /// Whether any of its expressions captures one of these, `<F-ALT_…>` of it too.
    #[must_use]
    pub fn captures(&self, names: &[&str]) -> bool {
        let captures = |Groups { named, alternatives, .. }: &Groups| {
            named.iter().chain(alternatives).any(|(_, name)| names.contains(&&**name))
        };
        self.prefix.iter().chain(&self.rules).any(|rule| captures(&rule.groups))
    }

    /// How many `failregex` it has.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rules.len()
    }

    /// Whether it has none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }
}

/// A filter reading one log: what it remembers from line to line.
#[derive(Debug)]
pub struct Reader {
    filter: Arc<Filter>,
    zone: Zone,
    sessions: Sessions,
    /// The last lines, for a filter that joins several: of each its number, and what `prefregex` left.
    buffer: VecDeque<(u64, Vec<u8>)>,
    /// How many lines were looked at.
    lines: u64,
    /// The numbers of the lines that the last match joined.
    joined: Vec<u64>,
    /// The date of the last line that had one.
    last_us: Option<i64>,
    /// A line without a date was met: dates of all lines are read from then on.
    reads_all_dates: bool,
    /// The last line that was passed over, for a date that the next one lacks.
    passed: Vec<u8>,
    prefix_hits: u64,
    ways: Ways,
}

impl Reader {
    /// Begins to read a log; its stamps are in `zone`.
    #[must_use]
    pub fn new(filter: Arc<Filter>, zone: Zone) -> Reader {
        let (sessions, buffer) = (Sessions::default(), VecDeque::new());
        Reader {
            filter,
            zone,
            sessions,
            buffer,
            lines: 0,
            joined: Vec::new(),
            last_us: None,
            reads_all_dates: false,
            passed: Vec::new(),
            prefix_hits: 0,
            ways: Ways::default(),
        }
    }

    /// How many of the lines that were looked at `prefregex` matched.
    #[must_use]
    pub fn prefix_hits(&self) -> u64 {
        self.prefix_hits
    }

    /// What reports call the date patterns.
    pub fn date_names(&self) -> impl Iterator<Item = &str> {
        self.filter.dates.names()
    }

    /// Takes a line, without its end, in.
    pub fn line(&mut self, line: &[u8], now_us: i64) -> Outcome {
        let line = line.get(..LINE_BYTES_MAX).unwrap_or(line);
        let is_wanted = self.filter.may_match(line);
        if is_wanted || self.reads_all_dates {
            return self.look_at(line, now_us, None, is_wanted).0;
        }
        self.passed.clear();
        self.passed.extend_from_slice(line);
        Outcome::Missed
    }

    /// The same for a line that is known to stand behind another.
    pub fn line_behind(&mut self, before: &[u8], line: &[u8], now_us: i64) -> Outcome {
        let line = line.get(..LINE_BYTES_MAX).unwrap_or(line);
        let is_wanted = self.filter.may_match(line);
        if is_wanted || self.reads_all_dates {
            return self.look_at(line, now_us, Some(before), is_wanted).0;
        }
        Outcome::Missed
    }

    /// Whether it has to see every line, for its date.
    #[must_use]
    pub fn needs_all(&self) -> bool {
        self.reads_all_dates
    }

    /// As [`Reader::line`], with the date pattern that matched, for reports: dates of all lines are read.
    pub fn line_with_date(&mut self, line: &[u8], now_us: i64) -> (Outcome, Option<usize>) {
        let line = line.get(..LINE_BYTES_MAX).unwrap_or(line);
        let is_wanted = self.filter.may_count(line);
        self.look_at(line, now_us, None, is_wanted)
    }

    /// Takes many lines in, each with its end, and hands on what became of those that anything became of: the byte at
    /// which the line begins, the line, the outcome. Lines that can't match aren't even cut apart.
    pub fn lines(&mut self, text: &[u8], now_us: i64, each: &mut dyn FnMut(usize, &[u8], Outcome)) {
        let filter = Arc::clone(&self.filter);
        let mut at = 0;
        let mut is_first = true;
        while let Some(rest) = text.get(at..).filter(|rest| !rest.is_empty()) {
            let searched = filter.wanted.as_ref().filter(|_| !self.reads_all_dates);
            let start = match searched.map(|wanted| wanted.find(rest)) {
                None => at,
                Some(Some(hit)) => at + begin_of_line(rest, hit),
                Some(None) => break,
            };
            let line = text.get(start..).unwrap_or_default();
            let end = memchr::memchr(b'\n', line).unwrap_or(line.len());
            let line = line.get(..end).unwrap_or_default();
            // The line before, where it was passed over; before the first, what was passed over last time.
            let skipped = text.get(at..start).filter(|skipped| !skipped.is_empty());
            let before = match skipped {
                Some(skipped) => Some(last_line(skipped)),
                None if is_first => None,
                None => Some(&[][..]),
            };
            is_first = false;
            let whole = line.strip_suffix(b"\r").unwrap_or(line);
            let looked = whole.get(..LINE_BYTES_MAX).unwrap_or(whole);
            let is_wanted = searched.is_some() || filter.may_match(looked);
            let outcome = self.look_at(looked, now_us, before, is_wanted).0;
            if outcome != Outcome::Missed {
                each(start, whole, outcome);
            }
            at = start + end + 1;
        }
        let tail = text.get(at..).unwrap_or_default();
        self.passed.clear();
        if !tail.is_empty() {
            let line = last_line(tail);
            self.passed.extend_from_slice(line.get(..LINE_BYTES_MAX).unwrap_or(line));
        }
    }

    fn look_at(
        &mut self,
        line: &[u8],
        now_us: i64,
        before: Option<&[u8]>,
        is_wanted: bool,
    ) -> (Outcome, Option<usize>) {
        // Bytes that are no text are read as U+FFFD, which `.` matches.
        let lossy;
        let line = if line.is_ascii() {
            line
        } else {
            lossy = String::from_utf8_lossy(line);
            lossy.as_bytes()
        };
        self.lines += 1;
        let filter = Arc::clone(&self.filter);
        let date = filter.dates.find(line, &mut self.zone, now_us);
        let time_us = self.time(date.as_ref(), before, now_us);
        let cut = cut_out(line, date.as_ref());
        let outcome = if !is_wanted {
            Outcome::Missed
        } else if filter.lines > 1 {
            self.joined(&filter, cut.into_owned(), time_us)
        } else {
            self.single(&filter, &cut, time_us)
        };
        (outcome, date.map(|date| date.pattern))
    }

    /// When a line was written. One without a date, or with one that no calendar has, has that of the line before.
    fn time(&mut self, date: Option<&Found>, before: Option<&[u8]>, now_us: i64) -> i64 {
        if let Some(own) = date.and_then(|found| found.time_us) {
            self.last_us = Some(own);
            return own;
        }
        if !self.reads_all_dates && !self.filter.dates.is_none() {
            self.reads_all_dates = true;
            let passed = std::mem::take(&mut self.passed);
            let before = before.unwrap_or(&passed);
            let before = self.filter.dates.find(before, &mut self.zone, now_us);
            self.last_us = before.and_then(|found| found.time_us).or(self.last_us);
        }
        self.last_us.unwrap_or(now_us)
    }

    fn single(&mut self, filter: &Filter, line: &[u8], time_us: i64) -> Outcome {
        let mut told = Told::default();
        let asked = filter.ask(&mut self.ways, line, true, &mut told);
        self.prefix_hits += u64::from(told.is_prefixed);
        self.settled(asked, time_us)
    }

    /// What a line comes to, with what its session said before.
    fn settled(&mut self, asked: Asked<'_>, time_us: i64) -> Outcome {
        match asked {
            Asked::Missed => Outcome::Missed,
            Asked::Ignored { rule } => Outcome::Ignored { rule },
            Asked::Matched { rule, fields, marks, session } => {
                let fields = match session {
                    Some(id) => self.sessions.line(&id, fields, marks),
                    // No other line could tell who it was.
                    None if !fields.has_id() => return Outcome::Missed,
                    None => Some(fields).filter(|_| !marks.no_fail),
                };
                failed(fields, marks, rule, time_us)
            }
        }
    }

    /// The last lines together, for filters with `maxlines`.
    fn joined(&mut self, filter: &Filter, line: Vec<u8>, time_us: i64) -> Outcome {
        self.joined.clear();
        // What `prefregex` leaves of each line is what is joined.
        let (mut prefixed, mut prefix_marks) = (Fields::default(), Marks::default());
        let mut content = None;
        if let Some(Rule { pattern, groups }) = &filter.prefix {
            let Some(spans) = pattern.find(&line) else { return Outcome::Missed };
            self.prefix_hits += 1;
            groups.take(&line, &spans, &mut prefixed, &mut prefix_marks);
            let cut = groups.content.and_then(|group| spans.get(group));
            content = cut.and_then(|(start, end)| line.get(start..end)).map(<[u8]>::to_vec);
        }
        self.buffer.push_back((self.lines, content.unwrap_or(line)));
        if self.buffer.len() > filter.lines {
            self.buffer.pop_front();
        }
        let text = self.buffer.iter().map(|(_, line)| line.as_slice()).collect::<Vec<_>>().join(&b'\n');
        for (rule, Rule { pattern, groups }) in filter.rules.iter().enumerate() {
            let Some(spans) = pattern.find(&text) else { continue };
            // What was skipped isn't asked about.
            let used = self.use_up(&text, &spans, groups);
            if let Some(rule) = filter.ignored.iter().position(|pattern| pattern.is_match(&used)) {
                return Outcome::Ignored { rule };
            }
            // The prefix's are those of the last line.
            let (mut fields, mut marks) = (prefixed, prefix_marks);
            groups.take(&text, &spans, &mut fields, &mut marks);
            return failed(Some(fields).filter(|_| !marks.no_fail && !marks.gained), marks, rule, time_us);
        }
        Outcome::Missed
    }
}

impl Reader {
    /// Takes the lines that matched out of the buffer; those that `<SKIPLINES>` passed over wait on.
    fn use_up(&mut self, text: &[u8], spans: &Spans, groups: &Groups) -> Vec<u8> {
        let line_of = |at: usize| text.iter().take(at).filter(|b| **b == b'\n').count();
        let (start, end) = spans.get(0).unwrap_or((0, 0));
        let matched = line_of(start)..=line_of(end);
        let skipped = groups.skipped.iter().filter_map(|group| spans.get(*group));
        let skipped: Vec<_> = skipped.map(|(start, end)| line_of(start)..line_of(end)).collect();
        let (mut place, mut used) = (0, Vec::new());
        let joined = &mut self.joined;
        self.buffer.retain_mut(|(number, line)| {
            let at = place;
            place += 1;
            let is_used = matched.contains(&at) && !skipped.iter().any(|skipped| skipped.contains(&at));
            if is_used {
                joined.push(*number);
                used.push(std::mem::take(line));
            }
            !is_used
        });
        used.join(&b'\n')
    }
}

/// A line without its date.
fn cut_out<'l>(line: &'l [u8], date: Option<&Found>) -> Cow<'l, [u8]> {
    match date {
        Some(Found { start: 0, end, .. }) => Cow::Borrowed(line.get(*end..).unwrap_or_default()),
        Some(Found { start, end, .. }) => {
            [line.get(..*start).unwrap_or_default(), line.get(*end..).unwrap_or_default()].concat().into()
        }
        None => Cow::Borrowed(line),
    }
}

/// Where the line that holds a byte begins.
fn begin_of_line(text: &[u8], at: usize) -> usize {
    let before = text.get(..at).and_then(|before| memchr::memrchr(b'\n', before));
    before.map_or(0, |before| before + 1)
}

/// The last line of a text, without its end.
fn last_line(text: &[u8]) -> &[u8] {
    let text = text.strip_suffix(b"\n").unwrap_or(text);
    let line = text.get(begin_of_line(text, text.len())..).unwrap_or_default();
    line.strip_suffix(b"\r").unwrap_or(line)
}

fn failed(fields: Option<Fields>, marks: Marks, rule: usize, time_us: i64) -> Outcome {
    match fields.and_then(|fields| Some((fields.id()?, fields))) {
        Some((id, fields)) => Outcome::Failed(Box::new(Failure { time_us, id, fields, rule })),
        None => Outcome::Noted { rule, waits: !marks.no_fail && !marks.gained },
    }
}

#[cfg(test)]
mod tests;
