//! Template files as Postfix 3.7.11's `postconf -t` and `-b` read them.

use super::{BadReference, Kind, Template, Templates, TimeUnit, fuzz_templates};
use std::time::Duration;

/// A failure template with these lines, as it is read: subject, text, warnings.
fn read(lines: &str) -> (String, String, Vec<String>) {
    let file = format!("failure_template = <<EOF\n{lines}EOF\n");
    let (templates, warnings) = Templates::parse("f", &file).unwrap();
    let Template { subject, text, .. } = templates.of(Kind::Failure).clone();
    (subject, text, warnings)
}

#[test]
fn headers_and_text() {
    let check = |lines: &str, subject: &str, text: &str| {
        assert_eq!(read(lines), (subject.to_owned(), text.to_owned(), Vec::new()), "{lines}");
    };
    let built_in = "Undelivered Mail Returned to Sender";
    check("Subject: a\n\nfoo\n\nbar\n\n\n", "a", "foo\n\nbar\n\n\n");
    check("Subject: x\nhello\n", "x", "hello\n");
    check("no header here\n\nhello\n", built_in, "no header here\n\nhello\n");
    check("\n\nSubject: z\nfoo\n", "z", "foo\n");
    check("Subject: a\n b\n\nfoo\n", "a", " b\n\nfoo\n");
    check("sUBJECT:    a   b  \nSubject :z y  \n\nfoo\n", "z y  ", "foo\n");
    check("Subject: x\n\nFrom: foo\nabc\n", "x", "From: foo\nabc\n");
    check("Subject: x\n : y\n  \t\nq\n", "x", " : y\n  \t\nq\n");
    check("Subject: x\0y\n\nab\0cd\n EOF\nEOF \n", "x", "ab\n EOF\nEOF \n");
    check("Charset: iso-8859-1\nSubject: x\n\né\n", "x", "é\n");
}

#[test]
fn templates_that_are_not_taken() {
    let check = |lines: &str, warnings: &[&str]| {
        let (subject, text, found) = read(lines);
        assert_eq!(found, warnings, "{lines}");
        let built_in = Template::built_in(Kind::Failure);
        assert_eq!((subject, text), (built_in.subject, built_in.text), "{lines}");
    };
    check("", &["f: missing message text in failure template -- ignoring this template"]);
    check("Subject: a\n\n", &["f: missing message text in failure template -- ignoring this template"]);
    check(
        "sUbject:  \n\nq\n",
        &["f: empty \"sUbject\" header value in failure template -- ignoring this template"],
    );
    check(
        "Subject: é\n\nq\n",
        &["f: non-ASCII \"Subject\" header value in failure template -- ignoring this template"],
    );
    check("http://q\n", &["f: unknown \"http\" header label in failure template -- ignoring this template"]);
    check(
        "Charset: US-ASCII\n\né\n",
        &[
            "f: 8-bit message text in failure template",
            "please specify a charset value other than us-ascii",
            "-- ignoring this template for now",
        ],
    );
}

#[test]
fn files() {
    let check = |file: &str, warnings: &[&str]| {
        let (_, found) = Templates::parse("f", file).unwrap();
        assert_eq!(found, warnings, "{file}");
    };
    check("# c\n  \n\n failure_template=<< X Y\nfoo\nX Y\n", &[]);
    check("failure_template = <<EOF\nSubject: x\n\nhello", &["f, line 5: missing \"EOF\" end marker"]);
    check("failure_template = <<EOF\nfoo\nEOF", &["f, line 4: missing \"EOF\" end marker"]);
    check("failure_template = <<E\u{1}F\r\nfoo\nE\u{1}F \n", &["f, line 4: missing \"E?F\" end marker"]);
    check(
        "foo_template = <<EOF\nx\nEOF\n\nf\u{e9}_template = y\n",
        &[
            "f, line 4: unknown template name: foo_template -- ignoring this template",
            "f, line 6: unknown template name: fé_template -- ignoring this template",
        ],
    );
    check(
        "success_template = <<EOF\nPostmaster-Subject: x\n\nfoo\nEOF\n",
        &[
            "f: inapplicable \"Postmaster-Subject\" header label in success template -- ignoring this template",
        ],
    );
    let (templates, _) = Templates::parse("f", "delay_template = a\ndelay_template = b\n").unwrap();
    assert_eq!(templates.of(Kind::Delay).text, "b\n");
    let refused = |file: &str, why: &str| {
        assert_eq!(Templates::parse("f", file).unwrap_err().to_string(), why, "{file}");
    };
    refused("garbage\n", "f, line 2: missing '=' after attribute name: \"garbage\"");
    refused("\u{1}x\t\n", "f, line 2: missing '=' after attribute name: \"?x?\"");
    refused("= x", "f, line 2: missing attribute name: \"= x\"");
    refused("failure_template = <<\nx\n", "f, line 2: missing end marker after <<");
    refused("a = <<E\nq\nE\n  more\n", "f, line 5: missing '=' after attribute name: \"  more\"");
}

