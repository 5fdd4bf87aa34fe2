//! `pflogsumm` by its old name: options and exit codes as Debian's, logs also packed. T2.22.

use crate::program::{Folder, Ran, komainu};
use std::process::Command;

const LOG: &str = "\
Nov 22 01:00:02 mail postfix/smtpd[1]: A1: client=mx.example.net[192.0.2.1]
Nov 22 01:00:02 mail postfix/qmgr[2]: A1: from=<alice@example.net>, size=1234, nrcpt=1 (queue active)
Nov 22 01:00:03 mail postfix/local[3]: A1: to=<bob@example.com>, relay=local, delay=1.2, dsn=2.0.0, status=sent (ok)
Nov 22 04:00:01 mail postfix/smtpd[1]: NOQUEUE: reject: RCPT from h.example[192.0.2.9]: 554 5.7.1 <r@example.org>: Relay access denied; from=<x@example.org> to=<r@example.org> proto=ESMTP helo=<h>
";

fn folder() -> Folder {
    let folder = Folder::new();
    let link = folder.path().join("bin/pflogsumm");
    std::os::unix::fs::symlink(komainu(), link).expect("links");
    folder.write("mail.log", LOG);
    folder
}

fn ours(folder: &Folder, arguments: &[&str], input: &str) -> Ran {
    folder.run(folder.path().join("bin/pflogsumm"), arguments, input.as_bytes())
}

#[test]
fn a_file_and_standard_input_are_one_report() {
    let folder = folder();
    let of_file = ours(&folder, &["mail.log"], "");
    assert_eq!(of_file.code, Some(0), "{of_file:?}");
    assert_eq!(of_file.errors, "");
    for line in [
        "      1   received\n",
        "      1   delivered\n",
        "      1   rejected (50%)\n",
        "      1   bob@example.com\n",
    ] {
        assert!(of_file.out.contains(line), "{line}{}", of_file.out);
    }
    assert_eq!(ours(&folder, &[], LOG), of_file);
    assert_eq!(ours(&folder, &["-"], LOG), of_file);
    assert_ne!(ours(&folder, &[], "").out, of_file.out);
}

#[test]
fn packed_logs_are_unpacked() {
    let folder = folder();
    let plain = ours(&folder, &["mail.log", "mail.log"], "");
    for (packer, end) in [("gzip", "gz"), ("xz", "xz"), ("zstd", "zst")] {
        let packed = Command::new(packer).arg("-c").arg(folder.path().join("mail.log")).output();
        let Ok(packed) = packed else {
            assert!(std::env::var_os("CI").is_none(), "{packer} is missing");
            println!("{packer} is missing: passed over");
            continue;
        };
        // Twice, one behind the other, as logs are appended to.
        let name = format!("mail.log.{end}");
        folder.write(&name, [packed.stdout.as_slice(), &packed.stdout].concat());
        assert_eq!(ours(&folder, &[&name], ""), plain, "{packer}");
        // Half of it says so, and what was there is counted.
        let half = packed.stdout.get(..packed.stdout.len() / 2).expect("half");
        folder.write("half", half);
        let half = ours(&folder, &["half", "mail.log"], "");
        assert!(
            half.errors.starts_with("pflogsumm: ") && half.errors.contains("half: "),
            "{packer} {half:?}"
        );
        assert!(half.out.contains("bob@example.com"), "{packer} {half:?}");
    }
}

#[test]
fn wrong_words() {
    let folder = folder();
    for (arguments, problem) in [
        (&["--foo"][..], "Unknown option: foo\n"),
        (&["-eq"], "Unknown option: eq\n"),
        (&["-h"], "Option h requires an argument\n"),
        (&["-u", "x"], "Value \"x\" invalid for option u (number expected)\n"),
        (&["--zero-fill=1"], "Option zero-fill does not take an argument\n"),
        (&["--ver"], "Option ver is ambiguous (verbose-msg-detail, verp-mung, version)\n"),
        (&["-d", "tomorrow"], "usage: pflogsumm -[eq]"),
    ] {
        let ran = ours(&folder, arguments, "");
        assert_eq!((ran.code, ran.out.as_str()), (Some(255), ""), "{arguments:?}");
        assert!(ran.errors.starts_with(problem), "{arguments:?} {}", ran.errors);
    }
    let missing = ours(&folder, &["nowhere", "mail.log"], "");
    assert_eq!(missing.code, Some(0), "{missing:?}");
    assert!(missing.errors.starts_with("pflogsumm: can't open nowhere: No such file"), "{}", missing.errors);
    assert!(missing.out.contains("bob@example.com"));
}

/// The same words for both, and the same report.
#[test]
fn beside_debians() {
    let path = "/usr/sbin/pflogsumm";
    if !std::path::Path::new(path).exists() {
        assert!(std::env::var_os("CI").is_none(), "pflogsumm is missing");
        println!("pflogsumm is missing: passed over");
        return;
    }
    let folder = folder();
    for arguments in [
        &["mail.log"][..],
        &["--version"],
        &["--help"],
        &["--version", "--he"],
        &["-d", "yesterday", "mail.log"],
        &["-d=today", "mail.log", "-q"],
        &["mail.log", "-Q", "-iso", "--smtpd_stats"],
        &["--detail", "1", "-u", "0", "mail.log"],
        &["--detail", "-1", "--no_reject_detail", "mail.log"],
        &["--verp-mung", "mail.log"],
        &["--verp", "2", "--", "mail.log"],
        &["--bogus", "--version"],
        &["--rej", "mail.log"],
        &["--detail=", "mail.log"],
        &["--version", "-h", "-q"],
    ] {
        let (ours, theirs) = (ours(&folder, arguments, ""), folder.run(path, arguments, b""));
        assert_eq!(ours, theirs, "{arguments:?}");
    }
}

