//! A comma that is missing in a list that otherwise has them. Blanks part words as well: nothing is lost by it.
//!
//! A restriction and its argument are one entry. Words of a remark (K0401, K0135) and lists without commas aren't
//! looked at. K0169, one for each list. T1.5.

use super::Subject;
use crate::conf::{LineKind, is_space};
use crate::registry::{self, Kind};
use crate::traced::Traced;
use crate::{Diagnostic, Place, Spanned};
use std::collections::HashSet;

pub(super) fn review(subject: &Subject<'_>, found: &mut Vec<Diagnostic>) {
    let classes = subject.parameters.list("smtpd_restriction_classes");
    let classes: HashSet<&str> = classes.iter().map(|class| class.value.as_str()).collect();
    let is_list = |name: &str| {
        classes.contains(name) || registry::find(name).is_some_and(|parameter| parameter.kind == Kind::List)
    };
    for (name, definition) in subject.main.definitions() {
        if is_list(name) {
            found.extend(missing(name, &definition.value.words()));
        }
    }
    let overrides = subject.master.services.iter().flat_map(|service| &service.overrides);
    for one in overrides.filter(|one| is_list(&one.name.value)) {
        found.extend(missing(&one.name.value, &Traced::from_spanned(&one.value).words()));
    }
}

/// The hint about a list, with all its missing commas as one repair.
fn missing(name: &str, words: &[Spanned<String>]) -> Option<Diagnostic> {
    let mut commas = 0_usize;
    let mut gaps: Vec<&Place> = Vec::new();
    let mut in_remark = false;
    for pair in words.windows(2) {
        let [word, next] = pair else { continue };
        let between = between(&word.place, &next.place)?;
        in_remark |= is_remark(&word.value);
        let goes_on = in_remark || takes_more(&word.value);
        if between.contains('\n') {
            in_remark = false;
        }
        if has_comma(between) {
            commas += 1;
        } else if !goes_on && !is_remark(&next.value) {
            gaps.push(&word.place);
        }
    }
    let first = *gaps.first()?;
    if commas < gaps.len() {
        return None;
    }
    let more = match gaps.len() {
        1 => String::new(),
        number => format!(", and {} more", number - 1),
    };
    let message = format!("a comma is missing behind `{}` in {name}{more}", first.text());
    let diagnostic = Diagnostic::hint(169, first.clone(), message).help(
        "white space separates as well, so nothing is lost; the other entries of this list have commas",
    );
    Some(match mended(&gaps) {
        Some((place, text)) => diagnostic.fix(place, text),
        None => diagnostic,
    })
}

/// What the file has from one word to the next; `None` where they don't stand in one file in this order.
fn between<'p>(word: &'p Place, next: &Place) -> Option<&'p str> {
    let file = word.file.as_ref().filter(|file| Some(*file) == next.file.as_ref())?;
    file.text.get(word.end..next.start)
}

/// Whether a comma stands there, outside of comment lines.
fn has_comma(between: &str) -> bool {
    let mut lines = between.split('\n');
    let first = lines.next().unwrap_or("");
    first.contains(',') || lines.any(|line| LineKind::of(line) != LineKind::Passed && line.contains(','))
}

fn is_remark(word: &str) -> bool {
    word.starts_with("//") || word.starts_with('#') || word.starts_with("/*")
}

/// Whether what follows belongs to this word: a restriction's argument, or the restriction that it changes.
fn takes_more(word: &str) -> bool {
    let word = word.to_ascii_lowercase();
    let starts = ["check_", "reject_rbl_", "reject_rhsbl_", "permit_dnswl_", "permit_rhswl_"];
    matches!(word.as_str(), "sleep" | "warn_if_reject" | "\\")
        || word != "check_relay_domains" && starts.iter().any(|start| word.starts_with(start))
}

/// From the first gap to the last, with the commas in it.
fn mended(gaps: &[&Place]) -> Option<(Place, String)> {
    let (first, last) = (gaps.first()?, gaps.last()?);
    let file = first.file.as_ref()?;
    let mut text = String::new();
    let mut at = first.end;
    for gap in gaps {
        text.push_str(file.text.get(at..gap.end)?);
        text.push(',');
        at = gap.end;
    }
    let place = Place::new(file, first.end, last.end);
    (!text.trim_matches(is_space).is_empty()).then_some((place, text))
}
