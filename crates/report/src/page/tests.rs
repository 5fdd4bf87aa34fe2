use super::*;
use crate::sheet::{Chart, Column, Part, Series};

pub(crate) const HOSTILE: &str = "</bdi></title></style><script src=//evil.example>alert(1)</script>\" onload='x' &amp;\u{202e}\u{0}\u{1b}[31m";

pub(crate) fn sheet(word: &str) -> Sheet {
    let word = || word.to_owned();
    let chart = Chart {
        title: word(),
        step: "Hour",
        steps: (0..24).map(|hour| format!("{hour:02}")).collect(),
        series: vec![
            Series { name: "taken", tone: Tone::Good, values: (0..24).map(|hour| hour * hour).collect() },
            Series { name: "refused", tone: Tone::Shut, values: (0..24).map(|hour| 7 * hour).collect() },
        ],
    };
    let part = |count, tone| Part { label: word(), count, tone };
    let share = Share {
        title: word(),
        head: "End",
        unit: "Messages",
        parts: vec![part(7, Tone::Good), part(0, Tone::Wait), part(2, Tone::Bad)],
    };
    let column = |name, is_number| Column { name, is_number };
    let table = |rows: u64| Table {
        title: word(),
        columns: vec![
            column("Rule", false),
            column("Refused", true),
            column("Place", false),
            column("Time", true),
        ],
        rows: (0..rows)
            .map(|row| {
                vec![
                    Cell::Text(word()),
                    Cell::Count(rows * 1_000 - row),
                    Cell::Nothing,
                    Cell::Measure("3 s".to_owned()),
                ]
            })
            .collect(),
        total: Some(vec![Cell::Text("Sum".to_owned()), Cell::Count(5), Cell::Nothing, Cell::Nothing]),
        drawn: Some(1),
        tone: Tone::Shut,
    };
    Sheet {
        title: word(),
        period: word(),
        verdict: word(),
        unusual: vec![word(), word()],
        figures: vec![Figure { label: word(), value: word(), remark: word(), tone: Tone::Bad }],
        sections: vec![
            Section {
                id: "traffic",
                heading: "Traffic",
                lead: word(),
                blocks: vec![Block::Chart(chart), Block::Share(share), Block::Text(word())],
            },
            Section {
                id: "rules",
                heading: "Rules",
                lead: String::new(),
                blocks: vec![Block::Table(table(40)), Block::Table(table(13)), Block::Table(table(0))],
            },
        ],
        notes: vec![word()],
    }
}

/// The tags of a page: `(name, attributes)`, `/name` where one ends. Panics where it isn't what we write.
pub(crate) fn tags(page: &str) -> Vec<(String, Vec<(String, String)>)> {
    let mut found = Vec::new();
    let mut rest = page;
    while let Some((before, behind)) = rest.split_once('<') {
        assert!(!before.contains('>') || found.last().is_some_and(|(name, _)| name == "style"));
        let (tag, behind) = behind.split_once('>').expect("a tag ends");
        let tag = tag.trim_end_matches('/');
        rest = behind;
        let (name, mut inside) = tag.split_once(' ').unwrap_or((tag, ""));
        let mut attributes = Vec::new();
        while let Some((key, behind)) = inside.split_once("=\"") {
            let (value, behind) = behind.split_once('"').expect("a value ends");
            attributes.push((key.trim().to_owned(), value.to_owned()));
            inside = behind;
        }
        assert!(inside.trim().is_empty() || name == "!DOCTYPE", "<{tag}>");
        found.push((name.to_owned(), attributes));
    }
    found
}

pub(crate) const VOID: [&str; 7] = ["!DOCTYPE", "wbr", "meta", "rect", "path", "br", "img"];
/// Whatever a browser may run, or fetch something by.
const FORBIDDEN: [&str; 12] =
    ["script", "iframe", "object", "embed", "link", "base", "form", "img", "image", "use", "audio", "video"];

