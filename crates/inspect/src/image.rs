//! An ELF file that a job maps and cannot write: what unwinding and naming need of it.

use addr2line::gimli;
use object::{Object as _, ObjectSection as _, ObjectSegment as _, ObjectSymbol as _, ReadCache, SymbolKind};
use std::borrow::Cow;
use std::cmp::Reverse;
use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::PathBuf;

/// A file beyond this size is not looked into.
const LARGEST: u64 = 1 << 30;
/// A section beyond this size is not read.
const LARGEST_SECTION: u64 = 256 << 20;
/// Line information beyond this size is not read.
const LARGEST_LINES: u64 = 64 << 20;
/// The smallest page: segments are mapped in whole ones.
const PAGE: u64 = 4096;

/// The part of a file that is mapped for execution.
#[derive(Debug, Clone, Copy)]
struct Segment {
    address: u64,
    offset: u64,
    size: u64,
}

/// What unwinding needs of a file.
#[derive(Debug)]
pub(crate) struct Image {
    /// The lowest address of the file's own numbering.
    pub(crate) base: u64,
    /// Those that are mapped for execution.
    segments: Vec<Segment>,
    pub(crate) text: Option<Range<u64>>,
    pub(crate) got: Option<Range<u64>>,
    pub(crate) frames: Option<(Range<u64>, Vec<u8>)>,
    pub(crate) frames_index: Option<(Range<u64>, Vec<u8>)>,
}

/// What a symbol or a line says of an address.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Named {
    pub(crate) function: Option<String>,
    /// How far behind the function's beginning.
    pub(crate) behind: u64,
    pub(crate) file: Option<String>,
    pub(crate) line: Option<u32>,
    /// The functions that the compiler put in place at the address, innermost first, each with its file and line. When
    /// there are any, the last is the function itself.
    pub(crate) inlined: Vec<(Option<String>, Option<String>, Option<u32>)>,
}

/// A file that is read piece by piece.
type Elf<'a, 'file> = object::File<'a, &'a ReadCache<&'file File>>;

fn section(file: &Elf<'_, '_>, name: &str) -> Option<(Range<u64>, Vec<u8>)> {
    let section = file.section_by_name(name).filter(|section| section.size() <= LARGEST_SECTION)?;
    let bytes = section.uncompressed_data().ok()?.into_owned();
    let start = section.address();
    Some((start..start.checked_add(section.size())?, bytes))
}

fn range(file: &Elf<'_, '_>, name: &str) -> Option<Range<u64>> {
    let section = file.section_by_name(name)?;
    Some(section.address()..section.address().checked_add(section.size())?)
}

fn is_small_enough(file: &File) -> bool {
    file.metadata().is_ok_and(|metadata| metadata.is_file() && metadata.len() <= LARGEST)
}

impl Image {
    /// What unwinding needs of `file`; `None` when it is no ELF file of 64 bits.
    pub(crate) fn read(file: &File) -> Option<Self> {
        if !is_small_enough(file) {
            return None;
        }
        let cache = ReadCache::new(file);
        let parsed = object::File::parse(&cache).ok().filter(|parsed| parsed.is_64())?;
        let base = parsed.segments().map(|segment| segment.address()).min()? & !(PAGE - 1);
        let is_code = |segment: &object::Segment<'_, '_, _>| matches!(segment.flags(), object::SegmentFlags::Elf { p_flags } if p_flags & object::elf::PF_X != 0);
        let segments = parsed.segments().filter(is_code).map(|segment| {
            let (offset, size) = segment.file_range();
            Segment { address: segment.address(), offset, size }
        });
        Some(Self {
            base,
            segments: segments.collect(),
            text: range(&parsed, ".text"),
            got: range(&parsed, ".got"),
            frames: section(&parsed, ".eh_frame"),
            frames_index: section(&parsed, ".eh_frame_hdr"),
        })
    }

