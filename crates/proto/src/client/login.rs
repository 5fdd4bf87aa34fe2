//! Logging in, between EHLO and the first message: RFC 4954.
//!
//! The best mechanism is taken that the server offers and the administrator permits. Where the server offers none at
//! all, mail goes without, as with Postfix; a log-in that fails makes this server unusable.

use super::replies::Said;
use super::{Action, Client, Phase, Verdict};
use crate::sasl::client::{Exchange, Mechanism};
use mail::base64;
use mail::{Dsn, Now};

impl Client {
    pub(super) fn log_in(&mut self, now: Now, out: &mut Vec<u8>) {
        if self.login_unknown && !self.capabilities.mechanisms.is_empty() {
            let text = format!("local data error while talking to {}", self.host);
            return self.give_up(Verdict::failed(Dsn::new(4, 3, 0), text), out);
        }
        let Some(login) = &self.login else { return self.ready() };
        let offered = &self.capabilities.mechanisms;
        if offered.is_empty() {
            return self.ready();
        }
        let passes = |name: &&String| login.filter.as_ref().is_none_or(|filter| filter(name));
        let passed: Vec<&String> = offered.iter().filter(passes).collect();
        if passed.is_empty() {
            let host = &self.host;
            let warning =
                format!("{} offered no supported AUTH mechanisms: '{}'", self.peer, offered.join(" "));
            let text = format!(
                "SASL authentication failed: server {host} offered no compatible authentication mechanisms for \
                 this type of connection security"
            );
            self.actions.push_back(Action::Doubt(warning));
            return self.give_up(Verdict::failed(Dsn::new(4, 7, 0), text), out);
        }
        let demands = match (self.encrypted, self.verified) {
            (true, true) => &login.verified,
            (true, false) => &login.encrypted,
            (false, _) => &login.in_the_clear,
        };
        let is_offered = |one: &Mechanism| passed.iter().any(|name| name.eq_ignore_ascii_case(one.name()));
        let best = Mechanism::ALL.into_iter().find(|one| is_offered(one) && demands.permit(*one));
        let Some(mechanism) = best else {
            self.actions
                .push_back(Action::Doubt("SASL authentication failure: No worthy mechs found".to_owned()));
            return self.no_login("no mechanism available", out);
        };
        let mut exchange = Exchange::new(mechanism, login.secret.clone(), login.nonce.clone());
        out.extend_from_slice(format!("AUTH {}", mechanism.name()).as_bytes());
        if let Some(initial) = exchange.initial() {
            // RFC 4954 §4: an empty one is a `=`.
            let coded = if initial.is_empty() { "=".to_owned() } else { base64::encode(&initial) };
            out.extend_from_slice(format!(" {coded}").as_bytes());
        }
        out.extend_from_slice(b"\r\n");
        self.exchange = Some(exchange);
        self.phase = Phase::Login;
        self.wait(now, self.settings.timeouts.helo);
    }

    pub(super) fn login_answered(&mut self, now: Now, said: &Said, out: &mut Vec<u8>) {
        let Some(exchange) = &mut self.exchange else { return self.close() };
        match said.class() {
            2 if exchange.may_end() => {
                self.exchange = None;
                self.ready();
            }
            2 => self.no_login("bad protocol / cancel", out),
            3 => {
                let challenge = said.lines.last().and_then(|line| base64::decode(line.trim()));
                let Some(challenge) = challenge else { return self.no_login("bad protocol / cancel", out) };
                match exchange.respond(&challenge) {
                    Ok(response) => {
                        out.extend_from_slice(base64::encode(&response).as_bytes());
                        out.extend_from_slice(b"\r\n");
                        self.wait(now, self.settings.timeouts.helo);
                    }
                    Err(error) => self.no_login(&error.to_string(), out),
                }
            }
            _ => {
                let text = format!("SASL authentication failed; server {} said: {}", self.host, said.text);
                let softens = self.login.as_ref().is_some_and(|login| login.soft_bounce);
                let dsn = said.dsn();
                let dsn = if softens { Dsn { class: 4, ..dsn } } else { dsn };
                self.give_up(Verdict::refused(dsn, text, said), out);
            }
        }
    }

    fn no_login(&mut self, why: &str, out: &mut Vec<u8>) {
        let text = format!("SASL authentication failed; cannot authenticate to server {}: {why}", self.host);
        self.give_up(Verdict::failed(Dsn::new(4, 7, 0), text), out);
    }
}
