//! An e-mail address as an envelope carries it (RFC 5321 §4.1.2).
//!
//! The *internal* form has no quotes (`"a b"@example.org` is `a b@example.org` inside); the *external* form,
//! for the wire, the log and headers, has them where RFC 5321 wants them. Routing looks at the last `@`.

/// An address in internal form; the empty one is the null sender `<>`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Address(String);

impl Address {
    /// The null sender.
    #[must_use]
    pub const fn null() -> Address {
        Address(String::new())
    }

    /// From internal form.
    #[must_use]
    pub fn from_internal(text: impl Into<String>) -> Address {
        Address(text.into())
    }

    /// The internal form.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether this is the null sender.
    #[must_use]
    pub fn is_null(&self) -> bool {
        self.0.is_empty()
    }

    /// What stands before the last `@`, or all of it.
    #[must_use]
    pub fn local(&self) -> &str {
        self.0.rsplit_once('@').map_or(self.0.as_str(), |(local, _)| local)
    }

    /// What stands behind the last `@`.
    #[must_use]
    pub fn domain(&self) -> Option<&str> {
        self.0.rsplit_once('@').map(|(_, domain)| domain)
    }
}
