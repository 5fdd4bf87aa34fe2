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
        let (found, slots) = steps(&summary(days, 3_000), &about());
        assert_eq!((found, slots.len()), (step, count), "{days}");
    }
    // Days without a line have their place, those that were asked for and those between two with lines.
    let one = summary(1, 3_000);
    for (days, step, count) in [(1, "Hour", 24), (2, "Hour", 48), (7, "Day", 7), (100, "Month", 4)] {
        let asked = About { days: Some((FIRST, Day::numbered(FIRST.number() + days - 1))), ..about() };
        let (found, slots) = steps(&one, &asked);
        assert_eq!((found, slots.len()), (step, count), "{days}");
        let sum = slots.iter().map(|(_, slot)| slot.received).sum::<u64>();
        assert_eq!(sum, one.counts.received, "{days}");
    }
    let mut gap = summary(5, 3_000);
    let whole = steps(&gap, &about()).1;
    gap.traffic.days.drain(1..4);
    let found = steps(&gap, &about()).1;
    assert_eq!(
        found.iter().map(|(name, _)| name).collect::<Vec<_>>(),
        whole.iter().map(|(name, _)| name).collect::<Vec<_>>()
    );
    assert!(found.iter().skip(1).take(3).all(|(_, slot)| *slot == Slot::default()));
    assert_eq!((found.first(), found.last()), (whole.first(), whole.last()));
    // Of years, those with lines.
    gap.traffic.days.last_mut().unwrap().0.year = 9_999;
    assert_eq!(steps(&gap, &about()).1.len(), 48);
}

#[test]
fn the_verdict() {
    let nothing = Summary::default();
    assert_eq!(
        verdict(&nothing, &about()),
        "There is no mail in this log. It was not compared with earlier days."
    );
    let known = About { compared: 9, ..about() };
    assert_eq!(
        verdict(&nothing, &known),
        "There is no mail in this log. Nothing is out of the ordinary, compared with the 9 days known before."
    );
    let some = About { unusual: vec!["x".into(), "y".into()], ..about() };
    let said = verdict(&summary(1, 60), &some);
    assert!(said.starts_with("Of "), "{said}");
    assert!(
        said.ends_with(" 2 things are out of the ordinary; it was not compared with earlier days."),
        "{said}"
    );
    let mut unread = Summary::default();
    unread.could_not_read(&["mail.log: Permission denied".into()]);
    assert!(verdict(&unread, &about()).starts_with("No log could be read. "));
    let sheet = sheet(&unread, &about());
    assert_eq!(sheet.sections.len(), 0, "what didn't happen isn't shown");
    assert_eq!(sheet.period, "no line to read");
    assert!(sheet.notes.iter().any(|note| note == "Not read: mail.log: Permission denied."));
}

/// The numbers of the sentence are all there are.
#[test]
fn the_verdict_leaves_no_message_out() {
    let log = "\
        Nov 22 01:00:00 mx postfix/qmgr[2]: A12345: from=<a@b.example>, size=1, nrcpt=1 (queue active)\n\
        Nov 22 01:00:01 mx postfix/qmgr[2]: A12345: removed\n\
        Nov 22 01:00:02 mx postfix/smtpd[1]: connect from mx.example.net[192.0.2.1]\n\
        Nov 22 01:00:02 mx postfix/smtpd[1]: A12346: client=mx.example.net[192.0.2.1]\n\
        Nov 22 01:00:02 mx postfix/smtpd[1]: lost connection after DATA from mx.example.net[192.0.2.1]\n\
        Nov 22 01:00:02 mx postfix/smtpd[1]: disconnect from mx.example.net[192.0.2.1] ehlo=1 commands=1\n\
        Nov 22 01:00:03 mx dovecot: imap-login: Disconnected: Connection closed (auth failed, 1 attempts in 2 secs): user=<x>, method=PLAIN, rip=192.0.2.9, lip=192.0.2.1\n";
    let mut tally = Tally::new(Settings::new(Day { year: 2026, month: 11, day: 22 }));
    log.lines().for_each(|line| tally.feed(line.as_bytes()));
    let summary = tally.summary();
    let expect = "Of 2 messages 0 were delivered, 1 never came whole, 1 gone with no delivery in this log. \
        0 of 1 connection (0 %) were kept out.";
    let said = verdict(&summary, &about());
    assert!(said.starts_with(expect), "{said}");
    let figures = figures(&summary);
    let failed = figures.iter().find(|figure| figure.label == "Log-ins that failed").unwrap();
    assert_eq!(failed.remark, "from 1 network");
    assert!(notes(&summary).iter().any(|note| note.starts_with("7 lines were read: ")));
    let sample = self::summary(1, 60);
    let numbers = of_messages(&sample);
    let numbers = numbers.split(|letter: char| !letter.is_ascii_digit() && letter != ',');
    let numbers = numbers.filter_map(|word| word.replace(',', "").parse::<u64>().ok());
    let numbers: Vec<u64> = numbers.collect();
    assert_eq!(numbers[0], numbers[1..].iter().sum::<u64>(), "{numbers:?}");
}
