//! The engine that takes no mail: it answers as an SMTP server would, refuses each recipient, and looks at how the
//! client speaks (postscreen(8), "after 220 greeting" tests).
//!
//! It offers no pipelining, no AUTH, no XCLIENT, and ends the session at DATA and BDAT. A client that has failed an
//! earlier test is watched for all of them, whichever are switched on. T2.3.

use super::address::{address_of, shown};
use super::{Action, Note, Penalty, Phase, Refusal, Screen, Tests};
use crate::smtp::{Keywords, escaped, is_header_label, printable, verb};
use mail::{Address, Dsn, Mono, Now, Reply};

/// One client's conversation with it.
#[derive(Debug)]
pub(super) struct Engine {
    input: Vec<u8>,
    helo: Option<Box<str>>,
    extended: bool,
    sender: Option<Address>,
    commands: u32,
    /// The last command, as log lines name it.
    place: &'static str,
    /// What is looked at.
    watched: Tests,
    /// A recipient was named: the client has shown how it speaks.
    pub(super) reached: bool,
    /// When the client's time for this command is up.
    pub(super) until: Mono,
}

/// The commands that are known.
const COMMANDS: [&str; 12] =
    ["EHLO", "HELO", "MAIL", "RCPT", "DATA", "BDAT", "RSET", "NOOP", "VRFY", "ETRN", "STARTTLS", "QUIT"];

/// What becomes of the session after a command.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Course {
    On,
    Over,
}

fn ok() -> Reply {
    Reply::new(250, Dsn::new(2, 0, 0), "Ok")
}

fn syntax(text: &str) -> Reply {
    Reply::new(501, Dsn::new(5, 5, 4), format!("Syntax: {text}"))
}

fn out_of_order(code: u16, text: &str) -> Reply {
    Reply::new(code, Dsn::new(5, 5, 1), text)
}

impl Screen {
    /// The client may talk, but not to the SMTP server.
    pub(super) fn start_engine(&mut self, now: Now, out: &mut Vec<u8>) {
        let failed = !self.failed.is_empty();
        let engine = Engine {
            input: Vec::new(),
            helo: None,
            extended: false,
            sender: None,
            commands: 0,
            place: "CONNECT",
            watched: if failed { Tests::DEEP } else { self.due.and(Tests::DEEP) },
            reached: false,
            until: now.mono + self.settings.command_time_limit,
        };
        self.since = now.mono;
        self.phase = Phase::Engine(Box::new(engine));
        if !self.failed.has(Tests::GREET) {
            Reply::plain(220, self.settings.banner.clone()).write_to(out);
        }
        let early = self.take_early();
        self.converse(now, &early, out);
    }

    /// Bytes from the client.
    pub(super) fn converse(&mut self, now: Now, bytes: &[u8], out: &mut Vec<u8>) {
        let Phase::Engine(mut engine) = std::mem::replace(&mut self.phase, Phase::Over) else { return };
        let mut input = std::mem::take(&mut engine.input);
        input.extend_from_slice(bytes);
        let mut rest = input.as_slice();
        let limit = self.settings.line_length_limit;
        loop {
            let end = rest.iter().position(|&byte| byte == b'\n');
            if end.unwrap_or(rest.len()) > limit {
                let note = Note::LengthLimit { after: engine.place };
                return self.exceed(engine, note, now, out);
            }
            let Some((line, more)) = end.and_then(|end| rest.split_at_checked(end)) else { break };
            rest = more.get(1..).unwrap_or_default();
            engine.commands = engine.commands.saturating_add(1);
            if engine.commands > self.settings.command_count_limit {
                let note = Note::CountLimit { after: engine.place };
                return self.exceed(engine, note, now, out);
            }
            if self.command(&mut engine, (line, rest), now, out) == Course::Over {
                // What was dropped in the middle has said its last word by itself.
                if matches!(self.actions.back(), Some(Action::Close)) {
                    return;
                }
                self.phase = Phase::Engine(engine);
                return self.end(now);
            }
            engine.until = now.mono + self.settings.command_time_limit;
        }
        engine.input = rest.to_vec();
        self.phase = Phase::Engine(engine);
    }

    /// A limit is reached: the same last word for all.
    fn exceed(&mut self, engine: Box<Engine>, note: Note, now: Now, out: &mut Vec<u8>) {
        self.phase = Phase::Engine(engine);
        self.note(note);
        let text = format!("{} Service unavailable - try again later", self.settings.hostname);
        self.hang_up(Reply::plain(421, text), now, out);
    }

    /// The client has been silent for too long.
    pub(super) fn out_of_time(&mut self, now: Now, out: &mut Vec<u8>) {
        let Phase::Engine(engine) = &self.phase else { return };
        let after = engine.place;
        self.note(Note::TimeLimit { after });
        let text = format!("{} Error: timeout exceeded", self.settings.hostname);
        self.hang_up(Reply::new(421, Dsn::new(4, 4, 2), text), now, out);
    }

