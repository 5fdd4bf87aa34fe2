//! Which key signs whose mail: `KeyTable` and `SigningTable`, or `Domain`, `Selector` and `KeyFile`.
//!
//! Keys are read with the configuration, by whoever may read them. Diagnostics: K0569 a line of the table that means
//! nothing, K0570 a key that can't be used.

use super::conf::{Conf, Reading};
use super::dataset::{Dataset, Source, parents};
use crate::trusted_domain::Setting;
use config::{Diagnostic, Place, SourceFile};
use mail::dkim::SigningKey;
use std::collections::HashMap;
use std::fmt;
use std::path::Path;
use std::sync::Arc;
use tables::Sources;

/// Lines of one key table.
const KEYS_MAX: usize = 20_000;
/// What others than the owner and its group may do with a file.
const OTHERS: u32 = 0o006;

/// A key, and in whose name it signs.
#[derive(Clone)]
pub struct Key {
    /// `d=`; `%` is the author's domain.
    pub domain: String,
    /// `s=`
    pub selector: String,
    /// The key, or why there is none.
    pub key: Result<Arc<SigningKey>, String>,
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key").field("domain", &self.domain).field("selector", &self.selector).finish()
    }
}

/// All keys.
#[derive(Clone, Debug, Default)]
pub struct Keys {
    table: HashMap<String, Key>,
    /// `KeyFile`'s; its domain is whichever is signed for.
    plain: Option<Key>,
}

/// One signature that is wanted.
#[derive(Clone)]
pub struct Request {
    /// `d=`
    pub domain: String,
    /// `s=`
    pub selector: String,
    /// `i=`
    pub identity: Option<String>,
    /// The key.
    pub key: Arc<SigningKey>,
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "s={} d={} i={:?}", self.selector, self.domain, self.identity)
    }
}

impl Keys {
    /// Reads what the settings name.
    pub(super) fn read(conf: &Conf, reading: &mut Reading, sources: &dyn Sources) -> Keys {
        let mut keys = Keys::default();
        if let Some(setting) = reading.key_file.clone() {
            let key = load(&setting.value, &setting.place, reading, sources);
            keys.plain = Some(Key { domain: "%".to_owned(), selector: conf.selector.clone(), key });
        }
        let Some(setting) = reading.key_table.clone() else { return keys };
        keys.plain = None;
        let (file, set) = match Source::read(&setting.value) {
            Source::List(list) => (None, Dataset::of_list(list)),
            Source::File { path, patterns } => {
                let path = reading.path(path);
                match sources.read(&path) {
                    Ok(bytes) => {
                        let text = String::from_utf8_lossy(&bytes).into_owned();
                        let set = Dataset::of_file(&text, patterns);
                        (Some(Arc::new(SourceFile { path, text })), set)
                    }
                    Err(error) => return keys.without(&setting, &error.to_string(), reading),
                }
            }
            Source::Database(kind) => {
                let why = format!("`{kind}:` isn't heeded here; file: and csl: are");
                return keys.without(&setting, &why, reading);
            }
        };
        for (name, value) in set.entries().take(KEYS_MAX) {
            let place = file.as_ref().map_or_else(|| setting.place.clone(), |file| line_of(file, name));
            let mut parts = value.splitn(3, ':');
            let (Some(domain), Some(selector), Some(path)) = (parts.next(), parts.next(), parts.next())
            else {
                let message = format!("the key `{name}` has no DOMAIN:SELECTOR:FILE");
                let help = "write `NAME DOMAIN:SELECTOR:/path/of/key`";
                reading.found.push(Diagnostic::warning(569, place, message).help(help));
                continue;
            };
            let key = load(path, &place, reading, sources);
            let (domain, selector) = (domain.to_ascii_lowercase(), selector.to_owned());
            keys.table.entry(name.to_owned()).or_insert(Key { domain, selector, key });
        }
        keys
    }

    fn without(self, setting: &Setting, why: &str, reading: &mut Reading) -> Keys {
        let message = format!("this key table can't be read: {why}");
        let help = "OpenDKIM doesn't start without it; here mail that it should sign is refused for now";
        reading.found.push(Diagnostic::warning(569, setting.place.clone(), message).help(help));
        self
    }

    /// All of them, by name.
    pub fn all(&self) -> impl Iterator<Item = &Key> {
        self.table.values().chain(&self.plain)
    }
}

fn line_of(file: &Arc<SourceFile>, name: &str) -> Place {
    let mut start = 0;
    for line in file.text.split_inclusive('\n') {
        let end = start + line.trim_end().len();
        if line.split_whitespace().next().is_some_and(|word| word.eq_ignore_ascii_case(name)) {
            return Place::new(file, start, end);
        }
        start += line.len();
    }
    Place::nowhere()
}

