//! Findings that another one, of another room, has said better: they are left out.
//!
//! A zone that is dead needs no filter; the words of a remark are no misspelt restrictions. T1.4, T1.5.

use config::{Code, Diagnostic};
use std::collections::{HashMap, HashSet};
use std::path::Path;

/// A zone without a filter (K0412), and what says that the zone is gone: K0450 to K0452.
const UNFILTERED: Code = Code(412);
const GONE: [Code; 3] = [Code(450), Code(451), Code(452)];
/// An unknown restriction (K0400) behind what its writer took for the beginning of a remark (K0401).
const UNKNOWN: Code = Code(400);
const REMARK: Code = Code(401);

/// Leaves out what is covered.
pub(super) fn drop(found: &mut Vec<Diagnostic>) {
    type Spot = (std::path::PathBuf, usize);
    let spot =
        |one: &Diagnostic| -> Option<Spot> { Some((one.place.path().map(Path::to_owned)?, one.place.start)) };
    let gone: HashSet<Spot> = found.iter().filter(|one| GONE.contains(&one.code)).filter_map(spot).collect();
    let mut remarks: HashMap<std::path::PathBuf, Vec<(usize, usize)>> = HashMap::new();
    for one in found.iter().filter(|one| one.code == REMARK) {
        let Some(file) = &one.place.file else { continue };
        let rest = file.text.get(one.place.start..).unwrap_or_default();
        let end = one.place.start + rest.lines().next().map_or(0, str::len);
        remarks.entry(file.path.clone()).or_default().push((one.place.start, end));
    }
    found.retain(|one| match one.code {
        UNFILTERED => !spot(one).is_some_and(|spot| gone.contains(&spot)),
        UNKNOWN => !spot(one).is_some_and(|(path, at)| {
            remarks.get(&path).is_some_and(|all| all.iter().any(|(from, to)| (*from..*to).contains(&at)))
        }),
        _ => true,
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
        check("", &[(412, 0), (400, 0)], &[412, 400]);
    }
}
