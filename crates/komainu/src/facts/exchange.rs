//! One question to one name server over UDP, for the plain answers that most are: the library's way of asking costs
//! several times as much, and 10 kB for as long as it waits.
//!
//! Plain is: in time, whole, the records that were asked for under the name that was asked for, or none and no alias
//! nor referral. Whatever else comes, or nothing, is no answer here, and the library is asked, which knows about
//! aliases, truncation, other servers and new tries. Each question has a socket of its own, whose port the kernel
//! picks at random, beside a random id (RFC 5452 §9); what doesn't match question and id is not heard. T1.4, T2.2.

use hickory_proto::op::{Edns, Message, MessageType, Query, ResponseCode};
use hickory_proto::rr::{DNSClass, Name, RData, Record, RecordType};
use hickory_resolver::config::{NameServerConfig, ProtocolConfig};
use socket2::{Domain, Protocol, Socket, Type};
use std::io;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::Interest;
use tokio::net::UdpSocket;

/// A server that takes longer is left to the library.
const PATIENCE: Duration = Duration::from_secs(1);
/// Longer answers come truncated (RFC 9715 §3).
const ANSWER_BYTES_MAX: u16 = 1232;
/// So many packets that don't match are looked at: somebody guesses.
const STRANGERS_MAX: u32 = 32;

/// What a server said.
#[derive(Debug)]
pub(super) enum Said {
    /// These records, at least one.
    Records(Vec<Record>),
    /// None; for so many seconds, where it says so (RFC 2308 §5).
    Nothing(ResponseCode, Option<u32>),
    /// Nobody is at its port, and there is no other server: the library would ask in vain for ten seconds.
    Nobody(SocketAddr),
}

/// The first of the name servers.
pub(super) struct Exchange {
    server: SocketAddr,
    is_only: bool,
}

impl Exchange {
    /// For the first of `servers`, if it speaks UDP.
    pub(super) fn new(servers: &[NameServerConfig]) -> Option<Exchange> {
        let (server, others) = servers.split_first()?;
        let udp = |protocol: &ProtocolConfig| matches!(protocol, ProtocolConfig::Udp);
        let connection = server.connections.iter().find(|connection| udp(&connection.protocol))?;
        let is_only = others.is_empty();
        Some(Exchange { server: SocketAddr::new(server.ip, connection.port), is_only })
    }

    /// Asks once; `None` where there is no plain answer.
    pub(super) async fn ask(&self, name: &Name, kind: RecordType) -> Option<Said> {
        let mut question = Message::query();
        question.metadata.recursion_desired = true;
        question.add_query(Query::query(name.clone(), kind));
        let mut edns = Edns::new();
        edns.set_max_payload(ANSWER_BYTES_MAX);
        question.set_edns(edns);
        let packet = question.to_vec().ok()?;
        let socket = connect(self.server).ok()?;
        socket.send(&packet).await.ok()?;
        match tokio::time::timeout(PATIENCE, hear(&socket, &question)).await.ok()? {
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused && self.is_only => {
                Some(Said::Nobody(self.server))
            }
            heard => heard.ok().flatten(),
        }
    }
}

/// A socket that hears this server only.
fn connect(server: SocketAddr) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(server), Type::DGRAM.nonblocking(), Some(Protocol::UDP))?;
    socket.connect(&server.into())?;
    UdpSocket::from_std(socket.into())
}

async fn hear(socket: &UdpSocket, question: &Message) -> io::Result<Option<Said>> {
    for _ in 0..STRANGERS_MAX {
        // A server that isn't there is an error only.
        socket.ready(Interest::READABLE | Interest::ERROR).await?;
        let mut packet = [0; ANSWER_BYTES_MAX as usize];
        let length = match socket.try_recv(&mut packet) {
            Ok(length) => length,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => match socket.take_error()? {
                Some(error) => return Err(error),
                None => continue,
            },
            Err(error) => return Err(error),
        };
        let answer = packet.get(..length).and_then(|packet| Message::from_vec(packet).ok());
        if let Some(answer) = answer.filter(|answer| belongs(answer, question)) {
            return Ok(plain(answer, question));
        }
    }
    Ok(None)
}

/// Whether an answer is to this question (RFC 5452 §9.1).
fn belongs(answer: &Message, question: &Message) -> bool {
    answer.metadata.id == question.metadata.id
        && answer.metadata.message_type == MessageType::Response
        && answer.metadata.op_code == question.metadata.op_code
        && answer.queries == question.queries
}

/// What a plain answer says.
fn plain(answer: Message, question: &Message) -> Option<Said> {
    let query = question.queries.first()?;
    let code = answer.metadata.response_code;
    if answer.metadata.truncation || !matches!(code, ResponseCode::NoError | ResponseCode::NXDomain) {
        return None;
    }
    if answer.answers.is_empty() {
        let is_referral = |record: &Record| record.record_type() == RecordType::NS;
        if answer.authorities.iter().any(is_referral) {
            return None;
        }
        let holds = answer.authorities.iter().find_map(|record| match &record.data {
            RData::SOA(soa) => Some(record.ttl.min(soa.minimum)),
            _ => None,
        });
        return Some(Said::Nothing(code, holds));
    }
    let fits = |record: &Record| {
        record.record_type() == query.query_type()
            && record.dns_class == DNSClass::IN
            && record.name == *query.name()
    };
    (code == ResponseCode::NoError && answer.answers.iter().all(fits))
        .then_some(Said::Records(answer.answers))
}

