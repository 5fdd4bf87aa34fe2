//! A `pipe` line of master.cf: how a message is handed to its program (pipe(8)).
//!
//! Read and expanded where the program is started: a request brings values for macros, never a program or its words. No shell
//! sees any of them. `chroot=` is not served: mail for such a line waits.

use crate::deliver::command::Program;
use crate::deliver::ending::Ending;
use config::master_cf::words::{is_pipe_flag, is_pipe_macro};
use config::{Parameters, Service};
use mail::Address;
use mail::delivered::{self, Lines};
use std::time::Duration;

/// One line.
#[derive(Clone, Debug)]
pub struct PipeService {
    /// The transport's name.
    pub name: String,
    flags: String,
    user: String,
    group: Option<String>,
    argv: Vec<String>,
    directory: Option<String>,
    has_chroot: bool,
    eol: Vec<u8>,
    null_sender: String,
    /// `size=`; 0 for any.
    pub size_max: u64,
    time_limit: Duration,
    delimiters: String,
    /// What pipe(8) can't read of it.
    fault: Option<String>,
}

/// What a message's macros stand for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PipeValues {
    /// The envelope sender.
    pub sender: String,
    /// Each recipient, and as it was before any rewriting.
    pub recipients: Vec<(String, String)>,
    /// To whom the transport hands it.
    pub nexthop: String,
    /// `client_address`, `queue_id`, `size` …
    pub others: Vec<(String, String)>,
}

impl PipeService {
    /// The command's path.
    #[must_use]
    pub fn command(&self) -> &str {
        self.argv.first().map_or("", String::as_str)
    }

    /// Reads a line; `None` where it is of another kind.
    #[must_use]
    pub fn read(service: &Service, p: &Parameters) -> Option<PipeService> {
        if service.role() != config::Role::Pipe {
            return None;
        }
        let name = service.name.value.clone();
        let (p, _) = p.with_overrides(&service.overrides);
        let limit = format!("{name}_time_limit");
        let time_limit = if p.is_set(&limit) { p.duration(&limit) } else { p.duration("command_time_limit") };
        let mut line = PipeService {
            name,
            flags: String::new(),
            user: String::new(),
            group: None,
            argv: Vec::new(),
            directory: None,
            has_chroot: false,
            eol: b"\n".to_vec(),
            null_sender: "MAILER-DAEMON".to_owned(),
            size_max: 0,
            time_limit,
            delimiters: p.text("recipient_delimiter").value,
            fault: None,
        };
        for argument in &service.arguments {
            let text = argument.value.as_str();
            let bare = text.strip_prefix('{').and_then(|text| text.strip_suffix('}')).map_or(text, str::trim);
            if line.argv.is_empty() {
                line.attribute(bare);
            } else {
                line.argv.push(bare.to_owned());
            }
        }
        Some(line)
    }

    fn attribute(&mut self, text: &str) {
        let (name, value) = text.split_once('=').unwrap_or((text, ""));
        match name.trim() {
            "flags" => {
                value.clone_into(&mut self.flags);
                if let Some(letter) = value.chars().find(|letter| !is_pipe_flag(*letter)) {
                    self.fault = Some(format!("unknown flag: {letter}"));
                }
            }
            "user" => {
                let (user, group) = value.split_once(':').map_or((value, None), |(u, g)| (u, Some(g)));
                user.clone_into(&mut self.user);
                self.group = group.map(str::to_owned);
            }
            "directory" => self.directory = Some(value.to_owned()),
            "chroot" => self.has_chroot = true,
            "eol" => self.eol = unescaped(value),
            "null_sender" => value.clone_into(&mut self.null_sender),
            "size" => match value.parse() {
                Ok(size) => self.size_max = size,
                Err(_) => self.fault = Some(format!("bad size: {value}")),
            },
            "argv" => self.argv.push(value.to_owned()),
            _ => self.fault = Some(format!("unknown attribute: {text}")),
        }
    }

    /// Whether this flag is set.
    #[must_use]
    pub fn has(&self, flag: char) -> bool {
        self.flags.contains(flag)
    }

