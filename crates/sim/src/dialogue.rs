//! One dialogue file: configuration, tables, names, the conversation and what it leaves behind.
//!
//! The format is described in tests/dialogues/README.md. This module reads it, with line numbers, and
//! replaces expectations in it; it runs nothing.

use crate::protected::Offer;
use std::net::IpAddr;
use std::ops::Range;
use std::time::Duration;

/// A dialogue as read.
#[derive(Clone, Debug)]
pub struct Dialogue {
    /// Every line of the file.
    pub lines: Vec<String>,
    /// The only back end that this is for, by `# only: NAME`.
    pub only: Option<String>,
    /// Why it needs a server that is a process, by `# process: REASON`.
    pub process: Option<String>,
    /// An example's folder, by `[config FOLDER]`.
    pub config: Option<String>,
    /// Sections that set the scene.
    pub scene: Vec<Scene>,
    /// Sections that are played, in order.
    pub acts: Vec<Act>,
}

/// What is laid out before the server starts.
#[derive(Clone, Debug)]
pub enum Scene {
    /// Lines for main.cf.
    Main(Vec<String>),
    /// Lines for master.cf.
    Master(Vec<String>),
    /// A file in the configuration folder.
    Table {
        /// Its name.
        name: String,
        /// Its permission bits, if not the usual ones.
        mode: Option<u32>,
        /// Its lines.
        lines: Vec<String>,
    },
    /// A file of tests/certificates, in the configuration folder.
    Certificate(String),
    /// Names.
    Dns(Vec<String>),
    /// A scripted server of tables.
    Tables {
        /// `tcp:127.0.0.1:9999`, `socketmap:inet:127.0.0.1:9999`, `socketmap:unix:private/name`.
        name: String,
        /// `KEY : ANSWER`.
        lines: Vec<String>,
    },
    /// A scripted authentication server.
    Auth {
        /// `127.0.0.1:10023` or a socket's path under the queue directory.
        endpoint: String,
        /// `mech NAME flag …` and `TEXT : ANSWER`.
        lines: Vec<String>,
    },
    /// A scripted server that mail is sent to.
    NextHop {
        /// `127.0.0.2:2525` or a socket's path under the queue directory.
        endpoint: String,
        /// `WORDS : ANSWER`.
        lines: Vec<String>,
    },
    /// A small content filter.
    Filter {
        /// `127.0.0.1:10024`.
        endpoint: String,
        /// Where it hands mail to, `127.0.0.1:10025`.
        to: String,
    },
    /// A scripted milter.
    Milter {
        /// `127.0.0.1:8891` or a socket's path under the queue directory.
        endpoint: String,
        /// `EVENT : ANSWER && ANSWER`.
        lines: Vec<String>,
    },
    /// A scripted policy server.
    Policy {
        /// `127.0.0.1:10023` or a socket's path under the queue directory.
        endpoint: String,
        /// `name=value … : action`.
        lines: Vec<String>,
    },
}

/// What happens, in order.
#[derive(Clone, Debug)]
pub enum Act {
    /// A client comes.
    Smtp(Session),
    /// Clients that were held go on, and then end.
    Held {
        /// The name they were held under.
        name: String,
        /// What each says, one after another.
        steps: Vec<Step>,
    },
    /// A program of this machine hands in a message.
    Sendmail {
        /// What stands behind `sendmail`.
        arguments: Vec<String>,
        /// The message.
        lines: Vec<String>,
    },
    /// A table is saved anew.
    Save {
        /// Its name.
        name: String,
        /// Its new lines.
        lines: Vec<String>,
    },
    /// main.cf gets these lines as well, and the server is told to reload.
    Reload(Vec<String>),
    /// Log lines, of these programs.
    Log {
        /// `smtpd`, …; or `all`.
        programs: Vec<String>,
        /// Which lines of the file hold the expectation.
        range: Range<usize>,
    },
    /// A message in a mailbox.
    Mail {
        /// The envelope recipient that it was delivered to.
        recipient: String,
        /// Which lines of the file hold the expectation; empty for `[no mail …]`.
        range: Option<Range<usize>>,
    },
    /// What a policy server was asked.
    Requests {
        /// Which one.
        endpoint: String,
        /// The attributes to show.
        attributes: Vec<String>,
        /// Which lines of the file hold the expectation.
        range: Range<usize>,
    },
    /// What was said to a next hop or a milter.
    Heard {
        /// Which one.
        endpoint: String,
        /// Which lines of the file hold the expectation.
        range: Range<usize>,
    },
    /// Which keys a server of tables was asked.
    Lookups {
        /// Which one.
        name: String,
        /// Which lines of the file hold the expectation.
        range: Range<usize>,
    },
    /// What the name server was asked.
    Asked(Vec<String>),
}

