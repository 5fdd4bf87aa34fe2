//! What the pieces of messages are; the same messages stand in tests/dialogues/content, where Postfix reads them too.

use super::*;
use crate::message::{Cleanup, CleanupSettings};
use proptest::prelude::*;
use std::sync::Arc;

const SETTINGS: Settings = Settings {
    header_bytes_max: 60,
    keeps_lines: false,
    nesting_max: 1,
    boundary_max: 8,
    structure: Structure::Parts,
    faults: Faults { header_8bit: true, body_8bit: true, encoding: true, nesting: true },
};

fn events(message: &[u8], settings: Settings, chunk: usize) -> Vec<(Event, Vec<u8>)> {
    let (mut pieces, mut reader) = (Pieces::new(100), Reader::new(settings));
    let (mut all, mut some) = (Vec::new(), Vec::new());
    for mut chunk in message.chunks(chunk.max(1)) {
        while let Some(piece) = pieces.next(&mut chunk) {
            reader.piece(&piece.text, piece.ends, &mut some);
            all.extend(some.drain(..).map(|event| (event, piece.text.to_vec())));
        }
    }
    if let Some(rest) = pieces.rest() {
        reader.piece(&rest, true, &mut some);
        all.extend(some.drain(..).map(|event| (event, rest.clone())));
    }
    reader.end(&mut some);
    all.extend(some.drain(..).map(|event| (event, Vec::new())));
    all
}

