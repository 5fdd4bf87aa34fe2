//! What is wrong with a key's record in the DNS, for whoever publishes it.

use super::key::{KeyError, PublicKey};
use super::sign::SigningKey;
use super::tags::TagList;
use std::fmt;

/// RSA keys that are shorter count as weak (RFC 8301 §3.2).
const RSA_BITS_GOOD: usize = 2048;

/// A fault of a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyFault {
    /// There is none.
    Missing,
    /// There are so many texts that could be it.
    Several(usize),
    /// It can't be used.
    Unusable(KeyError),
    /// It belongs to another private key.
    OfAnotherKey,
    /// It is an RSA key of so many bits.
    Weak(usize),
    /// `t=y`
    Testing,
    /// It doesn't begin with `v=DKIM1`.
    WithoutVersion,
}

impl KeyFault {
    /// Whether signatures are good all the same.
    #[must_use]
    pub const fn is_bearable(&self) -> bool {
        matches!(self, KeyFault::Weak(_) | KeyFault::Testing | KeyFault::WithoutVersion)
    }
}

impl fmt::Display for KeyFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            KeyFault::Missing => {
                f.write_str("there is no such key in the DNS; signatures with it are worth nothing until it is published")
            }
            KeyFault::Several(count) => {
                write!(f, "there are {count} TXT records; verifiers take any of them: leave the one that is right")
            }
            KeyFault::Unusable(KeyError::Malformed) => f.write_str(
                "the record can't be read; it is to be `v=DKIM1; k=rsa; p=…` in strings of 255 bytes at most, with \
                 nothing lost between them",
            ),
            KeyFault::Unusable(KeyError::Revoked) => {
                f.write_str("the key is withdrawn (p= is empty): signatures with it fail")
            }
            KeyFault::Unusable(error) => write!(f, "{error}"),
            KeyFault::OfAnotherKey => f.write_str("the DNS has another key than the one that signs: signatures fail"),
            KeyFault::Weak(bits) => write!(f, "the key has {bits} bits; RFC 8301 wants 2048 and more"),
            KeyFault::Testing => {
                f.write_str("t=y says that the domain is only trying: take it out when all is well")
            }
            KeyFault::WithoutVersion => f.write_str("the record doesn't begin with v=DKIM1; some verifiers want it"),
        }
    }
}

/// What is wrong with the texts of a key's name, `key` being the private one where it is known.
#[must_use]
pub fn record_faults(texts: &[String], key: Option<&SigningKey>) -> Vec<KeyFault> {
    let looks = |text: &&String| {
        TagList::parse(text).is_none_or(|tags| tags.get("p").is_some() || tags.get("v") == Some("DKIM1"))
    };
    let texts: Vec<&String> = texts.iter().filter(looks).collect();
    let Some(first) = texts.first() else { return vec![KeyFault::Missing] };
    let mut faults = Vec::new();
    if texts.len() > 1 {
        faults.push(KeyFault::Several(texts.len()));
    }
    let public = match PublicKey::parse(first) {
        Ok(public) => public,
        Err(error) => {
            faults.push(KeyFault::Unusable(error));
            return faults;
        }
    };
    if key.is_some_and(|key| !public.is_of(key)) {
        faults.push(KeyFault::OfAnotherKey);
    }
    if public.kind() == super::KeyType::Rsa && public.bits() < RSA_BITS_GOOD {
        faults.push(KeyFault::Weak(public.bits()));
    }
    if public.is_testing() {
        faults.push(KeyFault::Testing);
    }
    if TagList::parse(first).is_some_and(|tags| tags.get("v").is_none()) {
        faults.push(KeyFault::WithoutVersion);
    }
    faults
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g\n-----END PRIVATE KEY-----\n";
    const OTHER: &str = "v=DKIM1; k=ed25519; p=21qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=";

    fn faults(texts: &[&str]) -> Vec<KeyFault> {
        let texts: Vec<String> = texts.iter().map(|text| (*text).to_owned()).collect();
        record_faults(&texts, Some(&SigningKey::parse(KEY).unwrap()))
    }

    #[test]
    fn what_is_wrong() {
        let good = SigningKey::parse(KEY).unwrap().record();
        assert_eq!(faults(&[&good]), []);
        assert_eq!(faults(&[&good, "some other text with no tags = at all; =", "v=spf1 -all"]).len(), 1);
        assert_eq!(faults(&[]), [KeyFault::Missing]);
        assert_eq!(faults(&["v=DKIM1; k=ed25519; p="]), [KeyFault::Unusable(KeyError::Revoked)]);
        assert_eq!(faults(&["v=DKIM1; k=rsa; p=AAAA"]), [KeyFault::Unusable(KeyError::Malformed)]);
        assert_eq!(faults(&[OTHER]), [KeyFault::OfAnotherKey]);
        let testing = good.replace("v=DKIM1; ", "t=y; ");
        assert_eq!(faults(&[&testing]), [KeyFault::Testing, KeyFault::WithoutVersion]);
        assert!(faults(&[&testing]).iter().all(KeyFault::is_bearable));
        assert_eq!(faults(&[&good, OTHER]), [KeyFault::Several(2)]);
        assert!(!KeyFault::Several(2).is_bearable());
    }
}
