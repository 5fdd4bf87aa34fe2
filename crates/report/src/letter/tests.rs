use super::*;
use crate::page::tests::{HOSTILE, VOID, sheet, tags};

#[test]
fn markup_is_whole_and_holds_nothing_that_mail_programs_drop() {
    let usual = tags(&html(&sheet("Mail"))).len();
    for word in ["Mail", HOSTILE, "\u{202e}"] {
        let html = html(&sheet(word));
        let mut open: Vec<String> = Vec::new();
        let found = tags(&html);
        assert_eq!(found.len(), usual, "text makes no tags");
        for (name, attributes) in found {
            assert!(
                !["svg", "script", "style", "img", "link", "details", "a"].contains(&name.as_str()),
                "{name}"
            );
            assert!(
                attributes.iter().all(|(key, _)| !key.starts_with("on") && key != "src" && key != "href")
            );
            if let Some(name) = name.strip_prefix('/') {
                assert_eq!(open.pop().as_deref(), Some(name));
            } else if !VOID.contains(&name.as_str()) {
                open.push(name);
            }
        }
        assert!(open.is_empty());
        assert!(!html.contains("url("));
    }
}

#[test]
fn one_message_with_both() {
    let found = letter(&sheet(HOSTILE), "20261122.1A2B@x\"y");
    assert!(found.subject.is_ascii() && !found.subject.contains('\n') && found.subject.len() <= SUBJECT_MAX);
    assert!(found.head.contains("boundary=\"=_20261122.1A2Bxy\"\n"));
    let parts: Vec<&str> = found.body.split("--=_20261122.1A2Bxy").collect();
    assert_eq!((parts.len(), parts[0], parts[3]), (4, "", "--\n"));
    for (part, kind) in parts[1..3].iter().zip(["plain", "html"]) {
        let (head, content) = part.split_once("\n\n").unwrap();
        let expect = format!(
            "\nContent-Type: text/{kind}; charset=utf-8\nContent-Transfer-Encoding: quoted-printable"
        );
        assert_eq!(head, expect);
        assert!(!content.is_empty());
    }
    for line in found.body.lines() {
        assert!(line.is_ascii() && line.len() <= 76 && !line.starts_with('.') && !line.starts_with("From "));
    }
}

#[test]
fn mail_says_when_it_matters() {
    let mut calm = sheet("Mail");
    calm.unusual.clear();
    assert_eq!(letter(&calm, "1").subject, "Mail, Mail");
    assert_eq!(letter(&sheet("Mail"), "1").subject, "Out of the ordinary: Mail, Mail");
}
