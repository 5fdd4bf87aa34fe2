//! The registry of master.cf's words: types, columns, options, and the arguments of pipe and spawn.
//!
//! The type column is read by these rows; a test holds the options beside `arguments`, which reads them letter by
//! letter. docs/reference/services.md is made from them. Commands are in `role`. master(5), pipe(8), spawn(8).

use super::{ServiceKind, role};
use crate::registry::Entry;

const TYPE: &str = "second column";
const COMMON: &str = "behind any command";
const PIPE: &str = "behind pipe";
const FLAG: &str = "pipe's flags=";
const OUT: &str = "smtp's and lmtp's flags=";
const MACRO: &str = "pipe's argv=";

/// The type column.
#[rustfmt::skip]
pub(super) const KINDS: [(Entry, ServiceKind); 5] = [
    (Entry::new("inet", TYPE, "Listens on a TCP port: HOST:PORT or PORT."), ServiceKind::Inet),
    (Entry::new("unix", TYPE, "Listens on a socket of the local system, or names a transport.").partly("transports, and spawn's programs, which are started when we ask them; no socket is made"), ServiceKind::Unix),
    (Entry::new("unix-dgram", TYPE, "Listens on a datagram socket of the local system.").since("3.4").no_effect("only inner services have such"), ServiceKind::UnixDgram),
    (Entry::new("fifo", TYPE, "Listens on a named pipe; obsolete since systems have sockets.").no_effect("only inner services had such"), ServiceKind::Fifo),
    (Entry::new("pass", TYPE, "Takes open connections that postscreen hands over.").since("2.5").no_effect("postscreen's clients stay in the same program"), ServiceKind::Pass),
];

/// The columns in their order.
#[rustfmt::skip]
const COLUMNS: [Entry; 8] = [
    Entry::new("service", "first column", "Name of the service: a port, HOST:PORT, a socket's or transport's name."),
    Entry::new("type", "second column", "How the service is reached; see the types."),
    Entry::new("private", "third column", "Whether only the mail system may reach the socket; n for inet services."),
    Entry::new("unpriv", "fourth column", "Whether the service runs with the rights of mail_owner instead of root's.").no_effect("the server drops root's rights for good"),
    Entry::new("chroot", "fifth column", "Whether the service is locked into queue_directory.").no_effect("nothing runs in a root of its own; paths are the system's"),
    Entry::new("wakeup", "sixth column", "Seconds between two wake-ups of the service; 0 or - never, ? once it was used.").no_effect("inner services need no waking"),
    Entry::new("maxproc", "seventh column", "Most processes of the service at once; 0 for no limit, - for default_process_limit.").no_effect("a waiting client costs no process"),
    Entry::new("command", "eighth column", "The program that does the work, with its options."),
];

/// What may stand behind every command.
#[rustfmt::skip]
const OPTIONS: [Entry; 3] = [
    Entry::new("-o", COMMON, "Sets a parameter for this service only; no white space around the equals sign.").takes("NAME=VALUE or { NAME = VALUE }"),
    Entry::new("-v", COMMON, "Makes the service log in more detail; twice for more.").not_yet(),
    Entry::new("-D", COMMON, "Runs debugger_command with the service.").no_effect("there is no process to hand to a debugger"),
];

/// Attributes of spawn(8).
#[rustfmt::skip]
const SPAWN: [Entry; 2] = [
    Entry::new("user=", "behind spawn", "Account that the program runs as; never root or mail_owner.").takes("NAME[:GROUP]"),
    Entry::new("argv=", "behind spawn", "The program and its arguments; the last attribute.").takes("PATH …"),
];

