//! anvil(8)'s limits on one client: its connection is counted when it is known who it is, and until the session is
//! over, however it ends.
//!
//! As in Postfix the count comes behind `connect from`, because the log names the client by its verified name, and
//! behind XCLIENT the client is counted anew as the one that it stands for. What is counted later, and what the
//! client hears, is `proto::smtp`'s; the counters are `policy::rates`'. T2.2, T2.3.

use super::Session;
use crate::clock;
use events::smtpd::LimitExceeded;
use mail::{Dsn, Now, Reply};
use policy::rates::{Arrival, Event, Excess, Ident, Limits, Rates};
use proto::smtp::{Meter, Metered, TooMany};
use std::sync::Arc;
use tables::LookupError;

/// A counted connection. Dropping it counts the connection out, also where the session panicked or was dropped.
#[derive(Debug)]
pub struct Ticket {
    rates: Arc<Rates>,
    ident: Ident,
    limits: Limits,
}

impl Ticket {
    /// Counts a connection in.
    #[must_use]
    pub fn take(rates: &Arc<Rates>, ident: Ident, limits: Limits, now: Now) -> (Ticket, Arrival) {
        let arrival = rates.connect(&ident, now);
        (Ticket { rates: Arc::clone(rates), ident, limits }, arrival)
    }

    /// What isn't limited isn't counted.
    fn add(&self, event: Event, now: Now) -> Option<Excess> {
        if self.limits.of(event) == 0 {
            return None;
        }
        self.limits.rate(event, self.rates.count(event, &self.ident, now))
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.rates.disconnect(&self.ident, clock::now().mono);
    }
}

impl Meter for Ticket {
    fn count(&self, event: Metered, now: Now) -> Option<TooMany> {
        let event = match event {
            Metered::Message => Event::Message,
            Metered::Recipient => Event::Recipient,
            Metered::Auth => Event::Auth,
        };
        self.add(event, now).map(|Excess { limit, count }| TooMany { limit, count })
    }

    fn refuses_tls(&self, now: Now) -> bool {
        let rate = || self.rates.rate(Event::NewTls, &self.ident, now.mono);
        self.limits.new_tls_rate > 0 && self.limits.rate(Event::NewTls, rate()).is_some()
    }
}

impl Session {
    /// Counts the connection, unless nothing is limited or the client is one of
    /// `smtpd_client_event_limit_exceptions`.
    pub(super) async fn count_in(&mut self) -> Result<(), Reply> {
        // Whoever it was before XCLIENT isn't connected any more.
        self.server.set_meter(None);
        self.concurrency = 0;
        let listener = &self.service.listener;
        let limits = if self.tx.stress { listener.stressed_limits } else { listener.limits };
        // A table that can't say excepts nobody.
        if !limits.any() || self.looked_up(Session::is_excepted).await.unwrap_or(false) {
            return Ok(());
        }
        let (listener, client) = (&self.service.listener, &self.tx.client);
        let rates = &self.shared.rates;
        let ident = Ident::new(rates.service(&listener.name), client.address, limits.prefixes);
        let (ticket, arrival) = Ticket::take(rates, ident, limits, clock::now());
        self.server.set_meter(Some(Arc::new(ticket)));
        self.concurrency = arrival.open;
        let Some(excess) = limits.arrival(arrival) else { return Ok(()) };
        self.log_excess(excess.limit, excess.count);
        let (host, address) = (&listener.receiving.hostname, client.address);
        let text = format!("{host} Error: too many connections from {address}");
        Err(Reply::new(421, Dsn::new(4, 7, 0), text))
    }

    /// Under whom new TLS sessions are counted; `None` where they aren't.
    async fn tls_ident(&mut self) -> Option<(Ident, Limits)> {
        let listener = &self.service.listener;
        let limits = if self.tx.stress { listener.stressed_limits } else { listener.limits };
        if limits.new_tls_rate == 0 || self.looked_up(Session::is_excepted).await.unwrap_or(false) {
            return None;
        }
        let (listener, client) = (&self.service.listener, &self.tx.client);
        let service = self.shared.rates.service(&listener.name);
        Some((Ident::new(service, client.address, limits.prefixes), limits))
    }

    /// Whether the client has had so many new TLS sessions that a port in TLS doesn't hear it; says so.
    pub(super) async fn refuses_wrapped(&mut self) -> bool {
        let Some((ident, limits)) = self.tls_ident().await else { return false };
        let rate = self.shared.rates.rate(Event::NewTls, &ident, clock::now().mono);
        let refuses = limits.rate(Event::NewTls, rate).is_some();
        if refuses {
            let (peer, service) = (self.peer(), &self.service.listener.name);
            self.warn(&format!("Refusing TLS service request from {peer} for service {service}"));
        }
        refuses
    }

