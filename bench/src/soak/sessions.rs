//! Memory over a million sessions: refused by table, by DNSBL from addresses never seen before, accepted, greeted;
//! measured at each tenth, when all clients have gone.

use super::judge::{self, Slack, finding};
use super::options::Options;
use super::phases;
use super::watch::{self, Log};
use crate::generate::{self, BOX, Load, Play};
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

/// Of each hundred sessions.
const SHARES: [(Play, u32, Ipv4Addr, u32); 4] = [
    (Play::RefusedRecipient, 50, Ipv4Addr::new(10, 0, 0, 0), 1 << 22),
    (Play::RefusedRecipient, 25, Ipv4Addr::new(203, 0, 113, 64), 16),
    (Play::Greeted, 24, Ipv4Addr::new(203, 0, 96, 0), 2048),
    (Play::Accept, 1, Ipv4Addr::new(203, 0, 112, 1), 100),
];

/// `bench soak --sessions N`.
pub(crate) fn run(sessions: u32, options: &Options) -> Result<(), String> {
    let server = phases::start()?;
    let mut log = Log::new(server.folder().join("log/mail.log"));
    let idle = watch::look(&server.processes(), 0.0);
    println!("| sessions | Pss kB | descriptors | threads | sessions/s | CPU ms each |");
    println!("| --- | --- | --- | --- | --- | --- |");
    println!("| 0 | {} | {} | {} | | |", idle.pss_kb, idle.descriptors, idle.threads);
    let (began, step, mut done, mut looks, mut unexpected) =
        (Instant::now(), sessions.div_ceil(10), 0, Vec::new(), None);
    while done < sessions {
        let (since, cpu, mut here) = (Instant::now(), server.cpu_s(), 0);
        for (play, share, from, addresses) in SHARES {
            let offset = if addresses > 1 << 20 { done } else { 0 };
            let load = Load {
                count: (u64::from(step) * u64::from(share) / 100).try_into().unwrap_or(1),
                ms: 3_600_000,
                from: Ipv4Addr::from(u32::from(from).wrapping_add(offset)),
                addresses,
                domain: if play == Play::Accept { BOX } else { generate::DISCARD },
                ..phases::standing(play, 50, from)
            };
            let outcome = generate::play(&load)?;
            unexpected = outcome.unexpected.or(unexpected);
            here += outcome.done;
        }
        if here == 0 {
            return Err(format!("no session at all: {unexpected:?}"));
        }
        done += here;
        let elapsed = since.elapsed();
        server.settle();
        let look = watch::look(&server.processes(), began.elapsed().as_secs_f64());
        println!(
            "| {done} | {} | {} | {} | {:.0} | {:.3} |",
            look.pss_kb,
            look.descriptors,
            look.threads,
            f64::from(here) / elapsed.as_secs_f64(),
            (server.cpu_s() - cpu) * 1000.0 / f64::from(here)
        );
        looks.push(look);
        log.cut();
    }
    let memory: Vec<f64> = looks.iter().map(|look| look.pss_kb as f64).collect();
    let last = looks.last().copied().unwrap_or_default();
    judge::verdict(&[
        judge::flat("memory, kB of Pss", &memory, Slack { part: 0.05, more: 4096.0 }),
        finding(
            last.descriptors <= idle.descriptors + 20,
            format!("{} descriptors at the end", last.descriptors),
        ),
        finding(unexpected.is_none(), format!("unexpected replies: {unexpected:?}")),
        finding(log.grave.is_empty(), format!("grave lines: {:?}", log.grave)),
        finding(log.unknown == 0, format!("{} lines, {} unknown {:?}", log.lines, log.unknown, log.examples)),
        finding(
            options.length > Duration::ZERO && done >= sessions / 100 * 99,
            format!("{done} sessions in {:.0} s", began.elapsed().as_secs_f64()),
        ),
    ])
}
