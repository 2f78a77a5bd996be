use proptest::{collection::vec, prelude::*};

use super::*;

const NOW: Timestamp = Timestamp(10_000);

fn origin(address: &str) -> Option<Origin> {
    (address != "?").then(|| Origin::of(address.parse().unwrap()))
}

/// Members 0, 1, ... from these addresses, each with its age in seconds.
fn census(members: &[(&str, u64)]) -> Census<u32> {
    let members = (0..).zip(members).map(|(id, (address, age))| Member {
        id,
        created: NOW.minus(*age),
        origin: origin(address),
    });
    members.collect()
}

fn bound(limit: usize, refused: RefusalRule) -> Bound {
    Bound {
        limit,
        protected: 600,
        refused,
    }
}

/// Adds a new member from `address`: returns the displaced ids, or how long to
/// wait.
fn add(census: &mut Census<u32>, address: &str, limit: usize) -> Result<Vec<u32>, u64> {
    add_under(census, address, bound(limit, RefusalRule::AboveEqualShare))
}

fn add_under(census: &mut Census<u32>, address: &str, bound: Bound) -> Result<Vec<u32>, u64> {
    let newcomer = Member {
        id: 1_000_000 + u32::try_from(census.count()).unwrap(),
        created: NOW,
        origin: origin(address),
    };
    match census.make_room(newcomer, NOW, bound) {
        Room::Made(displaced) => Ok(displaced.iter().map(|one| one.member.id).collect()),
        Room::None(wait) => Err(wait),
    }
}

#[test]
fn below_the_limit_none_gives_way() {
    let mut census = census(&[("192.0.2.1", 9_000); 3]);
    assert_eq!(add(&mut census, "192.0.2.1", 4), Ok(vec![]));
    assert_eq!(census.count(), 4);
    assert_eq!(add(&mut census, "198.51.100.1", 4), Ok(vec![0]));
    assert_eq!(census.count(), 4);
}

#[test]
fn the_heaviest_network_is_weighed_level_by_level() {
    // The /32 is the heaviest, in it the /48 ::1, in that the /64 ::2; its
    // oldest member is displaced, although other members are older.
    let mut v6 = census(&[
        ("2001:db8:1:2::1", 700),
        ("2001:db8:1:2::2", 800),
        ("2001:db8:1:1::1", 2_000),
        ("2001:db8:2::1", 3_000),
        ("2001:db8:3::1", 3_000),
        ("2001:db9::1", 5_000),
        ("2001:db9::2", 5_000),
        ("2001:dba::1", 5_000),
    ]);
    assert_eq!(add(&mut v6, "2001:dbb::1", 8), Ok(vec![1]));
    // The same for /16, /24 and the address.
    let mut v4 = census(&[
        ("10.0.1.2", 700),
        ("10.0.1.2", 800),
        ("10.0.1.1", 2_000),
        ("10.0.2.1", 3_000),
        ("10.0.3.1", 3_000),
        ("10.1.0.1", 5_000),
        ("10.1.0.2", 5_000),
    ]);
    assert_eq!(add(&mut v4, "10.2.0.1", 7), Ok(vec![1]));
}

#[test]
fn networks_of_both_families_and_unknown_ones_are_compared_by_count() {
    for (heavy, others) in [
        ("10.0.0.1", ["2001:db8::1", "?"]),
        ("2001:db8::1", ["10.0.0.1", "?"]),
        ("?", ["10.0.0.1", "2001:db8::1"]),
    ] {
        let mut census = census(&[
            (others[0], 9_000),
            (others[0], 9_000),
            (others[1], 9_000),
            (heavy, 700),
            (heavy, 800),
            (heavy, 900),
        ]);
        assert_eq!(add(&mut census, "192.0.2.1", 6), Ok(vec![5]), "{heavy}");
    }
}

