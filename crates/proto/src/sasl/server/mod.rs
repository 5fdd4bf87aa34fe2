//! The server's side of SASL: which mechanisms are offered, how Dovecot is asked about them, and mechanisms of our own.
//!
//! [`dovecot`] speaks to an authentication server that knows mechanisms and passwords; what the client says is handed
//! on as it is. [`exchange`] speaks [`Own`] mechanisms with users of our own. [`Options`] is
//! `smtpd_sasl_security_options`. T0.2, T2.24.

pub mod dovecot;
pub mod exchange;
mod own;

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

/// What a client has said of itself so far, where the mechanism shows it: to count failures by account and password,
/// not to judge them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Credentials {
    /// The login name.
    pub username: Option<String>,
    /// The password, where it crosses the wire.
    pub password: Option<Vec<u8>>,
}

impl Credentials {
    /// Learns from a message of the client: decoded, the first or a later one.
    pub fn learn(&mut self, mechanism: &str, message: &[u8]) {
        let text = |bytes: &[u8]| Some(String::from_utf8_lossy(bytes).into_owned());
        match mechanism.to_ascii_uppercase().as_str() {
            "PLAIN" => {
                let mut parts = message.split(|&byte| byte == 0).skip(1);
                self.username = parts.next().and_then(text);
                self.password = parts.next().map(<[u8]>::to_vec);
            }
            "LOGIN" if self.username.is_none() => self.username = text(message),
            "LOGIN" => self.password = Some(message.to_vec()),
            "CRAM-MD5" => self.username = message.rsplit(|&byte| byte == b' ').nth(1).and_then(text),
            name if name.starts_with("SCRAM-") && self.username.is_none() => {
                let mut fields = message.split(|&byte| byte == b',').skip(2);
                self.username = fields.find_map(|field| field.strip_prefix(b"n=")).and_then(text);
            }
            _ if self.username.is_some() => {}
            "OTP" | "SKEY" => self.username = message.split(|&byte| byte == 0).nth(1).and_then(text),
            // RFC 7628 §3.1: the header of GS2 ends where the fields begin.
            "OAUTHBEARER" => {
                let mut header = message.split(|&byte| byte == b',').take(2);
                self.username = header.find_map(|field| field.strip_prefix(b"a=")).and_then(text);
            }
            "XOAUTH2" => {
                let mut fields = message.split(|&byte| byte == 1);
                self.username = fields.find_map(|field| field.strip_prefix(b"user=")).and_then(text);
            }
            "DIGEST-MD5" => {
                let name = directive(message, b"username");
                let realm = directive(message, b"realm").filter(|realm| !realm.is_empty());
                self.username =
                    name.map(|name| realm.map_or_else(|| name.clone(), |realm| format!("{name}@{realm}")));
            }
            _ => {}
        }
    }

    /// Whether the message that has just been learnt from, `readable` or not, may be a guess: all may that go to
    /// whoever judges, but the first of LOGIN's two.
    #[must_use]
    pub fn may_be_guess(&self, mechanism: &str, readable: bool) -> bool {
        !readable || self.password.is_some() || !mechanism.eq_ignore_ascii_case("LOGIN")
    }
}

/// The value of one of DIGEST-MD5's directives (RFC 2831 §7.1).
fn directive(message: &[u8], wanted: &[u8]) -> Option<String> {
    let mut rest = message;
    loop {
        let (name, after) = rest.split_at(rest.iter().position(|&byte| byte == b'=')?);
        let mut value = Vec::new();
        let (mut quoted, mut escaped, mut end) = (false, false, after.len());
        for (at, &byte) in after.iter().enumerate().skip(1) {
            match byte {
                _ if escaped => {
                    value.push(byte);
                    escaped = false;
                }
                b'\\' if quoted => escaped = true,
                b'"' => quoted = !quoted,
                b',' if !quoted => {
                    end = at;
                    break;
                }
                _ => value.push(byte),
            }
        }
        if name.trim_ascii().eq_ignore_ascii_case(wanted) {
            return Some(String::from_utf8_lossy(&value).into_owned());
        }
        rest = after.get(end + 1..)?;
    }
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

    #[test]
    fn credentials() {
        let check = |mechanism: &str, messages: &[&[u8]], username: Option<&str>, password: Option<&str>| {
            let mut credentials = Credentials::default();
            for message in messages {
                credentials.learn(mechanism, message);
            }
            assert_eq!(credentials.username.as_deref(), username, "{mechanism}");
            assert_eq!(credentials.password.as_deref(), password.map(str::as_bytes), "{mechanism}");
        };
        check("plain", &[b"\0joe\0x y"], Some("joe"), Some("x y"));
        check("PLAIN", &[b"root\0joe\0"], Some("joe"), Some(""));
        check("PLAIN", &[b"joe"], None, None);
        check("LOGIN", &[b"joe", b"secret"], Some("joe"), Some("secret"));
        check("LOGIN", &[b"joe"], Some("joe"), None);
        check("CRAM-MD5", &[b"joe 0123"], Some("joe"), None);
        check("SCRAM-SHA-256", &[b"n,,n=joe,r=abc", b"c=biws,r=x"], Some("joe"), None);
        check("OAUTHBEARER", &[b"n,a=joe,\x01host=mx\x01auth=Bearer a=b,a=eve\x01\x01"], Some("joe"), None);
        check("OAUTHBEARER", &[b"n,,\x01auth=Bearer x,a=eve\x01\x01"], None, None);
        check("XOAUTH2", &[b"user=joe\x01auth=Bearer x\x01\x01", b""], Some("joe"), None);
        check("XOAUTH2", &[b"auth=Bearer x\x01\x01"], None, None);
        check("OTP", &[b"\0joe", b"hex:0123"], Some("joe"), None);
        check("otp", &[b"root\0joe"], Some("joe"), None);
        check("OTP", &[b"joe"], None, None);
        let digest =
            br#"charset=utf-8,realm="example.com", username="jo\"e, x",nonce="username=eve",cnonce="c""#;
        check("DIGEST-MD5", &[digest, b""], Some("jo\"e, x@example.com"), None);
        check("DIGEST-MD5", &[br#"USERNAME="joe",realm="""#], Some("joe"), None);
        for bad in [&b"username"[..], b"", b"=", b",,,", b"realm=\"x", b"x=\"\\", b"nonce=\"username=\"joe"] {
            check("DIGEST-MD5", &[bad], None, None);
        }
        check("NTLM", &[b"NTLMSSP"], None, None);
    }

    #[test]
    fn what_may_be_a_guess() {
        let named = Credentials { username: Some("joe".to_owned()), password: None };
        let whole = Credentials { password: Some(b"x".to_vec()), ..named.clone() };
        for (credentials, mechanism, readable, expect) in [
            (&named, "login", true, false),
            (&named, "LOGIN", false, true),
            (&whole, "LOGIN", true, true),
            (&Credentials::default(), "PLAIN", true, true),
            (&named, "SCRAM-SHA-256", true, true),
            (&Credentials::default(), "NTLM", true, true),
        ] {
            assert_eq!(credentials.may_be_guess(mechanism, readable), expect, "{mechanism} {readable}");
        }
    }
}
