//! No configuration at all: useful and safe for an ordinary user.

use crate::client::Client;
use crate::server::{KOMAINU, Server};
use crate::site::{Site, free_port};
use crate::world::{self, Needs};
use std::fs;
use std::os::unix::fs::chown;
use std::process::Command;

#[test]
fn an_ordinary_user_needs_no_configuration() {
    world::run("built_in::an_ordinary_user_needs_no_configuration", Needs::Nothing, || {
        let site = Site::new("");
        let home = site.path("home");
        fs::create_dir(&home).expect("a folder");
        // The program may lie where that user can't go.
        let program = site.path("komainu");
        fs::copy(KOMAINU, &program).expect("copies");
        let address = format!("127.0.0.1:{}", free_port());
        let mut command = if world::is_root() {
            chown(&home, Some(65534), Some(65534)).expect("owner");
            let mut command = Command::new("setpriv");
            command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]).arg(&program);
            command
        } else {
            Command::new(&program)
        };
        command.args(["serve", "--listen", &address]).env("HOME", &home).env_remove("XDG_STATE_HOME");
        let mut server = Server::start_as(command, &site);
        let said = fs::read_to_string(site.path("log/stderr")).expect("reads");
        let state = home.join(".local/state/komainu");
        for told in [address.as_str(), &state.display().to_string(), "swaks", "Ctrl-C"] {
            assert!(said.contains(told), "nothing about {told}: {said}");
        }
        let mut client = Client::hello(&address);
        let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
        for to in ["me@localhost".to_owned(), format!("me@{host}")] {
            let reply =
                client.mail("you@example.org", &to, &format!("Subject: for {to}\n\nx")).expect("talks");
            assert!(reply.starts_with("250 "), "{to}: {reply}");
        }
        for to in [
            "me@example.com",
            "me%example.com@localhost",
            "@localhost:me@example.com",
            "\"me@example.com\"@localhost",
        ] {
            let reply = client.mail("you@example.org", to, "\nx").expect("talks");
            assert!(reply.starts_with('5') || reply.starts_with("454 "), "{to}: {reply}");
            client.say("RSET");
        }
        let new = state.join("mail/me/new");
        crate::site::until("two messages", || (fs::read_dir(&new).ok()?.count() == 2).then_some(()));
        assert!(server.stop().success());
        // Only loopback, and only below the state folder.
        let made: Vec<_> =
            fs::read_dir(&home).expect("reads").flatten().map(|entry| entry.file_name()).collect();
        assert_eq!(made, [".local"]);
    });
}
