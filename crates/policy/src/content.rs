//! header_checks(5) and body_checks: what is done with a header or a line of text.
//!
//! Tables are asked in their order, the first that has an answer counts; actions are read here, with Postfix's
//! warnings about those that say nothing. Nothing is logged or changed here: whoever reads the message does what a
//! [`Judgement`] says. Where mail goes out only a part of the actions is known. T1.14, T1.15, T2.13.

use config::{Diagnostic, Parameters};
use mail::mime::Class;
use mail::{Dsn, Reply};
use std::borrow::Cow;
use tables::{Catalogue, Exceeded, LookupError, Snapshot, TableId};

pub(crate) mod attachments;
#[cfg(test)]
mod tests;

/// Where the checks stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// cleanup(8).
    Arrival,
    /// smtp(8), lmtp(8).
    Delivery,
    /// cleanup(8), of headers that a milter adds or changes.
    Milter,
}

/// One of the four lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// Headers of a class.
    Header(Class),
    /// A line of text.
    Body,
}

impl Part {
    /// The word in the log.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Part::Header(_) => "header",
            Part::Body => "body",
        }
    }
}

/// The four lists of tables.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checks {
    place: Place,
    header: List,
    mime: List,
    nested: List,
    body: List,
    /// `body_checks_size_limit`, which smtp(8) doesn't know.
    body_bytes_max: u64,
    /// `komainu_pattern_limit_action`: a pattern that takes too many steps hasn't matched.
    passes_limit: bool,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct List {
    /// The parameter, as warnings name it.
    name: String,
    tables: Vec<TableId>,
}

/// What becomes of the text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Text {
    /// It stays.
    #[default]
    Kept,
    /// It goes.
    Dropped,
    /// This takes its place.
    Replaced(Vec<u8>),
    /// This comes before it.
    Prepended(Vec<u8>),
}

/// What becomes of the message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// It is refused with this, which the log shows.
    Reject(Reply),
    /// It is taken and thrown away.
    Discard,
    /// It waits for somebody who releases it.
    Hold,
    /// `transport:nexthop`
    Filter(String),
    /// It goes there alone; no more is checked.
    Redirect(String),
    /// It goes there too.
    Bcc(String),
    /// No more is checked.
    Pass,
}

/// What a table says about a text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Judgement {
    /// What becomes of the text.
    pub text: Text,
    /// What becomes of the message.
    pub effect: Option<Effect>,
    /// The word of the line in the log, and its text.
    pub said: Option<(&'static str, Vec<u8>)>,
    /// Warnings about the table.
    pub warning: Option<String>,
    /// The list, the table and the line that say so; only where the message is to be held, which somebody will ask about.
    pub rule: Option<String>,
}

/// A table that can't say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stopped {
    /// The parameter.
    pub name: String,
    /// Why.
    pub error: LookupError,
}

/// Postfix's text where REJECT has none.
const REJECTED: &str = "message content rejected";

impl Checks {
    /// The checks of mail that comes in.
    #[must_use]
    pub fn arrival(p: &Parameters, catalogue: &mut Catalogue) -> (Checks, Vec<Diagnostic>) {
        Checks::compile(p, Place::Arrival, "", catalogue)
    }

    /// The checks of mail that goes out; `prefix` is `smtp_` or `lmtp_`.
    #[must_use]
    pub fn delivery(p: &Parameters, prefix: &str, catalogue: &mut Catalogue) -> (Checks, Vec<Diagnostic>) {
        Checks::compile(p, Place::Delivery, prefix, catalogue)
    }

    /// The checks of headers that milters add or change: those of the first list.
    #[must_use]
    pub fn milter(p: &Parameters, catalogue: &mut Catalogue) -> (Checks, Vec<Diagnostic>) {
        Checks::compile(p, Place::Milter, "milter_", catalogue)
    }

    fn compile(
        p: &Parameters,
        place: Place,
        prefix: &str,
        catalogue: &mut Catalogue,
    ) -> (Checks, Vec<Diagnostic>) {
        let mut found = Vec::new();
        let mut list = |name: &str| {
            let name = format!("{prefix}{name}");
            let mut tables = Vec::new();
            let is_there = place != Place::Milter || name == "milter_header_checks";
            let words = if is_there { p.list(&name) } else { Vec::new() };
            for word in words {
                match catalogue.intern(&word) {
                    Ok(id) => tables.push(id),
                    Err(diagnostic) if found.contains(&diagnostic) => {}
                    Err(diagnostic) => found.push(diagnostic),
                }
            }
            List { name, tables }
        };
        let checks = Checks {
            place,
            header: list("header_checks"),
            mime: list("mime_header_checks"),
            nested: list("nested_header_checks"),
            body: list("body_checks"),
            body_bytes_max: match place {
                Place::Arrival => u64::try_from(p.number("body_checks_size_limit")).unwrap_or(0),
                Place::Delivery => u64::MAX,
                Place::Milter => 0,
            },
            passes_limit: !p.text("komainu_pattern_limit_action").value.eq_ignore_ascii_case("tempfail"),
        };
        (checks, found)
    }

