//! `bench lines`: header lines a second through 500 patterns, in this process and in Postfix's postmap(1), in turns.
//!
//! Both ask the same table about the same lines, one after the other, on one core. postmap's time is that of
//! `postmap -q -` with the lines less that with none, which is what reading the table costs. Of the lines one in a
//! hundred matches; both are to say the same number.

use crate::figures::spread;
use crate::site;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;
use tables::{SourceError, Sources, Usage, postmap};

const USAGE: &str =
    "usage: bench lines [ROUNDS]   header lines a second, beside postmap (default: 5 rounds)\n";

/// Lines that Postfix is asked about; ours, which would be over too soon, as often as makes up for it.
const LINES: u32 = 20_000;
const TIMES: u32 = 50;

/// One table.
struct One(String);

impl Sources for One {
    fn read(&self, _path: &Path) -> Result<Vec<u8>, SourceError> {
        Ok(self.0.clone().into_bytes())
    }
}

pub(crate) fn command(words: &[String]) -> Result<(), String> {
    let rounds = match words {
        [] => 5,
        [rounds] => rounds.parse().ok().filter(|rounds| *rounds > 0).ok_or(USAGE)?,
        _ => return Err(USAGE.to_owned()),
    };
    let folder = std::env::temp_dir().join(format!("bench-lines-{}", std::process::id()));
    fs::create_dir_all(&folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    let outcome = measure(&folder, rounds);
    // What can't be removed is a folder in /tmp.
    let _ = fs::remove_dir_all(&folder);
    outcome
}

fn measure(folder: &Path, rounds: u32) -> Result<(), String> {
    let text = site::patterns("^Subject: .*", site::PATTERNS);
    let table = folder.join("header_patterns");
    fs::write(&table, &text).map_err(|e| e.to_string())?;
    let lines = lines();
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for round in 1..=rounds {
        let (own, found) = here(&text, &lines)?;
        let (other, also) = postfix(&table, &lines)?;
        if found != also {
            return Err(format!("{found} lines match here, {also} in Postfix"));
        }
        eprintln!("round {round}/{rounds}: {own:.0} lines/s here, {other:.0} in Postfix, {found} match");
        ours.push(own);
        theirs.push(other);
    }
    let (Some(ours), Some(theirs)) = (spread(ours), spread(theirs)) else { return Ok(()) };
    for (name, spread) in [("komainu", ours), ("postmap", theirs)] {
        println!(
            "{name}: {:.0} / {:.0} / {:.0} header lines a second through {} patterns (least, median, most)",
            spread.min,
            spread.median,
            spread.max,
            site::PATTERNS
        );
    }
    println!("{:.0}×", ours.median / theirs.median);
    Ok(())
}

/// Headers of ordinary mail.
fn lines() -> Vec<String> {
    let line = |number: u32| match number % 10 {
        0 => format!(
            "Received: from mx{number}.example.net (mx.example.net [192.0.2.7]) by mail.example.org (Postfix) with ESMTPS id 4Rz{number}"
        ),
        1 if number % 100 == 1 => {
            format!("Subject: this week's best: cheap offer{:03} for you!", number / 100)
        }
        1 | 2 => {
            format!("Subject: Re: minutes of meeting {number}, and what is to be done by whom until Friday")
        }
        3 => format!("From: \"Some Body\" <some.body{number}@mail.example.com>"),
        4 => "To: Any One <any.one@example.org>".to_owned(),
        5 => format!("Message-ID: <{number}.1732093872@mx.example.com>"),
        6 => "MIME-Version: 1.0".to_owned(),
        7 => format!("Content-Type: multipart/alternative; boundary=\"----=_Part_{number}\""),
        8 => "Date: Fri, 20 Nov 2026 10:11:11 +0100".to_owned(),
        _ => {
            "List-Unsubscribe: <https://lists.example.org/u/8f14e45f>, <mailto:leave@example.org>".to_owned()
        }
    };
    (0..LINES).map(line).collect()
}

/// Lines a second, and how many of them match.
fn here(text: &str, lines: &[String]) -> Result<(f64, usize), String> {
    let opened = postmap::open("regexp:/table", Usage::Map, &One(text.to_owned()))?;
    let mut found = 0;
    let began = Instant::now();
    for _ in 0..TIMES {
        found = lines.iter().filter(|line| matches!(opened.table.lookup(line), Ok(Some(_)))).count();
    }
    Ok((f64::from(LINES) * f64::from(TIMES) / began.elapsed().as_secs_f64(), found))
}

fn postfix(table: &Path, lines: &[String]) -> Result<(f64, usize), String> {
    let (idle, _) = ask(table, "")?;
    let (busy, found) = ask(table, &(lines.join("\n") + "\n"))?;
    Ok((f64::from(LINES) / (busy - idle).max(1e-6), found))
}

/// How long postmap takes for these keys, and how many it finds.
fn ask(table: &Path, keys: &str) -> Result<(f64, usize), String> {
    let file = table.with_file_name("keys");
    fs::write(&file, keys).map_err(|e| e.to_string())?;
    let input = fs::File::open(&file).map_err(|e| e.to_string())?;
    let began = Instant::now();
    let output = Command::new("postmap")
        .args(["-c", "/etc/postfix", "-q", "-"])
        .arg(format!("regexp:{}", table.display()))
        .stdin(Stdio::from(input))
        .output()
        .map_err(|e| format!("postmap: {e}"))?;
    let elapsed = began.elapsed().as_secs_f64();
    if !output.stderr.is_empty() {
        return Err(format!("postmap: {}", String::from_utf8_lossy(&output.stderr).trim()));
    }
    Ok((elapsed, output.stdout.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).count()))
}
