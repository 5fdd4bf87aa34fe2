//! A driver without sockets, for tests and fuzzing: it answers every action at once and writes down all.
//!
//! It also holds the conversation to its promises: one waiting action at a time, nothing after Close, whole
//! reply lines, bounded buffers.

use super::{
    Action, AuthOutcome, AuthSettings, AuthStep, BareNewline, Input, Keywords, Note, Peer, Request, Server,
    Settings, TlsLevel, Verdict,
};
use mail::{Dsn, Mono, Now, Reply, Wall};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

/// What the driver answers.
pub(super) type Answers = fn(&Request) -> Verdict;

/// The driver with what it saw.
pub(super) struct Drive {
    pub(super) server: Server,
    pub(super) now: Now,
    /// All that was sent to the client.
    pub(super) out: Vec<u8>,
    pub(super) notes: Vec<Note>,
    /// Every action, as text, content joined.
    pub(super) actions: Vec<String>,
    /// Messages that were committed.
    pub(super) messages: Vec<Vec<u8>>,
    pub(super) closed: bool,
    content: Vec<u8>,
    answers: Answers,
    filter: fn(&str) -> Option<String>,
}

impl Drive {
    pub(super) fn new(settings: Settings, peer: Peer, answers: Answers) -> Drive {
        let now = Now { mono: Mono(1_000_000_000), wall: Wall::from_seconds(1_700_000_000) };
        let mut drive = Drive {
            server: Server::new(Arc::new(settings), peer, now),
            now,
            out: Vec::new(),
            notes: Vec::new(),
            actions: Vec::new(),
            messages: Vec::new(),
            closed: false,
            content: Vec::new(),
            answers,
            filter: |_| None,
        };
        drive.pump();
        drive
    }

    #[cfg(test)]
    pub(super) fn filter(mut self, filter: fn(&str) -> Option<String>) -> Drive {
        self.filter = filter;
        self
    }

    /// The client sends.
    pub(super) fn feed(&mut self, bytes: &[u8]) {
        if !self.closed {
            self.server.handle(self.now, Input::Bytes(bytes), &mut self.out);
            self.pump();
        }
    }

    /// The client closes its side.
    pub(super) fn hang_up(&mut self) {
        if !self.closed {
            self.server.handle(self.now, Input::PeerClosed, &mut self.out);
            self.pump();
        }
    }

    /// Time goes by.
    pub(super) fn wait(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(due) = self.server.deadline().filter(|&due| due <= end.mono && !self.closed) {
            if due > self.now.mono {
                self.now = self.now + due.since(self.now.mono);
            }
            self.server.expire(self.now, &mut self.out);
            self.pump();
        }
        self.now = end;
    }

    /// Waits until no reply is held back.
    pub(super) fn settle(&mut self) {
        while let Some(due) = self.server.deadline().filter(|_| !self.closed && !self.server.reads()) {
            self.wait(due.since(self.now.mono));
        }
    }

    /// Does what there is to do.
    fn pump(&mut self) {
        let mut waiting = false;
        while let Some(action) = self.server.poll() {
            assert!(!self.closed, "nothing comes after Close");
            match &action {
                Action::Chunk(_) | Action::Note(_) => {}
                other => self.actions.push(format!("{other:?}")),
            }
            if let Some(input) = self.answer(action) {
                assert!(!std::mem::replace(&mut waiting, true), "one action waits at a time");
                self.server.handle(self.now, input, &mut self.out);
                waiting = false;
            }
            while self.server.deadline() == Some(Mono(0)) && !self.closed {
                self.server.expire(self.now, &mut self.out);
            }
        }
        assert!(self.out.is_empty() || self.out.ends_with(b"\r\n"), "replies are whole lines");
        if self.server.reads() && self.server.envelope().is_none() {
            let bound = 3 * 2048 + 16 * 1024;
            assert!(self.server.buffer_bytes() <= bound, "{} bytes", self.server.buffer_bytes());
        }
    }

