//! How much protection a destination needs, and the handshake that gives it.
//!
//! `smtp_tls_security_level`, `smtp_tls_policy_maps` and what belongs to them become a [`Policy`] for each nexthop; an
//! [`Upgrade`] is what one connection does about it. Texts are Postfix's. `dane` without DNSSEC is `may` and
//! `dane-only` defers, as Postfix does where look-ups aren't secured: this program validates no DNSSEC.

use super::conversation::{Say, Stream};
use crate::clock;
use crate::tls::client::{Engine, Manner};
use crate::tls::files::Anchors;
use crate::tls::fingerprint::Digest;
use crate::tls::judge::{Wanted, judge};
use crate::tls::summary::Summary;
use events::tls::{Direction, TlsStarting, Trust};
use mail::Dsn;
use proto::client::{Secrecy, Verdict, Why};
use rustls_pki_types::ServerName;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;
use tables::{LookupError, Snapshot, TableId};
use tokio_rustls::TlsConnector;

/// `smtp_tls_security_level`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Level {
    None,
    May,
    Encrypt,
    Fingerprint,
    Verify,
    Secure,
}

impl Level {
    fn from_name(name: &str) -> Option<Level> {
        Some(match name {
            "none" => Level::None,
            "may" | "dane" | "half-dane" => Level::May,
            "encrypt" => Level::Encrypt,
            "fingerprint" => Level::Fingerprint,
            "verify" => Level::Verify,
            "secure" => Level::Secure,
            _ => return None,
        })
    }

    /// Nothing may be sent without TLS.
    pub(super) fn is_mandatory(self) -> bool {
        self >= Level::Encrypt
    }
}

/// What a destination needs.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Policy {
    pub(super) level: Level,
    /// Fingerprints, or names and where to take them from: `hostname`, `nexthop`, `dot-nexthop`, `example.com`.
    matches: Vec<String>,
    manner: Manner,
    /// `smtp_tls_connection_reuse`.
    pub(super) reuse: bool,
    /// `smtp_tls_servername`.
    servername: String,
    /// `dane` was asked for, and can't be had.
    pub(super) no_dane: bool,
}

impl Policy {
    /// Cleartext.
    pub(super) fn none(&self) -> Policy {
        Policy { level: Level::None, ..self.clone() }
    }
}

/// Main.cf's words about TLS, for one transport.
#[derive(Clone, Debug)]
pub(super) struct Protection {
    /// `smtp_tls_security_level`, as written, or what the older parameters come to.
    pub(super) level: String,
    pub(super) maps: Vec<TableId>,
    /// `smtp_tls_policy_maps`
    pub(super) maps_name: String,
    /// Whether a table of `smtp_tls_policy_maps` can't be used.
    pub(super) broken: bool,
    pub(super) verify_match: Vec<String>,
    pub(super) secure_match: Vec<String>,
    pub(super) fingerprints: Vec<String>,
    pub(super) digest: Option<Digest>,
    pub(super) protocols: String,
    pub(super) mandatory_protocols: String,
    pub(super) excluded: Vec<String>,
    pub(super) mandatory_excluded: Vec<String>,
    pub(super) servername: String,
    pub(super) loglevel: i64,
    pub(super) notes_offer: bool,
    pub(super) wrapper: bool,
    pub(super) reuse: bool,
    pub(super) timeout: Duration,
    /// `None` where its files can't be used.
    pub(super) engine: Option<Arc<Engine>>,
    /// What was wrong with the files; said with each connection that misses it.
    pub(super) fault: Option<String>,
    /// `smtp_tls_trust_anchor_file`, or why there is nobody in it.
    pub(super) chosen: Option<Result<Arc<Anchors>, String>>,
}

impl Protection {
    /// What a nexthop needs; where the administrator made a mistake, what the log says of it. `key` is the nexthop as
    /// written, `domain` its name alone. An `Err` is a table behind a socket that must be asked first.
    pub(super) fn policy(
        &self,
        key: &str,
        domain: &str,
        tables: &Snapshot,
    ) -> Result<Result<Policy, String>, LookupError> {
        let policy = match self.look_up(key, domain, tables)? {
            Ok(Some(line)) => self.read(key, &line),
            Ok(None) => match Level::from_name(&self.level) {
                Some(level) => Ok(Policy { no_dane: self.level.ends_with("dane"), ..self.of_level(level) }),
                None => Err(bad_level(key, &self.level)),
            },
            Err(remark) => Err(remark),
        };
        Ok(policy.and_then(|policy| match &self.chosen {
            Some(Err(why)) if policy.level >= Level::Verify => Err(why.clone()),
            _ => Ok(policy),
        }))
    }

