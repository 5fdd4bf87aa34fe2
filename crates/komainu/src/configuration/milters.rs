//! `smtpd_milters`, `non_smtpd_milters` and all `milter_*`, read once (MILTER_README).
//!
//! A word is `inet:host:port`, `unix:path`, or `{ inet:host:port, default_action=accept, … }`. What can't be read is a
//! finding; nobody is connected to here. Diagnostic: K0179.

use super::{Listener, Skipped};
use config::{Compat, Diagnostic, Parameters, Place, Spanned, split_words, unbraced};
use proto::milter::verdict::DefaultAction;
use proto::milter::{Offer, Stage};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// Where a filter listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Endpoint {
    /// By TCP: a name or address, and a number or a name of /etc/services.
    Inet(String, String),
    /// A socket's path, relative to `queue_directory`.
    Unix(String),
}

impl Endpoint {
    /// Reads `inet:host:port` or `unix:path`.
    #[must_use]
    pub fn parse(name: &str) -> Option<Endpoint> {
        endpoint(name)
    }

    /// Whether it is the milter's that is called `name`: what its own file says (`Socket`), a port of this host that
    /// tutorials give it, or its name in a socket's.
    #[must_use]
    pub fn is_of(&self, name: &str, ports: &[&str], socket: Option<&str>, queue_directory: &Path) -> bool {
        let socket = socket.unwrap_or_default();
        match self {
            Endpoint::Inet(host, port) => {
                let is_here =
                    host == "localhost" || host.parse().is_ok_and(|one: std::net::IpAddr| one.is_loopback());
                let own = socket.strip_prefix("inet:").or_else(|| socket.strip_prefix("inet6:"));
                let own = own.map(|rest| rest.split('@').next().unwrap_or(rest));
                is_here && (own == Some(port) || ports.contains(&port.as_str()))
            }
            Endpoint::Unix(path) => {
                let own = socket.strip_prefix("local:").or_else(|| socket.strip_prefix("unix:"));
                let path = queue_directory.join(path);
                own.is_some_and(|own| path == Path::new(own))
                    || path.file_name().is_some_and(|file| file.to_string_lossy().contains(name))
            }
        }
    }
}

/// One filter.
#[derive(Clone, Debug)]
pub struct Filter {
    /// As it is written, and logged.
    pub name: String,
    /// Where it listens.
    pub endpoint: Endpoint,
    /// What is offered to it.
    pub offer: Offer,
    /// `milter_connect_timeout`
    pub connect: Duration,
    /// `milter_command_timeout`
    pub command: Duration,
    /// `milter_content_timeout`
    pub content: Duration,
    /// `milter_default_action`
    pub default_action: DefaultAction,
}

/// What holds for a filter that says nothing else.
#[derive(Clone, Debug, Default)]
struct Usual {
    default_action: String,
    /// Postfix 3.7 doesn't know `shutdown`, and takes no mail where a filter fails that has it.
    knows_shutdown: bool,
    protocol: String,
    connect: Duration,
    command: Duration,
    content: Duration,
}

impl Usual {
    fn read(p: &Parameters) -> Usual {
        Usual {
            default_action: p.text("milter_default_action").value,
            knows_shutdown: p.compat() != Compat::V3_7,
            protocol: p.text("milter_protocol").value,
            connect: p.duration("milter_connect_timeout"),
            command: p.duration("milter_command_timeout"),
            content: p.duration("milter_content_timeout"),
        }
    }
}

/// Filters, in order, and what they are told beside the mail.
#[derive(Clone, Debug, Default)]
pub struct Milters {
    usual: Usual,
    /// The filters.
    pub filters: Vec<Filter>,
    /// `milter_connect_macros` and its kin.
    macros: BTreeMap<&'static str, Vec<String>>,
    /// `milter_macro_daemon_name`
    pub daemon_name: String,
    /// `milter_macro_v`
    pub version: String,
    /// `milter_macro_defaults`
    pub defaults: BTreeMap<String, String>,
}

const MACROS: [&str; 8] = [
    "milter_connect_macros",
    "milter_helo_macros",
    "milter_mail_macros",
    "milter_rcpt_macros",
    "milter_data_macros",
    "milter_end_of_header_macros",
    "milter_end_of_data_macros",
    "milter_unknown_command_macros",
];

