//! `/sse/listen[/path]`, `/sse/add/UUID/path`, `/sse/remove/UUID/path`.
//!
//! Query arguments filter: `?builderid=2` passes events whose message has that value in that field. A listener that
//! does not keep up loses events and gets `event: lagged` with their number; it should read the data again.

use super::{KEEP_ALIVE, MAX_TOPICS};
use crate::auth::Visitor;
use crate::router::App;
use crate::serve::Closing;
use axum::Extension;
use axum::extract::{Path, RawQuery, State};
use axum::http::StatusCode;
use axum::response::sse::{Event as SseEvent, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures::StreamExt;
use futures::stream;
use lunabot_data::{Delivery, Subscription};
use lunabot_model::{Event, Json, Pattern};
use serde_json::json;
use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::{mpsc, oneshot};
use uuid::Uuid;

/// Listeners at once; beyond them there are no connections either.
const MAX_CONSUMERS: usize = 4096;

/// A change of what a consumer listens to; answered when it is in force.
enum Order {
    Add(String, Vec<(String, String)>, oneshot::Sender<Reply>),
    Remove(String, oneshot::Sender<Reply>),
}

enum Reply {
    Ok,
    NotListening,
    TooMany,
}

/// All open streams, by the name told at their handshake.
#[derive(Clone, Default)]
pub struct Consumers(Arc<Mutex<HashMap<Uuid, mpsc::Sender<Order>>>>);

impl Consumers {
    /// Enters a consumer until the returned guard is dropped; `None`: there are too many.
    fn enter(&self) -> Option<(Guard, mpsc::Receiver<Order>)> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() >= MAX_CONSUMERS {
            return None;
        }
        let (orders, received) = mpsc::channel(4);
        let uuid = Uuid::new_v4();
        all.insert(uuid, orders);
        Some((Guard { consumers: self.clone(), uuid }, received))
    }

    fn find(&self, uuid: &str) -> Option<mpsc::Sender<Order>> {
        let uuid = Uuid::parse_str(uuid).ok()?;
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&uuid).cloned()
    }
}

struct Guard {
    consumers: Consumers,
    uuid: Uuid,
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.consumers.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.uuid);
    }
}

/// All of `/sse/…`.
pub async fn sse(
    State(app): State<Arc<App>>,
    Path(path): Path<String>,
    RawQuery(query): RawQuery,
    closing: Option<Extension<Closing>>,
    Visitor(user): Visitor,
) -> Response {
    let (command, rest) = path.split_once('/').unwrap_or((&path, ""));
    let filters = form_urlencoded::parse(query.unwrap_or_default().as_bytes()).into_owned().collect();
    let topic = match command {
        "listen" => Some(rest),
        "add" => rest.split_once('/').map(|(_, topic)| topic),
        _ => None,
    };
    if let Some(topic) = topic.filter(|topic| !topic.is_empty())
        && let Err(why) = super::may_hear(&app, &user, topic).await
    {
        return (StatusCode::FORBIDDEN, why).into_response();
    }
    match command {
        "listen" => listen(&app, rest, filters, closing.map(|c| c.0).unwrap_or_default()),
        "add" | "remove" => change(&app, command, rest, filters).await,
        _ => bad("unknown command"),
    }
}

fn bad(text: &'static str) -> Response {
    (StatusCode::BAD_REQUEST, text).into_response()
}

async fn change(app: &App, command: &str, rest: &str, filters: Vec<(String, String)>) -> Response {
    let (uuid, path) = rest.split_once('/').unwrap_or((rest, ""));
    if uuid.is_empty() {
        return bad("need uuid");
    }
    let Some(orders) = app.consumers.find(uuid) else { return bad("unknown uuid") };
    let (reply, answered) = oneshot::channel();
    let order = match command {
        "add" => Order::Add(path.into(), filters, reply),
        _ => Order::Remove(path.into(), reply),
    };
    if orders.send(order).await.is_err() {
        return bad("unknown uuid");
    }
    match answered.await {
        Ok(Reply::Ok) => "ok".into_response(),
        Ok(Reply::NotListening) => {
            (StatusCode::NOT_FOUND, "consumer is not listening to this event").into_response()
        }
        Ok(Reply::TooMany) => bad("too many paths for one consumer"),
        Err(_) => bad("unknown uuid"),
    }
}

