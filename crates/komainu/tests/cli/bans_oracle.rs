//! The same commands to Debian's fail2ban-client before its server, and to ours before our engine: the same words. T2.20.

use crate::program::{Folder, Ran, komainu, oracle};
use komainu::bans::control::{Bound, Control};
use komainu::bans::settings::{Daemon, Target};
use komainu::bans::{BanLog, Direct, Engine, Setup, Waker};
use std::cell::RefCell;
use std::io::Write as _;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(60);

/// fail2ban's server, in the foreground; ended by its process id.
struct Theirs(Child);

impl Drop for Theirs {
    fn drop(&mut self) {
        // It may be gone already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

struct Pair {
    folder: Folder,
    theirs: PathBuf,
    ours: PathBuf,
    /// Commands to which the two said different things.
    differences: RefCell<Vec<String>>,
    _server: Theirs,
    _control: Control,
    _engine: Engine,
}

fn until<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let begin = Instant::now();
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(begin.elapsed() < PATIENCE, "{what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// The jails of both.
fn files(folder: &Folder) {
    let at = |name: &str| folder.path().join(name).display().to_string();
    folder.write(
        "fail2ban.conf",
        format!(
            "[Definition]\nloglevel = INFO\nsyslogsocket = auto\nallowipv6 = auto\nlogtarget = {}\nsocket = {}\n\
             pidfile = {}\ndbfile = None\ndbmaxmatches = 10\ndbpurgeage = 2d\n",
            at("their.log"),
            at("theirs"),
            at("their.pid")
        ),
    );
    folder.write(
        "jail.conf",
        format!(
            "[DEFAULT]\nbackend = polling\nfilter = app\nignorecommand =\nlogencoding = auto\nusedns = no\n\
             maxretry = 3\nmaxmatches = %(maxretry)s\nfindtime = 1h\nbantime = 10m\nenabled = true\naction = nothing\n[two]\nlogpath = {}\n          {}\n\
             ignoreip = 192.0.2.200 198.51.100.0/24\n[one]\nlogpath = {}\nbantime = -1\naction = nothing[port=ssh]\n",
            at("a.log"),
            at("b.log"),
            at("c.log")
        ),
    );
    for name in ["filter.d", "action.d"] {
        std::fs::create_dir(folder.path().join(name)).expect("a folder");
    }
    let rules = "^ app: failed for <F-USER>\\S+</F-USER> from <ADDR>$\n   ^ app: gone <ADDR>$";
    folder.write("filter.d/app.conf", format!("[Definition]\nfailregex = {rules}\ndatepattern = ^EPOCH\n"));
    folder.write("action.d/nothing.conf", "[Definition]\nactionban = true <ip> <port>\n[Init]\nport = all\n");
    for name in ["a.log", "b.log", "c.log"] {
        folder.write(name, "");
    }
}

impl Pair {
    fn start() -> Option<Pair> {
        let theirs = oracle("fail2ban-client")?;
        let folder = Folder::new();
        files(&folder);
        let server = Command::new("fail2ban-server")
            .args(["-f", "-c", &folder.path().display().to_string()])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        let server = Theirs(server.expect("starts"));
        let ours = folder.path().join("fail2ban-client");
        symlink(komainu(), &ours).expect("a link");
        let daemon = Daemon { target: Target::File(folder.path().join("our.log")), ..Daemon::default() };
        let log = BanLog::start(&daemon).expect("a log");
        let engine = Engine::start(Setup {
            folder: folder.path().to_owned(),
            state: None,
            log,
            hands: Vec::new(),
            opener: Arc::new(Direct),
            own: None,
            doors: None,
            input: None,
            waker: Waker::new().expect("a pipe"),
        });
        let engine = engine.expect("starts");
        let bound = Bound::bind(&folder.path().join("ours")).expect("a socket");
        let control = bound.serve(engine.orders()).expect("a thread");
        let pair = Pair {
            folder,
            theirs,
            ours,
            differences: RefCell::default(),
            _server: server,
            _control: control,
            _engine: engine,
        };
        until("fail2ban's server answers", || {
            let both = pair.both("status").map(|ran| ran.out.contains("one, two"));
            (both == [true, true]).then_some(())
        });
        Some(pair)
    }

    /// What both say to a command.
    fn both(&self, line: &str) -> [Ran; 2] {
        let run = |program: &PathBuf, socket: &str| {
            let words: Vec<&str> =
                ["-c", ".", "-s", socket].into_iter().chain(line.split_whitespace()).collect();
            self.folder.run(program, &words, b"")
        };
        [run(&self.theirs, "./theirs"), run(&self.ours, "./ours")]
    }

    /// Both say the same.
    fn same(&self, line: &str) {
        let [theirs, ours] = self.both(line);
        let errors = |ran: &Ran| {
            let line = |line: &str| line.split_once("]: ").map_or(line, |(_, text)| text).to_owned();
            ran.errors.lines().map(line).collect::<Vec<_>>()
        };
        let words = |ran: &Ran| (ran.out.clone(), ran.code, errors(ran));
        if words(&ours) != words(&theirs) {
            let (ours, theirs) = (words(&ours), words(&theirs));
            self.differences.borrow_mut().push(format!("{line}\n  ours {ours:?}\n  theirs {theirs:?}"));
        }
    }

    /// What one says in the end, the other does, too.
    fn same_once(&self, line: &str, part: &str) {
        let begin = Instant::now();
        loop {
            let both = self.both(line);
            if both.iter().all(|ran| ran.out.contains(part)) {
                break;
            }
            assert!(begin.elapsed() < PATIENCE, "`{line}` should have {part:?}: {both:?}");
            std::thread::sleep(Duration::from_millis(50));
        }
        self.same(line);
    }

    fn log(&self, name: &str, text: &str) {
        let now =
            std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("a clock").as_secs();
        let path = self.folder.path().join(name);
        let mut file = std::fs::OpenOptions::new().append(true).open(path).expect("there");
        for line in text.lines() {
            writeln!(file, "{now} app: {line}").expect("written");
        }
    }
}

#[test]
fn the_same_words_as_debians() {
    let Some(pair) = Pair::start() else { return };
    for line in [
        "ping",
        "version",
        "status",
        "status one",
        "status two",
        "status nosuch",
        "nosuch",
        "get",
        "get one",
        "get nosuch bantime",
        "set one",
        "set nosuch bantime 1",
        "get loglevel",
        "get logtarget",
        "get one bantime",
        "get two bantime",
        "get two maxretry",
        "get two maxmatches",
        "get two usedns",
        "get two ignoreip",
        "get one ignoreip",
        "get two ignoreself",
        "get two ignorecommand",
        "get two logpath",
        "get two logencoding",
        "get two journalmatch",
        "get two ignoreregex",
        "get two datepattern",
        "get two actions",
        "get one action nothing actionban",
        "get one action nothing port",
        "get one action other port",
        "get one banip",
        "get one banned 192.0.2.1",
        "banned",
        "banned 192.0.2.1",
        "unban",
        "unban --all",
        "start",
        "reload nosuch",
        "reload a b",
    ] {
        pair.same(line);
    }
    shut_out_and_let_in(&pair);
    settings(&pair);
    let differences = pair.differences.take();
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

fn shut_out_and_let_in(pair: &Pair) {
    // By what stands in a log.
    pair.log("a.log", "failed for root from 203.0.113.1\nfailed for root from 203.0.113.1\ngone 203.0.113.2");
    pair.log("b.log", "failed for root from 198.51.100.9");
    pair.same_once("status two", "Currently failed:\t2\n");
    pair.log("b.log", "failed for x from 203.0.113.1");
    pair.same_once("status two", "Banned IP list:\t203.0.113.1\n");
    pair.same("banned");
    pair.same("get two banned 203.0.113.1 203.0.113.2");
    // By hand.
    pair.same("set one banip 203.0.113.6 2001:db8::1");
    pair.same_once("status one", "Banned IP list:\t203.0.113.6 2001:db8::1\n");
    pair.same("set two banip 203.0.113.7");
    pair.same_once("status two", "203.0.113.7\n");
    for line in [
        "set one banip 203.0.113.6",
        "get one banip",
        "get one banip ,",
        "banned 203.0.113.6 203.0.113.99",
        "set one unbanip 203.0.113.99",
        "set one unbanip --report-absent 203.0.113.99",
        "set one unbanip",
        "set one unbanip 203.0.113.6",
        "set one unbanip 203.0.113.6",
        "status one",
        "unban 2001:db8::1 203.0.113.98",
        "get one banned",
        "set one banip",
    ] {
        pair.same(line);
    }
    // A time may be another second there.
    let [theirs, ours] = pair.both("get two banip --with-time").map(|ran| {
        let shape = |c: char| if c.is_ascii_digit() { '0' } else { c };
        let lines = ran.out.lines().map(|line| line.split_once('\t').map_or("", |(_, times)| times));
        lines.map(|times| times.chars().map(shape).collect::<String>()).collect::<Vec<_>>()
    });
    assert_eq!(ours, theirs);
    assert_eq!(ours.len(), 2);
    pair.same("unban --all");
    pair.same("banned");
}

fn settings(pair: &Pair) {
    for line in [
        "set two bantime 20m",
        "get two bantime",
        "set two bantime -1",
        "set two bantime abc",
        "set two maxretry 7",
        "set two maxretry abc",
        "set two addignoreip",
        "set two addignoreip 10.0.0.0/8",
        "set two delignoreip 10.0.0.0/8",
        "set two delignoreip 10.9.9.9",
        "set two ignoreself false",
        "set two findtime -5",
        "set two findtime 0",
        "get two findtime",
        "reload",
        "get two maxretry",
        "get two bantime",
        "reload two",
        "restart one",
        "stop one",
        "status",
        "status one",
        "stop two",
        "status",
    ] {
        pair.same(line);
    }
}
