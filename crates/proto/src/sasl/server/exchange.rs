//! One log-in with a mechanism of our own: what the client says, what is to be known of it, what is answered.
//!
//! An [`Exchange`] gives a [`Turn`] for each message. What it has to know it asks for ([`Question`]); whoever has users
//! answers ([`Known`]), with keys that nobody has where there is no such user, so that nothing here tells the two
//! apart. Decoding, base64, where all this stands in SMTP, and how long an answer may take are others' business. Names
//! and passwords are taken as they come: clients prepare them (RFC 4013), and what is stored was prepared.
//! RFC 2195, 4422, 4616, 5802, 5929 §4, 7677, 9266.

use super::Own;
use crate::sasl::md5::Contexts;
use crate::sasl::scram::{Hash, Keys, same};
use mail::base64;
use std::fmt;

/// The longest login name, in bytes.
pub const NAME_BYTES_MAX: usize = 255;
/// The longest password that is tried: hashing costs as much as is given.
pub const PASSWORD_BYTES_MAX: usize = 1024;

/// Bytes that both ends of a TLS session know (RFC 5056).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Binding {
    /// `tls-exporter`, `tls-server-end-point`.
    pub name: &'static str,
    /// The bytes.
    pub data: Vec<u8>,
}

/// What a session gives to its log-ins.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Surroundings {
    /// Random, of printable ASCII without commas.
    pub nonce: String,
    /// CRAM-MD5's challenge.
    pub challenge: String,
    /// What the client may bind to.
    pub bindings: Vec<Binding>,
    /// SCRAM-SHA-256-PLUS was offered: a client that thinks it wasn't has been deceived.
    pub offers_binding: bool,
}

/// What comes of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Turn {
    /// The client is to be asked this.
    Challenge(Vec<u8>),
    /// This is to be answered with [`Exchange::told`].
    Ask(Question),
    /// The client is who it says: the login name.
    Done(String),
    /// It is not.
    Failed(Refusal),
}

/// What has to be known.
#[derive(Clone, PartialEq, Eq)]
pub enum Question {
    /// Whether this is the user's password.
    Password {
        /// The login name as the client wrote it.
        username: String,
        /// What it says is the password.
        password: Vec<u8>,
    },
    /// What is stored for SCRAM.
    Scram {
        /// The login name.
        username: String,
        /// The hash.
        hash: Hash,
    },
    /// What is stored for CRAM-MD5.
    Cram {
        /// The login name.
        username: String,
    },
    /// Who the client's certificate says.
    Certificate {
        /// Who the client wants to be, where it says so.
        username: Option<String>,
    },
}

impl fmt::Debug for Question {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Question::Password { username, .. } => write!(f, "Password({username:?}, …)"),
            Question::Scram { username, hash } => write!(f, "Scram({username:?}, {hash:?})"),
            Question::Cram { username } => write!(f, "Cram({username:?})"),
            Question::Certificate { username } => write!(f, "Certificate({username:?})"),
        }
    }
}

/// What is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Known {
    /// The password, or the certificate, is that of the user with this login name.
    Right(String),
    /// It is not.
    Wrong,
    /// What is stored for SCRAM, and the login name; of nobody's where there is no such user.
    Scram(Keys, String),
    /// What is stored for CRAM-MD5, and the login name; likewise.
    Cram(Contexts, String),
}

/// Why a log-in fails; the words are Cyrus SASL's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// What the client said isn't what the mechanism says.
    #[error("bad protocol / cancel")]
    Protocol,
    /// Wrong name, wrong password, or not allowed.
    #[error("authentication failure")]
    Denied,
}

#[derive(Clone, Debug)]
enum Step {
    Start,
    /// LOGIN: the password comes next.
    Password(String),
    /// CRAM-MD5, EXTERNAL: the answer comes next.
    Answer,
    /// Somebody looks.
    Asked,
    /// SCRAM: keys are looked for; what the client said first.
    Keys(ClientFirst),
    /// CRAM-MD5: contexts are looked for; the client's answer.
    Contexts(Vec<u8>),
    /// SCRAM: the proof comes next.
    Proof(Box<Proving>),
    /// SCRAM: the client has to take note of our signature.
    Shown(String),
    Over,
}

