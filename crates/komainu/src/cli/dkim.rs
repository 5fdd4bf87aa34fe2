//! `komainu dkim`: keys made, shown as the DNS is to have them, and compared with what the DNS has.
//!
//! Ed25519 keys are made here; RSA's by openssl, as opendkim-genkey makes them. A key is a file of mode 600 that isn't
//! written over. T2.28.

use super::format::Format;
use super::{CompatArgument, EX_TEMPFAIL, default_config};
use crate::configuration::{Configuration, DirectSources};
use crate::facts::Names as _;
use crate::facts::dns::Resolver;
use clap::{Args, Subcommand, ValueEnum};
use config::{Parameters, SourceFile};
use mail::dkim::{KeyFault, PublicKey, SigningKey, record_faults};
use policy::opendkim::Conf;
use policy::{Answer, Question, Record, RecordKind};
use ring::rand::SystemRandom;
use ring::signature::Ed25519KeyPair;
use serde_json::json;
use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command as Program, ExitCode, Stdio};
use std::sync::Arc;
use tables::Sources as _;

/// The longest string within a TXT record.
const STRING_BYTES: usize = 255;
/// Questions at once.
const AT_ONCE: usize = 8;

/// Make DKIM keys, show their records, and compare them with the DNS.
///
/// Exit code 0 well, 1 the answer is no (the DNS has no such key, or another one), 64 wrong usage, 75 a file can't be read
/// or written, or the DNS gives no answer.
#[derive(Args, Debug)]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: Command,
    /// The folder with main.cf and master.cf [default: /etc/komainu, then /etc/postfix].
    #[arg(long, short = 'c', value_name = "DIR", global = true)]
    config: Option<PathBuf>,
    /// How the outcome is printed.
    #[arg(long, value_enum, default_value_t, global = true)]
    format: Format,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// Make a private key, and print what belongs into the DNS and into OpenDKIM's tables.
    NewKey {
        /// The domain that signs.
        domain: String,
        /// The key's name in the DNS; each new key has a new one: 2026a.
        selector: String,
        /// What kind of key. Everybody understands rsa; ed25519 is small and fast, and not everybody's yet.
        #[arg(long = "type", value_enum, default_value_t)]
        kind: Kind,
        /// How long an RSA key is.
        #[arg(long, default_value_t = 2048, value_parser = clap::value_parser!(u32).range(2048..=4096))]
        bits: u32,
        /// The file for the key [default: SELECTOR.private here]. One that is there isn't written over.
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
    /// Print the DNS record of a private key.
    Show {
        /// The private key's file.
        key: PathBuf,
        /// The domain that signs, for the whole line.
        #[arg(long, requires = "selector")]
        domain: Option<String>,
        /// The key's name in the DNS.
        #[arg(long, requires = "domain")]
        selector: Option<String>,
    },
    /// Ask the DNS for a key, and compare it with the private one.
    Check {
        /// The domain that signs.
        domain: String,
        /// The key's name in the DNS.
        selector: String,
        /// The private key's file [default: the one that opendkim.conf names for them].
        #[arg(long, value_name = "FILE")]
        key: Option<PathBuf>,
    },
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Kind {
    #[default]
    Rsa,
    Ed25519,
}

/// Why nothing came of it, and the exit code.
struct Refused(String, u8);

impl Refused {
    fn no(what: impl Into<String>) -> Refused {
        Refused(what.into(), 1)
    }

    fn later(what: impl Into<String>) -> Refused {
        Refused(what.into(), EX_TEMPFAIL)
    }
}

pub(super) fn run(arguments: &Arguments) -> ExitCode {
    let done = match &arguments.command {
        Command::NewKey { domain, selector, kind, bits, out } => named(domain, selector).and_then(|name| {
            let path = out.clone().unwrap_or_else(|| PathBuf::from(format!("{selector}.private")));
            new_key(&name, (*kind, *bits), &path, arguments.format)
        }),
        Command::Show { key, domain, selector } => {
            let name = match (domain, selector) {
                (Some(domain), Some(selector)) => named(domain, selector).map(Some),
                _ => Ok(None),
            };
            name.and_then(|name| show(key, name.as_ref(), arguments.format))
        }
        Command::Check { domain, selector, key } => {
            named(domain, selector).and_then(|name| check(arguments, &name, key.as_deref()))
        }
    };
    match done {
        Ok(code) => code,
        Err(Refused(what, code)) => {
            eprintln!("komainu: {what}");
            ExitCode::from(code)
        }
    }
}

/// Where a key is in the DNS.
struct Name {
    domain: String,
    selector: String,
}

impl Name {
    fn record(&self) -> String {
        format!("{}._domainkey.{}", self.selector, self.domain)
    }
}

fn named(domain: &str, selector: &str) -> Result<Name, Refused> {
    let domain = domain.trim_end_matches('.').to_ascii_lowercase();
    if !mail::host::is_hostname(&domain) || !domain.contains('.') {
        return Err(Refused(format!("`{domain}` is no domain"), super::EX_USAGE));
    }
    let is_label = |label: &str| {
        (1..=63).contains(&label.len()) && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
    };
    if !selector.split('.').all(is_label) {
        let why = format!("`{selector}` is no selector: letters, digits and hyphens, as in 2026a");
        return Err(Refused(why, super::EX_USAGE));
    }
    Ok(Name { domain, selector: selector.to_owned() })
}

/// The text of a zone file: strings of 255 bytes at most.
fn strings(record: &str) -> String {
    let bytes = record.as_bytes().chunks(STRING_BYTES);
    let parts: Vec<String> = bytes.map(|part| format!("\"{}\"", String::from_utf8_lossy(part))).collect();
    match parts.as_slice() {
        [one] => one.clone(),
        _ => format!("( {} )", parts.join("\n\t")),
    }
}

fn new_key(name: &Name, (kind, bits): (Kind, u32), path: &Path, format: Format) -> Result<ExitCode, Refused> {
    let pem = match kind {
        Kind::Ed25519 => ed25519()?,
        Kind::Rsa => rsa(bits)?,
    };
    let key = SigningKey::parse(&pem).map_err(|error| Refused::later(error.to_string()))?;
    let failed = |error: io::Error| match error.kind() {
        io::ErrorKind::AlreadyExists => {
            let why =
                "is there already: a key that signs isn't written over; give it another name with --out";
            Refused::no(format!("{} {why}", path.display()))
        }
        _ => Refused::later(format!("{}: {error}", path.display())),
    };
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).map_err(failed)?;
    file.write_all(pem.as_bytes()).and_then(|()| file.sync_all()).map_err(failed)?;
    let shown = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let (domain, selector, record) = (&name.domain, &name.selector, key.record());
    let key_table = format!("{selector}.{domain}  {domain}:{selector}:{}", shown.display());
    let signing_table = format!("*@{domain}  {selector}.{domain}");
    if format == Format::Json {
        println!(
            "{}",
            json!({"file": shown.display().to_string(), "name": name.record(), "record": record,
                   "key_table": key_table, "signing_table": signing_table})
        );
        return Ok(ExitCode::SUCCESS);
    }
    println!("{}: a new key ({})\n", shown.display(), described(&key));
    println!("Into the DNS zone of {domain}:\n{}. IN TXT {}\n", name.record(), strings(&record));
    println!("Into the key table:\n{key_table}\n");
    println!("Into the signing table (refile:), once `komainu dkim check {domain} {selector}` is content:");
    println!("{signing_table}");
    Ok(ExitCode::SUCCESS)
}