/// The attribute of smtp(8) and lmtp(8), and its flags.
#[rustfmt::skip]
const FLAGS: [Entry; 5] = [
    Entry::new("flags=", "behind smtp and lmtp", "Letters for what is put in front of each message that goes out.").takes("DORX").since("3.5"),
    Entry::new("D", OUT, "Adds Delivered-To: and returns mail that has it already; one recipient each.").since("3.5"),
    Entry::new("O", OUT, "Adds X-Original-To: with the recipient as it was given; one recipient each.").since("3.5"),
    Entry::new("R", OUT, "Adds Return-Path: with the envelope's sender.").since("3.5"),
    Entry::new("X", OUT, "Reports deliveries as final to senders who asked for reports.").since("3.5"),
];

/// Attributes, flags and macros of pipe(8).
#[rustfmt::skip]
const PIPES: [Entry; 38] = [
    Entry::new("argv=", PIPE, "The command and its arguments, run without a shell; the last attribute.").takes("COMMAND …"),
    Entry::new("chroot=", PIPE, "Folder that the command sees as the root of its file system.").takes("PATH").since("2.3").not_yet(),
    Entry::new("directory=", PIPE, "Folder in which the command runs.").takes("PATH").since("2.2"),
    Entry::new("eol=", PIPE, "Line end of the message that the command gets, with C escapes.").takes("TEXT"),
    Entry::new("flags=", PIPE, "Letters for how the message and its addresses are changed.").takes("BDFORXhqu.>"),
    Entry::new("null_sender=", PIPE, "What $sender is for mail from the null sender.").takes("ADDRESS").since("2.3"),
    Entry::new("size=", PIPE, "Most bytes of a message; larger mail is returned.").takes("BYTES"),
    Entry::new("user=", PIPE, "Account that the command runs as; never root or mail_owner.").takes("NAME[:GROUP]"),
    Entry::new("B", FLAG, "Adds an empty line behind each message."),
    Entry::new("D", FLAG, "Adds Delivered-To: and returns mail that has it already; needs one recipient each.").since("2.0"),
    Entry::new("F", FLAG, "Puts a mailbox separator line before the message."),
    Entry::new("O", FLAG, "Adds X-Original-To: with the recipient as it was given; needs one recipient each.").since("2.0"),
    Entry::new("R", FLAG, "Adds Return-Path: with the envelope sender."),
    Entry::new("X", FLAG, "Reports the delivery as final, where a sender asked for reports.").since("2.5"),
    Entry::new("h", FLAG, "Folds domains of $nexthop, $domain and recipients to lower case."),
    Entry::new("q", FLAG, "Quotes white space and other odd characters in local parts."),
    Entry::new("u", FLAG, "Folds local parts of recipients to lower case."),
    Entry::new(".", FLAG, "Puts a dot before lines that begin with one."),
    Entry::new(">", FLAG, "Puts > before lines that begin with From and a space."),
    Entry::new("${client_address}", MACRO, "Address of the client that the mail came from.").since("2.2"),
    Entry::new("${client_helo}", MACRO, "HELO name of the client that the mail came from.").since("2.2"),
    Entry::new("${client_hostname}", MACRO, "Name of the client that the mail came from.").since("2.2"),
    Entry::new("${client_port}", MACRO, "Port of the client that the mail came from.").since("2.5"),
    Entry::new("${client_protocol}", MACRO, "Protocol by which the mail came, such as ESMTP.").since("2.2"),
    Entry::new("${domain}", MACRO, "Domain of the recipient.").since("2.5"),
    Entry::new("${envid}", MACRO, "Envelope id that the sender gave, for reports.").since("3.9"),
    Entry::new("${extension}", MACRO, "What follows recipient_delimiter in the recipient's local part."),
    Entry::new("${mailbox}", MACRO, "Local part of the recipient, with its extension."),
    Entry::new("${nexthop}", MACRO, "Nexthop that the mail is delivered to."),
    Entry::new("${original_recipient}", MACRO, "Recipient as it was before rewriting.").since("2.5"),
    Entry::new("${queue_id}", MACRO, "Queue id of the message.").since("2.11"),
    Entry::new("${recipient}", MACRO, "Full address of the recipient; with several, the argument is repeated."),
    Entry::new("${sasl_method}", MACRO, "Mechanism by which the client logged in.").since("2.2"),
    Entry::new("${sasl_sender}", MACRO, "Sender that the client gave with AUTH= in MAIL FROM.").since("2.2"),
    Entry::new("${sasl_username}", MACRO, "Name by which the client logged in.").since("2.2"),
    Entry::new("${sender}", MACRO, "Envelope sender of the message."),
    Entry::new("${size}", MACRO, "Size of the message in bytes, about."),
    Entry::new("${user}", MACRO, "Local part of the recipient without its extension."),
];

