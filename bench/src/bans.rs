//! `bench bans`: many bans in the kernel, beside Debian's fail2ban with the same jail.
//!
//! One jail, its bans by a stock action: put back at a start, one more, one less, all ended. Ours is told over the
//! helper's socket, as by whoever decides on bans; fail2ban by its client, many addresses a command, and gets fewer of
//! them, as it runs a shell for each. CPU is that of the helper, or fail2ban's server, and of all programs that it ran.
//! Needs root, and a network of its own, as scripts/bench makes it.

use crate::figures::spread;
use ban::filter::Id;
use komainu::firewall::{Change, Firewall, Verb};
use std::fs;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

const USAGE: &str = "usage: bench bans [COUNT] [TURNS]   bans in the kernel, beside fail2ban (default: 100000 bans, 3 turns)\n";
/// How many fail2ban gets.
const THEIRS: u32 = 1_000;
/// What a set of ipset's holds by the stock action.
const IPSET_MAX: u32 = 60_000;
/// One more, so many times.
const SINGLES: u32 = 20;
const PATIENCE: Duration = Duration::from_secs(300);
/// The stock actions, and how many bans they are asked for at most.
const ACTIONS: [(&str, u32); 3] =
    [("nftables-multiport", u32::MAX), ("iptables-ipset-proto6", IPSET_MAX), ("iptables-multiport", 2_000)];
/// Ticks of /proc a second.
const TICKS: f64 = 100.0;

/// What a turn gave: milliseconds, or milliseconds of CPU.
#[derive(Default)]
struct Figures {
    start: Vec<f64>,
    start_cpu: Vec<f64>,
    one: Vec<f64>,
    one_cpu: Vec<f64>,
    memory_mb: Vec<f64>,
    stop: Vec<f64>,
}

pub(crate) fn command(words: &[String]) -> Result<(), String> {
    let number = |at: usize, default: u32| match words.get(at) {
        None => Ok(default),
        Some(word) => word.parse().ok().filter(|n| *n > 0).ok_or(USAGE.to_owned()),
    };
    let (count, turns) = (number(0, 100_000)?, number(1, 3)?);
    let folder = std::env::temp_dir().join(format!("bench-bans-{}", std::process::id()));
    let outcome =
        ACTIONS.iter().try_for_each(|(action, most)| measure(&folder, action, count.min(*most), turns));
    // What can't be removed is a folder in /tmp.
    let _ = fs::remove_dir_all(&folder);
    outcome
}

fn measure(folder: &Path, action: &str, count: u32, turns: u32) -> Result<(), String> {
    // A folder that isn't there is as good.
    let _ = fs::remove_dir_all(folder);
    files(folder, action).map_err(|error| error.to_string())?;
    let (mut ours, mut theirs) = (Figures::default(), Figures::default());
    for _ in 0..turns {
        one_of_ours(folder, count, &mut ours)?;
        one_of_theirs(folder, count.min(THEIRS), &mut theirs)?;
    }
    for (name, count, figures) in [("komainu", count, ours), ("fail2ban", count.min(THEIRS), theirs)] {
        println!("{action} {name}: {count} bans");
        for (what, samples) in [
            ("all, ms", figures.start),
            ("all, ms CPU", figures.start_cpu),
            ("one more, ms", figures.one),
            ("one more, ms CPU", figures.one_cpu),
            ("memory, MB", figures.memory_mb),
            ("end, ms", figures.stop),
        ] {
            let Some(spread) = spread(samples) else { continue };
            println!("  {what:18} {:.1} [{:.1}–{:.1}]", spread.median, spread.min, spread.max);
        }
    }
    Ok(())
}

fn files(folder: &Path, action: &str) -> std::io::Result<()> {
    let copied = Command::new("cp").args(["-a", "/etc/fail2ban"]).arg(folder).status()?;
    if !copied.success() {
        return Err(std::io::Error::other("no /etc/fail2ban"));
    }
    for entry in fs::read_dir(folder.join("jail.d"))?.flatten() {
        fs::remove_file(entry.path())?;
    }
    let log = folder.join("x.log");
    fs::write(&log, "")?;
    let jail = format!(
        "[DEFAULT]\nbackend = polling\nbantime = 1d\n[j]\nenabled = true\nfilter = sshd\nport = 25,465\nlogpath = {}\nbanaction = {action}\n",
        log.display()
    );
    fs::write(folder.join("jail.local"), jail)?;
    let own = folder.join("f2b.log");
    fs::write(
        folder.join("fail2ban.local"),
        format!("[Definition]\nlogtarget = {}\ndbfile = None\n", own.display()),
    )
}

fn address(number: u32) -> Ipv4Addr {
    Ipv4Addr::from(0x0b00_0000 + number)
}

