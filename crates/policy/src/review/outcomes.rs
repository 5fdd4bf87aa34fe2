//! How one check may end for somebody: by the evaluator itself, once for each answer that the world might give.
//!
//! What a stranger chooses freely is tried with every line of the table that knows it. A check that may defer "if
//! permitted" counts as a refusal: that deferral always falls due. Answers aren't tied together from check to check:
//! two checks may suppose opposite answers to one question, so "may" is said rather too often than too seldom.

use super::Case;
use super::persona::{Persona, Word};
use crate::access::Search;
use crate::check::{Check, Entry, Plain, Subject};
use crate::decision::TableLine;
use crate::eval::{Evaluation, Status};
use crate::facts::{Answer, Effect, Facts, Need, Question, Record, RecordKind};
use crate::transaction::{Request, Stage, Transaction};
use config::{Place, Spanned};
use std::collections::HashSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use tables::{Row, TableId};

/// Answers that are tried for one check.
const TRIES_MAX: usize = 256;
/// Values of one table that are tried, each different.
const VALUES_MAX: usize = 200;

/// One way in which a check may end.
#[derive(Clone, Debug)]
pub(super) enum Ending {
    /// By itself.
    Plain(End),
    /// By the line of a table.
    Line(End, TableLine),
    /// By the restrictions that a line of a table names.
    Nested(Vec<Entry>, TableLine),
    /// The mail would be thrown away.
    Discard,
}

/// What a check or a list comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// On to the next.
    Through,
    /// The list is left.
    Permit,
    /// The mail is refused, now or when it falls due.
    Refuse,
}

/// Where a check is looked at.
pub(super) struct Spot<'a> {
    pub(super) case: &'a Case<'a>,
    pub(super) persona: &'a Persona,
    pub(super) stage: Stage,
    pub(super) tx: &'a Transaction,
}

