//! `komainu check` from outside: exit codes, formats, repairs, pages. T0.4, T1.5, T2.12.

use crate::program::Folder;
use serde_json::Value;
use std::os::unix::fs::PermissionsExt;

const MASTER: &str = "smtp inet n - n - - smtpd\nsmtp unix - - n - - smtp\n";
const GOOD: &str = "compatibility_level = 3.6\nmydestination = example.com\nmyhostname = mx.example.com\n";

fn folder(main: &str) -> Folder {
    let folder = Folder::new();
    folder.write("main.cf", main);
    folder.write("master.cf", MASTER);
    folder
}

/// Without what this machine would add.
fn check(folder: &Folder, more: &[&str]) -> crate::program::Ran {
    let path = folder.path().display().to_string();
    let mut words = vec!["check", "--elsewhere", "--config", path.as_str()];
    words.extend(more);
    folder.komainu(&words)
}

#[test]
fn exit_codes() {
    assert_eq!(check(&folder(GOOD), &[]).code, Some(0));
    let warned = check(&folder(&format!("{GOOD}smtpd_baner = x\n")), &[]);
    assert_eq!((warned.code, warned.out.contains("warning[K0120]")), (Some(0), true), "{warned:?}");
    let wrong = check(&folder(&format!("{GOOD}message_size_limit = 10M\n")), &[]);
    assert_eq!((wrong.code, wrong.out.contains("error[K0107]")), (Some(1), true), "{wrong:?}");
    let empty = Folder::new();
    std::fs::remove_file(empty.path().join("main.cf")).expect("removed");
    assert_eq!(check(&empty, &[]).code, Some(78));
    assert_eq!(check(&empty, &["--no-such-option"]).code, Some(64));
    assert_eq!(check(&empty, &["--fix", "--format", "json"]).code, Some(64));
}

#[test]
fn quiet_says_nothing_where_all_is_well() {
    let ran = check(&folder(GOOD), &["--quiet"]);
    assert_eq!((ran.out.as_str(), ran.errors.as_str(), ran.code), ("", "", Some(0)));
}

#[test]
fn colours_on_demand_only() {
    let folder = folder(&format!("{GOOD}smtpd_baner = x\n"));
    assert!(!check(&folder, &[]).out.contains('\u{1b}'));
    assert!(check(&folder, &["--color", "always"]).out.contains("\u{1b}["));
}

#[test]
fn pages_are_inside() {
    let folder = Folder::new();
    let ran = folder.komainu(&["check", "--explain", "k107"]);
    assert!(ran.out.starts_with("# K0107: "), "{ran:?}");
    assert_eq!(folder.komainu(&["check", "--explain", "K9999"]).code, Some(64));
}

#[test]
fn json_has_places() {
    let ran = check(&folder(&format!("{GOOD}smtpd_baner = ä\n")), &["--format", "json"]);
    let value: Value = serde_json::from_str(&ran.out).expect("JSON");
    assert_eq!(value["version"], 1);
    assert_eq!(value["summary"]["warnings"], 1);
    assert_eq!(value["summary"]["repairable"], 1);
    let finding = &value["findings"][0];
    assert_eq!(finding["code"], "K0120");
    assert_eq!((&finding["place"]["line"], &finding["place"]["column"]), (&4.into(), &1.into()));
    assert_eq!(finding["place"]["end_column"], 12);
    assert_eq!(finding["fix"]["replacement"], "smtpd_banner");
}

