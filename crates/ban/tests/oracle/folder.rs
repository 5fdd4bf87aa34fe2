//! The same configuration, read by `fail2ban-client -d` and by us.

use crate::{Disk, copied, stock};
use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

/// Every jail, filter by filter and action by action: the lines of both, compared as sets.
fn check(test: &str, files: &[(&str, &str)]) -> usize {
    let Some(stock) = stock(test) else { return usize::MAX };
    let holder = copied(&stock, files);
    let folder = holder.path().join("fail2ban");
    let theirs = Command::new("fail2ban-client").arg("-c").arg(&folder).arg("-d").output().expect("fail2ban");
    let said = String::from_utf8_lossy(&theirs.stdout).into_owned();
    let theirs_said = theirs.stderr;
    // The lines of fail2ban.conf come first; a jail that can't run has a line of its own, in its own words.
    let theirs: BTreeSet<&str> = said
        .lines()
        .skip_while(|line| !line.starts_with("['add'") && !line.starts_with("['config-error'"))
        .filter(|line| !line.starts_with("['config-error'"))
        // A parameter that goes on with the file's own is shown as a setting too; its server knows none such.
        .filter(|line| !line.starts_with("['set', 'one', 'a',"))
        .collect();
    let read = ban::jails::read(&Disk, &folder);
    let ours = ban::dump::lines_of(&read, &|path| {
        if Path::new(path).exists() { vec![path.to_owned()] } else { Vec::new() }
    });
    let ours: BTreeSet<&str> = ours.iter().map(String::as_str).collect();
    let only_theirs: Vec<_> = theirs.difference(&ours).collect();
    let only_ours: Vec<_> = ours.difference(&theirs).collect();
    assert!(
        only_theirs.is_empty() && only_ours.is_empty(),
        "{test}: fail2ban alone:\n{only_theirs:#?}\nwe alone:\n{only_ours:#?}\nfound: {:#?}\n{}",
        read.found,
        String::from_utf8_lossy(&theirs_said)
    );
    theirs.len()
}

#[test]
fn all_stock_jails_are_read_as_fail2ban_reads_them() {
    let lines = check("stock jails", &[("jail.local", "[DEFAULT]\nenabled = true\n")]);
    assert!(lines > 1_000, "{lines}");
}

#[test]
fn all_stock_filters_and_actions_are_read_as_fail2ban_reads_them() {
    let Some(stock) = stock("stock filters") else { return };
    let names = |folder: &str| {
        let entries = std::fs::read_dir(stock.join(folder)).expect("a folder");
        let mut names: Vec<String> = entries
            .filter_map(|entry| entry.ok()?.file_name().to_str()?.strip_suffix(".conf").map(str::to_owned))
            .filter(|name| !name.ends_with("-common") && name != "common")
            .collect();
        names.sort();
        names
    };
    let (filters, actions) = (names("filter.d"), names("action.d"));
    assert!(filters.len() > 80 && actions.len() > 40, "{} {}", filters.len(), actions.len());
    let mut jails = String::from("[DEFAULT]\nenabled = true\nbackend = polling\n");
    for filter in &filters {
        for mode in ["normal", "aggressive"] {
            jails += &format!("[f-{filter}-{mode}]\nfilter = {filter}[mode={mode}]\naction =\n");
        }
    }
    for action in &actions {
        jails += &format!("[a-{action}]\nfilter =\nfailregex = x <HOST>\n");
        jails += &format!("action = {action}[port=\"1,2\", blocktype=DROP, chain=\"<known/chain>\"]\n");
    }
    let lines = check("stock filters", &[("jail.conf", &jails), ("jail.d/defaults-debian.conf", "")]);
    assert!(lines > 800, "{lines}");
}

