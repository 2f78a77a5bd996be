use std::{
    convert::Infallible,
    io::{Read, Write},
    net::SocketAddr,
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
};

use hyper::{Response as Answer, body::Incoming, header::HeaderValue, service::service_fn};
use rcgen::{CertificateParams, CertifiedIssuer, KeyPair};
use rustls::{ServerConfig, pki_types::PrivateKeyDer};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::*;

/// Answers each request with its head, and closes the connection without notice after
/// `per_connection` requests. The first number in the body counts connections.
async fn echo(tls: Option<TlsAcceptor>, per_connection: usize) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        for count in 1.. {
            let (stream, _) = listener.accept().await.unwrap();
            match &tls {
                Some(tls) => match tls.accept(stream).await {
                    Ok(stream) => serve(stream, count, per_connection).await,
                    Err(_) => continue,
                },
                None => serve(stream, count, per_connection).await,
            }
        }
    });
    address
}

async fn serve<S>(stream: S, count: u32, per_connection: usize)
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
{
    let served = AtomicUsize::new(0);
    let service = service_fn(|request: Request<Incoming>| {
        served.fetch_add(1, Relaxed);
        let headers = request.headers();
        let header = |name| {
            headers
                .get(name)
                .map_or("-", |value| value.to_str().unwrap())
        };
        let body = format!(
            "{count} {} {} {} {}",
            request.method(),
            request.uri(),
            header("host"),
            header("x-forwarded-for"),
        );
        async move { Ok::<_, Infallible>(Answer::new(Full::new(Bytes::from(body)))) }
    });
    let connection =
        hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service);
    tokio::pin!(connection);
    std::future::poll_fn(|context| {
        let done = connection.as_mut().poll(context);
        match served.load(Relaxed) >= per_connection {
            true => std::task::Poll::Ready(()),
            false => done.map(|_| ()),
        }
    })
    .await;
}

/// A server certificate for localhost from its own CA, and that CA in PEM.
fn tls() -> (TlsAcceptor, String) {
    tls_with(|_| {})
}

/// The same, with a certificate that is modified before it is signed.
fn tls_with(change: impl FnOnce(&mut CertificateParams)) -> (TlsAcceptor, String) {
    let ca_key = KeyPair::generate().unwrap();
    let mut ca = CertificateParams::default();
    ca.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let ca = CertifiedIssuer::self_signed(ca, ca_key).unwrap();
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(["localhost".to_owned()]).unwrap();
    change(&mut params);
    let certificate = params.signed_by(&key, &ca).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![certificate.der().clone()],
            PrivateKeyDer::try_from(key.serialize_der()).unwrap(),
        )
        .unwrap();
    (TlsAcceptor::from(Arc::new(config)), ca.pem())
}

fn plain() -> HttpClient {
    HttpClient::new(Trust::from_pem("").unwrap())
}

async fn get(client: &mut HttpClient, url: &str) -> Result<String, HttpError> {
    client
        .request(Method::GET, url, HeaderMap::new(), Bytes::new())
        .await
        .map(|answer| answer.text())
}

#[tokio::test]
async fn a_connection_is_kept_for_the_next_request() {
    let address = echo(None, usize::MAX).await;
    let mut client = plain();
    for path in ["/a?b=c", "/"] {
        let answer = get(&mut client, &format!("http://{address}{path}")).await;
        assert_eq!(answer, Ok(format!("1 GET {path} {address} -")));
    }
}

#[tokio::test]
async fn a_connection_that_the_server_closed_is_opened_again() {
    let mut client = plain();
    let address = echo(None, 1).await;
    // Whether or not the client has noticed the end of the connection when it sends.
    for (count, wait) in [(1, 0), (2, 50), (3, 0)] {
        tokio::time::sleep(Duration::from_millis(wait)).await;
        let answer = get(&mut client, &format!("http://{address}/")).await;
        assert_eq!(answer, Ok(format!("{count} GET / {address} -")));
    }
}

#[tokio::test]
async fn a_request_under_way_when_the_server_hangs_up_is_not_sent_twice() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for count in 1..=2 {
            let (mut stream, _) = listener.accept().unwrap();
            let read = stream.read(&mut [0; 4096]).unwrap();
            assert!(read > 0, "a request of no bytes");
            let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\n{count}");
            stream.write_all(answer.as_bytes()).unwrap();
            // The response is read before the end of the connection is visible.
            std::thread::sleep(Duration::from_millis(50));
        }
    });
    let mut client = plain();
    assert_eq!(get(&mut client, &url).await, Ok("1".to_owned()));
    // Blocks the task that would notice the end of the connection.
    std::thread::sleep(Duration::from_millis(200));
    let broken = get(&mut client, &url).await;
    assert!(
        matches!(broken, Err(HttpError::Exchange { .. })),
        "{broken:?}"
    );
    assert_eq!(get(&mut client, &url).await, Ok("2".to_owned()));
}

