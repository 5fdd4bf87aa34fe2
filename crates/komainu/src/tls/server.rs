//! The server's side: certificates by name and kind, the handshake, and what it says of the client.
//!
//! [`Acceptor`] is one listener's TLS. Of several certificates the first is shown whose key the client can check. A
//! client's certificate, where one is asked for, never ends a handshake: who is believed is judged afterwards, as
//! Postfix does (`smtpd_tls_ask_ccert`). Sessions are resumed by tickets whose keys change by themselves and live in
//! memory only. RFC 8446, RFC 5246.

use super::apart::Apart;
use super::clients::{Clients, Distrust};
use super::files::{Anchors, Credentials, FileError};
use super::fingerprint::Digest;
use super::judge::common_name;
use super::names::{Chain, Names, Shown};
use super::settings::{VersionsError, ciphers, curves, versions};
use super::signatures::Signatures;
use super::summary::Summary;
use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{CryptoProvider, ring as provider};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{ClientHello, NoServerSessionStorage, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{DigitallySignedStruct, DistinguishedName, Error, HandshakeKind, ServerConfig, SignatureScheme};
use rustls_pki_types::{CertificateDer, UnixTime};
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::LazyConfigAcceptor;
use tokio_rustls::server::TlsStream;
use x509_parser::prelude::{FromDer, X509Certificate};

/// Tickets that a client gets with TLS 1.3.
const TICKETS: usize = 1;

/// Whether clients are asked for certificates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asking {
    /// No.
    No,
    /// They may show one.
    May,
}

/// What a listener's TLS is made of.
#[derive(Debug)]
pub struct Making {
    /// Certificates with their keys, the preferred first.
    pub credentials: Vec<Credentials>,
    /// Those for names that clients ask for; `None` where names don't matter.
    pub names: Option<Names>,
    /// `>=TLSv1.2`
    pub protocols: String,
    /// OpenSSL's names of ciphers that aren't wanted.
    pub excluded: Vec<String>,
    /// `tls_eecdh_auto_curves`
    pub curves: String,
    /// Whether sessions may be resumed.
    pub resumes: bool,
    /// `tls_preempt_cipherlist`: our order of ciphers counts.
    pub own_order: bool,
    /// Whether clients are asked for certificates.
    pub asking: Asking,
    /// Whose word counts for these.
    pub anchors: Anchors,
    /// `smtpd_tls_ccert_verifydepth`
    pub depth: usize,
    /// `smtpd_tls_fingerprint_digest`
    pub digest: Digest,
}

