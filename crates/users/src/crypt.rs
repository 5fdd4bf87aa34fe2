//! crypt(5)'s hashes: `$1$` (MD5), `$2y$` (bcrypt), `$5$` and `$6$` (SHA-crypt), `$y$` (yescrypt).
//!
//! Each is read into its parameters first, so that what it costs is known and bounded before anything is hashed. DES
//! and what has no `$` in front isn't read: those passwords have eight characters.

use proto::sasl::md5;
use std::fmt;

/// crypt's digits.
const DIGITS: &[u8; 64] = b"./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
/// Memory that one hash may take.
const MEMORY_BYTES_MAX: u64 = 1 << 30;
/// SHA-crypt's own least and most would take minutes.
const ROUNDS_MAX: u32 = 10_000_000;
/// What SHA-crypt does where nothing else is said.
const ROUNDS_DEFAULT: u32 = 5000;

/// A hash of crypt(5).
#[derive(Clone, PartialEq, Eq)]
pub enum Crypt {
    /// `$1$`
    Md5 {
        /// The salt.
        salt: String,
        /// What the password hashes to.
        hash: String,
    },
    /// `$2a$`, `$2b$`, `$2y$`
    Bcrypt {
        /// The whole text.
        text: String,
        /// Binary logarithm of the rounds.
        cost: u32,
    },
    /// `$5$`, `$6$`
    Sha {
        /// `$6$`
        long: bool,
        /// Rounds of hashing.
        rounds: u32,
        /// The salt.
        salt: String,
        /// What the password hashes to.
        hash: String,
    },
    /// `$y$`
    Yescrypt {
        /// How much of everything, as it is written.
        parameters: String,
        /// The salt.
        salt: Vec<u8>,
        /// What the password hashes to.
        hash: Vec<u8>,
    },
}

impl fmt::Debug for Crypt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Crypt({}, …)", self.cost())
    }
}

impl Crypt {
    /// Reads it; `None` where it is none that is known, or would cost beyond all measure.
    #[must_use]
    pub fn parse(text: &str) -> Option<Crypt> {
        let (kind, rest) = text.strip_prefix('$')?.split_once('$')?;
        match kind {
            "1" => {
                let (salt, hash) = rest.split_once('$')?;
                let fits = is_crypt(salt) && is_crypt(hash) && hash.len() == 22;
                fits.then(|| Crypt::Md5 { salt: salt.chars().take(8).collect(), hash: hash.to_owned() })
            }
            "2a" | "2b" | "2y" => {
                let parts: bcrypt::HashParts = text.parse().ok()?;
                let cost = parts.get_cost();
                (4..=20).contains(&cost).then(|| Crypt::Bcrypt { text: text.to_owned(), cost })
            }
            "5" | "6" => sha(kind == "6", rest),
            "y" => yescrypt(rest),
            _ => None,
        }
    }

    /// What hashing a password costs, as far as it tells hashes apart.
    #[must_use]
    pub fn cost(&self) -> String {
        match self {
            Crypt::Md5 { .. } => "$1$".to_owned(),
            Crypt::Bcrypt { cost, .. } => format!("$2y${cost}"),
            Crypt::Sha { long, rounds, .. } => format!("${}${rounds}", if *long { 6 } else { 5 }),
            Crypt::Yescrypt { parameters, .. } => format!("$y${parameters}"),
        }
    }

    /// Whether this is the password.
    #[must_use]
    pub fn is_of(&self, password: &[u8]) -> bool {
        let same = |made: &[u8], kept: &[u8]| proto::sasl::scram::same(made, kept);
        match self {
            Crypt::Md5 { salt, hash } => {
                same(md5_crypt(password, salt.as_bytes()).as_bytes(), hash.as_bytes())
            }
            // Where there is a NUL byte, crypt(3) would end.
            Crypt::Bcrypt { text, .. } => {
                !password.contains(&0) && bcrypt::verify(password, text).unwrap_or(false)
            }
            Crypt::Sha { long, rounds, salt, hash } => {
                same(sha_crypt(*long, password, (salt, *rounds)).as_bytes(), hash.as_bytes())
            }
            Crypt::Yescrypt { parameters, salt, hash } => {
                let Ok(parameters) = parameters.parse() else { return false };
                let mut made = vec![0; hash.len()];
                yescrypt::yescrypt(password, salt, &parameters, &mut made).is_ok() && same(&made, hash)
            }
        }
    }
}

fn is_crypt(text: &str) -> bool {
    text.bytes().all(|byte| DIGITS.contains(&byte))
}

fn sha(long: bool, rest: &str) -> Option<Crypt> {
    let (rounds, rest) = match rest.strip_prefix("rounds=") {
        Some(rest) => {
            let (rounds, rest) = rest.split_once('$')?;
            (rounds.parse::<u32>().ok()?.max(1000), rest)
        }
        None => (ROUNDS_DEFAULT, rest),
    };
    let (salt, hash) = rest.split_once('$')?;
    let fits = rounds <= ROUNDS_MAX && is_crypt(hash) && hash.len() == if long { 86 } else { 43 };
    let salt = salt.chars().take(16).collect();
    fits.then(|| Crypt::Sha { long, rounds, salt, hash: hash.to_owned() })
}

