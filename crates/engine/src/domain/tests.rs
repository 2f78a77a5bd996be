//! Every transition from every state: legal ones lead to the state of RFC 8555
//! section 7.1.6, all others return an error that names both states.

mod authorization;
mod order;
