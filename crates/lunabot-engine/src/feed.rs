//! From the bus to the distributor: which requests came, and which are gone (reference 07.009).

use crate::distributor::Message;
use futures::FutureExt;
use lunabot_data::{Data, Delivery};
use lunabot_model::{BuildRequestId, Pattern};
use tokio::sync::mpsc;

/// Events told together at most.
const BATCH: usize = 512;

/// Tells the distributor from now on, until it is gone.
pub(crate) fn start(data: &Data, inbox: mpsc::Sender<Message>) {
    let actions = ["new", "unclaimed", "complete", "cancel"];
    let patterns = actions.map(|action| Pattern::parse(&format!("buildrequests/*/{action}")));
    let mut events = data.bus().subscribe(patterns.to_vec());
    tokio::spawn(async move {
        while let Some(first) = events.next().await {
            let mut batch = Batch::default();
            batch.add(first);
            while batch.has_room() {
                match events.next().now_or_never() {
                    Some(Some(next)) => batch.add(next),
                    Some(None) | None => break,
                }
            }
            for message in batch.messages() {
                if inbox.send(message).await.is_err() {
                    return;
                }
            }
        }
    });
}

/// Events that were there at the same time. What came last of a request counts.
#[derive(Default)]
struct Batch {
    announced: Vec<BuildRequestId>,
    gone: Vec<BuildRequestId>,
    lagged: bool,
}

impl Batch {
    fn has_room(&self) -> bool {
        self.announced.len() + self.gone.len() < BATCH
    }

    fn add(&mut self, delivery: Delivery) {
        let event = match delivery {
            Delivery::Event(event) => event,
            Delivery::Lagged(_) => {
                self.lagged = true;
                return;
            }
        };
        let Some(id) = event.topic.id(1) else { return };
        self.announced.retain(|other| *other != id);
        match event.topic.part(2) {
            Some("new" | "unclaimed") => self.announced.push(id),
            _ => self.gone.push(id),
        }
    }

    fn messages(self) -> impl Iterator<Item = Message> {
        let gone = (!self.gone.is_empty()).then_some(Message::Gone(self.gone));
        let announced = (!self.announced.is_empty()).then_some(Message::Announced(self.announced));
        gone.into_iter().chain(announced).chain(self.lagged.then_some(Message::Reread))
    }
}
