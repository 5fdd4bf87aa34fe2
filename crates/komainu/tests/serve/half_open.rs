//! Ten thousand handshakes that never come to an end, and honest clients beside them (T2.2).

use crate::client::Client;
use crate::server::Server;
use crate::site::{Site, save, until};
use crate::world::{self, Needs};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::io::Write;
use std::net::TcpStream;
use std::process::Command;
use std::time::{Duration, Instant};

const PAIR: &str = include_str!("../../../../tests/certificates/ec.pem");
/// Those who don't go on; without optimisation it takes a while to greet more.
const HALF: u32 = if cfg!(debug_assertions) { 5_000 } else { 10_000 };
const HONEST: usize = 20;

/// The beginning of a ClientHello.
const HALF_A_HELLO: &[u8] = &[0x16, 0x03, 0x01, 0x02, 0x00, 0x01, 0x00, 0x01, 0xfc, 0x03, 0x03, 0x2a, 0x2a];

const HONEST_CLIENTS: &str = r#"
import smtplib, ssl, sys, time
context = ssl._create_unverified_context()
times = []
for n in range(int(sys.argv[2])):
    began = time.monotonic()
    s = smtplib.SMTP_SSL('127.0.0.1', int(sys.argv[1]), local_hostname='client.example', context=context)
    s.ehlo()
    assert s.docmd('MAIL', 'FROM:<a@example.org>')[0] == 250
    s.quit()
    times.append(time.monotonic() - began)
times.sort()
print(times[len(times) // 2], times[-1])
"#;

fn begin(n: u32) -> TcpStream {
    let [_, _, high, low] = n.to_be_bytes();
    let client = Client::open_from(&format!("10.9.{high}.{low}"), "127.0.0.1:465").expect("connects");
    let mut socket = client.socket().try_clone().expect("a second one");
    // A third says nothing at all.
    let said = if n.is_multiple_of(3) { &[][..] } else { HALF_A_HELLO };
    socket.write_all(said).expect("sends");
    socket
}

#[test]
fn thousands_half_open_and_honest_clients_beside() {
    world::run("half_open::thousands_half_open_and_honest_clients_beside", Needs::Root, || {
        let hard = getrlimit(Resource::Nofile).maximum;
        setrlimit(Resource::Nofile, Rlimit { current: hard, maximum: hard }).expect("sets");
        let site = Site::new(
            "smtpd_tls_chain_files = $config_directory/pair.pem\nsmtpd_starttls_timeout = 600s\n\
             smtpd_recipient_restrictions =\n",
        );
        save(&site.path("etc/pair.pem"), PAIR, 0o600);
        site.write("master.cf", "465 inet n - n - - smtpd -o smtpd_tls_wrappermode=yes\n");
        let mut server = Server::start(&site);
        let before = server.resident_kb();
        let held: Vec<TcpStream> = (0..HALF).map(begin).collect();
        until("all of them are met", || {
            (site.log().matches(": connect from ").count() >= held.len()).then_some(())
        });
        let each = (server.resident_kb() - before) * 1024 / i64::from(HALF);
        let began = Instant::now();
        let output = Command::new("python3")
            .args(["-c", HONEST_CLIENTS, "465", &HONEST.to_string()])
            .output()
            .expect("runs");
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        println!(
            "{HALF} half-open handshakes: {each} bytes each; honest clients' p50 and longest: {}",
            said.trim()
        );
        // On an idle machine it is some milliseconds; here it is that they don't stand in line behind the others.
        assert!(began.elapsed() < Duration::from_secs(20), "{said}");
        assert!(each < 40_000, "{each} bytes each");
        drop(held);
        until("all of them are gone", || {
            (site.log().matches(": disconnect from ").count() >= HALF as usize).then_some(())
        });
        assert!(server.stop().success());
    });
}
