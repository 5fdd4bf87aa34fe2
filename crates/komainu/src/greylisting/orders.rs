//! What is done by hand: those who wait are let pass, others forgotten, and Postgrey's database is taken over.
//!
//! A running server is told over a socket in its folder, which is its account's alone. Where none runs, the file is changed
//! itself, by whoever owns the folder. An order is a line of text; the answer is how many it was about.

use super::table::{self, Given, Table};
use super::{FILE, Greylister, lock};
use crate::clock;
use crate::kept_rows::Rows as _;
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::Shutdown;
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;
use store::keyed::KeyedFile;
use store::{Disk, RealDisk};

/// The socket.
const SOCKET: &str = "control";
/// Whoever says nothing for so long is hung up on.
const PATIENCE: Duration = Duration::from_secs(10);
/// The longest order.
const LINE_BYTES_MAX: u64 = 4_096;
/// After so many changes the file gets the time that it needs.
const BATCH: usize = 1_000;

/// One thing to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    /// Let triplets that wait and have this text in them pass.
    Pass(String),
    /// Forget triplets and clients with this text in them.
    Forget(String),
    /// Remember one of Postgrey's.
    Take(Given),
}

impl Order {
    fn line(&self) -> String {
        let clean = |text: &str| text.replace(['\n', '\r'], "?");
        match self {
            Order::Pass(text) => format!("pass {}\n", clean(text)),
            Order::Forget(text) => format!("forget {}\n", clean(text)),
            Order::Take(given) => {
                let kind = if given.is_client { "client" } else { "triplet" };
                format!("{kind} {} {} {}\n", given.first, given.last, clean(&given.key))
            }
        }
    }

    fn parse(line: &str) -> Option<Order> {
        let (word, rest) = line.split_once(' ')?;
        Some(match word {
            "pass" => Order::Pass(rest.to_owned()),
            "forget" => Order::Forget(rest.to_owned()),
            "triplet" | "client" => {
                let mut parts = rest.splitn(3, ' ');
                let (first, last) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
                let key = parts.next()?.to_owned();
                Order::Take(Given { is_client: word == "client", first, last, key })
            }
            _ => return None,
        })
    }

    fn apply(&self, table: &mut Table) -> usize {
        match self {
            Order::Pass(text) => table.pass(text, clock::now().wall.seconds()),
            Order::Forget(text) => table.forget(text),
            Order::Take(given) => usize::from(table.take(given)),
        }
    }
}

/// Takes orders for a server, on a thread of its own, for as long as it is there.
pub(super) fn listen(greylister: &Arc<Greylister>, folder: &Path) -> io::Result<()> {
    let path = folder.join(SOCKET);
    match std::fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let socket = UnixListener::bind(&path)?;
    let greylister = Arc::downgrade(greylister);
    let run = move || {
        for stream in socket.incoming().flatten() {
            if greylister.strong_count() == 0 {
                return;
            }
            // Whoever goes away gets no answer.
            let _ = serve(stream, &greylister);
        }
    };
    std::thread::Builder::new().name("greylist-orders".into()).spawn(run).map(drop)
}

fn serve(mut stream: UnixStream, greylister: &Weak<Greylister>) -> io::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let mut lines = BufReader::new(stream.try_clone()?);
    let (mut done, mut changes) = (0, 0);
    loop {
        let mut line = String::new();
        if lines.by_ref().take(LINE_BYTES_MAX).read_line(&mut line)? == 0 {
            break;
        }
        let order = Order::parse(line.trim_end_matches('\n')).ok_or(io::ErrorKind::InvalidData)?;
        let Some(greylister) = greylister.upgrade() else { break };
        let mut table = lock(&greylister.table);
        done += order.apply(&mut table);
        let rows = table.take_changed();
        drop(table);
        let Some(keeper) = greylister.keeper.get() else { continue };
        changes += rows.len();
        rows.into_iter().for_each(|row| keeper.keep(row));
        if changes >= BATCH {
            keeper.flush();
            changes = 0;
        }
    }
    if let Some(greylister) = greylister.upgrade() {
        greylister.flush();
    }
    stream.write_all(format!("{done}\n").as_bytes())
}

/// Has orders done, by the server of `folder` or here: how many they were about.
///
/// # Errors
/// Where neither can be.
pub(crate) fn tell(folder: &Path, orders: &[Order]) -> io::Result<usize> {
    match UnixStream::connect(folder.join(SOCKET)) {
        Ok(stream) => tell_server(stream, orders),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused) => {
            change_file(folder, orders)
        }
        Err(error) => Err(error),
    }
}

