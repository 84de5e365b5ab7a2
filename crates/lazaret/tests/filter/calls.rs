//! Random calls, biased to where decisions change.

use crate::meaning::{Made, Policy};
use lazaret_filter::{Arch, Call, table};
use proptest::prelude::*;
use proptest::sample::Index;

/// Registers that are always worth a look.
const ORDINARY: &[u64] =
    &[0, 1, 2, 5, 0x28, 0x5412, 0x8000_0000, 0xffff_ffff, 1 << 32, 0xffff_ffff_0000_0000, u64::MAX];

/// What a random call is drawn from: which of the policy's own numbers, and how it is moved.
#[derive(Debug, Clone)]
pub(crate) struct Seed {
    call: Index,
    manner: u8,
    any: u32,
    registers: [(Index, u8); 6],
}

pub(crate) fn seed() -> impl Strategy<Value = Seed> {
    let register = (any::<Index>(), any::<u8>());
    (any::<Index>(), any::<u8>(), any::<u32>(), prop::array::uniform6(register))
        .prop_map(|(call, manner, any, registers)| Seed { call, manner, any, registers })
}

/// The numbers that stand in the policy's rules, and the calls that it names.
#[derive(Debug)]
pub(crate) struct Interest {
    numbers: Vec<u64>,
    calls: Vec<&'static str>,
}

impl Interest {
    pub(crate) fn of(policy: &Policy, arch: Arch) -> Self {
        let mut numbers = ORDINARY.to_vec();
        let mut calls = vec!["getppid", "read", "clone3", "io_uring_setup", "socket", "setpriority", "prlimit64"];
        for (_, rule) in policy.rules() {
            let words = rule.split(|letter: char| !letter.is_alphanumeric() && letter != '_');
            for word in words {
                let digits = word.strip_prefix("0x").map(|digits| u64::from_str_radix(digits, 16).ok());
                numbers.extend(digits.unwrap_or_else(|| word.parse().ok()));
            }
            let parsed: lazaret_filter::Rule = rule.parse().expect("rules of the policy are rules");
            calls.extend(parsed.calls());
        }
        calls.retain(|name| table::number(arch, name).is_some());
        Self { numbers, calls }
    }

    pub(crate) fn call(&self, seed: &Seed, arch: Arch) -> (Call, Made) {
        let name = *seed.call.get(&self.calls);
        let number = table::number(arch, name).expect("calls of other architectures were left out");
        let (audit_arch, nr) = match seed.manner {
            0..=8 => (select_foreign(seed.any), number),
            9..=16 => (arch.audit(), number | 0x4000_0000),
            17..=24 => (arch.audit(), seed.any),
            25..=48 => (arch.audit(), seed.any % 480),
            _ => (arch.audit(), number),
        };
        let args = seed.registers.each_ref().map(|(index, change)| moved(*index.get(&self.numbers), *change));
        let foreign = audit_arch != arch.audit();
        (Call { audit_arch, nr, args }, Made { foreign, nr, name: table::name(arch, nr), args })
    }
}

fn select_foreign(any: u32) -> u32 {
    // i386, ARM, nothing, and whatever.
    [0x4000_0003, 0x4000_0028, 0, any & 0x3fff_ffff][usize::try_from(any % 4).expect("below four")]
}

/// A number, the ones beside it, and those that a kernel that reads 32 bits takes for it.
fn moved(number: u64, change: u8) -> u64 {
    match change % 10 {
        0 => number.wrapping_add(1),
        1 => number.wrapping_sub(1),
        2 => number | 1 << 32,
        3 => number ^ 0xffff_ffff_0000_0000,
        4 => number & 0xffff_ffff,
        5 => number ^ 1 << (change / 10 % 32),
        6 => number | number >> 32,
        _ => number,
    }
}

/// A strategy that is a seed for each of `count` calls.
pub(crate) fn seeds(count: usize) -> impl Strategy<Value = Vec<Seed>> {
    prop::collection::vec(seed(), count)
}
