//! Komainu's own sessions in this process: no socket, no namespace, no root.
//!
//! The same assembly that `komainu serve` uses, over memory: the client's stream is one end of a pipe, names come
//! from the dialogue's zone. What isn't here: ports, signals, the file
//! watch, the privileged helper.

use std::io::{Error, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use config::{Compat, Host, Interface};
use komainu::configuration::{Configuration, has_errors, read_direct};
use komainu::facts::dns::reverse_name;
use komainu::facts::{AnswerFuture, Names};
use komainu::log::{Destination, Format, Log};
use komainu::serve::{Assembly, Ground};
use komainu::session::arrival::{self, Arrival, Ends};
use policy::{Answer, Question, Record, RecordKind};
use store::RealDisk;
use tables::{SourceError, Sources};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::runtime::{Builder, Handle, Runtime};

use crate::client::Stream;
use crate::dialogue::Session;
use crate::dns::{self, Content, Kind, Special};
use crate::place::Place;

/// What a pipe holds before the writer waits, about as much as a kernel's socket.
const PIPE_BYTES: usize = 1 << 20;
/// Clients at once.
const SEATS: usize = 1000;
/// How long an answer that doesn't come is waited for.
const DNS_PATIENCE: Duration = Duration::from_secs(1);
/// How long the server may take to read what is sent.
const SEND_PATIENCE: Duration = Duration::from_secs(8);

/// A server in this process.
pub struct InProcess {
    place: Place,
    assembly: Assembly,
    runtime: Option<Runtime>,
}

/// Files, with the place's own accounts.
pub struct Files<'a>(pub &'a Place);

impl Sources for Files<'_> {
    fn read(&self, path: &Path) -> Result<Vec<u8>, SourceError> {
        if path == Path::new(tables::sources::PASSWD) || path == Path::new(tables::sources::GROUP) {
            return read_direct(&self.0.path(&path.display().to_string()));
        }
        read_direct(path)
    }
}

/// The machine that a world is.
fn machine() -> Host {
    let addresses = [("127.0.0.1", 8), ("::1", 128), ("198.51.100.25", 24), ("2001:db8::25", 64)];
    let interface = |(text, prefix): (&str, u8)| Some(Interface { address: text.parse().ok()?, prefix });
    Host {
        hostname: "mx.example.com".to_owned(),
        addresses: addresses.into_iter().filter_map(interface).collect(),
    }
}

/// Reads the configuration that is laid out in `place`.
pub fn load(place: &Place) -> Result<Configuration, String> {
    let (configuration, found) =
        Configuration::load_for(&machine(), &place.config(), Compat::V3_7, &Files(place));
    if has_errors(&found) {
        let said: Vec<String> = found.iter().map(ToString::to_string).collect();
        return Err(said.join("\n"));
    }
    Ok(configuration)
}

impl InProcess {
    /// Starts the server on the configuration that is laid out in `place`.
    pub fn start(place: &Place, names: dns::Server) -> Result<InProcess, String> {
        let configuration = load(place)?;
        let host = configuration.parameters.text("myhostname").value;
        let log = Log::start(&Destination::File(place.log()), Format::Postfix, &host);
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let (log, runtime) = (log.map_err(|e| e.to_string())?, runtime.map_err(|e| e.to_string())?);
        let disk = RealDisk::new(&place.state().join("queue")).map_err(|e| e.to_string())?;
        let ground = Ground {
            names: Arc::new(ZoneNames(names)),
            disk: Arc::new(disk),
            state: place.state(),
            passwd: place.path("/etc/passwd"),
            helper: None,
            seats: SEATS,
            log,
        };
        let within = runtime.enter();
        let assembly = Assembly::new(configuration, ground, &Files(place)).map_err(|e| e.to_string())?;
        drop(within);
        Ok(InProcess { place: place.clone(), assembly, runtime: Some(runtime) })
    }

    /// A client's connection to the service that the session names.
    pub fn connect(&self, session: &Session) -> std::io::Result<Box<dyn Stream>> {
        let Some(runtime) = &self.runtime else { return Err(ErrorKind::NotConnected.into()) };
        let to = SocketAddr::new(session.server, session.port);
        let listens = |address: &SocketAddr| {
            address.port() == to.port() && (address.ip().is_unspecified() || address.ip() == to.ip())
        };
        let services = self.assembly.services().iter();
        let service = services.into_iter().find(|service| service.listener.addresses.iter().any(listens));
        let service = service.cloned().ok_or_else(|| Error::from(ErrorKind::ConnectionRefused))?;
        let (ours, theirs) = tokio::io::duplex(PIPE_BYTES);
        let from = SocketAddr::new(session.client, 40_025);
        let shared = self.assembly.shared();
        let arrival = Arrival::new(theirs, Ends { from, to }, service, shared);
        let arrival = arrival.ok_or_else(|| Error::from(ErrorKind::ConnectionRefused))?;
        runtime.spawn(arrival::receive(arrival));
        Ok(Box::new(Memory { handle: runtime.handle().clone(), stream: Some(ours) }))
    }

    /// A table was saved anew.
    pub fn saved(&self, path: PathBuf) {
        self.assembly.recompile(&[path], &Files(&self.place));
    }

    /// The configuration is read anew.
    pub fn reload(&mut self) -> Result<(), String> {
        let configuration = load(&self.place)?;
        let within = self.runtime.as_ref().map(Runtime::enter);
        self.assembly.replace(configuration, &Files(&self.place));
        drop(within);
        Ok(())
    }
}