#[test]
fn what_is_too_young_keeps_its_place_and_the_next_heavy_network_gives_way() {
    let mut census = census(&[
        ("10.0.0.1", 599),
        ("10.0.0.1", 599),
        ("10.0.0.1", 599),
        ("10.0.0.1", 599),
        ("10.1.0.1", 600),
        ("10.1.0.1", 599),
        ("10.1.0.1", 599),
        // It has an equal share: it is not displaced by others.
        ("10.2.0.1", 9_000),
    ]);
    assert_eq!(add(&mut census, "10.0.0.1", 8), Ok(vec![4]));
    // No member is old enough: the heaviest, above an equal share on every
    // level, is refused until its oldest member is old enough. A light one is
    // admitted even if the network around it is heavy.
    assert_eq!(add(&mut census, "10.0.0.1", 8), Err(1));
    assert_eq!(add(&mut census, "10.0.200.1", 8), Ok(vec![]));
    assert_eq!(add(&mut census, "10.2.0.1", 8), Ok(vec![]));
    assert_eq!(add(&mut census, "10.3.0.1", 8), Ok(vec![]));
    assert_eq!(census.count(), 11);
}

#[test]
fn within_a_network_the_oldest_of_the_next_heavy_one_gives_way() {
    let mut census = census(&[
        ("10.0.0.1", 10),
        ("10.0.0.1", 10),
        ("10.0.0.2", 700),
        ("10.0.1.1", 9_000),
    ]);
    assert_eq!(add(&mut census, "10.1.0.1", 4), Ok(vec![2]));
    assert_eq!(add(&mut census, "10.2.0.1", 4), Ok(vec![3]));
}

#[test]
fn twice_the_limit_is_never_exceeded_and_the_heaviest_pays_for_it() {
    let mut census = Census::default();
    // A heavy network and many light ones, all young.
    for n in 0..10_u32 {
        assert_eq!(add(&mut census, "10.0.0.1", 20), Ok(vec![]), "{n}");
    }
    for n in 0..10_u32 {
        let light = format!("11.{n}.0.1");
        assert_eq!(add(&mut census, &light, 20), Ok(vec![]), "{n}");
    }
    assert!(add(&mut census, "10.0.0.1", 20).is_err());
    for n in 0..20_u32 {
        let light = format!("12.{n}.0.1");
        assert_eq!(add(&mut census, &light, 20), Ok(vec![]), "{n}");
    }
    assert_eq!(census.count(), 40);
    // Full: age no longer protects the heaviest from lighter ones.
    assert!(add(&mut census, "10.0.0.1", 20).is_err());
    for n in 0..9_u32 {
        let light = format!("13.{n}.0.1");
        assert_eq!(add(&mut census, &light, 20).unwrap().len(), 1, "{n}");
    }
    assert_eq!(census.count(), 40);
    // All weigh the same now: a network without members displaces one, a
    // network with members displaces none.
    assert_eq!(add(&mut census, "13.99.0.1", 20).unwrap().len(), 1);
    assert!(add(&mut census, "13.99.0.1", 20).is_err());
    assert_eq!(census.count(), 40);
}

#[test]
fn two_addresses_of_a_provider_lock_none_of_its_customers_out() {
    let bound = Bound {
        protected: 120,
        ..bound(10, RefusalRule::Heaviest)
    };
    // Each is refused only while it is the heaviest, so both grow in turn.
    let mut census = Census::default();
    for n in 0..20_u32 {
        let address = format!("10.0.{}.1", n % 2);
        assert_eq!(add_under(&mut census, &address, bound), Ok(vec![]), "{n}");
    }
    for (customer, displaced) in [("10.0.2.1", 1), ("10.0.2.2", 1), ("10.0.0.2", 1)] {
        let added = add_under(&mut census, customer, bound).unwrap();
        assert_eq!(added.len(), displaced, "{customer}");
    }
    assert_eq!(census.count(), 20);
}

#[test]
fn a_number_above_the_limit_falls_again() {
    let mut census = census(&[("10.0.0.1", 9_000); 30]);
    for count in [27, 24, 21, 20, 20] {
        assert!(add(&mut census, "10.0.0.1", 20).is_ok());
        assert_eq!(census.count(), count);
    }
}

