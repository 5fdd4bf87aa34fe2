//! Messages that are made to harm who reads their parts: all the way in, with every check on, in bounded memory.
//! T1.15, T2.13.

use crate::client::Client;
use crate::server::Server;
use crate::site::Site;
use crate::world::{self, Needs};
use std::fmt::Write as _;

/// Sends a message as it is, piece by piece; the answer.
fn sent<'p>(client: &mut Client, pieces: impl Iterator<Item = &'p [u8]>) -> String {
    client.say("MAIL FROM:<a@example.org>");
    client.say("RCPT TO:<kororo@example.com>");
    assert!(client.say("DATA").starts_with("354 "));
    for piece in pieces {
        client.send(piece).expect("sends");
    }
    client.say("\r\n.")
}

/// Parts in parts, each with a boundary that the next begins with.
fn deep(depth: usize) -> String {
    let mut text = String::new();
    for at in 0..depth {
        let _ = write!(text, "Content-Type: multipart/mixed; boundary=b{at}\r\n\r\n--b{at}\r\n");
    }
    text
}

#[test]
fn torture_on_the_way_in() {
    world::run("torture::torture_on_the_way_in", Needs::Nothing, || {
        let site = Site::new(
            "header_checks = regexp:{{/^X-Bad/ REJECT}}\nbody_checks = regexp:{{/^bad line/ REJECT}}\n\
             smtpd_end_of_data_restrictions = reject_dangerous_attachment\nmessage_size_limit = 0\n\
             smtpd_forbid_bare_newline = no\n",
        );
        let mut server = Server::start(&site);
        let mut client = Client::hello(&site.address());
        let (nested, nuls) = (deep(10_000), b"a\0b\rc\rd\0\r\n".repeat(100_000));
        let part = b"--b\r\nX-Part: x\r\n\r\ntext\r\n".repeat(10_000);
        let prefixes: String = (1..90)
            .map(|at| {
                let b = "b".repeat(at);
                format!("Content-Type: multipart/x; boundary={b}\r\n\r\n--{b}\r\n")
            })
            .collect();
        let header = b"y".repeat(1 << 20);
        let folded = b" folded\r\n".repeat(100_000);
        let top: &[u8] = b"Content-Type: multipart/mixed; boundary=b\r\n\r\n";
        let once = |text: &[u8]| vec![text.to_vec()];
        // Each with the number of times that its last piece comes, and what is answered.
        for (what, pieces, times, expect) in [
            ("10,000 deep", once(nested.as_bytes()), 1, "550 5."),
            ("a million parts", vec![top.to_vec(), part], 100, "250 "),
            ("prefixes", once(prefixes.as_bytes()), 1, "250 "),
            ("NULs and CRs in the header", once(&nuls), 1, "250 "),
            ("NULs and CRs in the body", vec![b"\r\n".to_vec(), nuls.clone()], 3, "250 "),
            ("a header of 100 MB", vec![b"X-Long: ".to_vec(), header.clone()], 100, "250 "),
            ("one of many lines", vec![b"X-Long: y\r\n".to_vec(), folded], 20, "250 "),
            ("a line of 20 MB", vec![b"\r\n".to_vec(), header], 20, "250 "),
            ("what a check looks for", once(b"\r\nbad line"), 1, "550 5.7.1 "),
        ] {
            let (last, first) = pieces.split_last().expect("pieces");
            let all = first.iter().chain(std::iter::repeat_n(last, times));
            let reply = sent(&mut client, all.map(Vec::as_slice));
            assert!(reply.starts_with(expect), "{what}: {reply}");
        }
        let peak: u64 = server.status("VmHWM").trim_end_matches("kB").trim().parse().expect("a number");
        assert!(peak < 400_000, "{peak} kB");
        assert!(server.stop().success());
    });
}
