//! `sendmail -bs`: SMTP on standard input and output, for programs that want to hear about each recipient.
//!
//! The conversation is the server's own; nothing is decided about a client that is a program of this machine, no
//! table is asked but `smtpd_command_filter`, and mail goes where all of `sendmail`'s goes. Where Postfix's stand-alone smtpd doesn't queue or
//! encrypt (ETRN, STARTTLS), this doesn't either. RFC 5321; T2.14.

use super::{Fatal, Sender};
use crate::clock;
use crate::configuration::DirectSources;
use crate::strerror::strerror;
use crate::submit::Letter;
use crate::submit::held::Held;
use config::Parameters;
use mail::message::{Protocol, Received, Security};
use mail::{Dsn, QueueId, Reply};
use proto::control::{Ret, Submission, To};
use proto::smtp::{
    Action, Body, Envelope, Input, Keywords, Notify, Peer, Request, Server, Settings, Verdict,
};
use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;
use tables::{Catalogue, Snapshot, TableId};

/// Bytes read at once.
const READ_BYTES: usize = 32 << 10;
const LOCALHOST: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// One conversation.
struct Session<'s> {
    sender: &'s Sender,
    server: Server,
    helo: Option<String>,
    extended: bool,
    content: Option<io::Result<Held>>,
    filter: Option<CommandFilter>,
    /// Messages so far.
    count: u64,
}

/// `smtpd_command_filter`.
struct CommandFilter {
    tables: Snapshot,
    table: TableId,
    hostname: String,
}

impl CommandFilter {
    fn read(p: &Parameters) -> Option<CommandFilter> {
        let mut catalogue = Catalogue::new();
        let word = p.list("smtpd_command_filter").into_iter().find(|word| word.value.contains(':'))?;
        let table = catalogue.intern(&word).ok()?;
        let tables = Snapshot::compile(&catalogue, &DirectSources).0;
        Some(CommandFilter { tables, table, hostname: p.text("myhostname").value })
    }

    /// What stands in a line's place.
    fn look_up(&self, line: &str) -> Input<'static> {
        match self.tables.table(self.table).lookup(line) {
            Ok(found) => Input::Filtered(found.map(|hit| hit.value.into_owned())),
            Err(error) => {
                eprintln!("sendmail: warning: {error}");
                let text = format!("{} Server local data error", self.hostname);
                Input::Decided(Verdict::Disconnect(Reply::new(421, Dsn::new(4, 3, 0), text)))
            }
        }
    }
}