#[test]
fn the_narrowest_heaviest_network_alone_is_refused() {
    let young = [
        ("10.0.0.1", 5),
        ("10.0.0.1", 6),
        ("10.0.0.2", 7),
        ("10.0.1.1", 8),
        ("10.1.0.1", 9),
    ];
    for (address, refused) in [
        ("10.0.0.1", true),
        ("10.0.0.2", false),
        ("10.0.0.3", false),
        ("10.0.1.1", false),
        ("10.1.0.1", false),
        ("2001:db8::1", false),
    ] {
        let mut census = census(&young);
        let bound = Bound {
            protected: 120,
            ..bound(5, RefusalRule::Heaviest)
        };
        let added = add_under(&mut census, address, bound);
        assert_eq!(
            added,
            if refused { Err(112) } else { Ok(vec![]) },
            "{address}"
        );
    }
}

#[test]
fn a_search_among_many_young_networks_ends_with_the_oldest() {
    // One old member in the lightest of more /48s than the search visits.
    let mut members = vec![("2001:db8:ffff::1".to_owned(), 700)];
    for n in 0..100 {
        for _ in 0..2 {
            members.push((format!("2001:db8:{n:x}::1"), 5));
        }
    }
    let members: Vec<_> = members.iter().map(|(a, age)| (a.as_str(), *age)).collect();
    let mut census = census(&members);
    assert_eq!(add(&mut census, "2001:db9::1", 201), Ok(vec![0]));
}

/// The weight of the heaviest of the widest networks, computed without the
/// structure under test.
fn heaviest(members: &[Member<u32>]) -> usize {
    let widest = |member: &Member<u32>| Network::around(member.origin)[0];
    let weight = |network| members.iter().filter(|m| widest(m) == network).count();
    members.iter().map(widest).map(weight).max().unwrap_or(0)
}

proptest! {
    #[test]
    fn whatever_comes_and_goes_the_heaviest_gives_way(
        steps in vec((0..6_u32, 0..4_u32, 0..2_000_u64, any::<bool>()), 1..120),
    ) {
        let mut census = Census::default();
        let mut members: Vec<Member<u32>> = Vec::new();
        for (id, (network, host, age, comes)) in (0..).zip(steps) {
            if comes || members.is_empty() {
                let address = match network {
                    0..3 => format!("10.{network}.{host}.1"),
                    _ => format!("2001:db{network}:{host}::1"),
                };
                let member = Member { id, created: NOW.minus(age), origin: origin(&address) };
                let before = members.clone();
                match census.make_room(member, NOW, bound(12, RefusalRule::AboveEqualShare)) {
                    Room::None(wait) => {
                        prop_assert!(before.len() >= 12);
                        prop_assert!((1..=600).contains(&wait));
                    }
                    Room::Made(displaced) => {
                        for one in &displaced {
                            let old = one.member.created <= NOW.minus(600);
                            prop_assert!(old || before.len() >= 24);
                            members.retain(|member| member.id != one.member.id);
                        }
                        if let Some(first) = displaced.first() {
                            // No heavier network has a member that is old
                            // enough.
                            let widest = |m: &Member<u32>| Network::around(m.origin)[0];
                            let weight = |n| before.iter().filter(|m| widest(m) == n).count();
                            let own = weight(first.network);
                            let old = before.iter().filter(|m| m.created <= NOW.minus(600));
                            let most = old.map(|m| weight(widest(m))).max().unwrap_or(own);
                            prop_assert!(own >= most || before.len() >= 24);
                        }
                        members.push(member);
                    }
                }
            } else {
                let gone = members.remove(host as usize % members.len());
                census.remove(gone);
                census.remove(gone);
            }
            prop_assert_eq!(census.count(), members.len());
            prop_assert!(census.count() <= 24);
            prop_assert_eq!(census.heaviest(None).map_or(0, |(weight, _)| weight), heaviest(&members));
        }
        for member in members {
            census.remove(member);
        }
        prop_assert!(census.members.is_empty() && census.inside.is_empty());
    }
}
