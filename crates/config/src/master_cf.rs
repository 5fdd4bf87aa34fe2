//! master.cf: one service a line, eight columns.
//!
//! What a service is read to be; whether it can be started is the program's business. Of two lines with one name
//! and type the last counts.
//! Diagnostics: K0201 too few columns, K0202 unknown type, K0203 bad column, K0204 defined twice,
//! K0205 unknown command, K0206 white space before the first line, K0207 a private inet service,
//! K0208 a port that nobody knows, K0238 more SMTP servers than are served; K0210 to K0214 come from `arguments`.
//! T0.4.

mod arguments;
mod endpoint;
mod role;
pub mod words;

pub use endpoint::{Endpoint, Port};
pub use role::Role;

use crate::conf::is_space;
use crate::logical::logical_lines;
use crate::traced::Traced;
use crate::{Diagnostic, LineStarts, Place, SourceFile, Spanned};
use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

/// The services of one master.cf.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MasterCf {
    /// In the order of the file.
    pub services: Vec<Service>,
    file: Option<Arc<SourceFile>>,
}

/// The type column.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ServiceKind {
    /// A TCP port.
    Inet,
    /// A UNIX-domain socket.
    Unix,
    /// A UNIX-domain datagram socket.
    UnixDgram,
    /// A named pipe.
    Fifo,
    /// A UNIX-domain socket over which descriptors are passed.
    Pass,
}

/// One service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    /// `smtp`, `127.0.0.1:10025`, `[::1]:submission`, `private-name`.
    pub name: Spanned<String>,
    /// The type column.
    pub kind: ServiceKind,
    /// The private column (default y).
    pub private: bool,
    /// The unpriv column (default y).
    pub unprivileged: bool,
    /// The chroot column; `None` for `-`.
    pub chroot: Option<bool>,
    /// The wakeup column in seconds; `None` for `-` and 0.
    pub wakeup: Option<u32>,
    /// Whether the wakeup column ends in `?`: none before the service is first used.
    pub wakeup_if_used: bool,
    /// The maxproc column, 0 for no limit; `None` for `-` ($default_process_limit).
    pub process_limit: Option<u32>,
    /// The command column's first word.
    pub command: Spanned<String>,
    /// Its arguments without `-o`, `-v`, `-D`.
    pub arguments: Vec<Spanned<String>>,
    /// Its `-o name=value`.
    pub overrides: Vec<Override>,
    /// How many `-v`.
    pub verbose: u8,
    /// Whether `-D` was given.
    pub debugger: bool,
}

/// One `-o name=value`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Override {
    /// The parameter.
    pub name: Spanned<String>,
    /// Its value for this service.
    pub value: Spanned<String>,
}

impl ServiceKind {
    fn parse(word: &str) -> Option<ServiceKind> {
        words::KINDS.iter().find_map(|(entry, kind)| (entry.name == word).then_some(*kind))
    }

    /// As in master.cf.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            ServiceKind::Inet => "inet",
            ServiceKind::Unix => "unix",
            ServiceKind::UnixDgram => "unix-dgram",
            ServiceKind::Fifo => "fifo",
            ServiceKind::Pass => "pass",
        }
    }
}

impl MasterCf {
    /// Reads `file`; a line that can't be read is told and left out.
    #[must_use]
    pub fn parse(file: &Arc<SourceFile>) -> (MasterCf, Vec<Diagnostic>) {
        let (lines, mut diagnostics) = logical_lines(file, 206);
        let starts = LineStarts::of(&file.text);
        // Of two with one name and type the later stands, in the later's place.
        let mut services: Vec<Option<Service>> = Vec::new();
        let mut at: HashMap<(ServiceKind, String), usize> = HashMap::new();
        for line in lines {
            let Some(service) = Line::new(&line.text, &mut diagnostics).service() else { continue };
            let earlier = at.insert((service.kind, service.name.value.clone()), services.len());
            if let Some(earlier) = earlier.and_then(|at| services.get_mut(at)).and_then(Option::take) {
                diagnostics.push(twice(&service, starts.line(earlier.name.place.start)));
            }
            services.push(Some(service));
        }
        let mut services: Vec<Service> = services.into_iter().flatten().collect();
        diagnostics.extend(too_many(&mut services));
        (MasterCf { services, file: Some(Arc::clone(file)) }, diagnostics)
    }

    /// The file it was read from.
    #[must_use]
    pub fn file(&self) -> Option<&Arc<SourceFile>> {
        self.file.as_ref()
    }
}

/// SMTP servers, each with lists and settings of its own; a machine has fewer ports that are worth one.
const SERVERS_MAX: usize = 1_000;

