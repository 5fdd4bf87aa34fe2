//! sendmail(1)'s command line: what Postfix's own sendmail knows, with its words where something is wrong.
//!
//! Options of Sendmail's that mean nothing to Postfix are taken and passed over, as there.

use super::getopt;
use proto::control::Ret;
use queue::entry::{NOTIFY_DELAY, NOTIFY_FAILURE, NOTIFY_NEVER, NOTIFY_SUCCESS};
use std::ffi::OsString;

const PLAIN: &str = "GIUcimntvx";
/// RFC 3461 §4.4
const ENVELOPE_ID_BYTES_MAX: usize = 100;
const VALUED: &str = "ABCFLNORVXbefhopqr";

/// What is to be done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum Mode {
    /// Hand a message in.
    #[default]
    Enqueue,
    /// `-bp`
    List,
    /// `-q`
    Flush,
    /// `-qRsite`
    FlushSite(String),
    /// `-qIid`
    FlushOne(String),
    /// `-bi`, `-I`
    Aliases,
    /// `-bd`, `-bl`
    Daemon,
    /// `-bs`
    StandAlone,
    /// `-bv`
    Verify,
}

/// What the command line says.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Options {
    pub(super) mode: Mode,
    /// `-C`
    pub(super) config: Option<String>,
    /// `-f`, `-r`
    pub(super) sender: Option<String>,
    /// `-F`
    pub(super) full_name: Option<String>,
    /// `-t`
    pub(super) extracts: bool,
    /// `-i`, `-oi`: a dot alone ends nothing.
    pub(super) ignores_dots: bool,
    /// `-G`: the message comes from elsewhere, its header isn't completed.
    pub(super) is_gateway: bool,
    /// `-v` outside `-bs`: a report of what became of it.
    pub(super) reports: bool,
    /// `-N`
    pub(super) notify: u8,
    /// `-R`
    pub(super) ret: Option<Ret>,
    /// `-V`
    pub(super) envelope_id: Option<String>,
    /// `-XV`: the delimiters, or none where the default ones are meant.
    pub(super) verp: Option<String>,
    /// `-B8BITMIME`
    pub(super) eight_bit: bool,
    pub(super) recipients: Vec<String>,
}

/// What is said on standard error before anything is done.
pub(super) type Said = Vec<String>;

/// What ends the program.
pub(super) struct Fatal(pub(super) String);

fn fatal<T>(text: impl Into<String>) -> Result<T, Fatal> {
    Err(Fatal(text.into()))
}

impl Options {
    /// Reads the words behind the program's name.
    pub(super) fn read(arguments: Vec<OsString>, said: &mut Said) -> Result<Options, Fatal> {
        let arguments = lone_options(arguments, said);
        let words = match getopt::read(arguments, PLAIN, VALUED) {
            Ok(words) => words,
            Err(wrong) => {
                // Postfix reads its options twice, and says so twice.
                said.extend([format!("sendmail: {wrong}"), format!("sendmail: {wrong}")]);
                return fatal("usage: sendmail [options]");
            }
        };
        let mut options = Options { recipients: words.rest, ..Options::default() };
        for (letter, value) in words.options {
            options.take(letter, value, said)?;
        }
        options.check()
    }

    fn take(&mut self, letter: char, value: String, said: &mut Said) -> Result<(), Fatal> {
        match letter {
            'n' => return fatal("-n option not supported"),
            'B' if !["8BITMIME", "7BIT"].contains(&value.as_str()) => {
                return fatal("-B option needs 8BITMIME or 7BIT");
            }
            'B' => self.eight_bit = value == "8BITMIME",
            'C' => self.config = Some(value),
            'F' => self.full_name = Some(value),
            'G' => self.is_gateway = true,
            'I' => self.mode = Mode::Aliases,
            'N' => match notify(&value, said) {
                Some(bits) => self.notify = bits,
                None => said.push("sendmail: warning: bad -N option value -- ignored".to_owned()),
            },
            'R' => match value.to_ascii_lowercase().as_str() {
                "full" => self.ret = Some(Ret::Full),
                "hdrs" => self.ret = Some(Ret::Headers),
                _ => said.push("sendmail: warning: bad -R option value -- ignored".to_owned()),
            },
            'V' => self.take_v(&value, said)?,
            'X' => match value.strip_prefix('V') {
                Some(delimiters) => self.verp = Some(delimiters.to_owned()),
                None => return fatal(format!("unsupported: -X{}", first(&value))),
            },
            'b' => self.mode = mode(&value)?,
            'f' | 'r' => self.sender = Some(value),
            'i' => self.ignores_dots = true,
            // `-oA/file`, `-om`, `-oem` and all others mean nothing here.
            'o' => self.ignores_dots |= value.starts_with('i'),
            'q' => self.mode = queue(&value)?,
            't' => self.extracts = true,
            'v' => self.reports = true,
            _ => {}
        }
        Ok(())
    }

