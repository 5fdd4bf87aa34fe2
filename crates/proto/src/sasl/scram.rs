//! What SCRAM (RFC 5802, RFC 7677) computes: keys from a password, signatures from keys.
//!
//! [`Keys`] are what a server stores instead of the password, written as Dovecot's `{SCRAM-SHA-256}` writes them.
//! Messages and who says which are [`client`](super::client)'s and [`server`](super::server)'s.

use mail::base64;
use ring::{digest, hmac, pbkdf2};
use std::fmt;
use std::num::NonZeroU32;

/// Rounds of hashing that new keys get: RFC 7677 §4 asks for 4096 at least.
pub const ROUNDS: NonZeroU32 = NonZeroU32::MIN.saturating_add(4095);
/// Rounds that a stored key may have: it is the client that hashes.
const ROUNDS_MAX: u32 = 10_000_000;
/// The longest salt that is read.
const SALT_BYTES_MAX: usize = 1024;

/// The hash below a mechanism.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Hash {
    /// SCRAM-SHA-1
    Sha1,
    /// SCRAM-SHA-256
    Sha256,
}

impl Hash {
    /// Of `text`, with a key.
    #[must_use]
    pub fn sign(self, key: &[u8], text: &[u8]) -> Vec<u8> {
        let algorithm = match self {
            Hash::Sha1 => hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY,
            Hash::Sha256 => hmac::HMAC_SHA256,
        };
        hmac::sign(&hmac::Key::new(algorithm, key), text).as_ref().to_vec()
    }

    const fn algorithm(self) -> &'static digest::Algorithm {
        match self {
            Hash::Sha1 => &digest::SHA1_FOR_LEGACY_USE_ONLY,
            Hash::Sha256 => &digest::SHA256,
        }
    }

    /// Of `text`.
    #[must_use]
    pub fn digest(self, text: &[u8]) -> Vec<u8> {
        digest::digest(self.algorithm(), text).as_ref().to_vec()
    }

    /// Bytes of a hash.
    #[must_use]
    pub fn bytes(self) -> usize {
        self.algorithm().output_len()
    }

    /// RFC 5802 §2.2: `Hi()`.
    #[must_use]
    pub fn salted(self, password: &[u8], salt: &[u8], rounds: NonZeroU32) -> Vec<u8> {
        let algorithm = match self {
            Hash::Sha1 => pbkdf2::PBKDF2_HMAC_SHA1,
            Hash::Sha256 => pbkdf2::PBKDF2_HMAC_SHA256,
        };
        let mut salted = vec![0; self.bytes()];
        pbkdf2::derive(algorithm, rounds, salt, password, &mut salted);
        salted
    }
}

/// What a server keeps of a password. Its `Debug` doesn't say the keys.
#[derive(Clone, PartialEq, Eq)]
pub struct Keys {
    /// The hash.
    pub hash: Hash,
    /// Rounds of hashing.
    pub rounds: NonZeroU32,
    /// The salt.
    pub salt: Vec<u8>,
    /// By which the client's proof is judged.
    pub stored: Vec<u8>,
    /// By which the server shows that it knows the user.
    pub server: Vec<u8>,
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Keys({:?}, {} rounds, …)", self.hash, self.rounds)
    }
}

/// As Dovecot writes it: `rounds,salt,stored key,server key`.
impl fmt::Display for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [salt, stored, server] =
            [&self.salt, &self.stored, &self.server].map(|part| base64::encode(part));
        write!(f, "{},{salt},{stored},{server}", self.rounds)
    }
}

impl Keys {
    /// The keys of a password, which SASLprep has been applied to by whoever could.
    #[must_use]
    pub fn derive(hash: Hash, password: &[u8], salt: Vec<u8>, rounds: NonZeroU32) -> Keys {
        let salted = hash.salted(password, &salt, rounds);
        let stored = hash.digest(&hash.sign(&salted, b"Client Key"));
        let server = hash.sign(&salted, b"Server Key");
        Keys { hash, rounds, salt, stored, server }
    }

    /// Reads what Dovecot writes.
    #[must_use]
    pub fn parse(hash: Hash, text: &str) -> Option<Keys> {
        let mut parts = text.split(',');
        let rounds = parts.next()?.parse().ok().filter(|rounds: &NonZeroU32| rounds.get() <= ROUNDS_MAX)?;
        let (salt, stored, server) =
            (base64::decode(parts.next()?)?, base64::decode(parts.next()?)?, base64::decode(parts.next()?)?);
        let fits = stored.len() == hash.bytes() && server.len() == hash.bytes();
        let fits = fits && (1..=SALT_BYTES_MAX).contains(&salt.len()) && parts.next().is_none();
        fits.then_some(Keys { hash, rounds, salt, stored, server })
    }

    /// Whether this is the password.
    #[must_use]
    pub fn are_of(&self, password: &[u8]) -> bool {
        let salted = self.hash.salted(password, &self.salt, self.rounds);
        same(&self.hash.digest(&self.hash.sign(&salted, b"Client Key")), &self.stored)
    }

    /// Whether `proof` shows that the client knows the password.
    #[must_use]
    pub fn accept(&self, proof: &[u8], said: &[u8]) -> bool {
        let signature = self.hash.sign(&self.stored, said);
        let client: Vec<u8> = proof.iter().zip(&signature).map(|(proof, sign)| proof ^ sign).collect();
        proof.len() == signature.len() && same(&self.hash.digest(&client), &self.stored)
    }

    /// What shows the client that the server knows it.
    #[must_use]
    pub fn signature(&self, said: &[u8]) -> Vec<u8> {
        self.hash.sign(&self.server, said)
    }
}

/// Whether two secrets are the same, in the same time wherever they differ.
#[must_use]
pub fn same(one: &[u8], other: &[u8]) -> bool {
    one.len() == other.len() && one.iter().zip(other).fold(0, |sum, (a, b)| sum | (a ^ b)) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_as_dovecot_writes_them() {
        let keys = Keys::derive(Hash::Sha256, b"pencil", b"0123456789abcdef".to_vec(), ROUNDS);
        let text = keys.to_string();
        assert!(text.starts_with("4096,MDEyMzQ1Njc4OWFiY2RlZg==,"), "{text}");
        assert_eq!(Keys::parse(Hash::Sha256, &text), Some(keys.clone()));
        assert!(keys.are_of(b"pencil") && !keys.are_of(b"pen"));
        assert_eq!(format!("{keys:?}"), "Keys(Sha256, 4096 rounds, …)");
        let other = text.replace("4096", "0");
        for bad in ["", "4096", "x,y,z", "4096,AA==,AA==,AA==", &format!("{text},x"), &other] {
            assert_eq!(Keys::parse(Hash::Sha256, bad), None, "{bad}");
        }
        assert_eq!(Keys::parse(Hash::Sha1, &text), None, "the other hash is shorter");
    }

    #[test]
    fn secrets_compared() {
        for (one, other, expect) in
            [("", "", true), ("ab", "ab", true), ("ab", "aB", false), ("a", "ab", false)]
        {
            assert_eq!(same(one.as_bytes(), other.as_bytes()), expect, "{one} {other}");
        }
    }
}
