//! MAIL, RCPT, DATA and what becomes of the message (RFC 5321 §4.1.1.2–4, RFC 1870, 3461, 6531).
//!
//! After a refusal at the end of data the transaction is gone (RFC 5321 §4.1.1.4); Postfix keeps it and
//! answers the next MAIL with `503 nested`.

use super::content::Content;
use super::flow::Step;
use super::{
    Action, BareNewline, Body, Command, Envelope, Keywords, MailRequest, Metered, Mode, Note, Notify,
    Recipient, Request, Ret, Server, Wait, words,
};
use mail::{Dsn, Reply};

/// The message between MAIL and its end.
#[derive(Debug, Default)]
pub(super) struct Transaction {
    pub(super) envelope: Envelope,
    /// Recipients beyond the limit.
    overshoot: usize,
    pub(super) chunks: Chunks,
    pub(super) content: Option<Content>,
}

/// How far BDAT is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Chunks {
    /// None came.
    #[default]
    None,
    /// Some came; no RCPT and no DATA any more.
    Some,
    /// One was refused: the rest is thrown away.
    Failed,
}

/// Why parameters were refused.
type Refusal = Reply;

fn syntax(text: impl Into<String>) -> Reply {
    Reply::new(501, Dsn::new(5, 5, 4), text)
}

fn unsupported(option: &str) -> Reply {
    Reply::new(555, Dsn::new(5, 5, 4), format!("Unsupported option: {}", words::printable(option)))
}

fn sequence(text: &str) -> Reply {
    Reply::new(503, Dsn::new(5, 5, 1), text)
}

impl Server {
    pub(super) fn mail_command(&mut self, step: &mut Step<'_>, args: &str) {
        if self.transaction.is_some() {
            return self.fail(step, sequence("Error: nested MAIL command"));
        }
        let Some((path, options)) = words::address_argument(args, "FROM:") else {
            return self.fail(step, syntax("Syntax: MAIL FROM:<address>"));
        };
        if self.too_many(step, Metered::Message) {
            return;
        }
        let Some(sender) = self.path(path, "MAIL") else {
            return self.fail(step, mail::address::bad_sender_syntax());
        };
        let mut request = MailRequest { sender, ..MailRequest::default() };
        let mut options = options;
        while let Some((option, rest)) = words::next_word(options) {
            if let Err(reply) = self.mail_option(&mut request, option) {
                return self.fail(step, reply);
            }
            request.parameters.push(option.to_owned());
            options = rest;
        }
        if request.verp.is_some() && request.sender.is_null() {
            let text = "Error: XVERP requires non-null sender";
            return self.fail(step, Reply::new(503, Dsn::new(5, 5, 4), text));
        }
        if let Some(reply) = self.undeclared(&request.sender, request.smtputf8) {
            return self.fail(step, reply);
        }
        let limit = self.settings.message_size_limit;
        if limit > 0 && request.size > limit {
            let reply = Reply::new(552, Dsn::new(5, 3, 4), "Message size exceeds fixed limit");
            self.warn(Note::Rejected {
                command: "MAIL",
                sender: Some(request.sender),
                recipient: None,
                reply: reply.clone(),
            });
            return self.fail(step, reply);
        }
        self.wait = Some(Wait::Mail(Box::new(request.clone())));
        self.actions.push_back(Action::Decide(Request::Mail(Box::new(request))));
    }

