//! A client's connection under TLS. It believes every server.

use crate::client::Stream;
use komainu::tls::client::Accepting;
use rustls::crypto::ring::default_provider;
use rustls::{ClientConfig, ClientConnection, version};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use std::io::{Error, ErrorKind, Read, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Where a certificate of the tests lies.
#[must_use]
pub fn certificate_path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests/certificates").join(name)
}

/// How a client begins a handshake.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Offer {
    /// `1.2` or `1.3`, where it speaks one version only.
    pub version: Option<String>,
    /// Which server it asks for, with SNI; `mx.example.com` where that is open.
    pub server: Option<String>,
    /// The file of its certificate, in tests/certificates.
    pub certificate: Option<String>,
}

/// The connection.
pub struct Protected {
    clear: Box<dyn Stream>,
    tls: ClientConnection,
}

impl Protected {
    /// Makes the handshake over `clear`.
    ///
    /// # Errors
    /// Where it fails, or takes longer than `patience`.
    pub fn new(clear: Box<dyn Stream>, offer: &Offer, patience: Duration) -> std::io::Result<Protected> {
        let versions = match offer.version.as_deref() {
            Some("1.2") => vec![&version::TLS12],
            Some(_) => vec![&version::TLS13],
            None => vec![&version::TLS13, &version::TLS12],
        };
        let builder = ClientConfig::builder_with_provider(Arc::new(default_provider()))
            .with_protocol_versions(&versions)
            .map_err(Error::other)?
            .dangerous()
            .with_custom_certificate_verifier(believing());
        let config = match &offer.certificate {
            Some(name) => {
                let bytes = std::fs::read(certificate_path(name))?;
                let chain: Vec<_> = CertificateDer::pem_slice_iter(&bytes).flatten().collect();
                let key = PrivateKeyDer::from_pem_slice(&bytes).map_err(Error::other)?;
                builder.with_client_auth_cert(chain, key).map_err(Error::other)?
            }
            None => builder.with_no_client_auth(),
        };
        let name = ServerName::try_from(offer.server.clone().unwrap_or_else(|| "mx.example.com".to_owned()));
        let name = name.map_err(Error::other)?;
        let tls = ClientConnection::new(Arc::new(config), name).map_err(Error::other)?;
        let mut stream = Protected { clear, tls };
        let until = Instant::now() + patience;
        while stream.tls.is_handshaking() {
            stream.write()?;
            if stream.tls.is_handshaking() {
                stream.hear(until.saturating_duration_since(Instant::now()))?;
            }
        }
        stream.write()?;
        Ok(stream)
    }

    /// Sends what TLS has to say.
    fn write(&mut self) -> std::io::Result<()> {
        let mut bytes = Vec::new();
        while self.tls.wants_write() {
            self.tls.write_tls(&mut bytes)?;
        }
        if bytes.is_empty() { Ok(()) } else { self.clear.send(&bytes) }
    }

    /// Reads some of what the server says.
    fn hear(&mut self, patience: Duration) -> std::io::Result<()> {
        let mut bytes = [0; 16 * 1024];
        let length = self.clear.read(&mut bytes, patience.max(Duration::from_millis(1)))?;
        let mut rest = bytes.get(..length).unwrap_or_default();
        if rest.is_empty() {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        while !rest.is_empty() {
            self.tls.read_tls(&mut rest)?;
            if let Err(error) = self.tls.process_new_packets() {
                // The alert.
                let _ = self.write();
                return Err(Error::new(ErrorKind::InvalidData, error));
            }
        }
        self.write()
    }
}

impl Stream for Protected {
    fn read(&mut self, bytes: &mut [u8], patience: Duration) -> std::io::Result<usize> {
        let until = Instant::now() + patience;
        loop {
            match self.tls.reader().read(bytes) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                read => return read,
            }
            match self.hear(until.saturating_duration_since(Instant::now())) {
                Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(0),
                heard => heard?,
            }
        }
    }

    fn send(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.tls.writer().write_all(bytes)?;
        self.write()
    }

    fn half_close(&mut self) {
        self.tls.send_close_notify();
        let _ = self.write();
        self.clear.half_close();
    }

    fn close(&mut self) {
        self.clear.close();
    }
}

/// What believes every server whose key signed.
#[must_use]
pub fn believing() -> Arc<Accepting> {
    Arc::default()
}
