//! Seeded mutations of each syntax: whatever the bytes, no panic, and lookups end.

use crate::common::{Memory, Random};
use config::{Place, Spanned};
use tables::fuzz::{lookup_in, review};
use tables::{AddressList, Catalogue, DomainList, Snapshot, TableSpec, Usage, postmap};

const SEEDS: &[(&str, &str)] = &[
    ("texthash", "a@b OK\n\"a b\" x\n# c\nkey: v\nlong\n one\n two\n\\ \"\n"),
    ("hash", "1.2.3 REJECT\n.example.com OK\n"),
    ("cidr", "if !10.0.0.0/8\n1.2.3.4/30 a\n[::1]/128 b\nendif\n!::/0 c\n"),
    ("regexp", "/^(a|b)*[[:alpha:]x-z]{1,3}\\1$/im $1 ${1} $$\nif !/x/\n!/y/x z\nendif\n/\\<a\\>/x r\n"),
    ("pcre", "/^(?!a)(?<n>b)\\k<n>[^\\d\\Q]\\E]{2,}+(?(1)x|y)$/sxU $1\nif /\\x{41}(?i:b)/\nendif\n"),
];

#[test]
fn sources_survive_mutations() {
    let mut random = Random(7);
    for round in 0..2_500 {
        let (kind, seed) = SEEDS[round % SEEDS.len()];
        let mut bytes = seed.as_bytes().to_vec();
        for _ in 0..=random.below(6) {
            let at = random.below(bytes.len() + 1);
            match random.below(4) {
                0 if at < bytes.len() => bytes[at] = u8::try_from(random.below(256)).expect("a byte"),
                1 if at < bytes.len() => drop(bytes.remove(at)),
                2 => bytes.insert(
                    at,
                    *random
                        .pick(&[b"\\", b"(", b")", b"[", b"{", b"?", b"*", b"$", b"\n", b" "])
                        .first()
                        .expect("one"),
                ),
                _ => {
                    let end = (at + random.below(9)).min(bytes.len());
                    let piece: Vec<u8> = bytes[at.min(end)..end].to_vec();
                    let to = random.below(bytes.len() + 1);
                    bytes.splice(to..to, piece);
                }
            }
        }
        lookup_in(kind, &bytes, "Abb@c.example");
    }
}

#[test]
fn words_survive_mutations() {
    let mut random = Random(8);
    let pieces = [
        "unionmap:",
        "pipemap:",
        "inline:",
        "static:",
        "randmap:",
        "cidr:",
        "regexp:",
        "proxy:",
        "{",
        "}",
        "=",
        ",",
        " ",
        "!",
        "/",
        "[",
        "]",
        "a",
        "::1",
        "1.2.3.4",
        "/8",
        "x:y",
        "é",
    ];
    for _ in 0..4_000 {
        let word = random.text(&pieces, 12);
        let memory = Memory::default();
        if let Ok(opened) = postmap::open(&word, Usage::Map, &memory) {
            let _ = opened.table.lookup("a");
        }
        let spanned = [Spanned::new(word, Place::nowhere())];
        let mut catalogue = Catalogue::new();
        let (domains, _) = DomainList::compile(&spanned, &mut catalogue, &memory, true);
        let (addresses, _) = AddressList::compile(&spanned, &mut catalogue, &memory, false);
        let (snapshot, _) = Snapshot::compile(&catalogue, &memory);
        let _ = domains.contains(&snapshot, "a.é.example");
        let _ = addresses.contains_address(&snapshot, "1.2.3.4".parse().expect("an address"));
        let _ = TableSpec::parse(&spanned[0]);
    }
}

#[test]
fn deep_nesting_ends() {
    let deep = format!("{}static:a{}", "unionmap:{".repeat(5_000), "}".repeat(5_000));
    assert!(postmap::open(&deep, Usage::Map, &Memory::default()).is_err());
    for kind in ["regexp", "pcre"] {
        lookup_in(kind, format!("/{}a{}/ x\n", "(".repeat(20_000), ")".repeat(20_000)).as_bytes(), "a");
        lookup_in(kind, format!("/{}/ x\n", "a{1000}".repeat(20)).as_bytes(), "a");
        lookup_in(kind, format!("/{}a{}/ x\n", "(".repeat(40), "){900}".repeat(40)).as_bytes(), "a");
        lookup_in(kind, "if /x/\n".repeat(2_000).as_bytes(), "a");
    }
}

/// What a review makes of any text: no panic, places within the text.
#[test]
fn reviews_survive_mutations() {
    const SEEDS: &[(&str, &str)] = &[
        (
            "hash",
            "a@b.example OK # x\n192.168.0.0/16 550\n .example.com REJCT\\\n#c,\n d\n[::1]:25 RELAY: x\n",
        ),
        ("hash", "*@x |/bin/x y\n@y @z\n@z @y\n2001:0DB8:: =  OK\nx. smtp:mail.y.z\n\"q\": \"|r\"\n"),
        ("cidr", "10.0.0.0/8 ok\n10.1.0.0/16 REJECT # no\n 10.2.0.0/16 x\nif ::/0\n::1 $1\nendif\n"),
        ("regexp", "/^Received:/i IGNORE\nif /a/\n /./ DROP\nendif\n!/x@y/ FILTER\n/./ 550\n/z/ z\n"),
        (
            "pcre",
            "/^(a+)+$/ REJECT\n/(?:\\w*\\s?)*x(?=b)/ REPLACE $1\n/^$/ x\n/\u{fc}(\u{e9}|e)+y/ PREPEND \u{df}\n",
        ),
    ];
    let mut random = Random(11);
    for round in 0..100 {
        let (kind, seed) = SEEDS[round % SEEDS.len()];
        let mut bytes = seed.as_bytes().to_vec();
        for _ in 0..=random.below(6) {
            let at = random.below(bytes.len() + 1);
            match random.below(3) {
                0 if at < bytes.len() => bytes[at] = u8::try_from(random.below(256)).expect("a byte"),
                1 if at < bytes.len() => drop(bytes.remove(at)),
                _ => bytes.insert(at, *b"\\()[{?*$\n @/:,.#\"|".get(random.below(18)).expect("one")),
            }
        }
        review(kind, &bytes);
    }
}
