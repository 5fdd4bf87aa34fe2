//! What is made of refusals on their way out: `smtpd_reject_filter_maps`, then `smtpd_reject_footer` with
//! `\n`, `\c` and `$name`. postconf(5).
//!
//! The names are `client_address`, `client_port`, `localtime` and `server_name`; an unknown one is empty.

use super::Settings;
use super::seam::Peer;
use mail::{Dsn, Reply, Wall};

/// `Mmm dd hh:mm:ss` in UTC, for where nobody gave a local clock.
#[must_use]
pub fn utc_time(now: Wall) -> String {
    mail::time::syslog(now, &mail::time::Zone::utc())
}

/// `reply` with the footer that `settings` want behind it, if any.
pub(super) fn with_footer(settings: &Settings, peer: &Peer, now: Wall, mut reply: Reply) -> Reply {
    if reply.code < 400 {
        return reply;
    }
    let mapped = settings.reject_footer_map.as_ref().and_then(|map| map(&reply.to_string()));
    let Some(template) = mapped.as_deref().or(settings.reject_footer.as_deref()) else { return reply };
    let (glue, template) = match template.strip_prefix("\\c") {
        Some(rest) => ("", rest),
        None => ("\n", template),
    };
    reply.text.push_str(glue);
    reply.text.push_str(&expand(&template.replace("\\n", "\n"), settings, peer, now));
    reply
}

/// What `smtpd_reject_filter_maps` makes of a refusal: the text before, the reply after. A refusal stays one.
pub(super) fn filtered(settings: &Settings, reply: &Reply) -> Option<(String, Reply)> {
    let map = settings.reject_filter_map.as_ref().filter(|_| reply.code >= 400)?;
    let before = reply.to_string();
    let after = map(&before)?;
    let (code, rest) = after.split_at_checked(3)?;
    let code = code.parse().ok().filter(|code| (400..600).contains(code))?;
    let rest = rest.strip_prefix(' ')?;
    let (dsn, text) = match Dsn::parse_prefix(rest) {
        Some((dsn, text)) => (Some(dsn.in_class_of(code)), text.trim_start()),
        None => (None, rest),
    };
    Some((before, Reply { code, dsn, text: text.to_owned() }))
}

/// Replaces the names by what this session makes of them.
fn expand(template: &str, settings: &Settings, peer: &Peer, now: Wall) -> String {
    expanded(template, &mut |name| match name {
        "client_address" => peer.address.to_string(),
        "client_name" => peer.name.clone(),
        "client_port" => peer.port.to_string(),
        "localtime" => (settings.local_time)(now),
        "server_name" => settings.hostname.clone(),
        _ => String::new(),
    })
}

/// Replaces `$name`, `${name}`, `$(name)` and `$$`.
pub(crate) fn expanded(template: &str, value: &mut dyn FnMut(&str) -> String) -> String {
    let mut text = String::with_capacity(template.len() + 32);
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('$') {
        text.push_str(before);
        if let Some(after) = after.strip_prefix('$') {
            text.push('$');
            rest = after;
            continue;
        }
        let close = match after.chars().next() {
            Some('{') => Some('}'),
            Some('(') => Some(')'),
            _ => None,
        };
        let (name, after) = match close {
            Some(close) => after.get(1..).and_then(|inner| inner.split_once(close)).unwrap_or((after, "")),
            None => {
                let end = after.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(after.len());
                after.split_at_checked(end).unwrap_or((after, ""))
            }
        };
        text.push_str(&value(name));
        rest = after;
    }
    text.push_str(rest);
    text
}
