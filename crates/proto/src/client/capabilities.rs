//! What a server said that it can do: the lines of its answer to EHLO or LHLO.

use super::replies::Remark;

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
    /// XFORWARD_README.
    Xforward,
}

impl Keyword {
    fn from_name(name: &str) -> Option<Keyword> {
        match name.to_ascii_uppercase().as_str() {
            "PIPELINING" => Some(Keyword::Pipelining),
            "SIZE" => Some(Keyword::Size),
            "8BITMIME" => Some(Keyword::EightBitMime),
            "DSN" => Some(Keyword::Dsn),
            "SMTPUTF8" => Some(Keyword::SmtpUtf8),
            "AUTH" => Some(Keyword::Auth),
            "STARTTLS" => Some(Keyword::StartTls),
            "XFORWARD" => Some(Keyword::Xforward),
            _ => None,
        }
    }
}

/// What is treated as if servers hadn't offered it: `smtp_discard_ehlo_keywords`, or what
/// `smtp_discard_ehlo_keyword_address_maps` says of one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Discards {
    keywords: Vec<Keyword>,
    /// Their names, where it is to be told.
    told: String,
}

/// All names that may stand there, in Postfix's order, and how its log calls them.
const NAMES: [(&str, &str); 14] = [
    ("8BITMIME", "8BITMIME"),
    ("AUTH", "AUTH"),
    ("ETRN", "ETRN"),
    ("PIPELINING", "PIPELINING"),
    ("SIZE", "SIZE"),
    ("VERP", "VERP"),
    ("VRFY", "VRFY"),
    ("XCLIENT", "XCLIENT"),
    ("XFORWARD", "XFORWARD"),
    ("STARTTLS", "STARTTLS"),
    ("ENHANCEDSTATUSCODES", "ENHANCEDSTATUSCODES"),
    ("DSN", "DSN"),
    ("SMTPUTF8", "EHLO_MASK_SMTPUTF8"),
    ("CHUNKING", "CHUNKING"),
];

impl Discards {
    /// From words as main.cf has them; what is no keyword is passed over.
    #[must_use]
    pub fn parse(text: &str) -> Discards {
        let words: Vec<&str> = text
            .split(|c: char| c.is_ascii_whitespace() || c == ',')
            .filter(|word| !word.is_empty())
            .collect();
        let is_there = |name: &str| words.iter().any(|word| word.eq_ignore_ascii_case(name));
        let told: Vec<&str> =
            NAMES.iter().filter(|(name, _)| is_there(name)).map(|(_, told)| *told).collect();
        Discards {
            keywords: words.iter().filter_map(|word| Keyword::from_name(word)).collect(),
            told: if is_there("SILENT-DISCARD") { String::new() } else { told.join(" ") },
        }
    }

    fn contain(&self, keyword: Keyword) -> bool {
        self.keywords.contains(&keyword)
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
    /// What the server wants to know of a message's origin, in capitals.
    pub(super) forwards: Vec<String>,
}

/// XFORWARD attributes that are remembered, more than there are.
const ATTRIBUTES_MAX: usize = 20;
/// Ways to log in that are remembered.
const MECHANISMS_MAX: usize = 100;

impl Capabilities {
    /// From the answer's lines; the first is the server's name. `host` and `peer`, the same with its port, name the
    /// server in what is to be told.
    pub(super) fn read(
        lines: &[String],
        discards: &Discards,
        (host, peer): (&str, &str),
    ) -> (Capabilities, Vec<Remark>) {
        let mut capabilities = Capabilities::default();
        let mut remarks = Vec::new();
        if !discards.told.is_empty() {
            remarks.push(Remark::Note(format!("discarding EHLO keywords: {}", discards.told)));
        }
        for line in lines.iter().skip(1) {
            // `AUTH=LOGIN` is what was said before there was an RFC.
            let mut words =
                line.split(|c: char| c.is_ascii_whitespace() || c == '=').filter(|word| !word.is_empty());
            let Some(keyword) = words.next().and_then(Keyword::from_name) else { continue };
            if discards.contain(keyword) {
                continue;
            }
            if keyword == Keyword::Auth {
                capabilities.can_log_in(words.by_ref());
            }
            if keyword == Keyword::Xforward {
                let names = words.by_ref().take(ATTRIBUTES_MAX).map(str::to_ascii_uppercase);
                capabilities.forwards.extend(names);
            }
            if keyword == Keyword::Size
                && let Some(limit) = words.next()
            {
                match limit.parse() {
                    Ok(limit) => capabilities.size_max = limit,
                    // More than anybody sends.
                    Err(_) if limit.bytes().all(|byte| byte.is_ascii_digit()) => capabilities.size_max = 0,
                    Err(_) => {
                        remarks.push(Remark::Warning(format!("bad EHLO SIZE limit \"{limit}\" from {peer}")));
                    }
                }
            }
            if !capabilities.has(keyword) {
                capabilities.offered.push(keyword);
            }
        }
        // RFC 6531 §3.1 (3): it can't be had without.
        if capabilities.has(Keyword::SmtpUtf8) && !capabilities.has(Keyword::EightBitMime) {
            remarks.push(Remark::Note(format!("host {host} offers SMTPUTF8 support, but not 8BITMIME")));
            capabilities.offered.push(Keyword::EightBitMime);
        }
        (capabilities, remarks)
    }

    fn can_log_in<'w>(&mut self, words: impl Iterator<Item = &'w str>) {
        for word in words {
            let known = &mut self.mechanisms;
            if known.len() < MECHANISMS_MAX && !known.iter().any(|one| one.eq_ignore_ascii_case(word)) {
                known.push(word.to_owned());
            }
        }
    }

    pub(super) fn has(&self, keyword: Keyword) -> bool {
        self.offered.contains(&keyword)
    }
}