fn yescrypt(rest: &str) -> Option<Crypt> {
    let mut fields = rest.split('$');
    let (parameters, salt, hash) = (fields.next()?, fields.next()?, fields.next()?);
    let read: yescrypt::Params = parameters.parse().ok()?;
    let memory = read.n().checked_mul(u64::from(read.r()))?.checked_mul(128)?;
    let fits = memory <= MEMORY_BYTES_MAX && read.p() <= 16 && fields.next().is_none();
    let (salt, hash) = (decode(salt)?, decode(hash)?);
    (fits && hash.len() == 32).then(|| Crypt::Yescrypt { parameters: parameters.to_owned(), salt, hash })
}

/// `$5$` or `$6$` of a password: the part behind the salt.
#[must_use]
pub fn sha_crypt(long: bool, password: &[u8], (salt, rounds): (&str, u32)) -> String {
    let parameters = sha_crypt::Params::new(rounds).unwrap_or_default();
    if long {
        let hash = sha_crypt::sha512_crypt(password, salt.as_bytes(), parameters);
        return permuted(&hash, [0, 21, 42], [1, 2, 0]);
    }
    let hash = sha_crypt::sha256_crypt(password, salt.as_bytes(), parameters);
    permuted(&hash, [0, 10, 20], [2, 0, 1])
}

/// SHA-crypt takes the bytes of its hash in an order of its own: three at a time, each group the one before by one
/// further and turned; what is left comes last.
fn permuted(hash: &[u8], first: [usize; 3], turn: [usize; 3]) -> String {
    let byte = |at: usize| hash.get(at).copied().map(u32::from);
    let (mut out, mut at) = (String::new(), first);
    for _ in 0..hash.len() / 3 {
        let [a, b, c] = at.map(|at| byte(at).unwrap_or_default());
        digits(&mut out, (a << 16) | (b << 8) | c, 4);
        at = turn.map(|from| at.get(from).map_or(0, |at| at + 1));
    }
    match hash.len() {
        64 => digits(&mut out, byte(63).unwrap_or_default(), 2),
        _ => digits(&mut out, (byte(31).unwrap_or_default() << 8) | byte(30).unwrap_or_default(), 3),
    }
    out
}

fn digits(out: &mut String, mut value: u32, count: usize) {
    for _ in 0..count {
        let digit = usize::try_from(value & 63).ok().and_then(|at| DIGITS.get(at));
        out.push(digit.copied().map_or('.', char::from));
        value >>= 6;
    }
}

/// crypt's base64: the lowest bits first.
fn decode(text: &str) -> Option<Vec<u8>> {
    let (mut out, mut bits, mut have) = (Vec::new(), 0_u32, 0_u32);
    for byte in text.bytes() {
        let digit = DIGITS.iter().position(|digit| *digit == byte)?;
        bits |= u32::try_from(digit).ok()? << have;
        have += 6;
        while have >= 8 {
            out.push(u8::try_from(bits & 255).ok()?);
            (bits, have) = (bits >> 8, have - 8);
        }
    }
    Some(out)
}

/// `$1$` of a password: the part behind the salt.
fn md5_crypt(password: &[u8], salt: &[u8]) -> String {
    let between = md5::digest(&[password, salt, password].concat());
    let mut text = [password, b"$1$", salt].concat();
    text.extend(between.iter().cycle().take(password.len()));
    let mut left = password.len();
    while left > 0 {
        text.push(if left & 1 == 1 { 0 } else { password.first().copied().unwrap_or_default() });
        left >>= 1;
    }
    let mut hash = md5::digest(&text);
    for round in 0..1000 {
        let odd = round & 1 == 1;
        let mut text = if odd { password.to_vec() } else { hash.to_vec() };
        if round % 3 != 0 {
            text.extend_from_slice(salt);
        }
        if round % 7 != 0 {
            text.extend_from_slice(password);
        }
        text.extend_from_slice(if odd { &hash } else { password });
        hash = md5::digest(&text);
    }
    let mut out = String::new();
    let byte = |at: usize| hash.get(at).copied().map_or(0, u32::from);
    for [a, b, c] in [[0, 6, 12], [1, 7, 13], [2, 8, 14], [3, 9, 15], [4, 10, 5]] {
        digits(&mut out, (byte(a) << 16) | (byte(b) << 8) | byte(c), 4);
    }
    digits(&mut out, byte(11), 2);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    /// By crypt(3) of libxcrypt, all of `pa$$wörd`.
    #[test]
    fn as_libxcrypt_makes_them() {
        for text in include_str!("crypt_samples.txt").lines() {
            let crypt = Crypt::parse(text).unwrap_or_else(|| panic!("{text} is not read"));
            assert!(crypt.is_of("pa$$wörd".as_bytes()), "{text}");
            assert!(!crypt.is_of(b"pa$$word") && !crypt.is_of(b""), "{text}");
        }
    }

    #[test]
    fn what_is_no_hash_or_too_dear() {
        for text in [
            "",
            "$",
            "$6$",
            "$6$salt",
            "$6$salt$short",
            "$5$rounds=99999999$salt$abc",
            "$2y$31$abcdefghijklmnopqrstuuABCDEFGHIJKLMNOPQRSTUVWXYZ01234",
            "$y$jzzzz$abc$def",
            "$y$j9T$a!b$c",
            "$7$C6..../....SodiumChloride$x",
            "rl.3StKT.4T8M",
            "*",
            "!",
            "$1$a\u{e4}$",
        ] {
            assert_eq!(Crypt::parse(text), None, "{text}");
        }
    }
}
