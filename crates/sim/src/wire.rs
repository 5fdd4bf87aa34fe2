//! DNS messages as bytes: reads one question, writes one answer (RFC 1035 §4).
//!
//! Only what the test server needs: one question in a query, no compression, no EDNS.

use crate::dns::{Answer, Content, Kind, Special};

/// A question as it came.
#[derive(Clone, Debug)]
pub struct Query {
    id: [u8; 2],
    recursion_desired: bool,
    question: Vec<u8>,
    /// The name asked for.
    pub name: String,
    /// The type asked for.
    pub kind: Kind,
}

impl Query {
    /// Reads a packet; `None` when it isn't a query with one question.
    #[must_use]
    pub fn parse(packet: &[u8]) -> Option<Query> {
        let &[a, b, flags, _, 0, 1, ..] = packet else { return None };
        if flags & 0x80 != 0 {
            return None;
        }
        let rest = packet.get(12..)?;
        let mut labels = Vec::new();
        let mut at = 0;
        loop {
            let length = usize::from(*rest.get(at)?);
            at += 1;
            if length == 0 {
                break;
            }
            if length > 63 {
                return None;
            }
            labels.push(String::from_utf8_lossy(rest.get(at..at + length)?).into_owned());
            at += length;
        }
        let &[high, low, 0, 1] = rest.get(at..at + 4)? else { return None };
        Some(Query {
            id: [a, b],
            recursion_desired: flags & 1 != 0,
            question: rest.get(..at + 4)?.to_vec(),
            name: labels.join("."),
            kind: Kind::from_number(u16::from_be_bytes([high, low])),
        })
    }
}

fn write_name(name: &str, out: &mut Vec<u8>) {
    for label in name.split('.').filter(|label| !label.is_empty()) {
        let label = label.as_bytes();
        let label = label.get(..63).unwrap_or(label);
        out.push(u8::try_from(label.len()).unwrap_or(63));
        out.extend_from_slice(label);
    }
    out.push(0);
}

fn write_record(owner: &str, content: &Content, out: &mut Vec<u8>) {
    write_name(owner, out);
    out.extend_from_slice(&content.kind().number().to_be_bytes());
    out.extend_from_slice(&[0, 1, 0, 0, 0x0e, 0x10]);
    let mut body = Vec::new();
    match content {
        Content::A(address) => body.extend_from_slice(&address.octets()),
        Content::Aaaa(address) => body.extend_from_slice(&address.octets()),
        Content::Mx(preference, host) => {
            body.extend_from_slice(&preference.to_be_bytes());
            write_name(host, &mut body);
        }
        Content::Name(_, name) => write_name(name, &mut body),
        Content::Txt(text) => {
            for chunk in text.as_bytes().chunks(255) {
                body.push(u8::try_from(chunk.len()).unwrap_or(255));
                body.extend_from_slice(chunk);
            }
        }
        Content::Soa(primary) => {
            write_name(primary, &mut body);
            write_name("hostmaster.invalid", &mut body);
            for number in [1u32, 3600, 600, 86400, 60] {
                body.extend_from_slice(&number.to_be_bytes());
            }
        }
    }
    out.extend_from_slice(&u16::try_from(body.len()).unwrap_or(0).to_be_bytes());
    out.extend_from_slice(&body);
}

/// The packet that answers `query`; truncated (empty, with TC) above `size_max`. `None`: stay silent.
#[must_use]
pub fn reply(query: &Query, answer: &Answer, size_max: usize) -> Option<Vec<u8>> {
    let (rcode, records) = match &answer.records {
        Ok(records) => (0, records.as_slice()),
        Err(Special::NoRecords) => (0, [].as_slice()),
        Err(Special::ServerFailure) => (2, [].as_slice()),
        Err(Special::NoName) => (3, [].as_slice()),
        Err(Special::Refused) => (5, [].as_slice()),
        Err(Special::Silence) => return None,
    };
    let mut body = Vec::new();
    for (owner, content) in records {
        write_record(owner, content, &mut body);
    }
    let truncated = 12 + query.question.len() + body.len() > size_max;
    let count = if truncated { 0 } else { u16::try_from(records.len()).unwrap_or(0) };
    let mut out = query.id.to_vec();
    // QR and AA; TC; RD as asked; RA.
    out.push(0x84 | if truncated { 2 } else { 0 } | u8::from(query.recursion_desired));
    out.push(0x80 | rcode);
    out.extend_from_slice(&[0, 1]);
    out.extend_from_slice(&count.to_be_bytes());
    out.extend_from_slice(&[0, 0, 0, 0]);
    out.extend_from_slice(&query.question);
    if !truncated {
        out.extend_from_slice(&body);
    }
    Some(out)
}
