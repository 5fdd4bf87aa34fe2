//! Logging in: PLAIN (RFC 4616), LOGIN, CRAM-MD5 (RFC 2195), SCRAM-SHA-1 and SCRAM-SHA-256 (RFC 5802, RFC 7677).
//!
//! An [`Exchange`] takes challenges and gives responses; who carries them encodes them. A server that wants many rounds
//! of hashing is refused, and one that speaks SCRAM must show that it knew the password. Names and passwords are taken
//! as they are, without SASLprep: for ASCII that is the same. No channel binding.

use super::md5;
use super::scram::Hash;
use mail::base64;
use std::fmt;
use std::num::NonZeroU32;

/// Rounds of hashing that a server may ask for.
const ROUNDS: std::ops::RangeInclusive<u32> = 4096..=100_000;

/// A way to log in, best last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mechanism {
    /// The password itself, in two answers.
    Login,
    /// The password itself.
    Plain,
    /// A hash of it, with the server's challenge.
    CramMd5,
    /// Both show that they know it.
    ScramSha1,
    /// The same with a better hash.
    ScramSha256,
}

impl Mechanism {
    /// All of them, best first.
    pub const ALL: [Mechanism; 5] = [
        Mechanism::ScramSha256,
        Mechanism::ScramSha1,
        Mechanism::CramMd5,
        Mechanism::Plain,
        Mechanism::Login,
    ];

    /// As servers name it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Mechanism::Login => "LOGIN",
            Mechanism::Plain => "PLAIN",
            Mechanism::CramMd5 => "CRAM-MD5",
            Mechanism::ScramSha1 => "SCRAM-SHA-1",
            Mechanism::ScramSha256 => "SCRAM-SHA-256",
        }
    }

    /// By its name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Mechanism> {
        Mechanism::ALL.into_iter().find(|one| one.name().eq_ignore_ascii_case(name))
    }

    /// Whether it has a property that `smtp_sasl_security_options` asks for. An unknown one is had by none.
    #[must_use]
    pub fn meets(self, option: &str) -> bool {
        let is_scram = matches!(self, Mechanism::ScramSha1 | Mechanism::ScramSha256);
        match option.to_ascii_lowercase().as_str() {
            "noanonymous" => true,
            "noplaintext" => self >= Mechanism::CramMd5,
            "noactive" | "mutual_auth" => is_scram,
            _ => false,
        }
    }
}

/// Who logs in. Its `Debug` doesn't say the password.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret {
    /// The name.
    pub user: String,
    /// The password.
    pub password: String,
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secret({:?}, …)", self.user)
    }
}

/// Why a log-in can't go on; the words are Cyrus SASL's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SaslError {
    /// The server's words make no sense.
    #[error("bad protocol / cancel")]
    Protocol,
    /// It asks for more than there is to say.
    #[error("generic failure")]
    Failure,
    /// It doesn't know the password.
    #[error("authentication failure")]
    Impostor,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Step {
    /// Nothing was said yet.
    Start,
    /// LOGIN: the password comes next.
    Password,
    /// SCRAM: the server's first message is awaited.
    ServerFirst {
        nonce: String,
    },
    /// SCRAM: the server's signature is awaited.
    ServerFinal {
        signature: Vec<u8>,
    },
    Done,
}

/// One log-in.
#[derive(Clone, Debug)]
pub struct Exchange {
    mechanism: Mechanism,
    secret: Secret,
    /// Random, made by whoever has dice.
    nonce: String,
    step: Step,
}

impl Exchange {
    /// A log-in that nothing was said of yet. `nonce` is random and of printable ASCII without commas.
    #[must_use]
    pub fn new(mechanism: Mechanism, secret: Secret, nonce: String) -> Exchange {
        Exchange { mechanism, secret, nonce, step: Step::Start }
    }

    /// How.
    #[must_use]
    pub const fn mechanism(&self) -> Mechanism {
        self.mechanism
    }

    /// What is said with the command already.
    pub fn initial(&mut self) -> Option<Vec<u8>> {
        match self.mechanism {
            Mechanism::Login | Mechanism::CramMd5 => None,
            Mechanism::Plain => {
                self.step = Step::Done;
                Some(format!("\0{}\0{}", self.secret.user, self.secret.password).into_bytes())
            }
            Mechanism::ScramSha1 | Mechanism::ScramSha256 => {
                self.step = Step::ServerFirst { nonce: self.nonce.clone() };
                Some(format!("n,,{}", self.client_first()).into_bytes())
            }
        }
    }

