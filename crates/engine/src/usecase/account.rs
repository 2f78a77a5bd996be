use assay_jws::PublicKey;
use assay_proto::{AccountUpdate, Contact, NewAccount, OrderStatus, Timestamp};

use crate::{
    Context, Engine, Error,
    domain::{Account, AccountState, Failure, Origin},
    engine::ATTEMPTS,
    events::What,
    ids::AccountId,
    ports::{Change, CommitError, Versioned},
};

/// Provisional accounts that are read at once.
const PAGE: usize = 1000;
/// Orders that go with a provisional account at most. Further ones can be
/// reached no more, and go as newer ones come for their identifiers.
const ORDERS_WITH_ACCOUNT: usize = 8;

impl Engine {
    /// newAccount: makes the key's account, or finds it. `true` when it was
    /// made now.
    ///
    /// # Errors
    /// [`Error::AccountDoesNotExist`], [`Error::AccountDeactivated`],
    /// [`Error::TermsNotAgreed`], [`Error::Contact`], [`Error::NoSpace`],
    /// [`Error::Crowded`], faults.
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
            if self.is_space_low() {
                return Err(Error::NoSpace);
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
                established: None,
                origin: context.client.map(Origin::of),
                state: AccountState::Valid,
            };
            match self.insert_account(context, &account).await {
                Ok(()) => {
                    let thumbprint = *key.thumbprint();
                    self.happened(context, account.id, What::AccountCreated { thumbprint });
                    return Ok((account, true));
                }
                Err(Error::Contention) => {}
                Err(error) => return Err(error),
            }
        }
        Err(Error::Contention)
    }

    /// Inserts a provisional account; where there are too many, others give way
    /// in the same commit.
    async fn insert_account(&self, context: &Context, account: &Account) -> Result<(), Error> {
        self.count_provisional_accounts().await?;
        let now = account.created;
        let reservation = self.provisional.reserve(account, now).map_err(|wait| {
            self.displaced_accounts.add_refused();
            let what = "new accounts";
            Error::Crowded { what, wait }
        })?;
        let mut changes = Vec::new();
        for displaced in reservation.displaced() {
            changes.extend(self.removal_of_account(displaced.member.id).await?);
        }
        changes.push(Change::InsertAccount(account.clone()));
        match self.commit(context, "new-account", now, changes).await {
            Ok(_) => {
                self.displaced_accounts.add_displaced(&reservation.made());
                Ok(())
            }
            Err(CommitError::Conflict(_)) => {
                reservation.refused();
                Err(Error::Contention)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// How many provisional accounts there are, but those of exempt networks;
    /// read from the store the first time.
    ///
    /// # Errors
    /// Faults of the store.
    pub async fn count_provisional_accounts(&self) -> Result<usize, Error> {
        if let Some(count) = self.provisional.count() {
            return Ok(count);
        }
        let mut accounts = Vec::new();
        let mut after = None;
        loop {
            let page = self.store.provisional_accounts(after, PAGE).await?;
            let Some(last) = page.last() else { break };
            after = Some(last.cursor);
            accounts.extend(page);
        }
        self.provisional.loaded(accounts);
        Ok(self.provisional.count().unwrap_or_default())
    }

    /// What removes a provisional account, with some of its orders; nothing
    /// where it is gone or established meanwhile.
    async fn removal_of_account(&self, id: AccountId) -> Result<Vec<Change>, Error> {
        let mut changes = Vec::new();
        let Some(account) = self.store.account(id).await? else {
            return Ok(changes);
        };
        if account.value.established.is_some() {
            return Ok(changes);
        }
        changes.push(Change::DeleteAccount(id, account.version));
        let orders = self.store.orders(Some(id), None, ORDERS_WITH_ACCOUNT);
        for cursor in orders.await? {
            match self.store.order(cursor.id).await? {
                Some(order) if !order.value.proven => {
                    changes.extend(self.removal_of_order(order).await?);
                }
                _ => {}
            }
        }
        Ok(changes)
    }

    /// A POST to an account: changes its contacts, or deactivates it.
    ///
    /// # Errors
    /// [`Error::Contact`], [`Error::NoSpace`] for contacts, faults.
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
        // What ends something goes on; contacts can be written without end.
        if !deactivate && self.is_space_low() {
            return Err(Error::NoSpace);
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

    pub(crate) async fn usable_account(&self, id: AccountId) -> Result<Versioned<Account>, Error> {
        match self.store.account(id).await? {
            Some(account) if account.value.state == AccountState::Valid => Ok(account),
            Some(_) => Err(Error::AccountDeactivated),
            None => Err(Error::AccountDoesNotExist("kid")),
        }
    }
}
