//! What the code of a program and its libraries could call.
//!
//! Every executable section is read from its beginning to its end. Where a system call is made, the number is what was
//! last put into its register; where that is not a constant, the place is counted as unknown. So the result is more than
//! the program can do, for most of a library is never reached, and less by what unknown places and code made at run time
//! call.

mod aarch64;
#[cfg(test)]
mod tests;
mod x86;

use crate::record::{Access, LeftOut, PathKind, Possible, Session};
use lazaret_filter::{Arch, table};
use object::{Architecture, Object as _, ObjectSection as _, ObjectSymbol as _, SectionFlags};
use std::collections::BTreeSet;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::{fs, io};

/// Why a file could not be looked into.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ScanError {
    /// It cannot be read.
    #[error("cannot read it: {0}")]
    Read(io::Error),
    /// It is no ELF file, or a broken one.
    #[error("it is no whole ELF file: {0}")]
    Elf(object::Error),
    /// It is of an architecture without a table.
    #[error("it is of another architecture")]
    Architecture,
}

/// What one file could call.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Scan {
    /// The calls, by name.
    pub calls: BTreeSet<&'static str>,
    /// Places whose number could not be found.
    pub unknown: u64,
}

/// What the code in the executable sections does, by number.
#[derive(Debug, Default)]
struct Numbers {
    known: BTreeSet<u32>,
    unknown: u64,
}

/// Looks into the programs that ran and the libraries that they opened.
#[must_use]
pub fn possible(session: &Session) -> Possible {
    let mut possible = Possible { calls: Vec::new(), files: Vec::new(), unread: Vec::new(), unknown: 0 };
    let mut calls: BTreeSet<&'static str> = BTreeSet::new();
    for path in files(session) {
        let file = path.display().to_string();
        match scan_file(&path) {
            Ok(scan) => {
                calls.extend(scan.calls);
                possible.unknown += scan.unknown;
                possible.files.push(file);
            }
            Err(error) => possible.unread.push(LeftOut { file, why: error.to_string() }),
        }
    }
    possible.calls = calls.into_iter().map(str::to_owned).collect();
    possible
}

/// The ELF files among what was executed and read: the loader opens each library that it maps, and so does dlopen(3).
fn files(session: &Session) -> BTreeSet<PathBuf> {
    let read = session.paths.iter().filter(|fact| fact.kind == PathKind::File);
    let read = read.filter(|fact| matches!(fact.access, Access::Read | Access::Execute));
    let paths = read.filter_map(|fact| fact.leads.last()).map(PathBuf::from);
    paths
        .chain(session.programs.iter().map(|program| PathBuf::from(&program.path)))
        .filter(|path| is_elf(path))
        .collect()
}

fn is_elf(path: &Path) -> bool {
    let mut magic = [0; 4];
    fs::File::open(path).and_then(|mut file| file.read_exact(&mut magic)).is_ok() && magic == *b"\x7fELF"
}

/// What the ELF file at `path` could call.
///
/// # Errors
///
/// When it cannot be read, or is no ELF file of a known architecture.
pub fn scan_file(path: &Path) -> Result<Scan, ScanError> {
    scan(&fs::read(path).map_err(ScanError::Read)?)
}

/// What the ELF file `data` could call.
///
/// # Errors
///
/// When it is no ELF file of a known architecture.
pub fn scan(data: &[u8]) -> Result<Scan, ScanError> {
    let file = object::File::parse(data).map_err(ScanError::Elf)?;
    let arch = match file.architecture() {
        Architecture::X86_64 => Arch::X86_64,
        Architecture::Aarch64 => Arch::Aarch64,
        _ => return Err(ScanError::Architecture),
    };
    let mut sections = Vec::new();
    for section in file.sections() {
        let executable = matches!(section.flags(),
            SectionFlags::Elf { sh_flags, .. } if sh_flags & u64::from(object::elf::SHF_EXECINSTR) != 0);
        if executable {
            sections.push((section.address(), section.data().map_err(ScanError::Elf)?));
        }
    }
    // The stubs through which other libraries are called come before what calls them.
    sections.sort_by_key(|(address, _)| *address);
    let numbers = match arch {
        Arch::X86_64 => x86::numbers(&sections, &wrapper(&file)),
        Arch::Aarch64 => aarch64::numbers(&sections),
    };
    let mut scan = Scan { unknown: numbers.unknown, calls: BTreeSet::new() };
    for number in numbers.known {
        match table::name(arch, number) {
            Some(name) => drop(scan.calls.insert(name)),
            None => scan.unknown += 1,
        }
    }
    Ok(scan)
}

/// The C library's `syscall()`, which takes the number as its first argument.
#[derive(Debug, Default)]
struct Wrapper {
    /// Where its address is put when the file is loaded.
    slots: BTreeSet<u64>,
    /// Where it begins and ends, in the file that has it.
    own: Vec<std::ops::Range<u64>>,
}

fn wrapper(file: &object::File<'_>) -> Wrapper {
    const NAME: &str = "syscall";
    let mut wrapper = Wrapper::default();
    for symbol in file.dynamic_symbols().chain(file.symbols()) {
        if symbol.name() == Ok(NAME) && symbol.is_definition() {
            wrapper.own.push(symbol.address()..symbol.address() + symbol.size().max(1));
        }
    }
    for (slot, relocation) in file.dynamic_relocations().into_iter().flatten() {
        if let object::RelocationTarget::Symbol(index) = relocation.target()
            && let Some(symbols) = object::Object::dynamic_symbol_table(file)
            && let Ok(symbol) = object::ObjectSymbolTable::symbol_by_index(&symbols, index)
            && symbol.name() == Ok(NAME)
        {
            wrapper.slots.insert(slot);
        }
    }
    wrapper
}