fn described(key: &SigningKey) -> String {
    key.bits().map_or_else(|| "ed25519".to_owned(), |bits| format!("rsa, {bits} bits"))
}

fn ed25519() -> Result<String, Refused> {
    let made = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new());
    let made = made.map_err(|_| Refused::later("the system gives no random numbers"))?;
    // In the form that every program reads: RFC 8410's first version, the seed alone.
    const HEAD: [u8; 16] = [0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20];
    let seed = made.as_ref().get(16..48).ok_or_else(|| Refused::later("the key can't be written"))?;
    let der = [&HEAD, seed].concat();
    Ok(format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", mail::base64::encode(&der)))
}

fn rsa(bits: u32) -> Result<String, Refused> {
    let option = format!("rsa_keygen_bits:{bits}");
    let mut openssl = Program::new("openssl");
    openssl.args(["genpkey", "-algorithm", "RSA", "-pkeyopt", &option]).stdin(Stdio::null());
    let hint = "RSA keys are made by openssl; install it, or make an Ed25519 key with --type ed25519";
    let made = openssl.output().map_err(|error| Refused::later(format!("openssl: {error}: {hint}")))?;
    if !made.status.success() {
        let said = String::from_utf8_lossy(&made.stderr).trim().to_owned();
        return Err(Refused::later(format!("openssl genpkey: {said}")));
    }
    String::from_utf8(made.stdout).map_err(|_| Refused::later("openssl wrote no PEM"))
}

fn read_key(path: &Path) -> Result<SigningKey, Refused> {
    let bytes = DirectSources.read(path).map_err(|error| Refused::later(error.to_string()))?;
    SigningKey::parse(&String::from_utf8_lossy(&bytes))
        .map_err(|error| Refused::no(format!("{}: {error}", path.display())))
}

