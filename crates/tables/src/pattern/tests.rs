//! Patterns of both syntaxes, as glibc's and PCRE2's engines read them.

use super::{Pattern, PerlFlags, PosixFlags};

fn spans(pattern: &Pattern, text: &str) -> Vec<Option<String>> {
    let groups = pattern.find_groups(text.as_bytes()).expect("within limits").expect("a match");
    (1..=pattern.group_count())
        .map(|n| groups.span(n).map(|(from, to)| text.get(from..to).expect("whole characters").to_owned()))
        .collect()
}

#[test]
fn posix_matches() {
    let check = |pattern: &str, yes: &[&str], no: &[&str]| {
        let compiled = Pattern::posix(pattern, PosixFlags::default()).expect(pattern);
        for text in yes {
            assert!(compiled.is_match(text.as_bytes()).expect("within limits"), "{pattern} on {text}");
        }
        for text in no {
            assert!(!compiled.is_match(text.as_bytes()).expect("within limits"), "{pattern} on {text}");
        }
    };
    check("^a.c$", &["abc", "ABC", "a\nc"], &["abcd"]);
    check("a)b", &["a)b"], &["ab"]);
    check("a{,3}b", &["b", "ab"], &["a"]);
    check("a{2}{3}", &["aaaaaa"], &["aaaaa"]);
    check("a**", &["", "a"], &[]);
    check("[]a]", &["]", "a"], &["b"]);
    check("[a\\]b]", &["ab]", "\\b]"], &["ab", "]"]);
    check("[[.-.]a]", &["-", "a"], &["b"]);
    check("(a)\\1", &["aa"], &["ab"]);
    check("\\bab\\b", &["x ab y"], &["xab"]);
    check("a\\>", &["a b"], &["ab"]);
    check("^..$", &["é"], &[]);
    check("\\w\\s", &["a "], &["aa"]);
    check("x\\x41", &["xx41"], &["xA"]);
    check("()*", &[""], &[]);
    check("\\*+x", &["**x"], &["x"]);
}

#[test]
fn posix_errors_in_the_words_of_regerror() {
    let check = |pattern: &str, extended: bool, reason: &str| {
        let flags = PosixFlags { extended, ..PosixFlags::default() };
        assert_eq!(Pattern::posix(pattern, flags).expect_err(pattern).reason, reason, "{pattern}");
    };
    for pattern in ["*a", "^*a", "(*a)", "{1}", "a|{2}", "^{2}", "+a", "?", "a*$*"] {
        check(pattern, true, "Invalid preceding regular expression");
    }
    for pattern in ["a{", "a{x", "a{1", "a{1,2"] {
        check(pattern, true, "Unmatched \\{");
    }
    check("a{1a}", true, "Invalid content of \\{\\}");
    check("a{3,2}", true, "Invalid content of \\{\\}");
    check("a{99999}", true, "Regular expression too big");
    check("[a", true, "Unmatched [, [^, [:, [., or [=");
    check("[[:alpha:]", true, "Unmatched [, [^, [:, [., or [=");
    check("[[:foo:]]", true, "Invalid character class name");
    check("[z-a]", true, "Invalid range end");
    check("[a-c-e]", true, "Invalid range end");
    check("\\1", true, "Invalid back reference");
    check("((a)", true, "Unmatched ( or \\(");
    check("\\(", false, "Unmatched ( or \\(");
    check("\\)", false, "Unmatched ( or \\(");
    check("\\{1\\}", false, "Invalid preceding regular expression");
}

#[test]
fn posix_takes_the_longest() {
    let check = |pattern: &str, text: &str, groups: &[&str]| {
        let found = spans(&Pattern::posix(pattern, PosixFlags::default()).expect(pattern), text);
        let found: Vec<_> = found.iter().map(|group| group.as_deref().unwrap_or("-")).collect();
        assert_eq!(found, groups, "{pattern} on {text}");
    };
    check("(a|ab)(c|bcd)(d*)", "abcd", &["a", "bcd", ""]);
    check("(a?)(ab)?(b*)", "ab", &["a", "-", "b"]);
    check("(a*)(b|abc)(c*)", "abcc", &["a", "b", "cc"]);
    check("(a|ab|abc)", "abc", &["abc"]);
}

