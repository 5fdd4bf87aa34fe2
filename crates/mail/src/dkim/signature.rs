//! A `DKIM-Signature` header read (RFC 6376 §3.5).

use super::canonical::Canonicalization;
use super::key::KeyType;
use super::tags::{TagList, base64, is_fws, members};

/// The most names in `h=`.
const HEADERS_MAX: usize = 256;

/// What a signature says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signature {
    /// `d=`, in lower case.
    pub domain: String,
    /// `s=`
    pub selector: String,
    /// `i=`; `@DOMAIN` where it isn't given.
    pub identity: String,
    /// `a=`
    pub algorithm: KeyType,
    /// `b=`
    pub signature: Vec<u8>,
    pub(super) body_hash: Vec<u8>,
    pub(super) header_form: Canonicalization,
    pub(super) body_form: Canonicalization,
    pub(super) headers: Vec<String>,
    pub(super) length: Option<u64>,
    pub(super) expires: Option<i64>,
    pub(super) signed: Option<i64>,
}

/// Why a header is no signature that can be checked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// It can't be read.
    #[error("the signature is malformed")]
    Syntax,
    /// A tag isn't there.
    #[error("the signature has no {0}=")]
    Missing(&'static str),
    /// A tag's value makes no sense.
    #[error("the signature's {0}= is invalid")]
    Invalid(&'static str),
    /// `a=` is unknown, or no longer believed (RFC 8301).
    #[error("the signature's algorithm is not supported")]
    Algorithm,
    /// From isn't signed.
    #[error("the signature does not cover From")]
    From,
    /// `i=` isn't of `d=`.
    #[error("the signature's identity is not of its domain")]
    Identity,
}

impl Signature {
    /// Reads the header's value.
    ///
    /// # Errors
    /// [`SignatureError`].
    pub fn parse(value: &str) -> Result<Signature, SignatureError> {
        use SignatureError::{Algorithm, Identity, Invalid, Missing, Syntax};
        let tags = TagList::parse(value).ok_or(Syntax)?;
        let need = |name: &'static str| tags.get(name).ok_or(Missing(name));
        if need("v")? != "1" {
            return Err(Invalid("v"));
        }
        let algorithm = match need("a")?.to_ascii_lowercase().as_str() {
            "rsa-sha256" => KeyType::Rsa,
            "ed25519-sha256" => KeyType::Ed25519,
            _ => return Err(Algorithm),
        };
        let signature = base64(need("b")?).filter(|bytes| !bytes.is_empty()).ok_or(Invalid("b"))?;
        let body_hash = base64(need("bh")?).filter(|bytes| bytes.len() == 32).ok_or(Invalid("bh"))?;
        let domain = need("d")?.to_ascii_lowercase();
        let selector = need("s")?.to_ascii_lowercase();
        for (tag, name) in [("d", &domain), ("s", &selector)] {
            if !crate::host::is_hostname(name) && !is_labels(name) {
                return Err(Invalid(tag));
            }
        }
        let headers: Vec<String> = members(need("h")?).map(str::to_ascii_lowercase).collect();
        if headers.len() > HEADERS_MAX || headers.iter().any(|name| name.is_empty() || name.contains(is_fws))
        {
            return Err(Invalid("h"));
        }
        if !headers.iter().any(|name| name == "from") {
            return Err(SignatureError::From);
        }
        let (header_form, body_form) =
            Canonicalization::parse_pair(tags.get("c").unwrap_or("simple/simple")).ok_or(Invalid("c"))?;
        if tags.get("q").is_some_and(|methods| members(methods).all(|method| method != "dns/txt")) {
            return Err(Invalid("q"));
        }
        let length = number(&tags, "l")?.map(|length| u64::try_from(length).unwrap_or(0));
        let (signed, expires) = (number(&tags, "t")?, number(&tags, "x")?);
        if signed.zip(expires).is_some_and(|(signed, expires)| expires < signed) {
            return Err(Invalid("x"));
        }
        let identity = tags.get("i").map_or_else(|| format!("@{domain}"), str::to_owned);
        let of = identity.rsplit_once('@').map(|(_, of)| of.to_ascii_lowercase()).ok_or(Invalid("i"))?;
        if of != domain && !of.ends_with(&format!(".{domain}")) {
            return Err(Identity);
        }
        Ok(Signature {
            domain,
            selector,
            identity,
            algorithm,
            signature,
            body_hash,
            header_form,
            body_form,
            headers,
            length,
            expires,
            signed,
        })
    }

    /// The name of its key in the DNS.
    #[must_use]
    pub fn key_name(&self) -> String {
        format!("{}._domainkey.{}", self.selector, self.domain)
    }

    /// Whether the identity's domain is `d=` itself.
    pub(super) fn is_of_domain_itself(&self) -> bool {
        self.identity.rsplit_once('@').is_some_and(|(_, of)| of.eq_ignore_ascii_case(&self.domain))
    }
}

/// A selector may be all digits.
fn is_labels(name: &str) -> bool {
    name.len() <= 253
        && name.split('.').all(|label| {
            (1..=63).contains(&label.len())
                && label.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
        })
}

fn number(tags: &TagList<'_>, name: &'static str) -> Result<Option<i64>, SignatureError> {
    let Some(text) = tags.get(name) else { return Ok(None) };
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    // So many that no number holds them are more than anything.
    digits.then(|| Some(text.parse().unwrap_or(i64::MAX))).ok_or(SignatureError::Invalid(name))
}
