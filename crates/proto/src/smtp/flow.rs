//! How bytes and answers move the conversation on: the reading loop, replies and their delay, time-outs,
//! the end of the connection.
//!
//! Postfix's slowing down of clients that make errors is here (`smtpd_soft_error_limit`,
//! `smtpd_error_sleep_time`), as is RFC 5321 §4.5.3.2's patience (`smtpd_timeout`).

use super::{
    Action, Command, Fault, Input, Mode, Note, Pace, Server, Transcript, Verdict, Wait, footer, words,
};
use mail::{Dsn, Now, Reply};
use std::time::Duration;

/// The most input that is kept while something is outstanding, before `wants_input` says no.
pub(super) const PENDING_BYTES_MAX: usize = 16 * 1024;

/// The most output that one call makes before it waits for it to be written.
const OUTPUT_BYTES_MAX: usize = 64 * 1024;

/// What a step works with.
pub(super) struct Step<'a> {
    pub(super) now: Now,
    pub(super) out: &'a mut Vec<u8>,
}

impl Server {
    /// Takes one input; replies are appended to `out`.
    pub fn handle(&mut self, now: Now, input: Input<'_>, out: &mut Vec<u8>) {
        let step = &mut Step { now, out };
        match input {
            Input::Bytes(bytes) => {
                if !bytes.is_empty() {
                    self.extend_time(now, bytes.len());
                }
                return self.run(step, bytes);
            }
            Input::Decided(verdict) => self.decided(step, verdict),
            Input::Filtered(line) => self.filtered(step, line),
            Input::Stored(result) => self.stored(step, result),
            Input::Relayed(reply) => self.relayed(step, reply),
            Input::TlsUp => self.tls_up(),
            Input::TlsUnfit(reply) => {
                self.tls_up();
                self.hang_up(step, reply);
            }
            Input::TlsRefused(reply) => {
                if matches!(self.wait, Some(Wait::StartTls)) {
                    self.wait = None;
                    self.done(false);
                    (self.input, self.taken) = (Vec::new(), 0);
                    self.hang_up(step, reply);
                }
            }
            Input::Authenticated(outcome) => self.authenticated(step, outcome),
            Input::PeerClosed => {
                self.state.peer_closed = true;
                if matches!(self.wait, Some(Wait::StartTls | Wait::Auth)) {
                    self.wait = None;
                    self.done(false);
                    (self.input, self.taken) = (Vec::new(), 0);
                }
            }
        }
        self.rearm(now);
        self.run(step, &[]);
    }

    /// The deadline may have come.
    pub fn expire(&mut self, now: Now, out: &mut Vec<u8>) {
        let step = &mut Step { now, out };
        if let Some(pause) = self.pause {
            if now.mono < pause {
                return;
            }
            self.pause = None;
            step.out.append(&mut self.held);
            self.held = Vec::new();
            self.rearm(now);
        } else if self.state.pace != Pace::Yielded && self.reads() && now.mono >= self.until {
            return self.time_out(now, out);
        }
        self.run(step, &[]);
    }

    /// The client has taken or sent nothing for too long, whatever the deadline says: a last word, and the end.
    pub fn time_out(&mut self, now: Now, out: &mut Vec<u8>) {
        if matches!(self.mode, Mode::Closed) {
            return;
        }
        let place = self.where_().into_owned();
        self.aborted("timeout");
        self.actions.push_back(Action::Note(Note::Timeout(place)));
        self.cut_short();
        let text = format!("{} Error: timeout exceeded", self.settings.hostname);
        self.hang_up(&mut Step { now, out }, Reply::new(421, Dsn::new(4, 4, 2), text));
    }

    /// The administrator stops the server: a client that is owed no reply gets a last word (RFC 5321 §3.8); one
    /// that is, gets its reply first, so call it again then.
    pub fn shut_down(&mut self, now: Now, out: &mut Vec<u8>) {
        if self.reads() && matches!(self.mode, Mode::Command) {
            let text = "Service shutting down and closing transmission channel";
            self.hang_up(&mut Step { now, out }, Reply::new(421, Dsn::new(4, 3, 2), text));
        }
    }

