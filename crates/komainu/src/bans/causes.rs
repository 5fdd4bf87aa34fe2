//! The lines that led to bans, kept in bounded memory: those of whoever was heard of longest ago make room.

use super::order::Cause;
use ban::filter::Id;
use std::collections::{HashMap, VecDeque};

/// What a jail keeps of lines, in bytes.
const BYTES_MAX: usize = 24 << 20;
/// What is kept of a line.
pub(super) const LINE_BYTES_MAX: usize = 512;
/// About what a line costs beside its text.
const LINE_COST: usize = 80;

/// Of one address.
#[derive(Debug, Default)]
struct Lines {
    lines: VecDeque<Cause>,
    turn: u64,
}

/// Of one jail.
#[derive(Debug, Default)]
pub(super) struct Causes {
    rows: HashMap<Id, Lines>,
    /// Who came when; those that came again since are passed over.
    order: VecDeque<(u64, Id)>,
    turn: u64,
    bytes: usize,
}

fn cost(cause: &Cause) -> usize {
    cause.line.len() + cause.source.len() + LINE_COST
}

impl Causes {
    /// Takes a line in; of each no more than `most` are kept.
    pub(super) fn add(&mut self, id: &Id, cause: Cause, most: usize) {
        self.turn += 1;
        self.bytes += cost(&cause);
        let row = self.rows.entry(id.clone()).or_default();
        row.lines.push_back(cause);
        while row.lines.len() > most.max(1) {
            self.bytes -= row.lines.pop_front().as_ref().map_or(0, cost);
        }
        row.turn = self.turn;
        self.order.push_back((self.turn, id.clone()));
        while self.bytes > BYTES_MAX || self.order.len() > 4 * self.rows.len() + 1_024 {
            let Some((turn, id)) = self.order.pop_front() else { break };
            if self.bytes <= BYTES_MAX {
                // Only what was overtaken goes.
                if self.rows.get(&id).is_some_and(|row| row.turn == turn) {
                    self.order.push_back((turn, id));
                }
            } else if self.rows.get(&id).is_some_and(|row| row.turn == turn) {
                self.forget(&id);
            }
        }
    }

    /// Those of an address, the oldest first.
    pub(super) fn of(&self, id: &Id) -> impl Iterator<Item = &Cause> {
        self.rows.get(id).into_iter().flat_map(|row| &row.lines)
    }

    /// Everybody of whom there are lines.
    pub(super) fn ids(&self) -> impl Iterator<Item = &Id> {
        self.rows.keys()
    }

    pub(super) fn forget(&mut self, id: &Id) {
        if let Some(row) = self.rows.remove(id) {
            self.bytes -= row.lines.iter().map(cost).sum::<usize>();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_bounded() {
        let mut causes = Causes::default();
        let id = |n: u32| Id::address(std::net::Ipv4Addr::from(n).into());
        let cause = |n: u32| Cause {
            time_s: i64::from(n),
            source: "log".into(),
            line: "x".repeat(LINE_BYTES_MAX),
            rule: 0,
        };
        for n in 0..200_000 {
            causes.add(&id(n), cause(n), 3);
            causes.add(&id(7), cause(n), 3);
        }
        assert!(causes.bytes <= BYTES_MAX && causes.rows.len() > 20_000, "{}", causes.rows.len());
        let held: usize = causes.rows.values().flat_map(|row| &row.lines).map(cost).sum();
        assert_eq!(held, causes.bytes);
        assert!(causes.order.len() <= 5 * causes.rows.len() + 1_024);
        assert_eq!(
            causes.of(&id(7)).map(|cause| cause.time_s).collect::<Vec<_>>(),
            [199_997, 199_998, 199_999]
        );
        assert_eq!(causes.of(&id(3)).count(), 0);
        assert_eq!(causes.of(&id(199_999)).count(), 1);
    }
}
