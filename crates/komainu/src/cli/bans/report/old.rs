//! The old name, `fail2ban-regex`: its options, its exit codes, and what `--out` prints.

use super::{Encoding, Extra, Test, tried};
use ban::dump::quoted;
use ban::filter::{Failure, Id};
use clap::{ArgAction, Parser};
use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

/// The version whose options these are.
const VERSION: &str = "1.0.2";
/// What fail2ban-regex ends with where a filter can't be used.
const UNUSABLE: u8 = 255;

#[derive(Parser, Debug)]
#[command(name = "fail2ban-regex", disable_version_flag = true, args_override_self = true)]
struct Old {
    /// The folder of fail2ban's files.
    #[arg(long, short = 'c', default_value = "/etc/fail2ban")]
    config: PathBuf,
    #[command(flatten)]
    test: Test,
    /// The log's encoding: UTF-8 or latin1.
    #[arg(long, short = 'e', value_name = "ENCODING", default_value = "UTF-8", value_parser = Encoding::read)]
    encoding: Encoding,
    /// Whether <HOST> may be a name (`no`: an address only). Names are never looked up.
    #[arg(long, value_name = "USE", value_parser = ["yes", "warn", "raw", "no"])]
    usedns: Option<String>,
    /// Names are not looked up: they never are.
    #[arg(long, short = 'r')]
    raw: bool,
    /// For the journal only, which isn't read: write `journalctl … | fail2ban-regex - FILTER`.
    #[arg(long, short = 'm', value_name = "MATCH")]
    journalmatch: Option<String>,
    /// Print the version.
    #[arg(long)]
    version: bool,
    /// Print the version's number alone.
    #[arg(short = 'V')]
    number: bool,
    /// How much is shown, as a number.
    #[arg(long, value_name = "NUMBER")]
    verbosity: Option<u8>,
    /// Has no effect.
    #[arg(long, short = 'l', value_name = "LEVEL")]
    log_level: Option<String>,
    /// Has no effect.
    #[arg(long, visible_alias = "VD", action = ArgAction::Count)]
    verbose_date: u8,
    /// Has no effect: no links are made.
    #[arg(long, short = 'D')]
    debuggex: bool,
    /// Count only the expression that decides, not all that match.
    #[arg(long)]
    no_check_all: bool,
    /// Has no effect.
    #[arg(long, short = 't')]
    log_traceback: bool,
    /// Has no effect.
    #[arg(long)]
    full_traceback: bool,
}

pub(in crate::cli) fn fail2ban_regex(arguments: Vec<OsString>) -> ExitCode {
    match arguments.get(1).and_then(|argument| argument.to_str()) {
        Some("-V") => {
            println!("{VERSION}");
            return ExitCode::SUCCESS;
        }
        Some("--version") => {
            println!("fail2ban-regex {VERSION}");
            return ExitCode::SUCCESS;
        }
        _ => {}
    }
    let mut old = match Old::try_parse_from(arguments) {
        Ok(old) => old,
        Err(error) => {
            let is_missing = error.kind() == clap::error::ErrorKind::MissingRequiredArgument;
            let is_wrong = error.use_stderr();
            let shown = crate::cli::usage(&error);
            return match (is_wrong, is_missing) {
                (true, true) => ExitCode::from(UNUSABLE),
                (true, false) => ExitCode::from(2),
                (false, _) => shown,
            };
        }
    };
    old.test.shown.verbose = old.test.shown.verbose.max(old.verbosity.unwrap_or(0));
    let is_raw = old.raw || old.usedns.as_deref() != Some("no");
    let is_said_raw = old.raw || old.usedns.as_deref() == Some("raw");
    let extra = Extra {
        addresses: !is_raw,
        is_raw: is_said_raw,
        encoding: old.encoding,
        is_first_only: old.no_check_all,
        is_whole: true,
    };
    match tried(&old.config, &old.test, &extra) {
        Ok(_) => ExitCode::SUCCESS,
        Err((_, problem)) => {
            eprintln!("ERROR: {problem}");
            ExitCode::from(UNUSABLE)
        }
    }
}

