//! `regexp:` and `pcre:` tables: rules in order, `if` … `endif`, the first match wins.
//!
//! A long table isn't walked pattern by pattern: a search for all patterns at once ([`prefilter`]) names those that
//! may match, and only these are asked, in order, each after the conditions around it. So a line costs about the same
//! whether a table has ten patterns or a thousand, and never more than asking each pattern once. Skipped lines are
//! told in Postfix's words (regexp_table(5), pcre_table(5)).

mod prefilter;
mod read;

use crate::pattern::{Groups, MatchLimitExceeded, Pattern};
use crate::template::Template;
use prefilter::Prefilter;
use std::borrow::Cow;
use std::sync::atomic::{AtomicBool, Ordering};

pub(crate) use read::{Dissected, Syntax, dissect, parse};

/// A compiled table.
#[derive(Debug, Default)]
pub(crate) struct Rules {
    steps: Vec<Step>,
    prefilter: Prefilter,
    /// Rules that must be looked at whatever the text: the prefilter doesn't know them, or they are negated.
    always: Vec<usize>,
    count: usize,
    /// It has been told that a pattern took too many steps.
    has_told: AtomicBool,
}

/// One line of the table.
#[derive(Debug)]
struct Step {
    pattern: Pattern,
    negated: bool,
    action: Action,
    /// The condition right around it.
    around: Option<usize>,
    start: usize,
    end: usize,
}

#[derive(Debug)]
enum Action {
    Result(Template),
    /// Where to go on when the condition doesn't hold: behind the `endif`.
    If(usize),
}

/// What a rule gave, and where it stands.
pub(crate) struct Found<'t> {
    pub(crate) value: Cow<'t, str>,
    pub(crate) start: usize,
    pub(crate) end: usize,
}

/// The same of a text that may be no UTF-8.
pub(crate) struct FoundBytes<'t> {
    pub(crate) value: Cow<'t, [u8]>,
    pub(crate) start: usize,
    pub(crate) end: usize,
}

/// A pattern took too many steps on a text.
pub(crate) struct Exceeded<'t> {
    /// Where its line begins.
    pub(crate) at: usize,
    /// Nobody has been told yet.
    pub(crate) is_first: bool,
    /// What the other rules say.
    pub(crate) otherwise: Option<FoundBytes<'t>>,
}

impl Rules {
    fn new(mut steps: Vec<Step>) -> Rules {
        let count = steps.iter().filter(|step| step.is_rule()).count();
        enclose(&mut steps);
        let prefilter = Prefilter::new(steps.iter().map(|step| &step.pattern));
        let stops = steps.iter().enumerate().filter(|(_, step)| step.is_rule());
        let always =
            stops.filter(|(at, step)| step.negated || !prefilter.knows(*at)).map(|(at, _)| at).collect();
        Rules { steps, prefilter, always, count, has_told: AtomicBool::new(false) }
    }

    pub(crate) fn len(&self) -> usize {
        self.count
    }

    /// The results of all rules with their places, in the table's order.
    pub(crate) fn results(&self) -> impl Iterator<Item = (&Template, usize, usize)> {
        self.steps.iter().filter_map(|step| match &step.action {
            Action::Result(template) => Some((template, step.start, step.end)),
            Action::If(_) => None,
        })
    }

