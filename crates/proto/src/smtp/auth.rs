//! The seats of STARTTLS (RFC 3207) and AUTH (RFC 4954): the commands' places in the dialogue. The
//! handshake and the mechanisms are the driver's.

use super::flow::Step;
use super::{Action, AuthOutcome, AuthStep, Mode, Server, TlsLevel, Wait, words};
use mail::{Dsn, Reply};

impl Server {
    /// The mechanisms to offer now.
    pub(super) fn auth_mechanisms(&self) -> Option<&[String]> {
        let auth = self.settings.auth.as_ref()?;
        if auth.tls_only && !self.state.tls {
            return None;
        }
        let list = if self.state.tls { &auth.mechanisms_tls } else { &auth.mechanisms };
        (!list.is_empty()).then_some(list.as_slice())
    }

    pub(super) fn starttls_command(&mut self, step: &mut Step<'_>, args: &str) {
        if !args.is_empty() {
            return self.fail(step, Reply::new(501, Dsn::new(5, 5, 4), "Syntax: STARTTLS"));
        }
        if self.state.tls {
            return self.fail(step, Reply::new(554, Dsn::new(5, 5, 1), "Error: TLS already active"));
        }
        if self.settings.tls == TlsLevel::None {
            return self.fail(step, Reply::new(502, Dsn::new(5, 5, 1), "Error: command not implemented"));
        }
        self.reply(step, Reply::new(220, Dsn::new(2, 0, 0), "Ready to start TLS"));
        self.wait = Some(Wait::StartTls);
        self.actions.push_back(Action::StartTls);
    }

    /// The handshake is through: everything said in the clear is forgotten (RFC 3207 §4.2).
    pub(super) fn tls_up(&mut self) {
        if !matches!(self.wait, Some(Wait::StartTls)) {
            return;
        }
        self.wait = None;
        self.state.tls = true;
        self.done(true);
        self.forget();
        self.helo = None;
        self.login = None;
        self.state.extended = false;
        (self.input, self.taken) = (Vec::new(), 0);
    }

    pub(super) fn auth_command(&mut self, step: &mut Step<'_>, args: &str) {
        let dsn = Dsn::new(5, 5, 1);
        if self.settings.auth.is_none() {
            return self.fail(step, Reply::new(503, dsn, "Error: authentication not enabled"));
        }
        if self.transaction.is_some() {
            return self.fail(step, Reply::new(503, dsn, "Error: MAIL transaction in progress"));
        }
        if self.auth_mechanisms().is_none() {
            let text = "Encryption required for requested authentication mechanism";
            return self.fail(step, Reply::new(538, Dsn::new(5, 7, 11), text));
        }
        if self.login.is_some() {
            return self.fail(step, Reply::new(503, dsn, "Error: already authenticated"));
        }
        let mut parts = args.split(words::is_space).filter(|word| !word.is_empty());
        let (Some(mechanism), initial, None) = (parts.next(), parts.next(), parts.next()) else {
            return self.fail(step, Reply::new(501, Dsn::new(5, 5, 4), "Syntax: AUTH mechanism"));
        };
        let (mechanism, initial) = (mechanism.to_owned(), initial.map(str::to_owned));
        self.wait = Some(Wait::Auth);
        self.actions.push_back(Action::Authenticate(AuthStep::Start { mechanism, initial }));
    }

    /// The client's line in a SASL exchange.
    pub(super) fn auth_response(&mut self, step: &mut Step<'_>, line: &[u8], cut: bool) {
        self.mode = Mode::Command;
        match std::str::from_utf8(line) {
            Ok("*") => {
                self.actions.push_back(Action::Authenticate(AuthStep::Cancelled));
                self.fail(step, Reply::new(501, Dsn::new(5, 7, 0), "Authentication aborted"));
            }
            Ok(text) if !cut && !text.contains('\0') => {
                self.wait = Some(Wait::Auth);
                self.actions.push_back(Action::Authenticate(AuthStep::Response(text.to_owned())));
            }
            _ => {
                self.actions.push_back(Action::Authenticate(AuthStep::Cancelled));
                let text = if cut { "Authentication response too long" } else { "Invalid base64 data" };
                let dsn = Dsn::new(5, 5, if cut { 6 } else { 2 });
                self.fail(step, Reply::new(if cut { 500 } else { 501 }, dsn, text));
            }
        }
    }

    /// What became of a step.
    pub(super) fn authenticated(&mut self, step: &mut Step<'_>, outcome: AuthOutcome) {
        if !matches!(self.wait, Some(Wait::Auth)) {
            return;
        }
        self.wait = None;
        match outcome {
            AuthOutcome::Challenge(text) => {
                self.mode = Mode::AuthResponse;
                self.reply(step, Reply::plain(334, text));
            }
            AuthOutcome::Success { username, .. } => {
                self.login = Some(username.into());
                self.succeed(step, Reply::new(235, Dsn::new(2, 7, 0), "Authentication successful"));
            }
            AuthOutcome::Failure(reply) => {
                let disconnect = matches!(reply.code, 421 | 521);
                self.refuse(step, reply, disconnect);
            }
        }
    }
}
