//! Whether a repeated part of a pattern can be laid over one text in two ways.
//!
//! The part is read into sets of letters, and the ways are counted over short texts that the part itself suggests.
//! What is found is certain: the text is there. What isn't found may be: texts are up to sixteen letters of ASCII, and
//! parts with assertions inside aren't judged. With two ways for one text there are 2^n for n times that text.

use regex_syntax::ast::{Ast, RepetitionKind, RepetitionRange};
use regex_syntax::hir::translate::{Translator, TranslatorBuilder};
use regex_syntax::hir::{Class, HirKind};

const TEXT_MAX: usize = 16;
const SAMPLES_MAX: usize = 8;
const DEPTH_MAX: usize = 24;

/// Ways from one position of a text to another; 2 stands for any larger number.
type Ways = [[u8; TEXT_MAX + 1]; TEXT_MAX + 1];

/// A part of a pattern, over ASCII.
enum Node {
    /// One letter of a set, a bit for each.
    Letter(u128),
    Row(Vec<Node>),
    Choice(Vec<Node>),
    Repeat {
        node: Box<Node>,
        least: u32,
        most: Option<u32>,
    },
}

/// Whether some text is several rounds of `part`, or one, in more than one way.
pub(super) fn is_ambiguous(pattern: &str, part: &Ast) -> bool {
    let mut reader = Reader::new(pattern);
    let Some(node) = reader.node(part, 0) else { return false };
    let letters = letters(&reader.sets);
    let mut samples = node.samples(&letters);
    samples.retain(|sample| !sample.is_empty());
    let rounds = Node::Repeat { node: Box::new(node), least: 1, most: None };
    let twofold = |text: &[u8]| text.len() <= TEXT_MAX && rounds.count(text) > 1;
    samples.iter().any(|sample| twofold(sample))
        || samples.iter().any(|one| {
            samples.iter().any(|two| {
                let both = [one.as_slice(), two.as_slice()].concat();
                twofold(&both)
            })
        })
}

/// Whether rounds of `part` match any text of ASCII.
pub(super) fn takes_everything(pattern: &str, part: &Ast) -> bool {
    let mut reader = Reader::new(pattern);
    let Some(node) = reader.node(part, 0) else { return false };
    letters(&reader.sets).iter().all(|letter| node.count(&[*letter]) > 0)
}

struct Reader<'p> {
    pattern: &'p str,
    translator: Translator,
    sets: Vec<u128>,
}

