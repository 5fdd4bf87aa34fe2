//! `komainu check`, and what `postfix check` does.
//!
//! What is wrong is `check`'s to know, how it looks `check::{text, json, sarif}`'s; here are the options, the question
//! before a repair, and the files' replacement.

use super::render::{self, Colour};
use super::{CompatArgument, EX_CONFIG, EX_USAGE, conf, default_config};
use crate::check::repair::{Repair, Trial};
use crate::check::surroundings::Machine;
use crate::check::{Reach, check, json, pages, rights, sarif, text};
use crate::cli::say::Out;
use crate::configuration::{DirectSources, has_errors, host};
use clap::{Args, ValueEnum};
use config::{Compat, Diagnostic, Severity};
use std::io::{self, IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use tables::{SourceError, Sources};

/// Say what is wrong with a configuration before the first client finds out.
///
/// Reads main.cf, master.cf and every table that they name, and looks at the files, sockets and certificates around
/// them; nothing is served, sent or, without --fix, changed. Exit code 0 where there is no error (warnings and hints
/// may be), 1 where there is one, 64 wrong usage, 75 where a repair can't be written, 78 where
/// there is no configuration to read.
#[derive(Args, Debug)]
pub(super) struct Arguments {
    /// The folder with main.cf and master.cf [default: /etc/komainu, then /etc/postfix].
    #[arg(long, short = 'c', value_name = "DIR")]
    config: Option<PathBuf>,
    /// Whose defaults and behaviour are in force.
    #[arg(long, value_enum, default_value_t)]
    compat: CompatArgument,
    /// How findings are printed.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
    /// Show the safe repairs as a patch, ask, and make them; where nobody can be asked, --yes makes them.
    #[arg(long)]
    fix: bool,
    /// Repair without asking.
    #[arg(long, short = 'y', requires = "fix")]
    yes: bool,
    /// Ask the DNS too: blocklists, and what it says of the domains served here.
    #[arg(long)]
    online: bool,
    /// The configuration is for another machine: leave out this one's files, sockets and certificates.
    #[arg(long, conflicts_with = "online")]
    elsewhere: bool,
    /// Leave out hints, and say nothing where all is well.
    #[arg(long, short = 'q')]
    quiet: bool,
    /// When to use colours.
    #[arg(long, value_name = "WHEN", value_enum, default_value_t)]
    color: Colour,
    /// Print the page of a code, such as K0107, and check nothing.
    #[arg(long, value_name = "CODE", conflicts_with_all = ["config", "online", "fix"])]
    explain: Option<String>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Format {
    /// The lines with the places underlined, for people.
    #[default]
    Text,
    /// One JSON object.
    Json,
    /// SARIF 2.1.0, for code hosts and editors.
    Sarif,
}

pub(super) fn run(arguments: &Arguments) -> ExitCode {
    if let Some(word) = &arguments.explain {
        return explain(word);
    }
    if arguments.fix && arguments.format != Format::Text {
        eprintln!("komainu: --fix shows a patch: it has no --format");
        return ExitCode::from(EX_USAGE);
    }
    let Some(directory) = arguments.config.clone().or_else(default_config) else {
        eprintln!(
            "komainu: there is no main.cf in /etc/komainu or /etc/postfix: give the folder that holds it with --config"
        );
        return ExitCode::from(EX_CONFIG);
    };
    if let Err(error) = DirectSources.read(&directory.join("main.cf")) {
        let advice = match &error {
            SourceError::Denied(path) => rights::advice(path, &Machine::this(0)),
            _ => "give the folder that holds main.cf with --config".to_owned(),
        };
        eprintln!("komainu: {error}: {advice}");
        return ExitCode::from(EX_CONFIG);
    }
    let called = Called { arguments, directory: &directory };
    let found = called.check();
    let outcome = if arguments.fix { called.fix(found) } else { called.show(&found).map(|()| found) };
    match outcome {
        Ok(found) if has_errors(&found) => ExitCode::FAILURE,
        Ok(_) => ExitCode::SUCCESS,
        // A reader that left wants no more.
        Err(Failed::Said(error)) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("komainu: {error}");
            ExitCode::from(super::EX_TEMPFAIL)
        }
    }
}

/// What kept the findings from being said, or a repair from being made.
#[derive(Debug, thiserror::Error)]
enum Failed {
    #[error("write the findings: {0}")]
    Said(#[from] io::Error),
    #[error("not repaired: {0}")]
    Repaired(String),
}

struct Called<'a> {
    arguments: &'a Arguments,
    directory: &'a Path,
}

impl Called<'_> {
    fn check(&self) -> Vec<Diagnostic> {
        let reach = match (self.arguments.elsewhere, self.arguments.online) {
            (true, _) => Reach::Paper,
            (_, true) => Reach::Online,
            _ => Reach::Machine,
        };
        self.look(&DirectSources, reach)
    }

    fn look(&self, sources: &dyn Sources, reach: Reach) -> Vec<Diagnostic> {
        let mut found = check(self.directory, self.arguments.compat.into(), &host(), sources, reach);
        found.retain(|one| !self.arguments.quiet || one.severity > Severity::Hint);
        found
    }

    fn show(&self, found: &[Diagnostic]) -> Result<(), Failed> {
        let mut out = io::BufWriter::new(Out);
        match self.arguments.format {
            Format::Text => {
                let style = self.arguments.color.style(&io::stdout());
                write!(out, "{}{}", text::render(found, style), self.closing(found))?;
            }
            Format::Json => json::write(&mut out, self.directory, found)?,
            Format::Sarif => sarif::write(&mut out, found)?,
        }
        Ok(out.flush()?)
    }

    fn closing(&self, found: &[Diagnostic]) -> String {
        let silent = self.arguments.quiet && found.is_empty();
        if silent { String::new() } else { text::closing(self.directory, found) }
    }

    /// Shows the patch, makes it where that is wanted, and looks again; what is found then.
    fn fix(&self, found: Vec<Diagnostic>) -> Result<Vec<Diagnostic>, Failed> {
        let reach = if self.arguments.elsewhere { Reach::Paper } else { Reach::Machine };
        let Trial { plan, withheld } = Trial::of(&found, &DirectSources, |sources| self.look(sources, reach));
        if plan.repairs.is_empty() {
            self.show(&found)?;
            leave(&withheld);
            return Ok(found);
        }
        write!(Out, "{}", plan.patch())?;
        Out.flush()?;
        leave(&withheld);
        let repairs = format!("{} repair{}", plan.mended, if plan.mended == 1 { "" } else { "s" });
        if !self.arguments.yes && !agreed(&format!("Make {repairs}?"))? {
            eprintln!("{repairs} not made: the same command with --yes makes them");
            return Ok(found);
        }
        for repair in &plan.repairs {
            replace(repair)?;
        }
        let left = self.check();
        println!("{repairs} made. What is left:");
        self.show(&left)?;
        if plan.waiting > 0 {
            println!("{} more wait for another --fix: they touch what was mended", plan.waiting);
        }
        Ok(left)
    }
}

