//! `komainu ban status|list|why|add|remove|import` and `fail2ban-client`, in front of an engine that the test plays. T2.20.

use crate::program::{Folder, Ran, komainu, oracle};
use komainu::bans::order::{Answer, Brief, Cause, Held, Imported, JailStatus, Order, Reason};
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

fn held(id: &str, until_s: Option<i64>) -> Held {
    Held { jail: "pam".into(), id: id.into(), since_s: 1_795_425_382, until_s, before: 2, failures: 3 }
}

fn answer(order: &Order) -> Answer {
    match order {
        Order::Ping => Answer::Pong,
        Order::Status => Answer::Jails(vec![Brief { name: "pam".into(), blind: None }]),
        Order::JailStatus(jail) if jail == "pam" => Answer::Jail(Box::new(JailStatus {
            name: "pam".into(),
            currently_banned: 1,
            total_failed: 3,
            files: vec!["/var/log/auth.log".into()],
            banned: vec!["192.0.2.4".into()],
            ..JailStatus::default()
        })),
        Order::JailStatus(jail) => Answer::NoJail(jail.clone()),
        Order::List(_) => {
            Answer::Bans(vec![held("192.0.2.4", Some(1_795_425_982)), held("2001:db8::/64", None)])
        }
        Order::Why(id) if id == "192.0.2.4" => {
            let cause = |rule, line: &str| Cause {
                time_s: 1_795_425_380,
                source: "/var/log/auth.log".into(),
                line: line.into(),
                rule,
            };
            Answer::Reasons(vec![Reason {
                jail: "pam".into(),
                id: id.clone(),
                held: Some(held("192.0.2.4", None)),
                failures: 0,
                lines: vec![cause(0, "one"), cause(1, "two")],
            }])
        }
        Order::Why(_) => Answer::Reasons(Vec::new()),
        Order::Add { ids, .. } if ids.iter().any(|id| id.contains("foo")) => {
            Answer::NoAddresses(vec!["foo".into(), "192.0.2.300".into()])
        }
        Order::Add { ids, .. } if ids.iter().any(|id| id == "192.0.2.4") => {
            Answer::Added { count: 0, spared: vec![("192.0.2.4".into(), "shut out already".into())] }
        }
        Order::Add { ids, .. } => Answer::Added { count: ids.len() as u64, spared: Vec::new() },
        Order::Unban { ids, .. } => Answer::Count(u64::from(ids.iter().any(|id| id == "192.0.2.4"))),
        _ => Answer::Done,
    }
}

/// A folder whose fail2ban.conf names a socket at which the test answers, and what was asked there.
fn engine() -> (Folder, Arc<Mutex<Vec<Order>>>) {
    let folder = Folder::new();
    let socket = folder.path().join("socket");
    let listener = UnixListener::bind(&socket).expect("a socket");
    folder.write("fail2ban.conf", format!("[Definition]\nsocket = {}\n", socket.display()));
    folder.write("jail.conf", "[DEFAULT]\nfilter = %(__name__)s\n[pam]\nenabled = true\nbantime = 1h\n");
    std::fs::create_dir(folder.path().join("filter.d")).expect("a folder");
    folder.write("filter.d/pam.conf", "[Definition]\nfailregex = ^first <HOST>$\n   ^second <HOST>$\n");
    let asked = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&asked);
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let mut line = String::new();
            // Somebody who asks nothing is none.
            let Ok(1..) = BufReader::new(&stream).read_line(&mut line) else { continue };
            let order: Order = serde_json::from_str(&line).expect("an order");
            let text = serde_json::to_string(&answer(&order)).expect("an answer") + "\n";
            kept.lock().expect("nobody panics").push(order);
            (&stream).write_all(text.as_bytes()).expect("somebody listens");
        }
    });
    (folder, asked)
}

fn ban(folder: &Folder, line: &str) -> Ran {
    let program = komainu().display().to_string();
    let words = ["TZ=UTC", &program, "ban", "-c", "."].into_iter().chain(line.split_whitespace());
    folder.run("env", &words.collect::<Vec<_>>(), b"")
}

