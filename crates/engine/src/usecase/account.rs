use assay_jws::PublicKey;
use assay_proto::{AccountUpdate, Contact, NewAccount, OrderStatus, Timestamp};

use crate::{
    Context, Engine, Error,
    domain::{Account, AccountState, Failure},
    engine::ATTEMPTS,
    events::What,
    ids::AccountId,
    ports::{Change, CommitError, Versioned},
};

/// How long an account may be without an order, in seconds.
const IDLE_LIFETIME: u64 = 86_400;
/// Accounts that are forgotten in one commit.
const BATCH: usize = 256;

impl Engine {
    /// newAccount: makes the key's account, or finds it. `true` when it was
    /// made now.
    ///
    /// # Errors
    /// [`Error::AccountDoesNotExist`], [`Error::AccountDeactivated`],
    /// [`Error::TermsNotAgreed`], [`Error::Contact`], faults.
    pub async fn new_account(
        &self,
        context: &Context,
        key: PublicKey,
        request: &NewAccount,
    ) -> Result<(Account, bool), Error> {
        for _ in 0..ATTEMPTS {
            // RFC 8555 section 7.3.1: "If the server receives a newAccount
            // request signed with a key for which it already has an account
            // registered with the provided account key, then it MUST return a
            // response with status code 200 (OK)".
            if let Some(account) = self.store.account_by_key(*key.thumbprint()).await? {
                return match account.value.state {
                    AccountState::Deactivated { .. } => Err(Error::AccountDeactivated),
                    AccountState::Valid => Ok((account.value, false)),
                };
            }
            if request.only_return_existing {
                return Err(Error::AccountDoesNotExist("key"));
            }
            let now = self.now();
            let contacts = Contact::parse_all(request.contact.as_deref().unwrap_or_default())?;
            let terms_agreed = match (&self.terms_of_service, request.terms_of_service_agreed) {
                (Some(terms), false) => {
                    return Err(Error::TermsNotAgreed {
                        terms: terms.clone(),
                    });
                }
                (_, agreed) => agreed.then_some(now),
            };
            let account = Account {
                id: AccountId::draw(self.random.as_ref()),
                key: key.clone(),
                contacts,
                terms_agreed,
                created: now,
                first_order: None,
                state: AccountState::Valid,
            };
            let insert = Change::InsertAccount(account.clone());
            match self.commit(context, "new-account", now, vec![insert]).await {
                Ok(_) => {
                    let thumbprint = *key.thumbprint();
                    self.happened(context, account.id, What::AccountCreated { thumbprint });
                    return Ok((account, true));
                }
                Err(CommitError::Conflict(_)) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(Error::Contention)
    }

    /// A POST to an account: changes its contacts, or deactivates it.
    ///
    /// # Errors
    /// [`Error::Contact`], faults.
    pub async fn update_account(
        &self,
        context: &Context,
        account: Versioned<Account>,
        update: &AccountUpdate,
    ) -> Result<Account, Error> {
        // RFC 8555 section 7.3.2: "The server MUST ignore any updates to the
        // "orders" field, "termsOfServiceAgreed" field (see Section 7.3.3), the
        // "status" field (except as allowed by Section 7.3.6), or any other
        // fields it does not recognize."
        let deactivate = update.status.as_deref() == Some("deactivated");
        let contacts = update
            .contact
            .as_deref()
            .map(Contact::parse_all)
            .transpose()?;
        if !deactivate && contacts.is_none() {
            return Ok(account.value);
        }
        let id = account.value.id;
        let mut current = account;
        for _ in 0..ATTEMPTS {
            let now = self.now();
            let contacts_before = current.value.contacts.len();
            let mut changed = current.value;
            if let Some(contacts) = &contacts {
                changed.contacts.clone_from(contacts);
            }
            let mut changes = Vec::new();
            if deactivate {
                changed = changed.deactivate(now);
                changes = self.cancel_open_orders(id, now).await?;
            }
            let orders_ended = changes.len();
            changes.push(Change::UpdateAccount(changed.clone(), current.version));
            match self.commit(context, "update-account", now, changes).await {
                Ok(_) => {
                    if let Some(contacts) = &contacts {
                        let contacts = contacts.len();
                        let what = What::AccountChanged {
                            contacts_before,
                            contacts,
                        };
                        self.happened(context, id, what);
                    }
                    if deactivate {
                        let what = What::AccountDeactivated { orders_ended };
                        self.happened(context, id, what);
                    }
                    return Ok(changed);
                }
                Err(CommitError::Conflict(_)) => current = self.usable_account(id).await?,
                Err(error) => return Err(error.into()),
            }
        }
        Err(Error::Contention)
    }

    /// RFC 8555 section 7.3.6: "The server SHOULD cancel any pending operations
    /// authorized by the account's key, such as certificate orders." An order
    /// whose certificate is being signed comes to its end, and one that is made
    /// at this very moment stays behind: every request for it is refused.
    async fn cancel_open_orders(
        &self,
        account: AccountId,
        now: Timestamp,
    ) -> Result<Vec<Change>, Error> {
        let mut changes = Vec::new();
        for id in self.store.open_orders(account, now, usize::MAX).await? {
            let Some(Versioned { value, version }) = self.store.order(id).await? else {
                continue;
            };
            // It may have gone on since it was listed.
            if matches!(value.status(now), OrderStatus::Pending | OrderStatus::Ready) {
                let detail = "the client deactivated the account".to_owned();
                let failure = Failure::deactivated("account", detail, now);
                changes.push(Change::UpdateOrder(value.fail(failure), version));
            }
        }
        Ok(changes)
    }

    /// Forgets accounts that were made more than a day ago and never ordered:
    /// anybody can make one. Returns how many.
    ///
    /// # Errors
    /// [`Error::Clock`] while the clock is in doubt, faults of the store.
    pub async fn forget_idle_accounts(&self) -> Result<usize, Error> {
        let clock = self.read_clock();
        clock.settled()?;
        let before = clock.now.minus(IDLE_LIFETIME);
        let mut forgotten = 0;
        loop {
            let idle = self.store.accounts_without_orders(before, BATCH).await?;
            if idle.is_empty() {
                return Ok(forgotten);
            }
            let count = idle.len();
            let changes = idle
                .into_iter()
                .map(|account| Change::DeleteAccount(account.value.id, account.version))
                .collect();
            let context = Context::default();
            match self
                .commit(&context, "forget-accounts", self.now(), changes)
                .await
            {
                Ok(_) => forgotten += count,
                // One of them has just ordered: look again.
                Err(CommitError::Conflict(_)) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    pub(crate) async fn usable_account(&self, id: AccountId) -> Result<Versioned<Account>, Error> {
        match self.store.account(id).await? {
            Some(account) if account.value.state == AccountState::Valid => Ok(account),
            Some(_) => Err(Error::AccountDeactivated),
            None => Err(Error::AccountDoesNotExist("kid")),
        }
    }
}
