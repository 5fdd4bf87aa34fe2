//! Programs that master.cf and main.cf start: `spawn` and `pipe` lines, `mailbox_command`.
//!
//! Debian's master.cf has `pipe` lines for programs that few machines have: a line counts as used where a parameter or
//! a table of transports names it. A program without a path is looked for when it is started, and isn't judged.
//! Diagnostics: K0493 policyd-spf, in whose stead the program answers; K0530 a program that isn't there, K0531 an account that isn't there.

use super::accounts::Accounts;
use super::{Machine, Scene, Sight, scene};
use config::{Diagnostic, Role, Service, Spanned};
use std::path::Path;
use tables::TableSpec;

pub(super) fn review(scene: &Scene<'_>, machine: &Machine) -> Vec<Diagnostic> {
    let accounts = Accounts::read(machine);
    let mut found = Vec::new();
    let used = Used::read(scene, machine);
    for service in &scene.master.services {
        let is_used = match service.role() {
            Role::Spawn => true,
            Role::Pipe => used.names(&service.name.value),
            _ => false,
        };
        if matches!(service.role(), Role::Spawn | Role::Pipe) {
            found.extend(incomplete(service));
        }
        if is_used {
            found.extend(program(service, scene, machine));
            found.extend(account(service, &accounts));
        }
    }
    found.extend(mailbox_command(scene, machine));
    found
}

/// A line without `argv=` or `user=`, without which no program is started.
fn incomplete(service: &Service) -> Vec<Diagnostic> {
    let lacks = |name: &str| {
        let mut words = service.arguments.iter().take_while(|word| !word.value.starts_with("argv="));
        let argv = || service.arguments.iter().any(|word| word.value.starts_with("argv="));
        if name == "argv=" { !argv() } else { !words.any(|word| word.value.starts_with(name)) }
    };
    let (name, program) = (&service.name.value, service.program());
    let consequence = match service.role() {
        Role::Spawn => "Postfix's spawn(8) stops at it, and who connects is hung up on",
        _ => "Postfix's pipe(8) stops at it, and mail for this transport stays in the queue",
    };
    let rows = [(530, "argv=", "argv=/path/of/the/program"), (531, "user=", "user=ACCOUNT before argv=")];
    let missing = rows.into_iter().filter(|(_, word, _)| lacks(word));
    missing
        .map(|(code, word, write)| {
            let message = format!("{name}: {program} without `{word}`");
            let help = format!("{consequence}; write `{write}`");
            Diagnostic::warning(code, service.command.place.clone(), message).help(help)
        })
        .collect()
}

/// No file at all.
const ABSENT: &str = "isn't there";

/// What a program's file is.
fn fault(path: &str, machine: &Machine) -> Option<&'static str> {
    match machine.sight(Path::new(path)) {
        Sight::Missing => Some(ABSENT),
        Sight::Seen(stat) if !stat.is_file() => Some("is no program"),
        Sight::Seen(stat) if stat.mode & 0o111 == 0 => Some("may not be run: chmod +x is missing"),
        Sight::Seen(_) | Sight::Hidden => None,
    }
}

fn program(service: &Service, scene: &Scene<'_>, machine: &Machine) -> Option<Diagnostic> {
    let word = service.arguments.iter().find(|word| word.value.starts_with("argv="))?;
    let path = word.value.strip_prefix("argv=")?;
    let fault = path.starts_with('/').then(|| fault(path, machine)).flatten()?;
    let name = &service.name.value;
    let message = format!("the program of {name} {fault}: {path}");
    if service.role() == Role::Pipe {
        let help = "mail for this transport waits in the queue, and comes back after five days";
        return Some(Diagnostic::warning(530, word.place.clone(), message).help(help));
    }
    let socket = format!("{}/{name}", if service.private { "private" } else { "public" });
    let endpoints = [format!("unix:{socket}"), format!("local:{socket}")];
    let mut services = scene.servers.iter().flat_map(|server| &server.services);
    let asked = services.any(|one| endpoints.contains(&one.name));
    if asked && scene.checks_spf && name == "policyd-spf" && fault == ABSENT {
        let help = "komainu serve checks SPF by itself; Postfix would refuse mail that comes to this rule (451 4.3.5)";
        return Some(Diagnostic::hint(493, word.place.clone(), message).help(help));
    }
    Some(if asked {
        let help = "mail that comes to the rule that asks it is refused with 451 4.3.5; install it, or take \
                    the rule out";
        Diagnostic::error(530, word.place.clone(), message).help(help)
    } else {
        Diagnostic::warning(530, word.place.clone(), message).help("who connects to it is hung up on")
    })
}

