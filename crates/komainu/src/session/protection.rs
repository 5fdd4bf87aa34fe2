//! TLS comes up in a session: by STARTTLS, or before the first word where the listener is wrapped in it (RFC 3207, RFC
//! 8314 §3).
//!
//! Logged as smtpd(8) does. What a failed handshake leaves is a lost connection.

use super::line::Line;
use super::wire::Wire;
use super::{Reach, Session, Woken};
use crate::clock;
use crate::tls::server::Established;
use events::daemon::Message;
use events::tls::{Direction, TlsFailed, TlsStarting, Trust};
use mail::message::Security;
use proto::smtp::Input;
use std::io::ErrorKind;

/// What `Received:` says of TLS.
pub(super) struct Protection {
    tls: String,
    certificate: String,
}

impl Session {
    /// STARTTLS was granted.
    pub(super) async fn start_tls<S: Line>(&mut self, stream: &mut Wire<S>, out: &mut Vec<u8>) {
        self.flush(stream, out).await;
        let is_up = matches!(self.reach, Reach::Open) && self.protect(stream).await;
        let input = if is_up { Input::TlsUp } else { Input::PeerClosed };
        self.server.handle(clock::now(), input, out);
    }

    /// Makes the handshake; false when the connection is lost by it.
    pub(super) async fn protect<S: Line>(&mut self, stream: &mut Wire<S>) -> bool {
        let security = &self.service.listener.security;
        let Some(acceptor) = security.acceptor.clone() else {
            let service = &self.service.listener.name;
            self.warn(&format!(
                "Wrapper-mode request dropped from {} for service {service}. TLS context initialization failed. For \
                 details see earlier warnings in your logs.",
                self.peer()
            ));
            return false;
        };
        if security.log_level >= 2 {
            let peer = self.peer().to_string();
            let line = TlsStarting { direction: Direction::From, peer: peer.into() };
            self.shared.log.write(self.program(), line);
        }
        let limit = self.server.settings().starttls_timeout;
        self.seat.waits(clock::now().mono);
        let ear = self.seat.ear();
        let outcome = tokio::select! {
            biased;
            outcome = tokio::time::timeout(limit, stream.protect(&acceptor)) => {
                outcome.unwrap_or_else(|_| Err(ErrorKind::TimedOut.into()))
            }
            _ = ear.told() => Err(ErrorKind::ConnectionAborted.into()),
        };
        self.seat.is_busy();
        match outcome {
            Ok(established) => {
                if self.service.listener.logins.as_ref().is_some_and(|logins| logins.internal().is_some()) {
                    self.bindings = stream.exported().into_iter().collect();
                }
                self.protected(established);
                true
            }
            Err(error) => {
                self.log_failed(&error);
                self.reach = Reach::Lost(Woken::Broken);
                false
            }
        }
    }

    fn protected(&mut self, established: Established) {
        let Established { summary, facts, certificate } = established;
        let security = &self.service.listener.security;
        if security.log_level >= 1 {
            let trust = match &facts.certificate {
                None => Trust::Anonymous,
                Some(one) if one.trusted => Trust::Trusted,
                Some(_) => Trust::Untrusted,
            };
            let peer = self.peer().to_string();
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
