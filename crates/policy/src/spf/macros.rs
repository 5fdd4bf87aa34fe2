//! Macro strings of SPF (RFC 7208 §7): read once, expanded for each sender.
//!
//! What a macro stands for is [`Meanings`]'; nothing is asked here, but `%{p}` may need the DNS, which is why an
//! expansion can end at something that must be known first.

/// A macro string in its pieces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct MacroString {
    pieces: Vec<Piece>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    /// As it is.
    Literal(String),
    /// `%%`, `%_`, `%-`.
    Escape(&'static str),
    Macro(Macro),
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Macro {
    letter: Letter,
    /// How many parts from the right; all for `None`.
    parts: Option<usize>,
    reversed: bool,
    delimiters: String,
    /// Written in upper case: to be escaped as in an URL.
    escaped: bool,
}

/// What a macro stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Letter {
    /// `s`: the sender.
    Sender,
    /// `l`: its local part.
    Local,
    /// `o`: its domain.
    Origin,
    /// `d`: the domain whose record it is.
    Domain,
    /// `i`: the client's address, in parts by dots.
    Address,
    /// `p`: the client's validated name.
    Name,
    /// `v`: `in-addr` or `ip6`.
    Family,
    /// `h`: the name in HELO.
    Helo,
    /// `c`: the client's address as it is read.
    Readable,
    /// `r`: who receives.
    Receiver,
    /// `t`: the time, in seconds.
    Time,
}

/// Where a macro string stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Use {
    /// A name that is to be asked for.
    Domain,
    /// A modifier that nobody knows.
    Unknown,
    /// The text behind `exp=`, with blanks.
    Explanation,
}

/// Tells what macros stand for.
pub(crate) trait Meanings {
    /// What can stop an expansion.
    type Stop;
    /// The text for `letter`.
    fn meaning(&mut self, letter: Letter) -> Result<String, Self::Stop>;
}

impl MacroString {
    /// Reads `text`; `None` where it is malformed.
    pub(crate) fn parse(text: &str, place: Use) -> Option<MacroString> {
        let mut pieces = Vec::new();
        let mut rest = text;
        while !rest.is_empty() {
            let end = rest.find('%').unwrap_or(rest.len());
            let (literal, more) = rest.split_at_checked(end)?;
            let blank = |b: u8| b == b' ' && place == Use::Explanation;
            if !literal.bytes().all(|b| b.is_ascii_graphic() || blank(b)) {
                return None;
            }
            if !literal.is_empty() {
                pieces.push(Piece::Literal(literal.to_owned()));
            }
            rest = more;
            let Some(behind) = rest.strip_prefix('%') else { continue };
            let (piece, behind) = match behind.split_at_checked(1)? {
                ("%", behind) => (Piece::Escape("%"), behind),
                ("_", behind) => (Piece::Escape(" "), behind),
                ("-", behind) => (Piece::Escape("%20"), behind),
                ("{", behind) => {
                    let (inner, behind) = behind.split_once('}')?;
                    (Piece::Macro(Macro::parse(inner, place)?), behind)
                }
                _ => return None,
            };
            pieces.push(piece);
            rest = behind;
        }
        Some(MacroString { pieces })
    }

    /// Reads a `domain-spec`: it ends with a macro or with a dot and a label that isn't a number.
    pub(crate) fn domain(text: &str) -> Option<MacroString> {
        let string = MacroString::parse(text, Use::Domain)?;
        let ends_well = match string.pieces.last()? {
            Piece::Literal(literal) => {
                let literal = literal.strip_suffix('.').unwrap_or(literal);
                literal.rsplit_once('.').is_some_and(|(_, label)| is_top_label(label))
            }
            Piece::Escape(_) | Piece::Macro(_) => true,
        };
        ends_well.then_some(string)
    }

    /// The text that it stands for.
    pub(crate) fn expand<M: Meanings>(&self, meanings: &mut M) -> Result<String, M::Stop> {
        let mut out = String::new();
        for piece in &self.pieces {
            match piece {
                Piece::Literal(text) => out.push_str(text),
                Piece::Escape(text) => out.push_str(text),
                Piece::Macro(one) => out.push_str(&one.transformed(&meanings.meaning(one.letter)?)),
            }
        }
        Ok(out)
    }
}

impl Macro {
    /// Reads what stands in the braces.
    fn parse(inner: &str, place: Use) -> Option<Macro> {
        let mut chars = inner.chars();
        let first = chars.next()?;
        let letter = match first.to_ascii_lowercase() {
            's' => Letter::Sender,
            'l' => Letter::Local,
            'o' => Letter::Origin,
            'd' => Letter::Domain,
            'i' => Letter::Address,
            'p' => Letter::Name,
            'v' => Letter::Family,
            'h' => Letter::Helo,
            'c' if place != Use::Domain => Letter::Readable,
            'r' if place != Use::Domain => Letter::Receiver,
            't' if place != Use::Domain => Letter::Time,
            _ => return None,
        };
        let rest = chars.as_str();
        let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let (digits, rest) = rest.split_at_checked(digits)?;
        let parts = if digits.is_empty() {
            None
        } else {
            // So many that no number holds them are all there are.
            Some(digits.parse::<usize>().unwrap_or(usize::MAX)).filter(|parts| *parts > 0).map(Some)?
        };
        let (reversed, delimiters) = match rest.strip_prefix(['r', 'R']) {
            Some(rest) => (true, rest),
            None => (false, rest),
        };
        let known = |c: char| matches!(c, '.' | '-' | '+' | ',' | '/' | '_' | '=');
        delimiters.chars().all(known).then(|| Macro {
            letter,
            parts,
            reversed,
            delimiters: if delimiters.is_empty() { ".".to_owned() } else { delimiters.to_owned() },
            escaped: first.is_ascii_uppercase(),
        })
    }