/// Milliseconds of CPU so far, and megabytes in memory.
fn account(pid: u32) -> Result<(f64, f64), String> {
    let read =
        |name: &str| fs::read_to_string(format!("/proc/{pid}/{name}")).map_err(|error| error.to_string());
    let stat = read("stat")?;
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or("").split_whitespace().collect();
    let ticks: f64 = fields.iter().skip(11).take(4).filter_map(|field| field.parse::<f64>().ok()).sum();
    let status = read("status")?;
    let memory = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:")?.split_whitespace().next()?.parse::<f64>().ok());
    Ok((ticks / TICKS * 1000.0, memory.unwrap_or(0.0) / 1024.0))
}

fn ms(since: Instant) -> f64 {
    since.elapsed().as_secs_f64() * 1000.0
}

fn one_of_ours(folder: &Path, count: u32, figures: &mut Figures) -> Result<(), String> {
    let program = std::env::var_os("KOMAINU_BIN").map(PathBuf::from).ok_or("KOMAINU_BIN isn't set")?;
    let firewall = Firewall::spawn_as(&program, folder).map_err(|error| error.to_string())?;
    let now_s = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let ban = |number: u32| Change {
        ban_s: 86_400,
        time_s: i64::try_from(now_s).unwrap_or(0),
        ..Change::new("j", Verb::Ban, Id::address(address(number).into()))
    };
    let well = |changes: Vec<Change>| firewall.apply(changes).into_iter().collect::<Result<(), String>>();
    // The files are read by then.
    well(vec![Change::start("j")])?;
    let (before, _) = account(firewall.process())?;
    let began = Instant::now();
    well((0..count).map(ban).collect())?;
    figures.start.push(ms(began));
    let (after, memory) = account(firewall.process())?;
    figures.start_cpu.push(after - before);
    figures.memory_mb.push(memory);
    for single in 0..SINGLES {
        let began = Instant::now();
        well(vec![ban(count + single)])?;
        figures.one.push(ms(began));
    }
    let (last, _) = account(firewall.process())?;
    figures.one_cpu.push((last - after) / f64::from(SINGLES));
    let began = Instant::now();
    well(vec![Change::stop("j")])?;
    figures.stop.push(ms(began));
    Ok(())
}

/// fail2ban's server, ended with us.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        // It is gone, or goes with the namespace.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn until(what: &str, mut is_so: impl FnMut() -> bool) -> Result<(), String> {
    let until = Instant::now() + PATIENCE;
    while !is_so() {
        if Instant::now() > until {
            return Err(format!("waited in vain: {what}"));
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    Ok(())
}

fn one_of_theirs(folder: &Path, count: u32, figures: &mut Figures) -> Result<(), String> {
    let at = |name: &str| folder.join(name).display().to_string();
    let (socket, configuration, log) = (at("s"), at(""), at("f2b.log"));
    let client = |words: &[String]| {
        let mut client = Command::new("fail2ban-client");
        client
            .args(["-c", &configuration, "-s", &socket])
            .args(words)
            .output()
            .is_ok_and(|output| output.status.success())
    };
    let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
    // The log of the turn before.
    let _ = fs::remove_file(&log);
    let mut server = Command::new("fail2ban-server");
    server.args(["-f", "-c", &configuration, "-s", &socket, "-p", &at("pid"), "start"]);
    let server = server
        .stdout(std::process::Stdio::null())
        .spawn()
        .map_err(|error| format!("fail2ban-server: {error}"))?;
    let server = Server(server);
    until("fail2ban", || client(&words("status j")))?;
    let in_log = |number: u32| {
        let line = format!("[j] Ban {}\n", address(number));
        fs::read_to_string(&log).is_ok_and(|text| text.contains(&line))
    };
    let (before, _) = account(server.0.id())?;
    let began = Instant::now();
    let mut many = words("set j banip");
    many.extend((0..count).map(|number| address(number).to_string()));
    client(&many);
    // Its log names a ban before the kernel is told; the next one waits for that.
    until("the last ban", || in_log(count.saturating_sub(1)))?;
    figures.start.push(ms(began));
    let (after, memory) = account(server.0.id())?;
    figures.start_cpu.push(after - before);
    figures.memory_mb.push(memory);
    for single in 0..SINGLES {
        let began = Instant::now();
        let mut one = words("set j banip");
        one.push(address(count + single).to_string());
        client(&one);
        until("one more", || in_log(count + single))?;
        figures.one.push(ms(began));
    }
    let (last, _) = account(server.0.id())?;
    figures.one_cpu.push((last - after) / f64::from(SINGLES));
    let began = Instant::now();
    client(&words("stop"));
    until("its end", || !Path::new(&socket).exists())?;
    figures.stop.push(ms(began));
    Ok(())
}
