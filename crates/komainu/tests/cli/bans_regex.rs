//! `fail2ban-regex` as an old name, beside Debian's: the same report, the same output of `--out`, the same exit codes.

use crate::program::{Folder, Ran, komainu, oracle};
use std::os::unix::fs::symlink;
use std::path::Path;

const LOG: &str = "\
2026-11-23 01:02:03 mx s1: conn from 192.0.2.1
# not a line of the log
2026-11-23 01:02:04 mx s1: fail

2026-11-23 01:02:05 mx s2: fail a from 2001:db8::1
2026-11-23 01:02:06 mx s2: ok
2026-11-23 01:02:07 mx s3: fail b from host.example.org known
2026-11-23 01:02:08 mx s3: nothing known
2026-11-23 01:02:09 mx s4: fail
2026-11-23 01:02:10 mx other
";

const FILTER: &str = r"[Definition]
prefregex = ^ mx <F-MLFID>s\d+</F-MLFID>: <F-CONTENT>.+</F-CONTENT>$
failregex = ^fail <F-USER>\S+</F-USER> from <HOST>
            ^fail \S+ from <ADDR>$
            ^fail$
            ^<F-NOFAIL>conn</F-NOFAIL> from <HOST>
            ^<F-MLFFORGET><F-MLFGAINED>ok</F-MLFGAINED></F-MLFFORGET>
ignoreregex = known$
";

/// The output without what depends on the machine: its speed, and how its locale calls an encoding.
fn steady(ran: &Ran) -> String {
    let is_steady = |line: &&str| !line.starts_with("[processed in") && !line.contains("   encoding : ");
    ran.out.lines().filter(is_steady).map(|line| format!("{line}\n")).collect()
}

#[test]
fn the_old_name_reports_as_debians() {
    let Some(theirs) = oracle("fail2ban-regex") else { return };
    let folder = Folder::new();
    let ours = folder.path().join("fail2ban-regex");
    symlink(komainu(), &ours).expect("a link");
    folder.write("s.log", LOG);
    folder.write("empty.log", "");
    std::fs::create_dir(folder.path().join("filter.d")).expect("a folder");
    folder.write("filter.d/s.conf", FILTER);
    let rule = "fail <F-USER>\\S+</F-USER> from <HOST>";
    for arguments in [
        &["s.log", "s"][..],
        &["--print-all-matched", "--print-no-missed", "s.log", "s"],
        &["--print-all-ignored", "--print-all-missed", "s.log", "s[logtype=short]"],
        &["--print-no-ignored", "--usedns=no", "s.log", "s"],
        &["--no-check-all", "s.log", "s"],
        &["-r", "s.log", rule, "known$"],
        &["-d", "^%Y-%m-%d %H:%M:%S", "-e", "latin1", "--TZ=UTC+0200", "s.log", "s"],
        &["2026-11-23 01:02:05 mx s2: fail a from 192.0.2.1", "s"],
        &["empty.log", "s"],
        &["-r", "-o", "ip", "s.log", "s"],
        &["-r", "-o", "<time> <ip> <F-USER> <family> <ip-rev>", "s.log", "s"],
        &["-o", "user", "s.log", "s"],
        &["-V"],
        &["--version"],
        &["s.log", "nosuch["],
        &["s.log"],
        &["--nosuch", "s.log", "s"],
    ] {
        let run = |program: &Path| {
            let arguments: Vec<&str> = ["-c", "."].iter().chain(arguments).copied().collect();
            // The version alone stands first.
            let arguments =
                if arguments.len() == 3 && arguments.last().is_some_and(|last| last.starts_with('-')) {
                    arguments.get(2..).unwrap_or_default().to_vec()
                } else {
                    arguments
                };
            folder.run(program, &arguments, b"")
        };
        let (theirs, ours) = (run(&theirs), run(&ours));
        assert_eq!(theirs.code, ours.code, "{arguments:?}: {theirs:?} {ours:?}");
        // What is wrong is said in other words.
        if theirs.code == Some(0) {
            assert_eq!(steady(&theirs), steady(&ours), "{arguments:?}");
        }
    }
}

/// A packed log, one in ISO 8859-1, and whom each expression found.
#[test]
fn logs_of_other_kinds_are_read() {
    let folder = Folder::new();
    std::fs::create_dir(folder.path().join("filter.d")).expect("a folder");
    folder.write("filter.d/s.conf", FILTER);
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    std::io::Write::write_all(&mut packed, LOG.as_bytes()).expect("packs");
    folder.write("s.log.gz", packed.finish().expect("packs"));
    let ban =
        |arguments: &[&str]| folder.run(komainu(), &[&["ban", "-c", ".", "test"], arguments].concat(), b"");
    let ran = ban(&["s.log.gz", "s", "--json", "--timezone", "UTC"]);
    let hosts: Vec<&str> = ran.out.lines().filter_map(|line| line.split('"').nth(5)).collect();
    assert_eq!((ran.code, hosts), (Some(0), vec!["192.0.2.1", "2001:db8::1"]), "{ran:?}");
    assert!(ran.out.contains("\"line\":3,") && ran.out.contains("\"line\":5,"), "{ran:?}");
    let ran = ban(&["-v", "s.log.gz", "s", "--timezone", "UTC"]);
    assert!(ran.out.contains("\n|      2001:db8::1  Mon Nov 23 "), "{ran:?}");
    let ours = folder.path().join("fail2ban-regex");
    symlink(komainu(), &ours).expect("a link");
    folder.write("latin1.log", b"2026-11-23 01:02:05 mx s2: fail \xe9 from 192.0.2.1\n");
    let ran = folder.run(&ours, &["-c", ".", "-e", "latin1", "-o", "user", "latin1.log", "s"], b"");
    assert_eq!((ran.out.as_str(), ran.code), ("é\n", Some(0)), "{ran:?}");
    let ran = folder.run(&ours, &["-c", ".", "-o", "row", "latin1.log", "s"], b"");
    assert!(ran.out.starts_with("['192.0.2.1',\t17953"), "{ran:?}");
}
