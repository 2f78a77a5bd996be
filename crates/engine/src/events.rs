//! What accounts and authorizations went through: one structured event each,
//! written after the commit that made it true.

use std::net::IpAddr;

use assay_jws::Thumbprint;

use crate::{
    Engine, Request,
    ids::{AccountId, AuthorizationId, OrderId},
};

/// The target of log events that must not be lost among the lines of requests:
/// each stands for a durable change, so that no request causes one for free.
/// Logs keep them in a queue of their own.
pub const TARGET: &str = "assay_engine::event";

/// What became of an account or an authorization.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// newAccount made the account.
    AccountCreated {
        /// The RFC 7638 thumbprint of its key.
        thumbprint: Thumbprint,
    },
    /// Its contacts were replaced. How many there are, not what they are:
    /// addresses are personal data.
    AccountChanged {
        /// The number of contacts before.
        contacts_before: usize,
        /// The number of contacts now.
        contacts: usize,
    },
    /// keyChange gave it another key (RFC 8555 section 7.3.5).
    AccountKeyChanged {
        /// The thumbprint of the key before.
        old: Thumbprint,
        /// The thumbprint of the key now.
        new: Thumbprint,
    },
    /// Its holder deactivated it, and the open orders ended with it.
    AccountDeactivated {
        /// How many orders that were.
        orders_ended: usize,
    },
    /// An authorization was deactivated (RFC 8555 section 7.5.2).
    AuthorizationDeactivated {
        /// Which one.
        authorization: AuthorizationId,
        /// The order that it belongs to.
        order: OrderId,
        /// Whether the order ended with it.
        order_ended: bool,
    },
}

/// Something that happened to an account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// The account.
    pub account: AccountId,
    /// The address of the client that caused it.
    pub client: Option<IpAddr>,
    /// What happened.
    pub what: What,
}

impl Engine {
    /// Reports what a commit has made true. The one place where adapters for
    /// such events belong.
    pub(crate) fn happened(&self, request: &Request, account: AccountId, what: What) {
        let client = request.client;
        let event = Event {
            account,
            client,
            what,
        };
        // Anybody can make accounts: their lines have a rate, as those of
        // refusals have, and the log counts what is beyond it.
        if !matches!(event.what, What::AccountCreated { .. })
            || self.request_log.account_created(client)
        {
            log(&event);
        }
    }
}

fn log(event: &Event) {
    let Event {
        account, client, ..
    } = event;
    let client = client.map(tracing::field::display);
    match &event.what {
        // Not under TARGET: a flood can cause it.
        What::AccountCreated { thumbprint } => tracing::info!(
            event = "account_created",
            %account,
            client,
            thumbprint = %thumbprint,
            "account created"
        ),
        What::AccountChanged {
            contacts_before,
            contacts,
        } => tracing::info!(
            target: TARGET,
            event = "account_changed",
            %account,
            client,
            contacts_before,
            contacts,
            "contacts of an account replaced"
        ),
        What::AccountKeyChanged { old, new } => tracing::info!(
            target: TARGET,
            event = "account_key_changed",
            %account,
            client,
            old_thumbprint = %old,
            new_thumbprint = %new,
            "account has another key"
        ),
        What::AccountDeactivated { orders_ended } => tracing::info!(
            target: TARGET,
            event = "account_deactivated",
            %account,
            client,
            orders_ended,
            "account deactivated"
        ),
        What::AuthorizationDeactivated {
            authorization,
            order,
            order_ended,
        } => tracing::info!(
            target: TARGET,
            event = "authorization_deactivated",
            %account,
            client,
            %authorization,
            %order,
            order_ended,
            "authorization deactivated"
        ),
    }
}