/// Says which repairs are left to the administrator, as they would bring errors.
fn leave(withheld: &[&Diagnostic]) {
    for one in withheld {
        eprintln!(
            "not repaired: {}: {} {}: mended, it brings another error",
            one.place, one.code, one.message
        );
    }
}

/// Asks on the terminal; where there is none, the answer is no.
fn agreed(question: &str) -> io::Result<bool> {
    if !io::stdin().is_terminal() {
        return Ok(false);
    }
    eprint!("{question} [y/N] ");
    io::stderr().flush()?;
    let mut answer = String::new();
    io::stdin().read_line(&mut answer)?;
    Ok(matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes"))
}

/// Puts the mended text in the file's place, unless the file isn't what was read: changed since, or no UTF-8.
fn replace(repair: &Repair) -> Result<(), Failed> {
    let path = &repair.file.path;
    let edit = |old: &[u8]| {
        if old == repair.file.text.as_bytes() {
            Ok(repair.text().into_bytes())
        } else {
            Err(format!("{} has changed since, or is no UTF-8", path.display()))
        }
    };
    conf::rewrite(path, edit).map_err(Failed::Repaired)
}

/// `postfix check`: silent where nothing is wrong. Hints are for who asks `komainu check`.
pub(super) fn postfix(directory: &Path) -> ExitCode {
    let mut found = check(directory, Compat::default(), &host(), &DirectSources, Reach::Machine);
    found.retain(|one| one.severity > Severity::Hint);
    if !found.is_empty() {
        eprint!("{}", render::render(&found));
        eprintln!("postfix: {}", render::summary(&found));
    }
    if has_errors(&found) { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

fn explain(word: &str) -> ExitCode {
    let Some(page) = pages::parse(word).and_then(pages::find) else {
        eprintln!("komainu: there is no code {word}; codes look like K0107");
        return ExitCode::from(EX_USAGE);
    };
    print!("{}", page.text);
    ExitCode::SUCCESS
}
