//! TLS of one SMTP server: `smtpd_tls_*` read, its certificates loaded.
//!
//! Certificates that can't be used leave the server without TLS, as in Postfix: it says so, STARTTLS is answered by
//! 454, and ports that want nothing unencrypted refuse their clients. What a reload finds broken keeps what was good
//! before. T0.1; RFC 3207.

use crate::tls::files::{self, Anchors, Credentials, FileError};
use crate::tls::fingerprint::Digest;
use crate::tls::names::Names;
use crate::tls::server::{Acceptor, AcceptorError, Asking, Making};
use config::{Code, Diagnostic, Parameters};
use proto::smtp::TlsLevel;
use std::sync::Arc;
use tables::{Sources, Vantage};

/// TLS of one SMTP server.
#[derive(Clone, Debug, Default)]
pub struct Security {
    /// `smtpd_tls_security_level`, or its elder kin.
    pub level: TlsLevel,
    /// `smtpd_tls_wrappermode`: no word before the handshake.
    pub wrapped: bool,
    /// What makes handshakes; `None` where TLS isn't wanted, or can't be had.
    pub acceptor: Option<Arc<Acceptor>>,
    /// Why it can't be had.
    pub fault: Option<String>,
    /// `smtpd_tls_loglevel`
    pub log_level: i64,
    /// `smtpd_tls_received_header`
    pub received_header: bool,
    /// `smtpd_tls_req_ccert`, where nothing goes without TLS: who shows no certificate that is trusted is sent away.
    pub requires: bool,
}

impl Security {
    /// Reads it, and says what is wrong.
    pub(super) fn compile(p: &Parameters, sources: &dyn Sources) -> (Security, Vec<Diagnostic>) {
        let wrapped = p.flag("smtpd_tls_wrappermode");
        let level = level(p);
        let mut security = Security {
            level: if wrapped { TlsLevel::Encrypt } else { level },
            wrapped,
            log_level: p.number("smtpd_tls_loglevel"),
            received_header: p.flag("smtpd_tls_received_header"),
            requires: p.flag("smtpd_tls_req_ccert") && (wrapped || level == TlsLevel::Encrypt),
            ..Security::default()
        };
        if security.level == TlsLevel::None {
            return (security, Vec::new());
        }
        let maps = p.list("tls_server_sni_maps");
        let (names, found) = match maps.is_empty() {
            true => (None, Vec::new()),
            false => {
                let (names, found) = Names::read(&maps, sources);
                (Some(names), found)
            }
        };
        match acceptor(p, security.level, names, sources) {
            Ok(acceptor) => {
                security.acceptor = Some(Arc::new(acceptor));
                (security, found)
            }
            Err(error) => {
                // On paper the files of another machine can't be read.
                let is_unread = matches!(error, AcceptorError::File(FileError::Unreadable(_)));
                if sources.vantage() == Vantage::Elsewhere && is_unread {
                    return (security, found);
                }
                let mut names = FILES.into_iter().chain(WANTING).chain(["smtpd_tls_protocols"]);
                let name = names.find(|name| p.is_set(name)).unwrap_or("smtpd_tls_security_level");
                let message = format!("no TLS: {error}");
                security.fault = Some(message.clone());
                let help =
                    "until it is mended, STARTTLS is answered by 454, and ports that want TLS serve nobody";
                let fault = Diagnostic::warning(216, p.text(name).place, message).help(help);
                (security, found.into_iter().chain([fault]).collect())
            }
        }
    }

    /// Whether it should have TLS and has none.
    #[must_use]
    pub fn lacks_tls(&self) -> bool {
        self.fault.is_some() && self.acceptor.is_none()
    }

    /// Keeps what was good before, where this one should have TLS and has none; whether it did.
    pub(super) fn keep(&mut self, before: &Security) -> bool {
        if let (Some(acceptor), Some(before)) = (&self.acceptor, &before.acceptor) {
            acceptor.keep_names(before);
        }
        let keeps = self.fault.is_some() && before.acceptor.is_some();
        if keeps {
            self.acceptor.clone_from(&before.acceptor);
        }
        keeps
    }
}

