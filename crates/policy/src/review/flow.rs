//! Whether somebody's mail may come through all lists together, and by whose favour: lists are walked with every
//! ending that each check may have ([`outcomes`](super::outcomes)).
//!
//! Where a path needs a line of a table that the client's own words hit (sender, HELO), one of these lines is then
//! picked and everything walked anew, so that two tables must agree on one sender. Patterns can't be picked: theirs
//! is believed. Postfix's order of relay and recipient list, `smtpd_delay_reject`, classes and `warn_if_reject` are
//! the evaluator's (T2.4, T2.11).

use super::Case;
use super::outcomes::{End, Ending, Spot, bare, may_permit, spelled, table};
use super::persona::{Persona, Word};
use crate::check::{self, Check, Entry, Plain};
use crate::decision::TableLine;
use crate::transaction::{Stage, Transaction};
use std::collections::HashMap;
use tables::TableId;

/// Words of one kind that are picked.
const PICKS_MAX: usize = 64;
/// Walks for one question; beyond, what was found is believed.
const WALKS_MAX: u32 = 400;
/// How deep classes may nest.
const DEPTH_MAX: u32 = 100;

/// What let somebody pass: a check that said OK.
#[derive(Clone, Debug)]
pub(super) struct Favour {
    pub(super) stage: Stage,
    pub(super) entry: Entry,
    pub(super) line: Option<TableLine>,
    /// It stands in what a table's line names; that table's check is a favour, too.
    pub(super) within: bool,
}

/// A way through, so far.
#[derive(Clone, Debug, Default)]
struct Path {
    discard: bool,
    favours: Vec<Favour>,
}

/// What became of somebody's mail.
#[derive(Debug)]
pub(super) enum Course {
    /// It may pass, by these favours; by none where nothing stops it.
    Passes(Vec<Favour>),
    /// It is refused whatever the world answers; by this, in this list.
    Refused(Option<(Stage, Entry)>),
}

/// The walks for one persona.
pub(super) struct Walker<'s> {
    case: &'s Case<'s>,
    persona: Persona,
    /// Checks whose OK doesn't count.
    without: Vec<Entry>,
    walks: u32,
}

/// One walk.
struct Walk<'w> {
    case: &'w Case<'w>,
    persona: &'w Persona,
    without: Option<&'w [Entry]>,
    known: HashMap<(usize, Stage, bool), Ends>,
    /// What ended the last list that could not be passed, the innermost.
    refusal: Option<(Stage, Entry)>,
    /// The first of them that nothing went round.
    closed: Option<(Stage, Entry)>,
}

/// Where a list is walked.
#[derive(Clone, Copy)]
struct At<'t> {
    stage: Stage,
    tx: &'t Transaction,
    /// `warn_if_reject` stands before it.
    warned: bool,
    depth: u32,
}

/// The ways in which a list ends.
#[derive(Clone, Debug, Default)]
struct Ends {
    through: Vec<Path>,
    permit: Vec<Path>,
}

/// Whether they are the same words at the same place.
pub(super) fn same(one: &Entry, other: &Entry) -> bool {
    one.place == other.place && one.text == other.text
}

fn add(paths: &mut Vec<Path>, path: Path) {
    if !paths.iter().any(|other| other.discard == path.discard) {
        paths.push(path);
    }
}

fn joined(path: &Path, more: &Path) -> Path {
    let mut path = path.clone();
    path.discard |= more.discard;
    path.favours.extend(more.favours.iter().cloned());
    path
}

