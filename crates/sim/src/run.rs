//! Runs one dialogue and says what differed, or writes down what the server said.
//!
//! Order of work: lay out, start, play the acts, judge log, mail and questions, stop.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::ops::Range;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::auth_server::AuthServer;
use crate::backend::{self, Choice, LogLine, Running};
use crate::client::{self, Audience};
use crate::content_filter::ContentFilter;
use crate::dialogue::{Act, Dialogue, Scene, Session, Step};
use crate::dns::{self, Kind, Zone};
use crate::layout;
use crate::milter::Milter;
use crate::next_hop::NextHop;
use crate::pattern;
use crate::place::Place;
use crate::policyd::PolicyServer;
use crate::table_server::{self, TableServer};

/// How a dialogue ended.
#[derive(Debug, PartialEq, Eq)]
pub enum Outcome {
    /// As written.
    Passed,
    /// The file was written anew.
    Updated,
    /// Not for this back end.
    Skipped(String),
    /// Differences.
    Failed(Vec<String>),
}

/// How long log lines and deliveries are waited for.
const SETTLE: Duration = Duration::from_secs(20);

/// A busy machine is late now and then, a slow server always; too early is never forgiven.
const RETRIES_WHEN_LATE: usize = 2;

/// How long after everything has ended further lines are waited for.
const GRACE: Duration = Duration::from_secs(2);

/// What runs dialogues, one after another, in one world.
pub struct Stage<'a> {
    /// The world's name server; outside a world, each dialogue has its own.
    pub dns: Option<dns::Server>,
    /// Who is judged.
    pub choice: Choice,
    /// Whether expectations are written anew.
    pub update: bool,
    /// The folder that holds `examples/`.
    pub root: &'a Path,
}

/// The state of one run.
struct Run<'a> {
    stage: &'a Stage<'a>,
    dialogue: &'a Dialogue,
    place: Place,
    dns: dns::Server,
    server: Running,
    policies: BTreeMap<String, PolicyServer>,
    tables: BTreeMap<String, TableServer>,
    hops: BTreeMap<String, NextHop>,
    milters: BTreeMap<String, Milter>,
    faults: Vec<String>,
    changes: Vec<(Range<usize>, Vec<String>)>,
    queue_ids: Vec<String>,
    sessions: usize,
    /// Clients that stay while others come, by the name they are held under.
    held: BTreeMap<String, Vec<client::Line>>,
    log_seen: usize,
    /// So many messages were handed in by programs.
    handed_in: usize,
}

