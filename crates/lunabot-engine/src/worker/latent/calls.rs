//! The calls of a latent worker's class, with what must be stored before and after them (reference 08.039).
//!
//! Dropped, a call ends at its next wait. What it may have started is on record by then.

use super::passwords::random_password;
use super::{Event, Failure, LatentClass, Passwords, Record};
use crate::build::BuildShared;
use crate::scripts::build_object;
use crate::worker::remote::rendered_password;
use lunabot_data::Data;
use std::sync::Arc;

/// Starts an instance for a build, which answers until the class has, whatever becomes of it meanwhile.
pub(crate) async fn start(
    class: &LatentClass,
    data: &Data,
    passwords: &Passwords,
    build: Arc<BuildShared>,
) -> Event {
    Event::Started(try_start(class, data, passwords, build).await)
}

async fn try_start(
    class: &LatentClass,
    data: &Data,
    passwords: &Passwords,
    build: Arc<BuildShared>,
) -> Result<(), Failure> {
    let name = &class.spec.params.name;
    let password = match &class.spec.params.password {
        Some(option) => rendered_password(&class.generation, &class.concerns(), option)
            .await
            .map_err(|error| Failure::new(format!("password: {error}")))?,
        None => random_password(),
    };
    // Whatever becomes of this process: the next one knows that there may be something to be stopped.
    Record::default().store(data, name).await.map_err(|error| Failure::new(error.to_string()))?;
    class.current.begin(&password);
    passwords.set(name, &password);
    let started = class.start(build_object(&build)).await;
    let record = Record { instance: class.current.instance() };
    if let Err(error) = record.store(data, name).await {
        tracing::error!(worker = name, "could not store what start_instance has returned: {error}");
    }
    started
}

/// Looks at an instance that has yet to connect.
pub(crate) async fn check(class: &LatentClass) -> Event {
    Event::Checked(class.check().await)
}

/// Stops what was started.
pub(crate) async fn stop(class: &LatentClass, data: &Data, passwords: &Passwords, fast: bool) -> Event {
    let name = &class.spec.params.name;
    if let Err(error) = class.stop(fast).await {
        return Event::Stopped(Err(error));
    }
    passwords.forget(name);
    class.current.clear();
    if let Err(error) = Record::clear(data, name).await {
        tracing::error!(worker = name, "could not store that the instance is stopped: {error}");
    }
    Event::Stopped(Ok(()))
}