    /// Something that `test` looks for: once in a session.
    fn violation(
        &mut self,
        engine: &mut Engine,
        test: Tests,
        note: Note,
        (now, out): (Now, &mut Vec<u8>),
    ) -> Course {
        engine.watched = engine.watched.without(test);
        self.note(note);
        let penalty = match test {
            Tests::PIPELINING => self.settings.pipelining,
            Tests::NON_SMTP => self.settings.non_smtp,
            _ => self.settings.bare_newline,
        };
        if test == Tests::NON_SMTP && penalty == Penalty::Drop {
            self.failed = self.failed.with(test);
            let reply = Reply::new(521, Dsn::new(5, 7, 0), "Error: I can break rules, too. Goodbye.");
            self.hang_up(reply, now, out);
            return Course::Over;
        }
        if self.punish(test, penalty, Refusal::Protocol, (now, out)) { Course::On } else { Course::Over }
    }

    /// One line, with what stands behind it.
    fn command(
        &mut self,
        engine: &mut Engine,
        (line, behind): (&[u8], &[u8]),
        now: Now,
        out: &mut Vec<u8>,
    ) -> Course {
        let line = line.iter().position(|&b| b == 0).map_or(line, |end| line.get(..end).unwrap_or(line));
        let bare = !line.ends_with(b"\r");
        let bytes = line.strip_suffix(b"\r").unwrap_or(line);
        let mut text = String::from_utf8_lossy(bytes).into_owned();
        if bare && engine.watched.has(Tests::BARE_NEWLINE) {
            let note = Note::BareNewline { text: printable(&text).into_owned() };
            if self.violation(engine, Tests::BARE_NEWLINE, note, (now, &mut *out)) == Course::Over {
                return Course::Over;
            }
        }
        if let Some(after) = self.settings.command_filter.as_ref().and_then(|filter| filter(&text)) {
            self.note(Note::Replaced { before: printable(&text).into_owned(), after: after.clone() });
            text = after;
        }
        let (word, args) = verb(&text);
        let known = COMMANDS.into_iter().find(|name| name.eq_ignore_ascii_case(word));
        if engine.watched.has(Tests::NON_SMTP) && known.is_none() && self.is_forbidden(word) {
            let note = Note::NonSmtp { after: engine.place, text: shown_command(&text, bytes) };
            if self.violation(engine, Tests::NON_SMTP, note, (now, &mut *out)) == Course::Over {
                return Course::Over;
            }
        }
        engine.place = known.unwrap_or("UNIMPLEMENTED");
        if !behind.is_empty() && engine.watched.has(Tests::PIPELINING) {
            let note = Note::Pipelining { after: engine.place, text: escaped(behind) };
            if self.violation(engine, Tests::PIPELINING, note, (now, &mut *out)) == Course::Over {
                return Course::Over;
            }
        }
        let (reply, course) = self.answer(engine, args);
        self.reply(reply, now, out);
        course
    }

    fn is_forbidden(&self, word: &str) -> bool {
        let settings = &self.settings;
        is_header_label(word)
            || settings.forbidden_commands.iter().any(|name| name.eq_ignore_ascii_case(word))
            || settings.forbidden_command_test.as_ref().is_some_and(|test| !word.is_empty() && test(word))
    }

    /// The answer to the command that is the engine's place.
    fn answer(&mut self, engine: &mut Engine, args: &str) -> (Reply, Course) {
        let on = |reply| (reply, Course::On);
        let greeting_missing = self.settings.helo_required && engine.helo.is_none();
        match engine.place {
            "EHLO" | "HELO" => on(self.greeting(engine, args)),
            "MAIL" => on(self.mail(engine, args, greeting_missing)),
            "RCPT" => on(self.rcpt(engine, args)),
            "DATA" | "BDAT" => {
                self.note(Note::NoRecipient { command: engine.place });
                (no_content(engine, args), Course::Over)
            }
            "RSET" => {
                engine.sender = None;
                on(ok())
            }
            "NOOP" => on(ok()),
            "VRFY" if self.settings.disable_vrfy => on(out_of_order(502, "VRFY command is disabled")),
            "VRFY" if args.is_empty() => on(syntax("VRFY address")),
            "VRFY" => on(self.recipient_reply()),
            "ETRN" if greeting_missing => on(out_of_order(503, "Error: send HELO/EHLO first")),
            "ETRN" if args.is_empty() => on(Reply::plain(500, "Syntax: ETRN domain")),
            "ETRN" => on(Reply::plain(458, "Unable to queue messages")),
            "STARTTLS" => on(out_of_order(502, "Error: command not implemented")),
            "QUIT" => (Reply::new(221, Dsn::new(2, 0, 0), "Bye"), Course::Over),
            _ => on(Reply::new(502, Dsn::new(5, 5, 2), "Error: command not recognized")),
        }
    }

