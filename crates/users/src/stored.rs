//! Passwords as they are stored: Dovecot's `{SCHEME}hash`, read into what judges a password.
//!
//! Reading finds out everything that can be wrong, and what a judgement will cost, so that judging can't fail and
//! takes bounded time and memory. Without a scheme in front it is crypt(5)'s, as in a passwd-file of Dovecot.
//! RFC 9106 (Argon2), RFC 2307 (`{SSHA}`), RFC 2898 (PBKDF2), RFC 7677 (`{SCRAM-SHA-256}`).

use crate::crypt::Crypt;
use mail::base64;
use proto::sasl::md5::Contexts;
use proto::sasl::scram::{Hash, Keys, same};
use ring::{digest, pbkdf2};
use std::fmt;
use std::num::NonZeroU32;

/// Memory that one hash may take, in KiB.
const MEMORY_KIB_MAX: u32 = 1 << 20;
/// Passes over it.
const PASSES_MAX: u32 = 100;
/// Rounds of PBKDF2.
const ROUNDS_MAX: u32 = 10_000_000;

/// A password as it is stored. Its `Debug` doesn't say it.
#[derive(Clone, PartialEq, Eq)]
pub struct Stored {
    text: Box<str>,
    scheme: &'static str,
    kind: Kind,
}

#[derive(Clone, PartialEq, Eq)]
enum Kind {
    Plain(Vec<u8>),
    Crypt(Crypt),
    Argon2(Argon2),
    Digest { hash: Digest, expect: Vec<u8>, salt: Vec<u8> },
    Pbkdf2 { rounds: NonZeroU32, salt: Vec<u8>, expect: Vec<u8> },
    Scram(Keys),
    Cram(Contexts),
}

#[derive(Clone, PartialEq, Eq)]
struct Argon2 {
    /// Argon2id, not Argon2i.
    id: bool,
    memory_kib: u32,
    passes: u32,
    lanes: u32,
    salt: Vec<u8>,
    expect: Vec<u8>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Digest {
    Sha1,
    Sha256,
    Sha512,
}

impl Digest {
    fn algorithm(self) -> &'static digest::Algorithm {
        match self {
            Digest::Sha1 => &digest::SHA1_FOR_LEGACY_USE_ONLY,
            Digest::Sha256 => &digest::SHA256,
            Digest::Sha512 => &digest::SHA512,
        }
    }
}

/// Why what stands there judges nobody.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unusable {
    /// A scheme that isn't known here.
    #[error("the scheme {{{0}}} isn't known here")]
    Scheme(String),
    /// Not what the scheme writes, or beyond all measure.
    #[error("what follows {{{0}}} isn't one of its hashes")]
    Hash(&'static str),
    /// `*`, `!`, or nothing.
    #[error("there is no password")]
    Nothing,
}

/// What a judgement costs: two that cost the same can't be told apart by their time.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Cost(pub String);

impl fmt::Debug for Stored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Stored({{{}}}…)", self.scheme)
    }
}

impl Stored {
    /// Reads `{SCHEME}hash`.
    ///
    /// # Errors
    /// [`Unusable`].
    pub fn parse(text: &str) -> Result<Stored, Unusable> {
        let (name, rest) = match text.strip_prefix('{').and_then(|text| text.split_once('}')) {
            Some((name, rest)) => (name.to_ascii_uppercase(), rest),
            None => ("CRYPT".to_owned(), text),
        };
        if text.is_empty() || rest.starts_with(['*', '!']) && name == "CRYPT" {
            return Err(Unusable::Nothing);
        }
        let (name, encoding) = match name.rsplit_once('.') {
            Some((name, "HEX")) => (name.to_owned(), Encoding::Hex),
            Some((name, "B64" | "BASE64")) => (name.to_owned(), Encoding::Base64),
            _ => (name, Encoding::Usual),
        };
        let scheme = SCHEMES.iter().find(|(known, _)| *known == name);
        let (scheme, read) = scheme.ok_or(Unusable::Scheme(name))?;
        let kind = read(rest, encoding).ok_or(Unusable::Hash(scheme))?;
        Ok(Stored { text: text.into(), scheme, kind })
    }

