//! `komainu check`: everything that can be known of a configuration before the first client comes.
//!
//! The loader's findings, the tables', and those of four rooms that judge what loads: `config::review` (names, values
//! and syntax that deceive), `tables::review` (lines judged by what the table is asked), `policy::review` (restriction
//! lists judged together) and here [`surroundings`] (files, rights, sockets) and [`online`] (the DNS, where asked
//! for). This file only joins them: what is wrong is said where it is known. A server's own start and reload don't
//! come here. T0.4, T1.4–T1.6, T1.10, T1.13, T1.14, T2.6, T2.11, T2.12, T2.15.

mod covered;
pub mod fuzz;
pub mod json;
pub mod lines;
mod lookups;
pub mod online;
pub mod pages;
pub mod repair;
mod restrictions;
pub mod rights;
pub mod sarif;
mod stream;
pub mod surroundings;
pub mod text;

use crate::configuration::{Configuration, LookingSources};
use config::{Code, Compat, Diagnostic, Host, Severity, SourceFile};
use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use surroundings::Machine;
use tables::source::notice::{NOT_SERVED, UNREADABLE};
use tables::{Snapshot, Sources, Vantage};

/// Everything that a review may look at; loaded once.
pub struct Subject<'a> {
    /// main.cf as written, parameters, services, catalogue of tables, listeners.
    pub configuration: &'a Configuration,
    /// Every table of the catalogue, compiled.
    pub tables: &'a Snapshot,
    /// Where files come from.
    pub sources: &'a dyn Sources,
}

/// How far it is looked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reach {
    /// What the files say by themselves: the configuration is for another machine.
    Paper,
    /// Files, sockets and certificates of this machine too.
    #[default]
    Machine,
    /// The DNS too: it may take some seconds.
    Online,
}

/// Loads what stands in `directory` and says all that is wrong with it: worst first, then by file and line.
#[must_use]
pub fn check(
    directory: &Path,
    compat: Compat,
    host: &Host,
    sources: &dyn Sources,
    reach: Reach,
) -> Vec<Diagnostic> {
    let vantage = if reach == Reach::Paper { Vantage::Elsewhere } else { Vantage::Looking };
    let machine = Machine::this(crate::clock::now().wall.seconds());
    let looking = LookingSources::new(sources, vantage);
    let sources: &dyn Sources = &looking;
    let (configuration, mut found) = Configuration::load_for(host, directory, compat, sources);
    let (tables, more) = Snapshot::compile(&configuration.catalogue, sources);
    found.extend(more);
    let subject = Subject { configuration: &configuration, tables: &tables, sources };
    found.extend(review(&subject));
    if reach >= Reach::Machine {
        found.extend(surroundings::review(&subject, &machine));
    }
    if reach >= Reach::Online {
        found.extend(online::review(&subject));
    }
    // On paper a table that isn't on this machine may well be on the other one.
    found.retain(|one| !is_nobodys(one) && (reach > Reach::Paper || !is_elsewhere(one)));
    rights::say_once(&mut found, &looking.denied(), &machine);
    covered::drop(&mut found);
    covered::fold(in_order(found))
}

/// What the pure rooms say of a configuration that is loaded. One line a room.
#[must_use]
pub fn review(subject: &Subject<'_>) -> Vec<Diagnostic> {
    let parameters = &subject.configuration.parameters;
    let mut found = config::review::review(&config::review::Subject {
        main: &subject.configuration.main,
        master: &subject.configuration.master,
        parameters,
    });
    found.extend(lookups::review(subject));
    found.extend(restrictions::review(subject));
    found
}

/// What the other machine may well have: a table, or lines of master.cf beside those that were handed over.
fn is_elsewhere(one: &Diagnostic) -> bool {
    const TRANSPORT: Code = Code(234);
    one.code.0 == UNREADABLE || one.code == TRANSPORT && one.severity == Severity::Hint
}

/// The default of alias_maps names `nis:`: nobody wrote that, and nobody can mend it.
fn is_nobodys(one: &Diagnostic) -> bool {
    one.code.0 == NOT_SERVED && one.place.file.is_none()
}

/// Each finding once; errors first, then by file, line and code.
#[must_use]
pub fn in_order(mut found: Vec<Diagnostic>) -> Vec<Diagnostic> {
    // Files by number: their paths are long, and the findings of a table may be a million.
    let mut numbers: HashMap<PathBuf, usize> = HashMap::new();
    let mut by_address: HashMap<*const SourceFile, usize> = HashMap::new();
    let mut seen = HashSet::new();
    found.retain(|one| {
        let number = one.place.file.as_ref().map(|file| {
            *by_address.entry(Arc::as_ptr(file)).or_insert_with(|| {
                let next = numbers.len();
                *numbers.entry(file.path.clone()).or_insert(next)
            })
        });
        seen.insert((one.code, number, one.place.start, one.message.clone()))
    });
    found.sort_by(|a, b| b.severity.cmp(&a.severity).then_with(|| spot(a).cmp(&spot(b))));
    found
}

/// Where a finding belongs among those of its severity.
fn spot(one: &Diagnostic) -> (u8, Option<&Path>, usize, Code) {
    (file_rank(one.place.file.as_deref()), one.place.path(), one.place.start, one.code)
}

/// main.cf, master.cf, other files, what no file holds.
fn file_rank(file: Option<&SourceFile>) -> u8 {
    match file.map(|file| file.path.file_name()) {
        Some(Some(name)) if name == "main.cf" => 0,
        Some(Some(name)) if name == "master.cf" => 1,
        Some(_) => 2,
        None => 3,
    }
}

#[cfg(test)]
mod tests;
