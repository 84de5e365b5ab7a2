use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Serialize, Serializer};

/// Why a text is not the quantity that it should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum QuantityError {
    /// No number where one is needed.
    #[error("`{given}` is not {wanted}")]
    NotANumber {
        /// The text.
        given: String,
        /// What was wanted, with its article.
        wanted: &'static str,
    },
    /// A number below zero.
    #[error("`{given}` is negative")]
    Negative {
        /// The text.
        given: String,
    },
    /// A number too large to be held.
    #[error("`{given}` is too large")]
    TooLarge {
        /// The text.
        given: String,
    },
    /// A number followed by something that is no unit.
    #[error("unknown unit `{unit}` in `{given}`")]
    UnknownUnit {
        /// The text.
        given: String,
        /// What stands for the unit.
        unit: String,
        /// The units there are.
        known: &'static str,
    },
    /// A time without a unit.
    #[error("`{given}` has no unit")]
    MissingUnit {
        /// The text.
        given: String,
        /// The units there are.
        known: &'static str,
    },
    /// A good number, outside the bounds of its limit.
    #[error("{given} is out of range: at least {least} and at most {most}")]
    OutOfRange {
        /// The value.
        given: String,
        /// The least value allowed.
        least: String,
        /// The greatest value allowed.
        most: String,
    },
}

impl QuantityError {
    /// What to write instead.
    pub fn hint(&self) -> String {
        match self {
            Self::NotANumber { wanted, .. } => format!("write {wanted}"),
            Self::Negative { .. } => "write a number that is not negative; limits cannot be switched off".to_owned(),
            Self::TooLarge { .. } => "write a smaller number".to_owned(),
            Self::UnknownUnit { known, .. } => format!("units are {known}"),
            Self::MissingUnit { given, .. } => format!("for seconds write \"{given}s\""),
            Self::OutOfRange { least, most, .. } => {
                format!("choose a value from {least} to {most}")
            }
        }
    }
}

const BYTE_UNITS: [(&str, u64); 8] = [
    ("TiB", 1 << 40),
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("TB", 1_000_000_000_000),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("kB", 1_000),
];
const BYTE_UNIT_NAMES: &str = "B, KiB, MiB, GiB, TiB (powers of 1024) and kB, MB, GB, TB (powers of 1000)";
const TIME_UNIT_NAMES: &str = "ms, s, m, h";

/// A number of bytes. Written `512MiB`, `64KiB`, `2GB`, or as a plain integer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Bytes(pub u64);

impl Bytes {
    /// The number.
    pub const fn get(self) -> u64 {
        self.0
    }
}

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = BYTE_UNITS[..4].iter().find(|(_, size)| self.0 > 0 && self.0.is_multiple_of(*size));
        match unit {
            Some((name, size)) => write!(f, "{}{name}", self.0 / size),
            None => write!(f, "{}", self.0),
        }
    }
}

impl FromStr for Bytes {
    type Err = QuantityError;

    fn from_str(text: &str) -> Result<Self, QuantityError> {
        let (number, unit) = split_number(text, "a size such as \"512MiB\" or an integer number of bytes")?;
        let unit = unit.trim();
        let size = match unit {
            "" | "B" => 1,
            _ => match BYTE_UNITS.iter().find(|(name, _)| *name == unit) {
                Some((_, size)) => *size,
                None => {
                    return Err(QuantityError::UnknownUnit {
                        given: text.to_owned(),
                        unit: unit.to_owned(),
                        known: BYTE_UNIT_NAMES,
                    });
                }
            },
        };
        number.checked_mul(size).map(Self).ok_or_else(|| QuantityError::TooLarge { given: text.to_owned() })
    }
}

/// A size between bounds that are part of its type: at least `LEAST` bytes, at most 2⁶³−1, which is the
/// largest size that the kernel's signed file offsets and limits can hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SizeLimit<const LEAST: u64>(Bytes);

/// Memory of the whole job, with its files in `/job` and `/tmp`: at least 4 MiB.
pub type MemoryLimit = SizeLimit<{ 4 << 20 }>;
/// Size of a single file: at least one byte.
pub type FileSizeLimit = SizeLimit<1>;
/// What `/job` and `/tmp` hold together: at least 64 KiB.
pub type DiskLimit = SizeLimit<{ 64 << 10 }>;
/// Bytes captured of each of standard output and standard error; 0 keeps none.
pub type OutputLimit = SizeLimit<0>;
/// Bytes per second to and from block devices: at least 4 KiB, one block.
pub type IoRate = SizeLimit<{ 4 << 10 }>;
/// Bytes sent, or received, over all connections: at least one.
pub type TrafficLimit = SizeLimit<1>;

