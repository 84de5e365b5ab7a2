//! Lays a launch out as the bytes that the launched processes read. The format is `lazaret_init::format`.

use super::{Steps, Structure, Tolerate, Value};
use lazaret_init::format::{Header, List, MAGIC, NO_SLOT, Program, SLOTS, Step as RawStep, kind};
use std::ffi::CString;
use std::mem::{offset_of, size_of};

/// A launch does not fit into a block.
#[derive(Debug, thiserror::Error)]
pub enum LayoutError {
    #[error("a launch can hold {SLOTS} descriptors, and this one needs {0}")]
    /// Too many descriptors.
    Slots(usize),
    #[error("a launch can hold 4 GiB, and this one needs more")]
    /// Too many bytes.
    Size,
}

/// The bytes of the block for `steps`; descriptors are filled in when it is launched.
///
/// # Errors
///
/// When they do not fit.
pub fn lay_out(steps: &Steps) -> Result<Vec<u8>, LayoutError> {
    if steps.slots() > SLOTS {
        return Err(LayoutError::Slots(steps.slots()));
    }
    let total: usize = steps.lists.iter().map(Vec::len).sum();
    let steps_at = size_of::<Header>().next_multiple_of(8);
    let mut layout = Layout { bytes: vec![0; steps_at + total * size_of::<RawStep>()], relocations: Vec::new() };

    let mut index = 0;
    for (list, own) in steps.lists.iter().enumerate() {
        let span = offset_of!(Header, lists) + list * 8;
        layout.put_u32(span, index)?;
        layout.put_u32(span + 4, own.len())?;
        for step in own {
            layout.put_step(steps_at + index * size_of::<RawStep>(), step)?;
            index += 1;
        }
    }

    let candidates = layout.vector(&steps.program.candidates, false)?;
    let argv = layout.vector(&steps.program.arguments, true)?;
    let envp = layout.vector(&steps.program.environment, true)?;
    let program = offset_of!(Header, program);
    layout.put_u32(program, candidates)?;
    layout.put_u32(program + 4, steps.program.candidates.len())?;
    layout.put_u32(program + 8, argv)?;
    layout.put_u32(program + 12, envp)?;
    layout.put(program + offset_of!(Program, token), &steps.token.to_ne_bytes());
    layout.put(program + offset_of!(Program, may_look), &u32::from(steps.may_look).to_ne_bytes());

    let relocations: Vec<u8> = layout.relocations.iter().flat_map(|place| place.to_ne_bytes()).collect();
    let at = layout.append(&relocations)?;
    layout.put_u32(offset_of!(Header, relocations), at)?;
    layout.put_u32(offset_of!(Header, relocations) + 4, relocations.len() / 4)?;
    layout.put_u32(offset_of!(Header, steps_at), steps_at)?;
    layout.put(offset_of!(Header, magic), &MAGIC.to_ne_bytes());
    let slots = offset_of!(Header, slots);
    layout.bytes[slots..slots + SLOTS * 4].fill(0xff);
    Ok(layout.bytes)
}

struct Layout {
    bytes: Vec<u8>,
    relocations: Vec<u32>,
}

impl Layout {
    fn put(&mut self, at: usize, bytes: &[u8]) {
        self.bytes[at..at + bytes.len()].copy_from_slice(bytes);
    }

    fn put_u32(&mut self, at: usize, value: usize) -> Result<(), LayoutError> {
        let value = u32::try_from(value).map_err(too_large)?;
        self.put(at, &value.to_ne_bytes());
        Ok(())
    }

    /// Appends `bytes`, aligned to 8, and returns where they are.
    fn append(&mut self, bytes: &[u8]) -> Result<usize, LayoutError> {
        let at = self.bytes.len().next_multiple_of(8);
        u32::try_from(at + bytes.len()).map_err(too_large)?;
        self.bytes.resize(at, 0);
        self.bytes.extend_from_slice(bytes);
        Ok(at)
    }

    /// Makes the word at `at` the address of block offset `target`.
    fn point(&mut self, at: usize, target: usize) -> Result<(), LayoutError> {
        self.put(at, &(target as u64).to_ne_bytes());
        self.relocations.push(u32::try_from(at).map_err(too_large)?);
        Ok(())
    }

    fn structure(&mut self, structure: &Structure) -> Result<usize, LayoutError> {
        let at = self.append(&structure.bytes)?;
        for (offset, bytes) in &structure.addresses {
            let target = self.append(bytes)?;
            self.point(at + offset, target)?;
        }
        Ok(at)
    }

    fn vector(&mut self, strings: &[CString], terminated: bool) -> Result<usize, LayoutError> {
        let words = strings.len() + usize::from(terminated);
        let at = self.append(&vec![0; words * 8])?;
        for (index, string) in strings.iter().enumerate() {
            let target = self.append(string.as_bytes_with_nul())?;
            self.point(at + index * 8, target)?;
        }
        Ok(at)
    }

    fn put_step(&mut self, at: usize, step: &super::Step) -> Result<(), LayoutError> {
        let tolerate: u16 = match step.tolerate {
            Tolerate::Nothing => 0,
            Tolerate::Errno(errno) => u16::try_from(errno).unwrap_or(0),
            Tolerate::Anything => u16::MAX,
        };
        let call = u32::try_from(step.call.number).map_err(too_large)?;
        self.put(at + offset_of!(RawStep, call), &call.to_ne_bytes());
        self.put(at + offset_of!(RawStep, tolerate), &tolerate.to_ne_bytes());
        self.put(at + offset_of!(RawStep, save), &[step.save.map_or(NO_SLOT, |slot| slot.0)]);
        for (index, arg) in step.args.iter().enumerate() {
            let (kind, value) = match arg {
                Value::Number(number) | Value::Named(number, _) => (kind::NUMBER, *number),
                Value::Descriptor(slot) => (kind::SLOT, u64::from(slot.0)),
                Value::Text(text) => (kind::ADDRESS, self.append(text.as_bytes_with_nul())? as u64),
                Value::Structure(structure) => (kind::ADDRESS, self.structure(structure)? as u64),
            };
            self.put(at + offset_of!(RawStep, kinds) + index, &[kind]);
            self.put(at + offset_of!(RawStep, args) + index * 8, &value.to_ne_bytes());
        }
        Ok(())
    }
}

fn too_large(_: std::num::TryFromIntError) -> LayoutError {
    LayoutError::Size
}

/// Where the header says what it is asked for: the failed step, by list and index.
pub fn list_of(raw: u32) -> Option<List> {
    [List::Start, List::Isolate, List::Build, List::Admit, List::Enter].into_iter().find(|list| *list as u32 == raw)
}
