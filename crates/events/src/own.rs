//! What Postfix has no words for: our own events.
//!
//! All begin with `komainu: `, so that log tools made for Postfix pass over them, and neither end nor begin
//! as a line of Postfix's would.

use crate::record::{Record, Text};
use crate::{Severity, scan};
use std::fmt;

words! {
    /// What happened.
    Matter {
        /// A DNS list answers wrongly or not at all, and is skipped.
        ZoneUnhealthy = "zone unhealthy",
        /// It answers rightly again.
        ZoneHealthy = "zone healthy",
        /// A changed table is in force.
        TableReloaded = "table reloaded",
        /// A changed table is not taken; the one before stays in force.
        TableKept = "table kept",
        /// The changed configuration is in force.
        Reloaded = "configuration reloaded",
        /// The changed configuration is not taken; the one before stays in force.
        ReloadRefused = "reload refused",
        /// Who answers a policy endpoint.
        PolicyAnswered = "policy endpoint",
        /// All mail refused for want of room, or taken again.
        Space = "disk space",
        /// The house is nearly full, or full.
        Overload = "overload",
        /// It isn't any more.
        OverloadOver = "overload over",
        /// No more connections can be opened.
        Descriptors = "descriptors",
        /// A client of a network that is banned is refused, or its session ended.
        ShutOut = "shut out",
        /// A defect of ours, met by one session.
        Bug = "bug",
    }
}

record! {
    /// `komainu: table kept: hash:/etc/postfix/access; more than half of it is gone`
    Own<'a> {
        /// What happened.
        matter: Matter,
        /// To what: a zone, a table, a folder.
        subject: Text<'a>,
        /// Why, or what it means.
        text: Text<'a>,
    }
}

impl<'a> Own<'a> {
    /// An event of our own. Neither `subject` nor a place in it may hold `; `.
    pub fn new(matter: Matter, subject: impl Into<Text<'a>>, text: impl Into<Text<'a>>) -> Own<'a> {
        Own { matter, subject: subject.into(), text: text.into() }
    }
}

impl<'a> Record<'a> for Own<'a> {
    fn read(text: &'a str) -> Option<Self> {
        let (matter, rest) = text.strip_prefix("komainu: ")?.split_once(": ")?;
        let (subject, text) = scan::until(rest, "; ")?;
        Some(Own { matter: Matter::from_word(matter)?, subject: subject.into(), text: text.into() })
    }
    fn write(&self, out: &mut dyn fmt::Write) -> fmt::Result {
        write!(out, "komainu: {}: {}; {}", self.matter, self.subject, self.text)
    }
    fn severity(&self) -> Severity {
        match self.matter {
            Matter::ZoneUnhealthy
            | Matter::TableKept
            | Matter::Space
            | Matter::Overload
            | Matter::Descriptors => Severity::Warning,
            Matter::ReloadRefused => Severity::Error,
            Matter::Bug => Severity::Critical,
            Matter::ZoneHealthy
            | Matter::TableReloaded
            | Matter::Reloaded
            | Matter::PolicyAnswered
            | Matter::ShutOut
            | Matter::OverloadOver => Severity::Info,
        }
    }
}
