//! From the conversation's requests to the policy's decisions, answering what the policy must know.
//!
//! `policy::Policy::decide` is started anew after each answer; nothing else in the program evaluates a
//! restriction list. Everything that can be asked as soon as a client connects is asked at once, in the
//! background, so that later decisions wait for the slowest answer and not for their sum (T1.4).

use super::house::Word;
use super::line::Line;
use super::milters::Told;
use super::request::{enter, no_room};
use super::wire::Wire;
use super::{Service, Session};
use crate::clock;
use crate::facts::listings::zone_of;
use crate::privileged;
use mail::{Dsn, Reply};
use policy::{Answer, Decision, Effect, MailEffect, NameStatus, Need, Question, RecordKind};
use proto::smtp::{Fault, ForwardedName, Identity, MailRequest, Peer, Recipient, Request, Rights, Verdict};
use std::sync::Arc;
use tables::LookupError;
use tokio::io::AsyncWrite;

/// How long a client waits for a look at a mailbox.
const ROOM_PATIENCE: std::time::Duration = std::time::Duration::from_secs(5);

/// How long the DNS may take for SPF of one message (RFC 7208 §4.6.4 wants no less); what isn't known then stays unknown.
const SPF_PATIENCE: std::time::Duration = std::time::Duration::from_secs(20);

/// More questions than any decision asks: a policy that needs more is one that asks without end.
const QUESTIONS_MAX: u32 = 10_000;

impl Session {
    /// Decides on a request and does what the decision says apart from the reply. Tables behind sockets are asked anew
    /// for each.
    pub(super) async fn decide<S: Line>(
        &mut self,
        request: Request,
        stream: &mut Wire<S>,
        out: &mut Vec<u8>,
    ) -> Verdict {
        let now = self.service.live.snapshot();
        self.facts.replace_snapshot(now);
        let request = self.describe(request);
        // What comes once in a session or behind a decision is in a box: who is made to wait doesn't hold room for it.
        let mut refusal = self.before(&request).err().map(Verdict::Reject);
        if request.command == "EHLO" && self.service.listener.logins.is_some() {
            // Whom it asks may be slow.
            self.flush(stream, out).await;
            Box::pin(self.offer()).await;
        }
        if request.command == "EHLO"
            && let Some(reply) = self.no_features()
        {
            refusal = Some(Verdict::Disconnect(reply));
        }
        if matches!(request.policy, policy::Request::Connect) {
            refusal = Box::pin(self.let_in(stream)).await.err();
        }
        let verdict = match refusal {
            Some(refusal) => refusal,
            None => {
                let decision = self.evaluate(request.policy, stream, out).await;
                Box::pin(self.conclude(request, decision)).await
            }
        };
        self.facts.forget_lookups();
        verdict
    }

    /// Looks into tables; those behind sockets are asked until `look` is through.
    pub(super) async fn looked_up<T>(
        &mut self,
        look: impl Fn(&Session) -> Result<T, LookupError> + Send,
    ) -> Result<T, LookupError> {
        for _ in 0..QUESTIONS_MAX {
            match look(self) {
                Err(LookupError::Unasked { table, key }) => {
                    let failed = LookupError::Failed { table: table.name.clone(), key: key.clone() };
                    let ear = self.seat.ear();
                    tokio::select! {
                        biased;
                        () = Box::pin(self.learn(Question::Lookup { table, key })) => {}
                        _ = ear.dismissed() => return Err(failed),
                    }
                }
                answer => return answer,
            }
        }
        Err(LookupError::Failed { table: "tables".to_owned(), key: "too many keys".to_owned() })
    }

    /// A new client is met and counted, before anything is decided about it.
    async fn let_in<S: Line>(&mut self, stream: &mut Wire<S>) -> Result<(), Verdict> {
        let (mut is_new, mut judged) = (false, Ok(()));
        if !self.assumed {
            self.meet().await;
            if self.service.listener.security.wrapped {
                is_new = Box::pin(self.wrap(stream)).await?;
                judged = self.judged();
            }
        }
        self.count_in().await.map_err(Verdict::Disconnect)?;
        if is_new {
            self.count_tls().await.map_err(Verdict::Disconnect)?;
        }
        judged.map_err(Verdict::Disconnect)
    }