impl<const LEAST: u64> SizeLimit<LEAST> {
    /// The least value.
    pub const LEAST: Bytes = Bytes(LEAST);
    /// The greatest value.
    pub const MOST: Bytes = Bytes(i64::MAX.unsigned_abs());

    /// Checks the bounds.
    ///
    /// # Errors
    ///
    /// [`QuantityError::OutOfRange`].
    pub fn new(bytes: Bytes) -> Result<Self, QuantityError> {
        if (Self::LEAST..=Self::MOST).contains(&bytes) {
            Ok(Self(bytes))
        } else {
            Err(QuantityError::OutOfRange {
                given: bytes.to_string(),
                least: Self::LEAST.to_string(),
                most: Self::MOST.to_string(),
            })
        }
    }

    /// The number of bytes.
    pub const fn bytes(self) -> u64 {
        self.0.0
    }
}

impl<const LEAST: u64> fmt::Display for SizeLimit<LEAST> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl<const LEAST: u64> FromStr for SizeLimit<LEAST> {
    type Err = QuantityError;

    fn from_str(text: &str) -> Result<Self, QuantityError> {
        Self::new(text.parse()?)
    }
}

/// A count between bounds that are part of its type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CountLimit<const LEAST: u32, const MOST: u32>(u32);

/// Processes and threads alive at once in the whole job.
pub type ProcessLimit = CountLimit<1, 32_768>;
/// Descriptors that one process may hold open.
pub type OpenFilesLimit = CountLimit<4, 1_048_576>;
/// Connections of one job.
pub type ConnectionLimit = CountLimit<1, 65_536>;

impl<const LEAST: u32, const MOST: u32> CountLimit<LEAST, MOST> {
    /// Checks the bounds.
    ///
    /// # Errors
    ///
    /// [`QuantityError::OutOfRange`].
    pub fn new(count: u64) -> Result<Self, QuantityError> {
        match u32::try_from(count) {
            Ok(count) if (LEAST..=MOST).contains(&count) => Ok(Self(count)),
            _ => Err(QuantityError::OutOfRange {
                given: count.to_string(),
                least: LEAST.to_string(),
                most: MOST.to_string(),
            }),
        }
    }

    /// The count.
    pub const fn get(self) -> u32 {
        self.0
    }
}

impl<const LEAST: u32, const MOST: u32> fmt::Display for CountLimit<LEAST, MOST> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl<const LEAST: u32, const MOST: u32> FromStr for CountLimit<LEAST, MOST> {
    type Err = QuantityError;

    fn from_str(text: &str) -> Result<Self, QuantityError> {
        let wanted = "an integer such as 64";
        let (count, rest) = split_number(text, wanted)?;
        if rest.is_empty() {
            Self::new(count)
        } else {
            Err(QuantityError::NotANumber { given: text.to_owned(), wanted })
        }
    }
}

/// A span of wall-clock or processor time, 1 ms to 24 h. Written `30s`, `500ms`, `2m`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TimeLimit(Duration);

impl TimeLimit {
    /// The least value.
    pub const LEAST: Self = Self(Duration::from_millis(1));
    /// The greatest value.
    pub const MOST: Self = Self(Duration::from_secs(24 * 60 * 60));

    /// Checks the bounds.
    ///
    /// # Errors
    ///
    /// [`QuantityError::OutOfRange`].
    pub fn new(duration: Duration) -> Result<Self, QuantityError> {
        if (Self::LEAST..=Self::MOST).contains(&Self(duration)) {
            Ok(Self(duration))
        } else {
            Err(QuantityError::OutOfRange {
                given: Self(duration).to_string(),
                least: Self::LEAST.to_string(),
                most: Self::MOST.to_string(),
            })
        }
    }

    /// The time.
    pub const fn duration(self) -> Duration {
        self.0
    }
}

impl fmt::Display for TimeLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.as_secs();
        match self.0.subsec_nanos() {
            0 if seconds > 0 && seconds.is_multiple_of(3600) => write!(f, "{}h", seconds / 3600),
            0 if seconds > 0 && seconds.is_multiple_of(60) => write!(f, "{}m", seconds / 60),
            0 => write!(f, "{seconds}s"),
            nanos if nanos % 1_000_000 == 0 => write!(f, "{}ms", self.0.as_millis()),
            nanos if nanos % 1_000 == 0 => write!(f, "{}us", self.0.as_micros()),
            _ => write!(f, "{}ns", self.0.as_nanos()),
        }
    }
}

impl FromStr for TimeLimit {
    type Err = QuantityError;

