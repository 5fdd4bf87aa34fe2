//! What a client goes through before the SMTP server, without socket and clock: Postfix's postscreen(8).
//!
//! A [`Screen`] waits with the greeting and notes who talks first, hears what DNS lists say, and then either hands
//! the connection on ([`Action::Pass`]) or talks to the client itself, in an engine that takes no mail, refuses
//! each recipient, and looks at how the client speaks. It looks nothing up: the access list, the cache's record and
//! the lists' rank come from the driver. T2.2, T2.3.
//!
//! A driver's round is that of [`crate::smtp`]: `handle` or `expire`; `poll` until `None`; write `out`; wait.
//! What was observed of Postfix is played by tests/dialogues/screen.

mod address;
mod engine;
mod footer;
mod record;
mod settings;
#[cfg(test)]
mod tests;

pub use record::{Record, Tests};
pub use settings::{Penalty, Settings, Ttls};

use crate::smtp::escaped;
use engine::Engine;
use mail::{Dsn, Mono, Now, Reply};
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// How a client stands when it connects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// No list knows it; the cache may.
    Unknown,
    /// `postscreen_access_list` permits.
    Allowed,
    /// `postscreen_access_list` refuses.
    Denied,
    /// `postscreen_client_connection_count_limit` is reached.
    Crowding,
}

/// What the driver knows of a client that has connected.
#[derive(Clone, Copy, Debug)]
pub struct Arrival {
    /// What the lists say.
    pub standing: Standing,
    /// What the cache says.
    pub record: Record,
    /// It came to an address on which nobody gets onto the allow list (`postscreen_allowlist_interfaces`).
    pub veto: bool,
    /// `postscreen_pre_queue_limit` is reached.
    pub full: bool,
}

/// What DNS lists say of a client.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ranked {
    /// The sum of the weights.
    pub rank: i64,
    /// The list to name in a reply.
    pub domain: String,
    /// Whether all have answered.
    pub complete: bool,
    /// For how many seconds the shortest of the answers holds, where that is known.
    pub holds_s: Option<u32>,
}

/// What the driver tells.
#[derive(Debug)]
pub enum Input<'a> {
    /// Bytes from the client. Don't read while [`Screen::wants_input`] says no.
    Bytes(&'a [u8]),
    /// What the lists have said so far.
    Ranked(Ranked),
    /// The client has closed its side, or the connection broke.
    PeerClosed,
}

/// What the driver is to do. None of them waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Ask the DNS lists, all at once, and tell by [`Input::Ranked`].
    AskLists,
    /// Keep this record of the client.
    Remember(Record),
    /// Something worth a log line.
    Note(Note),
    /// The SMTP server takes over: flush `out`, then give it [`Screen::take_early`]. Nothing comes after it.
    Pass,
    /// Flush `out` and close. Nothing comes after it.
    Close,
}

