//! Addresses in headers, rewritten as those of the envelope: `From: joe` is `From: joe@myorigin`, and canonical tables
//! and masquerading apply (ADDRESS_REWRITING_README).
//!
//! One header at a time; which headers hold addresses says `mail::message`. A header in which nothing changes stays as
//! it was, byte for byte.

use super::{AddressClasses, Lookup, Use};
use mail::header::Header;
use mail::{Address, AddressList, Member};

/// Whose mail it is: `local_header_rewrite_clients`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Our own, which is completed with `myorigin` and `mydomain`.
    Local,
    /// A stranger's: its headers are left alone, or completed with `remote_header_rewrite_domain`.
    Remote,
}

/// A header with other addresses, and what is odd about them, for the log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RewrittenHeader {
    /// The header, folded, without its last line end; `None` where nothing changed.
    pub text: Option<Vec<u8>>,
    /// Texts of warnings.
    pub warnings: Vec<String>,
}

impl AddressClasses {
    /// Whether headers of such mail are rewritten at all.
    #[must_use]
    pub fn rewrites_headers(&self, origin: Origin) -> bool {
        origin == Origin::Local || self.remote.is_some()
    }

    /// Rewrites a header that holds addresses.
    ///
    /// # Errors
    /// What the tables answer with when they can't, with the parameter's name.
    pub fn rewrite_header<L: Lookup>(
        &self,
        part: Use,
        header: &Header<'_>,
        origin: Origin,
        tables: &L,
    ) -> Result<RewrittenHeader, (&'static str, L::Stop)> {
        let mut list = AddressList::parse(header.value, self.header_tokens_max);
        let mut warnings = Vec::new();
        list.replace(|member| {
            let complete = self.completed_in(member, origin);
            let done = self.canonical(part, &complete, tables)?;
            warnings.extend(done.warnings);
            Ok(Some(done.address))
        })?;
        let text = list.is_changed().then(|| list.render(header.name));
        Ok(RewrittenHeader { text, warnings })
    }

    /// The same without any table, and without masquerading: addresses are only made complete.
    #[must_use]
    pub fn complete_header(&self, header: &Header<'_>, origin: Origin) -> RewrittenHeader {
        let mut list = AddressList::parse(header.value, self.header_tokens_max);
        // It never stops.
        let _ =
            list.replace(|member| Ok::<_, std::convert::Infallible>(Some(self.completed_in(member, origin))));
        RewrittenHeader { text: list.is_changed().then(|| list.render(header.name)), warnings: Vec::new() }
    }

    fn completed_in(&self, member: Member<'_>, origin: Origin) -> Address {
        let rewriting = match (origin, &self.remote) {
            (Origin::Remote, Some(remote)) => remote,
            _ => &self.rewriting,
        };
        if member.has_domain || member.address.is_null() || !rewriting.append_at_myorigin {
            return rewriting.rewrite(member.address);
        }
        if !member.address.as_str().contains('@') {
            return rewriting.rewrite(member.address);
        }
        // Its `@` stood in quotes.
        Address::from_internal(format!("{}@{}", member.address.as_str(), rewriting.myorigin))
    }
}
