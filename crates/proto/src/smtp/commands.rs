//! One command line: what it is, whether it may be now, and the commands that need no file of their own.
//!
//! The order of the checks is Postfix's; the order of refusals is visible to clients and logs. T1.2, T1.9.

use super::flow::Step;
use super::greeting::synchronization;
use super::{Action, BareNewline, Command, Line, Metered, Note, Request, Server, TlsLevel, Wait, words};
use mail::{Address, Dsn, PathSyntax, Reply};

/// The commands by name.
const COMMANDS: [(&str, Command); 16] = [
    ("HELO", Command::Helo),
    ("EHLO", Command::Ehlo),
    ("XCLIENT", Command::Xclient),
    ("XFORWARD", Command::Xforward),
    ("STARTTLS", Command::StartTls),
    ("AUTH", Command::Auth),
    ("MAIL", Command::Mail),
    ("RCPT", Command::Rcpt),
    ("DATA", Command::Data),
    ("BDAT", Command::Bdat),
    ("RSET", Command::Rset),
    ("NOOP", Command::Noop),
    ("VRFY", Command::Vrfy),
    ("ETRN", Command::Etrn),
    ("HELP", Command::Help),
    ("QUIT", Command::Quit),
];

/// `250 2.0.0 Ok`.
pub(super) fn ok() -> Reply {
    Reply::new(250, Dsn::new(2, 0, 0), "Ok")
}

impl Server {
    /// A line as it came, without its end. `more` is what the client has sent behind it.
    pub(super) fn command_line(&mut self, step: &mut Step<'_>, line: &[u8], bare_newline: bool, more: &[u8]) {
        if bare_newline
            && self.settings.forbid_bare_newline != BareNewline::Allow
            && !self.peer.rights.bare_newline
        {
            self.state.bare_newline = true;
            if let BareNewline::Reject(code) = self.settings.forbid_bare_newline {
                self.warn(Note::BareNewline(self.place));
                let reply = self.bare_newline_reply(code);
                return self.hang_up(step, reply);
            }
        }
        // A NUL ends a line for Postfix; nobody behind us gets to see what follows.
        let line = line.iter().position(|&b| b == 0).map_or(line, |end| line.get(..end).unwrap_or(line));
        let text = match std::str::from_utf8(line) {
            Ok(text) => text.trim_start_matches(words::is_space).to_owned(),
            Err(_) if self.settings.smtputf8_enable => {
                return self
                    .fail_uncounted(step, Reply::new(500, Dsn::new(5, 5, 2), "Error: bad UTF-8 syntax"));
            }
            Err(_) => String::from_utf8_lossy(line).trim_start_matches(words::is_space).to_owned(),
        };
        if let Some(transcript) = &mut self.transcript {
            transcript.heard(&text);
        }
        if self.settings.command_filter {
            self.wait = Some(Wait::Filter(Box::new(Line { text: text.clone() })));
            self.actions.push_back(Action::Filter(text));
            return;
        }
        self.execute(step, &text, more);
    }

    /// `NNN 5.5.2 … bare <LF> received`.
    pub(super) fn bare_newline_reply(&self, code: u16) -> Reply {
        let text = format!("{} Error: bare <LF> received", self.settings.hostname);
        Reply::new(code, Dsn::new(5, 5, 2).in_class_of(code), text)
    }

    /// The command filter has answered.
    pub(super) fn filtered(&mut self, step: &mut Step<'_>, replacement: Option<String>) {
        match self.wait.take() {
            Some(Wait::Filter(line)) => {
                let text = replacement.unwrap_or(line.text);
                let more: Vec<u8> = self.pending().iter().take(100).copied().collect();
                self.execute(step, &text, &more);
            }
            other => self.wait = other,
        }
    }

