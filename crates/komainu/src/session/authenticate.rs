//! AUTH: from the conversation's steps to the backend's answers, and to the log in Postfix's words.
//!
//! The name that a failed log-in is logged with is the last one that the backend has told in this session, as in
//! Postfix: what fails before the backend was asked keeps the earlier name. T0.2, T1.11, T2.5.

use super::Session;
use crate::authentication::dovecot::{self, Lost};
use crate::authentication::turns::{Permit, UnderWay};
use crate::authentication::{Backend, Logins};
use events::smtpd::SaslFailed;
use mail::{Dsn, Reply};
use policy::guessing::Outcome;
use proto::sasl::scram::Keys;
use proto::sasl::server::dovecot::{Answer, Start};
use proto::sasl::server::{Credentials, Mechanism, exchange, looks_like_base64};
use proto::smtp::{AuthOutcome, AuthStep};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use users::Stored;

/// What a session knows of log-ins.
#[derive(Default)]
pub(super) struct LoggingIn {
    /// The name that the backend told last.
    pub(super) username: Option<String>,
    /// The mechanism under way, as the client wrote it.
    pub(super) mechanism: String,
    pub(super) exchange: Option<Exchange>,
    /// What the client has said of itself in this exchange.
    pub(super) credentials: Credentials,
    /// It waits, or is judged.
    pub(super) under_way: Option<UnderWay>,
    /// Whether the client was shut out already when the log-in failed.
    pub(super) before: Option<Arc<AtomicBool>>,
    /// Leave to try.
    pub(super) permit: Option<Permit>,
    /// What was stored for the user when it was judged by it.
    pub(super) judged_by: Option<Box<Secrets>>,
    /// The client isn't slowed, whatever it does.
    pub(super) trusted: bool,
}

/// What is stored for a user of our own: a hash or password, and keys beside it.
pub(super) type Secrets = (Option<Stored>, Vec<Keys>);

/// An exchange that goes on.
pub(super) enum Exchange {
    /// Dovecot's.
    Dovecot(dovecot::Exchange),
    /// Our own.
    Internal(Box<exchange::Exchange>),
}

/// Why a log-in failed.
pub(super) enum Failed {
    /// Said to the client as well.
    Refused(String),
    /// The backend couldn't say.
    Temporarily(String),
    /// There were too many guesses; the session ends.
    ShutOut,
}

impl Session {
    pub(super) fn logging_in(&mut self) -> &mut LoggingIn {
        self.logging_in.get_or_insert_default()
    }

    /// Tells the conversation what to offer in the reply to EHLO.
    pub(super) async fn offer(&mut self) {
        let Some(logins) = self.service.listener.logins.clone() else { return };
        let excepted = self.looked_up(|session| {
            let (client, snapshot) = (&session.tx.client, session.facts.snapshot());
            let logins = session.service.listener.logins.as_deref();
            logins.map_or(Ok(false), |logins| {
                logins.exceptions.contains(snapshot, &client.name, client.address)
            })
        });
        let excepted = excepted.await.unwrap_or(false);
        let offered = if excepted { Vec::new() } else { self.offered(&logins).await.unwrap_or_default() };
        self.server.offer(offered);
    }

    /// The mechanisms that the backend knows and the settings permit; `None` where the backend can't be asked.
    pub(super) async fn offered(&mut self, logins: &Logins) -> Option<Vec<String>> {
        let known = match &logins.backend {
            Backend::Dovecot(path) => {
                let server = self.shared.authentication.servers.at(path);
                server.mechanisms().await?
            }
            Backend::Internal(internal) => {
                let own = self.own_mechanisms(internal).await;
                let own =
                    own.into_iter().map(|one| Mechanism { name: one.name().to_owned(), flags: one.flags() });
                own.collect()
            }
            Backend::None => return Some(Vec::new()),
        };
        let options = if self.server.tls() { logins.options_tls } else { logins.options };
        let snapshot = self.facts.snapshot();
        let passes = |name: &str| {
            let filter = &logins.filter;
            filter.is_empty() || filter.contains(snapshot, &name.to_ascii_lowercase()).unwrap_or(false)
        };
        let names = known.iter().filter(|known| options.permit(known.flags) && passes(&known.name));
        Some(names.map(|known| known.name.clone()).collect())
    }

