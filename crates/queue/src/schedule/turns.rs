//! Whose turn it is in one transport: the oldest message, and a fair share for all others.
//!
//! Each attempt has two places. By age: the order in which messages became active. By share: each message's k-th
//! attempt stands k places behind the moment at which the message came (start-time fair queueing), so a message of two
//! attempts is through after two rounds, however large the others are. The oldest message that can go on gets `cost` of
//! each `cost + 1` attempts, the rest goes by share: a message of 50,000 recipients is slowed by a fifth, nobody waits
//! for its end, and as everybody becomes the oldest, nobody starves. docs/internals/queue-scheduling.md argues it.

use super::lanes::LaneId;
use super::limits::Slots;
use std::collections::{BTreeMap, BTreeSet};

/// A message's attempts in this transport.
#[derive(Debug)]
struct Flow {
    /// The share's place of its next attempt.
    next: u64,
    /// Attempts that wait.
    left: u32,
    /// Attempts that came.
    total: u32,
    /// Others' turns that it has earned, `cost` each; below zero what it lent.
    earned: i64,
}

/// Where a destination's first attempts stand: by age with whose it is, and by share.
type Heads = ((u64, u64), (u64, u64));

/// The order of one transport's attempts.
#[derive(Debug, Default)]
pub(super) struct Turns {
    by_age: BTreeSet<(u64, LaneId)>,
    by_share: BTreeSet<(u64, u64, LaneId)>,
    listed: BTreeMap<LaneId, Heads>,
    flows: BTreeMap<u64, Flow>,
    /// How far the shares have come.
    moment: u64,
}

impl Turns {
    /// One more attempt of a message; its place among the shares.
    pub(super) fn enlist(&mut self, number: u64, slots: Slots) -> u64 {
        let (moment, loan) = (self.moment, i64::from(slots.loan) * i64::from(slots.cost));
        let flow = self.flows.entry(number).or_insert(Flow { next: moment, left: 0, total: 0, earned: loan });
        let place = flow.next.max(moment);
        flow.next = place.saturating_add(1);
        flow.left = flow.left.saturating_add(1);
        flow.total = flow.total.saturating_add(1);
        place
    }

    /// The attempt is begun.
    pub(super) fn begun(&mut self, number: u64, share: u64) {
        self.moment = self.moment.max(share);
        self.withdraw(number);
    }

    /// One attempt fewer of a message waits.
    pub(super) fn withdraw(&mut self, number: u64) {
        if let Some(flow) = self.flows.get_mut(&number) {
            flow.left = flow.left.saturating_sub(1);
            if flow.left == 0 {
                self.flows.remove(&number);
            }
        }
    }

    /// A destination's first attempts, or `None` where it may not begin one.
    pub(super) fn list(&mut self, id: LaneId, heads: Option<Heads>) {
        if self.listed.get(&id).copied() == heads {
            return;
        }
        if let Some(((turn, _), (share, by_share))) = self.listed.remove(&id) {
            self.by_age.remove(&(turn, id));
            self.by_share.remove(&(share, by_share, id));
        }
        if let Some(((turn, number), (share, by_share))) = heads {
            self.by_age.insert((turn, id));
            self.by_share.insert((share, by_share, id));
            self.listed.insert(id, ((turn, number), (share, by_share)));
        }
    }

    /// Which attempt is to be begun, and where.
    pub(super) fn pick(&mut self, slots: Slots) -> Option<(u64, LaneId)> {
        let (oldest, at) = self.by_age.first().copied()?;
        let ((_, number), _) = self.listed.get(&at).copied()?;
        let (_, fair, elsewhere) = self.by_share.first().copied()?;
        if fair == oldest || slots.cost == 0 {
            return Some((oldest, at));
        }
        let flow = self.flows.get_mut(&number)?;
        let cost = i64::from(slots.cost);
        let may_be_overtaken = flow.total / slots.cost > slots.minimum;
        if may_be_overtaken && flow.earned >= cost {
            flow.earned -= cost;
            return Some((fair, elsewhere));
        }
        // More than a few turns at once are not kept for later.
        flow.earned = (flow.earned + 1).min(cost * i64::from(slots.loan.max(1)));
        Some((oldest, at))
    }
}
