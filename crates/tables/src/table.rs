//! One compiled table, and what a lookup gives.
//!
//! A table answers "this value", "nothing", or that it can't say; the last is never taken for the second.
//! Indexed types fold the key's case, patterns and networks take it as it is. Only the whole key is asked: the
//! searches of access(5) with parts of it are the caller's.

use crate::catalogue::{Kind, TableSpec};
use crate::cidr::Cidr;
use crate::indexed::{Indexed, fold};
use crate::remote::{Answers, Remote};
use crate::rules::{self, Rules};
use crate::sources::Accounts;
use config::{Place, SourceFile};
use std::borrow::Cow;
use std::hash::{BuildHasher, RandomState};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hit<'t> {
    /// The value, `$1` and the like replaced.
    pub value: Cow<'t, str>,
    /// The line that gave it.
    pub place: Place,
}

/// What was found for a line of a message, which may be no UTF-8.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TextHit<'t> {
    /// The value, `$1` and the like replaced.
    pub value: Cow<'t, [u8]>,
    /// The line that gave it.
    pub place: Place,
}

/// Why there is no answer: neither "found" nor "not found". Postfix answers 451 4.3.0 or 4.3.5.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LookupError {
    /// The table could not be read or understood, and no earlier good one exists.
    #[error("{table} is unavailable. {reason}")]
    Unavailable {
        /// `type:name`.
        table: String,
        /// Why, in Postfix's words.
        reason: String,
    },
    /// This lookup failed (`fail:`, a pattern that ran too long).
    #[error("{table} lookup error for \"{}\"", shown(key))]
    Failed {
        /// `type:name`.
        table: String,
        /// What was asked.
        key: String,
    },
    /// The table is behind a socket and hasn't been asked about the key: no failure, but a question.
    #[error("{table} has not been asked for {key:?}")]
    Unasked {
        /// Which.
        table: Arc<Remote>,
        /// What to ask.
        key: String,
    },
    /// A pattern took too many steps on a text.
    #[error("{}", .0.text)]
    Exceeded(Box<Exceeded>),
    /// The table needs a library that this crate hasn't.
    #[error("{table}: this table type is not served yet")]
    NeedsDriver {
        /// `type:name`.
        table: String,
    },
}

/// A pattern that took too many steps, as Postfix's engine would have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exceeded {
    /// Postfix's words.
    pub text: String,
    /// Nobody has been told of this table yet.
    pub is_first: bool,
    /// What the other rules say of the text.
    pub otherwise: Option<Vec<u8>>,
}

impl LookupError {
    /// It has been told before, and is told once.
    #[must_use]
    pub fn is_old(&self) -> bool {
        matches!(self, LookupError::Exceeded(exceeded) if !exceeded.is_first)
    }
}

/// A key in one line.
fn shown(key: &str) -> String {
    key.replace(char::is_control, "?")
}

/// One table, compiled.
#[derive(Debug)]
pub struct Table {
    pub(crate) name: String,
    pub(crate) place: Place,
    pub(crate) file: Option<Arc<SourceFile>>,
    pub(crate) body: Body,
    /// Lines of its source that have no effect.
    pub(crate) losses: usize,
}

#[derive(Debug)]
pub(crate) enum Body {
    Broken(String),
    Foreign,
    Remote(Arc<Remote>),
    Fail,
    Indexed(Indexed),
    Environment(Indexed),
    Cidr(Cidr),
    Rules(Rules),
    Static(String),
    Random { values: Vec<String>, turn: AtomicU64 },
    Union(Vec<Arc<Table>>),
    Pipe(Vec<Arc<Table>>),
    Users(Arc<dyn Accounts>),
    Groups(Arc<dyn Accounts>),
}

impl Table {
    pub(crate) fn new(spec: &TableSpec, body: Body) -> Table {
        Table { name: spec.to_string(), place: spec.place.clone(), file: None, body, losses: 0 }
    }