/// What the command column may name.
pub fn commands() -> impl Iterator<Item = &'static Entry> {
    role::COMMANDS.iter().map(|(entry, _)| entry)
}

/// What the type column may say.
pub fn kinds() -> impl Iterator<Item = &'static Entry> {
    KINDS.iter().map(|(entry, _)| entry)
}

/// The columns, first to last.
pub fn columns() -> impl Iterator<Item = &'static Entry> {
    COLUMNS.iter()
}

/// Options of every command, attributes of pipe and spawn, pipe's flags and macros.
pub fn options() -> impl Iterator<Item = &'static Entry> {
    OPTIONS.iter().chain(&FLAGS).chain(&SPAWN).chain(&PIPES)
}

fn is_pipes(place: &str, is_it: impl Fn(&str) -> bool) -> bool {
    PIPES.iter().any(|entry| entry.place == place && is_it(entry.name))
}

/// Whether `name`, without its `=`, is an attribute of pipe(8).
#[must_use]
pub fn is_pipe_attribute(name: &str) -> bool {
    is_pipes(PIPE, |known| known.strip_suffix('=') == Some(name))
}

/// Whether it is one of pipe(8)'s flags.
#[must_use]
pub fn is_pipe_flag(letter: char) -> bool {
    is_pipes(FLAG, |known| known.chars().eq([letter]))
}

/// Whether `${name}` stands for something behind pipe(8)'s `argv=`.
#[must_use]
pub fn is_pipe_macro(name: &str) -> bool {
    is_pipes(MACRO, |known| known.strip_prefix("${").and_then(|known| known.strip_suffix('}')) == Some(name))
}

/// Whether it is one of smtp(8)'s and lmtp(8)'s flags.
#[must_use]
pub fn is_client_flag(letter: char) -> bool {
    FLAGS.iter().any(|entry| entry.place == OUT && entry.name.chars().eq([letter]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::sentence_fault;
    use crate::{MasterCf, SourceFile};
    use std::collections::HashSet;
    use std::sync::Arc;

    #[test]
    fn each_is_told_once() {
        let mut said = HashSet::new();
        for entry in commands().chain(kinds()).chain(columns()).chain(options()) {
            assert_eq!(sentence_fault(entry.sentence), None, "{}: {}", entry.name, entry.sentence);
            assert!(
                said.insert(entry.sentence)
                    || entry.place == "behind spawn"
                    || entry.place == PIPE
                    || entry.place == OUT,
                "{}",
                entry.name
            );
        }
    }

    /// The letters that `arguments` reads are those of the rows.
    #[test]
    fn options_are_read() {
        let known = |letter: char| {
            let value = if letter == 'o' { " a=b" } else { "" };
            let text = format!("smtp inet n - n - - smtpd -{letter}{value}\n");
            MasterCf::parse(&Arc::new(SourceFile { path: "master.cf".into(), text })).1.is_empty()
        };
        let read: Vec<String> = ('!'..='~').filter(|c| known(*c)).map(|c| format!("-{c}")).collect();
        let mut rows: Vec<&str> = OPTIONS.iter().map(|entry| entry.name).collect();
        rows.sort_unstable();
        assert_eq!(read, rows);
    }

    #[test]
    fn kinds_have_their_names() {
        for (entry, kind) in KINDS {
            assert_eq!((entry.name, ServiceKind::parse(entry.name)), (kind.name(), Some(kind)));
        }
    }
}
