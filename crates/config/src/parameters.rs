//! The values in force: main.cf over defaults, with `$name` replaced and types read.
//!
//! A value that can't be read as its type is told, and its default is in force. Nothing here asks the system:
//! what hangs on the machine comes in as `Host`.
//! Diagnostics: K0106 to K0109 values that don't fit their type; K0110 to K0115 come from `expand`.

mod mending;

use crate::computed::{Networks, my_domain, my_hostname};
use crate::conf::is_space;
use crate::expand::{Scope, expand};
use crate::level::Level;
use crate::main_cf::Definition;
use crate::registry::{self, Computed, Default, Kind, Unit};
use crate::traced::Traced;
use crate::units::{parse_flag, parse_number, parse_time};
use crate::{Compat, Diagnostic, Host, MainCf, Override, Spanned};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// All parameters of one service. Immutable and cheap to clone.
#[derive(Clone, Debug)]
pub struct Parameters {
    inner: Arc<Inner>,
}

#[derive(Clone, Debug)]
struct Inner {
    definitions: BTreeMap<String, Arc<Definition>>,
    host: Arc<Host>,
    compat: Compat,
    stress: bool,
}

impl Scope for Inner {
    fn value(&self, name: &str) -> Option<Cow<'_, Traced>> {
        if let Some(definition) = self.definitions.get(name) {
            return Some(Cow::Borrowed(&definition.value));
        }
        self.default(name).map(Cow::Owned)
    }

    fn is_raw(&self, name: &str) -> bool {
        kind(name) == Kind::Raw
    }
}

impl Inner {
    fn default(&self, name: &str) -> Option<Traced> {
        if name == "stress" {
            return Some(Traced::nowhere(if self.stress { "yes" } else { "" }));
        }
        let Some(parameter) = registry::find(name) else {
            return registry::derived(name).map(|derived| Traced::nowhere(derived.default));
        };
        if let Default::Computed(computed) = parameter.default {
            return Some(Traced::nowhere(self.computed(computed)));
        }
        // A name of the past counts as defined and empty: newer defaults refer to it.
        Some(Traced::nowhere(parameter.default_text(self.compat).unwrap_or_default()))
    }

    fn computed(&self, computed: Computed) -> String {
        // What a computed default hangs on is read with computed defaults of the machine alone: no circle.
        let read = |name| expand(&self.value(name).unwrap_or_default(), &Bare(self)).0;
        match computed {
            Computed::MyHostname => {
                let mydomain = self.definitions.contains_key("mydomain").then(|| read("mydomain"));
                my_hostname(&self.host, mydomain.as_ref().map(Traced::as_str))
            }
            Computed::MyDomain if self.definitions.contains_key("myhostname") => {
                my_domain(read("myhostname").as_str())
            }
            Computed::MyDomain => my_domain(&my_hostname(&self.host, None)),
            Computed::MyNetworks => {
                let words =
                    |name| -> Vec<String> { read(name).words().into_iter().map(|word| word.value).collect() };
                let style = read("mynetworks_style");
                let style = style.as_str();
                let (interfaces, protocols) = (words("inet_interfaces"), words("inet_protocols"));
                let host = &self.host;
                Networks { host, style, interfaces: &interfaces, protocols: &protocols }.text()
            }
        }
    }

    /// The value of `name` with its references replaced, and what is wrong with them.
    fn expanded(&self, name: &str) -> (Traced, Vec<Diagnostic>) {
        let Some(value) = self.value(name) else { return (Traced::default(), Vec::new()) };
        self.replaced(name, &value)
    }

    fn replaced(&self, name: &str, value: &Traced) -> (Traced, Vec<Diagnostic>) {
        // `postscreen_reject_footer = $smtpd_reject_footer` is the one reference in raw values.
        let reference = value.as_str().strip_prefix('$').and_then(registry::find);
        if kind(name) == Kind::Raw && reference.is_none() {
            return (value.clone(), Vec::new());
        }
        // Its own name is open while its value is read, so that a cycle is seen at once.
        expand(value, &Within { scope: self, name })
    }

    fn plain(&self, name: &str) -> String {
        self.expanded(name).0.as_str().to_owned()
    }

    /// The value of `name` read by `read`; the default's where that fails.
    fn typed<T>(&self, name: &str, read: impl Fn(&str) -> Option<T>) -> Option<T> {
        read(self.expanded(name).0.as_str().trim_matches(is_space)).or_else(|| {
            let default = self.default(name)?;
            read(self.replaced(name, &default).0.as_str().trim_matches(is_space))
        })
    }
}

/// Values for a computed default: other computed defaults come from the machine alone.
struct Bare<'a>(&'a Inner);

