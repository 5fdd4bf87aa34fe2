//! The files of `smtpd_tls_*`, `smtp_tls_*` and `lmtp_tls_*`: whether they are there and fit each other.
//!
//! What is said is what a client would meet. Files that whoever looks may not read are passed over. What is wrong inside a certificate is [`judge`]'s.
//! Diagnostics: K0510 a file that is missing or no PEM, K0519 TLS without a certificate; K0511 to K0517 from `judge`.

mod judge;
mod pem;
#[cfg(test)]
mod tests;

use super::scene::{place, word};
use super::{Machine, Scene, Sight};
use config::{Diagnostic, Parameters, Place, Severity, Spanned};
use judge::{Shown, judge};
pub use pem::fuzz as fuzz_pem;
use pem::{Certificate, Item, Key};
use std::collections::BTreeMap;
use std::path::Path;

const PAIRS: [(&str, &str); 3] =
    [("cert_file", "key_file"), ("dcert_file", "dkey_file"), ("eccert_file", "eckey_file")];
const CLIENTS: [&str; 2] = ["smtp", "lmtp"];
/// Where systems keep the roots that everybody knows.
const BUNDLES: [&str; 3] =
    ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/ca-bundle.pem"];

/// Files that belong together, and who shows them to whom.
#[derive(Default)]
struct Use {
    /// Names of the servers that show it, under TLS.
    hosts: Vec<String>,
    /// Whether anybody speaks TLS with it.
    is_on: bool,
    cafile: Option<String>,
}

/// A certificate's file and its key's, or a list of chain files.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Named {
    Pair { certificate: String, key: String },
    Chains(Vec<String>),
}

/// The files that may hold private keys.
pub(super) fn keys(p: &Parameters) -> Vec<Spanned<String>> {
    let mut files = Vec::new();
    for side in ["smtpd", "smtp", "lmtp"] {
        for (_, key) in PAIRS {
            files.extend(word(p, &format!("{side}_tls_{key}")));
        }
        files.extend(p.list(&format!("{side}_tls_chain_files")));
    }
    files
}

pub(super) fn review(scene: &Scene<'_>, machine: &Machine) -> Vec<Diagnostic> {
    let mut uses: BTreeMap<Named, (Use, Parameters, &'static str)> = BTreeMap::new();
    let mut found = Vec::new();
    for server in &scene.servers {
        let p = &server.parameters;
        let is_on = speaks_tls(p);
        let mut named = named(p, "smtpd");
        if is_on && named.is_empty() && word(p, "tls_server_sni_maps").is_none() {
            found.extend(without_certificate(p, &server.name.place));
        }
        for one in named.drain(..) {
            let (using, ..) = uses.entry(one).or_insert_with(|| (Use::default(), p.clone(), "smtpd"));
            using.is_on |= is_on;
            using.cafile = using.cafile.take().or_else(|| word(p, "smtpd_tls_CAfile").map(|word| word.value));
            let host = p.text("myhostname").value;
            // Other names have other certificates there.
            if is_on && word(p, "tls_server_sni_maps").is_none() && !using.hosts.contains(&host) {
                using.hosts.push(host);
            }
        }
    }
    for side in CLIENTS {
        for one in named(scene.main, side) {
            let is_on = word(scene.main, &format!("{side}_tls_security_level")).is_some();
            let using = Use { is_on, ..Use::default() };
            uses.entry(one).or_insert_with(|| (using, scene.main.clone(), side));
        }
    }
    let roots = Roots::new(machine);
    for (named, (using, p, side)) in &uses {
        found.extend(look(named, using, (p, side), (machine, &roots)));
    }
    found.extend(others(scene, machine));
    found
}

/// Whether a server offers TLS, or asks for it.
fn speaks_tls(p: &Parameters) -> bool {
    let level = p.text("smtpd_tls_security_level").value;
    matches!(level.trim(), "may" | "encrypt")
        || level.trim().is_empty() && (p.flag("smtpd_use_tls") || p.flag("smtpd_enforce_tls"))
        || p.flag("smtpd_tls_wrappermode")
}

fn without_certificate(p: &Parameters, service: &Place) -> Option<Diagnostic> {
    if p.text("smtpd_tls_cert_file").value.trim() == "none" {
        return None;
    }
    let message = "TLS is asked for, but there is no certificate: smtpd_tls_chain_files and smtpd_tls_cert_file \
                   are empty";
    let asks =
        p.flag("smtpd_tls_wrappermode") || p.text("smtpd_tls_security_level").value.trim() == "encrypt";
    let level = place(p, "smtpd_tls_security_level");
    let place = if level.file.is_some() { level } else { service.clone() };
    Some(if asks {
        Diagnostic::error(519, place, message).help("no client can come in through this port")
    } else {
        Diagnostic::warning(519, place, message).help("all mail comes in the clear")
    })
}

fn named(p: &Parameters, side: &str) -> Vec<Named> {
    let chains: Vec<String> =
        p.list(&format!("{side}_tls_chain_files")).into_iter().map(|word| word.value).collect();
    if !chains.is_empty() {
        return vec![Named::Chains(chains)];
    }
    let pair = |(certificate, key): (&str, &str)| {
        let certificate = word(p, &format!("{side}_tls_{certificate}"))?.value;
        let key = word(p, &format!("{side}_tls_{key}")).map_or_else(|| certificate.clone(), |key| key.value);
        Some(Named::Pair { certificate, key })
    };
    PAIRS.into_iter().filter_map(pair).collect()
}

/// The roots that this machine knows, read when they are first wanted.
struct Roots<'a> {
    machine: &'a Machine,
    known: std::cell::OnceCell<Vec<Vec<u8>>>,
}

