//! Texts of which one must stand in whatever a pattern matches.
//!
//! `^Subject:.*(cheap|free) *pills` needs `subject:`, and `cheap` or `free`, and `pills`. Found from the pattern's
//! structure, without case, and never wrong: where nothing is certain there is no set. A table searches for one such
//! set of each pattern at once ([`crate::rules`]).

use regex_syntax::ParserBuilder;
use regex_syntax::hir::{Class, Hir, HirKind};

/// One of these stands in every match, whatever the case of its letters. None is empty.
pub(crate) type Alternatives = Vec<Vec<u8>>;

/// The most texts in a set, and the longest text.
const TEXTS_MAX: usize = 48;
const BYTES_MAX: usize = 64;

/// All that is certain about the matches of `regular`, a pattern in the syntax of `regex` with Unicode off.
pub(crate) fn required(regular: &str) -> Vec<Alternatives> {
    required_with(Case::Lower, regular)
}

/// The same in the very case of their letters.
pub(crate) fn required_in_case(regular: &str) -> Vec<Alternatives> {
    required_with(Case::Kept, regular)
}

/// What becomes of letters.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Case {
    Lower,
    Kept,
}

impl Case {
    fn of(self, bytes: &[u8]) -> Vec<u8> {
        if self == Case::Lower { bytes.to_ascii_lowercase() } else { bytes.to_vec() }
    }

    /// What a set is worth. In case, also how rare its bytes are in logs: digits and signs are rarer than words.
    fn worth(self, set: &Alternatives) -> usize {
        if self == Case::Lower {
            return shortest(set);
        }
        let rarity = |text: &Vec<u8>| {
            let rare = text.iter().filter(|b| !b.is_ascii_lowercase() && !b" -:".contains(b)).count();
            text.len() + 8 * rare
        };
        set.iter().map(rarity).min().unwrap_or(0)
    }
}

fn required_with(case: Case, regular: &str) -> Vec<Alternatives> {
    let parser = ParserBuilder::new().unicode(false).utf8(false).nest_limit(250).build().parse(regular);
    let Ok(hir) = parser else { return Vec::new() };
    let mut found = certain(case, &hir);
    found.close();
    found.needed
}

/// What is known of a part of a pattern.
#[derive(Clone, Default)]
struct Certain {
    /// All that it can match, when these are few; never empty then.
    whole: Option<Alternatives>,
    /// Sets that each match has one of, `whole` apart.
    needed: Vec<Alternatives>,
}

impl Certain {
    fn nothing() -> Certain {
        Certain::default()
    }

    fn exactly(texts: Alternatives) -> Certain {
        let fits =
            !texts.is_empty() && texts.len() <= TEXTS_MAX && texts.iter().all(|text| text.len() <= BYTES_MAX);
        Certain { whole: fits.then_some(texts), needed: Vec::new() }
    }

    /// Nothing will be joined to it: what it matches is something that a match has.
    fn close(&mut self) {
        if let Some(texts) = self.whole.take().filter(|texts| texts.iter().all(|text| !text.is_empty())) {
            self.needed.push(texts);
        }
    }
}

fn certain(case: Case, hir: &Hir) -> Certain {
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => Certain::exactly(vec![Vec::new()]),
        HirKind::Literal(literal) => literal_text(case, &literal.0),
        HirKind::Class(class) => one_of(case, class),
        HirKind::Capture(capture) => certain(case, &capture.sub),
        HirKind::Repetition(repetition) => {
            let mut sub = certain(case, &repetition.sub);
            match (repetition.min, repetition.max) {
                (0, Some(1)) => match sub.whole {
                    Some(mut texts) => {
                        texts.push(Vec::new());
                        Certain::exactly(texts)
                    }
                    None => Certain::nothing(),
                },
                (0, _) => Certain::nothing(),
                (1, Some(1)) => sub,
                _ => {
                    sub.close();
                    sub
                }
            }
        }
        HirKind::Concat(parts) => joined(case, parts),
        HirKind::Alternation(branches) => either(case, branches),
    }
}

/// A literal, in pieces where it is long.
fn literal_text(case: Case, bytes: &[u8]) -> Certain {
    if bytes.len() <= BYTES_MAX {
        return Certain::exactly(vec![case.of(bytes)]);
    }
    let needed = bytes.chunks(BYTES_MAX).map(|piece| vec![case.of(piece)]).collect();
    Certain { whole: None, needed }
}

fn one_of(case: Case, class: &Class) -> Certain {
    let bytes = match class {
        Class::Bytes(bytes) => Some(bytes.clone()),
        Class::Unicode(chars) => chars.to_byte_class(),
    };
    let mut texts: Alternatives = Vec::new();
    for range in bytes.iter().flat_map(|bytes| bytes.ranges()) {
        for byte in range.start()..=range.end() {
            let text = case.of(&[byte]);
            if !texts.contains(&text) {
                texts.push(text);
            }
            if texts.len() > 4 {
                return Certain::nothing();
            }
        }
    }
    Certain::exactly(texts)
}

/// One behind the other: texts grow as long as both sides are few.
fn joined(case: Case, parts: &[Hir]) -> Certain {
    let mut so_far = Certain::exactly(vec![Vec::new()]);
    let mut is_all = true;
    for part in parts {
        let next = certain(case, part);
        let product = match (&so_far.whole, &next.whole) {
            (Some(left), Some(right)) if left.len() * right.len() <= TEXTS_MAX => {
                Certain::exactly(
                    left.iter()
                        .flat_map(|left| right.iter().map(|right| [left.as_slice(), right].concat()))
                        .collect(),
                )
                .whole
            }
            _ => None,
        };
        if product.is_none() {
            so_far.close();
            is_all = false;
        }
        so_far.needed.extend(next.needed);
        so_far.whole = product.or_else(|| next.whole.filter(|_| so_far.whole.is_none()));
    }
    if !is_all {
        // Its last piece is not all of it: nothing before it may be joined to that.
        so_far.close();
    }
    so_far
}

/// One or the other: all their texts together, or the best set of each.
fn either(case: Case, branches: &[Hir]) -> Certain {
    let mut branches: Vec<Certain> = branches.iter().map(|branch| certain(case, branch)).collect();
    let whole: Option<Alternatives> = branches
        .iter()
        .map(|branch| branch.whole.clone())
        .collect::<Option<Vec<_>>>()
        .map(|all| all.concat());
    if let Some(found) = whole.map(Certain::exactly).filter(|found| found.whole.is_some()) {
        return found;
    }
    let mut together = Vec::new();
    for branch in &mut branches {
        branch.close();
        let Some(best) = branch.needed.drain(..).max_by_key(|set| case.worth(set)) else {
            return Certain::nothing();
        };
        together.extend(best);
    }
    let needed = if together.len() <= TEXTS_MAX { vec![together] } else { Vec::new() };
    Certain { whole: None, needed }
}

/// How long the shortest text of a set is: what a set is worth.
pub(crate) fn shortest(set: &Alternatives) -> usize {
    set.iter().map(Vec::len).min().unwrap_or(0)
}
