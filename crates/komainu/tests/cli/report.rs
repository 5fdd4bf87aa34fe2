//! `komainu report`: what it says of a log, for people and programs; days, sections, exit codes. T2.22.

use crate::program::{Folder, Ran, komainu};
use std::io::{Read as _, Write as _};
use std::process::{Command, Stdio};

const LOG: &str = "\
Nov 21 23:00:00 mail postfix/smtpd[1]: connect from mx.example.net[192.0.2.1]
Nov 21 23:00:01 mail postfix/smtpd[1]: disconnect from mx.example.net[192.0.2.1] quit=1 commands=1
2026-11-22T01:00:01+09:00 mail postfix/smtpd[1]: connect from mx.example.net[192.0.2.1]
2026-11-22T01:00:02+09:00 mail postfix/smtpd[1]: A1234: client=mx.example.net[192.0.2.1]
2026-11-22T01:00:02+09:00 mail postfix/cleanup[4]: A1234: message-id=<x@example.net>
2026-11-22T01:00:02+09:00 mail postfix/qmgr[2]: A1234: from=<=alice@example.net>, size=1234, nrcpt=1 (queue active)
2026-11-22T01:00:02+09:00 mail postfix/smtpd[1]: disconnect from mx.example.net[192.0.2.1] ehlo=1 mail=1 rcpt=1 data=1 quit=1 commands=5
2026-11-22T01:00:03+09:00 mail postfix/local[3]: A1234: to=<bob@example.com>, relay=local, delay=1.2, delays=1/0.1/0/0.1, dsn=2.0.0, status=sent (delivered to maildir)
2026-11-22T01:00:03+09:00 mail postfix/qmgr[2]: A1234: removed
2026-11-22T04:00:00+09:00 mail postfix/smtpd[1]: connect from h.example[192.0.2.9]
2026-11-22T04:00:01+09:00 mail postfix/smtpd[1]: NOQUEUE: reject: RCPT from h.example[192.0.2.9]: 554 5.7.1 <r@example.org>: Relay access denied; from=<x@example.org> to=<r@example.org> proto=ESMTP helo=<h>
2026-11-22T04:00:02+09:00 mail postfix/smtpd[1]: disconnect from h.example[192.0.2.9] ehlo=1 mail=1 rcpt=0/1 quit=1 commands=3/4
half a line
";

fn folder() -> Folder {
    let folder = Folder::new();
    folder.write("mail.log", LOG);
    folder
}

