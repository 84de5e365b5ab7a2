//! What names resolved to, for the whole of a job.

use lazaret_egress::{Name, Wants};
use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;

/// The first answer for each name and kind of address.
#[derive(Debug, Default)]
pub(in crate::net) struct Pins {
    by_name: BTreeMap<(Name, bool), Vec<IpAddr>>,
    by_address: HashMap<IpAddr, Vec<Name>>,
}

impl Pins {
    /// What `name` is pinned to, if it is.
    pub(super) fn get(&self, name: &Name, wants: Wants) -> Option<&[IpAddr]> {
        self.by_name.get(&(name.clone(), wants == Wants::V4)).map(Vec::as_slice)
    }

    /// Pins `name` to `addresses`, unless it is pinned. Returns what it is pinned to.
    pub(super) fn pin_first(&mut self, name: &Name, wants: Wants, addresses: Vec<IpAddr>) -> &[IpAddr] {
        let key = (name.clone(), wants == Wants::V4);
        let by_address = &mut self.by_address;
        self.by_name.entry(key).or_insert_with(|| {
            for address in &addresses {
                let names = by_address.entry(address.to_canonical()).or_default();
                if !names.contains(name) {
                    names.push(name.clone());
                }
            }
            addresses
        })
    }

    /// The names for which the job was told `address`, in its canonical form.
    pub(in crate::net) fn names_of(&self, address: IpAddr) -> &[Name] {
        self.by_address.get(&address).map_or(&[], Vec::as_slice)
    }

    pub(super) fn all(&self) -> impl Iterator<Item = (&Name, &[IpAddr])> {
        self.by_name.iter().map(|((name, _), addresses)| (name, addresses.as_slice()))
    }

    /// Pins both kinds, for tests of what follows from that.
    #[cfg(test)]
    pub(in crate::net) fn pin(&mut self, name: &Name, addresses: &[IpAddr]) {
        for wants in [Wants::V4, Wants::V6] {
            let of_kind = addresses.iter().copied().filter(|address| address.is_ipv4() == (wants == Wants::V4));
            self.pin_first(name, wants, of_kind.collect());
        }
    }
}
