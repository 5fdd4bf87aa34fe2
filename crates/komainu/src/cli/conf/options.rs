//! postconf(1)'s options, read as getopt(3) does: words behind the first that is no option are names.
//!
//! Options of our own are long, so that they can't be taken for postconf's.

use super::{Called, Fatal};
use config::Compat;
use config::conf::{Class, Folding};
use std::ffi::OsString;
use std::path::PathBuf;

/// What the words are about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    /// main.cf's parameters.
    Main,
    /// `-M`: master.cf's services.
    Entries,
    /// `-F`: their fields.
    Fields,
    /// `-P`: their `-o` settings.
    Settings,
    /// `-a`, `-A`, `-b`, `-l`, `-m`, `-t`, `-T`: what there is.
    Lists(char),
}

/// How main.cf or master.cf is changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Edit {
    Set,
    Remove,
    CommentOut,
}

/// What is printed of a setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    NameAndValue,
    Value,
    Name,
    Json,
}

#[derive(Debug)]
pub(super) struct Options {
    pub(super) action: Action,
    pub(super) edit: Option<Edit>,
    pub(super) form: Form,
    pub(super) folding: Folding,
    pub(super) classes: Vec<Class>,
    pub(super) overrides: Vec<(String, String)>,
    pub(super) config: Option<PathBuf>,
    pub(super) compat: Compat,
    pub(super) mode: String,
    pub(super) about: bool,
    pub(super) help: bool,
    pub(super) words: Vec<String>,
    letters: Letters,
}

/// The letters given, in any order.
#[derive(Debug, Default)]
struct Letters(Vec<char>);

/// The order in which messages name them; an action each, an edit each, then the ways to show.
const ORDER: &str = "aAbdefFhHjlmMnopPqtTxX#";
const ACTIONS: &str = "aAbFlmMpPtT";
const EDITS: &str = "eX#";
const SHOWING: &str = "dfhHjnox";

impl Letters {
    fn has(&self, letter: char) -> bool {
        self.0.contains(&letter)
    }

    /// The given ones among `set`, in `ORDER`.
    fn among(&self, set: &str) -> Vec<char> {
        ORDER.chars().filter(|letter| set.contains(*letter) && self.has(*letter)).collect()
    }

    fn check(&self) -> Result<(), Fatal> {
        let one_of = |a: char, b: char| Fatal(format!("specify one of -{a} -{b}"));
        if let [a, b, ..] = self.among(ACTIONS)[..] {
            return Err(if (a, b) == ('b', 't') {
                Fatal("specify one of -b and -t".to_owned())
            } else {
                one_of(a, b)
            });
        }
        let action = self.among(ACTIONS).first().copied().unwrap_or('p');
        let forbidden = match action {
            'M' => "dnhH",
            'P' => "dn#",
            'F' => "dnX#",
            'p' => "",
            _ => "defhHjnoxX#",
        };
        if let Some(letter) = self.among(forbidden).first() {
            return Err(Fatal(format!("with option -{action}, do not specify -{letter}")));
        }
        for edit in EDITS.chars().filter(|letter| self.has(*letter)) {
            let others = self.among(&format!("{EDITS}{SHOWING}"));
            if let Some(other) = others.into_iter().find(|other| *other != edit) {
                let place = |letter: char| ORDER.find(letter);
                return Err(if place(edit) < place(other) {
                    one_of(edit, other)
                } else {
                    one_of(other, edit)
                });
            }
        }
        for (a, b) in [('d', 'n'), ('d', 'o'), ('h', 'H'), ('f', 'j'), ('h', 'j'), ('H', 'j')] {
            if self.has(a) && self.has(b) {
                return Err(one_of(a, b));
            }
        }
        Ok(())
    }
}

