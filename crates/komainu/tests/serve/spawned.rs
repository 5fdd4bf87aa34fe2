//! Policy servers of master.cf's `spawn` lines are started when they are asked, as the line's user (T2.11).

use crate::client::Client;
use crate::server::Server;
use crate::site::Site;
use crate::world::{self, Needs};
use std::os::unix::fs::PermissionsExt;

const SCRIPT: &str = "#!/bin/sh
while read -r line; do
  case $line in
    sender=*) sender=${line#sender=};;
    '') printf 'action=REJECT %s asked %s\\n\\n' \"$sender\" \"$(id -u) $(id -G)\";;
  esac
done
";

#[test]
fn a_spawned_policy_server() {
    world::run("spawned::a_spawned_policy_server", Needs::Nothing, || {
        let site = Site::new("smtpd_recipient_restrictions = check_policy_service unix:private/policy\n");
        let script = site.path("policy");
        std::fs::write(&script, SCRIPT).expect("writes");
        std::fs::set_permissions(&script, PermissionsExt::from_mode(0o755)).expect("mode");
        let master = |port: &str| {
            format!(
                "{port} inet n - n - - smtpd\npolicy unix - n n - 0 spawn\n  user=vmail argv={}\n",
                script.display()
            )
        };
        site.write("master.cf", &master(&site.address()));
        let mut server = Server::start(&site);
        let told = |sender: &str| {
            let mut client = Client::hello(&site.address());
            client.say(&format!("MAIL FROM:<{sender}>"));
            client.say("RCPT TO:<box@example.com>")
        };
        let said = told("a@example.org");
        assert!(said.contains("a@example.org asked "), "{said}");
        if world::is_root() {
            assert!(said.ends_with("asked 5000 5000"), "{said}");
        }
        assert!(told("b@example.org").contains("b@example.org asked "));
        server.reload();
        assert!(told("c@example.org").contains("c@example.org asked "));
        assert!(server.stop().success());
    });
}
