//! The contract of the registry, as a suite that runs against any of its implementations.
//!
//! Each case makes a model of its own, so a table may be shared and kept. [`contract_tests`](crate::contract_tests) makes
//! one test of each case.
//!
//! ```ignore
//! seatrial_registry::contract_tests!(async { MemoryRegistry::default() });
//! ```
#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a suite of tests")]
#![expect(missing_docs, reason = "the names of the cases say what they are")]

pub mod adopting;
pub mod approvals;
pub mod operational;
pub mod races;
pub mod records;
pub mod retention;
mod scenario;
pub mod sessions;
pub mod targets;
pub mod unattended;

pub use scenario::{Full, Run, Scenario, Ticks, ann, policy};

/// One test of each case of the contract, with the registry that `$make`, a future, comes to.
#[macro_export]
macro_rules! contract_tests {
    ($make:expr) => {
        $crate::contract_tests!(@module records, $make,
            records_come_back_as_written
            histories_come_in_pages_and_verify
            the_same_digest_twice_is_one_version
            everything_done_twice_has_the_effect_of_once
            a_change_is_committed_once_and_from_the_present_head_only
            a_new_model_begins_once
            an_unusable_policy_or_an_unknown_model_changes_nothing
            what_later_evidence_is_made_of_is_recorded_once
            a_repeated_rollback_is_not_a_second_one
            a_rollback_ends_what_runs_and_then_takes_the_champion_back
            whoever_has_no_rights_on_gates_rolls_back_and_leaves_the_gate_to_be_closed
        );
        $crate::contract_tests!(@module approvals, $make,
            shift_and_crown_without_a_decision_are_refused
            an_approval_of_other_digests_is_refused
            an_approval_of_another_epoch_is_refused
            nobody_becomes_champion_but_the_challenger_and_the_standby
            a_closed_gate_is_final
            a_link_decides_once_as_its_own_person
            a_revoked_or_expired_link_decides_nothing
            a_link_that_was_taken_back_decides_nothing_and_a_new_one_does
            who_may_decide_is_read_at_the_moment
            gates_are_listed_by_status
        );
        $crate::contract_tests!(@module adopting, $make,
            an_adopted_version_is_champion_and_a_promotion_runs_against_it
            a_repeated_adoption_is_the_same_one
            what_has_a_champion_or_runs_adopts_nothing
            an_adoption_of_anothers_making_is_refused
            ten_adoptions_at_once_are_one
        );
        $crate::contract_tests!(@module unattended, $make,
            an_approval_comes_by_itself_after_its_window_and_its_reminder
            a_blocked_gate_waits_for_people
            an_automatic_or_emergency_decision_of_anothers_making_is_refused
            only_whom_the_policy_names_skips_a_stage_and_it_stays_marked
            a_promotion_that_skips_from_its_start_needs_the_right_too
            an_orphaned_gate_keeps_its_decision
            settings_are_the_owners
            an_attempts_end_is_told_without_counting_one
        );
        $crate::contract_tests!(@module races, $make,
            twenty_crowns_make_one_champion
            a_rollback_against_a_crown_in_flight
            a_rollback_against_a_shift_in_flight_and_a_canary_that_goes_on
            ten_ends_of_a_promotion_are_one
            approval_and_rejection_at_once_are_one_decision
            a_link_opened_in_two_windows_decides_once
            two_promotions_at_once_and_one_holds_the_model
            ten_that_wait_at_once_stand_in_one_line_and_start_in_its_order
            whoever_was_taken_out_of_the_line_neither_joins_it_again_nor_takes_the_model
            a_withdrawal_against_a_start_out_of_the_line
            a_line_of_anothers_making_is_refused
            uploads_of_the_same_bytes_at_once_are_one_version
            twenty_writers_make_one_chain
        );
        $crate::contract_tests!(@module operational, $make,
            a_token_is_replaced_and_only_the_answered_one_is_forgotten
            tallies_count_once_and_come_by_the_second
            a_watermark_never_goes_back
            an_attempt_leaves_its_mark
            a_capability_is_never_made_fresh_again
            the_first_announcement_of_a_submission_stays
        );
        $crate::contract_tests!(@module retention, $make,
            a_version_is_collected_when_the_plan_says_so_and_not_before
            nothing_uses_a_collected_version_and_its_bytes_come_again_as_another
            a_standby_is_kept_ready_for_its_window_and_retired_by_the_policy_after_its_time
            a_collection_of_anothers_making_is_refused
            ten_collections_at_once_are_one
        );
        $crate::contract_tests!(@module targets, $make,
            one_at_a_time_drives_a_target_and_whoever_died_is_followed
            what_was_seen_is_kept_by_whoever_drives_and_by_nobody_else
            whoever_has_no_name_of_its_own_there_begins_nothing
        );
        $crate::contract_tests!(@module sessions, $make,
            a_session_ends_by_itself_and_is_never_made_longer
            a_logout_ends_one_session_and_no_other
        );
    };
    (@module $module:ident, $make:expr, $($case:ident)*) => {
        mod $module {
            #[allow(unused_imports)]
            use super::*;
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
                async fn $case() {
                    $crate::contract::$module::$case(&$make.await).await;
                }
            )*
        }
    };
}
