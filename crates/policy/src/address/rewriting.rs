//! Completing an address, as trivial-rewrite does (ADDRESS_REWRITING_README, "Rewrite addresses to standard form").
//!
//! `site!user` → `user@site`, `user%site` → `user@site`, `user` → `user@$myorigin`, `user@host` →
//! `user@host.$mydomain`, each as its parameter allows, and a dot at the end of a domain is dropped.

use config::Parameters;
use mail::Address;

/// The parameters that decide how addresses are completed.
#[derive(Clone, Debug, Default)]
pub(super) struct Rewriting {
    pub(super) swap_bangpath: bool,
    pub(super) percent_hack: bool,
    pub(super) append_at_myorigin: bool,
    pub(super) append_dot_mydomain: bool,
    pub(super) myorigin: String,
    pub(super) mydomain: String,
}

impl Rewriting {
    pub(super) fn compile(parameters: &Parameters) -> Rewriting {
        let origin = parameters.text("myorigin").value.trim().to_owned();
        Rewriting {
            swap_bangpath: parameters.flag("swap_bangpath"),
            percent_hack: parameters.flag("allow_percent_hack"),
            append_at_myorigin: parameters.flag("append_at_myorigin"),
            append_dot_mydomain: parameters.flag("append_dot_mydomain"),
            myorigin: origin,
            mydomain: parameters.text("mydomain").value.trim().to_owned(),
        }
    }

    /// The same with `remote_header_rewrite_domain` for `myorigin` and `mydomain`, where that is set.
    pub(super) fn of_strangers(&self, parameters: &Parameters) -> Option<Rewriting> {
        let domain = parameters.text("remote_header_rewrite_domain").value.trim().to_owned();
        let (myorigin, mydomain) = (domain.clone(), domain.clone());
        (!domain.is_empty()).then(|| Rewriting { myorigin, mydomain, ..self.clone() })
    }

    /// The complete address; the null address stays null.
    pub(super) fn rewrite(&self, address: &Address) -> Address {
        let text = without_route(address.as_str());
        if text.is_empty() {
            return Address::null();
        }
        let mut text = self.with_domain(text);
        let absolute =
            text.ends_with('.') && !text.ends_with("..") && !text.ends_with("@.") && text.contains('@');
        if absolute {
            text.pop();
        }
        let bare = text.rsplit_once('@').is_some_and(|(_, domain)| is_bare(domain));
        if self.append_dot_mydomain && bare && !absolute && !self.mydomain.is_empty() {
            text = format!("{text}.{}", self.mydomain);
        }
        Address::from_internal(text)
    }

    /// Moves the site of a bang path or percent address behind an `@`, or appends `$myorigin`.
    fn with_domain(&self, text: &str) -> String {
        if text.contains('@') {
            return text.to_owned();
        }
        if self.swap_bangpath
            && let Some((site, user)) = text.split_once('!')
        {
            return format!("{user}@{site}");
        }
        if self.percent_hack
            && let Some((user, site)) = text.rsplit_once('%')
        {
            return format!("{user}@{site}");
        }
        if self.append_at_myorigin { format!("{text}@{}", self.myorigin) } else { text.to_owned() }
    }
}

/// Drops the route of an address that still has one (`@a:user@b`).
fn without_route(text: &str) -> &str {
    match text.split_once(':') {
        Some((_, rest)) if text.starts_with('@') => rest,
        _ => text,
    }
}

/// A domain of one label, which is no literal.
fn is_bare(domain: &str) -> bool {
    !domain.is_empty() && !domain.contains('.') && !domain.starts_with('[')
}
