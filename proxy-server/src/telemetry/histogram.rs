//! Histogram of durations with fixed buckets.

use std::time::Duration;

/// Upper bounds of the buckets in seconds: from a call in memory to the longest call that is allowed by default.
const BOUNDS: [f64; 16] =
    [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0, 300.0];

/// Numbers of durations by bucket, and their sum.
#[derive(Debug, Clone, Default)]
pub(crate) struct Histogram {
    counts: [u64; BOUNDS.len()],
    /// Number of durations above all bounds.
    above: u64,
    sum: Duration,
}

impl Histogram {
    pub(crate) fn observe(&mut self, took: Duration) {
        let seconds = took.as_secs_f64();
        let bucket = BOUNDS.iter().position(|bound| seconds <= *bound).and_then(|at| self.counts.get_mut(at));
        *bucket.unwrap_or(&mut self.above) += 1;
        self.sum = self.sum.saturating_add(took);
    }

    /// Adds the durations of another histogram.
    pub(crate) fn add(&mut self, other: &Self) {
        for (own, others) in self.counts.iter_mut().zip(other.counts) {
            *own += others;
        }
        self.above += other.above;
        self.sum = self.sum.saturating_add(other.sum);
    }

    /// Returns the number of durations.
    pub(crate) fn count(&self) -> u64 {
        self.counts.iter().sum::<u64>() + self.above
    }

    /// Returns the sum of the durations in seconds.
    pub(crate) fn sum(&self) -> f64 {
        self.sum.as_secs_f64()
    }

    /// Returns the upper bound of each bucket in seconds, with the number of durations in that bucket alone.
    pub(crate) fn buckets(&self) -> Vec<(f64, u64)> {
        BOUNDS.into_iter().zip(self.counts).chain([(f64::INFINITY, self.above)]).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_counts_in_the_first_bucket_that_holds_it() {
        let mut histogram = Histogram::default();
        for micros in [1, 500, 501, 300_000_000, 300_000_001] {
            histogram.observe(Duration::from_micros(micros));
        }
        let filled: Vec<_> = histogram.buckets().into_iter().filter(|(_, count)| *count > 0).collect();
        assert_eq!(filled, [(0.0005, 2), (0.001, 1), (300.0, 1), (f64::INFINITY, 1)]);
        assert_eq!(histogram.count(), 5);
        let mut sum = histogram.clone();
        sum.add(&histogram);
        assert_eq!((sum.count(), sum.sum()), (10, 2.0 * histogram.sum()));
    }
}