pub(super) fn converse(sender: &Sender) -> Result<ExitCode, Fatal> {
    let failed = |error: io::Error| sender.fatal(&format!("stand-alone session: {}", strerror(&error)));
    let mut out = Vec::new();
    let peer = Peer { name: "localhost".to_owned(), ..Peer::new(LOCALHOST, 0) };
    let server = Server::new(Arc::new(settings(sender)), peer, clock::now());
    let filter = CommandFilter::read(&sender.site.parameters);
    let mut session =
        Session { sender, server, helo: None, extended: false, content: None, filter, count: 0 };
    let (mut input, mut output) = (io::stdin().lock(), io::stdout().lock());
    let mut buffer = vec![0; READ_BYTES];
    loop {
        let goes_on = session.act_all(&mut out);
        output.write_all(&out).and_then(|()| output.flush()).map_err(failed)?;
        out.clear();
        if !goes_on {
            return Ok(ExitCode::SUCCESS);
        }
        match input.read(&mut buffer) {
            Ok(0) => session.server.handle(clock::now(), Input::PeerClosed, &mut out),
            Ok(count) => {
                let bytes = buffer.get(..count).unwrap_or_default();
                session.server.handle(clock::now(), Input::Bytes(bytes), &mut out);
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(failed(error)),
        }
    }
}

fn settings(sender: &Sender) -> Settings {
    let p = &sender.site.parameters;
    let number = |name: &str| usize::try_from(p.number(name)).unwrap_or(usize::MAX);
    Settings {
        hostname: p.text("myhostname").value,
        banner: p.text("smtpd_banner").value,
        helo_required: p.flag("smtpd_helo_required"),
        disable_vrfy: p.flag("disable_vrfy_command"),
        discard_ehlo_keywords: Keywords::listed(&p.text("smtpd_discard_ehlo_keywords").value),
        noop_commands: p.list("smtpd_noop_commands").into_iter().map(|word| word.value).collect(),
        message_size_limit: u64::try_from(p.number("message_size_limit")).unwrap_or(0),
        line_length_limit: number("line_length_limit"),
        recipient_limit: number("smtpd_recipient_limit"),
        recipient_overshoot_limit: number("smtpd_recipient_overshoot_limit"),
        strict_rfc821_envelopes: p.flag("strict_rfc821_envelopes"),
        smtputf8_enable: p.flag("smtputf8_enable"),
        resolve_dequoted_address: p.flag("resolve_dequoted_address"),
        allow_min_user: p.flag("allow_min_user"),
        command_filter: p.list("smtpd_command_filter").iter().any(|word| word.value.contains(':')),
        // A program is not to be made to wait for its mistakes, and may talk as it likes.
        error_sleep_time: Duration::ZERO,
        forbid_bare_newline: proto::smtp::BareNewline::Allow,
        forbid_unauth_pipelining: false,
        ..Settings::default()
    }
}

impl Session<'_> {
    /// Does what there is to do; false when the session is over.
    fn act_all(&mut self, out: &mut Vec<u8>) -> bool {
        while let Some(action) = self.server.poll() {
            let input = match action {
                Action::Decide(request) => Input::Decided(self.decide(request)),
                Action::Unknown(_) => Input::Decided(Verdict::Permit),
                Action::Filter(line) => match &self.filter {
                    Some(filter) => filter.look_up(&line),
                    None => Input::Filtered(None),
                },
                Action::Chunk(chunk) => {
                    self.receive(&chunk);
                    continue;
                }
                Action::Commit => Input::Stored(self.commit()),
                Action::Abort => {
                    self.content = None;
                    continue;
                }
                Action::Close => return false,
                // Nobody may say who else the client is, nothing is encrypted, and there is no log for notes.
                Action::Identity(_) | Action::StartTls | Action::Authenticate(_) | Action::Note(_) => {
                    continue;
                }
            };
            self.server.handle(clock::now(), input, out);
        }
        true
    }

    fn decide(&mut self, request: Request) -> Verdict {
        match request {
            Request::Helo { name, extended } => {
                self.helo = Some(name);
                // As Postfix: once it was ESMTP, HELO makes nothing less of it.
                self.extended |= extended;
                Verdict::Permit
            }
            Request::Etrn(_) => {
                Verdict::Reject(Reply { code: 458, dsn: None, text: "Unable to queue messages".to_owned() })
            }
            _ => Verdict::Permit,
        }
    }

    fn receive(&mut self, chunk: &[u8]) {
        let head = self.content.is_none().then(|| self.received_header());
        let content = self.content.get_or_insert_with(|| Ok(Held::default()));
        if let Ok(held) = content
            && let Err(error) =
                held.write(head.unwrap_or_default().as_bytes()).and_then(|()| held.write(chunk))
        {
            *content = Err(error);
        }
    }

    /// Postfix's stand-alone smtpd writes one, and pickup another in front of it. Its id is of this session alone.
    fn received_header(&self) -> String {
        let now = clock::now().wall;
        let p = &self.sender.site.parameters;
        let id = self.id();
        let (hostname, mail_name) = (p.text("myhostname").value, p.text("mail_name").value);
        let recipients = self.server.envelope().map(|envelope| envelope.recipients.as_slice());
        let received = Received {
            helo: self.helo.as_deref(),
            name: "localhost",
            address: LOCALHOST,
            port: None,
            security: Security::default(),
            hostname: &hostname,
            mail_name: &mail_name,
            protocol: Protocol {
                esmtp: self.extended,
                smtputf8: self.server.envelope().is_some_and(|envelope| envelope.mail.smtputf8),
                ..Protocol::default()
            },
            id: Some(&id),
            recipient: match recipients {
                Some([one]) => Some(&one.address),
                _ => None,
            },
        };
        received.header(now, &clock::zone(now))
    }

    fn id(&self) -> QueueId {
        let number = u64::from(std::process::id()).saturating_mul(256).saturating_add(self.count % 256);
        QueueId::short(clock::now().wall, number)
    }

    fn commit(&mut self) -> Result<String, Reply> {
        let failed = || Reply::new(451, Dsn::new(4, 3, 0), "Error: queue file write error");
        if self.content.is_none() {
            // A message without a byte has its Received: all the same.
            self.receive(&[]);
        }
        let content = self.content.take().ok_or_else(failed)?.map_err(|_| failed())?;
        let envelope = self.server.envelope().ok_or_else(failed)?;
        let mut letter = letter(envelope, content);
        let id = self.id();
        self.count = self.count.saturating_add(1);
        match self.sender.submit(&mut letter) {
            Ok(_) => Ok(id.as_str().to_owned()),
            Err(Fatal(text)) => {
                eprintln!("sendmail: warning: {text}");
                Err(failed())
            }
        }
    }
}

fn letter(envelope: &Envelope, content: Held) -> Letter {
    let mail = &envelope.mail;
    let submission = Submission {
        sender: mail.sender.as_str().to_owned(),
        // Postfix's pickup finds no name with such mail.
        full_name: String::new(),
        is_local: true,
        eight_bit: mail.body == Body::EightBitMime,
        smtputf8: mail.smtputf8,
        ret: mail.ret.map(|ret| match ret {
            proto::smtp::Ret::Full => Ret::Full,
            proto::smtp::Ret::Headers => Ret::Headers,
        }),
        envelope_id: mail.envid.clone(),
        verp: mail.verp.clone(),
        trace: None,
    };
    let to = envelope.recipients.iter().map(|recipient| To {
        address: recipient.address.as_str().to_owned(),
        notify: notify(recipient.notify),
        orcpt: recipient.orcpt.clone(),
    });
    Letter { submission, to: to.collect(), content }
}

fn notify(notify: Notify) -> u8 {
    use queue::entry::{NOTIFY_DELAY, NOTIFY_FAILURE, NOTIFY_NEVER, NOTIFY_SUCCESS};
    let bits = [
        (notify.never, NOTIFY_NEVER),
        (notify.success, NOTIFY_SUCCESS),
        (notify.failure, NOTIFY_FAILURE),
        (notify.delay, NOTIFY_DELAY),
    ];
    bits.into_iter().filter(|(set, _)| *set).fold(0, |all, (_, bit)| all | bit)
}
