//! Where a jail's `failregex` stands: the file and line of the expression that matched.
//!
//! A filter's expressions come out of several files with texts put into each other. A line that stands in a file as it
//! is used is named itself; else the line where its option begins.

use crate::bans::files::Disk;
use ban::jails::{self, Jail};
use ban::layers::Files as _;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// An expression, and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Rule {
    pub(super) text: String,
    /// `file:line`.
    pub(super) place: String,
}

impl std::fmt::Display for Rule {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.place, self.text)
    }
}

/// The expressions of jails, read when they are asked for.
pub(super) struct Rules<'f> {
    folder: &'f Path,
    jails: BTreeMap<String, Vec<Rule>>,
}

impl<'f> Rules<'f> {
    pub(super) fn new(folder: &'f Path) -> Rules<'f> {
        Rules { folder, jails: BTreeMap::new() }
    }

    /// A jail's expression, counted from 0.
    pub(super) fn find(&mut self, jail: &str, rule: u32) -> Option<Rule> {
        let folder = self.folder;
        let rules = self.jails.entry(jail.to_owned()).or_insert_with(|| {
            let read = jails::read_with(&Disk, folder, &|name| name == jail);
            read.jails
                .iter()
                .find(|known| known.name == jail)
                .map(|jail| of(folder, jail))
                .unwrap_or_default()
        });
        rules.get(usize::try_from(rule).ok()?).cloned()
    }
}

fn of(folder: &Path, jail: &Jail) -> Vec<Rule> {
    let stem = folder.join("filter.d").join(&jail.filter_call.name);
    let mut files: Vec<PathBuf> = vec![folder.join("jail.local"), folder.join("jail.conf")];
    files.extend(Disk.list(&folder.join("jail.d")));
    for ending in ["local", "conf"] {
        let mut name = stem.as_os_str().to_owned();
        name.push(format!(".{ending}"));
        files.push(name.into());
    }
    let texts: Vec<(PathBuf, String)> =
        files.into_iter().filter_map(|path| Some((path.clone(), Disk.read(&path).ok()??))).collect();
    // The filter's own, behind those of the jails.
    let own = texts.iter().position(|(path, _)| path.starts_with(folder.join("filter.d")));
    let last = own.and_then(|own| texts.get(own..)).unwrap_or_default();
    let failregex = jail.filter.get("failregex").map_or("", String::as_str);
    jails::lines(failregex)
        .map(|rule| {
            let rule = rule.trim();
            let as_is = |line: &str| own_text(line) == rule;
            let begins = |line: &str| line.trim_start().starts_with("failregex");
            let place = find(&texts, as_is).or_else(|| find(last, begins));
            Rule { text: rule.to_owned(), place: place.unwrap_or_else(|| format!("{}.conf", stem.display())) }
        })
        .collect()
}

/// A line's value, with `%%` as it is meant.
fn own_text(line: &str) -> String {
    let line = line.trim();
    let value = line.strip_prefix("failregex").and_then(|rest| rest.trim_start().strip_prefix('='));
    value.unwrap_or(line).trim().replace("%%", "%")
}

fn find(texts: &[(PathBuf, String)], fits: impl Fn(&str) -> bool) -> Option<String> {
    texts.iter().find_map(|(path, text)| {
        let at = text.lines().position(&fits)?;
        Some(format!("{}:{}", path.display(), at + 1))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expressions_are_found_where_they_stand() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        write("jail.conf", "[DEFAULT]\nfilter = %(__name__)s\n[a]\n[b]\nfailregex = ^own <HOST>$\n");
        write(
            "filter.d/a.conf",
            "[Definition]\n_x = put in\nfailregex = ^one <HOST> 100%%$\n            ^two %(_x)s <HOST>$\n",
        );
        write("filter.d/b.conf", "[Definition]\nfailregex = ^other <HOST>$\n");
        let mut rules = Rules::new(folder.path());
        let mut check = |jail: &str, rule: u32, expect: Option<(&str, &str)>| {
            let found = rules.find(jail, rule);
            let path = |place: &str| folder.path().join(place).display().to_string();
            let expect = expect.map(|(text, place)| Rule { text: text.to_owned(), place: path(place) });
            assert_eq!(found, expect, "{jail} {rule}");
        };
        check("a", 0, Some(("^one <HOST> 100%$", "filter.d/a.conf:3")));
        check("a", 1, Some(("^two put in <HOST>$", "filter.d/a.conf:3")));
        check("a", 2, None);
        check("b", 0, Some(("^own <HOST>$", "jail.conf:5")));
        check("c", 0, None);
    }
}