#[test]
fn basic_syntax() {
    let flags = PosixFlags { extended: false, ..PosixFlags::default() };
    let check = |pattern: &str, text: &str, expect: bool| {
        let compiled = Pattern::posix(pattern, flags).expect(pattern);
        assert_eq!(compiled.is_match(text.as_bytes()), Ok(expect), "{pattern} on {text}");
    };
    check("a\\(b\\)c", "abc", true);
    check("*a", "*a", true);
    check("*a", "a", false);
    check("\\(*a\\)", "*a", true);
    check("a\\|b", "b", true);
    check("a+", "aa", false);
    check("a\\+", "aa", true);
    check("x^y", "x^y", true);
    check("x$y", "x$y", true);
    check("a{1}", "a{1}", true);
    check("\\?x", "?x", true);
}

#[test]
fn perl_matches() {
    let check = |pattern: &str, text: &str, expect: bool| {
        let compiled = Pattern::perl(pattern, PerlFlags::default()).expect(pattern);
        assert_eq!(compiled.is_match(text.as_bytes()), Ok(expect), "{pattern} on {text}");
    };
    check("^(?!owner-)(.*)-outgoing@(.*)", "list-outgoing@x", true);
    check("^(?!owner-)(.*)-outgoing@(.*)", "owner-list-outgoing@x", false);
    check("(?<=a)b", "ab", true);
    check("(a)\\1", "aa", true);
    check("\\Qa.b\\E", "axb", false);
    check("\\Qa.b\\E", "a.b", true);
    check("(?-i)A", "a", false);
    check("(?x) a b # c\n c", "abc", true);
    check("a{x", "a{x", true);
    check("[[:^digit:]]", "1", false);
    check("[&&~~a[b]", "[", true);
    check("\\x41\\x{42}\\103", "abc", true);
    check("\\d\\h\\d", "1\t2", true);
    check("^.\\z", "é", false);
    check("a++b", "aab", true);
    check("(?>a+)a", "aaa", false);
    check("(?P<q>x)(?P=q)", "xx", true);
    check("(x)?(?(1)a|b)", "b", true);
    check("é+", "é", true);
    check("[é]", "é", true);
}

#[test]
fn perl_errors() {
    for (pattern, reason) in [
        ("(a", "missing closing parenthesis"),
        ("a)", "unmatched closing parenthesis"),
        ("*a", "quantifier does not follow a repeatable item"),
        ("a**", "quantifier does not follow a repeatable item"),
        ("[[:foo:]]", "unknown POSIX class name"),
        ("[z-a]", "range out of order in character class"),
        ("[a", "missing terminating ] for character class"),
        ("a\\", "\\ at end of pattern"),
    ] {
        assert_eq!(
            Pattern::perl(pattern, PerlFlags::default()).expect_err(pattern).reason,
            reason,
            "{pattern}"
        );
    }
}

#[test]
fn a_pattern_that_runs_away_is_stopped() {
    let pattern = Pattern::perl("^(?=(a+)+$)x", PerlFlags::default()).expect("compiles");
    let text = format!("{}b", "a".repeat(40));
    assert!(
        pattern.is_match(text.as_bytes()).is_ok_and(|found| !found)
            || pattern.is_match(text.as_bytes()).is_err()
    );
}

#[test]
fn every_printable_character_can_stand_for_itself() {
    for c in (0x20..0x7f_u8).map(char::from) {
        let escaped = if c.is_ascii_punctuation() { format!("\\{c}") } else { c.to_string() };
        let perl = [format!("x{escaped}y"), format!("x[{escaped}]y")];
        for text in perl {
            let pattern = Pattern::perl(&text, PerlFlags::default()).expect(&text);
            assert!(pattern.is_match(format!("ax{c}yb").as_bytes()).expect("within limits"), "{text}");
        }
        if c.is_ascii_punctuation() && !"\\^$.[]|()*+?{}<>'`".contains(c) || c.is_ascii_alphanumeric() {
            let text = format!("x{c}y");
            let pattern = Pattern::posix(&text, PosixFlags::default()).expect(&text);
            assert!(pattern.is_match(format!("ax{c}yb").as_bytes()).expect("within limits"), "{text}");
        }
    }
    // Unescaped `<` is a plain character in both.
    assert!(
        Pattern::posix("TO:<[^>]*>", PosixFlags::default())
            .expect("a pattern")
            .is_match(b"TO:<a@b>")
            .expect("within limits")
    );
    assert!(
        Pattern::perl("TO:<[^>]*>", PerlFlags::default())
            .expect("a pattern")
            .is_match(b"TO:<a@b>")
            .expect("within limits")
    );
}
