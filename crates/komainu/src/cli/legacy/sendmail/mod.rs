//! `sendmail`, as sendmail(1) of Postfix: how programs of this machine send mail.
//!
//! It needs no rights: [`crate::submit`] hands the message to the running server, or leaves it in the maildrop. `-bp` and
//! `-q` are postqueue's, `-bi` newaliases', `-bd` `postfix start`, `-bs` a session of SMTP on standard input. Everything
//! that goes wrong is `sendmail: fatal:` and exit code 75, as with Postfix. T2.14.

mod header;
mod intake;
mod options;
mod stand_alone;

use super::mail_queue::{Site, fatal};
use super::{getopt, postalias, postqueue};
use crate::configuration::DirectSources;
use crate::live::Live;
use crate::privileged::rights;
use crate::strerror::strerror;
use crate::submit::held::Held;
use crate::submit::senders::Senders;
use crate::submit::{Accepted, Letter, SubmitError, submit};
use config::Parameters;
use header::{Recipients, TooLong};
use intake::{Intake, LineEnds, Piece, Step};
use mail::Address;
use mail::address::AddressList;
use options::{Fatal, Mode, Options};
use proto::control::{Cause, Submission, To, Trace};
use std::ffi::OsString;
use std::io::{self, BufRead, Read};
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode, Stdio};
use tables::Catalogue;
use tables::matching::StringList;

const NAME: &str = "sendmail";
const EX_TEMPFAIL: u8 = 75;
/// As much of a line is read at once.
const PIECE_BYTES: u64 = 64 << 10;

/// Who sends, and by which configuration.
struct Sender {
    uid: u32,
    login: String,
    /// The envelope's sender.
    from: String,
    full_name: String,
    site: Site,
}

pub(crate) fn main(arguments: Vec<OsString>) -> ExitCode {
    let mut said = Vec::new();
    let read = Options::read(arguments, &mut said);
    said.iter().for_each(|line| eprintln!("{line}"));
    match read.and_then(run) {
        Ok(code) => code,
        Err(Fatal(text)) => fatal(NAME, &text, EX_TEMPFAIL),
    }
}

fn run(options: Options) -> Result<ExitCode, Fatal> {
    let words = |name: &str, words: &[&str]| -> Vec<OsString> {
        let config = options.config.iter().flat_map(|config| ["-c", config.as_str()]);
        [name].into_iter().chain(config).chain(words.iter().copied()).map(OsString::from).collect()
    };
    match &options.mode {
        Mode::List => Ok(postqueue::main(words("postqueue", &["-p"]))),
        Mode::Flush => Ok(postqueue::main(words("postqueue", &["-f"]))),
        Mode::FlushSite(site) => Ok(postqueue::main(words("postqueue", &["-s", site]))),
        Mode::FlushOne(id) => Ok(postqueue::main(words("postqueue", &["-i", id]))),
        Mode::Daemon => Ok(daemon(&words("postfix", &["start"]))),
        Mode::Aliases => Ok(postalias::newaliases(vec![OsString::from("newaliases")])),
        Mode::StandAlone => {
            let sender = sender(&options)?;
            stand_alone::converse(&sender)
        }
        Mode::Enqueue | Mode::Verify => {
            let sender = sender(&options)?;
            enqueue(&options, &sender)
        }
    }
}

/// `-bd`, `-q5m`: `postfix start` in the background. What becomes of it, nobody is told, as with Postfix.
fn daemon(words: &[OsString]) -> ExitCode {
    let (Some((name, rest)), null) = (words.split_first(), Stdio::null) else { return ExitCode::SUCCESS };
    let mut command = Command::new("/proc/self/exe");
    command.arg0(name).args(rest).stdin(null()).stdout(null()).stderr(null()).process_group(0);
    // What it says goes nowhere, either.
    let _ = command.spawn();
    ExitCode::SUCCESS
}

/// Whoever runs this, if they may send mail.
fn sender(options: &Options) -> Result<Sender, Fatal> {
    let uid = rustix::process::getuid().as_raw();
    let passwd = std::fs::read_to_string(tables::sources::PASSWD).unwrap_or_default();
    let Some(login) = rights::account_name(&passwd, uid).map(str::to_owned) else {
        return Err(Fatal(format!("no login name found for user ID {uid}")));
    };
    let site = Site::find(options.config.clone().map(folder)).map_err(Fatal)?;
    may_submit(&site.parameters, &login, uid)?;
    let full_name = match (&options.full_name, std::env::var("NAME")) {
        (Some(given), _) => given.clone(),
        (None, Ok(name)) => name,
        (None, Err(_)) => gecos(&passwd, &login),
    };
    let from = from(options, &login);
    Ok(Sender { uid, login, from, full_name, site })
}