    /// The result of the first rule that matches.
    pub(crate) fn find(&self, key: &str) -> Result<Option<Found<'_>>, MatchLimitExceeded> {
        let (found, exceeded) = self.first(key.as_bytes());
        if exceeded.is_some() {
            return Err(MatchLimitExceeded);
        }
        let Some((step, template)) = found else { return Ok(None) };
        let value = match template.plain() {
            Some(plain) => Cow::Borrowed(plain),
            None => Cow::Owned(template.fill(key, &step.groups(key.as_bytes())?)),
        };
        Ok(Some(Found { value, start: step.start, end: step.end }))
    }

    /// As [`Rules::find`], a text that may be no UTF-8.
    pub(crate) fn find_bytes(&self, text: &[u8]) -> Result<Option<FoundBytes<'_>>, Box<Exceeded<'_>>> {
        let (found, mut exceeded) = self.first(text);
        let filled = found.map(|(step, template)| {
            let value = match template.plain() {
                Some(plain) => Cow::Borrowed(plain.as_bytes()),
                None => {
                    let groups = step.groups(text).unwrap_or_else(|_| {
                        exceeded.get_or_insert(step.start);
                        Groups::default()
                    });
                    Cow::Owned(template.fill_bytes(text, &groups))
                }
            };
            FoundBytes { value, start: step.start, end: step.end }
        });
        let Some(at) = exceeded else { return Ok(filled) };
        let is_first = !self.has_told.swap(true, Ordering::Relaxed);
        Err(Box::new(Exceeded { at, is_first, otherwise: filled }))
    }

    /// The first rule that matches, and where the first stands of those before it that took too many steps: they count
    /// as not matching.
    fn first(&self, key: &[u8]) -> (Option<(&Step, &Template)>, Option<usize>) {
        let mut exceeded = None;
        let candidates = self.prefilter.candidates(key);
        let mut walk = Walk { rules: self, key, candidates: &candidates, holding: Vec::new(), landing: 0 };
        let (mut always, mut named) =
            (self.always.iter().copied().peekable(), candidates.iter().copied().peekable());
        loop {
            let at = match (always.peek(), named.peek()) {
                (Some(a), Some(b)) if a <= b => {
                    named.next_if_eq(a);
                    always.next()
                }
                (Some(_), None) => always.next(),
                (_, Some(_)) => named.next(),
                (None, None) => return (None, exceeded),
            };
            let Some((at, step)) = at.and_then(|at| Some((at, self.steps.get(at)?))) else {
                return (None, exceeded);
            };
            let Action::Result(template) = &step.action else { continue };
            if at < walk.landing {
                continue;
            }
            let reached = walk.reaches(step);
            match reached.and_then(|reached| Ok(reached && walk.matches(at, step)? != step.negated)) {
                Ok(true) => return (Some((step, template)), exceeded),
                Ok(false) => {}
                Err(MatchLimitExceeded) => {
                    exceeded.get_or_insert(step.start);
                }
            }
        }
    }
}

/// Tells each line the condition around it.
fn enclose(steps: &mut [Step]) {
    let mut open: Vec<(usize, usize)> = Vec::new();
    for (at, step) in steps.iter_mut().enumerate() {
        while open.last().is_some_and(|(_, behind)| *behind <= at) {
            open.pop();
        }
        step.around = open.last().map(|(at, _)| *at);
        if let Action::If(behind) = step.action {
            open.push((at, behind));
        }
    }
}

/// One look-up: rules are asked in order, conditions when the first rule in their block comes up.
struct Walk<'r, 'c> {
    rules: &'r Rules,
    key: &'c [u8],
    candidates: &'c [usize],
    /// The conditions that hold around the last rule, outermost first, with the ends of their blocks.
    holding: Vec<(usize, usize)>,
    /// Where to go on behind a block whose condition doesn't hold.
    landing: usize,
}

impl Walk<'_, '_> {
    fn matches(&self, at: usize, step: &Step) -> Result<bool, MatchLimitExceeded> {
        if self.rules.prefilter.knows(at) && self.candidates.binary_search(&at).is_err() {
            return Ok(false);
        }
        step.pattern.is_match(self.key)
    }

    /// Whether all conditions around `step` hold.
    fn reaches(&mut self, step: &Step) -> Result<bool, MatchLimitExceeded> {
        let Some(around) = step.around else { return Ok(true) };
        while self.holding.last().is_some_and(|(_, behind)| *behind <= around) {
            self.holding.pop();
        }
        let mut unsure = Vec::new();
        let mut outwards = Some(around);
        while let Some(at) = outwards.filter(|at| !self.holding.iter().rev().any(|(held, _)| held == at)) {
            unsure.push(at);
            outwards = self.rules.steps.get(at).and_then(|step| step.around);
        }
        for at in unsure.into_iter().rev() {
            let Some((step, behind)) = self.rules.steps.get(at).and_then(|step| Some((step, step.behind()?)))
            else {
                return Ok(false);
            };
            if self.matches(at, step)? == step.negated {
                self.landing = behind;
                return Ok(false);
            }
            self.holding.push((at, behind));
        }
        Ok(true)
    }
}

impl Step {
    fn is_rule(&self) -> bool {
        matches!(self.action, Action::Result(_))
    }

    /// Of a condition, where its block ends.
    fn behind(&self) -> Option<usize> {
        match self.action {
            Action::If(behind) => Some(behind),
            Action::Result(_) => None,
        }
    }

    fn groups(&self, key: &[u8]) -> Result<Groups, MatchLimitExceeded> {
        Ok(self.pattern.find_groups(key)?.unwrap_or_default())
    }
}

#[cfg(test)]
mod tests;
