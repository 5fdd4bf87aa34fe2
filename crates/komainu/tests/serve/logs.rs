//! Where the log goes: a file that is renamed under the server, JSON, standard output.

use crate::client::Client;
use crate::server::Server;
use crate::site::{Site, until};
use crate::world::{self, Needs};
use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};

fn mail(site: &Site, subject: &str) {
    let mut client = Client::hello(&site.address());
    let reply =
        client.mail("a@example.org", "box@example.com", &format!("Subject: {subject}\n\nx")).expect("talks");
    assert!(reply.starts_with("250 "), "{reply}");
    site.delivered_with(&format!("Subject: {subject}"));
}

/// Waits until the old file has stopped and the new one goes on.
fn goes_on(site: &Site, subject: &str) {
    until(&format!("a new log file ({subject})"), || {
        mail(site, subject);
        site.log().contains("status=sent").then_some(())
    });
}

#[test]
fn a_rotated_file_is_opened_anew() {
    world::run("logs::a_rotated_file_is_opened_anew", Needs::Nothing, || {
        let site = Site::new("");
        let (log, old) = (site.path("log/mail.log"), site.path("log/mail.log.1"));
        if world::is_root() {
            // As /var/log is: nobody but root makes a file there.
            fs::set_permissions(site.path("log"), PermissionsExt::from_mode(0o755)).expect("mode");
        }
        let mut server = Server::start(&site);
        mail(&site, "first");
        site.logged("status=sent", 0);
        fs::rename(&log, &old).expect("renames");
        server.reload();
        goes_on(&site, "second");
        assert!(fs::read_to_string(&old).expect("reads").contains("daemon started"));
        // Renamed, and nobody says so.
        fs::rename(&log, &old).expect("renames");
        goes_on(&site, "third");
        // logrotate's `create 640 root adm`.
        fs::rename(&log, &old).expect("renames");
        fs::write(&log, "").expect("writes");
        fs::set_permissions(&log, PermissionsExt::from_mode(0o640)).expect("mode");
        if world::is_root() {
            chown(&log, Some(0), Some(4)).expect("owner");
        }
        server.reload();
        goes_on(&site, "fourth");
        assert!(server.stop().success());
        site.logged("terminating on signal 15", 0);
    });
}

#[test]
fn json_lines_are_json() {
    world::run("logs::json_lines_are_json", Needs::Nothing, || {
        let site = Site::new("komainu_log_format = json\n");
        let mut server = Server::start(&site);
        mail(&site, "json");
        Client::hello(&site.address()).say("RCPT TO:<nobody@elsewhere.example>");
        let mut client = Client::hello(&site.address());
        client.say("MAIL FROM:<\"quo ted\\\"\"@example.org>");
        assert!(
            client.say("RCPT TO:<nobody@elsewhere.example>").starts_with("454 ") || !site.log().is_empty()
        );
        site.logged("sent", 0);
        site.logged("elsewhere.example", 0);
        assert!(server.stop().success());
        let log = site.log();
        for line in log.lines() {
            let value: serde_json::Value =
                serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
            assert!(value.is_object(), "{line}");
        }
        assert!(log.lines().count() > 8, "{log}");
    });
}

#[test]
fn standard_output() {
    world::run("logs::standard_output", Needs::Nothing, || {
        let site = Site::new("komainu_log = stdout\n");
        let mut server = Server::start(&site);
        mail(&site, "out");
        until("lines on standard output", || {
            let said = fs::read_to_string(site.path("log/stdout")).expect("reads");
            said.contains("status=sent").then_some(())
        });
        assert!(server.stop().success());
        let said = fs::read_to_string(site.path("log/stdout")).expect("reads");
        assert!(said.contains("daemon started") && said.contains("terminating on signal 15"), "{said}");
    });
}
