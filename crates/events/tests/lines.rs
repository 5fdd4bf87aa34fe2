//! Real lines and made ones: what is read is written back byte for byte, and read again the same.
//!
//! The samples in tests/logs are lines that Postfix 3.7.11 wrote on a machine of our own, with addresses of
//! RFC 5737 and names of RFC 2606; each file's kinds are counted, so that a reader that suddenly takes
//! everything for `other` is seen. T1.11, T2.17, T2.22.

#![expect(clippy::expect_used, reason = "a test's own files and dice")]

use events::line::fuzz;
use events::{Event, Line};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::PathBuf;

fn logs() -> Vec<(String, String)> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests/logs");
    let mut logs: Vec<_> = std::fs::read_dir(folder)
        .expect("tests/logs")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "log"))
        .map(|path| {
            let name = path.file_stem().expect("a name").to_string_lossy().into_owned();
            (name, std::fs::read_to_string(path).expect("a log in UTF-8"))
        })
        .collect();
    logs.sort();
    assert!(!logs.is_empty());
    logs
}

#[test]
fn samples_come_back_as_they_were() {
    for (name, text) in logs() {
        for line in text.lines() {
            let read = Line::parse(line).unwrap_or_else(|| panic!("{name}: {line}"));
            assert_eq!(read.to_string(), line, "{name}");
            assert_eq!(read.clone().into_owned(), read);
            let json: serde_json::Value = serde_json::from_str(&read.json()).expect(line);
            assert_eq!(json["event"], read.event.kind());
            assert_eq!(events::json::line(read.json().as_bytes()).as_ref(), Some(&read), "{name}: {line}");
            assert_eq!(events::json::plain(read.json().as_bytes(), |_| 0).as_deref(), Some(line), "{name}");
            assert_eq!(json["host"], *read.host);
        }
    }
}

#[test]
fn samples_are_understood() {
    let mut seen = String::new();
    for (name, text) in logs() {
        let mut kinds: BTreeMap<&str, usize> = BTreeMap::new();
        let mut others = Vec::new();
        for line in text.lines() {
            let read = Line::parse(line).expect(line);
            *kinds.entry(read.event.kind()).or_default() += 1;
            if let Event::Other(text) = read.event {
                others.push(format!("    {}: {text}", read.program));
            }
        }
        writeln!(seen, "{name}").expect("a string");
        for (kind, count) in kinds {
            writeln!(seen, "  {kind} {count}").expect("a string");
        }
        for other in others {
            writeln!(seen, "{other}").expect("a string");
        }
    }
    expect_test::expect_file!["lines.kinds"].assert_eq(&seen);
}

/// Deterministic, so that a failure can be played again.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).expect("31 bits") % sides.max(1)
    }
}

#[test]
fn mutations_do_no_harm() {
    let corpus: Vec<Vec<u8>> = logs()
        .iter()
        .flat_map(|(_, text)| text.lines().map(|l| l.as_bytes().to_vec()).collect::<Vec<_>>())
        .collect();
    let tokens: &[&[u8]] = &[
        b"; from=<",
        b" from ",
        b": ",
        b", ",
        b"<",
        b">",
        b"\"",
        b"[",
        b"]",
        b"=",
        b"00",
        b"0",
        b"9",
        b"\xff",
        b"\0",
    ];
    let mut dice = Dice(1);
    for round in 0..40_000 {
        let mut line = corpus[dice.roll(corpus.len())].clone();
        for _ in 0..=dice.roll(3) {
            let at = dice.roll(line.len() + 1);
            let to = (at + dice.roll(12)).min(line.len());
            match dice.roll(4) {
                0 => drop(line.drain(at..to)),
                1 => drop(line.splice(at..to, tokens[dice.roll(tokens.len())].iter().copied())),
                2 => {
                    let other = &corpus[dice.roll(corpus.len())];
                    let cut = dice.roll(other.len());
                    line.truncate(at);
                    line.extend_from_slice(&other[cut..]);
                }
                _ => line.insert(at, u8::try_from(dice.roll(256)).expect("a byte")),
            }
        }
        assert!(
            fuzz(&line) && events::fail2ban::fuzz(&line),
            "round {round}: {}",
            String::from_utf8_lossy(&line)
        );
    }
}