impl Options {
    pub(super) fn parse(called: &Called<'_>, words: Vec<OsString>) -> Result<Options, Fatal> {
        let mut options = Options {
            action: Action::Main,
            edit: None,
            form: Form::NameAndValue,
            folding: Folding::Never,
            classes: Class::ALL.to_vec(),
            overrides: Vec::new(),
            config: None,
            compat: Compat::default(),
            mode: String::new(),
            about: false,
            help: false,
            words: Vec::new(),
            letters: Letters::default(),
        };
        let words: Vec<String> = words.into_iter().map(text_of).collect::<Result<_, _>>()?;
        let mut words = words.into_iter().peekable();
        while let Some(word) = words.next_if(|word| word.len() > 1 && word.starts_with('-')) {
            if word == "--" {
                break;
            }
            match word.strip_prefix("--") {
                Some(long) => options.long(called, long, &mut words)?,
                None => options.cluster(called, &word, &mut words)?,
            }
        }
        options.words = words.collect();
        options.settle()?;
        Ok(options)
    }

    /// One word of letters: `-nf`, `-cDIR`, `-c` with the next word.
    fn cluster(
        &mut self,
        called: &Called<'_>,
        word: &str,
        rest: &mut impl Iterator<Item = String>,
    ) -> Result<(), Fatal> {
        let mut letters = word.chars();
        letters.next();
        while let Some(letter) = letters.next() {
            match letter {
                'c' | 'C' | 'o' | 'T' => {
                    let attached = letters.as_str();
                    let value = if attached.is_empty() { rest.next() } else { Some(attached.to_owned()) };
                    let Some(value) = value else {
                        eprintln!("{}: option requires an argument -- '{letter}'", called.program);
                        return Err(self.usage(called));
                    };
                    return self.value(letter, value);
                }
                'v' => {}
                'j' | 'q' if self.compat == Compat::V3_7 => return Err(self.invalid(called, letter)),
                letter if ORDER.contains(letter) => self.letters.0.push(letter),
                other => return Err(self.invalid(called, other)),
            }
        }
        Ok(())
    }

    fn invalid(&self, called: &Called<'_>, letter: char) -> Fatal {
        eprintln!("{}: invalid option -- '{letter}'", called.program);
        self.usage(called)
    }

    fn value(&mut self, letter: char, value: String) -> Result<(), Fatal> {
        match letter {
            'c' => self.config = Some(PathBuf::from(value)),
            'C' => self.classes = classes(&value)?,
            'T' => {
                self.letters.0.push('T');
                self.mode = value;
            }
            _ => {
                self.letters.0.push('o');
                let (name, value) = config::conf::split_setting(&value)
                    .map_err(|config::conf::Refused(why)| invalid_override(&value, &why))?;
                self.overrides.push((name.to_owned(), value.to_owned()));
            }
        }
        Ok(())
    }

