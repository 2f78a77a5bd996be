//! RFC 8555's surface, as far as it needs an enrolment that went well.

use assay_simulator::{AccountKey, Algorithm, CsrRequest, Jws, Response};
use rustls_pki_types::{CertificateDer, pem::PemObject};
use serde_json::{Value, json};

use crate::revocation::revoke;
use crate::support::{Client, Setup, Shared, assert_problem, mac, now};

const SERIAL: &str = "C02SURFACE01";

static SERVER: Shared = Shared::new(Setup {
    init: &[],
    devices: &[
        "C02SURFACE01,,",
        "C02SURFACE02,,",
        "C02SURFACE03,,",
        "C02SURFACE04,,",
    ],
    config: "",
});

/// keyChange to `key`, with the inner JWS changed so.
async fn change_key(
    client: &mut Client,
    key: &AccountKey,
    account: &str,
    old_key: &Value,
    change: impl FnOnce(Jws) -> Jws,
) -> Response {
    let url = client.acme.resource("keyChange").unwrap();
    let inner = Jws::new(&url, &json!({"account": account, "oldKey": old_key}));
    let inner = change(inner).sign(key, None, None).unwrap();
    client.post(&url, &inner).await
}

#[tokio::test]
async fn scenario_98_the_account_goes_on_under_its_new_key() {
    let server = SERVER.server();
    let mut client = server.client().await;
    let account = client.acme.account().unwrap().to_owned();
    let old = client.acme.key().clone();
    let old_jwk = old.jwk();
    let new = AccountKey::generate(Algorithm::Es384).unwrap();
    let device = mac(SERIAL);
    let placed = client.ready(&server, &device, SERIAL).await;

    let other = server.client().await;
    let other_account = other.acme.account().unwrap().to_owned();
    let answer = change_key(&mut client, other.acme.key(), &account, &old_jwk, |jws| jws).await;
    assert_problem(&answer, 409, "malformed");
    assert_eq!(answer.location(), Some(other_account.as_str()));

    let another = AccountKey::generate(Algorithm::Es256).unwrap().jwk();
    for (account, old_key) in [(&account, &another), (&other_account, &old_jwk)] {
        let answer = change_key(&mut client, &new, account, old_key, |jws| jws).await;
        assert_problem(&answer, 400, "malformed");
    }
    let nonce = client.acme.nonce().await.unwrap();
    let answer = change_key(&mut client, &new, &account, &old_jwk, |jws| {
        jws.with("nonce", nonce)
    });
    assert_problem(&answer.await, 400, "malformed");
    let elsewhere = client.acme.resource("newOrder").unwrap();
    let answer = change_key(&mut client, &new, &account, &old_jwk, |jws| {
        jws.with("url", elsewhere)
    });
    assert_problem(&answer.await, 400, "malformed");
    let answer = change_key(&mut client, &new, &account, &old_jwk, |jws| {
        jws.without("jwk").with("kid", account.as_str())
    });
    assert_problem(&answer.await, 400, "malformed");
    let answer = change_key(&mut client, &new, &account, &old_jwk, |jws| {
        jws.with_signature(vec![1; 96])
    });
    assert_problem(&answer.await, 403, "unauthorized");
    // All that changed nothing.
    assert_eq!(client.status(&account).await, "valid");

    let answer = change_key(&mut client, &new, &account, &old_jwk, |jws| jws).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_problem(&client.get(&account).await, 403, "unauthorized");
    let csr = device.csr(&CsrRequest::default()).unwrap();
    assert_problem(&client.finalize(&placed, &csr).await, 403, "unauthorized");
    client.acme.set_key(new);
    let certificate = client.certificate(&placed, &csr).await;
    assert_eq!(certificate.spki, device.spki_der());
    // The old key is free: it makes another account.
    let mut other_client = server.client_without_account().await;
    other_client.acme.set_key(old);
    assert_eq!(other_client.acme.new_account().await.unwrap().status, 201);
    assert_ne!(other_client.acme.account(), Some(account.as_str()));
}