    /// Does what a decision says.
    async fn conclude(&mut self, request: Described, decision: Decision) -> Verdict {
        self.log_decision(request.command, &decision);
        self.tx.carried = decision.carried;
        self.effects.extend(decision.effects);
        match decision.verdict {
            policy::Verdict::Permit => self.permitted(request).await,
            policy::Verdict::Reject(reply) => {
                if decision.path.last().is_some_and(|step| is_about_users(&step.check)) {
                    self.server.blames(Fault::Bounce);
                }
                if let (Some(recipient), true) = (&request.recipient, self.filters.is_some()) {
                    Box::pin(self.milters_hear_refusal(recipient, &reply)).await;
                }
                Verdict::Reject(reply)
            }
            policy::Verdict::Disconnect(reply) => Verdict::Disconnect(reply),
        }
    }

    async fn evaluate<S: AsyncWrite + Unpin + Send>(
        &mut self,
        request: policy::Request,
        stream: &mut S,
        out: &mut Vec<u8>,
    ) -> Decision {
        let policy = Arc::clone(self.service.listener.lists_for(&self.tx));
        if matches!(request, policy::Request::Mail) {
            self.spf_spent = std::time::Duration::ZERO;
        }
        for _ in 0..QUESTIONS_MAX {
            let question = match policy.decide(request, &self.tx, &self.facts, clock::now().wall) {
                Ok(decision) => {
                    self.facts.forget_effects();
                    return decision;
                }
                Err(Need(question)) => question,
            };
            // Replies to earlier commands must not wait for this one's answer.
            self.flush(stream, out).await;
            let ear = self.seat.ear();
            let is_spfs = policy.spf_asks(&question, &self.tx, &self.facts);
            tokio::select! {
                biased;
                () = Box::pin(self.learn_in_time(question, is_spfs)) => {}
                // Whatever it waited for, the client asks again elsewhere or later.
                word = ear.dismissed() => return dismissed(word, &self.tx),
            }
        }
        self.facts.forget_effects();
        let reply = Reply::new(451, Dsn::new(4, 3, 5), "Server configuration error");
        plain(policy::Verdict::Reject(reply), &self.tx)
    }

    /// Finds one answer; for SPF within what is left of the message's time.
    async fn learn_in_time(&mut self, question: Question, is_spfs: bool) {
        if !is_spfs {
            return Box::pin(self.learn(question)).await;
        }
        let left = SPF_PATIENCE.saturating_sub(self.spf_spent);
        let began = tokio::time::Instant::now();
        if tokio::time::timeout(left, Box::pin(self.learn(question.clone()))).await.is_err() {
            self.facts.learn(question, Answer::Unavailable("SPF took too long".to_owned()));
        }
        self.spf_spent = self.spf_spent.saturating_add(began.elapsed());
    }

    /// Finds one answer, in what was asked ahead or now.
    #[expect(clippy::manual_async_fn, reason = "an `async fn` would hold the question twice")]
    fn learn(&mut self, question: Question) -> impl Future<Output = ()> + Send {
        async move {
            let answer = match self.ahead.iter().position(|flight| *flight.question() == question) {
                Some(at) => {
                    let flight = self.ahead.swap_remove(at);
                    let answer = flight.landed().await;
                    self.ahead.extend(flight.next());
                    if let Some(zone) = zone_of(&question, self.tx.client.address) {
                        self.shared.answers.listings.note(zone, matches!(answer, Answer::Records(_)));
                    }
                    answer
                }
                None if let Question::Effect { effect: Effect::Verify { address, polls }, .. } =
                    &question =>
                {
                    Answer::Verified(Box::pin(self.shared.verifier.verify(address, *polls)).await)
                }
                None => {
                    let services = self.service.listener.lists_for(&self.tx).services();
                    self.shared.answers.answer(&question, services).await
                }
            };
            self.facts.learn(question, answer);
        }
    }

