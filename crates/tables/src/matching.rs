//! The match lists of postconf(5): domains, host addresses, texts.

use crate::catalogue::Catalogue;
use crate::snapshot::Snapshot;
use crate::sources::Sources;
use crate::table::LookupError;
use config::{Diagnostic, Spanned};
use std::net::IpAddr;

macro_rules! list {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, Default)]
        pub struct $name {}
        impl $name {
            /// Compiles the words of a list.
            #[must_use]
            pub fn compile(
                _words: &[Spanned<String>],
                _catalogue: &mut Catalogue,
                _sources: &dyn Sources,
                _parent_matches_subdomains: bool,
            ) -> ($name, Vec<Diagnostic>) {
                ($name {}, Vec::new())
            }
        }
    };
}

list!(
    /// A list of domains: `example.com`, `.example.com`, `!`, `/file`, `type:table`.
    DomainList
);
list!(
    /// A list of hosts by name and address.
    AddressList
);
list!(
    /// A list of texts.
    StringList
);

impl DomainList {
    /// Whether `domain` is in the list.
    ///
    /// # Errors
    /// When a table can't say.
    pub fn contains(&self, _snapshot: &Snapshot, _domain: &str) -> Result<bool, LookupError> {
        Ok(false)
    }
}

impl AddressList {
    /// Whether the host of this name and address is in the list.
    ///
    /// # Errors
    /// When a table can't say.
    pub fn contains(&self, _snapshot: &Snapshot, _name: &str, _address: IpAddr) -> Result<bool, LookupError> {
        Ok(false)
    }

    /// Whether the address is in the list.
    ///
    /// # Errors
    /// When a table can't say.
    pub fn contains_address(&self, _snapshot: &Snapshot, _address: IpAddr) -> Result<bool, LookupError> {
        Ok(false)
    }
}

impl StringList {
    /// Whether `text` is in the list.
    ///
    /// # Errors
    /// When a table can't say.
    pub fn contains(&self, _snapshot: &Snapshot, _text: &str) -> Result<bool, LookupError> {
        Ok(false)
    }
}