    fn client_first(&self) -> String {
        let user = self.secret.user.replace('=', "=3D").replace(',', "=2C");
        format!("n={user},r={}", self.nonce)
    }

    /// The answer to a challenge.
    ///
    /// # Errors
    /// Where the challenge makes no sense, or the server is not who it says.
    pub fn respond(&mut self, challenge: &[u8]) -> Result<Vec<u8>, SaslError> {
        let step = std::mem::replace(&mut self.step, Step::Done);
        match (self.mechanism, step) {
            (Mechanism::Login, Step::Start) => {
                self.step = Step::Password;
                Ok(self.secret.user.clone().into_bytes())
            }
            (Mechanism::Login, Step::Password) => Ok(self.secret.password.clone().into_bytes()),
            (Mechanism::CramMd5, Step::Start) => {
                let proof = md5::hmac(self.secret.password.as_bytes(), challenge);
                let hex: String = proof.iter().map(|byte| format!("{byte:02x}")).collect();
                Ok(format!("{} {hex}", self.secret.user).into_bytes())
            }
            (_, Step::ServerFirst { nonce }) => self.proof(&nonce, challenge),
            (_, Step::ServerFinal { signature }) => {
                let text = std::str::from_utf8(challenge).map_err(|_| SaslError::Protocol)?;
                let shown = text
                    .strip_prefix("v=")
                    .and_then(|text| base64::decode(text.trim()))
                    .ok_or(SaslError::Impostor)?;
                if shown == signature { Ok(Vec::new()) } else { Err(SaslError::Impostor) }
            }
            _ => Err(SaslError::Failure),
        }
    }

    /// Whether the server may say that it is satisfied.
    #[must_use]
    pub fn may_end(&self) -> bool {
        self.step == Step::Done
    }

    /// RFC 5802 §3: the proof, and the signature that the server is to show.
    fn proof(&mut self, nonce: &str, challenge: &[u8]) -> Result<Vec<u8>, SaslError> {
        let server_first = std::str::from_utf8(challenge).map_err(|_| SaslError::Protocol)?;
        let mut parts = server_first.split(',');
        let mut part =
            |name: &str| parts.next().and_then(|part| part.strip_prefix(name)).ok_or(SaslError::Protocol);
        let (both, salt, rounds) = (part("r=")?, part("s=")?, part("i=")?);
        if both.len() <= nonce.len() || !both.starts_with(nonce) {
            return Err(SaslError::Protocol);
        }
        let salt = base64::decode(salt.trim()).ok_or(SaslError::Protocol)?;
        let rounds: u32 = rounds.parse().map_err(|_| SaslError::Protocol)?;
        let rounds = NonZeroU32::new(rounds).filter(|rounds| ROUNDS.contains(&rounds.get()));
        let rounds = rounds.ok_or(SaslError::Protocol)?;
        let hash = if self.mechanism == Mechanism::ScramSha1 { Hash::Sha1 } else { Hash::Sha256 };
        let salted = hash.salted(self.secret.password.as_bytes(), &salt, rounds);
        let client_key = hash.sign(&salted, b"Client Key");
        let stored_key = hash.digest(&client_key);
        // `c=` is "n,,": no channel binding.
        let bare = format!("c=biws,r={both}");
        let said = format!("{},{server_first},{bare}", self.client_first());
        let signature = hash.sign(&stored_key, said.as_bytes());
        let proof: Vec<u8> = client_key.iter().zip(&signature).map(|(key, sign)| key ^ sign).collect();
        let signature = hash.sign(&hash.sign(&salted, b"Server Key"), said.as_bytes());
        self.step = Step::ServerFinal { signature };
        Ok(format!("{bare},p={}", base64::encode(&proof)).into_bytes())
    }
}

