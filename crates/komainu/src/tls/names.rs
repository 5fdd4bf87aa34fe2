//! Certificates by the name that a client asks for (`tls_server_sni_maps`; RFC 6066 §3).
//!
//! The tables and the files that they name are read when the configuration is: a change of either is a reload, and a
//! renewed certificate is served from then on. A value names files, or holds their content in base64, as `postmap -F`
//! writes it; where a table has both a text and a database, the text counts, so that a renewal needs no postmap. What
//! can't be used ends the handshakes of that name, as in Postfix; what was good before stays. Tables behind sockets
//! aren't asked.

use super::files::{self, Credentials, FileError};
use config::{Diagnostic, Spanned};
use mail::base64;
use rustls::crypto::{CryptoProvider, ring};
use rustls::sign::CertifiedKey;
use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, OnceLock};
use tables::postmap::{self, Manner, Opened};
use tables::{SourceError, Sources, TableSpec, Usage, Vantage};

/// Parents of a name that are looked for.
const LABELS_MAX: usize = 128;

/// Certificates with their keys, the preferred first.
pub(super) type Chain = Vec<Arc<CertifiedKey>>;

/// The names that certificates are kept for.
#[derive(Debug)]
pub struct Names {
    tables: Vec<Opened>,
    /// By the value that the tables have for them.
    chains: HashMap<String, Result<Chain, String>>,
    /// What earlier configurations had for values that are broken now.
    kept: OnceLock<HashMap<String, Chain>>,
}

/// What is shown to a client that asks for a name.
#[derive(Debug)]
pub(super) enum Shown<'n> {
    /// These.
    Chain(&'n Chain),
    /// No table has the name.
    NotMatched,
    /// Nothing: the handshake ends, and these warnings say why.
    Broken(Vec<String>),
}

impl Names {
    /// Reads the tables and all that they name. What is wrong is said; the rest counts.
    #[must_use]
    pub fn read(words: &[Spanned<String>], sources: &dyn Sources) -> (Names, Vec<Diagnostic>) {
        let (mut tables, mut chains, mut found) = (Vec::new(), HashMap::new(), Vec::new());
        let provider = ring::default_provider();
        for word in words {
            let opened = match open(word, sources) {
                Ok(opened) => opened,
                Err(message) => {
                    let message = format!("tls_server_sni_maps: {message}");
                    let help = "handshakes with clients that ask for a name fail";
                    found.push(Diagnostic::warning(216, word.place.clone(), message).help(help));
                    // A table that can't say is asked all the same.
                    match postmap::open("fail:tls_server_sni_maps", Usage::Map, sources) {
                        Ok(opened) => opened,
                        Err(_) => continue,
                    }
                }
            };
            found.extend(opened.notices.iter().map(tables::Notice::diagnostic));
            for row in opened.table.rows().unwrap_or_default() {
                let name = row.key.as_deref().unwrap_or("a pattern");
                if chains.contains_key(&row.value) {
                    continue;
                }
                let loaded = load(&row.value, &provider, sources);
                if let Err(error) = &loaded
                    && !(error.is_elsewhere(sources.vantage()))
                {
                    let message = format!("no certificate for \"{name}\": {error}");
                    found.push(Diagnostic::warning(216, row.place.clone(), message).help(error.outcome()));
                }
                match loaded {
                    // As if the line weren't there.
                    Err(LoadError::File(FileError::Unreadable(_))) => {}
                    loaded => {
                        chains.insert(row.value, loaded.map_err(|error| error.to_string()));
                    }
                }
            }
            tables.push(opened);
        }
        (Names { tables, chains, kept: OnceLock::new() }, found)
    }

    /// Keeps what was good before, where it can't be used now; whether there is such a one.
    pub(super) fn keep(&self, before: &Names) -> bool {
        let values = self.tables.iter().flat_map(|opened| opened.table.rows().unwrap_or_default());
        let broken = values.filter(|row| !matches!(self.chains.get(&row.value), Some(Ok(_))));
        let kept: HashMap<String, Chain> = broken
            .filter_map(|row| {
                let chain = before.good(&row.value)?.clone();
                Some((row.value, chain))
            })
            .collect();
        let any = !kept.is_empty();
        any && self.kept.set(kept).is_ok()
    }

