//! check_policy_service: its argument, and the request's attributes in Postfix's order (SMTPD_POLICY_README).
//!
//! `inet:host:port`, `unix:path`, `{ endpoint, name=value … }`. `tcp:` is what T2.15's tutorial prints: taken as
//! inet, and said so. Sockets, tries and time-outs are the driver's.

use crate::parse::strip_braces;
use crate::service::{Endpoint, PolicyService};
use crate::settings::Settings;
use crate::transaction::{Request, Transaction};
use config::{Compat, Diagnostic, Parameters, Spanned};
use std::time::Duration;

/// Reads an endpoint. The diagnostic, where there is one, says how it is read all the same.
fn endpoint(word: &Spanned<String>) -> Result<(Endpoint, Option<Diagnostic>), String> {
    let text = word.value.as_str();
    let Some((transport, address)) = text.split_once(':') else {
        return Err(format!("invalid transport name: {text} in service: {text}"));
    };
    let inet = |address: &str| -> Result<Endpoint, String> {
        let (host, port) = match address.strip_prefix('[').and_then(|rest| rest.split_once("]:")) {
            Some(pair) => pair,
            None => address.rsplit_once(':').unwrap_or(("localhost", address)),
        };
        if port.is_empty() {
            return Err(format!("missing service name in service: {text}"));
        }
        let host = if host.is_empty() { "localhost" } else { host };
        Ok(Endpoint::Inet { host: host.to_owned(), port: port.to_owned() })
    };
    match transport {
        "inet" => Ok((inet(address)?, None)),
        "tcp" => {
            let said = Diagnostic::warning(
                407,
                word.place.clone(),
                format!("{text}: a policy server is named by inet: or unix:, not by tcp:"),
            )
            .help(format!("Postfix's smtpd stops with a fatal error and takes no mail; Komainu treats it as inet:{address}"))
            .fix(word.place.clone(), word.place.text().replacen("tcp:", "inet:", 1));
            Ok((inet(address)?, Some(said)))
        }
        "unix" | "local" if !address.is_empty() => Ok((Endpoint::Unix(address.to_owned()), None)),
        _ => Err(format!("invalid transport name: {transport} in service: {text}")),
    }
}

/// Reads the argument of check_policy_service.
pub(crate) fn service(
    word: &Spanned<String>,
    p: &Parameters,
    said: &mut Vec<Diagnostic>,
) -> Result<PolicyService, String> {
    let words = if word.value.starts_with('{') {
        config::split_words(config::unbraced(word).unwrap_or_else(|| strip_braces(word)))
    } else {
        vec![word.clone()]
    };
    let Some(first) = words.first() else {
        return Err("restriction check_policy_service must be followed by transport:server".to_owned());
    };
    let (endpoint, note) = endpoint(first)?;
    said.extend(note);
    let count = |name: &str| u32::try_from(p.number(name)).unwrap_or(0);
    let mut service = PolicyService {
        endpoint,
        name: first.value.clone(),
        timeout: p.duration("smtpd_policy_service_timeout"),
        max_idle: p.duration("smtpd_policy_service_max_idle"),
        max_ttl: p.duration("smtpd_policy_service_max_ttl"),
        request_limit: count("smtpd_policy_service_request_limit"),
        try_limit: count("smtpd_policy_service_try_limit").max(1),
        retry_delay: p.duration("smtpd_policy_service_retry_delay"),
        default_action: p.text("smtpd_policy_service_default_action").value,
        policy_context: p.text("smtpd_policy_service_policy_context").value,
        place: word.place.clone(),
    };
    let mut settings = words.iter().skip(1).peekable();
    while let Some(setting) = settings.next() {
        // `name = value` with blanks and without braces: three words for one thing.
        let mut pieces = vec![setting];
        while let Some(more) = settings.next_if(|next| {
            let last = pieces.last().map_or("", |piece| piece.value.as_str());
            !last.starts_with('{') && (last.ends_with('=') || next.value.starts_with('='))
        }) {
            pieces.push(more);
        }
        match pieces.as_slice() {
            [one] => apply(&mut service, one, said),
            several => said.push(parted(several)),
        }
    }
    Ok(service)
}