    fn mail_option(&self, request: &mut MailRequest, option: &str) -> Result<(), Refusal> {
        let (name, value) =
            option.split_once('=').map_or((option, None), |(name, value)| (name, Some(value)));
        match (name.to_ascii_uppercase().as_str(), value) {
            ("SIZE", Some(value)) => request.size = size(value)?,
            ("BODY", Some(value)) if value.eq_ignore_ascii_case("7BIT") => request.body = Body::SevenBit,
            ("BODY", Some(value)) if value.eq_ignore_ascii_case("8BITMIME") => {
                request.body = Body::EightBitMime
            }
            ("SMTPUTF8", None) if self.settings.smtputf8_enable && self.offers(Keywords::SMTPUTF8) => {
                request.smtputf8 = true;
            }
            ("AUTH", Some(value)) => request.auth = Some(value.to_owned()),
            ("RET" | "ENVID", Some(_)) if !self.offers(Keywords::DSN) => return Err(dsn_disabled()),
            ("RET", Some(value)) => {
                let bad = || syntax("Bad RET parameter syntax");
                let ret = match value.to_ascii_uppercase().as_str() {
                    "FULL" => Ret::Full,
                    "HDRS" => Ret::Headers,
                    _ => return Err(bad()),
                };
                if request.ret.replace(ret).is_some() {
                    return Err(bad());
                }
            }
            ("ENVID", Some(value)) => {
                let decoded = words::decode_xtext(value)
                    .filter(|id| !id.is_empty() && id.bytes().all(|b| (0x20..0x7f).contains(&b)));
                match decoded {
                    Some(id) if request.envid.is_none() => request.envid = Some(id),
                    _ => return Err(syntax("Bad ENVID parameter syntax")),
                }
            }
            ("XVERP", value) if self.peer.rights.verp && self.offers(Keywords::XVERP) => {
                let filter = &self.settings.verp_delimiter_filter;
                let delimiters = value.unwrap_or(&self.settings.default_verp_delimiters);
                if delimiters.chars().count() != 2
                    || (value.is_some() && !delimiters.chars().all(|c| filter.contains(c)))
                {
                    return Err(syntax(format!("Error: XVERP needs two characters from {filter}")));
                }
                request.verp = Some(delimiters.to_owned());
            }
            _ => return Err(unsupported(option)),
        }
        Ok(())
    }

    /// MAIL is accepted.
    pub(super) fn mail_permitted(&mut self, step: &mut Step<'_>, request: MailRequest, reply: Option<Reply>) {
        let envelope = Envelope { mail: request, recipients: Vec::new() };
        self.transaction = Some(Box::new(Transaction { envelope, ..Transaction::default() }));
        self.succeed(step, reply.unwrap_or_else(|| Reply::new(250, Dsn::new(2, 1, 0), "Ok")));
    }

    pub(super) fn rcpt_command(&mut self, step: &mut Step<'_>, args: &str) {
        let Some(transaction) = self.transaction.as_mut() else {
            return self.fail(step, sequence("Error: need MAIL command"));
        };
        if transaction.chunks != Chunks::None {
            return self.fail(step, sequence("Error: RCPT after BDAT"));
        }
        let smtputf8 = transaction.envelope.mail.smtputf8;
        let Some((path, options)) = words::address_argument(args, "TO:") else {
            return self.fail(step, syntax("Syntax: RCPT TO:<address>"));
        };
        if self.too_many(step, Metered::Recipient) {
            return;
        }
        if self.over_recipient_limit(step) {
            return;
        }
        let Some(address) = self.path(path, "RCPT") else {
            return self.fail(step, mail::address::bad_recipient_syntax());
        };
        if let Some(reply) = self.undeclared(&address, smtputf8) {
            return self.fail(step, reply);
        }
        let mut recipient = Recipient { address, ..Recipient::default() };
        let mut options = options;
        while let Some((option, rest)) = words::next_word(options) {
            if let Err(reply) = self.rcpt_option(&mut recipient, option) {
                return self.fail(step, reply);
            }
            recipient.parameters.push(option.to_owned());
            options = rest;
        }
        self.wait = Some(Wait::Rcpt(Box::new(recipient.clone())));
        self.actions.push_back(Action::Decide(Request::Rcpt(Box::new(recipient))));
    }

