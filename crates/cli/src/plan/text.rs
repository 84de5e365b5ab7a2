//! A plan as text: one table for each kind of control.

use super::view::{Cgroup, Landlock, View};
use comfy_table::{Table, TableStyle};
use lazaret::{Holding, Mode};

pub(crate) fn text(view: &View<'_>) -> String {
    let mut text = Text(String::new());
    let policy = &view.policy;
    let chain = if policy.chain.is_empty() { String::new() } else { format!(", on {}", policy.chain.join(", ")) };
    text.line(&format!("policy {}{chain}", policy.name));
    text.line(&format!("tier {} ({})", policy.tier.value, policy.tier.source));
    for layer in &policy.degrade {
        text.line(&format!("may do without {} ({})", layer.value, layer.source));
    }
    for layer in &policy.require {
        text.line(&format!("requires {} ({})", layer.value, layer.source));
    }
    for line in view.rollout.iter().flat_map(|rollout| rollout.lines()) {
        text.line(&line);
    }
    for note in view.notes {
        text.line(&format!("note: {note}"));
    }
    enforcement(&mut text, view);
    identity(&mut text, view);
    let rows = view.limits.iter().map(|limit| {
        let source = limit.source.clone().unwrap_or_else(|| "not set".to_owned());
        [limit.key.name().to_owned(), limit.value.clone(), source, limit.bounds.to_owned()]
    });
    text.table("LIMITS", ["LIMIT", "VALUE", "FROM", "OF"], rows);
    groups(&mut text, view);
    let rows = view.rlimits.iter().map(|limit| [limit.name.to_owned(), limit.value.to_string(), limit.source.clone()]);
    text.table("LIMITS OF EACH PROCESS", ["LIMIT", "VALUE", "FROM"], rows);
    let rows = view
        .files
        .iter()
        .map(|file| [file.guest.clone(), file.kind.to_owned(), file.of.clone(), file.source.clone(), file.why.clone()]);
    text.table("FILES", ["FOR THE JOB", "KIND", "OF", "FROM", "WHY"], rows);
    if !view.left_out.is_empty() {
        text.line(&format!(
            "and {} optional paths that this host does not have: --json names them",
            view.left_out.len()
        ));
    }
    let rows = view.file_calls.iter().map(|set| [set.name.clone(), set.value.clone(), set.source.clone()]);
    text.table("CALLS ON FILES", ["SETTING", "VALUE", "FROM"], rows);
    let rows = view.network.iter().map(|set| [set.name.clone(), set.value.clone(), set.source.clone()]);
    text.table("NETWORK", ["SETTING", "VALUE", "FROM"], rows);
    filter(&mut text, view);
    landlock(&mut text, view);
    let rows = view.environment.iter().map(|set| [set.name.clone(), set.value.clone(), set.source.clone()]);
    text.table("ENVIRONMENT", ["VARIABLE", "VALUE", "FROM"], rows);
    program(&mut text, view);
    text.0
}

struct Text(String);

impl Text {
    fn line(&mut self, line: &str) {
        self.0.push_str(line.trim_end());
        self.0.push('\n');
    }

    /// A table under a title; nothing when it has no rows.
    fn table<const N: usize>(&mut self, title: &str, header: [&str; N], rows: impl Iterator<Item = [String; N]>) {
        let mut table = Table::new();
        table.load_style(TableStyle::new()).set_header(header).add_rows(rows);
        if !table.is_empty() {
            self.line(&format!("\n{title}"));
            table.to_string().lines().for_each(|line| self.line(line));
        }
    }
}

fn enforcement(text: &mut Text, view: &View<'_>) {
    let rows = view.enforcement.iter().map(|enforced| {
        let control = &enforced.control;
        let holding = match control.holding {
            Holding::Yes => "yes",
            Holding::Partly => "partly",
            Holding::No if enforced.refused => "MISSING",
            Holding::No => "no",
        };
        let detail = match &control.why_not {
            None => control.detail.clone(),
            Some(why) if control.detail.is_empty() => why.clone(),
            Some(why) => format!("{why}; instead: {}", control.detail),
        };
        [control.layer.name().to_owned(), holding.to_owned(), detail, control.source.clone(), control.asked.clone()]
    });
    text.table("ENFORCEMENT", ["LAYER", "HOLDS", "HOW", "FROM", "ASKED"], rows);
}

