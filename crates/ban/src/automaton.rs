//! A filter's expressions as one automaton, walked once along a line: which of them matches first, and where its
//! groups are.
//!
//! It is built while lines come: a state is the list of places in the expressions that a backtracking engine would try,
//! in its order, and each step between states remembers where its places came from. So the walk along the line only
//! looks states up, and the walk back along the winner's way finds the groups. Conditions and look-ahead are part of
//! the state ([`rewrite`]): a place carries which groups took part, and what must not, or must, follow.
//!
//! Of an expression that can't be built so, something wider stands in; it is asked itself when that one wins. What
//! grows beyond its bounds is forgotten, and somebody else has to say ([`Answer::Unsaid`]).

mod rewrite;
mod states;

pub(crate) use states::{Answer, States};

use regex_automata::nfa::thompson::{self, NFA, WhichCaptures};
use regex_automata::util::look::Look;
use regex_automata::util::primitives::{PatternID, StateID};
use regex_syntax::hir::{self, Hir};
use rewrite::{Mark, Rewritten, mark_name, rewritten};
use std::sync::Arc;

/// Bytes that the expressions may take before states are built from them.
const NFA_BYTES_MAX: usize = 16 << 20;
/// Groups that conditions may ask for.
const CONDITIONS_MAX: u32 = 32;

/// What passing the begin or the end of a group means.
#[derive(Clone, Copy, Debug, Default)]
struct Role {
    /// It is kept as this slot of its expression.
    keep: Option<u16>,
    /// The group has taken part.
    done: u32,
    mark: Option<Step>,
}

#[derive(Clone, Copy, Debug)]
enum Step {
    With(u32),
    Without(u32),
    Ahead(StateID),
    NotAhead(StateID),
}

/// An expression of a program.
#[derive(Debug)]
struct Rule {
    start: StateID,
    /// Names of its groups, by their number here.
    names: Vec<Arc<str>>,
    is_exact: bool,
}

/// Expressions in their order.
#[derive(Debug)]
pub(crate) struct Program {
    nfa: NFA,
    rules: Vec<Rule>,
    /// By slot.
    roles: Vec<Role>,
    classes: Box<[u8; 256]>,
    stride: usize,
    has_words: bool,
    has_lines: bool,
}

/// How an expression is taken in.
struct Taken {
    rewritten: Rewritten,
    is_exact: bool,
}

impl Program {
    /// Builds it from expressions in the engines' syntax; nothing where that is not possible.
    pub(crate) fn new<'t>(
        rules: impl Iterator<Item = (&'t str, Option<String>)>,
        is_unicode: bool,
    ) -> Option<Program> {
        let mut taken = Vec::new();
        for (text, superset) in rules {
            // Words of any language end where no single byte tells.
            let (text, superset) = match is_unicode.then(|| without_words(text)).flatten() {
                Some(wider) => ("\\k", tables::regular_superset(&wider)),
                None => (text, superset),
            };
            let exact = rewritten(text).filter(|found| parsed(&found.text, is_unicode).is_some());
            let is_exact = exact.is_some();
            let wider = || Some(Rewritten { text: superset?, ..Rewritten::default() });
            taken.push(Taken { rewritten: exact.or_else(wider)?, is_exact });
        }
        let mut forms = Vec::new();
        for rule in &taken {
            forms.push(from_anywhere(parsed(&rule.rewritten.text, is_unicode)?));
        }
        for look in taken.iter().flat_map(|rule| &rule.rewritten.looks) {
            forms.push(parsed(look, is_unicode)?);
        }
        let config = thompson::Config::new()
            .utf8(false)
            .nfa_size_limit(Some(NFA_BYTES_MAX))
            .which_captures(WhichCaptures::All);
        let nfa = thompson::Compiler::new().configure(config).build_many_from_hir(&forms).ok()?;
        Program::of(nfa, &taken)
    }

