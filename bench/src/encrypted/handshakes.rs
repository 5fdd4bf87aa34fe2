//! `bench tls`: full and resumed handshakes, log-ins with a slow hash, and what an idle connection costs, for each kind
//! of key, in turns.
//!
//! Log-ins are by twenty people who come again and again, and by others who come once each.

use super::{
    ACCOUNTS, Judge, PASSWORD, Pair, Session, Side, USERS, connector, name_of, pss_kb, runtime, until,
};
use crate::server::Kind;
use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

const SIDES: [Side; 3] =
    [(Kind::Komainu, Judge::Dovecot), (Kind::Komainu, Judge::Own), (Kind::Tuned, Judge::Dovecot)];
/// Clients at once.
const CLIENTS: u8 = 20;
/// Seconds of each sample.
const SAMPLE_S: u64 = 5;
/// Connections that wait: as many as a tuned Postfix has processes, and more for us.
const IDLE: [(Kind, u16); 2] = [(Kind::Komainu, 4000), (Kind::Tuned, 250)];

/// What the clients do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Doing {
    Full,
    Resumed,
    LogIns,
    FirstLogIns,
}

impl Doing {
    const ALL: [Doing; 4] = [Doing::Full, Doing::Resumed, Doing::LogIns, Doing::FirstLogIns];

    fn logs_in(self) -> bool {
        matches!(self, Doing::LogIns | Doing::FirstLogIns)
    }
}

pub(crate) fn command(words: &[String]) -> Result<(), String> {
    let turns: u32 =
        words.first().map_or(Ok(3), |word| word.parse().map_err(|_| "usage: bench tls [TURNS]"))?;
    crate::world::prepare()?;
    for (key, file) in [("ECDSA P-256", "ec.pem"), ("RSA-2048", "rsa.pem")] {
        for turn in 1..=turns {
            for side @ (kind, judge) in SIDES {
                let (is_first_key, name) = (key == "ECDSA P-256", name_of(side));
                if judge == Judge::Own && !is_first_key {
                    continue;
                }
                let pair = Pair::start(side, file)?;
                let wanted =
                    |doing: &Doing| if doing.logs_in() { is_first_key } else { judge == Judge::Dovecot };
                for doing in Doing::ALL.into_iter().filter(wanted) {
                    let (rate, cpu_ms) = measure(&pair, doing)?;
                    println!("{key}, turn {turn}, {name}: {doing:?}: {rate:.0}/s, {cpu_ms:.2} ms CPU each");
                }
                if turn == 1 && judge == Judge::Dovecot {
                    let number = IDLE.iter().find(|(one, _)| *one == kind).map_or(0, |(_, number)| *number);
                    let bytes = idle(&pair, number)?;
                    println!("{key}, {name}: {number} idle connections: {bytes:.0} bytes each");
                }
            }
        }
    }
    Ok(())
}

fn measure(pair: &Pair, doing: Doing) -> Result<(f64, f64), String> {
    let (done, come) = (AtomicU64::new(0), AtomicUsize::new(CLIENTS.into()));
    let (began, cpu) = (Instant::now(), pair.cpu_s());
    let end = until(SAMPLE_S);
    runtime()?.block_on(async {
        let one = |n: u8| {
            let (connector, done, come) = (connector(doing == Doing::Resumed), &done, &come);
            async move {
                while Instant::now() < end {
                    let session = Session::open(Ipv4Addr::new(10, 1, n, 1), &connector).await;
                    let heard = match session {
                        Ok(mut session) if doing.logs_in() => {
                            let next = || come.fetch_add(1, Ordering::Relaxed) % ACCOUNTS;
                            let user = if doing == Doing::LogIns { usize::from(n) % USERS } else { next() };
                            session.log_in(&format!("user{user}"), PASSWORD).await.ok() == Some(235)
                        }
                        Ok(mut session) => session.hear().await.ok() == Some(220),
                        Err(_) => false,
                    };
                    done.fetch_add(u64::from(heard), Ordering::Relaxed);
                }
            }
        };
        let all: Vec<_> = (0..CLIENTS).map(one).collect();
        join(all).await;
    });
    let (done, elapsed) = (done.load(Ordering::Relaxed).max(1) as f64, began.elapsed().as_secs_f64());
    Ok((done / elapsed, (pair.cpu_s() - cpu) * 1000.0 / done))
}

/// All of them, on one task each would need them to be static: they take turns on this one.
async fn join<F: Future<Output = ()>>(all: Vec<F>) {
    let mut all: Vec<_> = all.into_iter().map(|one| (Box::pin(one), false)).collect();
    std::future::poll_fn(|context| {
        for (one, is_over) in all.iter_mut().filter(|(_, is_over)| !is_over) {
            *is_over = one.as_mut().poll(context).is_ready();
        }
        if all.iter().all(|(_, is_over)| *is_over) {
            std::task::Poll::Ready(())
        } else {
            std::task::Poll::Pending
        }
    })
    .await;
}

fn idle(pair: &Pair, number: u16) -> Result<f64, String> {
    pair.server.settle();
    let before = pss_kb(&pair.server.processes());
    let inside = AtomicUsize::new(0);
    runtime()?.block_on(async {
        let connector = connector(false);
        let mut held = Vec::new();
        for n in 0..number {
            let [high, low] = n.to_be_bytes();
            let Ok(mut session) = Session::open(Ipv4Addr::new(10, 2, high, low), &connector).await else {
                continue;
            };
            if session.hear().await.ok() == Some(220)
                && session.say("EHLO client.example").await.ok() == Some(250)
            {
                inside.fetch_add(1, Ordering::Relaxed);
                held.push(session);
            }
        }
        tokio::time::sleep(Duration::from_secs(2)).await;
        let inside = inside.load(Ordering::Relaxed).max(1);
        let grown = pss_kb(&pair.server.processes()).saturating_sub(before);
        Ok(grown as f64 * 1024.0 / inside as f64)
    })
}
