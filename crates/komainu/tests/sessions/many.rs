//! A hundred thousand waiting clients, over memory: what each of them costs. T2.2.

use crate::house::House;
use komainu::session::line::Line;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Sessions; without optimisation a tenth says as much.
const SESSIONS: u32 = if cfg!(debug_assertions) { 10_000 } else { 100_000 };
/// What one may cost, sockets apart; without optimisation some things are larger.
const BYTES_EACH_MAX: u64 = if cfg!(debug_assertions) { 3 * 1024 } else { 2560 };

/// A client that greets, takes every reply and then waits. It costs nothing itself, so what is measured is the
/// session.
struct Waiting {
    greeted: bool,
}

impl Line for Waiting {}

impl AsyncRead for Waiting {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if std::mem::replace(&mut self.greeted, true) {
            return Poll::Pending;
        }
        buf.put_slice(b"EHLO client.example\r\n");
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Waiting {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(bytes.len()))
    }
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// Proportional set size, in bytes.
fn pss() -> u64 {
    let text = std::fs::read_to_string("/proc/self/smaps_rollup").expect("smaps_rollup");
    let line = text.lines().find_map(|line| line.strip_prefix("Pss:")).expect("a Pss line");
    line.trim().trim_end_matches("kB").trim().parse::<u64>().expect("a number") * 1024
}

/// So many sessions more, all of them at rest.
async fn add(house: &House, from: u32, number: u32) {
    let before = house.log().matches(": connect from ").count();
    for n in from..from + number {
        let address = SocketAddr::from((Ipv4Addr::from(0x0b00_0000 + n), 40_000));
        house.receive(Waiting { greeted: false }, address);
        if n % 256 == 0 {
            tokio::task::yield_now().await;
        }
    }
    let patience = Instant::now() + Duration::from_secs(300);
    let wanted = before + usize::try_from(number).expect("small");
    while house.log().matches(": connect from ").count() < wanted {
        assert!(Instant::now() < patience, "they don't all get in");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    tokio::time::sleep(Duration::from_millis(300)).await;
}

#[test]
fn a_hundred_thousand_wait() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.expect("a runtime").block_on(async {
        let house = House::open("", 1_000_000);
        add(&house, 0, 100).await;
        let before = pss();
        let began = Instant::now();
        add(&house, 100, SESSIONS).await;
        let each = pss().saturating_sub(before) / u64::from(SESSIONS);
        println!("{SESSIONS} sessions wait: {each} bytes each, all in after {:?}", began.elapsed());
        assert!(each < BYTES_EACH_MAX, "{each} bytes each");
    });
}
