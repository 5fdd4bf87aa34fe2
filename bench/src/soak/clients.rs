//! The soak's own clients, each kind in a process of its own: honest senders, who write down what was acknowledged,
//! and the mob, which has nothing good in mind. Both go on until they are killed.

use super::mail;
use crate::generate::wire::Wire;
use std::cell::Cell;
use std::fs::File;
use std::io::Write;
use std::net::Ipv4Addr;
use std::rc::Rc;
use std::time::{Duration, Instant};

/// `bench soak-senders FILE NUMBER RUN`.
pub(crate) const SENDERS: &str = "soak-senders";
/// `bench soak-mob NUMBER`.
pub(crate) const MOB: &str = "soak-mob";

/// The first of the words is the command.
pub(crate) fn command(words: &[String]) -> Result<(), String> {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|e| e.to_string())?;
    let local = tokio::task::LocalSet::new();
    let number = |text: &String| text.parse::<u32>().map_err(|e| e.to_string());
    match words {
        [command, file, count, run] if command == SENDERS => {
            let (count, run) = (number(count)?, run.clone());
            let file =
                Rc::new(File::options().create(true).append(true).open(file).map_err(|e| e.to_string())?);
            for sender in 0..count {
                local.spawn_local(honest(sender, run.clone(), Rc::clone(&file)));
            }
        }
        [command, count] if command == MOB => spawn_mob(&local, number(count)?),
        _ => return Err("not for people".to_owned()),
    }
    runtime.block_on(local.run_until(std::future::pending::<()>()));
    Ok(())
}

