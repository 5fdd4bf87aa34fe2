//! Against a server that says what the tests want.

use super::*;
use std::sync::atomic::AtomicUsize;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::TcpListener;
use tokio::net::tcp::OwnedWriteHalf;

const HANDSHAKE: &[u8] = b"VERSION\t1\t2\nMECH\tPLAIN\tplaintext\nSPID\t1\nCUID\t1\nCOOKIE\tx\nDONE\n";

/// Answers a request by what its `resp=` says; gives its address and how many connections it has had.
async fn server(handshake: &'static [u8]) -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("inet:{}", listener.local_addr().unwrap());
    let seen = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&seen);
    let held = Held::default();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let number = counted.fetch_add(1, Ordering::SeqCst);
            tokio::spawn(serve(stream, handshake, number, Arc::clone(&held)));
        }
    });
    (address, seen)
}

/// Connections, and the requests that wait on each.
type Held = Arc<Mutex<HashMap<usize, (Arc<tokio::sync::Mutex<OwnedWriteHalf>>, Vec<String>)>>>;

async fn serve(stream: TcpStream, handshake: &'static [u8], number: usize, held: Held) {
    let (reader, mut writer) = stream.into_split();
    writer.write_all(handshake).await.unwrap();
    let writer = Arc::new(tokio::sync::Mutex::new(writer));
    locked(&held).insert(number, (Arc::clone(&writer), Vec::new()));
    let mut lines = BufReader::new(reader).lines();
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
                locked(&held).entry(number).and_modify(|(_, held)| held.push(id.to_owned()));
                continue;
            }
            // Answers all that were held, each connection's last first.
            "resp=release" => {
                let all: Vec<_> = locked(&held).drain().collect();
                for (number, (writer, ids)) in all {
                    let answers = ids.iter().rev().map(|id| format!("OK\t{id}\tuser=c{number}u{id}\n"));
                    let answers = answers.collect::<String>();
                    writer.lock().await.write_all(answers.as_bytes()).await.unwrap();
                }
                format!("OK\t{id}\tuser=joe\n")
            }
            "resp=more" => format!("CONT\t{id}\tbW9yZQ==\n"),
            "resp=where" => format!("OK\t{id}\tuser=c{number}\n"),
            _ => format!("OK\t{id}\tuser=joe\n"),
        };
        writer.lock().await.write_all(reply.as_bytes()).await.unwrap();
    }
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
async fn a_few_connections_carry_all() {
    let (address, seen) = server(HANDSHAKE).await;
    let servers = servers();
    let one = servers.at(&address);
    assert_eq!(one.mechanisms().await.unwrap()[0].name, "PLAIN");
    for _ in 0..50 {
        assert_eq!(one.start(&request("x")).await.unwrap().0, user("joe"));
    }
    assert_eq!(seen.load(Ordering::SeqCst), 1, "one after the other, one will do");
    // Whoever finds all busy makes the next one better off.
    const HELD: usize = CONNECTIONS_MAX * 3;
    let mut held = Vec::new();
    for number in 1..=HELD {
        let another = servers.at(&address);
        held.push(tokio::spawn(async move { another.start(&request("hold")).await.unwrap().0 }));
        while loads(&one).iter().sum::<usize>() < number || one.grows.load(Ordering::Acquire) {
            tokio::task::yield_now().await;
        }
    }
    let loads = loads(&one);
    let (least, most) = (loads.iter().min().unwrap(), loads.iter().max().unwrap());
    assert!(loads.len() == CONNECTIONS_MAX && most - least <= 2, "{loads:?}");
    // One that is answered meanwhile doesn't wait for those.
    assert_eq!(one.start(&request("x")).await.unwrap().0, user("joe"));
    let (answer, exchange) = one.start(&request("more")).await.unwrap();
    assert_eq!(answer, Answer::Continue { challenge: Some("bW9yZQ==".to_owned()) });
    assert_eq!(exchange.unwrap().respond("eA==").await.unwrap().0, user("joe"));
    assert!(matches!(one.start(&request("release")).await.unwrap().0, Answer::Ok { .. }));
    let mut names = Vec::new();
    for task in held {
        let Answer::Ok { username: Some(name) } = task.await.unwrap() else { panic!("refused") };
        names.push(name);
    }
    names.sort();
    names.dedup();
    assert_eq!(names.len(), HELD, "each has its own answer");
    assert_eq!(seen.load(Ordering::SeqCst), CONNECTIONS_MAX);
}

/// How many requests wait on each connection.
fn loads(server: &AuthServer) -> Vec<usize> {
    locked(&server.connections).iter().map(|connection| connection.under_way()).collect()
}

/// Who stops waiting just before it is known that nobody answers doesn't leave the next to find it out.
#[tokio::test(start_paused = true)]
async fn a_silent_server_is_known_whoever_waits() {
    let mute = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("inet:{}", mute.local_addr().unwrap());
    let one = servers().at(&address);
    let hasty = tokio::time::timeout(TIME_LIMIT - Duration::from_millis(1), one.mechanisms()).await;
    assert!(hasty.is_err());
    tokio::time::sleep(Duration::from_millis(20)).await;
    let began = tokio::time::Instant::now();
    assert_eq!(one.start(&request("x")).await.map(drop), Err(Lost));
    assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
}

#[tokio::test]
async fn what_nobody_needs_is_closed() {
    let (address, seen) = server(HANDSHAKE).await;
    let servers = servers();
    let one = servers.at(&address);
    let first = one.start(&request("where")).await.unwrap().0;
    let another = servers.at(&address);
    let held = tokio::spawn(async move { another.start(&request("hold")).await });
    while loads(&one) != [1] {
        tokio::task::yield_now().await;
    }
    // It comes behind the other, and one more is opened for the next.
    assert_eq!(one.start(&request("x")).await.unwrap().0, user("joe"));
    while loads(&one).len() < 2 {
        tokio::task::yield_now().await;
    }
    assert_ne!(one.start(&request("where")).await.unwrap().0, first);
    one.start(&request("release")).await.unwrap();
    held.await.unwrap().unwrap();
    assert_eq!(seen.load(Ordering::SeqCst), 2);
    tokio::time::pause();
    tokio::time::sleep(UNUSED * 2 + Duration::from_secs(1)).await;
    tokio::time::resume();
    let fit = |one: &AuthServer| locked(&one.connections).iter().filter(|one| one.is_fit()).count();
    assert_eq!(fit(&one), 1, "the first stays");
    assert_eq!(one.start(&request("where")).await.unwrap().0, first);
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
