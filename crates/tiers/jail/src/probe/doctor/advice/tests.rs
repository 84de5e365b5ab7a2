use super::*;

fn circumstances() -> Circumstances {
    Circumstances {
        container: Container::None,
        call_filter: false,
        unprivileged_userns_clone: None,
        apparmor_restricts_userns: None,
        apparmor_profile: None,
        security_modules: None,
        chroot: false,
        covered_proc: Vec::new(),
        memfd_noexec: None,
        systemd: false,
    }
}

fn refused(call: &'static str, errno: i32) -> Trouble {
    Trouble::Refused { call, errno }
}

fn texts(feature: Feature, trouble: &Trouble, circumstances: &Circumstances) -> (Cause, Vec<String>) {
    let words = Words { program: "/opt/lazaret".to_owned(), user: "1001".to_owned(), ..Words::default() };
    let (found, errno) = found(trouble);
    let cause = circumstances.cause(feature, trouble);
    let lack = lack(feature, (cause, found, errno), circumstances, &words);
    (cause, lack.fixes.into_iter().map(|fix| fix.text).collect())
}

#[test]
fn ubuntu_s_restriction_is_told_with_a_profile_for_this_program_and_the_sysctl() {
    let ubuntu = Circumstances { apparmor_restricts_userns: Some(true), ..circumstances() };

    let (cause, texts) = texts(Feature::IdMaps, &refused("write", libc::EPERM), &ubuntu);

    assert_eq!(cause, Cause::AppArmor);
    assert!(texts[0].contains("profile lazaret /opt/lazaret flags=(unconfined)"), "{texts:?}");
    assert!(texts[1].contains("kernel.apparmor_restrict_unprivileged_userns=0"), "{texts:?}");
}

#[test]
fn debian_s_switch_comes_before_every_other_explanation() {
    let debian = Circumstances { unprivileged_userns_clone: Some(false), call_filter: true, ..circumstances() };

    let (cause, texts) = texts(Feature::UserNamespace, &refused("clone", libc::EPERM), &debian);

    assert_eq!(cause, Cause::UnprivilegedUserns);
    assert!(texts[0].contains("kernel.unprivileged_userns_clone=1"), "{texts:?}");
}

#[test]
fn an_exhausted_namespace_is_told_with_its_own_sysctl() {
    let (cause, texts) = texts(Feature::NetworkNamespace, &refused("clone", libc::ENOSPC), &circumstances());

    assert_eq!(cause, Cause::NamespaceLimit);
    assert!(texts[0].contains("user.max_net_namespaces=15000"), "{texts:?}");
}

#[test]
fn docker_s_filter_is_told_with_docker_s_flag_alone() {
    let docker = Circumstances { container: Container::Docker, call_filter: true, ..circumstances() };

    let (cause, texts) = texts(Feature::UserNamespace, &refused("clone", libc::EPERM), &docker);

    assert_eq!(cause, Cause::CallFilter);
    assert_eq!(texts, ["--security-opt seccomp=unconfined --security-opt apparmor=unconfined"]);
}

#[test]
fn a_covered_proc_is_told_apart_from_a_filter() {
    let covered_proc = vec!["/proc/kcore".to_owned()];
    let docker = Circumstances { container: Container::Docker, call_filter: true, covered_proc, ..circumstances() };

    let (cause, texts) = texts(Feature::ProcMinimal, &refused("fsconfig", libc::EPERM), &docker);

    assert_eq!(cause, Cause::MaskedProc);
    assert_eq!(texts[0], "--security-opt systempaths=unconfined");
}

#[test]
fn landlock_that_boot_left_out_is_told_with_the_boot_parameter() {
    let lsm = Circumstances { security_modules: Some("capability,yama".to_owned()), ..circumstances() };

    let (cause, texts) = texts(Feature::Landlock, &refused("landlock_create_ruleset", libc::EOPNOTSUPP), &lsm);

    assert_eq!(cause, Cause::NotEnabledAtBoot);
    assert!(texts[0].contains("lsm=landlock,capability,yama"), "{texts:?}");
}

#[test]
fn landlock_under_a_filter_is_told_with_the_filter_when_the_kernel_lists_it() {
    let modules = Some("capability,landlock,yama".to_owned());
    let filtered = Circumstances { call_filter: true, security_modules: modules, ..circumstances() };

    let (cause, _) = texts(Feature::Landlock, &refused("landlock_create_ruleset", libc::ENOSYS), &filtered);

    assert_eq!(cause, Cause::CallFilter);
}

#[test]
fn a_missing_device_in_podman_is_told_with_its_flag() {
    let podman = Circumstances { container: Container::Podman, ..circumstances() };

    let (cause, texts) = texts(Feature::Kvm, &refused("openat", libc::ENOENT), &podman);

    assert_eq!(cause, Cause::NoDevice);
    assert_eq!(texts, ["--device /dev/kvm"]);
}

#[test]
fn every_feature_has_an_explanation_for_every_refusal() {
    let errnos = [libc::EPERM, libc::EACCES, libc::ENOSYS, libc::EINVAL, libc::ENOSPC, libc::ENOENT, libc::EIO];
    let circumstances = circumstances();

    let unexplained =
        Feature::ALL.iter().flat_map(|feature| errnos.map(|errno| (*feature, errno))).find(|(feature, errno)| {
            let trouble = refused("call", *errno);
            let cause = circumstances.cause(*feature, &trouble);
            let row = TABLE.iter().find(|row| row.cause == cause && row.of.holds(*feature));
            row.is_none_or(|row| row.means.is_empty() || row.remedies.is_empty())
        });

    assert_eq!(unexplained, None);
}
