use super::*;

const V1_MEMBERSHIP: &str = "8:pids:/\n4:memory:/api/x\n2:cpuacct:/\n1:cpu:/\n0::/\n";
const V1_MOUNTS: &str = "\
30 29 0:26 / /sys/fs/cgroup/cpu rw,relatime - cgroup cgroup rw,cpu
31 29 0:27 / /sys/fs/cgroup/cpuacct rw,relatime - cgroup cgroup rw,cpuacct
32 29 0:28 /api /sys/fs/cgroup/memory rw,relatime shared:9 - cgroup cgroup rw,memory
33 29 0:29 / /sys/fs/cgroup/pids rw,relatime - cgroup cgroup rw,pids
34 29 0:30 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw
";

#[test]
fn version_one_groups_lie_where_this_process_is_seen_through_each_mount() {
    let groups = version_one(V1_MEMBERSHIP, V1_MOUNTS).expect("there is a memory controller");

    assert_eq!(groups.parents[&Controller::Memory], Path::new("/sys/fs/cgroup/memory/x"));
    assert_eq!(groups.parents[&Controller::Pids], Path::new("/sys/fs/cgroup/pids"));
    assert!(!groups.parents.contains_key(&Controller::Io));
}

#[test]
fn without_a_version_one_memory_controller_version_one_is_not_used() {
    let mounts = "34 29 0:30 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n";

    assert_eq!(version_one("0::/user.slice/a\n", mounts), None);
    let place = Place { own: "/sys/fs/cgroup/user.slice/a".into(), top: "/sys/fs/cgroup".into() };
    assert_eq!(version_two("0::/user.slice/a\n", mounts), [place]);
}

#[test]
fn controllers_that_share_a_directory_share_a_group() {
    let mounts = "30 29 0:26 / /cg/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n\
                  31 29 0:27 / /cg/memory rw - cgroup cgroup rw,memory\n";
    let groups = version_one("1:cpu,cpuacct:/a\n2:memory:/a\n", mounts).expect("there is a memory controller");

    let directories = groups.directories();

    assert_eq!(directories.len(), 2);
    assert!(directories.contains(&(Path::new("/cg/cpu,cpuacct/a"), vec![Controller::Cpu, Controller::CpuAccounting])));
}

#[test]
fn what_hides_a_group_is_named_with_how_to_unmount_it() {
    let none = hidden(Path::new("/proc/nowhere/below"));

    assert!(none.why.contains("/proc/nowhere/below is not there"), "{none:?}");
    assert!(none.fix.contains("`umount /proc`"), "{none:?}");
}
