/// Returns the page that the "help" link of a 429 points to (RFC 8555 section
/// 6.6), for the client's operator. It names no rates, because they may differ
/// between networks.
pub(super) async fn get() -> &'static str {
    "This ACME server limits the rate at which one address, and the networks that hold it, may send \
     newNonce, newAccount and newOrder requests and account changes, and how many of their \
     requests may fail.\n\
     \n\
     A request beyond a limit is answered with 429 and a Retry-After header field: send it again \
     after that many seconds. A request that is answered with 429 does not count towards a limit.\n\
     \n\
     Many devices behind one address (NAT) may need a higher limit: ask the operator \
     of this server to raise the limits of your network.\n"
}