    /// The user and the group, by name. `None` for what may not be: root.
    ///
    /// # Errors
    /// Why it may not run so.
    pub(super) fn ids(&self, passwd: &str, group: &str) -> Result<(u32, u32), String> {
        let account = policy::local::Account::find(passwd, &self.user)
            .ok_or_else(|| format!("4.3.5 {}: no user {}", self.name, self.user))?;
        let gid = match &self.group {
            None => account.gid,
            Some(name) => group
                .lines()
                .find(|line| line.split(':').next() == Some(name))
                .and_then(|line| line.split(':').nth(2)?.parse().ok())
                .ok_or_else(|| format!("4.3.5 {}: no group {name}", self.name))?,
        };
        if account.uid == 0 || gid == 0 {
            return Err(format!("4.3.5 {}: user= command-line attribute specifies root", self.name));
        }
        Ok((account.uid, gid))
    }

    /// The program for a message.
    ///
    /// # Errors
    /// What the line lacks.
    pub(super) fn program(
        &self,
        values: &PipeValues,
        (ids, directory): (Option<(u32, u32)>, &str),
        environment: Vec<(String, String)>,
    ) -> Result<Program, String> {
        if self.has_chroot {
            return Err(format!("4.3.5 {}: chroot= is not served", self.name));
        }
        if self.argv.is_empty() {
            return Err(format!("4.3.5 {}: missing argv= attribute", self.name));
        }
        if let Some(fault) = &self.fault {
            return Err(format!("4.3.5 {}: {fault}", self.name));
        }
        // Postfix's own words.
        let is_known = |word: &String| macros(word).iter().all(|name| is_pipe_macro(name));
        if !self.argv.iter().all(is_known) {
            return Err("4.3.5 mail system configuration error".to_owned());
        }
        let argv: Vec<String> = self.argv.iter().flat_map(|word| self.expanded(word, values)).collect();
        Ok(Program {
            shown: argv.first().cloned().unwrap_or_default(),
            argv,
            environment,
            directory: self.directory.clone().unwrap_or_else(|| directory.to_owned()),
            ids,
            time_limit: self.time_limit,
            file_bytes_max: 0,
            ending: Ending::default(),
        })
    }

    /// One word becomes one, or one for each recipient where it speaks of them.
    fn expanded(&self, word: &str, values: &PipeValues) -> Vec<String> {
        const EACH: [&str; 5] = ["recipient", "original_recipient", "user", "extension", "mailbox"];
        let names = macros(word);
        if names.iter().any(|name| EACH.contains(&name.as_str())) {
            return values.recipients.iter().map(|one| self.replaced(word, values, one)).collect();
        }
        let nobody = (String::new(), String::new());
        vec![self.replaced(word, values, values.recipients.first().unwrap_or(&nobody))]
    }

    fn replaced(&self, word: &str, values: &PipeValues, recipient: &(String, String)) -> String {
        let mut out = String::new();
        each_piece(word, &mut |piece| match piece {
            Piece::Text(text) => out.push_str(text),
            Piece::Macro(name) => out.push_str(&self.value(name, values, recipient)),
        });
        out
    }

    fn value(&self, name: &str, values: &PipeValues, (recipient, original): &(String, String)) -> String {
        let address = self.folded(recipient);
        let split = |local: &str| -> (String, String) {
            let at = local.char_indices().skip(1).find(|(_, c)| self.delimiters.contains(*c));
            match at.and_then(|(at, _)| local.split_at_checked(at)) {
                Some((user, rest)) => (user.to_owned(), rest.chars().skip(1).collect()),
                None => (local.to_owned(), String::new()),
            }
        };
        match name {
            "sender" if values.sender.is_empty() && self.null_sender.is_empty() => String::new(),
            "sender" if values.sender.is_empty() => {
                self.quoted(&Address::from_internal(self.null_sender.clone()))
            }
            "sender" => self.quoted(&Address::from_internal(values.sender.clone())),
            "recipient" => self.quoted(&address),
            "original_recipient" => self.quoted(&self.folded(original)),
            "user" => split(address.local()).0,
            "extension" => split(address.local()).1,
            "mailbox" => address.local().to_owned(),
            "domain" => address.domain().unwrap_or_default().to_owned(),
            "nexthop" if self.has('h') => values.nexthop.to_lowercase(),
            "nexthop" => values.nexthop.clone(),
            other => {
                let found = values.others.iter().find(|(name, _)| name == other);
                found.map(|(_, value)| value.clone()).unwrap_or_default()
            }
        }
    }

