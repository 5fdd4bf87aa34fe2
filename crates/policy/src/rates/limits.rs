//! `smtpd_client_*_limit`: what is too much. Zero is no limit.

use super::{Arrival, Event, Prefixes};

/// One service's limits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// `smtpd_client_connection_count_limit`
    pub connection_count: u32,
    /// `smtpd_client_connection_rate_limit`
    pub connection_rate: u32,
    /// `smtpd_client_message_rate_limit`
    pub message_rate: u32,
    /// `smtpd_client_recipient_rate_limit`
    pub recipient_rate: u32,
    /// `smtpd_client_new_tls_session_rate_limit`
    pub new_tls_rate: u32,
    /// `smtpd_client_auth_rate_limit`
    pub auth_rate: u32,
    /// What counts as one client.
    pub prefixes: Prefixes,
}

/// Too much of something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Excess {
    /// As Postfix's log names the limit: `Connection concurrency`.
    pub limit: &'static str,
    /// How much it was.
    pub count: u32,
}

impl Limits {
    /// Whether anything is limited; else nothing is counted, as in Postfix.
    #[must_use]
    pub const fn any(&self) -> bool {
        self.connection_count > 0
            || self.connection_rate > 0
            || self.message_rate > 0
            || self.recipient_rate > 0
            || self.new_tls_rate > 0
            || self.auth_rate > 0
    }

    /// The limit on an event's rate.
    #[must_use]
    pub const fn of(&self, event: Event) -> u32 {
        match event {
            Event::Connection => self.connection_rate,
            Event::Message => self.message_rate,
            Event::Recipient => self.recipient_rate,
            Event::NewTls => self.new_tls_rate,
            Event::Auth => self.auth_rate,
        }
    }

    /// Whether a new connection is one too many.
    #[must_use]
    pub fn arrival(&self, arrival: Arrival) -> Option<Excess> {
        if self.connection_count > 0 && arrival.open > self.connection_count {
            return Some(Excess { limit: "Connection concurrency", count: arrival.open });
        }
        self.rate(Event::Connection, arrival.rate)
    }

    /// Whether an event is one too many.
    #[must_use]
    pub fn rate(&self, event: Event, count: u32) -> Option<Excess> {
        let max = self.of(event);
        (max > 0 && count > max).then_some(Excess { limit: event.limit_name(), count })
    }
}

impl Event {
    /// As `limit exceeded` lines name it.
    const fn limit_name(self) -> &'static str {
        match self {
            Event::Connection => "Connection rate",
            Event::Message => "Message delivery request rate",
            Event::Recipient => "Recipient address rate",
            Event::NewTls => "New TLS session rate",
            Event::Auth => "AUTH command rate",
        }
    }
}