/// Says of findings that the certificate before stays in use.
pub(super) fn say_kept(found: &mut [Diagnostic]) {
    for one in found.iter_mut().filter(|one| one.code == Code(216)) {
        if let Some(error) = one.message.strip_prefix("no TLS: ") {
            one.message = format!("the new certificate can't be used: {error}");
        }
        one.help = Some("the one before is served until it is mended".to_owned());
    }
}

/// Whether both name the same files for the server's own certificates.
pub(super) fn is_by_same_files(one: &Parameters, other: &Parameters) -> bool {
    FILES.iter().all(|name| one.text(name).value == other.text(name).value)
}

/// What names the server's own certificates.
const FILES: [&str; 7] = [
    "smtpd_tls_chain_files",
    "smtpd_tls_cert_file",
    "smtpd_tls_key_file",
    "smtpd_tls_eccert_file",
    "smtpd_tls_eckey_file",
    "smtpd_tls_dcert_file",
    "smtpd_tls_dkey_file",
];

/// What asks for TLS.
const WANTING: [&str; 4] =
    ["smtpd_tls_wrappermode", "smtpd_tls_security_level", "smtpd_enforce_tls", "smtpd_use_tls"];

fn level(p: &Parameters) -> TlsLevel {
    match p.text("smtpd_tls_security_level").value.trim().to_ascii_lowercase().as_str() {
        "none" => TlsLevel::None,
        "may" => TlsLevel::May,
        // What only a client can ask for is the same as asking for encryption, as in Postfix.
        "encrypt" | "verify" | "secure" | "fingerprint" | "dane" | "dane-only" => TlsLevel::Encrypt,
        _ if p.flag("smtpd_enforce_tls") => TlsLevel::Encrypt,
        _ if p.flag("smtpd_use_tls") => TlsLevel::May,
        _ => TlsLevel::None,
    }
}

fn acceptor(
    p: &Parameters,
    level: TlsLevel,
    names: Option<Names>,
    sources: &dyn Sources,
) -> Result<Acceptor, AcceptorError> {
    let words = |name: &str| -> Vec<String> { p.list(name).into_iter().map(|word| word.value).collect() };
    let must = level == TlsLevel::Encrypt;
    let mut excluded = words("smtpd_tls_exclude_ciphers");
    if must {
        excluded.extend(words("smtpd_tls_mandatory_exclude_ciphers"));
    }
    let protocols = if must { "smtpd_tls_mandatory_protocols" } else { "smtpd_tls_protocols" };
    let (ask, require) = (p.flag("smtpd_tls_ask_ccert"), p.flag("smtpd_tls_req_ccert"));
    // Nobody is asked for what can't be required of everybody.
    let asking = if ask || require && must { Asking::May } else { Asking::No };
    let text = |name: &str| p.text(name).value;
    let wanted = |name: &str| if asking == Asking::No { String::new() } else { text(name) };
    let anchors = Anchors::read(&wanted("smtpd_tls_CAfile"), &wanted("smtpd_tls_CApath"), sources)?;
    Acceptor::new(Making {
        credentials: credentials(p, sources)?,
        names,
        protocols: text(protocols),
        excluded,
        curves: text("tls_eecdh_auto_curves"),
        resumes: !p.duration("smtpd_tls_session_cache_timeout").is_zero(),
        own_order: p.flag("tls_preempt_cipherlist"),
        asking,
        anchors,
        depth: usize::try_from(p.number("smtpd_tls_ccert_verifydepth")).unwrap_or(0),
        digest: Digest::from_name(&text("smtpd_tls_fingerprint_digest")).unwrap_or(Digest::SHA256),
    })
}

/// The server's certificates, elliptic curves first: they cost less.
fn credentials(p: &Parameters, sources: &dyn Sources) -> Result<Vec<Credentials>, FileError> {
    let chains: Vec<String> = p.list("smtpd_tls_chain_files").into_iter().map(|word| word.value).collect();
    if !chains.is_empty() {
        return files::chains(&chains, sources);
    }
    let pairs =
        [("smtpd_tls_eccert_file", "smtpd_tls_eckey_file"), ("smtpd_tls_cert_file", "smtpd_tls_key_file")];
    let mut found = Vec::new();
    for (certificate, key) in pairs {
        let (certificate, key) = (p.text(certificate).value, p.text(key).value);
        if !matches!(certificate.as_str(), "" | "none") {
            found.push(files::credentials(&certificate, &key, sources)?);
        }
    }
    Ok(found)
}
