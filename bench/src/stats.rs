//! What many timings come down to.

/// Timings in nanoseconds, summed up.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Summary {
    /// How many there were.
    pub(crate) count: usize,
    /// The shortest.
    pub(crate) min: f64,
    /// Half of them were shorter.
    pub(crate) median: f64,
    /// 95 of 100 were shorter.
    pub(crate) p95: f64,
    /// 99 of 100 were shorter.
    pub(crate) p99: f64,
    /// The longest.
    pub(crate) max: f64,
    /// The median of the later half of the timings over that of the earlier half: 1 where nothing drifts.
    pub(crate) drift: f64,
}

impl Summary {
    /// Sums up `samples`, in the order in which they were taken. `None`: there are none.
    pub(crate) fn of(samples: &[u64]) -> Option<Self> {
        let sorted = sorted(samples);
        let (earlier, later) = samples.split_at(samples.len() / 2);
        let halves = (median(later)?, median(earlier).or_else(|| median(later))?);
        Some(Self {
            count: sorted.len(),
            min: *sorted.first()?,
            median: quantile(&sorted, 0.5)?,
            p95: quantile(&sorted, 0.95)?,
            p99: quantile(&sorted, 0.99)?,
            max: *sorted.last()?,
            drift: ratio(halves.0, halves.1),
        })
    }
}

/// The median of `samples`. `None`: there are none.
pub(crate) fn median(samples: &[u64]) -> Option<f64> {
    quantile(&sorted(samples), 0.5)
}

/// The `share` quantile of ascending values, between the two nearest ones where it falls between (Hyndman and Fan's
/// type 7, as in R and NumPy).
fn quantile(ascending: &[f64], share: f64) -> Option<f64> {
    let last = ascending.len().checked_sub(1)?;
    let place = share * to_float(last);
    // Both are within the slice: 0 <= share <= 1.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 <= place <= last")]
    let (below, above) = (place.floor() as usize, place.ceil() as usize);
    let (low, high) = (ascending.get(below)?, ascending.get(above)?);
    Some(low + (high - low) * place.fract())
}

/// `a / b`; infinite where `b` is zero and `a` is not, 1 where both are.
pub(crate) fn ratio(a: f64, b: f64) -> f64 {
    if a == b { 1.0 } else { a / b }
}

fn sorted(samples: &[u64]) -> Vec<f64> {
    let mut values: Vec<f64> = samples.iter().map(|sample| nanoseconds(*sample)).collect();
    values.sort_by(f64::total_cmp);
    values
}

#[expect(clippy::cast_precision_loss, reason = "exact below 2^53 ns, which is 104 days")]
fn nanoseconds(sample: u64) -> f64 {
    sample as f64
}

#[expect(clippy::cast_precision_loss, reason = "exact below 2^53 samples")]
pub(crate) fn to_float(count: usize) -> f64 {
    count as f64
}

/// Nanoseconds as milliseconds, three places.
pub(crate) fn milliseconds(nanoseconds: f64) -> String {
    format!("{:.3}", nanoseconds / 1e6)
}

/// Nanoseconds as whole microseconds.
pub(crate) fn microseconds(nanoseconds: f64) -> String {
    format!("{:.0}", nanoseconds / 1e3)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_samples_have_no_summary() {
        assert_eq!(Summary::of(&[]), None);
    }

    #[test]
    fn one_sample_is_every_quantile_of_itself() {
        let summary = Summary::of(&[7]).expect("there is a sample");

        assert_eq!(summary, Summary { count: 1, min: 7.0, median: 7.0, p95: 7.0, p99: 7.0, max: 7.0, drift: 1.0 });
    }

    #[test]
    fn the_median_of_an_even_number_lies_between_the_middle_two() {
        assert_eq!(median(&[4, 1, 3, 2]), Some(2.5));
    }

    #[test]
    fn quantiles_lie_between_their_neighbours_as_in_r() {
        let samples: Vec<u64> = (1..=100).rev().collect();

        let summary = Summary::of(&samples).expect("there are samples");

        // R: quantile(1:100, c(.5, .95, .99)) is 50.50, 95.05, 99.01.
        assert!((summary.median - 50.5).abs() < 1e-9);
        assert!((summary.p95 - 95.05).abs() < 1e-9);
        assert!((summary.p99 - 99.01).abs() < 1e-9);
        assert!((summary.min - 1.0).abs() < 1e-9);
        assert!((summary.max - 100.0).abs() < 1e-9);
    }

    #[test]
    fn drift_compares_the_later_half_with_the_earlier() {
        let summary = Summary::of(&[10, 10, 10, 15, 15, 15]).expect("there are samples");

        assert!((summary.drift - 1.5).abs() < 1e-9);
    }

    #[test]
    fn nothing_against_nothing_is_one() {
        assert!((ratio(0.0, 0.0) - 1.0).abs() < 1e-9);
        assert!(ratio(1.0, 0.0).is_infinite());
    }
}
