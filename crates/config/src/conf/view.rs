//! What a configuration says, as postconf sees it: names, values, who set them, what they come to.

use super::entry::settings_by_id;
use super::names::{self, Class};
use super::{Entry, Refused, Written, printable, read_entries, read_main};
use crate::expand::{Scope, expand};
use crate::registry::{self, Kind};
use crate::traced::Traced;
use crate::{Compat, Host, MainCf, Parameters, Severity};
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

/// The files' texts and what the command line adds.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sources<'a> {
    /// How messages name the folder.
    pub directory: &'a str,
    /// main.cf; `None` where only defaults are asked for.
    pub main: Option<&'a str>,
    /// master.cf; `None` where there is none.
    pub master: Option<&'a str>,
    /// `-o name=value`, in order.
    pub overrides: &'a [(String, String)],
    /// Whether the folder was named, and so counts as a setting.
    pub directory_named: bool,
}

/// What no file says.
#[derive(Clone, Debug, Default)]
pub struct Machine {
    /// The machine's name and addresses.
    pub host: Host,
    /// Whose defaults are in force.
    pub compat: Compat,
    /// Defaults that only the running program knows: process_id, process_name.
    pub of_process: BTreeMap<String, String>,
}

/// A configuration as postconf sees it.
#[derive(Clone, Debug)]
pub struct Conf {
    directory: String,
    compat: Compat,
    of_process: BTreeMap<String, String>,
    parameters: Parameters,
    /// Definitions in the order of the file, overrides behind them.
    written: Vec<Written>,
    values: BTreeMap<String, String>,
    entries: Vec<Entry>,
    /// The `-o` settings by `service/type`.
    settings: BTreeMap<String, BTreeMap<String, String>>,
    /// Names that services bring with them.
    of_services: BTreeSet<String>,
    /// Old names whose values are the defaults of newer ones.
    legacy: BTreeSet<String>,
    /// Names that main.cf refers to.
    referred: BTreeSet<String>,
    /// Names that a service's settings refer to, by `service/type`.
    referred_by: BTreeMap<String, BTreeSet<String>>,
}

impl Conf {
    /// Reads a configuration; gives warnings beside it.
    pub fn read(sources: &Sources<'_>, machine: &Machine) -> Result<(Conf, Vec<String>), Refused> {
        let directory = sources.directory.trim_end_matches('/');
        let directory = if directory.is_empty() { sources.directory } else { directory }.to_owned();
        let (mut written, mut warnings) = sources
            .main
            .map_or_else(|| Ok(Default::default()), |text| read_main(text, &path(&directory, "main.cf")))?;
        let (entries, more) = sources.master.map_or_else(
            || Ok(Default::default()),
            |text| read_entries(text, &path(&directory, "master.cf")),
        )?;
        let named = sources.directory_named && sources.main.is_some();
        let folder = named.then(|| ("config_directory".to_owned(), sources.directory.to_owned()));
        for (name, value) in sources.overrides.iter().cloned().chain(folder) {
            written.retain(|other| other.name != name);
            written.push(Written { name, value, line: 0 });
        }
        let mut main = MainCf::empty();
        for one in &written {
            main.set(one.name.clone(), one.value.clone());
        }
        let (parameters, _) = Parameters::new(&main, &machine.host, machine.compat);
        let values = written.iter().map(|one| (one.name.clone(), one.value.clone())).collect();
        let mut conf = Conf {
            directory,
            compat: machine.compat,
            of_process: machine.of_process.clone(),
            parameters,
            written,
            values,
            settings: settings_by_id(&entries),
            entries,
            of_services: BTreeSet::new(),
            legacy: names::of_defaults(machine.compat),
            referred: BTreeSet::new(),
            referred_by: BTreeMap::new(),
        };
        warnings.extend(more);
        let mut undefined = Vec::new();
        conf.find_names(&mut undefined)?;
        // Names that main.cf might define aren't missed where it isn't read.
        if sources.main.is_some() {
            warnings.extend(undefined);
        }
        Ok((conf, warnings))
    }

