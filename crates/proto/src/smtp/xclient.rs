//! XCLIENT and XFORWARD: what a trusted proxy says about the client behind it (XCLIENT_README,
//! XFORWARD_README).
//!
//! XCLIENT makes the client another one and starts the session anew; XFORWARD is for the log alone and
//! lasts for one message.

use super::commands::ok;
use super::flow::Step;
use super::{Action, Forwarded, ForwardedName, Identity, Request, Server, Wait, words};
use mail::{Dsn, Reply, host};
use std::net::IpAddr;

/// Longest attribute value.
const VALUE_BYTES_MAX: usize = 255;

fn syntax(text: impl Into<String>) -> Reply {
    Reply::new(501, Dsn::new(5, 5, 4), text)
}

impl Server {
    pub(super) fn xclient_command(&mut self, step: &mut Step<'_>, args: &str) {
        if let Some(reply) = self.proxy_command_refused(self.peer.rights.xclient, "XCLIENT", args) {
            return self.fail(step, reply);
        }
        let mut identity = Identity::default();
        for word in args.split(words::is_space).filter(|word| !word.is_empty()) {
            if let Err(reply) = attribute(word).and_then(|(name, value)| identify(&mut identity, name, value))
            {
                return self.fail(step, reply);
            }
        }
        self.forget();
        self.helo = identity.helo.clone().flatten().map(Into::into);
        self.login = identity.login.clone().flatten().map(Into::into);
        self.state.extended = identity.extended.unwrap_or(false);
        self.state.denied = false;
        // Postfix counts a good XCLIENT as one that wasn't; it isn't an error, though.
        self.counters.count(self.current, false);
        self.wait = Some(Wait::Connect);
        self.actions.push_back(Action::Identity(Box::new(identity)));
        self.actions.push_back(Action::Decide(Request::Connect));
    }

    pub(super) fn xforward_command(&mut self, step: &mut Step<'_>, args: &str) {
        if let Some(reply) = self.proxy_command_refused(self.peer.rights.xforward, "XFORWARD", args) {
            return self.fail(step, reply);
        }
        let mut forwarded = self.forwarded.as_deref().cloned().unwrap_or_default();
        for word in args.split(words::is_space).filter(|word| !word.is_empty()) {
            if let Err(reply) = attribute(word).and_then(|(name, value)| forward(&mut forwarded, name, value))
            {
                return self.fail(step, reply);
            }
        }
        self.forwarded = Some(Box::new(forwarded));
        self.succeed(step, ok());
    }

    /// What both have in common.
    fn proxy_command_refused(&self, allowed: bool, command: &str, args: &str) -> Option<Reply> {
        if self.transaction.is_some() {
            return Some(Reply::new(503, Dsn::new(5, 5, 1), "Error: MAIL transaction in progress"));
        }
        if args.is_empty() {
            return Some(syntax(format!("Syntax: {command} attribute=value...")));
        }
        (!allowed).then(|| Reply::new(550, Dsn::new(5, 7, 0), "Error: insufficient authorization"))
    }
}

/// `NAME=value`.
fn attribute(word: &str) -> Result<(&str, &str), Reply> {
    let (name, value) = word
        .split_once('=')
        .filter(|(_, value)| !value.is_empty())
        .ok_or_else(|| syntax("Error: attribute=value expected"))?;
    if value.len() > VALUE_BYTES_MAX {
        return Err(syntax("Error: attribute value too long"));
    }
    Ok((name, value))
}

fn bad(name: &str, value: &str) -> Reply {
    syntax(format!("Bad {name} syntax: {}", words::neutered(value)))
}

fn is_unavailable(value: &str) -> bool {
    value.eq_ignore_ascii_case("[UNAVAILABLE]")
}

/// The decoded value. A NUL ends it, as in Postfix.
fn decode(name: &str, value: &str) -> Result<String, Reply> {
    let text = words::decode_xtext(value).ok_or_else(|| bad(name, value))?;
    Ok(text.split('\0').next().unwrap_or_default().to_owned())
}

