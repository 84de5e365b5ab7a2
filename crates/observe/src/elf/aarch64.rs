//! 64-bit ARM code.
//!
//! Numbers that are handed to the C library's `syscall()` are not followed here; it counts as one unknown place.

use super::Numbers;

/// So far back the number is looked for.
const BACK: usize = 32;

/// The numbers of the calls that the code in `sections` makes.
pub(super) fn numbers(sections: &[(u64, &[u8])]) -> Numbers {
    let mut found = Numbers::default();
    for (_, data) in sections {
        let words: Vec<u32> =
            data.chunks_exact(4).map(|bytes| u32::from_le_bytes(bytes.try_into().unwrap_or_default())).collect();
        for (at, word) in words.iter().enumerate() {
            const SVC_0: u32 = 0xd400_0001;
            if *word == SVC_0 {
                match number(&words[at.saturating_sub(BACK)..at]) {
                    Some(number) => drop(found.known.insert(number)),
                    None => found.unknown += 1,
                }
            }
        }
    }
    found
}

/// What the last instruction that writes x8 puts there, if that is a constant.
fn number(before: &[u32]) -> Option<u32> {
    for word in before.iter().rev() {
        // movz w8 or x8 with a 16-bit constant: C4.1.93 of the Architecture Reference Manual.
        if word & 0x7fe0_001f == 0x5280_0008 {
            return Some((word >> 5) & 0xffff);
        }
        // ret and unconditional branches: what stands before does not come here.
        if *word == 0xd65f_03c0 || word & 0xfc00_0000 == 0x1400_0000 {
            return None;
        }
        // mov x8, another register.
        if word & 0x7fe0_ffff == 0x2a00_03e8 {
            return None;
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(words: &[u32]) -> Numbers {
        let data: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        numbers(&[(0, &data)])
    }

    #[test]
    fn a_constant_in_x8_is_the_number() {
        // mov x8, #64 (write); nop; svc #0
        let found = found(&[0xd280_0808, 0xd503_201f, 0xd400_0001]);

        assert_eq!((found.known.into_iter().collect::<Vec<_>>(), found.unknown), (vec![64], 0));
    }

    #[test]
    fn what_is_handed_in_or_stands_before_a_return_is_unknown() {
        // mov x8, x0; svc #0
        assert_eq!(found(&[0xaa00_03e8, 0xd400_0001]).unknown, 1);
        // mov x8, #64; ret; svc #0
        assert_eq!(found(&[0xd280_0808, 0xd65f_03c0, 0xd400_0001]).unknown, 1);
    }
}
