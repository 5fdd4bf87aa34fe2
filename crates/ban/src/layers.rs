//! Several files on top of each other: `[INCLUDES]`, `.local` beside `.conf`, and what `%(name)s` stands for.
//!
//! Later files win, option by option, and each value remembers the one that it replaced: that is what
//! `%(known/name)s` means, also when three files replace it in turn. Values are interpolated when somebody asks for
//! them, so an option that nobody reads does no harm. Files come from a [`Files`], never from the disk itself.

use crate::ini;
use config::diagnostic::Diagnostic;
use config::place::{Place, SourceFile};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// How deep `%(a)s` may lead from one option to the next.
const DEPTH_MAX: usize = 30;
/// The most bytes of an interpolated value.
pub(crate) const VALUE_BYTES_MAX: usize = 1 << 20;
/// How many files may be included from one.
const FILES_MAX: usize = 100;

/// Where configuration files come from.
pub trait Files {
    /// The text of a file, `None` where there is none.
    ///
    /// # Errors
    /// When there is one, and it can't be read; in the system's words.
    fn read(&self, path: &Path) -> Result<Option<String>, String>;
    /// The files of a folder, in any order; none where there is no folder.
    fn list(&self, folder: &Path) -> Vec<PathBuf>;
}

/// A value, and the one before it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Value {
    /// As it was written.
    pub text: String,
    /// Where its name stands.
    pub place: Place,
    /// What it replaced.
    pub before: Option<Box<Value>>,
    /// When its option first came, of all options of these files.
    pub turn: usize,
}

/// The options of a section, in the order in which they first came.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    rows: Vec<(String, Value)>,
    at: BTreeMap<String, usize>,
}

impl Options {
    /// The newest value of an option.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<&Value> {
        self.at.get(name).and_then(|at| self.rows.get(*at)).map(|(_, value)| value)
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.rows.iter().map(|(name, value)| (name.as_str(), value))
    }

    fn find_mut(&mut self, name: &str) -> Option<&mut Value> {
        self.at.get(name).and_then(|at| self.rows.get_mut(*at)).map(|(_, value)| value)
    }

    /// Takes out the values that stand in a file, on top; those that they replaced come back.
    fn take(&mut self, path: &Path) -> Vec<(String, Value)> {
        let mut taken = Vec::new();
        for (name, mut value) in std::mem::take(self).rows {
            if value.place.path() != Some(path) {
                self.set(&name, value);
                continue;
            }
            if let Some(before) = value.before.take() {
                self.set(&name, *before);
            }
            taken.push((name, value));
        }
        taken
    }

    /// Puts a value on top.
    fn set(&mut self, name: &str, mut value: Value) {
        if let Some(old) = self.find_mut(name) {
            value.turn = old.turn;
            let old_value = std::mem::replace(old, value);
            old.before = Some(Box::new(old_value));
            return;
        }
        self.at.insert(name.to_owned(), self.rows.len());
        self.rows.push((name.to_owned(), value));
    }
}

/// All files of one thing (the jails, a filter, an action), joined.
#[derive(Clone, Debug, Default)]
pub struct Layers {
    /// `[DEFAULT]`.
    pub defaults: Options,
    /// The others, in the order in which they first came.
    pub sections: Vec<(String, Options)>,
    /// Where each section's header stands, in every file that has it.
    pub headers: Vec<(String, Place)>,
    /// What `%(__name__)s` and the like stand for, besides the section's own name.
    pub constants: Vec<(String, String)>,
    /// The files that were there.
    pub files: Vec<PathBuf>,
    /// How many options came so far.
    turn: usize,
}