    /// Reads a line of `smtp_tls_policy_maps`.
    fn read(&self, key: &str, line: &str) -> Result<Policy, String> {
        let mut words = line.split([',', ' ', '\t', '\r', '\n']).filter(|word| !word.is_empty());
        let name = words.next().unwrap_or_default().to_ascii_lowercase();
        let level = Level::from_name(&name).ok_or_else(|| bad_level(key, &name))?;
        let mut policy = Policy { no_dane: name.ends_with("dane"), ..self.of_level(level) };
        if level == Level::None {
            return Ok(policy);
        }
        let mut matches = Vec::new();
        for word in words {
            let (name, value) = word.split_once('=').unwrap_or((word, ""));
            let bad = || {
                let maps = &self.maps_name;
                format!("{maps}, next-hop destination \"{key}\": invalid attribute name: \"{name}\"")
            };
            let parts = |at: char| value.split(at).filter(|part| !part.is_empty()).map(str::to_owned);
            match name.to_ascii_lowercase().as_str() {
                "protocols" if !value.is_empty() => value.clone_into(&mut policy.manner.protocols),
                // All ciphers here are of the highest grade.
                "ciphers" if !value.is_empty() => {}
                "exclude" => policy.manner.excluded = parts(':').collect(),
                "match" if level == Level::Fingerprint => matches.extend(parts('|')),
                "match" if level >= Level::Verify => matches.extend(parts(':')),
                "servername" => value.clone_into(&mut policy.servername),
                "connection_reuse" => policy.reuse = value.eq_ignore_ascii_case("yes"),
                _ => return Err(bad()),
            }
        }
        if !matches.is_empty() {
            policy.matches = matches;
        }
        Ok(policy)
    }

    /// What postconf(5) says under `smtp_tls_policy_maps`: the nexthop as written; a bare domain's parents too.
    fn look_up(
        &self,
        key: &str,
        domain: &str,
        tables: &Snapshot,
    ) -> Result<Result<Option<String>, String>, LookupError> {
        if self.broken {
            return Ok(Err(format!("TLS policy table for {key} cannot be used")));
        }
        let mut keys = vec![key.to_ascii_lowercase()];
        if key.eq_ignore_ascii_case(domain) {
            let domain = domain.to_ascii_lowercase();
            keys.extend(domain.match_indices('.').filter_map(|(at, _)| Some(domain.get(at..)?.to_owned())));
        }
        for table in &self.maps {
            let seat = tables.table(*table);
            for key in &keys {
                match seat.lookup(key) {
                    Ok(Some(hit)) => return Ok(Ok(Some(hit.value.into_owned()))),
                    Ok(None) => {}
                    Err(error @ LookupError::Unasked { .. }) => return Err(error),
                    Err(_) => return Ok(Err(format!("{} lookup error for \"{key}\"", seat.name()))),
                }
            }
        }
        Ok(Ok(None))
    }

    fn of_level(&self, level: Level) -> Policy {
        let (protocols, mut excluded) = if level.is_mandatory() {
            (&self.mandatory_protocols, self.mandatory_excluded.clone())
        } else {
            (&self.protocols, Vec::new())
        };
        excluded.extend(self.excluded.iter().cloned());
        let matches = match level {
            Level::Fingerprint => self.fingerprints.clone(),
            Level::Verify => self.verify_match.clone(),
            Level::Secure => self.secure_match.clone(),
            Level::None | Level::May | Level::Encrypt => Vec::new(),
        };
        Policy {
            level,
            matches,
            manner: Manner { protocols: protocols.clone(), excluded },
            reuse: self.reuse,
            servername: self.servername.clone(),
            no_dane: false,
        }
    }

    /// How the conversation asks for it.
    pub(super) fn secrecy(&self, policy: &Policy) -> Secrecy {
        match policy.level {
            Level::None => Secrecy::None,
            _ if self.wrapper && self.engine.is_some() => Secrecy::Wrapped,
            Level::May if self.engine.is_none() => Secrecy::None,
            Level::May => Secrecy::IfOffered,
            _ if self.engine.is_none() => Secrecy::Unavailable,
            _ => Secrecy::Required,
        }
    }
}

/// Whom one connection goes to.
pub(super) struct Whom<'a> {
    /// The server's name.
    pub(super) host: &'a str,
    /// `None` for a socket in the file system.
    pub(super) address: Option<IpAddr>,
    /// The destination's name, without brackets and port.
    pub(super) domain: &'a str,
    /// `mx.example[192.0.2.1]:25`.
    pub(super) relay: &'a str,
}

/// The handshake that one connection is to make.
pub(super) struct Upgrade {
    engine: Arc<Engine>,
    policy: Policy,
    /// Who vouches for the server in place of public authorities.
    chosen: Option<Arc<Anchors>>,
    wanted: Wanted,
    digest: Digest,
    server_name: ServerName<'static>,
    relay: String,
    loglevel: i64,
    timeout: Duration,
}

/// A connection after its handshake.
pub(super) struct Shaken {
    pub(super) stream: Box<dyn Stream>,
    /// The server is who it should be.
    pub(super) verified: bool,
    /// Why nothing may be sent over it all the same.
    pub(super) distrust: Option<Verdict>,
}

