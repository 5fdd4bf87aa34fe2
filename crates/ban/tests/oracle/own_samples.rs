//! Lines of our own for the filters of mail programs and sshd (tests/logs/bans), found as they say and as
//! `fail2ban-regex` finds them.

use crate::all_filters::{Said, Work, differences, ours, theirs};
use crate::{copied, stock};
use std::path::Path;

/// A call's lines: who is to be found, and what else.
struct Calls {
    filter: String,
    lines: Vec<(String, String)>,
}

fn read(name: &str, text: &str) -> Vec<Calls> {
    let mut all: Vec<Calls> = Vec::new();
    let mut current: Vec<&str> = Vec::new();
    for (number, line) in text.lines().enumerate() {
        if line.starts_with('#') || line.is_empty() {
            continue;
        }
        if let Some(calls) = line.strip_prefix("= ") {
            current = calls.split(' ').collect();
            continue;
        }
        let place = format!("{name}:{}", number + 1);
        let (who, line) = line.split_once(" | ").expect(&place);
        for call in &current {
            let line = (who.to_owned(), line.to_owned());
            match all.iter_mut().find(|calls| calls.filter == *call) {
                Some(calls) => calls.lines.push(line),
                None => all.push(Calls { filter: (*call).to_owned(), lines: vec![line] }),
            }
        }
    }
    all
}

/// What is wrong with what was found, by what the file says.
fn judge(calls: &Calls, found: &[Said]) -> Vec<String> {
    let mut found = found.iter().peekable();
    let mut wrong = Vec::new();
    for (who, line) in &calls.lines {
        let said = found.next_if(|said| said.line == *line);
        let told = said.map_or_else(|| "-".to_owned(), |said| said.host.clone());
        let (host, field) = who.split_once(' ').unwrap_or((who, ""));
        let user = said.map_or("", |said| said.user.as_str());
        let is_user = field.strip_prefix("user=").is_none_or(|expect| expect == user);
        if told != host || !is_user {
            wrong.push(format!("{}: {told} user={user}, should be {who}: {line}", calls.filter));
        }
    }
    wrong.extend(found.map(|said| format!("{}: too much: {said:?}", calls.filter)));
    wrong
}

#[test]
fn lines_of_our_own_are_found_as_they_say() {
    let Some(stock) = stock("own samples") else { return };
    let shipped = include_str!("../../src/shipped/postfix-flood-attack.conf");
    let holder = copied(&stock, &[("filter.d/postfix-flood-attack.conf", shipped)]);
    let folder = holder.path().join("fail2ban");
    let logs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/logs/bans");
    let mut all = Vec::new();
    for entry in std::fs::read_dir(logs).expect("logs").flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.ends_with(".log") {
            all.extend(read(&name, &std::fs::read_to_string(entry.path()).expect("a log")));
        }
    }
    assert!(all.len() > 30, "{} calls", all.len());
    let write = |(at, calls): (usize, &Calls)| {
        let log = holder.path().join(format!("{at}.log"));
        let lines: String = calls.lines.iter().map(|(_, line)| format!("{line}\n")).collect();
        std::fs::write(&log, lines).expect("a log");
        Work { filter: calls.filter.clone(), log, out: holder.path().join(format!("{at}.out")) }
    };
    let work: Vec<Work> = all.iter().enumerate().map(write).collect();
    let now_s =
        std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("a clock").as_secs();
    let now_s = i64::try_from(now_s).expect("a time");
    let mut wrong = Vec::new();
    for ((work, calls), theirs) in work.iter().zip(&all).zip(theirs(&folder, &work)) {
        let ours = ours(&folder, work, now_s);
        wrong.extend(judge(calls, &ours));
        wrong.extend(differences(work, &theirs, &ours, now_s));
    }
    assert!(wrong.is_empty(), "{}:\n{}", wrong.len(), wrong.join("\n"));
}