    fn find_names(&mut self, warnings: &mut Vec<String>) -> Result<(), Refused> {
        for entry in &self.entries {
            self.of_services.extend(names::of_service(entry.service(), entry.program()));
        }
        let mut referred = self.legacy.clone();
        let mut undefined: Vec<String> = Vec::new();
        for one in &self.written {
            referred.extend(names::referred(&one.value));
            if is_raw(&one.name) {
                continue;
            }
            names::of_tables(&one.value, &mut referred);
            names::of_tables(&self.expanded(&one.name, &one.value)?, &mut referred);
            let unknown = names::referred(&one.value).filter(|name| !self.is_defined(name, None));
            undefined.extend(unknown);
        }
        let classes = self.value("smtpd_restriction_classes").unwrap_or_default();
        let classes = self.expanded("smtpd_restriction_classes", &classes)?;
        let classes: Vec<String> = classes
            .split([' ', '\t', '\r', '\n', ','])
            .filter(|c| !c.is_empty())
            .map(str::to_owned)
            .collect();
        undefined.extend(classes.iter().filter(|name| !self.is_defined(name, None)).cloned());
        referred.extend(classes);
        let mut seen = BTreeSet::new();
        let main = path(&self.directory, "main.cf");
        undefined.retain(|name| seen.insert(name.clone()));
        warnings.extend(undefined.iter().map(|name| format!("{main}: undefined parameter: {name}")));
        self.find_names_of_services(&mut referred, warnings)?;
        self.referred = referred;
        Ok(())
    }

    fn find_names_of_services(
        &mut self,
        referred: &mut BTreeSet<String>,
        warnings: &mut Vec<String>,
    ) -> Result<(), Refused> {
        let master = path(&self.directory, "master.cf");
        for (id, settings) in &self.settings {
            let mut own = BTreeSet::new();
            let mut told = BTreeSet::new();
            for (name, value) in settings.iter().filter(|(name, _)| !is_raw(name)) {
                let names: Vec<String> = names::referred(value).collect();
                for name in names.iter().filter(|name| !self.is_defined(name, Some(settings))) {
                    if name.as_str() != "service_name" && told.insert(name.clone()) {
                        warnings.push(format!("{master}: undefined parameter: {name}"));
                    }
                }
                own.extend(names);
                let expanded = self.expanded_for(id, name, value)?;
                names::of_tables(&expanded, &mut own);
            }
            referred.extend(own.iter().filter(|name| !settings.contains_key(*name)).cloned());
            self.referred_by.insert(id.clone(), own);
        }
        Ok(())
    }

    /// Whether there is something that `$name` stands for.
    fn is_defined(&self, name: &str, local: Option<&BTreeMap<String, String>>) -> bool {
        local.is_some_and(|settings| settings.contains_key(name))
            || self.values.contains_key(name)
            || self.is_builtin(name)
            || self.of_services.contains(name)
    }

    fn is_builtin(&self, name: &str) -> bool {
        names::builtin(name, self.compat).is_some() || names::OF_LOCAL.contains(&name)
    }

    /// Who made `name` a parameter; `None` where nobody did.
    #[must_use]
    pub fn class(&self, name: &str) -> Option<Class> {
        if self.of_services.contains(name) {
            return Some(Class::Service);
        }
        if self.is_builtin(name) {
            return Some(Class::Builtin);
        }
        let used = self.referred.contains(name) && self.values.contains_key(name);
        (used || self.legacy.contains(name)).then_some(Class::User)
    }

    /// All parameters of these classes, sorted; with `only_set`, those that main.cf or the command line sets.
    #[must_use]
    pub fn names(&self, classes: &[Class], only_set: bool) -> Vec<String> {
        let builtin =
            registry::all().filter(|row| names::is_of(row, self.compat)).map(|row| row.name.to_owned());
        let builtin = builtin.chain(names::OF_LOCAL.map(str::to_owned));
        // Debian's own list has none of ours; where one is set, it is shown.
        let listed = builtin.filter(|name| {
            self.compat == Compat::V3_11 || !names::is_own(name) || self.values.contains_key(name)
        });
        let all: BTreeSet<String> =
            listed.chain(self.of_services.iter().cloned()).chain(self.values.keys().cloned()).collect();
        let wanted = |name: &String| {
            self.class(name).is_some_and(|class| classes.contains(&class))
                && (!only_set || self.values.contains_key(name))
        };
        all.into_iter().filter(wanted).collect()
    }

    /// What main.cf or the command line sets `name` to.
    #[must_use]
    pub fn set_value(&self, name: &str) -> Option<&str> {
        self.values.get(name).map(String::as_str)
    }

    /// The value in force, `$name` and all; `None` for a name that nobody knows.
    #[must_use]
    pub fn value(&self, name: &str) -> Option<String> {
        self.set_value(name).map(str::to_owned).or_else(|| self.default(name))
    }

    /// What holds when main.cf is silent.
    #[must_use]
    pub fn default(&self, name: &str) -> Option<String> {
        if let Some(value) = self.of_process.get(name) {
            return Some(value.clone());
        }
        let known = self.is_builtin(name) || self.of_services.contains(name);
        let default = known.then(|| self.parameters.default_text(name)).flatten();
        default.or_else(|| self.legacy.contains(name).then(String::new))
    }

