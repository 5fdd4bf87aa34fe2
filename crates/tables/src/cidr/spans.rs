//! Rules in order, resolved beforehand into spans of addresses with one answer each.
//!
//! Where the answer changes is known from the ends of the networks alone, so a sweep over them asks once for each
//! span which rule comes first there: negation and conditions are settled too, and a look-up is a search in a sorted
//! list, narrowed by a directory over the leading bits. A table of n lines takes O(n log n) to resolve and O(n) of
//! memory. The rules as they are read stay the definition: the tests compare with walking through them.

use super::{Network, masked, width};
use std::net::IpAddr;

/// One line of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Step {
    pub(super) network: Network,
    pub(super) negated: bool,
    pub(super) action: Action,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    /// The number of the result.
    Result(usize),
    /// A condition: where to go on when it doesn't hold.
    If(usize),
}

/// The answer of every address of one family.
#[derive(Debug, Default)]
pub(super) struct Spans<Bits> {
    /// Where each span starts, ascending, the first at zero, and the number of its result; empty without rules.
    spans: Vec<(Bits, u32)>,
    /// The distance from `base` without its last `shift` bits is a place here: how many spans start before it.
    directory: Vec<u32>,
    /// Where the second span starts.
    base: Bits,
    shift: u32,
}

/// No result.
const NOTHING: u32 = u32::MAX;

/// An address as a number.
pub(super) trait Bits: Copy + Default + Ord {
    const WIDTH: u32;
    fn from_wide(bits: u128) -> Self;
    /// The bits from `shift` up of the distance from `base`; `None` for what lies before it.
    fn place(self, base: Self, shift: u32) -> Option<usize>;
    /// How many bits the distance from `base` has.
    fn distance_bits(self, base: Self) -> u32;
}

impl Bits for u32 {
    const WIDTH: u32 = 32;

    fn from_wide(bits: u128) -> u32 {
        u32::try_from(bits).unwrap_or(u32::MAX)
    }

    fn place(self, base: Self, shift: u32) -> Option<usize> {
        let distance = self.checked_sub(base)?;
        Some(usize::try_from(distance.checked_shr(shift).unwrap_or(0)).unwrap_or(usize::MAX))
    }

    fn distance_bits(self, base: Self) -> u32 {
        Self::WIDTH - self.saturating_sub(base).leading_zeros()
    }
}

impl Bits for u128 {
    const WIDTH: u32 = 128;

    fn from_wide(bits: u128) -> u128 {
        bits
    }

    fn place(self, base: Self, shift: u32) -> Option<usize> {
        let distance = self.checked_sub(base)?;
        Some(usize::try_from(distance.checked_shr(shift).unwrap_or(0)).unwrap_or(usize::MAX))
    }

    fn distance_bits(self, base: Self) -> u32 {
        Self::WIDTH - self.saturating_sub(base).leading_zeros()
    }
}

/// A place where a network starts, or has just ended.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Turn<B> {
    address: B,
    step: u32,
    inside: bool,
}

impl<B: Bits> Spans<B> {
    /// Resolves `steps` for the family that `is_ours` tells.
    pub(super) fn new(steps: &[Step], is_ours: fn(&IpAddr) -> bool) -> Spans<B> {
        let mut spans = Spans::default();
        let mut turns = Vec::new();
        for (at, step) in (0..).zip(steps).filter(|(_, step)| is_ours(&step.network.address)) {
            let (first, last) = step.network.ends();
            turns.push(Turn { address: B::from_wide(first), step: at, inside: true });
            let next = last.checked_add(1).filter(|next| fits::<B>(*next));
            turns.extend(next.map(|next| Turn { address: B::from_wide(next), step: at, inside: false }));
        }
        turns.sort_unstable();
        let mut obstacles = Obstacles::new(steps, is_ours);
        if turns.first().is_some_and(|turn| turn.address > B::from_wide(0)) {
            spans.push(B::from_wide(0), obstacles.first_free(), steps);
        }
        for together in turns.chunk_by(|a, b| a.address == b.address) {
            for turn in together {
                let at = usize::try_from(turn.step).unwrap_or(usize::MAX);
                if let Some(step) = steps.get(at) {
                    obstacles.change(at, step, if turn.inside == step.negated { 1 } else { -1 });
                }
            }
            if let Some(turn) = together.first() {
                spans.push(turn.address, obstacles.first_free(), steps);
            }
        }
        spans.index();
        spans
    }

    fn push(&mut self, from: B, step: Option<usize>, steps: &[Step]) {
        let result = match step.and_then(|at| steps.get(at)) {
            Some(Step { action: Action::Result(result), .. }) => u32::try_from(*result).unwrap_or(NOTHING),
            _ => NOTHING,
        };
        if self.spans.last().is_none_or(|(_, last)| *last != result) {
            self.spans.push((from, result));
        }
    }

    /// About two places in the directory for each span, at most 2^20.
    fn index(&mut self) {
        self.spans.shrink_to_fit();
        let (Some((base, _)), Some((last, _))) = (self.spans.get(1), self.spans.last()) else { return };
        let bits = self.spans.len().ilog2().min(19) + 1;
        self.base = *base;
        self.shift = last.distance_bits(*base).saturating_sub(bits);
        let places = last.place(*base, self.shift).unwrap_or(0) + 1;
        let mut before = 0;
        for place in 0..places {
            let earlier =
                |(start, _): &(B, u32)| start.place(self.base, self.shift).is_none_or(|at| at < place);
            while self.spans.get(before).is_some_and(earlier) {
                before += 1;
            }
            self.directory.push(u32::try_from(before).unwrap_or(u32::MAX));
        }
    }

