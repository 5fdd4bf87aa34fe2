//! What reports tell of a line beside the expression that decides: all the others that match it, as fail2ban-regex
//! counts them, and which earlier lines a match joined.

use super::{Fields, Filter, LINE_BYTES_MAX, Marks, Outcome, Reader, cut_out};
use std::sync::Arc;

/// An expression that matches a line behind the one that decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Also {
    /// Which, counted from 0.
    pub rule: usize,
    /// By it, the line is no failure (`<F-NOFAIL>`, a log-in): fail2ban-regex counts the line among those ignored.
    pub is_let_go: bool,
}

impl Reader {
    /// How many lines were looked at.
    #[must_use]
    pub fn looked_at(&self) -> u64 {
        self.lines
    }

    /// The numbers, counted from 1 by [`Reader::looked_at`], of the lines that the last match joined.
    #[must_use]
    pub fn joined_lines(&self) -> &[u64] {
        &self.joined
    }

    /// The expressions that match a line behind the one that decided; all, where the line was let go. Each is another
    /// line of its session, as it is for fail2ban-regex.
    #[must_use]
    pub fn also(&mut self, line: &[u8], outcome: &Outcome, now_us: i64) -> Vec<Also> {
        let filter = Arc::clone(&self.filter);
        let decided = match outcome {
            Outcome::Failed(failure) => Some(failure.rule),
            Outcome::Noted { rule, .. } => Some(*rule),
            Outcome::Ignored { .. } => None,
            Outcome::Missed => return Vec::new(),
        };
        if filter.lines > 1 || (decided.is_none() && filter.is_ignored_first()) {
            return Vec::new();
        }
        let lossy = String::from_utf8_lossy(line.get(..LINE_BYTES_MAX).unwrap_or(line));
        let line = lossy.as_bytes();
        let date = filter.dates.find(line, &mut self.zone, now_us);
        let line = cut_out(line, date.as_ref());
        self.others(&filter, &line, decided)
    }

    fn others(&mut self, filter: &Filter, line: &[u8], decided: Option<usize>) -> Vec<Also> {
        let (mut of_prefix, mut marks_of_prefix) = (Fields::default(), Marks::default());
        let (mut content, mut session) = (line, None);
        if let Some(prefix) = &filter.prefix {
            let Some(spans) = prefix.pattern.find(line) else { return Vec::new() };
            prefix.groups.take(line, &spans, &mut of_prefix, &mut marks_of_prefix);
            let part = |group: Option<usize>| {
                let (start, end) = spans.get(group?)?;
                line.get(start..end)
            };
            session = part(prefix.groups.mlfid);
            content = part(prefix.groups.content).unwrap_or(line);
        }
        let mut found = Vec::new();
        let behind = |rule: &usize| decided.is_none_or(|decided| *rule > decided);
        for rule in filter.quick.rules(content, filter.rules.len()).into_iter().filter(behind) {
            let Some(asked) = filter.rules.get(rule) else { continue };
            let Some(spans) = asked.pattern.find(content) else { continue };
            let (mut fields, mut marks) = (of_prefix.clone(), marks_of_prefix);
            asked.groups.take(content, &spans, &mut fields, &mut marks);
            let own = asked.groups.mlfid.and_then(|group| spans.get(group));
            let session = own.and_then(|(start, end)| content.get(start..end)).or(session);
            let is_let_go = match session.filter(|_| decided.is_some()) {
                Some(id) => {
                    self.sessions.line(id, fields, marks).is_none() && (marks.no_fail || marks.gained)
                }
                None if !fields.has_id() => continue,
                None => marks.no_fail,
            };
            found.push(Also { rule, is_let_go });
        }
        found
    }
}