impl Layers {
    /// Reads `path` with what it includes; `true` when the file is there.
    pub fn add(&mut self, files: &dyn Files, path: &Path, found: &mut Vec<Diagnostic>) -> bool {
        let text = match files.read(path) {
            Ok(Some(text)) => text,
            Ok(None) => return false,
            Err(error) => {
                let file = Arc::new(SourceFile { path: path.to_owned(), text: String::new() });
                let message = format!("can't be read: {error}");
                found.push(
                    Diagnostic::error(631, Place::new(&file, 0, 0), message).help("mend the file's rights"),
                );
                return false;
            }
        };
        if self.files.len() >= FILES_MAX {
            return true;
        }
        self.files.push(path.to_owned());
        let file = Arc::new(SourceFile { path: path.to_owned(), text });
        let (sections, mut wrong) = ini::parse(&file);
        found.append(&mut wrong);
        let includes = sections.iter().find(|section| section.name == "INCLUDES");
        let named = |which: &str| {
            let option = includes.and_then(|section| section.options.iter().find(|o| o.name == which));
            let names = option.map_or("", |option| option.value.as_str()).split_whitespace();
            names.map(|name| (name.to_owned(), option.map(|o| o.place.clone()))).collect::<Vec<_>>()
        };
        let folder = path.parent().unwrap_or(Path::new(""));
        for (name, place) in named("before") {
            self.include(files, &folder.join(name), place, found);
        }
        for section in sections.iter().filter(|section| section.name != "INCLUDES") {
            self.headers.push((section.name.clone(), section.place.clone()));
            for option in &section.options {
                self.turn += 1;
                let (text, place) = (option.value.clone(), option.place.clone());
                let value = Value { text, place, before: None, turn: self.turn };
                self.section_mut(&section.name).set(&option.name, value);
            }
            // A section without options is one all the same.
            self.section_mut(&section.name);
        }
        for (name, place) in named("after") {
            self.include(files, &folder.join(name), place, found);
        }
        true
    }

    /// An included file, and the `.local` beside it. Either may be missing where the other is there, and
    /// `.local` files always.
    fn include(&mut self, files: &dyn Files, path: &Path, place: Option<Place>, found: &mut Vec<Diagnostic>) {
        if self.files.iter().any(|known| known == path) {
            return;
        }
        let is_there = self.add(files, path, found);
        let is_local = path.extension().is_some_and(|extension| extension == "local");
        if !is_local {
            let local = self.add(files, &path.with_extension("local"), found);
            if !is_there && !local {
                let message = format!("the included file {} isn't there", path.display());
                found.push(
                    Diagnostic::warning(631, place.unwrap_or(Place::nowhere()), message)
                        .help("what it would define is missing; remove the line, or restore the file"),
                );
            }
        }
    }

    /// Puts a parameter in an option's place; gives back what stood there. It isn't known to `%(known/name)s`.
    pub fn give(&mut self, section: &str, name: &str, text: &str) -> Option<Value> {
        let options = self.section_mut(section);
        if let Some(value) = options.find_mut(name) {
            let old = value.clone();
            text.clone_into(&mut value.text);
            return Some(old);
        }
        let value = Value { text: text.to_owned(), place: Place::nowhere(), before: None, turn: usize::MAX };
        options.set(name, value);
        None
    }

    /// Lets what a file says of one section count for another.
    pub(crate) fn rehead(&mut self, path: &Path, section: &str, to: &str) {
        for (name, value) in self.section_mut(section).take(path) {
            self.section_mut(to).set(&name, value);
        }
    }

    /// The options of a section, made where it is new.
    fn section_mut(&mut self, name: &str) -> &mut Options {
        if name == "DEFAULT" {
            return &mut self.defaults;
        }
        let at = self.sections.iter().position(|(known, _)| known == name).unwrap_or_else(|| {
            self.sections.push((name.to_owned(), Options::default()));
            self.sections.len() - 1
        });
        // The position was found or made just above.
        match self.sections.get_mut(at) {
            Some((_, options)) => options,
            None => &mut self.defaults,
        }
    }

    /// The options of a section.
    #[must_use]
    pub fn section(&self, name: &str) -> Option<&Options> {
        if name.eq_ignore_ascii_case("default") {
            return Some(&self.defaults);
        }
        self.sections.iter().find(|(known, _)| known == name).map(|(_, options)| options)
    }

    /// An option as it stands, of the section or else of `[DEFAULT]`.
    #[must_use]
    pub fn raw(&self, section: &str, name: &str) -> Option<&Value> {
        let own = self.section(section).and_then(|options| options.find(name));
        own.or_else(|| self.defaults.find(name))
    }

