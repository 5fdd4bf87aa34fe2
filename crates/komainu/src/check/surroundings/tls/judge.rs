//! What is wrong with a certificate, its chain and its key: pure, over what the files held.
//!
//! Diagnostics: K0511 a key that doesn't fit, K0512 an encrypted key, K0513 validity, K0514 names, K0515 the chain,
//! K0516 self-signed, K0517 weak.

use super::pem::{Certificate, Key};
use config::{Diagnostic, Place};

const DAY_S: i64 = 86_400;
/// Below this, somebody should have renewed it.
const SOON_S: i64 = 14 * DAY_S;
/// What OpenSSL takes at Debian's security level.
const RSA_BITS_MIN: usize = 2048;

/// A certificate with its chain and key, as a server or client would show it.
pub(super) struct Shown<'a> {
    /// From the file: the first is the server's own.
    pub(super) chain: &'a [Certificate],
    pub(super) key: Option<&'a Key>,
    /// Where the certificate is named, and the key.
    pub(super) place: &'a Place,
    pub(super) key_place: &'a Place,
    /// Its file, for messages.
    pub(super) file: &'a str,
    /// The names that clients come for; none for a client's certificate.
    pub(super) hosts: &'a [String],
    /// Subjects that this machine knows: its roots, and CAfile's.
    pub(super) known: &'a [Vec<u8>],
    pub(super) now_s: i64,
}

pub(super) fn judge(shown: &Shown<'_>) -> Vec<Diagnostic> {
    let Some(own) = shown.chain.first() else { return Vec::new() };
    let mut found: Vec<Diagnostic> = fit(shown, own).into_iter().collect();
    found.extend(validity(shown, own));
    found.extend(weakness(shown, own));
    if own.is_self_signed() {
        let message = format!("the certificate in {} is signed by itself", shown.file);
        found.push(Diagnostic::hint(516, shown.place.clone(), message).help(
            "other mail servers mostly take it; mail programs that log in here don't, nor do senders by MTA-STS",
        ));
        return found;
    }
    found.extend(names(shown, own));
    found.extend(chain(shown, own));
    found
}

fn fit(shown: &Shown<'_>, own: &Certificate) -> Option<Diagnostic> {
    match shown.key? {
        Key::Encrypted => {
            let message = "the private key is encrypted: nobody is there to type its password";
            let help = "no TLS is offered; take the password off: openssl pkey -in KEY -out PLAIN, mode 600";
            Some(Diagnostic::error(512, shown.key_place.clone(), message).help(help))
        }
        Key::Public(public) if *public != own.public_key => {
            let other = shown.chain.iter().skip(1).find(|one| one.public_key == *public);
            let help = match other {
                Some(other) => format!(
                    "the key is {}'s, which stands behind in the file: the server's own certificate must come \
                     first",
                    other.shown
                ),
                None => "no TLS is offered; name the key that the certificate was asked for with".to_owned(),
            };
            let message =
                format!("the private key doesn't fit the certificate of {} in {}", own.shown, shown.file);
            Some(Diagnostic::error(511, shown.key_place.clone(), message).help(help))
        }
        Key::Public(_) | Key::Unknown => None,
    }
}

fn validity(shown: &Shown<'_>, own: &Certificate) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    let days = |seconds: i64| match seconds / DAY_S {
        1 => "1 day".to_owned(),
        days => format!("{days} days"),
    };
    let place = || shown.place.clone();
    let left_s = own.not_after_s.saturating_sub(shown.now_s);
    if own.not_before_s > shown.now_s {
        let message = format!("the certificate in {} is not valid yet", shown.file);
        let help =
            format!("it will be in {}; is this machine's clock right?", days(own.not_before_s - shown.now_s));
        found.push(Diagnostic::error(513, place(), message).help(help));
    } else if left_s < 0 {
        let message = format!("the certificate in {} has expired {} ago", shown.file, days(-left_s));
        let help = "mail programs refuse to log in, and senders by MTA-STS or DANE keep their mail: renew it";
        found.push(Diagnostic::error(513, place(), message).help(help));
    } else if left_s < SOON_S {
        let message = format!("the certificate in {} expires in {}", shown.file, days(left_s));
        found.push(Diagnostic::warning(513, place(), message).help("see why it wasn't renewed by itself"));
    }
    let stale = shown.chain.iter().skip(1).find(|one| !one.is_self_signed() && one.not_after_s < shown.now_s);
    found.extend(stale.map(|one| {
        let message = format!("{} has expired, which {} sends along", one.shown, shown.file);
        Diagnostic::warning(513, place(), message)
            .help("take the chain that came with the newest certificate")
    }));
    found
}

fn weakness(shown: &Shown<'_>, own: &Certificate) -> Option<Diagnostic> {
    let help =
        "today's clients don't take it, and OpenSSL doesn't load it at Debian's settings: make a new one";
    let said = |what: String| Diagnostic::warning(517, shown.place.clone(), what).help(help);
    if let Some(bits) = own.rsa_bits.filter(|bits| *bits < RSA_BITS_MIN) {
        return Some(said(format!("the RSA key of the certificate in {} has {bits} bits only", shown.file)));
    }
    let hash = own.weak_signature.filter(|_| !own.is_self_signed())?;
    Some(said(format!("the certificate in {} is signed by way of {hash}", shown.file)))
}

fn names(shown: &Shown<'_>, own: &Certificate) -> Option<Diagnostic> {
    let missing: Vec<&str> =
        shown.hosts.iter().map(String::as_str).filter(|host| !own.covers(host)).collect();
    if missing.is_empty() {
        return None;
    }
    let names: Vec<&str> = own.names.iter().take(8).map(String::as_str).collect();
    let message = format!("the certificate in {} is not for {}", shown.file, missing.join(", "));
    let help = format!(
        "it is for {}; who checks names (mail programs that log in, senders by MTA-STS) refuses this server under \
         another one",
        if names.is_empty() { "no name at all".to_owned() } else { names.join(", ") }
    );
    Some(Diagnostic::warning(514, shown.place.clone(), message).help(help))
}

/// Follows the issuers: each must be the next in the file, up to one that clients have themselves.
fn chain(shown: &Shown<'_>, own: &Certificate) -> Option<Diagnostic> {
    let place = || shown.place.clone();
    let mut last = own;
    for (step, next) in shown.chain.iter().enumerate().skip(1) {
        if next.subject == last.issuer {
            last = next;
            continue;
        }
        let is_later = shown.chain.iter().skip(step).any(|one| one.subject == last.issuer);
        if !is_later {
            break;
        }
        let message = format!("the certificates in {} are in the wrong order", shown.file);
        let help = format!(
            "clients that take the order at its word find no way to a root: behind {} must stand {}",
            last.shown, last.issuer_shown
        );
        return Some(Diagnostic::warning(515, place(), message).help(help));
    }
    if last.is_self_signed() || shown.known.is_empty() || shown.known.contains(&last.issuer) {
        return None;
    }
    let message = format!("the chain in {} ends before a root: {} is missing", shown.file, last.issuer_shown);
    if !last.has_issuer_url {
        let help = "who doesn't know this CA takes the certificate for a self-made one";
        return Some(Diagnostic::hint(515, place(), message).help(help));
    }
    let help = format!(
        "clients that haven't seen it elsewhere refuse the certificate; append it to {} (from ACME: take \
         fullchain.pem, not cert.pem)",
        shown.file
    );
    Some(Diagnostic::warning(515, place(), message).help(help))
}
