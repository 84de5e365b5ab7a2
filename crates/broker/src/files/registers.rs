//! The registers of a call.

/// The arguments of a call, as its registers have them.
pub(super) struct Registers<'r>(pub(super) &'r [u64; 6]);

impl Registers<'_> {
    /// An int: the high half of the register has no meaning.
    #[expect(clippy::cast_possible_truncation, reason = "the kernel takes the low half")]
    pub(super) fn int(&self, index: usize) -> i32 {
        (self.0[index] as u32).cast_signed()
    }

    pub(super) fn word(&self, index: usize) -> u32 {
        self.int(index).cast_unsigned()
    }

    pub(super) fn size(&self, index: usize) -> usize {
        usize::try_from(self.0[index]).unwrap_or(usize::MAX)
    }
}
