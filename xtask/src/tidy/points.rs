//! The tutorials' points (`T2.13`): each is cited by a test, or stands in docs/internals/open-points.md.
//!
//! That list only shrinks: a point that a test cites may not stand there any longer (`xtask generate` drops it),
//! but for a line that says what part of it is still open (`- T1.14, partly: …`).

use crate::tree::{File, Tree};
use std::collections::BTreeSet;

/// The points of the three tutorials: T0.1 to T0.6, and so on.
const POINTS: [(u8, u8); 3] = [(0, 6), (1, 15), (2, 30)];

/// Where points without a test stand.
pub(crate) const OPEN: &str = "docs/internals/open-points.md";

/// How a line says that some of the point has a test.
const PARTLY: &str = ", partly: ";

type Point = (u8, u8);

pub(super) fn check(tree: &Tree) -> Vec<String> {
    let mut faults = Vec::new();
    for file in tree.files.iter().filter(|file| !file.path.starts_with("xtask/")) {
        for point in cited(&file.text).difference(&known()) {
            faults.push(format!("{}: there is no point {}", file.path, shown(*point)));
        }
    }
    let tested = tested(tree);
    let page = tree.file(OPEN).map_or("", |file| file.text.as_str());
    // A line that says what part is missing neither excuses nor is in the way.
    let whole: Vec<&str> = page.lines().filter(|line| !line.contains(PARTLY)).collect();
    let open = cited(&whole.join("\n"));
    for point in known() {
        match (tested.contains(&point), open.contains(&point)) {
            (false, false) => {
                faults.push(format!("{OPEN}: no test cites {}, and it doesn't stand here", shown(point)))
            }
            (true, true) => faults.push(format!("{OPEN}: {} has a test and may go", shown(point))),
            _ => {}
        }
    }
    faults
}

/// The page of open points without those that have a test by now; `None` where there is no page.
pub(crate) fn open_points(tree: &Tree) -> Option<String> {
    let tested = tested(tree);
    let page = &tree.file(OPEN)?.text;
    let stays = |line: &&str| {
        let of_point = line.strip_prefix("- ").is_some_and(|rest| rest.starts_with('T'));
        !(of_point && !line.contains(PARTLY) && cited(line).iter().all(|point| tested.contains(point)))
    };
    Some(page.lines().filter(stays).flat_map(|line| [line, "\n"]).collect())
}

fn known() -> BTreeSet<Point> {
    POINTS.iter().flat_map(|(tutorial, last)| (1..=*last).map(move |point| (*tutorial, point))).collect()
}

fn tested(tree: &Tree) -> BTreeSet<Point> {
    let tests = tree.files.iter().filter(|file| !file.path.starts_with("xtask/"));
    tests.flat_map(|file: &File| cited(file.test_part())).collect()
}

fn shown((tutorial, point): Point) -> String {
    format!("T{tutorial}.{point}")
}

/// Every `T1.2` of a text, and both ends and what lies between in `T1.6–T1.9`.
fn cited(text: &str) -> BTreeSet<Point> {
    let mut found = BTreeSet::new();
    let mut before: Option<(usize, Point)> = None;
    for (at, _) in text.match_indices('T') {
        let starts_a_word =
            text.get(..at).and_then(|head| head.chars().next_back()).is_none_or(|c| !c.is_alphanumeric());
        let Some((point, length)) = text.get(at + 1..).filter(|_| starts_a_word).and_then(number) else {
            continue;
        };
        if let Some((end, (tutorial, first))) = before
            && matches!(text.get(end..at), Some("–" | " to "))
            && tutorial == point.0
        {
            found.extend((first..=point.1).map(|between| (tutorial, between)));
        }
        found.insert(point);
        before = Some((at + 1 + length, point));
    }
    found
}

/// `1.23` at the start of a text, and its length.
fn number(text: &str) -> Option<(Point, usize)> {
    let (tutorial, rest) = text.split_once('.')?;
    let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
    let follows = rest.get(digits..)?.chars().next().is_some_and(char::is_alphabetic);
    if tutorial.len() != 1 || digits == 0 || digits > 2 || follows {
        return None;
    }
    Some(((tutorial.parse().ok()?, rest.get(..digits)?.parse().ok()?), 2 + digits))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn citations() {
        let check = |text: &str, expect: &[Point]| {
            assert_eq!(cited(text), expect.iter().copied().collect::<BTreeSet<_>>(), "{text}");
        };
        check("T1.2, (T2.13) T0.6.", &[(0, 6), (1, 2), (2, 13)]);
        check("T1.6–T1.9", &[(1, 6), (1, 7), (1, 8), (1, 9)]);
        check("AT1.2 T1.x T12.3 T1.123 HTTP/1.1 T 1.1", &[]);
    }

    #[test]
    fn a_point_is_tested_or_open() {
        let all: String = known()
            .into_iter()
            .filter(|point| *point != (1, 1))
            .map(|point| format!("- {}\n", shown(point)))
            .collect();
        let rest = all.replace("- T1.2\n", "");
        let check = |open: &str, test: &str, expect: &[&str]| {
            assert_eq!(check(&Tree::of(&[(OPEN, open), ("tests/x.smtp", test)])), expect);
        };
        check(&rest, "# T1.1 and T1.2", &[]);
        check(
            &rest,
            "# T1.1",
            &["docs/internals/open-points.md: no test cites T1.2, and it doesn't stand here"],
        );
        check(&all, "# T1.1, T1.2", &["docs/internals/open-points.md: T1.2 has a test and may go"]);
        check(&rest, "# T1.1, T1.2, T3.1", &["tests/x.smtp: there is no point T3.1"]);
    }

    #[test]
    fn a_tested_point_leaves_the_list() {
        let tree = Tree::of(&[
            (OPEN, "# Open\n- T1.1 soon\n- T1.2 later\n- T1.3, partly: x\n"),
            ("tests/x", "T1.1 T1.3"),
        ]);
        assert_eq!(open_points(&tree).as_deref(), Some("# Open\n- T1.2 later\n- T1.3, partly: x\n"));
    }
}
