//! Parameters whose names begin with a master.cf service: `relay_destination_concurrency_limit`.
//!
//! There is one for each transport and each of these suffixes; their defaults refer to the general ones.

use super::{Kind, State, Unit, find};

/// A parameter that a service brings with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Derived<'a> {
    /// The transport.
    pub service: &'a str,
    /// How its value is read.
    pub kind: Kind,
    /// What holds when main.cf is silent.
    pub default: &'static str,
    /// What it is for.
    pub sentence: &'static str,
}

impl Derived<'_> {
    /// How far it is served: as the general parameter that it defaults to.
    #[must_use]
    pub fn state(&self) -> State {
        let general = self.default.strip_prefix('$').and_then(find);
        general.map_or(State::NotYet, |row| row.state)
    }
}

/// Longer suffixes stand before those that they end with.
#[rustfmt::skip]
const SUFFIXES: [(&str, Kind, &str, &str); 17] = [
    ("_delivery_slot_cost", Kind::Number, "$default_delivery_slot_cost",
        "How many deliveries a large message of this transport must have received before a small one may overtake it."),
    ("_delivery_slot_discount", Kind::Number, "$default_delivery_slot_discount",
        "Percentage of the needed delivery slots at which a message of this transport may already be overtaken."),
    ("_delivery_slot_loan", Kind::Number, "$default_delivery_slot_loan",
        "Number of delivery slots that a message of this transport lends to a smaller one in advance."),
    ("_destination_concurrency_failed_cohort_limit", Kind::Number, "$default_destination_concurrency_failed_cohort_limit",
        "How many rounds of failed connections make a destination of this transport count as dead; 0 never does."),
    ("_destination_concurrency_limit", Kind::Number, "$default_destination_concurrency_limit",
        "Most deliveries of this transport at once to the same destination; 0 means no limit."),
    ("_destination_concurrency_negative_feedback", Kind::Text, "$default_destination_concurrency_negative_feedback",
        "How much the concurrency of a destination of this transport falls after a failed connection."),
    ("_destination_concurrency_positive_feedback", Kind::Text, "$default_destination_concurrency_positive_feedback",
        "How much the concurrency of a destination of this transport rises after a good delivery."),
    ("_destination_rate_delay", Kind::Time(Unit::Second), "$default_destination_rate_delay",
        "Pause between two deliveries of this transport to the same destination; above 0 they go one at a time."),
    ("_destination_recipient_limit", Kind::Number, "$default_destination_recipient_limit",
        "Most recipients of one message in a single delivery of this transport; 1 makes a destination of each."),
    ("_extra_recipient_limit", Kind::Number, "$default_extra_recipient_limit",
        "How many recipients more of a waiting message this transport reads into memory once it may overtake others."),
    ("_initial_destination_concurrency", Kind::Number, "$initial_destination_concurrency",
        "How many deliveries of this transport to a new destination run at once before its limit adapts."),
    ("_minimum_delivery_slots", Kind::Number, "$default_minimum_delivery_slots",
        "Fewest delivery slots that a message of this transport must be able to earn before others may overtake it."),
    ("_recipient_refill_delay", Kind::Time(Unit::Second), "$default_recipient_refill_delay",
        "Longest wait before more recipients of a large message of this transport are read from its queue file."),
    ("_recipient_refill_limit", Kind::Number, "$default_recipient_refill_limit",
        "Fewest recipients of a large message of this transport that are read in one go."),
    ("_recipient_limit", Kind::Number, "$default_recipient_limit",
        "Most recipients that the queue manager keeps in memory for this transport."),
    ("_transport_rate_delay", Kind::Time(Unit::Second), "$default_transport_rate_delay",
        "Pause between two deliveries of this transport, to whatever destination; 0 means none."),
    ("_time_limit", Kind::Time(Unit::Second), "$command_time_limit",
        "Longest run of a command that this pipe or spawn service starts before it is killed."),
];

/// The suffixes that a service's name takes.
pub fn derived_suffixes() -> impl Iterator<Item = &'static str> {
    SUFFIXES.iter().map(|(suffix, ..)| *suffix)
}

/// The parameters of a transport called TRANSPORT, or (`_time_limit`) of such a service.
pub fn derived_examples() -> impl Iterator<Item = (String, Derived<'static>)> {
    SUFFIXES.iter().map(|&(suffix, kind, default, sentence)| {
        (format!("TRANSPORT{suffix}"), Derived { service: "TRANSPORT", kind, default, sentence })
    })
}

/// Reads `name` as a service and one of the suffixes.
#[must_use]
pub fn derived(name: &str) -> Option<Derived<'_>> {
    SUFFIXES.iter().find_map(|(suffix, kind, default, sentence)| {
        let service = name.strip_suffix(suffix)?;
        let exception = match (service, *suffix) {
            ("local", "_destination_concurrency_limit") => Some("2"),
            ("local", "_destination_recipient_limit") => Some("1"),
            _ => None,
        };
        let default = exception.unwrap_or(default);
        (!service.is_empty()).then_some(Derived { service, kind: *kind, default, sentence })
    })
}
