//! Limits on how much a client may do in a time unit: where in the conversation it is counted, and what the client
//! hears (`smtpd_client_message_rate_limit`, `…_recipient_…`, `…_auth_…`, `…_new_tls_session_rate_limit`).
//!
//! By trial with Postfix: a command counts once its syntax is that of MAIL, RCPT or VRFY, whatever becomes of its
//! address and options; AUTH counts before its arguments. Connections are the driver's to count. T2.3.

use super::flow::Step;
use super::{Metered, Note, Server};
use mail::{Dsn, Reply};

impl Server {
    /// Counts; whether the command was refused for it.
    pub(super) fn too_many(&mut self, step: &mut Step<'_>, event: Metered) -> bool {
        let Some(excess) = self.meter.as_ref().and_then(|meter| meter.count(event, step.now)) else {
            return false;
        };
        self.warn(Note::LimitExceeded { limit: excess.limit, count: excess.count });
        let what = match event {
            Metered::Message => "too much mail",
            Metered::Recipient => "too many recipients",
            Metered::Auth => "too many AUTH commands",
        };
        let text = format!("Error: {what} from {}", self.peer.address);
        self.fail(step, Reply::new(450, Dsn::new(4, 7, 1), text));
        true
    }

    /// STARTTLS from a client that had more new sessions than it may.
    pub(super) fn tls_refused(&mut self, step: &mut Step<'_>) -> bool {
        if !self.meter.as_ref().is_some_and(|meter| meter.refuses_tls(step.now)) {
            return false;
        }
        self.warn(Note::StartTlsRefused);
        let (name, address) = (&self.peer.name, self.peer.address);
        let text = format!("Error: too many new TLS sessions from {name}[{address}]");
        self.fail(step, Reply::new(454, Dsn::new(4, 7, 0), text));
        true
    }
}
