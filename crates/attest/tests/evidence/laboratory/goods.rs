//! Objects that verify.

use assay_simulator::{Device, KeyType, evidence::DeviceProperties, faults::Good};

use super::{Laboratory, SERIAL, UDID, object};

/// Names and objects: a Mac first, then every shape, every platform, the other kind of key.
pub(crate) fn goods(laboratory: &Laboratory) -> Vec<(&'static str, Vec<u8>)> {
    let forger = laboratory.forger();
    let forged = |good: &Good| good.forge(&forger).unwrap().attestation_object();
    let mut all: Vec<_> = Good::all()
        .map(|good| (good.name(), forged(good)))
        .collect();
    for (name, properties) in DeviceProperties::platforms(SERIAL, UDID) {
        let chain = forger.chain_of(&forger.leaf_of(&properties)).unwrap();
        all.push((name, object(chain)));
    }
    let p384 = Device::new(DeviceProperties::mac(SERIAL, UDID), KeyType::P384).unwrap();
    let spki = p384.spki_der();
    all.push(("p384-key", laboratory.with_leaf(|leaf| leaf.spki = spki)));
    all
}
