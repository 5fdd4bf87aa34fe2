//! `receive_override_options`: steps of reception that one service leaves out, for mail that comes back from a content
//! filter or goes to one (FILTER_README; T1.14, T2.30).
//!
//! Words that Postfix doesn't know are `config`'s to refuse (K0109). What restrictions make of
//! `no_unknown_recipient_checks` is `policy`'s.

use config::Parameters;

/// What is left out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Skipped {
    /// `no_address_mappings`: canonical addresses, masquerading, virtual aliases, automatic copies.
    pub mappings: bool,
    /// `no_header_body_checks`
    pub checks: bool,
    /// `no_milters`
    pub milters: bool,
}

impl Skipped {
    /// What the service with these parameters leaves out.
    #[must_use]
    pub fn read(service: &Parameters) -> Skipped {
        let words = service.list("receive_override_options");
        let has = |name: &str| words.iter().any(|word| word.value == name);
        Skipped {
            mappings: has("no_address_mappings"),
            checks: has("no_header_body_checks"),
            milters: has("no_milters"),
        }
    }
}
