//! The report that goes out by itself (T2.23): once, with both parts, made of a log that only root may read.

use crate::sendmail;
use crate::server::Server;
use crate::site::{KOMAINU, Site, until};
use crate::world::{self, Needs};
use crate::zone_answers;
use jiff::{ToSpan, Zoned, civil::Date};
use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::PathBuf;
use std::process::Command;

/// Days since 1970-01-01.
fn number(day: Date) -> i64 {
    i64::from((day - Date::constant(1970, 1, 1)).get_days())
}

/// Two messages of `day`, and one that was refused, as Postfix writes them.
fn lines(day: Date, from: &str) -> String {
    let stamp = day.strftime("%Y-%m-%dT12:00:0");
    let mut out = String::new();
    for number in 1..=2 {
        out.push_str(&format!(
            "{stamp}1+00:00 mx postfix/smtpd[7]: connect from a.example[203.0.113.{number}]\n\
             {stamp}1+00:00 mx postfix/smtpd[7]: 4F1A{number}B0C{number}D: client=a.example[203.0.113.{number}]\n\
             {stamp}2+00:00 mx postfix/qmgr[3]: 4F1A{number}B0C{number}D: from=<{from}>, size=1200, nrcpt=1 (queue active)\n\
             {stamp}3+00:00 mx postfix/virtual[9]: 4F1A{number}B0C{number}D: to=<box@virtual.example>, relay=virtual, \
             delay=0.2, delays=0.1/0/0/0.1, dsn=2.0.0, status=sent (delivered to maildir)\n\
             {stamp}3+00:00 mx postfix/qmgr[3]: 4F1A{number}B0C{number}D: removed\n\
             {stamp}4+00:00 mx postfix/smtpd[7]: disconnect from a.example[203.0.113.{number}] ehlo=1 mail=1 rcpt=1 \
             data=1 quit=1 commands=5\n"
        ));
    }
    out.push_str(&format!(
        "{stamp}5+00:00 mx postfix/smtpd[7]: connect from unknown[198.51.100.1]\n\
         {stamp}5+00:00 mx postfix/smtpd[7]: NOQUEUE: reject: RCPT from unknown[198.51.100.1]: 554 5.7.1 \
         <x@elsewhere.example>: Relay access denied; from=<a@b.example> to=<x@elsewhere.example> proto=SMTP helo=<<b>>\n\
         {stamp}6+00:00 mx postfix/smtpd[7]: disconnect from unknown[198.51.100.1] helo=1 mail=1 rcpt=0/1 commands=2/3\n"
    ));
    out
}

/// A site that sends reports on the log in /mnt/log to its own virtual mailbox.
fn site(more: &str) -> (Site, PathBuf) {
    let site = Site::new("");
    let logs = PathBuf::from("/mnt/log");
    fs::create_dir_all(&logs).expect("a folder");
    fs::set_permissions(&logs, PermissionsExt::from_mode(0o700)).expect("mode");
    site.main(&format!(
        "komainu_report_schedule = daily 00:00\nkomainu_report_log = {}/mail.log\n\
         komainu_report_recipient = box@virtual.example\n{more}\n{}",
        logs.display(),
        site.virtual_lines()
    ));
    (site, logs)
}

/// What an earlier server kept.
fn keep(site: &Site, told: i64, history: &str) {
    let (state, file) = (site.path("state"), site.path("state/report"));
    fs::create_dir_all(&state).expect("a folder");
    fs::write(&file, format!("komainu report 1\ntold\t{told}\n{history}")).expect("writes");
    for path in [state, file] {
        chown(path, Some(KOMAINU), Some(KOMAINU)).expect("owner");
    }
}

fn told(site: &Site) -> Option<i64> {
    let text = fs::read_to_string(site.path("state/report")).ok()?;
    text.lines().find_map(|line| line.strip_prefix("told\t")?.parse().ok())
}

/// The text of quoted-printable lines, as far as it is ASCII.
fn plain(message: &str) -> String {
    message.replace("\r\n", "\n").replace("=\n", "").replace("=3D", "=")
}

