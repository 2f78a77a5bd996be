//! The settings of the rate limits.

use std::num::NonZeroU32;

use ipnet::IpNet;

/// The rate limits, and the networks with other limits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RateLimits {
    /// The rates of one address; wider networks have multiples of them.
    pub rates: Rates,
    /// Other rates for certain networks. If several networks hold an address
    /// and name a rate, the smallest one decides.
    pub overrides: Vec<Override>,
    /// Networks without limits.
    pub exempt: Vec<IpNet>,
    /// Whether requests over a limit are only logged, not refused.
    pub dry_run: bool,
    /// The URL of a page for refused clients; `None` is the server's own page.
    pub help: Option<String>,
}

/// The rate of each kind of request for one address. `None` is no limit.
///
/// With the defaults a fleet of 1,000 devices behind one address can enrol at
/// once, and then two more a second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rates {
    /// Account changes and keyChange: each is a durable write.
    pub change_account: Option<Rate>,
    /// Requests that fail before the sender is authenticated.
    pub failed: Option<Rate>,
    /// newAccount: each success is a durable write.
    pub new_account: Option<Rate>,
    /// newNonce.
    pub new_nonce: Option<Rate>,
    /// newOrder: each success is a durable write, and an account costs nothing.
    pub new_order: Option<Rate>,
}

/// Other rates for the addresses of one network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Override {
    /// The network.
    pub network: IpNet,
    /// Its rates, each for one of its addresses. A limit that is not listed is
    /// unchanged; `None` is no limit.
    pub rates: Vec<(Limit, Option<Rate>)>,
}

/// A token bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// Tokens a second in the long run.
    pub per_second: NonZeroU32,
    /// The size of the bucket.
    pub burst: NonZeroU32,
}

/// The kinds of requests that have a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// Account changes and keyChange.
    ChangeAccount,
    /// Requests that fail.
    Failed,
    /// newAccount.
    NewAccount,
    /// newNonce.
    NewNonce,
    /// newOrder.
    NewOrder,
}

impl Limit {
    /// All limits.
    pub const ALL: [Self; 5] = [
        Self::ChangeAccount,
        Self::Failed,
        Self::NewAccount,
        Self::NewNonce,
        Self::NewOrder,
    ];

    /// The name in the configuration and the log.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ChangeAccount => "change_account",
            Self::Failed => "failed",
            Self::NewAccount => "new_account",
            Self::NewNonce => "new_nonce",
            Self::NewOrder => "new_order",
        }
    }

    /// The plural noun for a client's error message.
    pub(crate) const fn noun(self) -> &'static str {
        match self {
            Self::ChangeAccount => "account changes",
            Self::Failed => "failed requests",
            Self::NewAccount => "newAccount requests",
            Self::NewNonce => "newNonce requests",
            Self::NewOrder => "newOrder requests",
        }
    }
}

impl RateLimits {
    /// Returns settings without any limit, for tests and load generators.
    #[must_use]
    pub const fn off() -> Self {
        Self::of(Rates::OFF)
    }

    /// Returns settings with these rates for every address.
    #[must_use]
    pub const fn of(rates: Rates) -> Self {
        Self {
            rates,
            overrides: Vec::new(),
            exempt: Vec::new(),
            dry_run: false,
            help: None,
        }
    }
}

impl Default for RateLimits {
    fn default() -> Self {
        Self::of(Rates::default())
    }
}

impl Rates {
    /// No limits.
    pub const OFF: Self = Self {
        change_account: None,
        failed: None,
        new_account: None,
        new_nonce: None,
        new_order: None,
    };

    /// Returns the rate of a limit.
    #[must_use]
    pub const fn get(&self, limit: Limit) -> Option<Rate> {
        match limit {
            Limit::ChangeAccount => self.change_account,
            Limit::Failed => self.failed,
            Limit::NewAccount => self.new_account,
            Limit::NewNonce => self.new_nonce,
            Limit::NewOrder => self.new_order,
        }
    }

    /// Sets the rate of a limit.
    pub const fn set(&mut self, limit: Limit, rate: Option<Rate>) {
        match limit {
            Limit::ChangeAccount => self.change_account = rate,
            Limit::Failed => self.failed = rate,
            Limit::NewAccount => self.new_account = rate,
            Limit::NewNonce => self.new_nonce = rate,
            Limit::NewOrder => self.new_order = rate,
        }
    }
}

impl Default for Rates {
    fn default() -> Self {
        let rate = |per_second, burst| {
            let per_second = NonZeroU32::new(per_second)?;
            NonZeroU32::new(burst).map(|burst| Rate { per_second, burst })
        };
        Self {
            change_account: rate(2, 1_000),
            failed: rate(10, 1_000),
            new_account: rate(2, 1_000),
            new_nonce: rate(20, 3_000),
            new_order: rate(2, 2_000),
        }
    }
}