    fn greeting(&self, engine: &mut Engine, args: &str) -> Reply {
        let Some(name) = args.split([' ', '\t']).next().filter(|name| !name.is_empty()) else {
            return Reply::plain(501, format!("Syntax: {} hostname", engine.place));
        };
        engine.helo = Some(printable(name).into());
        engine.sender = None;
        let hostname = &self.settings.hostname;
        if engine.place == "HELO" {
            return Reply::plain(250, hostname.clone());
        }
        engine.extended = true;
        let mut text = hostname.clone();
        for line in self.keywords() {
            text.push('\n');
            text.push_str(&line);
        }
        Reply::plain(250, text)
    }

    fn keywords(&self) -> Vec<String> {
        let settings = &self.settings;
        let mapped =
            settings.discard_ehlo_keyword_map.as_ref().and_then(|map| map(&self.client.ip().to_string()));
        let discarded = match mapped {
            Some(words) => Keywords::listed(&words),
            None => settings.discard_ehlo_keywords,
        };
        let size = match settings.message_size_limit {
            0 => "SIZE".to_owned(),
            limit => format!("SIZE {limit}"),
        };
        let fixed = |text: &str, offered: bool| offered.then(|| text.to_owned());
        [
            (Keywords::SIZE, Some(size)),
            (Keywords::VRFY, fixed("VRFY", !settings.disable_vrfy)),
            (Keywords::ETRN, fixed("ETRN", true)),
            (Keywords::ENHANCEDSTATUSCODES, fixed("ENHANCEDSTATUSCODES", true)),
            (Keywords::EIGHTBITMIME, fixed("8BITMIME", true)),
            (Keywords::DSN, fixed("DSN", true)),
            (Keywords::SMTPUTF8, fixed("SMTPUTF8", settings.smtputf8_enable)),
            (Keywords::CHUNKING, fixed("CHUNKING", true)),
        ]
        .into_iter()
        .filter(|&(keyword, _)| !discarded.has(keyword))
        .filter_map(|(_, line)| line)
        .collect()
    }

    fn mail(&self, engine: &mut Engine, args: &str, greeting_missing: bool) -> Reply {
        if greeting_missing {
            return out_of_order(503, "Error: send HELO/EHLO first");
        }
        if engine.sender.is_some() {
            return out_of_order(503, "Error: nested MAIL command");
        }
        let Some(sender) = address_of(args) else { return syntax("MAIL FROM:<address>") };
        engine.sender = Some(sender);
        Reply::new(250, Dsn::new(2, 1, 0), "Ok")
    }

    fn rcpt(&mut self, engine: &mut Engine, args: &str) -> Reply {
        engine.reached = true;
        let Some(sender) = &engine.sender else { return out_of_order(503, "Error: need MAIL command") };
        let Some(recipient) = address_of(args) else { return syntax("RCPT TO:<address>") };
        let reply = self.recipient_reply();
        let mut logged = reply.clone();
        if self.settings.soft_bounce && logged.code / 100 == 5 {
            logged.code -= 100;
            logged.dsn = logged.dsn.map(|dsn| dsn.in_class_of(logged.code));
        }
        let note = Note::Reject {
            reply: logged.to_string(),
            sender: shown(sender),
            recipient: shown(&recipient),
            protocol: if engine.extended { "ESMTP" } else { "SMTP" },
            helo: engine.helo.as_deref().unwrap_or_default().to_owned(),
        };
        self.note(note);
        reply
    }

    /// What a recipient hears: come again, or why not.
    fn recipient_reply(&self) -> Reply {
        match &self.refusal {
            Some(refusal) => refusal.reply(550, self.client),
            None => Reply::new(450, Dsn::new(4, 3, 2), "Service currently unavailable"),
        }
    }

    /// Bytes of the heap that this conversation holds in buffers.
    #[must_use]
    pub fn buffer_bytes(&self) -> usize {
        let engine = match &self.phase {
            Phase::Engine(engine) => engine.input.capacity(),
            Phase::Waiting | Phase::Over => 0,
        };
        engine + self.early.capacity()
    }
}

/// The refusal of DATA and BDAT.
fn no_content(engine: &Engine, args: &str) -> Reply {
    let sender = engine.sender.is_some();
    match engine.place {
        "DATA" if !args.is_empty() => syntax("DATA"),
        "BDAT" if args.is_empty() => syntax("BDAT count [LAST]"),
        "DATA" if !sender => out_of_order(503, "Error: need RCPT command"),
        "BDAT" if !sender => out_of_order(554, "Error: need MAIL command"),
        _ => out_of_order(554, "Error: no valid recipients"),
    }
}

/// A command as a log line shows it, one blank behind the verb. A filter's replacement is text; what came from the
/// client may be anything.
fn shown_command(text: &str, bytes: &[u8]) -> String {
    let bytes = if String::from_utf8_lossy(bytes) == text { bytes } else { text.as_bytes() };
    let bytes = bytes.trim_ascii();
    let end = bytes.iter().position(u8::is_ascii_whitespace).unwrap_or(bytes.len());
    let (word, args) = bytes.split_at_checked(end).unwrap_or((bytes, &[]));
    format!("{} {}", escaped(word), escaped(args.trim_ascii_start()))
}