    fn from_str(text: &str) -> Result<Self, QuantityError> {
        let given = text.trim();
        let wanted = "a time such as \"30s\", \"500ms\" or \"2m\"";
        if given.starts_with('-') {
            return Err(QuantityError::Negative { given: text.to_owned() });
        }
        if !given.is_empty() && given.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(QuantityError::MissingUnit { given: given.to_owned(), known: TIME_UNIT_NAMES });
        }
        let duration = humantime::parse_duration(given).map_err(|error| match error {
            humantime::DurationError::UnknownUnit { unit, .. } => {
                QuantityError::UnknownUnit { given: text.to_owned(), unit, known: TIME_UNIT_NAMES }
            }
            humantime::DurationError::NumberOverflow => QuantityError::TooLarge { given: text.to_owned() },
            _ => QuantityError::NotANumber { given: text.to_owned(), wanted },
        })?;
        Self::new(duration)
    }
}

/// Processor bandwidth in cores: `1.5` is one core and a half. From 0.01 to 4096, in thousandths.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Cpus {
    millis: u32,
}

impl Cpus {
    /// The least value, a hundredth of a core: what a 1 ms quota of a 100 ms period is.
    pub const LEAST: Self = Self { millis: 10 };
    /// The greatest value.
    pub const MOST: Self = Self { millis: 4_096_000 };

    /// Bandwidth in thousandths of a core.
    ///
    /// # Errors
    ///
    /// [`QuantityError::OutOfRange`].
    pub fn from_millis(millis: u32) -> Result<Self, QuantityError> {
        let cpus = Self { millis };
        if (Self::LEAST..=Self::MOST).contains(&cpus) {
            Ok(cpus)
        } else {
            Err(QuantityError::OutOfRange {
                given: cpus.to_string(),
                least: Self::LEAST.to_string(),
                most: Self::MOST.to_string(),
            })
        }
    }

    /// Thousandths of a core.
    pub const fn millis(self) -> u32 {
        self.millis
    }

    /// The processor time that may be used in each period of `period_us` microseconds.
    pub fn quota_us(self, period_us: u64) -> u64 {
        u64::from(self.millis).saturating_mul(period_us) / 1000
    }
}

impl fmt::Display for Cpus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, thousandths) = (self.millis / 1000, self.millis % 1000);
        if thousandths == 0 {
            return write!(f, "{whole}");
        }
        let fraction = format!("{thousandths:03}");
        write!(f, "{whole}.{}", fraction.trim_end_matches('0'))
    }
}

impl FromStr for Cpus {
    type Err = QuantityError;

    fn from_str(text: &str) -> Result<Self, QuantityError> {
        let wanted = "a number of cores such as 1 or 1.5, with three decimals at most";
        let not_a_number = || QuantityError::NotANumber { given: text.to_owned(), wanted };
        let (whole, rest) = split_number(text, wanted)?;
        let thousandths = match rest.strip_prefix('.') {
            None if rest.is_empty() => 0,
            Some(digits) if (1..=3).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit()) => {
                format!("{digits:0<3}").parse::<u32>().map_err(|_overflow| not_a_number())?
            }
            _ => return Err(not_a_number()),
        };
        let millis = u32::try_from(whole)
            .ok()
            .and_then(|whole| whole.checked_mul(1000)?.checked_add(thousandths))
            .ok_or_else(|| QuantityError::TooLarge { given: text.to_owned() })?;
        Self::from_millis(millis)
    }
}

macro_rules! serialize_as_written {
    ($($(#[$bound:meta])* [$($generics:tt)*] $kind:ty),* $(,)?) => {$(
        impl<$($generics)*> Serialize for $kind {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }
    )*};
}

serialize_as_written!(
    [] Bytes,
    [const LEAST: u64] SizeLimit<LEAST>,
    [const LEAST: u32, const MOST: u32] CountLimit<LEAST, MOST>,
    [] TimeLimit,
    [] Cpus,
);

/// Splits leading digits from what follows.
fn split_number<'a>(text: &'a str, wanted: &'static str) -> Result<(u64, &'a str), QuantityError> {
    let given = text.trim();
    if given.starts_with('-') {
        return Err(QuantityError::Negative { given: text.to_owned() });
    }
    let end = given.find(|c: char| !c.is_ascii_digit()).unwrap_or(given.len());
    let (digits, rest) = given.split_at(end);
    if digits.is_empty() {
        return Err(QuantityError::NotANumber { given: text.to_owned(), wanted });
    }
    match digits.parse() {
        Ok(number) => Ok((number, rest)),
        Err(_overflow) => Err(QuantityError::TooLarge { given: text.to_owned() }),
    }
}

#[cfg(test)]
mod tests;
