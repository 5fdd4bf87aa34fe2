use super::*;

/// 2026-11-23 09:16:22 UTC.
const NOW_S: i64 = 1_795_425_382;

fn check(pattern: &str, line: &str, expect: Option<(i64, &str)>) {
    let dates = Dates::new(pattern).expect(pattern);
    let mut zone = Zone::new(jiff::tz::TimeZone::UTC);
    let found = dates.find(line.as_bytes(), &mut zone, NOW_S * 1_000_000).map(|found| {
        let rest = [line.get(..found.start), line.get(found.end..)].into_iter().flatten().collect::<String>();
        (found.time_us.map_or(0, |us| us.div_euclid(1_000_000)), rest)
    });
    assert_eq!(found, expect.map(|(s, rest)| (s, rest.to_owned())), "{pattern} on {line}");
}

/// As fail2ban-regex found them at that time.
#[test]
fn default_patterns() {
    for (stamp, seconds, rest) in [
        ("Nov 23 08:00:00", 1_795_420_800, ""),
        ("Nov 24 08:00:00", 1_795_507_200, ""),
        ("Nov 24 12:00:00", 1_763_985_600, ""),
        ("Dec 31 10:00:00", 1_767_175_200, ""),
        ("Nov 31 01:02:03", 0, ""),
        ("08:00:00", 1_795_420_800, ""),
        ("23:00:00", 1_795_388_400, ""),
        ("Mon Nov 23 01:02:03.123456 2025", 1_763_859_723, ""),
        ("2026-11-23T01:02:03.5+0200", 1_795_388_523, ""),
        ("2026-11-23T01:02:03.5+02:00", 1_795_388_523, ""),
        ("2026-11-23 01:02:03,250", 1_795_395_723, ""),
        ("2026-11-23T01:02:03Z", 1_795_395_723, ""),
        ("20261123T010203", 1_795_395_723, ""),
        ("1795395723", 1_795_395_723, ""),
        ("1795395723.123", 1_795_395_723, ""),
        ("[1795395723]", 1_795_395_723, "[]"),
        ("@4000000050000000deadbeef", 1_342_177_280, ""),
        ("Nov 23, 2026 01:02:03 PM", 1_795_438_923, ""),
        ("Nov 23, 2026 12:02:03 AM", 1_795_392_123, ""),
        ("23/Nov/2026:01:02:03 +0100", 1_795_392_123, ""),
        ("11/23/2026:01:02:03", 1_795_395_723, ""),
        ("23/11/26 01:02:03", 1_795_395_723, ""),
        ("EST Nov 23 01:02:03", 1_795_413_723, ""),
        ("CEST Nov 23 01:02:03", 1_795_388_523, ""),
        ("+0200 Nov 23 01:02:03", 1_795_388_523, ""),
        ("261123 01:02:03", 1_795_395_723, ""),
        ("<11/23/26@01:02:03>", 1_795_395_723, ""),
        ("Nov-23-26 01:02:03", 1_795_395_723, ""),
        ("audit(1795395723:1)", 1_795_395_723, "audit(:1)"),
        ("2026/11/23 01:02:03 UTC", 1_795_395_723, ""),
        ("nov  3 1:02:03", 1_793_667_723, ""),
        ("[Mon Nov 23 01:02:03 2026]", 1_795_395_723, "[]"),
        ("((Nov 23 01:02:03", 1_795_395_723, "(("),
        ("xx 2026-11-23 01:02:03", 1_795_395_723, "xx "),
    ] {
        check("", &format!("{stamp} mx"), Some((seconds, &format!("{rest} mx"))));
    }
    check("", "no date", None);
}

