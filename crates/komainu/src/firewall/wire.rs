//! What goes over the sockets between whoever bans and the helper: the server's helper's packets, with requests of their own.

use super::{Change, Verb};
use crate::privileged::wire::{Malformed, PACKET_BYTES_MAX, Reader, Writer};
use ban::filter::Id;

/// The most bytes of the lines that led to a ban.
const MATCHES_BYTES_MAX: usize = 8 << 10;
/// The most bytes of any other text.
const TEXT_BYTES_MAX: usize = 1 << 10;
/// The most captures of a ban.
const FIELDS_MAX: usize = 24;
/// The most bytes of what changes in one packet; one more change fits in any case.
const FILLED_BYTES_MAX: usize =
    PACKET_BYTES_MAX - (MATCHES_BYTES_MAX + (2 * FIELDS_MAX + 3) * (TEXT_BYTES_MAX + 8) + 128);
/// The most changes that are put in force at once.
pub(super) const AT_ONCE_MAX: usize = 1 << 18;

/// What is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Request {
    /// Changes, encoded one behind another; put in force once there are no more of them.
    Changes { has_more: bool, count: usize, changes: Vec<u8> },
    /// Open a log.
    Open(String),
    /// Read the files anew.
    Reload,
}

/// What is answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// All is told; a descriptor may come along.
    Done,
    /// There is no such file.
    Missing,
    /// These failed, counted from 0; there are more answers where changes were asked for.
    Failed { first: usize, count: usize, text: String },
}

fn cut(text: &str, most: usize) -> &str {
    text.get(..text.floor_char_boundary(most)).unwrap_or(text)
}

fn signed(w: &mut Writer, value: i64) {
    w.number(u64::from_le_bytes(value.to_le_bytes()));
}

fn read_signed(r: &mut Reader<'_>) -> Result<i64, Malformed> {
    Ok(i64::from_le_bytes(r.number()?.to_le_bytes()))
}

fn number(r: &mut Reader<'_>) -> Result<usize, Malformed> {
    usize::try_from(r.number()?).map_err(|_| Malformed)
}

fn byte(r: &mut Reader<'_>) -> Result<u8, Malformed> {
    u8::try_from(r.number()?).map_err(|_| Malformed)
}

/// The packets of many changes, and how many changes each request is about: those of a request that has more behind it
/// are answered with it.
pub(super) fn packed(changes: Vec<Change>) -> Vec<(Vec<Request>, usize)> {
    let mut out: Vec<(Vec<Request>, usize)> = Vec::new();
    let mut rest = changes.into_iter().peekable();
    while rest.peek().is_some() {
        let (mut requests, mut in_all) = (Vec::new(), 0);
        loop {
            let (mut w, mut count) = (Writer(Vec::new()), 0);
            while w.0.len() < FILLED_BYTES_MAX
                && in_all + count < AT_ONCE_MAX
                && let Some(change) = rest.next()
            {
                change.encode(&mut w);
                count += 1;
            }
            in_all += count;
            let has_more = in_all < AT_ONCE_MAX && rest.peek().is_some();
            requests.push(Request::Changes { has_more, count, changes: w.0 });
            if !has_more {
                break;
            }
        }
        out.push((requests, in_all));
    }
    out
}

/// The changes of a request.
pub(super) fn unpacked(count: usize, bytes: &[u8]) -> Result<Vec<Change>, Malformed> {
    let mut r = Reader(bytes);
    let mut changes = Vec::new();
    for _ in 0..count {
        changes.push(Change::decode(&mut r)?);
    }
    if r.0.is_empty() && changes.len() <= AT_ONCE_MAX { Ok(changes) } else { Err(Malformed) }
}

impl Change {
    fn encode(&self, w: &mut Writer) {
        w.bytes(cut(&self.jail, TEXT_BYTES_MAX).as_bytes());
        w.number(match self.verb {
            Verb::Start => 0,
            Verb::Ban => 1,
            Verb::Unban => 2,
            Verb::Stop => 3,
            Verb::Prolong => 4,
        });
        match &self.id {
            Id::Net(address, length) => {
                w.number(0);
                w.bytes(address.to_string().as_bytes());
                w.number(u64::from(*length));
            }
            Id::Name(text) => {
                w.number(1);
                w.bytes(cut(text, TEXT_BYTES_MAX).as_bytes());
            }
            Id::Other(text) => {
                w.number(2);
                w.bytes(cut(text, TEXT_BYTES_MAX).as_bytes());
            }
        }
        signed(w, self.ban_s);
        signed(w, self.time_s);
        w.number(u64::from(self.failures));
        w.number(u64::from(self.before));
        w.number(u64::from(self.is_restored));
        w.bytes(cut(&self.matches, MATCHES_BYTES_MAX).as_bytes());
        let fields = self.fields.get(..FIELDS_MAX).unwrap_or(&self.fields);
        w.number(fields.len() as u64);
        for (name, value) in fields {
            w.bytes(cut(name, TEXT_BYTES_MAX).as_bytes());
            w.bytes(cut(value, TEXT_BYTES_MAX).as_bytes());
        }
    }

    fn decode(r: &mut Reader<'_>) -> Result<Change, Malformed> {
        let jail = r.text()?;
        let verb = match r.number()? {
            0 => Verb::Start,
            1 => Verb::Ban,
            2 => Verb::Unban,
            3 => Verb::Stop,
            4 => Verb::Prolong,
            _ => return Err(Malformed),
        };
        let id = match r.number()? {
            0 => Id::Net(r.text()?.parse().map_err(|_| Malformed)?, byte(r)?),
            1 => Id::Name(r.text()?),
            2 => Id::Other(r.text()?),
            _ => return Err(Malformed),
        };
        let (ban_s, time_s) = (read_signed(r)?, read_signed(r)?);
        let (failures, before, is_restored) = (r.id32()?, r.id32()?, r.number()? == 1);
        let matches = r.text()?;
        let mut fields = Vec::new();
        for _ in 0..r.number()?.min(FIELDS_MAX as u64) {
            fields.push((r.text()?, r.text()?));
        }
        Ok(Change { jail, verb, id, ban_s, failures, before, time_s, is_restored, matches, fields })
    }
}

