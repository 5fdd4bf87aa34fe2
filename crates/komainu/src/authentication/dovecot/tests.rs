//! Against a server that says what the tests want.

use super::*;
use std::sync::atomic::AtomicUsize;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::TcpListener;

const HANDSHAKE: &[u8] = b"VERSION\t1\t2\nMECH\tPLAIN\tplaintext\nSPID\t1\nCUID\t1\nCOOKIE\tx\nDONE\n";

/// Answers a request by what its `resp=` says; gives its address and how many connections it has had.
async fn server(handshake: &'static [u8]) -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("inet:{}", listener.local_addr().unwrap());
    let seen = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&seen);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            counted.fetch_add(1, Ordering::SeqCst);
            tokio::spawn(async move {
                let (reader, mut writer) = stream.into_split();
                writer.write_all(handshake).await.unwrap();
                let mut lines = BufReader::new(reader).lines();
                let mut held = Vec::new();
                while let Ok(Some(line)) = lines.next_line().await {
                    let fields: Vec<&str> = line.split('\t').collect();
                    let (id, what) = match fields.as_slice() {
                        ["AUTH", id, .., last] => (*id, *last),
                        ["CONT", id, last] => (*id, *last),
                        _ => continue,
                    };
                    let reply = match what {
                        "resp=close" => return,
                        "resp=silent" => continue,
                        "resp=hold" => {
                            held.push(id.to_owned());
                            continue;
                        }
                        // Answers all that were held, the last first.
                        "resp=release" => {
                            held.push(id.to_owned());
                            let answers = held.drain(..).rev().map(|id| format!("OK\t{id}\tuser=u{id}\n"));
                            answers.collect::<String>()
                        }
                        "resp=more" => format!("CONT\t{id}\tbW9yZQ==\n"),
                        _ => format!("OK\t{id}\tuser=joe\n"),
                    };
                    writer.write_all(reply.as_bytes()).await.unwrap();
                }
            });
        }
    });
    (address, seen)
}

fn servers() -> AuthServers {
    AuthServers::new("/nonexistent".into(), Box::new(|_| ()))
}

fn request(initial: &str) -> Start<'_> {
    Start {
        mechanism: "PLAIN",
        service: "smtp",
        local: ("192.0.2.1", 25),
        remote: ("192.0.2.2", 4711),
        secured: false,
        initial: Some(initial),
    }
}

fn user(name: &str) -> Answer {
    Answer::Ok { username: Some(name.to_owned()) }
}

#[tokio::test]
async fn one_connection_carries_all() {
    let (address, seen) = server(HANDSHAKE).await;
    let servers = servers();
    let one = servers.at(&address);
    assert_eq!(one.mechanisms().await.unwrap()[0].name, "PLAIN");
    let held: Vec<_> = (0..50)
        .map(|_| {
            let one = servers.at(&address);
            tokio::spawn(async move { one.start(&request("hold")).await.unwrap().0 })
        })
        .collect();
    // One that is answered meanwhile doesn't wait for those.
    assert_eq!(one.start(&request("x")).await.unwrap().0, user("joe"));
    let (answer, exchange) = one.start(&request("more")).await.unwrap();
    assert_eq!(answer, Answer::Continue { challenge: Some("bW9yZQ==".to_owned()) });
    assert_eq!(exchange.unwrap().respond("eA==").await.unwrap().0, user("joe"));
    while locked(&one.connection.lock().await.as_ref().unwrap().waiting).len() < 50 {
        tokio::task::yield_now().await;
    }
    assert!(matches!(one.start(&request("release")).await.unwrap().0, Answer::Ok { .. }));
    let mut names = Vec::new();
    for task in held {
        let Answer::Ok { username: Some(name) } = task.await.unwrap() else { panic!("refused") };
        names.push(name);
    }
    names.sort();
    names.dedup();
    assert_eq!(names.len(), 50, "each has its own answer");
    assert_eq!(seen.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_lost_connection_is_replaced() {
    let (address, seen) = server(HANDSHAKE).await;
    let servers = servers();
    let one = servers.at(&address);
    assert_eq!(one.start(&request("close")).await.err(), Some(Lost));
    assert_eq!(one.start(&request("x")).await.unwrap().0, user("joe"));
    let (_, exchange) = one.start(&request("more")).await.unwrap();
    // The one that closes loses it for the exchange as well.
    assert_eq!(one.start(&request("close")).await.err(), Some(Lost));
    assert_eq!(exchange.unwrap().respond("eA==").await.err(), Some(Lost));
    assert_eq!(one.start(&request("x")).await.unwrap().0, user("joe"));
    assert!(seen.load(Ordering::SeqCst) >= 3);
}

/// The clock moves by itself while everybody waits.
#[tokio::test(start_paused = true)]
async fn nobody_waits_for_ever() {
    let (address, seen) = server(HANDSHAKE).await;
    let servers = servers();
    let one = servers.at(&address);
    assert_eq!(one.start(&request("silent")).await.err(), Some(Lost));
    assert_eq!(one.start(&request("x")).await.unwrap().0, user("joe"));
    assert!(seen.load(Ordering::SeqCst) >= 1);
    let (mute, _) = server(b"VERSION\t1\t2\n").await;
    let mute = servers.at(&mute);
    assert!(mute.mechanisms().await.is_none());
    assert_eq!(mute.start(&request("x")).await.err(), Some(Lost));
    let nobody = servers.at("private/nobody");
    assert!(nobody.mechanisms().await.is_none());
    assert_eq!(nobody.start(&request("x")).await.err(), Some(Lost));
    let (foreign, _) = server(b"VERSION\t7\t0\nDONE\n").await;
    assert!(servers.at(&foreign).mechanisms().await.is_none());
}