    /// A command.
    fn execute(&mut self, step: &mut Step<'_>, text: &str, more: &[u8]) {
        let (verb, args) = words::verb(text);
        if verb.is_empty() {
            return self.fail_uncounted(step, Reply::new(500, Dsn::new(5, 5, 2), "Error: bad syntax"));
        }
        if self.settings.noop_commands.iter().any(|name| name.eq_ignore_ascii_case(verb)) {
            self.reply(step, ok());
            return self.junk_command();
        }
        let help = self.settings.help;
        let known = COMMANDS
            .iter()
            .find(|(name, command)| name.eq_ignore_ascii_case(verb) && (help || *command != Command::Help));
        let (place, command) = known.copied().unwrap_or(("UNKNOWN", Command::Unknown));
        (self.place, self.current) = (place, command);
        if self.state.denied && command != Command::Quit {
            let text = format!("Error: access denied for {}[{}]", self.peer.name, self.peer.address);
            return self.fail(step, Reply::new(503, Dsn::new(5, 7, 0), text));
        }
        if command == Command::Unknown {
            return self.unknown_command(step, text, verb);
        }
        if let Some(reply) = self.out_of_order(command) {
            return self.fail(step, reply);
        }
        if !more.is_empty() && self.must_be_last(command) && self.talked_early(place, words::escaped(more)) {
            return self.refuse(step, synchronization(), true);
        }
        self.carry_out(step, text, args);
    }

    /// Runs the current command.
    fn carry_out(&mut self, step: &mut Step<'_>, text: &str, args: &str) {
        match self.current {
            Command::Helo | Command::Ehlo => self.helo_command(step, args),
            Command::Xclient => self.xclient_command(step, args),
            Command::Xforward => self.xforward_command(step, args),
            Command::StartTls => self.starttls_command(step, args),
            Command::Auth => self.auth_command(step, args),
            Command::Mail => self.mail_command(step, args),
            Command::Rcpt => self.rcpt_command(step, args),
            Command::Data => self.data_command(step, args),
            Command::Bdat => self.bdat_command(step, text, args),
            Command::Rset => self.rset_command(step, args),
            Command::Noop => self.succeed(step, ok()),
            Command::Vrfy => self.vrfy_command(step, args),
            Command::Etrn => self.etrn_command(step, args),
            Command::Quit => {
                self.done(true);
                self.hang_up(step, Reply::new(221, Dsn::new(2, 0, 0), "Bye"));
            }
            Command::Help => {
                let text = "See https://www.postfix.org/";
                self.succeed(step, Reply::new(214, Dsn::new(2, 0, 0), text));
            }
            Command::Unknown => {}
        }
    }

    /// Neither ours nor SMTP's, perhaps: `smtpd_forbidden_commands`.
    fn unknown_command(&mut self, step: &mut Step<'_>, text: &str, verb: &str) {
        let settings = &self.settings;
        let forbidden = words::is_header_label(verb)
            || settings.forbidden_commands.iter().any(|name| name.eq_ignore_ascii_case(verb))
            || settings.forbidden_command_test.as_ref().is_some_and(|test| test(verb));
        if forbidden {
            let shown: String = words::printable(text).chars().take(100).collect();
            self.warn(Note::NonSmtpCommand(shown));
            let bye = Reply::new(221, Dsn::new(2, 7, 0), "Error: I can break rules, too. Goodbye.");
            return self.refuse(step, bye, true);
        }
        if settings.asks_of_unknown {
            self.wait = Some(Wait::Unknown);
            self.actions.push_back(Action::Unknown(text.to_owned()));
            return;
        }
        self.not_recognized(step);
    }

    /// The usual answer.
    pub(super) fn not_recognized(&mut self, step: &mut Step<'_>) {
        self.fail(step, Reply::new(500, Dsn::new(5, 5, 2), "Error: command not recognized"));
    }

    /// `smtpd_helo_required` (T1.9) and `smtpd_tls_security_level = encrypt`.
    fn out_of_order(&self, command: Command) -> Option<Reply> {
        let text = "Error: send HELO/EHLO first";
        if self.settings.helo_required && self.helo.is_none() {
            match command {
                Command::Mail | Command::Auth => return Some(Reply::new(503, Dsn::new(5, 5, 1), text)),
                Command::Etrn => return Some(Reply::plain(503, text)),
                _ => {}
            }
        }
        let open = matches!(
            command,
            Command::Helo
                | Command::Ehlo
                | Command::Xclient
                | Command::StartTls
                | Command::Noop
                | Command::Help
                | Command::Quit
                | Command::Unknown
        );
        let locked = self.settings.tls == TlsLevel::Encrypt && !self.state.tls && !open;
        locked.then(|| Reply::new(530, Dsn::new(5, 7, 0), "Must issue a STARTTLS command first"))
    }

