//! master.cf with services replaced, removed or commented out, or with fields and `-o` settings changed.
//!
//! An entry that isn't asked for stays byte for byte. One that is changed is laid out anew, as `postconf -Mf`
//! prints it, and the comments between its lines stand before it.

use super::entry::{BAD_FIELD_COUNT, Entry, FIELDS};
use super::fold::Folding;
use super::{LineKind, Refused, is_space, printable, split_setting};

/// What is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MasterEdit {
    /// `-Me service/type=line`
    SetEntry,
    /// `-MX service/type`
    RemoveEntry,
    /// `-M# service/type`
    CommentOutEntry,
    /// `-Fe service/type/field=value`
    SetField,
    /// `-Pe service/type/parameter=value`
    SetParameter,
    /// `-PX service/type/parameter`
    RemoveParameter,
}

/// One word behind the options.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MasterRequest {
    word: String,
    service: String,
    kind: String,
    /// The field or parameter.
    name: String,
    value: String,
    entry: Option<Entry>,
    warnings: Vec<String>,
}

impl MasterEdit {
    const fn takes_value(self) -> bool {
        matches!(self, MasterEdit::SetEntry | MasterEdit::SetField | MasterEdit::SetParameter)
    }

    const fn parts(self) -> usize {
        match self {
            MasterEdit::SetEntry | MasterEdit::RemoveEntry | MasterEdit::CommentOutEntry => 2,
            MasterEdit::SetField | MasterEdit::SetParameter | MasterEdit::RemoveParameter => 3,
        }
    }

    const fn shape(self) -> &'static str {
        match self {
            MasterEdit::SetEntry | MasterEdit::RemoveEntry | MasterEdit::CommentOutEntry => {
                "-Me, -MX or -M# requires service_name/type"
            }
            MasterEdit::SetField => "-Fe or -FX requires service_name/type/field_name",
            MasterEdit::SetParameter | MasterEdit::RemoveParameter => {
                "-Pe or -PX requires service_name/type/parameter"
            }
        }
    }
}

impl MasterRequest {
    /// Reads a word of the command line.
    pub fn parse(edit: MasterEdit, word: &str) -> Result<MasterRequest, Refused> {
        if word.contains('\n') {
            return Err(Refused::new("-e, -X, or -# accepts no multi-line input"));
        }
        let word = word.trim_start_matches(is_space);
        if word.starts_with('#') {
            return Err(Refused::new("-e, -X, or -# accepts no comment input"));
        }
        let (name, value) = if edit.takes_value() { split_setting(word)? } else { (word, "") };
        let parts: Vec<&str> = name.split('/').collect();
        if parts.len() != edit.parts() || parts.iter().any(|part| part.is_empty()) {
            return Err(Refused::new(edit.shape()));
        }
        let part = |at: usize| parts.get(at).copied().unwrap_or_default().to_owned();
        let mut request = MasterRequest {
            word: word.to_owned(),
            service: part(0),
            kind: part(1),
            name: part(2),
            value: value.to_owned(),
            entry: None,
            warnings: Vec::new(),
        };
        request.check(edit)?;
        Ok(request)
    }

    fn check(&mut self, edit: MasterEdit) -> Result<(), Refused> {
        match edit {
            MasterEdit::SetEntry => {
                let entry = Entry::parse(&self.value, &mut self.warnings).map_err(|Refused(why)| {
                    Refused(if why == BAD_FIELD_COUNT { format!("{why}: \"{}\"", self.word) } else { why })
                })?;
                self.entry = Some(entry);
            }
            MasterEdit::SetField => {
                if !FIELDS.contains(&self.name.as_str()) {
                    return Err(Refused(format!("invalid service attribute name: \"{}\"", self.name)));
                }
                if self.name != "command" && self.value.contains(is_space) {
                    return Err(Refused::new("-Fe does not accept whitespace in non-command field"));
                }
            }
            MasterEdit::SetParameter | MasterEdit::RemoveParameter if self.name == "*" => {
                return Err(Refused::new("-Pe does not accept wild-card parameter name"));
            }
            MasterEdit::SetParameter if self.value.contains(is_space) => {
                return Err(Refused::new("-Pe does not accept whitespace in parameter value"));
            }
            _ => {}
        }
        Ok(())
    }

    fn matches(&self, service: &str, kind: &str) -> bool {
        let is = |pattern: &str, word: &str| pattern == "*" || pattern == word;
        is(&self.service, service) && is(&self.kind, kind)
    }
}

/// `text` with `requests` done, and warnings. `path` is how refusals name the file.
pub fn edit_master(
    text: &str,
    path: &str,
    edit: MasterEdit,
    requests: &[MasterRequest],
) -> Result<(String, Vec<String>), Refused> {
    let warnings = requests.iter().flat_map(|request| request.warnings.iter().cloned()).collect();
    let hits = vec![false; requests.len()];
    let mut editor = Editor { edit, requests, hits, out: String::new(), warnings };
    let mut chunk = Chunk::default();
    for (index, line) in text.split_inclusive('\n').enumerate() {
        if LineKind::of(line) == LineKind::Start {
            editor.chunk(&std::mem::take(&mut chunk), path)?;
        }
        chunk.lines.push(line);
        chunk.last = index + 1;
    }
    editor.chunk(&chunk, path)?;
    editor.finish();
    Ok((editor.out, editor.warnings))
}

/// The lines from the start of one entry to the start of the next.
#[derive(Default)]
struct Chunk<'a> {
    lines: Vec<&'a str>,
    last: usize,
}