    fn transformed(&self, value: &str) -> String {
        let whole = self.parts.is_none() && !self.reversed && self.delimiters == ".";
        let text = if whole {
            value.to_owned()
        } else {
            let mut parts: Vec<&str> = value.split(|c| self.delimiters.contains(c)).collect();
            if self.reversed {
                parts.reverse();
            }
            let skipped = parts.len().saturating_sub(self.parts.unwrap_or(usize::MAX));
            parts.get(skipped..).unwrap_or_default().join(".")
        };
        if self.escaped { escaped(&text) } else { text }
    }
}

/// RFC 3986 §2.1, all but the unreserved.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for b in text.bytes() {
        if b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_' | b'~') {
            out.push(char::from(b));
        } else {
            out.push_str(&format!("%{b:02X}"));
        }
    }
    out
}

/// RFC 7208 §7.1: not a number, no hyphen at an end.
fn is_top_label(label: &str) -> bool {
    !label.is_empty()
        && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
        && !label.starts_with('-')
        && !label.ends_with('-')
        && label.bytes().any(|b| !b.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 7208 §7.4.
    struct Example;

    impl Meanings for Example {
        type Stop = std::convert::Infallible;
        fn meaning(&mut self, letter: Letter) -> Result<String, Self::Stop> {
            Ok(match letter {
                Letter::Sender => "strong-bad@email.example.com",
                Letter::Local => "strong-bad",
                Letter::Origin | Letter::Domain => "email.example.com",
                Letter::Address => "192.0.2.3",
                Letter::Family => "in-addr",
                Letter::Readable => "192.0.2.3",
                _ => "unknown",
            }
            .to_owned())
        }
    }

    #[test]
    fn expansions_of_the_rfc() {
        for (text, expect) in [
            ("%{s}", "strong-bad@email.example.com"),
            ("%{o}", "email.example.com"),
            ("%{d}", "email.example.com"),
            ("%{d4}", "email.example.com"),
            ("%{d3}", "email.example.com"),
            ("%{d2}", "example.com"),
            ("%{d1}", "com"),
            ("%{dr}", "com.example.email"),
            ("%{d2r}", "example.email"),
            ("%{l}", "strong-bad"),
            ("%{l-}", "strong.bad"),
            ("%{lr}", "strong-bad"),
            ("%{lr-}", "bad.strong"),
            ("%{l1r-}", "strong"),
            ("%{ir}.%{v}._spf.%{d2}", "3.2.0.192.in-addr._spf.example.com"),
            ("%{lr-}.lp._spf.%{d2}", "bad.strong.lp._spf.example.com"),
            ("%{lr-}.lp.%{ir}.%{v}._spf.%{d2}", "bad.strong.lp.3.2.0.192.in-addr._spf.example.com"),
            ("%{ir}.%{v}.%{l1r-}.lp._spf.%{d2}", "3.2.0.192.in-addr.strong.lp._spf.example.com"),
            ("%{d2}.trusted-domains.example.net", "example.com.trusted-domains.example.net"),
            ("%{S}", "strong-bad%40email.example.com"),
            ("a%%b%_c%-d", "a%b c%20d"),
            ("%{d99999999999999999999999}", "email.example.com"),
        ] {
            let Ok(expanded) = MacroString::parse(text, Use::Domain).unwrap().expand(&mut Example);
            assert_eq!(expanded, expect, "{text}");
        }
    }

    #[test]
    fn what_is_malformed() {
        for text in [
            "%", "%a", "%{", "%{}", "%{x}", "%{d", "%{d0}", "%{d!}", "%{dr2}", "%{c}", "é", "a b", "\u{7f}",
            "%é",
        ] {
            assert_eq!(MacroString::parse(text, Use::Domain), None, "{text}");
        }
        assert!(MacroString::parse("see %{c} %{t} %{R}", Use::Explanation).is_some());
        assert!(MacroString::parse("%{c}", Use::Unknown).is_some());
    }

    #[test]
    fn ends_of_domains() {
        for good in [
            "example.com",
            "example.com.",
            "%{d}",
            "_x.%{d2}",
            "%{d}.com",
            "a.b-1",
            "a.1b",
            "x/y:z.example.org",
            "%{i}.x%%",
        ] {
            assert!(MacroString::domain(good).is_some(), "{good}");
        }
        for bad in
            ["", "com", "com.", "192.0.2.1", "a.-b", "a.b-", "a.b/24", "a.b:80", "%{d}com", "a..", "a.b_c"]
        {
            assert_eq!(MacroString::domain(bad), None, "{bad}");
        }
    }
}
