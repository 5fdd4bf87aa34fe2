//! A record (RFC 9989 §4.7, §4.8): tags and values. What can't be read is passed over, except a policy.

use super::Disposition;

/// The longest record that is read, and the most addresses of reports.
const RECORD_BYTES_MAX: usize = 16 * 1024;
const URIS_MAX: usize = 32;

/// When another name of the same organisation counts as the author domain.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Alignment {
    /// Always.
    #[default]
    Relaxed,
    /// Never.
    Strict,
}

/// Whether a domain is one that others are registered below.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Psd {
    /// It is: `psd=y`.
    Yes,
    /// It is an organisation's own: `psd=n`.
    No,
    /// The tree tells.
    #[default]
    Unsaid,
}

/// A policy as it is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
enum Written {
    #[default]
    Missing,
    Read(Disposition),
    Unreadable,
}

/// What a domain publishes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DmarcRecord {
    p: Written,
    sp: Written,
    np: Written,
    /// For DKIM.
    pub adkim: Alignment,
    /// For SPF.
    pub aspf: Alignment,
    /// Whether others are registered below it.
    pub psd: Psd,
    /// `t=y`: policies are only tried out; `None` where it isn't said.
    pub is_test: Option<bool>,
    /// RFC 7489's `pct`: to how many of a hundred messages a policy applies.
    pub percent: u8,
    /// Where aggregate reports are to go.
    pub rua: Vec<String>,
    /// Where reports on single messages are to go.
    pub ruf: Vec<String>,
    /// Which of those: `0`, `1`, `d`, `s`, parted by colons.
    pub fo: String,
    /// RFC 7489's `ri`: seconds between aggregate reports.
    pub interval_s: u32,
    /// RFC 7489's `rf`: their format.
    pub format: String,
}

/// `name=value`, both trimmed.
fn tag(part: &str) -> Option<(&str, &str)> {
    let (name, value) = part.split_once('=')?;
    let is_blank = |c: char| c == ' ' || c == '\t';
    Some((name.trim_matches(is_blank), value.trim_matches(is_blank)))
}

/// Whether a text is a record of the one version there is.
#[must_use]
pub fn is_record(text: &str) -> bool {
    let first = text.split(';').next().and_then(tag);
    first.is_some_and(|(name, value)| name.eq_ignore_ascii_case("v") && value == "DMARC1")
}

impl DmarcRecord {
    /// Reads a text; `None` where it is no record.
    #[must_use]
    pub fn parse(text: &str) -> Option<DmarcRecord> {
        if !is_record(text) || text.len() > RECORD_BYTES_MAX {
            return None;
        }
        let mut record =
            DmarcRecord { percent: 100, interval_s: 86_400, fo: "0".to_owned(), ..DmarcRecord::default() };
        record.format.push_str("afrf");
        let mut seen: Vec<String> = Vec::new();
        for (name, value) in text.split(';').skip(1).filter_map(tag) {
            let name = name.to_ascii_lowercase();
            // Of a tag that stands there twice the first one counts.
            if !seen.contains(&name) {
                record.take(&name, value);
                seen.push(name);
            }
        }
        Some(record)
    }

    fn take(&mut self, name: &str, value: &str) {
        let low = value.to_ascii_lowercase();
        match name {
            "p" => self.p = policy(&low),
            "sp" => self.sp = policy(&low),
            "np" => self.np = policy(&low),
            "adkim" if low == "s" => self.adkim = Alignment::Strict,
            "aspf" if low == "s" => self.aspf = Alignment::Strict,
            "psd" => {
                self.psd = match low.as_str() {
                    "y" => Psd::Yes,
                    "n" => Psd::No,
                    _ => Psd::Unsaid,
                }
            }
            "t" if matches!(low.as_str(), "y" | "n") => self.is_test = Some(low == "y"),
            "pct" => self.percent = low.parse().ok().filter(|percent| *percent <= 100).unwrap_or(100),
            "ri" => self.interval_s = low.parse().unwrap_or(86_400),
            "rf" => self.format = low,
            "rua" => self.rua = uris(value),
            "ruf" => self.ruf = uris(value),
            "fo" if low.split(':').all(|one| matches!(one.trim(), "0" | "1" | "d" | "s")) => self.fo = low,
            _ => {}
        }
    }

    /// Whether it has a policy that can't be read: RFC 9989 §4.10.1 has it mean `p=none` where somebody wants reports,
    /// and nothing otherwise.
    #[must_use]
    pub fn is_malformed(&self) -> bool {
        [self.p, self.sp, self.np].contains(&Written::Unreadable)
    }

    /// What it asks for where it is the author domain's own.
    #[must_use]
    pub fn own_policy(&self) -> Disposition {
        match self.p {
            Written::Read(policy) if !self.is_malformed() => policy,
            _ => Disposition::None,
        }
    }