/// Why there is no TLS.
#[derive(Debug, thiserror::Error)]
pub enum AcceptorError {
    /// A file.
    #[error(transparent)]
    File(#[from] FileError),
    /// No certificate at all.
    #[error("no server certificate is configured")]
    NoCertificate,
    /// A pair that isn't one.
    #[error("a private key isn't its certificate's, or can't be used: {0}")]
    Pair(Error),
    /// The versions asked for.
    #[error(transparent)]
    Versions(#[from] VersionsError),
    /// No cipher is left.
    #[error("no cipher is left: {0}")]
    Ciphers(Error),
}

/// One listener's TLS.
#[derive(Debug)]
pub struct Acceptor {
    config: Arc<ServerConfig>,
    keys: Arc<Keys>,
    asking: Asking,
    clients: Arc<Signatures>,
    judge: Clients,
    digest: Digest,
}

/// A handshake that went well.
#[derive(Clone, Debug)]
pub struct Established {
    /// What the log says.
    pub summary: Summary,
    /// What rules ask for.
    pub facts: policy::Tls,
    /// What `Received:` says of the client's certificate.
    pub certificate: String,
    /// Why the client's certificate isn't trusted: whose it is that is at fault, and what is.
    pub distrust: Option<(&'static str, String)>,
    /// The name that the client asked for, where there are certificates for it.
    pub served_name: Option<String>,
    /// It goes on with no earlier session.
    pub is_new: bool,
}

/// What the log says of the name that a client asks for, however the handshake ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Remark {
    /// There is nothing for this name.
    NotMatched(String),
    /// What there is can't be used.
    Broken(Vec<String>),
}

impl Acceptor {
    /// Puts it together.
    ///
    /// # Errors
    /// Where there is nothing to show, or nothing to speak.
    pub fn new(making: Making) -> Result<Acceptor, AcceptorError> {
        let Making { credentials, names, protocols, own_order, asking, anchors, depth, digest, .. } = making;
        let (cipher_suites, kx_groups) = (ciphers(&making.excluded), curves(&making.curves));
        let provider = Arc::new(CryptoProvider { cipher_suites, kx_groups, ..provider::default_provider() });
        let pair = |(chain, key)| CertifiedKey::from_der(chain, key, &provider).map(Arc::new);
        let own = credentials.into_iter().map(pair).collect::<Result<Vec<_>, _>>();
        let mut own = own.map_err(AcceptorError::Pair)?;
        // Whatever the parameters' names say: elliptic curves cost less, and OpenSSL shows them first as well.
        own.sort_by_key(|one| one.key.algorithm() == rustls::SignatureAlgorithm::RSA);
        let keys = Arc::new(Keys { own, names });
        if keys.own.is_empty() && keys.names.is_none() {
            return Err(AcceptorError::NoCertificate);
        }
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(&versions(&protocols)?)
            .map_err(AcceptorError::Ciphers)?;
        let clients = Arc::new(Signatures::new(provider.signature_verification_algorithms));
        let builder = match asking {
            Asking::No => builder.with_no_client_auth(),
            Asking::May => {
                let hints = anchors.roots.subjects();
                let any = AnyClient { hints, signed: Arc::clone(&clients) };
                builder.with_client_cert_verifier(Arc::new(any))
            }
        };
        let mut config = builder.with_cert_resolver(Arc::clone(&keys) as _);
        config.ignore_client_order = own_order;
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = if making.resumes { TICKETS } else { 0 };
        if let Some(ticketer) = provider::Ticketer::new().ok().filter(|_| making.resumes) {
            config.ticketer = ticketer;
        }
        let judge = Clients::new(anchors, depth, provider);
        Ok(Acceptor { config: Arc::new(config), keys, asking, clients, judge, digest })
    }

    /// The common names of the certificates, and when each ends.
    #[must_use]
    pub fn ends(&self) -> Vec<(String, mail::Wall)> {
        let named = self.keys.names.iter().flat_map(Names::all);
        let own = self.keys.own.iter().chain(named).filter_map(|key| key.cert.first());
        let read = own.filter_map(|certificate| X509Certificate::from_der(certificate).ok());
        read.map(|(_, one)| {
            let end = mail::Wall::from_seconds(one.validity().not_after.timestamp());
            (common_name(one.subject()), end)
        })
        .collect()
    }

    /// Keeps certificates of names that were good before and can't be used now.
    pub fn keep_names(&self, before: &Acceptor) {
        if let (Some(names), Some(before)) = (&self.keys.names, &before.keys.names) {
            names.keep(before);
        }
    }

    /// Makes the handshake. What there is to say of the name asked for comes into `remark`. With `apart` the costly
    /// part of it comes after what all others do.
    ///
    /// # Errors
    /// As of the stream, or `InvalidData` where the client doesn't speak TLS as it is spoken here.
    pub async fn accept<S>(
        &self,
        stream: S,
        apart: Option<&Apart>,
        remark: &mut Option<Remark>,
    ) -> io::Result<(TlsStream<S>, Established)>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let start = LazyConfigAcceptor::new(rustls::server::Acceptor::default(), stream).await?;
        let hello = start.client_hello();
        let sni = hello.server_name().unwrap_or_default().to_owned();
        let (keys, served_name) = self.keys.chain(&sni, remark);
        let shown = keys.and_then(|keys| shown(keys, hello.signature_schemes(), is_tls13));
        let work = start.into_stream(Arc::clone(&self.config));
        let stream = match apart {
            Some(apart) => apart.run(work).await?,
            None => work.await?,
        };
        let (_, connection) = stream.get_ref();
        let is_new = connection.handshake_kind() != Some(HandshakeKind::Resumed);
        let signed = shown.as_ref().filter(|_| is_new);
        let signed = signed.and_then(|(key, scheme)| Some((*scheme, key.cert.first()?)));
        let shown_by_client = connection.peer_certificates().and_then(<[_]>::first).filter(|_| is_new);
        let by_client = shown_by_client.and_then(|own| Some((self.clients.of(own)?, own)));
        let summary = Summary::of(connection, signed).signed_by_client(by_client);
        let (client, distrust) = self.client(connection.peer_certificates().unwrap_or_default()).unzip();
        let facts = policy::Tls {
            protocol: summary.protocol().to_owned(),
            cipher: summary.cipher().to_owned(),
            keysize: u16::try_from(summary.bits()).unwrap_or(u16::MAX),
            sni,
            certificate: client,
        };
        let certificate = self.described(facts.certificate.as_ref());
        let distrust = distrust.flatten();
        Ok((stream, Established { summary, facts, certificate, distrust, served_name, is_new }))
    }

    /// The client's certificate, judged, and what is wrong with it.
    fn client(
        &self,
        shown: &[CertificateDer<'static>],
    ) -> Option<(policy::ClientCertificate, Option<Distrust>)> {
        let own = shown.first()?;
        let (_, parsed) = X509Certificate::from_der(own).ok()?;
        let distrust = self.judge.judge(shown, since_epoch(crate::clock::now().wall)).err();
        let certificate = policy::ClientCertificate {
            subject: common_name(parsed.subject()),
            issuer: common_name(parsed.issuer()),
            fingerprint: self.digest.fingerprint(own),
            public_key_fingerprint: self.digest.fingerprint(parsed.public_key().raw),
            trusted: distrust.is_none(),
        };
        Some((certificate, distrust))
    }

    /// As `Received:` has it.
    fn described(&self, certificate: Option<&policy::ClientCertificate>) -> String {
        match certificate {
            None if self.asking == Asking::No => "No client certificate requested".to_owned(),
            None => "Client did not present a certificate".to_owned(),
            Some(one) => {
                let verified = if one.trusted { "verified OK" } else { "not verified" };
                format!("Client CN \"{}\", Issuer \"{}\" ({verified})", one.subject, one.issuer)
            }
        }
    }
}

fn since_epoch(wall: mail::Wall) -> Duration {
    Duration::from_secs(u64::try_from(wall.seconds()).unwrap_or(0))
}

/// Whether TLS 1.3 signs so (RFC 8446 §4.2.3).
fn is_tls13(scheme: &SignatureScheme) -> bool {
    use SignatureScheme as Scheme;
    matches!(
        scheme,
        Scheme::ECDSA_NISTP256_SHA256
            | Scheme::ECDSA_NISTP384_SHA384
            | Scheme::ECDSA_NISTP521_SHA512
            | Scheme::RSA_PSS_SHA256
            | Scheme::RSA_PSS_SHA384
            | Scheme::RSA_PSS_SHA512
            | Scheme::ED25519
            | Scheme::ED448
    )
}

/// The server's certificates.
#[derive(Debug)]
struct Keys {
    own: Chain,
    names: Option<Names>,
}

impl Keys {
    /// Those for a client that asks for `sni`, if it asks, and the name where they are for it; none where the handshake
    /// is to end.
    fn chain(&self, sni: &str, remark: &mut Option<Remark>) -> (Option<&Chain>, Option<String>) {
        let Some(names) = self.names.as_ref().filter(|_| !sni.is_empty()) else {
            return (Some(&self.own), None);
        };
        match names.find(sni) {
            Shown::Chain(chain) => (Some(chain), Some(sni.to_owned())),
            Shown::NotMatched => {
                *remark = Some(Remark::NotMatched(sni.to_owned()));
                (Some(&self.own), None)
            }
            Shown::Broken(why) => {
                *remark = Some(Remark::Broken(why));
                (None, None)
            }
        }
    }
}

/// The first that the client can check, and how its holder signs.
fn shown(
    keys: &Chain,
    offered: &[SignatureScheme],
    is_usable: impl Fn(&SignatureScheme) -> bool,
) -> Option<(Arc<CertifiedKey>, SignatureScheme)> {
    let offered: Vec<SignatureScheme> = offered.iter().copied().filter(|one| is_usable(one)).collect();
    keys.iter().find_map(|key| {
        let signer = key.key.choose_scheme(&offered)?;
        Some((Arc::clone(key), signer.scheme()))
    })
}

impl ResolvesServerCert for Keys {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let (keys, _) = self.chain(hello.server_name().unwrap_or_default(), &mut None);
        shown(keys?, hello.signature_schemes(), |_| true).map(|(key, _)| key)
    }
}

/// Takes every client's certificate whose key signed.
#[derive(Debug)]
struct AnyClient {
    hints: Vec<DistinguishedName>,
    signed: Arc<Signatures>,
}

impl ClientCertVerifier for AnyClient {
    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &self.hints
    }

    fn verify_client_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.signed.check_12(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.signed.check_13(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.signed.checkable()
    }
}
