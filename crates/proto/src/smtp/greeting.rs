//! The banner, HELO and EHLO (RFC 5321 §4.1.1.1), with the keywords in Postfix's order.

use super::flow::Step;
use super::{Action, Command, Keywords, Note, Request, Server, TlsLevel, Wait, words};
use mail::{Dsn, Reply};

impl Server {
    /// The client may talk. One that has talked already is told so, or worse.
    pub(super) fn greet(&mut self, step: &mut Step<'_>, instead: Option<Reply>) {
        if self.place == "CONNECT" && !self.pending().is_empty() {
            let early = words::escaped(self.pending());
            if self.talked_early("CONNECT", early) {
                return self.hang_up(step, synchronization());
            }
        }
        let banner = || Reply::plain(220, self.settings.banner.clone());
        let greeting = instead.unwrap_or_else(banner);
        self.reply(step, greeting);
    }

    /// Notes input that came too early; whether that ends the session.
    pub(super) fn talked_early(&mut self, command: &str, text: String) -> bool {
        if !self.state.early_talk {
            self.state.early_talk = true;
            self.warn(Note::Pipelining { command: command.to_owned(), text });
        }
        self.settings.forbid_unauth_pipelining
    }

    /// HELO and EHLO.
    pub(super) fn helo_command(&mut self, step: &mut Step<'_>, args: &str) {
        let extended = self.current == Command::Ehlo;
        if args.is_empty() {
            return self.fail(step, Reply::plain(501, format!("Syntax: {} hostname", self.place)));
        }
        let name: Vec<&str> = args.split(words::is_space).filter(|word| !word.is_empty()).collect();
        let name = words::neutered(&name.join(" "));
        self.wait = Some(Wait::Helo(name.clone().into(), extended));
        self.actions.push_back(Action::Decide(Request::Helo { name, extended }));
    }

    /// The name is accepted.
    pub(super) fn greeted(
        &mut self,
        step: &mut Step<'_>,
        (name, extended): (Box<str>, bool),
        instead: Option<Reply>,
    ) {
        self.forget();
        self.helo = Some(name);
        // A HELO behind an EHLO changes the name only.
        self.state.extended |= extended;
        self.done(true);
        if let Some(reply) = instead {
            return self.reply(step, reply);
        }
        let hostname = self.settings.hostname.clone();
        if !extended {
            return self.reply(step, Reply::plain(250, hostname));
        }
        let discarded = self.discarded();
        // Postfix 3.7 says nothing either where ENHANCEDSTATUSCODES is among them.
        let silent = discarded.has(Keywords::SILENT) || discarded.has(Keywords::ENHANCEDSTATUSCODES);
        if discarded != Keywords::NONE && !silent {
            let names: Vec<&str> = discarded.names().collect();
            self.warn(Note::DiscardedKeywords(names.join(" ")));
        }
        let lines = self.keyword_lines();
        let text = std::iter::once(hostname).chain(lines).collect::<Vec<_>>().join("\n");
        self.reply(step, Reply::plain(250, text));
    }

    /// The keywords that are not offered to this client.
    pub(super) fn discarded(&self) -> Keywords {
        self.peer.discard_ehlo_keywords.unwrap_or(self.settings.discard_ehlo_keywords)
    }

    /// Whether a keyword is offered as far as discarding goes.
    pub(super) fn offers(&self, keyword: Keywords) -> bool {
        !self.discarded().has(keyword)
    }

    fn keyword_lines(&self) -> Vec<String> {
        let settings = &*self.settings;
        let size = match settings.message_size_limit {
            0 => "SIZE".to_owned(),
            limit => format!("SIZE {limit}"),
        };
        let auth = self.auth_mechanisms().map(|list| list.join(" "));
        let broken = settings.auth.as_ref().is_some_and(|auth| auth.broken_clients);
        let rights = self.peer.rights;
        let xclient = "XCLIENT NAME ADDR PROTO HELO REVERSE_NAME PORT LOGIN DESTADDR DESTPORT";
        let fixed = |text: &str, offered: bool| offered.then(|| text.to_owned());
        [
            (Keywords::PIPELINING, fixed("PIPELINING", true)),
            (Keywords::SIZE, Some(size)),
            (Keywords::VRFY, fixed("VRFY", !settings.disable_vrfy)),
            (Keywords::ETRN, fixed("ETRN", true)),
            (Keywords::STARTTLS, fixed("STARTTLS", settings.tls != TlsLevel::None && !self.state.tls)),
            (Keywords::AUTH, auth.as_ref().map(|list| format!("AUTH {list}"))),
            (Keywords::AUTH, auth.filter(|_| broken).map(|list| format!("AUTH={list}"))),
            (Keywords::XVERP, fixed("XVERP", rights.verp)),
            (Keywords::XCLIENT, fixed(xclient, rights.xclient)),
            (Keywords::XFORWARD, fixed("XFORWARD NAME ADDR PROTO HELO SOURCE PORT IDENT", rights.xforward)),
            (Keywords::ENHANCEDSTATUSCODES, fixed("ENHANCEDSTATUSCODES", true)),
            (Keywords::EIGHTBITMIME, fixed("8BITMIME", true)),
            (Keywords::DSN, fixed("DSN", true)),
            (Keywords::SMTPUTF8, fixed("SMTPUTF8", settings.smtputf8_enable)),
            (Keywords::CHUNKING, fixed("CHUNKING", true)),
        ]
        .into_iter()
        .filter(|&(keyword, _)| self.offers(keyword))
        .filter_map(|(_, line)| line)
        .collect()
    }
}

/// What a client hears that talks when it should listen.
pub(super) fn synchronization() -> Reply {
    Reply::new(554, Dsn::new(5, 5, 0), "Error: SMTP protocol synchronization")
}
