//! What is done for a recipient: a file opened for reading, a mailbox written, a program run.

use super::links::{self, Unsafe};
use super::{Agency, Whose};
use crate::clock;
use crate::deliver::command::{self, Program};
use crate::deliver::mailbox_file::{self, Kind, Message};
use crate::deliver::maildir::{self, Letter};
use crate::privileged::Identity;
use crate::privileged::wire::{Answer, LocalAct, LocalRequest};
use mail::delivered::{Changed, Lines};
use policy::local::{Account, Step};
use rustix::fd::OwnedFd;
use std::fs::File;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Names that a request may put into a program's environment.
const NAMES: &[&str] = &[
    "CLIENT_ADDRESS",
    "CLIENT_HELO",
    "CLIENT_HOSTNAME",
    "CLIENT_PROTOCOL",
    "DOMAIN",
    "EXTENSION",
    "LOCAL",
    "LOGNAME",
    "ORIGINAL_RECIPIENT",
    "RECIPIENT",
    "SASL_METHOD",
    "SASL_SENDER",
    "SASL_USERNAME",
    "SENDER",
    "USER",
];
const PATH: &str = "/usr/bin:/bin";

pub(super) fn act(
    agency: &Agency,
    request: &LocalRequest,
    whose: &Whose,
    content: Option<File>,
) -> (Answer, Option<OwnedFd>) {
    let Some(content) = content else {
        return match request.act {
            LocalAct::Look => look(request, whose),
            _ => (Answer::Temporary("4.3.0 no content came along".to_owned()), None),
        };
    };
    let mut content = content.take(request.length);
    let answer = match &request.act {
        LocalAct::Look => Answer::Temporary("4.3.0 nothing to look at".to_owned()),
        LocalAct::Mailbox => mailbox(agency, request, whose, &mut content),
        LocalAct::MailboxCommand(command) => {
            if agency.is_mailbox_command(&whose.name, command) {
                program(agency, request, whose, (command, &mut content))
            } else {
                Answer::Temporary("4.3.5 that is no mailbox_command".to_owned())
            }
        }
        LocalAct::Command(command) => program(agency, request, whose, (command, &mut content)),
        LocalAct::File(path) => file(agency, request, &whose.identity, (path, &mut content)),
    };
    (answer, None)
}

fn look(request: &LocalRequest, whose: &Whose) -> (Answer, Option<OwnedFd>) {
    let opened = whose.reading(|| match request.chain.last() {
        Some(Step::Forward { path, .. }) => {
            links::forward(path, whose.user.as_ref().map_or(0, |user| user.uid))
        }
        Some(Step::Include(path)) => links::include(path),
        _ => Err(Unsafe::Absent),
    });
    match opened {
        Ok(Ok(file)) => (Answer::Done, Some(file.into())),
        Ok(Err(Unsafe::Absent)) => (Answer::Permanent("missing".to_owned()), None),
        Ok(Err(Unsafe::Refused(text))) => (Answer::Permanent(text), None),
        Ok(Err(Unsafe::Unavailable(text))) => (Answer::Temporary(text), None),
        Err(error) => (Answer::Temporary(format!("change of rights: {error}")), None),
    }
}

/// Warnings behind the text, a line each.
fn with(text: String, warnings: &[String]) -> String {
    warnings.iter().fold(text, |text, warning| format!("{text}\n{warning}"))
}

fn mailbox(agency: &Agency, request: &LocalRequest, whose: &Whose, content: &mut dyn Read) -> Answer {
    let Some(user) = &whose.user else {
        return Answer::Temporary("4.3.5 no user".to_owned());
    };
    if user.uid == 0 && agency.switches {
        return Answer::Temporary(format!("4.3.5 user {} is root; give it an alias", user.name));
    }
    if user.name.contains('/') || user.name.starts_with('.') {
        return Answer::Temporary(format!("4.3.5 user {} has no mailbox", user.name));
    }
    let (path, in_spool) = agency.mailbox_path(user);
    let mut identity = whose.identity.clone();
    if in_spool && let Some(maker) = maker(&agency.spool_directory, &identity) {
        identity.maker = maker;
    }
    if path.ends_with('/') {
        return into_maildir(agency, request, &identity, (&path, content));
    }
    let owner = agency.strict_ownership.then_some(user.uid);
    let (outcome, warnings) = append(agency, request, &identity, (&path, Kind::Mailbox { owner }, content));
    match outcome {
        Ok(()) => Answer::Said(with("delivered to mailbox".to_owned(), &warnings)),
        Err((dsn, text)) => {
            let text = format!("{dsn} cannot update mailbox {path} for user {}. {text}", user.name);
            failed(with(text, &warnings))
        }
    }
}

/// Who makes files in a mail spool: the user where everybody may, the user in the folder's group where that may, else
/// root, in the user's group.
fn maker(folder: &str, identity: &Identity) -> Option<(u32, u32)> {
    let metadata = std::fs::metadata(folder).ok()?;
    if metadata.mode() & 0o002 != 0 || metadata.uid() == identity.uid {
        None
    } else if metadata.mode() & 0o020 != 0 {
        Some((identity.uid, metadata.gid()))
    } else {
        Some((0, identity.gid))
    }
}