    /// What to take from an address in a process to have it in the file's own numbering, for a mapping that begins at
    /// `start` with the byte `offset` of the file.
    pub(crate) fn bias(&self, start: u64, offset: u64) -> Option<u64> {
        let holds = |segment: &&Segment| {
            let first = segment.offset & !(PAGE - 1);
            first <= offset && offset < segment.offset.saturating_add(segment.size)
        };
        let segment = self.segments.iter().find(holds)?;
        let address = segment.address.wrapping_sub(segment.offset).wrapping_add(offset);
        Some(start.wrapping_sub(address))
    }
}

/// Names `addresses`, which are in `file`'s own numbering, by its symbols, by its `lines` if they are wanted, and by what
/// the distribution keeps of both under `/usr/lib/debug`.
pub(crate) fn name(file: &File, addresses: &[u64], lines: bool) -> Vec<Named> {
    let mut named = vec![Named::default(); addresses.len()];
    if !is_small_enough(file) {
        return named;
    }
    let cache = ReadCache::new(file);
    let Ok(parsed) = object::File::parse(&cache) else { return named };
    name_by_symbols(&parsed, addresses, &mut named);
    let debug = parsed.build_id().ok().flatten().and_then(debug_file);
    if let Some(debug) = &debug {
        let cache = ReadCache::new(debug);
        if let Ok(parsed) = object::File::parse(&cache) {
            name_by_symbols(&parsed, addresses, &mut named);
            if lines {
                name_by_lines(&parsed, addresses, &mut named);
            }
            return named;
        }
    }
    if lines {
        name_by_lines(&parsed, addresses, &mut named);
    }
    named
}

/// The file with what was stripped of the one with this build id. It must be root's alone, as what this reads is parsed.
fn debug_file(id: &[u8]) -> Option<File> {
    let (first, rest) = id.split_first()?;
    if rest.is_empty() || rest.len() > 64 {
        return None;
    }
    let rest: String = rest.iter().map(|byte| format!("{byte:02x}")).collect();
    let path = PathBuf::from(format!("/usr/lib/debug/.build-id/{first:02x}/{rest}.debug"));
    let file = File::open(path).ok()?;
    let metadata = file.metadata().ok()?;
    let is_roots = metadata.uid() == 0 && metadata.mode() & 0o022 == 0;
    (is_roots && is_small_enough(&file)).then_some(file)
}

/// How far behind a symbol without a size an address may be to be named after it.
const NEAR: u64 = 4096;

/// How well a symbol names an address; the greatest is the best.
type Rank = (bool, Reverse<u64>, Reverse<usize>);

fn name_by_symbols(file: &Elf<'_, '_>, addresses: &[u64], named: &mut [Named]) {
    // For each address the symbol that covers it, or else is nearest, and of those the one that reads best.
    let mut best: Vec<Option<(Rank, u64, &[u8])>> = vec![None; addresses.len()];
    let symbols = file.symbols().chain(file.dynamic_symbols());
    for symbol in symbols.filter(|symbol| symbol.kind() == SymbolKind::Text && !symbol.is_undefined()) {
        let (start, size) = (symbol.address(), symbol.size());
        for (address, best) in addresses.iter().zip(&mut best) {
            let Some(behind) = address.checked_sub(start) else { continue };
            let covers = behind < size;
            if !covers && (size != 0 || behind >= NEAR) {
                continue;
            }
            let Ok(name) = symbol.name_bytes() else { continue };
            let underscores = name.iter().take_while(|byte| **byte == b'_').count();
            let rank = (covers, Reverse(behind), Reverse(underscores));
            if !name.is_empty() && best.is_none_or(|(other, ..)| rank > other) {
                *best = Some((rank, behind, name));
            }
        }
    }
    for (named, best) in named.iter_mut().zip(best) {
        if let Some((_, behind, name)) = best.filter(|_| named.function.is_none()) {
            named.function = Some(demangled(&String::from_utf8_lossy(name)));
            named.behind = behind;
        }
    }
}