fn check(page: &str) {
    let mut open: Vec<String> = Vec::new();
    let mut ids = Vec::new();
    let mut wanted = Vec::new();
    let mut headings = Vec::new();
    for (name, attributes) in tags(page) {
        assert!(!FORBIDDEN.contains(&name.as_str()), "<{name}>");
        for (key, value) in attributes {
            assert!(
                !key.starts_with("on") && !["src", "style", "xlink:href", "action"].contains(&key.as_str())
            );
            match key.as_str() {
                "id" => ids.push(value),
                "aria-labelledby" => wanted.extend(value.split(' ').map(str::to_owned)),
                "href" => wanted.push(value.strip_prefix('#').expect("only within the page").to_owned()),
                _ => {}
            }
        }
        if let Some(level) = name.strip_prefix('h').and_then(|level| level.parse::<u8>().ok()) {
            headings.push(level);
        }
        if let Some(name) = name.strip_prefix('/') {
            assert_eq!(open.pop().as_deref(), Some(name));
        } else if !VOID.contains(&name.as_str()) {
            open.push(name);
        }
    }
    assert_eq!(open, Vec::<String>::new());
    let mut once = ids.clone();
    once.sort();
    once.dedup();
    assert_eq!(once.len(), ids.len(), "ids stand once each: {ids:?}");
    assert!(wanted.iter().all(|id| ids.contains(id)), "{wanted:?} of {ids:?}");
    assert_eq!(headings.first(), Some(&1));
    assert!(headings.windows(2).all(|pair| pair[1] <= pair[0] + 1), "{headings:?}");
    for needed in
        ["<html lang=\"en\">", "<main ", "<header>", "<nav aria-label=", "<footer>", "default-src 'none'"]
    {
        assert!(page.contains(needed), "{needed}");
    }
    assert!(!STYLE.contains("url(") && !STYLE.contains("@import") && !STYLE.contains('<'));
}

#[test]
fn markup_is_whole_whatever_a_log_says() {
    for word in ["Mail", HOSTILE, "", "\u{202e}\u{2066}", "x\"y"] {
        let page = page(&sheet(word));
        check(&page);
        let count = |page: &str| tags(page).iter().filter(|(name, _)| name != "wbr").count();
        let usual = count(&self::page(&sheet("Mail")));
        assert!(word.is_empty() || count(&page) == usual, "text makes no tags");
        assert!(!page.chars().any(|letter| letter != '\n' && shown_of(letter)), "nothing hides");
    }
}

fn shown_of(letter: char) -> bool {
    crate::sheet::shown(&letter.to_string()).chars().count() > 1
}

#[test]
fn sums_are_printed() {
    let page = page(&sheet("Mail"));
    assert!(
        page.contains(
            "<tfoot><tr><th scope=\"row\">Sum</th><td class=\"n\">9</td><td class=\"n\">100 %</td>"
        )
    );
    assert!(page.contains("<td class=\"n\">77.8 %</td>"));
    // Of the chart, for each series.
    assert!(page.contains("<bdi>Sum</bdi></th><td class=\"n\">4,324</td><td class=\"n\">1,932</td>"));
    assert_eq!(page.matches("<caption").count(), page.matches("<table").count());
    assert_eq!(page.matches("28 more: Mail").count(), 1, "13 rows are shown at once, 40 aren't");
}

#[test]
fn an_empty_sheet_is_a_page() {
    check(&page(&Sheet::default()));
    let nothing = Block::Share(Share { title: "x".into(), head: "x", unit: "Messages", parts: vec![] });
    let empty = Block::Chart(Chart::default());
    let sections = vec![Section { id: "a", heading: "A", lead: String::new(), blocks: vec![nothing, empty] }];
    check(&page(&Sheet { sections, ..Sheet::default() }));
}

/// The colours of a scheme by their names.
fn colours(block: &str) -> Vec<(String, [f64; 3])> {
    let colour = |text: &str| {
        let number = u32::from_str_radix(text, 16).unwrap();
        [16, 8, 0].map(|at| f64::from((number >> at) & 255) / 255.0)
    };
    let declared = block.split(';').filter_map(|one| one.trim().strip_prefix("--")?.split_once(": #"));
    declared.map(|(name, value)| (name.to_owned(), colour(value))).collect()
}

