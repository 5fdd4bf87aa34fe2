//! What is known of who sent a message: SPF of its sender, DKIM of its signatures, and whom it names as its author.
//!
//! A value, for whoever writes Authentication-Results (RFC 8601) or decides by it (DMARC). It says what was found, and
//! asks nobody. T2.28.

use crate::dmarc::{Identifier, Outcome};
use crate::spf::{Sender, SpfResult};
use mail::authentication_results::{AuthenticationResults, MethodResult};
use mail::dkim::{Checked, DkimResult};
use mail::header::Header;
use std::net::IpAddr;

/// What was found out about a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authenticity {
    /// Who brought it.
    pub client: IpAddr,
    /// The name in HELO.
    pub helo: String,
    /// The envelope's sender; empty for none.
    pub sender: String,
    /// What the sender's domain says about the client (RFC 7208 §2.4); the HELO name's, where there is no sender.
    pub spf: SpfResult,
    /// Its signatures, in order.
    pub dkim: Vec<Checked>,
    /// The values of its From headers, in order, as they are written.
    pub authors: Vec<Vec<u8>>,
}

impl Authenticity {
    /// The domain that SPF was asked about.
    #[must_use]
    pub fn spf_domain(&self) -> &str {
        Sender::mail_from(self.client, &self.helo, &self.sender).domain
    }

    /// The domains that have signed it, and whose signatures are good.
    pub fn signers(&self) -> impl Iterator<Item = &str> {
        let good = self.dkim.iter().filter(|one| one.result == DkimResult::Pass);
        good.map(|one| one.domain.as_str())
    }

    /// What DMARC is judged by: the domain that SPF has looked at, and those of the signatures.
    #[must_use]
    pub fn identifiers(&self) -> (Identifier<'_>, Vec<Identifier<'_>>) {
        let spf = match self.spf {
            SpfResult::Pass => Outcome::Pass,
            SpfResult::TempError => Outcome::TempError,
            _ => Outcome::Fail,
        };
        let dkim = self.dkim.iter().map(|one| {
            let outcome = match one.result {
                DkimResult::Pass => Outcome::Pass,
                DkimResult::TempError => Outcome::TempError,
                _ => Outcome::Fail,
            };
            Identifier { domain: &one.domain, outcome }
        });
        (Identifier { domain: self.spf_domain(), outcome: spf }, dkim.collect())
    }

    /// Method by method; without any signature DKIM's is `none`.
    #[must_use]
    pub fn method_results(&self) -> Vec<MethodResult> {
        let (name, value) = match self.sender.is_empty() {
            true => ("helo", &self.helo),
            false => ("mailfrom", &self.sender),
        };
        let spf = MethodResult::new("spf", self.spf.name()).with("smtp", name, value.clone());
        let mut results = vec![spf];
        results.extend(self.dkim.iter().map(Checked::method_result));
        if self.dkim.is_empty() {
            results.push(MethodResult::new("dkim", "none"));
        }
        results
    }

    /// The header's meaning, as `id` writes it; `more` was found besides.
    #[must_use]
    pub fn results(&self, id: &str, more: Vec<MethodResult>) -> AuthenticationResults {
        let mut results = self.method_results();
        results.extend(more);
        AuthenticationResults { authserv_id: id.to_owned(), version: None, results }
    }

    /// In a line, for the log.
    #[must_use]
    pub fn summary(&self) -> String {
        let mut parts = vec![format!("spf={} domain={}", self.spf.name(), printable(self.spf_domain()))];
        parts.extend(self.dkim.iter().map(|one| {
            let why = one.result.reason().map(|why| format!(" ({why})")).unwrap_or_default();
            format!("dkim={} d={} s={}{why}", one.result.name(), one.domain, one.selector)
        }));
        if self.dkim.is_empty() {
            parts.push("dkim=none".to_owned());
        }
        parts.join(", ")
    }
}

fn printable(text: &str) -> String {
    let plain = |c: char| if c.is_ascii_graphic() { c } else { '?' };
    text.chars().take(255).map(plain).collect()
}

/// The values of all From headers among `headers`.
#[must_use]
pub fn authors<'h>(headers: impl IntoIterator<Item = &'h [u8]>) -> Vec<Vec<u8>> {
    let values = headers.into_iter().filter_map(|text| {
        let header = Header::parse(text)?;
        header.is("From").then(|| header.value.to_vec())
    });
    values.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use mail::dkim::{KeyAnswer, Verifier};

    fn found(sender: &str, head: &[&[u8]]) -> Authenticity {
        let hashed = Verifier::new(head).finish();
        Authenticity {
            client: IpAddr::from([192, 0, 2, 1]),
            helo: "mx.example.org".to_owned(),
            sender: sender.to_owned(),
            spf: SpfResult::Pass,
            dkim: hashed
                .iter()
                .map(|one| Checked::new(one, KeyAnswer::Nothing, mail::Wall::default()))
                .collect(),
            authors: authors(head.iter().copied()),
        }
    }

    #[test]
    fn nothing_is_signed() {
        let found = found("a@example.org", &[b"From: a\n\t<a@example.org>\n", b"from : b\n", b"To: c\n"]);
        assert_eq!(found.authors, [b" a\n\t<a@example.org>".to_vec(), b" b".to_vec()]);
        assert_eq!(found.summary(), "spf=pass domain=example.org, dkim=none");
        let header = found.results("mx.example.com", Vec::new()).render();
        let plain: Vec<&str> = header.split_whitespace().collect();
        assert_eq!(
            plain.join(" "),
            "Authentication-Results: mx.example.com; spf=pass smtp.mailfrom=a@example.org; dkim=none"
        );
    }

    /// A sender without `@` is a domain to SPF; what it says is not to the HELO name's credit.
    #[test]
    fn a_sender_without_a_domain() {
        let found = found("evil.example", &[b"From: joe@mx.example.org\n"]);
        assert_eq!(found.spf_domain(), "evil.example");
        assert_eq!(found.identifiers().0.domain, "evil.example");
    }

    #[test]
    fn a_signature_that_is_none() {
        let found = found("", &[b"DKIM-Signature: v=1\n", b"From: a@example.org\n"]);
        assert_eq!(
            found.summary(),
            "spf=pass domain=mx.example.org, dkim=permerror d= s= (the signature has no a=)"
        );
        assert_eq!(found.signers().count(), 0);
        let results = found.method_results();
        assert_eq!(results.first().and_then(|one| one.get("smtp", "helo")), Some("mx.example.org"));
    }
}
