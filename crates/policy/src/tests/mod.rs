//! A small world in memory that answers every question, and the cases that real Postfix decided the same way.

mod access;
mod compiling;
mod lists;
mod properties;
mod restrictions;
mod spf;

use crate::*;
use config::{Compat, Host, Interface, MainCf, SourceFile};
use std::cell::RefCell;
use std::path::{Path, PathBuf};
use tables::{Snapshot, SourceError};

/// Files, DNS and policy servers.
#[derive(Default)]
pub(super) struct World {
    files: HashMap<PathBuf, String>,
    dns: Vec<(String, String, String)>,
    unhealthy: Vec<String>,
    action: Option<String>,
    /// Requests to policy servers, in order.
    pub(super) requests: RefCell<Vec<String>>,
    /// Everything asked, in order.
    pub(super) asked: RefCell<Vec<Question>>,
}

impl Sources for World {
    fn read(&self, path: &Path) -> Result<Vec<u8>, SourceError> {
        let text = self.files.get(path).ok_or_else(|| SourceError::Missing(path.to_owned()))?;
        Ok(text.clone().into_bytes())
    }
}

impl World {
    /// Lines of `name TYPE data`; the type SERVFAIL is what it says, for one type or (without data) for all.
    pub(super) fn dns(mut self, text: &str) -> World {
        for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
            let mut words = line.splitn(3, ' ');
            let mut word = || words.next().unwrap_or("").to_owned();
            self.dns.push((word().to_lowercase(), word(), word()));
        }
        self
    }

    pub(super) fn file(mut self, path: &str, text: &str) -> World {
        self.files.insert(PathBuf::from(path), text.to_owned());
        self
    }

    pub(super) fn policy_server(mut self, action: Option<&str>) -> World {
        self.action = action.map(str::to_owned);
        self
    }

    pub(super) fn unhealthy(mut self, zone: &str) -> World {
        self.unhealthy.push(zone.to_owned());
        self
    }

    fn records(&self, name: &str, kind: RecordKind) -> Answer {
        let name = name.to_lowercase();
        let type_name = format!("{kind:?}").to_uppercase();
        let here: Vec<_> = self.dns.iter().filter(|(owner, ..)| *owner == name).collect();
        if here.iter().any(|(_, t, data)| t == "SERVFAIL" && (data.is_empty() || *data == type_name)) {
            return Answer::Unavailable("SERVFAIL".to_owned());
        }
        let record = |data: &str| match kind {
            RecordKind::A => Record::A(data.parse().unwrap()),
            RecordKind::Aaaa => Record::Aaaa(data.parse().unwrap()),
            RecordKind::Mx => {
                let (preference, host) = data.split_once(' ').unwrap();
                Record::Mx {
                    preference: preference.parse().unwrap(),
                    host: host.trim_end_matches('.').to_owned(),
                }
            }
            RecordKind::Ns => Record::Ns(data.to_owned()),
            RecordKind::Txt => Record::Txt(data.to_owned()),
            _ => Record::Ptr(data.to_owned()),
        };
        let records: Vec<_> =
            here.iter().filter(|(_, t, _)| *t == type_name).map(|(.., data)| record(data)).collect();
        let below = format!(".{name}");
        match records.is_empty() {
            false => Answer::Records(records),
            true if here.is_empty() && !self.dns.iter().any(|(owner, ..)| owner.ends_with(&below)) => {
                Answer::NoName
            }
            true => Answer::NoRecords,
        }
    }

    pub(super) fn answer(&self, question: &Question) -> Answer {
        self.asked.borrow_mut().push(question.clone());
        match question {
            Question::Dns { name, kind } => self.records(name, *kind),
            Question::HostName(address) => {
                let suffix = if address.is_ipv4() { "in-addr.arpa" } else { "ip6.arpa" };
                match self.records(&format!("{}.{suffix}", dnsbl::reversed(*address)), RecordKind::Ptr) {
                    Answer::Records(records) => Answer::Names(
                        records
                            .into_iter()
                            .filter_map(|r| if let Record::Ptr(n) = r { Some(n) } else { None })
                            .collect(),
                    ),
                    other => other,
                }
            }
            Question::HostAddresses(name) => {
                let mut found = Vec::new();
                let (v4, v6) = (self.records(name, RecordKind::A), self.records(name, RecordKind::Aaaa));
                for answer in [&v4, &v6] {
                    let Answer::Records(records) = answer else { continue };
                    found.extend(records.iter().filter_map(|record| match record {
                        Record::A(a) => Some(IpAddr::V4(*a)),
                        Record::Aaaa(a) => Some(IpAddr::V6(*a)),
                        _ => None,
                    }));
                }
                if found.is_empty() { v4 } else { Answer::Addresses(found) }
            }
            Question::ZoneHealth(zone) => Answer::Healthy(!self.unhealthy.contains(zone)),
            Question::Lookup { .. } => Answer::Failed("no sockets here".to_owned()),
            Question::Effect { effect: Effect::Sleep(_), .. } => Answer::Done,
            Question::Effect { effect: Effect::Verify { address, .. }, .. } => {
                let (found, text) = match address.local() {
                    "good" => (Deliverability::Deliverable, "250 2.1.5 Ok"),
                    "bad" => (Deliverability::Undeliverable, "unknown user"),
                    _ => (Deliverability::Deferred, verification::IN_PROGRESS),
                };
                Answer::Verified(Verified { found, text: text.to_owned() })
            }
            Question::Effect { effect: Effect::PolicyService { attributes, .. }, .. } => {
                self.requests.borrow_mut().push(attributes.clone());
                self.action.clone().map_or_else(|| Answer::Failed("refused".to_owned()), Answer::Action)
            }
        }
    }
}

