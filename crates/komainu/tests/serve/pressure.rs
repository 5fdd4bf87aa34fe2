//! Clients that don't keep to the conversation's order: half-closed, never reading, byte by byte.

use crate::client::Client;
use crate::server::Server;
use crate::site::{Site, until};
use crate::world::{self, Needs};
use std::io::{ErrorKind, Write};
use std::time::Duration;

/// Clients that never read.
const GREEDY: usize = 60;

#[test]
fn half_closed_sockets() {
    world::run("pressure::half_closed_sockets", Needs::Nothing, || {
        let site = Site::new("smtpd_forbid_unauth_pipelining = no\n");
        let mut server = Server::start(&site);
        // Everything said, and then no more to say: the replies still come.
        let mut client = Client::open(&site.address()).expect("connects");
        client
            .send(
                b"EHLO client.example\r\nMAIL FROM:<a@example.org>\r\nRCPT TO:<box@example.com>\r\nDATA\r\n\
                  Subject: complete\r\n\r\nx\r\n.\r\nQUIT\r\n",
            )
            .expect("sends");
        client.half_close();
        let rest = client.rest();
        assert!(rest.contains("250 2.0.0 Ok: queued as") && rest.ends_with("221 2.0.0 Bye\r\n"), "{rest}");
        site.delivered_with("Subject: complete");
        // Closed in the middle: nothing is delivered.
        for (said, place) in [
            ("EHLO client.example\r\n", "EHLO"),
            (
                "EHLO client.example\r\nMAIL FROM:<a@example.org>\r\nRCPT TO:<box@example.com>\r\nDATA\r\nSubject: half\r\n",
                "DATA",
            ),
        ] {
            let mark = site.log().len();
            let mut client = Client::open(&site.address()).expect("connects");
            client.send(said.as_bytes()).expect("sends");
            client.half_close();
            client.rest();
            site.logged(&format!("lost connection after {place} "), mark);
        }
        // Byte by byte.
        let mut client = Client::hello(&site.address());
        for byte in b"MAIL FROM:<a@example.org>\r\n" {
            client.send(&[*byte]).expect("sends");
        }
        assert_eq!(client.reply().expect("a reply"), "250 2.1.0 Ok");
        drop(client);
        assert!(server.stop().success());
        assert!(!site.delivered().iter().any(|(_, text)| text.contains("Subject: half")));
    });
}

#[test]
fn a_client_that_never_reads_is_let_go() {
    world::run("pressure::a_client_that_never_reads_is_let_go", Needs::Nothing, || {
        let site = Site::new(
            "smtpd_client_connection_count_limit = 0\n\
             smtpd_forbid_unauth_pipelining = no\n\
             smtpd_timeout = 3s\n\
             smtpd_junk_command_limit = 100000000\n\
             smtpd_hard_error_limit = 100000000\n",
        );
        let mut server = Server::start(&site);
        drop(Client::hello(&site.address()));
        let before = server.resident_kb();
        let greedy: Vec<Client> =
            (0..GREEDY).map(|_| Client::open(&site.address()).expect("connects")).collect();
        let line = b"EHLO client.example\r\n".repeat(1000);
        for client in &greedy {
            let socket = client.socket();
            socket.set_nonblocking(true).expect("sets");
            socket2::SockRef::from(socket).set_recv_buffer_size(8 * 1024).expect("sets");
            // Until neither side's buffers take any more.
            let mut idle = 0;
            while idle < 20 {
                match (&*socket).write(&line) {
                    Ok(_) => idle = 0,
                    Err(error) if error.kind() == ErrorKind::WouldBlock => {
                        idle += 1;
                        std::thread::sleep(Duration::from_millis(2));
                    }
                    Err(_) => break,
                }
            }
        }
        let grown = server.resident_kb() - before;
        println!("{GREEDY} clients that never read: {grown} kB");
        assert!(grown < 16 * 1024, "{grown} kB");
        // Others don't notice, and in the end the server lets go.
        let mut client = Client::hello(&site.address());
        let reply = client.mail("a@example.org", "box@example.com", "Subject: calm\n\nx").expect("talks");
        assert!(reply.starts_with("250 "), "{reply}");
        drop(client);
        until("the disconnects", || {
            let log = site.log();
            (log.lines().filter(|line| line.contains("timeout after ")).count() >= GREEDY).then_some(())
        });
        assert!(server.stop().success());
    });
}