    /// All certificates.
    pub(super) fn all(&self) -> impl Iterator<Item = &Arc<CertifiedKey>> {
        self.chains.values().filter_map(|chain| chain.as_ref().ok()).flatten()
    }

    /// What is shown to a client that asks for `name`: by the name itself, or by a parent with a dot before it.
    pub(super) fn find(&self, name: &str) -> Shown<'_> {
        let parents = name.match_indices('.').filter_map(|(at, _)| name.get(at..));
        for key in std::iter::once(name).chain(parents).take(LABELS_MAX) {
            for opened in &self.tables {
                let value = match opened.lookup(key, |_, _| None) {
                    Ok(None) => continue,
                    Ok(Some(hit)) => hit.value,
                    Err(error) => {
                        let problem = format!("tls_server_sni_maps: {name} map lookup problem");
                        return Shown::Broken(vec![error.to_string(), problem]);
                    }
                };
                if let Some(chain) = self.good(&value) {
                    return Shown::Chain(chain);
                }
                if let Some(Err(error)) = self.chains.get(&*value) {
                    let aborting = format!(
                        "error loading private keys and certificates from: SNI data for {name}: aborting TLS handshake"
                    );
                    return Shown::Broken(vec![format!("SNI data for {name}: {error}"), aborting]);
                }
            }
        }
        Shown::NotMatched
    }

    fn good(&self, value: &str) -> Option<&Chain> {
        if let Some(Ok(chain)) = self.chains.get(value) {
            return Some(chain);
        }
        self.kept.get()?.get(value)
    }
}

/// The text where there is one, else whatever there is.
fn open(word: &Spanned<String>, sources: &dyn Sources) -> Result<Opened, String> {
    let spec = TableSpec::parse(word).map_err(|diagnostic| diagnostic.message)?;
    if spec.is_remote() {
        return Err(format!("{spec}: tables behind sockets aren't asked for certificates"));
    }
    let text = spec.path().map(|path| sources.read(&path));
    match text {
        Some(Ok(bytes)) => postmap::parse(&spec, Usage::Map, Manner::default(), bytes),
        _ => postmap::open(&word.value, Usage::Map, sources),
    }
}

/// Why a value gives no certificate.
#[derive(Debug, thiserror::Error)]
enum LoadError {
    #[error(transparent)]
    File(#[from] FileError),
    #[error("malformed BASE64 value: {0}")]
    Base64(String),
    #[error("a private key isn't its certificate's, or can't be used: {0}")]
    Pair(rustls::Error),
}

impl LoadError {
    /// On paper the files of another machine can't be read.
    fn is_elsewhere(&self, vantage: Vantage) -> bool {
        vantage == Vantage::Elsewhere && matches!(self, LoadError::File(FileError::Unreadable(_)))
    }

    const fn outcome(&self) -> &'static str {
        match self {
            LoadError::File(FileError::Unreadable(SourceError::Missing(_) | _)) => {
                "the line counts for nothing; clients that ask for the name are shown the default certificate"
            }
            _ => "handshakes with clients that ask for the name fail",
        }
    }
}

/// The certificates that a value stands for, elliptic curves first: they cost less.
fn load(value: &str, provider: &CryptoProvider, sources: &dyn Sources) -> Result<Chain, LoadError> {
    let found: Vec<Credentials> = if value.starts_with('/') {
        let words = value.split([',', ' ', '\t', '\n', '\r']).filter(|word| !word.is_empty());
        files::chains(&words.map(str::to_owned).collect::<Vec<_>>(), sources)?
    } else {
        let content = base64::decode(value).ok_or_else(|| LoadError::Base64(shortened(value)))?;
        files::chains_in([("tls_server_sni_maps".to_owned(), content)])?
    };
    if found.is_empty() {
        return Err(FileError::NoKey(shortened(value)).into());
    }
    let pair = |(chain, key)| CertifiedKey::from_der(chain, key, provider).map(Arc::new);
    let mut chain = found.into_iter().map(pair).collect::<Result<Chain, _>>().map_err(LoadError::Pair)?;
    chain.sort_by_key(|key| key.key.algorithm() == rustls::SignatureAlgorithm::RSA);
    Ok(chain)
}

fn shortened(value: &str) -> String {
    if Path::new(value).is_absolute() || value.len() <= 40 {
        return value.to_owned();
    }
    value.chars().take(40).chain("…".chars()).collect()
}

#[cfg(test)]
mod tests;
