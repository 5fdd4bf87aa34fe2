//! Findings for people: the line, the place underlined, what to do, and the repair as a patch.
//!
//! Drawn as rustc draws its own. What is said twice in the same words is shown once, with the other lines named;
//! a table with ten thousand lines of the same fault fills no screen.

use super::lines::Lines;
use super::repair::Plan;
use annotate_snippets::{AnnotationKind, Group, Level, Origin, Patch, Renderer, Snippet};
use config::{Code, Diagnostic, Place, Severity, SourceFile};
use std::collections::{BTreeMap, HashSet};
use std::fmt::Write as _;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

/// How it is drawn.
#[derive(Clone, Copy, Debug)]
pub struct Style {
    /// With ANSI colours.
    pub colours: bool,
    /// Columns of the terminal.
    pub width: usize,
}

impl Default for Style {
    fn default() -> Style {
        Style { colours: false, width: 140 }
    }
}

/// Findings of one code in one file that are drawn; nobody mends more at once.
const SHOWN_OF_A_CODE: usize = 10;
/// Findings drawn at most.
const SHOWN_MAX: usize = 200;
/// Longer lines are named only: a terminal can't show them.
const LINE_BYTES_MAX: usize = 2000;
/// Lines of one place that are drawn.
const LINES_MAX: usize = 12;
/// Other lines with the same fault that are named.
const NAMED_MAX: usize = 8;

/// All findings in the order given.
#[must_use]
pub fn render(found: &[Diagnostic], style: Style) -> String {
    let renderer = if style.colours { Renderer::styled() } else { Renderer::plain() };
    let renderer = renderer.term_width(style.width);
    let lines = Lines::of(found);
    let mut out = String::new();
    let mut of_code: BTreeMap<_, usize> = BTreeMap::new();
    let mut shown = 0;
    let (unserved, others): (Vec<&Diagnostic>, Vec<&Diagnostic>) =
        found.iter().partition(|one| one.code == UNSERVED && one.place.file.is_some());
    let same = gather(&others);
    let mut tables_of_names = by_file(&unserved).into_iter();
    for all in &same {
        let Some(first) = all.first() else { continue };
        if first.severity < Severity::Warning {
            tables_of_names.by_ref().for_each(|of_file| out.push_str(&names(&of_file, &lines, &renderer)));
        }
        let count = of_code.entry((first.code, first.place.path())).or_default();
        *count += 1;
        if *count <= SHOWN_OF_A_CODE && shown < SHOWN_MAX {
            shown += 1;
            out.push_str(&one(all, &lines, (&renderer, style.width)));
            out.push_str("\n\n");
        }
    }
    tables_of_names.for_each(|of_file| out.push_str(&names(&of_file, &lines, &renderer)));
    for ((code, path), count) in of_code {
        if let Some(more) = count.checked_sub(SHOWN_OF_A_CODE).filter(|more| *more > 0) {
            let path = path.map_or_else(String::new, |path| format!(" in {}", path.display()));
            // Writing to a string can't fail.
            let _ = writeln!(out, "… and {more} more of {code}{path}\n");
        }
    }
    out
}

/// Findings that say the same of several places of a file, together.
fn gather<'a>(found: &[&'a Diagnostic]) -> Vec<Vec<&'a Diagnostic>> {
    let mut all: Vec<Vec<&Diagnostic>> = Vec::new();
    let mut at: BTreeMap<_, usize> = BTreeMap::new();
    for one in found {
        let key = (one.severity, one.code, one.place.path(), &one.message, &one.help, fixed(one));
        let index = *at.entry(key).or_insert(all.len());
        match all.get_mut(index) {
            Some(same) => same.push(one),
            None => all.push(vec![one]),
        }
    }
    all
}

/// A parameter that is not served yet: a stock main.cf has several, which are shown together.
const UNSERVED: Code = Code(123);
/// Names in one drawing.
const NAMES_MAX: usize = 25;