fn tell_server(mut stream: UnixStream, orders: &[Order]) -> io::Result<usize> {
    for order in orders {
        stream.write_all(order.line().as_bytes())?;
    }
    stream.shutdown(Shutdown::Write)?;
    let mut answer = String::new();
    stream.take(LINE_BYTES_MAX).read_to_string(&mut answer)?;
    answer
        .trim_end()
        .parse()
        .map_err(|_| io::Error::other("the server didn't do all of it; its log may say why"))
}

fn change_file(folder: &Path, orders: &[Order]) -> io::Result<usize> {
    let owner = std::fs::metadata(folder)?.uid();
    if owner != rustix::process::geteuid().as_raw() {
        let text = format!(
            "no server runs there; start it, or do this as the account that the folder belongs to (uid {owner})"
        );
        return Err(io::Error::other(text));
    }
    let file = std::fs::File::create(folder.join("lock"))?;
    rustix::fs::flock(&file, rustix::fs::FlockOperation::NonBlockingLockExclusive)?;
    let disk: Arc<dyn Disk> = Arc::new(RealDisk::new(folder)?);
    let table = Arc::<Mutex<Table>>::default();
    let rows = table::Rows::new(&table);
    let mut kept = KeyedFile::open(disk, FILE, table::Rows::LAYOUT, &mut |row| rows.restore(row))?;
    let done = orders.iter().map(|order| order.apply(&mut lock(&table))).sum();
    kept.rewrite(rows.encoded().chunks_exact(table::Rows::LAYOUT.1))?;
    Ok(done)
}

/// For fuzzing: rows of Postgrey's database, keys and values a line each, taken over and kept; and rows of our own file.
pub(super) fn fuzz(bytes: &[u8]) {
    let mut table = Table::default();
    let lines: Vec<&[u8]> = bytes.split(|byte| *byte == b'\n').collect();
    for (at, pair) in lines.chunks_exact(2).enumerate() {
        let [key, value] = pair else { continue };
        let Some(given) = Given::of_postgrey((key, value), at.is_multiple_of(2)) else { continue };
        let order = Order::Take(given);
        let line = order.line();
        let read = Order::parse(line.trim_end_matches('\n'));
        // A server reads no longer line than its limit; an end of line within a key is no end.
        assert_eq!(read.as_ref().map(Order::line), Some(line), "{order:?}");
        if let Some(order) = read {
            order.apply(&mut table);
        }
    }
    let table = Arc::new(Mutex::new(table));
    let rows = table::Rows::new(&table);
    let length = table::Rows::LAYOUT.1;
    for row in bytes.chunks(length) {
        rows.restore(row);
    }
    let written = rows.encoded();
    assert_eq!(written.len(), rows.count() * length);
    let again = Arc::<Mutex<Table>>::default();
    let read = table::Rows::new(&again);
    written.chunks_exact(length).for_each(|row| read.restore(row));
    assert_eq!(read.count(), rows.count(), "what was written is read");
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn any_database(bytes in prop::collection::vec(any::<u8>(), 0..700)) {
            fuzz(&bytes);
        }

        #[test]
        fn likely_databases(text in "(([0-9.]{3,9}/[a-z@]{0,9}/[a-z\r@é]{0,90}|[0-9a-f]{40})\n[0-9]{1,11},[0-9]{0,11}\u{0}?\n){0,9}".prop_map(|text: String| text)) {
            fuzz(text.as_bytes());
        }
    }

    #[test]
    fn orders_are_read_as_they_were_written() {
        let given = Given { is_client: false, first: 5, last: 6, key: "192.0.2.0/a b@x/c@d".to_owned() };
        let client = Given { is_client: true, first: 7, last: 8, key: "192.0.2.1".to_owned() };
        for order in
            [Order::Pass("a b".into()), Order::Forget("x".into()), Order::Take(given), Order::Take(client)]
        {
            assert_eq!(Order::parse(order.line().trim_end()), Some(order));
        }
        assert_eq!(Order::Pass("a\npass b".into()).line(), "pass a?pass b\n");
        for bad in ["", "pass", "what x", "triplet 1 x", "client a b c"] {
            assert_eq!(Order::parse(bad), None, "{bad}");
        }
    }
}