impl Drop for InProcess {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// The client's end of a pipe.
struct Memory {
    handle: Handle,
    stream: Option<DuplexStream>,
}

impl Stream for Memory {
    fn read(&mut self, bytes: &mut [u8], patience: Duration) -> std::io::Result<usize> {
        let Some(stream) = &mut self.stream else { return Ok(0) };
        self.handle.block_on(async {
            let read = tokio::time::timeout(patience, stream.read(bytes)).await;
            read.unwrap_or_else(|_| Err(ErrorKind::WouldBlock.into()))
        })
    }

    fn send(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        let Some(stream) = &mut self.stream else { return Err(ErrorKind::BrokenPipe.into()) };
        self.handle.block_on(async {
            let sent = tokio::time::timeout(SEND_PATIENCE, stream.write_all(bytes)).await;
            sent.unwrap_or_else(|_| Err(ErrorKind::TimedOut.into()))
        })
    }

    fn half_close(&mut self) {
        if let Some(stream) = &mut self.stream {
            let _ = self.handle.block_on(stream.shutdown());
        }
    }

    fn close(&mut self) {
        self.stream = None;
    }
}

/// A dialogue's names, as a world's /etc/hosts and resolver give them.
struct ZoneNames(dns::Server);

impl ZoneNames {
    async fn records(&self, name: &str, kind: RecordKind) -> Answer {
        let labels = name.strip_suffix('.').unwrap_or(name).split('.');
        if name.len() > 253 || labels.into_iter().any(|label| label.is_empty() || label.len() > 63) {
            return Answer::Invalid(format!("\"{name}\" is no domain name"));
        }
        let asked = number(kind);
        let answer = self.0.ask(name, asked);
        tokio::time::sleep(answer.delay).await;
        match answer.records {
            Ok(found) => {
                let records: Vec<Record> = found
                    .into_iter()
                    .filter(|(_, content)| content.kind() == asked)
                    .map(|(_, content)| record(content))
                    .collect();
                if records.is_empty() { Answer::NoRecords } else { Answer::Records(records) }
            }
            Err(Special::NoName) => Answer::NoName,
            Err(Special::NoRecords) => Answer::NoRecords,
            Err(Special::ServerFailure | Special::Refused) => {
                Answer::Unavailable("Server Failure".to_owned())
            }
            Err(Special::Silence) => {
                tokio::time::sleep(DNS_PATIENCE).await;
                Answer::Unavailable("request timed out".to_owned())
            }
        }
    }

    async fn host_name(&self, address: IpAddr) -> Answer {
        if address.is_loopback()
            && [IpAddr::from(Ipv4Addr::LOCALHOST), Ipv6Addr::LOCALHOST.into()].contains(&address)
        {
            return Answer::Names(vec!["localhost".to_owned()]);
        }
        match self.records(&reverse_name(address), RecordKind::Ptr).await {
            Answer::Records(records) => {
                let name = |record| if let Record::Ptr(name) = record { Some(name) } else { None };
                Answer::Names(records.into_iter().filter_map(name).collect())
            }
            other => other,
        }
    }

    async fn host_addresses(&self, name: &str) -> Answer {
        if name.eq_ignore_ascii_case("localhost") {
            return Answer::Addresses(vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()]);
        }
        let (v4, v6) = tokio::join!(self.records(name, RecordKind::A), self.records(name, RecordKind::Aaaa));
        let mut addresses: Vec<IpAddr> = Vec::new();
        for answer in [&v4, &v6] {
            let Answer::Records(records) = answer else { continue };
            addresses.extend(records.iter().filter_map(|record| match record {
                Record::A(address) => Some(IpAddr::V4(*address)),
                Record::Aaaa(address) => Some(IpAddr::V6(*address)),
                _ => None,
            }));
        }
        match (addresses.is_empty(), v4, v6) {
            (false, _, _) => Answer::Addresses(addresses),
            (_, failed @ Answer::Unavailable(_), _) | (_, _, failed @ Answer::Unavailable(_)) => failed,
            (_, v4, _) => v4,
        }
    }
}

impl Names for ZoneNames {
    fn ask<'a>(&'a self, question: &'a Question) -> AnswerFuture<'a> {
        Box::pin(async move {
            match question {
                Question::HostName(address) => self.host_name(*address).await,
                Question::HostAddresses(name) => self.host_addresses(name).await,
                Question::Dns { name, kind } => self.records(name, *kind).await,
                _ => Answer::Failed("not a question about names".to_owned()),
            }
        })
    }
}

const fn number(kind: RecordKind) -> Kind {
    match kind {
        RecordKind::A => Kind::A,
        RecordKind::Aaaa => Kind::Aaaa,
        RecordKind::Mx => Kind::Mx,
        RecordKind::Ns => Kind::Ns,
        RecordKind::Txt => Kind::Txt,
        RecordKind::Soa => Kind::Soa,
        RecordKind::Cname => Kind::Cname,
        RecordKind::Ptr => Kind::Ptr,
    }
}

fn record(content: Content) -> Record {
    let plain = |name: String| name.strip_suffix('.').map_or_else(|| name.clone(), str::to_owned);
    match content {
        Content::A(address) => Record::A(address),
        Content::Aaaa(address) => Record::Aaaa(address),
        Content::Mx(preference, host) => Record::Mx { preference, host: plain(host) },
        Content::Name(Kind::Ns, name) => Record::Ns(plain(name)),
        Content::Name(Kind::Ptr, name) => Record::Ptr(plain(name)),
        Content::Name(_, name) => Record::Cname(plain(name)),
        Content::Txt(text) => Record::Txt(text),
        Content::Soa(primary) => {
            Record::Soa { primary: plain(primary), contact: "hostmaster.invalid".to_owned() }
        }
    }
}
