//! Words to [`Entry`]s: one parser for main.cf's lists, restriction classes, and lists that a table names at run time.
//!
//! What a word names (tables, classes, policy servers) comes through a [`Namespace`]: the compiler's adds what is
//! new and collects diagnostics, the run-time one only finds what is there (Postfix refuses tables in tables, too).

use crate::check::{CertificateKey, Check, Entry, Plain, Subject};
use crate::dnsbl::{AddressPattern, ListZone};
use crate::names::{self, Form};
use crate::service::ZoneKind;
use config::{Diagnostic, Place, Spanned};
use std::iter::Peekable;
use std::sync::Arc;
use std::time::Duration;
use tables::TableId;

/// Where names lead.
pub(crate) trait Namespace {
    /// A table; `None` where it can't be had.
    fn table(&mut self, word: &Spanned<String>) -> Option<TableId>;
    /// A restriction class.
    fn class(&self, name: &str) -> Option<usize>;
    /// A policy server, by the argument of check_policy_service; `Err` is Postfix's warning.
    fn service(&mut self, word: &Spanned<String>) -> Result<usize, String>;
    /// The zones of `maps_rbl_domains`.
    fn maps_rbl(&self) -> Vec<Arc<ListZone>>;
    /// Something to tell the administrator.
    fn say(&mut self, diagnostic: Diagnostic);
    /// The names of the classes, for suggestions.
    fn classes(&self) -> Vec<String>;
}

/// The table lookup that a bare table stands for; none at DATA and END-OF-DATA.
pub(crate) type Default = Option<Subject>;

/// Parses a list.
pub(crate) fn entries(words: &[Spanned<String>], default: Default, names: &mut dyn Namespace) -> Vec<Entry> {
    let mut parser = Parser { words: words.iter().peekable(), default, names, guesses: GUESSES_MAX };
    let mut list = Vec::new();
    while let Some(word) = parser.words.next() {
        let entry = parser.entry(word);
        list.push(entry);
    }
    list
}

struct Parser<'p> {
    words: Peekable<std::slice::Iter<'p, Spanned<String>>>,
    default: Default,
    names: &'p mut dyn Namespace,
    /// How often it is still guessed what was meant.
    guesses: usize,
}

/// Unknown words of one list for which it is guessed what was meant.
const GUESSES_MAX: usize = 200;

/// What stands behind `//` or `#` in the middle of a list.
fn is_remark(word: &str) -> bool {
    word.starts_with("//") || word.starts_with('#') || word.starts_with("/*")
}