/// What main.cf begins with.
pub(super) const MAIN: &str = "compatibility_level = 3.6\nmyhostname = mx.example.com\n\
    mydestination = example.com, localhost\nlocal_recipient_maps =\nalias_maps =\nmynetworks = 127.0.0.0/8\n\
    relay_domains = mxdom.example\n";

/// A policy, its tables and its world.
pub(super) struct Scene {
    pub(super) world: World,
    pub(super) policy: Policy,
    pub(super) said: Vec<Diagnostic>,
    snapshot: Arc<Snapshot>,
}

impl Scene {
    pub(super) fn new(main: &str, world: World) -> Scene {
        Scene::with_compat(main, world, Compat::V3_11)
    }

    pub(super) fn with_compat(main: &str, world: World, compat: Compat) -> Scene {
        let file = Arc::new(SourceFile { path: PathBuf::from("main.cf"), text: format!("{MAIN}{main}\n") });
        let (main, _) = MainCf::parse(&file);
        let own = Interface { address: "127.0.0.1".parse().unwrap(), prefix: 8 };
        let host = Host { hostname: "mx.example.com".to_owned(), addresses: vec![own] };
        let (parameters, _) = Parameters::new(&main, &host, compat);
        let mut catalogue = Catalogue::new();
        let (policy, said) = Policy::compile(&parameters, &mut catalogue, &world);
        let (snapshot, _) = Snapshot::compile(&catalogue, &world);
        Scene { world, policy, said, snapshot: Arc::new(snapshot) }
    }

    pub(super) fn facts(&self) -> Facts {
        Facts::new(Arc::clone(&self.snapshot))
    }

    /// The driver's loop.
    pub(super) fn decide(&self, request: Request, tx: &Transaction, facts: &mut Facts) -> Decision {
        for _ in 0..10_000 {
            match self.policy.decide(request, tx, facts, Wall::default()) {
                Ok(decision) => {
                    facts.forget_effects();
                    return decision;
                }
                Err(Need(question)) => {
                    assert!(!facts.knows(&question), "asked twice: {question:?}");
                    let answer = self.world.answer(&question);
                    facts.learn(question, answer);
                }
            }
        }
        panic!("no end of questions");
    }

    /// A client with its names looked up.
    pub(super) fn client(&self, address: &str) -> Transaction {
        let address = address.parse().unwrap();
        let mut facts = self.facts();
        let names = loop {
            match client_names(address, true, &facts) {
                Ok(names) => break names,
                Err(Need(question)) => {
                    let answer = self.world.answer(&question);
                    facts.learn(question, answer);
                }
            }
        };
        let mut client = Client::unnamed(address, 4711, "127.0.0.1".parse().unwrap(), 25);
        client.name = names.name;
        client.name_status = names.name_status;
        client.reverse_name = names.reverse_name;
        client.reverse_name_status = names.reverse_name_status;
        Transaction::new(client)
    }

    /// At RCPT, with HELO, sender and recipient.
    pub(super) fn rcpt(&self, client: &str, helo: &str, sender: &str, recipient: &str) -> Decision {
        let tx = at_rcpt(self.client(client), helo, sender, recipient);
        self.decide(Request::Rcpt, &tx, &mut self.facts())
    }
}

pub(super) fn at_rcpt(mut tx: Transaction, helo: &str, sender: &str, recipient: &str) -> Transaction {
    tx.protocol = "ESMTP";
    tx.ehlo = true;
    tx.helo = Some(helo.to_owned());
    tx.sender = Some(mail::Address::from_internal(sender));
    tx.recipient = Some(mail::Address::from_internal(recipient));
    tx.instance = "1.2.3".to_owned();
    tx
}

/// What the client is told; `ok` for a permission.
pub(super) fn told(decision: &Decision) -> String {
    decision.verdict.reply().map_or_else(|| "ok".to_owned(), ToString::to_string)
}

/// The log, a line each, without the reject that equals the reply.
pub(super) fn noted(decision: &Decision) -> Vec<String> {
    let said = told(decision);
    let own = |note: &&Note| note.action != NoteAction::Reject || note.text != said;
    decision.notes.iter().filter(own).map(|note| format!("{}: {}", note.action.word(), note.text)).collect()
}
