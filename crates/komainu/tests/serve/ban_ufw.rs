//! The tutorial's jails with ufw for their action, word for word: the server bans its own clients in the kernel, IPv4 and
//! IPv6, and `ufw status verbose` shows it as the tutorial does (T2.18 to T2.21).

use crate::bans::{TUTORIAL, client};
use crate::client::Client;
use crate::firewall::{BANNED, Neighbour, OF_ONE_HOUSE, OTHERS, run, there};
use crate::server::Server;
use crate::site::{Site, save, until};
use crate::world::{self, Needs, shell};
use std::fs;
use std::path::Path;

/// As the tutorial has it; the filter that it names and doesn't give is one that Komainu comes with.
const FLOOD: &str = "[postfix-flood-attack]\nenabled = true\nfindtime = 600\nbantime = 3600\n\
                     filter = postfix-flood-attack\naction = ufw[name=postfix, \
                     port=\"http,https,smtp,submission,pop3,pop3s,imap,imaps,sieve\", protocol=tcp]\n\
                     logpath = /var/log/mail.log\n";

fn hello(neighbour: &Neighbour, from: &str, port: u16) -> Client {
    let stream = neighbour.open(from, port).unwrap_or_else(|error| panic!("{from}: {error}"));
    let mut client = Client::on(stream).expect("a client");
    assert!(client.reply().expect("greets").starts_with("220 "));
    client.say("EHLO client.example");
    client
}

/// Greeted, and nothing that any jail counts.
fn passes(neighbour: &Neighbour, from: &str, port: u16) {
    assert!(hello(neighbour, from, port).say("QUIT").starts_with("221 "));
}

/// Is refused for three recipients, and hears what the ban makes of his session.
fn relay(neighbour: &Neighbour, from: &str) {
    let mut spammer = hello(neighbour, from, 25);
    spammer.say("MAIL FROM:<a@example.org>");
    for _ in 0..3 {
        assert!(spammer.say("RCPT TO:<victim@elsewhere.example>").starts_with("554 5.7.1 "));
    }
    // Connections that are made already ufw lets through.
    assert!(spammer.rest().starts_with("421 4.7.0 "));
}

/// Goes in the middle of AUTH, as often as the jail bears.
fn flood(neighbour: &Neighbour, from: &str) {
    for number in 1..=5 {
        let mut guesser = hello(neighbour, from, 587);
        assert!(guesser.say("AUTH LOGIN").starts_with("334 "));
        drop(guesser);
        let found = format!("[postfix-flood-attack] Found {from} - ");
        let log = || fs::read_to_string("/var/log/fail2ban.log").unwrap_or_default();
        until("found", || (log().matches(&found).count() == number).then_some(()));
    }
}

/// The line of `ufw status verbose`, its words one blank apart.
fn until_listed(line: &str) {
    let has = |text: &str| {
        text.lines().any(|one| one.split_whitespace().collect::<Vec<_>>().join(" ").starts_with(line))
    };
    until(line, || has(&run("ufw status verbose")).then_some(()));
}

fn prepare() -> Site {
    shell(
        "mount -t tmpfs tmpfs /var/log; mount -t tmpfs tmpfs /run; touch /var/log/auth.log /var/log/mail.log",
    );
    shell("cp /etc/fail2ban/jail.conf /etc/fail2ban/jail.local");
    shell("sed -i -E 's/^(banaction|banaction_allports) = .*/\\1 = ufw/' /etc/fail2ban/jail.local");
    for (name, text) in TUTORIAL.into_iter().filter(|(name, _)| !name.contains("flood")) {
        save(&Path::new("/etc/fail2ban").join(name), text, 0o644);
    }
    save(Path::new("/etc/fail2ban/jail.d/postfix-flood-attack.conf"), FLOOD, 0o644);
    for line in ["ufw --force enable", "ufw default deny", "ufw allow 25/tcp", "ufw allow 587/tcp"] {
        run(line);
    }
    let site = Site::new(
        "komainu_ban_directory = /etc/fail2ban\nkomainu_log = /var/log/mail.log\ninet_interfaces = all\n\
         inet_protocols = all\nsmtpd_sasl_auth_enable = yes\nsmtpd_sasl_type = internal\nsmtpd_sasl_path = users\n",
    );
    save(&site.path("etc/users"), "alice:{PLAIN}secret\n", 0o600);
    site.write("master.cf", "25 inet n - n - - smtpd\n587 inet n - n - - smtpd\n");
    site
}

#[test]
fn the_tutorials_words() {
    world::run("ban_ufw::the_tutorials_words", Needs::Root, || {
        if !(there("fail2ban-client") && there("ufw")) {
            return;
        }
        let neighbour = Neighbour::new();
        let site = prepare();
        let mut server = Server::start(&site);
        let said = until("four jails", || Some(client("status")).filter(|said| said.contains("jail:\t4")));
        assert!(said.contains("`- Jail list:\tdovecot, postfix, postfix-flood-attack, sshd"), "{said}");
        BANNED.iter().chain(&OTHERS).for_each(|from| passes(&neighbour, from, 587));
        BANNED.iter().for_each(|from| relay(&neighbour, from));
        until_listed("Anywhere REJECT IN 10.9.0.2");
        until_listed("Anywhere (v6) REJECT IN 2001:db8:1:a::/64");
        for from in BANNED.into_iter().chain([OF_ONE_HOUSE]) {
            [25, 587].into_iter().for_each(|port| neighbour.is_refused(from, port));
        }
        OTHERS.iter().for_each(|from| passes(&neighbour, from, 25));
        flood(&neighbour, OTHERS[0]);
        until_listed("Anywhere REJECT IN 10.9.0.3");
        neighbour.is_refused(OTHERS[0], 25);
        let said = client("status postfix");
        assert!(said.contains("Banned IP list:\t10.9.0.2 2001:db8:1:a::1\n"), "{said}");
        // Let in again, all of them; what the administrator has allowed himself stays.
        for words in ["set postfix unbanip 10.9.0.2", "set postfix unbanip 2001:db8:1:a::1", "unban --all"] {
            client(words);
        }
        let is_open = || !run("ufw status verbose").contains("REJECT IN");
        until("open again", || is_open().then_some(()));
        BANNED.iter().chain(&OTHERS).for_each(|from| passes(&neighbour, from, 25));
        assert!(server.stop().success());
        assert_eq!(run("ufw status").matches("ALLOW").count(), 4);
    });
}