impl Roots<'_> {
    fn new(machine: &Machine) -> Roots<'_> {
        Roots { machine, known: std::cell::OnceCell::new() }
    }

    /// Their subjects, and those of `cafile`.
    fn with(&self, cafile: Option<&str>) -> Vec<Vec<u8>> {
        let read = |path: &str| {
            self.machine.bytes(Path::new(path)).map(|bytes| pem::subjects(&bytes)).unwrap_or_default()
        };
        let mut known =
            self.known.get_or_init(|| BUNDLES.iter().flat_map(|path| read(path)).collect()).clone();
        if !known.is_empty() {
            known.extend(cafile.map(read).unwrap_or_default());
        }
        known
    }
}

/// What a file of certificates holds, or what is wrong with it.
enum Held {
    Items(Vec<Item>),
    Hidden,
    Wrong(String),
}

fn held(path: &str, machine: &Machine) -> Held {
    match machine.sight(Path::new(path)) {
        Sight::Missing => return Held::Wrong(format!("{path} isn't there")),
        Sight::Hidden => return Held::Hidden,
        Sight::Seen(stat) if !stat.is_file() => return Held::Wrong(format!("{path} is no file")),
        Sight::Seen(_) => {}
    }
    match machine.bytes(Path::new(path)).map(|bytes| pem::items(&bytes)) {
        Ok(Some(items)) => Held::Items(items),
        Ok(None) => Held::Wrong(format!("{path} holds no certificate or key in PEM")),
        Err(_) => Held::Hidden,
    }
}

/// The parameter that names `path`, for the place.
fn place_of(p: &Parameters, side: &str, path: &str) -> Place {
    let plain = PAIRS.iter().flat_map(|(certificate, key)| [*certificate, *key]);
    let names = plain.map(|end| format!("{side}_tls_{end}"));
    let by_pair = names.filter_map(|name| word(p, &name)).find(|word| word.value == path);
    let chains = p.list(&format!("{side}_tls_chain_files"));
    let found = by_pair.or_else(|| chains.into_iter().find(|word| word.value == path));
    found.map_or_else(Place::nowhere, |word| word.place)
}

fn missing(message: &str, place: Place, using: &Use) -> Diagnostic {
    if using.is_on {
        let help = "no TLS is offered: mail comes in the clear, or not at all where TLS is asked for";
        Diagnostic::error(510, place, message).help(help)
    } else {
        Diagnostic::warning(510, place, message)
            .help("nobody speaks TLS here yet; who switches it on misses it")
    }
}