fn account(service: &Service, accounts: &Accounts) -> Option<Diagnostic> {
    let word = service.arguments.iter().find(|word| word.value.starts_with("user="))?;
    let name = word.value.strip_prefix("user=")?.split(':').next()?;
    let fault = match accounts.user(name) {
        None if accounts.more_elsewhere || name.bytes().all(|byte| byte.is_ascii_digit()) => return None,
        None => format!("there is no account {name}"),
        Some((0, _)) => format!("{name} is root, as whom nothing is run here"),
        Some(_) => return None,
    };
    let message = format!("{}: {fault}", service.name.value);
    let help = "the program isn't started: what it is asked fails, or waits in the queue";
    let diagnostic = match service.role() {
        Role::Spawn => Diagnostic::error(531, word.place.clone(), message),
        _ => Diagnostic::warning(531, word.place.clone(), message),
    };
    Some(diagnostic.help(help))
}

fn mailbox_command(scene: &Scene<'_>, machine: &Machine) -> Option<Diagnostic> {
    let word = scene::word(scene.main, "mailbox_command")?;
    let path = word.value.split_whitespace().next().filter(|path| path.starts_with('/'))?;
    let fault = fault(path, machine)?;
    let message = format!("mailbox_command's program {fault}: {path}");
    let help = "Postfix can deliver no mail to local users: it waits, and comes back after five days";
    Some(Diagnostic::warning(530, word.place, message).help(help))
}

/// Parameters with a transport that count though nobody writes them.
const BY_DEFAULT: [&str; 4] =
    ["default_transport", "local_transport", "relay_transport", "virtual_transport"];
/// Tables with transports in them.
const TABLES: [&str; 4] = [
    "transport_maps",
    "mailbox_transport_maps",
    "fallback_transport_maps",
    "sender_dependent_default_transport_maps",
];

/// The transports that anything names.
struct Used(Vec<String>);

impl Used {
    fn read(scene: &Scene<'_>, machine: &Machine) -> Used {
        // What Postfix's queue manager names by itself.
        let mut words: Vec<String> = ["retry", "error"].map(str::to_owned).to_vec();
        for p in scene.views() {
            words.extend(BY_DEFAULT.iter().map(|name| p.text(name).value));
            for (name, _) in p.definitions() {
                if name.ends_with("_transport") || name == "content_filter" {
                    words.push(p.text(name).value);
                }
            }
            for word in TABLES.iter().flat_map(|name| p.list(name)) {
                words.extend(values(&word, machine));
            }
        }
        let name = |word: String| word.split(':').next().unwrap_or("").to_owned();
        Used(words.into_iter().map(name).collect())
    }

    fn names(&self, transport: &str) -> bool {
        self.0.iter().any(|name| name == transport)
    }
}

/// The right-hand sides of a table of text, near enough to find transports.
fn values(table: &Spanned<String>, machine: &Machine) -> Vec<String> {
    if let Ok(spec) = TableSpec::parse(table)
        && spec.type_name == "inline"
    {
        return spec.pairs().unwrap_or_default().into_iter().map(|(_, value)| value).collect();
    }
    let path = table.value.rsplit(':').next().unwrap_or("");
    let text = machine.text(path).unwrap_or_default();
    let values = text.lines().filter(|line| !line.starts_with('#')).filter_map(|line| {
        let (_, value) = line.trim().split_once(char::is_whitespace)?;
        Some(value.trim().to_owned())
    });
    values.collect()
}
