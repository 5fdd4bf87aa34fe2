//! `bench check`: how long `komainu check` takes for a configuration of 5,000 lines with tables of 100,000.
//!
//! The configuration is made of what large sites have: long networks and domain lists, many restriction classes,
//! thirty services with options of their own, big tables of every kind. The program is started as people start it.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

const USAGE: &str = "usage: bench check [RUNS]   time `komainu check` (default: 7 runs)\n";

/// Lines of main.cf and master.cf, and of all tables.
const CONFIGURATION_LINES: usize = 5_000;
const TABLE_LINES: usize = 100_000;

pub(crate) fn command(words: &[String]) -> Result<(), String> {
    let runs = match words {
        [] => 7,
        [runs] => runs.parse().ok().filter(|runs| *runs > 0).ok_or(USAGE)?,
        _ => return Err(USAGE.to_owned()),
    };
    let program = PathBuf::from(crate::server::program());
    let folder = std::env::temp_dir().join(format!("bench-check-{}", std::process::id()));
    let outcome = write(&folder)
        .map_err(|error| format!("{}: {error}", folder.display()))
        .and_then(|lines| measure(&program, &folder, (runs, lines)));
    // What can't be removed is a folder in /tmp.
    let _ = std::fs::remove_dir_all(&folder);
    outcome
}

fn measure(program: &Path, folder: &Path, (runs, lines): (u32, (usize, usize))) -> Result<(), String> {
    let mut times = Vec::new();
    let mut last = String::new();
    for _ in 0..runs {
        let began = Instant::now();
        let output = Command::new(program)
            .args(["check", "--config"])
            .arg(folder)
            .stdin(Stdio::null())
            .output()
            .map_err(|error| format!("{}: {error}", program.display()))?;
        times.push(began.elapsed().as_secs_f64() * 1000.0);
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        if !matches!(output.status.code(), Some(0 | 1)) {
            return Err(format!("{}: {}", output.status, String::from_utf8_lossy(&output.stderr)));
        }
        last = text.lines().rev().nth(1).unwrap_or_default().to_owned();
    }
    times.sort_by(f64::total_cmp);
    let (least, most) = (times.first().copied().unwrap_or(0.0), times.last().copied().unwrap_or(0.0));
    let median = times.get(times.len() / 2).copied().unwrap_or(0.0);
    let (configuration, tables) = lines;
    println!(
        "komainu check, {configuration} lines of configuration, {tables} of tables: \
         {least:.0} / {median:.0} / {most:.0} ms (least, median, most of {runs})\n{last}"
    );
    Ok(())
}

/// Writes all files; how many lines the configuration and the tables have.
fn write(folder: &Path) -> std::io::Result<(usize, usize)> {
    std::fs::create_dir_all(folder)?;
    let path = |name: &str| -> PathBuf { folder.join(name) };
    let master = master();
    let mut main = main_cf(folder);
    let missing = CONFIGURATION_LINES.saturating_sub(main.lines().count() + master.lines().count());
    for number in 0..missing {
        // Writing to a string can't fail.
        let _ = writeln!(main, "# remark {number}");
    }
    let lines = main.lines().count() + master.lines().count();
    std::fs::write(path("main.cf"), main)?;
    std::fs::write(path("master.cf"), master)?;
    let mut all = 0;
    for (name, text) in tables() {
        all += text.lines().count();
        std::fs::write(path(name), text)?;
    }
    Ok((lines, all))
}

