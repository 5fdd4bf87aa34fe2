use super::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

/// Servers of tables with hardly any patience, and what they warn of.
fn servers() -> (TableServers, Arc<Mutex<Vec<String>>>) {
    let said = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&said);
    let warn: Warn = Box::new(move |text| log.lock().unwrap().push(text.to_owned()));
    let patience = Patience {
        step: Duration::from_millis(300),
        pause: Duration::from_millis(1),
        tries: 3,
        ..Patience::default()
    };
    (TableServers::new("/nonexistent".into(), warn).with_patience(patience), said)
}

fn table(word: &str, port: u16) -> Remote {
    let text = format!("127.0.0.1:{port}");
    let endpoint = Endpoint::Inet { host: "127.0.0.1".into(), port: port.to_string(), text };
    match word {
        "tcp" => Remote { name: format!("tcp:127.0.0.1:{port}"), endpoint, protocol: Protocol::Tcp },
        map => Remote {
            name: format!("socketmap:inet:127.0.0.1:{port}:{map}"),
            endpoint,
            protocol: Protocol::Socketmap(map.to_owned()),
        },
    }
}

/// A server that answers each connection's requests with these, then closes it; the last connection's are said again
/// for all to come. Gives its port.
async fn serve(connections: &'static [&'static [&'static str]]) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        let mut turn = 0;
        while let Ok((mut stream, _)) = listener.accept().await {
            let replies = connections[turn.min(connections.len() - 1)];
            turn += 1;
            tokio::spawn(async move {
                let mut buffer = [0; 256];
                for reply in replies {
                    if stream.read(&mut buffer).await.unwrap_or(0) == 0 {
                        return;
                    }
                    if reply.is_empty() {
                        return std::future::pending().await;
                    }
                    stream.write_all(reply.as_bytes()).await.unwrap();
                }
            });
        }
    });
    port
}

async fn check(word: &str, connections: &'static [&'static [&'static str]], expect: &[&str]) -> Vec<String> {
    let (servers, said) = servers();
    let port = serve(connections).await;
    let table = table(word, port);
    for expect in expect {
        let answer = match servers.ask(&table, "key").await {
            Answer::Value(Some(value)) => value,
            Answer::Value(None) => "(none)".to_owned(),
            _ => "(failed)".to_owned(),
        };
        assert_eq!(answer, *expect, "{word} {connections:?}");
    }
    let said = said.lock().unwrap();
    said.iter().map(|text| text.replace(&port.to_string(), "PORT")).collect()
}

const TCP: &str = "read TCP map reply from 127.0.0.1:PORT: ";
const MAP: &str = "table socketmap:inet:127.0.0.1:PORT:m lookup error: ";

#[tokio::test]
async fn a_connection_is_kept_and_replaced() {
    let said = check("tcp", &[&["200 a\n", "500 x\n", "200 b\n"]], &["a", "(none)", "b"]).await;
    assert!(said.is_empty(), "{said:?}");
    let said = check("tcp", &[&["200 a\n"], &["200 b\n"]], &["a", "b"]).await;
    assert_eq!(said, [format!("{TCP}unexpected EOF (Success)")]);
    let said = check("m", &[&["4:OK a,"], &["8:NOTFOUND,"], &["4:OK b,"]], &["a", "(none)", "b"]).await;
    assert!(said.is_empty(), "{said:?}");
}

#[tokio::test]
async fn what_fails_is_said_and_is_never_not_found() {
    let say = |prefix: &str, why: &str| vec![format!("{prefix}{why}")];
    assert!(check("tcp", &[&["400 later\n"]], &["(failed)"]).await.is_empty());
    assert_eq!(check("tcp", &[&["what\n"]], &["(failed)"]).await, say(TCP, "malformed reply: what"));
    assert_eq!(check("tcp", &[&[]], &["(failed)"]).await.len(), 3);
    assert_eq!(
        check("tcp", &[&[""], &["200 a\n"]], &["a"]).await,
        say(TCP, "unexpected EOF (Connection timed out)")
    );
    assert_eq!(check("m", &[&["garbage"]], &["(failed)"]).await, say(MAP, "input format error"));
    assert_eq!(check("m", &[&["999999:"]], &["(failed)"]).await, say(MAP, "input exceeds size limit"));
    assert_eq!(check("m", &[&[]], &["(failed)"]).await, say(MAP, "unexpected disconnect"));
    assert_eq!(check("m", &[&[""]], &["(failed)"]).await, say(MAP, "time limit exceeded"));
    let temporary = "socketmap:inet:127.0.0.1:PORT:m socketmap server temporary error: try";
    assert_eq!(check("m", &[&["8:TEMP try,"]], &["(failed)"]).await, [temporary]);
}

#[tokio::test]
async fn what_comes_behind_a_reply_is_no_answer_to_the_next_request() {
    let said = check("tcp", &[&["200 a\n200 evil\n", "200 late\n"], &["200 b\n"]], &["a", "b"]).await;
    assert!(said.is_empty(), "{said:?}");
}

#[tokio::test]
async fn nobody_there() {
    let (servers, said) = servers();
    let port = {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        listener.local_addr().unwrap().port()
    };
    assert!(matches!(servers.ask(&table("tcp", port), "k").await, Answer::Failed(_)));
    assert!(matches!(servers.ask(&table("m", port), "k").await, Answer::Failed(_)));
    let said = said.lock().unwrap();
    assert_eq!(said.len(), 5);
    assert_eq!(said[0], format!("connect to TCP map 127.0.0.1:{port}: Connection refused"));
    assert_eq!(said[3], format!("connect to 127.0.0.1:{port}: Connection refused"));
    assert_eq!(said[4], format!("table socketmap:inet:127.0.0.1:{port}:m lookup error: Connection refused"));
}

#[tokio::test]
async fn connections_to_one_server_are_bounded() {
    let (servers, said) = servers();
    let servers = Arc::new(servers);
    let port = serve(&[&[""]]).await;
    let mut asking = tokio::task::JoinSet::new();
    for _ in 0..CONNECTIONS_MAX + 1 {
        let servers = Arc::clone(&servers);
        asking.spawn(async move { servers.ask(&table("m", port), "k").await });
    }
    while let Some(answer) = asking.join_next().await {
        assert!(matches!(answer, Ok(Answer::Failed(_))));
    }
    assert_eq!(said.lock().unwrap().len(), CONNECTIONS_MAX + 1);
}