/// SCRAM's `client-first-message`.
#[derive(Clone, Debug)]
struct ClientFirst {
    /// What `c=` has to be, decoded.
    binding: Vec<u8>,
    bare: String,
    nonce: String,
}

#[derive(Clone, Debug)]
struct Proving {
    first: ClientFirst,
    server_first: String,
    keys: Keys,
    login: String,
}

/// One log-in.
#[derive(Clone, Debug)]
pub struct Exchange {
    mechanism: Own,
    surroundings: Surroundings,
    step: Step,
}

impl Exchange {
    /// Begins, with the initial response where there was one (RFC 4954 §4).
    #[must_use]
    pub fn begin(mechanism: Own, surroundings: Surroundings, initial: Option<&[u8]>) -> (Exchange, Turn) {
        let mut exchange = Exchange { mechanism, surroundings, step: Step::Start };
        let turn = match (mechanism, initial) {
            // RFC 4954 §4: where the server speaks first, there is no initial response.
            (Own::CramMd5, Some(_)) => exchange.failed(Refusal::Protocol),
            (Own::CramMd5, None) => {
                exchange.step = Step::Answer;
                Turn::Challenge(exchange.surroundings.challenge.clone().into_bytes())
            }
            (Own::Login, None) => Turn::Challenge(b"Username:".to_vec()),
            (_, None) => Turn::Challenge(Vec::new()),
            (_, Some(said)) => exchange.respond(said),
        };
        (exchange, turn)
    }

    /// The client's next message.
    #[must_use]
    pub fn respond(&mut self, said: &[u8]) -> Turn {
        let step = std::mem::replace(&mut self.step, Step::Over);
        let turn = match (self.mechanism, step) {
            (Own::Plain, Step::Start) => self.plain(said),
            (Own::Login, Step::Start) => login_name(said).map(|name| {
                self.step = Step::Password(name);
                Turn::Challenge(b"Password:".to_vec())
            }),
            (Own::Login, Step::Password(username)) => Ok(self.ask_password(username, said)),
            (Own::CramMd5, Step::Answer) => self.cram(said),
            (Own::External, Step::Start) => {
                let username = if said.is_empty() { Ok(None) } else { login_name(said).map(Some) };
                username.map(|username| self.ask(Step::Asked, Question::Certificate { username }))
            }
            (_, Step::Start) => self.client_first(said),
            (_, Step::Proof(proving)) => self.proof(&proving, said),
            (_, Step::Shown(login)) if said.is_empty() => Ok(Turn::Done(login)),
            _ => Err(Refusal::Protocol),
        };
        turn.unwrap_or_else(|refusal| self.failed(refusal))
    }

    /// The answer to what was asked.
    #[must_use]
    pub fn told(&mut self, known: Known) -> Turn {
        let step = std::mem::replace(&mut self.step, Step::Over);
        match (step, known) {
            (Step::Asked, Known::Right(login)) => Turn::Done(login),
            (Step::Asked, Known::Wrong) => self.failed(Refusal::Denied),
            (Step::Keys(first), Known::Scram(keys, login)) => {
                let salt = base64::encode(&keys.salt);
                let server_first = format!("r={},s={salt},i={}", first.nonce, keys.rounds);
                let challenge = server_first.clone().into_bytes();
                self.step = Step::Proof(Box::new(Proving { first, server_first, keys, login }));
                Turn::Challenge(challenge)
            }
            (Step::Contexts(answer), Known::Cram(contexts, login)) => {
                let digest = contexts.hmac(self.surroundings.challenge.as_bytes());
                let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
                let right = same(hex.as_bytes(), &answer.to_ascii_lowercase());
                if right { Turn::Done(login) } else { self.failed(Refusal::Denied) }
            }
            _ => self.failed(Refusal::Denied),
        }
    }

