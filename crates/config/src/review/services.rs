//! Services of master.cf: what Postfix needs and the file doesn't have, limits of one process, paths that a chrooted
//! service doesn't see.
//!
//! Komainu needs none of these lines and runs nothing chrooted: what is said here is what Postfix would do. K0235 a
//! service that Postfix needs, K0132 a backslash, K0236 a process limit, K0237 a path outside of the chroot, K0240 a
//! program that is to be started in another root folder, which isn't served; K0523 words of a `pipe`, `smtp` or `lmtp`
//! line that its program can't read.

use super::{Listener, Subject};
use crate::master_cf::words::{is_client_flag, is_pipe_attribute, is_pipe_flag, is_pipe_macro};
use crate::{Diagnostic, Place, Role, ServiceKind};

pub(super) fn review(subject: &Subject<'_>, listeners: &[Listener<'_>], found: &mut Vec<Diagnostic>) {
    missing(subject, found);
    backslashes(subject, found);
    limits(subject, listeners, found);
    chroot(listeners, found);
    other_roots(subject, found);
    words(subject, found);
}

/// Without these, mail stays in Postfix's queue or isn't taken.
const NEEDED: [(&str, &str); 7] = [
    ("pickup", "pickup unix n - y 60 1 pickup"),
    ("cleanup", "cleanup unix n - y - 0 cleanup"),
    ("qmgr", "qmgr unix n - n 300 1 qmgr"),
    ("rewrite", "rewrite unix - - y - - trivial-rewrite"),
    ("bounce", "bounce unix - - y - 0 bounce"),
    ("defer", "defer unix - - y - 0 bounce"),
    ("retry", "retry unix - - y - - error"),
];

fn missing(subject: &Subject<'_>, found: &mut Vec<Diagnostic>) {
    let services = &subject.master.services;
    let has = |name: &str| {
        services.iter().any(|service| service.name.value == name && service.kind != ServiceKind::Inet)
    };
    // A master.cf of ours may hold listeners alone; one that has some of these is meant for Postfix.
    if !NEEDED.iter().any(|(name, _)| has(name)) {
        return;
    }
    let Some(place) = subject.master.file().map(|file| Place::new(file, 0, 0)) else { return };
    for (name, line) in NEEDED.into_iter().filter(|(name, _)| !has(name)) {
        let message = format!("Postfix needs a service `{name}` that master.cf doesn't have");
        found.push(
            Diagnostic::hint(235, place.clone(), message)
                .help(format!("Komainu has it built in; for Postfix add `{line}`")),
        );
    }
}

/// `\` among the words that another program is started with.
fn backslashes(subject: &Subject<'_>, found: &mut Vec<Diagnostic>) {
    for word in subject.master.services.iter().flat_map(|service| &service.arguments) {
        if word.value == "\\" {
            let diagnostic = Diagnostic::warning(
                132,
                word.place.clone(),
                "a backslash at the end of a line is an argument",
            );
            let help = "delete it: the next line continues this one if it begins with white space";
            found.push(super::fixed(diagnostic.help(help), word, ""));
        }
    }
}

fn limits(subject: &Subject<'_>, listeners: &[Listener<'_>], found: &mut Vec<Diagnostic>) {
    for service in &subject.master.services {
        if service.role() == Role::Postscreen && service.process_limit != Some(1) {
            let name = &service.name.value;
            let message =
                format!("Postfix would take nobody on {name}: postscreen wants a process limit of 1");
            found.push(
                Diagnostic::hint(236, service.name.place.clone(), message)
                    .help("write `1` in the seventh column. Komainu has no such limit"),
            );
        }
    }
    for listener in listeners {
        let service = listener.service;
        if service.role() == Role::Smtpd && service.process_limit == Some(1) {
            let message = format!("Postfix would take one client at a time on {}", service.name.value);
            found.push(Diagnostic::hint(236, service.name.place.clone(), message).help(
                "a process limit of 1 is postscreen's, not smtpd's; write `-` in the seventh column. Komainu has no \
                 such limit",
            ));
        }
    }
}

/// `chroot=` of pipe(8).
fn other_roots(subject: &Subject<'_>, found: &mut Vec<Diagnostic>) {
    for service in subject.master.services.iter().filter(|service| service.role() == Role::Pipe) {
        let words = service.arguments.iter().take_while(|word| !word.value.starts_with("argv="));
        for word in words.filter(|word| word.value.starts_with("chroot=")) {
            let name = &service.name.value;
            let message =
                format!("mail over `{name}` waits: its program would be started in another root folder");
            let help = "chroot= isn't served; take it out, and say in directory= where the program runs";
            found.push(Diagnostic::warning(240, word.place.clone(), message).help(help));
        }
    }
}