    /// The same for mail that isn't checked (`no_header_body_checks`).
    #[must_use]
    pub fn off(mut self) -> Checks {
        for list in [&mut self.header, &mut self.mime, &mut self.nested, &mut self.body] {
            list.tables.clear();
        }
        self
    }

    /// Whether there is nothing to check.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        !self.has_headers() && self.body.tables.is_empty()
    }

    /// Whether any headers are checked.
    #[must_use]
    pub const fn has_headers(&self) -> bool {
        !(self.header.tables.is_empty() && self.mime.tables.is_empty() && self.nested.tables.is_empty())
    }

    /// Whether a line of text with so many bytes of its part before it is looked at.
    #[must_use]
    pub const fn reaches(&self, offset: u64) -> bool {
        offset < self.body_bytes_max && !self.body.tables.is_empty()
    }

    /// What the first table that has an answer says. Empty texts are never asked about.
    ///
    /// # Errors
    /// When a table can't say, or must be asked first.
    pub fn judge(
        &self,
        part: Part,
        text: &[u8],
        snapshot: &Snapshot,
    ) -> Result<Option<Judgement>, Box<Stopped>> {
        let list = self.list(part);
        if text.is_empty() {
            return Ok(None);
        }
        let mut late = None;
        for id in &list.tables {
            let table = snapshot.table(*id);
            let mut place = None;
            let found = match table.lookup_text(text) {
                Ok(found) => found.map(|hit| {
                    place = Some(hit.place);
                    hit.value
                }),
                Err(LookupError::Exceeded(exceeded)) if self.passes_limit => {
                    let Exceeded { text, is_first, otherwise } = *exceeded;
                    late = late.or_else(|| is_first.then_some(text));
                    otherwise.map(Cow::Owned)
                }
                Err(error) => return Err(Box::new(Stopped { name: list.name.clone(), error })),
            };
            if let Some(value) = found {
                let mut judgement = self.act(part, &list.name, &value);
                if judgement.effect == Some(Effect::Hold) {
                    // What is in no file has the place where main.cf names the table.
                    let place = place.filter(|place| place.path().is_some() && place.path() == table.file());
                    let line = place.map_or_else(String::new, |place| format!(", line {}", place.line()));
                    judgement.rule = Some(format!("{} {}{line}", list.name, table.name()));
                }
                judgement.warning = judgement.warning.or(late);
                return Ok(Some(judgement));
            }
        }
        Ok(late.map(Judgement::warning))
    }

    fn list(&self, part: Part) -> &List {
        match part {
            Part::Header(Class::Primary) => &self.header,
            Part::Header(Class::Mime) => &self.mime,
            Part::Header(Class::Nested) => &self.nested,
            Part::Body => &self.body,
        }
    }

    /// A table of these checks that can't say.
    #[must_use]
    pub fn stopped(&self, part: Part, error: LookupError) -> Stopped {
        Stopped { name: self.list(part).name.clone(), error }
    }

    /// What `value` says.
    fn act(&self, part: Part, list: &str, value: &[u8]) -> Judgement {
        let (word, text) = split(value);
        let shown = || String::from_utf8_lossy(value).into_owned();
        let odd = if self.place == Place::Arrival { "unknown" } else { "unsupported" };
        let unknown = || Judgement::warning(format!("{odd} command in {list} map: {}", shown()));
        let Some(action) = Action::of(word) else { return unknown() };
        if self.place == Place::Delivery && action.is_of_arrival() {
            return unknown();
        }
        if self.place == Place::Milter && action == Action::Pass {
            return unknown();
        }
        let said = |word| Some((word, text.to_vec()));
        let does =
            |word, effect| Judgement { effect: Some(effect), said: said(word), ..Judgement::default() };
        match action {
            Action::Dunno => Judgement::default(),
            Action::Warn => Judgement { said: said("warning"), ..Judgement::default() },
            Action::Info => Judgement { said: said("info"), ..Judgement::default() },
            Action::Ignore => Judgement { text: Text::Dropped, ..Judgement::default() },
            Action::Strip => Judgement { text: Text::Dropped, said: said("strip"), ..Judgement::default() },
            Action::Prepend if self.place == Place::Milter => Judgement {
                said: said("prepend"),
                warning: Some("the milter_header/body_checks prepend action is not implemented".to_owned()),
                ..Judgement::default()
            },
            Action::Replace | Action::Prepend => written(action, part, list, text),
            Action::Reject => reject(text),
            Action::Discard => does("discard", Effect::Discard),
            Action::Hold => does("hold", Effect::Hold),
            Action::Pass => does("pass", Effect::Pass),
            Action::Filter | Action::Redirect | Action::Bcc => sent(action, list, text),
        }
    }
}

