//! How the holders of certificates signed, for the log: rustls tells only whoever checks the signature.

use ring::digest::{SHA256, digest};
use rustls::SignatureScheme;
use rustls_pki_types::CertificateDer;
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

/// Certificates of which it is remembered.
const CERTIFICATES_MAX: usize = 1000;

/// How certificates were used last.
#[derive(Debug, Default)]
pub(super) struct Signatures(Mutex<HashMap<Vec<u8>, SignatureScheme>>);

impl Signatures {
    pub(super) fn note(&self, certificate: &CertificateDer<'_>, scheme: SignatureScheme) {
        let mut schemes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if schemes.len() >= CERTIFICATES_MAX {
            schemes.clear();
        }
        schemes.insert(digest(&SHA256, certificate).as_ref().to_vec(), scheme);
    }

    pub(super) fn of(&self, certificate: &CertificateDer<'_>) -> Option<SignatureScheme> {
        let schemes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        schemes.get(digest(&SHA256, certificate).as_ref()).copied()
    }
}
