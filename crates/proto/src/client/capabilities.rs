//! What a server said that it can do: the lines of its answer to EHLO or LHLO.

/// An extension that is made use of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Keyword {
    /// RFC 2920.
    Pipelining,
    /// RFC 1870.
    Size,
    /// RFC 6152.
    EightBitMime,
    /// RFC 3461.
    Dsn,
    /// RFC 6531.
    SmtpUtf8,
    /// RFC 3207.
    StartTls,
    /// RFC 4954.
    Auth,
}

impl Keyword {
    /// By its name, as in `smtp_discard_ehlo_keywords`; `None` for one that is never used anyway.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Keyword> {
        match name.to_ascii_uppercase().as_str() {
            "PIPELINING" => Some(Keyword::Pipelining),
            "SIZE" => Some(Keyword::Size),
            "8BITMIME" => Some(Keyword::EightBitMime),
            "DSN" => Some(Keyword::Dsn),
            "SMTPUTF8" => Some(Keyword::SmtpUtf8),
            "AUTH" => Some(Keyword::Auth),
            "STARTTLS" => Some(Keyword::StartTls),
            _ => None,
        }
    }
}

/// What a server can do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Capabilities {
    offered: Vec<Keyword>,
    /// Bytes; 0 where it names no limit.
    pub(super) size_max: u64,
    /// Ways to log in.
    pub(super) mechanisms: Vec<String>,
}

/// Ways to log in that are remembered.
const MECHANISMS_MAX: usize = 100;

impl Capabilities {
    /// From the answer's lines; the first is the server's name.
    pub(super) fn read(lines: &[String], discarded: &[Keyword]) -> Capabilities {
        let mut capabilities = Capabilities::default();
        for line in lines.iter().skip(1) {
            // `AUTH=LOGIN` is what was said before there was an RFC.
            let mut words =
                line.split(|c: char| c.is_ascii_whitespace() || c == '=').filter(|word| !word.is_empty());
            let Some(keyword) = words.next().and_then(Keyword::from_name) else { continue };
            if keyword == Keyword::Auth && !discarded.contains(&keyword) {
                for word in words.by_ref() {
                    let known = &mut capabilities.mechanisms;
                    if known.len() < MECHANISMS_MAX && !known.iter().any(|one| one.eq_ignore_ascii_case(word))
                    {
                        known.push(word.to_owned());
                    }
                }
            }
            if discarded.contains(&keyword) || capabilities.has(keyword) {
                continue;
            }
            if keyword == Keyword::Size {
                capabilities.size_max = words.next().and_then(|limit| limit.parse().ok()).unwrap_or(0);
            }
            capabilities.offered.push(keyword);
        }
        capabilities
    }

    pub(super) fn has(&self, keyword: Keyword) -> bool {
        self.offered.contains(&keyword)
    }
}
