use super::*;
use lazaret_filter::{Arch, table};

fn decoded(bytes: &[u8]) -> Option<String> {
    decode(bytes, |_| None).map(|address| address.to_string())
}

#[test]
fn addresses_of_each_family_read_as_text() {
    let inet6 = [&[10, 0, 0, 53, 0, 0, 0, 0][..], &[0; 15], &[1], &[0; 4]].concat();
    for (bytes, text) in [
        (&[2, 0, 1, 187, 192, 0, 2, 1, 0, 0, 0, 0, 0, 0, 0, 0][..], "192.0.2.1:443"),
        (&inet6, "[::1]:53"),
        (&[&[1, 0][..], b"/run/x\0garbage"].concat(), "unix:/run/x"),
        (&[&[1, 0][..], b"\0name\n"].concat(), "unix:@name\\n"),
        (&[1, 0], "unix: without a name"),
        (&[16, 0, 0, 0, 7, 0, 0, 0, 1, 0, 0, 0], "netlink: port 7, groups 0x1"),
        (&[0, 0], "unspecified"),
        (&[40, 0, 1, 2, 3], "family 40, 3 bytes"),
    ] {
        assert_eq!(decoded(bytes).as_deref(), Some(text), "{bytes:?}");
    }
}

#[test]
fn what_is_cut_short_is_no_address() {
    for bytes in [&[][..], &[2], &[2, 0, 1, 187, 192], &[10, 0, 0, 53, 0, 0, 0, 0, 1], &[16, 0, 0, 0, 7]] {
        assert_eq!(decoded(bytes), None, "{bytes:?}");
    }
}

#[test]
fn a_message_names_its_address_behind_two_pointers() {
    let address = [2_u8, 0, 0, 53, 127, 0, 0, 1];
    let header = [address.as_ptr() as u64, address.len() as u64, 0, 0, 0, 0, 0];
    let arch = Arch::native().expect("tests run where there is a table");
    let nr = table::number(arch, "sendmsg").expect("it is everywhere");
    let call = Call { audit_arch: arch.audit(), nr, args: [5, header.as_ptr() as u64, 0, 0, 0, 0] };

    let found = addresses(&Thread::own(), &call).expect("this process");

    let [only] = &found[..] else { panic!("one address: {found:?}") };
    assert_eq!((only.socket, only.role, only.address.to_string()), (5, AddressRole::Send, "127.0.0.1:53".to_owned()));
}