/// T2.18: the tutorial's files beside the stock ones: four jails, each with a filter that compiles, and both slips said.
#[test]
fn the_tutorials_four_jails() {
    let Some(stock) = stock("the tutorial's jails") else { return };
    let common =
        "enabled = true\nmaxretry = 3\nfindtime = 600\nbantime = 3600\nlogpath = /var/log/mail.log\n";
    let flood = "[postfix-flood-attack]\nenabled = true\nfindtime = 600\nbantime = 3600\nfilter = postfix-flood-attack\n\
        action = ufw[name=postfix, port=\"http,https,smtp,submission,pop3,pop3s,imap,imaps,sieve\", protocol=tcp]\n\
        logpath = /var/log/mail.log\n";
    let files = [
        ("jail.d/postfix-flood-attack.conf", flood.to_owned()),
        ("jail.d/dovecot.conf", format!("[dovecot]\n{common}filter = dovecot\n")),
        ("jail.d/postfix.conf", format!("[dovecot]\n{common}filter = postfix\n")),
    ];
    let files: Vec<(&str, &str)> = files.iter().map(|(name, text)| (*name, text.as_str())).collect();
    let holder = copied(&stock, &files);
    let read = ban::jails::read(&Disk, &holder.path().join("fail2ban"));
    let mut names: Vec<&str> = read.jails.iter().map(|jail| jail.name.as_str()).collect();
    names.sort_unstable();
    assert_eq!(names, ["dovecot", "postfix", "postfix-flood-attack", "sshd"]);
    for jail in &read.jails {
        assert_eq!(jail.error, None, "{}", jail.name);
        let filter = ban::filter::Filter::new(&jail.filter).expect("a filter");
        assert!(!filter.is_empty(), "{}", jail.name);
    }
    let mut codes: Vec<String> = read.found.iter().map(|found| found.code.to_string()).collect();
    codes.sort_unstable();
    assert_eq!(codes, ["K0609", "K0670"], "{:?}", read.found);
}

/// What an administrator might write.
const JAIL_LOCAL: &str = r#"[DEFAULT]
bantime.increment = yes
bantime.formula = ban.Time * 2
bantime.multipliers = 1 2 4
bantime.rndtime = 30
bantime.maxtime = 5w
ignoreip = 127.0.0.1/8 ::1, example.org
   10.0.0.0/8
ignoreself = false
logtimezone = UTC+0200
fam = five
[sshd]
enabled = false
[postfix]
enabled = on
mode = aggressive
maxretry = %(known/maxretry)s1
action = %(action_mwl)s
         iptables[name=other, port="1,2"]
[one]
enabled = true
filter = one[mode=ext, a="x<known/a>y", B=1]
failregex = own %(maxretry)s
maxretry = abc
logpath = /etc/passwd tail
   /etc/group
[two]
enabled = 1
backend = systemd[journalflags=1]
filter = one[pre=given][mode=no]
action = plain[fam="five", _p="<x>", Foo=1]
   plain[actname=second]
[three]
enabled = true
filter = nofile
[four]
enabled = true
filter = one
usedns = raw
prefregex = own
datepattern = %%Y
ignoreregex = a
  b
journalmatch = _JA=1 + _B=2
  _C=3
maxlines = 9
"#;

/// A filter with most of the syntax.
const ONE: &str = r"[INCLUDES]
before = inc.conf
[DEFAULT]
logtype = file
pre = dpre
[Definition]
failregex = ^%(pre)s <mdre-<mode>> <lt_<logtype>/q> <S/y>$ ; comment
   %(mode)s <b> <B> <nosuch>
# comment
   <pre> <a>

   %% %(c)s
  ; gone
mdre-ext = extended <known/mode>
mdre-norm = normal
mode = norm
a = A
prefregex = ^%(known/pre)s
pre = mpre %(default/pre)s
journalmatch = _A=b + _C=d
   _E=f
maxlines = 3
[lt_file]
q = ltf
[lt_journal]
q = %(lt_file/q)s-j
[S]
y = 5
";

/// An action likewise.
const PLAIN: &str = r"[Definition]
actionstart = %(_p)s <foo> <port> <fam> <chain> <unset> <S/q>
   second <fam2>
actionstart_on_demand = 1
actionrepair = rep
actionrepair_on_unban = no
actionban = <actname> <name> <br> <ip> <bantime>
actionunban =
norestored = 1
_p = def <foo>
fam2 = x<fam>
x = y
[S]
q = sq
[Init]
foo = FOO
port = ssh
fam = four
bar = b<foo>
timeout = 5
[Init?family=inet6]
fam = six
";

#[test]
fn what_an_administrator_writes_is_read_as_fail2ban_reads_it() {
    // The port of [one] is the first file's, each later one of the others knows those before.
    check(
        "an administrator's",
        &[
            ("jail.local", JAIL_LOCAL),
            ("jail.d/50.conf", "[postfix]\nmaxretry = 2\n[two]\nmaxretry = 4\n"),
            ("jail.d/60.local", "[two]\nmaxretry = %(known/maxretry)s0\n[one]\nport = %(known/port)s,9\n"),
            ("filter.d/one.conf", ONE),
            ("filter.d/one.local", "[Definition]\nfailregex = local %(known/failregex)s\n"),
            ("filter.d/inc.conf", "[DEFAULT]\nc = cdefault\n[Definition]\nc = cinc\n"),
            ("filter.d/inc.local", "[Definition]\nc = local <known/c> %(known/c)s\n"),
            ("action.d/plain.conf", PLAIN),
        ],
    );
}
