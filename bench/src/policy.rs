//! `bench policy`: requests of the policy protocol a second, beside Debian's postgrey and policyd-spf, in turns.
//!
//! Greylisting over TCP with one and with 50 connections that stay, of triplets that are new and that have passed before;
//! SPF the same, of a domain for each request and of one domain, policyd-spf as Postfix's spawn(8) runs it: a process for
//! each connection. Each row has servers of its own; CPU is that of all processes of a server.

use crate::account::Account;
use crate::figures::{percentile, spread};
use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

const USAGE: &str =
    "usage: bench policy [MS] [TURNS] [WORDS]   policy requests a second (default: 3000 ms, 5 turns)\n";
/// Triplets, or domains, that are known.
const KNOWN: u64 = 200;
/// How long somebody may take to start, or to answer.
const PATIENCE: Duration = Duration::from_secs(20);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Postgrey,
    PolicydSpf,
    Greylist,
    Spf,
}

/// What is measured.
struct Row {
    name: &'static str,
    sides: (Side, Side),
    connections: usize,
    known: bool,
}

const GREY: (Side, Side) = (Side::Greylist, Side::Postgrey);
const SPF: (Side, Side) = (Side::Spf, Side::PolicydSpf);
const ROWS: [Row; 8] = [
    Row { name: "greylist-new-1", sides: GREY, connections: 1, known: false },
    Row { name: "greylist-known-1", sides: GREY, connections: 1, known: true },
    Row { name: "greylist-new-50", sides: GREY, connections: 50, known: false },
    Row { name: "greylist-known-50", sides: GREY, connections: 50, known: true },
    Row { name: "spf-new-1", sides: SPF, connections: 1, known: false },
    Row { name: "spf-known-1", sides: SPF, connections: 1, known: true },
    Row { name: "spf-new-50", sides: SPF, connections: 50, known: false },
    Row { name: "spf-known-50", sides: SPF, connections: 50, known: true },
];

/// What one turn gave.
#[derive(Clone, Copy, Debug)]
struct Sample {
    per_second: f64,
    median_ms: f64,
    cpu_us: f64,
}

/// A server, or what becomes one for each connection.
struct Server {
    side: Side,
    account: Account,
    children: Vec<Child>,
    folder: PathBuf,
}

impl Drop for Server {
    fn drop(&mut self) {
        let root = self.children.first().map_or(0, Child::id);
        self.account.kill(root);
        for child in &mut self.children {
            // It is gone, or goes with the namespace.
            let _ = child.kill();
            let _ = child.wait();
        }
        let _ = fs::remove_dir_all(&self.folder);
    }
}

trait Talk: Read + Write + Send {}
impl<T: Read + Write + Send> Talk for T {}

const fn port(side: Side) -> u16 {
    match side {
        Side::Postgrey => 10_023,
        Side::Greylist => 10_024,
        Side::Spf => 10_025,
        Side::PolicydSpf => 0,
    }
}

