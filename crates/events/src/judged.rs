//! What is said of a message's or a client's authenticity: OpenDKIM, OpenDMARC, policyd-spf, and this server.
//!
//! OpenDKIM writes with `Syslog` and `SyslogSuccess`, policyd-spf (python) with its `debugLevel` of 1. RFC 7208,
//! RFC 6376, RFC 9989.

use crate::record::{Record, Text};
use crate::scan;
use std::fmt;

record! {
    /// `ID: DKIM-Signature field added (s=mail, d=example.com)`
    DkimSigned<'a> {
        /// The queue id.
        id: Text<'a>,
        /// Which key.
        selector: Text<'a>,
        /// For whom.
        domain: Text<'a>,
    }
}

impl<'a> Record<'a> for DkimSigned<'a> {
    fn read(text: &'a str) -> Option<Self> {
        let (id, rest) = scan::queue_id(text)?;
        let rest = rest.strip_prefix("DKIM-Signature field added (s=")?.strip_suffix(')')?;
        let (selector, domain) = scan::until(rest, ", d=")?;
        Some(DkimSigned { id: id.into(), selector: selector.into(), domain: domain.into() })
    }
    fn write(&self, out: &mut dyn fmt::Write) -> fmt::Result {
        write!(out, "{}: DKIM-Signature field added (s={}, d={})", self.id, self.selector, self.domain)
    }
}

words! {
    /// How OpenDKIM's verification ended.
    DkimEnd {
        /// A good signature.
        Good = "DKIM verification successful",
        /// A bad one.
        Bad = "bad signature data",
        /// None.
        None = "no signature data",
        /// Its key is not to be had.
        NoKey = "key retrieval failed",
        /// Its key was taken back.
        Revoked = "key revoked",
    }
}

record! {
    /// `ID: DKIM verification successful`, `ID: key retrieval failed (s=mail, d=example.com)`
    DkimJudged<'a> {
        /// The queue id.
        id: Text<'a>,
        /// How it ended.
        end: DkimEnd,
        /// What stands behind it, with the space or colon: ` (s=mail, d=example.com)`.
        more: Text<'a>,
    }
}

impl<'a> Record<'a> for DkimJudged<'a> {
    fn read(text: &'a str) -> Option<Self> {
        let (id, rest) = scan::queue_id(text)?;
        let (end, more) =
            DkimEnd::ALL.iter().find_map(|end| Some((*end, rest.strip_prefix(end.as_str())?)))?;
        let whole = more.is_empty() || more.starts_with([' ', ':']);
        whole.then(|| DkimJudged { id: id.into(), end, more: more.into() })
    }
    fn write(&self, out: &mut dyn fmt::Write) -> fmt::Result {
        write!(out, "{}: {}{}", self.id, self.end, self.more)
    }
}

words! {
    /// DMARC's results (RFC 8601).
    DmarcEnd {
        /// An identifier in line with the author's domain passed.
        Pass = "pass",
        /// None did.
        Fail = "fail",
        /// The domain has no policy.
        None = "none",
        /// Perhaps later.
        TempError = "temperror",
        /// The policy is of no use.
        PermError = "permerror",
    }
}

record! {
    /// `ID: example.com fail`, by OpenDMARC
    DmarcJudged<'a> {
        /// The queue id.
        id: Text<'a>,
        /// The author's domain.
        domain: Text<'a>,
        /// The result.
        end: DmarcEnd,
    }
}

impl<'a> Record<'a> for DmarcJudged<'a> {
    fn read(text: &'a str) -> Option<Self> {
        let (id, rest) = scan::queue_id(text)?;
        let (domain, end) = scan::until(rest, " ")?;
        if domain.is_empty() || domain.contains(':') {
            return None;
        }
        Some(DmarcJudged { id: id.into(), domain: domain.into(), end: DmarcEnd::from_word(end)? })
    }
    fn write(&self, out: &mut dyn fmt::Write) -> fmt::Result {
        write!(out, "{}: {} {}", self.id, self.domain, self.end)
    }
}

record! {
    /// `prepend Received-SPF: Softfail (mailfrom) identity=mailfrom; client-ip=192.0.2.1; …`
    SpfJudged<'a> {
        /// `Pass`, `Fail`, `Softfail`, `Neutral`, `None`, `Temperror`, `Permerror`.
        result: Text<'a>,
        /// What stands in parentheses: `mailfrom`, `helo`, or a sentence.
        about: Text<'a>,
        /// `mailfrom`, `helo`.
        identity: Text<'a>,
        /// The client's address.
        client: Text<'a>,
        /// The rest, with its semicolon.
        more: Text<'a>,
    }
}

