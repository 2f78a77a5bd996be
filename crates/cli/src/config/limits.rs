//! `[limits]`: rate limits per address, and limits on resources that untrusted
//! clients use.

use std::{fmt, num::NonZeroU32};

use anyhow::{Context as _, ensure};
use assay_server::{Limit, Override, Rate, RateLimits, Rates};
use serde::{
    Deserialize, Deserializer,
    de::{self, MapAccess, Visitor},
};

use super::network;

/// The maximum `per_second` and `burst`. The limit of the widest network is a
/// multiple of it, which must not overflow.
const MOST: u32 = 1_000_000;

/// `[limits]`
#[derive(Clone, Debug, PartialEq)]
pub struct Limits {
    /// The rate limits per address.
    pub rates: RateLimits,
    /// The maximum number of concurrent connections per address; 0 means no
    /// limit.
    pub connections_per_address: Option<usize>,
    /// The maximum number of accounts without a valid authorization.
    pub provisional_accounts: usize,
}

/// `[limits]` before validation.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct LimitsTable {
    #[serde(flatten)]
    rates: RatesText,
    connections_per_address: Option<usize>,
    provisional_accounts: Option<usize>,
    exempt: Vec<String>,
    dry_run: bool,
    help: Option<String>,
    #[serde(rename = "override")]
    overrides: Vec<OverrideText>,
}

/// `[[limits.override]]` before validation.
#[derive(Deserialize)]
struct OverrideText {
    network: String,
    #[serde(flatten)]
    rates: RatesText,
}

#[derive(Clone, Copy, Default, Deserialize)]
#[serde(default)]
struct RatesText {
    change_account: RateText,
    failed: RateText,
    new_account: RateText,
    new_nonce: RateText,
    new_order: RateText,
}

/// `{ per_second = 2, burst = 1000 }` with both members optional, or 0.
#[derive(Clone, Copy, Default)]
struct RateText {
    per_second: Option<u32>,
    burst: Option<u32>,
}

impl LimitsTable {
    /// Validates the limits.
    pub(super) fn check(self) -> anyhow::Result<Limits> {
        let mut rates = Rates::default();
        for limit in Limit::ALL {
            let rate = self.rates.get(limit).over(rates.get(limit));
            rates.set(limit, rate.context(format!("limits.{}", limit.as_str()))?);
        }
        let mut overrides = Vec::new();
        for OverrideText {
            network,
            rates: own,
        } in self.overrides
        {
            let place = || format!("limits.override of {network}");
            let network = network::parse(&network).context("limits.override")?;
            let mut named = Vec::new();
            for limit in Limit::ALL {
                let text = own.get(limit);
                if text.is_set() {
                    let rate = text.over(rates.get(limit));
                    let place = || format!("{}: {}", place(), limit.as_str());
                    named.push((limit, rate.with_context(place)?));
                }
            }
            ensure!(
                !named.is_empty(),
                "{}: it changes nothing; set a limit, or add the network to limits.exempt",
                place()
            );
            overrides.push(Override {
                network: network.trunc(),
                rates: named,
            });
        }
        if let Some(help) = &self.help {
            ensure!(
                is_url(help),
                "limits.help: {help:?} is not a URL that begins with https:// or http://"
            );
        }
        let rates = RateLimits {
            rates,
            overrides,
            exempt: network::parse_all("limits.exempt", &self.exempt)?,
            dry_run: self.dry_run,
            help: self.help,
        };
        let provisional_accounts = self
            .provisional_accounts
            .unwrap_or(assay_engine::Limits::default().provisional_accounts);
        ensure!(
            (1..=10_000_000).contains(&provisional_accounts),
            "limits.provisional_accounts must be from 1 to 10000000"
        );
        Ok(Limits {
            rates,
            connections_per_address: self.connections_per_address,
            provisional_accounts,
        })
    }
}

impl RatesText {
    fn get(&self, limit: Limit) -> RateText {
        match limit {
            Limit::ChangeAccount => self.change_account,
            Limit::Failed => self.failed,
            Limit::NewAccount => self.new_account,
            Limit::NewNonce => self.new_nonce,
            Limit::NewOrder => self.new_order,
        }
    }
}

impl RateText {
    const OFF: Self = Self {
        per_second: Some(0),
        burst: None,
    };

    fn is_set(self) -> bool {
        self.per_second.is_some() || self.burst.is_some()
    }

    /// The rate, with missing members taken from `base`; `None` means no limit.
    fn over(self, base: Option<Rate>) -> anyhow::Result<Option<Rate>> {
        let number = |name, own: Option<u32>, base: Option<NonZeroU32>| {
            ensure!(
                own.is_none_or(|own| own <= MOST),
                "{name} must be at most {MOST}"
            );
            Ok(own.or(base.map(NonZeroU32::get)))
        };
        let per_second = number("per_second", self.per_second, base.map(|b| b.per_second))?;
        let burst = number("burst", self.burst, base.map(|b| b.burst))?;
        if per_second == Some(0) || burst == Some(0) || !(self.is_set() || base.is_some()) {
            return Ok(None);
        }
        let rate = (per_second.and_then(NonZeroU32::new)).zip(burst.and_then(NonZeroU32::new));
        let (per_second, burst) =
            rate.context("it is off elsewhere: both per_second and burst must be given")?;
        Ok(Some(Rate { per_second, burst }))
    }
}

