//! The server's side of SASL: which mechanisms are offered, how Dovecot is asked about them, and mechanisms of our own.
//!
//! [`dovecot`] speaks to an authentication server that knows mechanisms and passwords; what the client says is handed
//! on as it is. [`exchange`] speaks [`Own`] mechanisms with users of our own. [`Options`] is
//! `smtpd_sasl_security_options`. T0.2, T2.24.

mod credentials;
pub mod dovecot;
pub mod exchange;
mod own;

pub use credentials::Credentials;
pub use own::Own;
use std::ops::BitOr;

/// What a mechanism gives and lacks, as the handshake's words say it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flags(u8);

impl Flags {
    /// Nobody says who they are.
    pub const ANONYMOUS: Flags = Flags(1);
    /// The password crosses the wire.
    pub const PLAINTEXT: Flags = Flags(2);
    /// Who listens can guess the password.
    pub const DICTIONARY: Flags = Flags(4);
    /// Who stands between can take part.
    pub const ACTIVE: Flags = Flags(8);
    /// What was said stays secret when the password is known.
    pub const FORWARD_SECRECY: Flags = Flags(16);
    /// The server shows who it is, too.
    pub const MUTUAL_AUTH: Flags = Flags(32);
    /// Not for clients.
    pub const PRIVATE: Flags = Flags(64);

    /// Whether all of `other` is in it.
    #[must_use]
    pub const fn has(self, other: Flags) -> bool {
        self.0 & other.0 == other.0
    }

    fn named(word: &str) -> Flags {
        match word {
            "anonymous" => Flags::ANONYMOUS,
            "plaintext" => Flags::PLAINTEXT,
            "dictionary" => Flags::DICTIONARY,
            "active" => Flags::ACTIVE,
            "forward-secrecy" => Flags::FORWARD_SECRECY,
            "mutual-auth" => Flags::MUTUAL_AUTH,
            "private" => Flags::PRIVATE,
            _ => Flags::default(),
        }
    }
}

impl BitOr for Flags {
    type Output = Flags;

    fn bitor(self, other: Flags) -> Flags {
        Flags(self.0 | other.0)
    }
}

/// A mechanism and what it is like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mechanism {
    /// `PLAIN`, as the server writes it.
    pub name: String,
    /// What it gives and lacks.
    pub flags: Flags,
}

/// `smtpd_sasl_security_options`: what mechanisms must not be, and what they must.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    without: Flags,
    with: Flags,
}

impl Options {
    /// The words of the setting; a word that is none is left to `komainu check`.
    #[must_use]
    pub fn named<'a>(words: impl IntoIterator<Item = &'a str>) -> Options {
        let mut options = Options::default();
        for word in words {
            let (without, with) = match word.to_ascii_lowercase().as_str() {
                "noanonymous" => (Flags::ANONYMOUS, Flags::default()),
                "noplaintext" => (Flags::PLAINTEXT, Flags::default()),
                "nodictionary" => (Flags::DICTIONARY, Flags::default()),
                "noactive" => (Flags::ACTIVE, Flags::default()),
                "forward_secrecy" => (Flags::default(), Flags::FORWARD_SECRECY),
                "mutual_auth" => (Flags::default(), Flags::MUTUAL_AUTH),
                _ => continue,
            };
            options = Options { without: options.without | without, with: options.with | with };
        }
        options
    }

    /// Whether a mechanism may be offered.
    #[must_use]
    pub const fn permit(self, flags: Flags) -> bool {
        flags.0 & (self.without.0 | Flags::PRIVATE.0) == 0 && flags.has(self.with)
    }
}

/// Whether a text has only the characters of base64 (RFC 4648 §4) in it. As in Postfix, whether they make sense is for
/// whoever decodes it to say.
#[must_use]
pub fn looks_like_base64(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'='))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_pick_mechanisms() {
        let all = [
            ("PLAIN", Flags::PLAINTEXT),
            ("CRAM-MD5", Flags::DICTIONARY | Flags::ACTIVE),
            ("SCRAM-SHA-256", Flags::FORWARD_SECRECY | Flags::MUTUAL_AUTH),
            ("ANONYMOUS", Flags::ANONYMOUS),
            ("OAUTHBEARER", Flags::default()),
            ("OURS", Flags::PRIVATE),
        ];
        let check = |words: &str, expect: &str| {
            let options = Options::named(words.split(' '));
            let left: Vec<&str> =
                all.iter().filter(|(_, flags)| options.permit(*flags)).map(|(name, _)| *name).collect();
            assert_eq!(left.join(" "), expect, "{words}");
        };
        check("noanonymous", "PLAIN CRAM-MD5 SCRAM-SHA-256 OAUTHBEARER");
        check("noanonymous noplaintext", "CRAM-MD5 SCRAM-SHA-256 OAUTHBEARER");
        check("noactive", "PLAIN SCRAM-SHA-256 ANONYMOUS OAUTHBEARER");
        check("Mutual_Auth", "SCRAM-SHA-256");
        check("noplaintext forward_secrecy what", "SCRAM-SHA-256");
    }

    #[test]
    fn base64_texts() {
        for good in ["", "YQ==", "YWJj", "+/+/", "Y", "=", "Y=Q="] {
            assert!(looks_like_base64(good), "{good}");
        }
        for bad in ["*", "!!!!", "YWJj ", "EHLO x", "YQ-_", "\u{e4}"] {
            assert!(!looks_like_base64(bad), "{bad}");
        }
    }
}
