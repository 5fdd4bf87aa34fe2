//! The jails of a configuration folder: jail.conf, jail.d, jail.local, with their filters and actions.
//!
//! Values are text here, with everything put in that fail2ban puts in before it starts; [`crate::dump`] shows them
//! as `fail2ban-client -d` does. What can't be read leaves its jail out and the others in, and is said with its
//! place. T2.18.

use crate::brackets::{self, Call};
use crate::layers::{Files, Layers, Options, Unresolved, Value};
use crate::tags;
use config::diagnostic::Diagnostic;
use config::place::Place;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// What is read of a jail's section, beside its filter and actions.
pub const JAIL_OPTIONS: [&str; 28] = [
    "backend",
    "maxretry",
    "maxmatches",
    "findtime",
    "bantime",
    "bantime.increment",
    "bantime.factor",
    "bantime.formula",
    "bantime.multipliers",
    "bantime.maxtime",
    "bantime.rndtime",
    "bantime.overalljails",
    "ignorecommand",
    "ignoreself",
    "ignoreip",
    "ignorecache",
    "logencoding",
    "logtimezone",
    "logpath",
    "port",
    "enabled",
    "filter",
    "action",
    "count",
    "komainu_count",
    "komainu_spread",
    "komainu_limit",
    "komainu_ipv6_prefix",
];

/// What is read of a filter; a jail's section may replace each.
pub const FILTER_OPTIONS: [&str; 7] =
    ["usedns", "prefregex", "maxlines", "ignoreregex", "failregex", "datepattern", "journalmatch"];

/// The commands and switches of an action.
const ACTION_OPTIONS: [&str; 14] = [
    "actionstart",
    "actionstart_on_demand",
    "actionstop",
    "actionflush",
    "actionreload",
    "actioncheck",
    "actionrepair",
    "actionrepair_on_unban",
    "actionban",
    "actionprolong",
    "actionreban",
    "actionunban",
    "norestored",
    "timeout",
];

/// Where options stand.
pub type Places = BTreeMap<&'static str, Place>;

/// A jail that is switched on.
#[derive(Clone, Debug, Default)]
pub struct Jail {
    /// Its section's name.
    pub name: String,
    /// Its section's first header.
    pub place: Option<Place>,
    /// Its options, and their places.
    pub options: BTreeMap<&'static str, (String, Place)>,
    /// Its filter's options, its own instead where the jail's section has them.
    pub filter: BTreeMap<&'static str, String>,
    /// Where those stand that have a place of their own.
    pub filter_places: Places,
    /// The filter as it is called.
    pub filter_call: Call,
    /// What to do with a ban, in order.
    pub actions: Vec<Action>,
    /// Why it can't run.
    pub error: Option<String>,
}

/// An action of a jail.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Action {
    /// The file's name without its ending.
    pub file: String,
    /// What it is called in this jail.
    pub name: String,
    /// For an action written in Python: its file.
    pub python: Option<PathBuf>,
    /// Commands and switches, with parameters put in.
    pub commands: Vec<(&'static str, String)>,
    /// Parameters: those given, then the file's own.
    pub parameters: Vec<(String, String)>,
}

/// A configuration folder as read.
#[derive(Clone, Debug, Default)]
pub struct Folder {
    /// Where it is.
    pub path: PathBuf,
    /// The jails that are switched on, those that can't run too.
    pub jails: Vec<Jail>,
    /// Names of all sections.
    pub known: Vec<String>,
    /// What was found.
    pub found: Vec<Diagnostic>,
}

impl Jail {
    /// An option's text.
    #[must_use]
    pub fn option(&self, name: &str) -> Option<&str> {
        self.options.get(name).map(|(text, _)| text.as_str())
    }

    /// Where an option stands.
    #[must_use]
    pub fn place(&self, name: &str) -> Place {
        let own = self.options.get(name).map(|(_, place)| place.clone());
        own.or_else(|| self.place.clone()).unwrap_or(Place::nowhere())
    }

    /// Where an option of its filter stands; where the filter is named, when it was given with the name.
    #[must_use]
    pub fn filter_place(&self, name: &str) -> Place {
        self.filter_places.get(name).cloned().unwrap_or_else(|| self.place("filter"))
    }

    /// Whether what it reads is the journal.
    #[must_use]
    pub fn reads_journal(&self) -> bool {
        self.option("backend").is_some_and(|backend| backend.starts_with("systemd"))
    }
}

