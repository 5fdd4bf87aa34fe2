//! Findings that another one, of another room, has said better: they are left out.
//!
//! A zone that is dead needs no filter; the words of a remark are no misspelt restrictions; a table that nothing opens
//! here isn't missed. T1.4, T1.5.

use config::{Code, Diagnostic};
use std::collections::{HashMap, HashSet};
use std::path::Path;

/// What is left out where one of the others stands at the same place.
const COVERED: [(Code, &[Code]); 8] = [
    // Nothing opens the table here yet (K0502).
    (Code(304), &[Code(502)]),
    // A zone without a filter, or that doesn't work: it is known to be gone.
    (Code(412), &[Code(450), Code(451), Code(452), Code(163)]),
    (Code(625), &[Code(450), Code(451), Code(452)]),
    // Why there is no TLS.
    (Code(216), &[Code(510), Code(511), Code(519)]),
    // The same about a list that main.cf alone shows to be of no use.
    (Code(445), &[Code(165)]),
    (Code(444), &[Code(166)]),
    // An empty class: Postfix stops at it.
    (Code(461), &[Code(139)]),
    // A placeholder: that it is no network follows.
    (Code(142), &[Code(163)]),
];
/// Values that are refused. Where a character in one is to blame that nobody sees (K0105) or that only looks like the
/// plain one (K0131), or where the value is a placeholder (K0163), that is said, once, and as badly.
const REFUSED: [u16; 21] =
    [106, 107, 108, 109, 135, 146, 147, 148, 162, 167, 211, 212, 214, 234, 301, 302, 310, 400, 402, 404, 409];
/// Those of them for which a placeholder is to blame.
const NAMES: [u16; 4] = [146, 148, 167, 310];
const PLACEHOLDER: Code = Code(163);
const CAUSES: [Code; 3] = [Code(105), Code(131), PLACEHOLDER];
/// An unknown restriction (K0400) behind what its writer took for the beginning of a remark (K0401).
const UNKNOWN: Code = Code(400);
const REMARK: Code = Code(401);

/// Leaves out what is covered.
pub(super) fn drop(found: &mut Vec<Diagnostic>) {
    by_causes(found);
    type Spot = (std::path::PathBuf, usize);
    let spot =
        |one: &Diagnostic| -> Option<Spot> { Some((one.place.path().map(Path::to_owned)?, one.place.start)) };
    let covers = |code: Code| COVERED.iter().any(|(_, by)| by.contains(&code));
    let said: HashSet<(Code, Spot)> =
        found.iter().filter(|one| covers(one.code)).filter_map(|one| Some((one.code, spot(one)?))).collect();
    let mut remarks: HashMap<std::path::PathBuf, Vec<(usize, usize)>> = HashMap::new();
    for one in found.iter().filter(|one| one.code == REMARK) {
        let Some(file) = &one.place.file else { continue };
        let rest = file.text.get(one.place.start..).unwrap_or_default();
        let end = one.place.start + rest.lines().next().map_or(0, str::len);
        remarks.entry(file.path.clone()).or_default().push((one.place.start, end));
    }
    let may_be = |code: Code| code == UNKNOWN || COVERED.iter().any(|(covered, _)| *covered == code);
    found.retain(|one| {
        if !may_be(one.code) {
            return true;
        }
        let Some(spot) = spot(one) else { return true };
        let covers = COVERED.iter().filter(|(code, _)| *code == one.code).flat_map(|(_, by)| by.iter());
        let is_covered = covers.copied().any(|by| said.contains(&(by, spot.clone())));
        let is_remark = one.code == UNKNOWN
            && remarks
                .get(&spot.0)
                .is_some_and(|all| all.iter().any(|(from, to)| (*from..*to).contains(&spot.1)));
        !is_covered && !is_remark
    });
}

/// A list of many DNS lists without filters says it thrice, and then how many more there are.
const FOLDED: Code = Code(412);
const TOLD_MAX: usize = 3;

