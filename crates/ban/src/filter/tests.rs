use super::*;

const NOW_US: i64 = 1_795_425_382_000_000;

fn reader(options: &[(&'static str, &str)]) -> Reader {
    let options = options.iter().map(|(name, text)| (*name, (*text).to_owned())).collect();
    let filter = Filter::new(&options).unwrap_or_else(|error| panic!("{error}"));
    Reader::new(Arc::new(filter), Zone::new(jiff::tz::TimeZone::UTC))
}

/// Each line after its stamp, and who it made fail.
fn check(options: &[(&'static str, &str)], lines: &[(&str, &str)]) {
    let mut reader = reader(options);
    for (line, expect) in lines {
        let found = match reader.line(format!("Nov 23 01:02:03 {line}").as_bytes(), NOW_US) {
            Outcome::Missed => "-".to_owned(),
            Outcome::Ignored { .. } => "ignored".to_owned(),
            Outcome::Noted { waits: true, .. } => "waits".to_owned(),
            Outcome::Noted { waits: false, .. } => "noted".to_owned(),
            Outcome::Failed(failure) => {
                assert_eq!(failure.time_us, 1_795_395_723_000_000);
                let user = failure.fields.named.get("user").map_or(String::new(), |user| format!(" {user}"));
                format!("{}{user}", failure.id)
            }
        };
        assert_eq!(found, *expect, "{line} of {lines:?}");
    }
}

const SESSIONS: [(&str, &str); 2] = [
    ("prefregex", r"^<F-MLFID>\s*s\d+:</F-MLFID> <F-CONTENT>.+</F-CONTENT>$"),
    (
        "failregex",
        r"^fail <F-USER>\S+</F-USER> from <HOST>
^fail$
^fail user <F-USER>\S+</F-USER>$
^<F-NOFAIL>conn</F-NOFAIL> from <HOST>
^<F-NOFAIL>user</F-NOFAIL> <F-USER>\S+</F-USER>$
^<F-NOFAIL>key</F-NOFAIL> <F-USER>\S+</F-USER> from <HOST>
^<F-MLFFORGET>bye</F-MLFFORGET>
^<F-MLFFORGET><F-NOFAIL>end</F-NOFAIL></F-MLFFORGET>
^<F-MLFFORGET><F-MLFGAINED>ok</F-MLFGAINED></F-MLFFORGET>
^<F-MLFGAINED>gain</F-MLFGAINED>",
    ),
];

/// As fail2ban-regex found them, but for the address of another family.
#[test]
fn sessions_of_several_lines() {
    for lines in [
        &[("s1: fail b from 192.0.2.1", "192.0.2.1 b"), ("s1: fail a from 2001:db8::2", "2001:db8::2 a")][..],
        &[("s1: fail", "waits"), ("s1: fail b from 192.0.2.1", "192.0.2.1 b"), ("s1: fail", "192.0.2.1 b")],
        &[("s1: conn from 192.0.2.1", "noted"), ("s1: fail", "192.0.2.1"), ("s2: fail", "waits")],
        &[("s1: fail", "waits"), ("s1: conn from 192.0.2.1", "192.0.2.1"), ("s1: fail", "192.0.2.1")],
        &[
            ("s1: fail", "waits"),
            ("s1: fail", "waits"),
            ("s1: conn from 192.0.2.1", "192.0.2.1"),
            ("s1: conn from 192.0.2.3", "noted"),
        ],
        &[("s1: conn from 192.0.2.1", "noted"), ("s1: bye", "192.0.2.1"), ("s1: fail", "waits")],
        &[("s1: conn from 192.0.2.1", "noted"), ("s1: end", "noted"), ("s1: fail", "waits")],
        &[("s1: fail x from 192.0.2.1", "192.0.2.1 x"), ("s1: ok", "noted"), ("s1: fail", "waits")],
        &[("s1: fail", "waits"), ("s1: gain", "noted"), ("s1: conn from 192.0.2.1", "noted")],
        &[
            ("s1: fail a from 192.0.2.1", "192.0.2.1 a"),
            ("s1: key a from 192.0.2.1", "noted"),
            ("s1: key b from 192.0.2.1", "192.0.2.1 b"),
            ("s1: key a from 192.0.2.1", "192.0.2.1 a"),
            ("s1: end", "192.0.2.1 a"),
        ],
        &[("s1: user bob", "noted"), ("s1: fail", "waits"), ("s1: conn from 192.0.2.1", "192.0.2.1 bob")],
    ] {
        check(&SESSIONS, lines);
    }
}

#[test]
fn who_failed() {
    check(
        &[(
            "failregex",
            "from <HOST> x\nnet <SUBNET>$\nid <F-ID>.+</F-ID>$\nip <ADDR> <F-ALT_USER>\\S+</F-ALT_USER>",
        )],
        &[
            ("from 192.0.2.1 x", "192.0.2.1"),
            ("from ::ffff:192.0.2.1 x", "192.0.2.1"),
            ("from 2001:DB8:0::1 x", "2001:db8::1"),
            ("from 999.1.1.1 x", "999.1.1.1"),
            ("from mail.example x", "mail.example"),
            ("net 192.0.2.17/24", "192.0.2.0/24"),
            ("net 2001:db8::1/64", "2001:db8::/64"),
            ("net 192.0.2.17/32", "192.0.2.17"),
            ("id some one", "some one"),
            ("ip 192.0.2.1 bob", "192.0.2.1 bob"),
            ("nobody", "-"),
        ],
    );
}

/// sshd's expression: a name that looks like the line's end makes a backtracking engine take steps as its square.
#[test]
fn names_that_cost_a_backtracking_engine_too_much() {
    const RULE: &str = r"^\s*Failed \S+ for (?P<cond_inv>invalid user )?<F-USER>(?P<cond_user>\S+)|(?(cond_inv)(?:(?! from ).)*?|[^:]+)</F-USER> from <HOST>(?: (?:port \d+|on \S+)){0,2}(?: ssh\d*)?(?(cond_user): |(?:(?:(?! from ).)*)$)";
    let mut reader = reader(&[("failregex", RULE)]);
    for count in [10, 100, 300, 3_000, 25_000] {
        let user = "f ".repeat(20) + "from " + &"1.".repeat(count);
        let line =
            format!("Nov 23 01:02:03 Failed password for invalid user {user} from 192.0.2.1 port 22 ssh2");
        let Outcome::Failed(failure) = reader.line(line.as_bytes(), NOW_US) else { panic!("{count}") };
        assert_eq!(failure.id.to_string(), "192.0.2.1", "{count}");
    }
}

/// fail2ban has `user2` of it as well.
#[test]
fn other_names_by_number() {
    let rule = r"user=<F-USER>\S*</F-USER> alt=<F-ALT_USER2>\S+</F-ALT_USER2> from <HOST>$";
    let mut reader = reader(&[("failregex", rule)]);
    for (line, user) in [("user= alt=eve from 192.0.2.1", "eve"), ("user=bob alt=eve from 192.0.2.1", "bob")]
    {
        let Outcome::Failed(failure) = reader.line(line.as_bytes(), NOW_US) else { panic!("{line}") };
        let named = &failure.fields.named;
        assert_eq!(
            (named.get("user"), named.get("user2"), named.get("alt_user2")),
            (Some(user), Some("eve"), None)
        );
    }
}

#[test]
fn ignored_lines_and_joined_ones() {
    check(
        &[("failregex", "fail <HOST>"), ("ignoreregex", "but known")],
        &[("fail 192.0.2.1 but known", "ignored"), ("but known", "-")],
    );
    check(
        &[
            ("prefregex", "^ mx <F-CONTENT>.+</F-CONTENT>$"),
            ("failregex", "fail <HOST>"),
            ("ignoreregex", "but known\nmx"),
        ],
        &[
            ("mx but known", "-"),
            ("mx fail 192.0.2.1", "192.0.2.1"),
            ("mx fail 192.0.2.1 but known", "ignored"),
            ("but known", "-"),
        ],
    );
    // Nobody's word shuts everybody out.
    check(
        &[("failregex", "x <SUBNET>")],
        &[("x 1.2.3.4/0", "0.0.0.0"), ("x 2001:db8::1/00", "::"), ("x 10.1.2.3/8", "10.0.0.0/8")],
    );
    // It is asked first where it saves others.
    check(
        &[("failregex", "fail <HOST>\na <HOST>\nb <HOST>\nc <HOST>"), ("ignoreregex", "but known")],
        &[("mx but known", "ignored"), ("mx a 192.0.2.1", "192.0.2.1"), ("b 192.0.2.1 but known", "ignored")],
    );
    check(
        &[("failregex", r"^ start (?P<n>\d+)<SKIPLINES> end (?P=n) <HOST>$"), ("maxlines", "4")],
        &[
            ("start 1", "-"),
            ("start 2", "-"),
            ("other", "-"),
            ("end 2 192.0.2.1", "192.0.2.1"),
            ("end 2 192.0.2.1", "-"),
        ],
    );
}

/// Of each line that is joined, the content alone. Where fail2ban-regex finds somebody, he is found here; it finds
/// nobody behind a line whose prefix matched and that failed for nothing.
#[test]
fn joined_lines_without_their_prefix() {
    let prefix = ("prefregex", r"^\s*app: <F-CONTENT>.+</F-CONTENT>$");
    check(
        &[prefix, ("failregex", "^failed from <HOST>$"), ("maxlines", "2")],
        &[
            ("app: failed from 192.0.2.1", "192.0.2.1"),
            ("app: failed from 192.0.2.2", "192.0.2.2"),
            ("app: hello", "-"),
            ("noise", "-"),
            ("failed from 192.0.2.3", "-"),
            ("app: failed from 192.0.2.4", "192.0.2.4"),
        ],
    );
    check(
        &[prefix, ("failregex", r"^hello\nfailed from <HOST>$"), ("maxlines", "2")],
        &[
            ("app: hello", "-"),
            ("noise", "-"),
            ("app: failed from 192.0.2.3", "192.0.2.3"),
            ("app: failed from 192.0.2.3", "-"),
        ],
    );
    let named = ("prefregex", r"^\s*app\[<F-USER>\w+</F-USER>\]: <F-CONTENT>.+</F-CONTENT>$");
    check(
        &[named, ("failregex", "^failed from <HOST>$"), ("maxlines", "3")],
        &[("app[bob]: hello", "-"), ("app[eve]: failed from 192.0.2.4", "192.0.2.4 eve")],
    );
}

/// A line without a date has that of the line before, also where that one was passed over.
#[test]
fn lines_without_a_date() {
    let mut reader = reader(&[("failregex", "^\\s*failed <HOST>")]);
    assert_eq!(reader.line(b"Nov 23 01:02:03 other", NOW_US), Outcome::Missed);
    for expect in [1_795_395_723_000_000, 1_795_395_723_000_000] {
        let Outcome::Failed(failure) = reader.line(b"failed 192.0.2.1", NOW_US) else { panic!() };
        assert_eq!(failure.time_us, expect);
    }
}

/// A stamp that no calendar has, or none where a pattern says so, is no date; `{NONE}` takes the time of reading.
#[test]
fn lines_with_a_date_that_says_nothing() {
    let check = |pattern: &str, lines: &[(&str, i64)]| {
        let mut reader = reader(&[("failregex", "failed <HOST>"), ("datepattern", pattern)]);
        for (at, (line, expect)) in (0_i64..).zip(lines) {
            let time_us = match reader.line(line.as_bytes(), NOW_US + at) {
                Outcome::Failed(failure) => failure.time_us,
                _ => 0,
            };
            assert_eq!(time_us, *expect, "{pattern}: {line}");
        }
    };
    let dated = 1_795_395_723_000_000;
    check(
        "",
        &[("2026-02-30 01:02:03 failed 192.0.2.1", NOW_US), ("Feb 30 01:02:03 failed 192.0.2.1", NOW_US + 1)],
    );
    check(
        "",
        &[
            ("2026-11-23 01:02:03 other", 0),
            ("2026-02-30 01:02:03 failed 192.0.2.1", dated),
            ("failed 192.0.2.1", dated),
        ],
    );
    check(
        "^%Y-%m-%d %H:%M:%S\n^and:()**",
        &[("2026-11-23 01:02:03 other", 0), ("and: failed 192.0.2.1", dated)],
    );
    check("{NONE}", &[("failed 192.0.2.1", NOW_US), ("failed 192.0.2.1", NOW_US + 1)]);
}

/// How many lines a failure of a session stands for, and as whom it tried: as fail2ban-regex's `<matches>` has it.
#[test]
fn attempts_and_users() {
    for lines in [
        &[("s1: fail", ""), ("s1: fail", ""), ("s1: conn from 192.0.2.1", "3"), ("s1: fail", "1")][..],
        &[("s1: fail", ""), ("s1: gain", ""), ("s1: conn from 192.0.2.1", ""), ("s1: fail", "3")],
        &[("s1: fail", ""), ("s1: ok", ""), ("s1: conn from 192.0.2.1", ""), ("s1: fail", "2")],
        &[
            ("s1: conn from 192.0.2.1", ""),
            ("s1: fail user b", "2 b"),
            ("s1: fail user a", "1 b a"),
            ("s1: gain", "1 b a"),
            ("s1: fail user b", "1 b a"),
        ],
        &[
            ("s1: fail a from 192.0.2.1", "1 a"),
            ("s1: key a from 192.0.2.1", ""),
            ("s1: key a from 192.0.2.1", ""),
            ("s1: key b from 192.0.2.1", "3 a b"),
        ],
    ] {
        let mut reader = reader(&SESSIONS);
        for (line, expect) in lines {
            let found = match reader.line(format!("Nov 23 01:02:03 {line}").as_bytes(), NOW_US) {
                Outcome::Failed(failure) => {
                    let attempts = failure.fields.attempts.to_string();
                    [vec![attempts], failure.fields.users].concat().join(" ")
                }
                _ => String::new(),
            };
            assert_eq!(found, *expect, "{line} of {lines:?}");
        }
    }
}

/// Text that a client chose, lines without end, bytes that are no text.
#[test]
fn hostile_lines() {
    let rule = r"^ sshd: Failed for <F-USER>.*</F-USER> from <HOST>( port \d+)?$";
    let mut reader = reader(&[("failregex", rule)]);
    let mut id = |line: &[u8]| match reader.line(line, NOW_US) {
        Outcome::Failed(failure) => failure.id.to_string(),
        _ => "-".to_owned(),
    };
    let stamp = "Nov 23 01:02:03";
    assert_eq!(
        id(format!("{stamp} sshd: Failed for x from 9.9.9.9 from 192.0.2.1 port 1").as_bytes()),
        "192.0.2.1"
    );
    assert_eq!(id(&[stamp.as_bytes(), b" sshd: Failed for \xff\xfe from 192.0.2.1"].concat()), "192.0.2.1");
    assert_eq!(
        id(format!("{stamp} sshd: Failed for {} from 192.0.2.1", "a ".repeat(500_000)).as_bytes()),
        "-"
    );
    assert_eq!(id(b""), "-");
}

#[test]
fn filters_that_cannot_be() {
    let error = |options: &[(&'static str, &str)]| {
        let options = options.iter().map(|(name, text)| (*name, (*text).to_owned())).collect();
        Filter::new(&options).expect_err("an error").to_string()
    };
    assert!(error(&[("failregex", "ok <HOST>\n( <HOST>")]).starts_with("failregex `( <HOST>`: "));
    assert!(error(&[("failregex", "<F-USER>x</F-USER>")]).contains("captures nobody"));
    assert!(error(&[("datepattern", "%d(")]).starts_with("datepattern `%d(`: "));
}

/// sshd's expression with a condition, an alternative within a group, and a mark in the first of two.
#[test]
fn marks_behind_conditions() {
    let rule = r"^ sshd: Failed (?:<F-NOFAIL>publickey</F-NOFAIL>|\S+) for (?P<cond_inv>invalid user )?<F-USER>(?P<cond_user>\S+)|(?(cond_inv)(?:(?! from ).)*?|[^:]+)</F-USER> from <HOST>(?: (?:port \d+|on \S+)){0,2}(?: ssh\d*)?(?(cond_user): |(?:(?:(?! from ).)*)$)";
    check(
        &[("failregex", rule)],
        &[
            ("sshd: Failed password for a b from 192.0.2.1 port 1 ssh2", "192.0.2.1 a b"),
            ("sshd: Failed publickey for a from 192.0.2.1 port 1 ssh2: RSA", "noted"),
            ("sshd: Failed publickey for a b from 192.0.2.1 port 1 ssh2: RSA", "noted"),
            ("sshd: Failed publickey for invalid user a b from 192.0.2.1 port 1 ssh2: RSA", "noted"),
        ],
    );
}