/// What Postfix's pipe(8), smtp(8) or lmtp(8) can't read on its line.
fn words(subject: &Subject<'_>, found: &mut Vec<Diagnostic>) {
    for service in &subject.master.services {
        let is_pipe = service.role() == Role::Pipe;
        if !is_pipe && !matches!(service.role(), Role::Smtp | Role::Lmtp) {
            continue;
        }
        let (name, program) = (&service.name.value, service.program());
        let stops = format!("mail over `{name}` stays in the queue: Postfix's {program}(8) stops at it");
        let mut say = |place: &Place, message: String, help: String| {
            found.push(Diagnostic::warning(523, place.clone(), message).help(help));
        };
        let mut is_argv = false;
        for word in &service.arguments {
            let (key, value) = word.value.split_once('=').unwrap_or((&word.value, ""));
            let begins = !is_argv && key.trim() == "argv";
            if is_argv || begins {
                let text = if begins { value } else { &word.value };
                for unknown in macros(text).into_iter().filter(|name| !is_pipe_macro(name)) {
                    let message = format!("{name}: `${{{unknown}}}` stands for nothing");
                    let help = format!(
                        "mail over `{name}` waits, and comes back after five days; `$$` is a plain dollar sign"
                    );
                    say(&word.place, message, help);
                }
            } else if key.trim() == "flags" {
                let is_known = |letter: char| {
                    if is_pipe { is_pipe_flag(letter) } else { is_client_flag(letter) }
                };
                let unknown: String = value.chars().filter(|letter| !is_known(*letter)).collect();
                if !unknown.is_empty() {
                    let known = if is_pipe { "BDFORXhqu.>" } else { "DORX" };
                    let message = format!("{name}: {program} has no flag `{unknown}`");
                    say(&word.place, message, format!("{stops}; its flags are `{known}`"));
                }
            } else if !is_pipe_attribute(key.trim()) && word.value != "\\" {
                let message = format!("{name}: `{}` is no attribute of {program}", word.value);
                say(&word.place, message, format!("{stops}; what the program gets stands behind `argv=`"));
            }
            is_argv |= begins;
        }
    }
}

/// The names behind dollar signs, in braces or not.
fn macros(text: &str) -> Vec<&str> {
    let mut names = Vec::new();
    let mut rest = text;
    while let Some((_, behind)) = rest.split_once('$') {
        if let Some(text) = behind.strip_prefix('$') {
            rest = text;
            continue;
        }
        let bracketed = |open, close| behind.strip_prefix(open).and_then(|text: &str| text.split_once(close));
        let (name, text) = bracketed('{', '}').or_else(|| bracketed('(', ')')).unwrap_or_else(|| {
            let end = behind.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(behind.len());
            behind.split_at_checked(end).unwrap_or((behind, ""))
        });
        names.push(name);
        rest = text;
    }
    names
}

fn chroot(listeners: &[Listener<'_>], found: &mut Vec<Diagnostic>) {
    for listener in listeners {
        let own = &listener.parameters;
        if listener.service.chroot != Some(true) {
            continue;
        }
        let queue = own.text("queue_directory").value;
        let mut paths = Vec::new();
        if listener.is_yes("smtpd_sasl_auth_enable") && own.text("smtpd_sasl_type").value == "dovecot" {
            paths.push(own.text("smtpd_sasl_path"));
        }
        paths.extend(own.list("smtpd_milters"));
        for path in paths {
            let bare = path.value.trim_start_matches("unix:").trim_start_matches("local:");
            if !bare.starts_with('/') {
                continue;
            }
            let inside = bare.strip_prefix(queue.as_str()).filter(|rest| rest.starts_with('/'));
            let better = match inside {
                Some(inside) => {
                    format!("write `{}`", path.value.replace(bare, inside.trim_start_matches('/')))
                }
                None => "write a path below the queue folder, or `n` in the fifth column of the service"
                    .to_owned(),
            };
            let message =
                format!("{bare} isn't there for the chrooted service {}", listener.service.name.value);
            found.push(
                Diagnostic::hint(237, path.place, message)
                    .help(format!("Postfix would look for {queue}{bare}; {better}. Komainu isn't chrooted")),
            );
        }
    }
}
