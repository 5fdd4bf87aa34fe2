//! `count = attempts` through the whole engine, against what the log was made of.

use super::*;
use ban::made::{self, Service};

/// What Dovecot and PAM say of one that fails: one to three lines.
const RULES: [&str; 4] = [
    r"-login: (?:Disconnected|Aborted login) \(auth failed, .*rip=<HOST>, lip=192\.0\.2\.25",
    r"pam_unix\(dovecot:auth\): authentication failure;.* rhost=<HOST>$",
    r"dovecot: auth-worker\(\d+\): pam\([^,]*,<HOST>,",
    r"dovecot: auth: passwd-file\([^,]*,<HOST>,",
];

/// Lines that one of the rules is for, told another way.
fn is_line(line: &str) -> bool {
    let has = |part: &str| line.contains(part);
    has("(auth failed, ") || has("(dovecot:auth)") || has("auth-worker(") || has("auth: passwd-file(")
}

fn check(seed: u64) {
    let jail = |name: &str, more: &str| {
        let rules = RULES.join("\n   ");
        format!(
            "[{name}]\nenabled = true\nfilter =\nfailregex = {rules}\nlogpath = DIR/mail.log\nmaxretry = 1000000\n\
             findtime = 400d\nignoreip =\n{more}"
        )
    };
    let end = "[end]\nenabled = true\nfilter =\nfailregex = end of the log <HOST>$\nlogpath = DIR/mail.log\nfindtime = 400d\n";
    let mut site = Site::new(&(jail("lines", "") + &jail("attempts", "count = attempts\n") + end));
    let made = made::mail_log(seed, 5_000);
    let stamp = made.log.lines().last().and_then(|line| line.get(..15)).unwrap_or_default();
    fs::write(site.path("mail.log"), format!("{}{stamp} mx app: end of the log 192.0.2.200\n", made.log))
        .unwrap();
    site.start();
    site.until("all is read", |site| site.status("end").total_failed == 1);
    let lines = made.log.lines().filter(|line| is_line(line)).count() as u64;
    let attempts = made.attempts.iter().filter(|one| one.service == Service::Mailbox).count() as u64;
    assert!(attempts > 50 && lines > attempts + 50, "seed {seed}: {lines} lines of {attempts} attempts");
    let counted = ["lines", "attempts"].map(|jail| site.status(jail).total_failed);
    assert_eq!(counted, [lines, attempts], "seed {seed}");
}

#[test]
fn one_attempt_counts_once_where_that_is_wanted() {
    for seed in [3, 5, 8] {
        check(seed);
    }
}
