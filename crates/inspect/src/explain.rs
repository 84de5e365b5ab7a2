//! From what was seen of a refused call to what a report says of it.

#[cfg(test)]
mod tests;

use crate::advice::{self, Author};
use crate::image::{self, Named};
use crate::look::{Looker, Sight};
use crate::maps::{self, Mapping};
use crate::since;
use crate::stack::{self, Images};
use lazaret_filter::{Arch, Call, Decision, Filter, table};
use lazaret_policy::{CallPhase, Explanation, FrameText};
use std::time::{Duration, Instant};

/// A refused call, and how it came to be refused.
#[derive(Debug, Clone, Copy)]
pub struct Refused<'a> {
    /// All rules, the policy's and behind them Lazaret's own.
    pub filter: &'a Filter,
    /// The call.
    pub call: &'a Call,
    /// What the filter decided.
    pub decision: &'a Decision,
    /// Whether a rule of Lazaret's own decided.
    pub by_lazaret: bool,
    /// Where the policy has the rule, or the default, that decided.
    pub source: &'a str,
    /// The rule that refuses the call from the start of the program's `main` on, if it is one of those.
    pub after_start: Option<&'a str>,
}

/// The line of a policy that takes a rule away which holds from the start on.
#[must_use]
pub fn line_after_start(rule: &str) -> String {
    format!("[remove] refuse-after-start = [\"{rule}\"]")
}

/// How long finding names for one job's calls may take.
const NAMING: Duration = Duration::from_secs(3);

/// Explains the refused calls of one job, when it is dead.
#[derive(Debug)]
pub struct Explainer<'a> {
    looker: &'a Looker,
    images: Images,
    until: Instant,
}

impl<'a> Explainer<'a> {
    /// With what `looker` opened.
    #[must_use]
    pub fn new(looker: &'a Looker) -> Self {
        Self { looker, images: Images::default(), until: Instant::now() + NAMING }
    }

    /// What there is to say of a call.
    pub fn explain(&mut self, sight: Sight, refused: &Refused<'_>) -> Explanation {
        let late = Instant::now() >= self.until;
        let files = self.looker.files();
        let frames = stack::frames(&sight, files, &mut self.images);
        let stack = self.name(&sight.code, &frames.addresses, late);
        let author = if refused.by_lazaret { Author::Lazaret } else { Author::Policy };
        let advice = advice::advice(refused.filter, refused.call, refused.decision, author);
        let arch = Arch::from_audit(refused.call.audit_arch);
        let known = arch.and_then(|arch| Some((arch, table::name(arch, refused.call.nr)?)));
        let since = known.and_then(|(arch, name)| since::since(arch, name));
        let (allow, why_not) = match (refused.after_start, advice.line) {
            (Some(rule), _) => (Some(line_after_start(rule)), None),
            (None, Ok(line)) => (Some(line), None),
            (None, Err(why)) => (None, Some(why)),
        };
        let groups = if refused.after_start.is_some() { Vec::new() } else { advice.groups };
        let phase = match phase(&stack) {
            // Known for certain: initialisers have run.
            CallPhase::Loader | CallPhase::Initialisers | CallPhase::Unknown if refused.after_start.is_some() => {
                CallPhase::Main
            }
            seen => seen,
        };
        Explanation {
            arguments: sight.arguments,
            thread: sight.thread,
            library: library(&stack),
            phase,
            stack,
            stack_note: frames
                .note
                .or(late.then_some("finding names for earlier calls took too long"))
                .map(str::to_owned),
            source: refused.source.to_owned(),
            groups,
            since_kernel: since.map(|since| since.kernel.to_owned()),
            since_libc: since.map(|since| since.libc.to_owned()),
            allow,
            why_not,
        }
    }

    /// The frames at `addresses`, with names where there are any.
    fn name(&mut self, code: &[Mapping], addresses: &[u64], late: bool) -> Vec<FrameText> {
        let places: Vec<Place<'_>> = addresses.iter().map(|address| self.place(code, *address)).collect();
        let mut named = vec![Named::default(); places.len()];
        for (first, place) in places.iter().enumerate().filter(|_| !late) {
            let Some(mapping) = place.mapping.filter(|_| place.is_numbered) else { continue };
            let is_same = |other: &&Place<'_>| other.is_numbered && other.mapping.map(key) == Some(key(mapping));
            if places[..first].iter().any(|other| is_same(&other)) {
                continue;
            }
            let Some(file) = self.looker.files().get(mapping) else { continue };
            let (indices, asked): (Vec<usize>, Vec<u64>) = places
                .iter()
                .enumerate()
                .filter(|(_, other)| is_same(other))
                // The call itself is before the address to which it returns.
                .map(|(index, other)| (index, other.offset.unwrap_or(0).saturating_sub(1)))
                .unzip();
            // Nobody looks for a mistake in the lines of the C library, which are many.
            let module = String::from_utf8_lossy(&mapping.name);
            let lines = !is_loader(&module) && !is_libc(&module);
            for (index, found) in indices.into_iter().zip(image::name(&file, &asked, lines)) {
                named[index] = found;
            }
        }
        places.into_iter().zip(named).flat_map(|(place, named)| frame(&place, named)).collect()
    }