/// A log of so many lines up to now, by a clock that shows UTC.
fn sample(seed: u64, days: u64, lines: u64) -> String {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("a clock");
    let today = i64::try_from(now.as_secs() / 86_400).expect("a day");
    let first = report::Day::numbered(today + 1 - i64::try_from(days).expect("days"));
    let mut sample = report::sample::Sample::new(seed, first, 1).over(days, lines);
    let mut log = String::new();
    while sample.truth().lines < lines && sample.day().number() <= today {
        sample.event(&mut log);
    }
    log
}

/// Debian's report with its lists in one order: equals come in any. None where it isn't there.
fn compared(folder: &Folder, arguments: &[&str]) -> bool {
    let path = "/usr/sbin/pflogsumm";
    if !std::path::Path::new(path).exists() {
        assert!(std::env::var_os("CI").is_none(), "pflogsumm is missing");
        println!("pflogsumm is missing: passed over");
        return false;
    }
    let [ours, theirs] = [ours(folder, arguments, ""), folder.run(path, arguments, b"")].map(|ran| {
        // What Perl says of clients without a name is its own.
        assert_eq!(ran.code, Some(0), "{arguments:?}");
        let mut lines: Vec<String> = ran.out.lines().map(str::to_owned).collect();
        lines.sort();
        lines
    });
    for (line, (ours, theirs)) in ours.iter().zip(&theirs).enumerate() {
        assert_eq!(ours, theirs, "{arguments:?}, line {line} of the sorted report");
    }
    assert_eq!(ours.len(), theirs.len(), "{arguments:?}");
    true
}

/// The year turns in the oldest of them; the newest is larger than a block, so that several threads read it.
#[test]
fn rotated_files_in_any_order() {
    let folder = folder();
    let log = sample(11, 340, 18_000);
    let lines: Vec<&str> = log.split_inclusive('\n').collect();
    let (oldest, rest) = lines.split_at(3000);
    let (older, newest) = rest.split_at(3000);
    assert!(newest.concat().len() > 1_500_000);
    for (name, part) in [("mail.log.2", oldest), ("mail.log.1", older), ("mail.log", newest)] {
        folder.write(name, part.concat());
    }
    for files in [
        ["mail.log.2", "mail.log.1", "mail.log"],
        ["mail.log", "mail.log.1", "mail.log.2"],
        ["mail.log.1", "mail.log", "mail.log.2"],
    ] {
        let arguments: Vec<&str> = files.into_iter().chain(["--smtpd-stats", "--iso-date-time"]).collect();
        if !compared(&folder, &arguments) {
            return;
        }
    }
}

#[test]
fn a_day_is_found_in_a_large_log() {
    let folder = folder();
    let log = sample(12, 100, 480_000);
    assert!(log.len() > 66 * 1024 * 1024, "{}", log.len());
    folder.write("mail.log", log);
    for day in ["yesterday", "today"] {
        if !compared(&folder, &["-d", day, "mail.log"]) {
            return;
        }
    }
    let found = ours(&folder, &["-d", "yesterday", "mail.log"], "");
    assert!(
        found.out.contains("delivered\n") && !found.out.contains("      0   received\n"),
        "{}",
        found.out
    );
}

/// As Perl counts and prints them: in doubles where they are large.
#[test]
fn large_numbers_beside_debians() {
    let folder = folder();
    let mut log = String::new();
    for (id, size, delay) in [
        ("A1", "9223372036854775807", "1e999"),
        ("A2", "9007199254740993", "123456789012345678901234567890.5"),
        ("A3", "1", "5000000"),
        ("A4", "2", "1e20"),
        ("A5", "3", "359999"),
        ("A6", "536870913", "3601"),
    ] {
        log.push_str(&format!(
            "Nov 22 01:00:02 mail postfix/smtpd[1]: {id}: client=mx.example.net[192.0.2.1]\n\
             Nov 22 01:00:02 mail postfix/qmgr[2]: {id}: from=<{id}@example.net>, size={size}, nrcpt=1 (queue active)\n\
             Nov 22 01:00:03 mail postfix/local[3]: {id}: to=<bob@{id}.example.com>, relay=local, delay={delay}, dsn=2.0.0, status=sent (ok)\n"
        ));
    }
    folder.write("mail.log", &log);
    let wide = ours(&folder, &["mail.log"], "");
    for line in ["  1388.9 h  1388.9 h  ", "    Inf h    Inf h  ", "  100.0 h  100.0 h  "] {
        assert!(wide.out.contains(line), "{line}\n{}", wide.out);
    }
    if std::path::Path::new("/usr/sbin/pflogsumm").exists() {
        assert!(compared(&folder, &["mail.log"]));
    }
    // Beyond what a machine has, the largest that there is: a message is one all the same.
    folder.write("mail.log", log.replace("size=1,", "size=99999999999999999999999,"));
    let ran = ours(&folder, &["mail.log"], "");
    assert_eq!((ran.code, ran.errors.as_str()), (Some(0), ""));
    assert!(
        ran.out.contains(" 17592186044416m  bytes received\n") && !ran.out.contains("no size data"),
        "{}",
        ran.out
    );
}
