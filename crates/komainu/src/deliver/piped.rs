//! pipe(8)'s side in the server: what is checked before a program is started, and what its end is called.

use super::agent::{Agents, reason};
use super::manager::Routing;
use crate::privileged::pipe_service::PipeValues;
use crate::privileged::{Answer, PipeRequest, Request, agency};
use mail::Dsn;
use queue::{Entry, How, Reason, Recipient};
use rustix::fd::AsFd;
use std::io::Read;
use store::Spool;

/// How much of a message is looked through for `Delivered-To:`.
const HEADER_BYTES_MAX: u64 = 256 * 1024;

/// The transport's name, its nexthop, and who takes warnings.
type Way<'a> = (&'a str, &'a str, &'a dyn Fn(&str));

impl Agents {
    /// Hands a message to the program of the transport `name`, for these recipients together; what is said of each, and what a
    /// success report calls it. Blocks.
    pub(super) fn pipe(
        &self,
        routing: &Routing,
        (number, entry): (u64, &Entry),
        recipients: &[&Recipient],
        (name, nexthop, warn): Way<'_>,
    ) -> (Result<String, Reason>, How) {
        let Some(service) = routing.pipes.iter().find(|service| service.name == name) else {
            let text = "mail system configuration error";
            return (Err(Reason::new(Dsn::new(4, 3, 5), text)), How::Relayed);
        };
        let how = if service.has('X') { How::Delivered } else { How::Relayed };
        if service.size_max > 0 && entry.size > service.size_max {
            return (Err(Reason::new(Dsn::new(5, 2, 3), "message too large")), how);
        }
        if service.has('D')
            && let Some(first) = recipients.first()
            && was_delivered_to(&self.spool, number, &first.address.to_external())
        {
            let text = format!("mail forwarding loop for {}", first.address);
            return (Err(Reason::new(Dsn::new(5, 4, 6), text)), how);
        }
        let values = values(entry, recipients, nexthop);
        let answer =
            self.run(routing, (number, entry), PipeRequest { service: name.to_owned(), values, length: 0 });
        let (text, otherwise) = match answer {
            Ok(Answer::Done) => return (Ok(format!("delivered via {name} service")), how),
            Ok(Answer::Said(output)) if output.is_empty() => {
                return (Ok(format!("delivered via {name} service")), how);
            }
            Ok(Answer::Said(output)) => return (Ok(format!("delivered via {name} service ({output})")), how),
            Ok(Answer::Temporary(text)) => (text, Dsn::new(4, 3, 0)),
            Ok(Answer::Permanent(text)) => (text, Dsn::new(5, 3, 0)),
            Err(text) => (text, Dsn::new(4, 3, 0)),
        };
        let (first, rest) = text.split_once('\n').unwrap_or((&text, ""));
        rest.lines().for_each(warn);
        (Err(reason(first, otherwise)), how)
    }

    fn run(
        &self,
        routing: &Routing,
        (number, entry): (u64, &Entry),
        request: PipeRequest,
    ) -> Result<Answer, String> {
        let mut body = self.spool.body(number).map_err(|error| error.to_string())?;
        let (content, length) = self.content(&mut body, entry.size).map_err(|error| error.to_string())?;
        let request = PipeRequest { length, ..request };
        Ok(match &self.helper {
            Some(helper) => helper.ask(&Request::Pipe(request), Some(content.as_fd())).0,
            None => agency::pipe(&routing.pipes, Some(&routing.agency), &request, content),
        })
    }
}

/// Whether the message has this address in a `Delivered-To:`. Blocks.
pub(super) fn was_delivered_to(spool: &Spool, number: u64, address: &str) -> bool {
    let mut bytes = Vec::new();
    let Ok(mut body) = spool.body(number) else { return false };
    if body.by_ref().take(HEADER_BYTES_MAX).read_to_end(&mut bytes).is_err() {
        return false;
    }
    mail::header::headers(&bytes)
        .any(|header| header.is("delivered-to") && header.unfolded().trim().eq_ignore_ascii_case(address))
}

fn values(entry: &Entry, recipients: &[&Recipient], nexthop: &str) -> PipeValues {
    let sender = match recipients {
        [one] => entry.sender_for(one),
        _ => entry.sender.clone(),
    };
    let client = &entry.client;
    let sasl = client.sasl.clone().unwrap_or_default();
    let others = [
        ("client_address", client.address.clone()),
        ("client_helo", client.helo.clone()),
        ("client_hostname", client.name.clone()),
        ("client_port", client.port.to_string()),
        ("client_protocol", client.protocol.clone()),
        ("envid", entry.envelope_id.clone().unwrap_or_default()),
        ("queue_id", entry.id.as_str().to_owned()),
        ("sasl_method", sasl.0),
        ("sasl_username", sasl.1),
        ("sasl_sender", sasl.2),
        ("size", entry.size.to_string()),
    ];
    let pair = |recipient: &&Recipient| {
        (recipient.address.as_str().to_owned(), recipient.original.as_str().to_owned())
    };
    PipeValues {
        sender: sender.as_str().to_owned(),
        recipients: recipients.iter().map(pair).collect(),
        nexthop: nexthop.to_owned(),
        others: others.into_iter().map(|(name, value)| (name.to_owned(), value)).collect(),
    }
}
