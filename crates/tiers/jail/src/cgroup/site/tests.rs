use super::*;

/// A tree of groups as the files of a directory show it; nobody but this process's user has anything in it.
struct Tree(PathBuf);

impl Tree {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("lazaret-site-{}-{name}", std::process::id()));
        fs::create_dir_all(&path).expect("a temporary directory");
        Self(path)
    }

    /// A group with these controllers, those that it hands down, and these processes.
    fn group(&self, name: &str, has: &str, hands: &str, processes: &str) -> PathBuf {
        let group = self.0.join(name);
        fs::create_dir_all(&group).expect("a new directory");
        let files = [
            ("cgroup.controllers", has),
            ("cgroup.subtree_control", hands),
            ("cgroup.procs", processes),
            ("cgroup.events", "populated 1"),
        ];
        files.iter().for_each(|(file, text)| fs::write(group.join(file), text).expect("a new file"));
        group
    }

    fn find(&self, own: &Path) -> Result<Site, NoGroups> {
        Site::find(&Place { own: own.to_owned(), top: self.0.clone() }, rustix::process::geteuid())
    }
}

impl Drop for Tree {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.0));
    }
}

fn me() -> String {
    format!("{}\n", std::process::id())
}

#[test]
fn in_the_root_of_all_groups_jobs_are_beside_processes() {
    let tree = Tree::new("root");
    let root = tree.group("", "cpu io memory pids", "memory pids", "1\n2\n");
    fs::remove_file(root.join("cgroup.events")).expect("it was made");

    let site = tree.find(&root).expect("the root hands controllers down");

    assert_eq!(site.groups.parents[&Controller::Memory], root);
    assert_eq!(site.changes, [Change::HandDown { group: root, controllers: vec!["cpu", "io"] }]);
}

#[test]
fn in_the_topmost_group_of_a_container_everybody_moves_to_a_leaf() {
    let tree = Tree::new("container");
    let top = tree.group("", "memory pids", "", "1\n2\n");

    let site = tree.find(&top).expect("the container's group is the container's");

    let leaf = top.join(LEAF);
    assert_eq!(site.groups.parents[&Controller::Pids], top);
    assert_eq!(
        site.changes,
        [
            Change::Make(leaf.clone()),
            Change::Move { whom: Whom::All, from: top.clone(), to: leaf },
            Change::HandDown { group: top, controllers: vec!["memory", "pids"] },
        ]
    );
}

#[test]
fn a_caller_that_was_moved_makes_groups_beside_its_leaf_and_changes_nothing() {
    let tree = Tree::new("moved");
    let top = tree.group("", "memory pids", "memory pids", "");
    let leaf = tree.group(LEAF, "memory pids", "", "1\n2\n");

    let site = tree.find(&leaf).expect("the group around it is ready");

    assert_eq!((&site.groups.parents[&Controller::Memory], site.changes.as_slice()), (&top, [].as_slice()));
}

#[test]
fn beside_a_service_in_a_group_of_its_own_the_delegated_group_around_it_is_used() {
    let tree = Tree::new("subgroup");
    let top = tree.group("", "memory pids", "", "");
    let service = tree.group("service", "", "", "1\n2\n");

    let site = tree.find(&service).expect("the group around it is delegated and empty");

    assert_eq!(site.groups.parents[&Controller::Memory], top);
    assert_eq!(site.changes, [Change::HandDown { group: top, controllers: vec!["memory", "pids"] }]);
}

#[test]
fn alone_in_a_group_that_was_not_delegated_the_caller_moves_and_jobs_get_a_group_that_keeps_controllers() {
    let tree = Tree::new("alone");
    tree.group("", "memory pids", "memory pids", "");
    let own = tree.group("app.slice/own.scope", "memory pids", "", &me());

    let site = tree.find(&own).expect("nobody else is there");

    let (leaf, ours) = (own.join(LEAF), own.join(OURS));
    let controllers = vec!["memory", "pids"];
    assert_eq!(site.groups.parents[&Controller::Memory], ours);
    assert_eq!(
        site.changes,
        [
            Change::Make(leaf.clone()),
            Change::Move { whom: Whom::Family, from: own.clone(), to: leaf },
            Change::HandDown { group: own, controllers: controllers.clone() },
            Change::Make(ours.clone()),
            Change::HandDown { group: ours, controllers },
        ]
    );
}

#[test]
fn an_ordinary_user_s_group_that_is_a_manager_s_and_has_others_in_it_is_refused_with_the_command() {
    let tree = Tree::new("others");
    tree.group("", "memory pids", "memory pids", "");
    tree.group("app.slice", "memory pids", "memory pids", "");
    let own = tree.group("app.slice/own.scope", "memory pids", "", &format!("1\n{}", me()));
    let place = Place { own, top: tree.0.clone() };

    // Whose it is does not matter, if it is not this one's.
    let none = Site::find(&place, Uid::from_raw(77_777)).expect_err("it is not theirs");

    assert!(none.why.contains("other processes are in"), "{none:?}");
    assert!(none.fix.contains("-p Delegate=yes"), "{none:?}");
}