impl Stage<'_> {
    /// Runs the dialogue in the file `path`.
    #[must_use]
    pub fn run(&self, path: &Path) -> Outcome {
        let mut outcome = self.run_once(path);
        for _ in 0..RETRIES_WHEN_LATE {
            let late = |faults: &[String]| faults.iter().all(|fault| fault.starts_with(client::LATE));
            match &outcome {
                Outcome::Failed(faults) if late(faults) => outcome = self.run_once(path),
                _ => break,
            }
        }
        outcome
    }

    fn run_once(&self, path: &Path) -> Outcome {
        self.try_run(path).unwrap_or_else(|fault| Outcome::Failed(vec![fault]))
    }

    fn try_run(&self, path: &Path) -> Result<Outcome, String> {
        let text = std::fs::read_to_string(path).map_err(|error| error.to_string())?;
        let dialogue = Dialogue::parse(&text).map_err(|error| error.to_string())?;
        let side = self.choice.side();
        if let Some(only) = dialogue.only.as_deref().filter(|&only| only != side) {
            return Ok(Outcome::Skipped(format!("only for {only}")));
        }
        if let Some(why) = dialogue.process.as_ref().filter(|_| self.choice == Choice::InProcess) {
            return Ok(Outcome::Skipped(format!("needs a process: {why}")));
        }
        // In memory where there is such a folder: nothing here is about the disk.
        let folder = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir());
        let folder = folder.map_err(|error| error.to_string())?;
        let mut place = match self.choice {
            Choice::InProcess => Place::below(folder.path().to_path_buf()),
            Choice::Komainu | Choice::Postfix => Place::world(),
        };
        let dns = self.dns.clone().unwrap_or_else(dns::Server::quiet);
        let Servers { policies, tables, logins: _logins, hops, milters, filters: _filters } =
            self.scene(&dialogue, &mut place, &dns)?;
        let server = Running::start(self.choice, &place, &dns)?;
        let mut run = Run {
            stage: self,
            dialogue: &dialogue,
            place,
            dns,
            server,
            policies,
            tables,
            hops,
            milters,
            faults: Vec::new(),
            changes: Vec::new(),
            queue_ids: Vec::new(),
            sessions: 0,
            held: BTreeMap::new(),
            log_seen: 0,
            handed_in: 0,
        };
        for act in &dialogue.acts {
            run.act(act)?;
        }
        if !run.faults.is_empty() {
            let said = run.server.obituary();
            if !said.trim().is_empty() {
                run.faults.push(said);
            }
            if std::env::var_os("DIALOGUE_LOG").is_some() {
                run.faults.push(backend::raw_log(&run.place));
            }
            return Ok(Outcome::Failed(run.faults));
        }
        if run.changes.is_empty() {
            return Ok(Outcome::Passed);
        }
        let text = dialogue.replaced(std::mem::take(&mut run.changes));
        std::fs::write(path, text).map_err(|error| error.to_string())?;
        Ok(Outcome::Updated)
    }

    /// Lays everything out but the server.
    fn scene(&self, dialogue: &Dialogue, place: &mut Place, dns: &dns::Server) -> Result<Servers, String> {
        layout::folders(place).map_err(|error| format!("cannot make folders: {error}"))?;
        let mut servers = Servers::default();
        let mut names: Vec<&str> = Vec::new();
        for scene in &dialogue.scene {
            match scene {
                Scene::Dns(lines) => names.extend(lines.iter().map(String::as_str)),
                Scene::Tables { name, lines } => {
                    let (protocol, endpoint) = table_server::endpoint(name)
                        .ok_or_else(|| format!("tables {name}: not tcp:…, socketmap:inet:… or :unix:…"))?;
                    let server = TableServer::start(protocol, &listen_at(place, endpoint), lines)
                        .map_err(|error| format!("tables {name}: {error}"))?;
                    if let Some(address) = server.address() {
                        place.call(endpoint, &address.to_string());
                    }
                    servers.tables.insert(name.clone(), server);
                }
                Scene::Auth { endpoint, lines } => {
                    let server = AuthServer::start(&listen_at(place, endpoint), lines)
                        .map_err(|error| format!("auth {endpoint}: {error}"))?;
                    if let Some(address) = server.address() {
                        place.call(endpoint, &address.to_string());
                    }
                    servers.logins.push(server);
                }
                Scene::Policy { endpoint, lines } => {
                    let at = listen_at(place, endpoint);
                    let server = PolicyServer::start(&at, lines)
                        .map_err(|error| format!("policy {endpoint}: {error}"))?;
                    if let Some(address) = server.address() {
                        place.call(endpoint, &address.to_string());
                    }
                    servers.policies.insert(endpoint.clone(), server);
                }
                Scene::Milter { endpoint, lines } => {
                    let milter = Milter::start(&listen_at(place, endpoint), lines)
                        .map_err(|error| format!("milter {endpoint}: {error}"))?;
                    if let Some(address) = milter.address() {
                        place.call(endpoint, &address.to_string());
                    }
                    servers.milters.insert(endpoint.clone(), milter);
                }
                Scene::Filter { endpoint, to } => {
                    let filter = ContentFilter::start(endpoint, to)
                        .map_err(|error| format!("filter {endpoint}: {error}"))?;
                    servers.filters.push(filter);
                }
                Scene::NextHop { endpoint, lines } => {
                    servers.hops.insert(endpoint.clone(), next_hop(place, endpoint, lines)?);
                }
                Scene::Table { .. } | Scene::Certificate(_) | Scene::Main(_) | Scene::Master(_) => {}
            }
        }
        layout::lay_out(dialogue, self.root, place).map_err(|error| format!("cannot lay out: {error}"))?;
        if self.choice == Choice::Postfix {
            let files = std::fs::read_dir(layout::CONFIG).map_err(|error| error.to_string())?;
            for file in files.flatten() {
                backend::index(self.choice, &file.file_name().to_string_lossy())?;
            }
            // An index that a `[save]` writes within the same second must look newer.
            layout::backdate_indexes().map_err(|error| error.to_string())?;
        }
        dns.load(Zone::parse(names).map_err(|error| error.to_string())?);
        Ok(servers)
    }
}