fn demangled(name: &str) -> String {
    // Versions of symbols stand behind an `@`.
    let plain = name.split('@').next().unwrap_or(name);
    addr2line::demangle_auto(Cow::Borrowed(plain), None).into_owned()
}

fn name_by_lines(file: &Elf<'_, '_>, addresses: &[u64], named: &mut [Named]) {
    let size: u64 =
        file.sections().filter(|s| s.name().is_ok_and(|n| n.starts_with(".debug_"))).map(|s| s.size()).sum();
    if size == 0 || size > LARGEST_LINES {
        return;
    }
    let endian = if file.is_little_endian() { gimli::RunTimeEndian::Little } else { gimli::RunTimeEndian::Big };
    let load = |id: gimli::SectionId| -> Result<Vec<u8>, gimli::Error> {
        Ok(section(file, id.name()).map(|(_, bytes)| bytes).unwrap_or_default())
    };
    let Ok(sections) = gimli::DwarfSections::load(load) else { return };
    let dwarf = sections.borrow(|bytes| gimli::EndianSlice::new(bytes, endian));
    let Ok(context) = addr2line::Context::from_dwarf(dwarf) else { return };
    for (address, named) in addresses.iter().zip(named) {
        let Ok(mut frames) = context.find_frames(*address).skip_all_loads() else { continue };
        // A function is put into a function a few times at most.
        for _ in 0..INLINED {
            let Ok(Some(frame)) = frames.next() else { break };
            let function = frame.function.and_then(|name| name.demangle().ok().map(Cow::into_owned));
            let location = frame.location;
            let place = location.as_ref().and_then(|place| place.file).map(str::to_owned);
            named.inlined.push((function, place, location.and_then(|place| place.line)));
        }
        if let Some((function, file, line)) = named.inlined.last() {
            (named.file, named.line) = (file.clone(), *line);
            if named.function.is_none() {
                named.function.clone_from(function);
            }
        }
    }
}

/// How many functions in place are named at one address.
const INLINED: usize = 16;

/// The first bytes of an ELF file.
const MAGIC: [u8; 4] = *b"\x7fELF";

/// Whether `file` begins as an ELF file does.
pub(crate) fn is_elf(file: &File) -> bool {
    let mut start = [0; 4];
    file.read_exact_at(&mut start, 0).is_ok() && start == MAGIC
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_program_names_its_own_functions_and_lines() {
        let file = File::open("/proc/self/exe").expect("it runs");
        let image = Image::read(&file).expect("it is an ELF file");
        let maps = crate::maps::read(std::path::Path::new("/proc/self/maps")).expect("it is there");
        let here = this_program_names_its_own_functions_and_lines as *const () as u64 + 1;
        let mapping = crate::maps::holding(&maps, here).expect("code is mapped");
        let bias = image.bias(mapping.start, mapping.offset).expect("a segment holds it");

        let named = name(&file, &[here - bias, 1 << 40], true);

        let function = named[0].function.as_deref().unwrap_or("");
        assert!(function.contains("this_program_names_its_own_functions_and_lines"), "{function}");
        assert!(named[0].file.as_deref().is_some_and(|file| file.ends_with("image.rs")), "{named:?}");
        assert_eq!(named[1], Named::default());
    }

    #[test]
    fn what_is_no_elf_file_is_not_read() {
        let file = File::open("/etc/passwd").expect("it is there");

        assert!(Image::read(&file).is_none() && !is_elf(&file));
        assert_eq!(name(&file, &[1], true), [Named::default()]);
    }

    #[test]
    fn names_of_rust_and_cxx_are_readable() {
        assert_eq!(demangled("_ZN3foo3barEi"), "foo::bar(int)");
        assert_eq!(demangled("_ZN4core3fmt5Write9write_fmt17h0123456789abcdefE"), "core::fmt::Write::write_fmt");
        assert_eq!(demangled("__libc_start_main@@GLIBC_2.34"), "__libc_start_main");
    }
}