#[cfg(test)]
mod tests {
    use super::*;
    use hickory_proto::rr::rdata::{A, CNAME, NS, SOA};
    use std::net::Ipv4Addr;

    fn name(text: &str) -> Name {
        Name::from_ascii(text).expect("a name")
    }

    fn question() -> Message {
        let mut question = Message::query();
        question.add_query(Query::query(name("a.example."), RecordType::A));
        question
    }

    fn a(owner: &str) -> Record {
        Record::from_rdata(name(owner), 60, RData::A(A(Ipv4Addr::new(127, 0, 0, 2))))
    }

    fn answer(
        question: &Message,
        code: ResponseCode,
        answers: Vec<Record>,
        authorities: Vec<Record>,
    ) -> Message {
        let mut answer = Message::response(question.metadata.id, question.metadata.op_code);
        answer.metadata.response_code = code;
        answer.add_queries(question.queries.clone()).add_answers(answers).add_authorities(authorities);
        answer
    }

    #[test]
    fn plain_answers_and_others() {
        let question = question();
        let soa = SOA::new(name("ns.example."), name("h.example."), 1, 2, 3, 4, 30);
        let soa = Record::from_rdata(name("example."), 90, RData::SOA(soa));
        let ns = Record::from_rdata(name("example."), 90, RData::NS(NS(name("ns.example."))));
        let alias = Record::from_rdata(name("a.example."), 60, RData::CNAME(CNAME(name("b.example."))));
        let check = |code, answers: Vec<Record>, authorities: Vec<Record>, expect: &str| {
            let said = match plain(answer(&question, code, answers, authorities), &question) {
                Some(Said::Records(records)) => format!("{} records", records.len()),
                Some(Said::Nothing(code, holds)) => format!("{code} {holds:?}"),
                Some(Said::Nobody(server)) => format!("nobody at {server}"),
                None => "no plain answer".to_owned(),
            };
            assert_eq!(said, expect);
        };
        let (good, none) = (ResponseCode::NoError, ResponseCode::NXDomain);
        check(good, vec![a("a.example."), a("A.example.")], vec![ns.clone()], "2 records");
        check(none, vec![], vec![soa.clone()], "Non-Existent Domain Some(30)");
        check(none, vec![], vec![], "Non-Existent Domain None");
        check(good, vec![], vec![soa.clone()], "No Error Some(30)");
        check(good, vec![], vec![ns], "no plain answer");
        check(good, vec![alias.clone(), a("b.example.")], vec![], "no plain answer");
        check(none, vec![alias], vec![soa], "no plain answer");
        check(none, vec![a("a.example.")], vec![], "no plain answer");
        check(good, vec![a("b.example.")], vec![], "no plain answer");
        check(ResponseCode::ServFail, vec![], vec![], "no plain answer");
        let mut cut = answer(&question, good, vec![a("a.example.")], vec![]);
        cut.metadata.truncation = true;
        assert!(plain(cut, &question).is_none());
    }

    #[test]
    fn answers_to_others_are_not_heard() {
        let question = question();
        let good = answer(&question, ResponseCode::NoError, vec![a("a.example.")], vec![]);
        assert!(belongs(&good, &question));
        let mut other = good.clone();
        other.metadata.id = other.metadata.id.wrapping_add(1);
        assert!(!belongs(&other, &question));
        let mut other = good.clone();
        other.metadata.message_type = MessageType::Query;
        assert!(!belongs(&other, &question));
        let mut other = good.clone();
        other.queries.clear();
        assert!(!belongs(&other, &question));
        let mut other = good;
        other.queries = vec![Query::query(name("b.example."), RecordType::A)];
        assert!(!belongs(&other, &question));
    }

    /// A server that answers with garbage, with somebody else's answer, and then with the right one.
    #[tokio::test]
    async fn asks_until_the_right_answer_comes() {
        let server = UdpSocket::bind("127.0.0.1:0").await.expect("binds");
        let exchange = Exchange { server: server.local_addr().expect("bound"), is_only: false };
        let serve = async {
            let mut packet = [0; 1500];
            let (length, from) = server.recv_from(&mut packet).await.expect("a question");
            let question = Message::from_vec(&packet[..length]).expect("a message");
            assert!(question.metadata.recursion_desired && question.max_payload() == ANSWER_BYTES_MAX);
            let good = answer(&question, ResponseCode::NoError, vec![a("a.example.")], vec![]);
            let mut wrong = good.clone();
            wrong.metadata.id = wrong.metadata.id.wrapping_add(1);
            for packet in [vec![1, 2, 3], wrong.to_vec().expect("bytes"), good.to_vec().expect("bytes")] {
                server.send_to(&packet, from).await.expect("sends");
            }
        };
        let asked = name("a.example.");
        let (said, ()) = tokio::join!(exchange.ask(&asked, RecordType::A), serve);
        assert!(matches!(said, Some(Said::Records(records)) if records.len() == 1));
        // Nobody there: the library's turn at once.
        drop(server);
        let began = std::time::Instant::now();
        assert!(exchange.ask(&asked, RecordType::A).await.is_none());
        let only = Exchange { is_only: true, ..exchange };
        assert!(matches!(only.ask(&asked, RecordType::A).await, Some(Said::Nobody(_))), "nobody else to ask");
        assert!(began.elapsed() < PATIENCE);
    }
}