    /// A client has connected: asks what can be asked, finds its names, and logs it.
    async fn meet(&mut self) {
        let address = self.tx.client.address;
        let listener = Arc::clone(&self.service.listener);
        let local = listener.lists.local.clone();
        let ours =
            self.looked_up(move |session| local.contains_address(session.facts.snapshot(), address)).await;
        let ours = ours.unwrap_or(false);
        let lookup = listener.receiving.peername_lookup;
        if !ours {
            for question in listener.lists_for(&self.tx).questions_at_connect(address) {
                match &question {
                    Question::HostName(_) if !lookup => continue,
                    // Is known here.
                    Question::ZoneHealth(_) => continue,
                    _ => {}
                }
                if let Some(answer) = self.shared.answers.names.known(&question) {
                    self.facts.learn(question, answer);
                    continue;
                }
                // A list that has the client will be asked why: together with whether, where it has most clients,
                // else as soon as it says so, and not when each list before it was waited for (T1.4).
                let answers = &self.shared.answers;
                let likely = zone_of(&question, address).is_some_and(|zone| answers.listings.is_likely(zone));
                if let (true, Question::Dns { name, .. }) = (likely, &question) {
                    let why = Question::Dns { name: name.clone(), kind: RecordKind::Txt };
                    self.ahead.push(Arc::clone(&answers.names).begin(why));
                }
                let flight = Arc::clone(&answers.names).begin(question);
                if !likely {
                    flight.want_why();
                }
                self.ahead.push(flight);
            }
        }
        let names = loop {
            match policy::client_names(address, lookup, &self.facts) {
                Ok(names) => break names,
                Err(Need(question)) => Box::pin(self.learn(question)).await,
            }
        };
        self.facts.forget_names();
        self.ahead.shrink_to_fit();
        if let Some(warning) = &names.warning {
            self.warn(warning);
        }
        let client = &mut self.tx.client;
        client.name = names.name;
        client.name_status = names.name_status;
        client.reverse_name = names.reverse_name;
        client.reverse_name_status = names.reverse_name_status;
        Box::pin(self.introduce()).await;
        self.log_connect();
    }

    /// Tells the conversation who the client is and what it may do.
    async fn introduce(&mut self) {
        let found = self.looked_up(Session::described_peer).await;
        // Only what must be asked first is an error here, and an answer always comes.
        let client = &self.tx.client;
        let nobody = || (Peer::new(client.address, client.port), None);
        let (peer, featureless) = found.unwrap_or_else(|_| nobody());
        self.server.identify(peer);
        self.featureless = featureless;
    }

    /// Without its table nobody knows what to offer: as with Postfix, EHLO ends the session.
    fn no_features(&self) -> Option<Reply> {
        let why = self.featureless.as_deref()?;
        self.warn(why);
        self.warn(&format!("don't know what EHLO features to announce to {}", self.peer()));
        let reply = self.local_data_error();
        self.log_before_helo("EHLO", &reply.to_string());
        Some(reply)
    }

    fn local_data_error(&self) -> Reply {
        let host = &self.service.listener.receiving.hostname;
        Reply::new(421, Dsn::new(4, 3, 0), format!("{host} Server local data error"))
    }

