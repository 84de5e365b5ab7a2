//! Two filters by what they decide, and not by how their rules are written.
//!
//! The registers for which a call is permitted are a set, and so is what one filter permits and the other does not. The
//! sets are exact, and nothing is sampled. Where they become too intricate, the answer is that there is none, and never that
//! two filters are the same.

mod sets;

#[cfg(test)]
mod tests;

use crate::arch::Arch;
use crate::argument::{self, Width};
use crate::cube::{self, Cube};
use crate::filter::{Action, Filter};
use crate::rule::{Comparison, Condition, Member, Rule, Test, Value};
use crate::table::CallId;
use sets::{Set, Sets};

/// More cubes than this for one condition, and more rules than this for one call, are not looked at.
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

/// For which registers a call meets each action: each action once, no overlap, everything together.
type Territory = Vec<(Action, Set)>;

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
        let mut sets = Sets::new();
        let territories = [self.territory(id, arch, &mut sets), other.territory(id, arch, &mut sets)];
        let permitted =
            territories.map(|of| of.and_then(|of| permitted(&of, &mut sets).map(|permitted| (of, permitted))));
        let mut told = || match &permitted {
            [Some((first, one)), Some((second, two))] => {
                let (wider, narrower) = (sets.without(*two, *one)?, sets.without(*one, *two)?);
                let at = |of: &Territory, action| of.iter().find(|(own, _)| *own == action).map(|(_, set)| *set);
                if first.len() == second.len() && first.iter().all(|(action, set)| at(second, *action) == Some(*set)) {
                    return Some(Difference::None);
                }
                Some(Difference::Some {
                    permitted: [extent(*one), extent(*two)],
                    wider: wider != Set::EMPTY,
                    narrower: narrower != Set::EMPTY,
                })
            }
            _ => None,
        };
        told().unwrap_or_else(|| Difference::Unknown {
            permitted: permitted.each_ref().map(|of| of.as_ref().map(|(_, permitted)| extent(*permitted))),
        })
    }

    /// How much of the call named `call` is permitted on `arch`. `None`: the conditions are too many to tell.
    #[must_use]
    pub fn extent(&self, arch: Arch, call: &str) -> Option<Extent> {
        match CallId::named(call).filter(|id| id.number(arch).is_some()) {
            Some(id) => {
                let mut sets = Sets::new();
                let territory = self.territory(id, arch, &mut sets)?;
                permitted(&territory, &mut sets).map(extent)
            }
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
        let mut sets = Sets::new();
        let territory = self.territory(id, arch, &mut sets)?;
        let mut rules = Vec::new();
        for (action, set) in territory.into_iter().filter(|(action, _)| *action != self.default_action()) {
            let cubes = sets.cubes(set, MOST)?;
            rules.extend(
                cubes
                    .into_iter()
                    .map(|cube| (Rule::of_call(Member { call: id, conditions: conditions(id, cube) }), action)),
            );
        }
        Some(rules)
    }

    /// Whether the rules about a call are the same ones in the same order.
    fn same_alternatives(&self, other: &Self, call: CallId) -> bool {
        let of = |filter: &Self| -> Vec<_> {
            filter.alternatives(call).map(|alternative| (alternative.member.clone(), alternative.action)).collect()
        };
        of(self) == of(other)
    }

    fn territory(&self, call: CallId, arch: Arch, sets: &mut Sets) -> Option<Territory> {
        let fixed = |action: Action| {
            if call.is_io_uring() && action.permits() { Action::Refuse(crate::filter::EPERM) } else { action }
        };
        let mut territory: Territory = Vec::new();
        let mut claim = |action: Action, set: Set, sets: &mut Sets| {
            match territory.iter_mut().find(|(of, _)| *of == action) {
                Some((_, all)) => *all = sets.either(*all, set)?,
                None => territory.push((action, set)),
            }
            Some(())
        };
        // From the last alternative, which prevails, to the first: each has what is left of what it speaks of.
        let mut rest = Set::ALL;
        let alternatives: Vec<_> = self.alternatives(call).collect();
        for alternative in alternatives.iter().rev() {
            let leaning = alternative.action.leaning();
            let mut holding = Set::ALL;
            for condition in &alternative.member.conditions {
                let cubes = cube::of(&condition.resolve(arch, leaning));
                let own = sets.of_cubes(&cubes)?;
                holding = sets.both(holding, own)?;
            }
            let own = sets.both(rest, holding)?;
            rest = sets.without(rest, holding)?;
            claim(fixed(alternative.action), own, sets)?;
        }
        claim(fixed(self.fallback(call).action), rest, sets)?;
        territory.retain(|(_, set)| *set != Set::EMPTY);
        Some(territory)
    }
}

fn permitted(territory: &Territory, sets: &mut Sets) -> Option<Set> {
    let own = territory.iter().filter(|(action, _)| action.permits());
    own.map(|(_, set)| *set).try_fold(Set::EMPTY, |all, set| sets.either(all, set))
}

fn extent(permitted: Set) -> Extent {
    match permitted {
        Set::EMPTY => Extent::Nothing,
        Set::ALL => Extent::Everything,
        _ => Extent::Some,
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