    fn of(nfa: NFA, taken: &[Taken]) -> Option<Program> {
        let looks = nfa.look_set_any();
        // What asks for characters, or ends of lines of two, can't be told by one byte before and one behind.
        if looks.contains_word_unicode() || looks.contains(Look::StartCRLF) || looks.contains(Look::EndCRLF) {
            return None;
        }
        let mut roles = vec![Role::default(); nfa.group_info().slot_len()];
        let mut rules = Vec::new();
        let (mut first_look, mut conditions) = (taken.len(), 0_u32);
        for (number, Taken { rewritten, is_exact }) in taken.iter().enumerate() {
            let pattern = PatternID::new(number).ok()?;
            let start = nfa.start_pattern(pattern)?;
            let mut names: Vec<Arc<str>> = Vec::new();
            let groups: Vec<(usize, &str)> = nfa
                .group_info()
                .pattern_names(pattern)
                .enumerate()
                .filter_map(|(group, name)| Some((group, name?)))
                .collect();
            let mut done: Vec<(&str, u32)> = Vec::new();
            for (group, name) in &groups {
                let slot = nfa.group_info().slot(pattern, *group)?;
                let mark = rewritten.marks.iter().enumerate().find(|(at, _)| mark_name(*at) == *name);
                if mark.is_none() {
                    let keep = u16::try_from(2 * names.len()).ok()?;
                    roles.get_mut(slot)?.keep = Some(keep);
                    roles.get_mut(slot + 1)?.keep = Some(keep + 1);
                    names.push((*name).into());
                    let asks = |mark: &Mark| matches!(mark, Mark::With(of) | Mark::Without(of) if of == name);
                    if rewritten.marks.iter().any(asks) {
                        let bit = 1_u32.checked_shl(conditions).filter(|_| conditions < CONDITIONS_MAX)?;
                        conditions += 1;
                        roles.get_mut(slot + 1)?.done = bit;
                        done.push((name, bit));
                    }
                }
            }
            for (at, mark) in rewritten.marks.iter().enumerate() {
                let own = mark_name(at);
                let (group, _) = groups.iter().find(|(_, name)| *name == own)?;
                let slot = nfa.group_info().slot(pattern, *group)?;
                let bit = |of: &String| Some(done.iter().find(|(name, _)| name == of)?.1);
                let start = |look: &usize| nfa.start_pattern(PatternID::new(first_look + look).ok()?);
                roles.get_mut(slot)?.mark = Some(match mark {
                    Mark::With(of) => Step::With(bit(of)?),
                    Mark::Without(of) => Step::Without(bit(of)?),
                    Mark::Ahead(look) => Step::Ahead(start(look)?),
                    Mark::NotAhead(look) => Step::NotAhead(start(look)?),
                });
            }
            first_look += rewritten.looks.len();
            rules.push(Rule { start, names, is_exact: *is_exact });
        }
        let mut classes = Box::new([0; 256]);
        (0..=u8::MAX).zip(classes.iter_mut()).for_each(|(byte, class)| *class = nfa.byte_classes().get(byte));
        let stride = nfa.byte_classes().alphabet_len();
        let has_words = looks.contains_word();
        let has_lines = looks.contains(Look::StartLF);
        Some(Program { rules, roles, classes, stride, has_words, has_lines, nfa })
    }

    /// The names of an expression's groups, in the order of their numbers here.
    pub(crate) fn names(&self, rule: usize) -> &[Arc<str>] {
        self.rules.get(rule).map_or(&[], |rule| &rule.names)
    }

    /// Whether a match of an expression is one, and not of something wider.
    pub(crate) fn is_exact(&self, rule: usize) -> bool {
        self.rules.get(rule).is_some_and(|rule| rule.is_exact)
    }
}

/// An expression in parts.
pub(crate) fn parsed(text: &str, is_unicode: bool) -> Option<Hir> {
    regex_syntax::ParserBuilder::new()
        .unicode(is_unicode)
        .utf8(false)
        .nest_limit(250)
        .build()
        .parse(text)
        .ok()
}

/// An expression whose words may begin and end anywhere; nothing, where it doesn't ask for words.
fn without_words(text: &str) -> Option<String> {
    let mut out = String::new();
    let (mut rest, mut is_class) = (text.chars(), false);
    while let Some(c) = rest.next() {
        is_class = (is_class || c == '[') && c != ']';
        match (c, (c == '\\').then(|| rest.next()).flatten()) {
            (_, Some('b' | 'B')) if !is_class => out.push_str("(?:)"),
            (c, next) => out.extend([Some(c), next].into_iter().flatten()),
        }
    }
    (out != text).then_some(out)
}

/// An expression that may begin anywhere, from the begin of the text on.
fn from_anywhere(form: Hir) -> Hir {
    if form.properties().look_set_prefix().contains(hir::Look::Start) {
        return form;
    }
    let sub = Box::new(Hir::dot(hir::Dot::AnyByte));
    let before = Hir::repetition(hir::Repetition { min: 0, max: None, greedy: false, sub });
    Hir::concat(vec![before, form])
}

#[cfg(test)]
mod tests;