/// What the SARIF 2.1.0 specification requires of a log, its rules, results, regions and fixes.
#[test]
fn sarif_has_what_the_specification_asks_for() {
    let ran =
        check(&folder(&format!("{GOOD}smtpd_baner = x\nmessage_size_limit = 1M\n")), &["--format", "sarif"]);
    let value: Value = serde_json::from_str(&ran.out).expect("JSON");
    assert_eq!(value["version"], "2.1.0");
    let run = &value["runs"][0];
    assert_eq!(run["tool"]["driver"]["name"], "komainu");
    let rules = run["tool"]["driver"]["rules"].as_array().expect("rules");
    let results = run["results"].as_array().expect("results");
    assert_eq!(results.len(), 2);
    for result in results {
        let index = usize::try_from(result["ruleIndex"].as_u64().expect("an index")).expect("small");
        assert_eq!(rules[index]["id"], result["ruleId"]);
        assert!(!rules[index]["shortDescription"]["text"].as_str().expect("text").is_empty());
        assert!(["error", "warning", "note"].contains(&result["level"].as_str().expect("a level")));
        assert!(!result["message"]["text"].as_str().expect("text").is_empty());
        let place = &result["locations"][0]["physicalLocation"];
        assert!(place["artifactLocation"]["uri"].as_str().expect("a URI").starts_with("file:///"));
        for key in ["startLine", "startColumn", "endLine", "endColumn"] {
            assert!(place["region"][key].as_u64().expect("a number") >= 1);
        }
    }
    let change = &results[1]["fixes"][0]["artifactChanges"][0];
    assert!(change["artifactLocation"]["uri"].is_string());
    assert_eq!(change["replacements"][0]["insertedContent"]["text"], "smtpd_banner");
    assert!(change["replacements"][0]["deletedRegion"]["startLine"].is_u64());
}

#[test]
fn fix_shows_first_and_writes_when_told() {
    let text = format!("{GOOD}# a remark\nsmtpd_baner = x\n");
    let folder = folder(&text);
    let path = folder.path().join("main.cf");
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o640)).expect("a mode");
    let read = || std::fs::read_to_string(&path).expect("readable");

    let shown = check(&folder, &["--fix"]);
    assert!(shown.out.contains("-smtpd_baner = x\n+smtpd_banner = x\n"), "{shown:?}");
    assert!(shown.errors.contains("1 repair not made"), "{shown:?}");
    assert_eq!(read(), text, "nobody could be asked");

    let made = check(&folder, &["--fix", "--yes"]);
    assert!(made.out.contains("-smtpd_baner = x\n+smtpd_banner = x\n"), "{made:?}");
    assert_eq!(read(), text.replace("baner", "banner"));
    let mode = std::fs::metadata(&path).expect("there").permissions().mode();
    assert_eq!(mode & 0o7777, 0o640);
    assert!(!folder.path().join("main.cf.tmp").exists());
    assert_eq!(check(&folder, &["--fix", "--yes"]).code, Some(0), "nothing to mend is no failure");
}

#[test]
fn a_file_that_is_no_utf8_is_left_alone() {
    let folder = Folder::new();
    let text = [GOOD.as_bytes(), b"# \xe9\nsmtpd_baner = x\n"].concat();
    folder.write("main.cf", &text);
    folder.write("master.cf", MASTER);
    let ran = check(&folder, &["--fix", "--yes"]);
    assert!(ran.errors.contains("no UTF-8"), "{ran:?}");
    assert_eq!(std::fs::read(folder.path().join("main.cf")).expect("readable"), text);
}

/// T2.11: a repair that opens a relay, or leaves a line hanging, is none; what else there is to mend is mended.
#[test]
fn a_repair_that_brings_an_error_is_left_alone() {
    let hanging = "smtpd_client_restrictions = permit_mynetworks,\n  smtpd_helo_required = yes\n  \
                   reject_unknown_client_hostname\n";
    for bad in ["mynetwork = 0.0.0.0/0\n", "smtpd_relay_restriction = permit\n", hanging] {
        let folder = folder(&format!("{GOOD}{bad}smtpd_baner = $myhostname ESMTP\n"));
        let ran = check(&folder, &["--fix", "--yes"]);
        let now = std::fs::read_to_string(folder.path().join("main.cf")).expect("main.cf");
        assert!(now.contains(bad) && now.contains("\nsmtpd_banner ="), "{now}\n{ran:?}");
        assert!(ran.errors.contains("not repaired: "), "{ran:?}");
        assert!(!ran.out.contains("K0440"), "{ran:?}");
    }
}

#[test]
fn postfix_check_is_silent_where_all_is_well() {
    let folder = folder(&format!("{GOOD}message_size_limit = 1M\n"));
    folder.komainu(&["links", &folder.path().join("bin").display().to_string()]);
    let ran = folder.run(folder.path().join("bin/postfix"), &["check"], b"");
    assert_eq!((ran.code, ran.errors.contains("error[K0107]")), (Some(1), true), "{ran:?}");
}
