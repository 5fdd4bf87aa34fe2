//! Findings that another one, of another room, has said better: they are left out.
//!
//! A zone that is dead needs no filter; the words of a remark are no misspelt restrictions; a table that nothing opens
//! here isn't missed. T1.4, T1.5.

use config::{Code, Diagnostic};
use std::collections::{HashMap, HashSet};
use std::path::Path;

/// What is left out where one of the others stands at the same place.
const COVERED: [(Code, &[Code]); 6] = [
    // Nothing opens the table here yet (K0502).
    (Code(304), &[Code(502)]),
    // A zone without a filter, or that doesn't work: it is known to be gone.
    (Code(412), &[Code(450), Code(451), Code(452)]),
    (Code(625), &[Code(450), Code(451), Code(452)]),
    // The same about a list that main.cf alone shows to be of no use.
    (Code(445), &[Code(165)]),
    (Code(444), &[Code(166)]),
    // An empty class: Postfix stops at it.
    (Code(461), &[Code(139)]),
];
/// An unknown restriction (K0400) behind what its writer took for the beginning of a remark (K0401).
const UNKNOWN: Code = Code(400);
const REMARK: Code = Code(401);

/// Leaves out what is covered.
pub(super) fn drop(found: &mut Vec<Diagnostic>) {
    type Spot = (std::path::PathBuf, usize);
    let spot =
        |one: &Diagnostic| -> Option<Spot> { Some((one.place.path().map(Path::to_owned)?, one.place.start)) };
    let said: HashSet<(Code, Spot)> = found.iter().filter_map(|one| Some((one.code, spot(one)?))).collect();
    let mut remarks: HashMap<std::path::PathBuf, Vec<(usize, usize)>> = HashMap::new();
    for one in found.iter().filter(|one| one.code == REMARK) {
        let Some(file) = &one.place.file else { continue };
        let rest = file.text.get(one.place.start..).unwrap_or_default();
        let end = one.place.start + rest.lines().next().map_or(0, str::len);
        remarks.entry(file.path.clone()).or_default().push((one.place.start, end));
    }
    found.retain(|one| {
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
    }
}