    fn take_v(&mut self, value: &str, said: &mut Said) -> Result<(), Fatal> {
        // Before 2.3 it was VERP's option.
        let is_delimiters = value.len() == 2 && value.bytes().all(|byte| b"-=+".contains(&byte));
        if is_delimiters {
            said.push(format!(
                "sendmail: warning: option -V{value} is deprecated with Postfix 2.3; specify -XV{value} instead"
            ));
            self.verp = Some(value.to_owned());
        } else if value.len() > ENVELOPE_ID_BYTES_MAX {
            said.push("sendmail: warning: too long -V option value -- ignored".to_owned());
        } else if !value.is_empty() && value.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
            self.envelope_id = Some(value.to_owned());
        } else {
            said.push("sendmail: warning: bad syntax in -V option value -- ignored".to_owned());
        }
        Ok(())
    }

    fn check(self) -> Result<Options, Fatal> {
        let others = !self.recipients.is_empty();
        if self.extracts && !matches!(self.mode, Mode::Enqueue | Mode::Verify) {
            return fatal("-t can be used only in delivery mode");
        }
        let unfit = [(self.extracts, 't'), (self.notify != 0, 'N'), (self.ret.is_some(), 'R')];
        if let Some((_, letter)) = unfit.into_iter().find(|(given, _)| self.mode == Mode::Verify && *given) {
            return fatal(format!("-{letter} option cannot be used with -bv"));
        }
        match self.mode {
            Mode::List if others => fatal("display queue mode requires no recipient"),
            Mode::Flush | Mode::FlushSite(_) | Mode::FlushOne(_) if others => {
                fatal("flush queue mode requires no recipient")
            }
            Mode::StandAlone if others => fatal("stand-alone mode requires no recipient"),
            Mode::Aliases if others => fatal("alias initialization mode requires no recipient"),
            Mode::Daemon if others => fatal("daemon mode requires no recipient"),
            _ => Ok(self),
        }
    }
}

/// `-q` by itself has no value, whatever comes next; `-V` at the end of the line is what the word before it says.
/// Before two letters it was VERP's, with the default ones.
fn lone_options(arguments: Vec<OsString>, said: &mut Said) -> Vec<OsString> {
    let mut words: Vec<OsString> = Vec::with_capacity(arguments.len());
    let mut arguments = arguments.into_iter().peekable();
    while let Some(word) = arguments.next() {
        let is_old = word == "-V" && arguments.peek().is_some_and(|next| next.len() == 2);
        if is_old {
            let text = "option -V is deprecated with Postfix 2.3; specify -XV instead";
            said.push(format!("sendmail: warning: {text}"));
        }
        words.push(match word {
            // A space is no site's first letter, so it can stand for none.
            word if word == "-q" => OsString::from("-q "),
            _ if is_old => OsString::from("-XV"),
            word => word,
        });
    }
    words
}

fn first(value: &str) -> String {
    value.chars().take(1).collect()
}

fn mode(value: &str) -> Result<Mode, Fatal> {
    Ok(match value.chars().next() {
        Some('d' | 'l') => Mode::Daemon,
        Some('h' | 'H') => Mode::Enqueue,
        Some('i') => Mode::Aliases,
        Some('m') => Mode::Enqueue,
        Some('p') => Mode::List,
        Some('s') => Mode::StandAlone,
        Some('v') => Mode::Verify,
        _ => return fatal(format!("unsupported: -b{}", first(value))),
    })
}

fn queue(value: &str) -> Result<Mode, Fatal> {
    let rest: String = value.chars().skip(1).collect();
    match value.chars().next() {
        Some(' ') => Ok(Mode::Flush),
        // An interval: the server has its own.
        Some('0'..='9') => Ok(Mode::Daemon),
        Some('R') if rest.is_empty() => fatal("specify: -qRsitename"),
        Some('R') => Ok(Mode::FlushSite(rest)),
        Some('I') if rest.is_empty() => fatal("specify: -qIqueueid"),
        Some('I') => Ok(Mode::FlushOne(rest)),
        Some(other) => fatal(format!("-q{other} is not implemented")),
        None => Ok(Mode::Flush),
    }
}

