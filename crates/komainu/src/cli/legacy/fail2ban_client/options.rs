//! fail2ban-client's options, as getopt_long(3) reads them up to the first word of the command.

use std::ffi::OsString;
use std::path::PathBuf;

/// What the command line says.
#[derive(Debug, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of the command line")]
pub(super) struct Options {
    pub(super) folder: Option<PathBuf>,
    pub(super) socket: Option<String>,
    pub(super) pidfile: Option<String>,
    pub(super) loglevel: Option<String>,
    pub(super) logtarget: Option<String>,
    pub(super) syslogsocket: Option<String>,
    /// `--str2sec`.
    pub(super) span: Option<String>,
    /// `-V` (short) or `--version`.
    pub(super) version: Option<bool>,
    pub(super) is_help: bool,
    pub(super) is_dump: bool,
    pub(super) is_pretty: bool,
    pub(super) is_test: bool,
    pub(super) is_interactive: bool,
    pub(super) is_foreground: bool,
    pub(super) removes_socket: bool,
    /// The command.
    pub(super) words: Vec<String>,
}

const VALUED: [(&str, char); 10] = [
    ("conf", 'c'),
    ("socket", 's'),
    ("pidfile", 'p'),
    ("pname", 'n'),
    ("loglevel", 'l'),
    ("logtarget", 'L'),
    ("syslogsocket", 'S'),
    ("timeout", 'T'),
    ("str2sec", '2'),
    ("", '-'),
];
const PLAIN: [(&str, char); 6] =
    [("test", 't'), ("dp", 'D'), ("dump-pretty", 'D'), ("async", 'a'), ("help", 'h'), ("version", '1')];

/// Reads the arguments behind the program's name.
pub(super) fn read(arguments: Vec<OsString>) -> Result<Options, String> {
    let mut rest = arguments.into_iter().skip(1).map(|word| word.to_string_lossy().into_owned()).peekable();
    let mut options = Options::default();
    while let Some(word) = rest.next_if(|word| word.len() > 1 && word.starts_with('-')) {
        if word == "--" {
            break;
        }
        let no_value = |name: &str| format!("option {name} requires argument");
        if let Some(long) = word.strip_prefix("--") {
            let (name, attached) =
                long.split_once('=').map_or((long, None), |(n, v)| (n, Some(v.to_owned())));
            if let Some((_, letter)) = PLAIN.iter().find(|(known, _)| *known == name) {
                options.plain(*letter);
            } else if let Some((_, letter)) = VALUED.iter().find(|(known, _)| *known == name) {
                let value = attached.or_else(|| rest.next()).ok_or_else(|| no_value(&word))?;
                options.valued(*letter, value);
            } else {
                return Err(format!("option {word} not recognized"));
            }
            continue;
        }
        let mut letters = word.chars();
        letters.next();
        while let Some(letter) = letters.next() {
            match letter {
                'c' | 's' | 'p' => {
                    let attached = letters.as_str();
                    let value = if attached.is_empty() { rest.next() } else { Some(attached.to_owned()) };
                    options.valued(letter, value.ok_or_else(|| no_value(&format!("-{letter}")))?);
                    break;
                }
                'h' | 'd' | 't' | 'i' | 'v' | 'q' | 'x' | 'f' | 'b' | 'V' => options.plain(letter),
                _ => return Err(format!("option -{letter} not recognized")),
            }
        }
    }
    options.words = rest.collect();
    Ok(options)
}

impl Options {
    fn plain(&mut self, letter: char) {
        match letter {
            'h' => self.is_help = true,
            'V' => self.version = Some(true),
            '1' => self.version = Some(false),
            'd' => self.is_dump = true,
            'D' => (self.is_dump, self.is_pretty) = (true, true),
            't' => self.is_test = true,
            'i' => self.is_interactive = true,
            'x' => self.removes_socket = true,
            'f' => self.is_foreground = true,
            'b' => self.is_foreground = false,
            // What is said doesn't change with these: -v, -q, --async.
            _ => {}
        }
    }

    fn valued(&mut self, letter: char, value: String) {
        match letter {
            'c' => self.folder = Some(value.into()),
            's' => self.socket = Some(value),
            'p' => self.pidfile = Some(value),
            'l' => self.loglevel = Some(value),
            'L' => self.logtarget = Some(value),
            'S' => self.syslogsocket = Some(value),
            '2' => self.span = Some(value),
            // A process's name, and how long to wait for it: --pname, --timeout.
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(line: &str) -> Result<Options, String> {
        read(std::iter::once("x").chain(line.split_whitespace()).map(OsString::from).collect())
    }

    #[test]
    fn options_and_words() {
        let words = |words: &str| words.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        let expect = Options {
            folder: Some("/a".into()),
            socket: Some("/s".into()),
            removes_socket: true,
            words: words("set sshd unbanip --report-absent 1.1.1.1"),
            ..Options::default()
        };
        for line in ["-c /a -xs/s", "--conf=/a -x --socket /s", "-v -q -b --async --pname n -c/a -s /s -x"] {
            assert_eq!(
                of(&format!("{line} set sshd unbanip --report-absent 1.1.1.1")),
                Ok(Options {
                    words: expect.words.clone(),
                    folder: expect.folder.clone(),
                    socket: expect.socket.clone(),
                    ..Options { removes_socket: true, ..Options::default() }
                }),
                "{line}"
            );
        }
        assert_eq!(of("-V").unwrap().version, Some(true));
        assert_eq!(of("--version").unwrap().version, Some(false));
        assert_eq!(of("--str2sec 1d").unwrap().span, Some("1d".into()));
        assert!(of("--dp").is_ok_and(|options| options.is_dump && options.is_pretty));
        for line in ["-Z", "--nosuch", "-c", "--timeout"] {
            assert!(of(line).is_err(), "{line}");
        }
    }
}
