//! The safe repairs of a list of findings: which of them go together, what the files become, and the patch.
//!
//! Nothing is written here. An edit that touches another is left for the next run; the worst finding's goes first.

mod trial;

pub use trial::Trial;

use config::{Diagnostic, Fix, SourceFile};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

/// Lines that are shown around a change.
const CONTEXT: usize = 3;

/// One file with its repairs.
#[derive(Clone, Debug)]
pub struct Repair {
    /// The file as it was read.
    pub file: Arc<SourceFile>,
    /// What is replaced, by place; none touches another.
    edits: BTreeMap<usize, Edit>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Edit {
    range: Range<usize>,
    replacement: String,
}

/// What a run would mend.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    /// The files, by path.
    pub repairs: Vec<Repair>,
    /// Findings that are mended.
    pub mended: usize,
    /// Repairs that wait for the next run.
    pub waiting: usize,
}

impl Plan {
    /// The repairs of `found`, whose order says which go first.
    #[must_use]
    pub fn of(found: &[Diagnostic]) -> Plan {
        let mut by_path: BTreeMap<&Path, Repair> = BTreeMap::new();
        let mut plan = Plan::default();
        for fix in found.iter().filter_map(|one| one.fix.as_ref()) {
            let Some(file) = &fix.place.file else { continue };
            let fresh = || Repair { file: Arc::clone(file), edits: BTreeMap::new() };
            let repair = by_path.entry(file.path.as_path()).or_insert_with(fresh);
            if repair.add(fix) {
                plan.mended += 1;
            } else {
                plan.waiting += 1;
            }
        }
        plan.repairs = by_path.into_values().filter(|repair| !repair.edits.is_empty()).collect();
        plan
    }

    /// All files' changes as one unified diff.
    #[must_use]
    pub fn patch(&self) -> String {
        self.repairs.iter().map(Repair::patch).collect()
    }
}

impl Repair {
    /// Takes `fix`, or one that is the same; `false` where it touches another.
    fn add(&mut self, fix: &Fix) -> bool {
        let edit = Edit { range: fix.place.start..fix.place.end, replacement: fix.replacement.clone() };
        let text = self.file.text.as_str();
        let same_file = fix.place.file.as_ref().is_some_and(|file| {
            // By its address first: the text may be long, and its repairs many.
            Arc::ptr_eq(file, &self.file) || file.text == text
        });
        if !same_file || text.get(edit.range.clone()).is_none() {
            return false;
        }
        let before = self.edits.range(..=edit.range.start).next_back().map(|(_, before)| before);
        let behind = self.edits.range(edit.range.start..).next().map(|(_, behind)| behind);
        if before == Some(&edit) {
            return true;
        }
        // Two that begin at one place touch, even where both take nothing away.
        let clear = before
            .is_none_or(|one| one.range.end <= edit.range.start && one.range.start != edit.range.start)
            && behind.is_none_or(|one| edit.range.end <= one.range.start);
        if clear {
            self.edits.insert(edit.range.start, edit);
        }
        clear
    }

    /// The file's text with the edits made.
    #[must_use]
    pub fn text(&self) -> String {
        self.mended(0..self.file.text.len(), self.edits.values())
    }

    fn mended<'e>(&self, range: Range<usize>, edits: impl Iterator<Item = &'e Edit>) -> String {
        let mut out = String::new();
        let mut at = range.start;
        let copy = |out: &mut String, from: usize, to: usize| {
            out.push_str(self.file.text.get(from..to).unwrap_or_default());
        };
        for edit in edits {
            copy(&mut out, at, edit.range.start);
            out.push_str(&edit.replacement);
            at = edit.range.end;
        }
        copy(&mut out, at, range.end);
        out
    }

    /// The change as a unified diff, for people and for patch(1).
    fn patch(&self) -> String {
        let path = self.file.path.display();
        let mut out = format!("--- {path}\n+++ {path}\n");
        let starts = line_starts(&self.file.text);
        let mut grown = 0_isize;
        for hunk in self.hunks(&starts) {
            grown += hunk.write(self, &starts, grown, &mut out);
        }
        out
    }

    /// Changes that are near each other, each a stretch of whole lines.
    fn hunks(&self, starts: &[usize]) -> Vec<Hunk<'_>> {
        let mut hunks: Vec<Hunk<'_>> = Vec::new();
        for edit in self.edits.values() {
            let first = line_at(starts, edit.range.start);
            // What replaces whole lines ends where the next line begins.
            let until = match starts.binary_search(&edit.range.end) {
                Ok(next) if edit.ends_a_line(starts) => next,
                _ => line_at(starts, edit.range.end) + 1,
            };
            let change = Change { lines: first..until.max(first + 1), edits: vec![edit] };
            match hunks.last_mut() {
                Some(hunk) if hunk.end() + 2 * CONTEXT >= first => hunk.add(change),
                _ => hunks.push(Hunk { changes: vec![change] }),
            }
        }
        hunks
    }

    /// The text of lines `range`, counted from 0.
    fn lines(&self, range: Range<usize>, starts: &[usize]) -> &str {
        let at = |line: usize| starts.get(line).copied().unwrap_or(self.file.text.len());
        self.file.text.get(at(range.start)..at(range.end)).unwrap_or_default()
    }
}