    /// `smtpd_recipient_limit`; the first ones beyond it (`smtpd_recipient_overshoot_limit`) are no error of
    /// the client's, RFC 5321 §4.5.3.1.10.
    fn over_recipient_limit(&mut self, step: &mut Step<'_>) -> bool {
        let Some(transaction) = self.transaction.as_mut() else { return false };
        let limit = self.settings.recipient_limit;
        if limit == 0 || transaction.envelope.recipients.len() < limit {
            return false;
        }
        transaction.overshoot = transaction.overshoot.saturating_add(1);
        let forgiven = transaction.overshoot <= self.settings.recipient_overshoot_limit;
        self.reply(step, Reply::new(452, Dsn::new(4, 5, 3), "Error: too many recipients"));
        self.done(forgiven);
        true
    }

    fn rcpt_option(&mut self, recipient: &mut Recipient, option: &str) -> Result<(), Refusal> {
        let (name, value) =
            option.split_once('=').map_or((option, None), |(name, value)| (name, Some(value)));
        match (name.to_ascii_uppercase().as_str(), value) {
            ("NOTIFY" | "ORCPT", Some(_)) if !self.offers(Keywords::DSN) => return Err(dsn_disabled()),
            ("NOTIFY", Some(value)) => {
                let parsed = if recipient.notify == Notify::default() { self.notify(value) } else { None };
                recipient.notify = parsed.ok_or_else(|| syntax("Error: Bad NOTIFY parameter syntax"))?;
            }
            ("ORCPT", Some(value)) => {
                let parsed = value
                    .split_once(';')
                    .filter(|(kind, _)| !kind.is_empty() && recipient.orcpt.is_none())
                    .and_then(|(kind, address)| Some(format!("{kind};{}", words::decode_xtext(address)?)));
                recipient.orcpt = Some(parsed.ok_or_else(|| syntax("Error: Bad ORCPT parameter syntax"))?);
            }
            _ => return Err(unsupported(option)),
        }
        Ok(())
    }

    /// `NOTIFY=`'s list.
    fn notify(&mut self, value: &str) -> Option<Notify> {
        let mut notify = Notify::default();
        for word in value.split(',').filter(|word| !word.is_empty()) {
            match word.to_ascii_uppercase().as_str() {
                "NEVER" => notify.never = true,
                "SUCCESS" => notify.success = true,
                "FAILURE" => notify.failure = true,
                "DELAY" => notify.delay = true,
                _ => {
                    let (word, value) = (words::printable(word), words::printable(value));
                    self.warn(Note::Warning(format!(
                        "unknown DSN NOTIFY command value \"{word}\" in \"{value}\""
                    )));
                    return None;
                }
            }
        }
        let others = notify.success || notify.failure || notify.delay;
        (notify.never != others).then_some(notify)
    }

    /// RCPT is accepted.
    pub(super) fn rcpt_permitted(&mut self, step: &mut Step<'_>, recipient: Recipient, reply: Option<Reply>) {
        if let Some(transaction) = self.transaction.as_mut() {
            transaction.envelope.recipients.push(recipient);
        }
        self.succeed(step, reply.unwrap_or_else(|| Reply::new(250, Dsn::new(2, 1, 5), "Ok")));
    }

    /// Why content can't come now.
    pub(super) fn no_content_yet(&self) -> Option<Reply> {
        match &self.transaction {
            None => Some(sequence("Error: need RCPT command")),
            Some(transaction) if transaction.envelope.recipients.is_empty() => {
                Some(Reply::new(554, Dsn::new(5, 5, 1), "Error: no valid recipients"))
            }
            Some(_) => None,
        }
    }

    pub(super) fn data_command(&mut self, step: &mut Step<'_>, args: &str) {
        if self.transaction.as_ref().is_some_and(|t| t.chunks != Chunks::None) {
            return self.fail(step, sequence("Error: DATA after BDAT"));
        }
        if let Some(reply) = self.no_content_yet() {
            return self.fail(step, reply);
        }
        if !args.is_empty() {
            return self.fail(step, syntax("Syntax: DATA"));
        }
        self.wait = Some(Wait::Data);
        self.actions.push_back(Action::Decide(Request::Data));
    }