    fn answer(&mut self, action: Action) -> Option<Input<'static>> {
        match action {
            Action::Decide(request) => return Some(Input::Decided((self.answers)(&request))),
            Action::Unknown(_) => return Some(Input::Decided(super::Verdict::Permit)),
            Action::Filter(line) => return Some(Input::Filtered((self.filter)(&line))),
            Action::Commit => {
                self.messages.push(std::mem::take(&mut self.content));
                return Some(Input::Stored(Ok("4Zk3nq2bXPzJrm".to_owned())));
            }
            Action::StartTls => return Some(Input::TlsUp),
            Action::Authenticate(AuthStep::Start { initial: None, .. }) => {
                return Some(Input::Authenticated(AuthOutcome::Challenge(String::new())));
            }
            Action::Authenticate(AuthStep::Start { mechanism, initial: Some(username) }) => {
                return Some(Input::Authenticated(AuthOutcome::Success { mechanism, username }));
            }
            Action::Authenticate(AuthStep::Response(_)) => {
                let text = "Error: authentication failed";
                return Some(Input::Authenticated(AuthOutcome::Failure(Reply::new(
                    535,
                    Dsn::new(5, 7, 8),
                    text,
                ))));
            }
            Action::Chunk(chunk) => {
                assert!(chunk.len() <= super::content::CHUNK_BYTES_MAX, "chunks are bounded");
                self.content.extend_from_slice(&chunk);
                self.server.recycle(chunk);
            }
            Action::Note(note) => self.notes.push(note),
            Action::Abort => self.content.clear(),
            Action::Close => self.closed = true,
            Action::Identity(identity) => {
                let mut peer = self.server.peer().clone();
                if let Some(address) = identity.address {
                    // Who isn't at the trusted address any more has lost that address's rights.
                    peer.address = address.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
                    (peer.rights.xclient, peer.rights.verp) = (false, false);
                }
                self.server.identify(peer);
            }
            Action::Authenticate(AuthStep::Cancelled | AuthStep::TooLong) => {}
        }
        None
    }
}

/// A client at 127.0.0.1.
pub(super) fn local_peer() -> Peer {
    Peer::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 40_164)
}

/// For fuzzing: the first bytes choose the settings and how the rest is cut up; the rest is what a client
/// sends. Whole at once and cut up, it must come to the same.
///
/// # Panics
/// Where the conversation breaks a promise.
pub fn fuzz(bytes: &[u8]) {
    let Some((&[choice, rights, cut], session)) = bytes.split_first_chunk::<3>() else { return };
    let run = |cut: usize| {
        let mut drive = Drive::new(chosen(choice), peer_with(rights), answers);
        for piece in session.chunks(cut.max(1)) {
            drive.feed(piece);
            drive.settle();
        }
        drive.hang_up();
        drive.settle();
        assert!(drive.closed, "a session that the client leaves ends");
        (drive.out, drive.actions, drive.messages, drive.server.counters().clone())
    };
    let whole = run(session.len());
    assert!(whole == run(usize::from(cut)), "how input is cut up changes nothing");
}

fn peer_with(rights: u8) -> Peer {
    let mut peer = local_peer();
    peer.rights.xclient = rights & 1 != 0;
    peer.rights.xforward = rights & 2 != 0;
    peer.rights.verp = rights & 4 != 0;
    peer.rights.bare_newline = rights & 8 != 0;
    if rights & 16 != 0 {
        peer.discard_ehlo_keywords = Some(Keywords::CHUNKING.with(Keywords::DSN));
    }
    peer
}

/// Settings by number. Early talk is let pass: whether it is seen depends on how input is cut up.
fn chosen(choice: u8) -> Settings {
    let bit = |n: u8| choice >> n & 1 != 0;
    Settings {
        forbid_unauth_pipelining: false,
        forbid_bare_newline: match choice & 3 {
            0 => BareNewline::Allow,
            1 => BareNewline::Normalize,
            2 => BareNewline::Note,
            _ => BareNewline::Reject(550),
        },
        hard_error_limit: if bit(2) { 3 } else { 1000 },
        soft_error_limit: if bit(3) { 1 } else { 1000 },
        strict_rfc821_envelopes: bit(4),
        smtputf8_enable: !bit(5),
        message_size_limit: if bit(6) { 200 } else { 0 },
        auth: bit(7).then(|| AuthSettings {
            mechanisms: vec!["PLAIN".to_owned()],
            mechanisms_tls: vec!["PLAIN".to_owned()],
            ..AuthSettings::default()
        }),
        // What stands behind STARTTLS is thrown away only if it came early, so no TLS here.
        tls: TlsLevel::None,
        recipient_limit: 3,
        recipient_overshoot_limit: 1,
        reject_footer: bit(5).then(|| "\\c. See $server_name\\n${client_address}".to_owned()),
        command_filter: bit(6) && bit(4),
        ..Settings::default()
    }
}

/// Refuses what has `rej` in it, and hangs up on `bye`.
fn answers(request: &Request) -> Verdict {
    let text = format!("{request:?}");
    let dsn = Dsn::new(5, 7, 1);
    if text.contains("bye") {
        Verdict::Disconnect(Reply::new(421, Dsn::new(4, 7, 0), "go away"))
    } else if text.contains("rej") {
        Verdict::Reject(Reply::new(554, dsn, "no\nreally"))
    } else {
        Verdict::Permit
    }
}
