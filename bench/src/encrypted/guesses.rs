//! `bench guesses`: a dictionary attack from 2,000 addresses, each of a network of its own, with 50 honest clients in
//! between who have logged in before, and five with the right password from networks that nobody knows.
//!
//! In earnest the guessers have machines of their own: here their threads come after everybody else's.

use super::{Judge, PASSWORD, Pair, Session, Side, USERS, connector, name_of, quantile, runtime, until};
use crate::server::Kind;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

const ATTACKERS: u16 = 2_000;
const HONEST: u8 = 50;
/// When newcomers come, in parts of a hundred of the time.
const NEWCOMERS: [u64; 5] = [1, 25, 50, 50, 75];
const GUESSES_MAX: u64 = 100_000;
const SIDES: [Side; 3] =
    [(Kind::Komainu, Judge::Dovecot), (Kind::Komainu, Judge::Own), (Kind::Postfix, Judge::Dovecot)];

#[derive(Default)]
struct Tally {
    answered: AtomicU64,
    refused: AtomicU64,
    over: AtomicBool,
}

pub(crate) fn command(words: &[String]) -> Result<(), String> {
    let usage = "usage: bench guesses [SECONDS] [TURNS]";
    let number =
        |at: usize, default: u64| words.get(at).map_or(Ok(default), |word| word.parse().map_err(|_| usage));
    let (seconds, turns) = (number(0, 60)?, number(1, 2)?);
    crate::world::prepare()?;
    for turn in 1..=turns {
        for side in SIDES {
            let pair = Pair::start(side, "ec.pem")?;
            println!("turn {turn}, {}: {}", name_of(side), attack(&pair, seconds)?);
        }
    }
    Ok(())
}

fn attack(pair: &Pair, seconds: u64) -> Result<String, String> {
    let tally = Arc::new(Tally::default());
    let elsewhere = distant()?;
    let outcome = runtime()?.block_on(async {
        let mut calm = Vec::new();
        for n in 0..HONEST {
            calm.extend(log_in(Ipv4Addr::new(10, 200, n, 1), n).await);
        }
        calm.sort();
        let (began, cpu, end) = (Instant::now(), pair.cpu_s(), until(seconds));
        let mut mob = tokio::task::JoinSet::new();
        for n in 0..ATTACKERS {
            mob.spawn_on(guess(n, Arc::clone(&tally)), elsewhere.handle());
        }
        let mut honest = tokio::task::JoinSet::new();
        for n in 0..HONEST {
            honest.spawn(come_back(n, end, Arc::clone(&tally)));
        }
        let mut newcomers = tokio::task::JoinSet::new();
        for (n, part) in (0_u8..).zip(NEWCOMERS) {
            newcomers.spawn(newcomer(n, Duration::from_millis(seconds * 10 * part), end));
        }
        let (mut times, mut failed) = (Vec::new(), 0);
        while let Some(Ok((more, lost))) = honest.join_next().await {
            times.extend(more);
            failed += lost;
        }
        tally.over.store(true, Ordering::Relaxed);
        let new: Vec<String> = newcomers.join_all().await;
        let elapsed = began.elapsed().as_secs_f64();
        let cpu = pair.cpu_s() - cpu;
        mob.shutdown().await;
        times.sort();
        let answered = tally.answered.load(Ordering::Relaxed);
        let refused = tally.refused.load(Ordering::Relaxed);
        let ms = |time: Duration| time.as_secs_f64() * 1000.0;
        Ok(format!(
            "{answered} guesses answered in {elapsed:.0} s ({:.0} an hour), {refused} turned away; CPU {cpu:.1} s; \
             honest: {} log-ins, {failed} failed, p50 {:.1} ms, p99 {:.1} ms, longest {:.0} ms; before the attack p50 {:.1} ms; newcomers were in after {} s",
            answered as f64 / elapsed * 3600.0,
            times.len(),
            ms(quantile(&times, 0.5)),
            ms(quantile(&times, 0.99)),
            ms(times.last().copied().unwrap_or_default()),
            ms(quantile(&calm, 0.5)),
            new.join(", "),
        ))
    });
    elsewhere.shutdown_background();
    outcome
}

/// Threads that get what nobody else wants.
fn distant() -> Result<tokio::runtime::Runtime, String> {
    let niced = || {
        // Without it they are like all others.
        let _ = rustix::process::nice(10);
    };
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder.worker_threads(2).enable_all().on_thread_start(niced).build().map_err(|e| e.to_string())
}

/// From the first packet to the answer.
async fn log_in(from: Ipv4Addr, n: u8) -> Option<Duration> {
    let began = Instant::now();
    let mut session = Session::open(from, &connector(false)).await.ok()?;
    let code = session.log_in(&format!("user{n}"), PASSWORD).await.ok()?;
    // It is over; whether the goodbye is heard says nothing.
    let elapsed = began.elapsed();
    let _ = session.say("QUIT").await;
    (code == 235).then_some(elapsed)
}

/// Somebody from a new place, who comes again a second after each refusal: the seconds until it is in.
async fn newcomer(n: u8, delay: Duration, end: Instant) -> String {
    tokio::time::sleep(delay).await;
    let began = Instant::now();
    while Instant::now() < end {
        let left = end.saturating_duration_since(Instant::now());
        let tried = tokio::time::timeout(left, log_in(Ipv4Addr::new(10, 201, n, 1), 90 + n)).await;
        if let Ok(Some(_)) = tried {
            return format!("{:.1}", began.elapsed().as_secs_f64());
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    format!("(not within {:.0})", began.elapsed().as_secs_f64())
}

/// An honest client logs in every two seconds. What takes longer than the test counts with the time it has taken.
async fn come_back(n: u8, end: Instant, tally: Arc<Tally>) -> (Vec<Duration>, u32) {
    let (mut times, mut failed) = (Vec::new(), 0);
    tokio::time::sleep(Duration::from_millis(40 * u64::from(n))).await;
    while Instant::now() < end && !tally.over.load(Ordering::Relaxed) {
        let began = Instant::now();
        match tokio::time::timeout(
            end.saturating_duration_since(began),
            log_in(Ipv4Addr::new(10, 200, n, 1), n),
        )
        .await
        {
            Ok(Some(time)) => times.push(time),
            Ok(None) => failed += 1,
            // It still waits.
            Err(_) => times.push(began.elapsed()),
        }
        if tally.answered.load(Ordering::Relaxed) >= GUESSES_MAX {
            break;
        }
        tokio::time::sleep(Duration::from_secs(2).saturating_sub(began.elapsed())).await;
    }
    (times, failed)
}

/// Guesses for as long as it may; each connection is used until it is closed.
async fn guess(n: u16, tally: Arc<Tally>) {
    let [high, low] = n.to_be_bytes();
    let from = Ipv4Addr::new(10, 100 + high, low, 1);
    let connector = connector(true);
    let mut tried = usize::from(n);
    while !tally.over.load(Ordering::Relaxed) {
        tried += 1;
        let user = format!("user{}", tried * 7 % USERS);
        let answer = match Session::open(from, &connector).await {
            Ok(mut session) => session.log_in(&user, &format!("guess {n} {tried}")).await,
            Err(error) => Err(error),
        };
        match answer {
            Ok(535) => tally.answered.fetch_add(1, Ordering::Relaxed),
            _ => {
                // Turned away: it comes again after a while, as such programs do.
                tokio::time::sleep(Duration::from_millis(500)).await;
                tally.refused.fetch_add(1, Ordering::Relaxed)
            }
        };
    }
}
