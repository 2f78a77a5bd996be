//! Requests other than lists, with and without a running server.

use assay_engine::operator::{RequestError, Running, Sources, answer};
use assay_proto::admin::{FindOrders, ListRefusals, Request, Response};

use super::{
    orders::{ask, with_orders},
    support::{Harness, SERIAL, START},
};

async fn of_server(harness: &Harness, request: Request) -> Response {
    let sources = Sources {
        store: &*harness.store,
        running: Some(Running {
            engine: &harness.engine,
            uptime_seconds: 7,
            version: "1.2.3",
        }),
    };
    answer(sources, &request, harness.engine.now())
        .await
        .unwrap()
}

fn find(text: &str) -> Request {
    Request::Find(FindOrders {
        text: text.to_owned(),
        certificate: false,
    })
}

fn refusals(device: Option<&str>, limit: usize) -> Request {
    Request::Refusals(ListRefusals {
        device: device.map(str::to_owned),
        limit,
    })
}

#[tokio::test]
async fn what_only_a_running_server_knows_has_no_answer_without_one() {
    let store = with_orders(1).await;
    for request in [Request::AcceptClock(1), Request::Status, refusals(None, 1)] {
        let refused = ask(&store, request).await.unwrap_err();
        assert_eq!(refused, RequestError::NeedsServer);
        assert_eq!(
            refused.to_string(),
            "only a running server can answer this request"
        );
    }
}

#[tokio::test]
async fn the_status_is_the_engines() {
    let harness = Harness::new();
    let Response::Status(status) = of_server(&harness, Request::Status).await else {
        panic!("another answer");
    };
    assert!(status.readiness.ready);
    assert_eq!((status.uptime_seconds, &*status.version), (7, "1.2.3"));
    assert_eq!(status.time, START);
    assert_eq!(status.directory, harness.engine.urls().directory());
}

#[tokio::test]
async fn a_confirmed_clock_is_followed_and_another_is_refused() {
    let harness = Harness::new();
    let accepted = of_server(&harness, Request::AcceptClock(START.0 + 60)).await;
    assert_eq!(accepted, Response::AcceptClock(Ok(START.0)));
    let refused = of_server(&harness, Request::AcceptClock(START.0 + 7_200)).await;
    assert!(
        matches!(refused, Response::AcceptClock(Err(_))),
        "{refused:?}"
    );
}

#[tokio::test]
async fn a_device_is_found_by_its_orders_and_by_what_was_refused_to_it() {
    let harness = Harness::new();
    let account = harness.account().await;
    let (order, device) = harness.ready(&account).await;
    let order = harness.finalize(&order, &device).await.unwrap();
    for _ in 0..3 {
        let holder = harness.authenticated(&account).await;
        let unknown = super::support::new_order(&["UNKNOWN"]);
        let refused = harness.engine.new_order(&holder, &unknown).await;
        assert!(refused.is_err());
    }
    let Response::Found(found) = of_server(&harness, find(SERIAL)).await else {
        panic!("another answer");
    };
    let known = found.device.unwrap();
    assert_eq!((known.total, known.refusals), (1, Some(vec![])));
    let story = &known.orders[0];
    assert_eq!(story.order.id, order.id.to_string());
    let serial = story.issued.as_ref().unwrap().serial.clone();
    // The same order, by its URL and by its certificate.
    let url = harness.engine.urls().order(order.id);
    let Response::Found(by_url) = of_server(&harness, find(&url)).await else {
        panic!("another answer");
    };
    assert_eq!(by_url.order.as_deref(), Some(story));
    assert_eq!(by_url.device, None);
    let Response::Found(by_serial) = of_server(&harness, find(&serial)).await else {
        panic!("another answer");
    };
    assert_eq!(by_serial.certificate.as_deref(), Some(story));
    // A device that was only refused is known as long as the server runs.
    let Response::Found(refused) = of_server(&harness, find("UNKNOWN")).await else {
        panic!("another answer");
    };
    let refused = refused.device.unwrap();
    assert_eq!((refused.total, refused.refusals.unwrap().len()), (0, 3));
    let without = ask(&*harness.store, find("UNKNOWN")).await.unwrap();
    assert_eq!(without, Response::Found(Box::default()));
    // The newest refusals, and the total.
    let Response::Refusals(listed) = of_server(&harness, refusals(Some("UNKNOWN"), 2)).await else {
        panic!("another answer");
    };
    assert_eq!((listed.refusals.len(), listed.total), (2, 3));
    assert_eq!(listed.refusals[0].reason, "not-admitted");
    assert!(listed.refusals[0].remedy.is_some());
}