    fn place<'m>(&mut self, code: &'m [Mapping], address: u64) -> Place<'m> {
        let mapping = maps::holding(code, address).filter(|mapping| !mapping.name.is_empty());
        let Some(mapping) = mapping else { return Place { address, mapping: None, offset: None, is_numbered: false } };
        let image = self.images.get(self.looker.files(), mapping);
        let bias = image.and_then(|image| image.bias(mapping.start, mapping.offset));
        let in_file = (address - mapping.start).saturating_add(mapping.offset);
        let offset = bias.map_or(in_file, |bias| address.wrapping_sub(bias));
        Place { address, mapping: Some(mapping), offset: Some(offset), is_numbered: bias.is_some() }
    }
}

fn key(mapping: &Mapping) -> (u64, &[u8]) {
    (mapping.inode, &mapping.name)
}

struct Place<'m> {
    address: u64,
    mapping: Option<&'m Mapping>,
    offset: Option<u64>,
    /// Whether the offset is in the file's own numbering.
    is_numbered: bool,
}

/// A frame, and before it the functions that the compiler put in place there.
fn frame(place: &Place<'_>, mut named: Named) -> Vec<FrameText> {
    let module = place.mapping.map(|mapping| mapping.name.escape_ascii().to_string());
    named.inlined.pop();
    let inlined = named.inlined.into_iter().map(|(function, file, line)| FrameText {
        address: place.address,
        module: module.clone(),
        offset: place.offset,
        function,
        function_offset: None,
        file,
        line,
    });
    let mut frames: Vec<FrameText> = inlined.collect();
    frames.push(FrameText {
        address: place.address,
        module,
        offset: place.offset,
        function_offset: named.function.is_some().then(|| named.behind.saturating_add(1)),
        function: named.function,
        file: named.file,
        line: named.line,
    });
    frames
}

/// Whether a file is the dynamic loader.
fn is_loader(module: &str) -> bool {
    let name = module.rsplit('/').next().unwrap_or(module);
    name.starts_with("ld-linux")
        || name.starts_with("ld-musl")
        || name.starts_with("ld.so")
        || name.starts_with("ld-2.")
}

/// Whether a file is the C library, which makes calls for others.
fn is_libc(module: &str) -> bool {
    let name = module.rsplit('/').next().unwrap_or(module);
    ["libc.so", "libc-2.", "libc.musl", "libpthread", "[vdso]"].iter().any(|begin| name.starts_with(begin))
}

/// Who asked for the call.
fn library(stack: &[FrameText]) -> Option<String> {
    let modules = || stack.iter().filter_map(|frame| frame.module.as_deref());
    let asked = modules().find(|module| !is_loader(module) && !is_libc(module));
    asked.or_else(|| modules().next()).map(str::to_owned)
}

/// What the thread was at: by the functions that it will return to, outermost last.
fn phase(stack: &[FrameText]) -> CallPhase {
    let has = |names: &[&str]| stack.iter().any(|f| f.function.as_deref().is_some_and(|name| names.contains(&name)));
    let module = |frame: &FrameText| frame.module.clone().unwrap_or_default();
    if has(&["__run_exit_handlers", "exit", "_dl_fini", "__libc_exit", "__cxa_finalize"]) {
        return CallPhase::Exit;
    }
    if has(&["main"]) {
        return CallPhase::Main;
    }
    if has(&["start_thread", "__clone3", "clone3", "__clone", "clone", "thread_start"]) {
        return CallPhase::Thread;
    }
    let Some(outermost) = stack.last() else { return CallPhase::Unknown };
    if is_loader(&module(outermost)) {
        // What the loader calls outside of itself before the program is initialisers.
        let all = stack.iter().all(|frame| is_loader(&module(frame)));
        return if all { CallPhase::Loader } else { CallPhase::Initialisers };
    }
    if has(&["__libc_start_call_main"]) {
        return CallPhase::Main;
    }
    if has(&[
        "call_init",
        "__libc_csu_init",
        "_dl_init",
        "__libc_init_first",
        "_dl_relocate_static_pie",
        "__libc_init_secure",
        "__libc_setup_tls",
    ]) {
        return CallPhase::Initialisers;
    }
    let is_start = |f: &FrameText| f.function.as_deref().is_some_and(|name| name.starts_with("__libc_start_main"));
    match stack.iter().position(is_start) {
        Some(0) => CallPhase::Initialisers,
        // glibc calls `main` from a function of its own beside this one, and initialisers from this one.
        Some(at) if is_libc(&module(&stack[at])) => {
            if is_libc(&module(&stack[at - 1])) {
                CallPhase::Main
            } else {
                CallPhase::Initialisers
            }
        }
        _ => CallPhase::Unknown,
    }
}