#[test]
fn comes_once_with_both_parts() {
    world::run("reporting::comes_once_with_both_parts", Needs::Root, || {
        let (site, logs) = site("");
        let yesterday = Zoned::now().date() - 1.day();
        let before = yesterday - 1.day();
        fs::write(logs.join("mail.log"), lines(yesterday, "two@example.org")).expect("writes");
        let rotated = lines(before, "gone@example.org") + &lines(yesterday, "one@example.org");
        fs::write(logs.join("mail.log.1"), rotated).expect("writes");
        for name in ["mail.log", "mail.log.1"] {
            fs::set_permissions(logs.join(name), PermissionsExt::from_mode(0o600)).expect("mode");
        }
        keep(&site, number(before), "");
        let mut server = Server::start(&site);
        let message = plain(&site.delivered_with("Content-Type: multipart/alternative"));
        server.stop();
        let day = yesterday.strftime("%-d %B %Y").to_string();
        for expect in [
            "Return-Path: <>\n",
            "From: Mail report <postmaster@mx.example.com>\n",
            "To: box@virtual.example\n",
            "Auto-Submitted: auto-generated\n",
            "MIME-Version: 1.0\n",
            "Message-Id: <",
            "\nContent-Type: text/plain; charset=utf-8\n",
            "\nContent-Type: text/html; charset=utf-8\n",
            "All 4 messages were delivered. 2 of 6 connections (33.3 %) were kept out.",
            "one@example.org",
            "two@example.org",
            "<td align=\"right\"",
        ] {
            assert!(message.contains(expect), "no {expect:?} in\n{message}");
        }
        assert!(message.contains(&day), "no {day} in\n{message}");
        assert!(!message.contains("gone@example.org") && !message.contains("<b>>"), "{message}");
        assert!(message.lines().all(|line| line.is_ascii()));
        assert_eq!(told(&site), Some(number(yesterday)));

        // It was told of; what comes next is another day's.
        let mut server = Server::start(&site);
        site.logged("daemon started", 0);
        server.stop();
        keep(&site, number(before), "");
        let mut server = Server::start(&site);
        let reports = || {
            let all = site.delivered();
            all.iter().filter(|(_, text)| text.contains("Content-Type: multipart/alternative")).count()
        };
        until("the report that is due again", || (reports() > 1).then_some(()));
        server.stop();
        assert_eq!(reports(), 2);
    });
}

#[test]
fn comes_only_when_something_is_unusual_where_that_is_wanted() {
    world::run("reporting::comes_only_when_something_is_unusual_where_that_is_wanted", Needs::Root, || {
        let (site, logs) = site("komainu_report_when = unusual");
        let yesterday = Zoned::now().date() - 1.day();
        fs::write(logs.join("mail.log"), lines(yesterday, "one@example.org")).expect("writes");
        keep(&site, number(yesterday) - 1, "");
        let mut server = Server::start(&site);
        until("yesterday counts as told of", || (told(&site)? >= number(yesterday)).then_some(()));
        server.stop();
        assert_eq!(site.delivered_files().len(), 0, "{:?}", site.delivered());

        // A weekend among them.
        let days = (2..9).map(|ago| format!("{}\tprogram\tdovecot\t40\n", number(yesterday) + 1 - ago));
        keep(&site, number(yesterday) - 1, &days.collect::<String>());
        let mut server = Server::start(&site);
        let message = site.delivered_with("Subject: Out of the ordinary: Mail on mx.example.com");
        server.stop();
        let message = plain(&message);
        assert!(message.contains("- dovecot was silent; on each day before it wrote 40 lines"), "{message}");
    });
}