impl Request {
    pub(super) fn encode(&self) -> Vec<u8> {
        match self {
            Request::Changes { has_more, count, changes } => {
                let mut w = Writer::tagged(u64::from(*has_more), 1);
                w.number(*count as u64);
                w.bytes(changes);
                w.0
            }
            Request::Open(path) => {
                let mut w = Writer::tagged(0, 2);
                w.bytes(path.as_bytes());
                w.0
            }
            Request::Reload => Writer::tagged(0, 3).0,
        }
    }

    pub(super) fn decode(packet: &[u8]) -> Result<Request, Malformed> {
        let mut r = Reader(packet);
        let has_more = r.number()? == 1;
        let request = match r.byte()? {
            1 => Request::Changes { has_more, count: number(&mut r)?, changes: r.bytes()?.to_vec() },
            2 => Request::Open(r.text()?),
            3 => Request::Reload,
            _ => return Err(Malformed),
        };
        if r.0.is_empty() { Ok(request) } else { Err(Malformed) }
    }
}

impl Answer {
    pub(super) fn encode(&self) -> Vec<u8> {
        match self {
            Answer::Done => Writer::tagged(0, 1).0,
            Answer::Missing => Writer::tagged(0, 2).0,
            Answer::Failed { first, count, text } => {
                let mut w = Writer::tagged(0, 3);
                w.number(*first as u64);
                w.number(*count as u64);
                w.bytes(cut(text, MATCHES_BYTES_MAX).as_bytes());
                w.0
            }
        }
    }

    pub(super) fn decode(packet: &[u8]) -> Result<Answer, Malformed> {
        let mut r = Reader(packet);
        let _ = r.number()?;
        let answer = match r.byte()? {
            1 => Answer::Done,
            2 => Answer::Missing,
            3 => Answer::Failed { first: number(&mut r)?, count: number(&mut r)?, text: r.text()? },
            _ => return Err(Malformed),
        };
        if r.0.is_empty() { Ok(answer) } else { Err(Malformed) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(matches: usize) -> Change {
        Change {
            ban_s: 600,
            failures: 5,
            before: 2,
            time_s: -7,
            is_restored: true,
            matches: "é".repeat(matches / 2),
            fields: vec![("user".to_owned(), "a\nb".to_owned()); 30],
            ..Change::new("sshd", Verb::Ban, Id::address("2001:db8::1".parse().unwrap()))
        }
    }

    #[test]
    fn packets_come_back() {
        let mut short = change(10);
        short.fields.truncate(2);
        let name = Change::new("x", Verb::Unban, Id::Name("a.example".to_owned()));
        let changes = vec![Change::start("x"), short, name, Change::stop("x")];
        let packed = packed(changes.clone());
        assert_eq!(packed.len(), 1);
        let packet = packed[0].0[0].encode();
        let Ok(Request::Changes { has_more: false, count: 4, changes: bytes }) = Request::decode(&packet)
        else {
            panic!("{packet:?}");
        };
        assert_eq!(unpacked(4, &bytes), Ok(changes));
        for cut in 0..packet.len() {
            assert_eq!(Request::decode(&packet[..cut]), Err(Malformed), "cut at {cut}");
        }
        for cut in 0..bytes.len() {
            assert!(unpacked(4, &bytes[..cut]).is_err(), "cut at {cut}");
        }
        for request in [Request::Open("/a b".to_owned()), Request::Reload] {
            assert_eq!(Request::decode(&request.encode()), Ok(request));
        }
        let failed = Answer::Failed { first: 3, count: 9, text: "no".to_owned() };
        for answer in [Answer::Done, Answer::Missing, failed] {
            assert_eq!(Answer::decode(&answer.encode()), Ok(answer));
        }
    }

    #[test]
    fn packets_are_bounded_whatever_is_in_a_change() {
        let mut large = change(1 << 20);
        large.jail = "j".repeat(1 << 20);
        large.id = Id::Other("é".repeat(1 << 20));
        large.fields = vec![("n".repeat(1 << 20), "v".repeat(1 << 20)); 30];
        let packed = packed(vec![large; 20]);
        assert_eq!(packed.iter().map(|(_, count)| count).sum::<usize>(), 20);
        for request in packed.iter().flat_map(|(requests, _)| requests) {
            let packet = request.encode();
            assert!(packet.len() <= PACKET_BYTES_MAX, "{}", packet.len());
            let Ok(Request::Changes { count, changes, .. }) = Request::decode(&packet) else { panic!() };
            let changes = unpacked(count, &changes).unwrap();
            assert!(changes.iter().all(|change| change.matches.len() == MATCHES_BYTES_MAX));
        }
        let small = vec![Change::new("sshd", Verb::Ban, Id::address("192.0.2.1".parse().unwrap())); 10_000];
        let packed = super::packed(small);
        assert_eq!((packed.len(), packed[0].1), (1, 10_000), "one transaction");
        let more =
            packed[0].0.iter().map(|request| matches!(request, Request::Changes { has_more: true, .. }));
        let more: Vec<bool> = more.collect();
        assert!(more.split_last().is_some_and(|(last, before)| !last && before.iter().all(|more| *more)));
    }
}