    fn folded(&self, address: &str) -> Address {
        let address = Address::from_internal(address);
        let local = if self.has('u') { address.local().to_lowercase() } else { address.local().to_owned() };
        match address.domain() {
            Some(domain) if self.has('h') => {
                Address::from_internal(format!("{local}@{}", domain.to_lowercase()))
            }
            Some(domain) => Address::from_internal(format!("{local}@{domain}")),
            None => Address::from_internal(local),
        }
    }

    fn quoted(&self, address: &Address) -> String {
        if self.has('q') { address.to_external() } else { address.as_str().to_owned() }
    }

    /// The lines on top, and what is done to the others.
    pub(super) fn lines(
        &self,
        values: &PipeValues,
        now: mail::Wall,
        zone: &mail::time::Zone,
    ) -> (String, Lines) {
        let sender = match values.sender.as_str() {
            "" => Address::from_internal(self.null_sender.clone()),
            sender => Address::from_internal(sender),
        };
        let mut head = String::new();
        if self.has('F') {
            head.push_str(&delivered::from_line(&sender, now, zone));
        }
        if self.has('R') {
            head.push_str(&format!("Return-Path: <{sender}>\n"));
        }
        if let Some((recipient, original)) = values.recipients.first() {
            if self.has('O') {
                let original = Address::from_internal(original.clone());
                head.push_str(&format!("X-Original-To: {original}\n"));
            }
            if self.has('D') {
                head.push_str(&format!("Delivered-To: {}\n", Address::from_internal(recipient.clone())));
            }
        }
        let lines = Lines {
            quote_from: self.has('>'),
            stuff_dots: self.has('.'),
            eol: self.eol.clone(),
            blank_line: self.has('B'),
        };
        let eol = String::from_utf8_lossy(&self.eol).into_owned();
        (head.replace('\n', &eol), lines)
    }
}