#[test]
fn a_silent_day_and_a_missing_log_are_out_of_the_ordinary() {
    world::run("reporting::a_silent_day_and_a_missing_log_are_out_of_the_ordinary", Needs::Root, || {
        let (site, logs) = site("komainu_report_when = unusual");
        let yesterday = Zoned::now().date() - 1.day();
        // A weekend among them.
        let days = (2..9).map(|ago| format!("{}\tprogram\tpostfix\t40\n", number(yesterday) + 1 - ago));
        let history: String = days.collect();
        let of_yesterday = format!("{}\t", number(yesterday));
        // What the report says once it has come, and whether the day's sums are kept.
        let report = |expect: &str| {
            keep(&site, number(yesterday) - 1, &history);
            let mut server = Server::start(&site);
            let message = until("the report", || {
                let all = site.delivered().into_iter().map(|(_, text)| plain(&text));
                all.into_iter().find(|text| text.contains(expect))
            });
            server.stop();
            assert!(message.contains("Subject: Out of the ordinary: "), "{message}");
            assert_eq!(told(&site), Some(number(yesterday)));
            let kept = fs::read_to_string(site.path("state/report")).expect("reads");
            kept.lines().any(|line| line.starts_with(&of_yesterday))
        };
        fs::write(logs.join("mail.log"), "").expect("writes");
        assert!(report("- postfix was silent; on each day before it wrote 40 lines or more"));
        fs::remove_file(logs.join("mail.log")).expect("removes");
        let begin = site.log().len();
        assert!(!report("- Not read: /mnt/log/mail.log: there is no such log"));
        let said = site.logged("there is no such log", begin);
        assert!(said.contains("komainu/report") && said.contains("warning: "), "{said}");
    });
}

/// What can't be opened stands on top of the report, which comes; what can be read is in it.
#[test]
fn a_log_that_can_not_be_opened_is_said_on_top() {
    world::run("reporting::a_log_that_can_not_be_opened_is_said_on_top", Needs::Root, || {
        let (site, logs) = site("komainu_report_when = unusual");
        let yesterday = Zoned::now().date() - 1.day();
        fs::create_dir(logs.join("mail.log")).expect("a folder");
        fs::write(logs.join("mail.log.1"), lines(yesterday, "rotated@example.org")).expect("writes");
        keep(&site, number(yesterday) - 1, "");
        let mut server = Server::start(&site);
        let message = plain(&site.delivered_with("Content-Type: multipart/alternative"));
        let expect = "- Not read: /mnt/log/mail.log: /mnt/log/mail.log isn't a regular file";
        assert!(message.contains(expect), "{message}");
        assert!(message.contains("Subject: Out of the ordinary: "), "{message}");
        assert!(message.contains("rotated@example.org"), "{message}");
        let said = site.logged("isn't a regular file", 0);
        assert!(said.contains("komainu/report") && said.contains("warning: /mnt/log/mail.log: "), "{said}");
        server.stop();
        // Once, and it isn't due any more.
        assert_eq!(told(&site), Some(number(yesterday)));
        assert_eq!(site.log().matches("isn't a regular file").count(), 1);
    });
}

/// Lines as they were written, with the date of another day.
fn moved(log: &str, day: Date) -> String {
    let line = |line: &str| match line.starts_with(|first: char| first.is_ascii_digit()) {
        true => format!("{}{}\n", day.strftime("%Y-%m-%d"), line.get(10..).expect("a stamp")),
        false => format!("{}{}\n", day.strftime("%b %e"), line.get(6..).expect("a stamp")),
    };
    log.lines().map(line).collect()
}

