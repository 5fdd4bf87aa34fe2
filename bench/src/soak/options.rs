//! The words of `bench soak`.

use std::time::Duration;

pub(crate) const USAGE: &str = "\
usage: scripts/soak [OPTIONS] [MINUTES]
  MINUTES           how long everything goes on at once (default 10)
  --seconds N       the same in seconds
  --small           a tenth of the clients
  --debug           the debug build, and patience to match
  --kill            kill -9 and start again, four times
  --sessions N      instead: N sessions of all kinds, memory measured at each tenth
  --help            this
Exit code 0: it stood all of it.
";

/// What was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Options {
    pub(crate) length: Duration,
    pub(crate) sessions: Option<u32>,
    pub(crate) small: bool,
    pub(crate) debug: bool,
    pub(crate) kills: bool,
    pub(crate) wants_usage: bool,
}

impl Options {
    pub(crate) fn parse(words: &[String]) -> Result<Options, String> {
        let mut options = Options {
            length: Duration::from_secs(600),
            sessions: None,
            small: false,
            debug: false,
            kills: false,
            wants_usage: false,
        };
        let mut words = words.iter();
        while let Some(word) = words.next() {
            let mut value = || words.next().ok_or_else(|| format!("{word} wants a value\n{USAGE}"));
            match word.as_str() {
                "--seconds" => options.length = Duration::from_secs(number(value()?)?.into()),
                "--sessions" => options.sessions = Some(number(value()?)?),
                "--small" => options.small = true,
                "--debug" => options.debug = true,
                "--kill" => options.kills = true,
                "--help" | "-h" => options.wants_usage = true,
                minutes => options.length = Duration::from_secs(u64::from(number(minutes)?) * 60),
            }
        }
        Ok(options)
    }

    /// As many clients of a kind.
    pub(crate) const fn scaled(&self, number: u32) -> u32 {
        if self.small { number.div_ceil(10) } else { number }
    }
}

fn number(text: &str) -> Result<u32, String> {
    text.parse().ok().filter(|number| *number > 0).ok_or_else(|| format!("can't read {text:?}\n{USAGE}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_the_command_line() {
        let parse = |text: &str| Options::parse(&text.split(' ').map(str::to_owned).collect::<Vec<_>>());
        assert_eq!(parse("3").expect("reads").length, Duration::from_secs(180));
        let options = parse("--seconds 20 --small --kill").expect("reads");
        assert_eq!(
            (options.length, options.kills, options.scaled(3000)),
            (Duration::from_secs(20), true, 300)
        );
        assert_eq!(parse("--sessions 1000000").expect("reads").sessions, Some(1_000_000));
        for wrong in ["x", "0", "--seconds", "--nonsense"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
