//! What PEM files hold: certificates, and keys as far as they can be compared with certificates.
//!
//! Values only: bytes in, [`Item`]s out. Signatures aren't verified, and no trust is decided here; keys are read by
//! ring, so that one that ring doesn't know (DSA, P-521, short RSA) is [`Key::Unknown`] and fits everything.
//! RFC 5280, RFC 7468.

use rustls_pki_types::pem::{PemObject, SectionKind};
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs1KeyDer, PrivatePkcs8KeyDer, PrivateSec1KeyDer};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use x509_parser::oid_registry::{
    OID_PKCS1_MD5WITHRSAENC, OID_PKCS1_SHA1WITHRSA, OID_X509_COMMON_NAME, Oid, asn1_rs::oid,
};
use x509_parser::prelude::{
    FromDer, GeneralName, ParsedExtension, SubjectPublicKeyInfo, X509Certificate, X509Name,
};
use x509_parser::public_key::PublicKey;

/// RFC 3279 §2.2.3.
const ECDSA_WITH_SHA1: Oid<'static> = oid!(1.2.840.10045.4.1);

/// One section of a PEM file, in the file's order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Item {
    Certificate(Box<Certificate>),
    Key(Key),
}

/// A private key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Key {
    /// It needs a password.
    Encrypted,
    /// Its public half.
    Public(Vec<u8>),
    /// A kind that can't be compared.
    Unknown,
}

/// What is looked at of a certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Certificate {
    pub(super) subject: Vec<u8>,
    pub(super) issuer: Vec<u8>,
    /// The subject for people: its common name, or all of it.
    pub(super) shown: String,
    pub(super) issuer_shown: String,
    /// Seconds since 1970.
    pub(super) not_before_s: i64,
    pub(super) not_after_s: i64,
    /// Names and addresses, in small letters.
    pub(super) names: Vec<String>,
    pub(super) public_key: Vec<u8>,
    pub(super) rsa_bits: Option<usize>,
    /// The hash of its signature, where nobody takes it any more.
    pub(super) weak_signature: Option<&'static str>,
    /// It says where its issuer's certificate can be had: a public CA's.
    pub(super) has_issuer_url: bool,
}

impl Certificate {
    pub(super) fn is_self_signed(&self) -> bool {
        self.subject == self.issuer
    }

    /// Whether a client that wants `host` takes one of its names (RFC 6125 §6.4).
    pub(super) fn covers(&self, host: &str) -> bool {
        let host = host.to_ascii_lowercase();
        self.names.iter().any(|name| match name.strip_prefix("*.") {
            Some(parent) => host.split_once('.').is_some_and(|(_, rest)| rest == parent),
            None => *name == host,
        })
    }
}

/// The sections of a PEM file; `None` where there is none, or one that can't be read.
pub(super) fn items(bytes: &[u8]) -> Option<Vec<Item>> {
    let mut items = Vec::new();
    if is_encrypted(bytes) {
        items.push(Item::Key(Key::Encrypted));
        // The key's section is no plain base64: certificates are looked for behind and before it.
        items.extend(certificates(bytes).into_iter().map(|one| Item::Certificate(Box::new(one))));
        return Some(items);
    }
    for section in <(SectionKind, Vec<u8>)>::pem_slice_iter(bytes) {
        let (kind, der) = section.ok()?;
        match kind {
            SectionKind::Certificate => items.push(Item::Certificate(Box::new(certificate(&der)?))),
            SectionKind::PrivateKey => items.push(Item::Key(key(PrivatePkcs8KeyDer::from(der).into()))),
            SectionKind::RsaPrivateKey => items.push(Item::Key(key(PrivatePkcs1KeyDer::from(der).into()))),
            SectionKind::EcPrivateKey => items.push(Item::Key(key(PrivateSec1KeyDer::from(der).into()))),
            _ => {}
        }
    }
    (!items.is_empty()).then_some(items)
}

/// All certificates that can be read, whatever else there is.
fn certificates(bytes: &[u8]) -> Vec<Certificate> {
    let text = String::from_utf8_lossy(bytes);
    let begins = "-----BEGIN CERTIFICATE-----";
    let sections = text.split(begins).skip(1).map(|rest| format!("{begins}{rest}"));
    let read = |section: String| {
        let mut parts = <(SectionKind, Vec<u8>)>::pem_slice_iter(section.as_bytes());
        let (_, der) = parts.next()?.ok()?;
        certificate(&der)
    };
    sections.filter_map(read).collect()
}

