//! Look-ups a second of processor time in tables of growing length (the best of ten), half of the keys or fewer matching, as a server asks them.
//!
//! `lookup_rate [WORD]`: only the tables whose title has the word. Header lines are those of ordinary mail; patterns
//! are like the header checks that people share: a header's name, then a word or a domain somewhere behind it.
#![expect(clippy::print_stdout, clippy::expect_used, reason = "a measuring tool")]

use std::fmt::Write as _;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::path::Path;
use std::time::{Duration, Instant};
use tables::{SourceError, Sources, Table, Usage, postmap};

struct One(String);

impl Sources for One {
    fn read(&self, _path: &Path) -> Result<Vec<u8>, SourceError> {
        Ok(self.0.clone().into_bytes())
    }
}

/// SplitMix64.
struct Random(u64);

impl Random {
    fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn bits(&mut self) -> u32 {
        u32::try_from(self.draw() >> 32).expect("32 bits")
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.draw() % u64::try_from(bound).expect("fits")).expect("fits")
    }

    /// A word of three to five syllables.
    fn word(&mut self) -> String {
        const SYLLABLES: [&str; 16] = [
            "ra", "ti", "mon", "ley", "vo", "ker", "sun", "pli", "da", "wex", "gor", "ni", "bel", "hu",
            "zan", "fro",
        ];
        (0..3 + self.below(3)).map(|_| SYLLABLES[self.below(SYLLABLES.len())]).collect()
    }
}

fn main() {
    let only = std::env::args().nth(1).unwrap_or_default();
    let measure = |title: &str,
                   kind: &str,
                   text: fn(usize) -> String,
                   keys: fn(usize) -> Vec<String>,
                   sizes: &[usize]| {
        for &size in sizes {
            let title = format!("{title}, {size} lines");
            if title.contains(&only) {
                report(&title, kind, &One(text(size)), &keys(size));
            }
        }
    };
    let all = [10, 100, 1_000, 10_000, 100_000, 1_000_000];
    measure("hash", "hash", hash, hash_keys, &all);
    measure("cidr v4", "cidr", cidr_v4, cidr_v4_keys, &all);
    measure("cidr v6", "cidr", cidr_v6, cidr_v6_keys, &all);
    let few = [1, 2, 5, 10, 100, 500, 1_000, 5_000];
    measure("regexp", "regexp", patterns, header_lines, &few);
    measure("pcre", "pcre", patterns, header_lines, &few);
    measure("pcre in if blocks", "pcre", blocks, header_lines, &few);
    measure("pcre with look-around", "pcre", fancy, header_lines, &few);
    measure("regexp on lines of text", "regexp", offers, text_lines, &few);
}

fn report(title: &str, kind: &str, source: &One, keys: &[String]) {
    let start = Instant::now();
    let opened = postmap::open(&format!("{kind}:/table"), Usage::Map, source).expect("a table");
    let built = start.elapsed();
    let problems = opened.warnings().count();
    let (mut best, mut hits) = (Duration::MAX, 0);
    let rounds = (200_000 / keys.len()).max(1);
    for _ in 0..10 {
        let start = on_processor();
        hits = (0..rounds).map(|_| matching(&opened.table, keys)).sum();
        best = best.min(on_processor() - start);
    }
    let count = rounds * keys.len();
    #[expect(clippy::cast_precision_loss, reason = "shown rounded")]
    let (rate, share) = (count as f64 / best.as_secs_f64() / 1e6, hits as f64 * 100.0 / count as f64);
    let warned = if problems > 0 { format!(", {problems} warnings") } else { String::new() };
    println!("{title:40} {rate:8.3} M/s, {share:3.0} % match, made in {} ms{warned}", built.as_millis());
}

/// How long this thread has run: others on the machine count less than by the clock.
fn on_processor() -> Duration {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").expect("Linux");
    Duration::from_nanos(text.split(' ').next().expect("a number").parse().expect("a number"))
}

fn matching(table: &Table, keys: &[String]) -> usize {
    keys.iter().filter(|key| table.lookup(key).is_ok_and(|hit| hit.is_some())).count()
}

fn lines(size: usize, mut line: impl FnMut(&mut Random, &mut String)) -> String {
    let (mut random, mut text) = (Random(1), String::new());
    (0..size).for_each(|_| line(&mut random, &mut text));
    text
}

fn keys(count: usize, mut key: impl FnMut(&mut Random) -> String) -> Vec<String> {
    let mut random = Random(2);
    (0..count).map(|_| key(&mut random)).collect()
}

fn hash(size: usize) -> String {
    let mut number = 0;
    lines(size, |_, text| {
        number += 1;
        writeln!(text, "user{number}@example.com OK").expect("text");
    })
}

fn hash_keys(size: usize) -> Vec<String> {
    keys(100_000, |random| format!("user{}@example.com", random.below(size * 2)))
}

fn cidr_v4(size: usize) -> String {
    lines(size, |random, text| {
        let prefix = 16 + random.below(17);
        let network = random.bits() & u32::MAX << (32 - prefix);
        writeln!(text, "{}/{prefix} REJECT", Ipv4Addr::from(network)).expect("text");
    })
}

fn cidr_v4_keys(_: usize) -> Vec<String> {
    keys(100_000, |random| Ipv4Addr::from(random.bits()).to_string())
}

/// Addresses under 2000::/3, many of them close together.
fn v6(random: &mut Random) -> u128 {
    let provider = u128::from(random.draw() & 0x3ff) << 96;
    0x2001_u128 << 112 | provider | u128::from(random.draw()) << 32 | u128::from(random.draw() >> 32)
}

