//! What Postfix 3.7's cleanup makes of 380 headers: `cases.txt` has each and, below it, what was delivered.

use super::*;

const CASES: &str = include_str!("cases.txt");

/// `\x1f`, `\n`, `\t` and `\\`; other characters below U+0100 are bytes.
fn bytes(text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        let c = match c {
            '\\' => match rest.next().expect("an escape") {
                'n' => '\n',
                't' => '\t',
                'x' => {
                    let digits: String = rest.by_ref().take(2).collect();
                    char::from(u8::from_str_radix(&digits, 16).expect("two digits"))
                }
                other => other,
            },
            c => c,
        };
        out.push(u8::try_from(u32::from(c)).expect("a byte"));
    }
    out
}

/// What the oracle was told: `myorigin`, and one address that is another.
fn rewritten(member: Member<'_>) -> Address {
    let text = member.address.as_str();
    if !member.has_domain && !text.is_empty() {
        return Address::from_internal(format!("{text}@mx.example.com"));
    }
    let text = match text.split_once(':') {
        Some((_, rest)) if text.starts_with('@') => rest,
        _ => text,
    };
    if text.is_empty() {
        return Address::null();
    }
    let mut text = if text.contains('@') { text.to_owned() } else { format!("{text}@mx.example.com") };
    if text.ends_with('.') && !text.ends_with("..") {
        text.pop();
    }
    if text == "k@canon.test" {
        text = "RCPT@new.test".to_owned();
    }
    Address::from_internal(text)
}

fn through(header: &[u8]) -> Vec<u8> {
    let header = crate::header::Header::parse(header).expect("a header");
    let mut list = AddressList::parse(header.value, 10_240);
    let done: Result<(), ()> = list.replace(|member| Ok(Some(rewritten(member))));
    assert_eq!(done, Ok(()));
    if list.is_changed() { list.render(header.name) } else { [b"Cc:", header.value].concat() }
}

#[test]
fn as_postfix_rewrites_them() {
    let mut lines = CASES.lines();
    let mut wrong = Vec::new();
    while let (Some(from), Some(to)) = (lines.next(), lines.next()) {
        let header = bytes(from);
        let to = if to == "=" { from } else { to };
        let got = through(&header);
        let (got, want) = (got.get(3..).expect("a name"), bytes(to));
        if Some(got) != want.get(3..) {
            wrong.push(format!("{from}\n  {to}\n  {}", String::from_utf8_lossy(got).escape_debug()));
        }
    }
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn what_is_beyond_the_limit_is_lost() {
    let mut list = AddressList::parse(b"zz, aa@bb.cc, aa@bb.cc, x@y.z", 8);
    assert_eq!(list.addresses().map(Address::as_str).collect::<Vec<_>>(), ["zz", "aa@bb.cc"]);
    let done: Result<(), ()> = list.replace(|member| Ok(Some(rewritten(member))));
    assert_eq!(done, Ok(()));
    assert_eq!(list.render("Cc"), b"Cc: zz@mx.example.com, aa@bb.cc, ");
}

#[test]
fn an_error_changes_nothing() {
    let mut list = AddressList::parse(b"a@x.test, b@x.test", 100);
    let failed = list.replace(|member| match member.address.local() {
        "a" => Ok(Some(Address::from_internal("c@x.test"))),
        _ => Err(7),
    });
    assert_eq!(failed, Err(7));
    assert!(!list.is_changed());
    assert_eq!(list.render("To"), b"To: a@x.test, b@x.test");
}

#[test]
fn any_bytes() {
    let alphabet = b"ab@<>(),;:.\"\\[] \t\n%!\xe9";
    let mut seed = 1_u64;
    for _ in 0..5_000 {
        let mut text = Vec::new();
        for _ in 0..24 {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let at = usize::try_from(seed >> 33).expect("fits") % alphabet.len();
            text.extend(alphabet.get(at));
        }
        fuzz_list(&text);
    }
}
