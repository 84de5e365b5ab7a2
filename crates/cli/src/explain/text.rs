//! What a job was refused, for people.

use super::Part;
use lazaret_policy::printable;
use lazaret_policy::{
    CallPhase, Control, Explanation, FileRefusal, FilesReport, FrameText, NetworkAct, NetworkRefusal, NetworkReport,
    PathCause, PathRefusal, Refusal, Verdict,
};
use serde_json::Value;
use std::fmt::Write as _;

/// How many frames of a stack are shown.
const FRAMES: usize = 16;

/// The whole text of a report whose texts are [`on_one_line`]: what a job or a stranger says in it cannot steer a terminal.
pub(super) fn text(part: &Part<'_>) -> String {
    let mut blocks = vec![format!("{}\n{}", part.verdict, head(part))];
    if let Verdict::Violation { call, rule, explanation, .. } = part.verdict {
        blocks.push(call_block("killed for", 1, call, "the job was ended", rule.as_deref(), explanation.as_deref()));
    }
    let (logged, refused): (Vec<&Refusal>, Vec<&Refusal>) =
        part.refusals.iter().partition(|refusal| refusal.errno == 0);
    for refusal in refused {
        let Refusal { call, count, errno, rule, explanation, .. } = refusal;
        blocks.push(call_block("refused", *count, call, &error(*errno), rule.as_deref(), explanation.as_deref()));
    }
    if part.refusals_dropped > 0 {
        blocks.push(format!("and {} refused calls more, of too many kinds to be kept", part.refusals_dropped));
    }
    blocks.extend(part.network.into_iter().flat_map(network_blocks));
    blocks.extend(part.files.into_iter().flat_map(file_blocks));
    blocks.extend(part.path_refusals.unwrap_or_default().iter().map(path_block));
    if !logged.is_empty() {
        let names: Vec<String> = logged.iter().map(|call| format!("{} ({})", call.call, times(call.count))).collect();
        blocks.push(format!("allowed and logged: {}", names.join(", ")));
    }
    for hit in part.limits_hit {
        blocks.push(format!("limit reached: {hit}"));
    }
    blocks.extend(layers(&part.degraded));
    for note in part.notes {
        blocks.push(format!("note: {note}"));
    }
    if blocks.len() == 1 {
        blocks.push("nothing was refused, and no limit was reached".to_owned());
    }
    blocks.join("\n\n") + "\n"
}

/// The layers that did not wholly hold, those of one reason together: a tier that has none of many says so once.
fn layers(degraded: &[&Control]) -> Vec<String> {
    let mut reasons: Vec<(Option<&str>, Vec<&Control>)> = Vec::new();
    for control in degraded {
        let why = control.why_not.as_deref();
        match reasons.iter_mut().find(|(known, _)| *known == why) {
            Some((_, controls)) => controls.push(control),
            None => reasons.push((why, vec![control])),
        }
    }
    let block = |(why, controls): &(Option<&str>, Vec<&Control>)| {
        let line = |control: &&Control| match control.detail.as_str() {
            "" => format!("   = {}", control.layer),
            detail => format!("   = {}: {detail}", control.layer),
        };
        let lines: Vec<String> = controls.iter().map(line).collect();
        let (count, why) = (controls.len(), why.unwrap_or("it was given up by name"));
        let heading = if count == 1 { "a layer did".to_owned() } else { format!("{count} layers did") };
        format!("{heading} not wholly hold: {why}\n{}", lines.join("\n"))
    };
    reasons.iter().map(block).collect()
}

fn head(part: &Part<'_>) -> String {
    format!("   = command: {}\n   = policy:  {}", part.command.join(" "), part.policy)
}

