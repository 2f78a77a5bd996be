use std::{net::Ipv6Addr, num::NonZeroU32, time::Duration};

use governor::clock::FakeRelativeClock;
use tokio::sync::mpsc;

use super::{nested::*, *};

fn rate(per_second: u32, burst: u32) -> Rate {
    Rate {
        per_second: NonZeroU32::new(per_second).unwrap(),
        burst: NonZeroU32::new(burst).unwrap(),
    }
}

/// A limit with its clock.
struct Timed {
    clock: FakeRelativeClock,
    nested: Nested<FakeRelativeClock>,
}

impl Timed {
    fn new(per_second: u32, burst: u32) -> Self {
        let clock = FakeRelativeClock::default();
        let nested = Nested::new(rate(per_second, burst), true, clock.clone());
        Self { clock, nested }
    }

    fn take(&self, client: impl Into<IpAddr>) -> Result<(), TooSoon> {
        self.nested.take(client.into())
    }

    /// Counts how many requests of one address are let through at once.
    fn burst_of(&self, client: impl Into<IpAddr>) -> usize {
        let client = client.into();
        (0..).take_while(|_| self.take(client).is_ok()).count()
    }

    /// Advances the clock until `requests` more tokens are there.
    fn refill(&self, requests: u32) {
        self.clock.advance(Duration::from_secs(1) * requests);
    }
}

fn too_soon(millis: u64, level: Scope) -> Result<(), TooSoon> {
    Err(TooSoon {
        wait: Duration::from_millis(millis),
        level,
    })
}

fn v4(text: &str) -> IpAddr {
    text.parse().unwrap()
}

#[test]
fn scenario_108_a_burst_passes_and_then_the_rate_holds() {
    let limit = Timed::new(2, 3);
    let client = v4("192.0.2.1");
    let mut at = 0;
    for (millis, expected) in [
        (0, Ok(())),
        (0, Ok(())),
        (0, Ok(())),
        (0, too_soon(500, Scope::Address)),
        (200, too_soon(300, Scope::Address)),
        (500, Ok(())),
        (500, too_soon(500, Scope::Address)),
        (10_000, Ok(())),
        (10_000, Ok(())),
        (10_000, Ok(())),
        (10_000, too_soon(500, Scope::Address)),
    ] {
        limit.clock.advance(Duration::from_millis(millis - at));
        at = millis;
        assert_eq!(limit.take(client), expected, "at {millis}");
    }
}

#[test]
fn an_ipv4_network_has_room_for_sixteen_of_its_addresses() {
    let limit = Timed::new(1, 3);
    let address = |host: u8| IpAddr::from([192, 0, 2, host]);
    // The first address is the network's own; it is an address like any other.
    for host in 0..16 {
        assert_eq!(limit.burst_of(address(host)), 3, "{host}");
    }
    assert_eq!(limit.take(address(0)), too_soon(1_000, Scope::Address));
    assert_eq!(
        limit.take(address(16)).unwrap_err().level,
        Scope::Network(24)
    );
    assert_eq!(limit.burst_of([192, 0, 3, 0]), 3);
}

#[test]
fn an_ipv6_lan_a_home_and_a_site_have_room_for_two_four_and_sixteen_addresses() {
    let limit = Timed::new(1, 3);
    let mut host = 0;
    // Each request comes from another address of the /64, until one is refused.
    let mut burst = |home: u16, lan: u16| {
        let mut count = 0;
        loop {
            host += 1;
            let client = Ipv6Addr::from([0x2001, 0xdb8, 1, home << 8 | lan, 0, 0, 0, host]);
            match limit.take(client) {
                Ok(()) => count += 1,
                Err(too_soon) => break (count, too_soon.level),
            }
        }
    };
    assert_eq!(burst(0, 0), (6, Scope::Network(64)));
    assert_eq!(burst(0, 1), (6, Scope::Network(64)));
    assert_eq!(burst(0, 2), (0, Scope::Network(56)));
    for home in 1..4 {
        assert_eq!(burst(home, 0), (6, Scope::Network(64)));
        assert_eq!(burst(home, 1), (6, Scope::Network(64)));
    }
    assert_eq!(burst(4, 0), (0, Scope::Network(48)));
    // One address has only its own rate; another site has its whole rate.
    let one = Ipv6Addr::from([0x2001, 0xdb8, 2, 0, 0, 0, 0, 1]);
    assert_eq!(limit.burst_of(one), 3);
    assert_eq!(limit.take(one).unwrap_err().level, Scope::Address);
}

#[test]
fn requests_over_the_rate_of_an_address_take_no_tokens_of_its_network() {
    let limit = Timed::new(1, 3);
    for _ in 0..1_000 {
        let _ = limit.take(v4("192.0.2.1"));
    }
    for host in 2..17 {
        assert_eq!(limit.burst_of([192, 0, 2, host]), 3, "{host}");
    }
}

