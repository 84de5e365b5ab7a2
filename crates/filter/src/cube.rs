//! Sets of argument registers as unions of cubes: some bits fixed, the others free.
//!
//! Every condition is such a union, and so is every intersection and difference of them. A cube is what one entry of
//! the JSON can say, with one `SCMP_CMP_MASKED_EQ` per argument.

use crate::arch::Arch;
use crate::filter::Alternative;
use crate::rule::{Comparison, Plain, Resolved};

/// The bits that one register must have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Bits {
    /// Which bits are fixed.
    pub(crate) mask: u64,
    /// Their values; zero elsewhere.
    pub(crate) value: u64,
}

impl Bits {
    /// Both at once; `None` when no number has the bits of both.
    fn intersect(self, other: Self) -> Option<Self> {
        let agree = (self.value ^ other.value) & self.mask & other.mask == 0;
        agree.then_some(Self { mask: self.mask | other.mask, value: self.value | other.value })
    }
}

/// One set of bits per register.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Cube(pub(crate) [Bits; 6]);

impl Cube {
    fn of(index: u8, bits: Bits) -> Self {
        let mut cube = Self::default();
        cube.0[usize::from(index)] = bits;
        cube
    }

    pub(crate) fn intersect(self, other: Self) -> Option<Self> {
        let mut both = self;
        for (bits, more) in both.0.iter_mut().zip(other.0) {
            *bits = bits.intersect(more)?;
        }
        Some(both)
    }

    /// What is in `self` and not in `other`, in cubes without overlap.
    pub(crate) fn subtract(self, other: Self) -> Vec<Self> {
        if self.intersect(other).is_none() {
            return vec![self];
        }
        let mut rest = self;
        let mut parts = Vec::new();
        for index in 0..6 {
            let Bits { mask, value } = other.0[index];
            let mut free = mask & !rest.0[index].mask;
            while free != 0 {
                // From the highest down: then the parts of orderings, which are prefixes, stay prefixes.
                let bit = 1 << free.ilog2();
                free &= !bit;
                let mut part = rest;
                part.0[index].mask |= bit;
                part.0[index].value |= !value & bit;
                parts.push(part);
                rest.0[index].mask |= bit;
                rest.0[index].value |= value & bit;
            }
        }
        parts
    }
}

/// The registers for which `condition` holds.
pub(crate) fn of(condition: &Resolved<'_>) -> Vec<Cube> {
    let seen = if condition.is_long { u64::MAX } else { u64::from(u32::MAX) };
    let cube = |mask, value| Cube::of(condition.index, Bits { mask, value });
    let all_but = |excluded: Cube| Cube::default().subtract(excluded);
    match condition.plain() {
        Plain::Compare(Comparison::Equal, value) => vec![cube(seen, value)],
        Plain::Compare(Comparison::NotEqual, value) => all_but(cube(seen, value)),
        Plain::Compare(Comparison::Less, value) => below(value).map(|(mask, value)| cube(mask & seen, value)).collect(),
        Plain::Compare(Comparison::GreaterOrEqual, value) => {
            let equal = std::iter::once(cube(seen, value));
            equal.chain(above(value, seen).map(|(mask, value)| cube(mask & seen, value))).collect()
        }
        Plain::Compare(Comparison::Greater, value) => {
            above(value, seen).map(|(mask, value)| cube(mask & seen, value)).collect()
        }
        Plain::Compare(Comparison::LessOrEqual, value) => {
            let equal = std::iter::once(cube(seen, value));
            equal.chain(below(value).map(|(mask, value)| cube(mask & seen, value))).collect()
        }
        Plain::Masked { mask, value, .. } if value & !mask != 0 => Vec::new(),
        Plain::Masked { mask, equal: true, value } => vec![cube(mask, value)],
        Plain::Masked { mask, equal: false, value } => all_but(cube(mask, value)),
        Plain::In(values) => values.into_iter().map(|value| cube(seen, value)).collect(),
    }
}

/// The numbers below `value`: those that agree with it above one of its ones, and have a zero there.
fn below(value: u64) -> impl Iterator<Item = (u64, u64)> {
    (0..64_u32).filter(move |bit| value >> bit & 1 == 1).map(move |bit| {
        let mask = u64::MAX << bit;
        (mask, value & mask & !(1 << bit))
    })
}

/// The numbers above `value`, among those of the bits in `seen`: likewise with its zeros.
fn above(value: u64, seen: u64) -> impl Iterator<Item = (u64, u64)> {
    (0..64_u32).filter(move |bit| seen & !value & 1 << bit != 0).map(move |bit| {
        let mask = u64::MAX << bit;
        (mask, value & mask | 1 << bit)
    })
}

/// The registers for which all conditions of an alternative hold; `None` when that takes more than `most` cubes.
pub(crate) fn holding(alternative: &Alternative<'_>, arch: Arch, most: usize) -> Option<Vec<Cube>> {
    let leaning = alternative.action.leaning();
    let mut cubes = vec![Cube::default()];
    for condition in &alternative.member.conditions {
        let holding = of(&condition.resolve(arch, leaning));
        cubes = cubes.iter().flat_map(|cube| holding.iter().filter_map(|other| cube.intersect(*other))).collect();
        if cubes.len() > most {
            return None;
        }
    }
    Some(cubes)
}