impl Spot<'_> {
    /// How `entry`, which is no class, may end.
    pub(super) fn endings(&self, entry: &Entry, warned: bool) -> Vec<Ending> {
        let both = || vec![Ending::Plain(End::Through), Ending::Plain(End::Permit)];
        match entry.check {
            Check::Plain(Plain::PermitMxBackup) if self.persona.listed_too && self.tx.recipient.is_some() => {
                both()
            }
            Check::Plain(Plain::PermitNakedIpAddress)
                if self.persona.helo == Some(Word::Any) && self.tx.helo.is_some() =>
            {
                both()
            }
            Check::Access { subject, table } => self.access(subject, table, warned),
            Check::BareTable(table) => match bare(self.stage) {
                Some(subject) => self.access(subject, table, warned),
                None => vec![Ending::Plain(End::Refuse)],
            },
            _ if table(&entry.check).is_some_and(|table| self.case.snapshot.table(table).is_broken()) => {
                vec![Ending::Plain(End::Through)]
            }
            _ => self.tried(entry, warned).into_iter().map(Ending::Plain).collect(),
        }
    }

    /// A table by a key. What one that isn't there would say is not known; that it isn't there is said elsewhere.
    fn access(&self, subject: Subject, table: TableId, warned: bool) -> Vec<Ending> {
        let through = || Ending::Plain(End::Through);
        let seat = self.case.snapshot.table(table);
        if seat.is_broken() {
            return vec![through()];
        }
        let free = match subject {
            Subject::Client => self.persona.listed_too,
            Subject::Helo => self.persona.helo == Some(Word::Any) && self.tx.helo.is_some(),
            Subject::Sender => self.persona.sender == Word::Any && self.tx.sender.is_some(),
            Subject::Recipient => self.persona.recipient == Word::Any && self.tx.recipient.is_some(),
            _ => false,
        };
        let mut endings = match self.hit(subject, table) {
            Hit::Line(line) => vec![self.line(line, subject, warned)],
            Hit::Nothing => vec![through()],
            // Whoever is behind that socket may know more than anybody here.
            Hit::Unknown if matches!(subject, Subject::Client | Subject::Recipient) && !free => {
                vec![through()]
            }
            Hit::Unknown => {
                let (table, place) = (seat.name().to_owned(), Place::nowhere());
                let line = TableLine { table, key: String::new(), value: "OK".to_owned(), place };
                vec![through(), self.line(line, subject, warned)]
            }
        };
        if free {
            endings
                .extend(self.lines(subject, table).into_iter().map(|line| self.line(line, subject, warned)));
        }
        endings.sort_by_key(|ending| !matches!(ending, Ending::Plain(End::Through)));
        endings
    }

    /// The line that answers what is said now.
    fn hit(&self, subject: Subject, table: TableId) -> Hit {
        let facts = Facts::new(Arc::clone(self.case.snapshot));
        let mut e = Evaluation::new(self.case.policy, self.tx, &facts, request(self.stage));
        e.stage = self.stage;
        let outer = e.about(Subject::of_list(self.stage));
        let about = e.about(subject);
        let asked = match e.access_keys(subject, table, &outer) {
            Ok(Ok(Some(asked))) => asked,
            Ok(Ok(None) | Err(())) => return Hit::Nothing,
            Err(Need(_)) => return Hit::Unknown,
        };
        match e.search(table, &asked.keys, &about) {
            Ok(Search::Found { .. }) => e.line.take().map_or(Hit::Nothing, Hit::Line),
            Ok(Search::Nothing | Search::Failed(_)) => Hit::Nothing,
            Err(Need(_)) => Hit::Unknown,
        }
    }

    /// What a line comes to.
    fn line(&self, line: TableLine, subject: Subject, warned: bool) -> Ending {
        let refused = |end| if warned { End::Through } else { end };
        let value = line.value.as_str();
        let (word, text) = value.split_once([' ', '\t']).unwrap_or((value, ""));
        let permits = word.eq_ignore_ascii_case("OK") || (is_number(word) && text.trim().is_empty());
        if refuses(value) {
            return Ending::Plain(refused(End::Refuse));
        }
        if permits {
            let end = if subject == Subject::ReverseClient { End::Refuse } else { End::Permit };
            return Ending::Line(end, line);
        }
        if word.eq_ignore_ascii_case("DISCARD") {
            return if self.tx.sender.is_some() { Ending::Discard } else { Ending::Plain(End::Through) };
        }
        if !may_permit(value) {
            return Ending::Plain(End::Through);
        }
        if value.contains(':') {
            return Ending::Plain(End::Refuse);
        }
        let words = config::split_words(Spanned::new(value.to_owned(), Place::nowhere()));
        let mut names = crate::compile::RunTime { policy: self.case.policy };
        Ending::Nested(crate::parse::entries(&words, bare(self.stage), &mut names), line)
    }

    /// Lines of a table that may let pass, each value once.
    fn lines(&self, subject: Subject, table: TableId) -> Vec<TableLine> {
        let seat = self.case.snapshot.table(table);
        let mut seen = HashSet::new();
        let mut lines = Vec::new();
        let foreign = |row: &Row| row.key.as_ref().is_none_or(|key| self.case.is_foreign(key));
        for row in self.case.rows(table).iter().flat_map(|rows| rows.iter()) {
            if seen.contains(row.value.as_str()) || (subject == Subject::Recipient && !foreign(row)) {
                continue;
            }
            seen.insert(row.value.clone());
            lines.push(TableLine {
                table: seat.name().to_owned(),
                key: row.key.clone().unwrap_or_default(),
                value: row.value.clone(),
                place: row.place.clone(),
            });
            if lines.len() >= VALUES_MAX {
                break;
            }
        }
        lines
    }

    /// How a check may end, whatever the world answers: by the evaluator itself.
    fn tried(&self, entry: &Entry, warned: bool) -> Vec<End> {
        let mut ends = Vec::new();
        let mut open = vec![Facts::new(Arc::clone(self.case.snapshot))];
        let mut tries = 0;
        while let Some(facts) = open.pop() {
            tries += 1;
            let end = if tries > TRIES_MAX { Ok(End::Through) } else { self.once(entry, &facts, warned) };
            match end {
                Ok(end) => {
                    if !ends.contains(&end) {
                        ends.push(end);
                    }
                    if tries > TRIES_MAX {
                        break;
                    }
                }
                Err(Need(question)) => {
                    for answer in self.answers(&question, entry) {
                        let mut more = facts.clone();
                        more.learn(question.clone(), answer);
                        open.push(more);
                    }
                }
            }
        }
        // Going through asks nobody's favour: it comes first.
        ends.sort_by_key(|end| *end != End::Through);
        ends
    }

    fn once(&self, entry: &Entry, facts: &Facts, warned: bool) -> Result<End, Need> {
        let mut e = Evaluation::new(self.case.policy, self.tx, facts, request(self.stage));
        e.stage = self.stage;
        let about = e.about(Subject::of_list(self.stage));
        let status = e.single(entry, &about, warned)?;
        Ok(match status {
            Status::Reject => End::Refuse,
            _ if e.defer_if_permit.is_some() => End::Refuse,
            Status::Permit => End::Permit,
            Status::Dunno => End::Through,
        })
    }

    /// The answers that somebody might get.
    fn answers(&self, question: &Question, entry: &Entry) -> Vec<Answer> {
        let host = Ipv4Addr::new(198, 51, 100, 9);
        match question {
            Question::HostName(_) => vec![Answer::NoName],
            Question::HostAddresses(_) => vec![Answer::Addresses(vec![IpAddr::V4(host)]), Answer::NoName],
            Question::Dns { kind, .. } => match (&entry.check, kind) {
                (Check::Blocklist { .. } | Check::MapsRbl(_), _) => vec![Answer::NoName],
                (Check::Allowlist { zone, .. }, RecordKind::A) => {
                    let listed = zone.filter.as_ref().map_or(Ipv4Addr::new(127, 0, 0, 2), |f| f.example());
                    vec![Answer::NoName, Answer::Records(vec![Record::A(listed)])]
                }
                (_, kind) => vec![Answer::NoName, record(*kind, host)],
            },
            Question::ZoneHealth(_) => vec![Answer::Healthy(true)],
            Question::Lookup { .. } => vec![Answer::Value(None)],
            Question::Effect { effect: Effect::Sleep(_), .. } => vec![Answer::Done],
            // It never permits.
            Question::Effect { effect: Effect::Verify { .. }, .. } => {
                let found = crate::Deliverability::Deliverable;
                vec![Answer::Verified(crate::Verified { found, text: String::new() })]
            }
            Question::Effect { effect: Effect::PolicyService { .. }, .. } => {
                let actions: &[&str] = if self.persona.vouched { &["DUNNO", "OK"] } else { &["DUNNO"] };
                actions.iter().map(|action| Answer::Action((*action).to_owned())).collect()
            }
        }
    }
}

