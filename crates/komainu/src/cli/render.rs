//! How findings are shown on a terminal, for every subcommand: `check::text` with what this terminal can do.

use crate::check::{in_order, text};
use clap::ValueEnum;
use config::Diagnostic;
use std::io::IsTerminal;

pub(super) use text::counts as summary;

/// Whether colours are used.
#[derive(Clone, Copy, Debug, Default, ValueEnum)]
pub(super) enum Colour {
    /// On a terminal, unless NO_COLOR is set.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

impl Colour {
    /// For what is written to `stream`.
    pub(super) fn style(self, stream: &impl IsTerminal) -> text::Style {
        let terminal = stream.is_terminal();
        let unwanted = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let colours = match self {
            Colour::Auto => terminal && !unwanted,
            Colour::Always => true,
            Colour::Never => false,
        };
        let columns = std::env::var("COLUMNS").ok().and_then(|text| text.parse().ok());
        let width = columns.filter(|width| terminal && *width >= WIDTH_MIN);
        text::Style { colours, width: width.unwrap_or(text::Style::default().width) }
    }
}

/// Narrower than this nothing can be drawn.
const WIDTH_MIN: usize = 40;

/// Findings for standard error, worst first.
pub(super) fn render(found: &[Diagnostic]) -> String {
    text::render(&in_order(found.to_vec()), Colour::Auto.style(&std::io::stderr()))
}
