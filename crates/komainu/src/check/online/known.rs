//! What has been answered so far, and what a judge missed.

use policy::{Answer, Question, Record, RecordKind};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::collections::HashMap;
use std::net::IpAddr;

/// The answers, and the questions that judges asked in vain.
#[derive(Debug, Default)]
pub struct Known {
    answers: HashMap<Question, Answer>,
    /// By what is shown of them, so that they are asked in one order.
    missing: RefCell<BTreeMap<String, Question>>,
    /// Nobody asks any more.
    is_over: bool,
}

/// A name that never exists (RFC 6761 §6.4): who answers it with an address does so for every name.
const NOWHERE: &str = "komainu-check.invalid";
/// The name that always exists: who doesn't know it says of every name that there is none.
const ROOT: &str = "";

/// Records, or why there are none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Told<'a> {
    /// These.
    Records(&'a [Record]),
    /// The name exists without them.
    Nothing,
    /// The name doesn't exist.
    NoName,
    /// No answer: no judgement either.
    Silence,
}

impl Told<'_> {
    /// The records, where there are any.
    pub(super) fn records(&self) -> &[Record] {
        match self {
            Told::Records(records) => records,
            _ => &[],
        }
    }
}

impl Known {
    /// Takes an answer.
    pub fn learn(&mut self, question: Question, answer: Answer) {
        self.answers.insert(question, answer);
    }

    /// The questions that were asked in vain since the last time, in order.
    #[must_use]
    pub fn take_missing(&self) -> Vec<Question> {
        self.missing.take().into_values().collect()
    }

    pub(super) fn len(&self) -> usize {
        self.answers.len()
    }

    /// What is missing from now on gets no answer.
    pub(super) fn give_up(&mut self) {
        self.is_over = true;
    }

    /// What the DNS says; `None` where it must be asked first.
    pub(super) fn dns(&self, name: &str, kind: RecordKind) -> Option<Told<'_>> {
        let name = name.trim_end_matches('.').to_ascii_lowercase();
        let question = Question::Dns { name, kind };
        Some(match self.answer(&question)? {
            Answer::Records(records) => Told::Records(records),
            Answer::NoRecords => Told::Nothing,
            Answer::NoName | Answer::Invalid(_) => Told::NoName,
            _ => Told::Silence,
        })
    }

    /// The answer to a question.
    pub(super) fn answer(&self, question: &Question) -> Option<&Answer> {
        const SILENCE: &Answer = &Answer::Unavailable(String::new());
        let known = self.answers.get(question);
        if known.is_none() && self.is_over {
            return Some(SILENCE);
        }
        if known.is_none() {
            let key = format!("{question:?}");
            self.missing.borrow_mut().entry(key).or_insert_with(|| question.clone());
        }
        known
    }

    /// All addresses of a name; `None` where it must be asked first, `Some(None)` without an answer.
    #[expect(clippy::option_option, reason = "must be asked, has no answer, answer: `?` sorts them")]
    pub(super) fn addresses(&self, name: &str) -> Option<Option<Vec<IpAddr>>> {
        // Both, before one of them is waited for.
        let (v4, v6) = (self.dns(name, RecordKind::A), self.dns(name, RecordKind::Aaaa));
        let (v4, v6) = (v4?, v6?);
        let records = v4.records().iter().chain(v6.records());
        let addresses: Vec<IpAddr> = records
            .filter_map(|record| match record {
                Record::A(address) => Some(IpAddr::V4(*address)),
                Record::Aaaa(address) => Some(IpAddr::V6(*address)),
                _ => None,
            })
            .collect();
        let silent = v4 == Told::Silence || v6 == Told::Silence;
        Some((!addresses.is_empty() || !silent).then_some(addresses))
    }

    /// The TXT records of a name.
    #[expect(clippy::option_option, reason = "must be asked, has no answer, answer: `?` sorts them")]
    pub(super) fn texts(&self, name: &str) -> Option<Option<Vec<&str>>> {
        let told = self.dns(name, RecordKind::Txt)?;
        if told == Told::Silence {
            return Some(None);
        }
        let Told::Records(records) = told else { return Some(Some(Vec::new())) };
        let texts = records.iter().filter_map(|record| match record {
            Record::Txt(text) => Some(text.as_str()),
            _ => None,
        });
        Some(Some(texts.collect()))
    }

    /// Asks the two names of which is known what must be said.
    pub(super) fn ask_controls(&self) {
        let _ = (self.dns(NOWHERE, RecordKind::A), self.dns(ROOT, RecordKind::Ns));
    }

    /// The answers but for the two that are asked as a control.
    fn answers(&self) -> impl Iterator<Item = (&Question, &Answer)> {
        let is_control = |question: &Question| matches!(question, Question::Dns { name, .. } if name == NOWHERE || name == ROOT);
        self.answers.iter().filter(move |(question, _)| !is_control(question))
    }

    /// Whether nobody has answered anything.
    pub(super) fn heard_nothing(&self) -> bool {
        let mut answers = self.answers().map(|(_, answer)| answer).peekable();
        answers.peek().is_some() && answers.all(|answer| matches!(answer, Answer::Unavailable(_)))
    }

    /// What the name server says falsely of every name, for people: that there is none, or that there is one.
    pub(super) fn lie(&self) -> Option<String> {
        let said = |name: &str, kind| self.answers.get(&Question::Dns { name: name.to_owned(), kind });
        if let Some(Answer::Records(records)) = said(NOWHERE, RecordKind::A)
            && let Some(Record::A(address)) = records.first()
        {
            return Some(format!(
                "the name server has an address for every name: {address} for {NOWHERE}, which can't exist"
            ));
        }
        let knows_root = matches!(said(ROOT, RecordKind::Ns), Some(Answer::Records(_)));
        let no_name = self.answers().all(|(_, answer)| matches!(answer, Answer::NoName));
        (!knows_root && no_name && self.answers().count() > 2)
            .then(|| "the name server says of every name that it doesn't exist".to_owned())
    }

    /// What got no answer, for people.
    pub(super) fn silence(&self) -> Option<String> {
        const SHOWN: usize = 5;
        let silent = self.answers().filter_map(|(question, answer)| match (question, answer) {
            (Question::Dns { name, kind }, Answer::Unavailable(why)) => {
                Some((format!("{name} ({})", format!("{kind:?}").to_ascii_uppercase()), why))
            }
            _ => None,
        });
        let mut silent: Vec<(String, &String)> = silent.collect();
        silent.sort();
        let why = silent.first().map(|(_, why)| (*why).clone())?;
        if self.heard_nothing() {
            return Some(why);
        }
        let shown: Vec<&str> = silent.iter().take(SHOWN).map(|(name, _)| name.as_str()).collect();
        let more = silent.len().saturating_sub(SHOWN);
        let rest = if more > 0 { format!(" and {more} more") } else { String::new() };
        Some(format!("{}{rest}: {why}", shown.join(", ")))
    }
}