#[tokio::test]
async fn scenario_99_a_deactivated_account_can_do_nothing() {
    let server = SERVER.server();
    let device = mac(SERIAL);
    let mut client = server.client().await;
    let account = client.acme.account().unwrap().to_owned();
    let certificate = client.enrol(&server, &device, SERIAL).await;
    let pending = client.order(SERIAL).await;
    let ready = client.ready(&server, &device, SERIAL).await;
    let answer = client
        .post(&account, &json!({"status": "deactivated"}))
        .await;
    assert_eq!(answer.status, 200, "{}", answer.text());

    let new_order = client.new_order(&[("permanent-identifier", SERIAL)]).await;
    assert_problem(&new_order, 401, "unauthorized");
    let object = server.attest(&device, &pending.token);
    let challenge = client.answer(&pending, &object).await;
    assert_problem(&challenge, 401, "unauthorized");
    let csr = device.csr(&CsrRequest::default()).unwrap();
    let finalize = client.finalize(&ready, &csr).await;
    assert_problem(&finalize, 401, "unauthorized");
    let revocation = revoke(&mut client, &certificate, None).await;
    assert_problem(&revocation, 401, "unauthorized");
    let download = client.get(&certificate.url).await;
    assert_problem(&download, 401, "unauthorized");
    // RFC 8555 section 7.3.6: "The server SHOULD cancel any pending operations
    // authorized by the account's key, such as certificate orders."
    for order in [&pending, &ready] {
        let story = server.story(&order.order);
        assert_eq!(story["status"], "invalid");
        assert_eq!(story["reason"], "account-deactivated");
    }
}

#[tokio::test]
async fn scenario_100_the_list_of_orders_has_pages() {
    let server = SERVER.server();
    let mut client = server.client().await;
    let mut placed = Vec::new();
    for number in 0..60 {
        let identifier = format!("C02SURFACE0{}", 1 + number % 4);
        let answer = client
            .new_order(&[("permanent-identifier", &identifier)])
            .await;
        assert_eq!(answer.status, 201, "{}", answer.text());
        placed.push(answer.location().unwrap().to_owned());
    }
    let account = client.acme.account().unwrap().to_owned();
    let mut page = client.read(&account).await["orders"]
        .as_str()
        .unwrap()
        .to_owned();
    let first = page.clone();
    let mut sizes = Vec::new();
    let mut listed = Vec::new();
    loop {
        let answer = client.get(&page).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        let orders = answer.json().unwrap()["orders"].as_array().unwrap().clone();
        sizes.push(orders.len());
        listed.extend(
            orders
                .iter()
                .map(|order| order.as_str().unwrap().to_owned()),
        );
        match answer.links("next").as_slice() {
            [] => break,
            [next] => page.clone_from(next),
            several => panic!("{several:?}"),
        }
    }
    assert_eq!(sizes, [50, 10]);
    // Those of one second may stand in any order.
    listed.sort();
    placed.sort();
    assert_eq!(listed, placed);
    let mut other = server.client().await;
    for url in [&first, &page] {
        assert_problem(&other.get(url).await, 403, "unauthorized");
    }
}

#[tokio::test]
async fn the_open_orders_of_one_identifier_are_limited() {
    let server = SERVER.server();
    let mut client = server.client().await;
    let mut placed = Vec::new();
    for _ in 0..20 {
        placed.push(client.order(SERIAL).await.order);
    }
    // The oldest gives way, and says so. All may be of one second.
    let last = client.order(SERIAL).await;
    let mut invalid = Vec::new();
    for order in placed {
        let read = client.read(&order).await;
        if read["status"] == "invalid" {
            invalid.push((order, read));
        }
    }
    assert_eq!(invalid.len(), 1);
    let (_, ended) = &invalid[0];
    let kind = ended["error"]["type"].as_str().unwrap();
    assert!(kind.ends_with(":rateLimited"), "{ended}");
    assert_eq!(client.status(&last.order).await, "pending");
    // Another device, and another account, are not held up.
    client.order("C02SURFACE02").await;
    server.client().await.order(SERIAL).await;
}

