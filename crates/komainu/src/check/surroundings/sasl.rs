//! Who checks passwords: `smtpd_sasl_type` and `smtpd_sasl_path`.
//!
//! A Dovecot socket is tried by [`sockets`](super::sockets); here is what to say when nobody serves it, and a
//! `cyrus` on a machine where only Dovecot is, or a service without a file of PAM's.
//! Diagnostics: K0520 a SASL path that nobody serves, K0521 cyrus without Cyrus SASL, K0522 no rules of PAM's.

use super::endpoints::{Target, inet, unix, with_transport};
use super::reach::Reach;
use super::{Machine, Scene, scene};
use crate::authentication::internal::{self, Word};
use crate::privileged::Keeper;
use config::{Diagnostic, Parameters};
use std::collections::BTreeMap;
use std::path::Path;

/// Where Dovecot's own configuration is.
const DOVECOT: [&str; 4] = [
    "/etc/dovecot/local.conf",
    "/etc/dovecot/conf.d/10-master.conf",
    "/etc/dovecot/dovecot.conf",
    "/usr/local/etc/dovecot/dovecot.conf",
];
/// Where Cyrus SASL looks for `smtpd.conf`.
const CYRUS: [&str; 5] =
    ["/etc/postfix/sasl", "/etc/sasl2", "/usr/lib/sasl2", "/usr/lib64/sasl2", "/usr/local/lib/sasl2"];

/// Where services of PAM's have their rules.
const PAM: [&str; 2] = ["/etc/pam.d", "/usr/lib/pam.d"];

/// Whether logins are taken by way of Dovecot's protocol.
pub(super) fn asks_dovecot(p: &Parameters) -> bool {
    p.flag("smtpd_sasl_auth_enable") && p.text("smtpd_sasl_type").value.trim() == "dovecot"
}

/// Where Dovecot is asked.
pub(super) fn target(scene: &Scene<'_>, p: &Parameters) -> Option<Target> {
    let path = p.text("smtpd_sasl_path").value;
    let path = path.trim();
    if path.starts_with("inet:") || path.starts_with("unix:") {
        return with_transport(scene, path);
    }
    match path.rsplit_once(':') {
        Some((host, port)) if !path.contains('/') => inet(scene, host, port),
        _ => unix(scene, path),
    }
}

/// What to say where nobody is there.
pub(super) fn nobody(
    (p, target): (&Parameters, &Target),
    (reached, account): (&Reach, &str),
    machine: &Machine,
    why: &str,
) -> Diagnostic {
    let place = scene::place(p, "smtpd_sasl_path");
    let place = if place.file.is_some() { place } else { scene::place(p, "smtpd_sasl_type") };
    let message = format!("nobody checks passwords: {why}");
    let consequence = "every login fails with 454 4.7.0";
    let help = match (target, reached) {
        (Target::Unix(path), Reach::KeptOut(folder)) if folder != path => format!(
            "{consequence}; let Dovecot listen in a folder that {account} may enter, for example unix_listener \
             /run/dovecot/auth-smtp {{ mode = 0660, user = {account}, group = {account} }}, and write \
             smtpd_sasl_path = /run/dovecot/auth-smtp"
        ),
        (Target::Unix(path), _) => {
            match listeners(machine).into_iter().find(|one| Path::new(one) != path.as_path()) {
                Some(other) if machine.stat(Path::new(&other)).is_some_and(super::Stat::is_socket) => {
                    format!("{consequence}; Dovecot listens on {other}: name that in smtpd_sasl_path")
                }
                _ => format!(
                    "{consequence}; let Dovecot listen there, in \"service auth\": unix_listener {} {{ mode = 0660, \
                 user = {account}, group = {account} }}, each on its own line",
                    path.display()
                ),
            }
        }
        (Target::Inet(_), _) => {
            format!("{consequence}; let Dovecot listen there: \"service auth\" with an inet_listener")
        }
    };
    Diagnostic::error(520, place, message).help(help)
}