    /// One step of AUTH.
    pub(super) async fn authenticate(&mut self, step: AuthStep) -> AuthOutcome {
        let done = match step {
            AuthStep::Start { mechanism, initial } => self.start(mechanism, initial.as_deref()).await,
            AuthStep::Response(text) => self.respond(&text).await,
            AuthStep::Cancelled | AuthStep::TooLong => Err(Failed::Refused(String::new())),
        };
        if let Some(logging_in) = &mut self.logging_in {
            // While the client thinks, nobody has to do with it.
            logging_in.under_way = None;
        }
        done.unwrap_or_else(|failed| AuthOutcome::Failure(self.fail(failed)))
    }

    /// The client has given up, or said too much.
    pub(super) fn give_up(&mut self, step: &AuthStep) {
        let Some(logging_in) = &mut self.logging_in else { return };
        (logging_in.exchange, logging_in.under_way, logging_in.permit) = (None, None, None);
        if matches!(step, AuthStep::Cancelled) {
            let mechanism = std::mem::take(&mut logging_in.mechanism);
            self.warn(&format!("{}: SASL {mechanism} authentication aborted", self.peer()));
            self.owe();
        }
    }

    async fn start(&mut self, mechanism: String, initial: Option<&str>) -> Result<AuthOutcome, Failed> {
        let Some(logins) = self.service.listener.logins.clone() else {
            return Err(Failed::Temporarily(Lost.to_string()));
        };
        let logging_in = self.logging_in();
        logging_in.mechanism.clone_from(&mechanism);
        (logging_in.credentials, logging_in.under_way, logging_in.permit, logging_in.judged_by) =
            (Credentials::default(), None, None, None);
        let offered = self.offered(&logins).await.ok_or_else(|| Failed::Temporarily(Lost.to_string()))?;
        if !offered.iter().any(|name| name.eq_ignore_ascii_case(&mechanism)) {
            return Err(Failed::Refused("Invalid authentication mechanism".to_owned()));
        }
        // RFC 4954 §4: `=` is an initial response of nothing.
        let initial = initial.map(|text| if text == "=" { "" } else { text });
        if initial.is_some_and(|text| !looks_like_base64(text)) {
            return Err(Failed::Refused("Invalid base64 data in initial response".to_owned()));
        }
        self.wait_turn(&logins, (initial, true)).await?;
        match &logins.backend {
            Backend::Dovecot(path) => {
                let answer = self.ask_dovecot((path, &logins), &mechanism, initial).await;
                self.answered(answer)
            }
            Backend::Internal(internal) => {
                let offers_binding = offered.iter().any(|name| name.ends_with("-PLUS"));
                self.begin_own(internal, (&mechanism, offers_binding), initial).await
            }
            Backend::None => Err(Failed::Temporarily(Lost.to_string())),
        }
    }

    async fn ask_dovecot(
        &self,
        (path, logins): (&str, &Logins),
        mechanism: &str,
        initial: Option<&str>,
    ) -> Result<(Answer, Option<dovecot::Exchange>), Lost> {
        let client = &self.tx.client;
        let local = (client.server_address.to_string(), client.server_port);
        let remote = (client.address.to_string(), client.port);
        let start = Start {
            mechanism,
            service: &logins.service,
            local: (&local.0, local.1),
            remote: (&remote.0, remote.1),
            secured: self.server.tls(),
            initial,
        };
        let server = Arc::clone(&self.shared.authentication.servers.at(path));
        server.start(&start).await
    }