impl<'p> Reader<'p> {
    fn new(pattern: &'p str) -> Reader<'p> {
        let translator = TranslatorBuilder::new()
            .unicode(false)
            .utf8(false)
            .case_insensitive(true)
            .dot_matches_new_line(true)
            .build();
        Reader { pattern, translator, sets: Vec::new() }
    }

    fn node(&mut self, ast: &Ast, depth: usize) -> Option<Node> {
        if depth > DEPTH_MAX {
            return None;
        }
        Some(match ast {
            Ast::Empty(_) => Node::Row(Vec::new()),
            Ast::Flags(_) | Ast::Assertion(_) => return None,
            Ast::Group(group) => self.node(&group.ast, depth + 1)?,
            Ast::Concat(concat) => Node::Row(self.nodes(&concat.asts, depth)?),
            Ast::Alternation(choice) => Node::Choice(self.nodes(&choice.asts, depth)?),
            Ast::Repetition(repetition) => {
                let (least, most) = match repetition.op.kind {
                    RepetitionKind::ZeroOrOne => (0, Some(1)),
                    RepetitionKind::ZeroOrMore => (0, None),
                    RepetitionKind::OneOrMore => (1, None),
                    RepetitionKind::Range(RepetitionRange::Exactly(n)) => (n, Some(n)),
                    RepetitionKind::Range(RepetitionRange::AtLeast(n)) => (n, None),
                    RepetitionKind::Range(RepetitionRange::Bounded(n, m)) => (n, Some(m)),
                };
                Node::Repeat { node: Box::new(self.node(&repetition.ast, depth + 1)?), least, most }
            }
            leaf => {
                let set = self.letters(leaf)?;
                if !self.sets.contains(&set) {
                    self.sets.push(set);
                }
                Node::Letter(set)
            }
        })
    }

    fn nodes(&mut self, asts: &[Ast], depth: usize) -> Option<Vec<Node>> {
        asts.iter().map(|ast| self.node(ast, depth + 1)).collect()
    }

    /// The ASCII letters that one position of the pattern takes.
    fn letters(&mut self, leaf: &Ast) -> Option<u128> {
        let hir = self.translator.translate(self.pattern, leaf).ok()?;
        let bit = |letter: u8| if letter < 128 { 1_u128 << letter } else { 0 };
        let span = |from: u8, to: u8| (from..=to).fold(0, |set, letter| set | bit(letter));
        Some(match hir.kind() {
            HirKind::Literal(literal) => match *literal.0 {
                [letter] => bit(letter),
                _ => 0,
            },
            HirKind::Class(Class::Bytes(class)) => {
                class.iter().fold(0, |set, range| set | span(range.start(), range.end()))
            }
            HirKind::Class(Class::Unicode(class)) => class.iter().fold(0, |set, range| {
                let low = |c: char| u8::try_from(c).unwrap_or(u8::MAX);
                if range.start().is_ascii() { set | span(low(range.start()), low(range.end())) } else { set }
            }),
            _ => return None,
        })
    }
}

/// One letter for each way to be in these sets or not, those first that are in most of them.
fn letters(sets: &[u128]) -> Vec<u8> {
    let mut seen: Vec<Vec<bool>> = Vec::new();
    let mut letters: Vec<(usize, u8)> = Vec::new();
    // Letters and digits stand for a set before marks and control characters do.
    let readable = (b'a'..=b'z').chain(b'0'..=b'9').chain(b' '..=b'~').chain(0..128);
    for letter in readable {
        let within: Vec<bool> = sets.iter().map(|set| set & (1_u128 << letter) != 0).collect();
        if !seen.contains(&within) {
            letters.push((within.iter().filter(|one| **one).count(), letter));
            seen.push(within);
        }
    }
    letters.sort_by_key(|(count, _)| std::cmp::Reverse(*count));
    letters.into_iter().map(|(_, letter)| letter).collect()
}

impl Node {
    /// Short texts that it matches.
    fn samples(&self, letters: &[u8]) -> Vec<Vec<u8>> {
        let mut samples: Vec<Vec<u8>> = match self {
            Node::Letter(set) => {
                let fits = letters.iter().filter(|letter| set & (1_u128 << **letter) != 0);
                fits.take(4).map(|letter| vec![*letter]).collect()
            }
            Node::Choice(nodes) => {
                let each: Vec<Vec<Vec<u8>>> = nodes.iter().map(|node| node.samples(letters)).collect();
                (0..SAMPLES_MAX)
                    .flat_map(|at| each.iter().filter_map(move |of| of.get(at).cloned()))
                    .collect()
            }
            Node::Row(nodes) => {
                nodes.iter().fold(vec![Vec::new()], |row, node| joined(&row, &node.samples(letters)))
            }
            Node::Repeat { node, least, most } => {
                let once = node.samples(letters);
                let copies = |count: u32| {
                    let count = usize::try_from(count).unwrap_or(usize::MAX).min(TEXT_MAX);
                    once.iter().map(move |sample| sample.repeat(count))
                };
                let one = (*least).max(1);
                let more = most.is_none_or(|most| most > one).then(|| copies(one + 1));
                let none = (*least == 0).then(Vec::new);
                copies(one).take(4).chain(none).chain(more.into_iter().flatten()).collect()
            }
        };
        samples.retain(|sample| sample.len() <= TEXT_MAX / 2);
        samples.dedup();
        samples.truncate(SAMPLES_MAX);
        samples
    }