    fn failed(&mut self, refusal: Refusal) -> Turn {
        self.step = Step::Over;
        Turn::Failed(refusal)
    }

    fn ask(&mut self, step: Step, question: Question) -> Turn {
        self.step = step;
        Turn::Ask(question)
    }

    fn ask_password(&mut self, username: String, password: &[u8]) -> Turn {
        if password.len() > PASSWORD_BYTES_MAX {
            return self.failed(Refusal::Protocol);
        }
        self.ask(Step::Asked, Question::Password { username, password: password.to_vec() })
    }

    /// RFC 4616: `authzid NUL authcid NUL passwd`. Nobody may act for somebody else.
    fn plain(&mut self, said: &[u8]) -> Result<Turn, Refusal> {
        let mut parts = said.split(|&byte| byte == 0);
        let (Some(act_as), Some(name), Some(password), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(Refusal::Protocol);
        };
        let username = login_name(name)?;
        if !act_as.is_empty() && act_as != name {
            return Err(Refusal::Denied);
        }
        Ok(self.ask_password(username, password))
    }

    fn cram(&mut self, said: &[u8]) -> Result<Turn, Refusal> {
        let space = said.iter().rposition(|&byte| byte == b' ').ok_or(Refusal::Protocol)?;
        let (name, digest) = said.split_at_checked(space).ok_or(Refusal::Protocol)?;
        let digest = digest.get(1..).unwrap_or_default().to_vec();
        let username = login_name(name)?;
        Ok(self.ask(Step::Contexts(digest), Question::Cram { username }))
    }

    /// RFC 5802 §7: `gs2-header client-first-message-bare`.
    fn client_first(&mut self, said: &[u8]) -> Result<Turn, Refusal> {
        let text = std::str::from_utf8(said).map_err(|_| Refusal::Protocol)?;
        let mut parts = text.splitn(3, ',');
        let (Some(flag), Some(act_as), Some(bare)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(Refusal::Protocol);
        };
        let mut binding = format!("{flag},{act_as},").into_bytes();
        binding.extend(self.bound_to(flag)?);
        let mut fields = bare.split(',');
        let (name, nonce) = (fields.next().unwrap_or_default(), fields.next().unwrap_or_default());
        // An extension that must be understood (`m=`) comes first, so there is no name.
        let name = name.strip_prefix("n=").and_then(unescaped).ok_or(Refusal::Protocol)?;
        let username = login_name(name.as_bytes())?;
        let nonce = nonce.strip_prefix("r=").filter(|nonce| is_nonce(nonce)).ok_or(Refusal::Protocol)?;
        match act_as.strip_prefix("a=").and_then(unescaped) {
            Some(act_as) if act_as != username => return Err(Refusal::Denied),
            None if !act_as.is_empty() => return Err(Refusal::Protocol),
            _ => {}
        }
        let nonce = format!("{nonce}{}", self.surroundings.nonce);
        let first = ClientFirst { binding, bare: bare.to_owned(), nonce };
        let hash = if self.mechanism == Own::ScramSha1 { Hash::Sha1 } else { Hash::Sha256 };
        Ok(self.ask(Step::Keys(first), Question::Scram { username, hash }))
    }

    /// RFC 5802 §6: the bytes that the client has to know of the TLS session.
    fn bound_to(&self, flag: &str) -> Result<Vec<u8>, Refusal> {
        let binds = self.mechanism == Own::ScramSha256Plus;
        match flag {
            "n" if !binds => Ok(Vec::new()),
            // It could bind, and was told that we couldn't: somebody stands between.
            "y" if !binds && !self.surroundings.offers_binding => Ok(Vec::new()),
            "y" if !binds => Err(Refusal::Denied),
            _ => {
                let name = flag.strip_prefix("p=").filter(|_| binds).ok_or(Refusal::Protocol)?;
                let known = self.surroundings.bindings.iter().find(|binding| binding.name == name);
                known.map(|binding| binding.data.clone()).ok_or(Refusal::Denied)
            }
        }
    }

