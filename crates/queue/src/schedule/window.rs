//! How many deliveries one destination takes at once: SCHEDULER_README's feedback, and when it counts as dead.
//!
//! A good delivery raises the concurrency at the end of 1/feedback of them, a failed connection or handshake lowers
//! it at the beginning of 1/feedback of those. Failures add up in cohorts, each 1/concurrency; when enough are
//! together, nothing more is sent there. Postfix 3.7.11 was the judge of rounding (`success + feedback/2 >= 1`).

use super::limits::Limits;

/// One destination's concurrency.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Window {
    /// How many may run; 0 where it is dead.
    size: u32,
    success: f64,
    failure: f64,
    failed_cohorts: f64,
}

impl Window {
    pub(super) fn new(limits: &Limits) -> Window {
        Window { size: initial(limits), success: 0.0, failure: 0.0, failed_cohorts: 0.0 }
    }

    pub(super) fn size(&self) -> u32 {
        self.size
    }

    pub(super) fn is_dead(&self) -> bool {
        self.size == 0
    }

    /// A delivery got through to the server, whatever that said; `busy` are under way, this one included. The feedback.
    pub(super) fn good(&mut self, limits: &Limits, busy: u32) -> Option<f64> {
        self.failed_cohorts = 0.0;
        if self.is_dead() {
            *self = Window::new(limits);
            return None;
        }
        let limit = limits.concurrency();
        let at_limit = limit > 0 && self.size >= limit;
        // Who isn't used to the full needs no more; and what fails later would be noticed late.
        if at_limit || self.size >= busy.saturating_add(limits.initial) {
            return None;
        }
        let feedback = limits.positive.at(self.size);
        self.success += feedback;
        while self.success + feedback / 2.0 >= 1.0 {
            self.size = self.size.saturating_add(1);
            self.success -= 1.0;
            self.failure = 0.0;
        }
        if limit > 0 {
            self.size = self.size.min(limit);
        }
        Some(feedback)
    }

    /// Connection or handshake failed. The feedback, unless it is dead now.
    pub(super) fn bad(&mut self, limits: &Limits) -> Option<f64> {
        if self.is_dead() {
            return None;
        }
        self.failed_cohorts += 1.0 / f64::from(self.size);
        if limits.failed_cohorts > 0 && self.failed_cohorts >= f64::from(limits.failed_cohorts) {
            self.size = 0;
            return None;
        }
        let feedback = limits.negative.at(self.size);
        self.failure -= feedback;
        while self.failure - feedback / 2.0 < 0.0 && feedback > 0.0 {
            self.size = self.size.saturating_sub(1);
            self.failure += 1.0;
            self.success = 0.0;
        }
        self.size = self.size.max(1);
        Some(feedback)
    }

    /// As `destination_concurrency_feedback_debug` logs it.
    pub(super) fn text(&self, limits: &Limits) -> String {
        let Window { size, success, failure, failed_cohorts } = self;
        let (success, failure, cohorts) = (short(*success), short(*failure), short(*failed_cohorts));
        let limit = limits.concurrency();
        format!("limit {limit} window {size} success {success} failure {failure} fail_cohorts {cohorts}")
    }
}

fn initial(limits: &Limits) -> u32 {
    match (limits.initial, limits.concurrency()) {
        (0, 0) => u32::MAX,
        (initial, 0) => initial,
        (initial, limit) => initial.clamp(1, limit),
    }
}

/// Six digits that count.
pub(super) fn short(value: f64) -> String {
    let text = if value.abs() >= 1.0 { format!("{value:.5}") } else { format!("{value:.6}") };
    let text = text.trim_end_matches('0').trim_end_matches('.');
    if text == "-0" || text.is_empty() { "0".to_owned() } else { text.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::super::limits::Feedback;
    use super::*;

    fn sizes(limits: Limits, failures: &str) -> Vec<u32> {
        let mut window = Window::new(&limits);
        let step = |what: char| {
            match what {
                '+' => window.good(&limits, window.size),
                _ => window.bad(&limits),
            };
            window.size
        };
        failures.chars().map(step).collect()
    }

    #[test]
    fn as_postfix_does() {
        let limits = Limits::default();
        assert_eq!(sizes(limits, "---"), [3, 2, 0], "dead at the third of five");
        assert_eq!(sizes(limits, "+++"), [6, 7, 8]);
        assert_eq!(sizes(limits, "-+---"), [3, 4, 2, 1, 0], "a good one ends the row");
        let gentle = Limits {
            positive: Feedback::ByConcurrency(1.0),
            negative: Feedback::Constant(0.0),
            ..Limits::default()
        };
        assert_eq!(sizes(gentle, "+++++++"), [5, 5, 5, 5, 6, 6, 6]);
        assert_eq!(sizes(gentle, "-----"), [5, 5, 5, 5, 0], "a cohort of five");
        let immune = Limits { failed_cohorts: 0, ..Limits::default() };
        assert_eq!(sizes(immune, "------"), [3, 2, 1, 1, 1, 1]);
        assert_eq!(sizes(Limits { concurrency: 2, ..limits }, "++"), [2, 2]);
        assert_eq!(sizes(limits, "---+"), [3, 2, 0, 5], "one that came through late wakes it");
        assert_eq!(sizes(Limits::none(), "+-"), [u32::MAX, u32::MAX - 2]);
    }

    #[test]
    fn as_postfix_says_it() {
        let limits = Limits::default();
        let mut window = Window::new(&limits);
        window.bad(&limits);
        window.bad(&limits);
        assert_eq!(window.text(&limits), "limit 20 window 2 success 0 failure 1 fail_cohorts 0.533333");
        window.bad(&limits);
        assert_eq!(window.text(&limits), "limit 20 window 0 success 0 failure 1 fail_cohorts 1.03333");
    }

    #[test]
    fn idle_destinations_learn_nothing() {
        let limits = Limits::default();
        let mut window = Window::new(&limits);
        for _ in 0..10 {
            window.good(&limits, 1);
        }
        assert_eq!(window.size, 6, "one at a time needs no more than that");
    }
}