/// The findings of each file, each message once.
fn by_file<'a>(found: &[&'a Diagnostic]) -> Vec<Vec<&'a Diagnostic>> {
    let mut files: BTreeMap<_, Vec<&Diagnostic>> = BTreeMap::new();
    let mut said = HashSet::new();
    for one in found {
        if said.insert((one.place.path(), &one.message)) {
            files.entry(one.place.path()).or_default().push(one);
        }
    }
    files.into_values().collect()
}

/// The names of parameters in one drawing, each with what it is.
fn names(found: &[&Diagnostic], lines: &Lines, renderer: &Renderer) -> String {
    let (Some(first), Some(last)) = (found.first(), found.iter().take(NAMES_MAX).next_back()) else {
        return String::new();
    };
    let Some(file) = &first.place.file else { return String::new() };
    let line = lines.position(file, first.place.start).0;
    let until = lines.start(file, lines.position(file, last.place.start).0 + 1).unwrap_or(file.text.len());
    let from = lines.start(file, line).unwrap_or(0);
    let Some(text) = file.text.get(from..until) else { return String::new() };
    let annotations = found.iter().take(NAMES_MAX).filter_map(|one| {
        let (start, end) = (one.place.start.checked_sub(from)?, one.place.end.checked_sub(from)?);
        text.get(start..end)?;
        let what = one.help.as_deref().map(|help| help.rsplit("what it is: ").next().unwrap_or(help));
        Some(AnnotationKind::Primary.span(start..end).label(what.map(str::to_owned)))
    });
    let title = match found.len() {
        1 => format!("{}, and has no effect here", first.message),
        many => format!("{many} parameters are not implemented yet, and have no effect here"),
    };
    let title = level(first.severity).primary_title(title).id(first.code.to_string());
    let snippet = Snippet::source(text).line_start(line).path(path(file)).annotations(annotations);
    let mut group = title.element(snippet);
    if let Some(more) = found.len().checked_sub(NAMES_MAX).filter(|more| *more > 0) {
        group = group.element(Level::NOTE.message(format!("and {more} more: --format json has them all")));
    }
    renderer.render(&[group]) + "\n\n"
}

fn fixed(one: &Diagnostic) -> Option<&str> {
    one.fix.as_ref().map(|fix| fix.replacement.as_str())
}

fn level(severity: Severity) -> Level<'static> {
    match severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
        Severity::Hint => Level::NOTE.with_name("hint"),
    }
}

fn one(same: &[&Diagnostic], lines: &Lines, (renderer, width): (&Renderer, usize)) -> String {
    let Some(diagnostic) = same.first() else { return String::new() };
    let code = diagnostic.code.to_string();
    let level = level(diagnostic.severity);
    let mut group = Group::with_title(level.primary_title(diagnostic.message.as_str()).id(code));
    if let Some(file) = &diagnostic.place.file {
        group = match Excerpt::of(file, &diagnostic.place, lines) {
            Some(excerpt) => group.element(
                Snippet::source(excerpt.text)
                    .line_start(excerpt.line)
                    .path(path(file))
                    .annotation(AnnotationKind::Primary.span(excerpt.span)),
            ),
            None => {
                let (line, column) = lines.position(file, diagnostic.place.start);
                group.element(Origin::path(path(file)).line(line).char_column(column))
            }
        };
    }
    if let Some(also) = elsewhere(same, lines) {
        group = group.element(Level::NOTE.message(also));
    }
    let help = diagnostic.help.as_deref();
    let patch = diagnostic.fix.as_ref().and_then(|fix| {
        let file = fix.place.file.as_ref()?;
        Some((Excerpt::of(file, &fix.place, lines)?, fix.replacement.as_str()))
    });
    match patch.filter(|(excerpt, _)| excerpt.fits(width)) {
        Some((excerpt, replacement)) => {
            let written = format!("write `{replacement}`");
            let title = help.unwrap_or(if replacement.is_empty() { "delete it" } else { &written });
            let patch = Patch::new(excerpt.span, replacement);
            let snippet = Snippet::source(excerpt.text).line_start(excerpt.line).patch(patch);
            let repair = Group::with_title(Level::HELP.secondary_title(title)).element(snippet);
            renderer.render(&[group, repair])
        }
        None => {
            if let Some(help) = help {
                group = group.element(Level::HELP.message(help));
            }
            renderer.render(&[group])
        }
    }
}

