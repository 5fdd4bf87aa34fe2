//! The registry of actions: what the value of an access table may say, and what header_checks and body_checks may.
//!
//! The evaluator finds a value's action in these rows; docs/reference/actions.md is made from them. What each does
//! is in `access::action`. access(5), header_checks(5); T2.6.

use config::registry::Entry;

/// An action of access(5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    Reject,
    Defer,
    DeferIfPermit,
    DeferIfReject,
    Permit,
    Dunno,
    Warn,
    Info,
    /// What is to be done with the mail.
    OfMail(MailAction),
}

/// An action that changes what becomes of the mail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MailAction {
    Hold,
    Discard,
    Filter,
    Redirect,
    Bcc,
    Prepend,
}

const ACCESS: &str = "access tables and policy servers' answers";
const CHECKS: &str = "header_checks and body_checks";
const CHECKS_IN: &str = "header_checks and body_checks of incoming mail";

/// Actions with a word of their own, found in any case.
#[rustfmt::skip]
const WORDS: &[(Entry, Action)] = &[
    (Entry::new("BCC", ACCESS, "Sends a blind copy of the mail to the address.").takes("USER@DOMAIN").since("3.0"), Action::OfMail(MailAction::Bcc)),
    (Entry::new("DEFER", ACCESS, "Puts the client off with access_map_defer_code.").takes("[TEXT]").since("2.6"), Action::Defer),
    (Entry::new("DEFER_IF_PERMIT", ACCESS, "Puts the client off if the rest of the list would let it pass.").takes("[TEXT]").since("2.1"), Action::DeferIfPermit),
    (Entry::new("DEFER_IF_REJECT", ACCESS, "Puts the client off if the rest of the list would refuse it.").takes("[TEXT]").since("2.1"), Action::DeferIfReject),
    (Entry::new("DISCARD", ACCESS, "Accepts the mail and throws it away, for all its recipients.").takes("[TEXT]").since("2.0"), Action::OfMail(MailAction::Discard)),
    (Entry::new("DUNNO", ACCESS, "Behaves as if the key weren't there, and stops looking for less exact keys.").since("2.0"), Action::Dunno),
    (Entry::new("FILTER", ACCESS, "Sends the queued mail through a content filter, for all its recipients.").takes("TRANSPORT:NEXTHOP").since("2.0"), Action::OfMail(MailAction::Filter)),
    (Entry::new("HOLD", ACCESS, "Puts the mail on hold until somebody releases it, for all its recipients.").takes("[TEXT]").since("2.0"), Action::OfMail(MailAction::Hold)),
    (Entry::new("INFO", ACCESS, "Logs the text with what is known of the session, and goes on.").takes("[TEXT]").since("3.0"), Action::Info),
    (Entry::new("OK", ACCESS, "Lets the request pass this list; what stands behind it is never reached."), Action::Permit),
    (Entry::new("PREPEND", ACCESS, "Puts a header before the message's own; not at the end of data.").takes("NAME: VALUE").since("2.1"), Action::OfMail(MailAction::Prepend)),
    (Entry::new("REDIRECT", ACCESS, "Sends the mail to the address instead of all its recipients.").takes("USER@DOMAIN").since("2.1"), Action::OfMail(MailAction::Redirect)),
    (Entry::new("REJECT", ACCESS, "Refuses the request with access_map_reject_code.").takes("[TEXT]"), Action::Reject),
    (Entry::new("RELAY", ACCESS, "Lets the request pass as OK does; the word is sendmail's, and Postfix knows it too."), Action::Permit),
    (Entry::new("WARN", ACCESS, "Logs the text as a warning with what is known of the session, and goes on.").takes("[TEXT]").since("2.1"), Action::Warn),
];