#[test]
fn own_patterns() {
    check("%Y:%m:%d-%H:%M:%S", "x 2026:11:23-01:02:03: y", Some((1_795_395_723, "x : y")));
    check(
        "^[^\\[]*\\[({DATE})",
        "1.2.3.4 [23/Nov/2026:01:02:03 +0000] y",
        Some((1_795_395_723, "1.2.3.4 [] y")),
    );
    check("{NONE}", "x", Some((0, "x")));
    check("^t=%Y-%m-%dT%H:%M:%S%z", "t=2026-11-23T01:02:03+0000 x", Some((1_795_395_723, " x")));
    check("{^LN-BEG}TAI64N", "Nov 23 01:02:03 x", None);
    check("^%Y-%m-%d\n{^LN-BEG}", "2026-11-23 x", Some((1_795_392_000, " x")));
    check("x={EPOCH};", "x=1795395723; z", Some((1_795_395_723, " z")));
    check("%Y-%m-%d %H:%M:%S%Exz", "2026-11-23 01:02:03+0500 x", Some((1_795_377_723, " x")));
    check("%Y-%m-%d %H:%M:%S%Exz", "2026-11-23 01:02:03CET x", Some((1_795_392_123, " x")));
    check("%Y-%m-%d %H:%M:%S %ExZ", "2026-11-23 01:02:03 NST x", Some((1_795_408_323, " x")));
    assert!(Dates::new("(").is_err());
}

/// The year's end, summer time, a zone of its own.
#[test]
fn zones() {
    let berlin = jiff::tz::TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").expect("a zone");
    let mut zone = Zone::new(berlin);
    let dates = Dates::new("").expect("dates");
    let now_us = 1_767_225_900_000_000; // 2026-01-01 01:05 there
    let mut at =
        |line: &str| dates.find(line.as_bytes(), &mut zone, now_us)?.time_us.map(|us| us / 1_000_000);
    assert_eq!(at("Dec 31 23:59:59 x"), Some(1_767_221_999));
    assert_eq!(at("Jan  1 00:00:00 x"), Some(1_767_222_000));
    assert_eq!(at("2026-10-25 02:30:00 x"), Some(1_792_891_800));
    assert_eq!(at("2026-10-25 01:59:59 x"), Some(1_792_886_399));
    assert_eq!(at("2026-03-29 02:30:00 x"), Some(1_774_747_800));
    assert_eq!(at("2026-03-29 03:30:00 x"), Some(1_774_747_800));
    let mut fixed = Zone::fixed("UTC+0200").expect("a zone");
    let found = dates.find(b"Nov 23 01:02:03 x", &mut fixed, NOW_S * 1_000_000).and_then(|f| f.time_us);
    assert_eq!(found, Some(1_795_388_523_000_000));
    assert!(Zone::fixed("Mars").is_none() && Zone::fixed("cet").is_none());
    let mut named = Zone::fixed("CET").expect("a zone");
    let found = dates.find(b"Nov 23 01:02:03 x", &mut named, NOW_S * 1_000_000).and_then(|f| f.time_us);
    assert_eq!(found, Some(1_795_392_123_000_000));
}

/// dovecot's filter asks for TAI64N before all else; the quick ways tell the same, and the pattern that would.
#[test]
fn behind_another_pattern() {
    let both = "{^LN-BEG}TAI64N\n{^LN-BEG}";
    check(both, "Nov 23 08:00:00 mx", Some((1_795_420_800, " mx")));
    check(both, "2026-11-23T01:02:03.5+02:00 mx", Some((1_795_388_523, " mx")));
    check(both, "@4000000050000000deadbeef mx", Some((1_342_177_280, " mx")));
    let dates = Dates::new(both).expect("patterns");
    let names: Vec<&str> = dates.names().collect();
    for (line, expect) in
        [("Nov 23 08:00:00 mx", "{^LN-BEG}(?:DAY )?MON Day"), ("2026-11-23T01:02:03 mx", "{^LN-BEG}ExYear")]
    {
        let found = dates.find(line.as_bytes(), &mut Zone::new(jiff::tz::TimeZone::UTC), NOW_S * 1_000_000);
        let name = found.and_then(|found| names.get(found.pattern));
        assert!(name.is_some_and(|name| name.starts_with(expect)), "{line}: {name:?}");
    }
    // A pattern that may match the same stamp otherwise comes first.
    check("%b %d %H\n{^LN-BEG}", "Nov 23 08:00:00 mx", Some((1_795_420_800, ":00:00 mx")));
}