    /// The client is shut out from now on: a last word and the end, whatever it was about to do. A message whose content is
    /// whole is seen through first, and so is a handshake that was promised, so call it again then.
    pub fn shut_out(&mut self, out: &mut Vec<u8>) {
        let is_seen_through = matches!(self.wait, Some(Wait::EndOfData | Wait::Commit | Wait::StartTls));
        if matches!(self.mode, Mode::Closed) || is_seen_through {
            return;
        }
        // What it had asked for needs no answer any more.
        self.actions.retain(|action| matches!(action, Action::Note(_) | Action::Abort));
        self.cut_short();
        let text =
            format!("{} Error: too many failures, your network is shut out for now", self.settings.hostname);
        self.disconnect(&Reply::new(421, Dsn::new(4, 7, 0), text), out);
    }

    /// After the reply to what is decided now nothing that the client has sent is looked at before [`Server::expire`], or
    /// [`Server::shut_out`].
    pub fn answer_no_more(&mut self) {
        self.state.pace = Pace::Halts;
    }

    /// Whether we are waiting for the client, and for nothing else.
    pub(super) fn reads(&self) -> bool {
        self.wait.is_none() && self.pause.is_none() && !matches!(self.mode, Mode::Closed)
    }

    /// Works through what there is.
    fn run(&mut self, step: &mut Step<'_>, fresh: &[u8]) {
        self.state.pace = if self.state.pace == Pace::Halts { Pace::Yielded } else { Pace::On };
        let (mut kept, taken) = (std::mem::take(&mut self.input), std::mem::take(&mut self.taken));
        let mut rest = fresh;
        if !kept.is_empty() {
            kept.extend_from_slice(fresh);
            rest = kept.get(taken..).unwrap_or_default();
        }
        while self.reads() && self.state.pace == Pace::On {
            if step.out.len() > OUTPUT_BYTES_MAX {
                self.state.pace = Pace::Yielded;
                break;
            }
            if !self.take(step, &mut rest) {
                break;
            }
        }
        if matches!(self.mode, Mode::Closed) {
            return;
        }
        if self.reads() && self.state.pace == Pace::On && self.state.peer_closed {
            return self.lost();
        }
        if matches!(self.wait, Some(Wait::StartTls)) {
            // What came in the clear must not be taken for protected: RFC 3207 §4.2, CVE-2011-0411.
            return;
        }
        // Of an over-long line nothing is kept but its beginning.
        let cut = std::mem::take(&mut self.state.cut);
        let cut = cut.and_then(|cut| usize::try_from(cut).ok()).unwrap_or(usize::MAX);
        if kept.is_empty() {
            self.input = rest.get(..cut).unwrap_or(rest).to_vec();
        } else {
            self.taken = kept.len().saturating_sub(rest.len());
            kept.truncate(self.taken.saturating_add(cut));
            self.input = kept;
            self.compact();
        }
    }

    /// Lets go of input that was used, in one move for many small uses.
    fn compact(&mut self) {
        if self.taken >= self.input.len() {
            self.input = Vec::new();
            self.taken = 0;
        } else if self.taken > self.input.len() / 2 {
            self.input.drain(..self.taken);
            self.taken = 0;
        }
    }

    /// Input that was read and not yet come to.
    pub(super) fn pending(&self) -> &[u8] {
        self.input.get(self.taken..).unwrap_or_default()
    }

    /// One bite of the input; false where more is needed.
    fn take(&mut self, step: &mut Step<'_>, rest: &mut &[u8]) -> bool {
        match &self.mode {
            Mode::Command => {
                if self.errors >= self.settings.hard_error_limit {
                    self.too_many_errors(step);
                    return true;
                }
                self.take_line(step, rest)
            }
            Mode::AuthResponse => self.take_line(step, rest),
            Mode::Data => self.take_data(step, rest),
            Mode::Bdat { .. } => self.take_chunk(step, rest),
            Mode::Closed => false,
        }
    }

