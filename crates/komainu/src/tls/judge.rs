//! How far a certificate is believed: its chain, its names, its fingerprint.
//!
//! Judged after the handshake, from what the peer showed, so that a resumed session is judged like a new one. Names are
//! compared as Postfix compares them: `example.com` is itself, `.example.com` any name below. A common name counts only
//! where there is no DNS name (RFC 6125 §6.4.4). Revocation isn't looked at, as in Postfix.

use super::files::{Anchors, der_value};
use super::fingerprint::{Digest, same};
use rustls::client::verify_server_cert_signed_by_trust_anchor;
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, Error, RootCertStore};
use rustls_pki_types::{CertificateDer, TrustAnchor, UnixTime};
use std::time::Duration;
use x509_parser::oid_registry::OID_X509_COMMON_NAME;
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate, X509Name};

/// What the peer must show.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Wanted {
    /// Anything.
    Nothing,
    /// One of these names, vouched for by an anchor.
    Names(Vec<String>),
    /// One of these fingerprints.
    Fingerprints(Vec<String>),
}

/// What is thought of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judgement {
    /// How far it is believed.
    pub trust: events::tls::Trust,
    /// What the log says of it beforehand, with `HOST` missing between its parts.
    pub remark: Option<(&'static str, String)>,
}

/// Judges the certificates that a server showed, its own first.
#[must_use]
pub fn judge(
    shown: &[CertificateDer<'_>],
    anchors: &Anchors,
    wanted: &Wanted,
    digest: Digest,
    now: Duration,
) -> Judgement {
    use events::tls::Trust;
    let Some((own, issuers)) = shown.split_first() else {
        return Judgement { trust: Trust::Anonymous, remark: None };
    };
    if let Wanted::Fingerprints(wanted) = wanted {
        let fits = wanted.iter().any(|one| fingerprints(own, digest).iter().any(|found| same(one, found)));
        let remark = (!fits).then(|| (SERVER, NO_MATCH.to_owned()));
        return Judgement { trust: if fits { Trust::Verified } else { Trust::Untrusted }, remark };
    }
    let distrust = chain_fault(own, issuers, anchors, now);
    match (wanted, distrust) {
        (Wanted::Nothing, Some(_)) => Judgement { trust: Trust::Untrusted, remark: None },
        (Wanted::Nothing, None) => Judgement { trust: Trust::Trusted, remark: None },
        (Wanted::Names(names), None) if is_named(own, names) => {
            Judgement { trust: Trust::Verified, remark: None }
        }
        (Wanted::Names(names), Some(fault)) if is_named(own, names) || fault.1 == SELF_SIGNED => {
            Judgement { trust: Trust::Untrusted, remark: Some(fault) }
        }
        // OpenSSL tells of the name first.
        _ => {
            let remark = Some((SERVER, "num=62:hostname mismatch".to_owned()));
            Judgement { trust: Trust::Untrusted, remark }
        }
    }
}

/// So many of a server's certificates are looked at for trusted keys.
const SHOWN_MAX: usize = 16;
/// What the log's line begins with.
const SERVER: &str = "server certificate verification failed for";
const AUTHORITY: &str = "CA certificate verification failed for";
const NO_MATCH: &str = "num=65:no matching DANE TLSA records";
const CHAIN: &str = "certificate verification failed for";
const SELF_SIGNED: &str = "self-signed certificate";

/// Why nobody vouches for it, in Postfix's words.
fn chain_fault(
    own: &CertificateDer<'_>,
    issuers: &[CertificateDer<'_>],
    anchors: &Anchors,
    now: Duration,
) -> Option<(&'static str, String)> {
    let time = UnixTime::since_unix_epoch(now);
    let algorithms = rustls::crypto::ring::default_provider().signature_verification_algorithms.all;
    let by_key = under_keys(own, issuers, anchors);
    let roots = by_key.as_ref().unwrap_or(&anchors.roots);
    let outcome = ParsedCertificate::try_from(own).and_then(|parsed| {
        verify_server_cert_signed_by_trust_anchor(&parsed, roots, issuers, time, algorithms)
    });
    let Err(error) = outcome else { return None };
    let in_time = X509Certificate::from_der(own).ok().is_some_and(|(_, parsed)| {
        let seconds = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
        let validity = parsed.validity();
        validity.not_before.timestamp() <= seconds && seconds <= validity.not_after.timestamp()
    });
    // Who is an anchor needs no issuer.
    if in_time && anchors.certificates.iter().any(|anchor| **anchor == **own) {
        return None;
    }
    Some(match error {
        Error::InvalidCertificate(CertificateError::Expired | CertificateError::ExpiredContext { .. }) => {
            (SERVER, "certificate has expired".to_owned())
        }
        Error::InvalidCertificate(
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. },
        ) => (SERVER, "certificate is not yet valid".to_owned()),
        _ if anchors.are_chosen => (if issuers.is_empty() { SERVER } else { AUTHORITY }, NO_MATCH.to_owned()),
        _ => (CHAIN, no_issuer(issuers.last().unwrap_or(own), own)),
    })
}

/// The anchors, and trusted keys as those whom the certificates name as their issuers.
fn under_keys(
    own: &CertificateDer<'_>,
    issuers: &[CertificateDer<'_>],
    anchors: &Anchors,
) -> Option<RootCertStore> {
    if anchors.keys.is_empty() {
        return None;
    }
    let mut roots = anchors.roots.clone();
    for shown in std::iter::once(own).chain(issuers).take(SHOWN_MAX) {
        let Ok((_, shown)) = X509Certificate::from_der(shown) else { continue };
        let Some(issuer) = der_value(shown.issuer().as_raw()) else { continue };
        for key in &anchors.keys {
            roots.roots.push(TrustAnchor {
                subject: issuer.to_vec().into(),
                subject_public_key_info: key.clone().into(),
                name_constraints: None,
            });
        }
    }
    Some(roots)
}

/// Whose word is missing: the last certificate's that was shown.
fn no_issuer(last: &CertificateDer<'_>, own: &CertificateDer<'_>) -> String {
    let Ok((_, own)) = X509Certificate::from_der(own) else { return "certificate is unreadable".to_owned() };
    if own.subject() == own.issuer() {
        return SELF_SIGNED.to_owned();
    }
    let issuer = X509Certificate::from_der(last)
        .map_or_else(|_| one_line(own.issuer()), |(_, last)| one_line(last.issuer()));
    format!("untrusted issuer {issuer}")
}

/// A name's first common name, as far as it can be shown; empty where there is none.
#[must_use]
pub fn common_name(name: &X509Name<'_>) -> String {
    let common = name.iter_attributes().find(|one| *one.attr_type() == OID_X509_COMMON_NAME);
    let text = common.and_then(|one| one.as_str().ok()).unwrap_or_default();
    text.chars().map(|c| if c.is_control() || c == '"' { '?' } else { c }).take(200).collect()
}

/// `/C=XX/CN=Test CA`, as OpenSSL writes a name on one line.
pub(super) fn one_line(name: &X509Name<'_>) -> String {
    let registry = x509_parser::objects::oid_registry();
    let mut out = String::new();
    for one in name.iter_attributes() {
        let kind = x509_parser::objects::oid2abbrev(one.attr_type(), registry).unwrap_or("?");
        let value = one.as_str().unwrap_or("?");
        out.push('/');
        out.push_str(kind);
        out.push('=');
        // What a certificate says comes from outside, and goes to the log.
        out.extend(value.chars().map(|c| if c.is_control() { '?' } else { c }).take(200));
    }
    out
}

/// Of the certificate and of its key.
fn fingerprints(own: &CertificateDer<'_>, digest: Digest) -> Vec<String> {
    let mut found = vec![digest.fingerprint(own)];
    if let Ok((_, parsed)) = X509Certificate::from_der(own) {
        found.push(digest.fingerprint(parsed.public_key().raw));
    }
    found
}

/// Whether it has one of the wanted names.
fn is_named(own: &CertificateDer<'_>, wanted: &[String]) -> bool {
    let names = names(own);
    wanted.iter().any(|wanted| names.iter().any(|name| fits(name, wanted)))
}

/// A certificate's names: DNS names, or its common name where there is none.
fn names(own: &CertificateDer<'_>) -> Vec<String> {
    let Ok((_, parsed)) = X509Certificate::from_der(own) else { return Vec::new() };
    let mut names = Vec::new();
    if let Ok(Some(extension)) = parsed.subject_alternative_name() {
        for name in &extension.value.general_names {
            if let GeneralName::DNSName(name) = name {
                names.push(name.to_ascii_lowercase());
            }
        }
    }
    if names.is_empty() {
        let common =
            parsed.subject().iter_attributes().filter(|one| *one.attr_type() == OID_X509_COMMON_NAME);
        names.extend(common.filter_map(|one| one.as_str().ok()).map(str::to_ascii_lowercase));
    }
    names
}

/// Whether a certificate's name is the wanted one, or below it where that begins with a dot.
fn fits(name: &str, wanted: &str) -> bool {
    let wanted = wanted.to_ascii_lowercase();
    if wanted.is_empty() || wanted == "." {
        return false;
    }
    if wanted.starts_with('.') {
        return name.len() > wanted.len() && name.ends_with(&wanted);
    }
    match name.strip_prefix("*.") {
        Some(parent) => wanted
            .split_once('.')
            .is_some_and(|(label, rest)| !label.is_empty() && rest == parent && parent.contains('.')),
        None => name == wanted,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_fit() {
        for (name, wanted, expect) in [
            ("mx.example.com", "mx.example.com", true),
            ("mx.example.com", "MX.Example.COM", true),
            ("mx.example.com", "example.com", false),
            ("mx.example.com", ".example.com", true),
            ("a.mx.example.com", ".example.com", true),
            ("example.com", ".example.com", false),
            ("evilexample.com", ".example.com", false),
            ("*.example.com", "mx.example.com", true),
            ("*.example.com", "a.mx.example.com", false),
            ("*.example.com", "example.com", false),
            ("*.example.com", ".example.com", true),
            ("*.com", "example.com", false),
            ("*", "localhost", false),
            ("mx*.example.com", "mx1.example.com", false),
            ("", "", false),
            ("example.com", ".", false),
        ] {
            assert_eq!(fits(name, wanted), expect, "{name} {wanted}");
        }
    }
}