#[test]
fn expanding() {
    let template = |text: &str| Template { text: text.to_owned(), ..Template::built_in(Kind::Delay) };
    let name = "maximal_queue_lifetime_weeks";
    let (parameter, unit) = TimeUnit::parse(name).unwrap().unwrap();
    assert_eq!(parameter, "maximal_queue_lifetime");
    let five_days = Duration::from_secs(5 * 24 * 60 * 60);
    let expanded = template("one\ntwo\r\n").expand(|line, remarks| {
        let (count, remark) = unit.count(name, five_days);
        remarks.extend(remark);
        Ok(format!("{line}={count}"))
    });
    assert_eq!(expanded.text.unwrap(), "one=0\ntwo\r=0\n");
    assert_eq!(expanded.warnings.len(), 6);
    let warnings = [
        "[built-in]: zero result in delay template conversion of parameter \"maximal_queue_lifetime_weeks\"",
        "please reduce time unit \"weeks\" of \"maximal_queue_lifetime_weeks\" in delay template",
        "for instructions see the bounce(5) manual",
    ];
    assert_eq!(expanded.warnings[..3], warnings);
    let expanded = template("a\tb\n").expand(|_, _| Err(BadReference::Undefined));
    assert_eq!(expanded.text.unwrap_err().to_string(), "[built-in]: undefined $name in delay template: a?b");
    let expanded = template("$\n").expand(|_, _| Err(BadReference::Syntax("empty macro name".to_owned())));
    assert_eq!(expanded.text.unwrap_err().to_string(), "[built-in]: bad $name syntax in delay template: $");
    assert_eq!(expanded.warnings, ["empty macro name"]);
}

#[test]
fn times_and_units() {
    let count = |name: &str, seconds: u64| {
        let (_, unit) = TimeUnit::parse(name).unwrap().unwrap();
        let (count, remark) = unit.count(name, Duration::from_secs(seconds));
        (count, remark.is_some())
    };
    assert_eq!(count("delay_warning_time_seconds", 999), (999, false));
    assert_eq!(count("delay_warning_time_seconds", 1000), (1000, true));
    assert_eq!(count("delay_warning_time_minutes", 0), (0, false));
    assert_eq!(count("delay_warning_time_hours", 5399), (1, false));
    assert_eq!(count("maximal_queue_lifetime_days", 1), (0, true));
    for name in ["delay_warning_time", "delay_warning_timex", "bounce_queue_lifetime_days"] {
        assert_eq!(TimeUnit::parse(name), Ok(None), "{name}");
    }
    let bad = TimeUnit::parse("maximal_queue_lifetime_DAYS").unwrap_err();
    assert_eq!(bad.to_string(), "unrecognized suffix \"DAYS\" in parameter \"maximal_queue_lifetime_DAYS\"");
}

#[test]
fn built_in_templates_are_read_back() {
    let templates = Templates::default();
    let printed: Vec<String> = templates.iter().map(Template::print).collect();
    let (again, warnings) = Templates::parse("[built-in]", &printed.join("\n")).unwrap();
    assert_eq!((again, warnings), (templates, Vec::new()));
}

/// Any bytes are read without harm: pieces of good files in any order, and cut anywhere.
#[test]
fn mutations() {
    const PIECES: [&str; 14] = [
        "failure_template = <<EOF\n",
        "EOF\n",
        "Subject: x\n",
        "\n",
        "From:",
        " = ",
        "<<",
        "\0",
        "\r\n",
        "é: y\n",
        "$myhostname\n",
        "verify_template = <<E\n",
        "E\n",
        ":",
    ];
    let mut state = 7_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state >> 33).unwrap()
    };
    for _ in 0..4_000 {
        let text: String = (0..next() % 12).map(|_| PIECES[next() % PIECES.len()]).collect();
        fuzz_templates(&text);
        fuzz_templates(&String::from_utf8_lossy(&text.as_bytes()[..next() % (text.len() + 1)]));
    }
}
