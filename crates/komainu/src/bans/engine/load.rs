//! fail2ban's files become jails at work: at the start, and again when somebody asks.

use super::sources::reads_input;
use super::{LOOK, Machine};
use crate::bans::cell::Cell;
use crate::bans::files::Through;
use crate::bans::kept::Row;
use crate::bans::says::{BanLog, Part};
use crate::bans::settings::Level;
use crate::configuration::own_addresses;
use crate::firewall::Change;
use ban::filter::Filter;
use ban::jail::Settings;
use ban::jails::{self, Jail};
use config::{Diagnostic, Severity};
use std::collections::HashSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Instant;

/// Whom neither a packet filter nor the server shuts out, whatever `ignoreself` is.
const LOOPBACK: [(IpAddr, u8); 2] =
    [(IpAddr::V4(Ipv4Addr::LOCALHOST), 8), (IpAddr::V6(Ipv6Addr::LOCALHOST), 128)];

/// A jail that can run.
struct Ready {
    config: Jail,
    filter: Filter,
    settings: Settings,
}

/// What the files say now.
struct Read {
    ready: Vec<Ready>,
    broken: Vec<(String, String)>,
    /// What is wrong with the files, the first of it.
    fault: Option<String>,
}

fn complain(log: &BanLog, found: &[Diagnostic]) {
    for diagnostic in found {
        let level = if diagnostic.severity == Severity::Error { Level::Error } else { Level::Warning };
        log.say(Part::Server, level, format_args!("{diagnostic}"));
    }
}

impl Machine {
    fn read_files(&self, wanted: Option<&str>) -> Read {
        let folder = match wanted {
            None => jails::read(&Through(&*self.opener), &self.folder),
            Some(name) => jails::read_with(&Through(&*self.opener), &self.folder, &|known| known == name),
        };
        complain(&self.log, &folder.found);
        let own = own_addresses();
        let fault = folder.found.iter().find(|found| found.severity == Severity::Error);
        let fault = fault.map(ToString::to_string);
        let mut read = Read { ready: Vec::new(), broken: Vec::new(), fault };
        for config in folder.jails.into_iter().filter(|jail| wanted.is_none_or(|name| jail.name == name)) {
            let filter = match &config.error {
                Some(error) => Err(error.clone()),
                None => Filter::new(&config.filter)
                    .map_err(|error| format!("{}: {error}", config.filter_place(error.option))),
            };
            match filter {
                Ok(filter) => {
                    let (mut settings, found) = Settings::of(&config);
                    complain(&self.log, &found);
                    // Our own lines bring along what they don't say.
                    let is_fed = self.own.as_ref().is_some_and(|(own, _)| own.feeds_jail(&config));
                    if let Some(idle) = ban::uncounted(&config, &filter).filter(|_| !is_fed) {
                        complain(&self.log, &[idle]);
                    }
                    settings.own.clone_from(&own);
                    settings.refused = LOOPBACK.to_vec();
                    settings.named = self.friends.of(&settings.never_names);
                    read.ready.push(Ready { config, filter, settings });
                }
                Err(error) => read.broken.push((config.name, error)),
            }
        }
        read
    }

    /// The first start.
    pub(super) fn begin(&mut self) -> Result<(), String> {
        if !self.folder.is_dir() {
            return Err(format!("{}: there is no such folder of fail2ban's files", self.folder.display()));
        }
        let read = self.read_files(None);
        for (name, error) in &read.broken {
            let text = format_args!("jail '{name}' can't run, the others do: {error}");
            self.log.say(Part::Jail, Level::Error, text);
        }
        self.broken = read.broken;
        for ready in read.ready {
            self.add(ready);
        }
        let named = self.input.iter().flat_map(|(_, named)| named);
        if let Some(name) = named.into_iter().find(|name| !self.cells.iter().any(|cell| cell.name() == *name))
        {
            return Err(format!("--stdin {name}: no jail of that name is switched on and can run"));
        }
        self.find_sources();
        for at in 0..self.cells.len() {
            let mut out = Machine::out(&self.log, &mut self.changes, 0.0);
            if let Some(cell) = self.cells.get_mut(at) {
                cell.begin(&mut out);
            }
        }
        self.say_blind();
        // The first turn looks at everything.
        self.looked = Instant::now().checked_sub(LOOK).unwrap_or(self.looked);
        Ok(())
    }

    /// Puts a jail among those at work, with what was kept of it.
    fn add(&mut self, ready: Ready) {
        let Ready { config, filter, settings } = ready;
        let name = config.name.clone();
        self.log.say(Part::Jail, Level::Info, format_args!("Creating new jail '{name}'"));
        say_settings(&self.log, &settings);
        let mut cell = Cell::new(config, filter, settings);
        let now_s = self.log.now_us().div_euclid(1_000_000);
        for who in self.past.take_known(&name) {
            cell.restore(who, now_s);
        }
        (cell.failed, cell.banned) = (0, 0);
        self.cells.push(cell);
    }

