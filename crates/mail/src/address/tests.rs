//! Paths as Postfix reads them: each row was tried against smtpd 3.7. T1.9.

use super::*;

/// Path, and the address within as Postfix 3.7 reads it.
const TOLERANT: &[(&str, Option<&str>)] = &[
    ("<a@b.example>", Some("a@b.example")),
    ("a@b.example", Some("a@b.example")),
    ("<a@b.example", None),
    ("a@b.example>", Some("a@b.example")),
    ("<>", Some("")),
    ("< >", Some("")),
    ("<<a@b.example>>", Some("a@b.example")),
    ("<a@b.example>SIZE=1", None),
    (" <a@b.example>", Some("a@b.example")),
    ("<a b@c.example>", None),
    (r#"<"a b"@c.example>"#, Some("a b@c.example")),
    (r#"<"a"@c.example>"#, Some("a@c.example")),
    (r#"<"a\\"b"@c.example>"#, None),
    (r#"<a\\ b@c.example>"#, None),
    ("<a(comment)@c.example>", Some("a@c.example")),
    ("<(comment)a@c.example>", Some("a@c.example")),
    ("<@a.example,@b.example:u@d.example>", Some("u@d.example")),
    ("<@a.example:u@d.example>", Some("u@d.example")),
    ("<@a.example:>", Some("")),
    ("<@b.example>", Some("@b.example")),
    ("<a>", Some("a")),
    ("<a@b@c.example>", Some("a@b@c.example")),
    (r#"<"a@b"@c.example>"#, Some("a@b@c.example")),
    ("<a@[127.0.0.1]>", Some("a@[127.0.0.1]")),
    ("<a@[IPv6:::1]>", Some("a@[IPv6:::1]")),
    ("<a@c.example.>", Some("a@c.example.")),
    ("<a.@c.example>", Some("a.@c.example")),
    ("<.a@c.example>", Some(".a@c.example")),
    ("<a..b@c.example>", Some("a..b@c.example")),
    ("<a@c_d.example>", Some("a@c_d.example")),
    ("<a,b@c.example>", None),
    ("<a;b@c.example>", None),
    ("<a:b@c.example>", Some("a:b@c.example")),
    ("<a@b.example,c@d.example>", None),
    ("<foo: a@b.example;>", Some("a@b.example")),
    (r#"<"a@b.example>"#, None),
    (r#"<a"b"@c.example>"#, None),
    ("<a@c.example (x)>", Some("a@c.example")),
    ("<a@c example>", None),
    ("<a@b c>", None),
    ("<%a@b.example>", Some("%a@b.example")),
    ("<a!b@c.example>", Some("a!b@c.example")),
    (r#"<""@c.example>"#, Some("@c.example")),
    (r#"<"">"#, Some("")),
    ("<postmaster>", Some("postmaster")),
    ("<a@[1.2.3.4>", Some("a@[1.2.3.4]")),
    ("<a]@b.example>", Some("a]@b.example")),
    (r#"<a@b.example\\>"#, Some(r#"a@b.example\"#)),
    (r#"<a\\"#, None),
    (r#"<a@"b.example">"#, Some("a@b.example")),
    (r#"<"a@b.example">"#, Some("a@b.example")),
    ("<(a)@b.example>", Some("@b.example")),
    ("<()>", Some("")),
    ("<a@b.example()>", Some("a@b.example")),
    ("<(a@b.example>", Some("")),
    ("<a@b.example,>", Some("a@b.example")),
    ("<,a@b.example>", Some("a@b.example")),
    ("<a @ b.example>", Some("a@b.example")),
    ("<a . b@c.example>", Some("a.b@c.example")),
    ("<a@b.example>,<c@d.example>", None),
    (r#"<\t@c.example>"#, Some("t@c.example")),
    ("<@b@c.example>", Some("@b@c.example")),
    ("<:a@b.example>", Some(":a@b.example")),
    ("<@:a@b.example>", Some("a@b.example")),
    ("<@x a@b.example>", None),
    ("<foo:a@b.example;>", Some("a@b.example")),
    ("<foo: a@b.example>", Some("foo:a@b.example")),
    ("<x y: a@b.example>", None),
    ("<a@b.example;>", Some("a@b.example")),
    ("<a@b.example;c@d.example>", None),
    ("<;a@b.example>", Some("a@b.example")),
    ("<foo:;>", Some("")),
    ("<foo: ;>", Some("")),
    ("<a: b: c@d.example>", Some("a:b:c@d.example")),
    ("<a:b:c@d.example>", Some("a:b:c@d.example")),
    ("<Joe<a@b.example>>", Some("a@b.example")),
    ("<Joe:<a@b.example>>", None),
    ("<<a@b.example>c>", None),
    ("<<a@b.example><c@d.example>>", None),
    ("<<>>", Some("")),
    ("<<a@b.example>", None),
    ("<a<b@c.example>", None),
    ("<a(b)c@d.example>", None),
    ("<a.(b)c@d.example>", Some("a.c@d.example")),
    (r#"<"a"b@c.example>"#, None),
    (r#"<"a"."b"@c.example>"#, Some("a.b@c.example")),
    (r#"<a."b c"@c.example>"#, Some("a.b c@c.example")),
    ("<a@b(c)d.example>", None),
    ("<a@[1.2.3.4](x)>", Some("a@[1.2.3.4]")),
    ("<[1.2.3.4]@b.example>", Some("[1.2.3.4]@b.example")),
    ("<a[b]@c.example>", None),
    (r#"<a@[1.2.3.4\\]]>"#, None),
    ("<a@b@>", Some("a@b@")),
    ("<a@@b.example>", Some("a@@b.example")),
    ("<@@b.example>", Some("@@b.example")),
    ("<@a@b@c.example>", Some("@a@b@c.example")),
    ("<a@b.c d.example>", None),
    ("<@a.example,:u@d.example>", Some("u@d.example")),
    ("<@a.example b:u@d.example>", Some("u@d.example")),
    ("<@a.example u@d.example>", None),
    ("<@a.example, u@d.example>", None),
    ("<@[1.2.3.4]:u@d.example>", Some("u@d.example")),
    (r#"<@"x":u@d.example>"#, Some("u@d.example")),
    ("<@a,@b>", None),
    ("<@a.example:@b.example:c@d.example>", Some("@b.example:c@d.example")),
    ("<@a.example:u>", Some("u")),
    ("<(((a))b)c@d.example>", Some("c@d.example")),
    (r#"<(a\\)b)c@d.example>"#, Some("b)c@d.example")),
    ("<a)@b.example>", Some("a)@b.example")),
    ("<a@b.example.>", Some("a@b.example.")),
    ("<.@b.example>", Some(".@b.example")),
    ("<a.>", Some("a.")),
    ("<.>", Some(".")),
    ("<a..b>", Some("a..b")),
    (r#"<a\\@b@c.example>"#, Some(r#"a\@b@c.example"#)),
    (r#"<a\\"b@c.example>"#, None),
    ("<a@c.example>>", Some("a@c.example")),
    ("a@c.example>>", None),
    (r#""a b"@c.example"#, Some("a b@c.example")),
    ("a@c.example,", Some("a@c.example")),
    ("a", Some("a")),
    (r#""a"#, None),
    ("()", Some("")),
    ("(x)a@c.example", Some("a@c.example")),
    ("a(x)@c.example", Some("a@c.example")),
    ("@a.example:u@d.example", Some("u@d.example")),
    (r#"\\"#, Some(r#"\"#)),
    (r#""""#, Some("")),
    ("<a@xn--e1afmkfd.example>", Some("a@xn--e1afmkfd.example")),
    ("<a@x>", Some("a@x")),
    ("<a@b.1>", Some("a@b.1")),
    ("<a@[01.2.3.4]>", Some("a@[01.2.3.4]")),
    ("<a@[IPv6:::ffff:1.2.3.4]>", Some("a@[IPv6:::ffff:1.2.3.4]")),
    ("<a@[0.0.0.0]>", Some("a@[0.0.0.0]")),
    ("<a@[1.2.3.0004]>", Some("a@[1.2.3.0004]")),
    ("<a@[1.2.3.0000000004]>", Some("a@[1.2.3.0000000004]")),
    ("<a@[255.255.255.255]>", Some("a@[255.255.255.255]")),
    ("<a@[IPv6:1:2:3:4:5:6:7:8]>", Some("a@[IPv6:1:2:3:4:5:6:7:8]")),
    ("<a@[IPv6:01:2:3:4:5:6:7:8]>", Some("a@[IPv6:01:2:3:4:5:6:7:8]")),
    ("<a@[IPv6:::1.2.3.4]>", Some("a@[IPv6:::1.2.3.4]")),
    ("<a@[IPv6:::]>", Some("a@[IPv6:::]")),
    ("<a@[ipV6:ABCD::]>", Some("a@[ipV6:ABCD::]")),
    ("<a@b_.example>", Some("a@b_.example")),
    ("<a@_b.example>", Some("a@_b.example")),
    ("<a@b--c.example>", Some("a@b--c.example")),
    ("<a@0.example>", Some("a@0.example")),
    (r#"<a\ b@c.example>"#, Some("a b@c.example")),
    (r#"<a\@b@c.example>"#, Some("a@b@c.example")),
    (r#"<a\"b@c.example>"#, Some(r#"a"b@c.example"#)),
    (r#"<\"a@c.example>"#, Some(r#""a@c.example"#)),
    (r#"<"a\"b"@c.example>"#, Some(r#"a"b@c.example"#)),
    (r#"<"a\ b"@c.example>"#, Some("a b@c.example")),
    (r#"<"a\\">"#, Some(r#"a\"#)),
    (r#"<a\>b@c.example>"#, Some("a>b@c.example")),
    (r#"<a(b\)c)@d.example>"#, Some("a@d.example")),
    ("<(a>", Some("")),
    (r#"<a\"#, None),
    (r#"a\"#, Some("a")),
    (r#"<a\>"#, None),
    ("<Joe<@a.example:u@d.example>>", Some("@a.example:u@d.example")),
    ("<x,@y:b@c.example>", None),
    ("<@y:b@c.example,>", Some("b@c.example")),
    ("<x:@y:b@c.example>", Some("x:@y:b@c.example")),
    ("a>b@c.example", None),
    ("a@b.example<", None),
    ("<a@b.example<>", None),
    ("<>a@b.example", Some("a@b.example")),
    ("<<a@b.example>,>", Some("a@b.example")),
    ("<,,>", Some("")),
    ("<;>", Some("")),
    ("<:>", Some(":")),
    ("<;;:>", Some(":")),
    ("<a@b.example,;>", Some("a@b.example")),
    ("<@x:;>", Some("")),
    ("<@x:,>", Some("")),
    ("<x:a@b.example;y:c@d.example;>", Some("c@d.example")),
    ("<x:y:a@b.example;>", Some("a@b.example")),
    ("<x:a@b.example,c@d.example;>", None),
    ("<x:a@b.example;;>", Some("a@b.example")),
    ("<Joe Doe <a@b.example>>", Some("a@b.example")),
    (r#"<"Joe" Doe <a@b.example>>"#, Some("a@b.example")),
    ("<Joe.Doe<a@b.example>>", Some("a@b.example")),
    ("<Joe@x<a@b.example>>", Some("a@b.example")),
    ("<a@b.example(c)>", Some("a@b.example")),
    ("<(x)<a@b.example>(y)>", Some("a@b.example")),
    ("<Joe <>>", Some("")),
    ("<<a@b.example,c@d.example>>", Some("a@b.example,c@d.example")),
    ("<<a b@c.example>>", Some("ab@c.example")),
    ("<<a@c.example>(x)(y)>", Some("a@c.example")),
    (r#"<"a"(x)@c.example>"#, Some("a@c.example")),
    (r#"<"a" "b"@c.example>"#, None),
    (r#"<a@b.example "">"#, None),
    (r#"<"" "">"#, None),
    (r#"<""a@b.example>"#, None),
    (r#"<a""@b.example>"#, None),
    (r#"<a@""b.example>"#, None),
    (r#"<a@b."">"#, Some("a@b.")),
    (r#"<a@"b".example>"#, Some("a@b.example")),
    (r#"<"a@b"."c@d"@e.example>"#, Some("a@b.c@d@e.example")),
    (r#"<a@b.c\.d>"#, Some("a@b.c.d")),
    ("<a@[1.2.3.4]b>", None),
    ("<a@b[1.2.3.4]>", None),
    ("<@[1.2.3.4]>", Some("@[1.2.3.4]")),
    ("<[1.2.3.4]>", Some("[1.2.3.4]")),
    ("<[>", Some("[]")),
    ("<]>", Some("]")),
    ("<)>", Some(")")),
    ("<a[@b.example>", None),
    ("<a[@b.example]>", None),
    (r#"<"[">"#, Some("[")),
    ("<a % b@c.example>", Some("a%b@c.example")),
    (r#"<a%"b c"@c.example>"#, Some("a%b c@c.example")),
    (r#"<a!"b c"@c.example>"#, Some("a!b c@c.example")),
    ("<x%[192.0.2.9]@our.example>", Some("x%[192.0.2.9]@our.example")),
    ("<[192.0.2.9]!x>", Some("[192.0.2.9]!x")),
    ("<a / b@c.example>", None),
    (r#"<a/"b"@c.example>"#, None),
    ("<a=b[c]@d.example>", None),
];

/// Paths that `strict_rfc821_envelopes` refuses on top.
const STRICT: &[(&str, Option<&str>)] = &[
    ("a@b.example", None),
    ("a@b.example>", None),
    ("<a(comment)@c.example>", None),
    ("<(comment)a@c.example>", None),
    ("<@b.example>", None),
    ("<foo: a@b.example;>", None),
    ("<a@c.example (x)>", None),
    (r#"<""@c.example>"#, None),
    ("<(a)@b.example>", None),
    ("<()>", None),
    ("<a@b.example()>", None),
    ("<(a@b.example>", None),
    ("<a@b.example,>", None),
    ("<,a@b.example>", None),
    ("<@b@c.example>", None),
    ("<foo:a@b.example;>", None),
    ("<a@b.example;>", None),
    ("<;a@b.example>", None),
    ("<foo:;>", None),
    ("<foo: ;>", None),
    ("<Joe<a@b.example>>", None),
    ("<a.(b)c@d.example>", None),
    ("<a@[1.2.3.4](x)>", None),
    ("<@@b.example>", None),
    ("<@a@b@c.example>", None),
    ("<@a.example:@b.example:c@d.example>", None),
    ("<(((a))b)c@d.example>", None),
    (r#"<(a\\)b)c@d.example>"#, None),
    (r#""a b"@c.example"#, None),
    ("a@c.example,", None),
    ("a", None),
    ("()", None),
    ("(x)a@c.example", None),
    ("a(x)@c.example", None),
    ("@a.example:u@d.example", None),
    (r#"\\"#, None),
    (r#""""#, None),
    (r#"<a(b\)c)@d.example>"#, None),
    ("<(a>", None),
    (r#"a\"#, None),
    ("<Joe<@a.example:u@d.example>>", None),
    ("<@y:b@c.example,>", None),
    ("<>a@b.example", None),
    ("<<a@b.example>,>", None),
    ("<,,>", None),
    ("<;>", None),
    ("<;;:>", None),
    ("<a@b.example,;>", None),
    ("<@x:;>", None),
    ("<@x:,>", None),
    ("<x:a@b.example;y:c@d.example;>", None),
    ("<x:y:a@b.example;>", None),
    ("<x:a@b.example;;>", None),
    ("<Joe Doe <a@b.example>>", None),
    (r#"<"Joe" Doe <a@b.example>>"#, None),
    ("<Joe.Doe<a@b.example>>", None),
    ("<Joe@x<a@b.example>>", None),
    ("<a@b.example(c)>", None),
    ("<(x)<a@b.example>(y)>", None),
    ("<Joe <>>", None),
    ("<<a@c.example>(x)(y)>", None),
    (r#"<"a"(x)@c.example>"#, None),
    ("<@[1.2.3.4]>", None),
];

fn check(path: &str, syntax: PathSyntax, expect: Option<&str>) {
    let got = Address::parse_path(path.as_bytes(), syntax).ok();
    assert_eq!(got.as_ref().map(Address::as_str), expect, "{path} {syntax:?}");
}

#[test]
fn paths() {
    for (path, expect) in TOLERANT {
        check(path, PathSyntax::Rfc822, *expect);
        let refused = expect.is_none() || STRICT.iter().any(|(strict, _)| strict == path);
        check(path, PathSyntax::Rfc821, expect.filter(|_| !refused));
    }
}

#[test]
fn bytes() {
    check("<a\0b@c.example>", PathSyntax::Rfc822, None);
    check("<aé@c.example>", PathSyntax::Rfc821, Some("aé@c.example"));
    assert_eq!(Address::parse_path(b"<a\xe9@c.example>", PathSyntax::Rfc822), Err(PathError::Bytes));
}

#[test]
fn external_form() {
    let check = |internal: &str, expect: &str| {
        assert_eq!(Address::from_internal(internal).to_external(), expect);
    };
    check("", "");
    check("a@b.example", "a@b.example");
    check("a", "a");
    check("@b.example", r#"""@b.example"#);
    check("a b@c.example", r#""a b"@c.example"#);
    check("a@b@c.example", r#""a@b"@c.example"#);
    check("a.@c.example", r#""a."@c.example"#);
    check("a..b@c.example", r#""a..b"@c.example"#);
    check("a:b@c.example", r#""a:b"@c.example"#);
    check("a]@c.example", r#""a]"@c.example"#);
    check(r#"a"b\@c.example"#, r#""a\"b\\"@c.example"#);
    check("a%b!c@d.example", "a%b!c@d.example");
    check("aé@c.example", "aé@c.example");
}

/// What is read, written in external form and read again is the same; and nothing panics.
#[test]
fn mutated_paths() {
    let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
    let alphabet = b"<>\"\\()[]@.,;: ab%!\x00\xc3\xa9-\t\r\n";
    for _ in 0..20_000 {
        let mut path = Vec::new();
        let mut next = || {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            usize::try_from(seed >> 33).unwrap()
        };
        for _ in 0..next() % 24 {
            path.push(alphabet[next() % alphabet.len()]);
        }
        fuzz_path(&path);
    }
}

/// Whoever wrote it: a client in quotes, a filter, a spool of an earlier version.
#[test]
fn no_address_ends_a_line() {
    for (internal, expect) in [
        ("a\rb@x.test", "\"a b\"@x.test"),
        ("a\nb@x.test", "\"a b\"@x.test"),
        ("a@x.test\r\nRSET", "a@x.test  RSET"),
        ("a\0b", "\"a b\""),
        ("a\tb@x.test", "\"a\tb\"@x.test"),
    ] {
        assert_eq!(Address::from_internal(internal).to_external(), expect, "{internal:?}");
    }
    let quoted = Address::parse_path(b"<\"a\rb\"@x.test>", PathSyntax::Rfc822).unwrap();
    assert_eq!(quoted.as_str(), "a b@x.test");
    let odd = Address::from_internal("a\nFrom b@x.test\nSubject: x");
    let zone = crate::time::Zone::utc();
    let from = crate::delivered::from_line(&odd, crate::Wall(0), &zone);
    assert_eq!(from.matches('\n').count(), 1, "{from:?}");
    let headers = crate::message::delivery_headers(&odd, Some(&odd), &odd);
    assert_eq!(headers.matches('\n').count(), 3, "{headers:?}");
}
