//! Files with passwords and keys that everybody may read.
//!
//! The tables of `smtp_sasl_password_maps`, what `mysql:`, `pgsql:`, `ldap:` and their like read their passwords from,
//! private keys, and main.cf itself where a password stands in it. A file of mode 600 that belongs to root is as it
//! should be: the server's helper reads it (T1.14). What lies in a folder that others can't enter is out of reach.
//! Diagnostics: K0501 a secret that everybody can read.

use super::tls::keys;
use super::{Machine, Scene};
use config::{Diagnostic, Parameters, Place, Spanned};
use std::collections::HashSet;
use std::path::{Path, PathBuf};
use tables::{Kind, TableSpec};

/// Accounts without rights: nobody's, and no group's.
const STRANGER: (u32, u32) = (u32::MAX - 1, u32::MAX - 1);
const PASSWORD_MAPS: [&str; 3] =
    ["smtp_sasl_password_maps", "lmtp_sasl_password_maps", "tls_server_sni_maps"];
/// How such tables are written in main.cf.
const FOREIGN: [&str; 5] = ["mysql:", "pgsql:", "ldap:", "mongodb:", "memcache:"];

/// A file that holds a secret.
struct Secret {
    path: PathBuf,
    place: Place,
    what: &'static str,
}

pub(super) fn review(scene: &Scene<'_>, machine: &Machine) -> Vec<Diagnostic> {
    let mut secrets = Vec::new();
    let mut found = Vec::new();
    for p in scene.views() {
        for name in PASSWORD_MAPS {
            for spec in specs(p, name) {
                found.extend(written_down(&spec, machine));
                let paths = spec.path().into_iter().chain(spec.database());
                let what = if name == "tls_server_sni_maps" { "private keys" } else { "passwords" };
                let paths = paths.filter(|path| what == "passwords" || is_database(path));
                secrets.extend(paths.map(|path| Secret { path, place: spec.place.clone(), what }));
            }
        }
        secrets.extend(foreign(p, machine));
        let with_key = |file: &Spanned<String>| holds(machine, Path::new(&file.value), b"PRIVATE KEY-----");
        let keys = keys(p).into_iter().filter(with_key);
        secrets.extend(keys.map(|file| Secret {
            path: PathBuf::from(file.value),
            place: file.place,
            what: "a private key",
        }));
    }
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

fn specs(p: &Parameters, name: &str) -> Vec<TableSpec> {
    let words = p.list(name).into_iter();
    words.filter_map(|word| TableSpec::parse(&word).ok()).flat_map(flat).collect()
}

fn flat(spec: TableSpec) -> Vec<TableSpec> {
    if spec.members.is_empty() { vec![spec] } else { spec.members.into_iter().flat_map(flat).collect() }
}

fn is_database(path: &Path) -> bool {
    path.extension().is_some_and(|suffix| suffix == "db" || suffix == "lmdb" || suffix == "cdb")
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

/// What the tables of databases and directories read, where a password stands in it.
fn foreign(p: &Parameters, machine: &Machine) -> Vec<Secret> {
    let names_one = |text: &str| FOREIGN.iter().any(|kind| text.contains(kind));
    let names = p.definitions().filter(|(_, raw)| names_one(&raw.value)).map(|(name, _)| name);
    let specs = names.flat_map(|name| specs(p, name)).filter(|spec| spec.kind == Kind::Foreign);
    let files = specs.filter(|spec| spec.name.starts_with('/'));
    let secrets =
        files.map(|spec| Secret { path: PathBuf::from(&spec.name), place: spec.place, what: "a password" });
    secrets.filter(|secret| machine.bytes(&secret.path).is_ok_and(|bytes| has_password(&bytes))).collect()
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