    /// What the table says about `key`.
    ///
    /// # Errors
    /// When it can't say, or is behind a socket.
    pub fn lookup<'t>(&'t self, key: &str) -> Result<Option<Hit<'t>>, LookupError> {
        self.search(key, None)
    }

    /// As [`Table::lookup`], with what tables behind sockets have said.
    pub(crate) fn search<'t>(
        &'t self,
        key: &str,
        answers: Option<&'t Answers>,
    ) -> Result<Option<Hit<'t>>, LookupError> {
        let failed = || LookupError::Failed { table: self.name.clone(), key: key.to_owned() };
        let here = |value: Cow<'t, str>| Some(Hit { value, place: self.place.clone() });
        Ok(match &self.body {
            Body::Broken(reason) => {
                let (table, reason) = (self.name.clone(), reason.clone());
                return Err(LookupError::Unavailable { table, reason });
            }
            Body::Foreign => return Err(LookupError::NeedsDriver { table: self.name.clone() }),
            Body::Remote(table) => match answers.and_then(|answers| answers.said(table, key)) {
                None => return Err(LookupError::Unasked { table: Arc::clone(table), key: key.to_owned() }),
                Some(None) => return Err(failed()),
                Some(Some(said)) => said.and_then(|value| here(Cow::Borrowed(value))),
            },
            Body::Fail => return Err(failed()),
            Body::Indexed(indexed) if indexed.is_malformed(key) => return Err(failed()),
            Body::Indexed(indexed) => indexed.find(key).map(|entry| Hit {
                value: Cow::Borrowed(&*entry.value),
                place: self.at(entry.start, entry.end),
            }),
            Body::Environment(indexed) => {
                indexed.find(key).and_then(|entry| here(Cow::Borrowed(&*entry.value)))
            }
            Body::Cidr(cidr) => cidr.find(key).map(|found| Hit {
                value: Cow::Borrowed(&*found.value),
                place: self.at(found.start, found.end),
            }),
            Body::Rules(rules) => rules
                .find(key)
                .map_err(|_| failed())?
                .map(|found| Hit { place: self.at(found.start, found.end), value: found.value }),
            Body::Static(value) => here(Cow::Borrowed(value)),
            Body::Random { values, turn } => {
                // With answers at hand the evaluation may be one that starts anew: it draws the same again.
                let turn = answers.map_or_else(|| turn.fetch_add(1, Ordering::Relaxed), Answers::seed);
                draw(values, turn).and_then(|value| here(Cow::Borrowed(value)))
            }
            Body::Union(members) => union(members, key, answers)?,
            Body::Pipe(members) => pipe(members, key, answers)?,
            Body::Users(accounts) => {
                accounts.passwd(&fold(key)).map_err(|_| failed())?.and_then(|l| here(l.into()))
            }
            Body::Groups(accounts) => {
                accounts.group(&fold(key)).map_err(|_| failed())?.and_then(|l| here(l.into()))
            }
        })
    }

    /// What the table says about a line of a message: fixed keys with their case as it is, patterns on its bytes.
    pub(crate) fn search_text<'t>(
        &'t self,
        text: &[u8],
        answers: Option<&'t Answers>,
    ) -> Result<Option<TextHit<'t>>, LookupError> {
        if let Body::Rules(rules) = &self.body {
            let failed = |exceeded: Box<rules::Exceeded<'_>>| {
                let (kind, name) = self.name.split_once(':').unwrap_or(("", &self.name));
                let line = self.at(exceeded.at, exceeded.at).line();
                let text = format!("{kind} map {name}, line {line}: match limit exceeded");
                let otherwise = exceeded.otherwise.map(|found| found.value.into_owned());
                LookupError::Exceeded(Box::new(Exceeded { text, is_first: exceeded.is_first, otherwise }))
            };
            let found = rules.find_bytes(text).map_err(failed)?;
            return Ok(
                found.map(|found| TextHit { place: self.at(found.start, found.end), value: found.value })
            );
        }
        let key = String::from_utf8_lossy(text);
        let hit = match &self.body {
            Body::Indexed(_) => self.lookup_exact(&key)?,
            _ => self.search(&key, answers)?,
        };
        Ok(hit.map(|hit| {
            let value = match hit.value {
                Cow::Borrowed(value) => Cow::Borrowed(value.as_bytes()),
                Cow::Owned(value) => Cow::Owned(value.into_bytes()),
            };
            TextHit { value, place: hit.place }
        }))
    }

    /// As [`Table::lookup`], a fixed key with its case as it is (`postmap -f`).
    ///
    /// # Errors
    /// When it can't say.
    pub fn lookup_exact<'t>(&'t self, key: &str) -> Result<Option<Hit<'t>>, LookupError> {
        match &self.body {
            Body::Indexed(indexed) if !indexed.is_malformed(key) => {
                Ok(indexed.find_exact(key).map(|entry| Hit {
                    value: Cow::Borrowed(&*entry.value),
                    place: self.at(entry.start, entry.end),
                }))
            }
            _ => self.lookup(key),
        }
    }

    /// A stretch of the source.
    pub(crate) fn at(&self, start: usize, end: usize) -> Place {
        self.file.as_ref().map_or_else(|| self.place.clone(), |file| Place::new(file, start, end))
    }

    /// `type:name`, as Postfix's log writes it.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The file that it was read from: the text, or the database that postmap made of it.
    #[must_use]
    pub fn file(&self) -> Option<&Path> {
        self.file.as_ref().map(|file| file.path.as_path())
    }

    /// How many entries or rules it has.
    #[must_use]
    pub fn entries(&self) -> usize {
        match &self.body {
            Body::Indexed(indexed) => indexed.len(),
            Body::Cidr(cidr) => cidr.len(),
            Body::Rules(rules) => rules.len(),
            Body::Random { values, .. } => values.len(),
            Body::Union(members) | Body::Pipe(members) => members.iter().map(|member| member.entries()).sum(),
            Body::Static(_) => 1,
            _ => 0,
        }
    }

    /// Whether every lookup fails for want of a source.
    #[must_use]
    pub fn is_broken(&self) -> bool {
        matches!(self.body, Body::Broken(_))
    }

    /// Whether two lookups of one key may give two answers (`randmap:`): a caller that asks again must remember.
    #[must_use]
    pub fn is_random(&self) -> bool {
        match &self.body {
            Body::Random { .. } => true,
            Body::Union(members) | Body::Pipe(members) => members.iter().any(|member| member.is_random()),
            _ => false,
        }
    }

    /// Whether its keys are fixed texts, so that parts of a key (parent domains, networks) are worth asking. Patterns,
    /// networks and tables behind sockets see the whole key.
    #[must_use]
    pub fn has_fixed_keys(&self) -> bool {
        match &self.body {
            Body::Cidr(_) | Body::Rules(_) | Body::Remote(_) => false,
            Body::Union(members) | Body::Pipe(members) => {
                members.iter().all(|member| member.has_fixed_keys())
            }
            _ => true,
        }
    }

    /// All pairs, for `postmap -s`; `None` where the type can't list them.
    #[must_use]
    pub fn pairs(&self) -> Option<Vec<(&str, &str)>> {
        match &self.body {
            Body::Indexed(indexed) => Some(indexed.pairs()),
            _ => None,
        }
    }
}

