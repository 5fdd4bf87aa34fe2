use super::*;
use crate::made::Dice;
use crate::pattern::{Grouped, Pattern};

/// What the automaton says of a text, groups by name; `None` where it says nothing.
fn walked(program: &Program, states: &mut States, text: &str) -> Option<Option<(usize, Vec<String>)>> {
    match states.run(program, text.as_bytes()) {
        Answer::Unsaid => None,
        Answer::Nothing => Some(None),
        Answer::Rule(rule) => {
            let names = program.names(rule).iter().enumerate();
            let mut groups: Vec<String> =
                names.map(|(group, name)| format!("{name} {:?}", states.group(group))).collect();
            groups.push(format!("up to {}", states.end()));
            groups.sort();
            Some(Some((rule, groups)))
        }
    }
}

/// What the expressions say themselves, each in turn.
fn asked(patterns: &[Pattern], text: &str) -> Option<(usize, Vec<String>)> {
    let found = patterns.iter().enumerate().find_map(|(rule, p)| Some((rule, p.find(text.as_bytes())?)));
    let (rule, spans) = found?;
    let names = patterns.get(rule).into_iter().flat_map(Pattern::names);
    let mut groups: Vec<String> =
        names.map(|(group, name)| format!("{name} {:?}", spans.get(group))).collect();
    groups.push(format!("up to {}", spans.get(0)?.1));
    groups.sort();
    Some((rule, groups))
}

fn program(patterns: &[Pattern], is_unicode: bool) -> Program {
    let texts = patterns.iter().map(|pattern| (pattern.translated(), pattern.superset()));
    Program::new(texts, is_unicode).expect("a program")
}

/// Expressions that have everything, on texts made of their own pieces, as the engines find it.
#[test]
fn as_the_engines_find_it() {
    let rules = [
        r"^a(?P<x>b+)?(?P<y>[bc]*?)c",
        r"^(?P<x>a|ab)(?P<y>c|bcd)?(?P<z>d*)$",
        r"(?P<x>d+)\b(?P<y>.)",
        r"^(?P<c>a)?(?P<u>b|(?(c)(?:(?!bd).)*?|[^d]+)) c(?(c)a|(?:(?!dd).)*)$",
        r"^(?:(?!ab)(?P<x>\S))* (?P<y>(?i)B+)(?!c)",
        r"(?P<x>c(?= d| +a))(?P<y>.*)",
        r"^ (?P<x>\S+)\s+(?:(?P<y>d)\s*){0,2}(?P<z>.+)?$",
        r"\bd(?P<x>[^a]*)(?!a)b",
        r"^(?P<x>é|\w+)c(?P<y>.?)é",
        r"^(?P<x>a+)(?:b(?=.* d)|c(?!.*bb)) ",
    ];
    let mut dice = Dice::new(7);
    for is_unicode in [false, true] {
        for turn in 0..60 {
            let mut count = 1 + dice.roll(4);
            if turn < rules.len() {
                count = 1;
            }
            let first = if turn < rules.len() { turn } else { dice.roll(rules.len()) };
            let chosen = (0..count).map(|n| rules[(first + 2 * n) % rules.len()]);
            // Something wider stands in for those.
            let chosen = chosen.filter(|rule| !is_unicode || !rule.contains(r"\b"));
            let patterns: Vec<Pattern> =
                chosen.map(|rule| Pattern::new(rule, false).expect("an expression")).collect();
            if patterns.is_empty() {
                continue;
            }
            let (program, mut states) = (program(&patterns, is_unicode), States::default());
            for _ in 0..400 {
                let pieces = ["a", "b", "c", "d", " ", "ab", "bd", "B", if is_unicode { "é" } else { "_" }];
                let text: String = (0..dice.roll(12)).map(|_| dice.pick(&pieces)).collect();
                let expect = asked(&patterns, &text);
                let found = walked(&program, &mut states, &text);
                assert_eq!(found, Some(expect), "{text:?} with {patterns:?}");
            }
        }
    }
}

/// An expression that no automaton can be: something wider stands in, and says so.
#[test]
fn something_wider() {
    let patterns = [r"^(?P<a>x+)(?P=a)z", r"^x+(?P<b>y)"].map(|rule| Pattern::new(rule, false).expect("one"));
    let (program, mut states) = (program(&patterns, false), States::default());
    assert!(!program.is_exact(0) && program.is_exact(1));
    assert!(matches!(states.run(&program, b"xxxz"), Answer::Rule(0)));
    let words = [Pattern::new(r"^\bx(?!y)\B(?P<a>é)\b", false).expect("one")];
    let (wide, mut wide_states) = (self::program(&words, true), States::default());
    assert!(!wide.is_exact(0) && matches!(wide_states.run(&wide, "xéx".as_bytes()), Answer::Rule(0)));
    assert_eq!(
        walked(&program, &mut states, "xy"),
        Some(Some((1, vec!["b Some((1, 2))".to_owned(), "up to 2".to_owned()])))
    );
}

/// What would grow without bound is given up, and begun again later.
#[test]
fn bounded() {
    let patterns = [Pattern::new("(?P<x>a).{40}b", false).expect("one")];
    let (program, mut states) = (program(&patterns, false), States::default());
    let mut dice = Dice::new(1);
    let mut unsaid = 0;
    for _ in 0..300 {
        let text: String = (0..5_000).map(|_| dice.pick(&["a", "c"])).collect();
        assert_ne!(states.run(&program, text.as_bytes()), Answer::Nothing);
        unsaid += 1;
        assert!(states.bytes() < 8 << 20);
    }
    assert!(unsaid > 0);
}
