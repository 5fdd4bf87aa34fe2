//! The folders that the server writes to, and the room in them: state folder, queue_directory.
//!
//! Diagnostics: K0540 a queue_directory that others can change, K0541 too little room, K0542 a state folder that
//! can't be used.

use super::{Machine, Scene, Sight, scene};
use crate::configuration::state_directory;
use config::{Diagnostic, Place};
use std::path::{Path, PathBuf};

pub(super) fn review(scene: &Scene<'_>, machine: &Machine) -> Vec<Diagnostic> {
    let named = scene::word(scene.main, "komainu_state_directory");
    let place = named.as_ref().map_or_else(Place::nowhere, |word| word.place.clone());
    let state = named.map_or_else(state_directory, |word| PathBuf::from(word.value));
    let mut found: Vec<Diagnostic> = queue_directory(scene, machine).into_iter().collect();
    found.extend(state_folder(&state, &place, machine));
    if let Some(free) = machine.free_bytes(&state) {
        let number = |name| u64::try_from(scene.main.number(name)).unwrap_or(0);
        let (least, largest) = (number("queue_minfree"), number("message_size_limit"));
        let place =
            scene::place(scene.main, if free < least { "queue_minfree" } else { "message_size_limit" });
        found.extend(space(free, (least, largest), &state, place));
    }
    found
}

fn queue_directory(scene: &Scene<'_>, machine: &Machine) -> Option<Diagnostic> {
    let path = scene.queue_directory();
    let place = scene::place(scene.main, "queue_directory");
    let shown = path.display();
    let help =
        "who can write there puts a socket of their own in the place of a policy service's or Dovecot's";
    match machine.sight(&path) {
        Sight::Seen(stat) if stat.mode & 0o002 != 0 => {
            let message = format!("everybody may write to queue_directory, {shown}");
            Some(Diagnostic::error(540, place, message).help(format!("{help}: chmod o-w {shown}")))
        }
        Sight::Seen(stat) if stat.uid != 0 && stat.uid != machine.user => {
            let message = format!("queue_directory, {shown}, doesn't belong to root");
            Some(Diagnostic::warning(540, place, message).help(format!("{help}: chown root {shown}")))
        }
        _ => None,
    }
}

/// The folder, or the nearest one above it that is there.
fn state_folder(state: &Path, place: &Place, machine: &Machine) -> Option<Diagnostic> {
    let (there, stat) = state.ancestors().find_map(|path| Some((path, machine.stat(path)?)))?;
    let shown = there.display();
    // Whose it is, is no matter: root gives it to the server's account at each start.
    (!stat.is_folder()).then(|| {
        let message = format!("{shown} is no folder: the state folder can't be there");
        let help = "the server doesn't start; name another one in komainu_state_directory";
        Diagnostic::error(542, place.clone(), message).help(help)
    })
}

fn space(free: u64, (least, largest): (u64, u64), state: &Path, place: Place) -> Option<Diagnostic> {
    let shown = state.display();
    let mib = |bytes: u64| format!("{:.1} MiB", bytes as f64 / 1_048_576.0);
    if free < least {
        let message = format!("{} are free for {shown}, less than queue_minfree ({})", mib(free), mib(least));
        let help = "all mail is refused with 452 4.3.1; make room";
        return Some(Diagnostic::error(541, place, message).help(help));
    }
    let wanted = largest.saturating_add(largest / 2);
    (free < wanted).then(|| {
        let message = format!(
            "{} are free for {shown}, less than one and a half times message_size_limit ({})",
            mib(free),
            mib(largest)
        );
        let help = "large mail is refused with 452 4.3.1, and Postfix refuses all; make room";
        Diagnostic::warning(541, place, message).help(help)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room() {
        const MIB: u64 = 1_048_576;
        let check = |free: u64, least: u64, largest: u64, expect: &str| {
            let found = space(free, (least, largest), Path::new("/v"), Place::nowhere());
            let said = found.map(|one| format!("{}: {}", one.severity, one.message)).unwrap_or_default();
            assert!(if expect.is_empty() { said.is_empty() } else { said.starts_with(expect) }, "{said}");
        };
        check(100 * MIB, 0, 10 * MIB, "");
        check(100 * MIB, 99 * MIB, 10 * MIB, "");
        check(100 * MIB, 101 * MIB, 10 * MIB, "error: 100.0 MiB are free for /v, less than queue_minfree");
        check(14 * MIB, 0, 10 * MIB, "warning: 14.0 MiB are free for /v, less than one and a half");
        check(0, 0, 0, "");
        check(u64::MAX, u64::MAX, u64::MAX, "");
    }
}