/// `yes`, `on`, `true`, `1`.
#[must_use]
pub fn is_yes(text: &str) -> bool {
    matches!(text.trim().to_ascii_lowercase().as_str(), "1" | "yes" | "on" | "true")
}

/// Lines of a value that hold something.
pub fn lines(text: &str) -> impl Iterator<Item = &str> {
    text.lines().map(str::trim_end).filter(|line| !line.trim().is_empty())
}

/// Whether a name fits a pattern of `*`, `?` and `[…]`.
#[must_use]
pub fn fits(pattern: &str, name: &str) -> bool {
    let mut expression = String::from("^");
    let mut rest = pattern.chars();
    while let Some(c) = rest.next() {
        match c {
            '*' => expression.push_str(".*"),
            '?' => expression.push('.'),
            '[' => {
                let class: String = rest.by_ref().take_while(|c| *c != ']').collect();
                let class = class.replace('\\', "\\\\").replace('[', "\\[");
                let negated = class.strip_prefix('!').map(|class| format!("^{class}"));
                expression.push_str(&format!("[{}]", negated.unwrap_or(class)));
            }
            c => expression.push_str(&regex::escape(c.encode_utf8(&mut [0; 4]))),
        }
    }
    expression.push('$');
    regex::Regex::new(&expression).is_ok_and(|regex| regex.is_match(name))
}

/// Reads the jails of a folder that are switched on.
#[must_use]
pub fn read(files: &dyn Files, folder: &Path) -> Folder {
    read_with(files, folder, &|_| false)
}

/// Reads the jails of a folder that are switched on, and those that `wanted` names.
#[must_use]
pub fn read_with(files: &dyn Files, folder: &Path, wanted: &dyn Fn(&str) -> bool) -> Folder {
    let mut found = Vec::new();
    let mut layers = read_layers(files, folder, "jail", &mut found);
    if layers.files.is_empty() {
        let message = format!("no jail.conf and no jail.local in {}", folder.display());
        found.push(
            Diagnostic::error(631, Place::nowhere(), message).help("give the folder of fail2ban's files"),
        );
    }
    crate::review::misheaded(&mut layers, &mut found);
    crate::review::sections(&layers, &mut found);
    let known: Vec<String> = layers.sections.iter().map(|(name, _)| name.clone()).collect();
    let mut jails = Vec::new();
    for name in known.iter().filter(|name| *name != "KNOWN" && !name.starts_with("known/")) {
        match layers.value(name, "enabled") {
            _ if wanted(name) => {}
            Ok(Some(text)) if is_yes(&text) => {}
            Ok(_) => continue,
            Err(error) => {
                found.push(error.said());
                continue;
            }
        }
        let mut jail = Jail { name: name.clone(), ..Jail::default() };
        jail.place = layers.headers.iter().find(|(known, _)| known == name).map(|(_, place)| place.clone());
        if let Err(error) = fill(files, folder, &layers, &mut jail, &mut found) {
            jail.error = Some(error.message.clone());
            found.push(*error);
        }
        jails.push(jail);
    }
    Folder { path: folder.to_owned(), jails, known, found }
}

/// jail.conf, jail.d/*.conf, jail.local, jail.d/*.local, as jail.conf(5) orders them; the same of `fail2ban`.
#[must_use]
pub fn read_layers(files: &dyn Files, folder: &Path, stem: &str, found: &mut Vec<Diagnostic>) -> Layers {
    let mut layers = Layers::default();
    layers.constants = vec![
        ("fail2ban_version".to_owned(), "1.0.2".to_owned()),
        ("fail2ban_confpath".to_owned(), folder.display().to_string()),
    ];
    let mut listed = files.list(&folder.join(format!("{stem}.d")));
    listed.sort();
    for ending in ["conf", "local"] {
        layers.add(files, &folder.join(format!("{stem}.{ending}")), found);
        for path in listed.iter().filter(|path| path.extension().is_some_and(|e| e == ending)) {
            layers.add(files, path, found);
        }
    }
    layers
}

