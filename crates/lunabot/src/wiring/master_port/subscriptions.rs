//! `master.mq.subscribe`: functions that hear events, for as long as their generation lasts (lua-api § 5), or the object
//! that acts whose they are.

use super::{query, rows};
use lunabot_data::{Bus, Delivery, Subscription, TOPICS};
use lunabot_model::script::CallSite;
use lunabot_model::{Arg, Callback, Event, Json, Pattern, ScriptErrorKind, ScriptHost};
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError, Weak};
use tokio::task::AbortHandle;

/// Subscriptions of one generation at a time. Each has a queue, and one call at a time.
const MOST: usize = 1000;

/// Those of one generation, by number.
#[derive(Default)]
pub(super) struct Subscriptions(Mutex<Running>);

#[derive(Default)]
struct Running {
    made: u64,
    all: HashMap<u64, Hearing>,
}

struct Hearing {
    task: AbortHandle,
    /// An object that acts ends it.
    owned: bool,
}

impl Subscriptions {
    /// Calls a function for each event that matches from now on; gives the number to stop it by.
    pub fn add(
        &self,
        bus: &Bus,
        script: &Weak<dyn ScriptHost>,
        topic: &Json,
        function: &Json,
        owned: bool,
    ) -> Result<Json, String> {
        let topic = read(topic)?;
        let callback = Callback::from_json(function).ok_or("takes a topic and a function")?;
        let mut running = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if running.all.len() >= MOST {
            return Err(format!("there are {MOST} subscriptions; :stop() those that are over"));
        }
        let hearer = Hearer { script: script.clone(), callback, topic };
        let events = bus.subscribe(vec![Pattern::parse(&hearer.topic)]);
        running.made += 1;
        let number = running.made;
        let task = tokio::spawn(hearer.hear(events)).abort_handle();
        running.all.insert(number, Hearing { task, owned });
        Ok(number.into())
    }

    /// No call begins after this.
    pub fn stop(&self, number: &Json) {
        let mut running = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(hearing) = number.as_u64().and_then(|number| running.all.remove(&number)) {
            hearing.task.abort();
        }
    }

    /// Stops those that belong to the generation alone.
    pub fn retire(&self) {
        let mut running = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        running.all.retain(|_, hearing| {
            if !hearing.owned {
                hearing.task.abort();
            }
            hearing.owned
        });
    }
}

impl Drop for Subscriptions {
    fn drop(&mut self) {
        let running = self.0.get_mut().unwrap_or_else(PoisonError::into_inner);
        running.all.values().for_each(|hearing| hearing.task.abort());
    }
}

struct Hearer {
    script: Weak<dyn ScriptHost>,
    callback: Callback,
    topic: String,
}

impl Hearer {
    /// One call at a time, in the order of the events.
    async fn hear(self, mut events: Subscription) {
        while let Some(delivery) = events.next().await {
            let Some(script) = self.script.upgrade() else { return };
            match delivery {
                Delivery::Event(event) => {
                    // The host has told of an error; that one call is dropped.
                    let answer = script.call(&self.callback, self.site(), args(&event)).await;
                    if answer.is_err_and(|error| error.kind == ScriptErrorKind::Gone) {
                        return;
                    }
                }
                Delivery::Lagged(count) => {
                    let text =
                        format!("it does not keep up: {count} events were dropped; read the data again");
                    script.nonsense(&self.callback, self.site(), &text);
                }
            }
        }
    }

    fn site(&self) -> CallSite {
        CallSite::new("mq.subscribe", self.topic.as_str())
    }
}

/// `key, message`.
fn args(event: &Event) -> Vec<Arg> {
    let key: Json = event.topic.parts().map(Json::from).collect();
    vec![Arg::Value(key), Arg::Value(rows::row("", Json::clone(&event.payload)))]
}

/// `"builds/*/finished"` or `{"builds", util.null, "finished"}`; one that nothing is ever announced under is a mistake.
fn read(topic: &Json) -> Result<String, String> {
    let topic = match topic {
        Json::Array(parts) => {
            let any = |part: &Json| if part.is_null() { "*".into() } else { part.clone() };
            query::path(&parts.iter().map(any).collect())?
        }
        Json::String(_) => query::path(topic)?,
        _ => return Err("the topic is a text or an array of its parts".into()),
    };
    let pattern = Pattern::parse(&topic);
    if TOPICS.iter().any(|form| Pattern::parse(form).overlaps(&pattern)) {
        return Ok(topic);
    }
    let asked: Vec<&str> = topic.split('/').collect();
    let forms: Vec<String> = TOPICS.iter().map(|form| filled(form, &asked)).collect();
    Err(match lunabot_model::kind::nearest(&topic, forms.iter().map(String::as_str)) {
        Some(near) => format!("nothing is announced as {topic}, did you mean {near}?"),
        None => format!(
            "nothing is announced as {topic}; topics are those of /ws and /sse, such as builds/*/finished"
        ),
    })
}

/// A form with what was asked for in its open places.
fn filled(form: &str, asked: &[&str]) -> String {
    let parts = form.split('/').enumerate();
    let part = |(at, part): (usize, &str)| {
        if part == "*" { asked.get(at).copied().unwrap_or("*") } else { part }.to_owned()
    };
    parts.map(part).collect::<Vec<_>>().join("/")
}

#[cfg(test)]
mod tests {
    use super::read;
    use serde_json::json;

    #[test]
    fn topics_are_texts_or_arrays_and_must_be_announced() {
        for (topic, wanted) in [
            (json!("builds/*/finished"), Ok("builds/*/finished")),
            (json!(["builds", null, "finished"]), Ok("builds/*/finished")),
            (json!(["builders", 3, "builds", "*", "new"]), Ok("builders/3/builds/*/new")),
            (json!("*/*/new"), Ok("*/*/new")),
            (
                json!("build/*/finished"),
                Err("nothing is announced as build/*/finished, did you mean builds/*/finished?"),
            ),
            (json!("builds/finished"), Err("nothing is announced as builds/finished")),
            (json!("zzz"), Err("nothing is announced as zzz; topics are")),
            (json!(7), Err("the topic is a text")),
            (json!([{"a": 1}]), Err("")),
        ] {
            match (read(&topic), wanted) {
                (Ok(read), Ok(wanted)) => assert_eq!(read, wanted),
                (Err(told), Err(wanted)) => assert!(told.starts_with(wanted), "{topic}: {told}"),
                (read, _) => panic!("{topic}: {read:?}"),
            }
        }
    }
}