impl Parser<'_> {
    fn entry(&mut self, word: &Spanned<String>) -> Entry {
        let name = word.value.as_str();
        let (check, text) = if let Some((_, form)) = names::find(name) {
            self.say_about(word);
            self.known(word, form)
        } else if let Some(class) = self.names.class(name) {
            (Check::Class(class), name.to_owned())
        } else if name.contains(':') && !is_remark(name) {
            (self.bare_table(word), name.to_owned())
        } else {
            self.say_unknown(word);
            let warning = format!("unknown smtpd restriction: \"{name}\"");
            (Check::Broken { warnings: vec![warning] }, name.to_owned())
        };
        let warning = match name.to_ascii_lowercase().as_str() {
            old @ ("reject_maps_rbl" | "check_relay_domains") => {
                names::DEPRECATED.iter().find(|(row, _)| row == &old).map(|(_, advice)| {
                    format!(
                        "support for restriction \"{old}\" will be removed from Postfix; use \"{advice}\" instead"
                    )
                })
            }
            "permit_naked_ip_address" => Some(
                "restriction permit_naked_ip_address is deprecated. Use permit_mynetworks or \
                 permit_sasl_authenticated instead"
                    .to_owned(),
            ),
            _ => None,
        };
        Entry { check, text, name: name.to_owned(), place: word.place.clone(), warning }
    }

    fn bare_table(&mut self, word: &Spanned<String>) -> Check {
        if self.default.is_none() {
            self.names.say(
                Diagnostic::error(
                    403,
                    word.place.clone(),
                    format!("a bare table, {}, means nothing here", word.value),
                )
                .help(
                    "Postfix answers 451 4.3.5 to everyone; write check_sender_access or its like before it",
                ),
            );
        }
        self.names.table(word).map_or_else(|| table_refused(&word.value), Check::BareTable)
    }

    /// The word behind a name, if it isn't obviously the next restriction.
    fn argument(&mut self) -> Option<&Spanned<String>> {
        self.words.next()
    }

    fn known(&mut self, word: &Spanned<String>, form: Form) -> (Check, String) {
        let name = word.value.to_ascii_lowercase();
        match form {
            Form::Plain(plain) => (Check::Plain(plain), word.value.clone()),
            Form::MapsRbl => (Check::MapsRbl(self.names.maps_rbl()), word.value.clone()),
            _ => {
                let argument = self.argument().cloned();
                let text = match &argument {
                    Some(argument) => format!("{} {}", word.value, argument.value),
                    None => word.value.clone(),
                };
                let check = match argument {
                    Some(argument) => self.with_argument(&name, form, &argument),
                    None => self.without_argument(&name, form, &word.place),
                };
                (check, text)
            }
        }
    }

    fn without_argument(&mut self, name: &str, form: Form, place: &Place) -> Check {
        self.names.say(
            Diagnostic::error(402, place.clone(), format!("{name} stands without its argument"))
                .help("Postfix reads what follows it as the argument, and here nothing follows"),
        );
        match form {
            Form::Sleep => broken(format!("restriction {name} must be followed by number")),
            Form::Service => broken(format!("restriction {name} must be followed by transport:server")),
            Form::Blocklist(_) | Form::Allowlist(_) => {
                Check::Ignored { warning: format!("restriction {name} requires domain name argument") }
            }
            _ => broken(format!("restriction {name}: bad argument \"{name}\": need maptype:mapname")),
        }
    }

    fn with_argument(&mut self, name: &str, form: Form, argument: &Spanned<String>) -> Check {
        match form {
            Form::Sleep => self.sleep(name, argument),
            Form::Service => match self.names.service(argument) {
                Ok(service) => Check::PolicyService(service),
                Err(warning) => broken(warning),
            },
            Form::Blocklist(subject) => self.zone(name, argument, |zone| Check::Blocklist { subject, zone }),
            Form::Allowlist(subject) => self.zone(name, argument, |zone| Check::Allowlist { subject, zone }),
            Form::Certificate if argument.value.starts_with('{') => self.certificate(argument),
            _ => self.table_check(name, form, argument),
        }
    }

    fn sleep(&mut self, name: &str, argument: &Spanned<String>) -> Check {
        match argument.value.parse::<u32>() {
            Ok(seconds) => Check::Sleep(Duration::from_secs(u64::from(seconds))),
            Err(_) => {
                self.names.say(
                    Diagnostic::error(
                        402,
                        argument.place.clone(),
                        format!("{} is not a number of seconds", argument.value),
                    )
                    .help("Postfix answers 451 4.3.5 to everyone who gets here"),
                );
                broken(format!("restriction {name} must be followed by number"))
            }
        }
    }

    fn table_check(&mut self, name: &str, form: Form, argument: &Spanned<String>) -> Check {
        if !argument.value.contains(':') || names::find(&argument.value).is_some() {
            let warning =
                format!("restriction {name}: bad argument \"{}\": need maptype:mapname", argument.value);
            self.names.say(
                Diagnostic::error(
                    402,
                    argument.place.clone(),
                    format!("{name} needs a table, and {} isn't one", argument.value),
                )
                .help(
                    "write type:name, as in hash:/etc/postfix/access; Postfix answers 451 4.3.5 to everyone",
                ),
            );
            return broken(warning);
        }
        let Some(table) = self.names.table(argument) else { return table_refused(&argument.value) };
        match form {
            Form::Access(subject) => Check::Access { subject, table },
            Form::Hosts(subject, hosts) => Check::HostAccess { subject, hosts, table },
            Form::Sasl => Check::SaslAccess { table },
            _ => Check::Certificate {
                table,
                order: vec![CertificateKey::Fingerprint, CertificateKey::PublicKey],
            },
        }
    }

    /// `{ type:table, { search_order = cert_fingerprint, pubkey_fingerprint } }`
    fn certificate(&mut self, argument: &Spanned<String>) -> Check {
        let inner = strip_braces(argument);
        let words = config::split_words(inner);
        let Some(table_word) = words.first() else {
            return self.without_argument("check_ccert_access", Form::Certificate, &argument.place);
        };
        let mut order = Vec::new();
        for word in words.iter().skip(1) {
            let text = word.value.trim_matches(|c: char| c.is_whitespace() || c == '{' || c == '}');
            let Some((key, value)) = text.split_once('=') else { continue };
            if key.trim() != "search_order" {
                continue;
            }
            for one in value.split([',', ' ', '\t', '\n']).filter(|one| !one.is_empty()) {
                match one {
                    "cert_fingerprint" => order.push(CertificateKey::Fingerprint),
                    "pubkey_fingerprint" => order.push(CertificateKey::PublicKey),
                    "subject" => order.push(CertificateKey::Subject),
                    "issuer" => order.push(CertificateKey::Issuer),
                    other => self.names.say(Diagnostic::error(
                        402,
                        word.place.clone(),
                        format!("search_order has no {other}"),
                    )),
                }
            }
        }
        if order.is_empty() {
            order = vec![CertificateKey::Fingerprint, CertificateKey::PublicKey];
        }
        match self.names.table(table_word) {
            Some(table) => Check::Certificate { table, order },
            None => table_refused(&table_word.value),
        }
    }

    fn zone(
        &mut self,
        name: &str,
        argument: &Spanned<String>,
        check: impl FnOnce(Arc<ListZone>) -> Check,
    ) -> Check {
        let kind = if name.contains("rhs") { ZoneKind::Domain } else { ZoneKind::Address };
        // Postfix takes any word that looks like a domain; a restriction's name doesn't.
        if !argument.value.contains('.') && names::find(&argument.value).is_some() {
            let warning = format!("restriction {name} requires domain name argument");
            self.names.say(Diagnostic::error(
                402,
                argument.place.clone(),
                format!("{name} needs a zone, and {} is a restriction", argument.value),
            ));
            return Check::Ignored { warning };
        }
        match ListZone::parse(&argument.value, kind, argument.place.clone()) {
            Ok(zone) => check(Arc::new(zone)),
            Err(error) => {
                let filter = argument.value.split_once('=').map_or("", |(_, filter)| filter);
                self.names.say(
                    Diagnostic::error(404, argument.place.clone(), AddressPattern::fault(filter)).help(
                        "Postfix stops with a fatal error at the first mail that gets here; a filter is four numbers or \
                         sets, as in `127.0.0.2` or `127.0.0.[2..11]`",
                    ),
                );
                broken(format!("RBL reply error: {error}"))
            }
        }
    }

    fn say_about(&mut self, word: &Spanned<String>) {
        let name = word.value.to_ascii_lowercase();
        if let Some(today) = names::today(&name) {
            self.names.say(
                Diagnostic::hint(405, word.place.clone(), format!("{name} is the old name of {today}"))
                    .fix(word.place.clone(), today),
            );
        }
        if let Some((_, advice)) = names::DEPRECATED.iter().find(|(old, _)| *old == name) {
            self.names.say(
                Diagnostic::warning(406, word.place.clone(), format!("Postfix has removed {name}"))
                    .help(format!("use {advice} instead; it still works here")),
            );
        }
    }

    fn say_unknown(&mut self, word: &Spanned<String>) {
        let name = &word.value;
        let place = word.place.clone();
        if is_remark(name) {
            let moved = remark_moved(&place, name);
            let said = Diagnostic::error(
                401,
                place,
                format!("`{name}` does not begin a comment inside a list"),
            )
            .help(
                "every word behind it is read as a restriction, and Postfix answers 451 4.3.5 to everyone; \
                     put the comment on a line of its own that begins with #",
            );
            self.names.say(match moved {
                Some((line, mended)) => said.fix(line, mended),
                None => said,
            });
            return;
        }
        if let Some(diagnostic) = another_thing(word) {
            self.names.say(diagnostic);
            return;
        }
        let classes = self.names.classes();
        let mut diagnostic = Diagnostic::error(400, place.clone(), format!("unknown restriction {name}"));
        if config::registry::find(name).is_some() {
            let help = "it is a parameter: write it on a line of its own, as in";
            self.names.say(
                diagnostic.help(format!(
                    "{help} `{name} = …`; Postfix answers 451 4.3.5 to everyone who gets here"
                )),
            );
            return;
        }
        self.guesses = self.guesses.saturating_sub(1);
        let guess =
            if self.guesses == 0 { None } else { names::nearest(name, classes.iter().map(String::as_str)) };
        diagnostic = match guess {
            Some(meant) => diagnostic
                .help(format!("did you mean {meant}? Postfix answers 451 4.3.5 to everyone who gets here"))
                .fix(place, meant),
            None => diagnostic.help("Postfix answers 451 4.3.5 to everyone who gets here"),
        };
        self.names.say(diagnostic);
    }
}

