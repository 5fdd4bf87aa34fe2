//! How a listener lets clients log in: main.cf's `smtpd_sasl_…`, compiled.

use crate::authentication::internal::Internal;
use crate::authentication::{Backend, Logins};
use config::{Diagnostic, Parameters};
use proto::sasl::server::Options;
use proto::smtp::{AuthSettings, TlsLevel};
use std::sync::Arc;
use tables::matching::{AddressList, StringList};
use tables::{Catalogue, Sources};

impl Logins {
    /// `None` where `smtpd_sasl_auth_enable` is off.
    #[must_use]
    pub fn compile(
        p: &Parameters,
        catalogue: &mut Catalogue,
        sources: &dyn Sources,
    ) -> (Option<Arc<Logins>>, Vec<Diagnostic>) {
        if !p.flag("smtpd_sasl_auth_enable") {
            return (None, Vec::new());
        }
        let (filter, mut found) =
            StringList::compile(&p.list("smtpd_sasl_mechanism_filter"), catalogue, sources, false);
        let (exceptions, more) =
            AddressList::compile(&p.list("smtpd_sasl_exceptions_networks"), catalogue, sources, false);
        found.extend(more);
        let options = |name: &str| {
            let words = p.list(name);
            Options::named(words.iter().map(|word| word.value.as_str()))
        };
        let backend = match p.text("smtpd_sasl_type").value.trim() {
            "dovecot" => Backend::Dovecot(p.text("smtpd_sasl_path").value.trim().to_owned()),
            "internal" => {
                let (internal, more) = Internal::compile(p, catalogue, sources);
                found.extend(more);
                Backend::Internal(Arc::new(internal))
            }
            _ => Backend::None,
        };
        let logins = Logins {
            backend,
            service: p.text("smtpd_sasl_service").value,
            local_domain: p.text("smtpd_sasl_local_domain").value,
            options: options("smtpd_sasl_security_options"),
            options_tls: options("smtpd_sasl_tls_security_options"),
            filter,
            exceptions,
            delay_max: p.duration("komainu_auth_delay_max"),
            header: p.flag("smtpd_sasl_authenticated_header"),
        };
        (Some(Arc::new(logins)), found)
    }
}

/// What the conversation has to know.
pub(super) fn auth_settings(p: &Parameters, level: TlsLevel) -> Option<AuthSettings> {
    p.flag("smtpd_sasl_auth_enable").then(|| AuthSettings {
        broken_clients: p.flag("broken_sasl_auth_clients"),
        // Who wants TLS for everything wants it for passwords.
        tls_only: p.flag("smtpd_tls_auth_only") || level == TlsLevel::Encrypt,
        response_limit: usize::try_from(p.number("smtpd_sasl_response_limit")).unwrap_or(0),
        ..AuthSettings::default()
    })
}