/// The authentication sockets that Dovecot's configuration names for others.
fn listeners(machine: &Machine) -> Vec<String> {
    let texts = DOVECOT.iter().filter_map(|path| machine.text(path));
    texts.flat_map(|text| listeners_in(&text)).collect()
}

fn listeners_in(text: &str) -> Vec<String> {
    let paths = text.lines().filter_map(|line| {
        let path = line.trim().strip_prefix("unix_listener")?.trim().trim_end_matches('{').trim();
        let name = path.rsplit('/').next()?;
        (path.starts_with('/') && name.contains("auth") && !name.contains("userdb")).then(|| path.to_owned())
    });
    paths.collect()
}

pub(super) fn review(scene: &Scene<'_>, machine: &Machine) -> Vec<Diagnostic> {
    let mut found = without_cyrus(scene, machine);
    found.extend(without_rules(scene, machine));
    found
}

/// Services that PAM has no file for, each once.
fn without_rules(scene: &Scene<'_>, machine: &Machine) -> Vec<Diagnostic> {
    let asks = |p: &&Parameters| {
        p.flag("smtpd_sasl_auth_enable") && p.text("smtpd_sasl_type").value.trim() == "internal"
    };
    let mut missing = BTreeMap::new();
    for p in scene.servers.iter().map(|server| &server.parameters).filter(asks) {
        for (word, kind) in internal::words(p) {
            let Word::System(Keeper::Pam(service)) = kind else { continue };
            let is_missing = |folder: &str| machine.is_missing(&Path::new(folder).join(&service));
            if internal::is_service(&service) && PAM.into_iter().all(is_missing) {
                missing.entry(service).or_insert(word.place);
            }
        }
    }
    let say = |(service, place)| {
        let message = format!("PAM has no rules for {service}: there is no /etc/pam.d/{service}");
        let help = format!(
            "it judges by /etc/pam.d/other, which lets in nobody, or whom the distribution likes; write \
             /etc/pam.d/{service} with the lines \"auth required pam_unix.so\" and \"account required pam_unix.so\""
        );
        Diagnostic::warning(522, place, message).help(help)
    };
    missing.into_iter().map(say).collect()
}

fn without_cyrus(scene: &Scene<'_>, machine: &Machine) -> Vec<Diagnostic> {
    let asks = |p: &&Parameters| {
        p.flag("smtpd_sasl_auth_enable") && p.text("smtpd_sasl_type").value.trim() == "cyrus"
    };
    let mut servers = scene.servers.iter().map(|server| &server.parameters).filter(asks);
    let Some(p) = servers.next() else { return Vec::new() };
    let dovecot = machine.stat(Path::new("/etc/dovecot/dovecot.conf")).is_some();
    let named = p.list("cyrus_sasl_config_path");
    let mut folders = named.iter().flat_map(|word| word.value.split(':')).chain(CYRUS);
    let cyrus = folders.any(|folder| machine.stat(&Path::new(folder).join("smtpd.conf")).is_some());
    if cyrus || !dovecot {
        return Vec::new();
    }
    let place = scene::place(p, "smtpd_sasl_type");
    let place = if place.file.is_some() { place } else { scene::place(p, "smtpd_sasl_auth_enable") };
    let message = "smtpd_sasl_type is cyrus, and this machine has no smtpd.conf of Cyrus SASL, but Dovecot";
    let help = "every login fails; write smtpd_sasl_type = dovecot and smtpd_sasl_path = private/auth";
    vec![Diagnostic::error(521, place, message).help(help)]
}

#[cfg(test)]
mod tests {
    use super::listeners_in;

    #[test]
    fn dovecots_listeners() {
        let text = "service auth {\n  unix_listener auth-userdb {\n  }\n  # unix_listener /x/auth {\n  \
                    unix_listener /var/spool/postfix/private/auth {\n    mode = 0666\n  }\n}\n";
        assert_eq!(listeners_in(text), ["/var/spool/postfix/private/auth"]);
    }
}