/// Folds what repeats itself; `found` is in order.
pub(super) fn fold(mut found: Vec<Diagnostic>) -> Vec<Diagnostic> {
    let many = found.iter().filter(|one| one.code == FOLDED).count();
    if many <= TOLD_MAX + 1 {
        return found;
    }
    let mut told = 0;
    found.retain_mut(|one| {
        if one.code != FOLDED {
            return true;
        }
        told += 1;
        if told == TOLD_MAX + 1 {
            one.message = format!("{} more zones without a filter, from here on", many - TOLD_MAX);
            one.help = Some("write behind each the answers that its list documents".to_owned());
        }
        told <= TOLD_MAX + 1
    });
    found
}

/// Values that are refused for what has been found in them.
fn by_causes(found: &mut Vec<Diagnostic>) {
    let is_cause = |one: &Diagnostic| CAUSES.contains(&one.code);
    let within = |cause: &Diagnostic, value: &Diagnostic| {
        let (inner, outer) = (&cause.place, &value.place);
        inner.file.is_some()
            && inner.path() == outer.path()
            && (cause.code != PLACEHOLDER || NAMES.contains(&value.code.0))
            && (outer.start..=outer.end).contains(&inner.start)
            && inner.end <= outer.end
    };
    let (mut causes, others): (Vec<_>, Vec<_>) = std::mem::take(found).into_iter().partition(is_cause);
    for one in others {
        let blamed = REFUSED
            .contains(&one.code.0)
            .then(|| causes.iter_mut().find(|cause| within(cause, &one)))
            .flatten();
        match blamed {
            Some(cause) => {
                if cause.severity < one.severity {
                    cause.severity = one.severity;
                    let why = format!("{}; {}", one.message, cause.help.take().unwrap_or_default());
                    cause.help = Some(why);
                }
            }
            None => found.push(one),
        }
    }
    found.append(&mut causes);
}

#[cfg(test)]
mod tests {
    use super::*;
    use config::{Place, SourceFile};
    use std::sync::Arc;

    #[track_caller]
    fn check(text: &str, found: &[(u16, usize)], expect: &[u16]) {
        let file = Arc::new(SourceFile { path: "main.cf".into(), text: text.to_owned() });
        let place = |at: &usize| Place::new(&file, *at, *at + 1);
        let mut found: Vec<_> =
            found.iter().map(|(code, at)| Diagnostic::hint(*code, place(at), "x")).collect();
        drop(&mut found);
        assert_eq!(found.iter().map(|one| one.code.0).collect::<Vec<_>>(), expect);
    }

    #[test]
    fn the_better_word_stays() {
        check("zone other", &[(412, 0), (450, 0), (412, 5)], &[450, 412]);
        check("a // our own\n  permitt", &[(401, 2), (400, 5), (400, 9), (400, 15)], &[401, 400]);
        check("table", &[(304, 0), (502, 0), (304, 3)], &[502, 304]);
        check("", &[(412, 0), (400, 0)], &[412, 400]);
        check("x.x.x.x", &[(310, 0), (163, 0)], &[163]);
    }

    #[test]
    fn many_zones() {
        let file = Arc::new(SourceFile { path: "main.cf".into(), text: " ".repeat(20) });
        let zones = |count: usize| -> Vec<Diagnostic> {
            (0..count).map(|at| Diagnostic::hint(412, Place::new(&file, at, at + 1), "x")).collect()
        };
        assert_eq!(fold(zones(4)).len(), 4);
        let folded = fold(zones(9));
        assert_eq!(folded.len(), 4);
        assert!(folded.last().is_some_and(|last| last.message.starts_with("6 more")), "{folded:?}");
    }

    /// A character that spoils a value is told once, as badly as the value.
    #[test]
    fn characters_and_the_values_they_spoil() {
        let file = Arc::new(SourceFile { path: "main.cf".into(), text: "a = yes\u{a0}\n".to_owned() });
        let value = || Diagnostic::error(106, Place::new(&file, 4, 9), "bad value");
        let mut found = vec![Diagnostic::warning(131, Place::new(&file, 7, 9), "a no-break space"), value()];
        drop(&mut found);
        assert_eq!(found.len(), 1);
        assert!(found.iter().all(|one| one.code.0 == 131 && one.severity == config::Severity::Error));
        let mut found = vec![Diagnostic::warning(131, Place::new(&file, 9, 10), "behind it"), value()];
        drop(&mut found);
        assert_eq!(found.len(), 2);
    }
}
