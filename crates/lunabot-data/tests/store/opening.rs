//! A store that was just opened.

use crate::support::Place;

#[tokio::test]
async fn nothing_queued_is_nothing_to_wait_for() {
    let place = Place::sqlite();
    drop(place.open().await);
    let data = place.open().await;
    let flushed = tokio::time::timeout(std::time::Duration::from_secs(20), data.flush()).await;
    assert!(matches!(flushed, Ok(Ok(()))), "{flushed:?}");
}
