//! What the fuzz target and the mutations of the tests call: a configuration that is nowhere but in memory, checked
//! and said in every way. A panic is a fault.
//!
//! Held: what is shown, written as JSON and as SARIF never fails; places and repairs lie inside their files; a plan's
//! texts are what its edits make; the order is kept.

use super::repair::Plan;
use super::{Reach, check, json, sarif, text};
use config::{Compat, Diagnostic, Host, Interface, Place, Severity};
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use tables::{SourceError, Sources};

/// Where the files in memory are.
pub const FOLDER: &str = "/etc/postfix";

/// Files that are nowhere but here.
#[derive(Clone, Debug)]
pub struct Files(BTreeMap<PathBuf, Vec<u8>>);

impl Default for Files {
    fn default() -> Files {
        Files::new()
    }
}

impl Files {
    /// What every machine has, and the shortest master.cf.
    #[must_use]
    pub fn new() -> Files {
        let mut files = Files(BTreeMap::new());
        files.add("master.cf", "smtp inet n - n - - smtpd\n");
        files.add("/etc/passwd", "root:x:0:0:root:/root:/bin/sh\n");
        files.add("/etc/group", "root:x:0:\n");
        files.add("/etc/aliases", "postmaster: root\n");
        files
    }

    /// Adds a file of the folder, or one with its whole path; it takes the place of one of the same name.
    pub fn add(&mut self, name: &str, text: impl Into<Vec<u8>>) {
        self.0.insert(Path::new(FOLDER).join(name), text.into());
    }

    /// What is found in them.
    #[must_use]
    pub fn check(&self, compat: Compat) -> Vec<Diagnostic> {
        check(Path::new(FOLDER), compat, &host(), self, Reach::Paper)
    }
}

impl Sources for Files {
    fn read(&self, path: &Path) -> Result<Vec<u8>, SourceError> {
        self.0.get(path).cloned().ok_or_else(|| SourceError::Missing(path.to_owned()))
    }
}

/// A machine that isn't this one.
fn host() -> Host {
    let interface = |address: [u8; 4], prefix| {
        let address = IpAddr::V4(Ipv4Addr::from(address));
        Interface { address, prefix }
    };
    Host {
        hostname: "mx.example.com".to_owned(),
        addresses: vec![interface([127, 0, 0, 1], 8), interface([192, 0, 2, 25], 24)],
    }
}

/// Reads `bytes` as main.cf, master.cf and a table, a NUL between them, and says what is found in every way.
pub fn configuration(bytes: &[u8]) {
    let mut files = Files::new();
    let mut parts = bytes.splitn(3, |byte| *byte == 0);
    for name in ["main.cf", "master.cf", "table"] {
        match parts.next() {
            Some(part) => files.add(name, part),
            None if name == "main.cf" => return,
            None => {}
        }
    }
    for compat in [Compat::V3_7, Compat::V3_11] {
        said(&files.check(compat));
    }
}

fn said(found: &[Diagnostic]) {
    for one in found {
        assert_inside(&one.place);
        if let Some(fix) = &one.fix {
            assert_inside(&fix.place);
        }
    }
    assert!(found.is_sorted_by(|a, b| a.severity >= b.severity), "worst first");
    for style in [text::Style::default(), text::Style { colours: true, width: 40 }] {
        let shown = text::render(found, style);
        assert!(style.colours || !shown.contains('\u{1b}'), "no colours, and none from a file");
        let worst = found.first().is_none_or(|one| one.severity < Severity::Error);
        assert!(worst || !shown.is_empty(), "an error is shown");
    }
    let folder = Path::new(FOLDER);
    let _closing = text::closing(folder, found);
    let (mut json, mut sarif) = (Vec::new(), Vec::new());
    assert!(json::write(&mut json, folder, found).is_ok() && sarif::write(&mut sarif, found).is_ok());
    for text in [json, sarif] {
        assert!(serde_json::from_slice::<serde_json::Value>(&text).is_ok_and(|value| value.is_object()));
    }
    let plan = Plan::of(found);
    for repair in &plan.repairs {
        assert!(repair.text() != repair.file.text, "a repair that changes nothing");
    }
    let _patch = plan.patch();
}

fn assert_inside(place: &Place) {
    if let Some(file) = &place.file {
        let text = file.text.get(place.start..place.end);
        assert!(text.is_some(), "{}: {}..{}", file.path.display(), place.start, place.end);
    }
}