/// One client's conversation.
#[derive(Clone, Debug)]
pub struct Session {
    /// Whence it comes.
    pub client: IpAddr,
    /// To which of the server's addresses.
    pub server: IpAddr,
    /// To which port.
    pub port: u16,
    /// How many such clients come, one after another.
    pub times: usize,
    /// Under which name their connections stay open, if they do.
    pub hold: Option<String>,
    /// What is said.
    pub steps: Vec<Step>,
}

/// A step of a conversation; ranges are line numbers of the file.
#[derive(Clone, Debug)]
pub enum Step {
    /// These bytes go out in one write.
    Send(Vec<u8>),
    /// These replies come.
    Expect(Range<usize>),
    /// The writing side is closed.
    HalfClose,
    /// The connection is closed.
    Close,
    /// The connection stays open until the dialogue ends, while others come.
    Leave,
    /// The server has closed the connection.
    Closed,
    /// The client makes a TLS handshake.
    Protect {
        /// How.
        offer: Offer,
        /// Whether the handshake is to succeed.
        succeeds: bool,
    },
    /// A pause.
    Wait(Duration),
    /// From now on byte by byte (or no longer).
    Slow(bool),
    /// The last replies took this long since the last write.
    Took(Duration, Duration),
}

/// What is wrong with a dialogue file.
#[derive(Debug, thiserror::Error)]
#[error("line {}: {why}", line + 1)]
pub struct BadDialogue {
    line: usize,
    why: String,
}

fn bad<T>(line: usize, why: impl Into<String>) -> Result<T, BadDialogue> {
    Err(BadDialogue { line, why: why.into() })
}

/// A file's mode, where the words say one.
fn mode(words: &[&str]) -> Option<u32> {
    let octal = words.iter().find_map(|word| word.strip_prefix("mode="))?;
    u32::from_str_radix(octal, 8).ok()
}

impl Dialogue {
    /// Reads a file's text.
    pub fn parse(text: &str) -> Result<Dialogue, BadDialogue> {
        let lines: Vec<String> = text.lines().map(str::to_owned).collect();
        let mut dialogue =
            Dialogue { lines, only: None, process: None, config: None, scene: Vec::new(), acts: Vec::new() };
        let heads: Vec<usize> =
            (0..dialogue.lines.len()).filter(|&at| dialogue.line(at).starts_with('[')).collect();
        let first = heads.first().copied().unwrap_or(dialogue.lines.len());
        for at in 0..first {
            let line = dialogue.line(at);
            if let Some(name) = line.strip_prefix("# only:") {
                dialogue.only = name.split_whitespace().next().map(str::to_owned);
            } else if let Some(why) = line.strip_prefix("# process:") {
                dialogue.process = Some(why.trim().to_owned());
            } else if !line.is_empty() && !line.starts_with('#') {
                return bad(at, "text before the first section");
            }
        }
        for (index, &head) in heads.iter().enumerate() {
            let mut end = heads.get(index + 1).copied().unwrap_or(dialogue.lines.len());
            while end > head + 1 && dialogue.line(end - 1).is_empty() {
                end -= 1;
            }
            dialogue.section(head, head + 1..end)?;
        }
        Ok(dialogue)
    }

    /// A line of the file.
    #[must_use]
    pub fn line(&self, at: usize) -> &str {
        self.lines.get(at).map_or("", String::as_str)
    }