/// Each by the words of who found it: the server's own of its certificate and of a list, a rule's refusals, and a
/// source that isn't there.
#[test]
fn all_that_is_out_of_the_ordinary_is_in_one_report() {
    world::run("reporting::all_that_is_out_of_the_ordinary_is_in_one_report", Needs::Root, || {
        let (site, logs) = site(&format!(
            "komainu_report_when = unusual\nsmtpd_tls_security_level = may\n\
             smtpd_tls_chain_files = $config_directory/pair.pem\nkomainu_dns_servers = {}\n\
             smtpd_client_restrictions = reject_rbl_client bl.example\n",
            zone_answers::lists()
        ));
        let made = Command::new("sh")
            .args(["-c", "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 3 \
                          -subj /CN=mx.example.com -keyout key.pem -out crt.pem && cat key.pem crt.pem > pair.pem"])
            .current_dir(site.etc())
            .output()
            .expect("openssl runs");
        assert!(made.status.success(), "{made:?}");
        let yesterday = Zoned::now().date() - 1.day();
        let mut server = Server::start(&site);
        site.logged("the certificate that is served for", 0);
        site.logged("zone unhealthy", 0);
        server.stop();
        let mut log = moved(&site.log(), yesterday);
        (0..80).for_each(|_| log.push_str(&lines(yesterday, "one@example.org")));
        fs::write(logs.join("mail.log"), log).expect("writes");
        let usual = |day: i64| {
            format!(
                "{day}\tprogram\tdovecot\t40\n{day}\tprogram\tpostfix\t900\n{day}\trule\treject_unauth_destination\t20\n"
            )
        };
        let history: String = (2..9).map(|ago| usual(number(yesterday) + 1 - ago)).collect();
        keep(&site, number(yesterday) - 1, &history);
        let mut server = Server::start(&site);
        let message = plain(&site.delivered_with("Subject: Out of the ordinary: "));
        server.stop();
        let (_, text) = message.split_once("\nOut of the ordinary:\n").expect("a heading");
        let (text, _) = text.split_once("\n\n").expect("an end");
        // Whole days are left: three, where the certificate was looked at within the second in which it was made.
        let text = text.replace("\n  ", " ").replace(" in 3 days", " in 2 days");
        let found: Vec<&str> = text.lines().collect();
        let expect = [
            "- The certificate that is served for \"mx.example.com\" ends in 2 days; renew it",
            "- The list bl.example was found ill 1 time and skipped: it lists everybody, or doesn't answer",
            "- dovecot was silent; on each day before it wrote 40 lines or more",
            "- reject_unauth_destination refused 80, usually 20 a day",
        ];
        assert_eq!(found, expect, "{message}");
    });
}

/// What a stranger may get into a log, and what no mail may hold.
fn hostile(day: Date) -> Vec<u8> {
    let stamp = day.strftime("%Y-%m-%dT12:00:05+00:00 mx postfix/smtpd[7]:").to_string();
    let mut out = Vec::new();
    let long = "x".repeat(5_000);
    for words in [
        &b"\r\nBcc: victim@elsewhere.example\r\n\r\nbody"[..],
        b"\r\n.\r\nMAIL FROM:<a@b.example>",
        b".",
        b"..",
        b"From here",
        b"\0nul\0",
        b"\xff\xfe\x80",
        "\u{202e}turned\u{2028}line".as_bytes(),
        b"=?utf-8?q?=0ABcc:_x?=",
        b"--=_",
        b"<script>alert(1)</script>",
        long.as_bytes(),
    ] {
        for text in ["fatal: ", "warning: ", "NOQUEUE: reject: RCPT from x[192.0.2.9]: 554 5.7.1 "] {
            out.extend([stamp.as_bytes(), b" ", text.as_bytes(), words, b"\n"].concat());
        }
    }
    out
}

