//! Statistics in the log: anvil's, the most since the last time, every `anvil_status_update_time` and at the end; and
//! how DNS lists answered, every ten minutes and at the end.
//!
//! Postfix's anvil also ends, and says its last, after `max_idle` without a client; here there is nothing to end.

use crate::clock;
use crate::facts::Names;
use crate::log::Log;
use events::Stamp;
use events::daemon::Statistics;
use mail::Wall;
use policy::rates::{Event, Peak, Peaks, Rates};
use std::sync::Arc;
use std::time::Duration;

/// Who says it and what a rate is of.
#[derive(Clone)]
pub(super) struct Reporter {
    pub(super) rates: Arc<Rates>,
    pub(super) log: Log,
    /// `postfix/anvil`
    pub(super) program: String,
    /// `anvil_rate_time_unit`
    pub(super) unit: Duration,
}

impl Reporter {
    /// Says it again and again.
    pub(super) async fn run(self, interval: Duration) {
        loop {
            tokio::time::sleep(interval.max(Duration::from_secs(1))).await;
            self.rates.age(clock::now().mono);
            self.say();
        }
    }

    /// Says what there is to say.
    pub(super) fn say(&self) {
        let seconds = u32::try_from(self.unit.as_secs()).unwrap_or(u32::MAX);
        let name = |peak: &Peak| self.rates.name(&peak.ident);
        for line in lines(&self.rates.take_peaks(), seconds, &name) {
            self.log.write(&self.program, line);
        }
    }
}

/// Between two lines about a DNS list.
const ZONES_INTERVAL: Duration = Duration::from_secs(600);

/// Who says how DNS lists answered.
#[derive(Clone)]
pub(super) struct ZoneReporter {
    pub(super) names: Arc<dyn Names>,
    pub(super) log: Log,
    /// `postfix/dnsblog`
    pub(super) program: String,
}

impl ZoneReporter {
    /// Says it again and again.
    pub(super) async fn run(self) {
        loop {
            tokio::time::sleep(ZONES_INTERVAL).await;
            self.say();
        }
    }

    /// Says what there is to say.
    pub(super) fn say(&self) {
        for line in self.names.zone_times().map(|times| times.take()).unwrap_or_default() {
            self.log.write(&self.program, line);
        }
    }
}

/// The lines in anvil's order.
fn lines(peaks: &Peaks, seconds: u32, name: &dyn Fn(&Peak) -> String) -> Vec<Statistics<'static>> {
    let line = |quantity: &'static str, peak: Peak, seconds| Statistics {
        quantity: quantity.into(),
        max: peak.max.into(),
        seconds,
        of: Some(name(&peak).into()),
        at: stamp(peak.at).into(),
    };
    let rate = |quantity, event| Some(line(quantity, peaks.of(event)?, Some(seconds)));
    let connections = peaks.connections().map(|peak| line("connection count", peak, None));
    let size = peaks.clients().map(|(size, at)| Statistics {
        quantity: "cache size".into(),
        max: u64::try_from(size).unwrap_or(u64::MAX),
        seconds: None,
        of: None,
        at: stamp(at).into(),
    });
    [
        rate("connection rate", Event::Connection),
        connections,
        rate("message rate", Event::Message),
        rate("recipient rate", Event::Recipient),
        rate("newtls rate", Event::NewTls),
        rate("auth rate", Event::Auth),
        size,
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn stamp(at: Wall) -> String {
    Stamp::syslog(at, i16::try_from(clock::utc_offset_s(at) / 60).unwrap_or(0)).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use events::Record;
    use mail::{Mono, Now};
    use policy::rates::{Ident, Prefixes};

    #[test]
    fn lines_are_anvils() {
        let rates = Rates::default();
        let ident = |service: &str, address: &str| {
            Ident::new(rates.service(service), address.parse().unwrap(), Prefixes { ipv4: 32, ipv6: 84 })
        };
        let now = Now { mono: Mono(1), wall: Wall::from_seconds(1_700_000_000) };
        let (a, b) = (ident("smtp", "192.0.2.1"), ident("127.0.0.1:10025", "2001:db8::7"));
        rates.connect(&a, now);
        rates.connect(&b, now);
        rates.connect(&b, now);
        for event in [Event::Message, Event::Recipient, Event::NewTls, Event::Auth] {
            rates.count(event, &a, now);
        }
        let at = stamp(now.wall);
        let name = |peak: &Peak| rates.name(&peak.ident);
        let mut seen = Vec::new();
        for line in lines(&rates.take_peaks(), 60, &name) {
            let mut text = String::new();
            line.write(&mut text).unwrap();
            seen.push(text);
        }
        let block = "for (127.0.0.1:10025:2001:db8::/84)";
        let expect = [
            format!("connection rate 2/60s {block}"),
            format!("connection count 2 {block}"),
            "message rate 1/60s for (smtp:192.0.2.1)".to_owned(),
            "recipient rate 1/60s for (smtp:192.0.2.1)".to_owned(),
            "newtls rate 1/60s for (smtp:192.0.2.1)".to_owned(),
            "auth rate 1/60s for (smtp:192.0.2.1)".to_owned(),
            "cache size 2".to_owned(),
        ];
        let expect: Vec<String> =
            expect.iter().map(|text| format!("statistics: max {text} at {at}")).collect();
        assert_eq!(seen, expect);
        assert!(lines(&rates.take_peaks(), 60, &name).is_empty(), "said once");
    }
}
