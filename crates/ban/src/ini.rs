//! One file of fail2ban's: sections, options, values over several lines, comments.
//!
//! The dialect is that of Python's configparser with `;` behind white space as an inline comment: option names are
//! lower-cased, `=` or `:` parts name and value, deeper indented lines go on with the value. What a file includes,
//! and what `%(name)s` stands for, is the business of [`crate::layers`]. T2.18.

use config::diagnostic::Diagnostic;
use config::place::{Place, SourceFile};
use std::sync::Arc;

/// The most bytes of a value.
const VALUE_BYTES_MAX: usize = 256 << 10;

/// One `[section]` of one file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Section {
    /// What stands between the brackets.
    pub name: String,
    /// Its header.
    pub place: Place,
    /// Its options, in the file's order.
    pub options: Vec<Setting>,
}

/// One `name = value`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// In lower case.
    pub name: String,
    /// Lines are parted by `\n`; neither white space nor comments around them.
    pub value: String,
    /// Where its name stands.
    pub place: Place,
}

/// Reads a file. What can't be read is left out, and said.
#[must_use]
pub fn parse(file: &Arc<SourceFile>) -> (Vec<Section>, Vec<Diagnostic>) {
    let mut reader =
        Reader { file, sections: Vec::new(), found: Vec::new(), current: None, indent: 0, is_open: false };
    let mut start = 0;
    for line in file.text.split_inclusive('\n') {
        reader.line(line.trim_end_matches(['\n', '\r']), start);
        start += line.len();
    }
    for section in &mut reader.sections {
        for setting in &mut section.options {
            setting.value.truncate(setting.value.trim_end().len());
        }
    }
    (reader.sections, reader.found)
}

struct Reader<'f> {
    file: &'f Arc<SourceFile>,
    sections: Vec<Section>,
    found: Vec<Diagnostic>,
    /// The section that options go to.
    current: Option<usize>,
    /// How far the option is indented that further lines may belong to.
    indent: usize,
    /// Whether there is such an option.
    is_open: bool,
}

impl Reader<'_> {
    fn place(&self, start: usize, length: usize) -> Place {
        Place::new(self.file, start, start + length)
    }

    fn line(&mut self, line: &str, start: usize) {
        let text = line.trim_start();
        let indent = line.len() - text.len();
        if text.starts_with(['#', ';']) {
            return;
        }
        let text = without_comment(text).trim_end();
        if text.is_empty() {
            if self.is_open && line.trim().is_empty() {
                self.append("");
            }
            return;
        }
        if self.is_open && indent > self.indent {
            self.append(text);
            return;
        }
        self.indent = indent;
        let place = self.place(start + indent, text.len());
        if let Some(name) = text.strip_prefix('[').and_then(|rest| Some(rest.rsplit_once(']')?.0)) {
            self.section(name, place);
        } else if let Some(at) = text.find(['=', ':']).filter(|at| *at > 0) {
            let (name, value) = text.split_at_checked(at).unwrap_or((text, ""));
            let place = self.place(start + indent, name.trim_end().len());
            self.option(name.trim_end(), value.get(1..).unwrap_or("").trim(), place);
        } else {
            self.is_open = false;
            let message = "neither a section nor an option";
            self.found
                .push(Diagnostic::error(607, place, message).help(
                    "write `[name]`, `name = value`, or indent the line to go on with the value above",
                ));
        }
    }

    fn section(&mut self, name: &str, place: Place) {
        self.is_open = false;
        let before = self.sections.iter().position(|section| section.name == name);
        if let Some(section) = before.and_then(|at| self.sections.get(at)) {
            let message = format!("section [{name}] stands twice in this file");
            self.found.push(Diagnostic::error(608, place, message).help(format!(
                "the first is at {}; fail2ban doesn't start with such a file: join them, or mend the name",
                section.place
            )));
            self.current = before;
            return;
        }
        self.current = Some(self.sections.len());
        self.sections.push(Section { name: name.to_owned(), place, options: Vec::new() });
    }

    fn option(&mut self, name: &str, value: &str, place: Place) {
        let Some(section) = self.current.and_then(|at| self.sections.get_mut(at)) else {
            let message = "an option before the first section";
            self.found
                .push(Diagnostic::error(607, place, message).help("put `[DEFAULT]` or a jail's name above"));
            self.is_open = false;
            return;
        };
        let name = name.to_lowercase();
        if let Some(before) = section.options.iter().find(|option| option.name == name) {
            let message = format!("`{name}` stands twice in section [{}]", section.name);
            self.found.push(
                Diagnostic::error(608, place.clone(), message).help(format!(
                    "the first is at {}; fail2ban doesn't start with such a file",
                    before.place
                )),
            );
        }
        section.options.retain(|option| option.name != name);
        section.options.push(Setting { name, value: value.to_owned(), place });
        self.is_open = true;
    }

    fn append(&mut self, text: &str) {
        let section = self.current.and_then(|at| self.sections.get_mut(at));
        let Some(setting) = section.and_then(|section| section.options.last_mut()) else { return };
        if setting.value.len() + text.len() < VALUE_BYTES_MAX {
            setting.value.push('\n');
            setting.value.push_str(text);
        }
    }
}

/// The text before a `;` that stands behind white space.
fn without_comment(text: &str) -> &str {
    let mut before = ' ';
    for (at, c) in text.char_indices() {
        if c == ';' && before.is_whitespace() {
            return text.get(..at).unwrap_or(text);
        }
        before = c;
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::{Expect, expect};

    fn check(text: &str, expect: &Expect) {
        let file = Arc::new(SourceFile { path: "f".into(), text: text.to_owned() });
        let (sections, found) = parse(&file);
        let mut out = String::new();
        for section in sections {
            out += &format!("[{}]\n", section.name);
            for option in section.options {
                out += &format!("{} = {:?} at {}\n", option.name, option.value, option.place);
            }
        }
        found.iter().for_each(|diagnostic| out += &format!("{diagnostic}\n"));
        expect.assert_eq(&out);
    }

    #[test]
    fn sections_options_comments() {
        check(
            "# x\n[A]\na = one ; comment\n  two ;no\n# within\n  three # kept;kept\n\n  four\n  ; gone\nB:c=d\n  [x\n\n",
            &expect![[r#"
                [A]
                a = "one\ntwo\nthree # kept;kept\n\nfour" at f:3:1
                b = "c=d\n[x" at f:10:1
            "#]],
        );
        check(
            "a=1\n[A]\nx\nb=\n[A]\nb = 2\nc\n",
            &expect![[r#"
                [A]
                b = "2" at f:6:1
                f:1:1: error[K0607]: an option before the first section; put `[DEFAULT]` or a jail's name above
                f:3:1: error[K0607]: neither a section nor an option; write `[name]`, `name = value`, or indent the line to go on with the value above
                f:5:1: error[K0608]: section [A] stands twice in this file; the first is at f:2:1; fail2ban doesn't start with such a file: join them, or mend the name
                f:6:1: error[K0608]: `b` stands twice in section [A]; the first is at f:4:1; fail2ban doesn't start with such a file
                f:7:1: error[K0607]: neither a section nor an option; write `[name]`, `name = value`, or indent the line to go on with the value above
            "#]],
        );
    }
}
