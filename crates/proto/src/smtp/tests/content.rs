//! Content decoding: smuggling shapes and chunk bounds.

use crate::smtp::BareNewline::{self, Allow, Normalize, Reject};
use crate::smtp::content::{CHUNK_BYTES_MAX, Content, Fed};

/// Decodes `wire` whole and byte by byte; gives the content and what was left behind the end of data.
fn decode(mode: BareNewline, wire: &[u8]) -> Option<(Vec<u8>, Vec<u8>)> {
    let run = |cut: usize| {
        let mut content = Content::new(mode, 0);
        let mut body = Vec::new();
        let mut used = 0;
        for piece in wire.chunks(cut) {
            let fed = content.data(piece);
            body.extend(content.take_ready().flatten());
            match fed {
                Fed::More => used += piece.len(),
                Fed::End(bytes) => {
                    body.extend(content.take_rest().unwrap_or_default());
                    return Some((body, wire[used + bytes..].to_vec()));
                }
            }
        }
        None
    };
    let whole = run(wire.len().max(1));
    assert_eq!(whole, run(1), "{wire:?}");
    whole
}

#[track_caller]
fn check(mode: BareNewline, wire: &str, expect: Option<(&str, &str)>) {
    let seen = decode(mode, wire.as_bytes());
    let seen = seen.map(|(body, rest)| (String::from_utf8(body).unwrap(), String::from_utf8(rest).unwrap()));
    assert_eq!(seen, expect.map(|(body, rest)| (body.to_owned(), rest.to_owned())), "{mode:?} {wire:?}");
}

/// Every shape in which one server's end of data was another's content. Only `<CR><LF>.<CR><LF>` ends it.
#[test]
fn smuggling() {
    let ends = [
        "\n.\n",
        "\n.\r\n",
        "\r\n.\n",
        "\r.\r",
        "\r\n.\r",
        "\n.\r",
        "\r.\r\n",
        "\r.\n",
        "\0\r\n.\0\r\n",
        "\r\n.\r\r\n",
        "\r\n\0.\r\n",
        "\r\r\n.\n",
    ];
    for mode in [Normalize, Reject(550)] {
        for end in ends {
            let wire = format!("a{end}MAIL FROM:<smuggled@example>\r\n.\r\nQUIT\r\n");
            let (body, rest) = decode(mode, wire.as_bytes()).unwrap();
            assert_eq!(rest, b"QUIT\r\n", "{mode:?} {end:?}");
            let body = String::from_utf8(body).unwrap();
            assert!(body.contains("smuggled"), "{mode:?} {end:?}");
            // Nor do we pass on a line that somebody else could take for the end.
            assert!(!body.contains("\n.\n") && !body.contains("\n.\r\n"), "{mode:?} {end:?} {body:?}");
        }
    }
}

#[test]
fn lines() {
    check(Normalize, ".\r\n", Some(("", "")));
    check(Normalize, "a\r\n.\r\nb", Some(("a\n", "b")));
    check(Normalize, "..\r\n.a\r\n...\r\n.\r\n", Some((".\na\n..\n", "")));
    check(Normalize, "a\n.\nb\r\n.\r\n", Some(("a\nb\n", "")));
    check(Normalize, "a\rb\r\r\n.\r\n", Some(("a\rb\r\n", "")));
    check(Normalize, "a\r\n.", None);
    check(Allow, "a\n.\nb", Some(("a\n", "b")));
    check(Allow, "a\r\r\n.\r\r\nb", Some(("a\n", "b")));
}

#[test]
fn chunks_are_bounded_and_buffers_come_back() {
    let mut content = Content::new(Normalize, 0);
    let long = vec![b'x'; 3 * CHUNK_BYTES_MAX + 7];
    assert_eq!(content.data(&long), Fed::More);
    let chunks: Vec<Vec<u8>> = content.take_ready().collect();
    assert_eq!(chunks.iter().map(Vec::len).collect::<Vec<_>>(), [CHUNK_BYTES_MAX; 3]);
    for chunk in chunks {
        content.recycle(chunk);
    }
    assert!(content.heap_bytes() <= 5 * CHUNK_BYTES_MAX, "{}", content.heap_bytes());
}

#[test]
fn size_limit() {
    for (limit, wire, too_large) in
        [(5, "abc\r\n.\r\n", false), (4, "abc\r\n.\r\n", true), (0, "abc\r\n.\r\n", false)]
    {
        let mut content = Content::new(Normalize, limit);
        assert_eq!(content.data(wire.as_bytes()), Fed::End(wire.len()));
        assert_eq!(content.too_large(), too_large, "{limit}");
        assert_eq!(content.take_rest().is_some(), !too_large);
    }
}