    /// Who the client is and what it may do; what a table can't say, it may not.
    fn described_peer(&self) -> Result<(Peer, Option<Box<str>>), LookupError> {
        let client = &self.tx.client;
        let lists = &self.service.listener.lists;
        let snapshot = self.facts.snapshot();
        let listed = |list: &tables::matching::AddressList| {
            unless_unasked(list.contains(snapshot, &client.name, client.address), false)
        };
        let rights = Rights {
            xclient: listed(&lists.xclient)?,
            xforward: listed(&lists.xforward)?,
            verp: listed(&lists.verp)?,
            bare_newline: listed(&lists.bare_newline)?,
        };
        let mut peer = Peer::new(client.address, client.port);
        peer.name.clone_from(&client.name);
        peer.rights = rights;
        for id in &lists.discard_ehlo_keyword_maps {
            let address = mail::host::address_text(client.address);
            match snapshot.table(*id).lookup(&address) {
                Ok(None) => {}
                Ok(Some(hit)) => {
                    peer.discard_ehlo_keywords = Some(crate::configuration::keywords(&hit.value));
                    break;
                }
                Err(error @ LookupError::Unasked { .. }) => return Err(error),
                Err(error) => return Ok((peer, Some(error.to_string().into()))),
            }
        }
        Ok((peer, None))
    }

    /// XCLIENT: the client is somebody else from now on (XCLIENT_README).
    pub(super) async fn assume(&mut self, identity: Identity) {
        let client = &mut self.tx.client;
        if let Some(address) = identity.address.flatten() {
            client.address = address;
        }
        if let Some(port) = identity.port {
            client.port = port.unwrap_or(0);
        }
        if let Some(address) = identity.server_address.flatten() {
            client.server_address = address;
        }
        if let Some(port) = identity.server_port.flatten() {
            client.server_port = port;
        }
        if let Some(name) = identity.name {
            (client.name, client.name_status) = forwarded(name);
            // Without REVERSE_NAME, the verified name stands for both.
            client.reverse_name.clone_from(&client.name);
            client.reverse_name_status = client.name_status;
        }
        if let Some(name) = identity.reverse_name {
            (client.reverse_name, client.reverse_name_status) = forwarded(name);
        }
        if identity.address.is_some() {
            self.shut_out.is_of_another();
        }
        // Milters meet somebody else too, over new connections.
        self.milters_quit();
        // Who logged in before is somebody else.
        self.logging_in = None;
        let login = identity.login.flatten().filter(|_| self.service.listener.logins.is_some());
        self.tx.sasl = login.map(|username| {
            Box::new(policy::Sasl { username, method: "XCLIENT".to_owned(), ..policy::Sasl::default() })
        });
        self.facts.forget_all();
        self.ahead = Vec::new();
        self.assumed = true;
        self.introduce().await;
        self.facts.forget_lookups();
    }

    /// Puts the request into the transaction.
    fn describe(&mut self, request: Request) -> Described {
        let (policy, command) = enter(&mut self.tx, &request, &self.server);
        let plain = Described { policy, command, mail: None, recipient: None };
        match request {
            Request::Mail(mail) => {
                self.instances = self.instances.wrapping_add(1);
                let (process, since) = (std::process::id(), self.since);
                self.tx.instance =
                    format!("{process:x}.{:x}.{:x}.{}", since.seconds(), since.micros(), self.instances);
                Described { mail: Some(mail), ..plain }
            }
            Request::EndOfData { .. } => {
                self.end_scan();
                plain
            }
            Request::Rcpt(recipient) => Described { recipient: Some(recipient), ..plain },
            _ => plain,
        }
    }

    /// What is refused whatever the policy says: mail that there is no room for (T1.13).
    fn before(&self, request: &Described) -> Result<(), Reply> {
        let Some(mail) = &request.mail else { return Ok(()) };
        let free = self.shared.spool.free_bytes().unwrap_or(u64::MAX);
        no_room(&self.service.listener.receiving, free, mail.size).map_or(Ok(()), Err)
    }

    /// The policy has nothing against it.
    async fn permitted(&mut self, request: Described) -> Verdict {
        if self.service.listener.milters.is_some()
            && let Some(verdict) = Box::pin(self.milters_say(&request)).await
        {
            return verdict;
        }
        if let Some(recipient) = request.recipient {
            return self.accept_recipient(&recipient).await;
        }
        match request.policy {
            policy::Request::Mail if !self.server_delays_open() => {
                verdict(self.begin(request.mail.as_deref()).await)
            }
            policy::Request::Data if self.passing.is_some() => verdict(Box::pin(self.pass_data()).await),
            policy::Request::Etrn => self.etrn().await,
            _ => Verdict::Permit,
        }
    }

