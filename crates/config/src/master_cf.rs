//! master.cf: one service a line.

use crate::{Diagnostic, SourceFile, Spanned};
use std::sync::Arc;

/// The services of one master.cf.
#[derive(Clone, Debug, Default)]
pub struct MasterCf {
    /// In the order of the file.
    pub services: Vec<Service>,
}

impl MasterCf {
    /// Reads `file`; a line that can't be read is told and left out.
    #[must_use]
    pub fn parse(_file: &Arc<SourceFile>) -> (MasterCf, Vec<Diagnostic>) {
        (MasterCf::default(), Vec::new())
    }
}

/// The type column.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ServiceKind {
    /// A TCP port.
    Inet,
    /// A UNIX-domain socket.
    Unix,
    /// A named pipe.
    Fifo,
    /// A UNIX-domain socket over which descriptors are passed.
    Pass,
}

/// One service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    /// `smtp`, `127.0.0.1:10025`, `[::1]:submission`, `private-name`.
    pub name: Spanned<String>,
    /// The type column.
    pub kind: ServiceKind,
    /// The private column (default y).
    pub private: bool,
    /// The unpriv column (default y).
    pub unprivileged: bool,
    /// The chroot column; `None` for `-`.
    pub chroot: Option<bool>,
    /// The wakeup column in seconds; `None` for `-` and 0.
    pub wakeup: Option<u32>,
    /// The maxproc column; `None` for `-` ($default_process_limit).
    pub process_limit: Option<u32>,
    /// The command column's first word.
    pub command: Spanned<String>,
    /// Its arguments without `-o`, `-v`, `-D`.
    pub arguments: Vec<Spanned<String>>,
    /// Its `-o name=value`.
    pub overrides: Vec<Override>,
    /// How many `-v`.
    pub verbose: u8,
    /// Whether `-D` was given.
    pub debugger: bool,
}

/// One `-o name=value`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Override {
    /// The parameter.
    pub name: Spanned<String>,
    /// Its value for this service.
    pub value: Spanned<String>,
}

/// What a command of master.cf means here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// An SMTP server: a listener of ours.
    Smtpd,
    /// A listener with postscreen's tests before the SMTP server.
    Postscreen,
    /// The QMQP server.
    Qmqpd,
    /// The SMTP client (transport `smtp:`, `relay:`).
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

impl Service {
    /// What the command column means to us.
    #[must_use]
    pub fn role(&self) -> Role {
        Role::Unknown
    }
}
