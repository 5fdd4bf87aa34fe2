//! systemd's side: readiness, watchdog, handed-over sockets, a clean stop.

use crate::bans;
use crate::client::Client;
use crate::server::{KOMAINU, Server};
use crate::site::{Site, free_port, until};
use crate::world::{self, Needs, shell};
use std::os::fd::OwnedFd;
use std::process::Command;
use std::time::Duration;

/// How long a notice may be on its way.
const SOON: Duration = Duration::from_secs(10);

#[test]
fn notices_and_a_stop_that_keeps_the_mail() {
    world::run("systemd::notices_and_a_stop_that_keeps_the_mail", Needs::Nothing, || {
        let site = Site::new("minimal_backoff_time = 1s\nqueue_run_delay = 1s\nmaximal_backoff_time = 1s\n");
        let mail = site.path("mail");
        std::fs::remove_dir(&mail).expect("removes");
        std::fs::write(&mail, "in the way").expect("writes");
        let mut command = crate::server::command(&site);
        command.env("WATCHDOG_USEC", "200000");
        let mut server = Server::start_as(command, &site);
        assert!(server.notice("WATCHDOG=1", SOON));
        assert!(server.notice("WATCHDOG=1", SOON));
        let mut client = Client::hello(&site.address());
        let reply = client.mail("a@example.org", "box@example.com", "Subject: later\n\nx").expect("talks");
        assert!(reply.starts_with("250 "), "{reply}");
        site.logged("status=deferred", 0);
        server.signal(rustix::process::Signal::TERM);
        assert!(server.notice("STOPPING=1", SOON));
        drop(client);
        assert_eq!(server.ended().code(), Some(0));
        // The port is free, the spool is, and the mail is there.
        std::fs::remove_file(&mail).expect("removes");
        std::fs::create_dir(&mail).expect("a folder");
        std::fs::set_permissions(&mail, std::os::unix::fs::PermissionsExt::from_mode(0o777)).expect("mode");
        let mut server = Server::start(&site);
        site.delivered_with("Subject: later");
        assert_eq!(server.stop().code(), Some(0));
    });
}

#[test]
fn sockets_that_are_handed_over_are_used() {
    world::run("systemd::sockets_that_are_handed_over_are_used", Needs::Nothing, || {
        let site = Site::new("");
        let given = format!("127.0.0.1:{}", free_port());
        let socket = std::net::TcpListener::bind(&given).expect("binds");
        site.write(
            "master.cf",
            &format!("{} inet n - n - - smtpd\n{given} inet n - n - - smtpd\n", site.address()),
        );
        // A client that came before the server did.
        let mut early = Client::open(&given).expect("connects");
        let mut command = Command::new("sh");
        command
            .args([
                "-c",
                "exec 3<&0 </dev/null; LISTEN_PID=$$ LISTEN_FDS=1 exec \"$@\"",
                "sh",
                KOMAINU,
                "serve",
                "--config",
            ])
            .arg(site.etc());
        command.stdin(OwnedFd::from(socket));
        let mut server = Server::start_with_input(command, &site);
        assert!(early.reply().expect("a greeting").starts_with("220 "));
        assert!(Client::hello(&given).say("NOOP").starts_with("250 "));
        assert!(Client::hello(&site.address()).say("NOOP").starts_with("250 "));
        drop(early);
        assert!(server.stop().success());
        until("the port's end", || Client::open(&given).is_err().then_some(()));
    });
}

#[test]
fn an_idle_client_is_told_when_the_server_stops() {
    world::run("systemd::an_idle_client_is_told_when_the_server_stops", Needs::Nothing, || {
        let site = Site::new("");
        let mut server = Server::start(&site);
        let mut idle = Client::hello(&site.address());
        let began = std::time::Instant::now();
        assert!(server.stop().success());
        assert!(began.elapsed() < Duration::from_secs(5), "stopping took {:?}", began.elapsed());
        assert_eq!(idle.rest(), "421 4.3.2 Service shutting down and closing transmission channel\r\n");
    });
}

