use assay_proto::{AccountUpdate, Contact, NewAccount, Timestamp};

use super::end::end_order;
use crate::{
    AccountContext, Engine, Error, KeyContext,
    attempts::Attempts,
    directories::Directory,
    domain::{Account, AccountState, Failure, Origin},
    events::Event,
    ids::AccountId,
    ports::{Change, Direction, OrderList, Versioned},
};

/// Provisional accounts per read.
const PAGE: usize = 1000;
/// The most orders deleted together with a provisional account. Clients can no
/// longer reach the rest; they are removed when newer orders for their
/// identifiers arrive.
const ORDERS_WITH_ACCOUNT: usize = 8;

impl Engine {
    /// newAccount: creates the key's account or finds it. Returns `true` if it
    /// was created.
    ///
    /// # Errors
    /// [`Error::AccountDoesNotExist`], [`Error::AccountDeactivated`],
    /// [`Error::TermsNotAgreed`], [`Error::Contact`], [`Error::NoSpace`],
    /// [`Error::Crowded`]; faults.
    pub async fn new_account(
        &self,
        context: &KeyContext,
        asked: &NewAccount,
    ) -> Result<(Account, bool), Error> {
        let directory = self.directory(&context.request.directory)?;
        let key = &context.by;
        let mut attempts = self.attempts(&context.request);
        loop {
            // RFC 8555 section 7.3.1: "If the server receives a newAccount
            // request signed with a key for which it already has an account
            // registered with the provided account key, then it MUST return a
            // response with status code 200 (OK)".
            let known = (self.store).account_by_key(directory.name(), *key.thumbprint());
            if let Some(account) = known.await? {
                return match account.value.state {
                    AccountState::Deactivated { .. } => Err(Error::AccountDeactivated),
                    AccountState::Valid => Ok((account.value, false)),
                };
            }
            let account = self.provisional_account(directory, context, asked)?;
            if self.insert_account(&mut attempts, &account).await? {
                self.report(&Event::AccountCreated {
                    request: &context.request,
                    account: account.id,
                    thumbprint: key.thumbprint(),
                    at: account.created,
                });
                return Ok((account, true));
            }
        }
    }

    /// Inserts a provisional account; if there are too many, others are
    /// displaced in the same commit. Returns `false` on a conflict with another
    /// commit.
    async fn insert_account(
        &self,
        attempts: &mut Attempts<'_>,
        account: &Account,
    ) -> Result<bool, Error> {
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
        let made = attempts.commit("new-account", now, changes).await;
        match &made {
            Ok(true) => self.displaced_accounts.add_displaced(&reservation.made()),
            Ok(false) | Err(Error::Contention) => reservation.refused(),
            // It is unknown whether the account was created.
            Err(_) => {}
        }
        made
    }

    /// Builds the requested account.
    fn provisional_account(
        &self,
        directory: &Directory,
        context: &KeyContext,
        asked: &NewAccount,
    ) -> Result<Account, Error> {
        if asked.only_return_existing {
            return Err(Error::AccountDoesNotExist("key"));
        }
        if self.is_space_low() {
            return Err(Error::NoSpace);
        }
        let now = self.now();
        let contacts = Contact::parse_all(asked.contact.as_deref().unwrap_or_default())?;
        let terms_agreed = match (directory.terms_of_service(), asked.terms_of_service_agreed) {
            (Some(terms), false) => {
                return Err(Error::TermsNotAgreed {
                    terms: terms.to_owned(),
                });
            }
            (_, agreed) => agreed.then_some(now),
        };
        Ok(Account {
            id: AccountId::draw(self.random.as_ref()),
            directory: directory.name(),
            key: context.by.clone(),
            contacts,
            terms_agreed,
            created: now,
            established: None,
            origin: context.request.client.map(Origin::of),
            state: AccountState::Valid,
        })
    }

    /// Returns the number of provisional accounts, without those of exempt
    /// networks. The first call reads them from the store.
    ///
    /// # Errors
    /// When the store fails.
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

