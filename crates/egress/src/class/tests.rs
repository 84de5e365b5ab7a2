use super::*;
use crate::{Guard, Host};
use proptest::prelude::*;
use std::net::SocketAddr;

const SPELLINGS: &str = include_str!("spellings.tsv");

fn spellings() -> impl Iterator<Item = (&'static str, IpAddr, &'static str)> {
    SPELLINGS.lines().filter(|line| !line.starts_with('#')).map(|line| {
        let mut fields = line.split('\t');
        let mut field = || fields.next().expect("three fields");
        (field(), field().parse().expect("an address"), field())
    })
}

#[test]
fn every_spelling_of_an_address_means_that_address_and_its_kind_is_known() {
    let wrong: Vec<String> = spellings()
        .filter_map(|(spelling, address, kind)| {
            let host = Host::parse(spelling);
            let found = format!("{:?}", class(address));
            let right = host == Ok(Host::Address(address)) && found == kind;
            (!right).then(|| format!("{spelling}: {host:?}, {found} instead of {address}, {kind}"))
        })
        .collect();

    assert!(spellings().count() >= 200);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn of_all_spellings_a_guard_without_rules_lets_those_of_public_addresses_through_alone() {
    let guard = Guard::default();

    for (spelling, address, kind) in spellings() {
        let decided = guard.decide(SocketAddr::new(address, 443), &[]);

        assert_eq!(decided.is_ok(), kind == "Global", "{spelling}: {decided:?}");
    }
}

proptest! {
    #[test]
    fn whatever_wraps_an_address_is_no_better_than_that(bits in any::<u32>()) {
        let inner = Ipv4Addr::from_bits(bits);
        let [_, _, _, _, _, _, a, b] = inner.to_ipv6_mapped().segments();
        let wraps = [
            Ipv6Addr::new(0, 0, 0, 0, 0, 0xffff, a, b),
            Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, a, b),
            Ipv6Addr::new(0x2002, a, b, 0, 0, 0, 0, 1),
            Ipv6Addr::new(0x2001, 0, 0x808, 0x808, 0, 0, !a, !b),
            Ipv6Addr::new(0x2600, 1, 0, 0, 0x200, 0x5efe, a, b),
            Ipv6Addr::new(0, 0, 0, 0, 0xffff, 0, a, b),
        ];
        for outer in wraps {
            prop_assert!(class(outer.into()) >= class(inner.into()), "{outer} {inner}");
            prop_assert!(wrapped(outer.into()).contains(&inner), "{outer} {inner}");
        }
    }
}
