//! What a decision must ask, and what it has been told: [`Question`], [`Answer`], [`Facts`].
//!
//! A missing answer is a [`Need`]; the driver finds it, [`Facts::learn`]s it, and starts the decision anew. Pure
//! questions may be asked in any order and ahead of time; an [`Effect`] carries its [`EffectPlace`] and is asked
//! only when the evaluation really arrives there. No clock and no socket here.
//!
//! The invariant: more facts never change a decision that was made with fewer.

use crate::transaction::Stage;
use crate::verification::Verified;
use mail::Address;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::time::Duration;
use tables::{Hit, LookupError, Remote, Snapshot, TableId};

/// Types of DNS records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "each is the record type of that name")]
pub enum RecordKind {
    A,
    Aaaa,
    Mx,
    Ns,
    Txt,
    Soa,
    Cname,
    Ptr,
}

/// One DNS record.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Record {
    /// An IPv4 address.
    A(Ipv4Addr),
    /// An IPv6 address.
    Aaaa(Ipv6Addr),
    /// A mail exchanger; `host` is empty for "no mail" (RFC 7505).
    Mx {
        /// Lower ones first.
        preference: u16,
        /// Its name.
        host: String,
    },
    /// A name server.
    Ns(String),
    /// A text, its strings joined.
    Txt(String),
    /// The name of an address.
    Ptr(String),
    /// The name behind an alias.
    Cname(String),
    /// The start of a zone.
    Soa {
        /// Its primary name server.
        primary: String,
        /// Its contact.
        contact: String,
    },
}

/// What a decision may want to know.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Question {
    /// The name of an address, as getnameinfo(3) finds it (hosts file or PTR). Answer: `Names`, else why not.
    HostName(IpAddr),
    /// The addresses of a name, as getaddrinfo(3) finds them (hosts file or A and AAAA). Answer: `Addresses`.
    HostAddresses(String),
    /// Records from the DNS. Answer: `Records` (aliases followed, at least one), else why not.
    Dns {
        /// Without a final dot.
        name: String,
        /// The type.
        kind: RecordKind,
    },
    /// Whether a DNSBL answers as RFC 5782 wants it. Answer: `Healthy`.
    ZoneHealth(String),
    /// A table behind a socket. Answer: `Value` or `Failed`. Told by [`Facts::lookup`], not by [`Facts::ask`].
    Lookup {
        /// Which.
        table: Arc<Remote>,
        /// The key.
        key: String,
    },
    /// Something with a consequence, asked once for each place. Answer: `Done` or `Action`.
    Effect {
        /// Where the evaluation stands.
        place: EffectPlace,
        /// What to do.
        effect: Effect,
    },
}

/// Where an evaluation stands when it wants something done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EffectPlace {
    /// The list.
    pub stage: Stage,
    /// The how manieth check this evaluation reached.
    pub check: u32,
    /// The transaction's [`recipient_ordinal`](crate::Transaction::recipient_ordinal).
    pub recipient: u32,
}

/// What an evaluation may want done.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Effect {
    /// Wait. Answer: `Done`.
    Sleep(Duration),
    /// Ask a policy server. Answer: `Action` with the text behind `action=`, or `Failed` when the service can't be
    /// had, all tries included.
    PolicyService {
        /// The index in [`Policy::services`](crate::Policy::services).
        service: usize,
        /// `name=value` lines, ready to send, the empty line at the end included.
        attributes: String,
    },
    /// Find out whether mail to an address could be delivered. Answer: `Verified`.
    Verify {
        /// As it was given.
        address: Address,
        /// How often to look whether there is an answer, and the pause between two looks.
        polls: (u32, Duration),
    },
}

/// What came back.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Answer {
    /// DNS records, at least one.
    Records(Vec<Record>),
    /// The name doesn't exist.
    NoName,
    /// The name exists without such records.
    NoRecords,
    /// No answer this time; the text is the resolver's reason.
    Unavailable(String),
    /// An answer that can't be used (malformed name or data); the text says what.
    Invalid(String),
    /// Names of an address.
    Names(Vec<String>),
    /// Addresses of a name.
    Addresses(Vec<IpAddr>),
    /// Whether a DNSBL is to be believed.
    Healthy(bool),
    /// What a table said.
    Value(Option<String>),
    /// A table or service could not be asked.
    Failed(String),
    /// It has been done.
    Done,
    /// A policy server's action.
    Action(String),
    /// What is known of an address.
    Verified(Verified),
}

/// The question that must be answered before the decision can go on.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Need(pub Question);

