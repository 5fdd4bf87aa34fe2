//! Connections that deliver more than one message: how often, for whom, and what it costs where they went stale.

use crate::client::Client;
use crate::server::Server;
use crate::site::{Site, until};
use crate::world::{self, Needs};
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// A server that takes everything, and closes after so many messages without a word.
struct Far {
    port: u16,
    heard: Arc<Mutex<Vec<Vec<String>>>>,
}

impl Far {
    fn start(messages_max: usize) -> Far {
        let socket = TcpListener::bind("127.0.0.1:0").expect("binds");
        let port = socket.local_addr().expect("an address").port();
        let heard: Arc<Mutex<Vec<Vec<String>>>> = Arc::default();
        let all = Arc::clone(&heard);
        std::thread::spawn(move || {
            for stream in socket.incoming().flatten() {
                let all = Arc::clone(&all);
                std::thread::spawn(move || {
                    let at = {
                        let mut all = all.lock().expect("no panic");
                        all.push(Vec::new());
                        all.len() - 1
                    };
                    let hear = |line: &str| all.lock().expect("no panic")[at].push(line.to_owned());
                    // How it ends is seen from what was heard.
                    let _ = talk(stream, messages_max, &hear);
                });
            }
        });
        Far { port, heard }
    }

    fn heard(&self) -> Vec<Vec<String>> {
        self.heard.lock().expect("no panic").clone()
    }

    fn recipients(&self) -> Vec<String> {
        let mut all: Vec<String> =
            self.heard().concat().into_iter().filter(|line| line.starts_with("RCPT")).collect();
        all.sort();
        all
    }
}

fn talk(mut out: TcpStream, messages_max: usize, hear: &dyn Fn(&str)) -> std::io::Result<()> {
    let mut lines = BufReader::new(out.try_clone()?).lines();
    let mut messages = 0;
    out.write_all(b"220 far ESMTP\r\n")?;
    while let Some(line) = lines.next() {
        let line = line?;
        hear(&line);
        let answer = match line.split(' ').next().unwrap_or_default() {
            "EHLO" => "250-far\r\n250 PIPELINING",
            "DATA" => {
                out.write_all(b"354 go\r\n")?;
                while lines.next().transpose()?.is_some_and(|line| line != ".") {}
                // The queue fills meanwhile.
                std::thread::sleep(std::time::Duration::from_millis(20));
                messages += 1;
                "250 2.0.0 Ok: queued as X"
            }
            "QUIT" => return out.write_all(b"221 bye\r\n"),
            _ => "250 2.0.0 ok",
        };
        write!(out, "{answer}\r\n")?;
        if messages == messages_max {
            return Ok(());
        }
    }
    Ok(())
}

const MESSAGES: usize = 60;

/// Sends to one destination, and gives the log once all has been delivered.
fn run(far: &Far, more: &str) -> (Server, String) {
    let site = Site::new(&format!(
        "mynetworks = 127.0.0.0/8\nsmtpd_relay_restrictions = permit_mynetworks, reject\n\
         relayhost = [127.0.0.1]:{}\n{more}",
        far.port
    ));
    site.write("master.cf", &format!("{} inet n - n - - smtpd\nsmtp unix - - n - - smtp\n", site.address()));
    let server = Server::start(&site);
    let mut client = Client::hello(&site.address());
    for number in 0..MESSAGES {
        let reply = client.mail("a@example.org", &format!("b{number}@far.test"), "Subject: hi\n\nbody");
        assert!(reply.expect("talks").starts_with("250"));
    }
    let log = until("all deliveries", || {
        let log = site.log();
        (log.matches("status=sent (250 2.0.0 Ok").count() == MESSAGES).then_some(log)
    });
    (server, log)
}

/// Each recipient was named once.
fn each_once(far: &Far) {
    let mut wanted: Vec<String> =
        (0..MESSAGES).map(|number| format!("RCPT TO:<b{number}@far.test>")).collect();
    wanted.sort();
    assert_eq!(far.recipients(), wanted);
}

#[test]
fn many_messages_share_few_connections() {
    world::run("reuse::many_messages_share_few_connections", Needs::Root, || {
        let far = Far::start(usize::MAX);
        let (_server, log) = run(&far, "");
        each_once(&far);
        let heard = far.heard();
        assert!(heard.len() <= MESSAGES / 2, "{} connections", heard.len());
        assert!(
            log.contains(&format!("relay=127.0.0.1[127.0.0.1]:{}, conn_use=2, delay=", far.port)),
            "{log}"
        );
        // Who has just taken a message isn't asked whether it is still there.
        let longest = heard.iter().max_by_key(|lines| lines.len()).expect("one");
        let verbs: Vec<&str> =
            longest.iter().map(|line| line.split([' ', ':']).next().unwrap_or_default()).collect();
        assert_eq!(verbs[..6], ["EHLO", "MAIL", "RCPT", "DATA", "MAIL", "RCPT"]);
        // Nobody holds connections that nobody needs.
        until("goodbyes", || {
            far.heard().iter().all(|lines| lines.last().is_some_and(|line| line == "QUIT")).then_some(())
        });
    });
}

#[test]
fn limits_of_reuse() {
    world::run("reuse::limits_of_reuse", Needs::Root, || {
        let far = Far::start(usize::MAX);
        let (_server, log) = run(&far, "smtp_connection_cache_on_demand = no\n");
        each_once(&far);
        assert_eq!((far.heard().len(), log.contains("conn_use=")), (MESSAGES, false));
        let far = Far::start(usize::MAX);
        let (_server, log) = run(&far, "smtp_connection_reuse_count_limit = 3\n");
        each_once(&far);
        assert!(log.contains("conn_use=3,") && !log.contains("conn_use=4,"), "{log}");
        let far = Far::start(usize::MAX);
        let (_server, log) = run(&far, "smtp_connection_reuse_time_limit = 0\n");
        each_once(&far);
        assert!(!log.contains("conn_use="), "{log}");
        let far = Far::start(usize::MAX);
        let wanted = "smtp_connection_cache_on_demand = no\nsmtp_connection_cache_destinations = 127.0.0.1\n";
        let (_server, log) = run(&far, wanted);
        each_once(&far);
        assert!(log.contains("conn_use=2,"), "{log}");
    });
}

#[test]
fn a_server_that_hangs_up_between_messages_costs_nothing() {
    world::run("reuse::a_server_that_hangs_up_between_messages_costs_nothing", Needs::Root, || {
        let far = Far::start(2);
        let (_server, log) = run(&far, "");
        each_once(&far);
        assert!(!log.contains("status=deferred") && !log.contains("lost connection"), "{log}");
    });
}