/// A word that is no restriction, but something that somebody may have meant.
fn another_thing(word: &Spanned<String>) -> Option<Diagnostic> {
    const CONSEQUENCE: &str = "Postfix answers 451 4.3.5 to everyone who gets here";
    let (name, place) = (word.value.as_str(), word.place.clone());
    let said = |message: String| Diagnostic::error(400, place.clone(), message);
    if config::registry::find(name).is_some() {
        return Some(
            said(format!("{name} is a parameter, not a restriction"))
                .help(format!("{CONSEQUENCE}; write ${name} where its value is meant")),
        );
    }
    if name.starts_with('/') {
        return Some(said(format!("{name} is a file, not a restriction")).help(format!(
            "{CONSEQUENCE}; write what is looked up in it, and its type: check_client_access hash:{name}"
        )));
    }
    let (first, argument) = name.split_once('=')?;
    let (_, form) = names::find(first)?;
    let said = said(format!("{first} takes its argument without `=`"));
    if matches!(form, Form::Plain(_) | Form::MapsRbl) || argument.is_empty() {
        return Some(said.help(format!("{CONSEQUENCE}; write {first} alone")));
    }
    let whole = place.text() == name;
    let instead = format!("{first} {argument}");
    let said = said.help(format!("{CONSEQUENCE}; write {instead}"));
    Some(if whole { said.fix(place.clone(), instead) } else { said })
}

