//! OpenDKIM's data sets (opendkim(8), DATA SETS): a file, a file of patterns, or a list in the setting itself.
//!
//! Keys are compared without regard to case. A set of hosts prefers what is said more precisely, and `!` takes out.

use std::net::IpAddr;

/// The most lines that are read.
const ENTRIES_MAX: usize = 200_000;

/// Keys, and what stands behind them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Dataset {
    entries: Vec<(String, String)>,
    /// `*` in keys stands for anything.
    patterns: bool,
}

/// Where a data set's members are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source<'t> {
    /// In a file.
    File {
        /// Where it is.
        path: &'t str,
        /// Its keys are patterns.
        patterns: bool,
    },
    /// In the setting.
    List(&'t str),
    /// In a database of this kind.
    Database(&'t str),
}

impl<'t> Source<'t> {
    pub(super) fn read(text: &'t str) -> Source<'t> {
        let known = ["db", "dsn", "ldap", "ldaps", "ldapi", "lua", "memcache", "erlang", "mdb"];
        match text.split_once(':') {
            Some(("file", path)) => Source::File { path, patterns: false },
            Some(("refile", path)) => Source::File { path, patterns: true },
            Some(("csl", list)) => Source::List(list),
            Some((kind, _)) if known.contains(&kind) => Source::Database(kind),
            _ if text.starts_with('/') && text.ends_with(".db") => Source::Database("db"),
            _ if text.starts_with('/') => Source::File { path: text, patterns: false },
            _ => Source::List(text),
        }
    }
}

impl Dataset {
    /// `key value` lines, `#` begins a comment.
    #[must_use]
    pub fn of_file(text: &str, patterns: bool) -> Dataset {
        let lines = text.lines().map(|line| line.split('#').next().unwrap_or("").trim());
        let entries = lines.filter(|line| !line.is_empty()).map(|line| {
            let (key, value) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
            (key.to_lowercase(), value.trim().to_owned())
        });
        Dataset { entries: entries.take(ENTRIES_MAX).collect(), patterns }
    }

    /// `a, b=c`
    #[must_use]
    pub fn of_list(text: &str) -> Dataset {
        let words = text.split(',').map(str::trim).filter(|word| !word.is_empty());
        let entries = words.map(|word| {
            let (key, value) = word.split_once('=').unwrap_or((word, ""));
            (key.trim().to_lowercase(), value.trim().to_owned())
        });
        Dataset { entries: entries.take(ENTRIES_MAX).collect(), patterns: false }
    }

    /// Whether nothing is in it.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Whether its keys are patterns.
    #[must_use]
    pub const fn has_patterns(&self) -> bool {
        self.patterns
    }

    /// Its keys, in order.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.entries.iter().map(|(key, _)| key.as_str())
    }

    /// All lines.
    pub fn entries(&self) -> impl Iterator<Item = (&str, &str)> {
        self.entries.iter().map(|(key, value)| (key.as_str(), value.as_str()))
    }

    /// What stands behind `key`, the first time it is there.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&str> {
        self.all(key).next()
    }

    /// The same, each time.
    pub(super) fn all<'s>(&'s self, key: &str) -> impl Iterator<Item = &'s str> {
        let key = key.to_lowercase();
        let fits = move |own: &str| if self.patterns { matches(own, &key) } else { own == key };
        self.entries.iter().filter(move |(own, _)| fits(own)).map(|(_, value)| value.as_str())
    }

    /// Whether it has `key`.
    #[must_use]
    pub fn has(&self, key: &str) -> bool {
        self.get(key).is_some()
    }

    /// Whether a domain is in it, or one that it is below of as `.domain`.
    #[must_use]
    pub fn has_domain(&self, domain: &str) -> bool {
        self.has(domain) || parents(domain).any(|parent| self.has(parent))
    }

    /// Whether a host is in it: by its name, then by its address, then by its network, the smallest first; `!` before a
    /// member takes it out.
    #[must_use]
    pub fn has_host(&self, name: Option<&str>, address: IpAddr) -> bool {
        let said = |key: &str| {
            if self.has(&format!("!{key}")) {
                return Some(false);
            }
            self.has(key).then_some(true)
        };
        if let Some(name) = name
            && let Some(found) = said(name).or_else(|| parents(name).find_map(said))
        {
            return found;
        }
        let text = address.to_canonical().to_string();
        if let Some(found) = said(&text).or_else(|| said(&format!("[{text}]"))) {
            return found;
        }
        self.network(address.to_canonical())
    }

    /// By the smallest network that it is of.
    fn network(&self, address: IpAddr) -> bool {
        let mut best: Option<(u8, bool)> = None;
        for key in self.keys().filter(|key| key.contains('/')) {
            let (text, is_in) = key.strip_prefix('!').map_or((key, true), |rest| (rest, false));
            let text: String = text.chars().filter(|c| !matches!(c, '[' | ']')).collect();
            let bits = text.rsplit_once('/').and_then(|(_, bits)| bits.parse::<u8>().ok());
            let network = crate::spf::Network::parse(&text).filter(|network| network.contains(address));
            if let (Some(_), Some(bits)) = (network, bits)
                && best.is_none_or(|(before, _)| bits > before)
            {
                best = Some((bits, is_in));
            }
        }
        best.is_some_and(|(_, is_in)| is_in)
    }
}

/// `.b.c`, `.c` of `a.b.c`.
pub(super) fn parents(name: &str) -> impl Iterator<Item = &str> {
    name.match_indices('.').filter_map(|(at, _)| name.get(at..)).filter(|parent| parent.len() > 1)
}

/// Whether all of `text` fits `pattern`, in which `*` stands for anything.
fn matches(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(mut rest) = text.strip_prefix(parts.next().unwrap_or_default()) else { return false };
    let mut parts = parts.peekable();
    if parts.peek().is_none() {
        return rest.is_empty();
    }
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            return rest.ends_with(part);
        }
        match rest.find(part).and_then(|at| rest.get(at.saturating_add(part.len())..)) {
            Some(behind) => rest = behind,
            None => return false,
        }
    }
    true
}
