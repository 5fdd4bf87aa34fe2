//! The verdict: what was seen, and whether it is good enough.

use super::watch::Look;
use crate::figures::percentile;

/// One thing that was asserted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Finding {
    pub(crate) holds: bool,
    pub(crate) text: String,
}

/// A finding.
pub(crate) fn finding(holds: bool, text: String) -> Finding {
    Finding { holds, text }
}

/// How much may grow between the two halves of the time after the warm-up.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Slack {
    /// A part of the earlier value.
    pub(crate) part: f64,
    /// And this on top.
    pub(crate) more: f64,
}

/// Medians of the second and the last third; flat where the last is not above the second by more than the slack.
pub(crate) fn flat(name: &str, values: &[f64], slack: Slack) -> Finding {
    let third = values.len() / 3;
    let middle = |from: usize, to: usize| {
        let mut part = values.get(from..to).unwrap_or_default().to_vec();
        part.sort_by(f64::total_cmp);
        percentile(&part, 0.5)
    };
    let (Some(earlier), Some(later)) = (middle(third, 2 * third), middle(2 * third, values.len())) else {
        return finding(false, format!("{name}: looked too seldom"));
    };
    let holds = third > 0 && later <= earlier * (1.0 + slack.part) + slack.more;
    finding(holds, format!("{name}: {earlier:.0} in the second third, {later:.0} in the last"))
}

/// Memory, descriptors and threads over the time.
pub(crate) fn looks(looks: &[Look], short: bool) -> Vec<Finding> {
    let of = |pick: fn(&Look) -> u64| looks.iter().map(|look| pick(look) as f64).collect::<Vec<_>>();
    // What is remembered of clients fills up at first, up to its bound.
    let memory = if short { Slack { part: 0.5, more: 65_536.0 } } else { Slack { part: 0.05, more: 8192.0 } };
    // Threads that wait for a disk end after ten idle seconds and come again: a third of a short run is shorter.
    let threads = Slack { part: 0.0, more: if short { 12.0 } else { 4.0 } };
    vec![
        flat("memory, kB of Pss", &of(|look| look.pss_kb), memory),
        flat("descriptors", &of(|look| look.descriptors), Slack { part: 0.1, more: 100.0 }),
        flat("threads", &of(|look| look.threads), threads),
    ]
}

/// Honest clients: medians and 99th percentiles in ms.
pub(crate) fn waits(mut took_ms: Vec<f64>, (median_max, p99_max): (f64, f64)) -> Finding {
    took_ms.sort_by(f64::total_cmp);
    let (Some(median), Some(p99)) = (percentile(&took_ms, 0.5), percentile(&took_ms, 0.99)) else {
        return finding(false, "no honest client at all".to_owned());
    };
    let text = format!(
        "honest clients: {} served, median {median:.1} ms (at most {median_max}), p99 {p99:.1} ms (at most {p99_max})",
        took_ms.len()
    );
    finding(median <= median_max && p99 <= p99_max, text)
}

/// Prints all; an error where one doesn't hold.
pub(crate) fn verdict(findings: &[Finding]) -> Result<(), String> {
    println!("\n== verdict");
    for finding in findings {
        println!("{:6} {}", if finding.holds { "ok" } else { "FAILED" }, finding.text);
    }
    let failed = findings.iter().filter(|finding| !finding.holds).count();
    if failed == 0 {
        println!("it stood all of it");
        Ok(())
    } else {
        Err(format!("{failed} of {} don't hold", findings.len()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_grows_is_not_flat() {
        let slack = Slack { part: 0.1, more: 0.0 };
        let growing: Vec<f64> = (0..30).map(|n| 100.0 + f64::from(n) * 3.0).collect();
        assert!(!flat("x", &growing, slack).holds);
        // A warm-up in the first third is none of it.
        let warm: Vec<f64> = (0..30).map(|n| if n < 10 { f64::from(n) * 10.0 } else { 100.0 }).collect();
        assert!(flat("x", &warm, slack).holds);
        assert!(!flat("x", &[], slack).holds);
    }

    #[test]
    fn slow_or_absent_clients_fail() {
        assert!(waits(vec![1.0, 2.0, 3.0], (5.0, 5.0)).holds);
        assert!(!waits(vec![1.0, 2.0, 30.0], (5.0, 5.0)).holds);
        assert!(!waits(vec![9.0; 3], (5.0, 50.0)).holds);
        assert!(!waits(Vec::new(), (5.0, 5.0)).holds);
        assert!(verdict(&[finding(true, String::new())]).is_ok());
        assert!(verdict(&[finding(true, String::new()), finding(false, String::new())]).is_err());
    }
}
