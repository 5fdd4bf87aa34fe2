//! The soak itself: starts the server and all its clients, keeps editing, kills on demand, and collects the findings.

use super::clients::{MOB, SENDERS};
use super::judge::{self, Finding, finding};
use super::options::Options;
use super::watch::{self, Log, Look};
use super::{mail, phases};
use crate::generate::{self, Load, Play};
use crate::server::{Kind, Server};
use crate::site::Dress;
use std::fs;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Those of 203.0.120.0/22 wait; `live` is edited all the time.
pub(crate) const DRESS: Dress = Dress {
    main_cf: "smtpd_restriction_classes = wait\nwait = sleep 10\nsmtpd_timeout = 20s\n\
              smtpd_client_connection_rate_limit = 0\n\
              smtpd_client_restrictions = check_client_access cidr:%/etc/crowd, \
              check_client_access hash:%/etc/live, check_client_access hash:%/etc/refused, \
              reject_rbl_client bl.example\n",
    screen: false,
    table_lines: 0,
    boxes: 0,
    signs: false,
};

/// The address whose fate is edited.
const EDITED: Ipv4Addr = Ipv4Addr::new(203, 0, 117, 1);

/// A load of this kind, for ever.
pub(crate) const fn standing(play: Play, connections: u32, from: Ipv4Addr) -> Load {
    Load {
        play,
        connections,
        count: u32::MAX,
        ms: 1000,
        from,
        addresses: 1000,
        domain: generate::DISCARD,
        body_bytes: 1000,
    }
}

/// A process that is killed when it is no longer wanted.
pub(crate) struct Ours(Child);

impl Drop for Ours {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn ours(words: &[&str]) -> Result<Ours, String> {
    let program = std::env::current_exe().map_err(|e| e.to_string())?;
    let child = Command::new(program).args(words).stdin(Stdio::null()).spawn();
    child.map(Ours).map_err(|e| format!("{words:?}: {e}"))
}

/// What is written down while it goes on.
pub(crate) struct Soak {
    pub(crate) server: Server,
    pub(crate) log: Log,
    acknowledged: PathBuf,
    looks: Vec<Look>,
    began: Instant,
    edits: u32,
    edits_late: u32,
    kills: u32,
    /// Senders by generations: ids must not repeat.
    generation: u32,
}

pub(crate) fn write(path: &Path, text: &str) -> Result<(), String> {
    let fresh = path.with_extension("fresh");
    fs::write(&fresh, text)
        .and_then(|()| fs::rename(&fresh, path))
        .map_err(|e| format!("{}: {e}", path.display()))
}

/// Starts the server with the tables that the soak wants.
pub(crate) fn start() -> Result<Server, String> {
    Server::start_with(Kind::Komainu, &DRESS, |etc| {
        write(&etc.join("live"), "203.0.117.254 REJECT\n")?;
        let refused: String = (64..80).map(|last| format!("203.0.113.{last} REJECT\n")).collect();
        write(&etc.join("refused"), &refused)
    })
}

/// Everything, then the descriptors, then the verdict.
pub(crate) fn run(options: &Options) -> Result<(), String> {
    let server = start()?;
    let acknowledged = server.folder().join("acknowledged");
    let log = Log::new(server.folder().join("log/mail.log"));
    let mut soak = Soak {
        server,
        log,
        acknowledged,
        looks: Vec::new(),
        began: Instant::now(),
        edits: 0,
        edits_late: 0,
        kills: 0,
        generation: 0,
    };
    let idle = watch::look(&soak.server.processes(), 0.0);
    println!("at rest: {} kB, {} descriptors, {} threads", idle.pss_kb, idle.descriptors, idle.threads);
    soak.everything(options)?;
    let mut findings = judge::looks(&soak.looks, options.length < Duration::from_secs(120));
    findings.extend(soak.afterwards(idle));
    findings.extend(soak.mail(options));
    findings.extend(soak.too_few_descriptors(options)?);
    soak.log.read();
    findings.extend(soak.said());
    judge::verdict(&findings)
}

impl Soak {
    fn senders(&mut self, number: u32) -> Result<Ours, String> {
        self.generation += 1;
        let (number, run) = (number.to_string(), format!("g{}", self.generation));
        ours(&[SENDERS, &self.acknowledged.display().to_string(), &number, &run])
    }

