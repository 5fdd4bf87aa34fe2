//! States that were met so far, and the walk along a line.

use super::{Program, Step};
use crate::pattern::Grouped;
use regex_automata::nfa::thompson::State as Place;
use regex_automata::util::look::Look;
use regex_automata::util::primitives::StateID;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

/// Bytes that states may take; when they would take more, all are forgotten.
const BYTES_MAX: usize = 6 << 20;
/// Places that a state may have.
const THREADS_MAX: usize = 400;
/// Where states are forgotten before they were of use for so many bytes, they aren't built for a while.
const USEFUL_BYTES: usize = 1 << 20;
const REST_BYTES: usize = 16 << 20;

/// In a table: not built yet.
const UNKNOWN: u32 = u32::MAX;
/// In a table: a match ended before this byte.
const MATCHED: u32 = 1 << 31;
/// In a table: the way back needs to know of this step.
const NOTED: u32 = 1 << 30;
/// The state without places.
const DEAD: u32 = 0;

/// A place in the expressions, and what hangs on it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Thread {
    at: StateID,
    /// Groups that took part, of those that conditions ask for.
    done: u32,
    /// None of these may match.
    against: Vec<StateID>,
    /// Each of these must.
    ahead: Vec<StateID>,
}

/// What stands before a byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Before {
    Nothing,
    Line,
    Word,
    Other,
}

type Threads = Arc<[Thread]>;

/// Where a place came from: the number of the one before, and which groups began or ended on the way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct From {
    thread: u32,
    /// 0 for none.
    slots: u32,
}

#[derive(Clone, Copy, Debug, Default)]
struct Matched {
    from: From,
    rule: usize,
}

/// What a cell of the table remembers for the way back.
#[derive(Clone, Copy, Debug, Default)]
struct Back {
    /// Where its [`From`]s begin, if it is [`NOTED`].
    froms: u32,
    matched: u32,
}

/// The last match on a walk.
#[derive(Clone, Copy, Debug)]
struct Last {
    /// Before which byte it was known.
    at: usize,
    cell: u32,
    /// Steps that had been noted by then.
    logged: usize,
}

/// What a walk found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// No expression matches.
    Nothing,
    /// This one is the first that does. Its groups can be asked for then, and where it ends.
    Rule(usize),
    /// Ask the expressions themselves.
    Unsaid,
}

/// The states of a program that lines led to.
#[derive(Debug, Default)]
pub(crate) struct States {
    /// The next state's row, for each state and class.
    table: Vec<u32>,
    backs: Vec<Back>,
    states: Vec<(Before, Threads)>,
    known: HashMap<(Before, Threads), u32>,
    froms: Vec<From>,
    matched: Vec<Matched>,
    /// Lists of slots; the first is empty.
    slots: Vec<Vec<u16>>,
    bytes: usize,
    useful: usize,
    rests: usize,
    /// The steps of the walk that are [`NOTED`]: where, and the cell.
    log: Vec<(u32, u32)>,
    /// Begin and end of each group of the last match; where it ended.
    spans: Vec<u32>,
}

const NOWHERE: u32 = u32::MAX;

/// Those of the last match, by their numbers in [`Program::names`].
impl Grouped for States {
    fn group(&self, group: usize) -> Option<(usize, usize)> {
        let (start, end) = (*self.spans.get(2 * group)?, *self.spans.get(2 * group + 1)?);
        (start != NOWHERE && end != NOWHERE).then_some((start as usize, end as usize))
    }
}

impl States {
    /// Walks along a text.
    pub(crate) fn run(&mut self, program: &Program, text: &[u8]) -> Answer {
        if self.rests > 0 {
            self.rests = self.rests.saturating_sub(text.len() + 1);
            return Answer::Unsaid;
        }
        if self.states.is_empty() {
            self.begin(program);
        }
        self.useful += text.len();
        match self.forward(program, text) {
            Some(Some(last)) => self.back(program, last),
            Some(None) => Answer::Nothing,
            None => {
                self.forget();
                Answer::Unsaid
            }
        }
    }