    /// The numbers of the results that some address gets.
    pub(super) fn results(&self) -> impl Iterator<Item = usize> {
        let results = self.spans.iter().filter(|(_, result)| *result != NOTHING);
        results.filter_map(|(_, result)| usize::try_from(*result).ok())
    }

    /// The number of the result for `address`.
    pub(super) fn find(&self, address: B) -> Option<usize> {
        let span = match address.place(self.base, self.shift) {
            _ if self.directory.is_empty() => self.spans.first(),
            None => self.spans.first(),
            Some(place) => {
                let count = |place| self.directory.get(place).and_then(|&count| usize::try_from(count).ok());
                let (from, to) = match count(place) {
                    Some(from) => (from, count(place.saturating_add(1)).unwrap_or(self.spans.len())),
                    None => (self.spans.len(), self.spans.len()),
                };
                // Spans from `from` on start at the same place; the one before may reach in.
                let within = self.spans.get(from..to)?.partition_point(|(start, _)| *start <= address);
                self.spans.get((from + within).checked_sub(1)?)
            }
        };
        let (_, result) = *span?;
        if result == NOTHING { None } else { usize::try_from(result).ok() }
    }
}

fn fits<B: Bits>(bits: u128) -> bool {
    B::WIDTH == 128 || bits >> B::WIDTH == 0
}

impl Network {
    /// Its first and last address.
    fn ends(&self) -> (u128, u128) {
        let first = masked(self.address, 128);
        let free = u32::from(width(self.address).saturating_sub(self.prefix));
        let rest = u128::MAX.checked_shr(128 - free).unwrap_or(0);
        (first, first | rest)
    }
}

/// How many obstacles each line has: itself not holding, and each condition around it that doesn't hold. A tree of
/// minima gives the first line without one in O(log n). Conditions are lines that are never free.
struct Obstacles {
    nodes: Vec<Node>,
    leaves: usize,
}

#[derive(Clone, Copy)]
struct Node {
    /// The least of the lines below, without what is added above this node.
    least: i32,
    /// What was added to all lines below.
    added: i32,
}

impl Obstacles {
    /// As they stand outside of all networks: what holds there are the negated lines of the family.
    fn new(steps: &[Step], is_ours: fn(&IpAddr) -> bool) -> Obstacles {
        let leaves = steps.len().next_power_of_two();
        let outside = |step: &Step| is_ours(&step.network.address) && step.negated;
        let mut nodes = vec![Node { least: 1, added: 0 }; leaves];
        let free = |step: &Step| outside(step) && matches!(step.action, Action::Result(_));
        nodes.extend(steps.iter().map(|step| Node { least: i32::from(!free(step)), added: 0 }));
        nodes.resize(leaves * 2, Node { least: 1, added: 0 });
        let mut obstacles = Obstacles { nodes, leaves };
        (1..leaves).rev().for_each(|node| {
            obstacles.settle(node);
        });
        for (at, step) in steps.iter().enumerate() {
            if matches!(step.action, Action::If(_)) && !outside(step) {
                obstacles.change(at, step, 1);
            }
        }
        obstacles
    }

    fn node(&self, node: usize) -> Node {
        self.nodes.get(node).copied().unwrap_or(Node { least: i32::MAX, added: 0 })
    }

    fn add(&mut self, node: usize, by: i32) {
        if let Some(node) = self.nodes.get_mut(node) {
            node.least += by;
            node.added += by;
        }
    }

    /// Takes over what changed below; false when nothing did.
    fn settle(&mut self, node: usize) -> bool {
        let below = self.node(node * 2).least.min(self.node(node * 2 + 1).least);
        let Some(node) = self.nodes.get_mut(node) else { return false };
        let least = below + node.added;
        std::mem::replace(&mut node.least, least) != least
    }

    /// What stands in the way when a line doesn't hold: a rule is out by itself, a condition takes its block.
    fn change(&mut self, at: usize, step: &Step, by: i32) {
        match step.action {
            Action::Result(_) => {
                let mut node = self.leaves + at;
                self.add(node, by);
                node /= 2;
                while node > 0 && self.settle(node) {
                    node /= 2;
                }
            }
            Action::If(behind) => self.change_below(1, (0, self.leaves), (at + 1, behind), by),
        }
    }

    fn change_below(&mut self, node: usize, (low, high): (usize, usize), range: (usize, usize), by: i32) {
        if high <= range.0 || range.1 <= low {
            return;
        }
        if range.0 <= low && high <= range.1 {
            return self.add(node, by);
        }
        let middle = low.midpoint(high);
        self.change_below(node * 2, (low, middle), range, by);
        self.change_below(node * 2 + 1, (middle, high), range, by);
        self.settle(node);
    }

    /// The first line without an obstacle.
    fn first_free(&self) -> Option<usize> {
        if self.node(1).least > 0 {
            return None;
        }
        let mut node = 1;
        let mut added = 0;
        while node < self.leaves {
            added += self.node(node).added;
            node *= 2;
            if self.node(node).least + added > 0 {
                node += 1;
            }
        }
        Some(node - self.leaves)
    }
}