    /// A decoder for this client's line ends.
    pub(super) fn new_content(&self) -> Content {
        let mode = match self.settings.forbid_bare_newline {
            _ if self.peer.rights.bare_newline => BareNewline::Allow,
            mode => mode,
        };
        Content::new(mode, self.settings.message_size_limit)
    }

    /// DATA is accepted.
    pub(super) fn data_permitted(&mut self, step: &mut Step<'_>) {
        let content = self.new_content();
        if let Some(transaction) = self.transaction.as_mut() {
            transaction.content = Some(content);
            self.mode = Mode::Data;
        }
        self.reply(step, Reply::plain(354, "End data with <CR><LF>.<CR><LF>"));
    }

    /// All content is here, by DATA or BDAT.
    pub(super) fn end_of_data(&mut self, step: &mut Step<'_>) {
        self.mode = Mode::Command;
        let Some(content) = self.transaction.as_mut().and_then(|t| t.content.as_mut()) else { return };
        let (size, too_large, bare_newline) = (content.size(), content.too_large(), content.bare_newline());
        let rest = content.take_rest();
        self.place = "END-OF-MESSAGE";
        if bare_newline
            && self.settings.forbid_bare_newline != BareNewline::Allow
            && !self.peer.rights.bare_newline
        {
            self.state.bare_newline = true;
            if let BareNewline::Reject(code) = self.settings.forbid_bare_newline {
                self.warn(Note::BareNewline("END-OF-MESSAGE"));
                return self.refuse_content(step, self.bare_newline_reply(code));
            }
        }
        if too_large {
            self.warn(Note::QueueFileLimit);
            return self
                .refuse_content(step, Reply::new(552, Dsn::new(5, 3, 4), "Error: message file too big"));
        }
        self.actions.extend(rest.map(Action::Chunk));
        self.wait = Some(Wait::EndOfData);
        self.actions.push_back(Action::Decide(Request::EndOfData { size }));
    }

    /// The message is refused as a whole, by ourselves.
    fn refuse_content(&mut self, step: &mut Step<'_>, reply: Reply) {
        self.forget();
        let disconnect = matches!(reply.code, 421 | 521);
        self.refuse(step, reply, disconnect);
    }

    /// The driver has made it durable, or not.
    pub(super) fn stored(&mut self, step: &mut Step<'_>, result: Result<String, Reply>) {
        let content = self.transaction.as_ref().and_then(|t| t.content.as_ref());
        let size = content.map_or(0, Content::size);
        let reply = result.map_or_else(
            |reply| reply,
            |id| {
                let text = match self.current {
                    Command::Bdat => format!("Ok: {size} bytes queued as {id}"),
                    _ => format!("Ok: queued as {id}"),
                };
                Reply::new(250, Dsn::new(2, 0, 0), text)
            },
        );
        self.relayed(step, reply);
    }

    /// The message is taken, or not; somebody says so.
    pub(super) fn relayed(&mut self, step: &mut Step<'_>, reply: Reply) {
        if !matches!(self.wait, Some(Wait::Commit)) {
            return;
        }
        self.wait = None;
        self.transaction = None;
        self.forwarded = None;
        if reply.code / 100 == 2 {
            (self.errors, self.junk) = (0, 0);
            if let Some(transcript) = &mut self.transcript {
                transcript.forgive();
            }
            self.succeed(step, reply);
        } else {
            let disconnect = matches!(reply.code, 421 | 521);
            self.refuse(step, reply, disconnect);
        }
    }
}

fn dsn_disabled() -> Reply {
    Reply::new(501, Dsn::new(5, 7, 1), "DSN support is disabled")
}

/// `SIZE=`'s number, RFC 1870.
fn size(value: &str) -> Result<u64, Refusal> {
    if value.is_empty() || !value.bytes().all(|b| b.is_ascii_digit()) {
        return Err(syntax("Bad message size syntax"));
    }
    match value.parse::<u64>() {
        Ok(size) if i64::try_from(size).is_ok() => Ok(size),
        _ => Err(Reply::new(552, Dsn::new(5, 3, 4), "Message size exceeds file system imposed limit")),
    }
}