/// Every text in `value` as it can be shown on one line, so that none looks like a line of the explanation.
pub(super) fn on_one_line(value: &mut Value) {
    match value {
        Value::String(text) => *text = printable(std::mem::take(text)),
        Value::Array(values) => values.iter_mut().for_each(on_one_line),
        Value::Object(fields) => fields.values_mut().for_each(on_one_line),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

fn times(count: u64) -> String {
    if count == 1 { "once".to_owned() } else { format!("{count} times") }
}

fn error(errno: i32) -> String {
    let name = match errno {
        1 => "EPERM",
        13 => "EACCES",
        38 => "ENOSYS",
        97 => "EAFNOSUPPORT",
        _ => "",
    };
    let text = std::io::Error::from_raw_os_error(errno).to_string();
    let text = text.split(" (os error").next().unwrap_or_default();
    if name.is_empty() { format!("{text} (errno {errno})") } else { format!("{name}, {text}") }
}

/// One call.
fn call_block(
    what: &str,
    count: u64,
    call: &str,
    outcome: &str,
    rule: Option<&str>,
    explanation: Option<&Explanation>,
) -> String {
    let Some(explanation) = explanation else {
        return format!("{what} {}: {call}\n   = got:     {outcome}\n   = where:   not looked at", times(count));
    };
    let arguments: Vec<String> =
        explanation.arguments.iter().map(|argument| format!("{}={}", argument.name, argument.value)).collect();
    let mut block = format!("{what} {}: {call}({})", times(count), arguments.join(", "));
    let mut line = |label: &str, text: &str| {
        let (mark, colon) = if label.is_empty() { (' ', "") } else { ('=', ":") };
        let written = write!(block, "\n   {mark} {:<8} {text}", format!("{label}{colon}"));
        debug_assert!(written.is_ok(), "writing to a String does not fail");
    };
    line("got", outcome);
    if let Some(library) = &explanation.library {
        line("from", library);
    }
    let phase = phase(explanation.phase);
    match &explanation.thread {
        Some(thread) if thread.tid == thread.pid => {
            line("thread", &format!("the first of process {} (\"{}\"), {phase}", thread.pid, thread.name));
        }
        Some(thread) => {
            line("thread", &format!("{} of process {} (\"{}\"), {phase}", thread.tid, thread.pid, thread.name));
        }
        None => line("thread", phase),
    }
    for (index, frame) in explanation.stack.iter().take(FRAMES).enumerate() {
        line(if index == 0 { "stack" } else { "" }, &frame_text(frame));
    }
    if let Some(hidden) = explanation.stack.len().checked_sub(FRAMES).filter(|hidden| *hidden > 0) {
        line("", &format!("and {hidden} more"));
    }
    if let Some(note) = &explanation.stack_note {
        line("note", note);
    }
    match rule {
        Some(rule) => line("why", &format!("the rule `{rule}`, from {}", explanation.source)),
        None => line("why", &format!("no rule names it, and the default refuses ({})", explanation.source)),
    }
    if let (Some(kernel), Some(libc)) = (&explanation.since_kernel, &explanation.since_libc) {
        line("since", &since(kernel, libc));
    }
    for (index, group) in explanation.groups.iter().enumerate() {
        line(if index == 0 { "groups" } else { "" }, &format!("{}: {}", group.name, group.risk));
    }
    match (&explanation.allow, &explanation.why_not) {
        (Some(allow), _) => {
            line("allow", allow);
            if rule.is_some() {
                line("", "in a policy that extends this one, or after taking the rule out");
            }
        }
        (None, Some(why)) => line("allow", &format!("not possible: {why}")),
        (None, None) => {}
    }
    block
}

/// `Linux 5.9, glibc 2.34`.
fn since(kernel: &str, libc: &str) -> String {
    let kernel = kernel.strip_prefix("before ").map_or_else(
        || if kernel == "never" { "no Linux".to_owned() } else { format!("Linux {kernel}") },
        |version| format!("before Linux {version}"),
    );
    match libc {
        "always" => format!("{kernel}, every glibc"),
        "no wrapper" => format!("{kernel}, no function of glibc makes it"),
        version => format!("{kernel}, glibc {version}"),
    }
}

fn phase(phase: CallPhase) -> &'static str {
    match phase {
        CallPhase::Loader => "in the dynamic loader",
        CallPhase::Initialisers => "in initialisers, before main",
        CallPhase::Main => "in main",
        CallPhase::Thread => "in a thread of its own",
        CallPhase::Exit => "at the program's exit",
        CallPhase::Unknown => "at a point that the stack does not tell",
    }
}

/// `connect_it+4 in /usr/lib/libcurl.so.4 (connect.c:12)`.
pub(crate) fn frame_text(frame: &FrameText) -> String {
    let place = match (&frame.module, frame.offset) {
        (Some(module), Some(offset)) => format!("{module}+{offset:#x}"),
        (Some(module), None) => module.clone(),
        (None, _) => format!("{:#x}", frame.address),
    };
    let function = match (&frame.function, frame.function_offset) {
        (Some(function), Some(offset)) => format!("{function}+{offset} in "),
        (Some(function), None) => format!("{function}, put in place in "),
        (None, _) => String::new(),
    };
    let line = match (&frame.file, frame.line) {
        (Some(file), Some(line)) => format!(" ({file}:{line})"),
        (Some(file), None) => format!(" ({file})"),
        (None, _) => String::new(),
    };
    format!("{function}{place}{line}")
}

/// What was asked for, and why it was refused, on one line.
pub(crate) fn network_text(refusal: &NetworkRefusal) -> String {
    let NetworkRefusal { act, name, address, port, reason, .. } = refusal;
    let act = match act {
        NetworkAct::Resolve => "the addresses of",
        NetworkAct::Connect => "a connection to",
        NetworkAct::Bind => "to bind",
        NetworkAct::Listen => "to listen",
        NetworkAct::Request => "the request",
    };
    if let Some(request) = &refusal.request {
        return format!("{act} {request}: {reason}");
    }
    let port = port.map_or_else(String::new, |port| format!(" port {port}"));
    let whom = match (name, address) {
        (Some(name), Some(address)) => format!(" {name} ({address})"),
        (Some(whom), None) | (None, Some(whom)) => format!(" {whom}"),
        (None, None) => String::new(),
    };
    format!("{act}{whom}{port}: {reason}")
}

/// What was permitted and did not come about.
pub(crate) fn network_failures(network: &NetworkReport) -> Vec<String> {
    let connections = network.connections.iter().filter_map(|connection| {
        let error = connection.error.as_ref()?;
        let whom = connection.name.as_ref().map_or_else(String::new, |name| format!("{name}, "));
        Some(format!("a connection to {whom}{} port {}: {error}", connection.address, connection.port))
    });
    let names = network.names.iter().filter_map(|name| name.error.clone());
    let requests =
        network.requests.iter().filter_map(|request| Some(format!("{}: {}", request.request, request.error.as_ref()?)));
    names.chain(connections).chain(requests).collect()
}

fn network_blocks(network: &NetworkReport) -> Vec<String> {
    let refused = network.refused.iter().map(|refusal| {
        let allow = refusal.suggestion.as_deref().unwrap_or("nothing in a policy does");
        format!("refused {}: {}\n   = allow:   {allow}", times(refusal.count), network_text(refusal))
    });
    let mut blocks: Vec<String> = refused.collect();
    if network.refused_dropped > 0 {
        blocks.push(format!(
            "and {} refusals of the network more, of too many kinds to be kept",
            network.refused_dropped
        ));
    }
    blocks.extend(network_failures(network).into_iter().map(|failure| format!("failed: {failure}")));
    blocks
}

/// A call on a file that was refused, on one line.
pub(crate) fn file_text(refusal: &FileRefusal) -> String {
    format!("{} of {}: {}", refusal.call, refusal.path, refusal.reason)
}

/// When the job's work began, where it has phases.
pub(crate) fn work_text(files: &FilesReport) -> Option<String> {
    let work = files.work.as_ref()?;
    Some(match (work.began_us, work.by.as_deref()) {
        (Some(at), Some("told")) => format!("its work began after {at} µs: the job said so"),
        (Some(at), _) => format!("its work began after {at} µs, when it opened its input"),
        (None, _) => "its work never began: it had the files of its first phase to its end".to_owned(),
    })
}

fn file_blocks(files: &FilesReport) -> Vec<String> {
    let refused = files.refused.iter().map(|refusal| {
        let allow = refusal.suggestion.as_deref().unwrap_or("nothing in a policy does");
        format!("refused {}: {}\n   = allow:   {allow}", times(refusal.count), file_text(refusal))
    });
    let mut blocks: Vec<String> = work_text(files).into_iter().chain(refused).collect();
    if files.refused_dropped > 0 {
        let dropped = files.refused_dropped;
        blocks.push(format!("and {dropped} refusals of files more, of too many kinds to be kept"));
    }
    blocks
}

fn path_block(refusal: &PathRefusal) -> String {
    let PathRefusal { path, call, access, error, cause, count, allow, why_not } = refusal;
    let cause = match cause {
        PathCause::NotShown => "it exists outside, and the policy does not show it",
        PathCause::ReadOnly => "it is shown, and can be read only",
        PathCause::Landlock => "Landlock does not permit it",
        PathCause::Permissions => "its owner and mode do not permit it",
        PathCause::Owner => "only its owner may, whatever its mode",
        PathCause::Attributes => "it is immutable, or can be appended to only",
        PathCause::OtherMount => "names are not moved or linked from one mount to another",
    };
    let allow = match (allow, why_not) {
        (Some(allow), _) => allow.clone(),
        (None, Some(why)) => format!("not possible: {why}"),
        (None, None) => String::new(),
    };
    format!(
        "path refused {}: {path}\n   = call:    {call}, to {access}\n   = got:     {error}\n   = why:     {cause}\n   = allow:   {allow}",
        times(*count)
    )
}
