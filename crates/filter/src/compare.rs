//! Two filters by what they decide, and not by how their rules are written.
//!
//! The registers for which a call is permitted are a union of cubes (some bits fixed, the others free); so is what one
//! filter permits and the other does not. Nothing is sampled. Where the cubes become too many, the answer is that there is
//! none, and never that two filters are the same.

#[cfg(test)]
mod tests;

use crate::arch::Arch;
use crate::argument::{self, Width};
use crate::cube::{self, Cube};
use crate::filter::{Action, Filter};
use crate::rule::{Comparison, Condition, Member, Rule, Test, Value};
use crate::table::CallId;

/// More cubes than this for one call are not looked at.
const MOST: usize = 512;

/// How much of a call is permitted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    /// No arguments are.
    Nothing,
    /// Some arguments are.
    Some,
    /// All are.
    Everything,
}

/// What becomes of a call under two filters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Difference {
    /// Every call of this name is decided alike, in the same manner.
    None,
    /// Some are not.
    Some {
        /// What the first and the second permit.
        permitted: [Extent; 2],
        /// The second permits arguments that the first does not.
        wider: bool,
        /// The first permits arguments that the second does not.
        narrower: bool,
    },
    /// The conditions are too many to tell.
    Unknown {
        /// What the first and the second permit, where that much can be told.
        permitted: [Option<Extent>; 2],
    },
}

/// For which registers a call meets each action: disjoint for different actions, everything together.
type Territory = Vec<(Action, Vec<Cube>)>;

impl Filter {
    /// How the call named `call` fares under this filter and `other`, on `arch`.
    ///
    /// `Difference::None` when there is no such call.
    #[must_use]
    pub fn difference(&self, other: &Self, arch: Arch, call: &str) -> Difference {
        let Some(id) = CallId::named(call).filter(|id| id.number(arch).is_some()) else {
            return Difference::None;
        };
        if self.fallback(id).action == other.fallback(id).action && self.same_alternatives(other, id) {
            return Difference::None;
        }
        let territories = [self.territory(id, arch), other.territory(id, arch)];
        let [Some(first), Some(second)] = &territories else {
            return Difference::Unknown { permitted: territories.each_ref().map(|of| of.as_ref().and_then(extent)) };
        };
        let unknown = || Difference::Unknown { permitted: [extent(first), extent(second)] };
        let (Some(lost), Some(gained)) = (beyond(first, second), beyond(second, first)) else {
            return unknown();
        };
        let Some(alike) = decides_alike(first, second) else {
            return unknown();
        };
        match (extent(first), extent(second)) {
            (Some(_), Some(_)) if alike => Difference::None,
            (Some(one), Some(two)) => {
                Difference::Some { permitted: [one, two], wider: !gained.is_empty(), narrower: !lost.is_empty() }
            }
            _ => unknown(),
        }
    }

    /// How much of the call named `call` is permitted on `arch`. `None`: the conditions are too many to tell.
    #[must_use]
    pub fn extent(&self, arch: Arch, call: &str) -> Option<Extent> {
        match CallId::named(call).filter(|id| id.number(arch).is_some()) {
            Some(id) => extent(&self.territory(id, arch)?),
            None => Some(Extent::Nothing),
        }
    }

    /// What this filter decides about the call named `call` as rules of which no two speak of the same arguments, so that
    /// their order does not matter; what no rule speaks of meets the default action. `None`: the conditions are too many.
    #[must_use]
    pub fn rules_apart(&self, arch: Arch, call: &str) -> Option<Vec<(Rule, Action)>> {
        let Some(id) = CallId::named(call).filter(|id| id.number(arch).is_some()) else {
            return Some(Vec::new());
        };
        let territory = self.territory(id, arch)?;
        let others = territory.into_iter().filter(|(action, _)| *action != self.default_action());
        let rules = others.flat_map(|(action, cubes)| {
            let whole = [Cube::default()];
            // As few as possible: cubes that together are everything are one rule.
            let all = cube::difference(&whole, &cubes, MOST).is_some_and(|rest| rest.is_empty());
            let cubes = if all { whole.to_vec() } else { cubes };
            cubes
                .into_iter()
                .map(move |cube| (Rule::of_call(Member { call: id, conditions: conditions(id, cube) }), action))
        });
        Some(rules.collect())
    }

    /// Whether the rules about a call are the same ones in the same order.
    fn same_alternatives(&self, other: &Self, call: CallId) -> bool {
        let of = |filter: &Self| -> Vec<_> {
            filter.alternatives(call).map(|alternative| (alternative.member.clone(), alternative.action)).collect()
        };
        of(self) == of(other)
    }

    fn territory(&self, call: CallId, arch: Arch) -> Option<Territory> {
        let fixed = |action: Action| {
            if call.is_io_uring() && action.permits() { Action::Refuse(crate::filter::EPERM) } else { action }
        };
        let mut rest = vec![Cube::default()];
        let mut territory: Territory = Vec::new();
        let mut claim = |action: Action, cubes: Vec<Cube>| match territory.iter_mut().find(|(of, _)| *of == action) {
            Some((_, all)) => all.extend(cubes),
            None => territory.push((action, cubes)),
        };
        let alternatives: Vec<_> = self.alternatives(call).collect();
        for alternative in alternatives.iter().rev() {
            let holding = cube::holding(alternative, arch, MOST)?;
            let mut own = Vec::new();
            for cube in holding {
                own.extend(rest.iter().filter_map(|part| part.intersect(cube)));
                rest = cube::difference(&rest, &[cube], MOST)?;
                if own.len() > MOST {
                    return None;
                }
            }
            claim(fixed(alternative.action), own);
        }
        claim(fixed(self.fallback(call).action), rest);
        territory.retain(|(_, cubes)| !cubes.is_empty());
        Some(territory)
    }
}

/// The conditions that say a cube.
fn conditions(call: CallId, cube: Cube) -> Vec<Condition> {
    let fixed = (0_u8..).zip(cube.0).filter(|(_, bits)| bits.mask != 0);
    fixed
        .map(|(index, bits)| {
            let argument = argument::at(call, index);
            let all = if argument.width == Width::Int { u64::from(u32::MAX) } else { u64::MAX };
            let value = Value::number(bits.value);
            let test = if bits.mask == all {
                Test::Compare(Comparison::Equal, value)
            } else {
                Test::Masked { mask: Value::number(bits.mask), equal: true, value }
            };
            Condition { argument, test }
        })
        .collect()
}

fn permitted(territory: &Territory) -> Vec<Cube> {
    territory.iter().filter(|(action, _)| action.permits()).flat_map(|(_, cubes)| cubes.iter().copied()).collect()
}

fn extent(territory: &Territory) -> Option<Extent> {
    let of = permitted(territory);
    if of.is_empty() {
        return Some(Extent::Nothing);
    }
    let without = cube::difference(&[Cube::default()], &of, MOST)?;
    Some(if without.is_empty() { Extent::Everything } else { Extent::Some })
}

/// What the first permits and the second does not.
fn beyond(first: &Territory, second: &Territory) -> Option<Vec<Cube>> {
    cube::difference(&permitted(first), &permitted(second), MOST)
}

/// Whether every action has the same registers in both.
fn decides_alike(first: &Territory, second: &Territory) -> Option<bool> {
    for (action, cubes) in first {
        let same: Vec<_> = second.iter().filter(|(of, _)| of == action).flat_map(|(_, cubes)| cubes.clone()).collect();
        if !cube::difference(cubes, &same, MOST)?.is_empty() {
            return Some(false);
        }
    }
    // Both are everything, so that nothing of the second's can be left over.
    Some(true)
}
