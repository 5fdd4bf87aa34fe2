//! Servers that encrypt, each with a certificate or a fault of its own: what smtp(8) meets out there.

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, date_time_ymd};
use rustls::crypto::ring;
use rustls::{ServerConfig, ServerConnection, StreamOwned, SupportedProtocolVersion, version};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// What is odd about a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Oddity {
    None,
    /// It doesn't offer STARTTLS.
    NoOffer,
    /// It refuses STARTTLS with these words.
    Refuses(&'static str),
    /// It answers STARTTLS and then talks no TLS.
    Garbage,
    /// It hangs up when STARTTLS is said.
    HangsUp,
    /// It hangs up after having agreed.
    AgreesAndHangsUp,
    /// It says more behind its answer to STARTTLS: what somebody in between would put there.
    Injects,
    /// It speaks TLS from the start.
    Wrapped,
    /// It speaks TLS 1.2 only.
    Old,
}

/// A server: its name, what is odd about it, whose certificate it shows.
pub(crate) type Case = (&'static str, Oddity, &'static str);

/// The certificates that servers show.
pub(crate) struct Papers {
    /// `ca.pem`
    pub(crate) authority: String,
    /// By name: the chain and the key.
    pub(crate) all: Vec<(&'static str, String, String)>,
}

/// What vouches for the chained certificates, in PEM.
pub(crate) struct Chains {
    pub(crate) top: String,
    pub(crate) top_key: String,
    pub(crate) middle: String,
    pub(crate) middle_key: String,
    pub(crate) own: String,
}

fn params(common: &str, names: &[&str]) -> CertificateParams {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut params = CertificateParams::new(names).expect("params");
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, common);
    params.not_before = date_time_ymd(2020, 1, 1);
    params.not_after = date_time_ymd(2040, 1, 1);
    params
}

impl Papers {
    pub(crate) fn issue() -> Papers {
        let key = KeyPair::generate().expect("a key");
        let mut root = params("Test CA", &[]);
        root.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = root.self_signed(&key).expect("signs").pem();
        let issuer = Issuer::new(root, key);
        let mut all = Vec::new();
        let mut expired = params("localhost", &["localhost"]);
        expired.not_after = date_time_ymd(2021, 1, 1);
        for (name, params) in [
            ("good", params("localhost", &["localhost"])),
            ("wrong", params("other.example", &["other.example"])),
            ("below", params("x", &["mx.localhost"])),
            ("common", params("localhost", &[])),
            ("expired", expired),
        ] {
            let key = KeyPair::generate().expect("a key");
            let own = params.signed_by(&key, &issuer).expect("signs").pem();
            all.push((name, format!("{own}{authority}"), key.serialize_pem()));
        }
        let key = KeyPair::generate().expect("a key");
        let own = params("localhost", &["localhost"]).self_signed(&key).expect("signs").pem();
        all.push(("self", own, key.serialize_pem()));
        Papers { authority, all }
    }

    /// More servers' certificates, by an authority below the first one: shown with its own certificate and the first one's,
    /// with its own, and alone. The lower authority's certificate, both keys of theirs, and an authority that nobody has.
    pub(crate) fn with_chains(mut self) -> (Papers, Chains) {
        let root_key = KeyPair::generate().expect("a key");
        let mut root = params("Test Root", &[]);
        root.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let top = root.self_signed(&root_key).expect("signs").pem();
        let top_key = root_key.public_key_pem();
        let issuer = Issuer::new(root, root_key);
        let key = KeyPair::generate().expect("a key");
        let mut below = params("Test Intermediate", &[]);
        below.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let middle = below.signed_by(&key, &issuer).expect("signs").pem();
        let middle_key = key.public_key_pem();
        let issuer = Issuer::new(below, key);
        let key = KeyPair::generate().expect("a key");
        let own = params("localhost", &["localhost"]).signed_by(&key, &issuer).expect("signs").pem();
        let secret = key.serialize_pem();
        for (name, chain) in [
            ("full", format!("{own}{middle}{top}")),
            ("chained", format!("{own}{middle}")),
            ("alone", own.clone()),
        ] {
            self.all.push((name, chain, secret.clone()));
        }
        (self, Chains { top, top_key, middle, middle_key, own })
    }

    fn config(&self, name: &str, oddity: Oddity) -> Arc<ServerConfig> {
        let (_, chain, key) = self.all.iter().find(|(known, ..)| *known == name).expect("a certificate");
        let chain = CertificateDer::pem_slice_iter(chain.as_bytes()).map(|one| one.expect("a certificate"));
        let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).expect("a key");
        let versions: &[&SupportedProtocolVersion] =
            if oddity == Oddity::Old { &[&version::TLS12] } else { &[&version::TLS13, &version::TLS12] };
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_protocol_versions(versions)
            .expect("versions")
            .with_no_client_auth()
            .with_single_cert(chain.collect(), key)
            .expect("fits");
        Arc::new(config)
    }
}