/// Running scripted servers, by their names.
#[derive(Default)]
struct Servers {
    policies: BTreeMap<String, PolicyServer>,
    tables: BTreeMap<String, TableServer>,
    logins: Vec<AuthServer>,
    hops: BTreeMap<String, NextHop>,
    milters: BTreeMap<String, Milter>,
    filters: Vec<ContentFilter>,
}

/// Starts a server that mail is sent to. Outside a world it has a port of its own choice, at the same address.
fn next_hop(place: &mut Place, endpoint: &str, lines: &[String]) -> Result<NextHop, String> {
    let failed = |error| format!("next hop {endpoint}: {error}");
    let (address, port) = match endpoint.rsplit_once(':') {
        Some(parts) if !place.is_world() => parts,
        _ => return NextHop::start(&listen_at(place, endpoint), lines).map_err(failed),
    };
    let hop = NextHop::start(&format!("{address}:0"), lines).map_err(failed)?;
    if let Some(actual) = hop.address() {
        place.call(&format!(":{port}"), &format!(":{}", actual.port()));
    }
    Ok(hop)
}

/// Where a scripted server that the dialogue names so listens in fact.
fn listen_at(place: &Place, endpoint: &str) -> String {
    if endpoint.contains('/') {
        place.queue().join(endpoint).display().to_string()
    } else if place.is_world() {
        endpoint.to_owned()
    } else {
        "127.0.0.1:0".to_owned()
    }
}

