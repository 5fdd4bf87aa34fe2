//! Services of master.cf: what Postfix needs and the file doesn't have, limits of one process, paths that a chrooted
//! service doesn't see.
//!
//! Komainu needs none of these lines and runs nothing chrooted: what is said here is what Postfix would do. K0235 a
//! service that Postfix needs, K0132 a backslash, K0236 a process limit, K0237 a path outside of the chroot, K0240 a
//! program that is to be started in another root folder, which isn't served.

use super::{Listener, Subject};
use crate::{Diagnostic, Place, Role, ServiceKind};

pub(super) fn review(subject: &Subject<'_>, listeners: &[Listener<'_>], found: &mut Vec<Diagnostic>) {
    missing(subject, found);
    backslashes(subject, found);
    limits(subject, listeners, found);
    chroot(listeners, found);
    other_roots(subject, found);
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