#[test]
fn who_is_shut_out_and_why() {
    let (folder, asked) = engine();
    let ran = ban(&folder, "status");
    assert_eq!((ran.code, ran.out.as_str()), (Some(0), "[pam]  1 shut out, 0 counted\n"), "{ran:?}");
    let ran = ban(&folder, "status pam");
    assert!(
        ran.out.contains("  reads /var/log/auth.log\n") && ran.out.ends_with("\n    192.0.2.4\n"),
        "{ran:?}"
    );
    assert_eq!(ban(&folder, "status nosuch").code, Some(64));
    let ran = ban(&folder, "list");
    let expect = "192.0.2.4  [pam]  since 2026-11-23 09:16:22, until 2026-11-23 09:26:22, 2 times before\n\
         2001:db8::/64  [pam]  since 2026-11-23 09:16:22, for ever, 2 times before\n";
    assert_eq!((ran.code, ran.out.as_str()), (Some(0), expect), "{ran:?}");
    let ran = ban(&folder, "list --format json");
    assert!(ran.out.contains("\"until_s\":1795425982") && ran.out.lines().count() == 2, "{ran:?}");
    let ran = ban(&folder, "why 192.0.2.4");
    let filter = folder.path().join("filter.d/pam.conf");
    let filter = filter.file_name().map(|name| format!("./filter.d/{}", name.to_string_lossy()));
    let filter = filter.expect("a name");
    let expect = format!(
        "[pam] shuts 192.0.2.4 out since 2026-11-23 09:16:22, for ever\n  2 times before\n  {filter}:2: ^first <HOST>$\n    \
         2026-11-23 09:16:20  /var/log/auth.log: one\n  {filter}:3: ^second <HOST>$\n    2026-11-23 09:16:20  \
         /var/log/auth.log: two\n"
    );
    assert_eq!((ran.code, ran.out), (Some(0), expect));
    let ran = ban(&folder, "why 192.0.2.4 --format json");
    let object: serde_json::Value = serde_json::from_str(&ran.out).expect("an object");
    assert_eq!(object["lines"][1]["regex"], "^second <HOST>$", "{object}");
    assert_eq!(object["lines"][1]["place"], format!("{filter}:3"), "{object}");
    assert_eq!(ban(&folder, "why 192.0.2.5").code, Some(1));
    asked.lock().expect("nobody panics").clear();
    assert_eq!(ban(&folder, "add pam 192.0.2.1 192.0.2.2 --for 1d").out, "2 shut out\n");
    assert_eq!(ban(&folder, "add pam 192.0.2.1 --for soon").code, Some(64));
    let ran = ban(&folder, "add pam foo 192.0.2.300");
    let expect = "komainu ban: no address: `foo`, `192.0.2.300`; [pam] bans addresses and networks, nobody is banned\n";
    assert_eq!((ran.code, ran.errors.as_str()), (Some(64), expect));
    let ran = ban(&folder, "add pam 192.0.2.4");
    let expect = "komainu ban: 192.0.2.4 is not banned: shut out already\n";
    assert_eq!((ran.code, ran.out.as_str(), ran.errors.as_str()), (Some(1), "", expect));
    assert_eq!(ban(&folder, "remove 192.0.2.4 --jail pam").out, "1 let in\n");
    assert_eq!(ban(&folder, "remove 192.0.2.9").code, Some(1));
    assert_eq!(ban(&folder, "remove").code, Some(64));
    let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
    let expect = [
        Order::Add { jail: "pam".into(), ids: texts(&["192.0.2.1", "192.0.2.2"]), ban_s: Some(86_400) },
        Order::Add { jail: "pam".into(), ids: texts(&["foo", "192.0.2.300"]), ban_s: None },
        Order::Add { jail: "pam".into(), ids: texts(&["192.0.2.4"]), ban_s: None },
        Order::Unban { jail: Some("pam".into()), ids: texts(&["192.0.2.4"]) },
        Order::Unban { jail: None, ids: texts(&["192.0.2.9"]) },
    ];
    assert_eq!(*asked.lock().expect("nobody panics"), expect);
}

