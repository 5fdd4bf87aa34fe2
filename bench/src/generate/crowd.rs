//! Clients that only want to stay: made to wait at RCPT (T2.2), silent at some point of the session, or talking without
//! end. Whoever is let go comes back.
//!
//! Says one line when all are in their place, or when five seconds have brought no more; stands until it is killed.

use super::wire::Wire;
use super::{Load, Outcome, Play};
use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

/// Between two lines of a chatterer.
const BREATH: Duration = Duration::from_millis(100);
/// Connections begun at once, so that no SYN is dropped for the generator's own haste.
const WAVE: u32 = 250;

/// Stands until it is killed; it ends with its namespace anyway.
pub(crate) async fn stand(load: Load) -> Result<Outcome, String> {
    let local = tokio::task::LocalSet::new();
    local
        .run_until(async move {
            let inside = Rc::new(Cell::new(0_u32));
            for number in 0..load.connections {
                tokio::task::spawn_local(member(load, number, Rc::clone(&inside)));
                if number % WAVE == WAVE - 1 {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            }
            let (mut idle, mut last) = (0, 0);
            while inside.get() < load.connections && idle < 50 {
                tokio::time::sleep(Duration::from_millis(100)).await;
                idle = if inside.get() == last { idle + 1 } else { 0 };
                last = inside.get();
            }
            println!("{} of {} in place", inside.get(), load.connections);
            std::future::pending::<()>().await;
        })
        .await;
    Ok(Outcome::default())
}

async fn member(load: Load, number: u32, inside: Rc<Cell<u32>>) {
    loop {
        let counted = Cell::new(false);
        // Let go or refused: it comes again.
        let _ = once(&load, number, &inside, &counted).await;
        if counted.get() {
            inside.set(inside.get() - 1);
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn once(load: &Load, number: u32, inside: &Cell<u32>, counted: &Cell<bool>) -> Result<(), String> {
    let settle = || {
        counted.set(true);
        inside.set(inside.get() + 1);
    };
    let mut wire = Wire::open(load.address(number)).await?;
    if load.play == Play::HeldConnected {
        settle();
        return Err(wire.left().await);
    }
    wire.expect("220").await?;
    if load.play == Play::HeldGreeted {
        settle();
        return Err(wire.left().await);
    }
    wire.ask("EHLO crowd.example\r\n", "250").await?;
    if load.play == Play::HeldEhlo {
        settle();
        return Err(wire.left().await);
    }
    if load.play == Play::Chatterer {
        settle();
        loop {
            for line in ["NOOP\r\n", "RSET\r\n", "EHLO crowd.example\r\n"] {
                tokio::time::sleep(BREATH).await;
                wire.ask(line, "250").await?;
            }
        }
    }
    wire.ask("MAIL FROM:<crowd@client.example>\r\n", "250").await?;
    if load.play == Play::HeldMail {
        settle();
        return Err(wire.left().await);
    }
    wire.say("RCPT TO:<user@discard.example>\r\n").await?;
    settle();
    wire.reply().await?;
    wire.ask("QUIT\r\n", "221").await.map(drop)
}
