//! An e-mail address as an envelope carries it (RFC 5321 §4.1.2).
//!
//! The *internal* form has no quotes (`"a b"@example.org` is `a b@example.org` inside); the *external* form,
//! for the wire, the log and headers, has them where RFC 5321 wants them. Routing looks at the last `@`.

mod list;
mod path;

pub use list::{AddressList, Member, fuzz_list};
pub use path::{PathError, PathSyntax, bad_recipient_syntax, bad_sender_syntax, fuzz_path};

/// An address in internal form; the empty one is the null sender `<>`. Whoever wrote it, it holds no CR, LF or NUL, so
/// that it ends no line of a command, a header, a mailbox or the log.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Address(String);

impl Address {
    /// The null sender.
    #[must_use]
    pub const fn null() -> Address {
        Address(String::new())
    }

    /// From internal form. A blank stands for what would end a line.
    #[must_use]
    pub fn from_internal(text: impl Into<String>) -> Address {
        let text: String = text.into();
        match crate::line::one(&text) {
            std::borrow::Cow::Owned(text) => Address(text),
            std::borrow::Cow::Borrowed(_) => Address(text),
        }
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

    /// The external form: the local part in quotes where RFC 5322 wants them (`"a b"@example.org`). The null
    /// sender stays empty.
    #[must_use]
    pub fn to_external(&self) -> String {
        if self.is_null() {
            return String::new();
        }
        let local = quote_local(self.local());
        match self.domain() {
            Some(domain) => format!("{local}@{domain}"),
            None => local,
        }
    }
}

/// A local part in external form.
fn quote_local(local: &str) -> String {
    if is_dot_string(local) {
        return local.to_owned();
    }
    let mut text = String::with_capacity(local.len() + 2);
    text.push('"');
    for c in local.chars() {
        if matches!(c, '"' | '\\') {
            text.push('\\');
        }
        text.push(c);
    }
    text.push('"');
    text
}

/// Whether a local part needs no quotes: atoms parted by single dots. UTF-8 counts as atom text (RFC 6532).
fn is_dot_string(local: &str) -> bool {
    let plain = |c: char| !c.is_ascii_control() && !" ()<>@,;:\"\\[]".contains(c);
    local.split('.').all(|atom| !atom.is_empty() && atom.chars().all(plain))
}

impl std::fmt::Display for Address {
    /// The external form.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.to_external())
    }
}

#[cfg(test)]
mod tests;
