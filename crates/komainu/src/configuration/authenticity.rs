//! What the server finds out by itself about who sent a message, service by service.
//!
//! `komainu_dkim`, `komainu_authserv_id`, `komainu_authenticity_time_limit`. Diagnostic: K0565.

use config::{Diagnostic, Parameters};
use std::time::Duration;

/// What is done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Authenticating {
    /// Strangers' mail: SPF and DKIM, written into Authentication-Results.
    pub verifies: bool,
    /// In whose name that is written.
    pub id: String,
    /// How long it may take of the DNS.
    pub limit: Duration,
}

impl Authenticating {
    /// What the service with these parameters does.
    #[must_use]
    pub fn read(p: &Parameters) -> Authenticating {
        let words = p.list("komainu_dkim");
        Authenticating {
            verifies: words.iter().any(|word| word.value == "verify"),
            id: p.text("komainu_authserv_id").value,
            limit: p.duration("komainu_authenticity_time_limit"),
        }
    }

    /// What is wrong with these parameters.
    pub(super) fn check(p: &Parameters) -> Vec<Diagnostic> {
        let odd = p.list("komainu_dkim").into_iter().filter(|word| word.value != "verify");
        let said = odd.map(|word| {
            let message = format!("komainu_dkim can't be `{}`", word.value);
            Diagnostic::error(565, word.place, message).help("write verify, or nothing")
        });
        said.collect()
    }
}

#[cfg(test)]
mod tests {
    use crate::configuration::in_memory;
    use std::time::Duration;

    #[test]
    fn words() {
        let load = |main: &str| in_memory::asking(&format!("unix:x\n{main}"), &[], 565..566);
        let (configuration, found) = load("komainu_dkim = verify\nmyhostname = mx.example.com");
        assert_eq!(found, Vec::<String>::new());
        let rules = configuration.listeners.first().map(|one| one.receiving.authenticating.clone());
        let rules = rules.expect("a server");
        assert!(rules.verifies && rules.id == "mx.example.com" && rules.limit == Duration::from_secs(10));
        let (_, found) = load("komainu_dkim = verify, pass");
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(
            found.iter().all(|one| one.contains("error[K0565]: komainu_dkim can't be `pass`")),
            "{found:?}"
        );
    }
}
