//! Parameters whose names begin with a master.cf service: `relay_destination_concurrency_limit`.
//!
//! There is one for each transport and each of these suffixes; their defaults refer to the general ones.

use super::{Kind, Unit};

/// A parameter that a service brings with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Derived<'a> {
    /// The transport.
    pub service: &'a str,
    /// How its value is read.
    pub kind: Kind,
    /// What holds when main.cf is silent.
    pub default: &'static str,
}

/// Longer suffixes stand before those that they end with.
const SUFFIXES: [(&str, Kind, &str); 17] = [
    ("_delivery_slot_cost", Kind::Number, "$default_delivery_slot_cost"),
    ("_delivery_slot_discount", Kind::Number, "$default_delivery_slot_discount"),
    ("_delivery_slot_loan", Kind::Number, "$default_delivery_slot_loan"),
    (
        "_destination_concurrency_failed_cohort_limit",
        Kind::Number,
        "$default_destination_concurrency_failed_cohort_limit",
    ),
    ("_destination_concurrency_limit", Kind::Number, "$default_destination_concurrency_limit"),
    (
        "_destination_concurrency_negative_feedback",
        Kind::Text,
        "$default_destination_concurrency_negative_feedback",
    ),
    (
        "_destination_concurrency_positive_feedback",
        Kind::Text,
        "$default_destination_concurrency_positive_feedback",
    ),
    ("_destination_rate_delay", Kind::Time(Unit::Second), "$default_destination_rate_delay"),
    ("_destination_recipient_limit", Kind::Number, "$default_destination_recipient_limit"),
    ("_extra_recipient_limit", Kind::Number, "$default_extra_recipient_limit"),
    ("_initial_destination_concurrency", Kind::Number, "$initial_destination_concurrency"),
    ("_minimum_delivery_slots", Kind::Number, "$default_minimum_delivery_slots"),
    ("_recipient_refill_delay", Kind::Time(Unit::Second), "$default_recipient_refill_delay"),
    ("_recipient_refill_limit", Kind::Number, "$default_recipient_refill_limit"),
    ("_recipient_limit", Kind::Number, "$default_recipient_limit"),
    ("_transport_rate_delay", Kind::Time(Unit::Second), "$default_transport_rate_delay"),
    ("_time_limit", Kind::Time(Unit::Second), "$command_time_limit"),
];

/// The suffixes that a service's name takes.
pub fn derived_suffixes() -> impl Iterator<Item = &'static str> {
    SUFFIXES.iter().map(|(suffix, ..)| *suffix)
}

/// Reads `name` as a service and one of the suffixes.
#[must_use]
pub fn derived(name: &str) -> Option<Derived<'_>> {
    SUFFIXES.iter().find_map(|(suffix, kind, default)| {
        let service = name.strip_suffix(suffix)?;
        let exception = match (service, *suffix) {
            ("local", "_destination_concurrency_limit") => Some("2"),
            ("local", "_destination_recipient_limit") => Some("1"),
            _ => None,
        };
        let default = exception.unwrap_or(default);
        (!service.is_empty()).then_some(Derived { service, kind: *kind, default })
    })
}