async fn honest(sender: u32, run: String, file: Rc<File>) {
    for number in 0_u32.. {
        let id = format!("{run}-{sender}-{number}");
        let start = Instant::now();
        let ended = tokio::time::timeout(Duration::from_secs(30), message(sender, &id)).await;
        let line = match ended {
            Ok(Ok(())) => format!("{id} {:.3}\n", start.elapsed().as_secs_f64() * 1000.0),
            Ok(Err(why)) => format!("! {why}\n"),
            Err(_) => "! no end in 30 s\n".to_owned(),
        };
        // One write for one line: the parent may kill at any time. A disk that is full ends the soak elsewhere.
        let _ = (&*file).write_all(line.as_bytes());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Ends with the 250: from then on the message must be there.
async fn message(sender: u32, id: &str) -> Result<(), String> {
    let last = u8::try_from(sender % 200).unwrap_or(0);
    let mut wire = Wire::open(Ipv4Addr::new(203, 0, 112, last)).await?;
    wire.expect("220").await?;
    wire.ask("EHLO client.example\r\n", "250").await?;
    wire.ask("MAIL FROM:<honest@client.example>\r\n", "250").await?;
    wire.ask(&format!("RCPT TO:<soak{}@box.example>\r\n", sender % mail::BOXES), "250").await?;
    wire.ask("DATA\r\n", "354").await?;
    wire.ask(&mail::wire(id), "250").await?;
    // The answer counts; the rest is courtesy.
    let _ = wire.ask("QUIT\r\n", "221").await;
    Ok(())
}

/// Numbers that look random, the same each time.
#[derive(Clone)]
struct Dice(Rc<Cell<u64>>);

impl Dice {
    fn roll(&self, sides: u32) -> u32 {
        let mut x = self.0.get();
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        self.0.set(x);
        u32::try_from((x >> 32) % u64::from(sides.max(1))).unwrap_or(0)
    }
}

/// What a member of the mob does, again and again.
#[derive(Clone, Copy)]
enum Habit {
    /// A new address each time, refused by DNSBL, or gone without a word.
    Flood,
    /// Refused by table.
    Refused,
    /// Bytes without sense.
    Garbage,
    /// A byte at a time, in each phase.
    Slow,
    /// A line without end.
    Endless,
    /// Asks, and never reads.
    Greedy,
}

fn spawn_mob(local: &tokio::task::LocalSet, number: u32) {
    let dice = Dice(Rc::new(Cell::new(0x9E37_79B9_7F4A_7C15)));
    let shares = [
        (Habit::Flood, 20),
        (Habit::Refused, 5),
        (Habit::Garbage, 10),
        (Habit::Slow, 40),
        (Habit::Endless, 5),
        (Habit::Greedy, 5),
    ];
    for (habit, share) in shares {
        for member in 0..(share * number).div_ceil(100).max(1) {
            let dice = dice.clone();
            local.spawn_local(async move {
                loop {
                    let once = misbehave(habit, member, &dice);
                    // However it ends, it comes again.
                    let _ = tokio::time::timeout(Duration::from_secs(15), once).await;
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            });
        }
    }
}

async fn misbehave(habit: Habit, member: u32, dice: &Dice) -> Result<(), String> {
    let low = u8::try_from(dice.roll(256)).unwrap_or(0);
    match habit {
        Habit::Flood => {
            let [_, b, c, d] = dice.roll(100_000).to_be_bytes();
            let mut wire = Wire::open(Ipv4Addr::new(10, b, c, d)).await?;
            if dice.roll(2) == 0 {
                return Ok(());
            }
            refused(&mut wire).await
        }
        Habit::Refused => refused(&mut Wire::open(Ipv4Addr::new(203, 0, 113, 64 + low % 16)).await?).await,
        Habit::Garbage => {
            let mut wire = Wire::open(Ipv4Addr::new(203, 0, 110, low)).await?;
            let bytes: Vec<u8> = (0..dice.roll(4096)).map(|_| dice.roll(256).to_be_bytes()[3]).collect();
            wire.say_bytes(&bytes).await?;
            wire.closed(Duration::from_secs(2)).await;
            Ok(())
        }
        Habit::Slow => slow(Wire::open(Ipv4Addr::new(203, 0, 111, low)).await?, member).await,
        Habit::Endless => {
            let mut wire = Wire::open(Ipv4Addr::new(203, 0, 110, low)).await?;
            wire.expect("220").await?;
            for _ in 0..64 {
                wire.say_bytes(&[b'x'; 4096]).await?;
            }
            wire.closed(Duration::from_secs(2)).await;
            Ok(())
        }
        Habit::Greedy => {
            let mut wire = Wire::open(Ipv4Addr::new(203, 0, 110, low)).await?;
            let asks = "NOOP\r\n".repeat(1000);
            let ask = async { while wire.say(&asks).await.is_ok() {} };
            // Sooner or later nobody takes any more.
            let _ = tokio::time::timeout(Duration::from_secs(3), ask).await;
            Ok(())
        }
    }
}

async fn refused(wire: &mut Wire) -> Result<(), String> {
    wire.expect("220").await?;
    wire.ask("EHLO client.example\r\n", "250").await?;
    wire.ask("MAIL FROM:<load@client.example>\r\n", "250").await?;
    wire.ask("RCPT TO:<soak1@box.example>\r\n", "5").await?;
    wire.ask("QUIT\r\n", "221").await.map(drop)
}

/// Stops at the greeting, in a command, or in the content, by turns.
async fn slow(mut wire: Wire, member: u32) -> Result<(), String> {
    if member.is_multiple_of(4) {
        wire.closed(Duration::from_secs(15)).await;
        return Ok(());
    }
    wire.expect("220").await?;
    if member % 4 == 3 {
        wire.ask("EHLO client.example\r\n", "250").await?;
        wire.ask("MAIL FROM:<slow@client.example>\r\n", "250").await?;
        wire.ask("RCPT TO:<user@discard.example>\r\n", "250").await?;
        wire.ask("DATA\r\n", "354").await?;
    }
    for byte in "EHLO a-rather-long-name-that-takes-its-time-to-say.client.example".bytes() {
        wire.say_bytes(&[byte]).await?;
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
    Ok(())
}