/// Without the ends of its lines: how wide they are is the reader's.
fn flat(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn report(folder: &Folder, arguments: &[&str], input: &str) -> Ran {
    // Not what /etc may have.
    let own: &[&str] = if arguments.contains(&"-c") { &["report"] } else { &["report", "-c", "."] };
    let all: Vec<&str> = own.iter().chain(arguments).copied().collect();
    folder.run(komainu(), &all, input.as_bytes())
}

#[test]
fn sums_are_shown_and_add_up() {
    let folder = folder();
    let ran = report(&folder, &["-d", "2026-11-22", "mail.log"], "");
    assert_eq!((ran.code, ran.errors.as_str()), (Some(0), ""), "{ran:?}");
    assert!(
        flat(&ran.out).starts_with("22 Nov 2026 01:00 to 22 Nov 2026 04:00: One message, and it was delivered. 1 of 2 connections (50.0 %) was kept out. It was not compared with earlier days. Traffic "),
        "{}",
        ran.out
    );
    // A pipe gets neither colours nor bars.
    assert!(!ran.out.contains('\u{1b}') && !ran.out.contains('█'), "{}", ran.out);
    for words in [
        "mail accepted 1",
        "refused by a rule 1",
        "all 2",
        "reject_unauth_destination 1 0 0 1",
        "half, or none of a log 1",
    ] {
        let found =
            ran.out.lines().any(|line| line.split_whitespace().collect::<Vec<_>>().join(" ") == words);
        assert!(found, "{words}\n{}", ran.out);
    }
    assert_eq!(report(&folder, &["-d", "2026-11-22", "-"], LOG), ran);
    let coloured = report(&folder, &["--color", "always", "mail.log"], "");
    assert!(coloured.out.contains("\u{1b}[") && coloured.out.contains('█'), "{}", coloured.out);
}

#[test]
fn programs_get_json_and_csv() {
    let folder = folder();
    let json = report(&folder, &["-d", "2026-11-22", "--format", "json", "mail.log"], "");
    let json: serde_json::Value = serde_json::from_str(&json.out).expect("JSON");
    let rows = json.pointer("/connections/rows").and_then(|rows| rows.as_array()).expect("rows");
    let sum: u64 = rows.iter().filter_map(|row| row.get("count")?.as_u64()).sum();
    assert_eq!((Some(sum), sum), (json.pointer("/connections/sum/count").and_then(|sum| sum.as_u64()), 2));
    assert_eq!(json.get("from").and_then(|from| from.as_str()), Some("2026-11-22T01:00:01"));
    // A cell that a spreadsheet would run is a text.
    let csv = report(&folder, &["--format", "csv", "-s", "senders", "mail.log"], "");
    assert_eq!(csv.out, "sender,count,bytes\r\n'=alice@example.net,1,1234\r\n");
    let csv = report(&folder, &["--format", "csv", "mail.log"], "");
    assert!(csv.out.starts_with("section,name,measure,value\r\n"), "{}", csv.out);
    assert!(csv.out.contains("\r\nmessages,delivered,count,1\r\n"), "{}", csv.out);
}

#[test]
fn the_log_is_the_configurations() {
    let folder = folder();
    let log = folder.path().join("mail.log").display().to_string();
    folder.write(
        "main.cf",
        format!("compatibility_level = 3.6\nmaillog_file = {log}\nmaillog_file_prefixes = /\n"),
    );
    folder.write("master.cf", "");
    folder.write(
        "mail.log.1",
        "2026-11-22T00:00:00+09:00 mail postfix/smtpd[1]: connect from a.example[192.0.2.1]\n",
    );
    let here = folder.path().display().to_string();
    let lines = |arguments: &[&str]| {
        let ran = report(&folder, arguments, "");
        assert_eq!((ran.code, ran.errors.as_str()), (Some(0), ""), "{ran:?}");
        let json: serde_json::Value = serde_json::from_str(&ran.out).expect("JSON");
        json.pointer("/log/sum/lines").or(json.pointer("/log/sum/count")).and_then(|count| count.as_u64())
    };
    assert_eq!(lines(&["-c", &here, "--format", "json"]), Some(13));
    // Of a day that may have begun in the log before.
    assert_eq!(lines(&["-c", &here, "--format", "json", "-d", "2026-11-22"]), Some(14));
    // What the report that is sent is made of, where that is another.
    folder.write("syslog", LOG.lines().take(2).map(|line| format!("{line}\n")).collect::<String>());
    let named = format!("komainu_report_log = {}\n", folder.path().join("syslog").display());
    let main = std::fs::read_to_string(folder.path().join("main.cf")).expect("reads");
    folder.write("main.cf", main + &named);
    assert_eq!(lines(&["-c", &here, "--format", "json"]), Some(2));
}

/// The same log as this server's JSON, as the journal's, and with the journal's short stamps.
#[test]
fn json_and_the_journal_say_the_same() {
    let folder = folder();
    let text: Vec<&str> = LOG.lines().filter(|line| line.starts_with('2')).collect();
    let plain = report(&folder, &["--format", "json", "-"], &text.join("\n"));
    let mut ours = String::new();
    let mut journal = String::new();
    for line in &text {
        let line = events::Line::parse(line).expect("a line");
        ours.push_str(&line.json());
        ours.push('\n');
        let entry = serde_json::json!({
            "__REALTIME_TIMESTAMP": line.time.wall(2026, 0).0.to_string(),
            "_HOSTNAME": line.host,
            "SYSLOG_IDENTIFIER": line.program,
            "SYSLOG_PID": line.pid.expect("a number").to_string(),
            "PRIORITY": "6",
            "MESSAGE": line.event.to_string(),
        });
        journal.push_str(&format!("{entry}\n"));
    }
    assert_eq!(report(&folder, &["--format", "json", "-"], &ours), plain);
    // The journal has UTC, and its readers their own clock.
    let in_japan = |arguments: &[&str]| {
        let folder_path = folder.path().join("journal.json");
        std::fs::write(&folder_path, &journal).expect("writes");
        let ran = Command::new(komainu())
            .args(["report", "-c", "."])
            .args(arguments)
            .arg(&folder_path)
            .current_dir(folder.path())
            .env("TZ", "Asia/Tokyo")
            .output()
            .expect("starts");
        String::from_utf8(ran.stdout).expect("text")
    };
    assert_eq!(in_japan(&["--format", "json"]), plain.out);
    assert_eq!(in_japan(&["--format", "json", "-d", "2026-11-22"]), plain.out);
    let short: String = text.iter().map(|line| line.replacen("+09:00", "+0900", 1) + "\n").collect();
    assert_eq!(report(&folder, &["--format", "json", "-"], &short), plain);
}

#[test]
fn exit_codes() {
    let folder = folder();
    let code = |arguments: &[&str]| {
        let ran = report(&folder, arguments, "");
        (ran.code, ran.errors)
    };
    assert_eq!(code(&["-d", "1999-01-01", "mail.log"]), (Some(1), String::new()));
    let (found, said) = code(&["-d", "tomorrow", "mail.log"]);
    assert!(
        found == Some(64) && said.contains("--day tomorrow: neither today, yesterday, a date like 2026-11-22, nor two of them with `..` between"),
        "{said}"
    );
    assert_eq!(code(&["--section", "nothing", "mail.log"]).0, Some(64));
    let (found, said) = code(&["nowhere", "mail.log"]);
    assert!(found == Some(75) && said.starts_with("komainu report: nowhere: No such file"), "{said}");
}

#[test]
fn rules_are_shown_with_their_places() {
    let folder = folder();
    folder.write(
        "main.cf",
        "compatibility_level = 3.6\n\
         smtpd_relay_restrictions = permit_mynetworks,\n    reject_unauth_destination\n\
         smtpd_restriction_classes = lists\n\
         lists = reject_rbl_client bl.example=127.0.0.2, reject_rbl_client zen.example\n\
         smtpd_client_restrictions = check_client_access static:dunno, lists\n\
         smtpd_sender_restrictions = check_client_access static:dunno\n\
         postscreen_dnsbl_sites = zen.example*2, bl.example\n\
         header_checks = static:ok\n\
         smtpd_recipient_restrictions = check_policy_service inet:127.0.0.1:10023\n",
    );
    folder.write(
        "master.cf",
        "smtp inet n - n - - smtpd\n\
         submission inet n - n - - smtpd\n\
         \x20 -o smtpd_helo_restrictions=reject_unknown_helo_hostname\n\
         \x20 -o { smtpd_recipient_restrictions = reject_unauth_destination, reject }\n\
         \x20 -o smtpd_client_message_rate_limit=7\n\
         127.0.0.1:10025 inet n - n - - smtpd -o smtpd_helo_restrictions=reject_unknown_helo_hostname\n",
    );
    let reject = |text: &str| {
        format!(
            "Nov 22 01:00:00 mail postfix/smtpd[1]: NOQUEUE: reject: RCPT from a.example[192.0.2.1]: {text}; from=<a@b.example>\n"
        )
    };
    let log = [
        reject("554 5.7.1 <r@example.org>: Relay access denied"),
        reject("554 5.7.1 Service unavailable; Client host [192.0.2.1] blocked using zen.example"),
        reject("554 5.7.1 Service unavailable; Client host [192.0.2.1] blocked using gone.example"),
        reject("554 5.7.1 <a.example[192.0.2.1]>: Client host rejected: Access denied"),
        reject("450 4.2.0 <r@example.org>: Recipient address rejected: Greylisted, see x"),
        reject("450 4.7.1 <h.example>: Helo command rejected: Host not found"),
        reject("450 4.7.1 Error: too much mail from 192.0.2.1"),
        "Nov 22 01:00:00 mail postfix/postscreen[1]: NOQUEUE: reject: RCPT from [192.0.2.2]:4712: 550 5.7.1 Service unavailable; client [192.0.2.2] blocked using bl.example; from=<a@b.example>, to=<c@d.example>, proto=ESMTP, helo=<x>\n".to_owned(),
        "Nov 22 01:00:00 mail postfix/cleanup[1]: ABCDE1: reject: header Subject: x from a.example[192.0.2.1]; from=<a@b.example> to=<c@d.example> proto=ESMTP helo=<h>: 5.7.1 no\n".to_owned(),
    ]
    .concat();
    let ran = report(&folder, &["--format", "json", "-s", "rules", "-"], &log);
    let json: serde_json::Value = serde_json::from_str(&ran.out).expect("JSON");
    let rows = json.pointer("/rules/rows").and_then(|rows| rows.as_array()).expect("rows");
    let place = |rule: &str| {
        let row = rows.iter().find(|row| row.get("rule").and_then(|name| name.as_str()) == Some(rule));
        let row = row.unwrap_or_else(|| panic!("{rule}: {rows:?}"));
        row.get("place")
            .and_then(|place| place.as_str())
            .map(|place| place.trim_start_matches("./").to_owned())
    };
    for (rule, expect) in [
        ("reject_unauth_destination", Some("main.cf:3:5 and 2 more")),
        // Only in master.cf's -o, for two servers.
        ("reject_unknown_helo_hostname", Some("master.cf:3:30 and 1 more")),
        ("smtpd_client_message_rate_limit", Some("master.cf:5:38")),
        ("reject_rbl_client zen.example", Some("main.cf:5:49")),
        ("reject_rbl_client gone.example", None),
        ("check_client_access", Some("main.cf:6:29 and 1 more")),
        ("greylisting", Some("main.cf:10:32")),
        ("postscreen_dnsbl_sites bl.example", Some("main.cf:8:41")),
        ("header_checks", Some("main.cf:9:17")),
    ] {
        assert_eq!(place(rule).as_deref(), expect, "{rule}");
    }
}

/// Ends as a person ends it, once it listens to that.
#[test]
fn a_followed_log_is_printed_at_the_end() {
    let folder = folder();
    let mut child = Command::new(komainu())
        .args(["report", "-c", ".", "--follow", "mail.log"])
        .current_dir(folder.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("starts");
    let status = format!("/proc/{}/status", child.id());
    // Bit 1 of the signals that are caught is SIGINT's, bit 14 SIGTERM's.
    let listens = || {
        let status = std::fs::read_to_string(&status).expect("it runs");
        let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:")).expect("its signals");
        u64::from_str_radix(caught.trim(), 16).expect("a number") & 0x4002 == 0x4002
    };
    let since = std::time::Instant::now();
    while !listens() {
        assert!(since.elapsed() < std::time::Duration::from_secs(60), "it doesn't listen to signals");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    let more = "2026-11-22T05:00:00+09:00 mail postfix/smtpd[9]: connect from late.example[192.0.2.7]\n";
    let mut log = std::fs::File::options().append(true).open(folder.path().join("mail.log")).expect("opens");
    log.write_all(more.as_bytes()).expect("writes");
    let told = Command::new("kill").args(["-INT", &child.id().to_string()]).status().expect("kill is there");
    assert!(told.success());
    let status = child.wait().expect("ends");
    let mut out = String::new();
    child.stdout.take().expect("piped").read_to_string(&mut out).expect("text");
    assert!(status.success(), "{status}");
    assert!(
        out.contains("22 Nov 2026 05:00: One message, and it was delivered.") && !out.contains('\u{1b}'),
        "{out}"
    );
}

/// A log in which everything is said once: 200,000 addresses, reasons, senders. Memory is bounded, sums stay exact,
/// and the report says what it folded.
#[test]
fn two_hundred_thousand_different_names_fit_into_a_bound_of_memory() {
    const NAMES: u64 = 200_000;
    let folder = folder();
    let mut child = Command::new(komainu())
        .args(["report", "-c", ".", "--format", "json", "-"])
        .current_dir(folder.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("starts");
    let mut log = std::io::BufWriter::new(child.stdin.take().expect("piped"));
    for number in 0..NAMES {
        let (a, b, c) = (11 + (number >> 16), number >> 8 & 255, number & 255);
        writeln!(
            log,
            "Nov 22 01:00:00 mail postfix/smtpd[{}]: NOQUEUE: reject: RCPT from h{number}.example[{a}.{b}.{c}.7]: \
             554 5.7.1 <r@example.com>: Recipient address rejected: reason of its own {number}; \
             from=<s{number}@d{number}.example> to=<r@example.com> proto=ESMTP helo=<h{number}.example>",
            number + 1
        )
        .expect("writes");
        if number % 4 == 0 {
            writeln!(
                log,
                "Nov 22 01:00:00 mail postfix/smtp[9]: {:X}: to=<r{number}@d{number}.example>, relay=none, delay=1, \
                 delays=0/0/1/0, dsn=4.4.1, status=deferred (connect to mx{number}.example: timed out)",
                0x10_0000_0000 + number
            )
            .expect("writes");
        }
    }
    log.flush().expect("writes");
    // All has been read but for what fits into a pipe.
    let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).expect("it runs");
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("its memory");
    let peak_kb: u64 = peak.split_whitespace().next().and_then(|kb| kb.parse().ok()).expect("a number");
    drop(log);
    let ran = child.wait_with_output().expect("ends");
    assert!(ran.status.success());
    let threads = std::thread::available_parallelism().map_or(1, |threads| threads.get().min(8)) as u64;
    println!("{} MB with {threads} threads", peak_kb / 1024);
    assert!(peak_kb < (64 + 48 * threads) * 1024, "{peak_kb} KB with {threads} threads");
    let json: serde_json::Value = serde_json::from_slice(&ran.stdout).expect("JSON");
    for path in ["/refusals/sum/count", "/refused_networks/sum/count", "/connections/sum/count"] {
        assert_eq!(json.pointer(path).and_then(serde_json::Value::as_u64), Some(NAMES), "{path}");
    }
    let notes = json.pointer("/notes").expect("notes").to_string();
    for words in [
        "too many different reasons of refusals",
        "too many different refused networks",
        "too many different reasons of delays",
        "too many different destinations of what was put off",
        "open at the same time",
    ] {
        assert!(notes.contains(words), "{words}: {notes}");
    }
}

/// What the generator knows, in a report's JSON.
fn assert_has_the_truth(json: &str, truth: &report::sample::Truth) {
    let json: serde_json::Value = serde_json::from_str(json).expect("JSON");
    let number = |path: &str| json.pointer(path).and_then(serde_json::Value::as_u64);
    for (path, count) in [
        ("/log/sum/count", truth.lines),
        ("/connections/sum/count", truth.connections),
        ("/traffic/sum/connections", truth.connections),
        ("/traffic/sum/received", truth.received),
        ("/traffic/sum/delivered", truth.delivered),
        ("/traffic/sum/deferred", truth.deferrals),
        ("/traffic/sum/bounced", truth.bounced),
        ("/traffic/sum/refused", truth.rejected),
        ("/rules/sum/refused", truth.rejected),
        ("/senders/sum/bytes", truth.bytes),
    ] {
        assert_eq!(number(path), Some(count), "{path}");
    }
    let part = |section: &str, title: &str| {
        let rows = json.pointer(&format!("/{section}/rows")).and_then(|rows| rows.as_array()).expect("rows");
        let row = rows.iter().find(|row| row.get("part").and_then(|part| part.as_str()) == Some(title));
        row.and_then(|row| row.get("count")?.as_u64()).unwrap_or(0)
    };
    let report::sample::Truth { connected, messages, .. } = *truth;
    for (section, title, count) in [
        ("connections", "mail accepted", connected.accepted),
        ("connections", "refused by a rule", connected.refused),
        ("connections", "log-in failed, no mail", connected.login_failed),
        ("connections", "broken off, no mail", connected.broken),
        ("connections", "no mail", connected.without_mail),
        ("messages", "delivered", messages.delivered),
        ("messages", "delivered to some, returned for others", messages.partly),
        ("messages", "returned (bounced)", messages.bounced),
        ("messages", "still put off (deferred)", messages.deferred),
        ("messages", "on hold", messages.held),
        ("messages", "refused for its content", messages.refused),
        ("messages", "discarded", messages.discarded),
    ] {
        assert_eq!(part(section, title), count, "{section}: {title}");
    }
}

/// Large enough that several threads read them, and larger with the three in one.
#[test]
fn logs_in_any_order_are_one_report() {
    let folder = folder();
    let first = report::Day { year: 2025, month: 12, day: 20 };
    let mut sample = report::sample::Sample::new(3, first, 1).rfc3339().over(30, 30_000);
    let mut log = String::new();
    while sample.truth().lines < 30_000 {
        sample.event(&mut log);
    }
    let lines: Vec<&str> = log.split_inclusive('\n').collect();
    for (name, part) in ["mail.log.2", "mail.log.1", "mail.log"].iter().zip(lines.chunks(11_000)) {
        folder.write(name, part.concat());
    }
    folder.write("all", &log);
    let all = report(&folder, &["--format", "json", "all"], "");
    assert_eq!((all.code, all.errors.as_str()), (Some(0), ""));
    assert!(all.out.contains("\"from\":\"2025-12-20T"), "{}", all.out);
    assert_has_the_truth(&all.out, &sample.truth());
    for files in [
        ["mail.log.2", "mail.log.1", "mail.log"],
        ["mail.log", "mail.log.1", "mail.log.2"],
        ["mail.log.1", "mail.log", "mail.log.2"],
    ] {
        let some: Vec<&str> = ["--format", "json"].into_iter().chain(files).collect();
        assert!(report(&folder, &some, "") == all, "{files:?}");
    }
    assert!(report(&folder, &["--format", "json"], "") != all);
    assert!(report(&folder, &["--format", "json", "-"], &log) == all);
}

/// Half lines, lines of a megabyte, bytes that are no text, other programs' lines, lines out of order: several threads
/// count what one does, and all adds up.
#[test]
fn whatever_is_in_a_log_threads_change_no_number() {
    let folder = folder();
    let mut sample =
        report::sample::Sample::new(8, report::Day { year: 2026, month: 11, day: 1 }, 1).over(12, 14_000);
    let mut text = String::new();
    while sample.truth().lines < 14_000 {
        sample.event(&mut text);
    }
    let mut lines: Vec<Vec<u8>> = text.lines().map(|line| line.as_bytes().to_vec()).collect();
    let mut state = 8_u64;
    let mut below = |end: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(state >> 33).expect("31 bits") % end.max(1)
    };
    let mut log: Vec<u8> = Vec::new();
    for at in 0..lines.len() {
        match below(100) {
            0..3 => {
                let near = (at + below(30)).min(lines.len() - 1);
                lines.swap(at, near);
            }
            3..5 => {
                let end = below(lines[at].len());
                lines[at].truncate(end);
            }
            5 => lines[at].extend_from_slice(b" \xff\xfe\xc3\x28\0\x1b[31m"),
            6 => lines[at] = b"Nov  3 10:00:00 mail kernel: [1.0] eth0: link up".to_vec(),
            7 => lines[at] = vec![0xe2; 300],
            _ => {}
        }
        if at % 5_000 == 4_000 {
            log.extend_from_slice(&b"Nov  3 10:00:00 mail postfix/smtpd[1]: warning: x".repeat(21_000));
            log.push(b'\n');
        }
        log.extend_from_slice(&lines[at]);
        log.push(b'\n');
    }
    log.truncate(log.len() - 9);
    folder.write("mail.log", &log);
    // One that this test may run on.
    let status = std::fs::read_to_string("/proc/self/status").expect("reads");
    let allowed = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:")).expect("a list");
    let processor: String = allowed.trim().chars().take_while(char::is_ascii_digit).collect();
    for day in [&[][..], &["-d", "2026-11-04..2026-11-09"]] {
        let arguments = [&["report", "-c", ".", "--format", "json", "mail.log"], day].concat();
        let several = folder.run(komainu(), &arguments, b"");
        assert_eq!((several.code, several.errors.as_str()), (Some(0), ""));
        let program = komainu();
        let alone = [&["-c", &processor, program.to_str().expect("text")], arguments.as_slice()].concat();
        let one = folder.run("taskset", &alone, b"");
        assert_eq!(several.out, one.out);
        let json: serde_json::Value = serde_json::from_str(&several.out).expect("JSON");
        let counted = |path: &str| json.pointer(path).and_then(serde_json::Value::as_u64).expect("a count");
        for section in ["connections", "messages", "origins", "log"] {
            let rows = json[section]["rows"].as_array().expect("rows");
            let sum: u64 = rows.iter().filter_map(|row| row["count"].as_u64()).sum();
            assert_eq!(sum, counted(&format!("/{section}/sum/count")), "{section}");
        }
        assert_eq!(counted("/log/sum/count"), lines.len() as u64 + 2);
        assert!(counted("/connections/sum/count") > 500 && counted("/log/rows/3/count") > 50, "{json}");
    }
}

/// What can't be written is no success, whoever was asked; a reader that left is.
#[test]
fn what_cannot_be_written_is_said() {
    let folder = folder();
    folder.write("jail.conf", "[DEFAULT]\n");
    for name in ["postconf", "pflogsumm", "fail2ban-regex", "fail2ban-client"] {
        std::os::unix::fs::symlink(komainu(), folder.path().join("bin").join(name)).expect("links");
    }
    let old = |name: &str| folder.path().join("bin").join(name).display().to_string();
    let new = komainu().display().to_string();
    let calls: Vec<(String, Vec<&str>, i32)> = vec![
        (new.clone(), vec!["report", "-c", ".", "mail.log"], 75),
        (new.clone(), vec!["report", "-c", ".", "--html", "mail.log"], 75),
        (new.clone(), vec!["report", "-c", ".", "--format", "json", "mail.log"], 75),
        (new.clone(), vec!["ban", "test", "mail.log", "connect from .*\\[<HOST>\\]"], 75),
        (new.clone(), vec!["check", "--explain", "K0107"], 75),
        (new.clone(), vec!["check", "-c", "."], 75),
        (new.clone(), vec!["conf", "-c", "."], 75),
        (new.clone(), vec!["--help"], 75),
        (new, vec!["--version"], 75),
        (old("postconf"), vec!["-c", "."], 1),
        (old("postmap"), vec!["-q", "x", "inline:{x=y}"], 1),
        (old("pflogsumm"), vec!["mail.log"], 1),
        (old("pflogsumm"), vec!["--help"], 1),
        (old("fail2ban-client"), vec!["--version"], 255),
    ];
    for (program, words, expect) in calls {
        let call = |out: Stdio, errors: Stdio| {
            Command::new(&program)
                .args(&words)
                .current_dir(folder.path())
                .stdin(Stdio::null())
                .stdout(out)
                .stderr(errors)
                .spawn()
                .expect("starts")
        };
        let full = || Stdio::from(std::fs::File::options().write(true).open("/dev/full").expect("is there"));
        let ran = call(full(), Stdio::piped()).wait_with_output().expect("ends");
        let said = String::from_utf8_lossy(&ran.stderr).into_owned();
        assert_eq!(ran.status.code(), Some(expect), "{program} {words:?}: {said}");
        assert_eq!(said.matches("No space left on device").count(), 1, "{program} {words:?}: {said}");
        // Both gone: nobody can be told, and nothing breaks.
        let ran = call(full(), full()).wait_with_output().expect("ends");
        assert_eq!(ran.status.code(), Some(expect), "{program} {words:?}");
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        let ran = call(writer.into(), Stdio::piped()).wait_with_output().expect("ends");
        let said = String::from_utf8_lossy(&ran.stderr).into_owned();
        assert!(!said.contains("Broken pipe") && !said.contains("panicked"), "{program} {words:?}: {said}");
        assert!(ran.status.code().is_some_and(|code| code != expect), "{program} {words:?}: {said}");
    }
}

#[test]
fn standard_input_is_read_once_and_to_its_end() {
    let folder = folder();
    let once = report(&folder, &["-"], LOG);
    assert_eq!(once.code, Some(0));
    assert_eq!(report(&folder, &["-", "-"], LOG), once);
    assert_eq!(report(&folder, &["--follow", "-"], LOG), once);
    assert_eq!(report(&folder, &["--follow", "-", "-"], LOG), once);
    let packed = Command::new("gzip").arg("-c").arg(folder.path().join("mail.log")).output().expect("gzip");
    assert_eq!(folder.run(komainu(), &["report", "-c", ".", "-f", "-"], &packed.stdout), once);
    std::os::unix::fs::symlink(komainu(), folder.path().join("bin/pflogsumm")).expect("links");
    let old = |words: &[&str]| folder.run(folder.path().join("bin/pflogsumm"), words, LOG.as_bytes());
    assert_eq!(old(&["-", "-"]), old(&["-"]));
}

#[test]
fn a_log_that_cannot_be_read_is_no_empty_log() {
    let folder = folder();
    folder.write("packed", b"BZh91AY&SY\x01\x02\x03\x04");
    for (name, said) in
        [("nowhere", "No such file or directory"), ("packed", "packed by bzip2"), ("bin", "directory")]
    {
        let ran = report(&folder, &[name], "");
        assert_eq!(ran.code, Some(75), "{ran:?}");
        assert!(ran.errors.contains(said) && ran.out.starts_with("No log could be read. "), "{ran:?}");
        let page = report(&folder, &["--html", name], "");
        assert!(
            page.out.contains("No log could be read. ") && page.out.contains("Not read: "),
            "{}",
            page.out
        );
        let json: serde_json::Value =
            serde_json::from_str(&report(&folder, &["--format", "json", name], "").out).expect("JSON");
        assert!(json["notes"][0].as_str().is_some_and(|note| note.starts_with("Not read: ")), "{json}");
        // The others are read, and it is said that they aren't all.
        let ran = report(&folder, &[name, "mail.log"], "");
        assert!(flat(&ran.out).contains("Not all of the log could be read"), "{ran:?}");
    }
    assert!(report(&folder, &["packed"], "").errors.contains("bzip2 -dc"));
    assert!(report(&folder, &["/dev/null"], "").out.starts_with("There is no mail in this log. "));
}

/// A day held against those before: the terminal says what the page does, whatever was logged.
#[test]
fn what_is_out_of_the_ordinary_stands_on_top() {
    let folder = folder();
    folder.write("main.cf", "compatibility_level = 3.6\n");
    folder.write("master.cf", "");
    let log = format!(
        "{LOG}2026-11-22T06:00:00+09:00 mail postfix/smtpd[1]: fatal: no \u{1b}[31mSASL\u{202e} here\n\
         2026-02-31T06:00:00+09:00 mail postfix/smtpd[1]: connect from late.example[192.0.2.7]\n"
    );
    folder.write("mail.log", log.as_bytes());
    let ran = report(&folder, &["-d", "2026-11-22", "mail.log"], "");
    assert!(
        flat(&ran.out).contains(
            "One thing is out of the ordinary; it was not compared with earlier days. - smtpd: fatal: no"
        ),
        "{}",
        ran.out
    );
    assert!(!ran.out.contains(['\u{1b}', '\u{202e}']), "{}", ran.out);
    let page = report(&folder, &["-d", "2026-11-22", "--html", "mail.log"], "");
    assert!(page.out.contains("One thing is out of the ordinary; it was not compared with earlier days."));
    // Programs get it with the day, where it is one.
    let json = |arguments: &[&str]| -> serde_json::Value {
        let ran = report(&folder, &[arguments, &["--format", "json", "mail.log"]].concat(), "");
        serde_json::from_str(&ran.out).expect("JSON")
    };
    for (arguments, day) in [(&["-d", "2026-11-22"][..], Some("2026-11-22")), (&[], None)] {
        let json = json(arguments);
        assert_eq!(json["compared"].as_u64(), Some(0), "{json}");
        let unusual = json["unusual"].as_array().expect("a list");
        assert_eq!(unusual.len(), 1, "{json}");
        assert_eq!(unusual[0]["day"].as_str(), day, "{json}");
        assert!(
            unusual[0]["text"].as_str().is_some_and(|text| text.starts_with("smtpd: fatal: no")),
            "{json}"
        );
    }
    assert!(json(&["-s", "traffic"]).get("unusual").is_none());
    // What the server kept of the days before.
    folder.write(
        "main.cf",
        format!("compatibility_level = 3.6\nkomainu_state_directory = {}\n", folder.path().display()),
    );
    // 2026-11-18 to 2026-11-21.
    let kept: String = (20_775..20_779).map(|day| format!("{day}\tprogram\tdovecot\t40\n")).collect();
    folder.write("report", format!("komainu report 1\n{kept}"));
    let compared = json(&["-d", "2026-11-22"]);
    assert_eq!(compared["compared"].as_u64(), Some(4), "{compared}");
    let text = compared["unusual"][1]["text"].as_str();
    assert_eq!(text, Some("dovecot was silent; on each day before it wrote 40 lines or more"), "{compared}");
    // No day of the calendar is no row.
    let traffic = report(&folder, &["-s", "traffic", "mail.log"], "");
    assert!(!traffic.out.contains("02-31"), "{}", traffic.out);
}
