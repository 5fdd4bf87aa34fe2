//! Whom a client's certificate is from, and why nobody vouches for it: as OpenSSL looks for a chain, in Postfix's words.
//!
//! Whether it is trusted is rustls' to say, which checks signatures, times, purposes and constraints. Here is the chain
//! that it is asked about: trusted issuers before shown ones, up to one that signs itself, with no more between than
//! `smtpd_tls_ccert_verifydepth` allows. What is wrong is found from what can be read, for the log. T1.1; RFC 5280 §6.1.

use super::files::Anchors;
use super::judge::one_line;
use rustls::RootCertStore;
use rustls::crypto::CryptoProvider;
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls_pki_types::{CertificateDer, UnixTime};
use std::sync::Arc;
use std::time::Duration;
use x509_parser::prelude::{FromDer, X509Certificate};

/// Certificates of a chain that are looked at.
const CHAIN_MAX: usize = 100;

/// Why a certificate isn't trusted: what the log's line begins with, and ends with.
pub(super) type Distrust = (&'static str, String);

/// Who judges.
#[derive(Debug)]
pub(super) struct Clients {
    anchors: Vec<CertificateDer<'static>>,
    /// Those that sign themselves; `None` where there is none.
    roots: Option<Arc<dyn ClientCertVerifier>>,
    depth: usize,
}

/// How a chain ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// With somebody who is trusted.
    Trusted,
    /// With somebody who vouches for itself only.
    Itself,
    /// The next one isn't known.
    Missing,
}

struct Chain<'a> {
    certificates: Vec<(&'a CertificateDer<'static>, X509Certificate<'a>)>,
    end: End,
}

impl Clients {
    pub(super) fn new(anchors: Anchors, depth: usize, provider: Arc<CryptoProvider>) -> Clients {
        let mut roots = RootCertStore::empty();
        for anchor in
            anchors.certificates.iter().filter(|anchor| read(anchor).is_some_and(|one| is_own(&one)))
        {
            // One that can't be used vouches for nobody.
            let _ = roots.add(anchor.clone());
        }
        let roots = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build().ok();
        Clients { anchors: anchors.certificates, roots, depth }
    }

    /// Judges what a client has shown, its own first.
    ///
    /// # Errors
    /// Why it isn't trusted.
    pub(super) fn judge(&self, shown: &[CertificateDer<'static>], now: Duration) -> Result<(), Distrust> {
        let unreadable = || ("certificate", "certificate is unreadable".to_owned());
        let chain = self.chain(shown).ok_or_else(unreadable)?;
        let seconds = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
        if let Some(fault) = self.fault(&chain, seconds) {
            return Err(fault);
        }
        let Some(((own, _), issuers)) = chain.certificates.split_first() else { return Err(unreadable()) };
        if issuers.is_empty() {
            // It is trusted by name.
            return Ok(());
        }
        let issuers: Vec<_> = issuers.iter().map(|(one, _)| (*one).clone()).collect();
        let time = UnixTime::since_unix_epoch(now);
        let trusted = self.roots.as_ref().map(|roots| roots.verify_client_cert(own, &issuers, time).is_ok());
        match trusted {
            Some(true) => Ok(()),
            _ => Err(("client certificate", "num=7:certificate signature failure".to_owned())),
        }
    }

    fn chain<'a>(&'a self, shown: &'a [CertificateDer<'static>]) -> Option<Chain<'a>> {
        let anchors: Vec<_> = self.anchors.iter().filter_map(|one| Some((one, read(one)?))).collect();
        let (own, others) = shown.split_first()?;
        let others: Vec<_> =
            others.iter().take(CHAIN_MAX).filter_map(|one| Some((one, read(one)?))).collect();
        let mut certificates = vec![(own, read(own)?)];
        loop {
            let (last, parsed) = certificates.last()?;
            let is_anchor = self.anchors.contains(last);
            if is_own(parsed) {
                let end = if is_anchor { End::Trusted } else { End::Itself };
                return Some(Chain { certificates, end });
            }
            let issued = |(_, one): &&(_, X509Certificate<'_>)| one.subject() == parsed.issuer();
            let is_new =
                |(one, _): &&(&CertificateDer<'_>, _)| !certificates.iter().any(|(had, _)| had == one);
            let by_shown = || others.iter().filter(|_| !is_anchor).filter(issued).find(is_new);
            let issuer = anchors.iter().filter(issued).find(is_new).or_else(by_shown).cloned();
            match issuer.filter(|_| certificates.len() < CHAIN_MAX) {
                Some(issuer) => certificates.push(issuer),
                None => return Some(Chain { certificates, end: End::Missing }),
            }
        }
    }

    /// The fault nearest to the client's own certificate, of several there the first.
    fn fault(&self, chain: &Chain<'_>, now: i64) -> Option<Distrust> {
        let last = chain.certificates.len().checked_sub(1)?;
        let mut faults = Vec::new();
        let issuer = |at: usize| chain.certificates.get(at).map(|(_, one)| one_line(one.issuer()));
        match chain.end {
            End::Itself if last == 0 => faults.push((0, "certificate", "self-signed certificate".to_owned())),
            End::Itself | End::Missing => {
                let text = format!("untrusted issuer {}", issuer(last).unwrap_or_default());
                faults.push((last, "certificate", text));
            }
            // The client's own and the anchor aren't counted.
            End::Trusted if last > self.depth.saturating_add(2) => {
                let text = format!("certificate chain longer than limit({})", self.depth.saturating_add(1));
                return Some(("certificate", text));
            }
            End::Trusted => {}
        }
        for (depth, (_, one)) in chain.certificates.iter().enumerate() {
            if depth == 0 && !is_for_clients(one) {
                let text = "not designated for use as a client certificate";
                faults.push((depth, "certificate", text.to_owned()));
            }
            // An anchor needs to say nothing.
            let is_anchor = depth == last && chain.end == End::Trusted;
            if depth > 0 && !one.is_ca() && !is_anchor {
                faults.push((depth, "CA certificate", "num=79:invalid CA certificate".to_owned()));
            }
            let (from, until) = (one.validity().not_before.timestamp(), one.validity().not_after.timestamp());
            let whose = if depth == 0 { "client certificate" } else { "CA certificate" };
            if now < from {
                faults.push((depth, whose, "certificate not yet valid".to_owned()));
            } else if until < now {
                faults.push((depth, whose, "certificate has expired".to_owned()));
            }
        }
        // The sort keeps the order of those that are as near.
        faults.sort_by_key(|(depth, ..)| *depth);
        faults.into_iter().next().map(|(_, whose, why)| (whose, why))
    }
}

fn read<'a>(certificate: &'a CertificateDer<'_>) -> Option<X509Certificate<'a>> {
    X509Certificate::from_der(certificate).ok().map(|(_, parsed)| parsed)
}

/// Whether it says that it signed itself.
fn is_own(certificate: &X509Certificate<'_>) -> bool {
    certificate.subject() == certificate.issuer()
}

/// Whether it says nothing of what it is for, or that it is for clients.
fn is_for_clients(certificate: &X509Certificate<'_>) -> bool {
    match certificate.extended_key_usage() {
        Ok(Some(usage)) => usage.value.client_auth || usage.value.any,
        Ok(None) => true,
        Err(_) => false,
    }
}
