use super::*;
use std::fs;
use std::io::Write as _;
use std::time::SystemTime;

struct Site {
    folder: tempfile::TempDir,
    tail: Option<Tail>,
    now: Instant,
}

/// Lines of these tests begin with their second.
fn dated(line: &[u8]) -> Option<i64> {
    std::str::from_utf8(line).ok()?.split(' ').next()?.parse().ok()
}

impl Site {
    fn new() -> Site {
        Site { folder: tempfile::tempdir().unwrap(), tail: None, now: Instant::now() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn add(&self, name: &str, text: &str) {
        let mut file = fs::OpenOptions::new().append(true).create(true).open(self.path(name)).unwrap();
        file.write_all(text.as_bytes()).unwrap();
    }

    /// A file, packed where its name says so.
    fn put(&self, name: &str, text: &str) {
        if !name.ends_with(".gz") {
            return fs::write(self.path(name), text).unwrap();
        }
        let file = fs::File::create(self.path(name)).unwrap();
        let mut out = flate2::write::GzEncoder::new(file, flate2::Compression::fast());
        out.write_all(text.as_bytes()).unwrap();
        out.finish().unwrap();
    }

    /// Nobody has written to it for long.
    fn age(&self, name: &str) {
        let old = SystemTime::UNIX_EPOCH + Duration::from_secs(1);
        fs::File::options().write(true).open(self.path(name)).unwrap().set_modified(old).unwrap();
    }

    fn start(&mut self, mark: Option<Mark>, since_s: i64) {
        let elsewhere = &Elsewhere::default();
        let begin = Begin { mark, since_s, at_end: false, elsewhere, dated: &mut dated };
        self.tail = Tail::open(&self.path("log"), &Direct, begin).unwrap();
    }

    fn mark(&self) -> Option<Mark> {
        self.tail.as_ref().unwrap().mark()
    }

    fn lines(&mut self) -> Vec<String> {
        let mut lines = Vec::new();
        let mut sink = |line: &[u8]| lines.push(String::from_utf8_lossy(line).into_owned());
        let tail = self.tail.as_mut().unwrap();
        let mut piece = vec![0; 1000];
        while tail.read(&mut piece, &mut sink).unwrap() {}
        while tail.has_turned(self.now, &mut sink)
            && tail.turn(&Direct, self.now, &Elsewhere::default(), &mut sink)
        {
            while tail.read(&mut piece, &mut sink).unwrap() {}
        }
        lines
    }
}

#[test]
fn lines_whole_and_long() {
    let mut site = Site::new();
    site.add("log", "1 a\r\n2 b\n3");
    site.start(None, 0);
    assert_eq!(site.lines(), ["1 a", "2 b"]);
    assert!(site.lines().is_empty());
    site.add("log", " c");
    assert!(site.lines().is_empty());
    let long = "x".repeat(1 << 20);
    site.add("log", &format!("\n{long}\n\n4 d\n"));
    assert_eq!(site.lines(), ["3 c", &long[..LINE_BYTES_MAX], "", "4 d"]);
    fs::write(site.path("log"), b"5 \xff\xfe\n").unwrap();
    assert_eq!(site.lines(), ["5 \u{fffd}\u{fffd}"]);
}

#[test]
fn renamed_cut_and_copied() {
    let mut site = Site::new();
    site.add("log", "1 a\n");
    site.start(None, 0);
    assert_eq!(site.lines(), ["1 a"]);
    // Renamed, and written on by a process that doesn't know yet.
    site.add("log", "2 b\n3 ha");
    fs::rename(site.path("log"), site.path("log.1")).unwrap();
    assert_eq!(site.lines(), ["2 b"]);
    site.add("log", "4 d\n");
    site.add("log.1", "lf\n");
    assert_eq!(site.lines(), ["3 half", "4 d"]);
    site.add("log.1", "5 late\n6 torn");
    assert_eq!(site.lines(), ["5 late"]);
    site.now += LEAVING + Duration::from_secs(1);
    assert_eq!(site.lines(), ["6 torn"]);
    // Cut to nothing; cut and longer again.
    fs::write(site.path("log"), "").unwrap();
    site.add("log", "7 g\n");
    assert_eq!(site.lines(), ["7 g"]);
    fs::copy(site.path("log"), site.path("log.2")).unwrap();
    fs::write(site.path("log"), "8 another text, and longer\n9 i\n").unwrap();
    assert_eq!(site.lines(), ["8 another text, and longer", "9 i"]);
    // Gone for a while.
    fs::remove_file(site.path("log")).unwrap();
    assert!(site.lines().is_empty());
    site.add("log", "10 j\n");
    assert_eq!(site.lines(), ["10 j"]);
}

#[test]
fn a_restart_goes_on_where_it_was() {
    let mut site = Site::new();
    site.add("log", "1 a\n2 b\n3 ha");
    site.start(None, 0);
    assert_eq!(site.lines(), ["1 a", "2 b"]);
    let mark = site.mark();
    site.add("log", "lf\n");
    site.start(mark, 0);
    assert_eq!(site.lines(), ["3 half"]);
    let mark = site.mark();
    // Rotated meanwhile.
    site.add("log", "4 d\n");
    fs::rename(site.path("log"), site.path("log-20261123")).unwrap();
    site.add("log", "5 e\n");
    site.add("log-20261122", "0 elsewhere\n");
    site.start(mark, 0);
    assert_eq!(site.lines(), ["4 d", "5 e"]);
    let mark = site.mark();
    // Copied and truncated meanwhile.
    site.add("log", "6 f\n");
    fs::copy(site.path("log"), site.path("log.1")).unwrap();
    fs::write(site.path("log"), "7 g\n").unwrap();
    site.start(mark, 0);
    assert_eq!(site.lines(), ["6 f", "7 g"]);
    // Nothing is left of what was read.
    let mark = site.mark();
    fs::remove_file(site.path("log")).unwrap();
    fs::write(site.path("log"), "8 h\n").unwrap();
    site.start(mark, 0);
    assert_eq!(site.lines(), ["8 h"]);
}

/// Rotated more than once while nobody read: by numbers, by days, packed or not.
#[test]
fn rotations_that_nobody_saw() {
    for (left, newer) in [
        ("log.2", &["log.1"][..]),
        ("log.12", &["log.11", "log.10", "log.9", "log.3.gz", "log.1"]),
        ("log.3.gz", &["log.2.gz", "log.1"]),
        ("log-20261129.gz", &["log-20261130.gz", "log-20261201"]),
        ("log.20261129", &["log.20261130"]),
        ("log.1.gz", &[]),
    ] {
        let mut site = Site::new();
        site.add("log", "1 a\n2 b\n");
        site.start(None, 0);
        assert_eq!(site.lines(), ["1 a", "2 b"]);
        let mark = site.mark();
        site.add("log", "3 c\n");
        let text = fs::read_to_string(site.path("log")).unwrap();
        fs::remove_file(site.path("log")).unwrap();
        site.put(left, &text);
        let mut expect = vec!["3 c".to_owned()];
        for (at, name) in newer.iter().enumerate() {
            site.put(name, &format!("{} {name}\n", at + 4));
            expect.push(format!("{} {name}", at + 4));
        }
        // None of its followers.
        for other in ["log.13", "log.4.gz", "log-20261128", "log.old", "log-20261131.xz"] {
            if !left.starts_with("log.12") || other == "log.13" {
                site.put(other, "0 older\n");
                site.age(other);
            }
        }
        site.add("log", "99 z\n");
        expect.push("99 z".to_owned());
        site.start(mark, 0);
        assert_eq!(site.lines(), expect, "{left}");
        assert!(site.mark().is_some() && site.lines().is_empty());
    }
}

#[test]
fn rotated_files_that_still_count() {
    let mut site = Site::new();
    let packed = |name: &str, text: &str| site.put(name, text);
    packed("log.3.gz", "1 old\n");
    packed("log.2.gz", "2 b\n3 c");
    site.age("log.3.gz");
    site.add("log.1", "4 d\n");
    site.add("log", "5 e\n");
    site.start(None, 2);
    assert_eq!(site.mark().map(|mark| mark.offset), Some(0));
    assert_eq!(site.lines(), ["2 b", "3 c", "4 d", "5 e"]);
    assert_eq!(site.mark().map(|mark| mark.offset), Some(4));
    // The log itself reaches far enough back.
    site.start(None, 6);
    assert_eq!(site.lines(), ["5 e"]);
}

#[test]
fn a_long_log_is_searched() {
    let mut site = Site::new();
    let text: String = (0..2_000_000).map(|n| format!("{n}\n")).collect();
    site.add("log", &text);
    site.start(None, 1_900_000);
    let lines = site.lines();
    let first: i64 = lines.first().unwrap().parse().unwrap();
    assert!((1_500_000..=1_900_000).contains(&first), "{first}");
    assert_eq!(lines.len(), usize::try_from(2_000_000 - first).unwrap());
}