/// The line that ends in a remark, and the same with the remark on a line of its own before it. Not where more than
/// the remark may stand behind it: another `-o`, a brace that closes.
fn remark_moved(place: &Place, word: &str) -> Option<(Place, String)> {
    let file = place.file.as_ref().filter(|_| place.text() == word)?;
    let start = file.text.get(..place.start)?.rfind('\n').map_or(0, |at| at + 1);
    let rest = file.text.get(place.start..)?;
    let remark = rest.lines().next()?;
    let before = file.text.get(start..place.start)?.trim_end();
    if before.contains("-o ") || before.contains('{') || remark.contains('}') {
        return None;
    }
    let words = remark.trim_start_matches(['/', '#', '*']).trim();
    let line = Place::new(file, start, place.start + remark.len());
    let own = format!("# {words}");
    Some((line, if before.is_empty() { own } else { format!("{own}\n{before}") }))
}

fn broken(warning: String) -> Check {
    Check::Broken { warnings: vec![warning] }
}

fn table_refused(name: &str) -> Check {
    broken(format!("unsupported dictionary: {name}"))
}

/// `{ text }` without its braces.
pub(crate) fn strip_braces(word: &Spanned<String>) -> Spanned<String> {
    let text = word.value.trim();
    let inner = text.strip_prefix('{').map_or(text, |inner| inner.strip_suffix('}').unwrap_or(inner));
    Spanned::new(inner.trim().to_owned(), word.place.clone())
}

/// Whether `plain` refuses relaying, for the check that Postfix makes at its start.
pub(crate) const fn refuses_relay(plain: Plain) -> bool {
    matches!(
        plain,
        Plain::Reject
            | Plain::Defer
            | Plain::DeferIfPermit
            | Plain::RejectUnauthDestination
            | Plain::DeferUnauthDestination
            | Plain::CheckRelayDomains
    )
}
