//! main.cf's and master.cf's words on what is tried when and how much at a time, for `queue::Scheduler`.
//!
//! Values in, values out. T2.14; docs/reference/queue.md says what each does.

use crate::deliver::wording;
use config::{Parameters, Role, Service};
use queue::Settings;
use queue::schedule::{Feedback, Limits, Slots};

/// The queue manager's settings, and what is wrong with them. `far` is how many deliveries to other servers may be
/// under way at once over one transport, where neither master.cf nor `default_process_limit` says.
pub(super) fn queue_settings<'a>(
    p: &Parameters,
    services: impl Iterator<Item = &'a Service>,
    far: usize,
) -> (Settings, Vec<String>) {
    let mut remarks = Vec::new();
    let count = |name: &str, otherwise: usize| usize::try_from(p.number(name)).unwrap_or(otherwise);
    let mut settings = Settings {
        minimal_backoff: p.duration("minimal_backoff_time"),
        maximal_backoff: p.duration("maximal_backoff_time"),
        queue_run_delay: p.duration("queue_run_delay"),
        maximal_queue_lifetime: p.duration("maximal_queue_lifetime"),
        bounce_queue_lifetime: p.duration("bounce_queue_lifetime"),
        active_limit: count("qmgr_message_active_limit", 20_000),
        recipient_limit: count("qmgr_message_recipient_limit", 20_000),
        deferred_transports: p.list("defer_transports").into_iter().map(|word| word.value).collect(),
        recipient_delimiter: p.text("recipient_delimiter").value,
        feedback_debug: p.flag("destination_concurrency_feedback_debug"),
        notices: wording::notices(p),
        ..Settings::default()
    };
    let usual = u32::try_from(p.number("default_process_limit")).unwrap_or(100);
    let far = if p.is_set("default_process_limit") { usual } else { u32::try_from(far).unwrap_or(u32::MAX) };
    let inner = ["virtual", "local"].map(|name| (name, usual));
    let named = services.filter_map(|service| {
        let usual = match service.role() {
            Role::Smtp | Role::Lmtp => far,
            Role::Local | Role::Virtual | Role::Pipe => usual,
            // Nothing is waited for there, so only the machine sets a limit.
            _ => return None,
        };
        Some((service.name.value.as_str(), service.process_limit.unwrap_or(usual)))
    });
    for (transport, processes) in inner.into_iter().chain(named) {
        let limits = limits(p, transport, processes, &mut remarks);
        settings.transport_limits.insert(transport.to_owned(), limits);
    }
    settings.limits = limits(p, "default", usual, &mut remarks);
    remarks.sort_unstable();
    remarks.dedup();
    (settings, remarks)
}

/// One transport's limits: `TRANSPORT_…`, or what `default_…` says.
fn limits(p: &Parameters, transport: &str, processes: u32, remarks: &mut Vec<String>) -> Limits {
    let name = |what: &str| format!("{transport}_{what}");
    let number = |what: &str| u32::try_from(p.number(&name(what))).unwrap_or(0);
    let mut feedback = |what: &str| {
        let text = p.text(&name(what)).value;
        Feedback::parse(&text).unwrap_or_else(|| {
            let set = if p.is_set(&name(what)) { name(what) } else { format!("default_{what}") };
            remarks.push(format!("{set}: ignoring malformed or unreasonable feedback: {text}"));
            Feedback::ONE
        })
    };
    let positive = feedback("destination_concurrency_positive_feedback");
    let negative = feedback("destination_concurrency_negative_feedback");
    // The one name that doesn't begin with `default_`.
    let initial = match transport {
        "default" => p.number("initial_destination_concurrency"),
        _ => p.number(&name("initial_destination_concurrency")),
    };
    Limits {
        concurrency: number("destination_concurrency_limit"),
        initial: u32::try_from(initial).unwrap_or(0).max(1),
        positive,
        negative,
        failed_cohorts: number("destination_concurrency_failed_cohort_limit"),
        recipients: number("destination_recipient_limit"),
        rate_delay: p.duration(&name("destination_rate_delay")),
        transport_rate_delay: p.duration(&name("transport_rate_delay")),
        processes,
        slots: Slots {
            cost: number("delivery_slot_cost"),
            loan: number("delivery_slot_loan"),
            minimum: number("minimum_delivery_slots"),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use config::{Compat, Host, MainCf};
    use std::time::Duration;

    fn settings(lines: &[(&str, &str)]) -> (Settings, Vec<String>) {
        let mut main = MainCf::empty();
        for (name, value) in lines {
            main.set(*name, *value);
        }
        let host = Host { hostname: "mx.example.com".to_owned(), addresses: Vec::new() };
        let (p, _) = Parameters::new(&main, &host, Compat::V3_11);
        queue_settings(&p, std::iter::empty(), 1_000)
    }

    #[test]
    fn defaults_and_one_transport_of_its_own() {
        let (found, remarks) = settings(&[
            ("virtual_destination_concurrency_limit", "7"),
            ("virtual_destination_rate_delay", "2s"),
            ("initial_destination_concurrency", "3"),
            ("default_destination_concurrency_positive_feedback", "1/concurrency"),
            ("local_destination_concurrency_negative_feedback", "5"),
            ("defer_transports", "uucp, smtp"),
        ]);
        let (at, local) = (&found.transport_limits["virtual"], &found.transport_limits["local"]);
        assert_eq!((at.concurrency, at.initial, at.recipients), (7, 3, 50));
        assert_eq!((at.rate_delay, at.positive), (Duration::from_secs(2), Feedback::ByConcurrency(1.0)));
        assert_eq!((local.concurrency, local.recipients, local.negative), (2, 1, Feedback::ONE));
        assert_eq!((found.limits.concurrency, found.limits.initial, found.limits.processes), (20, 3, 100));
        assert_eq!(found.deferred_transports, ["uucp", "smtp"]);
        let said =
            "local_destination_concurrency_negative_feedback: ignoring malformed or unreasonable feedback: 5";
        assert_eq!(remarks, [said]);
        assert_eq!(found.transport_limits["retry"], Limits::none());
    }
}