fn fill(
    files: &dyn Files,
    folder: &Path,
    layers: &Layers,
    jail: &mut Jail,
    found: &mut Vec<Diagnostic>,
) -> Result<(), Box<Diagnostic>> {
    let name = jail.name.clone();
    let place_of = |option: &str| layers.raw(&name, option).map(|value| value.place.clone());
    for option in JAIL_OPTIONS {
        let value = layers.value(&jail.name, option).map_err(|error| Box::new(error.said()))?;
        if let (Some(value), Some(place)) = (value, place_of(option)) {
            jail.options.insert(option, (value, place));
        }
    }
    with_files(files, jail, found);
    let wrong = |what: &str, error: String, place: Place| {
        let found = Diagnostic::error(633, place, format!("the {what} can't be read from `{error}` on"));
        Box::new(found.help("parameters are written `name[a=b, c=\"d, e\"]`"))
    };
    let place = jail.place("filter");
    let text = jail.option("filter").unwrap_or("").to_owned();
    let calls = brackets::parse(&text).map_err(|error| wrong("filter", error, place.clone()))?;
    if let Some(call) = calls.into_iter().next() {
        let logtype = if jail.reads_journal() { "journal" } else { "file" };
        let path = folder.join("filter.d").join(&call.name);
        let mut said = Said { found, place: &place };
        (jail.filter, jail.filter_places) = read_filter(files, &path, &call, logtype, &mut said)?;
        jail.filter_call = call;
    }
    for option in FILTER_OPTIONS {
        if let Some(value) = layers.value(&jail.name, option).map_err(|error| Box::new(error.said()))? {
            jail.filter.insert(option, value);
            jail.filter_places.extend(place_of(option).map(|place| (option, place)));
        }
    }
    let place = jail.place("action");
    let text = jail.option("action").unwrap_or("").to_owned();
    for call in brackets::parse(&text).map_err(|error| wrong("action", error, place.clone()))? {
        jail.actions.push(read_action(files, folder, &call, &jail.name, &mut Said { found, place: &place })?);
    }
    Ok(())
}

/// Words that an `ignoreip` with files may have: each failure is held against all of them.
const NEVER_MAX: usize = 10_000;

/// Puts in place of `file:/PATH` in `ignoreip` (fail2ban 1.1) the words of that file; `#` and `;` begin comments there.
fn with_files(files: &dyn Files, jail: &mut Jail, found: &mut Vec<Diagnostic>) {
    let Some((text, place)) =
        jail.options.get("ignoreip").filter(|(text, _)| text.contains("file:")).cloned()
    else {
        return;
    };
    let parted = |c: char| c.is_whitespace() || c == ',';
    let mut words: Vec<String> = Vec::new();
    for word in text.split(parted).filter(|word| !word.is_empty()) {
        let Some(path) = word.strip_prefix("file:").filter(|path| path.starts_with('/')) else {
            words.push(word.to_owned());
            continue;
        };
        let path = format!("/{}", path.trim_start_matches('/'));
        let said = match files.read(Path::new(&path)) {
            Ok(Some(list)) => {
                let lines = list.lines().map(|line| line.split(['#', ';']).next().unwrap_or(""));
                words.extend(
                    lines.flat_map(|line| line.split(parted)).filter(|w| !w.is_empty()).map(str::to_owned),
                );
                continue;
            }
            Ok(None) => "there is no such file".to_owned(),
            Err(error) => error,
        };
        let message = format!("[{}] `ignoreip`: {path}: {said}", jail.name);
        found.push(Diagnostic::warning(673, place.clone(), message).help(
            "whoever stands in it may be banned meanwhile: write it, or take the word out, and reload",
        ));
    }
    if words.len() > NEVER_MAX {
        let message =
            format!("[{}] `ignoreip` has {} words; the first {NEVER_MAX} count", jail.name, words.len());
        found.push(Diagnostic::warning(673, place.clone(), message).help("write networks, `192.0.2.0/24`"));
        words.truncate(NEVER_MAX);
    }
    jail.options.insert("ignoreip", (words.join(" "), place));
}

/// Where findings go, and where the caller stands.
pub(crate) struct Said<'a> {
    found: &'a mut Vec<Diagnostic>,
    place: &'a Place,
}

/// A filter or an action file with its parameters.
struct Definition<'c> {
    layers: Layers,
    call: &'c Call,
    /// What the parameters stand in place of.
    replaced: Vec<(String, Value)>,
    /// Those of `[Init?family=inet6]`: their turn, `name?family=inet6`, the text.
    conditional: Vec<(usize, String, String)>,
}