impl Judgement {
    fn warning(text: String) -> Judgement {
        Judgement { warning: Some(text), ..Judgement::default() }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Action {
    Bcc,
    Discard,
    Dunno,
    Filter,
    Hold,
    Ignore,
    Info,
    Pass,
    Prepend,
    Redirect,
    Reject,
    Replace,
    Strip,
    Warn,
}

impl Action {
    fn of(word: &[u8]) -> Option<Action> {
        Some(match word.to_ascii_uppercase().as_slice() {
            b"BCC" => Action::Bcc,
            b"DISCARD" => Action::Discard,
            // OK is DUNNO's old name.
            b"DUNNO" | b"OK" => Action::Dunno,
            b"FILTER" => Action::Filter,
            b"HOLD" => Action::Hold,
            b"IGNORE" => Action::Ignore,
            b"INFO" => Action::Info,
            b"PASS" => Action::Pass,
            b"PREPEND" => Action::Prepend,
            b"REDIRECT" => Action::Redirect,
            b"REJECT" => Action::Reject,
            b"REPLACE" => Action::Replace,
            b"STRIP" => Action::Strip,
            b"WARN" => Action::Warn,
            _ => return None,
        })
    }

    const fn word(self) -> (&'static str, &'static str) {
        match self {
            Action::Replace => ("REPLACE", "replace"),
            Action::Prepend => ("PREPEND", "prepend"),
            Action::Filter => ("FILTER", "filter"),
            Action::Redirect => ("REDIRECT", "redirect"),
            _ => ("BCC", "bcc"),
        }
    }

    /// Whether only mail that comes in can have it.
    const fn is_of_arrival(self) -> bool {
        matches!(
            self,
            Action::Bcc
                | Action::Discard
                | Action::Filter
                | Action::Hold
                | Action::Pass
                | Action::Redirect
                | Action::Reject
        )
    }
}

/// The first word of a value, and what follows it.
fn split(value: &[u8]) -> (&[u8], &[u8]) {
    let value = value.trim_ascii_start();
    let end = value.iter().position(u8::is_ascii_whitespace).unwrap_or(value.len());
    let (word, rest) = value.split_at_checked(end).unwrap_or((value, &[]));
    (word, rest.trim_ascii_start())
}

/// REPLACE and PREPEND.
fn written(action: Action, part: Part, list: &str, text: &[u8]) -> Judgement {
    let (name, word) = action.word();
    if text.is_empty() {
        return Judgement::warning(format!("{name} action without text in {list} map"));
    }
    if matches!(part, Part::Header(_)) && mail::header::Header::parse(text).is_none() {
        let text = String::from_utf8_lossy(text);
        return Judgement::warning(format!(
            "bad {name} header text \"{text}\" in {list} map -- need \"headername: headervalue\""
        ));
    }
    let said = Some((word, text.to_vec()));
    let text = text.to_vec();
    let text = if action == Action::Replace { Text::Replaced(text) } else { Text::Prepended(text) };
    Judgement { text, said, ..Judgement::default() }
}

/// FILTER, REDIRECT and BCC.
fn sent(action: Action, list: &str, text: &[u8]) -> Judgement {
    let (name, word) = action.word();
    let target = String::from_utf8_lossy(text).into_owned();
    let (missing, needs) = match action {
        Action::Filter if text.is_empty() => (true, format!("missing {name} command argument in {list} map")),
        Action::Filter => (
            !target.contains(':'),
            format!("bad {name} command {target} in {list} -- need transport:destination"),
        ),
        Action::Redirect => (
            !target.contains('@'),
            format!("bad {name} target \"{target}\" in {list} map -- need user@domain"),
        ),
        _ => (
            !target.contains('@'),
            format!("bad {name} address \"{target}\" in {list} map -- need user@domain"),
        ),
    };
    if missing {
        return Judgement::warning(needs);
    }
    let said = Some((word, text.to_vec()));
    let effect = match action {
        Action::Filter => Effect::Filter(target),
        Action::Redirect => Effect::Redirect(target),
        _ => Effect::Bcc(target),
    };
    Judgement { effect: Some(effect), said, ..Judgement::default() }
}

fn reject(text: &[u8]) -> Judgement {
    let (word, behind) = split(text);
    let code = std::str::from_utf8(word).ok().and_then(Dsn::parse_prefix).map(|(dsn, _)| dsn);
    let (given, rest) = match code {
        Some(dsn) => (dsn, behind),
        None if text.is_empty() => (Dsn::new(5, 7, 1), REJECTED.as_bytes()),
        None => (Dsn::new(5, 7, 1), text),
    };
    let (dsn, warning) = if given.class == 2 {
        let text = String::from_utf8_lossy(text);
        let warning = format!("bad DSN action in {text} -- need 4.x.x or 5.x.x");
        (Dsn::new(4, given.subject, given.detail), Some(warning))
    } else {
        (given, None)
    };
    let said = [format!("{dsn} ").as_bytes(), rest].concat();
    let code = if dsn.class == 4 { 451 } else { 550 };
    let reply = Reply::new(code, dsn, spelt(rest));
    Judgement {
        effect: Some(Effect::Reject(reply)),
        said: Some(("reject", said)),
        warning,
        ..Judgement::default()
    }
}

/// A text for a client: control characters and bytes that are no text become blanks.
fn spelt(text: &[u8]) -> String {
    let mut out = String::new();
    for chunk in text.utf8_chunks() {
        out.extend(chunk.valid().chars().map(|c| if c.is_ascii_control() { ' ' } else { c }));
        out.extend(chunk.invalid().iter().map(|_| ' '));
    }
    out
}
