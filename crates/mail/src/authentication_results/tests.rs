use super::*;
use proptest::prelude::*;

fn header(value: &str) -> Vec<u8> {
    format!("Authentication-Results: {value}\n").into_bytes()
}

fn claimed(value: &str, id: &str) -> bool {
    claims(&Header::parse(&header(value)).unwrap(), id)
}

#[test]
fn written() {
    let results = AuthenticationResults {
        authserv_id: "mx.example.com".to_owned(),
        version: None,
        results: vec![
            MethodResult::new("spf", "pass")
                .commented("192.0.2.1 (relay) is permitted")
                .with("smtp", "mailfrom", "bob+x@example.org")
                .with("smtp", "helo", "mail.example.org"),
            MethodResult::new("dkim", "fail")
                .because("the body has been \"changed\"")
                .with("header", "d", "example.org")
                .with("header", "b", "ab+/c=")
                .with("header", "i", "@example.org"),
            MethodResult::new("dmarc", "none").with("header", "from", "b\r\nX: c@example.org; dmarc=pass"),
        ],
    };
    let expect = "Authentication-Results: mx.example.com;\n\
        \tspf=pass (192.0.2.1 \\(relay\\) is permitted)\n\
        \tsmtp.mailfrom=bob+x@example.org smtp.helo=mail.example.org;\n\
        \tdkim=fail reason=\"the body has been \\\"changed\\\"\" header.d=example.org\n\
        \theader.b=\"ab+/c=\" header.i=@example.org;\n\
        \tdmarc=none header.from=\"b??X: c@example.org; dmarc=pass\"";
    assert_eq!(results.render(), expect);
    let none = AuthenticationResults { authserv_id: "a b".to_owned(), version: Some(1), results: Vec::new() };
    assert_eq!(none.render(), "Authentication-Results: \"a b\" 1; none");
}

#[test]
fn read() {
    let read = |value: &str| AuthenticationResults::parse(value.as_bytes());
    let none = |id: &str, version| AuthenticationResults {
        authserv_id: id.to_owned(),
        version,
        results: Vec::new(),
    };
    // RFC 8601 appendix B.
    assert_eq!(read(" example.org 1; none"), Some(none("example.org", Some(1))));
    assert_eq!(read("example.org"), Some(none("example.org", None)));
    let results = read(
        " example.com;\r\n\tdkim=pass (good signature) header.d=example.com;\n sender-id=fail header.from=example.com",
    );
    let expect = [
        MethodResult::new("dkim", "pass").with("header", "d", "example.com"),
        MethodResult::new("sender-id", "fail").with("header", "from", "example.com"),
    ];
    assert_eq!(results.map(|results| results.results), Some(expect.to_vec()));
    let results = read(
        "foo.example.net (foobar) 1 (baz);\n dkim (Because I like it) / 1 (One yay) = (wait for it) fail\n \
         policy (A dot can go here) . (like that) expired\n (this surprised me) = (as I wasn't expecting it) 1362471462",
    );
    let expect = [MethodResult::new("dkim", "fail").with("policy", "expired", "1362471462")];
    assert_eq!(results.map(|results| (results.version, results.results)), Some((Some(1), expect.to_vec())));
    let results =
        read("a; SPF=Pass reason=\"x; \\\"y\\\"\" smtp.mailfrom=\"b c\"@d.example SMTP.Helo= ;").unwrap();
    let [found] = results.results.as_slice() else { panic!("{results:?}") };
    assert_eq!((found.method.as_str(), found.result.as_str()), ("spf", "pass"));
    assert_eq!(found.reason.as_deref(), Some("x; \"y\""));
    assert_eq!(found.get("smtp", "mailfrom"), Some("b c@d.example"));
    assert_eq!((found.get("smtp", "helo"), found.get("header", "d")), (Some(""), None));
}

#[test]
fn what_cannot_be_read() {
    for bad in [
        "",
        ";",
        " ; spf=pass",
        "(a.example; spf=pass",
        "a.example spf=pass",
        "a.example 1 2; none",
        "a.example; spf",
        "a.example; spf=",
        "a.example; spf=pass smtp.mailfrom",
        "a.example; spf=pass smtp.=x",
        "a.example; spf=pass why=x",
        "a.example; spf=pass junk",
        "a.example; spf/=pass",
        "a.example; spf=pass smtp.mailfrom=\"x",
        "a.example; spf=pass (x",
        "a.example; none spf=pass",
        "a.example 99999999999; none",
    ] {
        assert_eq!(AuthenticationResults::parse(bad.as_bytes()), None, "{bad}");
    }
    assert_eq!(AuthenticationResults::parse(b"a.example\xff; none"), None);
    let many = |count: usize| format!("a.example{}", "; spf=pass".repeat(count));
    assert!(AuthenticationResults::parse(many(RESULTS_MAX).as_bytes()).is_some());
    assert!(AuthenticationResults::parse(many(RESULTS_MAX + 1).as_bytes()).is_none());
}

