//! A name server of a test's own, which knows little.

use std::net::UdpSocket;
use std::time::Duration;

/// What it says to a question: RFC 1035 section 4.1.
#[derive(Default)]
pub(crate) struct Reply {
    /// The code where there is no record: 2 for a failure, 3 for no such name.
    pub(crate) code: u8,
    /// The one record: its type and its data.
    pub(crate) record: Option<(u8, Vec<u8>)>,
    /// How long it takes to say so.
    pub(crate) wait: Duration,
}

/// Answers questions until the test is over: names as they are sent, with type and class behind them.
pub(crate) fn start(socket: UdpSocket, answer: impl Fn(&[u8]) -> Reply + Send + 'static) {
    std::thread::spawn(move || {
        let mut query = [0; 512];
        while let Ok((length, peer)) = socket.recv_from(&mut query) {
            let Some(question) = query.get(12..length) else { continue };
            let Some(end) = question.iter().position(|byte| *byte == 0).map(|at| at + 5) else { continue };
            let Some(question) = question.get(..end) else { continue };
            let Reply { code, record, wait } = answer(question);
            let mut reply = query[..2].to_vec();
            // An answer, authoritative.
            let (code, count) = if record.is_some() { (0, 1) } else { (code, 0) };
            reply.extend([0x84, code, 0, 1, 0, count, 0, 0, 0, 0]);
            reply.extend(question);
            if let Some((kind, data)) = record {
                let length = u8::try_from(data.len()).expect("short");
                reply.extend([0xc0, 12, 0, kind, 0, 1, 0, 0, 0, 60, 0, length]);
                reply.extend(data);
            }
            let socket = socket.try_clone().expect("another");
            std::thread::spawn(move || {
                std::thread::sleep(wait);
                let _ = socket.send_to(&reply, peer);
            });
        }
    });
}
