//! Protocol versions and ciphers: Postfix's lists mapped to what rustls has.
//!
//! `smtp_tls_protocols` and its kin: `>=TLSv1.2`, `!SSLv3`, `TLSv1.2`. Cipher grades name no cipher that rustls has
//! and one of them would exclude: all it has are high; excluded are those that are named, by OpenSSL's names. Of TLS
//! 1.3's ciphers none can be excluded, as with OpenSSL.

use rustls::crypto::{SupportedKxGroup, ring};
use rustls::{CipherSuite, NamedGroup, SupportedCipherSuite, SupportedProtocolVersion, version};

/// Versions by their names, oldest first; what is served beside.
const VERSIONS: &[(&str, Option<&SupportedProtocolVersion>)] = &[
    ("SSLv2", None),
    ("SSLv3", None),
    ("TLSv1", None),
    ("TLSv1.1", None),
    ("TLSv1.2", Some(&version::TLS12)),
    ("TLSv1.3", Some(&version::TLS13)),
];

/// Why a list of versions can't be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VersionsError {
    /// A word that names no version.
    #[error("unknown TLS protocol version \"{0}\"")]
    Unknown(String),
    /// Only versions that nobody speaks here.
    #[error("none of the TLS protocol versions in \"{0}\" is spoken here: those are TLSv1.2 and TLSv1.3")]
    NoneSpoken(String),
}

/// Which versions may be spoken, by a list such as `>=TLSv1.2, !TLSv1.3`.
///
/// # Errors
/// Where it names none that is spoken here, or one that doesn't exist.
pub fn versions(list: &str) -> Result<Vec<&'static SupportedProtocolVersion>, VersionsError> {
    let (mut lowest, mut highest) = (0, VERSIONS.len());
    let (mut wanted, mut unwanted) = (Vec::new(), Vec::new());
    for word in list.split([',', ' ', '\t', '\r', '\n', ':']).filter(|word| !word.is_empty()) {
        let find = |name: &str| {
            let at = VERSIONS.iter().position(|(known, _)| known.eq_ignore_ascii_case(name.trim()));
            at.ok_or_else(|| VersionsError::Unknown(word.to_owned()))
        };
        if let Some(name) = word.strip_prefix(">=") {
            if !name.is_empty() {
                lowest = find(name)?;
            }
        } else if let Some(name) = word.strip_prefix("<=") {
            if !name.is_empty() {
                highest = find(name)?;
            }
        } else if let Some(name) = word.strip_prefix('!') {
            unwanted.push(find(name)?);
        } else {
            wanted.push(find(word)?);
        }
    }
    let spoken: Vec<_> = VERSIONS
        .iter()
        .enumerate()
        .filter(|(at, _)| *at >= lowest && *at <= highest)
        .filter(|(at, _)| !unwanted.contains(at) && (wanted.is_empty() || wanted.contains(at)))
        .filter_map(|(_, (_, version))| *version)
        .collect();
    if spoken.is_empty() { Err(VersionsError::NoneSpoken(list.to_owned())) } else { Ok(spoken) }
}

/// Elliptic curves for key exchange, by OpenSSL's names.
const CURVES: &[(&str, NamedGroup)] = &[
    ("X25519", NamedGroup::X25519),
    ("prime256v1", NamedGroup::secp256r1),
    ("P-256", NamedGroup::secp256r1),
    ("secp384r1", NamedGroup::secp384r1),
    ("P-384", NamedGroup::secp384r1),
];

/// The curves of `tls_eecdh_auto_curves` that are spoken here, in its order; all where it is empty, or names none of them.
#[must_use]
pub fn curves(list: &str) -> Vec<&'static dyn SupportedKxGroup> {
    let spoken = |name: &str| {
        let (_, group) = CURVES.iter().find(|(known, _)| known.eq_ignore_ascii_case(name))?;
        ring::ALL_KX_GROUPS.iter().copied().find(|known| known.name() == *group)
    };
    let words = list.split([',', ' ', '\t', '\r', '\n', ':']);
    let wanted: Vec<_> = words.filter_map(spoken).collect();
    if wanted.is_empty() { ring::ALL_KX_GROUPS.to_vec() } else { wanted }
}

/// OpenSSL's names.
const CIPHERS: &[(CipherSuite, &str)] = &[
    (CipherSuite::TLS13_AES_256_GCM_SHA384, "TLS_AES_256_GCM_SHA384"),
    (CipherSuite::TLS13_AES_128_GCM_SHA256, "TLS_AES_128_GCM_SHA256"),
    (CipherSuite::TLS13_CHACHA20_POLY1305_SHA256, "TLS_CHACHA20_POLY1305_SHA256"),
    (CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, "ECDHE-ECDSA-AES256-GCM-SHA384"),
    (CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, "ECDHE-ECDSA-AES128-GCM-SHA256"),
    (CipherSuite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, "ECDHE-ECDSA-CHACHA20-POLY1305"),
    (CipherSuite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384, "ECDHE-RSA-AES256-GCM-SHA384"),
    (CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, "ECDHE-RSA-AES128-GCM-SHA256"),
    (CipherSuite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256, "ECDHE-RSA-CHACHA20-POLY1305"),
];

