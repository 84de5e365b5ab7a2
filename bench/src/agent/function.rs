//! Function calls: in this process, in one that is merely forked, and sandboxed.

use super::serve::nanoseconds;
use anyhow::{Context, Result, bail};
use lazaret::{Spawner, TypedFunction};
use lazaret_sys::{fork, wait};
use serde::{Deserialize, Serialize};
use std::hint::black_box;
use std::io::Write;
use std::sync::OnceLock;
use std::time::Instant;

/// How much a large input has.
const BULK: usize = 64 << 20;
const SMALL: &[u8] = b"a small input";

/// What one call is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Function {
    /// The length of a small input, in this process.
    InProcess,
    /// fork(2), exit in the child, and wait.
    Fork,
    /// The length of a small input, by a spawner.
    Spawner,
    /// The length of a small input, by a fork of this process.
    Caller,
    /// 64 MiB copied twice, into memory that was used before.
    CopiesWarm,
    /// 64 MiB copied twice, into memory that is new.
    CopiesFresh,
    /// 64 MiB in and out of a function, by a spawner.
    BulkSpawner,
    /// 64 MiB in and out of a function, by a fork of this process.
    BulkCaller,
}

/// A function that is ready to be called.
pub(super) enum Prepared {
    InProcess,
    Fork,
    Typed(TypedFunction<Vec<u8>, usize>),
    Copies { from: Vec<u8>, to: Option<[Vec<u8>; 2]> },
    Bulk { from: Vec<u8>, echo: lazaret::Function<()>, copied: bool },
}

impl std::fmt::Debug for Prepared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Prepared")
    }
}

static SPAWNER: OnceLock<Spawner> = OnceLock::new();

/// Functions are sandboxed once, as a program does it when it starts; that is no part of a call's time.
static SPAWNED: OnceLock<TypedFunction<Vec<u8>, usize>> = OnceLock::new();
static FORKED: OnceLock<TypedFunction<Vec<u8>, usize>> = OnceLock::new();

fn once(
    kept: &'static OnceLock<TypedFunction<Vec<u8>, usize>>,
    make: impl FnOnce() -> Result<TypedFunction<Vec<u8>, usize>>,
) -> Result<Prepared> {
    let function = match kept.get() {
        Some(function) => function.clone(),
        None => {
            let made = make()?;
            kept.get_or_init(|| made).clone()
        }
    };
    Ok(Prepared::Typed(function))
}

pub(super) fn start_spawner() -> Result<()> {
    let spawner = Spawner::start().context("cannot start a spawner")?;
    SPAWNER.set(spawner).map_err(|_twice| anyhow::anyhow!("there is a spawner already"))
}

fn count(input: Vec<u8>) -> usize {
    input.len()
}

fn echo(input: &[u8], output: &mut lazaret::call::Output) -> Result<(), ()> {
    output.write_all(input).map_err(|_full| ())
}

impl Function {
    pub(super) fn prepare(self) -> Result<Prepared> {
        let policy = lazaret::profile("compute")?;
        let spawner = || SPAWNER.get().context("the agent has no spawner");
        let full = || vec![0x5a_u8; BULK];
        Ok(match self {
            Self::InProcess => Prepared::InProcess,
            Self::Fork => Prepared::Fork,
            Self::Spawner => once(&SPAWNED, || Ok(spawner()?.sandboxed_typed(&policy, count)?))?,
            Self::Caller => once(&FORKED, || Ok(lazaret::sandboxed_typed(&policy, count)?))?,
            Self::CopiesWarm => Prepared::Copies { from: full(), to: Some([full(), full()]) },
            Self::CopiesFresh => Prepared::Copies { from: full(), to: None },
            Self::BulkSpawner => {
                Prepared::Bulk { from: full(), echo: spawner()?.sandboxed_writing(&policy, echo)?, copied: true }
            }
            Self::BulkCaller => {
                Prepared::Bulk { from: full(), echo: lazaret::sandboxed_writing(&policy, echo)?, copied: false }
            }
        })
    }
}

impl Prepared {
    /// Makes one call and returns its nanoseconds.
    pub(super) fn once(&mut self) -> Result<u64> {
        match self {
            Self::InProcess => {
                let input = SMALL.to_vec();
                let begun = Instant::now();
                let counted = black_box(count)(black_box(input));
                let latency = nanoseconds(begun);
                expect(counted == SMALL.len()).map(|()| latency)
            }
            Self::Fork => {
                let begun = Instant::now();
                let pid = fork::fork(|| fork::exit(0)).context("cannot fork")?;
                let ended = wait::reap(pid)?;
                let latency = nanoseconds(begun);
                expect(ended == Some(wait::Ended::Exited(0))).map(|()| latency)
            }
            Self::Typed(function) => {
                let input = SMALL.to_vec();
                let begun = Instant::now();
                let counted = function.call(&input)?.into_value()?;
                let latency = nanoseconds(begun);
                expect(counted == SMALL.len()).map(|()| latency)
            }
            Self::Copies { from, to: Some([first, second]) } => {
                let begun = Instant::now();
                first.copy_from_slice(black_box(from));
                second.copy_from_slice(black_box(first));
                black_box(second);
                Ok(nanoseconds(begun))
            }
            Self::Copies { from, to: None } => {
                let begun = Instant::now();
                let first = black_box(&*from).clone();
                let second = black_box(&first).clone();
                drop((first, black_box(second)));
                Ok(nanoseconds(begun))
            }
            Self::Bulk { from, echo, copied } => {
                let begun = Instant::now();
                let called = if *copied {
                    let mut input = echo.input(from.len())?;
                    input.write_all(from)?;
                    echo.call_with(input)?
                } else {
                    echo.call(from)?
                };
                let Ok(bytes) = called.into_value()? else { bail!("the answer did not fit") };
                let touched = bytes.iter().step_by(4096).fold(0_u64, |sum, byte| sum + u64::from(*byte));
                let latency = nanoseconds(begun);
                expect(bytes.len() == from.len() && touched == 0x5a * (BULK as u64 / 4096)).map(|()| latency)
            }
        }
    }
}

fn expect(right: bool) -> Result<()> {
    if right { Ok(()) } else { bail!("a function gave a wrong answer") }
}
