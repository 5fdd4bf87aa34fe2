//! What the server finds out by itself about who sent a message, service by service.
//!
//! `komainu_dkim`, `komainu_dmarc`, `komainu_authserv_id`, `komainu_authenticity_time_limit`. Diagnostics: K0565, K0575.

use config::{Diagnostic, Parameters};
use std::time::Duration;

/// What is done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Authenticating {
    /// Strangers' mail: SPF and DKIM, written into Authentication-Results.
    pub verifies: bool,
    /// Mail of our own: signed.
    pub signs: bool,
    /// What is done about their DMARC.
    pub dmarc: Dmarc,
    /// In whose name that is written.
    pub id: String,
    /// How long it may take of the DNS.
    pub limit: Duration,
}

/// What is done about DMARC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Dmarc {
    /// Nothing.
    #[default]
    Off,
    /// It is written into Authentication-Results.
    Header,
    /// What its domain wants as well.
    Enforced {
        /// What it wants quarantined is put on hold.
        holds: bool,
    },
}

impl Dmarc {
    fn read(p: &Parameters) -> Dmarc {
        match p.text("komainu_dmarc").value.as_str() {
            "header" => Dmarc::Header,
            "enforce" => Dmarc::Enforced { holds: p.text("komainu_dmarc_quarantine").value == "hold" },
            _ => Dmarc::Off,
        }
    }

    fn check(p: &Parameters) -> Vec<Diagnostic> {
        let words = [
            ("komainu_dmarc", &["", "off", "header", "enforce"][..], "write header, enforce or off"),
            ("komainu_dmarc_quarantine", &["header", "hold"][..], "write header or hold"),
        ];
        let odd = words.into_iter().filter_map(|(name, known, help)| {
            let word = p.text(name);
            let message = format!("{name} can't be `{}`", word.value);
            let is_odd = !known.contains(&word.value.as_str());
            is_odd.then(|| Diagnostic::error(575, word.place, message).help(help))
        });
        odd.collect()
    }
}

impl Authenticating {
    /// Whether strangers' mail is looked at.
    #[must_use]
    pub fn is_on(&self) -> bool {
        self.verifies || self.dmarc != Dmarc::Off
    }

    /// What the service with these parameters does.
    #[must_use]
    pub fn read(p: &Parameters) -> Authenticating {
        let words = p.list("komainu_dkim");
        Authenticating {
            verifies: words.iter().any(|word| word.value == "verify"),
            signs: words.iter().any(|word| word.value == "sign"),
            dmarc: Dmarc::read(p),
            id: p.text("komainu_authserv_id").value,
            limit: p.duration("komainu_authenticity_time_limit"),
        }
    }

    /// What is wrong with these parameters.
    pub(super) fn check(p: &Parameters) -> Vec<Diagnostic> {
        let odd = p
            .list("komainu_dkim")
            .into_iter()
            .filter(|word| !matches!(word.value.as_str(), "verify" | "sign"));
        let said = odd.map(|word| {
            let message = format!("komainu_dkim can't be `{}`", word.value);
            Diagnostic::error(565, word.place, message).help("write verify, sign, or both")
        });
        said.chain(Dmarc::check(p)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::Dmarc;
    use crate::configuration::in_memory;
    use std::time::Duration;

    #[test]
    fn dmarc() {
        let load = |main: &str| {
            let (configuration, found) = in_memory::asking(&format!("unix:x\n{main}"), &[], 575..576);
            let rules = configuration.listeners.first().map(|one| one.receiving.authenticating.clone());
            (rules.map(|rules| (rules.dmarc, rules.is_on())), found)
        };
        for (main, expect) in [
            ("", Dmarc::Off),
            ("komainu_dmarc = off", Dmarc::Off),
            ("komainu_dmarc = header", Dmarc::Header),
            ("komainu_dmarc = enforce", Dmarc::Enforced { holds: false }),
            ("komainu_dmarc = enforce\nkomainu_dmarc_quarantine = hold", Dmarc::Enforced { holds: true }),
        ] {
            assert_eq!(load(main), (Some((expect, expect != Dmarc::Off)), Vec::new()), "{main}");
        }
        let (_, found) = load("komainu_dmarc = reject\nkomainu_dmarc_quarantine = junk");
        let said = [
            "error[K0575]: komainu_dmarc can't be `reject`",
            "K0575]: komainu_dmarc_quarantine can't be `junk`",
        ];
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(found.iter().zip(said).all(|(found, said)| found.contains(said)), "{found:?}");
    }

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