    /// As it was written.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The scheme's name.
    #[must_use]
    pub const fn scheme(&self) -> &'static str {
        self.scheme
    }

    /// Whether whoever reads it has the password.
    #[must_use]
    pub const fn is_readable(&self) -> bool {
        matches!(self.kind, Kind::Plain(_))
    }

    /// Whether it is hashed so fast that it is soon guessed by whoever has it.
    #[must_use]
    pub const fn is_weak(&self) -> bool {
        matches!(self.kind, Kind::Digest { .. } | Kind::Cram(_) | Kind::Crypt(Crypt::Md5 { .. }))
    }

    /// What [`Stored::is_of`] costs.
    #[must_use]
    pub fn cost(&self) -> Cost {
        Cost(match &self.kind {
            Kind::Plain(_) => "plain".to_owned(),
            Kind::Crypt(crypt) => crypt.cost(),
            Kind::Argon2(a) => {
                format!(
                    "argon2{} m={},t={},p={}",
                    if a.id { "id" } else { "i" },
                    a.memory_kib,
                    a.passes,
                    a.lanes
                )
            }
            Kind::Digest { .. } | Kind::Cram(_) => "digest".to_owned(),
            Kind::Pbkdf2 { rounds, .. } => format!("pbkdf2 {rounds}"),
            Kind::Scram(keys) => format!("scram {:?} {}", keys.hash, keys.rounds),
        })
    }

    /// Whether this is the password.
    #[must_use]
    pub fn is_of(&self, password: &[u8]) -> bool {
        match &self.kind {
            Kind::Plain(kept) => same(kept, password),
            Kind::Crypt(crypt) => crypt.is_of(password),
            Kind::Argon2(argon) => argon.hash(password).is_some_and(|made| same(&made, &argon.expect)),
            Kind::Digest { hash, expect, salt } => {
                let made = digest::digest(hash.algorithm(), &[password, salt].concat());
                same(made.as_ref(), expect)
            }
            Kind::Pbkdf2 { rounds, salt, expect } => {
                let mut made = vec![0; expect.len()];
                pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA1, *rounds, salt, password, &mut made);
                same(&made, expect)
            }
            Kind::Scram(keys) => keys.are_of(password),
            Kind::Cram(contexts) => same(&Contexts::of(password).bytes(), &contexts.bytes()),
        }
    }

    /// What SCRAM needs, where it is stored; for `{PLAIN}` the password, which it can be made from.
    #[must_use]
    pub fn scram(&self, hash: Hash) -> Option<ScramSource<'_>> {
        match &self.kind {
            Kind::Scram(keys) if keys.hash == hash => Some(ScramSource::Keys(keys)),
            Kind::Plain(password) => Some(ScramSource::Password(password)),
            _ => None,
        }
    }

    /// What CRAM-MD5 needs.
    #[must_use]
    pub fn cram(&self) -> Option<Contexts> {
        match &self.kind {
            Kind::Cram(contexts) => Some(*contexts),
            Kind::Plain(password) => Some(Contexts::of(password)),
            _ => None,
        }
    }
}

/// Where SCRAM's keys come from.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum ScramSource<'a> {
    /// They are stored.
    Keys(&'a Keys),
    /// They have to be made.
    Password(&'a [u8]),
}

impl Argon2 {
    fn hash(&self, password: &[u8]) -> Option<Vec<u8>> {
        let length = self.expect.len();
        let parameters = argon2::Params::new(self.memory_kib, self.passes, self.lanes, Some(length)).ok()?;
        let algorithm = if self.id { argon2::Algorithm::Argon2id } else { argon2::Algorithm::Argon2i };
        let mut made = vec![0; length];
        let argon = argon2::Argon2::new(algorithm, argon2::Version::V0x13, parameters);
        argon.hash_password_into(password, &self.salt, &mut made).ok()?;
        Some(made)
    }
}

/// How bytes are written.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Encoding {
    /// As the scheme does.
    Usual,
    Hex,
    Base64,
}

impl Encoding {
    fn text(self, text: &str) -> Option<Vec<u8>> {
        match self {
            Encoding::Usual => Some(text.as_bytes().to_vec()),
            Encoding::Hex => unhex(text),
            Encoding::Base64 => base64::decode(text),
        }
    }

    /// `usual` bytes are base64, or hex where that is the right length.
    fn digest(self, text: &str, usual: Option<usize>) -> Option<Vec<u8>> {
        match self {
            Encoding::Hex => unhex(text),
            Encoding::Usual if usual.is_some_and(|bytes| text.len() == 2 * bytes) => unhex(text),
            _ => base64::decode(text),
        }
    }

    fn inner(self, text: &str) -> Option<String> {
        String::from_utf8(self.text(text)?).ok()
    }
}

type Read = fn(&str, Encoding) -> Option<Kind>;

