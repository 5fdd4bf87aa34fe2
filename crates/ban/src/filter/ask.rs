//! What a filter's expressions say of one line by itself.

use super::quick::{Head, Pick, Ways};
use super::{Fields, Filter, Marks, Rule};
use crate::pattern::Grouped;
use std::borrow::Cow;

/// Without what was before.
#[derive(Clone, Debug)]
pub(super) enum Asked<'l> {
    Missed,
    Ignored { rule: usize },
    Matched { rule: usize, fields: Fields, marks: Marks, session: Option<Cow<'l, [u8]>> },
}

/// What else was seen of a line.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Told {
    /// `prefregex` matched.
    pub(super) is_prefixed: bool,
    /// Where that stands which the expressions were asked about.
    pub(super) content: (usize, usize),
}

impl Asked<'_> {
    pub(super) fn into_owned(self) -> Asked<'static> {
        match self {
            Asked::Missed => Asked::Missed,
            Asked::Ignored { rule } => Asked::Ignored { rule },
            Asked::Matched { rule, fields, marks, session } => {
                let session = session.map(|session| Cow::Owned(session.into_owned()));
                Asked::Matched { rule, fields, marks, session }
            }
        }
    }
}

impl Filter {
    /// Whether `ignoreregex` is asked before `failregex`. Else it is asked only about lines that a `failregex` matches.
    pub(super) fn is_ignored_first(&self) -> bool {
        !self.ignored.is_empty() && is_worth_it(self.ignored.len(), self.rules.len())
    }

    /// Asks the expressions about a line without its date; where `is_wanted` isn't set, only whether `prefregex` matches.
    pub(super) fn ask<'l>(
        &self,
        ways: &mut Ways,
        line: &'l [u8],
        is_wanted: bool,
        told: &mut Told,
    ) -> Asked<'l> {
        let (mut fields, mut marks) = (Fields::default(), Marks::default());
        let (mut session, mut before): (Option<&[u8]>, Option<&[u8]>) = (None, None);
        told.content = (0, line.len());
        if let Some(prefix) = &self.prefix {
            let part = |span: Option<(usize, usize)>| span.and_then(|(start, end)| line.get(start..end));
            let begin = match self.quick.head(line, ways) {
                Head::Missed => return Asked::Missed,
                Head::Found(..) if !is_wanted => {
                    told.is_prefixed = true;
                    return Asked::Missed;
                }
                Head::Found(groups, spans, begin) => {
                    groups.take(line, spans, &mut fields, &mut marks);
                    session = part(groups.mlfid.and_then(|group| spans.group(group)));
                    Some(begin)
                }
                Head::Unsaid => {
                    let Some((spans, begin)) = self.quick.prefix(line, &prefix.pattern) else {
                        return Asked::Missed;
                    };
                    prefix.groups.take(line, &spans, &mut fields, &mut marks);
                    session = part(prefix.groups.mlfid.and_then(|group| spans.get(group)));
                    let content = prefix.groups.content.and_then(|group| spans.get(group));
                    told.content = content.unwrap_or(told.content);
                    begin
                }
            };
            told.is_prefixed = true;
            told.content = begin.map_or(told.content, |begin| (begin, line.len()));
            before = line.get(..begin.unwrap_or(0));
        }
        let content = line.get(told.content.0..told.content.1).unwrap_or(line);
        let is_before = self.is_ignored_first();
        let ignored = || self.ignored.iter().position(|pattern| pattern.is_match(content));
        if let Some(rule) = is_before.then(ignored).flatten() {
            return Asked::Ignored { rule };
        }
        let part = |span: Option<(usize, usize)>| span.and_then(|(start, end)| content.get(start..end));
        let (rule, own) = match self.quick.pick(content, ways) {
            Pick::Missed => return Asked::Missed,
            Pick::Found(rule, groups, spans) => {
                groups.take(content, spans, &mut fields, &mut marks);
                (rule, part(groups.mlfid.and_then(|group| spans.group(group))))
            }
            Pick::Unsaid => {
                let rules = self.quick.rules(content, self.rules.len());
                let found = rules.into_iter().find_map(|rule| {
                    let asked = self.rules.get(rule)?;
                    Some((rule, asked, asked.pattern.find_likely(content)?))
                });
                let Some((rule, Rule { groups, .. }, spans)) = found else { return Asked::Missed };
                groups.take(content, &spans, &mut fields, &mut marks);
                (rule, part(groups.mlfid.and_then(|group| spans.get(group))))
            }
        };
        fields.kind = before.map_or(0, kind_of);
        if let Some(rule) = (!is_before).then(ignored).flatten() {
            return Asked::Ignored { rule };
        }
        Asked::Matched { rule, fields, marks, session: own.or(session).map(Cow::Borrowed) }
    }
}

/// Whether so few expressions are asked before so many others, by fail2ban's measure.
pub(super) fn is_worth_it(ignored: usize, rules: usize) -> bool {
    ignored + 2 < rules
}

/// Which kind of line it is, by the letters of what stands before its content: the server's own words.
fn kind_of(before: &[u8]) -> u32 {
    let letters = before.iter().filter(|byte| byte.is_ascii_alphabetic());
    letters.fold(0x811C_9DC5, |hash: u32, byte| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193))
}
