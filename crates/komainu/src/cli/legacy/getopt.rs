//! Options as getopt(3) reads them: letters in clusters, values attached or in the next word, the first other word
//! ends them. What the letters mean, the programs know.

use std::ffi::OsString;

/// What a command line says.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Words {
    /// In order; with the value where the letter takes one.
    pub(super) options: Vec<(char, String)>,
    /// What is behind the options.
    pub(super) rest: Vec<String>,
}

/// What is wrong with it, in getopt's words.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Wrong {
    Invalid(char),
    NoValue(char),
}

impl std::fmt::Display for Wrong {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Wrong::Invalid(letter) => write!(f, "invalid option -- '{letter}'"),
            Wrong::NoValue(letter) => write!(f, "option requires an argument -- '{letter}'"),
        }
    }
}

/// Reads the arguments behind the program's name. `plain` are letters without, `valued` those with a value.
pub(super) fn read(arguments: Vec<OsString>, plain: &str, valued: &str) -> Result<Words, Wrong> {
    let mut words = arguments.into_iter().skip(1).map(|word| word.to_string_lossy().into_owned()).peekable();
    let mut options = Vec::new();
    while let Some(word) = words.next_if(|word| word.len() > 1 && word.starts_with('-')) {
        if word == "--" {
            break;
        }
        let mut letters = word.chars();
        letters.next();
        while let Some(letter) = letters.next() {
            if valued.contains(letter) {
                let attached = letters.as_str();
                let value = if attached.is_empty() { words.next() } else { Some(attached.to_owned()) };
                options.push((letter, value.ok_or(Wrong::NoValue(letter))?));
                break;
            }
            if !plain.contains(letter) {
                return Err(Wrong::Invalid(letter));
            }
            options.push((letter, String::new()));
        }
    }
    Ok(Words { options, rest: words.collect() })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Options, and what is behind them.
    type Expected<'a> = (&'a [(char, &'a str)], &'a [&'a str]);

    #[test]
    fn clusters_and_values() {
        let check = |line: &str, expect: Result<Expected<'_>, Wrong>| {
            let words = std::iter::once("x").chain(line.split_whitespace()).map(OsString::from).collect();
            let expect = expect.map(|(options, rest)| Words {
                options: options.iter().map(|(letter, value)| (*letter, (*value).to_owned())).collect(),
                rest: rest.iter().map(|word| (*word).to_owned()).collect(),
            });
            assert_eq!(read(words, "pv", "cd"), expect, "{line}");
        };
        check("", Ok((&[], &[])));
        check("-pvc dir -dID hold", Ok((&[('p', ""), ('v', ""), ('c', "dir"), ('d', "ID")], &["hold"])));
        check("-d - -d -x", Ok((&[('d', "-"), ('d', "-x")], &[])));
        check("hold -p", Ok((&[], &["hold", "-p"])));
        check("-p -- -v", Ok((&[('p', "")], &["-v"])));
        check("-px", Err(Wrong::Invalid('x')));
        check("-pd", Err(Wrong::NoValue('d')));
    }
}
