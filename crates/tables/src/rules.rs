//! `regexp:` and `pcre:` tables: rules in order, `if` … `endif`, the first match wins.
//!
//! A long table isn't walked pattern by pattern: one [`RegexSet`] over all regular patterns says at once which
//! match, then the rules are gone through in order with that knowledge. Patterns with look-around are asked one by
//! one when their turn comes. Skipped lines are told in Postfix's words (regexp_table(5), pcre_table(5)).

mod read;
mod set;

use crate::pattern::{MatchLimitExceeded, Pattern};
use crate::template::Template;
use set::{Known, Prefilter};
use std::borrow::Cow;

pub(crate) use read::{Syntax, parse};

/// A compiled table.
#[derive(Debug, Default)]
pub(crate) struct Rules {
    steps: Vec<Step>,
    prefilter: Prefilter,
    count: usize,
}

/// One line of the table.
#[derive(Debug)]
struct Step {
    pattern: Pattern,
    negated: bool,
    action: Action,
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

impl Rules {
    fn new(steps: Vec<Step>) -> Rules {
        let count = steps.iter().filter(|step| matches!(step.action, Action::Result(_))).count();
        let prefilter = Prefilter::new(steps.iter().map(|step| &step.pattern));
        Rules { steps, prefilter, count }
    }

    pub(crate) fn len(&self) -> usize {
        self.count
    }

    /// The result of the first rule that matches.
    pub(crate) fn find(&self, key: &str) -> Result<Option<Found<'_>>, MatchLimitExceeded> {
        let known = self.prefilter.ask(key.as_bytes());
        let mut at = 0;
        while let Some(step) = self.steps.get(at) {
            let matches = match known.about(at) {
                Known::Matches => true,
                Known::Differs => false,
                Known::Ask => step.pattern.is_match(key.as_bytes())?,
            };
            at += 1;
            match &step.action {
                Action::If(behind) if matches == step.negated => at = *behind,
                Action::If(_) => {}
                Action::Result(_) if matches == step.negated => {}
                Action::Result(template) => {
                    let value = step.value(template, key)?;
                    return Ok(Some(Found { value, start: step.start, end: step.end }));
                }
            }
        }
        Ok(None)
    }
}

impl Step {
    fn value<'t>(&self, template: &'t Template, key: &str) -> Result<Cow<'t, str>, MatchLimitExceeded> {
        if let Some(plain) = template.plain() {
            return Ok(Cow::Borrowed(plain));
        }
        let groups = self.pattern.find_groups(key.as_bytes())?.unwrap_or_default();
        Ok(Cow::Owned(template.fill(key, &groups)))
    }
}