enum Piece<'t> {
    Text(&'t str),
    Macro(&'t str),
}

/// `$name`, `${name}`, `$(name)`, and `$$`.
fn each_piece<'t>(word: &'t str, take: &mut dyn FnMut(Piece<'t>)) {
    let mut rest = word;
    while let Some((before, behind)) = rest.split_once('$') {
        take(Piece::Text(before));
        let bracketed = |open, close| behind.strip_prefix(open).and_then(|text: &str| text.split_once(close));
        if let Some(text) = behind.strip_prefix('$') {
            take(Piece::Text("$"));
            rest = text;
        } else if let Some((name, text)) = bracketed('{', '}').or_else(|| bracketed('(', ')')) {
            take(Piece::Macro(name));
            rest = text;
        } else {
            let end = behind.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(behind.len());
            let (name, text) = behind.split_at_checked(end).unwrap_or((behind, ""));
            take(Piece::Macro(name));
            rest = text;
        }
    }
    take(Piece::Text(rest));
}

fn macros(word: &str) -> Vec<String> {
    let mut names = Vec::new();
    each_piece(word, &mut |piece| {
        if let Piece::Macro(name) = piece {
            names.push(name.to_owned());
        }
    });
    names
}

/// `\r\n` and its like, as in C.
fn unescaped(text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = text.bytes().peekable();
    while let Some(byte) = rest.next() {
        if byte != b'\\' {
            out.push(byte);
            continue;
        }
        out.push(match rest.next() {
            Some(b'a') => 7,
            Some(b'b') => 8,
            Some(b'f') => 12,
            Some(b'n') => b'\n',
            Some(b'r') => b'\r',
            Some(b't') => b'\t',
            Some(b'v') => 11,
            Some(digit @ b'0'..=b'7') => {
                let mut value = u32::from(digit - b'0');
                for _ in 0..2 {
                    let Some(next @ b'0'..=b'7') = rest.peek().copied() else { break };
                    rest.next();
                    value = value * 8 + u32::from(next - b'0');
                }
                u8::try_from(value & 0xff).unwrap_or(0)
            }
            Some(other) => other,
            None => b'\\',
        });
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use config::{Compat, Host, MainCf, MasterCf, SourceFile};
    use std::sync::Arc;

    fn service(line: &str) -> PipeService {
        let mut main = MainCf::empty();
        main.set("recipient_delimiter", "+");
        let host = Host { hostname: "mx".into(), addresses: vec![] };
        let (p, _) = Parameters::new(&main, &host, Compat::V3_7);
        let file = Arc::new(SourceFile {
            path: "master.cf".into(),
            text: format!("p unix - n n - - pipe {line}\n"),
        });
        PipeService::read(&MasterCf::parse(&file).0.services.remove(0), &p).unwrap()
    }

    fn values() -> PipeValues {
        PipeValues {
            sender: "a b@far.test".into(),
            recipients: vec![
                ("User+Ext@P1.test".into(), "o@x.test".into()),
                ("$(id)@p1.test".into(), "o@x.test".into()),
            ],
            nexthop: "Next.HOP".into(),
            others: vec![("size".into(), "312".into()), ("client_helo".into(), "`id`; $sender".into())],
        }
    }

    #[test]
    fn words() {
        let check = |line: &str, expect: &[&str]| {
            let program = service(line).program(&values(), (None, "/"), Vec::new());
            assert_eq!(program.map(|program| program.argv).unwrap(), expect, "{line}");
        };
        check(
            "user=x argv=/p -f ${sender} -- $recipient",
            &["/p", "-f", "a b@far.test", "--", "User+Ext@P1.test", "$(id)@p1.test"],
        );
        check("flags=q user=x argv=/p ${sender}", &["/p", "\"a b\"@far.test"]);
        check(
            "flags=hu user=x argv=/p ${user}/${extension}@${domain}",
            &["/p", "user/ext@p1.test", "$(id)/@p1.test"],
        );
        check(
            "flags=h user=x argv=/p $mailbox $nexthop $(size) $$x",
            &["/p", "User+Ext", "$(id)", "next.hop", "312", "$x"],
        );
        // What a client says is a word, never more.
        check("user=x argv=/p ${client_helo} ${client_port}", &["/p", "`id`; $sender", ""]);
    }

    /// Nothing is started that may not be what was meant.
    #[test]
    fn what_cannot_be_read() {
        let check = |line: &str, expect: &str| {
            let program = service(line).program(&values(), (None, "/"), Vec::new());
            assert_eq!(program.err().as_deref(), Some(expect), "{line}");
        };
        for unknown in ["${unknown}", "$(recipent)", "a$nosuch.", "${extension?x}", "${ user }", "$", "$0"] {
            check(&format!("user=x argv=/p {unknown}"), "4.3.5 mail system configuration error");
        }
        check("user=x flags=DZ argv=/p", "4.3.5 p: unknown flag: Z");
        check("user=x size=1k argv=/p", "4.3.5 p: bad size: 1k");
        check("user=x users=y argv=/p", "4.3.5 p: unknown attribute: users=y");
    }

    #[test]
    fn lines() {
        let check = |line: &str, expect: &str| {
            let (head, _) = service(line).lines(&values(), mail::Wall(0), &mail::time::Zone::utc());
            assert_eq!(head, expect, "{line}");
        };
        check("user=x argv=/p", "");
        check(
            "flags=DORF user=x argv=/p",
            "From \"a b\"@far.test  Thu Jan  1 00:00:00 1970\nReturn-Path: <\"a b\"@far.test>\n\
             X-Original-To: o@x.test\nDelivered-To: User+Ext@P1.test\n",
        );
        assert_eq!(unescaped("\\r\\n\\101\\\\x"), b"\r\nA\\x");
    }

    #[test]
    fn who_runs_it() {
        let passwd = "root:x:0:0::/:/bin/sh\njoe:x:3001:3001::/:/bin/sh\n";
        let group = "root:x:0:\nmail:x:8:\n";
        let ids = |line: &str| service(line).ids(passwd, group).ok();
        assert_eq!(ids("user=joe argv=/p"), Some((3001, 3001)));
        assert_eq!(ids("user=joe:mail argv=/p"), Some((3001, 8)));
        assert_eq!(ids("user=joe:root argv=/p"), None);
        assert_eq!(ids("user=root argv=/p"), None);
        assert_eq!(ids("argv=/p"), None);
        assert!(service("chroot=/x user=joe argv=/p").program(&values(), (None, "/"), Vec::new()).is_err());
    }
}