    /// `--compat 3.7`, `--format=json`.
    fn long(
        &mut self,
        called: &Called<'_>,
        word: &str,
        rest: &mut impl Iterator<Item = String>,
    ) -> Result<(), Fatal> {
        if word == "help" {
            self.help = true;
            return Ok(());
        }
        if word == "about" {
            self.about = true;
            return Ok(());
        }
        let (name, attached) = match word.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (word, None),
        };
        if !matches!(name, "compat" | "config" | "format") {
            eprintln!("{}: unrecognized option '--{name}'", called.program);
            return Err(self.usage(called));
        }
        let Some(value) = attached.or_else(|| rest.next()) else {
            eprintln!("{}: option '--{name}' requires an argument", called.program);
            return Err(self.usage(called));
        };
        match (name, value.as_str()) {
            ("compat", "3.7") => self.compat = Compat::V3_7,
            ("compat", "3.11") => self.compat = Compat::V3_11,
            ("format", "json") => self.letters.0.push('j'),
            ("format", "text") => {}
            ("config", _) => self.config = Some(PathBuf::from(value)),
            ("compat", _) => return Err(Fatal(format!("--compat: write 3.7 or 3.11, not {value}"))),
            _ => return Err(Fatal(format!("--format: write text or json, not {value}"))),
        }
        Ok(())
    }

    /// What the letters together mean.
    fn settle(&mut self) -> Result<(), Fatal> {
        let edits = self.letters.among("FMpP").len() == self.letters.among(ACTIONS).len();
        if edits && !self.letters.has('e') && self.words.iter().any(|word| word.contains('=')) {
            self.letters.0.push('e');
        }
        self.letters.check()?;
        self.action = match self.letters.among(ACTIONS).first() {
            None | Some('p') => Action::Main,
            Some('M') => Action::Entries,
            Some('F') => Action::Fields,
            Some('P') => Action::Settings,
            Some(letter) => Action::Lists(*letter),
        };
        self.edit = match self.letters.among(EDITS).first() {
            Some('e') => Some(Edit::Set),
            Some('X') => Some(Edit::Remove),
            Some(_) => Some(Edit::CommentOut),
            None => None,
        };
        self.form = match self.letters.among("hHj").first() {
            Some('h') => Form::Value,
            Some('H') => Form::Name,
            Some(_) => Form::Json,
            None => Form::NameAndValue,
        };
        if self.letters.has('f') {
            self.folding = Folding::At80;
        }
        match self.edit {
            Some(Edit::Set) if self.words.is_empty() => {
                Err(Fatal("-e requires name=value argument".to_owned()))
            }
            Some(_) if self.words.is_empty() => Err(Fatal("missing service argument".to_owned())),
            _ => Ok(()),
        }
    }

    /// Whether a letter was given.
    pub(super) fn has(&self, letter: char) -> bool {
        self.letters.has(letter)
    }

    fn usage(&self, called: &Called<'_>) -> Fatal {
        if called.program != "postconf" {
            return Fatal(OWN_USAGE.to_owned());
        }
        let newer = self.compat != Compat::V3_7;
        let json = if newer { "[-j (JSON format)] " } else { "" };
        let quiet = if newer { "[-q (quiet)] " } else { "" };
        Fatal(format!(
            "usage: postconf [-a (server SASL types)] [-A (client SASL types)] [-b (bounce templates)] \
             [-c config_dir] [-c param_class] [-d (parameter defaults)] [-e (edit configuration)] \
             [-f (fold lines)] [-F (master.cf fields)] [-h (no names)] [-H (no values)] {json}[-l (lock types)] \
             [-m (map types)] [-M (master.cf)] [-n (non-default parameters)] \
             [-o name=value (override parameter value)] [-p (main.cf, default)] [-P (master.cf parameters)] \
             {quiet}[-t (bounce templates)] [-T compile-version|run-version|public-key-algorithms] [-v (verbose)] \
             [-x (expand parameter values)] [-X (exclude)] [-# (comment-out)] [name...]"
        ))
    }
}

fn invalid_override(value: &str, why: &str) -> Fatal {
    // Postfix names the setting without quotes here.
    let why = why.split_once(": \"").map_or(why, |(what, _)| what);
    Fatal(format!("invalid parameter override: {value}: {why}"))
}

fn classes(list: &str) -> Result<Vec<Class>, Fatal> {
    let mut all = Vec::new();
    for word in list.split([',', ' ', '\t']).filter(|word| !word.is_empty()) {
        let unknown = || Fatal(format!("unknown -C option value \"{word}\" in \"{list}\""));
        all.extend(Class::parse(word).ok_or_else(unknown)?);
    }
    Ok(all)
}

fn text_of(word: OsString) -> Result<String, Fatal> {
    word.into_string().map_err(|word| Fatal(format!("not UTF-8: {}", word.display())))
}

/// What a wrong option of `komainu conf` is answered with.
pub(super) const OWN_USAGE: &str = "\
usage: komainu conf [-dfhHjnqx] [-c DIR] [-C CLASS] [-o NAME=VALUE] [NAME ...]
       komainu conf [-e] NAME=VALUE ... | -X NAME ... | -# NAME ...
       komainu conf -M | -F | -P [-fhHjx] [SERVICE ...]
       komainu conf --about NAME ... | -a | -A | -l | -m | -T MODE | -b [FILE] | -t [FILE]
       `komainu conf --help` says what each does";