impl<'c> Definition<'c> {
    fn read(files: &dyn Files, path: &Path, call: &'c Call, said: &mut Said<'_>) -> Option<Definition<'c>> {
        let mut layers = Layers::default();
        let with = |ending: &str| {
            let mut name = path.as_os_str().to_owned();
            name.push(ending);
            PathBuf::from(name)
        };
        let conf = layers.add(files, &with(".conf"), said.found);
        let local = layers.add(files, &with(".local"), said.found);
        if !conf && !local {
            return None;
        }
        let mut replaced = Vec::new();
        for (name, value) in &call.options {
            let name = name.to_lowercase();
            replaced.extend(layers.give("Definition", &name, value).map(|old| (name, old)));
        }
        let mut conditional = Vec::new();
        for (section, options) in &layers.sections {
            if let Some(condition) = section.strip_prefix("Init?") {
                for (name, value) in options.iter() {
                    if let Ok(Some(text)) = layers.value(section, name) {
                        conditional.push((value.turn, format!("{name}?{condition}"), text));
                    }
                }
            }
        }
        Some(Definition { layers, call, replaced, conditional })
    }

    fn init(&self) -> Option<&Options> {
        self.layers.section("Init")
    }

    /// An option: as it was given, else of `[Init]`, else of `[Definition]`.
    fn option(&self, name: &str) -> Result<Option<String>, Unresolved> {
        if let Some(given) = self.call.option(name) {
            return Ok(Some(given.to_owned()));
        }
        if self.init().is_some_and(|init| init.find(name).is_some()) {
            return self.layers.value("Init", name);
        }
        self.layers.value("Definition", name)
    }

    /// What `<name>` stands for.
    fn tag(&self, name: &str) -> Option<String> {
        if let Some(known) = name.strip_prefix("known/") {
            let known = known.to_lowercase();
            if self.init().is_some_and(|init| init.find(&known).is_some()) {
                return self.layers.value("Init", &known).ok()?;
            }
            // A parameter that was given stands on top of the file's own value.
            let replaced = self.replaced.iter().find(|(name, _)| *name == known).map(|(_, value)| value);
            let own = self.layers.section("Definition").and_then(|options| options.find(&known));
            let before = replaced.or_else(|| own.and_then(|value| value.before.as_deref()));
            let value = before.or_else(|| self.layers.defaults.find(&known))?;
            return Some(value.text.clone());
        }
        let is_conditional = |option: &str| {
            self.conditional
                .iter()
                .any(|(_, known, _)| known.split_once('?').is_some_and(|(k, _)| k == option))
        };
        // Which of them counts is known when the address is: also where one was given.
        if is_conditional(name) {
            return None;
        }
        if let Some((section, option)) = name.split_once('/') {
            return self
                .layers
                .section(section)
                .and_then(|options| options.find(option))
                .and_then(|_| self.layers.value(section, option).ok()?);
        }
        // Names of options are lower case: `<HOST>` is none.
        (self.call.option(name).is_some() || !name.contains(|c: char| c.is_uppercase()))
            .then(|| self.option(name).ok().flatten())?
    }

    /// Where an option's text stands, unless it came with the call.
    fn place(&self, name: &str) -> Option<Place> {
        let section =
            if self.init().is_some_and(|init| init.find(name).is_some()) { "Init" } else { "Definition" };
        let value = self.layers.raw(section, name).filter(|_| self.call.option(name).is_none())?;
        value.place.path().is_some().then(|| value.place.clone())
    }

    fn text(&self, name: &str) -> Result<Option<String>, Box<Diagnostic>> {
        let Some(value) = self.option(name).map_err(|error| Box::new(error.said()))? else { return Ok(None) };
        let place = || self.layers.raw("Definition", name).map_or(Place::nowhere(), |v| v.place.clone());
        tags::substitute(&value, &|tag| self.tag(tag)).map(Some).ok_or_else(|| {
            let found = Diagnostic::error(632, place(), format!("a tag in `{name}` stands for itself"));
            Box::new(found.help("a `<name>` leads back to the option it stands in"))
        })
    }
}