    /// Where the last match ended.
    pub(crate) fn end(&self) -> usize {
        self.spans.last().map_or(0, |end| *end as usize)
    }

    /// What the states take.
    #[cfg(test)]
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    fn begin(&mut self, program: &Program) {
        let start =
            |rule: &super::Rule| Thread { at: rule.start, done: 0, against: Vec::new(), ahead: Vec::new() };
        self.slots.push(Vec::new());
        self.add(program, Before::Other, Vec::new());
        self.add(program, Before::Nothing, program.rules.iter().map(start).collect());
    }

    fn forget(&mut self) {
        let is_useless = self.useful < USEFUL_BYTES;
        *self = States { rests: if is_useless { REST_BYTES } else { 0 }, ..States::default() };
    }

    /// The row of a state.
    fn add(&mut self, program: &Program, before: Before, threads: Vec<Thread>) -> u32 {
        let key = (before, Threads::from(threads));
        if let Some(row) = self.known.get(&key) {
            return *row;
        }
        let row = u32::try_from(self.table.len()).unwrap_or(0);
        let lists = key.1.iter().map(|thread| 64 + 4 * (thread.against.len() + thread.ahead.len()));
        self.bytes += 12 * program.stride + lists.sum::<usize>() + 160;
        let size = self.table.len() + program.stride;
        self.table.resize(size, UNKNOWN);
        self.backs.resize(size, Back::default());
        self.states.push(key.clone());
        self.known.insert(key, row);
        row
    }

    /// The last match; `None` where it grew too large.
    fn forward(&mut self, program: &Program, text: &[u8]) -> Option<Option<Last>> {
        self.log.clear();
        let stride = u32::try_from(program.stride).ok()?;
        let (mut row, mut last) = (stride, None);
        for (at, byte) in text.iter().enumerate() {
            let class = *program.classes.get(usize::from(*byte))?;
            let cell = row + u32::from(class);
            row = *self.table.get(cell as usize)?;
            // Nothing in particular: neither the dead state, nor a step to be noted.
            if row.wrapping_sub(1) < NOTED - 1 {
                continue;
            }
            if row != DEAD {
                row = self.noted(program, cell, (at, Some(*byte)), &mut last)?;
            }
            if row == DEAD {
                return Some(last);
            }
        }
        self.noted(program, row + stride - 1, (text.len(), None), &mut last)?;
        Some(last)
    }

    /// A step that is new, or of which something has to be remembered; where it leads.
    #[inline(never)]
    fn noted(
        &mut self,
        program: &Program,
        cell: u32,
        (at, byte): (usize, Option<u8>),
        last: &mut Option<Last>,
    ) -> Option<u32> {
        let mut next = *self.table.get(cell as usize)?;
        if next == UNKNOWN {
            next = self.step(program, cell, byte)?;
        }
        if next & MATCHED != 0 {
            *last = Some(Last { at, cell, logged: self.log.len() });
        }
        if next & NOTED != 0 {
            self.log.push((u32::try_from(at).ok()?, cell));
        }
        Some(next & !(MATCHED | NOTED))
    }

    /// Walks back along the winner's way, and notes its groups.
    fn back(&mut self, program: &Program, last: Last) -> Answer {
        let States { spans, slots, log, backs, froms, matched, .. } = self;
        let mut way = || -> Option<usize> {
            let back = backs.get(last.cell as usize)?;
            let Matched { from, rule } = *matched.get(back.matched as usize)?;
            spans.clear();
            spans.resize(2 * program.names(rule).len() + 1, NOWHERE);
            let mut thread = from.thread;
            note(spans, slots, from.slots, u32::try_from(last.at).ok()?);
            for (at, cell) in log.get(..last.logged)?.iter().rev() {
                let first = backs.get(*cell as usize)?.froms;
                let from = froms.get((first + thread) as usize)?;
                thread = from.thread;
                if from.slots != 0 {
                    note(spans, slots, from.slots, *at);
                }
            }
            Some(rule)
        };
        way().map_or(Answer::Unsaid, Answer::Rule)
    }