    /// What milters have against a request that the policy permits.
    async fn milters_say(&mut self, request: &Described) -> Option<Verdict> {
        match request.policy {
            policy::Request::Connect => self.milters_meet().await,
            policy::Request::Helo => {
                self.milters_judge(Told::Helo { extended: request.command == "EHLO" }).await
            }
            policy::Request::Mail => {
                let verdict = self.milters_judge(Told::Mail(request.mail.as_deref()?)).await;
                if verdict.is_some() {
                    self.milters_abort().await;
                }
                verdict
            }
            // Where a milter has asked for it, the message is dropped already: nothing more is asked.
            policy::Request::Rcpt => self.milters_judge(Told::Rcpt(request.recipient.as_deref()?)).await,
            policy::Request::Data => self.milters_judge(Told::Data).await,
            policy::Request::Vrfy | policy::Request::Etrn => self.milters_stand(),
            policy::Request::EndOfData => None,
        }
    }

    async fn accept_recipient(&mut self, recipient: &Recipient) -> Verdict {
        if let Some(reply) = self.no_folder(recipient).await {
            self.log_verdict("reject", "RCPT", &reply.to_string());
            return Verdict::Reject(reply);
        }
        if let Some(reply) = Box::pin(self.full_mailbox(recipient)).await {
            self.log_verdict("reject", "RCPT", &reply.to_string());
            return Verdict::Reject(reply);
        }
        if let Err(reply) = self.begin(None).await {
            return Verdict::Reject(reply);
        }
        if self.passing.is_some()
            && let Err(reply) = Box::pin(self.pass_recipient(recipient)).await
        {
            return Verdict::Reject(reply);
        }
        self.tx.recipient_count = self.tx.recipient_count.saturating_add(1);
        Verdict::Permit
    }

    /// Why a recipient that the policy permits can't be had all the same.
    async fn no_folder(&mut self, recipient: &Recipient) -> Option<Reply> {
        let to = recipient.address.clone();
        let from = self.tx.sender.clone().unwrap_or_else(mail::Address::null);
        let refusal = self.looked_up(move |session| {
            let Service { targets, classes, .. } = &session.service;
            targets.refusal((&from, &to), classes, session.facts.snapshot())
        });
        refusal.await.unwrap_or_default()
    }

    /// A recipient whose mailbox is known to have no room (T1.13).
    async fn full_mailbox(&self, recipient: &Recipient) -> Option<Reply> {
        let helper = self.shared.helper.clone()?;
        let null = mail::Address::null();
        let from = self.tx.sender.as_ref().unwrap_or(&null);
        let Service { targets, classes, .. } = &self.service;
        // Tables behind sockets aren't asked once more for it.
        let bounded = targets.bounded((from, &recipient.address), classes, self.facts.snapshot());
        let (transport, address) = bounded.ok()??;
        let size = self.tx.declared_size;
        let request = privileged::RoomRequest { transport, recipient: address.as_str().to_owned(), size };
        let (sender, answer) = tokio::sync::oneshot::channel();
        let done = move |(answer, _): privileged::Outcome| {
            // Whoever asked may be gone.
            let _ = sender.send(answer);
        };
        helper.request(&privileged::Request::Room(request), None, Box::new(done));
        // Who can't say in time says it at delivery.
        let answer = tokio::time::timeout(ROOM_PATIENCE, answer).await.ok()?.ok()?;
        let (code, dsn) = match answer {
            privileged::Answer::Permanent(_) => (552, Dsn::new(5, 2, 2)),
            privileged::Answer::Temporary(text) if text.starts_with("4.2.2") => (452, Dsn::new(4, 2, 2)),
            _ => return None,
        };
        let text = format!("<{}>: Recipient address rejected: Mailbox full", recipient.address.as_str());
        Some(Reply::new(code, dsn, text))
    }