fn look(
    named: &Named,
    using: &Use,
    (p, side): (&Parameters, &str),
    (machine, roots): (&Machine, &Roots<'_>),
) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    let mut read = |path: &str| match held(path, machine) {
        Held::Items(items) => Some(items),
        Held::Hidden => None,
        Held::Wrong(message) => {
            found.push(missing(&message, place_of(p, side, path), using));
            None
        }
    };
    // Each group is a key with its certificates, and the files both came from.
    let mut groups: Vec<(Option<Key>, Vec<Certificate>, &str, &str)> = Vec::new();
    match named {
        Named::Pair { certificate, key } => {
            let items = read(certificate);
            let keys = if key == certificate { items.clone() } else { read(key) };
            let key_item = keys.into_iter().flatten().find_map(|item| match item {
                Item::Key(key) => Some(key),
                Item::Certificate(_) => None,
            });
            groups.push((key_item, certificates(items.unwrap_or_default()), certificate, key));
        }
        Named::Chains(files) => {
            for file in files {
                for item in read(file).unwrap_or_default() {
                    match (item, groups.last_mut()) {
                        (Item::Key(key), _) => groups.push((Some(key), Vec::new(), file, file)),
                        (Item::Certificate(one), Some((_, chain, at, _))) => {
                            if chain.is_empty() {
                                *at = file;
                            }
                            chain.push(*one);
                        }
                        (Item::Certificate(one), None) => groups.push((None, vec![*one], file, file)),
                    }
                }
            }
        }
    }
    for (key, chain, file, key_file) in groups {
        let (place, key_place) = (place_of(p, side, file), place_of(p, side, key_file));
        if let Some(message) = unpaired(named, (key.as_ref(), &chain), (file, key_file), machine) {
            found.push(missing(&message, place.clone(), using));
        }
        let known = roots.with(using.cafile.as_deref());
        let judged = judge(&Shown {
            chain: &chain,
            key: key.as_ref(),
            place: &place,
            key_place: &key_place,
            file,
            hosts: &using.hosts,
            known: &known,
            now_s: machine.now_s,
        });
        found.extend(judged.into_iter().map(|one| softened(one, using)));
    }
    found
}

/// A certificate that nobody shows does no harm yet.
fn softened(mut one: Diagnostic, using: &Use) -> Diagnostic {
    if !using.is_on && one.severity == Severity::Error {
        one.severity = Severity::Warning;
    }
    one
}

fn certificates(items: Vec<Item>) -> Vec<Certificate> {
    let only = |item| match item {
        Item::Certificate(one) => Some(*one),
        Item::Key(_) => None,
    };
    items.into_iter().filter_map(only).collect()
}

/// A file that holds only one half of what it should.
fn unpaired(
    named: &Named,
    (key, chain): (Option<&Key>, &[Certificate]),
    (file, key_file): (&str, &str),
    machine: &Machine,
) -> Option<String> {
    let readable = |path: &str| matches!(held(path, machine), Held::Items(_));
    if chain.is_empty() && readable(file) {
        return Some(format!("{file} holds no certificate"));
    }
    if key.is_some() || !readable(key_file) || !readable(file) {
        return None;
    }
    Some(match named {
        Named::Pair { .. } => format!("{key_file} holds no private key"),
        Named::Chains(_) => format!("{file}: a key must stand before its certificate"),
    })
}

/// CAfile, CApath, DH parameters.
fn others(scene: &Scene<'_>, machine: &Machine) -> Vec<Diagnostic> {
    let names = [
        ("smtpd_tls_CAfile", true),
        ("smtp_tls_CAfile", true),
        ("lmtp_tls_CAfile", true),
        ("smtpd_tls_CApath", false),
        ("smtp_tls_CApath", false),
        ("lmtp_tls_CApath", false),
        ("smtpd_tls_dh1024_param_file", false),
    ];
    let p = scene.main;
    let mut found = Vec::new();
    for (name, is_bundle) in names {
        let Some(word) = word(p, name).filter(|word| word.value.starts_with('/')) else { continue };
        let path = Path::new(&word.value);
        if machine.is_missing(path) {
            let message = format!("{} isn't there", word.value);
            let help = if is_bundle {
                "Postfix switches TLS off where it can't read it"
            } else {
                "it is passed over; mend the path or delete the line"
            };
            found.push(Diagnostic::warning(510, word.place, message).help(help));
        } else if is_bundle && machine.bytes(path).is_ok_and(|bytes| pem::subjects(&bytes).is_empty()) {
            let message = format!("{} holds no certificate in PEM", word.value);
            let help = "Postfix switches TLS off where it can't read it";
            found.push(Diagnostic::warning(510, word.place, message).help(help));
        }
    }
    found
}
