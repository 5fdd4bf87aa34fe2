//! What is seen from outside: memory and descriptors of all of the server's processes, and its log.

use events::{Event, Line, Severity};
use std::fs;
use std::io::{Read, Seek, SeekFrom};
use std::path::PathBuf;

/// One look.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Look {
    pub(crate) at_s: f64,
    /// Memory that the processes have for themselves, and their part of what is shared.
    pub(crate) pss_kb: u64,
    pub(crate) descriptors: u64,
    pub(crate) threads: u64,
}

fn field(text: &str, name: &str) -> u64 {
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    line.and_then(|rest| rest.split_whitespace().next()).and_then(|word| word.parse().ok()).unwrap_or(0)
}

/// Looks at these processes.
pub(crate) fn look(processes: &[u32], at_s: f64) -> Look {
    let mut look = Look { at_s, ..Look::default() };
    for pid in processes {
        let read = |name: &str| fs::read_to_string(format!("/proc/{pid}/{name}")).unwrap_or_default();
        look.pss_kb += field(&read("smaps_rollup"), "Pss:");
        look.threads += field(&read("status"), "Threads:");
        let open = fs::read_dir(format!("/proc/{pid}/fd")).map_or(0, Iterator::count);
        look.descriptors += u64::try_from(open).unwrap_or(0);
    }
    look
}

/// The log, read as it grows.
pub(crate) struct Log {
    path: PathBuf,
    at: u64,
    rest: Vec<u8>,
    pub(crate) lines: u64,
    /// Lines that are none of Postfix's or of ours.
    pub(crate) unknown: u64,
    pub(crate) examples: Vec<String>,
    /// What no server should have to say.
    pub(crate) grave: Vec<String>,
}

/// Lines kept of each kind of fault.
const EXAMPLES_MAX: usize = 8;

impl Log {
    pub(crate) fn new(path: PathBuf) -> Log {
        Log { path, at: 0, rest: Vec::new(), lines: 0, unknown: 0, examples: Vec::new(), grave: Vec::new() }
    }

    /// Takes in what was written since.
    pub(crate) fn read(&mut self) {
        let Ok(mut file) = fs::File::open(&self.path) else { return };
        if file.seek(SeekFrom::Start(self.at)).is_err() {
            return;
        }
        let mut fresh = Vec::new();
        // As far as it can be read.
        let _ = file.take(256 << 20).read_to_end(&mut fresh);
        self.at += u64::try_from(fresh.len()).unwrap_or(0);
        let mut text = std::mem::take(&mut self.rest);
        text.extend(fresh);
        let mut lines: Vec<&[u8]> = text.split(|byte| *byte == b'\n').collect();
        let rest = lines.pop().unwrap_or_default().to_vec();
        for line in lines {
            self.take(&String::from_utf8_lossy(line));
        }
        self.rest = rest;
    }

    /// How much has been read.
    pub(crate) const fn size(&self) -> u64 {
        self.at
    }

    /// What was written behind `mark`.
    pub(crate) fn since(&self, mark: u64) -> String {
        let text = fs::read(&self.path).unwrap_or_default();
        let mark = usize::try_from(mark).unwrap_or(usize::MAX);
        String::from_utf8_lossy(text.get(mark..).unwrap_or_default()).into_owned()
    }

    /// Begins anew with an empty file, so that a long soak doesn't fill the disk.
    pub(crate) fn cut(&mut self) {
        self.read();
        if let Ok(file) = fs::File::options().write(true).open(&self.path)
            && file.set_len(0).is_ok()
        {
            self.at = 0;
        }
    }

    fn take(&mut self, line: &str) {
        self.lines += 1;
        let keep = |list: &mut Vec<String>| {
            if list.len() < EXAMPLES_MAX {
                list.push(line.to_owned());
            }
        };
        match Line::parse(line) {
            None => {
                self.unknown += 1;
                keep(&mut self.examples);
            }
            Some(parsed) => {
                if matches!(parsed.event, Event::Other(_)) {
                    self.unknown += 1;
                    keep(&mut self.examples);
                }
                if parsed.severity() >= Severity::Error || line.contains("panic") {
                    keep(&mut self.grave);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_look_at_oneself() {
        let look = look(&[std::process::id()], 1.0);
        assert!(look.pss_kb > 100 && look.descriptors >= 3 && look.threads >= 1, "{look:?}");
        assert_eq!(field("Rss: 5 kB\nPss:   77 kB\n", "Pss:"), 77);
    }

    #[test]
    fn lines_are_known_unknown_or_cut_off() {
        let mut log = Log::new(PathBuf::from("/nonexistent"));
        log.read();
        log.take("Nov 22 01:55:03 mail postfix/smtpd[12]: connect from unknown[192.0.2.1]");
        assert_eq!((log.lines, log.unknown), (1, 0));
        log.take("nonsense");
        log.take("Nov 22 01:55:03 mail postfix/smtpd[12]: nonsense of the server's own");
        assert_eq!((log.lines, log.unknown, log.examples.len()), (3, 2, 2));
        log.take("Nov 22 01:55:03 mail postfix/smtpd[12]: panic: it was impossible");
        assert_eq!(log.grave.len(), 1);
    }
}