/// Reads filter.d/NAME, with the parameters of the call.
pub(crate) fn read_filter(
    files: &dyn Files,
    path: &Path,
    call: &Call,
    logtype: &str,
    said: &mut Said<'_>,
) -> Result<(BTreeMap<&'static str, String>, Places), Box<Diagnostic>> {
    let mut with_type = call.clone();
    if call.option("logtype").is_none() {
        with_type.options.push(("logtype".to_owned(), logtype.to_owned()));
    }
    let mut definition = Definition::read(files, path, &with_type, said);
    if definition.is_none() && crate::shipped::has(&call.name) {
        let message =
            format!("the filter `{}` has no file; the one that comes with Komainu is used", call.name);
        said.found.push(
            Diagnostic::hint(670, said.place.clone(), message)
                .help(format!("write {}.conf to have one of your own", path.display())),
        );
        definition = Definition::read(&crate::shipped::WithShipped(files), path, &with_type, said);
    }
    let Some(definition) = definition else {
        let message = format!("the filter `{}` has no file", call.name);
        return Err(Box::new(
            Diagnostic::error(631, said.place.clone(), message)
                .help(format!("write {}.conf, or mend the name", path.display())),
        ));
    };
    let (mut filter, mut places) = (BTreeMap::new(), BTreeMap::new());
    for option in FILTER_OPTIONS {
        if let Some(text) = definition.text(option)? {
            filter.insert(option, text);
            places.extend(definition.place(option).map(|place| (option, place)));
        }
    }
    Ok((filter, places))
}

/// A filter by its call, for one who has no jail: `sshd[mode=aggressive]`, or a path.
///
/// # Errors
/// What is wrong with it.
pub fn filter(
    files: &dyn Files,
    path: &Path,
    call: &Call,
    found: &mut Vec<Diagnostic>,
) -> Result<BTreeMap<&'static str, String>, Box<Diagnostic>> {
    let read = read_filter(files, path, call, "file", &mut Said { found, place: &Place::nowhere() });
    read.map(|(options, _)| options)
}

fn read_action(
    files: &dyn Files,
    folder: &Path,
    call: &Call,
    jail: &str,
    said: &mut Said<'_>,
) -> Result<Action, Box<Diagnostic>> {
    let path = folder.join("action.d").join(&call.name);
    let mut action = Action { file: call.name.clone(), ..Action::default() };
    if let Some(stem) = call.name.strip_suffix(".py") {
        action.name = call.option("actname").unwrap_or(stem).to_owned();
        action.python = Some(path);
        action.parameters = call.options.clone();
        return Ok(action);
    }
    let mut call = call.clone();
    let named = call.option("name").map(str::to_owned);
    if named.is_none() {
        call.options.push(("name".to_owned(), jail.to_owned()));
    }
    action.name = match (call.option("actname"), named.filter(|name| name != jail)) {
        (Some(name), _) => name.to_owned(),
        (None, Some(name)) => {
            let own = name.strip_prefix(jail).and_then(|rest| rest.strip_prefix('-'));
            format!("{}-{}", call.name, own.unwrap_or(&name))
        }
        (None, None) => call.name.clone(),
    };
    if call.option("actname").is_none() {
        call.options.push(("actname".to_owned(), action.name.clone()));
    }
    let Some(definition) = Definition::read(files, &path, &call, said) else {
        let message = format!("the action `{}` has no file", call.name);
        return Err(Box::new(
            Diagnostic::error(631, said.place.clone(), message)
                .help(format!("write {}.conf, or mend the name", path.display())),
        ));
    };
    for option in ACTION_OPTIONS {
        let of_init = definition.init().is_some_and(|init| init.find(option).is_some());
        if of_init || call.option(option).is_some() {
            continue;
        }
        if let Some(text) = definition.text(option)? {
            action.commands.push((option, text));
        }
    }
    // Switches among the parameters come first.
    let (switches, others): (Vec<_>, Vec<_>) =
        call.options.iter().cloned().partition(|(name, _)| ACTION_OPTIONS.contains(&name.as_str()));
    action.parameters = [switches, others].concat();
    let mut own = definition.conditional.clone();
    for (name, value) in definition.init().into_iter().flat_map(Options::iter) {
        if call.option(name).is_none()
            && let Some(text) =
                definition.layers.value("Init", name).map_err(|error| Box::new(error.said()))?
        {
            own.push((value.turn, name.to_owned(), text));
        }
    }
    own.sort();
    action.parameters.extend(own.into_iter().map(|(_, name, text)| (name, text)));
    Ok(action)
}

#[cfg(test)]
mod tests;