/// Where the filters of all listeners listen.
pub(super) fn endpoints(listeners: &[Listener]) -> impl Iterator<Item = &Endpoint> {
    listeners.iter().filter_map(|one| one.milters.as_deref()).flat_map(Milters::endpoints)
}

impl Milters {
    /// Where its filters listen.
    pub(super) fn endpoints(&self) -> impl Iterator<Item = &Endpoint> {
        self.filters.iter().map(|one| &one.endpoint)
    }

    /// `smtpd_milters` of a server, unless it is to leave them out (`receive_override_options`).
    #[must_use]
    pub fn of_server(p: &Parameters) -> (Option<Arc<Milters>>, Vec<Diagnostic>) {
        let (milters, found) = Milters::read(p, "smtpd_milters");
        let is_any = !milters.filters.is_empty() || !p.list("smtpd_milter_maps").is_empty();
        ((is_any && !Skipped::read(p).milters).then(|| Arc::new(milters)), found)
    }

    /// The same with other filters, as a table names them (`smtpd_milter_maps`).
    ///
    /// # Errors
    /// What of it is no filter.
    pub fn with_filters(&self, list: &str) -> Result<Milters, String> {
        let list = Spanned { value: list.to_owned(), place: Place::nowhere() };
        let words = split_words(list);
        let filters = words.iter().filter(|word| word.value != "none");
        let filters = filters.map(|word| filter(&self.usual, word).map_err(|odd| odd.message));
        Ok(Milters { filters: filters.collect::<Result<_, _>>()?, ..self.clone() })
    }

    /// What is wrong with a list of filters as a table names them, whatever main.cf says of all.
    #[must_use]
    pub fn fault(list: &str) -> Option<String> {
        let usual = Usual { default_action: "tempfail".into(), protocol: "6".into(), ..Usual::default() };
        Milters { usual, ..Milters::default() }.with_filters(list).err()
    }

    /// `non_smtpd_milters` of the cleanup(8) that a service's mail goes through, unless the service is to leave them out.
    #[must_use]
    pub fn of_cleanup(service: &Parameters, cleanup: &Parameters) -> (Option<Arc<Milters>>, Vec<Diagnostic>) {
        let (milters, found) = Milters::read(cleanup, "non_smtpd_milters");
        let is_wanted = !milters.filters.is_empty() && !Skipped::read(service).milters;
        (is_wanted.then(|| Arc::new(milters)), found)
    }

    fn read(p: &Parameters, list: &str) -> (Milters, Vec<Diagnostic>) {
        let mut found = Vec::new();
        let (mut filters, usual) = (Vec::new(), Usual::read(p));
        for word in p.list(list).iter().filter(|word| word.value != "none") {
            match filter(&usual, word) {
                Ok(filter) => filters.push(filter),
                Err(diagnostic) => found.push(*diagnostic),
            }
        }
        let words = |name: &str| p.list(name).into_iter().map(|word| word.value).collect();
        let macros = MACROS.iter().map(|name| (*name, words(name))).collect();
        let defaults = p.list("milter_macro_defaults").into_iter().filter_map(|word| {
            let inside = unbraced(&word).unwrap_or(word);
            let (name, value) = inside.value.split_once('=')?;
            Some((name.trim().to_owned(), value.trim().to_owned()))
        });
        let milters = Milters {
            usual,
            filters,
            macros,
            daemon_name: p.text("milter_macro_daemon_name").value,
            version: p.text("milter_macro_v").value,
            defaults: defaults.collect(),
        };
        (milters, found)
    }

    /// The macros that are sent at a stage.
    #[must_use]
    pub fn macros(&self, stage: Stage) -> &[String] {
        let name = match stage {
            Stage::Connect => "milter_connect_macros",
            Stage::Helo => "milter_helo_macros",
            Stage::Mail => "milter_mail_macros",
            Stage::Rcpt => "milter_rcpt_macros",
            Stage::Data => "milter_data_macros",
            Stage::Header | Stage::EndOfHeader => "milter_end_of_header_macros",
            Stage::Body | Stage::EndOfMessage => "milter_end_of_data_macros",
            Stage::Unknown => "milter_unknown_command_macros",
        };
        self.macros.get(name).map_or(&[], Vec::as_slice)
    }
}

