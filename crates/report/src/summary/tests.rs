use super::*;
use crate::sample::Sample;

const TODAY: Day = Day { year: 2026, month: 11, day: 22 };

fn sample(seed: u64, events: usize) -> (String, crate::sample::Truth) {
    let mut sample = Sample::new(seed, Day { year: 2026, month: 10, day: 1 }, 20);
    let mut log = String::new();
    for _ in 0..events {
        sample.event(&mut log);
    }
    (log, sample.truth())
}

fn tally<'a>(lines: impl Iterator<Item = &'a str>) -> Tally {
    let mut tally = Tally::new(Settings::new(TODAY));
    lines.for_each(|line| tally.feed(line.as_bytes()));
    tally
}

fn assert_adds_up(summary: &Summary, what: &str) {
    for (name, split) in [
        ("connections", &summary.connections),
        ("messages", &summary.messages),
        ("origins", &summary.origins),
    ] {
        assert!(split.adds_up(), "{what}: {name}: {split:?}");
    }
    let Lines { read, other_days, broken, passed_over, counted } = summary.lines;
    assert_eq!(read, other_days + broken + passed_over + counted, "{what}");
    assert_eq!(summary.messages.total, summary.origins.total, "{what}");
    let refused: u64 = summary.rules.iter().map(RuleCount::refused).sum();
    assert_eq!(refused, summary.counts.refused, "{what}");
    for top in
        [&summary.refusals, &summary.deferrals, &summary.bounces, &summary.senders, &summary.recipients]
    {
        assert_eq!(top.rows.iter().map(|row| row.count).sum::<u64>() + top.other_count, top.total, "{what}");
    }
}

#[test]
fn totals_are_the_generators() {
    let (log, truth) = sample(1, 5000);
    let summary = tally(log.lines()).summary();
    assert_adds_up(&summary, "whole");
    assert_eq!(summary.lines.read, truth.lines);
    assert_eq!(summary.counts.delivered, truth.delivered);
    assert_eq!(summary.counts.deferred, truth.deferrals);
    assert_eq!(summary.counts.bounced, truth.bounced);
    assert_eq!(summary.counts.received, truth.received);
    assert_eq!(summary.counts.bytes_received, truth.bytes);
}

#[test]
fn pieces_join_to_the_whole() {
    let (log, _) = sample(2, 3000);
    let lines: Vec<&str> = log.lines().collect();
    let whole = tally(lines.iter().copied()).summary();
    for parts in [2, 3, 17] {
        let mut joined = Tally::new(Settings::new(TODAY));
        for piece in lines.chunks(lines.len().div_ceil(parts)) {
            let mut tally = joined.sibling();
            piece.iter().for_each(|line| tally.feed(line.as_bytes()));
            joined.merge(tally);
        }
        let joined = joined.summary();
        assert_adds_up(&joined, "joined");
        assert_same(&joined, &whole, &format!("{parts} pieces"));
    }
}

/// Says what differs, and not all.
fn assert_same(one: &Summary, other: &Summary, what: &str) {
    let (one, other) = (format!("{one:#?}"), format!("{other:#?}"));
    for (a, b) in one.lines().zip(other.lines()) {
        assert_eq!(a, b, "{what}");
    }
    assert_eq!(one.len(), other.len(), "{what}");
}
