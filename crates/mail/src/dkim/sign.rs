//! Signing (RFC 6376 §5): the body as it comes, then the head.
//!
//! Names may stand in `h=` more often than there are headers of that name: then nobody can add one unnoticed.

use super::canonical::{self, BodyHasher, Canonicalization};
use super::key::KeyType;
use super::verify::signed_headers;
use crate::header::Header;
use crate::{Wall, base64};
use ring::rand::SecureRandom;
use ring::signature::{Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256, RsaKeyPair};
use std::sync::Arc;
use std::time::Duration;

/// A private key.
pub enum SigningKey {
    /// RSA, 2048 bits or more.
    Rsa(Box<RsaKeyPair>),
    /// Ed25519.
    Ed25519(Box<Ed25519KeyPair>),
}

/// Why a file is no key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SigningKeyError {
    /// No PEM of a private key.
    #[error(
        "there is no private key in PEM (`-----BEGIN PRIVATE KEY-----` or `-----BEGIN RSA PRIVATE KEY-----`)"
    )]
    Pem,
    /// ring's word for what is wrong.
    #[error("the private key can't be used: {0}; RSA keys need 2048 bits or more")]
    Rejected(String),
}

impl SigningKey {
    /// Reads PEM: PKCS#8, or RSA's own form.
    ///
    /// # Errors
    /// [`SigningKeyError`].
    pub fn parse(pem: &str) -> Result<SigningKey, SigningKeyError> {
        let rejected = |error: ring::error::KeyRejected| SigningKeyError::Rejected(error.to_string());
        if let Some(der) = pem_section(pem, "RSA PRIVATE KEY") {
            return RsaKeyPair::from_der(&der).map(Box::new).map(SigningKey::Rsa).map_err(rejected);
        }
        let der = pem_section(pem, "PRIVATE KEY").ok_or(SigningKeyError::Pem)?;
        if let Ok(key) = Ed25519KeyPair::from_pkcs8_maybe_unchecked(&der) {
            return Ok(SigningKey::Ed25519(Box::new(key)));
        }
        RsaKeyPair::from_pkcs8(&der).map(Box::new).map(SigningKey::Rsa).map_err(rejected)
    }

    /// What signs.
    #[must_use]
    pub const fn kind(&self) -> KeyType {
        match self {
            SigningKey::Rsa(_) => KeyType::Rsa,
            SigningKey::Ed25519(_) => KeyType::Ed25519,
        }
    }

    /// How long an RSA key is.
    #[must_use]
    pub fn bits(&self) -> Option<usize> {
        match self {
            SigningKey::Rsa(key) => key.public().modulus_len().checked_mul(8),
            SigningKey::Ed25519(_) => None,
        }
    }

    /// The record that tells the world of it.
    #[must_use]
    pub fn record(&self) -> String {
        match self {
            SigningKey::Rsa(key) => {
                format!("v=DKIM1; k=rsa; p={}", base64::encode(&key_info(key.public_key().as_ref())))
            }
            SigningKey::Ed25519(key) => {
                format!("v=DKIM1; k=ed25519; p={}", base64::encode(key.public_key().as_ref()))
            }
        }
    }

    fn sign(&self, message: &[u8], random: &dyn SecureRandom) -> Option<Vec<u8>> {
        match self {
            SigningKey::Rsa(key) => {
                let mut out = vec![0; key.public().modulus_len()];
                key.sign(&RSA_PKCS1_SHA256, random, message, &mut out).ok()?;
                Some(out)
            }
            SigningKey::Ed25519(key) => {
                let hash = ring::digest::digest(&ring::digest::SHA256, message);
                Some(key.sign(hash.as_ref()).as_ref().to_vec())
            }
        }
    }
}

/// An RSAPublicKey within a SubjectPublicKeyInfo.
fn key_info(key: &[u8]) -> Vec<u8> {
    const ALGORITHM: &[u8] = &[0x30, 13, 6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 1, 5, 0];
    let mut bits = vec![0];
    bits.extend_from_slice(key);
    let inner = [ALGORITHM, &element(0x03, &bits)].concat();
    element(0x30, &inner)
}

fn element(tag: u8, contents: &[u8]) -> Vec<u8> {
    let length = contents.len().to_be_bytes();
    let digits: Vec<u8> = length.iter().copied().skip_while(|digit| *digit == 0).collect();
    let mut out = vec![tag];
    match u8::try_from(contents.len()) {
        Ok(short) if short < 0x80 => out.push(short),
        _ => {
            out.push(0x80 | u8::try_from(digits.len()).unwrap_or(0x7f));
            out.extend_from_slice(&digits);
        }
    }
    out.extend_from_slice(contents);
    out
}

