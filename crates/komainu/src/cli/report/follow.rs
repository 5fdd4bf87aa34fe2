//! `komainu report --follow`: the same, while the log grows.
//!
//! A log that is rotated (another file under its name, or cut short) is read on in the new one, after the rest of
//! the old.

use crate::cli::logs;
use report::summary::Tally;
use std::fs::File;
use std::io::{self, IsTerminal as _, Read as _, Write as _};
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};
use std::thread;
use std::time::Duration;

/// How often the log is looked at, and how many of these pass until the screen is written anew.
const LOOK: Duration = Duration::from_millis(250);
const LOOKS_A_FRAME: u32 = 4;
/// What is kept of a line.
const LINE_BYTES_MAX: usize = 64 * 1024;
/// A log is known by so many of its first bytes.
const MARK_BYTES: usize = 1024;
/// What is read at once.
const PIECE_BYTES: usize = 256 * 1024;

/// The lines of what is read piece by piece.
#[derive(Default)]
pub(super) struct Lines {
    /// A line whose end hasn't been written yet.
    begun: Vec<u8>,
    /// The line is too long: the rest of it is passed over.
    passing: bool,
}

impl Lines {
    fn feed(&mut self, mut piece: &[u8], tally: &mut Tally) {
        while let Some(at) = memchr::memchr(b'\n', piece) {
            let (line, behind) = piece.split_at(at);
            if !self.passing {
                keep(&mut self.begun, line);
            }
            tally.feed(&self.begun);
            self.begun.clear();
            self.passing = false;
            piece = behind.get(1..).unwrap_or_default();
        }
        keep(&mut self.begun, piece);
        self.passing = self.begun.len() >= LINE_BYTES_MAX;
    }

    /// The last line, which nobody writes to any more.
    fn end(&mut self, tally: &mut Tally) {
        if !self.begun.is_empty() {
            tally.feed(&self.begun);
            self.begun.clear();
        }
        self.passing = false;
    }
}

/// What is followed.
pub(super) enum Followed {
    /// A log, for ever.
    File(Growing),
    /// Standard input, to its end: its pieces as they come.
    Input(Receiver<io::Result<Vec<u8>>>, Lines),
}

impl Followed {
    /// The log at `path`, which need not be there yet; `-` is standard input.
    pub(super) fn new(path: &Path) -> Followed {
        if path != Path::new("-") {
            return Followed::File(Growing::new(path));
        }
        let (pieces, ready) = sync_channel(4);
        // Waits for input when all else has ended, and ends with the program.
        thread::spawn(move || read_input(&pieces));
        Followed::Input(ready, Lines::default())
    }

    /// Counts what was written since: whether there was something, and whether there may be more.
    fn look(&mut self, tally: &mut Tally) -> io::Result<(bool, bool)> {
        let (ready, lines) = match self {
            Followed::File(log) => return Ok((log.look(tally)?, true)),
            Followed::Input(ready, lines) => (ready, lines),
        };
        let mut found = false;
        loop {
            match ready.try_recv() {
                Ok(piece) => lines.feed(&piece?, tally),
                Err(TryRecvError::Empty) => return Ok((found, true)),
                Err(TryRecvError::Disconnected) => return Ok((found, false)),
            }
            found = true;
        }
    }

    fn end(&mut self, tally: &mut Tally) {
        match self {
            Followed::File(log) => log.lines.end(tally),
            Followed::Input(_, lines) => lines.end(tally),
        }
    }
}