/// For fuzzing: any challenges are survived, by each mechanism.
pub fn survive(challenges: &[u8]) {
    for mechanism in Mechanism::ALL {
        let secret = Secret { user: "u".to_owned(), password: "p".to_owned() };
        let mut exchange = Exchange::new(mechanism, secret, "nonce".to_owned());
        let _ = exchange.initial();
        for challenge in challenges.split(|byte| *byte == b'\n').take(4) {
            let _ = exchange.respond(challenge);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn exchange(mechanism: Mechanism, user: &str, password: &str, nonce: &str) -> Exchange {
        let secret = Secret { user: user.to_owned(), password: password.to_owned() };
        Exchange::new(mechanism, secret, nonce.to_owned())
    }

    fn text(bytes: Vec<u8>) -> String {
        String::from_utf8(bytes).expect("text")
    }

    /// RFC 5802 §5, RFC 7677 §3.
    #[test]
    fn scram_as_in_the_rfcs() {
        for (mechanism, nonce, first, proof, last) in [
            (
                Mechanism::ScramSha1,
                "fyko+d2lbbFgONRv9qkxdawL",
                "r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,s=QSXCR+Q6sek8bf92,i=4096",
                "c=biws,r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,p=v0X8v3Bz2T0CJGbJQyF0X+HI4Ts=",
                "v=rmF9pqV8S7suAoZWja4dJRkFsKQ=",
            ),
            (
                Mechanism::ScramSha256,
                "rOprNGfwEbeRWgbNEkqO",
                "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096",
                "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
                 p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=",
                "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=",
            ),
        ] {
            let mut one = exchange(mechanism, "user", "pencil", nonce);
            assert_eq!(one.initial().map(text), Some(format!("n,,n=user,r={nonce}")));
            assert_eq!(one.respond(first.as_bytes()).map(text), Ok(proof.to_owned()));
            assert!(!one.may_end(), "the server has shown nothing yet");
            let mut fooled = one.clone();
            assert_eq!(fooled.respond(b"v=AAAA"), Err(SaslError::Impostor));
            assert_eq!(one.respond(last.as_bytes()), Ok(Vec::new()));
            assert!(one.may_end());
            assert_eq!(one.respond(b"more"), Err(SaslError::Failure));
        }
    }

    #[test]
    fn servers_that_ask_for_too_much_or_too_little() {
        for first in [
            "r=n",
            "r=n,s=AA==,i=4096",
            "r=nx,s=AA==,i=1",
            "r=nx,s=AA==,i=99999999",
            "r=nx,s=!,i=4096",
            "m=x,r=nx",
            "",
        ] {
            let mut one = exchange(Mechanism::ScramSha256, "u", "p", "n");
            let _ = one.initial();
            assert_eq!(one.respond(first.as_bytes()), Err(SaslError::Protocol), "{first}");
        }
    }

    /// RFC 2195 §2; the two that say the password.
    #[test]
    fn the_older_ones() {
        let mut cram = exchange(Mechanism::CramMd5, "tim", "tanstaaftanstaaf", "");
        assert_eq!(cram.initial(), None);
        let answer = cram.respond(b"<1896.697170952@postoffice.reston.mci.net>").map(text);
        assert_eq!(answer, Ok("tim b913a602c7eda7a495b4e6e7334d3890".to_owned()));
        let mut plain = exchange(Mechanism::Plain, "u", "p:q", "");
        assert_eq!(plain.initial().map(text), Some("\0u\0p:q".to_owned()));
        assert!(plain.may_end());
        let mut login = exchange(Mechanism::Login, "u", "p", "");
        assert_eq!(login.initial(), None);
        assert!(!login.may_end());
        assert_eq!(login.respond(b"Username:").map(text), Ok("u".to_owned()));
        assert_eq!(login.respond(b"Password:").map(text), Ok("p".to_owned()));
        assert_eq!(login.respond(b""), Err(SaslError::Failure));
    }

    #[test]
    fn what_each_keeps_safe() {
        let check = |option: &str, expect: &[Mechanism]| {
            let all: Vec<_> = Mechanism::ALL.into_iter().filter(|one| one.meets(option)).collect();
            assert_eq!(all, expect, "{option}");
        };
        check("noanonymous", &Mechanism::ALL);
        check("noplaintext", &[Mechanism::ScramSha256, Mechanism::ScramSha1, Mechanism::CramMd5]);
        check("mutual_auth", &[Mechanism::ScramSha256, Mechanism::ScramSha1]);
        check("forward_secrecy", &[]);
        assert_eq!(Mechanism::from_name("scram-sha-1"), Some(Mechanism::ScramSha1));
        assert_eq!(format!("{:?}", Secret { user: "u".into(), password: "p".into() }), "Secret(\"u\", …)");
    }

    proptest! {
        #[test]
        fn any_challenge_is_survived(bytes: Vec<u8>) {
            survive(&bytes);
        }
    }
}