    fn too_many_errors(&mut self, step: &mut Step<'_>) {
        self.aborted("too many errors");
        self.actions.push_back(Action::Note(Note::TooManyErrors(self.place.to_owned())));
        let text = format!("{} Error: too many errors", self.settings.hostname);
        self.hang_up(step, Reply::new(421, Dsn::new(4, 7, 0), text));
    }

    /// One line; over-long ones are cut, as Postfix cuts them (`line_length_limit`).
    fn take_line(&mut self, step: &mut Step<'_>, rest: &mut &[u8]) -> bool {
        let limit = match (&self.mode, &self.settings.auth) {
            (Mode::AuthResponse, Some(auth)) => auth.response_limit.max(self.settings.line_length_limit),
            _ => self.settings.line_length_limit,
        };
        let Some(end) = memchr::memchr(b'\n', rest) else {
            if rest.len() > limit {
                self.state.skipped = rest.last().copied();
                self.state.cut = Some(u32::try_from(limit).unwrap_or(u32::MAX).saturating_add(1));
            }
            return false;
        };
        let (line, after) = rest.split_at_checked(end).unwrap_or((rest, &[]));
        let after = after.get(1..).unwrap_or_default();
        *rest = after;
        let bare_newline = match self.state.skipped.take() {
            Some(last) if line.len() == limit.saturating_add(1) => last != b'\r',
            _ => !line.ends_with(b"\r"),
        };
        // A whole request is there: what follows, BDAT's bytes included, has its own time.
        self.rearm(step.now);
        let cut = line.len() > limit;
        let text =
            if cut { line.get(..limit).unwrap_or(line) } else { line.strip_suffix(b"\r").unwrap_or(line) };
        if cut {
            let shown: String = String::from_utf8_lossy(text).chars().take(30).collect();
            self.warn(Note::LongRequest { limit, text: words::printable(&shown).into_owned() });
        }
        if matches!(self.mode, Mode::AuthResponse) {
            self.auth_response(step, text, cut);
        } else {
            self.command_line(step, text, bare_newline, after);
        }
        true
    }

    /// Content of DATA.
    fn take_data(&mut self, step: &mut Step<'_>, rest: &mut &[u8]) -> bool {
        let Some(content) = self.transaction.as_mut().and_then(|t| t.content.as_mut()) else {
            self.mode = Mode::Command;
            return true;
        };
        let fed = content.data(rest);
        self.actions.extend(content.take_ready().map(Action::Chunk));
        match fed {
            super::content::Fed::More => {
                *rest = &[];
                false
            }
            super::content::Fed::End(used) => {
                *rest = rest.get(used..).unwrap_or_default();
                self.end_of_data(step);
                true
            }
        }
    }

    /// The driver's answer to a decision.
    fn decided(&mut self, step: &mut Step<'_>, verdict: Verdict) {
        let Some(wait) = self.wait.take() else { return };
        let (reply, disconnect) = match verdict {
            Verdict::Permit => return self.permitted(step, wait, None),
            Verdict::PermitWith(reply) => return self.permitted(step, wait, Some(reply)),
            Verdict::Reject(reply) => {
                let disconnect = matches!(reply.code, 421 | 521);
                (reply, disconnect)
            }
            Verdict::Disconnect(reply) => (reply, true),
        };
        match wait {
            Wait::Connect if !disconnect => {
                self.state.denied = true;
                self.blame(Fault::Policy);
                return self.reply(step, reply);
            }
            Wait::Connect | Wait::Filter(_) => {}
            Wait::Commit | Wait::StartTls | Wait::Auth => {
                self.wait = Some(wait);
                return;
            }
            Wait::Bdat { left, last } if !disconnect => return self.refuse_chunk(step, left, last, reply),
            Wait::EndOfData => {
                self.forget();
                return self.refuse(step, reply, disconnect);
            }
            _ => return self.refuse(step, reply, disconnect),
        }
        if disconnect { self.hang_up(step, reply) } else { self.reply(step, reply) }
    }

