//! CPU time of a server: all processes below one, from /proc.

use std::collections::HashMap;

/// Clock ticks a second; Linux has told user space 100 for ever (USER_HZ).
const TICKS_PER_SECOND: f64 = 100.0;

struct Row {
    parent: u32,
    ticks: u64,
}

fn row(pid: u32) -> Option<Row> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let fields: Vec<&str> = text.rsplit_once(')')?.1.split_whitespace().collect();
    let number = |at: usize| fields.get(at)?.parse::<u64>().ok();
    // utime, stime, and those of children that are gone (proc(5), fields 14 to 17).
    let ticks = number(11)? + number(12)? + number(13)? + number(14)?;
    Some(Row { parent: u32::try_from(number(1)?).ok()?, ticks })
}

fn all() -> HashMap<u32, Row> {
    let mut rows = HashMap::new();
    for entry in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
        if let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok())
            && let Some(row) = row(pid)
        {
            rows.insert(pid, row);
        }
    }
    rows
}

/// Seconds of CPU that `root` and everything below it have used, those that ended included.
pub(crate) fn cpu_s(root: u32) -> f64 {
    let rows = all();
    let below = |mut pid: u32| {
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
    let ticks: u64 = rows.iter().filter(|(pid, _)| below(**pid)).map(|(_, row)| row.ticks).sum();
    ticks as f64 / TICKS_PER_SECOND
}