#[tokio::test]
async fn orders_at_once_do_not_pass_the_limit() {
    let server = SERVER.server();
    let mut client = server.client().await;
    let answers = client
        .at_once(&server, 40, |_, mut client| async move {
            client.new_order(&[("permanent-identifier", SERIAL)]).await
        })
        .await;
    let mut placed = Vec::new();
    for answer in answers {
        if answer.status == 201 {
            placed.push(answer.header("location").unwrap().to_owned());
        } else {
            assert_problem(&answer, 429, "rateLimited");
        }
    }
    assert!(placed.len() >= 20);
    let mut pending = 0;
    for order in &placed {
        pending += usize::from(client.status(order).await == "pending");
    }
    assert_eq!(pending, 20);
}

#[tokio::test]
async fn changes_of_one_account_at_once_are_no_fault_of_the_server() {
    let server = SERVER.server();
    let client = server.client().await;
    let account = client.acme.account().unwrap().to_owned();
    let answers = client
        .at_once(&server, 40, |number, mut client| {
            let contact = json!({"contact": [format!("mailto:{number}@example.org")]});
            let account = account.clone();
            async move { client.post(&account, &contact).await }
        })
        .await;
    let mut changed = 0;
    for answer in answers {
        if answer.status == 200 {
            changed += 1;
        } else {
            assert_problem(&answer, 429, "rateLimited");
            assert_eq!(answer.header("retry-after"), Some("1"));
        }
    }
    assert!(changed >= 1);
}

#[tokio::test]
async fn scenario_102_a_deactivated_authorization_takes_an_open_order_along() {
    let server = SERVER.server();
    let device = mac(SERIAL);
    let mut client = server.client().await;
    let pending = client.order(SERIAL).await;
    let ready = client.ready(&server, &device, SERIAL).await;
    let valid = client.ready(&server, &device, SERIAL).await;
    let csr = device.csr(&CsrRequest::default()).unwrap();
    let certificate = client.certificate(&valid, &csr).await;
    for (placed, expected) in [
        (&pending, "invalid"),
        (&ready, "invalid"),
        (&valid, "valid"),
    ] {
        let authorization = &placed.authorizations[0];
        let answer = client
            .post(authorization, &json!({"status": "deactivated"}))
            .await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(client.status(authorization).await, "deactivated");
        let order = client.read(&placed.order).await;
        assert_eq!(order["status"], expected);
        assert_eq!(
            order.get("error").is_some(),
            expected == "invalid",
            "{order}"
        );
    }
    assert_problem(&client.finalize(&ready, &csr).await, 403, "orderNotReady");
    let object = server.attest(&device, &pending.token);
    assert_problem(&client.answer(&pending, &object).await, 400, "malformed");
    assert_eq!(client.get(&certificate.url).await.status, 200);
}

#[tokio::test]
async fn scenario_103_reading_a_pending_challenge_starts_nothing() {
    let server = SERVER.server();
    let device = mac(SERIAL);
    let mut client = server.client().await;
    let placed = client.order(SERIAL).await;
    let first = client.read(&placed.challenge).await;
    assert_eq!(first["status"], "pending");
    for _ in 0..10 {
        assert_eq!(client.read(&placed.challenge).await, first);
    }
    let object = server.attest(&device, &placed.token);
    let answer = client.answer(&placed, &object).await;
    assert_eq!(
        answer.json().unwrap()["status"],
        "valid",
        "{}",
        answer.text()
    );
}