    /// The command goes on.
    fn permitted(&mut self, step: &mut Step<'_>, wait: Wait, reply: Option<Reply>) {
        match wait {
            Wait::Connect => self.greet(step, reply),
            Wait::Helo(name, extended) => self.greeted(step, (name, extended), reply),
            Wait::Unknown => self.not_recognized(step),
            Wait::Mail(request) => self.mail_permitted(step, *request, reply),
            Wait::Rcpt(recipient) => self.rcpt_permitted(step, *recipient, reply),
            Wait::Data => self.data_permitted(step),
            Wait::Bdat { left, last } => self.chunk_permitted(left, last),
            Wait::EndOfData => {
                self.wait = Some(Wait::Commit);
                self.actions.push_back(Action::Commit);
            }
            Wait::Etrn => {
                self.succeed(step, reply.unwrap_or_else(|| Reply::plain(250, "Queuing started")));
            }
            Wait::Vrfy(address) => {
                self.succeed(step, reply.unwrap_or_else(|| Reply::new(252, Dsn::new(2, 0, 0), address)));
            }
            other => self.wait = Some(other),
        }
    }

    /// Sends one reply, now or, to a client that has made too many errors, later.
    pub(super) fn reply(&mut self, step: &mut Step<'_>, mut reply: Reply) {
        if self.settings.soft_bounce && reply.code / 100 == 5 {
            reply.code -= 100;
            reply.dsn = reply.dsn.map(|dsn| dsn.in_class_of(reply.code));
        }
        if let Some((before, after)) = footer::filtered(&self.settings, &reply) {
            self.warn(Note::RejectFilter { before, after: after.to_string() });
            reply = after;
        }
        let reply = footer::with_footer(&self.settings, &self.peer, step.now.wall, reply);
        self.send(step, |out| reply.write_to(out));
    }

    /// Sends what `write` writes, or holds it back.
    pub(super) fn send(&mut self, step: &mut Step<'_>, write: impl FnOnce(&mut Vec<u8>)) {
        let sleep = self.settings.error_sleep_time;
        if self.pause.is_none() && self.errors >= self.settings.soft_error_limit && sleep > Duration::ZERO {
            self.pause = Some(step.now.mono + sleep);
        }
        let out = if self.pause.is_some() { &mut self.held } else { &mut *step.out };
        let before = out.len();
        write(out);
        if let Some(transcript) = &mut self.transcript {
            transcript.said(out.get(before..).unwrap_or_default());
        }
        self.rearm(step.now);
    }

    /// Ends the session from outside: shutdown, a bug at the session's edge.
    pub fn disconnect(&mut self, reply: &Reply, out: &mut Vec<u8>) {
        if !matches!(self.mode, Mode::Closed) {
            out.append(&mut std::mem::take(&mut self.held));
            self.pause = None;
            reply.write_to(out);
            self.close();
        }
    }

    /// Says a last word and closes.
    pub(super) fn hang_up(&mut self, step: &mut Step<'_>, reply: Reply) {
        self.reply(step, reply);
        self.close();
    }

    /// The client went away.
    fn lost(&mut self) {
        // After the end of a message a client may leave without a word, and many do.
        if self.place != "END-OF-MESSAGE" {
            let place = self.where_().into_owned();
            self.aborted("lost connection");
            self.warn(Note::LostConnection(place));
        }
        self.cut_short();
        self.close();
    }

    /// Content that will never be whole counts as a command that failed.
    fn cut_short(&mut self) {
        if matches!(self.mode, Mode::Data | Mode::Bdat { .. } | Mode::AuthResponse) {
            self.done(false);
        }
    }

    /// The end, with what was begun forgotten.
    pub(super) fn close(&mut self) {
        self.forget();
        self.mode = Mode::Closed;
        self.wait = None;
        self.input = Vec::new();
        self.taken = 0;
        self.actions.push_back(Action::Close);
    }

