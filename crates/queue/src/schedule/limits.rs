//! What one transport is allowed: postconf(5)'s `*_destination_*`, `*_transport_*` and `*_delivery_slot_*`.
//!
//! Values only. How concurrency follows from them is [`super::window`]'s, the order of deliveries [`super::lanes`]'s.

use std::time::Duration;

/// Limits of one transport.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Limits {
    /// `_destination_concurrency_limit`; 0 is without limit.
    pub concurrency: u32,
    /// `_initial_destination_concurrency`; 0 is without limit, where `concurrency` is 0 too.
    pub initial: u32,
    /// `_destination_concurrency_positive_feedback`.
    pub positive: Feedback,
    /// `_destination_concurrency_negative_feedback`.
    pub negative: Feedback,
    /// `_destination_concurrency_failed_cohort_limit`; 0: no destination counts as dead.
    pub failed_cohorts: u32,
    /// `_destination_recipient_limit`; 0 is without limit.
    pub recipients: u32,
    /// `_destination_rate_delay`: the pause after each delivery to one destination.
    pub rate_delay: Duration,
    /// `_transport_rate_delay`: the pause between the beginnings of two deliveries to whomever.
    pub transport_rate_delay: Duration,
    /// master.cf's column; 0 is without limit.
    pub processes: u32,
    /// When one message may overtake another.
    pub slots: Slots,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            concurrency: 20,
            initial: 5,
            positive: Feedback::ONE,
            negative: Feedback::ONE,
            failed_cohorts: 1,
            recipients: 50,
            rate_delay: Duration::ZERO,
            transport_rate_delay: Duration::ZERO,
            processes: 100,
            slots: Slots::default(),
        }
    }
}

impl Limits {
    /// Nobody else is waited for: nothing but the machine sets a limit.
    #[must_use]
    pub fn none() -> Limits {
        Limits { concurrency: 0, initial: 0, failed_cohorts: 0, processes: 0, ..Limits::default() }
    }

    /// The most deliveries to one destination at once: with a pause between them, one.
    pub(super) fn concurrency(&self) -> u32 {
        if self.rate_delay.is_zero() { self.concurrency } else { 1 }
    }
}

/// How the oldest message's deliveries earn others a turn before it is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slots {
    /// `_delivery_slot_cost`: so many deliveries of the oldest earn one to another; 0: nobody overtakes.
    pub cost: u32,
    /// `_delivery_slot_loan`: so many are lent before they are earned.
    pub loan: u32,
    /// `_minimum_delivery_slots`: who can't earn more than these isn't overtaken.
    pub minimum: u32,
}

impl Default for Slots {
    fn default() -> Slots {
        Slots { cost: 5, loan: 3, minimum: 3 }
    }
}

/// How much one delivery changes a destination's concurrency.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Feedback {
    /// `number`, or `number / number`.
    Constant(f64),
    /// `number / concurrency`.
    ByConcurrency(f64),
}

impl Feedback {
    /// The default.
    pub const ONE: Feedback = Feedback::Constant(1.0);

    /// Reads a parameter's value; `None` where it is none, or outside of 0..1.
    #[must_use]
    pub fn parse(text: &str) -> Option<Feedback> {
        let number = |text: &str| text.trim().parse::<f64>().ok().filter(|number| number.is_finite());
        let inside = |value: f64| (0.0..=1.0).contains(&value).then_some(value);
        let Some((above, below)) = text.split_once('/') else {
            return Some(Feedback::Constant(inside(number(text)?)?));
        };
        let above = number(above)?;
        if below.trim().eq_ignore_ascii_case("concurrency") {
            return Some(Feedback::ByConcurrency(inside(above)?));
        }
        let below = number(below)?;
        Some(Feedback::Constant(inside(above / below)?))
    }

    pub(super) fn at(self, concurrency: u32) -> f64 {
        match self {
            Feedback::Constant(value) => value,
            Feedback::ByConcurrency(value) => value / f64::from(concurrency.max(1)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn feedback_values() {
        use Feedback::{ByConcurrency, Constant};
        for (text, expected) in [
            ("1", Some(Constant(1.0))),
            (" 0.3 ", Some(Constant(0.3))),
            ("1/4", Some(Constant(0.25))),
            ("1 / concurrency", Some(ByConcurrency(1.0))),
            ("0.3/CONCURRENCY", Some(ByConcurrency(0.3))),
            ("0", Some(Constant(0.0))),
            // Postfix 3.7.11: "ignoring malformed or unreasonable feedback".
            ("2", None),
            ("-1", None),
            ("5/concurrency", None),
            ("0.3/sqrt_concurrency", None),
            ("1/0", None),
            ("nan", None),
            ("", None),
        ] {
            assert_eq!(Feedback::parse(text), expected, "{text}");
        }
    }
}
