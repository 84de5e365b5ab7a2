#![expect(clippy::cast_possible_truncation, reason = "offsets in a block are small")]

use super::*;
use crate::plan::tests::{full_support, plan, policy};
use crate::probe::Support;
use lazaret_init::format::{Header, MAGIC, Span, Step as RawStep, kind};
use lazaret_policy::{Job, Mode};
use std::mem::{offset_of, size_of};

fn steps_of(text: &str) -> Steps {
    let plan = plan(&policy(text), &Job::new("true"), &full_support()).expect("the host has everything");
    preview(&plan, &[FileName::new("photo.jpg").expect("a name")])
}

fn shown(steps: &Steps, list: List) -> Vec<String> {
    steps.list(list).iter().map(|step| steps.show(step)).collect()
}

fn position(shown: &[String], start: &str) -> usize {
    shown.iter().position(|step| step.starts_with(start)).unwrap_or_else(|| panic!("no step {start}: {shown:#?}"))
}

#[test]
fn the_job_is_forked_without_capabilities_in_a_root_without_the_old_one() {
    let steps = steps_of("");
    let (build, admit) = (shown(&steps, List::Build), shown(&steps, List::Admit));

    for step in ["pivot_root", "umount2", "prctl(PR_SET_NO_NEW_PRIVS", "prctl(PR_SET_DUMPABLE, 0"] {
        assert!(build.iter().any(|shown| shown.starts_with(step)), "{step} is not among {build:#?}");
    }
    assert!(position(&build, "pivot_root") < position(&build, "umount2"));
    assert!(position(&admit, "capset") < position(&admit, "FORK_JOB"));
    assert!(position(&admit, "capset") < position(&admit, "COPY"), "inputs are copied without capabilities");
}

#[test]
fn the_filter_is_the_last_step_before_the_exec() {
    let shown = shown(&steps_of(""), List::Enter);

    assert!(shown.last().is_some_and(|step| step.starts_with("seccomp(")), "{shown:#?}");
    assert!(position(&shown, "landlock_restrict_self") < position(&shown, "seccomp("));
}

#[test]
fn the_cgroups_are_joined_before_the_cgroup_namespace_is_made() {
    let shown = shown(&steps_of(""), List::Admit);

    assert!(position(&shown, "write(<cgroup 0>") < position(&shown, "unshare(CLONE_NEWCGROUP)"));
    assert!(position(&shown, "unshare(CLONE_NEWCGROUP)") < position(&shown, "capset"));
}

#[test]
fn an_input_is_copied_in_the_group_that_its_memory_counts_for_and_before_the_job_is_there() {
    let shown = shown(&steps_of(""), List::Admit);

    assert!(position(&shown, "write(<cgroup 0>") < position(&shown, "COPY(<fd>, <input photo.jpg>)"));
    assert!(position(&shown, "COPY(<fd>, <input photo.jpg>)") < position(&shown, "FORK_JOB"));
}

#[test]
fn root_makes_the_user_namespace_itself_so_that_no_job_owns_it() {
    let support = Support { mode: Mode::Root, ..full_support() };
    let plan = plan(&policy(""), &Job::new("true"), &support).expect("the host has everything");

    let shown = shown(&preview(&plan, &[]), List::Start);

    assert!(shown[position(&shown, "CLONE_INIT")].contains("\"1000 2000000000 1\""), "{shown:#?}");
    assert!(!shown.iter().any(|step| step.starts_with("setresuid")), "{shown:#?}");
}

#[test]
fn everything_bound_is_read_only_before_it_is_put_into_place() {
    let shown = shown(&steps_of(""), List::Build);
    let bound = position(&shown, "open_tree(AT_FDCWD, \"/usr\"");

    assert!(shown[bound + 1].starts_with("mount_setattr") && shown[bound + 1].contains("RDONLY"), "{shown:#?}");
    assert!(shown[bound + 2].starts_with("move_mount"), "{shown:#?}");
}

