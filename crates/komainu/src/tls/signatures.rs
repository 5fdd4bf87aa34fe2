//! Signatures of handshakes, checked, and how the holders of certificates made them: for the log, which rustls tells
//! only to whoever checks.

use ring::digest::{SHA256, digest};
use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature};
use rustls::{DigitallySignedStruct, Error, SignatureScheme};
use rustls_pki_types::CertificateDer;
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

/// Certificates of which it is remembered.
const CERTIFICATES_MAX: usize = 1000;

/// What can be checked, and how certificates were used last.
#[derive(Debug)]
pub(super) struct Signatures {
    algorithms: WebPkiSupportedAlgorithms,
    schemes: Mutex<HashMap<Vec<u8>, SignatureScheme>>,
}

impl Signatures {
    pub(super) fn new(algorithms: WebPkiSupportedAlgorithms) -> Signatures {
        Signatures { algorithms, schemes: Mutex::default() }
    }

    /// Of TLS 1.2, which the log doesn't tell of.
    pub(super) fn check_12(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signed, &self.algorithms)
    }

    /// Of TLS 1.3.
    pub(super) fn check_13(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let valid = verify_tls13_signature(message, certificate, signed, &self.algorithms)?;
        let mut schemes = self.schemes.lock().unwrap_or_else(PoisonError::into_inner);
        if schemes.len() >= CERTIFICATES_MAX {
            schemes.clear();
        }
        schemes.insert(digest(&SHA256, certificate).as_ref().to_vec(), signed.scheme);
        Ok(valid)
    }

    /// What can be checked.
    pub(super) fn checkable(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }

    /// How the holder of a certificate signed.
    pub(super) fn of(&self, certificate: &CertificateDer<'_>) -> Option<SignatureScheme> {
        let schemes = self.schemes.lock().unwrap_or_else(PoisonError::into_inner);
        schemes.get(digest(&SHA256, certificate).as_ref()).copied()
    }
}