    /// An option with all `%(name)s` in it replaced; `None` where there is none.
    ///
    /// # Errors
    /// The name that nothing stands for.
    pub fn value(&self, section: &str, name: &str) -> Result<Option<String>, Unresolved> {
        self.raw(section, name).map(|value| self.interpolated(section, name, value)).transpose()
    }

    fn interpolated(&self, section: &str, name: &str, value: &Value) -> Result<String, Unresolved> {
        let mut out = String::new();
        self.expand(&Standing { section, name, value, depth: 0 }, &mut out)
            .map_err(|what| Unresolved { name: what, place: value.place.clone() })?;
        Ok(out)
    }

    fn expand(&self, at: &Standing<'_>, out: &mut String) -> Result<(), String> {
        let mut rest = at.value.text.as_str();
        while let Some((before, behind)) = rest.split_once('%') {
            out.push_str(before);
            if out.len() > VALUE_BYTES_MAX || at.depth > DEPTH_MAX {
                return Err(at.name.to_owned());
            }
            if let Some(behind) = behind.strip_prefix('%') {
                out.push('%');
                rest = behind;
                continue;
            }
            let named = behind.strip_prefix('(').and_then(|behind| behind.split_once(")s"));
            let Some((name, behind)) = named else {
                return Err(format!("%{}", behind.chars().take(20).collect::<String>()));
            };
            self.refer(at, name, out)?;
            rest = behind;
        }
        out.push_str(rest);
        Ok(())
    }

    /// What `%(name)s` stands for.
    fn refer(&self, at: &Standing<'_>, name: &str, out: &mut String) -> Result<(), String> {
        let lower = name.to_lowercase();
        let deeper = |section, name, value, out: &mut String| {
            self.expand(&Standing { section, name, value, depth: at.depth + 1 }, out)
        };
        if let Some(known) = lower.strip_prefix("known/") {
            // Within the option itself: what this very value replaced.
            let value = if known == at.name {
                let own = at.value.before.as_deref();
                own.or_else(|| self.defaults.find(known).filter(|value| *value != at.value))
            } else {
                let newest = self.section(at.section).and_then(|options| options.find(known));
                match newest {
                    Some(newest) => newest.before.as_deref().or_else(|| self.defaults.find(known)),
                    None => self.defaults.find(known),
                }
            };
            let value = value.ok_or_else(|| name.to_owned())?;
            return deeper(at.section, known, value, out);
        }
        if lower == "__name__" {
            out.push_str(at.section);
            return Ok(());
        }
        if let Some(value) = self.raw(at.section, &lower) {
            return deeper(at.section, &lower, value, out);
        }
        if let Some((_, value)) = self.constants.iter().find(|(known, _)| *known == lower) {
            out.push_str(value);
            return Ok(());
        }
        let foreign = name.split_once('/').and_then(|(section, option)| {
            let value = self.section(section)?.find(&option.to_lowercase());
            Some((section, option.to_lowercase(), value.or_else(|| self.raw(section, option))?))
        });
        match foreign {
            // `%(default/x)s` is the common value, told in this section's words.
            Some((section, option, value)) if section.eq_ignore_ascii_case("default") => {
                deeper(at.section, &option, value, out)
            }
            Some((section, option, value)) => deeper(section, &option, value, out),
            None => Err(name.to_owned()),
        }
    }
}

/// Where an interpolation stands.
struct Standing<'a> {
    section: &'a str,
    name: &'a str,
    value: &'a Value,
    depth: usize,
}

/// A `%(name)s` that nothing stands for, or that leads to itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unresolved {
    /// The name.
    pub name: String,
    /// The option where it was met.
    pub place: Place,
}

impl Unresolved {
    /// As it is said to the administrator.
    #[must_use]
    pub fn said(&self) -> Diagnostic {
        let message = format!("`{}` stands for nothing here, or for itself", self.name);
        Diagnostic::error(632, self.place.clone(), message)
            .help("define it in this section or in [DEFAULT], or write `%%` for a percent sign")
    }
}
