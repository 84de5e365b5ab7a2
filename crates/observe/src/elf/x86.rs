//! x86-64 code.

use super::{Numbers, Wrapper};
use iced_x86::{Code, Decoder, DecoderOptions, FlowControl, Instruction, InstructionInfoFactory, OpKind, Register};
use std::collections::{BTreeSet, HashMap};

/// The general registers, in the order of their numbers.
const REGISTERS: usize = 16;
const RAX: usize = 0;
const RDI: usize = 7;
/// What a called function may change: rax, rcx, rdx, rsi, rdi, r8 to r11.
const CLOBBERED: [usize; 9] = [0, 1, 2, 6, 7, 8, 9, 10, 11];

/// The constants that the registers hold; several where paths through the code meet.
#[derive(Debug, Clone, Default)]
struct State {
    values: [BTreeSet<u32>; REGISTERS],
}

impl State {
    fn forget(&mut self, registers: impl IntoIterator<Item = usize>) {
        for register in registers {
            self.values[register].clear();
        }
    }

    fn forget_all(&mut self) {
        self.forget(0..REGISTERS);
    }
}

/// The numbers of the calls that the code in `sections` makes.
pub(super) fn numbers(sections: &[(u64, &[u8])], wrapper: &Wrapper) -> Numbers {
    let mut found = Numbers::default();
    let mut stubs: BTreeSet<u64> = wrapper.own.iter().map(|range| range.start).collect();
    let mut factory = InstructionInfoFactory::new();
    for (address, data) in sections {
        let mut decoder = Decoder::with_ip(64, data, *address, DecoderOptions::NONE);
        let mut state = State::default();
        // What the number is said to be by jumps to an address further on.
        let mut coming: HashMap<u64, BTreeSet<u32>> = HashMap::new();
        let mut before = Instruction::default();
        while decoder.can_decode() {
            let instruction = decoder.decode();
            if instruction.is_invalid() {
                state.forget_all();
                continue;
            }
            if let Some(more) = coming.remove(&instruction.ip()) {
                state.values[RAX].extend(more);
            }
            if instruction.code() == Code::Jmp_rm64 && points_to_slot(&instruction, wrapper) {
                stubs.insert(instruction.ip());
                if before.code() == Code::Endbr64 && before.next_ip() == instruction.ip() {
                    stubs.insert(before.ip());
                }
            } else if calls_wrapper(&instruction, wrapper, &stubs) {
                note(&mut found, &state.values[RDI]);
            } else if instruction.code() == Code::Syscall
                && !wrapper.own.iter().any(|own| own.contains(&instruction.ip()))
            {
                note(&mut found, &state.values[RAX]);
            }
            step(&mut state, &mut coming, &instruction, &mut factory);
            before = instruction;
        }
    }
    found
}

fn note(found: &mut Numbers, values: &BTreeSet<u32>) {
    if values.is_empty() {
        found.unknown += 1;
    }
    found.known.extend(values);
}

fn points_to_slot(instruction: &Instruction, wrapper: &Wrapper) -> bool {
    instruction.op0_kind() == OpKind::Memory
        && instruction.is_ip_rel_memory_operand()
        && wrapper.slots.contains(&instruction.ip_rel_memory_address())
}

/// Whether `syscall()` is called here, or jumped to as the last act of a function.
fn calls_wrapper(instruction: &Instruction, wrapper: &Wrapper, stubs: &BTreeSet<u64>) -> bool {
    match instruction.code() {
        Code::Call_rm64 => points_to_slot(instruction, wrapper),
        Code::Call_rel32_64 | Code::Jmp_rel32_64 | Code::Jmp_rel8_64 => {
            stubs.contains(&instruction.near_branch_target())
        }
        _ => false,
    }
}

/// What the registers hold behind the instruction.
fn step(
    state: &mut State,
    coming: &mut HashMap<u64, BTreeSet<u32>>,
    instruction: &Instruction,
    factory: &mut InstructionInfoFactory,
) {
    match instruction.flow_control() {
        FlowControl::Next => assign(state, instruction, factory),
        FlowControl::ConditionalBranch | FlowControl::UnconditionalBranch => {
            let target = instruction.near_branch_target();
            if target > instruction.ip() && !state.values[RAX].is_empty() {
                coming.entry(target).or_default().extend(&state.values[RAX]);
            }
            if instruction.flow_control() == FlowControl::UnconditionalBranch {
                state.forget_all();
            }
        }
        // The system call itself is among these: it changes rax, rcx and r11.
        FlowControl::Call | FlowControl::IndirectCall if instruction.code() == Code::Syscall => {
            state.forget([0, 1, 11])
        }
        FlowControl::Call | FlowControl::IndirectCall => state.forget(CLOBBERED),
        _ => state.forget_all(),
    }
}

fn assign(state: &mut State, instruction: &Instruction, factory: &mut InstructionInfoFactory) {
    let target = number(instruction.op0_register());
    match (instruction.code(), target) {
        (Code::Mov_r32_imm32 | Code::Mov_rm32_imm32 | Code::Mov_rm64_imm32 | Code::Mov_r64_imm64, Some(target)) => {
            #[expect(clippy::cast_possible_truncation, reason = "the kernel reads 32 bits of the number")]
            let value = instruction.immediate(1) as u32;
            state.values[target] = [value].into();
        }
        (Code::Xor_r32_rm32 | Code::Xor_rm32_r32 | Code::Xor_r64_rm64 | Code::Xor_rm64_r64, Some(target))
            if instruction.op0_register() == instruction.op1_register() =>
        {
            state.values[target] = [0].into();
        }
        (Code::Mov_r32_rm32 | Code::Mov_rm32_r32 | Code::Mov_r64_rm64 | Code::Mov_rm64_r64, Some(target)) => {
            let source = number(instruction.op1_register());
            state.values[target] = source.map(|source| state.values[source].clone()).unwrap_or_default();
        }
        _ => {
            for used in factory.info(instruction).used_registers() {
                use iced_x86::OpAccess::{CondWrite, ReadCondWrite, ReadWrite, Write};
                if matches!(used.access(), Write | ReadWrite | CondWrite | ReadCondWrite) {
                    state.forget(number(used.register()));
                }
            }
        }
    }
}

/// The number of a general register or of a part of one.
fn number(register: Register) -> Option<usize> {
    register.is_gpr().then(|| register.full_register().number())
}
