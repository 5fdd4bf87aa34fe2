//! Where mail is written: `virtual_mailbox_base`, `mail_spool_directory`, `komainu_mailbox_root`, and as whom.
//!
//! Recipients' own folders aren't looked at: there may be thousands, and they are made when mail comes.
//! Diagnostics: K0529 mail for root that nobody reads, K0535 a folder for mailboxes that is missing or can't be written, K0536 virtual users below
//! virtual_minimum_uid.

use super::{Machine, Scene, Sight, accounts, scene};
use config::{Diagnostic, Spanned};
use std::path::Path;
use tables::TableSpec;

pub(super) fn review(scene: &Scene<'_>, machine: &Machine) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    found.extend(virtual_base(scene, machine));
    found.extend(virtual_uid(scene));
    found.extend(mail_for_root(scene, machine));
    let p = scene.main;
    for name in ["mail_spool_directory", "komainu_mailbox_root"] {
        let Some(word) = scene::word(p, name).filter(|_| p.is_set(name)) else { continue };
        let owner = (name == "komainu_mailbox_root").then(|| accounts::server(scene, machine).1).flatten();
        found.extend(folder(name, &word, owner, machine));
    }
    found
}

const CONSEQUENCE: &str = "mail for them waits in the queue, and comes back after five days";

/// A folder that must be there, and where `owner` must be able to make others, if it is known.
fn folder(
    name: &str,
    word: &Spanned<String>,
    owner: Option<(u32, u32)>,
    machine: &Machine,
) -> Option<Diagnostic> {
    let path = Path::new(&word.value);
    let said = |message: String, help: String| {
        Some(Diagnostic::warning(535, word.place.clone(), message).help(format!("{CONSEQUENCE}; {help}")))
    };
    let (uid, gid) = owner.unwrap_or((0, 0));
    let made_by_owner = name == "komainu_mailbox_root";
    match machine.sight(path) {
        Sight::Hidden => None,
        Sight::Missing if made_by_owner => {
            let above = path.ancestors().skip(1).find_map(|above| Some((above, machine.stat(above)?)));
            let (above, stat) = above?;
            if stat.is_folder() && stat.allows(uid, gid, 3) {
                return None;
            }
            let message =
                format!("{name} isn't there, and the server may not make it in {}", above.display());
            said(message, format!("install -d -o {uid} -g {gid} -m 700 {}", path.display()))
        }
        Sight::Missing => {
            said(format!("{name} = {} isn't there", word.value), format!("mkdir {}", path.display()))
        }
        Sight::Seen(stat) if !stat.is_folder() && word.value.ends_with('/') => {
            said(format!("{name} = {} is no folder", word.value), "name a folder".to_owned())
        }
        Sight::Seen(stat) if stat.is_folder() && !stat.allows(uid, gid, 3) => {
            let message = format!("{name} = {}: user {uid} may not write there", word.value);
            said(message, format!("chown {uid}:{gid} {}", path.display()))
        }
        Sight::Seen(_) => machine.closed_folder(path, (uid, gid)).and_then(|closed| {
            let message = format!("{name} = {}: user {uid} may not enter {}", word.value, closed.display());
            said(message, format!("chmod o+x {}", closed.display()))
        }),
    }
}