    /// The value of `name` with `$name` in it replaced.
    pub fn expanded(&self, name: &str, value: &str) -> Result<String, Refused> {
        self.expanded_in(&Values { conf: self, local: None, service: None, name }, name, value)
    }

    /// The same for a setting of the service `id`, whose other settings come first.
    pub fn expanded_for(&self, id: &str, name: &str, value: &str) -> Result<String, Refused> {
        let service = id.rsplit_once('/').map(|(service, _)| service);
        let local = self.settings.get(id);
        self.expanded_in(&Values { conf: self, local, service, name }, name, value)
    }

    fn expanded_in(&self, values: &Values<'_>, name: &str, value: &str) -> Result<String, Refused> {
        if is_raw(name) {
            return Ok(value.to_owned());
        }
        let (text, found) = expand(&Traced::nowhere(value), values);
        match found.into_iter().find(|diagnostic| diagnostic.severity == Severity::Error) {
            Some(diagnostic) => Err(Refused(format!("macro processing error: {}", diagnostic.message))),
            None => Ok(text.as_str().to_owned()),
        }
    }

    /// The services of master.cf, in order.
    #[must_use]
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The `-o` settings of the service `id`, sorted by name.
    pub fn settings(&self, id: &str) -> impl Iterator<Item = (&str, &str)> {
        let settings = self.settings.get(id).into_iter().flatten();
        settings.map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// Warnings of names in main.cf that will go away, as Postfix 3.9 and later give them.
    #[must_use]
    pub fn deprecated_in_main(&self) -> Vec<String> {
        if self.compat == Compat::V3_7 {
            return Vec::new();
        }
        let path = path(&self.directory, "main.cf");
        let old = self.written.iter().filter_map(|one| Some((&one.name, names::instead_of(&one.name)?)));
        old.map(|(name, new)| {
            format!("{path}: support for parameter \"{name}\" will be removed; instead, specify \"{new}\"")
        })
        .collect()
    }

    /// Warnings of what main.cf defines and nothing uses.
    #[must_use]
    pub fn unused_in_main(&self) -> Vec<String> {
        let path = path(&self.directory, "main.cf");
        let unused = self.written.iter().filter(|one| self.class(&one.name).is_none());
        unused
            .map(|one| format!("{path}: unused parameter: {}={}", one.name, printable(&one.value)))
            .collect()
    }

    /// Warnings of what master.cf's `-o` define and nothing uses.
    #[must_use]
    pub fn unused_in_master(&self) -> Vec<String> {
        let path = path(&self.directory, "master.cf");
        let mut warnings = Vec::new();
        for (id, settings) in &self.settings {
            let own = self.referred_by.get(id);
            let used = |name: &String| {
                own.is_some_and(|own| own.contains(name))
                    || self.referred.contains(name)
                    || self.class(name).is_some()
            };
            for (name, value) in settings.iter().filter(|(name, _)| !used(name)) {
                warnings.push(format!("{path}: unused parameter: {name}={}", printable(value)));
            }
        }
        warnings
    }
}

/// Whether references in the value of `name` are for later and not for main.cf.
fn is_raw(name: &str) -> bool {
    // postconf leaves the reference in this one as it is, though it is replaced when the value is used.
    name == "postscreen_expansion_filter" || registry::find(name).is_some_and(|row| row.kind == Kind::Raw)
}

fn path(directory: &str, file: &str) -> String {
    if directory.ends_with('/') { format!("{directory}{file}") } else { format!("{directory}/{file}") }
}

/// Where `$name` is looked up: the service's own settings, main.cf, defaults.
struct Values<'a> {
    conf: &'a Conf,
    local: Option<&'a BTreeMap<String, String>>,
    service: Option<&'a str>,
    /// The parameter whose value is read.
    name: &'a str,
}

impl Scope for Values<'_> {
    fn value(&self, name: &str) -> Option<Cow<'_, Traced>> {
        let local = self.local.and_then(|settings| settings.get(name).cloned());
        let service = self.service.filter(|_| name == "service_name").map(str::to_owned);
        let value = local.or(service).or_else(|| self.conf.value(name))?;
        Some(Cow::Owned(Traced::nowhere(value)))
    }

    fn is_raw(&self, name: &str) -> bool {
        is_raw(name)
    }

    fn begins_in(&self) -> Option<&str> {
        Some(self.name)
    }
}
