//! `/live?on=PATTERN&on=…`: tells a page that something it shows has changed, never what.
//!
//! A page re-reads its own parts then. Many events become one notice per [`GATHER`], so that a master
//! with a thousand events per second costs a browser, and its network, next to nothing.

use super::{KEEP_ALIVE, MAX_TOPICS};
use crate::auth::Visitor;
use crate::router::App;
use crate::serve::Closing;
use axum::Extension;
use axum::extract::{RawQuery, State};
use axum::http::StatusCode;
use axum::response::sse::{Event as SseEvent, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures::{StreamExt, stream};
use lunabot_data::Subscription;
use lunabot_model::{Clock, Pattern};
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

/// Events within this time become one notice.
const GATHER: Duration = Duration::from_millis(400);

pub async fn live(
    State(app): State<Arc<App>>,
    RawQuery(query): RawQuery,
    closing: Option<Extension<Closing>>,
    Visitor(user): Visitor,
) -> Response {
    let query = query.unwrap_or_default();
    let asked = form_urlencoded::parse(query.as_bytes()).filter(|(name, _)| name == "on");
    let topics: Vec<String> = asked.take(MAX_TOPICS).map(|(_, topic)| topic.into_owned()).collect();
    for topic in &topics {
        if let Err(why) = super::may_hear(&app, &user, topic).await {
            return (StatusCode::FORBIDDEN, why).into_response();
        }
    }
    let patterns = topics.iter().map(|topic| Pattern::parse(topic)).collect();
    let subscription = app.www.data.bus().subscribe(patterns);
    let first = stream::once(async { SseEvent::default().event("ready").data("1") });
    let notices = stream::unfold((subscription, app.www.clock.clone()), notice);
    let closing = closing.map(|c| c.0.0).unwrap_or_default();
    let all = first.chain(notices).map(Ok::<_, Infallible>).take_until(closing.cancelled_owned());
    Sse::new(all).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)).into_response()
}

type Listening = (Subscription, Arc<dyn Clock>);

/// Waits for a first event, then for the others that follow it closely.
async fn notice((mut subscription, clock): Listening) -> Option<(SseEvent, Listening)> {
    subscription.next().await?;
    let end = clock.sleep(GATHER);
    tokio::pin!(end);
    loop {
        tokio::select! {
            () = &mut end => break,
            more = subscription.next() => if more.is_none() { break },
        }
    }
    Some((SseEvent::default().event("touch").data("1"), (subscription, clock)))
}
