//! What a log says about a handshake: `TLSv1.3 with cipher … (256/256 bits) key-exchange X25519 …`.
//!
//! The words are OpenSSL's, as Postfix logs them: `prime256v1`, not `secp256r1`. With TLS 1.2 nothing stands behind the
//! cipher.

use super::settings::{cipher_bits, cipher_name};
use events::tls::{Direction, TlsEstablished, Trust};
use rustls::{CommonState, NamedGroup, ProtocolVersion, SignatureScheme};
use rustls_pki_types::CertificateDer;
use std::fmt::Write;
use x509_parser::prelude::{FromDer, X509Certificate};
use x509_parser::public_key::PublicKey;

/// A handshake that went well, for the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    protocol: &'static str,
    cipher: &'static str,
    bits: u32,
    more: String,
}

impl Summary {
    /// Of a connection that is up. `signed` is how the server signed, and its certificate, where that is known.
    #[must_use]
    pub fn of(connection: &CommonState, signed: Option<(SignatureScheme, &CertificateDer<'_>)>) -> Summary {
        let suite = connection.negotiated_cipher_suite().map(|suite| suite.suite());
        let is_13 = connection.protocol_version() == Some(ProtocolVersion::TLSv1_3);
        let mut more = String::new();
        if is_13 {
            if let Some(group) = connection.negotiated_key_exchange_group() {
                more.push_str(group_words(group.name()));
            }
            if let Some((scheme, certificate)) = signed {
                // Writing to a string can't fail.
                let _ = write!(more, " {}", signature("server", scheme, certificate));
            }
        }
        Summary {
            protocol: if is_13 { "TLSv1.3" } else { "TLSv1.2" },
            cipher: suite.map_or("unknown", cipher_name),
            bits: suite.map_or(0, cipher_bits),
            more: more.trim_start().to_owned(),
        }
    }

    /// The same, with how the client signed.
    #[must_use]
    pub fn signed_by_client(mut self, signed: Option<(SignatureScheme, &CertificateDer<'_>)>) -> Summary {
        if let Some((scheme, certificate)) = signed {
            self.more.push(' ');
            self.more.push_str(&signature("client", scheme, certificate));
        }
        self
    }

    /// `TLSv1.3`
    #[must_use]
    pub const fn protocol(&self) -> &'static str {
        self.protocol
    }

    /// OpenSSL's name.
    #[must_use]
    pub const fn cipher(&self) -> &'static str {
        self.cipher
    }

    /// The bits of its key.
    #[must_use]
    pub const fn bits(&self) -> u32 {
        self.bits
    }

    /// What `Received:` says, folded.
    #[must_use]
    pub fn received(&self) -> String {
        let Summary { protocol, cipher, bits, more } = self;
        let more = if more.is_empty() { String::new() } else { format!("\n\t {more}") };
        let more = more.replace(" client-signature", "\n\t client-signature");
        format!("using {protocol} with cipher {cipher} ({bits}/{bits} bits){more}")
    }

    /// The log's line.
    #[must_use]
    pub fn event<'a>(&'a self, trust: Trust, direction: Direction, peer: &'a str) -> TlsEstablished<'a> {
        TlsEstablished {
            trust,
            direction,
            peer: peer.into(),
            protocol: self.protocol.into(),
            cipher: self.cipher.into(),
            bits: self.bits,
            algorithm_bits: self.bits,
            more: self.more.as_str().into(),
        }
    }
}

fn group_words(group: NamedGroup) -> &'static str {
    match group {
        NamedGroup::X25519 => "key-exchange X25519",
        NamedGroup::secp256r1 => "key-exchange ECDHE (prime256v1)",
        NamedGroup::secp384r1 => "key-exchange ECDHE (secp384r1)",
        _ => "key-exchange unknown",
    }
}

/// `server-signature RSA-PSS (2048 bits) server-digest SHA256`
fn signature(side: &str, scheme: SignatureScheme, certificate: &CertificateDer<'_>) -> String {
    let rsa = |digest: &str| {
        let bits = rsa_bits(certificate);
        format!("{side}-signature RSA-PSS ({bits} bits) {side}-digest {digest}")
    };
    let curve = |name: &str, digest: &str| format!("{side}-signature ECDSA ({name}) {side}-digest {digest}");
    match scheme {
        SignatureScheme::RSA_PSS_SHA256 => rsa("SHA256"),
        SignatureScheme::RSA_PSS_SHA384 => rsa("SHA384"),
        SignatureScheme::RSA_PSS_SHA512 => rsa("SHA512"),
        SignatureScheme::ECDSA_NISTP256_SHA256 => curve("prime256v1", "SHA256"),
        SignatureScheme::ECDSA_NISTP384_SHA384 => curve("secp384r1", "SHA384"),
        SignatureScheme::ED25519 => format!("{side}-signature ED25519"),
        _ => format!("{side}-signature unknown"),
    }
}

fn rsa_bits(certificate: &CertificateDer<'_>) -> usize {
    let Ok((_, parsed)) = X509Certificate::from_der(certificate) else { return 0 };
    match parsed.public_key().parsed() {
        Ok(PublicKey::RSA(key)) => key.key_size(),
        _ => 0,
    }
}
