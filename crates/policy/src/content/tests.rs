//! What each action comes to; the same are played against Postfix in tests/dialogues/content.

use super::*;

fn judged(place: Place, part: Part, value: &str) -> Judgement {
    let list = List::default();
    let (header, mime, nested, body) = (list.clone(), list.clone(), list.clone(), list);
    Checks { place, header, mime, nested, body, body_bytes_max: 100, passes_limit: true }.act(
        part,
        "header_checks",
        value.as_bytes(),
    )
}

#[test]
fn actions() {
    let header = Part::Header(Class::Primary);
    let check = |value: &str, expect: (Text, Option<Effect>, Option<&str>, Option<&str>)| {
        let got = judged(Place::Arrival, header, value);
        let said = got.said.map(|(word, text)| format!("{word}: {}", String::from_utf8_lossy(&text)));
        let (text, effect, line, warning) = expect;
        assert_eq!((got.text, got.effect), (text, effect), "{value:?}");
        assert_eq!((said.as_deref(), got.warning.as_deref()), (line, warning), "{value:?}");
    };
    let refused = |code, dsn: (u8, u16, u16), text: &str| {
        Some(Effect::Reject(Reply::new(code, Dsn::new(dsn.0, dsn.1, dsn.2), text)))
    };
    check("DUNNO", (Text::Kept, None, None, None));
    check("ok", (Text::Kept, None, None, None));
    check("IGNORE", (Text::Dropped, None, None, None));
    check("STRIP why", (Text::Dropped, None, Some("strip: why"), None));
    check("WARN", (Text::Kept, None, Some("warning: "), None));
    check("info  a b", (Text::Kept, None, Some("info: a b"), None));
    check("HOLD", (Text::Kept, Some(Effect::Hold), Some("hold: "), None));
    check("DISCARD x", (Text::Kept, Some(Effect::Discard), Some("discard: x"), None));
    check("PASS", (Text::Kept, Some(Effect::Pass), Some("pass: "), None));
    check("REPLACE A: b", (Text::Replaced(b"A: b".to_vec()), None, Some("replace: A: b"), None));
    check("PREPEND A: b", (Text::Prepended(b"A: b".to_vec()), None, Some("prepend: A: b"), None));
    check("FILTER a:b", (Text::Kept, Some(Effect::Filter("a:b".to_owned())), Some("filter: a:b"), None));
    check("BCC a@b", (Text::Kept, Some(Effect::Bcc("a@b".to_owned())), Some("bcc: a@b"), None));
    check(
        "REDIRECT a@b",
        (Text::Kept, Some(Effect::Redirect("a@b".to_owned())), Some("redirect: a@b"), None),
    );
    let said = "reject: 5.7.1 message content rejected";
    check("REJECT", (Text::Kept, refused(550, (5, 7, 1), "message content rejected"), Some(said), None));
    check("REJECT 4.7.3 x", (Text::Kept, refused(451, (4, 7, 3), "x"), Some("reject: 4.7.3 x"), None));
    check("REJECT 5.7.0", (Text::Kept, refused(550, (5, 7, 0), ""), Some("reject: 5.7.0 "), None));
    check("REJECT 5.7 x", (Text::Kept, refused(550, (5, 7, 1), "5.7 x"), Some("reject: 5.7.1 5.7 x"), None));
    check(
        "REJECT a\u{7f}\nb",
        (Text::Kept, refused(550, (5, 7, 1), "a  b"), Some("reject: 5.7.1 a\u{7f}\nb"), None),
    );
    let warning = "bad DSN action in 2.0.0 odd -- need 4.x.x or 5.x.x";
    check(
        "REJECT 2.0.0 odd",
        (Text::Kept, refused(451, (4, 0, 0), "odd"), Some("reject: 4.0.0 odd"), Some(warning)),
    );
    for (value, warning) in [
        ("550 no", "unknown command in header_checks map: 550 no"),
        ("REPLACE", "REPLACE action without text in header_checks map"),
        (
            "PREPEND x",
            "bad PREPEND header text \"x\" in header_checks map -- need \"headername: headervalue\"",
        ),
        ("FILTER", "missing FILTER command argument in header_checks map"),
        ("FILTER x", "bad FILTER command x in header_checks -- need transport:destination"),
        ("BCC x", "bad BCC address \"x\" in header_checks map -- need user@domain"),
        ("REDIRECT", "bad REDIRECT target \"\" in header_checks map -- need user@domain"),
    ] {
        check(value, (Text::Kept, None, None, Some(warning)));
    }
    assert_eq!(judged(Place::Arrival, Part::Body, "PREPEND x").text, Text::Prepended(b"x".to_vec()));
    let reject = judged(Place::Delivery, header, "REJECT no");
    assert_eq!(reject.warning.as_deref(), Some("unsupported command in header_checks map: REJECT no"));
    assert_eq!((reject.text, reject.effect), (Text::Kept, None));
}