    fn server_delays_open(&self) -> bool {
        self.service.listener.settings.delay_open_until_valid_rcpt
    }

    /// `fast_flush_domains`: what is queued for such a domain is due now.
    async fn etrn(&mut self) -> Verdict {
        let listed = self.looked_up(|session| {
            let domain = session.tx.etrn_domain.as_deref().unwrap_or_default();
            session.service.listener.lists.fast_flush.contains(session.facts.snapshot(), domain)
        });
        let listed = listed.await.unwrap_or(false);
        let domain = self.tx.etrn_domain.as_deref().unwrap_or_default();
        if listed {
            self.shared.queue.flush_site(domain);
            return Verdict::PermitWith(Reply::plain(250, "Queuing started"));
        }
        self.warn(&format!("reject: ETRN {domain}... from {}", self.peer()));
        Verdict::Reject(Reply::plain(459, format!("<{domain}>: service unavailable")))
    }

    /// `smtpd_command_filter`.
    pub(super) async fn filter(&mut self, line: &str) -> Result<Option<String>, Reply> {
        let Some(table) = self.service.listener.lists.command_filter else { return Ok(None) };
        let look = |session: &Session| {
            let found = session.facts.snapshot().table(table).lookup(line)?;
            Ok(found.map(|hit| hit.value.into_owned()))
        };
        let found = self.looked_up(look).await;
        self.facts.forget_lookups();
        if let Ok(Some(replacement)) = &found {
            self.log_replacement(line, replacement);
        }
        found.map_err(|error| {
            self.warn(&error.to_string());
            let reply = self.local_data_error();
            self.log_before_helo("UNKNOWN", &reply.to_string());
            reply
        })
    }

    /// The last of the effects of a kind counts; the message is over.
    pub(super) fn take_effects(&mut self) -> Vec<MailEffect> {
        std::mem::take(&mut self.effects)
    }
}

fn verdict(outcome: Result<(), Reply>) -> Verdict {
    outcome.map_or_else(Verdict::Reject, |()| Verdict::Permit)
}

/// Whether a check refuses because nobody has the address.
fn is_about_users(check: &str) -> bool {
    let check = check.strip_prefix("smtpd_").unwrap_or(check);
    ["reject_unlisted_", "check_recipient_maps"].iter().any(|name| check.starts_with(name))
}

/// A decision that isn't the policy's.
fn plain(verdict: policy::Verdict, tx: &policy::Transaction) -> Decision {
    Decision {
        verdict,
        notes: Vec::new(),
        effects: Vec::new(),
        path: Vec::new(),
        carried: tx.carried.clone(),
    }
}

/// What a table that can't say is taken for; one that must be asked first is asked.
fn unless_unasked<T>(found: Result<T, LookupError>, otherwise: T) -> Result<T, LookupError> {
    match found {
        Err(error @ LookupError::Unasked { .. }) => Err(error),
        found => Ok(found.unwrap_or(otherwise)),
    }
}

/// The session is to end while it keeps its client waiting.
fn dismissed(word: Word, tx: &policy::Transaction) -> Decision {
    let text = match word {
        Word::Closing => "Service shutting down and closing transmission channel",
        Word::Evicted | Word::Hurry => "All server ports are busy",
    };
    plain(policy::Verdict::Disconnect(Reply::new(421, Dsn::new(4, 3, 2), text)), tx)
}

/// A request as both sides name it.
struct Described {
    policy: policy::Request,
    command: &'static str,
    mail: Option<Box<MailRequest>>,
    recipient: Option<Box<Recipient>>,
}

fn forwarded(name: ForwardedName) -> (String, NameStatus) {
    match name {
        ForwardedName::Known(name) => (name, NameStatus::Ok),
        ForwardedName::Unavailable => (policy::UNKNOWN.to_owned(), NameStatus::Unknown),
        ForwardedName::TemporarilyUnavailable => (policy::UNKNOWN.to_owned(), NameStatus::Temporary),
    }
}