/// The subjects of a bundle of trusted certificates.
pub(super) fn subjects(bytes: &[u8]) -> Vec<Vec<u8>> {
    let sections = <(SectionKind, Vec<u8>)>::pem_slice_iter(bytes).flatten();
    let certificates = sections.filter(|(kind, _)| *kind == SectionKind::Certificate);
    let subject = |der: Vec<u8>| Some(X509Certificate::from_der(&der).ok()?.1.subject().as_raw().to_owned());
    certificates.filter_map(|(_, der)| subject(der)).collect()
}

fn is_encrypted(bytes: &[u8]) -> bool {
    let marks: [&[u8]; 2] = [b"-----BEGIN ENCRYPTED PRIVATE KEY-----", b"Proc-Type: 4,ENCRYPTED"];
    marks.iter().any(|mark| bytes.windows(mark.len()).any(|window| window == *mark))
}

fn key(der: PrivateKeyDer<'_>) -> Key {
    let signing = rustls::crypto::ring::sign::any_supported_type(&der).ok();
    let public = signing.as_ref().and_then(|key| key.public_key());
    let bits = public.and_then(|spki| {
        let (_, parsed) = SubjectPublicKeyInfo::from_der(spki.as_ref()).ok()?;
        Some(parsed.subject_public_key.data.to_vec())
    });
    bits.map_or(Key::Unknown, Key::Public)
}

fn certificate(der: &[u8]) -> Option<Certificate> {
    let (_, parsed) = X509Certificate::from_der(der).ok()?;
    let info = parsed.public_key();
    let rsa_bits = match info.parsed() {
        Ok(PublicKey::RSA(key)) => Some(key.key_size()),
        _ => None,
    };
    let algorithm = &parsed.signature_algorithm.algorithm;
    let weak =
        [(OID_PKCS1_MD5WITHRSAENC, "MD5"), (OID_PKCS1_SHA1WITHRSA, "SHA-1"), (ECDSA_WITH_SHA1, "SHA-1")];
    let mut names = alternative_names(&parsed);
    if names.is_empty() {
        names.extend(common_name(parsed.subject()).map(|name| name.to_ascii_lowercase()));
    }
    Some(Certificate {
        subject: parsed.subject().as_raw().to_owned(),
        issuer: parsed.issuer().as_raw().to_owned(),
        shown: shown(parsed.subject()),
        issuer_shown: shown(parsed.issuer()),
        not_before_s: parsed.validity().not_before.timestamp(),
        not_after_s: parsed.validity().not_after.timestamp(),
        names,
        public_key: info.subject_public_key.data.to_vec(),
        rsa_bits,
        weak_signature: weak.iter().find(|(oid, _)| oid == algorithm).map(|(_, hash)| *hash),
        has_issuer_url: has_issuer_url(&parsed),
    })
}

fn alternative_names(certificate: &X509Certificate<'_>) -> Vec<String> {
    let Ok(Some(extension)) = certificate.subject_alternative_name() else { return Vec::new() };
    let names = extension.value.general_names.iter().filter_map(|name| match name {
        GeneralName::DNSName(name) => Some(name.to_ascii_lowercase()),
        GeneralName::IPAddress(octets) => address(octets).map(|address| address.to_string()),
        _ => None,
    });
    names.collect()
}

fn address(octets: &[u8]) -> Option<IpAddr> {
    match octets.len() {
        4 => <[u8; 4]>::try_from(octets).ok().map(|octets| Ipv4Addr::from(octets).into()),
        16 => <[u8; 16]>::try_from(octets).ok().map(|octets| Ipv6Addr::from(octets).into()),
        _ => None,
    }
}

fn common_name(name: &X509Name<'_>) -> Option<String> {
    let mut names = name.iter_attributes().filter(|one| *one.attr_type() == OID_X509_COMMON_NAME);
    names.next()?.as_str().ok().map(str::to_owned)
}

/// A name for people: what a certificate says comes from outside, and goes to a terminal.
fn shown(name: &X509Name<'_>) -> String {
    let text = common_name(name).unwrap_or_else(|| name.to_string());
    text.chars().map(|c| if c.is_control() { '?' } else { c }).take(120).collect()
}

fn has_issuer_url(certificate: &X509Certificate<'_>) -> bool {
    certificate.extensions().iter().any(|extension| match extension.parsed_extension() {
        ParsedExtension::AuthorityInfoAccess(access) => {
            access.accessdescs.iter().any(|one| matches!(one.access_location, GeneralName::URI(_)))
        }
        _ => false,
    })
}

/// For fuzzing: any bytes give items or none.
pub fn fuzz(bytes: &[u8]) {
    let _ = items(bytes);
    let _ = subjects(bytes);
    let _ = certificate(bytes);
}