/// Reads a key: of a file, or written down.
fn load(
    text: &str,
    place: &Place,
    reading: &mut Reading,
    sources: &dyn Sources,
) -> Result<Arc<SigningKey>, String> {
    let loaded = read_key(text, reading, sources);
    if let Err(why) = &loaded {
        let message = format!("this key can't be used: {why}");
        let help = "mail that it should sign is refused for now, as OpenDKIM does it; \
                    `komainu dkim show FILE` tells more of a key";
        reading.found.push(Diagnostic::warning(570, place.clone(), message).help(help));
    }
    loaded
}

fn read_key(text: &str, reading: &Reading, sources: &dyn Sources) -> Result<Arc<SigningKey>, String> {
    if !text.starts_with(['/', '.']) {
        let pem = format!("-----BEGIN RSA PRIVATE KEY-----\n{text}\n-----END RSA PRIVATE KEY-----\n");
        let plain = format!("-----BEGIN PRIVATE KEY-----\n{text}\n-----END PRIVATE KEY-----\n");
        let key = SigningKey::parse(&pem).or_else(|_| SigningKey::parse(&plain));
        return key.map(Arc::new).map_err(|error| error.to_string());
    }
    let path = reading.path(text);
    if !reading.unsafe_keys
        && let Some(mode) = sources.mode(&path).filter(|mode| mode & OTHERS != 0)
    {
        let shown = path.display();
        let mode = mode & 0o777;
        return Err(format!(
            "everybody may read or write {shown} (mode {mode:o}; chmod 600, or RequireSafeKeys no)"
        ));
    }
    let bytes = sources.read(&path).map_err(|error| error.to_string())?;
    let key = SigningKey::parse(&String::from_utf8_lossy(&bytes));
    key.map(Arc::new).map_err(|error| format!("{}: {error}", display(&path)))
}

fn display(path: &Path) -> String {
    path.display().to_string()
}

/// Why nothing is signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Unsigned {
    /// Nobody's mail.
    NoMatch(String),
    /// A key that can't be had.
    NoKey(String),
}

/// The signatures that an author's mail gets.
pub(super) fn requests(conf: &Conf, address: &str, domain: &str) -> Result<Vec<Request>, Unsigned> {
    match &conf.signing_table {
        Some(table) => by_table(conf, table, address, domain),
        None => by_domain(conf, domain),
    }
}

fn by_domain(conf: &Conf, domain: &str) -> Result<Vec<Request>, Unsigned> {
    let sub = if conf.subdomains { "subdomain" } else { "domain" };
    let no_match = || Unsigned::NoMatch(format!("no signing {sub} match for '{domain}'"));
    let own = conf.domain.has(domain).then_some(domain);
    let parent = || parents(domain).filter_map(|parent| parent.strip_prefix('.'));
    let above = || parent().find(|parent| conf.subdomains && conf.domain.has(parent));
    let signed = own.or_else(above).ok_or_else(no_match)?;
    let Some(plain) = &conf.keys.plain else { return Err(no_match()) };
    let identity = own.is_none().then(|| format!("@{signed}"));
    let request = request(plain, signed, identity).map_err(Unsigned::NoKey)?;
    Ok(vec![request])
}

fn by_table(conf: &Conf, table: &Dataset, address: &str, domain: &str) -> Result<Vec<Request>, Unsigned> {
    let mut values: Vec<&str> = Vec::new();
    if table.has_patterns() {
        values.extend(table.all(address));
    } else {
        let local = address.rsplit_once('@').map_or("", |(local, _)| local);
        let mut keys = vec![address.to_owned(), domain.to_owned()];
        keys.extend(parents(domain).map(|parent| format!("{local}@{parent}")));
        keys.extend(parents(domain).map(str::to_owned));
        keys.push(format!("{local}@*"));
        keys.push("*".to_owned());
        values.extend(keys.iter().flat_map(|key| table.all(key)));
    }
    if !conf.multiple_signatures {
        values.truncate(1);
    }
    if values.is_empty() {
        return Err(Unsigned::NoMatch(format!("no signing table match for '{address}'")));
    }
    let found = values.into_iter().map(|value| {
        let (name, identity) = value.split_once(':').unwrap_or((value, ""));
        let name = if name == "%" { domain } else { name };
        let key = conf.keys.table.get(&name.to_lowercase());
        let key = key.ok_or_else(|| format!("error loading key '{name}': KeyTable has no such line"))?;
        let identity = Some(identity.replace('%', domain)).filter(|identity| !identity.is_empty());
        request(key, domain, identity)
    });
    found.collect::<Result<_, _>>().map_err(Unsigned::NoKey)
}

fn request(key: &Key, domain: &str, identity: Option<String>) -> Result<Request, String> {
    let signing = if key.domain == "%" { domain } else { key.domain.as_str() };
    let of = |identity: &String| {
        let of = identity.rsplit_once('@').map_or("", |(_, of)| of).to_ascii_lowercase();
        of == signing || of.ends_with(&format!(".{signing}"))
    };
    match &key.key {
        Ok(own) => Ok(Request {
            domain: signing.to_owned(),
            selector: key.selector.clone(),
            identity: identity.filter(of),
            key: Arc::clone(own),
        }),
        Err(why) => Err(format!("error loading key of {signing} ({}): {why}", key.selector)),
    }
}