impl Upgrade {
    /// `None` where TLS isn't wanted, or can't be had.
    pub(super) fn new(protection: &Protection, policy: &Policy, whom: &Whom<'_>) -> Option<Upgrade> {
        let engine = Arc::clone(protection.engine.as_ref().filter(|_| policy.level > Level::None)?);
        let name = match policy.servername.as_str() {
            "hostname" => whom.host,
            "nexthop" => whom.domain,
            other => other,
        };
        // Without a name for SNI rustls wants an address.
        let address = whom.address.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
        let server_name =
            ServerName::try_from(name.to_owned()).unwrap_or_else(|_| ServerName::IpAddress(address.into()));
        let wanted = match policy.level {
            Level::None | Level::May | Level::Encrypt => Wanted::Nothing,
            Level::Fingerprint => Wanted::Fingerprints(policy.matches.clone()),
            Level::Verify | Level::Secure => Wanted::Names(names(&policy.matches, whom)),
        };
        Some(Upgrade {
            engine,
            policy: policy.clone(),
            chosen: match &protection.chosen {
                Some(Ok(chosen)) if policy.level >= Level::Verify => Some(Arc::clone(chosen)),
                _ => None,
            },
            wanted,
            digest: protection.digest.unwrap_or(Digest::Md5),
            server_name,
            relay: whom.relay.to_owned(),
            loglevel: protection.loglevel,
            timeout: protection.timeout,
        })
    }

    /// Shakes hands, and says so.
    pub(super) async fn shake(&self, stream: Box<dyn Stream>, say: Say<'_>) -> Result<Shaken, ()> {
        if self.loglevel >= 2 {
            let peer = self.relay.as_str().into();
            say(TlsStarting { direction: Direction::To, peer }.into());
        }
        let config = match self.engine.config(&self.policy.manner) {
            Ok(config) => config,
            Err(error) => {
                let text = format!("{}: {error}: aborting TLS session", self.relay);
                say(events::daemon::Message::warning(text).into());
                return Err(());
            }
        };
        let connecting = TlsConnector::from(config).connect(self.server_name.clone(), stream);
        let stream = match tokio::time::timeout(self.timeout, connecting).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => return self.failed(&error, say),
            Err(_) => {
                self.say_failed("Connection timed out", say);
                return Err(());
            }
        };
        let session = stream.get_ref().1;
        let shown = session.peer_certificates().unwrap_or_default();
        let signed = shown.first().and_then(|own| Some((self.engine.signed(own)?, own)));
        let now = Duration::from_micros(u64::try_from(clock::now().wall.0).unwrap_or(0));
        let anchors = self.chosen.as_deref().unwrap_or(&self.engine.anchors);
        let judgement = judge(shown, anchors, &self.wanted, self.digest, now);
        if let Some((before, after)) = &judgement.remark
            && self.loglevel >= 1
        {
            say(events::Event::Other(format!("{before} {}: {after}", self.relay).into()));
        }
        if self.loglevel >= 1 {
            let summary = Summary::of(session, signed);
            say(summary.event(judgement.trust, Direction::To, &self.relay).into());
        }
        let fits = self.wanted == Wanted::Nothing || judgement.trust == Trust::Verified;
        let distrust = (!fits)
            .then(|| Verdict::Deferred(Why::new(Dsn::new(4, 7, 5), "Server certificate not verified")));
        let verified = judgement.trust == Trust::Verified;
        Ok(Shaken { stream: Box::new(stream), verified, distrust })
    }

    fn failed(&self, error: &std::io::Error, say: Say<'_>) -> Result<Shaken, ()> {
        match error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
            Some(fault) => {
                self.say_failed("-1", say);
                let text = format!("TLS library problem: {fault}");
                say(events::daemon::Message::warning(text).into());
            }
            None if error.kind() == std::io::ErrorKind::UnexpectedEof => {
                self.say_failed("lost connection", say);
            }
            None => self.say_failed(&crate::strerror::strerror(error), say),
        }
        Err(())
    }

    fn say_failed(&self, reason: &str, say: Say<'_>) {
        let text = format!("SSL_connect error to {}: {reason}", self.relay);
        say(events::Event::Other(text.into()));
    }
}

fn bad_level(key: &str, level: &str) -> String {
    if level == "dane-only" {
        format!("{key}: dane-only configured with dnssec lookups disabled")
    } else {
        format!("{key}: invalid security level \"{level}\"")
    }
}

/// The names that a certificate may have.
fn names(matches: &[String], whom: &Whom<'_>) -> Vec<String> {
    let name = |word: &String| match word.as_str() {
        "hostname" => whom.host.to_owned(),
        "nexthop" => whom.domain.to_owned(),
        "dot-nexthop" => format!(".{}", whom.domain),
        other => other.to_owned(),
    };
    matches.iter().map(name).collect()
}