/// Two stars: it begins anywhere, also within a word, whatever was said of the line's begin.
#[test]
fn without_a_boundary() {
    const AT: i64 = 1_795_428_000;
    for stars in ["**", "{^LN-BEG}**"] {
        let pattern = format!("{stars}%Y-%m-%d %H:%M:%S");
        check(&pattern, "x2026-11-23 10:00:00 mx", Some((AT, "x mx")));
        check(&pattern, "2026-11-23 10:00:00 mx", Some((AT, " mx")));
        check(&pattern, "2026-11-23 10:00:00y", None);
        let names = Dates::new(&pattern).expect("a pattern");
        assert_eq!(names.names().collect::<Vec<_>>(), ["**Year-Month-Day 24hour:Minute:Second"]);
    }
    check("%Y-%m-%d %H:%M:%S", "x2026-11-23 10:00:00 mx", None);
    check("**^%Y-%m-%d %H:%M:%S", "x 2026-11-23 10:00:00 mx", None);
}

/// Stamps of one minute after the other, read by one reader and by one that remembers nothing.
#[test]
fn a_minute_is_remembered_rightly() {
    let zone = || Zone::new(jiff::tz::TimeZone::get("Europe/Zurich").expect("a zone"));
    let dates = Dates::new("").expect("patterns");
    let mut dice = crate::made::Dice::new(3);
    let mut remembering = zone();
    let mut now_s = NOW_S;
    for _ in 0..4_000 {
        // A day ahead, where the year changes; the hours in which clocks are set; seconds that there aren't.
        let day = dice.pick(&["Nov 24", "Nov 23", "Nov 25", "Oct 25", "Mar 29", "Nov  1", "Feb 30"]);
        let (hour, minute) =
            (dice.pick(&["00", "01", "02", "03", "10", "23"]), dice.pick(&["15", "16", "59"]));
        let second = dice.pick(&["00", "20", "21", "22", "23", "24", "59", "60", "61"]);
        let line = match dice.roll(3) {
            0 => format!("{day} {hour}:{minute}:{second} mx"),
            1 => format!(
                "2026-03-29T{hour}:{minute}:{second}{} mx",
                dice.pick(&["", "Z", "+02:00", ".123-01:30"])
            ),
            _ => format!("Nov 24 10:16:{second} mx"),
        };
        if dice.roll(5) == 0 {
            now_s = NOW_S + i64::try_from(dice.roll(3)).unwrap_or(0);
        }
        let remembered = dates.find(line.as_bytes(), &mut remembering, now_s * 1_000_000);
        let anew = dates.find(line.as_bytes(), &mut zone(), now_s * 1_000_000);
        assert_eq!(remembered, anew, "{line} at {now_s}");
    }
}

/// They are made when a line asks for them, which would not say it.
#[test]
fn the_default_patterns_are_well() {
    let dates = Dates::new("{DEFAULT}").expect("the default ones");
    assert_eq!(dates.patterns.len(), ANCHORED.len() + ANYWHERE);
    for pattern in &dates.patterns {
        assert!(pattern.made().is_some(), "{}", pattern.expression);
    }
}

/// What is seen at a glance is what is read.
#[test]
fn at_a_glance() {
    let dates = Dates::new("").expect("the default ones");
    let now_us = 1_795_400_000 * 1_000_000;
    let mut zone = Zone::new(jiff::tz::TimeZone::UTC);
    let mut seen = 0;
    let lines = [
        "Nov 23 01:02:03 mx x",
        "Nov 23 01:02:59 mx x",
        "Nov 23 01:02:60 mx x",
        "Nov 23 01:02:04",
        "Nov 23 01:02:04 2026 mx",
        "Nov 23 01:02:0x mx x",
        "Nov 23 01:03:04 mx x",
        "Nov 23 01:03:05 mx x",
        "no date",
        "2026-11-23T01:02:03.123456+01:00 mx",
        "2026-11-23T01:02:04.123456+01:00 mx",
        "2026-11-23T01:02:61.123456+01:00 mx",
        "2026-11-23T01:02:04.1234567+01:00 mx",
        "2026-11-23T01:02:05Z mx",
        "2026-11-23T01:02:05 mx",
        "2026-11-23T01:02:05 +0100 mx",
        "Nov 23 01:02:03 mx x",
        "Nov 23 01:02:04 mx x",
    ];
    for line in lines {
        let glance = dates.at_a_glance(line.as_bytes(), &zone, now_us);
        let found = dates.find(line.as_bytes(), &mut zone, now_us);
        if let Some(pattern) = glance {
            seen += 1;
            assert_eq!(found.map(|found| found.pattern), Some(pattern), "{line}");
            assert!(found.is_some_and(|found| found.time_us.is_some()), "{line}");
        }
    }
    assert_eq!(seen, 6, "a second stamp of a minute, each kind");
}