impl Server {
    fn start(side: Side) -> Result<Server, String> {
        let folder = std::env::temp_dir().join(format!("bench-policy-{}-{side:?}", std::process::id()));
        fs::create_dir_all(&folder).map_err(|e| format!("{}: {e}", folder.display()))?;
        let mut server =
            Server { side, account: Account::open("policy"), children: Vec::new(), folder: folder.clone() };
        let komainu = std::env::var("KOMAINU_BIN").unwrap_or_else(|_| "target/release/komainu".to_owned());
        let (state, log) = (folder.join("state"), folder.join("log"));
        let inet = format!("--inet=127.0.0.1:{}", port(side));
        let mut command = match side {
            Side::PolicydSpf => return Ok(server),
            Side::Postgrey => {
                fs::create_dir_all(&state).map_err(|e| e.to_string())?;
                let mut command = server.account.command("/usr/sbin/postgrey");
                command.args([&inet, "--user=root", "--group=root", "--delay=1"]);
                command.arg(format!("--dbdir={}", state.display()));
                command
            }
            Side::Greylist | Side::Spf => {
                let mut command = server.account.command(&komainu);
                command.arg("policyd").arg("--state").arg(&state).arg("--log").arg(&log);
                command.args((side == Side::Spf).then_some("--spf")).args([&inet, "--delay=1"]);
                command
            }
        };
        let said = fs::File::create(folder.join("said")).map_err(|e| e.to_string())?;
        let also = said.try_clone().map_err(|e| e.to_string())?;
        let child = command.stdin(Stdio::null()).stdout(also).stderr(said).spawn();
        server.children.push(child.map_err(|e| format!("{side:?}: {e}"))?);
        let began = Instant::now();
        while server.connect().is_err() {
            if began.elapsed() > PATIENCE {
                let said = fs::read_to_string(folder.join("said")).unwrap_or_default();
                return Err(format!("{side:?} doesn't listen: {said}"));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(server)
    }

    fn connect(&mut self) -> Result<Box<dyn Talk>, String> {
        if self.side == Side::PolicydSpf {
            return self.spawn().map_err(|e| format!("policyd-spf: {e}"));
        }
        let stream = TcpStream::connect(SocketAddr::from(([127, 0, 0, 1], port(self.side))));
        let stream = stream.map_err(|e| e.to_string())?;
        let settled = stream.set_nodelay(true).and_then(|()| stream.set_read_timeout(Some(PATIENCE)));
        settled.map_err(|e| e.to_string())?;
        Ok(Box::new(stream))
    }

    /// As spawn(8) does it: the connection is the program's standard input and output.
    fn spawn(&mut self) -> std::io::Result<Box<dyn Talk>> {
        let (ours, theirs) = UnixStream::pair()?;
        ours.set_read_timeout(Some(PATIENCE))?;
        let output = OwnedFd::from(theirs.try_clone()?);
        let mut command = self.account.command("policyd-spf");
        let child = command.stdin(OwnedFd::from(theirs)).stdout(output).stderr(Stdio::null()).spawn()?;
        self.children.push(child);
        Ok(Box::new(ours))
    }

    fn cpu_s(&self) -> f64 {
        match &self.account {
            Account::Proc => self.children.iter().map(|child| self.account.cpu_s(child.id())).sum(),
            account => account.cpu_s(0),
        }
    }
}

/// A request as Postfix writes it.
fn request(number: u64, side: Side, instance: u64) -> String {
    let domain = match side {
        Side::Spf | Side::PolicydSpf => format!("d{number}.spf.example"),
        Side::Postgrey | Side::Greylist => format!("d{}.example", number % 5_000),
    };
    let [_, a, b, c] = u32::try_from(number % (1 << 24)).unwrap_or(0).to_be_bytes();
    let client = match side {
        Side::Spf | Side::PolicydSpf => "203.0.113.1".to_owned(),
        Side::Postgrey | Side::Greylist => format!("11.{a}.{b}.{c}"),
    };
    format!(
        "request=smtpd_access_policy\nprotocol_state=RCPT\nprotocol_name=ESMTP\nclient_address={client}\n\
         client_name=mail.{domain}\nclient_port=40000\nreverse_client_name=mail.{domain}\n\
         server_address=198.51.100.1\nserver_port=25\nhelo_name=client.example\nsender=u{number}x@{domain}\n\
         recipient=box@example.com\nrecipient_count=0\nqueue_id=\ninstance=1a2b.{instance}.0\nsize=4000\n\
         etrn_domain=\nstress=\nsasl_method=\nsasl_username=\nsasl_sender=\nccert_subject=\nccert_issuer=\n\
         ccert_fingerprint=\nccert_pubkey_fingerprint=\nencryption_protocol=\nencryption_cipher=\n\
         encryption_keysize=0\npolicy_context=\n\n"
    )
}

fn ask(stream: &mut dyn Talk, request: &str) -> Result<String, String> {
    stream.write_all(request.as_bytes()).map_err(|e| e.to_string())?;
    let mut answer = Vec::new();
    let mut piece = [0; 4096];
    while !answer.ends_with(b"\n\n") {
        let read = stream.read(&mut piece).map_err(|e| e.to_string())?;
        if read == 0 {
            return Err("hung up".to_owned());
        }
        answer.extend_from_slice(piece.get(..read).unwrap_or_default());
    }
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

/// No two messages have the same.
static INSTANCES: AtomicU64 = AtomicU64::new(1);

fn instance() -> u64 {
    INSTANCES.fetch_add(1, Ordering::Relaxed)
}

/// What answers must look like, so that what is counted is what is meant.
fn is_right(side: Side, known: bool, answer: &str) -> bool {
    match side {
        Side::Postgrey | Side::Greylist if known => {
            answer.starts_with("action=DUNNO") || answer.starts_with("action=PREPEND")
        }
        Side::Postgrey | Side::Greylist => answer.starts_with("action=DEFER_IF_PERMIT"),
        Side::Spf | Side::PolicydSpf => {
            answer.to_ascii_lowercase().starts_with("action=prepend received-spf: pass")
        }
    }
}

/// Makes triplets pass.
fn prime(server: &mut Server) -> Result<(), String> {
    let mut stream = server.connect()?;
    for _ in 0..2 {
        for number in 0..KNOWN {
            ask(&mut *stream, &request(number, server.side, instance()))?;
        }
        // Over the delay of a second, counted in whole ones.
        std::thread::sleep(Duration::from_millis(2_100));
    }
    Ok(())
}

fn measure(row: &Row, side: Side, ms: u64) -> Result<Sample, String> {
    let mut server = Server::start(side)?;
    if row.known {
        prime(&mut server)?;
    }
    let mut streams = Vec::new();
    for _ in 0..row.connections {
        let mut stream = server.connect()?;
        // Everybody is there before it begins; the first answer of a program comes with its start.
        ask(&mut *stream, &request(instance() % KNOWN, side, instance()))?;
        streams.push(stream);
    }
    let cpu = server.cpu_s();
    let began = Instant::now();
    let end = began + Duration::from_millis(ms);
    let outcomes: Vec<Result<Vec<f64>, String>> = std::thread::scope(|scope| {
        let talk = |mut stream: Box<dyn Talk>| {
            let mut took = Vec::new();
            while Instant::now() < end {
                let one = instance();
                let number = if row.known { one % KNOWN } else { KNOWN + one };
                let asked = Instant::now();
                let answer = ask(&mut *stream, &request(number, side, one))?;
                took.push(asked.elapsed().as_secs_f64() * 1_000.0);
                if !is_right(side, row.known, &answer) {
                    return Err(format!("{side:?} answers {answer}"));
                }
            }
            Ok(took)
        };
        let threads: Vec<_> = streams.into_iter().map(|stream| scope.spawn(move || talk(stream))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap_or_else(|_| Err("a bug".to_owned()))).collect()
    });
    let (elapsed, cpu) = (began.elapsed().as_secs_f64(), server.cpu_s() - cpu);
    let mut took = outcomes.into_iter().collect::<Result<Vec<_>, _>>()?.concat();
    took.sort_by(f64::total_cmp);
    let count = took.len().max(1) as f64;
    let median_ms = percentile(&took, 0.5).unwrap_or(0.0);
    Ok(Sample { per_second: count / elapsed, median_ms, cpu_us: cpu * 1e6 / count })
}

pub(crate) fn command(words: &[String]) -> Result<(), String> {
    let (numbers, words): (Vec<&String>, Vec<&String>) =
        words.iter().partition(|word| word.parse::<u64>().is_ok());
    let number = |at: usize, default: u64| numbers.get(at).map_or(Some(default), |word| word.parse().ok());
    let (Some(ms), Some(turns), true) = (number(0, 3_000), number(1, 5), numbers.len() <= 2) else {
        return Err(USAGE.to_owned());
    };
    for needed in ["/usr/sbin/postgrey", "/usr/bin/policyd-spf"] {
        if !Path::new(needed).exists() {
            return Err(format!("no {needed}: apt-get install postgrey postfix-policyd-spf-python"));
        }
    }
    crate::world::prepare()?;
    let wanted = |row: &&Row| words.is_empty() || words.iter().any(|word| row.name.contains(word.as_str()));
    println!(
        "| row | komainu/s | peer/s | ratio | median ms | CPU µs each |\n| --- | --- | --- | --- | --- | --- |"
    );
    for row in ROWS.iter().filter(wanted) {
        let mut samples = Vec::new();
        for turn in 1..=turns {
            let ours = measure(row, row.sides.0, ms)?;
            let theirs = measure(row, row.sides.1, ms)?;
            eprintln!(
                "{} {turn}/{turns}: {:.0}/s, {:?} {:.0}/s",
                row.name, ours.per_second, row.sides.1, theirs.per_second
            );
            samples.push((ours, theirs));
        }
        println!("{}", line(row, &samples));
    }
    Ok(())
}

/// Least, median and most of each, and of the turns' ratios.
fn line(row: &Row, samples: &[(Sample, Sample)]) -> String {
    let told = |decimals: usize, value: &dyn Fn(&(Sample, Sample)) -> f64| {
        let of = spread(samples.iter().map(value));
        of.map_or_else(String::new, |of| {
            format!("{:.decimals$} ({:.decimals$}–{:.decimals$})", of.median, of.min, of.max)
        })
    };
    format!(
        "| {} | {} | {} | {}× | {} : {} | {} : {} |",
        row.name,
        told(0, &|(ours, _)| ours.per_second),
        told(0, &|(_, theirs)| theirs.per_second),
        told(1, &|(ours, theirs)| ours.per_second / theirs.per_second.max(1e-9)),
        told(3, &|(ours, _)| ours.median_ms),
        told(3, &|(_, theirs)| theirs.median_ms),
        told(0, &|(ours, _)| ours.cpu_us),
        told(0, &|(_, theirs)| theirs.cpu_us),
    )
}