/// A setting that blanks have parted.
fn parted(pieces: &[&Spanned<String>]) -> Diagnostic {
    let joined: String = pieces.iter().map(|piece| piece.value.as_str()).collect();
    let mut place = pieces.first().map_or_else(config::Place::nowhere, |piece| piece.place.clone());
    if let Some(last) = pieces.last().filter(|last| last.place.path() == place.path()) {
        place.end = last.place.end.max(place.end);
    }
    let whole = place.file.is_some() && !place.text().contains(['{', '\n']);
    let message = format!("blanks around `=` make several words of {joined}");
    let diagnostic = Diagnostic::error(408, place.clone(), message).help(format!(
        "Postfix's smtpd stops with a fatal error and takes no mail; write `{joined}` without blanks, or in braces: \
         `{{ {} }}`",
        joined.replacen('=', " = ", 1)
    ));
    if whole { diagnostic.fix(place, joined) } else { diagnostic }
}

fn apply(service: &mut PolicyService, setting: &Spanned<String>, said: &mut Vec<Diagnostic>) {
    let inner = strip_braces(setting);
    let Some((name, value)) = inner.value.split_once('=') else {
        said.push(
            Diagnostic::error(
                408,
                setting.place.clone(),
                format!("{} is not a setting of a policy server", inner.value),
            )
            .help("write name=value; Postfix's smtpd stops with a fatal error and takes no mail"),
        );
        return;
    };
    let (name, value) = (name.trim(), value.trim());
    let seconds = duration(value);
    let count = value.parse::<u32>().ok();
    let taken = match name {
        "timeout" => seconds.map(|time| service.timeout = time),
        "max_idle" => seconds.map(|time| service.max_idle = time),
        "max_ttl" => seconds.map(|time| service.max_ttl = time),
        "retry_delay" => seconds.map(|time| service.retry_delay = time),
        "request_limit" => count.map(|count| service.request_limit = count),
        "try_limit" => count.map(|count| service.try_limit = count.max(1)),
        "default_action" => {
            value.clone_into(&mut service.default_action);
            Some(())
        }
        "policy_context" => {
            value.clone_into(&mut service.policy_context);
            Some(())
        }
        _ => None,
    };
    if taken.is_none() {
        said.push(
            Diagnostic::error(
                408,
                setting.place.clone(),
                format!("{name}={value} is not a setting of a policy server"),
            )
            .help("Postfix's smtpd stops with a fatal error and takes no mail; write a setting such as timeout=10s"),
        );
    }
}

/// `10`, `10s`, `5m` …
fn duration(text: &str) -> Option<Duration> {
    let (number, unit) = match text.char_indices().last() {
        Some((at, unit)) if unit.is_ascii_alphabetic() => (text.get(..at)?, unit),
        _ => (text, 's'),
    };
    let factor = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3600,
        'd' => 86_400,
        'w' => 604_800,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(factor).map(Duration::from_secs)
}

/// Names and values, as SMTPD_POLICY_README orders them.
struct Attributes(String);

impl Attributes {
    fn add(&mut self, name: &str, value: impl AsRef<str>) {
        self.0.push_str(name);
        self.0.push('=');
        self.0.extend(value.as_ref().chars().map(|c| if matches!(c, '\n' | '\r' | '\0') { '?' } else { c }));
        self.0.push('\n');
    }
}

/// xtext, as certificate names are sent.
fn xtext(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        match c {
            '+' | '=' | '\0'..=' ' | '\x7f' => out.push_str(&format!("+{:02X}", u32::from(c))),
            _ => out.push(c),
        }
    }
    out
}