/// Weeks, years of two digits, clocks of twelve hours, parts of a date: as fail2ban-regex found them.
#[test]
fn codes() {
    let civil = |at: &str| {
        let at: DateTime = at.parse().expect(at);
        at.to_zoned(jiff::tz::TimeZone::UTC).expect("UTC").timestamp().as_second()
    };
    for (pattern, stamp, at) in [
        ("^%Y", "2026", "2026-11-23T00:00"),
        ("^%Y", "2025", "2025-11-23T00:00"),
        ("^%Y", "2027", "2027-11-22T00:00"),
        ("^%j", "366", "2026-01-01T00:00"),
        ("^%Y-%j", "2026-366", "2027-01-01T00:00"),
        ("^%I", "12", "2026-11-23T00:00"),
        ("^%I %p", "12 PM", "2026-11-22T12:00"),
        ("^%M", "02", "2026-11-23T00:02"),
        ("^%f", "123456", "2026-11-23T00:00"),
        ("^%a", "Thu", "2026-11-23T00:00"),
        ("^%Y %U", "2026 40", "2026-11-23T00:00"),
        ("^%Y %U %w", "2026 00 0", "2025-12-28T00:00"),
        ("^%Y %U %w", "2026 53 6", "2027-01-09T00:00"),
        ("^%Y %W %w", "2026 00 0", "2026-01-04T00:00"),
        ("^%Y %W %w", "2026 0 4", "2026-01-01T00:00"),
        ("^%Y %W %A", "2026 47 Sunday", "2026-11-29T00:00"),
        ("^%U %w %H:%M:%S", "50 1 01:02:03", "2025-12-14T01:02:03"),
        ("^%G-W%V-%u %H:%M:%S", "2020-W10-1 23:02:03", "2026-11-22T23:02:03"),
        ("^%Y %U %w %m/%d", "2026 47 1 11/20", "2026-11-20T00:00"),
        ("^%c", "mon  Nov  3 1:02:03 2025", "2025-11-03T01:02:03"),
        ("^%x %X", "1/3/99 1:2:3", "2099-01-03T01:02:03"),
        ("^%d/%m/%y", "23/11/69", "2069-11-23T00:00"),
        ("^%Exy%Exm%Exd", "991123", "2099-11-23T00:00"),
        ("^%Exl:%M %Y-%m-%d", "12:02 2026-11-23", "2026-11-23T00:02"),
        ("^%Y-%m-%d %H %p", "2026-11-23 01 PM", "2026-11-23T01:00"),
        ("^%Y-%m-%d %%T", "2026-11-23 %T", "2026-11-23T00:00"),
    ] {
        check(pattern, &format!("{stamp} mx"), Some((civil(at), " mx")));
    }
    check("^%l:%M:%S %p %Y-%m-%d", "01:02:03 AM 2026-11-23 mx", None);
}

/// A code that nobody knows would let every line count as written now.
#[test]
fn unknown_codes() {
    for (pattern, reason) in [
        ("^%F %T", "`%F` is no code of a date; write `%Y-%m-%d`"),
        ("^%Y-%m-%d %T", "`%T` is no code of a date; write `%H:%M:%S`"),
        ("^%b %e %H:%M:%S", "`%e` is no code of a date; write `%d`"),
        ("^%s", "`%s` is no code of a date; write `{EPOCH}`"),
        ("^%d %Exb", "`%Exb` is no code of a date; write `%b`"),
        ("^%Y-%m-%d %Q", "`%Q` is no code of a date; a percent sign is `%%`"),
        ("^%Y-%m-%d %", "`%` is no code of a date; a percent sign is `%%`"),
        ("^%Y %d", "a day without its month tells no date"),
        ("^%Y-%m", "a month without its day tells no date"),
    ] {
        let error = Dates::new(&format!("{{NONE}}\n{pattern}")).map(drop).expect_err(pattern);
        assert_eq!(error, format!("`{pattern}`: {reason}"));
    }
}