fn listen(app: &App, path: &str, filters: Vec<(String, String)>, closing: Closing) -> Response {
    let Some((guard, orders)) = app.consumers.enter() else {
        return (StatusCode::SERVICE_UNAVAILABLE, "too many listeners").into_response();
    };
    let events = app.www.data.bus().subscribe(Vec::new());
    let mut consumer = Consumer { events, topics: HashMap::new(), orders };
    if !path.is_empty() {
        consumer.add(path.into(), filters);
    }
    let handshake = SseEvent::default().event("handshake").data(guard.uuid.to_string());
    let events = stream::unfold((consumer, guard), |(mut consumer, guard)| async move {
        let event = consumer.next().await?;
        Some((event, (consumer, guard)))
    });
    let all = stream::once(async { handshake }).chain(events);
    let all = all.map(Ok::<_, Infallible>).take_until(closing.0.cancelled_owned());
    Sse::new(all).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)).into_response()
}

/// One stream: what it listens to, and the orders that change that. One queue for all keeps events in their order.
struct Consumer {
    events: Subscription,
    topics: HashMap<String, Topic>,
    orders: mpsc::Receiver<Order>,
}

struct Topic {
    pattern: Pattern,
    filters: Vec<(String, String)>,
}

impl Consumer {
    fn add(&mut self, path: String, filters: Vec<(String, String)>) -> Reply {
        if self.topics.contains_key(&path) {
            return Reply::Ok;
        }
        if self.topics.len() >= MAX_TOPICS {
            return Reply::TooMany;
        }
        let pattern = Pattern::parse(&path);
        self.events.add(pattern.clone());
        self.topics.insert(path, Topic { pattern, filters });
        Reply::Ok
    }

    async fn next(&mut self) -> Option<SseEvent> {
        loop {
            tokio::select! {
                order = self.orders.recv() => self.obey(order?),
                delivery = self.events.next() => {
                    let delivery = delivery?;
                    if self.passes(&delivery) {
                        return Some(frame(delivery));
                    }
                }
            }
        }
    }

    fn obey(&mut self, order: Order) {
        let (reply, to) = match order {
            Order::Add(path, filters, to) => (self.add(path, filters), to),
            Order::Remove(path, to) => {
                let known =
                    self.topics.remove(&path).map(|topic| self.events.remove(&topic.pattern)).is_some();
                (if known { Reply::Ok } else { Reply::NotListening }, to)
            }
        };
        let _ = to.send(reply);
    }

    /// Whether a path is listened to that the event fits, and whose filters let it through.
    fn passes(&self, delivery: &Delivery) -> bool {
        let Delivery::Event(event) = delivery else { return true };
        self.topics.values().any(|topic| topic.pattern.matches(&event.topic) && passes(event, &topic.filters))
    }
}

fn frame(delivery: Delivery) -> SseEvent {
    match delivery {
        Delivery::Event(Event { topic, payload }) => {
            let key: Vec<&str> = topic.parts().collect();
            let text = format!("{{\"key\":{},\"message\":{payload}}}", json!(key));
            SseEvent::default().event("event").data(text)
        }
        Delivery::Lagged(n) => SseEvent::default().event("lagged").data(json!({"dropped": n}).to_string()),
    }
}

fn passes(event: &Event, filters: &[(String, String)]) -> bool {
    filters.iter().all(|(field, wanted)| match event.payload.get(field) {
        Some(Json::String(text)) => text == wanted,
        Some(value) => serde_json::from_str::<Json>(wanted).is_ok_and(|wanted| wanted == *value),
        None => false,
    })
}
