//! The processor architectures that filters are made for.

use std::fmt;

/// A processor architecture, with its own numbers for system calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Arch {
    /// 64-bit x86; neither its 32-bit mode nor x32.
    X86_64,
    /// 64-bit ARM, little endian.
    Aarch64,
}

impl Arch {
    /// Every architecture that the tables cover.
    pub const ALL: [Self; 2] = [Self::X86_64, Self::Aarch64];

    /// The architecture that this code was compiled for; `None` when the tables do not cover it.
    #[must_use]
    pub const fn native() -> Option<Self> {
        if cfg!(all(target_arch = "x86_64", target_pointer_width = "64")) {
            Some(Self::X86_64)
        } else if cfg!(all(target_arch = "aarch64", target_endian = "little")) {
            Some(Self::Aarch64)
        } else {
            None
        }
    }

    /// The value of `seccomp_data.arch` for a native call: `AUDIT_ARCH_X86_64` or `AUDIT_ARCH_AARCH64`.
    ///
    /// Source: `linux/audit.h`.
    #[must_use]
    pub const fn audit(self) -> u32 {
        match self {
            Self::X86_64 => 0xc000_003e,
            Self::Aarch64 => 0xc000_00b7,
        }
    }

    /// The architecture that `audit` stands for; `None` when it is foreign to all of them.
    #[must_use]
    pub fn from_audit(audit: u32) -> Option<Self> {
        Self::ALL.into_iter().find(|arch| arch.audit() == audit)
    }

    /// Index into the two-column tables.
    pub(crate) const fn column(self) -> usize {
        match self {
            Self::X86_64 => 0,
            Self::Aarch64 => 1,
        }
    }
}

impl fmt::Display for Arch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::X86_64 => "x86_64",
            Self::Aarch64 => "aarch64",
        })
    }
}
