//! The words of `bench run`.

use crate::scenario;

pub(crate) const USAGE: &str = "\
usage: scripts/bench [OPTIONS] [WORDS]
  WORDS            only rows whose name has one of these (`bench list` shows the names)
  --rounds N       rounds in turns (default 3)
  --ms N           how long each sample's load lasts (default 3000)
  --clients N      how many wait in the waiting rows, which the limit of open files bounds (default 15000)
  --servers A,B    only these of a row's servers: komainu postfix postfix-tuned postfix-tmpfs postscreen
  --go-on          go on with the newest run, if it was interrupted, at its first unfinished round
  --format FORMAT  text (markdown, default) or json
  --help           this
A number as first word means --rounds.
";

/// How the samples are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    Text,
    Json,
}

/// What was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Options {
    pub(crate) rounds: u32,
    pub(crate) ms: u32,
    pub(crate) clients: u32,
    pub(crate) servers: Vec<String>,
    pub(crate) resumes: bool,
    pub(crate) format: Format,
    pub(crate) words: Vec<String>,
    pub(crate) wants_usage: bool,
}

impl Options {
    pub(crate) fn parse(words: &[String]) -> Result<Options, String> {
        let mut options = Options {
            rounds: 3,
            ms: scenario::MS,
            clients: scenario::CLIENTS,
            servers: Vec::new(),
            resumes: false,
            format: Format::Text,
            words: Vec::new(),
            wants_usage: false,
        };
        let mut words = words.iter();
        while let Some(word) = words.next() {
            let mut value = || words.next().ok_or_else(|| format!("{word} wants a value\n{USAGE}"));
            match word.as_str() {
                "--rounds" => options.rounds = number(value()?)?,
                "--ms" => options.ms = number(value()?)?,
                "--clients" => options.clients = number(value()?)?,
                "--servers" => options.servers = value()?.split(',').map(str::to_owned).collect(),
                "--go-on" => options.resumes = true,
                "--format" => options.format = format(value()?)?,
                "--help" | "-h" => options.wants_usage = true,
                other if other.starts_with('-') => return Err(format!("no such option: {other}\n{USAGE}")),
                other => match other.parse::<u32>() {
                    Ok(rounds) if options.words.is_empty() => options.rounds = rounds.max(1),
                    _ => options.words.push(other.to_owned()),
                },
            }
        }
        if let Some(name) = options.servers.iter().find(|name| crate::server::Kind::parse(name).is_none()) {
            return Err(format!("no such server: {name}\n{USAGE}"));
        }
        Ok(options)
    }
}

fn number(text: &str) -> Result<u32, String> {
    text.parse().ok().filter(|number| *number > 0).ok_or_else(|| format!("not a number: {text}\n{USAGE}"))
}

pub(crate) fn format(text: &str) -> Result<Format, String> {
    match text {
        "text" => Ok(Format::Text),
        "json" => Ok(Format::Json),
        other => Err(format!("no such format: {other}\n{USAGE}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Options, String> {
        Options::parse(&text.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn words_of_the_command_line() {
        let options = parse("5 --ms 100 --clients 700 --servers komainu,postfix --format json refuse denied")
            .expect("reads");
        assert_eq!(
            (options.rounds, options.ms, options.clients, options.format),
            (5, 100, 700, Format::Json)
        );
        assert_eq!(options.servers, ["komainu", "postfix"]);
        assert_eq!(options.words, ["refuse", "denied"]);
        for wrong in ["--rounds 0", "--rounds", "--nonsense", "--format x", "--servers exim"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