/// A choice among `values`: a counter through a keyed hash, so no two processes draw alike.
fn draw(values: &[String], turn: u64) -> Option<&str> {
    static KEY: std::sync::OnceLock<RandomState> = std::sync::OnceLock::new();
    let drawn = KEY.get_or_init(RandomState::new).hash_one(turn);
    let index = drawn.checked_rem(u64::try_from(values.len()).ok()?)?;
    values.get(usize::try_from(index).ok()?).map(String::as_str)
}

fn union<'t>(
    members: &'t [Arc<Table>],
    key: &str,
    answers: Option<&'t Answers>,
) -> Result<Option<Hit<'t>>, LookupError> {
    let mut union: Option<Hit<'t>> = None;
    for member in members {
        let Some(hit) = member.search(key, answers)? else { continue };
        match &mut union {
            None => union = Some(hit),
            Some(found) => {
                let value = found.value.to_mut();
                value.push(',');
                value.push_str(&hit.value);
            }
        }
    }
    Ok(union)
}

fn pipe<'t>(
    members: &'t [Arc<Table>],
    key: &str,
    answers: Option<&'t Answers>,
) -> Result<Option<Hit<'t>>, LookupError> {
    let mut last: Option<Hit<'t>> = None;
    for member in members {
        let asked = last.as_ref().map_or(key, |hit| hit.value.as_ref());
        match member.search(asked, answers)? {
            Some(hit) => last = Some(hit),
            None => return Ok(None),
        }
    }
    Ok(last)
}

/// Whether tables of this kind have a source file whose edits are watched and held back when they look broken.
pub(crate) fn has_source(kind: Kind) -> bool {
    kind.is_indexed() || matches!(kind, Kind::Texthash | Kind::Cidr | Kind::Regexp | Kind::Pcre)
}