impl<'s> Walker<'s> {
    pub(super) const fn new(case: &'s Case<'s>, persona: Persona, without: Vec<Entry>) -> Walker<'s> {
        Walker { case, persona, without, walks: 0 }
    }

    /// What becomes of this persona's mail.
    pub(super) fn course(&mut self) -> Course {
        self.walks = 0;
        let (persona, without) = (self.persona.clone(), self.without.clone());
        self.settle(&persona, without)
    }

    /// Whether nothing stops this persona's mail, though no check said OK to it.
    pub(super) fn is_unhindered(&self) -> bool {
        matches!(self.walk(&self.persona, None), Course::Passes(_))
    }

    /// Walks, and picks words until the path holds with them.
    fn settle(&mut self, persona: &Persona, mut without: Vec<Entry>) -> Course {
        loop {
            self.walks += 1;
            let course = self.walk(persona, Some(&without));
            let Course::Passes(favours) = &course else { return course };
            if self.walks > WALKS_MAX {
                return course;
            }
            let open =
                favours.iter().find_map(|favour| Some((favour.entry.clone(), chosen(favour, persona)?)));
            let Some((entry, word)) = open else { return course };
            let Some(keys) = self.words(word) else { return course };
            for key in keys {
                let text = spelled(word, &key);
                let mut picked = persona.clone();
                if word == check::Subject::Helo {
                    picked.helo = Some(Word::Text(text));
                } else {
                    picked.sender = Word::Text(text);
                }
                let course = self.settle(&picked, without.clone());
                if matches!(course, Course::Passes(_)) {
                    return course;
                }
            }
            without.push(entry);
        }
    }

    /// Every word of a kind that some table knows, those that are let pass first; `None` where they can't be picked,
    /// or are too many.
    fn words(&self, word: check::Subject) -> Option<Vec<String>> {
        let policy = self.case.policy;
        let (mut liked, mut others) = (Vec::new(), Vec::new());
        if word == check::Subject::Helo {
            others.push("243.0.113.77".to_owned());
        }
        let lists = policy.lists.iter().map(|(stage, list)| (Some(*stage), list));
        for (stage, list) in lists.chain(policy.classes.iter().map(|list| (None, list))) {
            for entry in list {
                let asks = match entry.check {
                    Check::Access { subject, .. } => subject == word,
                    Check::BareTable(_) => stage.is_none_or(|stage| bare(stage) == Some(word)),
                    _ => false,
                };
                if !asks {
                    continue;
                }
                let present = |table: &TableId| !self.case.snapshot.table(*table).is_broken();
                let Some(table) = table(&entry.check).filter(present) else { continue };
                // What is behind a socket may be any word.
                for row in self.case.rows(table)?.iter() {
                    let may = may_permit(&row.value);
                    match row.key.clone() {
                        Some(key) if may => liked.push(key),
                        Some(key) => others.push(key),
                        None if may => return None,
                        None => {}
                    }
                }
            }
        }
        if liked.len() + others.len() <= PICKS_MAX {
            liked.extend(others);
        }
        (liked.len() <= PICKS_MAX).then_some(liked)
    }

    /// `without`: checks whose OK doesn't count; `None` for all.
    fn walk(&self, persona: &Persona, without: Option<&[Entry]>) -> Course {
        let mut walk =
            Walk { case: self.case, persona, without, known: HashMap::new(), refusal: None, closed: None };
        let settings = &self.case.policy.settings;
        let mut order = [Stage::Relay, Stage::Recipient];
        if !settings.relay_first {
            order.reverse();
        }
        let mut paths = vec![Path::default()];
        let early = [Stage::Client, Stage::Helo, Stage::Sender];
        for stage in early.into_iter().chain(order).chain([Stage::Data, Stage::EndOfData]) {
            if stage == Stage::Helo && persona.helo.is_none() {
                continue;
            }
            let delayed = settings.delay_reject && early.contains(&stage);
            let tx = persona.transaction(stage, delayed);
            paths = walk.list(stage, &tx, &paths);
        }
        match paths.into_iter().find(|path| !path.discard) {
            Some(path) => Course::Passes(path.favours),
            None => Course::Refused(walk.closed),
        }
    }
}

/// What the client may choose for this favour's sake, where that is still free.
fn chosen(favour: &Favour, persona: &Persona) -> Option<check::Subject> {
    let subject = match favour.entry.check {
        Check::Plain(Plain::PermitNakedIpAddress) => check::Subject::Helo,
        Check::Access { subject, .. } => subject,
        Check::BareTable(_) => bare(favour.stage)?,
        _ => return None,
    };
    let free = match subject {
        check::Subject::Sender => persona.sender == Word::Any,
        check::Subject::Helo => persona.helo == Some(Word::Any),
        _ => false,
    };
    free.then_some(subject)
}