    /// All kinds of clients at once, edits every two seconds, reloads, kills.
    fn everything(&mut self, options: &Options) -> Result<(), String> {
        let sleepers = options.scaled(4000);
        let crowd = standing(Play::Sleeper, sleepers, Ipv4Addr::new(203, 0, 120, 0));
        let chatter = standing(Play::Chatterer, options.scaled(100), Ipv4Addr::new(203, 0, 104, 0));
        let crowd = generate::start(&crowd)?;
        println!("sleepers: {}", crowd.in_place()?);
        let others = (generate::start(&chatter)?, ours(&[MOB, &options.scaled(200).to_string()])?);
        let senders = self.senders(8)?;
        self.began = Instant::now();
        let kill_every = options.length / 5;
        let mut next_print = Duration::ZERO;
        while self.began.elapsed() < options.length {
            if options.kills && self.kills < 4 && self.began.elapsed() > kill_every * (self.kills + 1) {
                self.server.kill_and_restart(None)?;
                self.kills += 1;
            }
            self.edit()?;
            let look = watch::look(&self.server.processes(), self.began.elapsed().as_secs_f64());
            self.looks.push(look);
            self.log.read();
            if self.began.elapsed() >= next_print {
                println!(
                    "{:5.0} s: {} kB, {} descriptors, {} threads; {} log lines",
                    look.at_s, look.pss_kb, look.descriptors, look.threads, self.log.lines
                );
                next_print = self.began.elapsed() + options.length / 20;
            }
            std::thread::sleep(Duration::from_secs(1));
        }
        drop((senders, others, crowd));
        Ok(())
    }

