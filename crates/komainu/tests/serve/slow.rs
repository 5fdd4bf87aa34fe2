//! Destinations that never stand still and never come to an end: one says a byte a second, one takes a byte a second.
//!
//! Each byte is a step forward, so no `smtp_…_timeout` ends it; `daemon_timeout` does, with what it was waiting for in
//! the log. Meanwhile nobody else's mail waits. T2.14.

use crate::client::Client;
use crate::far_server::{FarServer, KIND};
use crate::server::Server;
use crate::site::{Site, until};
use crate::world::{self, Needs};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

const PACE: Duration = Duration::from_secs(1);
/// Messages to each of the slow ones, and to others.
const MESSAGES: usize = 25;

/// Says the greeting of a patient server, a byte a second.
fn says_slowly(stream: &TcpStream) {
    let mut out = stream;
    for byte in b"220-".iter().chain(b"patience is a virtue and so on ".iter().cycle()) {
        if out.write_all(&[*byte]).is_err() {
            return;
        }
        std::thread::sleep(PACE);
    }
}

/// Takes everything up to the message, and of that a byte a second.
fn takes_slowly(stream: &TcpStream) {
    let (mut out, mut input) = (stream, stream);
    // Little room for what isn't read.
    let _ = socket2::SockRef::from(stream).set_recv_buffer_size(1024);
    let _ = out.write_all(b"220 x ESMTP\r\n");
    let mut line = Vec::new();
    let mut byte = [0];
    while input.read(&mut byte).is_ok_and(|count| count == 1) {
        line.push(byte[0]);
        if byte[0] != b'\n' {
            continue;
        }
        let _ = out.write_all(if line.starts_with(b"DATA") { b"354 go\r\n" } else { b"250 x\r\n" });
        if line.starts_with(b"DATA") {
            break;
        }
        line.clear();
    }
    while input.read(&mut byte).is_ok_and(|count| count == 1) {
        std::thread::sleep(PACE);
    }
}

/// A port, and how many connections there are.
fn start(talk: fn(&TcpStream)) -> (u16, Arc<AtomicUsize>) {
    let socket = TcpListener::bind("127.0.0.1:0").expect("binds");
    let port = socket.local_addr().expect("an address").port();
    let now = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&now);
    std::thread::spawn(move || {
        for stream in socket.incoming().flatten() {
            let counter = Arc::clone(&counter);
            counter.fetch_add(1, Ordering::Relaxed);
            std::thread::spawn(move || {
                talk(&stream);
                counter.fetch_sub(1, Ordering::Relaxed);
            });
        }
    });
    (port, now)
}

#[test]
fn a_byte_a_second_holds_nobody_up() {
    world::run("slow::a_byte_a_second_holds_nobody_up", Needs::Nothing, || {
        let (says, saying) = start(says_slowly);
        let (takes, taking) = start(takes_slowly);
        let kind = FarServer::start(KIND);
        let site = Site::new(&format!(
            "mynetworks = 127.0.0.0/8\nsmtpd_relay_restrictions = permit_mynetworks, reject\ndaemon_timeout = 8s\n\
             smtp_helo_timeout = 300s\nsmtp_data_xfer_timeout = 180s\nsmtp_connection_cache_on_demand = no\n\
             transport_maps = inline:{{ says.test=smtp:[127.0.0.1]:{says}, takes.test=smtp:[127.0.0.1]:{takes}, \
             kind.test=smtp:[127.0.0.1]:{} }}\n",
            kind.port
        ));
        site.write(
            "master.cf",
            &format!("{} inet n - n - - smtpd\nsmtp unix - - n - - smtp\n", site.address()),
        );
        let mut server = Server::start(&site);
        let mut client = Client::hello(&site.address());
        let text = |id: &str| {
            format!("Subject: {id}\n\n{}end of {id}", format!("{}\n", "y".repeat(79)).repeat(4_000))
        };
        let mut send = |to: &str, id: &str, content: &str| {
            let said = client.mail("a@example.org", to, content).expect("talks");
            assert!(said.starts_with("250"), "{id}: {said}");
        };
        for at in 0..MESSAGES {
            send("x@says.test", "slow", &format!("Subject: {at}\n\nx"));
            send("x@takes.test", "slow", &text("slow"));
        }
        let hold = || (saying.load(Ordering::Relaxed), taking.load(Ordering::Relaxed));
        until("both are at work", || (hold().0 > 0 && hold().1 > 0).then_some(()));
        let began = Instant::now();
        for at in 0..MESSAGES {
            send("x@kind.test", "kind", &text(&format!("kind-{at}.")));
            send("box@example.com", "here", &text(&format!("here-{at}.")));
        }
        until("everybody else's mail", || {
            let away = kind.heard().iter().map(|said| said.matches("\n.\r\n").count()).sum::<usize>();
            (away == MESSAGES && site.delivered_files().len() == MESSAGES).then_some(())
        });
        println!("{MESSAGES} each in {:?}, beside {:?} slow connections", began.elapsed(), hold());
        let said = site.logged("to=<x@says.test>", 0);
        let why =
            "(conversation with 127.0.0.1[127.0.0.1] timed out while receiving the initial server greeting)";
        assert!(said.contains("status=deferred") && said.ends_with(why), "{said}");
        let said = site.logged("to=<x@takes.test>", 0);
        // Which of the two depends on how much the system takes on the server's behalf.
        let why = ["sending message body)", "sending end of data -- message may be sent more than once)"];
        let why = why.map(|why| format!("(conversation with 127.0.0.1[127.0.0.1] timed out while {why}"));
        assert!(said.contains("status=deferred") && why.iter().any(|why| said.ends_with(why)), "{said}");
        server.kill();
    });
}
