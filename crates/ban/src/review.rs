//! What is legal and surely not meant: one section in several files, T2.18.
//!
//! A jail's section in jail.conf and again in jail.local or jail.d is the usual way to change it. The same option in
//! two of the administrator's own files is not: one of them has no effect, and its writer doesn't know.

use crate::filter::Filter;
use crate::jail::{By, Settings};
use crate::jails::{Action, Jail};
use crate::layers::{Layers, Value};
use config::diagnostic::Diagnostic;
use std::path::Path;

/// Finds files of jail.d that are headed by another jail's name: the file and its filter are named for a stock jail that
/// nothing else switches on, and the section has its own filter elsewhere. They are read as what they are named for, so
/// that both jails run.
pub(crate) fn misheaded(layers: &mut Layers, found: &mut Vec<Diagnostic>) {
    let mut wrong = Vec::new();
    for (section, options) in &layers.sections {
        let Some(value) = options.find("filter") else { continue };
        let Some(before) = value.before.as_deref() else { continue };
        let Some(path) = value.place.path() else { continue };
        let stem = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or("");
        let is_named = stem == value.text.trim() && stem != section && before.text.trim() != stem;
        let is_free = layers
            .section(stem)
            .is_some_and(|options| options.iter().all(|(_, value)| !is_own(value) || is_copied(value)));
        if is_named && is_free && is_own(value) && is_own(before) {
            wrong.push((
                path.to_owned(),
                section.clone(),
                stem.to_owned(),
                value.place.clone(),
                before.place.clone(),
            ));
        }
    }
    for (path, section, stem, place, before) in wrong {
        layers.rehead(&path, &section, &stem);
        let message = format!(
            "section [{section}] stands in two files; this one, of the filter {stem}, is read as [{stem}]"
        );
        found.push(Diagnostic::warning(609, place, message).help(format!(
            "write [{stem}] over it; fail2ban would replace the filter at {before}, and have no jail {stem}"
        )));
    }
}

/// Finds options that two of the administrator's own files set differently.
pub(crate) fn sections(layers: &Layers, found: &mut Vec<Diagnostic>) {
    for (section, options) in &layers.sections {
        for (name, value) in options.iter() {
            let Some(before) = value.before.as_deref() else { continue };
            let known = format!("%(known/{name})s");
            let is_meant = value.text == before.text || value.text.to_lowercase().contains(&known);
            if is_meant || !is_own(value) || !is_own(before) {
                continue;
            }
            let message =
                format!("section [{section}] stands in two files, and here replaces `{name}` of the other");
            found.push(Diagnostic::warning(609, value.place.clone(), message).help(format!(
                "`{}` at {} has no effect; give this section the name of its jail, or set the option once",
                before.text.lines().next().unwrap_or(""),
                before.place
            )));
        }
    }
}

/// Whether it says only what the file before says: jail.local is often a copy of jail.conf.
fn is_copied(value: &Value) -> bool {
    value
        .before
        .as_deref()
        .is_some_and(|before| before.text == value.text && (!is_own(before) || is_copied(before)))
}

/// Whether the administrator wrote it: jail.local, and what is in jail.d but Debian's own file there.
fn is_own(value: &Value) -> bool {
    let Some(path) = value.place.path() else { return false };
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or("");
    let folder = path.parent().and_then(Path::file_name).and_then(|name| name.to_str()).unwrap_or("");
    name == "jail.local" || (folder == "jail.d" && name != "defaults-debian.conf")
}

/// What a jail says that has no effect, a `port` that its actions don't use, and what is wrong with the actions.
#[must_use]
pub fn review_of(jail: &Jail) -> Vec<Diagnostic> {
    let mut found = crate::action::review_of(jail);
    found.extend(port_of(jail));
    found.extend(name_of(jail));
    found
}

fn name_of(jail: &Jail) -> Option<Diagnostic> {
    let plain = crate::action::plain_name(&jail.name)?;
    let message = format!("[{}] has characters in its name that a shell reads", jail.name);
    let place = jail.place.clone().unwrap_or(config::Place::nowhere());
    let help =
        format!("its actions call it `{plain}`; give the section a name of letters, digits, `-` and `_`");
    Some(Diagnostic::warning(674, place, message).help(help))
}

/// A jail that counts accounts or passwords by a filter that captures none: its lines count for nothing.
#[must_use]
pub fn uncounted(jail: &Jail, filter: &Filter) -> Option<Diagnostic> {
    let wide = Settings::of(jail).0.wide?;
    let (what, names, tag): (_, &[&str], _) = match wide.by {
        By::Prefix(..) => return None,
        By::Account => ("account", &["user", "alt_user"], "F-USER"),
        By::Password => ("password", &["password"], "F-PASSWORD"),
    };
    if filter.captures(names) {
        return None;
    }
    let message = format!(
        "[{}] has `komainu_count = {what}`, and its filter captures no {what}: lines of a log count for nothing",
        jail.name
    );
    Some(Diagnostic::warning(672, jail.place("komainu_count"), message).help(format!(
        "write `<{tag}>\\S+</{tag}>` where the {what} stands in `failregex`; in `komainu serve`, its own log-ins that fail \
         bring their {what} along, whatever the filter captures"
    )))
}

fn port_of(jail: &Jail) -> Vec<Diagnostic> {
    let Some(port) = jail.option("port").map(str::trim) else { return Vec::new() };
    if matches!(port, "" | "0:65535" | "all" | "any") {
        return Vec::new();
    }
    let ignores = |action: &Action| {
        let is_told = action.parameters.iter().any(|(name, value)| name == "port" && value == port);
        is_told && action.python.is_none() && !action.commands.iter().any(|(_, text)| text.contains(port))
    };
    let told = jail.actions.iter().filter(|action| ignores(action));
    told.map(|action| {
        let message =
            format!("[{}] has `port = {port}`, and its action {} shuts all ports", jail.name, action.file);
        Diagnostic::hint(637, jail.place("port"), message)
            .help("remove the port, or take an action for ports: iptables-multiport, nftables-multiport")
    })
    .collect()
}