/// Each scheme, and how its hashes are read.
const SCHEMES: [(&str, Read); 22] = [
    ("PLAIN", |text, encoding| encoding.text(text).map(Kind::Plain)),
    ("CLEAR", |text, encoding| encoding.text(text).map(Kind::Plain)),
    ("CLEARTEXT", |text, encoding| encoding.text(text).map(Kind::Plain)),
    ("CRYPT", |text, encoding| crypt(text, encoding, &["$"])),
    ("MD5-CRYPT", |text, encoding| crypt(text, encoding, &["$1$"])),
    ("MD5", |text, encoding| crypt(text, encoding, &["$1$"])),
    ("BLF-CRYPT", |text, encoding| crypt(text, encoding, &["$2"])),
    // Dovecot asks crypt(3) here, which takes all of them.
    ("SHA256-CRYPT", |text, encoding| crypt(text, encoding, &["$"])),
    ("SHA512-CRYPT", |text, encoding| crypt(text, encoding, &["$"])),
    ("ARGON2ID", |text, encoding| argon(&encoding.inner(text)?, true)),
    ("ARGON2I", |text, encoding| argon(&encoding.inner(text)?, false)),
    ("SSHA", |text, encoding| digested(Digest::Sha1, text, encoding, true)),
    ("SSHA256", |text, encoding| digested(Digest::Sha256, text, encoding, true)),
    ("SSHA512", |text, encoding| digested(Digest::Sha512, text, encoding, true)),
    ("SHA", |text, encoding| digested(Digest::Sha1, text, encoding, false)),
    ("SHA1", |text, encoding| digested(Digest::Sha1, text, encoding, false)),
    ("SHA256", |text, encoding| digested(Digest::Sha256, text, encoding, false)),
    ("SHA512", |text, encoding| digested(Digest::Sha512, text, encoding, false)),
    ("PBKDF2", |text, encoding| derived(&encoding.inner(text)?)),
    ("SCRAM-SHA-1", |text, encoding| Keys::parse(Hash::Sha1, &encoding.inner(text)?).map(Kind::Scram)),
    ("SCRAM-SHA-256", |text, encoding| Keys::parse(Hash::Sha256, &encoding.inner(text)?).map(Kind::Scram)),
    ("CRAM-MD5", |text, encoding| Contexts::from_bytes(&encoding.digest(text, Some(32))?).map(Kind::Cram)),
];

fn crypt(text: &str, encoding: Encoding, prefixes: &[&str]) -> Option<Kind> {
    let text = encoding.inner(text)?;
    let fits = prefixes.iter().any(|prefix| text.starts_with(prefix));
    Crypt::parse(&text).filter(|_| fits).map(Kind::Crypt)
}

fn digested(hash: Digest, text: &str, encoding: Encoding, salted: bool) -> Option<Kind> {
    let length = hash.algorithm().output_len();
    let bytes = encoding.digest(text, (!salted).then_some(length))?;
    let (expect, salt) = bytes.split_at_checked(length)?;
    let fits = if salted { !salt.is_empty() } else { salt.is_empty() };
    fits.then(|| Kind::Digest { hash, expect: expect.to_vec(), salt: salt.to_vec() })
}

/// `$argon2id$v=19$m=65536,t=3,p=1$salt$hash`
fn argon(text: &str, id: bool) -> Option<Kind> {
    let rest = text.strip_prefix(if id { "$argon2id$v=19$" } else { "$argon2i$v=19$" })?;
    let mut fields = rest.split('$');
    let (parameters, salt, expect) = (fields.next()?, fields.next()?, fields.next()?);
    let mut parameters = parameters.split(',');
    let mut number = |name: &str| parameters.next()?.strip_prefix(name)?.parse::<u32>().ok();
    let (memory_kib, passes, lanes) = (number("m=")?, number("t=")?, number("p=")?);
    let (salt, expect) = (unpadded(salt)?, unpadded(expect)?);
    let fits = (8 * lanes.max(1)..=MEMORY_KIB_MAX).contains(&memory_kib)
        && (1..=PASSES_MAX).contains(&passes)
        && (1..=64).contains(&lanes)
        && (8..=64).contains(&salt.len())
        && (16..=64).contains(&expect.len())
        && fields.next().is_none();
    fits.then_some(Kind::Argon2(Argon2 { id, memory_kib, passes, lanes, salt, expect }))
}

/// `$1$salt$rounds$hash`
fn derived(text: &str) -> Option<Kind> {
    let mut fields = text.strip_prefix("$1$")?.split('$');
    let (salt, rounds, expect) = (fields.next()?, fields.next()?, unhex(fields.next()?)?);
    let rounds: NonZeroU32 = rounds.parse().ok().filter(|rounds: &NonZeroU32| rounds.get() <= ROUNDS_MAX)?;
    let fits = expect.len() == 20 && fields.next().is_none();
    fits.then(|| Kind::Pbkdf2 { rounds, salt: salt.as_bytes().to_vec(), expect })
}