fn host_name(attribute: &str, value: &str) -> Result<ForwardedName, Reply> {
    if is_unavailable(value) {
        Ok(ForwardedName::Unavailable)
    } else if value.eq_ignore_ascii_case("[TEMPUNAVAIL]") {
        Ok(ForwardedName::TemporarilyUnavailable)
    } else if host::is_hostname(value) {
        Ok(ForwardedName::Known(value.to_owned()))
    } else {
        Err(bad(attribute, value))
    }
}

fn address(attribute: &str, value: &str) -> Result<Option<IpAddr>, Reply> {
    if is_unavailable(value) {
        return Ok(None);
    }
    host::parse_mail_address(value).map(Some).ok_or_else(|| bad(attribute, value))
}

fn port(attribute: &str, value: &str) -> Result<Option<u16>, Reply> {
    if is_unavailable(value) {
        return Ok(None);
    }
    value.parse().map(Some).map_err(|_| bad(attribute, value))
}

fn text(value: &str) -> Option<String> {
    (!is_unavailable(value)).then(|| words::neutered(value))
}

fn identify(identity: &mut Identity, name: &str, value: &str) -> Result<(), Reply> {
    const NAMES: [&str; 9] =
        ["NAME", "REVERSE_NAME", "ADDR", "PORT", "HELO", "PROTO", "LOGIN", "DESTADDR", "DESTPORT"];
    let Some(&known) = NAMES.iter().find(|known| known.eq_ignore_ascii_case(name)) else {
        return Err(syntax(format!("Bad XCLIENT attribute name: {}", words::printable(name))));
    };
    let value = decode(known, value)?;
    let value = value.as_str();
    match known {
        "NAME" => identity.name = Some(host_name(known, value)?),
        "REVERSE_NAME" => identity.reverse_name = Some(host_name(known, value)?),
        "ADDR" => identity.address = Some(address(known, value)?),
        "PORT" => identity.port = Some(port(known, value)?),
        "HELO" => identity.helo = Some(text(value)),
        "LOGIN" => identity.login = Some(text(value)),
        "DESTADDR" => identity.server_address = Some(address(known, value)?),
        "DESTPORT" => identity.server_port = Some(port(known, value)?),
        _ if value.eq_ignore_ascii_case("SMTP") => identity.extended = Some(false),
        _ if value.eq_ignore_ascii_case("ESMTP") => identity.extended = Some(true),
        _ => return Err(bad(known, value)),
    }
    Ok(())
}

fn forward(forwarded: &mut Forwarded, name: &str, value: &str) -> Result<(), Reply> {
    const NAMES: [&str; 7] = ["NAME", "ADDR", "PORT", "PROTO", "HELO", "IDENT", "SOURCE"];
    let Some(&known) = NAMES.iter().find(|known| known.eq_ignore_ascii_case(name)) else {
        return Err(syntax(format!("Bad XFORWARD attribute name: {}", words::printable(name))));
    };
    let decoded = decode(known, value)?;
    let value = decoded.as_str();
    let unavailable = is_unavailable(value);
    let valid = unavailable
        || match known {
            "NAME" => host::is_hostname(value),
            "ADDR" => host::parse_mail_address(value).is_some(),
            "PORT" => value.parse::<u32>().is_ok(),
            "PROTO" => value.len() <= 64,
            "SOURCE" => value.eq_ignore_ascii_case("LOCAL") || value.eq_ignore_ascii_case("REMOTE"),
            _ => true,
        };
    if !valid {
        return Err(bad(known, value));
    }
    let value = text(value);
    match known {
        "NAME" => forwarded.name = value,
        "ADDR" => forwarded.address = value,
        "PORT" => forwarded.port = value,
        "PROTO" => forwarded.protocol = value,
        "HELO" => forwarded.helo = value,
        "IDENT" => forwarded.ident = value,
        _ => forwarded.source = value.map(|source| source.to_ascii_uppercase()),
    }
    Ok(())
}
