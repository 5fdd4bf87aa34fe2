//! The honest client beside a crowd: whole transactions at even times, whatever became of those before, so that a
//! server that stalls is charged for everyone who came meanwhile. From connect to the 250 of the message.

use super::sessions::body;
use super::wire::Wire;
use super::{Load, Outcome};
use std::net::Ipv4Addr;
use std::rc::Rc;
use std::time::{Duration, Instant};

/// Who has waited this long gives up, and counts as having waited this long.
const PATIENCE: Duration = Duration::from_secs(60);

/// `count` clients, evenly over `ms`.
pub(crate) async fn arrive(load: Load) -> Result<Outcome, String> {
    let local = tokio::task::LocalSet::new();
    Ok(local.run_until(all(load)).await)
}

async fn all(load: Load) -> Outcome {
    let body = Rc::<str>::from(body(load.body_bytes));
    let (began, mut clients) = (Instant::now(), tokio::task::JoinSet::new());
    for number in 0..load.count {
        let due = Duration::from_secs_f64(
            f64::from(number) * f64::from(load.ms) / 1000.0 / f64::from(load.count.max(1)),
        );
        tokio::time::sleep(due.saturating_sub(began.elapsed())).await;
        let (body, address) = (Rc::clone(&body), load.address(number));
        clients.spawn_local(async move {
            tokio::time::timeout(PATIENCE, transaction(address, load.domain, &body)).await
        });
    }
    let mut outcome = Outcome::default();
    while let Some(client) = clients.join_next().await {
        match client {
            Ok(Ok(Ok(took))) => {
                outcome.done += 1;
                outcome.took_ms.push(took.as_secs_f64() * 1000.0);
            }
            Ok(Err(_)) => {
                outcome.gave_up += 1;
                outcome.took_ms.push(PATIENCE.as_secs_f64() * 1000.0);
            }
            Ok(Ok(Err(reply))) => outcome.unexpected = Some(reply),
            Err(error) => outcome.unexpected = Some(error.to_string()),
        }
    }
    outcome.elapsed = began.elapsed();
    outcome
}

async fn transaction(from: Ipv4Addr, domain: &str, body: &str) -> Result<Duration, String> {
    let start = Instant::now();
    let mut wire = Wire::open(from).await?;
    wire.expect("220").await?;
    wire.ask("EHLO client.example\r\n", "250").await?;
    wire.ask("MAIL FROM:<honest@client.example>\r\n", "250").await?;
    wire.ask(&format!("RCPT TO:<honest@{domain}>\r\n"), "250").await?;
    wire.ask("DATA\r\n", "354").await?;
    wire.ask(body, "250").await?;
    let took = start.elapsed();
    // The answer is there; the rest is courtesy.
    wire.ask("QUIT\r\n", "221").await?;
    Ok(took)
}