impl<'a> Record<'a> for SpfJudged<'a> {
    fn read(text: &'a str) -> Option<Self> {
        let (result, rest) = text.strip_prefix("prepend Received-SPF: ")?.split_once(" (")?;
        if !result.bytes().all(|byte| byte.is_ascii_alphabetic()) {
            return None;
        }
        let (about, rest) = scan::until(rest, ") identity=")?;
        let (identity, rest) = scan::until(rest, "; client-ip=")?;
        let (client, more) = scan::span(rest, |byte| byte == b';')?;
        Some(SpfJudged {
            result: result.into(),
            about: about.into(),
            identity: identity.into(),
            client: client.into(),
            more: more.into(),
        })
    }
    fn write(&self, out: &mut dyn fmt::Write) -> fmt::Result {
        let (result, about, identity) = (&self.result, &self.about, &self.identity);
        write!(
            out,
            "prepend Received-SPF: {result} ({about}) identity={identity}; client-ip={}",
            self.client
        )?;
        out.write_str(&self.more)
    }
}

record! {
    /// `ID: authenticity: spf=pass domain=example.com, dkim=pass d=example.com s=mail, dmarc=pass from=example.com`
    Authenticity<'a> {
        /// The queue id.
        id: Text<'a>,
        /// The results, parted by `, `.
        results: Text<'a>,
    }
}

impl Authenticity<'_> {
    /// Method and result of each: `("spf", "pass")`.
    pub fn each(&self) -> impl Iterator<Item = (&str, &str)> {
        self.results.split(", ").filter_map(|one| one.split(' ').next()?.split_once('='))
    }

    /// The author's domain, where DMARC was asked.
    #[must_use]
    pub fn author(&self) -> Option<&str> {
        let dmarc = self.results.split(", ").find(|one| one.starts_with("dmarc="))?;
        dmarc.split(' ').find_map(|word| word.strip_prefix("from="))
    }
}

impl<'a> Record<'a> for Authenticity<'a> {
    fn read(text: &'a str) -> Option<Self> {
        let (id, rest) = scan::queue_id(text)?;
        let results = rest.strip_prefix("authenticity: ")?;
        Some(Authenticity { id: id.into(), results: results.into() })
    }
    fn write(&self, out: &mut dyn fmt::Write) -> fmt::Result {
        write!(out, "{}: authenticity: {}", self.id, self.results)
    }
}

#[cfg(test)]
mod tests {
    use crate::{Event, Line};

    /// The lines of policyd-spf 2.0.2 are its own; the others' are those of OpenDKIM 2.11 and OpenDMARC 1.4.
    #[test]
    fn lines_and_their_kinds() {
        for (text, kind) in [
            ("opendkim[1]: 4BXYZ1: DKIM-Signature field added (s=mail, d=example.com)", "dkim_signed"),
            ("opendkim[1]: 4BXYZ1: DKIM verification successful", "dkim_judged"),
            ("opendkim[1]: 4BXYZ1: bad signature data", "dkim_judged"),
            ("opendkim[1]: 4BXYZ1: key retrieval failed (s=mail, d=example.com)", "dkim_judged"),
            ("opendkim[1]: 4BXYZ1: s=mail d=example.com a=rsa-sha256 SSL ", "other"),
            ("opendkim[1]: 4BXYZ1: a.example [192.0.2.1] not internal", "other"),
            ("opendmarc[1]: 4BXYZ1: example.com fail", "dmarc_judged"),
            ("opendmarc[1]: 4BXYZ1: SPF(mailfrom): example.com pass", "other"),
            ("opendmarc[1]: 4BXYZ1: ignoring Authentication-Results at 1 from x", "other"),
            (
                "policyd-spf[1]: prepend Received-SPF: None (mailfrom) identity=mailfrom; client-ip=192.0.2.1; helo=a.example; envelope-from=a@nosuch.example; receiver=example.com ",
                "spf_judged",
            ),
            (
                "policyd-spf[1]: prepend X-Comment: SPF check N/A for local connections - client-ip=127.0.0.1; helo=a.example; envelope-from=a@nosuch.example; receiver=example.com ",
                "other",
            ),
            (
                "postfix/cleanup[1]: 4BXYZ1: authenticity: spf=pass domain=example.com, dkim=none, dmarc=pass p=reject from=example.com",
                "authenticity",
            ),
            (
                "sshd[1]: Failed password for invalid user admin from 198.51.100.9 port 4711 ssh2",
                "sshd_failed",
            ),
            (
                "sshd-session[1]: Failed password for x from 10.0.0.1 port 22 from 198.51.100.9 port 4711 ssh2",
                "sshd_failed",
            ),
            (
                "sshd[1]: Failed publickey for root from 2001:db8::9 port 1 ssh2: RSA SHA256:abc",
                "sshd_failed",
            ),
            ("sshd[1]: Accepted password for root from 198.51.100.9 port 4711 ssh2", "other"),
        ] {
            let line = format!("Nov 22 01:55:03 mail {text}");
            let read = Line::parse(&line).expect(text);
            assert_eq!((read.event.kind(), read.to_string()), (kind, line.clone()), "{text}");
            if let Event::SshdFailed(failed) = &read.event {
                assert!(matches!(&*failed.address, "198.51.100.9" | "2001:db8::9"), "{text}");
            }
            if let Event::Authenticity(found) = &read.event {
                let each: Vec<_> = found.each().collect();
                assert_eq!(each, [("spf", "pass"), ("dkim", "none"), ("dmarc", "pass")]);
                assert_eq!(found.author(), Some("example.com"));
            }
        }
    }
}