#[test]
fn every_step_has_a_sentence_of_its_own() {
    let policy = "[files]\npts = true\nshm = true\nproc = \"full\"\ncow = [{ path = \"/usr/bin\", at = \"/view\" }]\n\
                  [net]\nloopback = true";
    let steps = steps_of(policy);

    for list in [List::Start, List::Isolate, List::Build, List::Admit, List::Enter] {
        for step in steps.list(list).iter().filter(|step| step.call.name != "MARK") {
            let said = steps.say(list, step);
            assert!(!said.starts_with("call ") || said.starts_with("call the host"), "{said}: {}", steps.show(step));
            assert!(!said.contains('?') && !said.contains("<fd>"), "{said}: {}", steps.show(step));
        }
    }
}

#[test]
fn a_temporary_descriptor_is_called_after_what_it_holds() {
    let steps = steps_of("");
    let said: Vec<String> = steps.list(List::Build).iter().map(|step| steps.say(List::Build, step)).collect();

    let mounted = position(&said, "mount the host's \"/usr\" at \"usr\" in the root");
    assert_eq!(said[mounted + 1], "close the host's \"/usr\"");
    assert!(said.contains(&"take a mount of the new proc: no set-user-id, no devices, no programs".to_owned()));
    assert!(said.contains(&"permit beneath \"/\": execute, read, list".to_owned()), "{said:#?}");
}

fn word(bytes: &[u8], at: usize) -> u64 {
    u64::from_ne_bytes(bytes[at..at + 8].try_into().expect("eight bytes"))
}

fn half(bytes: &[u8], at: usize) -> usize {
    u32::from_ne_bytes(bytes[at..at + 4].try_into().expect("four bytes")) as usize
}

#[test]
fn a_block_holds_every_step_in_its_list_with_its_strings_terminated() {
    let steps = steps_of("");
    let block = block::lay_out(&steps).expect("it fits");

    assert_eq!(word(&block, offset_of!(Header, magic)), MAGIC);
    let steps_at = half(&block, offset_of!(Header, steps_at));
    for list in [List::Start, List::Isolate, List::Build, List::Admit, List::Enter] {
        let span = offset_of!(Header, lists) + list as usize * size_of::<Span>();
        let (first, count) = (half(&block, span), half(&block, span + 4));
        assert_eq!(count, steps.list(list).len());
        for (index, step) in steps.list(list).iter().enumerate() {
            let at = steps_at + (first + index) * size_of::<RawStep>();
            assert_eq!(half(&block, at + offset_of!(RawStep, call)) as i64, step.call.number);
            for (arg, value) in step.args.iter().enumerate() {
                let raw = word(&block, at + offset_of!(RawStep, args) + arg * 8) as usize;
                if let Value::Text(text) = value {
                    assert_eq!(block[at + offset_of!(RawStep, kinds) + arg], kind::ADDRESS);
                    assert_eq!(&block[raw..raw + text.as_bytes_with_nul().len()], text.as_bytes_with_nul());
                }
            }
        }
    }
}

#[test]
fn every_relocation_points_into_the_block() {
    let block = block::lay_out(&steps_of("")).expect("it fits");
    let at = half(&block, offset_of!(Header, relocations));
    let count = half(&block, offset_of!(Header, relocations) + 4);

    assert!(count > 0);
    for place in (0..count).map(|i| half(&block, at + i * 4)) {
        assert_eq!(place % 8, 0);
        assert!((word(&block, place) as usize) < block.len());
    }
}

#[test]
fn a_launch_that_needs_more_descriptors_than_a_block_holds_is_refused() {
    let plan = plan(&policy(""), &Job::new("true"), &full_support()).expect("the host has everything");
    let names: Vec<FileName> = (0..300).map(|i| FileName::new(format!("in{i}")).expect("a name")).collect();

    let laid_out = block::lay_out(&preview(&plan, &names));

    assert!(matches!(laid_out, Err(block::LayoutError::Slots(_))));
}