    /// What it asks for subdomains, where it says so.
    #[must_use]
    pub fn subdomain_policy(&self) -> Option<Disposition> {
        read(self.sp).filter(|_| !self.is_malformed())
    }

    /// What it asks for subdomains that don't exist, where it says so.
    #[must_use]
    pub fn missing_policy(&self) -> Option<Disposition> {
        read(self.np).filter(|_| !self.is_malformed())
    }
}

fn policy(text: &str) -> Written {
    match text {
        "none" => Written::Read(Disposition::None),
        "quarantine" => Written::Read(Disposition::Quarantine),
        "reject" => Written::Read(Disposition::Reject),
        _ => Written::Unreadable,
    }
}

const fn read(written: Written) -> Option<Disposition> {
    match written {
        Written::Read(policy) => Some(policy),
        Written::Missing | Written::Unreadable => None,
    }
}

/// The addresses that could be ones, without RFC 7489's limits of size.
fn uris(text: &str) -> Vec<String> {
    let one = |uri: &str| {
        let uri = uri.split('!').next().unwrap_or_default().trim();
        let (scheme, rest) = uri.split_once(':')?;
        let is_scheme = scheme.starts_with(|c: char| c.is_ascii_alphabetic())
            && scheme.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.'));
        let is_plain = !rest.is_empty() && rest.bytes().all(|b| b.is_ascii_graphic());
        let is_mail = scheme.eq_ignore_ascii_case("mailto");
        (is_scheme && is_plain && (!is_mail || rest.contains('@'))).then(|| uri.to_owned())
    };
    text.split(',').filter_map(one).take(URIS_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions() {
        for good in ["v=DMARC1", "v=DMARC1;p=none", "V = DMARC1 ; p=none", "v\t=\tDMARC1\t;", " v=DMARC1"] {
            assert!(is_record(good), "{good:?}");
        }
        for bad in
            ["v=dmarc1", "v=DMARC1x", "v=DMARC10; p=none", "p=none; v=DMARC1", "", "v=spf1 -all", "DMARC1"]
        {
            assert!(!is_record(bad), "{bad:?}");
            assert_eq!(DmarcRecord::parse(bad), None);
        }
        assert_eq!(DmarcRecord::parse(&format!("v=DMARC1; p={}", "x".repeat(17_000))), None);
    }

    #[test]
    fn tags() {
        let record = DmarcRecord::parse(
            "v=DMARC1; p=Reject; sp=quarantine;np=none; adkim=s; aspf=S; psd=n; t=y; pct=20; ri=3600; rf=afrf;\
             fo=1:d; rua=mailto:a@example.com!10m, mailto:nobody, https://x.example/r; ruf=mailto:b@example.com; x=y",
        )
        .unwrap();
        assert_eq!(record.own_policy(), Disposition::Reject);
        assert_eq!(record.subdomain_policy(), Some(Disposition::Quarantine));
        assert_eq!(record.missing_policy(), Some(Disposition::None));
        assert_eq!((record.adkim, record.aspf), (Alignment::Strict, Alignment::Strict));
        assert_eq!((record.psd, record.is_test, record.percent), (Psd::No, Some(true), 20));
        assert_eq!(record.rua, ["mailto:a@example.com", "https://x.example/r"]);
        assert_eq!(record.ruf, ["mailto:b@example.com"]);
        assert_eq!((record.interval_s, record.format.as_str(), record.fo.as_str()), (3600, "afrf", "1:d"));
    }

    #[test]
    fn what_cannot_be_read() {
        let plain = DmarcRecord::parse("v=DMARC1").unwrap();
        assert_eq!(plain.own_policy(), Disposition::None);
        assert!(!plain.is_malformed());
        assert_eq!((plain.psd, plain.is_test, plain.percent), (Psd::Unsaid, None, 100));
        for same in [
            "v=DMARC1; adkim=x; aspf; psd=u; t=maybe; pct=101; pct=3; ri=-1; fo=2; rua=; ruf=x",
            "v=DMARC1;;; =; x=; unknown=reject",
            "v=DMARC1; pct=abc",
        ] {
            assert_eq!(DmarcRecord::parse(same).unwrap(), plain, "{same}");
        }
        for malformed in ["p=rejct; sp=reject", "p=reject; sp=x", "p=reject; np=", "p="] {
            let record = DmarcRecord::parse(&format!("v=DMARC1; {malformed}")).unwrap();
            assert!(record.is_malformed(), "{malformed}");
            assert_eq!((record.own_policy(), record.subdomain_policy()), (Disposition::None, None));
        }
        let twice = DmarcRecord::parse("v=DMARC1; p=none; p=reject").unwrap();
        assert_eq!(twice.own_policy(), Disposition::None);
    }

    proptest::proptest! {
        #[test]
        fn any_text(text in "v=DMARC1;[ -~é]{0,80}") {
            let record = DmarcRecord::parse(&text).unwrap();
            proptest::prop_assert!(record.percent <= 100 && record.rua.len() <= URIS_MAX);
        }
    }
}