/// `komainu conf --help`.
pub(super) const HELP: &str = "\
Show and edit the parameters of main.cf and the services of master.cf, as postconf(1).

Usage:
  komainu conf [-dfhHjnqx] [NAME ...]               parameters, all or these
  komainu conf [-e] NAME=VALUE ...                  set; -X NAME removes, -# NAME comments out
  komainu conf -M [-fjx] [SERVICE[/TYPE] ...]       services; -Me S/T=LINE, -MX S/T, -M# S/T
  komainu conf -F [-fhHjx] [SERVICE[/TYPE[/FIELD]] ...]    their fields; -Fe S/T/FIELD=VALUE
  komainu conf -P [-fhHjx] [SERVICE[/TYPE[/NAME]] ...]     their -o; -Pe S/T/NAME=VALUE, -PX S/T/NAME
  komainu conf --about NAME ...                     what a name is for, and how far it is served
  komainu conf -a | -A | -l | -m | -T MODE | -b [FILE] | -t [FILE]

Options:
  -c, --config DIR     the folder with main.cf and master.cf
      --compat 3.7     Postfix 3.7's parameters and defaults [default: 3.11]
  -n                   only what main.cf sets
  -d                   defaults instead of what is set
  -x                   $name replaced by what it stands for
  -o NAME=VALUE        as if main.cf had that line
  -C CLASS,...         builtin, service, user, all
  -f                   fold long lines
  -h, -H               values without names; names without values
  -j, --format json    one {\"name\": \"value\"} a line
  -q                   no warnings of unused or deprecated names
      --about          what the NAMEs are: parameters, restrictions, actions, table types, words of
                       master.cf; what they are for, since when, how far they are served
  -a, -A               SASL types of the server, of the client
  -l, -m               mailbox locks, types of tables
  -b, -t [FILE]        templates of bounces, with and without values
  -T MODE              TLS library: compile-version, run-version, public-key-algorithms
  -v                   taken, without effect
      --help           this text

A file is edited in place: what isn't named stays byte for byte. It is written anew beside the old one,
flushed, and renamed over it with its owner and mode; edits wait for each other, Postfix's own among them.
";

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Options, Fatal> {
        let called = Called { program: "postconf" };
        Options::parse(&called, line.split_whitespace().map(OsString::from).collect())
    }

    #[test]
    fn words_and_letters() {
        let options = parse("-c/etc/x -nf -o a=b biff -h").expect("reads");
        assert_eq!(options.words, ["biff", "-h"]);
        assert_eq!(options.config, Some(PathBuf::from("/etc/x")));
        assert!(options.has('n') && options.folding == Folding::At80 && options.form == Form::NameAndValue);
        assert_eq!(parse("a=b").expect("reads").edit, Some(Edit::Set));
        assert_eq!(parse("-M -# a/b").expect("reads").edit, Some(Edit::CommentOut));
        assert_eq!(parse("--compat=3.7 --format json x").expect("reads").form, Form::Json);
    }

    #[test]
    fn wrong_usage() {
        let check = |line: &str, expect: &str| match parse(line) {
            Err(Fatal(text)) => assert!(text.starts_with(expect), "{line}: {text}"),
            Ok(_) => panic!("{line} is taken"),
        };
        check("-hH", "specify one of -h -H");
        check("-nd", "specify one of -d -n");
        check("-e -n", "specify one of -e -n");
        check("-X a=b", "specify one of -e -X");
        check("-bt", "specify one of -b and -t");
        check("-mM", "specify one of -m -M");
        check("-Mh", "with option -M, do not specify -h");
        check("-am", "specify one of -a -m");
        check("-xX a", "specify one of -x -X");
        check("-e", "-e requires name=value argument");
        check("-MX", "missing service argument");
        check("-z", "usage: postconf [-a ");
        check("-c", "usage: ");
        check("-o foo", "invalid parameter override: foo: missing '=' after attribute name");
        check("-C bogus", "unknown -C option value \"bogus\" in \"bogus\"");
        check("--compat 3.7 -j", "usage: ");
    }
}
