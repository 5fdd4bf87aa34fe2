//! What a client says of itself in a log-in, whoever judges it: to count failures by account and password.
//!
//! A name is learnt only where it can be read in one way: whoever says one name to those who count and another to the
//! judge would be counted as somebody else. T0.1.

/// What a client has said of itself so far, where the mechanism shows it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Credentials {
    /// The login name; never empty.
    pub username: Option<String>,
    /// The password, where it crosses the wire.
    pub password: Option<Vec<u8>>,
    /// Messages of the client that a judge may have read something in.
    messages: u32,
}

impl Credentials {
    /// Learns from a message of the client: decoded, the first or a later one. An initial response of nothing is no
    /// message. What can't be decoded is `None`: another may read it.
    pub fn learn(&mut self, mechanism: &str, message: Option<&[u8]>) {
        self.messages = self.messages.saturating_add(1);
        let Some(message) = message else { return };
        match mechanism.to_ascii_uppercase().as_str() {
            "PLAIN" => {
                let mut parts = message.split(|&byte| byte == 0).skip(1);
                self.username = parts.next().and_then(text);
                self.password = parts.next().map(<[u8]>::to_vec);
            }
            "LOGIN" if self.messages == 1 => self.username = text(message),
            "LOGIN" => self.password = Some(message.to_vec()),
            "CRAM-MD5" => {
                let space = message.iter().rposition(|&byte| byte == b' ');
                self.username = space.and_then(|space| message.get(..space)).and_then(text);
            }
            "DIGEST-MD5" if self.messages == 1 => self.username = digest_name(message),
            "OAUTHBEARER" if self.messages == 1 => {
                let header = message.split(|&byte| byte == 1).next().unwrap_or_default();
                let name = header.split(|&byte| byte == b',').nth(1);
                self.username = name.and_then(|name| name.strip_prefix(b"a=")).and_then(text);
            }
            // RFC 2444 §3: authorization identity, NUL, name.
            "OTP" if self.messages == 1 => {
                self.username = only(message.split(|&byte| byte == 0).skip(1)).and_then(text);
            }
            "XOAUTH2" if self.messages == 1 => {
                let fields = message.split(|&byte| byte == 1);
                self.username = only(fields.filter_map(|field| field.strip_prefix(b"user="))).and_then(text);
            }
            name if name.starts_with("SCRAM-") && self.messages == 1 => {
                let name = message.split(|&byte| byte == b',').nth(2);
                self.username = name.and_then(|name| name.strip_prefix(b"n=")).and_then(text);
            }
            _ => {}
        }
    }

    /// Whether what has been said may be judged. LOGIN's first message is a name, and nothing comes of it; of all other
    /// mechanisms, also of those that aren't known here, the first message may be all that is needed.
    #[must_use]
    pub fn may_be_judged(&self, mechanism: &str) -> bool {
        self.messages > u32::from(mechanism.eq_ignore_ascii_case("LOGIN"))
    }
}

fn text(bytes: &[u8]) -> Option<String> {
    Some(String::from_utf8_lossy(bytes).into_owned()).filter(|text| !text.is_empty())
}

fn only<T>(mut of: impl Iterator<Item = T>) -> Option<T> {
    of.next().filter(|_| of.next().is_none())
}

/// RFC 2831 §2.1.2: `username="joe",realm=…`, where it is there once and has no escaped characters.
fn digest_name(message: &[u8]) -> Option<String> {
    let message = String::from_utf8_lossy(message).to_ascii_lowercase();
    let name = only(message.split("username").skip(1))?;
    let name = name.trim_start().strip_prefix('=')?.trim_start().strip_prefix('"')?;
    let (name, _) = name.split_once('"')?;
    Some(name.to_owned()).filter(|name| !name.is_empty() && !name.contains('\\'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials() {
        let check = |mechanism: &str, messages: &[&[u8]], username: Option<&str>, password: Option<&str>| {
            let mut credentials = Credentials::default();
            for message in messages {
                credentials.learn(mechanism, Some(message));
            }
            let said = String::from_utf8_lossy(&messages.concat()).into_owned();
            assert_eq!(credentials.username.as_deref(), username, "{mechanism} {said}");
            assert_eq!(credentials.password.as_deref(), password.map(str::as_bytes), "{mechanism} {said}");
        };
        check("plain", &[b"\0joe\0x y"], Some("joe"), Some("x y"));
        check("PLAIN", &[b"root\0joe\0"], Some("joe"), Some(""));
        check("PLAIN", &[b"joe"], None, None);
        check("PLAIN", &[b"\0\0secret"], None, Some("secret"));
        check("LOGIN", &[b"joe", b"secret"], Some("joe"), Some("secret"));
        check("LOGIN", &[b"joe"], Some("joe"), None);
        check("LOGIN", &[b"", b"secret"], None, Some("secret"));
        check("CRAM-MD5", &[b"joe 0123"], Some("joe"), None);
        check("CRAM-MD5", &[b"bob joe 0123"], Some("bob joe"), None);
        check("SCRAM-SHA-256", &[b"n,,n=joe,r=abc", b"c=biws,r=x,n=ann"], Some("joe"), None);
        check("SCRAM-SHA-256", &[b"n,,m=x,n=joe,r=abc"], None, None);
        check("OAUTHBEARER", &[b"n,a=joe,\x01auth=x"], Some("joe"), None);
        check("OAUTHBEARER", &[b"n,,\x01a=joe\x01auth=x"], None, None);
        check("XOAUTH2", &[b"user=joe\x01auth=Bearer x\x01\x01", b"user=ann"], Some("joe"), None);
        check("XOAUTH2", &[b"user=joe\x01user=ann\x01auth=Bearer x\x01\x01"], None, None);
        check("DIGEST-MD5", &[b"charset=utf-8,username=\"joe\",realm=\"x\"", b""], Some("joe"), None);
        check("DIGEST-MD5", &[b"username=\"joe\",realm=\"x\",Username=\"ann\""], None, None);
        check("DIGEST-MD5", &[b"username=\"j\\oe\",realm=\"x\""], None, None);
        check("OTP", &[b"\0joe", b"hex:50fe1962c4965880"], Some("joe"), None);
        check("OTP", &[b"\0joe\0ann"], None, None);
        check("OTP", &[b"joe"], None, None);
        check("GSSAPI", &[b"joe"], None, None);
    }

    /// Whatever the mechanism, and whether or not its message can be read here.
    #[test]
    fn when_something_may_be_judged() {
        let check = |mechanism: &str, messages: &[Option<&[u8]>], expect: bool| {
            let mut credentials = Credentials::default();
            for message in messages {
                credentials.learn(mechanism, *message);
            }
            assert_eq!(credentials.may_be_judged(mechanism), expect, "{mechanism} {messages:?}");
        };
        for mechanism in ["PLAIN", "LOGIN", "CRAM-MD5", "DIGEST-MD5", "OAUTHBEARER", "NTLM"] {
            check(mechanism, &[], false);
            check(mechanism, &[Some(b"")], mechanism != "LOGIN");
            check(mechanism, &[None], mechanism != "LOGIN");
            check(mechanism, &[Some(b"joe"), Some(b"")], true);
            check(mechanism, &[None, None], true);
        }
    }
}
