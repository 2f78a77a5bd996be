/// What a client's operator reads who was sent here by the "help" link of a 429
/// (RFC 8555 section 6.6). It says nothing of the rates, which the operator may
/// change for certain networks.
pub(super) async fn get() -> &'static str {
    "This ACME server limits how often one address, and the networks that it is part of, may ask \
     for newNonce, newAccount, newOrder and changes of accounts, and how many of its requests may \
     fail.\n\
     \n\
     A request beyond a limit is answered with 429 and a Retry-After header field: send it again \
     after so many seconds. Requests that were refused take nothing of a limit.\n\
     \n\
     Many devices behind one address (NAT) may need more than one address has: ask the operator \
     of this server to raise the limits of your network.\n"
}