/// A running server.
pub(crate) struct FarTls {
    pub(crate) port: u16,
    /// What was said to it, one text for each connection that is over.
    heard: Arc<Mutex<Vec<String>>>,
}

impl FarTls {
    /// Starts one on a free port of 127.0.0.1; it ends with the process.
    pub(crate) fn start(papers: &Papers, (_, oddity, shows): Case) -> FarTls {
        let socket = TcpListener::bind("127.0.0.1:0").expect("binds");
        let port = socket.local_addr().expect("an address").port();
        let heard = Arc::new(Mutex::new(Vec::new()));
        let all = Arc::clone(&heard);
        let config = papers.config(shows, oddity);
        std::thread::spawn(move || {
            for stream in socket.incoming().flatten() {
                let (all, config) = (Arc::clone(&all), Arc::clone(&config));
                std::thread::spawn(move || {
                    let mut heard = String::new();
                    // How it ends is seen from what was heard.
                    let _ = greet(stream, oddity, config, &mut heard);
                    all.lock().expect("no panic").push(heard);
                });
            }
        });
        FarTls { port, heard }
    }

    pub(crate) fn heard(&self) -> Vec<String> {
        self.heard.lock().expect("no panic").clone()
    }
}

fn greet(
    mut stream: TcpStream,
    oddity: Oddity,
    config: Arc<ServerConfig>,
    heard: &mut String,
) -> std::io::Result<()> {
    if oddity == Oddity::Wrapped {
        let session = ServerConnection::new(config).expect("a session");
        let mut stream = StreamOwned::new(session, stream);
        stream.write_all(b"220 far ESMTP\r\n")?;
        return talk(&mut BufReader::new(stream), (oddity, true), heard).map(drop);
    }
    stream.write_all(b"220 far ESMTP\r\n")?;
    let mut plain = BufReader::new(stream);
    if !talk(&mut plain, (oddity, false), heard).is_ok_and(|starts| starts) {
        return Ok(());
    }
    let mut stream = plain.into_inner();
    match oddity {
        Oddity::HangsUp => return Ok(()),
        Oddity::AgreesAndHangsUp => return stream.write_all(b"220 go\r\n"),
        Oddity::Garbage => {
            stream.write_all(b"220 go\r\n")?;
            let _ = stream.read(&mut [0; 1000])?;
            return stream.write_all(&b"this is no TLS at all\r\n".repeat(20));
        }
        Oddity::Injects => stream.write_all(b"220 go\r\n250-evil\r\n250 AUTH PLAIN\r\n")?,
        _ => stream.write_all(b"220 go\r\n")?,
    }
    let session = ServerConnection::new(config).expect("a session");
    let mut stream = BufReader::new(StreamOwned::new(session, stream));
    heard.push_str("[TLS]\n");
    talk(&mut stream, (oddity, true), heard).map(drop)
}

/// A conversation up to STARTTLS, where it is agreed to, or to its end.
fn talk<S: Read + Write>(
    stream: &mut BufReader<S>,
    (oddity, encrypted): (Oddity, bool),
    heard: &mut String,
) -> std::io::Result<bool> {
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line)? == 0 {
            return Ok(false);
        }
        heard.push_str(&line);
        let verb = line.split([' ', '\r']).next().unwrap_or_default().to_owned();
        let answer = match verb.as_str() {
            "EHLO" | "LHLO" if !encrypted && oddity != Oddity::NoOffer => {
                "250-far\r\n250-PIPELINING\r\n250-STARTTLS\r\n250 8BITMIME"
            }
            "EHLO" | "LHLO" => "250-far\r\n250-PIPELINING\r\n250 8BITMIME",
            "STARTTLS" => match oddity {
                Oddity::Refuses(words) => words,
                _ => return Ok(true),
            },
            "DATA" => "354 go",
            "QUIT" => "221 bye",
            _ => "250 2.0.0 ok",
        };
        write!(stream.get_mut(), "{answer}\r\n")?;
        if verb == "DATA" {
            while line != ".\r\n" {
                line.clear();
                if stream.read_line(&mut line)? == 0 {
                    return Ok(false);
                }
            }
            stream.get_mut().write_all(b"250 2.0.0 Ok: queued as X\r\n")?;
        }
        if verb == "QUIT" {
            return Ok(false);
        }
    }
}