    /// Builds the step of a cell; `None` where it grew too large.
    fn step(&mut self, program: &Program, cell: u32, next: Option<u8>) -> Option<u32> {
        let number = cell as usize / program.stride;
        let (before, threads) = self.states.get(number)?.clone();
        let mut walk = Walk {
            program,
            before,
            next,
            frames: Vec::new(),
            seen: HashSet::new(),
            trail: Vec::new(),
            out: Vec::new(),
            matched: None,
            is_waiting: false,
        };
        for (number, thread) in threads.iter().enumerate() {
            walk.thread(thread, u32::try_from(number).ok()?)?;
            if walk.matched.is_some() {
                break;
            }
        }
        let Walk { out, matched, .. } = walk;
        let (mut list, mut froms, mut kept) = (Vec::new(), Vec::new(), HashSet::new());
        for (thread, from, slots) in out {
            if kept.insert(thread.clone()) {
                list.push(thread);
                froms.push(From { thread: from, slots: self.slots_of(slots)? });
            }
        }
        let is_same = froms.len() <= threads.len()
            && froms.iter().enumerate().all(|(at, from)| from.thread as usize == at && from.slots == 0);
        let mut back = Back::default();
        if !is_same {
            back.froms = u32::try_from(self.froms.len()).ok()?;
            self.froms.extend(&froms);
            self.bytes += 8 * froms.len();
        }
        let mut to = match (list.is_empty(), next) {
            (false, Some(byte)) => self.add(program, program.before(byte), list),
            _ => DEAD,
        };
        if let Some((from, slots, rule)) = matched {
            back.matched = u32::try_from(self.matched.len()).ok()?;
            let from = From { thread: from, slots: self.slots_of(slots)? };
            self.matched.push(Matched { from, rule });
            self.bytes += 16;
            to |= MATCHED;
        }
        if !is_same {
            to |= NOTED;
        }
        if self.bytes > BYTES_MAX {
            return None;
        }
        *self.table.get_mut(cell as usize)? = to;
        *self.backs.get_mut(cell as usize)? = back;
        Some(to)
    }

    fn slots_of(&mut self, slots: Vec<u16>) -> Option<u32> {
        if slots.is_empty() {
            return Some(0);
        }
        self.bytes += 32 + 2 * slots.len();
        self.slots.push(slots);
        u32::try_from(self.slots.len() - 1).ok()
    }
}

/// The last to begin or end counts: those that the way back meets first.
fn note(spans: &mut [u32], lists: &[Vec<u16>], slots: u32, at: u32) {
    for slot in lists.get(slots as usize).into_iter().flatten() {
        if let Some(span) = spans.get_mut(usize::from(*slot)).filter(|span| **span == NOWHERE) {
            *span = at;
        }
    }
}

impl Program {
    fn before(&self, byte: u8) -> Before {
        if self.has_words && is_word(byte) {
            Before::Word
        } else if self.has_lines && byte == b'\n' {
            Before::Line
        } else {
            Before::Other
        }
    }
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

/// A place on the way to the next bytes that a state can take.
struct Frame {
    thread: Thread,
    /// The last of the groups that began or ended on this way, in `trail`; 0 for none.
    trail: usize,
}

/// From one state to the next.
struct Walk<'p> {
    program: &'p Program,
    before: Before,
    next: Option<u8>,
    frames: Vec<Frame>,
    seen: HashSet<Thread>,
    trail: Vec<(usize, u16)>,
    out: Vec<(Thread, u32, Vec<u16>)>,
    matched: Option<(u32, Vec<u16>, usize)>,
    /// The place is a match already, and something that must or must not follow is open.
    is_waiting: bool,
}

