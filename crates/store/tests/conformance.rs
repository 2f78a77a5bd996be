//! What the engine relies on, tested with every store.

#![allow(clippy::unwrap_used, reason = "a test ends with a panic")]

mod common;

#[path = "conformance/challenges.rs"]
mod challenges;
#[path = "conformance/indexes.rs"]
mod indexes;
#[path = "conformance/records.rs"]
mod records;
#[path = "conformance/versions.rs"]
mod versions;

/// Runs each test on each store.
macro_rules! on_every_store {
    ($($module:ident::$test:ident,)*) => {
        mod memory {
            $(#[tokio::test]
            async fn $test() {
                super::$module::$test(std::sync::Arc::new(assay_store::MemoryStore::new())).await;
            })*
        }

        mod ledger {
            $(#[tokio::test]
            async fn $test() {
                let dir = tempfile::tempdir().unwrap();
                let store = assay_store::LedgerStore::create(dir.path(), false).unwrap();
                super::$module::$test(std::sync::Arc::new(store)).await;
            })*
        }
    };
}

on_every_store! {
    challenges::an_authorization_of_two_comes_back_in_each_state,
    challenges::each_challenge_is_found_by_its_name,
    challenges::validations_are_listed_by_their_next_attempt,
    challenges::what_is_decided_is_no_validation_any_more,
    indexes::a_deleted_order_leaves_nothing,
    indexes::a_lease_is_found_by_its_work,
    indexes::a_processing_order_is_open_too,
    indexes::identifiers_are_told_apart_by_type,
    indexes::lists_follow_the_states_of_orders,
    indexes::open_orders_are_limited_within_the_commit,
    indexes::open_orders_end_with_their_expiry,
    indexes::open_orders_of_all_accounts_come_in_pages,
    indexes::orders_come_in_pages_in_both_directions,
    indexes::orders_of_a_device_are_found_by_each_of_its_names,
    indexes::pending_orders_are_limited_within_the_commit,
    indexes::provisional_accounts_are_listed_until_they_are_established,
    indexes::server_intents_are_listed_until_deleted,
    indexes::unproven_orders_are_listed_by_identifier,
    records::an_order_grows_and_shrinks_through_every_size,
    records::every_account_comes_back,
    records::every_authorization_comes_back,
    records::every_certificate_comes_back,
    records::every_order_comes_back,
    records::names_of_directories_and_profiles_come_back,
    records::long_texts_of_a_failure_are_cut,
    records::notes_are_bounded_in_number_and_length,
    records::notes_come_back_and_go_with_their_order,
    records::the_largest_records_fit,
    records::too_large_a_record_changes_nothing,
    versions::a_key_change_frees_the_old_key,
    versions::a_key_has_an_account_in_each_directory,
    versions::a_record_changes_once_in_a_set,
    versions::a_stale_version_changes_nothing_of_the_set,
    versions::an_insert_of_what_is_there_conflicts,
    versions::an_update_of_what_is_not_there_conflicts,
    versions::latest_time_never_falls,
    versions::latest_time_falls_when_it_is_reset,
    versions::scenario_62_of_twenty_parallel_finalizes_one_wins,
    versions::twenty_parallel_new_accounts_with_one_key_make_one,
}