fn path(file: &SourceFile) -> String {
    file.path.display().to_string()
}

/// `also in lines 13, 18 and 25`.
fn elsewhere(same: &[&Diagnostic], lines: &Lines) -> Option<String> {
    let numbers: Vec<String> = same
        .iter()
        .skip(1)
        .take(NAMED_MAX)
        .filter_map(|one| Some(lines.position(one.place.file.as_ref()?, one.place.start).0.to_string()))
        .collect();
    let more = same.len().saturating_sub(1 + numbers.len());
    match (numbers.split_last()?, more) {
        ((last, []), 0) => Some(format!("also in line {last}")),
        ((last, others), 0) => Some(format!("also in lines {} and {last}", others.join(", "))),
        (_, more) => Some(format!("also in lines {} and {more} more", numbers.join(", "))),
    }
}

/// The lines of a place, and the place in them.
struct Excerpt<'a> {
    text: &'a str,
    line: usize,
    span: Range<usize>,
}

impl<'a> Excerpt<'a> {
    /// `None` where there is nothing that could be shown.
    fn of(file: &'a Arc<SourceFile>, place: &Place, lines: &Lines) -> Option<Excerpt<'a>> {
        let text = file.text.as_str();
        let start = text.floor_char_boundary(place.start);
        let end = text.floor_char_boundary(place.end.max(start));
        let (line, _) = lines.position(file, start);
        let from = lines.start(file, line)?;
        let mut last = lines.position(file, end).0;
        // `until` a line's end, where the next one begins with the place's end.
        if last > line && lines.start(file, last) == Some(end) {
            last -= 1;
        }
        let last = last.min(line + LINES_MAX - 1);
        let until = lines.start(file, last + 1).unwrap_or(text.len());
        let shown = text.get(from..until)?;
        if shown.lines().any(|line| line.len() > LINE_BYTES_MAX) {
            return None;
        }
        let end = end.min(until);
        let within = text.get(start..end)?.trim_end_matches(['\n', '\r']);
        Some(Excerpt { text: shown, line, span: start - from..start - from + within.len() })
    }

    /// Whether a patch of it can be taken in at a glance: its lines are never cut.
    fn fits(&self, width: usize) -> bool {
        self.text.lines().all(|line| line.chars().count() <= width)
    }
}

/// `1 error, 2 warnings`, or nothing.
#[must_use]
pub fn counts(found: &[Diagnostic]) -> String {
    let count = |severity| found.iter().filter(|diagnostic| diagnostic.severity == severity).count();
    let named = [(Severity::Error, "error"), (Severity::Warning, "warning"), (Severity::Hint, "hint")];
    let parts: Vec<String> = named
        .into_iter()
        .map(|(severity, name)| (count(severity), name))
        .filter(|(count, _)| *count > 0)
        .map(|(count, name)| format!("{count} {name}{}", if count == 1 { "" } else { "s" }))
        .collect();
    parts.join(", ")
}

/// The last lines: how many there are, and what next.
#[must_use]
pub fn closing(directory: &Path, found: &[Diagnostic]) -> String {
    let directory = directory.display();
    let Some(first) = found.first() else { return format!("{directory}: all is well\n") };
    let repairs = match Plan::of(found).mended {
        0 => String::new(),
        1 => "--fix mends one of them; ".to_owned(),
        more => format!("--fix mends {more} of them; "),
    };
    let code = first.code;
    format!(
        "{directory}: {}\n{repairs}komainu check --explain {code} says more about a code\n",
        counts(found)
    )
}