impl<'a> Chunk<'a> {
    /// The entry's own lines, without comments and blank lines.
    fn own(&self) -> impl Iterator<Item = &'a str> {
        self.lines.iter().copied().filter(|line| LineKind::of(line) != LineKind::Passed)
    }

    fn logical(&self) -> String {
        self.own().map(|line| line.trim_end_matches('\n')).collect()
    }
}

struct Editor<'a> {
    edit: MasterEdit,
    requests: &'a [MasterRequest],
    /// Which requests were met.
    hits: Vec<bool>,
    out: String,
    warnings: Vec<String>,
}

impl Editor<'_> {
    fn chunk(&mut self, chunk: &Chunk<'_>, path: &str) -> Result<(), Refused> {
        let logical = chunk.logical();
        let mut words = logical.split(is_space).filter(|word| !word.is_empty());
        let is_entry = !logical.is_empty() && !logical.starts_with(is_space);
        let (Some(service), Some(kind), true) = (words.next(), words.next(), is_entry) else {
            if is_entry {
                return Err(Refused(format!("file {path}: line {}: {BAD_FIELD_COUNT}", chunk.last)));
            }
            chunk.lines.iter().for_each(|line| self.out.push_str(line));
            return Ok(());
        };
        let meant: Vec<usize> = (0..self.requests.len())
            .filter(|at| self.requests.get(*at).is_some_and(|request| request.matches(service, kind)))
            .collect();
        let Some(&last) = meant.last() else {
            chunk.lines.iter().for_each(|line| self.out.push_str(line));
            return Ok(());
        };
        match self.edit {
            MasterEdit::SetEntry | MasterEdit::RemoveEntry | MasterEdit::CommentOutEntry => {
                self.entry(chunk, last, &meant);
            }
            MasterEdit::SetField | MasterEdit::SetParameter | MasterEdit::RemoveParameter => {
                self.change(chunk, &logical, &meant, path)?;
            }
        }
        Ok(())
    }

    /// Replaces, removes or comments out a whole entry.
    fn entry(&mut self, chunk: &Chunk<'_>, request: usize, meant: &[usize]) {
        let before = self.hits.get(request).is_some_and(|hit| *hit);
        for at in meant {
            if let Some(hit) = self.hits.get_mut(*at) {
                *hit = true;
            }
        }
        for (index, line) in chunk.lines.iter().enumerate() {
            match (LineKind::of(line), self.edit) {
                (LineKind::Passed, _) => self.out.push_str(line),
                (_, MasterEdit::CommentOutEntry) => {
                    self.out.push('#');
                    self.out.push_str(line);
                }
                (_, MasterEdit::SetEntry) if index == 0 && !before => self.print(request),
                _ => {}
            }
        }
    }

    fn print(&mut self, request: usize) {
        if let Some(entry) = self.requests.get(request).and_then(|request| request.entry.as_ref()) {
            self.out.push_str(&entry.print(Folding::At80));
            self.out.push('\n');
        }
    }

    /// Changes fields or settings of one entry.
    fn change(
        &mut self,
        chunk: &Chunk<'_>,
        logical: &str,
        meant: &[usize],
        path: &str,
    ) -> Result<(), Refused> {
        let mut entry = Entry::parse(logical, &mut self.warnings).map_err(|Refused(why)| {
            Refused(if why == BAD_FIELD_COUNT {
                format!("file {path}: line {}: {why}", chunk.last)
            } else {
                why
            })
        })?;
        for &at in meant {
            let Some(request) = self.requests.get(at) else { continue };
            if let Some(hit) = self.hits.get_mut(at) {
                *hit = true;
            }
            match self.edit {
                MasterEdit::SetField => entry.set_field(&request.name, &request.value, &mut self.warnings)?,
                MasterEdit::SetParameter => entry.set_parameter(&request.name, &request.value),
                _ => entry.remove_parameter(&request.name),
            }
        }
        let passed = chunk.lines.iter().filter(|line| LineKind::of(line) == LineKind::Passed);
        passed.for_each(|line| self.out.push_str(line));
        self.end_line();
        self.out.push_str(&entry.print(Folding::At80));
        self.out.push('\n');
        Ok(())
    }

    /// Appends a new entry, unless a later request is for the same one.
    fn append(&mut self, at: usize) {
        let later = self.requests.get(at + 1..).unwrap_or_default();
        let same = |request: &MasterRequest| {
            self.requests
                .get(at)
                .is_some_and(|own| (&own.service, &own.kind) == (&request.service, &request.kind))
        };
        if !later.iter().any(same) {
            self.end_line();
            self.print(at);
        }
    }

    fn end_line(&mut self) {
        if !self.out.is_empty() && !self.out.ends_with('\n') {
            self.out.push('\n');
        }
    }

    /// What was asked for and isn't there.
    fn finish(&mut self) {
        let missing: Vec<usize> =
            self.hits.iter().enumerate().filter(|(_, hit)| !**hit).map(|(at, _)| at).collect();
        for at in missing {
            match self.edit {
                MasterEdit::SetEntry => self.append(at),
                MasterEdit::RemoveEntry | MasterEdit::CommentOutEntry => {}
                _ => {
                    let word = self.requests.get(at).map_or("", |request| request.word.as_str());
                    self.warnings.push(format!("unmatched service_name/type: \"{}\"", printable(word)));
                }
            }
        }
    }
}
