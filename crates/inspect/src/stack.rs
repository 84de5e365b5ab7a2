//! From registers and a copy of a stack to the addresses that will be returned to.
//!
//! Registers and stack are the job's: any bytes. The tables that say how to read them come from files that the job cannot
//! write.

use crate::image::{self, Image};
use crate::look::Sight;
use crate::maps::{self, Mapping};
use crate::module::{Files, Key};
use framehop::{
    CacheNative, ExplicitModuleSectionInfo, MayAllocateDuringUnwind, Module, UnwindRegsNative, Unwinder, UnwinderNative,
};
use lazaret_sys::trace::Registers;
use std::collections::HashMap;
use std::sync::Arc;

/// How many frames are shown.
const FRAMES: usize = 64;

/// Images by inode number and name, read once for a job.
#[derive(Debug, Default)]
pub(crate) struct Images(HashMap<Key, Option<Arc<Image>>>);

impl Images {
    pub(crate) fn get(&mut self, files: &Files, mapping: &Mapping) -> Option<Arc<Image>> {
        let key = (mapping.inode, mapping.name.clone());
        let read =
            || files.get(mapping).filter(|file| image::is_elf(file)).and_then(|file| Image::read(&file)).map(Arc::new);
        self.0.entry(key).or_insert_with(read).clone()
    }
}

/// Addresses, innermost first, and why there may be more.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Frames {
    pub(crate) addresses: Vec<u64>,
    pub(crate) note: Option<&'static str>,
}

/// A code address without the signature that a processor may have put into it.
pub(crate) fn without_signature(address: u64) -> u64 {
    if cfg!(target_arch = "aarch64") { address & ADDRESS } else { address }
}

/// The bits of an address of a 64-bit ARM process with 48-bit addresses.
const ADDRESS: u64 = (1 << 48) - 1;

pub(crate) fn frames(sight: &Sight, files: &Files, images: &mut Images) -> Frames {
    let Some(registers) = sight.registers else { return Frames { addresses: Vec::new(), note: sight.note } };
    let mut unwinder: UnwinderNative<Vec<u8>, MayAllocateDuringUnwind> = UnwinderNative::new();
    for mapping in &sight.code {
        if let Some(module) = images.get(files, mapping).and_then(|image| module(mapping, &image)) {
            unwinder.add_module(module);
        }
    }
    let mut cache: CacheNative<MayAllocateDuringUnwind> = CacheNative::new();
    let mut read = |address: u64| word(&sight.stack, registers.stack, address).ok_or(());
    let mut walk = unwinder.iter_frames(registers.instruction, native(&registers), &mut cache, &mut read);
    let mut addresses = Vec::new();
    let note = loop {
        match walk.next() {
            Ok(Some(frame)) if addresses.len() < FRAMES => {
                let address = without_signature(frame.address());
                // What is not in code is no return address: what there is of it is not a stack any more.
                let is_code = maps::holding(&sight.code, address).is_some();
                if !is_code && !addresses.is_empty() {
                    break Some(CUT);
                }
                addresses.push(address);
            }
            Ok(Some(_)) => break Some("the stack has more frames than are shown"),
            Ok(None) => break None,
            Err(_) => break Some(CUT),
        }
    };
    Frames { addresses, note: sight.note.or(note) }
}

/// Where no table leads further.
const CUT: &str = "the stack could not be followed further";

#[cfg(target_arch = "x86_64")]
fn native(registers: &Registers) -> UnwindRegsNative {
    UnwindRegsNative::new(registers.instruction, registers.stack, registers.frame)
}

#[cfg(target_arch = "aarch64")]
fn native(registers: &Registers) -> UnwindRegsNative {
    let mask = framehop::aarch64::PtrAuthMask::from_max_known_address(ADDRESS);
    UnwindRegsNative::new_with_ptr_auth_mask(mask, registers.link, registers.stack, registers.frame)
}

/// The word of the copied stack at `address`.
fn word(stack: &[u8], pointer: u64, address: u64) -> Option<u64> {
    let at = usize::try_from(address.checked_sub(pointer)?).ok()?;
    let bytes = stack.get(at..at.checked_add(8)?)?;
    Some(u64::from_ne_bytes(bytes.try_into().ok()?))
}

fn module(mapping: &Mapping, image: &Image) -> Option<Module<Vec<u8>>> {
    let bias = image.bias(mapping.start, mapping.offset)?;
    let name = String::from_utf8_lossy(&mapping.name).into_owned();
    let sections = ExplicitModuleSectionInfo {
        base_svma: image.base,
        text_svma: image.text.clone(),
        got_svma: image.got.clone(),
        eh_frame_svma: image.frames.as_ref().map(|(range, _)| range.clone()),
        eh_frame: image.frames.as_ref().map(|(_, bytes)| bytes.clone()),
        eh_frame_hdr_svma: image.frames_index.as_ref().map(|(range, _)| range.clone()),
        eh_frame_hdr: image.frames_index.as_ref().map(|(_, bytes)| bytes.clone()),
        ..ExplicitModuleSectionInfo::default()
    };
    // An address in the module is told from its base in 32 bits.
    let base = image.base.wrapping_add(bias);
    let fits = mapping.start >= base && mapping.end - base <= u64::from(u32::MAX);
    fits.then(|| Module::new(name, mapping.start..mapping.end, base, sections))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::thread::Thread;
    use std::path::Path;

    /// This process, as if it had stopped with these registers and this stack.
    fn sight(registers: Registers, stack: Vec<u8>) -> (Sight, Files) {
        let maps = maps::read(Path::new("/proc/self/maps")).expect("it is there");
        let code: Vec<Mapping> = maps.into_iter().filter(|mapping| mapping.executable).collect();
        let files = Files::default();
        for mapping in &code {
            files.open(&Thread::own(), mapping);
        }
        (Sight { registers: Some(registers), stack, code, ..Sight::default() }, files)
    }

    #[test]
    fn garbage_on_the_stack_ends_in_time_and_without_a_panic() {
        let here = frames as *const () as u64;
        let mut state = 1_u64;
        let mut random = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            state
        };
        for round in 0..200 {
            let mut stack = Vec::new();
            for _ in 0..512 {
                // Numbers, places in code, and places on the stack, to make for long wrong ways.
                let word = match random() >> 62 {
                    0 => random(),
                    1 => here + random() % 65_536,
                    2 => 0x7fff_0000_0000 + random() % 4096,
                    _ => u64::MAX - random() % 64,
                };
                stack.extend_from_slice(&word.to_ne_bytes());
            }
            let pointer = if round % 2 == 0 { 0x7fff_0000_0000 } else { u64::MAX - 100 };
            let registers = Registers {
                instruction: here + random() % 4096,
                stack: pointer,
                frame: pointer.wrapping_add(random() % 256),
                link: random(),
            };
            let (sight, files) = sight(registers, stack);

            let found = frames(&sight, &files, &mut Images::default());

            assert!(found.addresses.len() <= FRAMES);
        }
    }

    #[test]
    fn a_word_beyond_the_copy_is_none() {
        let stack = [1_u8; 16];

        assert_eq!(word(&stack, 8, 16), Some(0x0101_0101_0101_0101));
        for address in [0, 7, 17, 24, u64::MAX] {
            assert_eq!(word(&stack, 8, address), None, "{address}");
        }
    }
}
