//! New passwords: what is written for them. Random bytes come from whoever has dice.
//!
//! Argon2id as RFC 9106 and OWASP advise for a server that many log in to at once: 19 MiB, two passes. Beside it SCRAM's
//! keys, of the password after SASLprep (RFC 4013), which is what clients of SCRAM say; Argon2 hashes it as it is given,
//! which is what clients of PLAIN say.

use crate::crypt::sha_crypt;
use crate::edit::Secret;
use mail::base64;
use proto::sasl::md5::Contexts;
use proto::sasl::scram::{Hash, Keys, ROUNDS};
use ring::digest;

/// Argon2id: memory, passes, lanes.
const ARGON: (u32, u32, u32) = (19 * 1024, 2, 1);
/// bcrypt: binary logarithm of the rounds.
const BCRYPT_COST: u32 = 10;
/// `{SHA512-CRYPT}`: more than crypt's own 5000, which a graphics card does in no time.
const SHA_ROUNDS: u32 = 100_000;
/// Random bytes that are wanted.
pub const RANDOM_BYTES: usize = 64;

/// How a new password is stored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Scheme {
    /// `{ARGON2ID}`
    #[default]
    Argon2id,
    /// `{BLF-CRYPT}`
    Bcrypt,
    /// `{SHA512-CRYPT}`
    Sha512Crypt,
    /// `{SSHA256}`, for old programs that read the same file.
    Ssha256,
    /// `{CRAM-MD5}`
    CramMd5,
    /// `{PLAIN}`
    Plain,
}

impl Scheme {
    /// All of them, best first.
    pub const ALL: [Scheme; 6] = [
        Scheme::Argon2id,
        Scheme::Bcrypt,
        Scheme::Sha512Crypt,
        Scheme::Ssha256,
        Scheme::CramMd5,
        Scheme::Plain,
    ];

    /// As Dovecot writes it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Scheme::Argon2id => "ARGON2ID",
            Scheme::Bcrypt => "BLF-CRYPT",
            Scheme::Sha512Crypt => "SHA512-CRYPT",
            Scheme::Ssha256 => "SSHA256",
            Scheme::CramMd5 => "CRAM-MD5",
            Scheme::Plain => "PLAIN",
        }
    }
}

/// Why a password can't be stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MakeError {
    /// It is empty.
    #[error("an empty password is none")]
    Empty,
    /// It is too long.
    #[error("a password has 1024 bytes at most")]
    TooLong,
    /// What clients or the file can't carry.
    #[error("a password can't have control characters in it")]
    Control,
    /// A colon ends it in the file.
    #[error("a password with a colon in it can't stand in the file as it is: take another scheme")]
    Colon,
    /// bcrypt would forget the rest.
    #[error("bcrypt takes no more than 72 bytes: take another scheme")]
    Truncated,
    /// The hash function refused.
    #[error("hashing failed")]
    Hash,
}

/// What is written for a password. `prepared` is the password after SASLprep, for SCRAM's keys.
///
/// # Errors
/// [`MakeError`].
pub fn secret(
    scheme: Scheme,
    password: &str,
    prepared: Option<&str>,
    random: &[u8; RANDOM_BYTES],
) -> Result<Secret, MakeError> {
    if password.is_empty() {
        return Err(MakeError::Empty);
    }
    if password.len() > proto::sasl::server::exchange::PASSWORD_BYTES_MAX {
        return Err(MakeError::TooLong);
    }
    if password.contains(|c: char| c.is_control()) {
        return Err(MakeError::Control);
    }
    if scheme == Scheme::Plain && password.contains(':') {
        return Err(MakeError::Colon);
    }
    let (salt, rest) = random.split_at(16);
    let hash = match scheme {
        Scheme::Argon2id => argon2id(password, salt)?,
        Scheme::Bcrypt if password.len() > 72 => return Err(MakeError::Truncated),
        Scheme::Bcrypt => {
            let salt = salt.try_into().map_err(|_| MakeError::Hash)?;
            let parts = bcrypt::hash_with_salt(password, BCRYPT_COST, salt).map_err(|_| MakeError::Hash)?;
            parts.format_for_version(bcrypt::Version::TwoY)
        }
        Scheme::Sha512Crypt => {
            let salt: String = salt.iter().map(|byte| char::from(letter(*byte))).collect();
            let hash = sha_crypt(true, password.as_bytes(), (&salt, SHA_ROUNDS));
            format!("$6$rounds={SHA_ROUNDS}${salt}${hash}")
        }
        Scheme::Ssha256 => {
            let made = digest::digest(&digest::SHA256, &[password.as_bytes(), salt].concat());
            base64::encode(&[made.as_ref(), salt].concat())
        }
        Scheme::CramMd5 => {
            Contexts::of(password.as_bytes()).bytes().iter().map(|byte| format!("{byte:02x}")).collect()
        }
        Scheme::Plain => password.to_owned(),
    };
    let salt = rest.get(..16).unwrap_or_default().to_vec();
    // From {PLAIN} they are made when they are wanted.
    let prepared = prepared.filter(|_| scheme != Scheme::Plain);
    let scram = prepared.map(|prepared| Keys::derive(Hash::Sha256, prepared.as_bytes(), salt, ROUNDS));
    Ok(Secret { stored: format!("{{{}}}{hash}", scheme.name()), scram: scram.into_iter().collect() })
}