    /// RFC 2920 §3.1: after these, and always without EHLO, a client must wait for the reply.
    fn must_be_last(&self, command: Command) -> bool {
        let last =
            matches!(command, Command::Helo | Command::Ehlo | Command::Data | Command::Noop | Command::Vrfy);
        match command {
            Command::Quit | Command::StartTls => false,
            _ => last || !self.state.extended,
        }
    }

    fn rset_command(&mut self, step: &mut Step<'_>, args: &str) {
        if !args.is_empty() {
            return self.fail(step, Reply::new(501, Dsn::new(5, 5, 4), "Syntax: RSET"));
        }
        self.forget();
        self.succeed(step, ok());
    }

    /// VRFY: it never says more than that mail may be sent (T1.2).
    fn vrfy_command(&mut self, step: &mut Step<'_>, args: &str) {
        if self.settings.disable_vrfy {
            return self.fail(step, Reply::new(502, Dsn::new(5, 5, 1), "VRFY command is disabled"));
        }
        let (mut text, mut declared) = (args, false);
        let (before, last) = args.rsplit_once(words::is_space).unwrap_or(("", args));
        if self.settings.smtputf8_enable && last.eq_ignore_ascii_case("SMTPUTF8") {
            (text, declared) = (before.trim_end_matches(words::is_space), true);
        }
        if text.is_empty() {
            let utf8 = if self.settings.smtputf8_enable { " [SMTPUTF8]" } else { "" };
            return self
                .fail(step, Reply::new(501, Dsn::new(5, 5, 4), format!("Syntax: VRFY address{utf8}")));
        }
        if self.too_many(step, Metered::Recipient) {
            return;
        }
        let Some(address) = self.path(text, "VRFY") else {
            return self.fail(step, mail::address::bad_recipient_syntax());
        };
        if let Some(reply) = self.undeclared(&address, declared) {
            return self.fail(step, reply);
        }
        self.wait = Some(Wait::Vrfy(text.into()));
        self.actions.push_back(Action::Decide(Request::Vrfy { address }));
    }

    fn etrn_command(&mut self, step: &mut Step<'_>, args: &str) {
        if self.transaction.is_some() {
            return self.fail(step, Reply::plain(503, "Error: MAIL transaction in progress"));
        }
        if args.is_empty() || args.contains(words::is_space) {
            return self.fail(step, Reply::plain(500, "Syntax: ETRN domain"));
        }
        let domain = args.strip_prefix(['@', '#']).unwrap_or(args);
        if !mail::host::is_hostname(domain) && mail::host::parse_literal(domain).is_none() {
            return self.fail(step, Reply::plain(501, "Error: invalid parameter syntax"));
        }
        self.wait = Some(Wait::Etrn);
        self.actions.push_back(Action::Decide(Request::Etrn(domain.to_owned())));
    }

    /// The address in a command; where there is none, that is noted. The null address counts as one for MAIL.
    pub(super) fn path(&mut self, text: &str, command: &'static str) -> Option<Address> {
        let syntax =
            if self.settings.strict_rfc821_envelopes { PathSyntax::Rfc821 } else { PathSyntax::Rfc822 };
        let address = Address::parse_path(text.as_bytes(), syntax).ok().filter(|address| {
            if address.is_null() {
                return command == "MAIL";
            }
            let whole = !address.local().is_empty() && !matches!(address.domain(), Some("" | "[]"));
            whole
                && (self.settings.allow_min_user || !address.as_str().starts_with('-'))
                && !address.as_str().contains('\u{FFFD}')
        });
        if address.is_none() && words::is_balanced(text) {
            self.warn(Note::IllegalAddress { command, address: words::printable(text).into_owned() });
        }
        address
    }

    /// `strict_smtputf8`.
    pub(super) fn undeclared(&self, address: &Address, declared: bool) -> Option<Reply> {
        let undeclared = self.settings.smtputf8_enable
            && self.settings.strict_smtputf8
            && !declared
            && !address.as_str().is_ascii();
        undeclared
            .then(|| Reply::new(553, Dsn::new(5, 6, 7), "Must declare SMTPUTF8 to send unicode address"))
    }
}
