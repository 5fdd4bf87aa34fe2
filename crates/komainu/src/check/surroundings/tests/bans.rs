//! fail2ban's files beside main.cf.

use super::World;

const FILTER: &str = "[Definition]\nfailregex = failed for <HOST>$\n";

fn world(jail: &str) -> World {
    World::new()
        .main("komainu_ban_directory = /etc/fail2ban")
        .main("maillog_file = /var/log/komainu/mail.log")
        .folder("/etc/fail2ban/filter.d")
        .folder("/var/log/komainu")
        .file("/var/log/auth.log", "")
        .file("/etc/fail2ban/filter.d/own.conf", FILTER)
        .file("/etc/fail2ban/jail.conf", format!("[own]\nenabled = true\nfilter = own\n{jail}"))
}

#[test]
fn whether_any_jail_hears_of_us() {
    world("logpath = /var/log/komainu/mail.log\n").file("/var/log/komainu/mail.log", "").expect(&[]);
    world("logpath = /var/log/auth.log\n")
        .expect(&["K0675 warning: no jail that is switched on reads /var/log/komainu/mail.log"]);
    world("logpath = /var/log/auth.log\n  /var/log/*/mail.log\n")
        .file("/var/log/komainu/mail.log", "")
        .expect(&[]);
}

#[test]
fn what_ban_check_says() {
    world("logpath = /var/log/komainu/other.log\n")
        .expect(&["K0636 warning: [own] has nothing to read", "K0675 warning"]);
    world("logpath = /var/log/auth.log\nmaxretry = many\n")
        .expect(&["K0634 error: `maxretry = many` can't be read", "K0675 warning"]);
    World::new()
        .main("komainu_ban_directory = /etc/fail2ban")
        .expect(&["K0631 error: no jail.conf and no jail.local in /etc/fail2ban"]);
}
