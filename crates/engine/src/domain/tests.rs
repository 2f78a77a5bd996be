//! Every transition from every state: the legal ones lead where RFC 8555 section
//! 7.1.6 has them lead, the others are errors that name both states.

mod authorization;
mod order;