    /// Refuses an address or lets it in, by turns, and waits until that is so; every third time it reloads besides.
    fn edit(&mut self) -> Result<(), String> {
        self.edits += 1;
        let refused = self.edits % 2 == 1;
        let line = if refused { format!("{EDITED} REJECT\n") } else { String::new() };
        write(&self.server.folder().join("etc/live"), &format!("203.0.117.254 REJECT\n{line}"))?;
        if self.edits.is_multiple_of(3) {
            self.server.hang_up();
        }
        let play = if refused { Play::RefusedRecipient } else { Play::Accept };
        let probe = Load { count: 1, ms: 30_000, addresses: 1, ..standing(play, 1, EDITED) };
        let since = Instant::now();
        loop {
            if generate::play(&probe)?.done == 1 {
                return Ok(());
            }
            if since.elapsed() > Duration::from_secs(5) {
                self.edits_late += 1;
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// When all clients have gone, what they took comes back.
    fn afterwards(&self, idle: Look) -> Vec<Finding> {
        let began = Instant::now();
        let mut look = idle;
        while began.elapsed() < Duration::from_secs(40) {
            look = watch::look(&self.server.processes(), self.began.elapsed().as_secs_f64());
            if look.descriptors <= idle.descriptors + 20 {
                break;
            }
            std::thread::sleep(Duration::from_millis(250));
        }
        self.server.settle();
        let text = format!(
            "descriptors afterwards: {} ({} before the first client), {:.1} s after the last one left; {} kB",
            look.descriptors,
            idle.descriptors,
            began.elapsed().as_secs_f64(),
            look.pss_kb
        );
        let edits =
            format!("{} edits of a table, {} took more than 5 s to hold", self.edits, self.edits_late);
        let gone = self.looks.iter().filter(|look| look.descriptors == 0).count();
        vec![
            finding(gone == 0, format!("{} looks, {gone} of them found no server", self.looks.len())),
            finding(look.descriptors <= idle.descriptors + 20, text),
            finding(self.edits_late <= self.kills && self.edits > 0, edits),
        ]
    }

    /// Each acknowledged message is there.
    fn mail(&self, options: &Options) -> Vec<Finding> {
        let text = fs::read_to_string(&self.acknowledged).unwrap_or_default();
        let (mut ids, mut took, mut refused) = (Vec::new(), Vec::new(), Vec::new());
        // A last line that was cut off is no acknowledgement.
        for line in text.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n')) {
            match line.split_once(' ') {
                Some(("!", why)) => refused.push(why.to_owned()),
                Some((id, ms)) => {
                    ids.push(id.to_owned());
                    took.extend(ms.parse::<f64>().ok());
                }
                None => refused.push(line.to_owned()),
            }
        }
        let folder = self.server.folder().join("mail");
        let mut found = mail::read(&folder);
        let began = Instant::now();
        while ids.iter().any(|id| !found.whole.contains_key(id)) && began.elapsed() < Duration::from_secs(60)
        {
            std::thread::sleep(Duration::from_secs(1));
            found = mail::read(&folder);
        }
        let missing: Vec<&String> = ids.iter().filter(|id| !found.whole.contains_key(*id)).collect();
        let twice = found.whole.values().filter(|times| **times > 1).count();
        let lost = format!(
            "{} acknowledged, {} missing {:?}, {} files broken {:?}",
            ids.len(),
            missing.len(),
            missing.iter().take(3).collect::<Vec<_>>(),
            found.broken.len(),
            found.broken.iter().take(3).collect::<Vec<_>>()
        );
        // A kill between delivering and forgetting gives a message twice; nothing else does.
        refused.retain(|why| self.kills == 0 || why.starts_with(['4', '5']));
        let (median, p99) = if options.debug { (1000.0, 20_000.0) } else { (50.0, 1000.0) };
        vec![
            finding(!ids.is_empty() && missing.is_empty() && found.broken.is_empty(), lost),
            finding(self.kills > 0 || twice == 0, format!("{twice} delivered twice, {} kills", self.kills)),
            finding(
                refused.is_empty(),
                format!(
                    "{} honest messages not taken {:?}",
                    refused.len(),
                    refused.iter().take(3).collect::<Vec<_>>()
                ),
            ),
            judge::waits(took, (median, p99)),
        ]
    }

    /// Started again with 300 descriptors, and 600 who want in: it lives, it says so, and afterwards all is well.
    fn too_few_descriptors(&mut self, options: &Options) -> Result<Vec<Finding>, String> {
        self.server.kill_and_restart(Some(300))?;
        self.log.read();
        let mark = self.log.size();
        let crowd = phases::standing(Play::Sleeper, 600, Ipv4Addr::new(203, 0, 120, 0));
        let standing = generate::start(&crowd)?;
        let inside = standing.in_place()?;
        let look = watch::look(&self.server.processes(), 0.0);
        drop(standing);
        let honest = Load { count: 20, ms: 1000, ..standing_honest() };
        let at_most = if options.debug { 30.0 } else { 20.0 };
        // Those who wait in `sleep` keep their seats until it ends; a stranger who is sent away meanwhile comes again.
        let (since, mut served) = (Instant::now(), 0);
        while served < 20 && since.elapsed().as_secs_f64() < at_most {
            served = generate::play(&honest)?.done;
        }
        let took = since.elapsed().as_secs_f64();
        let said = self.log.since(mark);
        let event = said.lines().find(|line| {
            ["descriptors", "too many open files", "Too many open files", "seats are taken"]
                .iter()
                .any(|words| line.contains(words))
        });
        Ok(vec![
            finding(
                look.descriptors > 0,
                format!("300 descriptors and 600 clients: {inside}, {} open", look.descriptors),
            ),
            finding(
                served == 20,
                format!("afterwards {served} of 20 honest clients at once were served, after {took:.1} s"),
            ),
            finding(event.is_some(), format!("it said: {}", event.unwrap_or("nothing about it"))),
        ])
    }

    /// What stands in the log.
    fn said(&self) -> Vec<Finding> {
        let log = &self.log;
        let stderr = fs::read_to_string(self.server.folder().join("log/stderr")).unwrap_or_default();
        let text = |count: u64, examples: &[String]| format!("{count} {}", examples.join("\n         "));
        vec![
            finding(
                log.unknown == 0 && log.lines > 0,
                format!(
                    "{} log lines, not read by `events`: {}",
                    log.lines,
                    text(log.unknown, &log.examples)
                ),
            ),
            finding(log.grave.is_empty(), format!("grave lines: {}", log.grave.join("\n         "))),
            finding(!stderr.contains("panicked"), "no panic on standard error".to_owned()),
        ]
    }
}

const fn standing_honest() -> Load {
    standing(Play::Honest, 1, Ipv4Addr::new(203, 0, 112, 1))
}