/// What OpenSSL and Postfix call a cipher.
#[must_use]
pub fn cipher_name(suite: CipherSuite) -> &'static str {
    CIPHERS.iter().find(|(known, _)| *known == suite).map_or("unknown", |(_, name)| *name)
}

/// The bits of its key.
#[must_use]
pub fn cipher_bits(suite: CipherSuite) -> u32 {
    let name = cipher_name(suite);
    if name.contains("AES128") || name.contains("AES_128") { 128 } else { 256 }
}

/// The ciphers that are left without the excluded ones: whole names, or parts such as `AES128` and `CHACHA20`.
#[must_use]
pub fn ciphers(excluded: &[String]) -> Vec<SupportedCipherSuite> {
    let is_excluded = |suite: &SupportedCipherSuite| {
        let name = cipher_name(suite.suite());
        !name.starts_with("TLS_") && excluded.iter().any(|word| names(word, name))
    };
    ring::ALL_CIPHER_SUITES.iter().copied().filter(|suite| !is_excluded(suite)).collect()
}

/// Whether an OpenSSL word (`AESGCM+ECDSA`, `ECDHE`, `ECDHE-RSA-AES128-GCM-SHA256`) stands for a cipher.
fn names(word: &str, cipher: &str) -> bool {
    if word.eq_ignore_ascii_case(cipher) {
        return true;
    }
    word.split('+').all(|part| match part.to_ascii_uppercase().as_str() {
        "AESGCM" => cipher.contains("-GCM-"),
        "AES" => cipher.contains("AES"),
        "ARSA" | "RSA" => cipher.contains("-RSA-"),
        "AECDSA" | "ECDSA" => cipher.contains("-ECDSA-"),
        "KECDHE" | "ECDHE" | "EECDH" | "KEECDH" | "HIGH" | "ALL" | "TLSV1.2" | "AEAD" => true,
        part @ ("AES128" | "AES256" | "CHACHA20" | "SHA256" | "SHA384") => cipher.contains(part),
        _ => false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_versions() {
        for (list, expect) in [
            ("", Ok(vec!["12", "13"])),
            (">=TLSv1", Ok(vec!["12", "13"])),
            ("!SSLv2, !SSLv3", Ok(vec!["12", "13"])),
            ("!SSLv2 !SSLv3 !TLSv1 !TLSv1.1", Ok(vec!["12", "13"])),
            (">=TLSv1.3", Ok(vec!["13"])),
            ("<=TLSv1.2", Ok(vec!["12"])),
            ("!TLSv1.3", Ok(vec!["12"])),
            ("TLSv1.2:TLSv1.1", Ok(vec!["12"])),
            ("tlsv1.3", Ok(vec!["13"])),
            ("TLSv1", Err(VersionsError::NoneSpoken("TLSv1".to_owned()))),
            ("<=TLSv1.1", Err(VersionsError::NoneSpoken("<=TLSv1.1".to_owned()))),
            ("!TLSv1.4", Err(VersionsError::Unknown("!TLSv1.4".to_owned()))),
        ] {
            let found = versions(list).map(|all| {
                let name = |one: &&SupportedProtocolVersion| {
                    if one.version == version::TLS12.version { "12" } else { "13" }
                };
                all.iter().map(name).collect::<Vec<_>>()
            });
            assert_eq!(found, expect, "{list}");
        }
    }

    #[test]
    fn lists_of_curves() {
        for (list, expect) in [
            ("", &[NamedGroup::X25519, NamedGroup::secp256r1, NamedGroup::secp384r1][..]),
            (
                "X25519 X448 prime256v1 secp521r1 secp384r1",
                &[NamedGroup::X25519, NamedGroup::secp256r1, NamedGroup::secp384r1],
            ),
            ("secp384r1, x25519", &[NamedGroup::secp384r1, NamedGroup::X25519]),
            ("secp521r1", &[NamedGroup::X25519, NamedGroup::secp256r1, NamedGroup::secp384r1]),
        ] {
            let found: Vec<NamedGroup> = curves(list).into_iter().map(SupportedKxGroup::name).collect();
            assert_eq!(found, expect, "{list}");
        }
    }

    #[test]
    fn excluded_ciphers() {
        let left = |words: &[&str]| {
            let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
            ciphers(&words).len()
        };
        for (words, expect) in [
            (&[][..], 9),
            (&["aNULL", "MD5", "RC4"], 9),
            (&["AES128"], 7),
            (&["CHACHA20", "AES256"], 5),
            (&["ECDHE-RSA-AES128-GCM-SHA256"], 8),
            (&["ECDSA+AESGCM"], 7),
            (&["ECDHE"], 3),
            (&["TLS_AES_128_GCM_SHA256"], 9),
        ] {
            assert_eq!(left(words), expect, "{words:?}");
        }
    }
}