impl Walk<'_> {
    /// All that one place leads to, in the order in which it would be tried. `None` where it is too much.
    fn thread(&mut self, thread: &Thread, number: u32) -> Option<()> {
        self.is_waiting = matches!(self.program.nfa.state(thread.at), Place::Match { .. });
        self.frames.push(Frame { thread: thread.clone(), trail: 0 });
        while let Some(frame) = self.frames.pop() {
            if !self.seen.insert(frame.thread.clone()) {
                continue;
            }
            self.frame(frame, number)?;
            if self.matched.is_some() {
                self.frames.clear();
            }
            if self.out.len() > THREADS_MAX || self.seen.len() > 8 * THREADS_MAX {
                return None;
            }
        }
        Some(())
    }

    fn go(&mut self, frame: &Frame, at: StateID) {
        let thread = Thread { at, ..frame.thread.clone() };
        self.frames.push(Frame { thread, trail: frame.trail });
    }

    fn frame(&mut self, mut frame: Frame, number: u32) -> Option<()> {
        let program = self.program;
        match program.nfa.state(frame.thread.at) {
            Place::Union { alternates } => {
                for at in alternates.iter().rev() {
                    self.go(&frame, *at);
                }
            }
            Place::BinaryUnion { alt1, alt2 } => {
                self.go(&frame, *alt2);
                self.go(&frame, *alt1);
            }
            Place::Look { look, next } => {
                if self.holds(*look) {
                    self.go(&frame, *next);
                }
            }
            Place::Capture { next, slot, .. } => {
                let role = program.roles.get(slot.as_usize()).copied().unwrap_or_default();
                let done = frame.thread.done;
                match role.mark {
                    Some(Step::With(bit)) if done & bit == 0 => return Some(()),
                    Some(Step::Without(bit)) if done & bit != 0 => return Some(()),
                    Some(Step::Ahead(start)) => insert(&mut frame.thread.ahead, start),
                    Some(Step::NotAhead(start)) => insert(&mut frame.thread.against, start),
                    _ => {}
                }
                frame.thread.done |= role.done;
                if let Some(slot) = role.keep {
                    self.trail.push((frame.trail, slot));
                    frame.trail = self.trail.len();
                }
                self.go(&frame, *next);
            }
            Place::Fail => {}
            Place::Match { pattern_id } => self.ends(frame, number, pattern_id.as_usize())?,
            place @ (Place::ByteRange { .. } | Place::Sparse(_) | Place::Dense(_)) => {
                if let Some(at) = self.next.and_then(|byte| taken(place, byte)) {
                    self.out(&frame, at, number)?;
                }
            }
        }
        Some(())
    }

    /// A match, unless something that must or must not follow is still open.
    fn ends(&mut self, mut frame: Frame, number: u32, rule: usize) -> Option<()> {
        // It ended here, unless it had ended before and only waited.
        if !self.is_waiting {
            let slot = u16::try_from(2 * self.program.names(rule).len()).ok()?;
            self.trail.push((frame.trail, slot));
            frame.trail = self.trail.len();
        }
        if frame.thread.against.is_empty() && frame.thread.ahead.is_empty() {
            self.matched = Some((number, self.slots(frame.trail), rule));
            return Some(());
        }
        let at = frame.thread.at;
        let forks = self.forks(&frame.thread)?;
        if forks.iter().any(|(against, ahead)| against.is_empty() && ahead.is_empty()) {
            self.matched = Some((number, self.slots(frame.trail), rule));
            return Some(());
        }
        for (against, ahead) in forks {
            let thread = Thread { at, done: frame.thread.done, against, ahead };
            self.out.push((thread, number, self.slots(frame.trail)));
        }
        Some(())
    }

    fn out(&mut self, frame: &Frame, at: StateID, number: u32) -> Option<()> {
        let slots = self.slots(frame.trail);
        let done = frame.thread.done;
        if frame.thread.against.is_empty() && frame.thread.ahead.is_empty() {
            let thread = Thread { at, done, against: Vec::new(), ahead: Vec::new() };
            self.out.push((thread, number, slots));
            return Some(());
        }
        for (against, ahead) in self.forks(&frame.thread)? {
            self.out.push((Thread { at, done, against, ahead }, number, slots.clone()));
        }
        Some(())
    }

    fn slots(&self, mut trail: usize) -> Vec<u16> {
        let mut slots = Vec::new();
        while let Some((before, slot)) = trail.checked_sub(1).and_then(|at| self.trail.get(at)) {
            slots.push(*slot);
            trail = *before;
        }
        slots
    }

    /// What is open behind the next byte: all ways in which it may go on. None, where it can't.
    fn forks(&self, thread: &Thread) -> Option<Vec<(Vec<StateID>, Vec<StateID>)>> {
        let mut against = Vec::new();
        for at in &thread.against {
            match self.after(*at)? {
                None => return Some(Vec::new()),
                Some(states) => states.into_iter().for_each(|state| insert(&mut against, state)),
            }
        }
        let mut forks = vec![(against, Vec::new())];
        for at in &thread.ahead {
            let Some(states) = self.after(*at)? else { continue };
            let mut more = Vec::new();
            for (against, ahead) in forks {
                for state in &states {
                    let mut ahead: Vec<StateID> = ahead.clone();
                    insert(&mut ahead, *state);
                    more.push((against.clone(), ahead));
                }
            }
            if more.len() > THREADS_MAX {
                return None;
            }
            forks = more;
        }
        Some(forks)
    }

    /// Where an expression that is looked ahead for stands behind the next byte; an inner `None` where it matches.
    fn after(&self, at: StateID) -> Option<Option<Vec<StateID>>> {
        let (mut stack, mut seen, mut out) = (vec![at], HashSet::new(), Vec::new());
        while let Some(at) = stack.pop() {
            if !seen.insert(at) {
                continue;
            }
            if seen.len() > 8 * THREADS_MAX {
                return None;
            }
            match self.program.nfa.state(at) {
                Place::Union { alternates } => stack.extend(alternates.iter()),
                Place::BinaryUnion { alt1, alt2 } => stack.extend([*alt1, *alt2]),
                Place::Look { look, next } => stack.extend(self.holds(*look).then_some(*next)),
                Place::Capture { next, .. } => stack.push(*next),
                Place::Fail => {}
                Place::Match { .. } => return Some(None),
                place @ (Place::ByteRange { .. } | Place::Sparse(_) | Place::Dense(_)) => {
                    out.extend(self.next.and_then(|byte| taken(place, byte)));
                }
            }
        }
        Some(Some(out))
    }

    fn holds(&self, look: Look) -> bool {
        let behind = self.before == Before::Word;
        let ahead = self.next.is_some_and(is_word);
        match look {
            Look::Start => self.before == Before::Nothing,
            Look::End => self.next.is_none(),
            Look::StartLF => matches!(self.before, Before::Nothing | Before::Line),
            Look::EndLF => self.next.is_none_or(|byte| byte == b'\n'),
            Look::WordAscii => behind != ahead,
            Look::WordAsciiNegate => behind == ahead,
            Look::WordStartAscii => !behind && ahead,
            Look::WordEndAscii => behind && !ahead,
            Look::WordStartHalfAscii => !behind,
            Look::WordEndHalfAscii => !ahead,
            _ => false,
        }
    }
}

fn taken(place: &Place, byte: u8) -> Option<StateID> {
    match place {
        Place::ByteRange { trans } => trans.matches_byte(byte).then_some(trans.next),
        Place::Sparse(sparse) => sparse.matches_byte(byte),
        Place::Dense(dense) => dense.matches_byte(byte),
        _ => None,
    }
}

/// Into a list in order, once.
fn insert(list: &mut Vec<StateID>, state: StateID) {
    if let Err(at) = list.binary_search(&state) {
        list.insert(at, state);
    }
}
