//! What the command column of master.cf means to us.
//!
//! Listeners and transports are served as configured; Postfix's inner services are built in, so that their lines
//! need nothing; a few do nothing here.

/// What a command of master.cf means here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// An SMTP server: a listener of ours.
    Smtpd,
    /// A listener with postscreen's tests before the SMTP server.
    Postscreen,
    /// The QMQP server.
    Qmqpd,
    /// The SMTP client (transports `smtp:` and `relay:`).
    Smtp,
    /// The LMTP client.
    Lmtp,
    /// Delivery to local users.
    Local,
    /// Delivery to virtual mailboxes.
    Virtual,
    /// Delivery to a command.
    Pipe,
    /// A program started for each connection (policy servers).
    Spawn,
    /// A transport that throws mail away.
    Discard,
    /// A transport that returns mail.
    Error,
    /// A transport that defers mail.
    Retry,
    /// Done inside the program whether or not the line is there.
    BuiltIn,
    /// Known, read, and without effect here.
    WithoutEffect,
    /// No command of Postfix.
    Unknown,
}

pub(super) const COMMANDS: [(&str, Role); 32] = [
    ("smtpd", Role::Smtpd),
    ("postscreen", Role::Postscreen),
    ("qmqpd", Role::Qmqpd),
    ("smtp", Role::Smtp),
    ("lmtp", Role::Lmtp),
    ("local", Role::Local),
    ("virtual", Role::Virtual),
    ("pipe", Role::Pipe),
    ("spawn", Role::Spawn),
    ("discard", Role::Discard),
    ("error", Role::Error),
    ("anvil", Role::BuiltIn),
    ("bounce", Role::BuiltIn),
    ("cleanup", Role::BuiltIn),
    ("dnsblog", Role::BuiltIn),
    ("flush", Role::BuiltIn),
    ("nqmgr", Role::BuiltIn),
    ("oqmgr", Role::BuiltIn),
    ("pickup", Role::BuiltIn),
    ("postlogd", Role::BuiltIn),
    ("qmgr", Role::BuiltIn),
    ("showq", Role::BuiltIn),
    ("tlsmgr", Role::BuiltIn),
    ("tlsproxy", Role::BuiltIn),
    ("trivial-rewrite", Role::BuiltIn),
    ("verify", Role::BuiltIn),
    ("proxymap", Role::WithoutEffect),
    ("proxywrite", Role::WithoutEffect),
    ("scache", Role::WithoutEffect),
    ("fsstone", Role::WithoutEffect),
    ("nbdb_reindexd", Role::WithoutEffect),
    ("master", Role::WithoutEffect),
];

impl Role {
    pub(super) fn of(program: &str) -> Role {
        COMMANDS.iter().find(|(name, _)| *name == program).map_or(Role::Unknown, |(_, role)| *role)
    }

    /// Whether connections come to it from a port.
    #[must_use]
    pub const fn is_listener(self) -> bool {
        matches!(self, Role::Smtpd | Role::Postscreen | Role::Qmqpd)
    }

    /// Whether mail is delivered by it.
    #[must_use]
    pub const fn is_transport(self) -> bool {
        matches!(
            self,
            Role::Smtp
                | Role::Lmtp
                | Role::Local
                | Role::Virtual
                | Role::Pipe
                | Role::Discard
                | Role::Error
                | Role::Retry
        )
    }

    /// Whether the command takes arguments beside options: `user=`, `argv=`.
    pub(super) const fn takes_arguments(self) -> bool {
        matches!(self, Role::Pipe | Role::Spawn | Role::Unknown)
    }
}
