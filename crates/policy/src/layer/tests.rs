use super::*;

#[test]
fn every_layer_is_read_back_from_its_name_and_serialises_to_it() {
    for layer in Layer::ALL {
        assert_eq!(layer.name().parse(), Ok(*layer));
        assert_eq!(serde_json::to_value(layer).unwrap(), layer.name());
        assert!(!layer.summary().is_empty());
    }
}

#[test]
fn what_makes_the_jail_a_jail_cannot_be_degraded() {
    let fixed: Vec<&str> = Layer::ALL.iter().filter(|layer| !layer.degradable()).map(|layer| layer.name()).collect();
    assert_eq!(
        fixed,
        [
            "user-namespace",
            "pid-namespace",
            "mount-namespace",
            "network-namespace",
            "ipc-namespace",
            "uts-namespace",
            "rlimits",
            "wall-time",
            "disk",
            "output",
            "capabilities",
            "seccomp"
        ]
    );
    let error = Layer::parse_degradable("network-namespace").unwrap_err();
    assert_eq!(error.to_string(), "`network-namespace` cannot be degraded: the jail is no jail without it");
}

#[test]
fn only_degradable_layers_are_carried_by_others() {
    for layer in Layer::ALL {
        assert!(layer.carries().iter().all(|carried| carried.degradable()), "{layer}");
    }
}

#[test]
fn unknown_layers_and_tiers_get_the_nearest_known_one() {
    assert_eq!("landlok".parse::<Layer>().unwrap_err().hint(), "did you mean `landlock`?");
    assert_eq!("cgroup_memory".parse::<Layer>().unwrap_err().hint(), "did you mean `cgroup-memory`?");
    assert_eq!("jial".parse::<Tier>().unwrap_err().hint(), "did you mean `jail`?");
    assert_eq!("qqq".parse::<Tier>().unwrap_err().hint(), "known are `seccomp`, `jail`");
}

#[test]
fn tiers_of_later_versions_are_not_called_unknown() {
    for tier in ["microvm", "isolate"] {
        assert_eq!(tier.parse::<Tier>().unwrap_err().to_string(), format!("tier `{tier}` is not in this version"));
    }
}