impl Run<'_> {
    fn act(&mut self, act: &Act) -> Result<(), String> {
        match act {
            Act::Smtp(session) => {
                for _ in 0..session.times {
                    self.client(session);
                }
            }
            Act::Held { name, steps } => {
                for mut line in self.held.remove(name).unwrap_or_default() {
                    if !self.play(steps, &mut line) {
                        drop(line);
                        self.ended();
                    }
                }
            }
            Act::Sendmail { arguments, lines } => {
                self.handed_in += 1;
                let message = layout::text(lines);
                self.faults.extend(backend::sendmail(self.stage.choice, arguments, &message).err());
                self.await_rest();
            }
            Act::Save { name, lines } => {
                let text = self.place.inside(&layout::text(lines));
                std::fs::write(self.place.config().join(name), text).map_err(|error| error.to_string())?;
                self.server.saved(name, &self.place)?;
            }
            Act::Reload(lines) => self.reload(lines)?,
            Act::Log { programs, range } => self.log(programs, range),
            Act::Mail { recipient, range } => self.mail(recipient, range.as_ref()),
            Act::Requests { endpoint, attributes, range } => self.requests(endpoint, attributes, range),
            Act::Lookups { name, range } => self.lookups(name, range),
            Act::Heard { endpoint, range } => self.heard(endpoint, range),
            Act::Asked(lines) => self.asked(lines),
        }
        Ok(())
    }

    /// A client comes, and stays if it is to.
    fn client(&mut self, session: &Session) {
        let mut line = match self.server.connect(session) {
            Ok(stream) => client::Line::new(stream),
            Err(error) => {
                self.faults.push(format!("cannot connect to port {}: {error}", session.port));
                return;
            }
        };
        let left = self.play(&session.steps, &mut line);
        let nobody = left.then_some(String::new());
        match session.hold.clone().or(nobody) {
            Some(name) => {
                self.held.entry(name).or_default().push(line);
                self.await_greeting(session.client);
            }
            None => {
                drop(line);
                self.ended();
            }
        }
    }

    /// Whether the connection is to stay open.
    fn play(&mut self, steps: &[Step], line: &mut client::Line) -> bool {
        let audience = Audience { backend: self.stage.choice.side(), update: self.stage.update };
        let played = client::play(self.dialogue, steps, line, audience);
        self.faults.extend(played.faults);
        for change in played.changes {
            // Several clients may say the same lines.
            if !self.changes.contains(&change) {
                self.changes.push(change);
            }
        }
        self.queue_ids.extend(played.queue_ids);
        played.left
    }

    /// Waits until it is logged that a client who stays has come, so that the next one's line comes behind his.
    fn await_greeting(&self, client: IpAddr) {
        let until = Instant::now() + Duration::from_secs(1);
        let address = format!("[{client}]");
        let has_come = |line: &LogLine| is_greeting(line) && line.text.contains(&address);
        while !backend::log(&self.place).iter().any(has_come) && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(3));
        }
    }

    /// One session more is over.
    fn ended(&mut self) {
        self.sessions += 1;
        self.await_farewell();
    }

    /// Waits until the session's last line is logged, so that the next client's lines come behind it.
    fn await_farewell(&self) {
        let until = Instant::now() + Duration::from_secs(1);
        while !self.all_left(&backend::log(&self.place)) && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(3));
        }
    }

    /// Whether every session that isn't held has ended in the log. A content filter's own sessions count too: theirs
    /// end within their client's, and would pass for it.
    fn all_left(&self, lines: &[LogLine]) -> bool {
        let said = |words: &str| lines.iter().filter(|line| line.text.starts_with(words)).count();
        let ended = lines.iter().filter(|line| is_farewell(line)).count();
        let held: usize = self.held.values().map(Vec::len).sum();
        ended >= self.sessions && said("connect from ") <= said("disconnect from ") + held
    }

    /// Waits until what was handed in is on no way any more, so that the next one's lines come behind its own.
    fn await_rest(&self) {
        let until = Instant::now() + SETTLE;
        while !self.quiet(&backend::log(&self.place)) && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    fn reload(&mut self, lines: &[String]) -> Result<(), String> {
        let main = self.place.config().join("main.cf");
        let before = std::fs::read_to_string(&main).map_err(|error| error.to_string())?;
        let text = layout::override_main(&self.place.inside(&layout::text(lines)), &before);
        layout::write(&main, &text).map_err(|e| e.to_string())?;
        self.server.reload()
    }

    fn differs(&mut self, range: &Range<usize>, actual: Vec<String>) {
        if self.stage.update {
            self.changes.push((range.clone(), actual));
            return;
        }
        self.faults.push(format!(
            "line {}: expected\n      {}\n    got\n      {}",
            range.start + 1,
            self.dialogue.range(range).join("\n      "),
            actual.join("\n      ")
        ));
    }

    /// Whether every session has ended in the log and no message is on its way.
    fn quiet(&self, lines: &[LogLine]) -> bool {
        let at_rest = |id: &String| {
            lines.iter().filter(|line| line.queue_id() == Some(id)).any(|line| {
                let text = &line.text;
                let rests = [
                    ": hold: ",
                    ": discard: ",
                    ": milter-hold: ",
                    ": milter-discard: ",
                    ": milter-reject: ",
                    ", status=deferred (",
                    ", relay=none, ",
                ];
                text.ends_with(": removed") || rests.iter().any(|word| text.contains(word))
            })
        };
        let picked_up: Vec<String> = lines
            .iter()
            .filter(|line| line.program() == "pickup" && line.text.contains(": uid="))
            .filter_map(|line| line.queue_id().map(str::to_owned))
            .collect();
        self.all_left(lines)
            && picked_up.len() >= self.handed_in
            && self.queue_ids.iter().chain(&picked_up).all(at_rest)
    }

    fn log(&mut self, programs: &[String], range: &Range<usize>) {
        let expected: Vec<String> = self
            .dialogue
            .range(range)
            .iter()
            .filter_map(|line| match line.strip_prefix('<') {
                Some(rest) => {
                    rest.strip_prefix(self.stage.choice.side())?.strip_prefix(' ').map(str::to_owned)
                }
                None => Some(line.clone()),
            })
            .collect();
        let until = Instant::now() + SETTLE;
        let mut actual;
        let mut all;
        let mut quiet_since = None;
        loop {
            all = backend::log(&self.place);
            let fresh = all.iter().skip(self.log_seen);
            actual = fresh.filter(|line| wanted(programs, line)).cloned().collect::<Vec<_>>();
            // Where everything is still to be written down, nothing is awaited to end.
            let is_blank = self.stage.update && expected.is_empty();
            if !is_blank && same_log(&expected, &actual) {
                self.log_seen = all.len();
                return;
            }
            match quiet_since {
                None if self.quiet(&all) => quiet_since = Some(Instant::now()),
                Some(since) if since.elapsed() > GRACE => break,
                _ if Instant::now() > until => break,
                _ => {}
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        self.log_seen = all.len();
        let mut ids: Vec<String> = all.iter().filter_map(|line| line.queue_id().map(str::to_owned)).collect();
        ids.dedup();
        let lines = actual.iter().map(|line| pattern::normalise(&line.render(), &ids)).collect();
        self.differs(range, lines);
    }

    fn mail(&mut self, recipient: &str, range: Option<&Range<usize>>) {
        let until = Instant::now() + SETTLE;
        let mut found = layout::delivered(recipient, &self.place);
        while found.is_none()
            && Instant::now() < until
            && (range.is_some() || !self.quiet(&backend::log(&self.place)))
        {
            std::thread::sleep(Duration::from_millis(10));
            found = layout::delivered(recipient, &self.place);
        }
        match (range, found) {
            (None, None) => {}
            (None, Some(text)) => self.faults.push(format!("mail for {recipient}:\n{text}")),
            (Some(_), None) => self.faults.push(format!("no mail for {recipient}")),
            (Some(range), Some(text)) => {
                let text = text.strip_suffix('\n').unwrap_or(&text);
                let actual: Vec<String> = text.split('\n').map(visible).collect();
                if !pattern::lines_match(self.dialogue.range(range), &actual) {
                    let ids = self.all_ids();
                    let lines = actual.iter().map(|line| normal_header(line, &ids)).collect();
                    self.differs(range, lines);
                }
            }
        }
    }

    fn requests(&mut self, endpoint: &str, attributes: &[String], range: &Range<usize>) {
        let Some(server) = self.policies.get(endpoint) else {
            self.faults.push(format!("no policy server {endpoint}"));
            return;
        };
        let show = |request: &Vec<(String, String)>| {
            let value = |name: &String| {
                let found = request.iter().find(|(key, _)| key == name);
                format!("{name}={}", found.map_or("(none)", |(_, value)| value.as_str()))
            };
            attributes.iter().map(value).collect::<Vec<_>>().join(" ")
        };
        let actual: Vec<String> = server.requests().iter().map(show).collect();
        let expected = self.dialogue.range(range);
        let same = expected.len() == actual.len()
            && expected.iter().zip(&actual).all(|(e, a)| pattern::matches(e, a));
        if !same {
            let ids: Vec<String> =
                backend::log(&self.place).iter().filter_map(|l| l.queue_id().map(str::to_owned)).collect();
            self.differs(range, actual.iter().map(|line| pattern::normalise(line, &ids)).collect());
        }
    }

    fn heard(&mut self, endpoint: &str, range: &Range<usize>) {
        let (hop, milter) = (self.hops.get(endpoint), self.milters.get(endpoint));
        let heard = || match (hop, milter) {
            (Some(hop), _) => Some(hop.heard()),
            (None, milter) => milter.map(Milter::heard),
        };
        if heard().is_none() {
            return self.faults.push(format!("no next hop and no milter {endpoint}"));
        }
        let expected = self.dialogue.range(range);
        let until = Instant::now() + SETTLE;
        let mut quiet_since = None;
        let actual = loop {
            let actual = heard().unwrap_or_default();
            let is_blank = self.stage.update && expected.is_empty();
            if !is_blank && same_talks(expected, &actual) {
                return;
            }
            match quiet_since {
                None if self.quiet(&backend::log(&self.place)) => quiet_since = Some(Instant::now()),
                Some(since) if Instant::elapsed(&since) > GRACE => break actual,
                _ if Instant::now() > until => break actual,
                _ => {}
            }
            std::thread::sleep(Duration::from_millis(10));
        };
        let ids = self.all_ids();
        let lines = actual.iter().map(|line| pattern::normal_command(&normal_header(line, &ids))).collect();
        self.differs(range, lines);
    }

    /// Every queue id that the log has.
    fn all_ids(&self) -> Vec<String> {
        let log = backend::log(&self.place);
        let logged = log.iter().filter_map(|line| line.queue_id().map(str::to_owned));
        self.queue_ids.iter().cloned().chain(logged).collect()
    }

    fn lookups(&mut self, name: &str, range: &Range<usize>) {
        let Some(server) = self.tables.get(name) else {
            return self.faults.push(format!("no server of tables {name}"));
        };
        let actual = server.asked();
        let expected = self.dialogue.range(range);
        let same = expected.len() == actual.len()
            && expected.iter().zip(&actual).all(|(e, a)| pattern::matches(e, a));
        if !same {
            self.differs(range, actual);
        }
    }

    fn asked(&mut self, lines: &[String]) {
        let asked = self.dns.asked();
        let times = |question: &str| -> Vec<Instant> {
            let (name, kind) = question.trim().split_once(' ').unwrap_or((question, "A"));
            let kind = Kind::parse(kind).unwrap_or(Kind::A);
            asked.iter().filter(|a| a.name == name && a.kind == kind).map(|a| a.at).collect()
        };
        for line in lines.iter().filter(|line| !line.is_empty()) {
            let fault = if let Some(question) = line.strip_prefix("not ") {
                (!times(question).is_empty()).then_some("was asked")
            } else if let Some(questions) = line.strip_prefix("together ") {
                let first: Option<Vec<Instant>> =
                    questions.split(',').map(|q| times(q).first().copied()).collect();
                match first {
                    None => Some("not all were asked"),
                    Some(times) => {
                        let (low, high) = (times.iter().min(), times.iter().max());
                        let apart = low.zip(high).map_or(Duration::ZERO, |(low, high)| *high - *low);
                        if apart > Duration::from_millis(250) {
                            self.faults
                                .push(format!("{}: {line}: were asked one after another", client::LATE));
                        }
                        None
                    }
                }
            } else {
                times(line).is_empty().then_some("was not asked")
            };
            self.faults.extend(fault.map(|why| format!("[asked] {line}: {why}")));
        }
    }
}

/// Whether the line begins a session, of smtpd or of postscreen.
fn is_greeting(line: &LogLine) -> bool {
    line.text.starts_with("connect from") || line.text.starts_with("CONNECT from")
}

/// Whether the line ends a session, of smtpd or of postscreen.
fn is_farewell(line: &LogLine) -> bool {
    line.text.starts_with("disconnect from") || line.text.starts_with("DISCONNECT [")
}

fn wanted(programs: &[String], line: &LogLine) -> bool {
    let noise = ["master", "postfix-script", "postlogd", "anvil", "scache", "postmap", "pickup"];
    programs.iter().any(|p| p == line.program() || (p == "all" && !noise.contains(&line.program())))
        && !is_of_the_machine(line)
        && !is_said_at_any_time(line)
}

/// How DNS lists answered is said every ten minutes, and whenever the configuration is read anew.
fn is_said_at_any_time(line: &LogLine) -> bool {
    line.program() == "dnsblog" && line.text.starts_with("statistics: zone ")
}

/// Postfix's cleanup compares a new file's time stamp with the clock: the stamp is the kernel's coarse one, so a
/// second that turns in between makes it warn of a skew that isn't there.
fn is_of_the_machine(line: &LogLine) -> bool {
    let text = line.render();
    text.contains(": warning: file system clock is ")
        || text.ends_with(": warning: resetting file time stamps - this hurts performance")
}

/// Whether the lines are the expected ones, program by program: between programs the order is chance.
fn same_log(expected: &[String], actual: &[LogLine]) -> bool {
    let mut tags: Vec<&str> = actual.iter().map(|line| line.tag.as_str()).collect();
    tags.extend(expected.iter().filter_map(|line| line.split_once(": ").map(|(tag, _)| tag)));
    tags.sort_unstable();
    tags.dedup();
    tags.into_iter().all(|tag| {
        let wanted: Vec<&String> =
            expected.iter().filter(|line| line.split_once(": ").is_some_and(|(t, _)| t == tag)).collect();
        let lines: Vec<String> = actual.iter().filter(|line| line.tag == tag).map(LogLine::render).collect();
        if wanted.len() != lines.len() {
            return false;
        }
        // The deliveries of one message end in any order, and so do look-ups.
        if ["local", "virtual", "discard", "error", "none", "dnsblog", "smtp", "lmtp"]
            .iter()
            .any(|agent| tag.ends_with(agent))
        {
            return in_any_order(&wanted, &lines);
        }
        wanted.iter().zip(&lines).all(|(w, l)| pattern::matches(w, l))
    })
}

/// Whether what was heard over each connection is as expected; connections come in any order.
fn same_talks(expected: &[String], actual: &[String]) -> bool {
    let talks = |lines: &[String]| -> Vec<Vec<String>> {
        let begins = |line: &String| line == "(connect)";
        lines.chunk_by(|_, next| !begins(next)).map(<[String]>::to_vec).collect()
    };
    let mut left = talks(actual);
    let all_found = talks(expected).iter().all(|wanted| {
        let at = left.iter().position(|lines| pattern::lines_match(wanted, lines));
        at.map(|at| left.swap_remove(at)).is_some()
    });
    all_found && left.is_empty()
}

fn in_any_order(wanted: &[&String], lines: &[String]) -> bool {
    let mut left: Vec<&String> = lines.iter().collect();
    wanted.iter().all(|w| {
        let at = left.iter().position(|line| pattern::matches(w, line));
        at.map(|at| left.remove(at)).is_some()
    })
}

/// A line of a message with its control characters spelt out, as a dialogue's `>` lines spell them.
fn visible(line: &str) -> String {
    let mut out = String::new();
    for c in line.chars() {
        match c {
            '\r' => out.push_str("\\r"),
            '\t' => out.push('\t'),
            c if c.is_control() => out.push_str(&format!("\\x{:02x}", u32::from(c))),
            c => out.push(c),
        }
    }
    out
}

/// Whether it begins as a date does: `Mon, 1 Jan`.
fn is_date(text: &str) -> bool {
    text.split_once(", ")
        .is_some_and(|(day, _)| day.len() == 3 && day.bytes().all(|b| b.is_ascii_alphabetic()))
}

/// A line of a delivered message with ids and dates made patterns.
fn normal_header(line: &str, ids: &[String]) -> String {
    let line = pattern::normalise(line, ids);
    if let Some((head, tail)) = line.split_once("; ")
        && line.starts_with([' ', '\t'])
        && is_date(tail)
    {
        return format!("{head}; {{date}}");
    }
    if line.starts_with('\t') && line.ends_with(')') && line.contains(" +0000 (") {
        return "\t{date}".to_owned();
    }
    if line.starts_with("header Date:") && !line.contains(" 2001 ") {
        return "header Date:{date}".to_owned();
    }
    if line.starts_with("header Message-Id:<") && line.contains(".{id}@") {
        let host = line.split_once('@').map_or("", |(_, host)| host);
        return format!("header Message-Id:<{{n}}.{{id}}@{host}");
    }
    if line.starts_with("Date: ") && !line.contains(" 2001 ") {
        return "Date: {date}".to_owned();
    }
    if line.starts_with("Message-Id: <") && line.contains(".{id}@") {
        let host = line.split_once('@').map_or("", |(_, host)| host);
        return format!("Message-Id: <{{n}}.{{id}}@{host}");
    }
    line
}
