//! Files with passwords and keys that everybody may read.
//!
//! The tables of `smtp_sasl_password_maps`, the users' files of `smtpd_sasl_path`, what `mysql:`, `pgsql:`, `ldap:` and their like read their passwords from,
//! private keys, and main.cf itself where a password stands in it. A file of mode 600 that belongs to root is as it
//! should be: the server's helper reads it (T1.14). What lies in a folder that others can't enter is out of reach.
//! Diagnostics: K0501 a secret that everybody can read.

use super::named::{self, Table};
use super::tls::keys;
use super::{Machine, Scene};
use crate::authentication::internal;
use config::{Diagnostic, Parameters, Place, Spanned};
use std::collections::HashSet;
use std::path::{Path, PathBuf};
use tables::{Kind, TableSpec};

/// Accounts without rights: nobody's, and no group's.
const STRANGER: (u32, u32) = (u32::MAX - 1, u32::MAX - 1);
const PASSWORD_MAPS: [&str; 3] =
    ["smtp_sasl_password_maps", "lmtp_sasl_password_maps", "tls_server_sni_maps"];
/// Tables whose settings may hold a password.
const FOREIGN: [&str; 5] = ["mysql", "pgsql", "ldap", "mongodb", "memcache"];

/// A file that holds a secret.
struct Secret {
    path: PathBuf,
    place: Place,
    what: &'static str,
}

pub(super) fn review(scene: &Scene<'_>, machine: &Machine) -> Vec<Diagnostic> {
    let mut secrets = Vec::new();
    let mut found = Vec::new();
    let settings = named::settings(scene);
    for setting in settings.iter().filter(|setting| PASSWORD_MAPS.contains(&setting.name.as_str())) {
        let specs = setting.words.iter().filter_map(|word| TableSpec::parse(word).ok());
        found.extend(specs.flat_map(named::flat).filter_map(|spec| written_down(&spec, machine)));
    }
    for table in named::tables(&settings) {
        secrets.extend(passwords(&table, machine));
    }
    for p in scene.views() {
        let with_key = |file: &Spanned<String>| holds(machine, Path::new(&file.value), b"PRIVATE KEY-----");
        let keys = keys(p).into_iter().filter(with_key);
        secrets.extend(keys.map(|file| Secret {
            path: PathBuf::from(file.value),
            place: file.place,
            what: "a private key",
        }));
    }
    secrets.extend(scene.servers.iter().flat_map(|server| users(&server.parameters)));
    let mut seen = HashSet::new();
    secrets.retain(|secret| seen.insert(secret.path.clone()) && is_open(machine, &secret.path));
    found.extend(secrets.iter().map(|Secret { path, place, what }| {
        let path = path.display();
        let message = format!("everybody on this machine may read {path}, which holds {what}");
        Diagnostic::error(501, place.clone(), message).help(format!(
            "chmod 600 {path}, and give it to root; take what stood in it for known: change it"
        ))
    }));
    found
}

/// The users' files of `smtpd_sasl_type = internal`.
fn users(p: &Parameters) -> Vec<Secret> {
    let is_internal = p.text("smtpd_sasl_type").value.trim() == "internal";
    if !is_internal || !p.flag("smtpd_sasl_auth_enable") {
        return Vec::new();
    }
    let files = internal::words(p).into_iter().filter_map(|(word, kind)| match kind {
        internal::Word::File(path) => Some(Secret { path, place: word.place, what: "users' passwords" }),
        _ => None,
    });
    files.collect()
}

/// The files of a table that hold secrets.
fn passwords(table: &Table, machine: &Machine) -> Vec<Secret> {
    let place = || table.spec.place.clone();
    if table.spec.kind == Kind::Foreign {
        let is_secret = || machine.bytes(&table.path).is_ok_and(|bytes| has_password(&bytes));
        let kinds = FOREIGN.contains(&table.spec.type_name.as_str());
        let secret = Secret { path: table.path.clone(), place: place(), what: "a password" };
        return if kinds && is_secret() { vec![secret] } else { Vec::new() };
    }
    if !PASSWORD_MAPS.contains(&table.parameter.as_str()) {
        return Vec::new();
    }
    // The text of tls_server_sni_maps names the files of the keys, its database holds them.
    let names_keys = table.parameter == "tls_server_sni_maps";
    let what = if names_keys { "private keys" } else { "passwords" };
    let text = (!names_keys).then(|| table.path.clone());
    let paths = text.into_iter().chain(table.databases());
    paths.map(|path| Secret { path, place: place(), what }).collect()
}

/// Whether everybody can read `path`: its own mode, and every folder on the way.
fn is_open(machine: &Machine, path: &Path) -> bool {
    let (uid, gid) = STRANGER;
    machine.stat(path).is_some_and(|stat| stat.is_file() && stat.allows(uid, gid, 4))
        && machine.closed_folder(path, STRANGER).is_none()
}

fn holds(machine: &Machine, path: &Path, what: &[u8]) -> bool {
    machine.bytes(path).is_ok_and(|bytes| bytes.windows(what.len()).any(|window| window == what))
}

/// Whether a mysql_table(5), pgsql_table(5), ldap_table(5) or mongodb_table(5) file holds a password.
fn has_password(text: &[u8]) -> bool {
    String::from_utf8_lossy(text).lines().any(|line| {
        let Some((name, value)) = line.split_once('=') else { return false };
        match name.trim() {
            "password" | "bind_pw" => !value.trim().is_empty(),
            "uri" | "hosts" => value.contains("://") && value.contains('@'),
            _ => false,
        }
    })
}

/// A password that stands in main.cf or master.cf itself: `static:user:password`.
fn written_down(spec: &TableSpec, machine: &Machine) -> Option<Diagnostic> {
    if !matches!(spec.kind, Kind::Static | Kind::Inline) {
        return None;
    }
    let file = spec.place.path().filter(|path| is_open(machine, path))?;
    let message =
        format!("a password stands in {}, which everybody on this machine may read", file.display());
    Some(Diagnostic::error(501, spec.place.clone(), message).help(
        "write it into a file of mode 600 that belongs to root, and name that: \
         smtp_sasl_password_maps = hash:/etc/postfix/sasl_passwd",
    ))
}

#[cfg(test)]
mod tests {
    use super::has_password;

    #[test]
    fn passwords_in_settings() {
        let check = |text: &str, expect: bool| assert_eq!(has_password(text.as_bytes()), expect, "{text}");
        check("user = postfix\npassword = secret\n", true);
        check("hosts = localhost\nuser = x\npassword =\n", false);
        check("#password\nquery = SELECT password FROM x\n", false);
        check("server_host = ldap://localhost\nbind_pw = x\n", true);
        check("uri = mongodb://u:p@localhost\n", true);
    }
}