#[test]
fn one_is_sent_by_hand_with_and_without_a_server() {
    world::run("reporting::one_is_sent_by_hand_with_and_without_a_server", Needs::Root, || {
        let (site, _) = site("");
        let day = Zoned::now().date() - 1.day();
        // It makes a copy that everybody can reach.
        sendmail::program(&site);
        let program = site.path("komainu");
        let report = |more: &str| {
            let log = [lines(day, &format!("{more}@example.org")).into_bytes(), hostile(day)].concat();
            let (etc, asked) = (site.etc().display().to_string(), day.strftime("%Y-%m-%d").to_string());
            // Nobody of rank.
            sendmail::call(
                &site,
                &program,
                4242,
                (&["report", "-c", &etc, "-d", &asked, "--send", "-"], &log),
            )
        };
        let found = |who: &str| {
            let all = site.delivered();
            let found: Vec<String> =
                all.into_iter().map(|(_, text)| text).filter(|text| plain(text).contains(who)).collect();
            assert!(found.len() < 2, "{who} comes twice");
            found.into_iter().next()
        };
        let mut server = Server::start(&site);
        let ran = report("beside");
        assert_eq!(ran.code, Some(0), "{ran:?}");
        assert!(ran.out.starts_with("queued as "), "{ran:?}");
        let one = until("the report beside a server", || found("beside@example.org"));
        server.stop();
        let ran = report("alone");
        assert_eq!(ran.code, Some(0), "{ran:?}");
        assert!(ran.out.contains("it is in the maildrop"), "{ran:?}");
        let mut server = Server::start(&site);
        let other = until("the report without a server", || found("alone@example.org"));
        server.stop();
        for message in [one, other] {
            let (head, body) = message.split_once("\n\n").expect("an empty line");
            assert_eq!(
                head.matches("\nSubject: Out of the ordinary: Mail on mx.example.com, ").count(),
                1,
                "{head}"
            );
            assert!(!head.contains("Bcc") && !head.contains("victim"), "{head}");
            assert_eq!(head.matches("\nTo: ").count(), 1, "{head}");
            for line in body.lines() {
                assert!(line.len() <= 76 && line.is_ascii() && !line.contains(['\r', '\0']), "{line:?}");
                assert!(!line.starts_with('.') && !line.starts_with("From "), "{line:?}");
            }
            assert_eq!(body.lines().filter(|line| line.starts_with("--=_")).count(), 3);
            assert!(!body.contains("<script"), "{body}");
        }
    });
}

/// Killed as soon as the day is noted, as soon as a message is in the queue, and as soon as it runs: in doubt a report
/// is lost, and none comes twice.
#[test]
fn no_kill_makes_two_of_one() {
    world::run("reporting::no_kill_makes_two_of_one", Needs::Root, || {
        let (site, logs) = site("");
        let yesterday = Zoned::now().date() - 1.day();
        // A kill between a delivery and its note delivers once more: that is one message, by its id.
        let sent = |round: &str| {
            let all = site.delivered();
            let of_round =
                all.iter().filter(|(_, text)| plain(text).contains(&format!("{round}@example.org")));
            let id =
                |text: &str| text.lines().find(|line| line.starts_with("Message-Id: ")).map(str::to_owned);
            of_round.map(|(_, text)| id(text).expect("an id")).collect::<BTreeSet<String>>().len()
        };
        let is_told = || (told(&site)? >= number(yesterday)).then_some(());
        for round in ["noted", "queued", "started"] {
            fs::write(logs.join("mail.log"), lines(yesterday, &format!("{round}@example.org")))
                .expect("writes");
            keep(&site, number(yesterday) - 1, "");
            let begin = site.log().len();
            let mut server = Server::start(&site);
            match round {
                "noted" => until("yesterday counts as told of", is_told),
                "queued" => drop(site.logged("/qmgr[", begin)),
                _ => {}
            }
            server.kill();
            let mut server = Server::start(&site);
            // What was to be sent is sent, and what was in the queue has its turn before what comes now.
            until("yesterday counts as told of after the kill", is_told);
            let mark = format!("after {round}");
            let ran =
                sendmail::send(&site, 0, &["box@virtual.example"], format!("Subject: {mark}\n\n").as_bytes());
            assert_eq!(ran.code, Some(0), "{ran:?}");
            site.delivered_with(&format!("Subject: {mark}"));
            server.stop();
        }
        // All that is still in the queue.
        let mut server = Server::start(&site);
        until("the queue is empty", || {
            let listed = sendmail::send(&site, 0, &["-bp"], b"");
            listed.out.contains("Mail queue is empty").then_some(())
        });
        server.stop();
        let counts = ["noted", "queued", "started"].map(sent);
        assert!(counts.iter().all(|count| *count <= 1), "{counts:?}");
    });
}
