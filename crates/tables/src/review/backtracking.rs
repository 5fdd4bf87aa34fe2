//! Patterns on which PCRE takes exponential time: an unbounded repetition of what matches one text in many ways.
//!
//! `(a+)+$` can part a row of n letters in 2^n ways, and PCRE tries them all where `$` fails; at its limit Postfix
//! says "match limit exceeded" and the pattern hasn't matched: whoever knows it gets past. A finding is certain: there
//! is a text that one round of the repetition matches, and two rounds too. `regexp:` tables don't backtrack, and
//! neither do we where a pattern is regular.

use regex_syntax::ast::{self, Ast, GroupKind, RepetitionKind, RepetitionRange};

/// Single letters that are tried, and those that stand in the pattern.
const LETTERS: &str = "a0 .-_@<x/=";
const SAMPLES_MAX: usize = 40;
const DEPTH_MAX: usize = 60;

/// The part of the pattern that backtracks badly.
pub(super) fn hazard(translated: &str) -> Option<String> {
    let parsed = ast::parse::ParserBuilder::new().nest_limit(250).build().parse(translated).ok()?;
    Search { text: translated }.look(&parsed, false, 0)
}

struct Search<'t> {
    text: &'t str,
}

impl Search<'_> {
    /// `followed`: something stands behind that may fail.
    fn look(&self, ast: &Ast, followed: bool, depth: usize) -> Option<String> {
        if depth > DEPTH_MAX {
            return None;
        }
        match ast {
            Ast::Repetition(repetition) => {
                if followed && is_unbounded(&repetition.op.kind) && self.is_ambiguous(&repetition.ast) {
                    return self.text.get(span(ast)).map(str::to_owned);
                }
                self.look(&repetition.ast, followed, depth + 1)
            }
            Ast::Group(group) => self.look(&group.ast, followed, depth + 1),
            Ast::Alternation(alternation) => {
                alternation.asts.iter().find_map(|one| self.look(one, followed, depth + 1))
            }
            Ast::Concat(concat) => {
                let mut followed = followed;
                let mut found = None;
                for one in concat.asts.iter().rev() {
                    found = self.look(one, followed, depth + 1).or(found);
                    followed |= may_fail(one);
                }
                found
            }
            _ => None,
        }
    }

    /// Whether some letter is matched by one round and by two, or by two branches.
    fn is_ambiguous(&self, ast: &Ast) -> bool {
        let inner = unwrapped(ast);
        // A single class or letter repeated parts a text in one way only.
        if !matches!(inner, Ast::Concat(_) | Ast::Repetition(_) | Ast::Alternation(_)) {
            return false;
        }
        let Some(whole) = self.compiled(inner) else { return false };
        let branches: Vec<regex::bytes::Regex> = match inner {
            Ast::Alternation(alternation) => {
                alternation.asts.iter().filter_map(|one| self.compiled(one)).collect()
            }
            _ => Vec::new(),
        };
        let own = self.text.get(span(inner)).unwrap_or("");
        let letters =
            LETTERS.chars().chain(own.chars().filter(char::is_ascii_alphanumeric)).take(SAMPLES_MAX);
        letters.into_iter().any(|letter| {
            let (once, twice) = (letter.to_string(), format!("{letter}{letter}"));
            let rounds = whole.is_match(once.as_bytes()) && whole.is_match(twice.as_bytes());
            rounds || branches.iter().filter(|branch| branch.is_match(once.as_bytes())).count() > 1
        })
    }

    /// A part of the pattern, which must match a text from end to end.
    fn compiled(&self, ast: &Ast) -> Option<regex::bytes::Regex> {
        let part = self.text.get(span(ast))?;
        regex::bytes::RegexBuilder::new(&format!("^(?:{part})$"))
            .unicode(false)
            .case_insensitive(true)
            .dot_matches_new_line(true)
            .size_limit(1 << 20)
            .build()
            .ok()
    }
}

fn span(ast: &Ast) -> std::ops::Range<usize> {
    let span = ast.span();
    span.start.offset..span.end.offset
}

fn unwrapped(ast: &Ast) -> &Ast {
    match ast {
        Ast::Group(group) if !matches!(group.kind, GroupKind::NonCapturing(ref flags) if !flags.items.is_empty()) => {
            unwrapped(&group.ast)
        }
        _ => ast,
    }
}

const fn is_unbounded(kind: &RepetitionKind) -> bool {
    matches!(
        kind,
        RepetitionKind::ZeroOrMore
            | RepetitionKind::OneOrMore
            | RepetitionKind::Range(RepetitionRange::AtLeast(_))
    )
}

/// Whether a part can keep the whole from matching.
fn may_fail(ast: &Ast) -> bool {
    match ast {
        Ast::Empty(_) | Ast::Flags(_) => false,
        Ast::Repetition(repetition) => match repetition.op.kind {
            RepetitionKind::ZeroOrMore | RepetitionKind::ZeroOrOne => false,
            RepetitionKind::Range(
                RepetitionRange::AtLeast(0) | RepetitionRange::Bounded(0, _) | RepetitionRange::Exactly(0),
            ) => false,
            _ => may_fail(&repetition.ast),
        },
        Ast::Group(group) => may_fail(&group.ast),
        Ast::Concat(concat) => concat.asts.iter().any(may_fail),
        Ast::Alternation(alternation) => alternation.asts.iter().all(may_fail),
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hazards() {
        let check = |pattern: &str, expect: Option<&str>| {
            assert_eq!(hazard(pattern).as_deref(), expect, "{pattern}");
        };
        check("^(a+)+$", Some("(a+)+"));
        check("^(?:[a-z0-9]+\\s?)*@", Some("(?:[a-z0-9]+\\s?)*"));
        check("^(a|[a-z])*9", Some("(a|[a-z])*"));
        check("x(\\w*)*y", Some("(\\w*)*"));
        check("^((?:b|(a+)+)c)$", Some("(a+)+"));
        // Each round needs its dot, comma or letter.
        check("^([a-z0-9-]+\\.)+com$", None);
        check("^(\\d{1,3}\\.){3}\\d{1,3}$", None);
        check("^Received: (.*)+", None);
        check("^(foo|bar)*$", None);
        check("^[a-z]+$", None);
        check("^(.|\\n)*x", None);
        check("^a+b+c+$", None);
        check("(", None);
    }
}
