//! The guide's pages as tests: blocks that name a file are that file in /etc/postfix, a `console` block is what
//! `komainu check --elsewhere` says of them. `UPDATE=1` writes what it says now into the pages: read it before you
//! keep it. A `## ` heading begins anew. T0.4, T1.4–T1.6, T1.10, T1.12–T1.14, T2.6, T2.8, T2.11, T2.12, T2.15.

use config::Compat;
use komainu::check::fuzz::{FOLDER, Files};
use komainu::check::text;
use std::path::Path;

const COMMAND: &str = "$ komainu check --elsewhere";

/// What the command prints.
fn said(files: &Files) -> String {
    let folder = Path::new(FOLDER);
    let found = files.check(Compat::V3_11);
    format!("{}{}", text::render(&found, text::Style::default()), text::closing(folder, &found))
}

/// The page with what is said now.
fn played(page: &str) -> String {
    let mut out = String::new();
    let mut files = Files::new();
    let mut lines = page.lines();
    while let Some(line) = lines.next() {
        out.push_str(line);
        out.push('\n');
        if line.starts_with("## ") {
            files = Files::new();
        }
        let Some(info) = line.strip_prefix("```") else { continue };
        let body: Vec<&str> = lines.by_ref().take_while(|line| *line != "```").collect();
        let text: String = body.iter().map(|line| format!("{line}\n")).collect();
        if info == "console" && body.first() == Some(&COMMAND) {
            out.push_str(&format!("{COMMAND}\n{}```\n", said(&files)));
            continue;
        }
        if !info.is_empty() && info != "console" && info != "sh" {
            files.add(info, text.as_str());
        }
        out.push_str(&format!("{text}```\n"));
    }
    out
}

#[test]
fn the_pages_say_what_is_said() {
    let guide = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/guide");
    let mut pages = vec![guide.join("check.md")];
    let tutorials = std::fs::read_dir(guide.join("tutorials")).expect("the pages are there");
    pages.extend(tutorials.map(|entry| entry.expect("an entry").path()));
    let mut consoles = 0;
    for path in pages {
        let page = std::fs::read_to_string(&path).expect("readable");
        consoles += page.matches(COMMAND).count();
        let now = played(&page);
        if std::env::var_os("UPDATE").is_some() {
            std::fs::write(&path, now).expect("written");
        } else {
            similar(&path, &page, &now);
        }
    }
    assert!(consoles > 15, "the tutorials are played: {consoles}");
}

/// Fails with the first line that differs.
#[track_caller]
fn similar(path: &Path, page: &str, now: &str) {
    for (at, (old, new)) in page.lines().zip(now.lines()).enumerate() {
        let place = format!("{}:{}: UPDATE=1 writes what is said now", path.display(), at + 1);
        assert_eq!(old, new, "{place}");
    }
    assert_eq!(page.lines().count(), now.lines().count(), "{}", path.display());
}