impl<'de> Deserialize<'de> for RateText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct RateVisitor;

        impl<'de> Visitor<'de> for RateVisitor {
            type Value = RateText;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("{ per_second = NUMBER, burst = NUMBER }, or 0 for no limit")
            }

            fn visit_i64<E: de::Error>(self, number: i64) -> Result<RateText, E> {
                match number {
                    0 => Ok(RateText::OFF),
                    _ => Err(E::invalid_value(de::Unexpected::Signed(number), &self)),
                }
            }

            fn visit_u64<E: de::Error>(self, number: u64) -> Result<RateText, E> {
                match number {
                    0 => Ok(RateText::OFF),
                    _ => Err(E::invalid_value(de::Unexpected::Unsigned(number), &self)),
                }
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<RateText, A::Error> {
                let mut rate = RateText::default();
                while let Some(key) = map.next_key::<String>()? {
                    match key.as_str() {
                        "per_second" => rate.per_second = Some(map.next_value()?),
                        "burst" => rate.burst = Some(map.next_value()?),
                        _ => return Err(de::Error::unknown_field(&key, &["per_second", "burst"])),
                    }
                }
                Ok(rate)
            }
        }

        deserializer.deserialize_any(RateVisitor)
    }
}

/// Whether a text is a web URL that a Link header can contain.
fn is_url(text: &str) -> bool {
    let rest = (text.strip_prefix("https://")).or_else(|| text.strip_prefix("http://"));
    rest.is_some_and(|rest| {
        !rest.is_empty()
            && rest
                .bytes()
                .all(|b| b.is_ascii_graphic() && !b"<>\"".contains(&b))
    })
}

#[cfg(test)]
mod tests {
    use crate::config::Config;

    use super::*;

    fn parse(text: &str) -> anyhow::Result<RateLimits> {
        Config::parse(text, std::iter::empty()).map(|config| config.limits.rates)
    }

    fn error(text: &str) -> String {
        format!("{:#}", parse(text).unwrap_err())
    }

    fn rate(per_second: u32, burst: u32) -> Option<Rate> {
        Some(Rate {
            per_second: NonZeroU32::new(per_second).unwrap(),
            burst: NonZeroU32::new(burst).unwrap(),
        })
    }

    #[test]
    fn without_a_table_the_limits_are_the_defaults() {
        assert_eq!(parse("").unwrap(), RateLimits::default());
        let rates = Rates::default();
        assert_eq!(rates.new_account, rate(2, 1_000));
        assert_eq!(rates.new_order, rate(2, 2_000));
        assert_eq!(rates.new_nonce, rate(20, 3_000));
        assert_eq!(rates.change_account, rate(2, 1_000));
        assert_eq!(rates.failed, rate(10, 1_000));
    }

    #[test]
    fn every_limit_can_be_set_and_0_switches_it_off() {
        let limits = parse(
            "[limits]\n\
             new_nonce = { per_second = 7, burst = 8 }\n\
             new_account = 0\n\
             new_order = { per_second = 0 }\n\
             change_account = { burst = 5 }\n\
             exempt = [\"10.0.0.0/8\", \"2001:db8::/32\"]\n\
             dry_run = true\n\
             help = \"https://example.org/limits\"\n\
             [limits.failed]\n\
             per_second = 3\n\
             [[limits.override]]\n\
             network = \"192.0.2.1/24\"\n\
             new_order = { per_second = 1, burst = 2 }\n\
             failed = 0\n",
        )
        .unwrap();
        assert_eq!(
            limits,
            RateLimits {
                rates: Rates {
                    change_account: rate(2, 5),
                    failed: rate(3, 1_000),
                    new_account: None,
                    new_nonce: rate(7, 8),
                    new_order: None,
                },
                overrides: vec![Override {
                    network: "192.0.2.0/24".parse().unwrap(),
                    rates: vec![(Limit::Failed, None), (Limit::NewOrder, rate(1, 2))],
                }],
                exempt: vec![
                    "10.0.0.0/8".parse().unwrap(),
                    "2001:db8::/32".parse().unwrap()
                ],
                dry_run: true,
                help: Some("https://example.org/limits".to_owned()),
            }
        );
    }

    #[test]
    fn mistakes_in_limits_are_named() {
        for (text, expected) in [
            (
                "[limits]\nnew_ordr = 0\n",
                "unknown key \"limits.new_ordr\" in [limits]: did you mean \"new_order\"?",
            ),
            (
                "[limits]\nnew_order = { per_secnd = 1 }\n",
                "unknown key \"limits.new_order.per_secnd\" in [limits.new_order]: did you mean \"per_second\"?",
            ),
            ("[limits]\nnew_order = 1\n", "or 0 for no limit"),
            (
                "[limits]\nfailed = { burst = 1000001 }\n",
                "limits.failed: burst must be at most 1000000",
            ),
            ("[limits]\nexempt = [\"10.0.0.0\"]\n", "exempt"),
            ("[limits]\nexempt = [\"10.0.0.0/33\"]\n", "exempt"),
            ("[limits]\nhelp = \"limits.html\"\n", "limits.help"),
            ("[limits]\nhelp = \"https://a>\"\n", "limits.help"),
            (
                "[limits]\noverride = 1\n",
                "limits.override must be a list of tables: write [[limits.override]]",
            ),
            (
                "[[limits.override]]\nnetwork = \"::/0\"\nnew_nonc = 0\n",
                "unknown key \"limits.override.new_nonc\" in [limits.override]: did you mean \"new_nonce\"?",
            ),
            (
                "[[limits.override]]\nnetwork = \"::/0\"\n",
                "limits.override of ::/0: it changes nothing",
            ),
            ("[[limits.override]]\nnew_nonce = 0\n", "network"),
            (
                "[limits]\nnew_order = 0\n[[limits.override]]\nnetwork = \"::/0\"\nnew_order = { burst = 2 }\n",
                "limits.override of ::/0: new_order: it is off elsewhere",
            ),
        ] {
            let error = error(text);
            assert!(error.contains(expected), "{text}: {error}");
        }
    }
}