    /// Returns the changes that delete a provisional account and some of its
    /// orders; none if it is gone or established by now.
    async fn removal_of_account(&self, id: AccountId) -> Result<Vec<Change>, Error> {
        let mut changes = Vec::new();
        let Some(account) = self.store.account(id).await? else {
            return Ok(changes);
        };
        if account.value.established.is_some() {
            return Ok(changes);
        }
        changes.push(Change::DeleteAccount(id, account.version));
        let orders = self.store.orders(
            OrderList::OfAccount(id),
            None,
            Direction::Newer,
            ORDERS_WITH_ACCOUNT,
        );
        for cursor in orders.await? {
            match self.store.order(cursor.id).await? {
                Some(order) if !order.value.is_proven() => {
                    changes.extend(self.removal_of_order(order).await?);
                }
                _ => {}
            }
        }
        Ok(changes)
    }

    /// A POST to an account: updates its contacts, or deactivates it.
    ///
    /// # Errors
    /// [`Error::Contact`], [`Error::NoSpace`] for contacts; faults.
    pub async fn update_account(
        &self,
        context: &AccountContext,
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
            return Ok(context.by.value.clone());
        }
        // Deactivation is allowed without free space; contact updates could
        // fill the disk.
        if !deactivate && self.is_space_low() {
            return Err(Error::NoSpace);
        }
        let id = context.account();
        let mut attempts = self.attempts(&context.request);
        loop {
            let Versioned { value, version } = match attempts.conflict() {
                None => context.by.clone(),
                Some(_) => self.usable_account(id).await?,
            };
            let now = self.now();
            let (mut contacts_before, mut orders_ended) = (None, None);
            let mut changes = Vec::new();
            let mut changed = value;
            if let Some(contacts) = &contacts {
                contacts_before = Some(changed.contacts.len());
                changed.contacts.clone_from(contacts);
            }
            if deactivate {
                changed = changed.deactivate(now);
                let cancelled = self.cancel_open_orders(id, now).await?;
                (changes, orders_ended) = (cancelled.0, Some(cancelled.1));
            }
            changes.push(Change::UpdateAccount(changed.clone(), version));
            if attempts.commit("update-account", now, changes).await? {
                let (request, account, at) = (&context.request, id, now);
                if let (Some(contacts_before), Some(contacts)) = (contacts_before, &contacts) {
                    self.report(&Event::AccountChanged {
                        request,
                        account,
                        contacts_before,
                        contacts: contacts.len(),
                        at,
                    });
                }
                if let Some(orders_ended) = orders_ended {
                    self.report(&Event::AccountDeactivated {
                        request,
                        account,
                        orders_ended,
                        at,
                    });
                }
                return Ok(changed);
            }
        }
    }

    /// RFC 8555 section 7.3.6: "The server SHOULD cancel any pending operations
    /// authorized by the account's key, such as certificate orders." An order
    /// whose certificate is being signed completes. An order created at the
    /// same time may remain, but every request for it is refused.
    ///
    /// Returns the number of orders that end.
    async fn cancel_open_orders(
        &self,
        account: AccountId,
        now: Timestamp,
    ) -> Result<(Vec<Change>, usize), Error> {
        let (mut changes, mut ended) = (Vec::new(), 0);
        for id in self.store.open_orders(account, now, usize::MAX).await? {
            // Its state may have changed since it was listed.
            let order = self.store.order(id).await?;
            let Some(order) = order.filter(|order| order.value.is_open(now)) else {
                continue;
            };
            let detail = "the client deactivated the account".to_owned();
            let failure = Failure::deactivated("account", detail, now);
            changes.extend(end_order(&*self.store, order, failure, &[]).await?.changes);
            ended += 1;
        }
        Ok((changes, ended))
    }

    pub(crate) async fn usable_account(&self, id: AccountId) -> Result<Versioned<Account>, Error> {
        match self.store.account(id).await? {
            Some(account) if account.value.state == AccountState::Valid => Ok(account),
            Some(_) => Err(Error::AccountDeactivated),
            None => Err(Error::AccountDoesNotExist("kid")),
        }
    }
}