/// What is worth a log line.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is the log line of its name, its fields are the line's parts")]
pub enum Note {
    Allowlisted,
    Denylisted,
    PassOld,
    PassNew,
    Veto,
    Disconnect,
    TooManyConnections,
    PortsBusy,
    Pregreet { bytes: usize, after: Duration, text: String },
    Hangup { after: Duration, greeted: bool },
    Rank(i64),
    Pipelining { after: &'static str, text: String },
    NonSmtp { after: &'static str, text: String },
    BareNewline { text: String },
    TimeLimit { after: &'static str },
    CountLimit { after: &'static str },
    LengthLimit { after: &'static str },
    NoRecipient { command: &'static str },
    Reject { reply: String, sender: String, recipient: String, protocol: &'static str, helo: String },
    Replaced { before: String, after: String },
    Warning(String),
}

/// Why recipients are refused.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Refusal {
    /// The deny list.
    Unavailable,
    /// DNS lists; the name to give.
    Listed(Box<str>),
    /// A protocol test.
    Protocol,
}

/// What the client may do now.
#[derive(Debug)]
enum Phase {
    /// Wait for the greeting.
    Waiting,
    /// Talk to the engine that takes no mail.
    Engine(Box<Engine>),
    /// Nothing: it is handed on, or gone.
    Over,
}

/// One client's way to the SMTP server, or out.
#[derive(Debug)]
pub struct Screen {
    settings: Arc<Settings>,
    client: SocketAddr,
    actions: VecDeque<Action>,
    record: Record,
    /// Tests to be made.
    due: Tests,
    passed: Tests,
    failed: Tests,
    veto: bool,
    refusal: Option<Refusal>,
    ranked: Ranked,
    /// What came before the greeting.
    early: Vec<u8>,
    since: Mono,
    phase: Phase,
}

/// What a log line shows of early input.
const SHOWN_CHARS: usize = 100;

/// `521 5.5.1 Protocol error`, with `code` for another.
fn protocol_error(code: u16) -> Reply {
    Reply::new(code, Dsn::new(5, 5, 1), "Protocol error")
}

impl Refusal {
    /// The reply with `code`, 550 for a recipient and 521 for a last word.
    fn reply(&self, code: u16, client: SocketAddr) -> Reply {
        match self {
            Refusal::Unavailable => Reply::new(code, Dsn::new(5, 3, 2), "Service currently unavailable"),
            Refusal::Listed(domain) => {
                let text = format!("Service unavailable; client [{}] blocked using {domain}", client.ip());
                Reply::new(code, Dsn::new(5, 7, 1), text)
            }
            Refusal::Protocol => protocol_error(code),
        }
    }
}

impl Screen {
    /// `client` has connected. Poll it, and write `out`.
    #[must_use]
    pub fn new(
        settings: Arc<Settings>,
        client: SocketAddr,
        arrival: Arrival,
        now: Now,
        out: &mut Vec<u8>,
    ) -> Screen {
        let mut screen = Screen {
            settings,
            client,
            actions: VecDeque::new(),
            record: arrival.record,
            due: Tests::NONE,
            passed: Tests::NONE,
            failed: Tests::NONE,
            veto: arrival.veto,
            refusal: None,
            ranked: Ranked::default(),
            early: Vec::new(),
            since: now.mono,
            phase: Phase::Waiting,
        };
        screen.arrive(arrival, now, out);
        screen
    }

    fn arrive(&mut self, arrival: Arrival, now: Now, out: &mut Vec<u8>) {
        match arrival.standing {
            Standing::Crowding => {
                self.note(Note::TooManyConnections);
                let reply = Reply::new(421, Dsn::new(4, 7, 0), "Error: too many connections");
                return self.hang_up(reply, now, out);
            }
            Standing::Allowed => {
                self.note(Note::Allowlisted);
                return self.hand_on();
            }
            Standing::Denied => {
                self.record = Record::default();
                self.note(Note::Denylisted);
                if !self.punish(Tests::DENIED, self.settings.denylist, Refusal::Unavailable, (now, out)) {
                    return;
                }
            }
            Standing::Unknown => {}
        }
        self.due = self.record.due(self.settings.enabled, now.wall);
        if self.due.is_empty() && self.failed.is_empty() {
            // Where no test is switched on, there is nothing to tell.
            if !self.settings.enabled.is_empty() {
                self.note(Note::PassOld);
            }
            return self.hand_on();
        }
        if self.veto {
            self.note(Note::Veto);
        }
        if arrival.full {
            self.note(Note::PortsBusy);
            let reply = Reply::new(421, Dsn::new(4, 3, 2), "All screening ports are busy");
            return self.hang_up(reply, now, out);
        }
        if self.due.has(Tests::DNSBL) {
            self.actions.push_back(Action::AskLists);
        }
        if self.due.has(Tests::GREET) && !self.settings.teaser.is_empty() {
            for part in [b"220-", self.settings.teaser.as_bytes(), b"\r\n"] {
                out.extend_from_slice(part);
            }
        }
        if self.due.and(Tests::GREET.with(Tests::DNSBL)).is_empty() {
            self.judge(now, out);
        }
    }

    /// Takes one input; replies are appended to `out`.
    pub fn handle(&mut self, now: Now, input: Input<'_>, out: &mut Vec<u8>) {
        match (&self.phase, input) {
            (Phase::Waiting, Input::Bytes(bytes)) => self.talked_early(now, bytes, out),
            (Phase::Waiting, Input::Ranked(ranked)) => self.hear(now, ranked, out),
            (Phase::Waiting, Input::PeerClosed) => self.hung_up(now),
            (Phase::Engine(_), Input::Bytes(bytes)) => self.converse(now, bytes, out),
            (Phase::Engine(_), Input::PeerClosed) => self.hung_up(now),
            // Came with the proxy's header: the SMTP server's to hear.
            (Phase::Over, Input::Bytes(bytes)) if self.actions.back() == Some(&Action::Pass) => {
                self.early.extend_from_slice(bytes);
            }
            (Phase::Engine(_), Input::Ranked(_)) | (Phase::Over, _) => {}
        }
    }

    /// The next thing to do. Call until `None` after each `handle` and `expire`.
    pub fn poll(&mut self) -> Option<Action> {
        let action = self.actions.pop_front();
        if action.is_none() && self.actions.capacity() > 0 {
            self.actions = VecDeque::new();
        }
        action
    }

    /// When [`Screen::expire`] wants to be called.
    #[must_use]
    pub fn deadline(&self) -> Option<Mono> {
        match &self.phase {
            Phase::Waiting => Some(self.since + self.settings.greet_wait),
            Phase::Engine(engine) => Some(engine.until),
            Phase::Over => None,
        }
    }

    /// The deadline may have come.
    pub fn expire(&mut self, now: Now, out: &mut Vec<u8>) {
        match &self.phase {
            Phase::Waiting if now.mono >= self.since + self.settings.greet_wait => self.judge(now, out),
            Phase::Engine(engine) if now.mono >= engine.until => self.out_of_time(now, out),
            _ => {}
        }
    }

    /// Whether bytes should be read from the client now. What comes too early is read once; the rest stays in the
    /// kernel.
    #[must_use]
    pub fn wants_input(&self) -> bool {
        match &self.phase {
            Phase::Waiting => self.early.is_empty(),
            Phase::Engine(_) => true,
            Phase::Over => false,
        }
    }

    /// What the client sent before it was handed on: the SMTP server's first input.
    #[must_use]
    pub fn take_early(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.early)
    }

    /// Ends the session from outside: the server is stopping, or its place is needed.
    pub fn send_away(&mut self, reply: Reply, now: Now, out: &mut Vec<u8>) {
        if !matches!(self.phase, Phase::Over) {
            self.hang_up(reply, now, out);
        }
    }

    /// The client has been waited for long enough, whatever the deadline says.
    pub fn time_out(&mut self, now: Now, out: &mut Vec<u8>) {
        self.out_of_time(now, out);
    }

    /// Whether it is the client's turn to say something.
    #[must_use]
    pub fn is_talking(&self) -> bool {
        matches!(self.phase, Phase::Engine(_))
    }

    fn note(&mut self, note: Note) {
        self.actions.push_back(Action::Note(note));
    }

    fn hand_on(&mut self) {
        self.phase = Phase::Over;
        self.actions.push_back(Action::Pass);
    }

    /// A test has failed: does what the administrator wants for that. False where the session is over.
    fn punish(
        &mut self,
        test: Tests,
        penalty: Penalty,
        refusal: Refusal,
        (now, out): (Now, &mut Vec<u8>),
    ) -> bool {
        match penalty {
            Penalty::Ignore => {}
            Penalty::Enforce => {
                self.failed = self.failed.with(test);
                self.refusal = Some(refusal);
            }
            Penalty::Drop => {
                self.failed = self.failed.with(test);
                let reply = refusal.reply(521, self.client);
                self.hang_up(reply, now, out);
                return false;
            }
        }
        true
    }

    /// Bytes before the greeting.
    fn talked_early(&mut self, now: Now, bytes: &[u8], out: &mut Vec<u8>) {
        let first = self.early.is_empty();
        self.early.extend_from_slice(bytes);
        if !first || !self.due.has(Tests::GREET) {
            return;
        }
        let after = now.mono.since(self.since);
        // Here Postfix counts the characters that are shown.
        let text = escaped(bytes).chars().take(SHOWN_CHARS).collect();
        self.note(Note::Pregreet { bytes: bytes.len(), after, text });
        self.passed = self.passed.without(Tests::GREET);
        if !self.punish(Tests::GREET, self.settings.greet, Refusal::Protocol, (now, out)) {
            return;
        }
        // It has shown what it is: as with Postfix, nothing is left to wait for but lists.
        if !self.due.has(Tests::DNSBL) || self.ranked.complete {
            self.judge(now, out);
        }
    }

    /// What lists say. One that is trusted waits for nothing more; nobody waits for lists alone longer than for the
    /// slowest.
    fn hear(&mut self, now: Now, ranked: Ranked, out: &mut Vec<u8>) {
        self.ranked = ranked;
        let nothing_else = !self.due.has(Tests::GREET) || !self.early.is_empty();
        if self.ranked.complete && (nothing_else || self.is_trusted()) {
            self.judge(now, out);
        }
    }

    /// `postscreen_dnsbl_allowlist_threshold`
    fn is_trusted(&self) -> bool {
        let threshold = self.settings.allowlist_threshold;
        threshold < 0 && self.due.has(Tests::DNSBL) && self.ranked.rank <= threshold
    }

    /// The wait is over.
    fn judge(&mut self, now: Now, out: &mut Vec<u8>) {
        let talked = !self.early.is_empty();
        if self.is_trusted() && self.failed.is_empty() && !self.veto && !talked {
            let holds_s = self.settings.ttls.dnsbl_holding(self.ranked.holds_s);
            self.record.extend(holds_s, now.wall);
            self.actions.push_back(Action::Remember(self.record));
            self.note(Note::PassNew);
            return self.hand_on();
        }
        if self.due.has(Tests::GREET) && !talked {
            self.passed = self.passed.with(Tests::GREET);
        }
        if self.due.has(Tests::DNSBL) {
            if self.ranked.rank >= self.settings.dnsbl_threshold {
                self.note(Note::Rank(self.ranked.rank));
                let refusal = Refusal::Listed(self.ranked.domain.as_str().into());
                if !self.punish(Tests::DNSBL, self.settings.dnsbl, refusal, (now, out)) {
                    return;
                }
            } else {
                self.passed = self.passed.with(Tests::DNSBL);
            }
        }
        if self.failed.is_empty() && self.due.and(Tests::DEEP).is_empty() && !self.veto {
            self.remember(now);
            return self.hand_on();
        }
        self.start_engine(now, out);
    }

    /// Keeps what was passed, unless something failed; says so where all was passed.
    fn remember(&mut self, now: Now) {
        if !self.failed.is_empty() || self.veto {
            return;
        }
        if !self.passed.is_empty() {
            let ttls = &self.settings.ttls;
            let dnsbl_s = ttls.dnsbl_holding(self.ranked.holds_s);
            self.record.pass(self.passed, ttls, dnsbl_s, now.wall);
            self.actions.push_back(Action::Remember(self.record));
        }
        if self.passed.has(self.due) {
            self.note(Note::PassNew);
        }
    }

    fn hung_up(&mut self, now: Now) {
        let greeted = matches!(self.phase, Phase::Engine(_));
        self.note(Note::Hangup { after: now.mono.since(self.since), greeted });
        self.end(now);
    }

    /// A last word.
    fn hang_up(&mut self, reply: Reply, now: Now, out: &mut Vec<u8>) {
        self.reply(reply, now, out);
        self.end(now);
    }

    /// The end of a client that isn't handed on.
    fn end(&mut self, now: Now) {
        if let Phase::Engine(engine) = std::mem::replace(&mut self.phase, Phase::Over) {
            if engine.reached {
                self.passed = self.passed.with(self.due.and(Tests::DEEP).without(self.failed));
            }
            self.remember(now);
        }
        self.note(Note::Disconnect);
        self.actions.push_back(Action::Close);
    }

    fn reply(&mut self, mut reply: Reply, now: Now, out: &mut Vec<u8>) {
        if self.settings.soft_bounce && reply.code / 100 == 5 {
            reply.code -= 100;
            reply.dsn = reply.dsn.map(|dsn| dsn.in_class_of(reply.code));
        }
        let (reply, warnings) = footer::with_footer(&self.settings, self.client, now.wall, reply);
        for warning in warnings {
            self.note(Note::Warning(warning));
        }
        reply.write_to(out);
    }
}

/// Plays a conversation out of any bytes: the first few say what the client stands for and when it sends. For
/// fuzzing; it must not panic, and what it holds is bounded.
pub fn fuzz(bytes: &[u8]) {
    let Some((&head, mut rest)) = bytes.split_first() else { return };
    let settings = Settings {
        enabled: Tests::GREET.with(if head & 1 == 0 { Tests::NONE } else { Tests::DEEP }),
        denylist: Penalty::Enforce,
        non_smtp: Penalty::Enforce,
        ..Settings::default()
    };
    let standing = if head & 2 == 0 { Standing::Unknown } else { Standing::Denied };
    let arrival = Arrival { standing, record: Record::default(), veto: head & 4 != 0, full: false };
    let client = SocketAddr::from(([192, 0, 2, 2], 4711));
    let (mut now, mut out) = (Now::default(), Vec::new());
    let mut screen = Screen::new(Arc::new(settings), client, arrival, now, &mut out);
    if head & 8 == 0 {
        now = now + Duration::from_secs(6);
        screen.expire(now, &mut out);
    }
    while let Some((&length, behind)) = rest.split_first() {
        let (piece, more) = behind.split_at_checked(usize::from(length)).unwrap_or((behind, &[]));
        rest = more;
        if screen.wants_input() {
            screen.handle(now, Input::Bytes(piece), &mut out);
        }
        now = now + Duration::from_millis(u64::from(length));
        screen.expire(now, &mut out);
        while screen.poll().is_some() {}
        assert!(screen.buffer_bytes() <= 4 * 4096, "what a client sends is bounded");
        out.clear();
    }
    screen.handle(now, Input::PeerClosed, &mut out);
}