/// What has been learnt so far, and the tables as they stand. Cheap to make; one lives as long as a session.
#[derive(Clone, Debug)]
pub struct Facts {
    snapshot: Arc<Snapshot>,
    /// Few, and held by every client that waits: a list, without room for more.
    answers: Vec<(Question, Answer)>,
}

/// How many answers a session keeps before the old ones go; every decision asks far fewer.
pub const ANSWERS_MAX: usize = 256;

impl Facts {
    /// Nothing is known but the tables.
    #[must_use]
    pub fn new(snapshot: Arc<Snapshot>) -> Facts {
        Facts { snapshot, answers: Vec::new() }
    }

    /// The answer to `question`.
    ///
    /// # Errors
    /// When it is not known yet.
    pub fn ask(&self, question: &Question) -> Result<&Answer, Need> {
        self.find(question).ok_or_else(|| Need(question.clone()))
    }

    /// Whether `question` has been answered.
    #[must_use]
    pub fn knows(&self, question: &Question) -> bool {
        match question {
            Question::Lookup { table, key } => self.snapshot.knows(table, key),
            question => self.find(question).is_some(),
        }
    }

    /// Adds an answer. The first one stays: a decision in progress must not see two.
    pub fn learn(&mut self, question: Question, answer: Answer) {
        match (question, answer) {
            (Question::Lookup { table, key }, answer) => {
                let said = if let Answer::Value(value) = answer { Some(value) } else { None };
                Arc::make_mut(&mut self.snapshot).learn(&table, key, said);
            }
            (question, answer) => {
                if self.find(&question).is_none() {
                    self.answers.push((question, answer));
                }
            }
        }
    }

    fn find(&self, question: &Question) -> Option<&Answer> {
        self.answers.iter().find(|(asked, _)| asked == question).map(|(_, answer)| answer)
    }

    /// Drops what was learnt about names of hosts and their addresses. Names of a client are found once, and a client
    /// that waits is not to hold them twice.
    pub fn forget_names(&mut self) {
        let is_name =
            |question: &Question| matches!(question, Question::HostName(_) | Question::HostAddresses(_));
        self.answers.retain(|(question, _)| !is_name(question));
        self.answers.shrink_to_fit();
    }

    /// Drops the answers to effects. To be called when a decision has been made: the next one asks anew, as Postfix
    /// asks its policy servers and sleeps for each command.
    pub fn forget_effects(&mut self) {
        if self.answers.len() > ANSWERS_MAX {
            self.answers.clear();
        }
        self.answers.retain(|(question, _)| !matches!(question, Question::Effect { .. }));
        self.answers.shrink_to_fit();
    }

    /// Drops what tables behind sockets have said: the next request asks anew.
    pub fn forget_lookups(&mut self) {
        if self.snapshot.has_answers() {
            Arc::make_mut(&mut self.snapshot).forget_answers();
        }
    }

    /// Drops every answer (not the tables): for a session that goes on for long.
    pub fn forget_all(&mut self) {
        self.answers.clear();
        self.forget_lookups();
    }

    /// The tables.
    #[must_use]
    pub fn snapshot(&self) -> &Arc<Snapshot> {
        &self.snapshot
    }

    /// Takes another snapshot of the tables, between decisions.
    pub fn replace_snapshot(&mut self, snapshot: Arc<Snapshot>) {
        self.snapshot = snapshot;
    }

    /// What the table `id` says about `key`.
    ///
    /// # Errors
    /// When the table is behind a socket and has not been asked.
    pub fn lookup(&self, id: TableId, key: &str) -> Result<Lookup<'_>, Need> {
        match self.snapshot.table(id).lookup(key) {
            Ok(None) => Ok(Lookup::Nothing),
            Ok(Some(hit)) => Ok(Lookup::Found(hit)),
            Err(error) => Ok(Lookup::Failed(Facts::settled(error)?)),
        }
    }

    /// Whether something is in a match list, as [`tables::matching`] found it among these facts' tables.
    ///
    /// # Errors
    /// When a table must be asked first.
    pub fn listed(found: Result<bool, LookupError>) -> Result<Result<bool, LookupError>, Need> {
        match found {
            Err(error) => Ok(Err(Facts::settled(error)?)),
            Ok(found) => Ok(Ok(found)),
        }
    }

    /// A failure that is one, not a question.
    fn settled(error: LookupError) -> Result<LookupError, Need> {
        match error {
            LookupError::Unasked { table, key } => Err(Need(Question::Lookup { table, key })),
            error => Ok(error),
        }
    }
}

/// What a table said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lookup<'f> {
    /// There is a line for the key.
    Found(Hit<'f>),
    /// There is none.
    Nothing,
    /// The table couldn't say.
    Failed(LookupError),
}