/// What a table says now.
enum Hit {
    Line(TableLine),
    Nothing,
    /// It is behind a socket.
    Unknown,
}

fn is_number(word: &str) -> bool {
    !word.is_empty() && word.bytes().all(|b| b.is_ascii_digit())
}

/// A record of a host that is nobody's.
fn record(kind: RecordKind, host: Ipv4Addr) -> Answer {
    let name = || "host.stranger.example".to_owned();
    Answer::Records(vec![match kind {
        RecordKind::A => Record::A(host),
        RecordKind::Aaaa => Record::Aaaa(Ipv6Addr::new(0x2a0e, 0x97c0, 0x33, 0x7, 0, 0, 0, 9)),
        RecordKind::Mx => Record::Mx { preference: 10, host: name() },
        RecordKind::Ns => Record::Ns(name()),
        RecordKind::Txt => Record::Txt(String::new()),
        RecordKind::Soa => Record::Soa { primary: name(), contact: name() },
        RecordKind::Cname => Record::Cname(name()),
        RecordKind::Ptr => Record::Ptr(name()),
    }])
}

/// The command at which a list is evaluated.
const fn request(stage: Stage) -> Request {
    match stage {
        Stage::Data => Request::Data,
        Stage::EndOfData => Request::EndOfData,
        Stage::Etrn => Request::Etrn,
        _ => Request::Rcpt,
    }
}

/// What a bare table in a list is asked for.
pub(super) const fn bare(stage: Stage) -> Option<Subject> {
    match stage {
        Stage::Data | Stage::EndOfData => None,
        stage => Some(Subject::of_list(stage)),
    }
}

/// The table that a check asks.
pub(super) const fn table(check: &Check) -> Option<TableId> {
    match check {
        Check::Access { table, .. }
        | Check::BareTable(table)
        | Check::HostAccess { table, .. }
        | Check::Certificate { table, .. }
        | Check::SaslAccess { table } => Some(*table),
        _ => None,
    }
}

/// Whether a table's value surely refuses: most lines of most tables, and not worth an evaluation.
pub(super) fn refuses(value: &str) -> bool {
    let (word, rest) = value.split_once([' ', '\t']).unwrap_or((value, ""));
    let code = matches!(word.as_bytes(), [b'4' | b'5', b'0'..=b'9', b'0'..=b'9']);
    (code && !rest.trim().is_empty())
        || ["REJECT", "DEFER", "DEFER_IF_PERMIT"].iter().any(|action| word.eq_ignore_ascii_case(action))
}

/// Whether a table's value may let somebody pass.
pub(super) fn may_permit(value: &str) -> bool {
    const DO: [&str; 9] =
        ["DUNNO", "DEFER_IF_REJECT", "WARN", "INFO", "HOLD", "FILTER", "REDIRECT", "BCC", "PREPEND"];
    let word = value.split([' ', '\t']).next().unwrap_or("");
    !refuses(value) && !DO.iter().any(|action| word.eq_ignore_ascii_case(action))
}

/// A text that a table's key answers.
pub(super) fn spelled(subject: Subject, key: &str) -> String {
    match subject {
        Subject::Helo if key.starts_with('.') => format!("host{key}"),
        Subject::Helo => key.to_owned(),
        _ if key == "<>" => String::new(),
        _ if key.ends_with('@') => format!("{key}elsewhere.example"),
        _ if key.contains('@') => key.to_owned(),
        _ if key.starts_with('.') => format!("someone@host{key}"),
        _ => format!("someone@{key}"),
    }
}
