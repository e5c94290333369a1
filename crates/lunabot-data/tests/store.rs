//! The data API through its own door: every story on SQLite and on PostgreSQL.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod support;
mod store {
    pub mod builds;
    pub mod changes;
    pub mod codebases;
    pub mod configured;
    pub mod crashes;
    pub mod faults;
    pub mod logs;
    mod opening;
    pub mod outbox;
    pub mod paths;
    pub mod queries;
    pub mod state;
    pub mod tidy;
}

use support::{Place, postgres};

/// Each story is a test on SQLite; one more test tells all of them on one PostgreSQL server.
macro_rules! stories {
    ($($module:ident::$story:ident),* $(,)?) => {
        mod sqlite {
            $(#[test]
            fn $story() {
                super::tell(super::store::$module::$story, super::Place::sqlite());
            })*
        }

        #[test]
        fn row_14_020_every_story_on_postgresql() {
            let runtime = tokio::runtime::Runtime::new().unwrap();
            let server = runtime.block_on(postgres::Server::start());
            $(
                let place = runtime.block_on(server.place(stringify!($story)));
                eprintln!("{}", stringify!($story));
                tell(store::$module::$story, place);
            )*
        }
    };
}

/// Tells a story on a runtime of its own, whose end is the end of all tasks.
fn tell<F: Future<Output = ()>>(story: impl FnOnce(Place) -> F, place: Place) {
    tokio::runtime::Runtime::new().unwrap().block_on(story(place));
}

stories! {
    builds::an_update_without_effect_does_not_wait,
    builds::row_07_006_a_request_is_not_given_up_for_itself_nor_for_one_that_is_complete,
    builds::rows_07_001_14_003_to_14_009_14_032_a_build_is_stored_and_read_back,
    builds::rows_05_006_07_025_requests_come_back_and_end_their_set,
    builds::a_request_has_properties_and_limits_of_its_own,
    builds::row_07_001_the_collapser_comes_before_the_announcement,
    changes::rows_02_001_14_010_to_14_012_changes_have_parents_and_share_stamps,
    changes::row_14_010_texts_with_a_nul_are_stored,
    changes::properties_of_changes_are_plain_values,
    changes::a_build_shows_what_is_new_in_it,
    codebases::rows_09_016_to_09_018_09_043_09_094_commits_have_parents_and_branches_move,
    codebases::row_09_043_test_results_of_a_range_of_commits,
    configured::rows_14_001_14_002_14_013_what_is_configured_can_be_read,
    configured::row_14_014_workers_come_and_go,
    crashes::rows_14_006_14_033_what_a_killed_master_left_is_put_right,
    crashes::whatever_was_acknowledged_is_there,
    logs::row_13_012_a_complete_log_is_put_together,
    logs::rows_13_013_13_021_lines_are_read_by_range,
    logs::rows_13_009_13_010_13_013_many_small_and_some_large_appends_come_back_whole,
    outbox::rows_11_002_11_006_what_happened_waits_until_it_is_reported,
    outbox::what_ended_between_two_processes_is_reported,
    outbox::row_11_008_no_end_is_told_without_its_beginning,
    outbox::row_11_015_requests_that_nobody_builds_are_reported,
    paths::every_path_and_every_field_can_be_asked,
    paths::errors_have_their_texts,
    paths::every_statement_can_be_prepared,
    queries::builds_are_filtered_ordered_and_counted,
    queries::lists_tags_and_texts_are_searched,
    state::rows_14_013_14_017_14_028_state_and_verdicts_survive,
    tidy::row_14_030_builds_go_with_all_that_is_theirs_and_numbers_go_on,
    tidy::row_14_024_only_the_newest_changes_stay,
    tidy::row_14_025_old_logs_lose_their_text_and_keep_their_row,
    tidy::the_first_rule_that_fits_counts,
    tidy::the_size_is_told_by_table_builder_and_age,
}
