//! Certificates, keys and trust anchors out of PEM files.
//!
//! The files are read once, through whoever may read them (the privileged helper, for keys of mode 600). A certificate
//! that rustls can't use as an anchor is left out, as OpenSSL leaves out what it can't parse.

use rustls::RootCertStore;
use rustls_pki_types::pem::{self, PemObject, SectionKind};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use std::path::Path;
use tables::{SourceError, Sources};

/// Files of a folder that are looked at.
const FOLDER_FILES_MAX: usize = 4096;

/// Why TLS can't be had.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FileError {
    /// A file that can't be read.
    #[error("{0}")]
    Unreadable(#[from] SourceError),
    /// A file without a certificate.
    #[error("{0}: no certificate in it")]
    NoCertificate(String),
    /// A file with something that begins like one and can't be read.
    #[error("{0}: what is in it is broken")]
    Broken(String),
    /// A file without a key.
    #[error("{0}: no private key in it that can be used")]
    NoKey(String),
}

/// Who is trusted.
#[derive(Clone, Debug)]
pub struct Anchors {
    /// As rustls wants them.
    pub roots: RootCertStore,
    /// The certificates themselves: one that is here is trusted, whoever issued it.
    pub certificates: Vec<CertificateDer<'static>>,
    /// Keys that are trusted under whatever name: the values of SubjectPublicKeyInfo.
    pub keys: Vec<Vec<u8>>,
    /// They are the administrator's choice in place of public authorities.
    pub are_chosen: bool,
}

impl Anchors {
    /// Reads a file of certificates and a folder of such files; either may be empty.
    ///
    /// # Errors
    /// Where the file can't be read or has no certificate. A folder is taken as it is.
    pub fn read(file: &str, folder: &str, sources: &dyn Sources) -> Result<Anchors, FileError> {
        let mut anchors = Anchors::none();
        if !file.is_empty() {
            anchors.add(&sources.read(Path::new(file))?);
            if anchors.certificates.is_empty() {
                return Err(FileError::NoCertificate(file.to_owned()));
            }
        }
        if !folder.is_empty() {
            // Names that OpenSSL's rehash gives: a hash and a number.
            let hashed = |name: &str| {
                let (hash, number) = name.split_once('.')?;
                let fits = hash.len() == 8 && number.parse::<u32>().is_ok();
                fits.then_some(())
            };
            for entry in std::fs::read_dir(folder).into_iter().flatten().flatten().take(FOLDER_FILES_MAX) {
                if hashed(&entry.file_name().to_string_lossy()).is_some()
                    && let Ok(bytes) = sources.read(&entry.path())
                {
                    anchors.add(&bytes);
                }
            }
        }
        Ok(anchors)
    }

    /// Nobody.
    #[must_use]
    pub fn none() -> Anchors {
        Anchors {
            roots: RootCertStore::empty(),
            certificates: Vec::new(),
            keys: Vec::new(),
            are_chosen: false,
        }
    }

    /// Reads `smtp_tls_trust_anchor_file`: certificates and public keys, of any level.
    ///
    /// # Errors
    /// Where a file can't be read, or has none.
    pub fn chosen(paths: &[String], sources: &dyn Sources) -> Result<Anchors, FileError> {
        let mut anchors = Anchors { are_chosen: true, ..Anchors::none() };
        for path in paths {
            let bytes = sources.read(Path::new(path))?;
            let before = anchors.certificates.len() + anchors.keys.len();
            let mut rest = bytes.as_slice();
            let broken = |_| FileError::Broken(path.clone());
            while let Some((kind, der)) = pem::from_buf(&mut rest).map_err(broken)? {
                match kind {
                    SectionKind::Certificate => anchors.trust(CertificateDer::from(der)),
                    SectionKind::PublicKey => {
                        let key = der_value(&der).ok_or_else(|| FileError::Broken(path.clone()))?;
                        anchors.keys.push(key.to_vec());
                    }
                    _ => {}
                }
            }
            if anchors.certificates.len() + anchors.keys.len() == before {
                return Err(FileError::NoCertificate(path.clone()));
            }
        }
        Ok(anchors)
    }

