//! `regexp:` and `pcre:` tables: rules that are never reached, flags and patterns that deceive, results that can't be.
//!
//! What can't be compiled was said by the loader. A message goes without `Received:` when a general sample of that
//! header ends at a rule that removes it, whatever conditions stand around the rule (T1.14).

use super::backtracking::hazard;
use super::codes::{BACKTRACKS, CASE_FLAG, LOOPS, NEVER_ASKED, SHADOWED};
use super::sheet::{Findings, Odd, value_place};
use super::usage::{AccessOf, Part, Use};
use super::words::Words;
use super::{Setting, actions, checks, values};
use crate::catalogue::Kind;
use crate::pattern::{Pattern, PerlFlags};
use crate::rules::{Dissected, Rules, dissect};
use crate::source::{Line, Source};
use config::Place;
use std::collections::HashMap;

/// Two headers that have nothing in common but their name.
const RECEIVED: [&str; 2] = [
    "Received: from mail.example.org (mail.example.org [192.0.2.7])\n\tby mx.example.net (Postfix) with ESMTPS id \
     4ZbcdF12Xz\n\tfor <user@example.net>; Mon,  2 Mar 2026 10:00:00 +0100 (CET)",
    "Received: by 2001:db8::1 with SMTP id k7; Tue, 3 Mar 2026 11:11:11 GMT",
];

/// One table in review.
pub(super) struct Table<'r> {
    pub(super) source: &'r Source,
    pub(super) lines: &'r [Line<'r>],
    pub(super) kind: Kind,
    pub(super) uses: &'r [Use],
    pub(super) setting: &'r Setting,
    pub(super) words: &'r Words,
}

/// What the rules so far leave to those behind them.
#[derive(Default)]
struct Reach<'r> {
    /// Block, pattern and flags of each rule, and its line.
    seen: HashMap<(usize, &'r str, &'r str), usize>,
    /// The block and the line of a rule that matches everything.
    ended: Option<(usize, usize)>,
}

