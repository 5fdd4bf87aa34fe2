//! What fail2ban kept, for one who takes its place: bans with time left, how often somebody was banned, and how far logs were read.
//!
//! From the tables `bips` (fail2ban 0.11 and later) or `bans` (before) and `logs` of its database. Rows that make no sense
//! are left out and counted.

use crate::filter::Id;
use crate::sqlite::{Database, Value};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::ops::ControlFlow;

/// The most bans that are taken over; the newest stay.
const BANS_MAX: usize = 200_000;
/// The most logs.
const PLACES_MAX: usize = 10_000;
/// The most lines of one ban, and the longest.
const LINES_MAX: usize = 50;
const LINE_CHARS_MAX: usize = 2_000;

/// What was kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Kept {
    /// The last ban of each by each jail, in order of jail and time.
    pub bans: Vec<Ban>,
    /// How far logs were read.
    pub places: Vec<Place>,
    /// Rows that were left out.
    pub skipped: u64,
}

/// A ban, in force or not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ban {
    /// By which jail.
    pub jail: String,
    /// Whom.
    pub id: Id,
    /// Since when, in seconds since 1970.
    pub since_s: i64,
    /// For how many seconds, negative for ever; none where it isn't told.
    pub ban_s: Option<i64>,
    /// How many bans so far, with this.
    pub count: u32,
    /// How many failures led to it.
    pub failures: u32,
    /// The lines that did.
    pub lines: Vec<String>,
}

impl Ban {
    /// Whether it still lasts. `ban_s` counts where the row tells no time.
    #[must_use]
    pub fn lasts(&self, now_s: i64, ban_s: i64) -> bool {
        let ban_s = self.ban_s.unwrap_or(ban_s);
        ban_s < 0 || self.since_s.saturating_add(ban_s) > now_s
    }
}

/// How far a log was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// For which jail.
    pub jail: String,
    /// Which.
    pub path: String,
    /// SHA-1 of its first line, in hexadecimal; empty where it had none.
    pub first_line: String,
    /// How many bytes.
    pub position: u64,
}

/// An address, a network, or whatever else.
#[must_use]
pub fn id(text: &str) -> Id {
    let text = text.trim();
    if let Ok(address) = text.parse::<IpAddr>() {
        return Id::address(address);
    }
    let net = text.split_once('/').and_then(|(address, length)| {
        let address: IpAddr = address.parse().ok()?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        Some(Id::net(address, length.parse().ok().filter(|length| *length <= most)?))
    });
    net.unwrap_or_else(|| Id::Other(text.to_owned()))
}

/// Reads what a database keeps.
///
/// # Errors
/// What is wrong with the file, or that it is another program's.
pub fn read(database: &Database<'_>) -> Result<Kept, String> {
    let mut kept = Kept::default();
    let mut bans: BTreeMap<(String, Id), Ban> = BTreeMap::new();
    let table = match database.table("bips")? {
        Some(table) => Some(table),
        None => database.table("bans")?,
    };
    let table = table.ok_or("it has no table `bips` or `bans`: it is not fail2ban's")?;
    let columns = ["jail", "ip", "timeofban", "bantime", "bancount", "data"];
    let walked = database.rows(&table, &columns, &mut |row| {
        match ban(row) {
            None => kept.skipped += 1,
            Some(mut ban) => {
                let key = (ban.jail.clone(), ban.id.clone());
                // The older table has a row for each ban.
                if let Some(earlier) = bans.get(&key) {
                    ban.count = ban.count.max(earlier.count.saturating_add(1));
                    if earlier.since_s > ban.since_s {
                        ban = Ban { count: ban.count, ..earlier.clone() };
                    }
                } else if bans.len() >= BANS_MAX {
                    kept.skipped += 1;
                    return ControlFlow::Continue(());
                }
                bans.insert(key, ban);
            }
        }
        ControlFlow::Continue(())
    })?;
    kept.skipped += walked.too_long;
    kept.bans = bans.into_values().collect();
    kept.bans.sort_by(|one, two| (&one.jail, one.since_s).cmp(&(&two.jail, two.since_s)));
    if let Some(table) = database.table("logs")? {
        let walked = database.rows(&table, &["jail", "path", "firstlinemd5", "lastfilepos"], &mut |row| {
            match place(row) {
                Some(place) if kept.places.len() < PLACES_MAX => kept.places.push(place),
                _ => kept.skipped += 1,
            }
            ControlFlow::Continue(())
        })?;
        kept.skipped += walked.too_long;
    }
    Ok(kept)
}

fn ban(row: &[Value]) -> Option<Ban> {
    let [jail, ip, since, ban_s, count, data] = row else { return None };
    let ip = ip.text().filter(|ip| !ip.is_empty() && ip.len() <= 512 && !ip.contains(char::is_control))?;
    let jail = jail.text().filter(|jail| !jail.is_empty() && jail.len() <= 256)?;
    let data: serde_json::Value =
        data.text().and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
    let failures = data.get("failures").and_then(serde_json::Value::as_u64).unwrap_or(0);
    let lines = data.get("matches").and_then(serde_json::Value::as_array).into_iter().flatten();
    Some(Ban {
        jail: jail.to_owned(),
        id: id(ip),
        since_s: since.number()?,
        ban_s: ban_s.number(),
        count: count.number().and_then(|count| u32::try_from(count).ok()).unwrap_or(1).max(1),
        failures: u32::try_from(failures).unwrap_or(u32::MAX),
        lines: lines.take(LINES_MAX).map(line).collect(),
    })
}