#[tokio::test]
async fn scenario_104_what_is_anothers_is_not_told_from_what_is_not_there() {
    let server = SERVER.server();
    let device = mac(SERIAL);
    let mut owner = server.client().await;
    let placed = owner.ready(&server, &device, SERIAL).await;
    let csr = device.csr(&CsrRequest::default()).unwrap();
    let certificate = owner.certificate(&placed, &csr).await;
    let mut other = server.client().await;
    for url in [
        &placed.order,
        &placed.authorizations[0],
        &placed.challenge,
        &certificate.url,
    ] {
        let (place, name) = url.rsplit_once('/').unwrap();
        let unknown = format!(
            "{place}/{}",
            if name.starts_with('1') { "2" } else { "1" }.to_owned() + &name[1..]
        );
        let answer = other.get(url).await;
        assert_problem(&answer, 403, "unauthorized");
        let nothing = other.get(&unknown).await;
        assert_eq!((nothing.status, nothing.body), (answer.status, answer.body));
    }
    let foreign = other.finalize(&placed, &csr).await;
    assert_problem(&foreign, 403, "unauthorized");
}

#[tokio::test]
async fn scenario_105_the_download_is_leaf_and_intermediate_in_pem() {
    let server = SERVER.server();
    let mut client = server.client().await;
    let certificate = client.enrol(&server, &mac(SERIAL), SERIAL).await;
    let answer = client.get(&certificate.url).await;
    assert_eq!(
        answer.header("content-type"),
        Some("application/pem-certificate-chain")
    );
    let chain: Vec<_> = CertificateDer::pem_slice_iter(&answer.body)
        .map(|certificate| certificate.unwrap().to_vec())
        .collect();
    let issuing = server.read("ca/issuing.pem");
    let issuing = CertificateDer::from_pem_slice(issuing.as_bytes()).unwrap();
    assert_eq!(chain, [certificate.der.clone(), issuing.to_vec()]);
    assert_eq!(answer.links("alternate"), Vec::<String>::new());
}

#[tokio::test]
async fn scenario_106_a_wanted_validity_is_honoured_exactly_or_refused() {
    const DAY: u64 = 86_400;
    let time = |seconds| assay_proto::Timestamp(seconds).to_string();
    let server = SERVER.server();
    let device = mac(SERIAL);
    let mut client = server.client().await;
    let url = client.acme.resource("newOrder").unwrap();
    let order = |not_before: Option<u64>, not_after: Option<u64>| {
        let mut order = json!({"identifiers": [{"type": "permanent-identifier", "value": SERIAL}]});
        for (name, seconds) in [("notBefore", not_before), ("notAfter", not_after)] {
            if let Some(seconds) = seconds {
                order[name] = json!(time(seconds));
            }
        }
        order
    };
    let present = now();
    for (not_before, not_after) in [
        (Some(present + DAY), Some(present + 2 * DAY)),
        (None, Some(present + 30 * DAY)),
        (Some(present + DAY), None),
    ] {
        let answer = client.post(&url, &order(not_before, not_after)).await;
        let placed = client.placed(&answer).await;
        let object = server.attest(&device, &placed.token);
        assert_eq!(client.answer(&placed, &object).await.status, 200);
        let csr = device.csr(&CsrRequest::default()).unwrap();
        let certificate = client.certificate(&placed, &csr).await;
        if let Some(wanted) = not_before {
            assert_eq!(certificate.not_before, i64::try_from(wanted).unwrap());
        }
        // A later start makes no later end.
        let end = u64::try_from(certificate.not_after).unwrap();
        match not_after {
            Some(wanted) => assert_eq!(end, wanted),
            None => assert!((present..=now()).contains(&(end - 90 * DAY)), "{end}"),
        }
    }
    for (not_before, not_after, limit) in [
        (None, Some(present + 91 * DAY), "notAfter is later than"),
        (Some(present - DAY), None, "notBefore is earlier than"),
        (Some(present + 91 * DAY), None, "notBefore is not before"),
        (
            Some(present + 80 * DAY),
            Some(present + 100 * DAY),
            "notAfter is later than",
        ),
        (
            Some(present + 20 * DAY),
            Some(present + 10 * DAY),
            "notAfter is not after",
        ),
    ] {
        let answer = client.post(&url, &order(not_before, not_after)).await;
        let problem = assert_problem(&answer, 400, "malformed");
        assert!(problem.detail.contains(limit), "{}", problem.detail);
    }
}