impl Table<'_> {
    pub(super) fn judge(&self, rules: Option<&Rules>, found: &mut Findings) {
        let mut reach = Reach::default();
        // The open conditions, by the line that opened them; 0 outside.
        let mut open: Vec<usize> = Vec::new();
        for line in self.lines {
            let text = line.trimmed();
            if is_word(text, "endif") {
                let block = open.pop();
                reach.ended = reach.ended.filter(|(at, _)| Some(*at) != block);
                continue;
            }
            if is_word(text, "if") {
                open.push(line.number);
                continue;
            }
            let Some(rule) = dissect(text) else { continue };
            let block = open.last().copied().unwrap_or(0);
            self.reach(line, &rule, (block, &mut reach), found);
            self.pattern(line, &rule, found);
            self.result(line, &rule, found);
        }
        if let Some(rules) = rules {
            self.received(rules, found);
        }
    }

    /// Whether a rule before takes all that this one would.
    fn reach<'t>(
        &self,
        line: &'t Line<'_>,
        rule: &Dissected<'t>,
        (block, reach): (usize, &mut Reach<'t>),
        found: &mut Findings,
    ) {
        let place = || self.source.place(line);
        if let Some((_, at)) = reach.ended {
            let message = format!("line {at} matches everything: this rule is never reached");
            found.say(Odd::warning(SHADOWED, message, "put the rule that matches everything last"), place);
            return;
        }
        if rule.negated {
            return;
        }
        if let Some(at) = reach.seen.get(&(block, rule.pattern, rule.flags)) {
            let message = format!("the pattern stands in line {at} already: this rule is never reached");
            found.say(
                Odd::warning(SHADOWED, message, "the first match ends the search; delete one of the two"),
                place,
            );
            return;
        }
        reach.seen.insert((block, rule.pattern, rule.flags), line.number);
        if matches!(rule.pattern, "" | "^" | "$" | ".*" | "^.*" | ".*$" | "^.*$" | "." | "^.") {
            reach.ended = Some((block, line.number));
        }
    }

    fn pattern(&self, line: &Line<'_>, rule: &Dissected<'_>, found: &mut Findings) {
        let place = || value_place(self.source, line, rule.pattern);
        let toggles = rule.flags.bytes().filter(|flag| *flag == b'i').count() % 2 == 1;
        if toggles && has_letters(rule.pattern) {
            let help = "regexp: and pcre: tables take no account of case as they are; leave the flag out, unless you mean it";
            found.say(Odd::hint(CASE_FLAG, "the flag i makes case count here", help), place);
        }
        if self.kind == Kind::Pcre
            && let Some(part) = self.hazard(rule)
        {
            // What was judged has `[\x00-\xFF]` for a dot.
            let part = part.replace("[\\x00-\\xFF]", ".");
            let part = if rule.pattern.contains(&part) { part.as_str() } else { rule.pattern };
            let message = format!("`{part}` can take exponential time on a text made for that purpose");
            let help = "Postfix gives up on such a text with \"match limit exceeded\", and the rule doesn't match; write \
                        the repetition so that it can match a text in one way only";
            found.say(Odd::warning(BACKTRACKS, message, help), place);
        }
        if !rule.negated
            && let Some(odd) =
                self.uses.iter().map(|how| never_matches(*how, rule.pattern)).collect::<Option<Vec<_>>>()
            && let Some(odd) = odd.into_iter().next()
        {
            found.say(odd, place);
        }
    }

    fn hazard(&self, rule: &Dissected<'_>) -> Option<String> {
        // Nothing repeats a group.
        if ![")*", ")+", "){"].iter().any(|mark| rule.pattern.contains(mark)) {
            return None;
        }
        // What these keep from being tried anew can't be seen in a superset.
        if ["(?>", "++", "*+", "?+", "}+", "(*"].iter().any(|mark| rule.pattern.contains(mark)) {
            return None;
        }
        let pattern = Pattern::perl(rule.pattern, PerlFlags::default()).ok()?;
        hazard(&pattern.superset()?)
    }

    fn result(&self, line: &Line<'_>, rule: &Dissected<'_>, found: &mut Findings) {
        let place = || value_place(self.source, line, rule.result);
        let value = rule.result;
        for how in self.uses {
            if let Some(odd) = values::remark(*how, value) {
                found.say(odd, place);
                break;
            }
        }
        for how in super::that_read_values(self.uses) {
            let odd = match how {
                Use::Access(of, moment) => actions::judge(of, moment, value, self.words),
                Use::Checks(part, place) => checks::judge(part, place, value),
                how if value.contains('$') && how != Use::Transports => None,
                how => values::judge(how, "", value, self.setting),
            };
            if let Some(odd) = odd {
                found.say(odd, place);
                break;
            }
        }
    }

    /// Whether `Received:` headers go, and with them what tells a loop.
    fn received(&self, rules: &Rules, found: &mut Findings) {
        if !self.uses.iter().any(|how| matches!(how, Use::Checks(Part::Header, _))) {
            return;
        }
        let mut at = None;
        for sample in RECEIVED {
            let Ok(Some(hit)) = rules.find(sample) else { return };
            let (action, _) = actions::split(&hit.value);
            if !matches!(action.to_ascii_uppercase().as_str(), "IGNORE" | "STRIP") {
                return;
            }
            at = Some((hit.start, hit.end));
        }
        let Some((start, end)) = at else { return };
        let help = "mail that comes back is no longer known by its hops (hopcount_limit), and goes round for ever; remove \
                    only the lines that tell too much, as in /^Received: from .*\\[192\\.168\\./ IGNORE";
        let odd = Odd::warning(
            LOOPS,
            "every Received: header is removed, and the protection against loops with them",
            help,
        );
        found.say(odd, || Place::new(&self.source.file, start, end));
    }
}

fn is_word(text: &str, word: &str) -> bool {
    text.split_at_checked(word.len()).is_some_and(|(head, rest)| {
        head.eq_ignore_ascii_case(word) && !rest.starts_with(|c: char| c.is_ascii_alphanumeric())
    })
}

fn has_letters(pattern: &str) -> bool {
    let mut escaped = false;
    pattern.chars().any(|c| {
        let letter = c.is_ascii_alphabetic() && !escaped;
        escaped = c == '\\' && !escaped;
        letter
    })
}

/// A pattern that no key of the use can match, by the look of it.
fn never_matches(how: Use, pattern: &str) -> Option<Odd> {
    match how {
        Use::Access(AccessOf::Sender, _) if matches!(pattern, "^$" | "^\\s*$") => Some(Odd::warning(
            NEVER_ASKED,
            "the empty sender is asked for as <>, never as nothing",
            "write /^<>$/",
        )),
        Use::Access(AccessOf::Client | AccessOf::ReverseClient | AccessOf::Hosts, _)
            if pattern.contains('@') && !pattern.contains(['[', '|', '?', '*', '{']) =>
        {
            Some(Odd::warning(
                NEVER_ASKED,
                "names and addresses of hosts have no @: this rule never matches",
                "put it in a table for check_sender_access or check_recipient_access",
            ))
        }
        _ => None,
    }
}