/// A line as it was written: in one piece, or around its time stamp.
fn line(value: &serde_json::Value) -> String {
    let pieces = match value {
        serde_json::Value::Array(pieces) => pieces.as_slice(),
        one => std::slice::from_ref(one),
    };
    pieces.iter().filter_map(serde_json::Value::as_str).flat_map(str::chars).take(LINE_CHARS_MAX).collect()
}

fn place(row: &[Value]) -> Option<Place> {
    let [jail, path, first_line, position] = row else { return None };
    Some(Place {
        jail: jail.text()?.to_owned(),
        path: path.text()?.to_owned(),
        first_line: first_line.text().unwrap_or("").to_owned(),
        position: u64::try_from(position.number()?).ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sqlite::Bytes;

    const PLAIN: &[u8] = include_bytes!("import/plain.sqlite3");
    const LOGGED: &[u8] = include_bytes!("import/logged.sqlite3");
    const LOG: &[u8] = include_bytes!("import/logged.sqlite3-wal");

    fn kept(file: &[u8], log: Option<&[u8]>) -> Result<Kept, String> {
        read(&Database::open(&file, log.as_ref().map(|log| log as &dyn Bytes))?)
    }

    const T: i64 = 1_795_435_600;

    #[test]
    fn a_database_of_fail2bans() {
        let kept = kept(PLAIN, None).unwrap();
        assert_eq!((kept.bans.len(), kept.skipped), (16, 0));
        let of = |text: &str| kept.bans.iter().find(|ban| ban.id.to_string() == text).unwrap();
        let line = "Nov 23 12:06:40 h sshd[10]: Failed password for root from 203.0.113.177 port 22 ssh2";
        assert_eq!(
            *of("203.0.113.177"),
            Ban {
                jail: "sshd".into(),
                id: id("203.0.113.177"),
                since_s: T,
                ban_s: Some(600),
                count: 3,
                failures: 3,
                lines: vec![line.to_owned(); 3],
            }
        );
        assert_eq!(of("2001:db8::7").ban_s, Some(-1));
        // On pages of its own.
        assert_eq!(of("198.51.100.0/24").lines, [format!("long {}", "x".repeat(1_500))]);
        assert_eq!((of("192.0.2.9").count, of("192.0.2.9").failures), (2, 0));
        let place = |jail: &str, path: &str, first: &str, position| Place {
            jail: jail.into(),
            path: path.into(),
            first_line: first.into(),
            position,
        };
        let auth = place("sshd", "/var/log/auth.log", "dd03d805bd0ed05e379760792e7fed5d4dc23b33", 663);
        assert_eq!(kept.places, [auth, place("postfix", "/var/log/mail.log", "", 0)]);
    }

    #[test]
    fn a_ban_lasts_as_long_as_its_row_says() {
        let ban = |ban_s| Ban { ban_s, ..kept(PLAIN, None).unwrap().bans.pop().unwrap() };
        let since = ban(None).since_s;
        assert!(ban(Some(10)).lasts(since + 9, 600) && !ban(Some(10)).lasts(since + 10, 600));
        assert!(ban(None).lasts(since + 599, 600) && !ban(None).lasts(since + 600, 600));
        assert!(ban(Some(-1)).lasts(i64::MAX, 600) && ban(Some(i64::MAX)).lasts(since, 0));
    }

    /// The log has all rows, and later ones; without it the file is empty, cut in the middle it is as it was then.
    #[test]
    fn what_the_log_beside_the_file_committed_counts() {
        assert_eq!(kept(LOGGED, None).unwrap().bans, []);
        let both = kept(LOGGED, Some(LOG)).unwrap();
        assert_eq!(both.bans.len(), 4);
        let first = both.bans.iter().find(|ban| ban.id == id("203.0.113.177")).unwrap();
        assert_eq!(first.ban_s, Some(1_200));
        // Each length of the log gives one of the three states, never half of one.
        let mut sizes = Vec::new();
        for length in (0..LOG.len()).step_by(131) {
            sizes.push(kept(LOGGED, LOG.get(..length)).unwrap().bans.len());
        }
        sizes.dedup();
        assert_eq!(sizes, [0, 16, 4]);
    }

    #[test]
    fn a_damaged_file_is_an_answer() {
        assert_eq!(kept(b"", None).unwrap_err(), "it is no SQLite file");
        assert_eq!(kept(&[b'x'; 4_096], None).unwrap_err(), "it is no SQLite file");
        for length in (0..PLAIN.len()).step_by(97) {
            // Whether it is enough or not: an answer.
            let _ = kept(PLAIN.get(..length).unwrap(), None);
        }
        // A small generator: each byte of the file is changed, each time otherwise.
        let mut seed = 9_u64;
        let mut broken = 0;
        for at in (0..PLAIN.len()).step_by(5) {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let mut file = PLAIN.to_vec();
            *file.get_mut(at).unwrap() ^= u8::try_from(seed >> 56).unwrap() | 1;
            broken += usize::from(kept(&file, None).is_err());
        }
        assert!(broken > 10, "{broken}");
    }

    #[test]
    fn identities() {
        assert_eq!(id("192.0.2.1"), Id::Net("192.0.2.1".parse().unwrap(), 32));
        assert_eq!(id("2001:db8::/32").to_string(), "2001:db8::/32");
        assert_eq!(id("192.0.2.1/33"), Id::Other("192.0.2.1/33".into()));
        assert_eq!(id("some one"), Id::Other("some one".into()));
    }
}
