//! Growth curve of indexed tables: 10 to 1,000,000 rows, from text and from each kind of database.
//!
//! `cargo run --release -p tables --example growth [ROWS_MAX]` prints a table: time to load, look-ups a second, memory
//! for each row and at most. Each figure comes from a process of its own. Berkeley DB files need `db5.3_load`.

#![allow(
    clippy::expect_used,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a measurement that can't go on has failed"
)]

use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;
use tables::database::{cdb, lmdb};
use tables::{SourceError, Sources, Usage, postmap};

struct Disk;

impl Sources for Disk {
    fn read(&self, path: &Path) -> Result<Vec<u8>, SourceError> {
        std::fs::read(path).map_err(|_| SourceError::Missing(path.to_owned()))
    }
}

const LOOKUPS: usize = 2_000_000;

fn key(n: usize) -> String {
    format!("host{n}.example.com")
}

fn value(n: usize) -> String {
    format!("REJECT number {n}")
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [kind, path, rows] = arguments.as_slice() {
        return measure(kind, path, rows.parse().expect("a number"));
    }
    let rows_max = arguments.first().map_or(1_000_000, |rows| rows.parse().expect("a number"));
    let folder = std::env::temp_dir().join(format!("growth.{}", std::process::id()));
    std::fs::create_dir(&folder).expect("a folder");
    println!("| read from | rows | file MB | load ms | look-ups/s | bytes/row | peak MB |");
    println!("| --- | --- | --- | --- | --- | --- | --- |");
    let mut rows = 10;
    while rows <= rows_max {
        for kind in ["text", "hash", "btree", "lmdb", "cdb"] {
            let Some(path) = make(&folder, kind, rows) else { continue };
            let program = std::env::current_exe().expect("this program");
            let status =
                Command::new(program).args([kind, &path.display().to_string(), &rows.to_string()]).status();
            assert!(status.expect("starts").success());
            for made in std::fs::read_dir(&folder).expect("there").flatten() {
                std::fs::remove_file(made.path()).expect("removes");
            }
        }
        rows *= 10;
    }
    std::fs::remove_dir(&folder).expect("removes");
}

/// A table of so many rows, of one kind; none where the tool for it is missing.
fn make(folder: &Path, kind: &str, rows: usize) -> Option<PathBuf> {
    let path = folder.join("table");
    match kind {
        "text" => {
            let text: String = (0..rows).map(|n| format!("{}\t{}\n", key(n), value(n))).collect();
            std::fs::write(&path, text).expect("writes");
        }
        "lmdb" | "cdb" => {
            let mut pairs: Vec<(String, String)> = (0..rows).map(|n| (key(n), value(n))).collect();
            pairs.sort();
            let started = Instant::now();
            let bytes = if kind == "cdb" {
                cdb::write(pairs.iter().map(|(key, value)| (key.as_bytes(), value.as_bytes())))
            } else {
                lmdb::write(pairs.iter().map(|(key, value)| (key.as_bytes().into(), value.as_bytes().into())))
            };
            eprintln!("{kind} of {rows} rows made in {:.1} ms", started.elapsed().as_secs_f64() * 1e3);
            std::fs::write(path.with_extension(kind), bytes.expect("fits")).expect("writes");
        }
        _ => {
            let mut load = Command::new("db5.3_load")
                .args(["-T", "-t", kind])
                .arg(path.with_extension("db"))
                .stdin(Stdio::piped())
                .spawn()
                .ok()?;
            let text: String = (0..rows).map(|n| format!("{}\n{}\n", key(n), value(n))).collect();
            std::io::Write::write_all(&mut load.stdin.take().expect("piped"), text.as_bytes())
                .expect("feeds");
            assert!(load.wait().expect("ends").success());
        }
    }
    Some(path)
}

/// Kilobytes of the line `name` of /proc/self/status.
fn status_kb(name: &str) -> usize {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status.lines().find(|line| line.starts_with(name)).expect("a line");
    line.split_whitespace().nth(1).and_then(|number| number.parse().ok()).expect("a number")
}

fn measure(kind: &str, path: &str, rows: usize) {
    let suffix = match kind {
        "text" => "",
        "lmdb" => ".lmdb",
        "cdb" => ".cdb",
        _ => ".db",
    };
    let bytes = std::fs::metadata(format!("{path}{suffix}")).expect("there").len();
    let type_name = if kind == "text" { "hash" } else { kind };
    let before = status_kb("VmRSS");
    let started = Instant::now();
    let opened = postmap::open(&format!("{type_name}:{path}"), Usage::Map, &Disk).expect("opens");
    let load = started.elapsed();
    assert_eq!(opened.table.entries(), rows);
    let after = status_kb("VmRSS");
    // A multiplier without a common factor visits all rows out of order; every tenth key is not there.
    let keys: Vec<String> =
        (0..100_000).map(|n| key(if n % 10 == 0 { rows + n } else { n * 7_919 % rows })).collect();
    let started = Instant::now();
    let mut found = 0usize;
    for n in 0..LOOKUPS {
        found += usize::from(black_box(opened.table.lookup(&keys[n % keys.len()])).expect("asks").is_some());
    }
    let per_s = LOOKUPS as f64 / started.elapsed().as_secs_f64();
    assert_eq!(found, LOOKUPS / 10 * 9);
    println!(
        "| {kind} | {rows} | {:.1} | {:.2} | {:.1} M | {:.0} | {} |",
        bytes as f64 / 1e6,
        load.as_secs_f64() * 1e3,
        per_s / 1e6,
        (after.saturating_sub(before)) as f64 * 1024.0 / rows as f64,
        status_kb("VmHWM") / 1024,
    );
}
