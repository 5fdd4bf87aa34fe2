//! Keys in the DNS (RFC 6376 §3.6.1, RFC 8463): `SELECTOR._domainkey.DOMAIN TXT v=DKIM1; k=rsa; p=…`.

use super::tags::{TagList, base64, members};
use ring::signature::{ED25519, RSA_PKCS1_1024_8192_SHA256_FOR_LEGACY_USE_ONLY, UnparsedPublicKey};

/// What signs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyType {
    /// RSA.
    Rsa,
    /// Ed25519.
    Ed25519,
}

/// The fewest bits of an RSA key that is believed (RFC 8301 §3.2).
pub const RSA_BITS_MIN: usize = 1024;

/// A key as a domain publishes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicKey {
    kind: KeyType,
    bytes: Vec<u8>,
    bits: usize,
    testing: bool,
    strict: bool,
}

/// Why a record is no key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// It can't be read.
    #[error("the key is malformed")]
    Malformed,
    /// `p=` is empty.
    #[error("the key was revoked")]
    Revoked,
    /// It isn't for SHA-256.
    #[error("the key is not for SHA-256")]
    Hash,
    /// Of a kind that nobody knows.
    #[error("the key is of an unknown kind")]
    Kind,
    /// It isn't for mail.
    #[error("the key is not for mail")]
    Service,
    /// Fewer than 1024 bits.
    #[error("the key is too short")]
    Short,
}

impl PublicKey {
    /// Reads a record's text.
    ///
    /// # Errors
    /// [`KeyError`].
    pub fn parse(text: &str) -> Result<PublicKey, KeyError> {
        let tags = TagList::parse(text).ok_or(KeyError::Malformed)?;
        // RFC 6376 §3.6.1: if it is there, it comes first.
        if tags.get("v").is_some_and(|version| version != "DKIM1" || tags.first() != Some(("v", version))) {
            return Err(KeyError::Malformed);
        }
        if tags.get("h").is_some_and(|hashes| members(hashes).all(|hash| hash != "sha256")) {
            return Err(KeyError::Hash);
        }
        let for_mail = |service: &str| matches!(service, "*" | "email");
        if tags.get("s").is_some_and(|services| !members(services).any(for_mail)) {
            return Err(KeyError::Service);
        }
        let kind = match tags.get("k") {
            None | Some("rsa") => KeyType::Rsa,
            Some("ed25519") => KeyType::Ed25519,
            Some(_) => return Err(KeyError::Kind),
        };
        let data = tags.get("p").ok_or(KeyError::Malformed)?;
        if data.is_empty() {
            return Err(KeyError::Revoked);
        }
        let data = base64(data).ok_or(KeyError::Malformed)?;
        let (bytes, bits) = match kind {
            KeyType::Ed25519 if data.len() == 32 => (data, 256),
            KeyType::Ed25519 => return Err(KeyError::Malformed),
            KeyType::Rsa => rsa(&data).ok_or(KeyError::Malformed)?,
        };
        if kind == KeyType::Rsa && bits < RSA_BITS_MIN {
            return Err(KeyError::Short);
        }
        let flag =
            |wanted: &str| tags.get("t").is_some_and(|flags| members(flags).any(|flag| flag == wanted));
        Ok(PublicKey { kind, bytes, bits, testing: flag("y"), strict: flag("s") })
    }

    /// Whether it is the public half of `key`.
    #[must_use]
    pub fn is_of(&self, key: &super::SigningKey) -> bool {
        PublicKey::parse(&key.record()).is_ok_and(|own| own.kind == self.kind && own.bytes == self.bytes)
    }

    /// What signs with it.
    #[must_use]
    pub const fn kind(&self) -> KeyType {
        self.kind
    }

    /// Its length.
    #[must_use]
    pub const fn bits(&self) -> usize {
        self.bits
    }

    /// `t=y`: the domain is only trying.
    #[must_use]
    pub const fn is_testing(&self) -> bool {
        self.testing
    }

    /// `t=s`: not for subdomains.
    #[must_use]
    pub const fn is_strict(&self) -> bool {
        self.strict
    }

    /// Whether `signature` is its owner's, under `message`; RFC 8463 §3: Ed25519 signs the hash of it.
    #[must_use]
    pub fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        match self.kind {
            KeyType::Rsa => {
                UnparsedPublicKey::new(&RSA_PKCS1_1024_8192_SHA256_FOR_LEGACY_USE_ONLY, &self.bytes)
                    .verify(message, signature)
                    .is_ok()
            }
            KeyType::Ed25519 => {
                let hash = ring::digest::digest(&ring::digest::SHA256, message);
                UnparsedPublicKey::new(&ED25519, &self.bytes).verify(hash.as_ref(), signature).is_ok()
            }
        }
    }
}

/// An RSAPublicKey, out of a SubjectPublicKeyInfo or by itself, and how many bits its modulus has.
fn rsa(der: &[u8]) -> Option<(Vec<u8>, usize)> {
    let (inner, _) = element(der, 0x30)?;
    let key = match element(inner, 0x30) {
        // SubjectPublicKeyInfo: an algorithm, then the key in a bit string.
        Some((_, rest)) => element(rest, 0x03)?.0.strip_prefix(&[0])?,
        None => der,
    };
    let (numbers, _) = element(key, 0x30)?;
    let (modulus, _) = element(numbers, 0x02)?;
    let modulus = modulus.strip_prefix(&[0]).unwrap_or(modulus);
    let leading = usize::try_from(modulus.first()?.leading_zeros()).ok()?;
    let bits = modulus.len().checked_mul(8)?.checked_sub(leading)?;
    Some((key.to_vec(), bits))
}

/// The contents of a DER element with this tag, and what is behind it.
fn element(der: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (&[first, length], rest) = der.split_first_chunk::<2>()?;
    if first != tag {
        return None;
    }
    let (length, rest) = if length < 0x80 {
        (usize::from(length), rest)
    } else {
        let (digits, rest) = rest.split_at_checked(usize::from(length & 0x7f))?;
        if digits.is_empty() || digits.len() > 2 {
            return None;
        }
        (digits.iter().fold(0, |sum, digit| (sum << 8) | usize::from(*digit)), rest)
    };
    rest.split_at_checked(length)
}