/// Root's mail where it is nobody else's: nothing is written as root.
fn mail_for_root(scene: &Scene<'_>, machine: &Machine) -> Option<Diagnostic> {
    let p = scene.main;
    let is_empty = |name: &str| p.text(name).value.trim().is_empty();
    let goes_elsewhere =
        ["mailbox_transport", "mailbox_transport_maps", "mailbox_command", "mailbox_command_maps"];
    let is_local = p.text("local_transport").value.split(':').next() == Some("local");
    if !is_local
        || is_empty("mydestination")
        || !is_empty("komainu_mailbox_root")
        || !goes_elsewhere.iter().all(|name| is_empty(name))
        || !matches!(machine.sight(Path::new("/root/.forward")), Sight::Missing)
    {
        return None;
    }
    // What can't be read may have it.
    let has = |name: &str, is_root: &dyn Fn(&str) -> bool| -> Option<bool> {
        let mut found = false;
        for word in p.list(name) {
            found |= keys(&word, machine)?.iter().any(|key| is_root(key));
        }
        Some(found)
    };
    let aliases = p.list("alias_maps");
    let first = aliases.first()?;
    let is_there = has("alias_maps", &|key| key == "root")?
        || has("virtual_alias_maps", &|key| key == "root" || key.starts_with("root@"))?;
    let path = TableSpec::parse(first).ok().and_then(|spec| spec.path());
    let file = path.map_or_else(|| first.value.clone(), |path| path.display().to_string());
    let message =
        "mail for root waits: no alias says who reads it, and nothing is written as root".to_owned();
    let help = format!(
        "so does what other aliases have for root, postmaster's as a rule, and it comes back after five days; add \
         `root: YOU` to {file}. Postfix writes root's mailbox"
    );
    (!is_there).then(|| Diagnostic::warning(529, scene::place(p, "alias_maps"), message).help(help))
}

/// A table's keys, in lower case and without quotes; `None` where they can't be seen.
fn keys(table: &Spanned<String>, machine: &Machine) -> Option<Vec<String>> {
    let spec = TableSpec::parse(table).ok()?;
    if spec.type_name == "nis" {
        return Some(Vec::new());
    }
    if spec.type_name == "inline" {
        return Some(spec.pairs().ok()?.into_iter().map(|(key, _)| key.to_lowercase()).collect());
    }
    if !matches!(spec.type_name.as_str(), "hash" | "btree" | "texthash" | "lmdb" | "cdb" | "dbm" | "sdbm") {
        return None;
    }
    let text = machine.text(&spec.path()?.display().to_string())?;
    let lines = text.lines().filter(|line| !line.starts_with(['#', ' ', '\t']));
    let key = |line: &str| {
        let key = line.split([':', ' ', '\t']).next().unwrap_or_default();
        key.trim_matches('"').to_lowercase()
    };
    Some(lines.map(key).collect())
}

/// The one number of `static:5000`.
fn constant(scene: &Scene<'_>, name: &str) -> Option<(u32, Spanned<String>)> {
    let words = scene.main.list(name);
    let [word] = words.as_slice() else { return None };
    let number = word.value.strip_prefix("static:")?.parse().ok()?;
    Some((number, word.clone()))
}

fn delivers_virtual(scene: &Scene<'_>) -> bool {
    let p = scene.main;
    let transport = p.text("virtual_transport").value;
    !p.list("virtual_mailbox_domains").is_empty() && matches!(transport.as_str(), "virtual" | "virtual:")
}

fn virtual_base(scene: &Scene<'_>, machine: &Machine) -> Option<Diagnostic> {
    if !delivers_virtual(scene) {
        return None;
    }
    let base = scene::word(scene.main, "virtual_mailbox_base")?;
    let uid = constant(scene, "virtual_uid_maps").map(|(uid, _)| uid);
    let gid = constant(scene, "virtual_gid_maps").map(|(gid, _)| gid);
    let owner = uid.zip(gid);
    let found = folder("virtual_mailbox_base", &base, owner, machine)?;
    // The administrator may have made the folders in it, and given them away.
    let given_away = owner.is_some_and(|(uid, gid)| {
        machine.names_in(&base.value).iter().any(|name| {
            let stat = machine.stat(&Path::new(&base.value).join(name));
            stat.is_some_and(|stat| stat.is_folder() && stat.allows(uid, gid, 3))
        })
    });
    (!given_away).then_some(found)
}

fn virtual_uid(scene: &Scene<'_>) -> Option<Diagnostic> {
    if !delivers_virtual(scene) {
        return None;
    }
    let (uid, word) = constant(scene, "virtual_uid_maps")?;
    let least = u32::try_from(scene.main.number("virtual_minimum_uid")).ok()?;
    (uid < least).then(|| {
        let message = format!("virtual_uid_maps gives user {uid}, below virtual_minimum_uid = {least}");
        Diagnostic::error(536, word.place, message).help(
            "all mail for virtual mailboxes waits, and comes back after five days: take a user of its own",
        )
    })
}