/// `komainu explain` says it of the client, and so does its exit code.
#[test]
fn explained_by_the_engine() {
    let (folder, _) = engine();
    let main = "compatibility_level = 3.6\nmyhostname = mx.example.com\nkomainu_ban_never = 192.0.2.4/31\n";
    let explain = |never: bool, client: &str, more: &[&str]| {
        let here = folder.path().display();
        let main = if never { main.to_owned() } else { main.replace("192.0.2.4/31", "") };
        folder.write(
            "main.cf",
            format!("{main}komainu_ban_directory = {here}\nkomainu_state_directory = {here}/state\nkomainu_dns_servers = 127.0.0.1:1\n"),
        );
        folder.write("master.cf", "smtp inet n - n - - smtpd\n");
        let program = komainu().display().to_string();
        let words =
            ["TZ=UTC", &program, "explain", "-c", ".", "--client-name", "unknown", "--client-addr", client];
        folder.run("env", &[&words[..], more].concat(), b"")
    };
    let shut = "[pam] shuts 192.0.2.4 out since 2026-11-23 09:16:22, for ever\n";
    let ran = explain(false, "192.0.2.4", &[]);
    assert!(ran.out.starts_with(shut) && ran.out.contains("`komainu ban why 192.0.2.4` tells"), "{ran:?}");
    assert_eq!(ran.code, Some(1));
    let ran = explain(true, "192.0.2.4", &[]);
    assert!(ran.out.starts_with(&format!("{shut}it is let in all the same: komainu_ban_never")), "{ran:?}");
    assert_eq!(ran.code, Some(0));
    let ran = explain(false, "192.0.2.5", &[]);
    assert!(ran.out.starts_with("client 192.0.2.5") && ran.code == Some(0), "{ran:?}");
    let ran = explain(false, "192.0.2.4", &["--format", "json"]);
    assert!(ran.out.contains("\"shut_out\":{\"held\":[{") && ran.out.contains("\"refused\":true"), "{ran:?}");
    let ran = explain(false, "192.0.2.4", &["--offline"]);
    assert!(!ran.out.contains("shut"), "{ran:?}");
    std::fs::remove_file(folder.path().join("socket")).expect("there");
    let ran = explain(false, "192.0.2.4", &[]);
    assert!(
        ran.out.starts_with("(whether a jail shuts it out isn't known: ") && ran.code == Some(0),
        "{ran:?}"
    );
}

/// A ban of an IPv6 address is its neighbours' as well.
#[test]
fn a_neighbour_of_its_64() {
    let (folder, asked) = engine();
    ban(&folder, "why 2001:db8::7");
    ban(&folder, "why 192.0.2.9");
    let asked = asked.lock().expect("nobody panics");
    let why: Vec<_> = asked
        .iter()
        .filter_map(|order| if let Order::Why(id) = order { Some(id.as_str()) } else { None })
        .collect();
    assert_eq!(why, ["2001:db8::7", "2001:db8::7", "2001:db8::/64", "192.0.2.9"]);
}

#[test]
fn without_an_engine_it_is_said() {
    let folder = Folder::new();
    folder.write("fail2ban.conf", "[Definition]\nsocket = /nonexistent/socket\n");
    for line in ["status", "list", "why 192.0.2.1", "add pam 192.0.2.1", "remove --all"] {
        let ran = ban(&folder, line);
        assert!(
            ran.code == Some(75) && ran.errors.contains("/nonexistent/socket: nobody answers"),
            "{ran:?}"
        );
    }
}

#[test]
fn a_database_is_handed_over() {
    let (folder, asked) = engine();
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../ban/src/import/plain.sqlite3");
    let ran = ban(&folder, &format!("import {file} --dry-run"));
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(ran.out.contains(" that last, ") && asked.lock().expect("nobody panics").is_empty(), "{ran:?}");
    let ran = ban(&folder, &format!("import {file}"));
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let asked = asked.lock().expect("nobody panics");
    let [Order::Import(imported)] = asked.as_slice() else { panic!("{asked:?}") };
    let for_ever =
        |one: &&Imported| matches!(one, Imported::Ban { id, ban_s: -1, .. } if id == "2001:db8::7");
    assert_eq!((imported.len(), imported.iter().filter(for_ever).count()), (16, 1), "{imported:?}");
    folder.write("broken", "SQLite format 3\0");
    let ran = ban(&folder, "import broken");
    assert!(ran.code == Some(75) && ran.errors.contains("broken: it is no SQLite file"), "{ran:?}");
}

