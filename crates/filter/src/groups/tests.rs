use super::*;
use crate::table;
use std::collections::HashSet;

#[test]
fn every_group_resolves_and_explains_itself() {
    for group in all() {
        assert!(group.name.starts_with('@'), "{}", group.name);
        assert!(!members(group).is_empty(), "{}", group.name);
        assert!(!group.summary.is_empty() && !group.summary.contains('\n'), "{}", group.name);
        assert!(!group.risk.is_empty(), "{}", group.name);
    }
}

#[test]
fn group_names_are_unique() {
    let names: HashSet<_> = all().map(|group| group.name).collect();

    assert_eq!(names.len(), all().count());
}

#[test]
fn every_call_but_clone3_is_in_a_group() {
    let grouped: HashSet<_> = all().flat_map(members).map(|member| member.call.name()).collect();

    let missing: Vec<_> = table::names().filter(|name| !grouped.contains(name)).collect();

    assert_eq!(missing, ["clone3"]);
}

#[test]
fn members_are_sorted_by_call_and_an_unconditional_one_stands_alone() {
    for group in all() {
        let members = members(group);
        assert!(members.is_sorted_by_key(|member| member.call), "{}", group.name);
        for pair in members.windows(2).filter(|pair| pair[0].call == pair[1].call) {
            assert!(!pair[0].conditions.is_empty() && !pair[1].conditions.is_empty(), "{}: {}", group.name, pair[0]);
        }
    }
}

#[test]
fn no_ordinary_group_allows_what_only_special_groups_should() {
    let special: HashSet<_> = ["@privileged", "@namespace", "@debug", "@keyring", "@io-uring", "@obsolete"]
        .into_iter()
        .flat_map(|name| members(find(name).expect("the group is known")))
        .filter(|member| member.conditions.is_empty())
        .map(|member| member.call)
        .collect();

    for member in ordinary::GROUPS.iter().flat_map(members) {
        assert!(!special.contains(&member.call) || !member.conditions.is_empty(), "{member}");
    }
}