/// When whole networks use up the bucket of all, only networks below their
/// share are let through.
#[test]
fn the_bucket_of_all_refuses_only_networks_above_an_equal_share() {
    let limit = Timed::new(1, 4);
    let drain = |net: u8| {
        let hosts = 0..=255;
        hosts
            .map(|host| limit.burst_of([198, net, 1, host]))
            .sum::<usize>()
    };
    // 256 tokens for all, 64 for a network.
    assert_eq!([1, 2, 3, 4].map(drain), [64; 4]);
    // The bucket is empty, but a fifth network still gets a fifth of it, which
    // is less than its own bucket holds.
    assert_eq!(drain(5), 51);
    let refused = limit.take([198, 5, 1, 200]).unwrap_err();
    assert_eq!(refused.level, Scope::All);
    // A network that asks for little is let through.
    for net in 10..20 {
        assert_eq!(limit.take([203, net, 0, 1]), Ok(()), "{net}");
    }
    // 64 tokens arrive in a second. A new network takes them. One that used its
    // share gets a sixteenth of them, since sixteen networks are active.
    limit.refill(1);
    assert_eq!(drain(6), 64);
    assert_eq!(drain(4), 4);
    // Two minutes later the others are forgotten, and the bucket is full.
    limit.refill(120);
    assert_eq!(drain(4), 64);
}

/// A customer with a whole /32 has more /48s than are remembered, and one
/// share.
#[test]
fn very_many_networks_of_one_provider_have_one_share_of_all() {
    let limit = Timed::new(1, 1);
    let site = |number: u32| {
        let bits = (0x2001_0db8_u128 << 96) | (u128::from(number) << 80);
        IpAddr::V6(Ipv6Addr::from_bits(bits))
    };
    // 64 tokens for all: two rounds of more sites than two generations hold.
    let sites = 3 * u32::try_from(NETWORKS).unwrap();
    let passed = (0..2 * sites).filter(|number| limit.take(site(number % sites)).is_ok());
    assert_eq!(passed.count(), 64);
    // Another provider's customer has its own share.
    assert_eq!(limit.take(v4("192.0.2.1")), Ok(()));
}

/// A request that a wider bucket refuses takes no token of the narrower ones.
#[test]
fn a_refused_request_takes_no_tokens() {
    let limit = Timed::new(1, 4);
    for host in 0..16 {
        assert_eq!(limit.burst_of([192, 0, 2, host]), 4);
    }
    let late = v4("192.0.2.99");
    for _ in 0..100 {
        assert_eq!(limit.take(late).unwrap_err().level, Scope::Network(24));
    }
    limit.refill(1);
    assert_eq!(limit.burst_of(late), 4);
}

#[test]
fn the_number_of_buckets_is_bounded_and_the_busy_are_remembered() {
    let limit = Timed::new(1, 1);
    let busy = v4("203.0.113.1");
    let bound = 2 * (ADDRESSES + NETWORKS * 3);
    for number in 0..200_000_u32 {
        let address = std::net::Ipv4Addr::from_bits(0x0a00_0000 + (number << 8));
        let _ = limit.take(address);
        if number % 1_000 == 0 {
            let taken = limit.take(busy);
            assert_eq!(taken.is_ok(), number == 0, "{number}");
        }
    }
    assert!(limit.nested.len() <= bound, "{}", limit.nested.len());
}

#[test]
fn a_bucket_is_low_once_less_than_half_is_left_at_any_level() {
    let limit = Timed::new(1, 10);
    let client = v4("192.0.2.1");
    for _ in 0..5 {
        limit.take(client).unwrap();
        assert!(!limit.nested.is_low(client));
    }
    limit.take(client).unwrap();
    assert!(limit.nested.is_low(client));
    assert!(!limit.nested.is_low(v4("192.0.2.2")));
    limit.refill(1);
    assert!(!limit.nested.is_low(client));
    // Most of the 160 tokens of its network.
    for host in 10..20 {
        limit.burst_of([192, 0, 2, host]);
    }
    assert!(limit.nested.is_low(v4("192.0.2.99")));
}

/// Limits with a clock that stands still.
fn limits(config: RateLimits) -> Limits<FakeRelativeClock> {
    Limits::with_clock(config, &FakeRelativeClock::default())
}

fn all(rate: Rate) -> RateLimits {
    let mut rates = Rates::OFF;
    for limit in Limit::ALL {
        rates.set(limit, Some(rate));
    }
    RateLimits::of(rates)
}

/// Counts how many requests are let through at once.
fn burst(limits: &Limits<FakeRelativeClock>, limit: Limit, client: &str) -> usize {
    let client = v4(client);
    (0..1_000)
        .take_while(|_| limits.charge(limit, client).is_ok())
        .count()
}