/// The program under its old name.
fn client(folder: &Folder) -> PathBuf {
    let link = folder.path().join("fail2ban-client");
    if !link.exists() {
        symlink(komainu(), &link).expect("a link");
    }
    link
}

#[test]
fn the_old_name_speaks_with_the_engine() {
    let (folder, asked) = engine();
    let client = client(&folder);
    let say = |line: &str| {
        let words: Vec<&str> = ["-c", "."].into_iter().chain(line.split_whitespace()).collect();
        folder.run(&client, &words, b"")
    };
    assert_eq!(say("ping").out, "Server replied: pong\n");
    assert_eq!(say("reload").out, "OK\n");
    assert_eq!(say("reload --unban pam").out, "OK\n");
    let ran = say("status nosuch");
    assert_eq!((ran.code, ran.out.as_str()), (Some(255), "Sorry but the jail 'nosuch' does not exist\n"));
    assert!(ran.errors.trim_end().ends_with("]: ERROR   NOK: ('nosuch',)"), "{ran:?}");
    let ran = say("reload nosuch");
    assert!(ran.errors.contains("Failed during configuration: No section: 'nosuch'"), "{ran:?}");
    let reloads = |order: &&Order| matches!(order, Order::Reload { .. });
    let asked = asked.lock().expect("nobody panics");
    let expect =
        [Order::Reload { jail: None, unban: false }, Order::Reload { jail: Some("pam".into()), unban: true }];
    assert_eq!(asked.iter().filter(reloads).cloned().collect::<Vec<_>>(), expect);
}

/// What needs no engine, beside Debian's tool: the same text, and the same exit code.
#[test]
fn as_debians_tool_without_a_server() {
    let Some(theirs) = oracle("fail2ban-client") else { return };
    let folder = Folder::new();
    folder.write(
        "fail2ban.conf",
        "[Definition]\nsocket = /nonexistent/socket\npidfile = /nonexistent/pid\ndbmaxmatches = 10\n",
    );
    folder.write("log", "");
    let log = folder.path().join("log").display().to_string();
    folder.write(
        "jail.conf",
        format!(
            "[DEFAULT]\nbackend = polling\nignoreip = ::1 192.0.2.0/24\nignorecommand =\nlogencoding = auto\n\
             filter = %(__name__)s\n[pam]\nenabled = true\nlogpath = {log}\nmaxretry = 3\n\
             action = nothing\n"
        ),
    );
    std::fs::create_dir(folder.path().join("filter.d")).expect("a folder");
    std::fs::create_dir(folder.path().join("action.d")).expect("a folder");
    folder.write("action.d/nothing.conf", "[Definition]\nactionban = true <ip>\n");
    let long = format!("   ^{} <HOST>$\n", "it's long ".repeat(60));
    folder.write("filter.d/pam.conf", format!("[Definition]\nfailregex = ^first <HOST>$\n{long}{long}"));
    let ours = client(&folder);
    for line in [
        "-V",
        "--version",
        "--str2sec 1h5m",
        "--str2sec abc",
        "-c . -t",
        "-c . -d",
        "-c . --dp",
        "-c . ping",
        "-c . status",
        "-c . status pam",
        "-c . stop",
        "-c . reload",
        "-c . reload nosuch",
        "-c . reload a b",
        "-c /nosuch ping",
    ] {
        let words: Vec<&str> = line.split_whitespace().collect();
        let (theirs, ours) = (folder.run(&theirs, &words, b""), folder.run(&ours, &words, b""));
        // A line that says what it took for an option that no file names is no part of the answer.
        let errors = |ran: &Ran| {
            let lines = ran.errors.lines().filter(|line| !line.contains("Using default one"));
            lines
                .map(|line| line.split_once("]: ").map_or(line, |(_, text)| text).to_owned())
                .collect::<Vec<_>>()
        };
        assert_eq!((&ours.out, ours.code), (&theirs.out, theirs.code), "{line}");
        assert_eq!(errors(&ours), errors(&theirs), "{line}");
    }
}
