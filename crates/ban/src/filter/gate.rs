//! One search for all filters that read a log: most lines are of no interest to any of them.

use super::quick::{Search, search};
use super::{Filter, LINE_BYTES_MAX};
use std::sync::Arc;

/// Stands before the filters of one log.
#[derive(Debug, Default)]
pub struct Gate {
    filters: Vec<Arc<Filter>>,
    wanted: Option<Search>,
    /// The line before, for a date that the next one lacks.
    before: Vec<u8>,
}

impl Gate {
    /// For these filters; nothing is done where it was for them already.
    pub fn keep<'f>(&mut self, filters: impl Iterator<Item = &'f Arc<Filter>> + Clone) {
        if filters.clone().count() == self.filters.len()
            && filters.clone().zip(&self.filters).all(|(new, known)| Arc::ptr_eq(new, known))
        {
            return;
        }
        self.filters = filters.cloned().collect();
        let texts: Option<Vec<&[Vec<u8>]>> =
            self.filters.iter().map(|filter| filter.texts.as_deref()).collect();
        self.wanted = texts.and_then(|texts| search(texts.concat()));
    }

    /// Whether any of them may match a line.
    #[must_use]
    pub fn lets(&self, line: &[u8]) -> bool {
        let line = line.get(..LINE_BYTES_MAX).unwrap_or(line);
        self.wanted.as_ref().is_none_or(|wanted| wanted.is_match(line))
    }

    /// The line that went by last.
    #[must_use]
    pub fn before(&self) -> &[u8] {
        &self.before
    }

    /// A line went by.
    pub fn pass(&mut self, line: &[u8]) {
        self.before.clear();
        self.before.extend_from_slice(line.get(..LINE_BYTES_MAX).unwrap_or(line));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::filter::{Outcome, Reader};
    use crate::made;
    use crate::zone::Zone;

    fn filter(rule: &str) -> Arc<Filter> {
        let options = [("failregex", rule.to_owned()), ("datepattern", "{^LN-BEG}".to_owned())];
        Arc::new(Filter::new(&options.into()).expect("a filter"))
    }

    /// Behind the gate each filter finds what it finds by itself, also in lines without a date.
    #[test]
    fn nobody_misses_a_line() {
        let filters = [
            filter(r"\[<HOST>\]: SASL \S+ authentication failed"),
            filter(r"NOQUEUE: reject: RCPT from \S+\[<HOST>\]"),
            filter(r"auth failed, \d+ attempts[^>]*>, method=\S+, rip=<HOST>"),
        ];
        let made = made::mail_log(3, 800).log;
        let mut lines: Vec<String> = made.lines().map(str::to_owned).collect();
        for at in [700, 300, 299, 150] {
            lines.insert(
                at,
                "mx postfix/smtpd[1]: warning: x[192.0.2.7]: SASL LOGIN authentication failed".into(),
            );
        }
        let now_us = (made::BEGIN_S + 864_000) * 1_000_000;
        let zone = || Zone::new(jiff::tz::TimeZone::UTC);
        let readers = || filters.clone().map(|filter| Reader::new(filter, zone()));
        let failed = |outcome: Outcome| matches!(outcome, Outcome::Failed(_)).then_some(outcome);
        let (mut gate, mut behind, mut found, mut let_in) = (Gate::default(), readers(), Vec::new(), 0);
        gate.keep(filters.iter());
        for line in &lines {
            let is_let = gate.lets(line.as_bytes());
            let_in += usize::from(is_let);
            for reader in behind.iter_mut().filter(|reader| is_let || reader.needs_all()) {
                found.extend(failed(reader.line_behind(gate.before(), line.as_bytes(), now_us)));
            }
            gate.pass(line.as_bytes());
        }
        let mut alone = readers();
        let expect: Vec<Outcome> = lines
            .iter()
            .flat_map(|line| {
                let outcomes =
                    alone.iter_mut().map(|reader| failed(reader.line_with_date(line.as_bytes(), now_us).0));
                outcomes.flatten().collect::<Vec<_>>()
            })
            .collect();
        assert_eq!(found, expect);
        assert!(found.len() > 25 && let_in < lines.len() / 3, "{} of {let_in}", found.len());
        let wide = filter("<HOST>");
        gate.keep(filters.iter().chain([&wide]));
        assert!(gate.lets(b"x"));
    }
}