fn pem_section(pem: &str, label: &str) -> Option<Vec<u8>> {
    let (_, rest) = pem.split_once(&format!("-----BEGIN {label}-----"))?;
    let (body, _) = rest.split_once(&format!("-----END {label}-----"))?;
    base64::decode(&body.split_ascii_whitespace().collect::<String>())
}

/// In whose name, and what is signed.
pub struct Signer {
    /// `d=`
    pub domain: String,
    /// `s=`
    pub selector: String,
    /// `i=`, where it isn't the domain.
    pub identity: Option<String>,
    /// The key.
    pub key: Arc<SigningKey>,
    /// Of headers and of the body.
    pub forms: (Canonicalization, Canonicalization),
    /// Headers that are signed where they are, in lower case.
    pub headers: Vec<String>,
    /// Headers that are named once more than they are there, in lower case.
    pub oversigned: Vec<String>,
    /// For how long it holds.
    pub lifetime: Option<Duration>,
}

/// Headers that RFC 6376 §5.4.1 recommends, and those that say what the body is.
pub const SIGNED_HEADERS: &[&str] = &[
    "from",
    "reply-to",
    "subject",
    "date",
    "to",
    "cc",
    "resent-date",
    "resent-from",
    "resent-to",
    "resent-cc",
    "in-reply-to",
    "references",
    "list-id",
    "list-help",
    "list-unsubscribe",
    "list-unsubscribe-post",
    "list-subscribe",
    "list-post",
    "list-owner",
    "list-archive",
    "message-id",
    "mime-version",
    "content-type",
    "content-transfer-encoding",
];

/// A signature, while the body comes.
pub struct Signing<'s> {
    signer: &'s Signer,
    body: BodyHasher,
}

impl Signer {
    /// Begins a message.
    #[must_use]
    pub fn begin(&self) -> Signing<'_> {
        Signing { signer: self, body: BodyHasher::new(self.forms.1, None) }
    }

    /// The names for `h=`: each as often as it is there, and once more where it is to be oversigned.
    fn names(&self, headers: &[&[u8]]) -> Vec<String> {
        let mut names = Vec::new();
        for text in headers {
            let Some(header) = Header::parse(text) else { continue };
            let name = header.name.to_ascii_lowercase();
            if self.headers.contains(&name) || name == "from" {
                names.push(name);
            }
        }
        names.extend(self.oversigned.iter().cloned());
        names
    }
}

impl Signing<'_> {
    /// More of the body, with LF at line ends.
    pub fn body(&mut self, bytes: &[u8]) {
        self.body.update(bytes);
    }

    /// The header to put on top, with LF at line ends; `None` where the key doesn't sign, or nothing says From.
    #[must_use]
    pub fn finish(self, headers: &[&[u8]], now: Wall, random: &dyn SecureRandom) -> Option<String> {
        let signer = self.signer;
        let names = signer.names(headers);
        if !names.iter().any(|name| name == "from") {
            return None;
        }
        let (hash, _) = self.body.finish();
        let algorithm = match signer.key.kind() {
            KeyType::Rsa => "rsa-sha256",
            KeyType::Ed25519 => "ed25519-sha256",
        };
        let (header_form, body_form) = signer.forms;
        let mut text = format!(
            "DKIM-Signature: v=1; a={algorithm}; c={}/{}; d={};\n\ts={}; t={}",
            header_form.name(),
            body_form.name(),
            signer.domain,
            signer.selector,
            now.seconds()
        );
        if let Some(lifetime) = signer.lifetime {
            let seconds = i64::try_from(lifetime.as_secs()).unwrap_or(i64::MAX);
            text.push_str(&format!("; x={}", now.seconds().saturating_add(seconds)));
        }
        if let Some(identity) = &signer.identity {
            text.push_str(&format!("; i={identity}"));
        }
        text.push_str(&format!(";\n\tbh={};\n\th=", base64::encode(&hash)));
        folded(&mut text, &names);
        text.push_str(";\n\tb=");
        let mut message = signed_headers(&names, header_form, headers);
        canonical::header(text.as_bytes(), header_form, &mut message);
        message.truncate(message.len().saturating_sub(2));
        let signature = base64::encode(&signer.key.sign(&message, random)?);
        for (at, c) in signature.chars().enumerate() {
            if at > 0 && at.is_multiple_of(72) {
                text.push_str("\n\t ");
            }
            text.push(c);
        }
        text.push('\n');
        Some(text)
    }
}

/// `from:to:…`, in lines that are short enough.
fn folded(text: &mut String, names: &[String]) {
    let mut column = 10;
    for (at, name) in names.iter().enumerate() {
        if at > 0 {
            text.push(':');
            column += 1;
            if column + name.len() > 76 {
                text.push_str("\n\t ");
                column = 9;
            }
        }
        text.push_str(name);
        column += name.len();
    }
}
