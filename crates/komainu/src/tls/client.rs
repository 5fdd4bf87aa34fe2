//! The client's side: configurations for each mixture of versions and ciphers, and the handshake itself.
//!
//! [`Engine`] is one transport's TLS: anchors, its own certificate, sessions that can be resumed. It takes any
//! certificate whose key the server has shown to hold; who is believed is [`judge`](super::judge)'s matter. No name is
//! sent (SNI) unless one is asked for, as Postfix does.

use super::files::{Anchors, Credentials};
use super::settings::{VersionsError, ciphers, versions};
use super::signatures::Signatures;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{ClientSessionMemoryCache, ResolvesClientCert, Resumption};
use rustls::crypto::{CryptoProvider, ring as provider};
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, DigitallySignedStruct, Error, SignatureScheme};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Configurations that are kept ready.
const CONFIGS_MAX: usize = 100;
/// Sessions that can be resumed.
const SESSIONS_MAX: usize = 256;

/// Which protocol is wanted.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Manner {
    /// `>=TLSv1.2`
    pub protocols: String,
    /// OpenSSL's names of ciphers that aren't wanted.
    pub excluded: Vec<String>,
}

/// Our own certificates (`smtp_tls_chain_files`): shown is the first with a signature that the server can check.
#[derive(Debug)]
struct Own(Vec<Arc<CertifiedKey>>);

impl Own {
    fn new(credentials: &[Credentials], provider: &CryptoProvider) -> Result<Option<Own>, Error> {
        let ready = credentials.iter().map(|(chain, key)| {
            CertifiedKey::from_der(chain.clone(), key.clone_key(), provider).map(Arc::new)
        });
        let ready = ready.collect::<Result<Vec<_>, Error>>()?;
        Ok((!ready.is_empty()).then_some(Own(ready)))
    }
}

impl ResolvesClientCert for Own {
    fn resolve(&self, _issuers: &[&[u8]], schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        self.0.iter().find(|own| own.key.choose_scheme(schemes).is_some()).cloned()
    }

    fn has_certs(&self) -> bool {
        true
    }
}

/// One transport's TLS.
#[derive(Debug)]
pub struct Engine {
    /// Who is trusted.
    pub anchors: Anchors,
    /// The first that the server can check is shown.
    credentials: Vec<Credentials>,
    /// Whether sessions are resumed.
    resumes: bool,
    verifier: Arc<Accepting>,
    configs: Mutex<HashMap<Manner, Arc<ClientConfig>>>,
}

impl Engine {
    /// With its own certificates, where it shows any.
    #[must_use]
    pub fn new(anchors: Anchors, credentials: Vec<Credentials>, resumes: bool) -> Engine {
        Engine { anchors, credentials, resumes, verifier: Arc::default(), configs: Mutex::default() }
    }

    /// What rustls needs for a handshake.
    ///
    /// # Errors
    /// Where nothing that is asked for can be had.
    pub fn config(&self, manner: &Manner) -> Result<Arc<ClientConfig>, EngineError> {
        let mut configs = self.configs.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(config) = configs.get(manner) {
            return Ok(Arc::clone(config));
        }
        let cipher_suites = ciphers(&manner.excluded);
        let provider = Arc::new(CryptoProvider { cipher_suites, ..provider::default_provider() });
        let own = Own::new(&self.credentials, &provider).map_err(EngineError::Certificate)?;
        let builder = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&versions(&manner.protocols)?)
            .map_err(EngineError::Ciphers)?
            .dangerous()
            .with_custom_certificate_verifier(Arc::clone(&self.verifier) as _);
        let mut config = match own {
            Some(own) => builder.with_client_cert_resolver(Arc::new(own)),
            None => builder.with_no_client_auth(),
        };
        config.resumption = if self.resumes {
            Resumption::store(Arc::new(ClientSessionMemoryCache::new(SESSIONS_MAX)))
        } else {
            Resumption::disabled()
        };
        if configs.len() >= CONFIGS_MAX {
            configs.clear();
        }
        let config = Arc::new(config);
        configs.insert(manner.clone(), Arc::clone(&config));
        Ok(config)
    }

    /// How the holder of a certificate signed.
    #[must_use]
    pub fn signed(&self, certificate: &CertificateDer<'_>) -> Option<SignatureScheme> {
        self.verifier.0.of(certificate)
    }
}

/// Why no handshake is tried.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The versions asked for.
    #[error(transparent)]
    Versions(#[from] VersionsError),
    /// No cipher is left.
    #[error("no cipher is left: {0}")]
    Ciphers(Error),
    /// Our own certificate.
    #[error("the client's certificate and key don't fit: {0}")]
    Certificate(Error),
}

/// Takes every certificate whose key signed; remembers how. Who is believed is judged elsewhere.
#[derive(Debug)]
pub struct Accepting(Signatures);

impl Default for Accepting {
    fn default() -> Accepting {
        Accepting(Signatures::new(provider::default_provider().signature_verification_algorithms))
    }
}

impl ServerCertVerifier for Accepting {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0.check_12(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0.check_13(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.checkable()
    }
}
