//! One sample's figures, and what several say together.

use serde_json::{Map, Value, json};

/// What one server gave in one round.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Figures {
    /// Sessions that ended as they should.
    pub(crate) done: u32,
    pub(crate) elapsed_s: f64,
    /// CPU of all of the server's processes for each session.
    pub(crate) cpu_ms: Option<f64>,
    /// One session: median, 99th percentile, maximum.
    pub(crate) median_ms: Option<f64>,
    pub(crate) p99_ms: Option<f64>,
    pub(crate) max_ms: Option<f64>,
    /// Growth of the server's memory for each client that waits, and its memory before them.
    pub(crate) bytes_each: Option<f64>,
    pub(crate) idle_kb: Option<f64>,
    /// Why there are no figures, or what else is to be known.
    pub(crate) failed: Option<String>,
    pub(crate) note: Option<String>,
}

/// The value below which this part of the sorted values lies.
pub(crate) fn percentile(sorted: &[f64], part: f64) -> Option<f64> {
    let last = sorted.len().checked_sub(1)?;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a position in a list, from 0 to 1"
    )]
    let at = (last as f64 * part).round() as usize;
    sorted.get(at).copied()
}

/// Minimum, median, maximum.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Spread {
    pub(crate) min: f64,
    pub(crate) median: f64,
    pub(crate) max: f64,
}

/// Over at least one value.
pub(crate) fn spread(values: impl IntoIterator<Item = f64>) -> Option<Spread> {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    // Of an even number, the middle two's mean.
    let (low, high) = (values.get((values.len().checked_sub(1)?) / 2)?, values.get(values.len() / 2)?);
    Some(Spread { min: *values.first()?, median: f64::midpoint(*low, *high), max: *values.last()? })
}

impl Figures {
    /// Takes in what each session took.
    pub(crate) fn with_times(mut self, mut took_ms: Vec<f64>) -> Figures {
        took_ms.sort_by(f64::total_cmp);
        self.median_ms = percentile(&took_ms, 0.5);
        self.p99_ms = percentile(&took_ms, 0.99);
        self.max_ms = took_ms.last().copied();
        self
    }

    /// Nothing but a reason.
    pub(crate) fn failure(why: String) -> Figures {
        Figures { failed: Some(why), ..Figures::default() }
    }

    pub(crate) fn per_second(&self) -> Option<f64> {
        (self.failed.is_none() && self.elapsed_s > 0.0).then(|| f64::from(self.done) / self.elapsed_s)
    }

    pub(crate) fn write(&self, into: &mut Map<String, Value>) {
        let fields = [
            ("done", json!(self.done)),
            ("elapsed_s", json!(self.elapsed_s)),
            ("per_second", json!(self.per_second())),
            ("cpu_ms", json!(self.cpu_ms)),
            ("median_ms", json!(self.median_ms)),
            ("p99_ms", json!(self.p99_ms)),
            ("max_ms", json!(self.max_ms)),
            ("bytes_each", json!(self.bytes_each)),
            ("idle_kb", json!(self.idle_kb)),
            ("failed", json!(self.failed)),
            ("note", json!(self.note)),
        ];
        into.extend(fields.into_iter().filter(|(_, value)| !value.is_null()).map(|(k, v)| (k.to_owned(), v)));
    }

    pub(crate) fn read(value: &Value) -> Option<Figures> {
        let number = |key: &str| value.get(key).and_then(Value::as_f64);
        let text = |key: &str| value.get(key).and_then(Value::as_str).map(str::to_owned);
        Some(Figures {
            done: u32::try_from(value.get("done")?.as_u64()?).ok()?,
            elapsed_s: number("elapsed_s")?,
            cpu_ms: number("cpu_ms"),
            median_ms: number("median_ms"),
            p99_ms: number("p99_ms"),
            max_ms: number("max_ms"),
            bytes_each: number("bytes_each"),
            idle_kb: number("idle_kb"),
            failed: text("failed"),
            note: text("note"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_and_spreads() {
        let values: Vec<f64> = (1..=101).map(f64::from).collect();
        assert_eq!(percentile(&values, 0.5), Some(51.0));
        assert_eq!(percentile(&values, 0.99), Some(100.0));
        assert_eq!(percentile(&[], 0.5), None);
        assert_eq!(spread([3.0, 1.0, 2.0]), Some(Spread { min: 1.0, median: 2.0, max: 3.0 }));
        assert_eq!(spread([1.0, 4.0]).map(|spread| spread.median), Some(2.5));
        assert_eq!(spread([]), None);
    }

    #[test]
    fn figures_come_back() {
        let figures = Figures { done: 10, elapsed_s: 2.0, cpu_ms: Some(0.5), ..Figures::default() };
        let figures = Figures { bytes_each: Some(4096.0), idle_kb: Some(7000.0), ..figures };
        let figures = figures.with_times(vec![2.0, 1.0, 3.0]);
        assert_eq!(
            (figures.per_second(), figures.median_ms, figures.max_ms),
            (Some(5.0), Some(2.0), Some(3.0))
        );
        let mut map = Map::new();
        figures.write(&mut map);
        assert_eq!(Figures::read(&Value::Object(map)), Some(figures));
        assert_eq!(Figures::failure("x".to_owned()).per_second(), None);
    }
}
