//! CPU time of a server: a control group of its own counts all of its processes, those that ended included.
//!
//! Knows version 1 (cpuacct) and version 2 (cpu.stat). Where neither can be written, it adds up /proc, which misses
//! processes that ended without being waited for and counts in hundredths of a second; the run says which it was.

use std::collections::HashMap;
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

/// Where a server's processes are counted.
pub(crate) enum Account {
    /// A folder of version 1.
    V1(PathBuf),
    /// A folder of version 2.
    V2(PathBuf),
    /// Added up from /proc.
    Proc,
}

const V1: &str = "/sys/fs/cgroup/cpuacct";
const V2: &str = "/sys/fs/cgroup";
const PREFIX: &str = "komainu-bench-";

impl Account {
    /// A fresh account; removes those that an interrupted run left behind.
    pub(crate) fn open(name: &str) -> Account {
        for root in [V1, V2] {
            for entry in fs::read_dir(root).into_iter().flatten().flatten() {
                if entry.file_name().to_string_lossy().starts_with(PREFIX) {
                    // One that is in use can't be removed, and stays.
                    let _ = fs::remove_dir(entry.path());
                }
            }
        }
        let own = format!("{PREFIX}{name}-{}", unique());
        let old = PathBuf::from(V1).join(&own);
        if fs::create_dir(&old).is_ok() && old.join("cpuacct.usage").exists() {
            return Account::V1(old);
        }
        let new = PathBuf::from(V2).join(&own);
        if fs::create_dir(&new).is_ok() && new.join("cpu.stat").exists() {
            return Account::V2(new);
        }
        Account::Proc
    }

    /// How it counts, for the record.
    pub(crate) const fn name(&self) -> &'static str {
        match self {
            Account::V1(_) => "cpuacct",
            Account::V2(_) => "cpu.stat",
            Account::Proc => "/proc",
        }
    }

    fn folder(&self) -> Option<&PathBuf> {
        match self {
            Account::V1(folder) | Account::V2(folder) => Some(folder),
            Account::Proc => None,
        }
    }

    /// A command that becomes `program` inside this account.
    pub(crate) fn command(&self, program: &str) -> Command {
        let Some(folder) = self.folder() else { return Command::new(program) };
        let mut command = Command::new("sh");
        command.args(["-c", "echo $$ >\"$0\" && exec \"$@\""]).arg(folder.join("cgroup.procs")).arg(program);
        command
    }

    /// Seconds of CPU so far; `root` is the server's first process.
    pub(crate) fn cpu_s(&self, root: u32) -> f64 {
        match self {
            Account::V1(folder) => number(&fs::read_to_string(folder.join("cpuacct.usage"))) / 1e9,
            Account::V2(folder) => {
                let text = fs::read_to_string(folder.join("cpu.stat")).unwrap_or_default();
                let line = text.lines().find_map(|line| line.strip_prefix("usage_usec "));
                line.and_then(|text| text.parse::<f64>().ok()).unwrap_or(0.0) / 1e6
            }
            Account::Proc => tree_cpu_s(root),
        }
    }

    /// All processes of the server.
    pub(crate) fn processes(&self, root: u32) -> Vec<u32> {
        match self.folder() {
            Some(folder) => {
                let text = fs::read_to_string(folder.join("cgroup.procs")).unwrap_or_default();
                text.lines().filter_map(|line| line.parse().ok()).collect()
            }
            None => below(root, &all()),
        }
    }

    /// Ends all processes of the server, at once; waits until they are gone.
    pub(crate) fn kill(&self, root: u32) {
        let began = Instant::now();
        while began.elapsed() < Duration::from_secs(10) {
            let processes = self.processes(root);
            if processes.is_empty() {
                break;
            }
            for pid in processes {
                let pid = i32::try_from(pid).ok().and_then(rustix::process::Pid::from_raw);
                if let Some(pid) = pid {
                    // It may have ended meanwhile.
                    let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
                }
            }
            // As the first process of a namespace, what has lost its parent is ours to bury.
            while let Ok(Some(_)) = rustix::process::wait(rustix::process::WaitOptions::NOHANG) {}
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Account {
    fn drop(&mut self) {
        if let Some(folder) = self.folder() {
            let _ = fs::remove_dir(folder);
        }
    }
}

fn unique() -> u128 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |since| since.as_nanos())
}

fn number(text: &std::io::Result<String>) -> f64 {
    text.as_ref().ok().and_then(|text| text.trim().parse().ok()).unwrap_or(0.0)
}

/// Clock ticks a second; Linux has told user space 100 for ever (USER_HZ).
const TICKS_PER_SECOND: f64 = 100.0;

struct Row {
    parent: u32,
    ticks: u64,
}

fn row(text: &str) -> Option<Row> {
    let fields: Vec<&str> = text.rsplit_once(')')?.1.split_whitespace().collect();
    let number = |at: usize| fields.get(at)?.parse::<u64>().ok();
    // utime, stime, and those of children that are gone (proc(5), fields 14 to 17).
    let ticks = number(11)? + number(12)? + number(13)? + number(14)?;
    Some(Row { parent: u32::try_from(number(1)?).ok()?, ticks })
}

fn all() -> HashMap<u32, Row> {
    let mut rows = HashMap::new();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        if let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok())
            && let Some(row) =
                fs::read_to_string(format!("/proc/{pid}/stat")).ok().and_then(|text| row(&text))
        {
            rows.insert(pid, row);
        }
    }
    rows
}

fn below(root: u32, rows: &HashMap<u32, Row>) -> Vec<u32> {
    let is_below = |mut pid: u32| {
        for _ in 0..32 {
            if pid == root {
                return true;
            }
            match rows.get(&pid) {
                Some(row) => pid = row.parent,
                None => return false,
            }
        }
        false
    };
    let mut found: Vec<u32> = rows.keys().copied().filter(|pid| is_below(*pid)).collect();
    found.sort_unstable();
    found
}

/// Seconds of CPU of a process and those that it started, as /proc tells them.
pub(crate) fn tree_cpu_s(root: u32) -> f64 {
    let rows = all();
    let ticks: u64 = below(root, &rows).iter().filter_map(|pid| rows.get(pid)).map(|row| row.ticks).sum();
    ticks as f64 / TICKS_PER_SECOND
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn children_that_ended_are_counted() {
        let text = "7 (a (b) c) S 3 7 7 0 -1 0 0 0 0 0 10 20 30 40 20 0 1 0 0 0 0";
        let row = row(text).expect("reads");
        assert_eq!((row.parent, row.ticks), (3, 100));
        assert!(super::row("7 (short) S 3").is_none());
        let rows = HashMap::from([
            (1, Row { parent: 0, ticks: 1 }),
            (2, Row { parent: 1, ticks: 1 }),
            (3, Row { parent: 2, ticks: 1 }),
            (4, Row { parent: 1, ticks: 1 }),
        ]);
        assert_eq!(below(2, &rows), [2, 3]);
    }

    #[test]
    fn a_process_that_ended_stays_on_the_account() {
        let account = Account::open("test");
        let work = "i=0; while [ $i -lt 60000 ]; do i=$((i+1)); done";
        let mut child = account.command("sh").args(["-c", work]).spawn().expect("starts");
        let root = child.id();
        child.wait().expect("ends");
        if !matches!(account, Account::Proc) {
            assert!(account.cpu_s(root) > 0.005, "{} s by {}", account.cpu_s(root), account.name());
            assert!(account.processes(root).is_empty());
        }
    }
}