    /// In how many ways it matches `text` from end to end: 0, 1, or 2 for more.
    fn count(&self, text: &[u8]) -> u8 {
        let ways = self.ways(text);
        ways.first().and_then(|row| row.get(text.len())).copied().unwrap_or(0)
    }

    fn ways(&self, text: &[u8]) -> Ways {
        match self {
            Node::Letter(set) => {
                let mut ways = nothing();
                for (at, letter) in text.iter().enumerate().filter(|(_, letter)| letter.is_ascii()) {
                    if set & (1_u128 << letter) != 0 {
                        add(&mut ways, at, at + 1, 1);
                    }
                }
                ways
            }
            Node::Row(nodes) => nodes.iter().fold(unmoved(), |before, node| then(&before, &node.ways(text))),
            Node::Choice(nodes) => nodes.iter().fold(nothing(), |sum, node| either(&sum, &node.ways(text))),
            Node::Repeat { node, least, most } => {
                let round = node.ways(text);
                // An empty round ends the repetition in PCRE too: rounds move on, and empty ones count as none.
                let is_empty =
                    round.iter().enumerate().any(|(at, row)| row.get(at).is_some_and(|ways| *ways > 0));
                let least = if is_empty { 0 } else { *least };
                let round = moving(&round);
                let last = most.unwrap_or(u32::MAX).min(u32::try_from(text.len()).unwrap_or(0));
                let (mut sum, mut power) = (nothing(), unmoved());
                for count in 0..=last.max(least.min(TEXT_ROUNDS)) {
                    if count >= least {
                        sum = either(&sum, &power);
                    }
                    power = then(&power, &round);
                }
                sum
            }
        }
    }
}

/// No text of ours has more rounds that move on.
const TEXT_ROUNDS: u32 = 17;

fn joined(left: &[Vec<u8>], right: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let mut all: Vec<Vec<u8>> = Vec::new();
    // By the sum of their places: each side's first samples with each other's first.
    for sum in 0..left.len() + right.len() {
        for (at, one) in left.iter().enumerate().take(sum + 1) {
            if let Some(two) = right.get(sum - at) {
                all.push([one.as_slice(), two.as_slice()].concat());
            }
        }
    }
    all.truncate(SAMPLES_MAX * 2);
    all
}

const fn nothing() -> Ways {
    [[0; TEXT_MAX + 1]; TEXT_MAX + 1]
}

fn unmoved() -> Ways {
    let mut ways = nothing();
    for at in 0..=TEXT_MAX {
        add(&mut ways, at, at, 1);
    }
    ways
}

fn add(ways: &mut Ways, from: usize, to: usize, count: u8) {
    if let Some(seat) = ways.get_mut(from).and_then(|row| row.get_mut(to)) {
        *seat = seat.saturating_add(count).min(2);
    }
}

fn each(ways: &Ways) -> impl Iterator<Item = (usize, usize, u8)> + '_ {
    ways.iter().enumerate().flat_map(|(from, row)| {
        row.iter().enumerate().filter(|(_, count)| **count > 0).map(move |(to, count)| (from, to, *count))
    })
}

fn either(left: &Ways, right: &Ways) -> Ways {
    let mut sum = *left;
    for (from, to, count) in each(right) {
        add(&mut sum, from, to, count);
    }
    sum
}

fn then(left: &Ways, right: &Ways) -> Ways {
    let mut both = nothing();
    for (from, between, first) in each(left) {
        for (to, second) in right.get(between).into_iter().flatten().enumerate() {
            if *second > 0 {
                add(&mut both, from, to, first.saturating_mul(*second));
            }
        }
    }
    both
}

/// Without the ways that don't move.
fn moving(ways: &Ways) -> Ways {
    let mut moving = nothing();
    for (from, to, count) in each(ways).filter(|(from, to, _)| from != to) {
        add(&mut moving, from, to, count);
    }
    moving
}