    /// Some lines of the file.
    #[must_use]
    pub fn range(&self, range: &Range<usize>) -> &[String] {
        self.lines.get(range.clone()).unwrap_or(&[])
    }

    fn section(&mut self, head: usize, body: Range<usize>) -> Result<(), BadDialogue> {
        let Some(title) = self.line(head).strip_prefix('[').and_then(|t| t.strip_suffix(']')) else {
            return bad(head, "a section's head reads [name]");
        };
        let words: Vec<String> = title.split_whitespace().map(str::to_owned).collect();
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let lines = self.range(&body).to_vec();
        match words.as_slice() {
            ["config", folder] => self.config = Some((*folder).to_owned()),
            ["main.cf"] => self.scene.push(Scene::Main(lines)),
            ["master.cf"] => self.scene.push(Scene::Master(lines)),
            ["table", name, rest @ ..] => {
                self.scene.push(Scene::Table { name: (*name).to_owned(), mode: mode(rest), lines });
            }
            ["certificate", name] => self.scene.push(Scene::Certificate((*name).to_owned())),
            ["dns"] => self.scene.push(Scene::Dns(lines)),
            ["tables", name] => self.scene.push(Scene::Tables { name: (*name).to_owned(), lines }),
            ["lookups", name] => {
                self.acts.push(Act::Lookups { name: (*name).to_owned(), range: body });
            }
            ["auth", endpoint] => self.scene.push(Scene::Auth { endpoint: (*endpoint).to_owned(), lines }),
            ["next", "hop", endpoint] => {
                self.scene.push(Scene::NextHop { endpoint: (*endpoint).to_owned(), lines });
            }
            ["filter", endpoint, "to", to] => {
                self.scene.push(Scene::Filter { endpoint: (*endpoint).to_owned(), to: (*to).to_owned() });
            }
            ["milter", endpoint] => {
                self.scene.push(Scene::Milter { endpoint: (*endpoint).to_owned(), lines });
            }
            ["heard", endpoint] => {
                self.acts.push(Act::Heard { endpoint: (*endpoint).to_owned(), range: body });
            }
            ["policy", endpoint] => {
                self.scene.push(Scene::Policy { endpoint: (*endpoint).to_owned(), lines })
            }
            ["smtp", client, rest @ ..] => {
                let session = self.session(head, client, rest, body)?;
                self.acts.push(Act::Smtp(session));
            }
            ["held", name] => {
                let (name, steps) = ((*name).to_owned(), self.steps(body)?);
                self.acts.push(Act::Held { name, steps });
            }
            ["sendmail", arguments @ ..] => {
                let arguments = arguments.iter().map(|&word| word.to_owned()).collect();
                self.acts.push(Act::Sendmail { arguments, lines });
            }
            ["save", name] => self.acts.push(Act::Save { name: (*name).to_owned(), lines }),
            ["reload"] => self.acts.push(Act::Reload(lines)),
            ["log", programs @ ..] => {
                let programs = if programs.is_empty() { &["smtpd"] } else { programs };
                let programs = programs.iter().map(|&p| p.to_owned()).collect();
                self.acts.push(Act::Log { programs, range: body });
            }
            ["mail", recipient] => {
                self.acts.push(Act::Mail { recipient: (*recipient).to_owned(), range: Some(body) });
            }
            ["no", "mail", recipient] => {
                self.acts.push(Act::Mail { recipient: (*recipient).to_owned(), range: None });
            }
            ["requests", endpoint, attributes] => self.acts.push(Act::Requests {
                endpoint: (*endpoint).to_owned(),
                attributes: attributes.split(',').map(str::to_owned).collect(),
                range: body,
            }),
            ["asked"] => self.acts.push(Act::Asked(lines)),
            _ => return bad(head, format!("no such section: [{title}]")),
        }
        Ok(())
    }