/// Values that no word tells: by their digits, or as restrictions.
#[rustfmt::skip]
const OTHERS: &[Entry] = &[
    Entry::new("4NN", ACCESS, "Puts the client off with this code and text; 421 also ends the session.").takes("TEXT"),
    Entry::new("5NN", ACCESS, "Refuses the request with this code and text; 521 also ends the session.").takes("TEXT"),
    Entry::new("NUMBER", ACCESS, "Lets the request pass as OK does; for tables that programs fill after a log-in."),
    Entry::new("RESTRICTION", ACCESS, "Judges the restrictions that the value names, or a restriction class; tables only by a class.").takes("…"),
];

/// Actions of header_checks(5).
#[rustfmt::skip]
const CONTENT: &[Entry] = &[
    Entry::new("BCC", CHECKS_IN, "Adds a recipient that gets a blind copy of the message.").takes("USER@DOMAIN").since("3.0"),
    Entry::new("DISCARD", CHECKS_IN, "Accepts the message and throws it away for everybody.").takes("[TEXT]").since("2.0"),
    Entry::new("DUNNO", CHECKS, "Leaves this line alone and goes on with the next line of the message.").since("2.1"),
    Entry::new("FILTER", CHECKS_IN, "Sends the message through a content filter after it is queued.").takes("TRANSPORT:NEXTHOP").since("2.0"),
    Entry::new("HOLD", CHECKS_IN, "Puts the message on hold until somebody releases it.").takes("[TEXT]").since("2.0"),
    Entry::new("IGNORE", CHECKS, "Takes this line out of the message without a word in the log."),
    Entry::new("INFO", CHECKS, "Logs the line with the text, and goes on.").takes("[TEXT]").since("2.8"),
    Entry::new("PASS", CHECKS_IN, "Logs the line and skips all further checks of this message.").takes("[TEXT]").since("3.2"),
    Entry::new("PREPEND", CHECKS, "Puts a line with the text before this one.").takes("TEXT").since("2.1"),
    Entry::new("REDIRECT", CHECKS_IN, "Sends the message to the address instead of its recipients.").takes("USER@DOMAIN").since("2.1"),
    Entry::new("REJECT", CHECKS_IN, "Refuses the whole message with the text.").takes("[TEXT]"),
    Entry::new("REPLACE", CHECKS, "Puts the text in this line's place.").takes("TEXT").since("2.2"),
    Entry::new("STRIP", CHECKS, "Takes this line out of the message and logs that.").takes("[TEXT]").since("3.2"),
    Entry::new("WARN", CHECKS, "Logs the line with the text as a warning, and goes on.").takes("[TEXT]"),
];

/// What the value of an access table, or a policy server's answer, may say.
pub fn access_actions() -> impl Iterator<Item = &'static Entry> {
    WORDS.iter().map(|(entry, _)| entry).chain(OTHERS)
}

/// What header_checks and body_checks may say.
pub fn content_actions() -> impl Iterator<Item = &'static Entry> {
    CONTENT.iter()
}

/// The action that `word` is, with its name in capitals.
pub(crate) fn find(word: &str) -> Option<(&'static str, Action)> {
    let found = WORDS.iter().find(|(entry, _)| entry.name.eq_ignore_ascii_case(word));
    found.map(|(entry, action)| (entry.name, *action))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::restrictions;
    use config::registry::sentence_fault;

    #[test]
    fn sorted_and_told() {
        let words: Vec<&str> = WORDS.iter().map(|(entry, _)| entry.name).collect();
        assert!(words.is_sorted() && CONTENT.is_sorted_by_key(|entry| entry.name));
        let mut said = std::collections::HashSet::new();
        for entry in access_actions().chain(content_actions()).chain(restrictions()) {
            assert_eq!(sentence_fault(entry.sentence), None, "{}: {}", entry.name, entry.sentence);
            // An action may do what a restriction of the same name does.
            let name = entry.name.to_ascii_lowercase();
            assert!(said.insert(format!("{name} {} {}", entry.sentence, entry.place)), "{name}");
        }
    }
}