/// `P`, `M`, `N` before a header, `.` the end of the message's own, `b` and the offset before text, `!` before a fault.
fn shown(message: &[u8], settings: Settings) -> String {
    let lines = events(message, settings, 7).into_iter().map(|(event, text)| {
        let lossy = |text: &[u8]| String::from_utf8_lossy(text).replace('\n', "\\n");
        match event {
            Event::Header { class, text, .. } => match class {
                Class::Primary => format!("P {}", lossy(&text)),
                Class::Mime => format!("M {}", lossy(&text)),
                Class::Nested => format!("N {}", lossy(&text)),
            },
            Event::HeadersEnd => ".".to_owned(),
            Event::MissingBlank => "+".to_owned(),
            Event::Body { offset } => format!("b{offset} {}", lossy(&text)).trim_end().to_owned(),
            Event::Fault(fault, text) => format!("! {fault:?} {}", lossy(&text)),
        }
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn what_pieces_are() {
    let check = |message: &str, expect: &[&str]| {
        assert_eq!(shown(message.as_bytes(), SETTINGS).lines().collect::<Vec<_>>(), expect, "{message:?}");
    };
    check("", &["."]);
    check("\nb\n", &[".", "b0", "b1 b"]);
    check("A : 1\n\t2\nno\n", &["P A: 1\\n\t2", ".", "+", "b0 no"]);
    check(" A: 1\n", &[".", "+", "b0  A: 1"]);
    check("From x\nA:1\n", &["P X-Mailbox-Line: From x", "P A:1", "."]);
    check("From x\n y\n", &["P X-Mailbox-Line: From x", ".", "+", "b0  y"]);
    check("A: 1\0 2\n\nx\n", &["P A: 1", ".", "b0", "b1 x"]);
    check(
        "A: 1\nmime-version: 1\nContent-MD5: x\ncontent-id: y\n",
        &["P A: 1", "M mime-version: 1", "P Content-MD5: x", "M content-id: y", "."],
    );
    // The first piece is whole, whatever the limit; a line without room is dropped with those behind it.
    let long = format!("L: {}\n more\nM: 1\n {}\n 2\n\n", "a".repeat(70), "b".repeat(55));
    check(&long, &[&format!("P L: {}", "a".repeat(70)), "P M: 1", ".", "b0"]);
    check(
        &format!("{}\nx\n", "a".repeat(205)),
        &[
            ".",
            "+",
            &format!("b0 {}", "a".repeat(100)),
            &format!("b100 {}", "a".repeat(100)),
            "b200 aaaaa",
            "b206 x",
        ],
    );
}

#[test]
fn parts() {
    let check = |message: &str, expect: &[&str]| {
        assert_eq!(shown(message.as_bytes(), SETTINGS).lines().collect::<Vec<_>>(), expect, "{message:?}");
    };
    check(
        "Content-Type: multipart/x; boundary=b\n\np\n--b\nX: 1\n\nt\n--b--\ne\n",
        &[
            "M Content-Type: multipart/x; boundary=b",
            ".",
            "b0",
            "b1 p",
            "b3 --b",
            "M X: 1",
            "b0",
            "b1 t",
            "b0 --b--",
            "b6 e",
        ],
    );
    check(
        "Content-Type: multipart/digest; boundary=b\n\n--b\n\nX: 1\n\n--b\nY: 1\nno\n--bb\n",
        &[
            "M Content-Type: multipart/digest; boundary=b",
            ".",
            "b0",
            "b1 --b",
            "b0",
            "N X: 1",
            "b0",
            "b1 --b",
            "M Y: 1",
            "b0 no",
            "b3 --bb",
        ],
    );
    // An attached message, its own parts; a boundary that ends two of them.
    check(
        "Content-Type: multipart/x; boundary=a\n\n--a\nContent-Type: message/rfc822\n\nS: 1\n\
         Content-Type: multipart/x; boundary=b\n\n--b\nT: 2\n--a--\nend\n",
        &[
            "M Content-Type: multipart/x; boundary=a",
            ".",
            "b0",
            "b1 --a",
            "M Content-Type: message/rfc822",
            "b0",
            "N S: 1",
            "M Content-Type: multipart/x; boundary=b",
            "b0",
            "b1 --b",
            "M T: 2",
            "b0 --a--",
            "b6 end",
        ],
    );
    // Only so much of a boundary counts; one that begins like another, inner one.
    check(
        "Content-Type: multipart/x; boundary=123456789\n\n--12345678x\nX: 1\n",
        &["M Content-Type: multipart/x; boundary=123456789", ".", "b0", "b1 --12345678x", "M X: 1"],
    );
}

#[test]
fn faults() {
    let check = |message: &[u8], expect: &str| {
        let shown = shown(message, SETTINGS);
        let faults: Vec<&str> = shown.lines().filter(|line| line.starts_with('!')).collect();
        assert_eq!(faults.join(", "), expect, "{}", String::from_utf8_lossy(message));
    };
    check(b"S: \xe9\nT: \xe9\n\nok\n", "! Header8Bit S: \u{fffd}");
    check(b"S: 1\n\n\xe9\n\xe8\n", "! Body8Bit \u{fffd}");
    for fine in ["8bit", "binary", "base64", "quoted-printable", "(c) 8BIT x"] {
        check(format!("Content-Transfer-Encoding: {fine}\n\né\n").as_bytes(), "");
    }
    for not in ["7bit", "x", "\"8bit\""] {
        check(format!("Content-Transfer-Encoding: {not}\n\né\n").as_bytes(), "! Body8Bit é");
    }
    let outer = "Content-Type: multipart/x; boundary=b\nContent-Transfer-Encoding: 8bit\n\n";
    check(format!("{outer}é\n").as_bytes(), "! Body8Bit é");
    check(format!("{outer}--b\nContent-Transfer-Encoding: 8bit\n\né\n--b\n\n").as_bytes(), "");
    check(format!("{outer}--b\nContent-Transfer-Encoding: 8bit\n\n\n--b--\né\n").as_bytes(), "! Body8Bit é");
    check(b"Content-Type: message/rfc822\nContent-Transfer-Encoding: BASE64\n\n", "! Encoding base64");
    check(b"Content-Type: message/partial\nContent-Transfer-Encoding: base64\n\n", "");
    let deep = (0..5)
        .fold(String::new(), |all, n| format!("{all}Content-Type: multipart/x; boundary=b{n}\n\n--b{n}\n"));
    check(deep.as_bytes(), "! Nesting Content-Type: multipart/x; boundary=b3");
    let flat = Settings { structure: Structure::Flat, ..SETTINGS };
    assert_eq!(
        shown("S: é\nContent-Type: message/rfc822\n\nS: é\n".as_bytes(), flat),
        "P S: é\nM Content-Type: message/rfc822\n.\nb0\nb1 S: é"
    );
}

/// Headers of our own come before those that were sent: a blank at the beginning of these goes on with none of ours.
#[test]
fn own_headers_first() {
    let mut reader = Reader::new(SETTINGS);
    let mut events = Vec::new();
    reader.piece(b"Received: x", true, &mut events);
    reader.content_begins();
    reader.piece(b" A: 1", true, &mut events);
    let kinds = events.iter().map(|event| matches!(event, Event::Header { .. })).collect::<Vec<_>>();
    assert_eq!(kinds, [true, false, false, false], "{events:?}");
}

/// Messages that are meant to hurt: no more is held than a header, and the time grows with the length alone.
#[test]
fn torture() {
    let limits = Settings { header_bytes_max: 102_400, nesting_max: 100, boundary_max: 2048, ..SETTINGS };
    let run = |line: &dyn Fn(usize) -> String, count: usize| {
        let (mut pieces, mut reader, mut events) = (Pieces::new(2048), Reader::new(limits), Vec::new());
        let mut bodies = 0_usize;
        for n in 0..count {
            let text = line(n);
            let mut chunk = text.as_bytes();
            while let Some(piece) = pieces.next(&mut chunk) {
                reader.piece(&piece.text, piece.ends, &mut events);
                bodies += events.drain(..).filter(|event| matches!(event, Event::Body { .. })).count();
            }
            let held = reader.header.len()
                + reader.boundaries.iter().map(|boundary| boundary.text.len()).sum::<usize>();
            assert!(held < 102_400 + 2048 + 110 * 2048, "{held} bytes");
        }
        bodies
    };
    // 10,000 deep.
    let deep = |n: usize| format!("Content-Type: multipart/x; boundary=b{n:05}\n\n--b{n:05}\n");
    assert_eq!(run(&deep, 10_000), 29_897);
    // A million parts.
    let parts = |n: usize| match n {
        0 => "Content-Type: multipart/x; boundary=b\n\n".to_owned(),
        _ => "--b\nX: 1\n\n".to_owned(),
    };
    assert_eq!(run(&parts, 1_000_000), 2_000_000 - 1);
    // A header of 100 MB in one line, and in continuations.
    let block = "x".repeat(100_000);
    assert_eq!(run(&|n| if n == 0 { "X: ".to_owned() } else { block.clone() }, 1_000), 0);
    assert_eq!(run(&|n| if n == 0 { "X: \n".to_owned() } else { format!(" {block}\n") }, 1_000), 0);
    // Boundaries that begin like each other.
    let prefixes = |n: usize| {
        format!("Content-Type: multipart/x; boundary=\"{}\"\n\n--{}", "b".repeat(n), "b".repeat(n))
    };
    run(&prefixes, 2_000);
}

/// What comes out of a message when nothing is checked.
fn through(message: &[u8], chunk: usize) -> (Vec<u8>, crate::message::Summary) {
    let settings = Arc::new(CleanupSettings { header_bytes_max: 1_000, ..CleanupSettings::default() });
    let limits = Settings { header_bytes_max: 1_000, ..SETTINGS };
    let (mut cleanup, mut out) = (Cleanup::new(settings, None), Vec::new());
    let mut reader = Reader::new(limits);
    let mut pieces = Pieces::new(100);
    let mut some = Vec::new();
    let mut put = |events: &mut Vec<Event>, text: &[u8], ends: bool, out: &mut Vec<u8>| {
        for event in events.drain(..) {
            match event {
                Event::Header { is_top: true, text, .. } => cleanup.header(&text, out),
                Event::Header { text, .. } => out.extend([&text[..], b"\n"].concat()),
                Event::HeadersEnd => cleanup.end_of_headers(out),
                Event::MissingBlank => out.push(b'\n'),
                Event::Body { .. } => {
                    out.extend(text.iter().map(|&b| if b == b'\r' { b' ' } else { b }));
                    out.extend(ends.then_some(b'\n'));
                }
                Event::Fault(..) => {}
            }
        }
    };
    for mut chunk in message.chunks(chunk.max(1)) {
        while let Some(piece) = pieces.next(&mut chunk) {
            reader.piece(&piece.text, piece.ends, &mut some);
            put(&mut some, &piece.text, piece.ends, &mut out);
        }
    }
    let rest = pieces.rest();
    if let Some(rest) = &rest {
        reader.piece(rest, false, &mut some);
        put(&mut some, rest, false, &mut out);
    }
    reader.end(&mut some);
    put(&mut some, &[], false, &mut out);
    (out, cleanup.summary())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, max_shrink_time: 2_000, ..ProptestConfig::default() })]

    /// A message that is read for its parts comes out as one that isn't, however it is cut up.
    #[test]
    fn nothing_is_changed(
        lines in prop::collection::vec(
            prop_oneof![
                Just("A: 1"), Just(" b"), Just("\tc"), Just(""), Just("text"), Just("From x"), Just("--b"), Just("--b--"),
                Just("Content-Type: text/plain; x=y"), Just("Received: x"), Just("Bcc: x"), Just("e \r f"),
                Just("Resent-From: x"), Just(":"), Just("Message-Id: <1>"), Just("Subject: é"),
            ],
            0..12,
        ),
        chunk in 1_usize..40,
    ) {
        let message = lines.iter().flat_map(|line| [*line, "\n"]).collect::<String>();
        let settings = CleanupSettings { header_bytes_max: 1_000, ..CleanupSettings::default() };
        let mut cleanup = Cleanup::new(Arc::new(settings), None);
        let mut out = Vec::new();
        cleanup.feed(message.as_bytes(), &mut out);
        let summary = cleanup.finish(&mut out);
        let read = through(message.as_bytes(), chunk);
        prop_assert_eq!(String::from_utf8_lossy(&read.0), String::from_utf8_lossy(&out));
        prop_assert_eq!(read.1, summary);
    }
}
