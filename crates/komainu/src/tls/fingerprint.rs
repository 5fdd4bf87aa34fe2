//! Fingerprints of certificates and keys: `smtp_tls_fingerprint_digest`, `smtp_tls_fingerprint_cert_match`.
//!
//! Hex with colons, of the whole certificate or of its public key (RFC 5280 SubjectPublicKeyInfo).

use ring::digest::{self, Algorithm};
use std::fmt::Write;

/// A hash by its name in main.cf.
#[derive(Clone, Copy, Debug)]
pub enum Digest {
    /// MD5, by hand: ring has none.
    Md5,
    /// What ring has.
    Ring(&'static Algorithm),
}

impl Digest {
    /// The default.
    pub const SHA256: Digest = Digest::Ring(&digest::SHA256);

    /// By OpenSSL's name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Digest> {
        Some(match name.to_ascii_lowercase().replace('-', "").as_str() {
            "md5" => Digest::Md5,
            "sha1" => Digest::Ring(&digest::SHA1_FOR_LEGACY_USE_ONLY),
            "sha256" => Digest::Ring(&digest::SHA256),
            "sha384" => Digest::Ring(&digest::SHA384),
            "sha512" => Digest::Ring(&digest::SHA512),
            _ => return None,
        })
    }

    /// The fingerprint as the log shows it.
    #[must_use]
    pub fn fingerprint(self, bytes: &[u8]) -> String {
        match self {
            Digest::Md5 => hex(&proto::sasl::md5::digest(bytes)),
            Digest::Ring(algorithm) => hex(digest::digest(algorithm, bytes).as_ref()),
        }
    }
}

/// `0A:1B:…`
fn hex(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len() * 3);
    for (at, byte) in bytes.iter().enumerate() {
        // Writing to a string can't fail.
        let _ = write!(out, "{}{byte:02X}", if at == 0 { "" } else { ":" });
    }
    out
}

/// Whether two fingerprints are the same, whatever their colons and letters.
#[must_use]
pub fn same(one: &str, other: &str) -> bool {
    let plain = |text: &str| text.replace(':', "").to_ascii_lowercase();
    plain(one) == plain(other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fingerprints_of_nothing() {
        let check = |name: &str, start: &str| {
            let digest = Digest::from_name(name).expect("known");
            assert!(digest.fingerprint(b"").starts_with(start), "{name}");
        };
        check("md5", "D4:1D:8C:D9:8F:00:B2:04:E9:80:09:98:EC:F8:42:7E");
        check("sha1", "DA:39:A3:EE");
        check("SHA-256", "E3:B0:C4:42");
        check("sha512", "CF:83:E1:35");
        assert!(Digest::from_name("gost").is_none());
        assert!(same("0a:1B", "0A1b") && !same("0a", "0b"));
    }
}