#[test]
fn forged_in_our_name() {
    for ours in [
        "mx.example.com; spf=pass",
        "mx.example.com",
        "MX.Example.COM ; dkim=pass",
        "mx.example.com. 1; none",
        "mx.example.com 1; dmarc=pass",
        "mx.example.com\t99; dmarc=pass",
        "\n\tmx.example.com;\n\tspf=pass",
        "\r\n mx.example.com",
        "(of (a\\) friend)) mx.example.com (x); spf=pass",
        "\"mx.example.com\"; spf=pass",
        "\"m\\x.example.com\" 1; spf=pass",
        "mx.\"example\".com; spf=pass",
        "mx(x).example.com; spf=pass",
        "mx .example.com; spf=pass",
        "mx .example.com 1; spf=pass",
        "mx.example.com spf=pass",
        "mx.example.com/1; spf=pass",
        "mx.example.com, x; spf=pass",
        "<mx.example.com>; spf=pass",
        "(mx.example.com; spf=pass",
        "\"mx.example.com; spf=pass",
        "; mx.example.com; spf=pass",
        "=?utf-8?q?mx.example.com?=; spf=pass",
        "=?utf-8?b?bXguZXhhbXBsZS5jb20=?=; spf=pass",
        "mx.example.com\u{0}; spf=pass",
        "ｍｘ.example.com; spf=pass",
        "mx。example。com; spf=pass",
    ] {
        assert!(claimed(ours, "mx.example.com"), "{ours}");
    }
    for name in ["authentication-RESULTS", "Authentication-Results \t"] {
        let text = format!("{name}: mx.example.com; spf=pass");
        assert!(claims(&Header::parse(text.as_bytes()).unwrap(), "mx.example.com"), "{name}");
    }
    assert!(claims(&Header { name: NAME, value: b"mx.example.com\xff; spf=pass" }, "mx.example.com"));
    assert!(claimed("xn--bcher-kva.example; spf=pass", "bücher.example"));
    assert!(claimed("BÜCHER.example; spf=pass", "xn--bcher-kva.example"));
    for others in [
        "mx2.example.com; spf=pass",
        "mx.example.com.evil.example; spf=pass",
        "amx.example.com; spf=pass",
        "mx.example.com1; none",
        "example.com; spf=pass smtp.helo=mx.example.com",
        "example.com (mx.example.com); spf=pass (mx.example.com)",
        "\"example.com\"; spf=pass reason=\"mx.example.com\"",
        "",
    ] {
        assert!(!claimed(others, "mx.example.com"), "{others}");
    }
    let other = Header { name: "X-Authentication-Results", value: b"mx.example.com; spf=pass" };
    assert!(!claims(&other, "mx.example.com"));
    assert!(!claimed("mx1; spf=pass", "mx"));
}

/// What may stand around an id without changing it.
fn around() -> impl Strategy<Value = String> {
    prop_oneof![
        Just(""),
        Just(" "),
        Just("\t"),
        Just("\n "),
        Just("\r\n\t"),
        Just("(c)"),
        Just(" (a(b)\\)) ")
    ]
    .prop_map(str::to_owned)
}

fn a_result() -> impl Strategy<Value = MethodResult> {
    let property = ("[a-z]{1,9}", "[a-z][a-z-]{0,9}", "\\PC{0,30}")
        .prop_map(|(kind, name, value)| Property { kind, name, value });
    let properties = proptest::collection::vec(property, 0..4);
    (
        "[a-z-]{1,9}",
        "[a-z]{1,9}",
        proptest::option::of("\\PC{0,60}"),
        proptest::option::of("\\PC{0,60}"),
        properties,
    )
        .prop_map(|(method, result, comment, reason, properties)| MethodResult {
            method,
            result,
            comment,
            reason,
            properties,
        })
}

proptest! {
    #[test]
    fn read_as_it_was_written(
        id in "\\PC{1,40}",
        version in proptest::option::of(0_u32..100),
        results in proptest::collection::vec(a_result(), 0..5),
    ) {
        let mut results = AuthenticationResults { authserv_id: id.clone(), version, results };
        let text = results.render();
        prop_assert!(text.lines().skip(1).all(|line| line.starts_with('\t')), "{}", text);
        prop_assert!(text.lines().all(|line| line.len() < 998), "{}", text);
        let parsed = Header::parse(text.as_bytes()).unwrap();
        results.results.iter_mut().for_each(|result| result.comment = None);
        prop_assert!(claims(&parsed, &id), "{}", text);
        prop_assert_eq!(AuthenticationResults::parse(parsed.value), Some(results));
    }

    #[test]
    fn an_id_in_any_clothes_claims(
        (before, behind) in (around(), around()),
        raised in proptest::collection::vec(any::<bool>(), 14),
        quoted in any::<bool>(),
        rest in "\\PC{0,40}",
    ) {
        let cased = |(c, up): (char, &bool)| if *up { c.to_ascii_uppercase() } else { c };
        let mut id: String = "mx.example.com".chars().zip(&raised).map(cased).collect();
        if quoted {
            id = format!("\"{id}\"");
        }
        let value = format!("{before}{id}{behind};{rest}");
        prop_assert!(claimed(&value, "mx.example.com"), "{:?}", value);
    }

    #[test]
    fn another_id_does_not(id in "[a-w]{1,10}(\\.[a-w]{1,10}){0,3}", results in proptest::collection::vec(a_result(), 0..3)) {
        let text = AuthenticationResults { authserv_id: id, version: None, results }.render();
        prop_assert!(!claims(&Header::parse(text.as_bytes()).unwrap(), "mx.example.com"));
    }

    #[test]
    fn any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..200), id in "\\PC{0,20}") {
        fuzz(&bytes);
        fuzz(format!("{id}\n{}", String::from_utf8_lossy(&bytes)).as_bytes());
    }

    #[test]
    fn almost_a_header(value in "[a-c. ;=\"()\\\\\n\t/1]{0,60}") {
        fuzz(format!("a.b\n{value}").as_bytes());
    }
}
