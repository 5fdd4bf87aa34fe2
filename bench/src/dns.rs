//! The world's DNS: answers follow from the name alone, so that a million clients need no memory.
//!
//! 203.0.0.0/16 has reverse names that lead back; 203.0.115.0/24 and 10.0.0.0/8 are listed in `bl.example`;
//! `z1.example` … `z6.example` answer after 20 … 120 ms, and only the last lists 203.0.116.0/24. RFC 5782's test
//! points are as they should be. Domains in `spf.example` name 203.0.113.0/24 by SPF. Whatever concerns 100.64.0.0/10 gets no answer at all. Everything else doesn't exist.

use sim::dns::{Answer, Content, Kind, Special};
use sim::wire;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;
use tokio::net::UdpSocket;

/// Starts the server on a thread of its own; it serves until the process ends.
pub(crate) fn start(address: SocketAddr) -> std::io::Result<()> {
    let socket = std::net::UdpSocket::bind(address)?;
    socket.set_nonblocking(true)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    std::thread::spawn(move || {
        runtime.block_on(async {
            if let Ok(socket) = UdpSocket::from_std(socket) {
                serve(std::sync::Arc::new(socket)).await;
            }
        });
    });
    Ok(())
}

async fn serve(socket: std::sync::Arc<UdpSocket>) {
    let mut packet = [0; 1500];
    loop {
        let Ok((length, peer)) = socket.recv_from(&mut packet).await else { continue };
        let Some(query) = packet.get(..length).and_then(wire::Query::parse) else { continue };
        if is_unanswered(&query.name) {
            continue;
        }
        let answer = answer(&query.name, query.kind);
        let Some(reply) = wire::reply(&query, &answer, 512) else { continue };
        if answer.delay.is_zero() {
            let _ = socket.send_to(&reply, peer).await;
        } else {
            let socket = std::sync::Arc::clone(&socket);
            tokio::spawn(async move {
                tokio::time::sleep(answer.delay).await;
                let _ = socket.send_to(&reply, peer).await;
            });
        }
    }
}

/// `5.113.0.203` in the name's first four labels, the right way round; and the rest.
fn reversed(name: &str) -> Option<(Ipv4Addr, &str)> {
    let mut labels = name.splitn(5, '.');
    let mut octet = || labels.next()?.parse::<u8>().ok();
    let (d, c, b, a) = (octet()?, octet()?, octet()?, octet()?);
    Some((Ipv4Addr::new(a, b, c, d), labels.next()?))
}

fn is_unanswered(name: &str) -> bool {
    matches!(reversed(name).map(|(client, _)| client.octets()), Some([100, 64..=127, _, _]))
}

fn answer(name: &str, kind: Kind) -> Answer {
    let name = name.to_ascii_lowercase();
    let mut delay = Duration::ZERO;
    let found = match reversed(&name) {
        Some((client, "in-addr.arpa")) => reverse(client, kind),
        Some((client, zone)) => {
            if let Some(number) = zone.strip_prefix('z').and_then(|rest| rest.strip_suffix(".example")) {
                delay = Duration::from_millis(20) * number.parse().unwrap_or(0);
            }
            list(client, zone, kind)
        }
        None => forward(&name, kind),
    };
    let records = match found {
        Some(Some(content)) => Ok(vec![(name, content)]),
        Some(None) => Err(Special::NoRecords),
        None => Err(Special::NoName),
    };
    Answer { records, delay }
}

fn reverse(client: Ipv4Addr, kind: Kind) -> Option<Option<Content>> {
    let [a, b, c, d] = client.octets();
    let name = || Content::Name(Kind::Ptr, format!("c-{a}-{b}-{c}-{d}.client.example"));
    ([a, b] == [203, 0]).then(|| (kind == Kind::Ptr).then(name))
}

fn list(client: Ipv4Addr, zone: &str, kind: Kind) -> Option<Option<Content>> {
    let listed = match (client.octets(), zone) {
        ([127, 0, 0, 2], _) => zone.ends_with(".example"),
        ([203, 0, 115, _] | [10, ..], "bl.example") | ([203, 0, 116, _], "z6.example") => true,
        _ => false,
    };
    listed.then(|| match kind {
        Kind::A => Some(Content::A(Ipv4Addr::new(127, 0, 0, 2))),
        Kind::Txt => Some(Content::Txt("listed".to_owned())),
        _ => None,
    })
}

fn forward(name: &str, kind: Kind) -> Option<Option<Content>> {
    if name.ends_with(".spf.example") {
        let record = || Content::Txt("v=spf1 ip4:203.0.113.0/24 -all".to_owned());
        return Some((kind == Kind::Txt).then(record));
    }
    let host = name.strip_suffix("client.example")?;
    let address = match host.strip_suffix('.').and_then(|host| host.strip_prefix("c-")) {
        Some(numbers) => numbers.replace('-', ".").parse().ok()?,
        None => Ipv4Addr::new(203, 0, 113, 1),
    };
    Some((kind == Kind::A).then_some(Content::A(address)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(name: &str, kind: Kind, expect: &str) {
        let answer = answer(name, kind);
        let text = match answer.records {
            Ok(records) => format!("{:?}", records.first().map(|(_, content)| content.clone())),
            Err(special) => format!("{special:?}"),
        };
        assert!(text.contains(expect), "{name} {kind:?}: {text}, not {expect}");
    }

    #[test]
    fn names_say_it_all() {
        check("5.113.0.203.in-addr.arpa", Kind::Ptr, "c-203-0-113-5.client.example");
        check("c-203-0-113-5.client.example", Kind::A, "203.0.113.5");
        check("c-203-0-113-5.client.example", Kind::Aaaa, "NoRecords");
        check("9.115.0.203.bl.example", Kind::A, "127.0.0.2");
        check("9.113.0.203.bl.example", Kind::A, "NoName");
        check("2.0.0.127.bl.example", Kind::A, "127.0.0.2");
        check("1.0.0.127.bl.example", Kind::A, "NoName");
        check("4.3.2.10.bl.example", Kind::Txt, "listed");
        check("1.116.0.203.z6.example", Kind::A, "127.0.0.2");
        check("1.116.0.203.z5.example", Kind::A, "NoName");
        check("client.example", Kind::Mx, "NoRecords");
        check("d7.spf.example", Kind::Txt, "v=spf1");
        check("d7.spf.example", Kind::A, "NoRecords");
        assert_eq!(answer("1.116.0.203.z6.example", Kind::A).delay, Duration::from_millis(120));
        assert!(is_unanswered("1.2.64.100.in-addr.arpa") && is_unanswered("1.2.127.100.bl.example"));
        assert!(!is_unanswered("1.2.128.100.in-addr.arpa") && !is_unanswered("client.example"));
    }
}
