//! `komainu ban test` on fail2ban's own annotated logs: the line, the time, who, and what else, with all options.

use crate::program::komainu;
use annotated::{Found, Line, NOW_S, Options};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;

#[path = "../../../ban/tests/oracle/annotated.rs"]
mod annotated;

/// The stock filters and the samples; `None`, said aloud, where there are none.
fn folders() -> Option<(PathBuf, PathBuf)> {
    let stock = PathBuf::from("/etc/fail2ban");
    let is_stock = stock.join("filter.d/common.conf").exists();
    let found =
        annotated::folder().and_then(|samples| is_stock.then_some(samples).ok_or("no fail2ban".to_owned()));
    if let Err(missing) = &found {
        println!("samples of fail2ban: skipped, {missing}");
        assert!(std::env::var_os("CI").is_none(), "{missing}");
    }
    found.ok().map(|samples| (stock, samples))
}

/// What the command finds in a log of these lines, by line.
fn find(folder: &Path, log: &Path, filter: &str, lines: &[Line]) -> Result<Vec<Option<Found>>, String> {
    let text: Vec<&str> = lines.iter().map(|line| line.text.as_str()).collect();
    std::fs::write(log, text.join("\n") + "\n").expect("a log");
    let ran = Command::new(komainu())
        .args(["ban", "-c"])
        .arg(folder)
        .arg("test")
        .arg(log)
        .args([filter, "--json", "--now", &NOW_S.to_string()])
        .env("TZ", "Europe/Zurich")
        .output()
        .expect("starts");
    let out = String::from_utf8_lossy(&ran.stdout).into_owned();
    let is_well = ran.status.code() == Some(i32::from(out.is_empty()));
    if !is_well || !ran.stderr.is_empty() {
        return Err(format!("{}: {}", ran.status, String::from_utf8_lossy(&ran.stderr)));
    }
    let mut found = vec![None; lines.len()];
    for line in out.lines() {
        let Ok(Value::Object(mut object)) = serde_json::from_str(line) else { return Err(line.to_owned()) };
        let number =
            object.get("line").and_then(Value::as_u64).and_then(|n| usize::try_from(n).ok()).unwrap_or(0);
        let host = object.get("host").and_then(Value::as_str).unwrap_or("").to_owned();
        let time = object.get("time").and_then(Value::as_f64).ok_or(line)?;
        #[expect(clippy::cast_possible_truncation, reason = "seconds of our time")]
        let time_s = time.floor() as i64;
        object.entry("attempts").or_insert(1.into());
        let slot = found.get_mut(number.wrapping_sub(1)).ok_or(line)?;
        if slot.replace(Found { time_s, host, fields: object }).is_some() {
            return Err(format!("twice: {line}"));
        }
    }
    Ok(found)
}

#[test]
fn what_fail2bans_samples_say() {
    let Some((stock, samples)) = folders() else { return };
    let holder = annotated::filters(&stock, &samples);
    let folder = holder.path().join("fail2ban");
    let mut work: Vec<(String, Options, Vec<Line>)> = Vec::new();
    for name in annotated::names(&samples) {
        if folder.join("filter.d").join(format!("{name}.conf")).exists() {
            let sets = annotated::read(&samples, &name).expect("samples");
            work.extend(sets.into_iter().map(|(options, lines)| (name.clone(), options, lines)));
        }
    }
    assert!(work.len() > 100, "{}", work.len());
    let (work, wrong) = (Mutex::new(work.into_iter().enumerate()), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                loop {
                    let Some((at, (name, options, lines))) = work.lock().expect("a lock").next() else {
                        return;
                    };
                    // By its name, and by its path.
                    let called = if at % 2 == 0 {
                        format!("{name}{}", annotated::brackets(&options))
                    } else {
                        format!("{}/filter.d/{name}.conf{}", folder.display(), annotated::brackets(&options))
                    };
                    let said = match find(&folder, &folder.join(format!("{at}.log")), &called, &lines) {
                        Err(error) => vec![format!("{called}: {error}")],
                        Ok(found) => {
                            let judged = |(line, found): (&Line, &Option<Found>)| {
                                let place = format!("{called}: {}", line.place);
                                annotated::judge(line, found.as_ref())
                                    .into_iter()
                                    .map(move |what| format!("{place}: {what}"))
                                    .collect::<Vec<_>>()
                            };
                            lines.iter().zip(&found).flat_map(judged).collect()
                        }
                    };
                    wrong.lock().expect("a lock").extend(said);
                }
            });
        }
    });
    let wrong = wrong.into_inner().expect("a lock");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
