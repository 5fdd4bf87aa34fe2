//! The seats of STARTTLS (RFC 3207) and AUTH (RFC 4954): the commands' places in the dialogue. The
//! handshake and the mechanisms are the driver's.

use super::flow::Step;
use super::{Action, AuthOutcome, AuthStep, Metered, Mode, Server, TlsLevel, Wait, words};
use mail::{Dsn, Reply};

impl Server {
    /// The mechanisms to offer now.
    pub(super) fn auth_mechanisms(&self) -> Option<&[String]> {
        let auth = self.settings.auth.as_ref().filter(|_| self.takes_auth())?;
        let list: &[String] = match &self.offered {
            Some(offered) => offered,
            None if self.state.tls => &auth.mechanisms_tls,
            None => &auth.mechanisms,
        };
        (!list.is_empty()).then_some(list)
    }

    /// Whether AUTH is taken now: also from a client that isn't told so (`smtpd_sasl_exceptions_networks`), and where
    /// nobody knows the mechanisms at the moment.
    fn takes_auth(&self) -> bool {
        self.settings.auth.as_ref().is_some_and(|auth| self.state.tls || !auth.tls_only)
    }

    /// The mechanisms to name in replies to EHLO from now on.
    pub fn offer(&mut self, mechanisms: Vec<String>) {
        self.offered = Some(mechanisms.into());
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
        if self.settings.tls_missing {
            let reply = Reply::new(454, Dsn::new(4, 7, 0), "TLS not available due to local problem");
            return self.fail(step, reply);
        }
        if self.tls_refused(step) {
            return;
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
        // Also where `smtpd_tls_auth_only` wants TLS first.
        if !self.takes_auth() {
            return self.fail(step, Reply::new(503, dsn, "Error: authentication not enabled"));
        }
        if self.too_many(step, Metered::Auth) {
            return;
        }
        if self.transaction.is_some() {
            return self.fail(step, Reply::new(503, dsn, "Error: MAIL transaction in progress"));
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
        if line == b"*" || cut {
            let given_up = if cut { AuthStep::TooLong } else { AuthStep::Cancelled };
            self.actions.push_back(Action::Authenticate(given_up));
            let reply = if cut {
                Reply::new(500, Dsn::new(5, 5, 6), "SASL response limit exceeded")
            } else {
                Reply::new(501, Dsn::new(5, 7, 0), "Authentication aborted")
            };
            return self.fail(step, reply);
        }
        // What isn't text isn't base64 either; saying so is the mechanism's business.
        self.wait = Some(Wait::Auth);
        let text = String::from_utf8_lossy(line).into_owned();
        self.actions.push_back(Action::Authenticate(AuthStep::Response(text)));
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