impl Edit {
    /// Whether what stands behind it begins a line, as before.
    fn ends_a_line(&self, starts: &[usize]) -> bool {
        let takes_lines = self.replacement.is_empty() && starts.binary_search(&self.range.start).is_ok();
        !self.range.is_empty() && (takes_lines || self.replacement.ends_with('\n'))
    }
}

/// Lines that become others.
struct Change<'e> {
    lines: Range<usize>,
    edits: Vec<&'e Edit>,
}

struct Hunk<'e> {
    changes: Vec<Change<'e>>,
}

impl<'e> Hunk<'e> {
    fn end(&self) -> usize {
        self.changes.last().map_or(0, |change| change.lines.end)
    }

    fn add(&mut self, change: Change<'e>) {
        match self.changes.last_mut() {
            // The same line twice, or the next: one change.
            Some(last) if last.lines.end >= change.lines.start => {
                last.lines.end = last.lines.end.max(change.lines.end);
                last.edits.extend(change.edits);
            }
            _ => self.changes.push(change),
        }
    }

    /// Writes it; by how many lines the text grows.
    fn write(&self, repair: &Repair, starts: &[usize], grown: isize, out: &mut String) -> isize {
        let first = self.changes.first().map_or(0, |change| change.lines.start);
        let from = first.saturating_sub(CONTEXT);
        let until = (self.end() + CONTEXT).min(count(&repair.file.text, starts));
        let mut body = String::new();
        let (mut old, mut new) = (0_usize, 0_usize);
        let mut at = from;
        for change in &self.changes {
            old += prefixed(' ', repair.lines(at..change.lines.start, starts), &mut body);
            let begin = starts.get(change.lines.start).copied().unwrap_or(repair.file.text.len());
            let end = starts.get(change.lines.end).copied().unwrap_or(repair.file.text.len());
            old += prefixed('-', repair.lines(change.lines.clone(), starts), &mut body);
            new += prefixed('+', &repair.mended(begin..end, change.edits.iter().copied()), &mut body);
            at = change.lines.end;
        }
        old += prefixed(' ', repair.lines(at..until, starts), &mut body);
        let kept = body.lines().filter(|line| line.starts_with(' ')).count();
        new += kept;
        let behind = from.saturating_add_signed(grown);
        // Writing to a string can't fail.
        let _ = writeln!(out, "@@ -{} +{} @@", span(from, old), span(behind, new));
        out.push_str(&body);
        isize::try_from(new).unwrap_or(0) - isize::try_from(old).unwrap_or(0)
    }
}

/// `START,LINES` of a hunk; one that is empty names the line before it.
fn span(start: usize, lines: usize) -> String {
    format!("{},{lines}", if lines == 0 { start } else { start + 1 })
}

/// Writes each line behind `mark`; how many.
fn prefixed(mark: char, text: &str, out: &mut String) -> usize {
    let mut lines = 0;
    for line in text.split_inclusive('\n') {
        lines += 1;
        out.push(mark);
        out.push_str(line);
        if !line.ends_with('\n') {
            out.push_str("\n\\ No newline at end of file\n");
        }
    }
    lines
}

fn line_starts(text: &str) -> Vec<usize> {
    let behind = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n').map(|(at, _)| at + 1);
    std::iter::once(0).chain(behind).collect()
}

/// The line that holds byte `at`, from 0.
fn line_at(starts: &[usize], at: usize) -> usize {
    starts.partition_point(|start| *start <= at).saturating_sub(1)
}

/// Lines of a text; the last one may lack its newline.
fn count(text: &str, starts: &[usize]) -> usize {
    if text.is_empty() || text.ends_with('\n') { starts.len() - 1 } else { starts.len() }
}

#[cfg(test)]
mod tests;
