use super::*;

fn rules(texts: &[&str]) -> Vec<Rule> {
    texts.iter().map(|text| text.parse().expect("a rule")).collect()
}

fn decide(address: &str, texts: &[&str]) -> Result<String, Refusal> {
    let guard = Guard::new(["198.51.99.7".parse().expect("an address"), "2600:5::7".parse().expect("an address")]);
    let address: SocketAddr = address.parse().expect("an address");
    guard.decide(address, &rules(texts)).map(|address| address.to_string())
}

#[test]
fn public_addresses_are_connected_to_and_mapped_ones_in_their_own_form() {
    assert_eq!(decide("93.184.216.34:443", &[]).as_deref(), Ok("93.184.216.34:443"));
    assert_eq!(decide("[::ffff:93.184.216.34]:443", &[]).as_deref(), Ok("93.184.216.34:443"));
    assert_eq!(decide("[2606:4700::1]:443", &[]).as_deref(), Ok("[2606:4700::1]:443"));
}

#[test]
fn addresses_that_are_not_public_need_a_rule_with_their_range_and_port() {
    let refused = |address, texts: &[&str]| matches!(decide(address, texts), Err(Refusal::NotPublic { .. }));

    assert!(refused("10.0.0.5:5432", &[]));
    assert!(refused("10.0.0.5:5432", &["db.internal:5432"]), "a name is not a range");
    assert!(refused("10.0.0.5:22", &["10.0.0.0/8:5432"]));
    assert!(decide("10.0.0.5:5432", &["10.0.0.0/8:5432"]).is_ok());
    assert!(decide("[::ffff:10.0.0.5]:5432", &["10.0.0.0/8:5432"]).is_ok());
    assert!(decide("127.0.0.1:80", &["127.0.0.1:80"]).is_ok());
}

#[test]
fn what_wraps_an_address_has_to_be_named_by_both() {
    let wrapping = "[64:ff9b::10.0.0.5]:80";

    assert!(decide(wrapping, &["[64:ff9b::]/96:80"]).is_err());
    assert!(decide(wrapping, &["10.0.0.0/8:80"]).is_err());
    assert!(decide(wrapping, &["10.0.0.0/8:80", "[64:ff9b::]/96:80"]).is_ok());
    assert!(decide("[64:ff9b::8.8.8.8]:80", &[]).is_ok(), "translation to a public address is what it is for");
}

#[test]
fn a_range_that_is_wider_than_a_kind_of_addresses_does_not_name_them() {
    for (address, wide, meant) in [
        ("10.0.0.5:80", "0.0.0.0/0:80", "10.0.0.0/8:80"),
        ("127.0.0.1:80", "0.0.0.0/0:80", "127.0.0.0/8:80"),
        ("10.0.0.5:80", "10.0.0.0/7:80", "10.0.0.0/24:80"),
        ("[fd12::1]:80", "[::]/0:80", "[fc00::]/7:80"),
        ("198.51.99.7:80", "0.0.0.0/0:80", "198.51.99.0/24:80"),
    ] {
        assert!(decide(address, &[wide]).is_err(), "{address} by {wide}");
        assert!(decide(address, &[meant]).is_ok(), "{address} by {meant}");
    }
}

#[test]
fn no_rule_permits_a_metadata_service() {
    for address in
        ["169.254.169.254:80", "[fd00:ec2::254]:80", "[::ffff:169.254.169.254]:80", "[64:ff9b::a9fe:a9fe]:80"]
    {
        let decided = decide(address, &["0.0.0.0/0:1-65535", "[::]/0:1-65535"]);

        assert!(matches!(decided, Err(Refusal::Metadata { .. })), "{address}: {decided:?}");
    }
}

#[test]
fn the_hosts_own_addresses_need_a_rule_however_public_they_are() {
    assert!(matches!(decide("198.51.99.7:80", &[]), Err(Refusal::Own { .. })));
    assert!(matches!(decide("[2600:5::7]:80", &[]), Err(Refusal::Own { .. })));
    assert!(matches!(decide("[64:ff9b::198.51.99.7]:80", &[]), Err(Refusal::Own { .. })));
    assert!(decide("198.51.99.7:80", &["198.51.99.7:80"]).is_ok());
}

#[test]
fn an_address_of_one_interface_is_refused() {
    assert!(matches!(decide("[2606:4700::1%3]:80", &[]), Err(Refusal::Scope { .. })));
}
