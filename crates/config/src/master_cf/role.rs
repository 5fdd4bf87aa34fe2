//! What the command column of master.cf means to us.
//!
//! Listeners and transports are served as configured; Postfix's inner services are built in, so that their lines
//! need nothing; a few do nothing here. docs/reference/services.md is made from these rows.

use crate::registry::Entry;

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

const LISTENER: &str = "a service of type inet or pass";
const TRANSPORT: &str = "a transport: type unix";
const INNER: &str = "an inner service";

/// Every command, with what it means.
#[rustfmt::skip]
pub(super) const COMMANDS: [(Entry, Role); 32] = [
    (Entry::new("smtpd", LISTENER, "Receives mail by SMTP: port 25, submission, or behind a content filter."), Role::Smtpd),
    (Entry::new("postscreen", LISTENER, "Tests clients before the SMTP server gets them; stands on port 25 in its place.").since("2.8"), Role::Postscreen),
    (Entry::new("qmqpd", LISTENER, "Receives mail by QMQP from trusted hosts.").not_yet(), Role::Qmqpd),
    (Entry::new("smtp", TRANSPORT, "Delivers mail to other hosts by SMTP; the transports smtp and relay.").takes("flags=LETTERS"), Role::Smtp),
    (Entry::new("lmtp", TRANSPORT, "Delivers mail by LMTP, to an IMAP server for one.").takes("flags=LETTERS"), Role::Lmtp),
    (Entry::new("local", TRANSPORT, "Delivers mail to UNIX accounts, with aliases and .forward files."), Role::Local),
    (Entry::new("virtual", TRANSPORT, "Delivers mail to mailboxes that need no UNIX accounts."), Role::Virtual),
    (Entry::new("pipe", TRANSPORT, "Delivers mail to a command.").takes("user=NAME argv=COMMAND …"), Role::Pipe),
    (Entry::new("spawn", INNER, "Starts a program for each connection, such as a policy server.").takes("user=NAME argv=COMMAND …"), Role::Spawn),
    (Entry::new("discard", TRANSPORT, "Takes mail as delivered and throws it away.").since("2.2"), Role::Discard),
    (Entry::new("error", TRANSPORT, "Returns mail as undeliverable, or puts it off as the service retry."), Role::Error),
    (Entry::new("anvil", INNER, "Counts connections and requests of each client for the rate limits.").since("2.0"), Role::BuiltIn),
    (Entry::new("bounce", INNER, "Records failed deliveries and writes bounces; also the services defer and trace."), Role::BuiltIn),
    (Entry::new("cleanup", INNER, "Puts incoming mail in order, rewrites addresses, and queues it."), Role::BuiltIn),
    (Entry::new("dnsblog", INNER, "Asks DNS lists for postscreen and logs what they say.").since("2.8"), Role::BuiltIn),
    (Entry::new("flush", INNER, "Remembers which mail waits for which destination, for ETRN."), Role::BuiltIn),
    (Entry::new("nqmgr", INNER, "Former name of the queue manager qmgr.").instead("qmgr"), Role::BuiltIn),
    (Entry::new("oqmgr", INNER, "The queue manager of old, without overtaking.").since("2.0"), Role::BuiltIn),
    (Entry::new("pickup", INNER, "Collects mail that sendmail has dropped."), Role::BuiltIn),
    (Entry::new("postlogd", INNER, "Writes maillog_file for the other daemons.").since("3.4"), Role::BuiltIn),
    (Entry::new("qmgr", INNER, "Schedules deliveries and tries them again."), Role::BuiltIn),
    (Entry::new("showq", INNER, "Lists the queue for mailq."), Role::BuiltIn),
    (Entry::new("tlsmgr", INNER, "Keeps TLS sessions, ticket keys and randomness.").since("2.2"), Role::BuiltIn),
    (Entry::new("tlsproxy", INNER, "Does TLS for postscreen, and for connections that are kept open.").since("2.8"), Role::BuiltIn),
    (Entry::new("trivial-rewrite", INNER, "Rewrites addresses and finds transport and nexthop of each."), Role::BuiltIn),
    (Entry::new("verify", INNER, "Remembers which addresses can be delivered to.").since("2.1"), Role::BuiltIn),
    (Entry::new("proxymap", INNER, "Reads tables for chrooted daemons.").since("2.0").no_effect("tables are opened by the helper, which needs no such service"), Role::WithoutEffect),
    (Entry::new("proxywrite", INNER, "Writes tables for daemons that share them.").since("2.5").no_effect("tables are opened by the helper, which needs no such service"), Role::WithoutEffect),
    (Entry::new("scache", INNER, "Keeps outgoing connections open for the next mail.").since("2.2").no_effect("no connections are kept between processes"), Role::WithoutEffect),
    (Entry::new("fsstone", INNER, "Measures how fast files are made; a program of Postfix's tests.").no_effect("it serves nobody"), Role::WithoutEffect),
    (Entry::new("nbdb_reindexd", INNER, "Rebuilds Berkeley DB tables in another type.").since("3.11").no_effect("tables are served from their source text"), Role::WithoutEffect),
    (Entry::new("master", INNER, "Starts the other daemons; not a service itself.").no_effect("Komainu is one program"), Role::WithoutEffect),
];

impl Role {
    pub(super) fn of(program: &str) -> Role {
        COMMANDS.iter().find(|(entry, _)| entry.name == program).map_or(Role::Unknown, |(_, role)| *role)
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

    /// Whether the command takes `flags=` beside options.
    pub(super) const fn takes_flags(self) -> bool {
        matches!(self, Role::Smtp | Role::Lmtp)
    }

    /// Whether the command takes arguments beside options: `user=`, `argv=`.
    pub(super) const fn takes_arguments(self) -> bool {
        matches!(self, Role::Pipe | Role::Spawn | Role::Unknown)
    }
}
