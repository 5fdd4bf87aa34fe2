//! `komainu report --html` and `--send`: a summary as a page, or as a mail that is handed in. T2.22, T2.23.

use super::{EX_CONFIG, EX_TEMPFAIL};
use crate::configuration::Configuration;
use crate::reporting::{self, Kept};
use crate::serve;
use crate::submit::held::Held;
use crate::submit::{Accepted, Letter, submit};
use report::Day;
use report::outline::{self, About};
use report::sheet::Sheet;
use report::summary::Summary;
use report::unusual::Watcher;
use std::path::PathBuf;
use std::process::ExitCode;

/// What is shown, and of what.
pub(super) struct Shown<'a> {
    pub(super) summary: &'a Summary,
    /// The days that were asked for.
    pub(super) days: Option<(Day, Day)>,
    pub(super) configuration: Option<&'a Configuration>,
    /// The day that is held against what is kept of the days before, and what was seen of it.
    pub(super) watched: Option<(Day, &'a Watcher)>,
}

/// One day that is over: only that can be compared.
pub(super) fn whole_day(days: Option<(Day, Day)>, today: Day) -> Option<Day> {
    days.filter(|(first, last)| first == last && *last < today).map(|(day, _)| day)
}

impl Shown<'_> {
    /// What stands above the numbers, however they are shown.
    pub(super) fn about(&self) -> About {
        let host = self.configuration.map_or_else(
            || crate::configuration::host().hostname,
            |configuration| configuration.parameters.text("myhostname").value,
        );
        let mut about =
            About { host, days: self.days, unusual: report::unusual::of_log(self.summary), compared: 0 };
        if let (Some(configuration), Some((day, watcher))) = (self.configuration, self.watched) {
            let mut history = Kept::read(&state(configuration)).history;
            about.compared = history.compared_with(day);
            history.keep(day, watcher.sums(self.summary));
            let certificates = watcher.certificates().iter().map(|text| reporting::capital(text));
            about.unusual = certificates.chain(about.unusual).chain(history.unusual(day)).collect();
        }
        about
    }

    fn sheet(&self) -> Sheet {
        outline::sheet(self.summary, &self.about())
    }

    /// The page.
    pub(super) fn page(&self) -> String {
        report::page::page(&self.sheet())
    }

    /// Hands the report in as mail; says where it is, or why it isn't.
    pub(super) fn send(&self) -> ExitCode {
        let Some(configuration) = self.configuration else {
            eprintln!("komainu report: --send needs a configuration: say where it is with --config");
            return ExitCode::from(EX_CONFIG);
        };
        let Some(mailing) = &configuration.mailing else {
            eprintln!(
                "komainu report: --send needs komainu_report_recipient and, without a log file, komainu_report_log"
            );
            return ExitCode::from(EX_CONFIG);
        };
        let message = reporting::message(mailing, &reporting::letter(&self.sheet()));
        let (submission, to) = reporting::envelope(mailing);
        let mut letter = Letter { submission, to, content: Held::default() };
        let written = letter.content.write(message.as_bytes());
        let state = state(configuration);
        match written
            .map_err(|error| error.to_string())
            .and_then(|()| submit(&state, &mut letter).map_err(|error| error.to_string()))
        {
            Ok(Accepted::Queued(id)) => println!("queued as {id}"),
            Ok(Accepted::Dropped) => {
                println!("no server answers: it is in the maildrop, and goes out when one runs")
            }
            Err(problem) => {
                eprintln!("komainu report: the report can't be sent: {problem}");
                return ExitCode::from(EX_TEMPFAIL);
            }
        }
        // What is missing in it was said.
        if self.summary.unread.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(EX_TEMPFAIL) }
    }
}

fn state(configuration: &Configuration) -> PathBuf {
    serve::state_folder(&serve::Options::default(), &configuration.parameters)
}
