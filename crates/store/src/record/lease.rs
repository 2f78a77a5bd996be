use assay_engine::{
    domain::{Lease, Work},
    ids::NodeId,
};
use assay_proto::Timestamp;
use minicbor::{Decode, Encode};

use super::{Damage, KeyCache, Record};
use crate::keys;

/// Which node does some background work, and until when.
#[derive(Decode, Encode)]
pub(crate) struct StoredLease {
    #[n(0)]
    work: String,
    #[cbor(n(1), with = "minicbor::bytes")]
    holder: [u8; 16],
    #[n(2)]
    until: u64,
}

impl From<Lease> for StoredLease {
    fn from(lease: Lease) -> Self {
        Self {
            work: lease.work().as_str().to_owned(),
            holder: *lease.holder().as_bytes(),
            until: lease.until().0,
        }
    }
}

impl Record for StoredLease {
    type Domain = Lease;
    const NAME: &'static str = "a lease";

    fn key(&self) -> Vec<u8> {
        keys::lease(&self.work)
    }

    fn restore(self, _: &KeyCache) -> Result<Lease, Damage> {
        let work = Work::parse(&self.work).ok_or(Damage::Field("work"))?;
        let holder = NodeId::from_bytes(self.holder);
        Ok(Lease::stored(work, holder, Timestamp(self.until)))
    }
}
