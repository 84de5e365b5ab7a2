use super::*;
use std::net::TcpListener;

#[test]
fn every_address_of_an_interface_is_this_hosts_own() {
    let mut interfaces = Interfaces::open().unwrap();
    let addresses = interfaces.addresses().unwrap();
    assert!(addresses.contains(&IpAddr::V4(Ipv4Addr::LOCALHOST)));
    for address in addresses.iter().filter(|address| !is_link_local(address)) {
        assert!(TcpListener::bind((*address, 0)).is_ok(), "{address}");
        assert_eq!(interfaces.way(*address).unwrap(), Way::Own, "{address}");
    }
    assert!(interfaces.numbers().unwrap().contains(&1));
}

fn is_link_local(address: &IpAddr) -> bool {
    matches!(address, IpAddr::V6(address) if address.is_unicast_link_local())
}

#[test]
fn what_no_interface_has_can_be_this_hosts_own() {
    let mut interfaces = Interfaces::open().unwrap();
    for own in ["127.200.3.4", "0.0.0.0", "::", "::1", "::ffff:127.9.9.9"] {
        assert_eq!(interfaces.way(own.parse().unwrap()).unwrap(), Way::Own, "{own}");
    }
    assert_eq!(interfaces.way("127.255.255.255".parse().unwrap()).unwrap(), Way::Many);
    assert_ne!(interfaces.way("203.0.113.7".parse().unwrap()).unwrap(), Way::Own);
}