#[test]
fn a_second_server_is_refused() {
    world::run("systemd::a_second_server_is_refused", Needs::Nothing, || {
        let site = Site::new("");
        let mut server = Server::start(&site);
        let other = site.path("other");
        std::fs::create_dir(&other).expect("a folder");
        std::fs::copy(site.etc().join("main.cf"), other.join("main.cf")).expect("copies");
        std::fs::write(other.join("master.cf"), format!("127.0.0.1:{} inet n - n - - smtpd\n", free_port()))
            .expect("writes");
        let ran = Command::new(KOMAINU).arg("serve").arg("--config").arg(&other).output().expect("runs");
        let said = String::from_utf8_lossy(&ran.stderr).into_owned();
        assert_eq!(ran.status.code(), Some(75), "{said}");
        assert!(said.contains("another komainu running"), "{said}");
        assert!(Client::hello(&site.address()).say("NOOP").starts_with("250 "));
        assert!(server.stop().success());
    });
}

/// `komainu serve` with the rights that the unit leaves it.
fn as_the_unit_starts_it(site: &Site) -> Command {
    let unit = include_str!("../../../../dist/komainu.service");
    let capabilities = unit.lines().find_map(|line| line.strip_prefix("CapabilityBoundingSet="));
    let kept: String = capabilities
        .expect("named")
        .split_whitespace()
        .map(|name| format!(",+{}", name.trim_start_matches("CAP_").to_ascii_lowercase()))
        .collect();
    let mut command = Command::new("setpriv");
    let bounds = format!("--bounding-set=-all{kept}");
    command.args(["--no-new-privs", "--inh-caps=-all", &bounds, KOMAINU, "serve", "--config"]);
    command.arg(site.etc());
    command
}

/// The unit takes most of root's rights away; what it leaves must do.
#[test]
fn the_units_capabilities_suffice() {
    world::run("systemd::the_units_capabilities_suffice", Needs::Root, || {
        let site = Site::new("");
        let table = site.etc().join("access");
        site.main(&format!(
            "smtpd_recipient_restrictions = check_sender_access regexp:{}\n{}",
            table.display(),
            site.virtual_lines()
        ));
        crate::site::save(&table, "/^x@/ REJECT\n", 0o600);
        site.write(
            "master.cf",
            &format!("{} inet n - n - - smtpd\n127.0.0.1:25 inet n - n - - smtpd\n", site.address()),
        );
        let mut server = Server::start_as(as_the_unit_starts_it(&site), &site);
        for to in ["box@example.com", "box@virtual.example"] {
            let mut client = Client::hello("127.0.0.1:25");
            let text = format!("Subject: for {to}\n\nx");
            assert!(client.mail("a@example.org", to, &text).expect("talks").starts_with("250 "));
            site.delivered_with(&format!("Subject: for {to}"));
        }
        let mut client = Client::hello(&site.address());
        assert!(client.mail("x@example.org", "box@example.com", "x").expect("talks").starts_with("554 "));
        crate::site::save(&table, "/^y@/ REJECT\n", 0o600);
        until("the table", || told_after_save(&site).then_some(()));
        drop(client);
        assert!(server.stop().success());
    });
}

/// … also for bans in a packet filter.
#[test]
fn the_units_capabilities_let_it_ban() {
    world::run("systemd::the_units_capabilities_let_it_ban", Needs::Root, || {
        let there = ["/usr/sbin/nft", "/usr/sbin/iptables", "/etc/fail2ban/action.d"];
        if let Some(missing) = there.iter().find(|path| !std::path::Path::new(path).exists()) {
            println!("the_units_capabilities_let_it_ban: didn't run: no {missing}");
            assert!(std::env::var_os("CI").is_none());
            return;
        }
        for (action, shows) in
            [("nftables-multiport", "nft list ruleset"), ("iptables-multiport", "iptables -S")]
        {
            let jails =
                bans::JAILS.replace("action =\n", &format!("action = {action}[name=own, port=\"25,465\"]\n"));
            assert_ne!(jails, bans::JAILS);
            let site = bans::site(&jails, "");
            shell(&format!("cp -r /etc/fail2ban/action.d {}", site.path("jails").display()));
            let mut server = Server::start_as(as_the_unit_starts_it(&site), &site);
            drop(bans::guess(bans::GUESSER));
            until(action, || shell(shows).contains(bans::GUESSER).then_some(()));
            assert!(server.stop().success());
            assert!(!shell(shows).contains(bans::GUESSER));
        }
    });
}

fn told_after_save(site: &Site) -> bool {
    let reply = Client::hello(&site.address()).mail("y@example.org", "box@example.com", "x").expect("talks");
    reply.starts_with("554 ")
}