/// `-C` names main.cf, or its folder.
fn folder(named: String) -> String {
    match named.strip_suffix("/main.cf") {
        Some(folder) => folder.to_owned(),
        None => named,
    }
}

/// `authorized_submit_users`: the server looks again at who hands it in, this is for a plain word at once.
fn may_submit(p: &Parameters, login: &str, uid: u32) -> Result<(), Fatal> {
    let mut catalogue = Catalogue::default();
    let words = p.list("authorized_submit_users");
    let (list, _) = StringList::compile(&words, &mut catalogue, &DirectSources, false);
    let (live, _) = Live::compile(catalogue, &DirectSources);
    match list.contains(&live.snapshot(), login) {
        Ok(true) => Ok(()),
        _ => Err(Fatal(format!("User {login}({uid}) is not allowed to submit mail"))),
    }
}

/// The full name in the password file: up to the first comma, `&` stands for the login name.
fn gecos(passwd: &str, login: &str) -> String {
    let line = passwd.lines().find(|line| line.split(':').next() == Some(login));
    let field = line.and_then(|line| line.split(':').nth(4)).unwrap_or_default();
    let name = field.split(',').next().unwrap_or_default();
    let mut letters = login.chars();
    let capital = letters.next().map(|first| first.to_uppercase().chain(letters).collect::<String>());
    name.replace('&', &capital.unwrap_or_default())
}

impl Sender {
    /// `alice@example.com(1000): text`
    fn fatal(&self, text: &str) -> Fatal {
        Fatal(format!("{}({}): {text}", self.from, self.uid))
    }

    /// `local_login_sender_maps`, likewise.
    fn may_use(&self, sender: &str) -> Result<(), Fatal> {
        let mut catalogue = Catalogue::default();
        let senders = Senders::compile(&self.site.parameters, &mut catalogue);
        let (live, _) = Live::compile(catalogue, &DirectSources);
        senders.judge((Some(&self.login), self.uid), sender, &live.snapshot()).map_err(Fatal)
    }

    /// Hands the letter in.
    fn submit(&self, letter: &mut Letter) -> Result<Accepted, Fatal> {
        self.may_use(&letter.submission.sender)?;
        let limit = u64::try_from(self.site.parameters.number("message_size_limit")).unwrap_or(0);
        if limit > 0 && letter.content.size() > limit {
            return Err(self.fatal("message file too big"));
        }
        let accepted = submit(&self.site.state, letter).map_err(|error| match error {
            SubmitError::TooLong(what) => {
                eprintln!("{NAME}: warning: {what}");
                self.fatal("queue file write error")
            }
            SubmitError::Refused(Cause::Forbidden, text) => Fatal(text),
            SubmitError::Drop { path, source } => {
                self.fatal(&format!("create file {}: {}", path.display(), strerror(&source)))
            }
            other => self.fatal(&other.to_string()),
        })?;
        if self.site.is_callers && accepted == Accepted::Dropped {
            let state = self.site.state.display();
            eprintln!("{NAME}: warning: left in {state}/maildrop, until a server of yours runs");
        }
        Ok(accepted)
    }

    /// `default_verp_delimiters`, or those that were given; only some characters may be.
    fn verp(&self, given: &str) -> Result<String, Fatal> {
        let p = &self.site.parameters;
        let filter = p.text("verp_delimiter_filter").value;
        let delimiters =
            if given.is_empty() { p.text("default_verp_delimiters").value } else { given.to_owned() };
        if delimiters.chars().count() == 2 && delimiters.chars().all(|c| filter.contains(c)) {
            return Ok(delimiters);
        }
        Err(Fatal(format!("-V requires two characters from {filter}")))
    }
}

fn enqueue(options: &Options, sender: &Sender) -> Result<ExitCode, Fatal> {
    if !options.extracts && options.recipients.is_empty() {
        let text = "Recipient addresses must be specified on the command line or via the -t option";
        return Err(sender.fatal(text));
    }
    let verp = options.verp.as_deref().map(|given| sender.verp(given)).transpose()?;
    let submission = Submission {
        sender: sender.from.clone(),
        full_name: sender.full_name.clone(),
        is_local: !options.is_gateway,
        // What a MIME header says of it is found where it comes in.
        eight_bit: options.eight_bit,
        smtputf8: false,
        ret: options.ret,
        envelope_id: options.envelope_id.clone(),
        verp,
        trace: match (&options.mode, options.reports) {
            (Mode::Verify, _) => Some(Trace::Probe),
            (_, true) => Some(Trace::Record),
            (_, false) => None,
        },
    };
    let is_probe = options.mode == Mode::Verify;
    let (content, extracted) = if is_probe {
        (probe(options, sender, &submission.sender)?, Vec::new())
    } else {
        read(options, sender)?
    };
    let mut addresses: Vec<Address> = Vec::new();
    for word in &options.recipients {
        let listed = listed(word);
        // An empty word means somebody, as it does for Postfix.
        if listed.is_empty() && ["", "<>"].contains(&word.trim()) {
            addresses.push(Address::null())
        } else {
            addresses.extend(listed)
        }
    }
    addresses.extend(extracted);
    if addresses.is_empty() {
        return Err(sender.fatal("No recipient addresses found in message header"));
    }
    let notify = options.notify;
    let to = |address: Address| To { address: address.as_str().to_owned(), notify, orcpt: None };
    let to = addresses.into_iter().map(to).collect();
    let is_traced = submission.trace.is_some();
    sender.submit(&mut Letter { submission, to, content })?;
    if is_traced {
        println!("Mail Delivery Status Report will be mailed to <{}>.", sender.from);
    }
    Ok(ExitCode::SUCCESS)
}