    /// Drops the message that was begun.
    pub(super) fn forget(&mut self) {
        if self.transaction.take().is_some() {
            self.actions.push_back(Action::Abort);
        }
        self.forwarded = None;
    }

    /// The current command is through.
    pub(super) fn done(&mut self, good: bool) {
        self.counters.count(self.current, good);
        if !good {
            self.errors = self.errors.saturating_add(1);
        }
        // Greetings count too, as in Postfix, though postconf(5) doesn't say so.
        let greeting = matches!(self.current, Command::Helo | Command::Ehlo);
        if greeting || matches!(self.current, Command::Rset | Command::Noop | Command::Vrfy | Command::Etrn) {
            self.junk_command();
        }
    }

    /// `smtpd_junk_command_limit`.
    pub(super) fn junk_command(&mut self) {
        if self.junk > self.settings.junk_command_limit {
            self.errors = self.errors.saturating_add(1);
        }
        self.junk = self.junk.saturating_add(1);
    }

    /// The current command was wrong. The reply goes first: it isn't delayed by the error that it tells of.
    pub(super) fn fail(&mut self, step: &mut Step<'_>, reply: Reply) {
        // A message that is too large is unwanted, not misspelt.
        let is_size = reply.code == 552 && matches!(self.current, Command::Mail);
        self.blame(if is_size { Fault::Policy } else { Fault::Protocol });
        self.reply(step, reply);
        self.done(false);
    }

    /// The current command was refused, perhaps for good.
    pub(super) fn refuse(&mut self, step: &mut Step<'_>, reply: Reply, disconnect: bool) {
        let room = reply.code / 100 == 4 && matches!(reply.dsn, Some(Dsn { subject: 3, .. }));
        let fault = self.fault.take();
        self.blame(fault.unwrap_or(if room { Fault::Resource } else { Fault::Policy }));
        self.reply(step, reply);
        self.done(false);
        if disconnect {
            self.close();
        }
    }

    /// Wrong, and not a command.
    pub(super) fn fail_uncounted(&mut self, step: &mut Step<'_>, reply: Reply) {
        self.blame(Fault::Protocol);
        self.reply(step, reply);
        self.errors = self.errors.saturating_add(1);
    }

    /// The current command is done with this reply.
    pub(super) fn succeed(&mut self, step: &mut Step<'_>, reply: Reply) {
        self.reply(step, reply);
        self.done(true);
    }

    fn blame(&mut self, fault: Fault) {
        if let Some(transcript) = &mut self.transcript {
            transcript.blame(fault);
        }
    }

    /// What the refusal that comes next is about, where it isn't the policy.
    pub const fn blames(&mut self, fault: Fault) {
        self.fault = Some(fault);
    }

    /// What was said, where that is kept.
    #[must_use]
    pub fn transcript(&self) -> Option<&Transcript> {
        self.transcript.as_deref()
    }

    fn aborted(&mut self, why: &'static str) {
        if let Some(transcript) = &mut self.transcript {
            transcript.abort(why);
        }
    }

    /// For the log.
    pub(super) fn warn(&mut self, note: Note) {
        self.actions.push_back(Action::Note(note));
    }

    /// The client's time begins anew.
    fn rearm(&mut self, now: Now) {
        self.until = now.mono + self.settings.timeout;
    }

    /// The client sent something: without `smtpd_per_request_deadline` its time begins anew; with it, content
    /// earns time by `smtpd_min_data_rate`.
    fn extend_time(&mut self, now: Now, bytes: usize) {
        let whole = now.mono + self.settings.timeout;
        if !self.settings.per_request_deadline {
            self.until = whole;
        } else if matches!(self.mode, Mode::Data | Mode::Bdat { .. }) {
            let rate = self.settings.min_data_rate.max(1);
            let earned = u64::try_from(bytes).unwrap_or(u64::MAX).saturating_mul(1_000_000_000) / rate;
            self.until = (self.until + Duration::from_nanos(earned)).min(whole);
        }
    }
}