/// What `--out` prints of a failure.
pub(super) fn said(what: &str, line: &[u8], failure: &Failure, is_raw: bool) -> String {
    let captured = failure.fields.named.get("fid").filter(|_| is_raw);
    let raw = captured.map(|id| Failure { id: Id::Other(id.to_owned()), ..failure.clone() });
    let failure = raw.as_ref().unwrap_or(failure);
    match what {
        "id" | "ip" | "fid" => failure.id.to_string(),
        "msg" | "matches" => String::from_utf8_lossy(line).into_owned(),
        "row" => row(failure),
        what if what.contains('<') => with_tags(what, line, failure),
        name => failure.fields.named.get(name).map_or_else(|| "None".to_owned(), str::to_owned),
    }
}

/// `['192.0.2.1', 1795395724.0, {'ip4': '192.0.2.1', 'user': 'root'}],`, with tabs: Python's form.
fn row(failure: &Failure) -> String {
    let mut fields: Vec<String> = failure
        .fields
        .named
        .iter()
        .map(|(name, value)| format!("{}: {}", quoted(name), quoted(value)))
        .collect();
    if !failure.fields.users.is_empty() {
        let users: Vec<String> = failure.fields.users.iter().map(|user| quoted(user)).collect();
        fields.push(format!("'users': {{{}}}", users.join(", ")));
    }
    format!("[{},\t{},\t{{{}}}],", quoted(&failure.id.to_string()), time(failure), fields.join(", "))
}

/// Seconds since 1970 as a number with a point.
fn time(failure: &Failure) -> String {
    let (whole, part) = (failure.time_us.div_euclid(1_000_000), failure.time_us.rem_euclid(1_000_000));
    let part = format!("{part:06}");
    let part = part.trim_end_matches('0');
    format!("{whole}.{}", if part.is_empty() { "0" } else { part })
}

/// A text with `<ip>` and the like in it; what isn't known stays.
fn with_tags(text: &str, line: &[u8], failure: &Failure) -> String {
    let address = match failure.id {
        Id::Net(address, _) => Some(address),
        _ => None,
    };
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, behind)) = rest.split_once('<') {
        out.push_str(before);
        rest = behind;
        let Some((name, after)) = behind.split_once('>') else {
            out.push('<');
            continue;
        };
        let captured = name.strip_prefix("F-").map(|name| name.to_ascii_lowercase().replace('-', "_"));
        let value = match (name, captured) {
            ("F-ID" | "ip" | "fid", _) => failure.id.to_string(),
            ("msg" | "matches", _) => String::from_utf8_lossy(line).into_owned(),
            ("time", _) => time(failure),
            ("failures", _) => "0".to_owned(),
            ("ip-host", _) => "None".to_owned(),
            ("family", _) => match address {
                Some(address) if address.is_ipv4() => "inet4".to_owned(),
                Some(_) => "inet6".to_owned(),
                None => String::new(),
            },
            ("ip-rev", _) => address.map_or_else(String::new, reversed),
            (_, Some(name)) => failure.fields.named.get(name.as_str()).unwrap_or_default().to_owned(),
            _ => {
                out.push('<');
                continue;
            }
        };
        out.push_str(&value);
        rest = after;
    }
    out + rest
}

/// `4.2.0.192.`: an address as DNS lists are asked for it.
fn reversed(address: std::net::IpAddr) -> String {
    match address {
        std::net::IpAddr::V4(v4) => v4.octets().iter().rev().map(|octet| format!("{octet}.")).collect(),
        std::net::IpAddr::V6(v6) => {
            v6.octets().iter().rev().map(|octet| format!("{:x}.{:x}.", octet & 15, octet >> 4)).collect()
        }
    }
}
