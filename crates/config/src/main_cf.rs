//! main.cf: `name = value`, continuation lines, comments; the last definition wins.
//!
//! It reads the syntax alone: what a name means and what `$name` stands for is `Parameters`' business.
//! Diagnostics: K0101 a line without `=`, K0102 no name before `=`, K0103 white space before the first line,
//! K0104 defined twice, K0105 a control character, K0116 more names than anybody means.

mod mending;

use crate::conf::is_space;
use crate::logical::{LogicalLine, logical_lines};
use crate::traced::Traced;
use crate::{Diagnostic, LineStarts, Place, SourceFile, Spanned};
use mending::mended;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Names that one main.cf defines; a file with more is none.
const DEFINITIONS_MAX: usize = 10_000;

/// The definitions of one main.cf, as written.
#[derive(Clone, Debug, Default)]
pub struct MainCf {
    definitions: BTreeMap<String, Definition>,
    file: Option<Arc<SourceFile>>,
}

/// One `name = value`.
#[derive(Clone, Debug)]
pub(crate) struct Definition {
    /// Where the name stands.
    pub(crate) name: Place,
    /// The value as written, without the white space around it.
    pub(crate) value: Traced,
    /// The same with one place.
    pub(crate) raw: Spanned<String>,
}

impl Definition {
    pub(crate) fn new(name: Place, value: Traced) -> Definition {
        let mut raw = value.spanned();
        if raw.place.file.is_none() {
            raw.place = name.clone();
        }
        Definition { name, value, raw }
    }
}

impl MainCf {
    /// Reads `file`; what can't be read is told and left out.
    #[must_use]
    pub fn parse(file: &Arc<SourceFile>) -> (MainCf, Vec<Diagnostic>) {
        let mut main = MainCf { definitions: BTreeMap::new(), file: Some(Arc::clone(file)) };
        let (lines, mut diagnostics) = logical_lines(file, 103);
        let starts = LineStarts::of(&file.text);
        // Where the names stand that are defined again.
        let mut earlier: BTreeMap<String, Vec<Place>> = BTreeMap::new();
        // Whether the value before ends in a comma: what follows was to be more of it.
        let mut goes_on = false;
        let (mut left_out, mut first_left_out) = (0_usize, None);
        for line in lines {
            diagnostics.extend(control_character(&line));
            match definition(&line) {
                Ok((name, definition)) => {
                    if main.definitions.len() >= DEFINITIONS_MAX && !main.definitions.contains_key(&name) {
                        left_out += 1;
                        first_left_out.get_or_insert(definition.name);
                        continue;
                    }
                    goes_on = definition.raw.value.ends_with(',');
                    if let Some(before) = main.definitions.insert(name.clone(), definition) {
                        earlier.entry(name).or_default().push(before.name);
                    }
                }
                Err(diagnostic) => diagnostics.push(mended(*diagnostic, &line.text, goes_on)),
            }
        }
        diagnostics.extend(earlier.iter().filter_map(|(name, places)| main.repeated(name, places, &starts)));
        diagnostics.extend(first_left_out.map(|place| {
            let message =
                format!("more than {DEFINITIONS_MAX} parameters: {left_out} from here on are left out");
            let help = "Postfix has a thousand; this is no main.cf, or a program wrote it that went astray";
            Diagnostic::error(116, place, message).help(help)
        }));
        (main, diagnostics)
    }

    /// A main.cf with nothing in it.
    #[must_use]
    pub fn empty() -> MainCf {
        MainCf::default()
    }

    /// Defines `name` as the command line's `-o name=value` does.
    pub fn set(&mut self, name: impl Into<String>, value: impl Into<String>) {
        let definition = Definition::new(Place::nowhere(), Traced::nowhere(value));
        self.definitions.insert(name.into(), definition);
    }

    /// The file it was read from.
    #[must_use]
    pub fn file(&self) -> Option<&Arc<SourceFile>> {
        self.file.as_ref()
    }