fn identity(text: &mut Text, view: &View<'_>) {
    let identity = &view.identity;
    let [first, last] = identity.outside;
    let outside = match identity.mode {
        Mode::Root => format!("an unused one out of {first} to {last}"),
        Mode::Rootless => format!("{first}, the caller's"),
    };
    // Without a namespace of its own the job has the host's.
    let inside = (!view.namespaces.is_empty()).then(|| ["in the jail".to_owned(), identity.inside.to_string()]);
    let rows = inside.into_iter().chain([["on the host".to_owned(), outside]]);
    text.table("USER AND GROUP ID", ["WHERE", "ID"], rows);
    let rows = view.namespaces.iter().map(|namespace| {
        let made = if namespace.made { "new" } else { "the host's" };
        [namespace.name.to_owned(), made.to_owned()]
    });
    text.table("NAMESPACES", ["KIND", "WHICH"], rows);
}

fn groups(text: &mut Text, view: &View<'_>) {
    match &view.cgroup {
        Cgroup::Degraded { source } => {
            let row = ["none: limits of each process and supervision hold what they can".to_owned(), source.clone()];
            text.table("CGROUP", ["GROUP", "FROM"], std::iter::once(row));
        }
        Cgroup::Limited { version, directories, settings } => {
            let rows = directories.iter().map(|directory| [directory.path.clone(), directory.controllers.join(", ")]);
            text.table(&format!("CGROUP, VERSION {version}"), ["A GROUP BELOW", "FOR"], rows);
            let rows = settings.iter().map(|set| [set.name.clone(), set.value.clone(), set.source.clone()]);
            text.table("LIMITS OF THE GROUP", ["LIMIT", "VALUE", "FROM"], rows);
        }
    }
}

fn filter(text: &mut Text, view: &View<'_>) {
    let filter = &view.filter;
    let recorded = if filter.supervised { "recorded" } else { "not recorded" };
    let title = format!(
        "SYSTEM CALLS: the last rule that matches decides; {} instructions; refusals are {recorded}",
        filter.instructions
    );
    let default = ["any other".to_owned(), filter.default.to_string(), filter.default_source.clone(), String::new()];
    let rules = filter
        .rules
        .iter()
        .map(|rule| [rule.rule.to_owned(), rule.action.to_string(), rule.source.clone(), rule.why.to_owned()]);
    text.table(&title, ["CALL", "ACTION", "FROM", "WHY"], std::iter::once(default).chain(rules));
    let later = &filter.refuse_after_start;
    if !later.is_empty() {
        let rows = later.iter().map(|rule| [rule.rule.to_owned(), rule.source.clone(), rule.why.to_owned()]);
        text.table("REFUSED FROM THE START OF THE PROGRAM ON", ["CALL", "FROM", "WHY"], rows);
    }
}

fn landlock(text: &mut Text, view: &View<'_>) {
    match &view.landlock {
        Landlock::Degraded { source } => {
            text.table("LANDLOCK", ["RULES", "FROM"], std::iter::once(["none".to_owned(), source.clone()]));
        }
        Landlock::Rules { abi, handled: _, tcp_refused, scoped, rules } => {
            let tcp = if *tcp_refused { "refused" } else { "left to the network namespace" };
            let scope = if *scoped { "refused" } else { "left to the namespaces" };
            let title = format!("LANDLOCK, ABI {abi}: TCP {tcp}; signals and abstract sockets beyond the job {scope}");
            let rows = rules.iter().map(|rule| [rule.path.clone(), rule.rights.join(" ")]);
            text.table(&title, ["BENEATH", "RIGHTS"], rows);
        }
    }
}

fn program(text: &mut Text, view: &View<'_>) {
    let rows = view.program.candidates.iter().map(|path| [path.clone()]);
    text.table("PROGRAM", ["THE FIRST OF"], rows);
    let rows = view.program.arguments.iter().enumerate().map(|(index, arg)| [index.to_string(), arg.clone()]);
    text.table("ARGUMENTS", ["NUMBER", "VALUE"], rows);
    let rows = view.inputs.iter().map(|input| {
        let size = input.size.map(|size| format!("{size} bytes"));
        let what = size.or_else(|| input.problem.clone()).unwrap_or_default();
        [format!("/job/{}", input.name), input.from.clone().unwrap_or_else(|| "memory".to_owned()), what]
    });
    text.table("INPUTS", ["FOR THE JOB", "COPIED FROM", "WHAT"], rows);
    let rows = view.outputs.iter().map(|output| {
        [format!("/job/{}", output.name), output.to.clone().unwrap_or_else(|| "nowhere: checked alone".to_owned())]
    });
    text.table("OUTPUTS", ["FOR THE JOB", "PUT AT"], rows);
}