    fn proof(&mut self, proving: &Proving, said: &[u8]) -> Result<Turn, Refusal> {
        let Proving { first, server_first, keys, login } = proving;
        let text = std::str::from_utf8(said).map_err(|_| Refusal::Protocol)?;
        let (without, proof) = text.rsplit_once(",p=").ok_or(Refusal::Protocol)?;
        let proof = base64::decode(proof).ok_or(Refusal::Protocol)?;
        let mut fields = without.split(',');
        let mut field = |name: &str| fields.next().and_then(|field| field.strip_prefix(name));
        let binding = field("c=").and_then(base64::decode).ok_or(Refusal::Protocol)?;
        let nonce = field("r=").ok_or(Refusal::Protocol)?;
        if binding != first.binding || nonce != first.nonce {
            return Err(Refusal::Denied);
        }
        let all = format!("{},{server_first},{without}", first.bare);
        if !keys.accept(&proof, all.as_bytes()) {
            return Err(Refusal::Denied);
        }
        let signature = base64::encode(&keys.signature(all.as_bytes()));
        self.step = Step::Shown(login.clone());
        Ok(Turn::Challenge(format!("v={signature}").into_bytes()))
    }
}

/// A name that can be somebody's: text of some length, in which nothing ends a line or a field of the users' file.
fn login_name(bytes: &[u8]) -> Result<String, Refusal> {
    let name = std::str::from_utf8(bytes).map_err(|_| Refusal::Protocol)?;
    let is_fit = !name.is_empty()
        && name.len() <= NAME_BYTES_MAX
        && !name.chars().any(|c| c.is_control() || c.is_whitespace() || c == ':');
    if is_fit { Ok(name.to_owned()) } else { Err(Refusal::Denied) }
}

/// RFC 5802 §5.1: printable ASCII without commas.
fn is_nonce(text: &str) -> bool {
    (1..=512).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b',')
}

/// RFC 5802 §5.1: `=2C` and `=3D` stand for comma and equals sign, and nothing else begins with `=`.
fn unescaped(text: &str) -> Option<String> {
    let mut parts = text.split('=');
    let mut out = parts.next()?.to_owned();
    for part in parts {
        let (c, rest) = match (part.strip_prefix("2C"), part.strip_prefix("3D")) {
            (Some(rest), _) => (',', rest),
            (_, Some(rest)) => ('=', rest),
            _ => return None,
        };
        out.push(c);
        out.push_str(rest);
    }
    Some(out)
}

/// For fuzzing: whatever clients say, whoever answers, nobody gets in who doesn't know the password.
pub fn survive(input: &[u8]) {
    let keys = |hash| Keys::derive(hash, b"nobody says this", b"salt".to_vec(), std::num::NonZeroU32::MIN);
    for mechanism in Own::ALL {
        let binding = Binding { name: "tls-exporter", data: vec![7; 32] };
        let surroundings = Surroundings {
            nonce: "nonce".to_owned(),
            challenge: "<1@x>".to_owned(),
            bindings: vec![binding],
            offers_binding: input.len().is_multiple_of(2),
        };
        let mut lines = input.split(|byte| *byte == b'\n').take(4);
        let initial = lines.next().filter(|line| !line.is_empty());
        let (mut exchange, mut turn) = Exchange::begin(mechanism, surroundings, initial);
        for _ in 0..8 {
            turn = match turn {
                Turn::Challenge(_) => match lines.next() {
                    Some(line) => exchange.respond(line),
                    None => break,
                },
                Turn::Ask(Question::Scram { username, hash }) => {
                    exchange.told(Known::Scram(keys(hash), username))
                }
                Turn::Ask(Question::Cram { username }) => {
                    exchange.told(Known::Cram(Contexts::of(b"nobody says this"), username))
                }
                Turn::Ask(_) => exchange.told(Known::Wrong),
                Turn::Done(name) => unreachable!("{name} is in"),
                Turn::Failed(_) => break,
            };
        }
    }
}

#[cfg(test)]
#[path = "exchange_tests.rs"]
mod tests;