    fn session(
        &self,
        head: usize,
        client: &str,
        rest: &[&str],
        body: Range<usize>,
    ) -> Result<Session, BadDialogue> {
        let Ok(client) = client.parse::<IpAddr>() else { return bad(head, "not a client address") };
        let home = if client.is_ipv4() { "198.51.100.25" } else { "2001:db8::25" };
        let (mut server, mut port, mut times, mut hold) = (home, "25", "1", None);
        for pair in rest.chunks(2) {
            match pair {
                ["to", address] => server = address,
                ["port", number] => port = number,
                ["times", number] => times = number,
                ["hold", name] => hold = Some((*name).to_owned()),
                _ => {
                    let words = "`to ADDRESS`, `port NUMBER`, `times NUMBER`, `hold NAME`";
                    return bad(head, format!("after the address: {words}"));
                }
            }
        }
        let (Ok(server), Ok(port), Ok(times)) = (server.parse(), port.parse(), times.parse()) else {
            return bad(head, "not an address or number");
        };
        Ok(Session { client, server, port, times, hold, steps: self.steps(body)? })
    }

    fn steps(&self, body: Range<usize>) -> Result<Vec<Step>, BadDialogue> {
        let mut steps: Vec<Step> = Vec::new();
        for at in body {
            let line = self.line(at);
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            if line.starts_with('<') {
                match steps.last_mut() {
                    Some(Step::Expect(range)) if range.end == at => range.end = at + 1,
                    _ => steps.push(Step::Expect(at..at + 1)),
                }
            } else if let Some(text) = line.strip_prefix('>') {
                let text = text.strip_prefix(' ').unwrap_or(text);
                let Some(bytes) = unescape(text) else { return bad(at, "bad escape") };
                match steps.last_mut() {
                    Some(Step::Send(out)) => out.extend_from_slice(&bytes),
                    _ => steps.push(Step::Send(bytes)),
                }
            } else if let Some(order) = line.strip_prefix("! ") {
                let Some(step) = directive(order) else { return bad(at, format!("no such order: {order}")) };
                steps.push(step);
            } else {
                return bad(at, "a line of a conversation begins with <, > or !");
            }
        }
        Ok(steps)
    }

    /// The text with some ranges of lines replaced.
    #[must_use]
    pub fn replaced(&self, mut changes: Vec<(Range<usize>, Vec<String>)>) -> String {
        let mut lines = self.lines.clone();
        changes.sort_by_key(|(range, _)| std::cmp::Reverse((range.start, range.end)));
        for (range, new) in changes {
            lines.splice(range, new);
        }
        let mut text = lines.join("\n");
        text.push('\n');
        text
    }
}

fn seconds(word: &str) -> Option<Duration> {
    if let Some(ms) = word.strip_suffix("ms") {
        return Some(Duration::from_millis(ms.parse().ok()?));
    }
    Duration::try_from_secs_f64(word.strip_suffix('s')?.parse().ok()?).ok()
}

fn directive(order: &str) -> Option<Step> {
    let words: Vec<&str> = order.split_whitespace().collect();
    Some(match words.as_slice() {
        ["half-close"] => Step::HalfClose,
        ["close"] => Step::Close,
        ["leave"] => Step::Leave,
        ["closed"] => Step::Closed,
        ["tls", rest @ ..] => protect(rest)?,
        ["wait", time] => Step::Wait(seconds(time)?),
        ["slow"] => Step::Slow(true),
        ["fast"] => Step::Slow(false),
        ["took", times] => {
            let (low, high) = times.split_once("..")?;
            Step::Took(seconds(low)?, seconds(high)?)
        }
        _ => return None,
    })
}

/// `1.2`, `to NAME`, `as client.pem`, `fails`, in this order, each may be missing.
fn protect(words: &[&str]) -> Option<Step> {
    let (version, words) = match words {
        [version @ ("1.2" | "1.3"), rest @ ..] => (Some((*version).to_owned()), rest),
        _ => (None, words),
    };
    let (server, words) = match words {
        ["to", name, rest @ ..] => (Some((*name).to_owned()), rest),
        _ => (None, words),
    };
    let (certificate, words) = match words {
        ["as", name, rest @ ..] => (Some((*name).to_owned()), rest),
        _ => (None, words),
    };
    let succeeds = match words {
        [] => true,
        ["fails"] => false,
        _ => return None,
    };
    Some(Step::Protect { offer: Offer { version, server, certificate }, succeeds })
}

