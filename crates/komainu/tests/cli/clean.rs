//! No false alarm: configurations that are right pass `komainu check` without an error or a warning.
//!
//! tests/config/clean has larger ones of ours, as Postfix's documentation and its users' guides set things up;
//! Debian's stock files are taken from where they are installed. What isn't served yet is rightly said and passed
//! over here: parameters (K0123), ports with TLS (K0216), table types (K0303). Files of this machine are not looked
//! at (`--elsewhere`).

use crate::program::Folder;
use std::path::{Path, PathBuf};

/// Rightly said, as long as it isn't served.
const NOT_SERVED: [&str; 3] = ["K0123", "K0216", "K0303"];

/// Errors and warnings of a folder.
fn alarms(folder: &Path) -> Vec<String> {
    let path = folder.display().to_string();
    let ran = Folder::new().komainu(&["check", "--elsewhere", "--format", "json", "--config", path.as_str()]);
    let report: serde_json::Value = serde_json::from_str(&ran.out).expect("JSON");
    let findings = report["findings"].as_array().expect("a list");
    let mut found = Vec::new();
    for finding in findings {
        let text = |key: &str| finding[key].as_str().unwrap_or_default().to_owned();
        let placed = !finding["place"].is_null();
        let excused = placed && NOT_SERVED.contains(&text("code").as_str());
        if !excused && text("severity") != "hint" {
            let line = finding["place"]["line"].to_string();
            found.push(format!("{path}:{line}: {} {}", text("code"), text("message")));
        }
    }
    found
}

#[test]
fn clean_configurations_pass() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/config/clean");
    let entries = std::fs::read_dir(folder).expect("the configurations");
    let folders: Vec<PathBuf> = entries.map(|entry| entry.expect("one").path()).collect();
    assert!(folders.len() >= 30, "{}", folders.len());
    let found: Vec<String> = folders.iter().flat_map(|folder| alarms(folder)).collect();
    assert!(found.is_empty(), "{}", found.join("\n"));
}

/// The proof can fail: one stray word is found in each.
#[test]
fn a_fault_in_one_is_seen() {
    let clean = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/config/clean/stand-alone");
    let folder = Folder::new();
    let read = |name: &str| std::fs::read_to_string(clean.join(name)).expect("readable");
    folder.write("master.cf", read("master.cf"));
    folder.write("main.cf", format!("{}smtpd_client_restrictions = // reject\n", read("main.cf")));
    assert!(alarms(folder.path()).iter().any(|found| found.contains("K0401")));
}

#[test]
fn debians_stock_files_pass() {
    let stock = Path::new("/usr/share/postfix");
    if !stock.join("main.cf.debian").exists() {
        assert!(std::env::var_os("CI").is_none(), "postfix isn't installed");
        println!("skipped: postfix isn't installed");
        return;
    }
    let master = std::fs::read_to_string(stock.join("master.cf.dist")).expect("readable");
    // main.cf.tls is what Debian appends.
    for names in [&["main.cf.debian"][..], &["main.cf.dist"], &["main.cf.debian", "main.cf.tls"]] {
        let folder = Folder::new();
        let read = |name: &&str| std::fs::read_to_string(stock.join(name)).expect("readable");
        folder.write("main.cf", names.iter().map(read).collect::<String>());
        folder.write("master.cf", &master);
        assert_eq!(alarms(folder.path()), Vec::<String>::new(), "{names:?}");
    }
}