fn file(
    agency: &Agency,
    request: &LocalRequest,
    identity: &Identity,
    (path, content): (&str, &mut dyn Read),
) -> Answer {
    if path.ends_with('/') {
        return into_maildir(agency, request, identity, (path, content));
    }
    let (outcome, warnings) = append(agency, request, identity, (path, Kind::Any, content));
    match outcome {
        Ok(()) => Answer::Said(with(format!("delivered to file: {path}"), &warnings)),
        Err((dsn, text)) => {
            failed(with(format!("{dsn} cannot append message to file {path}: {text}"), &warnings))
        }
    }
}

fn failed(text: String) -> Answer {
    if text.starts_with('4') { Answer::Temporary(text) } else { Answer::Permanent(text) }
}

type Appended = (Result<(), (String, String)>, Vec<String>);

fn append(
    agency: &Agency,
    request: &LocalRequest,
    identity: &Identity,
    (path, kind, content): (&str, Kind, &mut dyn Read),
) -> Appended {
    let head = [request.from_line.as_slice(), request.head.as_slice()].concat();
    let mut content = Changed::new(content, Lines::mailbox());
    let message =
        Message { head: &head, content: &mut content, length: request.length, limit: agency.mailbox_limit };
    let done =
        identity.act(|| mailbox_file::append(Path::new(path), kind, message, (&agency.locks, identity)));
    match done {
        Ok((outcome, warnings)) => {
            (outcome.map_err(|error| (error.cause.local().to_string(), error.text)), warnings)
        }
        Err(error) => (Err(("4.3.0".to_owned(), format!("change of rights: {error}"))), Vec::new()),
    }
}

fn into_maildir(
    agency: &Agency,
    request: &LocalRequest,
    identity: &Identity,
    (path, content): (&str, &mut dyn Read),
) -> Answer {
    let path = PathBuf::from(path);
    let letter = Letter {
        head: &request.head,
        content,
        host: &agency.host,
        now: clock::now().wall,
        limit: agency.mailbox_limit,
        quota: None,
    };
    match identity.act(|| maildir::deliver(&path, letter, identity)) {
        Ok(Ok(_)) => Answer::Said("delivered to maildir".to_owned()),
        Ok(Err(error)) => {
            // What isn't the owner's to mend waits for who can.
            let dsn = error.cause().virtual_();
            failed(with(format!("{dsn} maildir delivery failed: {error}"), &error.warnings(identity)))
        }
        Err(error) => failed(format!("4.3.0 change of rights: {error}")),
    }
}

fn program(
    agency: &Agency,
    request: &LocalRequest,
    whose: &Whose,
    (command, content): (&str, &mut dyn Read),
) -> Answer {
    let filtered = |value: &str| -> String {
        value.chars().map(|c| if agency.command_filter.contains(c) { c } else { '_' }).collect()
    };
    let mut environment = agency.exported.clone();
    environment.push(("PATH".to_owned(), PATH.to_owned()));
    for (name, value) in &request.environment {
        if NAMES.contains(&name.as_str()) {
            environment.push((name.clone(), filtered(value)));
        }
    }
    if let Some(user) = &whose.user {
        environment.push(("HOME".to_owned(), filtered(&user.home)));
        environment.push(("SHELL".to_owned(), filtered(&user.shell)));
    }
    let program = Program {
        argv: command::words(command, &agency.shell),
        shown: command.to_owned(),
        environment,
        directory: agency.directory(whose),
        ids: whose.identity.switches.then_some((whose.identity.uid, whose.identity.gid)),
        time_limit: agency.time_limit,
        file_bytes_max: agency.mailbox_limit,
        ending: agency.ending().clone(),
    };
    let head = [request.from_line.as_slice(), request.head.as_slice()].concat();
    let mut input = head.as_slice().chain(content);
    match command::run(&program, &mut input).verdict(command, "local") {
        Ok(_) => Answer::Said(format!("delivered to command: {command}")),
        Err(failure) => failed(with(format!("{} {}", failure.dsn, failure.text), &failure.warnings)),
    }
}

impl Agency {
    /// A user's mailbox, and whether it is in the spool.
    pub(super) fn mailbox_path(&self, user: &Account) -> (String, bool) {
        if self.home_mailbox.is_empty() {
            let slash = if self.spool_directory.ends_with('/') { "/" } else { "" };
            (format!("{}/{}{slash}", self.spool_directory.trim_end_matches('/'), user.name), true)
        } else {
            (format!("{}/{}", user.home.trim_end_matches('/'), self.home_mailbox), false)
        }
    }

    fn directory(&self, whose: &Whose) -> String {
        let asked = self.local.execution_directory(&whose.attributes());
        if !asked.is_empty() {
            return asked;
        }
        self.plain_directory()
    }

    /// Where commands run by default.
    pub(super) fn plain_directory(&self) -> String {
        // The spool is nobody's but ours.
        let open =
            std::fs::metadata(&self.queue_directory).is_ok_and(|metadata| metadata.mode() & 0o001 != 0);
        if open || !self.switches { self.queue_directory.clone() } else { "/".to_owned() }
    }

    fn is_mailbox_command(&self, user: &str, command: &str) -> bool {
        self.local
            .mailbox_command_of(user, &*self.books.now())
            .is_ok_and(|found| found.as_deref() == Some(command))
    }
}