    /// Reads the files anew. Where a jail that is at work would break, nothing changes.
    pub(super) fn reload(&mut self, wanted: Option<&str>) -> Result<(), String> {
        let read = self.read_files(wanted);
        let breaks = read.broken.iter().find(|(name, _)| self.cells.iter().any(|cell| cell.name() == name));
        if let Some((name, error)) = breaks {
            return Err(format!("jail '{name}': {error}; all stays as it was"));
        }
        let stays = |cell: &Cell| {
            read.ready.iter().any(|ready| ready.config.name == cell.name())
                || wanted.is_some_and(|name| name != cell.name())
        };
        // What can't be read may be what had switched it on.
        if let Some((cell, fault)) = self.cells.iter().find(|cell| !stays(cell)).zip(read.fault.as_ref()) {
            return Err(format!("jail '{}' would go: {fault}; all stays as it was", cell.name()));
        }
        match wanted {
            None => self.log.say(Part::Server, Level::Info, format_args!("Reload all jails")),
            Some(name) if read.ready.is_empty() => {
                return Err(format!("there is no jail '{name}' that is switched on"));
            }
            Some(_) => {}
        }
        self.reload = true;
        // What was done by the files before is done as they were.
        self.change_doors();
        if let Some(doors) = &mut self.doors {
            doors.reload();
        }
        let named: HashSet<String> = read.ready.iter().map(|ready| ready.config.name.clone()).collect();
        if wanted.is_none() {
            let gone: Vec<String> = self
                .cells
                .iter()
                .map(|cell| cell.name().to_owned())
                .filter(|name| !named.contains(name))
                .collect();
            for name in &gone {
                self.remove(name);
            }
            self.broken = read.broken;
        }
        let mut fresh = Vec::new();
        for ready in read.ready {
            let name = ready.config.name.clone();
            let Some(at) = self.cells.iter().position(|cell| cell.name() == name) else {
                fresh.push(name);
                self.add(ready);
                continue;
            };
            self.log.say(Part::Server, Level::Info, format_args!("Reload jail '{name}'"));
            say_settings(&self.log, &ready.settings);
            self.change(at, ready);
            self.log.say(Part::Server, Level::Info, format_args!("Jail '{name}' reloaded"));
        }
        self.find_sources();
        for name in fresh {
            let mut out = Machine::out(&self.log, &mut self.changes, 0.0);
            if let Some(cell) = self.cells.iter_mut().find(|cell| cell.name() == name) {
                cell.begin(&mut out);
            }
        }
        self.say_blind();
        if wanted.is_none() {
            self.log.say(Part::Server, Level::Info, format_args!("Reload finished."));
        }
        Ok(())
    }

    /// A jail at work is told something else; whom it counts and holds stays.
    fn change(&mut self, at: usize, ready: Ready) {
        let Some(cell) = self.cells.get_mut(at) else { return };
        let is_other = cell.config.actions != ready.config.actions;
        cell.config = ready.config;
        cell.filter = std::sync::Arc::new(ready.filter);
        cell.jail.set(ready.settings);
        // Their lines are read by the new filter.
        for source in &mut self.sources {
            source.forget(at);
        }
        let mut out = Machine::out(&self.log, &mut self.changes, 0.0);
        cell.let_in_spared(&mut out);
        if is_other {
            out.changes.push(Change::stop(cell.name()));
            cell.begin_again(&mut out);
        }
    }

    /// Ends a jail; what it knew is kept for when it comes back.
    pub(super) fn remove(&mut self, name: &str) -> bool {
        let Some(at) = self.cells.iter().position(|cell| cell.name() == name) else { return false };
        let cell = self.cells.remove(at);
        let mut out = Machine::out(&self.log, &mut self.changes, 0.0);
        cell.end(&mut out);
        for known in cell.jail.known() {
            if let Row::Known(who) = cell.row(known.id) {
                self.past.add(who);
            }
        }
        self.sources.iter_mut().for_each(|source| source.removed(at));
        true
    }

    /// Says which jails have nothing to read, when that is news.
    pub(super) fn say_blind(&mut self) {
        for at in 0..self.cells.len() {
            let reads = self.sources.iter().any(|source| source.is_open() && source.is_heard_by(at));
            let is_input = |cell: &Cell| {
                self.input.as_ref().is_some_and(|(pipe, named)| pipe.is_none() && reads_input(cell, named))
            };
            let Some(cell) = self.cells.get_mut(at) else { continue };
            if reads {
                cell.blind = None;
                continue;
            }
            let blind = match cell.config.option("logpath").map(str::trim).filter(|path| !path.is_empty()) {
                _ if is_input(cell) => {
                    "standard input has ended; whom it holds it holds to the end".to_owned()
                }
                _ if cell.config.reads_journal() => "journalctl can't be started".to_owned(),
                None => "no `logpath` is set".to_owned(),
                Some(paths) => format!(
                    "none of its `logpath` is there: {}",
                    paths.split_whitespace().collect::<Vec<_>>().join(", ")
                ),
            };
            if cell.blind.as_ref() != Some(&blind) {
                let name = cell.name();
                let text = format_args!("[{name}] has nothing to read, the other jails run: {blind}");
                self.log.say(Part::Jail, Level::Warning, text);
                cell.blind = Some(blind);
            }
        }
    }
}

fn say_settings(log: &BanLog, settings: &Settings) {
    let say = |part: Part, text: std::fmt::Arguments<'_>| log.say(part, Level::Info, text);
    say(Part::Filter, format_args!("  maxRetry: {}", settings.failures_max));
    say(Part::Filter, format_args!("  findtime: {}", settings.find_s));
    say(Part::Actions, format_args!("  banTime: {}", settings.ban_s));
    if settings.increment.is_some() {
        say(Part::Jail, format_args!("Set banTime.increment = True"));
    }
}