/// The request that `service` gets, with the empty line at its end.
pub(crate) fn attributes(
    service: &PolicyService,
    settings: &Settings,
    request: Request,
    tx: &Transaction,
) -> String {
    let mut a = Attributes(String::with_capacity(640));
    let late = matches!(request, Request::Data | Request::EndOfData);
    let at_recipient = matches!(request, Request::Rcpt | Request::Vrfy) || (late && tx.recipient_count == 1);
    let recipient = tx.recipient.as_ref().filter(|_| at_recipient);
    let external =
        |address: Option<&mail::Address>| address.map(mail::Address::to_external).unwrap_or_default();
    a.add("request", "smtpd_access_policy");
    a.add("protocol_state", request.state(tx.ehlo));
    a.add("protocol_name", if tx.protocol.is_empty() { "SMTP" } else { tx.protocol });
    a.add("client_address", tx.client.address.to_string());
    a.add("client_name", &tx.client.name);
    a.add("client_port", tx.client.port.to_string());
    a.add("reverse_client_name", &tx.client.reverse_name);
    a.add("server_address", tx.client.server_address.to_string());
    a.add("server_port", tx.client.server_port.to_string());
    a.add("helo_name", tx.helo.as_deref().unwrap_or(""));
    a.add("sender", external(tx.sender.as_ref()));
    a.add("recipient", external(recipient));
    a.add("recipient_count", if late { tx.recipient_count } else { 0 }.to_string());
    a.add("queue_id", tx.queue_id.as_ref().map(ToString::to_string).unwrap_or_default());
    a.add("instance", &tx.instance);
    a.add("size", tx.message_size.unwrap_or(tx.declared_size).to_string());
    a.add("etrn_domain", tx.etrn_domain.as_deref().unwrap_or(""));
    a.add("stress", if tx.stress { "yes" } else { "" });
    let sasl = tx.sasl.clone().unwrap_or_default();
    a.add("sasl_method", sasl.method);
    a.add("sasl_username", sasl.username);
    a.add("sasl_sender", sasl.sender);
    let tls = tx.tls.clone().unwrap_or_default();
    let certificate = tls.certificate.unwrap_or_default();
    a.add("ccert_subject", xtext(&certificate.subject));
    a.add("ccert_issuer", xtext(&certificate.issuer));
    a.add("ccert_fingerprint", certificate.fingerprint);
    a.add("ccert_pubkey_fingerprint", certificate.public_key_fingerprint);
    a.add("encryption_protocol", tls.protocol);
    a.add("encryption_cipher", tls.cipher);
    a.add("encryption_keysize", tls.keysize.to_string());
    a.add("policy_context", &service.policy_context);
    if settings.compat != Compat::V3_7 {
        a.add("compatibility_level", &settings.compatibility_level);
        a.add("mail_version", &settings.mail_version);
    }
    a.0.push('\n');
    a.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints() {
        let check = |text: &str, expect: Result<Endpoint, &str>| {
            let word = Spanned::new(text.to_owned(), config::Place::nowhere());
            assert_eq!(
                endpoint(&word).map(|(endpoint, _)| endpoint),
                expect.map_err(str::to_owned),
                "{text}"
            );
        };
        let inet =
            |host: &str, port: &str| Ok(Endpoint::Inet { host: host.to_owned(), port: port.to_owned() });
        check("inet:127.0.0.1:10023", inet("127.0.0.1", "10023"));
        check("inet:[::1]:10023", inet("::1", "10023"));
        check("inet:10023", inet("localhost", "10023"));
        check("unix:private/policyd-spf", Ok(Endpoint::Unix("private/policyd-spf".to_owned())));
        check("local:/run/x", Ok(Endpoint::Unix("/run/x".to_owned())));
        // T2.15: Postfix refuses to start with it.
        check("tcp:127.0.0.1:10023", inet("127.0.0.1", "10023"));
        check("http:x", Err("invalid transport name: http in service: http:x"));
        check("x", Err("invalid transport name: x in service: x"));
    }

    #[test]
    fn xtext_of_names() {
        assert_eq!(xtext("Wietse Venema"), "Wietse+20Venema");
        assert_eq!(xtext("a+b=c"), "a+2Bb+3Dc");
    }
}
