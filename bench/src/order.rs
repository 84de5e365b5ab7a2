//! In which order contenders take their turns.

/// The order of round `round` of `count` contenders, as a permutation of `0..count`.
///
/// A Williams design: over `2 * count` rounds everyone takes every place equally often and follows every other one equally
/// often, so that what one leaves to the kernel to clean up falls on all the others alike.
///
/// Source: Williams, "Experimental designs balanced for the estimation of residual effects of treatments", 1949.
pub(crate) fn order(count: usize, round: usize) -> Vec<usize> {
    if count == 0 {
        return Vec::new();
    }
    let shift = round % count;
    let mut order: Vec<usize> = (0..count).map(|place| (zigzag(count, place) + shift) % count).collect();
    if (round / count) % 2 == 1 {
        order.reverse();
    }
    order
}

/// 0, 1, n-1, 2, n-2, …
fn zigzag(count: usize, place: usize) -> usize {
    let step = place.div_ceil(2);
    if place % 2 == 1 { step } else { (count - step) % count }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_round_has_everyone_once() {
        for round in 0..12 {
            let mut turn = order(6, round);
            turn.sort_unstable();

            assert_eq!(turn, (0..6).collect::<Vec<_>>());
        }
    }

    #[test]
    fn over_all_rounds_everyone_follows_every_other_one_equally_often() {
        for count in [5, 6] {
            let mut follows = vec![vec![0; count]; count];
            for round in 0..2 * count {
                for pair in order(count, round).windows(2) {
                    follows[pair[0]][pair[1]] += 1;
                }
            }

            for (first, row) in follows.iter().enumerate() {
                for (second, times) in row.iter().enumerate() {
                    assert_eq!(*times, if first == second { 0 } else { 2 }, "{first} then {second} of {count}");
                }
            }
        }
    }

    #[test]
    fn nobody_takes_no_turns() {
        assert!(order(0, 3).is_empty());
    }
}