    pub(crate) fn definitions(&self) -> &BTreeMap<String, Definition> {
        &self.definitions
    }

    /// The definition that wins, and where those stand that don't.
    fn repeated(&self, name: &str, earlier: &[Place], starts: &LineStarts) -> Option<Diagnostic> {
        const SHOWN_MAX: usize = 5;
        let place = self.definitions.get(name)?.name.clone();
        let path = place.path()?.display().to_string();
        let lines = earlier.iter().take(SHOWN_MAX);
        let mut lines: Vec<String> =
            lines.map(|place| format!("{path}:{}", starts.line(place.start))).collect();
        if earlier.len() > SHOWN_MAX {
            lines.push(format!("{} more lines", earlier.len() - SHOWN_MAX));
        }
        let message = format!("{name} overrides its earlier definition in {}", lines.join(", "));
        let those = if lines.len() == 1 { "the one" } else { "those" };
        let help = format!("the last definition wins: this one; delete {those} in {}", lines.join(", "));
        Some(Diagnostic::warning(104, place, message).help(help))
    }
}

fn definition(line: &LogicalLine) -> Result<(String, Definition), Box<Diagnostic>> {
    let text = line.text.as_str();
    let Some((before, _)) = text.split_once('=') else {
        return Err(Box::new(without_equals(line)));
    };
    let name = before.trim_matches(is_space);
    let name_start = before.len() - before.trim_start_matches(is_space).len();
    let place = line.text.place(name_start..name_start + name.len());
    if name.is_empty() {
        let place = line.text.place(0..text.len());
        return Err(Box::new(
            Diagnostic::error(102, place, "there is no parameter name before `=`")
                .help("write `name = value`"),
        ));
    }
    if name.contains(is_space) {
        return Err(Box::new(
            Diagnostic::error(101, place, format!("missing `=` after the parameter name: `{name}`"))
                .help("write `name = value`; a line that goes on with the one above begins with white space"),
        ));
    }
    let value = line.text.slice(before.len() + 1..text.len()).trim();
    Ok((name.to_owned(), Definition::new(place, value)))
}

/// A character that no editor shows: Postfix ends a value at a NUL, and takes others as they are.
fn control_character(line: &LogicalLine) -> Option<Diagnostic> {
    let text = line.text.as_str();
    let unseen = |c: char| c.is_control() && !matches!(c, '\t' | '\r') || c == '\u{feff}';
    let (at, c) = text.char_indices().find(|(_, c)| unseen(*c))?;
    let place = line.text.place(at..at + c.len_utf8());
    let message =
        format!("the character U+{:04X} can't be seen and is part of the name or value", u32::from(c));
    Some(Diagnostic::warning(105, place.clone(), message).help("delete it").fix(place, ""))
}

fn without_equals(line: &LogicalLine) -> Diagnostic {
    let place = line.text.place(0..line.text.as_str().len());
    let shown: String = line.text.as_str().chars().take(60).collect();
    Diagnostic::error(101, place, format!("missing `=` after the parameter name: `{}`", shown.trim_end()))
        .help("write `name = value`; a line that goes on with the one above begins with white space")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// K0116; the same name again and again is one.
    #[test]
    fn more_parameters_than_anybody_means() {
        let check = |text: String, names: usize, expect: Option<u16>| {
            let file = Arc::new(SourceFile { path: "main.cf".into(), text });
            let (main, found) = MainCf::parse(&file);
            let code = found.iter().map(|one| one.code.0).find(|code| *code != 104);
            assert_eq!((main.definitions().len(), code), (names, expect));
        };
        let many = |count: usize| (0..count).map(|n| format!("p{n} = x\n")).collect::<String>();
        check(many(10_000), 10_000, None);
        check(many(10_000) + "p1 = y\n", 10_000, None);
        check(many(10_003), 10_000, Some(116));
        check("a = b\n".repeat(30_000), 1, None);
    }
}