/// WCAG 2.2's contrast ratio.
fn contrast(one: [f64; 3], other: [f64; 3]) -> f64 {
    let light = |colour: [f64; 3]| {
        let linear = colour
            .map(|part| if part <= 0.04045 { part / 12.92 } else { ((part + 0.055) / 1.055).powf(2.4) });
        0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    };
    let (one, other) = (light(one), light(other));
    (one.max(other) + 0.05) / (one.min(other) + 0.05)
}

#[test]
fn colours_can_be_told_apart() {
    let schemes: Vec<_> =
        STYLE.split(":root {").skip(1).map(|rest| colours(rest.split('}').next().unwrap())).collect();
    assert_eq!(schemes.len(), 3, "light, dark, printed");
    for scheme in schemes {
        let of = |name: &str| scheme.iter().find(|(known, _)| known == name).unwrap().1;
        let check = |one: &str, other: &str, least: f64| {
            let found = contrast(of(one), of(other));
            assert!(found >= least, "{one} on {other}: {found:.2}");
        };
        for ground in ["paper", "card"] {
            ["ink", "faint", "link"].iter().for_each(|text| check(text, ground, 4.5));
        }
        for mark in ["good", "shut", "wait", "bad", "plain", "pale"] {
            check(mark, "card", 3.0);
        }
        check("calm-ink", "calm", 4.5);
        check("alarm-ink", "alarm", 4.5);
    }
}

/// Who has no mouse and who sees nothing: the order of the page is the order of the keys, the way past the links is the
/// first stop, what can be moved sideways can be reached, and each picture has its words.
#[test]
fn keys_and_screen_readers_reach_everything() {
    let page = page(&sheet("Mail"));
    let found = tags(&page);
    let value = |attributes: &[(String, String)], key: &str| {
        attributes.iter().find(|(name, _)| name == key).map(|(_, value)| value.clone())
    };
    let stops: Vec<_> = found
        .iter()
        .filter(|(name, attributes)| {
            let is_reached = value(attributes, "tabindex").is_some_and(|order| order == "0");
            name == "a" || name == "summary" || is_reached
        })
        .collect();
    let (first, attributes) = stops[0];
    assert_eq!((first.as_str(), value(attributes, "href").as_deref()), ("a", Some("#content")));
    let main = found.iter().find(|(name, _)| name == "main").unwrap();
    assert_eq!(
        value(&main.1, "tabindex").as_deref(),
        Some("-1"),
        "it takes the focus that the way past leads to"
    );
    for (name, attributes) in &found {
        // Nothing jumps the line, and nothing answers to the pointer alone.
        assert!(value(attributes, "tabindex").is_none_or(|order| ["0", "-1"].contains(&order.as_str())));
        if value(attributes, "class").is_some_and(|class| class == "wide") {
            assert_eq!(value(attributes, "tabindex").as_deref(), Some("0"));
            assert_eq!(value(attributes, "role").as_deref(), Some("region"));
            assert!(value(attributes, "aria-labelledby").is_some());
        }
        match name.as_str() {
            "svg" if value(attributes, "aria-hidden").is_none() => {
                assert_eq!(value(attributes, "role").as_deref(), Some("img"));
                assert!(value(attributes, "aria-labelledby").is_some());
            }
            "th" => assert!(["col", "row"].contains(&value(attributes, "scope").unwrap().as_str())),
            "section" => assert!(value(attributes, "aria-labelledby").is_some()),
            _ => {}
        }
    }
    let count = |wanted: &str| found.iter().filter(|(name, _)| name == wanted).count();
    assert_eq!((count("h1"), count("main"), count("nav"), count("header"), count("footer")), (1, 1, 1, 1, 1));
    // A head for each table, and a way into each part.
    assert_eq!((count("thead"), count("caption")), (count("table"), count("table")));
    let links = found.iter().filter_map(|(_, attributes)| value(attributes, "href")).collect::<Vec<_>>();
    for (_, attributes) in found.iter().filter(|(name, _)| name == "section") {
        if let Some(id) = value(attributes, "id") {
            assert!(links.contains(&format!("#{id}")), "no link to {id}");
        }
    }
}
