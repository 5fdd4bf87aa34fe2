//! Patterns on which PCRE takes exponential time: an unbounded repetition of what matches one text in many ways.
//!
//! `(a+)+$` can part a row of n letters in 2^n ways, and PCRE tries them all where `$` fails; at its limit Postfix
//! says "match limit exceeded" and the pattern hasn't matched: whoever knows it gets past. A finding is certain: there
//! is a text that the repetition matches in two ways (`ambiguity`), and something behind it that may fail. `regexp:`
//! tables don't backtrack, and neither do we where a pattern is regular.

use super::ambiguity::{is_ambiguous, takes_everything};
use regex_syntax::ast::{self, AssertionKind, Ast, GroupKind, RepetitionKind, RepetitionRange};

const DEPTH_MAX: usize = 60;
/// A bounded repetition of so many rounds counts as one without a bound: 2^30 ways are too many as well.
const ROUNDS_MAX: u32 = 30;

/// The part of the pattern that backtracks badly.
pub(super) fn hazard(translated: &str) -> Option<String> {
    let parsed = ast::parse::ParserBuilder::new().nest_limit(250).build().parse(translated).ok()?;
    Search { text: translated }.look(&parsed, Behind::Nothing, 0)
}

/// What stands behind a part of the pattern.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Behind {
    /// Nothing that may fail.
    Nothing,
    /// The end of the text: no obstacle to a repetition that takes everything.
    End,
    /// Something that may fail.
    More,
}

struct Search<'t> {
    text: &'t str,
}

impl Search<'_> {
    fn look(&self, ast: &Ast, followed: Behind, depth: usize) -> Option<String> {
        if depth > DEPTH_MAX {
            return None;
        }
        match ast {
            Ast::Repetition(repetition) => {
                let inner = unwrapped(&repetition.ast);
                let may_fail = match followed {
                    Behind::Nothing => false,
                    Behind::End => !takes_everything(self.text, inner),
                    Behind::More => true,
                };
                if may_fail && is_unbounded(&repetition.op.kind) && is_ambiguous(self.text, inner) {
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
                    followed = followed.max(behind(one));
                }
                found
            }
            _ => None,
        }
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
            | RepetitionKind::Range(
                RepetitionRange::Exactly(ROUNDS_MAX..) | RepetitionRange::Bounded(_, ROUNDS_MAX..)
            )
    )
}

fn behind(ast: &Ast) -> Behind {
    match ast {
        Ast::Assertion(assertion)
            if matches!(assertion.kind, AssertionKind::EndLine | AssertionKind::EndText) =>
        {
            Behind::End
        }
        _ if may_fail(ast) => Behind::More,
        _ => Behind::Nothing,
    }
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
        check("^(.*,)*x", Some("(.*,)*"));
        check("^(.*a){3,}$", Some("(.*a){3,}"));
        check("^(foo|fo+)*bar", Some("(foo|fo+)*"));
        check("^(a*b*)*c", Some("(a*b*)*"));
        check("^(ab|a|b)+$", Some("(ab|a|b)+"));
        check("^(\\s*\\w+\\s*)*;", Some("(\\s*\\w+\\s*)*"));
        check("^([^,]*,?)*;", Some("([^,]*,?)*"));
        check("^(\\w+\\s?)*$", Some("(\\w+\\s?)*"));
        check("^(\\d+\\.?\\d*)+x", Some("(\\d+\\.?\\d*)+"));
        check("^(a|ab|bc|c)*d", Some("(a|ab|bc|c)*"));
        check("^(?:<[^>]*>|<br>)*end", Some("(?:<[^>]*>|<br>)*"));
        check("^(a|aa){2,40}$", Some("(a|aa){2,40}"));
        check("^(.|\\n)*x", Some("(.|\\n)*"));
        // Each round needs its dot, comma or letter.
        check("^([a-z0-9-]+\\.)+com$", None);
        check("^(\\d{1,3}\\.){3}\\d{1,3}$", None);
        check("^Received: (.*)+", None);
        check("^(foo|bar)*$", None);
        check("^[a-z]+$", None);
        check("^a+b+c+$", None);
        check("^([^,]*,)*x", None);
        check("^([^,]*,?)*$", None);
        check("^(?:[0-9a-f]{1,4}:){1,7}:?$", None);
        check("^(\\w+@\\w+\\.com;)+$", None);
        check("^(?:(?:25[0-5]|2[0-4]\\d|1?\\d?\\d)\\.){3}\\d+$", None);
        check("^[a-z]+(-[a-z]+)*\\.example$", None);
        check("^(?:\\s+\\S+)*$", None);
        check("^(\"[^\"]*\"|[^\" ])*$", None);
        check("^(http|https|ftp)*:", None);
        check("^(?:[a-z]{3})+$", None);
        check("^(a|aa){2,4}$", None);
        check("^(re|fwd?|aw): ", None);
        check("^(=\\?[^?]+\\?[bq]\\?[^?]*\\?=\\s*)+$", None);
        check("(", None);
    }
}