fn show(path: &Path, name: Option<&Name>, format: Format) -> Result<ExitCode, Refused> {
    let key = read_key(path)?;
    let record = key.record();
    if let Some(mode) = DirectSources.mode(path).filter(|mode| mode & 0o006 != 0) {
        let mode = mode & 0o777;
        eprintln!("komainu: everybody may read or write {} (mode {mode:o}): chmod 600", path.display());
    }
    match (format, name) {
        (Format::Json, _) => {
            let name = name.map(Name::record);
            println!("{}", json!({"name": name, "record": record, "kind": described(&key)}));
        }
        (Format::Text, Some(name)) => println!("{}. IN TXT {}", name.record(), strings(&record)),
        (Format::Text, None) => println!("{record}"),
    }
    Ok(ExitCode::SUCCESS)
}

fn check(arguments: &Arguments, name: &Name, path: Option<&Path>) -> Result<ExitCode, Refused> {
    let p = parameters(arguments.config.clone());
    let key = match path {
        Some(path) => Some(Arc::new(read_key(path)?)),
        None => p.as_ref().and_then(|p| signing_key(p, name)),
    };
    let servers = p.as_ref().map(|p| p.list("komainu_dns_servers")).unwrap_or_default();
    let servers: Vec<String> = servers.into_iter().map(|word| word.value).collect();
    let texts = ask(&servers, &name.record())?;
    let faults = record_faults(&texts, key.as_deref());
    let is_good = faults.iter().all(KeyFault::is_bearable);
    let public = texts.iter().find_map(|text| PublicKey::parse(text).ok());
    if arguments.format == Format::Json {
        let said: Vec<String> = faults.iter().map(ToString::to_string).collect();
        let bits = public.as_ref().map(PublicKey::bits);
        println!(
            "{}",
            json!({"name": name.record(), "good": is_good, "faults": said, "compared": key.is_some(),
                   "records": texts, "bits": bits})
        );
        return Ok(if is_good { ExitCode::SUCCESS } else { ExitCode::FAILURE });
    }
    for fault in &faults {
        println!("{}: {fault}", name.record());
        if let (KeyFault::Missing | KeyFault::OfAnotherKey, Some(key)) = (fault, &key) {
            println!("the DNS is to have:\n{}. IN TXT {}", name.record(), strings(&key.record()));
        }
    }
    if is_good {
        let compared = match key {
            Some(_) => "the DNS has the key that signs",
            None => "the DNS has a key; it wasn't compared with a private one (name it with --key)",
        };
        println!("{}: {compared}", name.record());
    }
    Ok(if is_good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// main.cf's values, where there is one.
fn parameters(directory: Option<PathBuf>) -> Option<Parameters> {
    let directory = directory.or_else(default_config)?;
    let (configuration, _) =
        Configuration::load(&directory, CompatArgument::default().into(), &DirectSources);
    Some(configuration.parameters)
}

/// The key that opendkim.conf signs with under this name.
fn signing_key(p: &Parameters, name: &Name) -> Option<Arc<SigningKey>> {
    let path = PathBuf::from(p.text("komainu_dkim_settings").value);
    let bytes = DirectSources.read(&path).ok()?;
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let (conf, _) = Conf::read(&Arc::new(SourceFile { path, text }), &DirectSources);
    let is_its = |domain: &str| domain == "%" || domain == name.domain;
    let found = conf.keys.all().find(|key| key.selector == name.selector && is_its(&key.domain))?;
    found.key.as_ref().ok().map(Arc::clone)
}

/// The texts of a name; none where there is none.
fn ask(servers: &[String], name: &str) -> Result<Vec<String>, Refused> {
    let resolver =
        Resolver::new(servers, None, AT_ONCE).map_err(|error| Refused::later(error.to_string()))?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Refused::later(error.to_string()))?;
    let question = Question::Dns { name: name.to_owned(), kind: RecordKind::Txt };
    match runtime.block_on(resolver.ask(&question)) {
        Answer::Records(records) => {
            let text = |record| match record {
                Record::Txt(text) => Some(text),
                _ => None,
            };
            Ok(records.into_iter().filter_map(text).collect())
        }
        Answer::NoName | Answer::NoRecords => Ok(Vec::new()),
        Answer::Unavailable(why) | Answer::Invalid(why) => {
            Err(Refused::later(format!("{name}: the DNS gives no answer: {why}")))
        }
        other => Err(Refused::later(format!("{name}: {other:?}"))),
    }
}