    async fn respond(&mut self, text: &str) -> Result<AuthOutcome, Failed> {
        let exchange = self.logging_in().exchange.take();
        if !looks_like_base64(text) {
            return Err(Failed::Refused("Invalid base64 data in continued response".to_owned()));
        }
        let Some(exchange) = exchange else { return Err(Failed::Temporarily(Lost.to_string())) };
        let Some(logins) = self.service.listener.logins.clone() else {
            return Err(Failed::Temporarily(Lost.to_string()));
        };
        self.wait_turn(&logins, (Some(text), false)).await?;
        match exchange {
            Exchange::Dovecot(exchange) => {
                let answer = exchange.respond(text).await;
                self.answered(answer)
            }
            Exchange::Internal(exchange) => self.go_on(&logins, exchange, text).await,
        }
    }

    /// What Dovecot's answer means.
    fn answered(
        &mut self,
        answer: Result<(Answer, Option<dovecot::Exchange>), Lost>,
    ) -> Result<AuthOutcome, Failed> {
        let (answer, exchange) = answer.map_err(|lost| Failed::Temporarily(lost.to_string()))?;
        let useless = |session: &Session, what: &str| {
            session.warn(&format!("missing Dovecot server {what} field"));
            Failed::Refused("Authentication backend error".to_owned())
        };
        match answer {
            Answer::Ok { username: Some(username) } if !username.is_empty() => Ok(self.logged_in(username)),
            Answer::Ok { .. } => Err(useless(self, "OK username")),
            Answer::Continue { challenge: Some(challenge) } => {
                self.logging_in().exchange = exchange.map(Exchange::Dovecot);
                Ok(AuthOutcome::Challenge(challenge))
            }
            Answer::Continue { challenge: None } => Err(useless(self, "CONT reply")),
            Answer::Fail { username, reason, temporary } => {
                let outcome = if temporary { Outcome::Unanswered } else { Outcome::Failed };
                self.settle(username.as_deref(), outcome);
                self.logging_in().username = username;
                let reason = reason.as_deref().unwrap_or("(reason unavailable)");
                // Its line ends where ours would.
                Err(Failed::Refused(events::text::printable(reason.as_bytes()).into_owned()))
            }
        }
    }

    pub(super) fn logged_in(&mut self, username: String) -> AuthOutcome {
        self.settle(Some(&username), Outcome::Succeeded);
        let mechanism = std::mem::take(&mut self.logging_in().mechanism);
        self.logging_in = None;
        let sasl =
            policy::Sasl { method: mechanism.clone(), username: username.clone(), sender: String::new() };
        self.tx.sasl = Some(Box::new(sasl));
        AuthOutcome::Success { mechanism, username }
    }

    fn fail(&mut self, failed: Failed) -> Reply {
        let host = self.service.listener.receiving.hostname.clone();
        if matches!(failed, Failed::Temporarily(_)) {
            self.settle(None, Outcome::Unanswered);
        }
        // What nobody has judged is no wrong password.
        let tried = matches!(failed, Failed::Refused(_)).then(|| self.tried()).flatten();
        let logging_in = self.logging_in();
        (logging_in.exchange, logging_in.under_way, logging_in.permit) = (None, None, None);
        logging_in.credentials = Credentials::default();
        let mechanism = std::mem::take(&mut logging_in.mechanism);
        let (reason, reply) = match failed {
            Failed::Refused(reason) => {
                let text = format!("Error: authentication failed: {reason}");
                (reason, Reply::new(535, Dsn::new(5, 7, 8), text))
            }
            Failed::Temporarily(reason) => {
                let text = format!("Temporary authentication failure: {reason}");
                (reason, Reply::new(454, Dsn::new(4, 7, 0), text))
            }
            Failed::ShutOut => {
                let text = format!("{host} Error: too many failed log-ins");
                ("too many failed log-ins".to_owned(), Reply::new(421, Dsn::new(4, 7, 0), text))
            }
        };
        let username = self.logging_in().username.clone();
        self.owe_log_in();
        let line = SaslFailed {
            client: self.peer(),
            mechanism: mechanism.as_str().into(),
            reason: reason.as_str().into(),
            sasl_username: Some(username.as_deref().unwrap_or("(unavailable)").into()),
        };
        self.shared.log.write_tried(self.program(), line, tried);
        reply
    }
}