#[test]
fn exempt_networks_skip_every_level() {
    let limits = limits(RateLimits {
        exempt: vec![
            "10.0.0.0/8".parse().unwrap(),
            "2001:db8::/32".parse().unwrap(),
        ],
        ..all(rate(1, 2))
    });
    for limit in Limit::ALL {
        assert_eq!(burst(&limits, limit, "10.1.2.3"), 1_000);
        assert_eq!(burst(&limits, limit, "2001:db8::1"), 1_000);
        assert_eq!(burst(&limits, limit, "11.1.2.3"), 2);
    }
    assert!(matches!(limits.fail(v4("10.1.2.3")), Failure::Free));
    // Their requests are not charged to others.
    assert!(
        limits
            .of_all
            .iter()
            .flatten()
            .all(|nested| nested.len() <= 2)
    );
}

#[test]
fn the_smallest_network_that_names_a_limit_overrides_it() {
    let of = |network: &str, rates: &[(Limit, Option<Rate>)]| Override {
        network: network.parse().unwrap(),
        rates: rates.to_vec(),
    };
    let limits = limits(RateLimits {
        overrides: vec![
            of(
                "10.0.0.0/8",
                &[(Limit::NewOrder, Some(rate(1, 5))), (Limit::Failed, None)],
            ),
            of("10.1.0.0/16", &[(Limit::NewOrder, Some(rate(1, 7)))]),
            of("10.1.1.1/32", &[(Limit::NewNonce, None)]),
        ],
        ..all(rate(1, 2))
    });
    for (client, limit, expected) in [
        ("192.0.2.1", Limit::NewOrder, 2),
        ("10.0.0.1", Limit::NewOrder, 5),
        ("10.1.0.1", Limit::NewOrder, 7),
        ("10.1.1.1", Limit::NewOrder, 7),
        ("10.1.1.1", Limit::NewNonce, 1_000),
        ("10.1.1.1", Limit::Failed, 1_000),
        ("10.1.1.1", Limit::NewAccount, 2),
    ] {
        assert_eq!(
            burst(&limits, limit, client),
            expected,
            "{client} {limit:?}"
        );
    }
}

/// When the operator raises the limits of a fleet behind one address, the
/// bucket of its /24, or of all networks, must not refuse it.
#[test]
fn wider_buckets_do_not_limit_a_network_with_its_own_limits() {
    let limits = limits(RateLimits {
        overrides: vec![Override {
            network: "192.0.2.1/32".parse().unwrap(),
            rates: vec![(Limit::NewOrder, Some(rate(1, 900)))],
        }],
        ..all(rate(1, 2))
    });
    // Otherwise its /24 could send 32, and all networks together 128.
    assert_eq!(burst(&limits, Limit::NewOrder, "192.0.2.1"), 900);
    assert_eq!(burst(&limits, Limit::NewOrder, "192.0.2.2"), 2);
}

/// A network that the operator names is trusted, however many /24 it has.
#[test]
fn a_network_with_its_own_limits_takes_no_tokens_of_the_bucket_of_all() {
    let limits = limits(RateLimits {
        overrides: vec![Override {
            network: "10.0.0.0/8".parse().unwrap(),
            rates: vec![(Limit::NewOrder, Some(rate(1, 4)))],
        }],
        ..all(rate(1, 4))
    });
    let network = |first: u8, net: u8| {
        let hosts = (0..=20).map(|host| format!("{first}.0.{net}.{host}"));
        hosts
            .map(|host| burst(&limits, Limit::NewOrder, &host))
            .sum::<usize>()
    };
    // 256 are for all networks.
    for net in 0..8 {
        assert_eq!(network(10, net), 64, "{net}");
    }
    for net in 0..4 {
        assert_eq!(network(11, net), 64, "{net}");
    }
}

#[test]
fn a_dry_run_refuses_nothing_and_counts_what_it_would_refuse() {
    let limits = limits(RateLimits {
        dry_run: true,
        ..all(rate(1, 2))
    });
    assert_eq!(burst(&limits, Limit::NewOrder, "192.0.2.1"), 1_000);
    assert!(matches!(limits.fail(v4("192.0.2.1")), Failure::Free));
    let spared = limits.dry_run.as_ref().unwrap().lock().unwrap();
    assert_eq!(spared[Limit::NewOrder as usize].total, 998);
    assert_eq!(spared[Limit::Failed as usize].total, 0);
}

/// Requests of an address that failed often wait until all others are answered,
/// even if they came first.
#[tokio::test]
async fn signatures_of_an_address_that_fails_queue_behind_those_of_others() {
    let limits = std::sync::Arc::new(limits(all(rate(1, 4))));
    let suspect = v4("192.0.2.1");
    for _ in 0..3 {
        limits.fail(suspect);
    }
    let (report, mut order) = mpsc::unbounded_channel();
    let clients = [[suspect; 20], [v4("192.0.2.2"); 20]].concat();
    for client in clients {
        let (limits, report) = (std::sync::Arc::clone(&limits), report.clone());
        tokio::spawn(async move {
            let turn = limits.turn(client).await;
            report.send(client).unwrap();
            drop(turn);
        });
    }
    drop(report);
    let mut answered = Vec::new();
    while let Some(client) = order.recv().await {
        answered.push(client);
    }
    assert_eq!(answered[..20], [v4("192.0.2.2"); 20]);
    assert_eq!(answered[20..], [suspect; 20]);
}