/// The addresses in a word or a header; whoever runs this may give as many as they like.
fn listed(text: &str) -> Vec<Address> {
    AddressList::parse(text.as_bytes(), usize::MAX).addresses().cloned().collect()
}

/// The envelope's sender.
fn from(options: &Options, login: &str) -> String {
    let Some(given) = &options.sender else { return login.to_owned() };
    let addresses = listed(given);
    if addresses.len() > 1 {
        let given = given.replace(|c: char| c.is_control(), "?");
        eprintln!("{NAME}: warning: -f option specified malformed sender: {given}");
    }
    addresses.first().map(|address| address.as_str().to_owned()).unwrap_or_default()
}

/// `-bv`: what stands in for a message that nobody gets.
fn probe(options: &Options, sender: &Sender, from: &str) -> Result<Held, Fatal> {
    let mut text = if from.is_empty() { String::new() } else { format!("From: {from}\n") };
    text.push_str(&format!("Subject: probe\nTo:\t{}\n", options.recipients.join(",\n\t")));
    let mut content = Held::default();
    let written = content.write(text.as_bytes());
    written.map_err(|error| sender.fatal(&format!("write message: {}", strerror(&error))))?;
    Ok(content)
}

/// The message from standard input, and with `-t` the recipients in its header.
fn read(options: &Options, sender: &Sender) -> Result<(Held, Vec<Address>), Fatal> {
    let p = &sender.site.parameters;
    let limit = u64::try_from(p.number("message_size_limit")).unwrap_or(0);
    let ends = LineEnds::parse(&p.text("sendmail_fix_line_endings").value);
    let mut intake = Intake::new(ends, options.ignores_dots);
    let mut content = Held::default();
    let header_limit = usize::try_from(p.number("header_size_limit")).unwrap_or(usize::MAX);
    let mut recipients = options.extracts.then(|| Recipients::new(header_limit));
    let mut input = io::stdin().lock();
    let (mut line, mut out) = (Vec::new(), Vec::new());
    let failed = |error: io::Error| sender.fatal(&format!("error reading input: {}", strerror(&error)));
    let mut keep = |out: &mut Vec<u8>| -> Result<(), Fatal> {
        if let Some(Err(TooLong)) = recipients.as_mut().map(|recipients| recipients.feed(out)) {
            let text = "unable to extract recipients: message header length exceeds safety limit";
            return Err(sender.fatal(text));
        }
        content.write(out).map_err(|error| sender.fatal(&format!("write message: {}", strerror(&error))))?;
        out.clear();
        // No more is read of what is too big already.
        if limit > 0 && content.size() > limit { Err(sender.fatal("message file too big")) } else { Ok(()) }
    };
    loop {
        line.clear();
        if input.by_ref().take(PIECE_BYTES).read_until(b'\n', &mut line).map_err(failed)? == 0 {
            break;
        }
        let (text, whole) = line.strip_suffix(b"\n").map_or((line.as_slice(), false), |text| (text, true));
        if intake.take(&Piece { text, whole }, &mut out) == Step::End {
            break;
        }
        if out.len() > 256 << 10 {
            keep(&mut out)?;
        }
    }
    intake.finish(&mut out);
    keep(&mut out)?;
    Ok((content, recipients.map(Recipients::addresses).unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn full_names_in_the_password_file() {
        let passwd =
            "alice:x:1000:1000:Alice Smith,Room 1,,:/h:/s\nbob:x:1:1:& & Co:/h:/s\nno:x:2:2::/h:/s\n";
        for (login, expect) in [("alice", "Alice Smith"), ("bob", "Bob Bob & Co"), ("no", ""), ("x", "")] {
            let expect = if login == "bob" { "Bob Bob Co" } else { expect };
            assert_eq!(gecos(passwd, login), expect);
        }
    }
}
