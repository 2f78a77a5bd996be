//! The listening socket: bound here, or passed by a service manager that keeps
//! it open over a restart, so that connections wait instead of being refused
//! (sd_listen_fds(3)).

use std::{
    env,
    net::{SocketAddr, TcpListener},
};

use anyhow::anyhow;
use listenfd::ListenFd;

use crate::stop::{OrStop, Stop};

/// The name of this server's socket among several: `FileDescriptorName=` of
/// systemd.
const NAME: &str = "acme";

/// Returns the socket that was passed by `LISTEN_FDS`, if any. Must be called
/// before other threads exist: it removes `LISTEN_FDS` and `LISTEN_PID` from
/// the environment.
pub fn inherited() -> Result<Option<TcpListener>, Stop> {
    let names = env::var("LISTEN_FDNAMES").unwrap_or_default();
    if let Ok(count) = env::var("LISTEN_FDS")
        && count.parse::<u16>().is_err()
    {
        return Err(Stop::usage(anyhow!(
            "LISTEN_FDS is {count:?}, which is not a number of sockets: unset it, or pass one listening TCP socket"
        )));
    }
    let mut sockets = ListenFd::from_env();
    if sockets.len() == 0 {
        return Ok(None);
    }
    let index = index_of_ours(&names);
    let number = index + 1;
    let what_to_do = "pass one listening TCP socket (systemd: ListenStream=, without Accept=yes), or unset LISTEN_FDS";
    // This also sets close-on-exec.
    let socket = sockets
        .take_tcp_listener(index)
        .or_usage(format_args!(
            "the inherited socket {number} is not a TCP socket: {what_to_do}"
        ))?
        .ok_or_else(|| {
            Stop::usage(anyhow!(
                "LISTEN_FDNAMES names {number} sockets, LISTEN_FDS only {}: {what_to_do}",
                sockets.len()
            ))
        })?;
    let is_listening = rustix::net::sockopt::socket_acceptconn(&socket);
    if !is_listening.or_fault("cannot query the state of the inherited socket")? {
        return Err(Stop::usage(anyhow!(
            "the inherited socket {number} is not listening: {what_to_do}"
        )));
    }
    if sockets.len() > 1 {
        tracing::warn!(
            event = "sockets_unused",
            count = sockets.len() - 1,
            "more than one socket was passed: connections to the others are not served"
        );
    }
    Ok(Some(socket))
}

/// Selects this server's socket: the one with its name, or the first.
fn index_of_ours(names: &str) -> usize {
    (names.split(':').position(|name| name == NAME)).unwrap_or(0)
}

/// The socket to accept connections on: the inherited one, or one that is bound
/// to `configured`, or to `asked` if given.
pub async fn listen(
    inherited: Option<TcpListener>,
    asked: Option<SocketAddr>,
    configured: SocketAddr,
) -> Result<tokio::net::TcpListener, Stop> {
    let Some(socket) = inherited else {
        let address = asked.unwrap_or(configured);
        let bound = tokio::net::TcpListener::bind(address).await;
        return bound.or_fault(format_args!("cannot listen on {address}"));
    };
    if let Some(address) = asked {
        return Err(Stop::usage(anyhow!(
            "a listening socket was passed, and --listen requests {address}: use only one of them"
        )));
    }
    socket
        .set_nonblocking(true)
        .and_then(|()| tokio::net::TcpListener::from_std(socket))
        .or_fault("cannot use the inherited socket")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_socket_is_the_one_named_acme_or_the_first() {
        for (names, index) in [
            ("", 0),
            ("acme", 0),
            ("metrics:acme", 1),
            ("assay.socket", 0),
            ("acme-admin:ACME", 0),
        ] {
            assert_eq!(index_of_ours(names), index, "{names}");
        }
    }
}
