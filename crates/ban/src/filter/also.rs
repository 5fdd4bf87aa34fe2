//! What reports tell of a line beside the expression that decides: all the others that match it, as fail2ban-regex
//! counts them, and which earlier lines a match joined.

use super::quick::{Head, Ways};
use super::{Fields, Filter, Marks, Reader, Rule};
use crate::pattern::Grouped;

/// An expression that matches a line behind the one that decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Also {
    /// Which, counted from 0.
    pub rule: usize,
    /// By it, the line is no failure (`<F-NOFAIL>`, a log-in): fail2ban-regex counts the line among those ignored.
    pub is_let_go: bool,
}

/// What an expression beside the one that decides captured.
#[derive(Debug)]
pub(super) struct Other {
    rule: usize,
    fields: Fields,
    marks: Marks,
    session: Option<Vec<u8>>,
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

    /// What the other expressions make of a line, one by one. Each is another line of its session where one of them
    /// decided, as it is for fail2ban-regex; they leave the sessions alone where the line was ignored.
    pub(super) fn others(&mut self, others: Vec<Other>, is_decided: bool) -> Vec<Also> {
        let mut found = Vec::new();
        for Other { rule, fields, marks, session } in others {
            let is_let_go = match session.filter(|_| is_decided) {
                Some(id) => {
                    self.sessions.line(&id, fields, marks).is_none() && (marks.no_fail || marks.gained)
                }
                None if !fields.has_id() => continue,
                None => marks.no_fail,
            };
            found.push(Also { rule, is_let_go });
        }
        found
    }
}

impl Filter {
    /// What these expressions capture of a line without its date, of that kind; `content` is what they are asked about.
    pub(super) fn others(
        &self,
        (rules, kind): (&[usize], u32),
        ways: &mut Ways,
        line: &[u8],
        content: &[u8],
    ) -> Vec<Other> {
        if rules.is_empty() {
            return Vec::new();
        }
        let (mut of_prefix, mut marks_of_prefix) = (Fields::default(), Marks::default());
        let part = |span: Option<(usize, usize)>| span.and_then(|(start, end)| line.get(start..end));
        let mut session = None;
        if let Some(prefix) = &self.prefix {
            if let Head::Found(groups, spans, _) = self.quick.head(line, ways) {
                groups.take(line, spans, &mut of_prefix, &mut marks_of_prefix);
                session = part(groups.mlfid.and_then(|group| spans.group(group)));
            } else if let Some(spans) = prefix.pattern.find(line) {
                prefix.groups.take(line, &spans, &mut of_prefix, &mut marks_of_prefix);
                session = part(prefix.groups.mlfid.and_then(|group| spans.get(group)));
            }
        }
        of_prefix.kind = kind;
        let other = |rule: &usize| {
            let Rule { pattern, groups } = self.rules.get(*rule)?;
            let spans = pattern.find_likely(content)?;
            let (mut fields, mut marks) = (of_prefix.clone(), marks_of_prefix);
            groups.take(content, &spans, &mut fields, &mut marks);
            let own = groups.mlfid.and_then(|group| spans.get(group));
            let session =
                own.and_then(|(start, end)| content.get(start..end)).or(session).map(<[u8]>::to_vec);
            Some(Other { rule: *rule, fields, marks, session })
        };
        rules.iter().filter_map(other).collect()
    }
}
