//! A log-in's turn: how long it waits before anybody is asked about its password, and what its end is counted as.
//!
//! Known clients go at once, strangers stand in a line (`authentication::turns`). Who has waited for too long hears 454,
//! and has learnt nothing of the password. T0.1.

use super::Session;
use super::authenticate::{Failed, LoggingIn};
use crate::authentication::dovecot::Lost;
use crate::authentication::turns::{Admission, Permit};
use crate::authentication::{self, Logins};
use crate::bans::Tried;
use mail::base64;
use policy::guessing::{Attempt, Guessing, Noticed, Outcome};
use proto::sasl::server::Credentials;

impl Session {
    /// Waits until the log-in may be tried: before anything is handed on that may be judged. Who has leave has it until the
    /// exchange ends.
    pub(super) async fn wait_turn(
        &mut self,
        logins: &Logins,
        (said, first): (Option<&str>, bool),
    ) -> Result<(), Failed> {
        if logins.delay_max.is_zero() {
            if self.shared.log.is_listened_to() {
                self.take_note(said, first);
            }
            return Ok(());
        }
        if first {
            // Whoever logs its own users in here is one of smtpd_client_event_limit_exceptions, as for all limits.
            let trusted = self.looked_up(Session::is_excepted).await.unwrap_or(false);
            self.logging_in().trusted = trusted;
        }
        if self.logging_in().trusted {
            return Ok(());
        }
        // A certificate that was shown in the handshake is no guess.
        let certified =
            logins.internal().is_some() && self.logging_in().mechanism.eq_ignore_ascii_case("EXTERNAL");
        if !self.take_note(said, first) || certified || self.logging_in().permit.is_some() {
            return Ok(());
        }
        let (attempt, is_known) = {
            let guessing = self.shared.authentication.guessing();
            let attempt = self.attempt(&guessing, None);
            (attempt, guessing.standing(&attempt, authentication::now()).1.is_none())
        };
        // Only those count for whom the server has something to do, and strangers keep out strangers.
        self.logging_in().under_way = self.shared.authentication.begin(self.tx.client.address);
        if self.logging_in().under_way.is_none() && !is_known {
            return Err(Failed::Temporarily("too many log-ins at once".to_owned()));
        }
        let permit = match self.shared.authentication.arrive(&attempt, logins.delay_max) {
            Admission::No => return Err(Failed::ShutOut),
            Admission::Goes(permit) => permit,
            Admission::Waits(place) => {
                let ear = self.seat.ear();
                tokio::select! {
                    biased;
                    permit = place.called() => {
                        permit.ok_or_else(|| Failed::Temporarily("too many log-ins fail".to_owned()))?
                    }
                    _ = ear.dismissed() => return Err(Failed::Temporarily(Lost.to_string())),
                }
            }
        };
        self.logging_in().permit = Some(permit.taken());
        Ok(())
    }

    /// Takes note of what the client says: whether its password may be judged by it, in whatever mechanism.
    fn take_note(&mut self, said: Option<&str>, first: bool) -> bool {
        let LoggingIn { mechanism, credentials, .. } = self.logging_in();
        // RFC 4954 §4: an initial response of nothing. LOGIN has a name yet to come, and asks for it.
        let is_nothing = |text: &str| first && text.is_empty() && mechanism.eq_ignore_ascii_case("LOGIN");
        if let Some(text) = said.filter(|text| !is_nothing(text)) {
            credentials.learn(mechanism, base64::decode(text.trim()).as_deref());
        }
        credentials.may_be_judged(mechanism)
    }

    /// The log-in under way, as it is counted; `told` is the name that the backend has for it.
    pub(super) fn attempt(&self, guessing: &Guessing, told: Option<&str>) -> Attempt {
        let credentials = self.logging_in.as_deref().map(|logging_in| &logging_in.credentials);
        let username = credentials.and_then(|known| known.username.as_deref()).or(told);
        let password = credentials.and_then(|known| known.password.as_deref());
        guessing.attempt(self.tx.client.address, username, password)
    }

    /// What the log-in under way was tried with, for the server's own jails.
    pub(super) fn tried(&self) -> Option<Tried> {
        let logging_in = self.logging_in.as_deref().filter(|_| self.shared.log.is_listened_to())?;
        let Credentials { username, password, .. } = &logging_in.credentials;
        // As users have the name, where that is known.
        let account = username.as_ref().map(|said| logging_in.username.as_ref().unwrap_or(said).clone());
        let guessing = self.shared.authentication.guessing();
        let password = password.as_ref().map(|secret| guessing.mark(secret));
        (account.is_some() || password.is_some()).then_some(Tried { account, password })
    }

    fn is_minded(&self) -> bool {
        let minded = self.service.listener.logins.as_ref().is_some_and(|logins| !logins.delay_max.is_zero());
        minded && self.logging_in.as_ref().is_some_and(|logging_in| !logging_in.trusted)
    }

    /// Counts how a log-in ended, and says in the log what stands out.
    pub(super) fn settle(&mut self, told: Option<&str>, outcome: Outcome) {
        if !self.is_minded() {
            return;
        }
        let attempt = self.attempt(&self.shared.authentication.guessing(), told);
        let permit = match self.logging_in().permit.take() {
            // Nothing was tried: were it counted, one client could keep the pace of all others slow.
            None if outcome != Outcome::Succeeded => return,
            None => self.shared.authentication.went(&attempt),
            Some(permit) => permit,
        };
        let Some(noticed) = Permit::settle(permit, &attempt, outcome) else { return };
        let peer = self.peer();
        let what = match noticed {
            Noticed::Sprayed => "one password fails for many accounts".to_owned(),
            Noticed::Besieged => {
                let name = told.unwrap_or("(unavailable)");
                format!("many log-ins as {name} fail: strangers' are slowed")
            }
            Noticed::ShutOut => "too many log-ins fail: its network is refused for now".to_owned(),
            Noticed::Flooded => "many log-ins of strangers fail: all of theirs are slowed".to_owned(),
        };
        self.warn(&format!("{peer}: SASL: {what}"));
    }
}
