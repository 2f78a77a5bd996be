use assay_jws::{Envelope, PublicKey, Signer};
use assay_proto::KeyChange;

use crate::{
    AccountContext, Engine, Error,
    authenticate::Payload,
    domain::Account,
    events::Event,
    ports::{Change, Versioned},
};

impl Engine {
    /// keyChange (RFC 8555 section 7.3.5): replaces the account's key.
    /// `payload` is the outer JWS's, `url` the one that it was signed for.
    ///
    /// # Errors
    /// [`Error::NoSpace`], [`Error::KeyChange`], [`Error::KeyInUse`], envelope and
    /// signature errors of the inner JWS; faults.
    pub async fn change_key(
        &self,
        context: &AccountContext,
        payload: &Payload,
        url: &str,
    ) -> Result<Account, Error> {
        if self.is_space_low() {
            return Err(Error::NoSpace);
        }
        // The RFC's steps, quoted. 2: "Check that the payload of the JWS is a
        // well-formed JWS object", 3: "Check that the JWS protected header of
        // the inner JWS has a "jwk" field."
        let inner = Envelope::parse_inner(payload.bytes())?;
        // 6: "Check that the "url" parameters of the inner and outer JWSs are
        // the same." First, because it is cheap.
        if inner.url() != url {
            return Err(Error::KeyChange(
                "the \"url\" of the inner JWS differs from that of the outer one",
            ));
        }
        let Signer::Jwk(new_key) = inner.signer().clone() else {
            return Err(Error::KeyChange("the inner JWS has no \"jwk\""));
        };
        // 4: "Check that the inner JWS verifies using the key in its "jwk" field."
        let verified = inner.verify(&new_key)?;
        // 5: "Check that the payload of the inner JWS is a well-formed keyChange
        // object".
        let change: KeyChange = Payload::of_inner(verified).read()?;
        // 7: "Check that the "account" field of the keyChange object contains the
        // URL for the account matching the old key".
        let directory = self.directory(&context.by.value.directory)?;
        if directory.urls().account_id(&change.account) != Some(context.account()) {
            return Err(Error::KeyChange(
                "\"account\" is not the URL of this account",
            ));
        }
        // 8: "Check that the "oldKey" field of the keyChange object is the same as
        // the account key for the account in question."
        let old_key = PublicKey::from_jwk(change.old_key.get().as_bytes())
            .map_err(|_| Error::KeyChange("\"oldKey\" is not a key of this account"))?;
        let id = context.account();
        let mut attempts = self.attempts(&context.request);
        loop {
            let Versioned { value, version } = match attempts.conflict() {
                None => context.by.clone(),
                Some(_) => self.usable_account(id).await?,
            };
            let now = self.now();
            if old_key != value.key {
                return Err(Error::KeyChange(
                    "\"oldKey\" is not the key of this account",
                ));
            }
            // 9: "Check that no account exists whose account key is the same as
            // the key in the "jwk" header parameter of the inner JWS." The
            // commit checks again, in case of a concurrent newAccount.
            let holder = (self.store).account_by_key(directory.name(), *new_key.thumbprint());
            if let Some(holder) = holder.await? {
                return Err(Error::KeyInUse(holder.value.id));
            }
            let changed = value.with_key(new_key.clone());
            let change = Change::UpdateAccount(changed.clone(), version);
            if attempts.commit("key-change", now, vec![change]).await? {
                self.report(&Event::AccountKeyChanged {
                    request: &context.request,
                    account: id,
                    old: old_key.thumbprint(),
                    new: new_key.thumbprint(),
                    at: now,
                });
                return Ok(changed);
            }
        }
    }
}
