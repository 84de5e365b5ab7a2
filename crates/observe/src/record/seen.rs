//! In which runs something was seen.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::fmt;

/// A set of runs, by their number from 0. As text, and in recordings, ranges: `0-12,14`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Seen {
    /// Sixty-four runs each; the last is not zero.
    words: Vec<u64>,
}

/// A recording that speaks of more runs than this is not taken.
const MOST: usize = 1 << 24;

impl Seen {
    /// In this run alone.
    #[must_use]
    pub fn once(run: usize) -> Self {
        let mut seen = Self::default();
        seen.insert(run);
        seen
    }

    /// Adds a run.
    pub fn insert(&mut self, run: usize) {
        let word = run / 64;
        if self.words.len() <= word {
            self.words.resize(word + 1, 0);
        }
        self.words[word] |= 1 << (run % 64);
    }

    /// Whether it was seen in `run`.
    #[must_use]
    pub fn contains(&self, run: usize) -> bool {
        self.words.get(run / 64).is_some_and(|word| word & (1 << (run % 64)) != 0)
    }

    /// Adds what `other` has, `by` runs later.
    pub fn add(&mut self, other: &Self, by: usize) {
        for run in other.iter() {
            self.insert(run + by);
        }
    }

    /// The first run; `None` for none.
    #[must_use]
    pub fn first(&self) -> Option<usize> {
        self.iter().next()
    }

    /// How many runs.
    #[must_use]
    pub fn count(&self) -> usize {
        self.words.iter().map(|word| word.count_ones() as usize).sum()
    }

    /// The runs in order.
    pub fn iter(&self) -> impl Iterator<Item = usize> {
        self.words
            .iter()
            .enumerate()
            .flat_map(|(at, word)| (0..64).filter(move |bit| word & (1 << bit) != 0).map(move |bit| at * 64 + bit))
    }
}

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut ranges: Vec<(usize, usize)> = Vec::new();
        for run in self.iter() {
            match ranges.last_mut() {
                Some((_, last)) if *last + 1 == run => *last = run,
                _ => ranges.push((run, run)),
            }
        }
        for (at, (first, last)) in ranges.iter().enumerate() {
            let comma = if at == 0 { "" } else { "," };
            if first == last { write!(f, "{comma}{first}")? } else { write!(f, "{comma}{first}-{last}")? }
        }
        Ok(())
    }
}

impl Serialize for Seen {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Seen {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let mut seen = Self::default();
        for range in text.split(',').filter(|range| !range.is_empty()) {
            let (first, last) = range.split_once('-').unwrap_or((range, range));
            let number = |text: &str| text.parse::<usize>().ok().filter(|run| *run < MOST);
            let (Some(first), Some(last)) = (number(first), number(last)) else {
                return Err(de::Error::custom(format!("`{range}` is no range of runs")));
            };
            for run in first..=last {
                seen.insert(run);
            }
        }
        Ok(seen)
    }
}