    /// Trusts others, too.
    pub fn append(&mut self, others: Anchors) {
        self.roots.roots.extend(others.roots.roots);
        self.certificates.extend(others.certificates);
        self.keys.extend(others.keys);
    }

    fn add(&mut self, pem: &[u8]) {
        for certificate in CertificateDer::pem_slice_iter(pem).flatten() {
            self.trust(certificate);
        }
    }

    fn trust(&mut self, certificate: CertificateDer<'static>) {
        // One that rustls can't use may still stand for itself.
        let _ = self.roots.add(certificate.clone());
        self.certificates.push(certificate);
    }
}

/// What is inside of a DER element, which is all that there is.
#[must_use]
pub fn der_value(der: &[u8]) -> Option<&[u8]> {
    let (_, rest) = der.split_first()?;
    let (first, rest) = rest.split_first()?;
    let count = usize::from(first & 0x7f);
    let (length, value) = if first & 0x80 == 0 {
        (count, rest)
    } else {
        let (bytes, value) = rest.split_at_checked(count).filter(|_| (1..=4).contains(&count))?;
        (bytes.iter().fold(0_usize, |sum, byte| sum << 8 | usize::from(*byte)), value)
    };
    (value.len() == length).then_some(value)
}

/// A certificate with its issuers, and its key.
pub type Credentials = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

/// Reads a chain and its key, which may be in one file.
///
/// # Errors
/// Where one of them is missing.
pub fn credentials(chain: &str, key: &str, sources: &dyn Sources) -> Result<Credentials, FileError> {
    let bytes = sources.read(Path::new(chain))?;
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes).collect();
    let certificates = certificates.map_err(|_| FileError::Broken(chain.to_owned()))?;
    if certificates.is_empty() {
        return Err(FileError::NoCertificate(chain.to_owned()));
    }
    let bytes = if key == chain { bytes } else { sources.read(Path::new(key))? };
    let found = PrivateKeyDer::from_pem_slice(&bytes).map_err(|_| FileError::NoKey(key.to_owned()))?;
    Ok((certificates, found))
}

/// Reads `smtpd_tls_chain_files`: in all of them together each key comes first, then its certificate and issuers.
///
/// # Errors
/// Where a file can't be read, or something is missing.
pub fn chains(paths: &[String], sources: &dyn Sources) -> Result<Vec<Credentials>, FileError> {
    let read = |path: &String| Ok((path.clone(), sources.read(Path::new(path))?));
    chains_in(paths.iter().map(read).collect::<Result<Vec<_>, FileError>>()?)
}

/// As [`chains`], of what has been read: names and contents.
///
/// # Errors
/// Where something is missing.
pub fn chains_in(
    contents: impl IntoIterator<Item = (String, Vec<u8>)>,
) -> Result<Vec<Credentials>, FileError> {
    let mut found: Vec<Credentials> = Vec::new();
    let mut last = String::new();
    for (path, bytes) in contents {
        last.clone_from(&path);
        let mut rest = bytes.as_slice();
        let broken = |_| FileError::Broken(path.clone());
        while let Some((kind, der)) = pem::from_buf(&mut rest).map_err(broken)? {
            let key = match kind {
                SectionKind::PrivateKey => PrivateKeyDer::Pkcs8(der.into()),
                SectionKind::RsaPrivateKey => PrivateKeyDer::Pkcs1(der.into()),
                SectionKind::EcPrivateKey => PrivateKeyDer::Sec1(der.into()),
                SectionKind::Certificate => {
                    let Some((chain, _)) = found.last_mut() else {
                        return Err(FileError::NoKey(path.clone()));
                    };
                    chain.push(CertificateDer::from(der));
                    continue;
                }
                _ => continue,
            };
            found.push((Vec::new(), key));
        }
    }
    if found.iter().any(|(chain, _)| chain.is_empty()) {
        Err(FileError::NoCertificate(last))
    } else {
        Ok(found)
    }
}
