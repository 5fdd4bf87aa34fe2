//! TLS comes up in a session: by STARTTLS, or before the first word where the listener is wrapped in it (RFC 3207, RFC
//! 8314 §3).
//!
//! Logged as smtpd(8) does. What a failed handshake leaves is a lost connection.

use super::line::Line;
use super::wire::Wire;
use super::{Reach, Session, Woken};
use crate::authentication;
use crate::clock;
use crate::tls::server::{Established, Remark};
use events::Event;
use events::daemon::Message;
use events::tls::{Direction, TlsFailed, TlsStarting, Trust};
use mail::message::Security;
use mail::{Dsn, Reply};
use proto::smtp::{Input, Verdict};
use std::io::ErrorKind;

/// What `Received:` says of TLS.
pub(super) struct Protection {
    tls: String,
    certificate: String,
}

/// How a handshake ended.
enum Shaken {
    /// With a new session.
    New,
    /// With an earlier one.
    Resumed,
    /// The connection is lost.
    Failed,
}

impl Session {
    /// STARTTLS was granted.
    pub(super) async fn start_tls<S: Line>(&mut self, stream: &mut Wire<S>, out: &mut Vec<u8>) {
        self.flush(stream, out).await;
        let is_open = matches!(self.reach, Reach::Open);
        let outcome = if is_open { self.protect(stream).await } else { Shaken::Failed };
        let counted = if matches!(outcome, Shaken::New) { self.count_tls().await } else { Ok(()) };
        let input = match (outcome, counted) {
            (Shaken::Failed, _) => Input::PeerClosed,
            (_, Err(reply)) => Input::TlsRefused(reply),
            (_, Ok(())) => self.judged().map_or_else(Input::TlsUnfit, |()| Input::TlsUp),
        };
        if matches!(input, Input::TlsUp) {
            self.milters_abort().await;
        }
        self.server.handle(clock::now(), input, out);
    }

    /// The handshake of a port in TLS, before anything is said; whether it was for a new session.
    pub(super) async fn wrap<S: Line>(&mut self, stream: &mut Wire<S>) -> Result<bool, Verdict> {
        if self.refuses_wrapped().await {
            // Nobody hears it.
            *stream = Wire::Broken;
            let reply = Reply::new(421, Dsn::new(4, 7, 0), "Error: too many new TLS sessions");
            return Err(Verdict::Disconnect(reply));
        }
        if self.service.listener.security.acceptor.is_none() {
            self.warn_of_no_tls();
            *stream = Wire::Broken;
            let reply = Reply::new(421, Dsn::new(4, 7, 0), "Error: TLS isn't available");
            return Err(Verdict::Disconnect(reply));
        }
        match self.protect(stream).await {
            Shaken::New => Ok(true),
            Shaken::Resumed => Ok(false),
            Shaken::Failed => Err(Verdict::Reject(self.lost())),
        }
    }

    /// Where clients must show a certificate that is trusted, whether this one did; what it hears where it didn't.
    pub(super) fn judged(&self) -> Result<(), Reply> {
        if !self.service.listener.security.requires {
            return Ok(());
        }
        let shown = self.tx.tls.as_ref().and_then(|tls| tls.certificate.as_ref());
        let why = match shown {
            Some(one) if one.trusted => return Ok(()),
            Some(_) => "Client certificate not trusted",
            None => "No client certificate presented",
        };
        let line = format!("NOQUEUE: abort: TLS from {}: {why}", self.peer());
        self.shared.log.write(self.program(), Event::Other(line.into()));
        let host = &self.service.listener.receiving.hostname;
        Err(Reply::new(421, Dsn::new(4, 7, 1), format!("{host} Error: {why}")))
    }

    fn warn_of_no_tls(&self) {
        let service = &self.service.listener.name;
        self.warn(&format!(
            "Wrapper-mode request dropped from {} for service {service}. TLS context initialization failed. For \
             details see earlier warnings in your logs.",
            self.peer()
        ));
    }

