//! Several services, each with its own overrides (T0.5), the banner (T1.3), and tables that are live on save (T1.7).

use crate::client::Client;
use crate::server::Server;
use crate::site::{Site, free_port, save, until};
use crate::world::{self, Needs};

#[test]
fn overrides_hold_for_one_service() {
    world::run("listeners::overrides_hold_for_one_service", Needs::Nothing, || {
        let site = Site::new("smtpd_banner = $myhostname ESMTP here\n");
        // The numbers are the tutorial's where the machine is the test's own.
        let (mx, submission) = if world::is_root() { (2525, 2587) } else { (free_port(), free_port()) };
        site.write(
            "master.cf",
            &format!(
                "127.0.0.1:{mx} inet n - n - - smtpd\n\
                 \x20 -o smtpd_recipient_restrictions=reject_unauth_destination\n\
                 127.0.0.1:{submission} inet n - n - - smtpd\n\
                 \x20 -o syslog_name=postfix/submission\n\
                 \x20 -o smtpd_helo_required=yes -o disable_vrfy_command=yes\n\
                 \x20 -o {{ smtpd_banner = $myhostname ESMTP there }}\n\
                 \x20 -o smtpd_recipient_restrictions=reject\n"
            ),
        );
        let mut server = Server::start(&site);
        let (mx, submission) = (format!("127.0.0.1:{mx}"), format!("127.0.0.1:{submission}"));
        let greeting = |address: &str| Client::open(address).expect("connects").reply().expect("a greeting");
        assert_eq!(greeting(&mx), "220 mx.example.com ESMTP here");
        assert_eq!(greeting(&submission), "220 mx.example.com ESMTP there");
        let reply = |address: &str| {
            let mut client = Client::hello(address);
            (
                client.say("VRFY box@example.com"),
                client.mail("a@example.org", "box@example.com", "\nx").expect("talks"),
            )
        };
        let (vrfy, mail) = reply(&mx);
        assert!(vrfy.starts_with("252 ") && mail.starts_with("250 "), "{vrfy} {mail}");
        let (vrfy, mail) = reply(&submission);
        assert!(vrfy.starts_with("502 ") && mail.starts_with("554 5.7.1 "), "{vrfy} {mail}");
        site.logged("postfix/submission/smtpd[", 0);
        assert!(server.stop().success());
    });
}

#[test]
fn a_saved_table_counts_at_once_even_in_a_session() {
    world::run("listeners::a_saved_table_counts_at_once_even_in_a_session", Needs::Nothing, || {
        let site = Site::new("");
        let table = site.etc().join("senders");
        let lines = "a@example.org OK\nb@example.org OK\nc@example.org OK\n";
        save(&table, lines, 0o644);
        site.main(&format!("smtpd_sender_restrictions = check_sender_access hash:{}\n", table.display()));
        let mut server = Server::start(&site);
        let mut client = Client::hello(&site.address());
        let mut told = || {
            client.say("RSET");
            client.say("MAIL FROM:<x@example.org>");
            client.say("RCPT TO:<box@example.com>")
        };
        assert!(told().starts_with("250 "));
        let began = std::time::Instant::now();
        save(&table, &format!("{lines}x@example.org REJECT\n"), 0o644);
        until("the rename", || told().starts_with("554 ").then_some(()));
        println!("a saved table counts after {:?}", began.elapsed());
        assert!(began.elapsed() < std::time::Duration::from_secs(1), "{:?}", began.elapsed());
        // Written in place: counts once the writer has closed it, never half.
        use std::io::Write as _;
        let mut file = std::fs::File::create(&table).expect("opens");
        file.write_all(b"a@exa").expect("writes");
        file.flush().expect("flushes");
        assert!(told().starts_with("554 "), "a half-written table was put in force");
        file.write_all(b"mple.org OK\nb@example.org OK\nc@example.org OK\nd@example.org OK\n")
            .expect("writes");
        drop(file);
        until("the write", || told().starts_with("250 ").then_some(()));
        assert!(server.stop().success());
    });
}
