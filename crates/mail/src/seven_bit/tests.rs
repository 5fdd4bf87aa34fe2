//! Conversions; whole messages are compared with Postfix's in `tests/dialogues/nexthop`.

use super::*;

fn converted(message: &str) -> Result<String, TooDeep> {
    let (mut conversion, mut out) =
        (SevenBit::new(Limits { nesting_max: 1, ..Limits::default() }), Vec::new());
    conversion.push(message.as_bytes(), &mut out)?;
    conversion.end(&mut out)?;
    Ok(String::from_utf8_lossy(&out).into_owned())
}

fn check(message: &str, expect: &str) {
    assert_eq!(converted(message).as_deref(), Ok(expect), "{message:?}");
}

#[test]
fn parts() {
    check("A: b\n\né\n", "A: b\n\né\n");
    check(
        "Content-Transfer-Encoding: 8bit\nA: b\n\né \n",
        "A: b\nContent-Transfer-Encoding: quoted-printable\n\n=C3=A9=20\n",
    );
    check("Content-Transfer-Encoding: 8bit", "Content-Transfer-Encoding: quoted-printable\n");
    check("", "");
    let part = "--x\nContent-Transfer-Encoding: binary\n\n=\n";
    let quoted = "--x\nContent-Transfer-Encoding: quoted-printable\n\n=3D\n";
    check(
        &format!("Content-Type: multipart/mixed; boundary=x\n\n{part}--x\n\né\n--x--\n{part}"),
        &format!("Content-Type: multipart/mixed; boundary=x\n\n{quoted}--x\n\né\n--x--\n{part}"),
    );
}

/// As Postfix 3.7 has them.
#[test]
fn odd_boundaries() {
    let part = "--x\nContent-Transfer-Encoding: 8bit\n\né\n--x--\n";
    let quoted = "--x\nContent-Transfer-Encoding: quoted-printable\n\n=C3=A9\n--x--\n";
    for head in [
        "Content-Type: multipart/mixed; boundary=x\nContent-Type: text/plain\n\n",
        "Content-Type: multipart/mixed; boundary=x\nContent-Type: multipart/mixed; boundary=y\n\n",
        "Content-Type: multipart/mixed; boundary=\"\"\n\n",
    ] {
        check(&format!("{head}{part}"), &format!("{head}{quoted}"));
    }
    let hyphens =
        "Content-Type: multipart/mixed; boundary=\"\"\n\n--\nContent-Transfer-Encoding: 8bit\n\né\n";
    check(hyphens, hyphens);
}

#[test]
fn depth() {
    let message = |levels: usize| -> String {
        (0..levels).map(|at| format!("Content-Type: multipart/x; boundary=b{at}\n\n--b{at}\n")).collect()
    };
    assert!(converted(&message(3)).is_ok());
    assert_eq!(converted(&message(4)), Err(TooDeep));
}

#[test]
fn kinds() {
    let check = |text: &str, expect: Content| assert_eq!(content(text.as_bytes(), 4), expect, "{text}");
    let multipart = |boundary: Option<&str>, is_digest| Content::Multipart {
        boundary: boundary.map(|text| text.as_bytes().to_vec()),
        is_digest,
    };
    check(" text/plain; boundary=x", Content::Plain);
    check(" Multipart/Digest; (boundary=a) BOUNDARY = \"a\\\"b\"; boundary=c", multipart(Some("a\"b"), true));
    check(" multipart/mixed; boundary=abcdef", multipart(Some("abcd"), false));
    check(" multipart/mixed boundary=a", multipart(None, false));
    check(" multipart; boundary=\"\"", multipart(Some(""), false));
    check(" message/RFC822", Content::Message);
    check(" message/global", Content::Plain);
    check(" message/partial; (", Content::OtherMessage);
    check("", Content::Plain);
}

#[test]
fn mutations() {
    let seed = b"Content-Type: multipart/digest; boundary=\"b (c)\"\nContent-Transfer-Encoding: 8bit\n\n--b (c)\n\n\
        Content-Type: multipart/x; boundary=i\n\n--i\nContent-Transfer-Encoding: 8bit\nX: y\n z\n\n\xe9 \t\n..\n--i--\n--b (c)--\n";
    let mut state = 7_u64;
    let mut dice = move |sides: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state % u64::try_from(sides.max(1)).unwrap_or(1)).unwrap_or(0)
    };
    for _ in 0..3000 {
        let mut message = seed.to_vec();
        for _ in 0..=dice(8) {
            let at = dice(message.len());
            match dice(4) {
                0 => message[at] = b"\n-:;=\" \xff"[dice(8)],
                1 => drop(message.remove(at)),
                2 => message.insert(at, b"\n-(\x00"[dice(4)]),
                _ => {
                    let end = at + dice(message.len() - at);
                    let copy = message[at..end].to_vec();
                    message.splice(at..at, copy);
                }
            }
        }
        fuzz(&message);
    }
}