    /// Makes the handshake.
    async fn protect<S: Line>(&mut self, stream: &mut Wire<S>) -> Shaken {
        let security = &self.service.listener.security;
        let Some(acceptor) = security.acceptor.clone() else {
            self.warn_of_no_tls();
            return Shaken::Failed;
        };
        if security.log_level >= 2 {
            let peer = self.peer().to_string();
            let line = TlsStarting { direction: Direction::From, peer: peer.into() };
            self.shared.log.write(self.program(), line);
        }
        let limit = self.server.settings().starttls_timeout;
        // However many strangers come, those who log in here don't wait behind them.
        let authentication = &self.shared.authentication;
        let is_home = authentication.guessing().is_home(self.tx.client.address, authentication::now());
        let apart = (!is_home).then_some(&authentication.handshakes);
        self.seat.waits(clock::now().mono);
        let ear = self.seat.ear();
        let mut remark = None;
        let outcome = tokio::select! {
            biased;
            outcome = tokio::time::timeout(limit, stream.protect(&acceptor, apart, &mut remark)) => {
                outcome.unwrap_or_else(|_| Err(ErrorKind::TimedOut.into()))
            }
            _ = ear.told() => Err(ErrorKind::ConnectionAborted.into()),
        };
        self.seat.is_busy();
        self.log_name(remark);
        match outcome {
            Ok(established) => {
                let is_new = established.is_new;
                if self.service.listener.logins.as_ref().is_some_and(|logins| logins.internal().is_some()) {
                    self.bindings = stream.exported().into_iter().collect();
                }
                self.protected(established);
                if is_new { Shaken::New } else { Shaken::Resumed }
            }
            Err(error) => {
                self.log_failed(&error);
                self.reach = Reach::Lost(Woken::Broken);
                Shaken::Failed
            }
        }
    }

    fn protected(&mut self, established: Established) {
        let Established { summary, facts, certificate, distrust, served_name, .. } = established;
        let security = &self.service.listener.security;
        if let Some((whose, why)) = distrust.filter(|_| security.requires) {
            let text = format!("{whose} verification failed for {}: {why}", self.peer());
            self.shared.log.write(self.program(), Event::Other(text.into()));
        }
        if security.log_level >= 1 {
            let trust = match &facts.certificate {
                None => Trust::Anonymous,
                Some(one) if one.trusted => Trust::Trusted,
                Some(_) => Trust::Untrusted,
            };
            let mut peer = self.peer().to_string();
            if let Some(name) = served_name {
                peer = format!("{peer} to {name}");
            }
            self.shared.log.write(self.program(), summary.event(trust, Direction::From, &peer));
        }
        if security.received_header {
            self.protection = Some(Box::new(Protection { tls: summary.received(), certificate }));
        }
        self.tx.tls = Some(Box::new(facts));
        // Who had logged in did so in the clear (RFC 3207 §4.2).
        self.tx.sasl = None;
        self.logging_in = None;
    }

    /// What there is to say of the name that the client asked for.
    fn log_name(&self, remark: Option<Remark>) {
        match remark {
            Some(Remark::NotMatched(name)) => {
                let text = format!("TLS SNI {name} from {} not matched, using default chain", self.peer());
                self.shared.log.write(self.program(), Event::Other(text.into()));
            }
            Some(Remark::Broken(why)) => why.iter().for_each(|text| self.warn(text)),
            None => {}
        }
    }

    fn log_failed(&self, error: &std::io::Error) {
        let (reason, why) = match error.kind() {
            ErrorKind::TimedOut => ("Connection timed out", None),
            ErrorKind::InvalidData | ErrorKind::Other => ("-1", Some(error.to_string())),
            _ => ("lost connection", None),
        };
        let line = TlsFailed { direction: Direction::From, peer: self.peer(), reason: reason.into() };
        self.shared.log.write(self.program(), line);
        if let Some(why) = why {
            let text = format!("TLS library problem: {why}");
            self.shared.log.write(self.program(), Message::warning(text));
        }
    }

    /// What TLS and a login add to `Received:`.
    pub(super) fn security(&self) -> Security<'_> {
        let protection = self.protection.as_deref();
        Security {
            tls: protection.map(|one| one.tls.as_str()),
            certificate: protection.map(|one| one.certificate.as_str()),
            login: self.login_shown(),
        }
    }
}