/// Takes away the SMTP servers above the limit.
fn too_many(services: &mut Vec<Service>) -> Option<Diagnostic> {
    let mut count = 0;
    let mut first = None;
    services.retain(|service| {
        let is_server = matches!(service.role(), Role::Smtpd | Role::Postscreen);
        count += usize::from(is_server);
        let kept = !is_server || count <= SERVERS_MAX;
        if !kept && first.is_none() {
            first = Some(service.name.place.clone());
        }
        kept
    });
    let message = format!("{count} SMTP servers, more than {SERVERS_MAX}: those from here on are left out");
    let help =
        "nobody could connect to them; one server listens on all addresses where its name is a port alone";
    first.map(|place| Diagnostic::error(238, place, message).help(help))
}

/// What is said of a service that is defined in `line` already.
fn twice(service: &Service, line: usize) -> Diagnostic {
    let (name, kind) = (&service.name.value, service.kind.name());
    let path = service.name.place.path().map(|path| path.display().to_string()).unwrap_or_default();
    let message = format!("the service {name} {kind} overrides its earlier definition in {path}:{line}");
    Diagnostic::warning(204, service.name.place.clone(), message)
        .help(format!("the last definition wins: this one; delete the one in {path}:{line}"))
}

impl Service {
    /// Where an inet service listens.
    #[must_use]
    pub fn endpoint(&self) -> Option<Endpoint> {
        (self.kind == ServiceKind::Inet).then(|| Endpoint::parse(&self.name.value)).flatten()
    }

    /// Whether Postfix would run it chrooted: the column, or its default under this compatibility_level.
    #[must_use]
    pub fn chrooted(&self, parameters: &crate::Parameters) -> bool {
        self.chroot.unwrap_or_else(|| !parameters.compatibility_level_at_least("1"))
    }

    /// The command's name without its folder.
    #[must_use]
    pub fn program(&self) -> &str {
        self.command.value.rsplit('/').next().unwrap_or_default()
    }

    /// What the command column means to us.
    #[must_use]
    pub fn role(&self) -> Role {
        match Role::of(self.program()) {
            Role::Error if self.name.value == "retry" => Role::Retry,
            role => role,
        }
    }
}

/// A logical line that is being read.
struct Line<'a> {
    text: &'a Traced,
    diagnostics: &'a mut Vec<Diagnostic>,
    /// Where reading stands.
    at: usize,
}

