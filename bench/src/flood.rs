//! The flood: deferred messages to many destinations, of which a tenth hangs. Time until all that can be delivered is,
//! and the memory meanwhile.
//!
//! The messages come in while `defer_transports` puts every one off; then it is taken away and the queue flushed. The
//! filling isn't part of the time. Ten messages go to each destination; those that hang take the connection and say
//! nothing.

use crate::drain::{self, Tail};
use crate::figures::Figures;
use crate::generate::{self, Load};
use crate::server::{Kind, Server, program};
use crate::soak::look;
use crate::world;
use std::fs;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// While the queue fills, and while it drains, something must happen in this time. A hanging server is given up after
/// `smtp_helo_timeout`, 300 s.
const PATIENCE: Duration = Duration::from_secs(400);
/// How long a configuration takes to be in force, with room to spare.
const RELOADED: Duration = Duration::from_secs(3);
/// A server that hasn't drained by then is left: how far it came is its figure.
const GIVEN_UP: Duration = Duration::from_secs(600);
/// Between two looks at memory.
const PAUSE: Duration = Duration::from_millis(500);

/// One server, once.
pub(crate) fn sample(server: &Server, load: &Load) -> Result<Figures, String> {
    let mut tail = Tail::new(server.folder());
    let began = Instant::now();
    let outcome = generate::play(load)?;
    if let Some(reply) = outcome.unexpected {
        return Err(format!("unexpected: {reply}"));
    }
    let messages = outcome.done;
    drain::wait(&mut tail, began, PATIENCE, |tail| tail.deferred >= messages)?;
    server.settle();
    let filled = began.elapsed();
    let idle = look(&server.processes(), 0.0).pss_kb;
    release(server)?;
    let before = server.cpu_s();
    let wanted = messages - messages / 10;
    let (over, peak) = (AtomicBool::new(false), AtomicU64::new(idle));
    let began = Instant::now();
    let drained = std::thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Ordering::Acquire) {
                peak.fetch_max(look(&server.processes(), 0.0).pss_kb, Ordering::AcqRel);
                std::thread::sleep(PAUSE);
            }
        });
        let drained = flush(server).and_then(|()| {
            let reached = |tail: &Tail| tail.sent >= wanted || began.elapsed() > GIVEN_UP;
            drain::wait(&mut tail, began, PATIENCE, reached)
        });
        over.store(true, Ordering::Release);
        drained
    })?;
    let cpu = server.cpu_s() - before;
    let peak = peak.load(Ordering::Acquire);
    let done = tail.sent.min(wanted);
    let short =
        if done < wanted { format!("{done} of {wanted} when it was given up; ") } else { String::new() };
    let note = format!(
        "{short}filled in {:.0} s; Pss {} MB with {messages} deferred, at most {} MB",
        filled.as_secs_f64(),
        idle / 1024,
        peak / 1024
    );
    Ok(Figures {
        done,
        elapsed_s: drained.as_secs_f64(),
        cpu_ms: Some(cpu * 1000.0 / f64::from(done.max(1))),
        idle_kb: Some(peak as f64),
        note: Some(note),
        ..Figures::default()
    })
}

/// Mail is no longer put off.
fn release(server: &Server) -> Result<(), String> {
    let path = server.folder().join("etc/main.cf");
    let text = fs::read_to_string(&path).map_err(|e| e.to_string())?;
    fs::write(&path, text + "defer_transports =\n").map_err(|e| e.to_string())?;
    let etc = server.folder().join("etc").display().to_string();
    if server.kind == Kind::Komainu {
        server.hang_up();
    } else {
        world::run("postfix", &["-c", &etc, "reload"])?;
    }
    std::thread::sleep(RELOADED);
    Ok(())
}

fn flush(server: &Server) -> Result<(), String> {
    let etc = server.folder().join("etc").display().to_string();
    if server.kind == Kind::Komainu {
        world::run(&program(), &["queue", "flush", "--config", &etc])
    } else {
        world::run("postqueue", &["-c", &etc, "-f"])
    }
}