fn argon2id(password: &str, salt: &[u8]) -> Result<String, MakeError> {
    let (memory, passes, lanes) = ARGON;
    let parameters = argon2::Params::new(memory, passes, lanes, Some(32)).map_err(|_| MakeError::Hash)?;
    let argon = argon2::Argon2::new(argon2::Algorithm::Argon2id, argon2::Version::V0x13, parameters);
    let mut made = [0; 32];
    argon.hash_password_into(password.as_bytes(), salt, &mut made).map_err(|_| MakeError::Hash)?;
    let [salt, made] = [salt, &made].map(|bytes| base64::encode(bytes).trim_end_matches('=').to_owned());
    Ok(format!("$argon2id$v=19$m={memory},t={passes},p={lanes}${salt}${made}"))
}

/// One of crypt's digits, each as often.
fn letter(byte: u8) -> u8 {
    match byte % 64 {
        low @ 0..12 => b'.' + low,
        low @ 12..38 => b'A' + low - 12,
        low => b'a' + low - 38,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Stored;

    #[test]
    fn what_is_made_is_read() {
        let random = std::array::from_fn(|at| u8::try_from(at * 3).unwrap_or(0));
        for scheme in Scheme::ALL {
            let secret = secret(scheme, "pä ss", Some("pä ss"), &random).expect("made");
            let stored = Stored::parse(&secret.stored).expect("read");
            assert_eq!(stored.scheme(), scheme.name());
            assert!(stored.is_of("pä ss".as_bytes()) && !stored.is_of(b"pass"), "{scheme:?}");
            let keys = secret.scram.first();
            assert_eq!(keys.is_some(), scheme != Scheme::Plain);
            assert!(keys.is_none_or(|keys| keys.are_of("pä ss".as_bytes())));
        }
        let other = super::secret(Scheme::Argon2id, "x", None, &[1; RANDOM_BYTES]).expect("made");
        assert!(
            other.scram.is_empty() && other.stored.starts_with("{ARGON2ID}$argon2id$v=19$m=19456,t=2,p=1$")
        );
    }

    #[test]
    fn what_is_no_password() {
        let check = |scheme, password: &str, expect| {
            let made = secret(scheme, password, None, &[7; RANDOM_BYTES]);
            assert_eq!(made.map(|_| ()), Err(expect), "{password}");
        };
        check(Scheme::Argon2id, "", MakeError::Empty);
        check(Scheme::Argon2id, "a\nb", MakeError::Control);
        check(Scheme::Plain, "a:b", MakeError::Colon);
        check(Scheme::Argon2id, &"x".repeat(1025), MakeError::TooLong);
        check(Scheme::Bcrypt, &"x".repeat(73), MakeError::Truncated);
    }

    #[test]
    fn letters_are_crypts() {
        let mut seen: Vec<u8> = (0..64).map(letter).collect();
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen.len(), 64);
        assert!(seen.iter().all(|byte| byte.is_ascii_alphanumeric() || b"./".contains(byte)));
    }
}
