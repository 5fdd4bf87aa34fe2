//! `komainu report --html` and `--send`: a summary as a page, or as a mail that is handed in. T2.22, T2.23.

use super::{EX_CONFIG, EX_TEMPFAIL, default_config, logs};
use crate::configuration::{Configuration, DirectSources, LookingSources};
use crate::reporting::{self, Kept};
use crate::serve;
use crate::submit::held::Held;
use crate::submit::{Accepted, Letter, submit};
use config::Compat;
use report::Day;
use report::sheet::Sheet;
use report::summary::Summary;
use report::unusual::{Watcher, dated};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use tables::Vantage;

/// What is shown, and of what.
pub(super) struct Shown<'a> {
    pub(super) summary: &'a Summary,
    /// The days that were asked for.
    pub(super) days: Option<(Day, Day)>,
    pub(super) today: Day,
    pub(super) files: &'a [PathBuf],
    /// `--config`.
    pub(super) config: Option<&'a Path>,
}

impl Shown<'_> {
    fn configuration(&self) -> Option<Configuration> {
        let folder = self.config.map(Path::to_owned).or_else(default_config)?;
        let sources = LookingSources::new(&DirectSources, Vantage::Looking);
        Some(Configuration::load(&folder, Compat::default(), &sources).0)
    }

    /// The page.
    pub(super) fn page(&self) -> String {
        report::page::page(&self.sheet(self.configuration().as_ref()))
    }

    /// Hands the report in as mail; says where it is, or why it isn't.
    pub(super) fn send(&self) -> ExitCode {
        let Some(configuration) = self.configuration() else {
            eprintln!("komainu report: --send needs a configuration: say where it is with --config");
            return ExitCode::from(EX_CONFIG);
        };
        let Some(mailing) = &configuration.mailing else {
            eprintln!(
                "komainu report: --send needs komainu_report_recipient and, without a log file, komainu_report_log"
            );
            return ExitCode::from(EX_CONFIG);
        };
        let message = reporting::message(mailing, &reporting::letter(&self.sheet(Some(&configuration))));
        let (submission, to) = reporting::envelope(mailing);
        let mut letter = Letter { submission, to, content: Held::default() };
        let written = letter.content.write(message.as_bytes());
        let state = state(&configuration);
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
        ExitCode::SUCCESS
    }

    fn sheet(&self, configuration: Option<&Configuration>) -> Sheet {
        let host = configuration.map_or_else(
            || crate::configuration::host().hostname,
            |configuration| configuration.parameters.text("myhostname").value,
        );
        let mut unusual = report::unusual::of_zones(self.summary);
        if let (Some(configuration), Some(day)) = (configuration, self.whole_day()) {
            unusual.splice(0..0, self.compared(day, Kept::read(&state(configuration))));
        }
        reporting::sheet(self.summary, &host, self.days, unusual)
    }

    /// One day that is over: only that can be compared.
    fn whole_day(&self) -> Option<Day> {
        self.days.filter(|(first, last)| first == last && *last < self.today).map(|(day, _)| day)
    }

    /// What is out of the ordinary, by what the server keeps of the days before; standard input is gone by now.
    fn compared(&self, day: Day, mut kept: Kept) -> Vec<String> {
        if !kept.history.is_known_before(day) || self.files.iter().any(|file| file == Path::new("-")) {
            return Vec::new();
        }
        let mut watcher = Watcher::default();
        for file in self.files {
            let Ok(log) = logs::open(file).and_then(|log| log.only(&(day..=day), self.today)) else {
                continue;
            };
            let watch = |line: &[u8]| {
                let plain = events::json::plain(line, crate::clock::utc_offset_min);
                let line = plain.as_ref().map_or(line, |plain| plain.as_bytes());
                if let Some((_, rest)) = dated(line, self.today).filter(|(found, _)| *found == day) {
                    watcher.feed(rest);
                }
            };
            // What can't be read was said when it was counted.
            let _ = logs::each_line(log, watch);
        }
        kept.history.keep(day, watcher.sums(self.summary));
        let certificates = watcher.certificates().iter().map(|text| reporting::capital(text));
        certificates.chain(kept.history.unusual(day)).collect()
    }
}

fn state(configuration: &Configuration) -> PathBuf {
    serve::state_folder(&serve::Options::default(), &configuration.parameters)
}
