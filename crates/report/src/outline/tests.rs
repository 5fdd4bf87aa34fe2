use super::*;
use crate::sample::Sample;
use crate::summary::{Settings, Tally};

const FIRST: Day = Day { year: 2026, month: 11, day: 20 };

/// What a made-up log of so many days adds up to.
fn summary(days: i64, seconds: u64) -> Summary {
    let mut sample = Sample::new(7, FIRST, seconds);
    let days_asked = Some((FIRST, Day::numbered(FIRST.number() + days - 1)));
    let settings = Settings { days: days_asked, ..Settings::new(Day { year: 2027, month: 8, day: 1 }) };
    let mut tally = Tally::new(settings);
    let mut text = String::new();
    while sample.day().number() < FIRST.number() + days {
        text.clear();
        sample.event(&mut text);
        text.lines().for_each(|line| tally.feed(line.as_bytes()));
    }
    tally.summary()
}

fn about() -> About {
    About { host: "mx.example.com".into(), ..About::default() }
}

#[test]
fn what_is_shown_adds_up() {
    let summary = summary(1, 20);
    let sheet = sheet(&summary, &about());
    let mut shares = 0;
    let mut tables = 0;
    for block in sheet.sections.iter().flat_map(|section| &section.blocks) {
        match block {
            Block::Share(share) => {
                let all = match share.title.as_str() {
                    "Every connection, once" => Some(summary.connections.total),
                    title if title.starts_with("Every message") => Some(summary.messages.total),
                    _ => None,
                };
                shares += usize::from(all.is_some());
                assert!(all.is_none_or(|all| all == share.sum()), "{}", share.title);
            }
            Block::Table(Table { title, rows, total: Some(total), .. }) => {
                let count = |row: &Vec<Cell>| match row.get(1) {
                    Some(Cell::Count(count)) => *count,
                    _ => 0,
                };
                tables += 1;
                assert_eq!(rows.iter().map(count).sum::<u64>(), count(total), "{title}");
            }
            Block::Chart(chart) => {
                assert!(chart.series.iter().all(|series| series.values.len() == chart.steps.len()));
                assert_eq!(chart.steps.len(), 24);
            }
            Block::Table(_) | Block::Text(_) => {}
        }
    }
    assert_eq!(shares, 3);
    assert!(tables > 5, "{tables}");
}

#[test]
fn steps_by_the_length_of_the_time() {
    for (days, step, count) in [(1, "Hour", 24), (2, "Hour", 48), (5, "Day", 5), (100, "Month", 4)] {
        let (found, slots) = steps(&summary(days, 3_000));
        assert_eq!((found, slots.len()), (step, count), "{days}");
    }
}

#[test]
fn the_verdict() {
    let nothing = Summary::default();
    assert_eq!(verdict(&nothing, &about()), "There is no mail in this log. Nothing is out of the ordinary.");
    let said = verdict(&summary(1, 60), &About { unusual: vec!["x".into(), "y".into()], ..about() });
    assert!(said.starts_with("Of ") && said.ends_with(" 2 things are out of the ordinary."), "{said}");
    let sheet = sheet(&nothing, &about());
    assert_eq!(sheet.sections.len(), 0, "what didn't happen isn't shown");
    assert_eq!(sheet.period, "no line in this log");
}