#[tokio::test]
async fn only_the_given_bundle_is_trusted_and_only_for_its_name() {
    let (acceptor, ca) = tls();
    let port = echo(Some(acceptor), usize::MAX).await.port();
    let url = format!("https://localhost:{port}/x");

    let mut trusting = HttpClient::new(Trust::from_pem(&ca).unwrap());
    assert_eq!(
        get(&mut trusting, &url).await,
        Ok(format!("1 GET /x localhost:{port} -"))
    );

    drop(trusting);

    let foreign = tls().1;
    let mut wary = HttpClient::new(Trust::from_pem(&foreign).unwrap());
    let refused = get(&mut wary, &url).await.unwrap_err();
    assert!(
        matches!(
            &refused,
            HttpError::Tls { server_name, cause: TlsCause::UnknownCa, .. } if server_name == "localhost"
        ),
        "{refused:?}"
    );

    let other_name = format!("https://127.0.0.1:{port}/x");
    let mut strict = HttpClient::new(Trust::from_pem(&ca).unwrap());
    let refused = get(&mut strict, &other_name).await.unwrap_err();
    assert!(
        matches!(
            &refused,
            HttpError::Tls { cause: TlsCause::OtherName, reason, .. } if reason.contains("not valid for name")
        ),
        "{refused:?}"
    );
}

#[tokio::test]
async fn dates_purpose_and_a_server_without_tls_are_told_apart() {
    let cause = async |acceptor: Option<TlsAcceptor>, ca: &str| {
        let port = echo(acceptor, usize::MAX).await.port();
        let mut client = HttpClient::new(Trust::from_pem(ca).unwrap());
        let failed = get(&mut client, &format!("https://localhost:{port}/x")).await;
        match failed.unwrap_err() {
            HttpError::Tls { cause, .. } => cause.as_str(),
            other => panic!("{other:?}"),
        }
    };
    let changes: [(fn(&mut CertificateParams), _); 3] = [
        (
            |params| params.not_after = rcgen::date_time_ymd(2020, 1, 1),
            "certificate-expired",
        ),
        (
            |params| params.not_before = rcgen::date_time_ymd(2090, 1, 1),
            "certificate-not-yet-valid",
        ),
        (
            |params| {
                params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ClientAuth];
            },
            "unsupported-certificate",
        ),
    ];
    for (change, expected) in changes {
        let (acceptor, ca) = tls_with(change);
        assert_eq!(cause(Some(acceptor), &ca).await, expected);
    }
    assert_eq!(cause(None, &tls().1).await, "no-tls");
}

#[tokio::test]
async fn a_detour_changes_where_requests_go_and_not_what_they_name() {
    let address = echo(None, usize::MAX).await;
    let mut client = plain();
    client.send_via(&format!("http://{address}")).unwrap();
    let mut headers = HeaderMap::new();
    headers.insert("x-forwarded-for", HeaderValue::from_static("192.0.2.7"));
    client.always_send(headers);
    assert_eq!(
        get(&mut client, "https://ca.example/dir").await,
        Ok("1 GET /dir ca.example 192.0.2.7".to_owned())
    );
    let mut headers = HeaderMap::new();
    headers.insert(HOST, HeaderValue::from_static("evil.example"));
    client.always_send(headers);
    assert_eq!(
        get(&mut client, "https://ca.example/dir").await,
        Ok("1 GET /dir evil.example -".to_owned())
    );
}

#[tokio::test]
async fn nobody_listening_is_told_as_such() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    drop(listener);
    let refused = get(&mut plain(), &format!("http://{address}/")).await;
    let Err(HttpError::Connect {
        address: named,
        kind,
        ..
    }) = refused
    else {
        panic!("{refused:?}");
    };
    assert_eq!((named, kind), (address, io::ErrorKind::ConnectionRefused));
}

#[test]
fn urls_are_taken_apart() {
    let cases = [
        (
            "https://ca.example/a/b?c",
            ("ca.example", true, 443),
            "ca.example",
            "/a/b?c",
        ),
        (
            "http://ca.example",
            ("ca.example", false, 80),
            "ca.example",
            "/",
        ),
        (
            "https://[::1]:14000/d",
            ("::1", true, 14000),
            "[::1]:14000",
            "/d",
        ),
    ];
    for (url, (host, tls, port), host_header, path) in cases {
        let target = Target::parse(url).unwrap();
        let origin = Origin {
            tls,
            host: host.to_owned(),
            port,
        };
        assert_eq!(target.origin, origin, "{url}");
        assert_eq!(target.host, host_header, "{url}");
        assert_eq!(target.path, path, "{url}");
    }
}

#[test]
fn what_is_no_url_or_no_bundle_is_refused() {
    for url in ["", "ca.example", "/path", "ftp://ca.example/", "https:///x"] {
        let expected = HttpError::Url {
            url: url.to_owned(),
        };
        assert_eq!(Target::parse(url).err(), Some(expected), "{url}");
    }
    assert_eq!(
        Trust::from_pem("not a bundle").err(),
        Some(HttpError::Trust {
            reason: "it contains no CERTIFICATE block".to_owned()
        })
    );
}

#[tokio::test]
async fn a_server_that_does_not_answer_in_time_is_given_up() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let mut client = HttpClient::new(Trust::from_pem("").unwrap());
    client.set_timeout(Duration::from_millis(50));
    let answer = client
        .request(Method::GET, &url, HeaderMap::new(), Bytes::new())
        .await;
    assert_eq!(answer.unwrap_err(), HttpError::TimedOut { url, seconds: 0 });
}