impl Scope for Bare<'_> {
    fn value(&self, name: &str) -> Option<Cow<'_, Traced>> {
        if let Some(definition) = self.0.definitions.get(name) {
            return Some(Cow::Borrowed(&definition.value));
        }
        let computed = registry::find(name).and_then(|parameter| match parameter.default {
            Default::Computed(computed) => Some(computed),
            _ => None,
        });
        match computed {
            None => self.0.default(name).map(Cow::Owned),
            Some(Computed::MyHostname) => Some(Cow::Owned(Traced::nowhere(my_hostname(&self.0.host, None)))),
            Some(Computed::MyDomain) => {
                Some(Cow::Owned(Traced::nowhere(my_domain(&my_hostname(&self.0.host, None)))))
            }
            Some(Computed::MyNetworks) => None,
        }
    }
}

/// The scope of the value of `name`.
struct Within<'a> {
    scope: &'a Inner,
    name: &'a str,
}

impl Scope for Within<'_> {
    fn value(&self, name: &str) -> Option<Cow<'_, Traced>> {
        self.scope.value(name)
    }

    fn is_raw(&self, name: &str) -> bool {
        self.scope.is_raw(name)
    }

    fn begins_in(&self) -> Option<&str> {
        Some(self.name)
    }
}

fn kind(name: &str) -> Kind {
    match registry::find(name) {
        Some(parameter) => parameter.kind,
        None => registry::derived(name).map_or(Kind::Text, |derived| derived.kind),
    }
}

impl Parameters {
    /// The values that `main` gives on the machine `host`.
    #[must_use]
    pub fn new(main: &MainCf, host: &Host, compat: Compat) -> (Parameters, Vec<Diagnostic>) {
        let definitions =
            main.definitions().iter().map(|(name, definition)| (name.clone(), Arc::new(definition.clone())));
        let inner =
            Inner { definitions: definitions.collect(), host: Arc::new(host.clone()), compat, stress: false };
        let mut diagnostics = Vec::new();
        for name in inner.definitions.keys() {
            check(&inner, name, &mut diagnostics);
        }
        (Parameters { inner: Arc::new(inner) }, diagnostics)
    }

    /// The same with one service's `-o name=value`.
    #[must_use]
    pub fn with_overrides(&self, overrides: &[Override]) -> (Parameters, Vec<Diagnostic>) {
        if overrides.is_empty() {
            return (self.clone(), Vec::new());
        }
        let mut inner = Inner::clone(&self.inner);
        for one in overrides {
            let value = Traced::from_spanned(&one.value);
            let definition = Definition::new(one.name.place.clone(), value);
            inner.definitions.insert(one.name.value.clone(), Arc::new(definition));
        }
        let mut diagnostics = Vec::new();
        for one in overrides {
            check(&inner, &one.name.value, &mut diagnostics);
        }
        (Parameters { inner: Arc::new(inner) }, diagnostics)
    }

    /// The same under stress or not: `${stress?…}`.
    #[must_use]
    pub fn with_stress(&self, on: bool) -> Parameters {
        Parameters { inner: Arc::new(Inner { stress: on, ..Inner::clone(&self.inner) }) }
    }

    /// The machine that this configuration was read for.
    #[must_use]
    pub fn host(&self) -> &Host {
        &self.inner.host
    }

    /// Whose defaults are in force.
    #[must_use]
    pub fn compat(&self) -> Compat {
        self.inner.compat
    }

    /// Whether `compatibility_level` is `level` or later.
    #[must_use]
    pub fn compatibility_level_at_least(&self, level: &str) -> bool {
        let own = Level::parse(&self.inner.plain("compatibility_level")).unwrap_or_default();
        Level::parse(level).is_some_and(|level| own >= level)
    }

    /// The expanded value, or the default's; empty for a name that nobody knows.
    #[must_use]
    pub fn text(&self, name: &str) -> Spanned<String> {
        self.inner.expanded(name).0.spanned()
    }

    /// What `name` is when nothing defines it, `$name` and all; `None` for a name that nobody knows.
    #[must_use]
    pub fn default_text(&self, name: &str) -> Option<String> {
        self.inner.default(name).map(|text| text.as_str().to_owned())
    }

    /// Whether main.cf, an override or the command line defines `name`.
    #[must_use]
    pub fn is_set(&self, name: &str) -> bool {
        self.inner.definitions.contains_key(name)
    }

    /// The value as written, `$name` and all.
    #[must_use]
    pub fn raw(&self, name: &str) -> Option<Spanned<String>> {
        self.inner.definitions.get(name).map(|definition| definition.raw.clone())
    }

    /// A boolean; the default's where the value is none.
    #[must_use]
    pub fn flag(&self, name: &str) -> bool {
        self.inner.typed(name, parse_flag).unwrap_or(false)
    }

    /// A number: integers and sizes; the default's where the value is none.
    #[must_use]
    pub fn number(&self, name: &str) -> i64 {
        self.inner.typed(name, parse_number).unwrap_or(0)
    }

    /// A time; the default's where the value is none.
    #[must_use]
    pub fn duration(&self, name: &str) -> Duration {
        let unit = match kind(name) {
            Kind::Time(unit) => unit,
            _ => Unit::Second,
        };
        self.inner.typed(name, |text| parse_time(text, unit)).unwrap_or_default()
    }

    /// The words of a list, each with the place it was written at, through `$name`.
    #[must_use]
    pub fn list(&self, name: &str) -> Vec<Spanned<String>> {
        self.inner.expanded(name).0.words()
    }

