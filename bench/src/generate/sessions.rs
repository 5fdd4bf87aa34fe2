//! Sessions one after another on many connections at once, each message on a connection of its own, as strangers come.

use super::wire::Wire;
use super::{BOXES, FLOOD, Load, Outcome, Play};
use crate::sink;
use std::cell::Cell;
use std::rc::Rc;
use std::time::{Duration, Instant};

/// A client that has waited this long goes, and its place stays empty. A server whose backlog overflows may leave
/// clients connected that it has never seen.
const PATIENCE: Duration = Duration::from_secs(60);

/// Plays all sessions.
pub(crate) async fn play(load: Load) -> Result<Outcome, String> {
    let local = tokio::task::LocalSet::new();
    Ok(local.run_until(all(load)).await)
}

/// What one client's sessions took, and how the last one ended.
enum End {
    Well,
    GaveUp,
    Unexpected(String),
}

async fn all(load: Load) -> Outcome {
    let (next, body) = (Rc::new(Cell::new(0)), Rc::<str>::from(body(load.body_bytes)));
    let began = Instant::now();
    let mut clients = tokio::task::JoinSet::new();
    for _ in 0..load.connections {
        clients.spawn_local(client(load, began, Rc::clone(&next), Rc::clone(&body)));
    }
    let mut outcome = Outcome::default();
    while let Some(client) = clients.join_next().await {
        match client {
            Ok((took, end)) => {
                outcome.done += u32::try_from(took.len()).unwrap_or(u32::MAX);
                outcome.took_ms.extend(took);
                match end {
                    End::Well => {}
                    End::GaveUp => {
                        outcome.gave_up += 1;
                        outcome.took_ms.push(PATIENCE.as_secs_f64() * 1000.0);
                    }
                    End::Unexpected(reply) => outcome.unexpected = Some(reply),
                }
            }
            Err(error) => outcome.unexpected = Some(error.to_string()),
        }
    }
    outcome.elapsed = began.elapsed();
    outcome
}

/// A message of that size, with its end.
pub(crate) fn body(bytes: u32) -> String {
    let mut body = String::from(
        "From: load@client.example\r\nSubject: load\r\nMessage-Id: <load@client.example>\r\n\r\n",
    );
    while u64::try_from(body.len()).unwrap_or(u64::MAX) < u64::from(bytes) {
        body.push_str("The quick brown fox jumps over the lazy dog, and again, and once more for luck.\r\n");
    }
    body + ".\r\n"
}

async fn client(load: Load, began: Instant, next: Rc<Cell<u32>>, body: Rc<str>) -> (Vec<f64>, End) {
    let mut took = Vec::new();
    loop {
        let number = next.get();
        if number >= load.count || began.elapsed().as_millis() >= u128::from(load.ms) {
            return (took, End::Well);
        }
        next.set(number + 1);
        let start = Instant::now();
        match tokio::time::timeout(PATIENCE, session(&load, number, &body)).await {
            Ok(Ok(())) => took.push(start.elapsed().as_secs_f64() * 1000.0),
            Ok(Err(reply)) => return (took, End::Unexpected(reply)),
            Err(_) => return (took, End::GaveUp),
        }
    }
}

async fn session(load: &Load, number: u32, body: &str) -> Result<(), String> {
    let mut wire = Wire::open(load.address(number)).await?;
    if load.play == Play::RefusedGreeting {
        let refusal = wire.expect("5").await?;
        if refusal.starts_with("521") {
            wire.closed(Duration::from_secs(1)).await;
            return Ok(());
        }
        return wire.ask("QUIT\r\n", "221").await.map(drop);
    }
    wire.expect("220").await?;
    if load.play != Play::Greeted {
        wire.ask("EHLO client.example\r\n", "250").await?;
        wire.ask("MAIL FROM:<load@client.example>\r\n", "250").await?;
        let to = recipient(load, number);
        if load.play == Play::RefusedRecipient {
            wire.ask(&to, "5").await?;
        } else {
            wire.ask(&to, "250").await?;
            wire.ask("DATA\r\n", "354").await?;
            wire.ask(body, "250").await?;
        }
    }
    wire.ask("QUIT\r\n", "221").await.map(drop)
}

fn recipient(load: &Load, number: u32) -> String {
    if load.domain == FLOOD {
        let [_, b, c, d] = sink::address(number % (load.count / 10).max(1)).octets();
        return format!("RCPT TO:<user@10-{b}-{c}-{d}.relay.example>\r\n");
    }
    let users = if load.domain == BOXES { 1_000 } else { 50 };
    format!("RCPT TO:<user{}@{}>\r\n", number % users, load.domain)
}