fn unpadded(text: &str) -> Option<Vec<u8>> {
    let padding = match text.len() % 4 {
        0 => "",
        2 => "==",
        3 => "=",
        _ => return None,
    };
    base64::decode(&format!("{}{padding}", text.trim_end_matches('=')))
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u32>> = text.chars().map(|c| c.to_digit(16)).collect();
    let digits = digits.filter(|digits| digits.len().is_multiple_of(2))?;
    digits
        .chunks_exact(2)
        .map(|pair| pair.iter().fold(0, |sum, digit| sum * 16 + digit))
        .map(|byte| u8::try_from(byte).ok())
        .collect()
}

/// For fuzzing: any text is read or refused, and what is cheap is judged.
pub fn survive(text: &[u8]) {
    let text = String::from_utf8_lossy(text);
    if let Ok(stored) = Stored::parse(&text)
        && matches!(stored.kind, Kind::Plain(_) | Kind::Digest { .. } | Kind::Cram(_))
    {
        let _ = (stored.is_of(b"secret"), stored.cost());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// By `doveadm pw -s SCHEME -p 'pa$$wörd'`.
    #[test]
    fn as_dovecot_makes_them() {
        let mut schemes = Vec::new();
        for text in include_str!("stored_samples.txt").lines() {
            let stored = Stored::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
            assert!(stored.is_of("pa$$wörd".as_bytes()), "{text}");
            assert!(!stored.is_of(b"pa$$word") && !stored.is_of(b""), "{text}");
            schemes.push(stored.scheme());
        }
        for (scheme, _) in
            SCHEMES.iter().filter(|(scheme, _)| !["MD5", "CLEAR", "CLEARTEXT", "SHA1"].contains(scheme))
        {
            assert!(schemes.contains(scheme), "no sample of {scheme}");
        }
    }

    #[test]
    fn what_judges_nobody() {
        let check = |text: &str, expect: &str| {
            let error = Stored::parse(text).err().map(|error| error.to_string());
            assert_eq!(error.as_deref(), Some(expect), "{text}");
        };
        check("", "there is no password");
        check("*", "there is no password");
        check("!{ARGON2ID}$argon2id$x", "there is no password");
        check("{CRYPT}!!", "there is no password");
        check("{DES-CRYPT}rl.3StKT.4T8M", "the scheme {DES-CRYPT} isn't known here");
        check("{what}x", "the scheme {WHAT} isn't known here");
        check("secret", "what follows {CRYPT} isn't one of its hashes");
        check("{SHA512-CRYPT}$5$salt$x", "what follows {SHA512-CRYPT} isn't one of its hashes");
        check("{SSHA}AAAA", "what follows {SSHA} isn't one of its hashes");
        for argon in [
            "$argon2id$v=19$m=4294967295,t=1,p=1$MDEyMzQ1Njc$MDEyMzQ1Njc4OWFiY2RlZg",
            "$argon2id$v=19$m=65536,t=4000000000,p=1$MDEyMzQ1Njc$MDEyMzQ1Njc4OWFiY2RlZg",
            "$argon2id$v=19$m=65536,t=1,p=1$MDEy$MDEyMzQ1Njc4OWFiY2RlZg",
            "$argon2id$v=16$m=65536,t=1,p=1$MDEyMzQ1Njc$MDEyMzQ1Njc4OWFiY2RlZg",
        ] {
            check(&format!("{{ARGON2ID}}{argon}"), "what follows {ARGON2ID} isn't one of its hashes");
        }
    }

    #[test]
    fn what_is_shown_of_them() {
        let check = |text: &str, expect: (&str, &str, bool, bool)| {
            let stored = Stored::parse(text).expect("usable");
            let cost = stored.cost().0;
            assert_eq!((stored.scheme(), &*cost, stored.is_readable(), stored.is_weak()), expect, "{text}");
            assert_eq!(format!("{stored:?}"), format!("Stored({{{}}}…)", stored.scheme()));
        };
        check("{plain}secret", ("PLAIN", "plain", true, false));
        check("{PLAIN.b64}c2VjcmV0", ("PLAIN", "plain", true, false));
        check("{SHA.HEX}e5e9fa1ba31ecd1ae84f75caaa474f3a663f05f4", ("SHA", "digest", false, true));
        check("{SHA}e5e9fa1ba31ecd1ae84f75caaa474f3a663f05f4", ("SHA", "digest", false, true));
        let argon = "{ARGON2ID}$argon2id$v=19$m=65536,t=3,p=1$MDEyMzQ1Njc$MDEyMzQ1Njc4OWFiY2RlZg";
        check(argon, ("ARGON2ID", "argon2id m=65536,t=3,p=1", false, false));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn any_text_is_survived(text in "(\\{[A-Z0-9-]{3,12}(\\.(HEX|B64))?\\})?[$./0-9A-Za-z=,]{0,60}") {
            survive(text.as_bytes());
        }
    }
}