    /// Counts a new TLS session; what the client hears where it is one too many.
    pub(super) async fn count_tls(&mut self) -> Result<(), Reply> {
        let Some((ident, limits)) = self.tls_ident().await else { return Ok(()) };
        let count = self.shared.rates.count(Event::NewTls, &ident, clock::now());
        let Some(excess) = limits.rate(Event::NewTls, count) else { return Ok(()) };
        self.log_excess(excess.limit, excess.count);
        let host = &self.service.listener.receiving.hostname;
        let text = format!("{host} Error: too many new TLS sessions from {}", self.peer());
        Err(Reply::new(421, Dsn::new(4, 7, 0), text))
    }

    pub(super) fn is_excepted(&self) -> Result<bool, LookupError> {
        let client = &self.tx.client;
        let list = &self.service.listener.lists.event_limit_exceptions;
        list.contains(self.facts.snapshot(), &client.name, client.address)
    }

    pub(super) fn log_excess(&self, limit: &'static str, count: u32) {
        let listener = &self.service.listener;
        let service = listener.name.as_str().into();
        let line = LimitExceeded { limit: limit.into(), count: count.into(), client: self.peer(), service };
        self.shared.log.write(&listener.program, line);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use policy::rates::Prefixes;

    fn ticket(rates: &Arc<Rates>, limits: Limits) -> (Ticket, Arrival) {
        let ident = Ident::new(rates.service("smtp"), [192, 0, 2, 1].into(), Prefixes::default());
        Ticket::take(rates, ident, limits, clock::now())
    }

    /// A session that panics, or is dropped while it waits, doesn't stay connected.
    #[test]
    fn every_end_counts_out() {
        let rates = Arc::new(Rates::default());
        let limits = Limits { connection_count: 2, ..Limits::default() };
        for _ in 0..10 {
            let (held, arrival) = ticket(&rates, limits);
            assert_eq!(arrival.open, 1);
            let rates = Arc::clone(&rates);
            let ended = std::thread::spawn(move || {
                let (_held, arrival) = ticket(&rates, limits);
                assert_ne!(arrival.open, 2, "on purpose");
            });
            assert!(ended.join().is_err(), "it panicked");
            drop(held);
        }
        let (waiting, _) = ticket(&rates, limits);
        let mut future = Box::pin(async move {
            std::future::pending::<()>().await;
            drop(waiting);
        });
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        assert!(future.as_mut().poll(&mut context).is_pending());
        drop(future);
        assert_eq!(ticket(&rates, limits).1.open, 1);
    }

    /// T2.3: a flood of 100,000 addresses, some of whose sessions panic, all of which hold their connection for a
    /// while: nothing stays, nobody is miscounted, and the client that came before still has its one connection.
    #[test]
    fn a_flood_leaves_nothing_behind() {
        const EACH: u32 = 25_000;
        let rates = Arc::new(Rates::default());
        let limits = Limits { connection_count: 2, message_rate: 10, ..Limits::default() };
        let (honest, _) = ticket(&rates, limits);
        let began = std::time::Instant::now();
        std::thread::scope(|scope| {
            for thread in 0..4_u32 {
                let rates = &rates;
                scope.spawn(move || {
                    let mut held = Vec::new();
                    for number in 0..EACH {
                        let address = std::net::Ipv4Addr::from(0x0a00_0000 + thread * EACH + number);
                        let ident = Ident::new(0, address.into(), Prefixes::default());
                        let (ticket, arrival) = Ticket::take(rates, ident, limits, clock::now());
                        assert_eq!(arrival, Arrival { open: 1, rate: 1 });
                        assert!(ticket.count(Metered::Message, clock::now()).is_none());
                        held.push(ticket);
                    }
                    let ended = std::panic::catch_unwind(std::panic::AssertUnwindSafe(move || {
                        let _held = held;
                        std::panic::resume_unwind(Box::new("a session that panics"));
                    }));
                    assert!(ended.is_err());
                });
            }
        });
        println!("{} sessions of 3 events in {:?}", 4 * EACH, began.elapsed());
        assert_eq!(ticket(&rates, limits).1.open, 2);
        drop(honest);
        assert!(rates.len() <= policy::rates::CLIENTS_MAX);
        rates.age((clock::now() + std::time::Duration::from_secs(61)).mono);
        assert!(rates.is_empty() && rates.bytes() < 100_000, "{} bytes", rates.bytes());
    }

    #[test]
    fn new_tls_sessions() {
        let rates = Arc::new(Rates::default());
        let (one, _) = ticket(&rates, Limits { new_tls_rate: 1, ..Limits::default() });
        let now = clock::now();
        assert!(!one.refuses_tls(now));
        rates.count(Event::NewTls, &one.ident, now);
        assert!(!one.refuses_tls(now), "asking counts nothing");
        rates.count(Event::NewTls, &one.ident, now);
        assert!(one.refuses_tls(now));
        let (free, _) = ticket(&rates, Limits { auth_rate: 1, ..Limits::default() });
        assert!(!free.refuses_tls(now), "no limit");
    }
}