    /// `text` with `$name` and the like replaced.
    #[must_use]
    pub fn expand(&self, text: &str) -> String {
        expand(&Traced::nowhere(text), &*self.inner).0.as_str().to_owned()
    }

    /// The value of `name` with its references replaced, and what is wrong with them; `None` for a name that nobody
    /// knows.
    pub(crate) fn value_of(&self, name: &str) -> Option<(String, Vec<Diagnostic>)> {
        let value = self.inner.value(name)?;
        let (text, found) = self.inner.replaced(name, &value);
        Some((text.as_str().to_owned(), found))
    }

    /// What was defined, by name: the value as written.
    pub fn definitions(&self) -> impl Iterator<Item = (&str, &Spanned<String>)> {
        self.inner.definitions.iter().map(|(name, definition)| (name.as_str(), &definition.raw))
    }

    /// Where the name of a definition stands.
    #[must_use]
    pub fn name_place(&self, name: &str) -> Option<&crate::Place> {
        self.inner.definitions.get(name).map(|definition| &definition.name)
    }
}

/// Tells what is wrong with the value of `name`.
fn check(inner: &Inner, name: &str, diagnostics: &mut Vec<Diagnostic>) {
    let (value, mut found) = inner.expanded(name);
    diagnostics.append(&mut found);
    let text = value.as_str().trim_matches(is_space);
    let help = match kind(name) {
        Kind::Flag if parse_flag(text).is_none() => {
            (106, "a boolean".to_owned(), "write `yes` or `no`".to_owned())
        }
        Kind::Number | Kind::Size if parse_number(text).is_none() => {
            let help = mending::advice(kind(name), text);
            (
                107,
                "a number".to_owned(),
                help.unwrap_or_else(|| "write digits only, without a unit".to_owned()),
            )
        }
        Kind::Time(unit) if parse_time(text, unit).is_none() => {
            let help = format!(
                "write a whole number and one of s, m, h, d, w; without a unit it counts {}",
                unit.name()
            );
            (108, "a time".to_owned(), help)
        }
        Kind::Number if parse_number(text).is_some_and(|number| number < least(name)) => {
            (107, format!("a number from {}", least(name)), "Postfix refuses to run with it".to_owned())
        }
        Kind::Time(unit) if least(name) > 0 && parse_time(text, unit).is_some_and(|time| time.is_zero()) => {
            (108, "a time above 0".to_owned(), "Postfix refuses to run with it".to_owned())
        }
        _ => match of_few(name, text) {
            Some((wanted, help)) => (109, wanted.to_owned(), help.to_owned()),
            None => return,
        },
    };
    let (code, wanted, help) = help;
    let default = inner.default(name).map(|text| inner.replaced(name, &text).0).unwrap_or_default();
    let place = inner.definitions.get(name).map_or_else(crate::Place::nowhere, |d| {
        if d.raw.place.file.is_some() { d.raw.place.clone() } else { d.name.clone() }
    });
    let mut diagnostic =
        Diagnostic::error(code, place.clone(), format!("bad value of {name}: `{text}` is not {wanted}"))
            .help(format!("{help}; the default is `{}`", default.as_str()));
    if place.text() == text
        && let Some(mended) = mending::mended(kind(name), text).filter(|mended| mended != text)
    {
        diagnostic = diagnostic.fix(place, mended);
    }
    diagnostics.push(diagnostic);
}

/// The least that Postfix takes, where less would refuse or send away every client.
pub(crate) fn least(name: &str) -> i64 {
    match name {
        "postscreen_command_count_limit"
        | "postscreen_command_time_limit"
        | "postscreen_dnsbl_threshold"
        | "postscreen_dnsbl_timeout"
        | "postscreen_greet_wait"
        | "postscreen_upstream_proxy_timeout"
        | "smtpd_hard_error_limit"
        | "smtpd_junk_command_limit"
        | "smtpd_min_data_rate"
        | "smtpd_recipient_limit"
        | "smtpd_soft_error_limit"
        | "smtpd_timeout"
        | "smtpd_upstream_proxy_timeout" => 1,
        "postscreen_pre_queue_limit" => 10,
        _ => i64::MIN,
    }
}

/// What a text should have been, where only a few texts are right.
fn of_few(name: &str, text: &str) -> Option<(&'static str, &'static str)> {
    let mut words = text.split([',', ' ', '\t']).filter(|word| !word.is_empty());
    match name {
        "compatibility_level" => Level::parse(text)
            .is_none()
            .then_some(("a compatibility level", "write a level such as 2 or 3.6")),
        "mynetworks_style" => (!matches!(text, "class" | "subnet" | "host"))
            .then_some(("a style of networks", "write `host`, `subnet` or `class`")),
        "inet_protocols" => (words.clone().next().is_none()
            || !words.all(|w| matches!(w, "all" | "ipv4" | "ipv6")))
        .then_some(("a list of protocols", "write `all`, `ipv4` or `ipv6`")),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
