//! postmap(1)'s and postalias(1)'s options, read as getopt(3) does: words behind the first table are tables.

use super::{Fatal, Program};
use std::ffi::OsString;
use std::path::PathBuf;

const POSTMAP: &str =
    "usage: postmap [-bfFhimnNoprsuUvw] [-c config_dir] [-d key] [-q key] [map_type:]file...";
const POSTALIAS: &str =
    "usage: postalias [-Nfinoprsuvw] [-c config_dir] [-d key] [-q key] [map_type:]file...";

/// How a message on standard input is cut into keys.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Parts {
    /// `-h`
    pub(super) headers: bool,
    /// `-b`
    pub(super) body: bool,
    /// `-m`
    pub(super) mime: bool,
}

impl Parts {
    pub(super) fn any(self) -> bool {
        self != Parts::default()
    }
}

/// What the command line says.
#[derive(Debug, Default)]
pub(super) struct Options {
    pub(super) program: Program,
    /// For what postalias adds.
    pub(super) myhostname: String,
    pub(super) parts: Parts,
    pub(super) config: Option<PathBuf>,
    pub(super) delete: Option<String>,
    pub(super) query: Option<String>,
    pub(super) list: bool,
    flags: Vec<char>,
    pub(super) tables: Vec<String>,
}

impl Options {
    pub(super) fn parse(program: Program, arguments: Vec<OsString>) -> Result<Options, Fatal> {
        let mut options = Options { program, ..Options::default() };
        let mut words = arguments.into_iter().skip(1);
        for word in words.by_ref() {
            options.tables.push(word.to_string_lossy().into_owned());
        }
        let mut words = std::mem::take(&mut options.tables).into_iter().peekable();
        while let Some(word) = words.next_if(|word| word.len() > 1 && word.starts_with('-')) {
            if word == "--" {
                break;
            }
            options.cluster(&word, &mut words)?;
        }
        options.tables = words.collect();
        if options.parts.any() && options.query.as_deref() != Some("-") {
            return Err(Fatal("specify -b -h or -m only with \"-q -\"".to_owned()));
        }
        if options.tables.is_empty() && !options.list {
            return Err(options.wrong_usage());
        }
        Ok(options)
    }

    /// One word of options: `-hbm`, `-qkey`, `-c` with the next word.
    fn cluster(&mut self, word: &str, rest: &mut impl Iterator<Item = String>) -> Result<(), Fatal> {
        let mut letters = word.chars();
        letters.next();
        while let Some(letter) = letters.next() {
            match letter {
                'c' | 'd' | 'q' => {
                    let attached = letters.as_str();
                    let value = if attached.is_empty() { rest.next() } else { Some(attached.to_owned()) };
                    let Some(value) = value else {
                        eprintln!("{}: option requires an argument -- '{letter}'", self.program);
                        return Err(self.wrong_usage());
                    };
                    return self.value(letter, value);
                }
                other @ ('b' | 'h' | 'm' | 'F' | 'U') if self.program == Program::Postalias => {
                    eprintln!("{}: invalid option -- '{other}'", self.program);
                    return Err(self.wrong_usage());
                }
                'b' => self.parts.body = true,
                'h' => self.parts.headers = true,
                'm' => self.parts.mime = true,
                's' if self.query.is_some() || self.delete.is_some() => {
                    return Err(Fatal("specify only one of -s or -q or -d".to_owned()));
                }
                's' => self.list = true,
                'f' | 'F' | 'i' | 'n' | 'N' | 'o' | 'p' | 'r' | 'u' | 'U' | 'v' | 'w' => {
                    self.flags.push(letter)
                }
                other => {
                    eprintln!("{}: invalid option -- '{other}'", self.program);
                    return Err(self.wrong_usage());
                }
            }
        }
        Ok(())
    }

    fn wrong_usage(&self) -> Fatal {
        let usage = if self.program == Program::Postalias { POSTALIAS } else { POSTMAP };
        Fatal(usage.to_owned())
    }

    fn value(&mut self, letter: char, value: String) -> Result<(), Fatal> {
        if letter == 'c' {
            self.config = Some(PathBuf::from(value));
            return Ok(());
        }
        if self.list || self.query.is_some() || self.delete.is_some() {
            return Err(Fatal("specify only one of -s -q or -d".to_owned()));
        }
        let seat = if letter == 'q' { &mut self.query } else { &mut self.delete };
        *seat = Some(value);
        Ok(())
    }

    /// Whether the flag was given.
    pub(super) fn has(&self, flag: char) -> bool {
        self.flags.contains(&flag)
    }

    /// Whether keys must be UTF-8 to be asked.
    pub(super) fn checks_utf8(&self) -> bool {
        !self.has('u') && (!self.parts.any() || self.has('U'))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Options, Fatal> {
        Options::parse(
            Program::Postmap,
            std::iter::once("postmap").chain(line.split_whitespace()).map(OsString::from).collect(),
        )
    }

    #[test]
    fn words_and_clusters() {
        let options = parse("-vc /etc/x -hbmq - hash:a -q b").expect("reads");
        assert_eq!(options.config, Some(PathBuf::from("/etc/x")));
        assert_eq!(options.query.as_deref(), Some("-"));
        assert_eq!(options.parts, Parts { headers: true, body: true, mime: true });
        assert_eq!(options.tables, ["hash:a", "-q", "b"]);
        assert!(options.has('v') && !options.has('F') && !options.checks_utf8());
        assert_eq!(parse("-- -q").expect("reads").tables, ["-q"]);
        assert_eq!(parse("-qkey a").expect("reads").query.as_deref(), Some("key"));
    }

    #[test]
    fn wrong_usage() {
        let check = |line: &str, expect: &str| match parse(line) {
            Err(Fatal(text)) => assert!(text.starts_with(expect), "{line}: {text}"),
            Ok(options) => panic!("{line} gives {options:?}"),
        };
        check("", "usage: ");
        check("-z", "usage: ");
        check("-q", "usage: ");
        check("-q key", "usage: ");
        check("-s -q a b", "specify only one of -s -q or -d");
        check("-q a -s b", "specify only one of -s or -q or -d");
        check("-q a -d b c", "specify only one of -s -q or -d");
        check("-h x", "specify -b -h or -m only with");
        check("-m -q x y", "specify -b -h or -m only with");
    }
}