impl<'a> Line<'a> {
    fn new(text: &'a Traced, diagnostics: &'a mut Vec<Diagnostic>) -> Line<'a> {
        Line { text, diagnostics, at: 0 }
    }

    /// The next word; `None` at the line's end.
    fn word(&mut self) -> Option<Spanned<String>> {
        let rest = self.text.as_str().get(self.at..)?;
        let start = self.at + (rest.len() - rest.trim_start_matches(is_space).len());
        let rest = self.text.as_str().get(start..)?;
        let length = rest.find(is_space).unwrap_or(rest.len());
        self.at = start + length;
        (length > 0).then(|| self.spanned(start..self.at))
    }

    fn spanned(&self, range: Range<usize>) -> Spanned<String> {
        let word = self.text.as_str().get(range.clone()).unwrap_or("").to_owned();
        Spanned::new(word, self.text.place(range))
    }

    fn whole(&self) -> Place {
        let text = self.text.as_str();
        self.text.place(0..text.trim_end().len())
    }

    fn service(mut self) -> Option<Service> {
        let mut columns = Vec::with_capacity(8);
        while columns.len() < 8
            && let Some(word) = self.word()
        {
            columns.push(word);
        }
        let columns: [Spanned<String>; 8] = match columns.try_into() {
            Ok(columns) => columns,
            Err(columns) => {
                self.too_few(&columns);
                return None;
            }
        };
        let [name, kind, private, unprivileged, chroot, wakeup, limit, command] = columns;
        let kind = self.kind(&kind)?;
        let private = self.switch("private", &private)?;
        let unprivileged = self.switch("unpriv", &unprivileged)?;
        let chroot = self.switch("chroot", &chroot)?;
        let (wakeup, wakeup_if_used) = self.wakeup(&wakeup)?;
        let process_limit = self.limit(&limit)?;
        let mut service = Service {
            name,
            kind,
            private: private.unwrap_or(true),
            unprivileged: unprivileged.unwrap_or(true),
            chroot,
            wakeup,
            wakeup_if_used,
            process_limit,
            command,
            arguments: Vec::new(),
            overrides: Vec::new(),
            verbose: 0,
            debugger: false,
        };
        self.check_listener(&service, private);
        self.check_command(&service);
        self.arguments(&mut service);
        Some(service)
    }

    fn tell(&mut self, diagnostic: Diagnostic) {
        self.diagnostics.push(diagnostic);
    }

    fn too_few(&mut self, columns: &[Spanned<String>]) {
        let message = format!("bad field count: {} of 8 columns", columns.len());
        if columns.first().is_some_and(|word| word.value.starts_with("-o")) {
            let mut start = self.whole();
            start.end = start.start;
            let diagnostic = Diagnostic::error(201, self.whole(), message)
                .help("options of the service above begin with white space: indent the line")
                .fix(start, "  ");
            return self.tell(diagnostic);
        }
        let diagnostic = Diagnostic::error(201, self.whole(), message).help(
            "write: service type private unpriv chroot wakeup maxproc command; `-` stands for a default; \
             a line that goes on with the one above begins with white space",
        );
        self.tell(diagnostic);
    }

    fn kind(&mut self, word: &Spanned<String>) -> Option<ServiceKind> {
        let kind = ServiceKind::parse(&word.value);
        if kind.is_none() {
            let message = format!("invalid type field \"{}\"", word.value);
            self.tell(
                Diagnostic::error(202, word.place.clone(), message)
                    .help("write one of inet, unix, unix-dgram, fifo, pass"),
            );
        }
        kind
    }

    /// `y`, `n` or `-`; `None` when it is none of them.
    #[expect(clippy::option_option, reason = "bad column, default, value: three things that `?` sorts")]
    fn switch(&mut self, column: &str, word: &Spanned<String>) -> Option<Option<bool>> {
        match word.value.as_str() {
            "y" => Some(Some(true)),
            "n" => Some(Some(false)),
            "-" => Some(None),
            _ => {
                self.bad_column(column, word, "write `y`, `n`, or `-` for the default");
                None
            }
        }
    }

    fn wakeup(&mut self, word: &Spanned<String>) -> Option<(Option<u32>, bool)> {
        if word.value == "-" {
            return Some((None, false));
        }
        let digits = word.value.strip_suffix('?').unwrap_or(&word.value);
        match plain_number(digits) {
            Some(seconds) => Some(((seconds > 0).then_some(seconds), digits != word.value)),
            None => {
                self.bad_column("wakeup", word, "write seconds, seconds with `?`, or `-` for none");
                None
            }
        }
    }

    #[expect(clippy::option_option, reason = "bad column, default, value: three things that `?` sorts")]
    fn limit(&mut self, word: &Spanned<String>) -> Option<Option<u32>> {
        if word.value == "-" {
            return Some(None);
        }
        let limit = plain_number(&word.value);
        if limit.is_none() {
            self.bad_column("maxproc", word, "write a number, 0 for no limit, or `-` for the default");
        }
        limit.map(Some)
    }

    fn bad_column(&mut self, column: &str, word: &Spanned<String>, help: &str) {
        let message = format!("invalid {column} field \"{}\"", word.value);
        self.tell(Diagnostic::error(203, word.place.clone(), message).help(help));
    }

    fn check_listener(&mut self, service: &Service, private: Option<bool>) {
        if service.kind != ServiceKind::Inet {
            return;
        }
        if private == Some(true) {
            self.tell(
                Diagnostic::warning(207, service.name.place.clone(), "an inet service can't be private")
                    .help("write `n` in the third column"),
            );
        }
        let name = &service.name.value;
        let unknown = match service.endpoint().map(|endpoint| endpoint.port) {
            None => Some(format!("`{name}` is no port and no host:port")),
            Some(Port::Name(port)) => Some(format!("`{port}` is no port that is known by name here")),
            Some(Port::Number(_)) => None,
        };
        if let Some(message) = unknown {
            self.tell(
                Diagnostic::error(208, service.name.place.clone(), message)
                    .help("write the port's number, as in `127.0.0.1:10025` or `[::1]:10025`"),
            );
        }
    }

    fn check_command(&mut self, service: &Service) {
        if service.role() != Role::Unknown {
            return;
        }
        let program = service.program();
        let message = format!("`{program}` is no command of Postfix");
        let nearest = crate::names::nearest(program, role::COMMANDS.iter().map(|(entry, _)| entry.name));
        let place = service.command.place.clone();
        let mut diagnostic = if service.kind == ServiceKind::Inet {
            Diagnostic::error(205, place.clone(), message)
        } else {
            Diagnostic::warning(205, place.clone(), message)
        };
        diagnostic = match nearest {
            Some(name) => diagnostic.help(format!("did you mean `{name}`?")).fix(place, name),
            None => diagnostic.help("a program of your own is started by `spawn … argv=/path/to/program`"),
        };
        self.tell(diagnostic);
    }
}

/// Digits only.
fn plain_number(text: &str) -> Option<u32> {
    text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests;