fn bad(word: &Spanned<String>, why: &str) -> Box<Diagnostic> {
    let message = format!("\"{}\" is no milter: {why}", word.value);
    let help = "write inet:host:port, unix:path, or { inet:host:port, default_action=accept }";
    Box::new(Diagnostic::error(179, word.place.clone(), message).help(help))
}

fn filter(usual: &Usual, word: &Spanned<String>) -> Result<Filter, Box<Diagnostic>> {
    let (name, settings) = match unbraced(word) {
        Some(inside) => {
            let words = split_words(inside);
            let name = words.first().cloned().ok_or_else(|| bad(word, "nothing stands in its braces"))?;
            let settings = own_settings(words.get(1..).unwrap_or_default());
            (name, settings.ok_or_else(|| bad(word, "settings read name=value, or { name = value }"))?)
        }
        None => (word.clone(), BTreeMap::new()),
    };
    let known = ["connect_timeout", "command_timeout", "content_timeout", "default_action", "protocol"];
    if let Some(odd) = settings.keys().find(|key| !known.contains(&key.as_str())) {
        return Err(bad(word, &format!("\"{odd}\" is no setting of it ({})", known.join(", "))));
    }
    let own = |key: &str, usual: &String| settings.get(key).unwrap_or(usual).clone();
    let time = |key: &str, usual: Duration| match settings.get(key) {
        None => Ok(usual),
        Some(text) => config::units::parse_time(text, config::registry::Unit::Second)
            .ok_or_else(|| bad(word, &format!("{key} = {text} is no time"))),
    };
    let action = own("default_action", &usual.default_action);
    let default_action = DefaultAction::from_word(&action).ok_or_else(|| {
        bad(word, &format!("default_action = {action}: accept, reject, tempfail, quarantine"))
    })?;
    let default_action = match default_action {
        DefaultAction::Shutdown if !usual.knows_shutdown => DefaultAction::Unrecognized(action),
        known => known,
    };
    let version = own("protocol", &usual.protocol);
    let number = version.split([',', ' ']).find_map(|word| word.parse().ok());
    let offer = number.and_then(Offer::new);
    Ok(Filter {
        endpoint: endpoint(&name.value).ok_or_else(|| bad(&name, "it names no place to connect to"))?,
        name: name.value,
        offer: offer.ok_or_else(|| bad(word, &format!("protocol {version}: 2, 3, 4 and 6 are known")))?,
        connect: time("connect_timeout", usual.connect)?,
        command: time("command_timeout", usual.command)?,
        content: time("content_timeout", usual.content)?,
        default_action,
    })
}

/// `name=value` each, or `{ name = value }`.
fn own_settings(words: &[Spanned<String>]) -> Option<BTreeMap<String, String>> {
    let setting = |word: &Spanned<String>| {
        let inside = unbraced(word).unwrap_or_else(|| word.clone());
        let (name, value) = inside.value.split_once('=')?;
        Some((name.trim().to_owned(), value.trim().to_owned()))
    };
    words.iter().map(setting).collect()
}

fn endpoint(name: &str) -> Option<Endpoint> {
    let (transport, rest) = name.split_once(':')?;
    match transport {
        "unix" | "local" => (!rest.is_empty()).then(|| Endpoint::Unix(rest.to_owned())),
        "inet" => {
            // Sendmail's spelling is known too.
            let (host, port) = match rest.split_once('@') {
                Some((port, host)) => (host, port),
                None => rest.rsplit_once(':').unwrap_or(("", rest)),
            };
            let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
            let host = host.strip_prefix("ipv6:").unwrap_or(host);
            let host = if host.is_empty() { "localhost" } else { host };
            (!port.is_empty()).then(|| Endpoint::Inet(host.to_owned(), port.to_owned()))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints() {
        let check = |text: &str, expect: Option<Endpoint>| assert_eq!(endpoint(text), expect, "{text}");
        let inet = |host: &str, port: &str| Some(Endpoint::Inet(host.to_owned(), port.to_owned()));
        check("inet:localhost:8891", inet("localhost", "8891"));
        check("inet:8891@localhost", inet("localhost", "8891"));
        check("inet:[::1]:8891", inet("::1", "8891"));
        check("inet:8891", inet("localhost", "8891"));
        check("unix:opendkim/opendkim.sock", Some(Endpoint::Unix("opendkim/opendkim.sock".to_owned())));
        check("unix:", None);
        check("localhost:8891", None);
        check("inet:", None);
    }
}