/// Sends pieces of standard input, unpacked, to its end or as long as somebody takes them.
fn read_input(pieces: &SyncSender<io::Result<Vec<u8>>>) {
    let mut log = match logs::open(Path::new("-")) {
        Ok(log) => log,
        Err(error) => return drop(pieces.send(Err(error))),
    };
    loop {
        let mut piece = vec![0; PIECE_BYTES];
        let read = match log.read(&mut piece) {
            Ok(0) => return,
            Ok(count) => {
                piece.truncate(count);
                Ok(piece)
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => Err(error),
        };
        let is_last = read.is_err();
        if pieces.send(read).is_err() || is_last {
            return;
        }
    }
}

/// A log that grows.
pub(super) struct Growing {
    path: PathBuf,
    file: Option<File>,
    /// How far the file has been read.
    read: u64,
    /// Its first bytes, by which it is known again.
    mark: Vec<u8>,
    lines: Lines,
    buffer: Vec<u8>,
}

impl Growing {
    fn new(path: &Path) -> Growing {
        Growing {
            path: path.to_owned(),
            file: None,
            read: 0,
            mark: Vec::new(),
            lines: Lines::default(),
            buffer: vec![0; PIECE_BYTES],
        }
    }

    /// Counts what was written since; true where there was something.
    ///
    /// # Errors
    /// Those of the file; one that isn't there is no error.
    fn look(&mut self, tally: &mut Tally) -> io::Result<bool> {
        if self.is_overwritten()? {
            self.begin(tally)?;
        }
        let mut more = self.read_on(tally)?;
        if self.is_another()? {
            // What was written to the old one until it was left.
            more |= self.read_on(tally)?;
            self.begin(tally)?;
            more |= self.read_on(tally)?;
        }
        Ok(more)
    }

    /// With what its name leads to now.
    fn begin(&mut self, tally: &mut Tally) -> io::Result<()> {
        self.lines.end(tally);
        self.file = open(&self.path)?;
        self.read = 0;
        self.mark.clear();
        Ok(())
    }

    /// Whether it was cut short: it may be longer again than it was, by then.
    fn is_overwritten(&self) -> io::Result<bool> {
        let Some(file) = &self.file else { return Ok(false) };
        let mut now = [0; MARK_BYTES];
        let now = now.get_mut(..self.mark.len()).unwrap_or_default();
        match fill_at(file, now) {
            Ok(count) => Ok(count < now.len() || *now != *self.mark),
            // A pipe with a name.
            Err(error) if error.kind() == io::ErrorKind::NotSeekable => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Whether the name leads to another file now, or to one that was cut short.
    fn is_another(&self) -> io::Result<bool> {
        let now = match std::fs::metadata(&self.path) {
            Ok(now) => now,
            // Between the old one's renaming and the new one's first line there is none.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(error),
        };
        let Some(file) = &self.file else { return Ok(true) };
        let ours = file.metadata()?;
        Ok((ours.dev(), ours.ino()) != (now.dev(), now.ino()) || ours.len() < self.read)
    }

    fn read_on(&mut self, tally: &mut Tally) -> io::Result<bool> {
        let mut more = false;
        loop {
            let Some(file) = &mut self.file else { return Ok(more) };
            let count = match file.read(&mut self.buffer) {
                Ok(0) => return Ok(more),
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            more = true;
            // The first pieces may be small.
            if self.read == self.mark.len() as u64 {
                let room = count.min(MARK_BYTES.saturating_sub(self.mark.len()));
                self.mark.extend_from_slice(self.buffer.get(..room).unwrap_or_default());
            }
            self.read = self.read.saturating_add(u64::try_from(count).unwrap_or(u64::MAX));
            self.lines.feed(self.buffer.get(..count).unwrap_or_default(), tally);
        }
    }
}

fn keep(line: &mut Vec<u8>, more: &[u8]) {
    let room = LINE_BYTES_MAX.saturating_sub(line.len());
    line.extend_from_slice(more.get(..room).unwrap_or(more));
}

/// Reads a file's first bytes, as many as there are and have room.
fn fill_at(file: &File, buffer: &mut [u8]) -> io::Result<usize> {
    let mut end = 0;
    while let Some(room) = buffer.get_mut(end..).filter(|room| !room.is_empty()) {
        match file.read_at(room, end as u64) {
            Ok(0) => break,
            Ok(count) => end = end.saturating_add(count),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(end)
}

fn open(path: &Path) -> io::Result<Option<File>> {
    match File::open(path) {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Shows `shown(tally)` anew once a second, on a terminal, until Ctrl-C or SIGTERM, or the end of standard input.
///
/// # Errors
/// Those of the log, of the signals, and of the screen.
pub(super) fn run(log: &mut Followed, tally: &mut Tally, shown: impl Fn(&Tally) -> String) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        use tokio::signal::unix::{SignalKind, signal};
        let mut interrupted = signal(SignalKind::interrupt())?;
        let mut ended = signal(SignalKind::terminate())?;
        let screen = Screen::open()?;
        let (mut changed, mut looks) = (true, 0);
        loop {
            let (found, may_grow) = log.look(tally)?;
            if !may_grow {
                break;
            }
            changed |= found;
            if changed && looks % LOOKS_A_FRAME == 0 {
                screen.draw(&shown(tally))?;
                changed = false;
            }
            looks = looks.wrapping_add(1);
            tokio::select! {
                _ = interrupted.recv() => break,
                _ = ended.recv() => break,
                () = tokio::time::sleep(LOOK) => {}
            }
        }
        log.look(tally)?;
        log.end(tally);
        Ok(())
    })
}

/// A screen of its own, given back at the end.
struct Screen {
    terminal: bool,
}

impl Screen {
    fn open() -> io::Result<Screen> {
        let screen = Screen { terminal: io::stdout().is_terminal() };
        screen.write("\x1b[?1049h\x1b[?25l\x1b[2J")?;
        Ok(screen)
    }

    /// As much as there is room for.
    fn draw(&self, text: &str) -> io::Result<()> {
        let size = rustix::termios::tcgetwinsize(io::stdout()).ok();
        let rows = size.map(|size| usize::from(size.ws_row)).filter(|rows| *rows > 1).unwrap_or(24);
        let mut frame = String::from("\x1b[H");
        for line in text.lines().take(rows - 1) {
            frame.push_str(line);
            frame.push_str("\x1b[K\r\n");
        }
        frame.push_str("\x1b[J");
        self.write(&frame)
    }

    fn write(&self, text: &str) -> io::Result<()> {
        if !self.terminal {
            return Ok(());
        }
        let mut out = io::stdout().lock();
        out.write_all(text.as_bytes())?;
        out.flush()
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // A screen that is gone needs nothing back.
        let _ = self.write("\x1b[?25h\x1b[?1049l");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use report::Day;
    use report::summary::Settings;

    const LINE: &str = "Nov 22 01:00:00 mail postfix/smtpd[1]: connect from a.example[192.0.2.1]\n";

    #[test]
    fn a_log_is_followed_through_its_rotations() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("mail.log");
        let mut tally = Tally::new(Settings::new(Day { year: 2026, month: 11, day: 22 }));
        let mut log = Growing::new(&path);
        let add = |path: &Path, text: &str| {
            let mut file = File::options().append(true).create(true).open(path).unwrap();
            file.write_all(text.as_bytes()).unwrap();
        };
        let read = |tally: &Tally| tally.summary().lines.read;
        assert!(!log.look(&mut tally).unwrap(), "it isn't there");
        add(&path, LINE);
        add(&path, &LINE[..20]);
        assert!(log.look(&mut tally).unwrap());
        assert_eq!(read(&tally), 1, "half a line waits");
        add(&path, &LINE[20..]);
        assert!(log.look(&mut tally).unwrap());
        assert_eq!(read(&tally), 2);
        // Renamed, written to once more, and made anew.
        let old = folder.path().join("mail.log.1");
        std::fs::rename(&path, &old).unwrap();
        add(&old, LINE);
        assert!(log.look(&mut tally).unwrap());
        add(&old, &LINE[..LINE.len() - 1]);
        add(&path, LINE);
        assert!(log.look(&mut tally).unwrap());
        assert_eq!(read(&tally), 5);
        // Cut short (copytruncate), and a line of a megabyte.
        File::create(&path).unwrap();
        assert!(!log.look(&mut tally).unwrap());
        add(&path, LINE);
        add(&path, &format!("{}\n", "x".repeat(1 << 20)));
        add(&path, LINE);
        assert!(log.look(&mut tally).unwrap());
        assert_eq!(read(&tally), 8);
        assert_eq!(tally.summary().lines.counted, 7);
        assert!(!log.look(&mut tally).unwrap());
    }

    /// Between two looks, `copytruncate` made the log short, and it grew past where it had been read to.
    #[test]
    fn a_log_that_outgrows_what_it_was_at_once_is_read_from_its_start() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("mail.log");
        let mut tally = Tally::new(Settings::new(Day { year: 2026, month: 11, day: 22 }));
        let mut log = Growing::new(&path);
        let mut file = File::options().append(true).create(true).open(&path).unwrap();
        // Its first piece is too short to tell it from any other.
        file.write_all(&LINE.as_bytes()[..4]).unwrap();
        log.look(&mut tally).unwrap();
        file.write_all(&LINE.as_bytes()[4..]).unwrap();
        log.look(&mut tally).unwrap();
        let new = LINE.replace("01:00:00", "02:00:00");
        for round in 1..4_u64 {
            let line = if round % 2 == 0 { LINE } else { &new };
            file.set_len(0).unwrap();
            file.write_all(line.repeat(10 * usize::try_from(round).unwrap()).as_bytes()).unwrap();
            assert!(log.look(&mut tally).unwrap());
            assert!(!log.look(&mut tally).unwrap());
            let lines = tally.summary().lines;
            assert_eq!((lines.read, lines.counted), (1 + 5 * round * (round + 1), lines.read));
        }
    }

    /// Written in pieces that end anywhere, rotated in between: the same as all of it read at the end.
    #[test]
    fn what_was_followed_is_what_the_finished_log_says() {
        let today = Day { year: 2026, month: 11, day: 22 };
        for seed in 0..6 {
            let mut sample = report::sample::Sample::new(seed, Day { year: 2026, month: 10, day: 1 }, 20);
            let mut text = String::new();
            while sample.truth().lines < 2_000 {
                sample.event(&mut text);
            }
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("mail.log");
            let mut followed = Tally::new(Settings::new(today));
            let mut log = Growing::new(&path);
            let mut file = File::options().append(true).create(true).open(&path).unwrap();
            let (mut rest, mut step) = (text.as_bytes(), seed);
            while !rest.is_empty() {
                step = step.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                let size = 1 + usize::try_from(step >> 40).unwrap() % 9_000;
                let (now, later) = rest.split_at(rest.len().min(size));
                file.write_all(now).unwrap();
                if step >> 33 & 3 == 0 {
                    log.look(&mut followed).unwrap();
                }
                rest = later;
                if now.ends_with(b"\n") || step >> 35 & 7 > 0 {
                    continue;
                }
                // Rotated in the middle of a line: its writer ends it before it takes the new file.
                log.look(&mut followed).unwrap();
                let old = folder.path().join(format!("mail.log.{}", rest.len()));
                std::fs::rename(&path, old).unwrap();
                let end = memchr::memchr(b'\n', rest).map_or(rest.len(), |at| at + 1);
                file.write_all(&rest[..end]).unwrap();
                rest = &rest[end..];
                file = File::options().append(true).create(true).open(&path).unwrap();
                log.look(&mut followed).unwrap();
            }
            log.look(&mut followed).unwrap();
            log.lines.end(&mut followed);
            let mut whole = Tally::new(Settings::new(today));
            text.lines().for_each(|line| whole.feed(line.as_bytes()));
            assert!(followed.summary() == whole.summary(), "seed {seed}");
            assert_eq!(followed.summary().lines.read, sample.truth().lines);
        }
    }
}
