//! AUTH: from the conversation's steps to the backend's answers, and to the log in Postfix's words.
//!
//! The name that a failed log-in is logged with is the last one that the backend has told in this session, as in
//! Postfix: what fails before the backend was asked keeps the earlier name. T0.2, T1.11, T2.5.

use super::Session;
use crate::authentication::dovecot::{self, Lost};
use crate::authentication::{self, Backend, Logins, UnderWay};
use events::smtpd::SaslFailed;
use mail::base64;
use mail::{Dsn, Reply};
use policy::guessing::{Attempt, Guessing, Leave, Noticed};
use proto::sasl::server::dovecot::{Answer, Start};
use proto::sasl::server::{Credentials, Mechanism, exchange, looks_like_base64};
use proto::smtp::{AuthOutcome, AuthStep};
use std::sync::Arc;
use std::time::Duration;

/// What a session knows of log-ins.
#[derive(Default)]
pub(super) struct LoggingIn {
    /// The name that the backend told last.
    pub(super) username: Option<String>,
    /// The mechanism under way, as the client wrote it.
    mechanism: String,
    pub(super) exchange: Option<Exchange>,
    /// What the client has said of itself in this exchange.
    credentials: Credentials,
    under_way: Option<UnderWay>,
    /// The client isn't slowed, whatever it does.
    pub(super) trusted: bool,
}

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
        done.unwrap_or_else(|failed| AuthOutcome::Failure(self.fail(failed)))
    }

    /// The client has given up, or said too much.
    pub(super) fn give_up(&mut self, step: &AuthStep) {
        let Some(logging_in) = &mut self.logging_in else { return };
        (logging_in.exchange, logging_in.under_way) = (None, None);
        if matches!(step, AuthStep::Cancelled) {
            let mechanism = std::mem::take(&mut logging_in.mechanism);
            self.warn(&format!("{}: SASL {mechanism} authentication aborted", self.peer()));
        }
    }

    async fn start(&mut self, mechanism: String, initial: Option<&str>) -> Result<AuthOutcome, Failed> {
        let Some(logins) = self.service.listener.logins.clone() else {
            return Err(Failed::Temporarily(Lost.to_string()));
        };
        let logging_in = self.logging_in();
        logging_in.mechanism.clone_from(&mechanism);
        (logging_in.credentials, logging_in.under_way) = (Credentials::default(), None);
        let offered = self.offered(&logins).await.ok_or_else(|| Failed::Temporarily(Lost.to_string()))?;
        if !offered.iter().any(|name| name.eq_ignore_ascii_case(&mechanism)) {
            return Err(Failed::Refused("Invalid authentication mechanism".to_owned()));
        }
        // RFC 4954 §4: `=` is an initial response of nothing.
        let initial = initial.map(|text| if text == "=" { "" } else { text });
        if initial.is_some_and(|text| !looks_like_base64(text)) {
            return Err(Failed::Refused("Invalid base64 data in initial response".to_owned()));
        }
        self.wait_turn(&logins, initial).await?;
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
        self.wait_turn(&logins, Some(text)).await?;
        match exchange {
            Exchange::Dovecot(exchange) => {
                let answer = exchange.respond(text).await;
                self.answered(answer)
            }
            Exchange::Internal(exchange) => self.go_on(&logins, exchange, text).await,
        }
    }

    /// After many failures of its network or its account a log-in waits before it is tried, and costs nobody a thread.
    async fn wait_turn(&mut self, logins: &Logins, said: Option<&str>) -> Result<(), Failed> {
        if logins.delay_max.is_zero() {
            return Ok(());
        }
        let first = self.logging_in().under_way.is_none();
        if first {
            // Whoever logs its own users in here is one of smtpd_client_event_limit_exceptions, as for all limits.
            let trusted = self.looked_up(Session::is_excepted).await.unwrap_or(false);
            self.logging_in().trusted = trusted;
        }
        if self.logging_in().trusted {
            return Ok(());
        }
        let client = self.tx.client.address;
        if first {
            let under_way = self.shared.authentication.begin(client);
            let too_many = || Failed::Temporarily("too many log-ins at once".to_owned());
            self.logging_in().under_way = Some(under_way.ok_or_else(too_many)?);
        }
        let logging_in = self.logging_in();
        let knew = logging_in.credentials.clone();
        if let Some(said) = said.and_then(|text| base64::decode(text.trim())) {
            let mechanism = logging_in.mechanism.clone();
            logging_in.credentials.learn(&mechanism, &said);
        }
        let shows_password =
            ["PLAIN", "LOGIN"].iter().any(|name| name.eq_ignore_ascii_case(&logging_in.mechanism));
        let ripe = match &logging_in.credentials {
            Credentials { password, .. } if shows_password => password.is_some(),
            known => known.username != knew.username || (first && said.is_some()),
        };
        if !ripe {
            return Ok(());
        }
        let leave = {
            let guessing = self.shared.authentication.guessing();
            guessing.leave(&self.attempt(&guessing, None), authentication::now())
        };
        let wait = match leave {
            Leave::No => return Err(Failed::ShutOut),
            Leave::After(wait) => wait.min(logins.delay_max),
        };
        self.pause(wait).await
    }

    /// Waits, unless the session is to end.
    pub(super) async fn pause(&self, wait: Duration) -> Result<(), Failed> {
        if wait.is_zero() {
            return Ok(());
        }
        let ear = self.seat.ear();
        tokio::select! {
            biased;
            () = tokio::time::sleep(wait) => Ok(()),
            _ = ear.dismissed() => Err(Failed::Temporarily(Lost.to_string())),
        }
    }

    /// The log-in under way, as it is counted; `told` is the name that the backend has for it.
    pub(super) fn attempt(&self, guessing: &Guessing, told: Option<&str>) -> Attempt {
        let credentials = self.logging_in.as_deref().map(|logging_in| &logging_in.credentials);
        let username = credentials.and_then(|known| known.username.as_deref()).or(told);
        let password = credentials.and_then(|known| known.password.as_deref());
        guessing.attempt(self.tx.client.address, username, password)
    }

    fn is_minded(&self) -> bool {
        let minded = self.service.listener.logins.as_ref().is_some_and(|logins| !logins.delay_max.is_zero());
        minded && self.logging_in.as_ref().is_some_and(|logging_in| !logging_in.trusted)
    }

    /// Counts a wrong password, and says in the log what stands out.
    pub(super) fn count_failure(&self, told: Option<&str>) {
        if !self.is_minded() {
            return;
        }
        let mut guessing = self.shared.authentication.guessing();
        let attempt = self.attempt(&guessing, told);
        let noticed = guessing.failed(&attempt, authentication::now());
        drop(guessing);
        let peer = self.peer();
        match noticed {
            Some(Noticed::Sprayed) => {
                self.warn(&format!("{peer}: SASL: one password fails for many accounts"))
            }
            Some(Noticed::Besieged) => {
                let name = told.unwrap_or("(unavailable)");
                self.warn(&format!("{peer}: SASL: many log-ins as {name} fail: strangers' are slowed"));
            }
            Some(Noticed::ShutOut) => {
                self.warn(&format!("{peer}: SASL: too many log-ins fail: its network is refused for now"));
            }
            None => {}
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
                if !temporary {
                    self.count_failure(username.as_deref());
                }
                self.logging_in().username = username;
                Err(Failed::Refused(reason.unwrap_or_else(|| "(reason unavailable)".to_owned())))
            }
        }
    }

    pub(super) fn logged_in(&mut self, username: String) -> AuthOutcome {
        if self.is_minded() {
            let mut guessing = self.shared.authentication.guessing();
            let attempt = self.attempt(&guessing, Some(&username));
            guessing.succeeded(&attempt, authentication::now());
        }
        let mechanism = std::mem::take(&mut self.logging_in().mechanism);
        self.logging_in = None;
        let sasl =
            policy::Sasl { method: mechanism.clone(), username: username.clone(), sender: String::new() };
        self.tx.sasl = Some(Box::new(sasl));
        AuthOutcome::Success { mechanism, username }
    }

    fn fail(&mut self, failed: Failed) -> Reply {
        let host = self.service.listener.receiving.hostname.clone();
        let logging_in = self.logging_in();
        (logging_in.exchange, logging_in.under_way) = (None, None);
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
        let line = SaslFailed {
            client: self.peer(),
            mechanism: mechanism.as_str().into(),
            reason: reason.as_str().into(),
            sasl_username: Some(username.as_deref().unwrap_or("(unavailable)").into()),
        };
        self.shared.log.write(self.program(), line);
        reply
    }
}