impl Walk<'_> {
    fn list(&mut self, stage: Stage, tx: &Transaction, paths: &[Path]) -> Vec<Path> {
        let policy = self.case.policy;
        let list = policy.lists.get(&stage).map_or(&[][..], Vec::as_slice);
        self.refusal = None;
        let ends = self.run(list, At { stage, tx, warned: false, depth: 0 });
        if ends.through.is_empty() && ends.permit.is_empty() {
            self.closed = self.closed.take().or(self.refusal.take());
        }
        let mut passed = Vec::new();
        for path in paths {
            for more in ends.through.iter().chain(&ends.permit) {
                add(&mut passed, joined(path, more));
            }
        }
        passed
    }

    /// The ways in which a list ends, other than by a refusal.
    fn run(&mut self, list: &[Entry], at: At<'_>) -> Ends {
        if at.depth > DEPTH_MAX {
            return Ends::default();
        }
        let mut ends = Ends { through: vec![Path::default()], permit: Vec::new() };
        let mut warned = at.warned;
        for entry in list {
            if matches!(entry.check, Check::Plain(Plain::WarnIfReject)) {
                warned = true;
                continue;
            }
            let one = self.one(entry, At { warned, ..at });
            warned = at.warned;
            let mut through = Vec::new();
            for path in &ends.through {
                for more in &one.through {
                    add(&mut through, joined(path, more));
                }
                for more in &one.permit {
                    add(&mut ends.permit, joined(path, more));
                }
            }
            ends.through = through;
            if ends.through.is_empty() {
                self.refusal.get_or_insert_with(|| (at.stage, entry.clone()));
                break;
            }
        }
        ends
    }

    fn one(&mut self, entry: &Entry, at: At<'_>) -> Ends {
        if let Check::Class(class) = entry.check {
            return self.class(class, at);
        }
        let spot = Spot { case: self.case, persona: self.persona, stage: at.stage, tx: at.tx };
        let mut ends = Ends::default();
        for ending in spot.endings(entry, at.warned) {
            let (end, discard, line) = match ending {
                Ending::Plain(end) => (end, false, None),
                Ending::Line(end, line) => (end, false, Some(line)),
                Ending::Discard => (End::Permit, true, None),
                Ending::Nested(list, line) => {
                    let more = self.run(&list, At { depth: at.depth + 1, ..at });
                    for path in more.through {
                        add(&mut ends.through, path);
                    }
                    if let Some(path) = more.permit.into_iter().find(|path| !path.discard) {
                        let own =
                            Favour { stage: at.stage, entry: entry.clone(), line: Some(line), within: false };
                        let inner = path.favours.into_iter().map(|inner| Favour { within: true, ..inner });
                        self.permitted(&mut ends, std::iter::once(own).chain(inner).collect(), false);
                    }
                    continue;
                }
            };
            match end {
                End::Through => add(&mut ends.through, Path { discard, favours: Vec::new() }),
                End::Permit => {
                    let own = Favour { stage: at.stage, entry: entry.clone(), line, within: false };
                    self.permitted(&mut ends, vec![own], discard);
                }
                End::Refuse => {}
            }
        }
        ends
    }

    fn class(&mut self, class: usize, at: At<'_>) -> Ends {
        let key = (class, at.stage, at.warned);
        if let Some(known) = self.known.get(&key) {
            return known.clone();
        }
        // A class that leads back to itself answers 451.
        self.known.insert(key, Ends::default());
        let policy = self.case.policy;
        let list = policy.classes.get(class).map_or(&[][..], Vec::as_slice);
        let ends = self.run(list, At { depth: at.depth + 1, ..at });
        self.known.insert(key, ends.clone());
        ends
    }

    /// An OK that doesn't count is no word at all.
    fn permitted(&self, ends: &mut Ends, favours: Vec<Favour>, discard: bool) {
        let is = |entry: &Entry| favours.first().is_some_and(|favour| same(entry, &favour.entry));
        let counts = self.without.is_some_and(|without| !without.iter().any(is));
        match counts {
            true => add(&mut ends.permit, Path { discard, favours }),
            false => add(&mut ends.through, Path { discard: false, favours: Vec::new() }),
        }
    }
}
