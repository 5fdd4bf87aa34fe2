//! The mechanisms that are spoken here without anybody else's server, and what Dovecot says of them in its handshake.

use super::Flags;

/// A mechanism of our own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Own {
    /// The password itself (RFC 4616).
    Plain,
    /// The password itself, in two answers.
    Login,
    /// Bound to the TLS session (RFC 7677, RFC 5802 §6).
    ScramSha256Plus,
    /// The client shows that it knows the password, and the server that it knows the user (RFC 7677).
    ScramSha256,
    /// The same with an older hash (RFC 5802).
    ScramSha1,
    /// A hash with the server's challenge (RFC 2195). What is stored for it is as good as the password.
    CramMd5,
    /// Who the certificate says (RFC 4422, appendix A).
    External,
}

impl Own {
    /// All of them, in the order in which they are offered.
    pub const ALL: [Own; 7] = [
        Own::Plain,
        Own::Login,
        Own::ScramSha256Plus,
        Own::ScramSha256,
        Own::ScramSha1,
        Own::CramMd5,
        Own::External,
    ];

    /// As it is offered.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Own::Plain => "PLAIN",
            Own::Login => "LOGIN",
            Own::ScramSha256Plus => "SCRAM-SHA-256-PLUS",
            Own::ScramSha256 => "SCRAM-SHA-256",
            Own::ScramSha1 => "SCRAM-SHA-1",
            Own::CramMd5 => "CRAM-MD5",
            Own::External => "EXTERNAL",
        }
    }

    /// By its name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Own> {
        Own::ALL.into_iter().find(|one| one.name().eq_ignore_ascii_case(name))
    }

    /// What it gives and lacks, as Dovecot says it.
    #[must_use]
    pub fn flags(self) -> Flags {
        match self {
            Own::Plain | Own::Login => Flags::PLAINTEXT,
            Own::ScramSha256Plus | Own::ScramSha256 | Own::ScramSha1 => Flags::MUTUAL_AUTH,
            Own::CramMd5 => Flags::DICTIONARY | Flags::ACTIVE,
            Own::External => Flags::default(),
        }
    }
}