fn main_cf(folder: &Path) -> String {
    let folder = folder.display();
    let mut text = format!(
        "compatibility_level = 3.6\nmyhostname = mx.example.com\nmydestination = $myhostname, localhost\n\
         alias_maps = texthash:{folder}/aliases\n\
         relay_recipient_maps = texthash:{folder}/relay_recipients\n\
         header_checks = pcre:{folder}/header_checks\n\
         virtual_alias_domains =\nvirtual_alias_maps = texthash:{folder}/virtual\n"
    );
    let list = |text: &mut String, name: &str, lines: &mut dyn Iterator<Item = String>| {
        let _ = writeln!(text, "{name} =");
        lines.for_each(|line| {
            let _ = writeln!(text, "    {line}");
        });
    };
    let networks = (0..1000).map(|n| format!("10.{}.{}.0/24", n / 250, n % 250));
    list(&mut text, "mynetworks", &mut std::iter::once("127.0.0.0/8".to_owned()).chain(networks));
    list(&mut text, "relay_domains", &mut (0..800).map(|n| format!("relay{n}.example.net")));
    list(&mut text, "smtpd_restriction_classes", &mut (0..100).map(|n| format!("class{n}")));
    for n in 0..100 {
        let lines = [
            format!("check_sender_access inline:{{ sender{n}.example=OK }}"),
            "reject_unknown_sender_domain".to_owned(),
            format!("check_client_access inline:{{ client{n}.example=OK }}"),
            "reject_unknown_reverse_client_hostname".to_owned(),
            format!("reject_rbl_client zone{n}.lists.internal=127.0.0.[2..11]"),
        ];
        list(&mut text, &format!("class{n}"), &mut lines.into_iter());
    }
    let tables = [
        format!("check_client_access texthash:{folder}/client_access"),
        format!("check_client_access cidr:{folder}/networks.cidr"),
    ];
    let client = ["permit_mynetworks".to_owned()].into_iter().chain(tables);
    list(&mut text, "smtpd_client_restrictions", &mut client.chain((0..50).map(|n| format!("class{n}"))));
    let table = format!("check_recipient_access texthash:{folder}/recipient_access");
    let recipient = ["permit_mynetworks", "permit_sasl_authenticated", "reject_unauth_destination"];
    let recipient = recipient.map(str::to_owned).into_iter().chain([table]);
    list(
        &mut text,
        "smtpd_recipient_restrictions",
        &mut recipient.chain((50..100).map(|n| format!("class{n}"))),
    );
    text
}

/// Thirty servers with options of their own.
fn master() -> String {
    let mut text = String::new();
    for n in 0..30 {
        let _ = writeln!(text, "127.0.0.1:{}  inet n - n - - smtpd", 10_000 + n);
        for option in [
            "smtpd_client_restrictions=permit_mynetworks,reject_unknown_reverse_client_hostname",
            "smtpd_recipient_restrictions=permit_mynetworks,reject_unauth_destination",
            "smtpd_helo_required=yes",
            "smtpd_error_sleep_time=2s",
            "smtpd_soft_error_limit=5",
            "disable_vrfy_command=yes",
            "smtpd_recipient_limit=500",
            "message_size_limit=20480000",
            "syslog_name=postfix/inner",
        ] {
            let _ = writeln!(text, "    -o {option}");
        }
    }
    text
}

fn tables() -> Vec<(&'static str, String)> {
    let lines = |count: usize, line: &dyn Fn(usize) -> String| -> String {
        (0..count).map(|n| line(n) + "\n").collect()
    };
    let address = |n: usize| format!("{}.{}.{}.{}", 1 + n / 250 / 250 % 200, n / 250 % 250, n % 250, 7);
    let made = [
        ("client_access", lines(50_000, &|n| format!("{} REJECT listed {n}", address(n)))),
        ("networks.cidr", lines(10_000, &|n| format!("172.{}.{}.0/24 REJECT", n / 250 % 250, n % 250))),
        ("recipient_access", lines(15_000, &|n| format!("user{n}@example.com OK"))),
        ("relay_recipients", lines(15_000, &|n| format!("user{n}@relay{}.example.net x", n % 800))),
        ("header_checks", lines(500, &|n| format!("/^Subject: .*word{n}.*(a|b)+$/ REJECT"))),
        ("aliases", lines(1_500, &|n| format!("name{n} user{n}"))),
    ];
    let so_far: usize = made.iter().map(|(_, text)| text.lines().count()).sum();
    let rest = TABLE_LINES.saturating_sub(so_far);
    let virtuals = ("virtual", lines(rest, &|n| format!("v{n}@example.org user{n}")));
    made.into_iter().chain([virtuals]).collect()
}