/// The bytes of a `>` line: escapes are `\\ \n \r \t \xHH \{text*N} \{base64 TEXT}` (its `|` are NUL), and a `\` at the end leaves the
/// line end away.
pub(crate) fn unescape(text: &str) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    let (text, line_end) = match text.strip_suffix('\\') {
        Some(head) if !head.ends_with('\\') => (head, ""),
        _ => (text, "\r\n"),
    };
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('\\') {
        out.extend_from_slice(before.as_bytes());
        let letter = after.chars().next()?;
        rest = after.get(letter.len_utf8()..)?;
        match letter {
            '\\' => out.push(b'\\'),
            'n' => out.push(b'\n'),
            'r' => out.push(b'\r'),
            't' => out.push(b'\t'),
            'x' => {
                out.push(u8::from_str_radix(rest.get(..2)?, 16).ok()?);
                rest = rest.get(2..)?;
            }
            '{' => {
                let (group, tail) = rest.split_once('}')?;
                if let Some(text) = group.strip_prefix("base64 ") {
                    let text = text.replace('|', "\0");
                    out.extend_from_slice(mail::base64::encode(text.as_bytes()).as_bytes());
                    rest = tail;
                    continue;
                }
                let (what, times) = group.rsplit_once('*')?;
                let what = what.replace("\\n", "\n").replace("\\r", "\r");
                out.extend_from_slice(what.repeat(times.parse().ok()?).as_bytes());
                rest = tail;
            }
            _ => return None,
        }
    }
    out.extend_from_slice(rest.as_bytes());
    out.extend_from_slice(line_end.as_bytes());
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes() {
        let check = |text: &str, expect: &[u8]| assert_eq!(unescape(text).as_deref(), Some(expect), "{text}");
        check("QUIT", b"QUIT\r\n");
        check("a\\x00b\\", b"a\0b");
        check("\\{base64 |joe|x}", b"AGpvZQB4\r\n");
        check("x\\n\\", b"x\n");
        check("\\{ab*3}", b"ababab\r\n");
        check("\\{a\\r\\n*2}\\", b"a\r\na\r\n");
        check("a\\\\", b"a\\\r\n");
        assert_eq!(unescape("\\q"), None);
    }

    #[test]
    fn sections_and_steps() {
        let text = "# point\n[main.cf]\na = b\n\n[smtp 192.0.2.2 port 587]\n<\n> A\n> B\n<\n< 250 x\n! took 1s..2s\n";
        let dialogue = Dialogue::parse(text).unwrap();
        let Some(Act::Smtp(session)) = dialogue.acts.first() else { panic!("no session") };
        assert_eq!(session.port, 587);
        assert!(matches!(&session.steps[1], Step::Send(bytes) if bytes == b"A\r\nB\r\n"));
        assert!(matches!(&session.steps[2], Step::Expect(range) if *range == (8..10)));
        let text = "[smtp 192.0.2.2 times 3 hold them]\n<\n\n[held them]\n> QUIT\n<\n";
        let dialogue = Dialogue::parse(text).unwrap();
        let Some(Act::Smtp(session)) = dialogue.acts.first() else { panic!("no session") };
        assert_eq!((session.times, session.hold.as_deref()), (3, Some("them")));
        assert!(matches!(&dialogue.acts[1], Act::Held { name, steps } if name == "them" && steps.len() == 2));
        assert!(Dialogue::parse("[smtp 192.0.2.2 times x]\n").is_err());
        assert!(Dialogue::parse("[what]\n").is_err());
        assert!(Dialogue::parse("[smtp x]\n").is_err());
        assert!(Dialogue::parse("[smtp 192.0.2.1]\nhello\n").is_err());
        assert_eq!(dialogue.replaced(vec![(5..6, vec!["< 220 hi".into()])]).lines().nth(5), Some("< 220 hi"));
    }
}