/// RFC 3461's words.
fn notify(value: &str, said: &mut Said) -> Option<u8> {
    let mut bits = 0;
    for word in value.split([',', ' ']).filter(|word| !word.is_empty()) {
        bits |= match word.to_ascii_lowercase().as_str() {
            "never" => NOTIFY_NEVER,
            "success" => NOTIFY_SUCCESS,
            "failure" => NOTIFY_FAILURE,
            "delay" => NOTIFY_DELAY,
            _ => {
                said.push(format!(
                    "sendmail: warning: unknown DSN NOTIFY command value \"{word}\" in \"{value}\""
                ));
                return None;
            }
        };
    }
    let is_good = bits == NOTIFY_NEVER || (bits != 0 && bits & NOTIFY_NEVER == 0);
    is_good.then_some(bits)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> (Result<Options, String>, Said) {
        let words = std::iter::once("sendmail").chain(line.split_whitespace()).map(OsString::from).collect();
        let mut said = Said::new();
        (Options::read(words, &mut said).map_err(|Fatal(text)| text), said)
    }

    #[test]
    fn command_lines() {
        let options = read("-FCronDaemon -i -B8BITMIME -oem alice").0.unwrap();
        assert_eq!(options.full_name.as_deref(), Some("CronDaemon"));
        assert!(options.ignores_dots && options.recipients == ["alice"] && options.eight_bit);
        assert!(!read("a").0.unwrap().eight_bit && !read("-B8BITMIME -B 7BIT a").0.unwrap().eight_bit);
        assert!(read("-oi a").0.unwrap().ignores_dots && !read("-oem a").0.unwrap().ignores_dots);
        assert!(read("-t -i").0.unwrap().extracts);
        assert_eq!(read("-q").0.unwrap().mode, Mode::Flush);
        assert_eq!(read("-qRsite").0.unwrap().mode, Mode::FlushSite("site".to_owned()));
        assert_eq!(read("-bs -v").0.unwrap().mode, Mode::StandAlone);
        assert_eq!(read("-V a -N SUCCESS,delay -R hdrs a").0.unwrap().notify, 10);
        assert_eq!(read("-XV a").0.unwrap().verp.as_deref(), Some(""));
        assert_eq!(read("-fx -r y a").0.unwrap().sender.as_deref(), Some("y"));
        assert_eq!(read("a -i -t").0.unwrap().recipients, ["a", "-i", "-t"]);
    }

    #[test]
    fn what_is_wrong_is_said_as_postfix_says_it() {
        let check = |line: &str, expect: &str, expect_said: &[&str]| {
            let (read, said) = read(line);
            let fatal = read.err().unwrap_or_default();
            assert_eq!((fatal.as_str(), said.join("\n")), (expect, expect_said.join("\n")), "{line}");
        };
        check("-Z", "usage: sendmail [options]", &["sendmail: invalid option -- 'Z'"; 2]);
        check("-N", "usage: sendmail [options]", &["sendmail: option requires an argument -- 'N'"; 2]);
        check("-B foo", "-B option needs 8BITMIME or 7BIT", &[]);
        check("-bx", "unsupported: -bx", &[]);
        check("-bD", "unsupported: -bD", &[]);
        check("-XX", "unsupported: -XX", &[]);
        check("-qSfoo", "-qS is not implemented", &[]);
        check("-qR", "specify: -qRsitename", &[]);
        check("-n a", "-n option not supported", &[]);
        check("-bp x", "display queue mode requires no recipient", &[]);
        check("-q x", "flush queue mode requires no recipient", &[]);
        check("-bs x", "stand-alone mode requires no recipient", &[]);
        check("-t -bs", "-t can be used only in delivery mode", &[]);
        check("-R foo x", "", &["sendmail: warning: bad -R option value -- ignored"]);
        check("-V éé x", "", &["sendmail: warning: bad syntax in -V option value -- ignored"]);
        let old = "sendmail: warning: option -V is deprecated with Postfix 2.3; specify -XV instead";
        check("-V id x", "", &[old]);
        assert_eq!(read("-V a=b+ x").0.unwrap().envelope_id.as_deref(), Some("a=b+"));
        let ignored = "sendmail: warning: bad -N option value -- ignored";
        check("-N never,success x", "", &[ignored]);
        let unknown = "sendmail: warning: unknown DSN NOTIFY command value \"foo\" in \"foo\"";
        check("-N foo x", "", &[unknown, ignored]);
        let deprecated =
            "sendmail: warning: option -V+= is deprecated with Postfix 2.3; specify -XV+= instead";
        check("-V+= x", "", &[deprecated]);
    }
}
