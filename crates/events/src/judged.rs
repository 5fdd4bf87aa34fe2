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
    /// `: prepend Received-SPF: Softfail (mailfrom) identity=mailfrom; …`, `ID: 550 5.7.23 Message rejected due to: …`
    SpfJudged<'a> {
        /// The queue id; empty before the message has one.
        id: Text<'a>,
        /// `pass`, `fail`, `softfail`, `neutral`, `none`, `temperror`, `permerror`.
        result: Text<'a>,
        /// What policyd-spf had done.
        action: Text<'a>,
    }
}

impl<'a> Record<'a> for SpfJudged<'a> {
    fn read(text: &'a str) -> Option<Self> {
        let (id, action) = scan::until(text, ": ")?;
        if !id.is_empty() && !scan::is_queue_id(id) {
            return None;
        }
        Some(SpfJudged { id: id.into(), result: spf_result(action)?.into(), action: action.into() })
    }
    fn write(&self, out: &mut dyn fmt::Write) -> fmt::Result {
        write!(out, "{}: {}", self.id, self.action)
    }
}

/// The result behind an action of policyd-spf's.
fn spf_result(action: &str) -> Option<String> {
    let header = action.strip_prefix("prepend Received-SPF: ").and_then(|rest| scan::until(rest, " ("));
    if let Some((result, _)) = header {
        let is_word = !result.is_empty() && result.bytes().all(|byte| byte.is_ascii_alphabetic());
        return is_word.then(|| result.to_ascii_lowercase());
    }
    if let Some(rest) = action.strip_prefix("prepend Authentication-Results: ") {
        let (_, rest) = scan::until(rest, "; spf=")?;
        let (result, _) = scan::span(rest, |byte| !byte.is_ascii_alphabetic())?;
        return (!result.is_empty()).then(|| result.to_ascii_lowercase());
    }
    let (code, reason) = scan::until(action, " Message rejected due to: ")?;
    let of = |words: &str| reason.starts_with(words);
    Some(match code.as_bytes().first()? {
        b'4' => "temperror".to_owned(),
        _ if of("SPF Permanent Error") => "permerror".to_owned(),
        _ if of("domain owner discourages use of this host") => "softfail".to_owned(),
        b'5' => match reason.strip_prefix("Receiver policy for SPF ") {
            Some(rest) => scan::span(rest, |byte| !byte.is_ascii_alphabetic())?.0.to_ascii_lowercase(),
            // The domain may give an explanation of its own.
            None => "fail".to_owned(),
        },
        _ => return None,
    })
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

    /// As OpenDKIM 2.11.0, OpenDMARC 1.4.2 and policyd-spf 3.0.4 of Debian 12 wrote them for mail of our own; what
    /// else they and others wrote is in tests/logs/foreign.log. sshd's are written by hand.
    #[test]
    fn lines_and_their_kinds() {
        for (text, kind) in [
            ("opendkim[1]: BCBAF788: DKIM-Signature field added (s=mail, d=example.org)", "dkim_signed"),
            ("opendkim[1]: A50027AF: DKIM verification successful", "dkim_judged"),
            ("opendkim[1]: CAAAC7B1: bad signature data", "dkim_judged"),
            (
                "opendkim[1]: ED73B7B3: key retrieval failed (s=gone, d=example.org): 'gone._domainkey.example.org' record not found",
                "dkim_judged",
            ),
            ("opendkim[1]: 1B8657B5: key revoked (s=revoked, d=example.org, a=rsa-sha256)", "dkim_judged"),
            ("opendkim[1]: A50027AF: s=mail d=example.org a=rsa-sha256 SSL ", "other"),
            ("opendkim[1]: A50027AF: external host [192.0.2.10] attempted to send as example.org", "other"),
            ("opendmarc[1]: 1A5CD7AB: gone.example none", "dmarc_judged"),
            ("opendmarc[1]: 1A5CD7AB: SPF(mailfrom): gone.example pass", "other"),
            (
                "policyd-spf[1]: : prepend Received-SPF: None (mailfrom) identity=mailfrom; client-ip=192.0.2.1; helo=mx.gone.example; envelope-from=u@gone.example; receiver=example.com ",
                "spf_judged",
            ),
            (
                "policyd-spf[1]: 4BXYZ12345: prepend X-Comment: SPF check N/A for local connections - client-ip=127.0.0.1; helo=a.example; envelope-from=a@nosuch.example; receiver=example.com ",
                "other",
            ),
            ("policyd-spf[1]: spfcheck: pyspf result: \"['None', '', 'helo']\"", "other"),
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

    /// Each of policyd-spf's results, in the three ways that it says them.
    #[test]
    fn results_of_spf() {
        const WHY: &str =
            "Please see http://www.openspf.net/Why?s=mfrom;id=u@a.example;ip=192.0.2.10;r=example.com";
        for (action, expect) in [
            (
                "prepend Received-SPF: Softfail (mailfrom) identity=mailfrom; client-ip=192.0.2.10",
                Some("softfail"),
            ),
            ("prepend Received-SPF: Pass (mailfrom) identity=mailfrom; client-ip=192.0.2.10", Some("pass")),
            (
                "prepend Authentication-Results: mx.example.com; spf=permerror (SPF Permanent Error: Invalid IP4 address: ip4:999) smtp.mailfrom=broken.example (client-ip=192.0.2.10)",
                Some("permerror"),
            ),
            (
                "prepend Authentication-Results: mx.example.com; none (SPF check N/A for local connections)",
                None,
            ),
            ("550 5.7.23 Message rejected due to: SPF fail - not authorized.", Some("fail")),
            (
                "550 5.7.23 Message rejected due to: domain owner discourages use of this host.",
                Some("softfail"),
            ),
            ("550 5.7.23 Message rejected due to: Receiver policy for SPF Neutral.", Some("neutral")),
            (
                "550 5.7.24 Message rejected due to: SPF Permanent Error: Invalid IP4 address: ip4:999.",
                Some("permerror"),
            ),
            ("dunno", None),
        ] {
            for id in ["", "4BXYZ12345"] {
                let text = format!("{id}: {action} {WHY}");
                let read = Event::parse("policyd-spf", &text);
                let result = match &read {
                    Event::SpfJudged(judged) => Some(&*judged.result),
                    _ => None,
                };
                assert_eq!((result, read.to_string()), (expect, text.clone()), "{text}");
            }
        }
    }
}