fn cidr_v6(size: usize) -> String {
    lines(size, |random, text| {
        let prefix = 32 + random.below(33);
        let network = v6(random) & u128::MAX << (128 - prefix);
        writeln!(text, "{}/{prefix} REJECT", Ipv6Addr::from(network)).expect("text");
    })
}

fn cidr_v6_keys(_: usize) -> Vec<String> {
    keys(100_000, |random| Ipv6Addr::from(v6(random)).to_string())
}

/// One header check. Words are so many that few lines match.
fn pattern(random: &mut Random) -> String {
    let word = random.word();
    match random.below(10) {
        0..4 => format!("/^Subject:.*{word}/"),
        4 => format!("/^Received:.*\\.{word}\\.example/"),
        5 => format!("/^From:.*@([a-z0-9-]+\\.)?{word}[0-9]*\\.example/"),
        6 => format!("/^X-Mailer: *{word} (Pro|Bulk|Express) [0-9.]+/"),
        7 => format!("/^Content-(Type|Disposition):.*name *= *\"?.*{word}\\.(exe|scr|pif|bat)\"?/"),
        8 => format!("/^Message-ID: *<[0-9a-f]+\\.{word}@/"),
        _ => format!("/^(To|Cc|Reply-To):.*{word} +{}/", random.word()),
    }
}

fn patterns(size: usize) -> String {
    lines(size, |random, text| writeln!(text, "{} REJECT", pattern(random)).expect("text"))
}

/// Body checks: phrases that no line has.
fn offers(size: usize) -> String {
    let mut number = 0;
    lines(size, |_, text| {
        let word = format!("offer{number:04}");
        let line = match number % 4 {
            0 => format!("/{word}/"),
            1 => format!("/(buy|order|get) +{word} *(now|today)/"),
            2 => format!("/{word}[0-9]+\\.(com|net|example)/"),
            _ => format!("/cheap.*{word}.*[!$]+/"),
        };
        number += 1;
        writeln!(text, "{line} REJECT").expect("text");
    })
}

/// Lines of text of some sixty letters.
fn text_lines(_: usize) -> Vec<String> {
    keys(20_000, |random| (0..7).map(|_| random.word() + " ").collect())
}

/// Header checks with half of them in blocks of fifty.
fn blocks(size: usize) -> String {
    let mut number = 0;
    let text = lines(size, |random, text| {
        if number % 50 == 0 {
            text.push_str(if number > 0 { "endif\n" } else { "" });
            text.push_str(if number % 100 == 0 { "if /^Subject:/\n" } else { "if !/^Subject:/\n" });
        }
        number += 1;
        writeln!(text, "{} REJECT", pattern(random)).expect("text");
    });
    text + "endif\n"
}

/// The same, one in ten with a look-ahead.
fn fancy(size: usize) -> String {
    lines(size, |random, text| {
        let word = random.word();
        match random.below(10) {
            0 => writeln!(text, "/^Subject: (?!re:).*{word}/ REJECT").expect("text"),
            _ => writeln!(text, "{} REJECT", pattern(random)).expect("text"),
        }
    })
}

/// What an ordinary message has, and one line in fifty that a word of the table is in.
fn header_lines(_: usize) -> Vec<String> {
    let mut table = Random(1);
    let known: Vec<String> = (0..200).map(|_| pattern(&mut table)).collect();
    keys(20_000, |random| {
        let (word, other, number) = (random.word(), random.word(), random.below(1_000_000));
        match random.below(15) {
            0 | 1 => format!(
                "Received: from mx{number}.{word}.example (mx.{other}.example [192.0.2.{}])\tby mail.example.org (Postfix) with ESMTPS id 4RzK{number}Z\tfor <info@example.org>; Fri, 20 Nov 2026 10:11:12 +0100 (CET)",
                number % 256
            ),
            2 => format!("Subject: Re: the {word} of {other}, minutes of meeting {number}"),
            3 => format!("From: \"{word} {other}\" <{word}.{other}@mail.example.com>"),
            4 => format!("To: {word} <{other}@example.org>"),
            5 => format!("Message-ID: <{number}.{}@mx.example.com>", random.bits()),
            6 => "MIME-Version: 1.0".to_owned(),
            7 => format!("Content-Type: multipart/alternative; boundary=\"----=_Part_{number}_{word}\""),
            8 => "Date: Fri, 20 Nov 2026 10:11:11 +0100".to_owned(),
            9 => "X-Mailer: Apple Mail (2.3445.104.21)".to_owned(),
            10 => "DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed; d=example.com; s=20230601; t=1732093872; h=to:subject:message-id:date:from:mime-version:from:to:cc:subject; bh=47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=; b=Hj7sOPqM0s2m1l4YkV0bO7hZ3D".to_owned(),
            11 => "List-Unsubscribe: <https://lists.example.org/u/8f14e45f>, <mailto:leave@example.org>".to_owned(),
            12 => format!("X-Spam-Status: No, score=-1.9 required=5.0 tests=BAYES_00,{word} autolearn=ham"),
            13 => format!("Content-Disposition: attachment; filename=\"{word} {other}.pdf\""),
            _ if number % 3 == 0 => known[random.below(known.len())].replace(['^', '/', '*', '\\'], ""),
            _ => "Content-Transfer-Encoding: quoted-printable".to_owned(),
        }
    })
}
